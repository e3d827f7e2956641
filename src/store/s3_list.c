#include "store/s3_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/xml.h"

#define LIST_MAX ((size_t)8 * 1024 * 1024)

/* --- list ------------------------------------------------------------------------------------- */

struct list {
	struct sw_s3 *s3;
	const char *after;
	sw_store_each each;
	void *ctx;
	bool enough;
	char last[3 * SW_S3_KEY_MAX + 1]; /* key */
	/* the entry being read */
	char key[3 * SW_S3_KEY_MAX + 1]; /* encoded at first */
	struct sw_store_info info;
	/* the next page */
	bool truncated, is_listing;
	char token[SW_XML_TEXT_MAX + 1];
};

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* encoding-type=url.  What is no such encoding is left as it is. */
static void
decode_url(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		int high = text[0] == '%' ? hex_digit(text[1]) : -1;
		int low = high >= 0 ? hex_digit(text[2]) : -1;

		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high * 16 + low);
			text += 2;
		} else {
			*to++ = *text == '+' ? ' ' : *text;
		}
	}
	*to = '\0';
}

/* Put the key in l->key and find the name in it; a service may not know encoding-type. */
static const char *
name_of_key(struct list *l)
{
	size_t len = strlen(l->s3->prefix);
	char raw[sizeof(l->key)];

	memcpy(raw, l->key, sizeof(raw));
	decode_url(l->key);
	if (strncmp(l->key, l->s3->prefix, len) != 0)
		memcpy(l->key, raw, sizeof(raw));
	return strncmp(l->key, l->s3->prefix, len) == 0 ? l->key + len : NULL;
}

static sw_rc
end_entry(struct list *l, struct sw_error *err)
{
	const char *name = name_of_key(l);
	sw_rc rc;

	if (name == NULL)
		return sw_fail(err, SW_SYSTEM, "the service listed \"%.200s\", which does not begin with the "
			"prefix that was asked for", l->key);
	if (l->last[0] != '\0' && strcmp(l->key, l->last) <= 0) {
		sw_fail(err, SW_SYSTEM, "the service listed \"%.200s\" behind \"%.200s\"", l->key, l->last);
		return sw_hint(err, "the bucket does not list in byte order (a directory bucket?): use a general "
			"purpose one");
	}
	memcpy(l->last, l->key, sizeof(l->last));
	if (!sw_store_name_valid(name) || (l->after != NULL && strcmp(name, l->after) <= 0))
		return SW_OK;
	rc = l->each(l->ctx, name, &l->info, err);
	l->enough = rc == SW_CONFLICT;
	return rc;
}

static sw_rc
take_entry(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	struct list *l = ctx;

	if (strcmp(parent, "Contents") == 0) {
		if (strcmp(name, "Key") == 0)
			snprintf(l->key, sizeof(l->key), "%s", text);
		else if (strcmp(name, "Size") == 0)
			l->info.size = strtoull(text, NULL, 10);
		else if (strcmp(name, "LastModified") == 0)
			(void)!sw_clock_parse_iso(text, &l->info.modified_us);
	} else if (strcmp(name, "Contents") == 0) {
		sw_rc rc = end_entry(l, err);

		l->key[0] = '\0';
		l->info = (struct sw_store_info){0};
		return rc;
	} else if (strcmp(name, "IsTruncated") == 0) {
		l->truncated = strcmp(text, "true") == 0;
	} else if (strcmp(name, "NextContinuationToken") == 0) {
		snprintf(l->token, sizeof(l->token), "%s", text);
	} else if (strcmp(name, "ListBucketResult") == 0) {
		l->is_listing = true;
	}
	return SW_OK;
}

static sw_rc
list_page(struct list *l, const char *prefix, const char *start_after, struct sw_error *err)
{
	struct sw_sign_pair query[4] = {
		{"list-type", "2"}, {"prefix", prefix}, {"encoding-type", "url"},
	};
	SW_AUTO_S3_ANSWER answer;
	SW_AUTO_FREE char *token = strdup(l->token);
	struct sw_s3_call call = {
		.method = "GET",
		.query = query,
		.query_count = 3,
		.answer_max = LIST_MAX,
	};
	sw_rc rc;

	sw_s3_answer_init(&answer);
	if (token == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (token[0] != '\0')
		query[call.query_count++] = (struct sw_sign_pair){"continuation-token", token};
	else if (start_after != NULL)
		query[call.query_count++] = (struct sw_sign_pair){"start-after", start_after};
	l->truncated = l->is_listing = false;
	l->token[0] = '\0';
	rc = sw_s3_request(l->s3, &call, &answer, err);
	if (rc == SW_OK)
		rc = sw_xml_parse(answer.http.body.data, answer.http.body.len, take_entry, l, err);
	if (rc == SW_OK && !l->is_listing)
		rc = sw_fail(err, SW_SYSTEM, "listing %s: the answer is no listing", l->s3->store.url);
	if (rc == SW_OK && l->truncated && (l->token[0] == '\0' || strcmp(l->token, token) == 0))
		rc = sw_fail(err, SW_SYSTEM, "listing %s: there is more, but the service does not say how to get it",
			l->s3->store.url);
	return rc;
}

sw_rc
sw_s3_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each, void *ctx,
	struct sw_error *err)
{
	struct sw_s3 *s3 = (struct sw_s3 *)store;
	SW_AUTO_FREE struct list *l = calloc(1, sizeof(*l));
	SW_AUTO_FREE char *full_prefix = NULL;
	SW_AUTO_FREE char *full_after = NULL;
	sw_rc rc;

