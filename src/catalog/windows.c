#include "catalog/windows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/index.h"
#include "base/file.h"
#include "catalog/dropped.h"

#define NONE SIZE_MAX
#define DEPTH_MAX SW_TIMELINE_MAX

/* A timeline. */
struct line {
	uint32_t timeline, parent_id;
	struct line *parent; /* whose WAL goes on in it; NULL: not known, or nothing is known of it */
	sw_lsn fork;         /* 0: not known */
	char *problem;
	struct sw_wal_moment before; /* the fork */
	int64_t fork_us;
	size_t backup_begin, backup_end; /* in finder.backups */
	bool has_wal;
};

struct candidate {
	const struct sw_inventory_backup *backup;
	bool used;
};

/* Unbroken WAL of one line. */
struct stretch {
	struct line *line;
	uint64_t first, last; /* segments; `last` may be valid in part */
	uint64_t next;        /* behind the last whole one */
	uint64_t low;         /* from here on WAL is unbroken, on ancestors too */
	sw_lsn end;           /* how far it goes, be it by a child's copy */
	sw_lsn own_end, last_record;
	int64_t begin_us, end_us;
	size_t window;        /* in finder.reaches, or NONE */
	bool asked;           /* whether the parent's window opens it */
	bool borrowed;        /* all of it is a child's copy */
};

struct reach {
	struct sw_window w;
	const struct sw_inventory_backup *inherited; /* the newest before the fork that opened it */
	bool closed;
};

struct finder {
	struct sw_repository *repo;
	const struct sw_inventory *inventory;
	const struct sw_windows_params *params;
	struct sw_windows *out;
	uint64_t segment_size;
	struct line *lines; /* by timeline */
	size_t line_count;
	struct line **children; /* by parent and fork */
	size_t child_count;
	struct candidate *backups; /* by timeline and stop LSN; readable ones */
	size_t backup_count;
	struct stretch *stretches;
	size_t stretch_count;
	struct reach *reaches;
	size_t reach_count;
	uint64_t done, total; /* segments */
	/* of the line that is walked */
	struct line *line;
	size_t current;      /* stretch that goes on, or NONE */
	bool begun;
	uint64_t expected;   /* segment */
	bool early;          /* the segment before `expected` ended early */
	char early_reason[256];
	struct sw_wal_moment moment; /* the last one seen */
	int64_t sign_us;             /* the last sign of time */
	size_t waiting;      /* the first gap that no sign of time followed yet */
	size_t child, child_end;
	size_t backup;       /* the first whose stop was not reached yet */
};

void
sw_windows_release(struct sw_windows *windows)
{
	for (size_t i = 0; i < windows->window_count; i++)
		free(windows->windows[i].closed_by);
	for (size_t i = 0; i < windows->gap_count; i++)
		free(windows->gaps[i].reason);
	for (size_t i = 0; i < windows->fork_count; i++)
		free(windows->forks[i].problem);
	for (size_t i = 0; i < windows->idle_count; i++)
		free(windows->idle[i].reason);
	free(windows->windows);
	free(windows->wal);
	free(windows->gaps);
	free(windows->points);
	free(windows->forks);
	free(windows->idle);
	*windows = (struct sw_windows){0};
}

static void
finder_release(struct finder *f)
{
	for (size_t i = 0; i < f->line_count; i++)
		free(f->lines[i].problem);
	for (size_t i = 0; i < f->reach_count; i++)
		free(f->reaches[i].w.closed_by);
	free(f->lines);
	free(f->children);
	free(f->backups);
	free(f->stretches);
	free(f->reaches);
}

/* Room for one more; doubles. */
static sw_rc
grow(void *ret_items, size_t count, size_t size, struct sw_error *err)
{
	void *items;

	if (count != 0 && (count & (count - 1)) != 0)
		return SW_OK;
	memcpy(&items, ret_items, sizeof(items));
	items = realloc(items, (count == 0 ? 1 : 2 * count) * size);
	if (items == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu items of a catalog", count + 1);
	memcpy(ret_items, &items, sizeof(items));
	return SW_OK;
}

/* Words that may quote what a store holds, and go to terminals.  NULL: out of memory. */
static char *words(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
words(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return NULL;
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return text;
}

static char *
segment_name(const struct finder *f, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, f->repo->reg.segment_size, buf);
}

/* --- timelines --------------------------------------------------------------------- */

static int
compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return x->timeline < y->timeline ? -1 : x->timeline > y->timeline;
}

static struct line *
find_line(const struct finder *f, uint32_t timeline)
{
	struct line key = {.timeline = timeline};

	return f->line_count == 0 ? NULL :
		bsearch(&key, f->lines, f->line_count, sizeof(key), compare_lines);
}

static sw_rc
add_line(struct finder *f, uint32_t timeline, bool has_wal, struct sw_error *err)
{
	struct line *last = f->line_count == 0 ? NULL : &f->lines[f->line_count - 1];

	if (last != NULL && last->timeline == timeline) {
		last->has_wal = last->has_wal || has_wal;
		return SW_OK;
	}
	if (grow(&f->lines, f->line_count, sizeof(*f->lines), err) != SW_OK)
		return err->rc;
	f->lines[f->line_count++] = (struct line){.timeline = timeline, .has_wal = has_wal};
	return SW_OK;
}

