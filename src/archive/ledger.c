#include "archive/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL /* a hit must not wait for a library */
#include <xxhash.h>

#include "base/file.h"
#include "config/config.h"
#include "pg/names.h"

#define TEMPORARY "tmp."
#define LOCK "lock"

struct entry {
	char magic[8];
	uint64_t system_identifier;
	uint8_t config[SW_LEDGER_HASH_LEN];
	uint8_t registrations[SW_LEDGER_HASH_LEN];
	char name[SW_WAL_NAME_MAX];
	struct sw_ledger_file file;
	uint64_t checksum; /* XXH3 of what stands before */
};
_Static_assert(sizeof(struct entry) == 200, "no padding, which would be hashed");
static const char magic[8] = {'S', 'W', 'P', 'U', 'S', 'H', '0', '1'};

static uint64_t
checksum_of(const struct entry *entry)
{
	return XXH3_64bits(entry, offsetof(struct entry, checksum));
}

static char *
path_of(const struct sw_ledger *ledger, const char *prefix, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s%s", ledger->dir, prefix, name) < 0 ? NULL : path;
}

/* --- where and what --------------------------------------------------------------- */

static void
hash_text(XXH3_state_t *state, const char *text)
{
	uint8_t some = text != NULL;

	XXH3_128bits_update(state, &some, 1);
	if (text != NULL)
		XXH3_128bits_update(state, text, strlen(text) + 1);
}

/* Everything that decides in which repository a file ends up, as far as the configuration does. */
static void
hash_config(const struct sw_config *config, uint8_t ret_hash[SW_LEDGER_HASH_LEN])
{
	static const enum sw_option places[] = {
		SW_OPT_REPO_URL, SW_OPT_S3_ENDPOINT, SW_OPT_S3_REGION, SW_OPT_S3_ADDRESSING, SW_OPT_S3_RESOLVE,
		SW_OPT_S3_PROFILE, SW_OPT_S3_CREDENTIALS_FILE, SW_OPT_S3_ACCESS_KEY,
	};
	XXH128_canonical_t canonical;
	int64_t quorum = sw_config_int(config, SW_OPT_PUSH_QUORUM);
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, &quorum, sizeof(quorum));
	hash_text(&state, sw_config_cluster(config));
	for (unsigned repo = 0; repo < sw_config_repo_count(config); repo++) {
		hash_text(&state, sw_config_repo_name(config, repo));
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			hash_text(&state, sw_config_repo_string(config, repo, places[i]));
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	memcpy(ret_hash, canonical.digest, SW_LEDGER_HASH_LEN);
}

