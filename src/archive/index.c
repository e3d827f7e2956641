#include "archive/index.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/index_object.h"
#include "archive/object.h"
#include "archive/stretch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/pool.h"

#define BATCH 16 /* segments that one worker takes at a time */
#define BATCHES (SW_INDEX_GROUP / BATCH)
#define INDEXES_MAX 4000000
#define TICK_MS 200
#define WHOLE_MAX (2u << 20)  /* bytes of what the WAL of a batch says where it had to be read; the rest is cut like a summary */
#define HELD_MAX (128u << 20) /* bytes of what waits to be delivered; beyond it no group is begun */
#define BRIEF_BYTES 16384 /* of an index object: its first frame, as a rule */

struct indexed {
	uint64_t group, size; /* bytes */
};

/* A group, or what of it is in a range. */
struct slot {
	uint64_t first, last;
	const struct indexed *index;    /* NULL: none, or it was found damaged */
	bool damaged;
	unsigned batch_count, next_batch, done; /* of an index object: one batch */
	struct sw_stretch batches[BATCHES];
	struct sw_stretch result;
	uint64_t held; /* bytes of both */
	bool ready;
};

struct walk {
	const struct sw_index_params *params;
	struct sw_index_range *ranges;
	size_t range_count;
	struct indexed *indexes; /* by group */
	size_t index_count;
	uint64_t total;
	pthread_mutex_t mutex;   /* of what follows */
	pthread_cond_t changed;
	struct slot *ring;
	uint64_t ring_size, taken, made; /* slots that were delivered, and begun: counts */
	size_t range;            /* where the next slot begins */
	uint64_t segment;
	uint64_t held;           /* of all slots */
	bool ended;              /* all workers have ended */
	/* not of it: */
	atomic_bool stop;        /* no more work is wanted */
	atomic_bool refused;     /* the store takes no index objects */
};

struct worker {
	struct walk *walk;
	struct sw_repository repo;
};

static void
free_digester(struct sw_wal_digester **digester)
{
	sw_wal_digester_free(*digester);
}

static uint64_t
group_of(uint64_t segment)
{
	return segment / SW_INDEX_GROUP;
}

static bool
is_whole(const struct slot *slot)
{
	return slot->last - slot->first + 1 == SW_INDEX_GROUP;
}

static void
set_batches(struct slot *slot)
{
	slot->batch_count = (unsigned)((slot->last - slot->first) / BATCH + 1);
	slot->next_batch = slot->done = 0;
}

/* --- one segment ------------------------------------------------------------------ */

/* Damage of one object is told in its item; anything else is the store's. */
static bool
is_damage(sw_rc rc)
{
	return rc == SW_CORRUPT || rc == SW_NOT_FOUND || rc == SW_CONFIG;
}

