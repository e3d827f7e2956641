/*
 * parse.h - an option's text becomes its value.
 */
#ifndef SW_CONFIG_PARSE_H
#define SW_CONFIG_PARSE_H

#include "config/table.h"

#define SW_PARSE_VALUE_MAX 16384
#define SW_PARSE_LIST_MAX 256

struct sw_value {
	char *text;     /* as a file would have it; NULL for a LIST */
	int64_t number; /* BOOL 0 or 1, INT, SIZE in bytes, DURATION in ms, ENUM the word's index */
	char **items;   /* LIST */
	size_t item_count;
};

/*
 * text: the whole value; for a LIST its items with commas between them.
 * SW_OK; SW_CONFIG, with words that name neither option nor place (the caller wraps them) and never
 * the value of a secret; SW_SYSTEM (memory).
 */
sw_rc sw_parse_value(const struct sw_option_row *row, const char *text, struct sw_value *ret_value,
	struct sw_error *err);

/* One more item, commas and all.  value: a LIST's, zeroed at first.  The same results. */
sw_rc sw_parse_add_item(const char *text, struct sw_value *value, struct sw_error *err);

void sw_parse_release(struct sw_value *value);

/* A name of a repository or a cluster: letters, digits, '_' and '-', at most SW_TABLE_NAME_MAX. */
bool sw_parse_is_name(const char *text);

/* A SIZE or DURATION in its largest whole unit, anything else as a number.  Returns buf. */
#define SW_PARSE_NUMBER_LEN 32
char *sw_parse_format(enum sw_option_type type, int64_t number, char buf[SW_PARSE_NUMBER_LEN]);

#endif
