/*
 * The record at which PostgreSQL will stop, found in made WAL: two timelines, transactions of all kinds.
 */
#include "catalog/stop.h"

#include <inttypes.h>
#include <stdio.h>

#include "archive/index.h"
#include "catalog/path.h"
#include "wal_repo.h"

#define MB WAL_REPO_MB
#define S INT64_C(1000000)
#define T0 (INT64_C(1795262400) * S)

static const struct sw_inventory nothing_dropped;
static struct wal_repo r;

/* Places, by the names that the cases use. */
enum place {
	NONE, C700, A701, POINT_A, C703, P706, R707, C708, C710, A711, POINT_A2, POINT_B, CHECKPOINT, C712, FILLER, SWITCH1,
	D712, D713, SUB715, D714, CHECKPOINT2, SWITCH2, PLACES
};
static sw_lsn at[PLACES];
static sw_lsn fork_at;

static void
note(enum place place, const struct wal_maker *w)
{
	at[place] = w->last;
}

/* Segments 2 … 5; 710's record lies over the border of 3 and 4. */
static void
make_one(struct wal_maker *w)
{
	const uint32_t subxids[] = {704, 705};

	maker_init(w, 8192, MB, 4, 2 * MB);
	wal_repo_checkpoint(w, 700, T0);
	at[C700] = wal_repo_end(w, true, 700, T0 + 1 * S, NULL, 0);
	at[A701] = wal_repo_end(w, false, 701, T0 + 2 * S, NULL, 0);
	at[POINT_A] = wal_repo_point(w, "a", T0 + 3 * S);
	wal_repo_fill(w, 3 * MB + 5000);
	at[C703] = wal_repo_end(w, true, 703, T0 + 10 * S, subxids, 2);
	at[P706] = wal_repo_end_prepared(w, true, 706, T0 + 12 * S);
	at[R707] = wal_repo_end_prepared(w, false, 707, T0 + 13 * S);
	at[C708] = wal_repo_end(w, true, 708, T0 + 11 * S, NULL, 0);
	wal_repo_fill(w, 4 * MB - 300);
	maker_add(w, (uint32_t)(4 * MB - 32 - w->at), 0, 11, 0, NULL);
	at[C710] = wal_repo_end(w, true, 710, T0 + 20 * S, NULL, 0);
	at[A711] = wal_repo_end(w, false, 711, T0 + 21 * S, NULL, 0);
	at[POINT_A2] = wal_repo_point(w, "a", T0 + 22 * S);
	at[POINT_B] = wal_repo_point(w, "b", T0 + 23 * S);
	at[CHECKPOINT] = wal_repo_checkpoint(w, 712, T0 + 30 * S);
	fork_at = w->at;
}

static void
make_wal(void)
{
	const uint32_t subxids[] = {716};
	struct wal_maker one, two;

	make_one(&one);
	maker_init(&two, 8192, MB, 4, 2 * MB);
	memcpy(two.bytes, one.bytes, one.at - one.start);
	two.at = one.at;
	two.prev = one.prev;
	two.timeline = 2;
	at[C712] = wal_repo_end(&one, true, 712, T0 + 40 * S, NULL, 0);
	maker_add(&one, 30000, 0, 11, 0, NULL);
	note(FILLER, &one);
	wal_repo_fill(&one, 5 * MB + 100);
	maker_switch(&one);
	note(SWITCH1, &one);
	wal_repo_segments(&r, &one, 1, 2, 4);
	at[D712] = wal_repo_end(&two, true, 712, T0 + 50 * S, NULL, 0);
	wal_repo_fill(&two, 5 * MB + 100);
	at[D713] = wal_repo_end(&two, true, 713, T0 + 60 * S, NULL, 0);
	at[SUB715] = wal_repo_end(&two, false, 715, T0 + 61 * S, NULL, 0);
	at[D714] = wal_repo_end(&two, true, 714, T0 + 62 * S, subxids, 1);
	at[CHECKPOINT2] = wal_repo_checkpoint(&two, 717, T0 + 100 * S);
	maker_switch(&two);
	note(SWITCH2, &two);
	wal_repo_segments(&r, &two, 2, 4, 2);
	maker_release(&one);
	maker_release(&two);
}

