/*
 * page.h - checksums of data pages.  PostgreSQL storage/bufpage.h and checksum_impl.h.
 */
#ifndef SW_PG_PAGE_H
#define SW_PG_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/names.h"

/* pg_checksum_page for any legal block size (1 … 32 KiB, power of two).
 * page: borrowed, not changed, 4-byte aligned.  Vectorisable; as fast as the server's. */
uint16_t sw_page_checksum(const void *page, uint32_t block_size, uint32_t block_number);

/* True for a page never initialised (pd_upper 0): it has no checksum. */
bool sw_page_is_new(const void *page);

/* pd_checksum as stored, and pd_lsn. */
uint16_t sw_page_stored_checksum(const void *page);
sw_lsn sw_page_lsn(const void *page);

#endif
