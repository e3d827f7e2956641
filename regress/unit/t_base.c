#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../tap.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pool.h"

static char dir[] = "/var/tmp/t_base.XXXXXX";

static char *
in_dir(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* --- error ------------------------------------------------------------------ */

static void
test_error_texts(void)
{
	struct sw_error err = SW_ERROR_INIT;
	char long_text[4000];

	tap_is_int(sw_fail(&err, SW_CORRUPT, "bad %s at %d", "page", 7), SW_CORRUPT, "sw_fail gives its kind");
	tap_is(err.text, "bad page at 7", "and words");
	sw_hint(&err, "do %s", "this");
	tap_is_int(sw_wrap(&err, "reading %s", "x"), SW_CORRUPT, "wrapping keeps the kind");
	tap_is(err.text, "reading x: bad page at 7", "puts words before");
	tap_is(err.hint, "do this", "and keeps the hint");
	sw_fail(&err, SW_DENIED, "other");
	tap_is(err.hint, "", "a new failure has no hint");

	sw_fail(&err, SW_SYSTEM, "%s", "one\ntwo\r\n\tthree\x1b[31m\x7f\n\n");
	tap_is(err.text, "one two   three [31m", "texts are one line and printable");
	sw_hint(&err, "%s", "a\nb\n");
	tap_is(err.hint, "a b", "so are hints");
	sw_wrap(&err, "%s", "x\ny");
	tap_is(err.text, "x y: one two   three [31m", "and what is put before");

	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	sw_fail(&err, SW_SYSTEM, "%s", long_text);
	tap_is_int((long long)strlen(err.text), sizeof(err.text) - 1, "a long text is cut");
	sw_wrap(&err, "where");
	tap_ok(strncmp(err.text, "where: aaa", 10) == 0 && strlen(err.text) < sizeof(err.text),
		"words still go before it");
	sw_wrap(&err, "%s", long_text);
	tap_ok(strncmp(err.text, "where: aaa", 10) == 0, "unless they leave no room");
	sw_hint(&err, "%s", long_text);
	tap_is_int((long long)strlen(err.hint), sizeof(err.hint) - 1, "a long hint is cut");
}

static void
test_errno(void)
{
	static const struct {
		int e;
		sw_rc rc;
		const char *hint; /* a part of it */
	} cases[] = {
		{EACCES, SW_DENIED, "owns"},  {EPERM, SW_DENIED, "owns"},     {ENOENT, SW_SYSTEM, ""},
		{ENOSPC, SW_SYSTEM, "space"}, {EDQUOT, SW_SYSTEM, "space"},   {EROFS, SW_SYSTEM, "read-only"},
		{EMFILE, SW_SYSTEM, "ulimit"}, {ENFILE, SW_SYSTEM, "ulimit"}, {EIO, SW_SYSTEM, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		char want[256];

		errno = cases[i].e;
		tap_is_int(sw_fail_errno(&err, "opening %s", "f"), cases[i].rc, "kind of %s",
			strerrorname_np(cases[i].e));
		snprintf(want, sizeof(want), "opening f: %s", strerror(cases[i].e));
		tap_is(err.text, want, "its text");
		tap_ok(cases[i].hint[0] == '\0' ? err.hint[0] == '\0' : strstr(err.hint, cases[i].hint) != NULL,
			"its hint: %s", err.hint);
		tap_is_int(errno, cases[i].e, "errno is kept");
	}
	for (int rc = SW_OK; rc <= SW_BUG; rc++)
		tap_ok(strcmp(sw_rc_name((sw_rc)rc), "unknown") != 0, "kind %d is \"%s\"", rc,
			sw_rc_name((sw_rc)rc));
	tap_is(sw_rc_name((sw_rc)99), "unknown", "no kind is unknown");
}

/* --- log ---------------------------------------------------------------------- */

static char logged[256];
static int logged_count;

static void
take_log(enum sw_log_level level, const char *text)
{
	snprintf(logged, sizeof(logged), "%d %s", (int)level, text);
	logged_count++;
}

static void
test_log(void)
{
	sw_log(SW_LOG_ERROR, "dropped");
	sw_log_init(SW_LOG_INFO, take_log);
	sw_log(SW_LOG_INFO, "a\nb %d", 1);
	tap_is(logged, "2 a b 1", "a message is one line");
	sw_log(SW_LOG_DEBUG, "too much");
	tap_is_int(logged_count, 1, "those above the level are dropped, and those before there was a sink");
	sw_log_init(SW_LOG_ERROR, NULL);
}

/* --- buf ------------------------------------------------------------------------ */

static void
test_buf(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 10);
	tap_is_int(sw_buf_append(&buf, NULL, 0, &err), SW_OK, "nothing can be appended");
	tap_is_int(sw_buf_append(&buf, "12345", 5, &err), SW_OK, "so can something");
	tap_is((char *)buf.data, "12345", "it ends in a NUL");
	tap_is_int(sw_buf_append(&buf, "678901", 6, &err), SW_CORRUPT, "a byte beyond the limit is refused");
	tap_is((char *)buf.data, "12345", "and the content stays");
	tap_is_int(sw_buf_append(&buf, "67890", 5, &err), SW_OK, "up to the limit is fine");
	tap_is((char *)buf.data, "1234567890", "with its NUL");
	tap_is_int(sw_buf_append(&buf, "x", 1, &err), SW_CORRUPT, "a full buffer takes no more");
	tap_is_int(sw_buf_reserve(&buf, SIZE_MAX, &err), SW_CORRUPT, "nor what would overflow");
	tap_is_int(sw_buf_reserve(&buf, SIZE_MAX - 9, &err), SW_CORRUPT, "to zero");
	sw_buf_reset(&buf);
	tap_ok(buf.len == 0 && buf.data[0] == '\0', "reset forgets");
	tap_is_int(sw_buf_printf(&buf, &err, "%d-%s", 42, "ab"), SW_OK, "printf appends");
	tap_is((char *)buf.data, "42-ab", "its text");
	tap_is_int(sw_buf_printf(&buf, &err, "%s", "0123456789"), SW_CORRUPT, "within the limit");
	tap_is((char *)buf.data, "42-ab", "or not at all");
	sw_buf_release(&buf);
	tap_ok(buf.data == NULL && buf.len == 0 && buf.max == 10, "released buffers keep their limit");
	tap_is_int(sw_buf_append(&buf, "again", 5, &err), SW_OK, "and can be used again");
}

static void
test_buf_growth(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;
	bool ok = true;

	sw_buf_init(&buf, 1 << 20);
	for (uint32_t i = 0; i < (1 << 20) / 4; i++)
		ok = ok && sw_buf_append(&buf, &i, 4, &err) == SW_OK;
	for (uint32_t i = 0; i < (1 << 20) / 4; i++)
		ok = ok && memcmp(buf.data + i * 4, &i, 4) == 0;
	tap_ok(ok && buf.len == 1 << 20 && buf.cap <= (1 << 20) + 1, "grows to its limit and no further");
}

/* --- clock ----------------------------------------------------------------------- */

static void
test_clock(void)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t us;
		const char *canonical; /* NULL: as text */
	} cases[] = {
		{"2026-11-20T10:54:00.123456Z", true, INT64_C(1795172040123456), NULL},
		{"1970-01-01T00:00:00.000000Z", true, 0, NULL},
		{"1969-12-31T23:59:59.999999Z", true, -1, NULL},
		{"1969-12-31T23:59:59.000001Z", true, -999999, NULL},
		{"2000-02-29T12:00:00.000000Z", true, INT64_C(951825600000000), NULL},
		{"9999-12-31T23:59:59.999999Z", true, INT64_C(253402300799999999), NULL},
		{"2026-11-20T10:54:00Z", true, INT64_C(1795172040000000), "2026-11-20T10:54:00.000000Z"},
		{"2026-11-20T10:54:00.5Z", true, INT64_C(1795172040500000), "2026-11-20T10:54:00.500000Z"},
		{"", false, 0, NULL},
		{"now", false, 0, NULL},
		{"2026-11-20T10:54:00", false, 0, NULL},
		{"2026-11-20 10:54:00Z", false, 0, NULL},
		{"2026-11-20T10:54:00+01:00", false, 0, NULL},
		{"2026-11-20T10:54:00Zx", false, 0, NULL},
		{"2026-11-20T10:54:00.Z", false, 0, NULL},
		{"2026-11-20T10:54:00.1234567Z", false, 0, NULL},
		{"2026-11-20T10:54Z", false, 0, NULL},
		{" 2026-11-20T10:54:00Z", false, 0, NULL},
		{"2026-11-20T 1:54:00Z", false, 0, NULL},
		{"2026-1-2T3:4:5Z", false, 0, NULL},
		{"2026-02-30T00:00:00Z", false, 0, NULL},
		{"2026-13-01T00:00:00Z", false, 0, NULL},
		{"2026-11-20T24:00:00Z", false, 0, NULL},
		{"2026-11-20T23:59:61Z", false, 0, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].text;
		int64_t us = 77;
		char buf[SW_CLOCK_ISO_LEN];
		bool ok = sw_clock_parse_iso(text, &us);

		if (!cases[i].ok) {
			tap_ok(!ok && us == 77, "\"%s\" is no time", text);
			continue;
		}
		tap_ok(ok, "%s is read", text);
		tap_is_int(us, cases[i].us, "rightly");
		tap_is(sw_clock_iso(cases[i].us, buf), cases[i].canonical != NULL ? cases[i].canonical : text,
			"and written");
	}
	sw_clock_set(123);
	tap_is_int(sw_clock_now_us(), 123, "a test sets the clock");
	sw_clock_set(-1);
	tap_ok(sw_clock_now_us() > INT64_C(1700000000000000), "and gives it back");
}

