#include "catalog/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "catalog/planning.h"

#define WORKERS 4
#define WORKERS_FACTOR 4 /* threads that wait for the network rather than compute */

void
sw_plan_release(struct sw_plan *plan)
{
	sw_timeline_history_release(&plan->history);
	for (size_t i = 0; i < plan->remark_count; i++)
		free(plan->remarks[i]);
	free(plan->remarks);
	free(plan->spans);
	*plan = (struct sw_plan){0};
}

/* --- timelines --------------------------------------------------------------------- */

/* The backup lies on this history: its end was reached before the next timeline began. */
static bool
holds(const struct sw_timeline_history *history, const struct sw_manifest_header *backup)
{
	const struct sw_timeline_entry *entry = sw_timeline_find(history, backup->timeline);

	return entry != NULL && (entry->end == 0 || backup->stop <= entry->end);
}

/* A backup's own timeline, whose history may be missing. */
static sw_rc
own_history(struct sw_planning *p, const struct sw_manifest_header *backup,
	const struct sw_timeline_history **ret_history, struct sw_error *err)
{
	sw_rc rc = sw_lines_history(&p->lines, backup->timeline, ret_history, err);

	if (rc != SW_NOT_FOUND)
		return rc;
	if (p->bare.count == 0) {
		rc = sw_planning_remark(p, err, "the history of timeline %u is not in the repository: PostgreSQL will not know "
			"its ancestors", backup->timeline);
		if (rc == SW_OK)
			rc = sw_timeline_history_parse(backup->timeline, NULL, 0, &p->bare, err);
		if (rc != SW_OK)
			return rc;
	} else if (p->bare.entries[0].timeline != backup->timeline) {
		return SW_NOT_FOUND;
	}
	*ret_history = &p->bare;
	return SW_OK;
}

/* The highest timeline that descends from the backup, its own at least. */
static sw_rc
latest_history(struct sw_planning *p, const struct sw_manifest_header *backup,
	const struct sw_timeline_history **ret_history, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	sw_rc rc;

	for (size_t i = inventory->history_count; i-- > 0;) {
		if (inventory->histories[i] <= backup->timeline)
			break;
		rc = sw_lines_history(&p->lines, inventory->histories[i], ret_history, err);
		/* to go on without it might silently leave out all that happened on that timeline */
		if (rc == SW_CORRUPT || rc == SW_NOT_FOUND) {
			err->rc = SW_CORRUPT;
			return sw_hint(err, "without it the latest timeline is not known; --target-timeline with a number, "
				"or current, chooses one");
		}
		if (rc != SW_OK)
			return rc;
		if (holds(*ret_history, backup))
			return SW_OK;
	}
	return own_history(p, backup, ret_history, err);
}

static sw_rc
named_history(struct sw_planning *p, const char *text, const struct sw_timeline_history **ret_history,
	struct sw_error *err)
{
	size_t len = strspn(text, "0123456789");
	unsigned long long timeline = strtoull(text, NULL, 10);
	sw_rc rc;

	if (len == 0 || len > 10 || text[len] != '\0' || timeline == 0 || timeline > UINT32_MAX) {
		sw_fail(err, SW_CONFIG, "--target-timeline \"%s\" is no timeline", text);
		return sw_hint(err, "give a number, current or latest");
	}
	rc = sw_lines_history(&p->lines, (uint32_t)timeline, ret_history, err);
	if (rc != SW_NOT_FOUND)
		return rc;
	sw_fail(err, SW_CONFIG, "timeline %llu has no history file in %s", timeline,
		sw_store_url(p->repo->store));
	return sw_hint(err, "'seawall list' shows the timelines");
}

/* SW_NOT_FOUND: the backup does not lie on the timeline that was asked for. */
static sw_rc
find_history(struct sw_planning *p, const struct sw_manifest_header *backup,
	const struct sw_timeline_history **ret_history, struct sw_error *err)
{
	const char *timeline = p->request->timeline;
	sw_rc rc;

	if (timeline == NULL || strcmp(timeline, "latest") == 0)
		return latest_history(p, backup, ret_history, err);
	if (strcmp(timeline, "current") == 0)
		return own_history(p, backup, ret_history, err);
	rc = named_history(p, timeline, ret_history, err);
	if (rc == SW_OK && !holds(*ret_history, backup))
		rc = sw_fail(err, SW_NOT_FOUND, "backup %s (timeline %u) does not lie on timeline %s",
			backup->label, backup->timeline, timeline);
	return rc;
}

