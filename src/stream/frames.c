#include "stream/frames.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define FRAME_MAGIC 0xFD2FB528u /* RFC 8878 */
#define FRAME_HEADER_MAX 18     /* with the magic */
#define LONG_FRAME_LEVEL 3
#define READ_PIECES 4 /* for each thread: frames are small, and come in fits and starts */

/* --- make ------------------------------------------------------------------------ */

struct compressor {
	ZSTD_CCtx *ctx;
	uint8_t *out;
	size_t room;
};

static void
compressor_close(void *own)
{
	struct compressor *c = own;

	ZSTD_freeCCtx(c->ctx);
	free(c->out);
	free(c);
}

static void *
compressor_open(const void *level)
{
	struct compressor *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ctx = ZSTD_createCCtx();
	if (c->ctx == NULL) {
		compressor_close(c);
		return NULL;
	}
	ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_compressionLevel, *(const int *)level);
	ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_checksumFlag, 1);
	return c;
}

static sw_rc
need_room(uint8_t **buf, size_t *room, size_t want, struct sw_error *err)
{
	if (*room >= want && *buf != NULL)
		return SW_OK;
	free(*buf);
	*buf = malloc(want);
	*room = *buf == NULL ? 0 : want;
	return *buf != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

static sw_rc
compress(void *own, const struct sw_piece *piece, const uint8_t **ret_out, size_t *ret_len, struct sw_error *err)
{
	struct compressor *c = own;
	size_t len;

	if (need_room(&c->out, &c->room, ZSTD_compressBound(piece->len), err) != SW_OK)
		return err->rc;
	len = ZSTD_compress2(c->ctx, c->out, c->room, piece->data, piece->len);
	if (ZSTD_isError(len))
		return sw_fail(err, SW_SYSTEM, "compressing: %s", ZSTD_getErrorName(len));
	*ret_out = c->out;
	*ret_len = len;
	return SW_OK;
}

static sw_rc
framer_give(struct sw_stage_framer *s, struct sw_error *err)
{
	s->piece = NULL;
	s->empty = false;
	return sw_lanes_give(s->lanes, err);
}

static sw_rc
framer_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_framer *s = (struct sw_stage_framer *)stage;
	const uint8_t *p = data;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && len > 0) {
		size_t n;

		if (s->piece == NULL && sw_lanes_room(s->lanes, s->frame_size, &s->piece, err) != SW_OK)
			return err->rc;
		n = s->frame_size - s->piece->len;
		n = len < n ? len : n;
		memcpy(s->piece->data + s->piece->len, p, n);
		s->piece->len += n;
		p += n;
		len -= n;
		if (s->piece->len == s->frame_size)
			rc = framer_give(s, err);
	}
	return rc;
}

static sw_rc
framer_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_framer *s = (struct sw_stage_framer *)stage;
	sw_rc rc = SW_OK;

	/* content of no bytes is a frame too */
	if (s->piece == NULL && s->empty)
		rc = sw_lanes_room(s->lanes, s->frame_size, &s->piece, err);
	if (rc == SW_OK && s->piece != NULL)
		rc = framer_give(s, err);
	if (rc == SW_OK)
		rc = sw_lanes_drain(s->lanes, err);
	return rc == SW_OK ? sw_stage_finish(stage->next, err) : rc;
}

sw_rc
sw_stage_framer_init(struct sw_stage_framer *s, int level, unsigned threads, struct sw_stage *next,
	struct sw_error *err)
{
	struct sw_lanes_params params = {
		.threads = threads,
		.pieces = threads + 2,
		.ctx = &s->level,
		.open = compressor_open,
		.close = compressor_close,
		.work = compress,
		.next = next,
	};

	*s = (struct sw_stage_framer){
		.stage = {.write = framer_write, .finish = framer_finish, .next = next},
		.level = level,
		.frame_size = level < LONG_FRAME_LEVEL ? SW_FRAME_MIN : SW_FRAME_MAX,
		.empty = true,
	};
	return sw_lanes_new(&params, &s->lanes, err);
}

void
sw_stage_framer_release(struct sw_stage_framer *s)
{
	sw_lanes_free(s->lanes);
	s->lanes = NULL;
}

/* --- read: one frame --------------------------------------------------------------- */

