#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"

#define PART_MAX 255

static bool
part_valid(const char *part, size_t len)
{
	if (len == 0 || len > PART_MAX)
		return false;
	if (strncmp(part, "..", len) == 0 && len <= 2)
		return false;
	return strspn(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") >= len;
}

bool
sw_store_name_valid(const char *name)
{
	if (strlen(name) > SW_STORE_NAME_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(name, "/");

		if (!part_valid(name, len))
			return false;
		if (name[len] == '\0')
			return true;
		name += len + 1;
	}
}

static sw_rc
check_name(const char *name, struct sw_error *err)
{
	if (sw_store_name_valid(name))
		return SW_OK;
	return sw_fail(err, SW_BUG, "\"%.100s\" is not an object name", name);
}

sw_rc
sw_store_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	return store->ops->clone(store, ret_store, err);
}

void
sw_store_free(struct sw_store *store)
{
	if (store != NULL)
		store->ops->free(store);
}

const char *
sw_store_url(const struct sw_store *store)
{
	return store->url;
}

void
sw_store_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	store->ops->set_traits(store, traits);
}

sw_rc
sw_store_put(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	sw_rc rc = check_name(name, err);

	return rc != SW_OK ? rc : store->ops->put(store, name, body, err);
}

sw_rc
sw_store_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_stage *sink, struct sw_error *err)
{
	uint64_t bytes = len & ~SW_STORE_AT_MOST;
	sw_rc rc = check_name(name, err);

	if (rc != SW_OK)
		return rc;
	if (bytes > UINT64_MAX / 4 || offset > UINT64_MAX / 2)
		return sw_fail(err, SW_CORRUPT, "a range of %s that no object can have", name);
	return store->ops->get(store, name, offset, len, sink, err);
}

sw_rc
sw_store_get_buf(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_buf *buf, struct sw_error *err)
{
	struct sw_stage_buf sink;
	sw_rc rc = sw_buf_reserve(buf, 0, err);

	if (rc != SW_OK)
		return rc;
	sw_buf_reset(buf);
	sw_stage_buf_init(&sink, buf);
	return sw_store_get(store, name, offset, len, &sink.stage, err);
}

sw_rc
sw_store_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info,
	struct sw_error *err)
{
	sw_rc rc = check_name(name, err);

	return rc != SW_OK ? rc : store->ops->head(store, name, ret_info, err);
}

sw_rc
sw_store_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each,
	void *ctx, struct sw_error *err)
{
	if (strlen(prefix) > SW_STORE_NAME_MAX || (after != NULL && strlen(after) > SW_STORE_NAME_MAX))
		return sw_fail(err, SW_BUG, "a prefix longer than any name");
	return store->ops->list(store, prefix, after, each, ctx, err);
}

sw_rc
sw_store_delete(struct sw_store *store, const char *const *names, size_t count, struct sw_error *err)
{
	for (size_t i = 0; i < count; i++) {
		sw_rc rc = check_name(names[i], err);

		if (rc != SW_OK)
			return rc;
	}
	return count == 0 ? SW_OK : store->ops->delete(store, names, count, err);
}

sw_rc
sw_store_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err)
{
	return store->ops->probe(store, prefix, ret_traits, err);
}

/* --- bodies ------------------------------------------------------------------ */

struct sw_store_body
sw_store_body_mem(const void *data, size_t len)
{
	struct sw_store_body body = {.data = data != NULL ? data : "", .fd = -1, .len = len};

	sw_sha256(body.data, len, body.sha256);
	return body;
}

struct sw_store_body
sw_store_body_spool(const struct sw_stage_spool *spool, const uint8_t sha256[SW_SHA256_LEN])
{
	struct sw_store_body body = {.fd = spool->fd, .len = spool->len};

	if (spool->fd < 0)
		body.data = spool->buf.data != NULL ? spool->buf.data : (const void *)"";
	memcpy(body.sha256, sha256, SW_SHA256_LEN);
	return body;
}

static sw_rc
read_rest(const struct sw_store_body *body, uint64_t at, void *buf, size_t len, struct sw_error *err)
{
	size_t got;
	sw_rc rc;

	if (body->data != NULL) {
		memcpy(buf, (const uint8_t *)body->data + at, len);
		return SW_OK;
	}
	rc = sw_file_pread(body->fd, buf, len, (off_t)at, &got, "what is to be stored", err);
	if (rc == SW_OK && got < len)
		rc = sw_fail(err, SW_CORRUPT, "what is to be stored has become shorter while it was read");
	return rc;
}

sw_rc
sw_store_body_read(const struct sw_store_body *body, uint64_t at, void *buf, size_t len,
	struct sw_error *err)
{
	size_t n = 0;

	if (at > body->len || len > body->len - at)
		return sw_fail(err, SW_BUG, "reading behind the end of a body");
	if (at < body->head_len) {
		n = len < body->head_len - at ? len : (size_t)(body->head_len - at);
		memcpy(buf, (const uint8_t *)body->head + at, n);
	}
	return n == len ? SW_OK :
		read_rest(body, at + n - body->head_len, (uint8_t *)buf + n, len - n, err);
}

/* --- for implementations ------------------------------------------------------- */

sw_rc
sw_store_compare(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	struct sw_stage_digest digest;
	sw_rc rc = sw_stage_digest_init(&digest, NULL, err);

	if (rc != SW_OK)
		return rc;
	rc = store->ops->get(store, name, 0, 0, &digest.stage, err);
	if (rc == SW_OK &&
		(digest.len != body->len || memcmp(digest.sha256, body->sha256, SW_SHA256_LEN) != 0))
		rc = sw_fail(err, SW_CONFLICT,
			"%s/%s is already there with other content (%llu bytes, these are %llu)",
			store->url, name, (unsigned long long)digest.len, (unsigned long long)body->len);
	sw_stage_digest_release(&digest);
	if (rc == SW_NOT_FOUND)
		rc = sw_fail(err, SW_TRANSIENT, "%s/%s was there and is gone", store->url, name);
	else if (rc != SW_OK && rc != SW_CONFLICT)
		err->name_taken = true;
	return rc;
}

sw_rc
sw_store_probe_name(const char *prefix, char ret_name[SW_STORE_PROBE_LEN], struct sw_error *err)
{
	uint64_t random;
	int len;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return sw_fail(err, SW_SYSTEM, "no random bytes from the kernel");
	len = snprintf(ret_name, SW_STORE_PROBE_LEN, "%sprobe-%016llx", prefix,
		(unsigned long long)random);
	if (len >= SW_STORE_PROBE_LEN)
		return sw_fail(err, SW_BUG, "a prefix longer than any name");
	return check_name(ret_name, err);
}
