#include "store/sign.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/json.h"

#define CANONICAL_MAX ((size_t)64 * 1024)

void
sw_sign_date(int64_t time_us, char ret_date[SW_SIGN_DATE_LEN])
{
	time_t t = (time_t)(time_us / 1000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(ret_date, SW_SIGN_DATE_LEN, "%Y%m%dT%H%M%SZ", &tm);
}

sw_rc
sw_sign_encode(const char *text, bool keep_slash, struct sw_buf *buf, struct sw_error *err)
{
	static const char digits[] = "0123456789ABCDEF";
	sw_rc rc = SW_OK;

	for (; *text != '\0' && rc == SW_OK; text++) {
		unsigned char c = (unsigned char)*text;
		char coded[3] = {'%', digits[c >> 4], digits[c & 15]};

		if ((c < 0x80 && isalnum(c)) || strchr("-_.~", c) != NULL || (c == '/' && keep_slash))
			rc = sw_buf_append(buf, text, 1, err);
		else
			rc = sw_buf_append(buf, coded, 3, err);
	}
	return rc;
}

/* --- query ------------------------------------------------------------------------ */

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "name\1value": with that separator, sorting whole items sorts by name, then by value. */
static sw_rc
encode_item(const struct sw_sign_pair *pair, char **ret_item, struct sw_error *err)
{
	SW_AUTO_BUF item;
	sw_rc rc;

	sw_buf_init(&item, CANONICAL_MAX);
	rc = sw_sign_encode(pair->name, false, &item, err);
	if (rc == SW_OK)
		rc = sw_buf_append(&item, "\1", 1, err);
	if (rc == SW_OK)
		rc = sw_sign_encode(pair->value, false, &item, err);
	if (rc == SW_OK) {
		*ret_item = (char *)item.data;
		item.data = NULL;
	}
	return rc;
}

sw_rc
sw_sign_query(const struct sw_sign_pair *params, size_t count, struct sw_buf *buf, struct sw_error *err)
{
	char *items[SW_SIGN_HEADERS_MAX] = {0};
	sw_rc rc = SW_OK;

	if (count > SW_SIGN_HEADERS_MAX)
		return sw_fail(err, SW_BUG, "%zu query parameters", count);
	for (size_t i = 0; i < count && rc == SW_OK; i++)
		rc = encode_item(&params[i], &items[i], err);
	if (rc == SW_OK && count > 0)
		qsort(items, count, sizeof(items[0]), compare_text);
	for (size_t i = 0; i < count && rc == SW_OK; i++) {
		*strchr(items[i], '\1') = '=';
		rc = sw_buf_printf(buf, err, "%s%s", i > 0 ? "&" : "", items[i]);
	}
	for (size_t i = 0; i < count; i++)
		free(items[i]);
	return rc;
}

/* --- headers ---------------------------------------------------------------------- */

/* Names in small letters; values of one name are joined in the order they came. */
static void
sort_headers(const struct sw_sign_request *req, const struct sw_sign_pair **ret_sorted)
{
	for (size_t i = 0; i < req->header_count; i++) {
		size_t at = i;

		for (; at > 0 && strcasecmp(ret_sorted[at - 1]->name, req->headers[i].name) > 0; at--)
			ret_sorted[at] = ret_sorted[at - 1];
		ret_sorted[at] = &req->headers[i];
	}
}

static sw_rc
append_lower(const char *name, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (; *name != '\0' && rc == SW_OK; name++) {
		char c = (char)tolower((unsigned char)*name);

		rc = sw_buf_append(buf, &c, 1, err);
	}
	return rc;
}

/* Without white space at the ends, runs of spaces within as one. */
static sw_rc
append_trimmed(const char *value, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	value += strspn(value, " \t");
	while (*value != '\0' && rc == SW_OK) {
		size_t word = strcspn(value, " \t"), space = strspn(value + word, " \t");

		rc = sw_buf_append(buf, value, word, err);
		value += word + space;
		if (rc == SW_OK && *value != '\0')
			rc = sw_buf_append(buf, " ", 1, err);
	}
	return rc;
}

static sw_rc
append_headers(const struct sw_sign_pair **sorted, size_t count, struct sw_buf *headers,
	struct sw_buf *names, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; i < count && rc == SW_OK; i++) {
		bool again = i > 0 && strcasecmp(sorted[i]->name, sorted[i - 1]->name) == 0;

		if (again) {
			headers->len--; /* the newline */
			rc = sw_buf_append(headers, ",", 1, err);
		} else {
			rc = names->len > 0 ? sw_buf_append(names, ";", 1, err) : SW_OK;
			if (rc == SW_OK)
				rc = append_lower(sorted[i]->name, names, err);
			if (rc == SW_OK)
				rc = append_lower(sorted[i]->name, headers, err);
			if (rc == SW_OK)
				rc = sw_buf_append(headers, ":", 1, err);
		}
		if (rc == SW_OK)
			rc = append_trimmed(sorted[i]->value, headers, err);
		if (rc == SW_OK)
			rc = sw_buf_append(headers, "\n", 1, err);
	}
	return rc;
}

