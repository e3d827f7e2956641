#include "config/command.h"

#include <string.h>

static const struct sw_command_row commands[SW_COMMAND_COUNT] = {
	{.command = SW_CMD_PUSH, .title = "seawall-push", .page = "seawall-push", .synopsis = "FILE",
		.purpose = "archive a WAL file: PostgreSQL's archive_command"},
	{.command = SW_CMD_FETCH, .title = "seawall-fetch", .page = "seawall-fetch", .synopsis = "NAME FILE",
		.purpose = "fetch an archived WAL file: PostgreSQL's restore_command"},
	{.command = SW_CMD_INIT, .verb = "init", .title = "seawall init", .page = "seawall-init", .synopsis = "",
		.purpose = "create a repository and register the cluster in it"},
	{.command = SW_CMD_CHECK, .verb = "check", .title = "seawall check", .page = "seawall-check", .synopsis = "",
		.purpose = "prove that archiving works, from PostgreSQL to the repository and back"},
	{.command = SW_CMD_BACKUP, .verb = "backup", .title = "seawall backup", .page = "seawall-backup", .synopsis = "",
		.purpose = "take a base backup"},
	{.command = SW_CMD_LIST, .verb = "list", .title = "seawall list", .page = "seawall-list", .synopsis = "",
		.purpose = "list the backups in the repositories"},
	{.command = SW_CMD_RESTORE, .verb = "restore", .title = "seawall restore", .page = "seawall-restore",
		.synopsis = "--pgdata DIR", .purpose = "restore a backup and recover to a target"},
	{.command = SW_CMD_CONFIG, .verb = "config", .title = "seawall config", .page = "seawall-config", .synopsis = "",
		.purpose = "print the effective configuration and where each value comes from"},
};

const struct sw_command_row *
sw_command_at(size_t i)
{
	return &commands[i];
}

const struct sw_command_row *
sw_command_row(enum sw_command command)
{
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		if (commands[i].command == command)
			return &commands[i];
	return &commands[0];
}

void
sw_command_takers(const struct sw_option_row *row, char *buf, size_t len)
{
	unsigned total = 0, seen = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		total += (row->commands & commands[i].command) != 0;
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++) {
		size_t used = strlen(buf);

		if ((row->commands & commands[i].command) == 0)
			continue;
		snprintf(buf + used, len - used, "%s%s",
			seen == 0 ? "" : seen + 1 == total ? " and " : ", ", commands[i].title);
		seen++;
	}
}

sw_rc
sw_config_verb(const char *verb, enum sw_command *ret_command, struct sw_error *err)
{
	struct sw_nearest nearest = {.name = verb, .len = strlen(verb)};

	for (size_t i = 0; i < SW_COMMAND_COUNT; i++) {
		if (commands[i].verb == NULL)
			continue;
		if (strcmp(commands[i].verb, verb) == 0) {
			*ret_command = commands[i].command;
			return SW_OK;
		}
		sw_table_offer(&nearest, commands[i].verb);
	}
	sw_fail(err, SW_CONFIG, "unknown command %.80s", verb);
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean seawall %s?", nearest.best);
	return sw_hint(err, "seawall --help lists the commands");
}