struct decompressor {
	ZSTD_DCtx *ctx;
	uint8_t *out;
	size_t room;
};

static void
decompressor_close(void *own)
{
	struct decompressor *d = own;

	ZSTD_freeDCtx(d->ctx);
	free(d->out);
	free(d);
}

static void *
decompressor_open(const void *ctx)
{
	struct decompressor *d = calloc(1, sizeof(*d));
	struct sw_error ignored;

	(void)ctx;
	if (d == NULL)
		return NULL;
	d->ctx = ZSTD_createDCtx();
	if (d->ctx == NULL || need_room(&d->out, &d->room, SW_FRAME_MIN, &ignored) != SW_OK) {
		decompressor_close(d);
		return NULL;
	}
	/* so that the pages are there when the first frame is: until then others are waited for */
	memset(d->out, 0xff, d->room);
	return d;
}

static sw_rc
decompress(void *own, const struct sw_piece *piece, const uint8_t **ret_out, size_t *ret_len, struct sw_error *err)
{
	struct decompressor *d = own;
	size_t len;

	if (need_room(&d->out, &d->room, piece->content, err) != SW_OK)
		return err->rc;
	len = ZSTD_decompressDCtx(d->ctx, d->out, piece->content, piece->data, piece->len);
	if (ZSTD_isError(len))
		return sw_fail(err, SW_CORRUPT, "decompressing: %s", ZSTD_getErrorName(len));
	if (len != piece->content)
		return sw_fail(err, SW_CORRUPT, "a frame has %zu bytes of content where it says %zu", len, piece->content);
	*ret_out = d->out;
	*ret_len = len;
	return SW_OK;
}

/* --- read: where frames end ---------------------------------------------------------- */

static size_t
content_of_next(const struct sw_stage_unframer *s)
{
	uint64_t left = s->content_len - s->content_at;

	return left < s->frame_size ? (size_t)left : s->frame_size;
}

/* What the frame says of its content; ZSTD_CONTENTSIZE_UNKNOWN for anything that does not. */
static unsigned long long
told_content(const struct sw_piece *piece)
{
	unsigned long long told;
	uint32_t magic;

	if (piece->len < sizeof(magic))
		return ZSTD_CONTENTSIZE_UNKNOWN;
	memcpy(&magic, piece->data, sizeof(magic));
	if (le32toh(magic) != FRAME_MAGIC)
		return ZSTD_CONTENTSIZE_UNKNOWN;
	told = ZSTD_getFrameContentSize(piece->data, piece->len);
	return told == ZSTD_CONTENTSIZE_ERROR ? ZSTD_CONTENTSIZE_UNKNOWN : told;
}

/* The frame may have come whole; *ret_more: bytes behind it, which are of the next. */
static sw_rc
end_frame(struct sw_stage_unframer *s, size_t *ret_more, struct sw_error *err)
{
	struct sw_piece *piece = s->piece;
	size_t len = ZSTD_findFrameCompressedSize(piece->data, piece->len);

	*ret_more = 0;
	if (ZSTD_isError(len) && ZSTD_getErrorCode(len) == ZSTD_error_srcSize_wrong && piece->len < piece->room)
		return SW_OK;
	if (ZSTD_isError(len))
		return sw_fail(err, SW_CORRUPT, "decompressing: a frame is damaged, or longer than its content allows");
	if (told_content(piece) != content_of_next(s))
		return sw_fail(err, SW_CORRUPT, "a frame does not say that it has the %zu bytes that come next",
			content_of_next(s));
	*ret_more = piece->len - len;
	piece->len = len;
	piece->content = content_of_next(s);
	s->content_at += piece->content;
	s->piece = NULL;
	return sw_lanes_give(s->lanes, err);
}

/* --- read: the stage ------------------------------------------------------------------- */

