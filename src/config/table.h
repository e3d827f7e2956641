/*
 * table.h - options.def as an array, and the search for a name in it.
 */
#ifndef SW_CONFIG_TABLE_H
#define SW_CONFIG_TABLE_H

#include "config/config.h"

/* The longest name of an option, a repository or a cluster. */
#define SW_TABLE_NAME_MAX 63

struct sw_option_row {
	enum sw_option option;
	const char *name;
	enum sw_option_scope scope;
	enum sw_option_type type;
	const char *preset; /* the default as text, NULL for none */
	int64_t minimum;
	int64_t maximum;
	const char *words;
	const char *value_name;
	const char *example; /* where the sample file has no default to show */
	unsigned commands;
	const char *brief;
	const char *more;
};

const struct sw_option_row *sw_table_row(enum sw_option option);

/* The row whose name is these `len` bytes, or NULL. */
const struct sw_option_row *sw_table_find(const char *name, size_t len);

/* The environment's name of an option: SEAWALL_S3_REGION.  Returns buf. */
#define SW_TABLE_VARIABLE_LEN (SW_TABLE_NAME_MAX + 9)
char *sw_table_variable(const struct sw_option_row *row, char buf[SW_TABLE_VARIABLE_LEN]);

/* "S3_REGION" as options are named: "s3-region"; cut to the longest name. */
void sw_table_option_name(const char *name, size_t len, char buf[SW_TABLE_NAME_MAX + 1]);

/* Whether configuration file and environment may set it. */
bool sw_table_in_file(const struct sw_option_row *row);
bool sw_table_in_environment(const struct sw_option_row *row);

/* "[seawall]", "[repo NAME]" or "[cluster NAME]". */
const char *sw_table_section(enum sw_option_scope scope);

/*
 * The nearest of several names to one that was misspelt (edits and swapped neighbours, at most a
 * third of its length).  Start with { .name = misspelt }, offer every candidate; best is NULL if
 * none was near.
 */
struct sw_nearest {
	const char *name;
	size_t len; /* of name */
	const char *best;
	unsigned distance; /* of best */
};

void sw_table_offer(struct sw_nearest *nearest, const char *candidate);

#endif
