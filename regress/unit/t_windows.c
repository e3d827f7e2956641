/*
 * What can be recovered: windows, gaps, points and forks, from digests that are made up, in a repository on disk.
 */
#include <endian.h>
#include <inttypes.h>
#include <zstd.h>

#include "../tap.h"
#include "archive/object.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "catalog/windows.h"
#include "scratch.h"
#include "store/posix.h"

#define MB (1024 * 1024)
#define SECOND INT64_C(1000000)
#define NOON (INT64_C(1795262400) * SECOND) /* 2026-11-21 12:00:00 UTC: segment 0 */
#define AT(segment, offset) ((sw_lsn)(segment) * MB + (offset))

static char dir[4096];
static struct sw_store *store;
static struct sw_repository repo;

/* --- a repository of digests --------------------------------------------------------- */

static int64_t
minute(uint64_t segment)
{
	return NOON + (int64_t)segment * 60 * SECOND;
}

/* A segment with two commits, at its minute and half a minute later, and no record across its borders. */
static struct sw_wal_digest
make_digest(uint32_t timeline, uint64_t segment)
{
	struct sw_wal_moment first = {.time_us = minute(segment), .lsn = AT(segment, 0x10000), .xid = segment * 10 + 1},
		last = {.time_us = minute(segment) + 30 * SECOND, .lsn = AT(segment, 0xC0000), .xid = segment * 10 + 2};

	first.xid_full = last.xid_full = true;
	return (struct sw_wal_digest){
		.verdict = SW_WAL_COMPLETE,
		.start = AT(segment, 0),
		.valid_to = AT(segment + 1, 0),
		.major = 15,
		.first_timeline = timeline,
		.last_timeline = timeline,
		.last_timeline_from = AT(segment, 0),
		.first = AT(segment, 0x28),
		.last = AT(segment, 0xF0000),
		.first_prev = AT(segment - 1, 0xF0000),
		.records = 100,
		.commits = 2,
		.first_end = first,
		.last_end = last,
		.earliest = first,
		.latest = last,
		.xid_full = true,
		.xid_min = first.xid,
		.xid_max = last.xid,
		.xid_next = last.xid + 1,
		.time_max_us = last.time_us,
		.ends_below = UINT64_MAX,
	};
}

static void
put(uint32_t timeline, uint64_t segment, const void *bytes, size_t len)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};
	struct sw_store_body body = sw_store_body_mem(bytes, len);
	struct sw_error err = SW_ERROR_INIT;
	char object[SW_STORE_NAME_MAX];

	if (sw_store_put(store, sw_repository_wal_name(&repo, &name, object), &body, &err) != SW_OK)
		tap_note("%s", err.text);
}

static void
put_digest(uint32_t timeline, uint64_t segment, const struct sw_wal_digest *digest)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};
	char file[SW_WAL_NAME_MAX], start[SW_LSN_LEN], end[SW_LSN_LEN];
	uint8_t frame[100], zeros[100] = {0};
	size_t frame_len = ZSTD_compress(frame, sizeof(frame), zeros, sizeof(zeros) / 2, 1);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_FREE char *text = NULL;
	SW_AUTO_JSON *summary = NULL;
	uint32_t head[2];
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, MB);
	summary = json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:s, s:{s:s, s:s}, s:s, s:s, s:o}", "seawall", "wal",
		"version", 1, "name", sw_wal_name_format(&name, MB, file), "system_identifier", "77",
		"timeline", (json_int_t)timeline, "segment_size", (json_int_t)MB, "size", (json_int_t)MB,
		"xxh3", "00000000000000000000000000000000", "origin", "host", "h", "pgdata", "d",
		"start_lsn", sw_lsn_format(AT(segment, 0), start), "end_lsn", sw_lsn_format(AT(segment + 1, 0), end),
		"wal", sw_wal_digest_json(digest, 60000, true));
	text = json_dumps(summary, JSON_COMPACT);
	head[0] = htole32(SW_SKIPPABLE_MAGIC);
	head[1] = htole32((uint32_t)strlen(text));
	sw_buf_append(&buf, head, sizeof(head), &err);
	sw_buf_append(&buf, text, strlen(text), &err);
	sw_buf_append(&buf, frame, frame_len, &err);
	put(timeline, segment, buf.data, buf.len);
}

static void
put_segments(uint32_t timeline, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		struct sw_wal_digest digest = make_digest(timeline, i);

		put_digest(timeline, i, &digest);
	}
}

