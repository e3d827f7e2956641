#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/interrupt.h"

struct run {
	struct sw_pool pool;
	sw_pool_fn fn;
	void *ctx;
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	unsigned next, running;
	struct sw_error first;
};

static void *
worker_main(void *arg)
{
	struct run *run = arg;
	struct sw_error err = SW_ERROR_INIT;
	unsigned worker;
	sw_rc rc;

	pthread_mutex_lock(&run->mutex);
	worker = run->next++;
	pthread_mutex_unlock(&run->mutex);

	rc = run->fn(&run->pool, worker, run->ctx, &err);

	pthread_mutex_lock(&run->mutex);
	if (rc != SW_OK) {
		if (run->first.rc == SW_OK)
			run->first = err;
		atomic_store(&run->pool.stop, true);
	}
	run->running--;
	pthread_cond_signal(&run->ended);
	pthread_mutex_unlock(&run->mutex);
	return NULL;
}

static void
wait_for_all(struct run *run, sw_pool_tick tick)
{
	pthread_mutex_lock(&run->mutex);
	while (run->running > 0) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 200000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&run->ended, &run->mutex, &ts);
		if (sw_interrupt_signal() != 0)
			atomic_store(&run->pool.stop, true);
		if (tick != NULL) {
			pthread_mutex_unlock(&run->mutex);
			tick(run->ctx);
			pthread_mutex_lock(&run->mutex);
		}
	}
	pthread_mutex_unlock(&run->mutex);
}

sw_rc
sw_pool_run(unsigned count, sw_pool_fn fn, sw_pool_tick tick, void *ctx, struct sw_error *err)
{
	struct run run = {
		.fn = fn,
		.ctx = ctx,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	pthread_t *threads = calloc(count, sizeof(*threads));
	sigset_t all, old;
	unsigned started = 0;
	int e = 0;

	if (threads == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&run.mutex);
	while (started < count && e == 0) {
		e = pthread_create(&threads[started], NULL, worker_main, &run);
		if (e == 0)
			started++;
	}
	run.running = started;
	if (e != 0)
		atomic_store(&run.pool.stop, true);
	pthread_mutex_unlock(&run.mutex);
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	wait_for_all(&run, tick);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	if (e != 0)
		return sw_fail(err, SW_SYSTEM, "starting %u threads: error %d", count, e);
	if (sw_interrupt_signal() != 0)
		return sw_interrupt_check(err);
	if (run.first.rc != SW_OK)
		*err = run.first;
	return run.first.rc;
}

bool
sw_pool_stopping(const struct sw_pool *pool)
{
	return atomic_load(&pool->stop);
}

sw_rc
sw_pool_thread(pthread_t *ret_thread, void *(*fn)(void *), void *arg, struct sw_error *err)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(ret_thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e == 0 ? SW_OK : sw_fail(err, SW_SYSTEM, "starting a thread: error %d", e);
}
