#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/command.h"
#include "config/source.h"

#define DEFAULT_NAME "main"

/* ---- layers --------------------------------------------------------------- */

const struct sw_setting *
sw_settings_find(const struct sw_config *config, const struct sw_section *section, enum sw_option option)
{
	const struct sw_settings *layers[] = {&config->arguments, &config->environment,
		section != NULL ? &section->settings : NULL, &config->defaults};

	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		if (layers[i] != NULL && layers[i]->of[option].origin != SW_ORIGIN_NONE)
			return &layers[i]->of[option];
	return NULL;
}

const struct sw_section *
sw_settings_section(const struct sw_config *config, enum sw_option_scope scope, const char *name)
{
	for (size_t i = 0; i < config->section_count; i++)
		if (config->sections[i].scope == scope && strcmp(config->sections[i].name, name) == 0)
			return &config->sections[i];
	return NULL;
}

sw_rc
sw_settings_wrap(const struct sw_config *config, const struct sw_setting *setting,
	const struct sw_option_row *row, struct sw_error *err)
{
	char variable[SW_TABLE_VARIABLE_LEN];

	switch (setting->origin) {
	case SW_ORIGIN_ARGUMENT:
		return sw_wrap(err, "--%s", row->name);
	case SW_ORIGIN_ENVIRONMENT:
		return sw_wrap(err, "%s", sw_table_variable(row, variable));
	case SW_ORIGIN_FILE:
		return sw_wrap(err, "%s:%u: %s", config->path, setting->line, row->name);
	default:
		return sw_wrap(err, "%s", row->name);
	}
}

static size_t
count_sections(const struct sw_config *config, enum sw_option_scope scope)
{
	size_t count = 0;

	for (size_t i = 0; i < config->section_count; i++)
		count += config->sections[i].scope == scope;
	return count;
}

/* ---- which cluster -------------------------------------------------------- */

/* A hint that names the nearest section of `scope`, else all that there are. */
static sw_rc
hint_sections(const struct sw_config *config, enum sw_option_scope scope, const char *name,
	struct sw_error *err)
{
	struct sw_nearest nearest = {.name = name, .len = strlen(name)};
	char list[256] = "";

	for (size_t i = 0; i < config->section_count; i++) {
		size_t len = strlen(list);

		if (config->sections[i].scope != scope)
			continue;
		sw_table_offer(&nearest, config->sections[i].name);
		snprintf(list + len, sizeof(list) - len, "%s%s", len > 0 ? ", " : "", config->sections[i].name);
	}
	if (nearest.best != NULL && nearest.len > 0)
		return sw_hint(err, "did you mean %s?", nearest.best);
	if (list[0] == '\0')
		return err->rc;
	return sw_hint(err, "%s has %s", config->path, list);
}

static sw_rc
choose_named_cluster(struct sw_config *config, const struct sw_setting *setting, struct sw_error *err)
{
	const struct sw_option_row *row = sw_table_row(SW_OPT_CLUSTER);
	const char *name = setting->value.text;

	if (!sw_parse_is_name(name)) {
		sw_fail(err, SW_CONFIG, "\"%s\" is not a name of letters, digits, _ and -, at most %d", name,
			SW_TABLE_NAME_MAX);
		return sw_settings_wrap(config, setting, row, err);
	}
	config->cluster_name = name;
	config->cluster = sw_settings_section(config, SW_SCOPE_CLUSTER, name);
	if (config->cluster != NULL || count_sections(config, SW_SCOPE_CLUSTER) == 0)
		return SW_OK;
	sw_fail(err, SW_CONFIG, "%s has no section [cluster %s]", config->path, name);
	hint_sections(config, SW_SCOPE_CLUSTER, name, err);
	return sw_settings_wrap(config, setting, row, err);
}

