/*
 * S3 against a server that answers what it is told to: what a real gateway will not do on demand.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tap.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "store/retry.h"
#include "store/s3.h"
#include "store/xml.h"

#define SECRET "verysecretkeyverysecretkey"
#define TOKEN "verysecrettokenverysecrettoken"

/* --- the server --------------------------------------------------------------------- */

enum behind { KEEP, CLOSE, RESET, HANG };

/* One answer, written as it stands; then the connection is kept, closed, reset or left silent. */
struct reply {
	const char *text; /* NULL: the end of the list */
	enum behind behind;
};

static struct server {
	int listener, port;
	const struct reply *replies; /* guarded by the fact that only one request is under way */
	size_t next;
	unsigned connections;
	char request[8192]; /* the head of the last one */
	size_t body_len;
} server;

static size_t
content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at != NULL ? strtoul(at + 17, NULL, 10) : 0;
}

/* Read one request.  False: the client has closed. */
static bool
read_request(int fd)
{
	char buf[65536];
	size_t len = 0, want = 0;

	for (;;) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - 1 - len);
		char *end;

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end == NULL)
			continue;
		want = content_length(buf);
		len -= (size_t)(end + 4 - buf);
		snprintf(server.request, sizeof(server.request), "%.*s", (int)(end + 2 - buf), buf);
		break;
	}
	while (len < want) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n <= 0)
			return false;
		len += (size_t)n;
	}
	server.body_len = len;
	return true;
}

static void
serve(int fd)
{
	static const struct linger hard = {.l_onoff = 1};

	while (read_request(fd)) {
		const struct reply *r = &server.replies[server.next];
		ssize_t written;

		if (r->text == NULL)
			return;
		server.next++;
		written = write(fd, r->text, strlen(r->text));
		if (written < 0)
			return;
		if (r->behind == RESET) {
			usleep(50000);
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		}
		if (r->behind == HANG) {
			struct pollfd p = {.fd = fd, .events = POLLRDHUP};

			poll(&p, 1, 20000);
		}
		if (r->behind != KEEP)
			return;
	}
}

static void *
server_main(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(server.listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		server.connections++;
		serve(fd);
		close(fd);
	}
}

static void
start_server(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	pthread_t thread;

	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(server.listener, 8) != 0 ||
		getsockname(server.listener, (struct sockaddr *)&a, &len) != 0)
		abort();
	server.port = ntohs(a.sin_port);
	pthread_create(&thread, NULL, server_main, NULL);
	pthread_detach(thread);
}

/* --- the client ----------------------------------------------------------------------- */

static char endpoint[64];

static struct sw_s3_params
params(void)
{
	return (struct sw_s3_params){
		.bucket = "bkt",
		.endpoint = endpoint,
		.region = "us-east-1",
		.verify_tls = true,
		.access_key = "ACCESSKEYACCESSKEY",
		.secret_key = SECRET,
		.session_token = TOKEN,
		.connect_timeout_ms = 2000,
		.stall_timeout_ms = 1500,
	};
}

static struct sw_store *
open_store(const struct sw_s3_params *p, const struct reply *replies)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store = NULL;

	server.replies = replies;
	server.next = 0;
	server.connections = 0;
	if (sw_s3_open(p, &store, &err) != SW_OK) {
		tap_ok(false, "open: %s", err.text);
		exit(1);
	}
	return store;
}

#define HEAD(status, headers, length) "HTTP/1.1 " status "\r\n" headers "Content-Length: " length "\r\n\r\n"
#define ERROR_OF(status, headers, code, more) \
	"HTTP/1.1 " status "\r\n" headers "x-amz-request-id: REQ1\r\nConnection: close\r\n\r\n" \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>Words of the server</Message>" more "</Error>"

/* --- what an answer to a GET means -------------------------------------------------------- */

struct answer {
	const char *name;
	struct reply reply;
	uint64_t offset, len;
	sw_rc rc;
	const char *text, *hint; /* NULL: not looked at; text: of the object for SW_OK */
};

