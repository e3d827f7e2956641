#include "catalog/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define NAMED_HOLES 8 /* in one message */

struct planning {
	struct sw_repository *repo;
	struct sw_inventory *inventory;
	const struct sw_plan_request *request;
	struct sw_plan *plan;
};

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

static sw_rc remark(struct planning *p, struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static sw_rc
remark(struct planning *p, struct sw_error *err, const char *fmt, ...)
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

/* --- timelines --------------------------------------------------------------------- */

/* The backup lies on this history: its end was reached before the next timeline began. */
static bool
holds(const struct sw_timeline_history *history, const struct sw_manifest_header *backup)
{
	const struct sw_timeline_entry *entry = sw_timeline_find(history, backup->timeline);

	return entry != NULL && (entry->end == 0 || backup->stop <= entry->end);
}

/* The highest timeline that descends from the backup, its own at least. */
static sw_rc
latest_history(struct planning *p, const struct sw_manifest_header *backup,
	struct sw_timeline_history *ret_history, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	sw_rc rc;

	for (size_t i = inventory->history_count; i-- > 0;) {
		struct sw_timeline_history history;

		if (inventory->histories[i] <= backup->timeline)
			break;
		rc = sw_inventory_history(p->repo, inventory->histories[i], &history, err);
		/* to go on without it might silently leave out all that happened on that timeline */
		if (rc == SW_CORRUPT || rc == SW_NOT_FOUND) {
			err->rc = SW_CORRUPT;
			return sw_hint(err, "without it the latest timeline is not known; --target-timeline with a number, "
				"or current, chooses one");
		}
		if (rc != SW_OK)
			return rc;
		if (holds(&history, backup)) {
			*ret_history = history;
			return SW_OK;
		}
		sw_timeline_history_release(&history);
	}
	rc = sw_inventory_history(p->repo, backup->timeline, ret_history, err);
	if (rc != SW_NOT_FOUND)
		return rc;
	rc = remark(p, err, "the history of timeline %u is not in the repository: PostgreSQL will not know its "
		"ancestors", backup->timeline);
	return rc == SW_OK ? sw_timeline_history_parse(backup->timeline, NULL, 0, ret_history, err) : rc;
}

static sw_rc
named_history(struct planning *p, const char *text, struct sw_timeline_history *ret_history,
	struct sw_error *err)
{
	size_t len = strspn(text, "0123456789");
	unsigned long long timeline = strtoull(text, NULL, 10);
	sw_rc rc;

	if (len == 0 || len > 10 || text[len] != '\0' || timeline == 0 || timeline > UINT32_MAX) {
		sw_fail(err, SW_CONFIG, "--target-timeline \"%s\" is no timeline", text);
		return sw_hint(err, "give a number, current or latest");
	}
	rc = sw_inventory_history(p->repo, (uint32_t)timeline, ret_history, err);
	if (rc != SW_NOT_FOUND)
		return rc;
	sw_fail(err, SW_CONFIG, "timeline %llu has no history file in %s", timeline,
		sw_store_url(p->repo->store));
	return sw_hint(err, "'seawall list' shows the timelines");
}

/* SW_NOT_FOUND: the backup does not lie on the timeline that was asked for. */
static sw_rc
find_history(struct planning *p, const struct sw_manifest_header *backup,
	struct sw_timeline_history *ret_history, struct sw_error *err)
{
	const char *timeline = p->request->timeline;
	struct sw_timeline_history history = {0};
	char number[16];
	sw_rc rc;

	if (timeline == NULL || strcmp(timeline, "latest") == 0)
		return latest_history(p, backup, ret_history, err);
	snprintf(number, sizeof(number), "%u", backup->timeline);
	rc = named_history(p, strcmp(timeline, "current") == 0 ? number : timeline, &history, err);
	if (rc != SW_OK)
		return rc;
	if (!holds(&history, backup)) {
		sw_timeline_history_release(&history);
		return sw_fail(err, SW_NOT_FOUND, "backup %s (timeline %u) does not lie on timeline %s",
			backup->label, backup->timeline, timeline);
	}
	*ret_history = history;
	return SW_OK;
}

/* --- the backup -------------------------------------------------------------------- */

static bool
ends_before_goal(const struct sw_goal *goal, const struct sw_manifest_header *backup)
{
	if (goal->kind == SW_GOAL_TIME)
		return backup->finished_us < goal->time_us;
	return goal->kind != SW_GOAL_LSN || backup->stop <= goal->lsn;
}

static const char *
describe_end(const struct sw_manifest_header *backup, char buf[96])
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	snprintf(buf, 96, "%s (LSN %s)", sw_goal_time(backup->finished_us, time),
		sw_lsn_format(backup->stop, lsn));
	return buf;
}

