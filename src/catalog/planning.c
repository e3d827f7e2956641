#include "catalog/planning.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "catalog/dropped.h"

#define NAMED_HOLES 8 /* in one message */
#define NAMED_POINTS 5

/* --- pieces ---------------------------------------------------------------------------- */

sw_rc
sw_planning_remark(struct sw_planning *p, struct sw_error *err, const char *fmt, ...)
{
	char **more = realloc(p->plan->remarks, (p->plan->remark_count + 1) * sizeof(*more));
	char *text = NULL;
	va_list ap;
	int len;

	if (more != NULL)
		p->plan->remarks = more;
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (more == NULL || len < 0) {
		if (len >= 0)
			free(text);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	more[p->plan->remark_count++] = text;
	return SW_OK;
}

static const char *
goal_text(const struct sw_planning *p, char buf[SW_GOAL_TEXT_LEN])
{
	return sw_goal_text(&p->request->goal, buf);
}

static const char *
describe_end(const struct sw_manifest_header *backup, char buf[96])
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	snprintf(buf, 96, "%s (LSN %s)", sw_goal_time(backup->finished_us, time),
		sw_lsn_format(backup->stop, lsn));
	return buf;
}

/* "transaction 905, 2026-11-20 13:32:00.250000+00, LSN 0/3000060" */
#define MOMENT_LEN 112
static const char *
describe_moment(const struct sw_wal_moment *m, char buf[MOMENT_LEN])
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	snprintf(buf, MOMENT_LEN, "transaction %" PRIu32 ", %s, LSN %s", (uint32_t)m->xid, sw_goal_time(m->time_us, time),
		sw_lsn_format(m->lsn, lsn));
	return buf;
}

/* Names stand in the WAL, and go to terminals. */
static const char *
clean_name(const char name[64], char buf[64])
{
	size_t i = 0;

	for (; i < 63 && name[i] != '\0'; i++)
		buf[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\'' ? '?' : name[i];
	buf[i] = '\0';
	return buf;
}

static void
name_holes(const struct sw_planning *p, struct sw_buf *buf)
{
	uint32_t size = p->repo->reg.segment_size;
	const struct sw_path *path = &p->path;
	struct sw_error full = SW_ERROR_INIT;

	for (size_t i = 0; i < path->hole_count && i < NAMED_HOLES; i++) {
		const struct sw_inventory_range *hole = &path->holes[i];
		struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = hole->timeline,
			.segment = hole->first};
		char text[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];

		/* a list too long for a message ends early */
		(void)sw_buf_printf(buf, &full, "%s%s", i > 0 ? ", " : "", sw_wal_name_format(&name, size, text));
		name.segment = hole->last;
		if (hole->last > hole->first)
			(void)sw_buf_printf(buf, &full, " to %s", sw_wal_name_format(&name, size, text));
		sw_dropped_text(p->inventory, hole->timeline, hole->first, hole->last, why);
		if (why[0] != '\0')
			(void)sw_buf_printf(buf, &full, ", %s", why);
	}
	if (path->hole_count > NAMED_HOLES)
		(void)sw_buf_printf(buf, &full, " and others");
}

/* " --target-timeline 3", where it was chosen. */
static const char *
timeline_option(const struct sw_planning *p, char buf[64])
{
	buf[0] = '\0';
	if (p->request->timeline != NULL)
		snprintf(buf, 64, " --target-timeline %.20s", p->request->timeline);
	return buf;
}

/* What can be reached before the end of the WAL that was read, as options. */
#define NEAREST_LEN 300
static const char *
nearest_before(const struct sw_planning *p, char buf[NEAREST_LEN])
{
	const struct sw_stop_report *report = &p->report;
	char moment[MOMENT_LEN], lsn[SW_LSN_LEN], timeline[64], end[96];

	timeline_option(p, timeline);
	if (p->request->goal.kind == SW_GOAL_LSN && report->last_record >= p->chosen->backup->stop)
		snprintf(buf, NEAREST_LEN, "the last record before it: --target-lsn %s%s",
			sw_lsn_format(report->last_record, lsn), timeline);
	else if (report->last.lsn >= p->chosen->backup->stop)
		snprintf(buf, NEAREST_LEN, "the last commit or abort before it (%s): --target-lsn %s%s",
			describe_moment(&report->last, moment), sw_lsn_format(report->last.lsn, lsn), timeline);
	else
		snprintf(buf, NEAREST_LEN, "the end of backup %s, %s: --backup %s --target-immediate", p->chosen->backup->label,
			describe_end(p->chosen->backup, end), p->chosen->backup->label);
	return buf;
}

