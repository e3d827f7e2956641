#include "archive/push.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/conflict.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "config/config.h"

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

enum { VALIDATE_ON, VALIDATE_WARN, VALIDATE_OFF }; /* push-validate's words */

/* --- what is to be archived ------------------------------------------------------ */

static bool
is_wal(const struct sw_push_file *file)
{
	return file->name.kind == SW_WAL_SEGMENT || file->name.kind == SW_WAL_PARTIAL;
}

static sw_rc
open_file(struct sw_push_file *file, struct sw_error *err)
{
	const char *slash = strrchr(file->path, '/');
	const char *base = slash == NULL ? file->path : slash + 1;
	uint32_t segment_size = file->push->control.segment_size;
	char canonical[SW_WAL_NAME_MAX];

	if (!sw_wal_name_parse(base, segment_size, &file->name) ||
		strcmp(base, sw_wal_name_format(&file->name, segment_size, canonical)) != 0) {
		sw_fail(err, SW_CONFIG, "\"%s\" is no name of a WAL file", base);
		return sw_hint(err, "use archive_command = 'seawall-push %%p'");
	}
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0)
		return sw_fail_errno(err, "opening %s", file->path);
	return SW_OK;
}

static sw_rc
check_first_page(const struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_wal_summary *s = &file->summary;
	struct long_page_header page;
	size_t got;
	sw_rc rc = sw_file_pread(file->fd, &page, sizeof(page), 0, &got, file->path, err);

	if (rc != SW_OK)
		return rc;
	if (got < sizeof(page) || (page.info & LONG_HEADER_FLAG) == 0)
		return sw_fail(err, SW_CORRUPT, "%s does not begin with a WAL page", file->path);
	if (page.system_identifier != s->system_identifier)
		return sw_fail(err, SW_CORRUPT, "%s is WAL of system identifier %" PRIu64
			", but the data directory's is %" PRIu64, file->path, page.system_identifier,
			s->system_identifier);
	if (page.page_address != s->start || page.segment_size != s->segment_size) {
		char at[SW_LSN_LEN], want[SW_LSN_LEN];

		return sw_fail(err, SW_CORRUPT, "%s begins with the page of LSN %s where %s is right",
			file->path, sw_lsn_format(page.page_address, at), sw_lsn_format(s->start, want));
	}
	return SW_OK;
}

static sw_rc
describe(struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_push *push = file->push;
	struct sw_wal_summary *s = &file->summary;
	SW_AUTO_FREE char *real = realpath(push->pgdata, NULL);

	sw_wal_name_format(&file->name, push->control.segment_size, s->name);
	s->system_identifier = push->control.system_identifier;
	s->timeline = file->name.timeline;
	s->segment_size = push->control.segment_size;
	if (gethostname(s->host, sizeof(s->host) - 1) != 0)
		snprintf(s->host, sizeof(s->host), "unknown");
	snprintf(s->pgdata, sizeof(s->pgdata), "%s", real != NULL ? real : push->pgdata);
	if (!is_wal(file))
		return SW_OK;
	s->start = file->name.segment * s->segment_size;
	s->end = s->start + s->segment_size;
	return check_first_page(file, err);
}

