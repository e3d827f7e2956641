/*
 * http.h - one HTTP connection, kept alive, over libcurl.
 *
 * Nothing here knows S3: an answer of any status that arrived whole is SW_OK.
 * The program must ignore SIGPIPE (sw_interrupt_catch does): OpenSSL writes to closed connections.
 */
#ifndef SW_STORE_HTTP_H
#define SW_STORE_HTTP_H

#include "store/sign.h"
#include "store/store.h"

/* Strings are borrowed until sw_http_free. */
struct sw_http_params {
	const char *ca_file; /* NULL: the system's hashed directory */
	bool verify_tls;
	const char *resolve; /* as curl's --resolve; NULL: none */
	int64_t connect_timeout_ms, stall_timeout_ms;
};

struct sw_http;

/* What came back.  Texts are cut where they would not fit, "" where there was no such header. */
struct sw_http_answer {
	long status;
	bool has_length;
	uint64_t length; /* Content-Length */
	uint64_t received; /* bytes given to the sink or put in the body */
	char date[64], last_modified[64], content_range[96], retry_after[64];
	char request_id[160], region[64], version_id[1025];
	bool delete_marker;
	struct sw_buf body; /* where there was no sink, or of a status that is not 2xx: its first 64 KiB */
};

struct sw_http_request {
	const char *method, *url;
	const struct sw_sign_pair *headers;
	size_t header_count;
	const struct sw_store_body *body; /* NULL: none */
	size_t answer_max; /* of answer->body for a 2xx */
	struct sw_stage *sink; /* for the body of a 2xx; not finished here.  NULL: answer->body */
	/* called before the first byte goes to the sink, or at the end if there is none; NULL: not */
	sw_rc (*accept)(void *ctx, const struct sw_http_answer *answer, struct sw_error *err);
	void *accept_ctx;
};

/* SW_OK, SW_CONFIG, SW_SYSTEM.  Nothing is contacted. */
sw_rc sw_http_new(const struct sw_http_params *params, struct sw_http **ret_http, struct sw_error *err);
void sw_http_free(struct sw_http *http); /* NULL is allowed */

/*
 * Send one request, read its answer.
 *
 * answer: initialised by sw_http_answer_init, emptied here; its content is valid after SW_OK only.
 * SW_OK; SW_TRANSIENT (no connection, reset, stalled, cut short); SW_CONFIG (certificate, protocol);
 * SW_SYSTEM (also an interrupt); SW_CORRUPT (an answer longer than answer_max); else what sink, accept
 * or body returned.
 */
sw_rc sw_http_perform(struct sw_http *http, const struct sw_http_request *req,
	struct sw_http_answer *answer, struct sw_error *err);

void sw_http_answer_init(struct sw_http_answer *answer);
void sw_http_answer_release(struct sw_http_answer *answer);

#endif
