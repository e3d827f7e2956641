/*
 * search.h - what happened in the archived WAL: drops, truncations, rewrites, mass changes, restore points; the commits
 * around a moment; the end of one transaction.  And what to restore to, so that it is undone.
 */
#ifndef SW_CATALOG_SEARCH_H
#define SW_CATALOG_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "catalog/deeds.h"
#include "catalog/ends.h"
#include "catalog/inventory.h"

#define SW_SEARCH_FOUND_MAX 1000000 /* about 500 bytes of memory each */

struct sw_search_params {
	struct sw_repository *repo;
	const struct sw_inventory *inventory; /* all of it read: backups, WAL of all timelines, histories */
	/* what happened */
	unsigned kinds;             /* of enum sw_deed_kind, or-ed; 0: none */
	bool points;                /* restore points */
	const char *const *patterns; /* one must match; none: all do.  See sw_search_matches */
	size_t pattern_count;
	const char *database;       /* its name or OID; NULL: all */
	int64_t since_us, until_us; /* 0: no limit */
	uint32_t timeline;          /* it and what it came from; 0: all */
	uint64_t changes_min;       /* rows of a mass change */
	/* the ends of transactions */
	bool around;
	int64_t around_us;
	bool by_xid;
	uint64_t xid;               /* above 32 bits: exactly that one */
	unsigned neighbours;        /* how many ends before and behind are told */
	unsigned workers;
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; may be NULL */
	void *tick_ctx;
};

/* What a target needs besides itself. */
struct sw_search_way {
	bool reachable;    /* a backup and unbroken WAL lead there */
	uint32_t timeline; /* to be named, because the latest does not lead there; 0: none */
};

struct sw_search_found {
	struct sw_deed deed;        /* its names are this struct's; kind 0: a restore point */
	char database[64], schema[64], relation[64], former[64]; /* what deed points to */
	struct sw_wal_point point;
	bool point_repeated;        /* there are other restore points of that name */
	uint32_t timeline;
	sw_lsn lsn;                 /* COMMIT or restore point */
	int64_t time_us;
	bool asked;                 /* else it is there because a transaction below did it */
	struct sw_search_way way;
};

/* A place on a line of WAL, and the ends around it. */
struct sw_search_place {
	uint32_t timeline;              /* the line is this one's */
	struct sw_end hit;              /* by_xid: the end of that transaction */
	bool subtransaction;            /* by_xid: it was one, of hit.xid */
	bool repeated;                  /* by_xid: hit.xid's 32 bits end, or may end, more than once on its line, so that it is no target */
	struct sw_ends_around around;
	struct sw_search_way way;       /* of the hit; around: of the first end behind, or the last one before */
};

/* What was looked at. */
struct sw_search_range {
	uint32_t timeline;
	uint64_t first, last;  /* segments */
	int64_t first_us, last_us; /* of ends of transactions in it; 0: none */
};

struct sw_search_gap {
	uint32_t timeline;
	uint64_t first, last;
	char *reason; /* NULL: missing; else why it could not be read, or was not looked at as a whole */
};

struct sw_search {
	struct sw_search_found *found; /* by time */
	size_t found_count;
	uint64_t unnamed;      /* deeds that a pattern kept out though no name is known, or none that is sure */
	struct sw_search_place *places; /* around: one for each line that reaches the time; by_xid: one for each end */
	size_t place_count;
	struct sw_search_range *ranges;
	size_t range_count;
	struct sw_search_gap *gaps;
	size_t gap_count;
};

/*
 * SW_OK, be it that nothing was found; SW_CONFIG (params.timeline is not there); SW_SYSTEM, what the store gives.
 * Damage is told in gaps.  ret_search: zeroed by this call, released by the caller in any case.
 */
sw_rc sw_search_run(const struct sw_search_params *params, struct sw_search *ret_search, struct sw_error *err);
void sw_search_release(struct sw_search *search);

/*
 * Shell-like (fnmatch): "orders", "public.orders", "shop.public.*"; for what has no name "shop/16384".  A database's and a
 * tablespace's own name, too.
 */
bool sw_search_matches(const char *pattern, const struct sw_deed *deed);

#endif
