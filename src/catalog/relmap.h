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
	bool listed;       /* a backup has it */
	bool row_lost;     /* its row of pg_class may be elsewhere */
	bool name_unsure;  /* it may have got another one since */
	uint32_t named_gap; /* the map's `gaps` when its name was told */
	sw_lsn placed_at;  /* sw_moves_apply's: the COMMIT that moved its row */
	char name[SW_RELMAP_NAME];
};

struct sw_relmap_database {
	struct sw_hash_key key; /* OID, 0 */
	uint32_t tablespace;    /* its default one; 0: not known */
	sw_lsn invalidated;     /* where DROP DATABASE made it unusable; 0: it did not */
	sw_lsn lsn;             /* a COMMIT before it may be seen in what the last backup tells; 0: not known */
	bool other_bytes;       /* in the WAL names have other bytes than here */
	bool name_unsure;
	char name[SW_RELMAP_NAME];
};

/* A row of a catalog: whose it is. */
struct sw_relmap_row {
	struct sw_hash_key key; /* private */
	uint32_t file, oid;     /* the catalog's file; the relation, schema or database */
};

struct sw_relmap {
	struct sw_hash relations, files, schemas, databases, tablespaces, rows;
	struct sw_hash former; /* names at the last backup, of what was renamed since */
	uint32_t gaps;         /* that were met: rows may have moved unseen, and names may be older */
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

/* The row at this place of the catalog's file; NULL: not known.  database 0: pg_database's. */
struct sw_relmap_row *sw_relmap_row(const struct sw_relmap *map, uint32_t database, uint32_t file,
	struct sw_wal_place place);
sw_rc sw_relmap_set_row(struct sw_relmap *map, uint32_t database, uint32_t file, struct sw_wal_place place, uint32_t oid,
	struct sw_error *err);
void sw_relmap_forget_row(struct sw_relmap *map, struct sw_relmap_row *row);
void sw_relmap_forget_rows(struct sw_relmap *map); /* all of them */
/* WAL is missing: rows may have moved. */
void sw_relmap_gap(struct sw_relmap *map);

/* A new name and schema for a relation that is known. */
sw_rc sw_relmap_rename(struct sw_relmap *map, struct sw_relmap_relation *relation, const char *name, uint32_t schema,
	struct sw_error *err);
sw_rc sw_relmap_set_schema(struct sw_relmap *map, uint32_t database, uint32_t oid, const char *name, struct sw_error *err);
/* What a relation that was renamed since the last backup was called then; NULL: it was not, or was not there. */
const char *sw_relmap_former_name(const struct sw_relmap *map, uint32_t database, uint32_t oid);

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
