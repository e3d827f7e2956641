#include "backup/relations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "stream/stage.h"

#define RELATIONS_VERSION 1
#define RELATIONS_LEVEL 3
#define LINE_MAX_LEN 8192
#define REASON_LEN 1024
#define CONTENT_MAX (UINT64_C(16) << 30) /* a hundred million relations */
#define SPOOL_MEMORY (4 * 1024 * 1024)
#define DATABASES_MAX 100000
#define ANSWER_MS 60000
#define DEFAULT_TABLESPACE 1663 /* catalog/pg_tablespace.dat */
#define NUMBER_MAX ((INT64_C(1) << 53) - 1) /* what JSON's numbers hold */

/* --- writing ----------------------------------------------------------------------- */

struct database {
	uint32_t oid, tablespace, file;
	char *name, *encoding; /* as the server has them */
	struct sw_relations_place place;
	bool allowed, invalid;
};

struct collection {
	const struct sw_relations_params *params;
	struct sw_pg_facts facts;
	struct sw_stage *out;
	struct database *databases;
	size_t database_count;
	uint32_t database;   /* that is asked now */
	uint32_t class_file, schema_file; /* its pg_class's and pg_namespace's */
	sw_lsn lsn;          /* before it was asked */
	bool shared_told;
};

static void
collection_release(struct collection *c)
{
	for (size_t i = 0; i < c->database_count; i++) {
		free(c->databases[i].name);
		free(c->databases[i].encoding);
	}
	free(c->databases);
}

/* A name as a reader takes it. */
static json_t *
name_json(const char *text)
{
	char name[SW_RELATION_NAME_MAX];
	size_t len = strlen(text);

	if (len >= sizeof(name)) {
		len = sizeof(name) - 1;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(name, text, len);
	name[len] = '\0';
	return sw_json_text(len > 0 ? name : "?");
}

static sw_rc
write_line(struct sw_stage *out, json_t *object, struct sw_error *err)
{
	SW_AUTO_FREE char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	sw_rc rc;

	json_decref(object);
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_stage_write(out, text, strlen(text), err);
	return rc == SW_OK ? sw_stage_write(out, "\n", 1, err) : rc;
}

static sw_rc
take_number(const char *text, int64_t min, int64_t max, int64_t *ret_value, struct sw_error *err)
{
	char *end = NULL;
	long long value = text == NULL ? 0 : strtoll(text, &end, 10);

	if (text == NULL || end == text || *end != '\0' || value < min)
		return sw_fail(err, SW_SYSTEM, "PostgreSQL's answer about its relations makes no sense");
	*ret_value = value > max ? max : value;
	return SW_OK;
}

static sw_rc
take_oids(const char *const *values, size_t count, int64_t *ret_oids, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < count; i++)
		rc = take_number(values[i], 0, UINT32_MAX, &ret_oids[i], err);
	return rc;
}

/* "(12,3)", a ctid */
static sw_rc
take_place(const char *text, struct sw_relations_place *ret_place, struct sw_error *err)
{
	unsigned block, offset;

	if (text == NULL || sscanf(text, "(%u,%u)", &block, &offset) != 2 || offset > UINT16_MAX)
		return sw_fail(err, SW_SYSTEM, "PostgreSQL's answer about its relations makes no sense");
	*ret_place = (struct sw_relations_place){block, (uint16_t)offset};
	return SW_OK;
}

static json_t *
place_json(struct sw_relations_place place)
{
	return json_pack("[I, I]", (json_int_t)place.block, (json_int_t)place.offset);
}

static sw_rc
database_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct collection *c = ctx;
	struct database *more;
	struct sw_relations_place place = {0};
	int64_t oids[3];
	sw_rc rc = take_oids(values, 3, oids, err);

	if (rc == SW_OK)
		rc = take_place(values[6], &place, err);
	if (rc != SW_OK || c->database_count == DATABASES_MAX)
		return rc;
	more = reallocarray(c->databases, c->database_count + 1, sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	c->databases = more;
	more += c->database_count;
	*more = (struct database){
		.oid = (uint32_t)oids[0],
		.tablespace = (uint32_t)oids[1],
		.file = (uint32_t)oids[2],
		.place = place,
		.name = strdup(values[3]),
		.allowed = strcmp(values[4], "t") == 0,
		.invalid = strcmp(values[5], "-2") == 0,
		.encoding = strdup(values[7] != NULL ? values[7] : "?"),
	};
	c->database_count++;
	return more->name == NULL || more->encoding == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : SW_OK;
}

