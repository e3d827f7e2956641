/*
 * The digests of a timeline's WAL, in order: from segments, from index objects, over borders, past damage.
 */
#include "archive/index.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <zstd.h>

#include "archive/index_object.h"
#include "archive/stretch.h"
#include "base/json.h"
#include "base/log.h"
#include "wal_repo.h"

#define MB WAL_REPO_MB
#define T0 INT64_C(1795262400000000)
#define MINUTE INT64_C(60000000)
#define FIRST 250 /* segments that are there: the last of group 0, groups 1 and 2, the first of group 3 */
#define LAST 772
#define COUNT (LAST - FIRST + 1)
#define XID 1000
#define SUBXIDS 300000 /* a COMMIT of more than a segment */

static struct wal_repo r;
static struct wal_maker w;
static int warnings;
static char warning[2000];
static pthread_mutex_t warning_mutex = PTHREAD_MUTEX_INITIALIZER;

static void
count_warning(enum sw_log_level level, const char *text)
{
	pthread_mutex_lock(&warning_mutex);
	if (level <= SW_LOG_WARNING) {
		warnings++;
		snprintf(warning, sizeof(warning), "%s", text);
	}
	pthread_mutex_unlock(&warning_mutex);
}

/* --- WAL ------------------------------------------------------------------------------ */

static bool
is_one_of(uint64_t segment, const uint64_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == segment)
			return true;
	return false;
}

/* Their last COMMIT ends in the next segment, or in the one behind that. */
static const uint64_t over_one[] = {300, 767}, over_two[] = {400, 510};

/* Until 32 bytes before `end`, a page's. */
static void
fill_until(struct wal_maker *m, sw_lsn end)
{
	uint8_t data[512] = {254};
	uint32_t len;

	wal_repo_fill(m, end - 400);
	len = (uint32_t)(end - 32 - m->at) - 24 - 5;
	memcpy(data + 1, &len, 4);
	maker_add(m, 24 + 5 + len, 0, 11, 0, data);
}

/* A COMMIT with so many subtransactions that it fills a segment. */
static void
commit_long(uint32_t xid, int64_t time_us)
{
	uint32_t len = 16 + 4 * SUBXIDS, xinfo = 2, count = SUBXIDS, subxid = 5000000;
	uint8_t *data = malloc(5 + len);
	int64_t time = time_us - WAL_REPO_PG_EPOCH;

	data[0] = 254;
	memcpy(data + 1, &len, 4);
	memcpy(data + 5, &time, 8);
	memcpy(data + 13, &xinfo, 4);
	memcpy(data + 17, &count, 4);
	for (uint32_t i = 0; i < count; i++, subxid++)
		memcpy(data + 21 + (size_t)4 * i, &subxid, 4);
	maker_add(&w, 24 + 5 + len, xid, 1, 0x80, data);
	free(data);
}

static void
make_segment(uint64_t segment)
{
	int64_t time_us = T0 + (int64_t)segment * MINUTE;
	uint32_t xid = XID + 2 * (uint32_t)segment;
	char name[32];

	wal_repo_end(&w, segment % 7 != 0, xid, time_us, NULL, 0);
	if (segment % 50 == 0) {
		snprintf(name, sizeof(name), "p%" PRIu64, segment);
		wal_repo_point(&w, name, time_us + 1);
	}
	if (segment % 10 == 0)
		wal_repo_checkpoint(&w, xid + 2, time_us + 1000000);
	if (is_one_of(segment, over_one, 2)) {
		fill_until(&w, (segment + 1) * MB);
		wal_repo_end(&w, true, xid + 1, time_us + 2, NULL, 0);
	} else if (is_one_of(segment, over_two, 2)) {
		fill_until(&w, (segment + 1) * MB);
		commit_long(xid + 1, time_us + 2);
	}
}

/* All but a segment that a record fills ends with a switch, unless a record goes on behind it. */
static void
make_wal(void)
{
	maker_init(&w, 8192, MB, COUNT + 1, FIRST * (sw_lsn)MB);
	w.prev = 0;
	for (uint64_t segment = FIRST; segment <= LAST; segment++) {
		if (w.at >= (segment + 1) * MB)
			continue;
		make_segment(segment);
		if (w.at < (segment + 1) * MB)
			maker_switch(&w);
	}
}

/* With its digest, as push does it, or with another. */
static void
put_segment(const struct wal_maker *maker, uint64_t segment, const struct sw_wal_digest *digest)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = 1, .segment = segment};
	struct sw_wal_summary summary = {.timeline = 1, .system_identifier = MAKER_SYSTEM_ID, .segment_size = MB,
		.start = segment * MB, .end = (segment + 1) * MB};
	struct sw_wal_digester_params wal = {.start = segment * MB, .segment_size = MB, .timeline = 1,
		.system_identifier = MAKER_SYSTEM_ID, .block_size = 8192, .next_xid = XID + 2 * LAST};
	char object[SW_STORE_NAME_MAX + 8], path[4200];
	struct sw_object_source source = {.path = path, .level = 1, .memory_max = 2 * MB, .wal = digest == NULL ? &wal : NULL};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_object encoded;
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	sw_wal_name_format(&name, MB, summary.name);
	snprintf(path, sizeof(path), "%s/file", r.dir);
	rc = sw_file_write(path, maker_byte(maker, segment * MB), MB, 0600, &err);
	source.fd = fd = open(path, O_RDONLY | O_CLOEXEC);
	if (digest != NULL) {
		summary.digest = malloc(sizeof(*digest));
		*summary.digest = *digest;
	}
	if (rc == SW_OK)
		rc = sw_object_make(&source, &summary, &encoded, &err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_object_body(&encoded);
		SW_AUTO_FREE uint8_t *bytes = malloc(body.len);

		rc = sw_store_body_read(&body, 0, bytes, body.len, &err);
		snprintf(object, sizeof(object), "repo/%swal/00000001/%s.zst", r.repo.prefix, summary.name);
		/* not by the store: five hundred times fsync */
		scratch_file(r.dir, object, bytes, body.len);
		sw_object_release(&encoded);
		sw_wal_summary_release(&summary);
	}
	if (rc != SW_OK)
		tap_note("%s: %s", summary.name, err.text);
}

