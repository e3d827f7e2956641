/*
 * stretch.h - consecutive segments' digests in a row: borders checked, records that lie across them joined.
 *
 * A stretch is made of one segment each and then joined with the next one, in any grouping; what it shares with its
 * neighbours (fragments, the first and last record's place) is kept in two edges.
 */
#ifndef SW_ARCHIVE_STRETCH_H
#define SW_ARCHIVE_STRETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "wal/digest.h"
#include "wal/fragment.h"

struct sw_stretch_item {
	uint64_t first, last; /* segments; they differ for a boundary and for a whole group in brief */
	bool boundary;        /* the record that begins in `first` and ends in `last` */
	bool summary;         /* digest: as push made it */
	bool again;           /* digest: cut, the WAL itself says more */
	bool has_digest;
	struct sw_wal_digest digest; /* without fragments */
	char *problem;        /* why there is no digest, or what is wrong with the WAL itself; or NULL */
	char *unjoined;       /* why what is before does not lead here; or NULL */
};

/*
 * What a stretch shows of its begin.  A record that began before may fill whole segments (`middle`, merged) and ends
 * with `tail`; tail and middle NULL: the stretch begins with a record of its own.
 */
struct sw_stretch_begin {
	bool known;      /* else nothing can be said, and nothing is checked */
	bool through;    /* no more than a part of a record that goes on behind the stretch */
	struct sw_wal_fragment *middle, *tail;
	bool aborted;    /* that record was never finished */
	size_t tail_item; /* what begins behind it: an index into items */
	uint64_t tail_segment;
	sw_lsn first, first_prev; /* the first record that begins in the stretch; 0: none */
	bool blind;      /* first is 0, but a record begins there: a damaged one */
};

/* The other end: `head` of a record that goes on behind the stretch, and what segments are full of it. */
struct sw_stretch_end {
	bool known;
	sw_lsn last;     /* the last record but that of the head, also one that ends before the stretch's first record; 0: not known */
	struct sw_wal_fragment *head, *middle;
	uint64_t head_segment;
	unsigned major;  /* of the last digest */
	uint64_t next_xid; /* 0: not known */
};

struct sw_stretch {
	uint64_t first, last; /* segments */
	struct sw_stretch_item *items;
	size_t count, room;
	struct sw_stretch_begin begin;
	struct sw_stretch_end end;
};

/* A copy of words that came from the store and may go to terminals.  NULL: out of memory. */
char *sw_stretch_words(const char *text);

/* WAL that is broken is a problem, if there is none yet.  SW_OK, SW_SYSTEM. */
sw_rc sw_stretch_item_judge(struct sw_stretch_item *item, struct sw_error *err);

/*
 * One segment.  item: taken over (and released on failure); its digest's fragments go into the edges, and must not have
 * been left out for want of room.  SW_OK, SW_SYSTEM.
 */
sw_rc sw_stretch_of(struct sw_stretch_item *item, struct sw_stretch *ret_stretch, struct sw_error *err);

/*
 * Join `next`, which begins where `stretch` ends, to it: next is empty afterwards, in any case.
 * What does not fit is said in an item.  SW_OK, SW_SYSTEM.
 */
sw_rc sw_stretch_join(struct sw_stretch *stretch, struct sw_stretch *next, const struct sw_registration *reg,
	struct sw_error *err);

/* The digest of all items together, without acts, ends and changes.  False: it would not tell all, the items themselves must. */
bool sw_stretch_brief(const struct sw_stretch *stretch, struct sw_wal_digest *ret_digest);

void sw_stretch_release(struct sw_stretch *stretch);
void sw_stretch_item_release(struct sw_stretch_item *item);

#endif
