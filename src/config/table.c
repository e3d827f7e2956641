#include "config/table.h"

#include <ctype.h>
#include <string.h>

static const struct sw_option_row rows[SW_OPTION_COUNT] = {
#define OPTION(id_, name_, scope_, type_, preset_, minimum_, maximum_, words_, value_name_, example_, commands_, brief_, more_) \
	[SW_OPT_##id_] = {                                                                                      \
		.option = SW_OPT_##id_,                                                                         \
		.name = name_,                                                                                  \
		.scope = SW_SCOPE_##scope_,                                                                     \
		.type = SW_TYPE_##type_,                                                                        \
		.preset = preset_,                                                                              \
		.minimum = minimum_,                                                                            \
		.maximum = maximum_,                                                                            \
		.words = words_,                                                                                \
		.value_name = value_name_,                                                                      \
		.example = example_,                                                                            \
		.commands = (unsigned)(commands_),                                                              \
		.brief = brief_,                                                                                \
		.more = more_,                                                                                  \
	},
#include "config/options.def"
#undef OPTION
};

const struct sw_option_row *
sw_table_row(enum sw_option option)
{
	return &rows[option];
}

const struct sw_option_row *
sw_table_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < SW_OPTION_COUNT; i++)
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

char *
sw_table_variable(const struct sw_option_row *row, char buf[SW_TABLE_VARIABLE_LEN])
{
	char *p = stpcpy(buf, "SEAWALL_");

	for (const char *c = row->name; *c != '\0' && p < buf + SW_TABLE_VARIABLE_LEN - 1; c++)
		*p++ = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	*p = '\0';
	return buf;
}

void
sw_table_option_name(const char *name, size_t len, char buf[SW_TABLE_NAME_MAX + 1])
{
	size_t i;

	for (i = 0; i < len && i < SW_TABLE_NAME_MAX; i++)
		buf[i] = name[i] == '_' ? '-' : name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	buf[i] = '\0';
}

bool
sw_table_in_file(const struct sw_option_row *row)
{
	return (row->commands & SW_CMD_ONLY) == 0 && row->option != SW_OPT_CONFIG;
}

bool
sw_table_in_environment(const struct sw_option_row *row)
{
	return (row->commands & SW_CMD_ONLY) == 0;
}

const char *
sw_table_section(enum sw_option_scope scope)
{
	switch (scope) {
	case SW_SCOPE_REPO:
		return "[repo NAME]";
	case SW_SCOPE_CLUSTER:
		return "[cluster NAME]";
	default:
		return "[seawall]";
	}
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Damerau-Levenshtein distance, in its "optimal string alignment" form. */
static unsigned
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows_of[3][SW_TABLE_NAME_MAX + 2];
	unsigned *before = rows_of[0], *last = rows_of[1], *now = rows_of[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = before[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = least(change, least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

void
sw_table_offer(struct sw_nearest *nearest, const char *candidate)
{
	size_t len = strlen(candidate);
	unsigned far = (unsigned)(nearest->len + 2) / 3, d;

	if (nearest->len > SW_TABLE_NAME_MAX || len > SW_TABLE_NAME_MAX)
		return;
	d = distance(nearest->name, nearest->len, candidate, len);
	if (d > far || d >= nearest->len || (nearest->best != NULL && d >= nearest->distance))
		return;
	nearest->best = candidate;
	nearest->distance = d;
}
