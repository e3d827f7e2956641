/*
 * The manual pages, in mdoc(7).
 */
#include "config/config.h"

#include <ctype.h>
#include <string.h>

#include "config/command.h"
#include "config/parse.h"

#define PAGE_DATE "November 20, 2026"
#define LINE_MAX_LEN 76

/* ---- words ---------------------------------------------------------------- */

/* One character as roff wants it, so that it is printed and can be pasted. */
static size_t
put_char(char c, FILE *out)
{
	switch (c) {
	case '\\':
		return (size_t)fprintf(out, "\\e");
	case '-':
		return (size_t)fprintf(out, "\\-");
	case '\'':
		return (size_t)fprintf(out, "\\(aq");
	case '~':
		return (size_t)fprintf(out, "\\(ti");
	case '^':
		return (size_t)fprintf(out, "\\(ha");
	default:
		fputc(c, out);
		return 1;
	}
}

static size_t
put_word(const char *word, size_t len, FILE *out)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += put_char(word[i], out);
	return width;
}

/* Running text: a line for each sentence, as mdoc asks, broken before it becomes long. */
static void
put_text(const char *text, FILE *out)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		bool ends = text[len - 1] == '.' || (len > 1 && text[len - 1] == ')' && text[len - 2] == '.');

		if (column > 0 && column + 1 + len > LINE_MAX_LEN) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0 && *text == '.')
			fputs("\\&", out);
		if (column > 0)
			fputc(' ', out);
		column += 1 + put_word(text, len, out);
		text += len;
		text += strspn(text, " ");
		if (ends && *text != '\0') {
			fputc('\n', out);
			column = 0;
		}
	}
	fputc('\n', out);
}

/* "Like this." from "like this". */
static void
put_sentence(const char *text, FILE *out)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "%s.", text);
	if (strncmp(sentence, "x-amz", 5) != 0 && strncmp(sentence, "zstd", 4) != 0)
		sentence[0] = (char)toupper((unsigned char)sentence[0]);
	put_text(sentence, out);
}

static void
put_literal(const char *text, FILE *out)
{
	fputs(".Bd -literal -offset indent\n", out);
	for (bool begins = true; *text != '\0'; text++) {
		if (begins && *text == '.')
			fputs("\\&", out);
		put_char(*text, out);
		begins = *text == '\n';
	}
	fputs("\n.Ed\n", out);
}

static void
put_header(const char *page, const char *section, const char *purpose, FILE *out)
{
	fputs(".Dd " PAGE_DATE "\n.Dt ", out);
	for (const char *p = page; *p != '\0'; p++)
		fputc(toupper((unsigned char)*p), out);
	fprintf(out, " %s\n.Os Seawall %s\n.Sh NAME\n.Nm %s\n.Nd %s\n", section, PACKAGE_VERSION, page, purpose);
}

/* ---- options -------------------------------------------------------------- */

static void
put_words(const struct sw_option_row *row, FILE *out)
{
	char text[256];
	size_t len = 0;

	len = (size_t)snprintf(text, sizeof(text), "One of ");
	for (const char *p = row->words; *p != '\0' && len < sizeof(text) - 8; p++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, *p != '|' ? "%c" :
			strchr(p + 1, '|') != NULL ? ", " : " or ", *p);
	snprintf(text + len, sizeof(text) - len, ".");
	put_text(text, out);
}

static void
put_limits(const struct sw_option_row *row, FILE *out)
{
	char low[SW_PARSE_NUMBER_LEN], high[SW_PARSE_NUMBER_LEN], text[128];

	if (row->words != NULL)
		put_words(row, out);
	if (row->minimum != 0 || row->maximum != 0) {
		snprintf(text, sizeof(text), "From %s to %s.", sw_parse_format(row->type, row->minimum, low),
			sw_parse_format(row->type, row->maximum, high));
		put_text(text, out);
	}
	if (row->preset != NULL && (row->type != SW_TYPE_BOOL || (row->commands & SW_CMD_ONLY) == 0)) {
		snprintf(text, sizeof(text), "Default: %s.", row->preset);
		put_text(text, out);
	}
}

