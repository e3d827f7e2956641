#include "wal/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal/temporary.h"

#define MEMORY_MAX (4u << 20) /* of all lists */
#define OPEN_BUCKETS 1024
#define OPEN_MAX 4096
#define CHANGES_AT_ONCE 4096
#define CHANGES_OF_RECORD 4
#define FIRST_USER_FILENODE 16384
#define STATISTIC_OF_RELATION 2 /* PGSTAT_KIND_RELATION */
#define INVALIDATED_RELATION (-2)
#define JOIN_BACK 8 /* so many items back it is looked whether a row was moved before */
#define LAST_WITHOUT_DROPPED_OIDS 14
#define XID_LIMIT (UINT64_C(1) << 53) /* JSON's numbers */
#define FIRST_NORMAL_XID 3

/*
 * A transaction that wrote before this stretch got its xid before it; one that gets its xid writes at once.  So the
 * highest xid of the first records of a busy server is beyond those, and any higher one is new.
 */
#define EARLY_RECORDS 64

/* What records with one xid did, while that is open. */
struct build {
	struct sw_wal_act act;
	uint32_t xid;
	uint32_t new_database;      /* CREATE DATABASE: its files are no news */
	struct sw_wal_object *temps; /* relations that it made, and that are temporary */
	size_t temp_count;
	bool temporary;             /* temporary relations were changed */
	struct build *next;
};

struct gather {
	struct sw_wal_meaning meaning;
	struct sw_wal_digest digest; /* xids have 32 bits until the end */
	struct build *open[OPEN_BUCKETS];
	uint32_t salt;
	unsigned open_count;
	size_t memory; /* that lists take */
	bool out_of_memory;
	uint32_t base_xid;          /* xids are compared as distances from this, the first one */
	uint32_t next_xid;          /* beyond the highest; 0: none yet */
	uint32_t xid_min, xid_max;  /* of what ended; 0: none */
	uint32_t ends_below;
	bool ends_limited;
	unsigned early;             /* records with an xid, up to EARLY_RECORDS */
	size_t rows_count;          /* in acts */
	size_t moved_count;         /* in builds and acts */
	struct sw_wal_temporary temporary;
};

struct sw_wal_digester {
	struct sw_wal_reader reader;
	struct gather gather;
};

/* --- lists --------------------------------------------------------------------------- */

#define ACT_LISTS(each) \
	each(subxids, subxid_count) each(dropped, dropped_count) each(dropped_oids, dropped_oid_count) \
	each(touched, touched_count) each(created, created_count) each(born, born_count) \
	each(moved, moved_count) each(truncated, truncated_count) each(databases, database_count) \
	each(tablespaces, tablespace_count) each(rows, rows_count)

/* Lists grow by doubling, so that their count tells their room. */
static size_t
room_of(size_t count)
{
	size_t room = 4;

	while (room < count)
		room *= 2;
	return count == 0 ? 0 : room;
}

/* The list with room for one more item; NULL if it has all that it may have. */
static void *
grow(struct gather *g, void *list, size_t count, size_t item_len, size_t max)
{
	size_t old = room_of(count), want = room_of(count + 1), more = (want - old) * item_len;
	void *grown;

	if (count >= max || g->memory + more > MEMORY_MAX) {
		g->digest.truncated = true;
		return NULL;
	}
	if (want == old)
		return list;
	grown = realloc(list, want * item_len);
	g->out_of_memory |= grown == NULL;
	g->memory += grown != NULL ? more : 0;
	return grown;
}

/* Put an item behind the list; false: it was left out. */
#define ADD(g, list, count, max, ...) \
	({ \
		void *grown_ = grow(g, list, count, sizeof(*(list)), max); \
		if (grown_ != NULL) { \
			(list) = grown_; \
			(list)[(count)++] = __VA_ARGS__; \
		} \
		grown_ != NULL; \
	})

#define ADD_TO_ACT(g, act, list, count, ...) \
	((act)->cut |= !ADD(g, (act)->list, (act)->count, SW_WAL_DIGEST_LIST_MAX, __VA_ARGS__))

static void
release_act(struct sw_wal_act *act)
{
#define FREE_LIST(list, count) free(act->list);
	ACT_LISTS(FREE_LIST)
#undef FREE_LIST
}

static void
forget_act(struct gather *g, struct sw_wal_act *act)
{
#define GIVE_BACK(list, count) g->memory -= room_of(act->count) * sizeof(*act->list);
	ACT_LISTS(GIVE_BACK)
#undef GIVE_BACK
	g->rows_count -= act->rows_count;
	g->moved_count -= act->moved_count;
	release_act(act);
}

void
sw_wal_digest_release(struct sw_wal_digest *d)
{
	for (size_t i = 0; i < d->act_count; i++)
		release_act(&d->acts[i]);
	for (size_t i = 0; i < d->end_count; i++)
		free(d->ends[i].subxids);
	free(d->acts);
	free(d->ends);
	free(d->points);
	free(d->checkpoints);
	free(d->invalidated);
	free(d->tail);
	free(d->head);
	*d = (struct sw_wal_digest){.ends_below = UINT64_MAX};
}

size_t
sw_wal_digest_memory(const struct sw_wal_digest *d)
{
	size_t bytes = room_of(d->act_count) * sizeof(*d->acts) + room_of(d->end_count) * sizeof(*d->ends) +
		room_of(d->point_count) * sizeof(*d->points) + room_of(d->checkpoint_count) * sizeof(*d->checkpoints) +
		room_of(d->invalidated_count) * sizeof(*d->invalidated);

	for (size_t i = 0; i < d->act_count; i++) {
		const struct sw_wal_act *act = &d->acts[i];

#define ADD_LIST(list, count) bytes += room_of(act->count) * sizeof(*act->list);
		ACT_LISTS(ADD_LIST)
#undef ADD_LIST
	}
	for (size_t i = 0; i < d->end_count; i++)
		bytes += room_of(d->ends[i].subxid_count) * sizeof(*d->ends[i].subxids);
	return bytes;
}

/* --- transaction ids ----------------------------------------------------------------- */

static int32_t
distance(const struct gather *g, uint32_t xid)
{
	return (int32_t)(xid - g->base_xid);
}

static void
see_xid(struct gather *g, uint32_t xid)
{
	if (xid < FIRST_NORMAL_XID)
		return;
	if (g->next_xid == 0) {
		g->base_xid = xid;
		g->next_xid = xid + 1;
	} else if (distance(g, xid) >= distance(g, g->next_xid)) {
		g->next_xid = xid + 1;
	}
	if (g->early < EARLY_RECORDS && ++g->early == EARLY_RECORDS)
		g->meaning.changes.new_from = g->next_xid;
}

