/* The spool of segments fetched ahead, and the window. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/fetch_spool.h"
#include "archive/prefetch.h"
#include "archive/route.h"
#include "base/clock.h"
#include "base/file.h"
#include "config/config.h"
#include "../tap.h"

#define SEGMENT (1u << 20)

static char root[] = "/tmp/sw-t-prefetch-XXXXXX";
static char *target; /* %p */

static struct sw_config *
config_of(const char *option, const char *url)
{
	char pgdata[512], repo[512];
	const char *argv[] = {pgdata, repo, option != NULL ? option : "--fetch-ahead=64"};
	struct sw_config *config = NULL;
	struct sw_error err = SW_ERROR_INIT;

	snprintf(pgdata, sizeof(pgdata), "--pgdata=%s/data", root);
	snprintf(repo, sizeof(repo), "--repo-url=%s", url != NULL ? url : "file:///repository");
	if (sw_config_load(SW_CMD_FETCH, 3, (char *const *)argv, &config, &err) != SW_OK)
		tap_note("%s", err.text);
	return config;
}

static const struct sw_control control = {.system_identifier = 7, .segment_size = SEGMENT};

static struct sw_wal_name
segment(uint64_t number)
{
	return (struct sw_wal_name){.kind = SW_WAL_SEGMENT, .timeline = 1, .segment = number};
}

static sw_rc
open_spool(struct sw_fetch_spool *spool, const struct sw_control *of, const char *option, const char *url)
{
	struct sw_config *config = config_of(option, url);
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_fetch_spool_open(config, of, target, true, spool, &err);

	if (rc != SW_OK)
		tap_note("%s", err.text);
	sw_config_free(config);
	return rc;
}

