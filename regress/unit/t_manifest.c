#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "backup/manifest.h"
#include "base/json.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB (1024 * 1024)
#define LABEL "20261120T113831Z"
#define PLACE "main/1/backup/" LABEL "/"
#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH "000102030405060708090a0b0c0d0e0f"

static char dir[4096];
static struct sw_repository repo;

/* --- what a reader was told ---------------------------------------------------------------- */

struct told {
	struct sw_manifest_header header;
	unsigned headers, entries, packs, restarts;
	uint8_t sha256[SW_SHA256_LEN]; /* of everything that was told */
	struct sw_stage_digest digest;
	sw_rc answer; /* of the entry callback */
};

static void
add_to_digest(struct told *told, const void *data, size_t len)
{
	struct sw_error err = SW_ERROR_INIT;

	sw_stage_write(&told->digest.stage, data, len, &err);
}

static sw_rc
on_header(void *ctx, const struct sw_manifest_header *header, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->header = *header;
	told->headers++;
	return SW_OK;
}

static sw_rc
on_entry(void *ctx, const struct sw_entry *entry, struct sw_error *err)
{
	struct told *told = ctx;

	told->entries++;
	add_to_digest(told, &entry->type, sizeof(entry->type));
	add_to_digest(told, entry->path, strlen(entry->path) + 1);
	if (entry->target != NULL)
		add_to_digest(told, entry->target, strlen(entry->target) + 1);
	add_to_digest(told, &entry->mode, sizeof(entry->mode));
	add_to_digest(told, &entry->mtime_us, sizeof(entry->mtime_us));
	add_to_digest(told, &entry->size, sizeof(entry->size));
	if (entry->frame != NULL) {
		add_to_digest(told, entry->frame, entry->frame_len);
		add_to_digest(told, &entry->hash, sizeof(entry->hash));
	}
	for (size_t i = 0; i < entry->chunk_count; i++) {
		const struct sw_chunk_ref *c = &entry->chunks[i];

		add_to_digest(told, c->pack, strlen(c->pack) + 1);
		add_to_digest(told, &c->offset, sizeof(c->offset));
		add_to_digest(told, &c->stored_len, sizeof(c->stored_len));
		add_to_digest(told, c->sha256, sizeof(c->sha256));
	}
	return told->answer == SW_OK ? SW_OK : sw_fail(err, told->answer, "the reader's own words");
}

static sw_rc
on_pack(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->packs++;
	add_to_digest(told, info->name, strlen(info->name) + 1);
	add_to_digest(told, &info->size, sizeof(info->size));
	add_to_digest(told, info->sha256, sizeof(info->sha256));
	return SW_OK;
}

static void
begin(struct told *told)
{
	struct sw_error err = SW_ERROR_INIT;

	told->headers = told->entries = told->packs = 0;
	sw_stage_digest_release(&told->digest);
	sw_stage_digest_init(&told->digest, NULL, &err);
}

static void
on_restart(void *ctx)
{
	struct told *told = ctx;

	told->restarts++;
	begin(told);
}

static sw_rc
read_manifest(struct told *told, struct sw_error *err)
{
	struct sw_manifest_reader reader = {
		.header = on_header,
		.entry = on_entry,
		.pack = on_pack,
		.restart = on_restart,
		.ctx = told,
	};
	struct sw_error ignored = SW_ERROR_INIT;
	sw_rc rc;

	told->restarts = 0;
	begin(told);
	rc = sw_manifest_read(&repo, LABEL, &reader, err);
	sw_stage_finish(&told->digest.stage, &ignored);
	memcpy(told->sha256, told->digest.sha256, sizeof(told->sha256));
	sw_stage_digest_release(&told->digest);
	return rc;
}

/* --- tools ------------------------------------------------------------------------------------ */

static void
put_copy(const char *copy, const struct sw_buf *buf)
{
	char path[256];

	snprintf(path, sizeof(path), PLACE "%s", copy);
	scratch_file(dir, path, buf->data, buf->len);
}

static void
put_both(const struct sw_buf *buf)
{
	put_copy("manifest.zst", buf);
	put_copy("manifest.copy.zst", buf);
}

static void
append_frame(struct sw_buf *buf, const char *text, size_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	size_t room = ZSTD_compressBound(len);
	SW_AUTO_FREE uint8_t *frame = malloc(room);
	size_t n = ZSTD_compress(frame, room, text, len, 1);

	if (sw_buf_append(buf, frame, n, &err) != SW_OK)
		exit(2);
}

/* A manifest of text; its length. */
static size_t
put_text(const char *header, const char *lines)
{
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 64 * MB);
	append_frame(&buf, header, strlen(header));
	append_frame(&buf, lines, strlen(lines));
	put_both(&buf);
	return buf.len;
}

