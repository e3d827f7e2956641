/*
 * parts.h - what transactions did, gathered over the digests that tell it in parts, until they end.
 */
#ifndef SW_CATALOG_PARTS_H
#define SW_CATALOG_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/hash.h"
#include "wal/digest.h"

#define SW_PARTS_LIST_MAX (1u << 16) /* of each list; what is more is cut */
#define SW_PARTS_OPEN_MAX 8192       /* transactions that are open at once */
#define SW_PARTS_BYTES_MAX (64u << 20)

struct sw_part {
	sw_lsn latest;     /* `first` of the latest digest's act */
	bool cut;          /* something is missing */
	uint32_t class_updates, class_deletes;
	struct sw_wal_relation *created;
	size_t created_count;
	struct sw_wal_born *born;
	size_t born_count;
	struct sw_wal_moved *moved; /* in any order; one may be there twice */
	size_t moved_count;
	bool moved_cut, places_cut;
	struct sw_wal_object *truncated;
	size_t truncated_count;
	struct sw_wal_gone *databases, *tablespaces;
	size_t database_count, tablespace_count;
	struct sw_wal_rows *rows; /* one of each relation; first: of the latest digest's */
	size_t rows_count;
	size_t bytes;      /* memory of the lists */
};

/* Zeroed at first. */
void sw_part_release(struct sw_part *part);

/*
 * Add what an act tells, its COMMIT's own lists aside.  Only rows whose first record is before `to`.  What was told
 * before (a digest of a segment that two timelines share) is not counted twice.  SW_OK, SW_SYSTEM.
 */
sw_rc sw_part_add(struct sw_part *part, const struct sw_wal_act *act, sw_lsn to, struct sw_error *err);

/* Add another transaction's, as a subtransaction's.  SW_OK, SW_SYSTEM. */
sw_rc sw_part_join(struct sw_part *part, const struct sw_part *sub, struct sw_error *err);

/* Those of open transactions, by the lower 32 bits of the xid.  Beyond the limits the oldest are forgotten. */
struct sw_parts {
	struct sw_hash open;
	size_t bytes;
	bool warned;
};

void sw_parts_init(struct sw_parts *parts);
void sw_parts_release(struct sw_parts *parts); /* forget all */
/* ret_copy: not initialised before; on failure nothing is to be released.  SW_OK, SW_SYSTEM. */
sw_rc sw_parts_copy(const struct sw_parts *parts, struct sw_parts *ret_copy, struct sw_error *err);

/* The act of a transaction that stays open.  SW_OK, SW_SYSTEM. */
sw_rc sw_parts_keep(struct sw_parts *parts, const struct sw_wal_act *act, sw_lsn to, struct sw_error *err);

/* Take out what is there of this transaction, and add it to `part` as sw_part_join does.  part NULL: forget it. */
sw_rc sw_parts_take(struct sw_parts *parts, uint32_t xid, struct sw_part *part, bool *ret_there, struct sw_error *err);

#endif