static void
test_sleep(void)
{
	int64_t start = sw_clock_monotonic_ms();

	tap_ok(sw_clock_sleep_ms(150), "an undisturbed sleep");
	tap_ok(sw_clock_monotonic_ms() - start >= 150, "is as long as asked");
	tap_ok(sw_clock_sleep_ms(0) && sw_clock_sleep_ms(-5), "none is fine");
}

/* --- json -------------------------------------------------------------------------- */

static void
test_json_parse(void)
{
	static const struct {
		const char *text;
		sw_rc rc;
	} cases[] = {
		{"{\"seawall\":\"map\",\"version\":1}", SW_OK},
		{"{\"seawall\":\"map\",\"version\":2}", SW_CONFIG},
		{"{\"seawall\":\"pack\",\"version\":1}", SW_CORRUPT},
		{"{\"seawall\":\"map\"}", SW_CORRUPT},
		{"{\"seawall\":\"map\",\"version\":\"1\"}", SW_CORRUPT},
		{"{\"seawall\":\"map\",\"version\":-1}", SW_CORRUPT},
		{"{\"seawall\":1,\"version\":1}", SW_CORRUPT},
		{"{\"seawall\":\"map\",\"version\":1,\"version\":1}", SW_CORRUPT},
		{"{\"seawall\":\"map\",\"version\":1}x", SW_CORRUPT},
		{"{\"seawall\":\"ma\\u0000p\",\"version\":1}", SW_CORRUPT},
		{"{\"seawall\":\"map\",\"version\":1", SW_CORRUPT},
		{"[]", SW_CORRUPT},
		{"null", SW_CORRUPT},
		{"", SW_CORRUPT},
	};
	char *deep = calloc(1, 100001);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		json_t *object = NULL;
		sw_rc rc = sw_json_parse(cases[i].text, strlen(cases[i].text), "map", 1, &object, &err);

		tap_is_int(rc, cases[i].rc, "%s", cases[i].text);
		tap_ok((object != NULL) == (rc == SW_OK), "an object only when right");
		json_decref(object);
	}
	memset(deep, '[', 100000);
	struct sw_error err = SW_ERROR_INIT;
	json_t *object;
	tap_is_int(sw_json_parse(deep, 100000, "map", 1, &object, &err), SW_CORRUPT, "a deep nest");
	free(deep);
}

