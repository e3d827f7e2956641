/*
 * "list SEGMENT-SIZE NEXT-XID FILE...": the digest of each of these segments, which follow each other, and of the
 * records between them, as JSON, a line each (040_wal.t).
 * Without arguments: unit tests.
 */
#include "wal/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../tap.h"
#include "base/file.h"
#include "base/json.h"
#include "wal_maker.h"

#define MB (1024 * 1024)
#define ROOM ((size_t)16 * MB)

/* --- listing ------------------------------------------------------------------------------ */

static sw_rc
digest_bytes(const void *bytes, size_t len, const struct sw_wal_digester_params *params, struct sw_wal_digest *ret_digest,
	struct sw_error *err)
{
	struct sw_wal_digester *digester = NULL;
	sw_rc rc = sw_wal_digester_new(params, NULL, &digester, err);

	for (size_t at = 0; rc == SW_OK && at < len; at += 100000)
		rc = sw_stage_write(sw_wal_digester_stage(digester), (const uint8_t *)bytes + at,
			len - at < 100000 ? len - at : 100000, err);
	if (rc == SW_OK)
		rc = sw_stage_finish(sw_wal_digester_stage(digester), err);
	if (rc == SW_OK)
		rc = sw_wal_digester_take(digester, ret_digest, err);
	sw_wal_digester_free(digester);
	return rc;
}

static char *
json_text(const struct sw_wal_digest *digest, size_t room, bool fragments)
{
	json_t *json = sw_wal_digest_json(digest, room, fragments);
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	return text;
}

/* The text of what is read from the text; NULL: it cannot be read. */
static char *
again(const char *text, struct sw_error *err)
{
	json_t *json = json_loads(text, 0, NULL);
	struct sw_wal_digest digest;
	sw_rc rc = sw_wal_digest_parse(json, &digest, err);
	char *out = rc == SW_OK ? json_text(&digest, ROOM, true) : NULL;

	if (rc == SW_OK)
		sw_wal_digest_release(&digest);
	json_decref(json);
	return out;
}

static sw_rc
print_digest(const struct sw_wal_digest *digest, struct sw_error *err)
{
	char *text = json_text(digest, ROOM, true), *second = again(text, err);
	sw_rc rc = SW_OK;

	puts(text);
	if (second == NULL || strcmp(text, second) != 0)
		rc = sw_fail(err, SW_BUG, "what is read is not what was written: %s", err->text);
	free(text);
	free(second);
	return rc;
}

/* The record that lies across the borders of segments. */
static struct {
	struct sw_wal_fragment head, tails[40];
	size_t tail_count;
	bool open;
} between;

static sw_rc
print_between(const struct sw_wal_digest *d, uint64_t next_xid, struct sw_error *err)
{
	static const uint16_t magics[] = {0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};
	const struct sw_wal_fragment *tails[40];
	struct sw_wal_joint joint = {.head = &between.head, .tails = tails, .tail_count = between.tail_count,
		.segment_begin = d->start, .block_size = 8192, .format = sw_wal_format_find(magics[d->major - 14])};
	struct sw_wal_record record;
	struct sw_wal_digest digest;
	SW_AUTO_BUF bytes;
	sw_rc rc;

	sw_buf_init(&bytes, 16384);
	for (size_t i = 0; i < between.tail_count; i++)
		tails[i] = &between.tails[i];
	rc = sw_wal_fragment_join(&joint, &bytes, &record, err);
	if (rc == SW_OK)
		rc = sw_wal_digest_record(&record, 8192, next_xid, &digest, err);
	if (rc != SW_OK)
		return rc;
	rc = print_digest(&digest, err);
	sw_wal_digest_release(&digest);
	return rc;
}

static sw_rc
join(const struct sw_wal_digest *d, uint64_t next_xid, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	if (d->tail != NULL && between.open && between.tail_count < 40 && !d->tail_aborted) {
		between.tails[between.tail_count++] = *d->tail;
		if (d->tail->len < d->tail->whole_len)
			return SW_OK;
		rc = print_between(d, next_xid, err);
	}
	between.open = d->head != NULL;
	between.tail_count = 0;
	if (d->head != NULL)
		between.head = *d->head;
	return rc;
}

static sw_rc
list_one(const char *path, uint32_t size, uint64_t next_xid, struct sw_error *err)
{
	const char *slash = strrchr(path, '/');
	struct sw_wal_digester_params params = {.segment_size = size, .block_size = 8192, .next_xid = next_xid};
	struct sw_wal_digest digest;
	struct sw_wal_name name;
	SW_AUTO_BUF bytes;
	sw_rc rc;

	sw_buf_init(&bytes, 1);
	if (!sw_wal_name_parse(slash == NULL ? path : slash + 1, size, &name))
		return sw_fail(err, SW_CONFIG, "no segment");
	rc = sw_file_read(path, 1 << 30, &bytes, err);
	params.start = name.segment * size;
	params.timeline = name.timeline;
	if (rc == SW_OK)
		rc = digest_bytes(bytes.data, bytes.len, &params, &digest, err);
	if (rc != SW_OK)
		return rc;
	rc = print_digest(&digest, err);
	if (rc == SW_OK)
		rc = join(&digest, next_xid, err);
	sw_wal_digest_release(&digest);
	return rc;
}

static int
list(int argc, char **argv)
{
	uint32_t size = (uint32_t)strtoul(argv[2], NULL, 10);
	struct sw_error err = SW_ERROR_INIT;

	for (int i = 4; i < argc; i++)
		if (list_one(argv[i], size, strtoull(argv[3], NULL, 10), &err) != SW_OK) {
			fprintf(stderr, "%s: %s\n", argv[i], err.text);
			return 1;
		}
	return 0;
}

/* --- WAL made by hand ------------------------------------------------------------------------- */

static struct wal_maker wal;

static void
begin(unsigned segments)
{
	maker_init(&wal, 8192, MB, segments, 5 * MB);
}

/* Main data, behind blocks' headers and data that are in `blocks` already. */
struct content {
	uint8_t bytes[300000];
	size_t len;
};

static void
put(struct content *c, const void *data, size_t len)
{
	if (len > 0)
		memcpy(c->bytes + c->len, data, len);
	c->len += len;
}

static void
put_u32(struct content *c, uint32_t value)
{
	put(c, &value, 4);
}

