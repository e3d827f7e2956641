/*
 * Hostile WAL: raw bytes as a segment; records with hostile content and right CRCs; a record alone, kept in part;
 * fragments that do not belong together.  The first byte chooses.
 */
#include "../unit/wal_maker.h"
#include "fuzz.h"
#include "wal/fragment.h"
#include "wal/meaning.h"
#include "wal/reader.h"

#define SEGMENT (1024 * 1024)

static const uint16_t magics[] = {0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};

/* Every list is walked, as a catalog would. */
static sw_rc
look_at(void *ctx, const struct sw_wal_news *n, struct sw_error *err)
{
	const struct sw_wal_event *e = n->event;
	uint64_t *sum = ctx;
	uint32_t oid, filenode;

	(void)err;
	*sum += n->xid + (n->row != NULL ? strlen(n->row->name) : 0);
	if (e->kind == SW_WAL_COMMIT || e->kind == SW_WAL_ABORT || e->kind == SW_WAL_PREPARE) {
		const struct sw_wal_transaction *t = &e->transaction;

		for (uint32_t i = 0; i < t->subxids.count; i++)
			*sum += sw_wal_event_u32(&t->subxids, i);
		for (uint32_t i = 0; i < t->relations.count; i++)
			*sum += sw_wal_event_relation(&t->relations, i).filenode;
		for (uint32_t i = 0; i < t->statistics.count; i++)
			*sum += sw_wal_event_statistic(&t->statistics, i).object;
		for (uint32_t i = 0; i < t->invalidations.count; i++)
			*sum += sw_wal_event_invalidation(&t->invalidations, i).object;
		for (size_t i = 0; i < t->gid_len; i++)
			*sum += (uint8_t)t->gid[i];
	}
	for (uint32_t i = 0; e->kind == SW_WAL_LOCKS && i < e->locks.count; i++)
		*sum += sw_wal_event_lock(&e->locks, i).relation;
	for (uint32_t i = 0; e->kind == SW_WAL_ASSIGNMENT && i < e->assignment.subxids.count; i++)
		*sum += sw_wal_event_u32(&e->assignment.subxids, i);
	for (uint32_t i = 0; e->kind == SW_WAL_TRUNCATE && i < e->truncate.relations.count; i++)
		*sum += sw_wal_event_u32(&e->truncate.relations, i);
	for (uint32_t i = 0; e->kind == SW_WAL_DATABASE_DROP && i < e->database.tablespaces.count; i++)
		*sum += sw_wal_event_u32(&e->database.tablespaces, i);
	for (uint32_t i = 0; e->kind == SW_WAL_RELATION_MAP && i < e->relation_map.pairs.count; i++) {
		sw_wal_event_pair(&e->relation_map.pairs, i, &oid, &filenode);
		*sum += oid;
	}
	for (size_t i = 0; e->kind == SW_WAL_TABLESPACE_CREATE && i < e->tablespace.path_len; i++)
		*sum += (uint8_t)e->tablespace.path[i];
	if (e->kind == SW_WAL_RESTORE_POINT)
		*sum += strlen(e->restore_point.name);
	return SW_OK;
}

static void
read_bytes(const uint8_t *bytes, size_t len, sw_lsn start, size_t piece, struct sw_wal_meaning *meaning)
{
	struct sw_wal_reader_params params = {
		.start = start, .segment_size = SEGMENT, .each = sw_wal_meaning_record, .ctx = meaning, .record_max = 20000,
	};
	struct sw_wal_reader *reader = malloc(sizeof(*reader));
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_wal_reader_init(reader, &params, NULL, &err);

	for (size_t at = 0; rc == SW_OK && at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		uint8_t *copy = malloc(n); /* so that a read behind a piece is seen */

		memcpy(copy, bytes + at, n);
		rc = sw_stage_write(&reader->stage, copy, n, &err);
		free(copy);
	}
	if (rc == SW_OK)
		rc = sw_stage_finish(&reader->stage, &err);
	MUST(rc == SW_OK);
	MUST(reader->result.valid_to >= start && reader->result.valid_to <= start + len);
	MUST((reader->result.verdict == SW_WAL_COMPLETE) == (reader->result.reason[0] == '\0'));
	sw_wal_reader_release(reader);
	free(reader);
}

