/*
 * Archived WAL, walked record by record: over segments, timelines, damage and holes.
 */
#include "archive/walk.h"

#include <inttypes.h>
#include <stdio.h>

#include "archive/index.h"
#include "wal_repo.h"

#define MB WAL_REPO_MB
#define T0 INT64_C(1795262400000000)

static struct wal_repo r;

struct seen {
	uint64_t records, commits;
	sw_lsn first, last, prev_end;
	uint32_t last_timeline;
	bool ordered;
	uint64_t enough_at; /* 0: never */
	sw_rc fail;
};

static sw_rc
note_record(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct seen *s = ctx;

	if (s->records == 0)
		s->first = record->lsn;
	s->ordered &= record->lsn >= s->prev_end;
	s->prev_end = record->end;
	s->last = record->lsn;
	s->last_timeline = record->timeline;
	s->records++;
	s->commits += event->kind == SW_WAL_COMMIT;
	if (s->fail != SW_OK)
		return sw_fail(err, s->fail, "it was told to");
	return s->records == s->enough_at ? SW_CONFLICT : SW_OK;
}

static sw_rc
walk(const struct sw_walk_span *spans, size_t count, struct seen *seen, struct sw_walk_result *result, struct sw_error *err)
{
	seen->ordered = true;
	return sw_walk(&r.repo, spans, count, note_record, seen, result, err);
}

/*
 * Timeline 1: segments 2 … 5, a commit in each; a long record lies over the border of 3 and 4; segment 5 ends early.
 * Timeline 2 leaves 1 within segment 4 and goes on to a switch at the end of 5.  Timeline 3 has segment 2, broken.
 */
static sw_lsn fork_at, broken_at, last_of_one;
static uint64_t records_of_one, records_of_two;

static void
make_wal(void)
{
	struct wal_maker one, two;
	uint64_t count = 0;

	maker_init(&one, 8192, MB, 4, 2 * MB);
	for (uint64_t segment = 2; segment < 6; segment++) {
		wal_repo_end(&one, true, 700 + (uint32_t)segment, T0, NULL, 0);
		count++;
		while (one.at < (segment + 1) * MB - 600000) {
			maker_add(&one, 8000, 0, 11, 0, NULL);
			count++;
		}
		if (segment == 4) {
			fork_at = one.at;
			records_of_two = count;
			maker_init(&two, 8192, MB, 6, 2 * MB);
			memcpy(two.bytes, one.bytes, one.at - one.start);
			two.at = one.at;
			two.prev = one.prev;
			two.timeline = 2;
		}
		while (segment < 5 && one.at < (segment + 1) * MB - 100000) {
			maker_add(&one, 8000, 0, 11, 0, NULL);
			count++;
		}
		if (segment < 5) {
			maker_add(&one, 200000, 0, 11, 0, NULL);
			count++;
		}
	}
	records_of_one = count;
	last_of_one = one.last;
	wal_repo_segments(&r, &one, 1, 2, 4);
	for (; two.at < 6 * MB - 9000; records_of_two++)
		maker_add(&two, 8000, 0, 11, 0, NULL);
	maker_switch(&two);
	records_of_two++;
	wal_repo_segments(&r, &two, 2, 4, 2);
	broken_at = 2 * MB + 300000;
	*maker_byte(&one, broken_at) ^= 1;
	wal_repo_segments(&r, &one, 3, 2, 1);
	maker_release(&one);
	maker_release(&two);
}

static void
test_whole(void)
{
	struct sw_walk_span span = {1, 2, 5};
	struct seen seen = {0};
	struct sw_walk_result result;
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(walk(&span, 1, &seen, &result, &err), SW_OK, "four segments: %s", err.text);
	tap_ok(seen.records == records_of_one, "each record is given once, those over borders too (%" PRIu64 ")",
		seen.records);
	tap_ok(seen.ordered && seen.last == last_of_one, "... in order, to the last");
	tap_is_int((long long)seen.commits, 4, "... with their events");
	tap_ok(result.segments == 4 && result.valid_to == seen.prev_end && result.reason[0] != '\0',
		"it ends early in the last one: %s", result.reason);
}

