#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "backup/pack.h"
#include "base/json.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB (1024 * 1024)
#define LABEL "20261120T113831Z"

static char dir[4096];

/* --- tools ---------------------------------------------------------------------------- */

struct packs {
	struct sw_pack_info infos[64];
	size_t count;
	sw_rc answer;
};

static sw_rc
note(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct packs *packs = ctx;

	if (packs->answer != SW_OK)
		return sw_fail(err, packs->answer, "no more of them");
	if (packs->count < COUNT(packs->infos))
		packs->infos[packs->count++] = *info;
	return SW_OK;
}

struct bench {
	struct sw_repository repo;
	struct sw_store *store;
	struct packs packs;
	atomic_uint numbers;
	struct sw_pack_writer writer;
	struct sw_error err;
};

static void
open_bench(struct bench *b, const char *name, size_t max)
{
	char root[sizeof(dir) + 32];
	struct sw_pack_writer_params params = {
		.repo = &b->repo,
		.label = LABEL,
		.suffix = "pack",
		.numbers = &b->numbers,
		.max = max,
		.level = 1,
		.done = note,
		.ctx = &b->packs,
	};

	*b = (struct bench){0};
	snprintf(root, sizeof(root), "%s/%s", dir, name);
	if (sw_posix_open(root, &b->store, &b->err) != SW_OK || sw_pack_writer_init(&b->writer, &params, &b->err) != SW_OK)
		exit(2);
	b->repo.store = b->store;
	strcpy(b->repo.prefix, "main/1/");
}

static void
close_bench(struct bench *b)
{
	sw_pack_writer_release(&b->writer);
	sw_store_free(b->store);
}

static sw_rc
add(struct bench *b, const void *data, size_t len, const char *path, struct sw_frame_ref *ret_frame)
{
	return sw_pack_writer_add(&b->writer, data, len, path, 0, (uint32_t)((len + 8191) / 8192), ret_frame, &b->err);
}

static void
get_pack(struct bench *b, size_t i, struct sw_buf *buf)
{
	char name[SW_STORE_NAME_MAX];

	sw_buf_init(buf, 64 * MB);
	sw_repository_name(&b->repo, name, "pack/%s", b->packs.infos[i].name);
	if (sw_store_get_buf(b->store, name, 0, 0, buf, &b->err) != SW_OK)
		tap_note("%s", b->err.text);
}

/* The skippable frame behind the frames, found as a salvager would: by going from frame to frame. */
static json_t *
directory_of(const struct sw_buf *pack, size_t *ret_frames)
{
	const uint8_t *p = pack->data, *end = p + pack->len;
	uint32_t header[2];
	size_t frames = 0;

	while (end - p >= 8) {
		size_t len = ZSTD_findFrameCompressedSize(p, (size_t)(end - p));

		memcpy(header, p, sizeof(header));
		if (ZSTD_isError(len))
			return NULL;
		if (le32toh(header[0]) == SW_PACK_MAGIC && len == (size_t)(end - p)) {
			*ret_frames = frames;
			return json_loadb((const char *)p + 8, le32toh(header[1]), 0, NULL);
		}
		frames++;
		p += len;
	}
	return NULL;
}

/* --- tests ------------------------------------------------------------------------------- */

static void
check_frame(const struct sw_buf *pack, const struct sw_frame_ref *ref, json_t *line, const void *content, size_t len,
	const char *path)
{
	uint8_t sha256[SW_SHA256_LEN], *back = malloc(len + 1);
	size_t n = ZSTD_decompress(back, len, pack->data + ref->offset, ref->stored_len);

	sw_sha256(pack->data + ref->offset, ref->stored_len, sha256);
	tap_ok(n == len && memcmp(back, content, len) == 0, "frame of %s: its bytes give the content", path);
	tap_ok(memcmp(sha256, ref->sha256, sizeof(sha256)) == 0, "their SHA-256 is the one told");
	tap_ok(ZSTD_getFrameContentSize(pack->data + ref->offset, ref->stored_len) == len &&
		(pack->data[ref->offset + 4] & 4) != 0, "the frame tells its length, and has a checksum");
	tap_ok(json_integer_value(json_array_get(line, 0)) == (json_int_t)ref->offset &&
		json_integer_value(json_array_get(line, 1)) == (json_int_t)ref->stored_len &&
		json_integer_value(json_array_get(line, 4)) == (json_int_t)ref->page_count, "the directory says the same");
	tap_is(json_string_value(json_array_get(line, 2)), path, "and which file it is of");
	free(back);
}

