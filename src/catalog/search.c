#include "catalog/search.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/index.h"
#include "archive/walk.h"
#include "base/file.h"
#include "base/log.h"

#define NOWHERE UINT64_MAX

static const char too_much[] = "more happened in it than its summary can tell";

/* What happens on a line's way at a place: a backup begins, or a child leaves. */
struct event {
	sw_lsn lsn;
	const struct sw_inventory_backup *backup; /* or */
	struct line *child;
};

/* A stretch of WAL that a backup reaches without a gap. */
struct reach {
	sw_lsn from, to;
};

/* A timeline, and the resolver that follows it. */
struct line {
	uint32_t timeline;
	struct sw_timeline_history history;
	struct line *parent; /* NULL: it came from nowhere that is known */
	sw_lsn begin;        /* where it left its parent; 0: from the first */
	struct sw_deeds *deeds;
	struct event *events; /* by LSN */
	size_t event_count, event_at;
	struct reach *reaches;
	size_t reach_count;
	sw_lsn reach_from;   /* NOWHERE: no backup reaches the WAL that is fed now */
	bool begun;
	uint64_t next_segment; /* that would follow what was fed */
	sw_lsn fed;          /* all before it was fed, without a gap since */
	bool switched;       /* the last segment ends with a switch record */
	uint64_t xid_next;
	struct sw_search_range range;
	bool wanted;         /* by params.timeline */
};

struct run {
	const struct sw_search_params *params;
	struct sw_search *search;
	uint32_t segment_size;
	struct line *lines; /* by timeline */
	size_t line_count;
	struct line *line;  /* that is fed now */
	const struct line *asked; /* params.timeline; NULL: all */
	struct sw_ends ends;
	size_t *candidates; /* pieces that may hold params->xid */
	size_t candidate_count;
	uint64_t xid_min, xid_max; /* of what ended in the WAL that was looked at, where 64 bits are known; 0: none */
	uint64_t done, total;
};

void
sw_search_release(struct sw_search *search)
{
	for (size_t i = 0; i < search->place_count; i++)
		sw_ends_around_release(&search->places[i].around);
	for (size_t i = 0; i < search->gap_count; i++)
		free(search->gaps[i].reason);
	free(search->found);
	free(search->places);
	free(search->ranges);
	free(search->gaps);
	*search = (struct sw_search){0};
}

static void
run_release(struct run *run)
{
	for (size_t i = 0; i < run->line_count; i++) {
		struct line *line = &run->lines[i];

		sw_timeline_history_release(&line->history);
		sw_deeds_free(line->deeds);
		free(line->events);
		free(line->reaches);
	}
	free(run->lines);
	free(run->candidates);
	sw_ends_release(&run->ends);
}

/* Room for one more of `size` bytes; doubles.  NULL: no memory. */
static void *
grow(void *items, size_t count, size_t size)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return items;
	return reallocarray(items, count == 0 ? 1 : 2 * count, size);
}

/* --- lines ------------------------------------------------------------------------- */

static struct line *
find_line(const struct run *run, uint32_t timeline)
{
	for (size_t i = 0; i < run->line_count; i++)
		if (run->lines[i].timeline == timeline)
			return &run->lines[i];
	return NULL;
}

static bool
is_on(const struct line *line, uint32_t timeline, sw_lsn lsn)
{
	const struct sw_timeline_entry *e = sw_timeline_find(&line->history, timeline);

	return e != NULL && lsn >= e->begin && (e->end == 0 || lsn < e->end);
}

/* The place is on the line that is asked for. */
static bool
is_wanted(const struct run *run, uint32_t timeline, sw_lsn lsn)
{
	return run->asked == NULL || is_on(run->asked, timeline, lsn);
}

/* --- what is asked for ---------------------------------------------------------------- */

/* "database.schema.relation" or what is known of it; false: it is not known by name. */
static bool
names_of(const struct sw_deed *deed, char names[3][256])
{
	const char *database = deed->database_name, *relation = deed->relation_name;

	names[0][0] = names[1][0] = names[2][0] = '\0';
	if (deed->kind == SW_DEED_DATABASE_DROPPED)
		relation = database;
	if (relation == NULL) {
		if (database != NULL && deed->kind != SW_DEED_DATABASE_DROPPED)
			snprintf(names[0], 256, "%s/%u", database, deed->relation != 0 ? deed->relation : deed->filenode);
		return false;
	}
	snprintf(names[0], 256, "%s", relation);
	if (deed->schema_name != NULL)
		snprintf(names[1], 256, "%s.%s", deed->schema_name, relation);
	if (deed->schema_name != NULL && database != NULL)
		snprintf(names[2], 256, "%s.%s.%s", database, deed->schema_name, relation);
	return true;
}

bool
sw_search_matches(const char *pattern, const struct sw_deed *deed)
{
	char names[3][256];

	if (strcmp(pattern, "*") == 0)
		return true;
	(void)names_of(deed, names);
	for (size_t i = 0; i < 3; i++)
		if (names[i][0] != '\0' && fnmatch(pattern, names[i], 0) == 0)
			return true;
	return false;
}