/* The segment in which a timeline leaves another one: at half of it, or `at`. */
static void
put_first(uint32_t timeline, uint32_t parent, uint64_t segment, sw_lsn at)
{
	struct sw_wal_digest digest = make_digest(timeline, segment);
	struct sw_wal_checkpoint checkpoint = {.lsn = at, .redo = at, .end_of_recovery = true, .timeline = timeline,
		.previous_timeline = parent, .time_us = minute(segment) + 20 * SECOND};

	digest.first_timeline = parent;
	digest.checkpoints = &checkpoint;
	digest.checkpoint_count = 1;
	put_digest(timeline, segment, &digest);
}

static void
put_verdict(uint32_t timeline, uint64_t segment, enum sw_wal_verdict verdict, uint32_t valid, const char *reason)
{
	struct sw_wal_digest digest = make_digest(timeline, segment);

	digest.verdict = verdict;
	digest.valid_to = AT(segment, valid);
	digest.broken_at = verdict == SW_WAL_BROKEN ? AT(segment, valid) : 0;
	digest.last = AT(segment, valid - 0x100);
	digest.last_end = digest.latest = digest.first_end;
	digest.time_max_us = digest.last_end.time_us;
	snprintf(digest.reason, sizeof(digest.reason), "%s", reason);
	if (verdict == SW_WAL_UNKNOWN)
		digest = (struct sw_wal_digest){.verdict = verdict, .start = digest.start, .valid_to = digest.start,
			.reason = "unknown", .ends_below = UINT64_MAX};
	put_digest(timeline, segment, &digest);
}

static void
put_point(uint32_t timeline, uint64_t segment, uint32_t offset, const char *name)
{
	struct sw_wal_digest digest = make_digest(timeline, segment);
	struct sw_wal_point point = {.lsn = AT(segment, offset), .end = AT(segment, offset + 0x68),
		.time_us = minute(segment) + 10 * SECOND};

	strcpy(point.name, name);
	digest.points = &point;
	digest.point_count = 1;
	put_digest(timeline, segment, &digest);
}

