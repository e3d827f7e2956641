/*
 * fuzz.h - what the fuzz targets share: promises that must hold, and a store of one object.
 */
#ifndef SW_REGRESS_FUZZ_H
#define SW_REGRESS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that no input may break. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* A failure has words, and they fit a line of a log. */
static inline void
must_be_told(sw_rc rc, const struct sw_error *err)
{
	MUST(rc == err->rc && rc != SW_BUG);
	MUST(err->text[0] != '\0');
	for (const char *p = err->text; *p != '\0'; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
	for (const char *p = err->hint; *p != '\0'; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* The next byte of the input; 0 behind its end. */
static inline uint8_t
take_byte(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	--*size;
	return *(*data)++;
}

/* --- a store whose every name is the same object, read in pieces of `step` bytes ------------------ */

struct fuzz_store {
	struct sw_store store;
	const uint8_t *data;
	size_t len, step;
};

static inline sw_rc
fuzz_store_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len, struct sw_stage *sink,
	struct sw_error *err)
{
	struct fuzz_store *s = (struct fuzz_store *)store;
	uint64_t end = len == 0 ? s->len : offset + len;

	(void)name;
	if (end > s->len)
		return sw_fail(err, SW_CORRUPT, "a range outside the object");
	while (offset < end) {
		size_t n = end - offset < s->step ? (size_t)(end - offset) : s->step;
		sw_rc rc = sw_stage_write(sink, s->data + offset, n, err);

		if (rc != SW_OK)
			return rc;
		offset += n;
	}
	return sw_stage_finish(sink, err);
}

static inline void
fuzz_store_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	(void)store;
	(void)traits;
}

static inline struct fuzz_store
fuzz_store(const void *data, size_t len, size_t step)
{
	static const struct sw_store_ops ops = {.get = fuzz_store_get, .set_traits = fuzz_store_set_traits};
	static char url[] = "file:///fuzz";

	return (struct fuzz_store){
		.store = {.ops = &ops, .url = url},
		.data = data,
		.len = len,
		.step = step == 0 ? 4096 : step,
	};
}

#endif