static void
test_pack(void)
{
	static const char *const paths[] = {"base/5/16384", "a \"quoted\"\nname", "\xc3\xa4/b"};
	uint8_t content[3][20000], sha256[SW_SHA256_LEN];
	struct sw_frame_ref refs[3];
	struct bench b;
	SW_AUTO_BUF pack;
	SW_AUTO_JSON *directory = NULL;
	size_t frames = 0;

	open_bench(&b, "pack", 4 * MB);
	tap_ok(sw_pack_writer_finish(&b.writer, &b.err) == SW_OK && b.packs.count == 0, "nothing added, nothing put");
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < sizeof(content[i]); k++)
			content[i][k] = i == 1 ? (uint8_t)random() : (uint8_t)(k >> 8);
		tap_is(sw_rc_name(add(&b, content[i], sizeof(content[i]), paths[i], &refs[i])), "ok", "frame %zu is added", i);
		tap_is(b.writer.name, LABEL "/000001.pack", "to the first pack");
	}
	tap_ok(b.packs.count == 0, "which is not put before its end");
	tap_is(sw_rc_name(sw_pack_writer_finish(&b.writer, &b.err)), "ok", "it is put");
	tap_ok(sw_pack_writer_finish(&b.writer, &b.err) == SW_OK && b.packs.count == 1, "once");
	get_pack(&b, 0, &pack);
	sw_sha256(pack.data, pack.len, sha256);
	tap_is(b.packs.infos[0].name, LABEL "/000001.pack", "and told");
	tap_ok(b.packs.infos[0].size == pack.len && memcmp(b.packs.infos[0].sha256, sha256, sizeof(sha256)) == 0,
		"with its size and SHA-256");
	directory = directory_of(&pack, &frames);
	tap_is_int((long long)frames, 3, "it is three frames and a directory");
	tap_is(json_string_value(json_object_get(directory, "name")), LABEL "/000001.pack", "which has its name");
	for (size_t i = 0; i < 3; i++)
		check_frame(&pack, &refs[i], json_array_get(json_object_get(directory, "frames"), i), content[i],
			sizeof(content[i]), paths[i]);
	tap_ok(add(&b, "x", 1, "late", &refs[0]) == SW_OK && refs[0].offset == 0 &&
		strcmp(b.writer.name, LABEL "/000002.pack") == 0, "what comes later begins the next pack");
	close_bench(&b);
}

/* zstd -d passes over what is not content. */
static void
test_plain_zstd(void)
{
	struct sw_frame_ref ref;
	struct bench b;
	SW_AUTO_BUF pack;
	char back[16] = "";

	open_bench(&b, "plain", 4 * MB);
	add(&b, "one ", 4, "a", &ref);
	add(&b, "two", 3, "b", &ref);
	sw_pack_writer_finish(&b.writer, &b.err);
	get_pack(&b, 0, &pack);
	tap_is_int((long long)ZSTD_decompress(back, sizeof(back) - 1, pack.data, pack.len), 7,
		"a pack is a zstd file as well");
	tap_is(back, "one two", "that holds the contents");
	close_bench(&b);
}

/* Nothing compresses, paths are as long and as awkward as can be, and packs are small. */
static void
test_limits(void)
{
	static const struct {
		const char *what, *unit;
		size_t path_len, len;
	} cases[] = {
		{"short paths", "a", 10, 300000},
		{"long paths", "a", 4000, 16385},
		{"paths of control characters", "\x01", 4000, 16385},
		{"paths of control characters, and tiny frames", "\x01", 4000, 1},
		{"paths of quotes", "\"", 430, 16385},
		{"long paths of two-byte letters", "\xc3\xa4", 1001, 16385},
		{"long paths of four-byte letters", "\xf0\x9f\x90\x98", 999, 16385},
		{"paths that are not UTF-8", "\xff", 500, 16385},
	};
	SW_AUTO_FREE uint8_t *noise = malloc(MB);

	for (size_t i = 0; i < MB; i++)
		noise[i] = (uint8_t)(random() >> 4);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char path[4100] = "";
		struct bench b;
		bool sound = true;
		char name[16];
		sw_rc rc = SW_OK;

		for (size_t n = 0; n + strlen(cases[i].unit) <= cases[i].path_len; n += strlen(cases[i].unit))
			strcpy(path + n, cases[i].unit);
		strcat(path, "x"); /* so that the limit falls within a letter */
		snprintf(name, sizeof(name), "limits%zu", i);
		open_bench(&b, name, MB);
		for (size_t n = 0; rc == SW_OK && n < 1000 && b.packs.count < 4; n++) {
			struct sw_frame_ref ref = {0};

			rc = add(&b, noise + n, cases[i].len, path, &ref);
			sound &= ref.offset + ref.stored_len <= MB;
		}
		if (rc == SW_OK)
			rc = sw_pack_writer_finish(&b.writer, &b.err);
		tap_is(sw_rc_name(rc), "ok", "%s: packs are filled", cases[i].what);
		for (size_t k = 0; k < b.packs.count; k++) {
			SW_AUTO_JSON *directory = NULL;
			const char *told;
			SW_AUTO_BUF pack;
			size_t frames = 0;

			get_pack(&b, k, &pack);
			directory = directory_of(&pack, &frames);
			told = json_string_value(json_array_get(json_array_get(json_object_get(directory, "frames"), 0), 2));
			sound &= told != NULL && (!sw_json_text_ok(path) || (strlen(told) > 425 || strcmp(told, path) == 0)) &&
				(!sw_json_text_ok(path) || strcmp(path + strlen(path) - strlen(told), told) == 0);
			sound &= pack.len <= MB && frames > 0 && frames == json_array_size(json_object_get(directory, "frames"));
		}
		tap_ok(sound, "none of the %zu beyond its size, each with its directory, which has the ends of the paths", b.packs.count);
		close_bench(&b);
	}
}

