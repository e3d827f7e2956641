#include "wal/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define NUMBER_MAX ((UINT64_C(1) << 53) - 1)
#define TIME_MAX INT64_C(253402300799999999) /* the year 9999 */

static const char *const verdicts[] = {
	[SW_WAL_COMPLETE] = "complete", [SW_WAL_ENDS_EARLY] = "ends early", [SW_WAL_BROKEN] = "broken",
	[SW_WAL_UNKNOWN] = "unknown",
};
#define VERDICT_COUNT (sizeof(verdicts) / sizeof(verdicts[0]))

/* --- what is left out for want of room ------------------------------------------------- */

struct diet {
	size_t moved, born, ends, list, acts, points; /* at most; list: of each other list of an act */
	uint64_t rows_min;
	bool no_fragments;
	bool no_places; /* rows of catalogs that moved and tell the same */
};

#define ALL SIZE_MAX
static const struct diet diets[] = {
	{ALL, ALL, ALL, ALL, ALL, ALL, 0, false, false},
	{ALL, ALL, ALL, ALL, ALL, ALL, 0, false, true},
	{ALL, 64, ALL, ALL, ALL, ALL, 0, false, true},
	{64, 8, ALL, ALL, ALL, ALL, 0, false, true},
	{64, 0, ALL, ALL, ALL, ALL, 0, false, true},
	{8, 0, ALL, ALL, ALL, ALL, 10, false, true},
	{8, 0, ALL, ALL, ALL, ALL, 100, false, true},
	{8, 0, 64, ALL, ALL, ALL, 100, false, true},
	{8, 0, 16, ALL, ALL, ALL, 100, false, true},
	{8, 0, 0, ALL, ALL, ALL, 100, false, true},
	{0, 0, 0, ALL, ALL, ALL, 100, false, true},
	{0, 0, 0, 256, ALL, ALL, 100, false, true},
	{0, 0, 0, 32, ALL, ALL, 100, false, true},
	{0, 0, 0, 32, 256, ALL, 1000, false, true},
	{0, 0, 0, 32, 64, ALL, 1000, false, true},
	{0, 0, 0, 8, 64, ALL, 10000, false, true},
	{0, 0, 0, 8, 16, 256, 10000, false, true},
	{0, 0, 0, 8, 4, 64, 100000, false, true},
	{0, 0, 0, 8, 4, 16, 100000, false, true},
	{0, 0, 0, 8, 4, 16, 100000, true, true},
	{0, 0, 0, 0, 0, 8, 0, true, true},
	{0, 0, 0, 0, 0, 1, 0, true, true},
	{0, 0, 0, 0, 0, 0, 0, true, true},
};
#define DIET_COUNT (sizeof(diets) / sizeof(diets[0]))

struct writer {
	const struct diet *diet;
	bool failed; /* out of memory */
	bool cut;    /* something was left out that nothing else tells */
	bool moved_cut, places_cut; /* of moved rows */
};

static size_t
at_most(struct writer *w, size_t count, size_t max)
{
	w->cut |= count > max;
	return count < max ? count : max;
}

/* --- values ----------------------------------------------------------------------------- */

static void
put(struct writer *w, json_t *object, const char *key, json_t *value)
{
	w->failed |= json_object_set_new(object, key, value) != 0;
}

static void
append(struct writer *w, json_t *array, json_t *value)
{
	w->failed |= json_array_append_new(array, value) != 0;
}

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)(value < NUMBER_MAX ? value : NUMBER_MAX));
}

static json_t *
lsn(sw_lsn value)
{
	char text[SW_LSN_LEN];

	return json_string(sw_lsn_format(value, text));
}

/* What is no time of a server is told as the nearest one that can be written. */
static json_t *
moment_time(int64_t time_us)
{
	char text[SW_CLOCK_ISO_LEN];

	return json_string(sw_clock_iso(time_us < 0 ? 0 : time_us > TIME_MAX ? TIME_MAX : time_us, text));
}

static void
put_number(struct writer *w, json_t *object, const char *key, uint64_t value)
{
	if (value != 0)
		put(w, object, key, number(value));
}

static void
put_lsn(struct writer *w, json_t *object, const char *key, sw_lsn value)
{
	if (value != 0)
		put(w, object, key, lsn(value));
}

static void
put_time(struct writer *w, json_t *object, const char *key, int64_t time_us)
{
	if (time_us > 0)
		put(w, object, key, moment_time(time_us));
}

static void
put_true(struct writer *w, json_t *object, const char *key, bool value)
{
	if (value)
		put(w, object, key, json_true());
}

static void
put_name(struct writer *w, json_t *object, const char *key, const char *name)
{
	if (name[0] != '\0')
		put(w, object, key, sw_json_text(name));
}

/* The list under the key, if it has anything. */
static void
put_list(struct writer *w, json_t *object, const char *key, json_t *array)
{
	if (json_array_size(array) > 0)
		put(w, object, key, array);
	else
		json_decref(array);
	w->failed |= array == NULL;
}

static json_t *
numbers(struct writer *w, const uint64_t *values, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		append(w, array, number(values[i]));
	return array;
}

