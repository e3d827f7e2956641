#include "catalog/relmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/relations.h"

#define RELATIONS_MAX 20000000 /* about 4 GiB: more than any cluster that could be dumped */
#define DATABASES_MAX 1000000
#define SCHEMAS_MAX 5000000
#define DEFAULT_TABLESPACE 1663 /* catalog/pg_tablespace.dat */

struct file {
	struct sw_hash_key key; /* database, filenode */
	uint32_t tablespace;    /* 0: not known */
	uint32_t oid;
};

struct name {
	struct sw_hash_key key; /* schema: database, OID; tablespace: OID, 0 */
	char text[SW_RELMAP_NAME];
};

void
sw_relmap_init(struct sw_relmap *map)
{
	sw_hash_init(&map->relations, "relations", sizeof(struct sw_relmap_relation), RELATIONS_MAX);
	sw_hash_init(&map->files, "files of relations", sizeof(struct file), RELATIONS_MAX);
	sw_hash_init(&map->schemas, "schemas", sizeof(struct name), SCHEMAS_MAX);
	sw_hash_init(&map->databases, "databases", sizeof(struct sw_relmap_database), DATABASES_MAX);
	sw_hash_init(&map->tablespaces, "tablespaces", sizeof(struct name), DATABASES_MAX);
	sw_hash_init(&map->rows, "rows of catalogs", sizeof(struct sw_relmap_row), RELATIONS_MAX);
	sw_hash_init(&map->former, "renamed relations", sizeof(struct name), RELATIONS_MAX);
	map->gaps = 0;
}

void
sw_relmap_release(struct sw_relmap *map)
{
	sw_hash_release(&map->relations);
	sw_hash_release(&map->files);
	sw_hash_release(&map->schemas);
	sw_hash_release(&map->databases);
	sw_hash_release(&map->tablespaces);
	sw_hash_release(&map->rows);
	sw_hash_release(&map->former);
}

sw_rc
sw_relmap_copy(const struct sw_relmap *map, struct sw_relmap *ret_copy, struct sw_error *err)
{
	struct sw_relmap copy;
	sw_rc rc;

	sw_relmap_init(&copy);
	rc = sw_hash_copy(&map->relations, &copy.relations, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->files, &copy.files, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->schemas, &copy.schemas, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->databases, &copy.databases, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->tablespaces, &copy.tablespaces, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->rows, &copy.rows, err);
	if (rc == SW_OK)
		rc = sw_hash_copy(&map->former, &copy.former, err);
	copy.gaps = map->gaps;
	if (rc == SW_OK)
		*ret_copy = copy;
	else
		sw_relmap_release(&copy);
	return rc;
}

/* --- finding -------------------------------------------------------------------------- */

struct sw_relmap_relation *
sw_relmap_relation(const struct sw_relmap *map, uint32_t database, uint32_t oid)
{
	return sw_hash_find(&map->relations, database, oid);
}

struct sw_relmap_database *
sw_relmap_database(const struct sw_relmap *map, uint32_t oid)
{
	return sw_hash_find(&map->databases, oid, 0);
}

const char *
sw_relmap_schema_name(const struct sw_relmap *map, uint32_t database, uint32_t oid)
{
	/* catalog/pg_namespace.dat */
	static const struct {
		uint32_t oid;
		const char *name;
	} fixed[] = {{11, "pg_catalog"}, {99, "pg_toast"}, {2200, "public"}};
	const struct name *schema = sw_hash_find(&map->schemas, database, oid);

	if (schema != NULL)
		return schema->text;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i].oid == oid)
			return fixed[i].name;
	return NULL;
}

const char *
sw_relmap_tablespace_name(const struct sw_relmap *map, uint32_t oid)
{
	const struct name *tablespace = sw_hash_find(&map->tablespaces, oid, 0);

	return tablespace != NULL ? tablespace->text : NULL;
}

/* The entry of this very file, or one whose tablespace is not known; `loose`: any with that number. */
static struct file *
find_file(const struct sw_relmap *map, const struct sw_wal_relation *file, bool loose)
{
	struct file *first = sw_hash_find(&map->files, file->database, file->filenode), *f;

	for (f = first; f != NULL; f = sw_hash_next(&map->files, f))
		if (f->tablespace == file->tablespace || f->tablespace == 0 || file->tablespace == 0)
			return f;
	/* ALTER DATABASE SET TABLESPACE takes all files along */
	return loose ? first : NULL;
}

uint32_t
sw_relmap_owner_of_file(const struct sw_relmap *map, const struct sw_wal_relation *file)
{
	const struct file *f = find_file(map, file, true);

	if (f != NULL)
		return f->oid;
	return sw_relmap_relation(map, file->database, file->filenode) != NULL ? file->filenode : 0;
}

