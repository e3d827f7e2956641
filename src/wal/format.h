/*
 * format.h - which WAL a page's magic stands for.  XLOG_PAGE_MAGIC of access/xlog_internal.h, PostgreSQL 14 … 18;
 * this machine's byte order.
 */
#ifndef SW_WAL_FORMAT_H
#define SW_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct sw_wal_format {
	uint16_t magic;
	unsigned major;
	bool custom_rmgrs; /* 15: resource managers of extensions, from 128 on */
};

/* NULL if it is not known. */
const struct sw_wal_format *sw_wal_format_find(uint16_t magic);

/* access/rmgrlist.h; the same in 14 … 18. */
enum sw_wal_rmgr {
	SW_RMGR_XLOG,
	SW_RMGR_XACT,
	SW_RMGR_SMGR,
	SW_RMGR_CLOG,
	SW_RMGR_DBASE,
	SW_RMGR_TBLSPC,
	SW_RMGR_MULTIXACT,
	SW_RMGR_RELMAP,
	SW_RMGR_STANDBY,
	SW_RMGR_HEAP2,
	SW_RMGR_HEAP,
	SW_RMGR_BTREE,
	SW_RMGR_HASH,
	SW_RMGR_GIN,
	SW_RMGR_GIST,
	SW_RMGR_SEQ,
	SW_RMGR_SPGIST,
	SW_RMGR_BRIN,
	SW_RMGR_COMMIT_TS,
	SW_RMGR_REPLORIGIN,
	SW_RMGR_GENERIC,
	SW_RMGR_LOGICALMSG,
	SW_RMGR_BUILTIN_COUNT,
	SW_RMGR_CUSTOM_MIN = 128,
};

/* May a record of this format have it? */
static inline bool
sw_wal_format_has_rmgr(const struct sw_wal_format *format, uint8_t rmgr)
{
	return rmgr < SW_RMGR_BUILTIN_COUNT || (rmgr >= SW_RMGR_CUSTOM_MIN && format->custom_rmgrs);
}

/* As pg_waldump names it: "Heap", "custom128". */
#define SW_WAL_RMGR_NAME_LEN 20
const char *sw_wal_format_rmgr_name(uint8_t rmgr, char buf[SW_WAL_RMGR_NAME_LEN]);

#endif
