/*
 * "tell ROWS [indexes|system]": digests as JSON, a line each, on standard input (t_wal_digest list); what was done, a
 * line each.  Without arguments: unit tests, with digests made by hand.
 */
#include "catalog/deeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "base/buf.h"
#include "base/json.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALL_KINDS 127
#define LABEL "20261120T113831Z"

static char dir[4096];
static struct sw_repository repo;

static const char *
kind_name(enum sw_deed_kind kind)
{
	switch (kind) {
	case SW_DEED_DROPPED:
		return "dropped";
	case SW_DEED_TRUNCATED:
		return "truncated";
	case SW_DEED_REWRITTEN:
		return "rewritten";
	case SW_DEED_DROPPED_OR_TRUNCATED:
		return "dropped-or-truncated";
	case SW_DEED_MASS_CHANGE:
		return "changed";
	case SW_DEED_DATABASE_DROPPED:
		return "database";
	case SW_DEED_TABLESPACE_DROPPED:
		return "tablespace";
	}
	return "?";
}

/* "dropped public.t1 5/16384 r file=16390 xid 731"; ctx: a struct sw_buf. */
static sw_rc
print_deed(void *ctx, const struct sw_deed *d, struct sw_error *err)
{
	sw_rc rc = sw_buf_printf(ctx, err, "%s %s.%s %u/%u %c", kind_name(d->kind), d->schema_name != NULL ? d->schema_name : "?",
		d->relation_name != NULL ? d->relation_name : "?", d->database, d->relation,
		d->relkind != 0 ? d->relkind : '?');

	if (rc == SW_OK && d->kind == SW_DEED_DATABASE_DROPPED)
		rc = sw_buf_printf(ctx, err, " %s", d->database_name != NULL ? d->database_name : "?");
	if (rc == SW_OK && d->filenode != 0)
		rc = sw_buf_printf(ctx, err, " file=%u", d->filenode);
	if (rc == SW_OK && d->kind == SW_DEED_MASS_CHANGE)
		rc = sw_buf_printf(ctx, err, " updates=%" PRIu64 " deletes=%" PRIu64, d->updates, d->deletes);
	if (rc == SW_OK && d->by_lsn)
		rc = sw_buf_printf(ctx, err, " lsn %" PRIX64, d->target_lsn);
	else if (rc == SW_OK)
		rc = sw_buf_printf(ctx, err, " xid %" PRIu64, d->xid);
	if (rc == SW_OK && d->former_name != NULL)
		rc = sw_buf_printf(ctx, err, " was %s", d->former_name);
	if (rc == SW_OK && (d->name_unsure || d->name_before_gap))
		rc = sw_buf_printf(ctx, err, " %s", d->name_unsure ? "unsure" : "gap");
	return rc == SW_OK ? sw_buf_printf(ctx, err, "%s%s\n", d->prepared ? " prepared" : "", d->cut ? " cut" : "") : rc;
}

