/*
 * windows.h - what can be recovered: for each timeline, the stretches that a backup and unbroken WAL can reach.
 *
 * A backup whose own WAL is unbroken opens a window at its stop LSN.  The window goes on to the end of unbroken
 * WAL of its timeline, and into each child that leaves it within the window; a child's window begins at the fork.
 * Recovery reads the segment of a fork from the child, so that it may be unfinished or damaged on the parent, or not
 * be there.
 */
#ifndef SW_CATALOG_WINDOWS_H
#define SW_CATALOG_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/inventory.h"
#include "wal/digest.h"

#define SW_WINDOWS_POINTS_MAX 1000000 /* 120 bytes of memory each */
#define SW_WINDOWS_GAPS_MAX 1000000

/* A stretch of one timeline, as that timeline's own WAL has it (a child's stretch begins at the fork). */
struct sw_window {
	uint32_t timeline;
	sw_lsn begin, end;       /* reachable targets: begin <= LSN <= end, where the last record begins */
	int64_t begin_us, end_us; /* begin: the backup's end, or the last moment before the fork; end: the last commit or other sign of time; 0: not known */
	struct sw_wal_moment last; /* the last commit or abort in it; lsn 0: none */
	uint64_t commits, aborts; /* of the segments that it lies in, also before its begin in the first of them */
	const struct sw_inventory_backup *first_backup, *last_backup; /* that reach it: the one that opens it, the newest in it or before it */
	bool open;               /* nothing but the archive's end ends it */
	char *closed_by;         /* else why: a gap, damage; words */
};

/* Unbroken WAL of one timeline's own, whether a backup reaches it or not. */
struct sw_window_wal {
	uint32_t timeline;
	uint64_t first, last;   /* segments; the last may be valid in part */
	sw_lsn end;             /* where its last record ends; behind a switch record, the end of the segment */
	int64_t begin_us, end_us; /* first and last sign of time; 0: none */
};

struct sw_window_gap {
	uint32_t timeline;
	uint64_t first, last; /* segments that are missing, or damaged */
	char *reason;         /* NULL: missing; else what is wrong with it */
	uint64_t dropped;     /* missing: how many of them were dropped on purpose, */
	int64_t dropped_us;   /* and when first */
	int64_t begin_us, end_us; /* the last sign of time before it, the first one behind it; 0: not known */
};

struct sw_window_point {
	uint32_t timeline;
	struct sw_wal_point point;
	bool reachable;
	bool ambiguous; /* the name stands for several points */
};

struct sw_window_fork {
	uint32_t parent, child; /* parent: the one whose WAL goes on here; 0: not known, see problem */
	sw_lsn lsn;
	int64_t time_us; /* 0: not known */
	char *problem;   /* of the child's history, else NULL */
};

/* A backup that opens no window and lies in none. */
struct sw_window_idle {
	const struct sw_inventory_backup *backup;
	char *reason;
};

struct sw_windows {
	struct sw_window *windows; /* by timeline and LSN */
	size_t window_count;
	struct sw_window_wal *wal; /* by timeline and segment */
	size_t wal_count;
	struct sw_window_gap *gaps; /* by timeline and segment */
	size_t gap_count;
	struct sw_window_point *points; /* by timeline and LSN */
	size_t point_count;
	bool points_cut; /* there are more than SW_WINDOWS_POINTS_MAX */
	struct sw_window_fork *forks; /* by child: every timeline but 1 */
	size_t fork_count;
	struct sw_window_idle *idle;
	size_t idle_count;
};

struct sw_windows_params {
	unsigned workers;
	bool fold;           /* write index objects */
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; may be NULL */
	void *tick_ctx;
};

/*
 * inventory: all of it read (backups, WAL of all timelines, histories, gaps); borrowed by ret_windows.
 * SW_OK, SW_SYSTEM, what the store gives.  ret_windows: zeroed by this call, released by the caller in any case.
 */
sw_rc sw_windows_find(struct sw_repository *repo, const struct sw_inventory *inventory,
	const struct sw_windows_params *params, struct sw_windows *ret_windows, struct sw_error *err);
void sw_windows_release(struct sw_windows *windows);

/* The window that `lsn` of a timeline lies in, or NULL. */
const struct sw_window *sw_windows_at(const struct sw_windows *windows, uint32_t timeline, sw_lsn lsn);

#endif
