#include "wal/page.h"

#include <string.h>

struct sw_wal_page
sw_wal_page_read(const uint8_t *bytes)
{
	struct sw_wal_page page = {0};

	memcpy(&page.magic, bytes, 2);
	memcpy(&page.info, bytes + 2, 2);
	memcpy(&page.timeline, bytes + 4, 4);
	memcpy(&page.address, bytes + 8, 8);
	memcpy(&page.remaining, bytes + 16, 4);
	if (page.info & SW_WAL_PAGE_IS_LONG) {
		memcpy(&page.system_identifier, bytes + 24, 8);
		memcpy(&page.segment_size, bytes + 32, 4);
		memcpy(&page.block_size, bytes + 36, 4);
	}
	return page;
}

bool
sw_wal_page_begins_segment(const struct sw_wal_page *page)
{
	return (page->info & SW_WAL_PAGE_IS_LONG) && sw_wal_segment_size_ok(page->segment_size) &&
		page->block_size >= SW_WAL_BLOCK_MIN && page->block_size <= SW_WAL_BLOCK_MAX &&
		(page->block_size & (page->block_size - 1)) == 0 && page->address % page->segment_size == 0;
}