static struct sw_deeds *
new_deeds(struct sw_buf *out, uint64_t changes_min, bool indexes, bool system)
{
	struct sw_deeds_params params = {.kinds = ALL_KINDS, .changes_min = changes_min, .indexes = indexes,
		.system = system, .each = print_deed, .ctx = out};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds = NULL;

	if (sw_deeds_new(&params, &deeds, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return deeds;
}

/* --- telling ------------------------------------------------------------------------------- */

static int
tell(int argc, char **argv)
{
	SW_AUTO_BUF out;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	sw_rc rc = SW_OK;

	sw_buf_init(&out, (size_t)64 << 20);
	deeds = new_deeds(&out, strtoull(argv[2], NULL, 10), argc > 3 && strcmp(argv[3], "indexes") == 0,
		argc > 3 && strcmp(argv[3], "system") == 0);
	while (rc == SW_OK && (len = getline(&line, &room, stdin)) > 0) {
		json_t *json = json_loadb(line, (size_t)len, 0, NULL);
		struct sw_wal_digest digest;

		rc = sw_wal_digest_parse(json, &digest, &err);
		json_decref(json);
		if (rc != SW_OK)
			break;
		rc = sw_deeds_feed(deeds, &digest, digest.last_timeline, 0, UINT64_MAX, &err);
		sw_wal_digest_release(&digest);
	}
	free(line);
	sw_deeds_free(deeds);
	if (rc != SW_OK)
		fprintf(stderr, "%s\n", err.text);
	else
		fputs(out.len == 0 ? "" : (const char *)out.data, stdout);
	return rc == SW_OK ? 0 : 1;
}

/* --- names ---------------------------------------------------------------------------------- */

/* JSON without the backslashes: ' for ". */
static char *
json_of(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	return copy;
}

#define HEADER "{'seawall':'relations','version':1,'lsn':'0/1','timeline':1,'time':'2026-11-20T11:38:31.000001Z'}\n" \
	"{'type':'tablespace','oid':17000,'name':'fast'}\n"
#define DATABASE(oid, name) "{'type':'database','oid':" #oid ",'tablespace':1663,'name':'" name "'}\n" \
	"{'type':'schema','database':" #oid ",'oid':2200,'name':'public'}\n"
#define RELATION(db, oid, schema, owner, file, kind, name, rows, bytes) "{'type':'relation','database':" #db ",'oid':" #oid \
	",'schema':" #schema ",'owner':" #owner ",'filenode':" #file ",'tablespace':1663,'kind':'" kind "','name':'" name \
	"','rows':" #rows ",'bytes':" #bytes "}\n"

/* Database 5: t (with a TOAST table and an index), u, m, sequence s, view v, partitioned p with p1; files not all called like OIDs. */
#define NAMES HEADER DATABASE(5, "shop") \
	RELATION(5, 1259, 11, 0, 1259, "r", "pg_class", 400, 100000) \
	RELATION(5, 16384, 2200, 0, 16384, "r", "t", 1000, 65536) \
	RELATION(5, 16387, 99, 16384, 16387, "t", "pg_toast_16384", 0, 0) \
	RELATION(5, 16388, 99, 16387, 16388, "i", "pg_toast_16384_index", 0, 0) \
	RELATION(5, 16389, 2200, 16384, 16389, "i", "t_pkey", 0, 0) \
	RELATION(5, 16391, 2200, 0, 16600, "r", "u", 50, 8192) \
	RELATION(5, 16394, 2200, 16391, 16394, "i", "u_a", 0, 0) \
	RELATION(5, 16396, 2200, 0, 16396, "m", "m", 10, 8192) \
	RELATION(5, 16399, 99, 16396, 16399, "t", "pg_toast_16396", 0, 0) \
	RELATION(5, 16400, 99, 16399, 16400, "i", "pg_toast_16396_index", 0, 0) \
	"{'type':'relation','database':5,'oid':16402,'schema':2200,'owner':0,'filenode':0,'tablespace':0,'kind':'v'," \
	"'name':'v','rows':-1,'bytes':0}\n" \
	RELATION(5, 16406, 2200, 0, 16406, "S", "s", 1, 8192) \
	"{'type':'relation','database':5,'oid':16407,'schema':2200,'owner':0,'filenode':0,'tablespace':0,'kind':'p'," \
	"'name':'p','rows':-1,'bytes':0}\n" \
	RELATION(5, 16410, 2200, 0, 16410, "r", "p1", 7, 8192) \
	DATABASE(6, "other") RELATION(6, 16384, 2200, 0, 16384, "r", "far", 3, 8192)

static void
put_names(const char *text)
{
	SW_AUTO_FREE char *json = json_of(text);
	size_t room = ZSTD_compressBound(strlen(json));
	SW_AUTO_FREE uint8_t *frame = malloc(room);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(ctx, frame, room, json, strlen(json));
	ZSTD_freeCCtx(ctx);
	scratch_file(dir, "main/1/backup/" LABEL "/relations.zst", frame, n);
}

/* --- digests ---------------------------------------------------------------------------------- */

#define TIME "'2026-11-20T11:38:31.000000Z'"
/* A transaction that ends here, or one that goes on. */
#define ACT(xid, lsn, rest) "{'xid':" #xid ",'lsn':'" lsn "','time':" TIME ",'first':'0/10'," rest "}"
#define OPEN(xid, first, rest) "{'xid':" #xid ",'first':'" first "'," rest "}"
#define BORN(oid, file, kind, name) "[5," #oid ",2200," #file ",0,'" kind "','" name "']"
#define F(file) "[1663,5," #file "]"

/* A digest from its acts and, behind '|', what else it has. */
static sw_rc
feed(struct sw_deeds *deeds, unsigned major, const char *text, sw_lsn from, sw_lsn to, struct sw_error *err)
{
	const char *bar = strchr(text, '|');
	int acts_len = bar == NULL ? (int)strlen(text) : (int)(bar - text);
	SW_AUTO_FREE char *json = NULL;
	struct sw_wal_digest digest;
	SW_AUTO_BUF whole;
	json_error_t where;
	json_t *value;
	sw_rc rc;

	sw_buf_init(&whole, 1 << 20);
	rc = sw_buf_printf(&whole, err, "{'verdict':'complete','start':'0/1','valid_to':'0/2000000','major':%u,"
		"'first_timeline':1,'last_timeline':1,'xid_full':true,'acts':[%.*s]%s}", major, acts_len, text,
		bar == NULL ? "" : bar + 1);
	json = json_of((const char *)whole.data);
	value = json_loads(json, 0, &where);
	if (value == NULL) {
		tap_note("%s: %s", where.text, json);
		return SW_BUG;
	}
	if (rc == SW_OK)
		rc = sw_wal_digest_parse(value, &digest, err);
	json_decref(value);
	if (rc != SW_OK)
		return rc;
	rc = sw_deeds_feed(deeds, &digest, 1, from, to, err);
	sw_wal_digest_release(&digest);
	return rc;
}

struct example {
	const char *name;
	unsigned major;
	const char *digests[4];
	const char *want;
	bool indexes, system, nameless;
};

static void
check(const struct example *e)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds;
	SW_AUTO_BUF out;
	sw_rc rc = SW_OK;

	sw_buf_init(&out, 1 << 20);
	deeds = new_deeds(&out, 100, e->indexes, e->system);
	if (!e->nameless)
		rc = sw_deeds_learn(deeds, &repo, LABEL, false, &err);
	for (size_t i = 0; rc == SW_OK && i < COUNT(e->digests) && e->digests[i] != NULL; i++)
		rc = feed(deeds, e->major != 0 ? e->major : 17, e->digests[i], 0, UINT64_MAX, &err);
	if (rc != SW_OK)
		tap_ok(false, "%s: %s", e->name, err.text);
	else
		tap_is(out.len == 0 ? "" : (const char *)out.data, e->want, "%s", e->name);
	sw_deeds_free(deeds);
}

/* COMMIT lists files the other way round: t's index, TOAST index, TOAST table, t. */
#define T_GONE "'dropped':[" F(16388) "," F(16389) "," F(16387) "," F(16384) "]"
#define T_OIDS "'dropped_oids':[[5,16389],[5,16388],[5,16387],[5,16384]]"
#define T_MADE "'created':[" F(16700) "," F(16701) "," F(16702) "," F(16703) "]"
#define T_TRANSIENT "'born':[" BORN(16710, 16710, "r", "pg_temp_16384") "," \
	"[5,16713,99,16713,0,'t','pg_toast_16710'],[5,16714,99,16714,0,'i','pg_toast_16710_index']]"
/* CLUSTER: heap, TOAST table, its index, then each index again; dropped the other way round */
#define T_REWRITTEN T_TRANSIENT ",'created':[" F(16710) "," F(16713) "," F(16714) "," F(16715) "]," \
	"'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "],'class_deletes':3"

