/*
 * gather.h - read many pieces of packs, each pack once and in order.
 *
 * Pieces that lie near one another are read with one GET, of at most 8 MiB, and verified as they
 * stream by: memory is one piece for each worker.
 */
#ifndef SW_BACKUP_GATHER_H
#define SW_BACKUP_GATHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "backup/pack.h"
#include "base/error.h"
#include "base/pool.h"
#include "stream/stage.h"

/* Stored bytes, and what they are for. */
struct sw_piece {
	uint32_t pack;    /* index into the packs */
	uint32_t stored_len;
	uint64_t offset;
	uint8_t sha256[SW_SHA256_LEN]; /* of the stored bytes */
	uint32_t entry;   /* of the listing */
	uint32_t frame_pages, frame_page, page_count; /* a frame's: its pages, and the run of them that is wanted */
	uint64_t page;    /* a map chunk's number; or the first page in the file */
	uint64_t hash;    /* index of the first page's hash */
};

/* By pack, offset, and page in the frame: for sw_spill_sort. */
int sw_piece_compare(const void *a, const void *b);

#define SW_PIECE_STORED_MAX SW_CHUNK_BYTES_MAX /* also of a frame: 1 MiB that does not compress is a little more */

struct sw_gather {
	struct sw_repository *repo; /* its store is cloned by each worker */
	const struct sw_pack_info *packs;
	const struct sw_piece *pieces; /* sorted */
	uint64_t count;
	/*
	 * Called in the worker's thread.  have: this piece need not be read; may be NULL.
	 * take: `count` pieces that lie in one frame, and its stored bytes, verified.
	 */
	bool (*have)(void *ctx, unsigned worker, const struct sw_piece *piece);
	sw_rc (*take)(void *ctx, unsigned worker, const struct sw_piece *pieces, size_t count,
		const uint8_t *stored, struct sw_error *err);
	void *ctx;
	pthread_mutex_t mutex; /* sw_gather_init */
	uint64_t next;
};

/*
 * Work as one of several workers until no piece is left.  gather: every field but mutex and next is set; shared.
 * A piece whose hash is wrong is read again, twice.
 * SW_OK; SW_CORRUPT (a pack is damaged or gone: which, where); what `take` and the store give.
 */
void sw_gather_init(struct sw_gather *gather);
sw_rc sw_gather_work(struct sw_gather *gather, const struct sw_pool *pool, unsigned worker,
	struct sw_error *err);

#endif
