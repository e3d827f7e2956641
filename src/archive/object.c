#include "archive/object.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

#define SUMMARY_VERSION 1
#define READ_SIZE (512 * 1024)
#define OTHER_FILE_MAX (16 * 1024 * 1024) /* .history and .backup files are small text */

/* --- summary --------------------------------------------------------------------- */

static bool
is_segment(const struct sw_wal_summary *s)
{
	return s->end != 0;
}

static json_t *
summary_json(const struct sw_wal_summary *s)
{
	char xxh3[2 * SW_XXH3_LEN + 1], system_id[24], start[SW_LSN_LEN], end[SW_LSN_LEN];
	json_t *object;

	snprintf(system_id, sizeof(system_id), "%" PRIu64, s->system_identifier);
	object = json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:s, s:{s:o, s:o}}",
		"seawall", "wal", "version", SUMMARY_VERSION, "name", s->name,
		"system_identifier", system_id, "timeline", (json_int_t)s->timeline,
		"segment_size", (json_int_t)s->segment_size, "size", (json_int_t)s->size,
		"xxh3", sw_hex(s->xxh3, SW_XXH3_LEN, xxh3),
		"origin", "host", sw_json_text(s->host), "pgdata", sw_json_text(s->pgdata));
	if (object != NULL && is_segment(s) &&
		(json_object_set_new(object, "start_lsn", json_string(sw_lsn_format(s->start, start))) != 0 ||
		json_object_set_new(object, "end_lsn", json_string(sw_lsn_format(s->end, end))) != 0)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static sw_rc
parse_origin(const json_t *object, struct sw_wal_summary *s, struct sw_error *err)
{
	const json_t *origin = json_object_get(object, "origin");
	const char *host, *pgdata;
	sw_rc rc = sw_json_string(origin, "host", &host, err);

	if (rc == SW_OK)
		rc = sw_json_string(origin, "pgdata", &pgdata, err);
	if (rc != SW_OK)
		return rc;
	snprintf(s->host, sizeof(s->host), "%s", host);
	snprintf(s->pgdata, sizeof(s->pgdata), "%s", pgdata);
	return SW_OK;
}

static sw_rc
parse_range(const json_t *object, uint64_t segment_size, struct sw_wal_summary *s, struct sw_error *err)
{
	const char *start = json_string_value(json_object_get(object, "start_lsn"));
	const char *end = json_string_value(json_object_get(object, "end_lsn"));

	if (start == NULL && end == NULL)
		return SW_OK;
	if (start == NULL || end == NULL || !sw_lsn_parse(start, &s->start) ||
		!sw_lsn_parse(end, &s->end) || s->end <= s->start)
		return sw_fail(err, SW_CORRUPT, "\"start_lsn\" or \"end_lsn\" is malformed");
	if (s->size != segment_size || s->end - s->start != segment_size)
		return sw_fail(err, SW_CORRUPT, "\"size\" is not that of a segment");
	return SW_OK;
}

static sw_rc
parse_digest(const json_t *object, struct sw_wal_summary *s, struct sw_error *err)
{
	const json_t *json = json_object_get(object, "wal");
	struct sw_wal_digest *digest;

	if (json == NULL)
		return SW_OK;
	digest = malloc(sizeof(*digest));
	if (digest == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (sw_wal_digest_parse(json, digest, err) != SW_OK) {
		free(digest);
		return sw_wrap(err, "\"wal\"");
	}
	s->digest = digest;
	return digest->start == s->start ? SW_OK : sw_fail(err, SW_CORRUPT, "\"wal\" is of other WAL");
}

void
sw_wal_summary_release(struct sw_wal_summary *summary)
{
	if (summary->digest != NULL)
		sw_wal_digest_release(summary->digest);
	free(summary->digest);
	summary->digest = NULL;
}

static sw_rc
parse_text(const void *text, size_t len, bool with_digest, struct sw_wal_summary *ret_summary, struct sw_error *err)
{
	struct sw_wal_summary s = {0};
	SW_AUTO_JSON *object = NULL;
	const char *name = NULL;
	uint64_t timeline = 0, segment_size = 0;
	sw_rc rc = sw_json_parse(text, len, "wal", SUMMARY_VERSION, &object, err);

	if (rc == SW_OK)
		rc = sw_json_string(object, "name", &name, err);
	if (rc == SW_OK)
		rc = sw_json_u64_text(object, "system_identifier", &s.system_identifier, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "timeline", UINT32_MAX, &timeline, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "segment_size", UINT32_MAX, &segment_size, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "size", 1 << 30, &s.size, err);
	if (rc == SW_OK)
		rc = sw_json_hex(object, "xxh3", s.xxh3, SW_XXH3_LEN, err);
	if (rc == SW_OK)
		rc = parse_origin(object, &s, err);
	if (rc == SW_OK)
		rc = parse_range(object, segment_size, &s, err);
	if (rc == SW_OK && strlen(name) >= sizeof(s.name))
		rc = sw_fail(err, SW_CORRUPT, "\"name\" is too long");
	if (rc == SW_OK && with_digest)
		rc = parse_digest(object, &s, err);
	if (rc != SW_OK) {
		sw_wal_summary_release(&s);
		return sw_wrap(err, "summary");
	}
	memcpy(s.name, name, strlen(name) + 1);
	s.timeline = (uint32_t)timeline;
	s.segment_size = (uint32_t)segment_size;
	*ret_summary = s;
	return SW_OK;
}

/*
 * with_digest: what it says of the WAL too, which nobody needs to get the content: where that follows the rest, it is not
 * even looked at, because it is ten times as long.
 */
static sw_rc
parse_summary(const void *text, size_t len, bool with_digest, struct sw_wal_summary *ret_summary, struct sw_error *err)
{
	static const char key[] = ",\"wal\":";
	const uint8_t *digest = with_digest ? NULL : memmem(text, len, key, strlen(key));
	size_t before = digest != NULL ? (size_t)(digest - (const uint8_t *)text) : 0;
	SW_AUTO_FREE char *rest = digest != NULL ? malloc(before + 1) : NULL;
	struct sw_error ignored;

	if (rest != NULL) {
		memcpy(rest, text, before);
		rest[before] = '}';
		if (parse_text(rest, before + 1, false, ret_summary, &ignored) == SW_OK)
			return SW_OK;
	}
	return parse_text(text, len, with_digest, ret_summary, err);
}

/* --- encode ---------------------------------------------------------------------- */

static sw_rc
pump(int fd, uint64_t len, const char *path, struct sw_stage *stage, struct sw_error *err)
{
	SW_AUTO_FREE uint8_t *buf = malloc(READ_SIZE);
	uint64_t done = 0;

	if (buf == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	while (done < len) {
		size_t want = len - done < READ_SIZE ? (size_t)(len - done) : READ_SIZE, got;
		sw_rc rc = sw_file_pread(fd, buf, want, (off_t)done, &got, path, err);

		if (rc == SW_OK && got == 0)
			break;
		if (rc == SW_OK)
			rc = sw_stage_write(stage, buf, got, err);
		if (rc != SW_OK)
			return rc;
		done += got;
	}
	return SW_OK;
}

static sw_rc
check_length(int fd, const char *path, const struct sw_wal_summary *summary, uint64_t len,
	struct sw_error *err)
{
	size_t more;
	uint8_t byte;
	sw_rc rc;

	if (!is_segment(summary))
		return len <= OTHER_FILE_MAX ? SW_OK : sw_fail(err, SW_CORRUPT, "%s has more than %d bytes, too "
			"many for a .history or .backup file", path, OTHER_FILE_MAX);
	if (len != summary->segment_size)
		return sw_fail(err, SW_CORRUPT, "%s has %" PRIu64 " bytes where a segment has %" PRIu32, path, len,
			summary->segment_size);
	rc = sw_file_pread(fd, &byte, 1, (off_t)len, &more, path, err);
	if (rc == SW_OK && more > 0)
		rc = sw_fail(err, SW_CORRUPT, "%s has more than the %" PRIu32 " bytes of a segment", path,
			summary->segment_size);
	return rc;
}

/*
 * read -> WAL -> XXH3 -> frames -> spool.  With threads, a segment's WAL is read and hashed while what came before is
 * compressed.
 */
static sw_rc
compress_content(const struct sw_object_source *source, struct sw_wal_summary *summary,
	struct sw_wal_digester **digester, struct sw_stage_spool *spool, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_xxh3_release))) struct sw_stage_xxh3 content = {0};
	__attribute__((cleanup(sw_stage_framer_release))) struct sw_stage_framer framer = {0};
	uint64_t expect = is_segment(summary) ? summary->segment_size : OTHER_FILE_MAX + 1;
	struct sw_stage *first = &content.stage;
	sw_rc rc = sw_stage_framer_init(&framer, source->level, is_segment(summary) ? source->threads : 0,
		&spool->stage, err);

	if (rc == SW_OK)
		rc = sw_stage_xxh3_init(&content, &framer.stage, err);
	if (rc == SW_OK && is_segment(summary) && source->wal != NULL)
		rc = sw_wal_digester_new(source->wal, first, digester, err);
	if (rc == SW_OK && *digester != NULL)
		first = sw_wal_digester_stage(*digester);
	if (rc == SW_OK)
		rc = pump(source->fd, expect, source->path, first, err);
	if (rc == SW_OK)
		rc = check_length(source->fd, source->path, summary, content.len, err);
	if (rc == SW_OK)
		rc = sw_stage_finish(first, err);
	if (rc != SW_OK)
		return rc;
	summary->size = content.len;
	memcpy(summary->xxh3, content.hash, SW_XXH3_LEN);
	return SW_OK;
}

