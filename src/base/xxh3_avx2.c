#include "base/xxh3_avx2.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#ifdef SW_XXH3_AVX2
#include <immintrin.h>

/* Only what is defined from here on: the rest of this file's headers stays what every processor can run. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define XXH_INLINE_ALL
#define XXH_VECTOR 2 /* XXH_AVX2 */
#define LINKAGE
#define CODE(name) sw_xxh3_avx2_##name
#include "base/xxh3_code.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