static void
test_frame_count(void)
{
	struct sw_frame_ref ref;
	struct bench b;
	SW_AUTO_JSON *directory = NULL;
	SW_AUTO_BUF pack;
	size_t frames = 0;

	open_bench(&b, "count", 32 * MB);
	for (int i = 0; i < SW_PACK_FRAMES_MAX + 1; i++)
		if (add(&b, "x", 1, "a", &ref) != SW_OK)
			tap_note("%s", b.err.text);
	tap_ok(b.packs.count == 1 && strcmp(b.writer.name, LABEL "/000002.pack") == 0 && ref.offset == 0,
		"a pack has no more than %d frames", SW_PACK_FRAMES_MAX);
	get_pack(&b, 0, &pack);
	directory = directory_of(&pack, &frames);
	tap_is_int((long long)frames, SW_PACK_FRAMES_MAX, "and as many");
	close_bench(&b);
}

static void
test_failures(void)
{
	SW_AUTO_FREE uint8_t *data = calloc(1, 2 * MB);
	struct sw_store_body body = sw_store_body_mem("other", 5);
	struct sw_frame_ref ref = {.offset = 77};
	struct bench b;

	open_bench(&b, "failures", MB);
	tap_is(sw_rc_name(add(&b, data, 2 * MB, "a", &ref)), "bug", "a frame that no pack could hold is refused");
	tap_ok(ref.offset == 77 && b.packs.count == 0, "without a trace");
	close_bench(&b);

	open_bench(&b, "taken", MB);
	sw_store_put(b.store, "main/1/pack/" LABEL "/000001.pack", &body, &b.err);
	add(&b, data, 1000, "a", &ref);
	tap_is(sw_rc_name(sw_pack_writer_finish(&b.writer, &b.err)), "conflict", "a pack is never put over another");
	tap_ok(strstr(b.err.text, LABEL "/000001.pack") != NULL && b.packs.count == 0, "it is named, and not told as put");
	close_bench(&b);

	open_bench(&b, "answer", MB);
	b.packs.answer = SW_SYSTEM;
	add(&b, data, 1000, "a", &ref);
	tap_is(sw_rc_name(sw_pack_writer_finish(&b.writer, &b.err)), "system", "who is told may fail it");
	close_bench(&b);
}

static void
test_names(void)
{
	static const struct {
		const char *name;
		bool ok;
	} cases[] = {
		{"a/000001.pack", true},
		{"A-z_0/000001.map", true},
		{LABEL "/1000000.pack", true},
		{"", false},
		{"/", false},
		{"/000001.pack", false},
		{"a", false},
		{"a/", false},
		{"a/.pack", false},
		{"a/00001.pack", false},
		{"a/00000x.pack", false},
		{"a/000001", false},
		{"a/000001.pac", false},
		{"a/000001.pack ", false},
		{"a/000001.packs", false},
		{"a/b/000001.pack", false},
		{"a//000001.pack", false},
		{"../000001.pack", false},
		{"./000001.pack", false},
		{"a b/000001.pack", false},
		{"\xc3\xa4/000001.pack", false},
		{"a/../000001.pack", false},
		{"0123456789012345678901234567890123456789012345678901/000001.pack", false},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		tap_ok(sw_pack_name_ok(cases[i].name) == cases[i].ok, "\"%s\" is %sa pack's name", cases[i].name,
			cases[i].ok ? "" : "not ");
}

int
main(void)
{
	scratch_make(dir);
	test_pack();
	test_plain_zstd();
	test_limits();
	test_frame_count();
	test_failures();
	test_names();
	scratch_remove(dir);
	return tap_done();
}