static sw_rc
set_problem(const struct worker *w, const struct sw_wal_name *name, struct sw_stretch_item *item, struct sw_error *err)
{
	char object[SW_STORE_NAME_MAX];

	sw_repository_wal_name(&w->repo, name, object);
	if (asprintf(&item->problem, "%s in %s: %s", object, sw_store_url(w->repo.store),
		err->rc == SW_NOT_FOUND ? "it was listed, but is not there any more" : err->text) < 0) {
		item->problem = NULL;
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	return SW_OK;
}

static sw_rc
read_whole(struct worker *w, const struct sw_wal_name *name, uint64_t next_xid, struct sw_wal_digest *ret_digest,
	struct sw_error *err)
{
	const struct sw_registration *reg = &w->repo.reg;
	struct sw_wal_digester_params params = {
		.start = name->segment * reg->segment_size,
		.segment_size = reg->segment_size,
		.timeline = name->timeline,
		.system_identifier = reg->system_identifier,
		.block_size = reg->block_size,
		.next_xid = next_xid,
	};
	__attribute__((cleanup(free_digester))) struct sw_wal_digester *digester = NULL;
	/* behind the digester, so that it is released first: its threads may still be writing there */
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	sw_rc rc = sw_wal_digester_new(&params, NULL, &digester, err);

	if (rc == SW_OK)
		rc = sw_object_reader_init(&reader, sw_wal_name_format(name, reg->segment_size, file),
			sw_wal_digester_stage(digester), err);
	if (rc == SW_OK)
		rc = sw_store_get(w->repo.store, sw_repository_wal_name(&w->repo, name, object), 0, 0, &reader.stage, err);
	if (rc == SW_OK && reader.summary.system_identifier != reg->system_identifier)
		rc = sw_fail(err, SW_CORRUPT, "is of another cluster");
	if (rc == SW_OK)
		rc = sw_wal_digester_take(digester, ret_digest, err);
	return rc;
}

/* What was read whole may say much: it gets what is left of *room. */
static sw_rc
limit(struct sw_stretch_item *item, size_t *room, struct sw_error *err)
{
	size_t len = sw_wal_digest_memory(&item->digest);
	bool truncated = item->digest.truncated;
	sw_rc rc;

	if (len <= *room) {
		*room -= len;
		return SW_OK;
	}
	if (len <= SW_SUMMARY_MAX)
		return SW_OK;
	rc = sw_wal_digest_cut(&item->digest, SW_SUMMARY_MAX, err);
	item->again = item->digest.truncated && !truncated;
	return rc;
}

/* Was it archived before its format was known, which it now is? */
static bool
can_be_read_now(const struct sw_wal_digest *d)
{
	return d->verdict == SW_WAL_UNKNOWN && d->magic <= UINT16_MAX && sw_wal_format_find((uint16_t)d->magic) != NULL;
}

/* The digest that push put into the summary, if there is one that can be used. */
static sw_rc
read_summary(struct worker *w, const struct sw_wal_name *name, struct sw_stretch_item *item, struct sw_error *err)
{
	__attribute__((cleanup(sw_wal_summary_release))) struct sw_wal_summary summary = {0};
	sw_rc rc = sw_object_read_summary(&w->repo, name, &summary, err);

	/* the whole object tells more of its damage */
	if (rc == SW_CORRUPT || rc == SW_CONFIG)
		return SW_OK;
	if (rc != SW_OK || summary.digest == NULL || summary.digest->truncated || can_be_read_now(summary.digest) ||
		summary.system_identifier != w->repo.reg.system_identifier || summary.segment_size != w->repo.reg.segment_size ||
		summary.digest->start != name->segment * w->repo.reg.segment_size)
		return rc;
	item->digest = *summary.digest;
	item->has_digest = item->summary = true;
	free(summary.digest);
	summary.digest = NULL;
	return SW_OK;
}

static sw_rc
read_segment(struct worker *w, uint64_t segment, uint64_t next_xid, size_t *room, struct sw_stretch *ret_stretch,
	struct sw_error *err)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = w->walk->params->timeline, .segment = segment};
	struct sw_stretch_item item = {.first = segment, .last = segment};
	sw_rc rc = read_summary(w, &name, &item, err);

	if (rc == SW_OK && !item.has_digest) {
		rc = read_whole(w, &name, next_xid, &item.digest, err);
		item.has_digest = rc == SW_OK;
		if (rc == SW_OK)
			rc = limit(&item, room, err);
	}
	if (is_damage(rc))
		rc = set_problem(w, &name, &item, err);
	if (rc == SW_OK)
		return sw_stretch_of(&item, ret_stretch, err);
	sw_stretch_item_release(&item);
	return rc;
}

/* --- batches, groups ------------------------------------------------------------------ */

static bool
stopping(const struct walk *walk, const struct sw_pool *pool)
{
	return atomic_load(&walk->stop) || sw_pool_stopping(pool);
}

static sw_rc
read_batch(struct worker *w, const struct slot *slot, unsigned batch, const struct sw_pool *pool,
	struct sw_stretch *stretch, struct sw_error *err)
{
	uint64_t first = slot->first + (uint64_t)batch * BATCH;
	uint64_t last = slot->last - first < BATCH ? slot->last : first + BATCH - 1;
	size_t room = WHOLE_MAX;
	sw_rc rc = read_segment(w, first, 0, &room, stretch, err);

	for (uint64_t segment = first + 1; rc == SW_OK && segment <= last && !stopping(w->walk, pool); segment++) {
		struct sw_stretch next = {0};

		rc = read_segment(w, segment, stretch->end.next_xid, &room, &next, err);
		if (rc == SW_OK)
			rc = sw_stretch_join(stretch, &next, &w->repo.reg, err);
	}
	return rc;
}