#define NUMBERS(w, ...) \
	numbers(w, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* --- lists of an act ----------------------------------------------------------------------- */

static json_t *
relations(struct writer *w, const struct sw_wal_relation *list, size_t count)
{
	json_t *array = json_array();

	count = at_most(w, count, w->diet->list);
	for (size_t i = 0; i < count; i++)
		append(w, array, NUMBERS(w, list[i].tablespace, list[i].database, list[i].filenode));
	return array;
}

static json_t *
objects(struct writer *w, const struct sw_wal_object *list, size_t count)
{
	json_t *array = json_array();

	count = at_most(w, count, w->diet->list);
	for (size_t i = 0; i < count; i++)
		append(w, array, NUMBERS(w, list[i].database, list[i].oid));
	return array;
}

static json_t *
gone(struct writer *w, const struct sw_wal_gone *list, size_t count)
{
	json_t *array = json_array();

	count = at_most(w, count, w->diet->list);
	for (size_t i = 0; i < count; i++) {
		json_t *item = NUMBERS(w, list[i].oid);

		append(w, item, lsn(list[i].lsn));
		append(w, array, item);
	}
	return array;
}

static json_t *
born(struct writer *w, const struct sw_wal_born *list, size_t count)
{
	json_t *array = json_array();

	count = at_most(w, count, w->diet->born);
	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_born *b = &list[i];
		char kind[2] = {b->kind, '\0'};
		json_t *item = NUMBERS(w, b->database, b->oid, b->schema, b->filenode, b->tablespace);

		append(w, item, sw_json_text(kind));
		append(w, item, sw_json_text(b->name));
		if (b->unlogged || b->place.offset != 0)
			append(w, item, json_boolean(b->unlogged));
		if (b->place.offset != 0) {
			append(w, item, number(b->file));
			append(w, item, number(b->place.block));
			append(w, item, number(b->place.offset));
		}
		append(w, array, item);
	}
	return array;
}

/* Of a whole head OID, third column and name; of less where it begins, and the bytes. */
static void
append_head(struct writer *w, json_t *item, const struct sw_wal_head *head)
{
	char hex[2 * SW_WAL_HEAD_LEN + 1] = "", name[SW_WAL_NAME_LEN];

	sw_wal_head_name(head, name);
	if (sw_wal_head_is_whole(head) && sw_json_text_ok(name)) {
		append(w, item, number(sw_wal_head_oid(head)));
		append(w, item, number(sw_wal_head_third(head)));
		append(w, item, json_string(name));
		return;
	}
	for (size_t i = head->from; i < head->to; i++)
		snprintf(hex + 2 * (i - head->from), 3, "%02x", head->bytes[i]);
	append(w, item, number(head->from));
	append(w, item, json_string(hex));
}

static json_t *
moved(struct writer *w, const struct sw_wal_moved *list, size_t count)
{
	json_t *array = json_array();
	size_t left = w->diet->moved;

	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_moved *m = &list[i];
		bool same = !m->unseen && m->head.from == m->head.to && m->to.offset != 0;
		json_t *item;

		if (left == 0 || (same && w->diet->no_places)) {
			w->places_cut = true;
			w->moved_cut |= !same;
			continue;
		}
		left--;
		item = NUMBERS(w, m->catalog, m->database, m->file, m->from.block, m->from.offset, m->to.block, m->to.offset);
		append(w, item, lsn(m->lsn));
		if (m->unseen)
			append(w, item, json_false());
		else if (m->head.from != m->head.to)
			append_head(w, item, &m->head);
		append(w, array, item);
	}
	return array;
}

static json_t *
rows(struct writer *w, const struct sw_wal_rows *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_rows *r = &list[i];
		json_t *item;

		if (r->updates + r->deletes < w->diet->rows_min) {
			w->cut |= r->updates + r->deletes >= SW_WAL_DIGEST_CHANGES_MIN;
			continue;
		}
		item = NUMBERS(w, r->relation.tablespace, r->relation.database, r->relation.filenode, r->updates,
			r->deletes);
		append(w, item, lsn(r->first));
		append(w, array, item);
	}
	return array;
}

static json_t *
xids(struct writer *w, const uint32_t *list, size_t count)
{
	json_t *array = json_array();

	count = at_most(w, count, w->diet->list);
	for (size_t i = 0; i < count; i++)
		append(w, array, number(list[i]));
	return array;
}

static json_t *
act_json(struct writer *all, const struct sw_wal_act *a)
{
	struct writer one = {.diet = all->diet}, *w = &one;
	json_t *o = sw_json_object();

	put(w, o, "xid", number(a->xid));
	if (a->committed) {
		put(w, o, "lsn", lsn(a->lsn));
		put(w, o, "time", moment_time(a->time_us));
	}
	put_lsn(w, o, "first", a->first);
	put_true(w, o, "prepared", a->prepared);
	put_number(w, o, "database", a->database);
	put_number(w, o, "class_updates", a->class_updates);
	put_number(w, o, "class_deletes", a->class_deletes);
	put_true(w, o, "remapped", a->remapped);
	put_list(w, o, "subxids", xids(w, a->subxids, a->subxid_count));
	put_list(w, o, "dropped", relations(w, a->dropped, a->dropped_count));
	put_list(w, o, "dropped_oids", objects(w, a->dropped_oids, a->dropped_oid_count));
	put_list(w, o, "touched", objects(w, a->touched, a->touched_count));
	put_list(w, o, "created", relations(w, a->created, a->created_count));
	put_list(w, o, "moved", moved(w, a->moved, a->moved_count));
	put_true(w, o, "moved_cut", a->moved_cut || one.moved_cut);
	put_true(w, o, "places_cut", a->places_cut || one.places_cut);
	put_list(w, o, "truncated", objects(w, a->truncated, a->truncated_count));
	put_list(w, o, "databases", gone(w, a->databases, a->database_count));
	put_list(w, o, "tablespaces", gone(w, a->tablespaces, a->tablespace_count));
	put_list(w, o, "rows", rows(w, a->rows, a->rows_count));
	put_list(w, o, "born", born(w, a->born, a->born_count));
	put_true(w, o, "cut", a->cut || one.cut);
	all->cut |= one.cut || one.moved_cut;
	all->failed |= one.failed;
	return o;
}

/* --- lists of a digest ------------------------------------------------------------------------ */

static bool
tells_loss(const struct sw_wal_act *a)
{
	return a->dropped_count + a->truncated_count + a->database_count + a->tablespace_count + a->rows_count > 0;
}