/* --- putting ------------------------------------------------------------------------------ */

static sw_rc
put_relation(struct sw_relmap *map, uint32_t database, uint32_t oid, struct sw_relmap_relation **ret_relation,
	struct sw_error *err)
{
	struct sw_relmap_relation *r = sw_relmap_relation(map, database, oid);

	if (r == NULL) {
		if (sw_hash_add(&map->relations, database, oid, &r, err) != SW_OK)
			return err->rc;
		r->rows = -1;
	}
	*ret_relation = r;
	return SW_OK;
}

/* later: a file that is known as another's stays that. */
static sw_rc
put_file(struct sw_relmap *map, const struct sw_wal_relation *file, uint32_t oid, bool later, struct sw_error *err)
{
	struct file *f = find_file(map, file, false);

	if (f != NULL && later)
		return SW_OK;
	if (f == NULL && sw_hash_add(&map->files, file->database, file->filenode, &f, err) != SW_OK)
		return err->rc;
	f->tablespace = file->tablespace;
	f->oid = oid;
	return SW_OK;
}

static sw_rc
put_name(struct sw_hash *hash, uint32_t a, uint32_t b, const char *text, struct sw_error *err)
{
	struct name *name = sw_hash_find(hash, a, b);

	if (name == NULL && sw_hash_add(hash, a, b, &name, err) != SW_OK)
		return err->rc;
	snprintf(name->text, sizeof(name->text), "%s", text);
	return SW_OK;
}

static sw_rc
put_database(struct sw_relmap *map, uint32_t oid, struct sw_relmap_database **ret_database, struct sw_error *err)
{
	struct sw_relmap_database *d = sw_relmap_database(map, oid);

	if (d == NULL && sw_hash_add(&map->databases, oid, 0, &d, err) != SW_OK)
		return err->rc;
	*ret_database = d;
	return SW_OK;
}

static sw_rc
born_database(struct sw_relmap *map, const struct sw_wal_born *born, struct sw_error *err)
{
	struct sw_relmap_database *d = NULL;

	sw_relmap_forget_database(map, born->oid);
	if (put_database(map, born->oid, &d, err) != SW_OK)
		return err->rc;
	d->tablespace = born->tablespace;
	d->name_unsure = false;
	snprintf(d->name, sizeof(d->name), "%s", born->name);
	return sw_relmap_set_row(map, 0, born->file, born->place, born->oid, err);
}

uint32_t
sw_relmap_oid_behind(const char *prefix, const char *name)
{
	size_t len = strlen(prefix);
	unsigned long long oid;

	if (strncmp(name, prefix, len) != 0 || name[len] < '1' || name[len] > '9')
		return 0;
	oid = strtoull(name + len, NULL, 10);
	return oid <= UINT32_MAX ? (uint32_t)oid : 0;
}

sw_rc
sw_relmap_born(struct sw_relmap *map, const struct sw_wal_born *born, const struct sw_wal_relation *file,
	struct sw_error *err)
{
	const struct sw_relmap_database *database = sw_relmap_database(map, born->database);
	struct sw_wal_relation known = {born->tablespace, born->database, born->filenode};
	struct sw_relmap_relation *r = NULL;

	if (born->kind == 'D')
		return born_database(map, born, err);
	if (put_relation(map, born->database, born->oid, &r, err) != SW_OK)
		return err->rc;
	r->schema = born->schema;
	r->owner = born->kind == 't' || born->kind == 'i' ? sw_relmap_oid_behind("pg_toast_", born->name) : 0;
	r->filenode = 0;
	r->tablespace = 0;
	r->rows = -1;
	r->bytes = 0;
	r->kind = born->kind;
	r->unlogged = born->unlogged;
	r->listed = r->name_unsure = r->row_lost = false;
	r->named_gap = map->gaps;
	snprintf(r->name, sizeof(r->name), "%s", born->name);
	if (sw_relmap_set_row(map, born->database, born->file, born->place, born->oid, err) != SW_OK)
		return err->rc;
	if (known.tablespace == 0)
		known.tablespace = database != NULL ? database->tablespace : 0;
	if (file == NULL && born->filenode == 0)
		return SW_OK;
	return sw_relmap_set_file(map, born->oid, file != NULL ? file : &known, err);
}

sw_rc
sw_relmap_set_file(struct sw_relmap *map, uint32_t oid, const struct sw_wal_relation *file, struct sw_error *err)
{
	struct sw_relmap_relation *r = sw_relmap_relation(map, file->database, oid);

	if (r != NULL) {
		r->filenode = file->filenode;
		r->tablespace = file->tablespace;
	}
	return put_file(map, file, oid, false, err);
}

