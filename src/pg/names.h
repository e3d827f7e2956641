/*
 * names.h - names of files in pg_wal and of relation files.  PostgreSQL 14 … 18,
 * access/xlog_internal.h and common/relpath.h.
 */
#ifndef SW_PG_NAMES_H
#define SW_PG_NAMES_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t sw_lsn; /* XLogRecPtr: byte position in the WAL */

enum sw_wal_kind {
	SW_WAL_SEGMENT, /* 000000010000000000000001 */
	SW_WAL_PARTIAL, /* 000000010000000000000001.partial */
	SW_WAL_BACKUP,  /* 000000010000000000000001.00000028.backup */
	SW_WAL_HISTORY, /* 00000002.history */
};

struct sw_wal_name {
	enum sw_wal_kind kind;
	uint32_t timeline;
	uint64_t segment; /* number (LSN / segment size); not for HISTORY; needs the segment size to be right */
	uint32_t offset;  /* BACKUP only */
};

#define SW_WAL_NAME_MAX 64

/* False if it is none of the four, or if the segment's low part is impossible for segment_size. */
bool sw_wal_name_parse(const char *text, uint32_t segment_size, struct sw_wal_name *ret_name);

/* As PostgreSQL writes it.  Returns buf. */
char *sw_wal_name_format(const struct sw_wal_name *name, uint32_t segment_size, char buf[SW_WAL_NAME_MAX]);

/* A power of two from 1 MiB to 1 GiB. */
bool sw_wal_segment_size_ok(uint64_t segment_size);

/* "16/B374D848" both ways; buf: 20 bytes at least. */
#define SW_LSN_LEN 20
char *sw_lsn_format(sw_lsn lsn, char buf[SW_LSN_LEN]);
bool sw_lsn_parse(const char *text, sw_lsn *ret_lsn);

/* What a path relative to the data directory is, as far as reading it matters. */
struct sw_relation_file {
	uint32_t segment;  /* the number behind the dot: block = segment * blocks per file + … */
	enum sw_fork { SW_FORK_MAIN, SW_FORK_FSM, SW_FORK_VM, SW_FORK_INIT } fork;
	bool temporary;    /* t3_16384: left out of backups */
	uint32_t filenode;
};
/*
 * True for relation files: base/DB/N…, global/N…, pg_tblspc/OID/PG_…/DB/N… .
 * pg_filenode.map, PG_VERSION and pg_internal.init are none.
 */
bool sw_relation_file_parse(const char *path, struct sw_relation_file *ret_file);

#endif
