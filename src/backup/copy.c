#include "backup/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/file.h"
#include "pg/page.h"

#define MAP_PACK_BYTES (4 * 1024 * 1024)
#define TORN_READS_MAX 5 /* a page that the server is writing right now is whole a moment later */

struct worker {
	struct sw_copy *copy;
	struct sw_store *store;
	struct sw_repository repo; /* with the worker's own store */
	struct sw_pack_writer pack, map;
	struct sw_map_chunk chunk;
	struct sw_buf encoded;
	uint8_t *pages;            /* SW_FRAME_BYTES */
};

struct job {
	size_t item, chunk;
	bool is_inline;
	uint64_t offset, len; /* bytes of the file */
};

/* --- jobs -------------------------------------------------------------------------- */

static uint64_t
chunk_bytes(const struct sw_copy *copy)
{
	return (uint64_t)SW_CHUNK_PAGES * copy->control->block_size;
}

static bool
next_job(struct sw_copy *copy, struct job *job)
{
	bool found = false;

	pthread_mutex_lock(&copy->mutex);
	while (!found && copy->next_item < copy->scan->count) {
		const struct sw_scan_item *item = &copy->scan->items[copy->next_item];
		uint64_t offset = copy->next_chunk * chunk_bytes(copy);

		if (item->type != SW_ENTRY_FILE || (copy->next_chunk > 0 && offset >= item->size)) {
			copy->next_item++;
			copy->next_chunk = 0;
			continue;
		}
		*job = (struct job){
			.item = copy->next_item,
			.chunk = copy->next_chunk++,
			.is_inline = item->size <= SW_INLINE_MAX,
			.offset = offset,
			.len = item->size - offset < chunk_bytes(copy) ? item->size - offset : chunk_bytes(copy),
		};
		found = true;
	}
	pthread_mutex_unlock(&copy->mutex);
	return found;
}

/* --- page checksums ---------------------------------------------------------------- */

static bool
page_ok(const struct sw_copy *copy, const uint8_t *page, uint32_t block)
{
	return sw_page_is_new(page) ||
		sw_page_checksum(page, copy->control->block_size, block) == sw_page_stored_checksum(page);
}

static void
note_bad_page(struct sw_copy *copy, size_t item, uint32_t block, sw_lsn lsn)
{
	pthread_mutex_lock(&copy->mutex);
	copy->bad_total++;
	if (copy->bad_count < SW_BAD_PAGES_MAX)
		copy->bad[copy->bad_count++] = (struct sw_bad_page){item, block, lsn};
	pthread_mutex_unlock(&copy->mutex);
}

static sw_rc
verify_page(struct worker *w, const struct job *job, int fd, const char *path, uint8_t *page,
	uint64_t offset, struct sw_error *err)
{
	struct sw_copy *copy = w->copy;
	uint32_t block_size = copy->control->block_size;
	uint32_t block = copy->scan->items[job->item].first_block + (uint32_t)(offset / block_size);

	for (int i = 0; i < TORN_READS_MAX; i++) {
		size_t got;
		sw_rc rc;

		if (page_ok(copy, page, block))
			return SW_OK;
		sw_clock_sleep_ms(1 + i * 5);
		rc = sw_file_pread(fd, page, block_size, (off_t)offset, &got, path, err);
		if (rc != SW_OK)
			return rc;
		if (got < block_size) /* truncated meanwhile: WAL says so too */
			memset(page + got, 0, block_size - got);
	}
	if (!page_ok(copy, page, block))
		note_bad_page(copy, job->item, block, sw_page_lsn(page));
	return SW_OK;
}

static sw_rc
verify_pages(struct worker *w, const struct job *job, int fd, const char *path, uint8_t *pages,
	size_t len, uint64_t offset, struct sw_error *err)
{
	uint32_t block_size = w->copy->control->block_size;
	sw_rc rc = SW_OK;

	if (!w->copy->verify || !w->copy->scan->items[job->item].relation)
		return SW_OK;
	for (size_t at = 0; rc == SW_OK && at + block_size <= len; at += block_size)
		rc = verify_page(w, job, fd, path, pages + at, offset + at, err);
	return rc;
}

/* --- content ----------------------------------------------------------------------- */