static bool
is_in_time(const struct sw_search_params *p, int64_t time_us)
{
	return (p->since_us == 0 || time_us >= p->since_us) && (p->until_us == 0 || time_us <= p->until_us);
}

static bool
is_in_database(const struct sw_search_params *p, const struct sw_deed *deed)
{
	char oid[16];

	if (p->database == NULL)
		return true;
	snprintf(oid, sizeof(oid), "%u", deed->database);
	return (deed->database_name != NULL && strcmp(p->database, deed->database_name) == 0) ||
		(deed->database != 0 && strcmp(p->database, oid) == 0);
}

/* Is it in what is asked for?  Counts what a pattern keeps out for want of a name. */
static bool
is_asked(const struct run *run, const struct sw_deed *deed)
{
	const struct sw_search_params *p = run->params;
	char names[3][256];

	if ((p->kinds & deed->kind) == 0 || !is_in_time(p, deed->time_us) || !is_in_database(p, deed))
		return false;
	for (size_t i = 0; i < p->pattern_count; i++)
		if (sw_search_matches(p->patterns[i], deed))
			return true;
	if (p->pattern_count > 0 && (deed->name_unsure || !names_of(deed, names)))
		run->search->unnamed++;
	return p->pattern_count == 0;
}

static bool
is_asked_point(const struct run *run, const struct sw_wal_point *point)
{
	const struct sw_search_params *p = run->params;

	if (!p->points || !is_in_time(p, point->time_us))
		return false;
	for (size_t i = 0; i < p->pattern_count; i++)
		if (fnmatch(p->patterns[i], point->name, 0) == 0)
			return true;
	return p->pattern_count == 0;
}

/* --- what is found -------------------------------------------------------------------- */

static bool
wants_ends(const struct sw_search_params *p)
{
	return p->around || p->by_xid;
}

static sw_rc
add_found(struct run *run, const struct sw_search_found *found, struct sw_error *err)
{
	struct sw_search *s = run->search;
	struct sw_search_found *more;

	if (s->found_count == SW_SEARCH_FOUND_MAX) {
		sw_fail(err, SW_SYSTEM, "more than %d are found", SW_SEARCH_FOUND_MAX);
		return sw_hint(err, "ask for less, with --since, --until, --database or a pattern");
	}
	more = grow(s->found, s->found_count, sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	s->found = more;
	more[s->found_count++] = *found;
	return SW_OK;
}

static void
copy_name(char to[64], const char *from)
{
	snprintf(to, 64, "%s", from == NULL ? "" : from);
}

static sw_rc
on_deed(void *ctx, const struct sw_deed *deed, struct sw_error *err)
{
	struct run *run = ctx;
	struct sw_search_found found = {
		.deed = *deed, .timeline = deed->timeline, .lsn = deed->lsn, .time_us = deed->time_us,
	};

	if (!is_wanted(run, deed->timeline, deed->lsn))
		return SW_OK;
	found.asked = is_asked(run, deed);
	if (!found.asked && !wants_ends(run->params))
		return SW_OK;
	copy_name(found.database, deed->database_name);
	copy_name(found.schema, deed->schema_name);
	copy_name(found.relation, deed->relation_name);
	copy_name(found.former, deed->former_name);
	return add_found(run, &found, err);
}

/* The names' pointers, once nothing moves any more. */
static void
point_to_names(struct sw_search *s)
{
	for (size_t i = 0; i < s->found_count; i++) {
		struct sw_search_found *f = &s->found[i];

		f->deed.database_name = f->deed.database_name == NULL ? NULL : f->database;
		f->deed.schema_name = f->deed.schema_name == NULL ? NULL : f->schema;
		f->deed.relation_name = f->deed.relation_name == NULL ? NULL : f->relation;
		f->deed.former_name = f->deed.former_name == NULL ? NULL : f->former;
	}
}

static sw_rc
take_points(struct run *run, const struct sw_wal_digest *digest, uint32_t timeline, sw_lsn from, sw_lsn to,
	struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && run->params->points && run->line->wanted && i < digest->point_count; i++) {
		const struct sw_wal_point *p = &digest->points[i];
		struct sw_search_found found = {.point = *p, .timeline = timeline, .lsn = p->lsn, .time_us = p->time_us};

		if (p->lsn < from || p->lsn >= to || !is_wanted(run, timeline, p->lsn))
			continue;
		found.asked = is_asked_point(run, p);
		rc = add_found(run, &found, err);
	}
	return rc;
}

static sw_rc
add_gap(struct run *run, uint32_t timeline, uint64_t first, uint64_t last, const char *reason, struct sw_error *err)
{
	struct sw_search *s = run->search;
	struct sw_search_gap *more;
	char *copy = NULL;

	if (!run->line->wanted)
		return SW_OK;
	more = grow(s->gaps, s->gap_count, sizeof(*more));
	if (more != NULL)
		s->gaps = more;
	if (more == NULL || (reason != NULL && (copy = strdup(reason)) == NULL))
		return sw_fail(err, SW_SYSTEM, "out of memory");
	more[s->gap_count++] = (struct sw_search_gap){timeline, first, last, copy};
	return SW_OK;
}