static sw_lsn
add_main(uint32_t xid, uint8_t rmgr, uint8_t info, const struct content *main_data)
{
	static struct content record;
	uint32_t len = (uint32_t)main_data->len;
	uint8_t id = 254;

	record.len = 0;
	put(&record, &id, 1);
	put_u32(&record, len);
	put(&record, main_data->bytes, len);
	maker_add(&wal, (uint32_t)(24 + record.len), xid, rmgr, info, record.bytes);
	return wal.last;
}

static int64_t server_time = INT64_C(86400) * 1000000 * 9000; /* from 2000 on */

struct end {
	const uint32_t *subxids;
	uint32_t subxid_count;
	uint32_t dropped, dropped_count; /* filenodes from `dropped` on */
	uint32_t oid;                    /* statistics that go; 0: none */
	uint32_t prepared;               /* the xid of a prepared one; 0: none */
	bool abort;
};

static sw_lsn
add_end(uint32_t xid, struct end e)
{
	static struct content c;
	uint32_t has = (e.subxid_count > 0) << 1 | (e.dropped_count > 0) << 2 | (e.prepared != 0) << 4 | (e.oid != 0) << 8;

	c.len = 0;
	server_time += 1000000;
	put(&c, &server_time, 8);
	put_u32(&c, has);
	if (e.subxid_count > 0) {
		put_u32(&c, e.subxid_count);
		put(&c, e.subxids, e.subxid_count * 4);
	}
	if (e.dropped_count > 0)
		put_u32(&c, e.dropped_count);
	for (uint32_t i = 0; i < e.dropped_count; i++) {
		put_u32(&c, 1663);
		put_u32(&c, 5);
		put_u32(&c, e.dropped + i);
	}
	if (e.oid != 0) {
		put_u32(&c, 1);
		put_u32(&c, 2);
		put_u32(&c, 5);
		put_u32(&c, e.oid);
	}
	if (e.prepared != 0)
		put_u32(&c, e.prepared);
	return add_main(xid, SW_RMGR_XACT, (uint8_t)(0x80 | (e.prepared != 0 ? e.abort ? 0x40 : 0x30 : e.abort ? 0x20 : 0x00)), &c);
}

static sw_lsn
add_file(uint32_t xid, uint32_t filenode)
{
	struct content c = {.len = 0};

	put_u32(&c, 1663);
	put_u32(&c, 5);
	put_u32(&c, filenode);
	put_u32(&c, 0);
	return add_main(xid, SW_RMGR_SMGR, 0x10, &c);
}

/* A heap record on a block of the relation: `data` with the block, `main_data` behind. */
static sw_lsn
add_heap(uint32_t xid, uint8_t info, uint32_t tablespace, uint32_t database, uint32_t filenode, const void *data,
	uint16_t data_len, const void *main_data, uint8_t main_len)
{
	static struct content c;
	uint8_t ids[] = {0, data_len > 0 ? 0x20 : 0x00, (uint8_t)data_len, (uint8_t)(data_len >> 8)}, main_id[] = {255, main_len};

	c.len = 0;
	put(&c, ids, 4);
	put_u32(&c, tablespace);
	put_u32(&c, database);
	put_u32(&c, filenode);
	put_u32(&c, 3);
	put(&c, main_id, 2);
	put(&c, data, data_len);
	put(&c, main_data, main_len);
	maker_add(&wal, (uint32_t)(24 + c.len), xid, SW_RMGR_HEAP, info, c.bytes);
	return wal.last;
}

static void
add_deletes(uint32_t xid, uint32_t filenode, unsigned count)
{
	const uint8_t main_data[8] = {0, 0, 0, 0, 2, 0, 0, 0};

	for (unsigned i = 0; i < count; i++)
		add_heap(xid, 0x10, 1663, 5, filenode, NULL, 0, main_data, sizeof(main_data));
}

static uint8_t class_offset = 7; /* where the next rows are inserted */

static void
add_class_row(uint32_t xid, uint32_t oid, const char *name, char persistence)
{
	uint8_t row[5 + 1 + 120] = {0, 0, 0, 0, 24}, *columns = row + 6;
	const uint8_t main_data[3] = {class_offset, 0, 0};
	uint32_t schema = 2200;

	memcpy(columns, &oid, 4);
	strcpy((char *)columns + 4, name);
	memcpy(columns + 68, &schema, 4);
	memcpy(columns + 88, &oid, 4);
	columns[114] = (uint8_t)persistence;
	columns[115] = 'r';
	add_heap(xid, 0x00, 1663, 5, 1259, row, sizeof(row), main_data, sizeof(main_data));
}

/* A row that moves within block 3, of which the bytes from `prefix` on are told, and others that are as they were are not. */
static sw_lsn
add_update(uint32_t xid, uint32_t database, uint32_t file, uint8_t from, uint8_t to, uint16_t prefix, const void *bytes, size_t len)
{
	uint8_t data[4 + 6 + 200] = {(uint8_t)prefix, 0, 60, 0, 0, 0, 0, 0, 24};
	const uint8_t main_data[14] = {0, 0, 0, 0, from, 0, 0, 0x20 | 0x40, 0, 0, 0, 0, to, 0};

	if (len > 0)
		memcpy(data + 10, bytes, len);
	return add_heap(xid, 0x40, database == 0 ? 1664 : 1663, database, file, data, (uint16_t)(10 + len), main_data, sizeof(main_data));
}

static void
add_invalidation(uint32_t oid, const char *name, int32_t limit)
{
	uint8_t columns[100] = {0};
	const uint8_t main_data[2] = {7, 0};

	memcpy(columns, &oid, 4);
	strcpy((char *)columns + 4, name);
	memcpy(columns + 80, &limit, 4);
	add_heap(0, 0x70, 1664, 0, 1262, columns, sizeof(columns), main_data, sizeof(main_data));
}

static void
add_point(const char *name)
{
	struct content c = {.len = 0};
	char text[64] = "";

	strcpy(text, name);
	put(&c, &server_time, 8);
	put(&c, text, sizeof(text));
	add_main(0, SW_RMGR_XLOG, 0x70, &c);
}

