#include "catalog/inventory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/object.h"
#include "base/file.h"
#include "base/pool.h"

#define HISTORY_MAX (1024 * 1024)
#define STRIDE 960  /* segments: a page of S3 has 1,000 names, some of which are no segments */
#define LISTERS 6

void
sw_inventory_release(struct sw_inventory *inventory)
{
	for (size_t i = 0; i < inventory->backup_count; i++)
		free(inventory->backups[i].reason);
	free(inventory->backups);
	free(inventory->ranges);
	free(inventory->histories);
	free(inventory->gaps);
	*inventory = (struct sw_inventory){0};
}

/* Room for one more; doubles.  NULL: no memory, or max reached. */
static void *
grow(void *items, size_t count, size_t size, size_t max)
{
	if (count >= max)
		return NULL;
	if (count != 0 && (count & (count - 1)) != 0)
		return items;
	return realloc(items, (count == 0 ? 1 : 2 * count) * size);
}

/* --- backups ----------------------------------------------------------------------- */

struct backup_list {
	struct sw_inventory *inventory;
	size_t prefix_len;
	uint64_t *sizes;
	size_t first; /* backup that sizes[0] belongs to */
};

static sw_rc
add_backup(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct backup_list *list = ctx;
	struct sw_inventory *inventory = list->inventory;
	const char *label = name + list->prefix_len, *slash = strchr(label, '/');
	struct sw_inventory_backup *backups;
	uint64_t *sizes;
	size_t len = slash == NULL ? 0 : (size_t)(slash - label);

	if (len == 0 || len >= SW_LABEL_MAX || strcmp(slash, "/manifest.zst") != 0)
		return SW_OK;
	backups = grow(inventory->backups, inventory->backup_count, sizeof(*backups), SW_INVENTORY_BACKUPS_MAX);
	if (backups == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu backups", inventory->backup_count + 1);
	inventory->backups = backups;
	sizes = grow(list->sizes, inventory->backup_count - list->first, sizeof(*sizes),
		SW_INVENTORY_BACKUPS_MAX);
	if (sizes == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	list->sizes = sizes;
	sizes[inventory->backup_count - list->first] = info->size;
	backups += inventory->backup_count;
	memset(backups, 0, sizeof(*backups));
	memcpy(backups->label, label, len);
	if (!sw_label_ok(backups->label))
		return SW_OK;
	inventory->backup_count++;
	return SW_OK;
}

/* A backup's own damage is its reason; the store's failures end everything. */
static sw_rc
read_header(struct sw_repository *repo, struct sw_inventory_backup *backup, uint64_t size,
	struct sw_error *err)
{
	sw_rc rc = sw_manifest_read_header(repo, backup->label, size, &backup->header, err);

	if (rc == SW_OK && strcmp(backup->header.label, backup->label) != 0)
		rc = sw_fail(err, SW_CORRUPT, "its manifest is of backup %s", backup->header.label);
	if (rc == SW_OK && backup->header.system_identifier != repo->reg.system_identifier)
		rc = sw_fail(err, SW_CORRUPT, "its manifest is of another cluster");
	if (rc == SW_OK || (rc != SW_CORRUPT && rc != SW_NOT_FOUND && rc != SW_CONFIG))
		return rc;
	backup->reason = strdup(err->text);
	if (backup->reason == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return SW_OK;
}

static int
compare_backups(const void *a, const void *b)
{
	const struct sw_inventory_backup *x = a, *y = b;

	if ((x->reason != NULL) != (y->reason != NULL))
		return x->reason != NULL ? 1 : -1;
	if (x->reason == NULL && x->header.finished_us != y->header.finished_us)
		return x->header.finished_us < y->header.finished_us ? -1 : 1;
	return strcmp(x->label, y->label);
}

sw_rc
sw_inventory_read_backups(struct sw_repository *repo, struct sw_inventory *inventory,
	struct sw_error *err)
{
	struct backup_list list = {.inventory = inventory, .first = inventory->backup_count};
	char prefix[SW_STORE_NAME_MAX];
	sw_rc rc;

	sw_repository_name(repo, prefix, "backup/");
	list.prefix_len = strlen(prefix);
	rc = sw_store_list(repo->store, prefix, NULL, add_backup, &list, err);
	for (size_t i = list.first; rc == SW_OK && i < inventory->backup_count; i++)
		rc = read_header(repo, &inventory->backups[i], list.sizes[i - list.first], err);
	free(list.sizes);
	if (rc != SW_OK)
		return sw_wrap(err, "listing backups in %s", sw_store_url(repo->store));
	if (inventory->backup_count > 0)
		qsort(inventory->backups, inventory->backup_count, sizeof(*inventory->backups), compare_backups);
	return SW_OK;
}

/* --- records of dropped WAL ---------------------------------------------------------- */

static sw_rc
add_gap(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	struct sw_inventory *inventory = ctx;
	struct sw_gap *gaps = grow(inventory->gaps, inventory->gap_count, sizeof(*gaps), SW_GAPS_MAX);

	if (gaps == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu records of dropped WAL", inventory->gap_count + 1);
	inventory->gaps = gaps;
	gaps[inventory->gap_count++] = *gap;
	return SW_OK;
}

sw_rc
sw_inventory_read_gaps(struct sw_repository *repo, struct sw_inventory *inventory, struct sw_error *err)
{
	return sw_gap_list(repo, 0, add_gap, inventory, err);
}

/* --- WAL --------------------------------------------------------------------------- */

struct wal_list {
	struct sw_inventory *inventory;
	uint32_t segment_size;
	bool strides, more;
	size_t names;            /* of the timeline of: */
	struct sw_wal_name last;
};

static sw_rc
add_segment(struct sw_inventory *inventory, const struct sw_wal_name *name, struct sw_error *err)
{
	struct sw_inventory_range *ranges = inventory->ranges, *last;

	last = inventory->range_count == 0 ? NULL : &ranges[inventory->range_count - 1];
	if (last != NULL && last->timeline == name->timeline && last->last + 1 == name->segment) {
		last->last++;
		return SW_OK;
	}
	ranges = grow(ranges, inventory->range_count, sizeof(*ranges), SW_INVENTORY_RANGES_MAX);
	if (ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu ranges of WAL", inventory->range_count + 1);
	inventory->ranges = ranges;
	ranges[inventory->range_count++] = (struct sw_inventory_range){
		.timeline = name->timeline,
		.first = name->segment,
		.last = name->segment,
	};
	return SW_OK;
}

static sw_rc
add_history(struct sw_inventory *inventory, uint32_t timeline, struct sw_error *err)
{
	uint32_t *histories = grow(inventory->histories, inventory->history_count, sizeof(*histories),
		SW_INVENTORY_RANGES_MAX);

	if (histories == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu histories", inventory->history_count + 1);
	inventory->histories = histories;
	histories[inventory->history_count++] = timeline;
	return SW_OK;
}

static sw_rc
add_name(struct wal_list *list, const struct sw_wal_name *name, const struct sw_store_info *info, struct sw_error *err)
{
	list->inventory->wal_stored += info->size;
	if (name->kind == SW_WAL_SEGMENT)
		return add_segment(list->inventory, name, err);
	return name->kind == SW_WAL_HISTORY ? add_history(list->inventory, name->timeline, err) : SW_OK;
}

/*
 * A listing gives a page of names for each request, and a page must be there to ask for the next.  But names of segments
 * are dense: so behind its first page a timeline is cut into strides, each a little shorter than a page, and
 * several are asked for at a time.  Only what another name behind a stride proves to be empty is left out.
 */

/* The first page of what is left.  SW_CONFLICT: it was long; the strides go on behind list->last. */
static sw_rc
add_wal(void *ctx, const char *object, const struct sw_store_info *info, struct sw_error *err)
{
	struct wal_list *list = ctx;
	struct sw_wal_name name;
	sw_rc rc;

	if (!sw_repository_parse_wal_name(object, list->segment_size, &name))
		return SW_OK;
	if (name.timeline != list->last.timeline)
		list->names = 0;
	list->names++;
	list->last = name;
	rc = add_name(list, &name, info, err);
	if (rc == SW_OK && list->strides && list->names >= STRIDE && name.kind == SW_WAL_SEGMENT) {
		list->more = true;
		return SW_CONFLICT;
	}
	return rc;
}

struct stride {
	uint64_t first, last;
	struct sw_inventory found;
};

/* A stride stays where it is while there come to be more. */
struct stride_place {
	struct stride *stride;
};

struct strides {
	struct sw_repository *repo;
	uint32_t timeline;
	pthread_mutex_t mutex;
	struct stride_place *items; /* in order */
	size_t count;
	uint64_t next; /* segment that the next one begins with */
	bool ended;    /* nothing is behind the last one */
};

struct stride_list {
	struct wal_list list;
	struct strides *all;
	struct stride *stride;
	uint64_t beyond; /* the first segment behind the stride that is named; 0: none */
};

static sw_rc
add_to_stride(void *ctx, const char *object, const struct sw_store_info *info, struct sw_error *err)
{
	struct stride_list *list = ctx;
	struct sw_wal_name name;

	if (!sw_repository_parse_wal_name(object, list->list.segment_size, &name) || name.kind == SW_WAL_HISTORY ||
		name.timeline != list->all->timeline || name.segment < list->stride->first)
		return SW_OK;
	if (name.segment > list->stride->last) {
		list->beyond = name.segment;
		return SW_CONFLICT;
	}
	return add_name(&list->list, &name, info, err);
}

static sw_rc
begin_stride(struct strides *all, struct stride **ret_stride, struct sw_error *err)
{
	struct stride_place *items;
	struct stride *stride;

	*ret_stride = NULL;
	if (all->ended)
		return SW_OK;
	items = grow(all->items, all->count, sizeof(*items), SW_INVENTORY_RANGES_MAX);
	if (items == NULL)
		return sw_fail(err, SW_SYSTEM, "no memory for %zu pages of names", all->count + 1);
	all->items = items;
	stride = calloc(1, sizeof(*stride));
	if (stride == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	stride->first = all->next;
	stride->last = all->next + STRIDE - 1;
	all->next += STRIDE;
	items[all->count++].stride = *ret_stride = stride;
	return SW_OK;
}

static sw_rc
list_stride(struct sw_store *store, struct strides *all, struct stride *stride, struct sw_error *err)
{
	struct stride_list list = {
		.list = {.inventory = &stride->found, .segment_size = all->repo->reg.segment_size},
		.all = all,
		.stride = stride,
	};
	struct sw_wal_name before = {.kind = SW_WAL_SEGMENT, .timeline = all->timeline, .segment = stride->first - 1};
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX];
	sw_rc rc;

	sw_repository_name(all->repo, prefix, "wal/%08X/", all->timeline);
	rc = sw_store_list(store, prefix, sw_repository_wal_name(all->repo, &before, after), add_to_stride, &list, err);
	if (rc != SW_OK)
		return rc;
	pthread_mutex_lock(&all->mutex);
	if (list.beyond == 0)
		all->ended = true;
	else if (list.beyond > all->next)
		all->next = list.beyond;
	pthread_mutex_unlock(&all->mutex);
	return SW_OK;
}

static sw_rc
list_some(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct strides *all = ctx;
	SW_AUTO_STORE *store = NULL;
	sw_rc rc = sw_store_clone(all->repo->store, &store, err);

	(void)worker;
	while (rc == SW_OK && !sw_pool_stopping(pool)) {
		struct stride *stride = NULL;

		pthread_mutex_lock(&all->mutex);
		rc = begin_stride(all, &stride, err);
		pthread_mutex_unlock(&all->mutex);
		if (stride == NULL)
			break;
		rc = list_stride(store, all, stride, err);
	}
	return rc;
}

static sw_rc
add_found(struct sw_inventory *inventory, const struct sw_inventory *found, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	inventory->wal_stored += found->wal_stored;
	for (size_t i = 0; rc == SW_OK && i < found->range_count; i++) {
		struct sw_wal_name name = {.timeline = found->ranges[i].timeline, .segment = found->ranges[i].first};

		rc = add_segment(inventory, &name, err);
		if (rc == SW_OK)
			inventory->ranges[inventory->range_count - 1].last = found->ranges[i].last;
	}
	return rc;
}

/* All of a timeline behind segment `after`, which is there. */
static sw_rc
list_strides(struct sw_repository *repo, uint32_t timeline, uint64_t after, struct sw_inventory *inventory,
	struct sw_error *err)
{
	struct strides all = {
		.repo = repo,
		.timeline = timeline,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.next = after + 1,
	};
	sw_rc rc = sw_pool_run(LISTERS, list_some, NULL, &all, err);

	for (size_t i = 0; i < all.count; i++) {
		if (rc == SW_OK)
			rc = add_found(inventory, &all.items[i].stride->found, err);
		sw_inventory_release(&all.items[i].stride->found);
		free(all.items[i].stride);
	}
	free(all.items);
	return rc;
}

/* A directory is read as a whole whatever is asked for, so only a service is asked several times. */
static bool
has_pages(const struct sw_store *store)
{
	return strncmp(sw_store_url(store), "s3://", 5) == 0;
}

sw_rc
sw_inventory_read_wal(struct sw_repository *repo, uint32_t timeline, uint64_t from,
	struct sw_inventory *inventory, struct sw_error *err)
{
	struct wal_list list = {
		.inventory = inventory,
		.segment_size = repo->reg.segment_size,
		.strides = has_pages(repo->store),
	};
	struct sw_wal_name before = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = from - 1};
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX] = "";
	sw_rc rc;

	if (timeline == 0)
		sw_repository_name(repo, prefix, "wal/");
	else
		sw_repository_name(repo, prefix, "wal/%08X/", timeline);
	if (timeline != 0 && from != 0)
		sw_repository_wal_name(repo, &before, after);
	do {
		list.more = false;
		list.last = (struct sw_wal_name){0};
		rc = sw_store_list(repo->store, prefix, after[0] != '\0' ? after : NULL, add_wal, &list, err);
		if (rc == SW_OK && list.more)
			rc = list_strides(repo, list.last.timeline, list.last.segment, inventory, err);
		/* '0' is the byte behind '/' */
		sw_repository_name(repo, after, "wal/%08X0", list.last.timeline);
	} while (rc == SW_OK && list.more && timeline == 0);
	return rc == SW_OK ? rc : sw_wrap(err, "listing WAL in %s", sw_store_url(repo->store));
}

/* --- histories ----------------------------------------------------------------------- */

struct history_list {
	struct sw_inventory *inventory;
	size_t prefix_len;
	bool again;
	char after[SW_STORE_NAME_MAX];
};

/* A history's name sorts before its timeline's segments ('.' is before '0'), so the first name tells. */
static sw_rc
first_of_timeline(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct history_list *list = ctx;
	const char *slash = strchr(name + list->prefix_len, '/');
	struct sw_wal_name parsed;
	char text[SW_WAL_NAME_MAX];

	(void)info;
	if (slash == NULL)
		return SW_OK;
	list->again = true;
	/* '0' is the byte behind '/' */
	snprintf(list->after, sizeof(list->after), "%.*s0", (int)(slash - name), name);
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(slash + 1, "."), slash + 1);
	if (strlen(text) == 8 && strcmp(slash + 9, ".history.zst") == 0) {
		strcat(text, ".history");
		if (sw_wal_name_parse(text, 1 << 24, &parsed) &&
			add_history(list->inventory, parsed.timeline, err) != SW_OK)
			return err->rc;
	}
	return SW_CONFLICT;
}

sw_rc
sw_inventory_read_histories(struct sw_repository *repo, struct sw_inventory *inventory,
	struct sw_error *err)
{
	struct history_list list = {.inventory = inventory};
	char prefix[SW_STORE_NAME_MAX];

	sw_repository_name(repo, prefix, "wal/");
	list.prefix_len = strlen(prefix);
	do {
		char after[SW_STORE_NAME_MAX];
		sw_rc rc;

		memcpy(after, list.after, sizeof(after));
		list.again = false;
		rc = sw_store_list(repo->store, prefix, after[0] != '\0' ? after : NULL, first_of_timeline,
			&list, err);
		if (rc != SW_OK)
			return sw_wrap(err, "listing timelines in %s", sw_store_url(repo->store));
	} while (list.again);
	return SW_OK;
}

sw_rc
sw_inventory_history(struct sw_repository *repo, uint32_t timeline,
	struct sw_timeline_history *ret_history, struct sw_error *err)
{
	SW_AUTO_BUF buf;
	struct sw_stage_buf end;
	/* behind the buffer, so that it is released first: its thread may still be writing there */
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct sw_wal_name name = {.kind = SW_WAL_HISTORY, .timeline = timeline};
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	sw_rc rc;

	sw_buf_init(&buf, HISTORY_MAX);
	if (timeline == 1)
		return sw_timeline_history_parse(1, NULL, 0, ret_history, err);
	sw_stage_buf_init(&end, &buf);
	sw_repository_wal_name(repo, &name, object);
	rc = sw_object_reader_init(&reader, sw_wal_name_format(&name, repo->reg.segment_size, file),
		&end.stage, err);
	if (rc == SW_OK)
		rc = sw_store_get(repo->store, object, 0, 0, &reader.stage, err);
	if (rc == SW_OK)
		rc = sw_timeline_history_parse(timeline, (char *)buf.data, buf.len, ret_history, err);
	return rc == SW_OK ? rc : sw_wrap(err, "%s in %s", object, sw_store_url(repo->store));
}
