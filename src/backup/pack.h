/*
 * pack.h - packs: objects of zstd frames.  doc/FORMAT.md, "Packs".
 *
 * <prefix>pack/<label>/<number>.pack holds page frames, <number>.map map chunks.  Behind the frames a skippable
 * frame says what they are, for salvage.
 */
#ifndef SW_BACKUP_PACK_H
#define SW_BACKUP_PACK_H

#include <stdatomic.h>
#include <stdint.h>
#include <zstd.h>

#include "archive/repository.h"
#include "backup/map.h"
#include "base/buf.h"
#include "base/error.h"

#define SW_PACK_BYTES (32 * 1024 * 1024)
#define SW_PACK_FRAMES_MAX 4096
#define SW_PACK_MAGIC 0x184D2A54u /* of the skippable frame */

/* A pack that is in the repository. */
struct sw_pack_info {
	char name[SW_PACK_NAME_MAX];
	uint64_t size;
	uint8_t sha256[SW_SHA256_LEN];
};

/* Told of every pack put; called in the writer's thread. */
typedef sw_rc (*sw_pack_done)(void *ctx, const struct sw_pack_info *info, struct sw_error *err);

struct sw_pack_writer {
	struct sw_repository *repo; /* borrowed; this thread's own store handle */
	const char *label, *suffix; /* borrowed: "pack" or "map" */
	atomic_uint *numbers;       /* shared by the writers of one suffix: the next number */
	size_t max;
	sw_pack_done done;
	void *ctx;
	ZSTD_CCtx *zstd;
	uint8_t *data;
	size_t len;
	uint32_t frame_count;
	char name[SW_PACK_NAME_MAX]; /* of the pack being filled; empty if none */
	struct sw_buf directory;
};

struct sw_pack_writer_params {
	struct sw_repository *repo;
	const char *label, *suffix;
	atomic_uint *numbers;
	size_t max; /* bytes of a pack; memory is that plus the directory */
	int level;
	sw_pack_done done;
	void *ctx;
};
sw_rc sw_pack_writer_init(struct sw_pack_writer *w, const struct sw_pack_writer_params *params,
	struct sw_error *err);

/* Compress and add one frame; puts the pack first if it has no room.  path, first_page, page_count: for the
 * directory.  *ret_frame: everything but `pack`; w->name is the pack that took it. */
sw_rc sw_pack_writer_add(struct sw_pack_writer *w, const void *data, size_t len, const char *path,
	uint64_t first_page, uint32_t page_count, struct sw_frame_ref *ret_frame, struct sw_error *err);

/* Put what is there, if anything. */
sw_rc sw_pack_writer_finish(struct sw_pack_writer *w, struct sw_error *err);
void sw_pack_writer_release(struct sw_pack_writer *w);

/* "<label>/<number>.<suffix>" with legal parts only: for names that come from a manifest or chunk. */
bool sw_pack_name_ok(const char *name);

#endif
