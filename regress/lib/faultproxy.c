/*
 * faultproxy - an HTTP/1.1 proxy on loopback that does wrong on demand.
 *
 *   faultproxy BACKEND_PORT READY_FILE
 *
 * Listens on two free ports of 127.0.0.1 and writes "PORT CONTROL_PORT\n" to READY_FILE.
 * What comes to PORT is passed to 127.0.0.1:BACKEND_PORT, byte for byte (but Expect), unless
 * a rule says otherwise.  Ends when its standard input does, so it never survives its test.
 *
 * CONTROL_PORT takes lines and answers each with "ok", "error WORDS", or what was asked for:
 *
 *   rule [method=M] [key=SUBSTRING] [skip=N] [count=N] [probability=P] FAULT
 *       FAULT happens to requests whose method is M and whose target contains SUBSTRING: not
 *       to the first `skip`, then `count` times (default: for ever), each with probability P.
 *       The first rule that applies to a request is the only one.
 *   clear           forget all rules; requests that hang are reset
 *   seed N          start the random numbers of `probability` again
 *   count [method=M] [key=SUBSTRING]       number of such requests seen since the last forget
 *   faulted [method=M] [key=SUBSTRING]     number of those that a rule applied to
 *   requests        all of them, "METHOD TARGET STATUS FAULT" (status 0: no answer), then "ok"
 *   forget          empty that list
 *
 * Faults; N counts bytes of the body:
 *   status CODE [retry-after=S] [code=WORD]   answer so, without asking the backend
 *   delay MS            wait, then pass on
 *   hang                never answer
 *   hang-response N     pass N bytes of the answer's body, then nothing more
 *   reset-request N     pass N bytes of the request's body, then reset both connections
 *   reset-response N    pass N bytes of the answer's body, then reset
 *   cut N               pass N bytes of the answer's body, then close (Content-Length is kept)
 *   flip N              change one bit of byte N of the answer's body (negative: from its end)
 *   flip-request N      change one bit of byte N of the request's body
 *   drop-answer         pass the whole request, take the answer, reset without giving it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 65536
#define RULES_MAX 64
#define NOWHERE (-1LL)

enum fault_kind {
	FAULT_NONE,
	FAULT_STATUS,
	FAULT_DELAY,
	FAULT_HANG,
	FAULT_HANG_RESPONSE,
	FAULT_RESET_REQUEST,
	FAULT_RESET_RESPONSE,
	FAULT_CUT,
	FAULT_FLIP,
	FAULT_FLIP_REQUEST,
	FAULT_DROP_ANSWER,
};

static const struct {
	const char *name;
	bool has_arg;
} faults[] = {
	[FAULT_NONE] = { "none", false },
	[FAULT_STATUS] = { "status", true },
	[FAULT_DELAY] = { "delay", true },
	[FAULT_HANG] = { "hang", false },
	[FAULT_HANG_RESPONSE] = { "hang-response", true },
	[FAULT_RESET_REQUEST] = { "reset-request", true },
	[FAULT_RESET_RESPONSE] = { "reset-response", true },
	[FAULT_CUT] = { "cut", true },
	[FAULT_FLIP] = { "flip", true },
	[FAULT_FLIP_REQUEST] = { "flip-request", true },
	[FAULT_DROP_ANSWER] = { "drop-answer", false },
};
#define FAULT_COUNT (sizeof(faults) / sizeof(faults[0]))

struct filter {
	char method[16]; /* "" is any */
	char key[512];
};

struct fault {
	enum fault_kind kind;
	long long arg;
	int retry_after; /* 0: none */
	char code[64];
};

struct rule {
	struct filter filter;
	int skip;
	int count; /* -1: for ever */
	double probability;
	struct fault fault;
};

