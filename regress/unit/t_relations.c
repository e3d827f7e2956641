#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "backup/relations.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LABEL "20261120T113831Z"
#define PLACE "main/1/backup/" LABEL "/relations.zst"

static char dir[4096];
static struct sw_repository repo;

/* --- what a reader was told ---------------------------------------------------------------- */

struct told {
	struct sw_relations_header header;
	struct sw_relations_tablespace tablespace;
	struct sw_relations_database database; /* the last one */
	char reason[2048];
	struct sw_relations_schema schema;
	struct sw_relation relation;
	unsigned headers, tablespaces, databases, schemas, relations;
	sw_rc answer; /* of the relation callback */
};

static sw_rc
on_header(void *ctx, const struct sw_relations_header *header, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->header = *header;
	told->headers++;
	return SW_OK;
}

static sw_rc
on_tablespace(void *ctx, const struct sw_relations_tablespace *tablespace, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->tablespace = *tablespace;
	told->tablespaces++;
	return SW_OK;
}

static sw_rc
on_database(void *ctx, const struct sw_relations_database *database, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->database = *database;
	snprintf(told->reason, sizeof(told->reason), "%s", database->reason == NULL ? "" : database->reason);
	told->databases++;
	return SW_OK;
}

static sw_rc
on_schema(void *ctx, const struct sw_relations_schema *schema, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	told->schema = *schema;
	told->schemas++;
	return SW_OK;
}

static sw_rc
on_relation(void *ctx, const struct sw_relation *relation, struct sw_error *err)
{
	struct told *told = ctx;

	told->relation = *relation;
	told->relations++;
	return told->answer == SW_OK ? SW_OK : sw_fail(err, told->answer, "the reader's own words");
}

static sw_rc
read_relations(struct told *told, struct sw_error *err)
{
	const struct sw_relations_reader reader = {
		.header = on_header,
		.tablespace = on_tablespace,
		.database = on_database,
		.schema = on_schema,
		.relation = on_relation,
		.ctx = told,
	};

	return sw_relations_read(&repo, LABEL, &reader, err);
}

/* --- tools ------------------------------------------------------------------------------------ */

static void
put_bytes(const void *data, size_t len)
{
	scratch_file(dir, PLACE, data, len);
}

static size_t
put_text(const char *text, size_t len)
{
	size_t room = ZSTD_compressBound(len);
	SW_AUTO_FREE uint8_t *frame = malloc(room);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(ctx, frame, room, text, len);
	ZSTD_freeCCtx(ctx);
	put_bytes(frame, n);
	return n;
}

#define HEADER "{\"seawall\":\"relations\",\"version\":1,\"lsn\":\"0/A0000D8\",\"timeline\":3," \
	"\"time\":\"2026-11-20T11:38:31.000001Z\"}\n"
#define DATABASE(rest) "{\"type\":\"database\",\"oid\":5,\"tablespace\":1663" rest "}\n"
#define SHOP DATABASE(",\"name\":\"shop\"")
#define SCHEMA(database) "{\"type\":\"schema\",\"database\":" database ",\"oid\":2200,\"name\":\"public\"}\n"
#define RELATION(database, file, kind, name, rows, bytes) "{\"type\":\"relation\",\"database\":" database \
	",\"oid\":16384,\"schema\":2200,\"owner\":0," file ",\"kind\":" kind ",\"name\":" name ",\"rows\":" rows \
	",\"bytes\":" bytes "}\n"
#define FILE_OF "\"filenode\":16391,\"tablespace\":1663"
#define ORDERS RELATION("5", FILE_OF, "\"r\"", "\"orders\"", "120000", "134299648")
#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

/* --- there and back ----------------------------------------------------------------------------- */