static const struct example examples[] = {
	{"nothing", 17, {""}, "", false, false, false},
	{"a table is dropped", 17, {ACT(700, "0/100", T_GONE "," T_OIDS)},
		"dropped public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"... with what belongs to it, if asked for", 17, {ACT(700, "0/100", T_GONE "," T_OIDS)},
		"dropped public.t_pkey 5/16389 i file=16389 xid 700\n"
		"dropped pg_toast.pg_toast_16384_index 5/16388 i file=16388 xid 700\n"
		"dropped pg_toast.pg_toast_16384 5/16387 t file=16387 xid 700\n"
		"dropped public.t 5/16384 r file=16384 xid 700\n", true, false, false},
	{"a table is dropped, 14", 14, {ACT(700, "0/100", T_GONE ",'class_deletes':4")},
		"dropped public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"... whose rows of pg_class nobody saw", 14, {ACT(700, "0/100", T_GONE)},
		"dropped public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a table is truncated", 17, {ACT(700, "0/100", T_GONE "," T_MADE)},
		"truncated public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a table is truncated, 14", 14, {ACT(700, "0/100", T_GONE "," T_MADE ",'class_updates':4")},
		"truncated public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"... and dropped later: its new files are known", 14, {ACT(700, "0/100", T_GONE "," T_MADE),
		ACT(701, "0/200", "'class_deletes':4,'dropped':[" F(16703) "," F(16702) "," F(16701) "," F(16700) "]")},
		"truncated public.t 5/16384 r file=16384 xid 700\ndropped public.t 5/16384 r file=16700 xid 701\n",
		false, false, false},
	{"a table is rewritten", 17, {ACT(700, "0/100", T_REWRITTEN)},
		"rewritten public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a table is rewritten, 14", 14, {ACT(700, "0/100", T_REWRITTEN)},
		"rewritten public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"... and dropped later: its new files are known", 14, {ACT(700, "0/100", T_REWRITTEN), ACT(701, "0/200",
		"'class_deletes':4,'dropped':[" F(16715) "," F(16714) "," F(16713) "," F(16710) "]")},
		"rewritten public.t 5/16384 r file=16384 xid 700\ndropped public.t 5/16384 r file=16710 xid 701\n",
		false, false, false},
	{"a table is rewritten, then truncated, at once", 17, {ACT(700, "0/100", T_TRANSIENT ",'created':["
		F(16720) "," F(16721) "," F(16722) "," F(16723) "],'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "]")},
		"truncated public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a table is truncated, then rewritten, at once", 17, {ACT(700, "0/100", T_TRANSIENT ",'created':["
		F(16710) "," F(16713) "," F(16714) "," F(16715) "],'dropped':[" F(16388) "," F(16389) "," F(16387) "," F(16384) "]")},
		"truncated public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a table is rewritten, whose transient's birth nobody saw", 17, {ACT(700, "0/100", "'created':[" F(16710) "," F(16713) ","
		F(16714) "," F(16715) "],'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "],"
		"'dropped_oids':[[5,16714],[5,16713],[5,16710]]"),
		ACT(701, "0/200", "'created':[" F(16720) "],'dropped':[" F(16710) "],'class_updates':1")},
		"rewritten public.t 5/16384 r file=16384 xid 700\ntruncated public.t 5/16384 r file=16710 xid 701\n", false, false, false},
	{"... 14", 14, {ACT(700, "0/100", "'created':[" F(16710) "," F(16713) "," F(16714) "," F(16715) "],'dropped':["
		F(16384) "," F(16387) "," F(16388) "," F(16389) "],'touched':[[5,16384],[5,16387],[5,16710],[5,16713],[5,16714]]")},
		"rewritten public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"a materialized view is refreshed: its TOAST table goes", 17, {ACT(700, "0/100",
		"'born':[" BORN(16710, 16710, "r", "pg_temp_16396") ",[5,16713,99,16713,0,'t','pg_toast_16710'],"
		"[5,16714,99,16714,0,'i','pg_toast_16710_index']],'created':[" F(16710) "," F(16713) "," F(16714) "],"
		"'dropped':[" F(16396) "," F(16399) "," F(16400) "],'dropped_oids':[[5,16400],[5,16399]]")},
		"rewritten public.m 5/16396 m file=16396 xid 700\n", true, false, false},
	{"an index is rebuilt", 17, {ACT(700, "0/100", "'created':[" F(16700) "],'dropped':[" F(16389) "]")},
		"", false, false, false},
	{"... told if asked for", 17, {ACT(700, "0/100", "'created':[" F(16700) "],'dropped':[" F(16389) "]")},
		"rewritten public.t_pkey 5/16389 i file=16389 xid 700\n", true, false, false},
	{"an index is dropped", 14, {ACT(700, "0/100", "'dropped':[" F(16389) "],'class_deletes':1")}, "", false, false, false},
	{"a sequence is restarted", 17, {ACT(700, "0/100", "'created':[" F(16700) "],'dropped':[" F(16406) "]")},
		"", false, false, false},
	{"a table moves to a tablespace", 17, {ACT(700, "0/100", "'created':[[17000,5,16700]],'dropped':[" F(16600) "]")},
		"rewritten public.u 5/16391 r file=16600 xid 700\n", false, false, false},
	{"... and another one is made with its index", 17, {ACT(700, "0/100", "'born':[" BORN(16800, 16800, "r", "new")
		"],'created':[" F(16800) ",[17000,5,16700]],'dropped':[" F(16600) "]")},
		"rewritten public.u 5/16391 r file=16600 xid 700\n", false, false, false},
	{"... and is dropped from there", 17, {ACT(700, "0/100", "'created':[[17000,5,16700]],'dropped':[" F(16600) "]"),
		ACT(701, "0/200", "'dropped':[[17000,5,16700]," F(16394) "],'dropped_oids':[[5,16394],[5,16391]]")},
		"rewritten public.u 5/16391 r file=16600 xid 700\ndropped public.u 5/16391 r file=16700 xid 701\n",
		false, false, false},
	{"one table is dropped, another truncated", 17, {ACT(700, "0/100", T_OIDS ",'created':[" F(16700) "," F(16701)
		"],'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "," F(16394) "," F(16600) "]")},
		"dropped public.t 5/16384 r file=16384 xid 700\ntruncated public.u 5/16391 r file=16600 xid 700\n",
		false, false, false},
	{"... 14: counts tell", 14, {ACT(700, "0/100", "'class_deletes':4,'created':[" F(16700) "," F(16701)
		"],'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "," F(16394) "," F(16600) "]")},
		"dropped public.t 5/16384 r file=16384 xid 700\ntruncated public.u 5/16391 r file=16600 xid 700\n",
		false, false, false},
	{"... 14: counts do not tell", 14, {ACT(700, "0/100", "'class_deletes':1,'created':[" F(16700)
		"],'dropped':[" F(16410) "," F(16396) "]")},
		"dropped-or-truncated public.m 5/16396 m file=16396 xid 700\n"
		"dropped-or-truncated public.p1 5/16410 r file=16410 xid 700\n", false, false, false},
	{"... 14: a rewritten table's index has a new file", 14, {ACT(700, "0/100", "'class_deletes':2,'born':["
		BORN(16710, 16710, "r", "pg_temp_16391") "],'created':[" F(16710) "," F(16711) "],'dropped':[" F(16410) ","
		F(16600) "," F(16394) "]")},
		"dropped public.p1 5/16410 r file=16410 xid 700\nrewritten public.u 5/16391 r file=16600 xid 700\n", false, false, false},
	{"tables truncated, one of them twice: each new file is followed", 17, {
		ACT(700, "0/100", "'created':[" F(16700) "," F(16701) "," F(16702) "],'dropped':[" F(16700) "," F(16410) "," F(16384) "]"),
		ACT(701, "0/200", "'created':[" F(16710) "],'dropped':[" F(16702) "]"),
		ACT(702, "0/300", "'created':[" F(16711) "],'dropped':[" F(16701) "]")},
		"truncated public.t 5/16384 r file=16384 xid 700\ntruncated public.p1 5/16410 r file=16410 xid 700\n"
		"truncated public.t 5/16384 r file=16702 xid 701\ntruncated public.p1 5/16410 r file=16701 xid 702\n",
		false, false, false},
	{"14: a temporary table goes, another is truncated", 14, {ACT(700, "0/100", "'class_deletes':3,"
		"'created':[" F(16700) "],'dropped':[" F(16410) "]")},
		"truncated public.p1 5/16410 r file=16410 xid 700\n", false, false, false},
	{"a partitioned table, its partition and a view", 17, {ACT(700, "0/100", "'dropped':[" F(16410)
		"],'dropped_oids':[[5,16410],[5,16407],[5,16402]]")},
		"dropped public.p1 5/16410 r file=16410 xid 700\ndropped public.p 5/16407 p xid 700\n"
		"dropped public.v 5/16402 v xid 700\n", false, false, false},
	{"relations that nobody knows", 17, {ACT(700, "0/100", "'dropped':[" F(19004) "," F(19000)
		"],'dropped_oids':[[5,19004],[5,19000]]")},
		"dropped ?.? 5/19004 ? file=19004 xid 700\ndropped ?.? 5/19000 ? file=19000 xid 700\n", false, false, false},
	{"... whose files have other numbers", 17, {ACT(700, "0/100", "'dropped':[" F(19104) "],'dropped_oids':[[5,19000]]")},
		"dropped ?.? 5/19000 ? xid 700\n", false, false, false},
	{"temporary tables have no file there", 17, {ACT(700, "0/100", "'dropped':[" F(16410)
		"],'dropped_oids':[[5,16410],[5,19004],[5,19000]]")},
		"dropped public.p1 5/16410 r file=16410 xid 700\n", false, false, false},
	{"a file that nobody knows is replaced", 17, {ACT(700, "0/100", "'created':[" F(19005) "],'dropped':[" F(19000) "]")},
		"truncated ?.? 5/0 ? file=19000 xid 700\n", false, false, false},
	{"... of a table that is known: an index", 17, {ACT(700, "0/100", "'created':[" F(19005) "],'dropped':[" F(19000)
		"],'touched':[[5,16384],[5,18999]]")}, "", false, false, false},
	{"... beside a table's own", 17, {ACT(700, "0/100", "'created':[" F(19004) "," F(19005) "],'dropped':[" F(19000) "," F(16600)
		"]")}, "truncated public.u 5/16391 r file=16600 xid 700\n", false, false, false},
	{"... and followed by its OID", 17, {ACT(700, "0/100", "'created':[" F(19005) "],'dropped':[" F(19000)
		"],'touched':[[5,19000]]"), ACT(701, "0/200", "'created':[" F(19006) "],'dropped':[" F(19005) "]")},
		"truncated ?.? 5/19000 ? file=19000 xid 700\ntruncated ?.? 5/19000 ? file=19005 xid 701\n", false, false, false},
	{"... dropped, 14", 14, {ACT(700, "0/100", "'dropped':[" F(19000) "],'touched':[[5,19000]],'class_deletes':1")},
		"dropped ?.? 5/19000 ? file=19000 xid 700\n", false, false, false},
	{"... and its relation is born in the WAL first", 17, {
		ACT(699, "0/50", "'born':[" BORN(18990, 18990, "r", "young") "],'created':[" F(18990) "]"),
		ACT(700, "0/100", "'created':[" F(19000) "],'dropped':[" F(18990) "]"),
		ACT(701, "0/200", "'created':[" F(19005) "],'dropped':[" F(19000) "]")},
		"truncated public.young 5/18990 r file=18990 xid 700\ntruncated public.young 5/18990 r file=19000 xid 701\n",
		false, false, false},
	{"made and dropped by one transaction", 17, {ACT(700, "0/100", "'born':[" BORN(18990, 18990, "r", "young")
		"],'created':[" F(18990) "],'dropped':[" F(18990) "],'dropped_oids':[[5,18990]]")}, "", false, false, false},
	{"... whose birth nobody saw", 17, {ACT(700, "0/100", "'created':[" F(18990) "],'dropped':[" F(18990) "," F(16410)
		"],'dropped_oids':[[5,18990],[5,16410]]")}, "dropped public.p1 5/16410 r file=16410 xid 700\n", false, false, false},
	{"... 14", 14, {ACT(700, "0/100", "'born':[" BORN(18990, 18990, "r", "young")
		"],'created':[" F(18990) "],'dropped':[" F(18990) "," F(16410) "],'class_deletes':2")},
		"dropped public.p1 5/16410 r file=16410 xid 700\n", false, false, false},
	{"TRUNCATE by name, wal_level = logical", 17, {ACT(700, "0/100", "'truncated':[[5,16391]],'created':[" F(16700) "," F(16701)
		"],'dropped':[" F(16394) "," F(16600) "]")}, "truncated public.u 5/16391 r file=16600 xid 700\n", false, false, false},
	{"a table whose file is not known, named by its cache's invalidation", 17, {
		ACT(700, "0/100", "'dropped':[" F(16394) "," F(16600) "]"),
		ACT(701, "0/200", "'dropped':[" F(16801) "," F(16800) "],'touched':[[5,16391],[5,16394]]")},
		"truncated public.u 5/16391 r file=16600 xid 700\ntruncated public.u 5/16391 r file=16800 xid 701\n",
		false, false, false},
	{"a catalog is rewritten", 17, {ACT(700, "0/100", "'born':[[5,16900,11,0,0,'r','pg_temp_1259']],'created':[" F(16900)
		"],'dropped':[" F(1259) "]")}, "", false, false, false},
	{"... told if asked for", 17, {ACT(700, "0/100", "'born':[[5,16900,11,0,0,'r','pg_temp_1259']],'created':[" F(16900)
		"],'dropped':[" F(1259) "]")}, "rewritten pg_catalog.pg_class 5/1259 r file=1259 xid 700\n", false, true, false},
	{"a database is dropped", 17, {"|,'invalidated':[{'oid':6,'lsn':'0/80','name':'renamed'}]",
		ACT(700, "0/100", "'databases':[[6,'0/90']]")}, "database ?.? 6/0 ? renamed lsn 80\n", false, false, false},
	{"... in vain at first: nothing helps but the first time", 17, {"|,'invalidated':[{'oid':6,'lsn':'0/80','name':'other'}]",
		ACT(700, "0/200", "'databases':[[6,'0/190']]") "|,'invalidated':[{'oid':6,'lsn':'0/180','name':'other'}]"},
		"database ?.? 6/0 ? other lsn 80\n", false, false, false},
	{"... by a server that does not invalidate", 14, {ACT(700, "0/100", "'databases':[[6,'0/90']]")},
		"database ?.? 6/0 ? other lsn 90\n", false, false, false},
	{"... made, dropped and made again in one digest", 17, {
		ACT(700, "0/100", "'born':[[0,7,0,0,1663,'D','seven']]") "," ACT(701, "0/200", "'databases':[[7,'0/190']]") ","
		ACT(702, "0/300", "'born':[[0,8,0,0,1663,'D','seven']]") "|,'invalidated':[{'oid':7,'lsn':'0/180','name':'seven'}]"},
		"database ?.? 7/0 ? seven lsn 180\n", false, false, false},
	{"a tablespace is dropped", 17, {ACT(700, "0/100", "'tablespaces':[[17000,'0/90']]")},
		"tablespace ?.fast 0/17000 ? lsn 90\n", false, false, false},
	{"rows", 17, {ACT(700, "0/100", "'rows':[[1663,5,16600,60,60,'0/50'],[1663,5,16384,0,99,'0/60'],[1663,5,1259,0,500,'0/70'],"
		"[1663,5,16387,0,500,'0/70'],[1663,5,19000,0,100,'0/70']]")},
		"changed ?.? 5/0 ? file=19000 updates=0 deletes=100 xid 700\n"
		"changed public.u 5/16391 r file=16600 updates=60 deletes=60 xid 700\n", false, false, false},
	{"... in parts", 17, {OPEN(700, "0/20", "'rows':[[1663,5,16600,0,60,'0/20']]"),
		OPEN(701, "0/40", "'rows':[[1663,5,16600,5,0,'0/40']]"),
		ACT(700, "0/100", "'subxids':[701],'rows':[[1663,5,16600,0,40,'0/50']]")},
		"changed public.u 5/16391 r file=16600 updates=5 deletes=100 xid 700\n", false, false, false},
	{"... whose COMMIT has nothing else to tell", 17, {OPEN(700, "0/20", "'rows':[[1663,5,16600,0,160,'0/20']]"),
		"|,'ends':[[700,'0/300'," TIME "]]"}, "changed public.u 5/16391 r file=16600 updates=0 deletes=160 xid 700\n",
		false, false, false},
	{"... of a subtransaction", 17, {OPEN(701, "0/20", "'rows':[[1663,5,16600,0,160,'0/20']]"),
		"|,'ends':[[700,'0/300'," TIME ",true,[701]]]"},
		"changed public.u 5/16391 r file=16600 updates=0 deletes=160 xid 700\n", false, false, false},
	{"... aborted", 17, {OPEN(700, "0/20", "'rows':[[1663,5,16600,0,160,'0/20']]"),
		"|,'ends':[[700,'0/300'," TIME ",false]]", ACT(700, "0/400", "'rows':[[1663,5,16384,0,1,'0/50']]")}, "",
		false, false, false},
	{"... deleted, and the table dropped", 17, {ACT(700, "0/100", "'rows':[[1663,5,16384,0,1000,'0/50']]," T_GONE "," T_OIDS)},
		"dropped public.t 5/16384 r file=16384 xid 700\nchanged public.t 5/16384 r file=16384 updates=0 deletes=1000 xid 700\n",
		false, false, false},
	{"... of a table that the transaction made", 17, {ACT(700, "0/100", "'born':[" BORN(18990, 18990, "r", "young")
		"],'created':[" F(18990) "],'rows':[[1663,5,18990,1000,0,'0/50']]")}, "", false, false, false},
	{"... of a table that it rewrote", 17, {ACT(700, "0/100", T_REWRITTEN ",'rows':[[1663,5,16710,1000,0,'0/50']]")},
		"rewritten public.t 5/16384 r file=16384 xid 700\n"
		"changed public.t 5/16384 r file=16710 updates=1000 deletes=0 xid 700\n", false, false, false},
	{"a prepared transaction", 17, {OPEN(700, "0/20", T_TRANSIENT ",'created':[" F(16710) "," F(16713) "," F(16714) ","
		F(16715) "]"), ACT(700, "0/300", "'prepared':true,'dropped':[" F(16384) "," F(16387) "," F(16388) "," F(16389) "]")},
		"rewritten public.t 5/16384 r file=16384 xid 700 prepared\n", false, false, false},
	{"more was done than is kept", 17, {ACT(700, "0/100", "'cut':true," T_GONE "," T_OIDS)},
		"dropped public.t 5/16384 r file=16384 xid 700 cut\n", false, false, false},
	{"more was dropped than is kept", 17, {ACT(700, "0/100", "'cut':true,'dropped':[" F(16410) "," F(16600)
		"],'dropped_oids':[[5,16391]]")},
		"dropped public.u 5/16391 r file=16600 xid 700 cut\ndropped-or-truncated public.p1 5/16410 r file=16410 xid 700 cut\n", false, false, false},
	{"in the order of COMMITs", 17, {ACT(701, "0/100", "'dropped':[" F(16410) "],'dropped_oids':[[5,16410]]") ","
		ACT(700, "0/200", T_GONE "," T_OIDS)},
		"dropped public.p1 5/16410 r file=16410 xid 701\ndropped public.t 5/16384 r file=16384 xid 700\n", false, false, false},
	{"no names: OIDs", 17, {ACT(700, "0/100", T_GONE "," T_OIDS)},
		"dropped ?.? 5/16389 ? file=16389 xid 700\ndropped ?.? 5/16388 ? file=16388 xid 700\n"
		"dropped ?.? 5/16387 ? file=16387 xid 700\ndropped ?.? 5/16384 ? file=16384 xid 700\n", false, false, true},
	{"no names: a table is rewritten", 17, {ACT(700, "0/100", T_REWRITTEN)}, "rewritten ?.? 5/16384 ? xid 700\n",
		false, false, true},
};

/* --- rows of catalogs that move ------------------------------------------------------------------ */

/* Database 5: rows of aa at (0,1), bb at (0,2), v at (0,3), in the file 1259; schema s at (0,9).  Told up to 0/1000. */
#define PLACED HEADER "{'type':'database','oid':5,'tablespace':1663,'name':'shop','encoding':'UTF8','file':1262,'place':[0,5]," \
	"'class_file':1259,'lsn':'0/1000'}\n" \
	"{'type':'schema','database':5,'oid':2200,'name':'public'}\n" \
	"{'type':'schema','database':5,'oid':17500,'name':'s','place':[0,9]}\n" \
	PLACED_RELATION(16384, 16384, "r", "aa", 1) PLACED_RELATION(16385, 16385, "r", "bb", 2) PLACED_RELATION(16386, 0, "v", "v", 3) \
	"{'type':'database','oid':7,'tablespace':1663,'name':'old','encoding':'LATIN1','file':1262,'place':[0,7],'class_file':1259,'lsn':'0/1'}\n" \
	"{'type':'relation','database':7,'oid':16384,'schema':2200,'owner':0,'filenode':16384,'tablespace':1663,'kind':'r','name':'\u00e9x','rows':1,'bytes':1,'place':[0,1]}\n"
#define PLACED_RELATION(oid, file, kind, name, offset) "{'type':'relation','database':5,'oid':" #oid ",'schema':2200,'owner':0," \
	"'filenode':" #file ",'tablespace':1663,'kind':'" kind "','name':'" name "','rows':9,'bytes':8192,'place':[0," #offset "]}\n"
/* A row goes from (0,from) to (0,to). */
#define MOVE(from, to, lsn, rest) "[1259,5,1259,0," #from ",0," #to ",'0/" lsn "'" rest "]"
#define MOVED(xid, lsn, moves) ACT(xid, "0/" lsn, "'moved':[" moves "]")
#define DROP_AA ACT(799, "0/90000", "'dropped':[" F(16384) "],'dropped_oids':[[5,16384]]")
#define DROP_BOTH DROP_AA "," ACT(800, "0/90010", "'dropped':[" F(16385) "],'dropped_oids':[[5,16385]]")
#define AA(name, more) "dropped public." name " 5/16384 r file=16384 xid 799" more "\n"
#define BB(name, more) "dropped public." name " 5/16385 r file=16385 xid 800" more "\n"

static const struct example moves[] = {
	{"a row moves, and its name is as it was", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", "")), DROP_AA}, AA("aa", ""), false, false, false},
	{"two bytes of a name", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",5,'6364'")), DROP_AA}, AA("acd", " was aa"), false, false, false},
	{"a shorter name", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",5,'00'")), DROP_AA}, AA("a", " was aa"), false, false, false},
	{"a whole head", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",16384,17500,'zz'")), DROP_AA},
		"dropped s.zz 5/16384 r file=16384 xid 799 was aa\n", false, false, false},
	{"a schema's OID, in part", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",68,'5c44'")), DROP_AA},
		"dropped s.aa 5/16384 r file=16384 xid 799\n", false, false, false},
	{"two names change places", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",4,'7878'") "," MOVE(2, 5, "1910", ",4,'6161'") ","
		MOVE(4, 6, "1920", ",4,'6262'")), DROP_BOTH}, AA("bb", " was aa") BB("aa", " was bb"), false, false, false},
	{"a place that is used again", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",4,'78'")) "," MOVED(701, "3000", MOVE(2, 1, "2900", ",4,'79'")) ","
		MOVED(702, "4000", MOVE(1, 2, "3900", ",4,'7a'")), DROP_BOTH}, AA("xa", " was aa") BB("zb", " was bb"), false, false, false},
	{"a transaction that does not end", 17, {OPEN(700, "0/1900", "'moved':[" MOVE(1, 4, "1900", ",4,'78'") "]"), DROP_AA}, AA("aa", ""), false, false, false},
	{"... and one that ends later, with a subtransaction", 17, {OPEN(700, "0/1900", "'moved':[" MOVE(4, 6, "1910", ",5,'79'") "]"),
		OPEN(701, "0/1800", "'moved':[" MOVE(1, 4, "1800", ",4,'78'") "]"), "|,'ends':[[700,'0/2000'," TIME ",true,[701]]]", DROP_AA},
		AA("xy", " was aa"), false, false, false},
	{"... whose parts are told the other way round", 17, {OPEN(700, "0/1900", "'moved':[" MOVE(6, 7, "1920", ",6,'7a'") "]"),
		OPEN(701, "0/1800", "'moved':[" MOVE(4, 6, "1910", ",5,'79'") "]") "," OPEN(702, "0/1700", "'moved':[" MOVE(1, 4, "1800", ",4,'78'") "]"),
		"|,'ends':[[700,'0/2000'," TIME ",true,[701,702]]]", DROP_AA}, AA("xyz", " was aa"), false, false, false},
	{"a place that was left is nobody's", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", "")) "," MOVED(701, "3000", MOVE(1, 9, "2900", ",4,'78'")), DROP_AA},
		AA("aa", ""), false, false, false},
	{"... told twice", 17, {OPEN(700, "0/1900", "'moved':[" MOVE(1, 4, "1900", ",4,'78'") "]"), OPEN(700, "0/1900", "'moved':[" MOVE(1, 4, "1900", ",4,'78'") "]"),
		"|,'ends':[[700,'0/2000'," TIME "]]", DROP_AA}, AA("xa", " was aa"), false, false, false},
	{"renamed and dropped by one transaction", 17, {ACT(799, "0/90000", "'moved':[" MOVE(1, 4, "1900", ",4,'78'") "],'dropped':[" F(16384)
		"],'dropped_oids':[[5,16384]]")}, AA("aa", ""), false, false, false},
	{"what the backup's list has already", 17, {MOVED(700, "900", MOVE(8, 1, "800", ",4,'6161'")) "," MOVED(701, "910", MOVE(1, 2, "810", ",4,'78'")), DROP_BOTH},
		AA("aa", "") BB("bb", ""), false, false, false},
	{"a row that is not seen", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",false")), DROP_BOTH}, AA("aa", " unsure") BB("bb", ""), false, false, false},
	{"... and then is, whole", 17, {MOVED(700, "2000", MOVE(1, 4, "1900", ",false")) "," MOVED(701, "3000", MOVE(4, 1, "2900", ",16384,2200,'cc'")), DROP_AA},
		AA("cc", " was aa"), false, false, false},
	{"a place that nobody knows: the relation that was touched", 17, {ACT(700, "0/2000", "'touched':[[5,16384]],'moved':[" MOVE(30, 31, "1900", ",4,'78'") "]"), DROP_BOTH},
		AA("xa", " was aa") BB("bb", ""), false, false, false},
	{"... several were", 17, {ACT(700, "0/2000", "'touched':[[5,16384],[5,16385]],'moved':[" MOVE(30, 31, "1900", ",4,'78'") "]"), DROP_BOTH},
		AA("aa", " unsure") BB("bb", " unsure"), false, false, false},
	{"... one of which is known", 17, {ACT(700, "0/2000", "'touched':[[5,16384],[5,16385]],'moved':[" MOVE(30, 31, "1900", ",4,'78'") "," MOVE(2, 32, "1910", "") "]"), DROP_BOTH},
		AA("xa", " was aa") BB("bb", ""), false, false, false},
	{"... by its OID", 17, {MOVED(700, "2000", MOVE(30, 31, "1900", ",16384,2200,'cc'")) "," MOVED(701, "3000", MOVE(31, 32, "2900", ",4,'64'")), DROP_AA},
		AA("dc", " was aa"), false, false, false},
	{"... a temporary one, whose name nobody asks for", 17, {ACT(700, "0/2000", "'touched':[[5,19000]],'moved':[" MOVE(30, 31, "1900", ",4,'78'") "]"), DROP_BOTH},
		AA("aa", "") BB("bb", ""), false, false, false},
	{"a row of another file at the same place", 17, {ACT(700, "0/2000", "'moved':[[1259,5,17000,0,1,0,4,'0/1900',4,'78']]"), DROP_AA}, AA("aa", ""), false, false, false},
	{"more rows moved than are told: places", 17, {ACT(700, "0/2000", "'touched':[[5,16384]],'places_cut':true") "," MOVED(701, "3000", MOVE(1, 4, "2900", ",4,'78'")),
		DROP_BOTH}, AA("aa", "") BB("bb", ""), false, false, false},
	{"... and names", 17, {ACT(700, "0/2000", "'touched':[[5,16384]],'moved_cut':true,'places_cut':true"), DROP_BOTH}, AA("aa", " unsure") BB("bb", ""), false, false, false},
	{"born, and renamed by a later transaction", 17, {ACT(700, "0/2000", "'born':[[5,16900,2200,16900,0,'r','young',false,1259,0,40]],'created':[" F(16900) "]") ","
		MOVED(701, "3000", MOVE(40, 41, "2900", ",4,'5a'")), ACT(702, "0/4000", "'dropped':[" F(16900) "],'dropped_oids':[[5,16900]]")},
		"dropped public.Zoung 5/16900 r file=16900 xid 702\n", false, false, false},
	{"a schema is made, another is renamed", 17, {ACT(700, "0/2000", "'moved':[[2615,5,2615,0,0,0,12,'0/1900',17600,10,'fresh'],[2615,5,2615,0,9,0,13,'0/1910',4,'74']]") ","
		MOVED(701, "3000", MOVE(1, 4, "2900", ",16384,17600,'aa'") "," MOVE(2, 5, "2910", ",16385,17500,'bb'")), DROP_BOTH},
		"dropped fresh.aa 5/16384 r file=16384 xid 799\ndropped t.bb 5/16385 r file=16385 xid 800\n", false, false, false},
	{"a database is renamed", 17, {ACT(700, "0/2000", "'moved':[[1262,0,1262,0,5,0,8,'0/1900',4,'63']]") "," ACT(701, "0/3000", "'databases':[[5,'0/2900']]")},
		"database ?.? 5/0 ? chop lsn 2900\n", false, false, false},
	{"... which one is not known", 17, {ACT(700, "0/2000", "'moved':[[1262,0,1262,0,50,0,8,'0/1900',4,'63']]") "," ACT(701, "0/3000", "'databases':[[5,'0/2900']]")},
		"database ?.? 5/0 ? shop lsn 2900 unsure\n", false, false, false},
	{"a name that is not in UTF-8 there", 17, {ACT(700, "0/2000", "'moved':[[1259,7,1259,0,1,0,4,'0/1900',6,'79']]") ","
		ACT(701, "0/3000", "'dropped':[[1663,7,16384]],'dropped_oids':[[7,16384]]")},
		"dropped public.\xc3\xa9y 7/16384 r file=16384 xid 701 was \xc3\xa9x unsure\n", false, false, false},
	{"a view goes alone", 17, {ACT(700, "0/2000", "'dropped_oids':[[5,16386],[5,19000]]")}, "dropped public.v 5/16386 v xid 700\n", false, false, false},
	{"... 14", 14, {ACT(700, "0/2000", "'class_deletes':1,'moved':[" MOVE(3, 0, "1900", "") "]")}, "dropped public.v 5/16386 v xid 700\n", false, false, false},
	{"places that cannot be", 17, {ACT(700, "0/2000", "'moved':[[1259,5,1259,4294967295,65535,4294967295,65535,'0/1900',4,'78'],[9,9,9,0,1,0,2,'0/1910',71,'00'],"
		"[1262,0,1262,0,0,0,0,'0/1920',false]]"), DROP_AA}, AA("aa", ""), false, false, false},
};

