#include "archive/outage.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"

#define REST_MIN_US (INT64_C(30) * 1000000)
#define REST_MAX_US (INT64_C(300) * 1000000)

struct note {
	char magic[8];
	uint8_t config[SW_LEDGER_HASH_LEN];
	uint64_t repo;
	struct sw_outage outage;
	uint64_t checksum; /* XXH3 of what stands before */
};
_Static_assert(sizeof(struct note) == 464, "no padding, which would be hashed");
static const char magic[8] = {'S', 'W', 'D', 'O', 'W', 'N', '0', '1'};

static uint64_t
checksum_of(const struct note *note)
{
	return XXH3_64bits(note, offsetof(struct note, checksum));
}

static char *
path_of(const struct sw_ledger *ledger, unsigned repo, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/" SW_LEDGER_OUTAGE "%u%s", ledger->dir, repo, suffix) < 0 ? NULL : path;
}

bool
sw_outage_read(const struct sw_ledger *ledger, unsigned repo, struct sw_outage *ret_outage)
{
	SW_AUTO_FREE char *path = path_of(ledger, repo, "");
	SW_AUTO_FD fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct note note;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		st.st_size != sizeof(note) || read(fd, &note, sizeof(note)) != sizeof(note) ||
		note.checksum != checksum_of(&note) || memcmp(note.magic, magic, sizeof(magic)) != 0 || note.repo != repo ||
		memcmp(note.config, ledger->config, sizeof(note.config)) != 0 || note.outage.since_us <= 0)
		return false;
	note.outage.reason[sizeof(note.outage.reason) - 1] = '\0';
	*ret_outage = note.outage;
	return true;
}

sw_rc
sw_outage_write(const struct sw_ledger *ledger, unsigned repo, const struct sw_outage *outage, struct sw_error *err)
{
	SW_AUTO_FREE char *path = path_of(ledger, repo, "");
	SW_AUTO_FREE char *temporary = NULL;
	SW_AUTO_FD fd = -1;
	struct note note;
	sw_rc rc;

	/* who archives without the ledger's lock may write at the same time */
	if (path == NULL || asprintf(&temporary, "%s.%d", path, (int)getpid()) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_ledger_make(ledger, err);
	if (rc != SW_OK)
		return rc;
	memset(&note, 0, sizeof(note));
	memcpy(note.magic, magic, sizeof(magic));
	memcpy(note.config, ledger->config, sizeof(note.config));
	note.repo = repo;
	note.outage = *outage;
	note.checksum = checksum_of(&note);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sw_fail_errno(err, "creating %s", temporary);
	rc = sw_file_write_all(fd, &note, sizeof(note), temporary, err);
	if (rc == SW_OK && rename(temporary, path) != 0)
		rc = sw_fail_errno(err, "renaming %s to %s", temporary, path);
	if (rc != SW_OK)
		unlink(temporary);
	return rc;
}

void
sw_outage_remove(const struct sw_ledger *ledger, unsigned repo)
{
	SW_AUTO_FREE char *path = path_of(ledger, repo, "");

	if (path != NULL)
		unlink(path);
}

void
sw_outage_prolong(struct sw_outage *outage, const char *reason)
{
	int64_t now = sw_clock_now_us(), rest;

	if (outage->since_us == 0 || outage->since_us > now)
		outage->since_us = now;
	rest = now - outage->since_us;
	outage->tried_us = now;
	outage->next_us = now + (rest < REST_MIN_US ? REST_MIN_US : rest > REST_MAX_US ? REST_MAX_US : rest);
	snprintf(outage->reason, sizeof(outage->reason), "%s", reason);
}

bool
sw_outage_rests(const struct sw_outage *outage)
{
	int64_t now = sw_clock_now_us();

	return outage->since_us != 0 && now >= outage->tried_us && now < outage->next_us &&
		outage->next_us - outage->tried_us <= REST_MAX_US;
}