static sw_rc
find(uint32_t timeline, sw_lsn redo, const struct sw_goal *goal, bool fresh, struct sw_stop_report *report,
	struct sw_error *err)
{
	const struct sw_timeline_history *history;
	struct sw_lines lines;
	struct sw_path path = {0};
	sw_rc rc;

	sw_lines_init(&lines, &r.repo, &nothing_dropped);
	rc = sw_lines_history(&lines, timeline, &history, err);
	if (rc == SW_OK)
		rc = sw_path_make(&lines, history, redo / MB, &path, err);
	if (rc == SW_OK) {
		struct sw_stop_search search = {.repo = &r.repo, .spans = path.spans, .span_count = path.span_count,
			.history = history, .redo = redo, .consistent = at[A701], .limit = path.limit, .goal = *goal,
			.fresh = fresh, .workers = 2};

		rc = sw_stop_find(&search, report, err);
	}
	sw_path_release(&path);
	sw_lines_release(&lines);
	return rc;
}

#define TIME(s) {.kind = SW_GOAL_TIME, .time_us = T0 + (s) * S}
#define TIME_EX(s) {.kind = SW_GOAL_TIME, .time_us = T0 + (s) * S, .exclusive = true}
#define XID(x) {.kind = SW_GOAL_XID, .xid = x}
#define XID_EX(x) {.kind = SW_GOAL_XID, .xid = x, .exclusive = true}
#define NAME(x) {.kind = SW_GOAL_NAME, .name = x}

static const struct {
	const char *name;
	uint32_t timeline;
	struct sw_goal goal;
	enum sw_stop_kind kind;
	enum place stop, before, after;
	uint32_t on; /* timeline of the stop */
} cases[] = {
	{"time of a commit", 1, TIME(1), SW_STOP_BEFORE_END, A701, C700, A701, 1},
	{"time of a commit, exclusive", 1, TIME_EX(1), SW_STOP_BEFORE_END, C700, NONE, C700, 1},
	{"time between, exclusive", 1, TIME_EX(5), SW_STOP_BEFORE_END, C703, A701, C703, 1},
	{"time before that of an abort", 1, TIME_EX(2), SW_STOP_BEFORE_END, A701, C700, A701, 1},
	{"time: LSN order, not the times' own: a prepared commit stops it", 1, TIME(11), SW_STOP_BEFORE_END, P706, C703, P706, 1},
	{"time before an aborted prepared transaction's", 1, TIME(12), SW_STOP_BEFORE_END, R707, P706, R707, 1},
	{"time: the record lies over a border", 1, TIME(15), SW_STOP_BEFORE_END, C710, C708, C710, 1},
	{"time of the last before a fork, on the parent", 1, TIME(30), SW_STOP_BEFORE_END, C712, A711, C712, 1},
	{"time of the last before a fork, on the child", 2, TIME(40), SW_STOP_BEFORE_END, D712, A711, D712, 2},
	{"time of an aborted subtransaction", 2, TIME(60), SW_STOP_BEFORE_END, SUB715, D713, SUB715, 2},
	{"xid", 1, XID(700), SW_STOP_AFTER_END, C700, C700, A701, 1},
	{"xid, exclusive", 1, XID_EX(708), SW_STOP_BEFORE_END, C708, R707, C708, 1},
	{"xid of an abort", 1, XID(701), SW_STOP_AFTER_END, A701, A701, C703, 1},
	{"xid of a prepared transaction", 1, XID(706), SW_STOP_AFTER_END, P706, P706, R707, 1},
	{"xid of an aborted prepared transaction, exclusive", 1, XID_EX(707), SW_STOP_BEFORE_END, R707, P706, R707, 1},
	{"xid over a border", 1, XID(710), SW_STOP_AFTER_END, C710, C710, A711, 1},
	{"xid over a border, exclusive", 1, XID_EX(710), SW_STOP_BEFORE_END, C710, C708, C710, 1},
	{"xid over a border, the child's copy has its end", 2, XID(710), SW_STOP_AFTER_END, C710, C710, A711, 1},
	{"time, over such a border", 2, TIME(15), SW_STOP_BEFORE_END, C710, C708, C710, 1},
	{"xid on the parent", 1, XID(712), SW_STOP_AFTER_END, C712, C712, NONE, 1},
	{"the same xid on the child", 2, XID(712), SW_STOP_AFTER_END, D712, D712, D713, 2},
	{"xid before the fork, on the child's path", 2, XID(711), SW_STOP_AFTER_END, A711, A711, D712, 1},
	{"xid of an aborted subtransaction", 2, XID(715), SW_STOP_AFTER_END, SUB715, SUB715, D714, 2},
	{"subtransaction", 1, XID(705), SW_STOP_AFTER_END, C703, C703, P706, 1},
	{"subtransaction, exclusive", 2, XID_EX(716), SW_STOP_BEFORE_END, D714, SUB715, D714, 2},
	{"restore point", 1, NAME("b"), SW_STOP_AT_POINT, POINT_B, A711, C712, 1},
	{"restore point of a name used twice: the first", 2, NAME("a"), SW_STOP_AT_POINT, POINT_A, A701, C703, 1},
	{"the end", 1, {.kind = SW_GOAL_LATEST}, SW_STOP_END, SWITCH1, C712, NONE, 1},
	{"the end of the child", 2, {.kind = SW_GOAL_LATEST}, SW_STOP_END, SWITCH2, D714, NONE, 2},
	{"consistency", 2, {.kind = SW_GOAL_IMMEDIATE}, SW_STOP_CONSISTENT, C700, C700, A701, 1},
};

