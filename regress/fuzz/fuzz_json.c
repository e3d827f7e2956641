/* JSON from a store, registrations, records of dropped WAL: what is read of them is legal, and a secret is never told. */
#include "archive/gap.h"
#include "archive/repository.h"
#include "base/json.h"
#include "fuzz.h"

#include <xxhash.h>

#define SECRET "5ec2e75ec2e75ec2"

static void
read_registration(const uint8_t *data, size_t size)
{
	struct fuzz_store store = fuzz_store(data, size, 0);
	struct sw_error err = SW_ERROR_INIT;
	struct sw_repository repo;
	sw_rc rc = sw_repository_open(&store.store, "main", UINT64_C(17710216540988632115), &repo, &err);

	if (rc != SW_OK) {
		must_be_told(rc, &err);
		MUST(strstr(err.text, SECRET) == NULL && strstr(err.hint, SECRET) == NULL);
		return;
	}
	MUST(repo.reg.system_identifier == UINT64_C(17710216540988632115));
	MUST(strlen(repo.reg.id) == SW_REPOSITORY_ID_LEN - 1 && sw_wal_segment_size_ok(repo.reg.segment_size));
	MUST(repo.reg.block_size >= 1024 && repo.reg.block_size <= 32768);
}

static void
read_fields(const uint8_t *data, size_t size)
{
	struct sw_error err = SW_ERROR_INIT;
	uint8_t bytes[4];
	const char *text;
	uint64_t number;
	json_t *object;
	bool yes;
	sw_rc rc = sw_json_parse(data, size, "x", 1, &object, &err);

	if (rc != SW_OK) {
		must_be_told(rc, &err);
		return;
	}
	if (sw_json_string(object, "s", &text, &err) == SW_OK)
		MUST(sw_json_text_ok(text));
	if (sw_json_u64(object, "n", 1000, &number, &err) == SW_OK)
		MUST(number <= 1000);
	sw_json_bool(object, "b", &yes, &err);
	sw_json_hex(object, "h", bytes, sizeof(bytes), &err);
	sw_json_u64_text(object, "t", &number, &err);
	json_decref(object);
}

/* What the house calls UTF-8 the library takes, and nothing else. */
static void
compare_utf8(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	json_t *theirs = json_string(text), *told = sw_json_text(text);

	MUST(sw_json_text_ok(text) == (theirs != NULL) && told != NULL);
	json_decref(theirs);
	json_decref(told);
	free(text);
}

/* A record, whose name tells its hash whatever the bytes are; and a name. */
static void
read_gap(const uint8_t *data, size_t size)
{
	static const uint32_t segment_size = 16 * 1024 * 1024;
	struct sw_gap gap = {.timeline = 1, .first = 7, .last = 9, .time_us = INT64_C(1795520311000000)}, again;
	struct sw_gap_record record;
	struct sw_error err = SW_ERROR_INIT;
	char text[SW_GAP_NAME_MAX], *name = strndup((const char *)data, size);
	XXH128_canonical_t canonical;
	sw_rc rc;

	if (name != NULL && sw_gap_name_parse(name, segment_size, &again))
		MUST(again.first <= again.last && strcmp(sw_gap_name_format(&again, segment_size, text), name) == 0);
	free(name);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
	memcpy(gap.hash, canonical.digest, sizeof(gap.hash));
	rc = sw_gap_decode(&gap, UINT64_C(7710216540988632115), segment_size, data, size, &record, &err);
	if (rc != SW_OK)
		must_be_told(rc, &err);
	else
		MUST(memchr(record.why, 0, sizeof(record.why)) && memchr(record.host, 0, sizeof(record.host)) &&
			memchr(record.pgdata, 0, sizeof(record.pgdata)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	switch (take_byte(&data, &size) % 4) {
	case 0:
		read_registration(data, size);
		break;
	case 1:
		read_fields(data, size);
		break;
	case 2:
		compare_utf8(data, size);
		break;
	default:
		read_gap(data, size);
	}
	return 0;
}