static void
put_digested(const struct wal_maker *maker, uint64_t segment)
{
	put_segment(maker, segment, NULL);
}

static void
put_as_unknown(const struct wal_maker *maker, uint64_t segment, uint16_t magic)
{
	put_segment(maker, segment, &(struct sw_wal_digest){.verdict = SW_WAL_UNKNOWN, .start = segment * MB,
		.valid_to = segment * MB, .magic = magic, .reason = "not known", .ends_below = UINT64_MAX});
}

/* --- files of the repository ------------------------------------------------------------- */

static char *
object_path(const char *object, char path[8192])
{
	snprintf(path, 8192, "%s/repo/%s", r.dir, object);
	return path;
}

static char *
wal_path(uint64_t segment, char path[8192])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = 1, .segment = segment};
	char object[SW_STORE_NAME_MAX];

	return object_path(sw_repository_wal_name(&r.repo, &name, object), path);
}

static char *
index_path(uint64_t group, char path[8192])
{
	char object[SW_STORE_NAME_MAX];

	return object_path(sw_index_object_name(&r.repo, 1, group, object), path);
}

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static struct sw_buf
read_file(const char *path)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf = {0};

	if (sw_file_read(path, 64 * MB, &buf, &err) != SW_OK)
		tap_note("%s", err.text);
	return buf;
}

static void
write_file(const char *path, const void *data, size_t len)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		tap_note("%s: %s", path, strerror(errno));
	close(fd);
}

static void
drop_indexes(void)
{
	char path[8192];

	for (uint64_t group = 0; group < 4; group++)
		unlink(index_path(group, path));
}

/* --- walks ------------------------------------------------------------------------------------ */

struct told {
	struct sw_buf text; /* a line for each item */
	uint64_t items, segments, boundaries, problems, unjoined, read_whole, commits, aborts, points;
	char problem[2000]; /* the last one */
	uint64_t problem_at, next;
	bool in_order;
	uint64_t stop_after;
	sw_rc stop_with;
	unsigned ticks;
};

static void
release_told(struct told *t)
{
	sw_buf_release(&t->text);
}
#define SW_AUTO_TOLD __attribute__((cleanup(release_told))) struct told

static sw_rc
note_item(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct told *t = ctx;
	SW_AUTO_JSON *json = item->digest == NULL ? NULL : sw_wal_digest_json(item->digest, 1 << 20, true);
	SW_AUTO_FREE char *digest = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	t->items++;
	t->boundaries += item->boundary;
	t->unjoined += item->unjoined;
	if (!item->boundary) {
		t->in_order = t->in_order && item->first >= t->next && item->last >= item->first;
		t->next = item->last + 1;
		t->segments += item->last - item->first + 1;
		t->read_whole += !item->summary;
	} else {
		t->in_order = t->in_order && item->first < t->next && item->last == t->next;
	}
	if (item->problem != NULL) {
		t->problems++;
		t->problem_at = item->first;
		snprintf(t->problem, sizeof(t->problem), "%s", item->problem);
	}
	if (item->digest != NULL) {
		t->commits += item->digest->commits;
		t->aborts += item->digest->aborts;
		t->points += item->digest->point_count;
	}
	sw_buf_printf(&t->text, err, "%" PRIu64 "-%" PRIu64 " %d %d %s %s\n", item->first, item->last, item->boundary,
		item->unjoined, item->problem != NULL ? item->problem : "", digest != NULL ? digest : "");
	if (t->items == t->stop_after)
		return t->stop_with == SW_CONFLICT ? SW_CONFLICT : sw_fail(err, t->stop_with, "the listener failed");
	return SW_OK;
}

static void
note_tick(void *ctx, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	((struct told *)ctx)->ticks++;
}

static const struct sw_index_range all[] = {{FIRST, LAST}};

static sw_rc
walk_ranges(struct told *t, enum sw_index_detail detail, unsigned workers, bool fold, const struct sw_index_range *ranges,
	size_t count)
{
	struct sw_index_params params = {.repo = &r.repo, .timeline = 1, .ranges = ranges, .range_count = count,
		.detail = detail, .workers = workers, .fold = fold, .tick = note_tick, .tick_ctx = t};
	struct sw_error err = SW_ERROR_INIT;
	struct told fresh = {.stop_after = t->stop_after, .stop_with = t->stop_with, .in_order = true};
	sw_rc rc;

	release_told(t);
	*t = fresh;
	sw_buf_init(&t->text, 64 << 20);
	warnings = 0;
	rc = sw_index_walk(&params, note_item, t, &err);
	if (rc != SW_OK)
		snprintf(t->problem, sizeof(t->problem), "%s", err.text);
	return rc;
}

static sw_rc
walk(struct told *t, enum sw_index_detail detail, bool fold)
{
	return walk_ranges(t, detail, 8, fold, all, 1);
}