static void
put_history(uint32_t timeline, const char *text)
{
	struct sw_wal_name name = {.kind = SW_WAL_HISTORY, .timeline = timeline};
	struct sw_wal_summary summary = {.timeline = timeline, .system_identifier = 77, .segment_size = MB};
	char object[SW_STORE_NAME_MAX], path[4200];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_object history;
	SW_AUTO_FD fd = -1;

	sw_wal_name_format(&name, MB, summary.name);
	snprintf(path, sizeof(path), "%s/history", dir);
	sw_file_write(path, text, strlen(text), 0600, &err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (sw_object_encode(fd, path, &summary, 1, MB, &history, &err) == SW_OK) {
		struct sw_store_body body = sw_object_body(&history);

		sw_store_put(store, sw_repository_wal_name(&repo, &name, object), &body, &err);
		sw_object_release(&history);
	}
	if (err.rc != SW_OK)
		tap_note("%s", err.text);
}

/* What inventories choose from.  Timelines above 10 stand alone, where nothing else is said. */
static void
fill_repository(void)
{
	struct sw_wal_digest digest;

	put_segments(1, 1, 2);
	put_point(1, 3, 0x20000, "p3");
	put_point(1, 4, 0x20000, "twice");
	put_segments(1, 5, 9);
	put_point(1, 10, 0x40000, "before_fork");
	put_segments(1, 11, 15);
	put_point(1, 16, 0x20000, "twice");
	put_segments(1, 17, 20);
	put_history(2, "1\t0/A80000\tx\n");
	put_point(2, 10, 0x40000, "before_fork");
	put_segments(2, 8, 9);
	put_segments(2, 11, 11);
	put_point(2, 12, 0x20000, "behind_fork");
	put_segments(2, 13, 18);
	put_history(3, "1\t0/A80000\tx\n2\t0/E80000\tx\n");
	put_first(3, 2, 14, AT(14, 0x80000));
	put_segments(3, 15, 16);
	put_history(4, "1\t0/580000\tx\n");
	put_segments(4, 5, 8);
	put_history(5, "1\t0/A80000\tx\n2\t0/780000\tx\n");
	put_first(5, 1, 7, AT(7, 0x80000));
	put_segments(5, 8, 9);
	put_segments(6, 12, 13);
	put_history(7, "no history\n");
	put_segments(7, 12, 13);
	put_history(8, "1\t0/A40000\tx\n");
	put_first(8, 1, 10, AT(10, 0x40000));
	put_segments(8, 11, 11);
	put_history(9, "1\t0/640000\tx\n");
	put_history(10, "1\t0/640000\tx\n9\t0/680000\tx\n");
	put_first(10, 9, 6, AT(6, 0x80000));
	put_segments(10, 7, 8);

	put_segments(11, 1, 4);
	put_verdict(11, 5, SW_WAL_ENDS_EARLY, 0x80000, "ends early at 0/580000");
	put_history(12, "11\t0/580000\tx\n");
	put_first(12, 11, 5, AT(5, 0x80000));
	put_segments(12, 6, 7);
	put_segments(13, 1, 3);
	put_verdict(13, 4, SW_WAL_ENDS_EARLY, 0x50000, "ends early at 0/450000");
	put_segments(13, 5, 6);
	put_segments(14, 1, 3);
	put_verdict(14, 4, SW_WAL_BROKEN, 0x50000, "a CRC is wrong at 0/450000");
	put_segments(14, 5, 6);
	put_segments(15, 1, 3);
	put(15, 4, "rotten", 6);
	put_segments(15, 5, 6);
	put_segments(16, 1, 3);
	digest = make_digest(16, 4);
	digest.first_prev = 0x123450;
	put_digest(16, 4, &digest);
	put_segments(16, 5, 6);
	put_segments(17, 1, 2);
	put_verdict(17, 3, SW_WAL_UNKNOWN, 0, "unknown");
	put_verdict(17, 4, SW_WAL_UNKNOWN, 0, "unknown");
	put_segments(18, 1, 4);
	put_verdict(18, 5, SW_WAL_BROKEN, 0x50000, "a CRC is wrong at 0/550000");
	put_history(19, "18\t0/580000\tx\n");
	put_first(19, 18, 5, AT(5, 0x80000));
	put_segments(19, 6, 7);
	put_history(20, "18\t0/580000\tx\n");
	put_verdict(20, 5, SW_WAL_BROKEN, 0x50000, "a CRC is wrong at 0/550000");
	put_history(21, "18\t0/680000\tx\n");
	put_first(21, 18, 6, AT(6, 0x80000));
	put_history(22, "1\t0/A08000\tx\n");
	put_first(22, 1, 10, AT(10, 0x8000));
	put_history(23, "2\t0/980000\tx\n");
	put_first(23, 2, 9, AT(9, 0x80000));
}

static bool
make_repository(void)
{
	struct sw_registration reg = {.system_identifier = 77, .major = 15, .segment_size = MB, .block_size = 8192,
		.wal_block_size = 8192,
		.traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	char root[4200];
	sw_rc rc;

	scratch_make(dir);
	snprintf(root, sizeof(root), "%s/repo", dir);
	rc = sw_posix_open(root, &store, &err);
	if (rc == SW_OK)
		rc = sw_repository_register(store, "main", &reg, &err);
	if (rc == SW_OK)
		rc = sw_repository_open(store, "main", 77, &repo, &err);
	if (!tap_is_int(rc, SW_OK, "a repository"))
		tap_note("%s", err.text);
	return rc == SW_OK;
}

/* --- cases --------------------------------------------------------------------------- */

static const struct {
	char label;
	uint32_t timeline;
	sw_lsn start, stop;
} backups[] = {
	{'a', 1, AT(3, 0x28), AT(3, 0x30000)},
	{'b', 1, AT(8, 0x28), AT(9, 0x100)},
	{'c', 1, AT(15, 0x28), AT(17, 0x100)},
	{'d', 2, AT(12, 0x28), AT(12, 0x30000)},
	{'e', 1, AT(10, 0x28), AT(10, 0x20000)}, /* before the fork, in its segment */
	{'f', 1, AT(10, 0x90000), AT(10, 0xA0000)}, /* behind the fork */
	{'g', 3, AT(15, 0x28), AT(15, 0x100)},
	{'h', 6, AT(12, 0x28), AT(12, 0x100)},
	{'i', 2, AT(8, 0x28), AT(12, 0x200)}, /* begun before the fork */
	{'j', 3, AT(9, 0x28), AT(15, 0x300)}, /* begun before two forks */
	{'k', 11, AT(2, 0x28), AT(2, 0x100)},
	{'l', 13, AT(2, 0x28), AT(2, 0x100)},
	{'m', 13, AT(5, 0x28), AT(5, 0x100)},
	{'n', 14, AT(2, 0x28), AT(2, 0x100)},
	{'o', 14, AT(3, 0x28), AT(4, 0x60000)}, /* over the broken place */
	{'p', 14, AT(5, 0x28), AT(5, 0x100)},
	{'q', 15, AT(2, 0x28), AT(2, 0x100)},
	{'r', 15, AT(5, 0x28), AT(6, 0x100)},
	{'s', 16, AT(2, 0x28), AT(2, 0x100)},
	{'t', 16, AT(4, 0x28), AT(4, 0x100)},
	{'u', 17, AT(1, 0x28), AT(4, 0x100)},
	{'v', 18, AT(2, 0x28), AT(2, 0x100)},
	{'w', 30, AT(3, 0x28), AT(3, 0xD0000)},
	{'x', 30, AT(300, 0x28), AT(300, 0xD0000)},
};

/*
 * ranges: TIMELINE:FIRST-LAST …; histories: as letters, '0' + timeline; backups: labels, '!' before one that cannot be read.
 * want: a window is TIMELINE:FIRST..LAST(segments)=first and newest backup, '!' if it is closed; then gaps, '-' before missing, '*' before
 * damaged ones; then "unused:" and backups.
 */
static const struct {
	const char *name, *ranges, *histories, *backups, *want;
} cases[] = {
	{"a backup opens a window at its end", "1:1-20", "", "a", "1:3..20=aa"},
	{"a newer one in it moves its newest", "1:1-20", "", "abc", "1:3..20=ac"},
	{"a gap closes it", "1:1-11 1:14-20", "", "a", "1:3..11=aa! -1:12-13"},
	{"a backup behind the gap opens another one", "1:1-11 1:14-20", "", "abc", "1:3..11=ab! 1:17..20=cc -1:12-13"},
	{"a gap before a backup does not touch it", "1:1-11 1:14-20", "", "c", "1:17..20=cc -1:12-13"},
	{"a gap in a backup's own WAL", "1:1-15 1:17-20", "", "ac", "1:3..15=aa! -1:16-16 unused:c"},
	{"a gap at its start", "1:1-14 1:16-20", "", "ac", "1:3..14=aa! -1:15-15 unused:c"},
	{"a gap at its stop", "1:1-16 1:18-20", "", "ac", "1:3..16=aa! -1:17-17 unused:c"},
	{"its own WAL is not archived yet", "1:1-16", "", "ac", "1:3..16=aa unused:c"},
	{"its own WAL is gone", "1:4-20", "", "a", "unused:a"},
	{"every segment alone", "1:3-3 1:5-5 1:8-9", "", "ab", "1:3..3=aa! 1:9..9=bb -1:4-4 -1:6-7"},
	{"WAL without a backup", "1:1-20", "", "", ""},
	{"a backup without WAL", "", "", "a", "unused:a"},
	{"nothing", "", "", "", ""},
	{"a backup that cannot be read", "1:1-20", "", "!ab", "1:9..20=bb unused:a"},

	{"a fork", "1:1-20 2:10-18", "2", "a", "1:3..20=aa 2:10..18=aa"},
	{"the newest backup before a fork counts", "1:1-20 2:10-18", "2", "abc", "1:3..20=ac 2:10..18=ab"},
	{"also in the fork's segment", "1:1-20 2:10-18", "2", "aef", "1:3..20=af 2:10..18=ae"},
	{"a backup of the child", "1:1-20 2:10-18", "2", "ad", "1:3..20=aa 2:10..18=ad"},
	{"only the child has one", "1:1-20 2:10-18", "2", "d", "2:12..18=dd"},
	{"a backup behind the fork does not reach the child", "1:1-20 2:10-18", "2", "c", "1:17..20=cc"},
	{"nor one in the fork's segment", "1:1-20 2:10-18", "2", "f", "1:10..20=ff"},
	{"the parent's last segment is the child's", "1:1-9 2:10-18", "2", "a", "1:3..10=aa 2:10..18=aa"},
	{"a backup in that segment", "1:1-9 2:10-18", "2", "e", "1:10..10=ee 2:10..18=ee"},
	{"... and no other WAL of the parent", "2:10-18", "2", "e", "1:10..10=ee 2:10..18=ee"},
	{"... and one behind the fork", "1:1-9 2:10-18", "2", "f", "unused:f"},
	{"the child's first segment is missing", "1:1-20 2:11-18", "2", "ad", "1:3..20=aa 2:12..18=dd -2:10-10"},
	{"the parent ends too early", "1:1-7 2:10-18", "2", "ad", "1:3..7=aa! 2:12..18=dd -1:8-9"},
	{"a gap of the parent before the fork", "1:1-6 1:8-20 2:10-18", "2", "ab", "1:3..6=aa! 1:9..20=bb 2:10..18=bb -1:7-7"},
	{"a gap of the parent behind the fork", "1:1-11 1:13-20 2:10-18", "2", "a", "1:3..11=aa! 2:10..18=aa -1:12-12"},
	{"a gap of the parent at the fork", "1:1-9 1:11-20 2:10-18", "2", "a", "1:3..10=aa! 2:10..18=aa -1:10-10"},
	{"two forks", "1:1-9 2:10-18 3:14-16", "23", "a", "1:3..10=aa 2:10..18=aa 3:14..16=aa"},
	{"two forks, each parent's last segment is the child's", "1:1-9 2:10-13 3:14-16", "23", "adg",
		"1:3..10=aa 2:10..14=ad 3:14..16=ag"},
	{"a child of what cannot be reached", "1:1-9 2:11-18 3:14-16", "23", "a", "1:3..9=aa -2:10-10"},
	{"siblings", "1:1-20 2:10-18 4:5-8", "24", "ad", "1:3..20=aa 2:10..18=ad 4:5..8=aa"},
	{"siblings that leave in one segment, which the parent lacks", "1:1-9 2:10-18 8:10-11", "28", "a",
		"1:3..10=aa 2:10..18=aa 8:10..11=aa"},
	{"a sibling that leaves before the backup", "1:1-20 2:10-18 4:5-8", "24", "b", "1:9..20=bb 2:10..18=bb"},
	{"an ancestor that has no part in it", "1:1-20 5:7-9", "5", "a", "1:3..20=aa 5:7..9=aa"},
	{"two forks in one segment, which only the last child has", "1:1-5 10:6-8", "9:", "a", "1:3..6=aa 9:6..6=aa 10:6..8=aa"},
	{"a backup begun on the parent's WAL", "1:1-9 2:10-18", "2", "i", "2:12..18=ii"},
	{"... with a gap there", "1:1-8 2:10-18", "2", "i", "-1:9-9 unused:i"},
	{"a backup begun two forks before", "1:1-9 2:10-13 3:14-16", "23", "j", "3:15..16=jj"},
	{"WAL of a timeline before its fork does not count", "1:1-9 2:8-8 2:10-18", "2", "a", "1:3..10=aa 2:10..18=aa"},
	{"a child that claims to be older than its parent", "1:1-20 2:10-18 23:9-9", "2G", "a", "1:3..20=aa 2:10..18=aa"},
	{"expired WAL before a fork is no gap", "2:12-18", "2", "d", "2:12..18=dd"},
	{"a child without its history", "1:1-20 6:12-13", "", "ah", "1:3..20=aa 6:12..13=hh"},

	{"an unfinished segment at the end", "11:1-5", "", "k", "11:2..5=kk"},
	{"an unfinished segment at a fork", "11:1-5 12:5-7", "<", "k", "11:2..5=kk 12:5..7=kk"},
	{"an unfinished segment in the middle", "13:1-6", "", "l", "13:2..4=ll! *13:4-4"},
	{"... and a backup behind it", "13:1-6", "", "lm", "13:2..4=ll! 13:5..6=mm *13:4-4"},
	{"broken WAL", "14:1-6", "", "nop", "14:2..4=nn! 14:5..6=pp *14:4-4 unused:o"},
	{"a damaged object", "15:1-6", "", "qr", "15:2..3=qq! 15:6..6=rr *15:4-4"},
	{"a segment that does not continue the one before", "16:1-6", "", "st", "16:2..3=ss! 16:4..6=tt *16:4-4"},
	{"WAL of unknown format is taken as whole", "17:1-4", "", "u", "17:4..4=uu"},
	{"the parent's segment at the fork is broken, the child's is not", "18:1-5 19:5-7", "C", "v",
		"18:2..5=vv! 19:5..7=vv *18:5-5"},
	{"a child that leaves behind the broken place", "18:1-5 21:6-6", "E", "v", "18:2..5=vv! *18:5-5"},
	{"the child's is broken before the fork", "18:1-4 20:5-5", "D", "v", "18:2..4=vv *20:5-5"},
};

static struct sw_inventory inventory;
static struct sw_windows windows;

static void
fill_inventory(const char *ranges, const char *histories, const char *labels)
{
	inventory.backups = calloc(strlen(labels) + 1, sizeof(*inventory.backups));
	inventory.ranges = calloc(strlen(ranges) + 1, sizeof(*inventory.ranges));
	inventory.histories = calloc(strlen(histories) + 1, sizeof(*inventory.histories));
	for (; *histories != '\0'; histories++)
		inventory.histories[inventory.history_count++] = (uint32_t)(*histories - '0');
	for (int n = 0; *ranges != '\0'; ranges += n + (int)strspn(ranges + n, " ")) {
		struct sw_inventory_range *r = &inventory.ranges[inventory.range_count++];

		if (sscanf(ranges, "%" SCNu32 ":%" SCNu64 "-%" SCNu64 "%n", &r->timeline, &r->first, &r->last, &n) != 3)
			break;
	}
	for (size_t i = 0; i < sizeof(backups) / sizeof(backups[0]); i++) {
		struct sw_inventory_backup *b = &inventory.backups[inventory.backup_count];
		const char *at = strchr(labels, backups[i].label);

		if (at == NULL)
			continue;
		inventory.backup_count++;
		b->label[0] = b->header.label[0] = backups[i].label;
		b->reason = at > labels && at[-1] == '!' ? strdup("it is damaged") : NULL;
		b->header.timeline = backups[i].timeline;
		b->header.start = backups[i].start;
		b->header.stop = backups[i].stop;
		b->header.finished_us = minute(backups[i].stop / MB) + 5 * SECOND;
	}
}

static sw_rc
find(const char *ranges, const char *histories, const char *labels, bool fold, struct sw_error *err)
{
	struct sw_windows_params params = {.workers = 2, .fold = fold};

	fill_inventory(ranges, histories, labels);
	return sw_windows_find(&repo, &inventory, &params, &windows, err);
}

static void
release(void)
{
	sw_windows_release(&windows);
	sw_inventory_release(&inventory);
}

static void
describe(struct sw_buf *buf)
{
	struct sw_error err = SW_ERROR_INIT;

	for (size_t i = 0; i < windows.window_count; i++) {
		const struct sw_window *w = &windows.windows[i];

		sw_buf_printf(buf, &err, "%s%u:%" PRIu64 "..%" PRIu64 "=%s%s%s", buf->len > 0 ? " " : "", w->timeline,
			w->begin / MB, w->end / MB, w->first_backup->label, w->last_backup->label, w->open ? "" : "!");
		if (w->open != (w->closed_by == NULL))
			sw_buf_printf(buf, &err, "(open and closed)");
	}
	for (size_t i = 0; i < windows.gap_count; i++) {
		const struct sw_window_gap *g = &windows.gaps[i];

		sw_buf_printf(buf, &err, "%s%s%u:%" PRIu64 "-%" PRIu64, buf->len > 0 ? " " : "", g->reason == NULL ? "-" : "*",
			g->timeline, g->first, g->last);
	}
	for (size_t i = 0; i < windows.idle_count; i++)
		sw_buf_printf(buf, &err, "%s%s", i > 0 ? "" : buf->len > 0 ? " unused:" : "unused:",
			windows.idle[i].backup->label);
}

static void
test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF got;
		sw_rc rc;

		sw_buf_init(&got, 65536);
		sw_buf_append(&got, "", 0, &err);
		rc = find(cases[i].ranges, cases[i].histories, cases[i].backups, false, &err);
		describe(&got);
		tap_is(rc == SW_OK ? got.len > 0 ? (char *)got.data : "" : err.text, cases[i].want, "%s", cases[i].name);
		release();
	}
}

