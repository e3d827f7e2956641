/*
 * Files of a made-up data directory are copied, some of which changed since they were looked for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "backup/copy.h"
#include "pg/page.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB 1024
#define MB (1024 * 1024)
#define BLOCK 1024
#define CHUNK (4 * MB) /* SW_CHUNK_PAGES blocks */
#define SYSTEM UINT64_C(17710216540988632115)

static char dir[4096], pgdata[4200];
static struct sw_repository repo;
static struct sw_control control = {.block_size = BLOCK, .segment_size = 16 * MB, .blocks_per_file = 131072};

/* --- tools ---------------------------------------------------------------------------------- */

static uint8_t *
pattern(size_t len, unsigned seed)
{
	uint8_t *data = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i / 100 * 31 + i / BLOCK * 7 + seed);
	return data;
}

static void
make_file(const char *path, size_t len, unsigned seed)
{
	SW_AUTO_FREE uint8_t *data = pattern(len, seed);

	scratch_file(pgdata, path, data, len);
}

static void
start(struct sw_copy *copy, struct sw_scan *scan, const char *label)
{
	struct sw_error err = SW_ERROR_INIT;

	if (sw_scan_run(pgdata, 15, 202209061, 131072, scan, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	*copy = (struct sw_copy){
		.pgdata = pgdata,
		.scan = scan,
		.repo = &repo,
		.label = label,
		.control = &control,
		.start = 0x1000,
		.level = 1,
	};
}

static void
end(struct sw_copy *copy, struct sw_scan *scan)
{
	sw_copy_release(copy);
	sw_scan_release(scan);
	scratch_remove(pgdata);
}

static const struct sw_copied *
copied_of(const struct sw_copy *copy, const char *path)
{
	for (size_t i = 0; i < copy->scan->count; i++)
		if (strcmp(copy->scan->items[i].path, path) == 0)
			return &copy->copied[i];
	return NULL;
}

/* `len` stored bytes of a pack, checked and decompressed. */
static bool
get_frame(const char *pack, uint64_t offset, uint32_t len, const uint8_t *sha256, struct sw_buf *out)
{
	char name[SW_STORE_NAME_MAX];
	struct sw_error err = SW_ERROR_INIT;
	uint8_t ours[SW_SHA256_LEN];
	SW_AUTO_BUF stored;
	size_t n;

	sw_buf_init(&stored, 4 * MB);
	sw_repository_name(&repo, name, "pack/%s", pack);
	if (sw_store_get_buf(repo.store, name, offset, len, &stored, &err) != SW_OK)
		return false;
	sw_sha256(stored.data, stored.len, ours);
	sw_buf_reset(out);
	if (memcmp(ours, sha256, sizeof(ours)) != 0 || sw_buf_reserve(out, SW_CHUNK_BYTES_MAX, &err) != SW_OK)
		return false;
	n = ZSTD_decompress(out->data, SW_CHUNK_BYTES_MAX, stored.data, stored.len);
	out->len = ZSTD_isError(n) ? 0 : n;
	return !ZSTD_isError(n);
}

static bool
get_chunk(const struct sw_chunk_ref *ref, struct sw_map_chunk *chunk, struct sw_buf *content)
{
	struct sw_error err = SW_ERROR_INIT;
	size_t before = content->len;
	SW_AUTO_BUF frame;

	sw_buf_init(&frame, SW_CHUNK_BYTES_MAX);
	if (!get_frame(ref->pack, ref->offset, ref->stored_len, ref->sha256, &frame) ||
		sw_map_chunk_decode(chunk, frame.data, frame.len, &err) != SW_OK)
		return false;
	for (uint32_t i = 0; i < chunk->run_count; i++) {
		const struct sw_frame_ref *f = &chunk->frames[chunk->runs[i].frame];

		if (!get_frame(chunk->packs[f->pack], f->offset, f->stored_len, f->sha256, &frame))
			return false;
		for (uint32_t k = 0; k < f->page_count; k++) {
			size_t at = (size_t)k * BLOCK, len = frame.len - at < BLOCK ? frame.len - at : BLOCK;
			struct sw_page_hash hash = sw_page_hash(frame.data + at, len, repo.reg.page_hash_secret);

			if (memcmp(&hash, &chunk->hashes[chunk->runs[i].first_page + k], sizeof(hash)) != 0)
				return false;
		}
		sw_buf_append(content, frame.data, frame.len, &err);
	}
	return content->len - before == (size_t)(chunk->page_count - 1) * BLOCK + chunk->last_page_len;
}

/* What a restore would make of it. */
static bool
get_content(const struct sw_copied *copied, struct sw_buf *content)
{
	struct sw_map_chunk chunk;
	struct sw_error err = SW_ERROR_INIT;
	bool ok = true;

	sw_buf_reset(content);
	if (copied->frame != NULL) {
		struct sw_page_hash hash;

		sw_buf_reserve(content, SW_OUTSIDE_MAX, &err);
		content->len = ZSTD_decompress(content->data, SW_OUTSIDE_MAX, copied->frame, copied->frame_len);
		hash = sw_page_hash(content->data, content->len, repo.reg.page_hash_secret);
		return memcmp(&hash, &copied->hash, sizeof(hash)) == 0 && copied->chunk_count == 0;
	}
	if (sw_map_chunk_init(&chunk, BLOCK, &err) != SW_OK)
		return false;
	for (size_t i = 0; ok && i < copied->chunk_count; i++)
		ok = get_chunk(&copied->chunks[i], &chunk, content);
	sw_map_chunk_release(&chunk);
	return ok && copied->chunk_count == ((copied->size + BLOCK - 1) / BLOCK + SW_CHUNK_PAGES - 1) / SW_CHUNK_PAGES;
}

/* --- files that change --------------------------------------------------------------------------- */

enum change { KEEP, VANISH, RESIZE, REPLACE };

static const struct change_case {
	const char *path;
	size_t len;       /* when it was looked for */
	enum change change;
	size_t new_len;   /* when it is read */
	size_t want;      /* of that is in the backup */
} changes[] = {
	{"empty", 0, KEEP, 0, 0},
	{"one", 1, KEEP, 0, 1},
	{"small", SW_INLINE_MAX, KEEP, 0, SW_INLINE_MAX},
	{"larger", SW_INLINE_MAX + 1, KEEP, 0, SW_INLINE_MAX + 1},
	{"a-frame", MB, KEEP, 0, MB},
	{"a-frame-and-a-byte", MB + 1, KEEP, 0, MB + 1},
	{"base/5/1000", CHUNK, KEEP, 0, CHUNK},
	{"base/5/1001", CHUNK + BLOCK, KEEP, 0, CHUNK + BLOCK},
	{"base/5/1002", CHUNK + MB + 100, KEEP, 0, CHUNK + MB + 100},
	{"gone-small", 100, VANISH, 0, 0},
	{"gone-large", CHUNK + MB, VANISH, 0, 0},
	{"cut-small", 100, RESIZE, 10, 10},
	{"cut-small-to-nothing", 100, RESIZE, 0, 0},
	{"cut-large-to-nothing", 100 * KB, RESIZE, 0, 0},
	{"base/5/2000", CHUNK + MB, RESIZE, 0, 0},
	{"base/5/2001", CHUNK + MB, RESIZE, BLOCK, BLOCK},
	{"base/5/2002", CHUNK + MB, RESIZE, CHUNK, CHUNK},
	{"base/5/2003", CHUNK + MB, RESIZE, CHUNK + 100, CHUNK + 100},
	{"base/5/2004", 3 * CHUNK - 1, RESIZE, CHUNK + 8 * KB, CHUNK + 8 * KB},
	/* what WAL would not give back */
	{"postgresql.auto.conf", 88, REPLACE, 200, 200},
	{"pg_hba.conf", 4000, REPLACE, SW_INLINE_MAX, SW_INLINE_MAX},
	{"pg_ident.conf", 4000, REPLACE, SW_INLINE_MAX + 1, SW_INLINE_MAX + 1},
	{"was-empty", 0, REPLACE, 3 * MB, 3 * MB},
	{"was-large", 20 * KB, REPLACE, 30 * KB, 30 * KB},
	{"was-larger", CHUNK + MB, REPLACE, CHUNK + 2 * MB, CHUNK + 2 * MB},
	{"shorter", 30 * KB, REPLACE, 10 * KB, 10 * KB},
	{"log/server.log", 100, RESIZE, CHUNK + MB, CHUNK}, /* to the end of its chunk */
	/* what WAL does */
	{"base/5/3000", BLOCK, RESIZE, 2 * BLOCK, BLOCK},
	{"base/5/3001", 40 * BLOCK, RESIZE, CHUNK + MB, 40 * BLOCK},
	{"base/5/3002", CHUNK + MB, RESIZE, CHUNK + 2 * MB, CHUNK + MB},
	{"base/5/3003", 0, RESIZE, BLOCK, 0},
};

static void
change_file(const struct change_case *c)
{
	char path[8192];

	snprintf(path, sizeof(path), "%s/%s", pgdata, c->path);
	if (c->change == VANISH && unlink(path) != 0)
		perror(path);
	if (c->change == RESIZE && truncate(path, (off_t)c->new_len) != 0)
		perror(path);
	if (c->change == REPLACE)
		make_file(c->path, c->new_len, 99);
}

static void
check_copied(const struct sw_copy *copy, const struct change_case *c, unsigned seed)
{
	static const char *const words[] = {[KEEP] = "stays", [VANISH] = "vanishes", [RESIZE] = "becomes",
		[REPLACE] = "is replaced by"};
	const struct sw_copied *copied = copied_of(copy, c->path);
	SW_AUTO_FREE uint8_t *want = pattern(c->want, c->change == REPLACE ? 99 : seed);
	SW_AUTO_BUF content;

	sw_buf_init(&content, 20 * MB);
	if (c->change == VANISH) {
		tap_ok(copied->gone, "%s, %zu bytes, vanishes: no entry", c->path, c->len);
		return;
	}
	/* a longer file has zeros behind what it had */
	if (c->change == RESIZE && c->want > c->len)
		memset(want + c->len, 0, c->want - c->len);
	tap_ok(!copied->gone && copied->size == c->want && get_content(copied, &content) && content.len == c->want &&
		(c->want == 0 || memcmp(content.data, want, c->want) == 0), "%s, %zu bytes, %s %zu: %zu are kept", c->path, c->len,
		words[c->change], c->change == KEEP ? c->len : c->new_len, c->want);
}

static void
test_changes(unsigned workers)
{
	char label[16];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;
	uint64_t packed = 0;

	snprintf(label, sizeof(label), "changes%u", workers);
	for (unsigned i = 0; i < COUNT(changes); i++)
		make_file(changes[i].path, changes[i].len, i);
	start(&copy, &scan, label);
	for (size_t i = 0; i < COUNT(changes); i++)
		change_file(&changes[i]);
	tap_is(sw_rc_name(sw_copy_run(&copy, workers, NULL, &err)), "ok", "files are copied by %u workers", workers);
	for (unsigned i = 0; i < COUNT(changes); i++)
		check_copied(&copy, &changes[i], i);
	for (size_t i = 0; i < copy.pack_count; i++)
		packed += copy.packs[i].size > 0 && copy.packs[i].size <= SW_PACK_BYTES && sw_pack_name_ok(copy.packs[i].name);
	tap_ok(copy.pack_count > 1 && packed == copy.pack_count, "in %zu packs, none too large", copy.pack_count);
	end(&copy, &scan);
}

/* --- what is wrong ---------------------------------------------------------------------------------- */

static void
test_too_large(void)
{
	char path[8192];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;

	make_file("core", 1, 0);
	snprintf(path, sizeof(path), "%s/core", pgdata);
	if (truncate(path, INT64_C(3) << 40) != 0) {
		tap_ok(true, "# SKIP this file system has no files of 3 TiB");
		return;
	}
	start(&copy, &scan, "large");
	tap_is(sw_rc_name(sw_copy_run(&copy, 1, NULL, &err)), "configuration", "a file of 3 TiB is refused at once");
	tap_ok(strstr(err.text, "/core has 3298534883328 bytes") != NULL && strstr(err.hint, "data directory") != NULL,
		"it is named, with what to do");
	tap_ok(copy.pack_count == 0, "and nothing was put");
	end(&copy, &scan);
}

static void
test_became_link(void)
{
	char path[8192];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;

	make_file("secret", 100, 0);
	snprintf(path, sizeof(path), "%s/secret", pgdata);
	start(&copy, &scan, "link");
	if (unlink(path) != 0 || symlink("/etc/passwd", path) != 0)
		perror(path);
	tap_ok(sw_copy_run(&copy, 1, NULL, &err) != SW_OK && strstr(err.text, "/secret") != NULL,
		"a file that became a link is not followed");
	end(&copy, &scan);
}

static void
test_relmap(void)
{
	uint8_t map[524] = {0x17, 0x27, 0x59};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;

	scratch_file(pgdata, "base/5/pg_filenode.map", map, 512);
	start(&copy, &scan, "relmap");
	tap_is(sw_rc_name(sw_copy_run(&copy, 1, NULL, &err)), "corrupt", "a damaged pg_filenode.map fails the backup");
	tap_ok(strstr(err.text, "base/5/pg_filenode.map") != NULL && err.hint[0] != '\0', "it is named, with a hint");
	end(&copy, &scan);
}

/* Good, new, and damaged pages; blocks count from the segment's start. */
static void
test_checksums(bool verify)
{
	static uint8_t pages[40][BLOCK];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;
	bool as_found = true;
	SW_AUTO_BUF content;

	for (uint32_t i = 0; i < 40; i++) {
		uint16_t sum;

		memset(pages[i], i == 7 ? 0 : 0x41, BLOCK);
		if (i == 7)
			continue;
		sum = sw_page_checksum(pages[i], BLOCK, 131072 + i);
		memcpy(pages[i] + 8, &sum, sizeof(sum));
	}
	pages[3][400] ^= 1;
	pages[39][BLOCK - 1] ^= 1;
	scratch_file(pgdata, "base/5/16384.1", pages, sizeof(pages));
	scratch_file(pgdata, "base/5/notes", pages, sizeof(pages));
	start(&copy, &scan, verify ? "verify" : "trust");
	copy.verify = verify;
	tap_is(sw_rc_name(sw_copy_run(&copy, 2, NULL, &err)), "ok", "damaged pages do not fail a copy");
	tap_is_int((long long)copy.bad_total, verify ? 2 : 0, "they are counted if checksums are verified, in relations only");
	if (verify)
		tap_ok(copy.bad[0].block == 131072 + 3 && copy.bad[1].block == 131072 + 39, "with their blocks");
	sw_buf_init(&content, MB);
	as_found = get_content(copied_of(&copy, "base/5/16384.1"), &content) && content.len == sizeof(pages) &&
		memcmp(content.data, pages, sizeof(pages)) == 0;
	tap_ok(as_found, "and kept as they were found");
	end(&copy, &scan);
}

static void
test_store_fails(void)
{
	char path[8192];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_copy copy;
	struct sw_scan scan;

	make_file("file", 3 * MB, 0);
	start(&copy, &scan, "fails");
	snprintf(path, sizeof(path), "main/%llu/pack/fails/000001.pack", (unsigned long long)SYSTEM);
	scratch_file(dir, path, "x", 1);
	tap_is(sw_rc_name(sw_copy_run(&copy, 2, NULL, &err)), "conflict", "what the store says ends the copy");
	tap_ok(strstr(err.text, "pack/fails/000001.pack") != NULL, "and names the object");
	end(&copy, &scan);
}

static void
test_inline(void)
{
	static const size_t lens[] = {0, 1, 200, SW_OUTSIDE_MAX};
	SW_AUTO_FREE uint8_t *data = pattern(SW_OUTSIDE_MAX, 3);

	for (size_t i = 0; i < COUNT(lens); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_copied copied = {0};
		SW_AUTO_BUF content;

		sw_buf_init(&content, MB);
		tap_ok(sw_copy_inline(&copied, data, lens[i], repo.reg.page_hash_secret, &err) == SW_OK &&
			get_content(&copied, &content) && content.len == lens[i] && memcmp(content.data, data, lens[i]) == 0,
			"%zu bytes inline", lens[i]);
		free(copied.frame);
	}
}

int
main(void)
{
	struct sw_registration reg = {.system_identifier = SYSTEM, .major = 15, .segment_size = 16 * MB,
		.block_size = BLOCK, .wal_block_size = 8192, .traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store;

	scratch_make(dir);
	snprintf(pgdata, sizeof(pgdata), "%s/pgdata", dir);
	if (sw_posix_open(dir, &store, &err) != SW_OK || sw_repository_register(store, "main", &reg, &err) != SW_OK ||
		sw_repository_open(store, "main", SYSTEM, &repo, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	test_changes(1);
	test_changes(3);
	test_too_large();
	test_became_link();
	test_relmap();
	test_checksums(true);
	test_checksums(false);
	test_store_fails();
	test_inline();
	sw_store_free(store);
	scratch_remove(dir);
	return tap_done();
}
