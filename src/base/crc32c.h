/*
 * crc32c.h - CRC-32C (Castagnoli), the pg_crc32c of PostgreSQL's WAL and files.  Hardware where there is any.
 */
#ifndef SW_BASE_CRC32C_H
#define SW_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with 0; the result of one piece is the start of the next. */
uint32_t sw_crc32c(uint32_t crc, const void *data, size_t len);

/* The CRC of A followed by B, from crc_a = CRC of A, crc_b = CRC of B, b_len = bytes of B. */
uint32_t sw_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t b_len);

#endif