static void
put(struct sw_fetch_spool *spool, uint64_t number, uint8_t byte)
{
	char part[SW_FETCH_SPOOL_NAME_MAX];
	struct sw_wal_name name = segment(number);
	struct sw_error err = SW_ERROR_INIT;
	XXH128_canonical_t hash;
	uint8_t *data = malloc(SEGMENT);
	int fd = openat(spool->dir, sw_fetch_spool_part(spool, &name, part), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(data, byte, SEGMENT);
	sw_file_write_all(fd, data, SEGMENT, part, &err);
	close(fd);
	XXH128_canonicalFromHash(&hash, XXH3_128bits(data, SEGMENT));
	tap_is_int(sw_fetch_spool_publish(spool, &name, hash.digest, &err), SW_OK, "segment %d is published", (int)number);
	free(data);
}

static sw_rc
take(struct sw_fetch_spool *spool, uint64_t number)
{
	struct sw_wal_name name = segment(number);
	struct sw_error err = SW_ERROR_INIT;

	unlink(target);
	return sw_fetch_spool_take(spool, &name, target, &err);
}

static int
first_byte(void)
{
	uint8_t byte = 0;
	int fd = open(target, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

	if (fd >= 0)
		close(fd);
	return n == 1 ? byte : -1;
}

/* Change the only file that holds the segment. */
static void
damage(struct sw_fetch_spool *spool, uint64_t number, off_t at, off_t size)
{
	char command[1024];
	struct sw_wal_name name = segment(number);
	char text[SW_WAL_NAME_MAX];

	sw_wal_name_format(&name, SEGMENT, text);
	if (size >= 0)
		snprintf(command, sizeof(command), "truncate -s %ld %s/%s.*", (long)size, spool->path, text);
	else
		snprintf(command, sizeof(command), "f=$(ls %s/%s.*); printf x | dd of=$f bs=1 seek=%ld conv=notrunc status=none",
			spool->path, text, (long)at);
	if (system(command) != 0)
		tap_note("%s failed", command);
}

static void
test_take(void)
{
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	struct sw_wal_name other = {.kind = SW_WAL_SEGMENT, .timeline = 2, .segment = 5};
	struct sw_error err = SW_ERROR_INIT;
	static const struct {
		const char *what;
		off_t at, size;
	} damages[] = {
		{"the first byte", 0, -1},
		{"the last byte", SEGMENT - 1, -1},
		{"a byte cut off", 0, SEGMENT - 1},
		{"a byte added", 0, SEGMENT + 1},
		{"nothing in it", 0, 0},
	};

	tap_is_int(open_spool(&spool, &control, NULL, NULL), SW_OK, "the spool is made");
	put(&spool, 5, 55);
	tap_is_int(sw_fetch_spool_take(&spool, &other, target, &err), SW_NOT_FOUND, "another timeline's is not it");
	tap_is_int(take(&spool, 6), SW_NOT_FOUND, "nor the next one");
	tap_is_int(take(&spool, 5), SW_OK, "it is taken");
	tap_is_int(first_byte(), 55, "with its bytes");
	tap_is_int(take(&spool, 5), SW_NOT_FOUND, "once");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct sw_wal_name name = segment(9);

		put(&spool, 9, 99);
		damage(&spool, 9, damages[i].at, damages[i].size);
		tap_is_int(take(&spool, 9), SW_NOT_FOUND, "damaged, %s: not taken", damages[i].what);
		tap_is_int(first_byte(), -1, "... nothing is at the path");
		tap_ok(!sw_fetch_spool_has(&spool, &name), "... and it is gone");
	}
	sw_fetch_spool_release(&spool);
}

/* What another wrote is not believed, and is cleaned away. */
static void
test_identity(void)
{
	struct sw_control upgraded = control;
	static const char moved[] = "file:///elsewhere";
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT, other = SW_FETCH_SPOOL_INIT;
	struct sw_wal_name name = segment(5);
	struct sw_fetch_asked asked;
	struct sw_error err = SW_ERROR_INIT;
	char from[512], to[512];

	upgraded.system_identifier = 8;
	open_spool(&spool, &control, NULL, NULL);
	put(&spool, 5, 1);
	tap_is_int(sw_fetch_spool_ask(&spool, &name, &err), SW_OK, "what was asked for is noted");
	tap_ok(sw_fetch_spool_asked(&spool, &asked) && asked.segment == 5 && asked.timeline == 1, "... and read");
	for (int i = 0; i < 3; i++) {
		static const char *const whats[] = {"another system identifier", "another repository", "another data directory"};

		if (i == 2) {
			snprintf(from, sizeof(from), "%s/data", root);
			snprintf(to, sizeof(to), "%s/data.old", root);
			tap_ok(rename(from, to) == 0 && mkdir(from, 0700) == 0, "a data directory is replaced");
		}
		open_spool(&other, i == 0 ? &upgraded : &control, NULL, i == 1 ? moved : NULL);
		if (i == 2) {
			/* the spool of the old one, carried over */
			snprintf(from, sizeof(from), "cp -a %s/data.old/pg_wal %s/data/", root, root);
			tap_is_int(system(from), 0, "... with its spool");
			sw_fetch_spool_release(&other);
			open_spool(&other, &control, NULL, NULL);
		}
		tap_is_int(take(&other, 5), SW_NOT_FOUND, "%s: not believed", whats[i]);
		tap_ok(!sw_fetch_spool_asked(&other, &asked), "... nor what was asked for");
		sw_fetch_spool_release(&other);
	}
	snprintf(to, sizeof(to), "rm -rf %s/data && mv %s/data.old %s/data", root, root, root);
	tap_is_int(system(to), 0, "the first one is back");
	tap_is_int(take(&spool, 5), SW_OK, "the right one takes it");
	sw_fetch_spool_release(&spool);
}

static bool
keep_seven(void *ctx, const struct sw_wal_name *name)
{
	(void)ctx;
	return name->segment == 7;
}

static void
test_clean(void)
{
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	struct sw_wal_name seven = segment(7), eight = segment(8);
	struct sw_fetch_asked asked;
	struct sw_error err = SW_ERROR_INIT;
	char path[600];

	open_spool(&spool, &control, NULL, NULL);
	put(&spool, 7, 7);
	put(&spool, 8, 8);
	sw_fetch_spool_ask(&spool, &seven, &err);
	close(openat(spool.dir, "000000010000000000000009.part", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.dir, "whatever", O_CREAT | O_WRONLY, 0600));
	sw_fetch_spool_clean(&spool, keep_seven, NULL);
	tap_ok(sw_fetch_spool_has(&spool, &seven), "what is wanted is kept");
	tap_ok(!sw_fetch_spool_has(&spool, &eight), "what is not is removed");
	tap_ok(faccessat(spool.dir, "000000010000000000000009.part", F_OK, 0) != 0, "and what is not whole");
	tap_ok(sw_fetch_spool_asked(&spool, &asked), "what was asked for is kept");
	sw_fetch_spool_clean(&spool, NULL, NULL);
	snprintf(path, sizeof(path), "test -z \"$(ls -A %s)\"", spool.path);
	tap_is_int(system(path), 0, "without a wish it is emptied");
	sw_fetch_spool_ask(&spool, &seven, &err);
	snprintf(path, sizeof(path), "printf x | dd of=%s/asked bs=1 seek=40 conv=notrunc status=none", spool.path);
	tap_ok(system(path) == 0 && !sw_fetch_spool_asked(&spool, &asked), "a damaged note is none");
	sw_fetch_spool_clean(&spool, NULL, NULL);
	sw_fetch_spool_release(&spool);
}

static void
test_target(void)
{
	static const struct {
		uint64_t server;
		uint32_t given, target;
	} steps[] = {{1, 2, 2}, {1, 4, 4}, {1, 3, 4}, {2, 3, 3}, {2, 3, 3}};
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT;
	struct sw_error err = SW_ERROR_INIT;
	uint32_t target_timeline = 0;

	open_spool(&spool, &control, NULL, NULL);
	tap_ok(!sw_fetch_spool_target(&spool, 1, &target_timeline), "no history, no target");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		tap_is_int(sw_fetch_spool_aim(&spool, steps[i].server, steps[i].given, &err), SW_OK, "history %u is given",
			(unsigned)steps[i].given);
		tap_ok(sw_fetch_spool_target(&spool, steps[i].server, &target_timeline) && target_timeline == steps[i].target,
			"... the target is %u", (unsigned)target_timeline);
	}
	tap_ok(!sw_fetch_spool_target(&spool, 1, &target_timeline), "not that of an earlier start");
	sw_fetch_spool_clean(&spool, keep_seven, NULL);
	tap_ok(sw_fetch_spool_target(&spool, 2, &target_timeline), "it outlives a cleaning");
	sw_fetch_spool_clean(&spool, NULL, NULL);
	sw_fetch_spool_release(&spool);
}

