#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "../tap.h"
#include "archive/object.h"
#include "base/file.h"
#include "base/json.h"
#include "wal_maker.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB (1024 * 1024)
#define SEGMENT "000000010000000000000003"
#define HISTORY "00000002.history"
#define HISTORY_TEXT "1\t0/3000000\tno recovery target specified\n"

/* --- tools -------------------------------------------------------------------------- */

/* The end of a reader: keeps the content, and whether it was said to be whole. */
struct end {
	struct sw_stage stage;
	struct sw_buf content;
	bool finished;
};

static sw_rc
end_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	return sw_buf_append(&((struct end *)stage)->content, data, len, err);
}

static sw_rc
end_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)err;
	((struct end *)stage)->finished = true;
	return SW_OK;
}

static void
end_init(struct end *end, size_t max)
{
	*end = (struct end){.stage = {.write = end_write, .finish = end_finish}};
	sw_buf_init(&end->content, max);
}

/* Read an object in pieces of `step` bytes. */
static sw_rc
read_object(const uint8_t *data, size_t len, size_t step, const char *name, struct end *end,
	struct sw_wal_summary *ret_summary, struct sw_error *err)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	sw_rc rc = sw_object_reader_init(&reader, name, &end->stage, err);

	for (size_t at = 0; rc == SW_OK && at < len; at += step)
		rc = sw_stage_write(&reader.stage, data + at, len - at < step ? len - at : step, err);
	if (rc == SW_OK)
		rc = sw_stage_finish(&reader.stage, err);
	if (ret_summary != NULL)
		*ret_summary = reader.summary;
	return rc;
}

static sw_rc
verdict(const uint8_t *data, size_t len, size_t step, const char *name, bool *ret_finished,
	struct sw_error *err)
{
	struct end end;
	sw_rc rc;

	end_init(&end, 4 * MB);
	rc = read_object(data, len, step, name, &end, NULL, err);
	*ret_finished = end.finished;
	sw_buf_release(&end.content);
	return rc;
}