static sw_rc
fail_damaged(const struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_wal_digest *d = file->summary.digest;
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
judge_wal(const struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_wal_summary *s = &file->summary;
	const struct sw_wal_digest *d = s->digest;
	char lsn[SW_LSN_LEN];

	if (d == NULL || d->verdict == SW_WAL_COMPLETE)
		return SW_OK;
	sw_lsn_format(d->verdict == SW_WAL_BROKEN ? d->broken_at : d->valid_to, lsn);
	if (d->verdict == SW_WAL_UNKNOWN)
		sw_log(SW_LOG_WARNING, "%s is archived without having been read: %s", s->name, d->reason);
	else if (d->verdict == SW_WAL_ENDS_EARLY && file->name.kind == SW_WAL_SEGMENT)
		sw_log(SW_LOG_WARNING, "%s is archived, but its WAL ends at LSN %s, as a standby's last segment of a timeline "
			"does: %s", s->name, lsn, d->reason);
	else if (d->verdict == SW_WAL_BROKEN && sw_config_enum(file->push->config, SW_OPT_PUSH_VALIDATE) == VALIDATE_WARN)
		sw_log(SW_LOG_WARNING, "%s is archived, but its WAL is damaged at LSN %s: %s", s->name, lsn, d->reason);
	else if (d->verdict == SW_WAL_BROKEN)
		return fail_damaged(file, err);
	return SW_OK;
}

struct sw_wal_digester_params
sw_push_file_wal(const struct sw_push_file *file)
{
	const struct sw_wal_summary *s = &file->summary;

	return (struct sw_wal_digester_params){
		.start = s->start,
		.segment_size = s->segment_size,
		.timeline = s->timeline,
		.system_identifier = s->system_identifier,
		.block_size = file->push->control.block_size,
		.next_xid = file->push->control.next_xid,
		.class_files = file->filenodes.classes,
		.class_file_count = file->filenodes.class_count,
		.database_file = file->filenodes.database_file,
	};
}

static sw_rc
make_object(struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_config *config = file->push->config;
	struct sw_wal_digester_params wal;
	struct sw_object_source source = {
		.fd = file->fd,
		.path = file->path,
		.level = (int)sw_config_int(config, SW_OPT_COMPRESS_LEVEL),
		.memory_max = file->memory_max,
		.threads = file->threads,
		.wal = sw_config_enum(config, SW_OPT_PUSH_VALIDATE) == VALIDATE_OFF ? NULL : &wal,
	};
	sw_rc rc = SW_OK;

	if (source.wal != NULL && file->summary.end != 0 && file->filenodes.classes == NULL)
		rc = sw_filenodes_read(file->push->pgdata, &file->filenodes, err);
	wal = sw_push_file_wal(file);
	if (rc == SW_OK)
		rc = sw_object_make(&source, &file->summary, &file->object, err);
	file->encoded = rc == SW_OK;
	return rc;
}

sw_rc
sw_push_file_check(const struct sw_push_file *file, struct sw_error *err)
{
	const struct sw_ledger_file *was = &file->identity;
	struct stat is;

	/* a late archiver may be reading a file that its successor had recycled */
	if (stat(file->path, &is) != 0)
		return sw_fail_errno(err, "stat of %s", file->path);
	if (is.st_dev != was->device || is.st_ino != was->inode || (uint64_t)is.st_size != was->size ||
		(int64_t)is.st_mtim.tv_sec * 1000000000 + is.st_mtim.tv_nsec != was->mtime_ns)
		return sw_fail(err, SW_TRANSIENT, "%s changed while it was read", file->path);
	if (file->ready != NULL && access(file->ready, F_OK) != 0)
		return sw_fail(err, SW_TRANSIENT, "%s is gone: another archiver has dealt with the file", file->ready);
	return is_wal(file) ? check_first_page(file, err) : SW_OK;
}

sw_rc
sw_push_file_open(struct sw_push_file *file, const struct sw_push *push, const char *path, struct sw_error *err)
{
	sw_rc rc;

	file->push = push;
	file->path = path;
	rc = open_file(file, err);
	if (rc == SW_OK)
		rc = describe(file, err);
	return rc == SW_OK ? sw_ledger_identify(file->fd, is_wal(file), path, &file->identity, err) : rc;
}

sw_rc
sw_push_file_read(struct sw_push_file *file, struct sw_error *err)
{
	sw_rc rc = make_object(file, err);

	if (rc == SW_OK)
		rc = sw_push_file_check(file, err);
	return rc == SW_OK ? judge_wal(file, err) : rc;
}

void
sw_push_file_release(struct sw_push_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->encoded)
		sw_object_release(&file->object);
	sw_wal_summary_release(&file->summary);
	free(file->filenodes.classes);
	file->filenodes = (struct sw_filenodes){0};
	file->fd = -1;
	file->encoded = false;
}

/* --- repositories ------------------------------------------------------------------ */

static sw_rc
read_registration(struct sw_push *push, struct sw_push_repo *r, struct sw_error *err)
{
	sw_rc rc = sw_repository_open(r->store, sw_config_cluster(push->config), push->control.system_identifier,
		&r->repo, err);

	if (rc == SW_OK && r->repo.reg.segment_size != push->control.segment_size)
		rc = sw_fail(err, SW_CONFIG, "the cluster was registered with segments of %u bytes, and now has %u",
			r->repo.reg.segment_size, push->control.segment_size);
	return rc;
}

