#include "archive/sync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/object.h"
#include "base/json.h"
#include "base/pool.h"

/* One worker's connections. */
struct lane {
	struct sw_repository repos[SW_QUORUM_MAX];
	unsigned count;
};

struct sync {
	struct sw_repository *repos;
	unsigned count;
	const struct sw_sync_params *params;
	struct lane *lanes;
	uint64_t total;
	pthread_mutex_t mutex;
	/* under it */
	uint64_t done;
	struct sw_sync_result result;
	/* the batch */
	const struct sw_missing_item *items;
	size_t item_count, next;
};

static void
tell(struct sync *s, enum sw_sync_kind kind, const char *name, const char *text)
{
	pthread_mutex_lock(&s->mutex);
	s->result.conflicts += kind == SW_SYNC_CONFLICT;
	s->result.damaged += kind == SW_SYNC_DAMAGED;
	s->result.lost += kind == SW_SYNC_LOST;
	s->params->tell(s->params->ctx, kind, name, text);
	pthread_mutex_unlock(&s->mutex);
}

/* --- counting ------------------------------------------------------------------------------ */

static unsigned
first_with(const struct sw_missing_item *item)
{
	unsigned i = 0;

	while (!item->has[i])
		i++;
	return i;
}

static sw_rc
count_items(void *ctx, const struct sw_missing_item *items, size_t count, struct sw_error *err)
{
	struct sync *s = ctx;

	(void)err;
	for (size_t k = 0; k < count; k++)
		for (unsigned i = 0; i < s->count; i++) {
			struct sw_sync_counts *counts = &s->result.repos[i];
			uint64_t size = items[k].info[first_with(&items[k])].size;

			counts->objects += items[k].has[i];
			if (items[k].has[i])
				continue;
			counts->lacked++;
			counts->lacked_bytes += size;
			s->total += size;
		}
	return SW_OK;
}

/* --- two of one name ------------------------------------------------------------------------- */

/* Their sizes differ, or one came while we were about to put ours: the same content in other bytes is no conflict. */
static sw_rc
compare(struct sync *s, struct lane *lane, const struct sw_missing_item *item, unsigned a, unsigned b, struct sw_error *err)
{
	struct sw_repository *repos = lane->repos;
	struct sw_wal_summary x, y;
	char text[1536];
	sw_rc rc;

	if (item->alt)
		return SW_OK; /* its name is the content's hash */
	rc = sw_object_read_summary(&repos[a], &item->wal, &x, err);
	if (rc != SW_OK)
		return rc;
	rc = sw_object_read_summary(&repos[b], &item->wal, &y, err);
	if (rc == SW_OK && (x.size != y.size || memcmp(x.xxh3, y.xxh3, SW_XXH3_LEN) != 0)) {
		snprintf(text, sizeof(text), "%s has other content in %s (from %.200s:%.300s) than in %s (from %.200s:%.300s); nothing was "
			"overwritten: two servers archive as one cluster, or one of them was restored; find out which is right, and move the "
			"other object away", x.name, sw_store_url(repos[a].store), x.host, x.pgdata, sw_store_url(repos[b].store),
			y.host, y.pgdata);
		tell(s, SW_SYNC_CONFLICT, item->name, text);
	}
	if (rc == SW_OK)
		sw_wal_summary_release(&y);
	sw_wal_summary_release(&x);
	return rc;
}

/* What cannot be read is no proof of a conflict: it is told as damaged. */
static sw_rc
compare_or_tell(struct sync *s, struct lane *lane, const struct sw_missing_item *item, unsigned a, unsigned b,
	struct sw_error *err)
{
	sw_rc rc = compare(s, lane, item, a, b, err);

	if (rc == SW_NOT_FOUND)
		return SW_OK;
	if (rc != SW_CORRUPT && rc != SW_CONFIG)
		return rc;
	tell(s, SW_SYNC_DAMAGED, item->name, err->text);
	return SW_OK;
}

static sw_rc
compare_sizes(struct sync *s, struct lane *lane, const struct sw_missing_item *item, struct sw_error *err)
{
	unsigned a = first_with(item);
	sw_rc rc = SW_OK;

	for (unsigned b = a + 1; rc == SW_OK && b < s->count; b++)
		if (item->has[b] && item->info[b].size != item->info[a].size)
			rc = compare_or_tell(s, lane, item, a, b, err);
	return rc;
}

/* --- one object --------------------------------------------------------------------------------- */

/* The object's bytes go both to the spool, hashed, and to the reader that verifies them. */
struct tee {
	struct sw_stage stage;
	struct sw_stage *reader; /* next: what keeps the bytes */
};

