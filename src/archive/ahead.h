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

#include "base/error.h"

struct sw_config;

/*
 * path: what PostgreSQL gives as %p, relative to the current directory or absolute.
 *
 * The result speaks of this file alone; what went wrong with others is logged once.  SW_OK: it is durable in all
 * repositories, by this call or an earlier one.  SW_CONFLICT: a repository holds another content under this name; it was
 * not touched.  SW_CORRUPT: the file is not what its name says, or its WAL is damaged.  Everything else: try again.
 * Returns when the others are done too; behind push-ahead-time none is begun, and behind twice that (or with a signal) what
 * is under way is given up.  A crash leaves nothing visible that is not whole.
 */
sw_rc sw_ahead_push(const struct sw_config *config, const char *path, struct sw_error *err);

#endif
