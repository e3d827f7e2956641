#include "archive/prefetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "archive/fetch.h"
#include "archive/fetch_spool.h"
#include "archive/outage.h"
#include "archive/quorum.h"
#include "archive/route.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"

#define STATE_ARCHIVE_RECOVERY 5 /* DB_IN_ARCHIVE_RECOVERY; catalog/pg_control.h */
#define POLL_MS 10
#define POLL_IDLE_MS 50        /* nothing was asked for during the last second */
#define CHECK_MS 200           /* between two looks at whether recovery goes on */
#define JUST_NOW_MS 50         /* a segment that came so short before it was asked for was waited for */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 30000
#define FREE_SEGMENTS 8        /* left free on the disk: PostgreSQL needs them more */

/* --- window ------------------------------------------------------------------------------ */

void
sw_prefetch_window_init(struct sw_prefetch_window *w, unsigned limit, unsigned workers)
{
	w->limit = limit;
	w->size = workers < limit ? workers : limit;
}

void
sw_prefetch_window_waited(struct sw_prefetch_window *w)
{
	w->size = w->size > w->limit / 2 ? w->limit : 2 * w->size;
}

void
sw_prefetch_window_ended(struct sw_prefetch_window *w)
{
	w->size = 1;
}

void
sw_prefetch_window_full(struct sw_prefetch_window *w)
{
	w->size = w->size > 1 ? w->size / 2 : 1;
}

/* --- what is known ------------------------------------------------------------------------ */

struct slot {
	enum { SLOT_FREE, SLOT_COMING, SLOT_READY } state;
	struct sw_wal_name name;
	int64_t ready_ms;
};

struct backoff {
	int64_t until_ms, next_ms;
};

struct prefetch {
	const struct sw_config *config;
	struct sw_fetch_spool *spool;
	char *pgdata; /* absolute */
	struct sw_control control;
	pid_t postmaster;
	uint64_t postmaster_started;

	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t changed;
	struct sw_fetch_asked asked;
	struct sw_route route;
	struct sw_prefetch_window window;
	struct slot *slots;
	unsigned slot_count;
	bool at_end;      /* the repository had no `end` */
	uint64_t end;
	struct backoff end_backoff, failure;
	struct sw_outage outages[SW_QUORUM_MAX]; /* of several repositories */
	bool ending;

	pthread_mutex_t opening;
	struct sw_repository *bases; /* one a repository; their stores are cloned */
	bool *opened;
};

/* A start of the server, for the pid alone comes again. */
static uint64_t
server_of(const struct prefetch *p)
{
	return p->postmaster_started << 22 | (uint64_t)p->postmaster; /* PID_MAX_LIMIT is 2^22 */
}

static void
back_off(struct backoff *b)
{
	b->next_ms = b->next_ms == 0 ? BACKOFF_FIRST_MS : 2 * b->next_ms;
	if (b->next_ms > BACKOFF_MAX_MS)
		b->next_ms = BACKOFF_MAX_MS;
	b->until_ms = sw_clock_monotonic_ms() + b->next_ms;
}

static struct slot *
find_slot(struct prefetch *p, uint32_t timeline, uint64_t segment)
{
	for (unsigned i = 0; i < p->slot_count; i++)
		if (p->slots[i].state != SLOT_FREE && p->slots[i].name.timeline == timeline &&
			p->slots[i].name.segment == segment)
			return &p->slots[i];
	return NULL;
}

static struct slot *
free_slot(struct prefetch *p)
{
	for (unsigned i = 0; i < p->slot_count; i++)
		if (p->slots[i].state == SLOT_FREE)
			return &p->slots[i];
	return NULL;
}

/* The timeline that segment will be asked for on, which is not before what was. */
static uint32_t
timeline_behind(const struct prefetch *p, const struct sw_fetch_asked *asked, uint64_t segment)
{
	return sw_route_timeline(&p->route, p->control.segment_size, asked->timeline, asked->segment, segment);
}

/* Still of use: what was asked for last, which may be taken just now, and what follows. */
static bool
is_wanted(const struct prefetch *p, const struct sw_wal_name *name)
{
	return name->segment >= p->asked.segment && name->segment - p->asked.segment <= p->slot_count &&
		name->timeline == timeline_behind(p, &p->asked, name->segment);
}

