#include "catalog/ends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/walk.h"
#include "base/file.h"
#include "base/log.h"

void
sw_ends_init(struct sw_ends *ends, struct sw_repository *repo, const struct sw_inventory *inventory)
{
	*ends = (struct sw_ends){.repo = repo, .inventory = inventory};
}

void
sw_ends_release(struct sw_ends *ends)
{
	free(ends->pieces);
	ends->pieces = NULL;
	ends->count = 0;
}

void
sw_ends_around_release(struct sw_ends_around *around)
{
	free(around->before);
	free(around->behind);
	*around = (struct sw_ends_around){0};
}

sw_rc
sw_ends_add(struct sw_ends *ends, const struct sw_index_item *item, struct sw_error *err)
{
	const struct sw_wal_digest *d = item->digest;
	struct sw_ends_piece *more;

	if (d == NULL || d->commits + d->aborts == 0)
		return SW_OK;
	if (ends->count == 0 || (ends->count & (ends->count - 1)) == 0) {
		more = reallocarray(ends->pieces, ends->count == 0 ? 1 : 2 * ends->count, sizeof(*more));
		if (more == NULL)
			return sw_fail(err, SW_SYSTEM, "no memory for %zu segments' transactions", ends->count + 1);
		ends->pieces = more;
	}
	ends->pieces[ends->count++] = (struct sw_ends_piece){
		.timeline = item->timeline,
		.segment = item->first,
		.boundary = item->boundary,
		.last_segment = item->last,
		.count = d->commits + d->aborts,
		.last = d->last_end.lsn,
		.latest_us = d->latest.time_us,
		.xid_max = d->xid_full ? d->xid_max : 0,
	};
	return SW_OK;
}

/* --- xids -------------------------------------------------------------------------- */

uint64_t
sw_ends_widen(uint32_t xid, uint64_t max)
{
	uint64_t wide = (max & ~(uint64_t)UINT32_MAX) | xid;

	return wide > max && wide > UINT32_MAX ? wide - (UINT64_C(1) << 32) : wide;
}

/* It, or the only one with these 32 bits, lies between the two.  *ret_value: the one. */
static bool
lies_between(uint64_t xid, uint64_t min, uint64_t max, bool full, uint64_t *ret_value)
{
	if (xid > UINT32_MAX && !full)
		xid = (uint32_t)xid;
	if (xid > UINT32_MAX)
		*ret_value = xid;
	else
		*ret_value = min + (uint32_t)((uint32_t)xid - (uint32_t)min);
	return *ret_value >= min && *ret_value <= max;
}

bool
sw_ends_may_hold(const struct sw_wal_digest *digest, uint64_t xid)
{
	uint64_t value;

	if (digest->xid_min == 0 || !lies_between(xid, digest->xid_min, digest->xid_max, digest->xid_full, &value))
		return false;
	if (value >= digest->ends_below)
		return true;
	for (size_t i = 0; i < digest->end_count; i++) {
		const struct sw_wal_end *end = &digest->ends[i];

		if ((uint32_t)end->xid == (uint32_t)value)
			return true;
		for (size_t k = 0; k < end->subxid_count; k++)
			if (end->subxids[k] == (uint32_t)value)
				return true;
	}
	return false;
}

/* --- lines ------------------------------------------------------------------------- */

static const struct sw_inventory_range *
find_range(const struct sw_inventory *inventory, uint32_t timeline, uint64_t segment)
{
	size_t low = 0, high = inventory->range_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct sw_inventory_range *r = &inventory->ranges[mid];

		if (r->timeline < timeline || (r->timeline == timeline && r->last < segment))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == inventory->range_count || inventory->ranges[low].timeline != timeline ||
		inventory->ranges[low].first > segment)
		return NULL;
	return &inventory->ranges[low];
}

