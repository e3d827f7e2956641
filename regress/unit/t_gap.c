#include "archive/gap.h"

#include <stdio.h>
#include <string.h>

#include "../tap.h"
#include "base/file.h"
#include "scratch.h"

#define SYSTEM 7710216540988632115u
#define MB16 (16 * 1024 * 1024)
#define NAME "000000010000000000000007-000000010000000100000009-20261120T113831Z-0123abcd.json"

static const struct sw_gap_record sample = {
	.gap = {.timeline = 1, .first = 7, .last = 9, .time_us = INT64_C(1795520311613072)},
	.system_identifier = SYSTEM,
	.segment_size = MB16,
	.host = "db1",
	.pgdata = "/var/lib/postgresql/15/main",
	.why = "storing: \"s3://b\" answered 503",
	.queue = 167772160,
	.queue_max = 134217728,
};

static void
test_names(void)
{
	static const char *const none[] = {
		"", "x", "cluster.json", "000000010000000000000007.json",
		/* length, order, timelines, time, hash, case, suffix */
		"000000010000000000000007-000000010000000100000009-20261120T113831Z-0123abcd.json ",
		"000000010000000100000009-000000010000000000000007-20261120T113831Z-0123abcd.json",
		"000000010000000000000007-000000020000000100000009-20261120T113831Z-0123abcd.json",
		"000000000000000000000007-000000000000000100000009-20261120T113831Z-0123abcd.json",
		"000000010000000000000107-000000010000000100000009-20261120T113831Z-0123abcd.json",
		"000000010000000000000007-000000010000000100000009-20261320T113831Z-0123abcd.json",
		"000000010000000000000007-000000010000000100000009-20260230T113831Z-0123abcd.json",
		"000000010000000000000007-000000010000000100000009-20261120 113831Z-0123abcd.json",
		"000000010000000000000007-000000010000000100000009-20261120T113831Z-0123ABCD.json",
		"000000010000000000000007-000000010000000100000009-20261120T113831Z-0123abcx.json",
		"00000001000000000000000a-000000010000000100000009-20261120T113831Z-0123abcd.json",
		"000000010000000000000007x000000010000000100000009-20261120T113831Z-0123abcd.json",
		"000000010000000000000007-000000010000000100000009-20261120T113831Z-0123abcd.jsox",
	};
	char text[SW_GAP_NAME_MAX], words[SW_GAP_TEXT_LEN];
	struct sw_gap gap = {0};
	size_t taken = 0;

	tap_ok(sw_gap_name_parse(NAME, MB16, &gap), "a record's name is read");
	tap_ok(gap.timeline == 1 && gap.first == 7 && gap.last == 256 + 9, "... with its segments");
	tap_is(sw_gap_name_format(&gap, MB16, text), NAME, "... and written again");
	tap_is(sw_gap_text(gap.time_us, words), "dropped on purpose by push-queue-max at 2026-11-20 11:38:31Z", "... and told");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (sw_gap_name_parse(none[i], MB16, &gap)) {
			taken++;
			fprintf(stderr, "# taken: %s\n", none[i]);
		}
	tap_is_int((long)taken, 0, "nothing else is one");
}

static void
test_bytes(void)
{
	struct sw_gap_record record = sample, read = {0};
	struct sw_error err = SW_ERROR_INIT;
	size_t wrong = 0;
	struct sw_gap other;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_GAP_MAX);
	tap_is(sw_rc_name(sw_gap_encode(&record, &buf, &err)), "ok", "a record is made");
	tap_ok(record.gap.time_us % 1000000 == 0, "... to the second, as its name says it");
	tap_is(sw_rc_name(sw_gap_decode(&record.gap, SYSTEM, MB16, buf.data, buf.len, &read, &err)), "ok", "... and read");
	tap_ok(read.queue == sample.queue && read.queue_max == sample.queue_max && strcmp(read.why, sample.why) == 0 &&
		strcmp(read.host, sample.host) == 0 && strcmp(read.pgdata, sample.pgdata) == 0, "... with all that it says");
	tap_is(sw_rc_name(sw_gap_decode(&record.gap, SYSTEM + 1, MB16, buf.data, buf.len, &read, &err)), "corrupt",
		"not for another cluster");
	for (int i = 0; i < 5; i++) {
		other = record.gap;
		other.timeline += i == 0;
		other.first -= i == 1;
		other.last += i == 2;
		other.time_us += i == 3 ? 1000000 : 0;
		other.hash[3] ^= i == 4;
		wrong += sw_gap_decode(&other, SYSTEM, MB16, buf.data, buf.len, &read, &err) != SW_CORRUPT;
	}
	tap_is_int((long)wrong, 0, "nor under another name");
	for (size_t i = 0; i < buf.len; i++) {
		buf.data[i] ^= 1;
		wrong += sw_gap_decode(&record.gap, SYSTEM, MB16, buf.data, buf.len, &read, &err) != SW_CORRUPT;
		buf.data[i] ^= 1;
		wrong += sw_gap_decode(&record.gap, SYSTEM, MB16, buf.data, i, &read, &err) != SW_CORRUPT;
	}
	tap_is_int((long)wrong, 0, "nor damaged or cut anywhere");
}

