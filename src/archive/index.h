/*
 * index.h - the digests of a timeline's WAL in order: from index objects where there are any, else from the
 * segments' own summaries, else from the WAL itself.
 *
 * An index object (doc/FORMAT.md, "The index"), <prefix>index/<timeline>/<group>.zst, holds the digests of
 * SW_INDEX_GROUP segments, from group * SW_INDEX_GROUP on, all of which are there.  It is derived: without it
 * everything is the same, and slower.
 */
#ifndef SW_ARCHIVE_INDEX_H
#define SW_ARCHIVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "wal/digest.h"

#define SW_INDEX_GROUP 256

struct sw_index_range {
	uint64_t first, last; /* segments that are there, without a hole */
};

enum sw_index_detail {
	SW_INDEX_BRIEF, /* where a whole group is indexed one item stands for it, whose digest has moments, counts, time and
	                 * xid bounds, restore points, the last checkpoint and timelines, but no acts, ends or changes.
	                 * Such a group is complete and without a problem but `unjoined`; any other is told as in FULL */
	SW_INDEX_FULL,  /* an item for each segment, and one for each record across a border that says anything */
	SW_INDEX_FRESH, /* FULL, but from the segments themselves, index or not: for plans */
};

struct sw_index_item {
	uint32_t timeline;
	uint64_t first, last;  /* segments; equal but in a brief group */
	bool boundary;         /* the record that begins in `first` and ends in a later segment, joined */
	bool summary;          /* the digest is that of push; else the WAL had to be read (an older object, push-validate=off, a truncated summary) */
	const struct sw_wal_digest *digest; /* valid during the call; without fragments */
	const char *problem;   /* NULL, or what is wrong, in words: the object cannot be read (digest is NULL), the WAL in it is broken
	                        * (digest->verdict), or unjoined */
	bool unjoined;         /* what is archived before does not lead here: the chain of xl_prev or a record across the
	                        * border does not fit.  The WAL of this item itself may be sound */
};

/* In the order of the WAL: segment, boundary, segment, …; a boundary comes before the item in which its record ends.  Any result but SW_OK ends the walk with it; SW_CONFLICT is for
 * "enough": the walk then returns SW_OK. */
typedef sw_rc (*sw_index_each)(void *ctx, const struct sw_index_item *item, struct sw_error *err);

struct sw_index_params {
	struct sw_repository *repo; /* its store is cloned by each worker */
	uint32_t timeline;
	const struct sw_index_range *ranges; /* ascending, what shall be walked and was seen in a listing */
	size_t range_count;
	enum sw_index_detail detail;
	unsigned workers; /* threads that read; they wait for the network, so more than cores */
	bool fold;        /* put index objects for whole groups that have none; a store that refuses is no error */
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; about five times a second, from the calling thread; may be NULL */
	void *tick_ctx;
};

/*
 * Walk.  `each` is called in the calling thread.
 * Memory: as a rule 1 MiB for each of workers * 2 groups; 128 MiB and what is being read, however much the WAL says: where
 * it had to be read and says more than 2 MiB in 16 segments, digests are cut, and `truncated`.
 * A damaged index object is passed over with a warning, and the segments are read.
 * SW_OK; what the store gives; what `each` gives.
 */
sw_rc sw_index_walk(const struct sw_index_params *params, sw_index_each each, void *ctx, struct sw_error *err);

#endif
