#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/plans.h"
#include "cli/progress.h"

static const char *const idle_names[] = {
	[SW_PLAN_NOT_IDLE] = NULL, [SW_PLAN_IDLE_PROVED] = "proved", [SW_PLAN_IDLE_ASSUMED] = "assumed",
};

/* --- words ------------------------------------------------------------------------------- */

static const char *
segment_name(const struct sw_plans *c, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	const struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, c->repo.reg.segment_size, buf);
}

static void
print_segments(const struct sw_plans *c)
{
	const struct sw_plan *plan = &c->plan;
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX];

	printf("It reads %" PRIu64 " WAL segment%s, %s in the repository%s:\n", plan->segment_count,
		plan->segment_count == 1 ? "" : "s", plan->segment_count == 1 ? "which is" : "all of which are",
		plan->exact ? ", as was proved" : " by name");
	for (size_t i = 0; i < plan->span_count; i++) {
		const struct sw_walk_span *span = &plan->spans[i];

		printf("  timeline %" PRIu32 ": %s", span->timeline, segment_name(c, span->timeline, span->first, first));
		if (span->last > span->first)
			printf(" to %s", segment_name(c, span->timeline, span->last, last));
		printf("\n");
	}
}

static int64_t
estimated_seconds(const struct sw_plans *c)
{
	return (int64_t)((double)c->plan.backup.size / c->estimate.bytes_per_s + 0.999);
}

static void
print_cost(const struct sw_plans *c)
{
	const struct sw_plan *plan = &c->plan;
	char size[SW_PROGRESS_SIZE_LEN], wal[SW_PROGRESS_SIZE_LEN], time[SW_PROGRESS_TIME_LEN];

	printf("The backup has %s, its WAL %s in the repository.", sw_progress_size(plan->backup.size, size),
		sw_progress_size(plan->wal_stored, wal));
	if (c->estimate.restores == 0)
		printf(" How long it takes is not known: there is no measured restore to go by.\n");
	else
		printf(" Restoring the backup takes about %s, as %u earlier restore%s on %s took; replaying the WAL comes on top "
			"of it.\n", sw_progress_time(estimated_seconds(c), time), c->estimate.restores,
			c->estimate.restores == 1 ? "" : "s", c->estimate.same_host ? "this host" : "other hosts");
}

static bool
is_told(const struct sw_plan *plan, const struct sw_conf_setting *setting)
{
	if (strncmp(setting->name, "recovery_target", 15) != 0 || setting->value[0] == '\0')
		return false;
	return plan->stop.goal.kind != SW_GOAL_LATEST || strcmp(setting->name, "recovery_target_timeline") == 0;
}

static void
print_text(const struct sw_plans *c, const struct sw_plan_settings *settings)
{
	const struct sw_plan *plan = &c->plan;
	char goal[SW_GOAL_TEXT_LEN], finished[SW_GOAL_TIME_LEN], stop[SW_LSN_LEN];

	sw_plans_print_clean("Recovery ", sw_goal_text(&c->request.goal, goal), " can be made.\n");
	printf("Backup %s from %s: ended %s, LSN %s, timeline %" PRIu32 ".\n", plan->backup.label, sw_store_url(c->store),
		sw_goal_time(plan->backup.finished_us, finished), sw_lsn_format(plan->backup.stop, stop), plan->backup.timeline);
	printf("Recovery follows timeline %" PRIu32 "%s.\n", plan->timeline,
		plan->follow_latest ? " and those that follow it" : "");
	print_segments(c);
	sw_plans_print_stop(plan);
	printf("PostgreSQL will be told:\n");
	for (size_t i = 0; i < settings->count; i++)
		if (is_told(plan, &settings->items[i])) {
			printf("  %s = '", settings->items[i].name);
			sw_plans_print_clean("", settings->items[i].value, "'\n");
		}
	print_cost(c);
}

/* --- JSON ---------------------------------------------------------------------------------- */

static json_t *
backup_json(const struct sw_manifest_header *h)
{
	char start[SW_LSN_LEN], stop[SW_LSN_LEN], started[SW_CLOCK_ISO_LEN], finished[SW_CLOCK_ISO_LEN];

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "label", h->label, "start_lsn", sw_lsn_format(h->start, start),
		"stop_lsn", sw_lsn_format(h->stop, stop), "started", sw_clock_iso(h->started_us, started),
		"finished", sw_clock_iso(h->finished_us, finished),
		"timeline", (json_int_t)h->timeline, "size", (json_int_t)h->size);
}

static json_t *
path_json(const struct sw_timeline_history *history)
{
	json_t *path = json_array();

	for (size_t i = 0; i < history->count; i++) {
		const struct sw_timeline_entry *e = &history->entries[i];
		char begin[SW_LSN_LEN], end[SW_LSN_LEN];

		json_array_append_new(path, json_pack("{s:I, s:s, s:o}", "timeline", (json_int_t)e->timeline, "begin_lsn",
			sw_lsn_format(e->begin, begin), "end_lsn", e->end == 0 ? json_null() : json_string(sw_lsn_format(e->end, end))));
	}
	return path;
}

