#include "store/s3.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/s3_list.h"
#include "store/s3_request.h"
#include "store/xml.h"

#define LIST_MAX ((size_t)8 * 1024 * 1024)
#define SMALL_MAX ((size_t)64 * 1024)
#define DELETE_MAX 1000 /* names in one request, of S3 */

static struct sw_s3 *
s3_of(struct sw_store *store)
{
	return (struct sw_s3 *)store;
}

static bool
is_code(const struct sw_s3_answer *answer, const char *code)
{
	return strcmp(answer->refusal.code, code) == 0;
}

/* The oldest version is read, because the store does not keep others from being put over it. */
static bool
oldest_rules(const struct sw_s3 *s3)
{
	return s3->traits.versioned && !s3->traits.put_if_absent;
}

/* --- get --------------------------------------------------------------------------------- */

struct wanted {
	const char *url, *name;
	uint64_t offset, len; /* as in sw_store_get */
	bool at_most;         /* len is SW_STORE_UP_TO's */
};

static sw_rc
accept_range(const struct wanted *w, const struct sw_http_answer *a, struct sw_error *err)
{
	unsigned long long first, last, total;

	if (sscanf(a->content_range, "bytes %llu-%llu/%llu", &first, &last, &total) != 3 ||
		first != w->offset || last < first || last >= total || last - first + 1 != a->length)
		return sw_fail(err, SW_SYSTEM, "GET %s/%s: the service gave the range \"%s\" (%llu bytes) where "
			"%llu+%llu was asked for", w->url, w->name, a->content_range, (unsigned long long)a->length,
			(unsigned long long)w->offset, (unsigned long long)w->len);
	if (w->at_most && a->length < w->len && last == total - 1)
		return SW_OK;
	if (w->len == 0 ? last != total - 1 : a->length != w->len)
		return sw_fail(err, SW_CORRUPT, "%s/%s has %llu bytes: none at %llu+%llu", w->url, w->name, total,
			(unsigned long long)w->offset, (unsigned long long)w->len);
	return SW_OK;
}

/* The answer's head must promise exactly the bytes asked for, before one of them is believed. */
static sw_rc
accept_get(void *ctx, const struct sw_http_answer *a, struct sw_error *err)
{
	const struct wanted *w = ctx;

	if (!a->has_length) {
		sw_fail(err, SW_SYSTEM, "GET %s/%s: the answer does not say its length", w->url, w->name);
		return sw_hint(err, "something between here and the service may be changing answers (a proxy?)");
	}
	if (a->status == 206)
		return accept_range(w, a, err);
	if (w->offset == 0 && (w->len == 0 || w->len == a->length || (w->at_most && a->length < w->len)))
		return SW_OK;
	if (w->offset >= a->length || w->len > a->length - w->offset)
		return sw_fail(err, SW_CORRUPT, "%s/%s has %llu bytes: none at %llu+%llu", w->url, w->name,
			(unsigned long long)a->length, (unsigned long long)w->offset, (unsigned long long)w->len);
	sw_fail(err, SW_SYSTEM, "GET %s/%s: the service gave the whole object where a range was asked for",
		w->url, w->name);
	return sw_hint(err, "something between here and the service may be changing requests (a proxy?)");
}

/* What was read from a bucket with versions, of which it is not known whether the store enforces put-if-absent. */
static sw_rc
check_oldest(struct sw_s3 *s3, const char *name, const char *version, struct sw_error *err)
{
	struct sw_s3_version oldest;
	sw_rc rc = sw_s3_find_oldest(s3, name, &oldest, err);

	if (rc != SW_OK || (oldest.found && strcmp(oldest.id, version) == 0))
		return rc;
	return sw_fail(err, SW_CONFLICT, "%s/%s: what was read is not the oldest version", s3->store.url, name);
}

