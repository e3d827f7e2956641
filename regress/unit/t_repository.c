#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "archive/repository.h"
#include "base/clock.h"
#include "base/json.h"
#include "scratch.h"
#include "store/posix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SYSTEM UINT64_C(17710216540988632115)
#define OBJECT "main/17710216540988632115/cluster.json"

static char dir[4096];

static struct sw_store *
open_store(const char *path)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store;

	if (sw_posix_open(path, &store, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	return store;
}

static struct sw_registration
registration(uint64_t system_identifier)
{
	return (struct sw_registration){
		.system_identifier = system_identifier,
		.major = 15,
		.segment_size = 16 * 1024 * 1024,
		.block_size = 8192,
		.wal_block_size = 16384,
		.traits = {.put_if_absent = true, .versioned = true},
	};
}

/* --- there and back ------------------------------------------------------------------- */

static void
test_registration(struct sw_store *store)
{
	struct sw_registration reg = registration(SYSTEM), again = registration(SYSTEM);
	struct sw_repository repo;
	struct sw_error err = SW_ERROR_INIT;

	sw_clock_set(INT64_C(1763640000123456));
	tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM, &repo, &err)), "not found",
		"before init there is no cluster");
	tap_ok(strstr(err.hint, "seawall init") != NULL, "and what to do is said");
	tap_is(sw_rc_name(sw_repository_register(store, "main", &reg, &err)), "ok", "a cluster is registered");
	tap_is(sw_rc_name(sw_repository_register(store, "main", &again, &err)), "conflict", "but once only");
	tap_ok(strcmp(reg.id, again.id) != 0 && memcmp(reg.page_hash_secret, again.page_hash_secret,
		SW_PAGE_HASH_SECRET_LEN) != 0, "each registration has an id and a secret of its own");
	tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM, &repo, &err)), "ok", "it is opened");
	tap_ok(memcmp(&repo.reg, &reg, sizeof(reg)) == 0, "all that was registered is read");
	tap_ok(reg.created_us == INT64_C(1763640000123456), "to the microsecond");
	tap_is(repo.prefix, "main/17710216540988632115/", "its names have a prefix");
	tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM - 1, &repo, &err)), "not found",
		"another system identifier is another cluster");
	tap_is(sw_rc_name(sw_repository_open(store, "mai", SYSTEM, &repo, &err)), "not found", "so is another name");
	sw_clock_set(-1);
}

static void
test_names(struct sw_store *store)
{
	static const struct {
		struct sw_wal_name name;
		const char *want;
	} cases[] = {
		{{SW_WAL_SEGMENT, 1, 3, 0}, "main/17710216540988632115/wal/00000001/000000010000000000000003.zst"},
		{{SW_WAL_PARTIAL, 0xa0, 0x1ff, 0},
			"main/17710216540988632115/wal/000000A0/000000A000000001000000FF.partial.zst"},
		{{SW_WAL_BACKUP, 1, 3, 0x28},
			"main/17710216540988632115/wal/00000001/000000010000000000000003.00000028.backup.zst"},
		{{SW_WAL_HISTORY, 2, 0, 0}, "main/17710216540988632115/wal/00000002/00000002.history.zst"},
	};
	struct sw_error err = SW_ERROR_INIT;
	char name[SW_STORE_NAME_MAX];
	struct sw_repository repo;

	sw_repository_open(store, "main", SYSTEM, &repo, &err);
	for (size_t i = 0; i < COUNT(cases); i++)
		tap_is(sw_repository_wal_name(&repo, &cases[i].name, name), cases[i].want, "the name of WAL file %zu", i);
	tap_is(sw_repository_name(&repo, name, "pack/%s/%06d", "x", 7), "main/17710216540988632115/pack/x/000007",
		"another name");
}

static void
test_absence_is_proved(void)
{
	char missing[sizeof(dir) + 16];
	SW_AUTO_STORE *store = NULL;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_repository repo;

	snprintf(missing, sizeof(missing), "%s/missing", dir);
	store = open_store(missing);
	tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM, &repo, &err)), "system",
		"a repository that is not there never says that a cluster is not registered");
}

/* --- several ----------------------------------------------------------------------------- */

