/*
 * xxh3.h - XXH3-128 (unkeyed) as fast as this processor can, and without a library to be loaded.
 */
#ifndef SW_BASE_XXH3_H
#define SW_BASE_XXH3_H

#include <stddef.h>
#include <stdint.h>

#define SW_XXH3_LEN 16 /* in canonical (big-endian) form */

struct sw_xxh3;

/* NULL: out of memory. */
struct sw_xxh3 *sw_xxh3_new(void);
void sw_xxh3_free(struct sw_xxh3 *hash);
void sw_xxh3_update(struct sw_xxh3 *hash, const void *data, size_t len);
void sw_xxh3_digest(const struct sw_xxh3 *hash, uint8_t ret_hash[SW_XXH3_LEN]);

/* Of one piece of memory. */
void sw_xxh3(const void *data, size_t len, uint8_t ret_hash[SW_XXH3_LEN]);

#endif
