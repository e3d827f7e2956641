/*
 * change.h - how many rows each transaction updated and deleted in each relation.  A table of fixed size.
 */
#ifndef SW_WAL_CHANGE_H
#define SW_WAL_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "wal/decode.h"
#include "wal/event.h"

struct sw_wal_change {
	uint32_t xid; /* of the record, so a subtransaction's until its commit; then the top one */
	bool committed; /* false: its end was not seen */
	struct sw_wal_relation relation;
	uint64_t updates, deletes;
	sw_lsn first, last; /* where the first and last of these records begin */
	int32_t next, beside; /* private: the next of this transaction's hash, or the next free one; of its own; negative: none */
	bool used;    /* private */
};

#define SW_WAL_CHANGE_BUCKETS 4096

struct sw_wal_changes {
	struct sw_wal_change *items;
	uint32_t capacity;
	uint64_t min;       /* what committed with fewer rows is forgotten */
	bool keep_small;    /* but not of transactions before new_from; while that is 0, of none */
	uint32_t new_from;
	uint64_t lost;      /* rows that were not counted because the table was full */
	/* private */
	int32_t *buckets, *places;
	uint32_t salt;
	int32_t free;
	int32_t recent;     /* the item of the last row */
	bool may_forget;    /* small ones may be in a full table */
};

/* What hashes of transaction ids are multiplied with, so that nobody can make WAL whose ids all fall together. */
uint32_t sw_wal_change_salt(void);

/* capacity: items at once; 80 bytes each.  SW_OK, SW_SYSTEM. */
sw_rc sw_wal_change_init(struct sw_wal_changes *changes, uint32_t capacity, uint64_t min, struct sw_error *err);
void sw_wal_change_release(struct sw_wal_changes *changes);

/* An event of kind SW_WAL_ROWS.  When the table is full, what has fewer rows than `min` goes first. */
void sw_wal_change_add(struct sw_wal_changes *changes, uint32_t xid, sw_lsn lsn, const struct sw_wal_event *event);

/* An event of kind SW_WAL_COMMIT (its subtransactions' rows become the top one's) or SW_WAL_ABORT (all is forgotten). */
void sw_wal_change_end(struct sw_wal_changes *changes, const struct sw_wal_event *event);

/* Take out one item of a transaction that has committed.  False: there is none (left). */
bool sw_wal_change_take(struct sw_wal_changes *changes, uint32_t xid, struct sw_wal_change *ret_change);

/* What is there: start with *at = 0; NULL at the end. */
const struct sw_wal_change *sw_wal_change_next(const struct sw_wal_changes *changes, uint32_t *at);

#endif
