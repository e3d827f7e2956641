#include "archive/index_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive/index.h"
#include "base/file.h"
#include "base/json.h"

#define INDEX_VERSION 1
#define INDEX_LEVEL 3
#define BRIEF_ROOM (256u << 10)     /* of SW_INDEX_HEAD_MAX: the rest is for three fragments */
#define DIGESTS_ROOM (16u << 20)    /* of SW_INDEX_LINES_MAX: the rest is for what stands around the digests */
#define DIGEST_ROOM_MAX (1u << 20)
#define DIGEST_ROOM_MIN 4096u
#define LINES_MAX (2 * SW_INDEX_GROUP)
#define WORDS_MAX 1024
#define LINE_LEN_MAX (2 << 20)      /* a digest and what stands around it; parsed, it takes many times that */

#define SW_AUTO_STRETCH __attribute__((cleanup(sw_stretch_release))) struct sw_stretch

/* --- names ----------------------------------------------------------------------------- */

char *
sw_index_object_name(const struct sw_repository *repo, uint32_t timeline, uint64_t group,
	char buf[SW_STORE_NAME_MAX])
{
	return sw_repository_name(repo, buf, "index/%08" PRIX32 "/%010" PRIX64 ".zst", timeline, group);
}

bool
sw_index_object_parse_name(const char *object, uint64_t *ret_group)
{
	const char *slash = strrchr(object, '/'), *text = slash == NULL ? object : slash + 1;

	if (strlen(text) != 14 || strspn(text, "0123456789ABCDEF") != 10 || strcmp(text + 10, ".zst") != 0)
		return false;
	*ret_group = strtoull(text, NULL, 16);
	return true;
}

static char *
segment_name(const struct sw_repository *repo, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, repo->reg.segment_size, buf);
}

/* --- writing: edges ---------------------------------------------------------------------- */

/* false afterwards: out of memory */
struct writer {
	const struct sw_repository *repo;
	uint32_t timeline;
	bool ok;
};

static void
put(struct writer *w, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		w->ok = false;
}

static void
put_lsn(struct writer *w, json_t *object, const char *key, sw_lsn lsn)
{
	char text[SW_LSN_LEN];

	if (lsn != 0)
		put(w, object, key, json_string(sw_lsn_format(lsn, text)));
}

static void
put_segment(struct writer *w, json_t *object, const char *key, uint64_t segment)
{
	char text[SW_WAL_NAME_MAX];

	put(w, object, key, json_string(segment_name(w->repo, w->timeline, segment, text)));
}

/* As it stands in a digest. */
static void
put_fragment(struct writer *w, json_t *object, const char *key, struct sw_wal_fragment *fragment)
{
	struct sw_wal_digest carrier = {.tail = fragment, .ends_below = UINT64_MAX};
	SW_AUTO_JSON *json = NULL;

	if (fragment == NULL)
		return;
	json = sw_wal_digest_json(&carrier, BRIEF_ROOM, true);
	put(w, object, key, json_incref(json_object_get(json, "tail")));
}

static json_t *
begin_json(struct writer *w, const struct sw_stretch_begin *begin)
{
	json_t *object = sw_json_object();

	if (!begin->known)
		return object;
	put(w, object, "known", json_true());
	put_lsn(w, object, "first", begin->first);
	put_lsn(w, object, "first_prev", begin->first_prev);
	put_fragment(w, object, "middle", begin->middle);
	put_fragment(w, object, "tail", begin->tail);
	if (begin->through)
		put(w, object, "through", json_true());
	if (begin->aborted)
		put(w, object, "aborted", json_true());
	put_segment(w, object, "tail_segment", begin->tail_segment);
	return object;
}

static json_t *
end_json(struct writer *w, const struct sw_stretch_end *end)
{
	json_t *object = sw_json_object();
	char xid[24];

	if (!end->known)
		return object;
	put(w, object, "known", json_true());
	put_lsn(w, object, "last", end->last);
	put_fragment(w, object, "head", end->head);
	put_fragment(w, object, "middle", end->middle);
	put_segment(w, object, "head_segment", end->head_segment);
	put(w, object, "major", json_integer((json_int_t)end->major));
	snprintf(xid, sizeof(xid), "%" PRIu64, end->next_xid);
	put(w, object, "next_xid", json_string(xid));
	return object;
}

