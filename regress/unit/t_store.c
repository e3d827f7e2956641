/*
 * The conformance suite of the stores: one table of checks, run on each target.
 *
 * A directory always; an S3 bucket if SEAWALL_TEST_S3_ENDPOINT and its companions are
 * set (regress/t/010_store.t), which also says what kind of bucket it is.
 */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/posix.h"
#include "store/retry.h"
#include "store/s3.h"

#define BIG ((size_t)8 * 1024 * 1024 + 3)

struct target {
	const char *label;
	struct sw_store *store;
	struct sw_store *missing; /* a bucket or root that is not there */
	const char *root;         /* posix only */
	bool enforces, versioned, locks;
};

static char *
pattern(size_t len, unsigned seed)
{
	char *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (char)((i * 31 + i / 251 + seed) & 0xff);
	p[len] = '\0';
	return p;
}

static sw_rc
put_text(struct sw_store *store, const char *name, const char *text, struct sw_error *err)
{
	struct sw_store_body body = sw_store_body_mem(text, strlen(text));

	return sw_store_put(store, name, &body, err);
}

/* "kind: text" of a result, for tap_is. */
static const char *
kind(sw_rc rc, const struct sw_error *err)
{
	if (rc != SW_OK)
		tap_note("%s%s%s", err->text, err->hint[0] != '\0' ? " -- " : "", err->hint);
	return sw_rc_name(rc);
}

static bool
holds(struct sw_store *store, const char *name, const void *want, size_t len)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 2 * BIG);
	rc = sw_store_get_buf(store, name, 0, 0, &buf, &err);
	if (rc != SW_OK)
		tap_note("%s", err.text);
	return rc == SW_OK && buf.len == len && memcmp(buf.data, want, len) == 0;
}

/* --- checks ---------------------------------------------------------------------- */

static void
check_round_trip(struct target *t)
{
	static const size_t sizes[] = {0, 1, 4096, 65537, BIG};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		SW_AUTO_FREE char *data = pattern(sizes[i], (unsigned)i);
		struct sw_store_body body = sw_store_body_mem(data, sizes[i]);
		struct sw_error err = SW_ERROR_INIT;
		struct sw_store_info info = {0};
		char name[64];

		snprintf(name, sizeof(name), "rt/size-%zu", sizes[i]);
		tap_is(kind(sw_store_put(t->store, name, &body, &err), &err), "ok",
			"%s: an object of %zu bytes is stored", t->label, sizes[i]);
		tap_ok(holds(t->store, name, data, sizes[i]), "%s: and comes back", t->label);
		tap_is(kind(sw_store_head(t->store, name, &info, &err), &err), "ok", "%s: head", t->label);
		tap_is_int((long long)info.size, (long long)sizes[i], "%s: head gives its size", t->label);
		tap_ok(llabs(info.modified_us - sw_clock_now_us()) < 600000000LL,
			"%s: head gives its time", t->label);
	}
}

static void
check_from_fd(struct target *t)
{
	SW_AUTO_FREE char *data = pattern(BIG, 7);
	struct sw_store_body body = sw_store_body_mem(data, BIG);
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_FD fd = -1;

	if (sw_file_open_unlinked(sw_file_tmp_dir(), &fd, &err) != SW_OK ||
		sw_file_write_all(fd, data, BIG, "temp", &err) != SW_OK) {
		tap_ok(false, "%s: temporary file: %s", t->label, err.text);
		return;
	}
	body.data = NULL;
	body.fd = fd;
	tap_is(kind(sw_store_put(t->store, "fd/a", &body, &err), &err), "ok",
		"%s: a body from a descriptor is stored", t->label);
	tap_ok(holds(t->store, "fd/a", data, BIG), "%s: and comes back", t->label);
	if (ftruncate(fd, BIG - 1) != 0)
		tap_note("ftruncate failed");
	tap_is(kind(sw_store_put(t->store, "fd/short", &body, &err), &err), "corrupt",
		"%s: a body that shrinks is refused", t->label);
	tap_ok(sw_store_head(t->store, "fd/short", &(struct sw_store_info){0}, &err) == SW_NOT_FOUND,
		"%s: and nothing is stored", t->label);
}

