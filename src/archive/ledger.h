/*
 * ledger.h - files of pg_wal that are archived already, before PostgreSQL has asked for them.
 *
 * One small file an entry: <spool>/push/<system identifier>/<name>.  The spool is push-spool, else seawall.spool beside
 * the file.  An entry is never fsynced: losing it costs a repeated push, which is recognised.  It counts only if it is
 * whole and everything in it is as it is now: system identifier, where the configuration archives to, and the file's
 * device, inode, size, modification and change time and first page header.  So neither a copied data directory nor a
 * file system that was turned back is believed.
 *
 * Nothing here needs a library but libc: seawall-push answers from it.
 */
#ifndef SW_ARCHIVE_LEDGER_H
#define SW_ARCHIVE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct sw_config;

#define SW_LEDGER_HASH_LEN 16
#define SW_LEDGER_OUTAGE "down." /* what else lies there begins so: archive/outage.h */
#define SW_LEDGER_PAGE_LEN 40 /* XLogLongPageHeaderData, access/xlog_internal.h */

struct sw_ledger {
	char *dir;
	uint64_t system_identifier;
	uint8_t config[SW_LEDGER_HASH_LEN]; /* of cluster, repositories and their places */
};

/* What makes a file of pg_wal this file. */
struct sw_ledger_file {
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
	uint8_t page[SW_LEDGER_PAGE_LEN]; /* its first bytes; of a file that is no WAL, zeros */
};

/* path: as %p.  Touches nothing.  SW_OK, SW_SYSTEM (memory). */
sw_rc sw_ledger_init(struct sw_ledger *ret_ledger, const struct sw_config *config, const char *path,
	uint64_t system_identifier, struct sw_error *err);
void sw_ledger_release(struct sw_ledger *ledger);

/* fd: open for reading.  wal: it begins with a page of WAL. */
sw_rc sw_ledger_identify(int fd, bool wal, const char *path, struct sw_ledger_file *ret_file, struct sw_error *err);

/* Whether there is an entry that counts.  What is odd in any way does not. */
bool sw_ledger_has(const struct sw_ledger *ledger, const char *name, const struct sw_ledger_file *file);

/* Remove an entry; none is no error. */
void sw_ledger_drop(const struct sw_ledger *ledger, const char *name);

/* SW_OK: a directory that only its owner, who runs this, may write in.  Else SW_SYSTEM. */
sw_rc sw_ledger_check_dir(const char *dir, struct sw_error *err);

/* --- for who writes ------------------------------------------------------------- */

/* Make the directory, mode 0700.  SW_OK; SW_DENIED, SW_SYSTEM (also one that others may write in). */
sw_rc sw_ledger_make(const struct sw_ledger *ledger, struct sw_error *err);

/*
 * Make the directory, and take the lock that only one writer of a ledger has.
 * ret_lock: a descriptor; closing it, or dying, gives the lock back.
 * SW_OK; SW_TRANSIENT: somebody else has it; SW_DENIED, SW_SYSTEM (also a directory that others may write in).
 */
sw_rc sw_ledger_lock(const struct sw_ledger *ledger, int *ret_lock, struct sw_error *err);

/*
 * Note that the file is acknowledged: durable in every repository, or in push-quorum.  registrations: a hash of their identifiers.  With the lock only.
 * A crash leaves no entry, or the whole one.
 */
sw_rc sw_ledger_note(const struct sw_ledger *ledger, const char *name, const struct sw_ledger_file *file,
	const uint8_t registrations[SW_LEDGER_HASH_LEN], struct sw_error *err);

/*
 * Remove what nobody will ask for: entries of files without a .ready in `status_dir` (pg_wal/archive_status), of other
 * registrations, and what a killed writer left.  With the lock only.
 */
void sw_ledger_clean(const struct sw_ledger *ledger, const char *status_dir,
	const uint8_t registrations[SW_LEDGER_HASH_LEN]);

#endif
