/*
 * settings.h - what struct sw_config holds: the layers before they are laid over each other.
 */
#ifndef SW_CONFIG_SETTINGS_H
#define SW_CONFIG_SETTINGS_H

#include "config/parse.h"

/* Later ones win. */
enum sw_origin { SW_ORIGIN_NONE, SW_ORIGIN_DEFAULT, SW_ORIGIN_FILE, SW_ORIGIN_ENVIRONMENT, SW_ORIGIN_ARGUMENT };

struct sw_setting {
	enum sw_origin origin; /* NONE: not set in this layer */
	unsigned line;         /* FILE */
	struct sw_value value;
};

struct sw_settings {
	struct sw_setting of[SW_OPTION_COUNT];
};

struct sw_section {
	enum sw_option_scope scope;
	char *name; /* "" for [seawall] */
	unsigned line;
	struct sw_settings settings;
};

struct sw_chosen_repo {
	const char *name;                 /* borrowed */
	const struct sw_section *section; /* NULL where the file has none */
};

struct sw_config {
	enum sw_command command;
	struct sw_settings defaults;
	struct sw_settings environment;
	struct sw_settings arguments;
	char **args; /* positional */
	size_t arg_count;
	char *path;     /* the file's */
	bool file_read; /* false: the usual one is not there, or --help */
	struct sw_section *sections;
	size_t section_count;
	const struct sw_section *program; /* these four may be NULL */
	const struct sw_section *cluster;
	const char *cluster_name; /* borrowed */
	struct sw_chosen_repo *repos;
	unsigned repo_count;
};

/* The winning setting, or NULL if nobody gave one.  section: of the option's scope, or NULL. */
const struct sw_setting *sw_settings_find(const struct sw_config *config,
	const struct sw_section *section, enum sw_option option);

/* The file's section, or NULL. */
const struct sw_section *sw_settings_section(const struct sw_config *config,
	enum sw_option_scope scope, const char *name);

/* Put where the setting was made before the error's words: "--x", "SEAWALL_X", "<file>:<line>: x". */
sw_rc sw_settings_wrap(const struct sw_config *config, const struct sw_setting *setting,
	const struct sw_option_row *row, struct sw_error *err);

#endif
