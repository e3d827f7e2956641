#include <stdlib.h>
#include <zstd.h>

#include "stream/stage.h"

/* The largest window that Seawall's own levels make; hostile frames may ask for more memory. */
#define WINDOW_LOG_MAX 23

/* --- compress ------------------------------------------------------------------ */

static sw_rc
compress_some(struct sw_stage_compress *s, const void *data, size_t len, ZSTD_EndDirective end,
	struct sw_error *err)
{
	ZSTD_inBuffer in = {.src = data, .size = len};
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = s->out, .size = s->out_size};
		sw_rc rc;

		left = ZSTD_compressStream2(s->ctx, &out, &in, end);
		if (ZSTD_isError(left))
			return sw_fail(err, SW_SYSTEM, "compressing: %s", ZSTD_getErrorName(left));
		rc = sw_stage_write(s->stage.next, s->out, out.pos, err);
		if (rc != SW_OK)
			return rc;
	} while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return SW_OK;
}

static sw_rc
compress_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_compress *s = (struct sw_stage_compress *)stage;

	s->nothing_came = false;
	return compress_some(s, data, len, ZSTD_e_continue, err);
}

static sw_rc
compress_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_compress *s = (struct sw_stage_compress *)stage;
	sw_rc rc;

	/* of a stream that ends before it began, zstd forgets what was promised */
	if (s->nothing_came && s->content_len != 0 && s->content_len != UINT64_MAX)
		return sw_fail(err, SW_SYSTEM, "compressing: nothing came where %llu bytes were to come",
			(unsigned long long)s->content_len);
	rc = compress_some(s, NULL, 0, ZSTD_e_end, err);
	return rc == SW_OK ? sw_stage_finish(stage->next, err) : rc;
}

sw_rc
sw_stage_compress_init(struct sw_stage_compress *s, int level, uint64_t content_len,
	struct sw_stage *next, struct sw_error *err)
{
	*s = (struct sw_stage_compress){
		.stage = {.write = compress_write, .finish = compress_finish, .next = next},
		.ctx = ZSTD_createCCtx(),
		.content_len = content_len,
		.nothing_came = true,
		.out_size = ZSTD_CStreamOutSize(),
	};
	s->out = malloc(s->out_size);
	if (s->ctx == NULL || s->out == NULL) {
		sw_stage_compress_release(s);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	ZSTD_CCtx_setParameter(s->ctx, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(s->ctx, ZSTD_c_checksumFlag, 1);
	if (level > 15)
		ZSTD_CCtx_setParameter(s->ctx, ZSTD_c_windowLog, WINDOW_LOG_MAX);
	if (content_len != UINT64_MAX)
		ZSTD_CCtx_setPledgedSrcSize(s->ctx, content_len);
	return SW_OK;
}

void
sw_stage_compress_release(struct sw_stage_compress *s)
{
	ZSTD_freeCCtx(s->ctx);
	free(s->out);
	s->ctx = NULL;
	s->out = NULL;
}

/* --- decompress ---------------------------------------------------------------- */

static sw_rc
deliver(struct sw_stage_decompress *s, const ZSTD_outBuffer *out, struct sw_error *err)
{
	s->content_len += out->pos;
	if (s->content_len > s->content_max)
		return sw_fail(err, SW_CORRUPT, "decompresses to more than %llu bytes",
			(unsigned long long)s->content_max);
	return sw_stage_write(s->stage.next, s->out, out->pos, err);
}

static sw_rc
decompress_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_decompress *s = (struct sw_stage_decompress *)stage;
	ZSTD_inBuffer in = {.src = data, .size = len};
	bool more = true;

	while (in.pos < in.size || more) {
		ZSTD_outBuffer out = {.dst = s->out, .size = s->out_size};
		size_t left;
		sw_rc rc;

		left = ZSTD_decompressStream(s->ctx, &out, &in);
		if (ZSTD_isError(left))
			return sw_fail(err, SW_CORRUPT, "decompressing: %s", ZSTD_getErrorName(left));
		s->in_frame = left != 0;
		rc = deliver(s, &out, err);
		if (rc != SW_OK)
			return rc;
		/* a full output buffer may hide more; a frame that just ended hides nothing */
		more = out.pos == out.size && left != 0;
	}
	return SW_OK;
}

static sw_rc
decompress_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_decompress *s = (struct sw_stage_decompress *)stage;

	if (s->in_frame)
		return sw_fail(err, SW_CORRUPT, "ends within a compressed frame");
	return sw_stage_finish(stage->next, err);
}

sw_rc
sw_stage_decompress_init(struct sw_stage_decompress *s, uint64_t content_max,
	struct sw_stage *next, struct sw_error *err)
{
	*s = (struct sw_stage_decompress){
		.stage = {.write = decompress_write, .finish = decompress_finish, .next = next},
		.ctx = ZSTD_createDCtx(),
		.out_size = ZSTD_DStreamOutSize(),
		.content_max = content_max,
	};
	s->out = malloc(s->out_size);
	if (s->ctx == NULL || s->out == NULL) {
		sw_stage_decompress_release(s);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	ZSTD_DCtx_setParameter(s->ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return SW_OK;
}

void
sw_stage_decompress_release(struct sw_stage_decompress *s)
{
	ZSTD_freeDCtx(s->ctx);
	free(s->out);
	s->ctx = NULL;
	s->out = NULL;
}
