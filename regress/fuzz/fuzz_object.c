/*
 * WAL objects: what is said to be whole is what its summary says.
 *
 * The first byte: 0, the object follows as it is; else that many times 4 bytes of content, then a summary, around
 * which the frames are made.
 */
#include <endian.h>
#include <xxhash.h>
#include <zstd.h>

#include "archive/object.h"
#include "base/json.h"
#include "fuzz.h"

struct end {
	struct sw_stage stage;
	struct sw_stage_xxh3 hash;
	bool finished;
};

static sw_rc
end_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	return sw_stage_write(&((struct end *)stage)->hash.stage, data, len, err);
}

static sw_rc
end_finish(struct sw_stage *stage, struct sw_error *err)
{
	((struct end *)stage)->finished = true;
	return sw_stage_finish(&((struct end *)stage)->hash.stage, err);
}

static void
read_object(const uint8_t *data, size_t size, size_t step)
{
	struct sw_object_reader reader = {0};
	struct end end = {.stage = {.write = end_write, .finish = end_finish}};
	struct sw_error err = SW_ERROR_INIT;
	struct fuzz_store store = fuzz_store(data, size, step);
	sw_rc rc;

	MUST(sw_stage_xxh3_init(&end.hash, NULL, &err) == SW_OK);
	MUST(sw_object_reader_init_threads(&reader, NULL, size % 3, &end.stage, &err) == SW_OK);
	rc = fuzz_store_get(&store.store, "x", 0, 0, &reader.stage, &err);
	MUST(end.finished == (rc == SW_OK));
	sw_object_reader_release(&reader); /* which waits for its threads */
	MUST(end.hash.len == 0 || end.hash.len <= reader.summary.size);
	if (rc == SW_OK) {
		MUST(end.hash.len == reader.summary.size);
		MUST(memcmp(end.hash.hash, reader.summary.xxh3, SW_XXH3_LEN) == 0);
		MUST(reader.summary.end == 0 || reader.summary.size == reader.summary.segment_size);
	} else {
		must_be_told(rc, &err);
		MUST(rc == SW_CORRUPT || rc == SW_CONFIG);
	}
	sw_stage_xxh3_release(&end.hash);
}

/* No hash can be guessed: put it where the summary has one. */
static void
fill_in(uint8_t *summary, size_t len, const char *key, const uint8_t *hash, size_t hash_len)
{
	char hex[2 * SW_XXH3_LEN + 1];
	uint8_t *at = memmem(summary, len, key, strlen(key));

	if (at != NULL && (size_t)(at - summary) + strlen(key) + 2 * hash_len <= len)
		memcpy(at + strlen(key), sw_hex(hash, hash_len, hex), 2 * hash_len);
}

static void
read_made(const uint8_t *data, size_t size, size_t content_len)
{
	size_t room = ZSTD_compressBound(content_len), summary_len = size - content_len, frame_len;
	uint8_t *object = malloc(8 + summary_len + room), *summary = object + 8, *frame = summary + summary_len;
	uint32_t header[2] = {htole32(SW_SKIPPABLE_MAGIC), htole32((uint32_t)summary_len)};
	XXH128_canonical_t xxh3;

	memcpy(object, header, sizeof(header));
	memcpy(summary, data + content_len, summary_len);
	frame_len = ZSTD_compress(frame, room, data, content_len, 1);
	XXH128_canonicalFromHash(&xxh3, XXH3_128bits(data, content_len));
	fill_in(summary, summary_len, "\"xxh3\":\"", xxh3.digest, SW_XXH3_LEN);
	read_object(object, 8 + summary_len + frame_len, 0);
	free(object);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t first = take_byte(&data, &size), content_len = first * 4;

	if (first == 0)
		read_object(data, size, size > 0 ? data[size / 2] : 1);
	else if (content_len <= size && size <= SW_SUMMARY_MAX)
		read_made(data, size, content_len);
	return 0;
}
