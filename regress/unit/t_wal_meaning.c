/*
 * "list SEGMENT-SIZE FILE...": what these segments, which follow each other, tell; one line an event, then the rows that
 * transactions changed and the counts (041_wal_meaning.t).  Without arguments: unit tests.
 */
#include "wal/meaning.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"
#include "base/clock.h"
#include "base/file.h"
#include "wal/reader.h"

/* --- listing ------------------------------------------------------------------------------ */

static const char *
time_text(int64_t time_us)
{
	static char text[SW_CLOCK_ISO_LEN];

	return sw_clock_iso(time_us, text);
}

static void
print_relation(const struct sw_wal_relation *r)
{
	printf(" %u/%u/%u", r->tablespace, r->database, r->filenode);
}

static void
print_transaction(const struct sw_wal_transaction *t, uint64_t xid)
{
	printf(" %" PRIu64 " %s%s gid=%.*s rels=", xid, time_text(t->time_us), t->prepared ? " prepared" : "",
		(int)t->gid_len, t->gid_len > 0 ? t->gid : "");
	for (uint32_t i = 0; i < t->relations.count; i++) {
		struct sw_wal_relation r = sw_wal_event_relation(&t->relations, i);

		print_relation(&r);
	}
	printf(" subs=");
	for (uint32_t i = 0; i < t->subxids.count; i++)
		printf(" %u", sw_wal_event_u32(&t->subxids, i));
	printf(" stats=");
	for (uint32_t i = 0; i < t->statistics.count; i++) {
		struct sw_wal_statistic s = sw_wal_event_statistic(&t->statistics, i);

		printf(" %u/%u/%" PRIu64, s.kind, s.database, s.object);
	}
	printf(" relcache=");
	for (uint32_t i = 0; i < t->invalidations.count; i++) {
		struct sw_wal_invalidation v = sw_wal_event_invalidation(&t->invalidations, i);

		if (v.id == -2)
			printf(" %u", v.object);
	}
}

static void
print_row(const struct sw_wal_news *n)
{
	static const char *const names[] = {"INSERT", "UPDATE", "DELETE", "IN_PLACE"};

	printf(" %s %s", n->catalog == SW_WAL_PG_CLASS ? "pg_class" : "pg_database", names[n->event->rows.change]);
	if (n->row != NULL)
		printf(" oid=%u name=%s schema=%u filenode=%u kind=%c", n->row->oid, n->row->name, n->row->schema,
			n->row->filenode, n->row->kind != 0 ? n->row->kind : '?');
}

static void
print_file_or_database(const struct sw_wal_event *e)
{
	switch (e->kind) {
	case SW_WAL_FILE_CREATE:
		printf(" FILE_CREATE");
		print_relation(&e->file.relation);
		printf(" fork=%u", e->file.fork);
		break;
	case SW_WAL_FILE_TRUNCATE:
		printf(" FILE_TRUNCATE");
		print_relation(&e->file.relation);
		printf(" to=%u flags=%u", e->file.blocks, e->file.flags);
		break;
	case SW_WAL_DATABASE_CREATE:
		printf(" DATABASE_CREATE %u/%u from=%u/%u", e->database.tablespace, e->database.database,
			e->database.source_tablespace, e->database.source);
		break;
	case SW_WAL_DATABASE_DROP:
		printf(" DATABASE_DROP");
		for (uint32_t i = 0; i < e->database.tablespaces.count; i++)
			printf(" %u/%u", sw_wal_event_u32(&e->database.tablespaces, i), e->database.database);
		break;
	case SW_WAL_TABLESPACE_CREATE:
		printf(" TABLESPACE_CREATE %u %.*s", e->tablespace.oid, (int)e->tablespace.path_len, e->tablespace.path);
		break;
	case SW_WAL_TABLESPACE_DROP:
		printf(" TABLESPACE_DROP %u", e->tablespace.oid);
		break;
	case SW_WAL_RELATION_MAP:
		printf(" RELATION_MAP %u/%u", e->relation_map.tablespace, e->relation_map.database);
		break;
	default:
		break;
	}
}

