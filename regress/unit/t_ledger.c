#include "archive/ledger.h"

#include <string.h>

#include "../tap.h"
#include "config/config.h"
#include "scratch.h"

#define NAME "000000010000000000000003"
#define SYSTEM 7710216540988632115u

static char dir[4096];
static const uint8_t registrations[SW_LEDGER_HASH_LEN] = "registrations", others[SW_LEDGER_HASH_LEN] = "others";

/* The options of a configuration without a file. */
static struct sw_config *
configure(const char *const *options)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	char *args[8];
	int argc = 0;

	for (; options[argc] != NULL; argc++)
		args[argc] = (char *)options[argc];
	if (sw_config_load(SW_CMD_PUSH, argc, args, &config, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	return config;
}

static struct sw_ledger
ledger_of(const char *const *options, uint64_t system_identifier)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = configure(options);
	struct sw_ledger ledger;
	char path[8192];

	snprintf(path, sizeof(path), "%s/pg_wal/" NAME, dir);
	if (sw_ledger_init(&ledger, config, path, system_identifier, &err) != SW_OK)
		exit(2);
	sw_config_free(config);
	return ledger;
}

static struct sw_ledger_file
identify(const char *name, bool wal)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_ledger_file file = {0};
	char path[8192];
	int fd;

	snprintf(path, sizeof(path), "%s/pg_wal/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	tap_is(sw_rc_name(sw_ledger_identify(fd, wal, path, &file, &err)), "ok", "%s is identified", name);
	close(fd);
	return file;
}

static const char *const plain[] = {"--repo-url=file:///srv/a", NULL};

static bool
exists(const struct sw_ledger *ledger, const char *name)
{
	char path[8192];

	snprintf(path, sizeof(path), "%s/%s", ledger->dir, name);
	return access(path, F_OK) == 0;
}

