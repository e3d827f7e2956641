#include "catalog/commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "catalog/moves.h"

#define TOLD_DROPS_14 12 /* relations of one transaction that are tried in all combinations */
#define FIRST_WITH_DROPPED_OIDS 15

/* What this COMMIT did to a relation: marks of struct sw_relmap_relation. */
#define BORN 1
#define DROPPED 2
#define SWAPPED 4   /* its rows were written into a transient relation's file, which became its own */
#define REPLACED 8  /* it got a new file */
#define MOVED 16    /* in another tablespace */
#define TRUNCATED 32
#define EITHER 64   /* dropped or truncated */
#define TOLD 128

struct work {
	const struct sw_commit *commit;
	const struct sw_part *part;
	const struct sw_wal_act *act;
	struct sw_wal_relation *created_sorted, *dropped_sorted;
	struct sw_wal_object *touched_sorted;
	struct gone *gone; /* files that went, not those of relations born here, in the order of their drops */
	size_t gone_count;
	struct sw_wal_relation *made; /* files made, not of relations born or swapped, in the order of their making */
	size_t made_count;
	size_t between_count; /* that are in both */
	uint32_t *unknown_oids; /* dropped relations that nobody knows, sorted */
	size_t unknown_count;
	struct swap *swaps;
	size_t swap_count;
	uint32_t unseen; /* the first relation that looks like a transient whose birth was not seen; 0: none */
};

enum fate {
	FATE_UNKNOWN, /* of a relation that is not known, which was not dropped */
	FATE_DROPPED,
	FATE_SWAPPED,
	FATE_REPLACED,
	FATE_EITHER,
	FATE_BETWEEN, /* this transaction made it, too */
};

struct gone {
	struct sw_wal_relation file;
	uint32_t oid; /* 0: not known */
	enum fate fate;
	bool moved, told;
};

/* Transient relation `from` was made to rewrite relation `oid`. */
struct swap {
	uint32_t database, oid, from;
	struct sw_wal_relation file;
};

static void
release_work(struct work *w)
{
	free(w->created_sorted);
	free(w->dropped_sorted);
	free(w->touched_sorted);
	free(w->gone);
	free(w->made);
	free(w->unknown_oids);
	free(w->swaps);
}

#define AUTO_WORK __attribute__((cleanup(release_work))) struct work

/* --- sets --------------------------------------------------------------------------------- */

static int
compare_files(const void *a, const void *b)
{
	const struct sw_wal_relation *x = a, *y = b;

	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	return (x->filenode > y->filenode) - (x->filenode < y->filenode);
}

static int
compare_oids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static sw_rc
sorted_files(const struct sw_wal_relation *files, size_t count, struct sw_wal_relation **ret_sorted,
	struct sw_error *err)
{
	struct sw_wal_relation *copy;