static void
test_json_fields(void)
{
	static const char text[] = "{\"seawall\":\"t\",\"version\":1,\"s\":\"x\",\"n\":5,\"neg\":-5,\"b\":true,"
		"\"hex\":\"00ff\",\"HEX\":\"00FF\",\"big\":\"18446744073709551615\","
		"\"over\":\"18446744073709551616\",\"sign\":\"-1\",\"space\":\" 1\",\"tail\":\"1x\",\"empty\":\"\","
		"\"real\":5.0}";
	static const struct {
		const char *key;
		bool string, number, boolean, hex, u64;
	} cases[] = {
		{"s", .string = true},     {"n", .number = true}, {"b", .boolean = true},
		{"neg", .string = false},  {"real", .string = false}, {"missing", .string = false},
		{"hex", .string = true, .hex = true},             {"HEX", .string = true},
		{"big", .string = true, .u64 = true},             {"over", .string = true},
		{"sign", .string = true},  {"space", .string = true}, {"tail", .string = true},
		{"empty", .string = true},
	};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_JSON *object = NULL;
	const char *string;
	uint64_t number;
	bool boolean;
	uint8_t bytes[2];

	if (!tap_is_int(sw_json_parse(text, sizeof(text) - 1, "t", 1, &object, &err), SW_OK, "an object"))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *key = cases[i].key;

		tap_is_int(sw_json_string(object, key, &string, &err), cases[i].string ? SW_OK : SW_CORRUPT,
			"%s as a string", key);
		tap_is_int(sw_json_u64(object, key, 5, &number, &err), cases[i].number ? SW_OK : SW_CORRUPT,
			"%s as a number up to 5", key);
		tap_is_int(sw_json_bool(object, key, &boolean, &err), cases[i].boolean ? SW_OK : SW_CORRUPT,
			"%s as a boolean", key);
		tap_is_int(sw_json_hex(object, key, bytes, 2, &err), cases[i].hex ? SW_OK : SW_CORRUPT,
			"%s as two bytes", key);
		tap_is_int(sw_json_u64_text(object, key, &number, &err),
			cases[i].u64 ? SW_OK : SW_CORRUPT, "%s as a 64-bit number", key);
	}
	tap_is_int(sw_json_u64(object, "n", 4, &number, &err), SW_CORRUPT, "a number beyond its limit");
	tap_ok(strstr(err.text, "\"n\"") != NULL, "the message names the key");
	tap_ok(sw_json_u64_text(object, "big", &number, &err) == SW_OK && number == UINT64_MAX, "2^64 - 1");
}

