/*
 * seawall-push - archive_command = 'seawall-push %p'
 *
 * PostgreSQL believes the exit status: 0 says that the file is durable in the repository, 1 makes it try
 * again.  Above 125 its archiver would die (pgarch.c), so nothing here may exit with more.
 *
 * Here is only what can be answered without a library: help, and files that an earlier call has archived ahead.  The
 * rest is done by the helper of the same name in libexec.
 */
#include <fcntl.h>
#include <string.h>

#include "archive/ledger.h"
#include "base/file.h"
#include "cli/cli.h"
#include "pg/control.h"

/* Whether the file was archived ahead, and is still the same. */
static bool
is_noted(const struct sw_config *config, const char *path)
{
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA), *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_ledger_file file;
	struct sw_control control;
	struct sw_ledger ledger;
	struct sw_wal_name name;
	SW_AUTO_FD fd = -1;
	bool noted;

	if (sw_control_read(pgdata != NULL ? pgdata : ".", &control, NULL, &ignored) != SW_OK ||
		!sw_wal_name_parse(base, control.segment_size, &name))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || sw_ledger_identify(fd, name.kind == SW_WAL_SEGMENT || name.kind == SW_WAL_PARTIAL, path, &file,
		&ignored) != SW_OK || sw_ledger_init(&ledger, config, path, control.system_identifier, &ignored) != SW_OK)
		return false;
	noted = sw_ledger_has(&ledger, base, &file);
	if (noted)
		sw_ledger_drop(&ledger, base);
	sw_ledger_release(&ledger);
	return noted;
}

static sw_rc
run(int argc, char **argv, struct sw_error *err)
{
	struct sw_config *config = NULL;
	bool done;
	sw_rc rc;

	if (argc > 1 && strcmp(argv[1], "--base") == 0)
		return sw_cli_exec_seawall("backup", argc - 2, argv + 2, err);
	rc = sw_config_load(SW_CMD_PUSH, argc - 1, argv + 1, &config, err);
	if (rc != SW_OK)
		return rc;
	done = sw_cli_informed(config, SW_CMD_PUSH) ||
		(sw_config_arg_count(config) == 1 && is_noted(config, sw_config_arg(config, 0)));
	sw_config_free(config);
	return done ? SW_OK : sw_cli_exec_helper("seawall-push", argv, err);
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
