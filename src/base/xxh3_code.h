/*
 * xxh3_code.h - the same functions for one instruction set; included by xxh3.c and xxh3_avx2.c, which name them by CODE() and say LINKAGE.
 */
#include <xxhash.h>

LINKAGE void
CODE(reset)(void *state)
{
	XXH3_128bits_reset(state);
}

LINKAGE void
CODE(update)(void *state, const void *data, size_t len)
{
	XXH3_128bits_update(state, data, len);
}

LINKAGE void
CODE(digest)(const void *state, uint8_t ret_hash[SW_XXH3_LEN])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(ret_hash, canonical.digest, SW_XXH3_LEN);
}

LINKAGE void
CODE(once)(const void *data, size_t len, uint8_t ret_hash[SW_XXH3_LEN])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
	memcpy(ret_hash, canonical.digest, SW_XXH3_LEN);
}
