/*
 * inventory.h - what a repository holds of a cluster: backups, WAL, histories.
 */
#ifndef SW_CATALOG_INVENTORY_H
#define SW_CATALOG_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/gap.h"
#include "archive/repository.h"
#include "backup/manifest.h"
#include "base/error.h"
#include "pg/timeline.h"

struct sw_inventory_backup {
	char label[SW_LABEL_MAX];
	char *reason; /* why it cannot be read; NULL: it can, and header is set */
	struct sw_manifest_header header;
};

/* Consecutive segments that are there. */
struct sw_inventory_range {
	uint32_t timeline;
	uint64_t first, last; /* segment numbers */
};

#define SW_INVENTORY_BACKUPS_MAX 100000 /* 1.5 KiB of memory each */
#define SW_INVENTORY_RANGES_MAX 1000000 /* 24 bytes each: one more for each hole */

struct sw_inventory {
	struct sw_inventory_backup *backups; /* by the time they ended; unreadable ones last */
	size_t backup_count;
	struct sw_inventory_range *ranges; /* by timeline and segment */
	size_t range_count;
	uint32_t *histories; /* timelines with a history file, ascending */
	size_t history_count;
	uint64_t wal_stored; /* bytes of the listed WAL objects */
	struct sw_gap *gaps; /* records of dropped WAL, by timeline and segment: catalog/dropped.h */
	size_t gap_count;
};

/* Zeroed: empty.  Each call below adds to it; sw_inventory_release may always be called. */
void sw_inventory_release(struct sw_inventory *inventory);

/* Every visible backup.  One that cannot be read gets a reason; only an unreadable store is an error. */
sw_rc sw_inventory_read_backups(struct sw_repository *repo, struct sw_inventory *inventory,
	struct sw_error *err);

/*
 * The WAL of one timeline from segment `from` on; timeline 0: of all timelines, and all histories.
 * Streaming: memory is for ranges, not for names.  On S3, of a long timeline, several pages at a time over
 * connections of their own.
 */
sw_rc sw_inventory_read_wal(struct sw_repository *repo, uint32_t timeline, uint64_t from,
	struct sw_inventory *inventory, struct sw_error *err);

/* Histories alone: a request for each timeline, however much WAL there is. */
sw_rc sw_inventory_read_histories(struct sw_repository *repo, struct sw_inventory *inventory,
	struct sw_error *err);

/* Names of records of dropped WAL: a request, where nothing was dropped. */
sw_rc sw_inventory_read_gaps(struct sw_repository *repo, struct sw_inventory *inventory, struct sw_error *err);

/* Fetch and parse <timeline>.history; timeline 1 has none and gives the single entry.
 * SW_NOT_FOUND: it is not there; SW_CORRUPT; what the store gives. */
sw_rc sw_inventory_history(struct sw_repository *repo, uint32_t timeline,
	struct sw_timeline_history *ret_history, struct sw_error *err);

#endif
