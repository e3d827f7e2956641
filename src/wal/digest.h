/*
 * digest.h - what a catalog keeps of a stretch of WAL: of a segment, or of the one record that lies across the
 * border of two.  Made while the bytes pass the reader; stored as JSON in the WAL object's summary and in the index.
 *
 * Transactions that ended within the stretch with nothing to tell leave only their part in the counts and moments.
 * Aborted work is never told.  What a transaction did in several stretches is told in parts, by the xid of the
 * records, which may be a subtransaction's: `ends` and an act's `subxids` say to whom the parts belong.
 */
#ifndef SW_WAL_DIGEST_H
#define SW_WAL_DIGEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wal/decode.h"
#include "wal/event.h"
#include "wal/catalog.h"
#include "wal/fragment.h"
#include "wal/meaning.h"
#include "wal/reader.h"

#define SW_WAL_DIGEST_ACTS_MAX 1024      /* of one digest; each of its lists has at most: */
#define SW_WAL_DIGEST_LIST_MAX 65536     /* and all of them 4 MiB */
#define SW_WAL_DIGEST_ENDS 128           /* ends kept: those with the lowest xids */
#define SW_WAL_DIGEST_POINTS_MAX 1024    /* restore points; checkpoints likewise */
#define SW_WAL_DIGEST_MOVED_MAX 8192     /* rows of catalogs that moved, in all acts */
#define SW_WAL_DIGEST_CHANGES 128        /* (transaction, relation) pairs kept: those with the most rows; `truncated` says
                                          * that one of the others has SW_WAL_DIGEST_CHANGES_MIN rows or more */
#define SW_WAL_DIGEST_CHANGES_MIN 100    /* rows; what a transaction that began and ended here changed below that is not told */

/* A relation's OID: in statistics that go with it, in TRUNCATE by name. */
struct sw_wal_object {
	uint32_t database, oid;
};

/* Where a row is in a catalog's file. */
struct sw_wal_place {
	uint32_t block;
	uint16_t offset; /* 0: nowhere, or not known */
};

/* A row of pg_class or pg_database (then kind 'D') that a transaction inserted; never of a temporary relation. */
struct sw_wal_born {
	uint32_t database; /* of pg_class's row; kind 'D': 0 */
	uint32_t oid, schema, filenode, tablespace;
	char kind;         /* pg_class.relkind, or 'D' */
	bool unlogged;
	char name[SW_WAL_NAME_LEN];
	uint32_t file; /* the catalog's; not told by older digests, like the place */
	struct sw_wal_place place;
};

/*
 * A row of pg_class, pg_namespace or pg_database got another place, because it was updated.  pg_namespace: or was
 * inserted (`from` nowhere); pg_class in 14: or deleted (`to` nowhere).
 */
struct sw_wal_moved {
	uint32_t catalog;        /* SW_WAL_PG_CLASS, … */
	uint32_t database, file; /* the catalog's */
	struct sw_wal_place from, to;
	sw_lsn lsn;
	bool unseen;             /* what the row has in it is not known */
	struct sw_wal_head head; /* what is new in it, and perhaps more */
};

/* DROP DATABASE, DROP TABLESPACE: its first record that cannot be undone by stopping behind it. */
struct sw_wal_gone {
	uint32_t oid;
	sw_lsn lsn;
};

struct sw_wal_rows {
	struct sw_wal_relation relation;
	uint64_t updates, deletes;
	sw_lsn first;
};

/*
 * What one transaction did, as far as this stretch shows it.
 *
 * A relation that was born in a transaction and dropped by it, and the file that it was born with, are left out of
 * `dropped`, `dropped_oids` and `created`, as far as both are in this stretch.  `dropped_oids` may be of temporary relations whose
 * birth is not in this stretch; from 15 on deleting rows of pg_class is nothing to tell of a transaction that committed here
 * and did nothing else.
 */
struct sw_wal_act {
	uint64_t xid;      /* 64 bits if the digest's xid_full; committed: the top one, else that of the records */
	bool committed;    /* here; else it was still open at the stretch's end */
	bool prepared;     /* committed by COMMIT PREPARED */
	bool cut;          /* a list is longer than what is kept */
	sw_lsn first;      /* its first record told here */
	sw_lsn lsn;        /* committed: where the COMMIT begins; else 0 */
	int64_t time_us;   /* committed */
	uint32_t database; /* committed: of the transaction; 0: not told */
	uint32_t class_updates, class_deletes; /* rows of pg_class, not in place, not known to be temporary relations' */
	bool remapped;     /* a mapped catalog got another file */
	uint32_t *subxids; /* committed: all of them, 32 bits */
	size_t subxid_count;
	struct sw_wal_relation *dropped;  /* COMMIT: files that went */
	size_t dropped_count;
	struct sw_wal_object *dropped_oids; /* COMMIT, 15 and later: relations whose statistics went */
	size_t dropped_oid_count;
	struct sw_wal_object *touched;    /* COMMIT that drops files: relations that it changed, by their cache's invalidation */
	size_t touched_count;               /* … or moved rows of catalogs */
	struct sw_wal_relation *created;  /* files made, main fork, or init fork of an unlogged relation; not those of CREATE
	                                   * DATABASE, or made before there was an xid */
	size_t created_count;
	struct sw_wal_born *born;
	size_t born_count;
	struct sw_wal_moved *moved;       /* by LSN; those of born rows and those that follow one another are joined */
	size_t moved_count;
	bool moved_cut;    /* there are more, and they may have other names */
	bool places_cut;   /* there are more, with the names that they had */
	struct sw_wal_object *truncated;  /* wal_level = logical only */
	size_t truncated_count;
	struct sw_wal_gone *databases, *tablespaces;
	size_t database_count, tablespace_count;
	struct sw_wal_rows *rows;
	size_t rows_count;
};