/* --- lines that part --------------------------------------------------------------------------- */

static void
test_fork(void)
{
	/* the segment of the fork at 0/200: a prepared transaction is open there, another commits behind it on the parent */
	static const char parent[] = ACT(702, "0/300", T_GONE "," T_OIDS) "," OPEN(700, "0/20", "'rows':[[1663,5,16600,0,150,'0/20']]");
	static const char child[] = ACT(700, "0/280", "'prepared':true,'rows':[[1663,5,16600,0,150,'0/20']]");
	static const char later[] = ACT(703, "0/400", T_GONE "," T_OIDS);
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds, *fork = NULL;
	SW_AUTO_BUF out;
	sw_rc rc;

	sw_buf_init(&out, 1 << 20);
	deeds = new_deeds(&out, 100, false, false);
	rc = sw_deeds_learn(deeds, &repo, LABEL, false, &err);
	if (rc == SW_OK)
		rc = feed(deeds, 17, parent, 0, 0x200, &err);
	tap_is_int((long long)out.len, 0, "nothing behind the fork is told before it");
	if (rc == SW_OK)
		rc = sw_deeds_fork(deeds, &fork, &err);
	if (rc == SW_OK)
		rc = feed(deeds, 17, parent, 0x200, UINT64_MAX, &err);
	tap_is((const char *)out.data, "dropped public.t 5/16384 r file=16384 xid 702\n", "the parent goes on");
	sw_buf_reset(&out);
	if (rc == SW_OK)
		rc = feed(fork, 17, child, 0x200, UINT64_MAX, &err);
	if (rc == SW_OK)
		rc = feed(fork, 17, later, 0x200, UINT64_MAX, &err);
	tap_is((const char *)out.data, "changed public.u 5/16391 r file=16600 updates=0 deletes=150 xid 700 prepared\n"
		"dropped public.t 5/16384 r file=16384 xid 703\n",
		"the child ends what was prepared, counted once, and has the table that the parent dropped");
	tap_is(sw_rc_name(rc), "ok", "... without an error: %s", err.text);
	sw_deeds_free(deeds);
	sw_deeds_free(fork);
}