uint32_t
sw_ends_source(const struct sw_inventory *inventory, const struct sw_timeline_history *history, uint64_t segment,
	uint32_t segment_size)
{
	for (size_t i = history->count; i-- > 0;) {
		const struct sw_timeline_entry *e = &history->entries[i];

		/* an ancestor's WAL ends where the next one began */
		if (e->begin / segment_size > segment || (e->end != 0 && e->end <= segment * segment_size))
			continue;
		if (find_range(inventory, e->timeline, segment) != NULL)
			return e->timeline;
	}
	return 0;
}

/* All segments from a to b are there. */
static bool
is_unbroken(const struct sw_ends *ends, const struct sw_timeline_history *history, uint64_t a, uint64_t b)
{
	uint32_t size = ends->repo->reg.segment_size;

	while (a <= b) {
		uint32_t timeline = sw_ends_source(ends->inventory, history, a, size);
		const struct sw_inventory_range *r = timeline == 0 ? NULL : find_range(ends->inventory, timeline, a);
		const struct sw_timeline_entry *e = sw_timeline_find(history, timeline);
		uint64_t last;

		if (r == NULL || e == NULL)
			return false;
		last = r->last;
		if (e->end != 0 && last > e->end / size)
			last = e->end / size;
		a = last < a ? a + 1 : last + 1;
	}
	return true;
}

/* --- reading ----------------------------------------------------------------------- */

/* Pieces that lie on a line, and what is gathered from some of them. */
struct reading {
	struct sw_ends *ends;
	const struct sw_timeline_history *history;
	const struct sw_ends_piece **pieces;
	size_t count;
	size_t low, high; /* the pieces that are read */
	const struct sw_end *hit;
	int64_t time_us;
	size_t wanted;
	struct sw_ends_around *around;
	bool beyond; /* the place was passed */
	bool enough;
};

static sw_rc
take_pieces(struct reading *r, struct sw_error *err)
{
	uint32_t size = r->ends->repo->reg.segment_size;

	r->pieces = calloc(r->ends->count + 1, sizeof(const struct sw_ends_piece *));
	if (r->pieces == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	/* by segment, because a timeline's come behind those of its parent */
	for (size_t i = 0; i < r->ends->count; i++) {
		const struct sw_ends_piece *p = &r->ends->pieces[i];

		if (sw_ends_source(r->ends->inventory, r->history, p->segment, size) == p->timeline)
			r->pieces[r->count++] = p;
	}
	return SW_OK;
}

/* The first piece with something behind the place; count: there is none. */
static size_t
find_centre(const struct reading *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->hit != NULL ? r->pieces[i]->last >= r->hit->lsn : r->pieces[i]->latest_us > r->time_us)
			return i;
	return r->count;
}

static bool
leads_to_next(const struct reading *r, size_t i)
{
	return is_unbroken(r->ends, r->history, r->pieces[i]->segment, r->pieces[i + 1]->segment);
}

/* From r->low to r->high there are enough ends on both sides, or no more. */
static void
widen(struct reading *r, size_t centre)
{
	uint64_t have = 0;

	r->low = r->high = centre;
	if (centre == r->count) {
		r->low = r->high = centre - 1;
		have = r->pieces[r->low]->count;
	}
	while (r->low > 0 && have < r->wanted) {
		if (!leads_to_next(r, r->low - 1)) {
			snprintf(r->around->problem, sizeof(r->around->problem), "WAL is missing before these");
			break;
		}
		have += r->pieces[--r->low]->count;
	}
	have = 0;
	while (r->high + 1 < r->count && have < r->wanted) {
		if (!leads_to_next(r, r->high)) {
			snprintf(r->around->problem, sizeof(r->around->problem), "WAL is missing behind these");
			break;
		}
		have += r->pieces[++r->high]->count;
	}
}

