/*
 * quorum.h - do something in several repositories at once, and know when that is enough.
 *
 * Each repository has a thread of its own, so that it takes as long as the slowest, not as all together.  Once it is done
 * in `needed` of them, the others get a grace, then they are given up.  A repository that was down is remembered
 * (archive/outage.h) and not waited for again and again, as long as there are enough without it.
 */
#ifndef SW_ARCHIVE_QUORUM_H
#define SW_ARCHIVE_QUORUM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/ledger.h"
#include "archive/outage.h"
#include "base/error.h"

struct sw_config;

#define SW_QUORUM_MAX 16 /* repositories */

struct sw_quorum {
	const struct sw_config *config; /* borrowed, like ledger */
	unsigned count, needed;
	int64_t grace_ms;
	const struct sw_ledger *ledger; /* NULL: nothing is remembered */
	pthread_mutex_t mutex;
	struct sw_outage outages[SW_QUORUM_MAX]; /* under it */
};

/* As push-quorum and push-grace say, of all repositories.  SW_OK, SW_CONFIG (none, too many, fewer than the quorum). */
sw_rc sw_quorum_init(struct sw_quorum *ret_quorum, const struct sw_config *config, struct sw_error *err);
void sw_quorum_release(struct sw_quorum *quorum);

/* Remember there, and recall what is noted there; NULL: there no more. */
void sw_quorum_remember(struct sw_quorum *quorum, const struct sw_ledger *ledger);

/* Whether it was down when it was tried last. */
bool sw_quorum_is_down(struct sw_quorum *quorum, unsigned repo);
/* It was, and it is not time to try it again. */
bool sw_quorum_rests(struct sw_quorum *quorum, unsigned repo);

/* In a thread of its own if there are several repositories; gives up when the thread is told to (base/interrupt.h). */
typedef sw_rc (*sw_quorum_fn)(void *ctx, unsigned repo, struct sw_error *err);

/*
 * Do it in each repository, but for those that rest.  SW_OK: done in the quorum at least, and what kept the others from it was
 * that they are down, which is noted and logged once.  SW_CONFLICT, SW_CORRUPT, SW_BUG of any is the result whatever the
 * others say.  Else the first failure; those that rested were tried too.
 */
sw_rc sw_quorum_run(struct sw_quorum *quorum, sw_quorum_fn fn, void *ctx, struct sw_error *err);

/* Only try, and neither note nor log what is down.  How many did it. */
unsigned sw_quorum_try(struct sw_quorum *quorum, sw_quorum_fn fn, void *ctx);

#endif