static sw_rc
choose_cluster(struct sw_config *config, struct sw_error *err)
{
	const struct sw_setting *setting;

	config->program = sw_settings_section(config, SW_SCOPE_PROGRAM, "");
	setting = sw_settings_find(config, config->program, SW_OPT_CLUSTER);
	if (setting != NULL)
		return choose_named_cluster(config, setting, err);
	config->cluster_name = DEFAULT_NAME;
	config->cluster = sw_settings_section(config, SW_SCOPE_CLUSTER, DEFAULT_NAME);
	if (config->cluster != NULL || count_sections(config, SW_SCOPE_CLUSTER) == 0)
		return SW_OK;
	if (count_sections(config, SW_SCOPE_CLUSTER) > 1) {
		sw_fail(err, SW_CONFIG, "%s has several clusters, and none is chosen", config->path);
		hint_sections(config, SW_SCOPE_CLUSTER, "", err);
		return sw_hint(err, "%.400s: choose one with --cluster", err->hint);
	}
	for (size_t i = 0; i < config->section_count; i++)
		if (config->sections[i].scope == SW_SCOPE_CLUSTER)
			config->cluster = &config->sections[i];
	config->cluster_name = config->cluster->name;
	return SW_OK;
}

/* ---- which repositories --------------------------------------------------- */

static sw_rc
add_repo(struct sw_config *config, const char *name, struct sw_error *err)
{
	struct sw_chosen_repo *list = reallocarray(config->repos, config->repo_count + 1, sizeof(*list));

	if (list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->repos = list;
	list[config->repo_count++] = (struct sw_chosen_repo){
		.name = name,
		.section = sw_settings_section(config, SW_SCOPE_REPO, name),
	};
	return SW_OK;
}

static bool
url_overridden(const struct sw_config *config)
{
	return sw_settings_find(config, NULL, SW_OPT_REPO_URL) != NULL;
}

static sw_rc
choose_named_repo(struct sw_config *config, const char *name, struct sw_error *err)
{
	if (!sw_parse_is_name(name))
		return sw_fail(err, SW_CONFIG, "\"%s\" is not a name of letters, digits, _ and -, at most %d", name,
			SW_TABLE_NAME_MAX);
	for (unsigned i = 0; i < config->repo_count; i++)
		if (strcmp(config->repos[i].name, name) == 0)
			return sw_fail(err, SW_CONFIG, "%s is named twice", name);
	if (sw_settings_section(config, SW_SCOPE_REPO, name) == NULL && !url_overridden(config)) {
		sw_fail(err, SW_CONFIG, "%s has no section [repo %s]", config->path, name);
		return hint_sections(config, SW_SCOPE_REPO, name, err);
	}
	return add_repo(config, name, err);
}

static sw_rc
choose_repos(struct sw_config *config, struct sw_error *err)
{
	const struct sw_setting *setting = sw_settings_find(config, config->cluster, SW_OPT_REPO);
	sw_rc rc = SW_OK;

	if (setting != NULL) {
		for (size_t i = 0; i < setting->value.item_count && rc == SW_OK; i++)
			rc = choose_named_repo(config, setting->value.items[i], err);
		return rc == SW_OK ? rc : sw_settings_wrap(config, setting, sw_table_row(SW_OPT_REPO), err);
	}
	for (size_t i = 0; i < config->section_count && rc == SW_OK; i++)
		if (config->sections[i].scope == SW_SCOPE_REPO)
			rc = add_repo(config, config->sections[i].name, err);
	if (rc == SW_OK && config->repo_count == 0 && url_overridden(config))
		rc = add_repo(config, DEFAULT_NAME, err);
	return rc;
}

static sw_rc
check_repos(const struct sw_config *config, struct sw_error *err)
{
	const struct sw_setting *url = sw_settings_find(config, NULL, SW_OPT_REPO_URL);

	if (url != NULL && config->repo_count > 1) {
		sw_fail(err, SW_CONFIG, "one URL for %u repositories", config->repo_count);
		sw_hint(err, "choose the one that it is meant for with --repo");
		return sw_settings_wrap(config, url, sw_table_row(SW_OPT_REPO_URL), err);
	}
	for (unsigned i = 0; i < config->repo_count && config->command != SW_CMD_CONFIG; i++) {
		const struct sw_section *section = config->repos[i].section;

		if (sw_settings_find(config, section, SW_OPT_REPO_URL) != NULL)
			continue;
		sw_fail(err, SW_CONFIG, "%s:%u: repository %s has no repo-url", config->path,
			section != NULL ? section->line : 0, config->repos[i].name);
		return sw_hint(err, "add repo-url = file:///DIRECTORY or s3://BUCKET/PREFIX");
	}
	return SW_OK;
}

/* A restore into the data directory that backups come from must be asked for by its name. */
static void
forget_pgdata(struct sw_config *config)
{
	config->environment.of[SW_OPT_PGDATA].origin = SW_ORIGIN_NONE;
	for (size_t i = 0; i < config->section_count; i++)
		config->sections[i].settings.of[SW_OPT_PGDATA].origin = SW_ORIGIN_NONE;
}

/* ---- loading -------------------------------------------------------------- */

static sw_rc
load_defaults(struct sw_config *config, struct sw_error *err)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);
		struct sw_setting *setting = &config->defaults.of[i];
		sw_rc rc;

		if (row->preset == NULL)
			continue;
		rc = sw_parse_value(row, row->preset, &setting->value, err);
		if (rc != SW_OK) {
			sw_wrap(err, "default of %s", row->name);
			return err->rc = rc == SW_CONFIG ? SW_BUG : rc;
		}
		setting->origin = SW_ORIGIN_DEFAULT;
	}
	return SW_OK;
}