static void
test_hex(void)
{
	uint8_t bytes[] = {0x00, 0x7f, 0xab, 0xff}, back[4];
	char text[9];

	tap_is(sw_hex(bytes, 4, text), "007fabff", "written");
	tap_ok(sw_unhex(text, back, 4) && memcmp(bytes, back, 4) == 0, "and read");
	tap_ok(!sw_unhex("007fabf", back, 4) && !sw_unhex("007fabff0", back, 4) && !sw_unhex("007fabfg", back, 4) &&
		!sw_unhex("", back, 4), "other lengths and letters are refused");
}

/* --- file --------------------------------------------------------------------------- */

static int
temp_count(void)
{
	glob_t found;
	int count;

	glob(in_dir("*.tmp.*"), 0, NULL, &found);
	count = (int)found.gl_pathc;
	globfree(&found);
	return count;
}

static void
is_file(const char *path, const char *want, const char *name)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;

	if (!tap_is_int(sw_file_read(path, 1 << 20, &buf, &err), SW_OK, "%s: read", name))
		return;
	tap_is(buf.data != NULL ? (char *)buf.data : "", want, "%s: content", name);
	sw_buf_release(&buf);
}

static void
test_file_write(void)
{
	struct sw_error err = SW_ERROR_INIT;
	const char *path = in_dir("written");
	struct stat st;

	tap_is_int(sw_file_write(path, "one", 3, 0640, &err), SW_OK, "a new file");
	is_file(path, "one", "new");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "has the mode asked for, whatever the umask");
	tap_is_int(sw_file_write(path, "two!", 4, 0600, &err), SW_OK, "an old one is replaced");
	is_file(path, "two!", "replaced");
	tap_is_int(sw_file_write(path, "", 0, 0600, &err), SW_OK, "nothing can be written too");
	is_file(path, "", "empty");
	tap_is_int(sw_file_write(in_dir("no/such"), "x", 1, 0600, &err), SW_SYSTEM, "not into nowhere");
	tap_ok(strstr(err.text, in_dir("no/such")) != NULL, "the message names it");
	mkdir(in_dir("taken"), 0700);
	tap_ok(sw_file_write(in_dir("taken"), "x", 1, 0600, &err) != SW_OK, "not over a directory");
	tap_is_int(temp_count(), 0, "no temporary file is left");
}

