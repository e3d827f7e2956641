#include "catalog/dropped.h"

#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"

#define MB (1024 * 1024)
#define LSN(segment) ((sw_lsn)(segment) * MB)

/* "1:7-9@100": timeline, segments, time; "" ends a list. */
#define LIST_MAX 6
struct row {
	const char *name;
	const char *there[LIST_MAX];
	const char *records[LIST_MAX];
	const char *backups[LIST_MAX]; /* timeline, start segment (in it), stop; when it began */
	const char *open;
};

static const struct row rows[] = {
	{"nothing", {"1:1-9"}, {0}, {0}, ""},
	{"a hole that nobody recorded", {"1:1-3", "1:6-9"}, {0}, {0}, ""},
	{"a hole with its record", {"1:1-3", "1:6-9"}, {"1:4-5@100"}, {0}, "1:4-5@100-100"},
	{"nothing archived behind it", {"1:1-3"}, {"1:4-5@100"}, {0}, "1:4-5@100-100"},
	{"nothing archived at all", {0}, {"1:4-5@100"}, {0}, "1:4-5@100-100"},
	{"all archived after all", {"1:1-9"}, {"1:4-5@100"}, {0}, ""},
	{"a part archived after all", {"1:1-5", "1:7-7", "1:9-12"}, {"1:4-10@100"}, {0}, "1:6-6@100-100 1:8-8@100-100"},
	{"records side by side", {"1:1-3", "1:9-9"}, {"1:4-5@100", "1:6-8@200"}, {0}, "1:4-8@100-200"},
	{"records with WAL between", {"1:1-3", "1:6-6"}, {"1:4-5@100", "1:7-8@200"}, {0}, "1:4-5@100-100 1:7-8@200-200"},
	{"records that overlap", {"1:1-3"}, {"1:4-8@100", "1:5-6@150", "1:7-9@200"}, {0}, "1:4-9@100-200"},
	{"the same on two timelines", {"1:1-3", "2:4-4"}, {"1:4-5@100", "2:4-5@300"}, {0}, "1:4-5@100-100 2:5-5@300-300"},
	{"a backup before it", {"1:1-3", "1:6-9"}, {"1:4-5@100"}, {"1:2-2@50"}, "1:4-5@100-100"},
	{"a backup that begins in it", {"1:1-3", "1:6-9"}, {"1:4-5@100"}, {"1:5-6@150"}, "1:4-5@100-100"},
	{"a backup behind it", {"1:1-3", "1:6-9"}, {"1:4-5@100"}, {"1:6-6@150"}, ""},
	{"a backup behind it by a clock that is late", {"1:1-3", "1:6-9"}, {"1:4-5@100"}, {"1:6-6@50"}, ""},
	{"a backup between two", {"1:1-3", "1:6-9"}, {"1:4-5@100", "1:10-11@200"}, {"1:6-6@150"}, "1:10-11@200-200"},
	{"a later backup on a later timeline", {"1:1-3", "2:3-9"}, {"1:4-5@100"}, {"2:3-3@150"}, ""},
	{"an earlier backup on a later timeline", {"1:1-3", "2:3-9"}, {"1:4-5@100"}, {"2:7-7@50"}, "1:4-5@100-100"},
	{"a later backup on an earlier timeline", {"1:1-3", "2:3-3"}, {"2:4-5@100"}, {"1:9-9@150"}, "2:4-5@100-100"},
};

struct parsed {
	unsigned timeline;
	unsigned long first, last, time;
};

static struct parsed
parse(const char *text)
{
	struct parsed p = {0};

	if (sscanf(text, "%u:%lu-%lu@%lu", &p.timeline, &p.first, &p.last, &p.time) < 3)
		fprintf(stderr, "# not a row: %s\n", text);
	return p;
}

