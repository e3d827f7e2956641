#include "backup/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define PART_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- roots ------------------------------------------------------------------------- */

static sw_rc
open_root(const char *path, struct sw_target_root *root, struct sw_error *err)
{
	struct stat st;
	sw_rc rc = SW_OK;

	if (stat(path, &st) != 0 && errno == ENOENT)
		rc = sw_file_make_dirs(path, 0700, err);
	if (rc != SW_OK)
		return rc;
	root->path = realpath(path, NULL);
	if (root->path == NULL)
		return sw_fail_errno(err, "finding %s", path);
	root->fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		return sw_fail_errno(err, "opening directory %s", path);
	return SW_OK;
}

static void
release_root(struct sw_target_root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	free(root->path);
	*root = (struct sw_target_root){.fd = -1};
}

/* found: the name of something in it that is not `but`; "" if there is nothing. */
static sw_rc
look_inside(const struct sw_target_root *root, const char *but, char found[NAME_MAX + 1], struct sw_error *err)
{
	int fd = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (dir == NULL) {
		sw_fail_errno(err, "reading directory %s", root->path);
		if (fd >= 0)
			close(fd);
		return err->rc;
	}
	found[0] = '\0';
	errno = 0;
	while (found[0] == '\0' && (de = readdir(dir)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 && strcmp(de->d_name, but) != 0)
			snprintf(found, NAME_MAX + 1, "%s", de->d_name);
	if (errno != 0)
		sw_fail_errno(err, "reading directory %s", root->path);
	else
		err->rc = SW_OK;
	closedir(dir);
	return err->rc;
}

sw_rc
sw_target_open(const char *pgdata, struct sw_target *ret_target, struct sw_error *err)
{
	char found[NAME_MAX + 1];
	sw_rc rc;

	*ret_target = (struct sw_target){.pgdata = {.fd = -1}, .wal = {.fd = -1}};
	rc = open_root(pgdata, &ret_target->pgdata, err);
	if (rc == SW_OK)
		rc = look_inside(&ret_target->pgdata, "", found, err);
	if (rc == SW_OK)
		ret_target->fresh = found[0] == '\0';
	return rc;
}

bool
sw_target_holds_only(const struct sw_target *target, const char *name)
{
	struct sw_error ignored = SW_ERROR_INIT;
	char found[NAME_MAX + 1];

	return look_inside(&target->pgdata, name, found, &ignored) == SW_OK && found[0] == '\0';
}

void
sw_target_release(struct sw_target *target)
{
	release_root(&target->pgdata);
	release_root(&target->wal);
	for (size_t i = 0; i < target->tablespace_count; i++)
		release_root(&target->tablespaces[i]);
	free(target->tablespaces);
	target->tablespaces = NULL;
	target->tablespace_count = 0;
}

static bool
overlap(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b);
	size_t len = len_a < len_b ? len_a : len_b;
	const char *longer = len_a < len_b ? b : a;

	return strncmp(a, b, len) == 0 && (longer[len] == '\0' || longer[len] == '/' || len == 1);
}

static sw_rc
check_root(const struct sw_target *target, const struct sw_target_root *root, bool empty,
	struct sw_error *err)
{
	const char *other = NULL;
	char found[NAME_MAX + 1];
	sw_rc rc;

	if (overlap(root->path, target->pgdata.path))
		other = target->pgdata.path;
	if (target->wal.fd >= 0 && overlap(root->path, target->wal.path))
		other = target->wal.path;
	for (size_t i = 0; i < target->tablespace_count; i++)
		if (overlap(root->path, target->tablespaces[i].path))
			other = target->tablespaces[i].path;
	if (other != NULL) {
		sw_fail(err, SW_CONFIG, "directories %s and %s lie in one another", root->path, other);
		return sw_hint(err, "give the data directory, pg_wal and each tablespace a directory of its own");
	}
	if (!empty)
		return SW_OK;
	rc = look_inside(root, "", found, err);
	if (rc == SW_OK && found[0] != '\0') {
		sw_fail(err, SW_CONFIG, "directory %s is not empty: there is %s", root->path, found);
		return sw_hint(err, "empty it, or name another");
	}
	return rc;
}

sw_rc
sw_target_set_wal(struct sw_target *target, const char *path, bool empty, struct sw_error *err)
{
	struct sw_target_root root = {.fd = -1};
	sw_rc rc = open_root(path, &root, err);

	if (rc == SW_OK)
		rc = check_root(target, &root, empty, err);
	if (rc != SW_OK) {
		release_root(&root);
		return rc;
	}
	target->wal = root;
	return SW_OK;
}

sw_rc
sw_target_add_tablespace(struct sw_target *target, uint32_t oid, const char *path, bool empty,
	struct sw_error *err)
{
	struct sw_target_root root = {.oid = oid, .fd = -1}, *more;
	sw_rc rc = open_root(path, &root, err);

