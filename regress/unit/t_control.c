/*
 * With a data directory: print the fields of its pg_control as name=value lines, and how many of the
 * pg_filenode.map files named behind it are right (for 020_pg.t).
 * Without: unit tests.
 */
#include "pg/control.c"

#include <sys/stat.h>
#include <sys/wait.h>

#include "../tap.h"
#include "pg/filenodes.h"

#define FIELDS(X) \
	X(system_identifier) X(control_version) X(catalog_version) X(major) X(state) X(checkpoint) \
	X(redo) X(timeline) X(next_xid) X(min_recovery) X(min_recovery_timeline) X(block_size) \
	X(wal_block_size) X(segment_size) X(blocks_per_file) X(checksum_version) X(wal_level) \
	X(max_connections) X(max_worker_processes) X(max_wal_senders) X(max_prepared_xacts) \
	X(max_locks_per_xact)

static bool
relmap_file_ok(const char *path)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;
	bool ok;

	if (sw_file_read(path, 8192, &buf, &err) != SW_OK)
		return false;
	ok = sw_relmap_ok(buf.data, buf.len);
	sw_buf_release(&buf);
	return ok;
}

static int
print_control(int argc, char **argv)
{
	int maps = 0;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_control c;

	if (sw_control_read(argv[1], &c, NULL, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
#define PRINT(field) printf(#field "=%" PRIu64 "\n", (uint64_t)c.field);
	FIELDS(PRINT)
	for (int i = 2; i < argc; i++)
		maps += relmap_file_ok(argv[i]);
	printf("relmaps=%d\n", maps);
	return 0;
}

/* --- parsing ------------------------------------------------------------------- */

static void
put_u32(uint8_t *p, size_t at, uint32_t value)
{
	memcpy(p + at, &value, sizeof(value));
}

static void
put_u64(uint8_t *p, size_t at, uint64_t value)
{
	memcpy(p + at, &value, sizeof(value));
}

static void
seal(uint8_t *p)
{
	size_t crc_at = get_u32(p, AT_CONTROL_VERSION) == 1800 ? 292 : 288;

	put_u32(p, crc_at, sw_crc32c(0, p, crc_at));
}

/* A control file that is right; exactly as long as the contract asks, for the sanitizer. */
static uint8_t *
make_control(uint32_t version, uint32_t catalog)
{
	uint8_t *p = malloc(CONTROL_DATA_LEN);

	for (size_t i = 0; i < CONTROL_DATA_LEN; i++)
		p[i] = (uint8_t)random();
	put_u64(p, AT_SYSTEM_IDENTIFIER, UINT64_C(7710210849754627466));
	put_u32(p, AT_CONTROL_VERSION, version);
	put_u32(p, AT_CATALOG_VERSION, catalog);
	put_u64(p, AT_REDO, UINT64_C(0x16B374D848));
	put_u32(p, AT_TIMELINE, 3);
	put_u32(p, AT_BLOCK_SIZE, 8192);
	put_u32(p, AT_WAL_BLOCK_SIZE, 8192);
	put_u32(p, AT_SEGMENT_SIZE, 16 << 20);
	put_u32(p, AT_BLOCKS_PER_FILE, 131072);
	put_u32(p, AT_CHECKSUM_VERSION, 1);
	put_u32(p, AT_MAX_CONNECTIONS, 100);
	seal(p);
	return p;
}

static void
test_versions(void)
{
	static const struct {
		uint32_t version, catalog;
		sw_rc rc;
		unsigned major;
	} cases[] = {
		{1300, 202107181, SW_OK, 14},
		{1300, 202209061, SW_OK, 15},
		{1300, 202307071, SW_OK, 16},
		{1700, 202406281, SW_OK, 17},
		{1800, 202506291, SW_OK, 18},
		{1300, 202007201, SW_OK, 0}, /* PostgreSQL 13 */
		{1201, 201909212, SW_CONFIG, 0},
		{1900, 202606291, SW_OK, 0}, /* a newer one */
		{1500, 202606291, SW_CONFIG, 0},
		{1300u << 16, 202209061, SW_CONFIG, 0}, /* the other byte order */
		{0, 202209061, SW_CORRUPT, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *p = make_control(cases[i].version, cases[i].catalog);
		struct sw_control c = {.major = 99};
		struct sw_error err = SW_ERROR_INIT;
		sw_rc rc = sw_control_parse(p, CONTROL_DATA_LEN, &c, &err);

		tap_is_int(rc, cases[i].rc, "control version %u", cases[i].version);
		if (rc == SW_CONFIG)
			tap_ok((strstr(err.text, "byte order") != NULL) == (cases[i].version > 10000) &&
				strstr(err.hint, "14 to 18") != NULL, "%s", err.text);
		tap_is_int(c.major, rc == SW_OK ? cases[i].major : 99, "major of catalog %u", cases[i].catalog);
		if (rc == SW_OK)
			tap_ok(c.system_identifier == UINT64_C(7710210849754627466) && c.timeline == 3 &&
				c.redo == UINT64_C(0x16B374D848) && c.max_connections == 100 &&
				c.segment_size == 16 << 20 && c.checksum_version == 1,
				"fields of version %u", cases[i].version);
		if (rc == SW_OK)
			tap_ok(c.known == (cases[i].version <= 1800), "version %u is %sknown", cases[i].version,
				c.known ? "" : "not ");
		free(p);
	}
}

static void
test_impossible_values(void)
{
	static const struct {
		const char *name;
		size_t at;
		uint32_t value;
	} cases[] = {
		{"block size 0", AT_BLOCK_SIZE, 0},
		{"block size 512", AT_BLOCK_SIZE, 512},
		{"block size 8191", AT_BLOCK_SIZE, 8191},
		{"block size 64 kB", AT_BLOCK_SIZE, 65536},
		{"block size 2 GB", AT_BLOCK_SIZE, 1u << 31},
		{"WAL block size 0", AT_WAL_BLOCK_SIZE, 0},
		{"WAL block size 128 kB", AT_WAL_BLOCK_SIZE, 131072},
		{"segment size 0", AT_SEGMENT_SIZE, 0},
		{"segment size 512 kB", AT_SEGMENT_SIZE, 1 << 19},
		{"segment size 2 GB", AT_SEGMENT_SIZE, 1u << 31},
		{"segment size 3 MB", AT_SEGMENT_SIZE, 3 << 20},
		{"no blocks in a file", AT_BLOCKS_PER_FILE, 0},
		{"timeline 0", AT_TIMELINE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *p = make_control(1800, 202506291);
		struct sw_control c = {.major = 99};
		struct sw_error err = SW_ERROR_INIT;

		put_u32(p, cases[i].at, cases[i].value);
		seal(p);
		tap_ok(sw_control_parse(p, CONTROL_DATA_LEN, &c, &err) == SW_CORRUPT && c.major == 99, "%s",
			cases[i].name);
		free(p);
	}
}

static void
test_damage(void)
{
	for (size_t v = 0; v < sizeof(layouts) / sizeof(layouts[0]); v++) {
		uint8_t *p = make_control(layouts[v].version, 202506291);
		struct sw_control c;
		struct sw_error err = SW_ERROR_INIT;
		size_t accepted = 0;

		for (size_t bit = 0; bit < (layouts[v].crc_at + 4) * 8; bit++) {
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			accepted += sw_control_parse(p, CONTROL_DATA_LEN, &c, &err) == SW_OK;
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		tap_is_int((long long)accepted, 0, "every flipped bit of version %u is seen", layouts[v].version);
		for (size_t len = 0; len < CONTROL_DATA_LEN; len++)
			accepted += sw_control_parse(p, len, &c, &err) != SW_CORRUPT;
		tap_is_int((long long)accepted, 0, "every length too short is refused");
		free(p);
	}
}

/* Fields may be added to a newer version: its CRC then stands further behind. */
static void
test_newer(void)
{
	uint8_t p[SW_CONTROL_FILE_SIZE] = {0};
	uint8_t *known = make_control(1900, 202606291);
	struct sw_control c;
	struct sw_error err = SW_ERROR_INIT;

	memcpy(p, known, CONTROL_DATA_LEN);
	free(known);
	p[289] ^= 1;
	p[310] = 7;
	put_u32(p, 320, sw_crc32c(0, p, 320));
	tap_ok(sw_control_parse(p, sizeof(p), &c, &err) == SW_OK && !c.known && c.segment_size == 16 << 20,
		"a newer version with a longer layout");
	p[311] = 7;
	tap_ok(sw_control_parse(p, sizeof(p), &c, &err) == SW_CORRUPT, "and a wrong CRC");
}

/* --- files ---------------------------------------------------------------------- */

static char pgdata[] = "/var/tmp/t_control.XXXXXX";
static char control_path[64];

static void
write_control(const uint8_t *data, size_t len)
{
	uint8_t file[SW_CONTROL_FILE_SIZE] = {0};
	struct sw_error err = SW_ERROR_INIT;

	memcpy(file, data, CONTROL_DATA_LEN);
	if (sw_file_write(control_path, file, len, 0600, &err) != SW_OK)
		tap_note("%s", err.text);
}

static void
test_read(void)
{
	uint8_t *right = make_control(1300, 202209061), *torn = make_control(1300, 202209061);
	uint8_t bytes[SW_CONTROL_FILE_SIZE];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_control c;
	int64_t start;
	pid_t pid;

	torn[AT_REDO] ^= 1;
	tap_is_int(sw_control_read(pgdata, &c, NULL, &err), SW_SYSTEM, "no pg_control");
	write_control(right, SW_CONTROL_FILE_SIZE);
	tap_is_int(sw_control_read(pgdata, &c, bytes, &err), SW_OK, "a whole one");
	tap_ok(memcmp(bytes, right, CONTROL_DATA_LEN) == 0 && bytes[SW_CONTROL_FILE_SIZE - 1] == 0,
		"its bytes are given");

	write_control(right, 4096);
	tap_is_int(sw_control_read(pgdata, &c, NULL, &err), SW_CORRUPT, "one cut short");
	tap_ok(strstr(err.text, control_path) != NULL, "the message names the file");

	write_control(torn, SW_CONTROL_FILE_SIZE);
	memset(bytes, 0xee, sizeof(bytes));
	start = sw_clock_monotonic_ms();
	tap_is_int(sw_control_read(pgdata, &c, bytes, &err), SW_CORRUPT, "a damaged one");
	tap_ok(sw_clock_monotonic_ms() - start >= 900, "is read again for a second");
	tap_ok(bytes[0] == 0xee, "and its bytes are not given");

	pid = fork();
	if (pid == 0) {
		sw_clock_sleep_ms(200);
		write_control(right, SW_CONTROL_FILE_SIZE);
		_exit(0);
	}
	tap_is_int(sw_control_read(pgdata, &c, NULL, &err), SW_OK, "a torn read is mended by the next");
	waitpid(pid, NULL, 0);
	free(right);
	free(torn);
}

static void
test_files(void)
{
	char global[64];

	if (!tap_ok(mkdtemp(pgdata) != NULL, "a directory"))
		return;
	snprintf(global, sizeof(global), "%s/global", pgdata);
	snprintf(control_path, sizeof(control_path), "%s/global/pg_control", pgdata);
	mkdir(global, 0700);
	test_read();
	unlink(control_path);
	rmdir(global);
	rmdir(pgdata);
}

/* --- pg_filenode.map -------------------------------------------------------------- */

static void
test_relmap(void)
{
	static const size_t lens[] = {512, 524};

	for (size_t i = 0; i < 2; i++) {
		size_t len = lens[i], crc_at = len == 512 ? 504 : 520, accepted = 0;
		uint8_t *p = calloc(1, len);

		put_u32(p, 0, RELMAP_MAGIC);
		put_u32(p, 4, 17);
		put_u32(p, crc_at, sw_crc32c(0, p, crc_at));
		tap_ok(sw_relmap_ok(p, len), "a map of %zu bytes", len);
		for (size_t bit = 0; bit < (crc_at + 4) * 8; bit++) {
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			accepted += sw_relmap_ok(p, len);
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		tap_is_int((long long)accepted, 0, "every flipped bit of it is seen");
		for (size_t shorter = 0; shorter < len; shorter++)
			accepted += sw_relmap_ok(p, shorter);
		tap_is_int((long long)accepted, 0, "every other length is refused");
		put_u32(p, 4, 65);
		put_u32(p, crc_at, sw_crc32c(0, p, crc_at));
		tap_ok(!sw_relmap_ok(p, len), "so is an impossible count");
		free(p);
	}
}

static void
write_map(const char *dir, const char *name, uint32_t oid, uint32_t filenode, bool damaged)
{
	uint8_t map[524] = {0};
	char path[256];
	struct sw_error err = SW_ERROR_INIT;

	put_u32(map, 0, RELMAP_MAGIC);
	put_u32(map, 4, 2);
	put_u32(map, 8, 1249);
	put_u32(map, 12, 1249);
	put_u32(map, 16, oid);
	put_u32(map, 20, filenode);
	put_u32(map, 520, sw_crc32c(0, map, 520) ^ damaged);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/pg_filenode.map", dir, name);
	if (sw_file_write(path, map, sizeof(map), 0600, &err) != SW_OK)
		tap_note("%s", err.text);
}

static void
test_filenodes(void)
{
	char dir[] = "/var/tmp/t_filenodes.XXXXXX", command[64];
	static const char *const dirs[] = {"base", "pg_tblspc", "pg_tblspc/16400", "pg_tblspc/16400/PG_15_202209061"};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_filenodes f = {0};

	if (mkdtemp(dir) == NULL)
		return;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
		mkdir(path, 0700);
	}
	write_map(dir, "global", 1262, 20001, false);
	write_map(dir, "base/1", 1259, 1259, false);
	write_map(dir, "base/5", 1259, 20002, false);
	write_map(dir, "base/6", 1259, 20003, true);
	write_map(dir, "base/pgsql_tmp", 1259, 20004, false);
	write_map(dir, "pg_tblspc/16400/PG_15_202209061/7", 1259, 20005, false);
	tap_is_int(sw_filenodes_read(dir, &f, &err), SW_OK, "maps are read");
	tap_ok(f.database_file == 20001, "pg_database's file");
	tap_ok(f.class_count == 2 && f.classes[0].database == 5 && f.classes[0].filenode == 20002 &&
		f.classes[1].database == 7 && f.classes[1].filenode == 20005,
		"pg_class's files, where they are not the first ones and the map is right");
	free(f.classes);
	tap_ok(sw_filenodes_read("/nowhere", &f, &err) == SW_OK && f.class_count == 0 && f.database_file == 0,
		"no data directory tells nothing");
	free(f.classes);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		tap_note("%s is left", dir);
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return print_control(argc, argv);
	test_versions();
	test_newer();
	test_impossible_values();
	test_damage();
	test_files();
	test_relmap();
	test_filenodes();
	return tap_done();
}