/* --- what windows tell ----------------------------------------------------------------- */

static void
is_lsn(sw_lsn got, sw_lsn want, const char *what)
{
	char a[SW_LSN_LEN], b[SW_LSN_LEN];

	tap_is(sw_lsn_format(got, a), sw_lsn_format(want, b), "%s", what);
}

static void
is_time(int64_t got, int64_t want, const char *what)
{
	char a[SW_CLOCK_ISO_LEN], b[SW_CLOCK_ISO_LEN];

	tap_is(sw_clock_iso(got, a), sw_clock_iso(want, b), "%s", what);
}

static void
test_window(void)
{
	struct sw_error err = SW_ERROR_INIT;
	const struct sw_window *w;

	tap_is_int(find("1:1-9 2:10-18", "2", "a", false, &err), SW_OK, "one fork");
	if (!tap_is_int((long long)windows.window_count, 2, "two windows")) {
		release();
		return;
	}
	w = &windows.windows[0];
	is_lsn(w->begin, AT(3, 0x30000), "a window begins at the backup's stop");
	is_time(w->begin_us, minute(3) + 5 * SECOND, "... and its end");
	is_lsn(w->end, AT(10, 0x80000), "the parent's ends at the fork, which is in the child's segment");
	is_lsn(w->last.lsn, AT(10, 0x10000), "... with the last commit before it");
	is_time(w->end_us, minute(10), "... at its time");
	w = &windows.windows[1];
	is_lsn(w->begin, AT(10, 0x80000), "the child's begins at the fork");
	is_time(w->begin_us, minute(10), "... with the last moment before it");
	is_lsn(w->end, AT(18, 0xF0000), "it ends with the last record");
	is_lsn(w->last.lsn, AT(18, 0xC0000), "... its last commit");
	tap_is_int((long long)w->last.xid, 182, "... that one's xid");
	is_time(w->end_us, minute(18) + 30 * SECOND, "... and time");
	tap_is_int((long long)w->commits, 18, "its commits are counted");
	tap_ok(sw_windows_at(&windows, 1, AT(3, 0x30000)) == &windows.windows[0] &&
		sw_windows_at(&windows, 1, AT(10, 0x80000)) == &windows.windows[0] &&
		sw_windows_at(&windows, 2, AT(10, 0x80000)) == &windows.windows[1] &&
		sw_windows_at(&windows, 1, AT(3, 0x2FFFF)) == NULL && sw_windows_at(&windows, 1, AT(10, 0x80001)) == NULL &&
		sw_windows_at(&windows, 3, AT(15, 0)) == NULL, "windows are found by LSN, ends included");
	tap_ok(windows.wal_count == 2 && windows.wal[0].timeline == 1 && windows.wal[0].first == 1 && windows.wal[0].last == 9 &&
		windows.wal[1].first == 10 && windows.wal[1].last == 18, "WAL is told as it is archived");
	is_lsn(windows.wal[0].end, AT(10, 0), "... and where it ends");
	release();
	find("2:10-18", "2", "e", false, &err);
	tap_ok(windows.wal_count == 1 && windows.wal[0].timeline == 2, "... not where a child's copy stands for it");
	release();
	for (int i = 0; i < 2; i++) {
		find(i == 0 ? "1:1-9 22:10-10" : "1:1-20 22:10-10", "F", "a", false, &err);
		if (tap_is_int((long long)windows.window_count, 2, "a fork without a commit in its segment"))
			is_time(windows.windows[1].begin_us, minute(9) + 30 * SECOND, "... begins with the parent's last one");
		release();
	}
}