struct request_log {
	char *method, *target;
	int status;
	enum fault_kind fault;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static unsigned generation; /* changes at every clear */
static unsigned short random_state[3];
static struct request_log *requests;
static size_t request_count;
static int backend_port;

/* --- sockets ---------------------------------------------------------------- */

struct conn {
	int fd;
	char buf[HEAD_MAX];
	size_t start, end; /* what is read and not taken */
};

static void
die(const char *what)
{
	fprintf(stderr, "faultproxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int
listen_anywhere(int *ret_port)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0 || listen(fd, 128) != 0
		|| getsockname(fd, (struct sockaddr *) &addr, &len) != 0)
		die("listen");
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static int
connect_backend(void)
{
	struct sockaddr_in addr = loopback(backend_port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Close so that the peer sees a reset. */
static void
reset_fd(int *fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (*fd >= 0)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close_fd(fd);
}

static bool
send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t) n;
	}
	return true;
}

static bool
conn_fill(struct conn *c)
{
	ssize_t n;

	if (c->start == c->end)
		c->start = c->end = 0;
	if (c->end == sizeof(c->buf)) {
		memmove(c->buf, c->buf + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
		if (c->end == sizeof(c->buf))
			return false;
	}
	do
		n = recv(c->fd, c->buf + c->end, sizeof(c->buf) - c->end, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	c->end += (size_t) n;
	return true;
}

/* Take everything up to and with `mark` into `ret_text` (NUL-terminated, at most HEAD_MAX). */
static bool
conn_until(struct conn *c, const char *mark, char *ret_text)
{
	for (;;) {
		char *at = memmem(c->buf + c->start, c->end - c->start, mark, strlen(mark));

		if (at != NULL) {
			size_t len = (size_t) (at - (c->buf + c->start)) + strlen(mark);

			if (len >= HEAD_MAX)
				return false;
			memcpy(ret_text, c->buf + c->start, len);
			ret_text[len] = '\0';
			c->start += len;
			return true;
		}
		if (!conn_fill(c))
			return false;
	}
}

/* --- HTTP ------------------------------------------------------------------- */

/* The value of a header field in `head`, or NULL; it ends at "\r\n". */
static const char *
header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
			const char *value = line + 3 + len;

			return value + strspn(value, " \t");
		}
	return NULL;
}

static bool
header_is(const char *head, const char *name, const char *word)
{
	const char *value = header(head, name);

	return value != NULL && strncasecmp(value, word, strlen(word)) == 0;
}

static void
header_remove(char *head, const char *name)
{
	const char *value = header(head, name);
	char *line, *next;

	if (value == NULL)
		return;
	for (line = head + (value - head); line[-1] != '\n'; line--)
		;
	next = strstr(line, "\r\n") + 2;
	memmove(line, next, strlen(next) + 1);
}

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

struct body {
	enum body_kind kind;
	long long len; /* of BODY_LENGTH */
};

static struct body
request_body(const char *head)
{
	const char *length = header(head, "Content-Length");

	if (header_is(head, "Transfer-Encoding", "chunked"))
		return (struct body) { .kind = BODY_CHUNKED };
	if (length != NULL && atoll(length) > 0)
		return (struct body) { .kind = BODY_LENGTH, .len = atoll(length) };
	return (struct body) { .kind = BODY_NONE };
}

static struct body
response_body(const char *head, const char *method, int status)
{
	if (strcmp(method, "HEAD") == 0 || status == 204 || status == 304)
		return (struct body) { .kind = BODY_NONE };
	if (header(head, "Content-Length") == NULL
		&& !header_is(head, "Transfer-Encoding", "chunked"))
		return (struct body) { .kind = BODY_TO_END };
	return request_body(head);
}

enum relay_end { RELAY_DONE, RELAY_STOPPED, RELAY_BROKEN };

/* Where the body's bytes go, and what happens to them on the way. */
struct relay {
	int to;            /* -1: nowhere */
	long long stop_at; /* pass so many bytes of the body and stop; or NOWHERE */
	long long flip_at; /* or NOWHERE */
	long long passed;
};

static bool
relay_raw(struct relay *r, const char *data, size_t len)
{
	return r->to < 0 || send_all(r->to, data, len);
}

/* Move `len` bytes of body; -1: until the connection ends. */
static enum relay_end
relay_bytes(struct conn *from, struct relay *r, long long len)
{
	while (len != 0) {
		long long part;

		if (r->stop_at != NOWHERE && r->passed >= r->stop_at)
			return RELAY_STOPPED;
		if (from->start == from->end && !conn_fill(from))
			return len < 0 ? RELAY_DONE : RELAY_BROKEN;
		part = (long long) (from->end - from->start);
		if (len > 0 && part > len)
			part = len;
		if (r->stop_at != NOWHERE && part > r->stop_at - r->passed)
			part = r->stop_at - r->passed;
		if (r->flip_at >= r->passed && r->flip_at < r->passed + part)
			from->buf[from->start + (size_t) (r->flip_at - r->passed)] ^= 1;
		if (!relay_raw(r, from->buf + from->start, (size_t) part))
			return RELAY_BROKEN;
		from->start += (size_t) part;
		r->passed += part;
		if (len > 0)
			len -= part;
	}
	return RELAY_DONE;
}

static enum relay_end
relay_chunks(struct conn *from, struct relay *r)
{
	char line[HEAD_MAX];

	for (;;) {
		enum relay_end end;
		long long size;

		if (!conn_until(from, "\r\n", line) || !relay_raw(r, line, strlen(line)))
			return RELAY_BROKEN;
		size = strtoll(line, NULL, 16);
		if (size < 0)
			return RELAY_BROKEN;
		if (size > 0 && (end = relay_bytes(from, r, size)) != RELAY_DONE)
			return end;
		do
			if (!conn_until(from, "\r\n", line) || !relay_raw(r, line, strlen(line)))
				return RELAY_BROKEN;
		while (size == 0 && strcmp(line, "\r\n") != 0);
		if (size == 0)
			return RELAY_DONE;
	}
}

static enum relay_end
relay_body(struct conn *from, const struct body *body, struct relay *r)
{
	if (body->kind == BODY_CHUNKED)
		return relay_chunks(from, r);
	if (body->kind == BODY_LENGTH)
		return relay_bytes(from, r, body->len);
	if (body->kind == BODY_TO_END)
		return relay_bytes(from, r, -1);
	return r->stop_at == NOWHERE ? RELAY_DONE : RELAY_STOPPED;
}

/* --- rules ------------------------------------------------------------------ */

static bool
filter_matches(const struct filter *f, const char *method, const char *target)
{
	return (f->method[0] == '\0' || strcmp(f->method, method) == 0)
		&& strstr(target, f->key) != NULL;
}

/* Choose the fault of a request and note it; returns the request's number in the log. */
static size_t
rules_apply(const char *method, const char *target, struct fault *ret_fault)
{
	size_t number;

	*ret_fault = (struct fault) { .kind = FAULT_NONE };
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < rule_count && ret_fault->kind == FAULT_NONE; i++) {
		struct rule *r = &rules[i];

		if (r->count == 0 || !filter_matches(&r->filter, method, target))
			continue;
		if (r->skip > 0)
			r->skip--;
		else if (r->probability >= 1 || erand48(random_state) < r->probability) {
			*ret_fault = r->fault;
			if (r->count > 0)
				r->count--;
		}
	}
	requests = realloc(requests, (request_count + 1) * sizeof(*requests));
	if (requests == NULL)
		die("memory");
	number = request_count++;
	requests[number] = (struct request_log) { .method = strdup(method), .target = strdup(target),
		.fault = ret_fault->kind };
	pthread_mutex_unlock(&lock);
	return number;
}

