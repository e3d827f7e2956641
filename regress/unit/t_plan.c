/*
 * What a restore needs: goals as users write them, and plans made from listings of a repository on disk.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "archive/object.h"
#include "base/clock.h"
#include "base/file.h"
#include "catalog/plan.h"
#include "store/posix.h"

#define MB (1024 * 1024)
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
	struct sw_plan plan = {.timeline = 3};
	struct sw_plan_request request = {.goal = {.kind = SW_GOAL_NAME, .name = "it's"}, .action = "promote"};
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
	request.standby = plan.follow_latest = true;
	request.goal = (struct sw_goal){.kind = SW_GOAL_LATEST};
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

static char dir[] = "/tmp/t_plan.XXXXXX";
static struct sw_store *store;
static struct sw_repository repo;

static void
put_segments(uint32_t timeline, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = i};
		struct sw_store_body body = sw_store_body_mem("x", 1);
		struct sw_error err = SW_ERROR_INIT;
		char object[SW_STORE_NAME_MAX];

		if (sw_store_put(store, sw_repository_wal_name(&repo, &name, object), &body, &err) != SW_OK)
			tap_note("%s", err.text);
	}
}

static void
put_history(uint32_t timeline, const char *text)
{
	struct sw_wal_name name = {.kind = SW_WAL_HISTORY, .timeline = timeline};
	struct sw_wal_summary summary = {.timeline = timeline};
	char object[SW_STORE_NAME_MAX], path[64];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_object history;
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	summary.system_identifier = repo.reg.system_identifier;
	summary.segment_size = repo.reg.segment_size;
	sw_wal_name_format(&name, repo.reg.segment_size, summary.name);
	snprintf(path, sizeof(path), "%s/history", dir);
	sw_file_write(path, text, strlen(text), 0600, &err);
	fd = open(path, O_RDONLY);
	rc = sw_object_encode(fd, path, &summary, 1, MB, &history, &err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_object_body(&history);

		rc = sw_store_put(store, sw_repository_wal_name(&repo, &name, object), &body, &err);
		sw_object_release(&history);
	}
	if (rc != SW_OK)
		tap_note("%s", err.text);
}

/*
 * Segments of 1 MB.  Timeline 1: 1 … 20, without 12 and 13.  2 leaves 1 within segment 10; 3 leaves 2
 * within 14; 4 leaves 1 within 5, before any backup there was.
 */
static bool
make_repository(void)
{
	struct sw_registration reg = {.system_identifier = 77, .major = 15, .segment_size = MB,
		.block_size = 8192, .traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	char root[64];
	sw_rc rc;

	snprintf(root, sizeof(root), "%s/repo", dir);
	rc = sw_posix_open(root, &store, &err);
	if (rc == SW_OK)
		rc = sw_repository_register(store, "main", &reg, &err);
	if (rc == SW_OK)
		rc = sw_repository_open(store, "main", 77, &repo, &err);
	if (!tap_is_int(rc, SW_OK, "a repository")) {
		tap_note("%s", err.text);
		return false;
	}
	put_segments(1, 1, 11);
	put_segments(1, 14, 20);
	put_segments(2, 10, 18);
	put_segments(3, 14, 16);
	put_segments(4, 5, 8);
	put_history(2, "1\t0/A80000\tx\n");
	put_history(3, "1\t0/A80000\tx\n2\t0/E80000\tx\n");
	put_history(4, "1\t0/580000\tx\n");
	return true;
}

static const struct {
	const char *label;
	uint32_t timeline;
	sw_lsn start, stop;
	int minute; /* after noon, of its end; it began a minute before */
} backups[] = {
	{"a", 1, 0x700028, 0x700100, 10},
	{"b", 1, 0xB00028, 0xB00100, 20}, /* behind the branch to 2 */
	{"c", 2, 0xC00028, 0xC80100, 30},
	{"d", 1, 0xF00028, 0xF00100, 40}, /* behind the hole */
	{"e", 1, 0x1300028, 0x1500100, 50}, /* its WAL is not complete */
};

/* Of the backups whose labels are in `labels`; '!' before one: it cannot be read. */
static void
fill_inventory(struct sw_inventory *inventory, const char *labels)
{
	inventory->backups = calloc(8, sizeof(*inventory->backups));
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
		b->header.finished_us = NOON + backups[i].minute * 60 * SECOND;
		b->header.started_us = b->header.finished_us - 60 * SECOND;
	}
}

