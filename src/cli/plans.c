#include "cli/plans.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/progress.h"

#define SYSTEMS_MAX 64

void
sw_plans_release(struct sw_plans *plans)
{
	sw_plan_release(&plans->plan);
	sw_inventory_release(&plans->inventory);
	sw_store_free(plans->store);
	*plans = (struct sw_plans){.request = plans->request};
}

sw_rc
sw_plans_request(const struct sw_config *config, struct sw_plan_request *ret_request, struct sw_error *err)
{
	struct sw_goal_words words = {
		.time = sw_config_string(config, SW_OPT_TARGET_TIME),
		.xid = sw_config_string(config, SW_OPT_TARGET_XID),
		.name = sw_config_string(config, SW_OPT_TARGET_NAME),
		.lsn = sw_config_string(config, SW_OPT_TARGET_LSN),
		.immediate = sw_config_bool(config, SW_OPT_TARGET_IMMEDIATE),
		.exclusive = sw_config_bool(config, SW_OPT_TARGET_EXCLUSIVE),
	};
	struct sw_plan_request request = {
		.backup = sw_config_string(config, SW_OPT_BACKUP),
		.timeline = sw_config_string(config, SW_OPT_TARGET_TIMELINE),
		.action = sw_config_string(config, SW_OPT_TARGET_ACTION),
		.standby = sw_config_bool(config, SW_OPT_STANDBY),
		.workers = (unsigned)sw_config_int(config, SW_OPT_WORKERS),
	};

	if (request.backup != NULL && !sw_label_ok(request.backup)) {
		sw_fail(err, SW_CONFIG, "--backup \"%s\" is no label", request.backup);
		return sw_hint(err, "'seawall list' shows the backups");
	}
	if (sw_config_need_repo(config, err) != SW_OK || sw_goal_parse(&words, &request.goal, err) != SW_OK)
		return err->rc;
	*ret_request = request;
	return SW_OK;
}

/* --- repository and plan ----------------------------------------------------------------- */

static bool
has_backup(const struct sw_inventory *inventory, const char *label)
{
	for (size_t i = 0; i < inventory->backup_count; i++)
		if (strcmp(inventory->backups[i].label, label) == 0)
			return true;
	return false;
}