sw_rc
sw_copy_inline(struct sw_copied *copied, const void *data, size_t len, const uint8_t *secret,
	struct sw_error *err)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(len), stored;
	uint8_t *frame = malloc(room);

	if (zstd == NULL || frame == NULL) {
		ZSTD_freeCCtx(zstd);
		free(frame);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	stored = ZSTD_compress2(zstd, frame, room, data, len);
	ZSTD_freeCCtx(zstd);
	if (ZSTD_isError(stored)) {
		free(frame);
		return sw_fail(err, SW_SYSTEM, "compressing: %s", ZSTD_getErrorName(stored));
	}
	*copied = (struct sw_copied){
		.size = len,
		.frame = frame,
		.frame_len = stored,
		.hash = sw_page_hash(data, len, secret),
	};
	return SW_OK;
}

static bool
is_relmap(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && strcmp(slash, "/pg_filenode.map") == 0;
}

static sw_rc
copy_inline(struct worker *w, const struct job *job, int fd, const char *path, struct sw_error *err)
{
	struct sw_copy *copy = w->copy;
	size_t got = 0;
	sw_rc rc;

	for (int i = 0;; i++) {
		rc = sw_file_pread(fd, w->pages, (size_t)job->len, 0, &got, path, err);
		if (rc != SW_OK)
			return rc;
		if (!is_relmap(path) || sw_relmap_ok(w->pages, got))
			break;
		if (i == TORN_READS_MAX) {
			sw_fail(err, SW_CORRUPT, "%s: wrong CRC, %d times", path, i);
			return sw_hint(err, "the cluster itself is damaged there: its relations cannot be found after a restart");
		}
		sw_clock_sleep_ms(10);
	}
	rc = verify_pages(w, job, fd, path, w->pages, got, 0, err);
	atomic_fetch_add(&copy->done, job->len);
	return rc == SW_OK ? sw_copy_inline(&copy->copied[job->item], w->pages, got,
		copy->repo->reg.page_hash_secret, err) : rc;
}

/* One frame: `len` bytes at `offset` are in w->pages. */
static sw_rc
store_frame(struct worker *w, const struct job *job, size_t len, uint64_t offset,
	struct sw_error *err)
{
	uint32_t block_size = w->copy->control->block_size;
	uint32_t pages = (uint32_t)((len + block_size - 1) / block_size);
	struct sw_map_chunk *chunk = &w->chunk;
	struct sw_frame_ref frame;
	sw_rc rc;

	for (uint32_t i = 0; i < pages; i++) {
		size_t at = (size_t)i * block_size, n = len - at < block_size ? len - at : block_size;

		chunk->hashes[chunk->page_count + i] = sw_page_hash(w->pages + at, n,
			w->copy->repo->reg.page_hash_secret);
		chunk->last_page_len = (uint32_t)n;
	}
	rc = sw_pack_writer_add(&w->pack, w->pages, len, w->copy->scan->items[job->item].path,
		offset / block_size, pages, &frame, err);
	if (rc != SW_OK)
		return rc;
	frame.pack = sw_map_chunk_pack(chunk, w->pack.name);
	chunk->frames[chunk->frame_count] = frame;
	chunk->runs[chunk->run_count++] = (struct sw_run){
		.first_page = chunk->page_count,
		.page_count = pages,
		.frame = chunk->frame_count++,
	};
	chunk->page_count += pages;
	return SW_OK;
}

static sw_rc
store_chunk(struct worker *w, const struct job *job, uint64_t len, struct sw_error *err)
{
	struct sw_copied *copied = &w->copy->copied[job->item];
	struct sw_chunk_ref *ref = &copied->chunks[job->chunk];
	struct sw_frame_ref frame;
	sw_rc rc = sw_map_chunk_encode(&w->chunk, &w->encoded, err);

	if (rc == SW_OK)
		rc = sw_pack_writer_add(&w->map, w->encoded.data, w->encoded.len,
			w->copy->scan->items[job->item].path, (uint64_t)job->chunk * SW_CHUNK_PAGES,
			w->chunk.page_count, &frame, err);
	if (rc != SW_OK)
		return rc;
	*ref = (struct sw_chunk_ref){.offset = frame.offset, .stored_len = frame.stored_len};
	memcpy(ref->pack, w->map.name, sizeof(ref->pack));
	memcpy(ref->sha256, frame.sha256, sizeof(ref->sha256));
	copied->chunk_len[job->chunk] = len;
	return SW_OK;
}