static void
test_whole(void)
{
	static const char text[] = HEADER "{\"type\":\"tablespace\",\"oid\":16400,\"name\":\"fast\"}\n"
		"{\"type\":\"database\",\"oid\":4,\"tablespace\":1663,\"name\":\"template0\",\"reason\":\"closed\"}\n" SHOP
		SCHEMA("5") "{\"type\":\"weather\",\"rain\":true}\n" ORDERS
		RELATION("0", FILE_OF, "\"r\"", "\"pg_database\"", "-1", "0");
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};

	put_text(text, strlen(text));
	tap_is(sw_rc_name(read_relations(&told, &err)), "ok", "what was written is read: %s", err.text);
	tap_ok(told.headers == 1 && told.header.lsn == 0xA0000D8 && told.header.timeline == 3 &&
		told.header.time_us == INT64_C(1795174711000001), "the header");
	tap_ok(told.tablespaces == 1 && told.tablespace.oid == 16400 && strcmp(told.tablespace.name, "fast") == 0,
		"a tablespace");
	tap_ok(told.databases == 2 && told.database.oid == 5 && told.database.tablespace == 1663 &&
		told.database.reason == NULL && strcmp(told.database.name, "shop") == 0, "databases");
	tap_ok(told.schemas == 1 && told.schema.database == 5 && told.schema.oid == 2200 &&
		strcmp(told.schema.name, "public") == 0, "a schema");
	tap_ok(!told.relation.unlogged, "what does not say how its rows are kept has them logged");
	tap_ok(told.relations == 2 && told.relation.database == 0 && told.relation.oid == 16384 &&
		told.relation.schema == 2200 && told.relation.filenode == 16391 && told.relation.tablespace == 1663 &&
		told.relation.kind == 'r' && told.relation.rows == -1 && told.relation.bytes == 0 &&
		strcmp(told.relation.name, "pg_database") == 0, "relations, shared ones too");
	told = (struct told){.answer = SW_CONFLICT};
	tap_is(sw_rc_name(read_relations(&told, &err)), "conflict", "a callback's result ends the reading");
	tap_is(err.text, "the reader's own words", "... in its own words");
	tap_is_int(told.relations, 1, "... at once");
}

static void
test_unlogged(void)
{
	static const char text[] = HEADER SHOP SCHEMA("5") RELATION("5", FILE_OF, "\"r\",\"persistence\":\"u\"", "\"x\"", "0", "0");
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};

	put_text(text, strlen(text));
	tap_ok(read_relations(&told, &err) == SW_OK && told.relation.unlogged, "an unlogged one");
}

static void
test_places(void)
{
	static const char text[] = HEADER
		DATABASE(",\"name\":\"shop\",\"encoding\":\"LATIN1\",\"file\":1262,\"place\":[2,5],\"class_file\":17001,\"lsn\":\"0/A000110\"")
		"{\"type\":\"schema\",\"database\":5,\"oid\":2200,\"name\":\"public\",\"place\":[0,3]}\n"
		RELATION("5", FILE_OF, "\"r\",\"place\":[4294967295,65535]", "\"x\"", "0", "0");
	static const char older[] = HEADER SHOP SCHEMA("5") ORDERS;
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};

	put_text(text, strlen(text));
	tap_is(sw_rc_name(read_relations(&told, &err)), "ok", "places: %s", err.text);
	tap_ok(told.database.file == 1262 && told.database.place.block == 2 && told.database.place.offset == 5 && told.database.class_file == 17001 &&
		told.database.lsn == 0xA000110 && told.database.other_bytes, "... of a database, and what is told with it");
	tap_ok(told.schema.place.offset == 3 && told.relation.place.block == UINT32_MAX && told.relation.place.offset == 65535, "... of a schema and a relation");
	told = (struct told){0};
	put_text(older, strlen(older));
	tap_ok(read_relations(&told, &err) == SW_OK && told.database.place.offset == 0 && told.database.lsn == 0 && !told.database.other_bytes &&
		told.schema.place.offset == 0 && told.relation.place.offset == 0, "an older backup has none");
}

static void
test_callbacks_may_be_missing(void)
{
	static const char text[] = HEADER SHOP SCHEMA("5") ORDERS;
	const struct sw_relations_reader reader = {.relation = NULL};
	struct sw_error err = SW_ERROR_INIT;

	put_text(text, strlen(text));
	tap_is(sw_rc_name(sw_relations_read(&repo, LABEL, &reader, &err)), "ok", "callbacks may be missing");
}

/* --- hostile input ------------------------------------------------------------------------------ */

