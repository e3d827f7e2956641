/*
 * scan.h - the files of a data directory that belong into a backup.
 *
 * Left out is what pg_basebackup leaves out (backend/backup/basebackup.c, PostgreSQL 14 … 18): contents of
 * pg_wal, pg_replslot, pg_dynshmem, pg_notify, pg_serial, pg_snapshots, pg_stat_tmp, pg_subtrans; temporary
 * files and relations; unlogged relations but for their init fork; postmaster.pid and postmaster.opts;
 * backup_label, tablespace_map, backup_manifest; pg_internal.init; and global/pg_control, which
 * the backup reads last.
 */
#ifndef SW_BACKUP_SCAN_H
#define SW_BACKUP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backup/manifest.h"
#include "base/error.h"

struct sw_scan_item {
	enum sw_entry_type type;
	char *path;   /* as struct sw_entry's; owned */
	char *target; /* LINK, TABLESPACE; owned */
	uint32_t mode;
	int64_t mtime_us;
	uint64_t size;
	bool relation;        /* pages with checksums, if the cluster has them */
	uint32_t first_block; /* relation: of the file's first page */
};

struct sw_scan {
	struct sw_scan_item *items; /* about 200 bytes of memory a file */
	size_t count;
	uint64_t bytes; /* of all files */
};

/*
 * major, catalog_version: name the directory inside each tablespace.  Files that vanish meanwhile are left out.
 * SW_OK, SW_DENIED, SW_SYSTEM, SW_CORRUPT (a name that is not UTF-8: it would not survive in the manifest).
 */
sw_rc sw_scan_run(const char *pgdata, unsigned major, uint32_t catalog_version,
	uint32_t blocks_per_file, struct sw_scan *ret_scan, struct sw_error *err);

/* Add an item that the directory does not show.  path and target are copied. */
sw_rc sw_scan_add(struct sw_scan *scan, const struct sw_scan_item *item, struct sw_error *err);

void sw_scan_release(struct sw_scan *scan);

#endif