/* The first backup on the same line behind the LSN; NULL: none. */
static const struct sw_manifest_header *
backup_behind(const struct sw_planning *p, sw_lsn lsn)
{
	const struct sw_manifest_header *behind = NULL;

	for (size_t i = 0; i < p->candidate_count; i++)
		if (p->candidates[i].history == p->chosen->history && p->candidates[i].backup->start >= lsn)
			behind = p->candidates[i].backup;
	return behind;
}

/* --- no ---------------------------------------------------------------------------------- */

sw_rc
sw_planning_refuse_incomplete(const struct sw_planning *p, struct sw_error *err)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = p->chosen->backup->timeline,
		.segment = p->path.hole_count > 0 ? p->path.holes[0].first : p->path.last + 1};
	char goal[SW_GOAL_TEXT_LEN], text[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];

	if (p->path.hole_count > 0)
		name.timeline = p->path.holes[0].timeline;
	sw_dropped_text(p->inventory, name.timeline, name.segment, name.segment, why);
	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: the WAL of backup %s itself is not complete in %s: %s is missing%s%s",
		goal_text(p, goal), p->chosen->backup->label, sw_store_url(p->repo->store),
		sw_wal_name_format(&name, p->repo->reg.segment_size, text), why[0] != '\0' ? ", " : "", why);
	return sw_hint(err, "archive them if the server still has them, or choose another --backup");
}

static sw_rc
refuse_hole(const struct sw_planning *p, struct sw_error *err)
{
	const struct sw_inventory_range *hole = &p->path.holes[0];
	const struct sw_manifest_header *behind = backup_behind(p, (hole->last + 1) * p->repo->reg.segment_size);
	char goal[SW_GOAL_TEXT_LEN], nearest[NEAREST_LEN];
	SW_AUTO_BUF names;

	sw_buf_init(&names, 700);
	name_holes(p, &names);
	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: there is a hole before it: %" PRIu64 " WAL segment%s missing in "
		"%s: %s", goal_text(p, goal), p->path.missing, p->path.missing == 1 ? " is" : "s are",
		sw_store_url(p->repo->store), (char *)names.data);
	if (behind != NULL)
		return sw_hint(err, "archive them if the server still has them; else choose %s; behind the hole, --backup %s "
			"--target-immediate", nearest_before(p, nearest), behind->label);
	return sw_hint(err, "archive them if the server still has them; else choose %s", nearest_before(p, nearest));
}

sw_rc
sw_planning_refuse_end(const struct sw_planning *p, struct sw_error *err)
{
	const struct sw_stop_report *report = &p->report;
	const struct sw_timeline_history *history = p->chosen->history;
	char goal[SW_GOAL_TEXT_LEN], nearest[NEAREST_LEN], lsn[SW_LSN_LEN];

	goal_text(p, goal);
	if (report->reason[0] != '\0') {
		sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: it will not pass LSN %s in %s: %s", goal,
			sw_lsn_format(report->valid_to, lsn), sw_store_url(p->repo->store), report->reason);
		return sw_hint(err, "choose %s", nearest_before(p, nearest));
	}
	if (p->path.hole_count > 0)
		return refuse_hole(p, err);
	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: the WAL on timeline %" PRIu32 " ends before LSN %s", goal,
		history->entries[history->count - 1].timeline, sw_lsn_format(report->valid_to, lsn));
	return sw_hint(err, "archive what the server still has (SELECT pg_switch_wal()), or choose %s",
		nearest_before(p, nearest));
}

sw_rc
sw_planning_refuse_unbegun(const struct sw_planning *p, struct sw_error *err)
{
	uint32_t parent = p->path.spans[p->path.span_count - 1].timeline;
	uint32_t child = sw_timeline_at(p->chosen->history, p->path.limit);
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = child, .segment = p->path.last};
	char text[SW_WAL_NAME_MAX], lsn[SW_LSN_LEN], goal[SW_GOAL_TEXT_LEN], nearest[NEAREST_LEN];

	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s of timeline %" PRIu32 ", which begins at LSN %s: its first segment %s is not in "
		"%s, and timeline %" PRIu32 "'s copy goes on differently", goal_text(p, goal), child, sw_lsn_format(p->path.limit, lsn),
		sw_wal_name_format(&name, p->repo->reg.segment_size, text), sw_store_url(p->repo->store), parent);
	return sw_hint(err, "archive it (SELECT pg_switch_wal() there); or follow the parent: --target-timeline %" PRIu32 "; or choose %s",
		parent, nearest_before(p, nearest));
}

