#include "pg/page.h"

#include <string.h>

/* PageHeaderData, storage/bufpage.h: pd_lsn (two halves), pd_checksum, pd_flags, pd_lower, pd_upper. */
#define PD_CHECKSUM 8
#define PD_UPPER 14

/*
 * The checksum runs 32 FNV-1a hashes side by side, one for each 32-bit column of rows of 128 bytes.
 * Vectors of eight keep them in registers; without AVX2 the compiler splits them in two.
 */
#define LANES 8
#define VECTORS 4
#define ROW_LEN (LANES * VECTORS * 4)
#define FNV_PRIME 16777619u

typedef uint32_t lanes __attribute__((vector_size(LANES * 4)));

static const uint32_t base_offsets[LANES * VECTORS] = {
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};

static inline __attribute__((always_inline)) void
mix_row(lanes sums[VECTORS], const uint8_t *row)
{
#pragma GCC unroll 4
	for (int i = 0; i < VECTORS; i++) {
		lanes value;

		memcpy(&value, row + i * LANES * 4, sizeof(value));
		value ^= sums[i];
		sums[i] = value * FNV_PRIME ^ value >> 17;
	}
}

static inline __attribute__((always_inline)) uint32_t
checksum_block(const uint8_t *page, uint32_t block_size)
{
	static const uint8_t zeros[ROW_LEN];
	uint8_t first[ROW_LEN];
	uint32_t columns[LANES * VECTORS], result = 0;
	lanes sums[VECTORS];

	memcpy(sums, base_offsets, sizeof(sums));
	memcpy(first, page, sizeof(first));
	memset(first + PD_CHECKSUM, 0, 2);
	mix_row(sums, first);
	for (uint32_t at = ROW_LEN; at < block_size; at += ROW_LEN)
		mix_row(sums, page + at);
	mix_row(sums, zeros);
	mix_row(sums, zeros);
	memcpy(columns, sums, sizeof(columns));
	for (int i = 0; i < LANES * VECTORS; i++)
		result ^= columns[i];
	return result;
}

static uint32_t
checksum_block_any(const uint8_t *page, uint32_t block_size)
{
	return checksum_block(page, block_size);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t
checksum_block_avx2(const uint8_t *page, uint32_t block_size)
{
	return checksum_block(page, block_size);
}
#endif

uint16_t
sw_page_checksum(const void *page, uint32_t block_size, uint32_t block_number)
{
	uint32_t sum;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		sum = checksum_block_avx2(page, block_size);
	else
#endif
		sum = checksum_block_any(page, block_size);
	return (uint16_t)((sum ^ block_number) % 65535 + 1);
}

static uint16_t
get_u16(const void *page, size_t at)
{
	uint16_t value;

	memcpy(&value, (const uint8_t *)page + at, sizeof(value));
	return value;
}

bool
sw_page_is_new(const void *page)
{
	return get_u16(page, PD_UPPER) == 0;
}

uint16_t
sw_page_stored_checksum(const void *page)
{
	return get_u16(page, PD_CHECKSUM);
}

sw_lsn
sw_page_lsn(const void *page)
{
	uint32_t halves[2];

	memcpy(halves, page, sizeof(halves));
	return (uint64_t)halves[0] << 32 | halves[1];
}