/* If there are too many, those that tell of a loss come first. */
static json_t *
acts(struct writer *w, const struct sw_wal_digest *d)
{
	size_t losses = 0, others, max = at_most(w, d->act_count, w->diet->acts);
	json_t *array = json_array();

	for (size_t i = 0; i < d->act_count; i++)
		losses += tells_loss(&d->acts[i]);
	losses = losses < max ? losses : max;
	others = max - losses;
	for (size_t i = 0; i < d->act_count; i++) {
		size_t *left = tells_loss(&d->acts[i]) ? &losses : &others;

		if (*left == 0)
			continue;
		--*left;
		append(w, array, act_json(w, &d->acts[i]));
	}
	return array;
}

/* The lowest; *below falls to the first that is left out. */
static json_t *
ends(struct writer *w, const struct sw_wal_digest *d, uint64_t *below)
{
	size_t count = d->end_count < w->diet->ends ? d->end_count : w->diet->ends;
	json_t *array = json_array();

	if (count < d->end_count)
		*below = d->ends[count].xid;
	/* no server ends a transaction twice, but what is below is below */
	while (count > 0 && d->ends[count - 1].xid >= *below)
		count--;
	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_end *e = &d->ends[i];
		json_t *item = NUMBERS(w, e->xid), *subxids = json_array();

		append(w, item, lsn(e->lsn));
		append(w, item, moment_time(e->time_us));
		for (size_t n = 0; n < e->subxid_count; n++)
			/* they were assigned behind the top one */
			if (e->xid + (uint32_t)(e->subxids[n] - (uint32_t)e->xid) < *below)
				append(w, subxids, number(e->subxids[n]));
		if (!e->committed || json_array_size(subxids) > 0)
			append(w, item, json_boolean(e->committed));
		if (json_array_size(subxids) > 0)
			append(w, item, json_incref(subxids));
		json_decref(subxids);
		append(w, array, item);
	}
	return array;
}

static json_t *
points(struct writer *w, const struct sw_wal_digest *d)
{
	size_t count = at_most(w, d->point_count, w->diet->points);
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_point *p = &d->points[i];
		json_t *o = sw_json_object();

		put(w, o, "lsn", lsn(p->lsn));
		put(w, o, "end", lsn(p->end));
		put(w, o, "time", moment_time(p->time_us));
		put(w, o, "name", sw_json_text(p->name));
		append(w, array, o);
	}
	return array;
}

static json_t *
checkpoints(struct writer *w, const struct sw_wal_digest *d)
{
	size_t count = at_most(w, d->checkpoint_count, w->diet->points);
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_checkpoint *c = &d->checkpoints[i];
		json_t *o = sw_json_object();

		put(w, o, "lsn", lsn(c->lsn));
		put_lsn(w, o, "redo", c->redo);
		put_true(w, o, "shutdown", c->shutdown);
		put_true(w, o, "end_of_recovery", c->end_of_recovery);
		put(w, o, "timeline", number(c->timeline));
		put(w, o, "previous_timeline", number(c->previous_timeline));
		put_number(w, o, "next_xid", c->next_xid);
		put(w, o, "time", moment_time(c->time_us));
		append(w, array, o);
	}
	return array;
}

static json_t *
invalidated(struct writer *w, const struct sw_wal_digest *d)
{
	size_t count = at_most(w, d->invalidated_count, w->diet->points);
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *o = sw_json_object();

		put(w, o, "oid", number(d->invalidated[i].oid));
		put(w, o, "lsn", lsn(d->invalidated[i].lsn));
		put_name(w, o, "name", d->invalidated[i].name);
		append(w, array, o);
	}
	return array;
}

static void
put_moment(struct writer *w, json_t *object, const char *key, const struct sw_wal_moment *m)
{
	json_t *item;

	if (m->lsn == 0)
		return;
	item = NUMBERS(w, m->xid);
	append(w, item, lsn(m->lsn));
	append(w, item, moment_time(m->time_us));
	put(w, object, key, item);
}

