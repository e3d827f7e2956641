#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "base/file.h"
#include "stream/frames.h"

#define MB (1u << 20)
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static uint8_t content[9 * MB + 17];

/* Half of it compresses, and no two frames are alike. */
static void
make_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = i / 4096 % 2 == 0 ? (uint8_t)(random() >> 8) : (uint8_t)(i >> 12);
}

/* An end that is slow, or fails behind so many bytes. */
struct end {
	struct sw_stage stage;
	struct sw_buf buf;
	useconds_t pause;
	size_t fail_behind;
	bool finished;
};

static sw_rc
end_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct end *end = (struct end *)stage;

	if (end->buf.len + len > end->fail_behind)
		return sw_fail(err, SW_SYSTEM, "no more room");
	usleep(end->pause);
	return sw_buf_append(&end->buf, data, len, err);
}

static sw_rc
end_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)err;
	((struct end *)stage)->finished = true;
	return SW_OK;
}

static void
end_init(struct end *end)
{
	*end = (struct end){.stage = {.write = end_write, .finish = end_finish}, .fail_behind = SIZE_MAX};
	sw_buf_init(&end->buf, 2 * sizeof(content));
}

static bool all_written; /* by the last write_pieces */

static sw_rc
write_pieces(struct sw_stage *stage, const uint8_t *data, size_t len, size_t step, struct sw_error *err)
{
	all_written = false;
	for (size_t at = 0; at < len; at += step) {
		sw_rc rc = sw_stage_write(stage, data + at, len - at < step ? len - at : step, err);

		if (rc != SW_OK)
			return rc;
	}
	all_written = true;
	return sw_stage_finish(stage, err);
}

static sw_rc
make(size_t len, int level, unsigned threads, size_t step, struct sw_buf *out, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_framer_release))) struct sw_stage_framer s = {0};
	struct sw_stage_buf end;
	sw_rc rc;

	sw_stage_buf_init(&end, out);
	rc = sw_stage_framer_init(&s, level, threads, &end.stage, err);
	return rc == SW_OK ? write_pieces(&s.stage, content, len, step, err) : rc;
}

static sw_rc
take(const struct sw_buf *frames, uint64_t content_len, unsigned threads, size_t step, struct end *end, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_unframer_release))) struct sw_stage_unframer s = {0};
	sw_rc rc = sw_stage_unframer_init(&s, threads, &end->stage, err);

	sw_stage_unframer_expect(&s, content_len);
	return rc == SW_OK ? write_pieces(&s.stage, frames->data, frames->len, step, err) : rc;
}

static bool
is_content(const struct end *end, size_t len)
{
	return end->finished && end->buf.len == len && (len == 0 || memcmp(end->buf.data, content, len) == 0);
}

/* --- there and back ------------------------------------------------------------------------ */

static size_t
count_frames(const struct sw_buf *buf, size_t frame_size, size_t content_len)
{
	size_t count = 0, bad = 0;

	for (size_t at = 0, of = 0; at < buf->len; count++, of += frame_size) {
		size_t len = ZSTD_findFrameCompressedSize(buf->data + at, buf->len - at);
		size_t want = content_len - of < frame_size ? content_len - of : frame_size;

		if (ZSTD_isError(len))
			return 0;
		bad += ZSTD_getFrameContentSize(buf->data + at, len) != want || (buf->data[at + 4] & 4) == 0;
		at += len;
	}
	return bad == 0 ? count : 0;
}

static void
check_form(const struct sw_buf *frames, size_t len, int level)
{
	size_t size = level < 3 ? SW_FRAME_MIN : SW_FRAME_MAX, want = len == 0 ? 1 : (len + size - 1) / size;
	uint8_t *back = malloc(sizeof(content));

	tap_is_int((long long)count_frames(frames, size, len), (long long)want,
		"%zu bytes at level %d: every frame tells its size and has a checksum", len, level);
	tap_ok(ZSTD_decompress(back, sizeof(content), frames->data, frames->len) == len && memcmp(back, content, len) == 0,
		"libzstd alone gives them back");
	free(back);
}