static struct sw_wal_digest
digest_of(size_t len, uint64_t next_xid)
{
	struct sw_wal_digester_params params = {
		.start = wal.start, .segment_size = MB, .timeline = 1, .system_identifier = MAKER_SYSTEM_ID, .block_size = 8192,
		.next_xid = next_xid,
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest digest = {0};

	if (digest_bytes(wal.bytes, len, &params, &digest, &err) != SW_OK)
		tap_ok(false, "%s", err.text);
	return digest;
}

/* The digest is there and back the same; it is released, and the WAL too. */
static void
finish(struct sw_wal_digest *digest, const char *what)
{
	struct sw_error err = SW_ERROR_INIT;
	char *text = json_text(digest, ROOM, true), *second = again(text, &err);

	if (!tap_ok(second != NULL && strcmp(text, second) == 0, "%s: as JSON, there and back", what))
		tap_note("%s\n%s\n%s", err.text, text, second);
	free(text);
	free(second);
	sw_wal_digest_release(digest);
	maker_release(&wal);
}

/* --- what is told ------------------------------------------------------------------------------- */

static void
test_nothing_to_tell(void)
{
	struct sw_wal_digest d;

	begin(1);
	for (uint32_t i = 0; i < 500; i++) {
		add_deletes(1000 + i, 20000, 3);
		add_end(1000 + i, (struct end){.abort = i % 50 == 49});
	}
	maker_switch(&wal);
	d = digest_of(MB, (UINT64_C(2) << 32) + 1);
	tap_ok(d.verdict == SW_WAL_COMPLETE && d.switched && d.major == 15 && d.records == 2001, "a segment of small transactions");
	tap_ok(d.commits == 490 && d.aborts == 10 && d.xid_full, "is counted");
	tap_ok(d.xid_min == (2ull << 32) + 1000 && d.xid_max == (2ull << 32) + 1499 && d.xid_next == (2ull << 32) + 1500,
		"xids have 64 bits");
	tap_ok(d.first_end.xid == d.xid_min && d.last_end.xid == d.xid_max && d.latest.time_us == d.last_end.time_us &&
		d.time_max_us == d.latest.time_us, "and there are the first and the last");
	tap_ok(d.end_count == SW_WAL_DIGEST_ENDS && d.ends[127].xid == (2ull << 32) + 1127 && d.ends_below == (2ull << 32) + 1128 &&
		d.ends[0].committed && !d.ends[49].committed, "the ends with the lowest xids are kept");
	tap_ok(d.act_count > 0 && d.act_count < 30 && !d.truncated, "only those that may have begun before are told (%zu)",
		d.act_count);
	finish(&d, "small transactions");
}

static void
test_drops(void)
{
	const uint32_t subs[] = {501, 502};
	struct sw_wal_digest d;
	sw_lsn first, lsn;

	begin(1);
	first = add_file(500, 16400);
	add_class_row(500, 16400, "brief", 'p');
	add_file(500, 16401); /* another relation's new file, which is replaced again */
	add_file(501, 16500);
	add_file(502, 16600);
	add_end(502, (struct end){.abort = true});
	add_file(600, 16700);
	add_end(600, (struct end){.abort = true});
	lsn = add_end(500, (struct end){.subxids = subs, .subxid_count = 1, .dropped = 16384, .dropped_count = 20, .oid = 16384});
	add_file(700, 16800);
	d = digest_of(MB, 400);
	tap_ok(d.verdict == SW_WAL_ENDS_EARLY && d.act_count == 2, "a commit and an open transaction");
	tap_ok(d.acts[0].xid == 500 && d.acts[0].committed && d.acts[0].first == first && d.acts[0].lsn == lsn, "the commit");
	tap_ok(d.acts[0].dropped_count == 19 && d.acts[0].created_count == 2 && d.acts[0].created[0].filenode == 16401 &&
		d.acts[0].created[1].filenode == 16500,
		"a relation that was born and dropped is no news; a subtransaction's is the top one's, unless that aborted");
	tap_ok(d.acts[0].dropped_oid_count == 1 && d.acts[0].dropped_oids[0].oid == 16384 && d.acts[0].subxid_count == 1, "the rest");
	tap_ok(d.acts[1].xid == 700 && !d.acts[1].committed && d.acts[1].lsn == 0 && d.acts[1].created_count == 1, "the open one");
	tap_ok(d.end_count == 3 && d.ends[0].xid == 500 && d.ends[0].subxid_count == 1 && d.ends[1].xid == 502 &&
		!d.ends[1].committed && d.ends_below == UINT64_MAX, "all ends");
	finish(&d, "drops");
}

/* DROP SCHEMA of 3000 tables with keys and TOAST tables. */
static void
test_many_drops(void)
{
	struct sw_wal_digest d;

	begin(1);
	add_end(500, (struct end){.dropped = 16384, .dropped_count = 12000});
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 1 && d.acts[0].dropped_count == 12000 && !d.acts[0].cut && !d.truncated, "all files that one COMMIT dropped");
	finish(&d, "many drops");
}

static void
test_rows_changed(void)
{
	const uint32_t subs[] = {901};
	struct sw_wal_digest d;

	begin(1);
	add_deletes(800, 20000, 5);
	add_end(800, (struct end){0});
	for (uint32_t i = 0; i < 70; i++)
		add_end(801 + i, (struct end){0});
	add_deletes(900, 20000, 99);
	add_deletes(901, 20000, 1);
	add_deletes(902, 20000, 99);
	add_deletes(903, 1249, 500);
	add_end(900, (struct end){.subxids = subs, .subxid_count = 1});
	add_end(902, (struct end){0});
	add_end(903, (struct end){0});
	add_deletes(950, 20001, 2);
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 3 && d.acts[0].xid == 800 && d.acts[0].rows[0].deletes == 5, "few rows of one that may have begun before");
	tap_ok(d.acts[1].xid == 900 && d.acts[1].rows_count == 1 && d.acts[1].rows[0].deletes == 100, "many rows, subtransactions' too");
	tap_ok(d.acts[2].xid == 950 && !d.acts[2].committed && d.acts[2].rows[0].deletes == 2, "few rows of one that is open");
	finish(&d, "rows changed");
}

static void
test_most_rows(void)
{
	struct sw_wal_digest d;
	size_t least = SIZE_MAX;

	begin(2);
	for (uint32_t i = 0; i < 100; i++)
		add_end(500 + i, (struct end){0});
	for (uint32_t i = 0; i < 150; i++) {
		add_deletes(700 + i, 20000, 100 + i % 20);
		if (i % 2 == 0)
			add_end(700 + i, (struct end){0});
	}
	d = digest_of((size_t)2 * MB, 0);
	for (size_t i = 0; i < d.act_count; i++)
		least = d.acts[i].rows[0].deletes < least ? d.acts[i].rows[0].deletes : least;
	tap_ok(d.act_count == SW_WAL_DIGEST_CHANGES && d.truncated && !d.xid_full, "only so many pairs are kept");
	tap_ok(least == 102, "those with the most rows (%zu)", least);
	finish(&d, "most rows");
}