/* In a child, because the limit stays: the old file must survive a write that fails half-way. */
static void
test_file_write_fails(void)
{
	const char *path = in_dir("limited");
	struct sw_error err = SW_ERROR_INIT;
	char *big = calloc(1, 100000);
	int status;
	pid_t pid;

	sw_file_write(path, "old", 3, 0600, &err);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct rlimit limit = {50000, 50000};

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		_exit(sw_file_write(path, big, 100000, 0600, &err) == SW_SYSTEM &&
			strstr(err.text, strerror(EFBIG)) != NULL ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	tap_is_int(status, 0, "a write beyond the limit fails");
	is_file(path, "old", "afterwards");
	tap_is_int(temp_count(), 0, "no temporary file is left");
	free(big);
}

static void
test_disk_full(void)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_FD fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	tap_is_int(sw_file_write_all(fd, "x", 1, "/dev/full", &err), SW_SYSTEM, "a full disk");
	tap_is(err.text, "writing /dev/full: No space left on device", "says so");
	tap_ok(strstr(err.hint, "space") != NULL, "and what to do: %s", err.hint);
	tap_is_int(sw_file_write_all(fd, "", 0, "/dev/full", &err), SW_OK, "nothing always fits");
}

static void
test_file_read(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf = {.len = 77};
	const char *path = in_dir("read");
	char text[20001], got[8];
	size_t len;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	sw_file_write(path, text, 20000, 0600, &err);
	tap_is_int(sw_file_read(path, 20000, &buf, &err), SW_OK, "as long as allowed");
	tap_ok(buf.len == 20000 && strcmp((char *)buf.data, text) == 0, "is read whole");
	sw_buf_release(&buf);
	buf.len = 77;
	tap_is_int(sw_file_read(path, 19999, &buf, &err), SW_CORRUPT, "a byte longer is refused");
	tap_is_int(sw_file_read(in_dir("missing"), 10, &buf, &err), SW_NOT_FOUND, "a missing one is not there");
	tap_ok(buf.len == 77, "and the output is untouched");
	tap_ok(sw_file_read(dir, 10, &buf, &err) != SW_OK, "a directory is no file");

	SW_AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
	tap_ok(sw_file_pread(fd, got, 8, 19996, &len, path, &err) == SW_OK && len == 4, "pread stops at the end");
	tap_ok(sw_file_pwrite_all(fd, "abc", 3, 19998, path, &err) == SW_OK &&
		sw_file_pread(fd, got, 8, 19997, &len, path, &err) == SW_OK && len == 4 &&
		memcmp(got, "xabc", 4) == 0, "pwrite goes where it is told");
}

