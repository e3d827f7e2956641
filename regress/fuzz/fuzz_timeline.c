/* PostgreSQL's own small formats: histories, names, LSNs, pg_control, relation maps, pages. */
#include "base/crc32c.h"
#include "fuzz.h"
#include "pg/control.h"
#include "pg/names.h"
#include "pg/page.h"
#include "pg/timeline.h"

static void
read_history(const uint8_t *data, size_t size, uint32_t timeline)
{
	struct sw_timeline_history history;
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_timeline_history_parse(timeline, (const char *)data, size, &history, &err);

	if (rc != SW_OK) {
		must_be_told(rc, &err);
		return;
	}
	MUST(history.count >= 1 && history.count <= SW_TIMELINE_MAX + 1);
	MUST(history.entries[history.count - 1].timeline == timeline && history.entries[history.count - 1].end == 0);
	for (size_t i = 0; i + 1 < history.count; i++) {
		MUST(history.entries[i].timeline < history.entries[i + 1].timeline);
		MUST(history.entries[i].end == history.entries[i + 1].begin && history.entries[i].begin <= history.entries[i].end);
		MUST(sw_timeline_find(&history, history.entries[i].timeline) == &history.entries[i]);
	}
	MUST(sw_timeline_at(&history, UINT64_MAX) == timeline);
	sw_timeline_history_release(&history);
}

static void
read_name(const char *text, unsigned shift)
{
	uint32_t segment_size = UINT32_C(1) << (20 + shift % 11);
	struct sw_wal_name name;
	char again[SW_WAL_NAME_MAX];

	if (sw_wal_name_parse(text, segment_size, &name))
		MUST(strcmp(sw_wal_name_format(&name, segment_size, again), text) == 0);
}

static void
read_lsn(const char *text)
{
	char written[SW_LSN_LEN];
	sw_lsn lsn, again;

	if (!sw_lsn_parse(text, &lsn))
		return;
	MUST(sw_lsn_parse(sw_lsn_format(lsn, written), &again) && again == lsn);
}

/* The checksum cannot be guessed: it is put where the version has it. */
static void
read_control(const uint8_t *data, size_t size)
{
	static const size_t crc_at[] = {288, 292, 296};
	uint8_t bytes[SW_CONTROL_FILE_SIZE] = {0};
	struct sw_control control;
	struct sw_error err = SW_ERROR_INIT;

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	for (size_t i = 0; i < sizeof(crc_at) / sizeof(crc_at[0]); i++) {
		uint8_t with[SW_CONTROL_FILE_SIZE];
		uint32_t crc = sw_crc32c(0, bytes, crc_at[i]);
		sw_rc rc;

		memcpy(with, bytes, sizeof(with));
		memcpy(with + crc_at[i], &crc, sizeof(crc));
		rc = sw_control_parse(with, sizeof(with), &control, &err);
		if (rc != SW_OK)
			must_be_told(rc, &err);
		else
			MUST(sw_wal_segment_size_ok(control.segment_size) && control.block_size >= 1024 &&
				control.blocks_per_file > 0);
	}
	sw_control_parse(data, size, &control, &err);
	sw_relmap_ok(data, size);
}

static void
read_page(const uint8_t *data, size_t size)
{
	static _Alignas(8) uint8_t page[32768];

	memset(page, 0, sizeof(page));
	memcpy(page, data, size < sizeof(page) ? size : sizeof(page));
	for (uint32_t block_size = 1024; block_size <= 32768; block_size *= 2)
		MUST(sw_page_checksum(page, block_size, 7) != 0);
	sw_page_is_new(page);
	sw_page_lsn(page);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned kind = take_byte(&data, &size), more = take_byte(&data, &size);
	char *text = strndup((const char *)data, size);
	struct sw_relation_file file;

	switch (kind % 6) {
	case 0:
		read_history(data, size, more + 1);
		break;
	case 1:
		read_name(text, more);
		break;
	case 2:
		read_lsn(text);
		break;
	case 3:
		if (sw_relation_file_parse(text, &file))
			MUST(file.filenode > 0 && strchr(text, '/') != NULL);
		break;
	case 4:
		read_control(data, size);
		break;
	default:
		read_page(data, size);
	}
	free(text);
	return 0;
}