static sw_rc
add_end(struct sw_end **list, size_t *count, size_t max, const struct sw_end *end, struct sw_error *err)
{
	struct sw_end *more;

	if (*count == max) {
		memmove(*list, *list + 1, (max - 1) * sizeof(**list));
		(*list)[max - 1] = *end;
		return SW_OK;
	}
	more = reallocarray(*list, *count + 1, sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	more[(*count)++] = *end;
	*list = more;
	return SW_OK;
}

static void
fill_end(const struct sw_wal_record *record, const struct sw_wal_event *event, uint64_t xid_max, struct sw_end *ret_end)
{
	*ret_end = (struct sw_end){
		.lsn = record->lsn,
		.end = record->end,
		.time_us = event->transaction.time_us,
		.xid = xid_max == 0 ? event->transaction.xid : sw_ends_widen(event->transaction.xid, xid_max),
		.commit = event->kind == SW_WAL_COMMIT,
		.prepared = event->transaction.prepared,
	};
}

/* Of the pieces that are read and begin in that segment. */
static uint64_t
xid_max_at(const struct reading *r, uint64_t segment)
{
	uint64_t max = 0;

	for (size_t i = r->low; i <= r->high && r->pieces[i]->segment <= segment; i++)
		if (r->pieces[i]->segment == segment && r->pieces[i]->xid_max > max)
			max = r->pieces[i]->xid_max;
	return max;
}

static sw_rc
take_record(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct reading *r = ctx;
	uint32_t size = r->ends->repo->reg.segment_size;
	uint64_t segment = record->lsn / size;
	const struct sw_timeline_entry *source;
	struct sw_end end;
	sw_rc rc;

	if (event->kind != SW_WAL_COMMIT && event->kind != SW_WAL_ABORT)
		return SW_OK;
	/* a parent's copy goes on where the line has left it */
	source = sw_timeline_find(r->history, sw_ends_source(r->ends->inventory, r->history, segment, size));
	if (source == NULL || (source->end != 0 && record->lsn >= source->end))
		return SW_OK;
	fill_end(record, event, xid_max_at(r, segment), &end);
	end.timeline = sw_timeline_at(r->history, record->lsn);
	if (r->hit != NULL && end.lsn == r->hit->lsn)
		return SW_OK;
	if (r->hit != NULL ? end.lsn > r->hit->lsn : end.time_us > r->time_us)
		r->beyond = true;
	if (!r->beyond)
		return add_end(&r->around->before, &r->around->before_count, r->wanted, &end, err);
	r->around->found = true;
	rc = add_end(&r->around->behind, &r->around->behind_count, r->wanted, &end, err);
	if (rc != SW_OK || r->around->behind_count < r->wanted)
		return rc;
	r->enough = true;
	return SW_CONFLICT;
}

/* Segments a … b, which are there. */
static sw_rc
read_run(struct reading *r, uint64_t a, uint64_t b, struct sw_error *err)
{
	uint32_t size = r->ends->repo->reg.segment_size;
	SW_AUTO_FREE struct sw_walk_span *spans = calloc(r->history->count + 1, sizeof(*spans));
	struct sw_walk_result result = {0};
	size_t count = 0;
	sw_rc rc;

	if (spans == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (uint64_t segment = a; segment <= b; segment++) {
		uint32_t timeline = sw_ends_source(r->ends->inventory, r->history, segment, size);

		if (timeline == 0)
			break;
		if (count > 0 && spans[count - 1].timeline == timeline)
			spans[count - 1].last = segment;
		else if (count <= r->history->count)
			spans[count++] = (struct sw_walk_span){timeline, segment, segment};
	}
	rc = sw_walk(r->ends->repo, spans, count, take_record, r, &result, err);
	if (rc == SW_NOT_FOUND || rc == SW_CORRUPT)
		snprintf(r->around->problem, sizeof(r->around->problem), "%.250s", err->text);
	else if (result.reason[0] != '\0' && !r->enough)
		snprintf(r->around->problem, sizeof(r->around->problem), "%.250s", result.reason);
	return rc == SW_NOT_FOUND || rc == SW_CORRUPT ? SW_OK : rc;
}

static uint64_t
last_segment_of(const struct sw_ends_piece *p)
{
	return p->boundary ? p->last_segment : p->segment;
}

sw_rc
sw_ends_find_around(struct sw_ends *ends, const struct sw_timeline_history *history, int64_t time_us,
	const struct sw_end *hit, unsigned neighbours, struct sw_ends_around *ret_around, struct sw_error *err)
{
	struct reading r = {.ends = ends, .history = history, .hit = hit, .time_us = time_us,
		.wanted = neighbours > 0 ? neighbours : 1, .around = ret_around};
	sw_rc rc;

	*ret_around = (struct sw_ends_around){0};
	rc = take_pieces(&r, err);
	if (rc == SW_OK && r.count > 0) {
		widen(&r, find_centre(&r));
		/* segments without an end in between are passed over */
		for (size_t i = r.low; rc == SW_OK && i <= r.high && !r.enough;) {
			uint64_t a = r.pieces[i]->segment, b = last_segment_of(r.pieces[i]);

			for (i++; i <= r.high && r.pieces[i]->segment <= b + 1; i++)
				if (last_segment_of(r.pieces[i]) > b)
					b = last_segment_of(r.pieces[i]);
			rc = read_run(&r, a, b, err);
		}
	}
	free(r.pieces);
	return rc;
}

/* --- one transaction --------------------------------------------------------------- */

struct xid_search {
	const struct sw_ends_piece *piece;
	uint32_t segment_size;
	uint64_t xid;
	struct sw_ends_hit *hits;
	size_t *count;
};

static bool
is_its_end(const struct sw_wal_event *event, uint32_t xid, bool *ret_subtransaction)
{
	*ret_subtransaction = false;
	if (event->transaction.xid == xid)
		return true;
	*ret_subtransaction = true;
	for (uint32_t i = 0; i < event->transaction.subxids.count; i++)
		if (sw_wal_event_u32(&event->transaction.subxids, i) == xid)
			return true;
	return false;
}

static sw_rc
look_for_xid(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct xid_search *s = ctx;
	struct sw_ends_hit hit = {0};

	(void)err;
	if (record->lsn / s->segment_size != s->piece->segment)
		return record->lsn / s->segment_size > s->piece->segment ? SW_CONFLICT : SW_OK;
	if ((event->kind != SW_WAL_COMMIT && event->kind != SW_WAL_ABORT) ||
		!is_its_end(event, (uint32_t)s->xid, &hit.subtransaction))
		return SW_OK;
	if (s->xid > UINT32_MAX && s->piece->xid_max != 0 &&
		sw_ends_widen((uint32_t)s->xid, s->piece->xid_max) != s->xid)
		return SW_OK;
	fill_end(record, event, s->piece->xid_max, &hit.end);
	hit.end.timeline = s->piece->timeline;
	for (size_t i = 0; i < *s->count; i++)
		if (s->hits[i].end.timeline == hit.end.timeline && s->hits[i].end.lsn == hit.end.lsn)
			return SW_OK;
	if (*s->count == SW_ENDS_HITS_MAX)
		return SW_CONFLICT;
	s->hits[(*s->count)++] = hit;
	return SW_OK;
}

sw_rc
sw_ends_find_xid(struct sw_ends *ends, const struct sw_ends_piece *piece, uint64_t xid, struct sw_ends_hit *hits,
	size_t *count, struct sw_error *err)
{
	struct xid_search s = {.piece = piece, .segment_size = ends->repo->reg.segment_size, .xid = xid, .hits = hits,
		.count = count};
	struct sw_walk_span span = {piece->timeline, piece->segment, last_segment_of(piece)};
	struct sw_walk_result result = {0};

	return sw_walk(ends->repo, &span, 1, look_for_xid, &s, &result, err);
}
