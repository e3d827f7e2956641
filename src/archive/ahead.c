#include "archive/ahead.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/drop.h"
#include "archive/ledger.h"
#include "archive/push.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"

#define LOCK_POLL_MS 20
#define REOPEN_MS 60000 /* so old a registration is read again: somebody may have removed the repository */
#define READY ".ready"

/* What calls have in common. */
struct sw_ahead {
	const struct sw_config *config;
	struct sw_ahead_hooks hooks;
	struct sw_push push;
	bool connected; /* push has stores */
	bool opened;    /* its registrations were read */
	int64_t opened_ms;
	uint8_t registrations[SW_LEDGER_HASH_LEN];
	struct sw_push_lane *lanes; /* push-workers of them */
	unsigned lane_max;
};

/* One call. */
struct batch {
	struct sw_ahead *ahead;
	const struct sw_config *config;
	struct sw_push *push; /* of ahead */
	struct sw_push_file first; /* the file that was asked for */
	struct sw_ledger ledger;
	char *dir, *status_dir;    /* of the file */
	char *first_ready;         /* NULL: PostgreSQL's archiver has not asked */
	int lock;                  /* -1: without it nothing is done ahead */
	char (*names)[SW_WAL_NAME_MAX]; /* that follow, in order */
	unsigned count, max, lanes;
	int64_t start_ms, ahead_ms;
	bool given_up; /* what is under way was told to end */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under the mutex */
	unsigned next;
	bool opened;  /* the registrations were read, or could not be */
	bool stopped; /* no other file is begun */
	enum { FIRST_WAITS, FIRST_STORED, FIRST_FAILED } state;
	struct sw_error first_err; /* FIRST_FAILED */
};

static void
batch_release(struct batch *b)
{
	sw_push_file_release(&b->first);
	sw_ledger_release(&b->ledger);
	if (b->lock >= 0)
		close(b->lock);
	free(b->dir);
	free(b->status_dir);
	free(b->first_ready);
	free(b->names);
	pthread_mutex_destroy(&b->mutex);
	pthread_cond_destroy(&b->changed);
}

/* --- what follows ------------------------------------------------------------------- */

/* Keep the lowest `max` names, in order. */
static void
keep_name(struct batch *b, const char *name)
{
	unsigned at = b->count;

	while (at > 0 && strcmp(b->names[at - 1], name) > 0)
		at--;
	if (at == b->max)
		return;
	if (b->count < b->max)
		b->count++;
	memmove(b->names[at + 1], b->names[at], (b->count - at - 1) * sizeof(b->names[0]));
	snprintf(b->names[at], sizeof(b->names[0]), "%s", name);
}

/* A file of archive_status.  False: a history waits. */
static bool
look_at(struct batch *b, const char *file)
{
	size_t len = strlen(file), suffix = strlen(READY);
	char text[SW_WAL_NAME_MAX], canonical[SW_WAL_NAME_MAX];
	struct sw_wal_name name;

	if (len <= suffix || len - suffix >= sizeof(text) || strcmp(file + len - suffix, READY) != 0)
		return true;
	snprintf(text, sizeof(text), "%.*s", (int)(len - suffix), file);
	if (!sw_wal_name_parse(text, b->push->control.segment_size, &name) ||
		strcmp(sw_wal_name_format(&name, b->push->control.segment_size, canonical), text) != 0)
		return true;
	if (name.kind == SW_WAL_HISTORY)
		return false;
	if (name.timeline == b->first.name.timeline && strcmp(text, b->first.summary.name) > 0)
		keep_name(b, text);
	return true;
}

static sw_rc
list_following(struct batch *b, struct sw_error *err)
{
	DIR *dir = opendir(b->status_dir);
	const struct dirent *found;

	if (dir == NULL)
		return sw_fail_errno(err, "opening %s", b->status_dir);
	b->names = calloc(b->max, sizeof(b->names[0]));
	while (b->names != NULL && (found = readdir(dir)) != NULL) {
		if (look_at(b, found->d_name))
			continue;
		b->count = 0;
		break;
	}
	closedir(dir);
	return b->names != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

/* --- one thing after the other --------------------------------------------------------- */

static void
wait_changed(struct batch *b)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 100000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&b->changed, &b->mutex, &until);
}