static sw_rc
tee_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	sw_rc rc = sw_stage_write(((struct tee *)stage)->reader, data, len, err);

	return rc == SW_OK ? sw_stage_write(stage->next, data, len, err) : rc;
}

static sw_rc
tee_finish(struct sw_stage *stage, struct sw_error *err)
{
	sw_rc rc = sw_stage_finish(((struct tee *)stage)->reader, err);

	return rc == SW_OK ? sw_stage_finish(stage->next, err) : rc;
}

static sw_rc
drop_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	(void)stage;
	(void)data;
	(void)len;
	(void)err;
	return SW_OK;
}

static sw_rc
drop_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

/* Of another cluster, or not what the name of a copy beside another says. */
static sw_rc
check_summary(const struct sw_repository *repo, const struct sw_missing_item *item, const struct sw_wal_summary *summary,
	struct sw_error *err)
{
	char hash[2 * SW_XXH3_LEN + 1];
	const char *alt = strstr(item->name, ".alt-");

	if (summary->system_identifier != repo->reg.system_identifier)
		return sw_fail(err, SW_CORRUPT, "is of another cluster");
	if (alt != NULL && strncmp(alt + strlen(".alt-"), sw_hex(summary->xxh3, SW_XXH3_LEN, hash), 8) != 0)
		return sw_fail(err, SW_CORRUPT, "its content has another hash than its name");
	return SW_OK;
}

static sw_rc
fetch(struct sw_repository *repo, const struct sw_missing_item *item, struct sw_stage_spool *spool,
	uint8_t ret_sha256[SW_SHA256_LEN], struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_digest_release))) struct sw_stage_digest digest = {0};
	struct sw_stage drop = {.write = drop_write, .finish = drop_finish};
	/* behind its sink, so that it is released first */
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct tee tee = {.stage = {.write = tee_write, .finish = tee_finish, .next = &digest.stage}, .reader = &reader.stage};
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	sw_rc rc = sw_stage_digest_init(&digest, &spool->stage, err);

	if (rc == SW_OK)
		rc = sw_object_reader_init(&reader, sw_wal_name_format(&item->wal, repo->reg.segment_size, file), &drop, err);
	if (rc == SW_OK)
		rc = sw_store_get(repo->store, sw_repository_name(repo, object, "%s", item->name), 0, 0, &tee.stage, err);
	if (rc == SW_OK)
		rc = check_summary(repo, item, &reader.summary, err);
	if (rc == SW_OK)
		memcpy(ret_sha256, digest.sha256, SW_SHA256_LEN);
	return rc;
}

static void
count_copy(struct sync *s, unsigned repo, uint64_t size)
{
	pthread_mutex_lock(&s->mutex);
	s->result.repos[repo].copied++;
	s->result.repos[repo].copied_bytes += size;
	s->done += size;
	pthread_mutex_unlock(&s->mutex);
}

static sw_rc
put(struct sync *s, struct lane *lane, const struct sw_missing_item *item, unsigned from, const struct sw_store_body *body,
	struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (unsigned i = 0; rc == SW_OK && i < s->count; i++) {
		struct sw_repository *repo = &lane->repos[i];
		char object[SW_STORE_NAME_MAX];

		if (item->has[i])
			continue;
		rc = sw_store_put(repo->store, sw_repository_name(repo, object, "%s", item->name), body, err);
		if (rc == SW_CONFLICT)
			rc = compare_or_tell(s, lane, item, from, i, err); /* an archiver was faster */
		else if (rc == SW_OK)
			count_copy(s, i, body->len);
		if (rc != SW_CORRUPT)
			continue;
		tell(s, SW_SYNC_DAMAGED, item->name, err->text); /* hidden by a delete marker, say */
		rc = SW_OK;
	}
	return rc;
}

/* SW_CORRUPT: damaged there, which is told. */
static sw_rc
copy_from(struct sync *s, struct lane *lane, const struct sw_missing_item *item, unsigned from, struct sw_error *err)
{
	struct sw_repository *repo = &lane->repos[from];
	struct sw_stage_spool spool;
	uint8_t sha256[SW_SHA256_LEN];
	char text[1536];
	sw_rc rc;

	sw_stage_spool_init(&spool, s->params->memory_max / s->params->workers);
	rc = fetch(repo, item, &spool, sha256, err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_store_body_spool(&spool, sha256);

		rc = put(s, lane, item, from, &body, err);
	} else if (rc == SW_CORRUPT) {
		snprintf(text, sizeof(text), "%s is damaged in %s: %.800s", item->name, sw_store_url(repo->store), err->text);
		tell(s, SW_SYNC_DAMAGED, item->name, text);
	}
	sw_stage_spool_release(&spool);
	return rc;
}

