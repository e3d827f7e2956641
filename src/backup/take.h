/*
 * take.h - make a base backup.
 */
#ifndef SW_BACKUP_TAKE_H
#define SW_BACKUP_TAKE_H

#include <stdint.h>

#include "backup/manifest.h"
#include "base/error.h"

struct sw_config;

struct sw_take_progress {
	enum { SW_TAKE_STARTING, SW_TAKE_COPYING, SW_TAKE_WAITING_FOR_WAL } phase;
	uint64_t done, total; /* bytes read of bytes to read */
};
typedef void (*sw_take_tick)(void *ctx, const struct sw_take_progress *progress);

/*
 * Back up the cluster of the configuration into its first repository, while the server runs.
 *
 * tick: told of progress about five times a second, from the calling thread; may be NULL.
 * ret_header: of the manifest that is now in the repository.  damaged_pages > 0: they are named by warnings, the
 * backup is there all the same.
 *
 * SW_OK: the manifest and all WAL from start to stop are durable in the repository.
 * Anything else: no backup is visible; pg_backup_stop was called or the session ended; a crash leaves packs and
 * an intent that nothing refers to.
 * Memory: 2 packs' bounds (32 MiB and 4 MiB) and 3 MiB for each worker, about 200 bytes for each file.
 */
sw_rc sw_take(const struct sw_config *config, sw_take_tick tick, void *ctx,
	struct sw_manifest_header *ret_header, struct sw_error *err);

#endif
