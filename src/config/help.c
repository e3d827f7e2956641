#include "config/config.h"

#include <string.h>

#include "config/command.h"

#define INDENT 30
#define WIDTH 96

static const char *
group_title(enum sw_option_scope scope)
{
	switch (scope) {
	case SW_SCOPE_CLUSTER:
		return "Cluster";
	case SW_SCOPE_REPO:
		return "Repository";
	default:
		return "Options";
	}
}

/* Words from column `column` on, broken before WIDTH, further lines indented. */
static void
print_wrapped(const char *text, size_t column, size_t indent, FILE *out)
{
	size_t start = column;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column > start && column + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = start = indent;
		}
		column += (size_t)fprintf(out, "%s%.*s", column > start ? " " : "", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void
print_option(const struct sw_option_row *row, FILE *out)
{
	char text[512];
	bool told = row->preset != NULL && (row->type != SW_TYPE_BOOL || strcmp(row->preset, "on") == 0);
	int width = fprintf(out, "  --%s%s%s%s", told && row->type == SW_TYPE_BOOL ? "[no-]" : "", row->name,
		row->value_name != NULL ? "=" : "", row->value_name != NULL ? row->value_name : "");

	if (width + 2 > INDENT) {
		fputc('\n', out);
		width = 0;
	}
	fprintf(out, "%*s", INDENT - width, "");
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", row->brief, row->words != NULL ? ": " : "",
		row->words != NULL ? row->words : "", told ? " (default " : "", told ? row->preset : "",
		told ? ")" : "", row->type == SW_TYPE_LIST ? "; may be repeated" : "");
	print_wrapped(text, INDENT, INDENT, out);
}

static void
print_options(enum sw_command command, enum sw_option_scope scope, FILE *out)
{
	bool begun = false;

	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);

		if (row->scope != scope || (row->commands & (unsigned)command) == 0)
			continue;
		if (!begun)
			fprintf(out, "\n%s:\n", group_title(scope));
		begun = true;
		print_option(row, out);
	}
}

static void
print_all(FILE *out)
{
	fputs("usage: seawall COMMAND [OPTION]...\n\n"
	      "Archives PostgreSQL's WAL, takes base backups and restores them to a moment.\n\nCommands:\n", out);
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		if (sw_command_at(i)->verb != NULL)
			fprintf(out, "  %-14s %s\n", sw_command_at(i)->verb, sw_command_at(i)->purpose);
	fputs("\nPrograms that PostgreSQL runs:\n", out);
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		if (sw_command_at(i)->verb == NULL)
			fprintf(out, "  %-14s %s\n", sw_command_at(i)->title, sw_command_at(i)->purpose);
	fputs("\nseawall COMMAND --help tells the options of a command, seawall --version the version.\n"
	      "Configuration: " SW_CONFIG_FILE ", see seawall.conf(5).\n", out);
}

void
sw_config_help(enum sw_command command, FILE *out)
{
	const struct sw_command_row *row;

	if (command == 0) {
		print_all(out);
		return;
	}
	row = sw_command_row(command);
	fprintf(out, "usage: %s [OPTION]...%s%s\n", row->title, row->synopsis[0] != '\0' ? " " : "", row->synopsis);
	if (row->also != NULL)
		fprintf(out, "       %s\n", row->also);
	fprintf(out, "\n%s: %s.\n", row->title, row->purpose);
	print_options(command, SW_SCOPE_PROGRAM, out);
	print_options(command, SW_SCOPE_CLUSTER, out);
	print_options(command, SW_SCOPE_REPO, out);
	fputs("\nExit status:\n", out);
	for (const struct sw_command_text *s = row->status; s != NULL && s->term != NULL; s++) {
		fprintf(out, "  %-4s ", s->term);
		print_wrapped(s->text, 7, 7, out);
	}
	fprintf(out, "\nAll options can be set in " SW_CONFIG_FILE " as well, unless they belong to one run:\n"
		     "see %s(1) and seawall.conf(5).\n", row->page);
}