static void
test_within(void)
{
	struct sw_walk_span span = {1, 4, 4};
	struct seen seen = {0};
	struct sw_walk_result result;
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(walk(&span, 1, &seen, &result, &err), SW_OK, "one segment in the middle: %s", err.text);
	tap_ok(seen.first > 4 * MB + 90000, "the record that began before it is passed over");
	tap_ok(seen.prev_end < 5 * MB && result.reason[0] == '\0', "that which goes on behind it too, and it is complete");
}

static void
test_timelines(void)
{
	const struct sw_walk_span spans[] = {{1, 2, 3}, {9, 4, 3}, {2, 4, 5}};
	struct seen seen = {0};
	struct sw_walk_result result;
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(walk(spans, 3, &seen, &result, &err), SW_OK, "from parent to child: %s", err.text);
	tap_ok(seen.records == records_of_two && seen.ordered, "the child's copy goes on where the parent's segments end: %"
		PRIu64 " of %" PRIu64, seen.records, records_of_two);
	tap_ok(seen.last_timeline == 2 && result.segments == 4 && result.reason[0] == '\0', "... to its end: %s", result.reason);
}

static void
test_ends(void)
{
	const struct sw_walk_span missing = {1, 4, 7}, gone = {1, 9, 9}, broken = {3, 2, 2}, none = {1, 4, 3};
	struct sw_walk_result result;
	struct sw_error err = SW_ERROR_INIT;
	struct seen seen = {0};

	tap_is_int(walk(&gone, 1, &seen, &result, &err), SW_NOT_FOUND, "a segment that is not there");
	tap_ok(strstr(err.text, "000000010000000000000009") != NULL && strcmp(err.text, result.reason) == 0, "... is named: %s",
		err.text);
	tap_is_int(walk(&missing, 1, &seen, &result, &err), SW_OK, "what is missing behind the end of the WAL does not matter");
	seen = (struct seen){0};
	tap_is_int(walk(&broken, 1, &seen, &result, &err), SW_OK, "broken WAL is no error");
	tap_ok(result.reason[0] != '\0' && result.valid_to <= broken_at && result.valid_to > broken_at - 16000, "... it is said: %s",
		result.reason);
	seen = (struct seen){.enough_at = 3};
	tap_is_int(walk(&(struct sw_walk_span){1, 2, 5}, 1, &seen, &result, &err), SW_OK, "enough is enough");
	tap_ok(seen.records == 3 && result.reason[0] == '\0' && result.segments == 1, "... at once");
	seen = (struct seen){.fail = SW_DENIED};
	tap_is_int(walk(&(struct sw_walk_span){1, 2, 5}, 1, &seen, &result, &err), SW_DENIED, "what is told is given on");
	seen = (struct seen){0};
	tap_ok(walk(&none, 1, &seen, &result, &err) == SW_OK && result.segments == 0, "no span, no record");
}

static void
test_damage(void)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = 1, .segment = 3};
	char object[SW_STORE_NAME_MAX], path[8400];
	struct sw_walk_result result;
	struct sw_error err = SW_ERROR_INIT;
	struct seen seen = {0};
	struct sw_buf bytes;

	sw_repository_wal_name(&r.repo, &name, object);
	snprintf(path, sizeof(path), "%s/repo/%s", r.dir, object);
	sw_file_read(path, 4 * MB, &bytes, &err);
	bytes.data[bytes.len / 2] ^= 1;
	chmod(path, 0600);
	tap_is_int(sw_file_write(path, bytes.data, bytes.len, 0600, &err), SW_OK, "damage an object");
	sw_buf_release(&bytes);
	tap_is_int(walk(&(struct sw_walk_span){1, 2, 5}, 1, &seen, &result, &err), SW_CORRUPT, "a damaged object");
	tap_ok(strstr(err.text, "000000010000000000000003.zst") != NULL, "... is named: %s", err.text);
	/* how much of the damaged one comes before its damage is seen is chance; a record may lie across its border */
	tap_ok(seen.commits >= 1 && result.valid_to > 2 * MB + MB / 2, "... behind what is right: %d, %llx", (int)seen.commits,
		(unsigned long long)result.valid_to);
}