static void
test_round_trips(void)
{
	static const size_t lens[] = {0, 1, 13, MB - 1, MB, MB + 1, 4 * MB, 4 * MB + 1, sizeof(content)};
	static const struct {
		unsigned make, take;
		size_t step;
		useconds_t pause;
	} ways[] = {{0, 0, 4 * MB, 0}, {0, 1, 16384, 0}, {1, 2, 16384, 0}, {2, 2, 5 * MB, 3000}, {4, 4, 100001, 0}, {3, 1, 65536, 1000}};

	for (size_t i = 0; i < COUNT(lens) * 2; i++) {
		int level = i % 2 == 0 ? 1 : 3;
		size_t len = lens[i / 2];
		SW_AUTO_BUF first;

		sw_buf_init(&first, 2 * sizeof(content));
		for (size_t w = 0; w < COUNT(ways); w++) {
			struct sw_error err = SW_ERROR_INIT;
			struct end end;
			SW_AUTO_BUF frames;
			sw_rc rc;

			sw_buf_init(&frames, 2 * sizeof(content));
			end_init(&end);
			end.pause = ways[w].pause;
			rc = make(len, level, ways[w].make, ways[w].step, &frames, &err);
			if (w == 0) {
				sw_buf_append(&first, frames.data, frames.len, &err);
				check_form(&frames, len, level);
			}
			tap_ok(rc == SW_OK && frames.len == first.len && memcmp(frames.data, first.data, first.len) == 0,
				"%u threads make the same bytes of %zu", ways[w].make, len);
			rc = take(&frames, len, ways[w].take, ways[w].step, &end, &err);
			tap_ok(rc == SW_OK && is_content(&end, len), "%u threads give them back (%s)", ways[w].take, err.text);
			sw_buf_release(&end.buf);
		}
	}
}

/* One byte after the other: where frames end is found wherever a write ends. */
static void
test_bytes(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct end end;
	SW_AUTO_BUF frames;
	sw_rc rc;

	sw_buf_init(&frames, 2 * sizeof(content));
	end_init(&end);
	memset(content, 'x', 2 * MB + 5);
	make(2 * MB + 5, 1, 0, MB, &frames, &err);
	rc = take(&frames, 2 * MB + 5, 1, 1, &end, &err);
	tap_ok(rc == SW_OK && is_content(&end, 2 * MB + 5), "three frames, byte by byte (%s)", err.text);
	sw_buf_release(&end.buf);
	make_content();
}

/* --- other forms ---------------------------------------------------------------------------- */

static void
append_frame(struct sw_buf *out, const uint8_t *data, size_t len, bool sized)
{
	struct sw_error err = SW_ERROR_INIT;
	ZSTD_CCtx *ctx = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, sized);
	sw_buf_reserve(out, ZSTD_compressBound(len), &err);
	out->len += ZSTD_compress2(ctx, out->data + out->len, ZSTD_compressBound(len), data, len);
	ZSTD_freeCCtx(ctx);
}

/* What Seawall wrote before there were frames. */
static void
test_one_frame(void)
{
	static const size_t lens[] = {0, 1, MB, MB + 1, 8 * MB};

	for (size_t i = 0; i < COUNT(lens) * 2; i++) {
		size_t len = lens[i / 2];
		struct sw_error err = SW_ERROR_INIT;
		struct end end;
		SW_AUTO_BUF frame;
		sw_rc rc;

		sw_buf_init(&frame, 2 * sizeof(content));
		end_init(&end);
		append_frame(&frame, content, len, i % 2 == 0);
		rc = take(&frame, len, 2, 16384, &end, &err);
		tap_ok(rc == SW_OK && is_content(&end, len), "one frame of %zu bytes, %s its size, is read (%s)", len,
			i % 2 == 0 ? "with" : "without", err.text);
		sw_buf_reset(&end.buf);
		end.finished = false;
		frame.len--;
		rc = take(&frame, len, 2, 16384, &end, &err);
		tap_ok(rc == SW_CORRUPT && !end.finished, "without its last byte it is not");
		sw_buf_release(&end.buf);
	}
}

