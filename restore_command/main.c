/*
 * seawall-fetch - restore_command = 'seawall-fetch %f %p'
 *
 * What lies in the spool is answered here, without a library; the rest by the helper in libexec (fetch_main.c), with the
 * same arguments.  Only 0, or 126 (recovery must stop), is said here: what to say of absence is the helper's business.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/fetch_spool.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/cli.h"

/* A signal that comes while one program becomes the other waits for the other. */
static void
keep_signals_back(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Returns only on failure. */
static sw_rc
hand_over(char **argv, struct sw_error *err)
{
	keep_signals_back();
	sw_interrupt_die();
	return sw_cli_exec_helper("seawall-fetch", argv, err);
}

static sw_rc
fetch(const struct sw_config *config, char **argv, struct sw_error *err)
{
	sw_rc rc;

	if (sw_config_arg_count(config) != 2) {
		sw_fail(err, SW_CONFIG, "a file name and a path are needed, and %zu arguments came",
			sw_config_arg_count(config));
		return sw_hint(err, "use restore_command = 'seawall-fetch %%f %%p'");
	}
	rc = sw_fetch_spool_serve(config, sw_config_arg(config, 0), sw_config_arg(config, 1), err);
	if (rc == SW_OK)
		return rc;
	sw_log(SW_LOG_DEBUG, "%s", err->text);
	return hand_over(argv, err);
}

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
	if (!sw_cli_informed(config, SW_CMD_FETCH))
		rc = fetch(config, argv, err);
	sw_config_free(config);
	return rc;
}

int
main(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;

	sw_cli_start("seawall-fetch");
	if (run(argc, argv, &err) == SW_OK)
		return 0;
	sw_interrupt_die();
	sw_cli_report(&err);
	return 126;
}