/* --- writing: frames --------------------------------------------------------------------- */

static sw_rc
append_json(const json_t *json, struct sw_buf *buf, struct sw_error *err)
{
	SW_AUTO_FREE char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	sw_rc rc = text == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : sw_buf_append(buf, text, strlen(text), err);

	return rc == SW_OK ? sw_buf_append(buf, "\n", 1, err) : rc;
}

static sw_rc
append_frame(const struct sw_buf *content, struct sw_buf *buf, struct sw_error *err)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(content->len), len;
	sw_rc rc = ctx == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : sw_buf_reserve(buf, room, err);

	if (rc == SW_OK) {
		ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
		ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, INDEX_LEVEL);
		len = ZSTD_compress2(ctx, buf->data + buf->len, room, content->data, content->len);
		if (ZSTD_isError(len))
			rc = sw_fail(err, SW_SYSTEM, "compressing: %s", ZSTD_getErrorName(len));
		else
			buf->len += len;
	}
	ZSTD_freeCCtx(ctx);
	return rc;
}

static bool
all_summaries(const struct sw_stretch *group)
{
	for (size_t i = 0; i < group->count; i++)
		if (!group->items[i].boundary && !group->items[i].summary)
			return false;
	return true;
}

static json_t *
head_json(struct writer *w, uint64_t number, const struct sw_stretch *group)
{
	struct sw_wal_digest brief;
	json_t *object = sw_json_object();
	char system_id[24];

	snprintf(system_id, sizeof(system_id), "%" PRIu64, w->repo->reg.system_identifier);
	put(w, object, "seawall", json_string("index"));
	put(w, object, "version", json_integer(INDEX_VERSION));
	put(w, object, "system_identifier", json_string(system_id));
	put(w, object, "segment_size", json_integer((json_int_t)w->repo->reg.segment_size));
	put(w, object, "timeline", json_integer((json_int_t)w->timeline));
	put(w, object, "group", json_integer((json_int_t)number));
	put_segment(w, object, "first", group->first);
	put_segment(w, object, "last", group->last);
	put(w, object, "lines", json_integer((json_int_t)group->count));
	put(w, object, "summaries", json_boolean(all_summaries(group)));
	put(w, object, "begin", begin_json(w, &group->begin));
	put(w, object, "end", end_json(w, &group->end));
	if (sw_stretch_brief(group, &brief)) {
		json_t *json = sw_wal_digest_json(&brief, BRIEF_ROOM, false);

		/* what was left out is not brief, but gone */
		if (json != NULL && !brief.truncated && json_is_true(json_object_get(json, "truncated")))
			json_decref(json);
		else
			put(w, object, "brief", json);
		sw_wal_digest_release(&brief);
	}
	return object;
}

static json_t *
line_json(struct writer *w, const struct sw_stretch_item *item, size_t room, size_t *ret_len)
{
	json_t *object = sw_json_object(), *digest = sw_wal_digest_json(&item->digest, room, false);

	put_segment(w, object, item->boundary ? "record" : "segment", item->first);
	if (item->boundary)
		put_segment(w, object, "ends", item->last);
	if (item->summary)
		put(w, object, "summary", json_true());
	if (item->unjoined != NULL)
		put(w, object, "unjoined", json_stringn(item->unjoined, strnlen(item->unjoined, WORDS_MAX)));
	if (item->again || (!item->digest.truncated && json_is_true(json_object_get(digest, "truncated"))))
		put(w, object, "again", json_true());
	*ret_len = digest == NULL ? 0 : json_dumpb(digest, NULL, 0, JSON_COMPACT);
	put(w, object, "digest", digest);
	return object;
}

static sw_rc
append_lines(struct writer *w, const struct sw_stretch *group, struct sw_buf *buf, struct sw_error *err)
{
	size_t left = DIGESTS_ROOM;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < group->count; i++) {
		size_t reserved = (group->count - i - 1) * DIGEST_ROOM_MIN, room, len;
		SW_AUTO_JSON *line = NULL;

		room = left > reserved + DIGEST_ROOM_MIN ? left - reserved : DIGEST_ROOM_MIN;
		line = line_json(w, &group->items[i], room < DIGEST_ROOM_MAX ? room : DIGEST_ROOM_MAX, &len);
		left -= len < left ? len : left;
		rc = w->ok ? append_json(line, buf, err) : sw_fail(err, SW_SYSTEM, "out of memory");
	}
	return rc;
}