	if (l == NULL || asprintf(&full_prefix, "%s%s", s3->prefix, prefix) < 0 ||
		(after != NULL && asprintf(&full_after, "%s%s", s3->prefix, after) < 0))
		return sw_fail(err, SW_SYSTEM, "out of memory");
	*l = (struct list){.s3 = s3, .after = after, .each = each, .ctx = ctx};
	do {
		rc = list_page(l, full_prefix, full_after, err);
	} while (rc == SW_OK && l->truncated);
	return l->enough ? SW_OK : rc;
}

/* --- versions --------------------------------------------------------------------------- */

struct version_page {
	const char *key;
	struct sw_s3_version oldest;
	/* the entry being read */
	char entry_key[SW_S3_KEY_MAX + 1], entry_id[1025];
	uint64_t entry_size;
	int64_t entry_us;
	/* where the next page begins */
	bool truncated, passed, is_versions;
	char next_key[SW_S3_KEY_MAX + 1], next_id[1025];
};

static void
end_version(struct version_page *page, bool is_data)
{
	int order = strcmp(page->entry_key, page->key);

	page->passed = page->passed || order > 0;
	if (order == 0 && is_data) {
		/* versions of a key come newest first */
		page->oldest = (struct sw_s3_version){
			.found = true,
			.size = page->entry_size,
			.modified_us = page->entry_us,
		};
		memcpy(page->oldest.id, page->entry_id, sizeof(page->oldest.id));
	}
	page->entry_key[0] = page->entry_id[0] = '\0';
	page->entry_size = 0;
	page->entry_us = 0;
}

static sw_rc
take_version(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	struct version_page *page = ctx;

	(void)err;
	if (strcmp(name, "Version") == 0 || strcmp(name, "DeleteMarker") == 0) {
		end_version(page, name[0] == 'V');
	} else if (strcmp(parent, "Version") == 0 || strcmp(parent, "DeleteMarker") == 0) {
		if (strcmp(name, "Key") == 0)
			snprintf(page->entry_key, sizeof(page->entry_key), "%s", text);
		else if (strcmp(name, "VersionId") == 0)
			snprintf(page->entry_id, sizeof(page->entry_id), "%s", text);
		else if (strcmp(name, "Size") == 0)
			page->entry_size = strtoull(text, NULL, 10);
		else if (strcmp(name, "LastModified") == 0)
			(void)!sw_clock_parse_iso(text, &page->entry_us);
	} else if (strcmp(name, "IsTruncated") == 0) {
		page->truncated = strcmp(text, "true") == 0;
	} else if (strcmp(name, "ListVersionsResult") == 0) {
		page->is_versions = true;
	} else if (strcmp(name, "NextKeyMarker") == 0) {
		snprintf(page->next_key, sizeof(page->next_key), "%s", text);
	} else if (strcmp(name, "NextVersionIdMarker") == 0) {
		snprintf(page->next_id, sizeof(page->next_id), "%s", text);
	}
	return SW_OK;
}

static sw_rc
list_versions(struct sw_s3 *s3, const char *name, struct version_page *page, struct sw_error *err)
{
	struct sw_sign_pair query[4] = {{"versions", ""}, {"prefix", page->key}};
	char from_key[SW_S3_KEY_MAX + 1], from_id[1025];
	SW_AUTO_S3_ANSWER answer;
	struct sw_s3_call call = {
		.method = "GET",
		.query = query,
		.query_count = 2,
		.answer_max = LIST_MAX,
	};
	sw_rc rc;

	sw_s3_answer_init(&answer);
	memcpy(from_key, page->next_key, sizeof(from_key));
	memcpy(from_id, page->next_id, sizeof(from_id));
	if (from_key[0] != '\0')
		query[call.query_count++] = (struct sw_sign_pair){"key-marker", from_key};
	if (from_id[0] != '\0')
		query[call.query_count++] = (struct sw_sign_pair){"version-id-marker", from_id};
	page->truncated = page->is_versions = false;
	rc = sw_s3_request(s3, &call, &answer, err);
	if (rc == SW_OK)
		rc = sw_xml_parse(answer.http.body.data, answer.http.body.len, take_version, page, err);
	if (rc == SW_OK && !page->is_versions)
		rc = sw_fail(err, SW_SYSTEM, "the answer is no list of versions");
	if (rc == SW_OK && page->truncated && strcmp(from_key, page->next_key) == 0 &&
		strcmp(from_id, page->next_id) == 0)
		rc = sw_fail(err, SW_CORRUPT, "a page that says where the next begins, and it is the same");
	return rc == SW_OK ? rc : sw_wrap(err, "listing the versions of %s/%s", s3->store.url, name);
}

sw_rc
sw_s3_find_oldest(struct sw_s3 *s3, const char *name, struct sw_s3_version *ret_version, struct sw_error *err)
{
	SW_AUTO_FREE struct version_page *page = calloc(1, sizeof(*page));
	char key[SW_S3_KEY_MAX + 1];
	sw_rc rc = SW_OK;

	if (page == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	snprintf(key, sizeof(key), "%s%s", s3->prefix, name);
	page->key = key;
	do {
		rc = list_versions(s3, name, page, err);
	} while (rc == SW_OK && page->truncated && !page->passed);
	if (rc == SW_OK)
		*ret_version = page->oldest;
	return rc;
}
