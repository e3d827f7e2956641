/*
 * ini.h - the lines of a configuration file, as a walk that knows where it is.
 *
 * A line is "[section]", "name = value", a comment that begins with # or ;, or blank.  A value runs
 * to the end of its line: no quotes, no comments behind it, no continuation.
 */
#ifndef SW_CONFIG_INI_H
#define SW_CONFIG_INI_H

#include "base/error.h"

struct sw_ini {
	char *rest;    /* what is still to be read, NUL-terminated; the walk writes into it */
	unsigned line; /* of the item just read, from 1 */
};

enum sw_ini_kind { SW_INI_END, SW_INI_SECTION, SW_INI_SETTING };

struct sw_ini_item {
	enum sw_ini_kind kind;
	char *name;  /* of the section or of the setting, trimmed; borrowed from the text */
	char *value; /* SETTING: trimmed, may be empty */
};

/* SW_OK (also at the end), or SW_CONFIG; its words never quote the line, which may be a secret's. */
sw_rc sw_ini_next(struct sw_ini *ini, struct sw_ini_item *ret_item, struct sw_error *err);

#endif