sw_rc
sw_index_object_encode(const struct sw_repository *repo, uint32_t timeline, const struct sw_stretch *group,
	struct sw_buf *buf, struct sw_error *err)
{
	struct writer w = {.repo = repo, .timeline = timeline, .ok = true};
	SW_AUTO_JSON *head = head_json(&w, group->first / SW_INDEX_GROUP, group);
	SW_AUTO_BUF first, rest;
	sw_rc rc = SW_OK;

	sw_buf_init(&first, SW_INDEX_HEAD_MAX);
	sw_buf_init(&rest, SW_INDEX_LINES_MAX);
	if (!w.ok)
		rc = sw_fail(err, SW_SYSTEM, "out of memory");
	if (rc == SW_OK)
		rc = append_json(head, &first, err);
	if (rc == SW_OK)
		rc = append_lines(&w, group, &rest, err);
	if (rc == SW_OK)
		rc = append_frame(&first, buf, err);
	return rc == SW_OK ? append_frame(&rest, buf, err) : rc;
}

/* --- reading: fields ----------------------------------------------------------------------- */

static sw_rc
fail_key(const char *key, struct sw_error *err)
{
	return sw_fail(err, SW_CORRUPT, "\"%s\" is not what it can be", key);
}

static sw_rc
get_lsn(const json_t *object, const char *key, sw_lsn *ret_lsn, struct sw_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (value == NULL)
		return SW_OK;
	return json_is_string(value) && sw_lsn_parse(json_string_value(value), ret_lsn) ? SW_OK : fail_key(key, err);
}

static sw_rc
get_segment(const struct sw_index_object_place *place, const json_t *object, const char *key, uint64_t *ret_segment,
	struct sw_error *err)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct sw_wal_name name;

	if (text == NULL || !sw_wal_name_parse(text, place->repo->reg.segment_size, &name) ||
		name.kind != SW_WAL_SEGMENT || name.timeline != place->timeline || name.segment / SW_INDEX_GROUP != place->group)
		return fail_key(key, err);
	*ret_segment = name.segment;
	return SW_OK;
}

