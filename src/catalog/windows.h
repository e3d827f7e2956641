/*
 * windows.h - what can be recovered: for each timeline, the stretches that a backup and unbroken WAL can reach.
 */
#ifndef SW_CATALOG_WINDOWS_H
#define SW_CATALOG_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/inventory.h"
#include "wal/digest.h"

/* A stretch of one timeline, as that timeline's own WAL has it (a child's stretch begins at the fork). */
struct sw_window {
	uint32_t timeline;
	sw_lsn begin, end;       /* reachable targets: begin <= LSN <= end */
	int64_t begin_us, end_us; /* begin: the backup's end or the fork; end: the last commit or other sign of time; 0: not known */
	struct sw_wal_moment last; /* the last commit or abort in it; lsn 0: none */
	uint64_t commits, aborts;
	const struct sw_inventory_backup *first_backup, *last_backup; /* that reach it: the one that opens it, the newest in it or before it */
	bool open;               /* nothing but the archive's end ends it */
	const char *closed_by;   /* else why: a gap, damage; words */
};

struct sw_window_gap {
	uint32_t timeline;
	uint64_t first, last; /* segments that are missing, or damaged */
	char *reason;         /* NULL: missing; else what is wrong with it */
};

struct sw_window_point {
	uint32_t timeline;
	struct sw_wal_point point;
	bool reachable;
	bool ambiguous; /* the name stands for several points */
};

struct sw_window_fork {
	uint32_t parent, child;
	sw_lsn lsn;
	int64_t time_us; /* 0: not known */
};

struct sw_windows {
	struct sw_window *windows; /* by timeline and LSN */
	size_t window_count;
	struct sw_window_gap *gaps;
	size_t gap_count;
	struct sw_window_point *points; /* by timeline and LSN */
	size_t point_count;
	struct sw_window_fork *forks;
	size_t fork_count;
};

struct sw_windows_params {
	unsigned workers;
	bool fold;           /* write index objects */
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; may be NULL */
	void *tick_ctx;
};

/*
 * inventory: all of it read (backups, WAL of all timelines, histories); borrowed by ret_windows.
 * SW_OK, SW_SYSTEM, what the store gives.  ret_windows: zeroed by this call, released by the caller in any case.
 */
sw_rc sw_windows_find(struct sw_repository *repo, const struct sw_inventory *inventory,
	const struct sw_windows_params *params, struct sw_windows *ret_windows, struct sw_error *err);
void sw_windows_release(struct sw_windows *windows);

#endif