static void
check(size_t i, bool fresh)
{
	struct sw_stop_report report = {0};
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = find(cases[i].timeline, 2 * MB, &cases[i].goal, fresh, &report, &err);
	const struct sw_stop *stop = &report.stop;

	if (!tap_ok(rc == SW_OK && report.answer == SW_STOP_FOUND && stop->kind == cases[i].kind && stop->lsn == at[cases[i].stop] &&
		stop->before.lsn == at[cases[i].before] && stop->after.lsn == at[cases[i].after] && stop->after_known &&
		stop->timeline == cases[i].on, "%s%s", cases[i].name, fresh ? "" : ", as the index has it"))
		tap_note("%d %s answer %d kind %d at %" PRIX64 " (%" PRIX64 ") before %" PRIX64 " (%" PRIX64 ") after %" PRIX64 " (%"
			PRIX64 ") known %d timeline %u %s", rc, err.text, report.answer, stop->kind, stop->lsn, at[cases[i].stop],
			stop->before.lsn, at[cases[i].before], stop->after.lsn, at[cases[i].after], stop->after_known, stop->timeline,
			report.reason);
}

static void
test_lsns(void)
{
	const struct {
		const char *name;
		sw_lsn lsn;
		bool exclusive;
		enum place stop, before, after;
		enum place within;
	} lsns[] = {
		{"LSN where a commit begins", at[C708], false, C708, C708, C710, NONE},
		{"LSN where a commit begins, exclusive", at[C708], true, C708, R707, C708, NONE},
		{"LSN within a commit", at[R707] + 9, false, C708, C708, C710, R707},
		{"LSN within a commit, exclusive", at[R707] + 9, true, C708, R707, C708, R707},
		{"LSN within a record over a border, in front of it", at[C710] + 8, false, A711, A711, C712, C710},
		{"LSN within a record over a border, behind it", 4 * MB + 44, true, A711, C710, A711, C710},
		{"LSN of a segment's first byte", 4 * MB, true, A711, C710, A711, C710},
	};

	for (size_t i = 0; i < sizeof(lsns) / sizeof(lsns[0]); i++) {
		struct sw_goal goal = {.kind = SW_GOAL_LSN, .lsn = lsns[i].lsn, .exclusive = lsns[i].exclusive};
		struct sw_stop_report report = {0};
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = find(1, 2 * MB, &goal, true, &report, &err);
		const struct sw_stop *stop = &report.stop;

		if (!tap_ok(rc == SW_OK && report.answer == SW_STOP_FOUND && stop->lsn == at[lsns[i].stop] &&
			stop->kind == (goal.exclusive ? SW_STOP_BEFORE_LSN : SW_STOP_AFTER_LSN) &&
			stop->before.lsn == at[lsns[i].before] && stop->after.lsn == at[lsns[i].after] &&
			report.within == at[lsns[i].within], "%s", lsns[i].name))
			tap_note("%d %s answer %d at %" PRIX64 " before %" PRIX64 " after %" PRIX64 " within %" PRIX64, rc, err.text,
				report.answer, stop->lsn, stop->before.lsn, stop->after.lsn, report.within);
	}
}

