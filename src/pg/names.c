#include "pg/names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* --- WAL file names -------------------------------------------------------- */

/* PostgreSQL writes upper case only and takes nothing else (XLogFileName, IsXLogFileName). */
static int
upper_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
take_hex8(const char **p, uint32_t *ret_value)
{
	uint32_t value = 0;

	for (int i = 0; i < 8; i++) {
		int digit = upper_hex_digit((*p)[i]);

		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*p += 8;
	*ret_value = value;
	return true;
}

bool
sw_wal_segment_size_ok(uint64_t segment_size)
{
	return segment_size >= 1 << 20 && segment_size <= 1 << 30 &&
		(segment_size & (segment_size - 1)) == 0;
}

static bool
parse_suffix(const char *p, uint32_t segment_size, struct sw_wal_name *name)
{
	if (*p == '\0') {
		name->kind = SW_WAL_SEGMENT;
		return true;
	}
	if (strcmp(p, ".partial") == 0) {
		name->kind = SW_WAL_PARTIAL;
		return true;
	}
	if (*p++ != '.' || !take_hex8(&p, &name->offset) || strcmp(p, ".backup") != 0)
		return false;
	name->kind = SW_WAL_BACKUP;
	return name->offset < segment_size;
}

bool
sw_wal_name_parse(const char *text, uint32_t segment_size, struct sw_wal_name *ret_name)
{
	struct sw_wal_name name = {0};
	const char *p = text;
	uint32_t high, low, per_id;

	if (!take_hex8(&p, &name.timeline) || name.timeline == 0)
		return false;
	if (strcmp(p, ".history") == 0) {
		name.kind = SW_WAL_HISTORY;
		*ret_name = name;
		return true;
	}
	if (!sw_wal_segment_size_ok(segment_size) || !take_hex8(&p, &high) || !take_hex8(&p, &low))
		return false;
	per_id = (uint32_t)((UINT64_C(1) << 32) / segment_size);
	if (low >= per_id || !parse_suffix(p, segment_size, &name))
		return false;
	name.segment = (uint64_t)high * per_id + low;
	*ret_name = name;
	return true;
}

char *
sw_wal_name_format(const struct sw_wal_name *name, uint32_t segment_size, char buf[SW_WAL_NAME_MAX])
{
	uint64_t per_id = (UINT64_C(1) << 32) / segment_size;
	int len;

	if (name->kind == SW_WAL_HISTORY) {
		snprintf(buf, SW_WAL_NAME_MAX, "%08X.history", name->timeline);
		return buf;
	}
	len = snprintf(buf, SW_WAL_NAME_MAX, "%08X%08X%08X", name->timeline,
		(uint32_t)(name->segment / per_id), (uint32_t)(name->segment % per_id));
	if (name->kind == SW_WAL_PARTIAL)
		snprintf(buf + len, SW_WAL_NAME_MAX - (size_t)len, ".partial");
	else if (name->kind == SW_WAL_BACKUP)
		snprintf(buf + len, SW_WAL_NAME_MAX - (size_t)len, ".%08X.backup", name->offset);
	return buf;
}

/* --- LSNs ------------------------------------------------------------------ */

char *
sw_lsn_format(sw_lsn lsn, char buf[SW_LSN_LEN])
{
	snprintf(buf, SW_LSN_LEN, "%X/%X", (uint32_t)(lsn >> 32), (uint32_t)lsn);
	return buf;
}

/* One to eight digits of either case, as pg_lsn_in. */
static bool
take_hex(const char **p, uint32_t *ret_value)
{
	uint32_t value = 0;
	int count = 0;

	for (;; count++) {
		char c = (*p)[count];
		int digit = upper_hex_digit(c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c);

		if (digit < 0)
			break;
		if (count == 8)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*p += count;
	*ret_value = value;
	return count > 0;
}

bool
sw_lsn_parse(const char *text, sw_lsn *ret_lsn)
{
	const char *p = text;
	uint32_t high, low;

	if (!take_hex(&p, &high) || *p++ != '/' || !take_hex(&p, &low) || *p != '\0')
		return false;
	*ret_lsn = (uint64_t)high << 32 | low;
	return true;
}

/* --- relation files -------------------------------------------------------- */

/* A number as PostgreSQL prints it: no sign, no leading zero, 1 … 4294967295. */
static bool
take_number(const char **p, uint32_t *ret_value)
{
	uint64_t value = 0;
	const char *s = *p;

	if (*s < '1' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		value = value * 10 + (uint64_t)(*s - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*p = s;
	*ret_value = (uint32_t)value;
	return true;
}

static bool
take_text(const char **p, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*p, text, len) != 0)
		return false;
	*p += len;
	return true;
}

/* PG_15_202209061/ (TABLESPACE_VERSION_DIRECTORY) */
static bool
take_version_directory(const char **p)
{
	uint32_t major, catalog;

	return take_text(p, "PG_") && take_number(p, &major) && take_text(p, "_") &&
		take_number(p, &catalog) && take_text(p, "/");
}

/* The directories that hold relation files, up to and with the last slash. */
static bool
take_directory(const char **p)
{
	uint32_t oid;

	if (take_text(p, "global/"))
		return true;
	if (take_text(p, "pg_tblspc/")) {
		if (!take_number(p, &oid) || !take_text(p, "/") || !take_version_directory(p))
			return false;
	} else if (!take_text(p, "base/")) {
		return false;
	}
	return take_number(p, &oid) && take_text(p, "/");
}

/* "t3_": backend numbers start at 0 from PostgreSQL 17 on. */
static bool
take_temporary(const char **p)
{
	uint32_t backend;

	if (!take_text(p, "t"))
		return false;
	return (take_text(p, "0") || take_number(p, &backend)) && take_text(p, "_");
}

static enum sw_fork
take_fork(const char **p)
{
	if (take_text(p, "_fsm"))
		return SW_FORK_FSM;
	if (take_text(p, "_vm"))
		return SW_FORK_VM;
	if (take_text(p, "_init"))
		return SW_FORK_INIT;
	return SW_FORK_MAIN;
}

bool
sw_relation_file_parse(const char *path, struct sw_relation_file *ret_file)
{
	struct sw_relation_file file = {0};
	const char *p = path;

	if (!take_directory(&p))
		return false;
	if (*p == 't') {
		if (!take_temporary(&p))
			return false;
		file.temporary = true;
	}
	if (!take_number(&p, &file.filenode))
		return false;
	file.fork = take_fork(&p);
	if (take_text(&p, ".") && !take_number(&p, &file.segment))
		return false;
	if (*p != '\0')
		return false;
	*ret_file = file;
	return true;
}
