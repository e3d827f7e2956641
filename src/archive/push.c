#include "archive/push.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/object.h"
#include "archive/repository.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"
#include "pg/control.h"
#include "pg/filenodes.h"

/* Long header of a segment's first page: XLogLongPageHeaderData, access/xlog_internal.h, 14 … 18. */
struct long_page_header {
	uint16_t magic, info;
	uint32_t timeline;
	uint64_t page_address;
	uint32_t remaining, pad;
	uint64_t system_identifier;
	uint32_t segment_size, block_size;
};
#define LONG_HEADER_FLAG 0x0002

#define REPOS_MAX 16

enum { VALIDATE_ON, VALIDATE_WARN, VALIDATE_OFF }; /* push-validate's words */

struct push {
	const struct sw_config *config;
	const char *path;
	int fd;
	struct sw_control control;
	struct sw_wal_name name;
	struct sw_wal_summary summary;
	struct sw_object object;
	bool encoded;
	unsigned repo_count;
	struct sw_store *stores[REPOS_MAX];
	struct sw_repository repos[REPOS_MAX];
	struct sw_error unopened[REPOS_MAX]; /* why a repository is none to put in; rc SW_OK: it is */
};

static void
push_release(struct push *push)
{
	if (push->fd >= 0)
		close(push->fd);
	if (push->encoded)
		sw_object_release(&push->object);
	sw_wal_summary_release(&push->summary);
	for (unsigned i = 0; i < push->repo_count; i++)
		sw_store_free(push->stores[i]);
}

/* --- what is to be archived ------------------------------------------------------ */

static sw_rc
open_file(struct push *push, struct sw_error *err)
{
	const char *slash = strrchr(push->path, '/');
	const char *base = slash == NULL ? push->path : slash + 1;
	char canonical[SW_WAL_NAME_MAX];

	if (!sw_wal_name_parse(base, push->control.segment_size, &push->name) ||
		strcmp(base, sw_wal_name_format(&push->name, push->control.segment_size, canonical)) != 0) {
		sw_fail(err, SW_CONFIG, "\"%s\" is no name of a WAL file", base);
		return sw_hint(err, "use archive_command = 'seawall-push %%p'");
	}
	push->fd = open(push->path, O_RDONLY | O_CLOEXEC);
	if (push->fd < 0)
		return sw_fail_errno(err, "opening %s", push->path);
	return SW_OK;
}

static sw_rc
check_first_page(const struct push *push, struct sw_error *err)
{
	const struct sw_wal_summary *s = &push->summary;
	struct long_page_header page;
	size_t got;
	sw_rc rc = sw_file_pread(push->fd, &page, sizeof(page), 0, &got, push->path, err);

	if (rc != SW_OK)
		return rc;
	if (got < sizeof(page) || (page.info & LONG_HEADER_FLAG) == 0)
		return sw_fail(err, SW_CORRUPT, "%s does not begin with a WAL page", push->path);
	if (page.system_identifier != s->system_identifier)
		return sw_fail(err, SW_CORRUPT, "%s is WAL of system identifier %" PRIu64
			", but the data directory's is %" PRIu64, push->path, page.system_identifier,
			s->system_identifier);
	if (page.page_address != s->start || page.segment_size != s->segment_size) {
		char at[SW_LSN_LEN], want[SW_LSN_LEN];

		return sw_fail(err, SW_CORRUPT, "%s begins with the page of LSN %s where %s is right",
			push->path, sw_lsn_format(page.page_address, at), sw_lsn_format(s->start, want));
	}
	return SW_OK;
}

