#include "config/config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "base/log.h"
#include "config/parse.h"
#include "config/table.h"

#define MOST 8
#define SECRET "top/SECRET+value"

static char path[] = "/tmp/t_config.XXXXXX";
static char warning[512];

static void
note_warning(enum sw_log_level level, const char *text)
{
	if (level == SW_LOG_WARNING)
		snprintf(warning, sizeof(warning), "%s", text);
}

static void
write_file(const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || fchmod(fd, mode) != 0 || write(fd, text, len) != (ssize_t)len || close(fd) != 0)
		abort();
}

static void
set_environment(const char *const env[MOST])
{
	clearenv();
	setenv("SEAWALL_CONFIG", path, 1);
	for (size_t i = 0; i < MOST && env[i] != NULL; i++)
		if (putenv((char *)env[i]) != 0)
			abort();
}

struct input {
	enum sw_command command;
	const char *file;
	const char *env[MOST];
	const char *args[MOST];
};

static sw_rc
load(const struct input *input, struct sw_config **ret_config, struct sw_error *err)
{
	int argc = 0;

	while (argc < MOST && input->args[argc] != NULL)
		argc++;
	if (input->file != NULL)
		write_file(input->file, strlen(input->file), 0600);
	set_environment(input->env);
	return sw_config_load(input->command, argc, (char *const *)input->args, ret_config, err);
}

/* ---- what is refused ------------------------------------------------------ */

