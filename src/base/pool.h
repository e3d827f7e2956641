/*
 * pool.h - run one function in several threads and wait for all of them.
 */
#ifndef SW_BASE_POOL_H
#define SW_BASE_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct sw_pool {
	atomic_bool stop; /* a worker failed or a signal came: the others end soon */
};

/* Work until there is no more, or until sw_pool_stopping().  worker: 0 … count-1. */
typedef sw_rc (*sw_pool_fn)(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err);

/* Called about five times a second in the calling thread while workers run; may be NULL. */
typedef void (*sw_pool_tick)(void *ctx);

/*
 * Run `fn` in `count` threads (all signals blocked in them), return when the last has ended.
 * The first error is the one returned; a caught signal stops the pool too.
 * SW_OK, whatever fn returned first, SW_SYSTEM (threads, or stopped by a signal).
 */
sw_rc sw_pool_run(unsigned count, sw_pool_fn fn, sw_pool_tick tick, void *ctx, struct sw_error *err);

bool sw_pool_stopping(const struct sw_pool *pool);

/* One thread beside the caller's, with all signals blocked, for pthread_join.  SW_OK, SW_SYSTEM. */
sw_rc sw_pool_thread(pthread_t *ret_thread, void *(*fn)(void *), void *arg, struct sw_error *err);

#endif