static void
log_status(size_t number, int status)
{
	pthread_mutex_lock(&lock);
	if (number < request_count)
		requests[number].status = status;
	pthread_mutex_unlock(&lock);
}

/* Until the client goes away or `clear` is ordered. */
static void
hang(int fd)
{
	unsigned before;

	pthread_mutex_lock(&lock);
	before = generation;
	pthread_mutex_unlock(&lock);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLRDHUP };
		bool over;

		pthread_mutex_lock(&lock);
		over = generation != before;
		pthread_mutex_unlock(&lock);
		if (over || poll(&p, 1, 20) < 0 || (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
			return;
	}
}

/* --- one exchange ----------------------------------------------------------- */

struct exchange {
	struct conn *client, *backend;
	char head[HEAD_MAX]; /* the request's, then the answer's */
	char method[16], target[4096];
	struct fault fault;
	size_t number;
};

static void
reset_both(struct exchange *x)
{
	reset_fd(&x->client->fd);
	reset_fd(&x->backend->fd);
}

static bool
answer_status(struct exchange *x, bool body_follows)
{
	char retry[64] = "", xml[512], text[1024];

	if (x->fault.retry_after > 0)
		snprintf(retry, sizeof(retry), "Retry-After: %d\r\n", x->fault.retry_after);
	snprintf(xml, sizeof(xml),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code>"
		"<Message>ordered by the test</Message><RequestId>faultproxy-%zu</RequestId></Error>",
		x->fault.code[0] != '\0' ? x->fault.code : "SlowDown", x->number);
	snprintf(text, sizeof(text),
		"HTTP/1.1 %d Fault\r\n%sx-amz-request-id: faultproxy-%zu\r\n"
		"Content-Type: application/xml\r\nContent-Length: %zu\r\n%s\r\n%s",
		(int) x->fault.arg, retry, x->number, strlen(xml),
		body_follows ? "Connection: close\r\n" : "",
		strcmp(x->method, "HEAD") == 0 ? "" : xml);
	log_status(x->number, (int) x->fault.arg);
	return send_all(x->client->fd, text, strlen(text)) && !body_follows;
}

