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
#include "base/error.h"
#include "pg/connection.h"
#include "pg/names.h"

#define SW_RELATION_NAME_MAX 64 /* NAMEDATALEN */

struct sw_relations_header {
	sw_lsn lsn;        /* the WAL's end when it was begun: what is older is in it */
	uint32_t timeline;
	int64_t time_us;
};

struct sw_relations_database {
	uint32_t oid, tablespace; /* its default one: what tablespace 0 of its relations means */
	char name[SW_RELATION_NAME_MAX];
	const char *reason;       /* NULL: its relations follow; else why they do not (datallowconn, no permission) */
};

struct sw_relations_schema {
	uint32_t database, oid;
	char name[SW_RELATION_NAME_MAX];
};

/* Never a temporary one.  Indexes, TOAST tables, sequences and views too, because the WAL speaks of all of them. */
struct sw_relation {
	uint32_t database;   /* 0: shared */
	uint32_t oid, schema;
	uint32_t owner;      /* TOAST table, index: the OID of its table; else 0 */
	uint32_t filenode;   /* now; mapped relations too; 0: it has no file */
	uint32_t tablespace; /* never 0 where there is a file */
	char kind;           /* pg_class.relkind */
	char name[SW_RELATION_NAME_MAX];
	int64_t rows;        /* reltuples; -1: not known */
	uint64_t bytes;      /* of the main fork */
};

/*
 * Ask every database that can be connected to, one after another, and put the object.  Serves primaries and standbys.
 * pg: a connection to the configured database, for the list.  A database that refuses is noted with its reason.
 * Memory: a row.  SW_OK; what the store gives; SW_TRANSIENT, SW_DENIED (not even the list).
 */
sw_rc sw_relations_put(const struct sw_config *config, struct sw_pg *pg, struct sw_repository *repo,
	const char *label, struct sw_error *err);

/* Callbacks get values that are valid during the call; schemas of a database come before its relations.  Any may be NULL. */
struct sw_relations_reader {
	sw_rc (*header)(void *ctx, const struct sw_relations_header *header, struct sw_error *err);
	sw_rc (*database)(void *ctx, const struct sw_relations_database *database, struct sw_error *err);
	sw_rc (*schema)(void *ctx, const struct sw_relations_schema *schema, struct sw_error *err);
	sw_rc (*relation)(void *ctx, const struct sw_relation *relation, struct sw_error *err);
	void *ctx;
};
/* SW_NOT_FOUND (proved absent), SW_CORRUPT, SW_CONFIG (newer), what the store or a callback gives. */
sw_rc sw_relations_read(struct sw_repository *repo, const char *label, const struct sw_relations_reader *reader,
	struct sw_error *err);

#endif