	if (count == 0)
		return SW_OK;
	copy = malloc(count * sizeof(*copy));
	if (copy == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	memcpy(copy, files, count * sizeof(*copy));
	qsort(copy, count, sizeof(*copy), compare_files);
	*ret_sorted = copy;
	return SW_OK;
}

static int
compare_objects(const void *a, const void *b)
{
	const struct sw_wal_object *x = a, *y = b;

	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	return (x->oid > y->oid) - (x->oid < y->oid);
}

static sw_rc
sort_touched(struct work *w, struct sw_error *err)
{
	size_t len = w->act == NULL ? 0 : w->act->touched_count * sizeof(*w->touched_sorted);

	if (len == 0)
		return SW_OK;
	w->touched_sorted = malloc(len);
	if (w->touched_sorted == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	memcpy(w->touched_sorted, w->act->touched, len);
	qsort(w->touched_sorted, w->act->touched_count, sizeof(*w->touched_sorted), compare_objects);
	return SW_OK;
}

static const struct sw_wal_relation *
search_file(const struct sw_wal_relation *sorted, size_t count, uint32_t database, uint32_t filenode)
{
	struct sw_wal_relation key = {0, database, filenode};

	return sorted == NULL ? NULL : bsearch(&key, sorted, count, sizeof(*sorted), compare_files);
}

static bool
was_created(const struct work *w, const struct sw_wal_relation *file)
{
	return search_file(w->created_sorted, w->part->created_count, file->database, file->filenode) != NULL;
}

static bool
was_dropped(const struct work *w, const struct sw_wal_relation *file)
{
	size_t count = w->act == NULL ? 0 : w->act->dropped_count;

	return search_file(w->dropped_sorted, count, file->database, file->filenode) != NULL;
}

/* --- relations, and what happened to them ------------------------------------------------------ */

static struct sw_relmap_relation *
relation_of(const struct work *w, uint32_t database, uint32_t oid)
{
	return oid == 0 ? NULL : sw_relmap_relation(w->commit->map, database, oid);
}

static void
mark(const struct work *w, struct sw_relmap_relation *r, unsigned marks)
{
	if (r == NULL)
		return;
	if (r->marks_at != w->commit->lsn)
		r->marks = 0;
	r->marks_at = w->commit->lsn;
	r->marks = (uint8_t)(r->marks | marks);
}

static bool
marked(const struct work *w, const struct sw_relmap_relation *r, unsigned marks)
{
	return r != NULL && r->marks_at == w->commit->lsn && (r->marks & marks) != 0;
}

static bool
is_part_of_table(const struct sw_relmap_relation *r)
{
	return r->kind == 'i' || r->kind == 'I' || r->kind == 't';
}

/* The table that an index or a TOAST table belongs to; else the relation itself. */
static struct sw_relmap_relation *
root_of(const struct work *w, struct sw_relmap_relation *r)
{
	for (int depth = 0; depth < 3 && r != NULL && is_part_of_table(r); depth++) {
		struct sw_relmap_relation *owner = relation_of(w, r->key.a, r->owner);

		if (owner == NULL || owner == r)
			break;
		r = owner;
	}
	return r;
}

/* A transient relation brings its own: the table's rows, its TOAST table, and the index of that. */
static bool
comes_with_swap(const struct sw_relmap_relation *r)
{
	return !is_part_of_table(r) || r->kind == 't' || strncmp(r->name, "pg_toast_", 9) == 0;
}

/* --- telling ----------------------------------------------------------------------------------- */

static bool
is_system(const struct work *w, uint32_t database, uint32_t number, const struct sw_relmap_relation *r)
{
	const char *schema = r == NULL ? NULL : sw_relmap_schema_name(w->commit->map, database, r->schema);

	if (database == 0 || (number != 0 && number < SW_RELMAP_FIRST_NORMAL))
		return true;
	return schema != NULL && (strcmp(schema, "pg_catalog") == 0 || strcmp(schema, "information_schema") == 0);
}

static bool
is_wanted(const struct work *w, const struct sw_deed *deed, const struct sw_relmap_relation *r)
{
	const struct sw_deeds_params *p = w->commit->params;

	if ((p->kinds & deed->kind) == 0)
		return false;
	if (deed->kind == SW_DEED_DATABASE_DROPPED || deed->kind == SW_DEED_TABLESPACE_DROPPED)
		return true;
	if (r != NULL && r->kind != 0 && strchr("rpmfv", r->kind) == NULL && !p->indexes &&
		!(p->system && r->kind == 't' && deed->kind == SW_DEED_MASS_CHANGE))
		return false;
	return p->system || !is_system(w, deed->database, deed->relation != 0 ? deed->relation : deed->filenode, r);
}

static const char *
name_or_null(const char *name)
{
	return name != NULL && name[0] != '\0' ? name : NULL;
}

/* deed: kind, database, relation, filenode and what belongs to the kind; the rest is filled in. */
static sw_rc
tell(const struct work *w, struct sw_deed deed, struct sw_error *err)
{
	const struct sw_relmap *map = w->commit->map;
	const struct sw_relmap_database *database = sw_relmap_database(map, deed.database);
	const struct sw_relmap_relation *r =
		deed.kind == SW_DEED_TABLESPACE_DROPPED ? NULL : relation_of(w, deed.database, deed.relation);

	if (!is_wanted(w, &deed, r))
		return SW_OK;
	deed.timeline = w->commit->timeline;
	deed.lsn = w->commit->lsn;
	deed.time_us = w->commit->time_us;
	deed.xid = w->commit->xid;
	deed.prepared = w->commit->prepared;
	deed.cut = w->part->cut;
	deed.database_name = database == NULL ? NULL : name_or_null(database->name);
	deed.rows_before = -1;
	deed.name_unsure = deed.kind == SW_DEED_DATABASE_DROPPED && database != NULL && database->name_unsure;
	if (r != NULL) {
		deed.relkind = r->kind;
		deed.unlogged = r->unlogged;
		deed.relation_name = name_or_null(r->name);
		deed.name_unsure = deed.relation_name != NULL && r->name_unsure;
		deed.name_before_gap = deed.relation_name != NULL && r->named_gap != map->gaps;
		deed.former_name = sw_relmap_former_name(map, deed.database, deed.relation);
		deed.schema_name = sw_relmap_schema_name(map, deed.database, r->schema);
		deed.rows_before = r->rows;
		deed.bytes_before = r->bytes;
	}
	if (deed.target_lsn == 0)
		deed.target_lsn = w->commit->lsn;
	deed.by_lsn |= w->commit->xid == 0;
	return w->commit->params->each(w->commit->params->ctx, &deed, err);
}

static sw_rc
tell_relation(const struct work *w, enum sw_deed_kind kind, struct sw_relmap_relation *r, uint32_t filenode,
	struct sw_error *err)
{
	struct sw_deed deed = {
		.kind = kind, .database = r->key.a, .relation = r->key.b, .filenode = filenode,
	};

	if (marked(w, r, TOLD))
		return SW_OK;
	mark(w, r, TOLD);
	return tell(w, deed, err);
}

/* --- births and transient relations ------------------------------------------------------------- */

/*
 * The file of a relation that was born here.  A mapped catalog's transient has no filenode in its row, and a file
 * that is called like itself.
 */
static const struct sw_wal_relation *
file_of_born(const struct work *w, const struct sw_wal_born *born)
{
	return search_file(w->created_sorted, w->part->created_count, born->database,
		born->filenode != 0 ? born->filenode : born->oid);
}

static const struct swap *
swap_from(const struct work *w, uint32_t database, uint32_t from)
{
	for (size_t i = w->swap_count; i > 0; i--)
		if (w->swaps[i - 1].database == database && w->swaps[i - 1].from == from)
			return &w->swaps[i - 1];
	return NULL;
}

static sw_rc
note_births(struct work *w, struct sw_error *err)
{
	size_t transients = 0;

	for (size_t i = 0; i < w->part->born_count; i++) {
		const struct sw_wal_born *born = &w->part->born[i];

		if (sw_relmap_born(w->commit->map, born, file_of_born(w, born), err) != SW_OK)
			return err->rc;
		transients += born->kind != 'D' && sw_relmap_oid_behind("pg_temp_", born->name) != 0;
		if (born->kind != 'D')
			mark(w, relation_of(w, born->database, born->oid), BORN);
	}
	if (transients == 0)
		return SW_OK;
	w->swaps = calloc(transients, sizeof(*w->swaps));
	if (w->swaps == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < w->part->born_count && w->swap_count < transients; i++) {
		const struct sw_wal_born *born = &w->part->born[i];
		uint32_t of = born->kind == 'D' ? 0 : sw_relmap_oid_behind("pg_temp_", born->name);
		const struct sw_wal_relation *file = file_of_born(w, born);
		struct swap *s = &w->swaps[w->swap_count];

		if (of == 0)
			continue;
		w->swap_count++;
		*s = (struct swap){.database = born->database, .oid = of, .from = born->oid};
		s->file = file != NULL ? *file : (struct sw_wal_relation){born->tablespace, born->database, born->filenode};
	}
	return SW_OK;
}

/*
 * A relation that nobody knows has gone, or was touched, whose own file was made here and stays: a transient, of whose
 * birth nothing is known because the file of pg_class was not.
 */
static void
find_unseen(struct work *w)
{
	bool has_oids = w->commit->major >= FIRST_WITH_DROPPED_OIDS;
	size_t count = w->act == NULL ? 0 : has_oids ? w->act->dropped_oid_count : w->act->touched_count;

	if (w->part->born_count > 0 || w->part->class_updates > 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct sw_wal_object *o = has_oids ? &w->act->dropped_oids[i] : &w->act->touched[i];
		const struct sw_wal_relation *file =
			search_file(w->created_sorted, w->part->created_count, o->database, o->oid);

		if (file != NULL && !was_dropped(w, file) && relation_of(w, o->database, o->oid) == NULL &&
			(w->unseen == 0 || o->oid < w->unseen))
			w->unseen = o->oid;
	}
}

/* The transient's file is the table's now; its TOAST table and that one's index are the table's too. */
static sw_rc
note_swaps(struct work *w, struct sw_error *err)
{
	for (size_t i = 0; i < w->swap_count; i++) {
		const struct swap *s = &w->swaps[i];
		const struct sw_relmap_relation *from = relation_of(w, s->database, s->from);
		struct sw_relmap_relation *r = relation_of(w, s->database, s->oid);

		mark(w, r, SWAPPED);
		/* ALTER TABLE … SET LOGGED */
		if (r != NULL && from != NULL)
			r->unlogged = from->unlogged;
		if (s->file.filenode != 0 && sw_relmap_set_file(w->commit->map, s->oid, &s->file, err) != SW_OK)
			return err->rc;
		sw_relmap_forget_relation(w->commit->map, s->database, s->from);
	}
	for (size_t i = 0; w->swap_count > 0 && i < w->part->born_count; i++) {
		struct sw_relmap_relation *r = relation_of(w, w->part->born[i].database, w->part->born[i].oid);
		const struct swap *s = r == NULL || !is_part_of_table(r) ? NULL : swap_from(w, r->key.a, r->owner);

		if (s != NULL)
			r->owner = s->oid;
	}
	return SW_OK;
}

/*
 * The old TOAST table has the transient's file, if it was not itself replaced by the transient's.
 * r: the old one, of a table that was swapped.
 */
static sw_rc
swap_toast(struct work *w, struct sw_relmap_relation *r, struct sw_error *err)
{
	uint32_t database = r->key.a, oid = r->key.b, owner = r->owner;
	struct sw_wal_relation file = {0, database, 0};

	if (r->kind != 't' || marked(w, r, DROPPED | BORN) || !marked(w, relation_of(w, database, owner), SWAPPED))
		return SW_OK;
	for (size_t i = w->part->born_count; i > 0; i--) {
		const struct sw_wal_born *born = &w->part->born[i - 1];
		const struct sw_relmap_relation *b = relation_of(w, born->database, born->oid);

		if (born->kind != 't' || born->database != database || b == NULL || b->owner != owner || b->filenode == 0)
			continue;
		file.tablespace = b->tablespace;
		file.filenode = b->filenode;
		if (sw_relmap_set_file(w->commit->map, oid, &file, err) != SW_OK)
			return err->rc;
		sw_relmap_forget_relation(w->commit->map, database, born->oid);
		return SW_OK;
	}
	return SW_OK;
}

/* --- which relations were dropped, which files went ----------------------------------------------- */

static sw_rc
note_drops(struct work *w, struct sw_error *err)
{
	const struct sw_wal_act *act = w->act;

	if (act == NULL || act->dropped_oid_count == 0)
		return SW_OK;
	w->unknown_oids = calloc(act->dropped_oid_count, sizeof(*w->unknown_oids));
	if (w->unknown_oids == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < act->dropped_oid_count; i++) {
		const struct sw_wal_object *o = &act->dropped_oids[i];
		struct sw_relmap_relation *r = relation_of(w, o->database, o->oid);
		struct sw_wal_relation own = {0, o->database, o->oid}; /* made here: it was born here, unseen */

		if (r != NULL)
			mark(w, r, DROPPED);
		else if (swap_from(w, o->database, o->oid) == NULL && w->unseen == 0 && !was_created(w, &own))
			w->unknown_oids[w->unknown_count++] = o->oid;
	}
	qsort(w->unknown_oids, w->unknown_count, sizeof(*w->unknown_oids), compare_oids);
	return SW_OK;
}

static bool
is_unknown_oid(const struct work *w, uint32_t oid)
{
	return w->unknown_count > 0 &&
		bsearch(&oid, w->unknown_oids, w->unknown_count, sizeof(oid), compare_oids) != NULL;
}

static bool
was_touched(const struct work *w, uint32_t database, uint32_t oid)
{
	struct sw_wal_object key = {database, oid};

	return w->touched_sorted != NULL &&
		bsearch(&key, w->touched_sorted, w->act->touched_count, sizeof(key), compare_objects) != NULL;
}

/* A file is called like its relation's OID at first: where such a relation was touched, it is that. */
static void
note_fate(const struct work *w, struct gone *g)
{
	struct sw_relmap_relation *r = relation_of(w, g->file.database, g->oid), *root = root_of(w, r);

	if (r == NULL) {
		g->fate = is_unknown_oid(w, g->file.filenode) ? FATE_DROPPED : FATE_UNKNOWN;
		if (g->oid == 0 && (g->fate == FATE_DROPPED || was_touched(w, g->file.database, g->file.filenode)))
			g->oid = g->file.filenode;
	} else if (marked(w, r, DROPPED) || marked(w, root, DROPPED)) {
		g->fate = FATE_DROPPED;
	} else if (marked(w, root, SWAPPED) && comes_with_swap(r)) {
		g->fate = FATE_SWAPPED;
	} else {
		g->fate = FATE_REPLACED;
		mark(w, r, REPLACED);
	}
}

/* Of a relation that was born here, or brought by a transient. */
static bool
is_of_newborn(const struct work *w, const struct sw_wal_relation *file, uint32_t oid)
{
	struct sw_relmap_relation *r = relation_of(w, file->database, oid);

	if (marked(w, r, BORN))
		return true;
	return r != NULL && was_created(w, file) && marked(w, root_of(w, r), SWAPPED) && comes_with_swap(r);
}

static sw_rc
list_gone(struct work *w, struct sw_error *err)
{
	const struct sw_wal_act *act = w->act;

	if (act == NULL || act->dropped_count == 0)
		return SW_OK;
	w->gone = calloc(act->dropped_count, sizeof(*w->gone));
	if (w->gone == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	/* a COMMIT has them the other way round */
	for (size_t i = act->dropped_count; i > 0; i--) {
		const struct sw_wal_relation *file = &act->dropped[i - 1];
		struct gone *g = &w->gone[w->gone_count];
		uint32_t oid = sw_relmap_owner_of_file(w->commit->map, file);

		if (is_of_newborn(w, file, oid))
			continue;
		*g = (struct gone){.file = *file, .oid = oid};
		if (was_created(w, file)) {
			*g = (struct gone){.file = *file, .fate = FATE_BETWEEN, .told = true};
			w->between_count++;
		} else {
			note_fate(w, g);
		}
		w->gone_count++;
	}
	for (size_t i = 0; i < w->gone_count; i++) {
		struct sw_relmap_relation *r = relation_of(w, w->gone[i].file.database, w->gone[i].oid);

		if (r != NULL && swap_toast(w, r, err) != SW_OK)
			return err->rc;
	}
	return SW_OK;
}

static sw_rc
list_made(struct work *w, struct sw_error *err)
{
	if (w->part->created_count == 0)
		return SW_OK;
	w->made = calloc(w->part->created_count, sizeof(*w->made));
	if (w->made == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < w->part->created_count; i++) {
		const struct sw_wal_relation *file = &w->part->created[i];

		if (!is_of_newborn(w, file, sw_relmap_owner_of_file(w->commit->map, file)))
			w->made[w->made_count++] = *file;
	}
	return SW_OK;
}

/* --- which new file is whose --------------------------------------------------------------------- */

static bool
takes_a_new_file(const struct gone *g)
{
	return g->fate == FATE_UNKNOWN || g->fate == FATE_REPLACED;
}

/* Files that were made in place of others, and stay. */
static size_t
kept_count(const struct work *w)
{
	return w->made_count - w->between_count;
}

/* New files follow each other as the old ones do, if nothing else was made. */
static bool
can_pair(const struct work *w)
{
	size_t n = 0;

	if (w->part->cut || w->unseen != 0 || (w->between_count > 0 && w->swap_count > 0))
		return false;
	for (size_t i = 0; i < w->gone_count; i++) {
		const struct gone *g = &w->gone[i];
		uint32_t known;

		if (!takes_a_new_file(g) && g->fate != FATE_BETWEEN)
			continue;
		if (n == w->made_count || w->made[n].database != g->file.database ||
			w->made[n].filenode == g->file.filenode)
			return false;
		known = sw_relmap_owner_of_file(w->commit->map, &w->made[n]);
		if (known != 0 && g->oid != 0 && known != g->oid)
			return false;
		n++;
	}
	return n == w->made_count;
}

static bool
all_made_elsewhere(const struct work *w, const struct sw_wal_relation *file)
{
	for (size_t i = 0; i < w->made_count; i++)
		if (w->made[i].tablespace == file->tablespace && !was_dropped(w, &w->made[i]))
			return false;
	return w->made_count > 0;
}

static sw_rc
pair_files(struct work *w, struct sw_error *err)
{
	bool sure = can_pair(w);
	size_t n = 0;

	for (size_t i = 0; i < w->gone_count; i++) {
		struct gone *g = &w->gone[i];
		struct sw_relmap_relation *r;

		if (!takes_a_new_file(g) && g->fate != FATE_BETWEEN)
			continue;
		if (g->fate == FATE_BETWEEN)
			g->oid = sw_relmap_owner_of_file(w->commit->map, &g->file);
		r = relation_of(w, g->file.database, g->oid);
		if (!sure) {
			if (r != NULL && r->filenode == g->file.filenode)
				r->filenode = 0;
			g->moved = all_made_elsewhere(w, &g->file);
			mark(w, r, g->moved ? MOVED : 0);
			continue;
		}
		g->moved = w->made[n].tablespace != g->file.tablespace;
		mark(w, r, g->moved ? MOVED : 0);
		if (g->oid == 0)
			g->oid = sw_relmap_owner_of_file(w->commit->map, &w->made[n]);
		if (g->oid != 0 && sw_relmap_set_file(w->commit->map, g->oid, &w->made[n], err) != SW_OK)
			return err->rc;
		n++;
	}
	return SW_OK;
}

/* If one table was rewritten by a transient that was not seen, the file is its. */
static sw_rc
place_unseen(const struct work *w, struct sw_error *err)
{
	const struct sw_relmap_relation *table = NULL;

	for (size_t i = 0; w->unseen != 0 && i < w->gone_count; i++) {
		const struct sw_relmap_relation *r = relation_of(w, w->gone[i].file.database, w->gone[i].oid);

		if (r == NULL || is_part_of_table(r) || r == table)
			continue;
		if (table != NULL)
			return SW_OK;
		table = r;
	}
	for (size_t i = 0; table != NULL && i < w->made_count; i++)
		if (w->made[i].filenode == w->unseen && w->made[i].database == table->key.a)
			return sw_relmap_set_file(w->commit->map, table->key.b, &w->made[i], err);
	return SW_OK;
}

/* --- PostgreSQL 14: dropped, or replaced ------------------------------------------------------------ */

struct group {
	uint32_t database, root; /* 0: of a file that is not known */
	size_t files;
};

static struct sw_relmap_relation *
root_of_gone(const struct work *w, const struct gone *g)
{
	return root_of(w, relation_of(w, g->file.database, g->oid));
}

/* An index of a table that was rewritten has a new file for sure. */
static bool
is_open_question(const struct work *w, const struct gone *g)
{
	return takes_a_new_file(g) && !marked(w, root_of_gone(w, g), SWAPPED);
}

/* The table, and all that belongs to it, has one fate.  Returns the count, or SIZE_MAX: more than `max`. */
static size_t
group_gone(const struct work *w, struct group *groups, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < w->gone_count; i++) {
		const struct sw_relmap_relation *root = root_of_gone(w, &w->gone[i]);
		uint32_t oid = root == NULL ? 0 : root->key.b, database = w->gone[i].file.database;
		size_t n = 0;

		if (!is_open_question(w, &w->gone[i]))
			continue;
		while (n < count && (oid == 0 || groups[n].root != oid || groups[n].database != database))
			n++;
		if (n == max)
			return SIZE_MAX;
		if (n == count)
			groups[count++] = (struct group){database, oid, 0};
		groups[n].files++;
	}
	return count;
}

static void
set_fate(const struct work *w, struct gone *g, enum fate fate)
{
	struct sw_relmap_relation *r = relation_of(w, g->file.database, g->oid);

	g->fate = fate;
	mark(w, r, fate == FATE_DROPPED ? DROPPED : EITHER);
	if (fate == FATE_EITHER && r != NULL)
		r->filenode = 0;
}

/*
 * So many of these files were replaced, the rest dropped, and all that is one table's went one way: if only one
 * choice of tables is possible, that is it.
 */
static bool
decide_by_counts(const struct work *w, size_t made, size_t deletes)
{
	struct group groups[TOLD_DROPS_14];
	size_t count = group_gone(w, groups, TOLD_DROPS_14), choices = 0, at = 0;
	unsigned chosen = 0;

	if (count == SIZE_MAX)
		return false;
	for (unsigned dropped = 0; dropped < 1u << count; dropped++) {
		size_t replaced = 0, gone = 0;

		for (size_t n = 0; n < count; n++)
			*(dropped >> n & 1 ? &gone : &replaced) += groups[n].files;
		if (replaced == made && gone <= deletes) {
			choices++;
			chosen = dropped;
		}
	}
	if (choices != 1)
		return false;
	for (size_t i = 0; i < w->gone_count; i++) {
		const struct sw_relmap_relation *root = root_of_gone(w, &w->gone[i]);
		size_t n;

		if (!is_open_question(w, &w->gone[i]))
			continue;
		for (n = 0; root != NULL && (groups[n].root != root->key.b || groups[n].database != root->key.a); n++)
			;
		for (n = root != NULL ? n : at; root == NULL && groups[n].root != 0; n++)
			;
		at = root == NULL ? n + 1 : at;
		if (chosen >> n & 1)
			set_fate(w, &w->gone[i], FATE_DROPPED);
	}
	return true;
}

/*
 * Rows of pg_class that went with transient relations, and with tables that were born here and whose files are gone
 * again.  (An index's file may have been made before the transaction had an xid, and not be told.)
 */
static size_t
deletes_explained(const struct work *w)
{
	size_t explained = 0;

	for (size_t i = 0; i < w->part->born_count; i++) {
		const struct sw_wal_born *born = &w->part->born[i];
		const struct sw_wal_relation *file = file_of_born(w, born);

		if (born->kind == 'D')
			continue;
		explained += swap_from(w, born->database, born->oid) != NULL ||
			swap_from(w, born->database, sw_relmap_oid_behind("pg_toast_", born->name)) != NULL ||
			(born->filenode != 0 && file == NULL && born->kind != 'i') || (file != NULL && was_dropped(w, file));
	}
	return explained;
}

static void
decide_without_oids(struct work *w)
{
	size_t files = 0, sure = 0, made, explained = deletes_explained(w), deletes;
	enum fate fate = FATE_EITHER;

	if (w->unseen != 0)
		return;
	for (size_t i = 0; i < w->gone_count; i++) {
		files += is_open_question(w, &w->gone[i]);
		sure += takes_a_new_file(&w->gone[i]) && !is_open_question(w, &w->gone[i]);
	}
	made = kept_count(w) > sure ? kept_count(w) - sure : 0;
	deletes = w->part->class_deletes > explained ? w->part->class_deletes - explained : 0;
	/* whatever gives or takes files changes pg_class: then its own file was not known, and files must tell all */
	if (w->part->class_deletes + w->part->class_updates == 0)
		deletes = SIZE_MAX;
	if (!w->part->cut && (deletes == 0 || made >= files))
		return;
	if (!w->part->cut && made == 0 && deletes >= files)
		fate = FATE_DROPPED;
	else if (!w->part->cut && decide_by_counts(w, made, deletes))
		return;
	for (size_t i = 0; i < w->gone_count; i++)
		if (is_open_question(w, &w->gone[i]))
			set_fate(w, &w->gone[i], fate);
}

static bool
has_no_name(const struct work *w, const struct gone *g)
{
	return g->fate != FATE_BETWEEN && relation_of(w, g->file.database, g->oid) == NULL;
}

/* A relation that is known, whose file is not, and whose cache the COMMIT invalidates. */
static struct sw_relmap_relation *
next_touched(const struct work *w, bool tables, size_t *at)
{
	while (*at < w->act->touched_count) {
		const struct sw_wal_object *o = &w->act->touched[(*at)++];
		struct sw_relmap_relation *r = relation_of(w, o->database, o->oid);

		if (r != NULL && r->filenode == 0 && strchr(tables ? "rm" : "itS", r->kind) != NULL && r->kind != 0 &&
			!marked(w, r, BORN | DROPPED | SWAPPED | REPLACED | EITHER))
			return r;
	}
	return NULL;
}

static void
name_one(const struct work *w, struct gone *g, struct sw_relmap_relation *r)
{
	g->oid = r->key.b;
	if (g->fate == FATE_UNKNOWN)
		g->fate = FATE_REPLACED;
	mark(w, r, g->fate == FATE_DROPPED ? DROPPED : g->fate == FATE_EITHER ? EITHER : REPLACED);
}

/*
 * The files that nobody knows are of those relations.  One file, one relation: that is sure, and done before files
 * are paired (`sure`); else tables come first, because they are what is told.
 */
static void
name_by_touch(const struct work *w, bool sure)
{
	size_t files = 0, relations = 0;

	for (size_t i = 0; i < w->gone_count; i++)
		files += w->gone[i].oid == 0 && has_no_name(w, &w->gone[i]);
	if (files == 0)
		return;
	for (int tables = 1; sure && tables >= 0; tables--)
		for (size_t at = 0; next_touched(w, tables, &at) != NULL;)
			relations++;
	if (sure && (files != 1 || relations != 1))
		return;
	for (int tables = 1; tables >= 0; tables--) {
		struct sw_relmap_relation *r;
		size_t at = 0, i = 0;

		while ((r = next_touched(w, tables, &at)) != NULL) {
			while (i < w->gone_count && (w->gone[i].oid != 0 || w->gone[i].file.database != r->key.a ||
				!has_no_name(w, &w->gone[i])))
				i++;
			if (i == w->gone_count)
				return;
			name_one(w, &w->gone[i], r);
		}
	}
}

/* --- deeds of one transaction, in turn ------------------------------------------------------------- */

static sw_rc
tell_databases(const struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < w->part->database_count; i++) {
		const struct sw_wal_gone *gone = &w->part->databases[i];
		const struct sw_relmap_database *database = sw_relmap_database(w->commit->map, gone->oid);
		sw_lsn from = database != NULL && database->invalidated != 0 && database->invalidated < gone->lsn
			? database->invalidated : gone->lsn;
		bool twice = i > 0 && w->part->databases[i - 1].oid == gone->oid;

		if (!twice)
			rc = tell(w, (struct sw_deed){.kind = SW_DEED_DATABASE_DROPPED, .database = gone->oid,
				.by_lsn = true, .target_lsn = from}, err);
	}
	for (size_t i = 0; rc == SW_OK && i < w->part->tablespace_count; i++) {
		const struct sw_wal_gone *gone = &w->part->tablespaces[i];

		rc = tell(w, (struct sw_deed){.kind = SW_DEED_TABLESPACE_DROPPED, .relation = gone->oid,
			.relation_name = sw_relmap_tablespace_name(w->commit->map, gone->oid), .by_lsn = true,
			.target_lsn = gone->lsn}, err);
	}
	return rc;
}

/* Files that went, and of which neither a name nor a dropped OID is known. */
static size_t
unknown_files(const struct work *w)
{
	size_t count = 0;

	for (size_t i = 0; i < w->gone_count; i++)
		count += w->gone[i].fate == FATE_UNKNOWN && has_no_name(w, &w->gone[i]);
	return count;
}

static size_t
matched_oids(const struct work *w)
{
	size_t count = 0;

	for (size_t i = 0; i < w->gone_count; i++)
		count += w->gone[i].fate == FATE_DROPPED && is_unknown_oid(w, w->gone[i].oid);
	return count;
}

static bool
is_matched(const struct work *w, uint32_t oid)
{
	return search_file(w->dropped_sorted, w->act->dropped_count, w->act->dropped[0].database, oid) != NULL;
}

/*
 * Files that nobody knows, of a transaction that dropped relations and made no file that could stand for them, are
 * those relations' too: of an index, of a table that is known by its OID alone.
 */
static void
explain_unknown_files(struct work *w)
{
	size_t replaced = 0;

	for (size_t i = 0; i < w->gone_count; i++)
		replaced += w->gone[i].fate == FATE_REPLACED;
	if (w->act == NULL || w->act->dropped_oid_count == 0 || kept_count(w) > replaced)
		return;
	for (size_t i = 0; i < w->gone_count; i++)
		w->gone[i].told |= has_no_name(w, &w->gone[i]);
}

/*
 * Relations that were dropped and of which nothing is known: temporary ones have no file in the list, so they need
 * one each.  With transients, two of each are an old TOAST table and its index.
 */
static sw_rc
tell_unknown_drops(struct work *w, struct sw_error *err)
{
	size_t left = w->unknown_count - matched_oids(w);
	bool tell_left = left > 0 && unknown_files(w) > 0;
	sw_rc rc = SW_OK;

	if (w->unknown_count == 0 || w->act->dropped_count == 0 || w->unknown_count <= 2 * w->swap_count)
		return SW_OK;
	for (size_t i = 0; rc == SW_OK && i < w->act->dropped_oid_count; i++) {
		const struct sw_wal_object *o = &w->act->dropped_oids[i];
		bool matched;

		if (!is_unknown_oid(w, o->oid))
			continue;
		matched = is_matched(w, o->oid);
		if (matched || tell_left)
			rc = tell(w, (struct sw_deed){.kind = SW_DEED_DROPPED, .database = o->database, .relation = o->oid,
				.filenode = matched ? o->oid : 0}, err);
	}
	for (size_t i = 0; tell_left && i < w->gone_count; i++)
		w->gone[i].told |= w->gone[i].fate == FATE_UNKNOWN && has_no_name(w, &w->gone[i]);
	return rc;
}

/* PostgreSQL 14 tells what has no file by its row of pg_class alone. */
static sw_rc
tell_deleted_rows(struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < w->part->moved_count; i++) {
		const struct sw_wal_moved *m = &w->part->moved[i];
		const struct sw_relmap_row *row = m->catalog != SW_WAL_PG_CLASS || m->to.offset != 0 ? NULL :
			sw_relmap_row(w->commit->map, m->database, m->file, m->from);
		struct sw_relmap_relation *r = row == NULL ? NULL : relation_of(w, m->database, row->oid);

		if (r == NULL || r->row_lost || r->kind == 0 || strchr("vpf", r->kind) == NULL || marked(w, r, BORN))
			continue;
		mark(w, r, DROPPED);
		rc = tell_relation(w, SW_DEED_DROPPED, r, 0, err);
	}
	return rc;
}

