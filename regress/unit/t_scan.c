/*
 * The files of a made-up data directory: which of them belong into a backup.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../tap.h"
#include "backup/scan.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BLOCKS 131072
#define VERSION_DIR "PG_15_202209061"

enum made { FILE_IN, FILE_OUT, DIR_IN, DIR_OUT, FIFO_OUT, SOCKET_OUT, RELATION };

/* _IN: belongs into the backup; _OUT: does not.  RELATION: does, and has pages with checksums. */
static const struct {
	const char *path;
	enum made made;
} tree[] = {
	{"PG_VERSION", FILE_IN},
	{"postgresql.conf", FILE_IN},
	{"postgresql.auto.conf", FILE_IN},
	{"postgresql.auto.conf.tmp", FILE_OUT},
	{"pg_hba.conf", FILE_IN},
	{"current_logfiles", FILE_IN},
	{"current_logfiles.tmp", FILE_OUT},
	{"postmaster.pid", FILE_OUT},
	{"postmaster.opts", FILE_OUT},
	{"backup_label", FILE_OUT},
	{"backup_label.old", FILE_OUT},
	{"tablespace_map", FILE_OUT},
	{"tablespace_map.old", FILE_OUT},
	{"backup_manifest", FILE_OUT},
	{"recovery.signal", FILE_OUT},
	{"standby.signal", FILE_OUT},
	{"fifo", FIFO_OUT},
	{"socket", SOCKET_OUT},
	{"a name with \"quotes\"\n\xc3\xa4", FILE_IN},
	{"server.log", FILE_IN},
	{"log", DIR_IN},
	{"log/postgresql-Fri.log", FILE_IN},
	{"log/postmaster.pid", FILE_IN}, /* somebody else's */
	{"global", DIR_IN},
	{"global/pg_control", FILE_OUT},
	{"global/pg_filenode.map", FILE_IN},
	{"global/pg_internal.init", FILE_OUT},
	{"global/pg_internal.init.4711", FILE_OUT},
	{"global/1262", RELATION},
	{"global/1262_fsm", RELATION},
	{"base", DIR_IN},
	{"base/pgsql_tmp", DIR_OUT},
	{"base/pgsql_tmp/pgsql_tmp4711.0", FILE_OUT},
	{"base/5", DIR_IN},
	{"base/5/PG_VERSION", FILE_IN},
	{"base/5/pg_filenode.map", FILE_IN},
	{"base/5/pg_internal.init", FILE_OUT},
	{"base/5/pgsql_tmp4711.1", FILE_OUT},
	{"base/5/16384", RELATION},
	{"base/5/16384.1", RELATION},
	{"base/5/16384.7", RELATION},
	{"base/5/16384_fsm", RELATION},
	{"base/5/16384_vm", RELATION},
	{"base/5/16384_vm.1", RELATION},
	/* unlogged: only the init fork, whatever else is there */
	{"base/5/20000", FILE_OUT},
	{"base/5/20000.1", FILE_OUT},
	{"base/5/20000_fsm", FILE_OUT},
	{"base/5/20000_vm", FILE_OUT},
	{"base/5/20000_init", RELATION},
	/* the same number in another database is another relation */
	{"base/6", DIR_IN},
	{"base/6/20000", RELATION},
	{"base/6/2000", RELATION},
	/* temporary */
	{"base/5/t3_20001", FILE_OUT},
	{"base/5/t3_20001_fsm", FILE_OUT},
	{"base/5/t3_20001.1", FILE_OUT},
	{"base/5/t0_20001", FILE_OUT},
	/* neither temporary nor relations */
	{"base/5/t3_", FILE_IN},
	{"base/5/tx_20001", FILE_IN},
	{"base/5/16384_old", FILE_IN},
	{"base/5/016384", FILE_IN},
	{"base/5/16384.0", FILE_IN},
	{"base/5/4294967296", FILE_IN},
	{"t3_20001", FILE_IN},
	{"20000_init", FILE_IN},
	{"20000", FILE_IN},
	/* contents of no use to a restored cluster */
	{"pg_wal", DIR_IN},
	{"pg_wal/000000010000000000000001", FILE_OUT},
	{"pg_wal/archive_status", DIR_IN},
	{"pg_wal/archive_status/000000010000000000000001.done", FILE_OUT},
	{"pg_wal/summaries", DIR_OUT},
	{"pg_replslot", DIR_IN},
	{"pg_replslot/one", DIR_OUT},
	{"pg_replslot/one/state", FILE_OUT},
	{"pg_dynshmem", DIR_IN},
	{"pg_dynshmem/mmap.1", FILE_OUT},
	{"pg_notify", DIR_IN},
	{"pg_notify/0000", FILE_OUT},
	{"pg_serial", DIR_IN},
	{"pg_serial/0000", FILE_OUT},
	{"pg_snapshots", DIR_IN},
	{"pg_snapshots/00000003-1", FILE_OUT},
	{"pg_stat_tmp", DIR_IN},
	{"pg_stat_tmp/global.stat", FILE_OUT},
	{"pg_subtrans", DIR_IN},
	{"pg_subtrans/0000", FILE_OUT},
	/* but what looks like them elsewhere stays */
	{"log/pg_wal", DIR_IN},
	{"log/pg_wal/kept", FILE_IN},
	{"pg_xact", DIR_IN},
	{"pg_xact/0000", FILE_IN},
	{"pg_stat", DIR_IN},
	{"pg_stat/pgstat.stat", FILE_IN},
	{"pg_commit_ts", DIR_IN},
	{"pg_logical", DIR_IN},
	{"pg_logical/replorigin_checkpoint", FILE_IN},
	{"pg_tblspc", DIR_IN},
};

