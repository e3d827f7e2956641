#include "store/s3_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/file.h"
#include "base/log.h"

#define URL_MAX ((size_t)16 * 1024)
#define OWN_HEADERS 5 /* host, date, digest, token, authorization */

void
sw_s3_answer_init(struct sw_s3_answer *answer)
{
	answer->refusal = (struct sw_s3_refusal){0};
	sw_http_answer_init(&answer->http);
}

void
sw_s3_answer_release(struct sw_s3_answer *answer)
{
	sw_http_answer_release(&answer->http);
}

/* What a request needs, made anew for each attempt because it is signed with the time. */
struct prepared {
	struct sw_buf path, query, url, authorization;
	char date[SW_SIGN_DATE_LEN], sha256[2 * SW_SHA256_LEN + 1];
	struct sw_sign_pair headers[SW_SIGN_HEADERS_MAX];
	size_t header_count;
};

static void
prepared_release(struct prepared *p)
{
	sw_buf_release(&p->path);
	sw_buf_release(&p->query);
	sw_buf_release(&p->url);
	sw_buf_release(&p->authorization);
}

static void
add_header(struct prepared *p, const char *name, const char *value)
{
	p->headers[p->header_count++] = (struct sw_sign_pair){name, value};
}

static sw_rc
prepare_url(const struct sw_s3 *s3, const struct sw_s3_call *call, struct prepared *p,
	struct sw_error *err)
{
	sw_rc rc = sw_buf_printf(&p->path, err, "%s/", s3->path);

	if (call->name != NULL) {
		if (rc == SW_OK)
			rc = sw_sign_encode(s3->prefix, true, &p->path, err);
		if (rc == SW_OK)
			rc = sw_sign_encode(call->name, true, &p->path, err);
	} else if (s3->path[0] != '\0') {
		p->path.data[--p->path.len] = '\0'; /* "/bucket" */
	}
	if (rc == SW_OK)
		rc = sw_sign_query(call->query, call->query_count, &p->query, err);
	if (rc == SW_OK)
		rc = sw_buf_printf(&p->url, err, "%s%s%s%s", s3->origin, (const char *)p->path.data,
			p->query.len > 0 ? "?" : "", p->query.len > 0 ? (const char *)p->query.data : "");
	return rc;
}

static sw_rc
prepare_headers(const struct sw_s3 *s3, const struct sw_s3_call *call, struct prepared *p,
	struct sw_error *err)
{
	int64_t now = sw_clock_now_us();
	uint8_t digest[SW_SHA256_LEN];
	struct sw_sign_request sign = {
		.method = call->method,
		.path = (const char *)p->path.data,
		.query = p->query.len > 0 ? (const char *)p->query.data : "",
		.headers = p->headers,
		.payload_sha256 = p->sha256,
		.access_key = s3->credentials.access_key,
		.secret_key = s3->credentials.secret_key,
		.region = s3->credentials.region,
		.service = "s3",
		.time_us = now,
	};
	sw_rc rc;

	if (call->header_count > SW_SIGN_HEADERS_MAX - OWN_HEADERS)
		return sw_fail(err, SW_BUG, "%zu headers", call->header_count);
	sw_sha256("", 0, digest);
	sw_hex(call->body != NULL ? call->body->sha256 : digest, SW_SHA256_LEN, p->sha256);
	sw_sign_date(now, p->date);
	add_header(p, "host", s3->host);
	add_header(p, "x-amz-date", p->date);
	add_header(p, "x-amz-content-sha256", p->sha256);
	if (s3->credentials.session_token != NULL)
		add_header(p, "x-amz-security-token", s3->credentials.session_token);
	for (size_t i = 0; i < call->header_count; i++)
		add_header(p, call->headers[i].name, call->headers[i].value);
	sign.header_count = p->header_count;
	rc = sw_sign_authorization(&sign, &p->authorization, err);
	if (rc == SW_OK)
		add_header(p, "Authorization", (const char *)p->authorization.data);
	return rc;
}

static sw_rc
send_once(struct sw_s3 *s3, const struct sw_s3_call *call, struct sw_http_answer *answer,
	struct sw_error *err)
{
	struct prepared p = {0};
	struct sw_http_request req = {
		.method = call->method,
		.headers = p.headers,
		.body = call->body,
		.answer_max = call->answer_max,
		.sink = call->sink,
		.accept = call->accept,
		.accept_ctx = call->accept_ctx,
	};
	sw_rc rc;