/* --- what backups reach ---------------------------------------------------------------- */

static sw_rc
end_reach(struct line *line, sw_lsn to, struct sw_error *err)
{
	struct reach *more;

	if (line->reach_from == NOWHERE || line->reach_from > to) {
		line->reach_from = NOWHERE;
		return SW_OK;
	}
	more = grow(line->reaches, line->reach_count, sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	line->reaches = more;
	more[line->reach_count++] = (struct reach){line->reach_from, to};
	line->reach_from = NOWHERE;
	return SW_OK;
}

/* Is there WAL of the timeline on the way?  Recovery that stopped before it had left its parent leaves an empty entry. */
static bool
leads_through(const struct line *line, uint32_t timeline)
{
	const struct sw_timeline_entry *e = sw_timeline_find(&line->history, timeline);

	return e != NULL && (e->end == 0 || e->end > e->begin);
}

/* What the restore of a target follows by itself is the latest timeline; where there are branches, it is better said. */
static struct sw_search_way
way_to(const struct run *run, uint32_t timeline, sw_lsn lsn)
{
	const struct line *latest = &run->lines[run->line_count - 1], *line = find_line(run, timeline);
	struct sw_search_way way = {0};

	for (size_t i = 0; line != NULL && i < line->reach_count; i++)
		way.reachable |= lsn >= line->reaches[i].from && lsn <= line->reaches[i].to;
	if (!is_on(latest, timeline, lsn)) {
		way.timeline = timeline;
		return way;
	}
	for (size_t i = 0; i < run->line_count; i++)
		if (!leads_through(latest, run->lines[i].timeline))
			way.timeline = latest->timeline;
	return way;
}

/* --- feeding --------------------------------------------------------------------------- */

static sw_rc
feed(struct run *run, const struct sw_wal_digest *digest, sw_lsn from, sw_lsn to, struct sw_error *err)
{
	struct line *line = run->line;
	sw_rc rc = SW_OK;

	if (from < line->begin)
		from = line->begin;
	if (line->deeds != NULL)
		rc = sw_deeds_feed(line->deeds, digest, line->timeline, from, to, err);
	if (digest->xid_full && digest->xid_next != 0)
		line->xid_next = digest->xid_next;
	return rc == SW_OK ? take_points(run, digest, line->timeline, from, to, err) : rc;
}

static sw_rc
break_line(struct run *run, struct sw_error *err)
{
	if (run->line->deeds != NULL)
		sw_deeds_gap(run->line->deeds);
	return end_reach(run->line, run->line->fed, err);
}

/* A backup whose list is damaged costs names only. */
static sw_rc
learn(struct line *line, const struct sw_search_params *p, const char *label, bool later, struct sw_error *err)
{
	sw_rc rc = line->deeds == NULL ? SW_OK : sw_deeds_learn(line->deeds, p->repo, label, later, err);

	if (rc != SW_CORRUPT && rc != SW_CONFIG)
		return rc;
	sw_log(SW_LOG_WARNING, "backup %s does not tell the names of relations: %s", label, err->text);
	return SW_OK;
}

/* The record across a border, from the WAL itself. */
struct crossing {
	struct run *run;
	sw_lsn border, to;
	bool fed, truncated; /* truncated: even its own digest does not tell all */
};

static sw_rc
feed_crossing(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct crossing *c = ctx;
	struct sw_wal_digest digest = {0};
	sw_rc rc;

	(void)event;
	if (record->lsn >= c->border)
		return SW_CONFLICT;
	if (record->end <= c->border)
		return SW_OK;
	rc = sw_wal_digest_record(record, c->run->params->repo->reg.block_size, c->run->line->xid_next, &digest, err);
	if (rc == SW_OK)
		rc = feed(c->run, &digest, 0, c->to, err);
	c->fed = rc == SW_OK;
	c->truncated = digest.truncated;
	sw_wal_digest_release(&digest);
	return rc == SW_OK ? SW_CONFLICT : rc;
}

struct child_copy {
	struct run *run;
	sw_lsn from, to;
	bool fed;
};

static sw_rc
feed_child_copy(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct child_copy *c = ctx;
	sw_rc rc;

	if (item->boundary || item->digest == NULL)
		return SW_OK;
	rc = feed(c->run, item->digest, c->from, c->to, err);
	c->fed = rc == SW_OK && item->digest->valid_to >= c->to;
	return rc;
}

/* The end of a parent whose last segment was never archived whole is in its child's first one. */
static sw_rc
feed_from_child(struct run *run, const struct line *child, struct sw_error *err)
{
	struct line *line = run->line;
	uint64_t segment = child->begin / run->segment_size;
	struct sw_index_range range = {segment, segment};
	struct child_copy copy = {.run = run, .from = line->fed, .to = child->begin};
	struct sw_index_params params = {
		.repo = run->params->repo, .timeline = child->timeline, .ranges = &range, .range_count = 1,
		.detail = run->params->kinds == 0 && !wants_ends(run->params) ? SW_INDEX_BRIEF : SW_INDEX_FULL, .workers = 1,
	};
	struct crossing crossing = {.run = run, .border = segment * run->segment_size, .to = child->begin};
	struct sw_walk_span spans[] = {{line->timeline, segment - 1, segment - 1}, {child->timeline, segment, segment}};
	struct sw_walk_result ignored;
	sw_rc rc = SW_OK;

	if (sw_ends_source(run->params->inventory, &child->history, segment, run->segment_size) != child->timeline)
		return SW_OK;
	if (line->fed == crossing.border && line->begun && !line->switched && line->deeds != NULL)
		rc = sw_walk(run->params->repo, spans, 2, feed_crossing, &crossing, &ignored, err);
	if (rc == SW_OK)
		rc = sw_index_walk(&params, feed_child_copy, &copy, err);
	if (rc == SW_NOT_FOUND || rc == SW_CORRUPT)
		return add_gap(run, child->timeline, segment, segment, err->text, err);
	if (rc == SW_OK && copy.fed)
		line->fed = child->begin;
	return rc;
}

/* The child goes on with what the parent knows here. */
static sw_rc
leave(struct run *run, struct line *child, struct sw_error *err)
{
	struct line *line = run->line;
	uint64_t segment = child->begin / run->segment_size;
	sw_rc rc = SW_OK;

	if (line->begun && line->fed < child->begin && line->fed >= segment * run->segment_size)
		rc = feed_from_child(run, child, err);
	if (rc == SW_OK && line->deeds != NULL && child->wanted)
		rc = sw_deeds_fork(line->deeds, &child->deeds, err);
	if (rc != SW_OK)
		return rc;
	child->xid_next = line->xid_next;
	if (line->begun && line->fed >= child->begin)
		child->reach_from = line->reach_from;
	else if (child->deeds != NULL)
		sw_deeds_gap(child->deeds);
	return SW_OK;
}

/* missed: the segment that it lies in is missing. */
static sw_rc
happen(struct run *run, const struct event *event, bool missed, struct sw_error *err)
{
	if (event->child != NULL)
		return leave(run, event->child, err);
	if (run->line->reach_from == NOWHERE && !missed)
		run->line->reach_from = event->backup->header.stop;
	return learn(run->line, run->params, event->backup->label, false, err);
}

/* What happens before the digest ends; what it tells is fed piece by piece. */
static sw_rc
feed_between(struct run *run, const struct sw_wal_digest *digest, sw_lsn start, sw_lsn end, struct sw_error *err)
{
	struct line *line = run->line;
	sw_lsn at = 0;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && line->event_at < line->event_count && line->events[line->event_at].lsn < end) {
		const struct event *event = &line->events[line->event_at++];

		if (event->lsn > start && event->lsn > at && digest != NULL) {
			rc = feed(run, digest, at, event->lsn, err);
			at = event->lsn;
			line->fed = digest->valid_to < event->lsn ? digest->valid_to : event->lsn;
		}
		if (rc == SW_OK)
			rc = happen(run, event, start != NOWHERE && event->lsn < start, err);
	}
	return rc == SW_OK && digest != NULL ? feed(run, digest, at, UINT64_MAX, err) : rc;
}

