/*
 * libexec/seawall/seawall-push - what seawall-push becomes when it cannot answer from the ledger.
 *
 * Same arguments, same exit status: 0 says that the file is durable in the repository, 1 makes PostgreSQL try again.
 */
#include "archive/ahead.h"
#include "cli/cli.h"

static sw_rc
run(int argc, char **argv, struct sw_error *err)
{
	struct sw_config *config = NULL;
	sw_rc rc;

	rc = sw_config_load(SW_CMD_PUSH, argc - 1, argv + 1, &config, err);
	if (rc != SW_OK)
		return rc;
	sw_cli_set_log_level(config);
	if (!sw_cli_informed(config, SW_CMD_PUSH)) {
		if (sw_config_arg_count(config) == 1) {
			rc = sw_ahead_push(config, sw_config_arg(config, 0), err);
		} else {
			rc = sw_fail(err, SW_CONFIG, "exactly one file is to be archived, and %zu were named",
				sw_config_arg_count(config));
			sw_hint(err, "use archive_command = 'seawall-push %%p'");
		}
	}
	sw_config_free(config);
	return rc;
}

int
main(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;

	sw_cli_start("seawall-push");
	if (run(argc, argv, &err) == SW_OK)
		return 0;
	sw_cli_report(&err);
	return 1;
}
