/*
 * fragment.h - the part of a record that lies in one segment when its neighbours have the rest.
 */
#ifndef SW_WAL_FRAGMENT_H
#define SW_WAL_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "wal/record.h"

#define SW_WAL_FRAGMENT_BYTES 8192

struct sw_wal_fragment {
	uint32_t len;       /* bytes of the record in the segment; 0: there is no fragment */
	uint32_t whole_len; /* head: of the whole record; tail: what was left of it when the segment began */
	sw_lsn lsn;         /* head: where the record begins; tail: 0, the segment does not know it */
	uint32_t timeline;  /* head: of its page; tail: 0 */
	uint32_t crc;       /* CRC-32C; tail: of the len bytes; head: of those behind the record's header */
	uint32_t bytes_len; /* the first ones of len are kept */
	uint8_t bytes[SW_WAL_FRAGMENT_BYTES];
};

/*
 * Join the head of a record with what following segments have of it: tails[0] is the next segment's, and all
 * but the last fill their segment.  ret_record is the record as its reader would have given it, with `bytes` (an
 * initialised buffer with a limit of 16 KiB or more, which it points into) as its data: the record's first bytes,
 * as far as the fragments have kept them without a hole.
 *
 * segment_begin: where the segment of the last tail begins (ret_record->end comes from it).
 * SW_OK: lengths fit and the record's CRC is right.  SW_CORRUPT: they do not belong together, or are damaged.
 * SW_SYSTEM (memory).
 */
struct sw_wal_joint {
	const struct sw_wal_fragment *head;
	const struct sw_wal_fragment *const *tails;
	size_t tail_count;
	sw_lsn segment_begin;
	uint32_t block_size; /* of WAL */
	const struct sw_wal_format *format;
};
sw_rc sw_wal_fragment_join(const struct sw_wal_joint *joint, struct sw_buf *bytes,
	struct sw_wal_record *ret_record, struct sw_error *err);

#endif
