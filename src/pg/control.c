#include "pg/control.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

/* --- CRC-32C ----------------------------------------------------------------- */

#define CRC32C_POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t crc_tables[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
make_crc_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
		crc_tables[0][i] = crc;
	}
	for (int t = 1; t < 8; t++)
		for (int i = 0; i < 256; i++) {
			uint32_t crc = crc_tables[t - 1][i];

			crc_tables[t][i] = crc >> 8 ^ crc_tables[0][crc & 0xff];
		}
}

/* Eight bytes a step, each through its own table ("slicing by 8"). */
static uint32_t
crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
	pthread_once(&crc_once, make_crc_tables);
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			(uint32_t)p[3] << 24);

		crc = crc_tables[7][low & 0xff] ^ crc_tables[6][low >> 8 & 0xff] ^
			crc_tables[5][low >> 16 & 0xff] ^ crc_tables[4][low >> 24] ^
			crc_tables[3][p[4]] ^ crc_tables[2][p[5]] ^ crc_tables[1][p[6]] ^
			crc_tables[0][p[7]];
	}
	for (; len > 0; p++, len--)
		crc = crc >> 8 ^ crc_tables[0][(crc ^ *p) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t crc64 = crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		crc64 = __builtin_ia32_crc32di(crc64, word);
	}
	crc = (uint32_t)crc64;
	for (; len > 0; p++, len--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t
sw_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, data, len);
#endif
	return ~crc32c_table(~crc, data, len);
}

/* --- pg_control -------------------------------------------------------------- */

/*
 * Byte offsets in ControlFileData (catalog/pg_control.h) with 8-byte alignment.  They are the same in
 * versions 1300, 1700 and 1800: CheckPoint.wal_level went into padding, default_char_signedness moved
 * only the nonce, which is not read, and the CRC.
 */
enum {
	AT_SYSTEM_IDENTIFIER = 0,
	AT_CONTROL_VERSION = 8,
	AT_CATALOG_VERSION = 12,
	AT_STATE = 16,
	AT_CHECKPOINT = 32,
	AT_REDO = 40,
	AT_TIMELINE = 48,
	AT_MIN_RECOVERY = 136,
	AT_MIN_RECOVERY_TIMELINE = 144,
	AT_WAL_LEVEL = 172,
	AT_MAX_CONNECTIONS = 180,
	AT_MAX_WORKER_PROCESSES = 184,
	AT_MAX_WAL_SENDERS = 188,
	AT_MAX_PREPARED_XACTS = 192,
	AT_MAX_LOCKS_PER_XACT = 196,
	AT_BLOCK_SIZE = 216,
	AT_BLOCKS_PER_FILE = 220,
	AT_WAL_BLOCK_SIZE = 224,
	AT_SEGMENT_SIZE = 228,
	AT_CHECKSUM_VERSION = 252,
};

#define CONTROL_DATA_LEN 296

static const struct control_layout {
	uint32_t version;
	size_t crc_at; /* the CRC covers everything before it */
} layouts[] = {
	{1300, 288}, /* 14 … 16 */
	{1700, 288},
	{1800, 292},
};

static const struct {
	uint32_t catalog_version;
	unsigned major;
} catalogs[] = {
	{202107181, 14},
	{202209061, 15},
	{202307071, 16},
	{202406281, 17},
	{202506291, 18},
};

static uint32_t
get_u32(const uint8_t *data, size_t at)
{
	uint32_t value;

	memcpy(&value, data + at, sizeof(value));
	return value;
}

static uint64_t
get_u64(const uint8_t *data, size_t at)
{
	uint64_t value;

	memcpy(&value, data + at, sizeof(value));
	return value;
}

static const struct control_layout *
find_layout(uint32_t version)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].version == version)
			return &layouts[i];
	return NULL;
}

static unsigned
find_major(uint32_t catalog_version)
{
	for (size_t i = 0; i < sizeof(catalogs) / sizeof(catalogs[0]); i++)
		if (catalogs[i].catalog_version == catalog_version)
			return catalogs[i].major;
	return 0;
}

static void
take_fields(const uint8_t *p, struct sw_control *c)
{
	*c = (struct sw_control){
		.system_identifier = get_u64(p, AT_SYSTEM_IDENTIFIER),
		.control_version = get_u32(p, AT_CONTROL_VERSION),
		.catalog_version = get_u32(p, AT_CATALOG_VERSION),
		.major = find_major(get_u32(p, AT_CATALOG_VERSION)),
		.state = get_u32(p, AT_STATE),
		.checkpoint = get_u64(p, AT_CHECKPOINT),
		.redo = get_u64(p, AT_REDO),
		.timeline = get_u32(p, AT_TIMELINE),
		.min_recovery = get_u64(p, AT_MIN_RECOVERY),
		.min_recovery_timeline = get_u32(p, AT_MIN_RECOVERY_TIMELINE),
		.block_size = get_u32(p, AT_BLOCK_SIZE),
		.wal_block_size = get_u32(p, AT_WAL_BLOCK_SIZE),
		.segment_size = get_u32(p, AT_SEGMENT_SIZE),
		.blocks_per_file = get_u32(p, AT_BLOCKS_PER_FILE),
		.checksum_version = get_u32(p, AT_CHECKSUM_VERSION),
		.wal_level = (int)get_u32(p, AT_WAL_LEVEL),
		.max_connections = (int)get_u32(p, AT_MAX_CONNECTIONS),
		.max_worker_processes = (int)get_u32(p, AT_MAX_WORKER_PROCESSES),
		.max_wal_senders = (int)get_u32(p, AT_MAX_WAL_SENDERS),
		.max_prepared_xacts = (int)get_u32(p, AT_MAX_PREPARED_XACTS),
		.max_locks_per_xact = (int)get_u32(p, AT_MAX_LOCKS_PER_XACT),
	};
}

