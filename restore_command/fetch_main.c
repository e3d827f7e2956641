/*
 * The helper of seawall-fetch (main.c), in libexec: what is not in the spool comes from the repository.
 *
 * To PostgreSQL 1 to 125 mean "not there": recovery ends and the server is promoted.  So 1 is said only where
 * absence was proved; everything else is 126, which stops recovery (xlogarchive.c).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/fetch.h"
#include "archive/prefetch.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/cli.h"

/* The first program blocked them before it handed over, so that none was lost. */
static void
let_signals_in(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static sw_rc
run(int argc, char **argv, struct sw_error *err)
{
	struct sw_config *config = NULL;
	struct sw_prefetch_call call = {
		.title = argv[0],
		.title_len = argc > 0 ? (size_t)(argv[argc - 1] - argv[0]) + strlen(argv[argc - 1]) : 0,
	};
	sw_rc rc = sw_config_load(SW_CMD_FETCH, argc - 1, argv + 1, &config, err);
	bool ahead;

	if (rc != SW_OK)
		return rc;
	sw_cli_set_log_level(config);
	if (sw_config_arg_count(config) != 2) {
		rc = sw_fail(err, SW_CONFIG, "a file name and a path are needed");
	} else {
		call.file = sw_config_arg(config, 0);
		call.path = sw_config_arg(config, 1);
		ahead = sw_config_int(config, SW_OPT_FETCH_AHEAD) > 0;
		if (ahead)
			sw_prefetch_start(config, &call);
		rc = sw_fetch(config, call.file, call.path, err);
		if (ahead && rc == SW_OK)
			sw_prefetch_learn(config, &call);
	}
	sw_config_free(config);
	return rc;
}

int
main(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc;

	sw_cli_start("seawall-fetch");
	let_signals_in();
	rc = run(argc, argv, &err);
	sw_interrupt_die();
	if (rc == SW_OK)
		_exit(0); /* recovery waits, and the libraries take a millisecond to clean up */
	if (rc == SW_NOT_FOUND) {
		sw_log(SW_LOG_DEBUG, "%s", err.text);
		return 1;
	}
	sw_cli_report(&err);
	return 126;
}
