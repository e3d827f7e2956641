/*
 * fill.h - the content of files that lie in packs: map chunks, then frames, then pages.
 *
 * Memory for each worker: 3 MiB of buffers, 0.6 MiB of a decoded chunk, and the store's connection; spilled
 * in the data directory: 16 bytes for each page and 80 for each run of pages in a frame (about 0.2 % of the data).
 */
#ifndef SW_BACKUP_FILL_H
#define SW_BACKUP_FILL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "backup/listing.h"
#include "backup/target.h"
#include "base/pool.h"

struct sw_fill {
	struct sw_repository *repo;
	struct sw_listing *listing;   /* its pieces get sorted */
	const struct sw_target *target;
	unsigned workers;
	bool resume;                  /* keep pages that are there already with the right hash */
	atomic_uint_fast64_t *done;   /* bytes written, or found right */
	atomic_uint_fast64_t *kept;   /* of which were there already */
	sw_pool_tick tick;
	void *tick_ctx;
};

/*
 * Write every page of every chunked file, each verified by its hash.  The files are there, in their size.
 * SW_OK; SW_CORRUPT (names the object and the file); SW_SYSTEM; what the store gives.
 */
sw_rc sw_fill_run(const struct sw_fill *fill, struct sw_error *err);

#endif
