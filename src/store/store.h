/*
 * store.h - named objects: put, get, head, list, delete.
 *
 * Objects are written once and never changed.  Two implementations, posix (file://)
 * and s3 (s3://), pass one conformance suite; retry wraps either.
 *
 * Names are relative to the repository: "main/7390.../wal/00000001/x.zst", made of
 * [A-Za-z0-9._-] parts of at most 255 bytes between single slashes, no part "." or "..",
 * at most SW_STORE_NAME_MAX bytes; anything else is SW_BUG.  No name may lie below another
 * ("a" and "a/b").  What others put beside ours under other names is never listed.
 *
 * A handle belongs to one thread at a time: each worker makes its own with
 * sw_store_clone.  Results that every call may give beside its own:
 * SW_TRANSIENT (retries used up), SW_DENIED, SW_CONFIG (wrong bucket, region, endpoint),
 * SW_SYSTEM (anything else, also an interrupt).
 * Every call is safe to repeat after a crash at any point.
 */
#ifndef SW_STORE_STORE_H
#define SW_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/stage.h"

#define SW_STORE_NAME_MAX 900

struct sw_config;
struct sw_store;

/* The bytes of one object: head_len bytes of `head`, then the rest.  Of known length, so that they can be sent again. */
struct sw_store_body {
	const void *head; /* may be NULL */
	size_t head_len;
	const void *data; /* in memory, or NULL: */
	int fd;           /* from offset 0 of this descriptor, read with pread */
	uint64_t len;     /* of all */
	uint8_t sha256[SW_SHA256_LEN];
};

/* Wrap memory, computing the SHA-256; the memory is borrowed. */
struct sw_store_body sw_store_body_mem(const void *data, size_t len);

/* Wrap what a spool holds after its finish; the spool is borrowed. */
struct sw_store_body sw_store_body_spool(const struct sw_stage_spool *spool,
	const uint8_t sha256[SW_SHA256_LEN]);

struct sw_store_info {
	uint64_t size;
	int64_t modified_us;
};

/* What a store was seen to enforce; sw_store_probe. */
struct sw_store_traits {
	bool put_if_absent; /* a second put under one name is refused by the store itself */
	bool versioned;     /* the bucket keeps versions */
	bool object_lock;   /* the bucket has an object-lock configuration */
};

/*
 * Open repository number `repo` of the configuration (0 … sw_config_repo_count - 1), with retries
 * around it.  Nothing is contacted yet.  SW_OK, SW_CONFIG, SW_SYSTEM.  Free with sw_store_free.
 */
sw_rc sw_store_open(const struct sw_config *config, unsigned repo, struct sw_store **ret_store,
	struct sw_error *err);

/*
 * The same for who can ask another repository: a failure is tried again for a second at most, and a request is given up when
 * nothing came for patience_ms.
 */
sw_rc sw_store_open_impatient(const struct sw_config *config, unsigned repo, int64_t patience_ms,
	struct sw_store **ret_store, struct sw_error *err);

/* Another handle on the same repository, with its own connection. */
sw_rc sw_store_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err);

void sw_store_free(struct sw_store *store); /* NULL is allowed */

static inline void
sw_store_free_ptr(struct sw_store **store)
{
	sw_store_free(*store);
}
#define SW_AUTO_STORE __attribute__((cleanup(sw_store_free_ptr))) struct sw_store

/* "s3://bucket/prefix" or "file:///path": for messages; never holds a secret. */
const char *sw_store_url(const struct sw_store *store);

/*
 * Tell the handle (and its later clones) what the store enforces, as recorded in the repository.
 * Without put_if_absent on a versioned bucket the oldest data version is the truth: get and head
 * read it, and put lists the versions afterwards: if ours is not the oldest, SW_CONFLICT.
 * Until it is told, the handle takes put_if_absent for granted, but a get that meets a bucket with versions proves that
 * what it read is the oldest: SW_CONFLICT if not, SW_DENIED who may not list versions (tell it, and get again).
 */
void sw_store_set_traits(struct sw_store *store, const struct sw_store_traits *traits);

/*
 * Create object `name` if there is none.  Durable when SW_OK is returned.
 * If the name is taken, what is there is read: the same bytes are SW_OK (a repeated put, or one whose
 * answer was lost), others SW_CONFLICT; where it cannot be read, err->name_taken.  A body that does not match its SHA-256
 * is never stored.
 */
