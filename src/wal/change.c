#include "wal/change.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NONE (-1)

/* Of all items of a transaction. */
static int32_t *
bucket_of(struct sw_wal_changes *c, uint32_t xid)
{
	return &c->buckets[(xid * c->salt) >> 20];
}

/* Of one item: a transaction may have many. */
static int32_t *
place_of(struct sw_wal_changes *c, uint32_t xid, const struct sw_wal_relation *relation)
{
	return &c->places[((xid * c->salt + relation->filenode) * c->salt) >> 20];
}

static void
free_item(struct sw_wal_changes *c, int32_t i)
{
	c->items[i].used = false;
	c->items[i].next = c->free;
	c->free = i;
	if (c->recent == i)
		c->recent = NONE;
}

static void
leave_place(struct sw_wal_changes *c, int32_t i)
{
	int32_t *link = place_of(c, c->items[i].xid, &c->items[i].relation);

	while (*link != i)
		link = &c->items[*link].beside;
	*link = c->items[i].beside;
}

static void
unlink_item(struct sw_wal_changes *c, int32_t i)
{
	int32_t *link = bucket_of(c, c->items[i].xid);

	while (*link != i)
		link = &c->items[*link].next;
	*link = c->items[i].next;
	leave_place(c, i);
}

static int32_t
find(struct sw_wal_changes *c, uint32_t xid, const struct sw_wal_relation *relation)
{
	int32_t i = *place_of(c, xid, relation);

	while (i != NONE && (c->items[i].xid != xid || c->items[i].committed ||
		!sw_wal_relation_equal(&c->items[i].relation, relation)))
		i = c->items[i].beside;
	return i;
}

static bool
is_small(const struct sw_wal_changes *c, const struct sw_wal_change *item)
{
	return item->updates + item->deletes < c->min;
}

static void
forget_small(struct sw_wal_changes *c)
{
	for (uint32_t i = 0; i < c->capacity; i++)
		if (c->items[i].used && is_small(c, &c->items[i])) {
			c->lost += c->items[i].updates + c->items[i].deletes;
			unlink_item(c, (int32_t)i);
			free_item(c, (int32_t)i);
		}
	c->may_forget = false;
}

static void
link_item(struct sw_wal_changes *c, int32_t i, uint32_t xid)
{
	int32_t *bucket = bucket_of(c, xid), *place = place_of(c, xid, &c->items[i].relation);

	c->items[i].xid = xid;
	c->items[i].next = *bucket;
	*bucket = i;
	c->items[i].beside = *place;
	*place = i;
}

static int32_t
new_item(struct sw_wal_changes *c, uint32_t xid, const struct sw_wal_relation *relation, sw_lsn lsn)
{
	int32_t i;

	if (c->free == NONE && c->may_forget)
		forget_small(c);
	i = c->free;
	if (i == NONE)
		return NONE;
	c->free = c->items[i].next;
	c->items[i] = (struct sw_wal_change){.relation = *relation, .first = lsn, .used = true};
	link_item(c, i, xid);
	return i;
}

void
sw_wal_change_add(struct sw_wal_changes *c, uint32_t xid, sw_lsn lsn, const struct sw_wal_event *event)
{
	struct sw_wal_change *item = c->recent != NONE ? &c->items[c->recent] : NULL;

	if (event->rows.change != SW_WAL_UPDATE && event->rows.change != SW_WAL_DELETE)
		return;
	if (item == NULL || item->xid != xid || item->committed ||
		!sw_wal_relation_equal(&item->relation, &event->rows.relation)) {
		int32_t i = find(c, xid, &event->rows.relation);

		if (i == NONE)
			i = new_item(c, xid, &event->rows.relation, lsn);
		if (i == NONE) {
			c->lost += event->rows.count;
			return;
		}
		c->recent = i;
		item = &c->items[i];
	}
	item->last = lsn;
	if (event->rows.change == SW_WAL_UPDATE)
		item->updates += event->rows.count;
	else
		item->deletes += event->rows.count;
}