static void
test_names(void)
{
	struct sw_wal_digest d;

	begin(1);
	add_class_row(500, 16384, "orders", 'p');
	add_class_row(500, 16388, "fleeting", 'u');
	add_end(500, (struct end){0});
	add_class_row(501, 16385, "scratch", 't');
	add_end(501, (struct end){0});
	add_class_row(502, 16386, "given_up", 'p');
	add_end(502, (struct end){.abort = true});
	add_class_row(503, 16387, "pg_temp_16384", 'p');
	add_end(503, (struct end){.dropped = 16384, .dropped_count = 1, .oid = 16387});
	add_invalidation(16390, "shop", 7);
	add_invalidation(16390, "shop", -2);
	add_point("before the release");
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 2 && d.acts[0].born_count == 2 && strcmp(d.acts[0].born[0].name, "orders") == 0 &&
		d.acts[0].born[0].kind == 'r' && d.acts[0].born[0].database == 5 && d.acts[0].born[0].schema == 2200 && !d.acts[0].born[0].unlogged && d.acts[0].born[1].unlogged,
		"a relation's name, but no temporary one's, and none that was given up");
	tap_ok(d.acts[1].dropped_oid_count == 0 && d.acts[1].dropped_count == 1, "a relation that lived for one transaction is no loss");
	tap_ok(d.invalidated_count == 1 && d.invalidated[0].oid == 16390 && strcmp(d.invalidated[0].name, "shop") == 0,
		"a database that is being dropped");
	tap_ok(d.point_count == 1 && strcmp(d.points[0].name, "before the release") == 0 && d.points[0].lsn == d.last &&
		d.points[0].end == d.valid_to, "a restore point");
	finish(&d, "names");
}

/* "1259 1>2 4-6 6364" for each row of catalogs that moved. */
static const char *
moved_text(const struct sw_wal_act *act)
{
	static char text[2000];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < act->moved_count; i++) {
		const struct sw_wal_moved *m = &act->moved[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u %u>%u%s", i > 0 ? ", " : "", m->catalog, m->from.offset, m->to.offset,
			m->unseen ? " unseen" : "");
		if (m->head.from < m->head.to)
			len += (size_t)snprintf(text + len, sizeof(text) - len, " %u-%u ", m->head.from, m->head.to);
		for (size_t n = m->head.from; n < m->head.to; n++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%c", m->head.bytes[n] == 0 ? '.' : m->head.bytes[n]);
	}
	return text;
}

static void
test_moved_rows(void)
{
	const uint32_t subs[] = {501, 502};
	struct sw_wal_digest d;

	begin(1);
	add_update(500, 5, 1259, 1, 2, 5, "bcd", 3);    /* a part of the name */
	add_update(501, 5, 1259, 20, 21, 80, "xy", 2);  /* nothing of the head, in a subtransaction */
	add_update(500, 5, 1259, 2, 3, 80, "xy", 2);    /* the first row again */
	add_update(500, 5, 1259, 3, 4, 7, "DE", 2);     /* its name again: what is told meets what was */
	add_update(502, 5, 1259, 4, 5, 4, "no", 2);     /* given up */
	add_end(502, (struct end){.abort = true});
	add_update(500, 5, 2615, 9, 10, 4, "s", 1);
	add_update(500, 0, 1262, 5, 6, 4, "d", 1);
	add_update(500, 5, 1259, 4, 6, 20, "far", 3);   /* what does not meet is told by itself */
	add_update(500, 5, 20000, 1, 2, 5, "b", 1);     /* a table's own row */
	add_end(500, (struct end){.subxids = subs, .subxid_count = 1});
	add_update(600, 5, 1259, 30, 31, 4, "open", 4);
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 2 && d.acts[0].xid == 500 && d.acts[0].class_updates == 5, "rows of catalogs that are updated");
	tap_is(moved_text(&d.acts[0]), "1259 1>4 5-9 bcDE, 1259 20>21, 2615 9>10 4-5 s, 1262 5>6 4-5 d, 1259 4>6 20-23 far",
		"... where they are now, and what is new in their heads, by LSN");
	tap_is(moved_text(&d.acts[1]), "1259 30>31 4-8 open", "... also of what is open");
	finish(&d, "moved rows");
}

static void
test_moved_born(void)
{
	struct sw_wal_digest d;

	begin(1);
	class_offset = 40;
	add_class_row(500, 16384, "orders", 'p');
	add_update(500, 5, 1259, 40, 41, 8, "rxyz", 4);
	add_update(500, 5, 1259, 41, 42, 68, "\1\0\0\0", 4);
	add_end(500, (struct end){0});
	class_offset = 50;
	add_class_row(501, 17000, "scratch", 't');
	add_end(501, (struct end){0});
	add_update(502, 5, 1259, 50, 51, 8, "x", 1);
	add_end(502, (struct end){.oid = 17000});
	add_update(503, 5, 1259, 42, 50, 8, "R", 1); /* the place is another's now */
	add_update(503, 5, 1259, 51, 52, 8, "y", 1);
	add_end(503, (struct end){.oid = 16999});
	class_offset = 7;
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 2 && d.acts[0].born_count == 1 && d.acts[0].moved_count == 0 && strcmp(d.acts[0].born[0].name, "ordexyz") != 0 &&
		strcmp(d.acts[0].born[0].name, "orderxyz") == 0 && d.acts[0].born[0].schema == 1 && d.acts[0].born[0].place.block == 3 &&
		d.acts[0].born[0].place.offset == 42 && d.acts[0].born[0].file == 1259, "a relation is told as the transaction that made it leaves it (%s)",
		d.acts[0].born[0].name);
	tap_ok(d.acts[1].xid == 503 && d.acts[1].dropped_oid_count == 1, "a relation without a file is dropped; a temporary one's rows and drop are no news");
	tap_is(moved_text(&d.acts[1]), "1259 42>50 8-9 R", "... wherever they are");
	finish(&d, "born rows that moved");
}