static void
test_gap(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds;
	SW_AUTO_BUF out;

	sw_buf_init(&out, 1 << 20);
	deeds = new_deeds(&out, 100, false, false);
	sw_deeds_learn(deeds, &repo, LABEL, false, &err);
	feed(deeds, 17, OPEN(700, "0/20", "'rows':[[1663,5,16600,0,150,'0/20']]"), 0, UINT64_MAX, &err);
	sw_deeds_gap(deeds);
	feed(deeds, 17, "|,'ends':[[700,'0/300'," TIME "]]", 0, UINT64_MAX, &err);
	feed(deeds, 17, ACT(701, "0/400", "'dropped':[" F(16410) "],'dropped_oids':[[5,16410]]"), 0, UINT64_MAX, &err);
	tap_is((const char *)out.data, "dropped public.p1 5/16410 r file=16410 xid 701 gap\n",
		"behind a gap nothing is open, and names are kept, but may be old");
	sw_deeds_free(deeds);
}

/* Names of a later backup: t has another file by then, and other rows. */
static void
test_later(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_deeds *deeds;
	SW_AUTO_BUF out;

	sw_buf_init(&out, 1 << 20);
	deeds = new_deeds(&out, 100, false, false);
	put_names(HEADER DATABASE(5, "shop") RELATION(5, 16384, 2200, 0, 16700, "r", "t", 1000, 65536));
	tap_is(sw_rc_name(sw_deeds_learn(deeds, &repo, LABEL, true, &err)), "ok", "a later backup's names");
	feed(deeds, 17, ACT(700, "0/100", "'created':[" F(16700) "],'dropped':[" F(16384) "]"), 0, UINT64_MAX, &err);
	feed(deeds, 17, ACT(701, "0/200", "'dropped':[" F(16700) "],'dropped_oids':[[5,16384]]"), 0, UINT64_MAX, &err);
	tap_is((const char *)out.data, "truncated public.t 5/16384 r file=16384 xid 700\n"
		"dropped public.t 5/16384 r file=16700 xid 701\n", "... name what was before it");
	tap_is(sw_rc_name(sw_deeds_learn(deeds, &repo, "20270101T000000Z", false, &err)), "ok", "a backup without names is none the worse");
	sw_deeds_free(deeds);
	put_names(NAMES);
}

