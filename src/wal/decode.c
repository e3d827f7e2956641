#include "wal/decode.h"

#include <string.h>

/* access/xlogrecord.h */
#define ID_MAX 32
#define ID_TOPLEVEL_XID 252
#define ID_ORIGIN 253
#define ID_MAIN_LONG 254
#define ID_MAIN_SHORT 255
#define FORK_MASK 0x0F
#define HAS_IMAGE 0x10
#define HAS_DATA 0x20
#define WILL_INIT 0x40
#define SAME_RELATION 0x80
#define IMAGE_HAS_HOLE 0x01
#define IMAGE_COMPRESSED_14 0x02
#define IMAGE_COMPRESSED_15 0x1C /* pglz, lz4, zstd */

/* Bytes that are read from the front; `left` may end before the record does. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool
take(struct cursor *c, void *ret_bytes, size_t len)
{
	if (c->left < len)
		return false;
	memcpy(ret_bytes, c->at, len);
	c->at += len;
	c->left -= len;
	return true;
}

static bool
read_image_header(const struct sw_wal_format *format, struct cursor *c, struct sw_wal_block *block)
{
	uint8_t info, compressed = format->major == 14 ? IMAGE_COMPRESSED_14 : IMAGE_COMPRESSED_15;
	uint16_t hole_len;

	if (!take(c, &block->image_len, 2) || !take(c, &block->hole_offset, 2) || !take(c, &info, 1))
		return false;
	block->image_has_hole = info & IMAGE_HAS_HOLE;
	block->image_compressed = info & compressed;
	return !(block->image_has_hole && block->image_compressed) || take(c, &hole_len, 2);
}

static bool
read_block_header(const struct sw_wal_format *format, struct cursor *c, uint8_t id, struct sw_wal_parts *parts)
{
	struct sw_wal_block *block = &parts->blocks[parts->block_count];
	uint8_t flags;

	if (id > ID_MAX || parts->block_count == SW_WAL_BLOCKS_MAX ||
		(parts->block_count > 0 && id <= block[-1].id))
		return false;
	*block = (struct sw_wal_block){.id = id};
	if (!take(c, &flags, 1) || !take(c, &block->data_len, 2))
		return false;
	block->fork = flags & FORK_MASK;
	block->will_init = flags & WILL_INIT;
	if (!(flags & HAS_DATA) != (block->data_len == 0))
		return false;
	if (flags & HAS_IMAGE) {
		if (!read_image_header(format, c, block))
			return false;
		parts->image_count++;
		parts->image_bytes += block->image_len;
	}
	if (flags & SAME_RELATION) {
		if (parts->block_count == 0)
			return false;
		block->relation = block[-1].relation;
	} else if (!take(c, &block->relation, sizeof(block->relation))) {
		return false;
	}
	parts->block_count++;
	return take(c, &block->number, 4);
}

/* Headers up to the main data's, which is the last; payload: bytes that must follow the headers. */
static bool
read_headers(const struct sw_wal_format *format, struct cursor *c, size_t not_kept, struct sw_wal_parts *parts)
{
	uint64_t payload = 0;
	uint16_t origin;
	uint8_t id, len;

	while (c->left + not_kept > payload) {
		if (!take(c, &id, 1))
			return false;
		if (id == ID_MAIN_SHORT) {
			if (!take(c, &len, 1))
				return false;
			parts->main_whole_len = len;
		} else if (id == ID_MAIN_LONG) {
			if (!take(c, &parts->main_whole_len, 4))
				return false;
		} else if (id == ID_ORIGIN) {
			if (!take(c, &origin, 2))
				return false;
		} else if (id == ID_TOPLEVEL_XID) {
			if (!take(c, &parts->toplevel_xid, 4))
				return false;
		} else {
			if (!read_block_header(format, c, id, parts))
				return false;
			payload += parts->blocks[parts->block_count - 1].data_len;
			payload += parts->blocks[parts->block_count - 1].image_len;
		}
		if (id == ID_MAIN_SHORT || id == ID_MAIN_LONG) {
			payload += parts->main_whole_len;
			break;
		}
	}
	return c->left + not_kept == payload;
}

/* The next len bytes, or NULL if they were not all kept. */
static const uint8_t *
skip(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (c->left < len) {
		c->left = 0;
		return NULL;
	}
	c->at += len;
	c->left -= len;
	return at;
}

bool
sw_wal_decode(const struct sw_wal_record *record, struct sw_wal_parts *parts)
{
	size_t kept = record->data_len < record->total_len ? record->data_len : record->total_len;
	struct cursor c;

	parts->block_count = parts->image_count = parts->image_bytes = parts->toplevel_xid = 0;
	parts->main = NULL;
	parts->main_len = parts->main_whole_len = 0;
	if (kept < SW_WAL_RECORD_HEADER)
		return false;
	c = (struct cursor){record->data + SW_WAL_RECORD_HEADER, kept - SW_WAL_RECORD_HEADER};
	if (!read_headers(record->format, &c, record->total_len - kept, parts))
		return false;
	for (unsigned i = 0; i < parts->block_count; i++) {
		struct sw_wal_block *block = &parts->blocks[i];

		if (block->image_len > 0)
			block->image = skip(&c, block->image_len);
		if (block->data_len > 0)
			block->data = skip(&c, block->data_len);
	}
	parts->main = c.at;
	parts->main_len = (uint32_t)(c.left < parts->main_whole_len ? c.left : parts->main_whole_len);
	return true;
}

const struct sw_wal_block *
sw_wal_decode_block(const struct sw_wal_parts *parts, uint8_t id)
{
	for (unsigned i = 0; i < parts->block_count; i++)
		if (parts->blocks[i].id == id)
			return &parts->blocks[i];
	return NULL;
}

/* --- rows ------------------------------------------------------------------------- */

/* storage/bufpage.h, storage/itemid.h */
#define PAGE_HEADER 24
#define LINE_POINTER 4
#define LINE_NORMAL 1

/* Where bytes [at, at + len) of the page are in the image; NULL: in the hole, or outside. */
static const uint8_t *
in_image(const struct sw_wal_block *block, uint32_t block_size, uint32_t at, uint32_t len)
{
	uint32_t hole_len = block->image_has_hole ? block_size - block->image_len : 0;

	if (at > block_size || len > block_size - at)
		return NULL;
	if (hole_len == 0 || at + len <= block->hole_offset)
		return at + len <= block->image_len ? block->image + at : NULL;
	return at >= block->hole_offset + hole_len ? block->image + (at - hole_len) : NULL;
}

const uint8_t *
sw_wal_decode_row(const struct sw_wal_block *block, uint32_t block_size, uint16_t offset, size_t *ret_len)
{
	const uint8_t *line;
	uint32_t pointer;

	if (block->image == NULL || block->image_compressed || block->image_len > block_size || offset == 0 ||
		(block->image_has_hole ? block->hole_offset > block->image_len : block->image_len != block_size))
		return NULL;
	line = in_image(block, block_size, PAGE_HEADER + (uint32_t)(offset - 1) * LINE_POINTER, LINE_POINTER);
	if (line == NULL)
		return NULL;
	memcpy(&pointer, line, sizeof(pointer));
	if ((pointer >> 15 & 3) != LINE_NORMAL)
		return NULL;
	*ret_len = pointer >> 17;
	return in_image(block, block_size, pointer & 0x7fff, pointer >> 17);
}