static sw_rc
use_backup(struct planning *p, const struct sw_manifest_header *backup,
	struct sw_timeline_history *history)
{
	p->plan->backup = *backup;
	p->plan->history = *history;
	p->plan->timeline = history->entries[history->count - 1].timeline;
	return SW_OK;
}

static sw_rc
take_named_backup(struct planning *p, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	const struct sw_inventory_backup *found = NULL;
	struct sw_timeline_history history;
	char goal[SW_GOAL_TEXT_LEN], end[96];
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
	if (!ends_before_goal(&p->request->goal, &found->header)) {
		sw_fail(err, SW_NOT_FOUND, "backup %s ends at %s, so recovery cannot go %s", found->label,
			describe_end(&found->header, end), sw_goal_text(&p->request->goal, goal));
		return sw_hint(err, "leave --backup out, and the newest that ends before the target is taken");
	}
	rc = find_history(p, &found->header, &history, err);
	return rc == SW_OK ? use_backup(p, &found->header, &history) : rc;
}

static sw_rc
refuse(struct planning *p, const struct sw_manifest_header *earliest, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	char goal[SW_GOAL_TEXT_LEN], end[96];

	if (inventory->backup_count == 0) {
		sw_fail(err, SW_NOT_FOUND, "there is no backup of cluster \"%s\" in %s", p->repo->cluster,
			sw_store_url(p->repo->store));
		return sw_hint(err, "'seawall backup' makes one");
	}
	sw_fail(err, SW_NOT_FOUND, "no backup can be recovered %s%s%s",
		sw_goal_text(&p->request->goal, goal), p->request->timeline == NULL ? "" : " on timeline ",
		p->request->timeline == NULL ? "" : p->request->timeline);
	if (earliest == NULL)
		return sw_hint(err, "'seawall list' shows the backups and their timelines");
	return sw_hint(err, "the earliest moment that can be reached is the end of backup %s, %s",
		earliest->label, describe_end(earliest, end));
}

static sw_rc
choose_backup(struct planning *p, struct sw_error *err)
{
	const struct sw_inventory *inventory = p->inventory;
	const struct sw_manifest_header *earliest = NULL;

	for (size_t i = inventory->backup_count; i-- > 0;) {
		const struct sw_inventory_backup *b = &inventory->backups[i];
		struct sw_timeline_history history;
		sw_rc rc;

		if (b->reason != NULL) {
			rc = remark(p, err, "backup %s is passed over: %s", b->label, b->reason);
			if (rc != SW_OK)
				return rc;
			continue;
		}
		rc = find_history(p, &b->header, &history, err);
		if (rc == SW_NOT_FOUND)
			continue;
		if (rc != SW_OK)
			return rc;
		if (ends_before_goal(&p->request->goal, &b->header))
			return use_backup(p, &b->header, &history);
		sw_timeline_history_release(&history);
		earliest = &b->header;
	}
	return refuse(p, earliest, err);
}

static sw_rc
explain_choice(struct planning *p, struct sw_error *err)
{
	const struct sw_goal *goal = &p->request->goal;
	const struct sw_timeline_entry *own = sw_timeline_find(&p->plan->history, p->plan->backup.timeline);
	char lsn[SW_LSN_LEN];
	sw_rc rc = SW_OK;

	if (p->request->timeline == NULL && own != NULL && own->end != 0 && goal->kind != SW_GOAL_IMMEDIATE)
		rc = remark(p, err, "recovery follows timeline %u, which leads away from the backup's timeline %u at LSN "
			"%s; --target-timeline current stays on %u", p->plan->timeline, own->timeline,
			sw_lsn_format(own->end, lsn), own->timeline);
	if (rc == SW_OK && p->request->backup == NULL && (goal->kind == SW_GOAL_XID || goal->kind == SW_GOAL_NAME))
		rc = remark(p, err, "backup %s is the newest; where %s lies is known only when the WAL is read: if it "
			"is older than the backup, choose an earlier one with --backup", p->plan->backup.label,
			goal->kind == SW_GOAL_XID ? "the transaction" : "the restore point");
	if (rc == SW_OK && goal->kind == SW_GOAL_TIME && goal->time_us > sw_clock_now_us())
		rc = remark(p, err, "the target time is in the future: recovery will go to the end of the WAL and "
			"then fail, because it cannot be reached yet");
	if (rc == SW_OK && p->plan->backup.damaged_pages > 0)
		rc = remark(p, err, "backup %s holds %" PRIu64 " pages whose checksums were wrong already when it "
			"was taken", p->plan->backup.label, p->plan->backup.damaged_pages);
	return rc;
}

