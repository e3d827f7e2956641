/*
 * catalog.h - rows of pg_class and pg_database as the WAL has them, PostgreSQL 14 … 18 (catalog/pg_class.h,
 * catalog/pg_database.h): as much of a row as the record carries, for names and files of relations.
 */
#ifndef SW_WAL_CATALOG_H
#define SW_WAL_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/decode.h"
#include "wal/event.h"
#include "wal/record.h"

#define SW_WAL_PG_CLASS 1259 /* OIDs, and their first filenodes */
#define SW_WAL_PG_DATABASE 1262
#define SW_WAL_NAME_LEN 64

/* 0 and "": not in the record.  An UPDATE leaves out what it has in common with the old row. */
struct sw_wal_catalog_row {
	uint32_t oid;
	char name[SW_WAL_NAME_LEN];
	/* pg_class: */
	uint32_t schema; /* OID */
	uint32_t filenode, tablespace;
	bool has_filenode, has_tablespace; /* 0 is a value too: a mapped relation; the database's default */
	char persistence; /* 'p', 'u' unlogged, 't' temporary */
	char kind; /* 'r' table, 'i' index, 'S', 't' toast, 'v', 'm', 'c', 'f', 'p', 'I' */
	/* pg_database: */
	bool invalid; /* datconnlimit -2: DROP DATABASE has begun */
};

/*
 * event: of kind SW_WAL_ROWS, on a relation that is the catalog; parts and record: the same record's.
 * The new row of an INSERT, UPDATE or IN_PLACE, the old one of a DELETE, from the record's own bytes or from a page
 * image that is not compressed.  False: nothing of it is there.
 */
bool sw_wal_catalog_class(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row);
bool sw_wal_catalog_database(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row);

#endif
