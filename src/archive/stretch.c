#include "archive/stretch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "wal/format.h"

#define JOINED_BYTES (4 * SW_WAL_FRAGMENT_BYTES)

void
sw_stretch_item_release(struct sw_stretch_item *item)
{
	if (item->has_digest)
		sw_wal_digest_release(&item->digest);
	free(item->problem);
	free(item->unjoined);
	*item = (struct sw_stretch_item){0};
}

static void
release_begin(struct sw_stretch_begin *begin)
{
	free(begin->middle);
	free(begin->tail);
	*begin = (struct sw_stretch_begin){0};
}

static void
release_end(struct sw_stretch_end *end)
{
	free(end->head);
	free(end->middle);
	*end = (struct sw_stretch_end){0};
}

void
sw_stretch_release(struct sw_stretch *stretch)
{
	for (size_t i = 0; i < stretch->count; i++)
		sw_stretch_item_release(&stretch->items[i]);
	free(stretch->items);
	release_begin(&stretch->begin);
	release_end(&stretch->end);
	*stretch = (struct sw_stretch){0};
}

/* --- one segment --------------------------------------------------------------------- */

static struct sw_wal_fragment *
steal(struct sw_wal_fragment **fragment)
{
	struct sw_wal_fragment *f = *fragment;

	*fragment = NULL;
	return f;
}

static bool
goes_on(const struct sw_wal_fragment *tail)
{
	return tail != NULL && tail->len < tail->whole_len;
}

static void
take_edges(struct sw_stretch *s, struct sw_wal_digest *d)
{
	struct sw_stretch_begin *begin = &s->begin;
	bool whole = d->verdict == SW_WAL_COMPLETE;

	if (d->verdict == SW_WAL_UNKNOWN || d->major == 0)
		return;
	begin->known = true;
	begin->tail = steal(&d->tail);
	begin->aborted = d->tail_aborted;
	begin->tail_segment = s->first;
	begin->first = d->first;
	begin->first_prev = d->first_prev;
	if (goes_on(begin->tail) && !begin->aborted) {
		if (whole && d->first == 0 && d->head == NULL) {
			begin->through = true;
			begin->middle = steal(&begin->tail);
		} else {
			release_begin(begin);
		}
	}
	s->end = (struct sw_stretch_end){
		.known = d->verdict != SW_WAL_BROKEN,
		.last = d->last,
		.head = steal(&d->head),
		.head_segment = s->first,
		.major = d->major,
		.next_xid = d->xid_full ? d->xid_next : 0,
	};
}

