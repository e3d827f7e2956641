#include "backup/listing.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/file.h"

struct chunk_row {
	uint64_t entry, number;
	struct sw_chunk_ref ref;
};

/* --- reading ----------------------------------------------------------------------- */

static sw_rc
take_header(void *ctx, const struct sw_manifest_header *header, struct sw_error *err)
{
	struct sw_listing *listing = ctx;

	(void)err;
	listing->header = *header;
	return SW_OK;
}

static sw_rc
append_blob(struct sw_listing *listing, const void *data, size_t len, struct sw_error *err)
{
	uint64_t index;

	return len == 0 ? SW_OK : sw_spill_append(&listing->blobs, data, len, &index, err);
}

static sw_rc
take_chunks(struct sw_listing *listing, const struct sw_entry *entry, struct sw_error *err)
{
	struct chunk_row row = {.entry = listing->rows.count};
	uint64_t index;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < entry->chunk_count; i++) {
		row.number = i;
		row.ref = entry->chunks[i];
		rc = sw_spill_append(&listing->refs, &row, 1, &index, err);
	}
	return rc;
}

static sw_rc
take_entry(void *ctx, const struct sw_entry *entry, struct sw_error *err)
{
	struct sw_listing *listing = ctx;
	struct sw_listing_row row = {
		.type = entry->type,
		.chunked = entry->type == SW_ENTRY_FILE && entry->frame == NULL,
		.mode = entry->mode,
		.path_len = (uint32_t)strlen(entry->path),
		.target_len = entry->target == NULL ? 0 : (uint32_t)strlen(entry->target),
		.frame_len = (uint32_t)entry->frame_len,
		.blob = listing->blobs.count,
		.size = entry->size,
		.mtime_us = entry->mtime_us,
		.hash = entry->hash,
	};
	uint64_t index;
	sw_rc rc;

	if (listing->rows.count == UINT32_MAX)
		return sw_fail(err, SW_CORRUPT, "more than %u entries", UINT32_MAX);
	if (row.target_len >= 4096)
		return sw_fail(err, SW_CORRUPT, "the target of link %s is too long", entry->path);
	rc = append_blob(listing, entry->path, row.path_len, err);
	if (rc == SW_OK)
		rc = append_blob(listing, entry->target, row.target_len, err);
	if (rc == SW_OK)
		rc = append_blob(listing, entry->frame, row.frame_len, err);
	if (rc == SW_OK && row.chunked)
		rc = take_chunks(listing, entry, err);
	return rc == SW_OK ? sw_spill_append(&listing->rows, &row, 1, &index, err) : rc;
}

static sw_rc
take_pack(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct sw_listing *listing = ctx;
	uint64_t index;

	return sw_spill_append(&listing->packs, info, 1, &index, err);
}

static void
start_over(void *ctx)
{
	struct sw_listing *listing = ctx;
	struct sw_error ignored = SW_ERROR_INIT;

	/* what a failed truncation leaves behind is overwritten and never read */
	(void)sw_spill_reset(&listing->rows, &ignored);
	(void)sw_spill_reset(&listing->blobs, &ignored);
	(void)sw_spill_reset(&listing->packs, &ignored);
	(void)sw_spill_reset(&listing->refs, &ignored);
	listing->rows.count = listing->blobs.count = listing->packs.count = listing->refs.count = 0;
}

static sw_rc
open_tables(struct sw_listing *listing, const char *dir, struct sw_error *err)
{
	sw_rc rc = sw_spill_init(&listing->rows, dir, sizeof(struct sw_listing_row), err);

	if (rc == SW_OK)
		rc = sw_spill_init(&listing->blobs, dir, 1, err);
	if (rc == SW_OK)
		rc = sw_spill_init(&listing->packs, dir, sizeof(struct sw_pack_info), err);
	if (rc == SW_OK)
		rc = sw_spill_init(&listing->refs, dir, sizeof(struct chunk_row), err);
	if (rc == SW_OK)
		rc = sw_spill_init(&listing->pieces, dir, sizeof(struct sw_piece), err);
	return rc;
}

/* Chunks stand before the packs in the manifest, so their packs are found only now. */
static sw_rc
make_pieces(struct sw_listing *listing, struct sw_error *err)
{
	const struct chunk_row *rows = listing->refs.map;
	sw_rc rc = SW_OK;

	for (uint64_t i = 0; rc == SW_OK && i < listing->refs.count; i++) {
		const struct sw_chunk_ref *ref = &rows[i].ref;
		struct sw_piece piece = {
			.stored_len = ref->stored_len,
			.offset = ref->offset,
			.entry = (uint32_t)rows[i].entry,
			.page = rows[i].number,
		};
		uint64_t index;

		memcpy(piece.sha256, ref->sha256, sizeof(piece.sha256));
		rc = sw_listing_find_pack(listing, ref->pack, &piece.pack, err);
		if (rc == SW_OK)
			rc = sw_spill_append(&listing->pieces, &piece, 1, &index, err);
	}
	return rc;
}