static const struct {
	const char *what, *text, *rc;
} cases[] = {
	{"an empty content", "", "corrupt"},
	{"no header", SHOP, "corrupt"},
	{"another kind", "{\"seawall\":\"manifest\",\"version\":1}\n", "corrupt"},
	{"a newer version", "{\"seawall\":\"relations\",\"version\":2}\n", "configuration"},
	{"a timeline 0", "{\"seawall\":\"relations\",\"version\":1,\"lsn\":\"0/1\",\"timeline\":0,"
		"\"time\":\"2026-11-20T11:38:31.000001Z\"}\n", "corrupt"},
	{"an LSN that is none", "{\"seawall\":\"relations\",\"version\":1,\"lsn\":\"0\",\"timeline\":1,"
		"\"time\":\"2026-11-20T11:38:31.000001Z\"}\n", "corrupt"},
	{"a time that is none", "{\"seawall\":\"relations\",\"version\":1,\"lsn\":\"0/1\",\"timeline\":1,\"time\":\"now\"}\n",
		"corrupt"},
	{"a last line without end", HEADER "{\"type\":\"database\"", "corrupt"},
	{"a line that is no JSON", HEADER "type: database\n", "corrupt"},
	{"a line that is no object", HEADER "[1]\n", "corrupt"},
	{"a line without a type", HEADER "{\"oid\":5}\n", "corrupt"},
	{"a key twice", HEADER "{\"type\":\"database\",\"type\":\"schema\"}\n", "corrupt"},
	{"a database with OID 0", HEADER "{\"type\":\"database\",\"oid\":0,\"tablespace\":1663,\"name\":\"x\"}\n", "corrupt"},
	{"a database with an OID of 33 bits", HEADER
		"{\"type\":\"database\",\"oid\":4294967296,\"tablespace\":1663,\"name\":\"x\"}\n", "corrupt"},
	{"a database without a name", HEADER DATABASE(""), "corrupt"},
	{"an empty name", HEADER DATABASE(",\"name\":\"\""), "corrupt"},
	{"a name of 63 bytes", HEADER DATABASE(",\"name\":\"" SIXTY "123\""), "ok"},
	{"a name of 64 bytes", HEADER DATABASE(",\"name\":\"" SIXTY "1234\""), "corrupt"},
	{"a name with a NUL", HEADER DATABASE(",\"name\":\"a\\u0000b\""), "corrupt"},
	{"a name that is not UTF-8", HEADER DATABASE(",\"name\":\"m\xfcller\""), "corrupt"},
	{"a reason that is no text", HEADER DATABASE(",\"name\":\"x\",\"reason\":1"), "corrupt"},
	{"a schema before any database", HEADER SCHEMA("5"), "corrupt"},
	{"another database's schema", HEADER SHOP SCHEMA("6"), "corrupt"},
	{"a schema behind a relation", HEADER SHOP ORDERS SCHEMA("5"), "corrupt"},
	{"a relation before any database", HEADER RELATION("0", FILE_OF, "\"r\"", "\"x\"", "0", "0"), "corrupt"},
	{"another database's relation", HEADER SHOP RELATION("6", FILE_OF, "\"r\"", "\"x\"", "0", "0"), "corrupt"},
	{"a relation of a database that was not asked", HEADER DATABASE(",\"name\":\"x\",\"reason\":\"closed\"") ORDERS,
		"corrupt"},
	{"a file in no tablespace", HEADER SHOP RELATION("5", "\"filenode\":1,\"tablespace\":0", "\"r\"", "\"x\"", "0", "0"),
		"corrupt"},
	{"no file", HEADER SHOP RELATION("5", "\"filenode\":0,\"tablespace\":0", "\"v\"", "\"x\"", "0", "0"), "ok"},
	{"a kind of two letters", HEADER SHOP RELATION("5", FILE_OF, "\"rr\"", "\"x\"", "0", "0"), "corrupt"},
	{"an empty kind", HEADER SHOP RELATION("5", FILE_OF, "\"\"", "\"x\"", "0", "0"), "corrupt"},
	{"a kind that would move a cursor", HEADER SHOP RELATION("5", FILE_OF, "\"\\u001b\"", "\"x\"", "0", "0"), "corrupt"},
	{"a persistence that is no text", HEADER SHOP RELATION("5", FILE_OF, "\"r\",\"persistence\":1", "\"x\"", "0", "0"), "corrupt"},
	{"a place that is no place", HEADER SHOP RELATION("5", FILE_OF, "\"r\",\"place\":7", "\"x\"", "0", "0"), "corrupt"},
	{"a place that is half", HEADER SHOP RELATION("5", FILE_OF, "\"r\",\"place\":[7]", "\"x\"", "0", "0"), "corrupt"},
	{"an offset of 17 bits", HEADER SHOP RELATION("5", FILE_OF, "\"r\",\"place\":[7,65536]", "\"x\"", "0", "0"), "corrupt"},
	{"a schema's place below 0", HEADER SHOP "{\"type\":\"schema\",\"database\":5,\"oid\":1,\"name\":\"x\",\"place\":[-1,1]}\n", "corrupt"},
	{"a database's LSN that is none", HEADER DATABASE(",\"name\":\"x\",\"lsn\":\"7\""), "corrupt"},
	{"an encoding that is no text", HEADER DATABASE(",\"name\":\"x\",\"encoding\":8"), "corrupt"},
	{"a file of 33 bits", HEADER DATABASE(",\"name\":\"x\",\"class_file\":4294967296"), "corrupt"},
	{"rows below -1", HEADER SHOP RELATION("5", FILE_OF, "\"r\"", "\"x\"", "-2", "0"), "corrupt"},
	{"rows that are no number", HEADER SHOP RELATION("5", FILE_OF, "\"r\"", "\"x\"", "1.5", "0"), "corrupt"},
	{"bytes below 0", HEADER SHOP RELATION("5", FILE_OF, "\"r\"", "\"x\"", "0", "-1"), "corrupt"},
};