	sw_buf_init(&p.path, URL_MAX);
	sw_buf_init(&p.query, URL_MAX);
	sw_buf_init(&p.url, URL_MAX);
	sw_buf_init(&p.authorization, URL_MAX);
	rc = prepare_url(s3, call, &p, err);
	if (rc == SW_OK)
		rc = prepare_headers(s3, call, &p, err);
	if (rc == SW_OK) {
		req.url = (const char *)p.url.data;
		req.header_count = p.header_count;
		rc = sw_http_perform(s3->http, &req, answer, err);
	}
	prepared_release(&p);
	return rc;
}

/* A service may quote what it was sent. */
static void
blot_out(char *text, const char *secret)
{
	size_t len = secret != NULL ? strlen(secret) : 0;

	if (len == 0)
		return;
	while ((text = strstr(text, secret)) != NULL) {
		memset(text, '*', len);
		text += len;
	}
}

static void
read_refusal(const struct sw_s3 *s3, const struct sw_http_answer *http, struct sw_s3_refusal *r)
{
	*r = (struct sw_s3_refusal){.status = http->status, .delete_marker = http->delete_marker};
	snprintf(r->region, sizeof(r->region), "%s", http->region);
	snprintf(r->request_id, sizeof(r->request_id), "%s", http->request_id);
	snprintf(r->retry_after, sizeof(r->retry_after), "%s", http->retry_after);
	snprintf(r->server_time, sizeof(r->server_time), "%s", http->date);
	sw_s3_error_parse(http->body.data, http->body.len, r);
	blot_out(r->message, s3->credentials.session_token);
	blot_out(r->message, s3->credentials.secret_key);
	blot_out(r->message, s3->credentials.access_key);
}

static bool
has_expired(const struct sw_s3_refusal *r)
{
	return strcmp(r->code, "ExpiredToken") == 0 || strcmp(r->code, "TokenRefreshRequired") == 0;
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* True if there are other credentials now. */
static bool
reload_credentials(struct sw_s3 *s3)
{
	struct sw_credentials_params params = {
		.access_key = s3->params.access_key,
		.secret_key = s3->params.secret_key,
		.session_token = s3->params.session_token,
		.profile = s3->params.profile,
		.file = s3->params.credentials_file,
		.region = s3->params.region,
	};
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_credentials fresh;

	if (sw_credentials_load(&params, &fresh, &ignored) != SW_OK)
		return false;
	if (is_same_text(fresh.access_key, s3->credentials.access_key) &&
		is_same_text(fresh.secret_key, s3->credentials.secret_key) &&
		is_same_text(fresh.session_token, s3->credentials.session_token)) {
		sw_credentials_release(&fresh);
		return false;
	}
	sw_credentials_release(&s3->credentials);
	s3->credentials = fresh;
	sw_log(SW_LOG_INFO, "%s: the credentials had expired and were loaded again", s3->store.url);
	return true;
}

static void
describe(const struct sw_s3 *s3, const struct sw_s3_call *call, char *text, size_t size)
{
	if (call->name != NULL)
		snprintf(text, size, "%s %s/%s", call->method, s3->store.url, call->name);
	else
		snprintf(text, size, "%s %s", call->method, s3->store.url);
}

sw_rc
sw_s3_request(struct sw_s3 *s3, const struct sw_s3_call *call, struct sw_s3_answer *answer,
	struct sw_error *err)
{
	char what[sizeof(err->text)];
	bool reloaded = false;

	describe(s3, call, what, sizeof(what));
	for (;;) {
		sw_rc rc = send_once(s3, call, &answer->http, err);

		if (rc != SW_OK)
			return sw_wrap(err, "%s at %s", what, s3->origin);
		if (answer->http.status >= 200 && answer->http.status <= 299)
			return SW_OK;
		read_refusal(s3, &answer->http, &answer->refusal);
		if (reloaded || !has_expired(&answer->refusal) || !reload_credentials(s3))
			return sw_s3_error_fail(&answer->refusal, what, s3->params.bucket,
				s3->credentials.region, err);
		reloaded = true;
	}
}