static void
free_digester(struct sw_wal_digester **digester)
{
	sw_wal_digester_free(*digester);
}

static sw_rc
read_content(const struct sw_object_source *source, struct sw_wal_summary *summary, struct sw_stage_spool *spool,
	struct sw_error *err)
{
	__attribute__((cleanup(free_digester))) struct sw_wal_digester *digester = NULL;
	SW_AUTO_FREE struct sw_wal_digest *digest = NULL;
	sw_rc rc = compress_content(source, summary, &digester, spool, err);

	if (rc != SW_OK || digester == NULL)
		return rc;
	digest = malloc(sizeof(*digest));
	if (digest == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_wal_digester_take(digester, digest, err);
	if (rc == SW_OK) {
		summary->digest = digest;
		digest = NULL;
	}
	return rc;
}

/* What the WAL says gets the room that the rest of the summary leaves. */
static int
add_digest(const struct sw_wal_summary *summary, json_t *object)
{
	const size_t key = sizeof(",\"wal\":") - 1;
	size_t used;

	if (summary->digest == NULL)
		return 0;
	used = json_dumpb(object, NULL, 0, JSON_COMPACT) + key;
	return json_object_set_new(object, "wal", sw_wal_digest_json(summary->digest, SW_SUMMARY_MAX - used, true));
}

static sw_rc
write_summary(const struct sw_wal_summary *summary, struct sw_buf *buf, struct sw_error *err)
{
	SW_AUTO_JSON *object = summary_json(summary);
	SW_AUTO_FREE char *text = object == NULL || add_digest(summary, object) != 0 ? NULL :
		json_dumps(object, JSON_COMPACT);
	uint32_t header[2];
	sw_rc rc;

	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	header[0] = htole32(SW_SKIPPABLE_MAGIC);
	header[1] = htole32((uint32_t)strlen(text));
	rc = sw_buf_append(buf, header, sizeof(header), err);
	return rc == SW_OK ? sw_buf_append(buf, text, strlen(text), err) : rc;
}

static sw_rc
hash_object(struct sw_object *object, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_digest_release))) struct sw_stage_digest digest = {0};
	const struct sw_stage_spool *frame = &object->frame;
	sw_rc rc = sw_stage_digest_init(&digest, NULL, err);

	if (rc == SW_OK)
		rc = sw_stage_write(&digest.stage, object->summary.data, object->summary.len, err);
	if (rc == SW_OK && frame->fd < 0)
		rc = sw_stage_write(&digest.stage, frame->buf.data, frame->buf.len, err);
	else if (rc == SW_OK)
		rc = pump(frame->fd, frame->len, "a temporary file", &digest.stage, err);
	if (rc == SW_OK)
		rc = sw_stage_finish(&digest.stage, err);
	memcpy(object->sha256, digest.sha256, SW_SHA256_LEN);
	return rc;
}