static sw_rc
get_version(struct sw_s3 *s3, const char *name, const char *version, uint64_t offset, uint64_t len,
	struct sw_stage *sink, struct sw_error *err)
{
	struct wanted wanted = {.url = s3->store.url, .name = name, .offset = offset, .len = len & ~SW_STORE_AT_MOST,
		.at_most = len & SW_STORE_AT_MOST};
	struct sw_sign_pair query = {"versionId", version}, range = {"range", NULL};
	struct sw_s3_call call = {
		.method = "GET",
		.name = name,
		.query = &query,
		.query_count = version != NULL ? 1 : 0,
		.headers = &range,
		.header_count = offset > 0 || len > 0 ? 1 : 0,
		.sink = sink,
		.accept = accept_get,
		.accept_ctx = &wanted,
	};
	SW_AUTO_S3_ANSWER answer;
	char bytes[64];
	sw_rc rc;

	sw_s3_answer_init(&answer);
	if (wanted.len > 0)
		snprintf(bytes, sizeof(bytes), "bytes=%llu-%llu", (unsigned long long)offset,
			(unsigned long long)(offset + wanted.len - 1));
	else
		snprintf(bytes, sizeof(bytes), "bytes=%llu-", (unsigned long long)offset);
	range.value = bytes;
	rc = sw_s3_request(s3, &call, &answer, err);
	if (rc == SW_OK && answer.http.received != answer.http.length)
		rc = sw_fail(err, SW_TRANSIENT, "GET %s/%s: %llu bytes came of %llu", s3->store.url, name,
			(unsigned long long)answer.http.received, (unsigned long long)answer.http.length);
	if (rc == SW_OK && version == NULL && !s3->traits_known && answer.http.version_id[0] != '\0')
		rc = check_oldest(s3, name, answer.http.version_id, err);
	return rc == SW_OK ? sw_stage_finish(sink, err) : rc;
}

static sw_rc
fail_absent(const struct sw_s3 *s3, const char *name, struct sw_error *err)
{
	return sw_fail(err, SW_NOT_FOUND, "%s/%s is not there", s3->store.url, name);
}

/*
 * Not every service says that a delete marker made it answer NoSuchKey: on a versioned
 * bucket absence is proved by the versions.  Who may not list them has to believe the answer.
 */
static sw_rc
prove_absent(struct sw_s3 *s3, const char *name, struct sw_error *err)
{
	struct sw_error looking = SW_ERROR_INIT;
	struct sw_s3_version oldest;
	sw_rc rc;

	if (!s3->traits.versioned)
		return SW_NOT_FOUND;
	rc = sw_s3_find_oldest(s3, name, &oldest, &looking);
	if (rc == SW_DENIED || (rc == SW_OK && !oldest.found))
		return SW_NOT_FOUND;
	if (rc != SW_OK) {
		*err = looking;
		return rc;
	}
	sw_fail(err, SW_CORRUPT, "%s/%s is hidden by a delete marker, an older version is there", s3->store.url,
		name);
	return sw_hint(err, "remove the delete marker to get the object back (aws s3api delete-object "
		"--version-id)");
}

static sw_rc
s3_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len, struct sw_stage *sink,
	struct sw_error *err)
{
	struct sw_s3 *s3 = s3_of(store);
	struct sw_s3_version oldest;
	sw_rc rc;

	if (!oldest_rules(s3)) {
		rc = get_version(s3, name, NULL, offset, len, sink, err);
		return rc == SW_NOT_FOUND ? prove_absent(s3, name, err) : rc;
	}
	rc = sw_s3_find_oldest(s3, name, &oldest, err);
	if (rc != SW_OK)
		return rc;
	if (!oldest.found)
		return fail_absent(s3, name, err);
	rc = get_version(s3, name, oldest.id, offset, len, sink, err);
	return rc == SW_NOT_FOUND ? (err->rc = SW_TRANSIENT) : rc; /* it was listed a moment ago */
}

/* --- head --------------------------------------------------------------------------------- */

static int64_t
http_date_us(const char *date)
{
	time_t t = curl_getdate(date, NULL);

	return t < 0 ? 0 : (int64_t)t * 1000000;
}

