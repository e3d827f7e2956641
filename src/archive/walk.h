/*
 * walk.h - archived WAL, record by record: segments are fetched, verified and read one behind the other, the next one
 * fetched while this one is read.
 */
#ifndef SW_ARCHIVE_WALK_H
#define SW_ARCHIVE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "wal/event.h"
#include "wal/record.h"

/* Segments first … last are to be read from this timeline. */
struct sw_walk_span {
	uint32_t timeline;
	uint64_t first, last; /* last < first: none */
};

/*
 * Each record that begins in the spans and was found right, with its event (SW_WAL_NOTHING too); valid during the
 * call, which is in the calling thread.  Who needs the record's parts decodes it (wal/decode.h).
 * Any result but SW_OK ends the walk with it; SW_CONFLICT is for "enough": the walk then returns SW_OK.
 */
typedef sw_rc (*sw_walk_fn)(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event,
	struct sw_error *err);

struct sw_walk_result {
	uint64_t segments; /* that were read, the last perhaps in part */
	sw_lsn valid_to;   /* where the last record that is whole ends */
	bool unknown;      /* the WAL's format is */
	char reason[256];  /* why it ended before the spans did, "" if it did not: broken, ends early, missing, unknown */
};

/*
 * Walk along spans, which follow each other without a hole (the child's copy of a switch segment continues its parent's WAL).
 * A record that began before the first span is passed over.
 *
 * SW_OK (also when the WAL itself ends early, is broken or of an unknown format: ret_result says so); SW_NOT_FOUND: a
 * segment is missing; SW_CORRUPT: an object is damaged; what the store or `each` gives.  A record is given when its own
 * CRC is right, which may be before the object turns out to be damaged.  ret_result is set in any case.
 * Memory: 16 MiB, and a reader's (4 MiB while a record that long passes).
 */
sw_rc sw_walk(struct sw_repository *repo, const struct sw_walk_span *spans, size_t span_count, sw_walk_fn each, void *ctx,
	struct sw_walk_result *ret_result, struct sw_error *err);

#endif