/* Pass the request on; false: the connection is over. */
static bool
pass_request(struct exchange *x)
{
	struct body body = request_body(x->head);
	bool expects = header_is(x->head, "Expect", "100-continue");
	struct relay r = { .stop_at = NOWHERE, .flip_at = NOWHERE };

	if (x->fault.kind == FAULT_STATUS) {
		r.to = -1;
		if (!expects && relay_body(x->client, &body, &r) != RELAY_DONE)
			return false;
		return answer_status(x, expects);
	}
	if (x->backend->fd < 0) {
		x->backend->start = x->backend->end = 0;
		x->backend->fd = connect_backend();
	}
	if (x->backend->fd < 0)
		return false;
	header_remove(x->head, "Expect");
	if (!send_all(x->backend->fd, x->head, strlen(x->head)))
		return false;
	if (expects && !send_all(x->client->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
		return false;
	r.to = x->backend->fd;
	if (x->fault.kind == FAULT_RESET_REQUEST)
		r.stop_at = x->fault.arg;
	if (x->fault.kind == FAULT_FLIP_REQUEST)
		r.flip_at = x->fault.arg < 0 ? body.len + x->fault.arg : x->fault.arg;
	switch (relay_body(x->client, &body, &r)) {
	case RELAY_DONE:
		return true;
	case RELAY_STOPPED:
		reset_both(x);
		return false;
	default:
		return false;
	}
}

static bool
pass_answer_body(struct exchange *x, const struct body *body)
{
	struct relay r = { .to = x->client->fd, .stop_at = NOWHERE, .flip_at = NOWHERE };

	switch (x->fault.kind) {
	case FAULT_HANG_RESPONSE:
	case FAULT_RESET_RESPONSE:
	case FAULT_CUT:
		r.stop_at = x->fault.arg;
		break;
	case FAULT_FLIP:
		r.flip_at = x->fault.arg < 0 ? body->len + x->fault.arg : x->fault.arg;
		break;
	default:
		break;
	}
	switch (relay_body(x->backend, body, &r)) {
	case RELAY_DONE:
		return body->kind != BODY_TO_END;
	case RELAY_STOPPED:
		if (x->fault.kind == FAULT_HANG_RESPONSE)
			hang(x->client->fd);
		if (x->fault.kind != FAULT_CUT)
			reset_both(x);
		return false;
	default:
		return false;
	}
}

static bool
pass_answer(struct exchange *x)
{
	struct body body;
	int status;

	do {
		if (!conn_until(x->backend, "\r\n\r\n", x->head)
			|| sscanf(x->head, "HTTP/%*s %d", &status) != 1)
			return false;
	} while (status / 100 == 1);
	log_status(x->number, status);
	body = response_body(x->head, x->method, status);
	if (x->fault.kind == FAULT_DROP_ANSWER) {
		reset_both(x);
		return false;
	}
	if (!send_all(x->client->fd, x->head, strlen(x->head)))
		return false;
	if (!pass_answer_body(x, &body))
		return false;
	if (header_is(x->head, "Connection", "close"))
		close_fd(&x->backend->fd);
	return x->backend->fd >= 0;
}

/* One request and its answer; false: the connection is over. */
static bool
exchange_run(struct exchange *x)
{
	if (!conn_until(x->client, "\r\n\r\n", x->head)
		|| sscanf(x->head, "%15s %4095s HTTP/", x->method, x->target) != 2)
		return false;
	x->number = rules_apply(x->method, x->target, &x->fault);
	if (x->fault.kind == FAULT_DELAY)
		usleep((useconds_t) x->fault.arg * 1000);
	if (x->fault.kind == FAULT_HANG) {
		hang(x->client->fd);
		reset_both(x);
		return false;
	}
	if (!pass_request(x))
		return false;
	return x->fault.kind == FAULT_STATUS || pass_answer(x);
}

static void *
serve(void *arg)
{
	struct exchange *x = arg;

	while (exchange_run(x))
		;
	close_fd(&x->client->fd);
	close_fd(&x->backend->fd);
	free(x->client);
	free(x->backend);
	free(x);
	return NULL;
}

/* --- control ---------------------------------------------------------------- */

/* Take "name=value" words for a filter; false: another word. */
static bool
filter_word(struct filter *f, const char *word)
{
	if (strncmp(word, "method=", 7) == 0)
		snprintf(f->method, sizeof(f->method), "%s", word + 7);
	else if (strncmp(word, "key=", 4) == 0)
		snprintf(f->key, sizeof(f->key), "%s", word + 4);
	else
		return false;
	return true;
}

static bool
fault_words(struct fault *f, const char *word, char **save)
{
	for (unsigned i = 1; i < FAULT_COUNT; i++)
		if (strcmp(word, faults[i].name) == 0)
			f->kind = (enum fault_kind) i;
	if (f->kind == FAULT_NONE)
		return false;
	if (faults[f->kind].has_arg) {
		char *end, *text = strtok_r(NULL, " ", save);

		if (text == NULL)
			return false;
		f->arg = strtoll(text, &end, 10);
		if (*end != '\0')
			return false;
	}
	while ((word = strtok_r(NULL, " ", save)) != NULL)
		if (strncmp(word, "retry-after=", 12) == 0)
			f->retry_after = atoi(word + 12);
		else if (strncmp(word, "code=", 5) == 0)
			snprintf(f->code, sizeof(f->code), "%s", word + 5);
		else
			return false;
	return true;
}

static const char *
add_rule(char **save)
{
	struct rule r = { .count = -1, .probability = 1 };
	const char *word;

	while ((word = strtok_r(NULL, " ", save)) != NULL)
		if (strncmp(word, "skip=", 5) == 0)
			r.skip = atoi(word + 5);
		else if (strncmp(word, "count=", 6) == 0)
			r.count = atoi(word + 6);
		else if (strncmp(word, "probability=", 12) == 0)
			r.probability = atof(word + 12);
		else if (!filter_word(&r.filter, word))
			break;
	if (word == NULL || !fault_words(&r.fault, word, save))
		return "error not a rule";
	if (rule_count == RULES_MAX)
		return "error too many rules";
	rules[rule_count++] = r;
	return "ok";
}

static const char *
count_requests(bool only_faulted, char **save, char answer[32])
{
	struct filter f = { .method = "" };
	const char *word;
	int n = 0;

	while ((word = strtok_r(NULL, " ", save)) != NULL)
		if (!filter_word(&f, word))
			return "error not a filter";
	for (size_t i = 0; i < request_count; i++)
		n += filter_matches(&f, requests[i].method, requests[i].target)
			&& (!only_faulted || requests[i].fault != FAULT_NONE);
	snprintf(answer, 32, "%d", n);
	return answer;
}

static void
list_requests(FILE *out)
{
	for (size_t i = 0; i < request_count; i++)
		fprintf(out, "%s %s %d %s\n", requests[i].method, requests[i].target,
			requests[i].status, faults[requests[i].fault].name);
}

static void
forget_requests(void)
{
	for (size_t i = 0; i < request_count; i++) {
		free(requests[i].method);
		free(requests[i].target);
	}
	request_count = 0;
}

static const char *
command(char *line, FILE *out, char answer[32])
{
	char *save, *word = strtok_r(line, " ", &save);
	const char *arg;

	if (word == NULL)
		return "error empty";
	if (strcmp(word, "rule") == 0)
		return add_rule(&save);
	if (strcmp(word, "count") == 0 || strcmp(word, "faulted") == 0)
		return count_requests(word[0] == 'f', &save, answer);
	if (strcmp(word, "clear") == 0) {
		rule_count = 0;
		generation++;
	} else if (strcmp(word, "requests") == 0)
		list_requests(out);
	else if (strcmp(word, "forget") == 0)
		forget_requests();
	else if (strcmp(word, "seed") == 0 && (arg = strtok_r(NULL, " ", &save)) != NULL) {
		random_state[0] = 0x330e;
		random_state[1] = (unsigned short) strtoul(arg, NULL, 10);
		random_state[2] = (unsigned short) (strtoul(arg, NULL, 10) >> 16);
	} else
		return "error unknown command";
	return "ok";
}

static void *
control(void *arg)
{
	FILE *in = arg, *out = fdopen(dup(fileno(in)), "w");
	char line[2048], answer[32];

	if (out == NULL)
		die("memory");
	while (fgets(line, sizeof(line), in) != NULL) {
		const char *text;

		line[strcspn(line, "\r\n")] = '\0';
		pthread_mutex_lock(&lock);
		text = command(line, out, answer);
		pthread_mutex_unlock(&lock);
		fprintf(out, "%s\n", text);
		if (fflush(out) != 0)
			break;
	}
	fclose(out);
	fclose(in);
	return NULL;
}

/* --- main ------------------------------------------------------------------- */

static void
run_thread(void *(*start)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, start, arg) != 0)
		die("thread");
	pthread_detach(thread);
}