/* --- candidates -------------------------------------------------------------------- */

static sw_rc
add_candidate(struct sw_planning *p, const struct sw_manifest_header *backup,
	const struct sw_timeline_history *history, struct sw_error *err)
{
	struct sw_candidate *more = realloc(p->candidates, (p->candidate_count + 1) * sizeof(*more));

	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	p->candidates = more;
	more[p->candidate_count++] = (struct sw_candidate){backup, history};
	return SW_OK;
}

static sw_rc
add_named(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	const struct sw_timeline_history *history = NULL;
	const struct sw_inventory_backup *found = NULL;
	sw_rc rc;

	for (size_t i = 0; i < inventory->backup_count; i++)
		if (strcmp(inventory->backups[i].label, p->request->backup) == 0)
			found = &inventory->backups[i];
	if (found == NULL) {
		sw_fail(err, SW_CONFIG, "there is no backup %s in %s", p->request->backup,
			sw_store_url(p->repo->store));
		return sw_hint(err, "'seawall list' shows the backups");
	}
	if (found->reason != NULL)
		return sw_fail(err, SW_CORRUPT, "backup %s cannot be read: %s", found->label, found->reason);
	rc = find_history(p, &found->header, &history, err);
	return rc == SW_OK ? add_candidate(p, &found->header, history, err) : rc;
}

/* All that lie on the timeline, the newest first. */
static sw_rc
add_all(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	sw_rc rc = SW_OK;

	for (size_t i = inventory->backup_count; rc == SW_OK && i-- > 0;) {
		const struct sw_inventory_backup *b = &inventory->backups[i];
		const struct sw_timeline_history *history = NULL;

		if (b->reason != NULL) {
			rc = sw_planning_remark(p, err, "backup %s is passed over: %s", b->label, b->reason);
			continue;
		}
		rc = find_history(p, &b->header, &history, err);
		if (rc == SW_NOT_FOUND)
			rc = SW_OK;
		else if (rc == SW_OK)
			rc = add_candidate(p, &b->header, history, err);
	}
	return rc;
}

/* --- one backup -------------------------------------------------------------------- */

void
sw_planning_search(struct sw_planning *p, const struct sw_candidate *c, const struct sw_path *path, bool fresh,
	struct sw_stop_search *ret_search)
{
	unsigned workers = p->request->workers != 0 ? p->request->workers : WORKERS;

	*ret_search = (struct sw_stop_search){
		.repo = p->repo, .spans = path->spans, .span_count = path->span_count, .history = c->history,
		.redo = c->backup->start, .consistent = c->backup->stop, .limit = path->limit, .goal = p->goal,
		.fresh = fresh, .no_after = !fresh, .workers = workers * WORKERS_FACTOR,
		.tick = p->request->tick, .tick_ctx = p->request->tick_ctx,
	};
}

/* Where recovery from this backup would stop, as p->goal says. */
static sw_rc
evaluate(struct sw_planning *p, const struct sw_candidate *c, struct sw_error *err)
{
	struct sw_stop_search search;
	uint64_t size = p->repo->reg.segment_size;
	sw_rc rc;

	sw_path_release(&p->path);
	p->chosen = c;
	rc = sw_path_make(&p->lines, c->history, c->backup->start / size, &p->path, err);
	if (rc != SW_OK)
		return rc;
	if (p->path.last + 1 < (c->backup->stop - 1) / size + 1)
		return sw_planning_refuse_incomplete(p, err);
	sw_planning_search(p, c, &p->path, true, &search);
	return sw_stop_find(&search, &p->report, err);
}

/* PostgreSQL ends with "requested recovery stop point is before consistent recovery point" otherwise. */
static bool
is_consistent(const struct sw_planning *p)
{
	const struct sw_stop *stop = &p->report.stop;
	bool before = stop->kind == SW_STOP_BEFORE_END || stop->kind == SW_STOP_BEFORE_LSN;

	return (before ? stop->lsn : stop->end) >= p->chosen->backup->stop;
}

static bool
is_found(const struct sw_planning *p)
{
	return p->report.answer == SW_STOP_FOUND && is_consistent(p);
}

