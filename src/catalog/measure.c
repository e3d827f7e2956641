#include "catalog/measure.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define MEASURE_VERSION 1
#define MEASURE_MAX 16384 /* bytes of one */
#define KEPT 16           /* of the newest, that are read */
#define USED 5            /* that an estimate is made from */
#define LATELY_US (INT64_C(366) * 24 * 3600 * 1000000)
#define BYTES_MIN (1024 * 1024) /* less says nothing about a rate */

static void
host_name(char host[256])
{
	if (gethostname(host, 256) != 0)
		strcpy(host, "unknown");
	host[255] = '\0';
}

/* "20261120T113831Z", which sorts as the times do. */
static void
utc_name(int64_t time_us, char name[32])
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(name, 32, "%Y%m%dT%H%M%SZ", &tm);
}

sw_rc
sw_measure_put(struct sw_repository *repo, const struct sw_measure *m, struct sw_error *err)
{
	char host[256], finished[SW_CLOCK_ISO_LEN], utc[32], hex[9], name[SW_STORE_NAME_MAX];
	SW_AUTO_JSON *object = NULL;
	SW_AUTO_FREE char *text = NULL;
	struct sw_store_body body;
	uint8_t random[4];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return sw_fail(err, SW_SYSTEM, "no random numbers");
	host_name(host);
	utc_name(m->finished_us, utc);
	object = json_pack("{s:s, s:i, s:o, s:s, s:s, s:I, s:I, s:I}", "seawall", "restore", "version", MEASURE_VERSION,
		"host", sw_json_text(host), "label", m->label, "finished", sw_clock_iso(m->finished_us, finished),
		"bytes", (json_int_t)m->bytes, "elapsed_ms", (json_int_t)m->elapsed_ms, "workers", (json_int_t)m->workers);
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	sw_repository_name(repo, name, "restore/%s-%s.json", utc, sw_hex(random, sizeof(random), hex));
	body = sw_store_body_mem(text, strlen(text));
	return sw_store_put(repo->store, name, &body, err);
}

/* --- reading ------------------------------------------------------------------------------- */

struct newest {
	char names[KEPT][SW_STORE_NAME_MAX]; /* a ring; [count % KEPT] is the oldest */
	size_t count;
};

static sw_rc
keep_newest(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct newest *newest = ctx;

	(void)info;
	(void)err;
	snprintf(newest->names[newest->count++ % KEPT], SW_STORE_NAME_MAX, "%s", name);
	return SW_OK;
}

struct sums {
	unsigned count;
	double bytes, seconds;
};

static void
add(struct sums *sums, uint64_t bytes, uint64_t elapsed_ms)
{
	if (sums->count == USED)
		return;
	sums->count++;
	sums->bytes += (double)bytes;
	sums->seconds += (double)elapsed_ms / 1000;
}

static sw_rc
read_one(struct sw_repository *repo, const char *name, const char *host, struct sums *own, struct sums *all,
	struct sw_error *err)
{
	SW_AUTO_JSON *object = NULL;
	const char *by = NULL;
	uint64_t bytes = 0, elapsed_ms = 0;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, MEASURE_MAX);
	rc = sw_store_get_buf(repo->store, name, 0, 0, &buf, err);
	if (rc == SW_OK)
		rc = sw_json_parse(buf.data, buf.len, "restore", MEASURE_VERSION, &object, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "host", &by, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "bytes", (uint64_t)1 << 53, &bytes, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "elapsed_ms", (uint64_t)LATELY_US, &elapsed_ms, err);
	if (rc == SW_CORRUPT || rc == SW_NOT_FOUND || rc == SW_CONFIG)
		return SW_OK;
	if (rc != SW_OK || bytes < BYTES_MIN || elapsed_ms == 0)
		return rc;
	add(all, bytes, elapsed_ms);
	if (strcmp(by, host) == 0)
		add(own, bytes, elapsed_ms);
	return SW_OK;
}

sw_rc
sw_measure_read(struct sw_repository *repo, struct sw_measure_estimate *ret_estimate, struct sw_error *err)
{
	SW_AUTO_FREE struct newest *newest = calloc(1, sizeof(*newest));
	struct sums own = {0}, all = {0}, *sums;
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX], host[256], utc[32];
	sw_rc rc;

	if (newest == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	host_name(host);
	utc_name(sw_clock_now_us() - LATELY_US, utc);
	sw_repository_name(repo, prefix, "restore/");
	sw_repository_name(repo, after, "restore/%s", utc);
	rc = sw_store_list(repo->store, prefix, after, keep_newest, newest, err);
	for (size_t i = 0; rc == SW_OK && i < KEPT && i < newest->count; i++)
		rc = read_one(repo, newest->names[(newest->count - 1 - i) % KEPT], host, &own, &all, err);
	if (rc != SW_OK)
		return sw_wrap(err, "reading what earlier restores took");
	sums = own.count > 0 ? &own : &all;
	*ret_estimate = (struct sw_measure_estimate){
		.restores = sums->count,
		.same_host = own.count > 0,
		.bytes_per_s = sums->count > 0 ? sums->bytes / sums->seconds : 0,
	};
	return SW_OK;
}