/* By OID where the COMMIT has them, else by file. */
static sw_rc
tell_drops(struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; w->act != NULL && rc == SW_OK && i < w->act->dropped_oid_count; i++) {
		const struct sw_wal_object *o = &w->act->dropped_oids[i];
		struct sw_relmap_relation *r = relation_of(w, o->database, o->oid), *root = root_of(w, r);
		bool old_toast = root != r && marked(w, root, SWAPPED) && !marked(w, root, DROPPED);

		if (r != NULL && !marked(w, r, BORN) && !old_toast)
			rc = tell_relation(w, SW_DEED_DROPPED, r, r->filenode, err);
	}
	for (size_t i = 0; w->commit->major < FIRST_WITH_DROPPED_OIDS && rc == SW_OK && i < w->gone_count; i++) {
		const struct gone *g = &w->gone[i];
		enum sw_deed_kind kind = g->fate == FATE_DROPPED ? SW_DEED_DROPPED : SW_DEED_DROPPED_OR_TRUNCATED;
		struct sw_relmap_relation *r = relation_of(w, g->file.database, g->oid);

		if (g->told || (g->fate != FATE_DROPPED && g->fate != FATE_EITHER))
			continue;
		if (r != NULL)
			rc = tell_relation(w, kind, r, g->file.filenode, err);
		else
			rc = tell(w, (struct sw_deed){.kind = kind, .database = g->file.database, .relation = g->oid,
				.filenode = g->file.filenode}, err);
	}
	if (rc == SW_OK && w->commit->major < FIRST_WITH_DROPPED_OIDS)
		rc = tell_deleted_rows(w, err);
	if (rc == SW_OK)
		rc = tell_unknown_drops(w, err);
	explain_unknown_files(w);
	return rc;
}

