/*
 * json.h - reading JSON that came from a store: every field is checked for presence, type and range.
 */
#ifndef SW_BASE_JSON_H
#define SW_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/utf8.h"

/*
 * A new object; NULL: out of memory.  For json_object(): PostgreSQL has a function of that name, which would be called in its
 * archiver.
 */
json_t *sw_json_object(void);

/*
 * Parse one object whose "seawall" is `kind` and whose "version" is `version`.
 * SW_OK; SW_CORRUPT (syntax, another kind); SW_CONFIG (a newer version: upgrade Seawall).
 * The words never quote what stands behind a key: that may be a secret.
 * The caller gives it back with json_decref.
 */
sw_rc sw_json_parse(const void *data, size_t len, const char *kind, int version, json_t **ret_object,
	struct sw_error *err);

/* Fields.  SW_OK, or SW_CORRUPT naming the key.  Strings are borrowed from the object. */
sw_rc sw_json_string(const json_t *object, const char *key, const char **ret_text, struct sw_error *err);
sw_rc sw_json_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret_value,
	struct sw_error *err);
sw_rc sw_json_bool(const json_t *object, const char *key, bool *ret_value, struct sw_error *err);
sw_rc sw_json_hex(const json_t *object, const char *key, uint8_t *ret_bytes, size_t len,
	struct sw_error *err);
/* "system_identifier" and the like: 64-bit numbers that stand as text, because JSON's are doubles to many. */
sw_rc sw_json_u64_text(const json_t *object, const char *key, uint64_t *ret_value, struct sw_error *err);

/* buf: 2 * len + 1 bytes.  Returns buf. */
char *sw_hex(const uint8_t *bytes, size_t len, char *buf);
bool sw_unhex(const char *text, uint8_t *ret_bytes, size_t len);

/* RFC 4648.  NULL: out of memory; the caller frees it. */
char *sw_base64(const uint8_t *bytes, size_t len);
/* bytes: max + 2 of them.  At most max are given; the length, or -1. */
ssize_t sw_unbase64(const char *text, uint8_t *ret_bytes, size_t max);

/* JSON holds UTF-8 only: whether `text` is. */
static inline bool
sw_json_text_ok(const char *text)
{
	return sw_utf8_ok(text);
}

/* A string for what is only told, not used: bytes that are not UTF-8 become '?'.  NULL: out of memory. */
json_t *sw_json_text(const char *text);

static inline void
sw_json_free(json_t **object)
{
	json_decref(*object);
}
#define SW_AUTO_JSON __attribute__((cleanup(sw_json_free))) json_t

#endif
