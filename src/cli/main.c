/*
 * seawall - the catalog tool.  Exit status: 0 done, 1 failed, 2 wrong usage or configuration,
 * 3 answered with no.
 */
#include <stdio.h>
#include <string.h>

#include "base/interrupt.h"
#include "cli/cli.h"

static const struct verb {
	enum sw_command command;
	sw_cli_verb run;
} verbs[] = {
	{SW_CMD_INIT, sw_cmd_init},
	{SW_CMD_CHECK, sw_cmd_check},
	{SW_CMD_BACKUP, sw_cmd_backup},
	{SW_CMD_LIST, sw_cmd_list},
	{SW_CMD_TARGETS, sw_cmd_targets},
	{SW_CMD_FIND, sw_cmd_find},
	{SW_CMD_RESTORE, sw_cmd_restore},
	{SW_CMD_PLAN, sw_cmd_plan},
	{SW_CMD_LOG, sw_cmd_log},
	{SW_CMD_SYNC, sw_cmd_sync},
	{SW_CMD_STATUS, sw_cmd_status},
	{SW_CMD_CONFIG, sw_cmd_config},
};

static sw_rc
run_verb(const struct verb *verb, const char *name, int argc, char **argv, int *ret_status,
	struct sw_error *err)
{
	struct sw_config *config = NULL;
	sw_rc rc = sw_config_load(verb->command, argc, argv, &config, err);

	if (rc != SW_OK)
		return rc;
	sw_cli_set_log_level(config);
	if (!sw_cli_informed(config, verb->command)) {
		if (sw_config_arg_count(config) > 0 && verb->command != SW_CMD_FIND) {
			rc = sw_fail(err, SW_CONFIG, "\"%s\" is one argument too many",
				sw_config_arg(config, 0));
			sw_hint(err, "see 'seawall %s --help'", name);
		} else {
			rc = verb->run(config, ret_status, err);
		}
	}
	sw_config_free(config);
	return rc;
}

static sw_rc
run(int argc, char **argv, int *ret_status, struct sw_error *err)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	enum sw_command command;
	sw_rc rc;

	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		sw_config_help(0, argc > 1 ? stdout : stderr);
		*ret_status = argc > 1 ? 0 : 2;
		return SW_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("seawall (Seawall) %s\n", PACKAGE_VERSION);
		return SW_OK;
	}
	rc = sw_config_verb(name, &command, err);
	for (size_t i = 0; rc == SW_OK && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (verbs[i].command == command)
			return run_verb(&verbs[i], name, argc - 2, argv + 2, ret_status, err);
	return rc;
}

int
main(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;
	int status = 0;
	sw_rc rc;

	sw_cli_start("seawall");
	rc = run(argc, argv, &status, &err);
	if (rc == SW_OK && fflush(stdout) != 0)
		rc = sw_fail_errno(&err, "writing to standard output");
	if (rc != SW_OK) {
		sw_cli_report(&err);
		sw_interrupt_die();
		return rc == SW_CONFIG ? 2 : 1;
	}
	return status;
}
