#include "archive/conflict.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"

struct compare_stage {
	struct sw_stage stage;
	int fd;
	const char *path;
	uint64_t at;
	uint64_t differs_at; /* UINT64_MAX: nowhere */
};

static sw_rc
compare_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct compare_stage *c = (struct compare_stage *)stage;
	const uint8_t *theirs = data;

	while (len > 0 && c->differs_at == UINT64_MAX) {
		uint8_t ours[65536];
		size_t n = len < sizeof(ours) ? len : sizeof(ours), got;
		sw_rc rc = sw_file_pread(c->fd, ours, n, (off_t)c->at, &got, c->path, err);

		if (rc != SW_OK)
			return rc;
		for (size_t i = 0; i < n && c->differs_at == UINT64_MAX; i++)
			if (i >= got || ours[i] != theirs[i])
				c->differs_at = c->at + i;
		theirs += n;
		len -= n;
		c->at += n;
	}
	return SW_OK;
}

static sw_rc
compare_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

static sw_rc
report_conflict(const struct sw_push_file *file, const struct sw_wal_summary *theirs, uint64_t at,
	const char *url, struct sw_error *err)
{
	const struct sw_wal_summary *ours = &file->summary;
	char where[64], lsn[SW_LSN_LEN];

	if (ours->end != 0)
		snprintf(where, sizeof(where), "LSN %s", sw_lsn_format(ours->start + at, lsn));
	else
		snprintf(where, sizeof(where), "byte %" PRIu64, at);
	sw_fail(err, SW_CONFLICT, "%s is already in %s with other content, different from %s on; "
		"there from %s:%s, here from %s:%s", ours->name, url, where, theirs->host,
		theirs->pgdata, ours->host, ours->pgdata);
	return sw_hint(err, file->name.kind == SW_WAL_HISTORY ?
		"another server was promoted to this timeline first: promote this one again, "
		"or give it a repository of its own" :
		"nothing was overwritten; two servers archive as one cluster: stop one of them, "
		"or give it a cluster name of its own");
}

sw_rc
sw_conflict_settle(const struct sw_push_file *file, struct sw_repository *repo, struct sw_error *err)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct compare_stage c = {
		.stage = {.write = compare_write, .finish = compare_finish},
		.fd = file->fd,
		.path = file->path,
		.differs_at = UINT64_MAX,
	};
	char name[SW_STORE_NAME_MAX];
	sw_rc rc = sw_object_reader_init(&reader, file->summary.name, &c.stage, err);

	sw_repository_wal_name(repo, &file->name, name);
	if (rc == SW_OK)
		rc = sw_store_get(repo->store, name, 0, 0, &reader.stage, err);
	if (rc != SW_OK) {
		sw_wrap(err, "%s is already there; comparing with it", name);
		return rc == SW_NOT_FOUND ? sw_fail(err, SW_TRANSIENT, "%s came and went", name) : rc;
	}
	if (c.differs_at == UINT64_MAX && reader.summary.size != file->summary.size)
		c.differs_at = reader.summary.size < file->summary.size ? reader.summary.size : file->summary.size;
	if (c.differs_at != UINT64_MAX)
		return report_conflict(file, &reader.summary, c.differs_at, sw_store_url(repo->store), err);
	sw_log(SW_LOG_INFO, "%s was already archived in %s with the same content", file->summary.name,
		sw_store_url(repo->store));
	return SW_OK;
}