static sw_rc
refuse_named(const struct sw_planning *p, const struct sw_manifest_header *backup, struct sw_error *err)
{
	char goal[SW_GOAL_TEXT_LEN], end[96];

	sw_fail(err, SW_NOT_FOUND, "backup %s ends at %s, so recovery cannot go %s", backup->label,
		describe_end(backup, end), goal_text(p, goal));
	return sw_hint(err, "leave --backup out, and the newest that ends before the target is taken");
}

sw_rc
sw_planning_refuse_early(const struct sw_planning *p, const struct sw_candidate *inside, struct sw_error *err)
{
	const struct sw_manifest_header *earliest = p->candidate_count == 0 ? NULL :
		p->candidates[p->candidate_count - 1].backup;
	char goal[SW_GOAL_TEXT_LEN], end[96], within[160] = "", begin[SW_GOAL_TIME_LEN], timeline[64];

	if (p->inventory->backup_count == 0) {
		sw_fail(err, SW_NOT_FOUND, "there is no backup of cluster \"%s\" in %s", p->repo->cluster,
			sw_store_url(p->repo->store));
		return sw_hint(err, "'seawall backup' makes one");
	}
	if (p->request->backup != NULL && earliest != NULL)
		return refuse_named(p, earliest, err);
	if (inside != NULL)
		snprintf(within, sizeof(within), ": it lies within backup %s, which began at %s, and there is no older one",
			inside->backup->label, sw_goal_time(inside->backup->started_us, begin));
	sw_fail(err, SW_NOT_FOUND, "no backup can be recovered %s%s%s%s", goal_text(p, goal),
		p->request->timeline == NULL ? "" : " on timeline ",
		p->request->timeline == NULL ? "" : p->request->timeline, within);
	if (earliest == NULL)
		return sw_hint(err, "'seawall list' shows the backups and their timelines");
	return sw_hint(err, "the earliest moment that can be reached is the end of backup %s, %s: --backup %s "
		"--target-immediate%s", earliest->label, describe_end(earliest, end), earliest->label,
		timeline_option(p, timeline));
}

sw_rc
sw_planning_refuse_future(const struct sw_planning *p, struct sw_error *err)
{
	char goal[SW_GOAL_TEXT_LEN], now[SW_GOAL_TIME_LEN];

	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: that is in the future; it is %s now", goal_text(p, goal),
		sw_goal_time(sw_clock_now_us(), now));
	return sw_hint(err, "without a target, recovery goes to the end of what is archived");
}

sw_rc
sw_planning_refuse_forked(const struct sw_planning *p, uint32_t child, sw_lsn fork, struct sw_error *err)
{
	const struct sw_timeline_history *history = p->chosen->history;
	char goal[SW_GOAL_TEXT_LEN], nearest[NEAREST_LEN], lsn[SW_LSN_LEN], time[SW_GOAL_TIME_LEN];

	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s on timeline %" PRIu32 ": its WAL ends before that, where timeline %"
		PRIu32 " left it at LSN %s", goal_text(p, goal), history->entries[history->count - 1].timeline, child,
		sw_lsn_format(fork, lsn));
	return sw_hint(err, "to follow that one: --target-timeline %" PRIu32 " --target-time '%s'; or choose %s", child,
		sw_goal_time(p->request->goal.time_us, time), nearest_before(p, nearest));
}

sw_rc
sw_planning_refuse_xid(const struct sw_planning *p, uint32_t elsewhere, struct sw_error *err)
{
	const struct sw_stop_report *report = &p->report;
	const struct sw_goal *goal = &p->request->goal;
	uint64_t xid = goal->xid_full != 0 ? goal->xid_full : goal->xid;
	char moment[MOMENT_LEN], lsn[SW_LSN_LEN], timeline[64];

	sw_fail(err, SW_NOT_FOUND, "transaction %" PRIu64 " was neither committed nor rolled back in the WAL that the backups "
		"%sreach%s%s", xid, p->request->backup == NULL ? "" : "that was named can ",
		p->request->timeline == NULL ? "" : " on timeline ", p->request->timeline == NULL ? "" : p->request->timeline);
	if (elsewhere != 0)
		return sw_hint(err, "on timeline %" PRIu32 ", which is not followed unless it is asked for, it ended: --target-timeline %"
			PRIu32 " --target-xid %" PRIu64 "%s", elsewhere, elsewhere, xid,
			goal->exclusive ? " --target-exclusive" : "");
	if (report->last.lsn == 0)
		return sw_hint(err, "'seawall targets' shows what can be reached");
	return sw_hint(err, "transactions from %" PRIu32 " to %" PRIu32 " ended there, the last one: %s: --target-lsn %s%s",
		(uint32_t)report->xid_min, (uint32_t)report->xid_max, describe_moment(&report->last, moment),
		sw_lsn_format(report->last.lsn, lsn), timeline_option(p, timeline));
}

