/*
 * restore.h - a base backup back into directories, ready for recovery.
 *
 * Memory: 6 MiB for each worker besides its connection; what grows with the backup (fill.h, listing.h) is spilled
 * into unlinked files in the data directory, about 0.25 % of the backup's size.
 */
#ifndef SW_BACKUP_RESTORE_H
#define SW_BACKUP_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "backup/manifest.h"
#include "base/error.h"
#include "pg/conf.h"

#define SW_RESTORE_MARKER "seawall_restore.json"
#define SW_RESTORE_OUTSIDE "seawall_outside_config" /* in the data directory: files that were outside */

struct sw_restore_job {
	struct sw_repository *repo; /* its store is cloned by each worker */
	const char *label;
	const char *pgdata;         /* absolute, as are the others */
	const char *wal_dir;        /* NULL: pg_wal is a plain directory */
	const char *const *tablespace_map; /* "OLD=NEW": OLD is a path or an OID, "\=" a literal '=' */
	size_t tablespace_map_count;
	bool tablespaces_in_place;
	unsigned workers;
	/* into postgresql.auto.conf, in this order, in place of lines that set the same */
	const struct sw_conf_setting *settings;
	size_t setting_count;
	bool standby; /* standby.signal, not recovery.signal */
	void (*tick)(void *ctx, uint64_t done, uint64_t total); /* bytes; about five times a second; may be NULL */
	void *tick_ctx;
};

/* What the user should look at. */
struct sw_restore_note {
	enum sw_restore_note_kind {
		SW_NOTE_TABLESPACE, /* what: where it was; value: where it is */
		SW_NOTE_LINK,       /* what: a link in the data directory; value: the place elsewhere that it names */
		SW_NOTE_OUTSIDE,    /* what: where a configuration file was; value: where it lies now */
		SW_NOTE_SETTING,    /* what: "file: name"; value: a place or program elsewhere */
	} kind;
	char *what, *value;
};

struct sw_restore_result {
	struct sw_manifest_header header;
	bool resumed;           /* an unfinished restore of the same plan was completed */
	bool has_configuration; /* the data directory has its postgresql.conf */
	uint64_t bytes;         /* of all files */
	uint64_t kept;          /* of which were there already */
	struct sw_restore_note *notes;
	size_t note_count;
};

/*
 * Restore.  Nothing is written outside pgdata, wal_dir and the tablespaces' directories, whatever the
 * backup's paths and links are.
 *
 * Until the end pgdata holds SW_RESTORE_MARKER and no global/pg_control, so that no server starts on it.
 * Interrupted or failed in any way, the same job goes on where it ended: pages that are there with the right
 * hash are not read again.
 *
 * SW_OK: complete and durable; released by sw_restore_result_release.
 * SW_CONFIG: a directory is not empty or belongs to another plan, a tablespace is not mapped (all are named);
 * SW_CORRUPT: damage in the repository, with the object's and the file's name; SW_NOT_FOUND: no such backup;
 * SW_SYSTEM, SW_DENIED, and what the store gives.
 */
sw_rc sw_restore(const struct sw_restore_job *job, struct sw_restore_result *ret_result,
	struct sw_error *err);
void sw_restore_result_release(struct sw_restore_result *result);

#endif
