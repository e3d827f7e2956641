/*
 * relmap.h - what relations are called, and whose a file is: from backups' lists of relations and from the rows of
 * pg_class and pg_database in the WAL.
 */
#ifndef SW_CATALOG_RELMAP_H
#define SW_CATALOG_RELMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "catalog/hash.h"
#include "wal/digest.h"

#define SW_RELMAP_NAME 64
#define SW_RELMAP_FIRST_NORMAL 16384 /* access/transam.h: below are OIDs of what initdb made */

struct sw_relmap_relation {
	struct sw_hash_key key; /* database (0: shared), OID */
	uint32_t schema;
	uint32_t owner;    /* TOAST table, index: the OID of its table; 0: none, or not known */
	uint32_t filenode; /* 0: no file, or not known */
	uint32_t tablespace;
	int64_t rows;      /* at the last backup; -1: not known */
	uint64_t bytes;
	sw_lsn marks_at;   /* the caller's: which COMMIT `marks` is of */
	uint8_t marks;
	char kind;         /* pg_class.relkind; 0: not known */
	bool unlogged;     /* as far as is known */
	char name[SW_RELMAP_NAME];
};

struct sw_relmap_database {
	struct sw_hash_key key; /* OID, 0 */
	uint32_t tablespace;    /* its default one; 0: not known */
	sw_lsn invalidated;     /* where DROP DATABASE made it unusable; 0: it did not */
	char name[SW_RELMAP_NAME];
};

struct sw_relmap {
	struct sw_hash relations, files, schemas, databases, tablespaces;
};

void sw_relmap_init(struct sw_relmap *map);
void sw_relmap_release(struct sw_relmap *map);
/* ret_copy: not initialised before; on failure nothing is to be released.  SW_OK, SW_SYSTEM. */
sw_rc sw_relmap_copy(const struct sw_relmap *map, struct sw_relmap *ret_copy, struct sw_error *err);

/* NULL: not known.  Valid until something is put.  Names may be "". */
struct sw_relmap_relation *sw_relmap_relation(const struct sw_relmap *map, uint32_t database, uint32_t oid);
struct sw_relmap_database *sw_relmap_database(const struct sw_relmap *map, uint32_t oid);
const char *sw_relmap_schema_name(const struct sw_relmap *map, uint32_t database, uint32_t oid);
const char *sw_relmap_tablespace_name(const struct sw_relmap *map, uint32_t oid);

/*
 * The OID of the relation that has, or had, this file; 0: not known.  Where nothing tells, a relation whose OID is
 * the filenode counts: a relation's first file is called so.
 */
uint32_t sw_relmap_owner_of_file(const struct sw_relmap *map, const struct sw_wal_relation *file);

/* "pg_toast_", "pg_toast_16384_index": 16384.  0: no such name. */
uint32_t sw_relmap_oid_behind(const char *prefix, const char *name);

/* A row of pg_class or pg_database that was inserted.  file: its file if that was seen, or NULL. */
sw_rc sw_relmap_born(struct sw_relmap *map, const struct sw_wal_born *born, const struct sw_wal_relation *file,
	struct sw_error *err);
/* The relation has this file from now on (what it had stays known as its).  Of a relation that is not known, too. */
sw_rc sw_relmap_set_file(struct sw_relmap *map, uint32_t oid, const struct sw_wal_relation *file, struct sw_error *err);
sw_rc sw_relmap_invalidated(struct sw_relmap *map, const struct sw_wal_invalidated *gone, struct sw_error *err);

void sw_relmap_forget_relation(struct sw_relmap *map, uint32_t database, uint32_t oid);
void sw_relmap_forget_file(struct sw_relmap *map, const struct sw_wal_relation *file);
void sw_relmap_forget_database(struct sw_relmap *map, uint32_t oid);

/*
 * What a backup lists.  later: only gaps are filled, and nothing is said of sizes.
 * SW_OK (also when the backup has no list), SW_CORRUPT, what the store gives.
 */
sw_rc sw_relmap_learn(struct sw_relmap *map, struct sw_repository *repo, const char *label, bool later,
	struct sw_error *err);

#endif