static void
check_spool(struct target *t)
{
	static const size_t limits[] = {1000000, 1000};
	SW_AUTO_FREE char *data = pattern(100000, 3);
	struct sw_error err = SW_ERROR_INIT;

	for (int i = 0; i < 2; i++) {
		struct sw_stage_spool spool;
		uint8_t sha256[SW_SHA256_LEN];
		struct sw_store_body body;
		char name[32];

		snprintf(name, sizeof(name), "spool/%d", i);
		sw_sha256(data, 100000, sha256);
		sw_stage_spool_init(&spool, limits[i]);
		if (sw_stage_write(&spool.stage, data, 60000, &err) == SW_OK &&
			sw_stage_write(&spool.stage, data + 60000, 40000, &err) == SW_OK)
			sw_stage_finish(&spool.stage, &err);
		body = sw_store_body_spool(&spool, sha256);
		tap_is(kind(sw_store_put(t->store, name, &body, &err), &err), "ok", "%s: a spool %s is stored",
			t->label, i == 0 ? "in memory" : "in a file");
		sw_stage_spool_release(&spool);
		tap_ok(holds(t->store, name, data, 100000), "%s: and comes back", t->label);
	}
}

static void
check_wrong_digest(struct target *t)
{
	struct sw_store_body body = sw_store_body_mem("damaged", 7);
	struct sw_error err = SW_ERROR_INIT;

	body.sha256[5] ^= 1;
	tap_ok(sw_store_put(t->store, "damaged/a", &body, &err) != SW_OK,
		"%s: a body that does not match its SHA-256 is refused: %s", t->label, err.text);
	tap_is(sw_rc_name(sw_store_head(t->store, "damaged/a", &(struct sw_store_info){0}, &err)),
		"not found", "%s: and nothing is stored", t->label);
}

static void
check_twice(struct target *t)
{
	struct sw_error err = SW_ERROR_INIT;

	tap_is(kind(put_text(t->store, "twice/a", "the first", &err), &err), "ok", "%s: put", t->label);
	tap_is(kind(put_text(t->store, "twice/a", "the first", &err), &err), "ok",
		"%s: the same again is success", t->label);
	tap_is(kind(put_text(t->store, "twice/a", "an other", &err), &err), "conflict",
		"%s: another content is a conflict", t->label);
	tap_is(kind(put_text(t->store, "twice/a", "the frst!", &err), &err), "conflict",
		"%s: of the same length too", t->label);
	tap_ok(holds(t->store, "twice/a", "the first", 9), "%s: the first content is still there", t->label);
}

static void
check_ranges(struct target *t)
{
	static const struct {
		uint64_t offset, len;
		const char *want; /* NULL: SW_CORRUPT */
	} cases[] = {
		{0, 0, "0123456789"}, {0, 10, "0123456789"}, {0, 1, "0"}, {9, 1, "9"}, {3, 4, "3456"},
		{3, 0, "3456789"}, {9, 0, "9"}, {10, 0, NULL}, {0, 11, NULL}, {9, 2, NULL}, {10, 1, NULL},
		{1000, 0, NULL}, {5, UINT64_MAX, NULL}, {UINT64_MAX, 1, NULL}, {UINT64_MAX - 1, 1, NULL},
		{1, UINT64_MAX - 1, NULL}, {0, SW_STORE_UP_TO(4), "0123"}, {0, SW_STORE_UP_TO(10), "0123456789"},
		{0, SW_STORE_UP_TO(11), "0123456789"}, {8, SW_STORE_UP_TO(100), "89"}, {10, SW_STORE_UP_TO(5), NULL},
		{11, SW_STORE_UP_TO(5), NULL},
	};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	put_text(t->store, "range/ten", "0123456789", &err);
	put_text(t->store, "range/none", "", &err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sw_rc rc = sw_store_get_buf(t->store, "range/ten", cases[i].offset, cases[i].len, &buf, &err);

		if (cases[i].want == NULL)
			tap_is(kind(rc, &err), "corrupt", "%s: no range %llu+%llu", t->label,
				(unsigned long long)cases[i].offset, (unsigned long long)cases[i].len);
		else
			tap_is(rc == SW_OK ? (const char *)buf.data : kind(rc, &err), cases[i].want,
				"%s: range %llu+%llu", t->label, (unsigned long long)cases[i].offset,
				(unsigned long long)cases[i].len);
	}
	tap_is(kind(sw_store_get_buf(t->store, "range/none", 0, 1, &buf, &err), &err), "corrupt",
		"%s: no range of an empty object", t->label);
}

static void
check_sink_limit(struct target *t)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 9);
	tap_is(kind(sw_store_get_buf(t->store, "range/ten", 0, 0, &buf, &err), &err), "corrupt",
		"%s: a sink that refuses ends the get with its own result", t->label);
	tap_ok(holds(t->store, "range/ten", "0123456789", 10), "%s: and the handle still works", t->label);
}