static sw_rc
tablespace_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct collection *c = ctx;
	int64_t oid;
	sw_rc rc = take_oids(values, 1, &oid, err);

	return rc != SW_OK ? rc : write_line(c->out, json_pack("{s:s, s:I, s:o}", "type", "tablespace",
		"oid", (json_int_t)oid, "name", name_json(values[1])), err);
}

static sw_rc
schema_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct collection *c = ctx;
	struct sw_relations_place place = {0};
	int64_t oid;
	sw_rc rc = take_oids(values, 1, &oid, err);

	if (rc == SW_OK)
		rc = take_place(values[2], &place, err);
	return rc != SW_OK ? rc : write_line(c->out, json_pack("{s:s, s:I, s:I, s:o, s:o*}", "type", "schema",
		"database", (json_int_t)c->database, "oid", (json_int_t)oid, "name", name_json(values[1]),
		"place", c->schema_file == SW_RELATIONS_SCHEMA_FILE ? place_json(place) : NULL), err);
}

/* The sizes of the main fork's files; false: there are none. */
static bool
file_bytes(const struct collection *c, uint32_t database, uint32_t tablespace, uint32_t filenode,
	uint64_t *ret_bytes)
{
	const struct sw_manifest_header *h = c->params->header;
	uint64_t full = (uint64_t)h->block_size * h->blocks_per_file;
	char path[1200], *end;
	struct stat st;
	int len;

	if (database == 0)
		len = snprintf(path, sizeof(path), "%s/global/%u", h->pgdata, filenode);
	else if (tablespace == DEFAULT_TABLESPACE)
		len = snprintf(path, sizeof(path), "%s/base/%u/%u", h->pgdata, database, filenode);
	else
		len = snprintf(path, sizeof(path), "%s/pg_tblspc/%u/PG_%u_%u/%u/%u", h->pgdata, tablespace,
			h->major, h->catalog_version, database, filenode);
	if (len < 0 || (size_t)len + 16 >= sizeof(path) || stat(path, &st) != 0)
		return false;
	*ret_bytes = (uint64_t)st.st_size;
	end = path + len;
	for (unsigned i = 1; (uint64_t)st.st_size == full; i++) {
		snprintf(end, 16, ".%u", i);
		if (stat(path, &st) != 0)
			break;
		*ret_bytes += (uint64_t)st.st_size;
	}
	return true;
}

/*
 * The filenode as the snapshot has it; only a mapped relation's comes from its map.  pg_relation_size would wait for
 * whoever has a table locked, and a backup must not.
 */
#define RELATIONS_SQL \
	"SELECT c.oid, c.relnamespace, coalesce(i.indrelid, t.oid, 0)," \
	" CASE WHEN c.relkind NOT IN ('r', 'i', 'S', 't', 'm') THEN 0" \
	"  WHEN c.relfilenode <> 0 THEN c.relfilenode ELSE coalesce(pg_relation_filenode(c.oid), 0) END," \
	" CASE WHEN c.reltablespace <> 0 OR c.relkind NOT IN ('r', 'i', 'S', 't', 'm') THEN c.reltablespace" \
	"  ELSE d.dattablespace END," \
	" CASE WHEN c.reltuples >= 1e15 THEN 1000000000000000" \
	"  WHEN c.reltuples >= 0 THEN c.reltuples::bigint" \
	"  ELSE coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), -1) END," \
	" greatest(c.relpages, 0), c.relisshared, c.relkind, c.relname, c.relpersistence, c.ctid" \
	" FROM pg_class c" \
	" JOIN pg_database d ON d.datname = current_database()" \
	" LEFT JOIN pg_index i ON i.indexrelid = c.oid AND c.relkind IN ('i', 'I')" \
	" LEFT JOIN pg_class t ON t.reltoastrelid = c.oid AND c.relkind = 't'" \
	" WHERE c.relpersistence <> 't'"