/* "--target-timeline 1 --target-lsn 0/3000060 (or --target-xid 4294967996)" */
static void
describe_way(const struct sw_planning *p, const struct sw_candidate *line, const struct sw_stop *stop, char buf[160])
{
	char lsn[SW_LSN_LEN], full[48] = "";

	if (stop->xid > UINT32_MAX)
		snprintf(full, sizeof(full), " (or --target-xid %" PRIu64 ")", stop->xid);
	snprintf(buf, 160, "--target-timeline %" PRIu32 " --target-lsn %s%s%s",
		line->history->entries[line->history->count - 1].timeline, sw_lsn_format(stop->lsn, lsn),
		p->request->goal.exclusive ? " --target-exclusive" : "", full);
}

sw_rc
sw_planning_refuse_second_xid(const struct sw_planning *p, const struct sw_candidate *line, const struct sw_stop *first,
	const struct sw_stop *second, struct sw_error *err)
{
	char times[2][SW_GOAL_TIME_LEN], lsns[2][SW_LSN_LEN], ways[2][160];

	describe_way(p, line, first, ways[0]);
	describe_way(p, line, second, ways[1]);
	sw_fail(err, SW_NOT_FOUND, "transaction %" PRIu32 " is ambiguous, because numbers begin again after 32 bits: one ended %s on "
		"timeline %" PRIu32 ", LSN %s; another %s on timeline %" PRIu32 ", LSN %s", p->request->goal.xid,
		sw_goal_time(first->time_us, times[0]), first->timeline, sw_lsn_format(first->lsn, lsns[0]),
		sw_goal_time(second->time_us, times[1]), second->timeline, sw_lsn_format(second->lsn, lsns[1]));
	return sw_hint(err, "choose one: %s, or %s", ways[0], ways[1]);
}

static sw_rc
refuse_unknown_name(const struct sw_planning *p, struct sw_error *err)
{
	const char *name = p->request->goal.name;
	char end[96], text[64];
	SW_AUTO_BUF names;
	struct sw_error full = SW_ERROR_INIT;

	sw_buf_init(&names, 400);
	if (p->early != NULL) {
		sw_fail(err, SW_NOT_FOUND, "restore point \"%s\" lies before the end of backup %s, and there is no older one", name,
			p->early->backup->label);
		return sw_hint(err, "the earliest moment that can be reached is %s: --backup %s --target-immediate",
			describe_end(p->early->backup, end), p->early->backup->label);
	}
	sw_fail(err, SW_NOT_FOUND, "there is no restore point \"%s\" in the WAL that the backups reach%s%s", name,
		p->request->timeline == NULL ? "" : " on timeline ", p->request->timeline == NULL ? "" : p->request->timeline);
	if (p->others[0][0] == '\0')
		return sw_hint(err, "there is no other one either");
	for (size_t i = 0; i < sizeof(p->others) / sizeof(p->others[0]) && p->others[i][0] != '\0'; i++)
		(void)sw_buf_printf(&names, &full, "%s--target-name '%s'", i == 0 ? "" : ", ", clean_name(p->others[i], text));
	return sw_hint(err, "the newest there are: %s", (char *)names.data);
}