#define HEADER_START "{\"seawall\":\"manifest\",\"version\":1,\"label\":\"" LABEL "\",\"cluster\":\"main\"," \
	"\"system_identifier\":\"1\",\"registration\":\"" HASH "\",\"pg_version\":150020,\"pg_major\":15," \
	"\"catalog_version\":202209061,\"block_size\":8192,\"segment_size\":16777216,\"blocks_per_file\":131072," \
	"\"checksums\":true,\"checksums_verified\":true,\"from_standby\":false,\"timeline\":1,\"start_lsn\":\"0/A000028\"," \
	"\"stop_lsn\":\"0/A000100\",\"started\":\"2026-11-20T11:38:31.000000Z\",\"finished\":\"2026-11-20T11:38:32.000000Z\"," \
	"\"origin\":{\"host\":\"h\",\"pgdata\":\"/d\"},\"size\":3,\"stored\":1000,"
#define HEADER_END "\"damaged_pages\":0,\"hash\":\"xxh3-128\",\"enc\":null,\"key_id\":null,\"signature\":null," \
	"\"annotations\":{},\"class\":\"full\"}\n"
#define HEADER(entries, packs) HEADER_START "\"entries\":" #entries ",\"packs\":" #packs "," HEADER_END

#define WHEN "\"mtime\":\"2026-11-20T11:38:31.000000Z\""
#define DIRECTORY(path) "{\"path\":\"" path "\",\"type\":\"directory\",\"mode\":\"0700\"," WHEN "}\n"
#define PACK(name) "{\"pack\":\"" name "\",\"size\":1000,\"sha256\":\"" SHA "\"}\n"

static struct sw_manifest_header
some_header(void)
{
	return (struct sw_manifest_header){
		.label = LABEL,
		.cluster = "main",
		.system_identifier = UINT64_C(17710216540988632115),
		.registration = HASH,
		.pg_version = 150020,
		.major = 15,
		.catalog_version = 202209061,
		.block_size = 8192,
		.segment_size = 16 * MB,
		.blocks_per_file = 131072,
		.checksums = true,
		.from_standby = true,
		.timeline = 7,
		.start = UINT64_C(0x7fffffff0000028),
		.stop = UINT64_C(0x7fffffff0000100),
		.started_us = INT64_C(1763640000123456),
		.finished_us = INT64_C(1763640000123457),
		.host = "db1",
		.pgdata = "/var/lib/postgresql/15/main",
		.size = UINT64_C(1) << 50,
		.stored = 12345,
		.damaged_pages = 3,
	};
}

static uint8_t inline_frame[300];
static struct sw_chunk_ref chunk_refs[2] = {
	{LABEL "/000001.map", 0, 100, {1, 2, 3}},
	{"older/000002.map", 32 * MB - 1000, 1000, {4, 5, 6}},
};

static const struct sw_entry entries[] = {
	{.type = SW_ENTRY_OUTSIDE, .path = "/etc/postgresql/15/main/pg_hba.conf", .mode = 0640, .size = 100000,
		.frame = inline_frame, .frame_len = sizeof(inline_frame), .hash = {{9}}},
	{.type = SW_ENTRY_FILE, .path = "PG_VERSION", .mode = 0600, .mtime_us = -1, .size = 3, .frame = inline_frame,
		.frame_len = 20, .hash = {{1}}},
	{.type = SW_ENTRY_FILE, .path = "a \"quoted\"\n\xc3\xa4\x01 name", .mode = 07777,
		.mtime_us = INT64_C(1763640000123456), .size = 0, .frame = inline_frame, .frame_len = 9},
	{.type = SW_ENTRY_DIRECTORY, .path = "base", .mode = 0700},
	{.type = SW_ENTRY_FILE, .path = "base/5/16384", .mode = 0600, .size = 40 * MB, .chunks = chunk_refs,
		.chunk_count = 2},
	{.type = SW_ENTRY_FILE, .path = "base/5/16385", .mode = 0600, .size = 1, .chunks = chunk_refs, .chunk_count = 1},
	{.type = SW_ENTRY_TABLESPACE, .path = "pg_tblspc/16400", .mode = 0700, .target = "/mnt/fast"},
	{.type = SW_ENTRY_LINK, .path = "pg_wal", .mode = 0777, .target = "../wal"},
};

static const struct sw_pack_info infos[] = {
	{LABEL "/000001.map", 1000, {7}},
	{LABEL "/000001.pack", 32 * MB, {8}},
	{"older/000002.map", 32 * MB, {9}},
};

static sw_rc
write_manifest(const struct sw_manifest_header *header, const struct sw_entry *list, size_t entry_count,
	const struct sw_pack_info *packs, size_t pack_count, struct sw_buf *buf, struct sw_error *err)
{
	__attribute__((cleanup(sw_manifest_writer_release))) struct sw_manifest_writer writer = {0};
	struct sw_stage_buf end;
	sw_rc rc;

	sw_stage_buf_init(&end, buf);
	rc = sw_manifest_writer_init(&writer, header, &end.stage, err);
	for (size_t i = 0; rc == SW_OK && i < entry_count; i++)
		rc = sw_manifest_writer_entry(&writer, &list[i], err);
	for (size_t i = 0; rc == SW_OK && i < pack_count; i++)
		rc = sw_manifest_writer_pack(&writer, &packs[i], err);
	return rc == SW_OK ? sw_manifest_writer_finish(&writer, err) : rc;
}