sw_rc
sw_object_make(const struct sw_object_source *source, struct sw_wal_summary *summary,
	struct sw_object *ret_object, struct sw_error *err)
{
	struct sw_object object;
	sw_rc rc;

	sw_buf_init(&object.summary, SW_SUMMARY_MAX + 8);
	sw_stage_spool_init(&object.frame, source->memory_max);
	rc = read_content(source, summary, &object.frame, err);
	if (rc == SW_OK)
		rc = write_summary(summary, &object.summary, err);
	if (rc == SW_OK)
		rc = hash_object(&object, err);
	if (rc == SW_OK)
		*ret_object = object;
	else
		sw_object_release(&object);
	return rc;
}

sw_rc
sw_object_encode(int fd, const char *path, struct sw_wal_summary *summary, int level,
	size_t memory_max, struct sw_object *ret_object, struct sw_error *err)
{
	struct sw_object_source source = {
		.fd = fd,
		.path = path,
		.level = level,
		.memory_max = memory_max,
		.threads = 2,
	};

	return sw_object_make(&source, summary, ret_object, err);
}

void
sw_object_release(struct sw_object *object)
{
	sw_buf_release(&object->summary);
	sw_stage_spool_release(&object->frame);
}

struct sw_store_body
sw_object_body(const struct sw_object *object)
{
	struct sw_store_body body = sw_store_body_spool(&object->frame, object->sha256);

	body.head = object->summary.data;
	body.head_len = object->summary.len;
	body.len += object->summary.len;
	return body;
}

