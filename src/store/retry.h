/*
 * retry.h - a store that tries again what failed for a moment.
 *
 * Full jitter: before attempt n+1 it sleeps a random time below min(cap, base * 2^n), and never less
 * than the store asked for (Retry-After).  The deadline runs from the first failure; a get or list
 * that has come further since starts it anew.  get goes on behind the last byte that its sink has
 * seen, list behind the last name: objects never change.
 */
#ifndef SW_STORE_RETRY_H
#define SW_STORE_RETRY_H

#include "store/store.h"

struct sw_retry_params {
	int64_t deadline_ms; /* 0: no retries */
	int64_t base_ms, cap_ms;
	bool (*sleep_ms)(int64_t ms); /* false: interrupted */
	int64_t (*now_ms)(void);
	uint64_t seed; /* 0: random */
};

#define SW_RETRY_PARAMS(deadline) \
	{ .deadline_ms = (deadline), .base_ms = 200, .cap_ms = 20000, .sleep_ms = sw_clock_sleep_ms, \
	  .now_ms = sw_clock_monotonic_ms }

/* Takes over `inner`, also on failure (then it is freed).  SW_OK, SW_SYSTEM. */
sw_rc sw_retry_new(struct sw_store *inner, const struct sw_retry_params *params,
	struct sw_store **ret_store, struct sw_error *err);

#endif
