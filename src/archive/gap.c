#include "archive/gap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"

#define RECORD_VERSION 1
#define SECOND INT64_C(1000000)
#define SEGMENT_LEN 24
#define UTC_LEN 16 /* 20261120T113831Z */

/* --- the name ------------------------------------------------------------------------ */

static const char *
segment_name(uint32_t timeline, uint64_t segment, uint32_t segment_size, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, segment_size, buf);
}

char *
sw_gap_name_format(const struct sw_gap *gap, uint32_t segment_size, char buf[SW_GAP_NAME_MAX])
{
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX], utc[UTC_LEN + 1] = "", hash[2 * sizeof(gap->hash) + 1];
	time_t seconds = (time_t)(gap->time_us / SECOND);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(utc, sizeof(utc), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(buf, SW_GAP_NAME_MAX, "%s-%s-%s-%s.json", segment_name(gap->timeline, gap->first, segment_size, first),
		segment_name(gap->timeline, gap->last, segment_size, last), utc, sw_hex(gap->hash, sizeof(gap->hash), hash));
	return buf;
}

/* One segment's name at the start of the text. */
static bool
take_segment(const char *text, uint32_t segment_size, uint32_t *ret_timeline, uint64_t *ret_segment)
{
	char name[SEGMENT_LEN + 1];
	struct sw_wal_name parsed;

	snprintf(name, sizeof(name), "%s", text);
	if (!sw_wal_name_parse(name, segment_size, &parsed) || parsed.kind != SW_WAL_SEGMENT)
		return false;
	*ret_timeline = parsed.timeline;
	*ret_segment = parsed.segment;
	return true;
}

static bool
take_time(const char *text, int64_t *ret_us)
{
	char iso[SW_CLOCK_ISO_LEN];

	snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s.000000Z", text, text + 4, text + 6, text + 9, text + 11,
		text + 13);
	return sw_clock_parse_iso(iso, ret_us) && *ret_us > 0;
}

bool
sw_gap_name_parse(const char *name, uint32_t segment_size, struct sw_gap *ret_gap)
{
	const size_t last = SEGMENT_LEN + 1, utc = last + SEGMENT_LEN + 1, hash = utc + UTC_LEN + 1;
	char canonical[SW_GAP_NAME_MAX], digits[2 * sizeof(ret_gap->hash) + 1];
	struct sw_gap gap = {0};
	uint32_t timeline;

	if (strlen(name) != hash + 2 * sizeof(gap.hash) + strlen(".json"))
		return false;
	snprintf(digits, sizeof(digits), "%s", name + hash);
	if (!take_segment(name, segment_size, &gap.timeline, &gap.first) ||
		!take_segment(name + last, segment_size, &timeline, &gap.last) || timeline != gap.timeline ||
		gap.last < gap.first || !take_time(name + utc, &gap.time_us) || !sw_unhex(digits, gap.hash, sizeof(gap.hash)))
		return false;
	/* each record has one name */
	if (strcmp(sw_gap_name_format(&gap, segment_size, canonical), name) != 0)
		return false;
	*ret_gap = gap;
	return true;
}

char *
sw_gap_text(int64_t time_us, char buf[SW_GAP_TEXT_LEN])
{
	char time[SW_CLOCK_ISO_LEN];

	sw_clock_iso(time_us, time);
	snprintf(buf, SW_GAP_TEXT_LEN, "dropped on purpose by push-queue-max at %.10s %.8sZ", time, time + 11);
	return buf;
}

/* --- the bytes ---------------------------------------------------------------------------- */

static void
hash_bytes(const void *data, size_t len, uint8_t ret_hash[4])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
	memcpy(ret_hash, canonical.digest, 4);
}

sw_rc
sw_gap_encode(struct sw_gap_record *record, struct sw_buf *buf, struct sw_error *err)
{
	struct sw_gap *gap = &record->gap;
	char id[24], first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX], time[SW_CLOCK_ISO_LEN];
	SW_AUTO_JSON *object = NULL;
	SW_AUTO_FREE char *text = NULL;
	sw_rc rc;

	gap->time_us -= gap->time_us % SECOND;
	snprintf(id, sizeof(id), "%" PRIu64, record->system_identifier);
	object = json_pack("{s:s, s:i, s:s, s:I, s:I, s:s, s:s, s:s, s:{s:o, s:o}, s:o, s:I, s:I}", "seawall", "gap",
		"version", RECORD_VERSION, "system_identifier", id, "timeline", (json_int_t)gap->timeline,
		"segment_size", (json_int_t)record->segment_size,
		"first", segment_name(gap->timeline, gap->first, record->segment_size, first),
		"last", segment_name(gap->timeline, gap->last, record->segment_size, last),
		"time", sw_clock_iso(gap->time_us, time), "origin", "host", sw_json_text(record->host),
		"pgdata", sw_json_text(record->pgdata), "why", sw_json_text(record->why),
		"queue", (json_int_t)record->queue, "queue_max", (json_int_t)record->queue_max);
	text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	sw_buf_reset(buf);
	rc = sw_buf_printf(buf, err, "%s\n", text);
	if (rc == SW_OK)
		hash_bytes(buf->data, buf->len, gap->hash);
	return rc;
}