static uint32_t
file_that_went(const struct work *w, const struct sw_relmap_relation *r)
{
	for (size_t i = 0; i < w->gone_count; i++)
		if (w->gone[i].oid == r->key.b && w->gone[i].file.database == r->key.a)
			return w->gone[i].file.filenode;
	return 0;
}

/* wal_level = logical tells TRUNCATE by name. */
static sw_rc
tell_truncated_by_name(struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;
	bool unknown = false;

	for (size_t i = 0; rc == SW_OK && i < w->part->truncated_count; i++) {
		const struct sw_wal_object *o = &w->part->truncated[i];
		struct sw_relmap_relation *r = relation_of(w, o->database, o->oid);

		unknown |= r == NULL;
		if (r == NULL)
			rc = tell(w, (struct sw_deed){.kind = SW_DEED_TRUNCATED, .database = o->database, .relation = o->oid}, err);
		else if (!marked(w, r, BORN | DROPPED | EITHER)) {
			mark(w, r, TRUNCATED);
			rc = tell_relation(w, SW_DEED_TRUNCATED, r, file_that_went(w, r), err);
		}
	}
	for (size_t i = 0; unknown && i < w->gone_count; i++)
		w->gone[i].told |= has_no_name(w, &w->gone[i]);
	return rc;
}