/* The WAL cannot be read: as far as names and clocks of the backups tell, this one will do. */
static bool
will_do(const struct sw_planning *p, const struct sw_candidate *c)
{
	if (p->report.answer != SW_STOP_NOT_KNOWN)
		return false;
	if (p->goal.kind == SW_GOAL_TIME)
		return c->backup->finished_us < p->goal.time_us;
	return p->goal.kind != SW_GOAL_LSN || c->backup->stop <= p->goal.lsn;
}

/* --- times behind the last commit ---------------------------------------------------------- */

/* The timeline's archived WAL ends where another one left it. */
static sw_rc
find_fork(struct sw_planning *p, uint32_t *ret_child, sw_lsn *ret_lsn, struct sw_error *err)
{
	uint32_t timeline = p->chosen->history->entries[p->chosen->history->count - 1].timeline;

	*ret_child = 0;
	for (size_t i = 0; i < p->inventory->history_count; i++) {
		const struct sw_timeline_history *history = NULL;
		const struct sw_timeline_entry *entry;
		sw_rc rc;

		if (p->inventory->histories[i] <= timeline)
			continue;
		rc = sw_lines_history(&p->lines, p->inventory->histories[i], &history, err);
		if (rc == SW_CORRUPT || rc == SW_NOT_FOUND)
			continue;
		if (rc != SW_OK)
			return rc;
		entry = sw_timeline_find(history, timeline);
		if (entry == NULL || entry->end == entry->begin || entry->end < p->chosen->backup->stop ||
			entry->end <= p->report.last.lsn)
			continue;
		*ret_child = p->inventory->histories[i];
		*ret_lsn = entry->end;
	}
	return SW_OK;
}

/* Nothing ended behind the target: the last end before it says the same, and is there. */
static sw_rc
settle_idle(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_manifest_header *backup = p->chosen->backup;
	struct sw_wal_moment last = p->report.last, sign = p->report.sign;
	uint32_t child = 0;
	sw_lsn fork = 0;
	sw_rc rc;

	p->plan->idle = sign.lsn != 0 && sign.time_us >= p->goal.time_us ? SW_PLAN_IDLE_PROVED : SW_PLAN_IDLE_ASSUMED;
	if (p->plan->idle != SW_PLAN_IDLE_PROVED) {
		if (p->path.hole_count > 0 || p->report.reason[0] != '\0')
			return sw_planning_refuse_end(p, err);
		rc = find_fork(p, &child, &fork, err);
		if (rc != SW_OK)
			return rc;
		if (child != 0)
			return sw_planning_refuse_forked(p, child, fork, err);
	}
	p->plan->last = last;
	p->plan->sign = sign;
	p->archive_end = p->report.valid_to;
	/* what ended while the backup was made is in it, and PostgreSQL does not stop there */
	p->goal = last.lsn >= backup->stop ? (struct sw_goal){.kind = SW_GOAL_LSN, .lsn = last.lsn} :
		(struct sw_goal){.kind = SW_GOAL_IMMEDIATE};
	rc = evaluate(p, p->chosen, err);
	if (rc == SW_OK && !is_found(p))
		rc = sw_planning_refuse_end(p, err);
	return rc;
}

/*
 * The timeline that was asked for ends within a segment that only its child archived, whose copy holds the parent's
 * records too: the child's history leads there as well.
 */
static sw_rc
borrow_from_child(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_candidate *own = p->chosen;
	struct sw_stop_report own_report = p->report;
	uint64_t size = p->repo->reg.segment_size;
	const struct sw_timeline_history *history = NULL;
	struct sw_stop_search search;
	uint32_t child;
	sw_lsn fork = 0;
	sw_rc rc = find_fork(p, &child, &fork, err);

	if (rc != SW_OK || child == 0 || p->path.hole_count > 0 || p->report.reason[0] != '\0' || (fork - 1) / size <= p->path.last)
		return rc;
	rc = sw_lines_history(&p->lines, child, &history, err);
	if (rc != SW_OK)
		return rc;
	p->child = (struct sw_candidate){own->backup, history};
	sw_path_release(&p->path);
	rc = sw_path_make(&p->lines, history, own->backup->start / size, &p->path, err);
	if (rc != SW_OK)
		return rc;
	sw_planning_search(p, &p->child, &p->path, true, &search);
	search.limit = fork;
	rc = sw_stop_find(&search, &p->report, err);
	if (rc == SW_OK && p->report.answer == SW_STOP_FOUND) {
		p->chosen = &p->child;
		return sw_planning_remark(p, err, "timeline %u ends within a segment that is archived on timeline %u alone, whose "
			"copy of the segment has the same records: PostgreSQL is told timeline %u",
			own->history->entries[own->history->count - 1].timeline, child, child);
	}
	p->report = own_report;
	sw_path_release(&p->path);
	return rc == SW_OK ? sw_path_make(&p->lines, own->history, own->backup->start / size, &p->path, err) : rc;
}