/* --- the WAL ----------------------------------------------------------------------- */

/*
 * A segment is read from the newest timeline that has begun in it or before: the child's copy of the
 * segment in which it left its parent holds the parent's records too.
 */
static sw_rc
make_spans(struct planning *p, struct sw_error *err)
{
	const struct sw_timeline_history *h = &p->plan->history;
	uint64_t size = p->repo->reg.segment_size;

	p->plan->spans = calloc(h->count, sizeof(*p->plan->spans));
	if (p->plan->spans == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < h->count; i++) {
		struct sw_plan_span span = {
			.timeline = h->entries[i].timeline,
			.first = h->entries[i].begin / size,
			.last = UINT64_MAX,
		};
		uint64_t start = p->plan->first_segment;

		/* an empty ancestor begins and ends at one place, and leaves no segment to itself */
		if (i + 1 < h->count && h->entries[i + 1].begin / size == 0)
			continue;
		if (i + 1 < h->count)
			span.last = h->entries[i + 1].begin / size - 1;
		if (span.first < start)
			span.first = start;
		if (span.last != UINT64_MAX && span.last < span.first)
			continue;
		p->plan->spans[p->plan->span_count++] = span;
	}
	return SW_OK;
}

static void
add_hole(struct sw_plan *plan, uint32_t timeline, uint64_t first, uint64_t last)
{
	if (plan->hole_count < SW_PLAN_HOLES_MAX)
		plan->holes[plan->hole_count++] = (struct sw_inventory_range){timeline, first, last};
	plan->missing += last - first + 1;
}

/* Holes of one span up to its last segment, or `end` if that comes first. */
static void
find_holes(struct planning *p, const struct sw_plan_span *span, uint64_t end)
{
	uint64_t last = span->last < end ? span->last : end, next = span->first;

	for (size_t i = 0; i < p->inventory->range_count && next <= last; i++) {
		const struct sw_inventory_range *r = &p->inventory->ranges[i];

		if (r->timeline != span->timeline || r->last < next)
			continue;
		if (r->first > last)
			break;
		if (r->first > next)
			add_hole(p->plan, span->timeline, next, r->first - 1);
		p->plan->segment_count += (r->last < last ? r->last : last) - (r->first > next ? r->first : next) + 1;
		next = r->last + 1;
	}
	if (next <= last)
		add_hole(p->plan, span->timeline, next, last);
}

static sw_rc
read_wal(struct planning *p, struct sw_error *err)
{
	struct sw_plan *plan = p->plan;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < plan->span_count; i++)
		rc = sw_inventory_read_wal(p->repo, plan->spans[i].timeline, plan->spans[i].first, p->inventory,
			err);
	for (size_t i = 0; i < p->inventory->range_count; i++)
		for (size_t k = 0; k < plan->span_count; k++) {
			const struct sw_inventory_range *r = &p->inventory->ranges[i];
			const struct sw_plan_span *s = &plan->spans[k];
			uint64_t last = r->last < s->last ? r->last : s->last;

			if (r->timeline == s->timeline && last >= s->first && r->first <= s->last &&
				last > plan->last_segment)
				plan->last_segment = last;
		}
	return rc;
}

static void
name_holes(const struct sw_plan *plan, uint32_t segment_size, struct sw_buf *buf)
{
	struct sw_error full = SW_ERROR_INIT;

	for (size_t i = 0; i < plan->hole_count && i < NAMED_HOLES; i++) {
		const struct sw_inventory_range *hole = &plan->holes[i];
		struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = hole->timeline,
			.segment = hole->first};
		char text[SW_WAL_NAME_MAX];

		/* a list too long for a message ends early */
		(void)sw_buf_printf(buf, &full, "%s%s", i > 0 ? ", " : "",
			sw_wal_name_format(&name, segment_size, text));
		name.segment = hole->last;
		if (hole->last > hole->first)
			(void)sw_buf_printf(buf, &full, " to %s", sw_wal_name_format(&name, segment_size, text));
	}
	if (plan->hole_count > NAMED_HOLES)
		(void)sw_buf_printf(buf, &full, " and others");
}