/*
 * Put the index object of a group that has none.  It is only a convenience: whatever refuses it is no error.  WAL of an
 * unknown format is left out: a later Seawall may read it.
 */
static void
fold(struct worker *w, const struct sw_stretch *group)
{
	struct walk *walk = w->walk;
	struct sw_error err = SW_ERROR_INIT;
	char name[SW_STORE_NAME_MAX];
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_INDEX_OBJECT_MAX);
	for (size_t i = 0; i < group->count; i++)
		if (!group->items[i].has_digest || group->items[i].digest.verdict == SW_WAL_UNKNOWN)
			return;
	rc = sw_index_object_encode(&w->repo, walk->params->timeline, group, &buf, &err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_store_body_mem(buf.data, buf.len);

		sw_index_object_name(&w->repo, walk->params->timeline, group_of(group->first), name);
		rc = sw_store_put(w->repo.store, name, &body, &err);
	}
	if (rc == SW_OK || rc == SW_CONFLICT || sw_interrupt_signal() != 0 || atomic_exchange(&walk->refused, true))
		return;
	if (rc != SW_DENIED)
		sw_log(SW_LOG_WARNING, "index objects cannot be stored, so that reading the WAL again takes as long: %s", err.text);
}

/* One item for all. */
static sw_rc
shorten(struct sw_stretch *group, struct sw_error *err)
{
	struct sw_stretch_item item = {.first = group->first, .last = group->last, .summary = true};
	struct sw_stretch_item *items;

	if (!sw_stretch_brief(group, &item.digest))
		return SW_OK;
	item.has_digest = true;
	items = malloc(sizeof(*items));
	if (items == NULL) {
		sw_stretch_item_release(&item);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	for (size_t i = 0; i < group->count; i++) {
		item.summary &= group->items[i].boundary || group->items[i].summary;
		sw_stretch_item_release(&group->items[i]);
	}
	free(group->items);
	*items = item;
	group->items = items;
	group->count = group->room = 1;
	group->begin.tail_item = 0;
	return SW_OK;
}

/* All batches of the slot are there. */
static sw_rc
finish_slot(struct worker *w, struct slot *slot, struct sw_error *err)
{
	const struct sw_index_params *params = w->walk->params;
	sw_rc rc = SW_OK;

	slot->result = slot->batches[0];
	slot->batches[0] = (struct sw_stretch){0};
	for (unsigned i = 1; rc == SW_OK && i < slot->batch_count; i++)
		rc = sw_stretch_join(&slot->result, &slot->batches[i], &w->repo.reg, err);
	if (rc != SW_OK || slot->index != NULL || !is_whole(slot))
		return rc;
	if (params->fold && params->detail != SW_INDEX_FRESH && !slot->damaged && !atomic_load(&w->walk->refused))
		fold(w, &slot->result);
	return params->detail == SW_INDEX_BRIEF ? shorten(&slot->result, err) : SW_OK;
}

/* --- index objects ---------------------------------------------------------------------- */

/* Segments of which the index could not hold all. */
static sw_rc
complete(struct worker *w, struct sw_stretch *stretch, struct sw_error *err)
{
	size_t room = (size_t)WHOLE_MAX * BATCHES;
	uint64_t next_xid = 0;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < stretch->count; i++) {
		struct sw_stretch_item *item = &stretch->items[i];
		struct sw_wal_name name = {
			.kind = SW_WAL_SEGMENT,
			.timeline = w->walk->params->timeline,
			.segment = item->first,
		};

		if (item->has_digest && item->digest.xid_full)
			next_xid = item->digest.xid_next;
		if (item->has_digest || item->problem != NULL)
			continue;
		rc = read_whole(w, &name, next_xid, &item->digest, err);
		item->has_digest = rc == SW_OK;
		if (rc == SW_OK) {
			free(item->digest.tail);
			free(item->digest.head);
			item->digest.tail = item->digest.head = NULL;
			rc = limit(item, &room, err);
		}
		if (rc == SW_OK)
			rc = sw_stretch_item_judge(item, err);
		else if (is_damage(rc))
			rc = set_problem(w, &name, item, err);
	}
	return rc;
}