/*
 * A HEAD's refusal has no body, so a GET must say why: NoSuchKey or NoSuchBucket, expired or
 * wrong credentials.
 */
static sw_rc
explain_head(struct sw_s3 *s3, const char *name, struct sw_error *err)
{
	struct sw_stage_digest sink;
	struct sw_error refused = *err;
	sw_rc rc = sw_stage_digest_init(&sink, NULL, err);

	if (rc != SW_OK)
		return rc;
	rc = get_version(s3, name, NULL, 0, 0, &sink.stage, err);
	sw_stage_digest_release(&sink);
	if (rc == SW_NOT_FOUND)
		return prove_absent(s3, name, err);
	if (rc != SW_OK)
		return rc;
	*err = refused;
	/* put between the two, unless only HEAD is refused */
	return err->rc == SW_CONFIG ? (err->rc = SW_TRANSIENT) : err->rc;
}

static sw_rc
s3_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info, struct sw_error *err)
{
	struct sw_s3 *s3 = s3_of(store);
	struct sw_s3_call call = {.method = "HEAD", .name = name};
	SW_AUTO_S3_ANSWER answer;
	sw_rc rc;

	sw_s3_answer_init(&answer);
	if (oldest_rules(s3)) {
		struct sw_s3_version oldest;

		rc = sw_s3_find_oldest(s3, name, &oldest, err);
		if (rc != SW_OK)
			return rc;
		if (!oldest.found)
			return fail_absent(s3, name, err);
		*ret_info = (struct sw_store_info){.size = oldest.size, .modified_us = oldest.modified_us};
		return SW_OK;
	}
	rc = sw_s3_request(s3, &call, &answer, err);
	if (rc == SW_OK && !answer.http.has_length)
		return sw_fail(err, SW_SYSTEM, "HEAD %s/%s: the answer does not say its length", store->url, name);
	if (rc == SW_OK)
		*ret_info = (struct sw_store_info){
			.size = answer.http.length,
			.modified_us = http_date_us(answer.http.last_modified),
		};
	else if (answer.http.status >= 300 && answer.http.status <= 499 && rc != SW_TRANSIENT && rc != SW_CORRUPT)
		rc = explain_head(s3, name, err);
	return rc;
}

/* --- put ------------------------------------------------------------------------------------ */

static sw_rc
put_once(struct sw_s3 *s3, const char *name, const struct sw_store_body *body, bool if_absent,
	struct sw_s3_answer *answer, struct sw_error *err)
{
	struct sw_sign_pair headers[3];
	char checksum[64];
	struct sw_s3_call call = {
		.method = "PUT",
		.name = name,
		.headers = headers,
		.body = body,
		.answer_max = SMALL_MAX,
	};

	EVP_EncodeBlock((unsigned char *)checksum, body->sha256, SW_SHA256_LEN);
	headers[call.header_count++] = (struct sw_sign_pair){"x-amz-checksum-sha256", checksum};
	if (if_absent)
		headers[call.header_count++] = (struct sw_sign_pair){"if-none-match", "*"};
	if (s3->params.storage_class != NULL)
		headers[call.header_count++] =
			(struct sw_sign_pair){"x-amz-storage-class", s3->params.storage_class};
	return sw_s3_request(s3, &call, answer, err);
}

/*
 * Put where the store does not refuse a second put: look before, and on a versioned bucket
 * look again afterwards whether ours is the oldest.
 */
static sw_rc
put_unprotected(struct sw_s3 *s3, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	struct sw_store_info info;
	SW_AUTO_S3_ANSWER answer;
	struct sw_s3_version oldest;
	sw_rc rc = s3_head(&s3->store, name, &info, err);

	sw_s3_answer_init(&answer);
	if (rc == SW_OK)
		return sw_store_compare(&s3->store, name, body, err);
	if (rc != SW_NOT_FOUND)
		return rc;
	rc = put_once(s3, name, body, false, &answer, err);
	if (rc != SW_OK || !oldest_rules(s3))
		return rc;
	rc = sw_s3_find_oldest(s3, name, &oldest, err);
	if (rc != SW_OK)
		return rc;
	if (oldest.found && answer.http.version_id[0] != '\0' &&
		strcmp(oldest.id, answer.http.version_id) == 0)
		return SW_OK;
	return sw_store_compare(&s3->store, name, body, err);
}