/* --- goals ------------------------------------------------------------------------------ */

/* latest, immediate: the newest backup. */
static sw_rc
choose_newest(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_candidate *c = &p->candidates[0];
	sw_rc rc = evaluate(p, c, err);

	if (rc != SW_OK || will_do(p, c))
		return rc;
	if (p->goal.kind == SW_GOAL_LATEST && p->path.hole_count > 0)
		return sw_planning_refuse_end(p, err);
	/* PostgreSQL would read on in the parent's copy, behind the fork; a standby streams instead */
	if (p->goal.kind == SW_GOAL_LATEST && p->path.limit != 0 && !p->request->standby)
		return sw_planning_refuse_unbegun(p, err);
	return is_found(p) ? SW_OK : sw_planning_refuse_end(p, err);
}

/* With clocks that jump, a newer backup than its own times say may lie before the stop. */
static sw_rc
prefer_newer(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_candidate *chosen = p->chosen;
	sw_lsn lsn = p->report.stop.lsn;
	sw_rc rc = SW_OK;

	for (const struct sw_candidate *c = p->candidates; rc == SW_OK && c < chosen; c++) {
		if (c->history != chosen->history || c->backup->stop > lsn)
			continue;
		rc = evaluate(p, c, err);
		if (rc != SW_OK || is_found(p))
			return rc;
		return evaluate(p, chosen, err);
	}
	return rc;
}

/* time, LSN: the newest backup that is consistent before it. */
static sw_rc
choose_before(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_candidate *inside = NULL;
	struct sw_error incomplete = SW_ERROR_INIT;
	sw_rc rc;

	if (p->goal.kind == SW_GOAL_TIME && p->goal.time_us > sw_clock_now_us())
		return sw_planning_refuse_future(p, err);
	for (size_t i = 0; i < p->candidate_count; i++) {
		const struct sw_candidate *c = &p->candidates[i];
		bool begins_before = p->goal.kind == SW_GOAL_TIME ? c->backup->started_us <= p->goal.time_us :
			c->backup->start <= p->goal.lsn;

		if (!begins_before)
			continue;
		rc = evaluate(p, c, err);
		/* an older one may reach a target that lies within this one */
		if (rc == SW_NOT_FOUND) {
			incomplete = *err;
			continue;
		}
		if (rc != SW_OK)
			return rc;
		if (is_found(p))
			return prefer_newer(p, err);
		if (will_do(p, c))
			return SW_OK;
		if (p->report.answer == SW_STOP_NOT_REACHED && p->request->timeline != NULL) {
			rc = borrow_from_child(p, err);
			if (rc != SW_OK || is_found(p))
				return rc;
		}
		if (p->report.answer == SW_STOP_NOT_REACHED)
			return p->goal.kind == SW_GOAL_TIME ? settle_idle(p, err) : sw_planning_refuse_end(p, err);
		inside = c;
	}
	if (inside != NULL || incomplete.rc == SW_OK)
		return sw_planning_refuse_early(p, inside, err);
	*err = incomplete;
	return err->rc;
}

/* The newest candidate of the same line that is consistent before `stop`; `from` at least. */
static const struct sw_candidate *
newest_before(const struct sw_planning *p, const struct sw_candidate *from, sw_lsn stop)
{
	for (const struct sw_candidate *c = p->candidates; c < from; c++)
		if (c->history == from->history && c->backup->stop <= stop)
			return c;
	return from;
}

/*
 * The WAL of a candidate's line, from it to the next hole, has nothing that the line's other candidates do not show:
 * an older one of the same line reaches it.
 */