static void
check_absent(struct target *t)
{
	const char *gone = t->root != NULL ? "system" : "configuration";
	struct sw_store_info info = {0};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	tap_is(kind(sw_store_get_buf(t->store, "no/such", 0, 0, &buf, &err), &err), "not found",
		"%s: get of a missing object", t->label);
	tap_is(kind(sw_store_get_buf(t->store, "no/such", 5, 7, &buf, &err), &err), "not found",
		"%s: a range of a missing object", t->label);
	tap_is(kind(sw_store_head(t->store, "no/such", &info, &err), &err), "not found",
		"%s: head of a missing object", t->label);
	tap_is(kind(sw_store_get_buf(t->store, "twice/a/b", 0, 0, &buf, &err), &err), "not found",
		"%s: a name below an object", t->label);
	tap_is(kind(sw_store_get_buf(t->store, "twice", 0, 0, &buf, &err), &err), "not found",
		"%s: a name that only others begin with", t->label);
	tap_is(kind(sw_store_get_buf(t->missing, "a", 0, 0, &buf, &err), &err), gone,
		"%s: get without the root or bucket is not \"not found\"", t->label);
	tap_is(kind(sw_store_head(t->missing, "a", &info, &err), &err), gone,
		"%s: nor is head", t->label);
	tap_ok(err.hint[0] != '\0', "%s: there is a hint", t->label);
	tap_is(kind(sw_store_list(t->missing, "", NULL, NULL, NULL, &err), &err), gone,
		"%s: nor is list an empty one", t->label);
	tap_is(kind(sw_store_delete(t->missing, &(const char *){"a"}, 1, &err), &err), gone,
		"%s: nor is delete success", t->label);
	tap_is(kind(put_text(t->missing, "a", "x", &err), &err), gone,
		"%s: nor is put", t->label);
}

static void
check_names(struct target *t)
{
	char longest[SW_STORE_NAME_MAX + 2];
	struct sw_error err = SW_ERROR_INIT;
	const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "./a", "a b",
		"a\nb", "a%2fb", "a\\b", "\xc3\xa4", "a~", "a:b", longest};
	const char *const good[] = {"chars/A-Z.a_z", "chars/...", "chars/.hidden", "chars/-", "chars/_", "chars/..a",
		"chars/a..", "chars/0/1/2/3/4/5/6/7/8/9", longest};

	memset(longest, 'x', sizeof(longest));
	longest[SW_STORE_NAME_MAX + 1] = '\0';
	for (size_t i = 100; i < sizeof(longest) - 2; i += 100)
		longest[i] = '/';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_is(sw_rc_name(put_text(t->store, bad[i], "x", &err)), "bug", "%s: bad name %zu: %.40s", t->label,
			i, bad[i][0] == 'a' && bad[i][1] == '\n' ? "with a newline" : bad[i]);
	longest[SW_STORE_NAME_MAX - 10] = '\0'; /* the bucket's key has a prefix, and 1,024 bytes in all */
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		tap_is(kind(put_text(t->store, good[i], good[i], &err), &err), "ok", "%s: name %.60s", t->label,
			good[i]);
		tap_ok(holds(t->store, good[i], good[i], strlen(good[i])), "%s: and it comes back", t->label);
	}
}

/* --- racing puts --- */

#define RACERS 8

struct racer {
	pthread_t thread;
	pthread_barrier_t *barrier;
	struct sw_store *store;
	char text[32];
	sw_rc rc;
	struct sw_error err;
};

static void *
race(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->barrier);
	r->rc = put_text(r->store, "race/a", r->text, &r->err);
	return NULL;
}

static void
check_race(struct target *t)
{
	struct racer racers[RACERS];
	pthread_barrier_t barrier;
	struct sw_error err = SW_ERROR_INIT;
	int won = 0, lost = 0, winner = 0;

	pthread_barrier_init(&barrier, NULL, RACERS);
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){.barrier = &barrier};
		snprintf(racers[i].text, sizeof(racers[i].text), "racer number %d", i);
		if (sw_store_clone(t->store, &racers[i].store, &err) != SW_OK)
			tap_ok(false, "%s: clone: %s", t->label, err.text);
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (int i = 0; i < RACERS; i++) {
		pthread_join(racers[i].thread, NULL);
		won += racers[i].rc == SW_OK;
		lost += racers[i].rc == SW_CONFLICT;
		if (racers[i].rc == SW_OK)
			winner = i;
		else if (racers[i].rc != SW_CONFLICT)
			tap_note("racer %d: %s", i, racers[i].err.text);
		sw_store_free(racers[i].store);
	}
	pthread_barrier_destroy(&barrier);
	tap_is_int(won, 1, "%s: of %d racing puts one wins", t->label, RACERS);
	tap_is_int(lost, RACERS - 1, "%s: the others conflict", t->label);
	tap_ok(holds(t->store, "race/a", racers[winner].text, strlen(racers[winner].text)),
		"%s: the winner's content is there", t->label);
}

