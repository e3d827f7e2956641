#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "../tap.h"
#include "base/file.h"
#include "stream/stage.h"

#define MB (1u << 20)

static uint8_t content[3 * MB + 17];

/* Half of it compresses. */
static void
make_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = i / 4096 % 2 == 0 ? (uint8_t)(random() >> 8) : (uint8_t)(i >> 8);
}

/* In pieces of `step` bytes. */
static sw_rc
write_pieces(struct sw_stage *stage, const uint8_t *data, size_t len, size_t step, struct sw_error *err)
{
	for (size_t at = 0; at < len; at += step) {
		size_t piece = len - at < step ? len - at : step;
		sw_rc rc = sw_stage_write(stage, data + at, piece, err);

		if (rc != SW_OK)
			return rc;
	}
	return sw_stage_finish(stage, err);
}

static sw_rc
compress(const uint8_t *data, size_t len, size_t step, int level, uint64_t pledged, struct sw_buf *out,
	struct sw_error *err)
{
	struct sw_stage_buf end;
	struct sw_stage_compress s;
	sw_rc rc;

	sw_stage_buf_init(&end, out);
	rc = sw_stage_compress_init(&s, level, pledged, &end.stage, err);
	if (rc == SW_OK)
		rc = write_pieces(&s.stage, data, len, step, err);
	sw_stage_compress_release(&s);
	return rc;
}

static sw_rc
decompress(const uint8_t *data, size_t len, size_t step, uint64_t content_max, struct sw_buf *out,
	struct sw_error *err)
{
	struct sw_stage_buf end;
	struct sw_stage_decompress s;
	sw_rc rc;

	sw_stage_buf_init(&end, out);
	rc = sw_stage_decompress_init(&s, content_max, &end.stage, err);
	if (rc == SW_OK)
		rc = write_pieces(&s.stage, data, len, step, err);
	sw_stage_decompress_release(&s);
	return rc;
}

static bool
is_content(const struct sw_buf *buf, size_t len)
{
	return buf->len == len && (len == 0 || memcmp(buf->data, content, len) == 0);
}