static sw_rc
describe(struct push *push, const char *pgdata, struct sw_error *err)
{
	struct sw_wal_summary *s = &push->summary;
	SW_AUTO_FREE char *real = realpath(pgdata, NULL);

	sw_wal_name_format(&push->name, push->control.segment_size, s->name);
	s->system_identifier = push->control.system_identifier;
	s->timeline = push->name.timeline;
	s->segment_size = push->control.segment_size;
	if (gethostname(s->host, sizeof(s->host) - 1) != 0)
		snprintf(s->host, sizeof(s->host), "unknown");
	snprintf(s->pgdata, sizeof(s->pgdata), "%s", real != NULL ? real : pgdata);
	if (push->name.kind != SW_WAL_SEGMENT && push->name.kind != SW_WAL_PARTIAL)
		return SW_OK;
	s->start = push->name.segment * s->segment_size;
	s->end = s->start + s->segment_size;
	return check_first_page(push, err);
}

static sw_rc
fail_damaged(const struct push *push, struct sw_error *err)
{
	const struct sw_wal_digest *d = push->summary.digest;
	char lsn[SW_LSN_LEN];

	sw_fail(err, SW_CORRUPT, "its WAL is damaged at LSN %s: %s", sw_lsn_format(d->broken_at, lsn), d->reason);
	return sw_hint(err, "no recovery can pass this place; look for what damaged pg_wal, and take a backup; "
		"push-validate = warn archives it all the same");
}

/*
 * What ends early under a whole segment's name is what archive_mode = always makes of the last segment of a timeline
 * on a cascaded standby.  A newer server's WAL is not ours to judge.  Neither may stop the archiver.
 */
static sw_rc
judge_wal(const struct push *push, struct sw_error *err)
{
	const struct sw_wal_digest *d = push->summary.digest;
	char lsn[SW_LSN_LEN];

	if (d == NULL || d->verdict == SW_WAL_COMPLETE)
		return SW_OK;
	sw_lsn_format(d->verdict == SW_WAL_BROKEN ? d->broken_at : d->valid_to, lsn);
	if (d->verdict == SW_WAL_UNKNOWN)
		sw_log(SW_LOG_WARNING, "%s is archived without having been read: %s", push->summary.name, d->reason);
	else if (d->verdict == SW_WAL_ENDS_EARLY && push->name.kind == SW_WAL_SEGMENT)
		sw_log(SW_LOG_WARNING, "%s is archived, but its WAL ends at LSN %s, as a standby's last segment of a timeline "
			"does: %s", push->summary.name, lsn, d->reason);
	else if (d->verdict == SW_WAL_BROKEN && sw_config_enum(push->config, SW_OPT_PUSH_VALIDATE) == VALIDATE_WARN)
		sw_log(SW_LOG_WARNING, "%s is archived, but its WAL is damaged at LSN %s: %s", push->summary.name, lsn,
			d->reason);
	else if (d->verdict == SW_WAL_BROKEN)
		return fail_damaged(push, err);
	return SW_OK;
}

static sw_rc
make_object(struct push *push, struct sw_error *err)
{
	const struct sw_wal_summary *s = &push->summary;
	struct sw_wal_digester_params wal = {
		.start = s->start,
		.segment_size = s->segment_size,
		.timeline = s->timeline,
		.system_identifier = s->system_identifier,
		.block_size = push->control.block_size,
		.next_xid = push->control.next_xid,
	};
	struct sw_object_source source = {
		.fd = push->fd,
		.path = push->path,
		.level = (int)sw_config_int(push->config, SW_OPT_COMPRESS_LEVEL),
		.memory_max = (size_t)sw_config_size(push->config, SW_OPT_MEMORY_MAX),
		.wal = sw_config_enum(push->config, SW_OPT_PUSH_VALIDATE) == VALIDATE_OFF ? NULL : &wal,
	};
	struct sw_filenodes filenodes = {0};
	sw_rc rc = SW_OK;

	if (source.wal != NULL && s->end != 0)
		rc = sw_filenodes_read(s->pgdata, &filenodes, err);
	wal.class_files = filenodes.classes;
	wal.class_file_count = filenodes.class_count;
	wal.database_file = filenodes.database_file;
	if (rc == SW_OK)
		rc = sw_object_make(&source, &push->summary, &push->object, err);
	free(filenodes.classes);
	push->encoded = rc == SW_OK;
	return rc;
}

