#include "base/json.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Jansson's words without " near '…'", which quotes the document. */
static sw_rc
fail_syntax(const json_error_t *je, struct sw_error *err)
{
	const char *near = strstr(je->text, " near '");

	return sw_fail(err, SW_CORRUPT, "not a JSON object: %.*s (line %d, column %d)",
		(int)(near != NULL ? near - je->text : (ptrdiff_t)strlen(je->text)), je->text, je->line, je->column);
}

/* A kind is a word; what is none may be anything. */
static sw_rc
fail_kind(const char *got, const char *want, struct sw_error *err)
{
	size_t len = strspn(got, "abcdefghijklmnopqrstuvwxyz");

	if (len == 0 || len > 20 || got[len] != '\0')
		return sw_fail(err, SW_CORRUPT, "is of no kind where a \"%s\" is expected", want);
	return sw_fail(err, SW_CORRUPT, "is a \"%s\" where a \"%s\" is expected", got, want);
}

json_t *
sw_json_object(void)
{
	return json_pack("{}");
}

sw_rc
sw_json_parse(const void *data, size_t len, const char *kind, int version, json_t **ret_object,
	struct sw_error *err)
{
	json_error_t je;
	SW_AUTO_JSON *object = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
	const char *got_kind = NULL;
	uint64_t got_version = 0;
	sw_rc rc;

	if (object == NULL)
		return fail_syntax(&je, err);
	if (!json_is_object(object))
		return sw_fail(err, SW_CORRUPT, "not a JSON object, but another type");
	rc = sw_json_string(object, "seawall", &got_kind, err);
	if (rc == SW_OK && strcmp(got_kind, kind) != 0)
		rc = fail_kind(got_kind, kind, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "version", 1000000, &got_version, err);
	if (rc == SW_OK && got_version == 0)
		rc = sw_fail(err, SW_CORRUPT, "\"version\" is 0");
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

char *
sw_base64(const uint8_t *bytes, size_t len)
{
	char *text = malloc(4 * ((len + 2) / 3) + 1);

	if (text != NULL)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

ssize_t
sw_unbase64(const char *text, uint8_t *ret_bytes, size_t max)
{
	size_t len = strlen(text), pad = 0;
	int got;

	if (len % 4 != 0 || len / 4 * 3 > max + 2)
		return -1;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	/* OpenSSL passes over blanks at both ends */
	got = EVP_DecodeBlock(ret_bytes, (const unsigned char *)text, (int)len);
	return got < 0 || (size_t)got != len / 4 * 3 ? -1 : (ssize_t)((size_t)got - pad);
}

json_t *
sw_json_text(const char *text)
{
	char *clean = strdup(text);
	json_t *string;

	if (clean == NULL)
		return NULL;
	for (char *p = clean; *p != '\0';) {
		size_t len = sw_utf8_len(p);

		if (len == 0)
			*p = '?';
		p += len > 0 ? len : 1;
	}
	string = json_string(clean);
	free(clean);
	return string;
}
