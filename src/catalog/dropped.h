/*
 * dropped.h - WAL that is missing because it was dropped on purpose: what records say of the holes of an inventory.
 */
#ifndef SW_CATALOG_DROPPED_H
#define SW_CATALOG_DROPPED_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/inventory.h"

/*
 * How many segments of the range, which are missing, stand in records.  *ret_us: the earliest time of those records, 0 if
 * there are none.
 */
uint64_t sw_dropped_count(const struct sw_inventory *inventory, uint32_t timeline, uint64_t first, uint64_t last,
	int64_t *ret_us);

/* "dropped on purpose by push-queue-max at …", or "… of them …"; "" if no record speaks of any.  Returns buf. */
#define SW_DROPPED_TEXT_LEN 160
char *sw_dropped_text(const struct sw_inventory *inventory, uint32_t timeline, uint64_t first, uint64_t last,
	char buf[SW_DROPPED_TEXT_LEN]);

/* The last segment of a timeline that a record speaks of; 0: none does. */
uint64_t sw_dropped_end(const struct sw_inventory *inventory, uint32_t timeline);

/* Consecutive segments that were dropped, are missing, and behind which no backup has begun. */
struct sw_dropped_run {
	uint32_t timeline;
	uint64_t first, last;
	int64_t from_us, to_us; /* times of the first and the last record */
	struct sw_gap record;   /* the first */
};

/*
 * Those of an inventory of which backups, WAL of all timelines and gaps were read, by timeline and segment.
 * *ret_runs: the caller frees it.  SW_OK, SW_SYSTEM.
 */
sw_rc sw_dropped_open(const struct sw_inventory *inventory, uint32_t segment_size, struct sw_dropped_run **ret_runs,
	size_t *ret_count, struct sw_error *err);

#endif
