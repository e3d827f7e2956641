#include "store/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"

#define CA_DIR "/etc/ssl/certs"
#define TRANSFER_SIZE (512 * 1024L)
#define ERROR_BODY_MAX ((size_t)64 * 1024)

struct sw_http {
	CURL *curl;
	struct sw_http_params params;
	struct curl_slist *resolve;
};

/* One request on its way. */
struct transfer {
	struct sw_http *http;
	const struct sw_http_request *req;
	struct sw_http_answer *answer;
	struct sw_error *err;
	uint64_t sent;
	bool accepted, failed; /* failed: err says why, whatever libcurl returns */
	curl_off_t seen;
	int64_t seen_ms;
};

void
sw_http_answer_init(struct sw_http_answer *answer)
{
	*answer = (struct sw_http_answer){0};
}

void
sw_http_answer_release(struct sw_http_answer *answer)
{
	sw_buf_release(&answer->body);
}

/* --- callbacks ------------------------------------------------------------------------ */

static size_t
on_read(char *buf, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	uint64_t left = t->req->body->len - t->sent;
	size_t len = size * count < left ? size * count : (size_t)left;

	if (sw_store_body_read(t->req->body, t->sent, buf, len, t->err) != SW_OK) {
		t->failed = true;
		return CURL_READFUNC_ABORT;
	}
	t->sent += len;
	return len;
}

static int
on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct transfer *t = ctx;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->req->body->len)
		return CURL_SEEKFUNC_FAIL;
	t->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static bool
is_success(const struct transfer *t)
{
	return t->answer->status >= 200 && t->answer->status <= 299;
}

static sw_rc
accept_answer(struct transfer *t)
{
	if (t->accepted || t->req->accept == NULL || !is_success(t))
		return SW_OK;
	t->accepted = true;
	return t->req->accept(t->req->accept_ctx, t->answer, t->err);
}

static size_t
on_write(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	struct sw_buf *body = &t->answer->body;
	size_t len = size * count, part = len;
	sw_rc rc = accept_answer(t);

	if (!is_success(t) && part > body->max - body->len)
		part = body->max - body->len;
	if (rc == SW_OK && is_success(t) && t->req->sink != NULL)
		rc = sw_stage_write(t->req->sink, data, len, t->err);
	else if (rc == SW_OK)
		rc = sw_buf_append(body, data, part, t->err);
	if (rc != SW_OK) {
		t->failed = true;
		return 0;
	}
	t->answer->received += len;
	return len;
}

struct field {
	const char *name;
	size_t offset, size;
};

#define FIELD(header, member) \
	{header, offsetof(struct sw_http_answer, member), sizeof(((struct sw_http_answer *)0)->member)}

static const struct field fields[] = {
	FIELD("date", date),
	FIELD("last-modified", last_modified),
	FIELD("content-range", content_range),
	FIELD("retry-after", retry_after),
	FIELD("x-amz-request-id", request_id),
	FIELD("x-amz-bucket-region", region),
	FIELD("x-amz-version-id", version_id),
};

static void
take_field(struct sw_http_answer *answer, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcasecmp(name, fields[i].name) == 0)
			snprintf((char *)answer + fields[i].offset, fields[i].size, "%s", value);
	if (strcasecmp(name, "x-amz-delete-marker") == 0)
		answer->delete_marker = strcasecmp(value, "true") == 0;
	if (strcasecmp(name, "content-length") == 0) {
		char *end;

		answer->length = strtoull(value, &end, 10);
		answer->has_length = end != value && *end == '\0';
	}
}

/* A new status line starts an answer anew: a 100 Continue may stand before it. */
static void
start_answer(struct sw_http_answer *answer, const char *line)
{
	struct sw_buf body = answer->body;

	*answer = (struct sw_http_answer){.body = body};
	line = strchr(line, ' ');
	answer->status = line != NULL ? strtol(line, NULL, 10) : 0;
}

static size_t
on_header(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * count, used = len < 2047 ? len : 2047;
	char line[2048], *value;

	t->seen_ms = sw_clock_monotonic_ms();
	memcpy(line, data, used);
	line[used] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (strncmp(line, "HTTP/", 5) == 0) {
		start_answer(t->answer, line);
		t->answer->body.max = is_success(t) ? t->req->answer_max : ERROR_BODY_MAX;
	} else if ((value = strchr(line, ':')) != NULL) {
		*value++ = '\0';
		value += strspn(value, " \t");
		take_field(t->answer, line, value);
	}
	return len;
}