static void
accept_one(int listener, bool is_control)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
	struct exchange *x;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (is_control) {
		FILE *in = fdopen(fd, "r");

		if (in == NULL)
			die("memory");
		run_thread(control, in);
		return;
	}
	x = calloc(1, sizeof(*x));
	if (x == NULL || (x->client = calloc(1, sizeof(*x->client))) == NULL
		|| (x->backend = calloc(1, sizeof(*x->backend))) == NULL)
		die("memory");
	x->client->fd = fd;
	x->backend->fd = -1;
	run_thread(serve, x);
}

static void
write_ready(const char *path, int port, int control_port)
{
	char temp[4096];
	FILE *f;

	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "w");
	if (f == NULL || fprintf(f, "%d %d\n", port, control_port) < 0 || fclose(f) != 0
		|| rename(temp, path) != 0)
		die(path);
}

int
main(int argc, char **argv)
{
	int port, control_port, listener, control_listener;

	if (argc != 3) {
		fprintf(stderr, "usage: faultproxy BACKEND_PORT READY_FILE\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	backend_port = atoi(argv[1]);
	listener = listen_anywhere(&port);
	control_listener = listen_anywhere(&control_port);
	write_ready(argv[2], port, control_port);
	for (;;) {
		struct pollfd p[3] = { { .fd = 0, .events = POLLIN }, { .fd = listener, .events = POLLIN },
			{ .fd = control_listener, .events = POLLIN } };
		char byte;

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (p[0].revents != 0 && read(0, &byte, 1) <= 0)
			return 0;
		if (p[1].revents != 0)
			accept_one(listener, false);
		if (p[2].revents != 0)
			accept_one(control_listener, true);
	}
}