static sw_rc
load_index(struct worker *w, const struct slot *slot, struct sw_stretch *stretch, struct sw_error *err)
{
	struct sw_index_object_place place = {
		.repo = &w->repo,
		.timeline = w->walk->params->timeline,
		.group = slot->index->group,
	};
	uint64_t size = slot->index->size;
	char name[SW_STORE_NAME_MAX];
	bool brief = false;
	SW_AUTO_BUF buf;
	sw_rc rc = SW_OK;

	sw_buf_init(&buf, SW_INDEX_OBJECT_MAX);
	sw_index_object_name(&w->repo, place.timeline, place.group, name);
	if (size == 0 || size > SW_INDEX_OBJECT_MAX)
		return sw_fail(err, SW_CORRUPT, "has %" PRIu64 " bytes", size);
	if (w->walk->params->detail == SW_INDEX_BRIEF && is_whole(slot)) {
		rc = sw_store_get_buf(w->repo.store, name, 0, size < BRIEF_BYTES ? size : BRIEF_BYTES, &buf, err);
		if (rc == SW_OK)
			rc = sw_index_object_brief(&place, buf.data, buf.len, &brief, stretch, err);
	}
	if (rc != SW_OK || brief)
		return rc;
	if (buf.len < size)
		rc = sw_store_get_buf(w->repo.store, name, 0, 0, &buf, err);
	return rc == SW_OK ? sw_index_object_full(&place, buf.data, buf.len, slot->first, slot->last, stretch, err) : rc;
}

/*
 * A damaged index object is passed over: *ret_usable false, the slot is to be read again, without it, and belongs to
 * whoever claims its batches.
 */
static sw_rc
read_index(struct worker *w, struct slot *slot, bool *ret_usable, struct sw_error *err)
{
	struct walk *walk = w->walk;
	char name[SW_STORE_NAME_MAX];
	sw_rc rc = load_index(w, slot, &slot->batches[0], err);

	*ret_usable = rc == SW_OK;
	if (rc == SW_OK)
		return complete(w, &slot->batches[0], err);
	if (!is_damage(rc))
		return rc;
	sw_log(SW_LOG_WARNING, "%s in %s: %s; its segments are read instead (delete it, and it will be made again)",
		sw_index_object_name(&w->repo, walk->params->timeline, slot->index->group, name),
		sw_store_url(w->repo.store), err->text);
	pthread_mutex_lock(&walk->mutex);
	slot->index = NULL;
	slot->damaged = true;
	set_batches(slot);
	pthread_cond_broadcast(&walk->changed);
	pthread_mutex_unlock(&walk->mutex);
	return SW_OK;
}

static sw_rc
add_index(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct walk *walk = ctx;
	struct indexed *indexes = walk->indexes;
	size_t count = walk->index_count;
	uint64_t group;

	if (!sw_index_object_parse_name(name, &group))
		return SW_OK;
	if (group > group_of(walk->ranges[walk->range_count - 1].last))
		return SW_CONFLICT;
	if (count >= INDEXES_MAX)
		return sw_fail(err, SW_CORRUPT, "there are more than %d index objects", INDEXES_MAX);
	if ((count & (count - 1)) == 0)
		indexes = realloc(indexes, (count == 0 ? 1 : 2 * count) * sizeof(*indexes));
	if (indexes == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	indexes[count] = (struct indexed){.group = group, .size = info->size};
	walk->indexes = indexes;
	walk->index_count++;
	return SW_OK;
}

static sw_rc
list_indexes(struct walk *walk, struct sw_error *err)
{
	const struct sw_index_params *params = walk->params;
	uint64_t first = group_of(walk->ranges[0].first);
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX];

	sw_repository_name(params->repo, prefix, "index/%08" PRIX32 "/", params->timeline);
	if (first > 0)
		sw_index_object_name(params->repo, params->timeline, first - 1, after);
	return sw_store_list(params->repo->store, prefix, first > 0 ? after : NULL, add_index, walk, err);
}

/* --- workers ------------------------------------------------------------------------------ */

static const struct indexed *
find_index(const struct walk *walk, uint64_t group)
{
	size_t low = 0, high = walk->index_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (walk->indexes[middle].group < group)
			low = middle + 1;
		else
			high = middle;
	}
	return low < walk->index_count && walk->indexes[low].group == group ? &walk->indexes[low] : NULL;
}

