#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

sw_rc
sw_json_parse(const void *data, size_t len, const char *kind, int version, json_t **ret_object,
	struct sw_error *err)
{
	json_error_t je;
	SW_AUTO_JSON *object = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
	const char *got_kind = NULL;
	uint64_t got_version = 0;
	sw_rc rc;

	if (!json_is_object(object))
		return sw_fail(err, SW_CORRUPT, "not a JSON object: %s",
			object == NULL ? je.text : "another type");
	rc = sw_json_string(object, "seawall", &got_kind, err);
	if (rc == SW_OK && strcmp(got_kind, kind) != 0)
		rc = sw_fail(err, SW_CORRUPT, "is a \"%s\" where a \"%s\" is expected", got_kind, kind);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "version", 1000000, &got_version, err);
	if (rc != SW_OK)
		return rc;
	if (got_version > (uint64_t)version) {
		sw_fail(err, SW_CONFIG, "has format version %d, and this Seawall knows %d",
			(int)got_version, version);
		return sw_hint(err, "use the Seawall that wrote it, or a newer one");
	}
	*ret_object = json_incref(object);
	return SW_OK;
}

sw_rc
sw_json_string(const json_t *object, const char *key, const char **ret_text, struct sw_error *err)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL)
		return sw_fail(err, SW_CORRUPT, "\"%s\" is missing or no string", key);
	*ret_text = text;
	return SW_OK;
}

sw_rc
sw_json_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret_value,
	struct sw_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		(uint64_t)json_integer_value(value) > max)
		return sw_fail(err, SW_CORRUPT, "\"%s\" is missing or no number from 0 to %llu", key,
			(unsigned long long)max);
	*ret_value = (uint64_t)json_integer_value(value);
	return SW_OK;
}

sw_rc
sw_json_bool(const json_t *object, const char *key, bool *ret_value, struct sw_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_boolean(value))
		return sw_fail(err, SW_CORRUPT, "\"%s\" is missing or neither true nor false", key);
	*ret_value = json_is_true(value);
	return SW_OK;
}

sw_rc
sw_json_hex(const json_t *object, const char *key, uint8_t *ret_bytes, size_t len,
	struct sw_error *err)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL || !sw_unhex(text, ret_bytes, len))
		return sw_fail(err, SW_CORRUPT, "\"%s\" is missing or not %zu hexadecimal digits", key,
			2 * len);
	return SW_OK;
}

sw_rc
sw_json_u64_text(const json_t *object, const char *key, uint64_t *ret_value, struct sw_error *err)
{
	const char *text = json_string_value(json_object_get(object, key));
	unsigned long long value;
	char *end;

	errno = 0;
	if (text == NULL || *text < '0' || *text > '9' ||
		(value = strtoull(text, &end, 10), errno != 0 || *end != '\0'))
		return sw_fail(err, SW_CORRUPT, "\"%s\" is missing or no 64-bit number", key);
	*ret_value = value;
	return SW_OK;
}

char *
sw_hex(const uint8_t *bytes, size_t len, char *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		buf[2 * i] = digits[bytes[i] >> 4];
		buf[2 * i + 1] = digits[bytes[i] & 15];
	}
	buf[2 * len] = '\0';
	return buf;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool
sw_unhex(const char *text, uint8_t *ret_bytes, size_t len)
{
	if (strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (nibble(text[2 * i]) < 0 || nibble(text[2 * i + 1]) < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		ret_bytes[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return true;
}
