#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t crc_tables[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
make_crc_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
		crc_tables[0][i] = crc;
	}
	for (int t = 1; t < 8; t++)
		for (int i = 0; i < 256; i++) {
			uint32_t crc = crc_tables[t - 1][i];

			crc_tables[t][i] = crc >> 8 ^ crc_tables[0][crc & 0xff];
		}
}

/* Eight bytes a step, each through its own table ("slicing by 8"). */
static uint32_t
crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
	pthread_once(&crc_once, make_crc_tables);
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			(uint32_t)p[3] << 24);

		crc = crc_tables[7][low & 0xff] ^ crc_tables[6][low >> 8 & 0xff] ^
			crc_tables[5][low >> 16 & 0xff] ^ crc_tables[4][low >> 24] ^
			crc_tables[3][p[4]] ^ crc_tables[2][p[5]] ^ crc_tables[1][p[6]] ^
			crc_tables[0][p[7]];
	}
	for (; len > 0; p++, len--)
		crc = crc >> 8 ^ crc_tables[0][(crc ^ *p) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t crc64 = crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		crc64 = __builtin_ia32_crc32di(crc64, word);
	}
	crc = (uint32_t)crc64;
	for (; len > 0; p++, len--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t
sw_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, data, len);
#endif
	return ~crc32c_table(~crc, data, len);
}

/* --- combination ------------------------------------------------------------------ */

/* Bit 31 is the coefficient of x^0: the reflected form, as in the CRC itself. */
#define ONE 0x80000000u

/* a * b modulo the polynomial. */
static uint32_t
multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = ONE; bit != 0; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b >> 1 ^ (b & 1 ? CRC32C_POLYNOMIAL : 0);
	}
	return product;
}

uint32_t
sw_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t b_len)
{
	uint32_t shift = ONE, power = ONE >> 8; /* x^8: one byte */

	for (; b_len > 0; b_len >>= 1) {
		if (b_len & 1)
			shift = multiply(shift, power);
		power = multiply(power, power);
	}
	return multiply(shift, crc_a) ^ crc_b;
}