/* The first frame's header tells the form. */
static sw_rc
choose_form(struct sw_stage_unframer *s, struct sw_error *err)
{
	unsigned long long told = told_content(s->piece);
	struct sw_piece *piece = s->piece;
	sw_rc rc;

	if (told <= SW_FRAME_MAX && (told == s->content_len || (told >= SW_FRAME_MIN && told < s->content_len))) {
		s->state = SW_UNFRAMER_FRAMES;
		s->frame_size = (size_t)told;
		return SW_OK;
	}
	s->state = SW_UNFRAMER_STREAM;
	s->piece = NULL;
	rc = sw_stage_decompress_init(&s->stream, s->content_len, s->stage.next, err);
	return rc == SW_OK ? sw_stage_write(&s->stream.stage, piece->data, piece->len, err) : rc;
}

static sw_rc
need_piece(struct sw_stage_unframer *s, struct sw_error *err)
{
	uint64_t content = s->content_len < SW_FRAME_MAX ? s->content_len : SW_FRAME_MAX;

	if (s->piece != NULL)
		return SW_OK;
	if (s->state == SW_UNFRAMER_FRAMES) {
		content = content_of_next(s);
		if (content == 0)
			return sw_fail(err, SW_CORRUPT, "goes on behind its content");
	}
	return sw_lanes_room(s->lanes, ZSTD_compressBound(content), &s->piece, err);
}

/* Take bytes of one frame; *ret_used tells how many they were. */
static sw_rc
take_some(struct sw_stage_unframer *s, const uint8_t *data, size_t len, size_t *ret_used, struct sw_error *err)
{
	struct sw_piece *piece;
	size_t more = 0;
	sw_rc rc = need_piece(s, err);

	if (rc != SW_OK)
		return rc;
	piece = s->piece;
	*ret_used = len < piece->room - piece->len ? len : piece->room - piece->len;
	memcpy(piece->data + piece->len, data, *ret_used);
	piece->len += *ret_used;
	if (s->state == SW_UNFRAMER_FIRST && piece->len >= FRAME_HEADER_MAX)
		rc = choose_form(s, err);
	if (rc == SW_OK && s->state == SW_UNFRAMER_FRAMES)
		rc = end_frame(s, &more, err);
	*ret_used -= more;
	return rc;
}

static sw_rc
unframer_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_unframer *s = (struct sw_stage_unframer *)stage;
	const uint8_t *p = data;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && len > 0 && s->state != SW_UNFRAMER_STREAM) {
		size_t used = 0;

		rc = take_some(s, p, len, &used, err);
		p += used;
		len -= used;
	}
	return rc == SW_OK ? sw_stage_write(&s->stream.stage, p, len, err) : rc;
}

static sw_rc
unframer_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_unframer *s = (struct sw_stage_unframer *)stage;
	size_t more = 0;
	sw_rc rc = SW_OK;

	/* all of it is shorter than a frame's header may be */
	if (s->state == SW_UNFRAMER_FIRST && s->piece != NULL) {
		rc = choose_form(s, err);
		if (rc == SW_OK && s->state == SW_UNFRAMER_FRAMES)
			rc = end_frame(s, &more, err);
	}
	if (rc != SW_OK)
		return rc;
	if (s->state == SW_UNFRAMER_STREAM)
		return sw_stage_finish(&s->stream.stage, err);
	if (s->state == SW_UNFRAMER_FIRST || s->piece != NULL || more > 0 || s->content_at != s->content_len)
		return sw_fail(err, SW_CORRUPT, "ends within a compressed frame, or before its last");
	rc = sw_lanes_drain(s->lanes, err);
	return rc == SW_OK ? sw_stage_finish(stage->next, err) : rc;
}

sw_rc
sw_stage_unframer_init(struct sw_stage_unframer *s, unsigned threads, struct sw_stage *next, struct sw_error *err)
{
	struct sw_lanes_params params = {
		.threads = threads,
		.pieces = READ_PIECES * threads,
		.open = decompressor_open,
		.close = decompressor_close,
		.work = decompress,
		.next = next,
	};

	*s = (struct sw_stage_unframer){
		.stage = {.write = unframer_write, .finish = unframer_finish, .next = next},
	};
	return sw_lanes_new(&params, &s->lanes, err);
}

void
sw_stage_unframer_expect(struct sw_stage_unframer *s, uint64_t content_len)
{
	s->content_len = content_len;
}

void
sw_stage_unframer_release(struct sw_stage_unframer *s)
{
	sw_lanes_free(s->lanes);
	s->lanes = NULL;
	sw_stage_decompress_release(&s->stream);
}