/* The manifest of all that is above; its digest as a reader sees it. */
static void
make_whole(struct sw_buf *buf, uint8_t ret_sha256[SW_SHA256_LEN])
{
	struct sw_manifest_header header = some_header();
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};

	header.entry_count = COUNT(entries);
	header.pack_count = COUNT(infos);
	for (size_t i = 0; i < sizeof(inline_frame); i++)
		inline_frame[i] = (uint8_t)(i * 7);
	if (write_manifest(&header, entries, COUNT(entries), infos, COUNT(infos), buf, &err) != SW_OK)
		tap_ok(false, "%s", err.text);
	/* what the callbacks would tell of the entries as they are */
	begin(&told);
	for (size_t i = 0; i < COUNT(entries); i++)
		on_entry(&told, &entries[i], &err);
	for (size_t i = 0; i < COUNT(infos); i++)
		on_pack(&told, &infos[i], &err);
	sw_stage_finish(&told.digest.stage, &err);
	memcpy(ret_sha256, told.digest.sha256, SW_SHA256_LEN);
	sw_stage_digest_release(&told.digest);
}

/* --- there and back ----------------------------------------------------------------------------- */

static void
test_round_trip(void)
{
	struct sw_manifest_header header = some_header(), read;
	struct sw_error err = SW_ERROR_INIT;
	uint8_t sha256[SW_SHA256_LEN];
	struct told told = {0};
	SW_AUTO_BUF buf;
	size_t first;

	sw_buf_init(&buf, MB);
	make_whole(&buf, sha256);
	put_both(&buf);
	header.entry_count = COUNT(entries);
	header.pack_count = COUNT(infos);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "ok", "a manifest with everything is read");
	tap_ok(memcmp(&told.header, &header, sizeof(header)) == 0, "the header is what was written");
	tap_ok(told.entries == COUNT(entries) && told.packs == COUNT(infos) && told.headers == 1 && told.restarts == 0,
		"each entry and pack is told once");
	tap_ok(memcmp(told.sha256, sha256, sizeof(sha256)) == 0, "as it was written");
	memset(&read, 0, sizeof(read));
	tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, buf.len, &read, &err)), "ok", "the header alone is read");
	tap_ok(memcmp(&read, &header, sizeof(header)) == 0, "and is the same");
	first = ZSTD_findFrameCompressedSize(buf.data, buf.len);
	tap_ok(first < buf.len && ZSTD_findFrameCompressedSize(buf.data + first, buf.len - first) == buf.len - first,
		"the manifest is two frames");
}

static void
test_header_that_is_not_utf8(void)
{
	struct sw_manifest_header header = some_header(), read;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, MB);
	memset(header.pgdata, 0xe4, sizeof(header.pgdata) - 1);
	strcpy(header.host, "m\xfcller");
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, NULL, 0, &buf, &err)), "ok",
		"a data directory whose name is not UTF-8 can be backed up");
	put_both(&buf);
	tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, buf.len, &read, &err)), "ok", "and its manifest read");
	tap_is(read.host, "m?ller", "which tells what can be told");
	/* the longest header: every character takes six bytes */
	memset(header.pgdata, 1, sizeof(header.pgdata) - 1);
	memset(header.host, 1, sizeof(header.host) - 1);
	sw_buf_reset(&buf);
	tap_ok(write_manifest(&header, NULL, 0, NULL, 0, &buf, &err) == SW_OK && (put_both(&buf), true) &&
		sw_manifest_read_header(&repo, LABEL, buf.len, &read, &err) == SW_OK &&
		memcmp(read.pgdata, header.pgdata, sizeof(read.pgdata)) == 0, "so can the most awkward name");
}

/* The longest line that a writer makes is one that a reader takes. */
static void
test_largest_entry(void)
{
	struct sw_manifest_header header = some_header();
	struct sw_chunk_ref *refs = calloc(SW_ENTRY_CHUNKS_MAX + 1, sizeof(*refs));
	struct sw_error err = SW_ERROR_INIT;
	char path[4096];
	struct sw_entry entry = {.type = SW_ENTRY_FILE, .path = path, .chunks = refs, .chunk_count = SW_ENTRY_CHUNKS_MAX};
	struct told told = {0};
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 32 * MB);
	header.entry_count = 1;
	memset(path, 1, sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 255; i < sizeof(path) - 1; i += 256)
		path[i] = '/';
	if (path[sizeof(path) - 2] == '/')
		path[sizeof(path) - 2] = '\0';
	for (size_t i = 0; i <= SW_ENTRY_CHUNKS_MAX; i++) {
		snprintf(refs[i].pack, sizeof(refs[i].pack), "%040d/0123456789012345.map", 0);
		refs[i].offset = SW_PACK_BYTES;
		refs[i].stored_len = SW_CHUNK_BYTES_MAX;
	}
	entry.size = (uint64_t)SW_ENTRY_CHUNKS_MAX * SW_CHUNK_PAGES * 8192;
	tap_is(sw_rc_name(write_manifest(&header, &entry, 1, NULL, 0, &buf, &err)), "ok",
		"a file of %llu GiB under the longest name is written", (unsigned long long)(entry.size >> 30));
	put_both(&buf);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "ok", "and read");
	entry.chunk_count++;
	tap_is(sw_rc_name(write_manifest(&header, &entry, 1, NULL, 0, &buf, &err)), "bug", "a larger one is refused");
	free(refs);
}