/* The first time counts: what was begun then cannot be taken back. */
sw_rc
sw_relmap_invalidated(struct sw_relmap *map, const struct sw_wal_invalidated *gone, struct sw_error *err)
{
	struct sw_relmap_database *d = NULL;

	if (put_database(map, gone->oid, &d, err) != SW_OK)
		return err->rc;
	if (d->invalidated == 0)
		d->invalidated = gone->lsn;
	if (gone->name[0] != '\0')
		snprintf(d->name, sizeof(d->name), "%s", gone->name);
	return SW_OK;
}

/* --- rows of catalogs ---------------------------------------------------------------------- */

#define OFFSET_BITS 11 /* pages of 32 KiB have at most 1,163 rows */

/* False: nobody's place. */
static bool
row_key(struct sw_wal_place place, uint32_t *ret_key)
{
	*ret_key = place.block << OFFSET_BITS | place.offset;
	return place.offset != 0 && place.offset < 1u << OFFSET_BITS && place.block < 1u << (32 - OFFSET_BITS);
}

struct sw_relmap_row *
sw_relmap_row(const struct sw_relmap *map, uint32_t database, uint32_t file, struct sw_wal_place place)
{
	struct sw_relmap_row *row;
	uint32_t key;

	if (!row_key(place, &key))
		return NULL;
	for (row = sw_hash_find(&map->rows, database, key); row != NULL; row = sw_hash_next(&map->rows, row))
		if (row->file == file)
			return row;
	return NULL;
}

sw_rc
sw_relmap_set_row(struct sw_relmap *map, uint32_t database, uint32_t file, struct sw_wal_place place, uint32_t oid,
	struct sw_error *err)
{
	struct sw_relmap_row *row = sw_relmap_row(map, database, file, place);
	uint32_t key;

	if (!row_key(place, &key) || file == 0)
		return SW_OK;
	if (row == NULL && sw_hash_add(&map->rows, database, key, &row, err) != SW_OK)
		return err->rc;
	row->file = file;
	row->oid = oid;
	return SW_OK;
}

void
sw_relmap_forget_row(struct sw_relmap *map, struct sw_relmap_row *row)
{
	sw_hash_remove(&map->rows, row);
}

void
sw_relmap_forget_rows(struct sw_relmap *map)
{
	sw_hash_release(&map->rows);
	sw_hash_init(&map->rows, "rows of catalogs", sizeof(struct sw_relmap_row), RELATIONS_MAX);
}

void
sw_relmap_gap(struct sw_relmap *map)
{
	sw_relmap_forget_rows(map);
	map->gaps++;
}

/* --- names that change ------------------------------------------------------------------------ */

sw_rc
sw_relmap_rename(struct sw_relmap *map, struct sw_relmap_relation *r, const char *name, uint32_t schema, struct sw_error *err)
{
	uint32_t database = r->key.a, oid = r->key.b;

	r->schema = schema;
	if (strcmp(r->name, name) == 0)
		return SW_OK;
	/* only what a backup listed has sizes, or a name of then */
	if (r->listed && sw_hash_find(&map->former, database, oid) == NULL &&
		put_name(&map->former, database, oid, r->name, err) != SW_OK)
		return err->rc;
	snprintf(r->name, sizeof(r->name), "%s", name);
	return SW_OK;
}

sw_rc
sw_relmap_set_schema(struct sw_relmap *map, uint32_t database, uint32_t oid, const char *name, struct sw_error *err)
{
	return put_name(&map->schemas, database, oid, name, err);
}

const char *
sw_relmap_former_name(const struct sw_relmap *map, uint32_t database, uint32_t oid)
{
	const struct name *former = sw_hash_find(&map->former, database, oid);
	const struct sw_relmap_relation *r = sw_relmap_relation(map, database, oid);

	return former != NULL && r != NULL && strcmp(former->text, r->name) != 0 ? former->text : NULL;
}

/* --- forgetting --------------------------------------------------------------------------- */

void
sw_relmap_forget_relation(struct sw_relmap *map, uint32_t database, uint32_t oid)
{
	struct sw_relmap_relation *r = sw_relmap_relation(map, database, oid);
	struct sw_wal_relation file;

	if (r == NULL)
		return;
	file = (struct sw_wal_relation){r->tablespace, database, r->filenode};
	sw_hash_remove(&map->relations, r);
	if (file.filenode != 0 && sw_relmap_owner_of_file(map, &file) == oid)
		sw_relmap_forget_file(map, &file);
}

void
sw_relmap_forget_file(struct sw_relmap *map, const struct sw_wal_relation *file)
{
	struct file *f = find_file(map, file, false);

	if (f != NULL)
		sw_hash_remove(&map->files, f);
}

static void
forget_all(struct sw_hash *hash, uint32_t database)
{
	uint32_t at = 0;

	for (struct sw_hash_key *key = sw_hash_each(hash, &at); key != NULL; key = sw_hash_each(hash, &at))
		if (key->a == database)
			sw_hash_remove(hash, key);
}

