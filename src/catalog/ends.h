/*
 * ends.h - commits and aborts in the archived WAL: around a time, or of one transaction.  Digests tell which segments
 * have any; those that matter are read.
 */
#ifndef SW_CATALOG_ENDS_H
#define SW_CATALOG_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/index.h"
#include "archive/repository.h"
#include "base/error.h"
#include "catalog/inventory.h"
#include "pg/timeline.h"

#define SW_ENDS_HITS_MAX 1000 /* of one xid */

/* A commit or abort. */
struct sw_end {
	uint32_t timeline;
	sw_lsn lsn, end;   /* where the record begins, and where the next one does */
	int64_t time_us;
	uint64_t xid;      /* the top one; 64 bits if known */
	bool commit, prepared;
};

/* A digest that has ends. */
struct sw_ends_piece {
	uint32_t timeline;
	uint64_t segment;
	bool boundary;     /* of the record that begins in the segment and ends in the next, or later */
	uint64_t last_segment; /* where that one ends */
	uint64_t count;
	sw_lsn last;       /* where the last one begins */
	int64_t latest_us;
	uint64_t xid_max;  /* 0: not known in 64 bits */
};

struct sw_ends {
	struct sw_repository *repo;
	const struct sw_inventory *inventory;
	struct sw_ends_piece *pieces; /* by timeline and segment; 64 bytes of memory each */
	size_t count;
};

void sw_ends_init(struct sw_ends *ends, struct sw_repository *repo, const struct sw_inventory *inventory);
void sw_ends_release(struct sw_ends *ends);

/* Items of one timeline after another, each in the order of the WAL.  SW_OK, SW_SYSTEM. */
sw_rc sw_ends_add(struct sw_ends *ends, const struct sw_index_item *item, struct sw_error *err);

/* Ends around a place on a line of WAL. */
struct sw_ends_around {
	bool found;       /* there is an end behind it */
	struct sw_end *before, *behind; /* in the order of the WAL, at most as many as were asked for */
	size_t before_count, behind_count;
	char problem[256]; /* why there are not more, where it is not that the WAL begins or ends; or "" */
};
void sw_ends_around_release(struct sw_ends_around *around);

/*
 * history: the line.  The place: hit NULL: where the first end after the time stands, in the order of the WAL, as recovery
 * looks at it; else behind the hit.
 * SW_OK; SW_SYSTEM, what the store gives.  Damage is a problem.  ret_around: zeroed by this call, released by the caller.
 */
sw_rc sw_ends_find_around(struct sw_ends *ends, const struct sw_timeline_history *history, int64_t time_us,
	const struct sw_end *hit, unsigned neighbours, struct sw_ends_around *ret_around, struct sw_error *err);

struct sw_ends_hit {
	struct sw_end end;
	bool subtransaction;
};

/*
 * Where the transaction, or the one that it was part of, ended, among records that begin in the segment.  The timeline is that
 * of the WAL object.  xid: above 32 bits exactly that one.  hits: room for SW_ENDS_HITS_MAX, *count of them used.
 */
sw_rc sw_ends_find_xid(struct sw_ends *ends, const struct sw_ends_piece *piece, uint64_t xid, struct sw_ends_hit *hits,
	size_t *count, struct sw_error *err);

/* The 64-bit form of a 32-bit xid that is `max` or lies below it. */
uint64_t sw_ends_widen(uint32_t xid, uint64_t max);

/* May a transaction with this xid (above 32 bits: exactly that one) have ended within the digest's WAL? */
bool sw_ends_may_hold(const struct sw_wal_digest *digest, uint64_t xid);

/* The timeline of the history whose copy of the segment recovery reads; 0: the inventory has none. */
uint32_t sw_ends_source(const struct sw_inventory *inventory, const struct sw_timeline_history *history,
	uint64_t segment, uint32_t segment_size);

#endif
