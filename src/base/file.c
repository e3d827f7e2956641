#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

sw_rc
sw_file_read(const char *path, size_t max, struct sw_buf *ret_buf, struct sw_error *err)
{
	SW_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, max + 1);
	if (fd < 0) {
		bool absent = errno == ENOENT;

		sw_fail_errno(err, "opening %s", path);
		return err->rc = absent ? SW_NOT_FOUND : err->rc;
	}
	for (;;) {
		size_t room, got;

		rc = sw_buf_reserve(&buf, buf.len == 0 && max > 8192 ? 8192 : 1, err);
		if (rc != SW_OK)
			return sw_wrap(err, "reading %s", path);
		room = buf.cap - 1 - buf.len;
		rc = sw_file_pread(fd, buf.data + buf.len, room, (off_t)buf.len, &got, path, err);
		if (rc != SW_OK)
			return rc;
		buf.len += got;
		buf.data[buf.len] = '\0';
		if (buf.len > max)
			return sw_fail(err, SW_CORRUPT, "%s is longer than %zu bytes", path, max);
		if (got < room)
			break;
	}
	*ret_buf = buf;
	sw_buf_init(&buf, 0);
	return SW_OK;
}

sw_rc
sw_file_write_all(int fd, const void *data, size_t len, const char *path, struct sw_error *err)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sw_fail_errno(err, "writing %s", path);
		p += n;
		len -= (size_t)n;
	}
	return SW_OK;
}

sw_rc
sw_file_pwrite_all(int fd, const void *data, size_t len, off_t at, const char *path,
	struct sw_error *err)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sw_fail_errno(err, "writing %s", path);
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return SW_OK;
}

sw_rc
sw_file_pread(int fd, void *data, size_t len, off_t at, size_t *ret_len, const char *path,
	struct sw_error *err)
{
	uint8_t *p = data;
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sw_fail_errno(err, "reading %s", path);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return SW_OK;
}

sw_rc
sw_file_fsync_dir(const char *path, struct sw_error *err)
{
	SW_AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return sw_fail_errno(err, "opening directory %s", path);
	if (fsync(fd) != 0)
		return sw_fail_errno(err, "fsync of directory %s", path);
	return SW_OK;
}

static sw_rc
fsync_parent(const char *path, struct sw_error *err)
{
	SW_AUTO_FREE char *dir = strdup(path);
	char *slash;

	if (dir == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return sw_file_fsync_dir(".", err);
	slash[slash == dir ? 1 : 0] = '\0';
	return sw_file_fsync_dir(dir, err);
}

static sw_rc
write_temp(int fd, const char *tmp, const void *data, size_t len, mode_t mode, struct sw_error *err)
{
	sw_rc rc;

	if (fchmod(fd, mode) != 0)
		return sw_fail_errno(err, "setting the mode of %s", tmp);
	rc = sw_file_write_all(fd, data, len, tmp, err);
	if (rc != SW_OK)
		return rc;
	if (fsync(fd) != 0)
		return sw_fail_errno(err, "fsync of %s", tmp);
	return SW_OK;
}

sw_rc
sw_file_write(const char *path, const void *data, size_t len, mode_t mode, struct sw_error *err)
{
	SW_AUTO_FREE char *tmp = NULL;
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (asprintf(&tmp, "%s.tmp.XXXXXX", path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return sw_fail_errno(err, "creating %s", tmp);
	rc = write_temp(fd, tmp, data, len, mode, err);
	if (rc == SW_OK && rename(tmp, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", tmp, path);
	if (rc != SW_OK) {
		unlink(tmp);
		return rc;
	}
	return fsync_parent(path, err);
}

sw_rc
sw_file_make_dirs(const char *path, mode_t mode, struct sw_error *err)
{
	SW_AUTO_FREE char *p = strdup(path);

	if (p == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (char *at = p + 1;; at++) {
		char c = *at;
		sw_rc rc;

		if (c != '/' && c != '\0')
			continue;
		*at = '\0';
		if (mkdir(p, mode) == 0) {
			rc = fsync_parent(p, err);
			if (rc != SW_OK)
				return rc;
		} else if (errno != EEXIST) {
			return sw_fail_errno(err, "creating directory %s", p);
		}
		if (c == '\0')
			return SW_OK;
		*at = c;
	}
}

sw_rc
sw_file_open_unlinked(const char *dir, int *ret_fd, struct sw_error *err)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		SW_AUTO_FREE char *path = NULL;

		if (asprintf(&path, "%s/seawall.XXXXXX", dir) < 0)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0)
		return sw_fail_errno(err, "creating a temporary file in %s", dir);
	*ret_fd = fd;
	return SW_OK;
}

const char *
sw_file_tmp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL && dir[0] == '/' ? dir : "/var/tmp";
}

sw_rc
sw_file_make_own(const char *path, int *ret_fd, struct sw_error *err)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "creating %s", path);
	*ret_fd = fd;
	return SW_OK;
}

bool
sw_file_is_own(int fd, const char *path)
{
	struct stat own, there;

	return fstat(fd, &own) == 0 && lstat(path, &there) == 0 && own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}