/* The newest registration; with --backup the newest that has it. */
static sw_rc
open_system(const struct sw_config *config, struct sw_plans *c, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_registration *regs = calloc(SYSTEMS_MAX, sizeof(*regs));
	const char *cluster = sw_config_cluster(config), *label = c->request.backup;
	size_t count = 0;
	sw_rc rc;

	if (regs == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_repository_list(c->store, cluster, regs, SYSTEMS_MAX, &count, err);
	if (rc == SW_OK && count == 0) {
		sw_fail(err, SW_CONFIG, "cluster \"%s\" is not registered in %s", cluster, sw_store_url(c->store));
		return sw_hint(err, "name the cluster that was backed up with --cluster");
	}
	for (size_t i = count; rc == SW_OK && i-- > 0;) {
		sw_inventory_release(&c->inventory);
		rc = sw_repository_open(c->store, cluster, regs[i].system_identifier, &c->repo, err);
		if (rc == SW_OK)
			rc = sw_inventory_read_backups(&c->repo, &c->inventory, err);
		if (rc != SW_OK || label == NULL || has_backup(&c->inventory, label))
			break;
	}
	return rc;
}

struct reading {
	struct sw_progress progress;
	const struct sw_plans *plans;
};

/* In bytes of WAL, as all progress is. */
static void
show_reading(void *ctx, uint64_t done, uint64_t total)
{
	struct reading *reading = ctx;
	uint64_t size = reading->plans->repo.reg.segment_size;

	sw_progress_show(&reading->progress, done * size, total * size);
}

static sw_rc
plan_in(const struct sw_config *config, unsigned i, struct sw_plans *c, struct sw_error *err)
{
	sw_rc rc = sw_store_open(config, i, &c->store, err);

	if (rc == SW_OK)
		rc = open_system(config, c, err);
	/* only a plan may answer "no" */
	if (rc == SW_NOT_FOUND)
		return err->rc = SW_SYSTEM;
	if (rc == SW_OK)
		rc = sw_inventory_read_histories(&c->repo, &c->inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_gaps(&c->repo, &c->inventory, err);
	return rc == SW_OK ? sw_plan_make(&c->repo, &c->inventory, &c->request, &c->plan, err) : rc;
}

static sw_rc
make_anywhere(const struct sw_config *config, struct sw_plans *c, struct reading *reading, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(config);
	struct sw_error first = SW_ERROR_INIT;

	for (unsigned i = 0; i < count; i++) {
		if (plan_in(config, i, c, err) == SW_OK)
			return SW_OK;
		sw_plans_release(c);
		if (first.rc == SW_OK || (first.rc == SW_NOT_FOUND && err->rc != SW_NOT_FOUND))
			first = *err;
		sw_progress_end(&reading->progress);
		if (i + 1 < count)
			sw_log(SW_LOG_WARNING, "%s; trying the next repository", err->text);
	}
	*err = first;
	return first.rc;
}

sw_rc
sw_plans_make(const struct sw_config *config, struct sw_plans *c, struct sw_error *err)
{
	struct reading reading = {.plans = c};
	sw_rc rc;

	sw_progress_init(&reading.progress, config, "reading WAL");
	c->request.tick = show_reading;
	c->request.tick_ctx = &reading;
	rc = make_anywhere(config, c, &reading, err);
	sw_progress_end(&reading.progress);
	c->request.tick = NULL;
	return rc;
}

/* --- words ------------------------------------------------------------------------------- */

void
sw_plans_warn(const struct sw_plans *plans)
{
	for (size_t i = 0; i < plans->plan.remark_count; i++)
		sw_log(SW_LOG_WARNING, "%s", plans->plan.remarks[i]);
}

void
sw_plans_print_clean(const char *before, const char *text, const char *after)
{
	fputs(before, stdout);
	sw_cli_print_clean(text);
	fputs(after, stdout);
}

static void
print_moment(const char *what, const struct sw_wal_moment *m, const char *none)
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	if (m->lsn == 0)
		printf("  %s: %s\n", what, none);
	else
		printf("  %s: transaction %" PRIu32 ", %s, LSN %s\n", what, (uint32_t)m->xid, sw_goal_time(m->time_us, time),
			sw_lsn_format(m->lsn, lsn));
}

void
sw_plans_print_stop(const struct sw_plan *plan)
{
	char text[SW_PLAN_TEXT_LEN];

	if (!plan->exact) {
		printf("Where it stops is not known exactly: the WAL could not be read.\n");
		return;
	}
	sw_plans_print_clean("It stops ", sw_plan_stop_text(&plan->stop, text), ".\n");
	print_moment("last commit or abort that is recovered", &plan->stop.before, "none in the WAL that is read");
	if (plan->stop.kind != SW_STOP_END)
		print_moment("first that is not", &plan->stop.after, plan->stop.after_known ? "there is none" : "not known");
}

/* --- JSON ---------------------------------------------------------------------------------- */

static json_t *
moment_json(const struct sw_wal_moment *m)
{
	char time[SW_CLOCK_ISO_LEN], lsn[SW_LSN_LEN], full[24];
	json_t *object;

	if (m->lsn == 0)
		return json_null();
	object = json_pack("{s:I, s:s, s:s}", "xid", (json_int_t)(uint32_t)m->xid, "time", sw_clock_iso(m->time_us, time),
		"lsn", sw_lsn_format(m->lsn, lsn));
	snprintf(full, sizeof(full), "%" PRIu64, m->xid);
	if (m->xid_full)
		json_object_set_new(object, "full_xid", json_string(full));
	return object;
}

json_t *
sw_plans_stop_json(const struct sw_plan *plan)
{
	static const char *const kinds[] = {
		[SW_STOP_END] = "end", [SW_STOP_CONSISTENT] = "consistent", [SW_STOP_BEFORE_END] = "before transaction",
		[SW_STOP_AFTER_END] = "after transaction", [SW_STOP_AT_POINT] = "restore point",
		[SW_STOP_BEFORE_LSN] = "before LSN", [SW_STOP_AFTER_LSN] = "after LSN",
	};
	const struct sw_stop *stop = &plan->stop;
	char lsn[SW_LSN_LEN], end[SW_LSN_LEN], time[SW_CLOCK_ISO_LEN], text[SW_PLAN_TEXT_LEN];
	json_t *object;

	if (!plan->exact)
		return json_null();
	object = json_pack("{s:s, s:o, s:I, s:s, s:s, s:o, s:o, s:b}", "kind", kinds[stop->kind], "text",
		sw_json_text(sw_plan_stop_text(stop, text)), "timeline", (json_int_t)stop->timeline,
		"lsn", sw_lsn_format(stop->lsn, lsn), "end_lsn", sw_lsn_format(stop->end, end), "before", moment_json(&stop->before),
		"after", moment_json(&stop->after), "after_known", stop->after_known);
	if (stop->time_us != 0)
		json_object_set_new(object, "time", json_string(sw_clock_iso(stop->time_us, time)));
	if (stop->kind == SW_STOP_AT_POINT)
		json_object_set_new(object, "name", sw_json_text(stop->goal.name));
	if (stop->transaction) {
		json_object_set_new(object, "xid", json_integer((json_int_t)(uint32_t)stop->xid));
		json_object_set_new(object, "commit", json_boolean(stop->commit));
		json_object_set_new(object, "prepared", json_boolean(stop->prepared));
	}
	return object;
}

json_t *
sw_plans_remarks_json(const struct sw_plan *plan)
{
	json_t *remarks = json_array();

	for (size_t i = 0; i < plan->remark_count; i++)
		json_array_append_new(remarks, sw_json_text(plan->remarks[i]));
	return remarks;
}

json_t *
sw_plans_settings_json(const struct sw_plan_settings *settings)
{
	json_t *set = sw_json_object();

	for (size_t i = 0; i < settings->count; i++)
		json_object_set_new(set, settings->items[i].name, sw_json_text(settings->items[i].value));
	return set;
}
