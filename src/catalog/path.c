#include "catalog/path.h"

#include <stdlib.h>

#include "catalog/dropped.h"

struct sw_line {
	uint32_t timeline;
	bool history_read;
	struct sw_error err; /* of reading it */
	struct sw_timeline_history history;
	bool listed;
	uint64_t from;       /* segments from this one on are in `wal` */
	struct sw_inventory wal;
};

/* --- what is known ------------------------------------------------------------------ */

void
sw_lines_init(struct sw_lines *lines, struct sw_repository *repo, const struct sw_inventory *dropped)
{
	*lines = (struct sw_lines){.repo = repo, .dropped = dropped};
}

void
sw_lines_release(struct sw_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++) {
		sw_timeline_history_release(&lines->lines[i]->history);
		sw_inventory_release(&lines->lines[i]->wal);
		free(lines->lines[i]);
	}
	free(lines->lines);
	*lines = (struct sw_lines){0};
}

/* NULL: no memory. */
static struct sw_line *
line_of(struct sw_lines *lines, uint32_t timeline)
{
	struct sw_line **more, *line;

	for (size_t i = 0; i < lines->count; i++)
		if (lines->lines[i]->timeline == timeline)
			return lines->lines[i];
	more = realloc(lines->lines, (lines->count + 1) * sizeof(struct sw_line *));
	if (more == NULL)
		return NULL;
	lines->lines = more;
	line = calloc(1, sizeof(*line));
	if (line == NULL)
		return NULL;
	line->timeline = timeline;
	return more[lines->count++] = line;
}

sw_rc
sw_lines_history(struct sw_lines *lines, uint32_t timeline, const struct sw_timeline_history **ret_history,
	struct sw_error *err)
{
	struct sw_line *line = line_of(lines, timeline);

	if (line == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (!line->history_read) {
		line->err = (struct sw_error)SW_ERROR_INIT;
		line->err.rc = sw_inventory_history(lines->repo, timeline, &line->history, &line->err);
		line->history_read = true;
	}
	if (line->err.rc != SW_OK) {
		*err = line->err;
		return err->rc;
	}
	*ret_history = &line->history;
	return SW_OK;
}

static sw_rc
list_wal(struct sw_lines *lines, uint32_t timeline, uint64_t from, const struct sw_inventory **ret_wal, struct sw_error *err)
{
	struct sw_line *line = line_of(lines, timeline);
	sw_rc rc = SW_OK;

	if (line == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (!line->listed || from < line->from) {
		sw_inventory_release(&line->wal);
		rc = sw_inventory_read_wal(lines->repo, timeline, from, &line->wal, err);
		line->listed = rc == SW_OK;
		line->from = from;
	}
	*ret_wal = &line->wal;
	return rc;
}

/* --- the path -------------------------------------------------------------------------- */

/* One timeline's part of the path. */
struct part {
	uint32_t timeline;
	sw_lsn begin;
	uint64_t first, last; /* segments that are its own; last UINT64_MAX: no end */
	const struct sw_inventory *wal;
};

struct making {
	struct part *parts;
	size_t count;
	const struct sw_inventory *dropped;
	struct sw_path *path;
	bool broken; /* behind a hole */
};

void
sw_path_release(struct sw_path *path)
{
	free(path->spans);
	*path = (struct sw_path){0};
}

/* Entries that are empty, or over before the first segment, have no part. */
static sw_rc
make_parts(struct sw_lines *lines, const struct sw_timeline_history *h, uint64_t first, struct making *m,
	struct sw_error *err)
{
	uint64_t size = lines->repo->reg.segment_size;

	for (size_t i = 0; i < h->count; i++) {
		const struct sw_timeline_entry *e = &h->entries[i];
		struct part *part = &m->parts[m->count];
		sw_rc rc;

		if (i + 1 < h->count && (e->end == e->begin || (e->end - 1) / size < first))
			continue;
		*part = (struct part){.timeline = e->timeline, .begin = e->begin, .first = e->begin / size, .last = UINT64_MAX};
		if (part->first < first)
			part->first = first;
		rc = list_wal(lines, e->timeline, part->first, &part->wal, err);
		if (rc != SW_OK)
			return rc;
		/* its last segment is the first of the next one's, if that does not begin it */
		if (i + 1 < h->count)
			part->last = (e->end - 1) / size;
		m->count++;
	}
	return SW_OK;
}

/* The range of the part that holds the segment, or the next one; NULL: none. */
static const struct sw_inventory_range *
range_at(const struct part *part, uint64_t segment)
{
	size_t low = 0, high = part->wal->range_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (part->wal->ranges[mid].last < segment)
			low = mid + 1;
		else
			high = mid;
	}
	return low < part->wal->range_count ? &part->wal->ranges[low] : NULL;
}

/* WAL that was dropped was there: recovery must not take its begin for the end. */
static void
end_behind_dropped(struct making *m, const struct part *part)
{
	uint64_t last = sw_dropped_end(m->dropped, part->timeline);

	if (last > part->last)
		last = part->last;
	if (last >= part->first && last > m->path->end)
		m->path->end = last;
}

static void
find_end(struct making *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct part *part = &m->parts[i];
		const struct sw_inventory *wal = part->wal;

		end_behind_dropped(m, part);

		for (size_t k = wal->range_count; k-- > 0;) {
			const struct sw_inventory_range *r = &wal->ranges[k];
			uint64_t last = r->last < part->last ? r->last : part->last;

			if (r->first > part->last || last < part->first)
				continue;
			if (last > m->path->end)
				m->path->end = last;
			break;
		}
	}
}

