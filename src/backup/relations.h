/*
 * relations.h - names: which databases and relations there were when a backup was made.
 *
 * <prefix>backup/<label>/relations.zst, put before the manifest; one zstd frame of JSON lines, doc/FORMAT.md
 * "Relations".  A backup without it (older, or made without a connection to any database) is whole all the same.
 */
#ifndef SW_BACKUP_RELATIONS_H
#define SW_BACKUP_RELATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "backup/manifest.h"
#include "base/error.h"
#include "pg/connection.h"
#include "pg/names.h"

#define SW_RELATION_NAME_MAX 64 /* NAMEDATALEN */
#define SW_RELATIONS_SCHEMA_FILE 2615 /* pg_namespace's first file: only there its rows have places */

struct sw_relations_header {
	sw_lsn lsn;        /* the WAL's end when it was begun: what is older is in it */
	uint32_t timeline;
	int64_t time_us;
};

/* Where the row is in its catalog's file; offset 0: an older backup, which does not say. */
struct sw_relations_place {
	uint32_t block;
	uint16_t offset;
};

struct sw_relations_database {
	uint32_t oid, tablespace; /* its default one: what tablespace 0 of its relations means */
	char name[SW_RELATION_NAME_MAX];
	uint32_t file;            /* of pg_database, where `place` is */
	struct sw_relations_place place;
	uint32_t class_file;      /* of pg_class, where its relations' places are; 0: not told */
	sw_lsn lsn;               /* the WAL's end before its snapshot was taken; 0: not told */
	bool other_bytes;         /* its encoding is not UTF-8, so names there have other bytes than here */
	const char *reason;       /* NULL: its relations follow; else why they do not (datallowconn, no permission, an error) */
};

struct sw_relations_schema {
	uint32_t database, oid;
	char name[SW_RELATION_NAME_MAX];
	struct sw_relations_place place; /* in the file 2615 */
};

struct sw_relations_tablespace {
	uint32_t oid;
	char name[SW_RELATION_NAME_MAX];
};

/* Never a temporary one.  Indexes, TOAST tables, sequences and views too, because the WAL speaks of all of them. */
struct sw_relation {
	uint32_t database;   /* 0: shared */
	uint32_t oid, schema;
	uint32_t owner;      /* TOAST table, index: the OID of its table (of a TOAST table's index: of the TOAST table); else 0 */
	uint32_t filenode;   /* now; mapped relations too; 0: it has no file */
	uint32_t tablespace; /* never 0 where there is a file */
	char kind;           /* pg_class.relkind */
	bool unlogged;       /* older backups do not say */
	char name[SW_RELATION_NAME_MAX];
	int64_t rows;        /* the server's estimate; -1: not known */
	uint64_t bytes;      /* of the main fork: its files' sizes, else what pg_class.relpages says */
	struct sw_relations_place place; /* of a shared one: of its row in this database */
};

struct sw_relations_params {
	const struct sw_config *config; /* to connect to each database */
	struct sw_pg *pg;               /* connected to the configured one, for the list */
	struct sw_repository *repo;
	const struct sw_manifest_header *header; /* label, major, catalog_version; sizes are of the files in pgdata */
};

/*
 * Ask every database that can be connected to, one after another, and put the object.  Serves primaries and standbys.
 * Each database is told as one snapshot has it, after the header's LSN was taken.  One that refuses, or does not answer
 * for a minute, is noted with its reason, and a warning.
 * Memory: a row, the list of databases and 4 MiB; beyond that an unlinked file with one database's lines.
 * SW_OK; what the store gives; SW_TRANSIENT, SW_DENIED (not even the list); SW_SYSTEM (by a signal, too).
 */
sw_rc sw_relations_put(const struct sw_relations_params *params, struct sw_error *err);

/*
 * Callbacks get values that are valid during the call: tablespaces, then each database with its schemas before its
 * relations; shared relations are told within one of the databases.  Names are UTF-8 of 1 … 63 bytes, cut to that and with
 * '?' for what is none, and may hold control characters.  Any callback may be NULL.
 */
struct sw_relations_reader {
	sw_rc (*header)(void *ctx, const struct sw_relations_header *header, struct sw_error *err);
	sw_rc (*tablespace)(void *ctx, const struct sw_relations_tablespace *tablespace, struct sw_error *err);
	sw_rc (*database)(void *ctx, const struct sw_relations_database *database, struct sw_error *err);
	sw_rc (*schema)(void *ctx, const struct sw_relations_schema *schema, struct sw_error *err);
	sw_rc (*relation)(void *ctx, const struct sw_relation *relation, struct sw_error *err);
	void *ctx;
};
/* SW_NOT_FOUND (proved absent), SW_CORRUPT, SW_CONFIG (newer), what the store or a callback gives. */
sw_rc sw_relations_read(struct sw_repository *repo, const char *label, const struct sw_relations_reader *reader,
	struct sw_error *err);

#endif