static const struct refusal {
	const char *name;
	struct input input;
	const char *text; /* in the error; FILE stands for the file's path */
	const char *hint;
} refusals[] = {
	{"misspelt option", {SW_CMD_BACKUP, "", {NULL}, {"--wrokers=3"}}, "unknown option --wrokers", "did you mean --workers?"},
	{"misspelt secret keeps its value", {SW_CMD_BACKUP, "", {NULL}, {"--s3-secret-kye=" SECRET}},
		"unknown option --s3-secret-kye", "--s3-secret-key"},
	{"nothing is near", {SW_CMD_BACKUP, "", {NULL}, {"--zzzzzzzz"}}, "unknown option --zzzzzzzz", "seawall backup --help"},
	{"single dash", {SW_CMD_BACKUP, "", {NULL}, {"-w"}}, "unknown option -w", "in full"},
	{"option of another command", {SW_CMD_RESTORE, "", {NULL}, {"--fast"}}, "seawall restore does not take --fast",
		"seawall backup"},
	{"option of several other commands", {SW_CMD_PUSH, "", {NULL}, {"--pg-host=x"}}, "seawall-push does not take --pg-host",
		"seawall backup, seawall targets and seawall status"},
	{"secret on the command line", {SW_CMD_PUSH, "", {NULL}, {"--s3-secret-key", SECRET}},
		"--s3-secret-key is not taken on the command line", "SEAWALL_S3_SECRET_KEY"},
	{"no value", {SW_CMD_BACKUP, "", {NULL}, {"--workers"}}, "--workers needs a value", ""},
	{"an option for a value", {SW_CMD_BACKUP, "", {NULL}, {"--label", "--json"}}, "--label needs a value", "--label=LABEL"},
	{"empty value", {SW_CMD_BACKUP, "", {NULL}, {"--label="}}, "--label: the value is empty", ""},
	{"given twice", {SW_CMD_BACKUP, "", {NULL}, {"--workers=2", "--workers=3"}}, "--workers is given twice", ""},
	{"bool with a strange value", {SW_CMD_BACKUP, "", {NULL}, {"--json=maybe"}}, "--json: \"maybe\" is neither on nor off", ""},
	{"no- before what is not bool", {SW_CMD_BACKUP, "", {NULL}, {"--no-workers"}}, "unknown option --no-workers", ""},
	{"int too large", {SW_CMD_BACKUP, "", {NULL}, {"--workers=65"}}, "--workers: 65 is not between 1 and 64", ""},
	{"int with a unit", {SW_CMD_BACKUP, "", {NULL}, {"--workers=4k"}}, "not a whole number", ""},
	{"misspelt word", {SW_CMD_BACKUP, "", {NULL}, {"--log-level=inof"}}, "is not one of error|warning", "info"},
	{"--config that is not there", {SW_CMD_BACKUP, "", {NULL}, {"--config=/nowhere/x.conf"}}, "/nowhere/x.conf", ""},
	{"--config that is a directory", {SW_CMD_BACKUP, "", {NULL}, {"--config=/"}}, "configuration file", ""},
	{"misspelt variable", {SW_CMD_PUSH, "", {"SEAWALL_S3_REGON=x"}, {NULL}}, "unknown environment variable SEAWALL_S3_REGON",
		"did you mean SEAWALL_S3_REGION?"},
	{"misspelt variable keeps its value", {SW_CMD_PUSH, "", {"SEAWALL_S3_SECRET_KEYS=" SECRET}, {NULL}},
		"SEAWALL_S3_SECRET_KEYS", "SEAWALL_S3_SECRET_KEY?"},
	{"lower-case variable", {SW_CMD_PUSH, "", {"SEAWALL_workers=2"}, {NULL}}, "unknown environment variable",
		"SEAWALL_WORKERS"},
	{"variable of a run's option", {SW_CMD_BACKUP, "", {"SEAWALL_JSON=on"}, {NULL}}, "SEAWALL_JSON", "--json"},
	{"bad variable", {SW_CMD_BACKUP, "", {"SEAWALL_WORKERS=many"}, {NULL}}, "SEAWALL_WORKERS: \"many\" is not a number", ""},
	{"empty variable", {SW_CMD_BACKUP, "", {"SEAWALL_WORKERS="}, {NULL}}, "SEAWALL_WORKERS: the value is empty", ""},
	{"relative path in the environment", {SW_CMD_PUSH, "", {"SEAWALL_PGDATA=data"}, {NULL}}, "not an absolute path", ""},
	{"misspelt key", {SW_CMD_PUSH, "[seawall]\n\nworker = 2\n", {NULL}, {NULL}}, "FILE:3: unknown option worker",
		"did you mean workers?"},
	{"key as the environment has it", {SW_CMD_PUSH, "[seawall]\nLOG_LEVEL = info\n", {NULL}, {NULL}}, "FILE:2: unknown option",
		"did you mean log-level?"},
	{"key in the wrong section", {SW_CMD_PUSH, "[seawall]\nrepo-url = file:///x\n", {NULL}, {NULL}},
		"FILE:2: repo-url does not belong", "[repo NAME]"},
	{"key of a run", {SW_CMD_PUSH, "[seawall]\njson = on\n", {NULL}, {NULL}}, "FILE:2: json is not an option", "--json"},
	{"config in the file", {SW_CMD_PUSH, "[seawall]\nconfig = /x\n", {NULL}, {NULL}}, "FILE:2: config is not an option", ""},
	{"key before a section", {SW_CMD_PUSH, "workers = 2\n", {NULL}, {NULL}}, "FILE:1: this line stands before", "[seawall]"},
	{"key twice", {SW_CMD_PUSH, "[seawall]\nworkers = 2\n#\nworkers = 3\n", {NULL}, {NULL}},
		"FILE:4: workers is set already on line 2", ""},
	{"section twice", {SW_CMD_PUSH, "[repo a]\n[repo  a ]\n", {NULL}, {NULL}}, "FILE:2: section [repo  a] is there already, on line 1", ""},
	{"misspelt section", {SW_CMD_PUSH, "[reop main]\n", {NULL}, {NULL}}, "FILE:1: unknown section [reop main]", "[repo NAME]"},
	{"section without a name", {SW_CMD_PUSH, "[repo]\n", {NULL}, {NULL}}, "FILE:1: section [repo] needs a name", "[repo main]"},
	{"section with a bad name", {SW_CMD_PUSH, "[cluster ../x]\n", {NULL}, {NULL}}, "FILE:1: section [cluster] needs a name", ""},
	{"seawall with a name", {SW_CMD_PUSH, "[seawall main]\n", {NULL}, {NULL}}, "FILE:1: section [seawall] has no name", ""},
	{"section without an end", {SW_CMD_PUSH, "[seawall\n", {NULL}, {NULL}}, "FILE:1: a section's line", ""},
	{"secret without =", {SW_CMD_PUSH, "[repo a]\ns3-secret-key " SECRET "=\n", {NULL}, {NULL}}, "FILE:2: this line is neither", ""},
	{"secret alone", {SW_CMD_PUSH, "[repo a]\n" SECRET "==\n", {NULL}, {NULL}}, "FILE:2: unknown option", ""},
	{"secret with a control character", {SW_CMD_PUSH, "[repo a]\ns3-secret-key = " SECRET "\x01\n", {NULL}, {NULL}},
		"FILE:2: s3-secret-key: the value holds a control character", ""},
	{"not UTF-8", {SW_CMD_PUSH, "[repo a]\ns3-region = \xff\n", {NULL}, {NULL}}, "FILE:2: s3-region: the value is not UTF-8", ""},
	{"quotes", {SW_CMD_PUSH, "[repo a]\ns3-region = 'x'\n", {NULL}, {NULL}}, "FILE:2: s3-region: the value is in quotes", ""},
	{"comment behind a value", {SW_CMD_PUSH, "[repo a]\ns3-region = x # y\n", {NULL}, {NULL}}, "FILE:2: s3-region: the comment", ""},
	{"empty value in the file", {SW_CMD_PUSH, "[repo a]\ns3-region =\n", {NULL}, {NULL}}, "FILE:2: s3-region: the value is empty", ""},
	{"bad value in a section not chosen", {SW_CMD_PUSH, "[cluster a]\n[cluster b]\npg-port = 0\n", {NULL}, {"--cluster=a"}},
		"FILE:3: pg-port: 0 is not between 1 and 65535", ""},
	{"an item is empty", {SW_CMD_PUSH, "[repo a]\n[cluster c]\nrepo = a,,b\n", {NULL}, {NULL}}, "FILE:3: repo: the value is empty", ""},
	{"several clusters", {SW_CMD_PUSH, "[cluster a]\n[cluster b]\n", {NULL}, {NULL}}, "several clusters", "--cluster"},
	{"misspelt cluster", {SW_CMD_PUSH, "[cluster orders]\n", {NULL}, {"--cluster=order"}},
		"--cluster: FILE has no section [cluster order]", "did you mean orders?"},
	{"bad cluster name", {SW_CMD_PUSH, "", {"SEAWALL_CLUSTER=a/b"}, {NULL}}, "SEAWALL_CLUSTER: \"a/b\" is not a name", ""},
	{"misspelt repository", {SW_CMD_PUSH, "[repo cloud]\n[cluster c]\nrepo = clod\n", {NULL}, {NULL}},
		"FILE:3: repo: FILE has no section [repo clod]", "did you mean cloud?"},
	{"repository twice", {SW_CMD_PUSH, "[repo a]\nrepo-url = file:///x\n", {NULL}, {"--repo=a", "--repo=a"}}, "--repo: a is named twice", ""},
	{"repository without URL", {SW_CMD_PUSH, "\n[repo a]\n", {NULL}, {NULL}}, "FILE:2: repository a has no repo-url", ""},
	{"one URL for two repositories", {SW_CMD_PUSH, "[repo a]\n[repo b]\n", {"SEAWALL_REPO_URL=file:///x"}, {NULL}},
		"SEAWALL_REPO_URL: one URL for 2 repositories", "--repo"},
};