static void
add_span(struct making *m, uint32_t timeline, uint64_t first, uint64_t last)
{
	struct sw_path *path = m->path;

	if (m->broken)
		return;
	path->last = last;
	if (path->span_count > 0 && path->spans[path->span_count - 1].timeline == timeline)
		path->spans[path->span_count - 1].last = last;
	else
		path->spans[path->span_count++] = (struct sw_walk_span){timeline, first, last};
}

static void
add_hole(struct making *m, uint32_t timeline, uint64_t first, uint64_t last)
{
	struct sw_path *path = m->path;

	struct sw_inventory_range *before = path->hole_count > 0 ? &path->holes[path->hole_count - 1] : NULL;

	m->broken = true;
	path->missing += last - first + 1;
	if (before != NULL && before->timeline == timeline && before->last + 1 == first)
		before->last = last;
	else if (path->hole_count < SW_PATH_HOLES_MAX)
		path->holes[path->hole_count++] = (struct sw_inventory_range){timeline, first, last};
}

/* The segment where part i begins is missing there, but not on its parent. */
static bool
take_from_parent(struct making *m, size_t i, uint64_t at)
{
	const struct part *part = &m->parts[i], *parent = part - 1;
	const struct sw_inventory_range *r;

	if (i == 0 || at != part->first || parent->last < at)
		return false;
	r = range_at(parent, at);
	if (r == NULL || r->first > at)
		return false;
	if (!m->broken)
		m->path->limit = part->begin;
	add_span(m, parent->timeline, at, at);
	m->broken = true;
	return true;
}

/* From `at`, which is part i's, on; returns what comes next. */
static uint64_t
step(struct making *m, size_t i, uint64_t at)
{
	const struct part *part = &m->parts[i];
	const struct sw_inventory_range *r = range_at(part, at);
	uint64_t last = i + 1 < m->count ? m->parts[i + 1].first - 1 : m->path->end;

	if (r != NULL && r->first <= at) {
		last = r->last < last ? r->last : last;
		add_span(m, part->timeline, at, last);
		return last + 1;
	}
	if (take_from_parent(m, i, at)) {
		if (at < m->path->end)
			add_hole(m, part->timeline, at, at);
		return at + 1;
	}
	if (r != NULL && r->first <= last)
		last = r->first - 1;
	add_hole(m, part->timeline, at, last);
	return last + 1;
}

sw_rc
sw_path_make(struct sw_lines *lines, const struct sw_timeline_history *history, uint64_t first,
	struct sw_path *ret_path, struct sw_error *err)
{
	struct making m = {.path = ret_path, .dropped = lines->dropped, .parts = calloc(history->count, sizeof(*m.parts))};
	uint64_t at = first;
	size_t i = 0;
	sw_rc rc = SW_OK;

	*ret_path = (struct sw_path){.first = first, .last = first - 1};
	/* a timeline has one span, or two if it lends its last segment to its child */
	ret_path->spans = calloc(2 * history->count, sizeof(*ret_path->spans));
	if (m.parts == NULL || ret_path->spans == NULL)
		rc = sw_fail(err, SW_SYSTEM, "out of memory");
	if (rc == SW_OK)
		rc = make_parts(lines, history, first, &m, err);
	if (rc == SW_OK)
		find_end(&m);
	while (rc == SW_OK && m.count > 0 && at <= ret_path->end) {
		while (i + 1 < m.count && m.parts[i + 1].first <= at)
			i++;
		at = step(&m, i, at);
	}
	free(m.parts);
	return rc;
}