static bool
wait_opened(struct batch *b, const struct sw_pool *pool)
{
	bool opened;

	pthread_mutex_lock(&b->mutex);
	while (!b->opened && !sw_pool_stopping(pool))
		wait_changed(b);
	opened = b->opened;
	pthread_mutex_unlock(&b->mutex);
	return opened;
}

/* Whether the first file is durable and the others may be put. */
static bool
wait_first(struct batch *b, const struct sw_pool *pool)
{
	bool stored;

	pthread_mutex_lock(&b->mutex);
	while (b->state == FIRST_WAITS && !sw_pool_stopping(pool))
		wait_changed(b);
	stored = b->state == FIRST_STORED && !b->stopped;
	pthread_mutex_unlock(&b->mutex);
	return stored;
}

static sw_rc
finish_first(struct batch *b, sw_rc rc, const struct sw_error *err)
{
	pthread_mutex_lock(&b->mutex);
	b->state = rc == SW_OK ? FIRST_STORED : FIRST_FAILED;
	if (rc != SW_OK)
		b->first_err = *err;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->mutex);
	return rc;
}

static bool
may_begin(const struct batch *b)
{
	const struct sw_ahead_hooks *hooks = &b->ahead->hooks;

	return !b->stopped && b->next < b->count && b->state != FIRST_FAILED && sw_interrupt_signal() == 0 &&
		sw_clock_monotonic_ms() < b->start_ms + b->ahead_ms && (hooks->may_begin == NULL || hooks->may_begin(hooks->ctx));
}

static const char *
next_name(struct batch *b)
{
	const char *name = NULL;

	pthread_mutex_lock(&b->mutex);
	if (may_begin(b))
		name = b->names[b->next++];
	pthread_mutex_unlock(&b->mutex);
	return name;
}

/* The first failure ends the looking ahead, and is told. */
static void
stop_ahead(struct batch *b, const char *name, const struct sw_error *err)
{
	bool told;

	pthread_mutex_lock(&b->mutex);
	told = b->stopped;
	b->stopped = true;
	pthread_mutex_unlock(&b->mutex);
	if (told || sw_interrupt_signal() != 0)
		return;
	sw_log(err->rc == SW_TRANSIENT ? SW_LOG_INFO : SW_LOG_WARNING, "%s was not archived ahead: %s", name, err->text);
}

/* --- workers ----------------------------------------------------------------------------- */

static bool
must_open(const struct sw_ahead *ahead)
{
	return !ahead->opened || sw_clock_monotonic_ms() >= ahead->opened_ms + REOPEN_MS;
}

static void
forget_lanes(struct sw_ahead *ahead)
{
	for (unsigned i = 0; i < ahead->lane_max; i++)
		sw_push_lane_release(&ahead->lanes[i]);
}

static void
take_registrations(struct sw_ahead *ahead)
{
	uint8_t hash[SW_LEDGER_HASH_LEN];

	sw_push_registrations(&ahead->push, hash);
	if (memcmp(hash, ahead->registrations, sizeof(hash)) != 0)
		forget_lanes(ahead);
	memcpy(ahead->registrations, hash, sizeof(hash));
}

/* Before anything is put, because the broom does not know what is being noted. */
static void
finish_opening(struct batch *b)
{
	if (b->ahead->opened && b->lock >= 0)
		sw_ledger_clean(&b->ledger, b->status_dir, b->ahead->registrations);
	pthread_mutex_lock(&b->mutex);
	b->opened = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->mutex);
}