static json_t *
segments_json(const struct sw_plans *c)
{
	json_t *segments = json_array();
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX];

	for (size_t i = 0; i < c->plan.span_count; i++) {
		const struct sw_walk_span *s = &c->plan.spans[i];

		json_array_append_new(segments, json_pack("{s:I, s:s, s:s, s:I}", "timeline", (json_int_t)s->timeline,
			"first", segment_name(c, s->timeline, s->first, first), "last", segment_name(c, s->timeline, s->last, last),
			"count", (json_int_t)(s->last - s->first + 1)));
	}
	return segments;
}

static json_t *
estimate_json(const struct sw_plans *c)
{
	if (c->estimate.restores == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:b, s:f}", "seconds", (json_int_t)estimated_seconds(c), "restores",
		(json_int_t)c->estimate.restores, "same_host", c->estimate.same_host, "bytes_per_second", c->estimate.bytes_per_s);
}

static sw_rc
print_json(const struct sw_plans *c, const struct sw_plan_settings *settings, struct sw_error *err)
{
	const struct sw_plan *plan = &c->plan;
	char goal[SW_GOAL_TEXT_LEN], id[24];
	SW_AUTO_JSON *object = NULL;

	snprintf(id, sizeof(id), "%" PRIu64, c->repo.reg.system_identifier);
	object = json_pack("{s:b, s:s, s:s, s:s, s:o, s:o, s:I, s:b, s:o, s:o, s:I, s:b, s:o, s:o, s:{s:I, s:I, s:I}, s:o, s:o}",
		"reachable", 1, "cluster", c->repo.cluster, "system_identifier", id, "url", sw_store_url(c->store),
		"target", sw_json_text(sw_goal_text(&c->request.goal, goal)), "backup", backup_json(&plan->backup),
		"timeline", (json_int_t)plan->timeline, "exact", plan->exact, "path", path_json(&plan->history),
		"segments", segments_json(c), "segment_count", (json_int_t)plan->segment_count, "segments_proved", plan->exact,
		"stop", sw_plans_stop_json(plan), "settings", sw_plans_settings_json(settings),
		"bytes", "backup", (json_int_t)plan->backup.size, "wal_stored", (json_int_t)plan->wal_stored,
		"total", (json_int_t)(plan->backup.size + plan->wal_stored), "estimate", estimate_json(c),
		"remarks", sw_plans_remarks_json(plan));
	if (object == NULL || json_object_set_new(object, "idle", plan->idle == SW_PLAN_NOT_IDLE ? json_null() :
			json_string(idle_names[plan->idle])) != 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
	return SW_OK;
}

static void
print_no(const struct sw_plans *c, const struct sw_error *err)
{
	char goal[SW_GOAL_TEXT_LEN];
	SW_AUTO_JSON *object = json_pack("{s:b, s:o, s:o, s:o}", "reachable", 0, "target",
		sw_json_text(sw_goal_text(&c->request.goal, goal)), "reason", sw_json_text(err->text), "hint", sw_json_text(err->hint));

	if (object == NULL)
		return;
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
}

/* --- the verb -------------------------------------------------------------------------------- */

/* What earlier restores took makes an estimate, no more: the plan stands without it. */
static sw_rc
read_measures(struct sw_plans *c, struct sw_error *err)
{
	sw_rc rc = sw_measure_read(&c->repo, &c->estimate, err);

	if (rc == SW_OK || sw_interrupt_signal() != 0)
		return rc;
	sw_log(SW_LOG_WARNING, "%s; so there is no estimate of the time", err->text);
	c->estimate = (struct sw_measure_estimate){0};
	return SW_OK;
}

sw_rc
sw_cmd_plan(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	__attribute__((cleanup(sw_plans_release))) struct sw_plans c = {0};
	struct sw_plan_settings settings;
	sw_rc rc = sw_plans_request(config, &c.request, err);

	*ret_status = 0;
	if (rc == SW_OK)
		rc = sw_plans_make(config, &c, err);
	if (rc == SW_NOT_FOUND) {
		if (sw_config_bool(config, SW_OPT_JSON))
			print_no(&c, err);
		sw_cli_report(err);
		*ret_status = 3;
		return SW_OK;
	}
	if (rc == SW_OK)
		rc = read_measures(&c, err);
	if (rc != SW_OK)
		return rc;
	sw_plans_warn(&c);
	sw_plan_settings(&c.plan, &c.request, "seawall-fetch %f %p", &settings);
	if (sw_config_bool(config, SW_OPT_JSON))
		return print_json(&c, &settings, err);
	print_text(&c, &settings);
	return SW_OK;
}
