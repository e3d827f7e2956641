#include "backup/map.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "archive/repository.h"
#include "backup/pack.h"

#define CHUNK_MAGIC "SWMC"
#define CHUNK_VERSION 1
#define HEADER_LEN 32
#define FRAME_LEN 52
#define RUN_LEN 16

struct sw_page_hash
sw_page_hash(const void *data, size_t len, const uint8_t *secret)
{
	XXH128_canonical_t canonical;
	struct sw_page_hash hash;

	XXH128_canonicalFromHash(&canonical,
		XXH3_128bits_withSecret(data, len, secret, SW_PAGE_HASH_SECRET_LEN));
	memcpy(hash.bytes, canonical.digest, SW_PAGE_HASH_LEN);
	return hash;
}

sw_rc
sw_map_chunk_init(struct sw_map_chunk *chunk, uint32_t block_size, struct sw_error *err)
{
	*chunk = (struct sw_map_chunk){
		.block_size = block_size,
		.packs = calloc(SW_CHUNK_PAGES, sizeof(*chunk->packs)),
		.frames = calloc(SW_CHUNK_PAGES, sizeof(*chunk->frames)),
		.runs = calloc(SW_CHUNK_PAGES, sizeof(*chunk->runs)),
		.hashes = calloc(SW_CHUNK_PAGES, sizeof(*chunk->hashes)),
	};
	if (chunk->packs != NULL && chunk->frames != NULL && chunk->runs != NULL &&
		chunk->hashes != NULL)
		return SW_OK;
	sw_map_chunk_release(chunk);
	return sw_fail(err, SW_SYSTEM, "out of memory");
}

void
sw_map_chunk_release(struct sw_map_chunk *chunk)
{
	free(chunk->packs);
	free(chunk->frames);
	free(chunk->runs);
	free(chunk->hashes);
	*chunk = (struct sw_map_chunk){0};
}

void
sw_map_chunk_reset(struct sw_map_chunk *chunk)
{
	chunk->page_count = chunk->last_page_len = 0;
	chunk->pack_count = chunk->frame_count = chunk->run_count = 0;
}

uint32_t
sw_map_chunk_pack(struct sw_map_chunk *chunk, const char *pack)
{
	for (uint32_t i = chunk->pack_count; i > 0; i--)
		if (strcmp(chunk->packs[i - 1], pack) == 0)
			return i - 1;
	strncpy(chunk->packs[chunk->pack_count], pack, SW_PACK_NAME_MAX - 1);
	return chunk->pack_count++;
}

/* --- little-endian fields ---------------------------------------------------------- */

static uint8_t *
put_u32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static const uint8_t *
get_u32(const uint8_t *p, uint32_t *v)
{
	memcpy(v, p, sizeof(*v));
	*v = le32toh(*v);
	return p + sizeof(*v);
}

static const uint8_t *
get_u64(const uint8_t *p, uint64_t *v)
{
	memcpy(v, p, sizeof(*v));
	*v = le64toh(*v);
	return p + sizeof(*v);
}

/* --- encode ------------------------------------------------------------------------ */

static sw_rc
encode_packs(const struct sw_map_chunk *chunk, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (uint32_t i = 0; rc == SW_OK && i < chunk->pack_count; i++) {
		uint8_t len = (uint8_t)strlen(chunk->packs[i]);

		rc = sw_buf_append(buf, &len, 1, err);
		if (rc == SW_OK)
			rc = sw_buf_append(buf, chunk->packs[i], len, err);
	}
	return rc;
}

static sw_rc
encode_frames(const struct sw_map_chunk *chunk, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (uint32_t i = 0; rc == SW_OK && i < chunk->frame_count; i++) {
		const struct sw_frame_ref *f = &chunk->frames[i];
		uint8_t bytes[FRAME_LEN], *p = bytes;

		p = put_u32(p, f->pack);
		p = put_u64(p, f->offset);
		p = put_u32(p, f->stored_len);
		p = put_u32(p, f->page_count);
		memcpy(p, f->sha256, SW_SHA256_LEN);
		rc = sw_buf_append(buf, bytes, sizeof(bytes), err);
	}
	return rc;
}

static sw_rc
encode_runs(const struct sw_map_chunk *chunk, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (uint32_t i = 0; rc == SW_OK && i < chunk->run_count; i++) {
		const struct sw_run *r = &chunk->runs[i];
		uint8_t bytes[RUN_LEN], *p = bytes;

		p = put_u32(p, r->first_page);
		p = put_u32(p, r->page_count);
		p = put_u32(p, r->frame);
		put_u32(p, r->frame_page);
		rc = sw_buf_append(buf, bytes, sizeof(bytes), err);
	}
	return rc;
}

sw_rc
sw_map_chunk_encode(const struct sw_map_chunk *chunk, struct sw_buf *buf, struct sw_error *err)
{
	uint8_t header[HEADER_LEN] = CHUNK_MAGIC, *p = header + 4;
	sw_rc rc;

	p = put_u32(p, CHUNK_VERSION);
	p = put_u32(p, chunk->block_size);
	p = put_u32(p, chunk->page_count);
	p = put_u32(p, chunk->last_page_len);
	p = put_u32(p, chunk->pack_count);
	p = put_u32(p, chunk->frame_count);
	put_u32(p, chunk->run_count);
	sw_buf_reset(buf);
	rc = sw_buf_append(buf, header, sizeof(header), err);
	if (rc == SW_OK)
		rc = encode_packs(chunk, buf, err);
	if (rc == SW_OK)
		rc = encode_frames(chunk, buf, err);
	if (rc == SW_OK)
		rc = encode_runs(chunk, buf, err);
	if (rc == SW_OK)
		rc = sw_buf_append(buf, chunk->hashes, chunk->page_count * sizeof(*chunk->hashes), err);
	return rc;
}

