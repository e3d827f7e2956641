#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/utf8.h"

static const char *program_name = "seawall";

static void
print_log(enum sw_log_level level, const char *text)
{
	static const char *const words[] = {"error: ", "warning: ", "", "debug: "};

	fprintf(stderr, "%s: %s%s\n", program_name, words[level], text);
}

void
sw_cli_start(const char *program)
{
	struct rlimit no_core = {0, 0};

	program_name = program;
	setrlimit(RLIMIT_CORE, &no_core);
	umask(0077);
	sw_interrupt_catch();
	sw_log_init(SW_LOG_INFO, print_log);
}

void
sw_cli_set_log_level(const struct sw_config *config)
{
	sw_log_init((enum sw_log_level)sw_config_enum(config, SW_OPT_LOG_LEVEL), print_log);
}

void
sw_cli_report(const struct sw_error *err)
{
	fprintf(stderr, "%s: error: %s%s%s\n", program_name, err->text,
		err->hint[0] != '\0' ? "; " : "", err->hint);
}

/* The length of the control that the text begins with; 0: none. */
static size_t
control_len(const char *text, bool utf8)
{
	unsigned char a = (unsigned char)text[0], b = a == '\0' ? 0 : (unsigned char)text[1];

	if (utf8 && a == 0xc2 && b < 0xa0)
		return 2;
	return a < 0x20 || a == 0x7f || (a >= 0x80 && !utf8);
}

void
sw_cli_clean(char *text)
{
	bool utf8 = sw_utf8_ok(text);

	for (char *p = text; *p != '\0'; p++)
		for (size_t len = control_len(p, utf8); len > 0; len--)
			p[len - 1] = '?';
}

void
sw_cli_print_clean(const char *text)
{
	bool utf8 = sw_utf8_ok(text);

	for (const char *p = text; *p != '\0'; p++) {
		size_t len = control_len(p, utf8);

		putchar(len > 0 ? '?' : *p);
		if (len > 1)
			p++;
	}
}

bool
sw_cli_informed(const struct sw_config *config, enum sw_command command)
{
	if (sw_config_bool(config, SW_OPT_HELP))
		sw_config_help(command, stdout);
	else if (sw_config_bool(config, SW_OPT_VERSION))
		printf("%s (Seawall) %s\n", program_name, PACKAGE_VERSION);
	else
		return false;
	return true;
}

sw_rc
sw_cli_exec_seawall(const char *verb, int argc, char *const *argv, struct sw_error *err)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char **args = calloc((size_t)argc + 3, sizeof(*args));
	char *slash;

	if (len <= 0 || args == NULL) {
		free(args);
		return sw_fail(err, SW_SYSTEM, "cannot find the directory of %s", program_name);
	}
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, "seawall");
	args[0] = path;
	args[1] = (char *)verb;
	for (int i = 0; i < argc; i++)
		args[i + 2] = argv[i];
	execv(path, args);
	free(args);
	return sw_fail_errno(err, "running %s", path);
}

sw_rc
sw_cli_exec_helper(const char *name, char *const *argv, struct sw_error *err)
{
	static const char *const places[] = {"/../libexec/seawall/", "/libexec/"};
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	size_t dir;

	if (len <= 0)
		return sw_fail(err, SW_SYSTEM, "cannot find the directory of %s", program_name);
	path[len] = '\0';
	dir = (size_t)(strrchr(path, '/') - path);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path + dir, sizeof(path) - dir, "%s%s", places[i], name);
		execv(path, argv);
		if (errno != ENOENT && errno != ENOTDIR)
			return sw_fail_errno(err, "running %s", path);
	}
	path[dir] = '\0';
	sw_fail(err, SW_SYSTEM, "its helper %s is neither in %s/../libexec/seawall nor in %s/libexec", name, path, path);
	return sw_hint(err, "install all of Seawall's programs, with one prefix");
}