/* Every timeline that has WAL, a history or a backup, once. */
static sw_rc
list_lines(struct finder *f, struct sw_error *err)
{
	const struct sw_inventory *inventory = f->inventory;
	sw_rc rc = SW_OK;
	size_t kept = 0;

	for (size_t i = 0; rc == SW_OK && i < inventory->range_count; i++)
		rc = add_line(f, inventory->ranges[i].timeline, true, err);
	for (size_t i = 0; rc == SW_OK && i < inventory->history_count; i++)
		rc = add_line(f, inventory->histories[i], false, err);
	for (size_t i = 0; rc == SW_OK && i < f->backup_count; i++)
		rc = add_line(f, f->backups[i].backup->header.timeline, false, err);
	if (rc != SW_OK || f->line_count == 0)
		return rc;
	qsort(f->lines, f->line_count, sizeof(*f->lines), compare_lines);
	for (size_t i = 1; i < f->line_count; i++) {
		if (f->lines[i].timeline != f->lines[kept].timeline)
			f->lines[++kept] = f->lines[i];
		else
			f->lines[kept].has_wal = f->lines[kept].has_wal || f->lines[i].has_wal;
	}
	f->line_count = kept + 1;
	return SW_OK;
}

/* An ancestor that begins and ends at one place has no WAL that counts: the one before it goes on. */
static void
take_parent(struct finder *f, struct line *line, const struct sw_timeline_history *history)
{
	size_t i = history->count - 1;

	line->fork = history->entries[i].begin;
	while (i-- > 0)
		if (history->entries[i].begin < line->fork) {
			line->parent_id = history->entries[i].timeline;
			line->parent = find_line(f, line->parent_id);
			return;
		}
}

static sw_rc
read_history(struct finder *f, struct line *line, struct sw_error *err)
{
	struct sw_timeline_history history;
	struct sw_error why = SW_ERROR_INIT;
	sw_rc rc;

	if (line->timeline == 1)
		return SW_OK;
	rc = sw_inventory_history(f->repo, line->timeline, &history, &why);
	if (rc == SW_OK) {
		take_parent(f, line, &history);
		sw_timeline_history_release(&history);
		return SW_OK;
	}
	if (rc == SW_NOT_FOUND)
		line->problem = words("%08X.history is not in the repository, so that nothing is known of where timeline "
			"%u comes from", line->timeline, line->timeline);
	else if (rc == SW_CORRUPT || rc == SW_CONFIG)
		line->problem = words("the history of timeline %u cannot be read: %s", line->timeline, why.text);
	else
		*err = why;
	if (rc == SW_NOT_FOUND || rc == SW_CORRUPT || rc == SW_CONFIG)
		return line->problem != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
	return rc;
}

static int
compare_children(const void *a, const void *b)
{
	const struct line *x = *(struct line *const *)a, *y = *(struct line *const *)b;

	if (x->parent != y->parent)
		return x->parent->timeline < y->parent->timeline ? -1 : 1;
	if (x->fork != y->fork)
		return x->fork < y->fork ? -1 : 1;
	return compare_lines(x, y);
}

static sw_rc
read_lines(struct finder *f, struct sw_error *err)
{
	sw_rc rc = list_lines(f, err);

	for (size_t i = 0; rc == SW_OK && i < f->line_count; i++)
		rc = read_history(f, &f->lines[i], err);
	if (rc != SW_OK)
		return rc;
	f->children = calloc(f->line_count + 1, sizeof(struct line *));
	if (f->children == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < f->line_count; i++)
		if (f->lines[i].parent != NULL)
			f->children[f->child_count++] = &f->lines[i];
	qsort(f->children, f->child_count, sizeof(struct line *), compare_children);
	for (size_t i = 0; i < f->backup_count; i++) {
		struct line *line = find_line(f, f->backups[i].backup->header.timeline);

		if (line->backup_end == 0)
			line->backup_begin = i;
		line->backup_end = i + 1;
	}
	return SW_OK;
}

/* The line that holds `lsn`, as the history of `line` has it. */
static struct line *
line_at(struct line *line, sw_lsn lsn)
{
	while (line->parent != NULL && lsn < line->fork)
		line = line->parent;
	return line;
}

static bool
any_ancestor_has_wal(const struct line *line)
{
	for (line = line->parent; line != NULL; line = line->parent)
		if (line->has_wal)
			return true;
	return false;
}

/* --- backups ----------------------------------------------------------------------- */

static int
compare_candidates(const void *a, const void *b)
{
	const struct sw_manifest_header *x = &((const struct candidate *)a)->backup->header,
		*y = &((const struct candidate *)b)->backup->header;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	if (x->stop != y->stop)
		return x->stop < y->stop ? -1 : 1;
	return x->finished_us < y->finished_us ? -1 : x->finished_us > y->finished_us;
}

