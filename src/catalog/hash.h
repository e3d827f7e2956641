/*
 * hash.h - items of one size, found by a key of two numbers; several may have the same key.
 */
#ifndef SW_CATALOG_HASH_H
#define SW_CATALOG_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Each item begins with it; what follows is the user's. */
struct sw_hash_key {
	uint32_t a, b;
	int32_t next; /* private */
};

struct sw_hash {
	const char *what; /* the items, for words: "relations" */
	uint32_t max;     /* of items: more of them is SW_CORRUPT */
	uint32_t count;   /* items that are there */
	/* private */
	size_t item_len;
	uint8_t *items;
	int32_t *buckets, free;
	uint32_t used, capacity, bucket_count;
};

/* what: borrowed for good.  max: at most INT32_MAX. */
void sw_hash_init(struct sw_hash *hash, const char *what, size_t item_len, uint32_t max);
void sw_hash_release(struct sw_hash *hash);

/* Pointers to items are valid until the next sw_hash_add.  find: NULL: none; next: another one with the same key. */
void *sw_hash_find(const struct sw_hash *hash, uint32_t a, uint32_t b);
void *sw_hash_next(const struct sw_hash *hash, const void *item);

/* A new item, zeroed behind its key.  SW_OK, SW_CORRUPT (max), SW_SYSTEM. */
sw_rc sw_hash_add(struct sw_hash *hash, uint32_t a, uint32_t b, void *ret_item, struct sw_error *err);
void sw_hash_remove(struct sw_hash *hash, void *item);

/* All items: start with *at = 0; NULL at the end.  The item given may be removed. */
void *sw_hash_each(const struct sw_hash *hash, uint32_t *at);

/* ret_copy: not initialised before; on failure nothing is to be released.  SW_OK, SW_SYSTEM. */
sw_rc sw_hash_copy(const struct sw_hash *hash, struct sw_hash *ret_copy, struct sw_error *err);

#endif