sw_rc
sw_ledger_init(struct sw_ledger *ret_ledger, const struct sw_config *config, const char *path,
	uint64_t system_identifier, struct sw_error *err)
{
	struct sw_ledger ledger = {.system_identifier = system_identifier};
	const char *spool = sw_config_string(config, SW_OPT_PUSH_SPOOL), *slash = strrchr(path, '/');
	int done;

	if (spool != NULL)
		done = asprintf(&ledger.dir, "%s/push/%" PRIu64, spool, system_identifier);
	else if (slash == NULL)
		done = asprintf(&ledger.dir, "seawall.spool/push/%" PRIu64, system_identifier);
	else
		done = asprintf(&ledger.dir, "%.*s/seawall.spool/push/%" PRIu64, (int)(slash - path), path,
			system_identifier);
	if (done < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	hash_config(config, ledger.config);
	*ret_ledger = ledger;
	return SW_OK;
}

void
sw_ledger_release(struct sw_ledger *ledger)
{
	free(ledger->dir);
	ledger->dir = NULL;
}

static int64_t
ns_of(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

sw_rc
sw_ledger_identify(int fd, bool wal, const char *path, struct sw_ledger_file *ret_file, struct sw_error *err)
{
	struct sw_ledger_file file = {0};
	struct stat st;

	if (fstat(fd, &st) != 0)
		return sw_fail_errno(err, "stat of %s", path);
	file.device = st.st_dev;
	file.inode = st.st_ino;
	file.size = (uint64_t)st.st_size;
	file.mtime_ns = ns_of(&st.st_mtim);
	file.ctime_ns = ns_of(&st.st_ctim);
	if (wal) {
		size_t got;
		sw_rc rc = sw_file_pread(fd, file.page, sizeof(file.page), 0, &got, path, err);

		if (rc != SW_OK)
			return rc;
		if (got < sizeof(file.page))
			return sw_fail(err, SW_CORRUPT, "%s does not begin with a WAL page", path);
	}
	*ret_file = file;
	return SW_OK;
}

/* --- entries ------------------------------------------------------------------------ */

static void
fill_entry(const struct sw_ledger *ledger, const char *name, const struct sw_ledger_file *file,
	struct entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->magic, magic, sizeof(magic));
	entry->system_identifier = ledger->system_identifier;
	memcpy(entry->config, ledger->config, sizeof(entry->config));
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->file = *file;
}

static bool
read_entry(const struct sw_ledger *ledger, const char *name, struct entry *entry)
{
	SW_AUTO_FREE char *path = path_of(ledger, "", name);
	SW_AUTO_FD fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		st.st_size == sizeof(*entry) && read(fd, entry, sizeof(*entry)) == sizeof(*entry) &&
		entry->checksum == checksum_of(entry);
}

bool
sw_ledger_has(const struct sw_ledger *ledger, const char *name, const struct sw_ledger_file *file)
{
	struct entry is, want;

	if (!read_entry(ledger, name, &is))
		return false;
	fill_entry(ledger, name, file, &want);
	memcpy(want.registrations, is.registrations, sizeof(want.registrations));
	return memcmp(&is, &want, offsetof(struct entry, checksum)) == 0;
}

void
sw_ledger_drop(const struct sw_ledger *ledger, const char *name)
{
	SW_AUTO_FREE char *path = path_of(ledger, "", name);

	if (path != NULL)
		unlink(path);
}

sw_rc
sw_ledger_note(const struct sw_ledger *ledger, const char *name, const struct sw_ledger_file *file,
	const uint8_t registrations[SW_LEDGER_HASH_LEN], struct sw_error *err)
{
	SW_AUTO_FREE char *path = path_of(ledger, "", name);
	SW_AUTO_FREE char *temporary = path_of(ledger, TEMPORARY, name);
	SW_AUTO_FD fd = -1;
	struct entry entry;
	sw_rc rc;

	if (path == NULL || temporary == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	fill_entry(ledger, name, file, &entry);
	memcpy(entry.registrations, registrations, sizeof(entry.registrations));
	entry.checksum = checksum_of(&entry);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "creating %s", temporary);
	rc = sw_file_write_all(fd, &entry, sizeof(entry), temporary, err);
	if (rc == SW_OK && rename(temporary, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", temporary, path);
	if (rc != SW_OK)
		unlink(temporary);
	return rc;
}

/* --- the lock and the broom ------------------------------------------------------------ */

sw_rc
sw_ledger_check_dir(const char *dir, struct sw_error *err)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return sw_fail_errno(err, "stat of %s", dir);
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
		return SW_OK;
	sw_fail(err, SW_SYSTEM, "%s is no directory that only its owner, who runs this, may write in", dir);
	return sw_hint(err, "remove it, or set push-spool");
}

sw_rc
sw_ledger_make(const struct sw_ledger *ledger, struct sw_error *err)
{
	sw_rc rc = sw_file_make_dirs(ledger->dir, 0700, err);

	return rc == SW_OK ? sw_ledger_check_dir(ledger->dir, err) : rc;
}

sw_rc
sw_ledger_lock(const struct sw_ledger *ledger, int *ret_lock, struct sw_error *err)
{
	SW_AUTO_FREE char *path = path_of(ledger, "", LOCK);
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (path == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_ledger_make(ledger, err);
	if (rc != SW_OK)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? sw_fail(err, SW_TRANSIENT, "%s is held by another push", path) :
			sw_fail_errno(err, "locking %s", path);
	*ret_lock = fd;
	fd = -1;
	return SW_OK;
}

static bool
is_wanted(const struct sw_ledger *ledger, const char *name, const char *status_dir,
	const uint8_t registrations[SW_LEDGER_HASH_LEN])
{
	SW_AUTO_FREE char *ready = NULL;
	struct entry entry;

	if (asprintf(&ready, "%s/%s.ready", status_dir, name) < 0)
		return true;
	return access(ready, F_OK) == 0 && read_entry(ledger, name, &entry) &&
		memcmp(entry.registrations, registrations, sizeof(entry.registrations)) == 0;
}

void
sw_ledger_clean(const struct sw_ledger *ledger, const char *status_dir,
	const uint8_t registrations[SW_LEDGER_HASH_LEN])
{
	DIR *dir = opendir(ledger->dir);
	const struct dirent *found;

	if (dir == NULL)
		return;
	while ((found = readdir(dir)) != NULL)
		if (found->d_name[0] != '.' && strcmp(found->d_name, LOCK) != 0 &&
			strncmp(found->d_name, SW_LEDGER_OUTAGE, strlen(SW_LEDGER_OUTAGE)) != 0 &&
			!is_wanted(ledger, found->d_name, status_dir, registrations))
			unlinkat(dirfd(dir), found->d_name, 0);
	closedir(dir);
}