static sw_rc
list_backups(struct finder *f, struct sw_error *err)
{
	const struct sw_inventory *inventory = f->inventory;

	f->backups = calloc(inventory->backup_count + 1, sizeof(*f->backups));
	if (f->backups == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < inventory->backup_count; i++)
		if (inventory->backups[i].reason == NULL)
			f->backups[f->backup_count++].backup = &inventory->backups[i];
	qsort(f->backups, f->backup_count, sizeof(*f->backups), compare_candidates);
	return SW_OK;
}

/* The newest backup of a window that ends at `lsn` or before. */
static const struct sw_inventory_backup *
newest(const struct finder *f, const struct stretch *st, sw_lsn lsn)
{
	const struct reach *reach = &f->reaches[st->window];
	const struct sw_inventory_backup *found = reach->inherited;

	for (size_t i = st->line->backup_begin; i < st->line->backup_end; i++) {
		const struct sw_manifest_header *h = &f->backups[i].backup->header;

		if (f->backups[i].used && h->stop >= reach->w.begin && h->stop <= lsn)
			found = f->backups[i].backup;
	}
	return found;
}

/* --- windows ----------------------------------------------------------------------- */

/* The last commit or abort of a digest within [from, to), as far as it tells. */
static struct sw_wal_moment
last_moment(const struct sw_wal_digest *d, sw_lsn from, sw_lsn to)
{
	const struct sw_wal_moment *const moments[] = {&d->first_end, &d->earliest, &d->latest, &d->last_end};
	struct sw_wal_moment last = {0};

	for (size_t i = 0; i < 4; i++)
		if (moments[i]->lsn != 0 && moments[i]->lsn >= from && moments[i]->lsn < to && moments[i]->lsn > last.lsn)
			last = *moments[i];
	return last;
}

static sw_rc
open_window(struct finder *f, struct stretch *st, const struct sw_window *window,
	const struct sw_inventory_backup *inherited, struct sw_error *err)
{
	if (grow(&f->reaches, f->reach_count, sizeof(*f->reaches), err) != SW_OK)
		return err->rc;
	f->reaches[f->reach_count] = (struct reach){.w = *window, .inherited = inherited};
	f->reaches[f->reach_count].w.timeline = st->line->timeline;
	f->reaches[f->reach_count].w.end = window->begin;
	st->window = f->reach_count++;
	return SW_OK;
}

/*
 * Backups from *at on whose stop lies in the stretch, as far as it goes: the first one opens its window, the others
 * are the newer ones in it.  Not those whose own WAL began before the stretch.
 */
static sw_rc
adopt_backups(struct finder *f, struct stretch *st, size_t *at, struct sw_error *err)
{
	for (; *at < st->line->backup_end; (*at)++) {
		struct candidate *c = &f->backups[*at];
		const struct sw_manifest_header *h = &c->backup->header;
		struct sw_window window = {.begin = h->stop, .begin_us = h->finished_us, .first_backup = c->backup};

		if (h->stop > st->end)
			break;
		if (c->used || h->start / f->segment_size < st->low || h->stop / f->segment_size < st->first ||
			h->stop < h->start || h->stop < st->line->fork)
			continue;
		if (st->window == NONE && open_window(f, st, &window, NULL, err) != SW_OK)
			return err->rc;
		/* what was opened by a backup behind this place is no window of this one */
		if (h->stop < f->reaches[st->window].w.begin)
			continue;
		f->reaches[st->window].w.last_backup = c->backup;
		c->used = true;
	}
	return SW_OK;
}

static sw_rc reach_to(struct finder *f, struct line *line, sw_lsn lsn, const struct sw_wal_digest *digest, unsigned depth,
	size_t *ret_stretch, struct sw_error *err);

/* The window of a stretch that begins with its line, if the parent's window reaches the fork. */
static sw_rc
open_by_fork(struct finder *f, size_t i, const struct sw_wal_digest *digest, unsigned depth, struct sw_error *err)
{
	struct line *line = f->stretches[i].line;
	struct sw_window window = {.begin = line->fork};
	const struct stretch *from;
	const struct reach *parent;
	size_t found = NONE;
	sw_rc rc;

	if (f->stretches[i].asked || line->parent == NULL || f->stretches[i].first > line->fork / f->segment_size)
		return SW_OK;
	f->stretches[i].asked = true;
	rc = reach_to(f, line->parent, line->fork, digest, depth + 1, &found, err);
	if (rc != SW_OK || found == NONE)
		return rc;
	from = &f->stretches[found];
	parent = &f->reaches[from->window];
	window.first_backup = parent->w.first_backup;
	window.last_backup = newest(f, from, line->fork);
	window.begin_us = line->before.lsn >= parent->w.begin ? line->before.time_us : parent->w.begin_us;
	return open_window(f, &f->stretches[i], &window, window.last_backup, err);
}

/* From which segment on WAL is unbroken up to `segment`, which is at hand. */
static uint64_t
chain_low(const struct finder *f, const struct line *line, uint64_t segment)
{
	while (line != NULL) {
		uint64_t low = segment;

		for (size_t i = 0; i < f->stretch_count; i++) {
			const struct stretch *st = &f->stretches[i];

			if (st->line == line && st->first < low && st->next >= segment)
				low = st->first;
		}
		segment = low;
		if (line->parent == NULL || segment > line->fork / f->segment_size)
			return segment;
		segment = line->fork / f->segment_size;
		line = line->parent;
	}
	return segment;
}

