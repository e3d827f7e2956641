#include "config/source.h"

#include <string.h>

#define PREFIX "SEAWALL_"

static sw_rc
unknown_variable(const char *variable, size_t len, struct sw_error *err)
{
	char name[SW_TABLE_NAME_MAX + 1], best[SW_TABLE_VARIABLE_LEN];
	struct sw_nearest nearest = {.name = name};

	sw_table_option_name(variable + strlen(PREFIX), len - strlen(PREFIX), name);
	nearest.len = strlen(name);
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++)
		if (sw_table_in_environment(sw_table_row((enum sw_option)i)))
			sw_table_offer(&nearest, sw_table_row((enum sw_option)i)->name);
	sw_fail(err, SW_CONFIG, "unknown environment variable %.*s", (int)(len < 80 ? len : 80), variable);
	if (nearest.best == NULL)
		return sw_hint(err, "unset it: names that begin with " PREFIX " are Seawall's options");
	return sw_hint(err, "did you mean %s?",
		sw_table_variable(sw_table_find(nearest.best, strlen(nearest.best)), best));
}

static const struct sw_option_row *
find_variable(const char *variable, size_t len)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);
		char name[SW_TABLE_VARIABLE_LEN];

		sw_table_variable(row, name);
		if (strlen(name) == len && memcmp(name, variable, len) == 0)
			return row;
	}
	return NULL;
}

static sw_rc
take_variable(struct sw_config *config, const char *variable, const char *equals, struct sw_error *err)
{
	size_t len = (size_t)(equals - variable);
	const struct sw_option_row *row = find_variable(variable, len);
	struct sw_setting *setting;
	sw_rc rc;

	if (row == NULL)
		return unknown_variable(variable, len, err);
	if (!sw_table_in_environment(row)) {
		sw_fail(err, SW_CONFIG, "%.*s: this option is taken on the command line alone", (int)len, variable);
		return sw_hint(err, "unset it, and give --%s", row->name);
	}
	setting = &config->environment.of[row->option];
	if (setting->origin != SW_ORIGIN_NONE)
		return SW_OK;
	rc = sw_parse_value(row, equals + 1, &setting->value, err);
	if (rc != SW_OK)
		return sw_wrap(err, "%.*s", (int)len, variable);
	setting->origin = SW_ORIGIN_ENVIRONMENT;
	return SW_OK;
}

sw_rc
sw_source_environment(struct sw_config *config, char *const *envp, struct sw_error *err)
{
	for (; envp != NULL && *envp != NULL; envp++) {
		const char *equals = strchr(*envp, '=');
		sw_rc rc;

		if (equals == NULL || strncmp(*envp, PREFIX, strlen(PREFIX)) != 0)
			continue;
		if (strncmp(*envp, PREFIX "TEST_", strlen(PREFIX "TEST_")) == 0)
			continue;
		rc = take_variable(config, *envp, equals, err);
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}
