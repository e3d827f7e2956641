/*
 * WAL names listed side by side must give what they give one page after the other.
 */
#include "catalog/inventory.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/file.h"

#define MB (1024 * 1024)
#define PAGE 1000

/* --- a store that has names only, a thousand a page ------------------------------------- */

struct names {
	char **items;
	size_t count, room;
	unsigned pages;      /* that were asked for */
	size_t fail_at;      /* a name whose page fails; 0: none */
	pthread_mutex_t mutex;
};

struct named_store {
	struct sw_store store;
	struct names *names;
};

static void
named_free(struct sw_store *store)
{
	free(store);
}

static sw_rc
named_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	struct named_store *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	memcpy(copy, store, sizeof(*copy));
	*ret_store = &copy->store;
	return SW_OK;
}

static size_t
first_behind(const struct names *names, const char *after)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->items[middle], after) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static sw_rc
named_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each, void *ctx,
	struct sw_error *err)
{
	struct names *names = ((struct named_store *)store)->names;
	size_t at = first_behind(names, after != NULL && strcmp(after, prefix) > 0 ? after : prefix), n = 0;

	for (; at < names->count && strncmp(names->items[at], prefix, strlen(prefix)) == 0; at++, n++) {
		struct sw_store_info info = {.size = at + 1};
		sw_rc rc;

		if (n % PAGE == 0) {
			pthread_mutex_lock(&names->mutex);
			names->pages++;
			pthread_mutex_unlock(&names->mutex);
		}
		if (names->fail_at != 0 && at >= names->fail_at)
			return sw_fail(err, SW_DENIED, "a page is denied");
		rc = each(ctx, names->items[at], &info, err);
		if (rc != SW_OK)
			return rc == SW_CONFLICT ? SW_OK : rc;
	}
	return SW_OK;
}

static const struct sw_store_ops named_ops = {.free = named_free, .clone = named_clone, .list = named_list};

static void
add(struct names *names, const struct sw_repository *repo, const struct sw_wal_name *name)
{
	char text[SW_STORE_NAME_MAX];

	if (names->count == names->room) {
		names->room = names->room == 0 ? 1024 : 2 * names->room;
		names->items = realloc(names->items, names->room * sizeof(*names->items));
	}
	names->items[names->count++] = strdup(sw_repository_wal_name(repo, name, text));
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* --- cases -------------------------------------------------------------------------------- */

struct part {
	uint32_t timeline;
	uint64_t first, count;
	unsigned hole_every, backup_every; /* 0: none */
};

static const struct one {
	const char *what;
	struct part parts[4];
} cases[] = {
	{"nothing", {{0}}},
	{"one segment", {{1, 1, 1, 0, 0}}},
	{"a page less one name", {{1, 1, 999, 0, 0}}},
	{"a page", {{1, 1, 1000, 0, 0}}},
	{"a page and a name", {{1, 1, 1001, 0, 0}}},
	{"a stride", {{1, 1, 960, 0, 0}}},
	{"two strides", {{1, 1, 1920, 0, 0}}},
	{"many pages", {{1, 3, 20000, 0, 0}}},
	{"holes", {{1, 1, 9000, 7, 0}}},
	{"every second segment", {{1, 1, 9000, 2, 0}}},
	{"backups in between, more than a page has room for", {{1, 1, 9000, 0, 3}}},
	{"large holes", {{1, 1, 2000, 0, 100}, {1, 50000, 3, 0, 1}, {1, 60000, 1500, 0, 0}, {1, 9000000, 2500, 0, 0}}},
	{"several timelines", {{1, 1, 3000, 0, 50}, {2, 2990, 5000, 960, 0}, {3, 7000, 4, 0, 0}, {0xA0, 7001, 961, 0, 0}}},
};

static void
make_names(const struct one *c, const struct sw_repository *repo, struct names *names)
{
	for (size_t i = 0; i < 4; i++) {
		const struct part *part = &c->parts[i];

		if (part->timeline > 1)
			add(names, repo, &(struct sw_wal_name){.kind = SW_WAL_HISTORY, .timeline = part->timeline});
		for (uint64_t segment = part->first; segment < part->first + part->count; segment++) {
			struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = part->timeline, .segment = segment};

			if (part->hole_every == 0 || segment % part->hole_every != 0)
				add(names, repo, &name);
			name.kind = SW_WAL_PARTIAL;
			if (segment % 777 == 0)
				add(names, repo, &name);
			name.kind = SW_WAL_BACKUP;
			name.offset = 0x28;
			if (part->backup_every != 0 && segment % part->backup_every == 0)
				add(names, repo, &name);
		}
	}
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items), compare);
}

static bool
same(const struct sw_inventory *a, const struct sw_inventory *b)
{
	if (a->range_count != b->range_count || a->history_count != b->history_count || a->wal_stored != b->wal_stored)
		return false;
	for (size_t i = 0; i < a->range_count; i++)
		if (a->ranges[i].timeline != b->ranges[i].timeline || a->ranges[i].first != b->ranges[i].first ||
			a->ranges[i].last != b->ranges[i].last)
			return false;
	for (size_t i = 0; i < a->history_count; i++)
		if (a->histories[i] != b->histories[i])
			return false;
	return true;
}

static struct sw_inventory
list(struct sw_repository *repo, const char *url, uint32_t timeline, uint64_t from, struct sw_error *err)
{
	char text[64];
	struct sw_inventory inventory = {0};

	snprintf(text, sizeof(text), "%s", url);
	repo->store->url = text;
	*err = (struct sw_error)SW_ERROR_INIT;
	sw_inventory_read_wal(repo, timeline, from, &inventory, err);
	repo->store->url = NULL;
	return inventory;
}

static void
test_case(const struct one *c)
{
	struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	struct named_store store = {.store = {.ops = &named_ops}, .names = &names};
	struct sw_error err, other;
	struct sw_repository repo;
	struct sw_inventory a, b;
	unsigned pages;

	sw_repository_assume(&store.store, "main", 1, 16 * MB, &repo);
	make_names(c, &repo, &names);
	a = list(&repo, "file:///x", 0, 0, &err);
	names.pages = 0;
	b = list(&repo, "s3://x", 0, 0, &other);
	pages = names.pages;
	tap_ok(err.rc == SW_OK && other.rc == SW_OK && same(&a, &b), "%s: %zu names, %zu ranges", c->what, names.count, b.range_count);
	if (!tap_ok(pages <= names.count / 600 + 30, "and few pages are read twice"))
		tap_note("%u pages", pages);
	sw_inventory_release(&a);
	sw_inventory_release(&b);
	a = list(&repo, "file:///x", 1, 500, &err);
	b = list(&repo, "s3://x", 1, 500, &other);
	tap_ok(err.rc == SW_OK && other.rc == SW_OK && same(&a, &b), "from a segment on, of one timeline");
	sw_inventory_release(&a);
	sw_inventory_release(&b);
	names.fail_at = names.count / 2;
	if (names.fail_at != 0) {
		b = list(&repo, "s3://x", 0, 0, &other);
		tap_is(sw_rc_name(other.rc), "denied", "a page that is denied is told");
		sw_inventory_release(&b);
	}
	for (size_t i = 0; i < names.count; i++)
		free(names.items[i]);
	free(names.items);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	return tap_done();
}
