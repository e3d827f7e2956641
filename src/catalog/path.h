/*
 * path.h - the WAL that a recovery along a timeline reads: which segment from which timeline, and where it ends.
 */
#ifndef SW_CATALOG_PATH_H
#define SW_CATALOG_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "archive/walk.h"
#include "base/error.h"
#include "catalog/inventory.h"
#include "pg/timeline.h"

/* Histories and listings of timelines, each read once, when it is asked for. */
struct sw_lines {
	struct sw_repository *repo;
	const struct sw_inventory *dropped; /* borrowed; its gaps */
	struct sw_line **lines;
	size_t count;
};

void sw_lines_init(struct sw_lines *lines, struct sw_repository *repo, const struct sw_inventory *dropped);
void sw_lines_release(struct sw_lines *lines);

/* As sw_inventory_history; what is returned belongs to `lines`. */
sw_rc sw_lines_history(struct sw_lines *lines, uint32_t timeline, const struct sw_timeline_history **ret_history,
	struct sw_error *err);

#define SW_PATH_HOLES_MAX 32 /* more are counted only */

struct sw_path {
	struct sw_walk_span *spans; /* oldest first, one behind the other, all listed */
	size_t span_count;
	uint64_t first, last;       /* segments of the spans; last < first: there is none */
	sw_lsn limit;               /* the last segment is a parent's: what begins here or behind is not on this path; else 0 */
	uint64_t end;               /* the last segment that is there, or was dropped, behind all holes */
	struct sw_inventory_range holes[SW_PATH_HOLES_MAX];
	size_t hole_count;
	uint64_t missing;           /* segments in all holes */
};

/*
 * From segment `first` along the history.  As PostgreSQL reads it (XLogFileReadAnyTLI): a segment is read from the
 * newest timeline that has begun in it or before, for the child's copy of the segment in which it left its parent holds
 * the parent's records too; the parent's is read where the child's is not there.
 * ret_path: zeroed by this call, released by the caller in any case.  SW_OK, what the store gives.
 */
sw_rc sw_path_make(struct sw_lines *lines, const struct sw_timeline_history *history, uint64_t first,
	struct sw_path *ret_path, struct sw_error *err);
void sw_path_release(struct sw_path *path);

#endif
