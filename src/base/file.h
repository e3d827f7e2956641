/*
 * file.h - whole and durable files.
 *
 * A file becomes visible under its name only after its bytes are on disk:
 * temporary name in the same directory, fsync, link or rename, fsync of the directory.
 */
#ifndef SW_BASE_FILE_H
#define SW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"

/* Read a whole file of at most `max` bytes into buf (initialised by this call).
 * SW_OK, SW_NOT_FOUND, SW_DENIED, SW_CORRUPT (longer than max), SW_SYSTEM. */
sw_rc sw_file_read(const char *path, size_t max, struct sw_buf *ret_buf, struct sw_error *err);

/*
 * Write a whole file durably, replacing what was there.
 * After a crash the old or the new content is there, never a mixture; a "<path>.tmp.*" may be left over.
 */
sw_rc sw_file_write(const char *path, const void *data, size_t len, mode_t mode, struct sw_error *err);

/* All of it or an error.  path: for the error text. */
sw_rc sw_file_write_all(int fd, const void *data, size_t len, const char *path, struct sw_error *err);
sw_rc sw_file_pwrite_all(int fd, const void *data, size_t len, off_t at, const char *path,
	struct sw_error *err);

/* Read until `len` bytes or the end of the file; *ret_len tells how many came. */
sw_rc sw_file_pread(int fd, void *data, size_t len, off_t at, size_t *ret_len, const char *path,
	struct sw_error *err);

/* mkdir -p, each made directory durable. */
sw_rc sw_file_make_dirs(const char *path, mode_t mode, struct sw_error *err);

sw_rc sw_file_fsync_dir(const char *path, struct sw_error *err);

/* An unlinked temporary file in `dir` (O_TMPFILE where it works), mode 0600.  The caller closes it. */
sw_rc sw_file_open_unlinked(const char *dir, int *ret_fd, struct sw_error *err);

/*
 * A file of one's own under a name that somebody who was given up may still be writing to: what was there is unlinked, not
 * opened.  Before it is renamed or unlinked, sw_file_is_own tells whether the name still is this file's.
 */
sw_rc sw_file_make_own(const char *path, int *ret_fd, struct sw_error *err);
bool sw_file_is_own(int fd, const char *path);

/* Directory for temporary files: $TMPDIR, else /var/tmp (never memory-backed /tmp). */
const char *sw_file_tmp_dir(void);

static inline void
sw_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void
sw_free_ptr(void *p)
{
	free(*(void **)p);
}

#define SW_AUTO_FD __attribute__((cleanup(sw_close_fd))) int
#define SW_AUTO_FREE __attribute__((cleanup(sw_free_ptr)))

#endif