static void
test_not_reached(void)
{
	static const struct {
		const char *name;
		uint32_t timeline;
		struct sw_goal goal;
		enum place last;
		int64_t sign;
	} none[] = {
		{"a time behind the last commit", 1, TIME(41), C712, 0},
		{"a time behind the last commit, with a checkpoint behind it", 2, TIME(90), D714, T0 + 100 * S},
		{"the xid of a transaction that did not end", 1, XID(702), C712, 0},
		{"the child's xid on the parent", 1, XID(713), C712, 0},
		{"an xid that is far away", 1, XID(4000000000u), C712, 0},
		{"the name of no restore point", 2, NAME("c"), D714, T0 + 100 * S},
		{"an LSN behind the end", 1, {.kind = SW_GOAL_LSN, .lsn = 6 * MB}, C712, 0},
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct sw_stop_report report = {0};
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = find(none[i].timeline, 2 * MB, &none[i].goal, true, &report, &err);

		if (!tap_ok(rc == SW_OK && report.answer == SW_STOP_NOT_REACHED && report.last.lsn == at[none[i].last] &&
			report.sign.time_us == none[i].sign && report.reason[0] == '\0', "not reached: %s", none[i].name))
			tap_note("%d %s answer %d last %" PRIX64 " sign %" PRId64 " %s", rc, err.text, report.answer, report.last.lsn,
				report.sign.time_us - T0, report.reason);
	}
}

static void
test_details(void)
{
	struct sw_goal goal = XID(705), aborted = XID(701), prepared = XID(706), late = XID(700);
	struct sw_stop_report report = {0};
	struct sw_error err = SW_ERROR_INIT;

	find(1, 2 * MB, &goal, true, &report, &err);
	tap_ok(report.subtransaction && report.stop.goal.xid == 703 && report.stop.commit && !report.stop.prepared,
		"a subtransaction becomes its top one");
	find(1, 2 * MB, &aborted, true, &report, &err);
	tap_ok(!report.stop.commit && report.stop.transaction && report.stop.time_us == T0 + 2 * S && !report.subtransaction,
		"an abort is one");
	find(1, 2 * MB, &prepared, true, &report, &err);
	tap_ok(report.stop.commit && report.stop.prepared && (uint32_t)report.stop.xid == 706, "a prepared one too");
	find(1, at[A701], &late, true, &report, &err);
	tap_is_int(report.answer, SW_STOP_NOT_REACHED, "what ends before redo is not seen");
}

