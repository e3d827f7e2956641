#include "pg/filenodes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "pg/control.h"

#define PG_CLASS 1259 /* OIDs and first filenodes */
#define PG_DATABASE 1262
#define MAP_MAX 1024

/* 0: there is none, or it cannot be read. */
static uint32_t
read_map(int dir, const char *path, uint32_t oid)
{
	SW_AUTO_FD fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct sw_error err = SW_ERROR_INIT;
	uint8_t map[MAP_MAX];
	size_t len;

	if (fd < 0 || sw_file_pread(fd, map, sizeof(map), 0, &len, path, &err) != SW_OK || !sw_relmap_ok(map, len))
		return 0;
	return sw_relmap_find(map, len, oid);
}

static sw_rc
add_class(struct sw_filenodes *f, uint32_t database, uint32_t filenode, struct sw_error *err)
{
	struct sw_filenode *more;

	if (filenode == 0 || filenode == PG_CLASS || f->class_count == SW_FILENODES_MAX)
		return SW_OK;
	more = realloc(f->classes, (f->class_count + 1) * sizeof(*more));
	if (more == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	f->classes = more;
	more[f->class_count++] = (struct sw_filenode){database, filenode};
	return SW_OK;
}

static void
close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

static DIR *
open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* A directory of databases. */
static sw_rc
read_databases(int at, const char *path, struct sw_filenodes *f, struct sw_error *err)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_dir(at, path);
	struct dirent *entry;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && dir != NULL && (entry = readdir(dir)) != NULL) {
		char map[300], *end;
		unsigned long database = strtoul(entry->d_name, &end, 10);

		if (entry->d_name[0] == '0' || end == entry->d_name || *end != '\0' || database > UINT32_MAX)
			continue;
		snprintf(map, sizeof(map), "%s/pg_filenode.map", entry->d_name);
		rc = add_class(f, (uint32_t)database, read_map(dirfd(dir), map, PG_CLASS), err);
	}
	return rc;
}

/* PG_15_202209061 and the like; of another version they hold no map that is right for a database of this one. */
static sw_rc
read_tablespace(int at, const char *oid, struct sw_filenodes *f, struct sw_error *err)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_dir(at, oid);
	struct dirent *entry;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && dir != NULL && (entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, "PG_", 3) == 0)
			rc = read_databases(dirfd(dir), entry->d_name, f, err);
	return rc;
}

sw_rc
sw_filenodes_read(const char *pgdata, struct sw_filenodes *ret_filenodes, struct sw_error *err)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_dir(AT_FDCWD, pgdata), *spaces = NULL;
	struct sw_filenodes f = {0};
	struct dirent *entry;
	sw_rc rc = SW_OK;

	if (dir != NULL) {
		f.database_file = read_map(dirfd(dir), "global/pg_filenode.map", PG_DATABASE);
		if (f.database_file == PG_DATABASE)
			f.database_file = 0;
		rc = read_databases(dirfd(dir), "base", &f, err);
		spaces = open_dir(dirfd(dir), "pg_tblspc");
	}
	while (rc == SW_OK && spaces != NULL && (entry = readdir(spaces)) != NULL)
		if (entry->d_name[0] != '.')
			rc = read_tablespace(dirfd(spaces), entry->d_name, &f, err);
	if (rc == SW_OK)
		*ret_filenodes = f;
	else
		free(f.classes);
	return rc;
}