/* Longer frames than ours would need more memory than is said: they go another way. */
static void
test_long_frames(void)
{
	static const size_t lens[] = {SW_FRAME_MAX, SW_FRAME_MAX + 1};

	for (size_t i = 0; i < COUNT(lens); i++) {
		__attribute__((cleanup(sw_stage_unframer_release))) struct sw_stage_unframer s = {0};
		struct sw_error err = SW_ERROR_INIT;
		struct end end;
		SW_AUTO_BUF frames;
		sw_rc rc;

		sw_buf_init(&frames, 2 * sizeof(content));
		end_init(&end);
		append_frame(&frames, content, lens[i], true);
		append_frame(&frames, content + lens[i], 7 * MB - lens[i], true);
		sw_stage_unframer_init(&s, 2, &end.stage, &err);
		sw_stage_unframer_expect(&s, 7 * MB);
		rc = write_pieces(&s.stage, frames.data, frames.len, 16384, &err);
		tap_ok(rc == SW_OK && is_content(&end, 7 * MB) && s.state == (i == 0 ? SW_UNFRAMER_FRAMES : SW_UNFRAMER_STREAM),
			"frames of %zu bytes are read as %s", lens[i], i == 0 ? "frames" : "a stream");
		sw_buf_release(&end.buf);
	}
}

/* --- damage ---------------------------------------------------------------------------------- */

/* Three frames; `at`: where they begin and end. */
static void
three_frames(struct sw_buf *out, size_t at[4])
{
	for (size_t i = 0; i < 3; i++) {
		at[i] = out->len;
		append_frame(out, content + i * MB, i < 2 ? MB : 1000, true);
	}
	at[3] = out->len;
}

static void
refused(const struct sw_buf *frames, const char *words, const char *what)
{
	for (unsigned threads = 0; threads <= 2; threads += 2) {
		struct sw_error err = SW_ERROR_INIT;
		struct end end;
		sw_rc rc;

		end_init(&end);
		rc = take(frames, 2 * MB + 1000, threads, 16384, &end, &err);
		if (!tap_ok(rc == SW_CORRUPT && !end.finished && end.buf.len <= 2 * MB + 1000 && strstr(err.text, words) != NULL,
			"%s, with %u threads", what, threads))
			tap_note("%s: %s; %zu bytes", sw_rc_name(rc), err.text, end.buf.len);
		sw_buf_release(&end.buf);
	}
}

static void
test_damage_in_each(void)
{
	SW_AUTO_BUF frames;
	size_t at[4];

	sw_buf_init(&frames, 2 * sizeof(content));
	three_frames(&frames, at);
	for (size_t i = 0; i < 3; i++) {
		size_t places[] = {at[i] + 40, (at[i] + at[i + 1]) / 2, at[i + 1] - 1};

		for (size_t p = 0; p < COUNT(places); p++) {
			frames.data[places[p]] ^= 0x10;
			refused(&frames, "", p == 2 ? "a checksum that is damaged" : "a frame that is damaged");
			frames.data[places[p]] ^= 0x10;
		}
		frames.data[at[i]] ^= 1;
		refused(&frames, "decompressing", "a frame that does not begin as one");
		frames.data[at[i]] ^= 1;
	}
}

static void
test_cuts(void)
{
	SW_AUTO_BUF frames;
	size_t at[4];

	sw_buf_init(&frames, 2 * sizeof(content));
	three_frames(&frames, at);
	for (size_t i = 4; i-- > 0;) {
		static const size_t less[] = {0, 1, 3, 5, 100};

		for (size_t n = i == 3; n < COUNT(less); n++) {
			if (at[i] < less[n])
				continue;
			frames.len = at[i] - less[n];
			refused(&frames, "ends within", "cut at the border of two frames, or before");
		}
	}
}