static int
file_of(const void *data, size_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	int fd;

	if (sw_file_open_unlinked(sw_file_tmp_dir(), &fd, &err) != SW_OK ||
		sw_file_write_all(fd, data, len, "temp", &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	return fd;
}

static struct sw_wal_summary
segment_summary(void)
{
	return (struct sw_wal_summary){
		.name = SEGMENT,
		.system_identifier = UINT64_C(17710216540988632115),
		.timeline = 1,
		.segment_size = MB,
		.start = 3 * MB,
		.end = 4 * MB,
		.host = "db1",
		.pgdata = "/var/lib/postgresql/15/main",
	};
}

static struct sw_wal_summary
history_summary(void)
{
	struct sw_wal_summary s = segment_summary();

	memset(s.name, 0, sizeof(s.name));
	strcpy(s.name, HISTORY);
	s.timeline = 2;
	s.start = s.end = 0;
	return s;
}

/* The bytes of an object that Seawall makes of `data`. */
static sw_rc
encode(const void *data, size_t len, struct sw_wal_summary *summary, size_t memory_max, struct sw_buf *out,
	struct sw_error *err)
{
	uint8_t ours[SW_SHA256_LEN];
	SW_AUTO_FD fd = file_of(data, len);
	struct sw_store_body body;
	struct sw_object object;
	sw_rc rc = sw_object_encode(fd, "pg_wal/x", summary, 1, memory_max, &object, err);

	if (rc != SW_OK)
		return rc;
	body = sw_object_body(&object);
	rc = sw_buf_reserve(out, body.len, err);
	if (rc == SW_OK)
		rc = sw_store_body_read(&body, 0, out->data, body.len, err);
	out->len = body.len;
	sw_sha256(out->data, out->len, ours);
	tap_ok(memcmp(ours, body.sha256, sizeof(ours)) == 0, "the object's SHA-256 is the one told");
	sw_object_release(&object);
	return rc;
}

static uint8_t *
segment_bytes(void)
{
	uint8_t *data = malloc(MB + 1);

	for (size_t i = 0; i <= MB; i++)
		data[i] = i / 4096 % 4 == 0 ? (uint8_t)(random() >> 8) : (uint8_t)(i >> 10);
	return data;
}

/* --- there and back -------------------------------------------------------------------- */

static void
check_round_trip(const void *data, size_t len, struct sw_wal_summary summary, const char *what)
{
	static const size_t memory[] = {4 * MB, 700 * 1024, 1}, steps[] = {4 * MB, 4096, 7};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF first;

	sw_buf_init(&first, 4 * MB);
	for (size_t i = 0; i < COUNT(memory); i++) {
		struct sw_wal_summary filled = summary, read = {0};
		struct end end;
		SW_AUTO_BUF object;
		sw_rc rc;

		sw_buf_init(&object, 4 * MB);
		tap_is(sw_rc_name(encode(data, len, &filled, memory[i], &object, &err)), "ok",
			"%s, %zu bytes, in %zu bytes of memory", what, len, memory[i]);
		if (i == 0)
			sw_buf_append(&first, object.data, object.len, &err);
		tap_ok(object.len == first.len && memcmp(object.data, first.data, first.len) == 0,
			"the object is the same wherever it was put together");
		end_init(&end, 2 * MB);
		rc = read_object(object.data, object.len, steps[i], filled.name, &end, &read, &err);
		tap_is(sw_rc_name(rc), "ok", "and is read in pieces of %zu", steps[i]);
		tap_ok(end.finished && end.content.len == len && (len == 0 || memcmp(end.content.data, data, len) == 0),
			"the content is back");
		tap_ok(filled.size == len && memcmp(&filled, &read, sizeof(read)) == 0, "and so is all of the summary");
		sw_buf_release(&end.content);
	}
}

static void
test_round_trips(void)
{
	SW_AUTO_FREE uint8_t *segment = segment_bytes();

	check_round_trip(segment, MB, segment_summary(), "a segment");
	check_round_trip(HISTORY_TEXT, strlen(HISTORY_TEXT), history_summary(), "a history file");
	check_round_trip("", 0, history_summary(), "an empty file");
}

static void
test_wrong_lengths(void)
{
	SW_AUTO_FREE uint8_t *segment = segment_bytes(), *long_text = calloc(1, 16 * MB + 1);
	const struct {
		const void *data;
		size_t len;
		bool history;
		const char *what, *words;
		sw_rc want;
	} cases[] = {
		{segment, 0, false, "an empty segment", "has 0 bytes", SW_CORRUPT},
		{segment, MB - 1, false, "a segment that lacks a byte", "has 1048575 bytes", SW_CORRUPT},
		{segment, MB + 1, false, "a segment with a byte too many", "more than the 1048576 bytes", SW_CORRUPT},
		{long_text, 16 * MB, true, "a history file of 16 MiB", "", SW_OK},
		{long_text, 16 * MB + 1, true, "a longer one", "more than 16777216 bytes", SW_CORRUPT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_wal_summary summary = cases[i].history ? history_summary() : segment_summary();
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF object;

		sw_buf_init(&object, 4 * MB);
		tap_is(sw_rc_name(encode(cases[i].data, cases[i].len, &summary, MB, &object, &err)),
			sw_rc_name(cases[i].want), "%s", cases[i].what);
		if (!tap_ok(strstr(err.text, cases[i].words) != NULL, "its length is told"))
			tap_note("%s", err.text);
	}
}

/* A data directory in Latin-1 must not stop archiving. */
static void
test_origin_that_is_not_utf8(void)
{
	struct sw_wal_summary summary = history_summary(), read = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct end end;
	SW_AUTO_BUF object;

	sw_buf_init(&object, 4 * MB);
	end_init(&end, MB);
	strcpy(summary.host, "m\xfcller");
	memset(summary.pgdata, '\xff', sizeof(summary.pgdata) - 1);
	tap_is(sw_rc_name(encode("x", 1, &summary, MB, &object, &err)), "ok", "an origin that is not UTF-8 is archived");
	tap_is(sw_rc_name(read_object(object.data, object.len, 100, HISTORY, &end, &read, &err)), "ok", "and read");
	tap_is(read.host, "m?ller", "its host is legible");
	sw_buf_release(&end.content);
}

static void
test_unreadable_file(void)
{
	struct sw_object object = {.frame.fd = -1};
	struct sw_wal_summary summary = segment_summary();
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_FD fd = open("/", O_RDONLY | O_DIRECTORY);

	tap_is(sw_rc_name(sw_object_encode(fd, "pg_wal/x", &summary, 1, MB, &object, &err)), "system",
		"a file that cannot be read is the system's failure");
	tap_ok(strstr(err.text, "pg_wal/x") != NULL && object.frame.fd == -1 && object.frame.buf.data == NULL,
		"it is named, and the output is untouched");
}

/* --- damage ------------------------------------------------------------------------------ */

static void
test_cut_everywhere(void)
{
	struct sw_wal_summary summary = history_summary();
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0, finished = 0;
	SW_AUTO_BUF object;
	bool done;

	sw_buf_init(&object, 4 * MB);
	encode(HISTORY_TEXT, strlen(HISTORY_TEXT), &summary, MB, &object, &err);
	for (size_t len = 0; len < object.len; len++) {
		wrong += verdict(object.data, len, len % 2 == 0 ? 5 : 4096, HISTORY, &done, &err) != SW_CORRUPT;
		finished += done;
	}
	tap_is_int((long long)wrong, 0, "an object of %zu bytes is damaged wherever it is cut", object.len);
	tap_is_int((long long)finished, 0, "and never said to be whole");
	sw_buf_reset(&object);
	encode("", 0, &summary, MB, &object, &err);
	for (size_t len = 0; len < object.len; len++)
		wrong += verdict(object.data, len, 4096, HISTORY, &done, &err) != SW_CORRUPT;
	tap_is_int((long long)wrong, 0, "also if its content is empty");
}

static void
test_cut_segment(void)
{
	SW_AUTO_FREE uint8_t *segment = segment_bytes();
	struct sw_wal_summary summary = segment_summary();
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0;
	SW_AUTO_BUF object;
	bool done;

	sw_buf_init(&object, 4 * MB);
	encode(segment, MB, &summary, 4 * MB, &object, &err);
	for (size_t len = object.len - 1; len > 4099; len -= 4099)
		wrong += verdict(object.data, len, 65536, SEGMENT, &done, &err) != SW_CORRUPT || done;
	tap_is_int((long long)wrong, 0, "a segment's object is damaged wherever it is cut");
}

/* Whatever is flipped: what is called whole has the content, under its name. */
static void
flip(struct sw_buf *object, size_t at, uint8_t mask, const void *content, size_t len, size_t *wrong,
	size_t *passed)
{
	struct sw_wal_summary read = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct end end;
	sw_rc rc;

	end_init(&end, 2 * MB);
	object->data[at] ^= mask;
	rc = read_object(object->data, object->len, 65536, HISTORY, &end, &read, &err);
	object->data[at] ^= mask;
	if (rc == SW_OK) {
		++*passed;
		*wrong += !end.finished || end.content.len != len || memcmp(end.content.data, content, len) != 0 ||
			strcmp(read.name, HISTORY) != 0;
	} else if ((rc != SW_CORRUPT && rc != SW_CONFIG) || end.finished) {
		++*wrong;
		tap_note("byte %zu, bits %02x: %s: %s", at, mask, sw_rc_name(rc), err.text);
	}
	sw_buf_release(&end.content);
}

static void
test_flips(void)
{
	struct sw_wal_summary summary = history_summary();
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0, passed = 0, head;
	SW_AUTO_BUF object;

	sw_buf_init(&object, 4 * MB);
	encode(HISTORY_TEXT, strlen(HISTORY_TEXT), &summary, MB, &object, &err);
	head = 8 + (size_t)object.data[4] + 256 * (size_t)object.data[5];
	for (size_t i = 0; i < head; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			flip(&object, i, (uint8_t)(1u << bit), HISTORY_TEXT, strlen(HISTORY_TEXT), &wrong, &passed);
	tap_is_int((long long)wrong, 0, "no bit flipped in the summary gives other content");
	passed = 0;
	for (size_t i = head; i < object.len; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			flip(&object, i, (uint8_t)(1u << bit), HISTORY_TEXT, strlen(HISTORY_TEXT), &wrong, &passed);
	tap_is_int((long long)wrong, 0, "nor in the frame");
	tap_ok(passed <= 8, "where nearly all are seen (%zu bits say nothing)", passed);
}

/* --- made-up objects -------------------------------------------------------------------- */

/* Around a content of HISTORY_TEXT; %s: its XXH3-128. */
#define GOOD "{\"seawall\":\"wal\",\"version\":1,\"name\":\"" HISTORY "\",\"system_identifier\":\"1\"," \
	"\"timeline\":2,\"segment_size\":1048576,\"size\":41,\"xxh3\":\"%s\"," \
	"\"origin\":{\"host\":\"h\",\"pgdata\":\"d\"}}"

static void
append_head(struct sw_buf *object, uint32_t magic, uint32_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	uint32_t head[2] = {htole32(magic), htole32(len)};

	sw_buf_append(object, head, sizeof(head), &err);
}

static void
append_frame(struct sw_buf *object, const char *content, size_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	uint8_t frame[4096];
	size_t n = ZSTD_compress(frame, sizeof(frame), content, len, 1);

	sw_buf_append(object, frame, n, &err);
}

/* The summary, with `from` replaced by `to`, as the skippable frame; length_lie is added to its length. */
static void
append_summary_as(struct sw_buf *object, uint32_t magic, const char *from, const char *to, int length_lie)
{
	char text[2048], xxh3_hex[2 * SW_XXH3_LEN + 1], good[1024];
	struct sw_error err = SW_ERROR_INIT;
	XXH128_canonical_t xxh3;
	const char *at;

	XXH128_canonicalFromHash(&xxh3, XXH3_128bits(HISTORY_TEXT, strlen(HISTORY_TEXT)));
	snprintf(good, sizeof(good), GOOD, sw_hex(xxh3.digest, sizeof(xxh3.digest), xxh3_hex));
	at = from == NULL ? NULL : strstr(good, from);
	if (at == NULL)
		snprintf(text, sizeof(text), "%s", good);
	else
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	append_head(object, magic, (uint32_t)((int)strlen(text) + length_lie));
	sw_buf_append(object, text, strlen(text), &err);
}

static void
append_summary(struct sw_buf *object, const char *from, const char *to)
{
	append_summary_as(object, SW_SKIPPABLE_MAGIC, from, to, 0);
}

static void
test_summaries(void)
{
	static const struct {
		const char *from, *to, *what;
		sw_rc want;
	} cases[] = {
		{NULL, NULL, "as it should be", SW_OK},
		{"\"timeline\"", "\"later\":[1],\"timeline\"", "a key not known yet", SW_OK},
		{"\"wal\"", "\"cluster\"", "another kind", SW_CORRUPT},
		{"\"version\":1", "\"version\":2", "a newer version", SW_CONFIG},
		{HISTORY, "00000003.history", "another name", SW_CORRUPT},
		{HISTORY, "", "an empty name", SW_CORRUPT},
		{HISTORY, "../../00000002.history", "a name that climbs", SW_CORRUPT},
		{HISTORY, "0123456789012345678901234567890123456789012345678901234567890123456789", "a long name",
			SW_CORRUPT},
		{"\"size\":41", "\"size\":40", "a size too small", SW_CORRUPT},
		{"\"size\":41", "\"size\":42", "a size too large", SW_CORRUPT},
		{"\"size\":41", "\"size\":0", "size 0", SW_CORRUPT},
		{"\"size\":41", "\"size\":1073741825", "a size beyond 1 GiB", SW_CORRUPT},
		{"\"size\":41", "\"size\":-41", "a negative size", SW_CORRUPT},
		{"\"size\":41,", "", "no size", SW_CORRUPT},
		{"\"xxh3\":\"", "\"xxh3\":\"00", "an XXH3 too long", SW_CORRUPT},
		{"\"xxh3\"", "\"xxh4\"", "no XXH3", SW_CORRUPT},
		{"\"system_identifier\":\"1\"", "\"system_identifier\":1", "a number as system identifier", SW_CORRUPT},
		{"\"timeline\":2", "\"timeline\":4294967296", "a timeline beyond 32 bits", SW_CORRUPT},
		{"\"pgdata\":\"d\"", "\"pgdata\":null", "no data directory", SW_CORRUPT},
		{"\"timeline\"", "\"start_lsn\":\"0/0\",\"timeline\"", "a start without an end", SW_CORRUPT},
		{"\"timeline\"", "\"start_lsn\":\"0/2\",\"end_lsn\":\"0/1\",\"timeline\"", "an end before the start",
			SW_CORRUPT},
		{"\"timeline\"", "\"start_lsn\":\"0/0\",\"end_lsn\":\"0/100000\",\"timeline\"",
			"a range of a segment, with another size", SW_CORRUPT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF object;
		bool finished;

		sw_buf_init(&object, MB);
		append_summary(&object, cases[i].from, cases[i].to);
		append_frame(&object, HISTORY_TEXT, strlen(HISTORY_TEXT));
		tap_is(sw_rc_name(verdict(object.data, object.len, 4096, HISTORY, &finished, &err)),
			sw_rc_name(cases[i].want), "summary: %s", cases[i].what);
		tap_ok(finished == (cases[i].want == SW_OK), "only a good one is said to be whole");
	}
}

/* Who does not say which file is wanted gets a name that fits. */
static void
test_any_name(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF good, bad;
	bool finished;

	sw_buf_init(&good, MB);
	sw_buf_init(&bad, MB);
	append_summary(&good, NULL, NULL);
	append_frame(&good, HISTORY_TEXT, strlen(HISTORY_TEXT));
	tap_is(sw_rc_name(verdict(good.data, good.len, 4096, NULL, &finished, &err)), "ok", "any name is taken");
	append_summary(&bad, HISTORY, "0123456789012345678901234567890123456789012345678901234567890123");
	append_frame(&bad, HISTORY_TEXT, strlen(HISTORY_TEXT));
	tap_is(sw_rc_name(verdict(bad.data, bad.len, 4096, NULL, &finished, &err)), "corrupt",
		"but none that is longer than names are");
}

static void
test_lying_lengths(void)
{
	static const struct {
		uint32_t magic;
		int lie;
		const char *what;
	} cases[] = {
		{SW_SKIPPABLE_MAGIC, 1, "a byte more than the summary has"},
		{SW_SKIPPABLE_MAGIC, -1, "a byte less"},
		{SW_SKIPPABLE_MAGIC, 1000, "more than there is at all"},
		{SW_SKIPPABLE_MAGIC, 1 << 20, "more than a summary may have"},
		{SW_SKIPPABLE_MAGIC + 1, 0, "right, but it is another kind of frame"},
	};
	static const uint32_t lengths[] = {0, 1, SW_SUMMARY_MAX, SW_SUMMARY_MAX + 1, 0x7fffffff, 0xffffffff};
	struct sw_error err = SW_ERROR_INIT;
	bool finished;

	for (size_t i = 0; i < COUNT(cases); i++) {
		SW_AUTO_BUF object;

		sw_buf_init(&object, MB);
		append_summary_as(&object, cases[i].magic, NULL, NULL, cases[i].lie);
		append_frame(&object, HISTORY_TEXT, strlen(HISTORY_TEXT));
		tap_is(sw_rc_name(verdict(object.data, object.len, 3, HISTORY, &finished, &err)), "corrupt",
			"the first frame's length is %s", cases[i].what);
	}
	for (size_t i = 0; i < COUNT(lengths); i++) {
		SW_AUTO_BUF object;

		sw_buf_init(&object, MB);
		append_head(&object, SW_SKIPPABLE_MAGIC, lengths[i]);
		append_frame(&object, HISTORY_TEXT, strlen(HISTORY_TEXT));
		tap_is(sw_rc_name(verdict(object.data, object.len, 4096, HISTORY, &finished, &err)), "corrupt",
			"the first frame claims %u bytes", lengths[i]);
		tap_ok((strstr(err.text, "does not begin as") != NULL) == (lengths[i] > SW_SUMMARY_MAX),
			"which is seen at once if it is too many");
	}
}

static void
test_what_stands_behind(void)
{
	static const struct {
		const char *what, *first, *second, *tail;
		size_t tail_len;
		sw_rc want;
	} cases[] = {
		{"nothing", HISTORY_TEXT, NULL, "", 0, SW_OK},
		{"a byte", HISTORY_TEXT, NULL, "x", 1, SW_CORRUPT},
		{"the first bytes of a frame", HISTORY_TEXT, NULL, "\x28\xb5\x2f", 3, SW_CORRUPT},
		{"zeros", HISTORY_TEXT, NULL, "\0\0\0\0\0\0\0\0", 8, SW_CORRUPT},
		{"a second frame with more", HISTORY_TEXT, "more", "", 0, SW_CORRUPT},
		{"the same frame again", HISTORY_TEXT, HISTORY_TEXT, "", 0, SW_CORRUPT},
		{"a skippable frame that lacks bytes", HISTORY_TEXT, NULL, "\x50\x2a\x4d\x18\xff\xff\xff\xff", 8, SW_CORRUPT},
		{"a frame with less, and nothing", "1\t0/3000000", NULL, "", 0, SW_CORRUPT},
		{"no frame, and nothing", NULL, NULL, "", 0, SW_CORRUPT},
		{"no frame, but text", NULL, NULL, HISTORY_TEXT, 41, SW_CORRUPT},
		{"other content of that length", "1\t0/3000001\tno recovery target specified\n", NULL, "", 0, SW_CORRUPT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF object;
		bool finished;

		sw_buf_init(&object, MB);
		append_summary(&object, NULL, NULL);
		if (cases[i].first != NULL)
			append_frame(&object, cases[i].first, strlen(cases[i].first));
		if (cases[i].second != NULL)
			append_frame(&object, cases[i].second, strlen(cases[i].second));
		sw_buf_append(&object, cases[i].tail, cases[i].tail_len, &err);
		for (size_t step = 1; step < 10000; step += 4999)
			tap_is(sw_rc_name(verdict(object.data, object.len, step, HISTORY, &finished, &err)),
				sw_rc_name(cases[i].want), "behind the content, in pieces of %zu: %s", step, cases[i].what);
		tap_ok(finished == (cases[i].want == SW_OK), "only a good one is said to be whole");
	}
}

/* Counts, and keeps nothing. */
struct counter {
	struct sw_stage stage;
	uint64_t len;
};

static sw_rc
counter_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	(void)data;
	(void)err;
	((struct counter *)stage)->len += len;
	return SW_OK;
}

/* A frame of RLE blocks (RFC 8878, 3.1.1.2): 4 bytes give 128 KiB. */
static void
append_bomb(struct sw_buf *object, size_t blocks)
{
	struct sw_error err = SW_ERROR_INIT;

	sw_buf_append(object, "\x28\xb5\x2f\xfd\x00\x38", 6, &err);
	for (size_t i = 0; i < blocks; i++)
		sw_buf_append(object, i + 1 == blocks ? "\x03\x00\x10" : "\x02\x00\x10", 4, &err);
}

static void
test_bombs(void)
{
	static const struct {
		const char *size, *what;
		uint64_t most;
	} cases[] = {
		{"\"size\":41", "that claims 41 bytes", 41},
		{"\"size\":1073741824", "that claims 1 GiB", 1 << 30},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
		struct counter counter = {.stage = {.write = counter_write, .finish = end_finish}};
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF object;

		sw_buf_init(&object, MB);
		append_summary(&object, "\"size\":41", cases[i].size);
		append_bomb(&object, 8200);
		sw_object_reader_init(&reader, HISTORY, &counter.stage, &err);
		if (sw_stage_write(&reader.stage, object.data, object.len, &err) == SW_OK)
			sw_stage_finish(&reader.stage, &err);
		tap_is(sw_rc_name(err.rc), "corrupt",
			"%zu bytes that hold more than 1 GiB, %s", object.len, cases[i].what);
		tap_ok(counter.len <= cases[i].most && strstr(err.text, "decompresses to more than") != NULL,
			"no more than that comes out (%" PRIu64 ")", counter.len);
	}
}

static void
test_wide_window(void)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct counter counter = {.stage = {.write = counter_write, .finish = end_finish}};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF object;

	sw_buf_init(&object, MB);
	append_summary(&object, NULL, NULL);
	/* 1 GiB of window: exponent 20 */
	sw_buf_append(&object, "\x28\xb5\x2f\xfd\x00\xa0\x4b\x01\x00x", 10, &err);
	sw_object_reader_init(&reader, HISTORY, &counter.stage, &err);
	if (sw_stage_write(&reader.stage, object.data, object.len, &err) == SW_OK)
		sw_stage_finish(&reader.stage, &err);
	tap_ok(err.rc == SW_CORRUPT && strstr(err.text, "memory") != NULL,
		"a frame that wants 1 GiB of memory does not get it: %s", err.text);
}

/* --- segments of several frames -------------------------------------------------------------- */

static struct sw_wal_summary
long_summary(uint32_t segment_size)
{
	struct sw_wal_summary summary = segment_summary();

	summary.segment_size = segment_size;
	summary.start = 0;
	summary.end = segment_size;
	return summary;
}

/* The object of `segment` (of 4 MiB), and where its frames begin and end. */
static void
encode_four(const uint8_t *segment, struct sw_buf *object, size_t at[5])
{
	struct sw_wal_summary summary = long_summary(4 * MB);
	struct sw_error err = SW_ERROR_INIT;

	encode(segment, 4 * MB, &summary, 8 * MB, object, &err);
	at[0] = 8 + (size_t)object->data[4] + 256 * (size_t)object->data[5];
	for (size_t i = 0; i < 4; i++)
		at[i + 1] = at[i] + ZSTD_findFrameCompressedSize(object->data + at[i], object->len - at[i]);
	tap_is_int((long long)at[4], (long long)object->len, "a segment of 4 MiB is four frames behind its summary");
}

static void
test_order_of_frames(void)
{
	SW_AUTO_FREE uint8_t *segment = malloc(4 * MB);
	size_t at[5], wrong = 0, whole = 0;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF object;

	for (size_t i = 0; i < 4 * MB; i++)
		segment[i] = i % 3 == 0 ? (uint8_t)(random() >> 8) : (uint8_t)(i >> 16);
	sw_buf_init(&object, 8 * MB);
	encode_four(segment, &object, at);
	for (unsigned order = 0; order < 256; order++) {
		SW_AUTO_BUF mixed;
		bool done, right = order == 0xe4; /* 0, 1, 2, 3 from the lowest bits on */
		sw_rc rc;

		sw_buf_init(&mixed, 8 * MB);
		sw_buf_append(&mixed, object.data, at[0], &err);
		for (unsigned i = 0; i < 4; i++) {
			unsigned f = order >> 2 * i & 3;

			sw_buf_append(&mixed, object.data + at[f], at[f + 1] - at[f], &err);
		}
		rc = verdict(mixed.data, mixed.len, 65536, SEGMENT, &done, &err);
		whole += done;
		wrong += rc != (right ? SW_OK : SW_CORRUPT) || done != right;
	}
	tap_ok(wrong == 0 && whole == 1, "of all 256 ways to put four frames together one is the segment (%zu, %zu)", wrong, whole);
}

/* Sizes of segments, and what levels make of them; the content is a hole with something in every frame. */
static void
test_sizes(void)
{
	static const struct {
		uint32_t size;
		int level;
	} cases[] = {{MB, 1}, {2 * MB, 1}, {4 * MB, 19}, {8 * MB, 3}, {16 * MB, 1}, {64 * MB, 3}, {1024 * MB, 1}};

	for (size_t i = 0; i < COUNT(cases) - (getenv("SEAWALL_TEST_LONG") == NULL); i++) {
		__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
		__attribute__((cleanup(sw_stage_xxh3_release))) struct sw_stage_xxh3 end = {0};
		struct sw_wal_summary summary = long_summary(cases[i].size);
		SW_AUTO_FD fd = file_of("", 0);
		struct sw_object object;
		struct sw_store_body body;
		struct sw_error err = SW_ERROR_INIT;
		uint8_t piece[70001];
		sw_rc rc;

		for (uint32_t at = 1000; at < cases[i].size; at += MB)
			(void)!pwrite(fd, &at, sizeof(at), at);
		(void)!ftruncate(fd, cases[i].size);
		rc = sw_object_encode(fd, "pg_wal/x", &summary, cases[i].level, MB, &object, &err);
		body = sw_object_body(&object);
		sw_stage_xxh3_init(&end, NULL, &err);
		if (rc == SW_OK)
			rc = sw_object_reader_init_threads(&reader, SEGMENT, (unsigned)i % 3, &end.stage, &err);
		for (uint64_t at = 0; rc == SW_OK && at < body.len; at += sizeof(piece)) {
			size_t n = body.len - at < sizeof(piece) ? (size_t)(body.len - at) : sizeof(piece);

			rc = sw_store_body_read(&body, at, piece, n, &err);
			if (rc == SW_OK)
				rc = sw_stage_write(&reader.stage, piece, n, &err);
		}
		if (rc == SW_OK)
			rc = sw_stage_finish(&reader.stage, &err);
		tap_ok(rc == SW_OK && end.len == cases[i].size && memcmp(end.hash, summary.xxh3, SW_XXH3_LEN) == 0,
			"a segment of %u MiB at level %d, there and back (%s)", cases[i].size / MB, cases[i].level, err.text);
		sw_object_release(&object);
	}
}

/* --- what the WAL says --------------------------------------------------------------------- */

/* A store whose every name is one object; counts requests. */
struct one_object {
	struct sw_store store;
	const struct sw_buf *object;
	unsigned requests;
};

static sw_rc
one_object_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len, struct sw_stage *sink, struct sw_error *err)
{
	struct one_object *s = (struct one_object *)store;
	uint64_t left = s->object->len - offset, most = len & ~SW_STORE_AT_MOST;
	sw_rc rc;

	(void)name;
	s->requests++;
	if (offset > s->object->len || (most > left && !(len & SW_STORE_AT_MOST)))
		return sw_fail(err, SW_CORRUPT, "a range outside the object");
	rc = sw_stage_write(sink, s->object->data + offset, most < left ? most : left, err);
	return rc == SW_OK ? sw_stage_finish(sink, err) : rc;
}

static sw_rc
read_summary(const struct sw_buf *object, const char *file, struct sw_wal_summary *ret_summary, unsigned *ret_requests,
	struct sw_error *err)
{
	static const struct sw_store_ops ops = {.get = one_object_get};
	static char url[] = "file:///one";
	struct one_object store = {.store = {.ops = &ops, .url = url}, .object = object};
	struct sw_repository repo;
	struct sw_wal_name name;
	sw_rc rc;

	sw_repository_assume(&store.store, "main", 1, MB, &repo);
	sw_wal_name_parse(file, MB, &name);
	rc = sw_object_read_summary(&repo, &name, ret_summary, err);
	*ret_requests = store.requests;
	return rc;
}

/* The object of a segment in which `count` files are made, two by each transaction. */
static void
object_of_wal(unsigned count, size_t spoil, struct sw_wal_summary *summary, struct sw_buf *ret_object)
{
	struct sw_wal_digester_params params = {
		.start = (sw_lsn)3 * MB, .segment_size = MB, .timeline = 1, .system_identifier = MAKER_SYSTEM_ID, .block_size = 8192,
		.next_xid = 500,
	};
	struct sw_object_source source = {.path = "pg_wal/x", .level = 1, .memory_max = (size_t)4 * MB, .wal = &params};
	uint8_t content[2 + 16] = {255, 16};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store_body body;
	struct sw_object object;
	struct wal_maker wal;

	maker_init(&wal, 8192, MB, 1, (sw_lsn)3 * MB);
	for (unsigned i = 0; i < count; i++) {
		uint32_t filenode = 20000 + i;

		memcpy(content + 10, &filenode, 4);
		maker_add(&wal, 24 + sizeof(content), 1000 + i / 2, SW_RMGR_SMGR, 0x10, content);
	}
	maker_switch(&wal);
	wal.bytes[spoil] ^= spoil != 0;
	*summary = segment_summary();
	source.fd = file_of(wal.bytes, MB);
	tap_is(sw_rc_name(sw_object_make(&source, summary, &object, &err)), "ok", "a segment that is read on the way (%s)", err.text);
	body = sw_object_body(&object);
	sw_buf_reserve(ret_object, body.len, &err);
	sw_store_body_read(&body, 0, ret_object->data, body.len, &err);
	ret_object->len = body.len;
	sw_object_release(&object);
	maker_release(&wal);
	close(source.fd);
}

static void
test_digests(void)
{
	static const struct {
		unsigned count;
		size_t spoil;
		enum sw_wal_verdict verdict;
		size_t least_acts, most_acts;
		unsigned requests;
	} cases[] = {
		{4, 0, SW_WAL_COMPLETE, 2, 2, 1}, {1000, 0, SW_WAL_COMPLETE, 500, 500, 2}, {2000, 0, SW_WAL_COMPLETE, 10, 999, 1},
		{4, 100, SW_WAL_BROKEN, 1, 1, 1},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_wal_summary made, read = {0}, reader_summary;
		struct sw_error err = SW_ERROR_INIT;
		struct end end;
		SW_AUTO_BUF object;
		unsigned requests;

		sw_buf_init(&object, (size_t)4 * MB);
		object_of_wal(cases[i].count, cases[i].spoil, &made, &object);
		tap_ok(made.digest != NULL && made.digest->verdict == cases[i].verdict, "its verdict is %s",
			sw_wal_verdict_name(cases[i].verdict));
		tap_is(sw_rc_name(read_summary(&object, SEGMENT, &read, &requests, &err)), "ok", "the summary is read (%s)", err.text);
		tap_is_int(requests, cases[i].requests, "by as few requests");
		tap_ok(read.digest != NULL && read.digest->verdict == cases[i].verdict && read.digest->act_count >= cases[i].least_acts &&
			read.digest->act_count <= cases[i].most_acts && read.digest->truncated == (read.digest->act_count < cases[i].count / 2 &&
			cases[i].verdict == SW_WAL_COMPLETE), "it says what happened, as far as there is room (%zu)",
			read.digest != NULL ? read.digest->act_count : 0);
		end_init(&end, (size_t)2 * MB);
		tap_is(sw_rc_name(read_object(object.data, object.len, 4096, SEGMENT, &end, &reader_summary, &err)), "ok",
			"and the content is read (%s)", err.text);
		tap_ok(end.finished && reader_summary.digest == NULL, "without it");
		sw_buf_release(&end.content);
		sw_wal_summary_release(&made);
		sw_wal_summary_release(&read);
	}
}

static void
test_summaries_alone(void)
{
	static const struct {
		const char *from, *to, *file, *what;
		sw_rc want;
		size_t cut;
	} cases[] = {
		{NULL, NULL, HISTORY, "an older object, without what its WAL says", SW_OK, 0},
		{"\"timeline\"", "\"wal\":7,\"timeline\"", HISTORY, "what is no digest", SW_CORRUPT, 0},
		{"\"timeline\"", "\"wal\":{\"verdict\":\"complete\",\"start\":\"0/300000\",\"valid_to\":\"0/400000\"},\"timeline\"", HISTORY,
			"what other WAL says", SW_CORRUPT, 0},
		{NULL, NULL, "00000003.history", "another name", SW_CORRUPT, 0},
		{"\"version\":1", "\"version\":2", HISTORY, "a newer format", SW_CONFIG, 0},
		{NULL, NULL, HISTORY, "a summary that is cut off", SW_CORRUPT, 200},
		{NULL, NULL, HISTORY, "no more than a header", SW_CORRUPT, 5},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_wal_summary read = {.size = 77};
		struct sw_error err = SW_ERROR_INIT;
		bool finished;
		unsigned requests;
		SW_AUTO_BUF object;
		sw_rc rc;

		sw_buf_init(&object, MB);
		append_summary(&object, cases[i].from, cases[i].to);
		append_frame(&object, HISTORY_TEXT, strlen(HISTORY_TEXT));
		if (cases[i].cut == 0 && cases[i].want != SW_CONFIG)
			tap_is(sw_rc_name(verdict(object.data, object.len, 100, HISTORY, &finished, &err)), "ok", "%s: can be fetched", cases[i].what);
		object.len = cases[i].cut != 0 ? cases[i].cut : object.len;
		rc = read_summary(&object, cases[i].file, &read, &requests, &err);
		tap_is(sw_rc_name(rc), sw_rc_name(cases[i].want), "%s (%s)", cases[i].what, err.text);
		tap_ok(rc == SW_OK ? read.digest == NULL && read.size == strlen(HISTORY_TEXT) : read.size == 77 && requests == 1,
			"and nothing else is given");
	}
}

int
main(void)
{
	test_round_trips();
	test_wrong_lengths();
	test_origin_that_is_not_utf8();
	test_unreadable_file();
	test_cut_everywhere();
	test_cut_segment();
	test_flips();
	test_summaries();
	test_digests();
	test_summaries_alone();
	test_any_name();
	test_lying_lengths();
	test_what_stands_behind();
	test_bombs();
	test_wide_window();
	test_order_of_frames();
	test_sizes();
	return tap_done();
}