/* The next slot, or NULL if the ring is full or there is no more.  With the mutex. */
static struct slot *
begin_slot(struct walk *walk)
{
	struct slot *slot = &walk->ring[walk->made % walk->ring_size];
	uint64_t end;

	if (walk->made - walk->taken == walk->ring_size || walk->range == walk->range_count ||
		(walk->held > HELD_MAX && walk->made > walk->taken))
		return NULL;
	*slot = (struct slot){.first = walk->segment};
	end = (group_of(slot->first) + 1) * SW_INDEX_GROUP - 1;
	slot->last = end < walk->ranges[walk->range].last ? end : walk->ranges[walk->range].last;
	slot->index = find_index(walk, group_of(slot->first));
	set_batches(slot);
	if (slot->index != NULL)
		slot->batch_count = 1;
	if (slot->last < walk->ranges[walk->range].last)
		walk->segment = slot->last + 1;
	else if (++walk->range < walk->range_count)
		walk->segment = walk->ranges[walk->range].first;
	walk->made++;
	return slot;
}

/* Something to do, or NULL at the end. */
static struct slot *
claim(struct walk *walk, const struct sw_pool *pool, unsigned *ret_batch)
{
	struct slot *found = NULL;

	pthread_mutex_lock(&walk->mutex);
	while (found == NULL && !stopping(walk, pool)) {
		for (uint64_t i = walk->taken; found == NULL && i < walk->made; i++) {
			struct slot *slot = &walk->ring[i % walk->ring_size];

			if (slot->next_batch < slot->batch_count)
				found = slot;
		}
		if (found == NULL)
			found = begin_slot(walk);
		if (found == NULL && walk->range == walk->range_count && walk->taken == walk->made)
			break;
		if (found == NULL)
			pthread_cond_wait(&walk->changed, &walk->mutex);
	}
	if (found != NULL)
		*ret_batch = found->next_batch++;
	pthread_mutex_unlock(&walk->mutex);
	return found;
}

static void
stop_walk(struct walk *walk)
{
	pthread_mutex_lock(&walk->mutex);
	atomic_store(&walk->stop, true);
	pthread_cond_broadcast(&walk->changed);
	pthread_mutex_unlock(&walk->mutex);
}

static uint64_t
memory_of(const struct sw_stretch *stretch)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < stretch->count; i++)
		bytes += sizeof(stretch->items[i]) + sw_wal_digest_memory(&stretch->items[i].digest);
	return bytes;
}

/* With the mutex. */
static void
hold(struct walk *walk, struct slot *slot, uint64_t bytes)
{
	walk->held += bytes - slot->held;
	slot->held = bytes;
}

/* One more batch of the slot is there; the last one makes it ready. */
static sw_rc
batch_done(struct worker *w, struct slot *slot, unsigned batch, struct sw_error *err)
{
	struct walk *walk = w->walk;
	uint64_t bytes = memory_of(&slot->batches[batch]);
	bool last;
	sw_rc rc = SW_OK;

	pthread_mutex_lock(&walk->mutex);
	hold(walk, slot, slot->held + bytes);
	last = ++slot->done == slot->batch_count;
	pthread_mutex_unlock(&walk->mutex);
	if (last) {
		rc = finish_slot(w, slot, err);
		bytes = memory_of(&slot->result);
	}
	pthread_mutex_lock(&walk->mutex);
	if (last) {
		hold(walk, slot, bytes);
		slot->ready = rc == SW_OK;
	}
	pthread_cond_broadcast(&walk->changed);
	pthread_mutex_unlock(&walk->mutex);
	return rc;
}

static sw_rc
work(struct sw_pool *pool, unsigned number, void *ctx, struct sw_error *err)
{
	struct walk *walk = ctx;
	struct worker w = {.walk = walk, .repo = *walk->params->repo};
	SW_AUTO_STORE *store = NULL;
	struct slot *slot;
	unsigned batch;
	sw_rc rc = sw_store_clone(walk->params->repo->store, &store, err);

	(void)number;
	w.repo.store = store;
	while (rc == SW_OK && (slot = claim(walk, pool, &batch)) != NULL) {
		bool whole = true;

		if (slot->index != NULL)
			rc = read_index(&w, slot, &whole, err);
		else
			rc = read_batch(&w, slot, batch, pool, &slot->batches[batch], err);
		if (rc == SW_OK && whole && !stopping(walk, pool))
			rc = batch_done(&w, slot, batch, err);
	}
	if (rc != SW_OK)
		stop_walk(walk);
	return rc;
}