/* --- what a writer refuses ------------------------------------------------------------------------ */

static void
test_writer_refuses(void)
{
	static const char long_part[257] = {[0 ... 255] = 'a'};
	const struct {
		const char *what;
		struct sw_entry entry;
	} cases[] = {
		{"a path that climbs", {.type = SW_ENTRY_DIRECTORY, .path = "../x"}},
		{"an absolute path", {.type = SW_ENTRY_DIRECTORY, .path = "/x"}},
		{"an empty path", {.type = SW_ENTRY_DIRECTORY, .path = ""}},
		{"two slashes", {.type = SW_ENTRY_DIRECTORY, .path = "a//b"}},
		{"a name of 256 bytes", {.type = SW_ENTRY_DIRECTORY, .path = long_part}},
		{"a path that is not UTF-8", {.type = SW_ENTRY_DIRECTORY, .path = "a\xff"}},
		{"an outside path that is relative", {.type = SW_ENTRY_OUTSIDE, .path = "x", .frame = inline_frame,
			.frame_len = 9}},
		{"an outside path with two slashes", {.type = SW_ENTRY_OUTSIDE, .path = "/etc//x", .frame = inline_frame,
			.frame_len = 9}},
		{"an outside file in chunks", {.type = SW_ENTRY_OUTSIDE, .path = "/etc/x", .size = 1, .chunks = chunk_refs,
			.chunk_count = 1}},
		{"a file too large to be inline", {.type = SW_ENTRY_FILE, .path = "x", .size = SW_INLINE_MAX + 1,
			.frame = inline_frame, .frame_len = 9}},
		{"an outside file too large", {.type = SW_ENTRY_OUTSIDE, .path = "/x", .size = SW_OUTSIDE_MAX + 1,
			.frame = inline_frame, .frame_len = 9}},
		{"a link to nothing", {.type = SW_ENTRY_LINK, .path = "x"}},
		{"a link to what is not UTF-8", {.type = SW_ENTRY_LINK, .path = "x", .target = "\xff"}},
		{"a time beyond year 9999", {.type = SW_ENTRY_DIRECTORY, .path = "x", .mtime_us = INT64_MAX}},
	};
	const struct sw_entry twice[] = {{.type = SW_ENTRY_DIRECTORY, .path = "x"}, {.type = SW_ENTRY_DIRECTORY,
		.path = "x"}}, unsorted[] = {{.type = SW_ENTRY_DIRECTORY, .path = "a/b"}, {.type = SW_ENTRY_DIRECTORY,
		.path = "a"}};
	const struct sw_pack_info bad_pack = {.name = "../000001.pack"}, packs_twice[] = {infos[0], infos[0]},
		large = {.name = "a/000001.pack", .size = SW_PACK_BYTES + 1};
	struct sw_manifest_header header = some_header();
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, MB);
	header.entry_count = 1;
	for (size_t i = 0; i < COUNT(cases); i++)
		tap_is(sw_rc_name(write_manifest(&header, &cases[i].entry, 1, NULL, 0, &buf, &err)), "bug", "%s is not written",
			cases[i].what);
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, NULL, 0, &buf, &err)), "bug", "nor too few entries");
	header.entry_count = 2;
	tap_is(sw_rc_name(write_manifest(&header, twice, 2, NULL, 0, &buf, &err)), "bug", "nor a path twice");
	tap_is(sw_rc_name(write_manifest(&header, unsorted, 2, NULL, 0, &buf, &err)), "bug", "nor paths out of order");
	header.entry_count = 0;
	header.pack_count = 1;
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, &bad_pack, 1, &buf, &err)), "bug", "nor a strange pack");
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, &large, 1, &buf, &err)), "bug", "nor a large one");
	header.pack_count = 2;
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, packs_twice, 2, &buf, &err)), "bug", "nor a pack twice");
	tap_is(sw_rc_name(write_manifest(&header, NULL, 0, infos, 1, &buf, &err)), "bug", "nor too few");
}

/* --- hostile text --------------------------------------------------------------------------------- */