struct sw_wal_end {
	uint64_t xid;
	bool committed;
	sw_lsn lsn;
	int64_t time_us;
	uint32_t *subxids; /* that are below ends_below, 32 bits */
	size_t subxid_count;
};

struct sw_wal_point {
	sw_lsn lsn; /* where the record begins */
	sw_lsn end; /* where the next one begins */
	int64_t time_us;
	char name[64];
};

struct sw_wal_checkpoint {
	sw_lsn lsn, redo;
	bool shutdown, end_of_recovery; /* end_of_recovery: that record, no checkpoint */
	uint32_t timeline, previous_timeline;
	uint64_t next_xid;              /* 0: not told (end_of_recovery) */
	int64_t time_us;
};

/* A database made unusable in place (datconnlimit -2), which DROP DATABASE does before its first other record. */
struct sw_wal_invalidated {
	uint32_t oid;
	sw_lsn lsn;
	char name[SW_WAL_NAME_LEN]; /* or "" */
};

struct sw_wal_digest {
	enum sw_wal_verdict verdict;
	sw_lsn start, valid_to, broken_at;
	char reason[256];         /* verdict not COMPLETE */
	unsigned major;           /* 0: unknown format, or no WAL */
	uint32_t magic;           /* verdict UNKNOWN: of its pages */
	uint32_t first_timeline, last_timeline; /* of pages */
	sw_lsn last_timeline_from;
	sw_lsn first, last;       /* where the first and last record begin; 0: none */
	sw_lsn first_prev;        /* xl_prev of the first */
	bool switched;            /* ends with a switch record */
	bool tail_aborted;
	bool truncated;           /* something that belongs here is missing: the WAL itself must be read */

	uint64_t records, commits, aborts;
	struct sw_wal_moment first_end, last_end, earliest, latest; /* of commits and aborts; lsn 0: none */
	bool xid_full;            /* xids are 64-bit ones */
	uint64_t xid_min, xid_max; /* of all that ended here, subtransactions too; 0: none */
	uint64_t xid_next;        /* the highest xid seen, plus 1; 0: none */
	int64_t time_max_us;      /* the latest of all times told: ends, checkpoints, restore points; 0: none */

	struct sw_wal_point *points;
	size_t point_count;
	struct sw_wal_checkpoint *checkpoints;
	size_t checkpoint_count;
	struct sw_wal_invalidated *invalidated;
	size_t invalidated_count;
	struct sw_wal_act *acts;  /* by commit LSN, the open ones last */
	size_t act_count;
	struct sw_wal_end *ends;  /* by xid */
	size_t end_count;
	uint64_t ends_below;      /* every transaction with a lower xid that ended here is in `ends`; UINT64_MAX: all */

	struct sw_wal_fragment *tail, *head; /* NULL: none */
};

void sw_wal_digest_release(struct sw_wal_digest *digest);

/* Bytes that its lists may take. */
size_t sw_wal_digest_memory(const struct sw_wal_digest *digest);

/* --- making ---------------------------------------------------------------------- */

struct sw_wal_digester; /* a reader, the meaning of its records, and what is gathered of them */

struct sw_wal_digester_params {
	sw_lsn start;
	uint32_t segment_size, timeline; /* as for the reader */
	uint64_t system_identifier;
	uint32_t block_size;
	const struct sw_filenode *class_files; /* as for the meaning; copied */
	size_t class_file_count;
	uint32_t database_file;
	uint64_t next_xid; /* near this WAL; 0: not known, and xids have 32 bits until a checkpoint tells */
};

/*
 * The digester is fed like a stage and never fails for what is wrong with the WAL: digest.verdict says it.
 * next: takes what was written, or NULL.  SW_OK, SW_SYSTEM, SW_BUG.
 * Memory: about 1.5 MiB, plus 4 MiB while a record that long passes; the digest itself at most 4 MiB.
 */
sw_rc sw_wal_digester_new(const struct sw_wal_digester_params *params, struct sw_stage *next,
	struct sw_wal_digester **ret_digester, struct sw_error *err);
struct sw_stage *sw_wal_digester_stage(struct sw_wal_digester *digester);
/* After the stage was finished: the digest, which the caller owns. */
sw_rc sw_wal_digester_take(struct sw_wal_digester *digester, struct sw_wal_digest *ret_digest, struct sw_error *err);
void sw_wal_digester_free(struct sw_wal_digester *digester); /* NULL is allowed */

/*
 * The digest of one record that was joined from fragments (wal/fragment.h).
 * next_xid: as above.  ret_digest has start = record->lsn, valid_to = record->end.
 */
sw_rc sw_wal_digest_record(const struct sw_wal_record *record, uint32_t block_size, uint64_t next_xid,
	struct sw_wal_digest *ret_digest, struct sw_error *err);

/* --- storing ---------------------------------------------------------------------- */

/*
 * As JSON of at most `room` bytes (compact): what is too much is left out, least needed first, and "truncated" set.
 * room: 4,096 at least.  fragments: with head and tail.  NULL: out of memory.
 */
json_t *sw_wal_digest_json(const struct sw_wal_digest *digest, size_t room, bool fragments);

/* The digest becomes what sw_wal_digest_json says of it, with fragments.  SW_OK; else it is as before: SW_SYSTEM, SW_CORRUPT. */
sw_rc sw_wal_digest_cut(struct sw_wal_digest *digest, size_t room, struct sw_error *err);

/* SW_OK; SW_CORRUPT: not such JSON, or numbers that cannot be; SW_SYSTEM. */
sw_rc sw_wal_digest_parse(const json_t *json, struct sw_wal_digest *ret_digest, struct sw_error *err);

#endif