static void
print_xlog(const struct sw_wal_event *e)
{
	static const char *const levels[] = {"minimal", "replica", "logical"};

	switch (e->kind) {
	case SW_WAL_CHECKPOINT:
		printf(" CHECKPOINT %s redo=%" PRIX64 " tli=%u prev=%u xid=%" PRIu64 " active=%u",
			e->checkpoint.shutdown ? "shutdown" : "online", e->checkpoint.redo, e->checkpoint.timeline,
			e->checkpoint.previous_timeline, e->checkpoint.next_xid, e->checkpoint.oldest_active_xid);
		break;
	case SW_WAL_RESTORE_POINT:
		printf(" RESTORE_POINT %s", e->restore_point.name);
		break;
	case SW_WAL_END_OF_RECOVERY:
		printf(" END_OF_RECOVERY tli=%u prev=%u %s", e->end_of_recovery.timeline,
			e->end_of_recovery.previous_timeline, time_text(e->end_of_recovery.time_us));
		break;
	case SW_WAL_PARAMETERS:
		printf(" PARAMETERS %d %d %d %d %d %s %s %s", e->parameters.max_connections,
			e->parameters.max_worker_processes, e->parameters.max_wal_senders,
			e->parameters.max_prepared_xacts, e->parameters.max_locks_per_xact,
			levels[e->parameters.wal_level % 3], e->parameters.wal_log_hints ? "on" : "off",
			e->parameters.track_commit_timestamp ? "on" : "off");
		break;
	case SW_WAL_BACKUP_END:
		printf(" BACKUP_END %" PRIX64, e->backup_end.start);
		break;
	case SW_WAL_OVERWRITE:
		printf(" OVERWRITE %" PRIX64 " %s", e->overwrite.overwritten, time_text(e->overwrite.time_us));
		break;
	case SW_WAL_REDO:
		printf(" REDO");
		break;
	case SW_WAL_SWITCH:
		printf(" SWITCH");
		break;
	default:
		break;
	}
}

static sw_rc
print_news(void *ctx, const struct sw_wal_news *n, struct sw_error *err)
{
	const struct sw_wal_event *e = n->event;

	(void)ctx;
	(void)err;
	printf("%" PRIX64, n->record->lsn);
	switch (e->kind) {
	case SW_WAL_COMMIT:
	case SW_WAL_ABORT:
	case SW_WAL_PREPARE:
		printf(e->kind == SW_WAL_COMMIT ? " COMMIT" : e->kind == SW_WAL_ABORT ? " ABORT" : " PREPARE");
		print_transaction(&e->transaction, n->xid);
		break;
	case SW_WAL_ASSIGNMENT:
		printf(" ASSIGNMENT %u:", e->assignment.top_xid);
		for (uint32_t i = 0; i < e->assignment.subxids.count; i++)
			printf(" %u", sw_wal_event_u32(&e->assignment.subxids, i));
		break;
	case SW_WAL_LOCKS:
		printf(" LOCKS");
		for (uint32_t i = 0; i < e->locks.count; i++) {
			struct sw_wal_lock lock = sw_wal_event_lock(&e->locks, i);

			printf(" %u:%u/%u", lock.xid, lock.database, lock.relation);
		}
		break;
	case SW_WAL_ROWS:
		print_row(n);
		break;
	case SW_WAL_TRUNCATE:
		printf(" TRUNCATE");
		for (uint32_t i = 0; i < e->truncate.relations.count; i++)
			printf(" %u", sw_wal_event_u32(&e->truncate.relations, i));
		break;
	default:
		print_xlog(e);
		print_file_or_database(e);
		break;
	}
	printf("%s\n", e->cut ? " cut" : "");
	return SW_OK;
}

static void
print_moment(const char *name, const struct sw_wal_moment *m)
{
	printf("# %s %" PRIX64 " %" PRIu64 " %s\n", name, m->lsn, m->xid, time_text(m->time_us));
}

static void
print_results(const struct sw_wal_meaning *m)
{
	const struct sw_wal_change *change;
	uint32_t at = 0;

	while ((change = sw_wal_change_next(&m->changes, &at)) != NULL)
		printf("CHANGE %u %u/%u/%u updates=%" PRIu64 " deletes=%" PRIu64 "%s\n", change->xid,
			change->relation.tablespace, change->relation.database, change->relation.filenode,
			change->updates, change->deletes, change->committed ? " committed" : "");
	for (int i = 0; i < 256; i++)
		if (m->records[i] > 0)
			printf("# rmgr %d %" PRIu64 " %" PRIu64 "\n", i, m->records[i], m->bytes[i]);
	printf("# images %" PRIu64 " %" PRIu64 "\n", m->images, m->image_bytes);
	print_moment("first", &m->first);
	print_moment("last", &m->last);
	print_moment("earliest", &m->earliest);
	print_moment("latest", &m->latest);
	printf("# commits %" PRIu64 " aborts %" PRIu64 " next %" PRIu64 " lost %" PRIu64 " malformed %" PRIu64 "\n",
		m->commits, m->aborts, m->next_xid, m->changes.lost, m->malformed);
}

