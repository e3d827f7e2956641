/*
 * Digests of WAL: hostile JSON, and hostile WAL whose digest must be one that can be read again.  The first byte
 * chooses.
 */
#include "../unit/wal_maker.h"
#include "fuzz.h"
#include "wal/digest.h"

#define SEGMENT (1024 * 1024)

static const uint16_t magics[] = {0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};

/* What is written can be read, is the same then, and fits. */
static void
write_and_read(const struct sw_wal_digest *digest, size_t room)
{
	json_t *json = sw_wal_digest_json(digest, room, true), *again;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest back;

	MUST(json != NULL && json_dumpb(json, NULL, 0, JSON_COMPACT) <= room);
	MUST(sw_wal_digest_parse(json, &back, &err) == SW_OK);
	again = sw_wal_digest_json(&back, (size_t)64 << 20, true);
	MUST(json_equal(json, again));
	sw_wal_digest_release(&back);
	json_decref(again);
	json_decref(json);
}

static void
read_json(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, 0, NULL);
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest digest;
	sw_rc rc;

	if (json == NULL)
		return;
	rc = sw_wal_digest_parse(json, &digest, &err);
	if (rc == SW_OK) {
		write_and_read(&digest, (size_t)64 << 20);
		write_and_read(&digest, 4096);
		sw_wal_digest_release(&digest);
	} else {
		must_be_told(rc, &err);
		MUST(rc == SW_CORRUPT);
	}
	json_decref(json);
}

static void
read_wal(const uint8_t *bytes, size_t len, sw_lsn start)
{
	struct sw_wal_digester_params params = {.start = start, .segment_size = SEGMENT, .block_size = 1024, .next_xid = 700};
	struct sw_wal_digester *digester = NULL;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest digest;

	MUST(sw_wal_digester_new(&params, NULL, &digester, &err) == SW_OK);
	MUST(sw_stage_write(sw_wal_digester_stage(digester), bytes, len, &err) == SW_OK);
	MUST(sw_stage_finish(sw_wal_digester_stage(digester), &err) == SW_OK);
	MUST(sw_wal_digester_take(digester, &digest, &err) == SW_OK);
	sw_wal_digester_free(digester);
	write_and_read(&digest, (size_t)64 << 20);
	write_and_read(&digest, 65000);
	write_and_read(&digest, 4096);
	sw_wal_digest_release(&digest);
}

/* The input says of each record: length (2), resource manager, info, xid (1); then its content. */
static void
make_wal(uint8_t how, const uint8_t *data, size_t size)
{
	struct wal_maker w;

	maker_init(&w, 1024, SEGMENT, 1, SEGMENT);
	w.magic = magics[how / 8 % 5];
	while (size >= 5 && w.at - w.start < 100000) {
		uint32_t want = (data[0] | (uint32_t)data[1] << 8) % 3000, len = want < size - 5 ? want : (uint32_t)(size - 5);

		maker_add(&w, 24 + len, data[4], data[2], data[3], data + 5);
		data += 5 + len;
		size -= 5 + len;
	}
	read_wal(w.bytes, (size_t)(w.at - w.start + 3000) / 1024 * 1024, w.start);
	maker_release(&w);
}

static void
digest_record(uint8_t how, const uint8_t *data, size_t len)
{
	size_t size = len < 2 ? 0 : len - 2, kept = size - (how & 4 ? size / 2 : 0);
	uint8_t *copy = calloc(1, 24 + kept);
	struct sw_wal_record record = {
		.format = sw_wal_format_find(magics[how / 8 % 5]), .lsn = 4096, .end = 8192, .xid = 700,
		.rmgr = len > 0 ? data[0] % 12 : 0, .info = len > 1 ? data[1] : 0, .total_len = (uint32_t)(24 + size),
		.data = copy, .data_len = 24 + kept,
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_digest digest;

	memcpy(copy + 24, data + (len - size), kept);
	MUST(sw_wal_digest_record(&record, 1024, 700, &digest, &err) == SW_OK);
	write_and_read(&digest, (size_t)64 << 20);
	sw_wal_digest_release(&digest);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t how = take_byte(&data, &size);

	switch (how & 3) {
	case 0:
		make_wal(how, data, size);
		break;
	case 1:
		digest_record(how, data, size);
		break;
	default:
		read_json(data, size);
		break;
	}
	return 0;
}