/* The same as in the name. */
static sw_rc
check_segment(const json_t *object, const char *key, uint32_t timeline, uint64_t segment, uint32_t segment_size,
	struct sw_error *err)
{
	char name[SW_WAL_NAME_MAX];
	const char *text;
	sw_rc rc = sw_json_string(object, key, &text, err);

	if (rc == SW_OK && strcmp(text, segment_name(timeline, segment, segment_size, name)) != 0)
		rc = sw_fail(err, SW_CORRUPT, "its \"%s\" is not that of its name", key);
	return rc;
}

static sw_rc
read_told(const json_t *object, const char *key, char *ret_text, size_t size, struct sw_error *err)
{
	const char *text;
	sw_rc rc = sw_json_string(object, key, &text, err);

	if (rc == SW_OK)
		snprintf(ret_text, size, "%s", text);
	return rc;
}

static sw_rc
read_record(const json_t *object, struct sw_gap_record *r, struct sw_error *err)
{
	const struct sw_gap *gap = &r->gap;
	const json_t *origin = json_object_get(object, "origin");
	uint64_t id = 0, timeline = 0, size = 0;
	const char *time = NULL;
	int64_t time_us = 0;
	sw_rc rc = sw_json_u64_text(object, "system_identifier", &id, err);

	if (rc == SW_OK)
		rc = sw_json_u64(object, "timeline", UINT32_MAX, &timeline, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "segment_size", UINT32_MAX, &size, err);
	if (rc == SW_OK && (id != r->system_identifier || timeline != gap->timeline || size != r->segment_size))
		rc = sw_fail(err, SW_CORRUPT, "is of another cluster or timeline");
	if (rc == SW_OK)
		rc = check_segment(object, "first", gap->timeline, gap->first, r->segment_size, err);
	if (rc == SW_OK)
		rc = check_segment(object, "last", gap->timeline, gap->last, r->segment_size, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "time", &time, err);
	if (rc == SW_OK && (!sw_clock_parse_iso(time, &time_us) || time_us != gap->time_us))
		rc = sw_fail(err, SW_CORRUPT, "its \"time\" is not that of its name");
	if (rc == SW_OK)
		rc = read_told(origin, "host", r->host, sizeof(r->host), err);
	if (rc == SW_OK)
		rc = read_told(origin, "pgdata", r->pgdata, sizeof(r->pgdata), err);
	if (rc == SW_OK)
		rc = read_told(object, "why", r->why, sizeof(r->why), err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "queue", INT64_MAX, &r->queue, err);
	return rc == SW_OK ? sw_json_u64(object, "queue_max", INT64_MAX, &r->queue_max, err) : rc;
}

sw_rc
sw_gap_decode(const struct sw_gap *gap, uint64_t system_identifier, uint32_t segment_size, const void *data, size_t len,
	struct sw_gap_record *ret_record, struct sw_error *err)
{
	struct sw_gap_record record = {.gap = *gap, .system_identifier = system_identifier, .segment_size = segment_size};
	SW_AUTO_JSON *object = NULL;
	uint8_t hash[sizeof(gap->hash)];
	sw_rc rc;

	hash_bytes(data, len, hash);
	if (memcmp(hash, gap->hash, sizeof(hash)) != 0)
		return sw_fail(err, SW_CORRUPT, "does not have the hash of its name");
	rc = sw_json_parse(data, len, "gap", RECORD_VERSION, &object, err);
	if (rc == SW_OK)
		rc = read_record(object, &record, err);
	if (rc == SW_OK)
		*ret_record = record;
	return rc;
}

/* --- in a repository ----------------------------------------------------------------------- */

struct listing {
	uint32_t segment_size;
	size_t count;
	sw_gap_each each;
	void *ctx;
};

static sw_rc
give(struct listing *l, const char *name, struct sw_error *err)
{
	struct sw_gap gap;

	if (!sw_gap_name_parse(name, l->segment_size, &gap))
		return SW_OK;
	if (l->count++ >= SW_GAPS_MAX)
		return sw_fail(err, SW_SYSTEM, "more than %d records of dropped WAL", SW_GAPS_MAX);
	return l->each(l->ctx, &gap, err);
}

static sw_rc
give_object(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	const char *slash = strrchr(name, '/');

	(void)info;
	return give(ctx, slash == NULL ? name : slash + 1, err);
}

sw_rc
sw_gap_list(struct sw_repository *repo, uint32_t timeline, sw_gap_each each, void *ctx, struct sw_error *err)
{
	struct listing list = {.segment_size = repo->reg.segment_size, .each = each, .ctx = ctx};
	char prefix[SW_STORE_NAME_MAX];
	sw_rc rc;

	if (timeline == 0)
		sw_repository_name(repo, prefix, "gaps/");
	else
		sw_repository_name(repo, prefix, "gaps/%08X", timeline);
	rc = sw_store_list(repo->store, prefix, NULL, give_object, &list, err);
	return rc == SW_OK ? rc : sw_wrap(err, "listing what was dropped in %s", sw_store_url(repo->store));
}