/* 64 bits where they are known. */
static uint64_t
full_xid(const struct gather *g, uint32_t xid)
{
	uint64_t full = g->digest.xid_full ? sw_wal_meaning_xid(&g->meaning, xid) : 0;

	return full != 0 && full < XID_LIMIT ? full : xid;
}

/* --- open transactions --------------------------------------------------------------- */

static struct build **
bucket_of(struct gather *g, uint32_t xid)
{
	return &g->open[((xid * g->salt) >> 16) % OPEN_BUCKETS];
}

static struct build *
new_build(struct gather *g, uint32_t xid)
{
	struct build *b = calloc(1, sizeof(*b));

	g->out_of_memory |= b == NULL;
	if (b != NULL)
		b->xid = xid;
	return b;
}

/* What the transaction did so far; NULL: there are too many, or it is none. */
static struct build *
build_of(struct gather *g, uint32_t xid, sw_lsn lsn)
{
	struct build **bucket = bucket_of(g, xid), *b;

	for (b = *bucket; b != NULL && b->xid != xid; b = b->next)
		;
	if (b == NULL && xid >= FIRST_NORMAL_XID) {
		if (g->open_count < OPEN_MAX)
			b = new_build(g, xid);
		if (b == NULL) {
			g->digest.truncated = true;
			return NULL;
		}
		g->open_count++;
		b->next = *bucket;
		*bucket = b;
	}
	if (b != NULL && (b->act.first == 0 || lsn < b->act.first))
		b->act.first = lsn;
	return b;
}

static struct build *
take_build(struct gather *g, uint32_t xid)
{
	struct build **link = bucket_of(g, xid), *b;

	while (*link != NULL && (*link)->xid != xid)
		link = &(*link)->next;
	b = *link;
	if (b != NULL) {
		*link = b->next;
		g->open_count--;
	}
	return b;
}

static void
forget_build(struct gather *g, struct build *b)
{
	if (b == NULL)
		return;
	forget_act(g, &b->act);
	g->memory -= room_of(b->temp_count) * sizeof(*b->temps);
	free(b->temps);
	free(b);
}

/* A subtransaction's part becomes the top one's. */
static void
merge(struct gather *g, struct build *top, struct build *sub)
{
	struct sw_wal_act *to = &top->act, *from = &sub->act;
	size_t moved = to->moved_count;

#define MERGE_LIST(list, count) \
	for (size_t i = 0; i < from->count; i++) \
		ADD_TO_ACT(g, to, list, count, from->list[i]);
	ACT_LISTS(MERGE_LIST)
#undef MERGE_LIST
	g->moved_count += to->moved_count - moved;
	to->moved_cut |= from->moved_cut;
	to->places_cut |= from->places_cut;
	for (size_t i = 0; i < sub->temp_count; i++)
		(void)ADD(g, top->temps, top->temp_count, SW_WAL_DIGEST_LIST_MAX, sub->temps[i]);
	if (from->first != 0 && (to->first == 0 || from->first < to->first))
		to->first = from->first;
	to->class_updates += from->class_updates;
	to->class_deletes += from->class_deletes;
	to->remapped |= from->remapped;
	to->cut |= from->cut;
	top->temporary |= sub->temporary;
	forget_build(g, sub);
}

/* --- what was made and dropped by one transaction ---------------------------------------- */

static int
compare_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int
compare_relations(const void *a, const void *b)
{
	const struct sw_wal_relation *x = a, *y = b;
	int order = compare_u32(x->filenode, y->filenode);

	if (order == 0)
		order = compare_u32(x->database, y->database);
	return order != 0 ? order : compare_u32(x->tablespace, y->tablespace);
}

static int
compare_objects(const void *a, const void *b)
{
	const struct sw_wal_object *x = a, *y = b;
	int order = compare_u32(x->oid, y->oid);

	return order != 0 ? order : compare_u32(x->database, y->database);
}

/* Take out of the list what is in `sorted`; the rest keeps its order.  Returns what is left. */
static size_t
subtract(void *list, size_t count, const void *sorted, size_t sorted_count, size_t item_len,
	int (*compare)(const void *, const void *))
{
	uint8_t *items = list;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (sorted_count == 0 ||
			bsearch(items + i * item_len, sorted, sorted_count, item_len, compare) == NULL)
			memmove(items + kept++ * item_len, items + i * item_len, item_len);
	return kept;
}

static void *
sorted_copy(struct gather *g, const void *list, size_t count, size_t item_len,
	int (*compare)(const void *, const void *))
{
	void *copy = malloc(count * item_len);

	g->out_of_memory |= copy == NULL;
	if (copy != NULL) {
		memcpy(copy, list, count * item_len);
		qsort(copy, count, item_len, compare);
	}
	return copy;
}

/* The list has fewer items now: its memory too, so that the count tells the room. */
static void *
shrunk(struct gather *g, void *list, size_t count, size_t new_count, size_t item_len)
{
	size_t old = room_of(count), want = room_of(new_count);
	void *smaller = list;

	if (want == old)
		return list;
	g->memory -= (old - want) * item_len;
	if (want == 0) {
		free(list);
		return NULL;
	}
	smaller = realloc(list, want * item_len);
	return smaller != NULL ? smaller : list;
}

#define SET_COUNT(g, list, count, new_count) \
	do { \
		size_t left_ = (new_count); \
		(list) = shrunk(g, list, count, left_, sizeof(*(list))); \
		(count) = left_; \
	} while (0)

/* Those of the files that relations were born with. */
static size_t
only_born(struct sw_wal_relation *files, size_t count, const struct sw_wal_object *born, size_t born_count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct sw_wal_object key = {files[i].database, files[i].filenode};

		if (bsearch(&key, born, born_count, sizeof(*born), compare_objects) != NULL)
			files[kept++] = files[i];
	}
	return kept;
}

