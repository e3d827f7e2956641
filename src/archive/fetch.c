#include "archive/fetch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/gap.h"
#include "archive/object.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"
#include "pg/control.h"

#define ALONE_THREADS 2 /* that decompress one segment; more wait for the bytes */

struct fetch {
	const struct sw_config *config;
	const char *pgdata, *path;
	struct sw_control control;
	struct sw_wal_name name;
	bool hole; /* the last try found later segments but not this one */
};

/* --- one repository ---------------------------------------------------------------- */

struct copy {
	struct sw_repository *repo;
	const struct sw_wal_name *name;
	int fd;
	const char *path;  /* of fd */
	unsigned threads;
	uint8_t *ret_hash; /* SW_XXH3_LEN */
};

/* In one extent the blocks cost a third less.  What fails here fails in the write, with its reason. */
static void *
reserve_blocks(void *arg)
{
	const struct copy *c = arg;

	if (c->name->kind == SW_WAL_SEGMENT || c->name->kind == SW_WAL_PARTIAL)
		(void)fallocate(c->fd, FALLOC_FL_KEEP_SIZE, 0, c->repo->reg.segment_size);
	return NULL;
}

static sw_rc
write_verified(struct copy *c, struct sw_error *err)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	const struct sw_registration *reg = &c->repo->reg;
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	struct sw_stage_fd out;
	sw_rc rc;

	sw_repository_wal_name(c->repo, c->name, object);
	sw_stage_fd_init(&out, c->fd, c->path);
	rc = sw_object_reader_init_threads(&reader, sw_wal_name_format(c->name, reg->segment_size, file), c->threads,
		&out.stage, err);
	if (rc == SW_OK)
		rc = sw_store_get(c->repo->store, object, 0, 0, &reader.stage, err);
	if (rc == SW_CORRUPT)
		sw_wrap(err, "%s in %s", object, sw_store_url(c->repo->store));
	if (rc == SW_OK && reader.summary.system_identifier != reg->system_identifier)
		rc = sw_fail(err, SW_CORRUPT, "%s in %s is of another cluster", object, sw_store_url(c->repo->store));
	if (rc == SW_OK)
		memcpy(c->ret_hash, reader.summary.xxh3, SW_XXH3_LEN);
	return rc;
}

sw_rc
sw_fetch_into(struct sw_repository *repo, const struct sw_wal_name *name, int fd, const char *path,
	uint8_t ret_hash[SW_XXH3_LEN], struct sw_error *err)
{
	struct copy copy = {
		.repo = repo,
		.name = name,
		.fd = fd,
		.path = path,
		.threads = 1, /* several segments at once keep the cores busy by themselves */
		.ret_hash = ret_hash,
	};

	reserve_blocks(&copy);
	return write_verified(&copy, err);
}

/* Before the first byte comes a core is idle. */
static sw_rc
write_while_reserving(struct copy *c, struct sw_error *err)
{
	pthread_t reserving;
	sw_rc rc = sw_pool_thread(&reserving, reserve_blocks, c, err);

	if (rc != SW_OK)
		return rc;
	rc = write_verified(c, err);
	pthread_join(reserving, NULL);
	return rc;
}