static void
put_option(const struct sw_option_row *row, FILE *out)
{
	fprintf(out, ".It Fl -%s", row->name);
	if (row->value_name != NULL)
		fprintf(out, " Ns = Ns Ar \\&%s", row->value_name);
	fputc('\n', out);
	put_sentence(row->brief, out);
	if (row->more[0] != '\0')
		put_text(row->more, out);
	if (row->type == SW_TYPE_LIST)
		put_text("May be given several times.", out);
	if (row->type == SW_TYPE_BOOL && strcmp(row->preset, "on") == 0) {
		fputs("Turned off by\n", out);
		fprintf(out, ".Fl -no-%s .\n", row->name);
	}
	put_limits(row, out);
}

static void
put_options(enum sw_command command, enum sw_option_scope scope, const char *title, FILE *out)
{
	bool begun = false;

	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);

		if (row->scope != scope || (row->commands & (unsigned)command) == 0)
			continue;
		if (!begun)
			fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", title);
		begun = true;
		put_option(row, out);
	}
	if (begun)
		fputs(".El\n", out);
}

/* ---- sections that pages share -------------------------------------------- */

static void
put_variable(const char *name, const char *text, FILE *out)
{
	fprintf(out, ".It Ev %s\n", name);
	put_text(text, out);
}

static void
put_environment(unsigned commands, FILE *out)
{
	fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev SEAWALL_CONFIG\nThe configuration file, instead of\n"
	      ".Pa " SW_CONFIG_FILE " .\n.It Ev SEAWALL_ Ns Ar NAME\n", out);
	put_text("Every option of the configuration file, its name in capitals and with underscores: "
		 "SEAWALL_REPO_URL is repo-url. The environment overrides the file, and the command line "
		 "overrides the environment. A name that is no option is an error.", out);
	if ((commands & ~(unsigned)SW_CMD_CONFIG) != 0) {
		put_variable("AWS_ACCESS_KEY_ID , AWS_SECRET_ACCESS_KEY , AWS_SESSION_TOKEN",
			"Credentials for S3, where the configuration has none.", out);
		put_variable("AWS_PROFILE , AWS_SHARED_CREDENTIALS_FILE",
			"The profile and the file that holds it, where neither the configuration nor the "
			"environment has credentials.", out);
		put_variable("AWS_REGION , AWS_DEFAULT_REGION", "The region, where the configuration has none.", out);
	}
	if ((commands & sw_table_row(SW_OPT_PG_HOST)->commands) != 0)
		put_variable("PGHOST , PGPORT , PGUSER , PGPASSFILE",
			"How to connect to PostgreSQL, as for every program that uses libpq.", out);
	if ((commands & sw_table_row(SW_OPT_MEMORY_MAX)->commands) != 0)
		put_variable("TMPDIR", "Where large segments are buffered. Default: /var/tmp.", out);
	fputs(".El\n", out);
}

static void
put_files(FILE *out)
{
	fputs(".Sh FILES\n.Bl -tag -width Ds\n.It Pa " SW_CONFIG_FILE "\nThe configuration, see\n"
	      ".Xr seawall.conf 5 .\n.El\n", out);
}

static void
put_status(const struct sw_command_text *status, FILE *out)
{
	fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
	for (; status->term != NULL; status++) {
		fprintf(out, ".It %s\n", status->term);
		put_text(status->text, out);
	}
	fputs(".El\n", out);
}

static void
put_examples(const struct sw_command_text *examples, FILE *out)
{
	fputs(".Sh EXAMPLES\n", out);
	for (const struct sw_command_text *first = examples; examples->term != NULL; examples++) {
		if (examples != first)
			fputs(".Pp\n", out);
		put_text(examples->term, out);
		put_literal(examples->text, out);
	}
}

/* pages: of section 1, sorted, with blanks between them. */
static void
put_see_also(const char *pages, bool file, FILE *out)
{
	fputs(".Sh SEE ALSO\n", out);
	while (*pages != '\0') {
		size_t len = strcspn(pages, " ");
		const char *next = pages + len + strspn(pages + len, " ");

		fprintf(out, ".Xr %.*s 1%s\n", (int)len, pages, *next != '\0' || file ? " ," : "");
		pages = next;
	}
	if (file)
		fputs(".Xr seawall.conf 5\n", out);
}

/* ---- pages ---------------------------------------------------------------- */