sw_rc sw_store_put(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err);

/* As a length for get: so many bytes, or fewer where the object ends before. */
#define SW_STORE_AT_MOST (UINT64_C(1) << 63)
#define SW_STORE_UP_TO(len) ((uint64_t)(len) | SW_STORE_AT_MOST)

/*
 * Write object `name` (bytes offset … offset+len-1; len 0 means to its end, SW_STORE_UP_TO(n) at most n) into `sink`, then finish
 * it.  On failure the sink is left unfinished.  A range outside the object is SW_CORRUPT.
 * SW_NOT_FOUND: the store said so (NoSuchKey); never for a missing bucket or a bare 404.
 * SW_CORRUPT: the object is shorter than it says, or hidden by a delete marker.
 */
sw_rc sw_store_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_stage *sink, struct sw_error *err);

/* The same into a buffer (initialised by the caller, whose limit holds; its content is replaced). */
sw_rc sw_store_get_buf(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_buf *buf, struct sw_error *err);

/* SW_NOT_FOUND and SW_CORRUPT as in get. */
sw_rc sw_store_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info,
	struct sw_error *err);

/*
 * Call `each` for every object whose name starts with `prefix` (any string, "" is all) and sorts
 * behind `after` (NULL: from the start), in byte order of names.  each returning anything but SW_OK
 * ends the listing with that result; SW_CONFLICT is for "enough": list then returns SW_OK.
 * No object is SW_OK.  Memory is one page of names: 1,000 on S3, 65,536 a directory level on disk.
 */
typedef sw_rc (*sw_store_each)(void *ctx, const char *name, const struct sw_store_info *info,
	struct sw_error *err);
sw_rc sw_store_list(struct sw_store *store, const char *prefix, const char *after,
	sw_store_each each, void *ctx, struct sw_error *err);

/*
 * Delete; a name that is not there is success.  Stops at the first that is refused, but what stands
 * behind it in the same batch may be gone.  On a versioned bucket a delete marker hides the object, and
 * its name stays taken: the bucket's lifecycle rules remove the versions.
 */
sw_rc sw_store_delete(struct sw_store *store, const char *const *names, size_t count,
	struct sw_error *err);

/*
 * Find out what the store enforces, by putting probe objects under `prefix` (which
 * ends in '/') and trying to replace them; they are deleted where that is allowed.
 */
sw_rc sw_store_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err);

/* --- for implementations (posix.c, s3.c) and wrappers (retry.c) -------------- */

struct sw_store_ops {
	void (*free)(struct sw_store *store);
	sw_rc (*clone)(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err);
	void (*set_traits)(struct sw_store *store, const struct sw_store_traits *traits);
	sw_rc (*put)(struct sw_store *store, const char *name, const struct sw_store_body *body,
		struct sw_error *err);
	sw_rc (*get)(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
		struct sw_stage *sink, struct sw_error *err);
	sw_rc (*head)(struct sw_store *store, const char *name, struct sw_store_info *ret_info,
		struct sw_error *err);
	sw_rc (*list)(struct sw_store *store, const char *prefix, const char *after, sw_store_each each,
		void *ctx, struct sw_error *err);
	sw_rc (*delete)(struct sw_store *store, const char *const *names, size_t count,
		struct sw_error *err);
	sw_rc (*probe)(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
		struct sw_error *err);
};

struct sw_store {
	const struct sw_store_ops *ops;
	char *url;
};

bool sw_store_name_valid(const char *name);

/* Copy bytes at … at+len-1 of the body.  SW_OK, SW_CORRUPT (its file has become shorter), SW_SYSTEM. */
sw_rc sw_store_body_read(const struct sw_store_body *body, uint64_t at, void *buf, size_t len,
	struct sw_error *err);

/* Read object `name` and compare: SW_OK (the same bytes), SW_CONFLICT, or what get returned. */
sw_rc sw_store_compare(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err);

/* A fresh name under `prefix` for a probe object. */
#define SW_STORE_PROBE_LEN (SW_STORE_NAME_MAX + 1)
sw_rc sw_store_probe_name(const char *prefix, char ret_name[SW_STORE_PROBE_LEN], struct sw_error *err);

#endif