static bool
same(const struct told *a, const struct told *b)
{
	return a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
}

static void
test_fresh(struct told *full)
{
	SW_AUTO_TOLD one = {0};
	uint64_t ends = COUNT + 4 - 2; /* two segments have nothing but a part of a COMMIT */
	char path[8192];

	tap_is_int(walk(full, SW_INDEX_FULL, false), SW_OK, "all segments are walked");
	tap_note("%s", full->problem);
	tap_is_int((long long)full->segments, COUNT, "each once");
	tap_ok(full->in_order, "in order");
	tap_is_int((long long)full->problems, 0, "nothing is wrong with them");
	tap_is_int((long long)full->read_whole, 0, "their summaries say all");
	tap_is_int((long long)full->boundaries, 4, "four commits lie across borders");
	tap_is_int((long long)(full->commits + full->aborts), (long long)ends, "every commit and abort is told");
	tap_is_int((long long)full->points, 11, "every restore point is told");
	tap_ok(strstr((char *)full->text.data, "\n300-301 1 ") != NULL && strstr((char *)full->text.data, "\n400-402 1 ") != NULL &&
		strstr((char *)full->text.data, "\n510-512 1 ") != NULL && strstr((char *)full->text.data, "\n767-768 1 ") != NULL,
		"they are where they belong, also over three segments");
	tap_is_int(walk_ranges(&one, SW_INDEX_FULL, 1, false, all, 1), SW_OK, "one worker");
	tap_ok(same(full, &one), "tells the same");
	tap_is_int(walk(&one, SW_INDEX_FRESH, true), SW_OK, "a fresh walk");
	tap_ok(same(full, &one), "tells the same");
	tap_ok(!is_there(index_path(1, path)) && !is_there(index_path(2, path)), "nothing was folded so far");
}

/* --- index objects --------------------------------------------------------------------------- */

static void
test_fold(const struct told *full)
{
	char path[8192], other[8192], hidden[8200];
	SW_AUTO_TOLD brief = {0};
	SW_AUTO_TOLD again = {0};
	struct stat before, after;

	tap_is_int(walk(&brief, SW_INDEX_BRIEF, true), SW_OK, "a brief walk that folds");
	tap_ok(is_there(index_path(1, path)) && is_there(index_path(2, other)), "whole groups are folded");
	tap_ok(!is_there(index_path(0, path)) && !is_there(index_path(3, other)), "parts of groups are not");
	tap_is_int((long long)brief.segments, COUNT, "all segments are in the brief walk");
	tap_is_int((long long)brief.items, 6 + 1 + 1 + 1 + 1 + 5, "a group is one item");
	tap_ok(brief.commits == full->commits && brief.aborts == full->aborts && brief.points == full->points,
		"no commit and no restore point is lost");
	index_path(1, path);
	stat(path, &before);
	tap_is_int(walk(&again, SW_INDEX_BRIEF, true), SW_OK, "again, from the index");
	tap_ok(same(&brief, &again), "the same is told");
	stat(path, &after);
	tap_ok(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec, "nothing was folded twice");
	tap_is_int(walk(&again, SW_INDEX_FULL, true), SW_OK, "all, from the index");
	tap_ok(same(full, &again), "is all that the segments told");

	wal_path(333, path);
	snprintf(hidden, sizeof(hidden), "%s~", path);
	rename(path, hidden);
	tap_ok(walk(&again, SW_INDEX_FULL, true) == SW_OK && same(full, &again), "it comes from the index indeed");
	tap_ok(walk(&again, SW_INDEX_BRIEF, true) == SW_OK && same(&brief, &again), "in brief, too");
	tap_is_int(walk(&again, SW_INDEX_FRESH, true), SW_OK, "a fresh walk");
	tap_ok(again.problems == 1 && again.problem_at == 333 && strstr(again.problem, "not there") != NULL,
		"finds out that a segment is gone");
	tap_is_int((long long)again.segments, COUNT, "and goes on");
	rename(hidden, path);
}

/* What brief says of group 1 must be what its items say together. */
static void
test_brief(void)
{
	const struct sw_index_range group[] = {{256, 511}};
	SW_AUTO_TOLD brief = {0};
	SW_AUTO_TOLD full = {0};
	SW_AUTO_JSON *json = NULL;
	const char *text;
	uint64_t points;

	walk_ranges(&full, SW_INDEX_FULL, 4, true, group, 1);
	walk_ranges(&brief, SW_INDEX_BRIEF, 4, true, group, 1);
	tap_is_int((long long)brief.items, 1, "one group alone");
	text = strchr((char *)brief.text.data, '{');
	json = text == NULL ? NULL : json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	points = json_array_size(json_object_get(json, "points"));
	tap_is_int((long long)brief.commits, (long long)full.commits, "it has all commits");
	tap_is_int((long long)points, (long long)full.points, "and restore points");
	tap_is(json_string_value(json_object_get(json, "start")), "0/10000000", "from its first byte on");
	tap_is_int(json_integer_value(json_object_get(json, "xid_min")), XID + 2 * 256, "lowest xid");
	tap_is_int((long long)json_array_size(json_object_get(json, "checkpoints")), 1, "the last checkpoint");
	tap_ok(json_object_get(json, "acts") == NULL, "no acts");
	tap_is_int(json_integer_value(json_array_get(json_object_get(json, "first_end"), 0)), XID + 2 * 256, "first end");
	tap_is_int(json_integer_value(json_array_get(json_object_get(json, "last_end"), 0)), XID + 2 * 510, "last end");
}