static int
on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct transfer *t = ctx;
	int64_t now = sw_clock_monotonic_ms();

	(void)down_total;
	(void)up_total;
	if (sw_interrupt_check(t->err) != SW_OK) {
		t->failed = true;
		return 1;
	}
	if (down + up != t->seen) {
		t->seen = down + up;
		t->seen_ms = now;
	} else if (now - t->seen_ms > t->http->params.stall_timeout_ms) {
		sw_fail(t->err, SW_TRANSIENT, "no byte came or went for %lld.%lld s",
			(long long)((now - t->seen_ms) / 1000), (long long)((now - t->seen_ms) % 1000 / 100));
		sw_hint(t->err, "see that the service is up; store-stall-timeout sets how long a request may be silent");
		t->failed = true;
		return 1;
	}
	return 0;
}

/* --- what libcurl's results mean --------------------------------------------------------- */

static const struct {
	CURLcode code;
	sw_rc rc;
	const char *hint;
} results[] = {
	{CURLE_COULDNT_RESOLVE_HOST, SW_TRANSIENT,
		"see that the host in s3-endpoint is right and that names can be resolved here"},
	{CURLE_COULDNT_RESOLVE_PROXY, SW_TRANSIENT, "see the proxy in https_proxy or http_proxy"},
	{CURLE_COULDNT_CONNECT, SW_TRANSIENT,
		"see that the service is up and that s3-endpoint has its address and port"},
	{CURLE_OPERATION_TIMEDOUT, SW_TRANSIENT,
		"see that the service is up and reachable; store-connect-timeout sets how long a connection may take"},
	{CURLE_PARTIAL_FILE, SW_TRANSIENT, ""},
	{CURLE_GOT_NOTHING, SW_TRANSIENT, ""},
	{CURLE_SEND_ERROR, SW_TRANSIENT, ""},
	{CURLE_RECV_ERROR, SW_TRANSIENT, ""},
	{CURLE_SEND_FAIL_REWIND, SW_TRANSIENT, ""},
	{CURLE_SSL_CONNECT_ERROR, SW_TRANSIENT, ""},
	{CURLE_AGAIN, SW_TRANSIENT, ""},
	{CURLE_PEER_FAILED_VERIFICATION, SW_CONFIG, ""},
	{CURLE_SSL_ISSUER_ERROR, SW_CONFIG, ""},
	{CURLE_SSL_CACERT_BADFILE, SW_CONFIG,
		"s3-ca-file must name a readable file of PEM certificates"},
	{CURLE_SSL_CIPHER, SW_CONFIG, ""},
	{CURLE_URL_MALFORMAT, SW_CONFIG, "s3-endpoint must be https://HOST[:PORT]"},
	{CURLE_PROXY, SW_CONFIG, "see the proxy in https_proxy or http_proxy"},
	{CURLE_WEIRD_SERVER_REPLY, SW_SYSTEM, "see that s3-endpoint is an S3 service's address"},
	{CURLE_UNSUPPORTED_PROTOCOL, SW_CONFIG,
		"see that s3-endpoint is an S3 service's address, https:// or http://"},
};

static sw_rc
hint_certificate(const struct sw_http *http, struct sw_error *err)
{
	if (http->params.ca_file != NULL)
		return sw_hint(err, "s3-ca-file %s does not vouch for this server's certificate or name",
			http->params.ca_file);
	return sw_hint(err, "if the server's authority is your own, give its certificate as s3-ca-file "
		"(now: the system's, %s)", CA_DIR);
}

static sw_rc
fail_result(struct transfer *t, CURLcode code, const char *detail)
{
	const char *words = detail[0] != '\0' ? detail : curl_easy_strerror(code);
	struct sw_error *err = t->err;

	if (code == CURLE_SSL_CONNECT_ERROR && strstr(words, "wrong version number") != NULL) {
		sw_fail(err, SW_CONFIG, "%s", words);
		return sw_hint(err, "the server does not speak TLS there: s3-endpoint should begin with http:// "
			"or have another port");
	}
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (results[i].code != code)
			continue;
		sw_fail(err, results[i].rc, "%s", words);
		if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR)
			return hint_certificate(t->http, err);
		return results[i].hint[0] != '\0' ? sw_hint(err, "%s", results[i].hint) : err->rc;
	}
	return sw_fail(err, SW_SYSTEM, "%s (libcurl %d)", words, (int)code);
}

