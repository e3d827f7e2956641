/*
 * page.h - the header of a WAL page: XLogPageHeaderData and XLogLongPageHeaderData of
 * access/xlog_internal.h, the same in PostgreSQL 14 … 18.
 */
#ifndef SW_WAL_PAGE_H
#define SW_WAL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/names.h"

#define SW_WAL_PAGE_SHORT 24 /* bytes of a header, padded */
#define SW_WAL_PAGE_LONG 40
#define SW_WAL_BLOCK_MIN 1024
#define SW_WAL_BLOCK_MAX 65536

/* sw_wal_page.info */
#define SW_WAL_PAGE_CONTRECORD 0x0001 /* begins with the rest of a record */
#define SW_WAL_PAGE_IS_LONG 0x0002
#define SW_WAL_PAGE_REMOVABLE 0x0004
#define SW_WAL_PAGE_OVERWRITE 0x0008  /* the record before was never finished */
#define SW_WAL_PAGE_ALL_INFO 0x000F

struct sw_wal_page {
	uint16_t magic, info;
	uint32_t timeline; /* of the first record on the page */
	sw_lsn address;
	uint32_t remaining; /* with CONTRECORD: bytes of that record on this and later pages */
	/* with IS_LONG, else 0: */
	uint64_t system_identifier;
	uint32_t segment_size, block_size;
};

/* bytes: SW_WAL_PAGE_LONG at least.  Nothing is checked. */
struct sw_wal_page sw_wal_page_read(const uint8_t *bytes);

static inline size_t
sw_wal_page_header_len(const struct sw_wal_page *page)
{
	return page->info & SW_WAL_PAGE_IS_LONG ? SW_WAL_PAGE_LONG : SW_WAL_PAGE_SHORT;
}

/* A long header with legal sizes that fit each other: what begins a segment, whoever wrote it. */
bool sw_wal_page_begins_segment(const struct sw_wal_page *page);

#endif
