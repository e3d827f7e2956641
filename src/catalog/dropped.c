#include "catalog/dropped.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The first record of the timeline; gap_count: none.  They are in order. */
static size_t
first_of(const struct sw_inventory *inventory, uint32_t timeline)
{
	size_t low = 0, high = inventory->gap_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (inventory->gaps[middle].timeline < timeline)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_of(const struct sw_inventory *inventory, size_t i, uint32_t timeline)
{
	return i < inventory->gap_count && inventory->gaps[i].timeline == timeline;
}

uint64_t
sw_dropped_count(const struct sw_inventory *inventory, uint32_t timeline, uint64_t first, uint64_t last, int64_t *ret_us)
{
	uint64_t count = 0, next = first;
	int64_t us = 0;

	for (size_t i = first_of(inventory, timeline); is_of(inventory, i, timeline) && inventory->gaps[i].first <= last; i++) {
		const struct sw_gap *gap = &inventory->gaps[i];
		uint64_t from = gap->first > next ? gap->first : next, to = gap->last < last ? gap->last : last;

		if (gap->last >= first && (us == 0 || gap->time_us < us))
			us = gap->time_us;
		if (from > to)
			continue;
		count += to - from + 1;
		next = to + 1;
	}
	*ret_us = us;
	return count;
}

char *
sw_dropped_text(const struct sw_inventory *inventory, uint32_t timeline, uint64_t first, uint64_t last,
	char buf[SW_DROPPED_TEXT_LEN])
{
	int64_t us;
	uint64_t count = sw_dropped_count(inventory, timeline, first, last, &us);
	char text[SW_GAP_TEXT_LEN];

	if (count == 0)
		buf[0] = '\0';
	else if (count == last - first + 1)
		snprintf(buf, SW_DROPPED_TEXT_LEN, "%s", sw_gap_text(us, text));
	else
		snprintf(buf, SW_DROPPED_TEXT_LEN, "%" PRIu64 " of them %s", count, sw_gap_text(us, text));
	return buf;
}

uint64_t
sw_dropped_end(const struct sw_inventory *inventory, uint32_t timeline)
{
	uint64_t end = 0;

	for (size_t i = first_of(inventory, timeline); is_of(inventory, i, timeline); i++)
		if (inventory->gaps[i].last > end)
			end = inventory->gaps[i].last;
	return end;
}

/* --- what is open ------------------------------------------------------------------------ */

struct opening {
	const struct sw_inventory *inventory;
	uint32_t segment_size;
	struct sw_dropped_run *runs;
	size_t count, room;
	size_t range; /* of the inventory: those before end before what is looked at */
};

/* On a later timeline LSNs may be those of another branch: there the time tells. */
static bool
is_anchored(const struct opening *o, const struct sw_gap *gap, uint64_t last)
{
	for (size_t i = 0; i < o->inventory->backup_count; i++) {
		const struct sw_inventory_backup *b = &o->inventory->backups[i];

		if (b->reason == NULL && ((b->header.timeline == gap->timeline && b->header.start / o->segment_size > last) ||
			(b->header.timeline > gap->timeline && b->header.started_us > gap->time_us)))
			return true;
	}
	return false;
}

static sw_rc
add_run(struct opening *o, const struct sw_gap *gap, uint64_t first, uint64_t last, struct sw_error *err)
{
	struct sw_dropped_run *before = o->count == 0 ? NULL : &o->runs[o->count - 1], *more;

	if (is_anchored(o, gap, last))
		return SW_OK;
	if (before != NULL && before->timeline == gap->timeline && before->last + 1 == first) {
		before->last = last;
		before->to_us = gap->time_us;
		return SW_OK;
	}
	if (o->count == o->room) {
		more = realloc(o->runs, (2 * o->room + 1) * sizeof(*more));
		if (more == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		o->runs = more;
		o->room = 2 * o->room + 1;
	}
	o->runs[o->count++] = (struct sw_dropped_run){
		.timeline = gap->timeline,
		.first = first,
		.last = last,
		.from_us = gap->time_us,
		.to_us = gap->time_us,
		.record = *gap,
	};
	return SW_OK;
}

static bool
ends_before(const struct sw_inventory_range *r, uint32_t timeline, uint64_t segment)
{
	return r->timeline < timeline || (r->timeline == timeline && r->last < segment);
}

/* What of first … last of the record is missing. */
static sw_rc
add_missing(struct opening *o, const struct sw_gap *gap, uint64_t first, uint64_t last, struct sw_error *err)
{
	const struct sw_inventory *in = o->inventory;
	sw_rc rc = SW_OK;

	while (o->range < in->range_count && ends_before(&in->ranges[o->range], gap->timeline, first))
		o->range++;
	for (size_t i = o->range; rc == SW_OK && first <= last; i++) {
		const struct sw_inventory_range *r = i < in->range_count ? &in->ranges[i] : NULL;
		bool near = r != NULL && r->timeline == gap->timeline && r->first <= last;

		if (!near)
			return add_run(o, gap, first, last, err);
		if (r->first > first)
			rc = add_run(o, gap, first, r->first - 1, err);
		if (r->last >= last)
			break;
		first = r->last + 1;
	}
	return rc;
}

sw_rc
sw_dropped_open(const struct sw_inventory *inventory, uint32_t segment_size, struct sw_dropped_run **ret_runs,
	size_t *ret_count, struct sw_error *err)
{
	struct opening o = {.inventory = inventory, .segment_size = segment_size};
	uint32_t timeline = 0;
	uint64_t next = 0;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < inventory->gap_count; i++) {
		const struct sw_gap *gap = &inventory->gaps[i];

		if (gap->timeline != timeline)
			next = 0;
		timeline = gap->timeline;
		if (gap->last < next)
			continue;
		rc = add_missing(&o, gap, gap->first > next ? gap->first : next, gap->last, err);
		next = gap->last + 1;
	}
	if (rc != SW_OK) {
		free(o.runs);
		return rc;
	}
	*ret_runs = o.runs;
	*ret_count = o.count;
	return SW_OK;
}