static const struct answer answers[] = {
	{"a whole object", {HEAD("200 OK", "", "5") "hello", KEEP}, 0, 0, SW_OK, "hello", NULL},
	{"an empty object", {HEAD("200 OK", "", "0"), KEEP}, 0, 0, SW_OK, "", NULL},
	{"a range", {HEAD("206 Partial Content", "Content-Range: bytes 2-4/9\r\n", "3") "llo", KEEP}, 2, 3, SW_OK, "llo", NULL},
	{"a range to the end", {HEAD("206 Partial Content", "Content-Range: bytes 2-4/5\r\n", "3") "llo", KEEP}, 2, 0, SW_OK, "llo",
		NULL},
	{"the whole object for the range of all of it", {HEAD("200 OK", "", "5") "hello", KEEP}, 0, 5, SW_OK, "hello", NULL},
	{"the whole object for another range", {HEAD("200 OK", "", "5") "hello", CLOSE}, 1, 3, SW_SYSTEM, "whole object", "proxy"},
	{"the wrong range", {HEAD("206 Partial Content", "Content-Range: bytes 1-3/9\r\n", "3") "llo", CLOSE}, 2, 3, SW_SYSTEM,
		"bytes 1-3/9", NULL},
	{"a range of another length than its header", {HEAD("206 Partial Content", "Content-Range: bytes 2-4/9\r\n", "2") "ll", CLOSE},
		2, 3, SW_SYSTEM, "bytes 2-4/9", NULL},
	{"all that there is where more was allowed", {HEAD("206 Partial Content", "Content-Range: bytes 2-3/4\r\n", "2") "ll", KEEP}, 2,
		SW_STORE_UP_TO(3), SW_OK, "ll", NULL},
	{"less than there is and than was allowed", {HEAD("206 Partial Content", "Content-Range: bytes 2-3/9\r\n", "2") "ll", CLOSE}, 2,
		SW_STORE_UP_TO(3), SW_CORRUPT, NULL, NULL},
	{"the whole short object where more was allowed", {HEAD("200 OK", "", "5") "hello", KEEP}, 0, SW_STORE_UP_TO(9), SW_OK, "hello", NULL},
	{"a shorter range than asked for", {HEAD("206 Partial Content", "Content-Range: bytes 2-3/4\r\n", "2") "ll", CLOSE}, 2, 3,
		SW_CORRUPT, "has 4 bytes", NULL},
	{"a range that stops before the end", {HEAD("206 Partial Content", "Content-Range: bytes 2-3/9\r\n", "2") "ll", CLOSE}, 2, 0,
		SW_CORRUPT, NULL, NULL},
	{"no Content-Range", {HEAD("206 Partial Content", "", "3") "llo", CLOSE}, 2, 3, SW_SYSTEM, NULL, NULL},
	{"no Content-Length", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", CLOSE}, 0, 0, SW_SYSTEM, "length", "proxy"},
	{"a body cut short", {HEAD("200 OK", "", "9") "hello", CLOSE}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a reset in mid-body", {HEAD("200 OK", "", "9") "hello", RESET}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a connection closed without an answer", {"", CLOSE}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"silence", {"", HANG}, 0, 0, SW_TRANSIENT, "no byte", "store-stall-timeout"},
	{"silence in mid-body", {HEAD("200 OK", "", "9") "hello", HANG}, 0, 0, SW_TRANSIENT, "no byte", NULL},
	{"something else than HTTP", {"SSH-2.0-OpenSSH\r\n\r\n", CLOSE}, 0, 0, SW_CONFIG, NULL, "s3-endpoint"},
	{"NoSuchKey", {ERROR_OF("404 Not Found", "", "NoSuchKey", ""), CLOSE}, 0, 0, SW_NOT_FOUND,
		"GET s3://bkt/a: HTTP 404 NoSuchKey: Words of the server (request REQ1)", NULL},
	{"NoSuchKey behind a delete marker", {ERROR_OF("404 Not Found", "x-amz-delete-marker: true\r\n", "NoSuchKey", ""), CLOSE}, 0, 0,
		SW_CORRUPT, "delete marker", "delete marker"},
	{"NoSuchKey with another status", {ERROR_OF("403 Forbidden", "", "NoSuchKey", ""), CLOSE}, 0, 0, SW_DENIED, NULL, NULL},
	{"a bare 404", {HEAD("404 Not Found", "", "0"), KEEP}, 0, 0, SW_CONFIG, "HTTP 404", "bkt"},
	{"a 404 of a web server", {HEAD("404 Not Found", "", "24") "<html>no such page<html>", KEEP}, 0, 0, SW_CONFIG,
		"no such page", "s3-endpoint"},
	{"a NoSuchKey that was changed on its way", {HEAD("404 Not Found", "", "44") "<Error><Code>NoSuchKey</Code></Error\x1e<pad />", CLOSE},
		0, 0, SW_TRANSIENT, "HTTP 404", NULL},
	{"a refusal that was changed on its way", {HEAD("403 Forbidden", "", "29") "<Error><Code>AccessDenied</Co", CLOSE}, 0, 0, SW_TRANSIENT,
		"HTTP 403", NULL},
	{"NoSuchBucket", {ERROR_OF("404 Not Found", "", "NoSuchBucket", ""), CLOSE}, 0, 0, SW_CONFIG, "bkt", "bucket"},
	{"AccessDenied", {ERROR_OF("403 Forbidden", "", "AccessDenied", ""), CLOSE}, 0, 0, SW_DENIED, NULL, "s3:ListBucket"},
	{"ExpiredToken", {ERROR_OF("400 Bad Request", "", "ExpiredToken", ""), CLOSE}, 0, 0, SW_DENIED, NULL, "run out"},
	{"a region in the header", {ERROR_OF("301 Moved Permanently", "x-amz-bucket-region: eu-west-3\r\n", "PermanentRedirect",
		"<Endpoint>bkt.s3.eu-west-3.amazonaws.com</Endpoint>"), CLOSE}, 0, 0, SW_CONFIG, NULL, "set s3-region = eu-west-3"},
	{"a region in the body", {ERROR_OF("400 Bad Request", "", "AuthorizationHeaderMalformed", "<Region>eu-west-2</Region>"), CLOSE},
		0, 0, SW_CONFIG, NULL, "set s3-region = eu-west-2"},
	{"an endpoint only", {ERROR_OF("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", "TemporaryRedirect",
		"<Endpoint>other.host</Endpoint>"), CLOSE}, 0, 0, SW_CONFIG, NULL, "other.host"},
	{"InvalidObjectState", {ERROR_OF("403 Forbidden", "", "InvalidObjectState", ""), CLOSE}, 0, 0, SW_SYSTEM, NULL,
		"archive tier"},
	{"RequestTimeTooSkewed", {ERROR_OF("403 Forbidden", "Date: Fri, 24 May 2013 00:00:00 GMT\r\n", "RequestTimeTooSkewed", ""), CLOSE},
		0, 0, SW_CONFIG, "Fri, 24 May 2013", "clock"},
	{"SlowDown", {ERROR_OF("503 Slow Down", "", "SlowDown", ""), CLOSE}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a bare 500", {HEAD("500 Internal Server Error", "", "0"), KEEP}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a bare 429", {HEAD("429 Too Many Requests", "", "0"), KEEP}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a bare 408", {HEAD("408 Request Timeout", "", "0"), CLOSE}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"RequestTimeout with 400", {ERROR_OF("400 Bad Request", "", "RequestTimeout", ""), CLOSE}, 0, 0, SW_TRANSIENT, NULL, NULL},
	{"a bare 400", {HEAD("400 Bad Request", "", "0"), KEEP}, 0, 0, SW_SYSTEM, NULL, NULL},
	{"a proxy's 407", {HEAD("407 Proxy Authentication Required", "", "0"), KEEP}, 0, 0, SW_SYSTEM, NULL, NULL},
	{"an error body with a document type", {"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<!DOCTYPE x [<!ENTITY a \"b\">]>"
		"<Error><Code>NoSuchKey</Code></Error>", CLOSE}, 0, 0, SW_DENIED, NULL, NULL},
	{"an error body with an unprintable message", {"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n<Error><Code>X&#10;Y</Code>"
		"<Message>a&#10;b</Message></Error>", CLOSE}, 0, 0, SW_SYSTEM, "X Y: a b", NULL},
	{"keys and secrets that are echoed", {ERROR_OF("403 Forbidden", "", "Y", "<Message>ACCESSKEYACCESSKEY " SECRET " " TOKEN
		"</Message>"), CLOSE}, 0, 0, SW_DENIED, "****", NULL},
};

static void
check_answer(const struct answer *a)
{
	struct reply replies[3] = {a->reply};
	struct sw_s3_params p = params();
	struct sw_store *store;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 1000);
	store = open_store(&p, replies);
	rc = sw_store_get_buf(store, "a", a->offset, a->len, &buf, &err);
	if (!tap_is(sw_rc_name(rc), sw_rc_name(a->rc), "%s", a->name) && rc != SW_OK)
		tap_note("%s", err.text);
	if (a->rc == SW_OK) {
		tap_is((const char *)buf.data, a->text, "%s: the bytes", a->name);
	} else {
		if (!tap_ok(strstr(err.text, "s3://bkt/a") != NULL && (a->text == NULL || strstr(err.text, a->text) != NULL) &&
				(a->hint == NULL || strstr(err.hint, a->hint) != NULL), "%s: the words", a->name))
			tap_note("%s -- %s", err.text, err.hint);
		tap_ok(strstr(err.text, SECRET) == NULL && strstr(err.text, TOKEN) == NULL &&
			strstr(err.text, "ACCESSKEY") == NULL, "%s: no secrets", a->name);
		tap_ok(strpbrk(err.text, "\r\n\t") == NULL, "%s: one line", a->name);
	}
	sw_store_free(store);
}

/* --- Retry-After ------------------------------------------------------------------------------ */

static void
check_retry_after(void)
{
	static const struct {
		const char *name;
		struct reply reply;
		long long want_ms;
	} cases[] = {
		{"seconds", {HEAD("503 Slow Down", "Retry-After: 7\r\n", "0"), KEEP}, 7000},
		{"a date", {HEAD("503 Slow Down", "Date: Fri, 24 May 2013 00:00:00 GMT\r\nRetry-After: Fri, 24 May 2013 00:01:30 GMT\r\n",
			"0"), KEEP}, 90000},
		{"a date that is over", {HEAD("503 Slow Down", "Date: Fri, 24 May 2013 00:00:00 GMT\r\n"
			"Retry-After: Fri, 24 May 2012 00:01:30 GMT\r\n", "0"), KEEP}, 0},
		{"a number beyond all reason", {HEAD("503 Slow Down", "Retry-After: 99999999999999999999\r\n", "0"), KEEP}, 86400000},
		{"a negative one", {HEAD("503 Slow Down", "Retry-After: -5\r\n", "0"), KEEP}, 0},
		{"nonsense", {HEAD("503 Slow Down", "Retry-After: soon\r\n", "0"), KEEP}, 0},
		{"with an answer that is final", {HEAD("403 Forbidden", "Retry-After: 7\r\n", "0"), KEEP}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply replies[2] = {cases[i].reply};
		struct sw_s3_params p = params();
		struct sw_store *store = open_store(&p, replies);
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 100);
		sw_store_get_buf(store, "a", 0, 0, &buf, &err);
		tap_is_int(err.retry_after_ms, cases[i].want_ms, "Retry-After, %s", cases[i].name);
		sw_store_free(store);
	}
}

/* --- requests ---------------------------------------------------------------------------------- */

static sw_rc
put(struct sw_store *store, const char *text, struct sw_error *err)
{
	struct sw_store_body body = sw_store_body_mem(text, strlen(text));

	return sw_store_put(store, "dir/a", &body, err);
}

static bool
sent(const char *words)
{
	bool found = strcasestr(server.request, words) != NULL;

	if (!found)
		tap_note("%s is not in %s", words, server.request);
	return found;
}

static void
check_request(void)
{
	static const struct reply replies[] = {{HEAD("200 OK", "", "0"), KEEP}, {HEAD("200 OK", "", "5") "hello", KEEP}, {0}};
	struct sw_s3_params p = params();
	struct sw_store *store;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	p.prefix = "a b/\xc3\xbc+";
	p.storage_class = "STANDARD_IA";
	store = open_store(&p, replies);
	sw_clock_set((int64_t)1369353600 * 1000000);
	tap_is_int(put(store, "hello", &err), SW_OK, "a put is one request");
	tap_ok(sent("PUT /bkt/a%20b/%C3%BC%2B/dir/a HTTP/1.1\r\n"), "its path is encoded");
	tap_ok(sent("\r\nif-none-match: *\r\n"), "If-None-Match");
	tap_ok(sent("\r\nContent-Length: 5\r\n") && !sent("chunked") && !sent("Expect"), "a length, not chunked, no Expect");
	tap_ok(sent("\r\nx-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n"),
		"the SHA-256 of the content");
	tap_ok(sent("\r\nx-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\r\n"), "and as a checksum");
	tap_ok(sent("\r\nx-amz-date: 20130524T000000Z\r\n"), "the time is the clock's");
	tap_ok(sent("\r\nx-amz-security-token: " TOKEN "\r\n"), "the session token");
	tap_ok(sent("\r\nx-amz-storage-class: STANDARD_IA\r\n"), "the storage class");
	tap_ok(sent("Credential=ACCESSKEYACCESSKEY/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;if-none-match;"
		"x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-storage-class, Signature="),
		"all of them are signed");
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", server.port);
	tap_ok(sent(endpoint + 7), "Host has the port");
	sw_clock_set(-1);
	tap_is_int(sw_store_get_buf(store, "dir/a", 0, 0, &buf, &err), SW_OK, "a get is one request");
	tap_is_int((long long)server.next, 2, "two requests in all");
	tap_is_int(server.connections, 1, "on one connection");
	sw_store_free(store);
}

static void
check_lost_connection(void)
{
	static const struct reply replies[] = {{HEAD("200 OK", "", "0"), CLOSE}, {HEAD("200 OK", "", "0"), KEEP}, {0}};
	struct sw_s3_params p = params();
	struct sw_store *store = open_store(&p, replies);
	struct sw_error err = SW_ERROR_INIT;

	tap_is_int(put(store, "one", &err), SW_OK, "a put");
	usleep(100000);
	tap_is_int(put(store, "two", &err), SW_OK, "a kept connection that has been closed meanwhile is made anew");
	tap_is_int((long long)server.body_len, 3, "with the whole body");
	tap_is_int(server.connections, 2, "two connections");
	sw_store_free(store);
}

static void
check_conflict(void)
{
	static const struct {
		const char *name;
		struct reply replies[3];
		sw_rc rc;
	} cases[] = {
		{"the same bytes are there", {{HEAD("412 Precondition Failed", "", "0"), KEEP}, {HEAD("200 OK", "", "5") "hello", KEEP}}, SW_OK},
		{"others are there", {{HEAD("412 Precondition Failed", "", "0"), KEEP}, {HEAD("200 OK", "", "5") "jello", KEEP}},
			SW_CONFLICT},
		{"it is gone", {{HEAD("412 Precondition Failed", "", "0"), KEEP}, {ERROR_OF("404 Not Found", "", "NoSuchKey", ""), CLOSE}},
			SW_TRANSIENT},
		{"racing puts", {{ERROR_OF("409 Conflict", "", "ConditionalRequestConflict", ""), CLOSE}}, SW_TRANSIENT},
		{"damaged on the way", {{ERROR_OF("400 Bad Request", "", "XAmzContentSHA256Mismatch", ""), CLOSE}}, SW_TRANSIENT},
		{"over quota", {{ERROR_OF("403 Forbidden", "", "QuotaExceeded", ""), CLOSE}}, SW_SYSTEM},
		{"not implemented", {{ERROR_OF("501 Not Implemented", "", "NotImplemented", ""), CLOSE}}, SW_CONFIG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_s3_params p = params();
		struct sw_store *store = open_store(&p, cases[i].replies);
		struct sw_error err = SW_ERROR_INIT;

		tap_is(sw_rc_name(put(store, "hello", &err)), sw_rc_name(cases[i].rc), "put: %s", cases[i].name);
		sw_store_free(store);
	}
}

/* --- credentials that expire ---------------------------------------------------------------------- */

static void
check_refresh(void)
{
	static const struct reply replies[] = {{ERROR_OF("400 Bad Request", "", "ExpiredToken", ""), CLOSE},
		{HEAD("200 OK", "", "5") "hello", KEEP}, {0}};
	static const char before[] = "[default]\naws_access_key_id=OLDKEY\naws_secret_access_key=old\n";
	static const char behind[] = "[default]\naws_access_key_id=NEWKEY\naws_secret_access_key=new\n";
	char path[] = "/tmp/seawall-refresh.XXXXXX";
	struct sw_s3_params p = params();
	struct sw_store *store;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	close(mkstemp(path));
	sw_file_write(path, before, strlen(before), 0600, &err);
	p.access_key = p.secret_key = p.session_token = NULL;
	p.credentials_file = path;
	store = open_store(&p, replies);
	tap_is_int(sw_store_get_buf(store, "a", 0, 0, &buf, &err), SW_DENIED, "expired credentials: refused");
	server.next = 0;
	sw_file_write(path, behind, strlen(behind), 0600, &err);
	tap_is_int(sw_store_get_buf(store, "a", 0, 0, &buf, &err), SW_OK, "once there are others: tried again with them");
	tap_ok(sent("Credential=NEWKEY/"), "signed by the new key");
	sw_store_free(store);
	unlink(path);
}

/* --- listings ---------------------------------------------------------------------------------------- */

static sw_rc
gather(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	char *all = ctx;

	(void)info;
	(void)err;
	strcat(strcat(all, name), " ");
	return SW_OK;
}

#define LISTING(content) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>" content "</ListBucketResult>"
#define ENTRY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

static void
check_listings(void)
{
	static const struct {
		const char *name, *prefix;
		struct reply replies[3];
		sw_rc rc;
		const char *want;
	} cases[] = {
		{"nothing", "", {{LISTING(""), CLOSE}}, SW_OK, ""},
		{"two pages", "", {{LISTING(ENTRY("a") "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"),
			CLOSE}, {LISTING(ENTRY("b")), CLOSE}}, SW_OK, "a b "},
		{"encoded", "", {{LISTING(ENTRY("x%2Fa%2Db") ENTRY("x%2fc")), CLOSE}}, SW_OK, "x/a-b x/c "},
		{"an encoded prefix", "p q+%", {{LISTING(ENTRY("p+q%2B%25/a")), CLOSE}}, SW_OK, "a "},
		{"a service that does not encode", "p q+%", {{LISTING(ENTRY("p q+%/a")), CLOSE}}, SW_OK, "a "},
		{"names that are not ours", "", {{LISTING(ENTRY("a+b") ENTRY("a%2Bb") ENTRY("b") ENTRY("c%2F")), CLOSE}}, SW_OK, "b "},
		{"keys outside of the prefix", "p", {{LISTING(ENTRY("q/a")), CLOSE}}, SW_SYSTEM, NULL},
		{"out of order", "", {{LISTING(ENTRY("b") ENTRY("a")), CLOSE}}, SW_SYSTEM, NULL},
		{"truncated without a token", "", {{LISTING("<IsTruncated>true</IsTruncated>"), CLOSE}}, SW_SYSTEM, NULL},
		{"not a listing", "", {{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html></html>", CLOSE}}, SW_SYSTEM, NULL},
		{"not XML", "", {{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", CLOSE}}, SW_CORRUPT, NULL},
		{"cut XML", "", {{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>" ENTRY("a"), CLOSE}}, SW_CORRUPT, NULL},
		{"a missing bucket", "", {{ERROR_OF("404 Not Found", "", "NoSuchBucket", ""), CLOSE}}, SW_CONFIG, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_s3_params p = params();
		struct sw_error err = SW_ERROR_INIT;
		struct sw_store *store;
		char all[256] = "";

		p.prefix = cases[i].prefix;
		store = open_store(&p, cases[i].replies);
		if (!tap_is(sw_rc_name(sw_store_list(store, "", NULL, gather, all, &err)), sw_rc_name(cases[i].rc), "listing: %s",
				cases[i].name))
			tap_note("%s", err.text);
		if (cases[i].want != NULL)
			tap_is(all, cases[i].want, "listing: %s: the names", cases[i].name);
		sw_store_free(store);
	}
}

static void
check_deletions(void)
{
	static const struct {
		const char *name;
		struct reply reply;
		sw_rc rc;
	} cases[] = {
		{"done", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<DeleteResult/>", CLOSE}, SW_OK},
		{"refused in a 200", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<DeleteResult><Error><Key>dir/a</Key>"
			"<Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>", CLOSE}, SW_DENIED},
		{"failed in a 200", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<DeleteResult><Error><Key>dir/a</Key>"
			"<Code>InternalError</Code></Error></DeleteResult>", CLOSE}, SW_TRANSIENT},
		{"was not there", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<DeleteResult><Error><Key>dir/a</Key>"
			"<Code>NoSuchKey</Code></Error></DeleteResult>", CLOSE}, SW_OK},
		{"an error as a 200", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<Error><Code>SlowDown</Code></Error>", CLOSE},
			SW_TRANSIENT},
		{"something else", {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html/>", CLOSE}, SW_SYSTEM},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply replies[2] = {cases[i].reply};
		struct sw_s3_params p = params();
		struct sw_store *store = open_store(&p, replies);
		struct sw_error err = SW_ERROR_INIT;

		if (!tap_is(sw_rc_name(sw_store_delete(store, &(const char *){"dir/a"}, 1, &err)), sw_rc_name(cases[i].rc),
				"delete: %s", cases[i].name))
			tap_note("%s", err.text);
		tap_ok(sent("POST /bkt?delete= ") && sent("content-md5: ") && sent("x-amz-checksum-sha256: "),
			"delete: %s: the request", cases[i].name);
		sw_store_free(store);
	}
}

/* --- versions ------------------------------------------------------------------------------------------ */

#define VERSIONS(content) \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListVersionsResult>" content "</ListVersionsResult>"
#define DATA_VERSION(key, id) "<Version><Key>" key "</Key><VersionId>" id "</VersionId><Size>5</Size></Version>"
#define MARKER(key, id) "<DeleteMarker><Key>" key "</Key><VersionId>" id "</VersionId></DeleteMarker>"

static void
check_versions(void)
{
	static const struct {
		const char *name;
		struct reply replies[4];
		sw_rc rc;
		const char *sent;
	} cases[] = {
		{"the last of the key", {{VERSIONS(DATA_VERSION("a", "3") MARKER("a", "2") DATA_VERSION("a", "1") DATA_VERSION("a.b", "0")), CLOSE},
			{HEAD("200 OK", "", "5") "hello", KEEP}}, SW_OK, "versionId=1 "},
		{"on a second page", {{VERSIONS(DATA_VERSION("a", "3") "<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>"
			"<NextVersionIdMarker>3</NextVersionIdMarker>"), CLOSE}, {VERSIONS(DATA_VERSION("a", "1")), CLOSE},
			{HEAD("200 OK", "", "5") "hello", KEEP}}, SW_OK, "versionId=1 "},
		{"delete markers alone", {{VERSIONS(MARKER("a", "2")), CLOSE}}, SW_NOT_FOUND, "versions="},
		{"none", {{VERSIONS(""), CLOSE}}, SW_NOT_FOUND, "prefix=a"},
		{"not a list of versions", {{LISTING(ENTRY("a")), CLOSE}}, SW_SYSTEM, "versions="},
		{"a list that does not move on", {{VERSIONS("<IsTruncated>true</IsTruncated>"), CLOSE}}, SW_CORRUPT, "versions="},
		{"gone when it is read", {{VERSIONS(DATA_VERSION("a", "1")), CLOSE}, {ERROR_OF("404 Not Found", "", "NoSuchVersion", ""), CLOSE}},
			SW_TRANSIENT, "versionId=1 "},
		{"gone in other words", {{VERSIONS(DATA_VERSION("a", "1")), CLOSE}, {ERROR_OF("404 Not Found", "", "NoSuchKey", ""), CLOSE}},
			SW_TRANSIENT, "versionId=1 "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sw_store_traits traits = {.versioned = true};
		struct sw_s3_params p = params();
		struct sw_error err = SW_ERROR_INIT;
		struct sw_store *store;
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 100);
		store = open_store(&p, cases[i].replies);
		sw_store_set_traits(store, &traits);
		if (!tap_is(sw_rc_name(sw_store_get_buf(store, "a", 0, 0, &buf, &err)), sw_rc_name(cases[i].rc),
				"the oldest version: %s", cases[i].name))
			tap_note("%s", err.text);
		tap_ok(sent(cases[i].sent), "the oldest version: %s: asked for", cases[i].name);
		sw_store_free(store);
	}
}

/* --- retries, through everything ------------------------------------------------------------------------- */

static void
check_resume(void)
{
	static const struct reply replies[] = {{HEAD("200 OK", "", "9") "hell", CLOSE}, {ERROR_OF("503 x", "", "SlowDown", ""), CLOSE},
		{HEAD("206 Partial Content", "Content-Range: bytes 4-8/9\r\n", "5") "o you", KEEP}, {0}};
	struct sw_retry_params retry = SW_RETRY_PARAMS(10000);
	struct sw_s3_params p = params();
	struct sw_store *store;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	retry.base_ms = 10;
	if (sw_retry_new(open_store(&p, replies), &retry, &store, &err) != SW_OK)
		exit(1);
	tap_is_int(sw_store_get_buf(store, "a", 0, 0, &buf, &err), SW_OK, "a get that is cut off and refused once succeeds");
	tap_is((const char *)buf.data, "hello you", "with each byte once");
	tap_ok(sent("range: bytes=4-\r\n"), "asking for the rest only");
	sw_store_free(store);
}

static void *
send_signal(void *arg)
{
	(void)arg;
	usleep(300000);
	kill(getpid(), SIGTERM);
	return NULL;
}

static void
check_interrupt(void)
{
	static const struct reply replies[] = {{"", HANG}, {0}};
	struct sw_s3_params p = params();
	struct sw_store *store;
	struct sw_error err = SW_ERROR_INIT;
	int64_t began = sw_clock_monotonic_ms();
	pthread_t thread;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	p.stall_timeout_ms = 20000;
	store = open_store(&p, replies);
	sw_interrupt_catch();
	pthread_create(&thread, NULL, send_signal, NULL);
	tap_is_int(sw_store_get_buf(store, "a", 0, 0, &buf, &err), SW_SYSTEM, "a signal ends a request that hangs");
	tap_ok(sw_clock_monotonic_ms() - began < 5000, "soon");
	tap_ok(strstr(err.text, "SIGTERM") != NULL, "and is named");
	pthread_join(thread, NULL);
	sw_store_free(store);
}

/* --- options ------------------------------------------------------------------------------------------------ */

static void
check_options(void)
{
	static const struct {
		const char *name, *bucket, *prefix, *endpoint, *region;
		enum sw_s3_addressing addressing;
		sw_rc rc;
	} cases[] = {
		{"no bucket", "", "", NULL, NULL, SW_S3_AUTO, SW_CONFIG},
		{"a bucket that is none", "a b", "", NULL, NULL, SW_S3_AUTO, SW_CONFIG},
		{"an empty part in the prefix", "bkt", "a//b", NULL, NULL, SW_S3_AUTO, SW_CONFIG},
		{"an endpoint without scheme", "bkt", "", "localhost:9000", NULL, SW_S3_AUTO, SW_CONFIG},
		{"an endpoint with a path", "bkt", "", "http://localhost/s3", NULL, SW_S3_AUTO, SW_CONFIG},
		{"an endpoint with a password", "bkt", "", "http://u:p@localhost", NULL, SW_S3_AUTO, SW_CONFIG},
		{"an endpoint of nothing", "bkt", "", "https://", NULL, SW_S3_AUTO, SW_CONFIG},
		{"a region with a newline", "bkt", "", NULL, "a\r\nb: c", SW_S3_AUTO, SW_CONFIG},
		{"an endpoint with a slash", "bkt", "", "http://localhost/", NULL, SW_S3_AUTO, SW_OK},
		{"the defaults", "bkt", "", NULL, NULL, SW_S3_AUTO, SW_OK},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_s3_params p = params();
		struct sw_error err = SW_ERROR_INIT;
		struct sw_store *store = NULL;

		p.bucket = cases[i].bucket;
		p.prefix = cases[i].prefix;
		p.endpoint = cases[i].endpoint;
		p.region = cases[i].region;
		tap_is(sw_rc_name(sw_s3_open(&p, &store, &err)), sw_rc_name(cases[i].rc), "options: %s", cases[i].name);
		sw_store_free(store);
	}
}

/* Where requests go can be seen in the text of an error: nothing answers at these. */
static void
check_addressing(void)
{
	static const struct {
		const char *bucket, *endpoint, *region, *resolve;
		enum sw_s3_addressing addressing;
		const char *origin;
	} cases[] = {
		{"bkt", NULL, "eu-west-1", "bkt.s3.eu-west-1.amazonaws.com:443:127.0.0.1", SW_S3_AUTO,
			"https://bkt.s3.eu-west-1.amazonaws.com"},
		{"bkt", NULL, "cn-north-1", "bkt.s3.cn-north-1.amazonaws.com.cn:443:127.0.0.1", SW_S3_AUTO,
			"https://bkt.s3.cn-north-1.amazonaws.com.cn"},
		{"with.dots", NULL, "eu-west-1", "s3.eu-west-1.amazonaws.com:443:127.0.0.1", SW_S3_AUTO,
			"https://s3.eu-west-1.amazonaws.com"},
		{"bkt", "http://127.0.0.1:1", NULL, NULL, SW_S3_AUTO, "http://127.0.0.1:1"},
		{"bkt", "http://host.test:1", NULL, "bkt.host.test:1:127.0.0.1", SW_S3_VIRTUAL, "http://bkt.host.test:1"},
		{"bkt", NULL, "eu-west-1", "s3.eu-west-1.amazonaws.com:443:127.0.0.1", SW_S3_PATH, "https://s3.eu-west-1.amazonaws.com"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_s3_params p = params();
		struct sw_error err = SW_ERROR_INIT;
		struct sw_store *store = NULL;
		struct sw_store_info info;
		char words[128];

		p.bucket = cases[i].bucket;
		p.endpoint = cases[i].endpoint;
		p.region = cases[i].region;
		p.resolve = cases[i].resolve;
		p.addressing = cases[i].addressing;
		if (sw_s3_open(&p, &store, &err) == SW_OK)
			sw_store_head(store, "a", &info, &err);
		snprintf(words, sizeof(words), " at %s:", cases[i].origin);
		if (!tap_ok(strstr(err.text, words) != NULL, "address: %s", cases[i].origin))
			tap_note("%s", err.text);
		sw_store_free(store);
	}
}

/* --- XML ------------------------------------------------------------------------------------------------------- */

static sw_rc
count_element(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	(void)parent;
	(void)name;
	(void)text;
	(void)err;
	++*(int *)ctx;
	return SW_OK;
}

static void
check_xml(void)
{
	static char deep[1000], wide[20000];
	const struct {
		const char *name, *text;
		sw_rc rc;
	} cases[] = {
		{"an element", "<a/>", SW_OK},
		{"nothing", "", SW_CORRUPT},
		{"entities of one's own", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", SW_CORRUPT},
		{"an external document type", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", SW_CORRUPT},
		{"too deep", deep, SW_CORRUPT},
		{"too much text", wide, SW_CORRUPT},
		{"a name that is too long",
			"<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/>", SW_CORRUPT},
	};

	for (int i = 0; i < 30; i++)
		strcat(deep, "<a>");
	for (int i = 0; i < 30; i++)
		strcat(deep, "</a>");
	memset(wide, 'x', sizeof(wide) - 1);
	memcpy(wide, "<a>", 3);
	memcpy(wide + sizeof(wide) - 5, "</a>", 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		int count = 0;

		tap_is(sw_rc_name(sw_xml_parse(cases[i].text, strlen(cases[i].text), count_element, &count, &err)),
			sw_rc_name(cases[i].rc), "XML: %s", cases[i].name);
	}
}

int
main(void)
{
	static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	signal(SIGPIPE, SIG_IGN);
	start_server();
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", server.port);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		check_answer(&answers[i]);
	check_retry_after();
	check_request();
	check_lost_connection();
	check_conflict();
	check_refresh();
	check_listings();
	check_deletions();
	check_versions();
	check_resume();
	check_options();
	check_addressing();
	check_xml();
	check_interrupt();
	return tap_done();
}