static void
sweep(struct prefetch *p)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		struct slot *slot = &p->slots[i];

		if (slot->state != SLOT_READY)
			continue;
		if (!is_wanted(p, &slot->name))
			sw_fetch_spool_drop(p->spool, &slot->name);
		else if (slot->name.segment != p->asked.segment || sw_fetch_spool_has(p->spool, &slot->name))
			continue;
		slot->state = SLOT_FREE;
	}
}

static void
take_note(struct prefetch *p, const struct sw_fetch_asked *asked)
{
	const struct slot *slot = find_slot(p, asked->timeline, asked->segment);

	if (asked->segment < p->asked.segment ||
		asked->timeline != timeline_behind(p, &p->asked, asked->segment)) {
		p->at_end = false;
	} else if (asked->segment != p->asked.segment &&
		(slot == NULL || slot->state != SLOT_READY || slot->ready_ms > asked->at_ms - JUST_NOW_MS)) {
		sw_prefetch_window_waited(&p->window);
	}
	p->asked = *asked;
	if (p->at_end && asked->segment >= p->end) {
		p->at_end = false;
		p->end_backoff = (struct backoff){0};
	}
}

static void
follow_histories(struct prefetch *p)
{
	uint32_t target;

	if (sw_fetch_spool_target(p->spool, server_of(p), &target))
		sw_route_read(&p->route, p->pgdata, target);
}

/* With the mutex held.  True: recovery asked for another one. */
static bool
look(struct prefetch *p)
{
	struct sw_fetch_asked asked;
	bool moved;

	if (!sw_fetch_spool_asked(p->spool, &asked) || asked.at_ms > sw_clock_monotonic_ms())
		return false;
	moved = asked.timeline != p->asked.timeline || asked.segment != p->asked.segment;
	if (moved) {
		follow_histories(p);
		take_note(p, &asked);
	}
	p->asked.at_ms = asked.at_ms;
	sweep(p);
	return moved;
}

/* --- one segment ---------------------------------------------------------------------------- */

static bool
has_room(const struct prefetch *p)
{
	struct statvfs fs;
	uint64_t need = (uint64_t)(FREE_SEGMENTS + 1) * p->control.segment_size;

	return fstatvfs(p->spool->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= need;
}

/* The next segment to fetch, with the mutex held.  NULL: none now. */
static struct slot *
claim(struct prefetch *p)
{
	int64_t now = sw_clock_monotonic_ms();
	struct slot *slot = free_slot(p);
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT};

	if (p->ending || now < p->failure.until_ms || slot == NULL)
		return NULL;
	for (unsigned i = 1; i <= p->window.size; i++) {
		name.segment = p->asked.segment + i;
		name.timeline = timeline_behind(p, &p->asked, name.segment);
		if (p->at_end && name.segment >= p->end && now < p->end_backoff.until_ms)
			return NULL;
		if (find_slot(p, name.timeline, name.segment) != NULL)
			continue;
		if (!has_room(p)) {
			sw_prefetch_window_full(&p->window);
			back_off(&p->failure);
			return NULL;
		}
		slot->state = SLOT_COMING;
		slot->name = name;
		return slot;
	}
	return NULL;
}

/* The registration is read once; the threads have clones. */
static sw_rc
open_repository(struct prefetch *p, unsigned i, struct sw_repository *ret_repo, struct sw_error *err)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_store *own = NULL;
	sw_rc rc = SW_OK;

	pthread_mutex_lock(&p->opening);
	if (!p->opened[i]) {
		rc = sw_config_repo_count(p->config) == 1 ? sw_store_open(p->config, i, &store, err) :
			sw_store_open_impatient(p->config, i, sw_config_ms(p->config, SW_OPT_FETCH_GRACE), &store, err);
		if (rc == SW_OK)
			rc = sw_repository_open(store, sw_config_cluster(p->config), p->control.system_identifier,
				&p->bases[i], err);
		if (rc == SW_OK) {
			store = NULL;
			p->opened[i] = true;
		} else if (rc == SW_NOT_FOUND) {
			rc = err->rc = SW_CONFIG; /* of the registration, not of the segment */
		}
	}
	if (rc == SW_OK)
		rc = sw_store_clone(p->bases[i].store, &own, err);
	pthread_mutex_unlock(&p->opening);
	if (rc != SW_OK)
		return rc;
	*ret_repo = p->bases[i];
	ret_repo->store = own;
	return SW_OK;
}