static sw_rc
add_stretch(struct finder *f, struct line *line, uint64_t first, size_t *ret_stretch, struct sw_error *err)
{
	uint64_t fork_segment = line->fork / f->segment_size;
	struct stretch st = {.line = line, .first = first, .last = first, .next = first, .low = first,
		.end = first * f->segment_size, .own_end = first * f->segment_size, .window = NONE};

	if (line->parent != NULL && first <= fork_segment)
		st.low = chain_low(f, line->parent, fork_segment);
	if (grow(&f->stretches, f->stretch_count, sizeof(*f->stretches), err) != SW_OK)
		return err->rc;
	*ret_stretch = f->stretch_count;
	f->stretches[f->stretch_count++] = st;
	return SW_OK;
}

/* The stretch of a line that goes on to `segment`, best with a window before lsn; NONE. */
static size_t
stretch_up_to(const struct finder *f, const struct line *line, sw_lsn lsn)
{
	uint64_t segment = lsn / f->segment_size;
	size_t found = NONE;

	for (size_t i = 0; i < f->stretch_count; i++) {
		const struct stretch *st = &f->stretches[i];

		if (st->line != line || st->first > segment || st->next < segment)
			continue;
		if (st->window != NONE && f->reaches[st->window].w.begin <= lsn)
			return i;
		if (found == NONE)
			found = i;
	}
	return found;
}

/*
 * The stretch whose window of `line` holds lsn, where a child leaves it whose copy of the segment is at hand: it goes
 * on to there, whatever the line itself has of that segment.  *ret_stretch is left alone if no window reaches there.
 */
static sw_rc
reach_to(struct finder *f, struct line *line, sw_lsn lsn, const struct sw_wal_digest *digest, unsigned depth,
	size_t *ret_stretch, struct sw_error *err)
{
	size_t i = stretch_up_to(f, line, lsn), at = line->backup_begin;
	struct sw_wal_moment moment;
	struct sw_window *w;
	sw_rc rc = SW_OK;

	if (depth > DEPTH_MAX || lsn < line->fork)
		return SW_OK;
	if (i == NONE) {
		rc = add_stretch(f, line, lsn / f->segment_size, &i, err);
		if (rc != SW_OK)
			return rc;
		f->stretches[i].borrowed = true;
	}
	if (f->stretches[i].end < lsn) {
		f->stretches[i].end = lsn;
		if (f->stretches[i].window == NONE)
			rc = open_by_fork(f, i, digest, depth, err);
		if (rc == SW_OK)
			rc = adopt_backups(f, &f->stretches[i], &at, err);
		if (rc == SW_OK && f->stretches[i].window != NONE && f->reaches[f->stretches[i].window].w.end < lsn) {
			w = &f->reaches[f->stretches[i].window].w;
			w->end = lsn;
			moment = last_moment(digest, w->begin, lsn);
			if (moment.lsn > w->last.lsn) {
				w->last = moment;
				w->end_us = moment.time_us;
			}
		}
	}
	if (rc == SW_OK && f->stretches[i].window != NONE && f->reaches[f->stretches[i].window].w.begin <= lsn)
		*ret_stretch = i;
	return rc;
}

/* --- gaps -------------------------------------------------------------------------- */

static char *
gap_words(const struct finder *f, uint32_t timeline, uint64_t first, uint64_t last, const char *reason)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];

	segment_name(f, timeline, first, a);
	segment_name(f, timeline, last, b);
	if (reason != NULL)
		return words("%s: %s", a, reason);
	sw_dropped_text(f->inventory, timeline, first, last, why);
	return first == last ? words("%s is missing%s%s", a, why[0] != '\0' ? ": " : "", why) :
		words("%s to %s are missing%s%s", a, b, why[0] != '\0' ? ": " : "", why);
}