	if (rc == SW_OK)
		rc = check_root(target, &root, empty, err);
	if (rc == SW_OK) {
		more = realloc(target->tablespaces, (target->tablespace_count + 1) * sizeof(*more));
		if (more == NULL)
			rc = sw_fail(err, SW_SYSTEM, "out of memory");
		else
			target->tablespaces = more;
	}
	if (rc != SW_OK) {
		release_root(&root);
		return rc;
	}
	target->tablespaces[target->tablespace_count++] = root;
	return SW_OK;
}

/* --- paths ------------------------------------------------------------------------- */

/* The root that `path` lies in; *ret_rest: its path there, "" for the root itself. */
static const struct sw_target_root *
locate(const struct sw_target *target, const char *path, const char **ret_rest)
{
	*ret_rest = path;
	if (target->wal.fd >= 0 && strncmp(path, "pg_wal/", 7) == 0) {
		*ret_rest = path + 7;
		return &target->wal;
	}
	for (size_t i = 0; i < target->tablespace_count; i++) {
		char prefix[32];
		int len = snprintf(prefix, sizeof(prefix), "pg_tblspc/%u/", target->tablespaces[i].oid);

		if (strncmp(path, prefix, (size_t)len) == 0) {
			*ret_rest = path + len;
			return &target->tablespaces[i];
		}
	}
	return &target->pgdata;
}

struct place {
	int dir; /* of the last part */
	bool own;
	char name[NAME_MAX + 1];
	const struct sw_target_root *root;
};

static void
place_release(struct place *place)
{
	if (place->own)
		close(place->dir);
}
#define AUTO_PLACE __attribute__((cleanup(place_release))) struct place

static bool
take_part(const char **path, char name[NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len == 0 || len > NAME_MAX || (len <= 2 && strncmp(*path, "..", len) == 0))
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	return true;
}

static sw_rc
fail_at(const struct place *place, const char *path, struct sw_error *err)
{
	if (errno == ELOOP || errno == ENOTDIR)
		return sw_fail(err, SW_CORRUPT, "%s (in %s) leads through something that is not a directory",
			path, place->root->path);
	return sw_fail_errno(err, "%s (in %s)", path, place->root->path);
}

/* make: directories on the way that are not there. */
static sw_rc
find_place(const struct sw_target *target, const char *path, bool make, struct place *place,
	struct sw_error *err)
{
	const char *p;

	place->root = locate(target, path, &p);
	place->dir = place->root->fd;
	place->own = false;
	for (;;) {
		int next;

		if (!take_part(&p, place->name))
			return sw_fail(err, SW_CORRUPT, "path \"%s\" is not allowed", path);
		if (*p == '\0')
			return SW_OK;
		p++;
		if (make && mkdirat(place->dir, place->name, 0700) != 0 && errno != EEXIST)
			return fail_at(place, path, err);
		next = openat(place->dir, place->name, PART_FLAGS);
		if (next < 0)
			return fail_at(place, path, err);
		place_release(place);
		place->dir = next;
		place->own = true;
	}
}

sw_rc
sw_target_open_file(const struct sw_target *target, const char *path, int flags, mode_t mode,
	int *ret_fd, struct sw_error *err)
{
	AUTO_PLACE place = {0};
	struct stat st;
	int fd;
	sw_rc rc = find_place(target, path, false, &place, err);

	if (rc != SW_OK)
		return rc;
	fd = openat(place.dir, place.name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
	if (fd < 0 && errno == ENOENT) {
		sw_fail_errno(err, "opening %s (in %s)", path, place.root->path);
		return err->rc = SW_NOT_FOUND;
	}
	if (fd < 0)
		return fail_at(&place, path, err);
	if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || (S_ISREG(st.st_mode) && st.st_nlink > 1)) {
		close(fd);
		return sw_fail(err, SW_CORRUPT, "%s (in %s) is no file of its own", path, place.root->path);
	}
	*ret_fd = fd;
	return SW_OK;
}