/* --- one timeline ----------------------------------------------------------------------- */

static sw_rc
note_ends(struct run *run, const struct sw_index_item *item, struct sw_error *err)
{
	size_t before = run->ends.count, *more;
	sw_rc rc;

	if (!wants_ends(run->params) || !run->line->wanted)
		return SW_OK;
	rc = sw_ends_add(&run->ends, item, err);
	if (rc != SW_OK || run->ends.count == before || !run->params->by_xid ||
		!sw_ends_may_hold(item->digest, run->params->xid))
		return rc;
	more = grow(run->candidates, run->candidate_count, sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	run->candidates = more;
	more[run->candidate_count++] = before;
	return SW_OK;
}

static void
note_time(struct line *line, const struct sw_wal_digest *digest)
{
	const struct sw_wal_moment *a = &digest->earliest, *b = &digest->latest;

	if (a->lsn != 0 && (line->range.first_us == 0 || a->time_us < line->range.first_us))
		line->range.first_us = a->time_us;
	if (b->lsn != 0 && b->time_us > line->range.last_us)
		line->range.last_us = b->time_us;
}

/* Is what was fed the WAL right before this segment? */
static sw_rc
join(struct run *run, const struct sw_index_item *item, struct sw_error *err)
{
	struct line *line = run->line;
	sw_lsn start = item->first * (sw_lsn)run->segment_size;
	uint64_t due = line->begun ? line->next_segment : line->begin / run->segment_size;
	sw_rc rc = SW_OK;

	if ((line->begun || line->parent != NULL) && due < item->first) {
		rc = break_line(run, err);
		if (rc == SW_OK)
			rc = add_gap(run, line->timeline, due, item->first - 1, NULL, err);
	} else if (line->begun && line->fed < start) {
		rc = break_line(run, err);
	}
	return rc;
}

static sw_rc
take_segment(struct run *run, const struct sw_index_item *item, struct sw_error *err)
{
	struct line *line = run->line;
	const struct sw_wal_digest *d = item->digest;
	sw_lsn start = item->first * (sw_lsn)run->segment_size, end = (item->last + 1) * (sw_lsn)run->segment_size;
	sw_rc rc = join(run, item, err);

	if (rc == SW_OK && item->problem != NULL)
		rc = add_gap(run, line->timeline, item->first, item->last, item->problem, err);
	/* without a digest a child that leaves here may have the WAL up to there */
	if (rc == SW_OK && item->problem != NULL && d != NULL) {
		line->fed = start;
		rc = break_line(run, err);
	}
	if (rc != SW_OK)
		return rc;
	line->begun = true;
	line->fed = start > line->begin ? start : line->begin;
	rc = feed_between(run, d, start, end, err);
	if (rc == SW_OK && d == NULL)
		rc = break_line(run, err);
	line->next_segment = item->last + 1;
	line->switched = d != NULL && d->switched;
	line->fed = d == NULL ? start : d->verdict == SW_WAL_COMPLETE ? end : d->valid_to;
	if (rc == SW_OK && d != NULL && d->truncated)
		rc = add_gap(run, line->timeline, item->first, item->last, too_much, err);
	return rc;
}

/* A record that is longer than what summaries keep of it, as the COMMIT of a DROP SCHEMA may be. */
static sw_rc
feed_long_record(struct run *run, const struct sw_index_item *item, struct sw_error *err)
{
	struct crossing c = {.run = run, .border = (item->first + 1) * (sw_lsn)run->segment_size, .to = UINT64_MAX};
	struct sw_walk_span span = {item->timeline, item->first, item->last};
	struct sw_walk_result ignored;
	sw_rc rc = sw_walk(run->params->repo, &span, 1, feed_crossing, &c, &ignored, err);

	if (rc != SW_OK && rc != SW_NOT_FOUND && rc != SW_CORRUPT)
		return rc;
	rc = c.fed ? SW_OK : feed(run, item->digest, 0, UINT64_MAX, err);
	return rc == SW_OK && (c.truncated || !c.fed) ? add_gap(run, item->timeline, item->first, item->last, too_much, err) : rc;
}

/* Numbers of transactions that may be those of others, too: 32 bits may have begun again. */
static void
note_xids(struct run *run, const struct sw_wal_digest *digest)
{
	if (!digest->xid_full || digest->xid_max == 0)
		return;
	if (run->xid_min == 0 || digest->xid_min < run->xid_min)
		run->xid_min = digest->xid_min;
	if (digest->xid_max > run->xid_max)
		run->xid_max = digest->xid_max;
}

static sw_rc
on_item(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct run *run = ctx;
	sw_rc rc;

	if (item->digest != NULL) {
		note_time(run->line, item->digest);
		note_xids(run, item->digest);
		rc = note_ends(run, item, err);
		if (rc != SW_OK)
			return rc;
	}
	if (!item->boundary)
		return take_segment(run, item, err);
	if (item->digest == NULL)
		return item->problem == NULL ? SW_OK : add_gap(run, item->timeline, item->first, item->last, item->problem, err);
	if (item->digest->truncated && run->line->deeds != NULL)
		return feed_long_record(run, item, err);
	return feed(run, item->digest, 0, UINT64_MAX, err);
}

static void
show_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct run *run = ctx;

	(void)total;
	run->params->tick(run->params->tick_ctx, run->done + done, run->total);
}