static void
open_all(struct batch *b, const struct sw_pool *pool)
{
	struct sw_ahead *ahead = b->ahead;
	bool anew = must_open(ahead), enough;

	forget_lanes(ahead); /* whose stores may be others */
	enough = sw_push_open(&ahead->push, anew);
	if (sw_pool_stopping(pool))
		return;
	take_registrations(ahead);
	ahead->opened = enough;
	if (anew)
		ahead->opened_ms = sw_clock_monotonic_ms();
	finish_opening(b);
}

static void
prepare_file(const struct batch *b, struct sw_push_file *file, const char *ready)
{
	file->ready = ready;
	file->threads = b->lanes > 1 ? 0 : 2; /* threads for each of several files would only cost */
	file->memory_max = (size_t)sw_config_size(b->config, SW_OPT_MEMORY_MAX) / b->lanes;
}

static sw_rc
push_first(struct batch *b, const struct sw_pool *pool, struct sw_push_lane *lane, struct sw_error *err)
{
	sw_rc rc;

	prepare_file(b, &b->first, b->first_ready);
	rc = sw_push_file_read(&b->first, err);
	if (rc == SW_OK && !wait_opened(b, pool))
		rc = sw_interrupt_signal() != 0 ? sw_interrupt_check(err) : sw_fail(err, SW_SYSTEM, "stopped");
	if (rc == SW_OK && !lane->ready)
		sw_push_lane_init(lane, b->push, false);
	if (rc == SW_OK)
		sw_drop_tell(&b->first, lane);
	if (rc == SW_OK)
		rc = sw_push_file_put(&b->first, lane, err);
	return finish_first(b, rc, err);
}

static bool
first_waits(struct batch *b)
{
	bool waits;

	pthread_mutex_lock(&b->mutex);
	waits = b->state == FIRST_WAITS;
	pthread_mutex_unlock(&b->mutex);
	return waits;
}

/*
 * While the first file is on its way there is time to connect, which takes two round trips and TLS's CPU.  Of several
 * repositories one may hang, for which nobody would wait; of one, the first file waits for it anyway.
 */
static void
connect_early(struct batch *b, struct sw_push_lane *lane)
{
	struct sw_repository *repo = &lane->repos[0];
	struct sw_error ignored = SW_ERROR_INIT;
	char name[SW_STORE_NAME_MAX];
	struct sw_store_info info;

	if (b->push->repo_count != 1 || repo->store != NULL || !first_waits(b) ||
		sw_push_lane_connect(lane, 0, &ignored) != SW_OK)
		return;
	(void)sw_store_head(repo->store, sw_repository_name(repo, name, "cluster.json"), &info, &ignored);
}

static sw_rc
put_following(struct batch *b, const struct sw_pool *pool, struct sw_push_lane *lane, struct sw_push_file *file,
	struct sw_error *err)
{
	sw_rc rc;

	if (!wait_opened(b, pool))
		return SW_OK;
	if (!lane->ready)
		sw_push_lane_init(lane, b->push, true);
	connect_early(b, lane);
	if (!wait_first(b, pool))
		return SW_OK;
	rc = sw_push_file_put(file, lane, err);
	return rc == SW_OK ? sw_ledger_note(&b->ledger, file->summary.name, &file->identity, b->ahead->registrations, err) : rc;
}

static sw_rc
push_following(struct batch *b, const struct sw_pool *pool, struct sw_push_lane *lane, const char *name,
	struct sw_error *err)
{
	__attribute__((cleanup(sw_push_file_release))) struct sw_push_file file = SW_PUSH_FILE_INIT;
	SW_AUTO_FREE char *path = NULL;
	SW_AUTO_FREE char *ready = NULL;
	sw_rc rc;

