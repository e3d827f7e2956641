/*
 * sync.h - copy the WAL objects that one repository of a cluster lacks from another that has them.
 *
 * Objects are copied as they are, so that they stay byte for byte the same everywhere.  What is copied was verified on the way:
 * name, system identifier, frame, length and hash.  Nothing is overwritten; what differs, and what is damaged wherever it
 * is, is told and left.  WAL alone: base backups belong to one registration, whose secret their hashes are made with.
 */
#ifndef SW_ARCHIVE_SYNC_H
#define SW_ARCHIVE_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/missing.h"
#include "archive/quorum.h"
#include "archive/repository.h"
#include "base/error.h"

enum sw_sync_kind {
	SW_SYNC_CONFLICT, /* two repositories have another content under one name */
	SW_SYNC_DAMAGED,  /* an object is damaged in a repository from which it was to be copied */
	SW_SYNC_LOST,     /* no repository has it intact */
};

struct sw_sync_params {
	unsigned workers;
	size_t memory_max; /* for the objects of all workers that are under way; the rest lies in unlinked files */
	bool dry_run;
	/* Called from any thread, one call at a time; name: borrowed, behind the prefix. */
	void (*tell)(void *ctx, enum sw_sync_kind kind, const char *name, const char *text);
	/* About five times a second, in the calling thread.  May be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

struct sw_sync_counts {
	uint64_t objects;                /* of WAL, before */
	uint64_t lacked, lacked_bytes;   /* of those that others have */
	uint64_t copied, copied_bytes;
};

struct sw_sync_result {
	struct sw_sync_counts repos[SW_QUORUM_MAX];
	uint64_t conflicts, damaged, lost;
};

/*
 * repos: open registrations of one system identifier, at least one.  Each worker has connections of its own.
 * SW_OK: all that can be paid is paid (dry_run: counted); ret_result tells the rest.  Else what a store gave: what was copied until
 * then stays, and ret_result counts it.  Safe to repeat after a crash at any point, and beside an archiver or another sync.
 * Memory: that of sw_missing_walk, memory_max, and about 5 MiB for each worker and 2 for each of its connections.
 */
sw_rc sw_sync(struct sw_repository *repos, unsigned count, const struct sw_sync_params *params,
	struct sw_sync_result *ret_result, struct sw_error *err);

#endif
