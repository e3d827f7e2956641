#include "archive/fetch_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Into this file, so that a hit loads no library for it. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/xxh3.h"
#include "config/config.h"

#define HASH_LEN 32          /* hexadecimal digits of XXH3-128 */
#define READ_SIZE (256 * 1024) /* fits the second-level cache */
#define KEY_TEXT_MAX 65536
#define PART ".part"
#define ASKED "asked"
#define TARGET "target"
#define WAIT_MS 2            /* between two looks at a segment that is being received */
#define STALL_MS 3000        /* without a byte: it is fetched here */

/* --- whose it is ------------------------------------------------------------------------ */

static char *
hex128(XXH128_hash_t hash, char buf[HASH_LEN + 1])
{
	snprintf(buf, HASH_LEN + 1, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
	return buf;
}

/* A file system's snapshot may have the same inodes on the same device, but not in the same boot of the same machine. */
static sw_rc
add_boot(struct sw_buf *text, struct sw_error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	SW_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	char id[64];
	ssize_t len = fd < 0 ? -1 : read(fd, id, sizeof(id));

	if (len <= 0)
		return sw_fail_errno(err, "reading %s", path);
	return sw_buf_append(text, id, (size_t)len, err);
}

static sw_rc
add_repositories(const struct sw_config *config, struct sw_buf *text, struct sw_error *err)
{
	sw_rc rc = sw_buf_printf(text, err, "%s\n", sw_config_cluster(config));

	for (unsigned i = 0; i < sw_config_repo_count(config) && rc == SW_OK; i++) {
		const char *url = sw_config_repo_string(config, i, SW_OPT_REPO_URL);
		const char *endpoint = sw_config_repo_string(config, i, SW_OPT_S3_ENDPOINT);

		rc = sw_buf_printf(text, err, "%s\n%s\n", url != NULL ? url : "", endpoint != NULL ? endpoint : "");
	}
	return rc;
}

/* place: of this data directory, whatever the boot and the configuration. */
static sw_rc
make_keys(const struct sw_config *config, const struct sw_control *control, char place[HASH_LEN + 1],
	char key[HASH_LEN + 1], struct sw_error *err)
{
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	struct stat st;
	SW_AUTO_BUF text;
	sw_rc rc;

	sw_buf_init(&text, KEY_TEXT_MAX);
	if (pgdata == NULL)
		pgdata = ".";
	if (stat(pgdata, &st) != 0)
		return sw_fail_errno(err, "%s", pgdata);
	rc = sw_buf_printf(&text, err, "%" PRIu64 " %ju %ju\n", control->system_identifier, (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino);
	if (rc == SW_OK) {
		hex128(XXH3_128bits(text.data, text.len), place);
		rc = add_boot(&text, err);
	}
	if (rc == SW_OK)
		rc = add_repositories(config, &text, err);
	if (rc == SW_OK)
		hex128(XXH3_128bits(text.data, text.len), key);
	return rc;
}

bool
sw_fetch_spool_is_recovery(const char *pgdata, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	SW_AUTO_FREE char *theirs = strndup(path, slash != NULL ? (size_t)(slash - path) : 0), *ours = NULL;
	struct stat a, b;

	if (strcmp(base, "RECOVERYXLOG") != 0 && strcmp(base, "RECOVERYHISTORY") != 0)
		return false;
	if (theirs == NULL || theirs[0] == '\0' || asprintf(&ours, "%s/pg_wal", pgdata) < 0)
		return false;
	return stat(theirs, &a) == 0 && stat(ours, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* --- the directory ---------------------------------------------------------------------- */

static char *
spool_path(const struct sw_config *config, const char *path, const char *place)
{
	const char *chosen = sw_config_string(config, SW_OPT_FETCH_SPOOL), *slash = strrchr(path, '/');
	char *result;
	int n;

	/* a place that several clusters may share */
	if (chosen != NULL)
		n = asprintf(&result, "%s/%s", chosen, place);
	else if (slash != NULL)
		n = asprintf(&result, "%.*s/seawall.spool/fetch", (int)(slash - path), path);
	else
		n = asprintf(&result, "seawall.spool/fetch");
	return n < 0 ? NULL : result;
}

static sw_rc
open_directory(struct sw_fetch_spool *spool, bool make, struct sw_error *err)
{
	struct stat st;

	spool->dir = open(spool->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (spool->dir < 0 && errno == ENOENT && make) {
		char *slash = strrchr(spool->path, '/');

		*slash = '\0';
		(void)mkdir(spool->path, 0700);
		*slash = '/';
		(void)mkdir(spool->path, 0700);
		spool->dir = open(spool->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (spool->dir < 0) {
		bool absent = errno == ENOENT && !make;

		sw_fail_errno(err, "opening the spool %s", spool->path);
		return err->rc = absent ? SW_NOT_FOUND : err->rc;
	}
	if (fstat(spool->dir, &st) != 0)
		return sw_fail_errno(err, "%s", spool->path);
	if (st.st_uid != geteuid() || (st.st_mode & 0022) != 0) {
		sw_fail(err, SW_DENIED, "the spool %s can be written to by others", spool->path);
		return sw_hint(err, "remove it, or set fetch-spool");
	}
	return SW_OK;
}

sw_rc
sw_fetch_spool_open(const struct sw_config *config, const struct sw_control *control, const char *path,
	bool make, struct sw_fetch_spool *ret_spool, struct sw_error *err)
{
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	char place[HASH_LEN + 1];
	sw_rc rc = make_keys(config, control, place, spool.key, err);

	if (rc != SW_OK)
		return rc;
	spool.segment_size = control->segment_size;
	spool.path = spool_path(config, path, place);
	rc = spool.path == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : open_directory(&spool, make, err);
	if (rc == SW_OK)
		*ret_spool = spool;
	else
		sw_fetch_spool_release(&spool);
	return rc;
}

void
sw_fetch_spool_release(struct sw_fetch_spool *spool)
{
	sw_close_fd(&spool->dir);
	free(spool->path);
	*spool = (struct sw_fetch_spool)SW_FETCH_SPOOL_INIT;
}

bool
sw_fetch_spool_lock(struct sw_fetch_spool *spool)
{
	return flock(spool->dir, LOCK_EX | LOCK_NB) == 0;
}

/* --- what was asked for ------------------------------------------------------------------ */

/* A file that is written and read whole. */
struct note {
	char key[HASH_LEN];
	uint64_t timeline;
	union {
		uint64_t segment; /* asked */
		uint64_t server;  /* target */
	};
	int64_t at_ms;
	uint64_t check; /* XXH3-64 of what stands before */
};

static uint64_t
check_of(const struct note *note)
{
	return XXH3_64bits(note, offsetof(struct note, check));
}

static sw_rc
write_note(struct sw_fetch_spool *spool, const char *file, struct note *note, struct sw_error *err)
{
	SW_AUTO_FD fd = openat(spool->dir, file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	memcpy(note->key, spool->key, HASH_LEN);
	note->at_ms = sw_clock_monotonic_ms();
	note->check = check_of(note);
	if (fd < 0)
		return sw_fail_errno(err, "opening %s/%s", spool->path, file);
	return sw_file_pwrite_all(fd, note, sizeof(*note), 0, spool->path, err);
}

static bool
read_note(const struct sw_fetch_spool *spool, const char *file, struct note *ret_note)
{
	SW_AUTO_FD fd = openat(spool->dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && read(fd, ret_note, sizeof(*ret_note)) == (ssize_t)sizeof(*ret_note) &&
		ret_note->check == check_of(ret_note) && memcmp(ret_note->key, spool->key, HASH_LEN) == 0;
}

sw_rc
sw_fetch_spool_ask(struct sw_fetch_spool *spool, const struct sw_wal_name *name, struct sw_error *err)
{
	struct note note = {.timeline = name->timeline, .segment = name->segment};

	return write_note(spool, ASKED, &note, err);
}

bool
sw_fetch_spool_asked(const struct sw_fetch_spool *spool, struct sw_fetch_asked *ret_asked)
{
	struct note note;

	if (!read_note(spool, ASKED, &note))
		return false;
	*ret_asked = (struct sw_fetch_asked){
		.timeline = (uint32_t)note.timeline,
		.segment = note.segment,
		.at_ms = note.at_ms,
	};
	return true;
}

sw_rc
sw_fetch_spool_aim(struct sw_fetch_spool *spool, uint64_t server, uint32_t timeline, struct sw_error *err)
{
	struct note note = {.timeline = timeline, .server = server};
	uint32_t before;

	if (sw_fetch_spool_target(spool, server, &before) && before >= timeline)
		return SW_OK;
	return write_note(spool, TARGET, &note, err);
}

bool
sw_fetch_spool_target(const struct sw_fetch_spool *spool, uint64_t server, uint32_t *ret_timeline)
{
	struct note note;

	if (!read_note(spool, TARGET, &note) || note.server != server)
		return false;
	*ret_timeline = (uint32_t)note.timeline;
	return true;
}

/* --- names ------------------------------------------------------------------------------ */

static char *
segment_text(const struct sw_fetch_spool *spool, const struct sw_wal_name *name, char buf[SW_WAL_NAME_MAX])
{
	return sw_wal_name_format(name, spool->segment_size, buf);
}

char *
sw_fetch_spool_part(const struct sw_fetch_spool *spool, const struct sw_wal_name *name,
	char buf[SW_FETCH_SPOOL_NAME_MAX])
{
	char segment[SW_WAL_NAME_MAX];

	snprintf(buf, SW_FETCH_SPOOL_NAME_MAX, "%s%s", segment_text(spool, name, segment), PART);
	return buf;
}

/* Ours by its name: SEGMENT.HASH.KEY of this key.  ret_hash: borrowed from the text. */
static bool
parse_entry(const struct sw_fetch_spool *spool, const char *text, struct sw_wal_name *ret_name, const char **ret_hash)
{
	char segment[SW_WAL_NAME_MAX];
	size_t len = strcspn(text, ".");

	if (len >= sizeof(segment) || strlen(text) != len + 1 + HASH_LEN + 1 + HASH_LEN)
		return false;
	memcpy(segment, text, len);
	segment[len] = '\0';
	if (text[len + 1 + HASH_LEN] != '.' || strcmp(text + len + 1 + HASH_LEN + 1, spool->key) != 0)
		return false;
	*ret_hash = text + len + 1;
	return sw_wal_name_parse(segment, spool->segment_size, ret_name) && ret_name->kind == SW_WAL_SEGMENT;
}

/* A stream of its own over the directory. */
static DIR *
list(const struct sw_fetch_spool *spool)
{
	int fd = openat(spool->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* The file that holds the segment.  False: there is none. */
static bool
find(const struct sw_fetch_spool *spool, const struct sw_wal_name *name, char ret_file[SW_FETCH_SPOOL_NAME_MAX])
{
	DIR *dir = list(spool);
	struct dirent *entry;
	bool found = false;

	while (!found && dir != NULL && (entry = readdir(dir)) != NULL) {
		struct sw_wal_name parsed;
		const char *hash;

		if (!parse_entry(spool, entry->d_name, &parsed, &hash) || parsed.timeline != name->timeline ||
			parsed.segment != name->segment)
			continue;
		snprintf(ret_file, SW_FETCH_SPOOL_NAME_MAX, "%.*s", SW_FETCH_SPOOL_NAME_MAX - 1, entry->d_name);
		found = true;
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

bool
sw_fetch_spool_has(const struct sw_fetch_spool *spool, const struct sw_wal_name *name)
{
	char file[SW_FETCH_SPOOL_NAME_MAX];

	return find(spool, name, file);
}

void
sw_fetch_spool_drop(struct sw_fetch_spool *spool, const struct sw_wal_name *name)
{
	char file[SW_FETCH_SPOOL_NAME_MAX];

	if (find(spool, name, file))
		unlinkat(spool->dir, file, 0);
}

void
sw_fetch_spool_clean(struct sw_fetch_spool *spool, bool (*keep)(void *ctx, const struct sw_wal_name *name), void *ctx)
{
	DIR *dir = list(spool);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct sw_wal_name name;
		const char *hash;

		if (entry->d_name[0] == '.')
			continue;
		if (keep != NULL && (strcmp(entry->d_name, ASKED) == 0 || strcmp(entry->d_name, TARGET) == 0))
			continue;
		if (keep != NULL && parse_entry(spool, entry->d_name, &name, &hash) && keep(ctx, &name))
			continue;
		unlinkat(spool->dir, entry->d_name, 0);
	}
	if (dir != NULL)
		closedir(dir);
}

sw_rc
sw_fetch_spool_publish(struct sw_fetch_spool *spool, const struct sw_wal_name *name, const uint8_t hash[16],
	struct sw_error *err)
{
	char part[SW_FETCH_SPOOL_NAME_MAX], file[SW_FETCH_SPOOL_NAME_MAX], segment[SW_WAL_NAME_MAX], hex[HASH_LEN + 1];
	XXH128_canonical_t canonical;

	memcpy(canonical.digest, hash, sizeof(canonical.digest));
	snprintf(file, sizeof(file), "%s.%s.%s", segment_text(spool, name, segment),
		hex128(XXH128_hashFromCanonical(&canonical), hex), spool->key);
	sw_fetch_spool_part(spool, name, part);
	if (renameat(spool->dir, part, spool->dir, file) != 0)
		return sw_fail_errno(err, "renaming %s/%s", spool->path, part);
	return SW_OK;
}

/* --- taking ------------------------------------------------------------------------------ */

static void
free_hash(struct sw_xxh3 **hash)
{
	sw_xxh3_free(*hash);
}

/*
 * Without a copy, which takes half as long.  False: read it; populating fails where touching the memory would kill, as
 * when the disk cannot read it.
 */
static bool
hash_mapped(int fd, uint64_t size, uint8_t ret_hash[SW_XXH3_LEN])
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	bool there;

	if (map == MAP_FAILED)
		return false;
	there = madvise(map, size, MADV_POPULATE_READ) == 0;
	if (there)
		sw_xxh3(map, size, ret_hash);
	munmap(map, size);
	return there;
}

/* Read all of it, hash it, and write it to `to` unless that is -1. */
static sw_rc
hash_read(int fd, int to, uint64_t size, const char *path, uint8_t ret_hash[SW_XXH3_LEN], struct sw_error *err)
{
	SW_AUTO_FREE uint8_t *buf = malloc(READ_SIZE);
	__attribute__((cleanup(free_hash))) struct sw_xxh3 *hash = sw_xxh3_new();
	uint64_t at = 0;
	size_t got = 1;

	if (buf == NULL || hash == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	while (at < size && got > 0) {
		size_t want = size - at < READ_SIZE ? (size_t)(size - at) : READ_SIZE;
		sw_rc rc = sw_file_pread(fd, buf, want, (off_t)at, &got, path, err);

		if (rc == SW_OK && to >= 0)
			rc = sw_file_pwrite_all(to, buf, got, (off_t)at, path, err);
		if (rc != SW_OK)
			return rc;
		sw_xxh3_update(hash, buf, got);
		at += got;
	}
	sw_xxh3_digest(hash, ret_hash);
	return SW_OK;
}

static sw_rc
check_hash(const uint8_t hash[SW_XXH3_LEN], const char *file, struct sw_error *err)
{
	char hex[HASH_LEN + 1];
	XXH128_canonical_t canonical;

	memcpy(canonical.digest, hash, sizeof(canonical.digest));
	if (strncmp(strchr(file, '.') + 1, hex128(XXH128_hashFromCanonical(&canonical), hex), HASH_LEN) != 0)
		return sw_fail(err, SW_CORRUPT, "its content does not have the hash %.*s", HASH_LEN, strchr(file, '.') + 1);
	return SW_OK;
}

/* fetch-spool may lie on another file system. */
static sw_rc
copy_out(struct sw_fetch_spool *spool, const char *file, int fd, const char *path, struct sw_error *err)
{
	SW_AUTO_FREE char *tmp = NULL;
	SW_AUTO_FD to = -1;
	uint8_t hash[SW_XXH3_LEN];
	sw_rc rc;

	if (asprintf(&tmp, "%s.seawall", path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_file_make_own(tmp, &to, err);
	if (rc != SW_OK)
		return rc;
	rc = hash_read(fd, to, spool->segment_size, tmp, hash, err);
	if (rc == SW_OK)
		rc = check_hash(hash, file, err);
	if (rc == SW_OK && !sw_file_is_own(to, tmp))
		rc = sw_fail(err, SW_SYSTEM, "%s is another call's by now", tmp);
	if (rc == SW_OK && rename(tmp, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", tmp, path);
	if (rc == SW_OK)
		unlinkat(spool->dir, file, 0);
	else if (sw_file_is_own(to, tmp))
		unlink(tmp);
	return rc;
}

static sw_rc
verify(const struct sw_fetch_spool *spool, const char *file, int fd, struct sw_error *err)
{
	uint8_t hash[SW_XXH3_LEN];
	struct stat st;
	sw_rc rc = SW_OK;

	if (fstat(fd, &st) != 0)
		return sw_fail_errno(err, "%s", file);
	if (!S_ISREG(st.st_mode) || st.st_size != (off_t)spool->segment_size)
		return sw_fail(err, SW_CORRUPT, "is no file of %" PRIu32 " bytes", spool->segment_size);
	if (!hash_mapped(fd, spool->segment_size, hash))
		rc = hash_read(fd, -1, spool->segment_size, file, hash, err);
	return rc == SW_OK ? check_hash(hash, file, err) : rc;
}

static sw_rc
take_file(struct sw_fetch_spool *spool, const char *file, const char *path, struct sw_error *err)
{
	SW_AUTO_FD fd = openat(spool->dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	sw_rc rc;

	if (fd < 0)
		return errno == ENOENT ? sw_fail(err, SW_NOT_FOUND, "it was removed") : sw_fail_errno(err, "opening it");
	rc = verify(spool, file, fd, err);
	if (rc != SW_OK)
		return rc;
	if (renameat(spool->dir, file, AT_FDCWD, path) == 0)
		return SW_OK;
	if (errno == EXDEV)
		return copy_out(spool, file, fd, path, err);
	return errno == ENOENT ? sw_fail(err, SW_NOT_FOUND, "it was removed") :
		sw_fail_errno(err, "renaming it to %s", path);
}

sw_rc
sw_fetch_spool_take(struct sw_fetch_spool *spool, const struct sw_wal_name *name, const char *path, struct sw_error *err)
{
	char file[SW_FETCH_SPOOL_NAME_MAX];
	sw_rc rc;

	if (!find(spool, name, file))
		return sw_fail(err, SW_NOT_FOUND, "not in the spool");
	rc = take_file(spool, file, path, err);
	if (rc == SW_OK)
		return rc;
	sw_wrap(err, "%s/%s", spool->path, file);
	if (rc != SW_CORRUPT)
		return rc;
	sw_log(SW_LOG_WARNING, "%s; it is fetched from the repository instead", err->text);
	unlinkat(spool->dir, file, 0);
	return err->rc = SW_NOT_FOUND;
}

/* --- a call ------------------------------------------------------------------------------- */

/* Whether somebody holds the lock. */
static bool
is_attended(const struct sw_fetch_spool *spool)
{
	if (flock(spool->dir, LOCK_SH | LOCK_NB) != 0)
		return true;
	flock(spool->dir, LOCK_UN);
	return false;
}

/* The part is looked at before the segment: a rename between the two is seen. */
static sw_rc
take_waiting(struct sw_fetch_spool *spool, const struct sw_wal_name *name, const char *path, struct sw_error *err)
{
	char part[SW_FETCH_SPOOL_NAME_MAX];
	int64_t moved_ms = sw_clock_monotonic_ms();
	off_t size = -1;

	sw_fetch_spool_part(spool, name, part);
	for (;;) {
		struct stat st;
		bool coming = fstatat(spool->dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0;
		sw_rc rc = sw_fetch_spool_take(spool, name, path, err);

		if (rc != SW_NOT_FOUND || !coming || !is_attended(spool))
			return rc;
		if (st.st_size != size)
			moved_ms = sw_clock_monotonic_ms();
		size = st.st_size;
		if (sw_clock_monotonic_ms() - moved_ms > STALL_MS || !sw_clock_sleep_ms(WAIT_MS))
			return rc;
	}
}

sw_rc
sw_fetch_spool_serve(const struct sw_config *config, const char *file, const char *path, struct sw_error *err)
{
	__attribute__((cleanup(sw_fetch_spool_release))) struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	struct sw_control control;
	struct sw_wal_name name;
	sw_rc rc;

	if (pgdata == NULL)
		pgdata = ".";
	if (sw_config_int(config, SW_OPT_FETCH_AHEAD) == 0 || !sw_fetch_spool_is_recovery(pgdata, path))
		return sw_fail(err, SW_NOT_FOUND, "nothing is fetched ahead");
	rc = sw_control_read(pgdata, &control, NULL, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_wal_name_parse(file, control.segment_size, &name) || name.kind != SW_WAL_SEGMENT)
		return sw_fail(err, SW_NOT_FOUND, "%s is never fetched ahead", file);
	rc = sw_fetch_spool_open(config, &control, path, false, &spool, err);
	if (rc == SW_OK)
		rc = sw_fetch_spool_ask(&spool, &name, err);
	return rc == SW_OK ? take_waiting(&spool, &name, path, err) : rc;
}