static int
list(int argc, char **argv)
{
	struct sw_wal_meaning_params params = {.block_size = 8192, .changes_max = 100000, .changes_min = 20, .each = print_news};
	uint32_t size = (uint32_t)strtoul(argv[2], NULL, 10);
	struct sw_wal_reader *reader = malloc(sizeof(*reader));
	struct sw_wal_meaning *m = malloc(sizeof(*m));
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_name name;
	sw_rc rc = sw_wal_meaning_init(m, &params, &err);

	for (int i = 3; rc == SW_OK && i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');
		struct sw_buf bytes;

		rc = sw_file_read(argv[i], 1 << 30, &bytes, &err);
		if (rc == SW_OK && !sw_wal_name_parse(slash == NULL ? argv[i] : slash + 1, size, &name))
			rc = sw_fail(&err, SW_CONFIG, "no segment");
		if (rc == SW_OK && i == 3)
			rc = sw_wal_reader_init(reader, &(struct sw_wal_reader_params){
				.start = name.segment * size, .segment_size = size, .each = sw_wal_meaning_record,
				.ctx = m, .record_max = SW_WAL_MEANING_RECORD}, NULL, &err);
		if (rc == SW_OK)
			rc = sw_stage_write(&reader->stage, bytes.data, bytes.len, &err);
		sw_buf_release(&bytes);
	}
	if (rc == SW_OK)
		rc = sw_stage_finish(&reader->stage, &err);
	if (rc != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	print_results(m);
	sw_wal_reader_release(reader);
	sw_wal_meaning_release(m);
	free(reader);
	free(m);
	return 0;
}

/* --- records made by hand --------------------------------------------------------------- */

/* Main data of at most 200 bytes behind block references; `kept`: bytes that the reader kept, 0 all. */
struct sample {
	unsigned major;
	uint8_t rmgr, info;
	uint8_t bytes[600]; /* behind the header */
	size_t len, kept;
	uint32_t xid;
};

static void
put(struct sample *s, const void *data, size_t len)
{
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
}

static void
put_u32(struct sample *s, uint32_t value)
{
	put(s, &value, 4);
}

static void
put_u16(struct sample *s, uint16_t value)
{
	put(s, &value, 2);
}

static void
put_u8(struct sample *s, uint8_t value)
{
	put(s, &value, 1);
}

static void
put_main(struct sample *s, uint8_t len)
{
	put_u8(s, 255);
	put_u8(s, len);
}

static const struct sw_wal_format *
format_of(unsigned major)
{
	static const uint16_t magics[] = {0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};

	return sw_wal_format_find(magics[major - 14]);
}

static uint8_t record_bytes[SW_WAL_RECORD_HEADER + 600];

static struct sw_wal_record
record_of(const struct sample *s)
{
	memcpy(record_bytes + SW_WAL_RECORD_HEADER, s->bytes, s->len);
	return (struct sw_wal_record){
		.format = format_of(s->major), .lsn = 0x1000, .xid = s->xid, .rmgr = s->rmgr, .info = s->info,
		.total_len = (uint32_t)(SW_WAL_RECORD_HEADER + s->len), .data = record_bytes,
		.data_len = SW_WAL_RECORD_HEADER + (s->kept != 0 ? s->kept : s->len),
	};
}

static struct sw_wal_parts parts;

/* 0: understood; 1: no record; 2: malformed content */
static int
understand(const struct sample *s, struct sw_wal_event *ret_event)
{
	struct sw_wal_record record = record_of(s);

	if (!sw_wal_decode(&record, &parts))
		return 1;
	return sw_wal_event_read(&record, &parts, ret_event) ? 0 : 2;
}

/* CHECKPOINT_REDO came with 17. */
static void
test_redo(void)
{
	for (unsigned major = 14; major <= 18; major++) {
		struct sample s = {.major = major, .rmgr = SW_RMGR_XLOG, .info = 0xE0};
		struct sw_wal_event e;

		put_main(&s, 4);
		put_u32(&s, 1);
		tap_ok(understand(&s, &e) == 0 && e.kind == (major >= 17 ? SW_WAL_REDO : SW_WAL_NOTHING),
			"an XLOG record 0xE0 of %u", major);
	}
}

static void
test_databases(void)
{
	static const struct {
		unsigned major;
		uint8_t info;
		enum sw_wal_event_kind kind;
	} cases[] = {
		{14, 0x00, SW_WAL_DATABASE_CREATE}, {14, 0x10, SW_WAL_DATABASE_DROP}, {14, 0x20, SW_WAL_NOTHING},
		{15, 0x00, SW_WAL_DATABASE_CREATE}, {15, 0x10, SW_WAL_DATABASE_CREATE},
		{15, 0x20, SW_WAL_DATABASE_DROP}, {18, 0x20, SW_WAL_DATABASE_DROP}, {18, 0x30, SW_WAL_NOTHING},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample s = {.major = cases[i].major, .rmgr = SW_RMGR_DBASE, .info = cases[i].info};
		struct sw_wal_event e;

		put_main(&s, 16);
		put_u32(&s, 77);
		put_u32(&s, 1);
		put_u32(&s, 1663);
		put_u32(&s, 5);
		tap_ok(understand(&s, &e) == 0 && e.kind == cases[i].kind, "a database's record 0x%02X of %u",
			cases[i].info, cases[i].major);
		if (e.kind == SW_WAL_DATABASE_DROP)
			tap_ok(e.database.database == 77 && e.database.tablespaces.count == 1 &&
				sw_wal_event_u32(&e.database.tablespaces, 0) == 1663, "what was dropped, and where");
	}
}

/* A commit with two subtransactions, a dropped relation and its statistics, and what follows them. */
static struct sample
commit(unsigned major)
{
	struct sample s = {.major = major, .rmgr = SW_RMGR_XACT, .info = 0x80 | 0x30, .xid = 0};
	int64_t time = 0;

	put_main(&s, 0);
	put(&s, &time, 8);
	put_u32(&s, 1 << 1 | 1 << 2 | 1 << 4 | (major >= 15 ? 1 << 8 : 0));
	put_u32(&s, 2);
	put_u32(&s, 501);
	put_u32(&s, 502);
	put_u32(&s, 1);
	put_u32(&s, 1663);
	put_u32(&s, 5);
	put_u32(&s, 16384);
	if (major >= 15) {
		put_u32(&s, 1);
		put_u32(&s, 2);
		put_u32(&s, 5);
		put_u32(&s, 16400);
		if (major >= 18)
			put_u32(&s, 7);
	}
	put_u32(&s, 499);
	s.bytes[1] = (uint8_t)(s.len - 2);
	return s;
}

static void
test_commits(void)
{
	struct sw_wal_event e = {0};

	for (unsigned major = 14; major <= 18; major++) {
		struct sample s = commit(major), bad;
		const struct sw_wal_transaction *t = &e.transaction;

		tap_ok(understand(&s, &e) == 0 && e.kind == SW_WAL_COMMIT && t->prepared && t->xid == 499,
			"a prepared commit of %u has the right transaction, behind its lists", major);
		tap_ok(t->subxids.count == 2 && sw_wal_event_u32(&t->subxids, 1) == 502 && t->relations.count == 1 &&
			sw_wal_event_relation(&t->relations, 0).filenode == 16384, "and they are right");
		if (major >= 15)
			tap_ok(t->statistics.count == 1 && sw_wal_event_statistic(&t->statistics, 0).object ==
				(major >= 18 ? 7ull << 32 | 16400 : 16400), "and the statistics");
		tap_is_int(t->time_us, 946684800000000, "and the time, from PostgreSQL's epoch");
		bad = s;
		bad.bytes[14] = 200; /* of subtransactions */
		tap_is_int(understand(&bad, &e), 2, "more subtransactions than bytes");
		bad = s;
		memset(bad.bytes + 14, 0xff, 4);
		tap_is_int(understand(&bad, &e), 2, "far more");
		bad = s;
		bad.kept = 22; /* the first subtransaction is kept */
		tap_ok(understand(&bad, &e) == 0 && e.cut && t->subxids.count == 1 && t->subxids.whole_count == 2 &&
			t->relations.count == 0 && t->xid == 0, "a commit that was not kept whole says so");
	}
}

static void
test_malformed(void)
{
	static const struct {
		const char *name;
		uint8_t bytes[40];
		size_t len;
		int result;
	} cases[] = {
		{"nothing", {0}, 0, 2},
		{"a main data length of more than there is", {255, 9, 1, 2}, 4, 1},
		{"of less", {255, 1, 1, 2}, 4, 1},
		{"a long one without end", {254, 1, 0}, 3, 1},
		{"an unknown part", {100, 0, 0, 0}, 4, 1},
		{"a block without a relation", {0, 0x80, 0, 0, 1, 0, 0, 0}, 8, 1},
		{"a block with data that has none", {0, 0x20, 0, 0}, 20, 1},
		{"a block without data that has some", {0, 0x00, 5, 0}, 25, 1},
		{"a block cut off", {0, 0x00, 0, 0, 1, 2, 3}, 7, 1},
		{"blocks out of order", {1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0x80, 0, 0, 0, 0}, 28, 1},
		{"an image cut off", {0, 0x10, 0, 0, 9}, 5, 1},
	};
	struct sw_wal_event e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample s = {.major = 15, .rmgr = SW_RMGR_XACT, .len = cases[i].len};

		memcpy(s.bytes, cases[i].bytes, sizeof(cases[i].bytes));
		tap_is_int(understand(&s, &e), cases[i].result, "malformed: %s", cases[i].name);
	}
}