static const struct {
	const char *name, *backups;
	struct sw_goal goal;
	const char *backup, *timeline;
	const char *want; /* "label timeline first-last", or "kind: " and words of its text or hint */
} plans[] = {
	{"latest: the newest backup, its latest descendant", "ac", {.kind = SW_GOAL_LATEST}, NULL, NULL, "c 3 12-16"},
	{"an old backup is followed over two branches", "a", {.kind = SW_GOAL_LATEST}, NULL, NULL, "a 3 7-16"},
	{"the backup's own timeline", "a", {.kind = SW_GOAL_LSN, .lsn = 0x900000}, NULL, "current", "a 1 7-20"},
	{"a named timeline", "a", {.kind = SW_GOAL_LATEST}, NULL, "2", "a 2 7-18"},
	{"a backup behind the branch stays on its timeline", "ab", {.kind = SW_GOAL_IMMEDIATE}, "b", NULL, "b 1 11-20"},
	{"only backups on the named timeline count", "ab", {.kind = SW_GOAL_LATEST}, NULL, "2", "a 2 7-18"},
	{"time: the newest that ended before", "ac", {.kind = SW_GOAL_TIME, .time_us = NOON + 25 * 60 * SECOND}, NULL, NULL,
		"a 3 7-16"},
	{"time: one that ends at that very moment does not count", "ac",
		{.kind = SW_GOAL_TIME, .time_us = NOON + 30 * 60 * SECOND}, NULL, NULL, "a 3 7-16"},
	{"LSN: the newest that ended before", "ac", {.kind = SW_GOAL_LSN, .lsn = 0xC80100}, NULL, NULL, "c 3 12-16"},
	{"LSN: just before a backup's end", "ac", {.kind = SW_GOAL_LSN, .lsn = 0xC800FF}, NULL, NULL, "a 3 7-16"},
	{"xid: the newest, and it is said", "ac", {.kind = SW_GOAL_XID, .xid = 9}, NULL, NULL, "c 3 12-16"},
	{"a backup that cannot be read is passed over", "a!c", {.kind = SW_GOAL_LATEST}, NULL, NULL, "a 3 7-16"},
	{"immediate: a hole behind the backup does not matter", "b", {.kind = SW_GOAL_IMMEDIATE}, NULL, NULL, "b 1 11-20"},
	{"LSN before a hole", "b", {.kind = SW_GOAL_LSN, .lsn = 0xBF0000}, NULL, NULL, "b 1 11-20"},
	{"time: a hole somewhere behind the backup is a warning", "b",
		{.kind = SW_GOAL_TIME, .time_us = NOON + 25 * 60 * SECOND}, NULL, NULL, "b 1 11-20"},

	{"latest with a hole", "b", {.kind = SW_GOAL_LATEST}, NULL, NULL,
		"not found: 00000001000000000000000C to 00000001000000000000000D"},
	{"... says how far it goes", "b", {.kind = SW_GOAL_LATEST}, NULL, NULL, "not found: before LSN 0/C00000"},
	{"LSN behind a hole", "b", {.kind = SW_GOAL_LSN, .lsn = 0xE00000}, NULL, NULL,
		"not found: 00000001000000000000000C to 00000001000000000000000D"},
	{"LSN within a hole", "b", {.kind = SW_GOAL_LSN, .lsn = 0xC80000}, NULL, NULL,
		"not found: 1 WAL segment is missing"},
	{"time: another backup proves the hole to lie before the target", "bd",
		{.kind = SW_GOAL_TIME, .time_us = NOON + 45 * 60 * SECOND}, "b", NULL, "not found: hole before it"},
	{"a hole in the backup's own WAL", "e", {.kind = SW_GOAL_IMMEDIATE}, NULL, NULL,
		"not found: backup's own WAL is not complete"},
	{"... names what is missing", "e", {.kind = SW_GOAL_IMMEDIATE}, NULL, NULL,
		"not found: 000000010000000000000015"},
	{"LSN behind the end of the WAL", "a", {.kind = SW_GOAL_LSN, .lsn = 0x1100001}, NULL, NULL,
		"not found: ends before LSN 0/1100000"},
	{"time before every backup", "ac", {.kind = SW_GOAL_TIME, .time_us = NOON}, NULL, NULL,
		"not found: end of backup a, 2026-11-21 12:10:00.000000+00 (LSN 0/700100)"},
	{"LSN before every backup", "ac", {.kind = SW_GOAL_LSN, .lsn = 0x700000}, NULL, NULL, "not found: backup a"},
	{"a timeline that branched off before every backup", "abc", {.kind = SW_GOAL_LATEST}, NULL, "4",
		"not found: on timeline 4"},
	{"no backup at all", "", {.kind = SW_GOAL_LATEST}, NULL, NULL, "not found: there is no backup"},
	{"a named backup that ends behind the target", "ac", {.kind = SW_GOAL_LSN, .lsn = 0x900000}, "c", NULL,
		"not found: backup c ends at"},
	{"a named backup on another timeline", "ab", {.kind = SW_GOAL_LATEST}, "b", "3",
		"not found: does not lie on timeline 3"},
	{"a named backup that is not there", "ac", {.kind = SW_GOAL_LATEST}, "x", NULL, "config: there is no backup x"},
	{"a named backup that cannot be read", "a!c", {.kind = SW_GOAL_LATEST}, "c", NULL, "corrupt: it is damaged"},
	{"a timeline that is not there", "ac", {.kind = SW_GOAL_LATEST}, NULL, "9", "config: no history file"},
	{"a timeline that is no number", "ac", {.kind = SW_GOAL_LATEST}, NULL, "2x", "config: is no timeline"},
	{"timeline 0", "ac", {.kind = SW_GOAL_LATEST}, NULL, "0", "config: is no timeline"},

	/* from here on timeline 5 has a damaged history */
	{NULL, "", {.kind = SW_GOAL_LATEST}, NULL, NULL, ""},
	{"a timeline whose history is damaged", "ac", {.kind = SW_GOAL_LATEST}, NULL, "5", "corrupt: 00000005.history"},
	{"the latest, when a history is damaged", "ac", {.kind = SW_GOAL_LATEST}, NULL, NULL, "corrupt: --target-timeline"},
	{"another timeline than the damaged one", "ac", {.kind = SW_GOAL_LATEST}, NULL, "3", "c 3 12-16"},
};