static char dir[4096];

/* --- tools ------------------------------------------------------------------------------ */

static const char *
in_dir(const char *path)
{
	static char full[3][8192];
	static int next;

	next = (next + 1) % 3;
	snprintf(full[next], sizeof(full[next]), "%s/%s", dir, path);
	return full[next];
}

static void
make_dir(const char *path)
{
	if (mkdir(in_dir(path), 0700) != 0)
		perror(path);
}

static void
make_link(const char *target, const char *path)
{
	if (symlink(target, in_dir(path)) != 0)
		perror(path);
}

static void
make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), here = open(".", O_RDONLY | O_DIRECTORY);

	/* short, because an address has 108 bytes at most */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (chdir(dir) != 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || fchdir(here) != 0)
		perror(path);
	close(fd);
	close(here);
}

static sw_rc
scan(struct sw_scan *ret_scan, struct sw_error *err)
{
	*ret_scan = (struct sw_scan){0};
	return sw_scan_run(dir, 15, 202209061, BLOCKS, ret_scan, err);
}

static const struct sw_scan_item *
find(const struct sw_scan *found, const char *path)
{
	const struct sw_scan_item *item = NULL;

	for (size_t i = 0; i < found->count; i++)
		if (strcmp(found->items[i].path, path) == 0) {
			if (item != NULL)
				tap_ok(false, "%s is there once", path);
			item = &found->items[i];
		}
	return item;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
make_tree(void)
{
	for (size_t i = 0; i < COUNT(tree); i++)
		switch (tree[i].made) {
		case DIR_IN:
		case DIR_OUT:
			make_dir(tree[i].path);
			break;
		case FIFO_OUT:
			if (mkfifo(in_dir(tree[i].path), 0600) != 0)
				perror(tree[i].path);
			break;
		case SOCKET_OUT:
			make_socket(tree[i].path);
			break;
		default:
			scratch_file(dir, tree[i].path, "0123456789", i % 11);
		}
}

static void
test_tree(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;
	size_t expected = 0;
	uint64_t bytes = 0;

	tap_is(sw_rc_name(scan(&found, &err)), "ok", "a data directory is scanned");
	for (size_t i = 0; i < COUNT(tree); i++) {
		const struct sw_scan_item *item = find(&found, tree[i].path);
		enum made made = tree[i].made;
		bool in = made == FILE_IN || made == DIR_IN || made == RELATION;

		if (!tap_ok((item != NULL) == in, "%s %s", tree[i].path, in ? "belongs to the backup" : "is left out") || !in)
			continue;
		expected++;
		tap_ok(item->type == (made == DIR_IN ? SW_ENTRY_DIRECTORY : SW_ENTRY_FILE) &&
			item->size == (made == DIR_IN ? 0 : i % 11) && item->relation == (made == RELATION),
			"as what it is");
		bytes += item->size;
	}
	tap_is_int((long long)found.count, (long long)expected, "and nothing else");
	tap_is_int((long long)found.bytes, (long long)bytes, "bytes are added up");
	tap_is_int(find(&found, "base/5/16384.7")->first_block, 7 * BLOCKS, "a segment knows its first block");
	tap_is_int(find(&found, "base/5/16384_vm.1")->first_block, BLOCKS, "of each fork");
	sw_scan_release(&found);
}

static void
test_attributes(void)
{
	static const struct {
		struct timespec time;
		int64_t want_us;
	} cases[] = {
		{{1763640000, 123456789}, INT64_C(1763640000123456)},
		{{0, 0}, 0},
		{{-1, 999999999}, -1},
		{{INT64_C(253402300799), 999999999}, INT64_C(253402300799999999)},
		{{INT64_C(8000000000000), 0}, INT64_C(253402300799000000)}, /* where the file system has such times */
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;

	chmod(in_dir("PG_VERSION"), 0640);
	chmod(in_dir("log"), 0750);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct timespec times[2] = {cases[i].time, cases[i].time};
		struct stat st;

		if (utimensat(AT_FDCWD, in_dir("PG_VERSION"), times, 0) != 0 || stat(in_dir("PG_VERSION"), &st) != 0 ||
			st.st_mtim.tv_sec != cases[i].time.tv_sec) {
			tap_ok(true, "# SKIP this file system has no such time");
			continue;
		}
		scan(&found, &err);
		tap_ok(find(&found, "PG_VERSION")->mtime_us == cases[i].want_us, "time %zu is kept, or the nearest that a "
			"manifest can hold", i);
		tap_ok(find(&found, "PG_VERSION")->mode == 0640 && find(&found, "log")->mode == 0750, "and so are modes");
		sw_scan_release(&found);
	}
}

static void
test_links(void)
{
	static const struct {
		const char *target, *path, *what;
		enum sw_entry_type type;
	} cases[] = {
		{"/etc/ssl/server.key", "server.key", "a link to a file elsewhere", SW_ENTRY_LINK},
		{"nowhere", "dangling", "a link to nothing", SW_ENTRY_LINK},
		{"base", "base-link", "a link to a directory here", SW_ENTRY_LINK},
		{".", "loop", "a link to the directory itself", SW_ENTRY_LINK},
		{"nowhere", "pg_tblspc/not-an-oid", "a link in pg_tblspc without an OID", SW_ENTRY_LINK},
		{"nowhere", "pg_tblspc/016384", "a link in pg_tblspc with a zero in front", SW_ENTRY_LINK},
		{"nowhere", "pg_tblspc/4294967296", "a link in pg_tblspc with more than 32 bits", SW_ENTRY_LINK},
		{"nowhere", "pg_tblspc/16401", "a tablespace whose place is gone", SW_ENTRY_TABLESPACE},
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;

	for (size_t i = 0; i < COUNT(cases); i++)
		make_link(cases[i].target, cases[i].path);
	tap_is(sw_rc_name(scan(&found, &err)), "ok", "a directory with links is scanned");
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct sw_scan_item *item = find(&found, cases[i].path);

		tap_ok(item != NULL && item->type == cases[i].type && strcmp(item->target, cases[i].target) == 0 &&
			item->size == 0, "%s is kept as it is", cases[i].what);
	}
	tap_ok(find(&found, "base-link/5") == NULL && find(&found, "loop/base") == NULL, "and not followed");
	sw_scan_release(&found);
	for (size_t i = 0; i < COUNT(cases); i++)
		unlink(in_dir(cases[i].path));
}

static void
test_tablespaces(void)
{
	static const char *const in[] = {"pg_tblspc/16400/" VERSION_DIR, "pg_tblspc/16400/" VERSION_DIR "/5",
		"pg_tblspc/16400/" VERSION_DIR "/5/16384", "pg_tblspc/16400/" VERSION_DIR "/5/20000_init", "pg_tblspc/16402",
		"pg_tblspc/16402/" VERSION_DIR, "pg_tblspc/16402/" VERSION_DIR "/5/16384"},
		*const out[] = {"pg_tblspc/16400/PG_14_202107181", "pg_tblspc/16400/PG_14_202107181/5/16384",
		"pg_tblspc/16400/lost+found", "pg_tblspc/16400/" VERSION_DIR "/5/20000", "pg_tblspc/16400/" VERSION_DIR "/5/t3_1",
		"pg_tblspc/16400/" VERSION_DIR "/pgsql_tmp"};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;
	char other[4096];

	scratch_make(other);
	scratch_file(other, VERSION_DIR "/5/16384", "x", 1);
	scratch_file(other, VERSION_DIR "/5/20000", "x", 1);
	scratch_file(other, VERSION_DIR "/5/20000_init", "x", 1);
	scratch_file(other, VERSION_DIR "/5/t3_1", "x", 1);
	scratch_file(other, VERSION_DIR "/pgsql_tmp/pgsql_tmp1.0", "x", 1);
	scratch_file(other, "PG_14_202107181/5/16384", "x", 1);
	scratch_file(other, "lost+found/x", "x", 1);
	make_link(other, "pg_tblspc/16400");
	scratch_file(dir, "pg_tblspc/16402/" VERSION_DIR "/5/16384", "x", 1); /* allow_in_place_tablespaces */
	tap_is(sw_rc_name(scan(&found, &err)), "ok", "tablespaces are scanned");
	tap_ok(find(&found, "pg_tblspc/16400") != NULL && find(&found, "pg_tblspc/16400")->type == SW_ENTRY_TABLESPACE &&
		strcmp(find(&found, "pg_tblspc/16400")->target, other) == 0, "the link is one");
	for (size_t i = 0; i < COUNT(in); i++)
		tap_ok(find(&found, in[i]) != NULL, "%s belongs to the backup", in[i]);
	for (size_t i = 0; i < COUNT(out); i++)
		tap_ok(find(&found, out[i]) == NULL, "%s does not", out[i]);
	tap_ok(find(&found, in[2])->relation, "and pages are pages");
	sw_scan_release(&found);
	unlink(in_dir("pg_tblspc/16400"));
	scratch_remove(in_dir("pg_tblspc/16402"));
	scratch_remove(other);
}

/* pg_wal and pg_stat_tmp are often links to other disks. */
static void
test_linked_directories(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;
	char other[4096];

	scratch_make(other);
	scratch_file(other, "000000010000000000000001", "x", 1);
	scratch_remove(in_dir("pg_wal"));
	scratch_remove(in_dir("pg_stat_tmp"));
	scratch_remove(in_dir("pg_replslot"));
	make_link(other, "pg_wal");
	make_link(other, "pg_stat_tmp");
	make_link("nowhere", "pg_replslot");
	tap_is(sw_rc_name(scan(&found, &err)), "ok", "linked directories are scanned");
	tap_ok(find(&found, "pg_wal") != NULL && find(&found, "pg_wal")->type == SW_ENTRY_LINK &&
		strcmp(find(&found, "pg_wal")->target, other) == 0, "a linked pg_wal is a link");
	tap_ok(find(&found, "pg_wal/archive_status") != NULL &&
		find(&found, "pg_wal/archive_status")->type == SW_ENTRY_DIRECTORY, "with its archive_status");
	tap_ok(find(&found, "pg_stat_tmp") != NULL && find(&found, "pg_stat_tmp")->type == SW_ENTRY_DIRECTORY &&
		find(&found, "pg_stat_tmp")->target == NULL, "a linked pg_stat_tmp is given back as a directory");
	tap_ok(find(&found, "pg_replslot") != NULL && find(&found, "pg_replslot")->type == SW_ENTRY_DIRECTORY &&
		find(&found, "pg_replslot")->mode == 0700, "also if the link leads nowhere");
	tap_ok(find(&found, "pg_wal/000000010000000000000001") == NULL &&
		find(&found, "pg_stat_tmp/000000010000000000000001") == NULL, "and what is there is left out");
	sw_scan_release(&found);
	unlink(in_dir("pg_wal"));
	unlink(in_dir("pg_stat_tmp"));
	unlink(in_dir("pg_replslot"));
	scratch_remove(other);
}

static void
test_names_that_are_not_utf8(void)
{
	static const struct {
		const char *path, *target, *shown;
	} cases[] = {
		{"log/m\xfcller.log", NULL, "log/m\\xfcller.log"},
		{"log/\xed\xa0\x80\n", NULL, "log/\\xed\\xa0\\x80\\x0a"},
		{"log/link", "/m\xfcller", "/m\\xfcller"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_scan found;

		if (cases[i].target != NULL)
			make_link(cases[i].target, cases[i].path);
		else
			scratch_file(dir, cases[i].path, "x", 1);
		tap_is(sw_rc_name(scan(&found, &err)), "corrupt", "a name that is not UTF-8 is refused before anything is read");
		tap_ok(strstr(err.text, cases[i].shown) != NULL && strstr(err.hint, "rename or remove") != NULL,
			"it is shown legibly, with what to do");
		tap_ok(found.items == NULL, "the output is untouched");
		unlink(in_dir(cases[i].path));
	}
	scratch_file(dir, "pg_notify/\xff", "x", 1);
	scratch_file(dir, "base/pgsql_tmp/\xff", "x", 1);
	{
		struct sw_error err = SW_ERROR_INIT;
		struct sw_scan found;

		tap_is(sw_rc_name(scan(&found, &err)), "ok", "but not where it is left out anyway");
		sw_scan_release(&found);
	}
	unlink(in_dir("pg_notify/\xff"));
	unlink(in_dir("base/pgsql_tmp/\xff"));
}

/* Make `depth` directories in each other, from within. */
static void
dig(const char *top, int depth)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);

	make_dir(top);
	if (chdir(in_dir(top)) != 0)
		perror(top);
	for (int i = 1; i < depth; i++)
		if (mkdir("d", 0700) != 0 || chdir("d") != 0)
			perror("d");
	if (fchdir(here) != 0)
		perror("fchdir");
	close(here);
}

