#include "wal/event.h"

#include <string.h>

/* --- bytes of the main data ---------------------------------------------------------- */

/* What is read in order.  `bad`: the record says more than it has; `cut`: more than was kept of it. */
struct cursor {
	const uint8_t *at;
	size_t kept, whole; /* bytes left */
	bool bad, cut;
};

static struct cursor
begin(const struct sw_wal_parts *parts)
{
	return (struct cursor){.at = parts->main, .kept = parts->main_len, .whole = parts->main_whole_len};
}

/* The next len bytes; NULL if they are not there or not kept. */
static const uint8_t *
skip(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (len > c->whole) {
		c->bad = true;
		return NULL;
	}
	c->whole -= len;
	if (len > c->kept) {
		c->cut = true;
		c->kept = 0;
		return NULL;
	}
	c->at += len;
	c->kept -= len;
	return at;
}

static void
take(struct cursor *c, void *ret_value, size_t len)
{
	const uint8_t *at = skip(c, len);

	if (at != NULL)
		memcpy(ret_value, at, len);
	else
		memset(ret_value, 0, len);
}

static uint32_t
take_u32(struct cursor *c)
{
	uint32_t value;

	take(c, &value, sizeof(value));
	return value;
}

static uint64_t
take_u64(struct cursor *c)
{
	uint64_t value;

	take(c, &value, sizeof(value));
	return value;
}

/* PostgreSQL counts from 2000-01-01. */
static int64_t
take_time(struct cursor *c)
{
	const uint64_t epoch_us = UINT64_C(946684800000000);

	return (int64_t)(take_u64(c) + epoch_us);
}

/* Up to `count` items, as many as were kept. */
static struct sw_wal_list
take_items(struct cursor *c, uint32_t count, uint8_t item_len)
{
	struct sw_wal_list list = {.at = c->at, .whole_count = count, .item_len = item_len};
	uint64_t len = (uint64_t)count * item_len;

	if (len > c->whole) {
		c->bad = true;
		return list;
	}
	list.count = len <= c->kept ? count : (uint32_t)(c->kept / item_len);
	skip(c, (size_t)len);
	return list;
}

static struct sw_wal_list
take_list(struct cursor *c, uint8_t item_len)
{
	return take_items(c, take_u32(c), item_len);
}

static void
align(struct cursor *c, size_t len)
{
	size_t pad = (8 - len % 8) % 8;

	skip(c, pad < c->whole ? pad : c->whole);
}

#define RELATION_LEN 12
#define INVALIDATION_LEN 16
#define LOCK_LEN 12
#define PAIR_LEN 8

static uint8_t
statistic_len(const struct sw_wal_format *format)
{
	return format->major >= 18 ? 16 : 12;
}