static void
test_headers(void)
{
	static const struct {
		const char *from, *to, *what;
		sw_rc want;
	} cases[] = {
		{"\"class\"", "\"later\":1,\"class\"", "a key not known yet", SW_OK},
		{"\"manifest\"", "\"cluster\"", "another kind", SW_CORRUPT},
		{"\"version\":1", "\"version\":2", "a newer version", SW_CONFIG},
		{"\"enc\":null", "\"enc\":\"aes-256-gcm\"", "an encryption", SW_CONFIG},
		{"\"enc\":null,", "", "no word on encryption", SW_CORRUPT},
		{"\"xxh3-128\"", "\"blake3\"", "another hash", SW_CONFIG},
		{"\"hash\"", "\"hush\"", "no hash", SW_CORRUPT},
		{"\"" LABEL "\"", "\"20261120T113832Z\"", "another label", SW_CORRUPT},
		{"\"" LABEL "\"", "\"01234567890123456789012345678901234567890\"", "a long label", SW_CORRUPT},
		{"\"" LABEL "\"", "\"../x\"", "a label that climbs", SW_CORRUPT},
		{"\"cluster\":\"main\"", "\"cluster\":1", "a number as cluster", SW_CORRUPT},
		{"\"system_identifier\":\"1\"", "\"system_identifier\":\"1x\"", "a malformed system identifier", SW_CORRUPT},
		{"\"block_size\":8192", "\"block_size\":0", "blocks of nothing", SW_CORRUPT},
		{"\"block_size\":8192", "\"block_size\":8191", "odd blocks", SW_CORRUPT},
		{"\"block_size\":8192", "\"block_size\":65536", "large blocks", SW_CORRUPT},
		{"\"segment_size\":16777216", "\"segment_size\":1", "odd segments", SW_CORRUPT},
		{"\"timeline\":1", "\"timeline\":0", "timeline 0", SW_CORRUPT},
		{"\"timeline\":1", "\"timeline\":4294967296", "a timeline beyond 32 bits", SW_CORRUPT},
		{"\"stop_lsn\":\"0/A000100\"", "\"stop_lsn\":\"0/A000027\"", "a stop before the start", SW_CORRUPT},
		{"\"0/A000028\"", "\"A000028\"", "a malformed LSN", SW_CORRUPT},
		{"\"finished\":\"2026-11-20", "\"finished\":\"2026-11-31", "a day that is none", SW_CORRUPT},
		{"\"entries\":0", "\"entries\":-1", "a negative count", SW_CORRUPT},
		{"\"size\":3", "\"size\":3.5", "half a byte", SW_CORRUPT},
		{"\"checksums\":true", "\"checksums\":\"yes\"", "a word for true", SW_CORRUPT},
		{"\"host\":\"h\",", "", "no host", SW_CORRUPT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *good = HEADER(0, 0), *at = strstr(good, cases[i].from);
		struct sw_manifest_header header;
		struct sw_error err = SW_ERROR_INIT;
		struct told told = {0};
		size_t len;
		char *bad;

		if (at == NULL || asprintf(&bad, "%.*s%s%s", (int)(at - good), good, cases[i].to,
			at + strlen(cases[i].from)) < 0) {
			tap_ok(false, "%s: not in the text", cases[i].what);
			continue;
		}
		len = put_text(bad, "");
		free(bad);
		tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, len, &header, &err)),
			sw_rc_name(cases[i].want), "header alone: %s", cases[i].what);
		tap_is(sw_rc_name(read_manifest(&told, &err)), sw_rc_name(cases[i].want), "and the whole");
		tap_ok(cases[i].want == SW_OK || (strstr(err.text, PLACE "manifest") != NULL && err.hint[0] != '\0' &&
			told.headers == 0), "which names the object and what to do, and tells the reader nothing");
	}
}