static void
test_directories(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct stat st;
	int fd = -1;

	tap_is_int(sw_file_make_dirs(in_dir("a/b/c"), 0700, &err), SW_OK, "nested directories");
	tap_ok(stat(in_dir("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode), "are there");
	tap_is_int(sw_file_make_dirs(in_dir("a/b/c"), 0700, &err), SW_OK, "again is success");
	tap_ok(sw_file_make_dirs(in_dir("read/x"), 0700, &err) != SW_OK, "not below a file");
	tap_is_int(sw_file_fsync_dir(in_dir("a"), &err), SW_OK, "fsync of a directory");
	tap_ok(sw_file_fsync_dir(in_dir("read"), &err) != SW_OK, "not of a file");

	tap_is_int(sw_file_open_unlinked(dir, &fd, &err), SW_OK, "a temporary file");
	tap_ok(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 0777) == 0600, "has no name and is ours");
	close(fd);
	fd = 77;
	tap_ok(sw_file_open_unlinked(in_dir("nowhere"), &fd, &err) != SW_OK && fd == 77, "not in nowhere");

	setenv("TMPDIR", "/some/where", 1);
	tap_is(sw_file_tmp_dir(), "/some/where", "TMPDIR counts");
	setenv("TMPDIR", "relative", 1);
	tap_is(sw_file_tmp_dir(), "/var/tmp", "unless it is relative");
	unsetenv("TMPDIR");
	tap_is(sw_file_tmp_dir(), "/var/tmp", "the default");
}

/* --- pool ------------------------------------------------------------------------------ */

struct work {
	atomic_int started, stopped, ticks;
	int fails; /* this worker fails; -1: none */
	bool until_stop;
};

static sw_rc
do_work(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct work *work = ctx;
	sigset_t blocked;

	atomic_fetch_add(&work->started, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (!sigismember(&blocked, SIGTERM))
		return sw_fail(err, SW_BUG, "signals are not blocked");
	if ((int)worker == work->fails)
		return sw_fail(err, SW_DENIED, "worker %u", worker);
	while (work->until_stop && !sw_pool_stopping(pool))
		usleep(1000);
	if (sw_pool_stopping(pool)) {
		atomic_fetch_add(&work->stopped, 1);
		return work->fails >= 0 ? sw_fail(err, SW_SYSTEM, "a later error") : SW_OK;
	}
	return SW_OK;
}

static void
tick(void *ctx)
{
	struct work *work = ctx;

	if (atomic_fetch_add(&work->ticks, 1) == 0 && work->fails == -2)
		raise(SIGTERM);
}

static void
test_pool(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct work all = {.fails = -1}, failing = {.fails = 2, .until_stop = true};

	tap_is_int(sw_pool_run(8, do_work, NULL, &all, &err), SW_OK, "all work is done");
	tap_is_int(all.started, 8, "by every worker");
	tap_is_int(sw_pool_run(4, do_work, tick, &failing, &err), SW_DENIED, "the first error wins");
	tap_is(err.text, "worker 2", "with its words");
	tap_is_int(failing.stopped, 3, "and the others were told to stop");
}

/* Last: the caught signal stays. */
static void
test_interrupt(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct work work = {.fails = -2, .until_stop = true};
	int64_t start;
	int status;
	pid_t pid;

	sw_interrupt_catch();
	tap_is_int(sw_interrupt_check(&err), SW_OK, "no signal yet");
	tap_is_int(sw_pool_run(3, do_work, tick, &work, &err), SW_SYSTEM, "a signal stops a pool");
	tap_is(err.text, "stopped by SIGTERM", "and is named");
	tap_is_int(work.stopped, 3, "all workers saw it");
	tap_is_int(sw_interrupt_signal(), SIGTERM, "the flag stays");
	start = sw_clock_monotonic_ms();
	tap_ok(!sw_clock_sleep_ms(5000) && sw_clock_monotonic_ms() - start < 1000, "nobody sleeps on it");

	sw_interrupt_take();
	tap_is_int(sw_interrupt_check(&err), SW_OK, "taken, cleaning up goes on");
	raise(SIGINT);
	tap_is_int(sw_interrupt_check(&err), SW_SYSTEM, "until another signal comes");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		sw_interrupt_die();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status), "the process dies of it");
}

static void
remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		tap_note("%s is left", dir);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	test_error_texts();
	test_errno();
	test_log();
	test_buf();
	test_buf_growth();
	test_clock();
	test_sleep();
	test_json_parse();
	test_json_fields();
	test_hex();
	test_file_write();
	test_file_write_fails();
	test_disk_full();
	test_file_read();
	test_directories();
	test_pool();
	test_interrupt();
	remove_dir();
	return tap_done();
}