static sw_rc
walk_line(struct run *run, struct line *line, struct sw_error *err)
{
	const struct sw_inventory *inventory = run->params->inventory;
	SW_AUTO_FREE struct sw_index_range *ranges = calloc(inventory->range_count + 1, sizeof(*ranges));
	struct sw_index_params params = {
		.repo = run->params->repo, .timeline = line->timeline, .ranges = ranges,
		.detail = run->params->kinds == 0 && !wants_ends(run->params) ? SW_INDEX_BRIEF : SW_INDEX_FULL,
		.workers = run->params->workers, .fold = true,
		.tick = run->params->tick == NULL ? NULL : show_progress, .tick_ctx = run,
	};
	uint64_t count = 0;
	sw_rc rc = SW_OK;

	if (ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < inventory->range_count; i++) {
		const struct sw_inventory_range *r = &inventory->ranges[i];

		if (r->timeline != line->timeline)
			continue;
		ranges[params.range_count++] = (struct sw_index_range){r->first, r->last};
		count += r->last - r->first + 1;
	}
	run->line = line;
	if (params.range_count > 0) {
		line->range.first = ranges[0].first;
		line->range.last = ranges[params.range_count - 1].last;
		rc = sw_index_walk(&params, on_item, run, err);
	}
	/* what happens behind the last segment, and the end of its WAL, if only a child has it */
	if (rc == SW_OK)
		rc = feed_between(run, NULL, NOWHERE, NOWHERE, err);
	if (rc == SW_OK)
		rc = end_reach(line, line->fed, err);
	sw_deeds_free(line->deeds);
	line->deeds = NULL;
	run->done += count;
	return rc;
}

