/*
 * make_wal_repo - fill a repository with WAL objects that have a summary and a segment of zeros: for what reads
 * summaries alone.
 *
 *   make_wal_repo [-n SEGMENTS] [-f FIRST] [-t TIMELINE] [-w WORKERS] [-H SEGMENT]...
 *
 * Repository and cluster are those of the configuration (SEAWALL_CONFIG, SEAWALL_REPO_URL and so on); the cluster
 * is registered if it is not.  What is made is the same each time: a minute, some hundred commits and a record
 * across its end for each segment; checkpoints, restore points, dropped tables here and there.  -H: a segment to
 * leave out.
 */
#include <endian.h>
#include <err.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "archive/object.h"
#include "archive/repository.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/pool.h"
#include "config/config.h"
#include "wal/digest.h"
#include "wal/page.h"

#define SYSTEM UINT64_C(7700000000000000001)
#define SEGMENT (16u << 20)
#define MINUTE INT64_C(60000000)
#define EPOCH INT64_C(1780000000000000) /* when segment 0 begins */
#define COMMITS 400
#define RECORD 300 /* bytes of the record across a border */
#define HEAD 120   /* of them in the first segment */
#define HOLES_MAX 64

struct maker {
	struct sw_repository repo;
	uint32_t timeline;
	uint64_t first, count;
	uint64_t holes[HOLES_MAX];
	size_t hole_count;
	atomic_uint_fast64_t next;
	void *frame;
	size_t frame_len;
	uint8_t xxh3[SW_XXH3_LEN];
};

static sw_lsn
last_record(uint64_t segment)
{
	return (segment + 1) * SEGMENT - 512;
}

static sw_lsn
head_record(uint64_t segment)
{
	return (segment + 1) * SEGMENT - HEAD;
}

static uint64_t
first_xid(uint64_t segment)
{
	return 1000 + segment * (COMMITS + 4);
}

/* An insertion into an index; it says nothing to a catalog. */
static void
make_record(uint64_t segment, uint8_t record[RECORD])
{
	uint32_t len = RECORD, data_len = RECORD - SW_WAL_RECORD_HEADER - 5, xid = (uint32_t)first_xid(segment), crc;
	sw_lsn prev = last_record(segment);

	memset(record, (int)(segment & 0xff), RECORD);
	memset(record, 0, SW_WAL_RECORD_HEADER);
	memcpy(record, &len, 4);
	memcpy(record + 4, &xid, 4);
	memcpy(record + 8, &prev, 8);
	record[17] = SW_RMGR_BTREE;
	record[SW_WAL_RECORD_HEADER] = 254; /* XLR_BLOCK_ID_DATA_LONG, access/xlogrecord.h */
	memcpy(record + SW_WAL_RECORD_HEADER + 1, &data_len, 4);
	crc = sw_wal_record_crc(sw_crc32c(0, record + SW_WAL_RECORD_HEADER, RECORD - SW_WAL_RECORD_HEADER), record);
	memcpy(record + 20, &crc, 4);
}

static struct sw_wal_fragment *
make_head(uint64_t segment, uint32_t timeline)
{
	struct sw_wal_fragment *f = calloc(1, sizeof(*f));
	uint8_t record[RECORD];

	if (f == NULL)
		errx(2, "out of memory");
	make_record(segment, record);
	*f = (struct sw_wal_fragment){
		.len = HEAD,
		.whole_len = RECORD,
		.lsn = head_record(segment),
		.timeline = timeline,
		.crc = sw_crc32c(0, record + SW_WAL_RECORD_HEADER, HEAD - SW_WAL_RECORD_HEADER),
		.bytes_len = HEAD,
	};
	memcpy(f->bytes, record, HEAD);
	return f;
}

static struct sw_wal_fragment *
make_tail(uint64_t segment)
{
	struct sw_wal_fragment *f = calloc(1, sizeof(*f));
	uint8_t record[RECORD];

	if (f == NULL)
		errx(2, "out of memory");
	make_record(segment - 1, record);
	*f = (struct sw_wal_fragment){
		.len = RECORD - HEAD,
		.whole_len = RECORD - HEAD,
		.crc = sw_crc32c(0, record + HEAD, RECORD - HEAD),
		.bytes_len = RECORD - HEAD,
	};
	memcpy(f->bytes, record + HEAD, RECORD - HEAD);
	return f;
}