static sw_rc
encode(struct push *push, struct sw_error *err)
{
	struct stat before, after;
	sw_rc rc;

	if (fstat(push->fd, &before) != 0)
		return sw_fail_errno(err, "stat of %s", push->path);
	rc = make_object(push, err);
	if (rc != SW_OK)
		return rc;
	/* a late archiver may be reading a file that its successor had recycled */
	if (stat(push->path, &after) != 0)
		return sw_fail_errno(err, "stat of %s", push->path);
	if (before.st_dev != after.st_dev || before.st_ino != after.st_ino ||
		before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
		before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)
		return sw_fail(err, SW_TRANSIENT, "%s changed while it was read", push->path);
	rc = push->summary.end == 0 ? SW_OK : check_first_page(push, err);
	return rc == SW_OK ? judge_wal(push, err) : rc;
}

/* --- comparison with what is there ------------------------------------------------- */

struct compare_stage {
	struct sw_stage stage;
	int fd;
	const char *path;
	uint64_t at;
	uint64_t differs_at; /* UINT64_MAX: nowhere */
};

static sw_rc
compare_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct compare_stage *c = (struct compare_stage *)stage;
	const uint8_t *theirs = data;

	while (len > 0 && c->differs_at == UINT64_MAX) {
		uint8_t ours[65536];
		size_t n = len < sizeof(ours) ? len : sizeof(ours), got;
		sw_rc rc = sw_file_pread(c->fd, ours, n, (off_t)c->at, &got, c->path, err);

		if (rc != SW_OK)
			return rc;
		for (size_t i = 0; i < n && c->differs_at == UINT64_MAX; i++)
			if (i >= got || ours[i] != theirs[i])
				c->differs_at = c->at + i;
		theirs += n;
		len -= n;
		c->at += n;
	}
	return SW_OK;
}

static sw_rc
compare_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

static sw_rc
report_conflict(const struct push *push, const struct sw_wal_summary *theirs, uint64_t at,
	const char *url, struct sw_error *err)
{
	const struct sw_wal_summary *ours = &push->summary;
	char where[64], lsn[SW_LSN_LEN];

	if (ours->end != 0)
		snprintf(where, sizeof(where), "LSN %s", sw_lsn_format(ours->start + at, lsn));
	else
		snprintf(where, sizeof(where), "byte %" PRIu64, at);
	sw_fail(err, SW_CONFLICT, "%s is already in %s with other content, different from %s on; "
		"there from %s:%s, here from %s:%s", ours->name, url, where, theirs->host,
		theirs->pgdata, ours->host, ours->pgdata);
	return sw_hint(err, push->name.kind == SW_WAL_HISTORY ?
		"another server was promoted to this timeline first: promote this one again, "
		"or give it a repository of its own" :
		"nothing was overwritten; two servers archive as one cluster: stop one of them, "
		"or give it a cluster name of its own");
}

/* SW_OK if the repository's content is ours. */
static sw_rc
compare(struct push *push, struct sw_repository *repo, const char *name, struct sw_error *err)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct compare_stage c = {
		.stage = {.write = compare_write, .finish = compare_finish},
		.fd = push->fd,
		.path = push->path,
		.differs_at = UINT64_MAX,
	};
	sw_rc rc = sw_object_reader_init(&reader, push->summary.name, &c.stage, err);

	if (rc == SW_OK)
		rc = sw_store_get(repo->store, name, 0, 0, &reader.stage, err);
	if (rc != SW_OK) {
		sw_wrap(err, "%s is already there; comparing with it", name);
		return rc == SW_NOT_FOUND ? sw_fail(err, SW_TRANSIENT, "%s came and went", name) : rc;
	}
	if (c.differs_at == UINT64_MAX && reader.summary.size != push->summary.size)
		c.differs_at = reader.summary.size < push->summary.size ? reader.summary.size :
			push->summary.size;
	if (c.differs_at != UINT64_MAX)
		return report_conflict(push, &reader.summary, c.differs_at, sw_store_url(repo->store), err);
	sw_log(SW_LOG_INFO, "%s was already archived in %s with the same content", push->summary.name,
		sw_store_url(repo->store));
	return SW_OK;
}

