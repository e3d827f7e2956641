/*
 * decode.h - what a record is made of: block references, page images, main data (access/xlogrecord.h,
 * DecodeXLogRecord of access/transam/xlogreader.c; PostgreSQL 14 … 18).
 */
#ifndef SW_WAL_DECODE_H
#define SW_WAL_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/format.h"
#include "wal/record.h"

/* Where a relation's file is: RelFileNode, RelFileLocator. */
struct sw_wal_relation {
	uint32_t tablespace, database, filenode; /* database 0: shared by all */
};

static inline bool
sw_wal_relation_equal(const struct sw_wal_relation *a, const struct sw_wal_relation *b)
{
	return a->tablespace == b->tablespace && a->database == b->database && a->filenode == b->filenode;
}

struct sw_wal_block {
	uint8_t id, fork;
	bool will_init;
	struct sw_wal_relation relation;
	uint32_t number;
	const uint8_t *data; /* NULL: none, or not kept */
	uint16_t data_len;
	const uint8_t *image; /* likewise; without its hole */
	uint16_t image_len, hole_offset;
	bool image_has_hole, image_compressed;
};

#define SW_WAL_BLOCKS_MAX 33

struct sw_wal_parts {
	unsigned block_count;
	struct sw_wal_block blocks[SW_WAL_BLOCKS_MAX];
	uint32_t toplevel_xid; /* 0: not told */
	uint32_t image_count, image_bytes;
	const uint8_t *main;
	uint32_t main_len;       /* bytes at `main` */
	uint32_t main_whole_len; /* more than main_len if the record is longer than what was kept */
};

/* Everything points into the record's data.  False: malformed; no server can replay it. */
bool sw_wal_decode(const struct sw_wal_record *record, struct sw_wal_parts *ret_parts);

/* The block with this id, or NULL. */
const struct sw_wal_block *sw_wal_decode_block(const struct sw_wal_parts *parts, uint8_t id);

/*
 * Row `offset` (1, 2, …) of the heap page that the block's image shows: bytes from its tuple header on.
 * NULL: no image, a compressed one, or no such row.
 */
const uint8_t *sw_wal_decode_row(const struct sw_wal_block *block, uint32_t block_size, uint16_t offset,
	size_t *ret_len);

#endif
