/*
 * fetch.h - bring one archived file of pg_wal back.
 */
#ifndef SW_ARCHIVE_FETCH_H
#define SW_ARCHIVE_FETCH_H

#include "archive/repository.h"
#include "base/error.h"
#include "stream/stage.h"

struct sw_config;

/*
 * file: %f, the name; path: %p, where it shall be.  The content is written to "<path>.seawall",
 * verified, and renamed; PostgreSQL itself makes it durable.
 *
 * SW_OK: complete and verified at path.  The store is left open: the caller ends the process, by _exit.
 * SW_NOT_FOUND: proved absent in every repository, each of which was read and is the right one, and
 * no later segment of the timeline is there.  Under standby.signal also an outage that lasted longer than
 * standby-outage-wait, and a corrupt object: both logged as errors, because streaming may have the WAL.  And timeline 1's
 * history always, and another's in an outage if recovery has ended (no signal file) and pg_wal has it.
 * Everything else: recovery must stop.
 * A crash leaves at most "<path>.seawall", which the next call replaces.
 */
sw_rc sw_fetch(const struct sw_config *config, const char *file, const char *path,
	struct sw_error *err);

/* Fetch from one repository; SW_NOT_FOUND says only that this object is not there. */
sw_rc sw_fetch_from(struct sw_repository *repo, const struct sw_wal_name *name, const char *path,
	struct sw_error *err);

/*
 * The same into an open, empty file; path: its name, for messages.  What was written is verified when this returns SW_OK, and
 * ret_hash is the XXH3-128 of it; else it is of no use.
 */
sw_rc sw_fetch_into(struct sw_repository *repo, const struct sw_wal_name *name, int fd, const char *path,
	uint8_t ret_hash[SW_XXH3_LEN], struct sw_error *err);

#endif