static void
test_points(void)
{
	const struct sw_timeline_history *history = NULL;
	struct sw_stop_points points = {0};
	struct sw_lines lines;
	struct sw_path path = {0};
	struct sw_error err = SW_ERROR_INIT;

	sw_lines_init(&lines, &r.repo, &nothing_dropped);
	sw_lines_history(&lines, 2, &history, &err);
	sw_path_make(&lines, history, 2, &path, &err);
	struct sw_stop_search search = {.repo = &r.repo, .spans = path.spans, .span_count = path.span_count, .history = history,
		.redo = 2 * MB, .goal = NAME("a"), .workers = 2};

	tap_is_int(sw_stop_points(&search, &points, &err), SW_OK, "restore points of a name");
	tap_ok(points.count == 2 && points.points[0].lsn == at[POINT_A] && points.points[1].lsn == at[POINT_A2] &&
		points.timelines[1] == 1 && points.points[1].time_us == T0 + 22 * S, "... both");
	tap_is(points.others[0], "b", "... and one of another");
	search.goal = (struct sw_goal)NAME("c");
	tap_is_int(sw_stop_points(&search, &points, &err), SW_OK, "and none of a third");
	tap_ok(points.count == 0 && strcmp(points.others[0], "b") == 0 && strcmp(points.others[1], "a") == 0 &&
		points.others[2][0] == '\0', "... what is there is named once, the newest first");
	sw_path_release(&path);
	sw_lines_release(&lines);
}

/* A segment whose bytes are wrong in the middle, and one that is gone. */
static void
test_damage(void)
{
	struct sw_goal before = XID(703), behind = XID(710), over = TIME(12);
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = 1, .segment = 3};
	char object[SW_STORE_NAME_MAX];
	const char *names[] = {object};
	struct sw_stop_report report = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct wal_maker w;

	make_one(&w);
	*maker_byte(&w, 3 * MB + 500000) ^= 1;
	sw_repository_wal_name(&r.repo, &name, object);
	sw_store_delete(r.store, names, 1, &err);
	wal_repo_segments(&r, &w, 1, 3, 1);
	maker_release(&w);
	tap_is_int(find(1, 2 * MB, &before, true, &report, &err), SW_OK, "broken WAL");
	tap_is_int(report.answer, SW_STOP_FOUND, "... what stops before it is found");
	find(1, 2 * MB, &over, true, &report, &err);
	tap_ok(report.answer == SW_STOP_FOUND && report.stop.after.lsn == at[R707], "... and what comes behind");
	find(1, 2 * MB, &behind, true, &report, &err);
	tap_ok(report.answer == SW_STOP_NOT_REACHED && strstr(report.reason, "CRC") != NULL &&
		report.valid_to <= 3 * MB + 500000 && report.last.lsn == at[C708], "... what lies behind it is not: %s", report.reason);
	sw_store_delete(r.store, names, 1, &err);
}

/* The object of the last segment is damaged: recovery fails there. */
static void
test_damaged_end(void)
{
	struct sw_goal latest = {.kind = SW_GOAL_LATEST};
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = 2, .segment = 5};
	struct sw_store_body body = sw_store_body_mem("nothing of the kind", 19);
	char object[SW_STORE_NAME_MAX];
	const char *names[] = {sw_repository_wal_name(&r.repo, &name, object)};
	struct sw_stop_report report = {0};
	struct sw_error err = SW_ERROR_INIT;

	sw_store_delete(r.store, names, 1, &err);
	sw_store_put(r.store, object, &body, &err);
	tap_is_int(find(2, 4 * MB, &latest, true, &report, &err), SW_OK, "a damaged last object");
	tap_ok(report.answer == SW_STOP_NOT_REACHED && strstr(report.reason, "000000020000000000000005") != NULL &&
		report.last.lsn == at[D712], "... is not the end: %s", report.reason);
}

static sw_rc
count_item(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	(void)item;
	(void)err;
	++*(int *)ctx;
	return SW_OK;
}