static void
test_list(void)
{
	static const struct {
		const char *cluster;
		uint64_t system;
		int64_t created_us;
	} made[] = {
		{"main", 500, 1000000},
		{"main", 1000, 3000000},
		{"main", 10000, 2000000}, /* sorts within 1000's names, but for the slash */
		{"main-2", 600, 1000000},
		{"mai", 700, 1000000},
	};
	char root[sizeof(dir) + 16];
	SW_AUTO_STORE *store = NULL;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_registration found[8];
	size_t count = 99;

	snprintf(root, sizeof(root), "%s/list", dir);
	store = open_store(root);
	for (size_t i = 0; i < COUNT(made); i++) {
		struct sw_registration reg = registration(made[i].system);

		sw_clock_set(made[i].created_us);
		if (sw_repository_register(store, made[i].cluster, &reg, &err) != SW_OK)
			tap_note("%s", err.text);
	}
	sw_clock_set(-1);
	scratch_file(root, "main/README", "x", 1);
	scratch_file(root, "main/1000/wal/00000001/a.zst", "x", 1);
	scratch_file(root, "main/1000/zzz", "x", 1);
	scratch_file(root, "main/9999/wal/00000001/a.zst", "x", 1);
	tap_is(sw_rc_name(sw_repository_list(store, "main", found, 8, &count, &err)), "ok", "clusters are listed");
	tap_is_int((long long)count, 3, "each once, without what is not registered");
	tap_ok(count == 3 && found[0].system_identifier == 500 && found[1].system_identifier == 10000 &&
		found[2].system_identifier == 1000, "oldest first");
	tap_ok(sw_repository_list(store, "none", found, 8, &count, &err) == SW_OK && count == 0,
		"a name that nobody registered has none");
	tap_ok(sw_repository_list(store, "main", found, 2, &count, &err) == SW_OK && count == 2,
		"no more than there is room for");
}

/* A tree that was copied below another system identifier. */
static void
test_moved_tree(const char *text, size_t len)
{
	char root[sizeof(dir) + 16];
	SW_AUTO_STORE *store = NULL;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_registration found[8];
	struct sw_repository repo;
	size_t count = 99;

	snprintf(root, sizeof(root), "%s/moved", dir);
	store = open_store(root);
	scratch_file(root, "main/42/cluster.json", text, len);
	tap_is(sw_rc_name(sw_repository_open(store, "main", 42, &repo, &err)), "corrupt",
		"a registration below another system identifier is refused");
	tap_ok(strstr(err.text, "main/42/cluster.json") != NULL && strstr(err.text, "17710216540988632115") != NULL,
		"both are named");
	tap_is(sw_rc_name(sw_repository_list(store, "main", found, 8, &count, &err)), "corrupt", "also in a list");
	tap_is_int((long long)count, 99, "whose output is untouched");
}

/* --- damage --------------------------------------------------------------------------------- */

struct damage {
	const char *from, *to, *what;
	sw_rc want;
};

static const struct damage damages[] = {
	{"\"cluster\"", "\"manifest\"", "another kind", SW_CORRUPT},
	{"\"version\": 1", "\"version\": 2", "a newer version", SW_CONFIG},
	{"\"id\": \"", "\"id\": \"x", "an id too long", SW_CORRUPT},
	{"\"id\"", "\"ie\"", "no id", SW_CORRUPT},
	{"\"17710216540988632115\"", "\"17710216540988632116\"", "another system identifier", SW_CORRUPT},
	{"\"17710216540988632115\"", "\"\"", "no system identifier", SW_CORRUPT},
	{"\"pg_major\": 15", "\"pg_major\": -1", "a negative version of PostgreSQL", SW_CORRUPT},
	{"\"segment_size\": 16777216", "\"segment_size\": 16777215", "segments of an odd size", SW_CORRUPT},
	{"\"segment_size\": 16777216", "\"segment_size\": 0", "empty segments", SW_CORRUPT},
	{"\"block_size\": 8192", "\"block_size\": 0", "empty blocks", SW_CORRUPT},
	{"\"block_size\": 8192", "\"block_size\": 8191", "blocks of an odd size", SW_CORRUPT},
	{"\"block_size\": 8192", "\"block_size\": 65536", "blocks too large", SW_CORRUPT},
	{"\"created\": \"2", "\"created\": \"x", "a malformed time", SW_CORRUPT},
	{"\"xxh3-128\"", "\"siphash\"", "an unknown page hash", SW_CONFIG},
	{"\"page_hash\"", "\"page_hush\"", "no page hash", SW_CORRUPT},
	{"\"page_hash_secret\": \"", "\"page_hash_secret\": \"00", "a secret too long", SW_CORRUPT},
	{"\"page_hash_secret\": \"", "\"page_hash_secret\": \"\", \"x\": \"", "an empty secret", SW_CORRUPT},
	{"\"page_hash_secret\": \"", "\"page_hash_secret\" \"", "a secret without its colon", SW_CORRUPT},
	{"\"put_if_absent\": true", "\"put_if_absent\": 1", "a trait that is neither true nor false", SW_CORRUPT},
	{"\"store\"", "\"stare\"", "no traits", SW_CORRUPT},
};

