/*
 * missing.h - the WAL objects of several repositories of one cluster side by side, by their lists alone.
 */
#ifndef SW_ARCHIVE_MISSING_H
#define SW_ARCHIVE_MISSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/quorum.h"
#include "archive/repository.h"
#include "base/error.h"

#define SW_MISSING_NAME_MAX 96

struct sw_missing_item {
	char name[SW_MISSING_NAME_MAX]; /* behind the prefix: "wal/00000001/….zst" */
	struct sw_wal_name wal;         /* what it is of */
	bool alt;                       /* a copy beside another one: archive/conflict.h */
	bool has[SW_QUORUM_MAX];
	struct sw_store_info info[SW_QUORUM_MAX]; /* where it is there */
};

/* Some objects, each once; histories come first.  Anything but SW_OK ends the walk with it. */
typedef sw_rc (*sw_missing_fn)(void *ctx, const struct sw_missing_item *items, size_t count, struct sw_error *err);

/*
 * Every WAL object that one of the repositories has: segments, histories, .backup, .partial and copies beside others.
 * All repositories are listed at once, in pieces.  What else lies there is passed over.
 * Memory: about 2 MiB for each repository, however much WAL there is.
 * SW_OK; what `each` gives; what a store gives, with the repository's address.
 */
sw_rc sw_missing_walk(struct sw_repository *repos, unsigned count, sw_missing_fn each, void *ctx, struct sw_error *err);

#endif