/* --- repositories ------------------------------------------------------------------ */

static sw_rc
open_repository(struct push *push, unsigned i, struct sw_error *err)
{
	struct sw_repository *repo = &push->repos[i];
	sw_rc rc = sw_repository_open(push->stores[i], sw_config_cluster(push->config),
		push->control.system_identifier, repo, err);

	if (rc == SW_OK && repo->reg.segment_size != push->control.segment_size)
		rc = sw_fail(err, SW_CONFIG, "the cluster was registered with segments of %u bytes, and now has %u",
			repo->reg.segment_size, push->control.segment_size);
	return rc;
}

/* The network's waiting and the compressor's work side by side. */
static sw_rc
prepare(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct push *push = ctx;

	if (worker == 0)
		return encode(push, err);
	for (unsigned i = 0; i < push->repo_count && !sw_pool_stopping(pool); i++)
		if (open_repository(push, i, &push->unopened[i]) == SW_OK)
			push->unopened[i].rc = SW_OK; /* whatever failed on the way */
	return SW_OK;
}

static sw_rc
put_in(struct push *push, unsigned i, struct sw_error *err)
{
	struct sw_store_body body = sw_object_body(&push->object);
	struct sw_repository *repo = &push->repos[i];
	char name[SW_STORE_NAME_MAX];
	sw_rc rc;

	if (push->unopened[i].rc != SW_OK) {
		*err = push->unopened[i];
		return err->rc;
	}
	sw_repository_wal_name(repo, &push->name, name);
	rc = sw_store_put(repo->store, name, &body, err);
	return rc == SW_CONFLICT ? compare(push, repo, name, err) : rc;
}

static sw_rc
open_stores(struct push *push, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(push->config);

	if (sw_config_need_repo(push->config, err) != SW_OK)
		return err->rc;
	if (count > REPOS_MAX)
		return sw_fail(err, SW_CONFIG, "%u repositories, at most %d are possible", count, REPOS_MAX);
	for (; push->repo_count < count; push->repo_count++) {
		sw_rc rc = sw_store_open(push->config, push->repo_count, &push->stores[push->repo_count], err);

		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

static sw_rc
push_file(struct push *push, struct sw_error *err)
{
	const char *pgdata = sw_config_string(push->config, SW_OPT_PGDATA);
	struct sw_error all = SW_ERROR_INIT;
	sw_rc rc;

	rc = sw_control_read(pgdata != NULL ? pgdata : ".", &push->control, NULL, err);
	if (rc != SW_OK)
		return sw_hint(err, "run it in PostgreSQL's data directory, or set pgdata");
	rc = open_file(push, err);
	if (rc == SW_OK)
		rc = describe(push, pgdata != NULL ? pgdata : ".", err);
	if (rc == SW_OK)
		rc = open_stores(push, err);
	if (rc == SW_OK)
		rc = sw_pool_run(2, prepare, NULL, push, err);
	if (rc != SW_OK)
		return rc;
	/* one repository's failure must not keep the file from the others */
	for (unsigned i = 0; i < push->repo_count; i++)
		if (put_in(push, i, err) != SW_OK && all.rc == SW_OK)
			all = *err;
	if (all.rc != SW_OK)
		*err = all;
	return all.rc;
}

sw_rc
sw_push(const struct sw_config *config, const char *path, struct sw_error *err)
{
	__attribute__((cleanup(push_release))) struct push push = {
		.config = config,
		.path = path,
		.fd = -1,
	};
	sw_rc rc = push_file(&push, err);

	return rc == SW_OK ? rc : sw_wrap(err, "archiving %s", path);
}