/* A head that is told whole; one whose row is not there. */
static void
test_moved_whole(void)
{
	uint8_t row[5 + 1 + 120] = {0, 0, 0, 0, 24};
	const uint8_t updated[14] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0}, unseen[14] = {0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0},
		schema[3] = {8, 0, 0};
	const uint32_t oid = 16400, third = 2200;
	struct sw_wal_digest d;

	begin(1);
	memcpy(row + 6, &oid, 4);
	strcpy((char *)row + 10, "orders");
	memcpy(row + 6 + 68, &third, 4);
	row[6 + 114] = 'p';
	add_heap(500, 0x20, 1663, 5, 1259, row, sizeof(row), updated, sizeof(updated));
	add_end(500, (struct end){0});
	row[10] = 0xff;
	add_heap(501, 0x20, 1663, 5, 1259, row, sizeof(row), updated, sizeof(updated));
	add_end(501, (struct end){0});
	add_heap(502, 0x20, 1663, 5, 1259, NULL, 0, unseen, sizeof(unseen));
	add_end(502, (struct end){0});
	strcpy((char *)row + 10, "sales");
	add_heap(503, 0x00, 1663, 5, 2615, row, sizeof(row), schema, sizeof(schema));
	strcpy((char *)row + 10, "pg_temp_3");
	add_heap(503, 0x00, 1663, 5, 2615, row, sizeof(row), schema, sizeof(schema));
	add_end(503, (struct end){0});
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 4 && sw_wal_head_is_whole(&d.acts[0].moved[0].head) && sw_wal_head_oid(&d.acts[0].moved[0].head) == oid &&
		sw_wal_head_third(&d.acts[0].moved[0].head) == third && d.acts[1].moved[0].head.bytes[4] == 0xff, "a whole head");
	tap_is(moved_text(&d.acts[2]), "1259 2>3 unseen", "a row that the record does not have");
	tap_ok(d.acts[3].moved_count == 1 && d.acts[3].moved[0].from.offset == 0 && d.acts[3].moved[0].to.offset == 8, "a schema is made");
	finish(&d, "whole heads");
}

/* 14's COMMIT does not tell which relations go; their rows' places may. */
static void
test_deleted_rows(void)
{
	const uint8_t main_data[8] = {0, 0, 0, 0, 9, 0, 0, 0};
	struct sw_wal_digest d;

	begin(1);
	wal.magic = 0xD10D;
	add_update(500, 5, 1259, 8, 9, 5, "b", 1);
	add_heap(500, 0x10, 1663, 5, 1259, NULL, 0, main_data, sizeof(main_data));
	add_end(500, (struct end){0});
	add_heap(501, 0x10, 1663, 5, 1259, NULL, 0, main_data, sizeof(main_data));
	add_end(501, (struct end){0});
	d = digest_of(MB, 400);
	tap_ok(d.major == 14 && d.act_count == 2, "14: rows of pg_class that are deleted");
	tap_is(moved_text(&d.acts[0]), "1259 8>0 5-6 b", "... also when they were updated before");
	tap_is(moved_text(&d.acts[1]), "1259 9>0", "... are told by their places");
	finish(&d, "deleted rows");
}

/* More than a summary has room for: first what changes nothing goes, then the rest. */
static void
test_moved_room(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest d, back;
	size_t same = 0;
	json_t *json;

	begin(2);
	add_file(500, 16400);
	for (unsigned i = 0; i < SW_WAL_DIGEST_MOVED_MAX + 10; i++)
		add_update(500, 5, 1259, (uint8_t)(1 + i % 200), (uint8_t)(1 + (i + 100) % 200), i % 100 == 0 ? 5 : 80, "ab", 2);
	add_end(500, (struct end){.dropped = 16384, .dropped_count = 1});
	d = digest_of((size_t)2 * MB, 400);
	tap_ok(d.act_count == 1 && d.acts[0].moved_count <= SW_WAL_DIGEST_MOVED_MAX && d.acts[0].places_cut && !d.acts[0].cut, "rows that moved, up to a limit (%zu)",
		d.acts[0].moved_count);
	json = sw_wal_digest_json(&d, 65536, true);
	tap_ok(json_dumpb(json, NULL, 0, JSON_COMPACT) <= 65536 && sw_wal_digest_parse(json, &back, &err) == SW_OK, "... cut to a summary (%s)", err.text);
	for (size_t i = 0; i < back.acts[0].moved_count; i++)
		same += back.acts[0].moved[i].head.from == back.acts[0].moved[i].head.to;
	tap_ok(same == 0 && back.acts[0].moved_count > 50 && back.acts[0].moved_count < 100 && back.acts[0].places_cut && back.acts[0].moved_cut == d.acts[0].moved_cut &&
		back.truncated == d.truncated && back.acts[0].dropped_count == 1 && !back.acts[0].cut, "... what changes nothing goes first (%zu)", back.acts[0].moved_count);
	sw_wal_digest_release(&back);
	json_decref(json);
	json = sw_wal_digest_json(&d, 4096, true);
	tap_ok(json != NULL && sw_wal_digest_parse(json, &back, &err) == SW_OK && back.acts[0].moved_count == 64 && back.acts[0].moved_cut && back.truncated &&
		!back.acts[0].cut, "... and then the rest, which is told");
	sw_wal_digest_release(&back);
	json_decref(json);
	finish(&d, "many moved rows");
}

static void
test_prepared(void)
{
	struct sw_wal_digest d;

	begin(1);
	add_end(900, (struct end){0});
	add_end(0, (struct end){.prepared = 77, .dropped = 16384, .dropped_count = 1});
	add_end(0, (struct end){.prepared = 78, .abort = true});
	d = digest_of(MB, 400);
	tap_ok(d.act_count == 1 && d.acts[0].xid == 77 && d.acts[0].prepared && d.commits == 2 && d.aborts == 1, "a prepared transaction");
	tap_ok(d.end_count == 3 && d.ends[0].xid == 77 && d.ends[2].xid == 900 && d.xid_min == 77, "ends by xid");
	finish(&d, "prepared");
}

