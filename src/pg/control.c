#include "pg/control.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file.h"

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
	AT_NEXT_XID = 64,
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
#define VERSION_NEWER 1801 /* PG_CONTROL_VERSION: a hundred for each major version since 17 */
#define VERSION_MAX 9999

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

/* Of a newer version than is known: the CRC tells where it stands by being right.  0: nowhere. */
static size_t
find_crc(const uint8_t *p, size_t len)
{
	for (size_t at = CONTROL_DATA_LEN - 8; at + 4 <= len && at < 1024; at += 4)
		if (sw_crc32c(0, p, at) == get_u32(p, at))
			return at;
	return 0;
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
		.next_xid = get_u64(p, AT_NEXT_XID),
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

sw_rc
sw_control_fail_unknown(uint32_t version, struct sw_error *err)
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
	uint32_t version;
	size_t crc_at;
	sw_rc rc;

	if (len < CONTROL_DATA_LEN)
		return sw_fail(err, SW_CORRUPT, "pg_control is cut short at %zu bytes", len);
	version = get_u32(p, AT_CONTROL_VERSION);
	layout = find_layout(version);
	if (layout == NULL && (version < VERSION_NEWER || version > VERSION_MAX))
		return sw_control_fail_unknown(version, err);
	crc_at = layout != NULL ? layout->crc_at : find_crc(p, len);
	if (crc_at == 0 || sw_crc32c(0, p, crc_at) != get_u32(p, crc_at))
		return sw_fail(err, SW_CORRUPT, "pg_control has a wrong CRC");
	take_fields(p, &control);
	control.known = layout != NULL;
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

uint32_t
sw_relmap_find(const void *data, size_t len, uint32_t oid)
{
	const uint8_t *p = data;
	uint32_t count = get_u32(p, 4);

	for (uint32_t i = 0; i < count && RELMAP_PAIRS_AT + i * 8 + 8 <= len; i++)
		if (get_u32(p, RELMAP_PAIRS_AT + i * 8) == oid)
			return get_u32(p, RELMAP_PAIRS_AT + i * 8 + 4);
	return 0;
}