/* --- all timelines ------------------------------------------------------------------------ */

static int
compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
compare_events(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	/* a backup that begins where a child leaves is the child's parent's */
	return (x->child != NULL) - (y->child != NULL);
}

static sw_rc
add_event(struct line *line, struct event event, struct sw_error *err)
{
	struct event *more = grow(line->events, line->event_count, sizeof(*more));

	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	line->events = more;
	more[line->event_count++] = event;
	return SW_OK;
}

/* One for each timeline that there is anything of. */
static sw_rc
list_lines(struct run *run, struct sw_error *err)
{
	const struct sw_inventory *in = run->params->inventory;
	SW_AUTO_FREE uint32_t *numbers = calloc(in->range_count + in->history_count + 1, sizeof(*numbers));
	size_t count = 0, kept = 0;

	if (numbers == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < in->range_count; i++)
		if (count == 0 || numbers[count - 1] != in->ranges[i].timeline)
			numbers[count++] = in->ranges[i].timeline;
	for (size_t i = 0; i < in->history_count; i++)
		numbers[count++] = in->histories[i];
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || numbers[kept - 1] != numbers[i])
			numbers[kept++] = numbers[i];
	run->lines = calloc(kept + 1, sizeof(*run->lines));
	if (run->lines == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < kept; i++)
		run->lines[run->line_count++] = (struct line){
			.timeline = numbers[i], .reach_from = NOWHERE, .range = {.timeline = numbers[i]}, .wanted = true,
		};
	return SW_OK;
}

/* The nearest ancestor that has anything. */
static void
find_parent(struct run *run, struct line *line)
{
	const struct sw_timeline_history *h = &line->history;

	for (size_t i = h->count - 1; line->parent == NULL && i-- > 0;)
		if (h->entries[i].end > h->entries[i].begin)
			line->parent = find_line(run, h->entries[i].timeline);
	line->begin = h->entries[h->count - 1].begin;
}

static sw_rc
read_history(struct run *run, struct line *line, struct sw_error *err)
{
	sw_rc rc = sw_inventory_history(run->params->repo, line->timeline, &line->history, err);

	if (rc == SW_NOT_FOUND || rc == SW_CORRUPT) {
		sw_log(SW_LOG_WARNING, "where timeline %u comes from is not known: %s", line->timeline, err->text);
		rc = sw_timeline_history_parse(line->timeline, NULL, 0, &line->history, err);
	}
	if (rc == SW_OK)
		find_parent(run, line);
	return rc;
}

static sw_rc
choose_lines(struct run *run, struct sw_error *err)
{
	const struct line *asked = find_line(run, run->params->timeline);

	if (run->params->timeline == 0)
		return SW_OK;
	if (asked == NULL) {
		sw_fail(err, SW_CONFIG, "there is no timeline %u in %s", run->params->timeline,
			sw_store_url(run->params->repo->store));
		return sw_hint(err, "'seawall list' shows the timelines");
	}
	run->asked = asked;
	for (size_t i = 0; i < run->line_count; i++)
		run->lines[i].wanted = leads_through(asked, run->lines[i].timeline);
	return SW_OK;
}

static sw_rc
make_lines(struct run *run, struct sw_error *err)
{
	const struct sw_inventory *in = run->params->inventory;
	sw_rc rc = list_lines(run, err);

	for (size_t i = 0; rc == SW_OK && i < run->line_count; i++)
		rc = read_history(run, &run->lines[i], err);
	if (rc == SW_OK)
		rc = choose_lines(run, err);
	for (size_t i = 0; rc == SW_OK && i < run->line_count; i++)
		if (run->lines[i].parent != NULL)
			rc = add_event(run->lines[i].parent, (struct event){.lsn = run->lines[i].begin, .child = &run->lines[i]},
				err);
	for (size_t i = 0; rc == SW_OK && i < in->backup_count; i++) {
		const struct sw_inventory_backup *b = &in->backups[i];
		struct line *line = b->reason != NULL ? NULL : find_line(run, b->header.timeline);

		if (line != NULL)
			rc = add_event(line, (struct event){.lsn = b->header.start, .backup = b}, err);
	}
	for (size_t i = 0; i < run->line_count; i++)
		if (run->lines[i].event_count > 0)
			qsort(run->lines[i].events, run->lines[i].event_count, sizeof(struct event), compare_events);
	for (size_t i = 0; i < in->range_count; i++)
		if (run->lines != NULL && find_line(run, in->ranges[i].timeline)->wanted)
			run->total += in->ranges[i].last - in->ranges[i].first + 1;
	return rc;
}

