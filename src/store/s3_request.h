/*
 * s3_request.h - one signed request to a bucket, and its answer understood.
 */
#ifndef SW_STORE_S3_REQUEST_H
#define SW_STORE_S3_REQUEST_H

#include "store/credentials.h"
#include "store/http.h"
#include "store/s3.h"
#include "store/s3_error.h"

#define SW_S3_KEY_MAX 1024 /* of S3 */

struct sw_s3 {
	struct sw_store store;
	struct sw_s3_params params; /* its texts are ours */
	struct sw_credentials credentials;
	struct sw_store_traits traits;
	bool traits_known; /* sw_store_set_traits was called */
	struct sw_http *http;
	char *origin; /* "https://host:port" */
	const char *host; /* in origin */
	char *path;   /* "" or "/bucket", encoded */
	char *prefix; /* "" or ending in '/' */
};

/* A handle without operations.  As sw_s3_open; free with sw_s3_free. */
sw_rc sw_s3_new(const struct sw_s3_params *params, struct sw_s3 **ret_s3, struct sw_error *err);
void sw_s3_free(struct sw_s3 *s3);

struct sw_s3_call {
	const char *method;
	const char *name; /* of an object, in the repository; NULL: the bucket */
	const struct sw_sign_pair *query;
	size_t query_count;
	const struct sw_sign_pair *headers; /* beyond those that every request has */
	size_t header_count;
	const struct sw_store_body *body;
	size_t answer_max;
	struct sw_stage *sink;
	sw_rc (*accept)(void *ctx, const struct sw_http_answer *answer, struct sw_error *err);
	void *accept_ctx;
};

struct sw_s3_answer {
	struct sw_http_answer http;
	struct sw_s3_refusal refusal; /* of a status that is not 2xx */
};

void sw_s3_answer_init(struct sw_s3_answer *answer);
void sw_s3_answer_release(struct sw_s3_answer *answer);
#define SW_AUTO_S3_ANSWER __attribute__((cleanup(sw_s3_answer_release))) struct sw_s3_answer

/*
 * Sign, send, classify.  A 2xx is SW_OK, everything else what sw_s3_error_fail and
 * sw_http_perform say.  Credentials that have expired are loaded again and tried once more.
 */
sw_rc sw_s3_request(struct sw_s3 *s3, const struct sw_s3_call *call, struct sw_s3_answer *answer,
	struct sw_error *err);

#endif
