/*
 * stop.h - the exact record at which recovery will stop, as PostgreSQL's own rules decide it
 * (access/transam/xlogrecovery.c, recoveryStopsBefore and recoveryStopsAfter; xlog.c in 14).
 */
#ifndef SW_CATALOG_STOP_H
#define SW_CATALOG_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "archive/walk.h"
#include "base/error.h"
#include "catalog/goal.h"
#include "wal/meaning.h"

enum sw_stop_kind {
	SW_STOP_END,           /* no target: the end of the WAL */
	SW_STOP_CONSISTENT,    /* immediate */
	SW_STOP_BEFORE_END,    /* "recovery stopping before commit (or abort) of transaction" */
	SW_STOP_AFTER_END,     /* "recovery stopping after commit (or abort) of transaction" */
	SW_STOP_AT_POINT,      /* "recovery stopping at restore point" */
	SW_STOP_BEFORE_LSN,    /* "recovery stopping before WAL location (LSN)" */
	SW_STOP_AFTER_LSN,     /* "recovery stopping after WAL location (LSN)" */
};

struct sw_stop {
	enum sw_stop_kind kind;
	uint32_t timeline;    /* that the record's place is on */
	sw_lsn lsn, end;      /* the record that decides: where it begins, and where the next one does */
	bool commit, prepared; /* it is a COMMIT; the form of a prepared transaction */
	uint64_t xid;
	int64_t time_us;      /* of that record; 0: it has none */
	struct sw_goal goal;  /* what PostgreSQL is told: the goal itself, or one that says the same and is reached
	                       * (a time after the last commit: that commit's LSN; a subtransaction: its top one; …) */
	struct sw_wal_moment before, after; /* the last commit or abort that is recovered, and the first that is not; lsn 0: none */
	bool after_known;     /* the WAL behind the stop was there to look */
};

#endif
