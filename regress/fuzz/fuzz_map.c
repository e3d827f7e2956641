/* Map chunks: what is decoded is sound, and is encoded to the same bytes. */
#include "backup/map.h"
#include "backup/pack.h"
#include "fuzz.h"

static void
must_be_sound(const struct sw_map_chunk *c)
{
	uint32_t page = 0;

	MUST(c->page_count >= 1 && c->page_count <= SW_CHUNK_PAGES && c->last_page_len >= 1 &&
		c->last_page_len <= c->block_size);
	for (uint32_t i = 0; i < c->run_count; i++) {
		const struct sw_run *r = &c->runs[i];
		const struct sw_frame_ref *f;

		MUST(r->frame < c->frame_count);
		f = &c->frames[r->frame];
		MUST(f->pack < c->pack_count && sw_pack_name_ok(c->packs[f->pack]));
		MUST(f->stored_len > 0 && f->offset + f->stored_len <= SW_PACK_BYTES);
		MUST((uint64_t)f->page_count * c->block_size <= SW_FRAME_BYTES);
		MUST(r->first_page == page && r->page_count > 0 && r->frame_page + r->page_count <= f->page_count);
		page += r->page_count;
	}
	MUST(page == c->page_count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sw_map_chunk chunks[6]; /* blocks of 1 … 32 KiB */
	unsigned i = take_byte(&data, &size) % 6;
	struct sw_map_chunk *chunk = &chunks[i];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;
	sw_rc rc;

	if (chunk->packs == NULL && sw_map_chunk_init(chunk, 1024u << i, &err) != SW_OK)
		abort();
	rc = sw_map_chunk_decode(chunk, data, size, &err);
	if (rc != SW_OK) {
		must_be_told(rc, &err);
		return 0;
	}
	must_be_sound(chunk);
	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	MUST(sw_map_chunk_encode(chunk, &buf, &err) == SW_OK);
	MUST(buf.len == size && memcmp(buf.data, data, size) == 0);
	sw_buf_release(&buf);
	return 0;
}
