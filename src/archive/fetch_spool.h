/*
 * fetch_spool.h - segments that were fetched ahead and lie ready for recovery.
 *
 * <pg_wal>/seawall.spool/fetch/ holds
 *   SEGMENT.HASH.KEY   a whole segment; HASH: XXH3-128 of its bytes, KEY: whose it is
 *   SEGMENT.part       a segment that is being received
 *   asked              what recovery asked for last
 *   target             the newest timeline whose history recovery was given
 * and nothing else: above all nothing says that a segment is not there.  KEY is a hash of the system identifier, the data
 * directory (device and inode), this boot of the machine and the repositories, so that the spool of a copied data
 * directory, of another configuration or from before a power failure is not believed.  The directory itself is locked
 * (flock) by the one process that fetches ahead (archive/prefetch.h).
 *
 * This is all that a call answered from the spool needs: no libcurl, no OpenSSL, no libzstd.
 */
#ifndef SW_ARCHIVE_FETCH_SPOOL_H
#define SW_ARCHIVE_FETCH_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/control.h"
#include "pg/names.h"

struct sw_config;

#define SW_FETCH_SPOOL_KEY_LEN 33  /* 32 hexadecimal digits */
#define SW_FETCH_SPOOL_NAME_MAX 128 /* of a file in it */

struct sw_fetch_spool {
	int dir;
	char *path; /* of the directory, for messages */
	char key[SW_FETCH_SPOOL_KEY_LEN];
	uint32_t segment_size;
};
#define SW_FETCH_SPOOL_INIT {.dir = -1}

/* What recovery asked for last. */
struct sw_fetch_asked {
	uint32_t timeline;
	uint64_t segment;
	int64_t at_ms; /* monotonic */
};

/* Whether path is where recovery itself wants its file: RECOVERYXLOG (or RECOVERYHISTORY) in the data directory's pg_wal. */
bool sw_fetch_spool_is_recovery(const char *pgdata, const char *path);

/*
 * path: %p, whose directory the spool lies in unless fetch-spool says otherwise.
 * SW_OK; SW_NOT_FOUND (it is not there, and `make` is false); SW_DENIED (it is not ours alone); SW_SYSTEM.
 * Release it in any case.
 */
sw_rc sw_fetch_spool_open(const struct sw_config *config, const struct sw_control *control, const char *path,
	bool make, struct sw_fetch_spool *ret_spool, struct sw_error *err);
void sw_fetch_spool_release(struct sw_fetch_spool *spool);

/* Not durable; a reader takes the old or the new one, or none. */
sw_rc sw_fetch_spool_ask(struct sw_fetch_spool *spool, const struct sw_wal_name *name, struct sw_error *err);
/* False: there is none, it is damaged, or another's. */
bool sw_fetch_spool_asked(const struct sw_fetch_spool *spool, struct sw_fetch_asked *ret_asked);

/*
 * The timeline that recovery goes to, as far as it asked for histories: the newest that it was given since its server
 * started, for it probes upwards and then asks for those in between.  server: which start of the server.
 * Not durable.  False: none.
 */
sw_rc sw_fetch_spool_aim(struct sw_fetch_spool *spool, uint64_t server, uint32_t timeline, struct sw_error *err);
bool sw_fetch_spool_target(const struct sw_fetch_spool *spool, uint64_t server, uint32_t *ret_timeline);

/*
 * Move the segment to path, after hashing it again.
 * SW_OK: it is whole at path.  SW_NOT_FOUND: not in the spool; what was there and damaged is gone.  SW_SYSTEM.
 */
sw_rc sw_fetch_spool_take(struct sw_fetch_spool *spool, const struct sw_wal_name *name, const char *path,
	struct sw_error *err);

/*
 * The whole of a call that can be answered from the spool: notes what was asked for, waits for a segment that is being
 * received (as long as bytes come), takes it.
 * SW_OK: done.  Anything else: fetch it from the repository.
 */
sw_rc sw_fetch_spool_serve(const struct sw_config *config, const char *file, const char *path, struct sw_error *err);

/* --- for the process that fetches ahead ------------------------------------------------ */

/* Be the one; held until every copy of the descriptor is closed.  False: another is. */
bool sw_fetch_spool_lock(struct sw_fetch_spool *spool);

/* "SEGMENT.part".  Returns buf. */
char *sw_fetch_spool_part(const struct sw_fetch_spool *spool, const struct sw_wal_name *name,
	char buf[SW_FETCH_SPOOL_NAME_MAX]);

/* The part is whole: SW_OK, SW_SYSTEM.  hash: XXH3-128 in canonical form. */
sw_rc sw_fetch_spool_publish(struct sw_fetch_spool *spool, const struct sw_wal_name *name, const uint8_t hash[16],
	struct sw_error *err);

/* Whether the segment lies ready. */
bool sw_fetch_spool_has(const struct sw_fetch_spool *spool, const struct sw_wal_name *name);
/* Remove what of the segment lies ready. */
void sw_fetch_spool_drop(struct sw_fetch_spool *spool, const struct sw_wal_name *name);

/*
 * Remove every file of the spool but the segments (of this key) that `keep` wants; NULL: none.
 */
void sw_fetch_spool_clean(struct sw_fetch_spool *spool, bool (*keep)(void *ctx, const struct sw_wal_name *name),
	void *ctx);

#endif