sw_rc
sw_fetch_from(struct sw_repository *repo, const struct sw_wal_name *name, const char *path,
	struct sw_error *err)
{
	SW_AUTO_FREE char *tmp = NULL;
	uint8_t hash[SW_XXH3_LEN];
	struct copy copy = {.repo = repo, .name = name, .threads = ALONE_THREADS, .ret_hash = hash};
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (asprintf(&tmp, "%s.seawall", path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "creating %s", tmp);
	copy.fd = fd;
	copy.path = tmp;
	rc = write_while_reserving(&copy, err);
	if (rc == SW_OK && rename(tmp, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", tmp, path);
	if (rc != SW_OK)
		unlink(tmp);
	return rc;
}

/* --- a hole is not the end ----------------------------------------------------------- */

struct later {
	uint32_t segment_size;
	uint64_t segment;
	char found[SW_WAL_NAME_MAX];
};

static sw_rc
find_later(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct later *later = ctx;
	struct sw_wal_name parsed;

	(void)info;
	(void)err;
	if (!sw_repository_parse_wal_name(name, later->segment_size, &parsed) ||
		parsed.kind != SW_WAL_SEGMENT || parsed.segment <= later->segment)
		return SW_OK;
	sw_wal_name_format(&parsed, later->segment_size, later->found);
	return SW_CONFLICT;
}

/* SW_OK: the next segments are missing too, and it was not dropped.  SW_CORRUPT: a hole. */
static sw_rc
check_hole(struct fetch *f, struct sw_repository *repo, struct sw_error *err)
{
	const struct sw_wal_name *name = &f->name;
	struct later later = {
		.segment_size = repo->reg.segment_size,
		.segment = name->segment,
	};
	char prefix[SW_STORE_NAME_MAX], object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX], why[SW_GAP_TEXT_LEN];
	struct sw_gap gap;
	sw_rc rc;

	if (name->kind != SW_WAL_SEGMENT)
		return SW_OK;
	rc = sw_store_list(repo->store, sw_repository_name(repo, prefix, "wal/%08X/", name->timeline),
		sw_repository_wal_name(repo, name, object), find_later, &later, err);
	if (rc == SW_OK)
		rc = sw_gap_find(repo, name->timeline, name->segment, &gap, err);
	if (rc == SW_NOT_FOUND && later.found[0] == '\0')
		return SW_OK;
	if (rc != SW_OK && rc != SW_NOT_FOUND)
		return rc;
	f->hole = true;
	sw_wal_name_format(name, repo->reg.segment_size, file);
	if (rc == SW_OK) {
		sw_fail(err, SW_CORRUPT, "%s is missing in %s: it was %s", file, sw_store_url(repo->store),
			sw_gap_text(gap.time_us, why));
		return sw_hint(err, "nothing behind it can be recovered: restore to a target before it, or a backup behind it");
	}
	sw_fail(err, SW_CORRUPT, "%s is missing in %s, but %s is there: a hole in the WAL", file, sw_store_url(repo->store),
		later.found);
	return sw_hint(err, "wait until it is archived, or restore to a target before it");
}

/* Absence, and what one key alone cannot tell, is judged by the registration. */
static sw_rc
prove(struct fetch *f, struct sw_store *store, struct sw_error *err)
{
	struct sw_repository repo;
	sw_rc first = err->rc, rc;

	rc = sw_repository_open(store, sw_config_cluster(f->config), f->control.system_identifier, &repo, err);
	/* not registered there: the configuration is wrong, which is no proof of absence */
	if (rc == SW_NOT_FOUND)
		return err->rc = SW_CONFIG;
	if (rc != SW_OK)
		return rc;
	if (first != SW_NOT_FOUND || repo.reg.traits.versioned) {
		rc = sw_fetch_from(&repo, &f->name, f->path, err);
		if (rc != SW_NOT_FOUND)
			return rc;
	}
	rc = check_hole(f, &repo, err);
	return rc != SW_OK ? rc : sw_fail(err, SW_NOT_FOUND, "not in %s", sw_store_url(store));
}

/* The object itself proves by its summary that it is the right one: a hit is one request. */
static sw_rc
try_repository(struct fetch *f, unsigned i, struct sw_error *err)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_repository repo;
	sw_rc rc = sw_store_open(f->config, i, &store, err);

	if (rc != SW_OK)
		return rc;
	sw_repository_assume(store, sw_config_cluster(f->config), f->control.system_identifier,
		f->control.segment_size, &repo);
	rc = sw_fetch_from(&repo, &f->name, f->path, err);
	if (rc == SW_OK)
		store = NULL; /* 1 ms to close, which the end of the process does for nothing */
	/* what is damaged may be a later version, put over the one that counts */
	return rc == SW_NOT_FOUND || rc == SW_CONFLICT || rc == SW_DENIED || rc == SW_CORRUPT ?
		prove(f, store, err) : rc;
}

/* Several repositories: the first that has it intact; absence needs all. */
static sw_rc
try_all(struct fetch *f, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(f->config);
	struct sw_error worst = SW_ERROR_INIT;

	f->hole = false;
	if (sw_config_need_repo(f->config, err) != SW_OK)
		return err->rc;
	for (unsigned i = 0; i < count; i++) {
		sw_rc rc = try_repository(f, i, err);

		if (rc == SW_OK)
			return rc;
		if (worst.rc == SW_OK || worst.rc == SW_NOT_FOUND)
			worst = *err;
		if (rc != SW_NOT_FOUND && i + 1 < count)
			sw_log(SW_LOG_WARNING, "%s; trying the next repository", err->text);
	}
	*err = worst;
	return worst.rc;
}

/* --- waiting ------------------------------------------------------------------------- */

static bool
has_file(const struct fetch *f, const char *name)
{
	SW_AUTO_FREE char *path = NULL;

	return asprintf(&path, "%s/%s", f->pgdata, name) >= 0 && access(path, F_OK) == 0;
}

static bool
is_standby(const struct fetch *f)
{
	return has_file(f, "standby.signal");
}

/*
 * At its end recovery chooses the new timeline, removes the signal files, and then asks for the history of the timeline that
 * it was on (writeTimeLineHistory).  Stopped there, the server would come up on the old timeline at its next start.  It
 * has kept that history in pg_wal, and takes it from there if it is told that there is none.
 */
static bool
has_its_own(const struct fetch *f)
{
	char name[SW_WAL_NAME_MAX + sizeof("pg_wal/")];

	if (f->name.kind != SW_WAL_HISTORY || is_standby(f) || has_file(f, "recovery.signal"))
		return false;
	memcpy(name, "pg_wal/", sizeof("pg_wal/"));
	sw_wal_name_format(&f->name, f->control.segment_size, name + strlen(name));
	return has_file(f, name);
}

static sw_rc
fetch_waiting(struct fetch *f, struct sw_error *err)
{
	int64_t start = sw_clock_monotonic_ms();
	int64_t hole_end = start + sw_config_ms(f->config, SW_OPT_FETCH_HOLE_WAIT);
	int64_t outage_end = start + sw_config_ms(f->config, SW_OPT_STANDBY_OUTAGE_WAIT);
	bool standby = is_standby(f);
	sw_rc rc;

	for (;;) {
		bool again;

		rc = try_all(f, err);
		if (rc == SW_OK)
			return rc;
		again = (f->hole && sw_clock_monotonic_ms() < hole_end) ||
			(rc == SW_TRANSIENT && standby && sw_clock_monotonic_ms() < outage_end);

		if (!again)
			break;
		sw_log(SW_LOG_WARNING, "%s; waiting", err->text);
		if (!sw_clock_sleep_ms(1000))
			break;
	}
	if (standby && (rc == SW_TRANSIENT || rc == SW_CORRUPT)) {
		sw_log(SW_LOG_ERROR, "%s; answering \"not there\", because a standby may stream it instead",
			err->text);
		rc = err->rc = SW_NOT_FOUND;
	} else if (rc == SW_TRANSIENT && has_its_own(f)) {
		sw_log(SW_LOG_ERROR, "%s; answering \"not there\", because recovery has ended and pg_wal has its own copy", err->text);
		rc = err->rc = SW_NOT_FOUND;
	}
	return rc;
}

sw_rc
sw_fetch(const struct sw_config *config, const char *file, const char *path, struct sw_error *err)
{
	struct fetch f = {.config = config, .path = path};
	sw_rc rc;

	f.pgdata = sw_config_string(config, SW_OPT_PGDATA);
	if (f.pgdata == NULL)
		f.pgdata = ".";
	rc = sw_control_read(f.pgdata, &f.control, NULL, err);
	if (rc != SW_OK) {
		sw_hint(err, "run it in PostgreSQL's data directory, or set pgdata");
		return err->rc = rc == SW_NOT_FOUND ? SW_CONFIG : rc;
	}
	if (!sw_wal_name_parse(file, f.control.segment_size, &f.name)) {
		sw_fail(err, SW_CONFIG, "\"%s\" is no name of a WAL file", file);
		return sw_hint(err, "use restore_command = 'seawall-fetch %%f %%p'");
	}
	/* asked for at the end of a recovery all the same: nothing must fail there that need not */
	if (f.name.kind == SW_WAL_HISTORY && f.name.timeline == 1)
		return sw_fail(err, SW_NOT_FOUND, "timeline 1 has no history");
	rc = fetch_waiting(&f, err);
	return rc == SW_OK ? rc : sw_wrap(err, "fetching %s", file);
}
