/*
 * What a restore needs: goals as users write them, and plans made from the WAL in a repository on disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "catalog/measure.h"
#include "catalog/path.h"
#include "catalog/plan.h"
#include "wal_repo.h"

#define MB WAL_REPO_MB
#define SECOND INT64_C(1000000)
#define NOON (INT64_C(1795262400) * SECOND) /* 2026-11-21 12:00:00 UTC */

/* --- times ------------------------------------------------------------------------- */

static void
test_times(void)
{
	static const struct {
		const char *text, *want; /* want NULL: refused */
	} cases[] = {
		{"2026-11-20 14:32:00+01", "2026-11-20 13:32:00.000000+00"},
		{"2026-11-20T13:32:00Z", "2026-11-20 13:32:00.000000+00"},
		{"2026-11-20 13:32Z", "2026-11-20 13:32:00.000000+00"},
		{"2026-11-20 13:32:07.25 +00", "2026-11-20 13:32:07.250000+00"},
		{"2026-11-20 13:32:07.123456-05:30", "2026-11-20 19:02:07.123456+00"},
		{"2026-11-20 13:32:07+0130", "2026-11-20 12:02:07.000000+00"},
		{"2024-02-29 23:59:59.999999-00:01", "2024-03-01 00:00:59.999999+00"},
		{"1970-01-01 00:30:00+01", "1969-12-31 23:30:00.000000+00"},
		{"2026-11-20 13:32:00", NULL},
		{"2026-11-20 13:32:00 UTC", NULL},
		{"2026-11-20 13:32:00 Europe/Vienna", NULL},
		{"2026-11-20 13:32:00 CET", NULL},
		{"2026-11-20", NULL},
		{"2026-11-20Z", NULL},
		{"2026-02-29 13:32:00Z", NULL},
		{"2026-11-31 13:32:00Z", NULL},
		{"2026-13-01 13:32:00Z", NULL},
		{"2026-11-20 24:00:00Z", NULL},
		{"2026-11-20 13:60:00Z", NULL},
		{"2026-11-20 13:32:60Z", NULL},
		{"2026-11-20 13:32:00.1234567Z", NULL},
		{"2026-11-20 13:32:00.Z", NULL},
		{"2026-11-20 13:32:00+16", NULL},
		{"2026-11-20 13:32:00+1", NULL},
		{"2026-11-20 13:32:00+01:", NULL},
		{"2026-11-20 13:32:00Z.", NULL},
		{"26-11-20 13:32:00Z", NULL},
		{"20/11/2026 13:32:00Z", NULL},
		{"yesterday", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		char buf[SW_GOAL_TIME_LEN];
		int64_t us = 0;
		sw_rc rc = sw_goal_parse_time(cases[i].text, &us, &err);

		if (cases[i].want == NULL)
			tap_ok(rc == SW_CONFIG && strstr(err.hint, "+01") != NULL && strstr(err.hint, "00Z") != NULL,
				"time \"%s\" is refused, and both forms are shown", cases[i].text);
		else
			tap_is(rc == SW_OK ? sw_goal_time(us, buf) : err.text, cases[i].want, "time \"%s\"",
				cases[i].text);
	}
}

/* --- goals ------------------------------------------------------------------------- */

static void
test_goals(void)
{
	static const struct {
		const char *name;
		struct sw_goal_words words;
		const char *want; /* NULL: refused */
	} cases[] = {
		{"none is all WAL", {0}, "to the end of the WAL"},
		{"immediate", {.immediate = true}, "to the backup's consistency"},
		{"LSN", {.lsn = "16/B374D848"}, "to LSN 16/B374D848"},
		{"exclusive LSN", {.lsn = "0/10", .exclusive = true}, "to just before LSN 0/10"},
		{"time", {.time = "2026-11-20 13:32Z"}, "to 2026-11-20 13:32:00.000000+00"},
		{"xid", {.xid = "893"}, "to transaction 893"},
		{"xid with its epoch", {.xid = "4294968189"}, "to transaction 893"},
		{"name", {.name = "it's \"safe\""}, "to restore point \"it's \"safe\"\""},
		{"two", {.lsn = "0/10", .xid = "893"}, NULL},
		{"two, one of them immediate", {.name = "x", .immediate = true}, NULL},
		{"exclusive without a target", {.exclusive = true}, NULL},
		{"exclusive name", {.name = "x", .exclusive = true}, NULL},
		{"exclusive immediate", {.immediate = true, .exclusive = true}, NULL},
		{"xid 2", {.xid = "2"}, NULL},
		{"negative xid", {.xid = "-893"}, NULL},
		{"xid with more", {.xid = "893x"}, NULL},
		{"xid beyond 64 bits", {.xid = "99999999999999999999"}, NULL},
		{"LSN without slash", {.lsn = "B374D848"}, NULL},
		{"LSN 0", {.lsn = "0/0"}, NULL},
		{"empty name", {.name = ""}, NULL},
		{"name of 64 bytes", {.name = "0123456789012345678901234567890123456789012345678901234567890123"}, NULL},
		{"name with a line break", {.name = "a\nb"}, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		char buf[SW_GOAL_TEXT_LEN];
		struct sw_goal goal;
		sw_rc rc = sw_goal_parse(&cases[i].words, &goal, &err);

		if (cases[i].want == NULL)
			tap_is_int(rc, SW_CONFIG, "goal is refused: %s", cases[i].name);
		else
			tap_is(rc == SW_OK ? sw_goal_text(&goal, buf) : err.text, cases[i].want, "goal: %s",
				cases[i].name);
	}
}

static void
test_settings(void)
{
	struct sw_plan plan = {.timeline = 3, .stop.goal = {.kind = SW_GOAL_NAME, .name = "it's"}};
	struct sw_plan_request request = {.goal = {.kind = SW_GOAL_LSN, .lsn = 9}, .action = "promote"};
	struct sw_plan_settings settings;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 4096);
	sw_plan_settings(&plan, &request, "fetch %f %p", &settings);
	for (size_t i = 0; i < settings.count; i++)
		sw_conf_append(&buf, &settings.items[i], &err);
	tap_is((char *)buf.data,
		"restore_command = 'fetch %f %p'\n"
		"primary_conninfo = ''\nprimary_slot_name = ''\n"
		"archive_cleanup_command = ''\nrecovery_end_command = ''\n"
		"recovery_min_apply_delay = '0'\n"
		"recovery_target_timeline = '3'\nrecovery_target_inclusive = 'on'\n"
		"recovery_target_action = 'promote'\nrecovery_target = ''\nrecovery_target_time = ''\n"
		"recovery_target_xid = ''\nrecovery_target_lsn = ''\nrecovery_target_name = 'it''s'\n",
		"settings are complete, and the target stands last");
	plan.before_hole = true;
	plan.backup.major = 14;
	sw_plan_settings(&plan, &request, "fetch", &settings);
	tap_is(settings.items[6].name, "recovery_target_timeline", "before a hole PostgreSQL 14 needs nothing");
	plan.backup.major = 15;
	sw_plan_settings(&plan, &request, "fetch", &settings);
	tap_ok(strcmp(settings.items[6].name, "recovery_prefetch") == 0 && strcmp(settings.items[6].value, "off") == 0,
		"... 15 must not read ahead into it");
	plan.before_hole = false;
	request.standby = plan.follow_latest = true;
	plan.stop.goal = (struct sw_goal){.kind = SW_GOAL_LATEST};
	sw_plan_settings(&plan, &request, "fetch", &settings);
	tap_is(settings.items[1].name, "recovery_target_timeline", "a standby keeps its primary_conninfo");
	tap_is(settings.items[1].value, "latest", "a standby without a target follows the primary's timelines");
}

static void
test_words(void)
{
	static const char *const cases[][2] = {
		{"/usr/bin/seawall-fetch", "/usr/bin/seawall-fetch"},
		{"--config=/etc/my conf", "'--config=/etc/my conf'"},
		{"it's", "'it'\\''s'"},
		{"100%p", "'100%%p'"},
		{"", "''"},
		{"$(x)", "'$(x)'"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 100);
		sw_plan_quote_word(&buf, cases[i][0], &err);
		tap_is((char *)buf.data, cases[i][1], "word for a shell: %s", cases[i][0]);
	}
}

/* --- a repository ------------------------------------------------------------------ */

static struct wal_repo r;

/*
 * Segments of 1 MB; each begins with a commit, of the timeline's own transactions, at a minute after noon:
 *
 * 1: 1 … 20, without 12 and 13; transactions 701 …, minutes 1 …
 * 2 leaves 1 within segment 10, and has 10 … 18; transactions 2010 … (2010 behind the fork), minutes 15 …
 * 3 leaves 2 within 14, and has 14 … 16; transactions 3014 …, minutes 35 …
 * 4 leaves 1 within 5, before any backup there was: 5 … 8
 * 8 leaves 1 within 15, and has nothing yet.
 * 6 leaves 1 within 21, which is not archived on 1: 21; then nothing is committed, and a checkpoint is of minute 90.
 */
static sw_lsn fork_2, fork_3, fork_4, fork_6, fork_8 = 0xF80000, sub_commit, point_x[2], point_y;

static int
minute_of(uint32_t timeline, uint64_t segment)
{
	static const int first[] = {[1] = 0, [2] = 5, [3] = 22, [4] = 5, [6] = 40};

	return first[timeline] + (int)segment;
}

static void
commit(struct wal_maker *w, uint32_t xid, int64_t minute)
{
	wal_repo_end(w, true, xid, NOON + minute * 60 * SECOND, NULL, 0);
}

static void
fill(struct wal_maker *w, sw_lsn until)
{
	while (w->at + 9000 < until)
		maker_add(w, 8000, 0, 11, 0, NULL);
	maker_add(w, (uint32_t)(until - w->at) + 64, 0, 11, 0, NULL);
}

static void
copy_maker(struct wal_maker *w, const struct wal_maker *from, uint32_t timeline)
{
	maker_init(w, 8192, MB, (unsigned)(from->len / MB), from->start);
	memcpy(w->bytes, from->bytes, from->at - from->start);
	w->at = from->at;
	w->prev = from->prev;
	w->timeline = timeline;
}

/* From where it is to the end of segment `last`. */
static void
go_on(struct wal_maker *w, uint64_t last, uint32_t xids)
{
	while (w->at < (last + 1) * MB) {
		uint64_t segment = w->at / MB;

		commit(w, xids + (uint32_t)segment, minute_of(w->timeline, segment));
		if (segment + 1 > last)
			break;
		fill(w, (segment + 1) * MB + 100);
	}
	fill(w, last * MB + 600000);
	maker_switch(w);
}

static void
put_history(uint32_t timeline, const char *parent)
{
	static const struct {
		uint32_t timeline;
		const sw_lsn *fork;
	} forks[] = {{2, &fork_2}, {3, &fork_3}, {4, &fork_4}, {6, &fork_6}, {8, &fork_8}};
	char text[200];

	for (size_t i = 0; i < sizeof(forks) / sizeof(forks[0]); i++)
		if (forks[i].timeline == timeline) {
			snprintf(text, sizeof(text), "%s%s0/%" PRIX64 "\tx\n", parent, timeline == 3 ? "2\t" : "1\t", *forks[i].fork);
			wal_repo_history(&r, timeline, text);
		}
}

static void
make_six(struct wal_maker *one)
{
	struct wal_maker six;

	commit(one, 721, 21);
	fork_6 = one->at;
	copy_maker(&six, one, 6);
	wal_repo_checkpoint(&six, 722, NOON + 90 * 60 * SECOND);
	maker_switch(&six);
	wal_repo_segments(&r, &six, 6, 21, 1);
	maker_release(&six);
}

static void
make_wal(void)
{
	const uint32_t subxids[] = {5001, 5002};
	struct wal_maker one, two, three, four;
	char parent[64];

	maker_init(&one, 8192, MB, 22, MB);
	for (uint64_t segment = 1; segment <= 20; segment++) {
		commit(&one, 700 + (uint32_t)segment, minute_of(1, segment));
		if (segment == 5) {
			fork_4 = one.at;
			copy_maker(&four, &one, 4);
		}
		if (segment == 8) {
			sub_commit = wal_repo_end(&one, true, 5000, NOON + 8 * 60 * SECOND + 1, subxids, 2);
			wal_repo_end(&one, false, 5003, NOON + 8 * 60 * SECOND + 2, NULL, 0);
			wal_repo_end_prepared(&one, true, 5004, NOON + 8 * 60 * SECOND + 3);
			point_x[0] = wal_repo_point(&one, "x", NOON + 8 * 60 * SECOND + 4);
			point_y = wal_repo_point(&one, "y", NOON + 8 * 60 * SECOND + 5);
		}
		if (segment == 9)
			point_x[1] = wal_repo_point(&one, "x", NOON + 9 * 60 * SECOND + 1);
		if (segment == 10) {
			fill(&one, 10 * MB + 300000);
			fork_2 = one.at;
			copy_maker(&two, &one, 2);
			commit(&one, 799, 10);
		}
		fill(&one, (segment + 1) * MB + 100);
	}
	wal_repo_segments(&r, &one, 1, 1, 11);
	wal_repo_segments(&r, &one, 1, 14, 7);
	make_six(&one);
	go_on(&four, 8, 4000);
	wal_repo_segments(&r, &four, 4, 5, 4);
	fill(&two, 10 * MB + 400000);
	commit(&two, 2010, 15);
	fill(&two, 11 * MB + 100);
	for (uint64_t segment = 11; segment < 14; segment++) {
		commit(&two, 2000 + (uint32_t)segment, minute_of(2, segment));
		fill(&two, (segment + 1) * MB + 100);
	}
	commit(&two, 2014, minute_of(2, 14));
	fork_3 = two.at;
	copy_maker(&three, &two, 3);
	fill(&two, 15 * MB + 100);
	go_on(&two, 18, 2000);
	wal_repo_segments(&r, &two, 2, 10, 9);
	go_on(&three, 16, 3000);
	wal_repo_segments(&r, &three, 3, 14, 3);
	put_history(2, "");
	snprintf(parent, sizeof(parent), "1\t0/%" PRIX64 "\tx\n", fork_2);
	put_history(3, parent);
	put_history(4, "");
	maker_release(&one);
	maker_release(&two);
	maker_release(&three);
	maker_release(&four);
}

static const struct {
	const char *label;
	uint32_t timeline;
	sw_lsn start, stop;
	int start_s, stop_s; /* seconds after noon */
} backups[] = {
	{"a", 1, 0x701000, 0x702000, 430, 440},
	{"b", 1, 0xB01000, 0xB02000, 670, 680},   /* behind the branch to 2 */
	{"c", 2, 0xC01000, 0xC80100, 1030, 1040},
	{"d", 1, 0xF01000, 0xF02000, 910, 920},   /* behind the hole */
	{"e", 1, 0x1301000, 0x1700100, 1150, 1160}, /* its WAL is not complete */
	{"w", 1, 0x781000, 0x981000, 450, 570},   /* long ones */
	{"v", 1, 0x781000, 0x881000, 450, 500},
};

/* Of the backups whose labels are in `labels`; '!' before one: it cannot be read. */
static void
fill_inventory(struct sw_inventory *inventory, const char *labels)
{
	inventory->backups = calloc(sizeof(backups) / sizeof(backups[0]), sizeof(*inventory->backups));
	for (size_t i = 0; i < sizeof(backups) / sizeof(backups[0]); i++) {
		struct sw_inventory_backup *b = &inventory->backups[inventory->backup_count];
		const char *at = strchr(labels, backups[i].label[0]);

		if (at == NULL)
			continue;
		inventory->backup_count++;
		strcpy(b->label, backups[i].label);
		strcpy(b->header.label, backups[i].label);
		b->reason = at > labels && at[-1] == '!' ? strdup("it is damaged") : NULL;
		b->header.timeline = backups[i].timeline;
		b->header.start = backups[i].start;
		b->header.stop = backups[i].stop;
		b->header.started_us = NOON + backups[i].start_s * SECOND;
		b->header.finished_us = NOON + backups[i].stop_s * SECOND;
	}
}

#define TIME(minutes) {.kind = SW_GOAL_TIME, .time_us = NOON + (minutes) * 60 * SECOND}
#define TIME_US(minutes, us) {.kind = SW_GOAL_TIME, .time_us = NOON + (minutes) * 60 * SECOND + (us)}
#define XID(x) {.kind = SW_GOAL_XID, .xid = x}
#define XID_EX(x) {.kind = SW_GOAL_XID, .xid = x, .exclusive = true}
#define LSN(x) {.kind = SW_GOAL_LSN, .lsn = x}
#define NAME(x) {.kind = SW_GOAL_NAME, .name = x}
#define LATEST {.kind = SW_GOAL_LATEST}
#define IMMEDIATE {.kind = SW_GOAL_IMMEDIATE}

static const struct plan_case {
	const char *name, *backups;
	struct sw_goal goal;
	const char *backup, *timeline;
	/* "label timeline first-last: last transaction recovered|first that is not", "0" for none; or "kind: " and words of
	 * its text or hint */
	const char *want;
	const char *remark; /* or NULL */
} plans[] = {
	{"latest: the newest backup, its latest descendant", "ac", LATEST, NULL, NULL, "c 3 12-16: 3016|0", "--target-timeline current"},
	{"an old backup is followed over two branches", "a", LATEST, NULL, NULL, "a 3 7-16: 3016|0", NULL},
	{"a named timeline", "a", LATEST, NULL, "2", "a 2 7-18: 2018|0", NULL},
	{"only backups on the named timeline count", "ab", LATEST, NULL, "2", "a 2 7-18: 2018|0", NULL},
	{"a backup that cannot be read is passed over", "a!c", LATEST, NULL, NULL, "a 3 7-16: 3016|0", "passed over"},
	{"latest on a timeline whose last segment only its child has", "d", LATEST, NULL, "1", "d 1 15-20: 720|0", "has all of it"},
	{"latest on a timeline whose first segment is its parent's alone", "d", LATEST, NULL, "8", "not found: 00000008000000000000000F", NULL},
	{"... says which it may be", "d", LATEST, NULL, "8", "not found: --target-timeline 1", NULL},
	{"LSN before the fork there", "d", LSN(0xF10000), NULL, "8", "d 8 15-15: 715|0", NULL},
	{"LSN behind the fork there", "d", LSN(0xF90000), NULL, "8", "not found: ends before LSN", NULL},
	{"immediate", "b", IMMEDIATE, "b", NULL, "b 1 11-11: 711|0", NULL},
	{"immediate: commits behind it are named", "a", IMMEDIATE, NULL, NULL, "a 3 7-7: 707|708", NULL},

	{"LSN: the newest backup that ended before", "ac", LSN(0xC80100), NULL, NULL, "c 3 12-12: 2012|2013", NULL},
	{"LSN: just before a backup's end", "ac", LSN(0xC70000), NULL, NULL, "a 3 7-12: 2012|2013", NULL},
	{"LSN on the backup's own timeline", "a", LSN(0x900000), NULL, "current", "a 1 7-9: 709|710", NULL},
	{"LSN before a hole", "b", LSN(0xBF0000), NULL, NULL, "b 1 11-11: 711|0", NULL},
	{"LSN that is in a segment which the parent did not archive", "d", LSN(0x1500010), NULL, NULL, "d 6 15-21: 721|0", NULL},
	{"... on the parent itself", "d", LSN(0x1500010), NULL, "current", "d 6 15-21: 721|0", "copy of the segment"},
	{"LSN within a record", "a", LSN(0x901000), NULL, "1", "a 1 7-9: 709|710", "within the one at"},

	{"time between two commits", "a", TIME(9), NULL, NULL, "a 3 7-10: 709|710", NULL},
	{"time: the newest backup before the stop", "ab", TIME(11), NULL, "1", "not found: hole", NULL},
	{"time: a clock that is behind a backup's own does not matter", "ac", TIME_US(17, -1), NULL, NULL, "a 3 7-12: 2011|2012", NULL},
	{"time: after the fork, on the child", "a", TIME(16), NULL, NULL, "a 3 7-12: 2011|2012", NULL},
	{"time: after the second fork", "ac", TIME(37), NULL, NULL, "c 3 12-16: 3015|3016", NULL},
	{"time: the parent went on", "a", TIME(16), NULL, "2", "a 2 7-12: 2011|2012", NULL},
	{"time within a backup: the one before", "aw", TIME_US(8, 10), NULL, NULL, "a 3 7-9: 5004|709", NULL},
	{"time within the only backup", "w", TIME(8), NULL, NULL, "not found: it lies within backup w", NULL},
	{"time before every backup", "ac", TIME(0), NULL, NULL,
		"not found: end of backup a, 2026-11-21 12:07:20.000000+00 (LSN 0/702000): --backup a --target-immediate", NULL},
	{"time in the future", "a", TIME(600), NULL, NULL, "not found: in the future", NULL},
	{"time behind the last commit: the archive ends before", "a", TIME(50), NULL, NULL, "a 3 7-16: 3016|0", "THE ARCHIVE ENDS BEFORE"},
	{"time behind the last commit: a checkpoint proves it", "d", TIME(60), NULL, NULL, "d 6 15-21: 721|0", "nothing was committed between"},
	{"time behind a checkpoint too", "d", TIME(95), NULL, NULL, "d 6 15-21: 721|0", "THE ARCHIVE ENDS BEFORE"},
	{"time behind the end of a timeline that was left", "d", TIME(22), NULL, "1", "not found: --target-timeline 6", NULL},
	{"time past a hole", "b", TIME(12), NULL, NULL, "not found: 00000001000000000000000C to 00000001000000000000000D", NULL},
	{"... with what is nearest before it", "b", TIME(12), NULL, NULL, "not found: choose the end of backup b", NULL},
	{"... and behind", "bd", TIME(12), NULL, NULL, "not found: --backup d --target-immediate", NULL},

	{"xid: the newest backup before it", "ac", XID(2013), NULL, NULL, "c 3 12-13: 2013|2014", NULL},
	{"xid: an older backup, where the newest is too late", "ac", XID(2011), NULL, NULL, "a 3 7-11: 2011|2012", NULL},
	{"xid, exclusive", "ac", XID_EX(708), NULL, NULL, "a 3 7-8: 707|708", NULL},
	{"xid before the fork, with a backup behind it", "ab", XID(709), NULL, NULL, "a 3 7-9: 709|710", NULL},
	{"xid on a branch that is not followed", "ab", XID(711), NULL, NULL,
		"not found: it ended: --target-timeline 1 --target-xid 711", NULL},
	{"xid on the parent behind a hole", "abd", XID(716), NULL, NULL, "d 6 15-16: 716|717", NULL},
	{"xid of a named timeline", "ac", XID(710), NULL, "1", "a 1 7-10: 710|799", NULL},
	{"xid that did not end", "ac", XID(9999), NULL, NULL, "not found: transactions from 707 to 5004 ended there", NULL},
	{"xid within the only backup", "w", XID(708), NULL, NULL, "not found: it lies within backup w", NULL},
	{"xid of an aborted transaction", "a", XID(5003), NULL, NULL, "a 3 7-8: 5003|5004", "was rolled back"},
	{"xid of a subtransaction", "a", XID(5002), NULL, NULL, "a 3 7-8: 5000|5003", "is a subtransaction of 5000"},
	{"xid of a prepared transaction, exclusive", "a", XID_EX(5004), NULL, NULL, "a 3 7-8: 5003|5004", "still prepared"},

	{"restore point", "a", NAME("y"), NULL, NULL, "a 3 7-8: 5004|709", NULL},
	{"restore point: an older backup, where the newest is too late", "abd", NAME("y"), NULL, NULL, "a 6 7-8: 5004|709", NULL},
	{"restore point whose name stands for two", "a", NAME("x"), NULL, NULL, "not found: ambiguous, there are 2", NULL},
	{"restore point that lies within the only backup", "w", NAME("y"), NULL, NULL, "not found: lies before the end of backup w", NULL},
	{"restore point that is not there", "a", NAME("z"), NULL, NULL, "not found: the newest there are: --target-name 'x'", NULL},
	{"two restore points within the backup", "w", NAME("x"), NULL, NULL, "not found: lies before the end", NULL},
	{"one of two restore points is within the backup", "v", NAME("x"), NULL, NULL, "v 3 7-9: 709|710", "it is told --target-lsn"},

	{"latest with a hole", "b", LATEST, NULL, NULL,
		"not found: 00000001000000000000000C to 00000001000000000000000D", NULL},
	{"LSN behind a hole", "b", LSN(0xE00000), NULL, NULL,
		"not found: 00000001000000000000000C to 00000001000000000000000D", NULL},
	{"LSN within a hole", "b", LSN(0xC80000), NULL, NULL, "not found: 2 WAL segments are missing", NULL},
	{"a hole in the backup's own WAL", "e", IMMEDIATE, NULL, NULL, "not found: the WAL of backup e itself is not complete", NULL},
	{"LSN behind the end of the WAL", "a", LSN(0x1100001), NULL, NULL, "not found: ends before LSN 0/1100000", NULL},
	{"... with the last there is", "a", LSN(0x1100001), NULL, "3", "not found: the last record before it: --target-lsn 0/10", NULL},
	{"LSN before every backup", "ac", LSN(0x700000), NULL, NULL, "not found: backup a", NULL},
	{"a timeline that branched off before every backup", "abc", LATEST, NULL, "4", "not found: on timeline 4", NULL},
	{"no backup at all", "", LATEST, NULL, NULL, "not found: there is no backup", NULL},
	{"a named backup that ends behind the target", "ac", LSN(0x900000), "c", NULL, "not found: backup c ends at", NULL},
	{"a named backup on another timeline", "ab", LATEST, "b", "3", "not found: does not lie on timeline 3", NULL},
	{"a named backup that is not there", "ac", LATEST, "x", NULL, "config: there is no backup x", NULL},
	{"a named backup that cannot be read", "a!c", LATEST, "c", NULL, "corrupt: it is damaged", NULL},
	{"a timeline that is not there", "ac", LATEST, NULL, "9", "config: no history file", NULL},
	{"a timeline that is no number", "ac", LATEST, NULL, "2x", "config: is no timeline", NULL},
	{"timeline 0", "ac", LATEST, NULL, "0", "config: is no timeline", NULL},

	/* from here on timeline 7 has a damaged history */
	{NULL, "", LATEST, NULL, NULL, "", NULL},
	{"a timeline whose history is damaged", "ac", LATEST, NULL, "7", "corrupt: 00000007.history", NULL},
	{"the latest, when a history is damaged", "ac", LATEST, NULL, NULL, "corrupt: --target-timeline", NULL},
	{"another timeline than the damaged one", "ac", LATEST, NULL, "3", "c 3 12-16: 3016|0", NULL},
};

static void
set_history(uint32_t timeline, bool there)
{
	struct sw_wal_name name = {.kind = SW_WAL_HISTORY, .timeline = timeline};
	char object[SW_STORE_NAME_MAX];
	const char *names[] = {sw_repository_wal_name(&r.repo, &name, object)};
	struct sw_error err = SW_ERROR_INIT;

	if (there)
		put_history(timeline, "");
	else
		sw_store_delete(r.store, names, 1, &err);
}

static bool
has_remark(const struct sw_plan *plan, const char *text)
{
	for (size_t i = 0; i < plan->remark_count; i++)
		if (strstr(plan->remarks[i], text) != NULL)
			return true;
	return false;
}

static void
judge_plan(const struct plan_case *c, sw_rc rc, const struct sw_plan *plan, const struct sw_error *err)
{
	const char *colon = strchr(c->want, ':'), *bar = strchr(c->want, '|');
	char got[100];

	if (bar == NULL) {
		bool kind = strncmp(sw_rc_name(rc), c->want, (size_t)(colon - c->want)) == 0;

		if (!tap_ok(rc != SW_OK && kind && (strstr(err->text, colon + 2) != NULL || strstr(err->hint, colon + 2) != NULL),
			"%s", c->name))
			tap_note("%s: %s -- %s", sw_rc_name(rc), err->text, err->hint);
		return;
	}
	snprintf(got, sizeof(got), "%s %u %llu-%llu: %llu|%llu", plan->backup.label, plan->timeline,
		(unsigned long long)plan->first_segment, (unsigned long long)plan->last_segment,
		(unsigned long long)plan->stop.before.xid, (unsigned long long)plan->stop.after.xid);
	if (!tap_is(rc == SW_OK ? got : err->text, c->want, "%s", c->name))
		tap_note("%s", err->hint);
	if (c->remark != NULL && !tap_ok(has_remark(plan, c->remark), "... and says it"))
		for (size_t i = 0; i < plan->remark_count; i++)
			tap_note("%s", plan->remarks[i]);
	tap_ok(plan->segment_count == plan->last_segment - plan->first_segment + 1 && plan->wal_stored > plan->segment_count * 1000 &&
		plan->exact, "... with its segments");
}

static void
test_plan(const struct plan_case *c)
{
	struct sw_plan_request request = {.goal = c->goal, .backup = c->backup, .timeline = c->timeline, .action = "pause"};
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_plan plan = {0};
	sw_rc rc;

	fill_inventory(&inventory, c->backups);
	/* timeline 6 is there for d alone: the others' stories end before it */
	set_history(6, strchr(c->backups, 'd') != NULL);
	set_history(8, c->timeline != NULL && strcmp(c->timeline, "8") == 0);
	rc = sw_inventory_read_histories(&r.repo, &inventory, &err);
	if (rc == SW_OK)
		rc = sw_plan_make(&r.repo, &inventory, &request, &plan, &err);
	judge_plan(c, rc, &plan, &err);
	sw_plan_release(&plan);
	sw_inventory_release(&inventory);
}

/* --- paths ------------------------------------------------------------------------------ */

static void
test_paths(void)
{
	static const struct {
		const char *name, *history;
		uint32_t timeline;
		uint64_t first;
		const char *want; /* spans, then "limit" and holes */
		struct sw_gap dropped;
	} cases[] = {
		{"one timeline to its hole", NULL, 1, 9, "1:9-11 hole 1:12-13 end 20", {0}},
		{"behind the hole", NULL, 1, 14, "1:14-20 end 20", {0}},
		{"over two forks", "1\t0/A80000\tx\n2\t0/E80000\tx\n", 3, 9, "1:9-9 2:10-13 3:14-16 end 16", {0}},
		{"a fork on a border", "1\t0/A00000\tx\n", 2, 9, "1:9-9 2:10-18 end 18", {0}},
		{"a fork on a border, the child's first segment is not there", "1\t0/900000\tx\n", 2, 8, "1:8-8 hole 2:9-9 end 18", {0}},
		{"the child has nothing: the parent's segment is read", "1\t0/F80000\tx\n", 9, 14, "1:14-15 limit F80000 end 15", {0}},
		{"the child's first segment is not there, its next one is", "1\t0/980000\tx\n", 2, 8, "1:8-9 limit 980000 hole 2:9-9 end 18", {0}},
		{"an empty timeline between", "1\t0/F80000\tx\n2\t0/A80000\tx\n", 3, 9, "1:9-10 limit A80000 hole 3:10-13 end 16", {0}},
		{"nothing at all", NULL, 1, 30, "end 0", {0}},
		{"dropped behind the end", NULL, 1, 14, "1:14-20 hole 1:21-23 end 23", {.timeline = 1, .first = 19, .last = 23}},
		{"dropped, and there all the same", NULL, 1, 14, "1:14-20 end 20", {.timeline = 1, .first = 14, .last = 20}},
		{"dropped with nothing there", NULL, 1, 30, "hole 1:30-31 end 31", {.timeline = 1, .first = 30, .last = 31}},
		{"dropped before what is read", NULL, 1, 30, "end 0", {.timeline = 1, .first = 21, .last = 23}},
		{"dropped of the parent, behind the fork", "1\t0/A00000\tx\n", 2, 9, "1:9-9 2:10-18 end 18",
			{.timeline = 1, .first = 10, .last = 30}},
		{"dropped of the child", "1\t0/A00000\tx\n", 2, 9, "1:9-9 2:10-18 hole 2:19-19 end 19",
			{.timeline = 2, .first = 19, .last = 19}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_timeline_history history = {0};
		struct sw_error err = SW_ERROR_INIT;
		struct sw_gap dropped = cases[i].dropped;
		struct sw_inventory inventory = {.gaps = &dropped, .gap_count = dropped.timeline != 0};
		struct sw_lines lines;
		struct sw_path path;
		SW_AUTO_BUF got;

		sw_buf_init(&got, 1000);
		sw_lines_init(&lines, &r.repo, &inventory);
		sw_timeline_history_parse(cases[i].timeline, cases[i].history, cases[i].history == NULL ? 0 : strlen(cases[i].history),
			&history, &err);
		sw_path_make(&lines, &history, cases[i].first, &path, &err);
		for (size_t k = 0; k < path.span_count; k++)
			sw_buf_printf(&got, &err, "%u:%llu-%llu ", path.spans[k].timeline, (unsigned long long)path.spans[k].first,
				(unsigned long long)path.spans[k].last);
		if (path.limit != 0)
			sw_buf_printf(&got, &err, "limit %" PRIX64 " ", path.limit);
		for (size_t k = 0; k < path.hole_count; k++)
			sw_buf_printf(&got, &err, "hole %u:%llu-%llu ", path.holes[k].timeline, (unsigned long long)path.holes[k].first,
				(unsigned long long)path.holes[k].last);
		sw_buf_printf(&got, &err, "end %llu", (unsigned long long)path.end);
		tap_is((char *)got.data, cases[i].want, "path: %s", cases[i].name);
		sw_path_release(&path);
		sw_lines_release(&lines);
		sw_timeline_history_release(&history);
	}
}

static void
test_inventory(void)
{
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF got;

	sw_buf_init(&got, 1024);
	sw_inventory_read_wal(&r.repo, 0, 0, &inventory, &err);
	for (size_t i = 0; i < inventory.range_count; i++)
		sw_buf_printf(&got, &err, "%u:%llu-%llu ", inventory.ranges[i].timeline,
			(unsigned long long)inventory.ranges[i].first, (unsigned long long)inventory.ranges[i].last);
	for (size_t i = 0; i < inventory.history_count; i++)
		sw_buf_printf(&got, &err, "h%u ", inventory.histories[i]);
	tap_is((char *)got.data, "1:1-11 1:14-20 2:10-18 3:14-16 4:5-8 6:21-21 h2 h3 h4 ", "all WAL is listed as ranges");
	sw_inventory_release(&inventory);
	sw_inventory_read_histories(&r.repo, &inventory, &err);
	tap_is_int((long long)inventory.history_count, 3, "histories are found without listing segments");
	sw_inventory_release(&inventory);
}

/* --- WAL of another format ------------------------------------------------------------- */

static void
test_unknown(void)
{
	static const struct {
		const char *name;
		struct sw_goal goal;
		bool reached;
	} goals[] = {
		{"latest", LATEST, true}, {"immediate", IMMEDIATE, true}, {"xid", XID(700), true}, {"name", NAME("x"), true},
		{"LSN", LSN(0x980000), true}, {"LSN before the backup", LSN(0x600000), false}, {"time", TIME(20), true},
		{"time before the backup", TIME(1), false},
	};
	struct wal_repo other;
	struct wal_maker w;

	if (!wal_repo_make(&other))
		return;
	maker_init(&w, 8192, MB, 3, 7 * MB);
	w.magic = 0xD1FF;
	fill(&w, 10 * MB - 10000);
	wal_repo_segments(&other, &w, 1, 7, 3);
	maker_release(&w);
	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		struct sw_plan_request request = {.goal = goals[i].goal, .action = "pause"};
		struct sw_inventory inventory = {0};
		struct sw_error err = SW_ERROR_INIT;
		struct sw_plan plan;
		sw_rc rc;

		fill_inventory(&inventory, "a");
		rc = sw_plan_make(&other.repo, &inventory, &request, &plan, &err);
		if (!goals[i].reached)
			tap_is_int(rc, SW_NOT_FOUND, "unknown format: %s", goals[i].name);
		else if (!tap_ok(rc == SW_OK && !plan.exact && plan.stop.goal.kind == goals[i].goal.kind && plan.segment_count == 3 &&
			has_remark(&plan, "is NOT known") && has_remark(&plan, "D1FF"), "unknown format: %s, and it is said", goals[i].name))
			tap_note("%d %s %s", rc, err.text, plan.remark_count > 0 ? plan.remarks[0] : "");
		sw_plan_release(&plan);
		sw_inventory_release(&inventory);
	}
	wal_repo_release(&other);
}

/* --- numbers that begin again ------------------------------------------------------------ */

#define EPOCH (UINT64_C(1) << 32)

static void
test_epochs(void)
{
	static const struct {
		const char *name;
		struct sw_goal goal;
		bool second, by_lsn, kept;
	} goals[] = {
		{"32 bits that are there once", XID_EX(701), true, false, true},
		{"64 bits of the first epoch but one", {.kind = SW_GOAL_XID, .xid = 700, .xid_full = EPOCH + 700}, true, true, true},
		{"... exclusive", {.kind = SW_GOAL_XID, .xid = 700, .xid_full = EPOCH + 700, .exclusive = true}, true, true, false},
		{"64 bits where the 32 are there once", {.kind = SW_GOAL_XID, .xid = 701, .xid_full = EPOCH + 701, .exclusive = true}, true, false,
			true},
	};
	const struct sw_goal later = {.kind = SW_GOAL_XID, .xid = 700, .xid_full = 2 * EPOCH + 700};
	struct sw_plan_request request = {.goal = later, .action = "pause"};
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct wal_repo other;
	struct wal_maker w;
	struct sw_plan plan;
	char lsns[2][SW_LSN_LEN], ways[400];
	sw_lsn first, second;

	if (!wal_repo_make(&other))
		return;
	maker_init(&w, 8192, MB, 3, 7 * MB);
	wal_repo_checkpoint(&w, 690, NOON);
	wal_repo_fill(&w, 0x703000);
	first = wal_repo_end(&w, true, 700, NOON, NULL, 0);
	wal_repo_fill(&w, 8 * MB + 100);
	wal_repo_checkpoint(&w, EPOCH + 690, NOON);
	second = wal_repo_end(&w, true, 700, NOON, NULL, 0);
	wal_repo_fill(&w, 9 * MB + 100);
	wal_repo_end(&w, true, 701, NOON, NULL, 0);
	maker_switch(&w);
	wal_repo_segments(&other, &w, 1, 7, 3);
	maker_release(&w);
	fill_inventory(&inventory, "a");
	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		sw_rc rc;

		request.goal = goals[i].goal;
		rc = sw_plan_make(&other.repo, &inventory, &request, &plan, &err);
		if (!tap_is_int(rc, SW_OK, "a number twice: %s", goals[i].name))
			tap_note("%s", err.text);
		else
			tap_ok(plan.stop.goal.kind == (goals[i].by_lsn ? SW_GOAL_LSN : SW_GOAL_XID) &&
				has_remark(&plan, "same 32 bits") == goals[i].by_lsn && plan.stop.goal.exclusive == goals[i].goal.exclusive &&
				(plan.stop.before.lsn >= first) == goals[i].second && (plan.stop.before.lsn >= second) == goals[i].kept,
				"... stops there");
		sw_plan_release(&plan);
	}
	request.goal = (struct sw_goal)XID_EX(700);
	tap_is_int(sw_plan_make(&other.repo, &inventory, &request, &plan, &err), SW_NOT_FOUND, "32 bits that are there twice");
	snprintf(ways, sizeof(ways), "--target-timeline 1 --target-lsn %s --target-exclusive, or --target-timeline 1 --target-lsn %s "
		"--target-exclusive (or --target-xid 4294967996)", sw_lsn_format(first, lsns[0]), sw_lsn_format(second, lsns[1]));
	tap_ok(strstr(err.text, "transaction 700 is ambiguous") != NULL && strstr(err.hint, ways) != NULL, "... are ambiguous, and both ways are told");
	sw_plan_release(&plan);
	request.goal = later;
	tap_is_int(sw_plan_make(&other.repo, &inventory, &request, &plan, &err), SW_NOT_FOUND, "64 bits that are not there");
	tap_ok(strstr(err.text, "transaction 8589935292 was neither") != NULL, "... are told as such");
	sw_plan_release(&plan);
	sw_inventory_release(&inventory);
	wal_repo_release(&other);
}

