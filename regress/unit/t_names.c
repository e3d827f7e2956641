#include "pg/names.h"

#include <stdio.h>
#include <string.h>

#include "../tap.h"

#define MB (1u << 20)

static const struct wal_case {
	const char *text;
	uint32_t segment_size;
	bool ok;
	struct wal_case_want {
		enum sw_wal_kind kind;
		uint32_t timeline;
		uint64_t segment;
		uint32_t offset;
	} want;
} wal_cases[] = {
	{"000000010000000000000001", 16 * MB, true, {SW_WAL_SEGMENT, 1, 1, 0}},
	{"0000000A00000002000000FF", 16 * MB, true, {SW_WAL_SEGMENT, 10, 2 * 256 + 255, 0}},
	{"FFFFFFFFFFFFFFFF00000FFF", MB, true, {SW_WAL_SEGMENT, UINT32_MAX, UINT64_C(0xFFFFFFFFFFF), 0}},
	{"000000010000000100000FFF", MB, true, {SW_WAL_SEGMENT, 1, 4096 + 4095, 0}},
	{"000000010000000100000003", 1024 * MB, true, {SW_WAL_SEGMENT, 1, 7, 0}},
	{"000000010000000000000001.partial", 16 * MB, true, {SW_WAL_PARTIAL, 1, 1, 0}},
	{"000000010000000000000002.00000028.backup", 16 * MB, true, {SW_WAL_BACKUP, 1, 2, 0x28}},
	{"000000010000000000000002.00FFFFFF.backup", 16 * MB, true, {SW_WAL_BACKUP, 1, 2, 0xFFFFFF}},
	{"00000002.history", 16 * MB, true, {SW_WAL_HISTORY, 2, 0, 0}},
	{"FFFFFFFF.history", 0, true, {SW_WAL_HISTORY, UINT32_MAX, 0, 0}},

	{"000000010000000000000100", 16 * MB, false, {0}}, /* low part beyond 4 GiB */
	{"000000010000000100000004", 1024 * MB, false, {0}},
	{"000000010000000000001000", MB, false, {0}},
	{"000000010000000000000002.01000000.backup", 16 * MB, false, {0}}, /* offset outside the segment */
	{"000000000000000000000001", 16 * MB, false, {0}}, /* timeline 0 */
	{"00000000.history", 16 * MB, false, {0}},
	{"00000001000000000000000a", 16 * MB, false, {0}},
	{"00000001000000000000000", 16 * MB, false, {0}},
	{"0000000100000000000000011", 16 * MB, false, {0}},
	{"000000010000000000000001.", 16 * MB, false, {0}},
	{"000000010000000000000001.part", 16 * MB, false, {0}},
	{"000000010000000000000001.partial2", 16 * MB, false, {0}},
	{"000000010000000000000001.PARTIAL", 16 * MB, false, {0}},
	{"000000010000000000000001.0000002.backup", 16 * MB, false, {0}},
	{"000000010000000000000001.00000028.backup/", 16 * MB, false, {0}},
	{"000000010000000000000001.00000028", 16 * MB, false, {0}},
	{"-00000010000000000000001", 16 * MB, false, {0}},
	{"+0000001.history", 16 * MB, false, {0}},
	{" 0000001.history", 16 * MB, false, {0}},
	{"0x000001.history", 16 * MB, false, {0}},
	{"00000002.history ", 16 * MB, false, {0}},
	{"00000002.history\n", 16 * MB, false, {0}},
	{"0000000002.history", 16 * MB, false, {0}},
	{"2.history", 16 * MB, false, {0}},
	{".history", 16 * MB, false, {0}},
	{"../000000010000000000000001", 16 * MB, false, {0}},
	{"", 16 * MB, false, {0}},
	{"0", 16 * MB, false, {0}},
	{"00000001", 16 * MB, false, {0}},
	{"000000010000000000000001", 0, false, {0}}, /* impossible segment sizes */
	{"000000010000000000000001", 3 * MB, false, {0}},
	{"000000010000000000000001", 2048u * MB, false, {0}},
	{"000000010000000000000001", MB / 2, false, {0}},
};