static sw_rc
load_file(struct sw_config *config, struct sw_error *err)
{
	const struct sw_setting *path = sw_settings_find(config, NULL, SW_OPT_CONFIG);

	config->path = strdup(path != NULL ? path->value.text : SW_CONFIG_FILE);
	if (config->path == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return sw_source_file(config, path != NULL, err);
}

static sw_rc
load(struct sw_config *config, int argc, char *const *argv, struct sw_error *err)
{
	sw_rc rc = load_defaults(config, err);

	if (rc == SW_OK)
		rc = sw_source_arguments(config, argc, argv, err);
	config->cluster_name = DEFAULT_NAME;
	if (rc == SW_OK && (sw_config_bool(config, SW_OPT_HELP) || sw_config_bool(config, SW_OPT_VERSION)))
		return SW_OK;
	if (rc == SW_OK)
		rc = sw_source_environment(config, environ, err);
	if (rc == SW_OK)
		rc = load_file(config, err);
	if (rc == SW_OK)
		rc = choose_cluster(config, err);
	if (rc == SW_OK)
		rc = choose_repos(config, err);
	if (rc == SW_OK)
		rc = check_repos(config, err);
	if (config->command == SW_CMD_RESTORE)
		forget_pgdata(config);
	return rc;
}

sw_rc
sw_config_load(enum sw_command command, int argc, char *const *argv, struct sw_config **ret_config,
	struct sw_error *err)
{
	struct sw_config *config = calloc(1, sizeof(*config));
	sw_rc rc;

	if (config == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	config->command = command;
	rc = load(config, argc, argv, err);
	if (rc != SW_OK) {
		sw_config_free(config);
		return rc;
	}
	*ret_config = config;
	return SW_OK;
}

static void
release_settings(struct sw_settings *settings)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++)
		sw_parse_release(&settings->of[i].value);
}

void
sw_config_free(struct sw_config *config)
{
	if (config == NULL)
		return;
	release_settings(&config->defaults);
	release_settings(&config->environment);
	release_settings(&config->arguments);
	for (size_t i = 0; i < config->section_count; i++) {
		release_settings(&config->sections[i].settings);
		free(config->sections[i].name);
	}
	for (size_t i = 0; i < config->arg_count; i++)
		free(config->args[i]);
	free(config->sections);
	free(config->args);
	free(config->repos);
	free(config->path);
	free(config);
}

/* ---- getters -------------------------------------------------------------- */

#define TYPE(name) (1u << SW_TYPE_##name)
#define TYPES_STRING (TYPE(STRING) | TYPE(PATH) | TYPE(ENUM))

static const struct sw_setting *
plain_setting(const struct sw_config *config, enum sw_option option)
{
	enum sw_option_scope scope = sw_table_row(option)->scope;

	if (scope == SW_SCOPE_REPO)
		abort();
	return sw_settings_find(config, scope == SW_SCOPE_CLUSTER ? config->cluster : config->program, option);
}