static void
put_synopsis(const struct sw_command_row *row, FILE *out)
{
	fprintf(out, ".Sh SYNOPSIS\n.Nm %s\n.Op Ar OPTION ...\n", row->title);
	for (const char *word = row->synopsis; *word != '\0';) {
		size_t len = strcspn(word, " ");

		fprintf(out, strncmp(word, "--", 2) == 0 ? ".Fl %.*s\n" : ".Ar %.*s\n",
			(int)(strncmp(word, "--", 2) == 0 ? len - 1 : len), word + (strncmp(word, "--", 2) == 0));
		word += len;
		word += strspn(word, " ");
	}
	if (row->command == SW_CMD_PUSH || row->command == SW_CMD_BACKUP)
		fputs(".Nm seawall-push\n.Fl -base\n.Op Ar OPTION ...\n", out);
	if (row->command == SW_CMD_FETCH || row->command == SW_CMD_RESTORE)
		fputs(".Nm seawall-fetch\n.Fl -base\n.Ar BACKUP\n.Ar DIR\n", out);
}

static void
man_command(const struct sw_command_row *row, FILE *out)
{
	put_header(row->page, "1", row->purpose, out);
	put_synopsis(row, out);
	fputs(".Sh DESCRIPTION\n", out);
	for (const char *const *p = row->paragraphs; *p != NULL; p++) {
		if (p != row->paragraphs)
			fputs(".Pp\n", out);
		put_text(*p, out);
	}
	fputs(".Sh OPTIONS\n", out);
	put_text("--NAME VALUE is the same as --NAME=VALUE. Options may stand before and behind the arguments; "
		 "everything behind -- is an argument.", out);
	put_options(row->command, SW_SCOPE_PROGRAM, "General", out);
	put_options(row->command, SW_SCOPE_CLUSTER, "Cluster", out);
	put_options(row->command, SW_SCOPE_REPO, "Repository", out);
	put_environment((unsigned)row->command, out);
	put_files(out);
	put_status(row->status, out);
	put_examples(row->examples, out);
	put_see_also(row->see_also, true, out);
}

static void
put_commands(bool verbs, FILE *out)
{
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++) {
		const struct sw_command_row *row = sw_command_at(i);

		if ((row->verb != NULL) != verbs)
			continue;
		fprintf(out, ".It Xr %s 1\n", row->page);
		put_sentence(row->purpose, out);
	}
	fputs(".El\n", out);
}

static void
man_seawall(FILE *out)
{
	static const struct sw_command_text status[] = {
		{"0", "Done."},
		{"1", "Failed; the error says why and what to do."},
		{"2", "Wrong usage or configuration."},
		{"3", "The question was answered with no: the check found something, the target cannot be reached."},
		{NULL, NULL}};
	static const struct sw_command_text examples[] = {
		{"A repository in a directory, in " SW_CONFIG_FILE ":",
			"[repo main]\nrepo-url = file:///srv/seawall\n\n[cluster main]\npgdata = /var/lib/postgresql/15/main"},
		{"Then, as the PostgreSQL user:",
			"seawall init\npsql -c \"ALTER SYSTEM SET archive_mode = on\"\n"
			"psql -c \"ALTER SYSTEM SET archive_command = 'seawall-push %p'\""},
		{"After a restart of the server:", "seawall check\nseawall backup"},
		{NULL, NULL}};

	put_header("seawall", "1", "archive PostgreSQL's WAL, take base backups, restore to a moment", out);
	fputs(".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar OPTION ...\n.Nm\n.Fl -help | -version\n.Sh DESCRIPTION\n", out);
	put_text("Seawall keeps PostgreSQL's WAL and base backups in one or more repositories, directories or S3 "
		 "buckets, and restores a cluster to a moment. Every command has a page of its own, and --help.", out);
	put_commands(true, out);
	fputs(".Pp\nPostgreSQL itself runs these programs:\n", out);
	put_commands(false, out);
	put_environment(SW_CMD_ALL, out);
	put_files(out);
	put_status(status, out);
	put_examples(examples, out);
	put_see_also("seawall-backup seawall-check seawall-config seawall-fetch seawall-init seawall-list "
		     "seawall-push seawall-restore", true, out);
}

const char *
sw_config_page(size_t i, enum sw_command *ret_command)
{
	if (i > SW_COMMAND_COUNT)
		return NULL;
	*ret_command = i == 0 ? (enum sw_command)0 : sw_command_at(i - 1)->command;
	return i == 0 ? "seawall" : sw_command_at(i - 1)->page;
}

void
sw_config_man(enum sw_command command, FILE *out)
{
	if (command == 0)
		man_seawall(out);
	else
		man_command(sw_command_row(command), out);
}

/* ---- the file's page ------------------------------------------------------ */

