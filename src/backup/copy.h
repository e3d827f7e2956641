/*
 * copy.h - read the files of a scan, in parallel, into packs and map chunks.
 */
#ifndef SW_BACKUP_COPY_H
#define SW_BACKUP_COPY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "backup/manifest.h"
#include "backup/pack.h"
#include "backup/scan.h"
#include "base/error.h"
#include "base/pool.h"
#include "pg/control.h"

/* What became of one scan item. */
struct sw_copied {
	bool gone;                   /* it vanished: no entry */
	uint64_t size;               /* as read */
	uint8_t *frame;              /* inline */
	size_t frame_len;
	struct sw_page_hash hash;    /* inline */
	struct sw_chunk_ref *chunks;
	uint64_t *chunk_len;         /* bytes of content read for each chunk */
	size_t chunk_count;
};

/* A page whose checksum is wrong, however often it is read. */
struct sw_bad_page {
	size_t item;
	uint32_t block; /* within the relation */
	sw_lsn lsn;
};
#define SW_BAD_PAGES_MAX 10000 /* remembered one by one */

struct sw_copy {
	/* in */
	const char *pgdata;
	const struct sw_scan *scan;
	struct sw_repository *repo; /* its store is cloned for each worker */
	const char *label;
	const struct sw_control *control;
	bool verify;                /* page checksums */
	sw_lsn start;               /* a wrong page with an LSN from here on is repaired by WAL */
	int level;
	/* out */
	struct sw_copied *copied;   /* one for each scan item */
	struct sw_pack_info *packs;
	size_t pack_count;
	struct sw_bad_page *bad;
	size_t bad_count, bad_total;
	_Atomic uint64_t done;      /* bytes read, for progress */
	/* between workers */
	pthread_mutex_t mutex;
	size_t next_item, next_chunk;
	atomic_uint pack_numbers, map_numbers;
};

/*
 * Run with `workers` threads; tick gets `copy`.  SW_OK, or what failed first; sw_copy_release either way.
 *
 * Files need not stand still: one that vanished is `gone`, one that was cut ends where it was cut, a relation is
 * read as far as the scan saw it, any other file as far as it goes.
 */
sw_rc sw_copy_run(struct sw_copy *copy, unsigned workers, sw_pool_tick tick, struct sw_error *err);
void sw_copy_release(struct sw_copy *copy);

/* Make an inline item's frame and hash from memory (backup_label, pg_control). */
sw_rc sw_copy_inline(struct sw_copied *copied, const void *data, size_t len, const uint8_t *secret,
	struct sw_error *err);

#endif
