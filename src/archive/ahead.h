/*
 * ahead.h - archive the file that PostgreSQL asks for, and those that it will ask for next.
 *
 * The file comes first: nothing else is put before it is durable, so that a server whose WAL collides with another's
 * stops where they part.  The files that follow are those that archive_status, beside the file, has as .ready: of the same
 * timeline, in order, at most push-ahead; none while a .history waits, which goes first and alone.  They are read and
 * compressed meanwhile, by push-workers threads, and noted in the ledger once they are durable.
 *
 * Bounds: push-workers × memory-max / push-workers of compressed WAL, and about 5 MiB for each worker.
 */
#ifndef SW_ARCHIVE_AHEAD_H
#define SW_ARCHIVE_AHEAD_H

#include <stdbool.h>

#include "base/error.h"

struct sw_config;

/*
 * What calls have in common: stores that were made, registrations that were read, and each worker's connections.  They are
 * kept as long as all goes well; behind a failure everything is made anew, credentials too, and registrations are read
 * again after a minute.  Where nothing waited, only the first worker's connections are kept.
 */
struct sw_ahead;

struct sw_ahead_hooks {
	/* Whether another file may be begun: who called is still there.  From any thread, often.  NULL: always. */
	bool (*may_begin)(void *ctx);
	/* About five times a second in the calling thread while it waits; true: give up what is under way.  NULL: go on. */
	bool (*poll)(void *ctx);
	void *ctx;
};

/* config: borrowed until sw_ahead_free.  Nothing is contacted.  SW_OK, SW_SYSTEM (memory). */
sw_rc sw_ahead_new(const struct sw_config *config, const struct sw_ahead_hooks *hooks, struct sw_ahead **ret_ahead,
	struct sw_error *err);
void sw_ahead_free(struct sw_ahead *ahead); /* NULL: nothing */

/*
 * path: what PostgreSQL gives as %p, relative to the current directory or absolute.
 *
 * The result speaks of this file alone; what went wrong with others is logged once.  SW_OK: it is durable in all
 * repositories, or in push-quorum of them while the others are down, by this call or an earlier one, or it was dropped
 * (archive/drop.h).  SW_CONFLICT: a repository holds another content under this name; it was not touched.  SW_CORRUPT: the
 * file is not what its name says, or its WAL is damaged.  Everything else: try again.
 * Returns when the others are done too; behind push-ahead-time none is begun, and behind twice that (or with a signal, or
 * when poll says so) what is under way is given up.  A crash leaves nothing visible that is not whole.  Any number of
 * calls, one at a time.
 */
sw_rc sw_ahead_push(struct sw_ahead *ahead, const char *path, struct sw_error *err);

#endif