static sw_rc
relation_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct collection *c = ctx;
	int64_t oids[5], rows, pages;
	bool shared = values[7] != NULL && strcmp(values[7], "t") == 0;
	uint32_t database = shared ? 0 : c->database;
	struct sw_relations_place place = {0};
	uint64_t bytes;
	sw_rc rc = take_oids(values, 5, oids, err);

	if (rc == SW_OK)
		rc = take_number(values[5], -1, NUMBER_MAX, &rows, err);
	if (rc == SW_OK)
		rc = take_number(values[6], 0, UINT32_MAX, &pages, err);
	if (rc == SW_OK)
		rc = take_place(values[11], &place, err);
	if (rc != SW_OK || (shared && c->shared_told))
		return rc;
	if (oids[3] == 0)
		bytes = 0;
	else if (!file_bytes(c, database, (uint32_t)oids[4], (uint32_t)oids[3], &bytes))
		bytes = (uint64_t)pages * c->params->header->block_size;
	return write_line(c->out, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:I, s:I, s:o}",
		"type", "relation", "database", (json_int_t)database, "oid", (json_int_t)oids[0],
		"schema", (json_int_t)oids[1], "owner", (json_int_t)oids[2], "filenode", (json_int_t)oids[3],
		"tablespace", (json_int_t)oids[4], "kind", values[8], "persistence", values[10], "name", name_json(values[9]),
		"rows", (json_int_t)rows, "bytes", (json_int_t)bytes,
		"place", place_json(place)), err);
}

static sw_rc
write_database(const struct collection *c, const struct database *d, const char *reason, struct sw_error *err)
{
	json_t *object = json_pack("{s:s, s:I, s:I, s:o, s:s, s:I, s:o}", "type", "database", "oid", (json_int_t)d->oid,
		"tablespace", (json_int_t)d->tablespace, "name", name_json(d->name), "encoding", d->encoding,
		"file", (json_int_t)d->file, "place", place_json(d->place));
	char text[REASON_LEN], lsn[SW_LSN_LEN];

	if (object != NULL && reason == NULL &&
		(json_object_set_new(object, "class_file", json_integer((json_int_t)c->class_file)) != 0 ||
		json_object_set_new(object, "lsn", json_string(sw_lsn_format(c->lsn, lsn))) != 0)) {
		json_decref(object);
		object = NULL;
	}
	if (object != NULL && reason != NULL) {
		snprintf(text, sizeof(text), "%s", reason);
		if (json_object_set_new(object, "reason", sw_json_text(text)) != 0) {
			json_decref(object);
			object = NULL;
		}
	}
	return write_line(c->out, object, err);
}

static sw_rc
file_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct collection *c = ctx;
	int64_t files[2];
	sw_rc rc = take_oids(values, 2, files, err);

	if (rc == SW_OK) {
		c->class_file = (uint32_t)files[0];
		c->schema_file = (uint32_t)files[1];
	}
	return rc;
}

/* All of it as one snapshot has it. */
static sw_rc
ask_database(struct collection *c, const struct database *d, struct sw_error *err)
{
	struct sw_pg *pg = NULL;
	sw_rc rc = sw_pg_connect_database(c->params->config, d->name, ANSWER_MS, &pg, err);

	c->database = d->oid;
	if (rc == SW_OK)
		rc = sw_pg_current_lsn(pg, &c->lsn, err);
	if (rc == SW_OK)
		rc = sw_pg_query(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, err);
	if (rc == SW_OK)
		rc = sw_pg_query(pg, "SELECT coalesce(pg_relation_filenode(1259), 0), coalesce(pg_relation_filenode(2615), 0)", 2,
			file_row, c, err);
	if (rc == SW_OK)
		rc = sw_pg_query(pg, "SELECT oid, nspname, ctid FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_[0-9]+$'", 3,
			schema_row, c, err);
	if (rc == SW_OK)
		rc = sw_pg_query(pg, RELATIONS_SQL, 12, relation_row, c, err);
	sw_pg_close(pg);
	return rc;
}

