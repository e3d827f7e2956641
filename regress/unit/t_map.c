#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "archive/repository.h"
#include "backup/map.h"
#include "backup/pack.h"
#include "base/file.h"
#include "base/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BLOCK 8192
#define NAME "20261120T113831Z/000001.pack"

/* --- tools ---------------------------------------------------------------------------- */

static void
fill_hashes(struct sw_map_chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->page_count; i++)
		for (size_t k = 0; k < SW_PAGE_HASH_LEN; k++)
			chunk->hashes[i].bytes[k] = (uint8_t)random();
}

/* `pages` pages in frames of `per_frame`, of a pack each `per_pack` frames. */
static void
fill_chunk(struct sw_map_chunk *chunk, uint32_t pages, uint32_t per_frame, uint32_t per_pack, const char *pack)
{
	sw_map_chunk_reset(chunk);
	while (chunk->page_count < pages) {
		uint32_t n = pages - chunk->page_count < per_frame ? pages - chunk->page_count : per_frame;
		struct sw_frame_ref *frame = &chunk->frames[chunk->frame_count];
		char name[SW_PACK_NAME_MAX];

		snprintf(name, sizeof(name), "%s/%06u.pack", pack, chunk->frame_count / per_pack + 1);
		*frame = (struct sw_frame_ref){
			.pack = sw_map_chunk_pack(chunk, name),
			.offset = (uint64_t)random() % (SW_PACK_BYTES / 2),
			.stored_len = 1 + (uint32_t)random() % SW_FRAME_BYTES,
			.page_count = n,
		};
		memset(frame->sha256, (int)random(), sizeof(frame->sha256));
		chunk->runs[chunk->run_count++] = (struct sw_run){
			.first_page = chunk->page_count,
			.page_count = n,
			.frame = chunk->frame_count++,
		};
		chunk->page_count += n;
	}
	chunk->last_page_len = 1 + (uint32_t)random() % chunk->block_size;
	fill_hashes(chunk);
}

static bool
same(const struct sw_map_chunk *a, const struct sw_map_chunk *b)
{
	if (a->page_count != b->page_count || a->last_page_len != b->last_page_len || a->pack_count != b->pack_count ||
		a->frame_count != b->frame_count || a->run_count != b->run_count)
		return false;
	for (uint32_t i = 0; i < a->pack_count; i++)
		if (strcmp(a->packs[i], b->packs[i]) != 0)
			return false;
	for (uint32_t i = 0; i < a->frame_count; i++) {
		const struct sw_frame_ref *f = &a->frames[i], *g = &b->frames[i];

		if (f->pack != g->pack || f->offset != g->offset || f->stored_len != g->stored_len ||
			f->page_count != g->page_count || memcmp(f->sha256, g->sha256, SW_SHA256_LEN) != 0)
			return false;
	}
	return memcmp(a->runs, b->runs, a->run_count * sizeof(*a->runs)) == 0 &&
		memcmp(a->hashes, b->hashes, a->page_count * sizeof(*a->hashes)) == 0;
}

/* What a restore takes for granted. */
static bool
is_sound(const struct sw_map_chunk *c)
{
	uint32_t page = 0;

	for (uint32_t i = 0; i < c->run_count; i++) {
		const struct sw_run *r = &c->runs[i];
		const struct sw_frame_ref *f = &c->frames[r->frame];

		if (r->frame >= c->frame_count || f->pack >= c->pack_count || !sw_pack_name_ok(c->packs[f->pack]) ||
			f->offset + f->stored_len > SW_PACK_BYTES || f->page_count * c->block_size > SW_FRAME_BYTES ||
			r->first_page != page || r->page_count == 0 || r->frame_page + r->page_count > f->page_count)
			return false;
		page += r->page_count;
	}
	return page == c->page_count && page > 0 && page <= SW_CHUNK_PAGES && c->last_page_len > 0 &&
		c->last_page_len <= c->block_size;
}

static struct sw_map_chunk
new_chunk(uint32_t block_size)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_map_chunk chunk;

	if (sw_map_chunk_init(&chunk, block_size, &err) != SW_OK)
		exit(2);
	return chunk;
}

/* --- tests ------------------------------------------------------------------------------- */