static void
test_hostile_text(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct told told = {0};

		put_text(cases[i].text, strlen(cases[i].text));
		tap_is(sw_rc_name(read_relations(&told, &err)), cases[i].rc, "%s: %s", cases[i].what, err.text);
		if (err.rc != SW_OK)
			tap_ok(strstr(err.text, PLACE) != NULL, "... and the object is named");
	}
}

static void
test_hostile_bytes(void)
{
	static const char text[] = HEADER SHOP SCHEMA("5") ORDERS;
	static char line[64 * 1024];
	struct sw_error err = SW_ERROR_INIT;
	struct told told = {0};
	SW_AUTO_FREE char *bytes = NULL;
	SW_AUTO_BUF buf;
	size_t len = put_text(text, strlen(text)), bad = 0;
	char path[8192];

	sw_buf_init(&buf, 0);
	snprintf(path, sizeof(path), "%s/" PLACE, dir);
	if (sw_file_read(path, 65536, &buf, &err) != SW_OK || buf.len != len || (bytes = malloc(len)) == NULL)
		exit(2);
	for (size_t i = 0; i < len; i++) {
		memcpy(bytes, buf.data, len);
		bytes[i] ^= 1;
		put_bytes(bytes, len);
		if (read_relations(&told, &err) != SW_CORRUPT)
			bad++;
		put_bytes(buf.data, i);
		if (read_relations(&told, &err) != SW_CORRUPT)
			bad++;
	}
	/* one byte of the frame's header says what libzstd does not need */
	tap_ok(bad <= 1, "each changed byte and each cut is noticed, but for %zu", bad);
	memset(line, ' ', sizeof(line));
	memcpy(line, HEADER, strlen(HEADER));
	put_text(line, sizeof(line));
	tap_is(sw_rc_name(read_relations(&told, &err)), "corrupt", "a line without end is not gathered");
	unlink(path);
	tap_is(sw_rc_name(read_relations(&told, &err)), "not found", "absence is said");
}

int
main(void)
{
	struct sw_error err = SW_ERROR_INIT;

	scratch_make(dir);
	strcpy(repo.prefix, "main/1/");
	if (sw_posix_open(dir, &repo.store, &err) != SW_OK)
		return 2;
	test_whole();
	test_unlogged();
	test_places();
	test_callbacks_may_be_missing();
	test_hostile_text();
	test_hostile_bytes();
	sw_store_free(repo.store);
	scratch_remove(dir);
	return tap_done();
}