static void
test_lies(void)
{
	static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd'};
	static const struct {
		const char *what, *words;
		size_t lens[4]; /* frames; 0: a skippable one; 1: of no bytes; odd: without its size */
	} cases[] = {
		{"a frame too many", "goes on behind", {MB, MB, 1000, 1000}},
		{"an empty frame behind", "goes on behind", {MB, MB, 1000, 1}},
		{"a skippable frame behind", "goes on behind", {MB, MB, 1000, 0}},
		{"a skippable frame in between", "does not say", {MB, 0, MB, 1000}},
		{"an empty frame in between", "does not say", {MB, 1, MB, 1000}},
		{"a frame that is too short", "does not say", {MB, MB / 2, MB / 2, 1000}},
		{"a frame that is too long", "does not say", {MB, MB + 1000, 0, 0}},
		{"a last frame that is too long", "does not say", {MB, MB, 1002, 0}},
		{"a frame without its size", "does not say", {MB, MB - 1, 1000, 0}},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF frames;

		sw_buf_init(&frames, 2 * sizeof(content));
		for (size_t f = 0; f < 4; f++) {
			size_t len = cases[i].lens[f];

			if (len == 0)
				sw_buf_append(&frames, skippable, sizeof(skippable), &err);
			else
				append_frame(&frames, content, len == 1 ? 0 : len + len % 2, len == 1 || len % 2 == 0);
		}
		refused(&frames, cases[i].words, cases[i].what);
	}
}

/* A header's size is not what comes: blocks of one repeated byte make any number of bytes of four. */
static void
test_bombs(void)
{
	static const uint8_t header[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0x10, 0};
	static const size_t counts[] = {0, 7, 9, 400000};

	for (size_t c = 0; c < COUNT(counts); c++) {
		size_t blocks = counts[c];
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF frames;

		sw_buf_init(&frames, 2 * sizeof(content));
		append_frame(&frames, content, MB, true);
		sw_buf_append(&frames, header, sizeof(header), &err);
		for (size_t i = 0; i < blocks; i++) {
			/* RFC 8878, 3.1.1.2: size, type, whether it is the last */
			uint32_t block = (blocks < 100 ? 128u * 1024 << 3 | 1 << 1 : 0) | (i == blocks - 1);

			sw_buf_append(&frames, &block, 3, &err);
			if (blocks < 100)
				sw_buf_append(&frames, "x", 1, &err);
		}
		append_frame(&frames, content, 1000, true);
		refused(&frames, "", "a frame that says 1 MiB and has more, less, none, or endless blocks");
	}
}

/* --- failures ---------------------------------------------------------------------------------- */

static void
test_failing_end(void)
{
	for (unsigned threads = 0; threads <= 3; threads++) {
		struct sw_error err = SW_ERROR_INIT;
		struct end end;
		SW_AUTO_BUF frames;
		sw_rc rc;

		sw_buf_init(&frames, 2 * sizeof(content));
		make(sizeof(content), 1, 0, MB, &frames, &err);
		end_init(&end);
		end.fail_behind = 3 * MB;
		rc = take(&frames, sizeof(content), threads, 16384, &end, &err);
		tap_ok(rc == SW_SYSTEM && strstr(err.text, "no more room") != NULL && !end.finished && end.buf.len == 3 * MB,
			"what the next stage says comes back from %u threads: %s", threads, err.text);
		/* with more there is room for all frames */
		if (threads <= 1)
			tap_ok(!all_written, "before all is taken");
		sw_buf_release(&end.buf);
	}
}

static void
test_abandoned(void)
{
	struct sw_stage_unframer reading = {0};
	struct sw_stage_framer making = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct end end;

	end_init(&end);
	sw_stage_framer_init(&making, 1, 2, &end.stage, &err);
	sw_stage_write(&making.stage, content, 2 * MB + 5, &err);
	sw_stage_framer_release(&making);
	sw_stage_unframer_init(&reading, 2, &end.stage, &err);
	sw_stage_unframer_release(&reading);
	tap_ok(err.rc == SW_OK && !end.finished, "what is abandoned is never finished");
	sw_buf_release(&end.buf);
}

int
main(void)
{
	srandom(1);
	make_content();
	alarm(120); /* a wake-up that is missing is a hang */
	test_round_trips();
	test_bytes();
	test_one_frame();
	test_long_frames();
	test_damage_in_each();
	test_cuts();
	test_lies();
	test_bombs();
	test_failing_end();
	test_abandoned();
	return tap_done();
}
