#include "config/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "config/command.h"

struct arguments {
	struct sw_config *config;
	char *const *argv;
	int argc;
	int at; /* the next one */
};

static sw_rc
unknown_option(const struct sw_config *config, const char *name, size_t len, struct sw_error *err)
{
	struct sw_nearest nearest = {.name = name, .len = len};
	const struct sw_command_row *command = sw_command_row(config->command);

	for (int anyone = 0; anyone < 2 && nearest.best == NULL; anyone++)
		for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
			const struct sw_option_row *row = sw_table_row((enum sw_option)i);

			if (anyone || (row->commands & config->command) != 0)
				sw_table_offer(&nearest, row->name);
		}
	sw_fail(err, SW_CONFIG, "unknown option --%.*s", (int)(len < 80 ? len : 80), name);
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean --%s?", nearest.best);
	return sw_hint(err, "%s --help lists the options", command->title);
}

/* May this command take the option on its command line? */
static sw_rc
check_allowed(const struct sw_config *config, const struct sw_option_row *row, struct sw_error *err)
{
	char variable[SW_TABLE_VARIABLE_LEN], takers[256];

	if ((row->commands & SW_CMD_NEVER) != 0) {
		sw_fail(err, SW_CONFIG, "--%s is not taken on the command line, where every user of this machine can read it",
			row->name);
		return sw_hint(err, "write %s in the configuration file, or set %s", row->name,
			sw_table_variable(row, variable));
	}
	if ((row->commands & config->command) != 0)
		return SW_OK;
	sw_command_takers(row, takers, sizeof(takers));
	sw_fail(err, SW_CONFIG, "%s does not take --%s", sw_command_row(config->command)->title, row->name);
	if (sw_table_in_file(row))
		return sw_hint(err, "it belongs to %s; %s in the configuration file or %s in the environment holds for all",
			takers, row->name, sw_table_variable(row, variable));
	return sw_hint(err, "it belongs to %s", takers);
}

/* The text of an option that is not BOOL: behind '=', or the next argument. */
static sw_rc
option_text(struct arguments *args, const struct sw_option_row *row, const char *equals,
	const char **ret_text, struct sw_error *err)
{
	const char *text;

	if (equals != NULL) {
		*ret_text = equals + 1;
		return SW_OK;
	}
	if (args->at >= args->argc)
		return sw_fail(err, SW_CONFIG, "--%s needs a value: --%s=%s", row->name, row->name, row->value_name);
	text = args->argv[args->at];
	if (strncmp(text, "--", 2) == 0) {
		sw_fail(err, SW_CONFIG, "--%s needs a value, but the next argument is an option", row->name);
		return sw_hint(err, "write --%s=%s", row->name, row->value_name);
	}
	args->at++;
	*ret_text = text;
	return SW_OK;
}

/* A path on the command line may be relative, as for any other program. */
static sw_rc
absolute_path(const char *text, char **ret_path, struct sw_error *err)
{
	SW_AUTO_FREE char *cwd = NULL;
	bool relative = text[0] != '/' && text[0] != '\0';
	char *path;

	if (relative) {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL)
			return sw_fail_errno(err, "finding the current directory");
	}
	if (asprintf(&path, "%s%s%s", relative ? cwd : "", relative ? "/" : "", text) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	*ret_path = path;
	return SW_OK;
}

static sw_rc
set_argument(struct sw_config *config, const struct sw_option_row *row, const char *text,
	struct sw_error *err)
{
	struct sw_setting *setting = &config->arguments.of[row->option];
	SW_AUTO_FREE char *path = NULL;
	sw_rc rc = SW_OK;

	if (setting->origin != SW_ORIGIN_NONE && row->type != SW_TYPE_LIST)
		return sw_fail(err, SW_CONFIG, "--%s is given twice", row->name);
	if (row->type == SW_TYPE_PATH)
		rc = absolute_path(text, &path, err);
	if (rc != SW_OK)
		return rc;
	setting->origin = SW_ORIGIN_ARGUMENT;
	rc = row->type == SW_TYPE_LIST ? sw_parse_add_item(text, &setting->value, err) :
		sw_parse_value(row, path != NULL ? path : text, &setting->value, err);
	if (rc != SW_OK)
		return sw_wrap(err, "--%s", row->name);
	return SW_OK;
}

static sw_rc
take_option(struct arguments *args, const char *arg, struct sw_error *err)
{
	const char *name = arg + 2, *equals = strchr(name, '='), *text = "on";
	size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct sw_option_row *row = sw_table_find(name, len);
	sw_rc rc;

	if (row == NULL && equals == NULL && strncmp(name, "no-", 3) == 0) {
		row = sw_table_find(name + 3, len - 3);
		if (row != NULL && row->type != SW_TYPE_BOOL)
			row = NULL;
		text = "off";
	}
	if (row == NULL)
		return unknown_option(args->config, name, len, err);
	rc = check_allowed(args->config, row, err);
	if (rc != SW_OK)
		return rc;
	if (row->type != SW_TYPE_BOOL || equals != NULL)
		rc = option_text(args, row, equals, &text, err);
	if (rc != SW_OK)
		return rc;
	return set_argument(args->config, row, text, err);
}

static sw_rc
add_positional(struct sw_config *config, const char *text, struct sw_error *err)
{
	char **list = reallocarray(config->args, config->arg_count + 1, sizeof(*list));

	if (list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->args = list;
	list[config->arg_count] = strdup(text);
	if (list[config->arg_count] == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->arg_count++;
	return SW_OK;
}

sw_rc
sw_source_arguments(struct sw_config *config, int argc, char *const *argv, struct sw_error *err)
{
	struct arguments args = {.config = config, .argv = argv, .argc = argc};
	bool ended = false;

	while (args.at < argc) {
		const char *arg = argv[args.at++];
		sw_rc rc;

		if (!ended && strcmp(arg, "--") == 0) {
			ended = true;
			continue;
		}
		if (ended || arg[0] != '-' || arg[1] == '\0') {
			rc = add_positional(config, arg, err);
		} else if (arg[1] == '-') {
			rc = take_option(&args, arg, err);
		} else {
			sw_fail(err, SW_CONFIG, "unknown option %.80s", arg);
			rc = sw_hint(err, "options are written in full, as --help; -- before an argument that begins with -");
		}
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}