/* --- rows of pg_class --------------------------------------------------------------------- */

static void
put_block(struct sample *s, uint8_t flags, uint16_t data_len)
{
	put_u8(s, 0);
	put_u8(s, flags);
	put_u16(s, data_len);
	if (flags & 0x10) {
		put_u16(s, 400);        /* image */
		put_u16(s, 100);        /* its hole is behind 100 bytes */
		put_u8(s, 0x01 | 0x02); /* has one; to be restored */
	}
	put_u32(s, 1663);
	put_u32(s, 5);
	put_u32(s, 1259);
	put_u32(s, 3);
}

/* The columns of a row as far as 119, from `from` on. */
static void
put_class_row(struct sample *s, uint16_t from)
{
	uint8_t row[120] = {0};
	uint32_t oid = 16384, schema = 2200, filenode = 16999;

	memcpy(row, &oid, 4);
	memcpy(row + 4, "orders", 7);
	memcpy(row + 68, &schema, 4);
	memcpy(row + 88, &filenode, 4);
	row[115] = 'r';
	row[119] = 'p';
	put(s, row + from, sizeof(row) - from);
}

static bool
class_row(const struct sample *s, struct sw_wal_catalog_row *ret_row)
{
	struct sw_wal_record record = record_of(s);
	struct sw_wal_event e;

	return understand(s, &e) == 0 && e.kind == SW_WAL_ROWS &&
		sw_wal_catalog_class(&record, &parts, &e, 1024, ret_row);
}