/* --- listing --- */

#define MANY 1100

struct seen {
	size_t count, stop_at;
	bool disordered;
	char first[256], last[256], all[1024];
	uint64_t size;
};

static sw_rc
note_name(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct seen *seen = ctx;

	(void)err;
	if (seen->count++ == 0)
		snprintf(seen->first, sizeof(seen->first), "%s", name);
	else if (strcmp(seen->last, name) >= 0)
		seen->disordered = true;
	snprintf(seen->last, sizeof(seen->last), "%s", name);
	if (strlen(seen->all) + strlen(name) + 2 < sizeof(seen->all)) {
		strcat(seen->all, name);
		strcat(seen->all, " ");
	}
	seen->size += info->size;
	return seen->stop_at != 0 && seen->count == seen->stop_at ? SW_CONFLICT : SW_OK;
}

static sw_rc
refuse_name(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	(void)ctx;
	(void)info;
	return sw_fail(err, SW_TRANSIENT, "refused %s", name);
}

static sw_rc
make_many(struct sw_store *store, char names[][32], const char **list, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (int i = 0; i < MANY && rc == SW_OK; i++) {
		snprintf(names[i], 32, "many/%02x/%05d.zst", i & 3, i);
		list[i] = names[i];
		rc = put_text(store, names[i], "x", err);
	}
	return rc;
}

static void
check_list(struct target *t)
{
	static char names[MANY][32];
	static const char *list[MANY];
	struct sw_error err = SW_ERROR_INIT;
	struct seen s = {0};

	tap_is(kind(make_many(t->store, names, list, &err), &err), "ok", "%s: %d objects", t->label, MANY);
	tap_is(kind(sw_store_list(t->store, "many/", NULL, note_name, &s, &err), &err), "ok", "%s: list",
		t->label);
	tap_is_int((long long)s.count, MANY, "%s: all are listed", t->label);
	tap_is_int((long long)s.size, MANY, "%s: with their sizes", t->label);
	tap_ok(!s.disordered, "%s: in byte order", t->label);
	tap_is(s.first, "many/00/00000.zst", "%s: the first", t->label);
	tap_is(s.last, "many/03/01099.zst", "%s: the last", t->label);
	s = (struct seen){0};
	sw_store_list(t->store, "many/02/0001", NULL, note_name, &s, &err);
	tap_is(s.all, "many/02/00010.zst many/02/00014.zst many/02/00018.zst ", "%s: a prefix in mid-name",
		t->label);
	s = (struct seen){0};
	sw_store_list(t->store, "many/", "many/03/01090.zst", note_name, &s, &err);
	tap_is(s.all, "many/03/01091.zst many/03/01095.zst many/03/01099.zst ", "%s: after a name", t->label);
	s = (struct seen){.stop_at = 2};
	tap_is(kind(sw_store_list(t->store, "many/", "many/01", note_name, &s, &err), &err), "ok",
		"%s: after something that is no name, until enough", t->label);
	tap_is(s.all, "many/01/00001.zst many/01/00005.zst ", "%s: stops there", t->label);
	s = (struct seen){0};
	tap_is(kind(sw_store_list(t->store, "many/", "many/zz", note_name, &s, &err), &err), "ok",
		"%s: after all", t->label);
	tap_is_int((long long)s.count, 0, "%s: nothing", t->label);
	tap_is(kind(sw_store_list(t->store, "many/", NULL, refuse_name, NULL, &err), &err), "transient",
		"%s: the callback's failure is list's", t->label);
	tap_is(err.text, "refused many/00/00000.zst", "%s: with its words", t->label);
	tap_is(kind(sw_store_delete(t->store, list, MANY, &err), &err), "ok", "%s: delete %d", t->label, MANY);
	s = (struct seen){0};
	sw_store_list(t->store, "many/", NULL, note_name, &s, &err);
	tap_is_int((long long)s.count, 0, "%s: all are gone", t->label);
	tap_is(kind(sw_store_delete(t->store, list, MANY, &err), &err), "ok",
		"%s: deleting what is gone is success", t->label);
}