static uint32_t
u32_at(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

uint32_t
sw_wal_event_u32(const struct sw_wal_list *list, uint32_t i)
{
	return u32_at(list->at + (size_t)i * list->item_len);
}

struct sw_wal_relation
sw_wal_event_relation(const struct sw_wal_list *list, uint32_t i)
{
	const uint8_t *at = list->at + (size_t)i * list->item_len;

	return (struct sw_wal_relation){u32_at(at), u32_at(at + 4), u32_at(at + 8)};
}

struct sw_wal_statistic
sw_wal_event_statistic(const struct sw_wal_list *list, uint32_t i)
{
	const uint8_t *at = list->at + (size_t)i * list->item_len;
	uint64_t high = list->item_len == 16 ? u32_at(at + 12) : 0;

	return (struct sw_wal_statistic){u32_at(at), u32_at(at + 4), u32_at(at + 8) | high << 32};
}

struct sw_wal_invalidation
sw_wal_event_invalidation(const struct sw_wal_list *list, uint32_t i)
{
	const uint8_t *at = list->at + (size_t)i * list->item_len;

	return (struct sw_wal_invalidation){(int8_t)at[0], u32_at(at + 4), u32_at(at + 8)};
}

struct sw_wal_lock
sw_wal_event_lock(const struct sw_wal_list *list, uint32_t i)
{
	const uint8_t *at = list->at + (size_t)i * list->item_len;

	return (struct sw_wal_lock){u32_at(at), u32_at(at + 4), u32_at(at + 8)};
}

void
sw_wal_event_pair(const struct sw_wal_list *list, uint32_t i, uint32_t *ret_oid, uint32_t *ret_filenode)
{
	const uint8_t *at = list->at + (size_t)i * list->item_len;

	*ret_oid = u32_at(at);
	*ret_filenode = u32_at(at + 4);
}

/* --- XLOG --------------------------------------------------------------------------------- */

/* struct CheckPoint; offsets are the same in 14 … 18. */
static void
read_checkpoint(struct cursor *c, struct sw_wal_event *e)
{
	const int64_t us_per_s = 1000000;

	e->checkpoint.redo = take_u64(c);
	e->checkpoint.timeline = take_u32(c);
	e->checkpoint.previous_timeline = take_u32(c);
	skip(c, 8); /* fullPageWrites, 17: wal_level */
	e->checkpoint.next_xid = take_u64(c);
	skip(c, 32); /* nextOid … oldestMultiDB */
	e->checkpoint.time_us = (int64_t)(take_u64(c) * (uint64_t)us_per_s);
	skip(c, 8); /* commit timestamps */
	e->checkpoint.oldest_active_xid = take_u32(c);
}

static void
read_parameters(struct cursor *c, struct sw_wal_event *e)
{
	uint8_t flags[2];

	e->parameters.max_connections = (int32_t)take_u32(c);
	e->parameters.max_worker_processes = (int32_t)take_u32(c);
	e->parameters.max_wal_senders = (int32_t)take_u32(c);
	e->parameters.max_prepared_xacts = (int32_t)take_u32(c);
	e->parameters.max_locks_per_xact = (int32_t)take_u32(c);
	e->parameters.wal_level = (int32_t)take_u32(c);
	take(c, flags, sizeof(flags));
	e->parameters.wal_log_hints = flags[0];
	e->parameters.track_commit_timestamp = flags[1];
}

static void
read_restore_point(struct cursor *c, struct sw_wal_event *e)
{
	e->restore_point.time_us = take_time(c);
	take(c, e->restore_point.name, sizeof(e->restore_point.name));
	if (memchr(e->restore_point.name, 0, sizeof(e->restore_point.name)) == NULL)
		c->bad = true;
}

static enum sw_wal_event_kind
read_xlog(const struct sw_wal_format *format, uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	switch (info) {
	case 0x00:
	case 0x10:
		e->checkpoint.shutdown = info == 0x00;
		read_checkpoint(c, e);
		return SW_WAL_CHECKPOINT;
	case 0x40:
		return SW_WAL_SWITCH;
	case 0x50:
		e->backup_end.start = take_u64(c);
		return SW_WAL_BACKUP_END;
	case 0x60:
		read_parameters(c, e);
		return SW_WAL_PARAMETERS;
	case 0x70:
		read_restore_point(c, e);
		return SW_WAL_RESTORE_POINT;
	case 0x90:
		e->end_of_recovery.time_us = take_time(c);
		e->end_of_recovery.timeline = take_u32(c);
		e->end_of_recovery.previous_timeline = take_u32(c);
		return SW_WAL_END_OF_RECOVERY;
	case 0xD0:
		e->overwrite.overwritten = take_u64(c);
		e->overwrite.time_us = take_time(c);
		return SW_WAL_OVERWRITE;
	case 0xE0:
		return format->major >= 17 ? SW_WAL_REDO : SW_WAL_NOTHING;
	}
	return SW_WAL_NOTHING;
}

/* --- XACT ---------------------------------------------------------------------------------- */

/* access/xact.h: what a commit or abort record contains */
enum {
	HAS_DATABASE = 1 << 0,
	HAS_SUBXIDS = 1 << 1,
	HAS_RELATIONS = 1 << 2,
	HAS_INVALIDATIONS = 1 << 3,
	HAS_TWOPHASE = 1 << 4,
	HAS_GID = 1 << 7,
	HAS_STATISTICS = 1 << 8,
};
#define HAS_INFO 0x80

static void
take_gid(struct cursor *c, struct sw_wal_transaction *t)
{
	const uint8_t *end = c->kept > 0 ? memchr(c->at, 0, c->kept) : NULL;

	if (end == NULL) {
		if (c->kept == c->whole)
			c->bad = true;
		c->cut = true;
		return;
	}
	t->gid = (const char *)c->at;
	t->gid_len = (size_t)(end - c->at);
	skip(c, t->gid_len + 1);
}

static void
read_end_of_transaction(const struct sw_wal_format *format, uint8_t info, bool commit, struct cursor *c,
	struct sw_wal_transaction *t)
{
	uint32_t has;

	t->time_us = take_time(c);
	has = info & HAS_INFO ? take_u32(c) : 0;
	if (has & HAS_DATABASE) {
		t->database = take_u32(c);
		skip(c, 4);
	}
	if (has & HAS_SUBXIDS)
		t->subxids = take_list(c, 4);
	if (has & HAS_RELATIONS)
		t->relations = take_list(c, RELATION_LEN);
	if (has & HAS_STATISTICS && format->major >= 15)
		t->statistics = take_list(c, statistic_len(format));
	if (has & HAS_INVALIDATIONS && commit)
		t->invalidations = take_list(c, INVALIDATION_LEN);
	if (has & HAS_TWOPHASE) {
		t->xid = take_u32(c);
		if (has & HAS_GID && !c->cut)
			take_gid(c, t);
	}
}

static struct sw_wal_list
take_padded(struct cursor *c, uint32_t count, uint8_t item_len)
{
	struct sw_wal_list list = take_items(c, count, item_len);

	align(c, (size_t)count * item_len);
	return list;
}

/* xl_xact_prepare, the begin of a file of pg_twophase */
static void
read_prepare(const struct sw_wal_format *format, struct cursor *c, struct sw_wal_transaction *t)
{
	uint32_t subxids, commit_relations, abort_relations, commit_statistics = 0, abort_statistics = 0;
	uint32_t invalidations;
	uint16_t gid_len;
	const uint8_t *gid;

	skip(c, 8);
	t->xid = take_u32(c);
	t->database = take_u32(c);
	t->time_us = take_time(c);
	skip(c, 4);
	subxids = take_u32(c);
	commit_relations = take_u32(c);
	abort_relations = take_u32(c);
	if (format->major >= 15) {
		commit_statistics = take_u32(c);
		abort_statistics = take_u32(c);
	}
	invalidations = take_u32(c);
	skip(c, 2);
	take(c, &gid_len, 2);
	skip(c, 16);
	gid = skip(c, gid_len);
	align(c, gid_len);
	if (gid != NULL && gid_len > 0) {
		t->gid = (const char *)gid;
		t->gid_len = strnlen(t->gid, gid_len);
	}
	t->subxids = take_padded(c, subxids, 4);
	t->relations = take_padded(c, commit_relations, RELATION_LEN);
	take_padded(c, abort_relations, RELATION_LEN);
	t->statistics = take_padded(c, commit_statistics, statistic_len(format));
	take_padded(c, abort_statistics, statistic_len(format));
	t->invalidations = take_padded(c, invalidations, INVALIDATION_LEN);
}

static enum sw_wal_event_kind
read_xact(const struct sw_wal_format *format, const struct sw_wal_record *record, struct cursor *c,
	struct sw_wal_event *e)
{
	uint8_t op = record->info & 0x70;
	struct sw_wal_transaction *t = &e->transaction;

	switch (op) {
	case 0x00: /* COMMIT */
	case 0x30: /* COMMIT PREPARED */
	case 0x20: /* ABORT */
	case 0x40: /* ABORT PREPARED */
		t->prepared = op == 0x30 || op == 0x40;
		t->xid = t->prepared ? 0 : record->xid;
		read_end_of_transaction(format, record->info, op == 0x00 || op == 0x30, c, t);
		return op == 0x00 || op == 0x30 ? SW_WAL_COMMIT : SW_WAL_ABORT;
	case 0x10:
		t->prepared = true;
		read_prepare(format, c, t);
		return SW_WAL_PREPARE;
	case 0x50:
		e->assignment.top_xid = take_u32(c);
		e->assignment.subxids = take_list(c, 4);
		return SW_WAL_ASSIGNMENT;
	}
	return SW_WAL_NOTHING;
}

/* --- files, databases, tablespaces, maps, locks ----------------------------------------------- */

static struct sw_wal_relation
take_relation(struct cursor *c)
{
	struct sw_wal_relation relation;

	take(c, &relation, sizeof(relation));
	return relation;
}

static enum sw_wal_event_kind
read_smgr(uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	switch (info) {
	case 0x10:
		e->file.relation = take_relation(c);
		e->file.fork = (uint8_t)take_u32(c);
		return SW_WAL_FILE_CREATE;
	case 0x20:
		e->file.blocks = take_u32(c);
		e->file.relation = take_relation(c);
		e->file.flags = take_u32(c);
		return SW_WAL_FILE_TRUNCATE;
	}
	return SW_WAL_NOTHING;
}

/* 0x10 is DROP in 14, and CREATE by WAL in 15, where DROP is 0x20. */
static enum sw_wal_event_kind
read_database(const struct sw_wal_format *format, uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	bool by_wal = format->major >= 15 && info == 0x10;

	if (info == 0x00 || by_wal) {
		e->database.database = take_u32(c);
		e->database.tablespace = take_u32(c);
		e->database.source = by_wal ? 0 : take_u32(c);
		e->database.source_tablespace = by_wal ? 0 : take_u32(c);
		return SW_WAL_DATABASE_CREATE;
	}
	if (info == (format->major >= 15 ? 0x20 : 0x10)) {
		e->database.database = take_u32(c);
		e->database.tablespaces = take_list(c, 4);
		return SW_WAL_DATABASE_DROP;
	}
	return SW_WAL_NOTHING;
}

static enum sw_wal_event_kind
read_tablespace(uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	if (info != 0x00 && info != 0x10)
		return SW_WAL_NOTHING;
	e->tablespace.oid = take_u32(c);
	if (info == 0x00) {
		e->tablespace.path = (const char *)c->at;
		e->tablespace.path_len = c->kept > 0 ? strnlen((const char *)c->at, c->kept) : 0;
	}
	return info == 0x00 ? SW_WAL_TABLESPACE_CREATE : SW_WAL_TABLESPACE_DROP;
}

/* xl_relmap_update, then a RelMapFile: magic, count, pairs */
static enum sw_wal_event_kind
read_relation_map(uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	if (info != 0x00)
		return SW_WAL_NOTHING;
	e->relation_map.database = take_u32(c);
	e->relation_map.tablespace = take_u32(c);
	skip(c, 8);
	e->relation_map.pairs = take_list(c, PAIR_LEN);
	return SW_WAL_RELATION_MAP;
}

static enum sw_wal_event_kind
read_standby(uint8_t info, struct cursor *c, struct sw_wal_event *e)
{
	if (info != 0x00)
		return SW_WAL_NOTHING;
	e->locks = take_list(c, LOCK_LEN);
	return SW_WAL_LOCKS;
}

/* --- HEAP --------------------------------------------------------------------------------------- */

#define DELETE_IS_SUPER 0x08 /* a speculative insertion is taken back */

static enum sw_wal_event_kind
set_rows(struct sw_wal_event *e, enum sw_wal_row_change change, const struct sw_wal_parts *parts, uint32_t count,
	uint16_t offset, struct cursor *c)
{
	const struct sw_wal_block *block = sw_wal_decode_block(parts, 0);

	if (block == NULL) {
		c->bad = true;
		return SW_WAL_NOTHING;
	}
	e->rows.change = change;
	e->rows.relation = block->relation;
	e->rows.block = block->number;
	e->rows.count = count;
	e->rows.offset = offset;
	return SW_WAL_ROWS;
}

static uint16_t
take_u16(struct cursor *c)
{
	uint16_t value;

	take(c, &value, sizeof(value));
	return value;
}

static uint8_t
take_u8(struct cursor *c)
{
	uint8_t value;

	take(c, &value, sizeof(value));
	return value;
}

static enum sw_wal_event_kind
read_update(const struct sw_wal_parts *parts, struct cursor *c, struct sw_wal_event *e)
{
	const struct sw_wal_block *old = sw_wal_decode_block(parts, 1), *block = old;

	if (old == NULL)
		block = sw_wal_decode_block(parts, 0);
	skip(c, 4);
	e->rows.old_offset = take_u16(c);
	e->rows.old_block = block != NULL ? block->number : 0;
	skip(c, 6);
	return set_rows(e, SW_WAL_UPDATE, parts, 1, take_u16(c), c);
}

static enum sw_wal_event_kind
read_heap(uint8_t info, const struct sw_wal_parts *parts, struct cursor *c, struct sw_wal_event *e)
{
	uint16_t offset;

	switch (info & 0x70) {
	case 0x00:
		return set_rows(e, SW_WAL_INSERT, parts, 1, take_u16(c), c);
	case 0x10:
		skip(c, 4);
		offset = take_u16(c);
		skip(c, 1);
		if (take_u8(c) & DELETE_IS_SUPER)
			return SW_WAL_NOTHING;
		return set_rows(e, SW_WAL_DELETE, parts, 1, offset, c);
	case 0x20:
	case 0x40: /* on the same page */
		return read_update(parts, c, e);
	case 0x30:
		e->truncate.database = take_u32(c);
		e->truncate.relations.whole_count = take_u32(c);
		skip(c, 4);
		e->truncate.relations = take_items(c, e->truncate.relations.whole_count, 4);
		return SW_WAL_TRUNCATE;
	case 0x70:
		return set_rows(e, SW_WAL_IN_PLACE, parts, 1, take_u16(c), c);
	}
	return SW_WAL_NOTHING;
}

static enum sw_wal_event_kind
read_heap2(uint8_t info, const struct sw_wal_parts *parts, struct cursor *c, struct sw_wal_event *e)
{
	if ((info & 0x70) != 0x50)
		return SW_WAL_NOTHING;
	skip(c, 2);
	return set_rows(e, SW_WAL_INSERT, parts, take_u16(c), 0, c);
}

/* --- all ------------------------------------------------------------------------------------------ */

bool
sw_wal_event_read(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	struct sw_wal_event *ret_event)
{
	const struct sw_wal_format *format = record->format;
	struct sw_wal_event e;
	struct cursor c = begin(parts);
	uint8_t info = record->info & 0xF0;

	memset(&e, 0, sizeof(e));
	switch (record->rmgr) {
	case SW_RMGR_XLOG:
		e.kind = read_xlog(format, info, &c, &e);
		break;
	case SW_RMGR_XACT:
		e.kind = read_xact(format, record, &c, &e);
		break;
	case SW_RMGR_SMGR:
		e.kind = read_smgr(info, &c, &e);
		break;
	case SW_RMGR_DBASE:
		e.kind = read_database(format, info, &c, &e);
		break;
	case SW_RMGR_TBLSPC:
		e.kind = read_tablespace(info, &c, &e);
		break;
	case SW_RMGR_RELMAP:
		e.kind = read_relation_map(info, &c, &e);
		break;
	case SW_RMGR_STANDBY:
		e.kind = read_standby(info, &c, &e);
		break;
	case SW_RMGR_HEAP:
		e.kind = read_heap(info, parts, &c, &e);
		break;
	case SW_RMGR_HEAP2:
		e.kind = read_heap2(info, parts, &c, &e);
		break;
	}
	if (c.bad)
		return false;
	e.cut = c.cut;
	*ret_event = e;
	return true;
}
