#include "config/config.h"

#include <jansson.h>
#include <stdlib.h>

#include "config/settings.h"

struct shown {
	const struct sw_option_row *row;
	const struct sw_setting *setting; /* NULL: not set, and without a default */
	const char *section_name;
};

typedef sw_rc (*show_fn)(const struct sw_config *config, const struct shown *shown, void *ctx,
	struct sw_error *err);

static sw_rc
each_of_scope(const struct sw_config *config, enum sw_option_scope scope, const struct sw_section *section,
	const char *section_name, show_fn show, void *ctx, struct sw_error *err)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);
		struct shown shown = {.row = row, .section_name = section_name};
		sw_rc rc;

		if (row->scope != scope || !sw_table_in_environment(row))
			continue;
		shown.setting = sw_settings_find(config, section, row->option);
		rc = show(config, &shown, ctx, err);
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

static sw_rc
each(const struct sw_config *config, show_fn show, void *ctx, struct sw_error *err)
{
	sw_rc rc = each_of_scope(config, SW_SCOPE_PROGRAM, config->program, NULL, show, ctx, err);

	if (rc == SW_OK)
		rc = each_of_scope(config, SW_SCOPE_CLUSTER, config->cluster, config->cluster_name, show, ctx, err);
	for (unsigned i = 0; i < config->repo_count && rc == SW_OK; i++)
		rc = each_of_scope(config, SW_SCOPE_REPO, config->repos[i].section, config->repos[i].name,
			show, ctx, err);
	return rc;
}

static bool
is_secret(const struct shown *shown)
{
	return shown->setting != NULL && (shown->row->commands & SW_CMD_SECRET) != 0;
}

static const char *
scope_word(enum sw_option_scope scope)
{
	return scope == SW_SCOPE_REPO ? "repo" : scope == SW_SCOPE_CLUSTER ? "cluster" : "seawall";
}

static void
print_origin(const struct sw_config *config, const struct sw_setting *setting, FILE *out)
{
	switch (setting != NULL ? setting->origin : SW_ORIGIN_DEFAULT) {
	case SW_ORIGIN_FILE:
		fprintf(out, "%s:%u", config->path, setting->line);
		break;
	case SW_ORIGIN_ENVIRONMENT:
		fputs("environment", out);
		break;
	case SW_ORIGIN_ARGUMENT:
		fputs("command line", out);
		break;
	default:
		fputs("default", out);
	}
}

/* ---- text ----------------------------------------------------------------- */

struct text {
	FILE *out;
	enum sw_option_scope scope; /* of the last line */
	const char *section_name;
	bool begun;
};

static int
print_value(const struct shown *shown, FILE *out)
{
	const struct sw_setting *setting = shown->setting;
	int width = 0;

	if (is_secret(shown))
		return fprintf(out, "(hidden)");
	if (setting == NULL)
		return fprintf(out, "-");
	if (shown->row->type != SW_TYPE_LIST)
		return fprintf(out, "%s", setting->value.text);
	for (size_t i = 0; i < setting->value.item_count; i++)
		width += fprintf(out, "%s%s", i > 0 ? ", " : "", setting->value.items[i]);
	return width;
}

static sw_rc
show_text(const struct sw_config *config, const struct shown *shown, void *ctx, struct sw_error *err)
{
	struct text *text = ctx;
	int width;

	(void)err;
	if (!text->begun || text->scope != shown->row->scope || text->section_name != shown->section_name)
		fprintf(text->out, "%s[%s%s%s]\n", text->begun ? "\n" : "", scope_word(shown->row->scope),
			shown->section_name != NULL ? " " : "",
			shown->section_name != NULL ? shown->section_name : "");
	text->begun = true;
	text->scope = shown->row->scope;
	text->section_name = shown->section_name;
	fprintf(text->out, "%-22s ", shown->row->name);
	width = print_value(shown, text->out);
	fprintf(text->out, "%*s  ", width < 32 ? 32 - width : 0, "");
	print_origin(config, shown->setting, text->out);
	fputc('\n', text->out);
	return SW_OK;
}

/* ---- JSON ----------------------------------------------------------------- */

static json_t *
json_value(const struct shown *shown)
{
	const struct sw_value *value;
	json_t *list;

	if (is_secret(shown))
		return json_string("(hidden)");
	if (shown->setting == NULL)
		return json_null();
	value = &shown->setting->value;
	if (shown->row->type == SW_TYPE_BOOL)
		return json_boolean(value->number);
	if (shown->row->type == SW_TYPE_INT)
		return json_integer(value->number);
	if (shown->row->type != SW_TYPE_LIST)
		return json_string(value->text);
	list = json_array();
	for (size_t i = 0; i < value->item_count; i++)
		if (json_array_append_new(list, json_string(value->items[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *
json_origin(const struct sw_config *config, const struct sw_setting *setting)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *origin = NULL;

	if (out == NULL)
		return NULL;
	print_origin(config, setting, out);
	if (fclose(out) == 0)
		origin = json_string(text);
	free(text);
	return origin;
}

static sw_rc
show_json(const struct sw_config *config, const struct shown *shown, void *ctx, struct sw_error *err)
{
	json_t *option = json_pack("{s:s, s:s?, s:s, s:o, s:o}", "section", scope_word(shown->row->scope), "of",
		shown->section_name, "name", shown->row->name, "value", json_value(shown), "origin",
		json_origin(config, shown->setting));

	if (option == NULL || json_array_append_new(ctx, option) != 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return SW_OK;
}

static sw_rc
print_json(const struct sw_config *config, FILE *out, struct sw_error *err)
{
	json_t *options = json_array();
	json_t *document = json_pack("{s:s?, s:s, s:o}", "file", config->file_read ? config->path : NULL,
		"cluster", config->cluster_name, "options", options);
	sw_rc rc;

	if (document == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = each(config, show_json, options, err);
	if (rc == SW_OK && json_dumpf(document, out, JSON_INDENT(2)) != 0)
		rc = sw_fail_errno(err, "writing the configuration");
	json_decref(document);
	if (rc == SW_OK)
		fputc('\n', out);
	return rc;
}

sw_rc
sw_config_print(const struct sw_config *config, FILE *out, bool json, struct sw_error *err)
{
	struct text text = {.out = out};
	sw_rc rc = json ? print_json(config, out, err) : each(config, show_text, &text, err);

	if (rc == SW_OK && (fflush(out) != 0 || ferror(out)))
		rc = sw_fail_errno(err, "writing the configuration");
	return rc;
}