static sw_rc
receive(struct prefetch *p, struct sw_repository *repo, const struct sw_wal_name *name, const char *part,
	struct sw_error *err)
{
	SW_AUTO_FD fd = openat(p->spool->dir, part, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	uint8_t hash[SW_XXH3_LEN];
	struct stat st;
	sw_rc rc;

	if (fd < 0)
		return sw_fail_errno(err, "creating %s/%s", p->spool->path, part);
	rc = sw_fetch_into(repo, name, fd, part, hash, err);
	if (rc == SW_OK && (fstat(fd, &st) != 0 || st.st_size != (off_t)p->control.segment_size))
		rc = sw_fail(err, SW_CORRUPT, "%s has not the size of a segment", part);
	if (rc == SW_OK)
		rc = sw_fetch_spool_publish(p->spool, name, hash, err);
	/* PostgreSQL will fsync it: less is left to write then */
	if (rc == SW_OK)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return rc;
}

static bool
rests(struct prefetch *p, unsigned i)
{
	bool result;

	pthread_mutex_lock(&p->mutex);
	result = sw_outage_rests(&p->outages[i]);
	pthread_mutex_unlock(&p->mutex);
	return result;
}

/* Damage is told each time, an outage once. */
static void
note_answer(struct prefetch *p, unsigned i, sw_rc rc, const struct sw_error *err)
{
	const char *name = sw_config_repo_name(p->config, i);
	bool known;

	if (sw_config_repo_count(p->config) == 1 || sw_interrupt_signal() != 0)
		return;
	if (rc == SW_CORRUPT || rc == SW_CONFLICT) {
		sw_log(SW_LOG_WARNING, "fetching ahead: %s; trying the next repository", err->text);
		return;
	}
	pthread_mutex_lock(&p->mutex);
	known = p->outages[i].since_us != 0;
	if (rc == SW_OK || rc == SW_NOT_FOUND)
		p->outages[i] = (struct sw_outage){0};
	else
		sw_outage_prolong(&p->outages[i], err->text);
	pthread_mutex_unlock(&p->mutex);
	if (!known && rc != SW_OK && rc != SW_NOT_FOUND)
		sw_log(SW_LOG_WARNING, "fetching ahead: repository %s is down: %s", name, err->text);
	else if (known && (rc == SW_OK || rc == SW_NOT_FOUND))
		sw_log(SW_LOG_INFO, "fetching ahead: repository %s is up again", name);
}

static sw_rc
receive_from(struct prefetch *p, struct sw_repository *repos, unsigned i, const struct sw_wal_name *name, const char *part,
	struct sw_error *err)
{
	sw_rc rc = repos[i].store != NULL ? SW_OK : open_repository(p, i, &repos[i], err);