static void
test_holes(const struct told *full)
{
	const struct sw_index_range holes[] = {{FIRST, 299}, {301, 510}, {512, 600}, {602, LAST}};
	const struct sw_index_range halves[] = {{FIRST, 300}, {301, 510}, {511, LAST}};
	SW_AUTO_TOLD t = {0};
	SW_AUTO_TOLD fresh = {0};

	tap_is_int(walk_ranges(&t, SW_INDEX_FULL, 8, true, holes, 4), SW_OK, "with holes");
	tap_ok(t.segments == COUNT - 3 && t.problems == 0 && t.in_order, "a hole is no problem of what is behind it");
	tap_is_int((long long)t.boundaries, 2, "what goes into a hole is not joined");
	walk_ranges(&fresh, SW_INDEX_FRESH, 3, true, holes, 4);
	tap_ok(same(&t, &fresh), "the segments tell the same as the index");
	tap_is_int(walk_ranges(&t, SW_INDEX_BRIEF, 8, true, holes, 4), SW_OK, "in brief");
	tap_ok(t.segments == COUNT - 3 && t.problems == 0 && same(&t, &fresh), "groups with a hole are told in full");
	tap_ok(walk_ranges(&t, SW_INDEX_FULL, 8, true, halves, 3) == SW_OK && same(&t, full), "ranges side by side are one");
}

static void
test_each(void)
{
	SW_AUTO_TOLD t = {.stop_after = 10, .stop_with = SW_CONFLICT};

	tap_is_int(walk(&t, SW_INDEX_FULL, false), SW_OK, "enough is enough");
	tap_is_int((long long)t.items, 10, "at once");
	t.stop_with = SW_DENIED;
	tap_is_int(walk(&t, SW_INDEX_FULL, false), SW_DENIED, "a listener's failure ends the walk");
	tap_is(t.problem, "the listener failed", "in its own words");
	t.stop_after = 0;
	tap_ok(walk_ranges(&t, SW_INDEX_FULL, 8, false, NULL, 0) == SW_OK && t.items == 0, "nothing to walk");
}

/* --- damaged index objects -------------------------------------------------------------------------- */

static void
test_index_damage(const struct told *full)
{
	char path[8192], other[8192];
	SW_AUTO_BUF good = {0};
	SW_AUTO_BUF two = {0};
	SW_AUTO_TOLD t = {0};
	unsigned wrong = 0, silent = 0, tries = 0;
	struct stat before, after;

	good = read_file(index_path(1, path));
	two = read_file(index_path(2, other));
	for (size_t at = 0; at < good.len; at += good.len / 12 + 1, tries++) {
		good.data[at] ^= 0x10;
		write_file(path, good.data, good.len);
		wrong += walk(&t, SW_INDEX_FULL, true) != SW_OK || !same(full, &t);
		silent += warnings == 0;
		good.data[at] ^= 0x10;
	}
	tap_is_int(wrong, 0, "a flipped byte in an index object harms nothing (%u places)", tries);
	tap_is_int(silent, 0, "and is told");
	tap_ok(strstr(warning, "index/00000001/0000000001.zst") != NULL, "by name: %s", warning);
	for (size_t len = 0; len < good.len; len += good.len / 7) {
		write_file(path, good.data, len);
		wrong += walk(&t, SW_INDEX_FULL, true) != SW_OK || !same(full, &t) || warnings == 0;
	}
	tap_is_int(wrong, 0, "nor does a cut one");
	write_file(path, two.data, two.len);
	stat(path, &before);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t) && warnings == 1, "nor one of another group");
	stat(path, &after);
	tap_ok(before.st_ino == after.st_ino, "it is left where it is");
	tap_ok(walk(&t, SW_INDEX_BRIEF, true) == SW_OK && t.commits == full->commits && warnings == 1, "in brief, too");
	write_file(path, good.data, good.len);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t) && warnings == 0, "the good one is back");
}

/* A header and lines of our own. */
static struct sw_buf
index_object(const char *head, const char *lines)
{
	const char *texts[] = {head, lines};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;

	sw_buf_init(&buf, 64 * MB);
	for (int i = 0; i < 2; i++) {
		sw_buf_reserve(&buf, ZSTD_compressBound(strlen(texts[i])), &err);
		buf.len += ZSTD_compress(buf.data + buf.len, ZSTD_compressBound(strlen(texts[i])), texts[i], strlen(texts[i]), 1);
	}
	return buf;
}

#define HEAD_REST ", \"system_identifier\": \"7710216540988632115\", \"segment_size\": 1048576, \"timeline\": 1, \"group\": 1, " \
	"\"first\": \"000000010000000000000100\", \"last\": \"0000000100000000000001FF\", \"summaries\": true, " \
	"\"begin\": {}, \"end\": {}"