static void
test_round_trips(void)
{
	static const struct {
		size_t len, step;
		int level;
		bool pledged;
	} cases[] = {
		{0, 1, 1, true},
		{0, 1, 1, false},
		{1, 1, 1, true},
		{1000, 1, 1, false},
		{128 * 1024, 128 * 1024, 1, true}, /* zstd's own block */
		{128 * 1024 + 1, 128 * 1024, 3, false},
		{sizeof(content), 8192, 1, true},
		{sizeof(content), 100003, 3, false},
		{sizeof(content), sizeof(content), 9, true},
		{sizeof(content), MB, 19, false},
		{sizeof(content), MB, -5, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		size_t len = cases[i].len;
		SW_AUTO_BUF packed;
		SW_AUTO_BUF back;
		sw_rc rc;

		sw_buf_init(&packed, 2 * sizeof(content));
		sw_buf_init(&back, sizeof(content));
		rc = compress(content, len, cases[i].step, cases[i].level, cases[i].pledged ? len : UINT64_MAX,
			&packed, &err);
		tap_is_int(rc, SW_OK, "%zu bytes by %zu at level %d are compressed", len, cases[i].step,
			cases[i].level);
		if (cases[i].pledged)
			tap_is_int((long long)ZSTD_getFrameContentSize(packed.data, packed.len), (long long)len,
				"the length told is in the header");
		tap_ok((packed.data[4] & 4) != 0, "the frame has a checksum");
		rc = decompress(packed.data, packed.len, cases[i].step, len, &back, &err);
		tap_ok(rc == SW_OK && is_content(&back, len), "and come back");
	}
}

static void
test_pledge(void)
{
	static const struct {
		size_t len, pledged;
	} cases[] = {{1000, 999}, {1000, 1001}, {0, 1}, {sizeof(content), sizeof(content) - 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF packed;

		sw_buf_init(&packed, 2 * sizeof(content));
		tap_ok(compress(content, cases[i].len, 4096, 1, cases[i].pledged, &packed, &err) != SW_OK,
			"%zu bytes where %zu were promised fail", cases[i].len, cases[i].pledged);
	}
}

/* A skippable frame of `len` bytes (RFC 8878, 3.1.2). */
static void
append_skippable(struct sw_buf *buf, uint32_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	uint32_t head[2] = {0x184D2A50, len};

	sw_buf_append(buf, head, 8, &err);
	sw_buf_append(buf, content, len, &err);
}

static void
test_frames(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF packed;
	SW_AUTO_BUF back;

	sw_buf_init(&packed, 4 * MB);
	sw_buf_init(&back, 4 * MB);
	append_skippable(&packed, 5000);
	compress(content, 100000, 4096, 1, 100000, &packed, &err);
	append_skippable(&packed, 0);
	compress(content + 100000, 50000, 4096, 1, UINT64_MAX, &packed, &err);
	for (size_t step = 1; step <= 1 << 18; step *= 8) {
		sw_buf_reset(&back);
		tap_ok(decompress(packed.data, packed.len, step, 150000, &back, &err) == SW_OK &&
			is_content(&back, 150000), "frames and skippable frames, %zu bytes a time", step);
	}
	sw_buf_reset(&back);
	tap_is_int(decompress(packed.data, packed.len, 4096, 149999, &back, &err), SW_CORRUPT,
		"a byte more than allowed is refused");
	tap_ok(back.len <= 149999, "and not handed on");
}

static void
test_cut_short(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF packed;
	SW_AUTO_BUF back;
	size_t accepted = 0, wrong = 0, skip;

	sw_buf_init(&packed, MB);
	sw_buf_init(&back, MB);
	append_skippable(&packed, 100);
	skip = packed.len;
	compress(content, 20000, 4096, 1, 20000, &packed, &err);
	for (size_t len = 1; len < packed.len; len++) {
		uint8_t *exact = malloc(len);
		sw_rc rc;

		memcpy(exact, packed.data, len);
		sw_buf_reset(&back);
		rc = decompress(exact, len, 4096, MB, &back, &err);
		accepted += rc == SW_OK && len != skip;
		wrong += rc != SW_OK && rc != SW_CORRUPT;
		free(exact);
	}
	tap_is_int((long long)accepted, 0, "input that ends within a frame is corrupt, wherever");
	tap_is_int((long long)wrong, 0, "and nothing else");
	sw_buf_reset(&back);
	sw_buf_append(&packed, "junk", 4, &err);
	tap_is_int(decompress(packed.data, packed.len, 4096, MB, &back, &err), SW_CORRUPT, "so is rubbish behind");
}

static void
test_damage(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF packed;
	SW_AUTO_BUF back;
	size_t unseen = 0;

	sw_buf_init(&packed, MB);
	sw_buf_init(&back, MB);
	compress(content, 20000, 4096, 1, 20000, &packed, &err);
	for (size_t at = 0; at < packed.len; at += 7) {
		sw_rc rc;

		packed.data[at] ^= 0x10;
		sw_buf_reset(&back);
		rc = decompress(packed.data, packed.len, 4096, 20000, &back, &err);
		unseen += rc == SW_OK && !is_content(&back, 20000) && back.len != 0;
		packed.data[at] ^= 0x10;
	}
	tap_is_int((long long)unseen, 0, "no damage gives other bytes");
}

static void
test_window(void)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(sizeof(content)), len;
	uint8_t *packed = malloc(room);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF back;

	sw_buf_init(&back, 4 * MB);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, 27);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_enableLongDistanceMatching, 1);
	ZSTD_outBuffer out = {packed, room, 0};
	ZSTD_inBuffer in = {content, sizeof(content), 0};
	ZSTD_compressStream2(ctx, &out, &in, ZSTD_e_flush); /* streamed, so that the window is not made smaller */
	while (ZSTD_compressStream2(ctx, &out, &in, ZSTD_e_end) != 0)
		;
	len = out.pos;
	tap_is_int(decompress(packed, len, 4096, UINT64_MAX, &back, &err), SW_CORRUPT,
		"a frame that asks for 128 MiB is refused");
	tap_is_int((long long)back.len, 0, "at once");
	free(packed);
	ZSTD_freeCCtx(ctx);
}

/* Against the library, in pieces that end everywhere. */
static void
test_xxh3(void)
{
	size_t wrong = 0, compared = 0;

	for (size_t len = 0; len < sizeof(content); len = len < 2000 ? len + 1 : len * 3 + 1) {
		struct sw_xxh3 *hash = sw_xxh3_new();
		XXH128_canonical_t want;
		uint8_t once[SW_XXH3_LEN], pieces[SW_XXH3_LEN];

		XXH128_canonicalFromHash(&want, XXH3_128bits(content, len));
		for (size_t at = 0, n; at < len; at += n) {
			n = 1 + (len * 7 + at) % 1500;
			n = n < len - at ? n : len - at;
			sw_xxh3_update(hash, content + at, n);
		}
		sw_xxh3_digest(hash, pieces);
		sw_xxh3(content, len, once);
		wrong += memcmp(once, want.digest, sizeof(once)) != 0 || memcmp(pieces, want.digest, sizeof(pieces)) != 0;
		compared++;
		sw_xxh3_free(hash);
	}
	tap_ok(wrong == 0 && compared > 2000, "XXH3-128 is libxxhash's, of %zu lengths", compared);
}

