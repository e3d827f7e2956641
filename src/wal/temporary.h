/*
 * temporary.h - which rows of pg_class are temporary relations': many records of such a row do not tell.  A table of
 * fixed size that forgets.
 */
#ifndef SW_WAL_TEMPORARY_H
#define SW_WAL_TEMPORARY_H

#include <stdbool.h>
#include <stdint.h>

#define SW_WAL_TEMPORARY_ROWS 4096

struct sw_wal_temporary {
	uint32_t salt; /* what nobody can know; see sw_wal_change_salt */
	struct {
		uint32_t database, file, block;
		uint16_t offset; /* 0: free */
	} rows[SW_WAL_TEMPORARY_ROWS];
	struct {
		uint32_t database, oid; /* 0: free */
	} relations[SW_WAL_TEMPORARY_ROWS];
};

/* Zeroed at first, but for the salt.  file: pg_class's. */
bool sw_wal_temporary_row(const struct sw_wal_temporary *t, uint32_t database, uint32_t file, uint32_t block,
	uint16_t offset);
void sw_wal_temporary_set_row(struct sw_wal_temporary *t, uint32_t database, uint32_t file, uint32_t block,
	uint16_t offset, bool temporary);
bool sw_wal_temporary_relation(const struct sw_wal_temporary *t, uint32_t database, uint32_t oid);
void sw_wal_temporary_set_relation(struct sw_wal_temporary *t, uint32_t database, uint32_t oid, bool temporary);

#endif
