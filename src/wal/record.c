#include "wal/record.h"

#include "base/crc32c.h"
#include "wal/format.h"

#define CRC_AT 20

uint32_t
sw_wal_record_crc(uint32_t crc_behind_header, const uint8_t header[SW_WAL_RECORD_HEADER])
{
	return sw_crc32c(crc_behind_header, header, CRC_AT);
}

/* Behind the header: one byte 255 (main data, short), one of length, then LSN and time. */
#define XLOG_OVERWRITE_CONTRECORD 0xD0
#define OVERWRITE_DATA_LEN 16

bool
sw_wal_record_overwrites(const uint8_t *bytes, size_t len, sw_lsn *ret_overwritten)
{
	const uint8_t *main_data = bytes + SW_WAL_RECORD_HEADER;

	if (len != SW_WAL_RECORD_HEADER + 2 + OVERWRITE_DATA_LEN || bytes[17] != SW_RMGR_XLOG ||
		(bytes[16] & 0xF0) != XLOG_OVERWRITE_CONTRECORD || main_data[0] != 255 ||
		main_data[1] != OVERWRITE_DATA_LEN)
		return false;
	memcpy(ret_overwritten, main_data + 2, sizeof(*ret_overwritten));
	return true;
}