static const struct hostile {
	const char *what, *head, *lines;
	sw_rc full;
} hostiles[] = {
	{"another kind", "{\"seawall\": \"wal\", \"version\": 1" HEAD_REST ", \"lines\": 1}", "{}\n", SW_CORRUPT},
	{"a newer version", "{\"seawall\": \"index\", \"version\": 2" HEAD_REST ", \"lines\": 1}", "{}\n", SW_CONFIG},
	{"no lines counted", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST "}", "", SW_CORRUPT},
	{"more lines than there can be", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 4000000000}", "{}\n",
		SW_CORRUPT},
	{"a negative count", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": -1}", "{}\n", SW_CORRUPT},
	{"no segments", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 0}", "", SW_CORRUPT},
	{"a line that is no object", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 1}", "[]\n", SW_CORRUPT},
	{"a segment of another group", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 1}",
		"{\"segment\": \"000000010000000000000200\", \"digest\": {\"verdict\": \"complete\", \"start\": \"0/20000000\"}}\n",
		SW_CORRUPT},
	{"a record that ends before it begins", "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 1}",
		"{\"record\": \"000000010000000000000101\", \"ends\": \"000000010000000000000100\", \"digest\": "
		"{\"verdict\": \"complete\", \"start\": \"0/20000000\"}}\n", SW_CORRUPT},
	{"a begin that goes through without bytes", "{\"seawall\": \"index\", \"version\": 1, \"begin\": {\"known\": true, "
		"\"through\": true, \"tail_segment\": \"000000010000000000000100\"}, \"system_identifier\": \"7710216540988632115\", "
		"\"segment_size\": 1048576, \"timeline\": 1, \"group\": 1, \"first\": \"000000010000000000000100\", "
		"\"last\": \"0000000100000000000001FF\", \"summaries\": true, \"end\": {}, \"lines\": 1}", "{}\n", SW_CORRUPT},
	{"a last segment of another group", "{\"seawall\": \"index\", \"version\": 1, \"system_identifier\": \"7710216540988632115\", "
		"\"segment_size\": 1048576, \"timeline\": 1, \"group\": 1, \"first\": \"000000010000000000000100\", "
		"\"last\": \"0000000100000000000002FF\", \"summaries\": true, \"begin\": {}, \"end\": {}, \"lines\": 1}", "{}\n", SW_CORRUPT},
	{"another cluster", "{\"seawall\": \"index\", \"version\": 1, \"system_identifier\": \"1\", "
		"\"segment_size\": 1048576, \"timeline\": 1, \"group\": 1, \"first\": \"000000010000000000000100\", "
		"\"last\": \"0000000100000000000001FF\", \"summaries\": true, \"begin\": {}, \"end\": {}, \"lines\": 1}", "{}\n", SW_CORRUPT},
};

/* JSON takes many times its length while it is read. */
static void
test_long_line(const struct sw_index_object_place *place)
{
	const char *head = "{\"seawall\": \"index\", \"version\": 1" HEAD_REST ", \"lines\": 1}";
	const size_t len = (size_t)8 * MB;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_stretch stretch = {0};
	char *line = malloc(len + 100), *p = line + sprintf(line, "{\"junk\": [");
	struct sw_buf object;

	while ((size_t)(p - line) < len)
		p += sprintf(p, "[],");
	sprintf(p, "0]}\n");
	object = index_object(head, line);
	tap_ok(sw_index_object_full(place, object.data, object.len, 256, 511, &stretch, &err) == SW_CORRUPT &&
		strstr(err.text, "too long") != NULL, "a line that is too long is not read: %s", err.text);
	sw_buf_release(&object);
	free(line);
}

static void
test_hostile_index(const struct told *full)
{
	struct sw_index_object_place place = {.repo = &r.repo, .timeline = 1, .group = 1};
	char path[8192];
	SW_AUTO_BUF good = {0};

	good = read_file(index_path(1, path));
	for (size_t i = 0; i < sizeof(hostiles) / sizeof(hostiles[0]); i++) {
		SW_AUTO_BUF bad = index_object(hostiles[i].head, hostiles[i].lines);
		struct sw_error err = SW_ERROR_INIT;
		struct sw_stretch stretch = {0};
		SW_AUTO_TOLD t = {0};

		tap_is(sw_rc_name(sw_index_object_full(&place, bad.data, bad.len, 256, 511, &stretch, &err)),
			sw_rc_name(hostiles[i].full), "an index object with %s", hostiles[i].what);
		write_file(path, bad.data, bad.len);
		tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t) && warnings == 1, "is passed over: %s", err.text);
	}
	write_file(path, good.data, good.len);
	test_long_line(&place);
}

/* The first place of `from` in the lines becomes `to`. */
static void
edit_lines(const char *path, const char *from, const char *to)
{
	SW_AUTO_BUF object = read_file(path);
	size_t first = ZSTD_findFrameCompressedSize(object.data, object.len), lens[2];
	const uint8_t *frames[2] = {object.data, object.data + first};
	char *texts[2], *at, *edited;

	for (int i = 0; i < 2; i++) {
		lens[i] = (size_t)ZSTD_getFrameContentSize(frames[i], i == 0 ? first : object.len - first);
		texts[i] = calloc(1, lens[i] + 1);
		ZSTD_decompress(texts[i], lens[i], frames[i], i == 0 ? first : object.len - first);
	}
	at = strstr(texts[1], from);
	if (!tap_ok(at != NULL, "the index says %s", from))
		at = texts[1];
	if (asprintf(&edited, "%.*s%s%s", (int)(at - texts[1]), texts[1], to, at + strlen(from)) > 0) {
		SW_AUTO_BUF made = index_object(texts[0], edited);

		write_file(path, made.data, made.len);
		free(edited);
	}
	free(texts[0]);
	free(texts[1]);
}

/* --- damaged WAL objects ------------------------------------------------------------------------------ */

