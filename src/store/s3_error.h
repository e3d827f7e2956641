/*
 * s3_error.h - what an S3 service's refusal means: try again, an answer, or give up.
 */
#ifndef SW_STORE_S3_ERROR_H
#define SW_STORE_S3_ERROR_H

#include <stdint.h>

#include "base/error.h"

/* One refusal.  Texts: "" where the service gave none. */
struct sw_s3_refusal {
	long status;
	char code[64];     /* <Code>, as NoSuchKey */
	char message[256]; /* <Message>, else the beginning of a body that is no XML */
	char region[64];   /* where the bucket is, if the service says so */
	char endpoint[256];
	char server_time[64]; /* of the answer */
	char request_id[160];
	char retry_after[64];
	int delete_marker;
	int damaged; /* the body is an <Error> that cannot be read: it was changed or cut on its way */
};

/* Fill code, message, region, endpoint and request_id from a body. */
void sw_s3_error_parse(const void *body, size_t len, struct sw_s3_refusal *refusal);

/*
 * Turn a refusal into an error.
 *
 * request: "GET s3://bucket/key"; bucket, region: what we used.
 * SW_NOT_FOUND is NoSuchKey alone; a 404 of another kind is SW_CONFIG, one with a delete marker
 * SW_CORRUPT; a damaged one is SW_TRANSIENT.  SW_CONFLICT is PreconditionFailed, SW_CORRUPT also InvalidRange.
 * err->retry_after_ms is set from Retry-After.
 */
sw_rc sw_s3_error_fail(const struct sw_s3_refusal *refusal, const char *request, const char *bucket,
	const char *region, struct sw_error *err);

#endif