static bool
power_of_two_within(uint32_t value, uint32_t min, uint32_t max)
{
	return value >= min && value <= max && (value & (value - 1)) == 0;
}

static sw_rc
check_fields(const struct sw_control *c, struct sw_error *err)
{
	if (c->system_identifier == 0)
		return sw_fail(err, SW_CORRUPT, "pg_control has no system identifier");
	if (!power_of_two_within(c->block_size, 1024, 32768))
		return sw_fail(err, SW_CORRUPT, "pg_control has the impossible block size %" PRIu32,
			c->block_size);
	if (!power_of_two_within(c->wal_block_size, 1024, 65536))
		return sw_fail(err, SW_CORRUPT, "pg_control has the impossible WAL block size %" PRIu32,
			c->wal_block_size);
	if (!sw_wal_segment_size_ok(c->segment_size))
		return sw_fail(err, SW_CORRUPT, "pg_control has the impossible WAL segment size %" PRIu32,
			c->segment_size);
	if (c->blocks_per_file == 0)
		return sw_fail(err, SW_CORRUPT, "pg_control has the impossible relation segment size 0");
	if (c->timeline == 0)
		return sw_fail(err, SW_CORRUPT, "pg_control has the impossible timeline 0");
	return SW_OK;
}

static sw_rc
fail_version(uint32_t version, struct sw_error *err)
{
	if (version == 0)
		return sw_fail(err, SW_CORRUPT, "pg_control has no version");
	if (version % 65536 == 0)
		sw_fail(err, SW_CONFIG, "pg_control was written by a machine of another byte order");
	else
		sw_fail(err, SW_CONFIG, "pg_control has the unknown version %" PRIu32, version);
	return sw_hint(err, "this Seawall knows PostgreSQL 14 to 18");
}

sw_rc
sw_control_parse(const void *data, size_t len, struct sw_control *ret_control, struct sw_error *err)
{
	const uint8_t *p = data;
	const struct control_layout *layout;
	struct sw_control control;
	sw_rc rc;

	if (len < CONTROL_DATA_LEN)
		return sw_fail(err, SW_CORRUPT, "pg_control is cut short at %zu bytes", len);
	layout = find_layout(get_u32(p, AT_CONTROL_VERSION));
	if (layout == NULL)
		return fail_version(get_u32(p, AT_CONTROL_VERSION), err);
	if (sw_crc32c(0, p, layout->crc_at) != get_u32(p, layout->crc_at))
		return sw_fail(err, SW_CORRUPT, "pg_control has a wrong CRC");
	take_fields(p, &control);
	rc = check_fields(&control, err);
	if (rc == SW_OK)
		*ret_control = control;
	return rc;
}

static sw_rc
read_once(const char *path, struct sw_control *ret_control, uint8_t bytes[SW_CONTROL_FILE_SIZE],
	struct sw_error *err)
{
	SW_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len;
	sw_rc rc;

	if (fd < 0)
		return sw_fail_errno(err, "opening %s", path);
	rc = sw_file_pread(fd, bytes, SW_CONTROL_FILE_SIZE, 0, &len, path, err);
	if (rc != SW_OK)
		return rc;
	if (len != SW_CONTROL_FILE_SIZE)
		return sw_fail(err, SW_CORRUPT, "%s has %zu bytes instead of %d", path, len,
			SW_CONTROL_FILE_SIZE);
	rc = sw_control_parse(bytes, len, ret_control, err);
	return rc == SW_OK ? SW_OK : sw_wrap(err, "reading %s", path);
}

sw_rc
sw_control_read(const char *pgdata, struct sw_control *ret_control,
	uint8_t bytes[SW_CONTROL_FILE_SIZE], struct sw_error *err)
{
	int64_t deadline = sw_clock_monotonic_ms() + 1000;
	SW_AUTO_FREE char *path = NULL;
	uint8_t read[SW_CONTROL_FILE_SIZE];
	sw_rc rc;

	if (asprintf(&path, "%s/global/pg_control", pgdata) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	do
		rc = read_once(path, ret_control, read, err);
	while (rc == SW_CORRUPT && sw_clock_monotonic_ms() < deadline && sw_clock_sleep_ms(20));
	if (rc == SW_OK && bytes != NULL)
		memcpy(bytes, read, sizeof(read));
	return rc;
}

/* --- pg_filenode.map ----------------------------------------------------------- */

/* RelMapFile, utils/cache/relmapper.c: magic, count, pairs of OIDs, CRC.  62 pairs and four bytes of padding
 * up to PostgreSQL 15, 64 pairs since. */
#define RELMAP_MAGIC 0x592717
#define RELMAP_PAIRS_AT 8

bool
sw_relmap_ok(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t pairs_max = len == 512 ? 62 : 64;
	size_t crc_at = RELMAP_PAIRS_AT + pairs_max * 8;

	if (len != 512 && len != 524)
		return false;
	return get_u32(p, 0) == RELMAP_MAGIC && get_u32(p, 4) <= pairs_max &&
		sw_crc32c(0, p, crc_at) == get_u32(p, crc_at);
}