static void
check_row(const struct row *row)
{
	struct sw_inventory_range ranges[LIST_MAX];
	struct sw_inventory_backup backups[LIST_MAX] = {0};
	struct sw_gap gaps[LIST_MAX] = {0};
	struct sw_inventory in = {.ranges = ranges, .backups = backups, .gaps = gaps};
	struct sw_dropped_run *runs = NULL;
	struct sw_error err = SW_ERROR_INIT;
	char got[512] = "";
	size_t count = 0, len = 0;

	for (; in.range_count < LIST_MAX && row->there[in.range_count] != NULL; in.range_count++) {
		struct parsed p = parse(row->there[in.range_count]);

		ranges[in.range_count] = (struct sw_inventory_range){p.timeline, p.first, p.last};
	}
	for (; in.gap_count < LIST_MAX && row->records[in.gap_count] != NULL; in.gap_count++) {
		struct parsed p = parse(row->records[in.gap_count]);

		gaps[in.gap_count] = (struct sw_gap){.timeline = p.timeline, .first = p.first, .last = p.last, .time_us = (int64_t)p.time};
	}
	for (; in.backup_count < LIST_MAX && row->backups[in.backup_count] != NULL; in.backup_count++) {
		struct parsed p = parse(row->backups[in.backup_count]);
		struct sw_manifest_header *h = &backups[in.backup_count].header;

		h->timeline = p.timeline;
		h->start = LSN(p.first) + 40;
		h->stop = LSN(p.last) + 400;
		h->started_us = (int64_t)p.time;
	}
	if (sw_dropped_open(&in, MB, &runs, &count, &err) != SW_OK)
		tap_ok(false, "%s: %s", row->name, err.text);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%u:%lu-%lu@%ld-%ld", i > 0 ? " " : "", runs[i].timeline,
			runs[i].first, runs[i].last, runs[i].from_us, runs[i].to_us);
	tap_is(got, row->open, "%s", row->name);
	free(runs);
}

static void
test_unreadable(void)
{
	struct sw_inventory_backup backup = {.reason = (char *)"damaged", .header = {.timeline = 1, .start = LSN(9)}};
	struct sw_gap gap = {.timeline = 1, .first = 4, .last = 5, .time_us = 100};
	struct sw_inventory in = {.backups = &backup, .backup_count = 1, .gaps = &gap, .gap_count = 1};
	struct sw_dropped_run *runs = NULL;
	struct sw_error err = SW_ERROR_INIT;
	size_t count = 0;

	sw_dropped_open(&in, MB, &runs, &count, &err);
	tap_is_int((long long)count, 1, "a backup that cannot be read makes up for nothing");
	free(runs);
}

static void
test_words(void)
{
	struct sw_gap gaps[] = {
		{.timeline = 1, .first = 4, .last = 8, .time_us = INT64_C(1795520311000000)},
		{.timeline = 1, .first = 6, .last = 9, .time_us = INT64_C(1795520300000000)},
		{.timeline = 3, .first = 1, .last = UINT64_C(0xfffffffffff), .time_us = INT64_C(1795520311000000)},
	};
	struct sw_inventory in = {.gaps = gaps, .gap_count = 3};
	char text[SW_DROPPED_TEXT_LEN];
	int64_t us;

	tap_is(sw_dropped_text(&in, 1, 1, 3, text), "", "no words for what nobody dropped");
	tap_is(sw_dropped_text(&in, 2, 4, 5, text), "", "... nor on another timeline");
	tap_is(sw_dropped_text(&in, 1, 4, 5, text), "dropped on purpose by push-queue-max at 2026-11-24 11:38:31Z", "all of it");
	tap_is(sw_dropped_text(&in, 1, 2, 12, text), "6 of them dropped on purpose by push-queue-max at 2026-11-24 11:38:20Z",
		"a part of it, by the earliest record");
	tap_is_int((long long)sw_dropped_count(&in, 3, 0, UINT64_C(0xfffffffffff), &us), INT64_C(0xfffffffffff), "a hostile one is counted");
	tap_is_int((long long)sw_dropped_end(&in, 1), 9, "the last one that was dropped");
	tap_is_int((long long)sw_dropped_end(&in, 2), 0, "... is none on another timeline");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
	test_unreadable();
	test_words();
	return tap_done();
}