static void
test_wal_damage(const struct told *full)
{
	char path[8192], index[8192];
	SW_AUTO_BUF good = {0};
	SW_AUTO_TOLD t = {0};

	drop_indexes();
	good = read_file(wal_path(600, path));
	good.data[20] ^= 1;
	write_file(path, good.data, good.len);
	good.data[20] ^= 1;
	tap_is_int(walk(&t, SW_INDEX_BRIEF, true), SW_OK, "with a damaged WAL object");
	tap_ok(t.problems == 1 && t.problem_at == 600 && strstr(t.problem, "000000010000000000000258") != NULL, "it is named: %s",
		t.problem);
	tap_is_int((long long)t.segments, COUNT, "and the walk goes on");
	tap_ok(is_there(index_path(1, index)), "the sound group is folded");
	tap_ok(!is_there(index_path(2, index)), "the one with damage is not");
	write_file(path, good.data, good.len);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t), "a good object put back is read");
	tap_ok(is_there(index_path(2, index)), "and its group folded");
	drop_indexes();
	((char *)memmem(good.data, good.len, "7710216540988632115", 19))[18] = '6';
	write_file(path, good.data, good.len);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && t.problems == 1 && strstr(t.problem, "another cluster") != NULL,
		"an object of another cluster is no WAL of this one");
	((char *)memmem(good.data, good.len, "7710216540988632116", 19))[18] = '5';
	drop_indexes();
	unlink(wal_path(600, path));
	wal_repo_segments(&r, &w, 1, 600, 1);
	tap_is_int(walk(&t, SW_INDEX_FULL, true), SW_OK, "with an object whose summary says nothing of its WAL");
	tap_ok(t.read_whole == 1 && t.problems == 0 && t.commits == full->commits, "its WAL is read");
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && t.read_whole == 1 && same(&t, full) == same(full, &t),
		"and found in the index afterwards");
	write_file(path, good.data, good.len);
	drop_indexes();
}

/* WAL that is broken, and WAL that does not follow what is before it. */
static void
test_broken_wal(const struct told *full)
{
	char path[8192], index[8192];
	SW_AUTO_BUF good = {0};
	SW_AUTO_BUF next = {0};
	SW_AUTO_TOLD t = {0};
	SW_AUTO_TOLD again = {0};
	struct wal_maker other;

	good = read_file(wal_path(600, path));
	unlink(path);
	maker_init(&other, 8192, MB, 1, 600 * (sw_lsn)MB);
	other.prev = 600 * (sw_lsn)MB - 4096;
	wal_repo_end(&other, true, XID + 1200, T0, NULL, 0);
	wal_repo_end(&other, true, XID + 1200, T0, NULL, 0);
	maker_byte(&other, other.last)[30] ^= 1;
	maker_switch(&other);
	put_digested(&other, 600);
	tap_is_int(walk(&t, SW_INDEX_BRIEF, true), SW_OK, "with broken WAL that follows nothing");
	tap_ok(t.problems == 1 && t.problem_at == 600 && t.unjoined == 1, "both are told: %s", t.problem);
	tap_ok(strstr(t.problem, "0/25800028") != NULL && strstr(t.problem, "; ") != NULL, "with its LSN");
	tap_ok(is_there(index_path(2, index)), "its group is folded, it will not become better");
	tap_is_int((long long)t.items, 6 + 1 + 1 + 256 + 1 + 5, "and told in full");
	tap_ok(walk(&again, SW_INDEX_BRIEF, true) == SW_OK && same(&t, &again), "again, from the index");
	walk(&again, SW_INDEX_FULL, true);
	walk(&t, SW_INDEX_FRESH, true);
	tap_ok(same(&t, &again), "in full");
	edit_lines(index, "{\"segment\":\"000000010000000000000258\",",
		"{\"segment\":\"000000010000000000000258\",\"again\":true,");
	tap_is_int(walk(&again, SW_INDEX_FULL, true), SW_OK, "where the index had no room for all");
	tap_ok(again.problems == 1 && again.problem_at == 600 && again.unjoined == 1 && again.read_whole == 1 && warnings == 0,
		"the segment is read, and both are told");
	tap_is(again.problem, t.problem, "in the same words");
	maker_release(&other);
	drop_indexes();
	write_file(path, good.data, good.len);

	/* the same where two groups meet */
	next = read_file(wal_path(768, path));
	unlink(path);
	maker_init(&other, 8192, MB, 1, 768 * (sw_lsn)MB);
	other.prev = 768 * (sw_lsn)MB - 4096;
	wal_repo_record(&other, 0, 11, 0, "22 bytes, and the switch", 22); /* is where it was */
	maker_switch(&other);
	put_digested(&other, 768);
	tap_is_int(walk(&t, SW_INDEX_BRIEF, true), SW_OK, "with a group that does not follow the one before");
	tap_ok(t.problems == 1 && t.problem_at == 768 && t.unjoined == 1 && strstr(t.problem, "0/30000028") != NULL &&
		strstr(t.problem, "0/2FFFF000") != NULL && strstr(t.problem, "0/2FFFFE") != NULL, "both LSNs are told: %s", t.problem);
	tap_ok(t.commits == full->commits - 2 && t.boundaries == 1, "what went on there is not joined");
	tap_ok(walk(&again, SW_INDEX_BRIEF, true) == SW_OK && same(&t, &again), "again, from the index");
	maker_release(&other);
	drop_indexes();
	write_file(path, next.data, next.len);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t), "all is well again");
}

/* WAL that says more than a summary holds, which must be read. */
static sw_rc
add_memory(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	size_t *sums = ctx;

	(void)err;
	sums[0] += sw_wal_digest_memory(item->digest);
	sums[1] += item->digest->truncated;
	sums[2] += item->problem != NULL;
	return SW_OK;
}