static void
test_wal_names(void)
{
	for (size_t i = 0; i < sizeof(wal_cases) / sizeof(wal_cases[0]); i++) {
		const struct wal_case *c = &wal_cases[i];
		struct sw_wal_name name = {.timeline = 77};
		char buf[SW_WAL_NAME_MAX];
		bool ok = sw_wal_name_parse(c->text, c->segment_size, &name);

		if (!c->ok) {
			tap_ok(!ok && name.timeline == 77, "\"%s\" of size %u is no WAL name", c->text,
				c->segment_size);
			continue;
		}
		tap_ok(ok && name.kind == c->want.kind && name.timeline == c->want.timeline &&
			name.segment == c->want.segment && name.offset == c->want.offset,
			"%s is read", c->text);
		tap_is(sw_wal_name_format(&name, c->segment_size != 0 ? c->segment_size : MB, buf), c->text,
			"%s is written", c->text);
	}
}

static void
test_segment_sizes(void)
{
	int legal = 0;

	for (int bit = 0; bit < 64; bit++)
		legal += sw_wal_segment_size_ok(UINT64_C(1) << bit);
	tap_is_int(legal, 11, "eleven powers of two are segment sizes");
	tap_ok(sw_wal_segment_size_ok(MB) && sw_wal_segment_size_ok(UINT64_C(1) << 30), "1 MiB and 1 GiB are");
	tap_ok(!sw_wal_segment_size_ok(0) && !sw_wal_segment_size_ok(MB + 1) && !sw_wal_segment_size_ok(3 * MB) &&
		!sw_wal_segment_size_ok(UINT64_MAX), "0, 1 MiB + 1, 3 MiB and 2^64 - 1 are not");
}

static const struct {
	const char *text;
	bool ok;
	sw_lsn lsn;
	const char *canonical; /* NULL: as text */
} lsn_cases[] = {
	{"16/B374D848", true, UINT64_C(0x16B374D848), NULL},
	{"0/0", true, 0, NULL},
	{"FFFFFFFF/FFFFFFFF", true, UINT64_MAX, NULL},
	{"16/b374d848", true, UINT64_C(0x16B374D848), "16/B374D848"},
	{"00000001/00000002", true, UINT64_C(0x100000002), "1/2"},
	{"100000000/0", false, 0, NULL},
	{"0/100000000", false, 0, NULL},
	{"000000001/0", false, 0, NULL},
	{"/1", false, 0, NULL},
	{"1/", false, 0, NULL},
	{"1", false, 0, NULL},
	{"", false, 0, NULL},
	{"-1/0", false, 0, NULL},
	{"1/+1", false, 0, NULL},
	{" 1/0", false, 0, NULL},
	{"1/0 ", false, 0, NULL},
	{"1/0/0", false, 0, NULL},
	{"0x1/0", false, 0, NULL},
	{"G/0", false, 0, NULL},
};

static void
test_lsns(void)
{
	for (size_t i = 0; i < sizeof(lsn_cases) / sizeof(lsn_cases[0]); i++) {
		const char *text = lsn_cases[i].text;
		sw_lsn lsn = 99;
		char buf[SW_LSN_LEN];
		bool ok = sw_lsn_parse(text, &lsn);

		if (!lsn_cases[i].ok) {
			tap_ok(!ok && lsn == 99, "\"%s\" is no LSN", text);
			continue;
		}
		tap_ok(ok && lsn == lsn_cases[i].lsn, "LSN %s is read", text);
		tap_is(sw_lsn_format(lsn, buf), lsn_cases[i].canonical != NULL ? lsn_cases[i].canonical : text,
			"LSN %s is written", text);
	}
}