static struct sw_wal_moment
moment(uint64_t segment, unsigned commit)
{
	return (struct sw_wal_moment){
		.time_us = EPOCH + (int64_t)segment * MINUTE + commit * (MINUTE / COMMITS),
		.lsn = segment * SEGMENT + 8192 + commit * (SEGMENT / COMMITS - 64),
		.xid = first_xid(segment) + commit,
		.xid_full = true,
	};
}

/* Twelve transactions with something to tell, as a server with some DDL and batch work has them. */
static void
add_acts(struct sw_wal_digest *d, uint64_t segment)
{
	size_t count = segment % 16 == 3 ? 12 : 1;

	d->acts = calloc(count, sizeof(*d->acts));
	if (d->acts == NULL)
		errx(2, "out of memory");
	for (unsigned i = 0; i < count; i++) {
		struct sw_wal_moment at = moment(segment, 10 + i);
		struct sw_wal_act *act = &d->acts[i];

		*act = (struct sw_wal_act){.xid = at.xid, .committed = true, .first = at.lsn - 4000, .lsn = at.lsn,
			.time_us = at.time_us, .database = 16384, .class_updates = 1};
		act->rows = calloc(1, sizeof(*act->rows));
		if (act->rows == NULL)
			errx(2, "out of memory");
		act->rows[act->rows_count++] = (struct sw_wal_rows){
			.relation = {.tablespace = 1663, .database = 16384, .filenode = 20000 + i},
			.updates = 120,
			.deletes = segment % 7,
			.first = at.lsn - 3000,
		};
		if (segment % 32 != 3)
			continue;
		act->dropped = calloc(1, sizeof(*act->dropped));
		if (act->dropped == NULL)
			errx(2, "out of memory");
		act->class_deletes = 1;
		act->dropped[act->dropped_count++] = (struct sw_wal_relation){
			.tablespace = 1663, .database = 16384, .filenode = 30000 + i};
	}
	d->act_count = count;
}

/* Behind the last minute of a long transaction, say: the lowest xids that ended. */
static void
add_ends(struct sw_wal_digest *d, uint64_t segment)
{
	d->ends = calloc(8, sizeof(*d->ends));
	if (d->ends == NULL)
		errx(2, "out of memory");
	for (unsigned i = 0; i < 8; i++) {
		struct sw_wal_moment at = moment(segment, i);

		d->ends[d->end_count++] = (struct sw_wal_end){.xid = at.xid, .committed = i != 3, .lsn = at.lsn,
			.time_us = at.time_us};
	}
	d->ends_below = d->ends[7].xid + 1;
}

static void
add_points(struct sw_wal_digest *d, uint64_t segment)
{
	struct sw_wal_moment at = moment(segment, 200);

	if (segment % 1440 == 700) {
		d->points = calloc(1, sizeof(*d->points));
		if (d->points == NULL)
			errx(2, "out of memory");
		d->points[0] = (struct sw_wal_point){.lsn = at.lsn + 1000, .end = at.lsn + 1104, .time_us = at.time_us + 5};
		snprintf(d->points[0].name, sizeof(d->points[0].name), "day_%" PRIu64, segment / 1440);
		d->point_count = 1;
	}
	if (segment % 5 == 0) {
		d->checkpoints = calloc(1, sizeof(*d->checkpoints));
		if (d->checkpoints == NULL)
			errx(2, "out of memory");
		d->checkpoints[0] = (struct sw_wal_checkpoint){.lsn = at.lsn + 2000, .redo = at.lsn - 9 * 8192,
			.timeline = d->last_timeline, .previous_timeline = d->last_timeline, .next_xid = at.xid + 3,
			.time_us = at.time_us + 9};
		d->checkpoint_count = 1;
	}
}

