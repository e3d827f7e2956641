#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

/* --- polynomials ------------------------------------------------------------------- */

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

/* x^(8 * len). */
static uint32_t
shift_by(uint64_t len)
{
	uint32_t shift = ONE, power = ONE >> 8;

	for (; len > 0; len >>= 1) {
		if (len & 1)
			shift = multiply(shift, power);
		power = multiply(power, power);
	}
	return shift;
}

uint32_t
sw_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t b_len)
{
	return multiply(shift_by(b_len), crc_a) ^ crc_b;
}

/* --- the processor's instruction ----------------------------------------------------- */

#if defined(__x86_64__)
#define TARGET __attribute__((target("sse4.2,pclmul")))

/*
 * One instruction waits three cycles for the one before, so three lanes go side by side.  What a lane's CRC is worth
 * `len` bytes later is its product with x^(8 * len); the instruction that reduces the product multiplies by x^33 too.
 */
#define LONG_LANE 256
#define SHORT_LANE 64

struct lane_factors {
	uint64_t one, two; /* for the lane with one behind it, with two */
};

static struct lane_factors long_factors, short_factors;
static pthread_once_t factors_once = PTHREAD_ONCE_INIT;

static struct lane_factors
make_factors(uint64_t lane)
{
	uint32_t back = shift_by(lane - 5);

	/* x^(8 * lane - 33) */
	for (int bit = 0; bit < 7; bit++)
		back = multiply(back, ONE >> 1);
	return (struct lane_factors){.one = back, .two = multiply(back, shift_by(lane))};
}

static void
make_all_factors(void)
{
	long_factors = make_factors(LONG_LANE);
	short_factors = make_factors(SHORT_LANE);
}

TARGET static inline uint64_t
word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

TARGET static inline uint64_t
crc32c_lanes(uint64_t crc, const uint8_t *p, size_t lane, const struct lane_factors *factors)
{
	uint64_t second = 0, third = 0;
	__m128i a, b;

	for (size_t i = 0; i < lane; i += 8) {
		crc = _mm_crc32_u64(crc, word_at(p + i));
		second = _mm_crc32_u64(second, word_at(p + lane + i));
		third = _mm_crc32_u64(third, word_at(p + 2 * lane + i));
	}
	a = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128((int64_t)factors->two), 0);
	b = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)second), _mm_cvtsi64_si128((int64_t)factors->one), 0);
	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(a, b))) ^ third;
}

TARGET static uint32_t
crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t crc64 = crc;

	if (len >= 3 * SHORT_LANE)
		pthread_once(&factors_once, make_all_factors);
	for (; len >= 3 * LONG_LANE; p += 3 * LONG_LANE, len -= 3 * LONG_LANE)
		crc64 = crc32c_lanes(crc64, p, LONG_LANE, &long_factors);
	for (; len >= 3 * SHORT_LANE; p += 3 * SHORT_LANE, len -= 3 * SHORT_LANE)
		crc64 = crc32c_lanes(crc64, p, SHORT_LANE, &short_factors);
	for (; len >= 8; p += 8, len -= 8)
		crc64 = _mm_crc32_u64(crc64, word_at(p));
	crc = (uint32_t)crc64;
	for (; len > 0; p++, len--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}
#endif

uint32_t
sw_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return ~crc32c_sse42(~crc, data, len);
#endif
	return ~crc32c_table(~crc, data, len);
}