/* --- what restores took -------------------------------------------------------------------- */

static void
put_measure(const char *name, const char *text)
{
	struct sw_store_body body = sw_store_body_mem(text, strlen(text));
	struct sw_error err = SW_ERROR_INIT;
	char object[SW_STORE_NAME_MAX];

	sw_repository_name(&r.repo, object, "restore/%s", name);
	if (sw_store_put(r.store, object, &body, &err) != SW_OK)
		tap_note("%s", err.text);
}

static void
test_measures(void)
{
	struct sw_measure measure = {.label = "a", .bytes = 100 * MB, .elapsed_ms = 2000, .workers = 2, .finished_us = NOON};
	struct sw_measure_estimate e = {.restores = 9};
	struct sw_error err = SW_ERROR_INIT;

	tap_ok(sw_measure_read(&r.repo, &e, &err) == SW_OK && e.restores == 0, "nothing was measured yet");
	put_measure("20261101T000000Z-00000001.json", "{\"seawall\": \"restore\", \"version\": 1, \"host\": \"elsewhere\", "
		"\"bytes\": 104857600, \"elapsed_ms\": 1000}");
	put_measure("20261101T000000Z-00000002.json", "{\"seawall\": \"restore\", \"version\": 1, \"bytes\": -5}");
	put_measure("20261101T000000Z-00000003.json", "nothing");
	put_measure("20200101T000000Z-00000001.json", "{\"seawall\": \"restore\", \"version\": 1, \"host\": \"elsewhere\", "
		"\"bytes\": 104857600, \"elapsed_ms\": 900000}");
	tap_ok(sw_measure_read(&r.repo, &e, &err) == SW_OK && e.restores == 1 && !e.same_host &&
		(int)e.bytes_per_s == 100 * MB, "other hosts' count, what is damaged or very old does not");
	tap_is_int(sw_measure_put(&r.repo, &measure, &err), SW_OK, "a restore is noted");
	tap_ok(sw_measure_read(&r.repo, &e, &err) == SW_OK && e.restores == 1 && e.same_host && (int)e.bytes_per_s == 50 * MB,
		"this host's own count first");
	measure.bytes = 100;
	sw_measure_put(&r.repo, &measure, &err);
	tap_ok(sw_measure_read(&r.repo, &e, &err) == SW_OK && e.restores == 1, "a few bytes tell no rate");
}

int
main(void)
{
	test_times();
	test_goals();
	test_settings();
	test_words();
	if (!wal_repo_make(&r))
		return tap_done();
	make_wal();
	sw_clock_set(NOON + 100 * 60 * SECOND);
	test_inventory();
	test_paths();
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		if (plans[i].name != NULL)
			test_plan(&plans[i]);
		else
			wal_repo_history(&r, 7, "no history\n");
	}
	test_unknown();
	test_epochs();
	test_measures();
	wal_repo_release(&r);
	return tap_done();
}