/* --- the calling thread -------------------------------------------------------------------- */

struct runner {
	struct walk *walk;
	unsigned count;
	pthread_t thread;
	struct sw_error err;
};

static void *
runner_main(void *arg)
{
	struct runner *runner = arg;

	sw_pool_run(runner->count, work, NULL, runner->walk, &runner->err);
	pthread_mutex_lock(&runner->walk->mutex);
	runner->walk->ended = true;
	pthread_cond_broadcast(&runner->walk->changed);
	pthread_mutex_unlock(&runner->walk->mutex);
	return NULL;
}

struct delivery {
	struct walk *walk;
	sw_index_each each;
	void *ctx;
	struct sw_stretch before; /* what was delivered: its edges */
	uint64_t done;
	int64_t ticked_ms;
};

static void
tick(struct delivery *d)
{
	const struct sw_index_params *params = d->walk->params;
	int64_t now = sw_clock_monotonic_ms();

	if (params->tick == NULL || now - d->ticked_ms < TICK_MS)
		return;
	d->ticked_ms = now;
	params->tick(params->tick_ctx, d->done, d->walk->total);
}

static sw_rc
deliver_item(struct delivery *d, const struct sw_stretch_item *i, struct sw_error *err)
{
	SW_AUTO_FREE char *both = NULL;
	struct sw_index_item item = {
		.timeline = d->walk->params->timeline,
		.first = i->first,
		.last = i->last,
		.boundary = i->boundary,
		.summary = i->summary,
		.digest = i->has_digest ? &i->digest : NULL,
		.problem = i->problem != NULL ? i->problem : i->unjoined,
		.unjoined = i->unjoined != NULL,
	};

	if (i->problem != NULL && i->unjoined != NULL) {
		if (asprintf(&both, "%s; %s", i->problem, i->unjoined) < 0) {
			both = NULL;
			return sw_fail(err, SW_SYSTEM, "out of memory");
		}
		item.problem = both;
	}
	if (!i->boundary)
		d->done += i->last - i->first + 1;
	return d->each(d->ctx, &item, err);
}

/* Items that were delivered are not needed again, only the edge. */
static sw_rc
deliver(struct delivery *d, struct sw_stretch *next, struct sw_error *err)
{
	struct sw_stretch *before = &d->before;
	sw_rc rc = SW_OK;

	if (before->end.known && before->last + 1 == next->first) {
		rc = sw_stretch_join(before, next, &d->walk->params->repo->reg, err);
	} else {
		sw_stretch_release(before);
		*before = *next;
		*next = (struct sw_stretch){0};
	}
	for (size_t i = 0; rc == SW_OK && i < before->count; i++) {
		rc = deliver_item(d, &before->items[i], err);
		tick(d);
	}
	for (size_t i = 0; i < before->count; i++)
		sw_stretch_item_release(&before->items[i]);
	before->count = 0;
	return rc;
}

/* The next slot when it is ready, or NULL when no more will come. */
static struct slot *
next_slot(struct delivery *d)
{
	struct walk *walk = d->walk;
	struct slot *slot = NULL;

	pthread_mutex_lock(&walk->mutex);
	for (;;) {
		struct timespec until;

		if (walk->taken < walk->made && walk->ring[walk->taken % walk->ring_size].ready)
			slot = &walk->ring[walk->taken % walk->ring_size];
		if (slot != NULL || walk->ended || atomic_load(&walk->stop))
			break;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&walk->changed, &walk->mutex, &until);
		if (sw_interrupt_signal() != 0)
			atomic_store(&walk->stop, true);
		pthread_mutex_unlock(&walk->mutex);
		tick(d);
		pthread_mutex_lock(&walk->mutex);
	}
	pthread_mutex_unlock(&walk->mutex);
	return slot;
}