/* Two whole groups and parts of others, indexed: what a group's digest does not tell, those of its segments do. */
static void
test_groups(void)
{
	static const struct {
		const char *name;
		struct sw_goal goal;
		uint32_t xid;
	} looks[] = {
		{"xid in a group", XID(10300), 10300},
		{"xid in a part of a group", XID(10250), 10250},
		{"xid of a subtransaction in a group", XID(90400), 10400},
		{"xid of none in a group", XID(90401), 0},
		{"restore point in a group", NAME("p"), 10600},
		{"time in a group", TIME(700), 10701},
	};
	const uint64_t first = 250, last = 780;
	struct wal_repo other;
	struct wal_maker w;
	struct sw_index_range range = {first, last};
	struct sw_index_params params = {.repo = &other.repo, .timeline = 1, .ranges = &range, .range_count = 1,
		.detail = SW_INDEX_BRIEF, .workers = 4, .fold = true};
	struct sw_walk_span span = {1, first, last};
	struct sw_timeline_history history = {0};
	struct sw_error err = SW_ERROR_INIT;

	if (!wal_repo_make(&other))
		return;
	sw_timeline_history_parse(1, NULL, 0, &history, &err);
	maker_init(&w, 8192, MB, (unsigned)(last - first + 1), first * MB);
	for (uint64_t s = first; s <= last; s++) {
		const uint32_t sub = (uint32_t)(90000 + s);

		wal_repo_end(&w, true, (uint32_t)(10000 + s), T0 + (int64_t)s * S, s == 400 ? &sub : NULL, s == 400);
		if (s == 600)
			wal_repo_point(&w, "p", T0 + (int64_t)s * S);
		maker_switch(&w);
	}
	wal_repo_segments(&other, &w, 1, first, (unsigned)(last - first + 1));
	maker_release(&w);
	tap_is_int(sw_index_walk(&params, count_item, &(int){0}, &err), SW_OK, "index groups: %s", err.text);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct sw_stop_search search = {.repo = &other.repo, .spans = &span, .span_count = 1, .history = &history,
			.redo = first * MB, .goal = looks[i].goal, .workers = 4};
		struct sw_stop_report report = {0};
		sw_rc rc = sw_stop_find(&search, &report, &err);
		uint32_t xid = (uint32_t)(looks[i].goal.kind == SW_GOAL_NAME ? report.stop.before.xid : report.stop.xid);

		if (!tap_ok(rc == SW_OK && xid == looks[i].xid && (report.answer == SW_STOP_FOUND) == (xid != 0), "%s", looks[i].name))
			tap_note("%d %s answer %d xid %u", rc, err.text, report.answer, xid);
	}
	sw_timeline_history_release(&history);
	wal_repo_release(&other);
}

/* DROP DATABASE and DROP TABLESPACE remove files before they commit, in another segment here. */
static void
test_half(void)
{
	enum { BEFORE, DATABASE, BETWEEN, COMMIT, TABLESPACE, COMMIT2, BEHIND, RECORDS };
	static const struct {
		const char *name;
		struct sw_goal goal;
		int lsn; /* of the goal */
		int half; /* the record that the stop is behind, or -1 */
		uint32_t oid;
	} stops[] = {
		{"before the transaction in front", XID_EX(719), -1, -1, 0},
		{"after it", XID(719), -1, -1, 0},
		{"before the database's COMMIT", XID_EX(720), -1, DATABASE, 5000},
		{"after it", XID(720), -1, -1, 0},
		{"a time before it", TIME(2), -1, DATABASE, 5000},
		{"before its files go", {.kind = SW_GOAL_LSN, .exclusive = true}, DATABASE, -1, 0},
		{"after they went", {.kind = SW_GOAL_LSN}, DATABASE, DATABASE, 5000},
		{"a record between", {.kind = SW_GOAL_LSN}, BETWEEN, DATABASE, 5000},
		{"before the tablespace's COMMIT", XID_EX(721), -1, TABLESPACE, 6000},
		{"behind all of it", XID_EX(722), -1, -1, 0},
	};
	const uint32_t database[] = {5000, 1, 1663}, tablespace = 6000;
	struct wal_repo other;
	struct wal_maker w;
	sw_lsn at_record[RECORDS];
	struct sw_walk_span span = {1, 2, 4};
	struct sw_timeline_history history = {0};
	struct sw_error err = SW_ERROR_INIT;

	if (!wal_repo_make(&other))
		return;
	sw_timeline_history_parse(1, NULL, 0, &history, &err);
	maker_init(&w, 8192, MB, 3, 2 * MB);
	at_record[BEFORE] = wal_repo_end(&w, true, 719, T0 + 1 * S, NULL, 0);
	wal_repo_record(&w, 720, 4, 0x20, database, sizeof(database));
	at_record[DATABASE] = w.last;
	wal_repo_fill(&w, 3 * MB + 5000);
	at_record[BETWEEN] = w.last;
	at_record[COMMIT] = wal_repo_end(&w, true, 720, T0 + 3 * S, NULL, 0);
	wal_repo_record(&w, 721, 5, 0x10, &tablespace, sizeof(tablespace));
	at_record[TABLESPACE] = w.last;
	at_record[COMMIT2] = wal_repo_end(&w, true, 721, T0 + 4 * S, NULL, 0);
	wal_repo_fill(&w, 4 * MB + 5000);
	at_record[BEHIND] = wal_repo_end(&w, true, 722, T0 + 5 * S, NULL, 0);
	maker_switch(&w);
	wal_repo_segments(&other, &w, 1, 2, 3);
	maker_release(&w);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		struct sw_stop_search search = {.repo = &other.repo, .spans = &span, .span_count = 1, .history = &history,
			.redo = 2 * MB, .goal = stops[i].goal, .fresh = true, .workers = 1};
		struct sw_stop_report report = {0};

		if (stops[i].lsn >= 0)
			search.goal.lsn = at_record[stops[i].lsn];
		tap_ok(sw_stop_find(&search, &report, &err) == SW_OK && report.answer == SW_STOP_FOUND &&
			report.half.lsn == (stops[i].half < 0 ? 0 : at_record[stops[i].half]) && report.half.oid == stops[i].oid,
			"dropped by half: %s", stops[i].name);
	}
	sw_timeline_history_release(&history);
	wal_repo_release(&other);
}

