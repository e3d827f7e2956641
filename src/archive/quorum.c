#include "archive/quorum.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "config/config.h"

#define POLL_MS 100

sw_rc
sw_quorum_init(struct sw_quorum *ret_quorum, const struct sw_config *config, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(config), needed = (unsigned)sw_config_int(config, SW_OPT_PUSH_QUORUM);

	if (sw_config_need_repo(config, err) != SW_OK)
		return err->rc;
	if (count > SW_QUORUM_MAX)
		return sw_fail(err, SW_CONFIG, "%u repositories, at most %d are possible", count, SW_QUORUM_MAX);
	if (needed > count)
		return sw_fail(err, SW_CONFIG, "push-quorum is %u, and there %s", needed,
			count == 1 ? "is one repository" : "are fewer repositories");
	*ret_quorum = (struct sw_quorum){
		.config = config,
		.count = count,
		.needed = needed == 0 ? count : needed,
		.grace_ms = sw_config_ms(config, SW_OPT_PUSH_GRACE),
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	return SW_OK;
}

void
sw_quorum_release(struct sw_quorum *quorum)
{
	pthread_mutex_destroy(&quorum->mutex);
}

void
sw_quorum_remember(struct sw_quorum *quorum, const struct sw_ledger *ledger)
{
	if (quorum->needed == quorum->count)
		return; /* nobody is done without */
	pthread_mutex_lock(&quorum->mutex);
	quorum->ledger = ledger;
	for (unsigned i = 0; ledger != NULL && i < quorum->count; i++)
		if (!sw_outage_read(ledger, i, &quorum->outages[i]))
			quorum->outages[i] = (struct sw_outage){0};
	pthread_mutex_unlock(&quorum->mutex);
}

bool
sw_quorum_is_down(struct sw_quorum *quorum, unsigned repo)
{
	bool down;

	pthread_mutex_lock(&quorum->mutex);
	down = quorum->outages[repo].since_us != 0;
	pthread_mutex_unlock(&quorum->mutex);
	return down;
}

bool
sw_quorum_rests(struct sw_quorum *quorum, unsigned repo)
{
	bool rests;

	pthread_mutex_lock(&quorum->mutex);
	rests = sw_outage_rests(&quorum->outages[repo]);
	pthread_mutex_unlock(&quorum->mutex);
	return rests;
}

/* --- a round ------------------------------------------------------------------------------ */

struct task {
	struct round *round;
	unsigned repo;
	bool wanted, started, ended;
	pthread_t thread;
	struct sw_error err; /* rc SW_OK: done, once it has ended */
};

struct round {
	struct sw_quorum *quorum;
	sw_quorum_fn fn;
	void *ctx;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	atomic_bool given_up;
	unsigned running, done;
	bool refused; /* by one that is not outvoted */
	struct task tasks[SW_QUORUM_MAX];
};

/* What says that the repository is down; anything else says something of the file, of which there may be another already. */
static bool
is_outage(const struct sw_error *err)
{
	return err->rc != SW_OK && err->rc != SW_CONFLICT && err->rc != SW_CORRUPT && err->rc != SW_BUG && !err->name_taken;
}

static void *
task_main(void *arg)
{
	struct task *task = arg;
	struct round *round = task->round;
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc;

	sw_interrupt_thread(&round->given_up);
	rc = round->fn(round->ctx, task->repo, &err);
	sw_interrupt_thread(NULL);
	err.rc = rc; /* SW_OK whatever failed on the way */
	pthread_mutex_lock(&round->mutex);
	task->err = err;
	task->ended = true;
	round->running--;
	round->done += rc == SW_OK;
	round->refused = round->refused || (rc != SW_OK && !is_outage(&err));
	pthread_cond_signal(&round->changed);
	pthread_mutex_unlock(&round->mutex);
	return NULL;
}

static void
wait_changed(struct round *round)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += POLL_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_clockwait(&round->changed, &round->mutex, CLOCK_MONOTONIC, &until);
}

