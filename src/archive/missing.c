#include "archive/missing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

#define PIECE 16384 /* names of one repository that are in memory */
#define BATCH 512   /* items that are given at a time */

struct entry {
	char name[SW_MISSING_NAME_MAX];
	struct sw_store_info info;
};

/* One repository's next names. */
struct list {
	struct sw_repository *repo;
	size_t prefix_len;
	struct entry *entries;
	size_t count, next;
	bool cut; /* there are more */
};

struct walk {
	struct list lists[SW_QUORUM_MAX];
	unsigned count;
	bool histories; /* those alone, or all the others */
	char after[SW_MISSING_NAME_MAX]; /* "": from the beginning */
	char stop[SW_MISSING_NAME_MAX];  /* names up to this one are known of all; "": all are */
	struct sw_missing_item *items;
	size_t item_count;
	sw_missing_fn each;
	void *ctx;
};

/* --- what is what ------------------------------------------------------------------- */

static bool
parse(const char *name, uint32_t segment_size, struct sw_missing_item *item)
{
	char plain[SW_MISSING_NAME_MAX];
	const char *alt = strstr(name, ".alt-");

	item->alt = alt != NULL;
	if (alt != NULL && (strlen(alt) != strlen(".alt-12345678.zst") || strcmp(alt + 13, ".zst") != 0))
		return false;
	if (alt == NULL)
		return sw_repository_parse_wal_name(name, segment_size, &item->wal);
	snprintf(plain, sizeof(plain), "%.*s.zst", (int)(alt - name), name);
	return sw_repository_parse_wal_name(plain, segment_size, &item->wal);
}

static bool
is_history(const char *name)
{
	return strstr(name, ".history") != NULL;
}

/* --- lists --------------------------------------------------------------------------- */

static sw_rc
take_name(void *ctx, const char *object, const struct sw_store_info *info, struct sw_error *err)
{
	struct list *list = ctx;
	const char *name = object + list->prefix_len;

	(void)err;
	if (strlen(name) >= SW_MISSING_NAME_MAX)
		return SW_OK;
	if (list->count == PIECE) {
		list->cut = true;
		return SW_CONFLICT;
	}
	snprintf(list->entries[list->count].name, SW_MISSING_NAME_MAX, "%s", name);
	list->entries[list->count++].info = *info;
	return SW_OK;
}

/* Histories are few, and each is the first name of its timeline ('.' is before '0'): the rest is leapt over. */
static sw_rc
take_first(void *ctx, const char *object, const struct sw_store_info *info, struct sw_error *err)
{
	struct list *list = ctx;

	(void)err;
	snprintf(list->entries[list->count].name, SW_MISSING_NAME_MAX, "%s", object + list->prefix_len);
	list->entries[list->count++].info = *info;
	return SW_CONFLICT;
}

static sw_rc
list_names(struct list *list, const char *after, struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX], from[SW_STORE_NAME_MAX];

	return sw_store_list(list->repo->store, sw_repository_name(list->repo, prefix, "wal/"),
		after[0] != '\0' ? sw_repository_name(list->repo, from, "%s", after) : NULL, take_name, list, err);
}

static sw_rc
list_histories(struct list *list, const char *after, struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX], from[SW_STORE_NAME_MAX], next[SW_MISSING_NAME_MAX];
	sw_rc rc = SW_OK;

	snprintf(next, sizeof(next), "%s", after);
	while (rc == SW_OK && list->count < PIECE) {
		size_t before = list->count;
		char *slash;

		rc = sw_store_list(list->repo->store, sw_repository_name(list->repo, prefix, "wal/"),
			next[0] != '\0' ? sw_repository_name(list->repo, from, "%s", next) : NULL, take_first, list, err);
		if (rc != SW_OK || list->count == before)
			return rc;
		snprintf(next, sizeof(next), "%s", list->entries[before].name);
		slash = strchr(next + strlen("wal/"), '/');
		if (slash != NULL)
			memcpy(slash, "0", 2); /* the byte behind it */
	}
	list->cut = true;
	return rc;
}