/* Read record by record, as where a digest cannot be used. */
static void
test_epochs(void)
{
	const uint64_t epoch = UINT64_C(1) << 32;
	struct wal_repo other;
	struct wal_maker w;
	struct sw_walk_span span = {1, 2, 2};
	struct sw_timeline_history history = {0};
	struct sw_error err = SW_ERROR_INIT;
	sw_lsn commit;

	if (!wal_repo_make(&other))
		return;
	sw_timeline_history_parse(1, NULL, 0, &history, &err);
	maker_init(&w, 8192, MB, 1, 2 * MB);
	wal_repo_checkpoint(&w, epoch + 720, T0);
	commit = wal_repo_end(&w, true, 720, T0 + 1 * S, NULL, 0);
	maker_switch(&w);
	wal_repo_segments(&other, &w, 1, 2, 1);
	maker_release(&w);
	for (uint64_t n = 0; n < 3; n++) {
		struct sw_stop_search search = {.repo = &other.repo, .spans = &span, .span_count = 1, .history = &history,
			.redo = 2 * MB, .limit = 3 * MB - 1, .fresh = true, .workers = 1,
			.goal = {.kind = SW_GOAL_XID, .xid = 720, .xid_full = n * epoch + 720}};
		struct sw_stop_report report = {0};

		tap_ok(sw_stop_find(&search, &report, &err) == SW_OK && (report.answer == SW_STOP_FOUND) == (n == 1) &&
			report.stop.lsn == (n == 1 ? commit : 0), "transaction 720 of epoch %d is%s there", (int)n, n == 1 ? "" : " not");
	}
	sw_timeline_history_release(&history);
	wal_repo_release(&other);
}

int
main(void)
{
	char history[64];

	if (wal_repo_make(&r)) {
		make_wal();
		snprintf(history, sizeof(history), "1\t0/%" PRIX64 "\tx\n", fork_at);
		wal_repo_history(&r, 2, history);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			check(i, true);
			check(i, false);
		}
		test_lsns();
		test_not_reached();
		test_details();
		test_points();
		test_damage();
		test_damaged_end();
		test_groups();
		test_half();
		test_epochs();
	}
	wal_repo_release(&r);
	return tap_done();
}
