/*
 * timeline.h - history files: which timelines a timeline came from.  PostgreSQL access/timeline.c.
 */
#ifndef SW_PG_TIMELINE_H
#define SW_PG_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/names.h"

#define SW_TIMELINE_MAX 4096 /* ancestors; more is SW_CORRUPT */

struct sw_timeline_entry {
	uint32_t timeline;
	sw_lsn begin; /* first LSN on it */
	sw_lsn end;   /* first LSN on the next; 0 for the last entry, which has no end; = begin: nothing of it counts */
};

struct sw_timeline_history {
	struct sw_timeline_entry *entries; /* oldest first; the last is the timeline itself */
	size_t count;
};

/*
 * Parse the text of <timeline>.history; text NULL (or timeline 1) gives the single entry.
 *
 * Entries are contiguous.  A file's LSNs may fall: recovery along timeline 2 that stopped before 2 had left 1
 * writes "1 X, 2 Y" with Y < X.  As PostgreSQL reads that, timeline 1 ends at Y and 2 is empty.
 * SW_OK, SW_CORRUPT (syntax, no ancestor, IDs not rising, its own ID in it), SW_SYSTEM.
 */
sw_rc sw_timeline_history_parse(uint32_t timeline, const char *text, size_t len,
	struct sw_timeline_history *ret_history, struct sw_error *err);
void sw_timeline_history_release(struct sw_timeline_history *history);

/* The timeline on which `lsn` lies in this history; 0 if none. */
uint32_t sw_timeline_at(const struct sw_timeline_history *history, sw_lsn lsn);

/*
 * The timeline on which PostgreSQL looks for a segment first (XLogFileReadAnyTLI): the newest that has begun in it or
 * before, because the child's copy of the segment of a fork holds the parent's records too.  0 if none.
 */
uint32_t sw_timeline_of_segment(const struct sw_timeline_history *history, uint64_t segment, uint32_t segment_size);

/* The entry of `timeline`, or NULL if it is no ancestor. */
const struct sw_timeline_entry *sw_timeline_find(const struct sw_timeline_history *history,
	uint32_t timeline);

#endif
