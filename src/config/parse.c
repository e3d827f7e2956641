#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* In both tables: rising, and named as PostgreSQL names them. */
static const struct unit size_units[] = {
	{"B", 1},
	{"kB", INT64_C(1) << 10},
	{"MB", INT64_C(1) << 20},
	{"GB", INT64_C(1) << 30},
	{"TB", INT64_C(1) << 40},
	{NULL, 0},
};
static const struct unit duration_units[] = {
	{"ms", 1},
	{"s", 1000},
	{"min", 60 * 1000},
	{"h", 60 * 60 * 1000},
	{"d", 24 * 60 * 60 * 1000},
	{NULL, 0},
};

static bool
is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		unsigned char low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
		unsigned char high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;

		if (*p > 0xf4 || (*p >= 0x80 && *p < 0xc2))
			return false;
		if (more > 0 && (p[1] < low || p[1] > high))
			return false;
		for (unsigned i = 2; i <= more; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += more + 1;
	}
	return true;
}

static sw_rc
check_text(const char *text, struct sw_error *err)
{
	if (*text == '\0') {
		sw_fail(err, SW_CONFIG, "the value is empty");
		return sw_hint(err, "leave the option out for its default");
	}
	if (strlen(text) > SW_PARSE_VALUE_MAX)
		return sw_fail(err, SW_CONFIG, "the value is longer than %d bytes", SW_PARSE_VALUE_MAX);
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return sw_fail(err, SW_CONFIG, "the value holds a control character");
	if (!is_utf8(text))
		return sw_fail(err, SW_CONFIG, "the value is not UTF-8");
	return SW_OK;
}

static sw_rc
set_text(struct sw_value *value, const char *text, struct sw_error *err)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	free(value->text);
	value->text = copy;
	return SW_OK;
}