/* `want` within `text`, where FILE in `want` stands for the path. */
static bool
contains(const char *text, const char *want)
{
	char expected[512] = "";
	const char *rest = want;

	for (const char *at; (at = strstr(rest, "FILE")) != NULL; rest = at + 4) {
		size_t len = strlen(expected);

		snprintf(expected + len, sizeof(expected) - len, "%.*s%s", (int)(at - rest), rest, path);
	}
	strncat(expected, rest, sizeof(expected) - strlen(expected) - 1);
	return strstr(text, expected) != NULL;
}

static void
test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct sw_error err = SW_ERROR_INIT;
		struct sw_config *config = NULL;
		sw_rc rc = load(&r->input, &config, &err);

		if (!tap_ok(rc == SW_CONFIG && config == NULL && contains(err.text, r->text) && contains(err.hint, r->hint),
			    "refused: %s", r->name))
			tap_note("%d: %s; %s", rc, err.text, err.hint);
		if (strstr(err.text, "SECRET+") != NULL || strstr(err.hint, "SECRET+") != NULL)
			tap_ok(false, "%s prints the secret", r->name);
		sw_config_free(config);
	}
}

/* ---- what is taken -------------------------------------------------------- */

/* The line of `name` in sw_config_print, in the section of `section`, blanks squeezed. */
static void
printed(const struct sw_config *config, const char *section, const char *name, char buf[512])
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct sw_error err;
	char *save = NULL, *fill = buf;
	bool inside = false;

	buf[0] = '\0';
	if (out == NULL || sw_config_print(config, out, false, &err) != SW_OK || fclose(out) != 0)
		abort();
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '[')
			inside = strcmp(line, section) == 0;
		if (!inside || strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ' ')
			continue;
		for (const char *p = line; *p != '\0' && fill < buf + 510; p++)
			if (*p != ' ' || p[1] != ' ')
				*fill++ = *p;
		*fill = '\0';
	}
	free(text);
}