static sw_rc
refuse_for_holes(struct planning *p, const char *why, struct sw_error *err)
{
	uint64_t first = p->plan->holes[0].first, size = p->repo->reg.segment_size;
	char goal[SW_GOAL_TEXT_LEN], lsn[SW_LSN_LEN];
	SW_AUTO_BUF names;

	sw_buf_init(&names, 700);
	name_holes(p->plan, p->repo->reg.segment_size, &names);
	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: %s: %" PRIu64 " WAL segment%s missing in %s: %s",
		sw_goal_text(&p->request->goal, goal), why, p->plan->missing,
		p->plan->missing == 1 ? " is" : "s are", sw_store_url(p->repo->store), (char *)names.data);
	if (first * size < p->plan->backup.stop)
		return sw_hint(err, "archive them if the server still has them, or choose another --backup");
	return sw_hint(err, "archive them if the server still has them; without them, backup %s can reach any target "
		"before LSN %s", p->plan->backup.label, sw_lsn_format(first * size, lsn));
}

/* A backup that began behind the first hole, before the target time, puts the hole before the target. */
static bool
hole_is_before_time(const struct planning *p)
{
	sw_lsn hole = p->plan->holes[0].first * p->repo->reg.segment_size;

	for (size_t i = 0; i < p->inventory->backup_count; i++) {
		const struct sw_inventory_backup *b = &p->inventory->backups[i];

		if (b->reason == NULL && b->header.start > hole && holds(&p->plan->history, &b->header) &&
			b->header.started_us <= p->request->goal.time_us)
			return true;
	}
	return false;
}

/* Up to here WAL must be there without a hole; UINT64_MAX: up to the end. */
static uint64_t
segment_of_goal(const struct planning *p)
{
	uint64_t size = p->repo->reg.segment_size, stop = (p->plan->backup.stop - 1) / size;

	if (p->request->goal.kind == SW_GOAL_IMMEDIATE)
		return stop;
	if (p->request->goal.kind == SW_GOAL_LSN && p->request->goal.lsn / size > stop)
		return p->request->goal.lsn / size;
	return p->request->goal.kind == SW_GOAL_LSN ? stop : UINT64_MAX;
}

static sw_rc
judge_holes(struct planning *p, struct sw_error *err)
{
	const struct sw_plan *plan = p->plan;
	uint64_t size = p->repo->reg.segment_size;
	SW_AUTO_BUF names;

	sw_buf_init(&names, 700);
	if (plan->hole_count == 0)
		return SW_OK;
	if (plan->holes[0].first <= (plan->backup.stop - 1) / size)
		return refuse_for_holes(p, "the backup's own WAL is not complete", err);
	if (p->request->goal.kind == SW_GOAL_LATEST || p->request->goal.kind == SW_GOAL_LSN)
		return refuse_for_holes(p, "there is a hole before it", err);
	if (p->request->goal.kind == SW_GOAL_TIME && hole_is_before_time(p))
		return refuse_for_holes(p, "there is a hole before it", err);
	name_holes(plan, p->repo->reg.segment_size, &names);
	return remark(p, err, "%" PRIu64 " WAL segments are missing: %s. If the target lies behind them, recovery "
		"will stop there with an error", plan->missing, (char *)names.data);
}

static sw_rc
check_wal(struct planning *p, struct sw_error *err)
{
	struct sw_plan *plan = p->plan;
	uint64_t size = p->repo->reg.segment_size, goal, end;
	char text[SW_GOAL_TEXT_LEN], lsn[SW_LSN_LEN];
	sw_rc rc;

	plan->first_segment = plan->backup.start / size;
	rc = make_spans(p, err);
	if (rc == SW_OK)
		rc = read_wal(p, err);
	if (rc != SW_OK)
		return rc;
	goal = segment_of_goal(p);
	end = goal < plan->last_segment ? goal : plan->last_segment;
	if (end < (plan->backup.stop - 1) / size)
		end = (plan->backup.stop - 1) / size;
	for (size_t i = 0; i < plan->span_count; i++)
		find_holes(p, &plan->spans[i], end);
	rc = judge_holes(p, err);
	if (rc != SW_OK || p->request->goal.kind != SW_GOAL_LSN || goal <= plan->last_segment)
		return rc;
	sw_fail(err, SW_NOT_FOUND, "recovery cannot go %s: the WAL on timeline %u ends before LSN %s",
		sw_goal_text(&p->request->goal, text), plan->timeline,
		sw_lsn_format((plan->last_segment + 1) * size, lsn));
	return sw_hint(err, "archive what the server still has (SELECT pg_switch_wal()), or name an earlier target");
}