static void
test_much_to_tell(void)
{
	static uint8_t data[5 + 16 + 12 * 4000];
	struct sw_index_range range = {1024, 1039};
	struct sw_index_params params = {.repo = &r.repo, .timeline = 1, .ranges = &range, .range_count = 1,
		.detail = SW_INDEX_FULL, .workers = 8};
	uint32_t len = sizeof(data) - 5, has = 4, count = 4000, file[3] = {1663, 5, 20000};
	struct sw_error err = SW_ERROR_INIT;
	struct wal_maker m;
	size_t sums[3] = {0};

	data[0] = 254;
	memcpy(data + 1, &len, 4);
	memcpy(data + 13, &has, 4);
	memcpy(data + 17, &count, 4);
	for (uint32_t i = 0; i < count; i++, file[2]++)
		memcpy(data + 21 + (size_t)12 * i, file, 12);
	maker_init(&m, 8192, MB, 16, range.first * (sw_lsn)MB);
	for (uint64_t segment = range.first; segment <= range.last; segment++) {
		for (uint32_t xid = 700; m.at < (segment + 1) * MB - 50000; xid++)
			maker_add(&m, 24 + sizeof(data), xid, 1, 0x80, data);
		maker_switch(&m);
	}
	wal_repo_segments(&r, &m, 1, range.first, 16);
	tap_is_int(sw_index_walk(&params, add_memory, sums, &err), SW_OK, "sixteen segments that say a megabyte each");
	tap_ok(sums[0] < (size_t)8 * MB, "are told in a few (%zu)", sums[0]);
	tap_ok(sums[1] > 8 && sums[1] < 16 && sums[2] == 0, "the last ones cut, which is told (%zu)", sums[1]);
	maker_release(&m);
}

/* Pushed by a Seawall that did not know the format of the WAL: it is read as soon as one does. */
static void
test_unknown(void)
{
	const struct sw_index_range range = {2 * SW_INDEX_GROUP * 4, 2 * SW_INDEX_GROUP * 4 + SW_INDEX_GROUP - 1};
	struct wal_maker m;
	char path[8192];

	maker_init(&m, 8192, MB, SW_INDEX_GROUP, range.first * (sw_lsn)MB);
	for (uint64_t segment = range.first; segment <= range.last; segment++) {
		/* the last one's is known by now */
		m.magic = segment == range.last ? 0xD110 : 0xD1FF;
		wal_repo_end(&m, true, 700 + (uint32_t)(segment - range.first), T0, NULL, 0);
		maker_switch(&m);
		put_as_unknown(&m, segment, m.magic);
	}
	for (int walks = 0; walks < 2; walks++) {
		SW_AUTO_TOLD t = {0};

		tap_is_int(walk_ranges(&t, SW_INDEX_BRIEF, 8, true, &range, 1), SW_OK, "WAL that was not known: %s", t.problem);
		tap_ok(t.segments == SW_INDEX_GROUP && t.commits == 1 && t.read_whole == 1, "... is read where it is now (%d, %d)",
			(int)t.commits, (int)t.read_whole);
		tap_ok(!is_there(index_path(range.first / SW_INDEX_GROUP, path)), "... and not indexed while it is not");
	}
	maker_release(&m);
}

static void
test_denied(const struct told *full)
{
	char dir[8192];
	SW_AUTO_TOLD t = {0};

	drop_indexes();
	if (geteuid() == 0) {
		tap_ok(true, "denied writes # SKIP root is never denied");
		return;
	}
	index_path(1, dir);
	*strrchr(dir, '/') = '\0';
	chmod(dir, 0500);
	tap_ok(walk(&t, SW_INDEX_FULL, true) == SW_OK && same(full, &t) && warnings == 0, "who may not write does without an index");
	chmod(dir, 0700);
}

/* --- stretches --------------------------------------------------------------------------------------- */

/* The digest of `count` bytes of a maker's from `start` on. */
static struct sw_stretch
stretch_of(const struct wal_maker *maker, uint64_t segment)
{
	struct sw_wal_digester_params params = {.start = segment * MB, .segment_size = MB, .timeline = 1,
		.system_identifier = MAKER_SYSTEM_ID, .block_size = 8192, .next_xid = 700};
	struct sw_stretch_item item = {.first = segment, .last = segment, .has_digest = true};
	struct sw_wal_digester *digester = NULL;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_stretch stretch = {0};
	sw_rc rc = sw_wal_digester_new(&params, NULL, &digester, &err);

	if (rc == SW_OK)
		rc = sw_stage_write(sw_wal_digester_stage(digester), maker_byte(maker, segment * MB), MB, &err);
	if (rc == SW_OK)
		rc = sw_stage_finish(sw_wal_digester_stage(digester), &err);
	if (rc == SW_OK)
		rc = sw_wal_digester_take(digester, &item.digest, &err);
	if (rc == SW_OK)
		rc = sw_stretch_of(&item, &stretch, &err);
	sw_wal_digester_free(digester);
	if (rc != SW_OK)
		tap_note("%s", err.text);
	return stretch;
}