static const struct taken {
	const char *name;
	struct input input;
	const char *section;
	const char *option;
	const char *line; /* FILE stands for the path */
} taken[] = {
	{"the default", {SW_CMD_BACKUP, "", {NULL}, {NULL}}, "[seawall]", "workers", "workers 2 default"},
	{"nothing", {SW_CMD_BACKUP, "", {NULL}, {NULL}}, "[cluster main]", "pg-port", "pg-port - default"},
	{"the file", {SW_CMD_BACKUP, "[seawall]\r\n ;x\n\tworkers=3 \r\n", {NULL}, {NULL}}, "[seawall]", "workers", "workers 3 FILE:3"},
	{"the file with a byte-order mark", {SW_CMD_BACKUP, "\xef\xbb\xbf[seawall]\nworkers=3", {NULL}, {NULL}}, "[seawall]", "workers",
		"workers 3 FILE:2"},
	{"environment over file", {SW_CMD_BACKUP, "[seawall]\nworkers=3\n", {"SEAWALL_WORKERS=4"}, {NULL}}, "[seawall]", "workers",
		"workers 4 environment"},
	{"command line over environment", {SW_CMD_BACKUP, "[seawall]\nworkers=3\n", {"SEAWALL_WORKERS=4"}, {"--workers", "5"}}, "[seawall]",
		"workers", "workers 5 command line"},
	{"a secret", {SW_CMD_CONFIG, "[repo a]\ns3-secret-key = 'x' # ;\n", {NULL}, {NULL}}, "[repo a]", "s3-secret-key",
		"s3-secret-key (hidden) FILE:2"},
	{"a secret of the environment", {SW_CMD_CONFIG, "[repo a]\n", {"SEAWALL_S3_SESSION_TOKEN=" SECRET}, {NULL}}, "[repo a]",
		"s3-session-token", "s3-session-token (hidden) environment"},
	{"--no-name", {SW_CMD_BACKUP, "", {NULL}, {"--no-fast"}}, "[seawall]", "fast", "fast off command line"},
	{"--name=off", {SW_CMD_BACKUP, "", {NULL}, {"--fast=0"}}, "[seawall]", "fast", "fast off command line"},
	{"a list, replaced", {SW_CMD_CONFIG, "[repo a]\n[repo b]\n[cluster c]\nrepo = b , a\n", {NULL}, {"--repo=a"}}, "[cluster c]", "repo",
		"repo a command line"},
	{"a list of the file", {SW_CMD_CONFIG, "[repo a]\n[repo b]\n[cluster c]\nrepo = b , a\n", {NULL}, {NULL}}, "[cluster c]", "repo",
		"repo b, a FILE:4"},
	{"environment for every repository", {SW_CMD_CONFIG, "[repo a]\ns3-region = x\n[repo b]\n", {"SEAWALL_S3_REGION=y"}, {NULL}}, "[repo b]",
		"s3-region", "s3-region y environment"},
	{"the other repository's own", {SW_CMD_CONFIG, "[repo a]\ns3-region = x\n[repo b]\n", {NULL}, {NULL}}, "[repo b]", "s3-region",
		"s3-region - default"},
	{"the cluster main of several", {SW_CMD_PUSH, "[cluster a]\n[cluster main]\npg-port = 1\n", {NULL}, {NULL}}, "[cluster main]", "pg-port",
		"pg-port 1 FILE:3"},
	{"the cluster that the file names", {SW_CMD_PUSH, "[seawall]\ncluster=b\n[cluster a]\n[cluster b]\npg-port = 1\n", {NULL}, {NULL}},
		"[cluster b]", "pg-port", "pg-port 1 FILE:5"},
	{"a cluster without a section", {SW_CMD_PUSH, "[repo a]\nrepo-url = s3://x\n", {NULL}, {"--cluster=new-1"}}, "[seawall]", "cluster",
		"cluster new-1 command line"},
	{"a repository without a section", {SW_CMD_PUSH, "", {"SEAWALL_REPO_URL=file:///x"}, {NULL}}, "[repo main]", "repo-url",
		"repo-url file:///x environment"},
	{"a named repository without a section", {SW_CMD_PUSH, "[repo a]\n", {NULL}, {"--repo=b", "--repo-url=file:///x"}}, "[repo b]",
		"repo-url", "repo-url file:///x command line"},
	{"tests' variables", {SW_CMD_PUSH, "", {"SEAWALL_TEST_ANYTHING=", "SEAWALLED=x"}, {NULL}}, "[seawall]", "fast", "fast on default"},
	{"a configured directory", {SW_CMD_BACKUP, "[cluster c]\npgdata = /srv/pg//\n", {NULL}, {NULL}}, "[cluster c]", "pgdata",
		"pgdata /srv/pg FILE:2"},
	{"no configured directory for restore", {SW_CMD_RESTORE, "[cluster c]\npgdata = /srv/pg\n", {"SEAWALL_PGDATA=/srv"}, {NULL}},
		"[cluster c]", "pgdata", "pgdata - default"},
	{"the directory named for restore", {SW_CMD_RESTORE, "[cluster c]\npgdata = /srv/pg\n", {NULL}, {"--pgdata=/srv/new/"}}, "[cluster c]",
		"pgdata", "pgdata /srv/new command line"},
};