sw_rc
sw_target_make_dir(const struct sw_target *target, const char *path, struct sw_error *err)
{
	AUTO_PLACE place = {0};
	struct stat st;
	sw_rc rc = find_place(target, path, false, &place, err);

	if (rc != SW_OK)
		return rc;
	if (mkdirat(place.dir, place.name, 0700) == 0)
		return SW_OK;
	if (errno != EEXIST || fstatat(place.dir, place.name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_at(&place, path, err);
	if (!S_ISDIR(st.st_mode))
		return sw_fail(err, SW_CORRUPT, "%s (in %s) is there and no directory", path, place.root->path);
	return SW_OK;
}

sw_rc
sw_target_make_parents(const struct sw_target *target, const char *path, struct sw_error *err)
{
	AUTO_PLACE place = {0};

	return find_place(target, path, true, &place, err);
}

sw_rc
sw_target_make_link(const struct sw_target *target, const char *path, const char *to,
	struct sw_error *err)
{
	AUTO_PLACE place = {0};
	char there[4096];
	ssize_t len;
	sw_rc rc = find_place(target, path, false, &place, err);

	if (rc != SW_OK)
		return rc;
	if (symlinkat(to, place.dir, place.name) == 0)
		return SW_OK;
	if (errno != EEXIST)
		return fail_at(&place, path, err);
	len = readlinkat(place.dir, place.name, there, sizeof(there) - 1);
	if (len < 0 || (size_t)len != strlen(to) || memcmp(there, to, (size_t)len) != 0)
		return sw_fail(err, SW_CORRUPT, "%s (in %s) is there and not the link to %s", path,
			place.root->path, to);
	return SW_OK;
}

sw_rc
sw_target_rename(const struct sw_target *target, const char *from, const char *to,
	struct sw_error *err)
{
	AUTO_PLACE place = {0};
	const char *name = strrchr(to, '/');
	sw_rc rc = find_place(target, from, false, &place, err);

	if (rc == SW_OK && renameat(place.dir, place.name, place.dir, name == NULL ? to : name + 1) != 0)
		rc = fail_at(&place, from, err);
	return rc;
}

sw_rc
sw_target_remove(const struct sw_target *target, const char *path, struct sw_error *err)
{
	AUTO_PLACE place = {0};
	sw_rc rc = find_place(target, path, false, &place, err);

	if (rc == SW_OK && unlinkat(place.dir, place.name, 0) != 0 && errno != ENOENT)
		rc = fail_at(&place, path, err);
	return rc;
}

sw_rc
sw_target_fsync_dir(const struct sw_target *target, const char *path, struct sw_error *err)
{
	SW_AUTO_FD fd = -1;
	sw_rc rc = SW_OK;

	if (path[0] != '\0')
		rc = sw_target_open_file(target, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
	if (rc == SW_OK && fsync(fd >= 0 ? fd : target->pgdata.fd) != 0)
		rc = sw_fail_errno(err, "fsync of directory %s in %s", path, target->pgdata.path);
	return rc;
}

bool
sw_target_exists(const struct sw_target *target, const char *path)
{
	struct sw_error ignored = SW_ERROR_INIT;
	AUTO_PLACE place = {0};
	struct stat st;

	return find_place(target, path, false, &place, &ignored) == SW_OK &&
		fstatat(place.dir, place.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- small files ------------------------------------------------------------------- */

sw_rc
sw_target_read(const struct sw_target *target, const char *path, struct sw_buf *buf,
	struct sw_error *err)
{
	SW_AUTO_FD fd = -1;
	struct stat st;
	size_t got;
	sw_rc rc = sw_target_open_file(target, path, O_RDONLY, 0, &fd, err);

	if (rc != SW_OK)
		return rc;
	if (fstat(fd, &st) != 0)
		return sw_fail_errno(err, "stat of %s in %s", path, target->pgdata.path);
	sw_buf_reset(buf);
	rc = sw_buf_reserve(buf, (size_t)st.st_size, err);
	if (rc == SW_OK)
		rc = sw_file_pread(fd, buf->data, (size_t)st.st_size, 0, &got, path, err);
	if (rc != SW_OK)
		return sw_wrap(err, "reading %s in %s", path, target->pgdata.path);
	buf->len = got;
	buf->data[got] = '\0';
	return SW_OK;
}

sw_rc
sw_target_write(const struct sw_target *target, const char *path, const void *data, size_t len,
	mode_t mode, struct sw_error *err)
{
	SW_AUTO_FD fd = -1;
	sw_rc rc = sw_target_open_file(target, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, err);

	if (rc == SW_OK)
		rc = sw_file_write_all(fd, data, len, path, err);
	if (rc == SW_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		rc = sw_fail_errno(err, "fsync of %s", path);
	return rc == SW_OK ? rc : sw_wrap(err, "writing in %s", target->pgdata.path);
}

/* --- durable ----------------------------------------------------------------------- */

/* Local file systems of which it is known that syncfs waits and reports; others are synced file by file. */
static bool
reports_errors(int fd)
{
	static const unsigned long known[] = {0xEF53 /* ext */, 0x58465342 /* xfs */,
		0x9123683E /* btrfs */, 0x01021994 /* tmpfs */, 0x2fc12fc1 /* zfs */};
	struct utsname name;
	unsigned major, minor;
	struct statfs fs;

	/* since Linux 5.8: syncfs(2) */
	if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2 ||
		major < 5 || (major == 5 && minor < 8) || fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((unsigned long)fs.f_type == known[i])
			return true;
	return false;
}

static sw_rc
sync_root(const struct sw_target_root *root, bool *done, struct sw_error *err)
{
	if (root->fd < 0)
		return SW_OK;
	if (!reports_errors(root->fd)) {
		*done = false;
		return SW_OK;
	}
	if (syncfs(root->fd) != 0)
		return sw_fail_errno(err, "writing the file system of %s to disk", root->path);
	return SW_OK;
}

sw_rc
sw_target_sync(const struct sw_target *target, bool *ret_done, struct sw_error *err)
{
	bool done = true;
	sw_rc rc = sync_root(&target->pgdata, &done, err);

	if (rc == SW_OK)
		rc = sync_root(&target->wal, &done, err);
	for (size_t i = 0; rc == SW_OK && i < target->tablespace_count; i++)
		rc = sync_root(&target->tablespaces[i], &done, err);
	if (rc == SW_OK)
		*ret_done = done;
	return rc;
}