static struct sw_wal_digest
make_digest(const struct maker *m, uint64_t segment)
{
	struct sw_wal_digest d = {
		.verdict = SW_WAL_COMPLETE,
		.start = segment * SEGMENT,
		.valid_to = (segment + 1) * SEGMENT,
		.major = 15,
		.first_timeline = m->timeline,
		.last_timeline = m->timeline,
		.last_timeline_from = segment * SEGMENT,
		.first = segment * SEGMENT + SW_WAL_PAGE_LONG + sw_wal_record_align(RECORD - HEAD),
		.last = last_record(segment),
		.first_prev = segment > 0 ? head_record(segment - 1) : 0,
		.records = 120000,
		.commits = COMMITS - 4,
		.aborts = 4,
		.first_end = moment(segment, 0),
		.last_end = moment(segment, COMMITS - 1),
		.earliest = moment(segment, 0),
		.latest = moment(segment, COMMITS - 1),
		.xid_full = true,
		.xid_min = first_xid(segment),
		.xid_max = first_xid(segment) + COMMITS - 1,
		.xid_next = first_xid(segment) + COMMITS,
		.time_max_us = moment(segment, COMMITS - 1).time_us,
		.ends_below = UINT64_MAX,
		.tail = make_tail(segment),
		.head = make_head(segment, m->timeline),
	};

	add_acts(&d, segment);
	add_ends(&d, segment);
	add_points(&d, segment);
	return d;
}

/* The summary, doc/FORMAT.md, "A WAL object". */
static char *
make_summary(const struct maker *m, uint64_t segment)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = m->timeline, .segment = segment};
	struct sw_wal_digest digest = make_digest(m, segment);
	char file[SW_WAL_NAME_MAX], system_id[24], xxh3[2 * SW_XXH3_LEN + 1], start[SW_LSN_LEN], end[SW_LSN_LEN];
	SW_AUTO_JSON *object = NULL;
	char *text;

	snprintf(system_id, sizeof(system_id), "%" PRIu64, SYSTEM);
	object = json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:s, s:{s:s, s:s}, s:s, s:s, s:o}",
		"seawall", "wal", "version", 1, "name", sw_wal_name_format(&name, SEGMENT, file),
		"system_identifier", system_id, "timeline", (json_int_t)m->timeline,
		"segment_size", (json_int_t)SEGMENT, "size", (json_int_t)SEGMENT,
		"xxh3", sw_hex(m->xxh3, SW_XXH3_LEN, xxh3),
		"origin", "host", "bench", "pgdata", "/var/lib/postgresql/15/main",
		"start_lsn", sw_lsn_format(segment * SEGMENT, start),
		"end_lsn", sw_lsn_format((segment + 1) * SEGMENT, end),
		"wal", sw_wal_digest_json(&digest, SW_SUMMARY_MAX - 4096, true));
	sw_wal_digest_release(&digest);
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		errx(2, "out of memory");
	return text;
}

static sw_rc
put_segment(const struct maker *m, struct sw_store *store, uint64_t segment, struct sw_error *err)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = m->timeline, .segment = segment};
	char object[SW_STORE_NAME_MAX];
	SW_AUTO_FREE char *summary = make_summary(m, segment);
	uint32_t header[2] = {htole32(SW_SKIPPABLE_MAGIC), htole32((uint32_t)strlen(summary))};
	struct sw_store_body body;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 1 << 20);
	rc = sw_buf_append(&buf, header, sizeof(header), err);
	if (rc == SW_OK)
		rc = sw_buf_append(&buf, summary, strlen(summary), err);
	if (rc == SW_OK)
		rc = sw_buf_append(&buf, m->frame, m->frame_len, err);
	if (rc != SW_OK)
		return rc;
	body = sw_store_body_mem(buf.data, buf.len);
	return sw_store_put(store, sw_repository_wal_name(&m->repo, &name, object), &body, err);
}

static bool
is_hole(const struct maker *m, uint64_t segment)
{
	for (size_t i = 0; i < m->hole_count; i++)
		if (m->holes[i] == segment)
			return true;
	return false;
}