	if (rc == SW_OK)
		rc = receive(p, &repos[i], name, part, err);
	note_answer(p, i, rc, err);
	return rc;
}

/* The first repository that has it intact, those that are down last; SW_NOT_FOUND if each said that it has not. */
static sw_rc
receive_from_any(struct prefetch *p, struct sw_repository *repos, const struct sw_wal_name *name, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(p->config);
	char part[SW_FETCH_SPOOL_NAME_MAX];
	struct sw_error worst = SW_ERROR_INIT;
	bool asked[SW_QUORUM_MAX] = {false};

	sw_fetch_spool_part(p->spool, name, part);
	for (unsigned n = 0; n < 2 * count && sw_interrupt_signal() == 0; n++) {
		unsigned i = n % count;
		sw_rc rc;

		if (asked[i] || (n < count && rests(p, i)))
			continue;
		asked[i] = true;
		rc = receive_from(p, repos, i, name, part, err);
		if (rc == SW_OK)
			return rc;
		if (worst.rc == SW_OK || worst.rc == SW_NOT_FOUND)
			worst = *err;
	}
	unlinkat(p->spool->dir, part, 0);
	if (worst.rc == SW_OK)
		return sw_interrupt_check(err);
	*err = worst;
	return worst.rc;
}

/*
 * Whoever asks notes it before looking for the part; here the part is made before looking at what was asked.  So one of
 * the two sees the other, and no segment is fetched twice.
 */
static bool
overtaken(struct prefetch *p, const struct sw_wal_name *name)
{
	char part[SW_FETCH_SPOOL_NAME_MAX];
	struct sw_fetch_asked asked;
	bool ahead = true;
	int fd = openat(p->spool->dir, sw_fetch_spool_part(p->spool, name, part),
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	if (sw_fetch_spool_asked(p->spool, &asked)) {
		pthread_mutex_lock(&p->mutex);
		ahead = asked.segment < name->segment && timeline_behind(p, &asked, name->segment) == name->timeline;
		pthread_mutex_unlock(&p->mutex);
	}
	if (!ahead)
		unlinkat(p->spool->dir, part, 0);
	return !ahead;
}

static void
judge(struct prefetch *p, struct slot *slot, sw_rc rc, const struct sw_error *err)
{
	if (rc == SW_OK) {
		slot->state = SLOT_READY;
		slot->ready_ms = sw_clock_monotonic_ms();
		p->failure = (struct backoff){0};
		if (p->at_end && slot->name.segment >= p->end)
			p->at_end = false;
		return;
	}
	slot->state = SLOT_FREE;
	if (rc == SW_NOT_FOUND && !is_wanted(p, &slot->name))
		return;
	if (rc == SW_NOT_FOUND) {
		if (!p->at_end || slot->name.segment < p->end)
			p->end = slot->name.segment;
		p->at_end = true;
		back_off(&p->end_backoff);
		sw_prefetch_window_ended(&p->window);
		return;
	}
	back_off(&p->failure);
	if (!p->ending)
		sw_log(SW_LOG_WARNING, "fetching ahead: %s", err->text);
}

/* With the mutex held, which is let go in between. */
static void
fetch_one(struct prefetch *p, struct slot *slot, struct sw_repository *repos)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_name name = slot->name;
	sw_rc rc = SW_OK;
	bool late;

	pthread_mutex_unlock(&p->mutex);
	late = overtaken(p, &name);
	if (!late)
		rc = receive_from_any(p, repos, &name, &err);
	pthread_mutex_lock(&p->mutex);
	if (late)
		slot->state = SLOT_FREE;
	else
		judge(p, slot, rc, &err);
	look(p);
}

static void
release_repositories(struct prefetch *p, struct sw_repository *repos)
{
	for (unsigned i = 0; repos != NULL && i < sw_config_repo_count(p->config); i++)
		sw_store_free(repos[i].store);
	free(repos);
}

static void
work(struct prefetch *p)
{
	struct sw_repository *repos = calloc(sw_config_repo_count(p->config), sizeof(*repos));

	pthread_mutex_lock(&p->mutex);
	while (repos != NULL && !p->ending) {
		struct slot *slot = claim(p);

		if (slot != NULL)
			fetch_one(p, slot, repos);
		else
			pthread_cond_wait(&p->changed, &p->mutex);
	}
	pthread_mutex_unlock(&p->mutex);
	release_repositories(p, repos);
}

/* --- whether recovery goes on ------------------------------------------------------------------ */

/* When the process began, in clock ticks since boot (proc(5), stat, field 22); 0: it is gone. */
static uint64_t
start_of(pid_t pid)
{
	char path[64];
	struct sw_error ignored;
	SW_AUTO_BUF buf;
	char *at, *end = NULL;
	uint64_t value;

	sw_buf_init(&buf, 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (sw_file_read(path, 4096, &buf, &ignored) != SW_OK)
		return 0;
	at = strrchr((char *)buf.data, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return 0;
	value = strtoull(at, &end, 10);
	return end != at ? value : 0;
}

/* The server that the data directory belongs to; 0: none. */
static pid_t
postmaster_of(const char *pgdata)
{
	SW_AUTO_FREE char *path = NULL;
	struct sw_error ignored;
	SW_AUTO_BUF buf;
	long pid;

	sw_buf_init(&buf, 0);
	if (asprintf(&path, "%s/postmaster.pid", pgdata) < 0 || sw_file_read(path, 8192, &buf, &ignored) != SW_OK)
		return 0;
	pid = strtol((char *)buf.data, NULL, 10);
	return pid > 0 && pid < INT32_MAX ? (pid_t)pid : 0;
}

static bool
recovery_goes_on(const struct prefetch *p)
{
	struct sw_control control;
	struct sw_error ignored;

	return postmaster_of(p->pgdata) == p->postmaster && start_of(p->postmaster) == p->postmaster_started &&
		sw_control_read(p->pgdata, &control, NULL, &ignored) == SW_OK &&
		control.state == STATE_ARCHIVE_RECOVERY && control.system_identifier == p->control.system_identifier;
}

static bool
is_idle(struct prefetch *p)
{
	bool idle;

	pthread_mutex_lock(&p->mutex);
	idle = sw_clock_monotonic_ms() - p->asked.at_ms > sw_config_ms(p->config, SW_OPT_FETCH_IDLE);
	pthread_mutex_unlock(&p->mutex);
	return idle;
}

static void
follow(struct prefetch *p, struct sw_pool *pool)
{
	int64_t checked_ms = sw_clock_monotonic_ms(), pause = POLL_MS;

	while (!sw_pool_stopping(pool) && sw_clock_sleep_ms(pause)) {
		int64_t now = sw_clock_monotonic_ms();

		if (now - checked_ms >= CHECK_MS) {
			if (!recovery_goes_on(p) || is_idle(p))
				break;
			checked_ms = now;
		}
		pthread_mutex_lock(&p->mutex);
		look(p);
		pause = now - p->asked.at_ms < 1000 ? POLL_MS : POLL_IDLE_MS;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->mutex);
	}
	pthread_mutex_lock(&p->mutex);
	p->ending = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	kill(getpid(), SIGTERM); /* transfers look at the flag that it sets */
}

static sw_rc
run_worker(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	(void)err;
	if (worker == 0)
		follow(ctx, pool);
	else
		work(ctx);
	return SW_OK;
}

/* --- the process -------------------------------------------------------------------------------- */

/* What lies there from before. */
static bool
keep(void *ctx, const struct sw_wal_name *name)
{
	struct prefetch *p = ctx;
	struct slot *slot = free_slot(p);

	if (slot == NULL || !is_wanted(p, name))
		return false;
	*slot = (struct slot){.state = SLOT_READY, .name = *name};
	return true;
}

static void
run(struct prefetch *p)
{
	unsigned repos = sw_config_repo_count(p->config);
	struct sw_error err = SW_ERROR_INIT;

	p->slots = calloc(p->slot_count, sizeof(*p->slots));
	p->bases = calloc(repos, sizeof(*p->bases));
	p->opened = calloc(repos, sizeof(*p->opened));
	if (p->slots != NULL && p->bases != NULL && p->opened != NULL && sw_fetch_spool_asked(p->spool, &p->asked)) {
		unsigned workers = (unsigned)sw_config_int(p->config, SW_OPT_FETCH_WORKERS);

		sw_prefetch_window_init(&p->window, p->slot_count, workers);
		follow_histories(p);
		sw_fetch_spool_clean(p->spool, keep, p);
		(void)sw_pool_run(workers + 1, run_worker, NULL, p, &err);
	}
	sw_fetch_spool_clean(p->spool, NULL, NULL);
}

static void
to_syslog(enum sw_log_level level, const char *text)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

	syslog(priorities[level], "%s", text);
}

/* Nobody waits for this process, and nothing of its caller's is held open. */
static bool
detach(struct sw_fetch_spool *spool)
{
	int null = open("/dev/null", O_RDWR);

	if (setsid() < 0 || null < 0)
		return false;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return false;
	if (spool->dir != 3 && dup3(spool->dir, 3, O_CLOEXEC) < 0)
		return false;
	spool->dir = 3;
	return close_range(4, ~0U, 0) == 0 && chdir("/") == 0;
}

static _Noreturn void
become_background(struct prefetch *p, const struct sw_prefetch_call *call)
{
	SW_AUTO_FREE char *text = NULL;

	if (!detach(p->spool))
		_exit(0);
	prctl(PR_SET_NAME, "seawall-ahead");
	if (call->title_len > 0 && asprintf(&text, "seawall-fetch: fetching ahead for %s", p->pgdata) >= 0) {
		memset(call->title, 0, call->title_len);
		snprintf(call->title, call->title_len, "%s", text);
	}
	openlog("seawall-fetch", LOG_PID, LOG_USER);
	sw_log_init((enum sw_log_level)sw_config_enum(p->config, SW_OPT_LOG_LEVEL), to_syslog);
	run(p);
	_exit(0); /* a postmaster that is process 1 takes any other status for the crash of a child */
}

/* As many segments as fetch-ahead and fetch-spool-max allow. */
static unsigned
most_segments(const struct sw_config *config, uint32_t segment_size)
{
	uint64_t fit = sw_config_size(config, SW_OPT_FETCH_SPOOL_MAX) / segment_size;
	uint64_t wanted = (uint64_t)sw_config_int(config, SW_OPT_FETCH_AHEAD);

	return (unsigned)(fit < wanted ? fit : wanted);
}

/* What recovery asks for, and nobody else: fill in what is known of it. */
static bool
is_recovery(const struct sw_prefetch_call *call, struct prefetch *p)
{
	const char *configured = sw_config_string(p->config, SW_OPT_PGDATA);
	struct sw_error ignored;

	p->pgdata = realpath(configured != NULL ? configured : ".", NULL);
	if (p->pgdata == NULL || sw_config_repo_count(p->config) == 0 ||
		!sw_fetch_spool_is_recovery(p->pgdata, call->path) ||
		sw_control_read(p->pgdata, &p->control, NULL, &ignored) != SW_OK)
		return false;
	p->slot_count = most_segments(p->config, p->control.segment_size);
	p->postmaster = postmaster_of(p->pgdata);
	p->postmaster_started = start_of(p->postmaster);
	return p->slot_count > 0 && p->postmaster != 0 && p->postmaster_started != 0;
}

static sw_rc
start(struct prefetch *p, const struct sw_prefetch_call *call, const struct sw_wal_name *name, struct sw_error *err)
{
	sw_rc rc;
	pid_t pid;

	if (p->control.state != STATE_ARCHIVE_RECOVERY)
		return SW_OK;
	rc = sw_fetch_spool_open(p->config, &p->control, call->path, true, p->spool, err);
	if (rc == SW_OK)
		rc = sw_fetch_spool_ask(p->spool, name, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_fetch_spool_lock(p->spool))
		return SW_OK;
	pid = fork();
	if (pid < 0)
		return sw_fail_errno(err, "starting a process");
	if (pid == 0)
		become_background(p, call);
	return SW_OK;
}

/* Histories come before pg_control says that this is archive recovery. */
static sw_rc
learn(struct prefetch *p, const struct sw_prefetch_call *call, const struct sw_wal_name *name, struct sw_error *err)
{
	sw_rc rc = sw_fetch_spool_open(p->config, &p->control, call->path, true, p->spool, err);

	return rc == SW_OK ? sw_fetch_spool_aim(p->spool, server_of(p), name->timeline, err) : rc;
}

static void
call_as_recovery(const struct sw_config *config, const struct sw_prefetch_call *call, enum sw_wal_kind kind,
	sw_rc (*act)(struct prefetch *, const struct sw_prefetch_call *, const struct sw_wal_name *, struct sw_error *))
{
	__attribute__((cleanup(sw_fetch_spool_release))) struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	struct prefetch p = {
		.config = config,
		.spool = &spool,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.opening = PTHREAD_MUTEX_INITIALIZER,
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_name name;

	if (is_recovery(call, &p) && sw_wal_name_parse(call->file, p.control.segment_size, &name) && name.kind == kind &&
		act(&p, call, &name, &err) != SW_OK)
		sw_log(SW_LOG_WARNING, "nothing is fetched ahead: %s", err.text);
	free(p.pgdata);
}

void
sw_prefetch_start(const struct sw_config *config, const struct sw_prefetch_call *call)
{
	call_as_recovery(config, call, SW_WAL_SEGMENT, start);
}

void
sw_prefetch_learn(const struct sw_config *config, const struct sw_prefetch_call *call)
{
	if (strstr(call->file, ".history") != NULL) /* what most calls need not be asked further for */
		call_as_recovery(config, call, SW_WAL_HISTORY, learn);
}