static const struct sw_setting *
repo_setting(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	if (sw_table_row(option)->scope != SW_SCOPE_REPO || repo >= config->repo_count)
		abort();
	return sw_settings_find(config, config->repos[repo].section, option);
}

/* An empty value if there is none.  A caller's mistake ends the program. */
static const struct sw_value *
typed(const struct sw_setting *setting, enum sw_option option, unsigned types)
{
	static const struct sw_value none;

	if ((types & 1u << sw_table_row(option)->type) == 0)
		abort();
	return setting != NULL ? &setting->value : &none;
}

static const struct sw_value *
plain(const struct sw_config *config, enum sw_option option, unsigned types)
{
	return typed(plain_setting(config, option), option, types);
}

static const struct sw_value *
of_repo(const struct sw_config *config, unsigned repo, enum sw_option option, unsigned types)
{
	return typed(repo_setting(config, repo, option), option, types);
}

static bool
is_set(const struct sw_setting *setting)
{
	return setting != NULL && setting->origin != SW_ORIGIN_DEFAULT;
}

bool
sw_config_is_set(const struct sw_config *config, enum sw_option option)
{
	return is_set(plain_setting(config, option));
}

const char *
sw_config_string(const struct sw_config *config, enum sw_option option)
{
	return plain(config, option, TYPES_STRING)->text;
}

bool
sw_config_bool(const struct sw_config *config, enum sw_option option)
{
	return plain(config, option, TYPE(BOOL))->number != 0;
}

int64_t
sw_config_int(const struct sw_config *config, enum sw_option option)
{
	return plain(config, option, TYPE(INT))->number;
}

uint64_t
sw_config_size(const struct sw_config *config, enum sw_option option)
{
	return (uint64_t)plain(config, option, TYPE(SIZE))->number;
}

int64_t
sw_config_ms(const struct sw_config *config, enum sw_option option)
{
	return plain(config, option, TYPE(DURATION))->number;
}

unsigned
sw_config_enum(const struct sw_config *config, enum sw_option option)
{
	return (unsigned)plain(config, option, TYPE(ENUM))->number;
}

size_t
sw_config_list(const struct sw_config *config, enum sw_option option, const char *const **ret_items)
{
	const struct sw_value *value = plain(config, option, TYPE(LIST));

	*ret_items = (const char *const *)value->items;
	return value->item_count;
}

size_t
sw_config_arg_count(const struct sw_config *config)
{
	return config->arg_count;
}

const char *
sw_config_arg(const struct sw_config *config, size_t i)
{
	return i < config->arg_count ? config->args[i] : NULL;
}

const char *
sw_config_cluster(const struct sw_config *config)
{
	return config->cluster_name;
}

unsigned
sw_config_repo_count(const struct sw_config *config)
{
	return config->repo_count;
}

sw_rc
sw_config_need_repo(const struct sw_config *config, struct sw_error *err)
{
	const char *file = sw_config_string(config, SW_OPT_CONFIG);

	if (sw_config_repo_count(config) > 0)
		return SW_OK;
	sw_fail(err, SW_CONFIG, "no repository is configured");
	return sw_hint(err, "write repo-url into a [repo NAME] section of %s (or give another file by --config)",
		file != NULL ? file : SW_CONFIG_FILE);
}

const char *
sw_config_repo_name(const struct sw_config *config, unsigned repo)
{
	if (repo >= config->repo_count)
		abort();
	return config->repos[repo].name;
}

bool
sw_config_repo_is_set(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return is_set(repo_setting(config, repo, option));
}

const char *
sw_config_repo_string(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return of_repo(config, repo, option, TYPES_STRING)->text;
}

bool
sw_config_repo_bool(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return of_repo(config, repo, option, TYPE(BOOL))->number != 0;
}

int64_t
sw_config_repo_int(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return of_repo(config, repo, option, TYPE(INT))->number;
}

int64_t
sw_config_repo_ms(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return of_repo(config, repo, option, TYPE(DURATION))->number;
}

unsigned
sw_config_repo_enum(const struct sw_config *config, unsigned repo, enum sw_option option)
{
	return (unsigned)of_repo(config, repo, option, TYPE(ENUM))->number;
}