static void
test_longest(void)
{
	struct sw_gap_record record = sample, read = {0};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_GAP_MAX);
	memset(record.host, 1, sizeof(record.host) - 1);
	memset(record.pgdata, 2, sizeof(record.pgdata) - 1);
	memset(record.why, 0xff, sizeof(record.why) - 1);
	tap_is(sw_rc_name(sw_gap_encode(&record, &buf, &err)), "ok", "the longest and oddest record is made");
	tap_is(sw_rc_name(sw_gap_decode(&record.gap, SYSTEM, MB16, buf.data, buf.len, &read, &err)), "ok", "... and read");
}

/* --- on disk ------------------------------------------------------------------------------- */

static sw_rc
count(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	(void)gap;
	(void)err;
	++*(size_t *)ctx;
	return SW_OK;
}

static void
test_local(void)
{
	char dir[4096], path[8192], from[8192], name[SW_GAP_NAME_MAX];
	struct sw_gap_record record = sample, read = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_gap found;
	size_t seen = 0;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, SW_GAP_MAX);
	scratch_make(dir);
	snprintf(path, sizeof(path), "%s/none", dir);
	tap_is(sw_rc_name(sw_gap_list_local(path, MB16, count, &seen, &err)), "ok", "a directory that is not there");
	tap_is_int((long)seen, 0, "... has no records");
	sw_gap_encode(&record, &buf, &err);
	snprintf(path, sizeof(path), "%s/%s", dir, sw_gap_name_format(&record.gap, MB16, name));
	sw_file_write(path, buf.data, buf.len, 0600, &err);
	sw_buf_release(&buf);
	scratch_file(dir, "000000010000000000000007.json.tmp.abc", "x", 1);
	tap_is(sw_rc_name(sw_gap_list_local(dir, MB16, count, &seen, &err)), "ok", "one that has");
	tap_is_int((long)seen, 1, "... one, and what is none");
	tap_is(sw_rc_name(sw_gap_find_local(dir, MB16, 1, 8, &found, &err)), "ok", "a segment within the record is found");
	tap_is(sw_rc_name(sw_gap_find_local(dir, MB16, 1, 6, &found, &err)), "not found", "... one before it is not");
	tap_is(sw_rc_name(sw_gap_find_local(dir, MB16, 1, 10, &found, &err)), "not found", "... nor one behind it");
	tap_is(sw_rc_name(sw_gap_find_local(dir, MB16, 2, 8, &found, &err)), "not found", "... nor on another timeline");
	tap_is(sw_rc_name(sw_gap_read_local(dir, &record.gap, SYSTEM, MB16, &buf, &read, &err)), "ok", "it is read");
	sw_buf_release(&buf);
	snprintf(from, sizeof(from), "%s/%s", dir, name);
	snprintf(path, sizeof(path), "%s/real", dir);
	tap_ok(rename(from, path) == 0 && symlink(path, from) == 0, "... but not a link");
	tap_is(sw_rc_name(sw_gap_read_local(dir, &record.gap, SYSTEM, MB16, &buf, &read, &err)), "corrupt", "... to it");
	sw_buf_release(&buf);
	scratch_remove(dir);
}

int
main(void)
{
	test_names();
	test_bytes();
	test_longest();
	test_local();
	return tap_done();
}
