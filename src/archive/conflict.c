#include "archive/conflict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "pg/timeline.h"

#define HISTORY_MAX (1024 * 1024)

/* --- the difference ------------------------------------------------------------------ */

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

/* What is there. */
struct theirs {
	struct sw_wal_summary summary;
	struct sw_wal_digest digest; /* of its content, read here */
	bool read;                   /* it was */
	uint64_t differs_at;         /* first byte that is not ours; UINT64_MAX: none */
};

static void
theirs_release(struct theirs *t)
{
	if (t->read)
		sw_wal_digest_release(&t->digest);
}

static void
free_digester(struct sw_wal_digester **digester)
{
	sw_wal_digester_free(*digester);
}

/* get -> decompress and verify -> WAL, if ours was read -> compare */
static sw_rc
look(const struct sw_push_file *file, struct sw_repository *repo, const char *object, struct theirs *t,
	struct sw_error *err)
{
	__attribute__((cleanup(free_digester))) struct sw_wal_digester *digester = NULL;
	/* behind it, so that it is released first: its thread may still be writing there */
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct compare_stage c = {
		.stage = {.write = compare_write, .finish = compare_finish},
		.fd = file->fd,
		.path = file->path,
		.differs_at = UINT64_MAX,
	};
	struct sw_wal_digester_params wal = sw_push_file_wal(file);
	struct sw_stage *first = &c.stage;
	sw_rc rc = SW_OK;

	if (file->summary.digest != NULL)
		rc = sw_wal_digester_new(&wal, first, &digester, err);
	if (rc == SW_OK && digester != NULL)
		first = sw_wal_digester_stage(digester);
	if (rc == SW_OK)
		rc = sw_object_reader_init(&reader, file->summary.name, first, err);
	if (rc == SW_OK)
		rc = sw_store_get(repo->store, object, 0, 0, &reader.stage, err);
	if (rc == SW_OK && digester != NULL)
		rc = sw_wal_digester_take(digester, &t->digest, err);
	if (rc != SW_OK)
		return rc;
	t->read = digester != NULL;
	t->summary = reader.summary;
	t->differs_at = c.differs_at;
	if (c.differs_at == UINT64_MAX && t->summary.size != file->summary.size)
		t->differs_at = t->summary.size < file->summary.size ? t->summary.size : file->summary.size;
	return SW_OK;
}

/* Where its WAL ends; 0: that cannot be told. */
static sw_lsn
wal_end(const struct sw_wal_digest *d, const struct sw_wal_summary *s)
{
	if (d->verdict == SW_WAL_ENDS_EARLY || (d->verdict == SW_WAL_COMPLETE && d->switched))
		return d->valid_to;
	return d->verdict == SW_WAL_COMPLETE ? s->end : 0; /* its last record goes on in the next segment */
}

/* The same WAL, and something else behind its end. */
static bool
same_wal(const struct sw_push_file *file, const struct theirs *t)
{
	sw_lsn ours, end;

	if (!t->read || file->summary.digest == NULL || t->summary.size != file->summary.size)
		return false;
	ours = wal_end(file->summary.digest, &file->summary);
	end = wal_end(&t->digest, &file->summary);
	return ours != 0 && ours == end && file->summary.start + t->differs_at >= end;
}

/* --- what becomes of ours --------------------------------------------------------------- */

static bool
is_unfinished(const struct sw_wal_digest *d)
{
	return d != NULL && d->verdict == SW_WAL_ENDS_EARLY && !d->switched;
}

static bool
may_lie_beside(const struct sw_push_file *file)
{
	return file->name.kind == SW_WAL_PARTIAL ||
		(file->name.kind == SW_WAL_SEGMENT && is_unfinished(file->summary.digest));
}

#define PLACE_LEN 64
static char *
place_of(const struct sw_push_file *file, uint64_t at, char buf[PLACE_LEN])
{
	char lsn[SW_LSN_LEN];

	if (file->summary.end != 0)
		snprintf(buf, PLACE_LEN, "LSN %s", sw_lsn_format(file->summary.start + at, lsn));
	else
		snprintf(buf, PLACE_LEN, "byte %" PRIu64, at);
	return buf;
}

static sw_rc
hint_unfinished(const struct sw_push_file *file, const struct theirs *t, const char *object, struct sw_error *err)
{
	bool prefix = file->summary.start + t->differs_at >= t->digest.valid_to;
	char lsn[SW_LSN_LEN];

	return sw_hint(err, "what is there is an unfinished copy, whose WAL ends at LSN %s%s; nothing was overwritten; if this "
		"server is the right one, move %s away (%s), and this file will be archived",
		sw_lsn_format(t->digest.valid_to, lsn), prefix ? " and is the same up to there" : "", object,
		prefix ? "nothing is lost with it" : "keep it: it differs");
}

static sw_rc
report_conflict(const struct sw_push_file *file, const struct theirs *t, const struct sw_repository *repo,
	const char *object, struct sw_error *err)
{
	const struct sw_wal_summary *ours = &file->summary;
	char place[PLACE_LEN];

	sw_fail(err, SW_CONFLICT, "%s is already in %s with other content, different from %s on; "
		"there from %s:%s, here from %s:%s", ours->name, sw_store_url(repo->store),
		place_of(file, t->differs_at, place), t->summary.host, t->summary.pgdata, ours->host, ours->pgdata);
	if (file->name.kind == SW_WAL_HISTORY)
		return sw_hint(err, "another server was promoted to this timeline first: make this one its standby again (pg_rewind), or "
			"give this one a cluster name of its own, run seawall init, and take a backup");
	if (t->read && is_unfinished(&t->digest))
		return hint_unfinished(file, t, object, err);
	return sw_hint(err, "nothing was overwritten; two servers archive as one cluster: stop one of them, "
		"or give it a cluster name of its own");
}

