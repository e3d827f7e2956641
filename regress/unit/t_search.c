#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "catalog/ends.h"
#include "catalog/search.h"
#include "wal_repo.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EPOCH (UINT64_C(1) << 32)

static void
test_patterns(void)
{
	static const struct sw_deed table = {.kind = SW_DEED_DROPPED, .database = 5, .relation = 16384, .database_name = "shop",
		.schema_name = "public", .relation_name = "orders"};
	static const struct sw_deed without_schema = {.kind = SW_DEED_DROPPED, .database = 5, .relation = 16384,
		.database_name = "shop", .relation_name = "orders"};
	static const struct sw_deed unnamed = {.kind = SW_DEED_DROPPED, .database = 5, .relation = 16384, .database_name = "shop"};
	static const struct sw_deed only_file = {.kind = SW_DEED_MASS_CHANGE, .database = 5, .filenode = 16400,
		.database_name = "shop"};
	static const struct sw_deed database = {.kind = SW_DEED_DATABASE_DROPPED, .database = 5, .database_name = "shop"};
	static const struct sw_deed no_database = {.kind = SW_DEED_DATABASE_DROPPED, .database = 5};
	static const struct sw_deed tablespace = {.kind = SW_DEED_TABLESPACE_DROPPED, .relation = 16401, .relation_name = "fast"};
	static const struct {
		const char *pattern;
		const struct sw_deed *deed;
		bool matches;
	} cases[] = {
		{"orders", &table, true}, {"order", &table, false}, {"ord*", &table, true}, {"o?ders", &table, true},
		{"[a-o]*", &table, true}, {"public.orders", &table, true}, {"public.*", &table, true}, {"sales.*", &table, false},
		{"shop.public.orders", &table, true}, {"shop.*", &table, true}, {"other.*", &table, false}, {"*", &table, true},
		{"shop/16384", &table, false}, {"shop", &table, false},
		{"orders", &without_schema, true}, {"public.orders", &without_schema, false}, {"shop.*", &without_schema, false},
		{"orders", &unnamed, false}, {"shop/16384", &unnamed, true}, {"shop/*", &unnamed, true}, {"*", &unnamed, true},
		{"shop/16400", &only_file, true},
		{"shop", &database, true}, {"sh*", &database, true}, {"shop/*", &database, false}, {"shop", &no_database, false},
		{"*", &no_database, true}, {"fast", &tablespace, true}, {"slow", &tablespace, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		tap_is_int(sw_search_matches(cases[i].pattern, cases[i].deed), cases[i].matches, "case %zu: \"%s\" %s", i,
			cases[i].pattern, cases[i].matches ? "matches" : "does not match");
}

static void
test_widen(void)
{
	static const struct {
		uint32_t xid;
		uint64_t max, wide;
	} cases[] = {
		{700, 700, 700}, {699, 700, 699}, {700, EPOCH + 700, EPOCH + 700}, {701, EPOCH + 700, 701},
		{UINT32_MAX, EPOCH + 5, UINT32_MAX}, {UINT32_MAX, 3 * EPOCH, 2 * EPOCH + UINT32_MAX}, {800, 700, 800},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		tap_ok(sw_ends_widen(cases[i].xid, cases[i].max) == cases[i].wide, "%u below %llu is %llu", cases[i].xid,
			(unsigned long long)cases[i].max, (unsigned long long)cases[i].wide);
}

static void
test_may_hold(void)
{
	uint32_t subxids[] = {(uint32_t)(EPOCH + 103), (uint32_t)(EPOCH + 104)};
	struct sw_wal_end ends[] = {{.xid = EPOCH + 100}, {.xid = EPOCH + 102, .subxids = subxids, .subxid_count = 2}};
	struct sw_wal_digest d = {
		.xid_full = true, .xid_min = EPOCH + 100, .xid_max = EPOCH + 200, .ends = ends, .end_count = 2,
		.ends_below = EPOCH + 150,
	};
	static const struct {
		const char *what;
		uint64_t xid;
		bool may;
	} cases[] = {
		{"listed", EPOCH + 100, true}, {"listed, 32 bits", 100, true}, {"a subtransaction of one that is", 103, true},
		{"not listed where all are", 101, false}, {"where not all are listed", 150, true}, {"the last", 200, true},
		{"above", 201, false}, {"below", 99, false}, {"of another epoch", 2 * EPOCH + 100, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		tap_is_int(sw_ends_may_hold(&d, cases[i].xid), cases[i].may, "%s", cases[i].what);
	d.ends_below = UINT64_MAX;
	tap_ok(!sw_ends_may_hold(&d, 150), "all are listed");
	d.ends_below = 0;
	d.xid_min = EPOCH - 5;
	d.xid_max = EPOCH + 5;
	tap_ok(sw_ends_may_hold(&d, 4) && sw_ends_may_hold(&d, UINT32_MAX) && !sw_ends_may_hold(&d, 6),
		"bounds on both sides of a wrap");
	d.xid_min = d.xid_max = 0;
	tap_ok(!sw_ends_may_hold(&d, 100), "nothing ended");
}

#define MB (1024 * 1024)
#define SIZE (16u * MB)

/* Timeline 2 left 1 in the middle of segment 5. */
static void
test_source(void)
{
	struct sw_inventory_range whole[] = {{1, 2, 7}, {2, 5, 9}}, no_copy[] = {{1, 2, 7}, {2, 6, 9}},
		no_end[] = {{1, 2, 4}, {2, 5, 9}};
	struct sw_inventory inventory = {.ranges = whole, .range_count = 2};
	static const char text[] = "1\t0/5800000\tno recovery target specified\n";
	struct sw_timeline_history child, parent;
	struct sw_error err = SW_ERROR_INIT;
	/* of segments 1 … 10 */
	static const struct {
		uint64_t segment;
		uint32_t child, parent;
	} cases[] = {{1, 0, 0}, {2, 1, 1}, {4, 1, 1}, {5, 2, 1}, {6, 2, 1}, {7, 2, 1}, {8, 2, 0}, {9, 2, 0}, {10, 0, 0}};

	if (sw_timeline_history_parse(2, text, strlen(text), &child, &err) != SW_OK ||
		sw_timeline_history_parse(1, NULL, 0, &parent, &err) != SW_OK)
		exit(2);
	for (size_t i = 0; i < COUNT(cases); i++) {
		tap_is_int(sw_ends_source(&inventory, &child, cases[i].segment, SIZE), cases[i].child,
			"segment %llu on the way to the child", (unsigned long long)cases[i].segment);
		tap_is_int(sw_ends_source(&inventory, &parent, cases[i].segment, SIZE), cases[i].parent, "... of the parent");
	}
	inventory.ranges = no_copy;
	tap_is_int(sw_ends_source(&inventory, &child, 5, SIZE), 1, "the parent's, where the child has no copy");
	tap_is_int(sw_ends_source(&inventory, &child, 6, SIZE), 2, "... and not a segment longer");
	inventory.ranges = no_end;
	tap_is_int(sw_ends_source(&inventory, &child, 5, SIZE), 2, "the child's, where the parent has none");
	tap_is_int(sw_ends_source(&inventory, &parent, 5, SIZE), 0, "which is not the parent's own");
	sw_timeline_history_release(&child);
	sw_timeline_history_release(&parent);
}

/* --- made WAL, searched ------------------------------------------------------------------ */

#define T0 INT64_C(1795262400000000)

static struct wal_repo r;
static struct sw_search found;

/* A COMMIT that drops `count` files of database 5, from 20000 on. */
static sw_lsn
drop_files(struct wal_maker *w, uint32_t xid, uint32_t count)
{
	const uint32_t xinfo = 4, main_len = 16 + 12 * count;
	const int64_t time = T0 - WAL_REPO_PG_EPOCH;
	size_t len = 5 + main_len;
	uint8_t *data = malloc(len);

	data[0] = 254;
	memcpy(data + 1, &main_len, 4);
	memcpy(data + 5, &time, 8);
	memcpy(data + 13, &xinfo, 4);
	memcpy(data + 17, &count, 4);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t file[] = {1663, 5, 20000 + i};

		memcpy(data + 21 + 12 * i, file, 12);
	}
	maker_add(w, (uint32_t)(24 + len), xid, 1, 0x80, data);
	free(data);
	return w->last;
}

/* Searches timeline 1; with `backup` its windows, too. */
static bool
search(struct sw_search_params params, const struct sw_manifest_header *backup)
{
	struct sw_inventory inventory = {0};
	struct sw_inventory_backup one = {.label = "one"};
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_inventory_read_wal(&r.repo, 0, 0, &inventory, &err);

	sw_search_release(&found);
	if (backup != NULL) {
		one.header = *backup;
		inventory.backups = &one;
		inventory.backup_count = 1;
	}
	params.repo = &r.repo;
	params.inventory = &inventory;
	params.workers = 2;
	params.changes_min = 1000;
	if (rc == SW_OK)
		rc = sw_search_run(&params, &found, &err);
	inventory.backups = NULL;
	inventory.backup_count = 0;
	sw_inventory_release(&inventory);
	return tap_is_int(rc, SW_OK, "searched %s", err.text);
}

/* Segments 2 … 6, of which 3 is missing; at 6 MiB a point. */
static void
test_backup_begins_in_gap(void)
{
	static const struct {
		const char *what;
		sw_lsn start, stop;
		bool reachable;
	} cases[] = {
		{"a backup whose first segment is missing", 3 * MB + 40, 4 * MB + 200, false},
		{"a backup that lies in the gap", 3 * MB + 40, 3 * MB + 200, false},
		{"a backup behind the gap", 4 * MB + 40, 4 * MB + 200, true},
		{"a backup before the gap", 2 * MB + 40, 2 * MB + 200, false},
	};
	struct wal_maker w;

	if (!wal_repo_make(&r))
		return;
	maker_init(&w, 8192, MB, 5, 2 * MB);
	wal_repo_fill(&w, 6 * MB + 100);
	wal_repo_point(&w, "p", T0);
	maker_switch(&w);
	wal_repo_segments(&r, &w, 1, 2, 1);
	wal_repo_segments(&r, &w, 1, 4, 3);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_manifest_header backup = {.timeline = 1, .start = cases[i].start, .stop = cases[i].stop};

		if (search((struct sw_search_params){.points = true}, &backup) && tap_is_int((long)found.found_count, 1, "one point"))
			tap_is_int(found.found[0].way.reachable, cases[i].reachable, "%s", cases[i].what);
	}
	maker_release(&w);
	wal_repo_release(&r);
}

/* An epoch lies between two transactions of the same 32 bits. */
static void
test_repeated_xids(void)
{
	static const struct {
		uint64_t xid;
		size_t places;
	} cases[] = {{700, 2}, {EPOCH + 700, 1}};
	struct wal_maker w;

	if (!wal_repo_make(&r))
		return;
	maker_init(&w, 8192, MB, 2, 2 * MB);
	wal_repo_checkpoint(&w, 690, T0);
	wal_repo_end(&w, true, 700, T0, NULL, 0);
	wal_repo_fill(&w, 3 * MB + 100);
	wal_repo_checkpoint(&w, EPOCH + 690, T0);
	drop_files(&w, 700, 1);
	maker_switch(&w);
	wal_repo_segments(&r, &w, 1, 2, 2);
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (!search((struct sw_search_params){.by_xid = true, .xid = cases[i].xid}, NULL))
			continue;
		tap_is_int((long)found.place_count, (long)cases[i].places, "transaction %llu", (unsigned long long)cases[i].xid);
		for (size_t k = 0; k < found.place_count; k++)
			tap_ok(found.places[k].repeated, "... is no target by its number");
	}
	if (search((struct sw_search_params){.kinds = SW_DEED_TRUNCATED}, NULL) &&
		tap_is_int((long)found.found_count, 1, "what the later one did is found"))
		tap_ok(found.found[0].deed.by_lsn && found.found[0].deed.target_lsn == found.found[0].lsn, "... and undone by LSN");
	maker_release(&w);
	wal_repo_release(&r);
}

/* Summaries keep 8 KiB of a record that lies across a border. */
static void
test_long_record(void)
{
	struct wal_maker w;

	if (!wal_repo_make(&r))
		return;
	maker_init(&w, 8192, MB, 2, 2 * MB);
	wal_repo_checkpoint(&w, 690, T0);
	wal_repo_fill(&w, 3 * MB - 2000);
	drop_files(&w, 700, 3000);
	maker_switch(&w);
	wal_repo_segments(&r, &w, 1, 2, 2);
	if (search((struct sw_search_params){.kinds = SW_DEED_TRUNCATED}, NULL)) {
		tap_is_int((long)found.found_count, 3000, "all that a long COMMIT across a border tells");
		tap_is_int((long)found.gap_count, 0, "... with nothing left out");
		tap_ok(found.found_count > 0 && found.found[0].deed.by_lsn == false, "... and undone by its number");
	}
	maker_release(&w);
	wal_repo_release(&r);
}

int
main(void)
{
	test_backup_begins_in_gap();
	test_repeated_xids();
	test_long_record();
	sw_search_release(&found);
	test_patterns();
	test_widen();
	test_may_hold();
	test_source();
	return tap_done();
}