/*
 * Was the table also truncated by the transaction that rewrote it?  Before: then its own file went before its
 * indexes' and its TOAST table's, which a rewriting replaces first.  After: then the transient's file went again.
 */
static bool
swapped_and_truncated(const struct work *w, const struct sw_relmap_relation *table)
{
	bool own = false;

	for (size_t i = 0; i < w->gone_count; i++) {
		const struct gone *g = &w->gone[i];

		if (g->fate != FATE_BETWEEN && g->file.database == table->key.a && g->oid == table->key.b)
			own = true;
		else if (own && (root_of_gone(w, g) == table || (g->fate == FATE_BETWEEN && w->swap_count == 1)))
			return true;
	}
	for (size_t i = w->swap_count; i > 0; i--) {
		const struct swap *s = &w->swaps[i - 1];

		if (s->database == table->key.a && s->oid == table->key.b)
			return kept_count(w) > 0 && !w->part->cut &&
				(was_dropped(w, &s->file) || !was_created(w, &s->file));
	}
	return false;
}

/* A list of dropped relations that was cut does not tell that this one is not one of them. */
static enum sw_deed_kind
truncated_at_least(const struct work *w)
{
	return w->part->cut ? SW_DEED_DROPPED_OR_TRUNCATED : SW_DEED_TRUNCATED;
}