static void
give_history(uint32_t timeline, const char *text)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/data/pg_wal/%08X.history", root, (unsigned)timeline);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		tap_note("cannot write %s", path);
}

static void
test_route(void)
{
	static const struct {
		const char *what;
		uint32_t on;
		uint64_t asked, segment;
		uint32_t want;
	} cases[] = {
		{"before the fork", 1, 3, 4, 1},
		{"the segment of the fork", 1, 3, 5, 2},
		{"behind the second fork", 1, 3, 9, 3},
		{"from the child on", 2, 5, 8, 3},
		{"on the last", 3, 8, 100, 3},
		{"still on the parent behind the fork", 1, 5, 6, 1},
		{"a timeline that is not on the route", 7, 3, 9, 7},
	};
	struct sw_route route = {0};
	char data[512];

	snprintf(data, sizeof(data), "%s/data", root);
	sw_route_read(&route, data, 3);
	tap_is_int(sw_route_timeline(&route, SEGMENT, 1, 3, 9), 1, "without its history all stays on one timeline");
	give_history(3, "1\t0/500010\tx\n2\t0/800000\ty\n");
	sw_route_read(&route, data, 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_is_int(sw_route_timeline(&route, SEGMENT, cases[i].on, cases[i].asked, cases[i].segment), cases[i].want,
			"the route: %s", cases[i].what);
	give_history(4, "rubbish\n");
	sw_route_read(&route, data, 4);
	tap_is_int(sw_route_timeline(&route, SEGMENT, 1, 3, 9), 1, "a damaged history is no route");
	sw_route_release(&route);
}

static void
test_places(void)
{
	struct sw_fetch_spool spool = SW_FETCH_SPOOL_INIT, again = SW_FETCH_SPOOL_INIT;
	char option[512], path[600], data[512], base[600];
	struct stat st;

	snprintf(option, sizeof(option), "--fetch-spool=%s/shared", root);
	snprintf(path, sizeof(path), "%s/shared", root);
	mkdir(path, 0700);
	tap_is_int(open_spool(&spool, &control, option, NULL), SW_OK, "a chosen directory");
	tap_ok(strncmp(spool.path, path, strlen(path)) == 0 && stat(spool.path, &st) == 0, "... has a place in it");
	tap_ok(sw_fetch_spool_lock(&spool), "it is locked");
	open_spool(&again, &control, option, NULL);
	tap_ok(!sw_fetch_spool_lock(&again), "... once");
	sw_fetch_spool_release(&spool);
	tap_ok(sw_fetch_spool_lock(&again), "... until it is let go");
	chmod(again.path, 0777);
	tap_is_int(open_spool(&spool, &control, option, NULL), SW_DENIED, "where others can write is refused");
	sw_fetch_spool_release(&again);

	snprintf(data, sizeof(data), "%s/data", root);
	tap_ok(sw_fetch_spool_is_recovery(data, target), "recovery's own path");
	snprintf(base, sizeof(base), "%s/pg_wal/000000010000000000000005", data);
	tap_ok(!sw_fetch_spool_is_recovery(data, base), "pg_rewind's is another");
	snprintf(base, sizeof(base), "%s/RECOVERYXLOG", root);
	tap_ok(!sw_fetch_spool_is_recovery(data, base), "nor another directory");
	tap_ok(!sw_fetch_spool_is_recovery(data, "RECOVERYXLOG"), "nor none");
}

static void
test_window(void)
{
	struct sw_prefetch_window w;

	sw_prefetch_window_init(&w, 20, 4);
	tap_is_int(w.size, 4, "the window begins with the threads");
	sw_prefetch_window_waited(&w);
	tap_is_int(w.size, 8, "... doubles");
	sw_prefetch_window_waited(&w);
	sw_prefetch_window_waited(&w);
	tap_is_int(w.size, 20, "... up to its limit");
	sw_prefetch_window_full(&w);
	tap_is_int(w.size, 10, "... halves on a full disk");
	sw_prefetch_window_ended(&w);
	tap_is_int(w.size, 1, "... and is 1 at the end");
	sw_prefetch_window_full(&w);
	tap_is_int(w.size, 1, "... at least");
	sw_prefetch_window_init(&w, 2, 4);
	tap_is_int(w.size, 2, "... within its limit from the start");
	sw_prefetch_window_init(&w, 1, 4);
	sw_prefetch_window_waited(&w);
	tap_is_int(w.size, 1, "... also where that is 1");
}

int
main(void)
{
	char path[512];

	if (mkdtemp(root) == NULL || asprintf(&target, "%s/data/pg_wal/RECOVERYXLOG", root) < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/data", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/data/pg_wal", root);
	mkdir(path, 0700);
	test_take();
	test_identity();
	test_clean();
	test_target();
	test_route();
	test_places();
	test_window();
	snprintf(path, sizeof(path), "rm -rf %s", root);
	tap_is_int(system(path), 0, "cleaned up");
	free(target);
	return tap_done();
}
