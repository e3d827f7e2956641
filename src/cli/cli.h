/*
 * cli.h - what the mains share: messages on standard error, and the verbs.
 */
#ifndef SW_CLI_CLI_H
#define SW_CLI_CLI_H

#include "base/error.h"
#include "config/config.h"

/* First call of every main: signals, log to standard error as "<program>: ...", no core files
 * (they would hold secrets). */
void sw_cli_start(const char *program);

/* Messages at the configured level from here on. */
void sw_cli_set_log_level(const struct sw_config *config);

/* "<program>: error: <text>; <hint>" */
void sw_cli_report(const struct sw_error *err);

/* What stands in a store or in WAL, for a terminal: '?' for controls (C1 too), and beyond ASCII if it is no UTF-8.  In place. */
void sw_cli_clean(char *text);
/* Such text to standard output. */
void sw_cli_print_clean(const char *text);

/* --help and --version print and return true. */
bool sw_cli_informed(const struct sw_config *config, enum sw_command command);

/* Replace this process by `seawall <verb> argv…` from the same directory.  Returns only on failure. */
sw_rc sw_cli_exec_seawall(const char *verb, int argc, char *const *argv, struct sw_error *err);

/*
 * Replace this process by the helper `name`, with these arguments (argv[0] and all): "../libexec/seawall/NAME" beside the
 * directory of this program, else "libexec/NAME" in it, as in a build tree.  Returns only on failure.
 */
sw_rc sw_cli_exec_helper(const char *name, char *const *argv, struct sw_error *err);

/*
 * A verb.  Prints its result to standard output.  SW_OK with *ret_status 0 or 3 (design: "answered
 * with no"), or an error that main reports.
 */
typedef sw_rc (*sw_cli_verb)(const struct sw_config *config, int *ret_status, struct sw_error *err);

sw_rc sw_cmd_init(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_check(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_backup(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_list(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_targets(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_find(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_restore(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_plan(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_log(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_sync(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_status(const struct sw_config *config, int *ret_status, struct sw_error *err);
sw_rc sw_cmd_config(const struct sw_config *config, int *ret_status, struct sw_error *err);

#endif