static sw_rc
s3_put(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	struct sw_s3 *s3 = s3_of(store);
	SW_AUTO_S3_ANSWER answer;
	sw_rc rc;

	sw_s3_answer_init(&answer);
	if (!s3->traits.put_if_absent)
		return put_unprotected(s3, name, body, err);
	rc = put_once(s3, name, body, true, &answer, err);
	return rc == SW_CONFLICT ? sw_store_compare(store, name, body, err) : rc;
}

/* --- delete --------------------------------------------------------------------------------- */

struct deletion {
	bool failed, is_result;
	char key[SW_S3_KEY_MAX + 1];
	struct sw_s3_refusal refusal; /* the first */
	struct sw_s3_refusal entry;   /* being read */
};

static sw_rc
take_deletion(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	struct deletion *d = ctx;

	(void)err;
	if (strcmp(name, "DeleteResult") == 0) {
		d->is_result = true;
	} else if (strcmp(name, "Error") == 0) {
		if (!d->failed && strcmp(d->entry.code, "NoSuchKey") != 0) {
			d->refusal = d->entry;
			d->failed = true;
		}
		d->entry = (struct sw_s3_refusal){0};
	} else if (strcmp(parent, "Error") == 0 && !d->failed) {
		if (strcmp(name, "Code") == 0)
			snprintf(d->entry.code, sizeof(d->entry.code), "%s", text);
		else if (strcmp(name, "Message") == 0)
			snprintf(d->entry.message, sizeof(d->entry.message), "%s", text);
		else if (strcmp(name, "Key") == 0)
			snprintf(d->key, sizeof(d->key), "%s", text);
	}
	return SW_OK;
}

static sw_rc
append_escaped(const char *text, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (; *text != '\0' && rc == SW_OK; text++) {
		if (*text == '&')
			rc = sw_buf_append(buf, "&amp;", 5, err);
		else if (*text == '<')
			rc = sw_buf_append(buf, "&lt;", 4, err);
		else if (*text == '>')
			rc = sw_buf_append(buf, "&gt;", 4, err);
		else
			rc = sw_buf_append(buf, text, 1, err);
	}
	return rc;
}

