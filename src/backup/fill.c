#include "backup/fill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/file.h"

#define WRITE_BACK_MIN (256 * 1024)

struct fill_worker {
	ZSTD_DCtx *zstd;
	uint8_t *content; /* SW_CHUNK_BYTES_MAX: of a chunk or a frame */
	struct sw_page_hash *hashes;
	struct sw_map_chunk chunk;
	int fd; /* of entry open_entry, or -1 */
	uint64_t open_entry;
	char path[SW_LISTING_PATH_MAX];
};

struct filling {
	const struct sw_fill *fill;
	uint32_t block_size;
	struct fill_worker *workers;
	struct sw_spill frames, hashes;
	pthread_mutex_t mutex; /* of the two */
	struct sw_gather gather;
};

static struct filling *
filling_of(void *ctx)
{
	return ctx;
}

/* --- map chunks -------------------------------------------------------------------- */

/* The chunk must map the very pages of the file that it stands for. */
static sw_rc
check_chunk(const struct filling *f, const struct fill_worker *w, const struct sw_piece *piece,
	struct sw_error *err)
{
	uint64_t size = f->fill->listing->entries[piece->entry].size, block = f->block_size;
	uint64_t first = piece->page * SW_CHUNK_PAGES * block;
	uint64_t len = size - first < SW_CHUNK_PAGES * block ? size - first : SW_CHUNK_PAGES * block;
	uint64_t last = len % block == 0 ? block : len % block;

	if (w->chunk.page_count != (len + block - 1) / block || w->chunk.last_page_len != last)
		return sw_fail(err, SW_CORRUPT, "map chunk %" PRIu64 " does not fit the file's size", piece->page);
	return SW_OK;
}

static sw_rc
add_runs(struct filling *f, const struct fill_worker *w, const struct sw_piece *chunk_piece,
	uint64_t first_hash, struct sw_error *err)
{
	const struct sw_map_chunk *chunk = &w->chunk;
	sw_rc rc = SW_OK;

	for (uint32_t i = 0; rc == SW_OK && i < chunk->run_count; i++) {
		const struct sw_run *run = &chunk->runs[i];
		const struct sw_frame_ref *frame = &chunk->frames[run->frame];
		struct sw_piece piece = {
			.stored_len = frame->stored_len,
			.offset = frame->offset,
			.entry = chunk_piece->entry,
			.frame_pages = frame->page_count,
			.frame_page = run->frame_page,
			.page_count = run->page_count,
			.page = chunk_piece->page * SW_CHUNK_PAGES + run->first_page,
			.hash = first_hash + run->first_page,
		};
		uint64_t index;

		memcpy(piece.sha256, frame->sha256, sizeof(piece.sha256));
		rc = sw_listing_find_pack(f->fill->listing, chunk->packs[frame->pack], &piece.pack, err);
		if (rc == SW_OK)
			rc = sw_spill_append(&f->frames, &piece, 1, &index, err);
	}
	return rc;
}

static sw_rc
add_chunk(struct filling *f, struct fill_worker *w, const struct sw_piece *piece,
	const uint8_t *stored, struct sw_error *err)
{
	size_t len = ZSTD_decompressDCtx(w->zstd, w->content, SW_CHUNK_BYTES_MAX, stored, piece->stored_len);
	uint64_t first_hash;
	sw_rc rc;

	if (ZSTD_isError(len))
		return sw_fail(err, SW_CORRUPT, "a map chunk: %s", ZSTD_getErrorName(len));
	rc = sw_map_chunk_decode(&w->chunk, w->content, len, err);
	if (rc == SW_OK)
		rc = check_chunk(f, w, piece, err);
	if (rc != SW_OK)
		return rc;
	pthread_mutex_lock(&f->mutex);
	rc = sw_spill_append(&f->hashes, w->chunk.hashes, w->chunk.page_count, &first_hash, err);
	if (rc == SW_OK)
		rc = add_runs(f, w, piece, first_hash, err);
	pthread_mutex_unlock(&f->mutex);
	return rc;
}

static sw_rc
name_file(struct filling *f, const struct sw_piece *piece, struct sw_error *err)
{
	char path[SW_LISTING_PATH_MAX];
	struct sw_error ignored = SW_ERROR_INIT;

	if (sw_listing_path(f->fill->listing, piece->entry, path, &ignored) != SW_OK)
		return err->rc;
	return sw_wrap(err, "for %s", path);
}