static sw_rc
get_fragment(const json_t *object, const char *key, struct sw_wal_fragment **ret_fragment, struct sw_error *err)
{
	json_t *value = json_object_get(object, key);
	struct sw_wal_digest carrier;
	SW_AUTO_JSON *json = NULL;
	sw_rc rc;

	if (value == NULL)
		return SW_OK;
	json = json_pack("{s:s, s:s, s:s, s:O}", "verdict", "complete", "start", "0/0", "valid_to", "0/0", "tail", value);
	if (json == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_wal_digest_parse(json, &carrier, err);
	if (rc != SW_OK)
		return sw_wrap(err, "in \"%s\"", key);
	*ret_fragment = carrier.tail;
	carrier.tail = NULL;
	sw_wal_digest_release(&carrier);
	return *ret_fragment != NULL ? SW_OK : fail_key(key, err);
}

static sw_rc
get_begin(const struct sw_index_object_place *place, const json_t *json, struct sw_stretch_begin *begin,
	struct sw_error *err)
{
	sw_rc rc;

	if (!json_is_object(json))
		return fail_key("begin", err);
	if (!json_is_true(json_object_get(json, "known")))
		return SW_OK;
	begin->through = json_is_true(json_object_get(json, "through"));
	begin->aborted = json_is_true(json_object_get(json, "aborted"));
	rc = get_lsn(json, "first", &begin->first, err);
	if (rc == SW_OK)
		rc = get_lsn(json, "first_prev", &begin->first_prev, err);
	if (rc == SW_OK)
		rc = get_fragment(json, "middle", &begin->middle, err);
	if (rc == SW_OK)
		rc = get_fragment(json, "tail", &begin->tail, err);
	if (rc == SW_OK)
		rc = get_segment(place, json, "tail_segment", &begin->tail_segment, err);
	if (rc == SW_OK && begin->through && (begin->middle == NULL || begin->tail != NULL))
		rc = fail_key("through", err);
	begin->known = rc == SW_OK;
	return rc;
}

static sw_rc
get_end(const struct sw_index_object_place *place, const json_t *json, struct sw_stretch_end *end, struct sw_error *err)
{
	uint64_t major = 0;
	sw_rc rc;

	if (!json_is_object(json))
		return fail_key("end", err);
	if (!json_is_true(json_object_get(json, "known")))
		return SW_OK;
	rc = get_lsn(json, "last", &end->last, err);
	if (rc == SW_OK)
		rc = get_fragment(json, "head", &end->head, err);
	if (rc == SW_OK)
		rc = get_fragment(json, "middle", &end->middle, err);
	if (rc == SW_OK)
		rc = get_segment(place, json, "head_segment", &end->head_segment, err);
	if (rc == SW_OK)
		rc = sw_json_u64(json, "major", 1000, &major, err);
	if (rc == SW_OK)
		rc = sw_json_u64_text(json, "next_xid", &end->next_xid, err);
	if (rc == SW_OK && end->head == NULL && end->middle != NULL)
		rc = fail_key("middle", err);
	end->major = (unsigned)major;
	end->known = rc == SW_OK;
	return rc;
}

/* --- reading: frames ------------------------------------------------------------------------- */

/* One frame from *data on, which moves behind it.  SW_NOT_FOUND: it is not there to its end. */
static sw_rc
read_frame(const uint8_t **data, size_t *len, size_t max, struct sw_buf *buf, struct sw_error *err)
{
	size_t stored = ZSTD_findFrameCompressedSize(*data, *len), got;
	unsigned long long content;
	sw_rc rc;

	if (ZSTD_isError(stored))
		return sw_fail(err, SW_NOT_FOUND, "is no zstd frame, or is cut");
	content = ZSTD_getFrameContentSize(*data, *len);
	if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR || content > max)
		return sw_fail(err, SW_CORRUPT, "has a frame of a length that it cannot have");
	rc = sw_buf_reserve(buf, (size_t)content + 1, err);
	if (rc != SW_OK)
		return rc;
	got = ZSTD_decompress(buf->data, (size_t)content, *data, stored);
	if (ZSTD_isError(got))
		return sw_fail(err, SW_CORRUPT, "decompressing: %s", ZSTD_getErrorName(got));
	buf->len = got;
	*data += stored;
	*len -= stored;
	return SW_OK;
}

struct head {
	struct sw_stretch edges; /* without items */
	uint64_t lines;
	bool summaries;
	json_t *json;
};

static void
release_head(struct head *head)
{
	sw_stretch_release(&head->edges);
	json_decref(head->json);
}

static sw_rc
check_place(const struct sw_index_object_place *place, const struct head *head, struct sw_error *err)
{
	uint64_t system_identifier, segment_size, group, timeline, first, last;
	sw_rc rc = sw_json_u64_text(head->json, "system_identifier", &system_identifier, err);

	if (rc == SW_OK)
		rc = sw_json_u64(head->json, "segment_size", UINT32_MAX, &segment_size, err);
	if (rc == SW_OK)
		rc = sw_json_u64(head->json, "timeline", UINT32_MAX, &timeline, err);
	if (rc == SW_OK)
		rc = sw_json_u64(head->json, "group", INT64_MAX, &group, err);
	if (rc == SW_OK && (system_identifier != place->repo->reg.system_identifier ||
		segment_size != place->repo->reg.segment_size || timeline != place->timeline || group != place->group))
		rc = sw_fail(err, SW_CORRUPT, "is of another group, timeline or cluster");
	if (rc == SW_OK)
		rc = get_segment(place, head->json, "first", &first, err);
	if (rc == SW_OK)
		rc = get_segment(place, head->json, "last", &last, err);
	if (rc == SW_OK && (first != head->edges.first || last != head->edges.last))
		rc = fail_key("first", err);
	return rc;
}

/* ret_head: zeroed; released by the caller in any case. */
static sw_rc
read_head(const struct sw_index_object_place *place, const uint8_t **data, size_t *len, struct head *ret_head,
	struct sw_error *err)
{
	struct sw_stretch *edges = &ret_head->edges;
	SW_AUTO_BUF text;
	sw_rc rc;