/* Others stay: whoever tells which new file is whose needs each link of the chain. */
static void
subtract_files(struct gather *g, struct sw_wal_act *act)
{
	const size_t len = sizeof(*act->created);
	struct sw_wal_relation *created, *dropped;
	struct sw_wal_object *born;

	if (act->created_count == 0 || act->dropped_count == 0 || act->born_count == 0)
		return;
	created = sorted_copy(g, act->created, act->created_count, len, compare_relations);
	dropped = sorted_copy(g, act->dropped, act->dropped_count, len, compare_relations);
	born = malloc(act->born_count * sizeof(*born));
	g->out_of_memory |= born == NULL;
	if (created != NULL && dropped != NULL && born != NULL) {
		size_t made = act->created_count, gone = act->dropped_count, born_made, born_gone;

		for (size_t i = 0; i < act->born_count; i++)
			born[i] = (struct sw_wal_object){act->born[i].database,
				act->born[i].filenode != 0 ? act->born[i].filenode : act->born[i].oid};
		qsort(born, act->born_count, sizeof(*born), compare_objects);
		born_made = only_born(created, made, born, act->born_count);
		born_gone = only_born(dropped, gone, born, act->born_count);
		SET_COUNT(g, act->created, act->created_count,
			subtract(act->created, made, dropped, born_gone, len, compare_relations));
		SET_COUNT(g, act->dropped, act->dropped_count,
			subtract(act->dropped, gone, created, born_made, len, compare_relations));
	}
	free(created);
	free(dropped);
	free(born);
}

/* Relations that lived and died within the transaction, and temporary ones, are no loss. */
static void
subtract_oids(struct gather *g, struct build *b)
{
	struct sw_wal_act *act = &b->act;
	size_t count = act->born_count + b->temp_count;
	struct sw_wal_object *made;

	if (act->dropped_oid_count == 0 || count == 0)
		return;
	made = malloc(count * sizeof(*made));
	g->out_of_memory |= made == NULL;
	if (made == NULL)
		return;
	for (size_t i = 0; i < act->born_count; i++)
		made[i] = (struct sw_wal_object){act->born[i].database, act->born[i].oid};
	if (b->temp_count > 0)
		memcpy(made + act->born_count, b->temps, b->temp_count * sizeof(*made));
	qsort(made, count, sizeof(*made), compare_objects);
	SET_COUNT(g, act->dropped_oids, act->dropped_oid_count,
		subtract(act->dropped_oids, act->dropped_oid_count, made, count, sizeof(*made), compare_objects));
	free(made);
}

/* --- rows changed: those with the most are kept -------------------------------------------- */

static uint64_t
row_total(const struct sw_wal_rows *rows)
{
	return rows->updates + rows->deletes;
}