static sw_rc
take_chunks(void *ctx, unsigned worker, const struct sw_piece *pieces, size_t count,
	const uint8_t *stored, struct sw_error *err)
{
	struct filling *f = filling_of(ctx);
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < count; i++) {
		rc = add_chunk(f, &f->workers[worker], &pieces[i], stored, err);
		if (rc != SW_OK)
			name_file(f, &pieces[i], err);
	}
	return rc;
}

/* --- pages ------------------------------------------------------------------------- */

/* Bytes of the run's pages: the file's last may be short. */
static size_t
run_len(const struct filling *f, const struct sw_piece *piece)
{
	uint64_t first = piece->page * f->block_size, size = f->fill->listing->entries[piece->entry].size;
	uint64_t len = (uint64_t)piece->page_count * f->block_size;

	return (size_t)(len < size - first ? len : size - first);
}

static sw_rc
open_entry(struct filling *f, struct fill_worker *w, uint64_t entry, struct sw_error *err)
{
	sw_rc rc;

	if (w->fd >= 0 && w->open_entry == entry)
		return SW_OK;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	rc = sw_listing_path(f->fill->listing, entry, w->path, err);
	if (rc == SW_OK)
		rc = sw_target_open_file(f->fill->target, w->path, O_RDWR, 0, &w->fd, err);
	w->open_entry = entry;
	return rc;
}

/* SW_CORRUPT, naming the first page that differs. */
static sw_rc
check_pages(struct filling *f, struct fill_worker *w, const struct sw_piece *piece,
	const uint8_t *pages, struct sw_error *err)
{
	size_t left = run_len(f, piece);
	sw_rc rc = sw_spill_read(&f->hashes, piece->hash, piece->page_count, w->hashes, err);

	if (rc != SW_OK)
		return rc;
	for (uint32_t i = 0; i < piece->page_count; i++) {
		size_t len = left < f->block_size ? left : f->block_size;
		struct sw_page_hash hash = sw_page_hash(pages, len, f->fill->repo->reg.page_hash_secret);

		if (memcmp(&hash, &w->hashes[i], sizeof(hash)) != 0)
			return sw_fail(err, SW_CORRUPT, "the hash of page %" PRIu64 " is wrong", piece->page + i);
		pages += len;
		left -= len;
	}
	return SW_OK;
}

static bool
have_pages(void *ctx, unsigned worker, const struct sw_piece *piece)
{
	struct filling *f = filling_of(ctx);
	struct fill_worker *w = &f->workers[worker];
	struct sw_error ignored = SW_ERROR_INIT;
	size_t len = run_len(f, piece), got;

	/* whatever is wrong here shows again, and is reported, when the pages are written */
	if (open_entry(f, w, piece->entry, &ignored) != SW_OK ||
		sw_file_pread(w->fd, w->content, len, (off_t)(piece->page * f->block_size), &got, w->path,
		&ignored) != SW_OK || got != len ||
		check_pages(f, w, piece, w->content, &ignored) != SW_OK)
		return false;
	atomic_fetch_add(f->fill->done, len);
	atomic_fetch_add(f->fill->kept, len);
	return true;
}

static sw_rc
write_pages(struct filling *f, struct fill_worker *w, const struct sw_piece *piece, size_t content_len,
	struct sw_error *err)
{
	size_t at = (size_t)piece->frame_page * f->block_size, len = run_len(f, piece);
	off_t to = (off_t)(piece->page * f->block_size);
	sw_rc rc;

	if (at > content_len || len > content_len - at)
		return sw_fail(err, SW_CORRUPT, "the frame at %" PRIu64 " holds too little", piece->offset);
	rc = check_pages(f, w, piece, w->content + at, err);
	if (rc == SW_OK)
		rc = open_entry(f, w, piece->entry, err);
	if (rc == SW_OK)
		rc = sw_file_pwrite_all(w->fd, w->content + at, len, to, w->path, err);
	if (rc != SW_OK)
		return rc;
	/* only so that the disk starts early; what it says counts when everything is synced */
	if (len >= WRITE_BACK_MIN)
		(void)sync_file_range(w->fd, to, (off_t)len, SYNC_FILE_RANGE_WRITE);
	atomic_fetch_add(f->fill->done, len);
	return SW_OK;
}

