#include "catalog/moves.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "wal/catalog.h"

#define UNKNOWN_MAX 64 /* rows of one transaction of which each is asked whose it may be */

static int
compare_moved(const void *a, const void *b)
{
	const struct sw_wal_moved *x = *(const struct sw_wal_moved *const *)a, *y = *(const struct sw_wal_moved *const *)b;

	return (x->lsn > y->lsn) - (x->lsn < y->lsn);
}

/* By LSN, each once: a segment that two timelines share is told twice. */
static sw_rc
in_order(const struct sw_part *part, const struct sw_wal_moved ***ret_list, size_t *ret_count, struct sw_error *err)
{
	const struct sw_wal_moved **list = calloc(part->moved_count, sizeof(void *));
	size_t kept = 0;

	if (list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < part->moved_count; i++)
		list[i] = &part->moved[i];
	qsort(list, part->moved_count, sizeof(void *), compare_moved);
	for (size_t i = 0; i < part->moved_count; i++)
		if (kept == 0 || list[kept - 1]->lsn != list[i]->lsn)
			list[kept++] = list[i];
	*ret_list = list;
	*ret_count = kept;
	return SW_OK;
}

/* --- new names ------------------------------------------------------------------------------------- */

static bool
says_a_name(const struct sw_wal_moved *m)
{
	return m->unseen || m->head.from != m->head.to;
}

/* In another encoding the bytes of a name that is not plain are not those of the WAL. */
static bool
has_its_bytes(const struct sw_relmap *map, uint32_t database, const char *name)
{
	const struct sw_relmap_database *d = sw_relmap_database(map, database);
	bool plain = true;

	for (const char *c = name; *c != '\0'; c++)
		plain &= *c != '?' && (unsigned char)*c < 0x80;
	return plain || (d != NULL && !d->other_bytes && strchr(name, '?') == NULL);
}

static sw_rc
rename_relation(const struct sw_moves *w, struct sw_relmap_relation *r, const struct sw_wal_moved *m, struct sw_error *err)
{
	struct sw_wal_head head = sw_wal_head_make(r->key.b, r->name, r->schema);
	bool whole = sw_wal_head_is_whole(&m->head);
	char name[SW_WAL_NAME_LEN];

	r->placed_at = w->lsn;
	r->row_lost = false;
	if (m->unseen)
		r->name_unsure = true;
	if (m->unseen || m->head.from == m->head.to || (!whole && r->name[0] == '\0') || !sw_wal_head_lay(&head, &m->head))
		return SW_OK;
	sw_wal_head_name(&head, name);
	if (whole) {
		r->name_unsure = false;
		r->named_gap = w->map->gaps;
	} else if (strcmp(name, r->name) != 0 && !has_its_bytes(w->map, r->key.a, r->name)) {
		r->name_unsure = true;
	}
	return sw_relmap_rename(w->map, r, name, sw_wal_head_third(&head), err);
}

static sw_rc
rename_schema(const struct sw_moves *w, uint32_t oid, const struct sw_wal_moved *m, struct sw_error *err)
{
	const char *before = sw_relmap_schema_name(w->map, m->database, oid);
	struct sw_wal_head head = sw_wal_head_make(oid, before != NULL ? before : "", 0);
	char name[SW_WAL_NAME_LEN];

	if (m->head.from == m->head.to || (before == NULL && !sw_wal_head_is_whole(&m->head)) ||
		!sw_wal_head_lay(&head, &m->head))
		return SW_OK;
	sw_wal_head_name(&head, name);
	return sw_relmap_set_schema(w->map, m->database, oid, name, err);
}

static void
rename_database(const struct sw_moves *w, uint32_t oid, const struct sw_wal_moved *m)
{
	struct sw_relmap_database *d = sw_relmap_database(w->map, oid);
	struct sw_wal_head head;

	if (d == NULL)
		return;
	head = sw_wal_head_make(oid, d->name, 0);
	d->name_unsure = m->unseen || (d->name_unsure && !sw_wal_head_is_whole(&m->head));
	if (sw_wal_head_lay(&head, &m->head))
		sw_wal_head_name(&head, d->name);
}

/* --- whose row it is -------------------------------------------------------------------------------- */

/*
 * 0: not known.  A backup's list is younger than where it began: up to there a row that is where it was moved is
 * there already, and another one may be where it was.
 */
static uint32_t
owner_of(const struct sw_moves *w, const struct sw_wal_moved *m)
{
	const struct sw_relmap_row *row = sw_relmap_row(w->map, m->database, m->file, m->from);
	const struct sw_relmap_database *d = sw_relmap_database(w->map, m->database);
	const struct sw_relmap_relation *r;
	uint32_t oid = sw_wal_head_oid(&m->head);

	if (oid != 0)
		return oid;
	if (row == NULL || (d != NULL && w->lsn < d->lsn && sw_relmap_row(w->map, m->database, m->file, m->to) != NULL))
		return 0;
	r = m->catalog == SW_WAL_PG_CLASS ? sw_relmap_relation(w->map, m->database, row->oid) : NULL;
	return r != NULL && r->row_lost ? 0 : row->oid;
}