/* PostgreSQL would take the first; which one was meant only the user knows. */
sw_rc
sw_planning_refuse_name(const struct sw_planning *p, struct sw_error *err)
{
	struct sw_error full = SW_ERROR_INIT;
	SW_AUTO_BUF places;
	SW_AUTO_BUF lines;

	sw_buf_init(&places, 700);
	sw_buf_init(&lines, 450);
	if (p->point_count == 0)
		return refuse_unknown_name(p, err);
	for (size_t i = 0; i < p->point_count && i < NAMED_POINTS; i++) {
		const struct sw_planning_point *point = &p->points[i];
		const struct sw_timeline_history *h = point->line->history;
		char lsn[SW_LSN_LEN], time[SW_GOAL_TIME_LEN];

		sw_lsn_format(point->point.lsn, lsn);
		(void)sw_buf_printf(&places, &full, "%s%s on timeline %" PRIu32 ", LSN %s", i == 0 ? "" : "; ",
			sw_goal_time(point->point.time_us, time), point->timeline, lsn);
		(void)sw_buf_printf(&lines, &full, "%s--target-timeline %" PRIu32 " --target-lsn %s", i == 0 ? "" : ", or ",
			h->entries[h->count - 1].timeline, lsn);
	}
	sw_fail(err, SW_NOT_FOUND, "restore point \"%s\" is ambiguous, there are %zu: %s%s", p->request->goal.name,
		p->point_count, (char *)places.data, p->point_count > NAMED_POINTS ? "; and others" : "");
	return sw_hint(err, "choose one: %s", (char *)lines.data);
}

/* --- yes, but ---------------------------------------------------------------------------- */

static sw_rc
explain_idle(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_plan *plan = p->plan;
	char moment[MOMENT_LEN] = "the backup", sign[SW_GOAL_TIME_LEN], goal[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN], end[96];

	if (plan->last.lsn != 0)
		describe_moment(&plan->last, moment);
	sw_goal_time(p->request->goal.time_us, goal);
	if (plan->idle == SW_PLAN_IDLE_PROVED)
		return sw_planning_remark(p, err, "nothing was committed between %s, and %s, which stands behind it in the WAL "
			"(LSN %s): recovery that stops at the former has all up to %s", moment, sw_goal_time(plan->sign.time_us, sign),
			sw_lsn_format(plan->sign.lsn, lsn), goal);
	if (plan->sign.lsn != 0)
		snprintf(end, sizeof(end), "LSN %s, and the last time told in it is %s", sw_lsn_format(p->archive_end, lsn),
			sw_goal_time(plan->sign.time_us, sign));
	else
		snprintf(end, sizeof(end), "LSN %s", sw_lsn_format(p->archive_end, lsn));
	return sw_planning_remark(p, err, "THE ARCHIVE ENDS BEFORE THE TARGET, at %s: what was committed between %s, and %s is NOT in "
		"it, if anything was. Archive what the server still has (SELECT pg_switch_wal()) first, if there is a server",
		end, moment, goal);
}

static sw_rc
explain_half(struct sw_planning *p, const struct sw_stop_half *half, struct sw_error *err)
{
	const char *what = half->tablespace ? "TABLESPACE" : "DATABASE";
	char lsn[SW_LSN_LEN], timeline[64];

	return sw_planning_remark(p, err, "recovery stops WITHIN the DROP %s of transaction %" PRIu64 ": the files of %s %" PRIu32
		" are gone there, and only its name will be back; to have it back, stop before that: --target-lsn %s "
		"--target-exclusive%s", what, half->xid, half->tablespace ? "tablespace" : "database", half->oid,
		sw_lsn_format(half->lsn, lsn), timeline_option(p, timeline));
}

static sw_rc
explain_stop(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_plan *plan = p->plan;
	const struct sw_stop *stop = &plan->stop;
	const struct sw_goal *goal = &p->request->goal;
	bool before = stop->kind == SW_STOP_BEFORE_LSN || stop->kind == SW_STOP_BEFORE_END;
	char within[SW_LSN_LEN], lsn[SW_LSN_LEN];
	sw_rc rc = SW_OK;

	if (plan->subtransaction)
		rc = sw_planning_remark(p, err, "transaction %" PRIu32 " is a subtransaction of %" PRIu32 ", and ends with it: "
			"PostgreSQL is told --target-xid %" PRIu32, goal->xid, stop->goal.xid, stop->goal.xid);
	if (rc == SW_OK && goal->kind == SW_GOAL_XID && !stop->commit)
		rc = sw_planning_remark(p, err, "transaction %" PRIu32 " was rolled back: nothing that it did is in the data",
			goal->xid);
	if (rc == SW_OK && goal->kind == SW_GOAL_XID && stop->prepared && stop->commit)
		rc = sw_planning_remark(p, err, "transaction %" PRIu32 " was a prepared one: the stop is its COMMIT PREPARED%s",
			goal->xid, before ? ", and it will be there, still prepared" : "");
	if (rc == SW_OK && p->report.half.lsn != 0)
		rc = explain_half(p, &p->report.half, err);
	if (rc == SW_OK && plan->within != 0)
		rc = sw_planning_remark(p, err, "LSN %s is not where a record begins, but within the one at %s: recovery stops "
			"%s the next one", sw_lsn_format(goal->lsn, lsn), sw_lsn_format(plan->within, within),
			before ? "before" : "after");
	if (rc == SW_OK && stop->kind == SW_STOP_CONSISTENT && plan->backup.from_standby)
		rc = sw_planning_remark(p, err, "backup %s was taken from a standby: it may be consistent a little earlier than "
			"its end", plan->backup.label);
	return rc;
}