/* As it comes, but for the size of segments, and at the address that its first page tells. */
static void
read_raw(uint8_t how, const uint8_t *data, size_t size, struct sw_wal_meaning *meaning)
{
	const uint32_t segment = SEGMENT;
	uint8_t *copy = malloc(size + 1);
	sw_lsn start = 0;

	memcpy(copy, data, size);
	if (size >= 40) {
		memcpy(copy + 32, &segment, 4);
		memcpy(&start, copy + 8, 8);
	}
	read_bytes(copy, size, start / SEGMENT * SEGMENT, 1 + how * 64, meaning);
	free(copy);
}

/* The input says of each record: length (2), resource manager, info, xid (1); then its content. */
static void
read_made(uint8_t how, const uint8_t *data, size_t size, struct sw_wal_meaning *meaning)
{
	struct wal_maker w;
	size_t spoil = size > 3 ? data[0] | (size_t)data[1] << 8 : 0;

	maker_init(&w, 1024, SEGMENT, 1, SEGMENT);
	w.magic = magics[how / 8 % 5];
	while (size >= 5 && w.at - w.start < 100000) {
		uint32_t want = (data[0] | (uint32_t)data[1] << 8) % 3000, len = want < size - 5 ? want : (uint32_t)(size - 5);

		maker_add(&w, 24 + len, data[4], data[2], data[3], data + 5);
		data += 5 + len;
		size -= 5 + len;
	}
	if (how & 4)
		w.bytes[spoil] ^= 1;
	read_bytes(w.bytes, (size_t)(w.at - w.start + 3000) / 1024 * 1024, w.start, 1 + spoil % 5000, meaning);
	maker_release(&w);
}

/* Resource manager, info, content. */
static void
read_record(uint8_t how, const uint8_t *data, size_t len, struct sw_wal_meaning *meaning)
{
	struct sw_error err = SW_ERROR_INIT;
	size_t size = len < 2 ? 0 : len - 2, kept = size - (how & 4 ? size / 2 : 0);
	uint8_t *copy = malloc(24 + kept);
	struct sw_wal_record record = {
		.format = sw_wal_format_find(magics[how / 8 % 5]), .lsn = 4096, .end = 8192, .xid = 700,
		.rmgr = len > 0 ? data[0] % 12 : 0, .info = len > 1 ? data[1] : 0, .total_len = (uint32_t)(24 + size),
		.data = copy, .data_len = 24 + kept,
	};

	memset(copy, 0, 24);
	memcpy(copy + 24, data + (len - size), kept);
	sw_wal_meaning_record(meaning, &record, &err);
	free(copy);
}

static void
join_fragments(const uint8_t *data, size_t size)
{
	struct sw_wal_fragment *f = calloc(3, sizeof(*f));
	const struct sw_wal_fragment *tails[] = {&f[1], &f[2]};
	struct sw_wal_joint joint = {.head = &f[0], .tails = tails, .tail_count = 1 + size % 2, .segment_begin = SEGMENT,
		.block_size = 8192, .format = sw_wal_format_find(0xD110)};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_record record;
	SW_AUTO_BUF bytes;

	sw_buf_init(&bytes, 16384);
	for (int i = 0; i < 3; i++) {
		size_t n = size < 40 ? size : 40;

		memcpy(&f[i], data, n < sizeof(f[i]) ? n : sizeof(f[i]));
		memcpy(f[i].bytes, data, n);
		data += n / 2;
		size -= n / 2;
	}
	if (sw_wal_fragment_join(&joint, &bytes, &record, &err) == SW_OK)
		MUST(record.data_len <= record.total_len);
	else
		must_be_told(err.rc, &err);
	free(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = 0;
	struct sw_wal_meaning_params params = {
		.next_xid = 700, .block_size = 1024, .changes_max = 8, .changes_min = 2, .each = look_at, .ctx = &sum,
	};
	struct sw_wal_meaning *meaning = malloc(sizeof(*meaning));
	struct sw_error err = SW_ERROR_INIT;
	uint8_t how;

	if (size == 0 || size > 200000 || sw_wal_meaning_init(meaning, &params, &err) != SW_OK) {
		free(meaning);
		return 0;
	}
	how = data[0];
	data++;
	size--;
	switch (how & 3) {
	case 0:
		read_raw(how, data, size, meaning);
		break;
	case 1:
		read_made(how, data, size, meaning);
		break;
	case 2:
		read_record(how, data, size, meaning);
		break;
	case 3:
		join_fragments(data, size);
		break;
	}
	sw_wal_meaning_release(meaning);
	free(meaning);
	return 0;
}
