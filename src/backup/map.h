/*
 * map.h - a map chunk: where up to 4,096 consecutive pages of one file lie.  doc/FORMAT.md, "Map chunks".
 */
#ifndef SW_BACKUP_MAP_H
#define SW_BACKUP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/stage.h"

#define SW_CHUNK_PAGES 4096
#define SW_CHUNK_BYTES_MAX (2 * 1024 * 1024) /* of one encoded chunk, before and after zstd */
#define SW_FRAME_BYTES (1024 * 1024)         /* content of one frame, at most */
#define SW_PAGE_HASH_LEN 16
#define SW_PACK_NAME_MAX 64                  /* "<label>/000001.pack" */

struct sw_page_hash {
	uint8_t bytes[SW_PAGE_HASH_LEN];
};

/* XXH3-128 of `len` bytes under the registration's secret, in canonical (big-endian) form. */
struct sw_page_hash sw_page_hash(const void *data, size_t len, const uint8_t *secret);

struct sw_frame_ref {
	uint32_t pack; /* index into the chunk's packs */
	uint64_t offset;
	uint32_t stored_len;
	uint32_t page_count; /* in the frame */
	uint8_t sha256[SW_SHA256_LEN]; /* of the stored bytes */
};

/* Pages first_page … first_page + page_count - 1 of the chunk are the pages frame_page … of a frame. */
struct sw_run {
	uint32_t first_page, page_count;
	uint32_t frame, frame_page;
};

struct sw_map_chunk {
	uint32_t block_size;
	uint32_t page_count;     /* 1 … SW_CHUNK_PAGES */
	uint32_t last_page_len;  /* bytes in the last page, 1 … block_size */
	uint32_t pack_count, frame_count, run_count;
	char (*packs)[SW_PACK_NAME_MAX];
	struct sw_frame_ref *frames;
	struct sw_run *runs;     /* in page order, without gap or overlap */
	struct sw_page_hash *hashes; /* page_count; the last over last_page_len bytes */
};

/* Room for the largest chunk; page_count and the other counts 0.  SW_OK, SW_SYSTEM. */
sw_rc sw_map_chunk_init(struct sw_map_chunk *chunk, uint32_t block_size, struct sw_error *err);
void sw_map_chunk_release(struct sw_map_chunk *chunk);
void sw_map_chunk_reset(struct sw_map_chunk *chunk);

/* Index of `pack` (a legal name, at most one for each page) in the chunk's packs, adding it if it is new. */
uint32_t sw_map_chunk_pack(struct sw_map_chunk *chunk, const char *pack);

/* Encode (not compressed) into buf, whose content is replaced. */
sw_rc sw_map_chunk_encode(const struct sw_map_chunk *chunk, struct sw_buf *buf, struct sw_error *err);

/*
 * Decode what encode wrote, from hostile bytes.  chunk: initialised, its content is replaced.
 * SW_OK; SW_CORRUPT unless every count, index, name and length is legal and the runs cover every page once.
 */
sw_rc sw_map_chunk_decode(struct sw_map_chunk *chunk, const void *data, size_t len,
	struct sw_error *err);

#endif