/* --- signature ---------------------------------------------------------------------- */

static bool
hmac(const void *key, size_t key_len, const char *text, uint8_t ret_mac[SHA256_DIGEST_LENGTH])
{
	return HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), ret_mac, NULL) !=
		NULL;
}

static bool
sign_text(const struct sw_sign_request *req, const char *day, const char *text,
	uint8_t ret_mac[SHA256_DIGEST_LENGTH])
{
	uint8_t k[SHA256_DIGEST_LENGTH];
	char *first = NULL;
	bool ok;

	if (asprintf(&first, "AWS4%s", req->secret_key) < 0)
		return false;
	ok = hmac(first, strlen(first), day, k) && hmac(k, sizeof(k), req->region, k) &&
		hmac(k, sizeof(k), req->service, k) && hmac(k, sizeof(k), "aws4_request", k) &&
		hmac(k, sizeof(k), text, ret_mac);
	OPENSSL_cleanse(first, strlen(first));
	OPENSSL_cleanse(k, sizeof(k));
	free(first);
	return ok;
}

static sw_rc
sign_canonical(const struct sw_sign_request *req, const struct sw_buf *canonical, const char *names,
	struct sw_buf *buf, struct sw_error *err)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char date[SW_SIGN_DATE_LEN], day[9], hex[2 * SHA256_DIGEST_LENGTH + 1];
	SW_AUTO_BUF text;
	sw_rc rc;

	sw_buf_init(&text, CANONICAL_MAX);
	sw_sign_date(req->time_us, date);
	memcpy(day, date, 8);
	day[8] = '\0';
	SHA256(canonical->data, canonical->len, digest);
	sw_hex(digest, sizeof(digest), hex);
	rc = sw_buf_printf(&text, err, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", date, day,
		req->region, req->service, hex);
	if (rc != SW_OK)
		return rc;
	if (!sign_text(req, day, (const char *)text.data, digest))
		return sw_fail(err, SW_SYSTEM, "OpenSSL refuses HMAC-SHA256");
	sw_hex(digest, sizeof(digest), hex);
	return sw_buf_printf(buf, err,
		"AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		req->access_key, day, req->region, req->service, names, hex);
}

sw_rc
sw_sign_authorization(const struct sw_sign_request *req, struct sw_buf *buf, struct sw_error *err)
{
	const struct sw_sign_pair *sorted[SW_SIGN_HEADERS_MAX];
	SW_AUTO_BUF canonical;
	SW_AUTO_BUF names;
	sw_rc rc;

	sw_buf_init(&canonical, CANONICAL_MAX);
	sw_buf_init(&names, CANONICAL_MAX);
	if (req->header_count > SW_SIGN_HEADERS_MAX)
		return sw_fail(err, SW_BUG, "%zu headers to sign", req->header_count);
	sort_headers(req, sorted);
	rc = sw_buf_printf(&canonical, err, "%s\n%s\n%s\n", req->method, req->path, req->query);
	if (rc == SW_OK)
		rc = append_headers(sorted, req->header_count, &canonical, &names, err);
	if (rc == SW_OK)
		rc = sw_buf_printf(&canonical, err, "\n%s\n%s", (const char *)names.data, req->payload_sha256);
	if (rc == SW_OK)
		rc = sign_canonical(req, &canonical, (const char *)names.data, buf, err);
	return rc;
}