static void
test_inserted_row(void)
{
	for (unsigned major = 14; major <= 18; major += 4) {
		struct sample s = {.major = major, .rmgr = SW_RMGR_HEAP, .info = 0x00};
		struct sw_wal_catalog_row row;

		put_block(&s, 0x20, 5 + 9 + 120);
		put_main(&s, 3);
		put_u32(&s, 0);
		put_u8(&s, 32); /* t_hoff: 23, and 9 bytes of nulls and padding */
		put(&s, "123456789", 9);
		put_class_row(&s, 0);
		put_u16(&s, 7);
		put_u8(&s, 0);
		tap_ok(class_row(&s, &row) && row.oid == 16384 && strcmp(row.name, "orders") == 0 && row.schema == 2200 &&
			row.filenode == 16999, "an inserted row of %u", major);
		tap_is_int(row.kind, major == 18 ? 'p' : 'r', "its kind is at its version's place");
		s.bytes[20 + 2 + 4] = 200;
		tap_ok(!class_row(&s, &row), "columns that begin behind the row");
		s.bytes[20 + 2 + 4] = 22;
		tap_ok(!class_row(&s, &row), "columns that begin before it");
	}
}

static void
test_updated_row(void)
{
	struct sample s = {.major = 15, .rmgr = SW_RMGR_HEAP, .info = 0x20};
	struct sw_wal_catalog_row row;
	const uint8_t update[14] = {0, 0, 0, 0, 4, 0, 0, 0x20, 0, 0, 0, 0, 9, 0};

	put_block(&s, 0x20, 2 + 5 + 1 + 32);
	put_main(&s, sizeof(update));
	put_u16(&s, 88); /* what is left out */
	put_u32(&s, 0);
	put_u8(&s, 24);
	put_u8(&s, 0);
	put_class_row(&s, 88);
	put(&s, update, sizeof(update));
	tap_ok(class_row(&s, &row) && row.oid == 0 && row.name[0] == '\0' && row.has_filenode && row.filenode == 16999 &&
		row.kind == 'r', "an updated row has what changed");
}