/* What has this name too has the same hash, so that a repeated push finds its own copy. */
static sw_rc
put_beside(const struct sw_push_file *file, const struct theirs *t, struct sw_repository *repo,
	struct sw_error *err)
{
	__attribute__((cleanup(theirs_release))) struct theirs beside = {0};
	struct sw_store_body body = sw_object_body(&file->object);
	char object[SW_STORE_NAME_MAX], hash[2 * SW_XXH3_LEN + 1], place[PLACE_LEN];
	const struct sw_wal_summary *ours = &file->summary;
	sw_rc rc;

	sw_repository_name(repo, object, "wal/%08X/%s.alt-%.8s.zst", ours->timeline, ours->name,
		sw_hex(ours->xxh3, SW_XXH3_LEN, hash));
	rc = sw_store_put(repo->store, object, &body, err);
	if (rc == SW_CONFLICT) {
		rc = look(file, repo, object, &beside, err);
		if (rc == SW_OK && beside.differs_at != UINT64_MAX)
			return report_conflict(file, &beside, repo, object, err);
	}
	if (rc != SW_OK)
		return sw_wrap(err, "putting it beside another copy, as %s", object);
	sw_log(SW_LOG_WARNING, "%s is already in %s with other content, different from %s on, from %s:%s; this one, %s, was put "
		"beside it as %s", ours->name, sw_store_url(repo->store), place_of(file, t->differs_at, place), t->summary.host,
		t->summary.pgdata, file->name.kind == SW_WAL_PARTIAL ? "the end of a timeline" : "an unfinished copy", object);
	return SW_OK;
}

sw_rc
sw_conflict_settle(const struct sw_push_file *file, struct sw_repository *repo, struct sw_error *err)
{
	__attribute__((cleanup(theirs_release))) struct theirs t = {0};
	char object[SW_STORE_NAME_MAX];
	sw_rc rc = look(file, repo, sw_repository_wal_name(repo, &file->name, object), &t, err);

	if (rc != SW_OK) {
		sw_wrap(err, "%s is already there; comparing with it", object);
		return rc == SW_NOT_FOUND ? sw_fail(err, SW_TRANSIENT, "%s came and went", object) : rc;
	}
	if (t.differs_at == UINT64_MAX)
		sw_log(SW_LOG_INFO, "%s was already archived in %s with the same content", file->summary.name,
			sw_store_url(repo->store));
	else if (same_wal(file, &t))
		sw_log(SW_LOG_INFO, "%s was already archived in %s with the same WAL, and other bytes behind its end",
			file->summary.name, sw_store_url(repo->store));
	else if (may_lie_beside(file))
		return put_beside(file, &t, repo, err);
	else
		return report_conflict(file, &t, repo, object, err);
	return SW_OK;
}

/* --- a history that leaves WAL behind ------------------------------------------------------ */

struct orphan {
	uint32_t segment_size;
	uint64_t last; /* the last segment of the parent that the history needs */
	char found[SW_WAL_NAME_MAX];
};

static sw_rc
find_orphan(void *ctx, const char *object, const struct sw_store_info *info, struct sw_error *err)
{
	struct orphan *orphan = ctx;
	struct sw_wal_name name;

	(void)info;
	(void)err;
	if (!sw_repository_parse_wal_name(object, orphan->segment_size, &name) || name.kind != SW_WAL_SEGMENT ||
		name.segment <= orphan->last)
		return SW_OK;
	sw_wal_name_format(&name, orphan->segment_size, orphan->found);
	return SW_CONFLICT;
}

static void
look_behind(const struct sw_push_file *history, struct sw_repository *repo, const struct sw_timeline_entry *parent)
{
	uint32_t segment_size = repo->reg.segment_size;
	struct orphan orphan = {.segment_size = segment_size, .last = (parent->end - 1) / segment_size};
	struct sw_wal_name last = {.kind = SW_WAL_SEGMENT, .timeline = parent->timeline, .segment = orphan.last};
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX], lsn[SW_LSN_LEN];
	struct sw_error err = SW_ERROR_INIT;

	if (sw_store_list(repo->store, sw_repository_name(repo, prefix, "wal/%08X/", parent->timeline),
		sw_repository_wal_name(repo, &last, after), find_orphan, &orphan, &err) != SW_OK || orphan.found[0] == '\0')
		return;
	sw_log(SW_LOG_WARNING, "timeline %u leaves timeline %u at LSN %s, but WAL of timeline %u beyond that is archived in %s, "
		"from %s on: it is not part of timeline %u; if another server still writes it, stop that; to recover what is in "
		"it, use --target-timeline=%u", history->name.timeline, parent->timeline, sw_lsn_format(parent->end, lsn),
		parent->timeline, sw_store_url(repo->store), orphan.found, history->name.timeline, parent->timeline);
}

void
sw_conflict_warn_orphans(const struct sw_push_file *history, struct sw_repository *repo)
{
	struct sw_timeline_history lines = {0};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF text;
	size_t got = 0;

	sw_buf_init(&text, HISTORY_MAX);
	if (history->identity.size > HISTORY_MAX || sw_buf_reserve(&text, history->identity.size, &err) != SW_OK ||
		sw_file_pread(history->fd, text.data, history->identity.size, 0, &got, history->path, &err) != SW_OK ||
		sw_timeline_history_parse(history->name.timeline, (char *)text.data, got, &lines, &err) != SW_OK)
		return;
	if (lines.count > 1 && lines.entries[lines.count - 2].end > 0)
		look_behind(history, repo, &lines.entries[lines.count - 2]);
	sw_timeline_history_release(&lines);
}