static void
test_round_trips(void)
{
	static const struct {
		uint32_t block_size, pages, per_frame, per_pack;
	} cases[] = {
		{BLOCK, 1, 1, 1},
		{BLOCK, 4096, 128, 16},
		{BLOCK, 4095, 128, 1},
		{BLOCK, 4096, 1, 1}, /* the most of everything */
		{BLOCK, 3000, 3, 7},
		{1024, 4096, 1024, 1},
		{32768, 4096, 32, 100},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_map_chunk chunk = new_chunk(cases[i].block_size), back = new_chunk(cases[i].block_size);
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
		fill_chunk(&chunk, cases[i].pages, cases[i].per_frame, cases[i].per_pack,
			"0123456789012345678901234567890123456789");
		tap_is(sw_rc_name(sw_map_chunk_encode(&chunk, &buf, &err)), "ok",
			"%u pages of %u bytes in %u frames and %u packs are encoded", chunk.page_count, chunk.block_size,
			chunk.frame_count, chunk.pack_count);
		tap_ok(buf.len <= SW_CHUNK_BYTES_MAX / 2, "in %zu bytes, far below the limit", buf.len);
		fill_chunk(&back, 4096, 1, 1, "old"); /* which decode must not leave anything of */
		tap_is(sw_rc_name(sw_map_chunk_decode(&back, buf.data, buf.len, &err)), "ok", "and decoded");
		tap_ok(same(&chunk, &back) && is_sound(&back), "to the same");
		sw_map_chunk_release(&chunk);
		sw_map_chunk_release(&back);
	}
}

/* A chunk that reuses: one frame in several runs, from its middle, and out of order. */
static void
fill_reusing(struct sw_map_chunk *chunk)
{
	fill_chunk(chunk, 10, 5, 1, "old");
	chunk->runs[0] = (struct sw_run){.first_page = 0, .page_count = 3, .frame = 1, .frame_page = 2};
	chunk->runs[1] = (struct sw_run){.first_page = 3, .page_count = 5, .frame = 0, .frame_page = 0};
	chunk->runs[2] = (struct sw_run){.first_page = 8, .page_count = 2, .frame = 1, .frame_page = 0};
	chunk->run_count = 3;
}

static void
test_cuts_and_additions(void)
{
	struct sw_map_chunk chunk = new_chunk(BLOCK), back = new_chunk(BLOCK);
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	fill_reusing(&chunk);
	sw_map_chunk_encode(&chunk, &buf, &err);
	tap_ok(sw_map_chunk_decode(&back, buf.data, buf.len, &err) == SW_OK && same(&chunk, &back),
		"a chunk that uses old frames in pieces is decoded");
	for (size_t len = 0; len < buf.len; len++) {
		SW_AUTO_FREE uint8_t *copy = malloc(len > 0 ? len : 1); /* so that reading behind it shows */

		memcpy(copy, buf.data, len);
		wrong += sw_map_chunk_decode(&back, copy, len, &err) != SW_CORRUPT || back.page_count != 0;
	}
	tap_is_int((long long)wrong, 0, "a chunk of %zu bytes is refused wherever it is cut", buf.len);
	sw_buf_append(&buf, "", 1, &err);
	tap_is(sw_rc_name(sw_map_chunk_decode(&back, buf.data, buf.len, &err)), "corrupt", "and with a byte behind it");
	sw_map_chunk_release(&chunk);
	sw_map_chunk_release(&back);
}

static void
test_flips(void)
{
	struct sw_map_chunk chunk = new_chunk(BLOCK), back = new_chunk(BLOCK);
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0, passed = 0;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	fill_reusing(&chunk);
	sw_map_chunk_encode(&chunk, &buf, &err);
	for (size_t i = 0; i < buf.len * 8; i++) {
		sw_rc rc;

		buf.data[i / 8] ^= (uint8_t)(1u << i % 8);
		rc = sw_map_chunk_decode(&back, buf.data, buf.len, &err);
		buf.data[i / 8] ^= (uint8_t)(1u << i % 8);
		passed += rc == SW_OK;
		wrong += rc == SW_OK ? !is_sound(&back) : rc != SW_CORRUPT;
	}
	tap_is_int((long long)wrong, 0, "no flipped bit gives a chunk that leads astray (%zu are the SHA-256's to see)",
		passed);
	sw_map_chunk_release(&chunk);
	sw_map_chunk_release(&back);
}