static sw_rc
copy(struct sync *s, struct lane *lane, const struct sw_missing_item *item, struct sw_error *err)
{
	char text[SW_MISSING_NAME_MAX + 200];
	bool damaged = false;

	for (unsigned i = 0; i < s->count; i++) {
		sw_rc rc = item->has[i] ? copy_from(s, lane, item, i, err) : SW_NOT_FOUND;

		damaged = damaged || rc == SW_CORRUPT;
		if (rc != SW_NOT_FOUND && rc != SW_CORRUPT)
			return rc;
	}
	if (!damaged)
		return SW_OK; /* it was there when it was listed */
	snprintf(text, sizeof(text), "%s is nowhere intact, and was not copied", item->name);
	tell(s, SW_SYNC_LOST, item->name, text);
	return SW_OK;
}

/* --- workers ---------------------------------------------------------------------------------------- */

static bool
is_lacking(const struct sync *s, const struct sw_missing_item *item)
{
	for (unsigned i = 0; i < s->count; i++)
		if (!item->has[i])
			return true;
	return false;
}

static sw_rc
lane_init(struct sync *s, struct lane *lane, struct sw_error *err)
{
	for (; lane->count < s->count; lane->count++) {
		sw_rc rc = sw_store_clone(s->repos[lane->count].store, &lane->repos[lane->count].store, err);
		struct sw_store *own = lane->repos[lane->count].store;

		if (rc != SW_OK)
			return rc;
		lane->repos[lane->count] = s->repos[lane->count];
		lane->repos[lane->count].store = own;
	}
	return SW_OK;
}

static const struct sw_missing_item *
next_item(struct sync *s)
{
	const struct sw_missing_item *item = NULL;

	pthread_mutex_lock(&s->mutex);
	if (s->next < s->item_count)
		item = &s->items[s->next++];
	pthread_mutex_unlock(&s->mutex);
	return item;
}

static sw_rc
work(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct sync *s = ctx;
	struct lane *lane = &s->lanes[worker];
	const struct sw_missing_item *item;
	sw_rc rc = lane_init(s, lane, err);

	while (rc == SW_OK && !sw_pool_stopping(pool) && (item = next_item(s)) != NULL) {
		rc = compare_sizes(s, lane, item, err);
		if (rc == SW_OK && !s->params->dry_run && is_lacking(s, item))
			rc = copy(s, lane, item, err);
		if (rc != SW_OK)
			sw_wrap(err, "copying %s", item->name);
	}
	return rc;
}

static void
show(void *ctx)
{
	struct sync *s = ctx;
	uint64_t done;

	pthread_mutex_lock(&s->mutex);
	done = s->done;
	pthread_mutex_unlock(&s->mutex);
	if (s->params->progress != NULL)
		s->params->progress(s->params->ctx, done, s->total);
}

static bool
is_work(const struct sync *s, const struct sw_missing_item *items, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		unsigned a = first_with(&items[k]);

		for (unsigned b = 0; b < s->count; b++)
			if (!items[k].has[b] || items[k].info[b].size != items[k].info[a].size)
				return true;
	}
	return false;
}

static sw_rc
copy_items(void *ctx, const struct sw_missing_item *items, size_t count, struct sw_error *err)
{
	struct sync *s = ctx;
	unsigned workers = s->params->workers;

	if (!is_work(s, items, count))
		return SW_OK;
	s->items = items;
	s->item_count = count;
	s->next = 0;
	/* a child's WAL never comes before the history that explains it */
	return sw_pool_run(items[0].wal.kind == SW_WAL_HISTORY ? 1 : workers, work, show, s, err);
}

sw_rc
sw_sync(struct sw_repository *repos, unsigned count, const struct sw_sync_params *params,
	struct sw_sync_result *ret_result, struct sw_error *err)
{
	struct sync s = {.repos = repos, .count = count, .params = params, .mutex = PTHREAD_MUTEX_INITIALIZER};
	sw_rc rc;

	s.lanes = calloc(params->workers, sizeof(*s.lanes));
	if (s.lanes == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_missing_walk(repos, count, count_items, &s, err);
	if (rc == SW_OK)
		rc = sw_missing_walk(repos, count, copy_items, &s, err);
	for (unsigned w = 0; w < params->workers; w++)
		for (unsigned i = 0; i < s.lanes[w].count; i++)
			sw_store_free(s.lanes[w].repos[i].store);
	free(s.lanes);
	pthread_mutex_destroy(&s.mutex);
	*ret_result = s.result;
	return rc;
}