/* reason: NULL for segments that are missing. */
static sw_rc
add_gap(struct finder *f, uint32_t timeline, uint64_t first, uint64_t last, const char *reason, struct sw_error *err)
{
	struct sw_windows *out = f->out;
	struct sw_window_gap gap = {.timeline = timeline, .first = first, .last = last, .begin_us = f->sign_us};

	if (out->gap_count >= SW_WINDOWS_GAPS_MAX)
		return sw_fail(err, SW_SYSTEM, "more than %d gaps in the WAL", SW_WINDOWS_GAPS_MAX);
	if (grow(&out->gaps, out->gap_count, sizeof(*out->gaps), err) != SW_OK)
		return err->rc;
	if (reason != NULL && (gap.reason = words("%s", reason)) == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (reason == NULL)
		gap.dropped = sw_dropped_count(f->inventory, timeline, first, last, &gap.dropped_us);
	out->gaps[out->gap_count++] = gap;
	return SW_OK;
}

static sw_rc
close_window(struct finder *f, size_t stretch, uint64_t first, uint64_t last, const char *reason, struct sw_error *err)
{
	struct reach *reach;

	if (stretch == NONE || f->stretches[stretch].window == NONE)
		return SW_OK;
	reach = &f->reaches[f->stretches[stretch].window];
	if (reach->closed)
		return SW_OK;
	reach->closed = true;
	reach->w.closed_by = gap_words(f, reach->w.timeline, first, last, reason);
	return reach->w.closed_by != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

/* Here the stretch that goes on ends. */
static sw_rc
end_by_gap(struct finder *f, uint64_t first, uint64_t last, const char *reason, struct sw_error *err)
{
	sw_rc rc = add_gap(f, f->line->timeline, first, last, reason, err);

	if (rc == SW_OK)
		rc = close_window(f, f->current, first, last, reason, err);
	f->current = NONE;
	f->early = false;
	return rc;
}

/* --- the walk along one timeline --------------------------------------------------- */

static sw_rc
add_points(struct finder *f, const struct sw_wal_digest *d, struct sw_error *err)
{
	struct sw_windows *out = f->out;

	for (size_t i = 0; i < d->point_count; i++) {
		if (out->point_count >= SW_WINDOWS_POINTS_MAX) {
			out->points_cut = true;
			return SW_OK;
		}
		if (grow(&out->points, out->point_count, sizeof(*out->points), err) != SW_OK)
			return err->rc;
		/* a child's first segment holds its parent's records too */
		out->points[out->point_count++] = (struct sw_window_point){
			.timeline = line_at(f->line, d->points[i].lsn)->timeline,
			.point = d->points[i],
		};
	}
	return SW_OK;
}

/* What time it was at forks: ours, and those of children that leave us before `to`. */
static void
note_forks(struct finder *f, const struct sw_wal_digest *d, sw_lsn to)
{
	struct line *line = f->line;
	struct sw_wal_moment own = last_moment(d, 0, line->fork);

	if (own.lsn > line->before.lsn)
		line->before = own;
	for (size_t i = 0; i < d->checkpoint_count && line->fork_us == 0; i++)
		if (d->checkpoints[i].timeline == line->timeline && d->checkpoints[i].lsn >= line->fork &&
			d->checkpoints[i].previous_timeline != line->timeline)
			line->fork_us = d->checkpoints[i].time_us;
	/* what else is before the fork in this segment, the child's copy tells */
	for (; f->child < f->child_end && f->children[f->child]->fork <= to; f->child++)
		f->children[f->child]->before = f->moment;
	if (d->last_end.lsn > f->moment.lsn)
		f->moment = d->last_end;
}

static void
note_time(struct finder *f, struct stretch *st, const struct sw_wal_digest *d)
{
	int64_t first = d->first_end.lsn != 0 ? d->first_end.time_us : d->time_max_us;

	if (d->time_max_us == 0)
		return;
	if (st->begin_us == 0)
		st->begin_us = first;
	st->end_us = f->sign_us = d->time_max_us;
	for (; f->waiting < f->out->gap_count; f->waiting++)
		f->out->gaps[f->waiting].end_us = first;
}

/* What a digest tells of the window that its stretch has. */
static void
note_window(struct finder *f, const struct stretch *st, const struct sw_wal_digest *d)
{
	struct sw_window *w;
	struct sw_wal_moment moment;

	if (st->window == NONE)
		return;
	w = &f->reaches[st->window].w;
	if (w->end < st->last_record)
		w->end = st->last_record;
	moment = last_moment(d, w->begin, UINT64_MAX);
	if (moment.lsn > w->last.lsn)
		w->last = moment;
	if (d->time_max_us != 0)
		w->end_us = d->time_max_us;
	w->commits += d->commits;
	w->aborts += d->aborts;
}

/* Take a digest into the stretch that goes on: `to` is where its last record ends. */
static sw_rc
include(struct finder *f, const struct sw_wal_digest *d, sw_lsn to, sw_lsn last_record, struct sw_error *err)
{
	struct stretch *st = &f->stretches[f->current];
	sw_rc rc = add_points(f, d, err);

	if (rc != SW_OK)
		return rc;
	if (to > st->own_end)
		st->own_end = st->end = to;
	if (last_record > st->last_record)
		st->last_record = last_record;
	note_forks(f, d, to);
	note_time(f, st, d);
	if (st->window == NONE && f->line->fork != 0 && st->end >= f->line->fork) {
		rc = open_by_fork(f, f->current, d, 0, err);
		st = &f->stretches[f->current];
	}
	if (rc == SW_OK)
		rc = adopt_backups(f, st, &f->backup, err);
	if (rc == SW_OK)
		note_window(f, st, d);
	return rc;
}

static sw_rc
on_boundary(struct finder *f, const struct sw_index_item *item, struct sw_error *err)
{
	const struct sw_wal_digest *d = item->digest;

	if (item->problem != NULL && item->unjoined)
		return f->current == NONE ? SW_OK : end_by_gap(f, item->last, item->last, item->problem, err);
	if (f->current == NONE || d == NULL)
		return SW_OK;
	return include(f, d, d->valid_to, d->last != 0 ? d->last : d->start, err);
}

/* What lies between the item before and this one. */
static sw_rc
pass_hole(struct finder *f, const struct sw_index_item *item, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	if (f->early)
		rc = end_by_gap(f, f->expected - 1, f->expected - 1, f->early_reason, err);
	if (rc == SW_OK && f->begun && item->first > f->expected)
		rc = end_by_gap(f, f->expected, item->first - 1, NULL, err);
	f->begun = true;
	f->expected = item->last + 1;
	return rc;
}

static sw_rc
take_verdict(struct finder *f, const struct sw_index_item *item, struct sw_error *err)
{
	const struct sw_wal_digest *d = item->digest;
	struct stretch *st = &f->stretches[f->current];
	uint64_t size = f->segment_size;
	sw_lsn behind = (item->last + 1) * size;
	sw_rc rc;

	st->last = item->last;
	if (d->verdict == SW_WAL_COMPLETE || d->verdict == SW_WAL_UNKNOWN)
		st->next = item->last + 1;
	/* nothing was read of an unknown format: that it is there must do */
	if (d->verdict == SW_WAL_UNKNOWN)
		return include(f, d, behind, behind - 1, err);
	rc = include(f, d, d->verdict == SW_WAL_COMPLETE && d->switched ? behind :
		d->valid_to < behind ? d->valid_to : behind, d->last, err);
	if (rc != SW_OK || d->verdict == SW_WAL_COMPLETE)
		return rc;
	if (d->verdict == SW_WAL_BROKEN)
		return end_by_gap(f, item->first, item->last, item->problem != NULL ? item->problem : d->reason, err);
	f->early = true;
	snprintf(f->early_reason, sizeof(f->early_reason), "%s", d->reason[0] != '\0' ? d->reason : "ends early");
	return SW_OK;
}

static sw_rc
on_segments(struct finder *f, const struct sw_index_item *item, struct sw_error *err)
{
	sw_rc rc = pass_hole(f, item, err);

	if (rc == SW_OK && item->digest == NULL)
		return end_by_gap(f, item->first, item->last, item->problem != NULL ? item->problem : "cannot be read", err);
	if (rc == SW_OK && item->unjoined && f->current != NONE)
		rc = end_by_gap(f, item->first, item->first, item->problem != NULL ? item->problem :
			"does not continue the segment before", err);
	if (rc != SW_OK)
		return rc;
	if (f->current == NONE)
		rc = add_stretch(f, f->line, item->first, &f->current, err);
	return rc == SW_OK ? take_verdict(f, item, err) : rc;
}

/* A group in which something begins or ends is looked at segment by segment. */
static bool
needs_detail(const struct finder *f, const struct sw_index_item *item)
{
	sw_lsn begin = item->first * f->segment_size, end = (item->last + 1) * f->segment_size;

	if (item->digest == NULL || item->digest->verdict != SW_WAL_COMPLETE ||
		(f->line->fork >= begin && f->line->fork < end && f->line->fork != 0) ||
		(f->child < f->child_end && f->children[f->child]->fork < end))
		return true;
	if (f->current != NONE && f->stretches[f->current].window != NONE)
		return false;
	for (size_t i = f->backup; i < f->line->backup_end; i++)
		if (f->backups[i].backup->header.stop > begin)
			return f->backups[i].backup->header.stop <= end;
	return false;
}

static sw_rc on_item(void *ctx, const struct sw_index_item *item, struct sw_error *err);

static void
on_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct finder *f = ctx;

	(void)total;
	f->params->tick(f->params->tick_ctx, f->done + done, f->total);
}

static sw_rc
walk(struct finder *f, const struct sw_index_range *ranges, size_t count, enum sw_index_detail detail,
	struct sw_error *err)
{
	struct sw_index_params params = {
		.repo = f->repo,
		.timeline = f->line->timeline,
		.ranges = ranges,
		.range_count = count,
		.detail = detail,
		.workers = f->params->workers,
		.fold = f->params->fold && detail == SW_INDEX_BRIEF,
		.tick = f->params->tick != NULL && detail == SW_INDEX_BRIEF ? on_tick : NULL,
		.tick_ctx = f,
	};

	return sw_index_walk(&params, on_item, f, err);
}

static sw_rc
on_item(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct finder *f = ctx;
	struct sw_index_range group = {item->first, item->last};

	if (item->boundary)
		return on_boundary(f, item, err);
	if (item->last > item->first && needs_detail(f, item))
		return walk(f, &group, 1, SW_INDEX_FULL, err);
	return on_segments(f, item, err);
}

/* --- all timelines ----------------------------------------------------------------- */

static void
begin_line(struct finder *f, struct line *line)
{
	f->line = line;
	f->current = NONE;
	f->early = false;
	f->begun = line->fork != 0 && any_ancestor_has_wal(line);
	f->expected = line->fork / f->segment_size;
	f->moment = line->before;
	f->sign_us = line->before.time_us;
	f->waiting = f->out->gap_count;
	f->backup = line->backup_begin;
	for (f->child = 0; f->child < f->child_count && f->children[f->child]->parent != line;)
		f->child++;
	for (f->child_end = f->child; f->child_end < f->child_count && f->children[f->child_end]->parent == line;)
		f->child_end++;
}

static void
end_line(struct finder *f)
{
	for (; f->child < f->child_end; f->child++)
		f->children[f->child]->before = f->moment;
}

/* What of a range of a timeline counts: nothing before the segment in which it began. */
static bool
clip(const struct finder *f, const struct line *line, const struct sw_inventory_range *range,
	struct sw_index_range *ret_range)
{
	uint64_t begin = line->fork / f->segment_size;

	if (range->last < begin)
		return false;
	*ret_range = (struct sw_index_range){range->first < begin ? begin : range->first, range->last};
	return true;
}

static sw_rc
walk_lines(struct finder *f, struct sw_error *err)
{
	const struct sw_inventory *inventory = f->inventory;
	SW_AUTO_FREE struct sw_index_range *ranges = calloc(inventory->range_count + 1, sizeof(*ranges));
	sw_rc rc = SW_OK;

	if (ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < inventory->range_count; i++)
		f->total += inventory->ranges[i].last - inventory->ranges[i].first + 1;
	for (size_t l = 0, i = 0; rc == SW_OK && l < f->line_count; l++) {
		uint64_t all = 0;
		size_t count = 0;

		begin_line(f, &f->lines[l]);
		for (; i < inventory->range_count && inventory->ranges[i].timeline <= f->lines[l].timeline; i++) {
			all += inventory->ranges[i].last - inventory->ranges[i].first + 1;
			if (clip(f, &f->lines[l], &inventory->ranges[i], &ranges[count]))
				count++;
		}
		if (count > 0)
			rc = walk(f, ranges, count, SW_INDEX_BRIEF, err);
		end_line(f);
		f->done += all;
	}
	return rc;
}

/* Segments between what a timeline has and the fork of its last child, or the last one that was dropped. */
static sw_rc
find_tail_gaps(struct finder *f, struct sw_error *err)
{
	const struct sw_inventory *inventory = f->inventory;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < inventory->range_count; i++) {
		const struct sw_inventory_range *r = &inventory->ranges[i];
		uint64_t until = 0;

		if (i + 1 < inventory->range_count && inventory->ranges[i + 1].timeline == r->timeline)
			continue;
		for (size_t c = 0; c < f->child_count; c++)
			if (f->children[c]->parent->timeline == r->timeline)
				until = f->children[c]->fork / f->segment_size;
		if (sw_dropped_end(inventory, r->timeline) >= until)
			until = sw_dropped_end(inventory, r->timeline) + 1;
		f->sign_us = 0;
		if (until <= r->last + 1)
			continue;
		for (size_t s = 0; rc == SW_OK && s < f->stretch_count; s++)
			if (f->stretches[s].line->timeline == r->timeline && f->stretches[s].last == r->last && !f->stretches[s].borrowed) {
				f->sign_us = f->stretches[s].end_us;
				rc = close_window(f, s, r->last + 1, until - 1, NULL, err);
			}
		if (rc == SW_OK)
			rc = add_gap(f, r->timeline, r->last + 1, until - 1, NULL, err);
	}
	return rc;
}

