/*
 * distance - a far-away service: everything that passes takes time, and nothing else happens to it.
 *
 *   distance BACKEND_PORT MILLISECONDS READY_FILE
 *
 * Listens on a free port of 127.0.0.1, writes it to READY_FILE, and passes what comes to 127.0.0.1:BACKEND_PORT and back,
 * byte for byte, so that TLS is the service's own.  Each direction takes half of the round trip, and what a new connection
 * sends first waits for another whole one, as TCP's handshake would make it.  Bandwidth is not limited.
 * Ends when its standard input does.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_SIZE (256 * 1024)
#define LINES_MAX 256
#define WAITING_MAX 64 /* chunks: what does not fit stays with its sender */

/* What was read at once; len 0: the sender ended. */
struct chunk {
	struct chunk *next;
	int64_t due_us;
	size_t len, sent;
	char data[CHUNK_SIZE];
};

/* One direction of a connection. */
struct line {
	int from, to;
	int64_t not_before_us;
	struct chunk *first, **last;
	unsigned waiting;
	bool ended, done; /* nothing more comes; all of it is passed on */
};

/* lines[2 * i] and lines[2 * i + 1] are the two directions of one connection */
static struct line lines[LINES_MAX];
static unsigned line_count;
static int64_t half_us;
static struct chunk *spare; /* memory that was used before costs no page faults */

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void
prepare(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void
accept_one(int listener, int port)
{
	struct sockaddr_in addr = loopback(port);
	int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2] = {near, far};

	if (near < 0 || far < 0 || line_count + 2 > LINES_MAX ||
		connect(far, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		err(1, "a connection");
	for (int i = 0; i < 2; i++) {
		struct line *line = &lines[line_count++];

		prepare(ends[i]);
		*line = (struct line){.from = ends[i], .to = ends[1 - i]};
		line->not_before_us = i == 0 ? now_us() + 2 * half_us : 0;
		line->last = &line->first;
	}
}

/* In place of what a broken connection would bring, its end. */
static void
read_some(struct line *line)
{
	struct chunk *chunk = spare != NULL ? spare : malloc(sizeof(*chunk));
	int64_t now = now_us();
	ssize_t n;

	if (chunk == NULL)
		err(1, "memory");
	if (chunk != spare)
		chunk->next = NULL;
	spare = chunk;
	n = recv(line->from, chunk->data, sizeof(chunk->data), 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	spare = chunk->next;
	chunk->next = NULL;
	chunk->len = n > 0 ? (size_t)n : 0;
	chunk->sent = 0;
	chunk->due_us = (now > line->not_before_us ? now : line->not_before_us) + half_us;
	*line->last = chunk;
	line->last = &chunk->next;
	line->waiting++;
	line->ended = n <= 0;
}

static void
drop_first(struct line *line)
{
	struct chunk *chunk = line->first;

	line->first = chunk->next;
	if (line->first == NULL)
		line->last = &line->first;
	line->waiting--;
	chunk->next = spare;
	spare = chunk;
}

static void
end_line(struct line *line)
{
	shutdown(line->to, SHUT_WR);
	line->ended = line->done = true;
	while (line->first != NULL)
		drop_first(line);
}

static void
write_some(struct line *line)
{
	int64_t now = now_us();

	while (line->first != NULL && line->first->due_us <= now) {
		struct chunk *chunk = line->first;
		ssize_t n = chunk->len == 0 ? 0 :
			send(line->to, chunk->data + chunk->sent, chunk->len - chunk->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) {
			end_line(line);
			return;
		}
		chunk->sent += (size_t)n;
		if (chunk->sent == chunk->len)
			drop_first(line);
	}
}

static void
forget_closed(void)
{
	for (unsigned i = 0; i < line_count;) {
		struct line *pair = &lines[i];

		if (!pair[0].done || !pair[1].done) {
			i += 2;
			continue;
		}
		for (int way = 0; way < 2; way++)
			close(pair[way].from);
		line_count -= 2;
		for (int way = 0; way < 2 && i < line_count; way++) {
			pair[way] = lines[line_count + (unsigned)way];
			if (pair[way].first == NULL)
				pair[way].last = &pair[way].first;
		}
	}
}

/* Nanoseconds until the next chunk is due; waits only for room where one is overdue. */
static struct timespec
until_due(int64_t now)
{
	int64_t least = 1000000;

	for (unsigned i = 0; i < line_count; i++)
		if (lines[i].first != NULL && lines[i].first->due_us > now && lines[i].first->due_us - now < least)
			least = lines[i].first->due_us - now;
	return (struct timespec){.tv_sec = least / 1000000, .tv_nsec = least % 1000000 * 1000};
}

static void
relay(int listener, int port)
{
	struct pollfd fds[LINES_MAX + 2] = {{.fd = 0, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
	int64_t now = now_us();
	struct timespec pause;
	unsigned count = line_count;

	/* each socket stands once: what is read from it, and what the other direction writes to it */
	for (unsigned i = 0; i < count; i++) {
		const struct line *out = &lines[i ^ 1];
		bool reads = !lines[i].ended && lines[i].waiting < WAITING_MAX;
		bool writes = out->first != NULL && out->first->due_us <= now;

		fds[i + 2] = (struct pollfd){.fd = reads || writes ? lines[i].from : -1};
		fds[i + 2].events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
	}
	pause = until_due(now);
	if (ppoll(fds, count + 2, &pause, NULL) < 0 && errno != EINTR)
		err(1, "poll");
	if (fds[0].revents != 0)
		exit(0);
	for (unsigned i = 0; i < count; i++)
		if ((fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !lines[i].ended && lines[i].waiting < WAITING_MAX)
			read_some(&lines[i]);
	for (unsigned i = 0; i < count; i++)
		write_some(&lines[i]);
	if ((fds[1].revents & POLLIN) != 0)
		accept_one(listener, port);
	forget_closed();
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *ready;

	if (argc != 4)
		errx(2, "usage: distance BACKEND_PORT MILLISECONDS READY_FILE");
	half_us = atoll(argv[2]) * 1000 / 2;
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(listener, 128) != 0 ||
		getsockname(listener, (struct sockaddr *)&addr, &len) != 0)
		err(1, "listening");
	ready = fopen(argv[3], "we");
	if (ready == NULL || fprintf(ready, "%d\n", ntohs(addr.sin_port)) < 0 || fclose(ready) != 0)
		err(1, "%s", argv[3]);
	for (;;)
		relay(listener, atoi(argv[1]));
}