/* --- decode ------------------------------------------------------------------------ */

struct cursor {
	const uint8_t *p, *end;
};

static bool
has(const struct cursor *c, uint64_t len)
{
	return (uint64_t)(c->end - c->p) >= len;
}

static bool
decode_header(struct sw_map_chunk *chunk, struct cursor *c)
{
	uint32_t version, block_size;

	if (!has(c, HEADER_LEN) || memcmp(c->p, CHUNK_MAGIC, 4) != 0)
		return false;
	c->p = get_u32(c->p + 4, &version);
	c->p = get_u32(c->p, &block_size);
	c->p = get_u32(c->p, &chunk->page_count);
	c->p = get_u32(c->p, &chunk->last_page_len);
	c->p = get_u32(c->p, &chunk->pack_count);
	c->p = get_u32(c->p, &chunk->frame_count);
	c->p = get_u32(c->p, &chunk->run_count);
	return version == CHUNK_VERSION && block_size == chunk->block_size &&
		chunk->page_count >= 1 && chunk->page_count <= SW_CHUNK_PAGES &&
		chunk->last_page_len >= 1 && chunk->last_page_len <= block_size &&
		chunk->pack_count <= chunk->frame_count && chunk->frame_count <= chunk->run_count &&
		chunk->run_count <= chunk->page_count;
}

static bool
decode_packs(struct sw_map_chunk *chunk, struct cursor *c)
{
	for (uint32_t i = 0; i < chunk->pack_count; i++) {
		size_t len;

		if (!has(c, 1) || (len = *c->p, len >= SW_PACK_NAME_MAX) || !has(c, 1 + len))
			return false;
		memcpy(chunk->packs[i], c->p + 1, len);
		chunk->packs[i][len] = '\0';
		if (strlen(chunk->packs[i]) != len || !sw_pack_name_ok(chunk->packs[i]))
			return false;
		c->p += 1 + len;
	}
	return true;
}

static bool
decode_frames(struct sw_map_chunk *chunk, struct cursor *c)
{
	uint32_t pages_max = SW_FRAME_BYTES / chunk->block_size;

	if (!has(c, (uint64_t)chunk->frame_count * FRAME_LEN))
		return false;
	for (uint32_t i = 0; i < chunk->frame_count; i++) {
		struct sw_frame_ref *f = &chunk->frames[i];

		c->p = get_u32(c->p, &f->pack);
		c->p = get_u64(c->p, &f->offset);
		c->p = get_u32(c->p, &f->stored_len);
		c->p = get_u32(c->p, &f->page_count);
		memcpy(f->sha256, c->p, SW_SHA256_LEN);
		c->p += SW_SHA256_LEN;
		if (f->pack >= chunk->pack_count || f->offset > SW_PACK_BYTES || f->stored_len == 0 ||
			f->stored_len > SW_PACK_BYTES - f->offset || f->page_count == 0 ||
			f->page_count > pages_max)
			return false;
	}
	return true;
}

static bool
decode_runs(struct sw_map_chunk *chunk, struct cursor *c)
{
	uint32_t next = 0;

	if (!has(c, (uint64_t)chunk->run_count * RUN_LEN))
		return false;
	for (uint32_t i = 0; i < chunk->run_count; i++) {
		struct sw_run *r = &chunk->runs[i];

		c->p = get_u32(c->p, &r->first_page);
		c->p = get_u32(c->p, &r->page_count);
		c->p = get_u32(c->p, &r->frame);
		c->p = get_u32(c->p, &r->frame_page);
		if (r->first_page != next || r->page_count == 0 || r->frame >= chunk->frame_count ||
			r->page_count > chunk->page_count - next ||
			r->frame_page >= chunk->frames[r->frame].page_count ||
			r->page_count > chunk->frames[r->frame].page_count - r->frame_page)
			return false;
		next += r->page_count;
	}
	return next == chunk->page_count;
}

sw_rc
sw_map_chunk_decode(struct sw_map_chunk *chunk, const void *data, size_t len, struct sw_error *err)
{
	struct cursor c = {.p = data, .end = (const uint8_t *)data + len};

	sw_map_chunk_reset(chunk);
	if (!decode_header(chunk, &c) || !decode_packs(chunk, &c) || !decode_frames(chunk, &c) ||
		!decode_runs(chunk, &c) || (uint64_t)(c.end - c.p) != (uint64_t)chunk->page_count * SW_PAGE_HASH_LEN) {
		sw_map_chunk_reset(chunk);
		return sw_fail(err, SW_CORRUPT, "is no map chunk for blocks of %u bytes", chunk->block_size);
	}
	memcpy(chunk->hashes, c.p, chunk->page_count * sizeof(*chunk->hashes));
	return SW_OK;
}