/* What is said of a damaged registration. */
static void
check_words(const struct sw_error *err, const struct sw_registration *good, const char *what)
{
	char secret[2 * SW_PAGE_HASH_SECRET_LEN + 1], bit[9] = "";
	bool told = false;

	sw_hex(good->page_hash_secret, SW_PAGE_HASH_SECRET_LEN, secret);
	for (size_t i = 0; i + 8 < sizeof(secret); i++) {
		memcpy(bit, secret + i, 8);
		told |= strstr(err->text, bit) != NULL || strstr(err->hint, bit) != NULL;
	}
	if (!tap_ok(strstr(err->text, OBJECT " in file://") != NULL && err->hint[0] != '\0' && !told,
		"%s: object, place and what to do are named, the secret is not", what))
		tap_note("%s; %s", err->text, err->hint);
}

static void
test_damages(struct sw_store *store, const char *text, const struct sw_registration *good)
{
	for (size_t i = 0; i < COUNT(damages); i++) {
		const struct damage *d = &damages[i];
		const char *at = strstr(text, d->from);
		struct sw_error err = SW_ERROR_INIT;
		struct sw_repository repo;
		SW_AUTO_FREE char *bad = NULL;

		if (at == NULL || asprintf(&bad, "%.*s%s%s", (int)(at - text), text, d->to, at + strlen(d->from)) < 0) {
			tap_ok(false, "%s: not in the text", d->what);
			continue;
		}
		scratch_file(dir, OBJECT, bad, strlen(bad));
		tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM, &repo, &err)), sw_rc_name(d->want),
			"a registration with %s", d->what);
		check_words(&err, good, d->what);
	}
}

static void
test_cut(struct sw_store *store, const char *text, size_t len, const struct sw_registration *good)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_repository repo;
	SW_AUTO_FREE char *huge = calloc(1, 20000);
	size_t wrong = 0;

	for (size_t i = 0; i < len; i++) {
		scratch_file(dir, OBJECT, text, i);
		wrong += sw_repository_open(store, "main", SYSTEM, &repo, &err) != SW_CORRUPT;
		if (i % 100 == 0)
			check_words(&err, good, "cut");
	}
	tap_is_int((long long)wrong, 0, "a registration of %zu bytes is damaged wherever it is cut", len);
	memset(huge, ' ', 20000);
	memcpy(huge, text, len);
	scratch_file(dir, OBJECT, huge, 20000);
	tap_is(sw_rc_name(sw_repository_open(store, "main", SYSTEM, &repo, &err)), "corrupt",
		"one of 20,000 bytes is not read");
	tap_ok(strstr(err.text, OBJECT) != NULL, "and named");
}

static void
test_damaged(struct sw_store *store)
{
	char path[sizeof(dir) + 128];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_repository good;
	SW_AUTO_BUF text = {0};

	snprintf(path, sizeof(path), "%s/%s", dir, OBJECT);
	if (sw_file_read(path, 65536, &text, &err) != SW_OK ||
		sw_repository_open(store, "main", SYSTEM, &good, &err) != SW_OK) {
		tap_ok(false, "%s", err.text);
		return;
	}
	test_moved_tree((char *)text.data, text.len);
	test_damages(store, (char *)text.data, &good.reg);
	test_cut(store, (char *)text.data, text.len, &good.reg);
}

int
main(void)
{
	struct sw_store *store;

	scratch_make(dir);
	store = open_store(dir);
	test_registration(store);
	test_names(store);
	test_absence_is_proved();
	test_list();
	test_damaged(store);
	sw_store_free(store);
	scratch_remove(dir);
	return tap_done();
}