static sw_rc
move(const struct sw_moves *w, const struct sw_wal_moved *m, uint32_t oid, struct sw_error *err)
{
	struct sw_relmap_row *row = sw_relmap_row(w->map, m->database, m->file, m->from);
	struct sw_relmap_relation *r;

	if (row != NULL && row->oid == oid)
		sw_relmap_forget_row(w->map, row);
	if (sw_relmap_set_row(w->map, m->database, m->file, m->to, oid, err) != SW_OK)
		return err->rc;
	if (m->catalog == SW_WAL_PG_NAMESPACE)
		return rename_schema(w, oid, m, err);
	if (m->catalog == SW_WAL_PG_DATABASE) {
		rename_database(w, oid, m);
		return SW_OK;
	}
	r = sw_relmap_relation(w->map, m->database, oid);
	return r == NULL ? SW_OK : rename_relation(w, r, m, err);
}

/* --- rows whose place is not known -------------------------------------------------------------------- */

/*
 * The relations whose caches the COMMIT invalidates, and whose rows were not found: whatever changes a row of pg_class
 * invalidates its relation.  Returns how many of them are there, be they known or not.
 */
static size_t
candidates(const struct sw_moves *w, uint32_t database, uint32_t *ret_oid)
{
	size_t count = 0;

	for (size_t i = 0; w->act != NULL && i < w->act->touched_count; i++) {
		const struct sw_wal_object *o = &w->act->touched[i];
		const struct sw_relmap_relation *r = sw_relmap_relation(w->map, o->database, o->oid);

		if (o->database != database || (r != NULL && r->placed_at == w->lsn))
			continue;
		count++;
		*ret_oid = o->oid;
	}
	return count;
}

/* Each of those may be where nobody knows, or (`names`) called as nobody knows. */
static void
doubt(const struct sw_moves *w, bool names)
{
	for (size_t i = 0; w->act != NULL && i < w->act->touched_count; i++) {
		const struct sw_wal_object *o = &w->act->touched[i];
		struct sw_relmap_relation *r = sw_relmap_relation(w->map, o->database, o->oid);

		if (r == NULL || r->placed_at == w->lsn)
			continue;
		r->row_lost = true;
		r->name_unsure |= names;
	}
	if (w->act == NULL || w->act->cut)
		sw_relmap_forget_rows(w->map);
}

static void
doubt_databases(const struct sw_moves *w)
{
	uint32_t at = 0;

	for (struct sw_relmap_database *d = sw_hash_each(&w->map->databases, &at); d != NULL;
		d = sw_hash_each(&w->map->databases, &at))
		d->name_unsure = true;
}

static sw_rc
place_unknown(const struct sw_moves *w, const struct sw_wal_moved *m, struct sw_error *err)
{
	uint32_t oid = owner_of(w, m);

	if (oid != 0)
		return move(w, m, oid, err);
	if (m->catalog == SW_WAL_PG_DATABASE && says_a_name(m))
		doubt_databases(w);
	if (m->catalog != SW_WAL_PG_CLASS)
		return SW_OK;
	if (w->act != NULL && !w->act->cut && candidates(w, m->database, &oid) == 1)
		return move(w, m, oid, err);
	doubt(w, says_a_name(m));
	return SW_OK;
}

static sw_rc
place_all_unknown(const struct sw_moves *w, const struct sw_wal_moved **list, size_t count, struct sw_error *err)
{
	sw_rc rc = SW_OK;
	bool names = false;

	for (size_t i = 0; rc == SW_OK && i < count && i < UNKNOWN_MAX; i++)
		rc = place_unknown(w, list[i], err);
	for (size_t i = UNKNOWN_MAX; i < count; i++)
		names |= says_a_name(list[i]);
	if (rc == SW_OK && count > UNKNOWN_MAX)
		doubt(w, names);
	return rc;
}

sw_rc
sw_moves_apply(const struct sw_moves *w, struct sw_error *err)
{
	SW_AUTO_FREE const struct sw_wal_moved **list = NULL;
	size_t count = 0, unknown = 0;
	sw_rc rc = w->part->moved_count == 0 ? SW_OK : in_order(w->part, &list, &count, err);

	for (size_t i = 0; i < w->part->born_count; i++) {
		struct sw_relmap_relation *r = sw_relmap_relation(w->map, w->part->born[i].database, w->part->born[i].oid);

		if (r != NULL)
			r->placed_at = w->lsn;
	}
	for (size_t i = 0; rc == SW_OK && i < count; i++) {
		uint32_t oid = owner_of(w, list[i]);

		if (oid != 0)
			rc = move(w, list[i], oid, err);
		else
			list[unknown++] = list[i];
	}
	if (rc == SW_OK && unknown > 0)
		rc = place_all_unknown(w, list, unknown, err);
	if (rc == SW_OK && (w->part->moved_cut || w->part->places_cut))
		doubt(w, w->part->moved_cut);
	return rc;
}