static sw_rc
delete_document(const struct sw_s3 *s3, const char *const *names, size_t count, struct sw_buf *buf,
	struct sw_error *err)
{
	sw_rc rc = sw_buf_printf(buf, err, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");

	for (size_t i = 0; i < count && rc == SW_OK; i++) {
		rc = sw_buf_printf(buf, err, "<Object><Key>");
		if (rc == SW_OK)
			rc = append_escaped(s3->prefix, buf, err);
		if (rc == SW_OK)
			rc = sw_buf_printf(buf, err, "%s</Key></Object>", names[i]);
	}
	return rc == SW_OK ? sw_buf_printf(buf, err, "</Delete>") : rc;
}

/* Read what was done: a 200 can hold refusals of single names. */
static sw_rc
check_deletion(struct sw_s3 *s3, const struct sw_s3_answer *answer, struct sw_error *err)
{
	SW_AUTO_FREE struct deletion *d = calloc(1, sizeof(*d));
	char what[SW_S3_KEY_MAX + 256];
	sw_rc rc;

	if (d == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_xml_parse(answer->http.body.data, answer->http.body.len, take_deletion, d, err);
	if (rc == SW_OK && !d->is_result && !d->failed)
		rc = sw_fail(err, SW_SYSTEM, "the answer does not say what was deleted");
	if (rc != SW_OK)
		return sw_wrap(err, "deleting in %s", s3->store.url);
	if (!d->failed)
		return SW_OK;
	d->refusal.status = 403;
	snprintf(d->refusal.request_id, sizeof(d->refusal.request_id), "%s", answer->http.request_id);
	snprintf(what, sizeof(what), "deleting s3://%.100s/%s", s3->params.bucket, d->key);
	return sw_s3_error_fail(&d->refusal, what, s3->params.bucket, s3->credentials.region, err);
}

static sw_rc
delete_batch(struct sw_s3 *s3, const char *const *names, size_t count, struct sw_error *err)
{
	struct sw_sign_pair query = {"delete", ""}, headers[3] = {{"content-type", "application/xml"}};
	char checksum[64], md5_text[32] = "";
	unsigned char md5[EVP_MAX_MD_SIZE];
	struct sw_store_body body;
	SW_AUTO_S3_ANSWER answer;
	SW_AUTO_BUF document;
	struct sw_s3_call call = {
		.method = "POST",
		.query = &query,
		.query_count = 1,
		.headers = headers,
		.header_count = 1,
		.body = &body,
		.answer_max = LIST_MAX,
	};
	sw_rc rc;

	sw_s3_answer_init(&answer);
	sw_buf_init(&document, DELETE_MAX * (6 * SW_S3_KEY_MAX + 64));
	rc = delete_document(s3, names, count, &document, err);
	if (rc != SW_OK)
		return rc;
	body = sw_store_body_mem(document.data, document.len);
	EVP_EncodeBlock((unsigned char *)checksum, body.sha256, SW_SHA256_LEN);
	headers[call.header_count++] = (struct sw_sign_pair){"x-amz-checksum-sha256", checksum};
	/* where OpenSSL has no MD5 (FIPS), the other checksum must do */
	if (EVP_Digest(document.data, document.len, md5, NULL, EVP_md5(), NULL) == 1) {
		EVP_EncodeBlock((unsigned char *)md5_text, md5, 16);
		headers[call.header_count++] = (struct sw_sign_pair){"content-md5", md5_text};
	}
	rc = sw_s3_request(s3, &call, &answer, err);
	return rc == SW_OK ? check_deletion(s3, &answer, err) : rc;
}

static sw_rc
s3_delete(struct sw_store *store, const char *const *names, size_t count, struct sw_error *err)
{
	for (size_t at = 0; at < count; at += DELETE_MAX) {
		size_t part = count - at < DELETE_MAX ? count - at : DELETE_MAX;
		sw_rc rc = delete_batch(s3_of(store), names + at, part, err);

		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

/* --- probe ---------------------------------------------------------------------------------- */

/* Put two contents under one name: is the second refused? */
static sw_rc
probe_puts(struct sw_s3 *s3, const char *name, struct sw_store_traits *traits, struct sw_error *err)
{
	struct sw_store_body first = sw_store_body_mem("first", 5);
	struct sw_store_body second = sw_store_body_mem("second", 6);
	SW_AUTO_S3_ANSWER answer;
	sw_rc rc;

	sw_s3_answer_init(&answer);
	rc = put_once(s3, name, &first, true, &answer, err);
	if (rc != SW_OK && (is_code(&answer, "NotImplemented") || answer.http.status == 501)) {
		traits->put_if_absent = false;
		rc = put_once(s3, name, &first, false, &answer, err);
	} else if (rc == SW_OK) {
		rc = put_once(s3, name, &second, true, &answer, err);
		traits->put_if_absent = rc == SW_CONFLICT;
	}
	if (rc == SW_CONFLICT)
		rc = SW_OK;
	return rc;
}

static sw_rc
take_status(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	bool *enabled = ctx;

	(void)parent;
	(void)err;
	if (strcmp(name, "Status") == 0 || strcmp(name, "ObjectLockEnabled") == 0)
		*enabled = strcmp(text, "Enabled") == 0;
	return SW_OK;
}

/* Is "versioning" or "object-lock" enabled?  Who may not ask, or cannot, is told no. */
static sw_rc
probe_setting(struct sw_s3 *s3, const char *setting, bool *ret_enabled, struct sw_error *err)
{
	struct sw_sign_pair query = {setting, ""};
	struct sw_s3_call call = {
		.method = "GET",
		.query = &query,
		.query_count = 1,
		.answer_max = SMALL_MAX,
	};
	SW_AUTO_S3_ANSWER answer;
	bool enabled = false;
	sw_rc rc;

	sw_s3_answer_init(&answer);
	rc = sw_s3_request(s3, &call, &answer, err);
	if (rc == SW_OK)
		rc = sw_xml_parse(answer.http.body.data, answer.http.body.len, take_status, &enabled, err);
	else if (rc == SW_TRANSIENT || answer.http.status == 0)
		return rc;
	*ret_enabled = rc == SW_OK && enabled;
	return SW_OK;
}

static sw_rc
probe_cleanup(struct sw_s3 *s3, const char *name, bool versioned, struct sw_error *err)
{
	struct sw_s3_version oldest = {.found = true};
	struct sw_sign_pair query = {"versionId", oldest.id};
	struct sw_s3_call call = {
		.method = "DELETE",
		.name = name,
		.query = &query,
		.query_count = 1,
		.answer_max = SMALL_MAX,
	};
	SW_AUTO_S3_ANSWER answer;
	sw_rc rc = SW_OK;

	sw_s3_answer_init(&answer);
	if (!versioned)
		return s3_delete(&s3->store, &name, 1, err);
	/* two versions at most */
	for (int i = 0; i < 2 && rc == SW_OK && oldest.found; i++) {
		rc = sw_s3_find_oldest(s3, name, &oldest, err);
		if (rc == SW_OK && oldest.found)
			rc = sw_s3_request(s3, &call, &answer, err);
	}
	return rc == SW_OK ? rc : s3_delete(&s3->store, &name, 1, err);
}

static sw_rc
s3_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err)
{
	struct sw_store_traits traits = {0};
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_s3 *s3 = s3_of(store);
	char name[SW_STORE_PROBE_LEN];
	sw_rc rc = sw_store_probe_name(prefix, name, err);

	if (rc == SW_OK)
		rc = probe_puts(s3, name, &traits, err);
	if (rc == SW_OK)
		rc = probe_setting(s3, "versioning", &traits.versioned, err);
	if (rc == SW_OK)
		rc = probe_setting(s3, "object-lock", &traits.object_lock, err);
	if (rc != SW_OK)
		return rc;
	probe_cleanup(s3, name, traits.versioned, &ignored);
	*ret_traits = traits;
	return SW_OK;
}

/* --- life --------------------------------------------------------------------------------- */

static void
s3_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	s3_of(store)->traits = *traits;
	s3_of(store)->traits_known = true;
}

static void
s3_free(struct sw_store *store)
{
	sw_s3_free(s3_of(store));
}

static sw_rc
s3_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	const struct sw_s3 *s3 = (const struct sw_s3 *)store;
	sw_rc rc = sw_s3_open(&s3->params, ret_store, err);

	if (rc == SW_OK && s3->traits_known)
		s3_set_traits(*ret_store, &s3->traits);
	return rc;
}

static const struct sw_store_ops s3_ops = {
	.free = s3_free,
	.clone = s3_clone,
	.set_traits = s3_set_traits,
	.put = s3_put,
	.get = s3_get,
	.head = s3_head,
	.list = sw_s3_list,
	.delete = s3_delete,
	.probe = s3_probe,
};

sw_rc
sw_s3_open(const struct sw_s3_params *params, struct sw_store **ret_store, struct sw_error *err)
{
	struct sw_s3 *s3;
	sw_rc rc = sw_s3_new(params, &s3, err);

	if (rc != SW_OK)
		return rc;
	s3->store.ops = &s3_ops;
	*ret_store = &s3->store;
	return SW_OK;
}