/* What happened before the first backup has its names from there. */
static sw_rc
learn_first(struct run *run, struct line *line, struct sw_error *err)
{
	const struct sw_inventory *in = run->params->inventory;
	const struct sw_inventory_backup *first = NULL;

	for (size_t i = 0; i < in->backup_count; i++)
		if (in->backups[i].reason == NULL && (first == NULL || in->backups[i].header.start < first->header.start))
			first = &in->backups[i];
	return first == NULL ? SW_OK : learn(line, run->params, first->label, true, err);
}

static sw_rc
begin_line(struct run *run, struct line *line, struct sw_error *err)
{
	const unsigned all = SW_DEED_DROPPED | SW_DEED_TRUNCATED | SW_DEED_REWRITTEN | SW_DEED_DROPPED_OR_TRUNCATED |
		SW_DEED_MASS_CHANGE | SW_DEED_DATABASE_DROPPED | SW_DEED_TABLESPACE_DROPPED;
	struct sw_deeds_params params = {
		.kinds = wants_ends(run->params) ? all : run->params->kinds,
		.changes_min = run->params->changes_min,
		.each = on_deed,
		.ctx = run,
	};
	sw_rc rc;

	/* with a parent, it has left it with a resolver */
	if (line->deeds != NULL || params.kinds == 0)
		return SW_OK;
	rc = sw_deeds_new(&params, &line->deeds, err);
	return rc == SW_OK ? learn_first(run, line, err) : rc;
}

static sw_rc
walk_lines(struct run *run, struct sw_error *err)
{
	struct sw_search *s = run->search;
	sw_rc rc = SW_OK;

	s->ranges = calloc(run->line_count + 1, sizeof(*s->ranges));
	if (s->ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	/* a child's number is higher than its parent's */
	for (size_t i = 0; rc == SW_OK && i < run->line_count; i++) {
		struct line *line = &run->lines[i];

		if (!line->wanted)
			continue;
		rc = begin_line(run, line, err);
		if (rc == SW_OK)
			rc = walk_line(run, line, err);
		if (rc == SW_OK && line->begun)
			s->ranges[s->range_count++] = line->range;
	}
	return rc;
}

/* May another transaction that was looked at have the same 32 bits?  Then the number is no target. */
static bool
may_repeat(const struct run *run, uint64_t xid)
{
	return run->xid_max - run->xid_min > UINT32_MAX &&
		(xid - run->xid_min > UINT32_MAX || run->xid_max - xid > UINT32_MAX);
}

/* --- ends of transactions -------------------------------------------------------------------- */

static struct sw_search_place *
add_place(struct run *run, struct sw_error *err)
{
	struct sw_search *s = run->search;
	struct sw_search_place *more = grow(s->places, s->place_count, sizeof(*more));

	if (more == NULL) {
		sw_fail(err, SW_SYSTEM, "out of memory");
		return NULL;
	}
	s->places = more;
	more[s->place_count] = (struct sw_search_place){0};
	return &more[s->place_count++];
}

/* The end that a target at the place would be, or the last one before it. */
static const struct sw_end *
mark_of(const struct sw_search_place *p)
{
	if (p->around.behind_count > 0)
		return &p->around.behind[0];
	return p->around.before_count > 0 ? &p->around.before[p->around.before_count - 1] : NULL;
}

/* Is the place on the way of a line that was told? */
static bool
is_told(const struct run *run, const struct sw_end *mark)
{
	const struct sw_search *s = run->search;

	for (size_t i = 0; i + 1 < s->place_count; i++)
		if (is_on(find_line(run, s->places[i].timeline), mark->timeline, mark->lsn))
			return true;
	return false;
}

/* The latest timeline first; of the others what is on a way of their own. */
static sw_rc
find_around(struct run *run, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = run->line_count; rc == SW_OK && i-- > 0;) {
		const struct line *line = &run->lines[i];
		struct sw_search_place *place;
		const struct sw_end *mark;

		if (run->asked != NULL && line != run->asked)
			continue;
		place = add_place(run, err);
		if (place == NULL)
			return err->rc;
		place->timeline = line->timeline;
		rc = sw_ends_find_around(&run->ends, &line->history, run->params->around_us, NULL, run->params->neighbours,
			&place->around, err);
		mark = mark_of(place);
		if (mark == NULL || is_told(run, mark)) {
			sw_ends_around_release(&place->around);
			run->search->place_count--;
			continue;
		}
		place->way = way_to(run, mark->timeline, mark->lsn);
	}
	return rc;
}

static int
compare_hits(const void *a, const void *b)
{
	const struct sw_ends_hit *x = a, *y = b;

	if (x->end.timeline != y->end.timeline)
		return x->end.timeline < y->end.timeline ? -1 : 1;
	return (x->end.lsn > y->end.lsn) - (x->end.lsn < y->end.lsn);
}

/* A child's first segment begins with its parent's WAL. */
static size_t
sort_hits(struct run *run, struct sw_ends_hit *hits, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct line *line = find_line(run, hits[i].end.timeline);

		hits[i].end.timeline = sw_timeline_at(&line->history, hits[i].end.lsn);
	}
	qsort(hits, count, sizeof(*hits), compare_hits);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || compare_hits(&hits[kept - 1], &hits[i]) != 0)
			hits[kept++] = hits[i];
	return kept;
}