void
sw_relmap_forget_database(struct sw_relmap *map, uint32_t oid)
{
	struct sw_relmap_database *d = sw_relmap_database(map, oid);

	if (d == NULL)
		return;
	sw_hash_remove(&map->databases, d);
	forget_all(&map->relations, oid);
	forget_all(&map->files, oid);
	forget_all(&map->schemas, oid);
	forget_all(&map->rows, oid);
}

/* --- learning from a backup --------------------------------------------------------------- */

struct learner {
	struct sw_relmap *map;
	bool later;
	uint32_t database, class_file; /* whose lines follow */
};

static struct sw_wal_place
place_of(struct sw_relations_place place)
{
	return (struct sw_wal_place){place.block, place.offset};
}

static sw_rc
learn_tablespace(void *ctx, const struct sw_relations_tablespace *t, struct sw_error *err)
{
	struct learner *l = ctx;

	if (l->later && sw_relmap_tablespace_name(l->map, t->oid) != NULL)
		return SW_OK;
	return put_name(&l->map->tablespaces, t->oid, 0, t->name, err);
}

static sw_rc
learn_database(void *ctx, const struct sw_relations_database *database, struct sw_error *err)
{
	struct learner *l = ctx;
	struct sw_relmap_database *d = NULL;

	if (put_database(l->map, database->oid, &d, err) != SW_OK)
		return err->rc;
	if (!l->later || d->tablespace == 0)
		d->tablespace = database->tablespace;
	if (!l->later || d->name[0] == '\0')
		snprintf(d->name, sizeof(d->name), "%s", database->name);
	l->database = database->oid;
	l->class_file = database->class_file;
	d->other_bytes = database->other_bytes;
	if (l->later)
		return SW_OK;
	d->lsn = database->lsn;
	d->name_unsure = false;
	return sw_relmap_set_row(l->map, 0, database->file, place_of(database->place), database->oid, err);
}

static sw_rc
learn_schema(void *ctx, const struct sw_relations_schema *schema, struct sw_error *err)
{
	struct learner *l = ctx;

	if (l->later && sw_hash_find(&l->map->schemas, schema->database, schema->oid) != NULL)
		return SW_OK;
	if (!l->later && sw_relmap_set_row(l->map, schema->database, SW_RELATIONS_SCHEMA_FILE, place_of(schema->place),
		schema->oid, err) != SW_OK)
		return err->rc;
	return put_name(&l->map->schemas, schema->database, schema->oid, schema->name, err);
}

/* later: the relation's file and sizes may have been others then; its name, more or less, was this. */
static sw_rc
learn_relation(void *ctx, const struct sw_relation *relation, struct sw_error *err)
{
	struct learner *l = ctx;
	struct sw_wal_relation file = {relation->tablespace, relation->database, relation->filenode};
	struct sw_relmap_relation *r = NULL;

	if (put_relation(l->map, relation->database, relation->oid, &r, err) != SW_OK)
		return err->rc;
	if (!l->later || r->kind == 0) {
		r->schema = relation->schema;
		r->owner = relation->owner;
		r->kind = relation->kind;
		r->unlogged = relation->unlogged;
		r->name_unsure = false;
		r->named_gap = l->map->gaps;
		snprintf(r->name, sizeof(r->name), "%s", relation->name);
	}
	if (r->owner == 0)
		r->owner = relation->owner;
	if (!l->later) {
		r->rows = relation->rows;
		r->bytes = relation->bytes;
		r->listed = true;
		r->row_lost = false;
		if (sw_relmap_set_row(l->map, l->database, l->class_file, place_of(relation->place), relation->oid, err) != SW_OK)
			return err->rc;
	}
	if (file.filenode == 0)
		return SW_OK;
	if (!l->later || r->filenode == 0) {
		r->filenode = file.filenode;
		r->tablespace = file.tablespace;
	}
	return put_file(l->map, &file, relation->oid, l->later, err);
}

sw_rc
sw_relmap_learn(struct sw_relmap *map, struct sw_repository *repo, const char *label, bool later, struct sw_error *err)
{
	struct learner l = {.map = map, .later = later};
	struct sw_relations_reader reader = {
		.tablespace = learn_tablespace, .database = learn_database, .schema = learn_schema,
		.relation = learn_relation, .ctx = &l,
	};
	sw_rc rc;

	/* it tells all places anew, and the names of then */
	if (!later) {
		sw_relmap_forget_rows(map);
		sw_hash_release(&map->former);
		sw_hash_init(&map->former, "renamed relations", sizeof(struct name), RELATIONS_MAX);
	}
	rc = sw_relations_read(repo, label, &reader, err);
	return rc == SW_NOT_FOUND ? SW_OK : rc;
}