/* One 32-bit field after another set to what it may not be.  The chunk has one pack, one frame, one run. */
static void
test_fields(void)
{
	enum { PACK = 32, FRAME = PACK + 1 + sizeof(NAME) - 1, RUN = FRAME + 52 };
	static const struct {
		const char *what;
		size_t at;
		uint32_t value;
	} cases[] = {
		{"another magic", 0, 0x434d5754},
		{"version 0", 4, 0},
		{"a newer version", 4, 2},
		{"another block size", 8, 4096},
		{"no page", 12, 0},
		{"more pages than the runs", 12, 5},
		{"fewer pages than the runs", 12, 3},
		{"too many pages", 12, SW_CHUNK_PAGES + 1},
		{"very many pages", 12, UINT32_MAX},
		{"an empty last page", 16, 0},
		{"a last page too long", 16, BLOCK + 1},
		{"no pack", 20, 0},
		{"more packs than frames", 20, 2},
		{"very many packs", 20, UINT32_MAX},
		{"no frame", 24, 0},
		{"more frames than runs", 24, 2},
		{"very many frames", 24, UINT32_MAX},
		{"no run", 28, 0},
		{"more runs than there are", 28, 2},
		{"very many runs", 28, UINT32_MAX},
		{"a frame of a pack that is not there", FRAME, 1},
		{"a frame behind the end of any pack", FRAME + 4, SW_PACK_BYTES + 1},
		{"a frame that begins at the end", FRAME + 4, SW_PACK_BYTES},
		{"a frame far beyond", FRAME + 8, UINT32_MAX},
		{"a frame of nothing", FRAME + 12, 0},
		{"a frame as long as no pack", FRAME + 12, SW_PACK_BYTES + 1},
		{"a frame that wraps around", FRAME + 12, UINT32_MAX},
		{"a frame without pages", FRAME + 16, 0},
		{"a frame with more pages than 1 MiB", FRAME + 16, SW_FRAME_BYTES / BLOCK + 1},
		{"a frame with very many pages", FRAME + 16, UINT32_MAX},
		{"a frame with fewer pages than its run", FRAME + 16, 3},
		{"a run that leaves out page 0", RUN, 1},
		{"a run without pages", RUN + 4, 0},
		{"a run over the end", RUN + 4, 5},
		{"a run that wraps around", RUN + 4, UINT32_MAX},
		{"a run of a frame that is not there", RUN + 8, 1},
		{"a run from behind its frame's end", RUN + 12, 4},
		{"a run from within to behind its frame's end", RUN + 12, 1},
		{"a run from far behind", RUN + 12, UINT32_MAX},
	};
	struct sw_map_chunk chunk = new_chunk(BLOCK), back = new_chunk(BLOCK);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF good;

	sw_buf_init(&good, SW_CHUNK_BYTES_MAX);
	fill_chunk(&chunk, 4, 4, 1, "20261120T113831Z");
	sw_map_chunk_encode(&chunk, &good, &err);
	tap_ok(sw_map_chunk_decode(&back, good.data, good.len, &err) == SW_OK && back.run_count == 1 &&
		strcmp(back.packs[0], NAME) == 0, "a chunk of one run");
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t value = htole32(cases[i].value), old;

		memcpy(&old, good.data + cases[i].at, 4);
		memcpy(good.data + cases[i].at, &value, 4);
		tap_is(sw_rc_name(sw_map_chunk_decode(&back, good.data, good.len, &err)), "corrupt", "%s", cases[i].what);
		memcpy(good.data + cases[i].at, &old, 4);
	}
	sw_map_chunk_release(&chunk);
	sw_map_chunk_release(&back);
}

static void
append_u32(struct sw_buf *buf, uint32_t value)
{
	struct sw_error err = SW_ERROR_INIT;

	value = htole32(value);
	sw_buf_append(buf, &value, sizeof(value), &err);
}

/* Counts beyond every limit, and bytes enough for all of them. */
static void
test_counts(void)
{
	static const struct {
		const char *what;
		uint32_t pages, packs, frames, runs;
	} cases[] = {
		{"more packs than pages", 4096, 5000, 4096, 4096},
		{"more frames than pages", 4096, 1, 4097, 4097},
		{"more frames than runs", 4096, 1, 4097, 4096},
		{"more runs than pages", 4096, 1, 1, 4097},
		{"more runs than any chunk's pages", 8192, 1, 1, 8192},
		{"more of everything", 100000, 100000, 100000, 100000},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_map_chunk chunk = new_chunk(BLOCK);
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 32 * 1024 * 1024);
		sw_buf_append(&buf, "SWMC\1\0\0", 8, &err);
		append_u32(&buf, BLOCK);
		append_u32(&buf, cases[i].pages);
		append_u32(&buf, BLOCK);
		append_u32(&buf, cases[i].packs);
		append_u32(&buf, cases[i].frames);
		append_u32(&buf, cases[i].runs);
		for (uint32_t k = 0; k < cases[i].packs; k++)
			sw_buf_append(&buf, "\015a/000001.pack", 14, &err);
		for (uint32_t k = 0; k < cases[i].frames; k++) {
			append_u32(&buf, 0);
			append_u32(&buf, 0);
			append_u32(&buf, 0);
			append_u32(&buf, 1);
			append_u32(&buf, 1);
			for (int n = 0; n < SW_SHA256_LEN / 4; n++)
				append_u32(&buf, 0);
		}
		for (uint32_t k = 0; k < cases[i].runs; k++) {
			append_u32(&buf, k);
			append_u32(&buf, 1);
			append_u32(&buf, 0);
			append_u32(&buf, 0);
		}
		for (uint32_t k = 0; k < cases[i].pages * SW_PAGE_HASH_LEN / 4; k++)
			append_u32(&buf, k);
		tap_is(sw_rc_name(sw_map_chunk_decode(&chunk, buf.data, buf.len, &err)), "corrupt", "%s", cases[i].what);
		sw_map_chunk_release(&chunk);
	}
}