static sw_rc
deliver_all(struct delivery *d, struct sw_error *err)
{
	struct walk *walk = d->walk;
	struct slot *slot;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && (slot = next_slot(d)) != NULL) {
		struct sw_stretch next = slot->result;

		pthread_mutex_lock(&walk->mutex);
		hold(walk, slot, 0);
		*slot = (struct slot){0};
		walk->taken++;
		pthread_cond_broadcast(&walk->changed);
		pthread_mutex_unlock(&walk->mutex);
		rc = deliver(d, &next, err);
		sw_stretch_release(&next);
	}
	sw_stretch_release(&d->before);
	return rc;
}

static sw_rc
fail_walk(const struct walk *walk, struct sw_error *err)
{
	return sw_wrap(err, "reading what the WAL of timeline %" PRIu32 " in %s says", walk->params->timeline,
		sw_store_url(walk->params->repo->store));
}

static sw_rc
run(struct walk *walk, unsigned workers, sw_index_each each, void *ctx, struct sw_error *err)
{
	struct runner runner = {.walk = walk, .count = workers, .err = SW_ERROR_INIT};
	struct delivery delivery = {.walk = walk, .each = each, .ctx = ctx, .ticked_ms = sw_clock_monotonic_ms()};
	sw_rc rc = sw_pool_thread(&runner.thread, runner_main, &runner, err);

	if (rc != SW_OK)
		return rc;
	rc = deliver_all(&delivery, err);
	stop_walk(walk);
	pthread_join(runner.thread, NULL);
	if (rc == SW_CONFLICT)
		return SW_OK;
	if (rc == SW_OK && sw_interrupt_signal() != 0)
		return sw_interrupt_check(err);
	if (rc == SW_OK && runner.err.rc != SW_OK) {
		*err = runner.err;
		rc = fail_walk(walk, err);
	}
	return rc;
}

/* --- the walk -------------------------------------------------------------------------------- */

/* Ranges side by side are one. */
static sw_rc
take_ranges(const struct sw_index_params *params, struct walk *walk, struct sw_error *err)
{
	walk->ranges = calloc(params->range_count + 1, sizeof(*walk->ranges));
	if (walk->ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < params->range_count; i++) {
		const struct sw_index_range *range = &params->ranges[i];
		struct sw_index_range *before = walk->range_count > 0 ? &walk->ranges[walk->range_count - 1] : NULL;

		if (range->last < range->first || (before != NULL && range->first <= before->last))
			return sw_fail(err, SW_BUG, "ranges of WAL that are not in order");
		if (before != NULL && before->last + 1 == range->first)
			before->last = range->last;
		else
			walk->ranges[walk->range_count++] = *range;
		walk->total += range->last - range->first + 1;
	}
	return SW_OK;
}

static void
release_walk(struct walk *walk)
{
	for (uint64_t i = 0; walk->ring != NULL && i < walk->ring_size; i++) {
		for (size_t b = 0; b < BATCHES; b++)
			sw_stretch_release(&walk->ring[i].batches[b]);
		sw_stretch_release(&walk->ring[i].result);
	}
	free(walk->ring);
	free(walk->indexes);
	free(walk->ranges);
}

sw_rc
sw_index_walk(const struct sw_index_params *params, sw_index_each each, void *ctx, struct sw_error *err)
{
	struct walk walk = {
		.params = params,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	uint64_t workers = params->workers > 0 ? params->workers : 1;
	sw_rc rc = take_ranges(params, &walk, err);

	if (rc == SW_OK && walk.range_count > 0) {
		if (workers > walk.total / BATCH + walk.range_count)
			workers = walk.total / BATCH + walk.range_count;
		walk.segment = walk.ranges[0].first;
		walk.ring_size = 2 * workers;
		walk.ring = calloc(walk.ring_size, sizeof(*walk.ring));
		if (walk.ring == NULL)
			rc = sw_fail(err, SW_SYSTEM, "out of memory");
		if (rc == SW_OK && params->detail != SW_INDEX_FRESH && list_indexes(&walk, err) != SW_OK)
			rc = fail_walk(&walk, err);
		if (rc == SW_OK)
			rc = run(&walk, (unsigned)workers, each, ctx, err);
	}
	release_walk(&walk);
	return rc;
}
