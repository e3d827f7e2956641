/*
 * config.h - the effective configuration of one run.
 *
 * options.def is the one table: from it come the file's keys, the environment's
 * names (SEAWALL_ and the name in capitals, '-' as '_'), the command line, --help, the man
 * pages and the sample file.  Later sources win: default, file, environment, command line.
 *
 * The file is ini: options of the program in [seawall], of a repository in [repo NAME], of a
 * cluster in [cluster NAME].  An option has the same name in every place.  Environment and command
 * line apply to the chosen cluster and to every chosen repository.
 */
#ifndef SW_CONFIG_CONFIG_H
#define SW_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum sw_option_scope { SW_SCOPE_PROGRAM, SW_SCOPE_REPO, SW_SCOPE_CLUSTER };

enum sw_option_type {
	SW_TYPE_STRING,
	SW_TYPE_PATH,     /* absolute; a relative one on the command line is made so */
	SW_TYPE_BOOL,     /* on off yes no true false 1 0 */
	SW_TYPE_INT,      /* within the row's minimum and maximum */
	SW_TYPE_SIZE,     /* bytes: 4096, 64kB, 16MB, 1GB, 2TB (powers of 1,024, as in PostgreSQL) */
	SW_TYPE_DURATION, /* milliseconds: 500ms, 30s, 5min, 2h, 1d, as in PostgreSQL; a bare number is seconds */
	SW_TYPE_ENUM,     /* one of the row's words */
	SW_TYPE_LIST,     /* strings; given again on the command line adds one, commas elsewhere */
};

/* Who takes the option on its command line; every option is legal in file and environment unless
 * the row says SW_CMD_ONLY. */
enum sw_command {
	SW_CMD_PUSH = 1 << 0,
	SW_CMD_FETCH = 1 << 1,
	SW_CMD_INIT = 1 << 2,
	SW_CMD_CHECK = 1 << 3,
	SW_CMD_BACKUP = 1 << 4,
	SW_CMD_LIST = 1 << 5,
	SW_CMD_RESTORE = 1 << 6,
	SW_CMD_CONFIG = 1 << 7,
	SW_CMD_TARGETS = 1 << 8,
	SW_CMD_PLAN = 1 << 10,
	SW_CMD_FIND = 1 << 11,
	SW_CMD_SYNC = 1 << 12,
	SW_CMD_STATUS = 1 << 13,
	SW_CMD_LOG = 1 << 14,
	SW_CMD_ALL = (1 << 20) - 1,
	SW_CMD_ONLY = 1 << 20,    /* on the command line alone (--json, --help, targets) */
	SW_CMD_NEVER = 1 << 21,   /* never on the command line: secrets show in process titles */
	SW_CMD_SECRET = 1 << 22,  /* its value is never printed */
};

enum sw_option {
#define OPTION(id, ...) SW_OPT_##id,
#include "config/options.def"
#undef OPTION
	SW_OPTION_COUNT
};

struct sw_config;

/* The file that is read where nobody names another. */
#ifndef SEAWALL_SYSCONFDIR
#define SEAWALL_SYSCONFDIR "/etc"
#endif
#define SW_CONFIG_FILE SEAWALL_SYSCONFDIR "/seawall/seawall.conf"

/*
 * Read arguments, environment and file for `command`.
 *
 * argv: without the program's (and the verb's) name.  Everything that is not an option is a
 * positional argument, "--" ends options, "--name=value" and "--name value" are the same.
 * SW_OK; SW_CONFIG: an unknown or misspelt option (the hint names the nearest), a bad value, an
 * unknown section or key (with file and line), an unreadable file that was named; SW_SYSTEM.
 * A missing SW_CONFIG_FILE is no error, unknown SEAWALL_ variables are (but not SEAWALL_TEST_...).  --help and --version are only recorded.
 * For restore, pgdata counts from the command line alone: a configured one is production's.
 * Free with sw_config_free.
 */
sw_rc sw_config_load(enum sw_command command, int argc, char *const *argv,
	struct sw_config **ret_config, struct sw_error *err);
void sw_config_free(struct sw_config *config);

/* Values are borrowed until sw_config_free.  A getter of the wrong type for the option aborts. */
/* A number that nobody set and that has no default is 0. */
bool sw_config_is_set(const struct sw_config *config, enum sw_option option); /* not by default */
const char *sw_config_string(const struct sw_config *config, enum sw_option option); /* STRING PATH ENUM; NULL if none */
bool sw_config_bool(const struct sw_config *config, enum sw_option option);
int64_t sw_config_int(const struct sw_config *config, enum sw_option option);
uint64_t sw_config_size(const struct sw_config *config, enum sw_option option);
int64_t sw_config_ms(const struct sw_config *config, enum sw_option option);
unsigned sw_config_enum(const struct sw_config *config, enum sw_option option); /* index of the word in its row */
size_t sw_config_list(const struct sw_config *config, enum sw_option option,
	const char *const **ret_items); /* count */

/* Positional arguments. */
size_t sw_config_arg_count(const struct sw_config *config);
const char *sw_config_arg(const struct sw_config *config, size_t i);

/* The chosen cluster's name: --cluster, else the only [cluster] section, else "main".
 * Letters, digits, '_' and '-' only. */
const char *sw_config_cluster(const struct sw_config *config);

/*
 * The cluster's repositories, in order: those named by its `repo` option, else all [repo] sections,
 * else one named "main" if environment or command line give repo-url.  0 if none.
 */
unsigned sw_config_repo_count(const struct sw_config *config);
/* SW_OK, or SW_CONFIG with what to write and where if there is none. */
sw_rc sw_config_need_repo(const struct sw_config *config, struct sw_error *err);
const char *sw_config_repo_name(const struct sw_config *config, unsigned repo);

/* Options of SW_SCOPE_REPO for one repository; the plain getters abort on them. */
bool sw_config_repo_is_set(const struct sw_config *config, unsigned repo, enum sw_option option);
const char *sw_config_repo_string(const struct sw_config *config, unsigned repo, enum sw_option option);
bool sw_config_repo_bool(const struct sw_config *config, unsigned repo, enum sw_option option);
int64_t sw_config_repo_int(const struct sw_config *config, unsigned repo, enum sw_option option);
int64_t sw_config_repo_ms(const struct sw_config *config, unsigned repo, enum sw_option option);
unsigned sw_config_repo_enum(const struct sw_config *config, unsigned repo, enum sw_option option);

/* `seawall config`: every option that a file or the environment may set, its value (secrets as
 * "(hidden)") and its origin: "default", "environment", "command line" or "<file>:<line>".
 * json: one JSON document.  SW_OK, SW_SYSTEM (memory, or writing). */
sw_rc sw_config_print(const struct sw_config *config, FILE *out, bool json, struct sw_error *err);

/* --help for `command`: usage line, what it does, its options with defaults, the exit statuses.
 * 0: the verbs of seawall and the other programs, a line each. */
void sw_config_help(enum sw_command command, FILE *out);

/* The verb's command.  SW_OK; SW_CONFIG, with the nearest verb as a hint. */
sw_rc sw_config_verb(const char *verb, enum sw_command *ret_command, struct sw_error *err);

/* For the build: the man page of `command` (0: of seawall itself), that of the file, and the sample
 * file.  sw_config_page: "seawall-restore"; NULL behind the last, i from 0. */
const char *sw_config_page(size_t i, enum sw_command *ret_command);
void sw_config_man(enum sw_command command, FILE *out);
void sw_config_man_file(FILE *out);
void sw_config_sample(FILE *out);

#endif
