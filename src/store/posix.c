#include "store/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/interrupt.h"

#define COPY_SIZE ((size_t)256 * 1024)
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Names of one directory that are held and sorted at a time; twice as many are gathered. */
#define BATCH 32768

struct posix {
	struct sw_store store;
	char *root;
	dev_t device; /* of the root, as it was met first; */
	ino_t inode;  /* 0: not yet */
};

static struct posix *
posix_of(struct sw_store *store)
{
	return (struct posix *)store;
}

/* --- directories --------------------------------------------------------------- */

static sw_rc
fail_root(const struct posix *posix, struct sw_error *err)
{
	if (errno != ENOENT && errno != ENOTDIR)
		return sw_fail_errno(err, "opening the repository's directory %s", posix->root);
	sw_fail(err, SW_SYSTEM, "the repository's directory %s is not there", posix->root);
	return sw_hint(err, "mount its file system, or correct repo-url");
}

static sw_rc
make_root(const struct posix *posix, struct sw_error *err)
{
	SW_AUTO_FREE char *parent = NULL;
	char *slash;

	if (mkdir(posix->root, 0700) != 0 && errno != EEXIST)
		return fail_root(posix, err);
	parent = strdup(posix->root);
	if (parent == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	slash = strrchr(parent, '/');
	slash[slash == parent ? 1 : 0] = '\0';
	return sw_file_fsync_dir(parent, err);
}

/* Below an empty mount point nothing of the repository is, and nothing may be put. */
static sw_rc
check_root(struct posix *posix, int fd, struct sw_error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return sw_fail_errno(err, "reading %s", posix->root);
	if (posix->inode != 0 && (st.st_dev != posix->device || st.st_ino != posix->inode)) {
		sw_fail(err, SW_SYSTEM, "the repository's directory %s is another one than it was", posix->root);
		return sw_hint(err, "mount its file system again");
	}
	posix->device = st.st_dev;
	posix->inode = st.st_ino;
	return SW_OK;
}

static sw_rc
open_root(struct posix *posix, bool create, int *ret_fd, struct sw_error *err)
{
	SW_AUTO_FD fd = open(posix->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sw_rc rc;

	if (fd < 0 && errno == ENOENT && create && posix->inode == 0) {
		rc = make_root(posix, err);
		if (rc != SW_OK)
			return rc;
		fd = open(posix->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return fail_root(posix, err);
	rc = check_root(posix, fd, err);
	if (rc != SW_OK)
		return rc;
	*ret_fd = fd;
	fd = -1;
	return SW_OK;
}

/* A link is refused, not skipped: skipping would make what is behind it look absent. */
static sw_rc
fail_link(const struct posix *posix, const char *name, struct sw_error *err)
{
	sw_fail(err, SW_SYSTEM, "%s/%s is a symbolic link", posix->root, name);
	return sw_hint(err, "a repository holds only directories and files; replace the link (a mount "
		"point is fine)");
}

/* Opening `part` in `dir`, a step on the way to `name`, gave errno. */
static sw_rc
fail_part(const struct posix *posix, int dir, const char *part, const char *name,
	struct sw_error *err)
{
	int e = errno;
	struct stat st;

	if ((e == ELOOP || e == ENOTDIR) && fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(st.st_mode))
		return fail_link(posix, name, err);
	if (e == ENOENT || e == ENOTDIR)
		return sw_fail(err, SW_NOT_FOUND, "%s/%s is not there", posix->root, name);
	errno = e;
	return sw_fail_errno(err, "opening %s/%s", posix->root, name);
}

static sw_rc
make_part(const struct posix *posix, int parent, const char *part, int *ret_fd, struct sw_error *err)
{
	int fd;

	if (mkdirat(parent, part, 0700) != 0 && errno != EEXIST)
		return sw_fail_errno(err, "creating directory %s in %s", part, posix->root);
	fd = openat(parent, part, DIR_FLAGS);
	if (fd < 0)
		return sw_fail_errno(err, "opening directory %s in %s", part, posix->root);
	if (fsync(parent) != 0) {
		sw_fail_errno(err, "fsync of the directory that holds %s in %s", part, posix->root);
		close(fd);
		return err->rc;
	}
	*ret_fd = fd;
	return SW_OK;
}

/*
 * Open the directory that holds `name`, one part after the other, so that no link is
 * followed; *ret_base is the last part.  SW_NOT_FOUND if a part is missing and not to be made.
 */
static sw_rc
open_parent(struct posix *posix, const char *name, bool create, int *ret_fd,
	const char **ret_base, struct sw_error *err)
{
	const char *whole = name;
	SW_AUTO_FD fd = -1;
	sw_rc rc = open_root(posix, create, &fd, err);

	if (rc != SW_OK)
		return rc;
	for (;;) {
		const char *slash = strchr(name, '/');
		char part[SW_STORE_NAME_MAX + 1];
		int next;

		if (slash == NULL) {
			*ret_base = name;
			*ret_fd = fd;
			fd = -1;
			return SW_OK;
		}
		memcpy(part, name, (size_t)(slash - name));
		part[slash - name] = '\0';
		next = openat(fd, part, DIR_FLAGS);
		if (next < 0 && errno == ENOENT && create)
			rc = make_part(posix, fd, part, &next, err);
		else if (next < 0)
			rc = fail_part(posix, fd, part, whole, err);
		if (rc != SW_OK)
			return rc;
		close(fd);
		fd = next;
		name = slash + 1;
	}
}

/* --- put ------------------------------------------------------------------------- */

static sw_rc
write_body(int fd, const struct sw_store_body *body, const char *path, struct sw_error *err)
{
	SW_AUTO_FREE uint8_t *buf = malloc(COPY_SIZE);
	struct sw_stage_digest digest;
	uint64_t at = 0;
	sw_rc rc;

	if (buf == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_stage_digest_init(&digest, NULL, err);
	if (rc != SW_OK)
		return rc;
	while (rc == SW_OK && at < body->len) {
		size_t len = body->len - at < COPY_SIZE ? (size_t)(body->len - at) : COPY_SIZE;

		rc = sw_interrupt_check(err);
		if (rc == SW_OK)
			rc = sw_store_body_read(body, at, buf, len, err);
		if (rc == SW_OK)
			rc = sw_stage_write(&digest.stage, buf, len, err);
		if (rc == SW_OK)
			rc = sw_file_write_all(fd, buf, len, path, err);
		at += len;
	}
	if (rc == SW_OK)
		rc = sw_stage_finish(&digest.stage, err);
	if (rc == SW_OK && memcmp(digest.sha256, body->sha256, SW_SHA256_LEN) != 0)
		rc = sw_fail(err, SW_CORRUPT, "what was to be stored as %s does not match its SHA-256", path);
	sw_stage_digest_release(&digest);
	if (rc == SW_OK && fsync(fd) != 0)
		rc = sw_fail_errno(err, "fsync of %s", path);
	return rc;
}

/* Give the file its name unless that is taken.  SW_CONFLICT: it is. */
static sw_rc
link_name(const struct posix *posix, int dir, const char *temp, const char *base, const char *name,
	struct sw_error *err)
{
	if (linkat(dir, temp, dir, base, 0) == 0)
		return SW_OK;
	/* file systems without hard links */
	if ((errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK) &&
		renameat2(dir, temp, dir, base, RENAME_NOREPLACE) == 0)
		return SW_OK;
	if (errno == EEXIST)
		return sw_fail(err, SW_CONFLICT, "%s/%s is already there", posix->root, name);
	if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
		sw_fail(err, SW_CONFIG, "the file system of %s can neither link nor rename without "
			"replacing", posix->root);
		return sw_hint(err, "put the repository on another file system");
	}
	return sw_fail_errno(err, "linking %s/%s", posix->root, name);
}

static sw_rc
put_in_dir(const struct posix *posix, int dir, const char *base, const char *name,
	const struct sw_store_body *body, struct sw_error *err)
{
	char path[SW_STORE_NAME_MAX + 256], temp[32];
	SW_AUTO_FD fd = -1;
	uint64_t random;
	sw_rc rc;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return sw_fail(err, SW_SYSTEM, "no random bytes from the kernel");
	snprintf(temp, sizeof(temp), "tmp~%016llx", (unsigned long long)random);
	snprintf(path, sizeof(path), "%.240s/%s", posix->root, name);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "creating a temporary file for %s", path);
	rc = write_body(fd, body, path, err);
	if (rc == SW_OK)
		rc = link_name(posix, dir, temp, base, name, err);
	unlinkat(dir, temp, 0);
	return rc;
}

static sw_rc
posix_put(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	struct posix *posix = posix_of(store);
	SW_AUTO_FD dir = -1;
	const char *base;
	sw_rc rc = open_parent(posix, name, true, &dir, &base, err);

	if (rc == SW_OK)
		rc = put_in_dir(posix, dir, base, name, body, err);
	if (rc == SW_CONFLICT)
		rc = sw_store_compare(store, name, body, err);
	if (rc == SW_NOT_FOUND)
		return err->rc = SW_SYSTEM; /* a directory went away: no answer to a put */
	if (rc != SW_OK)
		return rc;
	if (fsync(dir) != 0)
		return sw_fail_errno(err, "fsync of the directory of %s/%s", posix->root, name);
	return SW_OK;
}

/* --- get and head ---------------------------------------------------------------- */

static sw_rc
open_object(struct posix *posix, const char *name, int *ret_fd, struct stat *ret_st,
	struct sw_error *err)
{
	SW_AUTO_FD dir = -1;
	SW_AUTO_FD fd = -1;
	const char *base;
	sw_rc rc = open_parent(posix, name, false, &dir, &base, err);

	if (rc != SW_OK)
		return rc;
	fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail_part(posix, dir, base, name, err);
	if (fstat(fd, ret_st) != 0)
		return sw_fail_errno(err, "reading %s/%s", posix->root, name);
	if (S_ISDIR(ret_st->st_mode))
		return sw_fail(err, SW_NOT_FOUND, "%s/%s is a directory, not an object", posix->root, name);
	if (!S_ISREG(ret_st->st_mode))
		return sw_fail(err, SW_SYSTEM, "%s/%s is not a regular file", posix->root, name);
	*ret_fd = fd;
	fd = -1;
	return SW_OK;
}

static sw_rc
copy_out(int fd, const char *name, uint64_t at, uint64_t end, struct sw_stage *sink,
	struct sw_error *err)
{
	SW_AUTO_FREE uint8_t *buf = malloc(COPY_SIZE);

	if (buf == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	while (at < end) {
		size_t len = end - at < COPY_SIZE ? (size_t)(end - at) : COPY_SIZE, got;
		sw_rc rc = sw_interrupt_check(err);

		if (rc == SW_OK)
			rc = sw_file_pread(fd, buf, len, (off_t)at, &got, name, err);
		if (rc == SW_OK && got < len)
			rc = sw_fail(err, SW_CORRUPT, "%s ends after %llu bytes while it is read", name,
				(unsigned long long)(at + got));
		if (rc == SW_OK)
			rc = sw_stage_write(sink, buf, len, err);
		if (rc != SW_OK)
			return rc;
		at += len;
	}
	return sw_stage_finish(sink, err);
}

static sw_rc
posix_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_stage *sink, struct sw_error *err)
{
	struct posix *posix = posix_of(store);
	SW_AUTO_FD fd = -1;
	struct stat st;
	uint64_t size;
	sw_rc rc = open_object(posix, name, &fd, &st, err);

	if (rc != SW_OK)
		return rc;
	size = (uint64_t)st.st_size;
	if (len & SW_STORE_AT_MOST && offset <= size)
		len = (len & ~SW_STORE_AT_MOST) < size - offset ? len & ~SW_STORE_AT_MOST : size - offset;
	if ((offset > 0 && offset >= size) || len > size - offset)
		return sw_fail(err, SW_CORRUPT, "%s/%s has %llu bytes: none at %llu+%llu", posix->root, name,
			(unsigned long long)size, (unsigned long long)offset, (unsigned long long)len);
	rc = copy_out(fd, name, offset, len == 0 ? size : offset + len, sink, err);
	return rc == SW_CORRUPT ? sw_wrap(err, "%s", posix->root) : rc;
}

static struct sw_store_info
info_of(const struct stat *st)
{
	return (struct sw_store_info){
		.size = (uint64_t)st->st_size,
		.modified_us = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000,
	};
}

static sw_rc
posix_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info,
	struct sw_error *err)
{
	SW_AUTO_FD fd = -1;
	struct stat st;
	sw_rc rc = open_object(posix_of(store), name, &fd, &st, err);

	if (rc == SW_OK)
		*ret_info = info_of(&st);
	return rc;
}

/* --- list -------------------------------------------------------------------------- */

/*
 * Directories are read in batches of their smallest names behind the last batch, sorted as
 * full names sort: a directory as if its name ended in '/'.
 */
struct listing {
	struct posix *posix;
	const char *prefix, *after;
	sw_store_each each;
	void *ctx;
	struct sw_error *err;
	char path[SW_STORE_NAME_MAX + 2]; /* of the directory being walked, "" or ending in '/' */
	bool enough;
};

struct batch {
	char **names; /* directories end in '/' */
	size_t count;
	bool cut; /* there are more behind the last */
};

static void
batch_release(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		free(batch->names[i]);
	free(batch->names);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
batch_shrink(struct batch *batch)
{
	if (batch->count == 0)
		return;
	qsort(batch->names, batch->count, sizeof(*batch->names), compare_names);
	while (batch->count > BATCH) {
		free(batch->names[--batch->count]);
		batch->cut = true;
	}
}

static sw_rc
batch_add(struct batch *batch, const char *name, struct sw_error *err)
{
	if (batch->names == NULL)
		batch->names = malloc(2 * BATCH * sizeof(*batch->names));
	if (batch->names == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (batch->count == 2 * BATCH)
		batch_shrink(batch);
	batch->names[batch->count] = strdup(name);
	if (batch->names[batch->count] == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	batch->count++;
	return SW_OK;
}

static unsigned char
type_of(int dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? IFTODT(st.st_mode) : DT_UNKNOWN;
}

/* Can the object `path`, or one below the directory `path`, be one that is asked for? */
static bool
is_wanted(const struct listing *l, const char *path, bool is_dir)
{
	size_t len = strlen(path), prefix_len = strlen(l->prefix);

	if (!is_dir)
		return strncmp(path, l->prefix, prefix_len) == 0 &&
			(l->after == NULL || strcmp(path, l->after) > 0);
	if (strncmp(path, l->prefix, len < prefix_len ? len : prefix_len) != 0)
		return false;
	return l->after == NULL || strncmp(path, l->after, len) >= 0;
}

/* Add an entry to the batch if it is ours, behind `last` and asked for. */
static sw_rc
consider(struct listing *l, int dir, const struct dirent *entry, const char *last,
	struct batch *batch)
{
	char key[NAME_MAX + 2], path[sizeof(l->path) + sizeof(key)];
	unsigned char type;

	if (!sw_store_name_valid(entry->d_name))
		return SW_OK;
	type = type_of(dir, entry);
	if (type != DT_DIR && type != DT_REG && type != DT_LNK)
		return SW_OK;
	snprintf(key, sizeof(key), "%s%s", entry->d_name, type == DT_REG ? "" : "/");
	snprintf(path, sizeof(path), "%s%s", l->path, key);
	if (strlen(path) > SW_STORE_NAME_MAX || !is_wanted(l, path, type != DT_REG))
		return SW_OK;
	if (last[0] != '\0' && strcmp(key, last) <= 0)
		return SW_OK;
	if (type == DT_LNK)
		return fail_link(l->posix, path, l->err);
	return batch_add(batch, key, l->err);
}

static sw_rc
read_batch(struct listing *l, int dir, const char *last, struct batch *batch)
{
	int fd = openat(dir, ".", DIR_FLAGS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	sw_rc rc = SW_OK;

	if (fd < 0 && errno == ENOENT && l->path[0] != '\0')
		return SW_OK; /* removed since its parent was read */
	if (d == NULL) {
		sw_fail_errno(l->err, "listing %s/%s", l->posix->root, l->path);
		if (fd >= 0)
			close(fd);
		return l->err->rc;
	}
	while (rc == SW_OK && (errno = 0, entry = readdir(d)) != NULL)
		rc = consider(l, dir, entry, last, batch);
	if (rc == SW_OK && errno != 0)
		rc = sw_fail_errno(l->err, "listing %s/%s", l->posix->root, l->path);
	closedir(d);
	if (rc == SW_OK)
		batch_shrink(batch);
	return rc;
}

static sw_rc list_dir(struct listing *l, int dir);

static sw_rc
list_sub(struct listing *l, int dir, char *key)
{
	SW_AUTO_FD sub = -1;

	size_t slash = strlen(key) - 1;

	key[slash] = '\0'; /* with a slash behind it, a link would be followed */
	sub = openat(dir, key, DIR_FLAGS);
	key[slash] = '/';
	if (sub >= 0)
		return list_dir(l, sub);
	return errno == ENOENT ? SW_OK : sw_fail_errno(l->err, "listing %s/%s", l->posix->root, l->path);
}

static sw_rc
list_file(struct listing *l, int dir, const char *key)
{
	struct sw_store_info info;
	struct stat st;
	sw_rc rc;

	if (fstatat(dir, key, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? SW_OK : sw_fail_errno(l->err, "listing %s/%s", l->posix->root, l->path);
	info = info_of(&st);
	rc = l->each(l->ctx, l->path, &info, l->err);
	l->enough = rc == SW_CONFLICT;
	return rc;
}

static sw_rc
list_entry(struct listing *l, int dir, char *key)
{
	size_t path_len = strlen(l->path), key_len = strlen(key);
	sw_rc rc;

	memcpy(l->path + path_len, key, key_len + 1);
	rc = key[key_len - 1] == '/' ? list_sub(l, dir, key) : list_file(l, dir, key);
	l->path[path_len] = '\0';
	return rc;
}

static sw_rc
list_dir(struct listing *l, int dir)
{
	char last[NAME_MAX + 2] = "";
	bool more = true;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && more) {
		struct batch batch = {0};

		rc = sw_interrupt_check(l->err);
		if (rc == SW_OK)
			rc = read_batch(l, dir, last, &batch);
		for (size_t i = 0; rc == SW_OK && i < batch.count; i++)
			rc = list_entry(l, dir, batch.names[i]);
		more = batch.cut;
		if (more)
			snprintf(last, sizeof(last), "%s", batch.names[batch.count - 1]);
		batch_release(&batch);
	}
	return rc;
}

static sw_rc
posix_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each,
	void *ctx, struct sw_error *err)
{
	struct listing l = {
		.posix = posix_of(store),
		.prefix = prefix,
		.after = after,
		.each = each,
		.ctx = ctx,
		.err = err,
	};
	SW_AUTO_FD root = -1;
	sw_rc rc = open_root(l.posix, false, &root, err);

	if (rc == SW_OK)
		rc = list_dir(&l, root);
	return l.enough ? SW_OK : rc;
}

/* --- delete, probe, life ------------------------------------------------------------- */

static sw_rc
delete_one(struct posix *posix, const char *name, struct sw_error *err)
{
	SW_AUTO_FD dir = -1;
	const char *base;
	sw_rc rc = open_parent(posix, name, false, &dir, &base, err);

	if (rc == SW_NOT_FOUND)
		return SW_OK;
	if (rc != SW_OK)
		return rc;
	if (unlinkat(dir, base, 0) != 0 && errno != ENOENT)
		return sw_fail_errno(err, "deleting %s/%s", posix->root, name);
	return SW_OK;
}

static sw_rc
sync_parent(struct posix *posix, const char *name, struct sw_error *err)
{
	SW_AUTO_FD dir = -1;
	const char *base;
	sw_rc rc = open_parent(posix, name, false, &dir, &base, err);

	if (rc == SW_NOT_FOUND)
		return SW_OK;
	if (rc == SW_OK && fsync(dir) != 0)
		rc = sw_fail_errno(err, "fsync of the directory of %s/%s", posix->root, name);
	return rc;
}

static bool
same_dir(const char *a, const char *b)
{
	const char *sa = strrchr(a, '/'), *sb = strrchr(b, '/');

	if (sa == NULL || sb == NULL)
		return sa == sb;
	return sa - a == sb - b && strncmp(a, b, (size_t)(sa - a)) == 0;
}

static sw_rc
posix_delete(struct sw_store *store, const char *const *names, size_t count, struct sw_error *err)
{
	struct posix *posix = posix_of(store);

	for (size_t i = 0; i < count; i++) {
		sw_rc rc = delete_one(posix, names[i], err);

		if (rc == SW_OK && (i + 1 == count || !same_dir(names[i], names[i + 1])))
			rc = sync_parent(posix, names[i], err);
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

static sw_rc
posix_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err)
{
	struct sw_store_body first = sw_store_body_mem("first", 5);
	struct sw_store_body second = sw_store_body_mem("second", 6);
	char name[SW_STORE_PROBE_LEN];
	const char *names[] = {name};
	sw_rc rc = sw_store_probe_name(prefix, name, err);

	if (rc == SW_OK)
		rc = posix_put(store, name, &first, err);
	if (rc != SW_OK)
		return rc;
	rc = posix_put(store, name, &second, err);
	if (rc == SW_OK)
		rc = sw_fail(err, SW_SYSTEM, "the file system of %s replaces files that are there",
			posix_of(store)->root);
	if (rc != SW_CONFLICT)
		return rc;
	*ret_traits = (struct sw_store_traits){.put_if_absent = true};
	return posix_delete(store, names, 1, err);
}

static void
posix_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	(void)store;
	(void)traits;
}

static void
posix_free(struct sw_store *store)
{
	struct posix *posix = (struct posix *)store;

	free(posix->root);
	free(posix->store.url);
	free(posix);
}

static sw_rc
posix_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	const struct posix *from = (const struct posix *)store;
	sw_rc rc = sw_posix_open(from->root, ret_store, err);

	if (rc == SW_OK) {
		posix_of(*ret_store)->device = from->device;
		posix_of(*ret_store)->inode = from->inode;
	}
	return rc;
}

static const struct sw_store_ops posix_ops = {
	.free = posix_free,
	.clone = posix_clone,
	.set_traits = posix_set_traits,
	.put = posix_put,
	.get = posix_get,
	.head = posix_head,
	.list = posix_list,
	.delete = posix_delete,
	.probe = posix_probe,
};

static void
cut_slashes(char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
}

sw_rc
sw_posix_open(const char *root, struct sw_store **ret_store, struct sw_error *err)
{
	struct posix *posix;

	if (root[0] != '/' || strspn(root, "/") == strlen(root)) {
		sw_fail(err, SW_CONFIG, "file://%s does not name an absolute directory", root);
		return sw_hint(err, "write repo-url = file:///DIRECTORY");
	}
	posix = calloc(1, sizeof(*posix));
	if (posix == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	posix->store.ops = &posix_ops;
	posix->root = strdup(root);
	if (posix->root != NULL)
		cut_slashes(posix->root);
	if (posix->root == NULL || asprintf(&posix->store.url, "file://%s", posix->root) < 0) {
		posix->store.url = NULL;
		posix_free(&posix->store);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	*ret_store = &posix->store;
	return SW_OK;
}