static enum sw_deed_kind
what_happened(const struct work *w, struct sw_relmap_relation *r)
{
	const struct sw_relmap_relation *root = root_of(w, r);

	if (marked(w, root, SWAPPED))
		return swapped_and_truncated(w, root) ? SW_DEED_TRUNCATED : SW_DEED_REWRITTEN;
	if (marked(w, root, TRUNCATED))
		return SW_DEED_TRUNCATED;
	if (r->kind == 'S' || w->unseen != 0 || marked(w, r, MOVED) || (root == r && is_part_of_table(r)))
		return SW_DEED_REWRITTEN;
	return marked(w, root, REPLACED) ? truncated_at_least(w) : SW_DEED_REWRITTEN;
}

/*
 * Does the transaction give new files to what belongs to a table that is known?  Its cache is invalidated then, too:
 * beside the table's own file, or when its indexes are built anew.
 */
static bool
touches_known_table(const struct work *w)
{
	for (size_t i = 0; i < w->gone_count; i++) {
		const struct sw_relmap_relation *r = relation_of(w, w->gone[i].file.database, w->gone[i].oid);

		if (r != NULL && !is_part_of_table(r) && w->gone[i].fate != FATE_DROPPED)
			return true;
	}
	for (size_t i = 0; w->act != NULL && i < w->act->touched_count; i++) {
		const struct sw_relmap_relation *r = relation_of(w, w->act->touched[i].database, w->act->touched[i].oid);

		if (r != NULL && (r->kind == 'r' || r->kind == 'm' || r->kind == 't') && r->filenode != 0 &&
			!marked(w, r, BORN | DROPPED))
			return true;
	}
	return false;
}

