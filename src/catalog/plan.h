/*
 * plan.h - what a restore needs, exact to the record: backup, timelines, segments that are proved to be there, the
 * record at which PostgreSQL will stop, and what it must be told.
 *
 * The WAL itself is asked: digests of segments, read from their objects and never from an index alone, and the records
 * of those that decide.
 */
#ifndef SW_CATALOG_PLAN_H
#define SW_CATALOG_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/walk.h"
#include "base/error.h"
#include "catalog/goal.h"
#include "catalog/inventory.h"
#include "catalog/stop.h"
#include "pg/conf.h"
#include "pg/timeline.h"

struct sw_plan_request {
	struct sw_goal goal;
	const char *backup;   /* label, or NULL: chosen by the goal */
	const char *timeline; /* "current", "latest", a number, or NULL: latest */
	const char *action;   /* pause, promote, shutdown */
	bool standby;
	unsigned workers;     /* that read WAL; 0: 4 */
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* segments; may be NULL */
	void *tick_ctx;
};

/* A time behind the last commit. */
enum sw_plan_idle {
	SW_PLAN_NOT_IDLE,
	SW_PLAN_IDLE_PROVED,  /* the WAL goes on to the target, and nothing was committed */
	SW_PLAN_IDLE_ASSUMED, /* the archive ends before the target */
};

struct sw_plan {
	struct sw_manifest_header backup;
	uint32_t timeline;   /* to follow */
	bool follow_latest;  /* a standby without a target follows whatever comes */
	struct sw_timeline_history history; /* of that timeline */
	struct sw_walk_span *spans; /* what recovery reads up to the stop, oldest first; all of it is there */
	size_t span_count;
	uint64_t first_segment, last_segment, segment_count;
	uint64_t wal_stored; /* bytes of their objects */
	struct sw_stop stop;
	bool before_hole;    /* WAL that is missing or damaged begins so near behind the stop that recovery might read ahead into it */
	bool exact;          /* false: WAL could not be read, and of `stop` only the goal holds; a remark says why */
	enum sw_plan_idle idle;
	struct sw_wal_moment last, sign; /* idle: the last commit or abort, and the latest time told behind it; lsn 0: none */
	bool subtransaction; /* the goal's xid is one of stop.xid's */
	sw_lsn within;       /* the goal's LSN is in the record that begins here; 0: it is not */
	char **remarks;      /* what the user should know */
	size_t remark_count;
};

/*
 * Plan.  inventory: with its backups and histories read; borrowed for the call.
 *
 * SW_OK; SW_NOT_FOUND: the answer is no, the error says why and its hint how to reach what is nearest;
 * SW_CONFIG: a label or timeline that is not there; SW_CORRUPT; what the store gives.
 * ret_plan: zeroed by this call, released by the caller in any case.
 */
sw_rc sw_plan_make(struct sw_repository *repo, const struct sw_inventory *inventory,
	const struct sw_plan_request *request, struct sw_plan *ret_plan, struct sw_error *err);
void sw_plan_release(struct sw_plan *plan);

/* "before the commit of transaction 905, 2026-11-20 13:32:00.250000+00, at LSN 0/3000060": for people.  Returns buf. */
#define SW_PLAN_TEXT_LEN 256
char *sw_plan_stop_text(const struct sw_stop *stop, char buf[SW_PLAN_TEXT_LEN]);

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