/* The lowest are kept in whatever order they come. */
static void
test_ends(void)
{
	static uint32_t many[SW_WAL_DIGEST_LIST_MAX + 100];
	uint32_t subs[5000];
	struct sw_wal_digest d;
	size_t wrong = 0;

	begin(1);
	for (uint32_t i = 0; i < 5000; i++)
		subs[i] = 2001 + i;
	add_end(2000, (struct end){.subxids = subs, .subxid_count = 5000});
	for (uint32_t i = 0; i < 300; i++)
		add_end(1000 + i * 7 % 300, (struct end){0});
	d = digest_of(MB, 0);
	for (size_t i = 0; i < d.end_count; i++)
		wrong += d.ends[i].xid != 1000 + i;
	tap_ok(d.end_count == 128 && wrong == 0 && d.ends_below == 1128, "the lowest xids");
	finish(&d, "ends");
	begin(1);
	for (uint32_t i = 0; i < SW_WAL_DIGEST_LIST_MAX + 100; i++)
		many[i] = 2001 + i;
	add_end(2000, (struct end){.subxids = many, .subxid_count = SW_WAL_DIGEST_LIST_MAX + 100});
	d = digest_of(MB, 0);
	tap_ok(d.end_count == 1 && d.ends[0].subxid_count == SW_WAL_DIGEST_LIST_MAX &&
			d.ends_below == 2001 + SW_WAL_DIGEST_LIST_MAX && !d.truncated,
		"subtransactions up to a limit, which is told");
	finish(&d, "subtransactions");
}

static void
test_fragments(void)
{
	struct sw_wal_digest d, tail;

	begin(2);
	while (wal.at - wal.start < MB - 9000)
		add_end(700, (struct end){0});
	add_end(701, (struct end){.dropped = 16384, .dropped_count = 2000});
	d = digest_of(MB, 0);
	tap_ok(d.head != NULL && d.head->len > 8192 && d.head->bytes_len == 8192 && d.tail == NULL && d.verdict == SW_WAL_COMPLETE,
		"a record that goes on is the head");
	sw_wal_digest_release(&d);
	wal.start += MB;
	memmove(wal.bytes, wal.bytes + MB, MB);
	tail = digest_of(MB, 0);
	tap_ok(tail.tail != NULL && tail.tail->len == tail.tail->whole_len && tail.head == NULL, "and then the tail");
	finish(&tail, "fragments");
}

static void
test_unknown(void)
{
	struct sw_wal_digest d;

	begin(1);
	wal.magic = 0xD0FF;
	maker_add(&wal, 100, 500, 0, 0, NULL);
	d = digest_of(MB, 500);
	tap_ok(d.verdict == SW_WAL_UNKNOWN && d.major == 0 && d.magic == 0xD0FF && d.records == 0 && d.reason[0] != '\0' && d.start == 5 * MB,
		"an unknown format");
	finish(&d, "unknown");
}

static void
test_record(void)
{
	struct sw_wal_digest d;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_record record = {.format = sw_wal_format_find(0xD110), .timeline = 3, .rmgr = SW_RMGR_XACT, .info = 0x80, .xid = 55};

	begin(1);
	record.lsn = add_end(55, (struct end){.dropped = 16384, .dropped_count = 2});
	record.end = wal.at;
	record.data = maker_byte(&wal, record.lsn);
	memcpy(&record.total_len, record.data, 4);
	record.data_len = record.total_len;
	tap_is(sw_rc_name(sw_wal_digest_record(&record, 8192, (UINT64_C(5) << 32), &d, &err)), "ok", "one record");
	tap_ok(d.start == record.lsn && d.valid_to == record.end && d.act_count == 1 && d.acts[0].dropped_count == 2 &&
		d.end_count == 1 && d.ends[0].xid == (5ull << 32) + 55 && d.last_timeline == 3 && !d.truncated, "has its digest");
	finish(&d, "one record");
	begin(1);
	add_end(55, (struct end){.dropped = 16384, .dropped_count = 2});
	record.data = maker_byte(&wal, record.lsn);
	record.data_len = 60; /* within the list of files */
	sw_wal_digest_record(&record, 8192, 0, &d, &err);
	tap_ok(d.truncated, "what was not kept is missed");
	finish(&d, "half a record");
}

/* --- room --------------------------------------------------------------------------------------- */

static struct sw_wal_digest
large_digest(void)
{
	begin(6);
	for (uint32_t i = 0; i < 20; i++)
		add_point("a restore point");
	for (uint32_t i = 0; i < 900; i++) {
		char name[64];

		snprintf(name, sizeof(name), "a_relation_with_quite_a_long_name_%u", i);
		add_file(1000 + i, 30000 + i);
		add_class_row(1000 + i, 20000 + i, name, 'p');
		add_deletes(1000 + i, 50000, i % 200);
		add_end(1000 + i, (struct end){.dropped = i % 9 == 0 ? 40000 + i : 0, .dropped_count = i % 9 == 0});
	}
	return digest_of((size_t)6 * MB, UINT64_C(7) << 32);
}

/* How many items the key's lists have, in all acts. */
static size_t
count_of(const json_t *digest, const char *key)
{
	const json_t *act;
	size_t count = 0, i;

	json_array_foreach(json_object_get(digest, "acts"), i, act)
		count += json_array_size(json_object_get(act, key));
	return count;
}

static void
test_room(void)
{
	static const struct {
		size_t room, born, dropped, points;
	} cases[] = {{(size_t)16 * MB, 900, 100, 20}, {250000, 900, 100, 20}, {150000, 0, 100, 20}, {65536, 0, 32, 20}, {4096, 0, 0, 8}};
	struct sw_wal_digest d = large_digest();
	size_t born = SIZE_MAX, ends = SIZE_MAX;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = sw_wal_digest_json(&d, cases[i].room, true);
		struct sw_error err = SW_ERROR_INIT;
		struct sw_wal_digest back;
		size_t len = json_dumpb(json, NULL, 0, JSON_COMPACT);

		tap_ok(len <= cases[i].room && (len < cases[i].room / 2) <= (i == 0 || i == 4), "%zu bytes in %zu", len, cases[i].room);
		tap_ok(count_of(json, "born") >= cases[i].born && count_of(json, "born") <= born &&
			count_of(json, "dropped") >= cases[i].dropped && json_array_size(json_object_get(json, "points")) >= cases[i].points,
			"least needed goes first (%zu, %zu, %zu)", count_of(json, "born"), count_of(json, "dropped"),
			json_array_size(json_object_get(json, "points")));
		born = count_of(json, "born");
		tap_ok(sw_wal_digest_parse(json, &back, &err) == SW_OK, "it can be read (%s)", err.text);
		tap_ok(back.end_count <= ends && (back.end_count == 128 || back.ends_below <= (7ull << 32) + 1000 + back.end_count),
			"up to where the ends are complete is told");
		tap_ok(back.truncated == (d.truncated || i >= 2), "what is missing is told");
		ends = back.end_count;
		sw_wal_digest_release(&back);
		json_decref(json);
	}
	finish(&d, "a large digest");
}

