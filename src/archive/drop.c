#include "archive/drop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/gap.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "config/config.h"

#define READY ".ready"
#define RUN_MAX 1024                /* segments of one record */
#define FRESH_US (INT64_C(60) * 1000000) /* an outage that was met so long ago is believed without being tried */
#define TOLD_MAX 256                /* records that one push puts */
#define STALE_S 3600                /* what a killed push left is that old */

/* What waits in archive_status. */
struct queue {
	uint64_t bytes, limit;
	char *status_dir;
	bool has_file; /* this one is there */
};

static void
queue_release(struct queue *queue)
{
	free(queue->status_dir);
}

static uint32_t
segment_size_of(const struct sw_push_file *file)
{
	return file->push->control.segment_size;
}

static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static char *
record_dir(const struct sw_push_file *file)
{
	SW_AUTO_FREE char *pg_wal = dir_of(file->path);

	return pg_wal == NULL ? NULL : sw_gap_dir(file->push->config, pg_wal, file->push->control.system_identifier);
}

/* --- the queue --------------------------------------------------------------------------- */

/* "000000010000000000000007.ready" */
static bool
is_waiting_segment(const char *name, uint32_t segment_size)
{
	size_t len = strlen(name), suffix = strlen(READY);
	char text[SW_WAL_NAME_MAX], canonical[SW_WAL_NAME_MAX];
	struct sw_wal_name parsed;

	if (len <= suffix || len - suffix >= sizeof(text) || strcmp(name + len - suffix, READY) != 0)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(len - suffix), name);
	return sw_wal_name_parse(text, segment_size, &parsed) && parsed.kind == SW_WAL_SEGMENT &&
		strcmp(sw_wal_name_format(&parsed, segment_size, canonical), text) == 0;
}

