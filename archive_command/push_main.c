/*
 * libexec/seawall/seawall-push - what seawall-push becomes when it cannot answer from the ledger.
 *
 * Same arguments, same exit status: 0 says that the file is durable in the repository, 1 makes PostgreSQL try again.
 */
#include <unistd.h>

#include "archive/ahead.h"
#include "cli/cli.h"

/* Its successor's calls would meet what an orphan begins. */
static bool
archiver_lives(void *ctx)
{
	const pid_t *archiver = ctx;

	return getppid() == *archiver;
}

static sw_rc
push(const struct sw_config *config, struct sw_error *err)
{
	pid_t archiver = getppid();
	const struct sw_ahead_hooks hooks = {.may_begin = archiver_lives, .ctx = &archiver};
	struct sw_ahead *ahead = NULL;
	sw_rc rc = sw_ahead_new(config, &hooks, &ahead, err);

	if (rc == SW_OK)
		rc = sw_ahead_push(ahead, sw_config_arg(config, 0), err);
	sw_ahead_free(ahead);
	return rc;
}

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
			rc = push(config, err);
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