sw_rc
sw_plan_make(struct sw_repository *repo, struct sw_inventory *inventory,
	const struct sw_plan_request *request, struct sw_plan *ret_plan, struct sw_error *err)
{
	struct planning p = {.repo = repo, .inventory = inventory, .request = request, .plan = ret_plan};
	sw_rc rc;

	*ret_plan = (struct sw_plan){0};
	rc = request->backup != NULL ? take_named_backup(&p, err) : choose_backup(&p, err);
	if (rc == SW_OK)
		rc = explain_choice(&p, err);
	if (rc == SW_OK)
		rc = check_wal(&p, err);
	if (rc == SW_OK)
		ret_plan->follow_latest = request->standby && request->goal.kind == SW_GOAL_LATEST &&
			request->timeline == NULL;
	return rc;
}

/* --- PostgreSQL's words ------------------------------------------------------------- */

static void
set(struct sw_plan_settings *s, const char *name, const char *value)
{
	s->items[s->count++] = (struct sw_conf_setting){name, value};
}

void
sw_plan_settings(const struct sw_plan *plan, const struct sw_plan_request *request,
	const char *restore_command, struct sw_plan_settings *ret_settings)
{
	static const char *const names[] = {
		[SW_GOAL_IMMEDIATE] = "recovery_target", [SW_GOAL_TIME] = "recovery_target_time",
		[SW_GOAL_XID] = "recovery_target_xid", [SW_GOAL_NAME] = "recovery_target_name",
		[SW_GOAL_LSN] = "recovery_target_lsn",
	};
	const struct sw_goal *goal = &request->goal;
	struct sw_plan_settings *s = ret_settings;

	s->count = 0;
	snprintf(s->timeline, sizeof(s->timeline), "%u", plan->timeline);
	set(s, "restore_command", restore_command);
	if (!request->standby) {
		set(s, "primary_conninfo", "");
		set(s, "primary_slot_name", "");
		set(s, "archive_cleanup_command", "");
		set(s, "recovery_end_command", "");
		set(s, "recovery_min_apply_delay", "0");
	}
	set(s, "recovery_target_timeline", plan->follow_latest ? "latest" : s->timeline);
	set(s, "recovery_target_inclusive", goal->exclusive ? "off" : "on");
	set(s, "recovery_target_action", request->action);
	for (int kind = SW_GOAL_IMMEDIATE; kind <= SW_GOAL_LSN; kind++)
		if (kind != (int)goal->kind)
			set(s, names[kind], "");
	if (goal->kind == SW_GOAL_IMMEDIATE)
		snprintf(s->value, sizeof(s->value), "immediate");
	else if (goal->kind == SW_GOAL_TIME)
		sw_goal_time(goal->time_us, s->value);
	else if (goal->kind == SW_GOAL_XID)
		snprintf(s->value, sizeof(s->value), "%u", goal->xid);
	else if (goal->kind == SW_GOAL_NAME)
		snprintf(s->value, sizeof(s->value), "%s", goal->name);
	else if (goal->kind == SW_GOAL_LSN)
		sw_lsn_format(goal->lsn, s->value);
	if (goal->kind != SW_GOAL_LATEST)
		set(s, names[goal->kind], s->value);
}

sw_rc
sw_plan_quote_word(struct sw_buf *buf, const char *word, struct sw_error *err)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@";
	bool quote = word[0] == '\0' || word[strspn(word, safe)] != '\0';
	sw_rc rc = quote ? sw_buf_append(buf, "'", 1, err) : SW_OK;

	for (const char *p = word; rc == SW_OK && *p != '\0'; p++) {
		if (*p == '\'')
			rc = sw_buf_append(buf, "'\\''", 4, err);
		else if (*p == '%')
			rc = sw_buf_append(buf, "%%", 2, err);
		else
			rc = sw_buf_append(buf, p, 1, err);
	}
	return rc == SW_OK && quote ? sw_buf_append(buf, "'", 1, err) : rc;
}