static sw_rc
measure(const struct sw_push_file *file, struct queue *queue, struct sw_error *err)
{
	const char *slash = strrchr(file->ready, '/'), *own = slash == NULL ? file->ready : slash + 1;
	const struct dirent *found;
	DIR *dir;

	queue->limit = sw_config_size(file->push->config, SW_OPT_PUSH_QUEUE_MAX);
	queue->status_dir = dir_of(file->ready);
	if (queue->status_dir == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	dir = opendir(queue->status_dir);
	if (dir == NULL)
		return sw_fail_errno(err, "opening %s", queue->status_dir);
	while ((found = readdir(dir)) != NULL) {
		if (is_waiting_segment(found->d_name, segment_size_of(file)))
			queue->bytes += segment_size_of(file);
		queue->has_file = queue->has_file || strcmp(found->d_name, own) == 0;
	}
	closedir(dir);
	return SW_OK;
}

static bool
may_drop(const struct sw_push_file *file)
{
	return file->push != NULL && sw_config_is_set(file->push->config, SW_OPT_PUSH_QUEUE_MAX) && file->ready != NULL;
}

/* --- words ----------------------------------------------------------------------------------- */

/* 67108864 as "64 MiB", 1000000 as "1000000 bytes" */
static const char *
size_text(uint64_t bytes, char buf[32])
{
	if (bytes % 1048576 == 0)
		snprintf(buf, 32, "%" PRIu64 " MiB", bytes / 1048576);
	else
		snprintf(buf, 32, "%" PRIu64 " bytes", bytes);
	return buf;
}

static void
log_drop(const struct sw_push_file *file, const struct queue *queue, const char *why)
{
	char waiting[32], limit[32];

	sw_log(SW_LOG_ERROR, "%s IS DROPPED, not archived, because %s of WAL wait and push-queue-max is %s: %.900s; no recovery can "
		"pass it: run 'seawall backup' as soon as the repository is back", file->summary.name,
		size_text(queue->bytes, waiting), size_text(queue->limit, limit), why);
}

/* --- a record -------------------------------------------------------------------------------- */

/* Segments from this one on that wait, and by which the queue is beyond the limit. */
static uint64_t
run_length(const struct sw_push_file *file, const struct queue *queue)
{
	uint64_t size = segment_size_of(file), excess = (queue->bytes - queue->limit + size - 1) / size, count = 1;
	struct sw_wal_name name = file->name;
	char text[SW_WAL_NAME_MAX];

	for (; count < excess && count < RUN_MAX; count++) {
		SW_AUTO_FREE char *path = NULL;

		name.segment++;
		if (asprintf(&path, "%s/%s" READY, queue->status_dir, sw_wal_name_format(&name, (uint32_t)size, text)) < 0 ||
			access(path, F_OK) != 0)
			break;
	}
	return count;
}

static sw_rc
make_record(const struct sw_push_file *file, const struct queue *queue, const char *why, struct sw_buf *bytes,
	struct sw_gap *ret_gap, struct sw_error *err)
{
	struct sw_gap_record record = {
		.gap = {
			.timeline = file->name.timeline,
			.first = file->name.segment,
			.last = file->name.segment + run_length(file, queue) - 1,
			.time_us = sw_clock_now_us(),
		},
		.system_identifier = file->push->control.system_identifier,
		.segment_size = segment_size_of(file),
		.queue = queue->bytes,
		.queue_max = queue->limit,
	};
	sw_rc rc;

	snprintf(record.host, sizeof(record.host), "%s", file->summary.host);
	snprintf(record.pgdata, sizeof(record.pgdata), "%s", file->summary.pgdata);
	snprintf(record.why, sizeof(record.why), "%.511s", why);
	rc = sw_gap_encode(&record, bytes, err);
	if (rc == SW_OK)
		*ret_gap = record.gap;
	return rc;
}

/* Durable when SW_OK is returned. */
static sw_rc
write_record(const struct sw_push_file *file, const struct queue *queue, const char *why, struct sw_error *err)
{
	SW_AUTO_FREE char *dir = record_dir(file);
	SW_AUTO_FREE char *path = NULL;
	char name[SW_GAP_NAME_MAX];
	struct sw_gap gap;
	SW_AUTO_BUF bytes;
	sw_rc rc;

	sw_buf_init(&bytes, SW_GAP_MAX);
	if (dir == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = make_record(file, queue, why, &bytes, &gap, err);
	if (rc == SW_OK)
		rc = sw_file_make_dirs(dir, 0700, err);
	if (rc == SW_OK)
		rc = sw_ledger_check_dir(dir, err);
	if (rc == SW_OK && asprintf(&path, "%s/%s", dir, sw_gap_name_format(&gap, segment_size_of(file), name)) < 0)
		rc = sw_fail(err, SW_SYSTEM, "out of memory");
	return rc == SW_OK ? sw_file_write(path, bytes.data, bytes.len, 0600, err) : rc;
}

sw_rc
sw_drop_instead(const struct sw_push_file *file, struct sw_error *err)
{
	__attribute__((cleanup(queue_release))) struct queue queue = {0};
	struct sw_error unwritten = SW_ERROR_INIT;
	char waiting[32];

	if (!may_drop(file) || !sw_push_file_met_outage(file))
		return err->rc;
	if (measure(file, &queue, &unwritten) != SW_OK) {
		sw_log(SW_LOG_ERROR, "nothing is dropped for push-queue-max: %s", unwritten.text);
		return err->rc;
	}
	if (queue.bytes <= queue.limit || !queue.has_file)
		return err->rc;
	if (file->name.kind != SW_WAL_SEGMENT) {
		sw_log(SW_LOG_ERROR, "%s of WAL wait, more than push-queue-max, behind %s, which is never dropped",
			size_text(queue.bytes, waiting), file->summary.name);
		return err->rc;
	}
	if (write_record(file, &queue, err->text, &unwritten) != SW_OK) {
		sw_log(SW_LOG_ERROR, "nothing is dropped for push-queue-max, because no record of it can be kept: %s%s%s",
			unwritten.text, unwritten.hint[0] != '\0' ? "; " : "", unwritten.hint);
		return err->rc;
	}
	log_drop(file, &queue, err->text);
	return SW_OK;
}

bool
sw_drop_is_due(const struct sw_push_file *file)
{
	__attribute__((cleanup(queue_release))) struct queue queue = {0};
	struct sw_error ignored = SW_ERROR_INIT;

	return may_drop(file) && measure(file, &queue, &ignored) == SW_OK && queue.bytes > queue.limit && queue.has_file;
}

/* --- the calls that follow ---------------------------------------------------------------------- */

struct recent {
	const struct sw_push_file *file;
	const char *dir;
	struct sw_gap_record record;
	bool found;
};

static sw_rc
look_recent(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	struct recent *r = ctx;
	const struct sw_push_file *file = r->file;
	int64_t age_us = sw_clock_now_us() - gap->time_us;
	SW_AUTO_BUF bytes;

	sw_buf_init(&bytes, 0);
	if (gap->timeline != file->name.timeline || file->name.segment < gap->first || file->name.segment > gap->last ||
		age_us < 0 || age_us > FRESH_US ||
		sw_gap_read_local(r->dir, gap, file->push->control.system_identifier, segment_size_of(file), &bytes, &r->record,
			err) != SW_OK)
		return SW_OK;
	/* a copied data directory has its own say */
	r->found = strcmp(r->record.host, file->summary.host) == 0 && strcmp(r->record.pgdata, file->summary.pgdata) == 0;
	return r->found ? SW_CONFLICT : SW_OK;
}

bool
sw_drop_goes_on(const struct sw_push_file *file)
{
	__attribute__((cleanup(queue_release))) struct queue queue = {0};
	SW_AUTO_FREE char *dir = NULL;
	struct recent recent = {.file = file};
	struct sw_error ignored = SW_ERROR_INIT;

	if (!may_drop(file) || file->name.kind != SW_WAL_SEGMENT)
		return false;
	recent.dir = dir = record_dir(file);
	if (dir == NULL || access(dir, F_OK) != 0 || sw_ledger_check_dir(dir, &ignored) != SW_OK ||
		sw_gap_list_local(dir, segment_size_of(file), look_recent, &recent, &ignored) != SW_OK || !recent.found)
		return false;
	if (measure(file, &queue, &ignored) != SW_OK || queue.bytes <= queue.limit || !queue.has_file)
		return false;
	log_drop(file, &queue, recent.record.why);
	return true;
}

/* --- telling ------------------------------------------------------------------------------------- */

struct telling {
	const struct sw_push_file *file;
	struct sw_push_lane *lane;
	const char *dir;
	struct sw_gap *gaps;
	size_t count;
};

static sw_rc
collect(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	struct telling *t = ctx;

	(void)err;
	t->gaps[t->count++] = *gap;
	return t->count < TOLD_MAX ? SW_OK : SW_CONFLICT;
}

static char *
record_path(const struct telling *t, const struct sw_gap *gap)
{
	char name[SW_GAP_NAME_MAX], *path;

	return asprintf(&path, "%s/%s", t->dir, sw_gap_name_format(gap, segment_size_of(t->file), name)) < 0 ? NULL : path;
}

/* The file that says that a repository has the record.  NULL: no memory, or it is not known which repository that is. */
static char *
mark_of(const struct telling *t, const struct sw_gap *gap, unsigned repo)
{
	const struct sw_repository *r = &t->lane->repos[repo];
	SW_AUTO_FREE char *path = record_path(t, gap);
	char *mark;

	return path == NULL || r->store == NULL || asprintf(&mark, "%s.%s", path, r->reg.id) < 0 ? NULL : mark;
}

static void
make_mark(const char *mark)
{
	int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
}

static sw_rc
put_record(const struct telling *t, const struct sw_gap *gap, struct sw_repository *repo, struct sw_error *err)
{
	const struct sw_push *push = t->file->push;
	char name[SW_GAP_NAME_MAX], object[SW_STORE_NAME_MAX];
	struct sw_gap_record record;
	struct sw_store_body body;
	SW_AUTO_BUF bytes;
	sw_rc rc;

	sw_buf_init(&bytes, 0);
	rc = sw_gap_read_local(t->dir, gap, push->control.system_identifier, push->control.segment_size, &bytes, &record, err);
	if (rc != SW_OK)
		return rc;
	body = sw_store_body_mem(bytes.data, bytes.len);
	sw_repository_name(repo, object, "gaps/%s", sw_gap_name_format(gap, push->control.segment_size, name));
	return sw_store_put(repo->store, object, &body, err);
}

/* For sw_quorum_try. */
static sw_rc
tell_repository(void *ctx, unsigned i, struct sw_error *err)
{
	const struct telling *t = ctx;
	struct sw_repository *repo = &t->lane->repos[i];
	sw_rc rc = sw_push_lane_connect(t->lane, i, err);

	for (size_t k = 0; rc == SW_OK && k < t->count; k++) {
		SW_AUTO_FREE char *mark = mark_of(t, &t->gaps[k], i);

		if (mark == NULL || access(mark, F_OK) == 0)
			continue;
		rc = put_record(t, &t->gaps[k], repo, err);
		if (rc == SW_OK)
			make_mark(mark);
		else
			sw_log(SW_LOG_WARNING, "a record of WAL that was dropped is not in %s yet: %s", sw_store_url(repo->store), err->text);
		if (rc == SW_CORRUPT)
			rc = SW_OK; /* the others may be sound */
	}
	return rc;
}

/* If all have it.  The record first: a mark without one is nothing. */
static void
forget_record(const struct telling *t, const struct sw_gap *gap)
{
	unsigned count = t->lane->push->repo_count;
	SW_AUTO_FREE char *path = record_path(t, gap);
	char *marks[SW_QUORUM_MAX] = {NULL};
	bool all = path != NULL;

	for (unsigned i = 0; i < count; i++) {
		marks[i] = mark_of(t, gap, i);
		all = all && marks[i] != NULL && access(marks[i], F_OK) == 0;
	}
	all = all && unlink(path) == 0;
	for (unsigned i = 0; i < count; i++) {
		if (all)
			unlink(marks[i]);
		free(marks[i]);
	}
	if (all)
		sw_log(SW_LOG_INFO, "a record of WAL that was dropped is in the repository now, and no longer kept here: %s", path);
}

/* What a killed push left, which never became a record. */
static void
sweep(const char *dir_path)
{
	DIR *dir = opendir(dir_path);
	const struct dirent *found;
	struct stat st;

	if (dir == NULL)
		return;
	while ((found = readdir(dir)) != NULL)
		if (strstr(found->d_name, ".json.tmp.") != NULL &&
			fstatat(dirfd(dir), found->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < time(NULL) - STALE_S)
			unlinkat(dirfd(dir), found->d_name, 0);
	closedir(dir);
}

static int
compare_gaps(const void *a, const void *b)
{
	const struct sw_gap *x = a, *y = b;

	return x->time_us < y->time_us ? -1 : x->time_us > y->time_us;
}

void
sw_drop_tell(const struct sw_push_file *file, struct sw_push_lane *lane)
{
	SW_AUTO_FREE char *dir = record_dir(file);
	SW_AUTO_FREE struct sw_gap *gaps = NULL;
	struct telling t = {.file = file, .lane = lane, .dir = dir};
	struct sw_error err = SW_ERROR_INIT;

	if (dir == NULL || access(dir, F_OK) != 0)
		return;
	t.gaps = gaps = calloc(TOLD_MAX, sizeof(*gaps));
	if (gaps == NULL || sw_gap_list_local(dir, segment_size_of(file), collect, &t, &err) != SW_OK) {
		sw_log(SW_LOG_WARNING, "records of WAL that was dropped cannot be told: %s", gaps == NULL ? "out of memory" : err.text);
		return;
	}
	if (t.count > 0)
		qsort(gaps, t.count, sizeof(*gaps), compare_gaps);
	if (t.count > 0)
		sw_quorum_try(&lane->push->quorum, tell_repository, &t);
	for (size_t i = 0; i < t.count; i++)
		forget_record(&t, &gaps[i]);
	sweep(dir);
}