static void
put_fragment(struct writer *w, json_t *object, const char *key, const struct sw_wal_fragment *f)
{
	json_t *o;
	char *bytes;

	if (f == NULL)
		return;
	w->cut |= w->diet->no_fragments;
	if (w->diet->no_fragments)
		return;
	o = sw_json_object();
	bytes = sw_base64(f->bytes, f->bytes_len);
	put_lsn(w, o, "lsn", f->lsn);
	put_number(w, o, "timeline", f->timeline);
	put(w, o, "len", number(f->len));
	put(w, o, "whole_len", number(f->whole_len));
	put(w, o, "crc", number(f->crc));
	put(w, o, "bytes", json_string(bytes));
	put(w, object, key, o);
	free(bytes);
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void
put_ends(struct writer *w, json_t *o, const struct sw_wal_digest *d)
{
	uint64_t below = d->ends_below;

	put_moment(w, o, "first_end", &d->first_end);
	put_moment(w, o, "last_end", &d->last_end);
	put_moment(w, o, "earliest", &d->earliest);
	put_moment(w, o, "latest", &d->latest);
	put_true(w, o, "xid_full", d->xid_full);
	put_number(w, o, "xid_min", d->xid_min);
	put_number(w, o, "xid_max", d->xid_max);
	put_number(w, o, "xid_next", d->xid_next);
	put_time(w, o, "time_max", d->time_max_us);
	put_list(w, o, "ends", ends(w, d, &below));
	if (below != UINT64_MAX)
		put(w, o, "ends_below", number(below));
}

static json_t *
make(struct writer *w, const struct sw_wal_digest *d, bool fragments)
{
	json_t *o = sw_json_object();

	put(w, o, "verdict", json_string(verdicts[d->verdict]));
	put(w, o, "start", lsn(d->start));
	put_lsn(w, o, "valid_to", d->valid_to);
	put_lsn(w, o, "broken_at", d->broken_at);
	put_name(w, o, "reason", d->reason);
	put_number(w, o, "major", d->major);
	put_number(w, o, "magic", d->magic);
	put_number(w, o, "first_timeline", d->first_timeline);
	put_number(w, o, "last_timeline", d->last_timeline);
	put_lsn(w, o, "last_timeline_from", d->last_timeline_from);
	put_lsn(w, o, "first", d->first);
	put_lsn(w, o, "last", d->last);
	put_lsn(w, o, "first_prev", d->first_prev);
	put_true(w, o, "switched", d->switched);
	put_true(w, o, "tail_aborted", d->tail_aborted);
	put_number(w, o, "records", d->records);
	put_number(w, o, "commits", d->commits);
	put_number(w, o, "aborts", d->aborts);
	put_list(w, o, "checkpoints", checkpoints(w, d));
	put_list(w, o, "points", points(w, d));
	put_list(w, o, "invalidated", invalidated(w, d));
	put_list(w, o, "acts", acts(w, d));
	put_ends(w, o, d);
	if (fragments) {
		put_fragment(w, o, "tail", d->tail);
		put_fragment(w, o, "head", d->head);
	}
	put_true(w, o, "truncated", d->truncated || w->cut);
	return o;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
ends_at_least(const struct sw_wal_digest *d, const struct diet *diet)
{
	size_t count = least(d->end_count, diet->ends), bytes = 0;
	uint64_t below = count < d->end_count ? d->ends[count].xid : UINT64_MAX;

	for (size_t i = 0; i < count && d->ends[i].xid < below; i++) {
		const struct sw_wal_end *e = &d->ends[i];

		bytes += 40;
		for (size_t n = 0; n < e->subxid_count; n++)
			bytes += e->xid + (uint32_t)(e->subxids[n] - (uint32_t)e->xid) < below ? 2 : 0;
	}
	return bytes;
}

/* Fewer bytes than the lists take for sure, so that much too much is not even made. */
static size_t
at_least(const struct sw_wal_digest *d, const struct diet *diet)
{
	size_t bytes = ends_at_least(d, diet);

	for (size_t i = 0; i < d->act_count && i < diet->acts; i++) {
		const struct sw_wal_act *a = &d->acts[i];

		bytes += 10 + 18 * least(a->born_count, diet->born) + 6 * least(a->dropped_count, diet->list) +
			6 * least(a->created_count, diet->list) + 4 * least(a->dropped_oid_count, diet->list) +
			4 * least(a->touched_count, diet->list) + 4 * least(a->truncated_count, diet->list) +
			8 * least(a->database_count, diet->list) + 8 * least(a->tablespace_count, diet->list) +
			2 * least(a->subxid_count, diet->list) + (diet->no_places ? 0 : 24 * a->moved_count);
	}
	return bytes;
}

json_t *
sw_wal_digest_json(const struct sw_wal_digest *digest, size_t room, bool with_fragments)
{
	for (size_t i = 0; i < DIET_COUNT; i++) {
		struct writer w = {.diet = &diets[i]};
		json_t *json;

		if (at_least(digest, w.diet) > room && i < DIET_COUNT - 1)
			continue;
		json = make(&w, digest, with_fragments);
		if (!w.failed && (i == DIET_COUNT - 1 || json_dumpb(json, NULL, 0, JSON_COMPACT) <= room))
			return json;
		json_decref(json);
		if (w.failed)
			return NULL;
	}
	return NULL;
}

/* --- reading: values --------------------------------------------------------------------------- */

static sw_rc
fail_key(const char *key, struct sw_error *err)
{
	return sw_fail(err, SW_CORRUPT, "\"%s\" is malformed", key);
}

static sw_rc
get_number(const json_t *o, const char *key, uint64_t max, uint64_t *ret_value, struct sw_error *err)
{
	*ret_value = 0;
	return json_object_get(o, key) == NULL ? SW_OK : sw_json_u64(o, key, max, ret_value, err);
}

static sw_rc
get_u32(const json_t *o, const char *key, uint32_t *ret_value, struct sw_error *err)
{
	uint64_t value;
	sw_rc rc = get_number(o, key, UINT32_MAX, &value, err);

	*ret_value = (uint32_t)value;
	return rc;
}

static sw_rc
get_bool(const json_t *o, const char *key, bool *ret_value, struct sw_error *err)
{
	*ret_value = false;
	return json_object_get(o, key) == NULL ? SW_OK : sw_json_bool(o, key, ret_value, err);
}

static bool
is_lsn(const json_t *value, sw_lsn *ret_lsn)
{
	const char *text = json_string_value(value);

	return text != NULL && sw_lsn_parse(text, ret_lsn);
}

static bool
is_time(const json_t *value, int64_t *ret_us)
{
	const char *text = json_string_value(value);

	return text != NULL && sw_clock_parse_iso(text, ret_us);
}

static bool
is_number(const json_t *value, uint64_t max, uint64_t *ret_value)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
		return false;
	*ret_value = (uint64_t)json_integer_value(value);
	return true;
}

static bool
is_u32(const json_t *value, uint32_t *ret_value)
{
	uint64_t number_value;

	if (!is_number(value, UINT32_MAX, &number_value))
		return false;
	*ret_value = (uint32_t)number_value;
	return true;
}

static bool
is_name(const json_t *value, char *ret_name, size_t size)
{
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) >= size)
		return false;
	memcpy(ret_name, text, strlen(text) + 1);
	return true;
}

static sw_rc
get_lsn(const json_t *o, const char *key, sw_lsn *ret_lsn, struct sw_error *err)
{
	const json_t *value = json_object_get(o, key);

	*ret_lsn = 0;
	return value == NULL || is_lsn(value, ret_lsn) ? SW_OK : fail_key(key, err);
}

