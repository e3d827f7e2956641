/*
 * meaning.h - what the WAL tells a catalog: events, 64-bit transaction ids, times, changes of pg_class,
 * pg_namespace and pg_database, rows changed by each transaction, counts.  It takes the reader's records:
 *
 *     reader_params.each = sw_wal_meaning_record;
 *     reader_params.ctx = &meaning;
 *     reader_params.record_max = SW_WAL_MEANING_RECORD;
 *
 * Nothing here judges: an aborted transaction's acts are told as they come, and its end too.
 * Memory: params.changes_max * 80 bytes, 64 KiB, and the reader's.
 */
#ifndef SW_WAL_MEANING_H
#define SW_WAL_MEANING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/filenodes.h"
#include "wal/catalog.h"
#include "wal/change.h"
#include "wal/event.h"
#include "wal/record.h"

#define SW_WAL_MEANING_RECORD (4u << 20) /* a commit with a million subtransactions */

struct sw_wal_news {
	const struct sw_wal_record *record;
	const struct sw_wal_event *event; /* never SW_WAL_NOTHING; SW_WAL_ROWS of these catalogs only */
	uint64_t xid; /* of the event's transaction (COMMIT, ABORT, PREPARE), else of the record; 0: none, or not known */
	uint32_t catalog; /* SW_WAL_ROWS: SW_WAL_PG_CLASS, SW_WAL_PG_NAMESPACE or SW_WAL_PG_DATABASE */
	const struct sw_wal_catalog_row *row; /* SW_WAL_ROWS: what is known of it, or NULL */
};

/* Valid during the call only.  Any other result than SW_OK ends the reading with it. */
typedef sw_rc (*sw_wal_news_fn)(void *ctx, const struct sw_wal_news *news, struct sw_error *err);

struct sw_wal_moment {
	int64_t time_us;
	sw_lsn lsn;   /* where the COMMIT or ABORT begins */
	uint64_t xid; /* 64 bits, or 32 while xid_full is false */
	bool xid_full;
};

struct sw_wal_meaning_params {
	uint64_t next_xid;    /* as pg_control or a checkpoint near this WAL says; 0: not known */
	uint32_t block_size;  /* of relations */
	uint32_t changes_max; /* (transaction, relation) pairs kept at once */
	uint64_t changes_min; /* rows; what committed with fewer is forgotten */
	uint32_t changes_from; /* not counted: rows of filenodes below this, and of pg_class and pg_database; 0: all are */
	const struct sw_filenode *class_files; /* besides the first one of each and those that the WAL itself tells; copied */
	size_t class_file_count;
	uint32_t database_file; /* of pg_database, besides its first one; 0: none */
	sw_wal_news_fn each;  /* or NULL */
	void *ctx;
};

struct sw_wal_meaning {
	struct sw_wal_meaning_params params;
	/* results, at any time */
	uint64_t records[256], bytes[256]; /* by resource manager */
	uint64_t images, image_bytes;      /* full pages */
	uint64_t commits, aborts;          /* prepared forms too */
	struct sw_wal_moment first, last, earliest, latest; /* of those: by LSN, by time; lsn 0: none */
	uint64_t next_xid;                 /* 64 bits; 0: not known */
	struct sw_wal_changes changes;
	uint64_t malformed;                /* records with a right CRC that no server could replay */
	sw_lsn malformed_at;               /* the first of them */
	/* private: files of pg_class, where they are not the first ones */
	struct sw_filenode *class_files; /* sorted */
	size_t class_file_count;
	uint64_t class_file_bits; /* which filenodes they may be */
	uint32_t database_file;
};

/* SW_OK, SW_SYSTEM. */
sw_rc sw_wal_meaning_init(struct sw_wal_meaning *meaning, const struct sw_wal_meaning_params *params,
	struct sw_error *err);
void sw_wal_meaning_release(struct sw_wal_meaning *meaning);

/* A sw_wal_record_fn; ctx: the struct sw_wal_meaning. */
sw_rc sw_wal_meaning_record(void *ctx, const struct sw_wal_record *record, struct sw_error *err);

/* The 64-bit form of a transaction id of this WAL, or 0 as long as none is known. */
uint64_t sw_wal_meaning_xid(const struct sw_wal_meaning *meaning, uint32_t xid);

#endif
