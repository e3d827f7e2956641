/*
 * lineage.h - who did what with this repository: doc/FORMAT.md, "Lineage".
 *
 * <prefix>lineage/<writer>/<seq>.json: a chain for each writer (host and user), every entry with the SHA-256 of the one
 * before and of the heads of other chains, so that neither a changed entry nor a tail that was cut off goes unseen.
 */
#ifndef SW_CATALOG_LINEAGE_H
#define SW_CATALOG_LINEAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "stream/stage.h"

#define SW_LINEAGE_WRITER_LEN 64
#define SW_LINEAGE_ENTRY_MAX 65536 /* bytes of one */

struct sw_lineage_act {
	const char *act;    /* "backup", "restore" */
	const char *result; /* "done", "failed", "no" */
	const char *reason; /* in the words of who did it; NULL */
	const char *error;  /* of what failed; NULL */
	json_t *what;       /* an object: label, target, bytes, ...; borrowed; NULL */
	int64_t started_us, finished_us;
};

/*
 * Append what this host and user did.  What waits in the spool goes first.
 * SW_OK: durable in the repository.  Anything else: it is not there; the words are the store's.
 */
sw_rc sw_lineage_append(struct sw_repository *repo, const struct sw_lineage_act *act, const char *spool,
	struct sw_error *err);

/*
 * Keep it durably in the directory `spool` (made if need be, 0700) until this user's next append to this repository.
 * SW_OK, SW_DENIED, SW_SYSTEM.
 */
sw_rc sw_lineage_spool(const struct sw_repository *repo, const struct sw_lineage_act *act, const char *spool,
	struct sw_error *err);

struct sw_lineage_entry {
	char writer[SW_LINEAGE_WRITER_LEN];
	uint64_t seq;
	int64_t finished_us;
	json_t *json; /* the whole entry: checked for the fields of FORMAT.md */
};

struct sw_lineage_filter {
	size_t limit;              /* entries, the newest; 0: all */
	int64_t since_us, until_us; /* by the end of what was done, inclusive */
	const char *act;           /* NULL: any */
};

struct sw_lineage {
	struct sw_lineage_entry *entries; /* by finished_us, the oldest first */
	size_t count;
	size_t unread; /* objects that are no entries, or damaged: verify names them */
};

/*
 * Memory: two entries (at most 64 KiB each, as a rule 1 KiB) for each one that is asked for, and 100 bytes a writer.
 * SW_OK; what the store gives.  Release ret_lineage in any case.
 */
sw_rc sw_lineage_read(struct sw_repository *repo, const struct sw_lineage_filter *filter, struct sw_lineage *ret_lineage,
	struct sw_error *err);
void sw_lineage_release(struct sw_lineage *lineage);

#define SW_LINEAGE_TEXT_LEN 512
struct sw_lineage_proof {
	uint64_t entries;
	size_t writers, broken;               /* how many places */
	char first_broken[SW_LINEAGE_TEXT_LEN]; /* the object, and what is wrong with it */
};

/* `broken` is told of each place that is, in the order of names; may be NULL. */
typedef void (*sw_lineage_broken)(void *ctx, const char *text);

/*
 * Read every entry.  An entry that is missing, changed, or moved, a chain that does not begin at 1, and a head that
 * another chain has seen and that is gone, are places where the lineage is broken.  Memory: about 100 bytes an entry, and 150 for each head that it names.
 * SW_OK: the proof says how it is; what the store gives.
 */
sw_rc sw_lineage_verify(struct sw_repository *repo, sw_lineage_broken broken, void *ctx,
	struct sw_lineage_proof *ret_proof, struct sw_error *err);

#endif