/* Item i, whose transaction is `xid` from now on, or part of an item of that. */
static void
move(struct sw_wal_changes *c, int32_t i, uint32_t xid)
{
	struct sw_wal_change *item = &c->items[i];
	int32_t same = find(c, xid, &item->relation);

	if (same == NONE) {
		link_item(c, i, xid);
		return;
	}
	c->items[same].updates += item->updates;
	c->items[same].deletes += item->deletes;
	if (item->first < c->items[same].first)
		c->items[same].first = item->first;
	if (item->last > c->items[same].last)
		c->items[same].last = item->last;
	free_item(c, i);
}

/* Take the first item of xid that is committed, or not, out of its bucket. */
static int32_t
pick(struct sw_wal_changes *c, uint32_t xid, bool committed)
{
	int32_t *link = bucket_of(c, xid);

	while (*link != NONE) {
		int32_t i = *link;

		if (c->items[i].xid == xid && c->items[i].committed == committed) {
			*link = c->items[i].next;
			leave_place(c, i);
			return i;
		}
		link = &c->items[i].next;
	}
	return NONE;
}

static void
end_one(struct sw_wal_changes *c, uint32_t xid, bool commit, uint32_t top)
{
	for (int32_t i = pick(c, xid, false); i != NONE; i = pick(c, xid, false))
		if (commit)
			move(c, i, top);
		else
			free_item(c, i);
}

static bool
is_forgotten(const struct sw_wal_changes *c, uint32_t xid, const struct sw_wal_change *item)
{
	bool is_new = !c->keep_small || (c->new_from != 0 && (int32_t)(xid - c->new_from) >= 0);

	return is_new && is_small(c, item);
}

static void
commit_top(struct sw_wal_changes *c, uint32_t xid)
{
	for (int32_t i = pick(c, xid, false); i != NONE; i = pick(c, xid, false)) {
		if (is_forgotten(c, xid, &c->items[i])) {
			free_item(c, i);
			continue;
		}
		c->items[i].committed = true;
		link_item(c, i, xid);
	}
}

bool
sw_wal_change_take(struct sw_wal_changes *c, uint32_t xid, struct sw_wal_change *ret_change)
{
	int32_t i = pick(c, xid, true);

	if (i == NONE)
		return false;
	*ret_change = c->items[i];
	free_item(c, i);
	return true;
}

void
sw_wal_change_end(struct sw_wal_changes *c, const struct sw_wal_event *event)
{
	const struct sw_wal_transaction *t = &event->transaction;
	bool commit = event->kind == SW_WAL_COMMIT;

	c->may_forget = true;
	for (uint32_t i = 0; i < t->subxids.count; i++) {
		uint32_t xid = sw_wal_event_u32(&t->subxids, i);

		if (xid != t->xid)
			end_one(c, xid, commit, t->xid);
	}
	if (commit)
		commit_top(c, t->xid);
	else
		end_one(c, t->xid, false, 0);
}

const struct sw_wal_change *
sw_wal_change_next(const struct sw_wal_changes *c, uint32_t *at)
{
	while (*at < c->capacity && !c->items[*at].used)
		(*at)++;
	return *at < c->capacity ? &c->items[(*at)++] : NULL;
}

uint32_t
sw_wal_change_salt(void)
{
	uint32_t salt = 2654435761u;

	/* without any, it is slower for WAL that was made for that */
	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	return salt | 1;
}

sw_rc
sw_wal_change_init(struct sw_wal_changes *c, uint32_t capacity, uint64_t min, struct sw_error *err)
{
	*c = (struct sw_wal_changes){.capacity = capacity, .min = min, .free = NONE, .recent = NONE, .may_forget = true};
	c->items = calloc(capacity, sizeof(*c->items));
	c->buckets = malloc(2 * SW_WAL_CHANGE_BUCKETS * sizeof(*c->buckets));
	if (c->items == NULL || c->buckets == NULL) {
		sw_wal_change_release(c);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	c->places = c->buckets + SW_WAL_CHANGE_BUCKETS;
	for (int i = 0; i < 2 * SW_WAL_CHANGE_BUCKETS; i++)
		c->buckets[i] = NONE;
	c->salt = sw_wal_change_salt();
	for (uint32_t i = capacity; i > 0; i--)
		free_item(c, (int32_t)i - 1);
	return SW_OK;
}

void
sw_wal_change_release(struct sw_wal_changes *c)
{
	free(c->items);
	free(c->buckets);
	c->items = NULL;
	c->buckets = c->places = NULL;
}
