/*
 * s3.h - a repository in an S3 bucket.
 *
 * Requests: get is one GET, head one HEAD, put one PUT, list one GET for 1,000 names, delete one POST for
 * 1,000.  Only refusals cost more: a put of a taken name reads what is there, a HEAD that is refused is
 * explained by a GET, and on a versioned bucket NoSuchKey is proved by the list of versions.
 * Where the bucket has versions and does not refuse a second put, get and head list the versions of their object first,
 * and put lists them before and after.
 * Permissions: s3:GetObject, PutObject, ListBucket; DeleteObject to delete; ListBucketVersions and
 * GetObjectVersion on a versioned bucket; GetBucketVersioning and GetBucketObjectLockConfiguration to probe.
 */
#ifndef SW_STORE_S3_H
#define SW_STORE_S3_H

#include "store/store.h"

enum sw_s3_addressing { SW_S3_AUTO, SW_S3_PATH, SW_S3_VIRTUAL }; /* as s3-addressing's words */

/* NULL: the default that options.def gives for the option of that name. */
struct sw_s3_params {
	const char *bucket;
	const char *prefix; /* "" or without slashes at its ends */
	const char *endpoint;
	const char *region;
	enum sw_s3_addressing addressing;
	const char *ca_file;
	bool verify_tls;
	const char *resolve;
	const char *access_key, *secret_key, *session_token;
	const char *profile, *credentials_file;
	const char *storage_class;
	int64_t connect_timeout_ms, stall_timeout_ms;
};

/* Everything is copied.  SW_OK, SW_CONFIG (also: no credentials), SW_DENIED, SW_SYSTEM. */
sw_rc sw_s3_open(const struct sw_s3_params *params, struct sw_store **ret_store, struct sw_error *err);

#endif