/* Files that nobody knows are then an index's, which is not told by itself. */
static void
explain_as_indexes(struct work *w)
{
	if (w->commit->params->indexes || unknown_files(w) == 0 || !touches_known_table(w))
		return;
	for (size_t i = 0; i < w->gone_count; i++)
		w->gone[i].told |= w->gone[i].fate == FATE_UNKNOWN && has_no_name(w, &w->gone[i]);
}

static sw_rc
tell_replaced(struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < w->gone_count; i++) {
		const struct gone *g = &w->gone[i];
		struct sw_relmap_relation *r = relation_of(w, g->file.database, g->oid);

		if (g->told || g->fate == FATE_DROPPED || g->fate == FATE_EITHER)
			continue;
		if (r != NULL)
			rc = tell_relation(w, what_happened(w, r), r, g->file.filenode, err);
		else
			rc = tell(w, (struct sw_deed){.kind = g->moved || w->unseen != 0 ? SW_DEED_REWRITTEN : truncated_at_least(w),
				.database = g->file.database, .relation = g->oid, .filenode = g->file.filenode}, err);
	}
	return rc;
}

/* A swapped table whose old file nobody knew, or which is not known at all. */
static sw_rc
tell_swapped(struct work *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < w->swap_count; i++) {
		const struct swap *s = &w->swaps[i];
		struct sw_relmap_relation *r = relation_of(w, s->database, s->oid);

		if (r == NULL)
			rc = tell(w, (struct sw_deed){.kind = SW_DEED_REWRITTEN, .database = s->database, .relation = s->oid}, err);
		else if (!marked(w, r, BORN | DROPPED))
			rc = tell_relation(w, what_happened(w, r), r, file_that_went(w, r), err);
	}
	/* the files that nobody knows are theirs, as far as can be told */
	for (size_t i = 0; w->swap_count > 0 && i < w->gone_count; i++)
		w->gone[i].told |= has_no_name(w, &w->gone[i]);
	return rc;
}

