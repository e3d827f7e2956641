/*
 * control.h - global/pg_control of PostgreSQL 14 … 18 (catalog/pg_control.h), same byte order as this machine.
 */
#ifndef SW_PG_CONTROL_H
#define SW_PG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/names.h"

#define SW_CONTROL_FILE_SIZE 8192

struct sw_control {
	uint64_t system_identifier;
	uint32_t control_version; /* 1300 (14 … 16), 1700, 1800 (18) */
	bool known;               /* false: a newer version, whose fields were read where version 18 has them */
	uint32_t catalog_version;
	unsigned major;           /* 14 … 18, from catalog_version's known values; 0 if unknown */
	uint32_t state;           /* DBState */
	sw_lsn checkpoint, redo;
	uint32_t timeline;        /* of the checkpoint */
	uint64_t next_xid;        /* of the checkpoint; 64 bits, epoch and all */
	sw_lsn min_recovery;
	uint32_t min_recovery_timeline;
	uint32_t block_size, wal_block_size, segment_size;
	uint32_t blocks_per_file; /* RELSEG_SIZE */
	uint32_t checksum_version; /* 0: pages have no checksums */
	int wal_level, max_connections, max_worker_processes, max_wal_senders, max_prepared_xacts,
		max_locks_per_xact;
};

/*
 * Parse the bytes of pg_control (at least 296; the file has 8,192).  Checks the CRC and that sizes are legal.
 * A newer version than is known is read all the same, if its CRC is found and its values are possible, so that a newer
 * server's WAL is archived: look at `known`.
 * SW_OK, SW_CORRUPT (short, CRC, impossible values; also a torn read: the caller tries again),
 * SW_CONFIG (an older version, another byte order).
 */
sw_rc sw_control_parse(const void *data, size_t len, struct sw_control *ret_control,
	struct sw_error *err);

/* What to say where a version that is not known cannot be dealt with: SW_CONFIG (SW_CORRUPT: 0 is none). */
sw_rc sw_control_fail_unknown(uint32_t version, struct sw_error *err);

/* Read <pgdata>/global/pg_control, trying again for a second while the CRC is wrong (the server may be writing).
 * bytes: NULL, or room for the whole file as read. */
sw_rc sw_control_read(const char *pgdata, struct sw_control *ret_control,
	uint8_t bytes[SW_CONTROL_FILE_SIZE], struct sw_error *err);

/* pg_filenode.map (utils/cache/relmapper.c): magic and CRC are right.  Works for 14 … 18. */
bool sw_relmap_ok(const void *data, size_t len);

/* The file of a mapped relation by such a map, which is right.  0: it is not in it. */
uint32_t sw_relmap_find(const void *data, size_t len, uint32_t oid);

#endif
