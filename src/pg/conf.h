/*
 * conf.h - text of postgresql.conf and its kind.  PostgreSQL utils/misc/guc-file.l, 14 … 18.
 */
#ifndef SW_PG_CONF_H
#define SW_PG_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define SW_CONF_NAME_MAX 64
#define SW_CONF_VALUE_MAX 1024

struct sw_conf_setting {
	const char *name, *value;
};

/* A line without its newline.  False if it sets nothing (empty, comment, malformed).  Quotes and escapes are
 * taken away; a longer value is cut. */
bool sw_conf_parse_line(const char *line, size_t len, char ret_name[SW_CONF_NAME_MAX],
	char ret_value[SW_CONF_VALUE_MAX]);

/* Append "name = 'value'\n".  SW_OK, SW_CONFIG (a line break in the value), and as sw_buf_append. */
sw_rc sw_conf_append(struct sw_buf *buf, const struct sw_conf_setting *setting, struct sw_error *err);

/* Append the lines of `text` that set none of the names (whose case does not matter). */
sw_rc sw_conf_append_without(struct sw_buf *buf, const char *text, size_t len,
	const struct sw_conf_setting *settings, size_t count, struct sw_error *err);

/* The setting names a place or a program that is not the data directory's own: data_directory, hba_file,
 * log_directory, archive_command, include and so on with absolute paths. */
bool sw_conf_points_elsewhere(const char *name, const char *value);

#endif