sw_rc
sw_listing_read(struct sw_repository *repo, const char *label, const char *dir,
	struct sw_listing *ret_listing, struct sw_error *err)
{
	struct sw_manifest_reader reader = {
		.header = take_header,
		.entry = take_entry,
		.pack = take_pack,
		.restart = start_over,
		.ctx = ret_listing,
	};
	sw_rc rc;

	*ret_listing = (struct sw_listing){0};
	rc = open_tables(ret_listing, dir, err);
	if (rc == SW_OK)
		rc = sw_manifest_read(repo, label, &reader, err);
	if (rc == SW_OK)
		rc = sw_spill_map(&ret_listing->rows, err);
	if (rc == SW_OK)
		rc = sw_spill_map(&ret_listing->packs, err);
	if (rc == SW_OK)
		rc = sw_spill_map(&ret_listing->refs, err);
	if (rc == SW_OK)
		rc = make_pieces(ret_listing, err);
	ret_listing->entries = ret_listing->rows.map;
	ret_listing->entry_count = ret_listing->rows.count;
	return rc == SW_OK ? rc : sw_wrap(err, "reading the manifest of backup %s", label);
}

void
sw_listing_release(struct sw_listing *listing)
{
	sw_spill_release(&listing->rows);
	sw_spill_release(&listing->blobs);
	sw_spill_release(&listing->packs);
	sw_spill_release(&listing->refs);
	sw_spill_release(&listing->pieces);
}

/* --- looking up -------------------------------------------------------------------- */

sw_rc
sw_listing_path(const struct sw_listing *listing, uint64_t entry, char ret_path[SW_LISTING_PATH_MAX],
	struct sw_error *err)
{
	const struct sw_listing_row *row = &listing->entries[entry];

	ret_path[row->path_len] = '\0';
	return sw_spill_read(&listing->blobs, row->blob, row->path_len, ret_path, err);
}

sw_rc
sw_listing_target(const struct sw_listing *listing, uint64_t entry,
	char ret_target[SW_LISTING_PATH_MAX], struct sw_error *err)
{
	const struct sw_listing_row *row = &listing->entries[entry];

	ret_target[row->target_len] = '\0';
	return sw_spill_read(&listing->blobs, row->blob + row->path_len, row->target_len, ret_target, err);
}

sw_rc
sw_listing_content(const struct sw_listing *listing, uint64_t entry, const uint8_t *secret,
	struct sw_buf *buf, struct sw_error *err)
{
	const struct sw_listing_row *row = &listing->entries[entry];
	SW_AUTO_FREE uint8_t *frame = malloc(row->frame_len + 1);
	struct sw_page_hash hash;
	size_t len;
	sw_rc rc;

	if (frame == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_spill_read(&listing->blobs, row->blob + row->path_len + row->target_len, row->frame_len,
		frame, err);
	sw_buf_reset(buf);
	if (rc == SW_OK)
		rc = sw_buf_reserve(buf, row->size, err);
	if (rc != SW_OK)
		return rc;
	len = ZSTD_decompress(buf->data, row->size, frame, row->frame_len);
	if (ZSTD_isError(len))
		return sw_fail(err, SW_CORRUPT, "its frame: %s", ZSTD_getErrorName(len));
	hash = sw_page_hash(buf->data, len, secret);
	if (len != row->size || memcmp(&hash, &row->hash, sizeof(hash)) != 0)
		return sw_fail(err, SW_CORRUPT, "its content does not match its size and hash");
	buf->len = len;
	buf->data[len] = '\0';
	return SW_OK;
}

static int
compare_pack(const void *name, const void *info)
{
	return strcmp(name, ((const struct sw_pack_info *)info)->name);
}

sw_rc
sw_listing_find_pack(const struct sw_listing *listing, const char *name, uint32_t *ret_index,
	struct sw_error *err)
{
	const struct sw_pack_info *packs = listing->packs.map, *found = NULL;

	if (listing->packs.count > 0 && listing->packs.count <= UINT32_MAX)
		found = bsearch(name, packs, listing->packs.count, sizeof(*packs), compare_pack);
	if (found == NULL)
		return sw_fail(err, SW_CORRUPT, "pack %s is not among the backup's packs", name);
	*ret_index = (uint32_t)(found - packs);
	return SW_OK;
}