static void
test_taken(void)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_config *config = NULL;
		char line[512] = "";

		if (load(&taken[i].input, &config, &err) == SW_OK)
			printed(config, taken[i].section, taken[i].option, line);
		if (!tap_ok(contains(line, taken[i].line), "taken: %s", taken[i].name))
			tap_note("%s; %s; line: %s", err.text, err.hint, line);
		sw_config_free(config);
	}
}

/* ---- values --------------------------------------------------------------- */

static const struct value_case {
	enum sw_option option;
	const char *text;
	int64_t number; /* -1: refused */
} value_cases[] = {
	{SW_OPT_MEMORY_MAX, "1048576", 1 << 20},
	{SW_OPT_MEMORY_MAX, "1024kB", 1 << 20},
	{SW_OPT_MEMORY_MAX, "3 MB", 3 << 20},
	{SW_OPT_MEMORY_MAX, "1GB", 1 << 30},
	{SW_OPT_MEMORY_MAX, "1025MB", -1},
	{SW_OPT_MEMORY_MAX, "1mb", -1},
	{SW_OPT_MEMORY_MAX, "1.5GB", -1},
	{SW_OPT_MEMORY_MAX, "9000000TB", -1},
	{SW_OPT_MEMORY_MAX, "99999999999999999999", -1},
	{SW_OPT_MEMORY_MAX, "-1MB", -1},
	{SW_OPT_STORE_DEADLINE, "0", 0},
	{SW_OPT_STORE_DEADLINE, "90", 90000},
	{SW_OPT_STORE_DEADLINE, "90s", 90000},
	{SW_OPT_STORE_DEADLINE, "1500ms", 1500},
	{SW_OPT_STORE_DEADLINE, "5 min", 300000},
	{SW_OPT_STORE_DEADLINE, "24h", 86400000},
	{SW_OPT_STORE_DEADLINE, "1d", 86400000},
	{SW_OPT_STORE_DEADLINE, "25h", -1},
	{SW_OPT_STORE_DEADLINE, "5m", -1},
	{SW_OPT_STORE_DEADLINE, "-5", -1},
	{SW_OPT_STORE_DEADLINE, "s", -1},
	{SW_OPT_STORE_CONNECT_TIMEOUT, "99ms", -1},
	{SW_OPT_STORE_CONNECT_TIMEOUT, "100ms", 100},
	{SW_OPT_WORKERS, "1", 1},
	{SW_OPT_WORKERS, "64", 64},
	{SW_OPT_WORKERS, "0", -1},
	{SW_OPT_WORKERS, "+4", -1},
	{SW_OPT_WORKERS, " 4", -1},
	{SW_OPT_WORKERS, "4.0", -1},
	{SW_OPT_WORKERS, "0x4", -1},
	{SW_OPT_FAST, "on", 1},
	{SW_OPT_FAST, "Yes", 1},
	{SW_OPT_FAST, "TRUE", 1},
	{SW_OPT_FAST, "1", 1},
	{SW_OPT_FAST, "off", 0},
	{SW_OPT_FAST, "no", 0},
	{SW_OPT_FAST, "false", 0},
	{SW_OPT_FAST, "0", 0},
	{SW_OPT_FAST, "2", -1},
	{SW_OPT_LOG_LEVEL, "error", 0},
	{SW_OPT_LOG_LEVEL, "debug", 3},
	{SW_OPT_LOG_LEVEL, "Debug", -1},
	{SW_OPT_PGDATA, "/srv", 0},
	{SW_OPT_PGDATA, "srv", -1},
	{SW_OPT_S3_REGION, "eu", 0},
	{SW_OPT_S3_REGION, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 0},
	{SW_OPT_S3_REGION, "\xc0\xaf", -1},
	{SW_OPT_S3_REGION, "\xed\xa0\x80", -1},
	{SW_OPT_S3_REGION, "\xe0\x80\x80", -1},
	{SW_OPT_S3_REGION, "\xe2\x82", -1},
	{SW_OPT_S3_REGION, "a\tb", -1},
};