static sw_rc
place_hit(struct run *run, const struct sw_ends_hit *hits, size_t count, size_t i, struct sw_error *err)
{
	const struct sw_end *hit = &hits[i].end;
	struct sw_search_place *place = add_place(run, err);
	const struct line *line;

	if (place == NULL)
		return err->rc;
	place->hit = *hit;
	place->subtransaction = hits[i].subtransaction;
	place->way = way_to(run, hit->timeline, hit->lsn);
	line = place->way.timeline != 0 ? find_line(run, place->way.timeline) : &run->lines[run->line_count - 1];
	if (line == NULL)
		return sw_fail(err, SW_BUG, "a transaction's end on a timeline that is not known");
	place->timeline = line->timeline;
	place->repeated = may_repeat(run, hit->xid);
	for (size_t k = 0; k < count; k++)
		place->repeated |= k != i && (uint32_t)hits[k].end.xid == (uint32_t)hit->xid &&
			is_on(line, hits[k].end.timeline, hits[k].end.lsn);
	return sw_ends_find_around(&run->ends, &line->history, 0, hit, run->params->neighbours, &place->around, err);
}

static sw_rc
find_xid(struct run *run, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_ends_hit *hits = calloc(SW_ENDS_HITS_MAX, sizeof(*hits));
	size_t count = 0;
	sw_rc rc = SW_OK;

	if (hits == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; rc == SW_OK && i < run->candidate_count; i++) {
		const struct sw_ends_piece *piece = &run->ends.pieces[run->candidates[i]];

		rc = sw_ends_find_xid(&run->ends, piece, run->params->xid, hits, &count, err);
		if (rc != SW_NOT_FOUND && rc != SW_CORRUPT)
			continue;
		run->line = find_line(run, piece->timeline);
		rc = add_gap(run, piece->timeline, piece->segment, piece->segment, err->text, err);
	}
	count = sort_hits(run, hits, count);
	for (size_t i = 0; rc == SW_OK && i < count; i++)
		if (is_wanted(run, hits[i].end.timeline, hits[i].end.lsn))
			rc = place_hit(run, hits, count, i, err);
	return rc;
}

/* --- the whole --------------------------------------------------------------------------------- */

static int
compare_found(const void *a, const void *b)
{
	const struct sw_search_found *x = a, *y = b;

	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return (x->lsn > y->lsn) - (x->lsn < y->lsn);
}

static int
compare_point_names(const void *a, const void *b)
{
	return strcmp((*(struct sw_search_found *const *)a)->point.name, (*(struct sw_search_found *const *)b)->point.name);
}

static sw_rc
mark_repeated(struct sw_search *s, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_search_found **points = calloc(s->found_count + 1, sizeof(struct sw_search_found *));
	size_t count = 0;

	if (points == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < s->found_count; i++)
		if (s->found[i].deed.kind == 0)
			points[count++] = &s->found[i];
	qsort(points, count, sizeof(struct sw_search_found *), compare_point_names);
	for (size_t i = 1; i < count; i++)
		if (strcmp(points[i - 1]->point.name, points[i]->point.name) == 0)
			points[i - 1]->point_repeated = points[i]->point_repeated = true;
	return SW_OK;
}

static sw_rc
finish(struct run *run, struct sw_error *err)
{
	struct sw_search *s = run->search;
	size_t kept = 0;
	sw_rc rc = mark_repeated(s, err);

	for (size_t i = 0; i < s->found_count; i++)
		if (s->found[i].asked || s->found[i].deed.kind != 0)
			s->found[kept++] = s->found[i];
	s->found_count = kept;
	if (kept > 0)
		qsort(s->found, kept, sizeof(*s->found), compare_found);
	point_to_names(s);
	for (size_t i = 0; i < kept; i++) {
		struct sw_search_found *f = &s->found[i];

		f->deed.by_lsn |= may_repeat(run, f->deed.xid);
		f->way = way_to(run, f->timeline, f->deed.kind != 0 ? f->deed.target_lsn : f->lsn);
	}
	return rc;
}

sw_rc
sw_search_run(const struct sw_search_params *params, struct sw_search *ret_search, struct sw_error *err)
{
	__attribute__((cleanup(run_release))) struct run run = {
		.params = params, .search = ret_search, .segment_size = params->repo->reg.segment_size,
	};
	sw_rc rc;

	*ret_search = (struct sw_search){0};
	sw_ends_init(&run.ends, params->repo, params->inventory);
	rc = make_lines(&run, err);
	if (rc != SW_OK || run.line_count == 0)
		return rc;
	rc = walk_lines(&run, err);
	if (rc == SW_OK)
		rc = finish(&run, err);
	if (rc == SW_OK && params->around)
		rc = find_around(&run, err);
	if (rc == SW_OK && params->by_xid)
		rc = find_xid(&run, err);
	return rc;
}
