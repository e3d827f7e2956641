#include "config/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "config/ini.h"

#define FILE_MAX ((size_t)1 << 20)

/* Only what looks like an option's name is quoted: anything else may be a secret that went astray. */
static bool
may_quote(const char *name)
{
	return strlen(name) <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name);
}

static sw_rc
unknown_key(const struct sw_section *section, const char *key, struct sw_error *err)
{
	char name[SW_TABLE_NAME_MAX + 1];
	struct sw_nearest nearest = {.name = name};

	sw_table_option_name(key, strlen(key), name);
	nearest.len = strlen(name);
	for (int anyone = 0; anyone < 2 && nearest.best == NULL; anyone++)
		for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
			const struct sw_option_row *row = sw_table_row((enum sw_option)i);

			if (sw_table_in_file(row) && (anyone || row->scope == section->scope))
				sw_table_offer(&nearest, row->name);
		}
	if (may_quote(key))
		sw_fail(err, SW_CONFIG, "unknown option %s", key);
	else
		sw_fail(err, SW_CONFIG, "unknown option");
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean %s?", nearest.best);
	return sw_hint(err, "seawall.conf(5) lists the options");
}

static sw_rc
check_key(const struct sw_section *section, const char *key, const struct sw_option_row **ret_row,
	struct sw_error *err)
{
	const struct sw_option_row *row = sw_table_find(key, strlen(key));
	const struct sw_setting *before;

	if (row == NULL)
		return unknown_key(section, key, err);
	if (!sw_table_in_file(row)) {
		sw_fail(err, SW_CONFIG, "%s is not an option of the configuration file", key);
		return sw_hint(err, "give --%s on the command line", key);
	}
	if (row->scope != section->scope) {
		sw_fail(err, SW_CONFIG, "%s does not belong into this section", key);
		return sw_hint(err, "write it in %s", sw_table_section(row->scope));
	}
	before = &section->settings.of[row->option];
	if (before->origin != SW_ORIGIN_NONE)
		return sw_fail(err, SW_CONFIG, "%s is set already on line %u", key, before->line);
	*ret_row = row;
	return SW_OK;
}

/* What ini files elsewhere allow and this one would take as part of the value. */
static sw_rc
check_habits(const struct sw_option_row *row, const char *value, struct sw_error *err)
{
	size_t len = strlen(value);
	bool quoted = len > 1 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0];

	if ((row->commands & SW_CMD_SECRET) != 0)
		return SW_OK;
	if (quoted) {
		sw_fail(err, SW_CONFIG, "the value is in quotes, which would be part of it");
		return sw_hint(err, "write it without quotes");
	}
	if (strstr(value, " #") != NULL || strstr(value, " ;") != NULL) {
		sw_fail(err, SW_CONFIG, "the comment behind the value would be part of it");
		return sw_hint(err, "write the comment on a line of its own");
	}
	return SW_OK;
}

static sw_rc
take_setting(struct sw_section *section, const struct sw_ini_item *item, unsigned line, struct sw_error *err)
{
	const struct sw_option_row *row = NULL;
	struct sw_setting *setting;
	sw_rc rc = check_key(section, item->name, &row, err);

	if (rc != SW_OK)
		return rc;
	rc = check_habits(row, item->value, err);
	setting = &section->settings.of[row->option];
	if (rc == SW_OK)
		rc = sw_parse_value(row, item->value, &setting->value, err);
	if (rc != SW_OK)
		return sw_wrap(err, "%s", row->name);
	setting->origin = SW_ORIGIN_FILE;
	setting->line = line;
	return SW_OK;
}

static sw_rc
unknown_section(const char *text, size_t word, struct sw_error *err)
{
	struct sw_nearest nearest = {.name = text, .len = word};

	sw_table_offer(&nearest, "seawall");
	sw_table_offer(&nearest, "repo");
	sw_table_offer(&nearest, "cluster");
	sw_fail(err, SW_CONFIG, "unknown section [%.*s]", SW_TABLE_NAME_MAX, text);
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean [%s%s]?", nearest.best,
			strcmp(nearest.best, "seawall") == 0 ? "" : " NAME");
	return sw_hint(err, "sections are [seawall], [repo NAME] and [cluster NAME]");
}

