#include "catalog/plan.h"

#include <stdio.h>
#include <string.h>

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
	const struct sw_goal *goal = &plan->stop.goal;
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
	/* reading ahead asks for the segment behind the stop, too, and that answer would end recovery before it */
	if (plan->before_hole && plan->backup.major >= 15)
		set(s, "recovery_prefetch", "off");
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