/* --- mass changes ------------------------------------------------------------------------------------ */

struct changed {
	uint32_t database, oid, filenode;
	uint64_t updates, deletes;
};

static int
compare_changed(const void *a, const void *b)
{
	const struct changed *x = a, *y = b;

	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	if (x->oid != y->oid)
		return x->oid < y->oid ? -1 : 1;
	return x->oid != 0 ? 0 : (x->filenode > y->filenode) - (x->filenode < y->filenode);
}

static sw_rc
tell_changes(const struct work *w, struct sw_error *err)
{
	SW_AUTO_FREE struct changed *list = NULL;
	size_t count = 0;
	sw_rc rc = SW_OK;

	if (w->part->rows_count == 0 || (w->commit->params->kinds & SW_DEED_MASS_CHANGE) == 0)
		return SW_OK;
	list = calloc(w->part->rows_count, sizeof(*list));
	if (list == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < w->part->rows_count; i++) {
		const struct sw_wal_rows *rows = &w->part->rows[i];
		uint32_t oid = sw_relmap_owner_of_file(w->commit->map, &rows->relation);

		/* what is new is nobody's loss */
		if (!marked(w, relation_of(w, rows->relation.database, oid), BORN))
			list[count++] = (struct changed){rows->relation.database, oid, rows->relation.filenode,
				rows->updates, rows->deletes};
	}
	qsort(list, count, sizeof(*list), compare_changed);
	for (size_t i = 0, n; rc == SW_OK && i < count; i = n) {
		struct sw_deed deed = {.kind = SW_DEED_MASS_CHANGE, .database = list[i].database,
			.relation = list[i].oid, .filenode = list[i].filenode};

		for (n = i; n < count && compare_changed(&list[i], &list[n]) == 0; n++) {
			deed.updates += list[n].updates;
			deed.deletes += list[n].deletes;
		}
		if (deed.updates + deed.deletes >= w->commit->params->changes_min)
			rc = tell(w, deed, err);
	}
	return rc;
}

/* --- one COMMIT -------------------------------------------------------------------------------------- */

static void
forget_what_went(struct work *w)
{
	struct sw_relmap *map = w->commit->map;

	for (size_t i = 0; i < w->gone_count; i++) {
		const struct gone *g = &w->gone[i];

		if (marked(w, relation_of(w, g->file.database, g->oid), DROPPED))
			sw_relmap_forget_relation(map, g->file.database, g->oid);
		sw_relmap_forget_file(map, &g->file);
	}
	for (size_t i = 0; w->act != NULL && i < w->act->dropped_oid_count; i++)
		sw_relmap_forget_relation(map, w->act->dropped_oids[i].database, w->act->dropped_oids[i].oid);
	for (size_t i = 0; i < w->part->database_count; i++)
		sw_relmap_forget_database(map, w->part->databases[i].oid);
}

static sw_rc
tell_all(struct work *w, struct sw_error *err)
{
	sw_rc rc = tell_databases(w, err);

	if (rc == SW_OK)
		rc = tell_drops(w, err);
	if (rc == SW_OK)
		rc = tell_truncated_by_name(w, err);
	if (rc == SW_OK)
		rc = tell_swapped(w, err);
	explain_as_indexes(w);
	if (rc == SW_OK)
		rc = tell_replaced(w, err);
	if (rc == SW_OK)
		rc = tell_changes(w, err);
	return rc;
}

sw_rc
sw_commit_resolve(const struct sw_commit *commit, struct sw_error *err)
{
	AUTO_WORK work = {.commit = commit, .part = commit->part, .act = commit->act};
	struct work *w = &work;
	sw_rc rc = sorted_files(w->part->created, w->part->created_count, &w->created_sorted, err);

	if (rc == SW_OK && w->act != NULL)
		rc = sorted_files(w->act->dropped, w->act->dropped_count, &w->dropped_sorted, err);
	if (rc == SW_OK)
		rc = sort_touched(w, err);
	if (rc == SW_OK)
		rc = note_births(w, err);
	if (rc == SW_OK)
		rc = note_swaps(w, err);
	if (rc == SW_OK)
		find_unseen(w);
	if (rc == SW_OK)
		rc = note_drops(w, err);
	if (rc == SW_OK)
		rc = list_gone(w, err);
	if (rc == SW_OK)
		rc = list_made(w, err);
	if (rc == SW_OK)
		name_by_touch(w, true);
	if (rc == SW_OK && w->commit->major < FIRST_WITH_DROPPED_OIDS)
		decide_without_oids(w);
	if (rc == SW_OK)
		rc = pair_files(w, err);
	if (rc == SW_OK)
		rc = place_unseen(w, err);
	if (rc == SW_OK)
		name_by_touch(w, false);
	if (rc == SW_OK)
		rc = tell_all(w, err);
	/* what is told has the names that a restore to before it will find */
	if (rc == SW_OK)
		rc = sw_moves_apply(&(struct sw_moves){commit->map, w->part, w->act, commit->lsn}, err);
	if (rc == SW_OK)
		forget_what_went(w);
	return rc;
}