/* Until all have ended, or the result stands and the grace is over. */
static void
wait_for_tasks(struct round *round, unsigned needed)
{
	int64_t settled_ms = -1;

	pthread_mutex_lock(&round->mutex);
	while (round->running > 0) {
		int64_t now = sw_clock_monotonic_ms();

		if (settled_ms < 0 && (round->done >= needed || round->refused))
			settled_ms = now;
		if (settled_ms >= 0 && now - settled_ms >= round->quorum->grace_ms)
			break;
		wait_changed(round);
	}
	pthread_mutex_unlock(&round->mutex);
	atomic_store(&round->given_up, true);
}

static void
start_task(struct round *round, struct task *task)
{
	int e;

	pthread_mutex_lock(&round->mutex);
	round->running++;
	pthread_mutex_unlock(&round->mutex);
	e = pthread_create(&task->thread, NULL, task_main, task);
	task->started = e == 0;
	if (task->started)
		return;
	sw_fail(&task->err, SW_SYSTEM, "starting a thread: error %d", e);
	pthread_mutex_lock(&round->mutex);
	round->running--;
	pthread_mutex_unlock(&round->mutex);
}

static void
start_tasks(struct round *round)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < round->quorum->count; i++)
		if (round->tasks[i].wanted)
			start_task(round, &round->tasks[i]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Those that are wanted. */
static void
run_round(struct round *round)
{
	struct sw_quorum *quorum = round->quorum;
	bool early[SW_QUORUM_MAX] = {false};
	unsigned needed = quorum->needed;

	round->running = 0;
	atomic_store(&round->given_up, false);
	start_tasks(round);
	wait_for_tasks(round, needed);
	pthread_mutex_lock(&round->mutex);
	for (unsigned i = 0; i < quorum->count; i++)
		early[i] = round->tasks[i].started && !round->tasks[i].ended;
	pthread_mutex_unlock(&round->mutex);
	for (unsigned i = 0; i < quorum->count; i++) {
		struct task *task = &round->tasks[i];

		if (!task->started)
			continue;
		pthread_join(task->thread, NULL);
		task->started = false;
		/* it was not answered: we did not wait */
		if (early[i] && is_outage(&task->err) && sw_interrupt_signal() == 0)
			sw_fail(&task->err, SW_TRANSIENT, "no answer during the push-grace of %lld.%lld s",
				(long long)(quorum->grace_ms / 1000), (long long)(quorum->grace_ms % 1000 / 100));
	}
}

static struct round *
round_new(struct sw_quorum *quorum, sw_quorum_fn fn, void *ctx)
{
	struct round *round = calloc(1, sizeof(*round));

	if (round == NULL)
		return NULL;
	round->quorum = quorum;
	round->fn = fn;
	round->ctx = ctx;
	pthread_mutex_init(&round->mutex, NULL);
	pthread_cond_init(&round->changed, NULL);
	for (unsigned i = 0; i < quorum->count; i++)
		round->tasks[i] = (struct task){.round = round, .repo = i};
	return round;
}

static void
round_free(struct round *round)
{
	pthread_mutex_destroy(&round->mutex);
	pthread_cond_destroy(&round->changed);
	free(round);
}

/* All, or all but those that rest if there are enough without them.  How many rest. */
static unsigned
choose(struct round *round)
{
	struct sw_quorum *quorum = round->quorum;
	unsigned resting = 0;

	pthread_mutex_lock(&quorum->mutex);
	for (unsigned i = 0; i < quorum->count; i++) {
		round->tasks[i].wanted = !sw_outage_rests(&quorum->outages[i]);
		resting += !round->tasks[i].wanted;
	}
	pthread_mutex_unlock(&quorum->mutex);
	if (quorum->count - resting >= quorum->needed)
		return resting;
	for (unsigned i = 0; i < quorum->count; i++)
		round->tasks[i].wanted = true;
	return 0;
}

/* --- what is down --------------------------------------------------------------------------- */

static void
note_up(struct sw_quorum *quorum, unsigned repo)
{
	struct sw_outage *outage = &quorum->outages[repo];

	if (outage->since_us == 0)
		return;
	*outage = (struct sw_outage){0};
	if (quorum->ledger != NULL)
		sw_outage_remove(quorum->ledger, repo);
	sw_log(SW_LOG_INFO, "repository %s is up again; 'seawall sync' copies what it has missed",
		sw_config_repo_name(quorum->config, repo));
}

static void
note_down(struct sw_quorum *quorum, unsigned repo, const struct sw_error *why)
{
	struct sw_outage *outage = &quorum->outages[repo];
	struct sw_error err = SW_ERROR_INIT;
	bool begins = outage->since_us == 0;

	sw_outage_prolong(outage, why->text);
	if (begins)
		sw_log(SW_LOG_WARNING, "repository %s is down: %s; push-quorum allows to archive in the others meanwhile, and "
			"'seawall sync' copies later what it misses", sw_config_repo_name(quorum->config, repo), why->text);
	if (quorum->ledger != NULL && sw_outage_write(quorum->ledger, repo, outage, &err) != SW_OK)
		sw_log(SW_LOG_DEBUG, "that it is down is not remembered: %s", err.text);
}

static void
note_all(struct round *round)
{
	struct sw_quorum *quorum = round->quorum;

	pthread_mutex_lock(&quorum->mutex);
	for (unsigned i = 0; i < quorum->count; i++) {
		struct task *task = &round->tasks[i];

		if (task->wanted && task->err.rc == SW_OK)
			note_up(quorum, i);
		else if (task->wanted)
			note_down(quorum, i, &task->err);
	}
	pthread_mutex_unlock(&quorum->mutex);
}

/* --- the result ------------------------------------------------------------------------------- */

static sw_rc
result(const struct round *round, struct sw_error *err)
{
	const struct sw_quorum *quorum = round->quorum;
	const struct task *worst = NULL;

	for (unsigned i = 0; i < quorum->count; i++) {
		const struct task *task = &round->tasks[i];

		if (task->err.rc != SW_OK && (worst == NULL || (is_outage(&worst->err) && !is_outage(&task->err))))
			worst = task;
	}
	if (worst == NULL || (round->done >= quorum->needed && !round->refused))
		return SW_OK;
	*err = worst->err;
	return round->refused ? err->rc : sw_wrap(err, "done in %u of %u repositories, and %u %s needed; repository %s",
		round->done, quorum->count, quorum->needed, quorum->needed == 1 ? "is" : "are", sw_config_repo_name(quorum->config, worst->repo));
}

static sw_rc
run_all(struct round *round, struct sw_error *err)
{
	const struct sw_quorum *quorum = round->quorum;
	unsigned resting = choose(round);
	sw_rc rc;

	run_round(round);
	if (resting > 0 && round->done < quorum->needed && !round->refused && sw_interrupt_signal() == 0) {
		for (unsigned i = 0; i < quorum->count; i++)
			round->tasks[i].wanted = !round->tasks[i].wanted;
		run_round(round);
		for (unsigned i = 0; i < quorum->count; i++)
			round->tasks[i].wanted = true;
	}
	rc = result(round, err);
	if (rc == SW_OK && sw_interrupt_signal() == 0)
		note_all(round);
	else if (rc == SW_OK && round->done < quorum->count)
		rc = sw_interrupt_check(err); /* it is not known whether the others are down */
	return rc;
}

sw_rc
sw_quorum_run(struct sw_quorum *quorum, sw_quorum_fn fn, void *ctx, struct sw_error *err)
{
	struct round *round;
	sw_rc rc;

	if (quorum->count == 1)
		return fn(ctx, 0, err);
	round = round_new(quorum, fn, ctx);
	if (round == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = run_all(round, err);
	round_free(round);
	return rc;
}

unsigned
sw_quorum_try(struct sw_quorum *quorum, sw_quorum_fn fn, void *ctx)
{
	struct sw_error ignored = SW_ERROR_INIT;
	struct round *round;
	unsigned done;

	if (quorum->count == 1)
		return fn(ctx, 0, &ignored) == SW_OK;
	round = round_new(quorum, fn, ctx);
	if (round == NULL)
		return 0;
	choose(round);
	run_round(round);
	done = round->done;
	round_free(round);
	return done;
}