static void
check_order(struct target *t)
{
	/* '-' and '.' sort before '/', digits and letters behind it */
	static const char *const names[] = {"order/a0", "order/a/x", "order/a.b", "order/a-b/y", "order/a-/z",
		"order/a/.k", "order/B", "order/a.b.c", "order/a/0/deep"};
	struct sw_error err = SW_ERROR_INIT;
	struct seen s = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_text(t->store, names[i], "x", &err);
	sw_store_list(t->store, "order/", NULL, note_name, &s, &err);
	tap_is(s.all, "order/B order/a-/z order/a-b/y order/a.b order/a.b.c order/a/.k order/a/0/deep "
		"order/a/x order/a0 ", "%s: directories sort as full names do", t->label);
	s = (struct seen){0};
	sw_store_list(t->store, "order/a", "order/a.b", note_name, &s, &err);
	tap_is(s.all, "order/a.b.c order/a/.k order/a/0/deep order/a/x order/a0 ",
		"%s: after a file, with directories behind it", t->label);
	s = (struct seen){0};
	sw_store_list(t->store, "order/a/", "order/a/.k", note_name, &s, &err);
	tap_is(s.all, "order/a/0/deep order/a/x ", "%s: after a name within a directory", t->label);
}

static void
check_delete(struct target *t)
{
	const char *const names[] = {"del/gone", "del/a", "del/x/b", "nowhere/c"};
	struct sw_error err = SW_ERROR_INIT;
	struct seen s = {0};
	sw_rc rc;

	put_text(t->store, "del/a", "x", &err);
	put_text(t->store, "del/x/b", "x", &err);
	tap_is(kind(sw_store_delete(t->store, names, 4, &err), &err), "ok",
		"%s: delete, with names that are not there", t->label);
	sw_store_list(t->store, "del/", NULL, note_name, &s, &err);
	tap_is_int((long long)s.count, 0, "%s: they are gone", t->label);
	rc = sw_store_head(t->store, "del/a", &(struct sw_store_info){0}, &err);
	if (!t->versioned)
		tap_is(kind(rc, &err), "not found", "%s: head says so too", t->label);
	else if (t->enforces)
		tap_is(kind(rc, &err), "corrupt", "%s: head sees a delete marker, not absence", t->label);
	else
		tap_is(kind(rc, &err), "ok", "%s: the oldest version outlives a delete marker", t->label);
	tap_is(kind(sw_store_delete(t->store, NULL, 0, &err), &err), "ok", "%s: delete nothing", t->label);
}

static void
check_probe(struct target *t)
{
	struct sw_store_traits traits = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct seen s = {0};

	tap_is(kind(sw_store_probe(t->store, "probe/", &traits, &err), &err), "ok", "%s: probe", t->label);
	tap_is_int(traits.put_if_absent, t->enforces, "%s: finds whether names are protected", t->label);
	tap_is_int(traits.versioned, t->versioned, "%s: finds whether there are versions", t->label);
	tap_is_int(traits.object_lock, t->locks, "%s: finds whether objects can be locked", t->label);
	sw_store_list(t->store, "probe/", NULL, note_name, &s, &err);
	tap_is_int((long long)s.count, 0, "%s: leaves nothing behind", t->label);
}

static void
check_clone(struct target *t)
{
	struct sw_store *clone = NULL;
	struct sw_error err = SW_ERROR_INIT;

	tap_is(kind(sw_store_clone(t->store, &clone, &err), &err), "ok", "%s: clone", t->label);
	if (clone == NULL)
		return;
	tap_is(sw_store_url(clone), sw_store_url(t->store), "%s: the clone has the same URL", t->label);
	tap_is(kind(put_text(clone, "clone/a", "by the clone", &err), &err), "ok", "%s: it stores", t->label);
	sw_store_free(clone);
	tap_ok(holds(t->store, "clone/a", "by the clone", 12), "%s: where the original reads", t->label);
}

/* --- posix alone --- */

static void
check_posix_files(struct target *t)
{
	struct sw_error err = SW_ERROR_INIT;
	char path[1024];
	struct seen s = {0};
	struct stat st;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	if (t->root == NULL)
		return;
	put_text(t->store, "px/a", "x", &err);
	snprintf(path, sizeof(path), "%s/px/a", t->root);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1,
		"%s: files have mode 0600 and one name", t->label);
	snprintf(path, sizeof(path), "%s/px", t->root);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700, "%s: directories 0700", t->label);
	snprintf(path, sizeof(path), "%s/px/tmp~0123456789abcdef", t->root);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/px/lost+found", t->root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/px/empty", t->root);
	mkdir(path, 0700);
	tap_is(kind(sw_store_list(t->store, "px/", NULL, note_name, &s, &err), &err), "ok", "%s: list",
		t->label);
	tap_is(s.all, "px/a ", "%s: temporary and foreign files are not listed", t->label);

	snprintf(path, sizeof(path), "%s/px/out", t->root);
	if (symlink("/etc", path) != 0)
		tap_note("symlink failed");
	tap_is(kind(sw_store_get_buf(t->store, "px/out/passwd", 0, 0, &buf, &err), &err), "system",
		"%s: a link to a directory is not followed, and is not absence", t->label);
	tap_is(kind(put_text(t->store, "px/out/seawall", "x", &err), &err), "system",
		"%s: nor written through", t->label);
	tap_is(kind(sw_store_list(t->store, "px/", NULL, note_name, &s, &err), &err), "system",
		"%s: nor skipped in a listing", t->label);
	tap_is(kind(sw_store_list(t->store, "px/out/pass", NULL, note_name, &s, &err), &err), "system",
		"%s: nor when what is behind it is asked for", t->label);
	tap_is(kind(sw_store_delete(t->store, &(const char *){"px/out/passwd"}, 1, &err), &err), "system",
		"%s: nor deleted through", t->label);
	unlink(path);
	if (symlink("/etc/passwd", path) != 0)
		tap_note("symlink failed");
	tap_is(kind(sw_store_get_buf(t->store, "px/out", 0, 0, &buf, &err), &err), "system",
		"%s: a link to a file is not followed", t->label);
	unlink(path);
	mkfifo(path, 0600);
	tap_is(kind(sw_store_get_buf(t->store, "px/out", 0, 0, &buf, &err), &err), "system",
		"%s: a FIFO is not read", t->label);
	unlink(path);
}