/* A page of 1,024 bytes whose row 2 is at 800; the hole is in [100, 724). */
static void
test_row_in_image(void)
{
	struct sample s = {.major = 15, .rmgr = SW_RMGR_HEAP, .info = 0x10};
	struct sw_wal_catalog_row row;
	const uint8_t delete_2[8] = {0, 0, 0, 0, 2, 0, 0, 0};
	uint32_t line = 800 | 1u << 15 | 144u << 17;
	size_t image;

	put_block(&s, 0x10, 0);
	put_main(&s, sizeof(delete_2));
	image = s.len;
	s.len += 400;
	memcpy(s.bytes + image + 24 + 4, &line, 4);
	s.len = image + 100 + (800 - 724);
	s.bytes[s.len + 22] = 24;
	s.len += 24;
	put_class_row(&s, 0);
	s.len = image + 400;
	put(&s, delete_2, sizeof(delete_2));
	tap_ok(class_row(&s, &row) && row.oid == 16384 && strcmp(row.name, "orders") == 0, "a deleted row in a page image");
	for (size_t at = 0; at < 7; at++) {
		static const uint32_t lines[] = {700 | 1u << 15 | 144u << 17, 99 | 1u << 15 | 144u << 17,
			1000 | 1u << 15 | 144u << 17, 0x7fff | 1u << 15 | 0x7fffu << 17, 800 | 3u << 15 | 144u << 17,
			800 | 1u << 15 | 10u << 17, 0};

		memcpy(s.bytes + image + 24 + 4, &lines[at], 4);
		tap_ok(!class_row(&s, &row), "a line pointer that is wrong: %08X", lines[at]);
	}
	memcpy(s.bytes + image + 24 + 4, &line, 4);
	s.bytes[6] = 0xff; /* the hole's place */
	s.bytes[7] = 0xff;
	tap_ok(!class_row(&s, &row), "a hole outside the page");
}

/* --- rows changed ---------------------------------------------------------------------------- */

static void
add_rows(struct sw_wal_changes *c, uint32_t xid, uint32_t filenode, enum sw_wal_row_change change, unsigned count)
{
	struct sw_wal_event e = {.kind = SW_WAL_ROWS};

	e.rows.change = change;
	e.rows.relation = (struct sw_wal_relation){1663, 5, filenode};
	e.rows.count = 1;
	for (unsigned i = 0; i < count; i++)
		sw_wal_change_add(c, xid, 100 * xid + i, &e);
}

static void
end_transaction(struct sw_wal_changes *c, enum sw_wal_event_kind kind, uint32_t xid, const uint32_t *subs, uint32_t count)
{
	struct sw_wal_event e = {.kind = kind};

	e.transaction.xid = xid;
	e.transaction.subxids = (struct sw_wal_list){(const uint8_t *)subs, count, count, 4};
	sw_wal_change_end(c, &e);
}

static const char *
changes_text(const struct sw_wal_changes *c)
{
	static char text[1000];
	const struct sw_wal_change *change;
	size_t len = 0;
	uint32_t at = 0;

	text[0] = '\0';
	while ((change = sw_wal_change_next(c, &at)) != NULL)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u:%u %llu+%llu%s ", change->xid,
			change->relation.filenode, (unsigned long long)change->updates,
			(unsigned long long)change->deletes, change->committed ? "" : "?");
	return text;
}