/* "seawall", "repo NAME" or "cluster NAME". */
static sw_rc
parse_section(const char *text, enum sw_option_scope *ret_scope, const char **ret_name, struct sw_error *err)
{
	size_t word = strcspn(text, " \t");
	const char *name = text + word + strspn(text + word, " \t");
	bool program = strncmp(text, "seawall", word) == 0 && word == strlen("seawall");
	bool repo = strncmp(text, "repo", word) == 0 && word == strlen("repo");
	bool cluster = strncmp(text, "cluster", word) == 0 && word == strlen("cluster");

	if (!program && !repo && !cluster)
		return unknown_section(text, word, err);
	if (program && *name != '\0')
		return sw_fail(err, SW_CONFIG, "section [seawall] has no name");
	if (!program && !sw_parse_is_name(name)) {
		sw_fail(err, SW_CONFIG, "section [%.*s] needs a name of letters, digits, _ and -, at most %d",
			(int)word, text, SW_TABLE_NAME_MAX);
		return sw_hint(err, "write [%.*s main]", (int)word, text);
	}
	*ret_scope = program ? SW_SCOPE_PROGRAM : repo ? SW_SCOPE_REPO : SW_SCOPE_CLUSTER;
	*ret_name = name;
	return SW_OK;
}

static sw_rc
add_section(struct sw_config *config, const char *text, unsigned line, struct sw_error *err)
{
	enum sw_option_scope scope = SW_SCOPE_PROGRAM;
	const char *name = NULL;
	const struct sw_section *before;
	struct sw_section *list;
	sw_rc rc = parse_section(text, &scope, &name, err);

	if (rc != SW_OK)
		return rc;
	before = sw_settings_section(config, scope, name);
	if (before != NULL)
		return sw_fail(err, SW_CONFIG, "section [%s] is there already, on line %u", text, before->line);
	list = reallocarray(config->sections, config->section_count + 1, sizeof(*list));
	if (list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->sections = list;
	list[config->section_count] = (struct sw_section){.scope = scope, .line = line, .name = strdup(name)};
	if (list[config->section_count].name == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->section_count++;
	return SW_OK;
}

static sw_rc
take_item(struct sw_config *config, const struct sw_ini_item *item, unsigned line, struct sw_error *err)
{
	if (item->kind == SW_INI_SECTION)
		return add_section(config, item->name, line, err);
	if (config->section_count == 0) {
		sw_fail(err, SW_CONFIG, "this line stands before the first section");
		return sw_hint(err, "begin with [seawall], [repo NAME] or [cluster NAME]");
	}
	return take_setting(&config->sections[config->section_count - 1], item, line, err);
}

static sw_rc
take_text(struct sw_config *config, char *text, struct sw_error *err)
{
	struct sw_ini ini = {.rest = text};
	struct sw_ini_item item;

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		ini.rest += 3;
	for (;;) {
		sw_rc rc = sw_ini_next(&ini, &item, err);

		if (rc == SW_OK && item.kind == SW_INI_END)
			return SW_OK;
		if (rc == SW_OK)
			rc = take_item(config, &item, ini.line, err);
		if (rc != SW_OK)
			return sw_wrap(err, "%s:%u", config->path, ini.line);
	}
}

/*
 * As PostgreSQL judges key files: nobody but the owner, and the group only where root owns the file
 * and so gave it to the group.
 */
static void
warn_of_readers(const struct sw_config *config)
{
	const char *secret = NULL;
	struct stat st;

	for (size_t s = 0; s < config->section_count; s++)
		for (unsigned i = 0; i < SW_OPTION_COUNT; i++)
			if (config->sections[s].settings.of[i].origin != SW_ORIGIN_NONE &&
				(sw_table_row((enum sw_option)i)->commands & SW_CMD_SECRET) != 0)
				secret = sw_table_row((enum sw_option)i)->name;
	if (secret == NULL || stat(config->path, &st) != 0)
		return;
	if ((st.st_mode & (st.st_uid == 0 ? S_IROTH : S_IRGRP | S_IROTH)) == 0)
		return;
	sw_log(SW_LOG_WARNING, "%s holds %s and can be read by %s: chmod %s it", config->path, secret,
		(st.st_mode & S_IROTH) != 0 ? "everybody" : "its group", st.st_uid == 0 ? "0640" : "0600");
}

sw_rc
sw_source_file(struct sw_config *config, bool named, struct sw_error *err)
{
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 0);
	rc = sw_file_read(config->path, FILE_MAX, &buf, err);
	if (rc == SW_NOT_FOUND && !named)
		return SW_OK;
	if (rc != SW_OK) {
		sw_wrap(err, "configuration file");
		return err->rc = SW_CONFIG;
	}
	if (memchr(buf.data, '\0', buf.len) != NULL)
		return sw_fail(err, SW_CONFIG, "configuration file %s holds a zero byte: it is not a text", config->path);
	rc = take_text(config, (char *)buf.data, err);
	if (rc != SW_OK)
		return rc;
	config->file_read = true;
	warn_of_readers(config);
	return SW_OK;
}
