/*
 * deeds.h - what transactions did that somebody may want to undo: drops, truncations, rewrites, mass changes;
 * from digests in the order of the WAL, with names from backups' relations and from the WAL itself.
 *
 * One resolver follows one line of WAL: a timeline, continued from its parent by sw_deeds_fork.
 */
#ifndef SW_CATALOG_DEEDS_H
#define SW_CATALOG_DEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "wal/digest.h"

enum sw_deed_kind {
	SW_DEED_DROPPED = 1,       /* a table, materialized view, view … */
	SW_DEED_TRUNCATED = 2,
	SW_DEED_REWRITTEN = 4,     /* VACUUM FULL, CLUSTER, ALTER, REFRESH, SET TABLESPACE: the rows are there in another file */
	SW_DEED_DROPPED_OR_TRUNCATED = 8, /* one transaction did both, and PostgreSQL 14's WAL does not tell which to which;
	                                   * or it did more than the digests keep */
	SW_DEED_MASS_CHANGE = 16,
	SW_DEED_DATABASE_DROPPED = 32,
	SW_DEED_TABLESPACE_DROPPED = 64,
};

struct sw_deed {
	enum sw_deed_kind kind;
	uint32_t timeline;
	sw_lsn lsn;        /* where the COMMIT begins */
	int64_t time_us;   /* of the COMMIT */
	uint64_t xid;      /* top, 64 bits if known */
	bool prepared;
	bool cut;          /* the transaction did more than the WAL's digests keep: not all of it is told */
	uint32_t database, relation; /* OIDs; 0: not known, or not of that kind; TABLESPACE_DROPPED: relation is its OID */
	uint32_t filenode; /* the one that went; 0: not known, or none */
	char relkind;      /* 0: not known */
	bool unlogged;     /* no backup and no WAL has its rows */
	const char *database_name, *schema_name, *relation_name; /* NULL: not known */
	bool name_unsure;          /* it may have been renamed: the WAL does not tell enough */
	bool name_before_gap;      /* … or in WAL that is missing */
	const char *former_name;   /* of the relation at the last backup, if it was renamed since; else NULL */
	int64_t rows_before;       /* the estimate at the last backup; -1: not known */
	uint64_t bytes_before;
	uint64_t updates, deletes; /* MASS_CHANGE */
	/* what to restore to, so that this and nothing before it is undone */
	bool by_lsn;       /* --target-lsn target_lsn --target-exclusive, because an xid would come too late (or is not known); else
	                    * --target-xid (uint32_t)xid --target-exclusive */
	sw_lsn target_lsn; /* exclusive */
};

typedef sw_rc (*sw_deed_fn)(void *ctx, const struct sw_deed *deed, struct sw_error *err);

struct sw_deeds; /* the resolver */

struct sw_deeds_params {
	unsigned kinds;     /* of enum sw_deed_kind, or-ed */
	uint64_t changes_min; /* rows of a MASS_CHANGE */
	bool indexes;       /* indexes, TOAST tables and sequences too */
	bool system;        /* relations of pg_catalog and information_schema too */
	sw_deed_fn each;    /* in the order of COMMITs; valid during the call */
	void *ctx;
};

/*
 * Names are those that a restore to before the transaction gives.  On PostgreSQL 14 views, partitioned and foreign tables
 * that go are told if the place of their row is known.  A table that one transaction both rewrote and truncated may be told as rewritten.
 *
 * Memory: about 280 bytes for each relation of the cluster, and 64 MiB at most for what open transactions did.
 */
sw_rc sw_deeds_new(const struct sw_deeds_params *params, struct sw_deeds **ret_deeds, struct sw_error *err);
void sw_deeds_free(struct sw_deeds *deeds); /* NULL is allowed */

/*
 * Names of a backup on this line; call it when the line has been fed up to the backup's start, or before anything
 * is fed for names of a later one in want of an earlier (`later`: names only fill gaps).
 * SW_OK (also without relations.zst), SW_CORRUPT, what the store gives.
 */
sw_rc sw_deeds_learn(struct sw_deeds *deeds, struct sw_repository *repo, const char *label, bool later, struct sw_error *err);

/*
 * The next digest of the line, whole; only what lies in [from, to) counts: at a fork the parent's last segment and the
 * child's first one hold the same records.  to: UINT64_MAX, or the fork's LSN.
 * SW_OK, SW_SYSTEM, SW_CORRUPT (more relations than can be), what `each` gives.
 */
sw_rc sw_deeds_feed(struct sw_deeds *deeds, const struct sw_wal_digest *digest, uint32_t timeline, sw_lsn from, sw_lsn to,
	struct sw_error *err);

/* WAL is missing here: what was open is forgotten, names are kept but may be older than what follows. */
void sw_deeds_gap(struct sw_deeds *deeds);

/*
 * A resolver for a child that begins where this one stands now.  Of what was open only prepared transactions can
 * still end on it: the child's own xids are others.
 */
sw_rc sw_deeds_fork(const struct sw_deeds *deeds, struct sw_deeds **ret_deeds, struct sw_error *err);

#endif