static sw_rc
copy_chunk(struct worker *w, const struct job *job, int fd, const char *path, struct sw_error *err)
{
	uint64_t done = 0;
	sw_rc rc = SW_OK;

	sw_map_chunk_reset(&w->chunk);
	while (rc == SW_OK && done < job->len) {
		size_t want = job->len - done < SW_FRAME_BYTES ? (size_t)(job->len - done) : SW_FRAME_BYTES;
		size_t got;

		rc = sw_file_pread(fd, w->pages, want, (off_t)(job->offset + done), &got, path, err);
		if (rc != SW_OK || got == 0)
			break;
		rc = verify_pages(w, job, fd, path, w->pages, got, job->offset + done, err);
		if (rc == SW_OK)
			rc = store_frame(w, job, got, job->offset + done, err);
		done += got;
		atomic_fetch_add(&w->copy->done, got);
		if (got < want)
			break;
	}
	if (rc == SW_OK && done > 0)
		rc = store_chunk(w, job, done, err);
	return rc;
}

/* One chunk for a file that is no longer small. */
static sw_rc
leave_inline(struct sw_copied *copied, struct sw_error *err)
{
	copied->chunks = calloc(1, sizeof(*copied->chunks));
	copied->chunk_len = calloc(1, sizeof(*copied->chunk_len));
	if (copied->chunks == NULL || copied->chunk_len == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	copied->chunk_count = 1;
	return SW_OK;
}

/*
 * WAL gives a relation's new pages back, but nothing the rest of a configuration file that was replaced by
 * a longer one since the scan: so the last job of any other file goes to its end, or to that of its chunk.
 */
static sw_rc
follow_growth(struct sw_copy *copy, struct job *job, int fd, const char *path, struct sw_error *err)
{
	const struct sw_scan_item *item = &copy->scan->items[job->item];
	struct stat st;
	uint64_t size;

	if (item->relation || job->offset + job->len < item->size)
		return SW_OK;
	if (fstat(fd, &st) != 0)
		return sw_fail_errno(err, "stat of %s", path);
	size = (uint64_t)st.st_size;
	if (size <= item->size)
		return SW_OK;
	job->len = size - job->offset < chunk_bytes(copy) ? size - job->offset : chunk_bytes(copy);
	if (!job->is_inline || job->len <= SW_INLINE_MAX)
		return SW_OK;
	job->is_inline = false;
	return leave_inline(&copy->copied[job->item], err);
}

static sw_rc
run_job(struct worker *w, struct job *job, struct sw_error *err)
{
	struct sw_copy *copy = w->copy;
	SW_AUTO_FREE char *path = NULL;
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (asprintf(&path, "%s/%s", copy->pgdata, copy->scan->items[job->item].path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		/* dropped since; a later chunk of a file that was there counts as cut off */
		if (job->chunk == 0)
			copy->copied[job->item].gone = true;
		atomic_fetch_add(&copy->done, job->len);
		return SW_OK;
	}
	if (fd < 0)
		return sw_fail_errno(err, "opening %s", path);
	rc = follow_growth(copy, job, fd, path, err);
	if (rc != SW_OK)
		return rc;
	return job->is_inline ? copy_inline(w, job, fd, path, err) : copy_chunk(w, job, fd, path, err);
}

/* --- workers ----------------------------------------------------------------------- */

static sw_rc
note_pack(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct sw_copy *copy = ctx;
	sw_rc rc = SW_OK;

	pthread_mutex_lock(&copy->mutex);
	if ((copy->pack_count & (copy->pack_count - 1)) == 0) {
		size_t room = copy->pack_count == 0 ? 1 : copy->pack_count * 2;
		struct sw_pack_info *packs = realloc(copy->packs, room * sizeof(*packs));

		if (packs == NULL)
			rc = sw_fail(err, SW_SYSTEM, "out of memory");
		else
			copy->packs = packs;
	}
	if (rc == SW_OK)
		copy->packs[copy->pack_count++] = *info;
	pthread_mutex_unlock(&copy->mutex);
	return rc;
}

static void
worker_release(struct worker *w)
{
	sw_pack_writer_release(&w->pack);
	sw_pack_writer_release(&w->map);
	sw_map_chunk_release(&w->chunk);
	sw_buf_release(&w->encoded);
	free(w->pages);
	sw_store_free(w->store);
}

static sw_rc
worker_init(struct worker *w, struct sw_copy *copy, struct sw_error *err)
{
	struct sw_pack_writer_params params = {
		.repo = &w->repo,
		.label = copy->label,
		.suffix = "pack",
		.numbers = &copy->pack_numbers,
		.max = SW_PACK_BYTES,
		.level = copy->level,
		.done = note_pack,
		.ctx = copy,
	};
	sw_rc rc;

	*w = (struct worker){.copy = copy, .repo = *copy->repo};
	sw_buf_init(&w->encoded, SW_CHUNK_BYTES_MAX);
	w->pages = aligned_alloc(4096, SW_FRAME_BYTES);
	if (w->pages == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_store_clone(copy->repo->store, &w->store, err);
	w->repo.store = w->store;
	if (rc == SW_OK)
		rc = sw_map_chunk_init(&w->chunk, copy->control->block_size, err);
	if (rc == SW_OK)
		rc = sw_pack_writer_init(&w->pack, &params, err);
	params.suffix = "map";
	params.numbers = &copy->map_numbers;
	params.max = MAP_PACK_BYTES;
	if (rc == SW_OK)
		rc = sw_pack_writer_init(&w->map, &params, err);
	return rc;
}

static sw_rc
work(struct sw_pool *pool, unsigned number, void *ctx, struct sw_error *err)
{
	__attribute__((cleanup(worker_release))) struct worker w = {0};
	struct job job;
	sw_rc rc = worker_init(&w, ctx, err);

	(void)number;
	while (rc == SW_OK && !sw_pool_stopping(pool) && next_job(w.copy, &job))
		rc = run_job(&w, &job, err);
	if (rc == SW_OK && !sw_pool_stopping(pool))
		rc = sw_pack_writer_finish(&w.pack, err);
	if (rc == SW_OK && !sw_pool_stopping(pool))
		rc = sw_pack_writer_finish(&w.map, err);
	return rc;
}

/* --- the whole --------------------------------------------------------------------- */

static sw_rc
allocate(struct sw_copy *copy, struct sw_error *err)
{
	copy->copied = calloc(copy->scan->count + 1, sizeof(*copy->copied));
	copy->bad = calloc(SW_BAD_PAGES_MAX, sizeof(*copy->bad));
	if (copy->copied == NULL || copy->bad == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < copy->scan->count; i++) {
		const struct sw_scan_item *item = &copy->scan->items[i];
		struct sw_copied *copied = &copy->copied[i];

		if (item->type != SW_ENTRY_FILE || item->size <= SW_INLINE_MAX)
			continue;
		if (item->size > chunk_bytes(copy) * SW_ENTRY_CHUNKS_MAX) {
			sw_fail(err, SW_CONFIG, "%s/%s has %llu bytes, a backup takes files of at most %llu", copy->pgdata,
				item->path, (unsigned long long)item->size,
				(unsigned long long)chunk_bytes(copy) * SW_ENTRY_CHUNKS_MAX);
			return sw_hint(err, "move it out of the data directory");
		}
		copied->chunk_count = (item->size + chunk_bytes(copy) - 1) / chunk_bytes(copy);
		copied->chunks = calloc(copied->chunk_count, sizeof(*copied->chunks));
		copied->chunk_len = calloc(copied->chunk_count, sizeof(*copied->chunk_len));
		if (copied->chunks == NULL || copied->chunk_len == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	return SW_OK;
}

/* A file that was cut while it was read ends where the first short chunk does: WAL cuts it again. */
static sw_rc
settle(struct sw_copy *copy, struct sw_error *err)
{
	for (size_t i = 0; i < copy->scan->count; i++) {
		struct sw_copied *copied = &copy->copied[i];
		size_t whole = 0;

		if (copied->gone || copied->chunks == NULL)
			continue;
		copied->size = 0;
		while (whole < copied->chunk_count) {
			uint64_t len = copied->chunk_len[whole];

			copied->size += len;
			whole += len > 0;
			if (len < chunk_bytes(copy))
				break;
		}
		copied->chunk_count = whole;
		if (whole == 0) {
			sw_rc rc;

			free(copied->chunks);
			free(copied->chunk_len);
			copied->chunks = NULL;
			copied->chunk_len = NULL;
			rc = sw_copy_inline(copied, "", 0, copy->repo->reg.page_hash_secret, err);
			if (rc != SW_OK)
				return rc;
		}
	}
	return SW_OK;
}

sw_rc
sw_copy_run(struct sw_copy *copy, unsigned workers, sw_pool_tick tick, struct sw_error *err)
{
	sw_rc rc;

	pthread_mutex_init(&copy->mutex, NULL);
	rc = allocate(copy, err);
	if (rc == SW_OK)
		rc = sw_pool_run(workers, work, tick, copy, err);
	return rc == SW_OK ? settle(copy, err) : rc;
}

void
sw_copy_release(struct sw_copy *copy)
{
	for (size_t i = 0; copy->copied != NULL && i < copy->scan->count; i++) {
		free(copy->copied[i].frame);
		free(copy->copied[i].chunks);
		free(copy->copied[i].chunk_len);
	}
	free(copy->copied);
	free(copy->packs);
	free(copy->bad);
	copy->copied = NULL;
	copy->packs = NULL;
	copy->bad = NULL;
}