static sw_rc
work(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct maker *m = ctx;
	SW_AUTO_STORE *store = NULL;
	sw_rc rc = sw_store_clone(m->repo.store, &store, err);

	(void)worker;
	while (rc == SW_OK && !sw_pool_stopping(pool)) {
		uint64_t i = atomic_fetch_add(&m->next, 1);

		if (i >= m->count)
			break;
		if (!is_hole(m, m->first + i))
			rc = put_segment(m, store, m->first + i, err);
	}
	return rc;
}

static void
tell(void *ctx)
{
	const struct maker *m = ctx;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIuFAST64 " of %" PRIu64 " ", atomic_load(&m->next), m->count);
}

static void
make_frame(struct maker *m)
{
	void *zeros = calloc(1, SEGMENT);
	size_t bound = ZSTD_compressBound(SEGMENT);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	XXH128_canonical_t hash;

	m->frame = malloc(bound);
	if (zeros == NULL || m->frame == NULL || ctx == NULL)
		errx(2, "out of memory");
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	m->frame_len = ZSTD_compress2(ctx, m->frame, bound, zeros, SEGMENT);
	if (ZSTD_isError(m->frame_len))
		errx(2, "%s", ZSTD_getErrorName(m->frame_len));
	XXH128_canonicalFromHash(&hash, XXH3_128bits(zeros, SEGMENT));
	memcpy(m->xxh3, hash.digest, SW_XXH3_LEN);
	ZSTD_freeCCtx(ctx);
	free(zeros);
}

static sw_rc
open_repository(struct maker *m, const struct sw_config *config, struct sw_store *store, struct sw_error *err)
{
	struct sw_registration reg = {
		.system_identifier = SYSTEM,
		.major = 15,
		.segment_size = SEGMENT,
		.block_size = 8192,
		.wal_block_size = 8192,
		.traits = {.put_if_absent = true},
	};
	sw_rc rc = sw_repository_open(store, sw_config_cluster(config), SYSTEM, &m->repo, err);

	if (rc != SW_NOT_FOUND && rc != SW_CONFIG)
		return rc;
	rc = sw_repository_register(store, sw_config_cluster(config), &reg, err);
	return rc == SW_OK ? sw_repository_open(store, sw_config_cluster(config), SYSTEM, &m->repo, err) : rc;
}

static unsigned
read_arguments(int argc, char **argv, struct maker *m)
{
	unsigned workers = 8;
	int option;

	while ((option = getopt(argc, argv, "n:f:t:w:H:")) != -1)
		switch (option) {
		case 'n': m->count = strtoull(optarg, NULL, 0); break;
		case 'f': m->first = strtoull(optarg, NULL, 0); break;
		case 't': m->timeline = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'w': workers = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'H':
			if (m->hole_count < HOLES_MAX)
				m->holes[m->hole_count++] = strtoull(optarg, NULL, 0);
			break;
		default: errx(2, "usage: make_wal_repo [-n SEGMENTS] [-f FIRST] [-t TIMELINE] [-w WORKERS] [-H SEGMENT]...");
		}
	if (m->first == 0 || m->timeline == 0 || workers == 0 || optind != argc)
		errx(2, "SEGMENTS, FIRST, TIMELINE and WORKERS are positive numbers");
	return workers;
}

int
main(int argc, char **argv)
{
	static struct maker m = {.timeline = 1, .first = 1, .count = 65536};
	unsigned workers = read_arguments(argc, argv, &m);
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	SW_AUTO_STORE *store = NULL;
	sw_rc rc;

	sw_interrupt_catch();
	make_frame(&m);
	rc = sw_config_load(SW_CMD_LIST, 0, NULL, &config, &err);
	if (rc == SW_OK)
		rc = sw_config_need_repo(config, &err);
	if (rc == SW_OK)
		rc = sw_store_open(config, 0, &store, &err);
	if (rc == SW_OK)
		rc = open_repository(&m, config, store, &err);
	if (rc == SW_OK)
		rc = sw_pool_run(workers, work, tell, &m, &err);
	if (rc != SW_OK)
		warnx("%s; %s", err.text, err.hint);
	free(m.frame);
	sw_config_free(config);
	return rc == SW_OK ? 0 : 1;
}