static sw_rc
get_time(const json_t *o, const char *key, int64_t *ret_us, struct sw_error *err)
{
	const json_t *value = json_object_get(o, key);

	*ret_us = 0;
	return value == NULL || is_time(value, ret_us) ? SW_OK : fail_key(key, err);
}

static sw_rc
get_name(const json_t *o, const char *key, char *ret_name, size_t size, struct sw_error *err)
{
	const json_t *value = json_object_get(o, key);

	ret_name[0] = '\0';
	return value == NULL || is_name(value, ret_name, size) ? SW_OK : fail_key(key, err);
}

/* --- reading: lists ------------------------------------------------------------------------------- */

typedef sw_rc (*item_fn)(const json_t *json, void *ret_item, struct sw_error *err);

/* The list grows while it is read, so that what was read can be released after a failure. */
static sw_rc
get_list(const json_t *o, const char *key, size_t max, size_t item_len, item_fn read, void **ret_list,
	size_t *ret_count, struct sw_error *err)
{
	const json_t *array = json_object_get(o, key);
	size_t count = json_array_size(array);
	sw_rc rc = SW_OK;

	if (array == NULL || (json_is_array(array) && count == 0))
		return SW_OK;
	if (!json_is_array(array) || count > max)
		return sw_fail(err, SW_CORRUPT, "\"%s\" is no list of at most %zu", key, max);
	*ret_list = calloc(count, item_len);
	if (*ret_list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; rc == SW_OK && i < count; i++) {
		void *item = (char *)*ret_list + i * item_len;

		*ret_count = i + 1;
		rc = read(json_array_get(array, i), item, err);
	}
	return rc == SW_OK ? rc : sw_wrap(err, "in \"%s\"", key);
}

#define GET_LIST(rc, o, key, max, list, count, read, err) \
	do { \
		if ((rc) == SW_OK) { \
			void *list_ = NULL; \
			(rc) = get_list(o, key, max, sizeof(*(list)), read, &list_, &(count), err); \
			(list) = list_; \
		} \
	} while (0)

static sw_rc
fail_item(struct sw_error *err)
{
	return sw_fail(err, SW_CORRUPT, "an item is malformed");
}

static sw_rc
read_xid(const json_t *json, void *ret_item, struct sw_error *err)
{
	return is_u32(json, ret_item) ? SW_OK : fail_item(err);
}

static sw_rc
read_relation(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_relation *r = ret_item;

	return is_u32(json_array_get(json, 0), &r->tablespace) && is_u32(json_array_get(json, 1), &r->database) &&
		is_u32(json_array_get(json, 2), &r->filenode) ? SW_OK : fail_item(err);
}

static sw_rc
read_object(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_object *o = ret_item;

	return is_u32(json_array_get(json, 0), &o->database) && is_u32(json_array_get(json, 1), &o->oid) ? SW_OK :
		fail_item(err);
}

static sw_rc
read_gone(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_gone *g = ret_item;

	return is_u32(json_array_get(json, 0), &g->oid) && is_lsn(json_array_get(json, 1), &g->lsn) ? SW_OK :
		fail_item(err);
}

static bool
is_place(const json_t *block, const json_t *offset, struct sw_wal_place *ret_place)
{
	uint64_t value;

	if (!is_u32(block, &ret_place->block) || !is_number(offset, UINT16_MAX, &value))
		return false;
	ret_place->offset = (uint16_t)value;
	return true;
}

static sw_rc
read_born(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_born *b = ret_item;
	const json_t *unlogged = json_array_get(json, 7);
	char kind[2];

	if (!is_u32(json_array_get(json, 0), &b->database) || !is_u32(json_array_get(json, 1), &b->oid) ||
		!is_u32(json_array_get(json, 2), &b->schema) || !is_u32(json_array_get(json, 3), &b->filenode) ||
		!is_u32(json_array_get(json, 4), &b->tablespace) ||
		!is_name(json_array_get(json, 5), kind, sizeof(kind)) ||
		!is_name(json_array_get(json, 6), b->name, sizeof(b->name)) ||
		(unlogged != NULL && !json_is_boolean(unlogged)) ||
		(json_array_size(json) > 8 && (!is_u32(json_array_get(json, 8), &b->file) ||
			!is_place(json_array_get(json, 9), json_array_get(json, 10), &b->place))))
		return fail_item(err);
	b->kind = kind[0];
	b->unlogged = json_is_true(unlogged);
	return SW_OK;
}

static bool
is_hex(const char *text, struct sw_wal_head *head)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (len == 0 || len % 2 != 0 || len / 2 > (size_t)(SW_WAL_HEAD_LEN - head->from))
		return false;
	for (size_t i = 0; i < len; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);
		uint8_t *byte = &head->bytes[head->from + i / 2];

		if (at == NULL)
			return false;
		*byte = (uint8_t)(*byte << 4 | (at - digits));
	}
	head->to = (uint8_t)(head->from + len / 2);
	return true;
}

/* What is behind the LSN of a moved row. */
static bool
read_head(const json_t *json, struct sw_wal_moved *m)
{
	char name[SW_WAL_NAME_LEN];
	uint32_t oid, third;
	uint64_t from;

	switch (json_array_size(json)) {
	case 8:
		return true;
	case 9:
		m->unseen = true;
		return json_is_false(json_array_get(json, 8));
	case 10:
		if (!is_number(json_array_get(json, 8), SW_WAL_HEAD_LEN - 1, &from))
			return false;
		m->head.from = (uint8_t)from;
		return is_hex(json_string_value(json_array_get(json, 9)), &m->head);
	case 11:
		if (!is_u32(json_array_get(json, 8), &oid) || !is_u32(json_array_get(json, 9), &third) ||
			!is_name(json_array_get(json, 10), name, sizeof(name)))
			return false;
		m->head = sw_wal_head_make(oid, name, third);
		return true;
	}
	return false;
}