static sw_rc
is_covered(struct sw_planning *p, const struct sw_candidate *c, bool *ret_covered, struct sw_error *err)
{
	uint64_t size = p->repo->reg.segment_size;

	*ret_covered = false;
	for (const struct sw_candidate *older = c + 1; older < p->candidates + p->candidate_count; older++) {
		sw_rc rc;

		if (older->history != c->history || older->backup->start > c->backup->start)
			continue;
		sw_path_release(&p->path);
		rc = sw_path_make(&p->lines, older->history, older->backup->start / size, &p->path, err);
		if (rc != SW_OK)
			return rc;
		*ret_covered = p->path.last + 1 > c->backup->start / size;
		return SW_OK;
	}
	return SW_OK;
}

/* The WAL of the line cannot be read: its newest backup, as far as can be told. */
static sw_rc
take_newest(struct sw_planning *p, const struct sw_candidate *line, struct sw_error *err)
{
	sw_rc rc = evaluate(p, newest_before(p, line, UINT64_MAX), err);

	if (rc != SW_OK || is_found(p) || will_do(p, p->chosen))
		return rc;
	return p->report.answer == SW_STOP_FOUND ? sw_planning_refuse_early(p, p->chosen, err) :
		sw_planning_refuse_end(p, err);
}

/* The oldest backup that a line can be followed from; false: there is none, or candidates show all of it. */
static bool
find_line(const struct sw_planning *p, const struct sw_timeline_history *history, struct sw_candidate *ret_line)
{
	const struct sw_manifest_header *oldest = NULL;

	for (size_t i = p->inventory->backup_count; i-- > 0;) {
		const struct sw_inventory_backup *b = &p->inventory->backups[i];

		if (b->reason == NULL && holds(history, &b->header))
			oldest = &b->header;
	}
	for (size_t i = 0; i < p->candidate_count; i++)
		if (p->candidates[i].history == history && p->candidates[i].backup == oldest)
			return false;
	*ret_line = (struct sw_candidate){oldest, history};
	return oldest != NULL;
}

/* A branch that is not followed unless it is asked for may have the transaction.  *ret_timeline 0: none has. */
static sw_rc
find_elsewhere(struct sw_planning *p, uint32_t *ret_timeline, struct sw_error *err)
{
	*ret_timeline = 0;
	for (size_t i = 0; i <= p->inventory->history_count && p->request->timeline == NULL && *ret_timeline == 0; i++) {
		uint32_t timeline = i == 0 ? 1 : p->inventory->histories[i - 1];
		const struct sw_timeline_history *history = NULL;
		struct sw_stop_report report = {0};
		struct sw_stop_search search;
		struct sw_candidate line;
		sw_rc rc = sw_lines_history(&p->lines, timeline, &history, err);

		if (rc == SW_CORRUPT || rc == SW_NOT_FOUND || (rc == SW_OK && !find_line(p, history, &line)))
			continue;
		sw_path_release(&p->path);
		if (rc == SW_OK)
			rc = sw_path_make(&p->lines, history, line.backup->start / p->repo->reg.segment_size, &p->path, err);
		if (rc != SW_OK)
			return rc;
		sw_planning_search(p, &line, &p->path, false, &search);
		rc = sw_stop_find(&search, &report, err);
		if (rc != SW_OK)
			return rc;
		if (report.answer == SW_STOP_FOUND)
			*ret_timeline = timeline;
	}
	return SW_OK;
}

/* 32 bits begin again: which of two transactions was meant only the user knows. */
static sw_rc
refuse_second_xid(struct sw_planning *p, const struct sw_candidate *line, const struct sw_stop *stop, struct sw_error *err)
{
	struct sw_stop_report report = {0};
	struct sw_stop_search search;
	sw_rc rc;

	if (p->goal.xid_full != 0)
		return SW_OK;
	sw_path_release(&p->path);
	rc = sw_path_make(&p->lines, line->history, stop->lsn / p->repo->reg.segment_size, &p->path, err);
	if (rc != SW_OK)
		return rc;
	sw_planning_search(p, line, &p->path, false, &search);
	search.redo = stop->end;
	rc = sw_stop_find(&search, &report, err);
	if (rc == SW_OK && report.answer == SW_STOP_FOUND)
		rc = sw_planning_refuse_second_xid(p, line, stop, &report.stop, err);
	return rc;
}