static void
test_no_commit(void)
{
	struct sw_error err = SW_ERROR_INIT;

	find("30:1-3", "", "w", false, &err);
	if (tap_is_int((long long)windows.window_count, 1, "a backup behind the last commit")) {
		is_lsn(windows.windows[0].last.lsn, 0, "... has none in its window");
		is_lsn(windows.windows[0].end, AT(3, 0xF0000), "... which goes on to the last record");
		is_time(windows.windows[0].end_us, minute(3) + 30 * SECOND, "... and its time");
	}
	release();
}

static void
test_forks(void)
{
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(find("1:1-9 2:10-13 3:14-16 6:12-13 7:12-13", "237", "a", false, &err), SW_OK, "good and bad histories");
	tap_is_int((long long)windows.fork_count, 4, "every timeline but the first is told");
	if (windows.fork_count == 4) {
		const struct sw_window_fork *f = windows.forks;

		tap_ok(f[0].child == 2 && f[0].parent == 1 && f[0].lsn == AT(10, 0x80000) && f[0].problem == NULL, "where 2 left 1");
		is_time(f[0].time_us, minute(10), "without a record of it, when the last commit before it was");
		tap_ok(f[1].child == 3 && f[1].parent == 2 && f[1].lsn == AT(14, 0x80000), "where 3 left 2");
		is_time(f[1].time_us, minute(14) + 20 * SECOND, "when recovery ended there");
		tap_ok(f[2].child == 6 && f[2].parent == 0 && f[2].problem != NULL && strstr(f[2].problem, "00000006.history") != NULL,
			"a history that is missing is named");
		tap_ok(f[3].child == 7 && f[3].parent == 0 && f[3].problem != NULL && strstr(f[3].problem, "cannot be read") != NULL,
			"a history that is damaged too");
	}
	release();
}