/* Join segments in each of the orders that workers may happen to take: all must give the same. */
static bool
joins_alike(const struct wal_maker *maker, uint64_t first, unsigned count, struct sw_stretch *ret_stretch)
{
	char texts[8][4000];
	struct sw_error err = SW_ERROR_INIT;
	unsigned ways = count > 1 ? count - 1 : 1;

	for (unsigned way = 0; way < ways; way++) {
		struct sw_stretch left = stretch_of(maker, first), right = stretch_of(maker, first + way + 1);

		for (unsigned i = 1; i <= way; i++) {
			struct sw_stretch next = stretch_of(maker, first + i);

			sw_stretch_join(&left, &next, &r.repo.reg, &err);
		}
		for (unsigned i = way + 2; i < count; i++) {
			struct sw_stretch next = stretch_of(maker, first + i);

			sw_stretch_join(&right, &next, &r.repo.reg, &err);
		}
		sw_stretch_join(&left, &right, &r.repo.reg, &err);
		snprintf(texts[way], sizeof(texts[way]), "%d %d %" PRIX64 " %" PRIX64 " | %d %" PRIX64 " %d:", left.begin.known,
			left.begin.through, left.begin.first, left.begin.first_prev, left.end.known, left.end.last,
			left.end.head != NULL);
		for (size_t i = 0; i < left.count; i++) {
			size_t len = strlen(texts[way]);

			snprintf(texts[way] + len, sizeof(texts[way]) - len, " %" PRIu64 "%s%" PRIu64 " (%s)", left.items[i].first,
				left.items[i].boundary ? "~" : "-", left.items[i].last,
				left.items[i].unjoined != NULL ? left.items[i].unjoined : "");
		}
		if (way == 0)
			*ret_stretch = left;
		else
			sw_stretch_release(&left);
		if (strcmp(texts[0], texts[way]) != 0) {
			tap_note("%s", texts[0]);
			tap_note("%s", texts[way]);
			return false;
		}
	}
	return true;
}

static const char *
first_unjoined(const struct sw_stretch *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].unjoined != NULL)
			return s->items[i].unjoined;
	return "";
}

/* A COMMIT over three borders, in each order of joining. */
static void
test_long_record(void)
{
	struct wal_maker m, keep = w;
	struct sw_stretch s = {0};

	maker_init(&m, 8192, MB, 6, MB);
	w = m;
	wal_repo_end(&w, true, 601, T0, NULL, 0);
	fill_until(&w, 2 * MB);
	commit_long(602, T0 + 1);
	/* segment 3 has the end of one and the begin of the next, and no record of its own */
	commit_long(603, T0 + 2);
	wal_repo_end(&w, true, 604, T0, NULL, 0);
	fill_until(&w, 5 * MB);
	commit_long(605, T0 + 3);
	maker_switch(&w);
	m = w;
	w = keep;
	tap_ok(joins_alike(&m, 1, 6, &s), "records over three segments, joined in any order");
	tap_is_int((long long)s.count, 9, "six segments and three records");
	tap_is(first_unjoined(&s), "", "that fit");
	sw_stretch_release(&s);
	/* the segment in the middle is another one */
	maker_byte(&m, 2 * MB + 100000)[0] ^= 1;
	tap_ok(joins_alike(&m, 1, 6, &s), "with a wrong byte in the middle");
	tap_ok(strstr(first_unjoined(&s), "CRC") != NULL, "the record does not fit: %s", first_unjoined(&s));
	sw_stretch_release(&s);
	maker_release(&m);
}

/* A server that crashed in a record across a border overwrites it. */
static void
test_overwritten(void)
{
	struct wal_maker m;
	struct sw_stretch s = {0};
	sw_lsn aborted, prev;

	maker_init(&m, 8192, MB, 3, MB);
	wal_repo_end(&m, true, 601, T0, NULL, 0);
	fill_until(&m, 2 * MB);
	prev = m.last;
	aborted = m.at;
	wal_repo_end(&m, true, 602, T0, NULL, 0);
	m.at = 2 * MB;
	maker_overwrite(&m, aborted, prev);
	wal_repo_end(&m, true, 603, T0, NULL, 0);
	maker_switch(&m);
	wal_repo_end(&m, true, 604, T0, NULL, 0);
	maker_switch(&m);
	tap_ok(joins_alike(&m, 1, 3, &s), "an overwritten record at a border");
	tap_is(first_unjoined(&s), "", "is no problem");
	tap_is_int((long long)s.count, 3, "and not told");
	sw_stretch_release(&s);
	maker_release(&m);

	/* a longer one, whose second part is there */
	maker_init(&m, 8192, MB, 3, MB);
	wal_repo_end(&m, true, 601, T0, NULL, 0);
	fill_until(&m, 2 * MB);
	prev = m.last;
	aborted = m.at;
	maker_add(&m, 20000, 602, 11, 0, NULL);
	m.at = 2 * MB + 8192;
	maker_overwrite(&m, aborted, prev);
	maker_switch(&m);
	wal_repo_end(&m, true, 604, T0, NULL, 0);
	maker_switch(&m);
	tap_ok(joins_alike(&m, 1, 3, &s), "one that was overwritten behind the border");
	tap_is(first_unjoined(&s), "", "is no problem");
	sw_stretch_release(&s);
	maker_release(&m);
}

int
main(void)
{
	SW_AUTO_TOLD full = {0};

	sw_log_init(SW_LOG_WARNING, count_warning);
	if (!wal_repo_make(&r))
		return tap_done();
	make_wal();
	for (uint64_t segment = FIRST; segment <= LAST; segment++)
		put_digested(&w, segment);
	test_long_record();
	test_overwritten();
	test_fresh(&full);
	test_fold(&full);
	test_brief();
	test_holes(&full);
	test_each();
	test_index_damage(&full);
	test_hostile_index(&full);
	test_wal_damage(&full);
	test_broken_wal(&full);
	test_much_to_tell();
	test_unknown();
	test_denied(&full);
	maker_release(&w);
	wal_repo_release(&r);
	return tap_done();
}