/* --- hostile WAL ---------------------------------------------------------------------------------- */

/* An xid ends once; where WAL says otherwise, what is cut between its two ends can still be read. */
static void
test_ends_twice(void)
{
	struct sw_wal_digest d;
	size_t unreadable = 0;

	begin(1);
	for (uint32_t i = 0; i < 128; i++)
		add_end(1000 + i / 100 * 2, (struct end){0});
	d = digest_of(MB, 0);
	for (size_t room = 4096; room < 20000; room += 500) {
		struct sw_error err = SW_ERROR_INIT;
		char *text = json_text(&d, room, true), *second = again(text, &err);

		unreadable += second == NULL;
		free(text);
		free(second);
	}
	tap_is_int((long long)unreadable, 0, "ends of one xid, in whatever room");
	finish(&d, "ends of one xid");
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Transactions whose ids would fall together in a table of whatever size, and one with many relations. */
static void
test_slow_wal(void)
{
	static struct sw_filenode files[4000];
	static uint32_t subs[11000];
	struct sw_wal_digester_params params = {.start = 5 * MB, .segment_size = MB, .timeline = 1,
		.system_identifier = MAKER_SYSTEM_ID, .block_size = 8192, .class_files = files};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest d;
	double begun;

	begin(1);
	for (uint32_t i = 0; i < 4000; i++)
		add_file(4096 * (i + 1), 20000 + i);
	for (uint32_t i = 0; i < 11000; i++)
		subs[i] = 4096 * (i + 5000);
	while (wal.at - wal.start < MB - 60000)
		add_end(777, (struct end){.subxids = subs, .subxid_count = 11000});
	begun = seconds();
	d = digest_of(MB, 0);
	tap_ok(d.commits > 10 && seconds() - begun < 0.4, "xids that were chosen to be slow (%.2f s)", seconds() - begun);
	finish(&d, "xids that were chosen");
	begin(6);
	for (uint32_t i = 0; wal.at - wal.start < (size_t)6 * MB - 100; i++)
		add_deletes(1000, 20000 + i % 4000, 1);
	begun = seconds();
	d = digest_of((size_t)6 * MB, 0);
	tap_ok(d.records > 90000 && seconds() - begun < 0.4, "a transaction with 4,000 partitions (%.2f s)", seconds() - begun);
	finish(&d, "partitions");
	begin(6);
	while (wal.at - wal.start < (size_t)6 * MB - 100)
		add_deletes(1000, 20000, 1);
	for (uint32_t i = 0; i < 4000; i++)
		files[i] = (struct sw_filenode){i % 2 ? i : 8000 - i, 30000 + i};
	params.class_file_count = 4000;
	begun = seconds();
	digest_bytes(wal.bytes, (size_t)6 * MB, &params, &d, &err);
	tap_ok(d.records > 90000 && seconds() - begun < 0.2, "VACUUM FULL of pg_class in 4,000 databases (%.2f s)", seconds() - begun);
	finish(&d, "many databases");
}

/* What is too much for its room is not even made. */
static void
test_long_truncates(void)
{
	static struct content c;
	struct sw_wal_digest d;
	double begun;
	char *text;

	begin(3);
	for (uint32_t t = 0; t < 128; t++) {
		c.len = 0;
		put_u32(&c, 5);
		put_u32(&c, 4000);
		put_u32(&c, 0);
		for (uint32_t i = 0; i < 4000; i++)
			put_u32(&c, 4000000000 + i);
		add_main(1000 + t, SW_RMGR_HEAP, 0x30, &c);
	}
	d = digest_of((size_t)3 * MB, 0);
	begun = seconds();
	text = json_text(&d, 65536, true);
	tap_ok(strlen(text) <= 65536 && strstr(text, "\"truncated\":[[") != NULL && seconds() - begun < 1,
		"half a million relations, truncated by name (%.2f s)", seconds() - begun);
	free(text);
	sw_wal_digest_release(&d);
	maker_release(&wal);
}

/* --- hostile JSON --------------------------------------------------------------------------------- */

static void
test_hostile(void)
{
	static const struct {
		const char *key, *value; /* NULL: away with it */
	} cases[] = {
		{"verdict", NULL}, {"verdict", "\"perhaps\""}, {"verdict", "1"}, {"verdict", "\"unknown\""}, {"start", NULL},
		{"start", "\"0\""}, {"start", "7"}, {"start", "\"FF/0\""}, {"valid_to", "\"0/1\""}, {"valid_to", "[]"}, {"broken_at", "\"0/500000\""},
		{"reason", "1"}, {"major", "-1"}, {"major", "4294967296"}, {"major", "1.5"}, {"first", "\"0/1\""}, {"last", "\"0/500000\""},
		{"records", "9007199254740992"}, {"xid_full", "1"}, {"xid_max", "\"1\""}, {"time_max", "\"yesterday\""},
		{"first_end", "[1]"}, {"first_end", "{}"}, {"first_end", "[1,\"0/0\",\"2026-01-01T00:00:00.000000Z\"]"}, {"ends_below", "1"},
		{"ends", "{}"}, {"ends", "[[]]"}, {"ends", "[[5,\"0/500028\",\"2026-01-01T00:00:00.000000Z\",true,[4294967296]]]"},
		{"ends", "[[5,\"0/500028\",\"2026-01-01T00:00:00.000000Z\",true,7]]"},
		{"ends", "[[5,\"0/500028\",\"2026-01-01T00:00:00.000000Z\",1]]"},
		{"ends", "[[5,\"9/500028\",\"2026-01-01T00:00:00.000000Z\"]]"},
		{"ends", "[[5,\"0/500028\",\"2026-01-01T00:00:00.000000Z\"],[4,\"0/500028\",\"2026-01-01T00:00:00.000000Z\"]]"},
		{"points", "[{\"lsn\":\"0/500028\",\"end\":\"0/500028\",\"time\":\"2026-01-01T00:00:00.000000Z\",\"name\":\"a\"}]"},
		{"points", "[{\"lsn\":\"0/500028\",\"end\":\"0/500080\",\"time\":\"2026-01-01T00:00:00.000000Z\"}]"},
		{"points", "[{\"lsn\":\"0/500028\",\"end\":\"0/500080\",\"time\":\"2026-01-01T00:00:00.000000Z\",\"name\":"
			"\"0123456789012345678901234567890123456789012345678901234567890123\"}]"},
		{"checkpoints", "[7]"}, {"checkpoints", "[{\"lsn\":\"0/0\",\"timeline\":1,\"previous_timeline\":1,\"time\":\"2026-01-01T00:00:00Z\"}]"},
		{"invalidated", "[{\"oid\":-1,\"lsn\":\"0/500028\"}]"}, {"acts", "7"}, {"acts", "[7]"}, {"acts", "[{}]"},
		{"acts", "[{\"xid\":5,\"lsn\":\"0/500028\"}]"}, {"acts", "[{\"xid\":5,\"time\":\"2026-01-01T00:00:00Z\"}]"},
		{"acts", "[{\"xid\":5,\"lsn\":\"0/400028\",\"time\":\"2026-01-01T00:00:00Z\"}]"},
		{"acts", "[{\"xid\":5},{\"xid\":6,\"lsn\":\"0/500028\",\"time\":\"2026-01-01T00:00:00Z\"}]"},
		{"acts", "[{\"xid\":5,\"dropped\":[[1,2]]}]"}, {"acts", "[{\"xid\":5,\"dropped\":[[1,2,-3]]}]"},
		{"acts", "[{\"xid\":5,\"dropped\":{\"a\":1}}]"}, {"acts", "[{\"xid\":5,\"subxids\":[[]]}]"}, {"acts", "[{\"xid\":5,\"cut\":0}]"},
		{"acts", "[{\"xid\":5,\"born\":[[1,2,3,4,5,\"rr\",\"a\"]]}]"}, {"acts", "[{\"xid\":5,\"born\":[[1,2,3,4,5,\"r\",null]]}]"},
		{"acts", "[{\"xid\":5,\"born\":[[1,2,3,4,5,\"r\",\"a\",false,1259]]}]"}, {"acts", "[{\"xid\":5,\"born\":[[1,2,3,4,5,\"r\",\"a\",false,1,2,65536]]}]"},
		{"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7]]}]"}, {"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,65536,6,7,\"0/1\"]]}]"},
		{"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",true]]}]"}, {"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",72,\"00\"]]}]"},
		{"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",71,\"0000\"]]}]"}, {"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",4,\"0\"]]}]"},
		{"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",4,\"0g\"]]}]"}, {"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",4,\"\"]]}]"},
		{"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",1,2,null]]}]"}, {"acts", "[{\"xid\":5,\"moved\":[[1,2,3,4,5,6,7,\"0/1\",1,2,\"a\",0]]}]"},
		{"acts", "[{\"xid\":5,\"moved_cut\":1}]"}, {"acts", "[{\"xid\":5,\"rows\":[[1,2,3,4,5,6]]}]"}, {"acts", "[{\"xid\":5,\"databases\":[[1,2]]}]"},
		{"tail", "{}"}, {"tail", "{\"len\":1,\"whole_len\":1,\"crc\":1,\"bytes\":\"\"}"},
		{"tail", "{\"len\":2,\"whole_len\":1,\"crc\":1,\"bytes\":\"AAA=\"}"}, {"tail", "{\"len\":1,\"whole_len\":1,\"crc\":1,\"bytes\":\"!!!!\"}"},
		{"head", "{\"len\":1,\"whole_len\":1,\"crc\":1,\"bytes\":\"AA==\"}"},
	};
	struct sw_wal_digest d;
	char *text;

	begin(1);
	add_file(500, 16400);
	add_end(500, (struct end){0});
	d = digest_of(MB, 400);
	text = json_text(&d, ROOM, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = json_loads(text, 0, NULL), *value = cases[i].value == NULL ? NULL : json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
		struct sw_error err = SW_ERROR_INIT;
		struct sw_wal_digest back = {.records = 77};

		if (value != NULL)
			json_object_set_new(json, cases[i].key, value);
		else
			json_object_del(json, cases[i].key);
		tap_ok((value != NULL || cases[i].value == NULL) && sw_wal_digest_parse(json, &back, &err) == SW_CORRUPT && back.records == 77 &&
			err.text[0] != '\0', "%s: %s (%s)", cases[i].key, cases[i].value, err.text);
		json_decref(json);
	}
	free(text);
	finish(&d, "the same digest unspoilt");
}

