#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "base/clock.h"
#include "base/json.h"
#include "catalog/lineage.h"
#include "scratch.h"
#include "store/posix.h"

#define SYSTEM UINT64_C(17710216540988632115)
#define OTHER "{\"seawall\":\"lineage\",\"version\":1,\"act\":\"drill\",\"result\":\"done\",\"started\":\"2025-11-20T12:00:00.000000Z\"," \
	"\"finished\":\"2025-11-20T12:00:0%d.000000Z\",\"host\":\"db2\",\"user\":\"x\",\"program\":\"seawall\",\"writer\":\"db2-x\",\"seq\":%d," \
	"\"previous\":\"%s\",\"heads\":[]}"

static char dir[4096], spool[8192], chain[4096];
static struct sw_repository repo;

static void
begin(void)
{
	struct sw_registration reg = {.system_identifier = SYSTEM, .major = 15, .segment_size = 16 << 20, .block_size = 8192, .wal_block_size = 8192,
		.traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store;

	scratch_make(dir);
	snprintf(spool, sizeof(spool), "%s/spool/lineage", dir);
	if (sw_posix_open(dir, &store, &err) != SW_OK || sw_repository_register(store, "main", &reg, &err) != SW_OK ||
		sw_repository_open(store, "main", SYSTEM, &repo, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
}

static void
end(void)
{
	sw_store_free(repo.store);
	scratch_remove(dir);
}

/* At second `at` of a made-up minute. */
static sw_rc
append(const char *act, int at, struct sw_error *err)
{
	SW_AUTO_JSON *what = json_pack("{s:s, s:i}", "label", "L1", "size", 7);
	struct sw_lineage_act done = {.act = act, .result = "done", .reason = "a t\xffst", .what = what,
		.started_us = INT64_C(1763640000000000), .finished_us = INT64_C(1763640000000000) + at * INT64_C(1000000)};

	return sw_lineage_append(&repo, &done, spool, err);
}

static void
find_chain(void)
{
	char path[8192];
	const struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "%s/main/%" PRIu64 "/lineage", dir, SYSTEM);
	d = opendir(path);
	while (d != NULL && (entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "db2-x") != 0)
			snprintf(chain, sizeof(chain), "%.200s", entry->d_name);
	if (d != NULL)
		closedir(d);
}

static char *
path_of(const char *writer, int seq, char path[8192])
{
	snprintf(path, 8192, "main/%" PRIu64 "/lineage/%.100s/%010d.json", SYSTEM, writer, seq);
	return path;
}

static void
put_other(int seq, int at, const char *previous)
{
	char text[1024], path[8192];

	snprintf(text, sizeof(text), OTHER, at, seq, previous);
	scratch_file(dir, path_of("db2-x", seq, path), text, strlen(text));
}

/* Whether verify finds `broken` places, the first of which says `words`. */
static void
is_proof(size_t broken, const char *words, const char *name)
{
	struct sw_lineage_proof proof = {0};
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_lineage_verify(&repo, NULL, NULL, &proof, &err);

	tap_ok(rc == SW_OK && proof.broken == broken && strstr(proof.first_broken, words) != NULL, "%s", name);
	if (rc != SW_OK || proof.broken != broken || strstr(proof.first_broken, words) == NULL)
		tap_note("%s: %zu broken, the first: %s; %s", sw_rc_name(rc), proof.broken, proof.first_broken, err.text);
}

static void
change(const char *writer, int seq, const char *from, const char *to)
{
	char path[8192], full[16384];
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf = {0};
	char *at;

	snprintf(full, sizeof(full), "%s/%s", dir, path_of(writer, seq, path));
	if (sw_file_read(full, SW_LINEAGE_ENTRY_MAX, &buf, &err) != SW_OK || (at = strstr((char *)buf.data, from)) == NULL) {
		tap_ok(false, "the entry can be changed");
		return;
	}
	memcpy(at, to, strlen(to));
	scratch_file(dir, path, buf.data, buf.len);
}

static void
drop(const char *writer, int seq)
{
	char path[8192], full[16384];

	snprintf(full, sizeof(full), "%s/%s", dir, path_of(writer, seq, path));
	unlink(full);
}

static void
test_reading(void)
{
	struct sw_lineage_filter filter = {.since_us = INT64_MIN, .until_us = INT64_MAX};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_lineage lineage;

	begin();
	is_proof(0, "", "a lineage without entries is unbroken");
	tap_ok(append("backup", 1, &err) == SW_OK && append("restore", 2, &err) == SW_OK && append("backup", 3, &err) == SW_OK,
		"entries are appended");
	put_other(1, 2, "");
	is_proof(0, "", "and unbroken");
	tap_ok(sw_lineage_read(&repo, &filter, &lineage, &err) == SW_OK && lineage.count == 4 && lineage.unread == 0 &&
		lineage.entries[3].seq == 3 && lineage.entries[0].finished_us < lineage.entries[3].finished_us,
		"they are read in the order of time");
	sw_lineage_release(&lineage);
	filter.limit = 1;
	tap_ok(sw_lineage_read(&repo, &filter, &lineage, &err) == SW_OK && lineage.count == 1 && lineage.entries[0].seq == 3,
		"the newest alone");
	sw_lineage_release(&lineage);
	filter = (struct sw_lineage_filter){.since_us = INT64_MIN, .until_us = INT64_C(1763640000000000) + 2000000,
		.act = "backup"};
	tap_ok(sw_lineage_read(&repo, &filter, &lineage, &err) == SW_OK && lineage.count == 1 && lineage.entries[0].seq == 1,
		"by act and time");
	sw_lineage_release(&lineage);
	end();
}

static void
test_breaking(void)
{
	struct sw_error err = SW_ERROR_INIT;

	begin();
	put_other(1, 1, "");
	for (int i = 1; i <= 4; i++)
		tap_ok(append("backup", i, &err) == SW_OK, "entry %d", i);
	find_chain();
	is_proof(0, "", "two chains, unbroken");
	drop("db2-x", 1);
	is_proof(4, "db2-x", "a chain that others have seen and that is gone is told by each");
	put_other(1, 2, "");
	is_proof(4, "saw another entry 1 of db2-x", "and so is one that has another entry");
	put_other(1, 1, "");
	put_other(2, 3, "00");
	is_proof(1, "db2-x/0000000002.json does not follow", "an entry that does not follow the one before");
	drop("db2-x", 2);
	change(chain, 2, "\"size\":7", "\"size\":9");
	is_proof(1, "0000000003.json does not follow", "a changed entry is told by the one behind it");
	change(chain, 2, "\"size\":9", "\"size\":7");
	is_proof(0, "", "put right");
	change(chain, 2, "\"seq\":2", "\"seq\":8");
	is_proof(1, "0000000002.json is damaged: it is entry 8", "an entry under another's name");
	drop(chain, 2);
	is_proof(1, "0000000002.json is missing", "a removed one");
	drop(chain, 1);
	is_proof(2, "0000000001.json is missing", "a begin that was cut off");
	tap_ok(append("backup", 5, &err) == SW_OK, "a broken chain goes on");
	end();
}

static void
test_cutting(void)
{
	char text[1024], hex[2 * SW_SHA256_LEN + 1];
	uint8_t sha256[SW_SHA256_LEN];
	struct sw_error err = SW_ERROR_INIT;

	begin();
	snprintf(text, sizeof(text), OTHER, 1, 1, "");
	sw_sha256(text, strlen(text), sha256);
	put_other(1, 1, "");
	put_other(2, 2, sw_hex(sha256, sizeof(sha256), hex));
	tap_ok(append("backup", 3, &err) == SW_OK, "an entry that sees another chain's second");
	is_proof(0, "", "two chains, unbroken");
	drop("db2-x", 2);
	is_proof(1, "saw entry 2 of db2-x, which is gone", "a chain whose end was cut off is told by who saw it");
	end();
}

static int
count_spooled(void)
{
	const struct dirent *entry;
	DIR *d = opendir(spool);
	int count = 0;

	while (d != NULL && (entry = readdir(d)) != NULL)
		count += entry->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return count;
}

static void
test_spool(void)
{
	struct sw_lineage_filter filter = {.since_us = INT64_MIN, .until_us = INT64_MAX};
	struct sw_lineage_act act = {.act = "restore", .result = "failed", .error = "why", .started_us = 1763640000000000,
		.finished_us = 1763640000000000};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_lineage lineage;
	struct stat st;

	begin();
	tap_ok(sw_lineage_spool(&repo, &act, spool, &err) == SW_OK, "an entry is spooled");
	act.finished_us++;
	tap_ok(sw_lineage_spool(&repo, &act, spool, &err) == SW_OK && count_spooled() == 2, "another");
	tap_ok(stat(spool, &st) == 0 && (st.st_mode & 0777) == 0700, "in a directory of its own");
	scratch_file(spool, "00000000000000000000000000000000.1.x.json", "{}", 2);
	tap_ok(append("backup", 5, &err) == SW_OK && count_spooled() == 1, "both are paid, another repository's is not");
	tap_ok(sw_lineage_read(&repo, &filter, &lineage, &err) == SW_OK && lineage.count == 3 && lineage.entries[2].seq == 3 &&
		json_is_true(json_object_get(lineage.entries[1].json, "spooled")) &&
		json_object_get(lineage.entries[2].json, "spooled") == NULL, "they stand before what came after them");
	sw_lineage_release(&lineage);
	is_proof(0, "", "unbroken");
	end();
}

static void
test_hostile(void)
{
	struct sw_lineage_filter filter = {.since_us = INT64_MIN, .until_us = INT64_MAX};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_lineage_proof proof;
	struct sw_lineage lineage;
	char path[8192];
	static char large[SW_LINEAGE_ENTRY_MAX + 1];

	begin();
	scratch_file(dir, path_of("a", 1, path), "[]", 2);
	memset(large, ' ', sizeof(large));
	scratch_file(dir, path_of("b", 1, path), large, sizeof(large));
	is_proof(2, "lineage/a/0000000001.json is damaged", "what is no entry");
	tap_ok(sw_lineage_read(&repo, &filter, &lineage, &err) == SW_OK && lineage.count == 0 && lineage.unread == 2,
		"is passed over by who reads");
	sw_lineage_release(&lineage);
	snprintf(path, sizeof(path), "main/%" PRIu64 "/lineage/c/9999999999.json", SYSTEM);
	scratch_file(dir, path, "{}", 2);
	tap_is(sw_rc_name(sw_lineage_verify(&repo, NULL, NULL, &proof, &err)), "corrupt", "a number that cannot be");
	end();
}

int
main(void)
{
	test_reading();
	test_breaking();
	test_cutting();
	test_spool();
	test_hostile();
	return tap_done();
}