/* Hashes for five pages, runs for four. */
static void
test_uncovered_page(void)
{
	struct sw_map_chunk chunk = new_chunk(BLOCK), back = new_chunk(BLOCK);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	fill_chunk(&chunk, 4, 4, 1, "a");
	chunk.page_count = 5;
	sw_map_chunk_encode(&chunk, &buf, &err);
	tap_is(sw_rc_name(sw_map_chunk_decode(&back, buf.data, buf.len, &err)), "corrupt", "a page that no run covers");
	sw_map_chunk_release(&chunk);
	sw_map_chunk_release(&back);
}

static void
test_pack_names(void)
{
	static const char *const bad[] = {
		("20261120T113831Z\0" "/00001.pack"),
		"20261120T1138/000001.pack\0xx",
		"../61120T113831Z/000001.pack",
		"20261120T113831Z/000001.pock",
		"20261120T113831Z//00001.pack",
		"20261120T113831Z/000001/pack",
		"/0261120T113831Z/000001.pack",
	};
	struct sw_map_chunk chunk = new_chunk(BLOCK), back = new_chunk(BLOCK);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	fill_chunk(&chunk, 4, 4, 1, "20261120T113831Z");
	sw_map_chunk_encode(&chunk, &buf, &err);
	for (size_t i = 0; i < COUNT(bad); i++) {
		memcpy(buf.data + 33, bad[i], sizeof(NAME) - 1);
		tap_is(sw_rc_name(sw_map_chunk_decode(&back, buf.data, buf.len, &err)), "corrupt", "pack name %s", bad[i]);
	}
	memcpy(buf.data + 33, NAME, sizeof(NAME) - 1);
	for (unsigned len = 0; len < 256; len += len == 0 ? 26 : 1)
		if (len != sizeof(NAME) - 1) {
			buf.data[32] = (uint8_t)len;
			if (sw_map_chunk_decode(&back, buf.data, buf.len, &err) != SW_CORRUPT)
				tap_ok(false, "a name of %u bytes", len);
		}
	tap_ok(true, "a name's wrong length is seen");
	tap_ok(sw_map_chunk_pack(&chunk, "a/000001.pack") == 1 && sw_map_chunk_pack(&chunk, "b/000001.pack") == 2 &&
		sw_map_chunk_pack(&chunk, "a/000001.pack") == 1, "a pack is listed once");
	sw_map_chunk_release(&chunk);
	sw_map_chunk_release(&back);
}

/* What stands in repositories: computed with xxhash 0.8.1's own 128-bit hash, canonical form. */
static void
test_hash_is_the_format(void)
{
	uint8_t secret[SW_PAGE_HASH_SECRET_LEN], page[BLOCK];
	char hex[2 * SW_PAGE_HASH_LEN + 1];
	struct sw_page_hash a, b;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)(i * 31 + i / 256);
	a = sw_page_hash(page, sizeof(page), secret);
	tap_is(sw_hex(a.bytes, sizeof(a.bytes), hex), "806aaf9622be16145e78d39dfd07f523", "the hash of a page");
	a = sw_page_hash("", 0, secret);
	tap_is(sw_hex(a.bytes, sizeof(a.bytes), hex), "8b066fcd5d5855b4435edc0c3f3c458d", "the hash of nothing");
	a = sw_page_hash(page, 100, secret);
	secret[100] ^= 1;
	b = sw_page_hash(page, 100, secret);
	tap_ok(memcmp(&a, &b, sizeof(a)) != 0, "depends on the secret");
}

int
main(void)
{
	test_round_trips();
	test_cuts_and_additions();
	test_flips();
	test_fields();
	test_counts();
	test_uncovered_page();
	test_pack_names();
	test_hash_is_the_format();
	return tap_done();
}
