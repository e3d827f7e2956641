/*
 * listing.h - a manifest as tables that can be looked into in any order.
 *
 * The tables are spilled: about 70 bytes and its path for an entry, 130 for a map chunk, 110 for a pack, and
 * what is inline.
 */
#ifndef SW_BACKUP_LISTING_H
#define SW_BACKUP_LISTING_H

#include "backup/gather.h"
#include "backup/manifest.h"
#include "backup/spill.h"

#define SW_LISTING_PATH_MAX 4352 /* with its NUL, and room for a prefix */

struct sw_listing_row {
	enum sw_entry_type type;
	bool chunked; /* its content lies in packs */
	uint32_t mode;
	uint32_t path_len, target_len, frame_len;
	uint64_t blob; /* of path, target and frame, one behind the other */
	uint64_t size;
	int64_t mtime_us;
	struct sw_page_hash hash;
};

struct sw_listing {
	struct sw_manifest_header header;
	struct sw_spill rows, blobs, packs, refs, pieces;
	/* views of the tables, when all is read */
	const struct sw_listing_row *entries;
	uint64_t entry_count;
};

/*
 * Read the manifest; temporary files are made in directory `dir`.
 * ret_listing: zeroed by this call, released by the caller in any case.  Its pieces are the map chunks, in the
 * manifest's order: piece.entry is the entry, piece.page the chunk's number.
 * As sw_manifest_read; also SW_CORRUPT: a chunk in a pack that is not listed.
 */
sw_rc sw_listing_read(struct sw_repository *repo, const char *label, const char *dir,
	struct sw_listing *ret_listing, struct sw_error *err);
void sw_listing_release(struct sw_listing *listing);

sw_rc sw_listing_path(const struct sw_listing *listing, uint64_t entry,
	char ret_path[SW_LISTING_PATH_MAX], struct sw_error *err);
sw_rc sw_listing_target(const struct sw_listing *listing, uint64_t entry,
	char ret_target[SW_LISTING_PATH_MAX], struct sw_error *err);

/* Inline content, verified.  buf: initialised, its content is replaced.  SW_OK, SW_CORRUPT, SW_SYSTEM. */
sw_rc sw_listing_content(const struct sw_listing *listing, uint64_t entry, const uint8_t *secret,
	struct sw_buf *buf, struct sw_error *err);

/* Index of a pack by name.  SW_OK, SW_CORRUPT (not listed). */
sw_rc sw_listing_find_pack(const struct sw_listing *listing, const char *name, uint32_t *ret_index,
	struct sw_error *err);

#endif