static void
test_entry(struct sw_ledger *ledger, const struct sw_ledger_file *file)
{
	struct sw_error err = SW_ERROR_INIT;
	uint8_t bytes[201];
	char path[8192], text[256];
	size_t counted = 0;
	int fd;

	tap_ok(!sw_ledger_has(ledger, NAME, file), "no entry");
	tap_is(sw_rc_name(sw_ledger_note(ledger, NAME, file, registrations, &err)), "ok", "one is made");
	tap_ok(sw_ledger_has(ledger, NAME, file), "and counts");
	snprintf(text, sizeof(text), "tmp.%s", NAME);
	tap_ok(!exists(ledger, text), "nothing else is left");

	snprintf(path, sizeof(path), "%s/%s", ledger->dir, NAME);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	tap_is_int(read(fd, bytes, sizeof(bytes)), 200, "an entry has 200 bytes");
	close(fd);
	for (size_t bit = 0; bit < 200u * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		scratch_file(ledger->dir, NAME, bytes, 200);
		counted += sw_ledger_has(ledger, NAME, file);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	tap_is_int((long long)counted, 0, "with any bit flipped it does not count");
	for (size_t len = 0; len < 200; len++) {
		scratch_file(ledger->dir, NAME, bytes, len);
		counted += sw_ledger_has(ledger, NAME, file);
	}
	tap_is_int((long long)counted, 0, "nor cut");
	scratch_file(ledger->dir, NAME, bytes, 201);
	tap_ok(!sw_ledger_has(ledger, NAME, file), "nor with more behind it");
	scratch_file(ledger->dir, NAME, bytes, 200);
	tap_ok(sw_ledger_has(ledger, NAME, file), "nothing of this spoilt it");
	tap_ok(!sw_ledger_has(ledger, "000000010000000000000004", file), "it is of one name");
	rename(path, strcat(strcpy(text, ledger->dir), "/000000010000000000000004"));
	tap_ok(!sw_ledger_has(ledger, "000000010000000000000004", file), "also when it lies under another");
	tap_ok(symlink(text, path) == 0 && !sw_ledger_has(ledger, NAME, file), "a link is none");
	sw_ledger_drop(ledger, NAME);
	tap_ok(rename(text, path) == 0 && sw_ledger_has(ledger, NAME, file), "back in its place it counts");
}

static void
test_identity(struct sw_ledger *ledger, const struct sw_ledger_file *file)
{
	static const char *const fields[] = {"device", "inode", "size", "mtime", "ctime"};
	struct sw_ledger_file odd;

	for (size_t i = 0; i < 5; i++) {
		odd = *file;
		((uint64_t *)&odd)[i]++;
		tap_ok(!sw_ledger_has(ledger, NAME, &odd), "another %s", fields[i]);
	}
	odd = *file;
	odd.page[SW_LEDGER_PAGE_LEN - 1] ^= 1;
	tap_ok(!sw_ledger_has(ledger, NAME, &odd), "another page header");
}

static void
test_configuration(const struct sw_ledger_file *file)
{
	static const struct {
		const char *what, *options[4];
		uint64_t system;
		bool counts;
	} cases[] = {
		{"the same", {"--repo-url=file:///srv/a"}, SYSTEM, true},
		{"another log level", {"--repo-url=file:///srv/a", "--log-level=debug"}, SYSTEM, true},
		{"another system identifier", {"--repo-url=file:///srv/a"}, SYSTEM + 1, false},
		{"another repository", {"--repo-url=file:///srv/b"}, SYSTEM, false},
		{"another cluster", {"--repo-url=file:///srv/a", "--cluster=other"}, SYSTEM, false},
		{"an endpoint", {"--repo-url=file:///srv/a", "--s3-endpoint=https://x"}, SYSTEM, false},
		{"a region", {"--repo-url=file:///srv/a", "--s3-region=x"}, SYSTEM, false},
		{"an addressing", {"--repo-url=file:///srv/a", "--s3-addressing=virtual"}, SYSTEM, false},
		{"an address", {"--repo-url=file:///srv/a", "--s3-resolve=x:1:::1"}, SYSTEM, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_ledger ledger = ledger_of(cases[i].options, cases[i].system);

		tap_is_int(sw_ledger_has(&ledger, NAME, file), cases[i].counts, "%s", cases[i].what);
		sw_ledger_release(&ledger);
	}
}

static void
test_lock(struct sw_ledger *ledger)
{
	struct sw_error err = SW_ERROR_INIT;
	int lock = -1, second = -1;
	struct stat st;

	tap_is(sw_rc_name(sw_ledger_lock(ledger, &lock, &err)), "ok", "the lock (%s)", err.text);
	tap_is(sw_rc_name(sw_ledger_lock(ledger, &second, &err)), "transient", "has one owner");
	tap_is_int(second, -1, "the other gets nothing");
	close(lock);
	tap_is(sw_rc_name(sw_ledger_lock(ledger, &lock, &err)), "ok", "and is given back");
	tap_ok(stat(ledger->dir, &st) == 0 && (st.st_mode & 07777) == 0700, "the directory is private");
	close(lock);
	chmod(ledger->dir, 0770);
	tap_is(sw_rc_name(sw_ledger_lock(ledger, &lock, &err)), "system", "one that is not, is not used");
	chmod(ledger->dir, 0700);
}

static void
test_clean(struct sw_ledger *ledger, const struct sw_ledger_file *file)
{
	struct sw_error err = SW_ERROR_INIT;
	char status[8192];

	snprintf(status, sizeof(status), "%s/pg_wal/archive_status", dir);
	scratch_file(status, NAME ".ready", "", 0);
	scratch_file(status, "000000010000000000000005.ready", "", 0);
	scratch_file(status, "000000010000000000000006.done", "", 0);
	sw_ledger_note(ledger, NAME, file, registrations, &err);
	sw_ledger_note(ledger, "000000010000000000000005", file, others, &err);
	sw_ledger_note(ledger, "000000010000000000000006", file, registrations, &err);
	scratch_file(ledger->dir, "tmp." NAME, "x", 1);
	scratch_file(ledger->dir, "000000010000000000000007", "x", 1);
	sw_ledger_clean(ledger, status, registrations);
	tap_ok(sw_ledger_has(ledger, NAME, file), "what is ready and noted stays");
	tap_ok(!exists(ledger, "000000010000000000000005"), "what was put in another registration goes");
	tap_ok(!exists(ledger, "000000010000000000000006"), "what is not ready goes");
	tap_ok(!exists(ledger, "000000010000000000000007"), "what is no entry goes");
	tap_ok(!exists(ledger, "tmp." NAME), "what a crash left goes");
	tap_ok(exists(ledger, "lock"), "the lock stays");
	sw_ledger_drop(ledger, NAME);
	tap_ok(!exists(ledger, NAME), "an entry is dropped");
	sw_ledger_drop(ledger, NAME);
}

int
main(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_ledger_file file, history;
	struct sw_ledger ledger;
	char segment[8192];
	int fd;

	clearenv();
	scratch_make(dir);
	memset(segment, 'w', sizeof(segment));
	scratch_file(dir, "pg_wal/" NAME, segment, sizeof(segment));
	scratch_file(dir, "pg_wal/00000002.history", "x", 1);
	ledger = ledger_of(plain, SYSTEM);
	tap_ok(strstr(ledger.dir, "/pg_wal/seawall.spool/push/7710216540988632115") != NULL, "beside the file, by system identifier");
	file = identify(NAME, true);
	tap_ok(memcmp(file.page, segment, SW_LEDGER_PAGE_LEN) == 0, "by its first bytes");
	history = identify("00000002.history", false);
	tap_is_int(history.page[0], 0, "not of what is no WAL");
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tap_is(sw_rc_name(sw_ledger_identify(fd, true, "x", &file, &err)), "corrupt", "no WAL where there is to be some");
	close(fd);

	test_lock(&ledger);
	test_entry(&ledger, &file);
	test_identity(&ledger, &file);
	test_configuration(&file);
	test_clean(&ledger, &file);
	sw_ledger_release(&ledger);
	scratch_remove(dir);
	return tap_done();
}