static void
test_depth(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found;

	dig("deep", 500);
	tap_is(sw_rc_name(scan(&found, &err)), "ok", "directories 500 deep are scanned");
	sw_scan_release(&found);
	scratch_remove(in_dir("deep"));
	dig("deep", 600);
	tap_is(sw_rc_name(scan(&found, &err)), "system", "600 deep they are refused");
	tap_ok(strstr(err.text, "deep/d/d") != NULL && err.hint[0] != '\0', "with name and hint");
	scratch_remove(in_dir("deep"));
}

static void
test_failures(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found = {0};

	tap_ok(sw_scan_run(in_dir("PG_VERSION"), 15, 202209061, BLOCKS, &found, &err) == SW_SYSTEM &&
		found.items == NULL, "a file is no data directory");
	if (geteuid() == 0) {
		tap_ok(true, "# SKIP root may read everything");
		return;
	}
	chmod(in_dir("base/5"), 0);
	tap_is(sw_rc_name(scan(&found, &err)), "denied", "a directory that may not be read fails the scan");
	tap_ok(strstr(err.text, "base/5") != NULL && err.hint[0] != '\0', "with name and hint");
	chmod(in_dir("base/5"), 0700);
}

/* --- files that come and go -------------------------------------------------------------------- */

static atomic_bool stop;