static void
test_changes(void)
{
	const uint32_t subs[] = {11, 12, 13};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_changes c;

	sw_wal_change_init(&c, 4, 10, &err);
	add_rows(&c, 10, 1, SW_WAL_INSERT, 100);
	add_rows(&c, 10, 1, SW_WAL_UPDATE, 6);
	add_rows(&c, 11, 1, SW_WAL_DELETE, 5);
	add_rows(&c, 12, 2, SW_WAL_DELETE, 9);
	tap_is(changes_text(&c), "10:1 6+0? 11:1 0+5? 12:2 0+9? ", "rows that were changed, and none inserted");
	end_transaction(&c, SW_WAL_COMMIT, 10, subs, 3);
	tap_is(changes_text(&c), "10:1 6+5 ", "the subtransactions' are the top one's; what is little is forgotten");
	add_rows(&c, 20, 1, SW_WAL_DELETE, 1000);
	add_rows(&c, 11, 1, SW_WAL_DELETE, 1000);
	end_transaction(&c, SW_WAL_ABORT, 20, subs, 3);
	tap_is(changes_text(&c), "10:1 6+5 ", "what is aborted is forgotten");
	add_rows(&c, 10, 1, SW_WAL_DELETE, 20);
	tap_is(changes_text(&c), "10:1 6+5 10:1 0+20? ", "a transaction id that comes again is another");
	end_transaction(&c, SW_WAL_ABORT, 10, NULL, 0);
	tap_is_int((long long)c.lost, 0, "nothing was lost");
	add_rows(&c, 30, 1, SW_WAL_DELETE, 2);
	add_rows(&c, 31, 2, SW_WAL_DELETE, 20);
	add_rows(&c, 32, 3, SW_WAL_DELETE, 20);
	add_rows(&c, 33, 4, SW_WAL_DELETE, 20);
	tap_is_int((long long)c.lost, 2, "a full table forgets what is little");
	add_rows(&c, 34, 5, SW_WAL_DELETE, 20);
	tap_is_int((long long)c.lost, 22, "and says what it could not take");
	end_transaction(&c, SW_WAL_COMMIT, 32, NULL, 0);
	end_transaction(&c, SW_WAL_COMMIT, 34, NULL, 0);
	tap_ok(strstr(changes_text(&c), "32:3 0+20 ") != NULL && strstr(changes_text(&c), "31:2 0+20? ") != NULL, "the rest is there: %s", changes_text(&c));
	sw_wal_change_release(&c);
}

/* --- transaction ids ---------------------------------------------------------------------------- */

static void
test_xids(void)
{
	static const struct {
		uint64_t next;
		uint32_t xid;
		uint64_t full;
	} cases[] = {
		{0, 100, 0}, {1000, 999, 999}, {1000, 1001, 1001}, {1000, 2, 0}, {1000, 0, 0},
		{(3ull << 32) + 5, 4, (3ull << 32) + 4}, {(3ull << 32) + 5, 0xfffffff0, (2ull << 32) + 0xfffffff0},
		{(3ull << 32) - 5, 100, (3ull << 32) + 100}, {5, 0xfffffff0, 0},
	};
	struct sw_wal_meaning_params params = {.block_size = 8192, .changes_max = 1};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_meaning *m = malloc(sizeof(*m));
	struct sample s = commit(15);
	struct sw_wal_record record;

	sw_wal_meaning_init(m, &params, &err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m->next_xid = cases[i].next;
		tap_is_int((long long)sw_wal_meaning_xid(m, cases[i].xid), (long long)cases[i].full, "%u before %llu",
			cases[i].xid, (unsigned long long)cases[i].next);
	}
	m->next_xid = (7ull << 32) + 400;
	s.xid = 600;
	record = record_of(&s);
	sw_wal_meaning_record(m, &record, &err);
	tap_ok(m->commits == 1 && m->last.xid == (7ull << 32) + 499 && m->last.xid_full, "a commit's has 64 bits");
	tap_is_int((long long)m->next_xid, (7ll << 32) + 601, "a later one moves the next");
	s.bytes[1]++;
	record = record_of(&s);
	sw_wal_meaning_record(m, &record, &err);
	tap_ok(m->malformed == 1 && m->malformed_at == 0x1000, "what cannot be replayed is counted");
	sw_wal_meaning_release(m);
	free(m);
}

int
main(int argc, char **argv)
{
	if (argc > 3)
		return list(argc, argv);
	test_redo();
	test_databases();
	test_commits();
	test_malformed();
	test_inserted_row();
	test_updated_row();
	test_row_in_image();
	test_changes();
	test_xids();
	return tap_done();
}
