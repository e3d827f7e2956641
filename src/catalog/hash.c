#include "catalog/hash.h"

#include <stdlib.h>
#include <string.h>

#define NONE (-1)
#define FREE (-2) /* `next` of an item that is not there; the free list goes on in `a` */
#define FIRST_CAPACITY 64

static struct sw_hash_key *
item_at(const struct sw_hash *h, int32_t i)
{
	return (struct sw_hash_key *)(void *)(h->items + (size_t)i * h->item_len);
}

static int32_t
index_of(const struct sw_hash *h, const void *item)
{
	return (int32_t)((size_t)((const uint8_t *)item - h->items) / h->item_len);
}

static int32_t *
bucket_of(const struct sw_hash *h, uint32_t a, uint32_t b)
{
	uint64_t mixed = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;

	return &h->buckets[(mixed >> 32) & (h->bucket_count - 1)];
}

void
sw_hash_init(struct sw_hash *h, const char *what, size_t item_len, uint32_t max)
{
	*h = (struct sw_hash){.what = what, .max = max, .item_len = item_len, .free = NONE};
}

void
sw_hash_release(struct sw_hash *h)
{
	free(h->items);
	free(h->buckets);
	h->items = NULL;
	h->buckets = NULL;
	h->count = h->used = h->capacity = h->bucket_count = 0;
	h->free = NONE;
}

static void *
match(const struct sw_hash *h, int32_t i, uint32_t a, uint32_t b)
{
	for (; i != NONE; i = item_at(h, i)->next)
		if (item_at(h, i)->a == a && item_at(h, i)->b == b)
			return item_at(h, i);
	return NULL;
}

void *
sw_hash_find(const struct sw_hash *h, uint32_t a, uint32_t b)
{
	return h->bucket_count == 0 ? NULL : match(h, *bucket_of(h, a, b), a, b);
}

void *
sw_hash_next(const struct sw_hash *h, const void *item)
{
	const struct sw_hash_key *key = item;

	return match(h, key->next, key->a, key->b);
}

static void
link_item(struct sw_hash *h, int32_t i)
{
	struct sw_hash_key *key = item_at(h, i);
	int32_t *bucket = bucket_of(h, key->a, key->b);

	key->next = *bucket;
	*bucket = i;
}

static sw_rc
grow(struct sw_hash *h, struct sw_error *err)
{
	uint32_t capacity = h->capacity == 0 ? FIRST_CAPACITY : h->capacity * 2;
	uint8_t *items = realloc(h->items, (size_t)capacity * h->item_len);
	int32_t *buckets;

	if (items == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	h->items = items;
	buckets = malloc(capacity * sizeof(*buckets));
	if (buckets == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	free(h->buckets);
	h->buckets = buckets;
	h->capacity = h->bucket_count = capacity;
	for (uint32_t i = 0; i < capacity; i++)
		buckets[i] = NONE;
	for (uint32_t i = 0; i < h->used; i++)
		if (item_at(h, (int32_t)i)->next != FREE)
			link_item(h, (int32_t)i);
	return SW_OK;
}

sw_rc
sw_hash_add(struct sw_hash *h, uint32_t a, uint32_t b, void *ret_item, struct sw_error *err)
{
	struct sw_hash_key *key;
	int32_t i = h->free;

	if (h->count >= h->max)
		return sw_fail(err, SW_CORRUPT, "more than %u %s", h->max, h->what);
	if (i == NONE && h->used == h->capacity && grow(h, err) != SW_OK)
		return err->rc;
	if (i == NONE)
		i = (int32_t)h->used++;
	else
		h->free = (int32_t)item_at(h, i)->a;
	key = item_at(h, i);
	memset(key, 0, h->item_len);
	key->a = a;
	key->b = b;
	link_item(h, i);
	h->count++;
	*(void **)ret_item = key;
	return SW_OK;
}

void
sw_hash_remove(struct sw_hash *h, void *item)
{
	struct sw_hash_key *key = item;
	int32_t i = index_of(h, item), *link = bucket_of(h, key->a, key->b);

	while (*link != i)
		link = &item_at(h, *link)->next;
	*link = key->next;
	key->next = FREE;
	key->a = (uint32_t)h->free;
	h->free = i;
	h->count--;
}

void *
sw_hash_each(const struct sw_hash *h, uint32_t *at)
{
	while (*at < h->used && item_at(h, (int32_t)*at)->next == FREE)
		(*at)++;
	return *at < h->used ? item_at(h, (int32_t)(*at)++) : NULL;
}

sw_rc
sw_hash_copy(const struct sw_hash *h, struct sw_hash *ret_copy, struct sw_error *err)
{
	struct sw_hash copy = *h;

	if (h->capacity > 0) {
		copy.items = malloc((size_t)h->capacity * h->item_len);
		copy.buckets = malloc(h->bucket_count * sizeof(*copy.buckets));
		if (copy.items == NULL || copy.buckets == NULL) {
			free(copy.items);
			free(copy.buckets);
			return sw_fail(err, SW_SYSTEM, "out of memory");
		}
		memcpy(copy.items, h->items, (size_t)h->used * h->item_len);
		memcpy(copy.buckets, h->buckets, h->bucket_count * sizeof(*copy.buckets));
	}
	*ret_copy = copy;
	return SW_OK;
}