static sw_rc
copy_spool(const struct sw_stage_spool *spool, struct sw_stage *out, struct sw_error *err)
{
	static const uint8_t unknown[SW_SHA256_LEN];
	struct sw_store_body body = sw_store_body_spool(spool, unknown);
	SW_AUTO_FREE uint8_t *piece = malloc(65536);
	sw_rc rc = SW_OK;

	if (piece == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (uint64_t at = 0; rc == SW_OK && at < body.len;) {
		size_t len = body.len - at < 65536 ? (size_t)(body.len - at) : 65536;

		rc = sw_store_body_read(&body, at, piece, len, err);
		if (rc == SW_OK)
			rc = sw_stage_write(out, piece, len, err);
		at += len;
	}
	return rc;
}

/* Its lines stand aside until they are whole. */
static sw_rc
collect_database(struct collection *c, const struct database *d, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_spool_release))) struct sw_stage_spool spool;
	struct sw_stage *out = c->out;
	struct sw_error why = SW_ERROR_INIT;
	sw_rc rc;

	sw_stage_spool_init(&spool, SPOOL_MEMORY);
	if (d->invalid)
		return write_database(c, d, "a DROP DATABASE that did not end has left it invalid", err);
	if (!d->allowed)
		return write_database(c, d, "it allows no connections", err);
	c->out = &spool.stage;
	rc = ask_database(c, d, &why);
	c->out = out;
	if (rc == SW_OK)
		rc = sw_stage_finish(&spool.stage, &why);
	if (rc == SW_OK) {
		c->shared_told = true;
		rc = write_database(c, d, NULL, err);
		return rc == SW_OK ? copy_spool(&spool, out, err) : rc;
	}
	if (sw_interrupt_signal() != 0)
		return sw_interrupt_check(err);
	sw_log(SW_LOG_WARNING, "the backup will not know relations of database \"%s\" by name: %s", d->name, why.text);
	return write_database(c, d, why.text, err);
}

static sw_rc
write_header(struct collection *c, struct sw_error *err)
{
	char lsn_text[SW_LSN_LEN], time[SW_CLOCK_ISO_LEN];
	sw_lsn lsn;
	sw_rc rc = sw_pg_current_lsn(c->params->pg, &lsn, err);

	return rc != SW_OK ? rc : write_line(c->out, json_pack("{s:s, s:i, s:s, s:I, s:s}", "seawall", "relations",
		"version", RELATIONS_VERSION, "lsn", sw_lsn_format(lsn, lsn_text),
		"timeline", (json_int_t)c->facts.timeline, "time", sw_clock_iso(sw_clock_now_us(), time)), err);
}

static sw_rc
collect(struct collection *c, struct sw_error *err)
{
	sw_rc rc = sw_pg_facts(c->params->pg, &c->facts, err);

	if (rc == SW_OK)
		rc = write_header(c, err);
	if (rc == SW_OK)
		rc = sw_pg_query(c->params->pg, "SELECT oid, spcname FROM pg_tablespace ORDER BY oid", 2, tablespace_row, c,
			err);
	if (rc == SW_OK)
		rc = sw_pg_query(c->params->pg, "SELECT oid, dattablespace, coalesce(pg_relation_filenode(1262), 0), datname, "
			"datallowconn, datconnlimit, ctid, pg_encoding_to_char(encoding) FROM pg_database ORDER BY oid", 8,
			database_row, c, err);
	for (size_t i = 0; rc == SW_OK && i < c->database_count; i++)
		rc = collect_database(c, &c->databases[i], err);
	return rc == SW_OK ? sw_stage_finish(c->out, err) : rc;
}

