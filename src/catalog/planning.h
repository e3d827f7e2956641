/*
 * planning.h - a plan in the making: plan.c chooses, planning.c puts into words.
 */
#ifndef SW_CATALOG_PLANNING_H
#define SW_CATALOG_PLANNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog/path.h"
#include "catalog/plan.h"
#include "catalog/stop.h"

/* A backup, and the timeline that a recovery from it follows.  Candidates on one line share the pointer. */
struct sw_candidate {
	const struct sw_manifest_header *backup;
	const struct sw_timeline_history *history;
};

struct sw_planning_point {
	struct sw_wal_point point;
	uint32_t timeline;                /* that it lies on */
	const struct sw_candidate *line;  /* the oldest of those that reach it */
};

struct sw_planning {
	struct sw_repository *repo;
	const struct sw_inventory *inventory;
	const struct sw_plan_request *request;
	struct sw_goal goal;         /* as PostgreSQL will be told */
	struct sw_plan *plan;
	struct sw_lines lines;
	struct sw_timeline_history bare; /* of a timeline without a history file */
	struct sw_candidate *candidates; /* the newest first */
	size_t candidate_count;
	/* of the one that was looked at last */
	const struct sw_candidate *chosen;
	struct sw_path path;
	struct sw_stop_report report;
	sw_lsn archive_end;          /* idle: where the WAL ends, of which the report shows a part only */
	struct sw_candidate child;   /* chosen, where its line is not that of a candidate */
	/* a restore point's name */
	struct sw_planning_point points[SW_STOP_POINTS_MAX];
	size_t point_count;
	const struct sw_candidate *early; /* one of that name lies within this backup */
	char others[4][64];
};

void sw_planning_search(struct sw_planning *p, const struct sw_candidate *c, const struct sw_path *path, bool fresh,
	struct sw_stop_search *ret_search);

sw_rc sw_planning_remark(struct sw_planning *p, struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
sw_rc sw_planning_explain(struct sw_planning *p, struct sw_error *err);

/* All return SW_NOT_FOUND, or SW_SYSTEM, with the words. */
sw_rc sw_planning_refuse_incomplete(const struct sw_planning *p, struct sw_error *err); /* the backup's own WAL */
sw_rc sw_planning_refuse_end(const struct sw_planning *p, struct sw_error *err);    /* the WAL ends, has a hole or is damaged before it */
sw_rc sw_planning_refuse_unbegun(const struct sw_planning *p, struct sw_error *err); /* only the parent has the segment of the fork */
sw_rc sw_planning_refuse_early(const struct sw_planning *p, const struct sw_candidate *inside, struct sw_error *err);
sw_rc sw_planning_refuse_future(const struct sw_planning *p, struct sw_error *err);
sw_rc sw_planning_refuse_forked(const struct sw_planning *p, uint32_t child, sw_lsn fork, struct sw_error *err);
sw_rc sw_planning_refuse_xid(const struct sw_planning *p, uint32_t elsewhere, struct sw_error *err); /* a timeline that has it, or 0 */
sw_rc sw_planning_refuse_second_xid(const struct sw_planning *p, const struct sw_candidate *line, const struct sw_stop *first,
	const struct sw_stop *second, struct sw_error *err); /* two on the line with these 32 bits */
sw_rc sw_planning_refuse_name(const struct sw_planning *p, struct sw_error *err);

#endif
