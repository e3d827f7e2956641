#include "archive/fetch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/fetch_spool.h"
#include "archive/gap.h"
#include "archive/ledger.h"
#include "archive/object.h"
#include "archive/outage.h"
#include "archive/quorum.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
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
	unsigned count; /* repositories */
	struct sw_ledger notes; /* of those that are down; no dir: none are kept */
	struct sw_outage outages[SW_QUORUM_MAX];
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
	rc = sw_file_make_own(tmp, &fd, err);
	if (rc != SW_OK)
		return rc;
	copy.fd = fd;
	copy.path = tmp;
	rc = write_while_reserving(&copy, err);
	if (rc == SW_OK && !sw_file_is_own(fd, tmp))
		rc = sw_fail(err, SW_SYSTEM, "%s is another call's by now", tmp);
	if (rc == SW_OK && rename(tmp, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", tmp, path);
	if (rc != SW_OK && sw_file_is_own(fd, tmp))
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
try_repository(struct fetch *f, unsigned i, bool impatient, struct sw_error *err)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_repository repo;
	sw_rc rc = impatient ?
		sw_store_open_impatient(f->config, i, sw_config_ms(f->config, SW_OPT_FETCH_GRACE), &store, err) :
		sw_store_open(f->config, i, &store, err);

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

/* --- several repositories ------------------------------------------------------------ */

/* Which are down is noted beside recovery's own spool alone: who fetches by hand waits. */
static void
recall_outages(struct fetch *f)
{
	struct sw_error ignored = SW_ERROR_INIT;

	if (f->count == 1 || !sw_fetch_spool_is_recovery(f->pgdata, f->path) ||
		sw_ledger_init(&f->notes, f->config, f->path, f->control.system_identifier, &ignored) != SW_OK)
		return;
	sw_ledger_release(&f->notes);
	if (asprintf(&f->notes.dir, "%.*s/seawall.spool/down", (int)(strrchr(f->path, '/') - f->path), f->path) < 0)
		f->notes.dir = NULL;
	for (unsigned i = 0; f->notes.dir != NULL && i < f->count; i++)
		if (!sw_outage_read(&f->notes, i, &f->outages[i]))
			f->outages[i] = (struct sw_outage){0};
}

static void
note_up(struct fetch *f, unsigned i)
{
	if (f->outages[i].since_us == 0)
		return;
	f->outages[i] = (struct sw_outage){0};
	if (f->notes.dir != NULL)
		sw_outage_remove(&f->notes, i);
	sw_log(SW_LOG_INFO, "repository %s is up again", sw_config_repo_name(f->config, i));
}

/* Damage is told each time, an outage once. */
static void
note_failure(struct fetch *f, unsigned i, const struct sw_error *why)
{
	struct sw_error ignored = SW_ERROR_INIT;
	bool known = f->outages[i].since_us != 0;

	if (why->rc == SW_CORRUPT || why->rc == SW_CONFLICT) {
		sw_log(SW_LOG_WARNING, "%s; trying the next repository", why->text);
		return;
	}
	sw_outage_prolong(&f->outages[i], why->text);
	if (f->notes.dir != NULL)
		(void)sw_outage_write(&f->notes, i, &f->outages[i], &ignored);
	sw_log(known ? SW_LOG_DEBUG : SW_LOG_WARNING, "repository %s is down: %s; trying the next repository",
		sw_config_repo_name(f->config, i), why->text);
}

/*
 * Impatiently, so that an outage of one costs no more than fetch-grace where another has the file; what rests comes last.
 * ret_answers: of each.
 */
static sw_rc
ask_each(struct fetch *f, struct sw_error *ret_answers, struct sw_error *err)
{
	bool rests[SW_QUORUM_MAX];

	for (unsigned i = 0; i < f->count; i++)
		rests[i] = sw_outage_rests(&f->outages[i]);
	for (unsigned n = 0; n < 2 * f->count; n++) {
		unsigned i = n % f->count;
		sw_rc rc;

		if (rests[i] != (n >= f->count))
			continue;
		sw_log_quiet(f->outages[i].since_us != 0);
		rc = try_repository(f, i, true, err);
		sw_log_quiet(false);
		if (rc == SW_OK || rc == SW_NOT_FOUND)
			note_up(f, i);
		if (rc == SW_OK || sw_interrupt_signal() != 0)
			return rc;
		ret_answers[i] = *err;
		if (rc != SW_NOT_FOUND)
			note_failure(f, i, err);
	}
	return SW_NOT_FOUND;
}

/* Those that did not answer are asked again, with all the patience that is configured: nobody else has it. */
static sw_rc
insist(struct fetch *f, struct sw_error *answers, struct sw_error *err)
{
	for (unsigned i = 0; i < f->count; i++) {
		sw_rc rc;

		if (answers[i].rc != SW_TRANSIENT)
			continue;
		rc = try_repository(f, i, false, err);
		if (rc == SW_OK || rc == SW_NOT_FOUND)
			note_up(f, i);
		if (rc == SW_OK || sw_interrupt_signal() != 0)
			return rc;
		answers[i] = *err;
	}
	for (unsigned i = 0; i < f->count; i++)
		if (i == 0 || err->rc == SW_NOT_FOUND)
			*err = answers[i];
	return err->rc;
}

/* Several repositories: the first that has it intact; absence needs all. */
static sw_rc
try_all(struct fetch *f, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_error *answers = NULL;
	sw_rc rc;

	f->hole = false;
	if (f->count == 1)
		return try_repository(f, 0, false, err);
	answers = calloc(f->count, sizeof(*answers));
	if (answers == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = ask_each(f, answers, err);
	if (rc == SW_OK || sw_interrupt_signal() != 0)
		return rc;
	return insist(f, answers, err);
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
	rc = sw_config_need_repo(config, err);
	f.count = sw_config_repo_count(config);
	if (rc == SW_OK && f.count > SW_QUORUM_MAX)
		rc = sw_fail(err, SW_CONFIG, "%u repositories, at most %d are possible", f.count, SW_QUORUM_MAX);
	if (rc != SW_OK)
		return rc;
	recall_outages(&f);
	rc = fetch_waiting(&f, err);
	sw_ledger_release(&f.notes);
	return rc == SW_OK ? rc : sw_wrap(err, "fetching %s", file);
}