sw_rc
sw_relations_put(const struct sw_relations_params *params, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_spool_release))) struct sw_stage_spool spool;
	__attribute__((cleanup(sw_stage_digest_release))) struct sw_stage_digest digest = {0};
	__attribute__((cleanup(sw_stage_compress_release))) struct sw_stage_compress compress = {0};
	__attribute__((cleanup(collection_release))) struct collection c = {.params = params, .out = &compress.stage};
	char name[SW_STORE_NAME_MAX];
	sw_rc rc;

	sw_stage_spool_init(&spool, SPOOL_MEMORY);
	rc = sw_stage_digest_init(&digest, &spool.stage, err);
	if (rc == SW_OK)
		rc = sw_stage_compress_init(&compress, RELATIONS_LEVEL, UINT64_MAX, &digest.stage, err);
	if (rc == SW_OK)
		rc = collect(&c, err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_store_body_spool(&spool, digest.sha256);

		rc = sw_store_put(params->repo->store, sw_repository_name(params->repo, name, "backup/%s/relations.zst",
			params->header->label), &body, err);
	}
	return rc == SW_OK ? rc : sw_wrap(err, "keeping the names of relations");
}

/* --- reading ----------------------------------------------------------------------- */

/* Splits content into lines and gives them to the reader. */
struct line_stage {
	struct sw_stage stage;
	const struct sw_relations_reader *reader;
	struct sw_buf line;
	uint64_t line_count;
	uint32_t database;     /* whose lines may follow; 0: none */
	bool relations_begun;  /* of that database */
	bool failed_by_reader; /* the error is the callback's */
};

static sw_rc
parse_oid(const json_t *o, const char *key, bool zero, uint32_t *ret_oid, struct sw_error *err)
{
	uint64_t value;
	sw_rc rc = sw_json_u64(o, key, UINT32_MAX, &value, err);

	if (rc == SW_OK && value == 0 && !zero)
		rc = sw_fail(err, SW_CORRUPT, "\"%s\" is 0", key);
	if (rc == SW_OK)
		*ret_oid = (uint32_t)value;
	return rc;
}

static sw_rc
parse_name(const json_t *o, char ret_name[SW_RELATION_NAME_MAX], struct sw_error *err)
{
	const char *name = NULL;
	sw_rc rc = sw_json_string(o, "name", &name, err);

	if (rc != SW_OK)
		return rc;
	if (name[0] == '\0' || strlen(name) >= SW_RELATION_NAME_MAX)
		return sw_fail(err, SW_CORRUPT, "\"name\" is empty or too long");
	memcpy(ret_name, name, strlen(name) + 1);
	return SW_OK;
}

/* Older backups do not have it. */
static sw_rc
parse_place(const json_t *o, struct sw_relations_place *ret_place, struct sw_error *err)
{
	const json_t *place = json_object_get(o, "place"), *block = json_array_get(place, 0),
		*offset = json_array_get(place, 1);

	if (place == NULL)
		return SW_OK;
	if (!json_is_integer(block) || json_integer_value(block) < 0 || json_integer_value(block) > UINT32_MAX ||
		!json_is_integer(offset) || json_integer_value(offset) < 0 || json_integer_value(offset) > UINT16_MAX)
		return sw_fail(err, SW_CORRUPT, "\"place\" is malformed");
	*ret_place = (struct sw_relations_place){(uint32_t)json_integer_value(block), (uint16_t)json_integer_value(offset)};
	return SW_OK;
}

static sw_rc
parse_optional(const json_t *o, const char *key, uint32_t *ret_value, struct sw_error *err)
{
	return json_object_get(o, key) == NULL ? SW_OK : parse_oid(o, key, true, ret_value, err);
}

static sw_rc
told(struct line_stage *s, sw_rc rc)
{
	s->failed_by_reader = rc != SW_OK;
	return rc;
}

static sw_rc
header_line(struct line_stage *s, struct sw_error *err)
{
	struct sw_relations_header h = {0};
	SW_AUTO_JSON *o = NULL;
	const char *lsn = NULL, *time = NULL;
	sw_rc rc = sw_json_parse(s->line.data, s->line.len, "relations", RELATIONS_VERSION, &o, err);

	if (rc == SW_OK)
		rc = parse_oid(o, "timeline", false, &h.timeline, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "lsn", &lsn, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "time", &time, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_lsn_parse(lsn, &h.lsn) || !sw_clock_parse_iso(time, &h.time_us))
		return sw_fail(err, SW_CORRUPT, "\"lsn\" or \"time\" is malformed");
	return s->reader->header == NULL ? SW_OK : told(s, s->reader->header(s->reader->ctx, &h, err));
}