static void
put_syntax(FILE *out)
{
	put_text("The file consists of sections, which hold lines of the form name = value. A line that begins with "
		 "# or ; is a comment. A value runs to the end of its line, without quotes and without a comment "
		 "behind it. The file may have 1 MiB and is UTF-8.", out);
	fputs(".Bl -tag -width Ds\n.It Bq seawall\nOptions of the programs.\n"
	      ".It Bq cluster Ar NAME\n", out);
	put_text("Options of a PostgreSQL cluster. Where there are several, --cluster chooses one.", out);
	fputs(".It Bq repo Ar NAME\n", out);
	put_text("Options of a repository. A cluster uses all repositories of the file, unless its option repo "
		 "names some of them.", out);
	fputs(".El\n.Pp\n", out);
	put_text("Names consist of letters, digits, _ and -. An unknown section or option, an option that is set "
		 "twice and a value that makes no sense are errors, wherever in the file they stand.", out);
	fputs(".Pp\n", out);
	put_text("Environment and command line override the file, for the chosen cluster and for every chosen "
		 "repository. seawall config prints the result.", out);
	fputs(".Pp\n", out);
	put_text("Secrets are taken from the file and from the environment, never from the command line. A file "
		 "that holds some should be readable by the PostgreSQL user alone (mode 0600), or be root's and "
		 "readable by the group of that user (0640).", out);
	fputs(".Ss Values\n.Bl -tag -width Ds\n", out);
	fputs(".It boolean\non, yes, true or 1, and off, no, false or 0.\n", out);
	fputs(".It size\nA number of bytes, or with one of B, kB, MB, GB and TB (powers of 1,024).\n", out);
	fputs(".It duration\nA number of seconds, or with one of ms, s, min, h and d.\n", out);
	fputs(".It list\nSeveral values with commas between them.\n", out);
	fputs(".It path\nAn absolute path.\n.El\n", out);
}

static const char *
type_word(enum sw_option_type type)
{
	switch (type) {
	case SW_TYPE_BOOL:
		return "boolean";
	case SW_TYPE_SIZE:
		return "size";
	case SW_TYPE_DURATION:
		return "duration";
	case SW_TYPE_LIST:
		return "list";
	case SW_TYPE_PATH:
		return "path";
	case SW_TYPE_INT:
		return "number";
	default:
		return "text";
	}
}

static void
put_file_option(const struct sw_option_row *row, FILE *out)
{
	char takers[256], text[512];

	fprintf(out, ".It Cm %s No = Ar %s\n", row->name, type_word(row->type));
	put_sentence(row->brief, out);
	if (row->more[0] != '\0')
		put_text(row->more, out);
	put_limits(row, out);
	if ((row->commands & SW_CMD_NEVER) != 0) {
		put_text("Not taken on the command line.", out);
		return;
	}
	if ((row->commands & SW_CMD_ALL) == SW_CMD_ALL)
		return;
	sw_command_takers(row, takers, sizeof(takers));
	snprintf(text, sizeof(text), "On the command line of %s.", takers);
	put_text(text, out);
}

static void
put_file_section(enum sw_option_scope scope, const char *title, FILE *out)
{
	fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", title);
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);

		if (row->scope == scope && sw_table_in_file(row))
			put_file_option(row, out);
	}
	fputs(".El\n", out);
}

void
sw_config_man_file(FILE *out)
{
	static const struct sw_command_text examples[] = {
		{"One cluster, archived into a bucket and into a directory:",
			"[repo cloud]\nrepo-url = s3://backups/orders\ns3-region = eu-central-1\n\n"
			"[repo local]\nrepo-url = file:///srv/seawall\n\n"
			"[cluster orders]\npgdata = /var/lib/postgresql/15/main"},
		{NULL, NULL}};

	put_header("seawall.conf", "5", "configuration of Seawall", out);
	fputs(".Sh DESCRIPTION\n", out);
	put_syntax(out);
	fputs(".Sh OPTIONS\n", out);
	put_file_section(SW_SCOPE_PROGRAM, "[seawall] section", out);
	put_file_section(SW_SCOPE_CLUSTER, "[cluster NAME] sections", out);
	put_file_section(SW_SCOPE_REPO, "[repo NAME] sections", out);
	put_environment(SW_CMD_ALL, out);
	fputs(".Sh FILES\n.Bl -tag -width Ds\n.It Pa " SW_CONFIG_FILE "\n", out);
	put_text("Read unless --config or SEAWALL_CONFIG name another; need not be there.", out);
	fputs(".El\n", out);
	put_examples(examples, out);
	put_see_also("seawall seawall-config", false, out);
}