/* A failure stands until sw_push_open.  For sw_quorum_run. */
static sw_rc
open_repository(void *ctx, unsigned i, struct sw_error *err)
{
	struct sw_push *push = ctx;
	struct sw_push_repo *r = &push->repos[i];
	sw_rc rc;

	pthread_mutex_lock(&r->mutex);
	if (!r->open && r->failed.rc == SW_OK) {
		sw_log_quiet(sw_quorum_is_down(&push->quorum, i)); /* each attempt of something that was told to be down */
		r->open = read_registration(push, r, &r->failed) == SW_OK;
		sw_log_quiet(false);
		if (r->open)
			r->failed.rc = SW_OK; /* whatever failed on the way */
	}
	rc = r->failed.rc;
	if (rc != SW_OK)
		*err = r->failed;
	if (rc != SW_OK && sw_interrupt_signal() != 0)
		r->failed = (struct sw_error)SW_ERROR_INIT; /* it was not waited for: who needs it asks again */
	pthread_mutex_unlock(&r->mutex);
	return rc;
}

static bool
is_lacking(struct sw_push *push, unsigned i)
{
	struct sw_push_repo *r = &push->repos[i];
	bool open;

	pthread_mutex_lock(&r->mutex);
	open = r->open;
	pthread_mutex_unlock(&r->mutex);
	return !sw_quorum_rests(&push->quorum, i) && (!open || sw_quorum_is_down(&push->quorum, i));
}

bool
sw_push_lacks(struct sw_push *push)
{
	bool lacks = false;

	for (unsigned i = 0; i < push->repo_count; i++)
		lacks = lacks || is_lacking(push, i);
	return lacks;
}

/* Its credentials may be others now. */
static void
renew_store(const struct sw_push *push, unsigned i, struct sw_push_repo *r)
{
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_store *store;

	if (sw_store_open(push->config, i, &store, &ignored) != SW_OK)
		return;
	sw_store_free(r->store);
	r->store = store;
}

bool
sw_push_open(struct sw_push *push, bool anew)
{
	for (unsigned i = 0; i < push->repo_count; i++) {
		struct sw_push_repo *r = &push->repos[i];
		bool lacking = is_lacking(push, i);

		pthread_mutex_lock(&r->mutex);
		if (lacking && (r->open || r->failed.rc != SW_OK))
			renew_store(push, i, r);
		r->open = r->open && !lacking && !anew;
		r->failed = (struct sw_error)SW_ERROR_INIT;
		pthread_mutex_unlock(&r->mutex);
	}
	return sw_quorum_try(&push->quorum, open_repository, push) >= push->quorum.needed;
}

void
sw_push_registrations(struct sw_push *push, uint8_t ret_hash[SW_LEDGER_HASH_LEN])
{
	char ids[SW_QUORUM_MAX][SW_REPOSITORY_ID_LEN] = {0};
	XXH128_canonical_t canonical;

	for (unsigned i = 0; i < push->repo_count; i++) {
		pthread_mutex_lock(&push->repos[i].mutex);
		if (push->repos[i].open)
			memcpy(ids[i], push->repos[i].repo.reg.id, sizeof(ids[i]));
		pthread_mutex_unlock(&push->repos[i].mutex);
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(ids, sizeof(ids)));
	memcpy(ret_hash, canonical.digest, SW_LEDGER_HASH_LEN);
}

static sw_rc
make_stores(struct sw_push *push, struct sw_error *err)
{
	for (; push->repo_count < push->quorum.count; push->repo_count++) {
		struct sw_push_repo *r = &push->repos[push->repo_count];
		sw_rc rc = sw_store_open(push->config, push->repo_count, &r->store, err);

		if (rc != SW_OK)
			return rc;
		pthread_mutex_init(&r->mutex, NULL);
	}
	return SW_OK;
}

sw_rc
sw_push_refresh(struct sw_push *push, struct sw_error *err)
{
	if (sw_control_read(push->pgdata, &push->control, NULL, err) != SW_OK)
		return sw_hint(err, "run it in PostgreSQL's data directory, or set pgdata");
	return SW_OK;
}