static int
compare_totals(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

static bool
says_something(const struct sw_wal_act *act, bool temporary)
{
	if (act->dropped_count + act->dropped_oid_count + act->created_count + act->born_count +
		act->truncated_count + act->database_count + act->tablespace_count + act->rows_count +
		act->moved_count > 0)
		return true;
	return act->remapped || act->cut || act->moved_cut || act->places_cut ||
		(!temporary && (act->class_updates > 0 || (!act->committed && act->class_deletes > 0)));
}

/* Rows with fewer than `least` go, and those with `least` when `equal` of them are kept. */
static void
drop_rows(struct gather *g, struct sw_wal_act *act, uint64_t least, size_t *equal)
{
	size_t kept = 0;

	for (size_t i = 0; i < act->rows_count; i++) {
		uint64_t total = row_total(&act->rows[i]);
		bool keep = total > least || (total == least && *equal > 0);

		*equal -= keep && total == least;
		if (keep)
			act->rows[kept++] = act->rows[i];
		else if (total >= SW_WAL_DIGEST_CHANGES_MIN)
			g->digest.truncated = true;
	}
	g->rows_count -= act->rows_count - kept;
	SET_COUNT(g, act->rows, act->rows_count, kept);
}

static void
keep_most_rows(struct gather *g)
{
	struct sw_wal_digest *d = &g->digest;
	size_t count = 0, equal = 1, kept = 0;
	uint64_t *totals, least;

	if (g->rows_count <= SW_WAL_DIGEST_CHANGES)
		return;
	totals = malloc(g->rows_count * sizeof(*totals));
	g->out_of_memory |= totals == NULL;
	if (totals == NULL)
		return;
	for (size_t i = 0; i < d->act_count; i++)
		for (size_t n = 0; n < d->acts[i].rows_count; n++)
			totals[count++] = row_total(&d->acts[i].rows[n]);
	qsort(totals, count, sizeof(*totals), compare_totals);
	least = totals[SW_WAL_DIGEST_CHANGES - 1];
	for (size_t i = SW_WAL_DIGEST_CHANGES - 1; i > 0 && totals[i - 1] == least; i--)
		equal++;
	free(totals);
	for (size_t i = 0; i < d->act_count; i++) {
		drop_rows(g, &d->acts[i], least, &equal);
		if (says_something(&d->acts[i], false))
			d->acts[kept++] = d->acts[i];
		else
			forget_act(g, &d->acts[i]);
	}
	SET_COUNT(g, d->acts, d->act_count, kept);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void
limit_ends(struct gather *g, uint32_t xid)
{
	if (!g->ends_limited || distance(g, xid) < distance(g, g->ends_below))
		g->ends_below = xid;
	g->ends_limited = true;
}

static void
note_ended(struct gather *g, uint32_t xid)
{
	if (xid < FIRST_NORMAL_XID)
		return;
	if (g->xid_min == 0 || distance(g, xid) < distance(g, g->xid_min))
		g->xid_min = xid;
	if (g->xid_max == 0 || distance(g, xid) > distance(g, g->xid_max))
		g->xid_max = xid;
}

static void
forget_end(struct gather *g, struct sw_wal_end *end)
{
	g->memory -= room_of(end->subxid_count) * sizeof(*end->subxids);
	free(end->subxids);
}

static void
add_end(struct gather *g, const struct sw_wal_record *record, const struct sw_wal_event *e)
{
	const struct sw_wal_transaction *t = &e->transaction;
	struct sw_wal_digest *d = &g->digest;
	struct sw_wal_end end = {
		.xid = t->xid, .committed = e->kind == SW_WAL_COMMIT, .lsn = record->lsn, .time_us = t->time_us,
	};
	bool truncated = d->truncated; /* what is left out here is told by ends_below */
	size_t at;

	for (uint32_t i = 0; i < t->subxids.count; i++) {
		uint32_t xid = sw_wal_event_u32(&t->subxids, i);

		if (g->ends_limited && distance(g, xid) >= distance(g, g->ends_below))
			continue;
		if (!ADD(g, end.subxids, end.subxid_count, SW_WAL_DIGEST_LIST_MAX, xid))
			limit_ends(g, xid);
	}
	if (d->end_count == SW_WAL_DIGEST_ENDS) {
		limit_ends(g, (uint32_t)d->ends[d->end_count - 1].xid);
		forget_end(g, &d->ends[--d->end_count]);
	}
	if (!ADD(g, d->ends, d->end_count, SW_WAL_DIGEST_ENDS, end)) {
		limit_ends(g, t->xid);
		forget_end(g, &end);
		return;
	}
	for (at = d->end_count - 1; at > 0 && distance(g, (uint32_t)d->ends[at - 1].xid) > distance(g, t->xid); at--)
		d->ends[at] = d->ends[at - 1];
	d->ends[at] = end;
	d->truncated = truncated;
}

static void
note_end(struct gather *g, const struct sw_wal_record *record, const struct sw_wal_event *e)
{
	const struct sw_wal_transaction *t = &e->transaction;
	const struct sw_wal_digest *d = &g->digest;

	if (t->xid < FIRST_NORMAL_XID)
		return;
	see_xid(g, t->xid);
	note_ended(g, t->xid);
	for (uint32_t i = 0; i < t->subxids.count; i++)
		note_ended(g, sw_wal_event_u32(&t->subxids, i));
	if (d->end_count < SW_WAL_DIGEST_ENDS ||
		distance(g, t->xid) < distance(g, (uint32_t)d->ends[d->end_count - 1].xid))
		add_end(g, record, e);
	else
		limit_ends(g, t->xid);
}

/* --- commits --------------------------------------------------------------------------------- */

/* Open parts of the transaction and its subtransactions, as one; NULL: there are none. */
static struct build *
gather_parts(struct gather *g, const struct sw_wal_transaction *t)
{
	struct build *top = take_build(g, t->xid);

	for (uint32_t i = 0; g->open_count > 0 && i < t->subxids.count; i++) {
		struct build *sub = take_build(g, sw_wal_event_u32(&t->subxids, i));

		if (sub != NULL && top != NULL)
			merge(g, top, sub);
		else if (sub != NULL)
			top = sub;
	}
	return top;
}

static void
add_touched(struct gather *g, struct sw_wal_act *act, const struct sw_wal_transaction *t)
{
	struct sw_wal_object *list;
	size_t kept = 0;

	for (uint32_t i = 0; i < t->invalidations.count; i++) {
		struct sw_wal_invalidation v = sw_wal_event_invalidation(&t->invalidations, i);

		if (v.id == INVALIDATED_RELATION && v.object != 0)
			ADD_TO_ACT(g, act, touched, touched_count, (struct sw_wal_object){v.database, v.object});
	}
	if (act->touched_count == 0)
		return;
	list = act->touched;
	qsort(list, act->touched_count, sizeof(*list), compare_objects);
	for (size_t i = 0; i < act->touched_count; i++)
		if (kept == 0 || compare_objects(&list[kept - 1], &list[i]) != 0)
			list[kept++] = list[i];
	SET_COUNT(g, act->touched, act->touched_count, kept);
}

static void
add_dropped(struct gather *g, struct build *b, const struct sw_wal_transaction *t)
{
	struct sw_wal_act *act = &b->act;

	for (uint32_t i = 0; i < t->relations.count; i++)
		ADD_TO_ACT(g, act, dropped, dropped_count, sw_wal_event_relation(&t->relations, i));
	for (uint32_t i = 0; i < t->statistics.count; i++) {
		struct sw_wal_statistic s = sw_wal_event_statistic(&t->statistics, i);

		if (s.kind == STATISTIC_OF_RELATION &&
			!sw_wal_temporary_relation(&g->temporary, s.database, (uint32_t)s.object))
			ADD_TO_ACT(g, act, dropped_oids, dropped_oid_count,
				(struct sw_wal_object){s.database, (uint32_t)s.object});
	}
	subtract_files(g, act);
	subtract_oids(g, b);
}

static void
add_rows(struct gather *g, struct sw_wal_act *act, const struct sw_wal_change *c)
{
	struct sw_wal_rows rows = {c->relation, c->updates, c->deletes, c->first};

	if (ADD(g, act->rows, act->rows_count, SW_WAL_DIGEST_LIST_MAX, rows))
		g->rows_count++;
	else
		act->cut = true;
	if (act->first == 0 || c->first < act->first)
		act->first = c->first;
}

/* Would somebody miss it more than what was made? */
static bool
tells_loss(const struct sw_wal_act *act)
{
	return act->dropped_count + act->truncated_count + act->database_count + act->tablespace_count +
		act->rows_count > 0;
}

/* The digest is full: something that was only made gives way to a loss. */
static void
make_way(struct gather *g, const struct sw_wal_act *act)
{
	struct sw_wal_digest *d = &g->digest;
	size_t at = d->act_count;

	if (g->rows_count > (size_t)2 * SW_WAL_DIGEST_CHANGES)
		keep_most_rows(g);
	if (d->act_count < SW_WAL_DIGEST_ACTS_MAX || !tells_loss(act))
		return;
	while (at > 0 && tells_loss(&d->acts[at - 1]))
		at--;
	if (at == 0)
		return;
	forget_act(g, &d->acts[at - 1]);
	memmove(&d->acts[at - 1], &d->acts[at], (d->act_count - at) * sizeof(*d->acts));
	SET_COUNT(g, d->acts, d->act_count, d->act_count - 1);
	d->truncated = true;
}

/* The act moves into the digest. */
static void
keep_build(struct gather *g, struct build *b)
{
	struct sw_wal_digest *d = &g->digest;

	if (!says_something(&b->act, b->temporary)) {
		forget_build(g, b);
		return;
	}
	if (d->act_count == SW_WAL_DIGEST_ACTS_MAX)
		make_way(g, &b->act);
	if (ADD(g, d->acts, d->act_count, SW_WAL_DIGEST_ACTS_MAX, b->act))
		b->act = (struct sw_wal_act){0};
	forget_build(g, b);
}

static int
compare_moved(const void *a, const void *b)
{
	const struct sw_wal_moved *x = a, *y = b;

	return (x->lsn > y->lsn) - (x->lsn < y->lsn);
}

static void
note_commit(struct gather *g, const struct sw_wal_record *record, const struct sw_wal_event *e)
{
	const struct sw_wal_transaction *t = &e->transaction;
	struct build *b = gather_parts(g, t);
	struct sw_wal_change change;
	bool changed = sw_wal_change_take(&g->meaning.changes, t->xid, &change);
	uint32_t dropped = t->relations.whole_count + t->statistics.whole_count;

	if (b == NULL && !changed && dropped == 0)
		return;
	if (b == NULL)
		b = new_build(g, t->xid);
	if (b == NULL)
		return;
	for (; changed; changed = sw_wal_change_take(&g->meaning.changes, t->xid, &change))
		add_rows(g, &b->act, &change);
	if (dropped > 0)
		add_dropped(g, b, t);
	if (t->relations.whole_count > 0 || b->act.moved_count > 0 || b->act.moved_cut)
		add_touched(g, &b->act, t);
	if (t->subxids.count > 0 && b->act.moved_count > 1)
		qsort(b->act.moved, b->act.moved_count, sizeof(*b->act.moved), compare_moved);
	if (b->act.first == 0)
		b->act.first = record->lsn;
	b->act.xid = t->xid;
	b->act.committed = true;
	b->act.prepared = t->prepared;
	b->act.cut |= e->cut;
	b->act.lsn = record->lsn;
	b->act.time_us = t->time_us;
	b->act.database = t->database;
	for (uint32_t i = 0; i < t->subxids.count; i++)
		ADD_TO_ACT(g, &b->act, subxids, subxid_count, sw_wal_event_u32(&t->subxids, i));
	keep_build(g, b);
}

static void
note_abort(struct gather *g, const struct sw_wal_transaction *t)
{
	forget_build(g, take_build(g, t->xid));
	for (uint32_t i = 0; g->open_count > 0 && i < t->subxids.count; i++)
		forget_build(g, take_build(g, sw_wal_event_u32(&t->subxids, i)));
}

/* --- other events ------------------------------------------------------------------------------ */

static void
note_time(struct gather *g, int64_t time_us)
{
	if (g->digest.time_max_us == 0 || time_us > g->digest.time_max_us)
		g->digest.time_max_us = time_us;
}

static void
note_born(struct gather *g, struct build *b, const struct sw_wal_news *n)
{
	const struct sw_wal_catalog_row *row = n->row;
	const struct sw_wal_event *e = n->event;
	uint32_t database = e->rows.relation.database;
	struct sw_wal_born born = {
		.database = database, .oid = row->oid, .schema = row->schema, .filenode = row->filenode,
		.tablespace = row->tablespace, .kind = database == 0 ? 'D' : row->kind,
		.unlogged = database != 0 && row->persistence == 'u', .file = e->rows.relation.filenode,
		.place = {e->rows.block, e->rows.offset},
	};

	if (row->oid == 0)
		return;
	memcpy(born.name, row->name, sizeof(born.name));
	ADD_TO_ACT(g, &b->act, born, born_count, born);
}

static bool
is_at(struct sw_wal_place a, struct sw_wal_place b)
{
	return a.offset == b.offset && a.block == b.block;
}

/* A row that this transaction made is told as it is now.  One that it made and deleted needs no place. */
static bool
join_born(struct build *b, const struct sw_wal_moved *m)
{
	struct sw_wal_act *act = &b->act;

	for (size_t i = act->born_count; i > 0 && i + JOIN_BACK > act->born_count; i--) {
		struct sw_wal_born *born = &act->born[i - 1];
		struct sw_wal_head head = sw_wal_head_make(born->oid, born->name, born->schema);

		if (born->database != m->database || born->file != m->file || !is_at(born->place, m->from))
			continue;
		if (m->unseen)
			return false;
		born->place = m->to;
		if (!sw_wal_head_lay(&head, &m->head))
			return false;
		sw_wal_head_name(&head, born->name);
		if (born->kind != 'D')
			born->schema = sw_wal_head_third(&head);
		return true;
	}
	return false;
}

static bool
join_moved(struct build *b, const struct sw_wal_moved *m)
{
	struct sw_wal_act *act = &b->act;

	for (size_t i = act->moved_count; i > 0 && i + JOIN_BACK > act->moved_count; i--) {
		struct sw_wal_moved *before = &act->moved[i - 1];

		if (before->catalog != m->catalog || before->database != m->database || before->file != m->file ||
			!is_at(before->to, m->from))
			continue;
		if (!sw_wal_head_lay(&before->head, &m->head))
			return false;
		before->to = m->to;
		before->unseen = (before->unseen && !sw_wal_head_is_whole(&m->head)) || m->unseen;
		return true;
	}
	return false;
}

/* The row of a catalog is elsewhere now, and may have another head. */
static void
note_moved(struct gather *g, struct build *b, const struct sw_wal_news *n)
{
	const struct sw_wal_event *e = n->event;
	struct sw_wal_moved m = {
		.catalog = n->catalog, .database = e->rows.relation.database, .file = e->rows.relation.filenode,
		.lsn = n->record->lsn,
	};
	bool same;

	if (e->rows.change != SW_WAL_DELETE)
		m.to = (struct sw_wal_place){e->rows.block, e->rows.offset};
	if (e->rows.change == SW_WAL_DELETE)
		m.from = (struct sw_wal_place){e->rows.block, e->rows.offset};
	if (e->rows.change == SW_WAL_UPDATE)
		m.from = (struct sw_wal_place){e->rows.old_block, e->rows.old_offset};
	if (e->rows.change != SW_WAL_DELETE && n->row != NULL)
		m.head = n->row->head;
	m.unseen = e->rows.change != SW_WAL_DELETE && n->row == NULL;
	if (e->rows.offset == 0 || (m.from.offset != 0 && (join_born(b, &m) || join_moved(b, &m))))
		return;
	same = !m.unseen && m.head.from == m.head.to;
	if (g->moved_count >= SW_WAL_DIGEST_MOVED_MAX) {
		b->act.moved_cut |= !same;
		b->act.places_cut = true;
		g->digest.truncated |= !same;
		return;
	}
	if (ADD(g, b->act.moved, b->act.moved_count, SW_WAL_DIGEST_MOVED_MAX, m))
		g->moved_count++;
	else
		b->act.moved_cut = b->act.places_cut = true;
}

/* Is the row a temporary relation's?  Where the record does not tell, by what it was before. */
static bool
is_temporary(struct gather *g, const struct sw_wal_news *n)
{
	const struct sw_wal_event *e = n->event;
	const struct sw_wal_relation *file = &e->rows.relation;
	bool temporary = n->row != NULL && n->row->persistence == 't';

	if (e->rows.change != SW_WAL_INSERT && (n->row == NULL || n->row->persistence == 0))
		temporary = e->rows.change == SW_WAL_UPDATE ?
			sw_wal_temporary_row(&g->temporary, file->database, file->filenode, e->rows.old_block, e->rows.old_offset) :
			sw_wal_temporary_row(&g->temporary, file->database, file->filenode, e->rows.block, e->rows.offset);
	if (e->rows.change != SW_WAL_DELETE)
		sw_wal_temporary_set_row(&g->temporary, file->database, file->filenode, e->rows.block, e->rows.offset, temporary);
	if (e->rows.change == SW_WAL_INSERT && n->row != NULL)
		sw_wal_temporary_set_relation(&g->temporary, file->database, n->row->oid, temporary);
	return temporary;
}

static void
note_class_row(struct gather *g, const struct sw_wal_news *n)
{
	enum sw_wal_row_change change = n->event->rows.change;
	bool temporary;
	struct build *b;

	if (change == SW_WAL_IN_PLACE)
		return;
	temporary = is_temporary(g, n);
	b = build_of(g, n->record->xid, n->record->lsn);
	if (b == NULL)
		return;
	b->temporary |= temporary;
	if (temporary) {
		if (change == SW_WAL_INSERT)
			(void)ADD(g, b->temps, b->temp_count, SW_WAL_DIGEST_LIST_MAX,
				(struct sw_wal_object){n->event->rows.relation.database, n->row->oid});
	} else if (change == SW_WAL_INSERT) {
		if (n->row != NULL)
			note_born(g, b, n);
	} else {
		b->act.class_updates += change == SW_WAL_UPDATE;
		b->act.class_deletes += change == SW_WAL_DELETE;
		if (change == SW_WAL_UPDATE || n->record->format->major <= LAST_WITHOUT_DROPPED_OIDS)
			note_moved(g, b, n);
	}
}

/* Nobody asks for the schemas of temporary relations. */
static void
note_schema_row(struct gather *g, const struct sw_wal_news *n)
{
	bool inserted = n->event->rows.change == SW_WAL_INSERT;
	struct build *b;

	if (!inserted && n->event->rows.change != SW_WAL_UPDATE)
		return;
	if (inserted && (n->row == NULL || !sw_wal_head_is_whole(&n->row->head) || strncmp(n->row->name, "pg_temp_", 8) == 0 ||
		strncmp(n->row->name, "pg_toast_temp_", 14) == 0))
		return;
	b = build_of(g, n->record->xid, n->record->lsn);
	if (b != NULL)
		note_moved(g, b, n);
}

static void
note_database_row(struct gather *g, const struct sw_wal_news *n)
{
	enum sw_wal_row_change change = n->event->rows.change;
	struct sw_wal_digest *d = &g->digest;
	struct sw_wal_invalidated gone = {.lsn = n->record->lsn};
	struct build *b;

	if (change == SW_WAL_IN_PLACE && n->row != NULL && n->row->invalid) {
		gone.oid = n->row->oid;
		memcpy(gone.name, n->row->name, sizeof(gone.name));
		(void)ADD(g, d->invalidated, d->invalidated_count, SW_WAL_DIGEST_POINTS_MAX, gone);
	}
	if (change != SW_WAL_UPDATE && (change != SW_WAL_INSERT || n->row == NULL))
		return;
	b = build_of(g, n->record->xid, n->record->lsn);
	if (b != NULL && change == SW_WAL_INSERT)
		note_born(g, b, n);
	else if (b != NULL)
		note_moved(g, b, n);
}

static void
note_gone(struct gather *g, const struct sw_wal_news *n, bool database)
{
	struct sw_wal_gone gone = {database ? n->event->database.database : n->event->tablespace.oid, n->record->lsn};
	/* ALTER DATABASE SET TABLESPACE removes the old files without a transaction: nothing is lost */
	struct build *b = build_of(g, n->record->xid, n->record->lsn);

	if (b == NULL)
		return;
	if (!database) {
		ADD_TO_ACT(g, &b->act, tablespaces, tablespace_count, gone);
		return;
	}
	for (size_t i = 0; i < b->act.database_count; i++)
		if (b->act.databases[i].oid == gone.oid)
			return;
	ADD_TO_ACT(g, &b->act, databases, database_count, gone);
}

static void
note_file(struct gather *g, const struct sw_wal_news *n)
{
	const struct sw_wal_relation *file = &n->event->file.relation;
	struct build *b;

	/* of an unlogged relation only the init fork is made by a record */
	if (n->event->file.fork != SW_FORK_MAIN && n->event->file.fork != SW_FORK_INIT)
		return;
	b = build_of(g, n->record->xid, n->record->lsn);
	if (b != NULL && (file->database == 0 || file->database != b->new_database))
		ADD_TO_ACT(g, &b->act, created, created_count, *file);
}

static void
note_truncate(struct gather *g, const struct sw_wal_news *n)
{
	const struct sw_wal_list *list = &n->event->truncate.relations;
	struct build *b = build_of(g, n->record->xid, n->record->lsn);

	for (uint32_t i = 0; b != NULL && i < list->count; i++)
		ADD_TO_ACT(g, &b->act, truncated, truncated_count,
			(struct sw_wal_object){n->event->truncate.database, sw_wal_event_u32(list, i)});
}

static void
note_point(struct gather *g, const struct sw_wal_news *n)
{
	struct sw_wal_digest *d = &g->digest;
	struct sw_wal_point point = {n->record->lsn, n->record->end, n->event->restore_point.time_us, ""};

	memcpy(point.name, n->event->restore_point.name, sizeof(point.name));
	note_time(g, point.time_us);
	(void)ADD(g, d->points, d->point_count, SW_WAL_DIGEST_POINTS_MAX, point);
}

static void
note_checkpoint(struct gather *g, const struct sw_wal_news *n)
{
	const struct sw_wal_event *e = n->event;
	struct sw_wal_digest *d = &g->digest;
	struct sw_wal_checkpoint c = {.lsn = n->record->lsn};

	if (e->kind == SW_WAL_CHECKPOINT) {
		c.redo = e->checkpoint.redo;
		c.shutdown = e->checkpoint.shutdown;
		c.timeline = e->checkpoint.timeline;
		c.previous_timeline = e->checkpoint.previous_timeline;
		c.next_xid = e->checkpoint.next_xid < XID_LIMIT ? e->checkpoint.next_xid : 0;
		c.time_us = e->checkpoint.time_us;
	} else {
		c.end_of_recovery = true;
		c.timeline = e->end_of_recovery.timeline;
		c.previous_timeline = e->end_of_recovery.previous_timeline;
		c.time_us = e->end_of_recovery.time_us;
	}
	note_time(g, c.time_us);
	(void)ADD(g, d->checkpoints, d->checkpoint_count, SW_WAL_DIGEST_POINTS_MAX, c);
}

static void
note_map_or_database(struct gather *g, const struct sw_wal_news *n)
{
	struct build *b = build_of(g, n->record->xid, n->record->lsn);

	if (b == NULL)
		return;
	if (n->event->kind == SW_WAL_DATABASE_CREATE)
		b->new_database = n->event->database.database;
	else if (n->event->relation_map.database == 0 || n->event->relation_map.database != b->new_database)
		b->act.remapped = true;
}

static void
note_event(struct gather *g, const struct sw_wal_news *n)
{
	switch (n->event->kind) {
	case SW_WAL_COMMIT:
	case SW_WAL_ABORT:
		note_time(g, n->event->transaction.time_us);
		note_end(g, n->record, n->event);
		if (n->event->kind == SW_WAL_COMMIT)
			note_commit(g, n->record, n->event);
		else
			note_abort(g, &n->event->transaction);
		break;
	case SW_WAL_ROWS:
		if (n->catalog == SW_WAL_PG_CLASS)
			note_class_row(g, n);
		else if (n->catalog == SW_WAL_PG_NAMESPACE)
			note_schema_row(g, n);
		else
			note_database_row(g, n);
		break;
	case SW_WAL_FILE_CREATE:
		note_file(g, n);
		break;
	case SW_WAL_TRUNCATE:
		note_truncate(g, n);
		break;
	case SW_WAL_DATABASE_DROP:
	case SW_WAL_TABLESPACE_DROP:
		note_gone(g, n, n->event->kind == SW_WAL_DATABASE_DROP);
		break;
	case SW_WAL_DATABASE_CREATE:
	case SW_WAL_RELATION_MAP:
		note_map_or_database(g, n);
		break;
	case SW_WAL_RESTORE_POINT:
		note_point(g, n);
		break;
	case SW_WAL_CHECKPOINT:
	case SW_WAL_END_OF_RECOVERY:
		note_checkpoint(g, n);
		break;
	default:
		break;
	}
}

static sw_rc
take_news(void *ctx, const struct sw_wal_news *n, struct sw_error *err)
{
	struct gather *g = ctx;

	g->digest.truncated |= n->event->cut;
	note_event(g, n);
	return g->out_of_memory ? sw_fail(err, SW_SYSTEM, "out of memory") : SW_OK;
}

static sw_rc
take_record(void *ctx, const struct sw_wal_record *record, struct sw_error *err)
{
	struct gather *g = ctx;

	if (record->xid != 0)
		see_xid(g, record->xid);
	return sw_wal_meaning_record(&g->meaning, record, err);
}

/* --- the end ------------------------------------------------------------------------------------- */

static int
compare_builds(const void *a, const void *b)
{
	const struct build *x = *(struct build *const *)a, *y = *(struct build *const *)b;

	return x->act.first != y->act.first ? (x->act.first > y->act.first) - (x->act.first < y->act.first) :
		compare_u32(x->xid, y->xid);
}

/* What is still open comes behind what was committed, by its first record. */
static void
keep_open(struct gather *g)
{
	const struct sw_wal_change *change;
	struct build **list;
	size_t count = 0;
	uint32_t at = 0;

	while ((change = sw_wal_change_next(&g->meaning.changes, &at)) != NULL) {
		struct build *b = change->committed ? NULL : build_of(g, change->xid, change->first);

		if (b != NULL)
			add_rows(g, &b->act, change);
	}
	list = calloc(g->open_count + 1, sizeof(struct build *));
	g->out_of_memory |= list == NULL;
	if (list == NULL)
		return;
	for (size_t i = 0; i < OPEN_BUCKETS; i++)
		for (struct build *b = g->open[i]; b != NULL; b = b->next)
			list[count++] = b;
	memset(g->open, 0, sizeof(g->open));
	g->open_count = 0;
	qsort(list, count, sizeof(struct build *), compare_builds);
	for (size_t i = 0; i < count; i++) {
		list[i]->act.xid = list[i]->xid;
		keep_build(g, list[i]);
	}
	free(list);
	keep_most_rows(g);
}

static int
compare_ends(const void *a, const void *b)
{
	const struct sw_wal_end *x = a, *y = b;

	return x->xid != y->xid ? (x->xid > y->xid) - (x->xid < y->xid) : (x->lsn > y->lsn) - (x->lsn < y->lsn);
}

static void
settle_ends(struct gather *g)
{
	struct sw_wal_digest *d = &g->digest;
	size_t kept = 0;

	d->ends_below = g->ends_limited ? full_xid(g, g->ends_below) : UINT64_MAX;
	for (size_t i = 0; i < d->end_count; i++) {
		struct sw_wal_end *end = &d->ends[i];
		size_t subxids = 0;

		end->xid = full_xid(g, (uint32_t)end->xid);
		for (size_t n = 0; n < end->subxid_count; n++)
			if (full_xid(g, end->subxids[n]) < d->ends_below)
				end->subxids[subxids++] = end->subxids[n];
		SET_COUNT(g, end->subxids, end->subxid_count, subxids);
		if (end->xid < d->ends_below)
			d->ends[kept++] = *end;
		else
			forget_end(g, end);
	}
	SET_COUNT(g, d->ends, d->end_count, kept);
	if (kept > 0)
		qsort(d->ends, kept, sizeof(*d->ends), compare_ends);
}

static void
settle_moment(const struct gather *g, const struct sw_wal_moment *from, struct sw_wal_moment *to)
{
	*to = *from;
	if (from->lsn == 0)
		return;
	to->xid = full_xid(g, (uint32_t)from->xid);
	to->xid_full = g->digest.xid_full;
}

static void
settle_xids(struct gather *g)
{
	const struct sw_wal_meaning *m = &g->meaning;
	struct sw_wal_digest *d = &g->digest;

	d->xid_full = m->next_xid != 0 && m->next_xid < XID_LIMIT;
	for (size_t i = 0; i < d->act_count; i++)
		d->acts[i].xid = full_xid(g, (uint32_t)d->acts[i].xid);
	settle_ends(g);
	settle_moment(g, &m->first, &d->first_end);
	settle_moment(g, &m->last, &d->last_end);
	settle_moment(g, &m->earliest, &d->earliest);
	settle_moment(g, &m->latest, &d->latest);
	d->xid_min = g->xid_min != 0 ? full_xid(g, g->xid_min) : 0;
	d->xid_max = g->xid_max != 0 ? full_xid(g, g->xid_max) : 0;
	d->xid_next = g->next_xid != 0 ? full_xid(g, g->next_xid - 1) + 1 : 0;
	for (size_t i = 0; i < d->checkpoint_count; i++)
		if (d->xid_full && d->checkpoints[i].next_xid > d->xid_next)
			d->xid_next = d->checkpoints[i].next_xid;
}

static sw_rc
settle(struct gather *g, struct sw_error *err)
{
	struct sw_wal_digest *d = &g->digest;

	keep_open(g);
	settle_xids(g);
	d->commits = g->meaning.commits;
	d->aborts = g->meaning.aborts;
	d->truncated |= g->meaning.changes.lost > 0 || g->meaning.malformed > 0;
	return g->out_of_memory ? sw_fail(err, SW_SYSTEM, "out of memory") : SW_OK;
}

static sw_rc
gather_init(struct gather *g, const struct sw_wal_digester_params *wal, uint32_t changes_max, struct sw_error *err)
{
	struct sw_wal_meaning_params params = {
		.next_xid = wal->next_xid, .block_size = wal->block_size, .changes_max = changes_max,
		.class_files = wal->class_files, .class_file_count = wal->class_file_count,
		.database_file = wal->database_file,
		.changes_min = SW_WAL_DIGEST_CHANGES_MIN, .changes_from = FIRST_USER_FILENODE,
		.each = take_news, .ctx = g,
	};
	sw_rc rc = sw_wal_meaning_init(&g->meaning, &params, err);

	g->salt = g->temporary.salt = sw_wal_change_salt();
	g->meaning.changes.keep_small = true;
	g->digest.ends_below = UINT64_MAX;
	return rc;
}

static void
gather_release(struct gather *g)
{
	for (size_t i = 0; i < OPEN_BUCKETS; i++)
		while (g->open[i] != NULL)
			forget_build(g, take_build(g, g->open[i]->xid));
	sw_wal_digest_release(&g->digest);
	sw_wal_meaning_release(&g->meaning);
}

/* --- the digester -------------------------------------------------------------------------------- */

sw_rc
sw_wal_digester_new(const struct sw_wal_digester_params *params, struct sw_stage *next,
	struct sw_wal_digester **ret_digester, struct sw_error *err)
{
	struct sw_wal_digester *d = calloc(1, sizeof(*d));
	sw_rc rc;

	if (d == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = gather_init(&d->gather, params, CHANGES_AT_ONCE, err);
	if (rc == SW_OK)
		rc = sw_wal_reader_init(&d->reader, &(struct sw_wal_reader_params){
			.start = params->start, .segment_size = params->segment_size, .timeline = params->timeline,
			.system_identifier = params->system_identifier, .each = take_record, .ctx = &d->gather,
			.record_max = SW_WAL_MEANING_RECORD}, next, err);
	if (rc != SW_OK) {
		sw_wal_digester_free(d);
		return rc;
	}
	*ret_digester = d;
	return SW_OK;
}

struct sw_stage *
sw_wal_digester_stage(struct sw_wal_digester *d)
{
	return &d->reader.stage;
}

static void
copy_fragment(struct gather *g, const struct sw_wal_fragment *from, struct sw_wal_fragment **to)
{
	if (from->len == 0)
		return;
	*to = malloc(sizeof(**to));
	g->out_of_memory |= *to == NULL;
	if (*to != NULL)
		**to = *from;
}

static void
take_result(struct gather *g, const struct sw_wal_result *r)
{
	struct sw_wal_digest *d = &g->digest;

	d->major = r->format != NULL ? r->format->major : 0;
	d->valid_to = r->valid_to;
	d->broken_at = r->broken_at;
	d->first_timeline = r->first_timeline;
	d->last_timeline = r->last_timeline;
	d->last_timeline_from = r->last_timeline_from;
	d->first = r->first;
	d->last = r->last;
	d->first_prev = r->first_prev;
	d->switched = r->switched;
	d->tail_aborted = r->tail_aborted;
	d->records = r->record_count;
	copy_fragment(g, &r->tail, &d->tail);
	copy_fragment(g, &r->head, &d->head);
}

sw_rc
sw_wal_digester_take(struct sw_wal_digester *digester, struct sw_wal_digest *ret_digest, struct sw_error *err)
{
	const struct sw_wal_result *result = &digester->reader.result;
	struct gather *g = &digester->gather;
	sw_rc rc;

	take_result(g, result);
	rc = settle(g, err);
	if (rc != SW_OK)
		return rc;
	g->digest.verdict = result->verdict;
	g->digest.magic = result->verdict == SW_WAL_UNKNOWN ? result->magic : 0;
	g->digest.start = digester->reader.params.start;
	memcpy(g->digest.reason, result->reason, sizeof(g->digest.reason));
	*ret_digest = g->digest;
	g->digest = (struct sw_wal_digest){.ends_below = UINT64_MAX};
	return SW_OK;
}

void
sw_wal_digester_free(struct sw_wal_digester *d)
{
	if (d == NULL)
		return;
	gather_release(&d->gather);
	sw_wal_reader_release(&d->reader);
	free(d);
}

sw_rc
sw_wal_digest_record(const struct sw_wal_record *record, uint32_t block_size, uint64_t next_xid,
	struct sw_wal_digest *ret_digest, struct sw_error *err)
{
	struct gather *g = calloc(1, sizeof(*g));
	struct sw_wal_digest *d;
	sw_rc rc;

	if (g == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	d = &g->digest;
	rc = gather_init(g, &(struct sw_wal_digester_params){.block_size = block_size, .next_xid = next_xid},
		CHANGES_OF_RECORD, err);
	if (rc == SW_OK)
		rc = take_record(g, record, err);
	if (rc == SW_OK)
		rc = settle(g, err);
	if (rc == SW_OK) {
		d->verdict = SW_WAL_COMPLETE;
		d->major = record->format->major;
		d->start = d->first = d->last = record->lsn;
		d->valid_to = record->end;
		d->first_prev = record->prev;
		d->first_timeline = d->last_timeline = record->timeline;
		d->last_timeline_from = record->lsn;
		d->switched = sw_wal_record_is_switch(record->rmgr, record->info);
		d->records = 1;
		*ret_digest = *d;
		*d = (struct sw_wal_digest){.ends_below = UINT64_MAX};
	}
	gather_release(g);
	free(g);
	return rc;
}