static sw_rc
read_moved(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_moved *m = ret_item;

	return is_u32(json_array_get(json, 0), &m->catalog) && is_u32(json_array_get(json, 1), &m->database) &&
		is_u32(json_array_get(json, 2), &m->file) &&
		is_place(json_array_get(json, 3), json_array_get(json, 4), &m->from) &&
		is_place(json_array_get(json, 5), json_array_get(json, 6), &m->to) &&
		is_lsn(json_array_get(json, 7), &m->lsn) && read_head(json, m) ? SW_OK : fail_item(err);
}

static sw_rc
read_rows(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_rows *r = ret_item;

	return read_relation(json, &r->relation, err) == SW_OK &&
		is_number(json_array_get(json, 3), NUMBER_MAX, &r->updates) &&
		is_number(json_array_get(json, 4), NUMBER_MAX, &r->deletes) &&
		is_lsn(json_array_get(json, 5), &r->first) ? SW_OK : fail_item(err);
}

static sw_rc
read_act_lists(const json_t *json, struct sw_wal_act *a, struct sw_error *err)
{
	const size_t max = SW_WAL_DIGEST_LIST_MAX;
	sw_rc rc = SW_OK;

	GET_LIST(rc, json, "subxids", max, a->subxids, a->subxid_count, read_xid, err);
	GET_LIST(rc, json, "dropped", max, a->dropped, a->dropped_count, read_relation, err);
	GET_LIST(rc, json, "dropped_oids", max, a->dropped_oids, a->dropped_oid_count, read_object, err);
	GET_LIST(rc, json, "touched", max, a->touched, a->touched_count, read_object, err);
	GET_LIST(rc, json, "created", max, a->created, a->created_count, read_relation, err);
	GET_LIST(rc, json, "born", max, a->born, a->born_count, read_born, err);
	GET_LIST(rc, json, "moved", SW_WAL_DIGEST_MOVED_MAX, a->moved, a->moved_count, read_moved, err);
	GET_LIST(rc, json, "truncated", max, a->truncated, a->truncated_count, read_object, err);
	GET_LIST(rc, json, "databases", max, a->databases, a->database_count, read_gone, err);
	GET_LIST(rc, json, "tablespaces", max, a->tablespaces, a->tablespace_count, read_gone, err);
	GET_LIST(rc, json, "rows", max, a->rows, a->rows_count, read_rows, err);
	return rc;
}

static sw_rc
read_act(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_act *a = ret_item;
	sw_rc rc = sw_json_u64(json, "xid", NUMBER_MAX, &a->xid, err);

	a->committed = json_object_get(json, "lsn") != NULL;
	if (rc == SW_OK)
		rc = get_lsn(json, "lsn", &a->lsn, err);
	if (rc == SW_OK && a->committed != (json_object_get(json, "time") != NULL))
		rc = fail_key("time", err);
	if (rc == SW_OK)
		rc = get_time(json, "time", &a->time_us, err);
	if (rc == SW_OK)
		rc = get_lsn(json, "first", &a->first, err);
	if (rc == SW_OK)
		rc = get_bool(json, "prepared", &a->prepared, err);
	if (rc == SW_OK)
		rc = get_bool(json, "cut", &a->cut, err);
	if (rc == SW_OK)
		rc = get_bool(json, "moved_cut", &a->moved_cut, err);
	if (rc == SW_OK)
		rc = get_bool(json, "places_cut", &a->places_cut, err);
	if (rc == SW_OK)
		rc = get_bool(json, "remapped", &a->remapped, err);
	if (rc == SW_OK)
		rc = get_u32(json, "database", &a->database, err);
	if (rc == SW_OK)
		rc = get_u32(json, "class_updates", &a->class_updates, err);
	if (rc == SW_OK)
		rc = get_u32(json, "class_deletes", &a->class_deletes, err);
	return rc == SW_OK ? read_act_lists(json, a, err) : rc;
}

