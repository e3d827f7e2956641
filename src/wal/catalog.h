/*
 * catalog.h - rows of pg_class, pg_namespace and pg_database as the WAL has them, PostgreSQL 14 … 18
 * (catalog/pg_class.h and so on): as much of a row as the record carries, for names and files of relations.
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
#define SW_WAL_PG_NAMESPACE 2615
#define SW_WAL_NAME_LEN 64
#define SW_WAL_HEAD_LEN 72 /* OID, name, and a third column: pg_class's is the schema, the others' the owner */

/*
 * Bytes [from, to) of a row's head; others are not known.  In an UPDATE's record those that are missing are the old
 * row's.
 */
struct sw_wal_head {
	uint8_t from, to; /* equal: nothing */
	uint8_t bytes[SW_WAL_HEAD_LEN];
};

struct sw_wal_head sw_wal_head_make(uint32_t oid, const char *name, uint32_t third);
/* What `with` has goes over what `head` has.  False: they do not meet, and head is as before. */
bool sw_wal_head_lay(struct sw_wal_head *head, const struct sw_wal_head *with);
bool sw_wal_head_is_whole(const struct sw_wal_head *head);
uint32_t sw_wal_head_oid(const struct sw_wal_head *head); /* 0: not in it */
/* Of a whole one. */
void sw_wal_head_name(const struct sw_wal_head *head, char ret_name[SW_WAL_NAME_LEN]);
uint32_t sw_wal_head_third(const struct sw_wal_head *head);

/* 0 and "": not in the record.  An UPDATE leaves out what it has in common with the old row. */
struct sw_wal_catalog_row {
	uint32_t oid;
	char name[SW_WAL_NAME_LEN];
	struct sw_wal_head head;
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
bool sw_wal_catalog_namespace(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row);
bool sw_wal_catalog_database(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row);

#endif