/* Digests that tell of ever more open transactions. */
static void
test_many_open(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_rows rows = {{1663, 5, 16600}, 0, 150, 0};
	struct sw_wal_act act = {.rows = &rows, .rows_count = 1};
	struct sw_wal_digest digest = {.major = 17, .acts = &act, .act_count = 1, .ends_below = UINT64_MAX};
	struct sw_deeds *deeds;
	SW_AUTO_BUF out;
	sw_rc rc = SW_OK;

	sw_buf_init(&out, 1 << 20);
	deeds = new_deeds(&out, 100, false, false);
	for (uint64_t i = 0; rc == SW_OK && i < 20000; i++) {
		act.xid = 700 + i;
		act.first = rows.first = 100 + i;
		rc = sw_deeds_feed(deeds, &digest, 1, 0, UINT64_MAX, &err);
	}
	tap_is(sw_rc_name(rc), "ok", "20,000 open transactions: %s", err.text);
	feed(deeds, 17, "|,'ends':[[700,'0/100000'," TIME "],[20699,'0/100010'," TIME "]]", 0, UINT64_MAX, &err);
	tap_is(out.len == 0 ? "" : (const char *)out.data, "changed ?.? 5/0 ? file=16600 updates=0 deletes=150 xid 20699\n",
		"... the oldest are forgotten");
	sw_deeds_free(deeds);
}

int
main(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_STORE *store = NULL;

	if (argc >= 3 && strcmp(argv[1], "tell") == 0)
		return tell(argc, argv);
	scratch_make(dir);
	if (sw_posix_open(dir, &store, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	sw_repository_assume(store, "main", 1, 1 << 20, &repo);
	put_names(NAMES);
	for (size_t i = 0; i < COUNT(examples); i++)
		check(&examples[i]);
	put_names(PLACED);
	for (size_t i = 0; i < COUNT(moves); i++)
		check(&moves[i]);
	put_names(NAMES);
	test_fork();
	test_gap();
	test_later();
	test_many_open();
	scratch_remove(dir);
	return tap_done();
}