sw_rc
sw_push_init(struct sw_push *ret_push, const struct sw_config *config, struct sw_error *err)
{
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	sw_rc rc;

	memset(ret_push, 0, sizeof(*ret_push));
	ret_push->config = config;
	ret_push->pgdata = pgdata != NULL ? pgdata : ".";
	rc = sw_push_refresh(ret_push, err);
	if (rc == SW_OK)
		rc = sw_quorum_init(&ret_push->quorum, config, err);
	return rc == SW_OK ? make_stores(ret_push, err) : rc;
}

void
sw_push_release(struct sw_push *push)
{
	for (unsigned i = 0; i < push->repo_count; i++) {
		sw_store_free(push->repos[i].store);
		pthread_mutex_destroy(&push->repos[i].mutex);
	}
	push->repo_count = 0;
	sw_quorum_release(&push->quorum);
}

/* --- lanes --------------------------------------------------------------------------- */

void
sw_push_lane_init(struct sw_push_lane *lane, struct sw_push *push, bool own)
{
	*lane = (struct sw_push_lane){.push = push, .own = own, .ready = true};
}

void
sw_push_lane_release(struct sw_push_lane *lane)
{
	for (unsigned i = 0; lane->own && i < lane->push->repo_count; i++)
		sw_store_free(lane->repos[i].store);
	*lane = (struct sw_push_lane){0};
}

sw_rc
sw_push_lane_connect(struct sw_push_lane *lane, unsigned i, struct sw_error *err)
{
	const struct sw_push_repo *r = &lane->push->repos[i];
	struct sw_store *store = r->store;
	sw_rc rc = open_repository(lane->push, i, err);

	if (rc != SW_OK || lane->repos[i].store != NULL)
		return rc;
	if (lane->own)
		rc = sw_store_clone(r->store, &store, err);
	if (rc == SW_OK) {
		lane->repos[i] = r->repo;
		lane->repos[i].store = store;
	}
	return rc;
}

static bool
is_outage(sw_rc rc)
{
	return rc == SW_TRANSIENT || rc == SW_DENIED || rc == SW_SYSTEM;
}

bool
sw_push_file_met_outage(const struct sw_push_file *file)
{
	return atomic_load(&file->tried) && !atomic_load(&file->refused);
}

struct put {
	struct sw_push_file *file;
	struct sw_push_lane *lane;
};

static sw_rc
put_there(const struct put *put, unsigned i, struct sw_error *err)
{
	struct sw_push_file *file = put->file;
	struct sw_store_body body = sw_object_body(&file->object);
	struct sw_repository *repo = &put->lane->repos[i];
	char name[SW_STORE_NAME_MAX];
	sw_rc rc = sw_push_lane_connect(put->lane, i, err);

	if (rc != SW_OK)
		return rc;
	sw_repository_wal_name(repo, &file->name, name);
	rc = sw_store_put(repo->store, name, &body, err);
	/* what is there and cannot be read may be another content */
	if (rc == SW_CONFLICT && (rc = sw_conflict_settle(file, repo, err)) != SW_OK) {
		atomic_store(&file->refused, true);
		err->name_taken = true;
	}
	if (rc == SW_OK && file->name.kind == SW_WAL_HISTORY)
		sw_conflict_warn_orphans(file, repo);
	return rc;
}

static sw_rc
put_in(void *ctx, unsigned i, struct sw_error *err)
{
	const struct put *put = ctx;
	sw_rc rc = put_there(put, i, err);

	if (rc != SW_OK && err->name_taken && sw_interrupt_signal() != 0) {
		sw_interrupt_thread(NULL); /* what has the name must be known, however long that takes */
		if (sw_interrupt_signal() == 0) {
			*err = (struct sw_error)SW_ERROR_INIT;
			rc = put_there(put, i, err);
		}
	}
	if (rc != SW_OK && (!is_outage(rc) || err->name_taken || sw_interrupt_signal() != 0))
		atomic_store(&put->file->refused, true);
	return rc;
}

sw_rc
sw_push_file_put(struct sw_push_file *file, struct sw_push_lane *lane, struct sw_error *err)
{
	struct put put = {.file = file, .lane = lane};
	sw_rc rc = sw_push_file_check(file, err);

	if (rc != SW_OK)
		return rc;
	atomic_store(&file->tried, true);
	return sw_quorum_run(&lane->push->quorum, put_in, &put, err);
}