static sw_rc
take_frame(void *ctx, unsigned worker, const struct sw_piece *pieces, size_t count,
	const uint8_t *stored, struct sw_error *err)
{
	struct filling *f = filling_of(ctx);
	struct fill_worker *w = &f->workers[worker];
	size_t max = (size_t)pieces->frame_pages * f->block_size;
	size_t len = ZSTD_decompressDCtx(w->zstd, w->content, max, stored, pieces->stored_len);
	sw_rc rc = SW_OK;

	if (ZSTD_isError(len)) {
		sw_fail(err, SW_CORRUPT, "the frame at %" PRIu64 ": %s", pieces->offset, ZSTD_getErrorName(len));
		return name_file(f, pieces, err);
	}
	for (size_t i = 0; rc == SW_OK && i < count; i++) {
		rc = write_pages(f, w, &pieces[i], len, err);
		if (rc == SW_CORRUPT)
			name_file(f, &pieces[i], err);
	}
	return rc;
}

/* --- both -------------------------------------------------------------------------- */

static sw_rc
run_worker(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	return sw_gather_work(&filling_of(ctx)->gather, pool, worker, err);
}

static void
on_tick(void *ctx)
{
	const struct sw_fill *fill = filling_of(ctx)->fill;

	if (fill->tick != NULL)
		fill->tick(fill->tick_ctx);
}

static sw_rc
gather(struct filling *f, struct sw_spill *pieces, struct sw_error *err)
{
	const struct sw_fill *fill = f->fill;
	sw_rc rc = sw_spill_map(pieces, err);

	if (rc != SW_OK || pieces->count == 0)
		return rc;
	sw_spill_sort(pieces, sw_piece_compare);
	f->gather.repo = fill->repo;
	f->gather.packs = fill->listing->packs.map;
	f->gather.pieces = pieces->map;
	f->gather.count = pieces->count;
	f->gather.ctx = f;
	sw_gather_init(&f->gather);
	return sw_pool_run(fill->workers, run_worker, on_tick, f, err);
}

static sw_rc
open_workers(struct filling *f, struct sw_error *err)
{
	f->workers = calloc(f->fill->workers, sizeof(*f->workers));
	if (f->workers == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (unsigned i = 0; i < f->fill->workers; i++)
		f->workers[i].fd = -1;
	for (unsigned i = 0; i < f->fill->workers; i++) {
		struct fill_worker *w = &f->workers[i];

		w->zstd = ZSTD_createDCtx();
		w->content = malloc(SW_CHUNK_BYTES_MAX);
		w->hashes = calloc(SW_CHUNK_PAGES, sizeof(*w->hashes));
		if (w->zstd == NULL || w->content == NULL || w->hashes == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		if (sw_map_chunk_init(&w->chunk, f->block_size, err) != SW_OK)
			return err->rc;
	}
	return SW_OK;
}

static void
filling_release(struct filling *f)
{
	for (unsigned i = 0; f->workers != NULL && i < f->fill->workers; i++) {
		struct fill_worker *w = &f->workers[i];

		ZSTD_freeDCtx(w->zstd);
		free(w->content);
		free(w->hashes);
		sw_map_chunk_release(&w->chunk);
		if (w->fd >= 0)
			close(w->fd);
	}
	free(f->workers);
	sw_spill_release(&f->frames);
	sw_spill_release(&f->hashes);
}

sw_rc
sw_fill_run(const struct sw_fill *fill, struct sw_error *err)
{
	__attribute__((cleanup(filling_release))) struct filling f = {
		.fill = fill,
		.block_size = fill->listing->header.block_size,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	const char *dir = fill->target->pgdata.path;
	sw_rc rc = open_workers(&f, err);

	if (rc == SW_OK)
		rc = sw_spill_init(&f.frames, dir, sizeof(struct sw_piece), err);
	if (rc == SW_OK)
		rc = sw_spill_init(&f.hashes, dir, sizeof(struct sw_page_hash), err);
	f.gather.take = take_chunks;
	if (rc == SW_OK)
		rc = gather(&f, &fill->listing->pieces, err);
	f.gather.take = take_frame;
	f.gather.have = fill->resume ? have_pages : NULL;
	if (rc == SW_OK)
		rc = gather(&f, &f.frames, err);
	return rc;
}