/* --- sizes ---------------------------------------------------------------------------- */

struct borders {
	uint32_t segment;
	int count;
	sw_lsn begin[4], end[4]; /* of the records that lie across borders */
};

static void
note_border(struct borders *b, sw_lsn begin, sw_lsn end)
{
	if (b->count < 4) {
		b->begin[b->count] = begin;
		b->end[b->count] = end;
	}
	b->count++;
}

static sw_rc
take_crossing(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct borders *b = ctx;

	(void)event;
	(void)err;
	if (record->lsn / b->segment != (record->end - 1) / b->segment)
		note_border(b, record->lsn, record->end);
	return SW_OK;
}

static sw_rc
take_joined(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	(void)err;
	if (item->boundary)
		note_border(ctx, item->digest->start, item->digest->valid_to);
	return SW_OK;
}

/* A COMMIT of some pages across the first border, a restore point across the second. */
static void
put_crossings(struct wal_repo *repo, uint32_t segment, uint32_t block)
{
	uint32_t count = block, xinfo = 2, len = 16 + 4 * count;
	uint8_t *data = calloc(1, 5 + len);
	struct wal_maker w;

	maker_init(&w, block, segment, 3, 4 * (sw_lsn)segment);
	data[0] = 254;
	memcpy(data + 1, &len, 4);
	memcpy(data + 13, &xinfo, 4);
	memcpy(data + 17, &count, 4);
	wal_repo_fill(&w, 5 * (sw_lsn)segment - 200);
	maker_add(&w, 24 + 5 + len, 700, 1, 0x80, data);
	free(data);
	wal_repo_fill(&w, 6 * (sw_lsn)segment - 130);
	wal_repo_point(&w, "across", T0);
	wal_repo_fill(&w, w.at + 100000);
	maker_switch(&w);
	wal_repo_segments(repo, &w, 1, 4, 3);
	maker_release(&w);
}

static void
test_sizes(void)
{
	static const uint32_t shapes[][2] = {{MB, 1024}, {2 * MB, 2048}, {MB, 4096}, {4 * MB, 16384}, {MB, 32768}, {MB, 65536}};
	const struct sw_walk_span span = {1, 4, 6};
	const struct sw_index_range range = {4, 6};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct borders read = {.segment = shapes[i][0]}, joined = read;
		struct sw_error err = SW_ERROR_INIT;
		struct sw_walk_result result;
		struct wal_repo repo;
		struct sw_index_params params = {.repo = &repo.repo, .timeline = 1, .ranges = &range, .range_count = 1,
			.detail = SW_INDEX_FULL, .workers = 1};

		if (wal_repo_make_sizes(&repo, shapes[i][0], shapes[i][1])) {
			put_crossings(&repo, shapes[i][0], shapes[i][1]);
			tap_is_int(sw_walk(&repo.repo, &span, 1, take_crossing, &read, &result, &err), SW_OK, "segments of %"
				PRIu32 ", pages of %" PRIu32 ": %s", shapes[i][0], shapes[i][1], err.text);
			tap_is_int(sw_index_walk(&params, take_joined, &joined, &err), SW_OK, "... and their digests: %s", err.text);
			tap_ok(read.count == 2 && memcmp(&read, &joined, sizeof(read)) == 0,
				"records that lie across borders are joined to where they end");
		}
		wal_repo_release(&repo);
	}
}

int
main(void)
{
	if (wal_repo_make(&r)) {
		make_wal();
		test_whole();
		test_within();
		test_timelines();
		test_ends();
		test_damage();
	}
	wal_repo_release(&r);
	test_sizes();
	return tap_done();
}
