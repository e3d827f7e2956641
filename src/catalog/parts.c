#include "catalog/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

struct open {
	struct sw_hash_key key; /* xid, 0 */
	struct sw_part part;
};

void
sw_part_release(struct sw_part *part)
{
	free(part->created);
	free(part->born);
	free(part->moved);
	free(part->truncated);
	free(part->databases);
	free(part->tablespaces);
	free(part->rows);
	*part = (struct sw_part){0};
}

/* --- lists -------------------------------------------------------------------------------- */

/* Room for a list grows by doubling. */
static size_t
room_of(size_t count)
{
	size_t room = 8;

	if (count == 0)
		return 0;
	while (room < count)
		room *= 2;
	return room;
}

/* Items at the list's end; beyond the limit they are cut. */
static sw_rc
append(struct sw_part *part, void *ret_list, size_t *count, const void *items, size_t item_count, size_t item_len,
	struct sw_error *err)
{
	uint8_t **list = ret_list, *grown = *list;
	size_t old = room_of(*count), room;

	if (item_count > SW_PARTS_LIST_MAX - *count) {
		item_count = SW_PARTS_LIST_MAX - *count;
		part->cut = true;
	}
	if (item_count == 0)
		return SW_OK;
	room = room_of(*count + item_count);
	if (room > old) {
		grown = realloc(*list, room * item_len);
		if (grown == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		*list = grown;
		part->bytes += (room - old) * item_len;
	}
	memcpy(grown + *count * item_len, items, item_count * item_len);
	*count += item_count;
	return SW_OK;
}

#define APPEND(part, list, count, from) \
	append(part, &(part)->list, &(part)->count, (from)->list, (from)->count, sizeof(*(part)->list), err)

/* Lists of which nothing is counted: being told twice does not matter. */
#define APPEND_LISTS(part, from) \
	(APPEND(part, created, created_count, from) == SW_OK && APPEND(part, born, born_count, from) == SW_OK && \
		APPEND(part, moved, moved_count, from) == SW_OK && APPEND(part, truncated, truncated_count, from) == SW_OK && \
		APPEND(part, databases, database_count, from) == SW_OK && \
		APPEND(part, tablespaces, tablespace_count, from) == SW_OK)

/* another: of another transaction, so that nothing can have been told twice. */
static sw_rc
add_rows(struct sw_part *part, const struct sw_wal_rows *rows, bool another, struct sw_error *err)
{
	for (size_t i = 0; i < part->rows_count; i++) {
		struct sw_wal_rows *r = &part->rows[i];

		if (!sw_wal_relation_equal(&r->relation, &rows->relation))
			continue;
		if (another || rows->first > r->first) {
			r->updates += rows->updates;
			r->deletes += rows->deletes;
		}
		if (rows->first > r->first)
			r->first = rows->first;
		return SW_OK;
	}
	return append(part, &part->rows, &part->rows_count, rows, 1, sizeof(*rows), err);
}

static void
count_classes(struct sw_part *part, bool again, uint32_t updates, uint32_t deletes)
{
	if (again) {
		part->class_updates = updates > part->class_updates ? updates : part->class_updates;
		part->class_deletes = deletes > part->class_deletes ? deletes : part->class_deletes;
	} else {
		part->class_updates += updates;
		part->class_deletes += deletes;
	}
}

static int
compare_relations(const void *a, const void *b)
{
	const struct sw_wal_relation *x = a, *y = b;

	if (x->filenode != y->filenode)
		return x->filenode < y->filenode ? -1 : 1;
	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	return (x->tablespace > y->tablespace) - (x->tablespace < y->tablespace);
}

/* Files that are told again are taken out before they are added: their order is that of the WAL. */
static sw_rc
forget_again(struct sw_part *part, const struct sw_wal_act *act, struct sw_error *err)
{
	const size_t len = sizeof(*act->created);
	SW_AUTO_FREE struct sw_wal_relation *again = NULL;
	size_t kept = 0;

	if (part->created_count == 0 || act->created_count == 0)
		return SW_OK;
	again = malloc(act->created_count * len);
	if (again == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	memcpy(again, act->created, act->created_count * len);
	qsort(again, act->created_count, len, compare_relations);
	for (size_t i = 0; i < part->created_count; i++)
		if (bsearch(&part->created[i], again, act->created_count, len, compare_relations) == NULL)
			part->created[kept++] = part->created[i];
	part->created_count = kept;
	return SW_OK;
}

sw_rc
sw_part_add(struct sw_part *part, const struct sw_wal_act *act, sw_lsn to, struct sw_error *err)
{
	bool again = part->latest != 0 && act->first <= part->latest;

	count_classes(part, again, act->class_updates, act->class_deletes);
	if (act->first > part->latest)
		part->latest = act->first;
	part->cut |= act->cut;
	part->moved_cut |= act->moved_cut;
	part->places_cut |= act->places_cut;
	if (again && forget_again(part, act, err) != SW_OK)
		return err->rc;
	for (size_t i = 0; i < act->rows_count; i++)
		if (act->rows[i].first < to && add_rows(part, &act->rows[i], false, err) != SW_OK)
			return err->rc;
	return APPEND_LISTS(part, act) ? SW_OK : err->rc;
}

sw_rc
sw_part_join(struct sw_part *part, const struct sw_part *sub, struct sw_error *err)
{
	count_classes(part, false, sub->class_updates, sub->class_deletes);
	if (sub->latest > part->latest)
		part->latest = sub->latest;
	part->cut |= sub->cut;
	part->moved_cut |= sub->moved_cut;
	part->places_cut |= sub->places_cut;
	for (size_t i = 0; i < sub->rows_count; i++)
		if (add_rows(part, &sub->rows[i], true, err) != SW_OK)
			return err->rc;
	return APPEND_LISTS(part, sub) ? SW_OK : err->rc;
}

/* --- open transactions ---------------------------------------------------------------------- */

void
sw_parts_init(struct sw_parts *parts)
{
	*parts = (struct sw_parts){0};
	sw_hash_init(&parts->open, "open transactions", sizeof(struct open), SW_PARTS_OPEN_MAX);
}

void
sw_parts_release(struct sw_parts *parts)
{
	uint32_t at = 0;

	for (struct open *o = sw_hash_each(&parts->open, &at); o != NULL; o = sw_hash_each(&parts->open, &at))
		sw_part_release(&o->part);
	sw_hash_release(&parts->open);
	parts->bytes = 0;
}

sw_rc
sw_parts_copy(const struct sw_parts *parts, struct sw_parts *ret_copy, struct sw_error *err)
{
	struct sw_parts copy;
	uint32_t at = 0;

	sw_parts_init(&copy);
	for (struct open *o = sw_hash_each(&parts->open, &at), *to; o != NULL; o = sw_hash_each(&parts->open, &at)) {
		if (sw_hash_add(&copy.open, o->key.a, 0, &to, err) != SW_OK ||
			sw_part_join(&to->part, &o->part, err) != SW_OK) {
			sw_parts_release(&copy);
			return err->rc;
		}
		copy.bytes += to->part.bytes;
	}
	*ret_copy = copy;
	return SW_OK;
}

static void
forget(struct sw_parts *parts, struct open *o)
{
	parts->bytes -= o->part.bytes;
	sw_part_release(&o->part);
	sw_hash_remove(&parts->open, o);
}

/* The transaction of which nothing was heard for longest goes; subtransactions that were undone may end unseen. */
static void
make_room(struct sw_parts *parts)
{
	while (parts->open.count >= SW_PARTS_OPEN_MAX ||
		(parts->bytes > SW_PARTS_BYTES_MAX && parts->open.count > 0)) {
		struct open *oldest = NULL;
		uint32_t at = 0;

		for (struct open *o = sw_hash_each(&parts->open, &at); o != NULL; o = sw_hash_each(&parts->open, &at))
			if (oldest == NULL || o->part.latest < oldest->part.latest)
				oldest = o;
		if (oldest == NULL)
			return;
		forget(parts, oldest);
		if (!parts->warned)
			sw_log(SW_LOG_WARNING, "more open transactions than are followed: what the oldest did is forgotten");
		parts->warned = true;
	}
}

sw_rc
sw_parts_keep(struct sw_parts *parts, const struct sw_wal_act *act, sw_lsn to, struct sw_error *err)
{
	struct open *o = sw_hash_find(&parts->open, (uint32_t)act->xid, 0);
	size_t before;
	sw_rc rc;

	if (o == NULL) {
		make_room(parts);
		if (sw_hash_add(&parts->open, (uint32_t)act->xid, 0, &o, err) != SW_OK)
			return err->rc;
	}
	before = o->part.bytes;
	rc = sw_part_add(&o->part, act, to, err);
	parts->bytes += o->part.bytes - before;
	return rc;
}

sw_rc
sw_parts_take(struct sw_parts *parts, uint32_t xid, struct sw_part *part, bool *ret_there, struct sw_error *err)
{
	struct open *o = sw_hash_find(&parts->open, xid, 0);
	sw_rc rc = SW_OK;

	if (ret_there != NULL && o != NULL)
		*ret_there = true;
	if (o == NULL)
		return SW_OK;
	if (part != NULL)
		rc = sw_part_join(part, &o->part, err);
	forget(parts, o);
	return rc;
}
