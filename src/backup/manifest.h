/*
 * manifest.h - what a backup consists of.  doc/FORMAT.md, "The manifest".
 *
 * <prefix>backup/<label>/manifest.zst, and the same bytes as manifest.copy.zst.  Two zstd frames: the
 * first holds the header's line, so that listing reads little; the second the entries and packs, a line each.
 */
#ifndef SW_BACKUP_MANIFEST_H
#define SW_BACKUP_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "backup/map.h"
#include "backup/pack.h"
#include "base/error.h"
#include "pg/names.h"
#include "stream/stage.h"

#define SW_LABEL_MAX 41          /* with its NUL; [A-Za-z0-9_-] */
#define SW_INLINE_MAX (16 * 1024) /* bytes of content of a file that the manifest carries itself */
#define SW_OUTSIDE_MAX (128 * 1024) /* the same of a configuration file outside the data directory */
#define SW_MANIFEST_HEAD_MAX 65536
#define SW_MANIFEST_LINE_MAX (16 * 1024 * 1024)
#define SW_ENTRY_CHUNKS_MAX 65536 /* of one file: 2 TiB with pages of 8 KiB; their line is within SW_MANIFEST_LINE_MAX */

bool sw_label_ok(const char *label);

/*
 * A path that an entry may have: parts of 1 … 255 bytes between single slashes, none "." or "..", less than
 * 4,096 bytes, UTF-8; with a slash in front if and only if `absolute`.
 */
bool sw_manifest_path_ok(const char *path, bool absolute);

struct sw_manifest_header {
	char label[SW_LABEL_MAX];
	char cluster[SW_CLUSTER_MAX];
	uint64_t system_identifier;
	char registration[SW_REPOSITORY_ID_LEN]; /* whose page_hash_secret made the hashes */
	int pg_version;                          /* server_version_num */
	unsigned major;
	uint32_t catalog_version;
	uint32_t block_size, segment_size, blocks_per_file;
	bool checksums;          /* the cluster has page checksums */
	bool checksums_verified; /* and they were looked at */
	bool from_standby;
	uint32_t timeline;
	sw_lsn start, stop;      /* the backup is consistent at stop */
	int64_t started_us, finished_us;
	char host[256], pgdata[1024];
	uint64_t size;           /* bytes of all files */
	uint64_t stored;         /* bytes of the packs that this backup put */
	uint64_t entry_count, pack_count, damaged_pages;
};

enum sw_entry_type {
	SW_ENTRY_FILE,
	SW_ENTRY_DIRECTORY,
	SW_ENTRY_LINK,       /* a symbolic link, target as it was */
	SW_ENTRY_TABLESPACE, /* pg_tblspc/OID, target as it was; its content follows as pg_tblspc/OID/... */
	SW_ENTRY_OUTSIDE,    /* a configuration file outside the data directory; path is absolute; always inline */
};

struct sw_chunk_ref {
	char pack[SW_PACK_NAME_MAX];
	uint64_t offset;
	uint32_t stored_len;
	uint8_t sha256[SW_SHA256_LEN]; /* of the stored bytes */
};

struct sw_entry {
	enum sw_entry_type type;
	const char *path;   /* relative to the data directory, '/' between parts, never ".." or absolute (but OUTSIDE) */
	const char *target; /* LINK, TABLESPACE */
	uint32_t mode;      /* permission bits */
	int64_t mtime_us;
	uint64_t size;      /* FILE, OUTSIDE */
	const uint8_t *frame; /* inline: one zstd frame with the content; NULL if there are chunks */
	size_t frame_len;
	struct sw_page_hash hash; /* inline: of the content */
	const struct sw_chunk_ref *chunks; /* chunk i maps pages from i * SW_CHUNK_PAGES on */
	size_t chunk_count;
};

/* --- writing --------------------------------------------------------------------- */

struct sw_manifest_writer {
	struct sw_stage_compress compress;
	struct sw_stage *out;
	uint64_t entry_count, pack_count;
	uint64_t entries_due, packs_due; /* by the header */
	char last[4096];                 /* path or pack before */
};

/*
 * Header into `out` (borrowed), as a frame of its own; then entries by path in byte order, then packs by name,
 * as many as the header counts.  What a reader would refuse is SW_BUG here.
 */
sw_rc sw_manifest_writer_init(struct sw_manifest_writer *w, const struct sw_manifest_header *header,
	struct sw_stage *out, struct sw_error *err);
sw_rc sw_manifest_writer_entry(struct sw_manifest_writer *w, const struct sw_entry *entry,
	struct sw_error *err);
sw_rc sw_manifest_writer_pack(struct sw_manifest_writer *w, const struct sw_pack_info *info,
	struct sw_error *err);
sw_rc sw_manifest_writer_finish(struct sw_manifest_writer *w, struct sw_error *err); /* finishes out too */
void sw_manifest_writer_release(struct sw_manifest_writer *w);

/* --- reading --------------------------------------------------------------------- */

/*
 * The header alone: one ranged GET.  object_size: from the listing.
 * SW_NOT_FOUND, SW_CORRUPT (both copies), SW_CONFIG (newer format), what the store gives.
 */
sw_rc sw_manifest_read_header(struct sw_repository *repo, const char *label, uint64_t object_size,
	struct sw_manifest_header *ret_header, struct sw_error *err);

/*
 * All of it, streaming: memory is one line.  Callbacks get borrowed values, valid during the call, already
 * checked: paths are safe, entries sorted, counts are the header's.
 * If manifest.zst is damaged the copy is read, with a warning; callbacks start over after `restart` (may be
 * called at any moment before the end).
 */
struct sw_manifest_reader {
	sw_rc (*header)(void *ctx, const struct sw_manifest_header *header, struct sw_error *err);
	sw_rc (*entry)(void *ctx, const struct sw_entry *entry, struct sw_error *err);
	sw_rc (*pack)(void *ctx, const struct sw_pack_info *info, struct sw_error *err);
	void (*restart)(void *ctx);
	void *ctx;
};
sw_rc sw_manifest_read(struct sw_repository *repo, const char *label,
	const struct sw_manifest_reader *reader, struct sw_error *err);

#endif
