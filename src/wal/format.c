#include "wal/format.h"

#include <stddef.h>
#include <stdio.h>

static const struct sw_wal_format formats[] = {
	{.magic = 0xD10D, .major = 14, .custom_rmgrs = false},
	{.magic = 0xD110, .major = 15, .custom_rmgrs = true},
	{.magic = 0xD113, .major = 16, .custom_rmgrs = true},
	{.magic = 0xD116, .major = 17, .custom_rmgrs = true},
	{.magic = 0xD118, .major = 18, .custom_rmgrs = true},
};

const struct sw_wal_format *
sw_wal_format_find(uint16_t magic)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].magic == magic)
			return &formats[i];
	return NULL;
}

const char *
sw_wal_format_rmgr_name(uint8_t rmgr, char buf[SW_WAL_RMGR_NAME_LEN])
{
	static const char *const names[SW_RMGR_BUILTIN_COUNT] = {
		"XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap",
		"Standby", "Heap2", "Heap", "Btree", "Hash", "Gin", "Gist", "Sequence", "SPGist", "BRIN",
		"CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage",
	};

	if (rmgr < SW_RMGR_BUILTIN_COUNT)
		return names[rmgr];
	snprintf(buf, SW_WAL_RMGR_NAME_LEN, "custom%03d", rmgr);
	return buf;
}