static void
test_plan(size_t i)
{
	struct sw_plan_request request = {
		.goal = plans[i].goal,
		.backup = plans[i].backup,
		.timeline = plans[i].timeline,
		.action = "pause",
	};
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;
	const char *colon = strchr(plans[i].want, ':');
	struct sw_plan plan;
	char got[64];
	sw_rc rc;

	fill_inventory(&inventory, plans[i].backups);
	rc = sw_inventory_read_histories(&repo, &inventory, &err);
	if (rc == SW_OK)
		rc = sw_plan_make(&repo, &inventory, &request, &plan, &err);
	if (colon != NULL) {
		bool kind = strncmp(sw_rc_name(rc), plans[i].want, (size_t)(colon - plans[i].want)) == 0;

		if (!tap_ok(rc != SW_OK && kind && (strstr(err.text, colon + 2) != NULL ||
			strstr(err.hint, colon + 2) != NULL), "%s", plans[i].name))
			tap_note("%s: %s -- %s", sw_rc_name(rc), err.text, err.hint);
	} else {
		snprintf(got, sizeof(got), "%s %u %llu-%llu", plan.backup.label, plan.timeline,
			(unsigned long long)plan.first_segment, (unsigned long long)plan.last_segment);
		tap_is(rc == SW_OK ? got : err.text, plans[i].want, "%s", plans[i].name);
		if (plans[i].goal.kind == SW_GOAL_XID)
			tap_ok(plan.remark_count > 0 && strstr(plan.remarks[plan.remark_count - 1], "--backup") != NULL,
				"... with the way to another");
		if (strstr(plans[i].name, "is a warning") != NULL)
			tap_ok(plan.remark_count > 0 && strstr(plan.remarks[plan.remark_count - 1],
				"00000001000000000000000C") != NULL, "... that names it");
	}
	sw_plan_release(&plan);
	sw_inventory_release(&inventory);
}

static void
test_inventory(void)
{
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF got;

	sw_buf_init(&got, 1024);
	sw_inventory_read_wal(&repo, 0, 0, &inventory, &err);
	for (size_t i = 0; i < inventory.range_count; i++)
		sw_buf_printf(&got, &err, "%u:%llu-%llu ", inventory.ranges[i].timeline,
			(unsigned long long)inventory.ranges[i].first, (unsigned long long)inventory.ranges[i].last);
	for (size_t i = 0; i < inventory.history_count; i++)
		sw_buf_printf(&got, &err, "h%u ", inventory.histories[i]);
	tap_is((char *)got.data, "1:1-11 1:14-20 2:10-18 3:14-16 4:5-8 h2 h3 h4 ", "all WAL is listed as ranges");
	sw_inventory_release(&inventory);
	sw_inventory_read_histories(&repo, &inventory, &err);
	tap_is_int((long long)inventory.history_count, 3, "histories are found without listing segments");
	sw_inventory_release(&inventory);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int
main(void)
{
	test_times();
	test_goals();
	test_settings();
	test_words();
	if (mkdtemp(dir) == NULL || !make_repository())
		return tap_done();
	sw_clock_set(NOON + 3600 * SECOND);
	test_inventory();
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		if (plans[i].name != NULL)
			test_plan(i);
		else
			put_history(5, "no history\n");
	}
	sw_store_free(store);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