/* --- the result -------------------------------------------------------------------- */

static int
compare_windows(const void *a, const void *b)
{
	const struct sw_window *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int
compare_wal(const void *a, const void *b)
{
	const struct sw_window_wal *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int
compare_gaps(const void *a, const void *b)
{
	const struct sw_window_gap *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int
compare_points(const void *a, const void *b)
{
	const struct sw_window_point *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return x->point.lsn < y->point.lsn ? -1 : x->point.lsn > y->point.lsn;
}

static int
compare_names(const void *a, const void *b)
{
	const struct sw_window_point *x = *(struct sw_window_point *const *)a, *y = *(struct sw_window_point *const *)b;

	return strcmp(x->point.name, y->point.name);
}

static sw_rc
give_windows(struct finder *f, struct sw_error *err)
{
	struct sw_windows *out = f->out;

	out->windows = calloc(f->reach_count + 1, sizeof(*out->windows));
	out->wal = calloc(f->stretch_count + 1, sizeof(*out->wal));
	if (out->windows == NULL || out->wal == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < f->reach_count; i++) {
		struct sw_window *w = &out->windows[out->window_count++];

		*w = f->reaches[i].w;
		f->reaches[i].w.closed_by = NULL;
		w->open = !f->reaches[i].closed;
		if (w->end_us < w->begin_us)
			w->end_us = w->begin_us;
	}
	for (size_t i = 0; i < f->stretch_count; i++) {
		const struct stretch *st = &f->stretches[i];

		if (st->borrowed)
			continue;
		out->wal[out->wal_count++] = (struct sw_window_wal){
			.timeline = st->line->timeline,
			.first = st->first,
			.last = st->last,
			.end = st->own_end,
			.begin_us = st->begin_us,
			.end_us = st->end_us,
		};
	}
	qsort(out->windows, out->window_count, sizeof(*out->windows), compare_windows);
	qsort(out->wal, out->wal_count, sizeof(*out->wal), compare_wal);
	if (out->gap_count > 0)
		qsort(out->gaps, out->gap_count, sizeof(*out->gaps), compare_gaps);
	return SW_OK;
}

const struct sw_window *
sw_windows_at(const struct sw_windows *windows, uint32_t timeline, sw_lsn lsn)
{
	const struct sw_window key = {.timeline = timeline, .begin = lsn};
	size_t low = 0, high = windows->window_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_windows(&windows->windows[middle], &key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || windows->windows[low - 1].timeline != timeline || windows->windows[low - 1].end < lsn)
		return NULL;
	return &windows->windows[low - 1];
}

/* Parents and children tell of the same points, where they share a segment. */
static sw_rc
judge_points(struct finder *f, struct sw_error *err)
{
	struct sw_windows *out = f->out;
	SW_AUTO_FREE struct sw_window_point **by_name = calloc(out->point_count + 1, sizeof(struct sw_window_point *));
	size_t kept = 0;

	if (by_name == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (out->point_count == 0)
		return SW_OK;
	qsort(out->points, out->point_count, sizeof(*out->points), compare_points);
	for (size_t i = 1; i < out->point_count; i++)
		if (compare_points(&out->points[i], &out->points[kept]) != 0)
			out->points[++kept] = out->points[i];
	out->point_count = kept + 1;
	for (size_t i = 0; i < out->point_count; i++) {
		struct sw_window_point *p = &out->points[i];

		by_name[i] = p;
		p->reachable = sw_windows_at(out, p->timeline, p->point.lsn) != NULL;
	}
	qsort(by_name, out->point_count, sizeof(struct sw_window_point *), compare_names);
	for (size_t i = 1; i < out->point_count; i++)
		if (strcmp(by_name[i]->point.name, by_name[i - 1]->point.name) == 0)
			by_name[i]->ambiguous = by_name[i - 1]->ambiguous = true;
	return SW_OK;
}

static sw_rc
give_forks(struct finder *f, struct sw_error *err)
{
	struct sw_windows *out = f->out;

	out->forks = calloc(f->line_count + 1, sizeof(*out->forks));
	if (out->forks == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < f->line_count; i++) {
		struct line *line = &f->lines[i];

		if (line->timeline == 1)
			continue;
		out->forks[out->fork_count++] = (struct sw_window_fork){
			.parent = line->parent_id,
			.child = line->timeline,
			.lsn = line->fork,
			/* a checkpoint's time is in seconds */
			.time_us = line->fork_us > line->before.time_us ? line->fork_us : line->before.time_us,
			.problem = line->problem,
		};
		line->problem = NULL;
	}
	return SW_OK;
}

static char *
idle_words(const struct finder *f, const struct sw_inventory_backup *backup)
{
	const struct sw_manifest_header *h = &backup->header;
	uint64_t first = h->start / f->segment_size, last = h->stop / f->segment_size;
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];

	if (backup->reason != NULL)
		return words("it cannot be read: %s", backup->reason);
	for (size_t i = 0; i < f->out->gap_count; i++) {
		const struct sw_window_gap *gap = &f->out->gaps[i];
		SW_AUTO_FREE char *what = NULL;

		if (gap->timeline != h->timeline || gap->last < first || gap->first > last)
			continue;
		what = gap_words(f, gap->timeline, gap->first, gap->last, gap->reason);
		return what == NULL ? NULL : words("its own WAL is not whole: %s", what);
	}
	return words("its own WAL, %s to %s, is not all in the repository", segment_name(f, h->timeline, first, a),
		segment_name(f, h->timeline, last, b));
}

static sw_rc
give_idle(struct finder *f, struct sw_error *err)
{
	struct sw_windows *out = f->out;
	SW_AUTO_FREE bool *used = calloc(f->inventory->backup_count + 1, sizeof(*used));

	if (used == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < f->backup_count; i++)
		used[f->backups[i].backup - f->inventory->backups] = f->backups[i].used;
	for (size_t i = 0; i < f->inventory->backup_count; i++) {
		if (used[i])
			continue;
		if (grow(&out->idle, out->idle_count, sizeof(*out->idle), err) != SW_OK)
			return err->rc;
		out->idle[out->idle_count].backup = &f->inventory->backups[i];
		out->idle[out->idle_count].reason = idle_words(f, &f->inventory->backups[i]);
		if (out->idle[out->idle_count++].reason == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	return SW_OK;
}

sw_rc
sw_windows_find(struct sw_repository *repo, const struct sw_inventory *inventory,
	const struct sw_windows_params *params, struct sw_windows *ret_windows, struct sw_error *err)
{
	struct finder f = {
		.repo = repo,
		.inventory = inventory,
		.params = params,
		.out = ret_windows,
		.segment_size = repo->reg.segment_size,
	};
	sw_rc rc;

	*ret_windows = (struct sw_windows){0};
	rc = list_backups(&f, err);
	if (rc == SW_OK)
		rc = read_lines(&f, err);
	if (rc == SW_OK)
		rc = walk_lines(&f, err);
	if (rc == SW_OK)
		rc = find_tail_gaps(&f, err);
	if (rc == SW_OK)
		rc = give_windows(&f, err);
	if (rc == SW_OK)
		rc = judge_points(&f, err);
	if (rc == SW_OK)
		rc = give_forks(&f, err);
	if (rc == SW_OK)
		rc = give_idle(&f, err);
	finder_release(&f);
	return rc;
}