static sw_rc
parse_bool(struct sw_value *value, struct sw_error *err)
{
	const char *text = value->text;
	static const char *const words[][2] = {
		{"off", "on"}, {"no", "yes"}, {"false", "true"}, {"0", "1"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (int on = 0; on < 2; on++)
			if (strcasecmp(text, words[i][on]) == 0) {
				value->number = on;
				return set_text(value, words[0][on], err);
			}
	sw_fail(err, SW_CONFIG, "\"%s\" is neither on nor off", text);
	return sw_hint(err, "write on, yes, true or 1, or off, no, false or 0");
}

static sw_rc
parse_enum(const struct sw_option_row *row, const char *text, struct sw_value *value, struct sw_error *err)
{
	char words[256];
	char *save = NULL;
	int64_t index = 0;
	struct sw_nearest nearest = {.name = text, .len = strlen(text)};

	snprintf(words, sizeof(words), "%s", row->words);
	for (char *word = strtok_r(words, "|", &save); word != NULL; word = strtok_r(NULL, "|", &save)) {
		if (strcmp(word, text) == 0) {
			value->number = index;
			return SW_OK;
		}
		sw_table_offer(&nearest, word);
		index++;
	}
	sw_fail(err, SW_CONFIG, "\"%s\" is not one of %s", text, row->words);
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean %s?", nearest.best);
	return err->rc;
}

char *
sw_parse_format(enum sw_option_type type, int64_t number, char buf[SW_PARSE_NUMBER_LEN])
{
	const struct unit *units = type == SW_TYPE_SIZE ? size_units :
		type == SW_TYPE_DURATION ? duration_units : NULL;
	const struct unit *best = units;

	for (const struct unit *u = units; u != NULL && u->name != NULL; u++)
		if (number != 0 && number % u->factor == 0)
			best = u;
	if (best == NULL || number == 0)
		snprintf(buf, SW_PARSE_NUMBER_LEN, "%" PRId64, number);
	else
		snprintf(buf, SW_PARSE_NUMBER_LEN, "%" PRId64 "%s", number / best->factor, best->name);
	return buf;
}

static sw_rc
check_range(const struct sw_option_row *row, const char *text, int64_t number, struct sw_error *err)
{
	char low[SW_PARSE_NUMBER_LEN], high[SW_PARSE_NUMBER_LEN];

	if (row->minimum == 0 && row->maximum == 0)
		return SW_OK;
	if (number >= row->minimum && number <= row->maximum)
		return SW_OK;
	return sw_fail(err, SW_CONFIG, "%s is not between %s and %s", text,
		sw_parse_format(row->type, row->minimum, low), sw_parse_format(row->type, row->maximum, high));
}

/* Digits and, where `units` are given, one of them; without one the number counts `bare`. */
static sw_rc
parse_number(const struct sw_option_row *row, const char *text, const struct unit *units, int64_t bare,
	struct sw_value *value, struct sw_error *err)
{
	char *end;
	int64_t number, factor = bare;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || isspace((unsigned char)text[0]) || text[0] == '+')
		return sw_fail(err, SW_CONFIG, "\"%s\" is not a number", text);
	end += strspn(end, " ");
	if (*end != '\0' && units == NULL)
		return sw_fail(err, SW_CONFIG, "\"%s\" is not a whole number", text);
	if (*end != '\0') {
		while (units->name != NULL && strcmp(units->name, end) != 0)
			units++;
		if (units->name == NULL) {
			sw_fail(err, SW_CONFIG, "\"%s\" has an unknown unit", text);
			return sw_hint(err, row->type == SW_TYPE_SIZE ?
				"a whole number with B, kB, MB, GB or TB" :
				"a whole number with ms, s, min, h or d");
		}
		factor = units->factor;
	}
	if (errno == ERANGE || __builtin_mul_overflow(number, factor, &value->number))
		return sw_fail(err, SW_CONFIG, "%s is out of range", text);
	if (units != NULL && number < 0)
		return sw_fail(err, SW_CONFIG, "%s is negative", text);
	return check_range(row, text, value->number, err);
}

static sw_rc
parse_path(char *text, struct sw_error *err)
{
	size_t len = strlen(text);

	if (text[0] != '/') {
		sw_fail(err, SW_CONFIG, "\"%s\" is not an absolute path", text);
		return sw_hint(err, "write it from / on");
	}
	while (len > 1 && text[len - 1] == '/')
		text[--len] = '\0';
	if (len >= PATH_MAX)
		return sw_fail(err, SW_CONFIG, "the path is longer than %d bytes", PATH_MAX - 1);
	return SW_OK;
}

sw_rc
sw_parse_add_item(const char *text, struct sw_value *value, struct sw_error *err)
{
	char **items;
	sw_rc rc = check_text(text, err);

	if (rc != SW_OK)
		return rc;
	if (value->item_count >= SW_PARSE_LIST_MAX)
		return sw_fail(err, SW_CONFIG, "more than %d values", SW_PARSE_LIST_MAX);
	items = reallocarray(value->items, value->item_count + 1, sizeof(*items));
	if (items == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	value->items = items;
	items[value->item_count] = strdup(text);
	if (items[value->item_count] == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	value->item_count++;
	return SW_OK;
}

static sw_rc
parse_list(char *text, struct sw_value *value, struct sw_error *err)
{
	char *rest = text;

	while (rest != NULL) {
		char *item = strsep(&rest, ",");
		size_t len;
		sw_rc rc;

		item += strspn(item, " ");
		len = strlen(item);
		while (len > 0 && item[len - 1] == ' ')
			item[--len] = '\0';
		rc = sw_parse_add_item(item, value, err);
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

static sw_rc
parse_typed(const struct sw_option_row *row, struct sw_value *value, struct sw_error *err)
{
	switch (row->type) {
	case SW_TYPE_BOOL:
		return parse_bool(value, err);
	case SW_TYPE_INT:
		return parse_number(row, value->text, NULL, 1, value, err);
	case SW_TYPE_SIZE:
		return parse_number(row, value->text, size_units, 1, value, err);
	case SW_TYPE_DURATION:
		return parse_number(row, value->text, duration_units, 1000, value, err);
	case SW_TYPE_ENUM:
		return parse_enum(row, value->text, value, err);
	case SW_TYPE_PATH:
		return parse_path(value->text, err);
	case SW_TYPE_LIST:
		return parse_list(value->text, value, err);
	case SW_TYPE_STRING:
		return SW_OK;
	}
	return sw_fail(err, SW_BUG, "option %s has an unknown type", row->name);
}

sw_rc
sw_parse_value(const struct sw_option_row *row, const char *text, struct sw_value *ret_value,
	struct sw_error *err)
{
	struct sw_value value = {0};
	sw_rc rc = check_text(text, err);

	if (rc != SW_OK)
		return rc;
	rc = set_text(&value, text, err);
	if (rc == SW_OK)
		rc = parse_typed(row, &value, err);
	if (rc != SW_OK) {
		sw_parse_release(&value);
		return rc;
	}
	*ret_value = value;
	return SW_OK;
}

void
sw_parse_release(struct sw_value *value)
{
	for (size_t i = 0; i < value->item_count; i++)
		free(value->items[i]);
	free(value->items);
	free(value->text);
	*value = (struct sw_value){0};
}

bool
sw_parse_is_name(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= SW_TABLE_NAME_MAX &&
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}
