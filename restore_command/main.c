/*
 * seawall-fetch - restore_command = 'seawall-fetch %f %p'
 *
 * To PostgreSQL 1 to 125 mean "not there": recovery ends and the server is promoted.  So 1 is said only where
 * absence was proved; everything else is 126, which stops recovery (xlogarchive.c).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/fetch.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/cli.h"

static sw_rc
run(int argc, char **argv, struct sw_error *err)
{
	struct sw_config *config = NULL;
	sw_rc rc;

	if (argc > 1 && strcmp(argv[1], "--base") == 0) {
		char *args[] = {"--backup", argc > 2 ? argv[2] : "", "--pgdata", argc > 3 ? argv[3] : ""};

		if (argc == 4)
			return sw_cli_exec_seawall("restore", 4, args, err);
		return sw_fail(err, SW_CONFIG, "use seawall-fetch --base BACKUP DIR");
	}
	rc = sw_config_load(SW_CMD_FETCH, argc - 1, argv + 1, &config, err);
	if (rc != SW_OK)
		return rc;
	sw_cli_set_log_level(config);
	if (!sw_cli_informed(config, SW_CMD_FETCH)) {
		if (sw_config_arg_count(config) == 2) {
			rc = sw_fetch(config, sw_config_arg(config, 0), sw_config_arg(config, 1), err);
		} else {
			rc = sw_fail(err, SW_CONFIG, "a file name and a path are needed, and %zu arguments came",
				sw_config_arg_count(config));
			sw_hint(err, "use restore_command = 'seawall-fetch %%f %%p'");
		}
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
	rc = run(argc, argv, &err);
	sw_interrupt_die();
	if (rc == SW_OK) {
		fflush(stdout);
		_exit(0); /* recovery waits, and the libraries take a millisecond to clean up */
	}
	if (rc == SW_NOT_FOUND) {
		sw_log(SW_LOG_DEBUG, "%s", err.text);
		return 1;
	}
	sw_cli_report(&err);
	return 126;
}
