/*
 * The sample configuration file: every option, commented out, with its default or an example.
 */
#include "config/config.h"

#include "config/parse.h"

static void
print_option(const struct sw_option_row *row, FILE *out)
{
	char low[SW_PARSE_NUMBER_LEN], high[SW_PARSE_NUMBER_LEN];

	fprintf(out, "\n# %s", row->brief);
	if (row->words != NULL)
		fprintf(out, ": %s", row->words);
	if (row->minimum != 0 || row->maximum != 0)
		fprintf(out, ", from %s to %s", sw_parse_format(row->type, row->minimum, low),
			sw_parse_format(row->type, row->maximum, high));
	if (row->preset == NULL)
		fputs(" (an example; not set by default)", out);
	fprintf(out, "\n#%s = %s\n", row->name, row->preset != NULL ? row->preset : row->example);
}

static void
print_section(enum sw_option_scope scope, FILE *out)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);

		if (row->scope == scope && sw_table_in_file(row))
			print_option(row, out);
	}
}

void
sw_config_sample(FILE *out)
{
	fputs("# " SW_CONFIG_FILE " - configuration of Seawall, see seawall.conf(5)\n"
	      "#\n"
	      "# Every option stands here, commented out, with its default. A comment has a line of its own.\n"
	      "# Once an option of a section is in use, the section's line must be as well.\n"
	      "# `seawall config` prints what holds in the end, and where it comes from.\n"
	      "\n[seawall]\n", out);
	print_section(SW_SCOPE_PROGRAM, out);
	fputs("\n# A PostgreSQL cluster. There may be several; --cluster chooses one.\n[cluster main]\n", out);
	print_section(SW_SCOPE_CLUSTER, out);
	fputs("\n# A repository. There may be several: WAL goes into each, a backup into the first (or --repo).\n#[repo main]\n", out);
	print_section(SW_SCOPE_REPO, out);
}
