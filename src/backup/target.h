/*
 * target.h - the directories that a restore may write in, and no other.
 *
 * Paths come from a manifest, which is hostile: every part is opened without following links, beneath the
 * directory that the user named.
 */
#ifndef SW_BACKUP_TARGET_H
#define SW_BACKUP_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct sw_target_root {
	uint32_t oid; /* of a tablespace; 0: the data directory or pg_wal */
	char *path;   /* absolute, without links */
	int fd;
};

struct sw_target {
	struct sw_target_root pgdata;
	struct sw_target_root wal; /* fd -1: pg_wal is a plain directory of pgdata */
	struct sw_target_root *tablespaces;
	size_t tablespace_count;
	bool fresh; /* pgdata was empty */
};

/*
 * Open the data directory, making it (0700) if it is not there.  ret_target: zeroed by this call,
 * released by the caller in any case.
 * SW_OK (look at `fresh`), SW_DENIED, SW_SYSTEM.
 */
sw_rc sw_target_open(const char *pgdata, struct sw_target *ret_target, struct sw_error *err);
void sw_target_release(struct sw_target *target);

/* The data directory could be read, and there is nothing in it but that, if even that. */
bool sw_target_holds_only(const struct sw_target *target, const char *name);

/* pg_wal, or tablespace `oid`, lies at `path` (absolute), which is made if it is not there.
 * empty: it must be.  SW_CONFIG: it is not, or it overlaps another root. */
sw_rc sw_target_set_wal(struct sw_target *target, const char *path, bool empty, struct sw_error *err);
sw_rc sw_target_add_tablespace(struct sw_target *target, uint32_t oid, const char *path, bool empty,
	struct sw_error *err);

/* --- by path as in the manifest --------------------------------------------------- */

/* SW_CORRUPT: the path leads through a link or is no legal path. */
sw_rc sw_target_open_file(const struct sw_target *target, const char *path, int flags, mode_t mode,
	int *ret_fd, struct sw_error *err);
sw_rc sw_target_make_dir(const struct sw_target *target, const char *path, struct sw_error *err); /* or is there; 0700 */
sw_rc sw_target_make_parents(const struct sw_target *target, const char *path, struct sw_error *err);
sw_rc sw_target_make_link(const struct sw_target *target, const char *path, const char *to,
	struct sw_error *err); /* or the same one is there */
sw_rc sw_target_rename(const struct sw_target *target, const char *from, const char *to,
	struct sw_error *err); /* in one directory */
sw_rc sw_target_remove(const struct sw_target *target, const char *path, struct sw_error *err); /* a file; or it is not there */
sw_rc sw_target_fsync_dir(const struct sw_target *target, const char *path, struct sw_error *err); /* "": pgdata */
bool sw_target_exists(const struct sw_target *target, const char *path);

/* Whole small files, at most `max` bytes.  write: durable, but the directory's entry. */
struct sw_buf;
sw_rc sw_target_read(const struct sw_target *target, const char *path, struct sw_buf *buf,
	struct sw_error *err); /* SW_NOT_FOUND; buf: initialised, its limit holds */
sw_rc sw_target_write(const struct sw_target *target, const char *path, const void *data, size_t len,
	mode_t mode, struct sw_error *err);

/* Everything written beneath the roots is on disk: syncfs where the system tells its errors.
 * *ret_done false: it does not, and every file must be synced by itself. */
sw_rc sw_target_sync(const struct sw_target *target, bool *ret_done, struct sw_error *err);

#endif