static void
test_values(void)
{
	for (size_t i = 0; i < sizeof(value_cases) / sizeof(value_cases[0]); i++) {
		const struct value_case *c = &value_cases[i];
		struct sw_value value = {0};
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = sw_parse_value(sw_table_row(c->option), c->text, &value, &err);

		if (!tap_ok(c->number < 0 ? rc == SW_CONFIG : rc == SW_OK && value.number == c->number, "%s: value %s %s",
			    sw_table_row(c->option)->name, c->text, c->number < 0 ? "refused" : "read"))
			tap_note("%lld %s", (long long)value.number, err.text);
		sw_parse_release(&value);
	}
}

static void
test_overflow(void)
{
	static const struct sw_option_row unlimited = {.name = "unlimited", .type = SW_TYPE_SIZE};
	static const struct {
		const char *text;
		int64_t number; /* -1: refused */
	} cases[] = {
		{"9223372036854775807", INT64_MAX},
		{"9223372036854775808", -1},
		{"8388607TB", INT64_C(8388607) << 40},
		{"8388608TB", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_value value = {0};
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = sw_parse_value(&unlimited, cases[i].text, &value, &err);

		tap_ok(cases[i].number < 0 ? rc == SW_CONFIG : rc == SW_OK && value.number == cases[i].number,
			"without limits: %s", cases[i].text);
		sw_parse_release(&value);
	}
}

static void
test_nearest(void)
{
	static const struct {
		const char *name, *candidate;
		int distance; /* -1: too far */
	} cases[] = {
		{"label", "label", 0}, {"lbael", "label", 1}, {"labe", "label", 1}, {"labell", "label", 1}, {"lable", "label", 1},
		{"xabxl", "label", 2}, {"xxxel", "label", -1}, {"a", "b", -1}, {"", "b", -1}, {"fats", "fast", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_nearest nearest = {.name = cases[i].name, .len = strlen(cases[i].name)};

		sw_table_offer(&nearest, cases[i].candidate);
		tap_is_int(nearest.best != NULL ? (int)nearest.distance : -1, cases[i].distance, "from \"%s\" to %s",
			cases[i].name, cases[i].candidate);
	}
}

static void
test_limits(void)
{
	struct input input = {.command = SW_CMD_CONFIG};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	size_t most = (size_t)1 << 20;
	char *text = malloc(most + 2);

	memset(text, '#', most + 1);
	write_file(text, most, 0600);
	tap_is_int(load(&input, &config, &err), SW_OK, "a file of 1 MiB is read");
	sw_config_free(config);
	write_file(text, most + 1, 0600);
	tap_is_int(load(&input, &config, &err), SW_CONFIG, "a longer file is refused");
	memset(text, 'x', SW_PARSE_VALUE_MAX + 20);
	memcpy(text, "[repo a]\ns3-session-token=", 26);
	write_file(text, 26 + SW_PARSE_VALUE_MAX, 0600);
	tap_is_int(load(&input, &config, &err), SW_OK, "a long token is taken whole");
	tap_is_int((long long)strlen(sw_config_repo_string(config, 0, SW_OPT_S3_SESSION_TOKEN)), SW_PARSE_VALUE_MAX, "all of it");
	sw_config_free(config);
	write_file(text, 26 + SW_PARSE_VALUE_MAX + 1, 0600);
	tap_is_int(load(&input, &config, &err), SW_CONFIG, "a longer value is refused");
	write_file("[seawall]\n\0workers=2\n", 21, 0600);
	tap_is_int(load(&input, &config, &err), SW_CONFIG, "a zero byte is refused");
	tap_ok(contains(err.text, "zero byte"), "and called so");
	free(text);
}

/* ---- the rest ------------------------------------------------------------- */

static void
test_arguments(void)
{
	struct input input = {SW_CMD_RESTORE, "[repo a]\nrepo-url = s3://b\n", {NULL},
		{"one", "--tablespace-map=a,b=c", "-", "--tablespace-map", "d=e", "--", "--json", "-x"}};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	const char *const *items = NULL;

	tap_is_int(load(&input, &config, &err), SW_OK, "options and arguments in any order");
	tap_is_int((long long)sw_config_arg_count(config), 4, "four arguments");
	tap_is(sw_config_arg(config, 0), "one", "before the options");
	tap_is(sw_config_arg(config, 1), "-", "a single dash");
	tap_is(sw_config_arg(config, 2), "--json", "behind --");
	tap_is(sw_config_arg(config, 3), "-x", "the last");
	tap_is(sw_config_arg(config, 4), NULL, "no more");
	tap_ok(!sw_config_bool(config, SW_OPT_JSON), "--json behind -- is no option");
	tap_is_int((long long)sw_config_list(config, SW_OPT_TABLESPACE_MAP, &items), 2, "a repeated option adds");
	tap_is(items[0], "a,b=c", "and commas belong to its value");
	tap_is(items[1], "d=e", "in order");
	tap_ok(sw_config_is_set(config, SW_OPT_TABLESPACE_MAP), "which counts as set");
	tap_ok(!sw_config_is_set(config, SW_OPT_WORKERS), "a default does not");
	tap_ok(sw_config_repo_is_set(config, 0, SW_OPT_REPO_URL), "the repository's neither way");
	tap_ok(!sw_config_repo_is_set(config, 0, SW_OPT_STORE_DEADLINE), "a default of it does not");
	tap_is_int(sw_config_repo_ms(config, 0, SW_OPT_STORE_DEADLINE), 120000, "but is there");
	tap_is_int(sw_config_int(config, SW_OPT_PG_PORT), 0, "a number without default is 0");
	sw_config_free(config);
}

static void
test_relative_path(void)
{
	struct input input = {SW_CMD_BACKUP, "", {NULL}, {"--pgdata=some/where"}};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	char want[PATH_MAX + 16], cwd[PATH_MAX];

	snprintf(want, sizeof(want), "%s/some/where", getcwd(cwd, sizeof(cwd)));
	tap_is_int(load(&input, &config, &err), SW_OK, "a relative path on the command line");
	tap_is(sw_config_string(config, SW_OPT_PGDATA), want, "becomes absolute");
	sw_config_free(config);
}

static void
test_help_needs_nothing(void)
{
	struct input input = {SW_CMD_PUSH, "[rubbish\n", {"SEAWALL_RUBBISH=1"}, {"--help"}};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;

	tap_is_int(load(&input, &config, &err), SW_OK, "--help works with a broken file and environment");
	tap_ok(config != NULL && sw_config_bool(config, SW_OPT_HELP), "and is recorded");
	sw_config_free(config);
}

static void
test_readers(void)
{
	static const struct {
		const char *text;
		mode_t mode;
		bool warns;
	} cases[] = {
		{"[repo a]\ns3-secret-key = x\n", 0600, false},
		{"[repo a]\ns3-secret-key = x\n", 0604, true},
		{"[repo a]\ns3-secret-key = x\n", 0644, true},
		{"[repo a]\ns3-access-key = x\n", 0644, false},
		{"[seawall]\n", 0644, false},
	};
	struct input input = {.command = SW_CMD_CONFIG};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_config *config = NULL;

		write_file(cases[i].text, strlen(cases[i].text), cases[i].mode);
		warning[0] = '\0';
		load(&input, &config, &err);
		tap_is_int(strstr(warning, "can be read by") != NULL, cases[i].warns, "mode %04o of a file with%s secrets: %s",
			(unsigned)cases[i].mode, i < 3 ? "" : "out", cases[i].warns ? "a warning" : "silence");
		sw_config_free(config);
	}
}

static void
test_verbs(void)
{
	enum sw_command command = SW_CMD_PUSH;
	struct sw_error err = SW_ERROR_INIT;

	tap_ok(sw_config_verb("restore", &command, &err) == SW_OK && command == SW_CMD_RESTORE, "a verb");
	tap_is_int(sw_config_verb("bakcup", &command, &err), SW_CONFIG, "a misspelt verb");
	tap_is(err.hint, "did you mean seawall backup?", "and the right one");
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) != 0)
		abort();
	sw_log_init(SW_LOG_INFO, note_warning);
	test_refusals();
	test_taken();
	test_values();
	test_overflow();
	test_nearest();
	test_limits();
	test_arguments();
	test_relative_path();
	test_help_needs_nothing();
	test_readers();
	test_verbs();
	unlink(path);
	return tap_done();
}
