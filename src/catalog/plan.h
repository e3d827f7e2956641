/*
 * plan.h - which backup, timeline and WAL a restore needs, and what PostgreSQL must be told.
 *
 * Made from listings: backups' headers, history files and names of segments.
 */
#ifndef SW_CATALOG_PLAN_H
#define SW_CATALOG_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/goal.h"
#include "catalog/inventory.h"
#include "pg/conf.h"
#include "pg/timeline.h"

struct sw_plan_request {
	struct sw_goal goal;
	const char *backup;   /* label, or NULL: chosen by the goal */
	const char *timeline; /* "current", "latest", a number, or NULL: latest */
	const char *action;   /* pause, promote, shutdown */
	bool standby;
};

/* Segments first … last are to be read from this timeline. */
struct sw_plan_span {
	uint32_t timeline;
	uint64_t first, last; /* last UINT64_MAX: as far as it goes; last < first: none */
};

#define SW_PLAN_HOLES_MAX 32 /* more are counted only */

struct sw_plan {
	struct sw_manifest_header backup;
	uint32_t timeline;   /* to follow */
	bool follow_latest;  /* a standby without a target follows whatever comes */
	struct sw_timeline_history history; /* of that timeline */
	struct sw_plan_span *spans; /* oldest first */
	size_t span_count;
	uint64_t first_segment, last_segment; /* that are there; last is the end of what can be reached */
	uint64_t segment_count;
	struct sw_inventory_range holes[SW_PLAN_HOLES_MAX]; /* between the two */
	size_t hole_count;
	uint64_t missing;    /* segments in all holes */
	char **remarks;      /* what the user should know */
	size_t remark_count;
};

/*
 * Plan.  inventory: with its backups and histories read; WAL is added to it.
 *
 * SW_OK; SW_NOT_FOUND: the answer is no, the error says why and names what can be reached;
 * SW_CONFIG: a label or timeline that is not there; SW_CORRUPT; what the store gives.
 * ret_plan: zeroed by this call, released by the caller in any case.
 */
sw_rc sw_plan_make(struct sw_repository *repo, struct sw_inventory *inventory,
	const struct sw_plan_request *request, struct sw_plan *ret_plan, struct sw_error *err);
void sw_plan_release(struct sw_plan *plan);

/*
 * The settings for postgresql.auto.conf, complete: every recovery_target that is not the one is set empty, and
 * stands before it: PostgreSQL applies them in order, and says "multiple recovery targets" the other way round.
 */
#define SW_PLAN_SETTINGS_MAX 16
struct sw_plan_settings {
	struct sw_conf_setting items[SW_PLAN_SETTINGS_MAX];
	size_t count;
	char value[SW_GOAL_NAME_MAX], timeline[16];
};
/* restore_command: borrowed by ret_settings. */
void sw_plan_settings(const struct sw_plan *plan, const struct sw_plan_request *request,
	const char *restore_command, struct sw_plan_settings *ret_settings);

/* One word of a shell command that ends up in restore_command: quoted where it must be, '%' doubled. */
sw_rc sw_plan_quote_word(struct sw_buf *buf, const char *word, struct sw_error *err);

#endif