/* --- read ------------------------------------------------------------------------ */

/* Take bytes into the head until it has `want`; *used tells how many were taken. */
static sw_rc
fill_head(struct sw_object_reader *r, size_t want, const uint8_t *data, size_t len, size_t *used,
	struct sw_error *err)
{
	size_t n = want - r->head.len;

	*used = n < len ? n : len;
	return sw_buf_append(&r->head, data, *used, err);
}

static sw_rc
take_header(struct sw_object_reader *r, struct sw_error *err)
{
	uint32_t header[2];

	memcpy(header, r->head.data, sizeof(header));
	r->summary_len = le32toh(header[1]);
	if (le32toh(header[0]) != SW_SKIPPABLE_MAGIC || r->summary_len > SW_SUMMARY_MAX)
		return sw_fail(err, SW_CORRUPT, "does not begin as a WAL object");
	sw_buf_reset(&r->head);
	r->state = SW_READER_SUMMARY;
	return SW_OK;
}

static sw_rc
take_summary(struct sw_object_reader *r, struct sw_error *err)
{
	char want[SW_WAL_NAME_MAX];
	sw_rc rc;

	memcpy(want, r->summary.name, sizeof(want));
	rc = parse_summary(r->head.data, r->head.len, false, &r->summary, err);
	sw_stage_unframer_expect(&r->unframer, r->summary.size); /* a bomb must not fill the disk first */
	if (rc == SW_OK && want[0] != '\0' && strcmp(want, r->summary.name) != 0)
		rc = sw_fail(err, SW_CORRUPT, "holds %s under the name %s", r->summary.name, want);
	r->state = SW_READER_CONTENT;
	return rc;
}

static sw_rc
reader_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_object_reader *r = (struct sw_object_reader *)stage;
	const uint8_t *p = data;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && len > 0 && r->state != SW_READER_CONTENT) {
		size_t want = r->state == SW_READER_HEADER ? 8 : r->summary_len, used;

		rc = fill_head(r, want, p, len, &used, err);
		if (rc != SW_OK)
			return rc;
		p += used;
		len -= used;
		if (r->head.len == want)
			rc = r->state == SW_READER_HEADER ? take_header(r, err) : take_summary(r, err);
	}
	r->content_came |= len > 0;
	return rc == SW_OK ? sw_stage_write(&r->unframer.stage, p, len, err) : rc;
}

static sw_rc
reader_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_object_reader *r = (struct sw_object_reader *)stage;

	if (!r->content_came)
		return sw_fail(err, SW_CORRUPT, "ends within or behind its summary");
	return sw_stage_finish(&r->unframer.stage, err);
}

static struct sw_object_reader *
reader_of_judge(struct sw_stage *stage)
{
	return (struct sw_object_reader *)((char *)stage - offsetof(struct sw_object_reader, judge));
}

static sw_rc
judge_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	return sw_stage_write(stage->next, data, len, err);
}