static sw_rc
list_one(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct walk *walk = ctx;
	struct list *list = &walk->lists[worker];
	sw_rc rc;

	(void)pool;
	list->count = list->next = 0;
	list->cut = false;
	rc = walk->histories ? list_histories(list, walk->after, err) : list_names(list, walk->after, err);
	return rc == SW_OK ? rc : sw_wrap(err, "listing WAL in %s", sw_store_url(list->repo->store));
}

/* --- side by side ----------------------------------------------------------------------- */

static sw_rc
give(struct walk *walk, struct sw_error *err)
{
	size_t count = walk->item_count;

	walk->item_count = 0;
	return count == 0 ? SW_OK : walk->each(walk->ctx, walk->items, count, err);
}

/* The lowest name that is left, up to `stop`.  NULL: none. */
static const char *
lowest(const struct walk *walk)
{
	const char *name = NULL;

	for (unsigned i = 0; i < walk->count; i++) {
		const struct list *list = &walk->lists[i];

		if (list->next < list->count && (name == NULL || strcmp(list->entries[list->next].name, name) < 0))
			name = list->entries[list->next].name;
	}
	return name != NULL && walk->stop[0] != '\0' && strcmp(name, walk->stop) > 0 ? NULL : name;
}

static sw_rc
merge(struct walk *walk, struct sw_error *err)
{
	const char *found;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && (found = lowest(walk)) != NULL) {
		struct sw_missing_item *item = &walk->items[walk->item_count];

		*item = (struct sw_missing_item){0};
		snprintf(item->name, sizeof(item->name), "%s", found);
		for (unsigned i = 0; i < walk->count; i++) {
			struct list *list = &walk->lists[i];

			if (list->next == list->count || strcmp(list->entries[list->next].name, item->name) != 0)
				continue;
			item->has[i] = true;
			item->info[i] = list->entries[list->next++].info;
		}
		if (is_history(item->name) != walk->histories ||
			!parse(item->name, walk->lists[0].repo->reg.segment_size, item))
			continue;
		if (++walk->item_count == BATCH)
			rc = give(walk, err);
	}
	return rc;
}

/* Up to where each list is complete. */
static bool
set_stop(struct walk *walk)
{
	bool cut = false;

	walk->stop[0] = '\0';
	for (unsigned i = 0; i < walk->count; i++) {
		const struct list *list = &walk->lists[i];
		const char *last = list->count == 0 ? "" : list->entries[list->count - 1].name;

		if (!list->cut)
			continue;
		if (!cut || strcmp(last, walk->stop) < 0)
			snprintf(walk->stop, sizeof(walk->stop), "%s", last);
		cut = true;
	}
	return cut;
}

static sw_rc
walk_all(struct walk *walk, bool histories, struct sw_error *err)
{
	bool more = true;
	sw_rc rc = SW_OK;

	walk->histories = histories;
	walk->after[0] = '\0';
	while (rc == SW_OK && more) {
		rc = sw_pool_run(walk->count, list_one, NULL, walk, err);
		if (rc != SW_OK)
			break;
		more = set_stop(walk);
		rc = merge(walk, err);
		memcpy(walk->after, walk->stop, sizeof(walk->after));
	}
	return rc == SW_OK ? give(walk, err) : rc;
}

static void
walk_release(struct walk *walk)
{
	for (unsigned i = 0; i < walk->count; i++)
		free(walk->lists[i].entries);
	free(walk->items);
}

sw_rc
sw_missing_walk(struct sw_repository *repos, unsigned count, sw_missing_fn each, void *ctx, struct sw_error *err)
{
	struct walk walk = {.count = count, .each = each, .ctx = ctx};
	bool memory = true;
	sw_rc rc;

	walk.items = calloc(BATCH, sizeof(*walk.items));
	for (unsigned i = 0; i < count; i++) {
		walk.lists[i].repo = &repos[i];
		walk.lists[i].prefix_len = strlen(repos[i].prefix);
		walk.lists[i].entries = calloc(PIECE, sizeof(struct entry));
		memory = memory && walk.lists[i].entries != NULL;
	}
	rc = !memory || walk.items == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : walk_all(&walk, true, err);
	if (rc == SW_OK)
		rc = walk_all(&walk, false, err);
	walk_release(&walk);
	return rc;
}
