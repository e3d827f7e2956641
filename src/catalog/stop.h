/*
 * stop.h - the exact record at which recovery will stop, as PostgreSQL's own rules decide it
 * (access/transam/xlogrecovery.c, recoveryStopsBefore and recoveryStopsAfter; xlog.c in 14).
 *
 * The digests of segments (archive/index.h) tell in which one to look; there the records themselves decide.
 */
#ifndef SW_CATALOG_STOP_H
#define SW_CATALOG_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "archive/walk.h"
#include "base/error.h"
#include "catalog/goal.h"
#include "pg/timeline.h"
#include "wal/digest.h"
#include "wal/meaning.h"

enum sw_stop_kind {
	SW_STOP_END,           /* no target: the end of the WAL */
	SW_STOP_CONSISTENT,    /* immediate */
	SW_STOP_BEFORE_END,    /* "recovery stopping before commit (or abort) of transaction" */
	SW_STOP_AFTER_END,     /* "recovery stopping after commit (or abort) of transaction" */
	SW_STOP_AT_POINT,      /* "recovery stopping at restore point" */
	SW_STOP_BEFORE_LSN,    /* "recovery stopping before WAL location (LSN)" */
	SW_STOP_AFTER_LSN,     /* "recovery stopping after WAL location (LSN)" */
};

struct sw_stop {
	enum sw_stop_kind kind;
	uint32_t timeline;    /* that the record's place is on */
	sw_lsn lsn, end;      /* the record that decides: where it begins, and where the next one does */
	bool commit, prepared; /* it is a COMMIT; the form of a prepared transaction */
	bool transaction;     /* it is a COMMIT or ABORT: xid and time_us are its own */
	uint64_t xid;         /* 64 bits where they are known (before or after say so), else 32 */
	int64_t time_us;      /* of that record; 0: it has none */
	struct sw_goal goal;  /* what PostgreSQL is told: the goal itself, or one that says the same and is reached
	                       * (a time after the last commit: that commit's LSN; a subtransaction: its top one; …) */
	struct sw_wal_moment before, after; /* the last commit or abort that is recovered, and the first that is not; lsn 0: none */
	bool after_known;     /* the WAL behind the stop was there to look */
};

/* Where to look. */
struct sw_stop_search {
	struct sw_repository *repo;
	const struct sw_walk_span *spans; /* that follow each other, all listed */
	size_t span_count;
	const struct sw_timeline_history *history; /* that the spans were made from */
	sw_lsn redo;       /* recovery begins here */
	sw_lsn consistent; /* the backup's stop: IMMEDIATE */
	sw_lsn limit;      /* what begins here or behind is not on the path any more; 0: none */
	struct sw_goal goal;
	bool fresh;        /* prove that segments are there, by reading what stands in them; else the index will do */
	bool no_after;     /* do not look for sw_stop.after */
	unsigned workers;
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; may be NULL */
	void *tick_ctx;
};

enum sw_stop_answer {
	SW_STOP_FOUND,
	SW_STOP_NOT_REACHED, /* it is not in this WAL */
	SW_STOP_NOT_KNOWN,   /* the WAL cannot be read: `reason` */
};

/* DROP DATABASE, DROP TABLESPACE: files go before the COMMIT. */
struct sw_stop_half {
	sw_lsn lsn;       /* its first record that cannot be undone by stopping behind it; 0: there is none */
	uint32_t oid;
	bool tablespace;
	uint64_t xid;     /* 32 or 64 bits */
};

struct sw_stop_report {
	enum sw_stop_answer answer;
	struct sw_stop stop;       /* FOUND */
	struct sw_stop_half half;  /* FOUND, search.fresh: recovery stops within this, the first of its kind */
	bool subtransaction;       /* goal.xid is one of stop.xid's */
	sw_lsn within;             /* LSN: it lies in the record that begins here; 0: it does not, or that is not known */
	/* of the WAL that was read, which is all of it unless FOUND: */
	struct sw_wal_moment last; /* the last commit or abort */
	struct sw_wal_moment sign; /* the latest time told behind it (checkpoints, restore points): time_us, and where; lsn 0: none */
	uint64_t xid_min, xid_max; /* of transactions that ended; 0: none */
	uint64_t last_segment;     /* that could be read */
	sw_lsn last_record;        /* where its last record begins; 0: it has none */
	sw_lsn valid_to;           /* and ends */
	char reason[384];          /* what ends it before the spans do: damage, a segment that is gone; "" */
};

/*
 * The first record that PostgreSQL would stop at, whether the backup is consistent there or not.
 * SW_OK; SW_SYSTEM, what the store gives.  Damage is an answer, not an error.
 */
sw_rc sw_stop_find(const struct sw_stop_search *search, struct sw_stop_report *ret_report, struct sw_error *err);

/* Restore points of goal.name in all of the spans, and, for a hint, the last ones of other names. */
#define SW_STOP_POINTS_MAX 32
struct sw_stop_points {
	struct sw_wal_point points[SW_STOP_POINTS_MAX]; /* by LSN; more are counted only */
	uint32_t timelines[SW_STOP_POINTS_MAX];
	uint64_t count;
	char others[4][64]; /* each once, the newest first; "": none */
	bool unknown;       /* WAL of a format that is not known was met: there may be more */
};
sw_rc sw_stop_points(const struct sw_stop_search *search, struct sw_stop_points *ret_points, struct sw_error *err);

#endif