	if (asprintf(&path, "%s/%s", b->dir, name) < 0 || asprintf(&ready, "%s/%s%s", b->status_dir, name, READY) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	prepare_file(b, &file, ready);
	rc = sw_push_file_open(&file, b->push, path, err);
	if (rc != SW_OK || sw_ledger_has(&b->ledger, name, &file.identity))
		return rc;
	rc = sw_push_file_read(&file, err);
	return rc == SW_OK ? put_following(b, pool, lane, &file, err) : rc;
}

static sw_rc
work(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct batch *b = ctx;
	struct sw_push_lane *lane;
	const char *name;
	sw_rc rc = SW_OK;

	if (worker == b->lanes) {
		open_all(b, pool);
		return SW_OK;
	}
	lane = &b->ahead->lanes[worker];
	if (worker == 0)
		rc = push_first(b, pool, lane, err);
	while (rc == SW_OK && (name = next_name(b)) != NULL) {
		struct sw_error failed = SW_ERROR_INIT;

		if (push_following(b, pool, lane, name, &failed) != SW_OK)
			stop_ahead(b, name, &failed);
	}
	return rc;
}

static bool
is_late(struct batch *b)
{
	bool late;

	pthread_mutex_lock(&b->mutex);
	late = b->state != FIRST_WAITS && sw_clock_monotonic_ms() > b->start_ms + 2 * b->ahead_ms;
	pthread_mutex_unlock(&b->mutex);
	return late;
}

/* In the calling thread. */
static void
watch(void *ctx)
{
	struct batch *b = ctx;
	const struct sw_ahead_hooks *hooks = &b->ahead->hooks;
	bool stop = hooks->poll != NULL && hooks->poll(hooks->ctx);

	if (!stop && !is_late(b))
		return;
	b->given_up = true;
	sw_interrupt_request();
}

/* --- the call -------------------------------------------------------------------------------- */

static bool
is_noted(struct batch *b)
{
	if (!sw_ledger_has(&b->ledger, b->first.summary.name, &b->first.identity))
		return false;
	sw_ledger_drop(&b->ledger, b->first.summary.name);
	return true;
}

/*
 * Another helper may be at work: that of an archiver which was killed.  It is waited for, because it may be about to put
 * this very file.  True: it did.
 */
static bool
take_lock(struct batch *b)
{
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc;

	while ((rc = sw_ledger_lock(&b->ledger, &b->lock, &err)) == SW_TRANSIENT) {
		if (is_noted(b))
			return true;
		watch(b);
		if (sw_clock_monotonic_ms() >= b->start_ms + b->ahead_ms || !sw_clock_sleep_ms(LOCK_POLL_MS))
			break;
	}
	if (rc != SW_OK)
		sw_log(rc == SW_TRANSIENT ? SW_LOG_INFO : SW_LOG_WARNING, "nothing is archived ahead: %s%s%s", err.text,
			err.hint[0] != '\0' ? "; " : "", err.hint);
	return rc == SW_OK && is_noted(b);
}

static sw_rc
find_places(struct batch *b, const char *path, struct sw_error *err)
{
	const char *slash = strrchr(path, '/');

	b->dir = slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (b->dir == NULL || asprintf(&b->status_dir, "%s/archive_status", b->dir) < 0 ||
		asprintf(&b->first_ready, "%s/%s%s", b->status_dir, b->first.summary.name, READY) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (access(b->first_ready, F_OK) != 0) {
		free(b->first_ready);
		b->first_ready = NULL;
	}
	b->first.ready = b->first_ready;
	return SW_OK;
}

static sw_rc
run_batch(struct batch *b, struct sw_error *err)
{
	unsigned workers = b->ahead->lane_max;
	bool open = must_open(b->ahead) || sw_push_lacks(b->push);
	sw_rc rc;

	b->lanes = b->count + 1 < workers ? b->count + 1 : workers;
	if (!open)
		finish_opening(b);
	rc = sw_pool_run(b->lanes + (open ? 1 : 0), work, watch, b, err);
	if (b->state == FIRST_STORED)
		return SW_OK; /* whatever became of the others */
	if (b->state == FIRST_FAILED)
		*err = b->first_err;
	return b->state == FIRST_FAILED ? err->rc : rc;
}

/* Make the stores, or only read pg_control again. */
static sw_rc
connect_stores(struct sw_ahead *ahead, struct sw_error *err)
{
	sw_rc rc;

	if (ahead->connected)
		return sw_push_refresh(&ahead->push, err);
	rc = sw_push_init(&ahead->push, ahead->config, err);
	ahead->connected = true;
	return rc;
}

static void
disconnect_stores(struct sw_ahead *ahead)
{
	forget_lanes(ahead);
	if (ahead->connected)
		sw_push_release(&ahead->push);
	ahead->connected = ahead->opened = false;
}

static sw_rc
push_opened(struct batch *b, struct sw_error *err)
{
	struct sw_error unlisted = SW_ERROR_INIT;
	sw_rc rc;

	if (b->first_ready != NULL && b->max > 0 && b->first.name.kind != SW_WAL_HISTORY && take_lock(b))
		return SW_OK;
	if (b->lock >= 0 && list_following(b, &unlisted) != SW_OK)
		sw_log(SW_LOG_WARNING, "nothing is archived ahead: %s", unlisted.text);
	rc = run_batch(b, err);
	if (b->count == 0)
		forget_lanes(b->ahead); /* the next call may be far away */
	return rc;
}

static sw_rc
push_all(struct batch *b, const char *path, struct sw_error *err)
{
	sw_rc rc = connect_stores(b->ahead, err);
	unsigned needed;

	if (rc == SW_OK)
		rc = sw_push_file_open(&b->first, b->push, path, err);
	if (rc == SW_OK)
		rc = find_places(b, path, err);
	if (rc == SW_OK)
		rc = sw_ledger_init(&b->ledger, b->config, path, b->push->control.system_identifier, err);
	if (rc != SW_OK || is_noted(b))
		return rc;
	if (sw_drop_goes_on(&b->first))
		return SW_OK;
	needed = b->push->quorum.needed;
	if (sw_drop_is_due(&b->first))
		b->push->quorum.needed = 1;
	sw_quorum_remember(&b->push->quorum, &b->ledger);
	rc = push_opened(b, err);
	sw_quorum_remember(&b->push->quorum, NULL);
	b->push->quorum.needed = needed;
	return rc;
}

/* --- the calls ------------------------------------------------------------------------------- */

sw_rc
sw_ahead_new(const struct sw_config *config, const struct sw_ahead_hooks *hooks, struct sw_ahead **ret_ahead,
	struct sw_error *err)
{
	struct sw_ahead *ahead = calloc(1, sizeof(*ahead));

	if (ahead == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	ahead->config = config;
	ahead->hooks = *hooks;
	ahead->lane_max = (unsigned)sw_config_int(config, SW_OPT_PUSH_WORKERS);
	ahead->lanes = calloc(ahead->lane_max, sizeof(ahead->lanes[0]));
	if (ahead->lanes == NULL) {
		free(ahead);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	*ret_ahead = ahead;
	return SW_OK;
}

void
sw_ahead_free(struct sw_ahead *ahead)
{
	if (ahead == NULL)
		return;
	disconnect_stores(ahead);
	free(ahead->lanes);
	free(ahead);
}

sw_rc
sw_ahead_push(struct sw_ahead *ahead, const char *path, struct sw_error *err)
{
	__attribute__((cleanup(batch_release))) struct batch b = {
		.ahead = ahead,
		.config = ahead->config,
		.push = &ahead->push,
		.first = SW_PUSH_FILE_INIT,
		.lock = -1,
		.max = (unsigned)sw_config_int(ahead->config, SW_OPT_PUSH_AHEAD),
		.start_ms = sw_clock_monotonic_ms(),
		.ahead_ms = sw_config_ms(ahead->config, SW_OPT_PUSH_AHEAD_TIME),
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	sw_rc rc = push_all(&b, path, err);

	if (rc != SW_OK || b.stopped || b.given_up)
		disconnect_stores(ahead); /* credentials and all may be others next time */
	if (b.given_up)
		sw_interrupt_take();
	if (rc != SW_OK)
		rc = sw_drop_instead(&b.first, err);
	return rc == SW_OK ? rc : sw_wrap(err, "archiving %s", path);
}
