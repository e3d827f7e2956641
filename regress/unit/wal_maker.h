/*
 * wal_maker.h - WAL for tests: records laid over pages as a server would, and then spoilt.
 */
#ifndef SW_REGRESS_WAL_MAKER_H
#define SW_REGRESS_WAL_MAKER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pg/names.h"
#include "wal/page.h"
#include "wal/record.h"

#define MAKER_SYSTEM_ID UINT64_C(7710216540988632115)

struct wal_maker {
	uint16_t magic;
	uint32_t block, segment, timeline;
	sw_lsn start, at; /* of the first byte; of the next record */
	sw_lsn prev;      /* what the next record follows */
	sw_lsn last;      /* where the last record begins */
	uint8_t *bytes;
	size_t len;
};

static void
maker_init(struct wal_maker *w, uint32_t block, uint32_t segment, unsigned segments, sw_lsn start)
{
	*w = (struct wal_maker){
		.magic = 0xD110, .block = block, .segment = segment, .timeline = 1, .start = start, .at = start,
		.prev = start < 100 ? 0 : start - 96, .len = (size_t)segment * segments,
	};
	w->bytes = calloc(1, w->len);
}

static void
maker_release(struct wal_maker *w)
{
	free(w->bytes);
}

static uint8_t *
maker_byte(const struct wal_maker *w, sw_lsn lsn)
{
	return w->bytes + (lsn - w->start);
}

/* The header of the page at w->at; moves behind it. */
static void
maker_page(struct wal_maker *w, uint16_t info, uint32_t remaining)
{
	uint8_t *p = maker_byte(w, w->at);
	uint64_t system_id = MAKER_SYSTEM_ID;

	if (w->at % w->segment == 0)
		info |= SW_WAL_PAGE_IS_LONG;
	memcpy(p, &w->magic, 2);
	memcpy(p + 2, &info, 2);
	memcpy(p + 4, &w->timeline, 4);
	memcpy(p + 8, &w->at, 8);
	memcpy(p + 16, &remaining, 4);
	if (info & SW_WAL_PAGE_IS_LONG) {
		memcpy(p + 24, &system_id, 8);
		memcpy(p + 32, &w->segment, 4);
		memcpy(p + 36, &w->block, 4);
	}
	w->at += info & SW_WAL_PAGE_IS_LONG ? SW_WAL_PAGE_LONG : SW_WAL_PAGE_SHORT;
}

/* Bytes from w->at on, over pages; false when the memory ends before them. */
static bool
maker_lay(struct wal_maker *w, const uint8_t *p, uint32_t len, bool begins)
{
	while (len > 0) {
		uint32_t room, n;

		if (w->at - w->start >= w->len)
			return false;
		if (w->at % w->block == 0)
			maker_page(w, begins ? 0 : SW_WAL_PAGE_CONTRECORD, begins ? 0 : len);
		room = w->block - (uint32_t)(w->at % w->block);
		n = len < room ? len : room;
		memcpy(maker_byte(w, w->at), p, n);
		w->at += n;
		p += n;
		len -= n;
		begins = false;
	}
	return true;
}

/* Header and CRC into `record` (24 bytes, then total_len - 24 that are there already). */
static void
maker_seal(uint8_t *record, uint32_t total_len, uint32_t xid, sw_lsn prev, uint8_t rmgr, uint8_t info)
{
	uint32_t crc;

	memset(record, 0, 24);
	memcpy(record, &total_len, 4);
	memcpy(record + 4, &xid, 4);
	memcpy(record + 8, &prev, 8);
	record[16] = info;
	record[17] = rmgr;
	crc = sw_crc32c(sw_crc32c(0, record + 24, total_len - 24), record, 20);
	memcpy(record + 20, &crc, 4);
}

/* One record whose content is `data` (total_len - 24 bytes) or, if NULL, of random bytes.  False: the end. */
static bool
maker_add(struct wal_maker *w, uint32_t total_len, uint32_t xid, uint8_t rmgr, uint8_t info, const void *data)
{
	uint8_t *record = calloc(1, total_len);
	sw_lsn at = w->at;
	bool whole;

	if (at - w->start < w->len && at % w->block == 0)
		at += at % w->segment == 0 ? SW_WAL_PAGE_LONG : SW_WAL_PAGE_SHORT;
	for (uint32_t i = 24; i < total_len; i++)
		record[i] = data != NULL ? ((const uint8_t *)data)[i - 24] : (uint8_t)random();
	maker_seal(record, total_len, xid, w->prev, rmgr, info);
	whole = maker_lay(w, record, total_len, true);
	free(record);
	w->at = (w->at + 7) & ~UINT64_C(7);
	w->prev = w->last = at;
	return whole;
}

/* XLOG_SWITCH: the rest of the segment is left as it is. */
static inline void
maker_switch(struct wal_maker *w)
{
	maker_add(w, 24, 0, 0, 0x40, NULL);
	w->at = (w->at + w->segment - 1) / w->segment * w->segment;
}

/* A record that a crash cut off at a page's end, and what replaces it. */
static inline void
maker_overwrite(struct wal_maker *w, sw_lsn aborted, sw_lsn prev)
{
	uint8_t data[18] = {255, 16};

	memcpy(data + 2, &aborted, 8);
	w->prev = prev;
	maker_page(w, SW_WAL_PAGE_OVERWRITE, 0);
	maker_add(w, 42, 0, 0, 0xD0, data);
}

#endif