#define FILE_WITH(path, more) "{\"path\":\"" path "\",\"type\":\"file\",\"mode\":\"0600\"," WHEN "," more "}\n"
#define OUTSIDE_WITH(path, more) "{\"path\":\"" path "\",\"type\":\"outside\",\"mode\":\"0600\"," WHEN "," more "}\n"
#define CHUNKS(item) "\"size\":3,\"chunks\":[[" item "]]"
#define A255 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct line_case {
	const char *line, *what;
	bool ok;
} line_cases[] = {
	{DIRECTORY("base"), "a directory", true},
	{DIRECTORY("a b\\n\\u00e4/..x/x../.x/..."), "names that only look bad", true},
	{DIRECTORY(A255), "a name of 255 bytes", true},
	{DIRECTORY(A255 "a"), "a name of 256", false},
	{DIRECTORY(""), "an empty path", false},
	{DIRECTORY("."), "a dot", false},
	{DIRECTORY(".."), "two dots", false},
	{DIRECTORY("../x"), "../x", false},
	{DIRECTORY("a/.."), "a/..", false},
	{DIRECTORY("a/../b"), "a/../b", false},
	{DIRECTORY("a/./b"), "a/./b", false},
	{DIRECTORY("./a"), "./a", false},
	{DIRECTORY("/x"), "/x", false},
	{DIRECTORY("/"), "/", false},
	{DIRECTORY("a//b"), "a//b", false},
	{DIRECTORY("a/"), "a/", false},
	{DIRECTORY("a\\u0000b"), "a NUL in a path", false},
	{DIRECTORY("a\xff"), "a path that is not UTF-8", false},
	{DIRECTORY("a\\ud800"), "half a surrogate pair", false},
	{"{\"path\":1,\"type\":\"directory\",\"mode\":\"0700\"," WHEN "}\n", "a number as path", false},
	{"{\"type\":\"directory\",\"mode\":\"0700\"," WHEN "}\n", "no path", false},
	{"{\"path\":\"a\",\"type\":\"socket\",\"mode\":\"0700\"," WHEN "}\n", "an unknown type", false},
	{"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"700\"," WHEN "}\n", "a short mode", false},
	{"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"07000\"," WHEN "}\n", "a long mode", false},
	{"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0800\"," WHEN "}\n", "a mode that is not octal", false},
	{"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0700\",\"mtime\":\"now\"}\n", "a time that is none", false},
	{"{\"path\":\"a\",\"path\":\"b\",\"type\":\"directory\",\"mode\":\"0700\"," WHEN "}\n", "two paths", false},
	{"{\"path\":\"a\",\"type\":\"link\",\"mode\":\"0700\"," WHEN "}\n", "a link without target", false},
	{"{\"path\":\"a\",\"type\":\"link\",\"mode\":\"0700\"," WHEN ",\"target\":\"/etc\"}\n", "a link", true},
	{"{\"path\":\"/a\",\"type\":\"link\",\"mode\":\"0700\"," WHEN ",\"target\":\"x\"}\n", "an absolute link", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "an inline file", true},
	{FILE_WITH("a", "\"size\":16384,\"hash\":\"" HASH "\",\"frame\":\"AAA=\""), "the largest", true},
	{FILE_WITH("a", "\"size\":16385,\"hash\":\"" HASH "\",\"frame\":\"AAA=\""), "a larger one", false},
	{FILE_WITH("a", "\"size\":3,\"frame\":\"AAAA\""), "one without hash", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"00\",\"frame\":\"AAAA\""), "a short hash", false},
	{FILE_WITH("a", "\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "no size", false},
	{FILE_WITH("a", "\"size\":-3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "a negative size", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAA\""), "three letters of base64", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AA*A\""), "a letter that is none", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"    AAAA\""), "base64 behind blanks", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\\n\\n\\n\\n\""), "base64 before newlines", false},
	{FILE_WITH("a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":1"), "a number as frame", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,1,\"" SHA "\"")), "a file in a chunk", true},
	{FILE_WITH("a", "\"size\":0,\"chunks\":[]"), "a file without chunks", true},
	{FILE_WITH("a", "\"size\":3,\"chunks\":[]"), "a chunk too few", false},
	{FILE_WITH("a", "\"size\":3,\"chunks\":[[\"a/000001.map\",0,1,\"" SHA "\"],[\"a/000001.map\",0,1,\"" SHA "\"]]"),
		"a chunk too many", false},
	{FILE_WITH("a", "\"size\":9223372036854775807,\"chunks\":[]"), "the largest size, without chunks", false},
	{FILE_WITH("a", "\"size\":3,\"chunks\":{}"), "chunks that are no list", false},
	{FILE_WITH("a", "\"size\":3"), "neither frame nor chunks", false},
	{FILE_WITH("a", CHUNKS("\"../000001.map\",0,1,\"" SHA "\"")), "a chunk's pack that climbs", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",-1,1,\"" SHA "\"")), "a negative offset", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",33554433,1,\"" SHA "\"")), "an offset behind any pack", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,0,\"" SHA "\"")), "a chunk of nothing", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,2097153,\"" SHA "\"")), "a chunk too large", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,1,\"aa\"")), "a short SHA-256", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,1")), "no SHA-256", false},
	{FILE_WITH("a", CHUNKS("\"a/000001.map\",0,1,\"" SHA "\",1")), "a fifth value", false},
	{OUTSIDE_WITH("/etc/a", "\"size\":131072,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "a file outside", true},
	{OUTSIDE_WITH("/etc/a", "\"size\":131073,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "a larger one", false},
	{OUTSIDE_WITH("etc/a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "a relative one", false},
	{OUTSIDE_WITH("//etc/a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "one with two slashes", false},
	{OUTSIDE_WITH("/etc/../a", "\"size\":3,\"hash\":\"" HASH "\",\"frame\":\"AAAA\""), "one that climbs", false},
	{OUTSIDE_WITH("/etc/a", CHUNKS("\"a/000001.map\",0,1,\"" SHA "\"")), "one in chunks", false},
	{"[]\n", "an array", false},
	{"\n", "a blank line", false},
	{"x\n", "no JSON", false},
	{"{}\n", "an empty object", false},
};

static void
test_lines(void)
{
	for (size_t i = 0; i < COUNT(line_cases); i++) {
		const struct line_case *c = &line_cases[i];
		struct sw_error err = SW_ERROR_INIT;
		struct told told = {0};

		put_text(HEADER(1, 0), c->line);
		if (!tap_is(sw_rc_name(read_manifest(&told, &err)), c->ok ? "ok" : "corrupt", "a line with %s", c->what))
			tap_note("%s", err.text);
		tap_ok(told.entries == c->ok && (c->ok || strstr(err.text, "line 2") != NULL), "is told, or named");
	}
}

static void
test_whole_texts(void)
{
	static const struct {
		const char *header, *lines, *what;
		bool ok;
	} cases[] = {
		{HEADER(0, 0), "", "no entry", true},
		{HEADER(2, 0), DIRECTORY("a") DIRECTORY("b"), "two entries", true},
		{HEADER(1, 0), DIRECTORY("a") DIRECTORY("b"), "an entry more than counted", false},
		{HEADER(3, 0), DIRECTORY("a") DIRECTORY("b"), "an entry fewer", false},
		{HEADER(2, 0), DIRECTORY("b") DIRECTORY("a"), "entries out of order", false},
		{HEADER(2, 0), DIRECTORY("a") DIRECTORY("a"), "an entry twice", false},
		{HEADER(2, 0), DIRECTORY("a/b") DIRECTORY("a-b"), "entries in another order than that of bytes", false},
		{HEADER(1, 2), DIRECTORY("z") PACK("a/000001.map") PACK("a/000001.pack"), "packs behind entries", true},
		{HEADER(0, 1), PACK("a/000001.map") PACK("a/000002.map"), "a pack more than counted", false},
		{HEADER(0, 3), PACK("a/000001.map") PACK("a/000002.map"), "a pack fewer", false},
		{HEADER(0, 2), PACK("a/000002.map") PACK("a/000001.map"), "packs out of order", false},
		{HEADER(0, 2), PACK("a/000001.map") PACK("a/000001.map"), "a pack twice", false},
		{HEADER(1, 1), PACK("a/000001.map") DIRECTORY("a"), "an entry behind the packs", false},
		{HEADER(0, 1), PACK("../000001.map"), "a pack that climbs", false},
		{HEADER(0, 1), PACK("a/000001.zip"), "a pack of another kind", false},
		{HEADER(0, 1), "{\"pack\":\"a/000001.map\",\"size\":33554433,\"sha256\":\"" SHA "\"}\n", "a large pack", false},
		{HEADER(0, 1), "{\"pack\":\"a/000001.map\",\"size\":1}\n", "a pack without SHA-256", false},
		{HEADER(0, 1), "{\"pack\":1,\"size\":1,\"sha256\":\"" SHA "\"}\n", "a pack without name", false},
		{HEADER(0, 0), "{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0700\"," WHEN "}", "a last line without end",
			false},
		{HEADER(0, 0), HEADER(0, 0), "a second header", false},
		{"", HEADER(0, 0), "a header in the second frame", true},
		{"", "", "nothing at all", false},
		{"\n", HEADER(0, 0), "a blank line in front", false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct told told = {0};

		put_text(cases[i].header, cases[i].lines);
		tap_is(sw_rc_name(read_manifest(&told, &err)), cases[i].ok ? "ok" : "corrupt", "%s", cases[i].what);
		tap_ok(cases[i].ok ? told.restarts == 0 : told.restarts == 1 && strstr(err.text, "manifest.copy.zst") != NULL &&
			strstr(err.hint, "another backup") != NULL, "damage sends to the copy, then to another backup");
	}
}

static void
test_long_lines(void)
{
	size_t len = SW_MANIFEST_LINE_MAX + 100;
	SW_AUTO_FREE char *line = malloc(len + 1);
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};
	SW_AUTO_BUF bomb;

	memset(line, ' ', len);
	line[len] = '\0';
	put_text(HEADER(1, 0), line);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "corrupt", "a line of more than 16 MiB is refused");
	/* 40 GiB of one letter: RLE blocks of 128 KiB (RFC 8878) */
	sw_buf_init(&bomb, 4 * MB);
	append_frame(&bomb, HEADER(1, 0), strlen(HEADER(1, 0)));
	sw_buf_append(&bomb, "\x28\xb5\x2f\xfd\x00\x38", 6, &err);
	for (int i = 0; i < 327680; i++)
		sw_buf_append(&bomb, "\x02\x00\x10{", 4, &err);
	put_both(&bomb);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "corrupt", "and one of 40 GiB, without taking more than that");
}

/* --- two copies -------------------------------------------------------------------------------------- */

static void
test_copies(void)
{
	struct sw_manifest_header header;
	struct sw_error err = SW_ERROR_INIT;
	uint8_t sha256[SW_SHA256_LEN];
	struct told told = {0};
	SW_AUTO_BUF good, bad;
	char path[8192];

	sw_buf_init(&good, MB);
	sw_buf_init(&bad, MB);
	make_whole(&good, sha256);
	sw_buf_append(&bad, good.data, good.len, &err);
	bad.data[bad.len - 20] ^= 1;
	put_copy("manifest.zst", &bad);
	put_copy("manifest.copy.zst", &good);
	tap_ok(read_manifest(&told, &err) == SW_OK && told.restarts == 1 && memcmp(told.sha256, sha256,
		sizeof(sha256)) == 0 && told.entries == COUNT(entries), "if manifest.zst is damaged, the copy is read from its start");
	bad.data[10] ^= 1;
	put_copy("manifest.zst", &bad);
	tap_ok(sw_manifest_read_header(&repo, LABEL, bad.len, &header, &err) == SW_OK && header.timeline == 7,
		"also for the header alone");
	put_copy("manifest.copy.zst", &bad);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "corrupt", "if both are damaged, so is the backup");
	tap_ok(strstr(err.hint, "another backup") != NULL, "and the hint is to take another");
	tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, bad.len, &header, &err)), "corrupt", "also for the header");
	snprintf(path, sizeof(path), "%s/" PLACE "manifest.copy.zst", dir);
	unlink(path);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "corrupt", "a copy that is missing does not make it \"not found\"");
	tap_ok(strstr(err.text, PLACE "manifest.zst") != NULL, "and the damaged one is named");
	tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, bad.len, &header, &err)), "corrupt", "also for the header");
	put_copy("manifest.copy.zst", &good);
	snprintf(path, sizeof(path), "%s/" PLACE "manifest.zst", dir);
	unlink(path);
	tap_is(sw_rc_name(read_manifest(&told, &err)), "not found", "a copy alone is no backup");
	tap_is(sw_rc_name(sw_manifest_read_header(&repo, LABEL, good.len, &header, &err)), "not found",
		"also for the header");
}