/* More names in a directory than are sorted at a time. */
static void
check_posix_batches(struct target *t)
{
	enum { COUNT = 70000 };
	struct sw_error err = SW_ERROR_INIT;
	struct seen s = {0};
	char path[1024];

	if (t->root == NULL)
		return;
	put_text(t->store, "batch/000000", "x", &err);
	for (int i = 1; i < COUNT; i++) {
		/* 17 has no factor in common with the count: all numbers, out of order */
		snprintf(path, sizeof(path), "%s/batch/%06d", t->root, (int)((long long)i * 17 % COUNT));
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	tap_is(kind(sw_store_list(t->store, "batch/", NULL, note_name, &s, &err), &err), "ok",
		"%s: list a directory of %d", t->label, COUNT);
	tap_is_int((long long)s.count, COUNT, "%s: each once", t->label);
	tap_ok(!s.disordered, "%s: in order", t->label);
	tap_is(s.last, "batch/069999", "%s: to the last", t->label);
}

/* --- targets --- */

static const struct {
	const char *name;
	void (*run)(struct target *t);
} checks[] = {
	{"round trip", check_round_trip},
	{"from a descriptor", check_from_fd},
	{"spool", check_spool},
	{"wrong digest", check_wrong_digest},
	{"twice", check_twice},
	{"ranges", check_ranges},
	{"sink limit", check_sink_limit},
	{"absence", check_absent},
	{"names", check_names},
	{"race", check_race},
	{"list", check_list},
	{"order", check_order},
	{"delete", check_delete},
	{"probe", check_probe},
	{"clone", check_clone},
	{"posix files", check_posix_files},
	{"posix batches", check_posix_batches},
};

static void
run_checks(struct target *t)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i].run(t);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Its file system was unmounted, or somebody moved it: nothing is put where it was. */
static void
check_other_root(struct target *t)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *clone = NULL;
	char away[8192], path[8192];

	snprintf(away, sizeof(away), "%s.away", t->root);
	snprintf(path, sizeof(path), "%s/moved", t->root);
	tap_is(kind(put_text(t->store, "moved/a", "x", &err), &err), "ok", "posix: a put before the root goes away");
	tap_ok(rename(t->root, away) == 0, "posix: the root is moved");
	tap_is(kind(put_text(t->store, "moved/b", "x", &err), &err), "system", "posix: a put does not make it anew");
	tap_ok(access(t->root, F_OK) != 0, "posix: nothing is there");
	tap_ok(mkdir(t->root, 0700) == 0, "posix: another directory comes in its place");
	tap_is(kind(put_text(t->store, "moved/b", "x", &err), &err), "system", "posix: a put into another directory is refused");
	tap_ok(strstr(err.text, "is another one than it was") != NULL, "posix: and said so");
	tap_is(kind(sw_store_clone(t->store, &clone, &err), &err), "ok", "posix: a clone is made");
	tap_is(kind(put_text(clone, "moved/b", "x", &err), &err), "system", "posix: and refuses it too");
	tap_ok(access(path, F_OK) != 0, "posix: nothing was put there");
	tap_ok(rmdir(t->root) == 0 && rename(away, t->root) == 0, "posix: it comes back");
	tap_is(kind(put_text(clone, "moved/b", "x", &err), &err), "ok", "posix: and takes objects again");
	sw_store_free(clone);
}