/* PostgreSQL takes the first end of a transaction with these 32 bits. */
static sw_rc
take_xid(struct sw_planning *p, const struct sw_candidate *line, const struct sw_stop *stop, struct sw_error *err)
{
	const struct sw_candidate *c = newest_before(p, line, stop->kind == SW_STOP_AFTER_END ? stop->end : stop->lsn);
	char lsn[SW_LSN_LEN];
	sw_rc rc;

	p->goal.xid_full = 0;
	rc = evaluate(p, c, err);
	if (rc == SW_OK && p->report.answer == SW_STOP_FOUND && p->report.stop.lsn < stop->lsn) {
		p->goal = (struct sw_goal){.kind = SW_GOAL_LSN, .lsn = stop->lsn, .exclusive = p->request->goal.exclusive};
		rc = sw_planning_remark(p, err, "an earlier transaction has the same 32 bits, and PostgreSQL would stop there: it is "
			"told --target-lsn %s", sw_lsn_format(stop->lsn, lsn));
		if (rc == SW_OK)
			rc = evaluate(p, c, err);
	}
	if (rc != SW_OK || is_found(p) || will_do(p, c))
		return rc;
	return p->report.answer == SW_STOP_FOUND ? sw_planning_refuse_early(p, c, err) : sw_planning_refuse_end(p, err);
}

/* Where the transaction ends, on any line, the newest first. */
static sw_rc
choose_xid(struct sw_planning *p, struct sw_error *err)
{
	struct sw_stop_report report = {0};
	uint32_t elsewhere;
	sw_rc rc;

	for (const struct sw_candidate *c = p->candidates; c < p->candidates + p->candidate_count; c++) {
		struct sw_stop_search search;
		bool covered;

		rc = is_covered(p, c, &covered, err);
		if (rc != SW_OK)
			return rc;
		if (covered)
			continue;
		sw_path_release(&p->path);
		rc = sw_path_make(&p->lines, c->history, c->backup->start / p->repo->reg.segment_size, &p->path, err);
		if (rc != SW_OK)
			return rc;
		sw_planning_search(p, c, &p->path, false, &search);
		rc = sw_stop_find(&search, &report, err);
		if (rc != SW_OK)
			return rc;
		if (report.answer == SW_STOP_FOUND) {
			rc = refuse_second_xid(p, c, &report.stop, err);
			return rc == SW_OK ? take_xid(p, c, &report.stop, err) : rc;
		}
		if (report.answer == SW_STOP_NOT_KNOWN)
			return take_newest(p, c, err);
		if (p->report.valid_to == 0 || report.xid_max > p->report.xid_max)
			p->report = report;
	}
	rc = find_elsewhere(p, &elsewhere, err);
	return rc == SW_OK ? sw_planning_refuse_xid(p, elsewhere, err) : rc;
}

/* The points that are not told already: lines share their ancestors. */
static void
add_points(struct sw_planning *p, const struct sw_candidate *c, const struct sw_stop_points *points)
{
	for (size_t i = 0; i < points->count && i < SW_STOP_POINTS_MAX; i++) {
		struct sw_planning_point *all = p->points;
		size_t k = 0;

		while (k < p->point_count && (all[k].point.lsn != points->points[i].lsn || all[k].timeline != points->timelines[i]))
			k++;
		if (k < p->point_count || k == SW_STOP_POINTS_MAX)
			continue;
		/* none of the line's backups reaches it */
		if (points->points[i].end < c->backup->stop) {
			p->early = c;
			continue;
		}
		all[p->point_count++] = (struct sw_planning_point){points->points[i], points->timelines[i], c};
	}
}

/* PostgreSQL takes the first of that name: one within the backup must not come in between. */
static sw_rc
take_point(struct sw_planning *p, const struct sw_planning_point *point, struct sw_error *err)
{
	const struct sw_candidate *c = newest_before(p, point->line, point->point.lsn);
	char lsn[SW_LSN_LEN];
	sw_rc rc = evaluate(p, c, err);

	if (rc == SW_OK && p->report.answer == SW_STOP_FOUND && p->report.stop.lsn < point->point.lsn) {
		p->goal = (struct sw_goal){.kind = SW_GOAL_LSN, .lsn = point->point.lsn};
		rc = sw_planning_remark(p, err, "another restore point of that name lies within backup %s, and PostgreSQL would stop "
			"there: it is told --target-lsn %s", c->backup->label, sw_lsn_format(point->point.lsn, lsn));
		if (rc == SW_OK)
			rc = evaluate(p, c, err);
	}
	if (rc != SW_OK || is_found(p) || will_do(p, c))
		return rc;
	return sw_planning_refuse_end(p, err);
}