/* Lists that are longer than any that is written. */
static void
test_long_lists(void)
{
	static const struct {
		const char *key, *item;
		size_t max;
	} cases[] = {
		{"acts", "{\"xid\":5}", SW_WAL_DIGEST_ACTS_MAX}, {"invalidated", "{\"oid\":1,\"lsn\":\"0/500028\"}", SW_WAL_DIGEST_POINTS_MAX},
		{"ends", "[5,\"0/500028\",\"2026-01-01T00:00:00.000000Z\"]", SW_WAL_DIGEST_ENDS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t more = 0; more < 2; more++) {
			json_t *json = json_pack("{s:s, s:s, s:s}", "verdict", "complete", "start", "0/500000", "valid_to", "0/600000"), *list = json_array();
			struct sw_error err = SW_ERROR_INIT;
			struct sw_wal_digest back = {0};

			for (size_t n = 0; n < cases[i].max + more; n++)
				json_array_append_new(list, json_loads(cases[i].item, 0, NULL));
			json_object_set_new(json, cases[i].key, list);
			tap_is(sw_rc_name(sw_wal_digest_parse(json, &back, &err)), more ? "corrupt" : "ok", "%zu %s", cases[i].max + more, cases[i].key);
			sw_wal_digest_release(&back);
			json_decref(json);
		}
}

int
main(int argc, char **argv)
{
	if (argc > 4)
		return list(argc, argv);
	test_nothing_to_tell();
	test_drops();
	test_many_drops();
	test_rows_changed();
	test_most_rows();
	test_names();
	test_moved_rows();
	test_moved_born();
	test_moved_whole();
	test_deleted_rows();
	test_moved_room();
	test_prepared();
	test_ends();
	test_fragments();
	test_unknown();
	test_record();
	test_room();
	test_ends_twice();
	test_slow_wal();
	test_long_truncates();
	test_hostile();
	test_long_lists();
	return tap_done();
}