static sw_rc
read_end(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_end *e = ret_item;
	const json_t *committed = json_array_get(json, 3), *subxids = json_array_get(json, 4);
	size_t count = json_array_size(subxids);

	if (!is_number(json_array_get(json, 0), NUMBER_MAX, &e->xid) || !is_lsn(json_array_get(json, 1), &e->lsn) ||
		!is_time(json_array_get(json, 2), &e->time_us) ||
		(committed != NULL && !json_is_boolean(committed)) ||
		(subxids != NULL && (!json_is_array(subxids) || count > SW_WAL_DIGEST_LIST_MAX)))
		return fail_item(err);
	e->committed = committed == NULL || json_is_true(committed);
	if (count == 0)
		return SW_OK;
	e->subxids = calloc(count, sizeof(*e->subxids));
	if (e->subxids == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	e->subxid_count = count;
	for (size_t i = 0; i < count; i++)
		if (!is_u32(json_array_get(subxids, i), &e->subxids[i]))
			return fail_item(err);
	return SW_OK;
}

static sw_rc
read_point(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_point *p = ret_item;

	return is_lsn(json_object_get(json, "lsn"), &p->lsn) && is_lsn(json_object_get(json, "end"), &p->end) &&
		is_time(json_object_get(json, "time"), &p->time_us) &&
		is_name(json_object_get(json, "name"), p->name, sizeof(p->name)) ? SW_OK : fail_item(err);
}

static sw_rc
read_checkpoint(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_checkpoint *c = ret_item;
	sw_rc rc;

	if (!is_lsn(json_object_get(json, "lsn"), &c->lsn) || !is_time(json_object_get(json, "time"), &c->time_us) ||
		!is_u32(json_object_get(json, "timeline"), &c->timeline) ||
		!is_u32(json_object_get(json, "previous_timeline"), &c->previous_timeline))
		return fail_item(err);
	rc = get_lsn(json, "redo", &c->redo, err);
	if (rc == SW_OK)
		rc = get_bool(json, "shutdown", &c->shutdown, err);
	if (rc == SW_OK)
		rc = get_bool(json, "end_of_recovery", &c->end_of_recovery, err);
	return rc == SW_OK ? get_number(json, "next_xid", NUMBER_MAX, &c->next_xid, err) : rc;
}

static sw_rc
read_invalidated(const json_t *json, void *ret_item, struct sw_error *err)
{
	struct sw_wal_invalidated *v = ret_item;

	if (!is_u32(json_object_get(json, "oid"), &v->oid) || !is_lsn(json_object_get(json, "lsn"), &v->lsn))
		return fail_item(err);
	return get_name(json, "name", v->name, sizeof(v->name), err);
}

static sw_rc
get_moment(const json_t *o, const char *key, bool xid_full, struct sw_wal_moment *ret_moment, struct sw_error *err)
{
	const json_t *item = json_object_get(o, key);

	if (item == NULL)
		return SW_OK;
	if (!is_number(json_array_get(item, 0), NUMBER_MAX, &ret_moment->xid) ||
		!is_lsn(json_array_get(item, 1), &ret_moment->lsn) || ret_moment->lsn == 0 ||
		!is_time(json_array_get(item, 2), &ret_moment->time_us))
		return fail_key(key, err);
	ret_moment->xid_full = xid_full;
	return SW_OK;
}

static sw_rc
read_fragment(const json_t *json, struct sw_wal_fragment *f, struct sw_error *err)
{
	uint8_t bytes[SW_WAL_FRAGMENT_BYTES + 3];
	const char *text;
	ssize_t len;
	sw_rc rc;

	if (!is_u32(json_object_get(json, "len"), &f->len) || !is_u32(json_object_get(json, "whole_len"), &f->whole_len) ||
		!is_u32(json_object_get(json, "crc"), &f->crc) || f->len == 0 || f->len > f->whole_len ||
		f->whole_len > SW_WAL_RECORD_MAX)
		return fail_item(err);
	rc = get_lsn(json, "lsn", &f->lsn, err);
	if (rc == SW_OK)
		rc = get_u32(json, "timeline", &f->timeline, err);
	if (rc == SW_OK)
		rc = sw_json_string(json, "bytes", &text, err);
	if (rc != SW_OK)
		return rc;
	len = sw_unbase64(text, bytes, SW_WAL_FRAGMENT_BYTES);
	if (len < 0 || (size_t)len != (f->len < SW_WAL_FRAGMENT_BYTES ? f->len : SW_WAL_FRAGMENT_BYTES))
		return fail_key("bytes", err);
	f->bytes_len = (uint32_t)len;
	memcpy(f->bytes, bytes, f->bytes_len);
	return SW_OK;
}

static sw_rc
get_fragment(const json_t *o, const char *key, struct sw_wal_fragment **ret_fragment, struct sw_error *err)
{
	const json_t *json = json_object_get(o, key);
	struct sw_wal_fragment *f;

	if (json == NULL)
		return SW_OK;
	f = *ret_fragment = calloc(1, sizeof(*f));
	if (f == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return read_fragment(json, f, err) == SW_OK ? SW_OK : sw_wrap(err, "in \"%s\"", key);
}

/* --- reading: the whole --------------------------------------------------------------------------- */

static sw_rc
get_verdict(const json_t *o, struct sw_wal_digest *d, struct sw_error *err)
{
	const char *text;
	sw_rc rc = sw_json_string(o, "verdict", &text, err);

	for (size_t i = 0; rc == SW_OK && i < VERDICT_COUNT; i++)
		if (strcmp(text, verdicts[i]) == 0) {
			d->verdict = (enum sw_wal_verdict)i;
			return SW_OK;
		}
	return rc == SW_OK ? fail_key("verdict", err) : rc;
}

static sw_rc
get_range(const json_t *o, struct sw_wal_digest *d, struct sw_error *err)
{
	uint32_t major = 0;
	sw_rc rc = get_verdict(o, d, err);

	if (rc == SW_OK && !is_lsn(json_object_get(o, "start"), &d->start))
		rc = fail_key("start", err);
	if (rc == SW_OK)
		rc = get_lsn(o, "valid_to", &d->valid_to, err);
	if (rc == SW_OK)
		rc = get_lsn(o, "broken_at", &d->broken_at, err);
	if (rc == SW_OK)
		rc = get_name(o, "reason", d->reason, sizeof(d->reason), err);
	if (rc == SW_OK)
		rc = get_u32(o, "major", &major, err);
	if (rc == SW_OK)
		rc = get_u32(o, "magic", &d->magic, err);
	if (rc == SW_OK)
		rc = get_u32(o, "first_timeline", &d->first_timeline, err);
	if (rc == SW_OK)
		rc = get_u32(o, "last_timeline", &d->last_timeline, err);
	if (rc == SW_OK)
		rc = get_lsn(o, "last_timeline_from", &d->last_timeline_from, err);
	if (rc == SW_OK)
		rc = get_lsn(o, "first", &d->first, err);
	if (rc == SW_OK)
		rc = get_lsn(o, "last", &d->last, err);
	if (rc == SW_OK)
		rc = get_lsn(o, "first_prev", &d->first_prev, err);
	d->major = major;
	return rc;
}

static sw_rc
get_counts(const json_t *o, struct sw_wal_digest *d, struct sw_error *err)
{
	sw_rc rc = get_bool(o, "switched", &d->switched, err);

	if (rc == SW_OK)
		rc = get_bool(o, "tail_aborted", &d->tail_aborted, err);
	if (rc == SW_OK)
		rc = get_bool(o, "truncated", &d->truncated, err);
	if (rc == SW_OK)
		rc = get_bool(o, "xid_full", &d->xid_full, err);
	if (rc == SW_OK)
		rc = get_number(o, "records", NUMBER_MAX, &d->records, err);
	if (rc == SW_OK)
		rc = get_number(o, "commits", NUMBER_MAX, &d->commits, err);
	if (rc == SW_OK)
		rc = get_number(o, "aborts", NUMBER_MAX, &d->aborts, err);
	if (rc == SW_OK)
		rc = get_number(o, "xid_min", NUMBER_MAX, &d->xid_min, err);
	if (rc == SW_OK)
		rc = get_number(o, "xid_max", NUMBER_MAX, &d->xid_max, err);
	if (rc == SW_OK)
		rc = get_number(o, "xid_next", NUMBER_MAX, &d->xid_next, err);
	if (rc == SW_OK)
		rc = get_time(o, "time_max", &d->time_max_us, err);
	return rc;
}

static sw_rc
get_moments(const json_t *o, struct sw_wal_digest *d, struct sw_error *err)
{
	sw_rc rc = get_moment(o, "first_end", d->xid_full, &d->first_end, err);

	if (rc == SW_OK)
		rc = get_moment(o, "last_end", d->xid_full, &d->last_end, err);
	if (rc == SW_OK)
		rc = get_moment(o, "earliest", d->xid_full, &d->earliest, err);
	if (rc == SW_OK)
		rc = get_moment(o, "latest", d->xid_full, &d->latest, err);
	if (rc == SW_OK && json_object_get(o, "ends_below") != NULL)
		rc = sw_json_u64(o, "ends_below", NUMBER_MAX, &d->ends_below, err);
	return rc;
}

static sw_rc
get_lists(const json_t *o, struct sw_wal_digest *d, struct sw_error *err)
{
	const size_t max = SW_WAL_DIGEST_POINTS_MAX;
	sw_rc rc = SW_OK;

	GET_LIST(rc, o, "points", max, d->points, d->point_count, read_point, err);
	GET_LIST(rc, o, "checkpoints", max, d->checkpoints, d->checkpoint_count, read_checkpoint, err);
	GET_LIST(rc, o, "invalidated", max, d->invalidated, d->invalidated_count, read_invalidated, err);
	GET_LIST(rc, o, "acts", SW_WAL_DIGEST_ACTS_MAX, d->acts, d->act_count, read_act, err);
	GET_LIST(rc, o, "ends", SW_WAL_DIGEST_ENDS, d->ends, d->end_count, read_end, err);
	if (rc == SW_OK)
		rc = get_fragment(o, "tail", &d->tail, err);
	return rc == SW_OK ? get_fragment(o, "head", &d->head, err) : rc;
}

static bool
is_within(const struct sw_wal_digest *d, sw_lsn at)
{
	return at >= d->start && at < d->valid_to;
}

/* What a reader of the catalog takes for granted: positions within the stretch, acts and ends in order. */
static bool
is_consistent(const struct sw_wal_digest *d)
{
	const struct sw_wal_act *before = NULL;

	if (d->valid_to < d->start || d->first > d->last || (d->first != 0 && (!is_within(d, d->first) || !is_within(d, d->last))) ||
		(d->broken_at != 0 && (d->verdict != SW_WAL_BROKEN || d->broken_at < d->start)) ||
		(d->head != NULL && d->head->lsn < d->start) || (d->verdict == SW_WAL_UNKNOWN && d->major != 0))
		return false;
	for (size_t i = 0; i < d->point_count; i++)
		if (!is_within(d, d->points[i].lsn) || d->points[i].end <= d->points[i].lsn)
			return false;
	for (size_t i = 0; i < d->checkpoint_count; i++)
		if (!is_within(d, d->checkpoints[i].lsn))
			return false;
	for (size_t i = 0; i < d->act_count; i++) {
		const struct sw_wal_act *a = &d->acts[i];

		if ((a->committed && !is_within(d, a->lsn)) ||
			(before != NULL && a->committed && (!before->committed || before->lsn >= a->lsn)))
			return false;
		before = a;
	}
	for (size_t i = 0; i < d->end_count; i++)
		if (!is_within(d, d->ends[i].lsn) || (i > 0 && d->ends[i].xid < d->ends[i - 1].xid) ||
			d->ends[i].xid >= d->ends_below)
			return false;
	return true;
}

sw_rc
sw_wal_digest_parse(const json_t *json, struct sw_wal_digest *ret_digest, struct sw_error *err)
{
	struct sw_wal_digest d = {.ends_below = UINT64_MAX};
	sw_rc rc;

	if (!json_is_object(json))
		return sw_fail(err, SW_CORRUPT, "what the WAL says is no JSON object");
	rc = get_range(json, &d, err);
	if (rc == SW_OK)
		rc = get_counts(json, &d, err);
	if (rc == SW_OK)
		rc = get_moments(json, &d, err);
	if (rc == SW_OK)
		rc = get_lists(json, &d, err);
	if (rc == SW_OK && !is_consistent(&d))
		rc = sw_fail(err, SW_CORRUPT, "what the WAL says contradicts itself");
	if (rc == SW_OK)
		*ret_digest = d;
	else
		sw_wal_digest_release(&d);
	return rc;
}

sw_rc
sw_wal_digest_cut(struct sw_wal_digest *digest, size_t room, struct sw_error *err)
{
	SW_AUTO_JSON *json = sw_wal_digest_json(digest, room, true);
	struct sw_wal_digest less = {0};
	sw_rc rc = json == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : sw_wal_digest_parse(json, &less, err);

	if (rc != SW_OK)
		return rc;
	sw_wal_digest_release(digest);
	*digest = less;
	return SW_OK;
}