static const struct {
	const char *path;
	bool ok;
	struct sw_relation_file want;
} relation_cases[] = {
	{"base/5/16384", true, {.filenode = 16384}},
	{"base/5/16384.1", true, {.filenode = 16384, .segment = 1}},
	{"base/5/16384_fsm", true, {.filenode = 16384, .fork = SW_FORK_FSM}},
	{"base/5/16384_vm.12", true, {.filenode = 16384, .fork = SW_FORK_VM, .segment = 12}},
	{"base/5/16384_init", true, {.filenode = 16384, .fork = SW_FORK_INIT}},
	{"base/4294967295/4294967295.4294967295", true, {.filenode = UINT32_MAX, .segment = UINT32_MAX}},
	{"base/5/t3_16384", true, {.filenode = 16384, .temporary = true}},
	{"base/5/t0_16384_vm.2", true,
		{.filenode = 16384, .temporary = true, .fork = SW_FORK_VM, .segment = 2}},
	{"global/1262", true, {.filenode = 1262}},
	{"global/1262_fsm", true, {.filenode = 1262, .fork = SW_FORK_FSM}},
	{"pg_tblspc/16385/PG_15_202209061/5/16386.3", true, {.filenode = 16386, .segment = 3}},
	{"pg_tblspc/16385/PG_18_202506291/5/t12_16386", true, {.filenode = 16386, .temporary = true}},

	{"base/5/PG_VERSION", false, {0}},
	{"base/5/pg_filenode.map", false, {0}},
	{"base/5/pg_internal.init", false, {0}},
	{"base/5/pg_internal.init.123", false, {0}},
	{"global/pg_control", false, {0}},
	{"global/pg_filenode.map", false, {0}},
	{"base/pgsql_tmp/pgsql_tmp123.0", false, {0}},
	{"base/5/", false, {0}},
	{"base/5", false, {0}},
	{"base//16384", false, {0}},
	{"base/5//16384", false, {0}},
	{"/base/5/16384", false, {0}},
	{"./base/5/16384", false, {0}},
	{"base/../base/5/16384", false, {0}},
	{"base/5/16384/", false, {0}},
	{"base/5/16384/1", false, {0}},
	{"base/5/0", false, {0}},
	{"base/0/16384", false, {0}},
	{"base/5/016384", false, {0}},
	{"base/5/-16384", false, {0}},
	{"base/5/+16384", false, {0}},
	{"base/5/ 16384", false, {0}},
	{"base/5/4294967296", false, {0}},
	{"base/5/99999999999999999999999999999999", false, {0}},
	{"base/4294967296/1", false, {0}},
	{"base/5/16384.", false, {0}},
	{"base/5/16384.0", false, {0}},
	{"base/5/16384.01", false, {0}},
	{"base/5/16384.-1", false, {0}},
	{"base/5/16384.4294967296", false, {0}},
	{"base/5/16384.1.2", false, {0}},
	{"base/5/16384_fs", false, {0}},
	{"base/5/16384_fsmx", false, {0}},
	{"base/5/16384_main", false, {0}},
	{"base/5/16384_fsm_vm", false, {0}},
	{"base/5/16384.1_fsm", false, {0}},
	{"base/5/16384 ", false, {0}},
	{"base/5/t_16384", false, {0}},
	{"base/5/t3", false, {0}},
	{"base/5/t3_", false, {0}},
	{"base/5/t03_16384", false, {0}},
	{"base/5/t-1_16384", false, {0}},
	{"base/5/T3_16384", false, {0}},
	{"global/5/1262", false, {0}},
	{"pg_tblspc/16385/PG_15/5/16386", false, {0}},
	{"pg_tblspc/16385/5/16386", false, {0}},
	{"pg_tblspc/16385/PG_15_202209061/16386", false, {0}},
	{"pg_tblspc/x/PG_15_202209061/5/16386", false, {0}},
	{"pg_tblspc/16385/PG__202209061/5/16386", false, {0}},
	{"pg_wal/000000010000000000000001", false, {0}},
	{"pg_xact/0000", false, {0}},
	{"", false, {0}},
};

static void
test_relation_files(void)
{
	for (size_t i = 0; i < sizeof(relation_cases) / sizeof(relation_cases[0]); i++) {
		const char *path = relation_cases[i].path;
		const struct sw_relation_file *want = &relation_cases[i].want;
		struct sw_relation_file file = {.filenode = 77};
		bool ok = sw_relation_file_parse(path, &file);

		if (!relation_cases[i].ok)
			tap_ok(!ok && file.filenode == 77, "\"%s\" is no relation file", path);
		else
			tap_ok(ok && file.filenode == want->filenode && file.segment == want->segment &&
				file.fork == want->fork && file.temporary == want->temporary, "%s is read", path);
	}
}

int
main(void)
{
	test_wal_names();
	test_segment_sizes();
	test_lsns();
	test_relation_files();
	return tap_done();
}