static void
test_points(void)
{
	static const char *const want[] = {"p3@1 no", "twice@1 yes several", "before_fork@1 yes", "twice@1 yes several",
		"behind_fork@2 yes"};
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(find("1:1-20 2:10-18", "2", "a", false, &err), SW_OK, "restore points on two timelines");
	tap_is_int((long long)windows.point_count, 5, "those that both timelines hold are told once");
	for (size_t i = 0; i < windows.point_count && i < 5; i++) {
		const struct sw_window_point *p = &windows.points[i];
		char got[128];

		snprintf(got, sizeof(got), "%s@%u %s%s", p->point.name, p->timeline, p->reachable ? "yes" : "no",
			p->ambiguous ? " several" : "");
		tap_is(got, want[i], "restore point %zu", i);
	}
	release();
	find("1:1-9 2:10-18", "2", "a", false, &err);
	tap_ok(windows.point_count == 4 && windows.points[2].timeline == 1 && windows.points[2].reachable &&
		strcmp(windows.points[2].point.name, "before_fork") == 0,
		"one before a fork is the parent's, where only the child has the segment");
	release();
}

static void
test_words(void)
{
	static const struct {
		const char *ranges, *labels, *closed, *reason;
	} rows[] = {
		{"1:1-11 1:14-20", "a", "00000001000000000000000C to 00000001000000000000000D are missing", NULL},
		{"1:1-11 1:13-20", "a", "00000001000000000000000C is missing", NULL},
		{"13:1-6", "l", "0000000D0000000000000004: ends early at 0/450000", "ends early at 0/450000"},
		{"14:1-6", "n", "0000000E0000000000000004: ", "0/450000"},
		{"15:1-6", "q", "0000000F0000000000000004: ", ""},
		{"16:1-6", "s", "000000100000000000000004: ", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = find(rows[i].ranges, "", rows[i].labels, false, &err);
		const char *closed = windows.window_count > 0 ? windows.windows[0].closed_by : NULL;
		const char *reason = windows.gap_count > 0 ? windows.gaps[0].reason : NULL;

		if (!tap_ok(rc == SW_OK && closed != NULL && strstr(closed, rows[i].closed) != NULL &&
			(rows[i].reason == NULL ? reason == NULL : reason != NULL && strstr(reason, rows[i].reason) != NULL),
			"what ends a window is said: %s", rows[i].closed))
			tap_note("%s; %s", closed != NULL ? closed : "-", reason != NULL ? reason : "-");
		release();
	}
	{
		struct sw_error err = SW_ERROR_INIT;

		find("1:1-15 1:17-20", "", "!ac", false, &err);
		tap_ok(windows.idle_count == 2 && strstr(windows.idle[0].reason, "it is damaged") != NULL &&
			strstr(windows.idle[1].reason, "000000010000000000000010 is missing") != NULL, "why a backup cannot be used is said");
		release();
	}
}

/* --- times of gaps, WAL in groups -------------------------------------------------------- */

static void
test_gap_times(void)
{
	struct sw_error err = SW_ERROR_INIT;

	find("1:1-11 1:14-20", "", "a", false, &err);
	if (tap_is_int((long long)windows.gap_count, 1, "one gap")) {
		is_time(windows.gaps[0].begin_us, minute(11) + 30 * SECOND, "the last moment before it");
		is_time(windows.gaps[0].end_us, minute(14), "the first one behind it");
	}
	release();
	find("1:1-7 2:10-18", "2", "a", false, &err);
	if (tap_is_int((long long)windows.gap_count, 1, "a gap between a parent's end and the fork"))
		is_time(windows.gaps[0].begin_us, minute(7) + 30 * SECOND, "... has the last moment before it too");
	release();
}

static sw_rc
count_one(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	(void)name;
	(void)info;
	(void)err;
	++*(int *)ctx;
	return SW_OK;
}

static void
test_groups(void)
{
	static const char *const runs[] = {"from summaries", "from the index"};
	struct sw_error err = SW_ERROR_INIT;

	put_segments(30, 1, 550);
	put_history(31, "30\t0/19080000\tx\n");
	put_first(31, 30, 400, AT(400, 0x80000));
	put_segments(31, 401, 410);
	for (size_t i = 0; i < 3; i++) {
		const char *run = runs[i > 0];
		char prefix[SW_STORE_NAME_MAX];
		int objects = 0;
		SW_AUTO_BUF got;

		sw_buf_init(&got, 4096);
		tap_is_int(find("30:1-550 31:400-410", "O", "x", true, &err), SW_OK, "hundreds of segments %s", run);
		describe(&got);
		tap_is((char *)got.data, "30:300..550=xx 31:400..410=xx", "... give the same windows");
		if (windows.window_count == 2) {
			const struct sw_window *w = windows.windows;

			tap_is_int((long long)w[0].commits, 2 * 251, "... and count the same commits");
			is_lsn(w[0].last.lsn, AT(550, 0xC0000), "... up to the last one");
			is_time(w[1].begin_us, minute(400), "... and know the moment before the fork");
		}
		release();
		sw_store_list(store, sw_repository_name(&repo, prefix, "index/"), NULL, count_one, &objects, &err);
		tap_is_int(objects, 1, "the one whole group is in the index");
	}
	find("30:1-550", "", "wx", true, &err);
	if (tap_is_int((long long)windows.window_count, 1, "a window over the whole group")) {
		const struct sw_window *w = windows.windows;

		tap_is_int((long long)w->commits, 2 * 548, "... counts its commits");
		is_lsn(w->end, AT(550, 0xF0000), "... and ends with the last record");
		tap_ok(w->last_backup == &inventory.backups[1], "... with the newest backup in it");
	}
	release();
}

int
main(void)
{
	if (!make_repository())
		return tap_done();
	fill_repository();
	test_cases();
	test_window();
	test_forks();
	test_points();
	test_words();
	test_gap_times();
	test_groups();
	test_no_commit();
	sw_store_free(store);
	scratch_remove(dir);
	return tap_done();
}
