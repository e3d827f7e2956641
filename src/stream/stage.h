/*
 * stage.h - bytes in, bytes out.
 *
 * A stage takes bytes by write, and at finish flushes what it holds and finishes
 * the next stage.  A concrete stage embeds struct sw_stage first and is made by
 * its own _init and ended by its own _release, which never commits anything.
 * After a failure only _release may be called.
 */
#ifndef SW_STREAM_STAGE_H
#define SW_STREAM_STAGE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/xxh3.h"

struct sw_stage {
	sw_rc (*write)(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err);
	sw_rc (*finish)(struct sw_stage *stage, struct sw_error *err);
	struct sw_stage *next; /* borrowed; NULL at an end */
};

static inline sw_rc
sw_stage_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	return len == 0 ? SW_OK : stage->write(stage, data, len, err);
}

static inline sw_rc
sw_stage_finish(struct sw_stage *stage, struct sw_error *err)
{
	return stage->finish(stage, err);
}

/* --- ends ------------------------------------------------------------------ */

/* Into a buffer that the caller owns; its limit is the stage's. */
struct sw_stage_buf {
	struct sw_stage stage;
	struct sw_buf *buf;
};
void sw_stage_buf_init(struct sw_stage_buf *s, struct sw_buf *buf);

/* Into a descriptor that the caller owns, at its file offset; path for error texts (borrowed). */
struct sw_stage_fd {
	struct sw_stage stage;
	int fd;
	const char *path;
};
void sw_stage_fd_init(struct sw_stage_fd *s, int fd, const char *path);

/* Known length at the end: memory up to a bound, an unlinked temporary file beyond it. */
struct sw_stage_spool {
	struct sw_stage stage;
	size_t memory_max;
	struct sw_buf buf;
	int fd;       /* -1 while all is in memory */
	uint64_t len; /* bytes in all */
};
void sw_stage_spool_init(struct sw_stage_spool *s, size_t memory_max);
void sw_stage_spool_release(struct sw_stage_spool *s);

/* --- between --------------------------------------------------------------- */

/* SHA-256 and length of what passes; the digest is there after finish. */
#define SW_SHA256_LEN 32
struct sw_stage_digest {
	struct sw_stage stage;
	EVP_MD_CTX *ctx;
	uint64_t len;
	uint8_t sha256[SW_SHA256_LEN];
};
/* next may be NULL: then it only counts and hashes.  SW_OK, SW_SYSTEM. */
sw_rc sw_stage_digest_init(struct sw_stage_digest *s, struct sw_stage *next, struct sw_error *err);
void sw_stage_digest_release(struct sw_stage_digest *s);

/* SHA-256 of one piece of memory. */
void sw_sha256(const void *data, size_t len, uint8_t ret_sha256[SW_SHA256_LEN]);

/* XXH3-128 (unkeyed, canonical form) and length of what passes: end to end, where 11 ms of SHA-256 for each segment
 * would be felt.  next may be NULL. */
struct sw_stage_xxh3 {
	struct sw_stage stage;
	struct sw_xxh3 *state;
	uint64_t len;
	uint8_t hash[SW_XXH3_LEN];
};
sw_rc sw_stage_xxh3_init(struct sw_stage_xxh3 *s, struct sw_stage *next, struct sw_error *err);
void sw_stage_xxh3_release(struct sw_stage_xxh3 *s);

/* --- zstd (RFC 8878) -------------------------------------------------------- */

typedef struct ZSTD_CCtx_s ZSTD_CCtx;
typedef struct ZSTD_DCtx_s ZSTD_DCtx;

struct sw_stage_compress {
	struct sw_stage stage;
	ZSTD_CCtx *ctx;
	uint8_t *out;
	size_t out_size;
	uint64_t content_len;
	bool nothing_came;
};
/*
 * One zstd frame with content checksum.  content_len: bytes that will come, written
 * into the frame header and checked at finish; UINT64_MAX if not known.
 */
sw_rc sw_stage_compress_init(struct sw_stage_compress *s, int level, uint64_t content_len,
	struct sw_stage *next, struct sw_error *err);
void sw_stage_compress_release(struct sw_stage_compress *s);

struct sw_stage_decompress {
	struct sw_stage stage;
	ZSTD_DCtx *ctx;
	uint8_t *out;
	size_t out_size;
	uint64_t content_len, content_max;
	bool in_frame;
};
/*
 * Zstd frames, skippable ones passed over.  Input that ends within a frame, a wrong
 * checksum, a window over 8 MiB or more than content_max bytes of content is SW_CORRUPT.
 */
sw_rc sw_stage_decompress_init(struct sw_stage_decompress *s, uint64_t content_max,
	struct sw_stage *next, struct sw_error *err);
void sw_stage_decompress_release(struct sw_stage_decompress *s);

#endif