static const char *
hex(const uint8_t *sha)
{
	static char text[65];

	for (int i = 0; i < SW_SHA256_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", sha[i]);
	return text;
}

/* FIPS 180-2's examples. */
static void
test_digest(void)
{
	static const struct {
		const char *text, *sha256;
	} cases[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int with_next = 0; with_next < 2; with_next++) {
			struct sw_error err = SW_ERROR_INIT;
			size_t len = strlen(cases[i].text);
			struct sw_stage_digest s;
			struct sw_stage_buf end;
			uint8_t sha[SW_SHA256_LEN];
			SW_AUTO_BUF buf;

			sw_buf_init(&buf, 100);
			sw_stage_buf_init(&end, &buf);
			sw_stage_digest_init(&s, with_next ? &end.stage : NULL, &err);
			tap_is_int(write_pieces(&s.stage, (const uint8_t *)cases[i].text, len, 7, &err), SW_OK,
				"%zu bytes pass", len);
			tap_is(hex(s.sha256), cases[i].sha256, "their digest");
			tap_is_int((long long)s.len, (long long)len, "their length");
			tap_is_int((long long)buf.len, with_next ? (long long)len : 0, "what came behind");
			sw_stage_digest_release(&s);
			sw_sha256(cases[i].text, len, sha);
			tap_is(hex(sha), cases[i].sha256, "the same in one call");
		}
}

static void
test_buf_limit(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_stage_buf end;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 10);
	sw_stage_buf_init(&end, &buf);
	tap_is_int(sw_stage_write(&end.stage, content, 10, &err), SW_OK, "up to the buffer's limit");
	tap_is_int(sw_stage_write(&end.stage, content, 1, &err), SW_CORRUPT, "no further");
	tap_is_int(sw_stage_finish(&end.stage, &err), SW_OK, "an end has nothing to finish");
}

static void
test_fd(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_stage_fd end;
	uint8_t got[16];
	size_t len;
	SW_AUTO_FD fd = -1;
	SW_AUTO_FD full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	sw_file_open_unlinked("/var/tmp", &fd, &err);
	sw_stage_fd_init(&end, fd, "a file");
	tap_is_int(write_pieces(&end.stage, content, 10, 3, &err), SW_OK, "into a descriptor");
	tap_ok(sw_file_pread(fd, got, sizeof(got), 0, &len, "a file", &err) == SW_OK && len == 10 &&
		memcmp(got, content, 10) == 0, "all of it");
	sw_stage_fd_init(&end, full, "the target");
	tap_is_int(sw_stage_write(&end.stage, content, 10, &err), SW_SYSTEM, "a full disk fails");
	tap_ok(strstr(err.text, "the target") != NULL && err.hint[0] != '\0', "by name and with a hint: %s",
		err.text);
}

static void
test_spool(void)
{
	static const struct {
		size_t len, step, memory;
		bool file;
	} cases[] = {
		{0, 1, 0, false},
		{0, 1, 1000, false},
		{1000, 100, 1000, false},
		{1000, 1000, 1000, false},
		{1001, 100, 1000, true},
		{1001, 1001, 1000, true},
		{1, 1, 0, true},
		{sizeof(content), 65536, MB, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_stage_spool s;
		uint8_t *got = malloc(sizeof(content));
		size_t len = 0;

		sw_stage_spool_init(&s, cases[i].memory);
		tap_is_int(write_pieces(&s.stage, content, cases[i].len, cases[i].step, &err), SW_OK,
			"%zu bytes with memory for %zu", cases[i].len, cases[i].memory);
		tap_ok((s.fd >= 0) == cases[i].file && s.len == cases[i].len, "lie in %s",
			cases[i].file ? "a file" : "memory");
		if (s.fd >= 0) {
			sw_file_pread(s.fd, got, sizeof(content), 0, &len, "spool", &err);
			tap_ok(len == cases[i].len && memcmp(got, content, len) == 0, "whole");
			tap_ok(s.buf.data == NULL, "and no longer in memory");
		} else {
			tap_ok(is_content(&s.buf, cases[i].len), "whole");
		}
		sw_stage_spool_release(&s);
		tap_ok(s.fd < 0 && s.buf.data == NULL, "released");
		free(got);
	}
}

/* A failure behind comes through every stage. */
static void
test_failure_behind(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF packed;
	SW_AUTO_BUF small;

	sw_buf_init(&packed, 2 * sizeof(content));
	sw_buf_init(&small, 10);
	tap_is_int(compress(content, sizeof(content), 65536, 1, UINT64_MAX, &small, &err), SW_CORRUPT,
		"of the compressor's target");
	compress(content, 1000, 1000, 1, 1000, &packed, &err);
	tap_is_int(decompress(packed.data, packed.len, 100, UINT64_MAX, &small, &err), SW_CORRUPT,
		"of the decompressor's");
}

int
main(void)
{
	make_content();
	test_round_trips();
	test_pledge();
	test_frames();
	test_cut_short();
	test_damage();
	test_window();
	test_digest();
	test_xxh3();
	test_buf_limit();
	test_fd();
	test_spool();
	test_failure_behind();
	return tap_done();
}