static void
run_posix(void)
{
	char dir[] = "/tmp/seawall-store.XXXXXX", root[64], missing[64];
	struct target t = {.label = "posix", .root = root, .enforces = true};
	struct sw_error err = SW_ERROR_INIT;

	if (mkdtemp(dir) == NULL)
		return;
	snprintf(root, sizeof(root), "%s/root", dir);
	snprintf(missing, sizeof(missing), "%s/not/there", dir);
	tap_is(kind(sw_posix_open(root, &t.store, &err), &err), "ok", "posix: open");
	tap_is(kind(sw_posix_open(missing, &t.missing, &err), &err), "ok", "posix: open a missing root");
	run_checks(&t);
	check_other_root(&t);
	sw_store_free(t.store);
	sw_store_free(t.missing);
	tap_is(kind(sw_posix_open("relative", &t.store, &err), &err), "configuration",
		"posix: a relative path is refused");
	tap_is(kind(sw_posix_open("//", &t.store, &err), &err), "configuration", "posix: so is /");
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- s3 alone --- */

static const char *
setting(const char *name)
{
	char variable[64];
	const char *value;

	snprintf(variable, sizeof(variable), "SEAWALL_TEST_S3_%s", name);
	value = getenv(variable);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static struct sw_s3_params
s3_params(void)
{
	return (struct sw_s3_params){
		.bucket = setting("BUCKET"),
		.prefix = setting("PREFIX"),
		.endpoint = setting("ENDPOINT"),
		.addressing = setting("VIRTUAL") != NULL ? SW_S3_VIRTUAL : SW_S3_PATH,
		.ca_file = setting("CA_FILE"),
		.verify_tls = true,
		.resolve = setting("RESOLVE"),
		.access_key = setting("ACCESS_KEY"),
		.secret_key = setting("SECRET_KEY"),
		.connect_timeout_ms = 10000,
		.stall_timeout_ms = 30000,
	};
}

/* What get says with these parameters. */
static sw_rc
try_params(const struct sw_s3_params *params, struct sw_error *err)
{
	struct sw_store *store;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 100);
	rc = sw_s3_open(params, &store, err);
	if (rc != SW_OK)
		return rc;
	rc = sw_store_get_buf(store, "twice/a", 0, 0, &buf, err);
	sw_store_free(store);
	return rc;
}

static void
check_refusals(const char *label)
{
	struct sw_s3_params p = s3_params();
	struct sw_error err = SW_ERROR_INIT;

	tap_is(kind(try_params(&p, &err), &err), "ok", "%s: the parameters work", label);
	p.access_key = setting("OTHER_ACCESS_KEY");
	p.secret_key = setting("OTHER_SECRET_KEY");
	tap_is(kind(try_params(&p, &err), &err), "denied", "%s: another's key", label);
	tap_ok(strstr(err.text, "AccessDenied") != NULL && strstr(err.text, "HTTP 403") != NULL &&
		strstr(err.text, "(request tx") != NULL && strstr(err.text, setting("BUCKET")) != NULL &&
		strstr(err.text, "twice/a") != NULL && strstr(err.hint, "s3:ListBucket") != NULL,
		"%s: code, status, request, bucket, key and a hint", label);
	p.secret_key = "wrongsecretwrongsecret";
	tap_is(kind(try_params(&p, &err), &err), "denied", "%s: a wrong secret", label);
	tap_ok(strstr(err.text, "SignatureDoesNotMatch") != NULL && strstr(err.text, "wrongsecret") == NULL,
		"%s: is named, and not shown", label);
	p.access_key = "UNKNOWNKEY";
	tap_is(kind(try_params(&p, &err), &err), "denied", "%s: an unknown key", label);
	p = s3_params();
	p.endpoint = "http://127.0.0.1:1";
	p.addressing = SW_S3_PATH;
	tap_is(kind(try_params(&p, &err), &err), "transient", "%s: no connection", label);
	p.endpoint = "http://nowhere.invalid";
	tap_is(kind(try_params(&p, &err), &err), "transient", "%s: an unknown host", label);
	tap_ok(strstr(err.hint, "s3-endpoint") != NULL, "%s: with a hint", label);
	p.endpoint = "127.0.0.1:1";
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: an endpoint without scheme", label);
}

static void
check_tls(const char *label)
{
	struct sw_s3_params p = s3_params();
	struct sw_error err = SW_ERROR_INIT;

	if (p.ca_file == NULL)
		return;
	p.ca_file = NULL;
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: an authority that nobody knows", label);
	tap_ok(strstr(err.hint, "s3-ca-file") != NULL, "%s: the hint names s3-ca-file", label);
	p.ca_file = "/nonexistent.pem";
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: a CA file that is not there", label);
	p.ca_file = setting("WRONG_CA_FILE");
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: the wrong CA file", label);
	tap_ok(strstr(err.hint, p.ca_file) != NULL, "%s: the hint names it", label);
	p.verify_tls = false;
	tap_is(kind(try_params(&p, &err), &err), "ok", "%s: unless nothing is verified", label);
	p = s3_params();
	p.endpoint = setting("HTTPS_ON_HTTP");
	p.addressing = SW_S3_PATH;
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: TLS to a port that has none", label);
}

static void
check_clock(const char *label)
{
	struct sw_s3_params p = s3_params();
	struct sw_error err = SW_ERROR_INIT;

	sw_clock_set((int64_t)1700000000 * 1000000);
	tap_is(kind(try_params(&p, &err), &err), "configuration", "%s: a wrong clock", label);
	sw_clock_set(-1);
	tap_ok(strstr(err.text, "2023-11-14T22:13:20") != NULL && strstr(err.text, " GMT") != NULL,
		"%s: both times are in the text", label);
}

/* A bucket that keeps versions and does not refuse a second put. */
static void
check_oldest(struct target *t)
{
	const struct sw_store_traits blind = {.put_if_absent = true};
	const struct sw_store_traits enforcing = {.put_if_absent = true, .versioned = true};
	struct sw_store_info info = {0};
	struct sw_store *other = NULL;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	if (!t->versioned || t->enforces)
		return;
	tap_is(kind(sw_store_clone(t->store, &other, &err), &err), "ok", "%s: clone", t->label);
	put_text(t->store, "old/a", "the oldest", &err);
	sw_store_set_traits(other, &blind);
	tap_is(kind(put_text(other, "old/a", "younger", &err), &err), "ok", "%s: the bucket takes a second version",
		t->label);
	tap_ok(holds(other, "old/a", "younger", 7), "%s: which others see", t->label);
	tap_ok(holds(t->store, "old/a", "the oldest", 10), "%s: the oldest version is the truth", t->label);
	tap_ok(sw_store_head(t->store, "old/a", &info, &err) == SW_OK && info.size == 10 &&
		llabs(info.modified_us - sw_clock_now_us()) < 600000000LL, "%s: for head too", t->label);
	tap_is(kind(sw_store_get_buf(t->store, "old/a", 4, 3, &buf, &err), &err), "ok", "%s: and ranges",
		t->label);
	tap_is((const char *)buf.data, "old", "%s: of the oldest", t->label);
	tap_is(kind(put_text(t->store, "old/a", "younger", &err), &err), "conflict",
		"%s: what only a later version holds is a conflict", t->label);
	tap_is(kind(put_text(t->store, "old/a", "the oldest", &err), &err), "ok",
		"%s: what the oldest holds is success", t->label);
	put_text(t->store, "old/a.b", "longer name", &err);
	tap_ok(holds(t->store, "old/a", "the oldest", 10), "%s: longer names are others", t->label);

	sw_store_delete(t->store, &(const char *){"old/a"}, 1, &err);
	sw_store_set_traits(other, &enforcing);
	tap_is(kind(sw_store_get_buf(other, "old/a", 0, 0, &buf, &err), &err), "corrupt",
		"%s: a delete marker is not absence", t->label);
	tap_ok(strstr(err.text, "delete marker") != NULL, "%s: and is named", t->label);
	tap_is(kind(sw_store_head(other, "old/a", &info, &err), &err), "corrupt", "%s: nor for head", t->label);
	tap_is(kind(sw_store_get_buf(other, "old/none", 0, 0, &buf, &err), &err), "not found",
		"%s: real absence is", t->label);
	sw_store_free(other);
}

static void
run_s3(void)
{
	struct sw_s3_params params = s3_params();
	struct sw_store_traits traits = {
		.put_if_absent = setting("VERSIONED") == NULL,
		.versioned = setting("VERSIONED") != NULL,
	};
	struct target t = {
		.label = setting("LABEL"),
		.enforces = traits.put_if_absent,
		.versioned = traits.versioned,
		.locks = setting("LOCKS") != NULL,
	};
	struct sw_error err = SW_ERROR_INIT;

	tap_is(kind(sw_s3_open(&params, &t.store, &err), &err), "ok", "%s: open", t.label);
	if (t.store == NULL)
		return;
	sw_store_set_traits(t.store, &traits);
	params.bucket = "no-such-bucket";
	params.addressing = SW_S3_PATH;
	tap_is(kind(sw_s3_open(&params, &t.missing, &err), &err), "ok", "%s: open a missing bucket", t.label);
	run_checks(&t);
	check_oldest(&t);
	check_refusals(t.label);
	check_tls(t.label);
	check_clock(t.label);
	sw_store_free(t.store);
	sw_store_free(t.missing);
}

int
main(void)
{
	if (setting("ENDPOINT") != NULL)
		run_s3();
	else
		run_posix();
	return tap_done();
}
