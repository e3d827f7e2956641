/*
 * xxh3_avx2.h - what xxh3.c calls where the processor has AVX2: twice as fast as the SSE2 that every x86-64 has.
 */
#ifndef SW_BASE_XXH3_AVX2_H
#define SW_BASE_XXH3_AVX2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/xxh3.h"

#if defined(__x86_64__)
#define SW_XXH3_AVX2
#endif

/* state: an XXH3_state_t. */
void sw_xxh3_avx2_reset(void *state);
void sw_xxh3_avx2_update(void *state, const void *data, size_t len);
void sw_xxh3_avx2_digest(const void *state, uint8_t ret_hash[SW_XXH3_LEN]);
void sw_xxh3_avx2_once(const void *data, size_t len, uint8_t ret_hash[SW_XXH3_LEN]);

#endif