static sw_rc
judge_finish(struct sw_stage *stage, struct sw_error *err)
{
	const struct sw_object_reader *r = reader_of_judge(stage);

	if (r->content.len != r->summary.size)
		return sw_fail(err, SW_CORRUPT, "has %" PRIu64 " bytes of content where its summary says %"
			PRIu64, r->content.len, r->summary.size);
	if (memcmp(r->content.hash, r->summary.xxh3, SW_XXH3_LEN) != 0)
		return sw_fail(err, SW_CORRUPT, "its content does not have the hash of its summary");
	return sw_stage_finish(stage->next, err);
}

sw_rc
sw_object_reader_init_threads(struct sw_object_reader *r, const char *name, unsigned threads, struct sw_stage *next,
	struct sw_error *err)
{
	sw_rc rc;

	*r = (struct sw_object_reader){
		.stage = {.write = reader_write, .finish = reader_finish, .next = next},
	};
	if (name != NULL)
		snprintf(r->summary.name, sizeof(r->summary.name), "%s", name);
	sw_buf_init(&r->head, SW_SUMMARY_MAX);
	r->judge = (struct sw_stage){.write = judge_write, .finish = judge_finish, .next = next};
	rc = sw_stage_xxh3_init(&r->content, &r->judge, err);
	return rc == SW_OK ? sw_stage_unframer_init(&r->unframer, threads, &r->content.stage, err) : rc;
}

sw_rc
sw_object_reader_init(struct sw_object_reader *r, const char *name, struct sw_stage *next, struct sw_error *err)
{
	return sw_object_reader_init_threads(r, name, 1, next, err);
}

void
sw_object_reader_release(struct sw_object_reader *r)
{
	sw_buf_release(&r->head);
	sw_stage_unframer_release(&r->unframer);
	sw_stage_xxh3_release(&r->content);
}

/* --- the summary alone ---------------------------------------------------------------- */

/* The summary's bytes, behind 8 others, into `buf`. */
static sw_rc
get_summary(struct sw_store *store, const char *object, struct sw_buf *buf, uint32_t *ret_len, struct sw_error *err)
{
	uint32_t header[2], len;
	SW_AUTO_BUF rest;
	sw_rc rc;

	sw_buf_init(&rest, SW_SUMMARY_MAX);
	rc = sw_store_get_buf(store, object, 0, SW_STORE_UP_TO(SW_SUMMARY_FIRST), buf, err);
	if (rc != SW_OK)
		return rc;
	memcpy(header, buf->data, buf->len < sizeof(header) ? 0 : sizeof(header));
	if (buf->len < sizeof(header) || le32toh(header[0]) != SW_SKIPPABLE_MAGIC || le32toh(header[1]) > SW_SUMMARY_MAX)
		return sw_fail(err, SW_CORRUPT, "does not begin as a WAL object");
	len = le32toh(header[1]);
	if (buf->len < 8 + len && buf->len < SW_SUMMARY_FIRST)
		return sw_fail(err, SW_CORRUPT, "ends within its summary");
	if (buf->len < 8 + len) {
		rc = sw_store_get_buf(store, object, buf->len, 8 + len - buf->len, &rest, err);
		if (rc == SW_OK)
			rc = sw_buf_append(buf, rest.data, rest.len, err);
	}
	*ret_len = len;
	return rc;
}

sw_rc
sw_object_read_summary(struct sw_repository *repo, const struct sw_wal_name *name,
	struct sw_wal_summary *ret_summary, struct sw_error *err)
{
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	struct sw_wal_summary summary;
	uint32_t len = 0;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_SUMMARY_MAX + 8);
	sw_repository_wal_name(repo, name, object);
	sw_wal_name_format(name, repo->reg.segment_size, file);
	rc = get_summary(repo->store, object, &buf, &len, err);
	if (rc == SW_OK)
		rc = parse_summary(buf.data + 8, len, true, &summary, err);
	if (rc != SW_OK)
		return rc == SW_CORRUPT || rc == SW_CONFIG ? sw_wrap(err, "%s", object) : rc;
	if (strcmp(summary.name, file) != 0) {
		sw_wal_summary_release(&summary);
		return sw_fail(err, SW_CORRUPT, "%s holds another file", object);
	}
	*ret_summary = summary;
	return SW_OK;
}
