/*
 * scratch.h - a temporary directory for one test program, and files in it.
 */
#ifndef SW_REGRESS_SCRATCH_H
#define SW_REGRESS_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

static inline int
scratch_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void
scratch_remove(const char *dir)
{
	nftw(dir, scratch_remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* A new directory; dir: room for PATH_MAX bytes.  Ends the program if there is none to be had. */
static inline void
scratch_make(char dir[4096])
{
	snprintf(dir, 4096, "%.4000s/seawall-unit.XXXXXX", sw_file_tmp_dir());
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		exit(2);
	}
}

/* A file below `dir` with its parents; replaces what was there. */
static inline void
scratch_file(const char *dir, const char *path, const void *data, size_t len)
{
	char full[8192], parent[8192];
	struct sw_error err = SW_ERROR_INIT;
	int fd, n;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	snprintf(parent, sizeof(parent), "%s", full);
	for (n = (int)strlen(parent); parent[n] != '/'; n--)
		;
	parent[n] = '\0';
	unlink(full);
	if (sw_file_make_dirs(parent, 0700, &err) != SW_OK ||
		(fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) {
		fprintf(stderr, "%s: cannot be made; %s\n", full, err.text);
		exit(2);
	}
	if (sw_file_write_all(fd, data, len, full, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	close(fd);
}

#endif