static sw_rc
tablespace_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_relations_tablespace t = {0};
	sw_rc rc = parse_oid(o, "oid", false, &t.oid, err);

	if (rc == SW_OK)
		rc = parse_name(o, t.name, err);
	if (rc != SW_OK || s->reader->tablespace == NULL)
		return rc;
	return told(s, s->reader->tablespace(s->reader->ctx, &t, err));
}

/* What older backups do not tell. */
static sw_rc
parse_places(const json_t *o, struct sw_relations_database *d, struct sw_error *err)
{
	const char *encoding = "UTF8", *lsn = NULL;
	sw_rc rc = parse_place(o, &d->place, err);

	if (rc == SW_OK)
		rc = parse_optional(o, "file", &d->file, err);
	if (rc == SW_OK)
		rc = parse_optional(o, "class_file", &d->class_file, err);
	if (rc == SW_OK && json_object_get(o, "encoding") != NULL)
		rc = sw_json_string(o, "encoding", &encoding, err);
	if (rc == SW_OK && json_object_get(o, "lsn") != NULL)
		rc = sw_json_string(o, "lsn", &lsn, err);
	if (rc == SW_OK && lsn != NULL && !sw_lsn_parse(lsn, &d->lsn))
		rc = sw_fail(err, SW_CORRUPT, "\"lsn\" is malformed");
	d->other_bytes = strcmp(encoding, "UTF8") != 0;
	return rc;
}

static sw_rc
database_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_relations_database d = {0};
	sw_rc rc = parse_oid(o, "oid", false, &d.oid, err);

	if (rc == SW_OK)
		rc = parse_oid(o, "tablespace", false, &d.tablespace, err);
	if (rc == SW_OK)
		rc = parse_name(o, d.name, err);
	if (rc == SW_OK)
		rc = parse_places(o, &d, err);
	if (rc == SW_OK && json_object_get(o, "reason") != NULL)
		rc = sw_json_string(o, "reason", &d.reason, err);
	if (rc != SW_OK)
		return rc;
	s->database = d.reason == NULL ? d.oid : 0;
	s->relations_begun = false;
	return s->reader->database == NULL ? SW_OK : told(s, s->reader->database(s->reader->ctx, &d, err));
}

static sw_rc
schema_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_relations_schema schema = {0};
	sw_rc rc = parse_oid(o, "database", false, &schema.database, err);

	if (rc == SW_OK)
		rc = parse_oid(o, "oid", false, &schema.oid, err);
	if (rc == SW_OK)
		rc = parse_name(o, schema.name, err);
	if (rc == SW_OK)
		rc = parse_place(o, &schema.place, err);
	if (rc == SW_OK && (schema.database != s->database || s->relations_begun))
		rc = sw_fail(err, SW_CORRUPT, "a schema stands outside its database's lines");
	if (rc != SW_OK || s->reader->schema == NULL)
		return rc;
	return told(s, s->reader->schema(s->reader->ctx, &schema, err));
}

static sw_rc
parse_rest(const json_t *o, struct sw_relation *r, struct sw_error *err)
{
	const json_t *rows = json_object_get(o, "rows");
	const char *kind = NULL, *persistence = "p";
	sw_rc rc = sw_json_string(o, "kind", &kind, err);

	if (rc == SW_OK && json_object_get(o, "persistence") != NULL)
		rc = sw_json_string(o, "persistence", &persistence, err);
	if (rc == SW_OK)
		rc = sw_json_u64(o, "bytes", INT64_MAX, &r->bytes, err);
	if (rc != SW_OK)
		return rc;
	if (kind[0] <= ' ' || kind[0] >= 0x7f || kind[1] != '\0')
		return sw_fail(err, SW_CORRUPT, "\"kind\" is no letter");
	if (!json_is_integer(rows) || json_integer_value(rows) < -1)
		return sw_fail(err, SW_CORRUPT, "\"rows\" is missing or no number from -1 on");
	r->kind = kind[0];
	r->unlogged = strcmp(persistence, "u") == 0;
	r->rows = json_integer_value(rows);
	return SW_OK;
}