char *
sw_stretch_words(const char *text)
{
	char *words = strdup(text);

	for (char *p = words; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return words;
}

sw_rc
sw_stretch_item_judge(struct sw_stretch_item *item, struct sw_error *err)
{
	if (!item->has_digest || item->digest.verdict != SW_WAL_BROKEN || item->problem != NULL)
		return SW_OK;
	item->problem = sw_stretch_words(item->digest.reason);
	return item->problem != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

sw_rc
sw_stretch_of(struct sw_stretch_item *item, struct sw_stretch *ret_stretch, struct sw_error *err)
{
	struct sw_stretch s = {.first = item->first, .last = item->last, .room = 1};

	s.items = malloc(sizeof(*s.items));
	if (s.items == NULL || sw_stretch_item_judge(item, err) != SW_OK) {
		free(s.items);
		sw_stretch_item_release(item);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	if (item->has_digest) {
		take_edges(&s, &item->digest);
		free(steal(&item->digest.tail));
		free(steal(&item->digest.head));
	}
	s.items[s.count++] = *item;
	*item = (struct sw_stretch_item){0};
	*ret_stretch = s;
	return SW_OK;
}

/* --- the seam of two stretches --------------------------------------------------------- */

struct seam {
	const struct sw_registration *reg;
	bool crossed;    /* a record lies across it; its place: */
	sw_lsn lsn;
	bool joined;     /* and it is whole */
	sw_lsn prev;
	struct sw_stretch_item boundary; /* has_digest: it says something */
	char *unjoined;
};

static sw_rc
does_not_fit(struct seam *seam, struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The first reason is kept. */
static sw_rc
does_not_fit(struct seam *seam, struct sw_error *err, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (seam->unjoined != NULL)
		return SW_OK;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	seam->unjoined = sw_stretch_words(text);
	return seam->unjoined != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

/* xl_prev of the record at `lsn` must be the place of the one before. */
static sw_rc
check_prev(struct seam *seam, sw_lsn lsn, sw_lsn prev, sw_lsn before, struct sw_error *err)
{
	char at[SW_LSN_LEN], got[SW_LSN_LEN], want[SW_LSN_LEN];

	if (lsn == 0 || before == 0 || prev == before)
		return SW_OK;
	return does_not_fit(seam, err, "the record at %s says that the one before it is at %s, but in the archive "
		"the one before it is at %s", sw_lsn_format(lsn, at), sw_lsn_format(prev, got),
		sw_lsn_format(before, want));
}

static const struct sw_wal_format *
format_of(unsigned major)
{
	for (unsigned magic = 0xD100; magic <= 0xD1FF; magic++) {
		const struct sw_wal_format *format = sw_wal_format_find((uint16_t)magic);

		if (format != NULL && format->major == major)
			return format;
	}
	return NULL;
}

static bool
says_something(const struct sw_wal_digest *d)
{
	return d->commits + d->aborts > 0 || d->point_count > 0 || d->checkpoint_count > 0 || d->invalidated_count > 0 ||
		d->act_count > 0 || d->truncated;
}

/* What a record across the seam says. */
static sw_rc
take_record(struct seam *seam, const struct sw_wal_record *record, uint64_t next_xid, struct sw_error *err)
{
	sw_rc rc;

	seam->joined = true;
	seam->prev = record->prev;
	rc = sw_wal_digest_record(record, seam->reg->block_size, next_xid, &seam->boundary.digest, err);
	if (rc != SW_OK)
		return rc;
	seam->boundary.has_digest = true;
	if (!says_something(&seam->boundary.digest))
		sw_stretch_item_release(&seam->boundary);
	return SW_OK;
}

static sw_rc
join_record(struct seam *seam, const struct sw_stretch_end *end, const struct sw_stretch_begin *begin,
	struct sw_error *err)
{
	const struct sw_wal_fragment *tails[3];
	struct sw_wal_joint joint = {
		.head = end->head,
		.tails = tails,
		.segment_begin = begin->tail_segment * seam->reg->segment_size,
		.block_size = seam->reg->wal_block_size,
		.format = format_of(end->major),
	};
	struct sw_wal_record record;
	struct sw_error why = SW_ERROR_INIT;
	SW_AUTO_BUF bytes;
	sw_rc rc;

	sw_buf_init(&bytes, JOINED_BYTES);
	seam->crossed = true;
	seam->lsn = end->head->lsn;
	if (end->middle != NULL)
		tails[joint.tail_count++] = end->middle;
	if (begin->middle != NULL)
		tails[joint.tail_count++] = begin->middle;
	tails[joint.tail_count++] = begin->tail;
	if (joint.format == NULL)
		return SW_OK;
	rc = sw_wal_fragment_join(&joint, &bytes, &record, &why);
	if (rc == SW_CORRUPT)
		return does_not_fit(seam, err, "%s", why.text);
	if (rc != SW_OK) {
		*err = why;
		return rc;
	}
	rc = check_prev(seam, record.lsn, record.prev, end->last, err);
	if (rc == SW_OK)
		rc = take_record(seam, &record, end->next_xid, err);
	return rc == SW_OK ? check_prev(seam, begin->first, begin->first_prev, record.lsn, err) : rc;
}

/* All of `next` is a part of one record. */
static sw_rc
check_through(struct seam *seam, const struct sw_stretch_end *end, const struct sw_stretch *next,
	struct sw_error *err)
{
	const struct sw_wal_fragment *before = end->middle != NULL ? end->middle : end->head;
	char lsn[SW_LSN_LEN];

	sw_lsn_format(next->first * seam->reg->segment_size, lsn);
	if (before == NULL)
		return does_not_fit(seam, err, "the WAL at %s continues a record that was not begun before", lsn);
	if (before->whole_len - before->len != next->begin.middle->whole_len)
		return does_not_fit(seam, err, "the WAL at %s continues a record of another length than the one that was "
			"begun before", lsn);
	return SW_OK;
}

static sw_rc
look_at_seam(struct seam *seam, const struct sw_stretch *s, const struct sw_stretch *next, struct sw_error *err)
{
	const struct sw_stretch_end *end = &s->end;
	const struct sw_stretch_begin *begin = &next->begin;
	bool lead = begin->middle != NULL || begin->tail != NULL;
	char lsn[SW_LSN_LEN];

	/* where a record fills all of `s`, only what is before that can tell */
	if (!end->known || !begin->known || s->begin.through)
		return SW_OK;
	if (begin->through)
		return check_through(seam, end, next, err);
	if (lead && end->head == NULL)
		return does_not_fit(seam, err, "the WAL at %s continues a record that was not begun before",
			sw_lsn_format(next->first * seam->reg->segment_size, lsn));
	if (begin->tail != NULL && !begin->aborted)
		return join_record(seam, end, begin, err);
	/* a record that was never finished is passed over by xl_prev */
	return check_prev(seam, begin->first, begin->first_prev, end->last, err);
}

/* --- joining the edges ----------------------------------------------------------------- */

/* `a` goes on in `b`, which is released.  False: they do not fit, and `a` is as before. */
static bool
merge(struct sw_wal_fragment **a, struct sw_wal_fragment **b)
{
	struct sw_wal_fragment *to = *a, *from = steal(b);
	bool fits = from == NULL || to == NULL || (from->len <= from->whole_len && to->len <= to->whole_len &&
		from->whole_len == to->whole_len - to->len);

	if (to == NULL) {
		*a = from;
		return true;
	}
	if (fits && from != NULL) {
		size_t room = sizeof(to->bytes) - to->bytes_len, n = from->bytes_len < room ? from->bytes_len : room;

		if (to->bytes_len == to->len) {
			memcpy(to->bytes + to->bytes_len, from->bytes, n);
			to->bytes_len += (uint32_t)n;
		}
		to->crc = sw_crc32c_combine(to->crc, from->crc, from->len);
		to->len += from->len;
	}
	free(from);
	return fits;
}

/* The record that fills all of `s` goes on in `next`, or ends there. */
static void
go_on(struct sw_stretch *s, struct sw_stretch *next)
{
	struct sw_stretch_begin *a = &s->begin, *b = &next->begin;
	bool finished = b->tail != NULL && !b->aborted;

	if (!b->known || (b->middle != NULL && !merge(&a->middle, &b->middle))) {
		release_begin(a);
		return;
	}
	if (b->through)
		return;
	if (finished && b->tail->whole_len != a->middle->whole_len - a->middle->len) {
		release_begin(a);
		return;
	}
	a->through = false;
	a->tail = steal(&b->tail);
	a->aborted = !finished;
	a->tail_item = s->count + b->tail_item;
	a->tail_segment = b->tail_segment;
	a->first = b->first;
	a->first_prev = b->first_prev;
}

static void
join_begin(struct sw_stretch *s, struct sw_stretch *next, const struct seam *seam)
{
	struct sw_stretch_begin *a = &s->begin;

	if (a->through) {
		go_on(s, next);
		return;
	}
	if (!a->known || a->first != 0 || a->blind)
		return;
	if (seam->joined) {
		a->first = seam->lsn;
		a->first_prev = seam->prev;
	} else if (s->end.known && s->end.head == NULL && next->begin.known) {
		a->first = next->begin.first;
		a->first_prev = next->begin.first_prev;
	} else {
		a->blind = true;
	}
}

/* through: whether s was that before. */
static void
join_end(struct sw_stretch *s, struct sw_stretch *next, bool through, const struct seam *seam)
{
	struct sw_stretch_end *a = &s->end, *b = &next->end;

	if (next->begin.through) {
		if (!through && (a->head == NULL || !merge(&a->middle, &next->begin.middle)))
			a->known = false;
		return;
	}
	if (b->last == 0 && a->known && !through)
		b->last = seam->crossed ? seam->lsn : a->last;
	if (b->next_xid == 0)
		b->next_xid = a->next_xid;
	release_end(a);
	*a = *b;
	*b = (struct sw_stretch_end){0};
}

static sw_rc
make_room(struct sw_stretch *s, size_t extra, struct sw_error *err)
{
	size_t room = s->count + extra;
	struct sw_stretch_item *items;

	if (room <= s->room)
		return SW_OK;
	room += room / 2;
	items = realloc(s->items, room * sizeof(*items));
	if (items == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	s->items = items;
	s->room = room;
	return SW_OK;
}

static void
move_items(struct sw_stretch *s, struct sw_stretch *next, struct seam *seam)
{
	/* a begin that is through or not known has no item of its own */
	size_t before = next->begin.tail_item < next->count ? next->begin.tail_item : 0;

	if (seam->unjoined != NULL && next->count > 0) {
		free(next->items[before].unjoined);
		next->items[before].unjoined = seam->unjoined;
		seam->unjoined = NULL;
	}
	for (size_t i = 0; i < next->count; i++) {
		if (i == before && seam->boundary.has_digest) {
			s->items[s->count++] = seam->boundary;
			seam->boundary = (struct sw_stretch_item){0};
		}
		s->items[s->count++] = next->items[i];
	}
	next->count = 0;
}

sw_rc
sw_stretch_join(struct sw_stretch *s, struct sw_stretch *next, const struct sw_registration *reg,
	struct sw_error *err)
{
	struct seam seam = {.reg = reg};
	bool through = s->begin.through;
	sw_rc rc = s->last + 1 == next->first ? SW_OK : sw_fail(err, SW_BUG, "joining what is not side by side");

	if (rc == SW_OK)
		rc = make_room(s, next->count + 1, err);
	if (rc == SW_OK)
		rc = look_at_seam(&seam, s, next, err);
	if (rc == SW_OK) {
		seam.boundary.boundary = true;
		seam.boundary.first = s->end.head_segment;
		seam.boundary.last = next->begin.tail_segment;
		join_begin(s, next, &seam);
		move_items(s, next, &seam);
		join_end(s, next, through, &seam);
		s->last = next->last;
	}
	sw_stretch_item_release(&seam.boundary);
	free(seam.unjoined);
	sw_stretch_release(next);
	return rc;
}

/* --- in brief ---------------------------------------------------------------------------- */

static void
add_moments(struct sw_wal_digest *sum, const struct sw_wal_digest *d)
{
	if (d->first_end.lsn != 0 && sum->first_end.lsn == 0)
		sum->first_end = d->first_end;
	if (d->last_end.lsn != 0)
		sum->last_end = d->last_end;
	if (d->earliest.lsn != 0 && (sum->earliest.lsn == 0 || d->earliest.time_us < sum->earliest.time_us))
		sum->earliest = d->earliest;
	if (d->latest.lsn != 0 && (sum->latest.lsn == 0 || d->latest.time_us > sum->latest.time_us))
		sum->latest = d->latest;
	if (d->time_max_us > sum->time_max_us)
		sum->time_max_us = d->time_max_us;
}

/* Of 64 bits while all are. */
static void
add_xids(struct sw_wal_digest *sum, const struct sw_wal_digest *d)
{
	uint64_t mask, min, max;

	if (d->xid_max == 0 && d->xid_next == 0)
		return;
	if (sum->xid_max == 0 && sum->xid_next == 0)
		sum->xid_full = d->xid_full;
	sum->xid_full = sum->xid_full && d->xid_full;
	mask = sum->xid_full ? UINT64_MAX : UINT32_MAX;
	min = d->xid_min & mask;
	max = d->xid_max & mask;
	sum->xid_min &= mask;
	sum->xid_max &= mask;
	if (max != 0 && (sum->xid_max == 0 || min < sum->xid_min))
		sum->xid_min = min;
	if (max > sum->xid_max)
		sum->xid_max = max;
	sum->xid_next = (sum->xid_next & mask) > (d->xid_next & mask) ? sum->xid_next & mask : d->xid_next & mask;
}

/* Where the timeline of the pages changed, if it did. */
static void
add_place(struct sw_wal_digest *sum, const struct sw_wal_digest *d)
{
	if (sum->major == 0) {
		sum->start = d->start;
		sum->first_timeline = d->first_timeline;
		sum->tail_aborted = d->tail_aborted;
	}
	if (sum->last_timeline != d->last_timeline) {
		sum->last_timeline = d->last_timeline;
		sum->last_timeline_from = d->last_timeline_from;
	}
	sum->major = d->major;
	sum->valid_to = d->valid_to;
	sum->switched = d->switched;
	if (sum->first == 0) {
		sum->first = d->first;
		sum->first_prev = d->first_prev;
	}
	if (d->last != 0)
		sum->last = d->last;
}

static bool
add_points(struct sw_wal_digest *sum, const struct sw_wal_digest *d)
{
	struct sw_wal_point *points;

	if (d->checkpoint_count > 0) {
		struct sw_wal_checkpoint *last = sum->checkpoints != NULL ? sum->checkpoints : malloc(sizeof(*last));

		if (last == NULL)
			return false;
		*last = d->checkpoints[d->checkpoint_count - 1];
		sum->checkpoints = last;
		sum->checkpoint_count = 1;
	}
	if (d->point_count == 0)
		return true;
	if (sum->point_count + d->point_count > SW_WAL_DIGEST_POINTS_MAX)
		return false;
	points = realloc(sum->points, (sum->point_count + d->point_count) * sizeof(*points));
	if (points == NULL)
		return false;
	sum->points = points;
	memcpy(points + sum->point_count, d->points, d->point_count * sizeof(*points));
	sum->point_count += d->point_count;
	return true;
}

static bool
add_item(struct sw_wal_digest *sum, const struct sw_stretch_item *item)
{
	const struct sw_wal_digest *d = &item->digest;

	if (!item->has_digest || item->problem != NULL || item->unjoined != NULL || d->verdict != SW_WAL_COMPLETE)
		return false;
	sum->records += d->records;
	sum->commits += d->commits;
	sum->aborts += d->aborts;
	sum->truncated |= d->truncated;
	add_moments(sum, d);
	add_xids(sum, d);
	if (!item->boundary)
		add_place(sum, d);
	return add_points(sum, d);
}

bool
sw_stretch_brief(const struct sw_stretch *stretch, struct sw_wal_digest *ret_digest)
{
	struct sw_wal_digest sum = {.verdict = SW_WAL_COMPLETE};

	for (size_t i = 0; i < stretch->count; i++)
		if (!add_item(&sum, &stretch->items[i])) {
			sw_wal_digest_release(&sum);
			return false;
		}
	*ret_digest = sum;
	return stretch->count > 0;
}