static void *
come_and_go(void *arg)
{
	char path[2][8192];

	(void)arg;
	snprintf(path[0], sizeof(path[0]), "%s/base/7", dir);
	snprintf(path[1], sizeof(path[1]), "%s/base/7/16384", dir);
	while (!atomic_load(&stop)) {
		mkdir(path[0], 0700);
		close(open(path[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		unlink(path[1]);
		rmdir(path[0]);
	}
	return NULL;
}

static void
test_vanishing(void)
{
	size_t wrong = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, come_and_go, NULL);
	for (int i = 0; i < 200; i++) {
		struct sw_error err = SW_ERROR_INIT;
		struct sw_scan found;

		if (scan(&found, &err) == SW_OK && find(&found, "base/6/2000") != NULL)
			sw_scan_release(&found);
		else if (wrong++ == 0)
			tap_note("%s", err.text);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	tap_is_int((long long)wrong, 0, "files and directories that vanish meanwhile are no failure");
}

static void
test_many(void)
{
	struct sw_scan_item item = {.type = SW_ENTRY_LINK, .path = (char *)"p", .target = (char *)"t", .size = 3};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_scan found = {0};
	bool ok = true;

	for (int i = 0; i < 1000; i++)
		ok &= sw_scan_add(&found, &item, &err) == SW_OK;
	for (size_t i = 0; i < found.count; i++)
		ok &= strcmp(found.items[i].path, "p") == 0 && strcmp(found.items[i].target, "t") == 0 &&
			found.items[i].path != item.path;
	tap_ok(ok && found.count == 1000 && found.bytes == 3000, "items are copied");
	sw_scan_release(&found);
	tap_ok(found.items == NULL && found.count == 0, "and released");
}

int
main(void)
{
	scratch_make(dir);
	make_tree();
	test_tree();
	test_attributes();
	test_links();
	test_tablespaces();
	test_names_that_are_not_utf8();
	test_depth();
	test_failures();
	test_vanishing();
	test_linked_directories();
	test_many();
	scratch_remove(dir);
	return tap_done();
}