static sw_rc
choose_name(struct sw_planning *p, struct sw_error *err)
{
	for (const struct sw_candidate *c = p->candidates; c < p->candidates + p->candidate_count; c++) {
		struct sw_stop_points points = {0};
		struct sw_stop_search search;
		bool covered;
		sw_rc rc = is_covered(p, c, &covered, err);

		if (rc != SW_OK)
			return rc;
		if (covered)
			continue;
		sw_path_release(&p->path);
		rc = sw_path_make(&p->lines, c->history, c->backup->start / p->repo->reg.segment_size, &p->path, err);
		if (rc != SW_OK)
			return rc;
		sw_planning_search(p, c, &p->path, false, &search);
		rc = sw_stop_points(&search, &points, err);
		if (rc != SW_OK)
			return rc;
		if (points.unknown)
			return take_newest(p, c, err);
		add_points(p, c, &points);
		if (points.others[0][0] != '\0' && p->others[0][0] == '\0')
			memcpy(p->others, points.others, sizeof(p->others));
	}
	return p->point_count == 1 ? take_point(p, &p->points[0], err) : sw_planning_refuse_name(p, err);
}

static sw_rc
choose(struct sw_planning *p, struct sw_error *err)
{
	if (p->candidate_count == 0)
		return sw_planning_refuse_early(p, NULL, err);
	switch (p->goal.kind) {
	case SW_GOAL_LATEST:
	case SW_GOAL_IMMEDIATE:
		break;
	case SW_GOAL_TIME:
	case SW_GOAL_LSN:
		return choose_before(p, err);
	case SW_GOAL_XID:
		return choose_xid(p, err);
	case SW_GOAL_NAME:
		return choose_name(p, err);
	}
	return choose_newest(p, err);
}

/* Without a target: what the archive does not have of the timeline that is followed. */
static sw_rc
warn_of_end(struct sw_planning *p, struct sw_error *err)
{
	const struct sw_timeline_history *history = p->chosen->history;
	const struct sw_timeline_entry *own = &history->entries[history->count - 1];
	char end[SW_LSN_LEN], lsn[SW_LSN_LEN];
	uint32_t child = 0;
	sw_lsn fork = 0;
	sw_rc rc = SW_OK;

	if (!p->plan->exact || p->plan->stop.kind != SW_STOP_END)
		return SW_OK;
	sw_lsn_format(p->report.valid_to, end);
	if (own->begin > p->report.valid_to)
		return sw_planning_remark(p, err, "timeline %u begins at LSN %s, but the WAL in the archive ends before it, at %s: what is "
			"between them, and all of timeline %u, is NOT in it", own->timeline, sw_lsn_format(own->begin, lsn), end,
			own->timeline);
	if (p->request->timeline == NULL || strcmp(p->request->timeline, "latest") == 0)
		return SW_OK;
	rc = find_fork(p, &child, &fork, err);
	if (rc == SW_OK && child != 0 && fork > p->report.valid_to)
		rc = sw_planning_remark(p, err, "timeline %u went on to LSN %s, where timeline %u left it, but what is archived of it "
			"ends at %s: --target-timeline %u --target-lsn %s --target-exclusive has all of it", own->timeline,
			sw_lsn_format(fork, lsn), child, end, child, lsn);
	return rc;
}

/* --- the plan --------------------------------------------------------------------------- */

