#include "base/xxh3.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/xxh3_avx2.h"

#define XXH_INLINE_ALL
#define LINKAGE static
#define CODE(name) plain_##name
#include "base/xxh3_code.h"

/* Both codes keep the same state: libxxhash's, of the header that both were compiled with. */
struct sw_xxh3 {
	XXH3_state_t state;
};

static bool
is_wide(void)
{
#ifdef SW_XXH3_AVX2
	return __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

struct sw_xxh3 *
sw_xxh3_new(void)
{
	struct sw_xxh3 *hash = aligned_alloc(_Alignof(struct sw_xxh3), sizeof(*hash));

	if (hash != NULL)
		plain_reset(&hash->state);
	return hash;
}

void
sw_xxh3_free(struct sw_xxh3 *hash)
{
	free(hash);
}

void
sw_xxh3_update(struct sw_xxh3 *hash, const void *data, size_t len)
{
	if (is_wide())
		sw_xxh3_avx2_update(&hash->state, data, len);
	else
		plain_update(&hash->state, data, len);
}

void
sw_xxh3_digest(const struct sw_xxh3 *hash, uint8_t ret_hash[SW_XXH3_LEN])
{
	plain_digest(&hash->state, ret_hash);
}

void
sw_xxh3(const void *data, size_t len, uint8_t ret_hash[SW_XXH3_LEN])
{
	if (is_wide())
		sw_xxh3_avx2_once(data, len, ret_hash);
	else
		plain_once(data, len, ret_hash);
}