struct search {
	uint32_t timeline;
	uint64_t segment;
	bool found;
	struct sw_gap gap;
};

static sw_rc
look(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	struct search *s = ctx;

	(void)err;
	if (gap->timeline != s->timeline || s->segment < gap->first || s->segment > gap->last)
		return SW_OK;
	s->found = true;
	s->gap = *gap;
	return SW_CONFLICT;
}

static sw_rc
answer(const struct search *s, struct sw_gap *ret_gap, struct sw_error *err)
{
	if (!s->found)
		return sw_fail(err, SW_NOT_FOUND, "no record speaks of the segment");
	*ret_gap = s->gap;
	return SW_OK;
}

sw_rc
sw_gap_find(struct sw_repository *repo, uint32_t timeline, uint64_t segment, struct sw_gap *ret_gap, struct sw_error *err)
{
	struct search s = {.timeline = timeline, .segment = segment};
	sw_rc rc = sw_gap_list(repo, timeline, look, &s, err);

	return rc == SW_OK ? answer(&s, ret_gap, err) : rc;
}

sw_rc
sw_gap_get(struct sw_repository *repo, const struct sw_gap *gap, struct sw_gap_record *ret_record, struct sw_error *err)
{
	char name[SW_GAP_NAME_MAX], object[SW_STORE_NAME_MAX];
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_GAP_MAX);
	sw_repository_name(repo, object, "gaps/%s", sw_gap_name_format(gap, repo->reg.segment_size, name));
	rc = sw_store_get_buf(repo->store, object, 0, 0, &buf, err);
	if (rc == SW_OK)
		rc = sw_gap_decode(gap, repo->reg.system_identifier, repo->reg.segment_size, buf.data, buf.len, ret_record, err);
	return rc == SW_OK ? rc : sw_wrap(err, "%s in %s", object, sw_store_url(repo->store));
}

/* --- on the server's machine ------------------------------------------------------------------ */

char *
sw_gap_dir(const struct sw_config *config, const char *pg_wal, uint64_t system_identifier)
{
	const char *spool = sw_config_string(config, SW_OPT_PUSH_SPOOL);
	char *dir;
	int done;

	if (spool != NULL)
		done = asprintf(&dir, "%s/gaps/%" PRIu64, spool, system_identifier);
	else
		done = asprintf(&dir, "%s/seawall.spool/gaps/%" PRIu64, pg_wal, system_identifier);
	return done < 0 ? NULL : dir;
}

char *
sw_gap_dir_of(const struct sw_config *config, const char *pgdata, uint64_t system_identifier)
{
	SW_AUTO_FREE char *pg_wal = NULL;

	return asprintf(&pg_wal, "%s/pg_wal", pgdata) < 0 ? NULL : sw_gap_dir(config, pg_wal, system_identifier);
}

sw_rc
sw_gap_list_local(const char *dir, uint32_t segment_size, sw_gap_each each, void *ctx, struct sw_error *err)
{
	struct listing list = {.segment_size = segment_size, .each = each, .ctx = ctx};
	DIR *open_dir = opendir(dir);
	const struct dirent *found;
	sw_rc rc = SW_OK;

	if (open_dir == NULL)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "opening %s", dir);
	while (rc == SW_OK && (found = readdir(open_dir)) != NULL)
		rc = give(&list, found->d_name, err);
	closedir(open_dir);
	return rc == SW_CONFLICT ? SW_OK : rc;
}

sw_rc
sw_gap_read_local(const char *dir, const struct sw_gap *gap, uint64_t system_identifier, uint32_t segment_size,
	struct sw_buf *ret_bytes, struct sw_gap_record *ret_record, struct sw_error *err)
{
	char name[SW_GAP_NAME_MAX];
	SW_AUTO_FREE char *path = NULL;
	struct stat st;
	sw_rc rc;

	sw_buf_init(ret_bytes, 0);
	if (asprintf(&path, "%s/%s", dir, sw_gap_name_format(gap, segment_size, name)) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (lstat(path, &st) != 0)
		return sw_fail_errno(err, "stat of %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return sw_fail(err, SW_CORRUPT, "%s is no file of the user who runs this", path);
	rc = sw_file_read(path, SW_GAP_MAX, ret_bytes, err);
	if (rc == SW_OK)
		rc = sw_gap_decode(gap, system_identifier, segment_size, ret_bytes->data, ret_bytes->len, ret_record, err);
	return rc == SW_CORRUPT ? sw_wrap(err, "%s", path) : rc;
}

sw_rc
sw_gap_find_local(const char *dir, uint32_t segment_size, uint32_t timeline, uint64_t segment, struct sw_gap *ret_gap,
	struct sw_error *err)
{
	struct search s = {.timeline = timeline, .segment = segment};
	sw_rc rc = sw_gap_list_local(dir, segment_size, look, &s, err);

	return rc == SW_OK ? answer(&s, ret_gap, err) : rc;
}