static sw_rc
relation_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_relation r = {0};
	const struct {
		const char *key;
		uint32_t *value;
		bool zero;
	} oids[] = {
		{"database", &r.database, true}, {"oid", &r.oid, false}, {"schema", &r.schema, false},
		{"owner", &r.owner, true}, {"filenode", &r.filenode, true}, {"tablespace", &r.tablespace, true},
	};
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < sizeof(oids) / sizeof(oids[0]); i++)
		rc = parse_oid(o, oids[i].key, oids[i].zero, oids[i].value, err);
	if (rc == SW_OK)
		rc = parse_name(o, r.name, err);
	if (rc == SW_OK)
		rc = parse_place(o, &r.place, err);
	if (rc == SW_OK)
		rc = parse_rest(o, &r, err);
	if (rc != SW_OK)
		return rc;
	if (s->database == 0 || (r.database != 0 && r.database != s->database))
		return sw_fail(err, SW_CORRUPT, "a relation stands outside its database's lines");
	if (r.filenode != 0 && r.tablespace == 0)
		return sw_fail(err, SW_CORRUPT, "a relation with a file has no tablespace");
	s->relations_begun = true;
	return s->reader->relation == NULL ? SW_OK : told(s, s->reader->relation(s->reader->ctx, &r, err));
}

static sw_rc
take_line(struct line_stage *s, struct sw_error *err)
{
	static const struct {
		const char *type;
		sw_rc (*take)(struct line_stage *s, const json_t *o, struct sw_error *err);
	} types[] = {
		{"relation", relation_line}, {"schema", schema_line}, {"database", database_line},
		{"tablespace", tablespace_line},
	};
	SW_AUTO_JSON *o = NULL;
	const char *type = NULL;
	sw_rc rc = SW_OK;

	if (s->line_count++ == 0)
		return header_line(s, err);
	o = json_loadb((const char *)s->line.data, s->line.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o))
		rc = sw_fail(err, SW_CORRUPT, "not a JSON object");
	else
		rc = sw_json_string(o, "type", &type, err);
	for (size_t i = 0; rc == SW_OK && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i].type) == 0)
			rc = types[i].take(s, o, err);
	return rc == SW_OK || s->failed_by_reader ? rc : sw_wrap(err, "line %" PRIu64, s->line_count);
}

static sw_rc
lines_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct line_stage *s = (struct line_stage *)stage;
	const char *p = data;

	while (len > 0) {
		const char *newline = memchr(p, '\n', len);
		size_t n = newline == NULL ? len : (size_t)(newline - p);
		sw_rc rc = sw_buf_append(&s->line, p, n, err);

		if (rc == SW_OK && newline != NULL) {
			rc = take_line(s, err);
			sw_buf_reset(&s->line);
			n++;
		}
		if (rc != SW_OK)
			return rc;
		p += n;
		len -= n;
	}
	return SW_OK;
}

static sw_rc
lines_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct line_stage *s = (struct line_stage *)stage;

	if (s->line_count == 0 || s->line.len > 0)
		return sw_fail(err, SW_CORRUPT, "does not end with a whole line");
	return SW_OK;
}

sw_rc
sw_relations_read(struct sw_repository *repo, const char *label, const struct sw_relations_reader *reader,
	struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_decompress_release))) struct sw_stage_decompress decompress = {0};
	struct line_stage lines = {
		.stage = {.write = lines_write, .finish = lines_finish},
		.reader = reader,
	};
	char name[SW_STORE_NAME_MAX];
	sw_rc rc;

	sw_buf_init(&lines.line, LINE_MAX_LEN);
	rc = sw_stage_decompress_init(&decompress, CONTENT_MAX, &lines.stage, err);
	if (rc == SW_OK)
		rc = sw_store_get(repo->store, sw_repository_name(repo, name, "backup/%s/relations.zst", label), 0, 0,
			&decompress.stage, err);
	sw_buf_release(&lines.line);
	if ((rc == SW_CORRUPT || rc == SW_CONFIG) && !lines.failed_by_reader)
		sw_wrap(err, "%s in %s", name, sw_store_url(repo->store));
	return rc;
}
