/*
 * record.h - one WAL record: XLogRecord of access/xlogrecord.h, PostgreSQL 14 … 18.
 */
#ifndef SW_WAL_RECORD_H
#define SW_WAL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pg/names.h"

#define SW_WAL_RECORD_HEADER 24
#define SW_WAL_RECORD_MAX (1u << 30) /* no server writes a longer one */

struct sw_wal_format;

/* A record that was found right. */
struct sw_wal_record {
	const struct sw_wal_format *format; /* wal/format.h */
	sw_lsn lsn;         /* where it begins, behind a page's header */
	sw_lsn end;         /* exclusive, padded to 8 bytes; may be the begin of a page, before its header; of a switch
	                     * record that of the segment */
	sw_lsn prev;        /* the record before */
	uint32_t total_len; /* with its header, without page headers */
	uint32_t xid;       /* 32 bits; 0: none */
	uint32_t timeline;  /* of the page where it begins, which may be the parent's */
	uint8_t rmgr, info;
	const uint8_t *data; /* the record's bytes from its header on, without page headers */
	size_t data_len;     /* less than total_len if it is longer than what is kept */
};

/* Field by field, so that a record may lie anywhere. */
struct sw_wal_record_header {
	uint32_t total_len, xid;
	sw_lsn prev;
	uint8_t info, rmgr;
	uint32_t crc; /* of all behind the header, then of the header's first 20 bytes */
};

static inline struct sw_wal_record_header
sw_wal_record_header_read(const uint8_t bytes[SW_WAL_RECORD_HEADER])
{
	struct sw_wal_record_header header;

	memcpy(&header.total_len, bytes, 4);
	memcpy(&header.xid, bytes + 4, 4);
	memcpy(&header.prev, bytes + 8, 8);
	header.info = bytes[16];
	header.rmgr = bytes[17];
	memcpy(&header.crc, bytes + 20, 4);
	return header;
}

/* Where the next record or header may begin: MAXALIGN. */
static inline uint64_t
sw_wal_record_align(uint64_t at)
{
	return (at + 7) & ~UINT64_C(7);
}

/* The CRC that a record must have, from that of what is behind its header. */
uint32_t sw_wal_record_crc(uint32_t crc_behind_header, const uint8_t header[SW_WAL_RECORD_HEADER]);

/* XLOG's record that ends a segment early. */
static inline bool
sw_wal_record_is_switch(uint8_t rmgr, uint8_t info)
{
	return rmgr == 0 && (info & 0xF0) == 0x40;
}

/*
 * XLOG_OVERWRITE_CONTRECORD, written by a server that had lost the end of the last record.
 * bytes: the whole record, len of it.  True if it is one and well-formed.
 */
bool sw_wal_record_overwrites(const uint8_t *bytes, size_t len, sw_lsn *ret_overwritten);

#endif