	sw_buf_init(&text, SW_INDEX_HEAD_MAX + 1);
	rc = read_frame(data, len, SW_INDEX_HEAD_MAX, &text, err);
	if (rc == SW_OK)
		rc = sw_json_parse(text.data, text.len, "index", INDEX_VERSION, &ret_head->json, err);
	edges->first = place->group * SW_INDEX_GROUP;
	edges->last = edges->first + SW_INDEX_GROUP - 1;
	if (rc == SW_OK)
		rc = check_place(place, ret_head, err);
	if (rc == SW_OK)
		rc = sw_json_u64(ret_head->json, "lines", LINES_MAX, &ret_head->lines, err);
	if (rc == SW_OK)
		rc = sw_json_bool(ret_head->json, "summaries", &ret_head->summaries, err);
	if (rc == SW_OK)
		rc = get_begin(place, json_object_get(ret_head->json, "begin"), &edges->begin, err);
	return rc == SW_OK ? get_end(place, json_object_get(ret_head->json, "end"), &edges->end, err) : rc;
}

static sw_rc
add_item(struct sw_stretch *stretch, struct sw_stretch_item *item, struct sw_error *err)
{
	if (stretch->count == stretch->room) {
		size_t room = stretch->room == 0 ? 1 : 2 * stretch->room;
		struct sw_stretch_item *items = realloc(stretch->items, room * sizeof(*items));

		if (items == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		stretch->items = items;
		stretch->room = room;
	}
	stretch->items[stretch->count++] = *item;
	*item = (struct sw_stretch_item){0};
	return SW_OK;
}

static void
give(struct sw_stretch *stretch, struct sw_stretch *ret_stretch)
{
	*ret_stretch = *stretch;
	*stretch = (struct sw_stretch){0};
}

sw_rc
sw_index_object_brief(const struct sw_index_object_place *place, const void *data, size_t len,
	bool *ret_brief, struct sw_stretch *ret_stretch, struct sw_error *err)
{
	__attribute__((cleanup(release_head))) struct head head = {0};
	struct sw_stretch_item item = {0};
	const uint8_t *p = data;
	const json_t *brief;
	sw_rc rc = read_head(place, &p, &len, &head, err);

	brief = json_object_get(head.json, "brief");
	if (rc == SW_NOT_FOUND || (rc == SW_OK && brief == NULL)) {
		*ret_brief = false;
		return SW_OK;
	}
	if (rc == SW_OK)
		rc = sw_wal_digest_parse(brief, &item.digest, err);
	if (rc == SW_OK && item.digest.verdict != SW_WAL_COMPLETE) {
		sw_wal_digest_release(&item.digest);
		rc = fail_key("brief", err);
	}
	if (rc != SW_OK)
		return rc;
	item.has_digest = true;
	item.summary = head.summaries;
	item.first = head.edges.first;
	item.last = head.edges.last;
	rc = add_item(&head.edges, &item, err);
	sw_stretch_item_release(&item);
	if (rc != SW_OK)
		return rc;
	*ret_brief = true;
	give(&head.edges, ret_stretch);
	return SW_OK;
}

/* --- reading: lines ----------------------------------------------------------------------------- */

struct lines {
	const struct sw_index_object_place *place;
	uint64_t first, last; /* wanted */
	uint64_t next;        /* segment that must come */
	struct sw_stretch *stretch;
};

static sw_rc
get_digest(const struct lines *lines, const json_t *json, struct sw_stretch_item *item, struct sw_error *err)
{
	const json_t *digest = json_object_get(json, "digest");
	const json_t *unjoined = json_object_get(json, "unjoined");
	sw_rc rc;

	/* what is before the first one wanted does not matter any more */
	if (json_is_string(unjoined) && (item->first != lines->first || item->first % SW_INDEX_GROUP == 0) &&
		(item->unjoined = sw_stretch_words(json_string_value(unjoined))) == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	/* more is in the WAL than the line had room for */
	if (!item->boundary && json_is_true(json_object_get(json, "again")))
		return SW_OK;
	rc = sw_wal_digest_parse(digest, &item->digest, err);
	if (rc != SW_OK)
		return rc;
	item->has_digest = true;
	free(item->digest.tail);
	free(item->digest.head);
	item->digest.tail = item->digest.head = NULL;
	if (!item->boundary && item->digest.start != item->first * lines->place->repo->reg.segment_size)
		return fail_key("digest", err);
	item->summary = json_is_true(json_object_get(json, "summary"));
	return sw_stretch_item_judge(item, err);
}

static sw_rc
take_line(struct lines *lines, const json_t *json, struct sw_error *err)
{
	struct sw_stretch_item item = {.boundary = json_object_get(json, "record") != NULL};
	sw_rc rc = get_segment(lines->place, json, item.boundary ? "record" : "segment", &item.first, err);

	item.last = item.first;
	if (rc == SW_OK && item.boundary)
		rc = get_segment(lines->place, json, "ends", &item.last, err);
	if (rc != SW_OK)
		return rc;
	if (item.boundary ? item.first >= item.last || item.last != lines->next : item.first != lines->next)
		return sw_fail(err, SW_CORRUPT, "has lines in disorder");
	lines->next += !item.boundary;
	if (item.first < lines->first || item.last > lines->last)
		return SW_OK;
	rc = get_digest(lines, json, &item, err);
	if (rc == SW_OK)
		rc = add_item(lines->stretch, &item, err);
	sw_stretch_item_release(&item);
	return rc;
}

static sw_rc
take_lines(struct lines *lines, const struct sw_buf *text, uint64_t want, struct sw_error *err)
{
	const char *p = (const char *)text->data, *end = p + text->len;
	uint64_t count = 0;
	sw_rc rc = SW_OK;

	for (; rc == SW_OK && p < end && count < want; count++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		SW_AUTO_JSON *json = NULL;

		if (newline != NULL && newline - p > LINE_LEN_MAX)
			return sw_fail(err, SW_CORRUPT, "has a line that is too long");
		if (newline != NULL)
			json = json_loadb(p, (size_t)(newline - p), JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(json))
			return sw_fail(err, SW_CORRUPT, "has a line that is no JSON object");
		rc = take_line(lines, json, err);
		p = newline + 1;
	}
	if (rc == SW_OK && (p != end || count != want || lines->next % SW_INDEX_GROUP != 0 ||
		lines->next / SW_INDEX_GROUP != lines->place->group + 1))
		rc = sw_fail(err, SW_CORRUPT, "does not hold the lines that its header counts");
	return rc;
}

/* Where the record that began before the group ends: an index into the items. */
static size_t
find_tail_item(const struct sw_stretch *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->items[i].boundary && s->items[i].first == s->begin.tail_segment)
			return i;
	return 0;
}

sw_rc
sw_index_object_full(const struct sw_index_object_place *place, const void *data, size_t len,
	uint64_t first, uint64_t last, struct sw_stretch *ret_stretch, struct sw_error *err)
{
	__attribute__((cleanup(release_head))) struct head head = {0};
	SW_AUTO_STRETCH part = {.first = first, .last = last};
	struct lines lines = {.place = place, .first = first, .last = last, .stretch = &part};
	const uint8_t *p = data;
	SW_AUTO_BUF text;
	sw_rc rc;

	sw_buf_init(&text, SW_INDEX_LINES_MAX + 1);
	rc = read_head(place, &p, &len, &head, err);
	if (rc == SW_OK)
		rc = read_frame(&p, &len, SW_INDEX_LINES_MAX, &text, err);
	if (rc == SW_NOT_FOUND)
		rc = sw_fail(err, SW_CORRUPT, "is cut, or no index");
	if (rc == SW_OK && len > 0)
		rc = sw_fail(err, SW_CORRUPT, "has more than two frames");
	lines.next = head.edges.first;
	if (rc == SW_OK)
		rc = take_lines(&lines, &text, head.lines, err);
	if (rc != SW_OK)
		return rc;
	if (first == head.edges.first) {
		part.begin = head.edges.begin;
		head.edges.begin = (struct sw_stretch_begin){0};
		part.begin.tail_item = find_tail_item(&part);
	}
	if (last == head.edges.last) {
		part.end = head.edges.end;
		head.edges.end = (struct sw_stretch_end){0};
	}
	give(&part, ret_stretch);
	return SW_OK;
}