/* --- a request ------------------------------------------------------------------------------ */

static void
set_method(CURL *curl, struct transfer *t)
{
	const struct sw_http_request *req = t->req;

	if (strcmp(req->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, req->method);
	if (req->body == NULL)
		return;
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body->len);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, t);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
}

static void
set_connection(CURL *curl, const struct sw_http *http)
{
	const struct sw_http_params *p = &http->params;

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, TRANSFER_SIZE);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_SIZE);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "seawall/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, p->verify_tls ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, p->verify_tls ? 2L : 0L);
	/* a hashed directory is looked into, a file would be loaded whole: 19 ms */
	curl_easy_setopt(curl, CURLOPT_CAINFO, p->ca_file);
	curl_easy_setopt(curl, CURLOPT_CAPATH, p->ca_file != NULL ? NULL : CA_DIR);
	if (http->resolve != NULL)
		curl_easy_setopt(curl, CURLOPT_RESOLVE, http->resolve);
}

static void
set_callbacks(CURL *curl, struct transfer *t)
{
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
}

static sw_rc
make_headers(const struct sw_http_request *req, struct curl_slist **ret_list, struct sw_error *err)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	for (size_t i = 0; i < req->header_count && list != NULL; i++) {
		SW_AUTO_FREE char *line = NULL;
		struct curl_slist *longer = NULL;

		if (asprintf(&line, "%s: %s", req->headers[i].name, req->headers[i].value) >= 0)
			longer = curl_slist_append(list, line);
		else
			line = NULL;
		if (longer == NULL)
			curl_slist_free_all(list);
		list = longer;
	}
	*ret_list = list;
	return list != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

static sw_rc
run_transfer(struct transfer *t, struct curl_slist *headers)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURL *curl = t->http->curl;
	CURLcode code;

	curl_easy_reset(curl); /* options only: connections are kept */
	set_connection(curl, t->http);
	set_method(curl, t);
	set_callbacks(curl, t);
	curl_easy_setopt(curl, CURLOPT_URL, t->req->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	code = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (t->failed)
		return t->err->rc;
	if (code != CURLE_OK)
		return fail_result(t, code, detail);
	return accept_answer(t);
}

sw_rc
sw_http_perform(struct sw_http *http, const struct sw_http_request *req, struct sw_http_answer *answer,
	struct sw_error *err)
{
	struct transfer t = {
		.http = http,
		.req = req,
		.answer = answer,
		.err = err,
		.seen_ms = sw_clock_monotonic_ms(),
	};
	struct curl_slist *headers;
	struct sw_buf body = answer->body;
	sw_rc rc = make_headers(req, &headers, err);

	if (rc != SW_OK)
		return rc;
	*answer = (struct sw_http_answer){.body = body};
	sw_buf_reset(&answer->body);
	rc = run_transfer(&t, headers);
	curl_slist_free_all(headers);
	return rc;
}

/* --- life ----------------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode once_result;

static void
init_once(void)
{
	once_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
sw_http_free(struct sw_http *http)
{
	if (http == NULL)
		return;
	curl_easy_cleanup(http->curl);
	curl_slist_free_all(http->resolve);
	free(http);
}

sw_rc
sw_http_new(const struct sw_http_params *params, struct sw_http **ret_http, struct sw_error *err)
{
	struct sw_http *http;

	pthread_once(&once, init_once);
	if (once_result != CURLE_OK)
		return sw_fail(err, SW_SYSTEM, "starting libcurl: %s", curl_easy_strerror(once_result));
	http = calloc(1, sizeof(*http));
	if (http == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	http->params = *params;
	http->curl = curl_easy_init();
	if (params->resolve != NULL)
		http->resolve = curl_slist_append(NULL, params->resolve);
	if (http->curl == NULL || (params->resolve != NULL && http->resolve == NULL)) {
		sw_http_free(http);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	*ret_http = http;
	return SW_OK;
}
