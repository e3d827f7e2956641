/*
 * sign.h - AWS Signature Version 4 in a header (docs.aws.amazon.com/AmazonS3/latest/API/
 * sig-v4-header-based-auth.html).
 */
#ifndef SW_STORE_SIGN_H
#define SW_STORE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* A header or a query parameter, neither encoded. */
struct sw_sign_pair {
	const char *name, *value;
};

struct sw_sign_request {
	const char *method;
	const char *path;  /* encoded: sw_sign_encode */
	const char *query; /* encoded and sorted: sw_sign_query; "" if none */
	const struct sw_sign_pair *headers; /* all that are to be signed, host included */
	size_t header_count;
	const char *payload_sha256; /* hexadecimal */
	const char *access_key, *secret_key, *region, *service;
	int64_t time_us; /* that of the x-amz-date header */
};

#define SW_SIGN_HEADERS_MAX 24

/* Append the value of the Authorization header.  SW_OK, SW_BUG (too many headers), SW_SYSTEM. */
sw_rc sw_sign_authorization(const struct sw_sign_request *req, struct sw_buf *buf, struct sw_error *err);

/* Append `text` percent-encoded as signatures want it; keep_slash: '/' stays. */
sw_rc sw_sign_encode(const char *text, bool keep_slash, struct sw_buf *buf, struct sw_error *err);

/* Append the parameters, encoded and sorted.  At most SW_SIGN_HEADERS_MAX. */
sw_rc sw_sign_query(const struct sw_sign_pair *params, size_t count, struct sw_buf *buf,
	struct sw_error *err);

/* "20130524T000000Z" */
#define SW_SIGN_DATE_LEN 17
void sw_sign_date(int64_t time_us, char ret_date[SW_SIGN_DATE_LEN]);


#endif