static sw_rc
copy_history(const struct sw_timeline_history *history, struct sw_timeline_history *ret_history, struct sw_error *err)
{
	struct sw_timeline_entry *entries = calloc(history->count, sizeof(*entries));

	if (entries == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	memcpy(entries, history->entries, history->count * sizeof(*entries));
	*ret_history = (struct sw_timeline_history){entries, history->count};
	return SW_OK;
}

/* The spans up to the record that decides; with a stop that is not known, all. */
static void
take_spans(struct sw_planning *p)
{
	struct sw_plan *plan = p->plan;
	uint64_t size = p->repo->reg.segment_size, last = (plan->stop.end - 1) / size;
	uint64_t own = (plan->backup.stop - 1) / size;

	if (last < own)
		last = own;
	if (!plan->exact || plan->stop.kind == SW_STOP_END || last > p->path.last)
		last = p->path.last;
	plan->first_segment = p->path.first;
	plan->last_segment = last;
	plan->segment_count = last - p->path.first + 1;
	plan->spans = p->path.spans;
	p->path.spans = NULL;
	for (size_t i = 0; i < p->path.span_count; i++) {
		if (plan->spans[i].first > last)
			break;
		if (plan->spans[i].last > last)
			plan->spans[i].last = last;
		plan->span_count++;
	}
}

struct sizes {
	uint64_t last, sum;
	uint32_t segment_size;
};

static sw_rc
add_size(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct sizes *sizes = ctx;
	struct sw_wal_name parsed;

	(void)err;
	if (!sw_repository_parse_wal_name(name, sizes->segment_size, &parsed) || parsed.kind != SW_WAL_SEGMENT)
		return SW_OK;
	if (parsed.segment > sizes->last)
		return SW_CONFLICT;
	sizes->sum += info->size;
	return SW_OK;
}

static sw_rc
sum_sizes(struct sw_planning *p, struct sw_error *err)
{
	struct sizes sizes = {.segment_size = p->repo->reg.segment_size};
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < p->plan->span_count; i++) {
		const struct sw_walk_span *span = &p->plan->spans[i];
		struct sw_wal_name before = {.kind = SW_WAL_SEGMENT, .timeline = span->timeline, .segment = span->first - 1};
		char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX];

		sizes.last = span->last;
		sw_repository_name(p->repo, prefix, "wal/%08X/", span->timeline);
		rc = sw_store_list(p->repo->store, prefix, span->first == 0 ? NULL :
			sw_repository_wal_name(p->repo, &before, after), add_size, &sizes, err);
	}
	p->plan->wal_stored = sizes.sum;
	return rc;
}

static sw_rc
finish(struct sw_planning *p, struct sw_error *err)
{
	struct sw_plan *plan = p->plan;
	sw_rc rc = copy_history(p->chosen->history, &plan->history, err);

	if (rc != SW_OK)
		return rc;
	plan->backup = *p->chosen->backup;
	plan->timeline = plan->history.entries[plan->history.count - 1].timeline;
	plan->exact = p->report.answer == SW_STOP_FOUND;
	if (plan->exact)
		plan->stop = p->report.stop;
	else
		plan->stop = (struct sw_stop){.goal = p->goal};
	/* behind a hole there may be more */
	if (plan->stop.after.lsn == 0 && p->path.hole_count > 0)
		plan->stop.after_known = false;
	plan->subtransaction = p->report.subtransaction;
	plan->within = p->report.within;
	plan->follow_latest = p->request->standby && p->goal.kind == SW_GOAL_LATEST && p->request->timeline == NULL;
	take_spans(p);
	plan->before_hole = (p->path.hole_count > 0 && p->path.holes[0].first <= plan->last_segment + 2) ||
		p->report.reason[0] != '\0';
	rc = sum_sizes(p, err);
	if (rc == SW_OK)
		rc = warn_of_end(p, err);
	return rc == SW_OK ? sw_planning_explain(p, err) : rc;
}

sw_rc
sw_plan_make(struct sw_repository *repo, const struct sw_inventory *inventory,
	const struct sw_plan_request *request, struct sw_plan *ret_plan, struct sw_error *err)
{
	struct sw_planning p = {.repo = repo, .inventory = inventory, .request = request, .goal = request->goal,
		.plan = ret_plan};
	sw_rc rc;

	*ret_plan = (struct sw_plan){0};
	sw_lines_init(&p.lines, repo, inventory);
	rc = request->backup != NULL ? add_named(&p, err) : add_all(&p, err);
	if (rc == SW_OK)
		rc = choose(&p, err);
	if (rc == SW_OK)
		rc = finish(&p, err);
	free(p.candidates);
	sw_path_release(&p.path);
	sw_timeline_history_release(&p.bare);
	sw_lines_release(&p.lines);
	return rc;
}