/* What the reader itself finds wrong is no reason to read the copy. */
static void
test_readers_refusal(void)
{
	static const sw_rc answers[] = {SW_CORRUPT, SW_SYSTEM, SW_CONFIG};
	struct sw_error err = SW_ERROR_INIT;
	uint8_t sha256[SW_SHA256_LEN];
	SW_AUTO_BUF good;

	sw_buf_init(&good, MB);
	make_whole(&good, sha256);
	put_both(&good);
	for (size_t i = 0; i < COUNT(answers); i++) {
		struct told told = {.answer = answers[i]};

		tap_is(sw_rc_name(read_manifest(&told, &err)), sw_rc_name(answers[i]), "a reader may refuse");
		tap_ok(told.restarts == 0 && told.entries == 1 && strstr(err.text, "the reader's own words") != NULL,
			"which ends it, in its words");
	}
}

/* --- damage ------------------------------------------------------------------------------------------- */

static void
test_cuts_and_flips(void)
{
	struct sw_error err = SW_ERROR_INIT;
	uint8_t sha256[SW_SHA256_LEN];
	size_t wrong = 0, unseen = 0;
	struct told told = {0};
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, MB);
	make_whole(&buf, sha256);
	for (size_t len = 0; len < buf.len; len += len < 40 || len + 40 > buf.len ? 1 : 7) {
		struct sw_buf cut = {.data = buf.data, .len = len, .cap = buf.cap, .max = buf.max};

		put_both(&cut);
		wrong += read_manifest(&told, &err) != SW_CORRUPT;
	}
	tap_is_int((long long)wrong, 0, "a manifest of %zu bytes is damaged wherever it is cut", buf.len);
	for (size_t i = 0; i < buf.len * 8; i += 5) {
		struct sw_manifest_header header;
		sw_rc rc;

		buf.data[i / 8] ^= (uint8_t)(1u << i % 8);
		put_both(&buf);
		rc = read_manifest(&told, &err);
		unseen += rc == SW_OK;
		wrong += rc == SW_OK ? memcmp(told.sha256, sha256, sizeof(sha256)) != 0 : rc != SW_CORRUPT;
		rc = sw_manifest_read_header(&repo, LABEL, buf.len, &header, &err);
		wrong += rc == SW_OK ? header.timeline != 7 || header.entry_count != COUNT(entries) : rc != SW_CORRUPT;
		buf.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	tap_is_int((long long)wrong, 0, "no flipped bit changes what is read");
	tap_ok(unseen <= 32, "nearly all are seen (%zu say nothing)", unseen);
}

static void
test_labels(void)
{
	static const char *const good[] = {"a", LABEL, "A-z_0", "0123456789012345678901234567890123456789"},
		*const bad[] = {"", ".", "..", "a/b", "a b", "a.b", "\xc3\xa4", "01234567890123456789012345678901234567890"};

	for (size_t i = 0; i < COUNT(good); i++)
		tap_ok(sw_label_ok(good[i]), "\"%s\" is a label", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		tap_ok(!sw_label_ok(bad[i]), "\"%s\" is none", bad[i]);
}

int
main(void)
{
	struct sw_error err = SW_ERROR_INIT;

	scratch_make(dir);
	strcpy(repo.prefix, "main/1/");
	if (sw_posix_open(dir, &repo.store, &err) != SW_OK)
		return 2;
	test_round_trip();
	test_header_that_is_not_utf8();
	test_largest_entry();
	test_writer_refuses();
	test_headers();
	test_lines();
	test_whole_texts();
	test_long_lines();
	test_copies();
	test_readers_refusal();
	test_cuts_and_flips();
	test_labels();
	sw_store_free(repo.store);
	scratch_remove(dir);
	return tap_done();
}