sw_rc
sw_planning_explain(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_plan *plan = p->plan;
	const struct sw_timeline_entry *own = sw_timeline_find(&plan->history, plan->backup.timeline);
	bool behind_fork = own != NULL && own->end != 0 && (!plan->exact || plan->stop.lsn >= own->end);
	char lsn[SW_LSN_LEN];
	sw_rc rc = SW_OK;

	if (p->request->timeline == NULL && behind_fork && p->request->goal.kind != SW_GOAL_IMMEDIATE)
		rc = sw_planning_remark(p, err, "recovery follows timeline %u, which leads away from the backup's timeline %u at "
			"LSN %s; --target-timeline current stays on %u", plan->timeline, own->timeline,
			sw_lsn_format(own->end, lsn), own->timeline);
	if (rc == SW_OK && plan->idle != SW_PLAN_NOT_IDLE)
		rc = explain_idle(p, err);
	if (rc == SW_OK && plan->exact)
		rc = explain_stop(p, err);
	else if (rc == SW_OK)
		rc = sw_planning_remark(p, err, "where recovery will stop is NOT known: the WAL cannot be read (%s); backup and "
			"timeline are chosen by names and clocks", p->report.reason);
	if (rc == SW_OK && plan->exact && plan->stop.kind == SW_STOP_END && p->report.reason[0] != '\0')
		rc = sw_planning_remark(p, err, "the WAL ends within its last segment, at LSN %s: %s",
			sw_lsn_format(p->report.valid_to, lsn), p->report.reason);
	if (rc == SW_OK && plan->backup.damaged_pages > 0)
		rc = sw_planning_remark(p, err, "backup %s holds %" PRIu64 " pages whose checksums were wrong already when it "
			"was taken", plan->backup.label, plan->backup.damaged_pages);
	return rc;
}

char *
sw_plan_stop_text(const struct sw_stop *stop, char buf[SW_PLAN_TEXT_LEN])
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];
	const char *side = stop->kind == SW_STOP_BEFORE_END || stop->kind == SW_STOP_BEFORE_LSN ? "before" : "after";

	sw_lsn_format(stop->lsn, lsn);
	switch (stop->kind) {
	case SW_STOP_END:
		snprintf(buf, SW_PLAN_TEXT_LEN, "at the end of the WAL, LSN %s", sw_lsn_format(stop->end, lsn));
		break;
	case SW_STOP_CONSISTENT:
		snprintf(buf, SW_PLAN_TEXT_LEN, "as soon as the backup is consistent, at LSN %s", sw_lsn_format(stop->end, lsn));
		break;
	case SW_STOP_BEFORE_END:
	case SW_STOP_AFTER_END:
		snprintf(buf, SW_PLAN_TEXT_LEN, "%s the %s%s of transaction %" PRIu32 ", %s, at LSN %s", side,
			stop->commit ? "commit" : "abort", stop->prepared ? " (prepared)" : "", (uint32_t)stop->xid,
			sw_goal_time(stop->time_us, time), lsn);
		break;
	case SW_STOP_AT_POINT:
		snprintf(buf, SW_PLAN_TEXT_LEN, "at restore point \"%s\", %s, at LSN %s", stop->goal.name,
			sw_goal_time(stop->time_us, time), lsn);
		break;
	case SW_STOP_BEFORE_LSN:
	case SW_STOP_AFTER_LSN:
		if (stop->transaction)
			snprintf(buf, SW_PLAN_TEXT_LEN, "%s the record at LSN %s, the %s of transaction %" PRIu32 ", %s", side, lsn,
				stop->commit ? "commit" : "abort", (uint32_t)stop->xid, sw_goal_time(stop->time_us, time));
		else
			snprintf(buf, SW_PLAN_TEXT_LEN, "%s the record at LSN %s", side, lsn);
		break;
	}
	return buf;
}
