#include "postgres.h"

#include <ctype.h>
#include <pthread.h>

#include "base/clock.h"
#include "messages.h"

#define QUEUE_MAX 128 /* lines; more than that in a fifth of a second are counted */
#define SHAPES 32     /* warnings that are remembered */
#define QUIET_MS 60000
#define WAL_NAME_LEN 24

struct line {
	enum sw_log_level level;
	char *text;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* under the mutex */
static struct line queue[QUEUE_MAX];
static unsigned queued, lost;

/* A warning without its numbers, when it was written last, and how often it came since. */
struct shape {
	uint64_t hash;
	int64_t told_ms;
	unsigned swallowed;
};
static struct shape shapes[SHAPES];

/* --- any thread ------------------------------------------------------------------------ */

static void
put_in_queue(enum sw_log_level level, const char *text)
{
	char *copy = strdup(text);

	pthread_mutex_lock(&mutex);
	if (copy != NULL && queued < QUEUE_MAX) {
		queue[queued++] = (struct line){level, copy};
		copy = NULL;
	} else {
		lost++;
	}
	pthread_mutex_unlock(&mutex);
	free(copy);
}

void
sw_messages_listen(enum sw_log_level level)
{
	sw_log_init(level, put_in_queue);
}

/* --- the archiver's thread ----------------------------------------------------------------- */

static uint64_t
hash_more(uint64_t hash, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211); /* FNV-1a */
	return hash;
}

static bool
is_wal_name(const char *word, size_t len)
{
	return len == WAL_NAME_LEN && strspn(word, "0123456789ABCDEF") >= len;
}

/* Request numbers, delays and the like differ each time; which file it is about makes it another message. */
static uint64_t
shape_of(const char *text)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	while (*text != '\0') {
		bool number = false;
		size_t len = 0;

		while (isalnum((unsigned char)text[len])) {
			number = number || isdigit((unsigned char)text[len]);
			len++;
		}
		if (!number || is_wal_name(text, len))
			hash = hash_more(hash, text, len);
		text += len;
		if (len == 0)
			hash = hash_more(hash, text++, 1);
	}
	return hash;
}

/* Where the message is remembered: its own place, or that of the one that was not heard for the longest time. */
static struct shape *
find_shape(uint64_t hash)
{
	struct shape *oldest = &shapes[0];

	for (unsigned i = 0; i < SHAPES; i++) {
		if (shapes[i].hash == hash)
			return &shapes[i];
		if (shapes[i].told_ms < oldest->told_ms)
			oldest = &shapes[i];
	}
	*oldest = (struct shape){.hash = hash};
	return oldest;
}

/* True: it was just said.  Else ret_more: how often it was swallowed since. */
static bool
was_told(const char *text, unsigned *ret_more)
{
	struct shape *shape = find_shape(shape_of(text));
	int64_t now = sw_clock_monotonic_ms();

	if (shape->told_ms != 0 && now < shape->told_ms + QUIET_MS) {
		shape->swallowed++;
		return true;
	}
	*ret_more = shape->swallowed;
	shape->told_ms = now;
	shape->swallowed = 0;
	return false;
}

static void
tell(int level, int code, const char *text, const char *hint)
{
	const char *colon = hint[0] != '\0' ? "; " : "";
	unsigned more;

	if (was_told(text, &more))
		ereport(DEBUG1, errcode(code), errmsg_internal("seawall_archive: %s%s%s", text, colon, hint));
	else if (more > 0)
		ereport(level, errcode(code),
			errmsg_internal("seawall_archive: %s%s%s (and %u times more in the meantime)", text, colon, hint, more));
	else
		ereport(level, errcode(code), errmsg_internal("seawall_archive: %s%s%s", text, colon, hint));
}

static void
write_line(const struct line *line)
{
	if (line->level == SW_LOG_ERROR || line->level == SW_LOG_WARNING)
		tell(WARNING, ERRCODE_WARNING, line->text, "");
	else
		ereport(LOG, errmsg_internal("seawall_archive: %s", line->text));
}

/* False: the queue is empty. */
static bool
take_line(struct line *ret_line, char *buf, size_t size)
{
	bool some;

	pthread_mutex_lock(&mutex);
	some = queued > 0;
	if (some) {
		ret_line->level = queue[0].level;
		strlcpy(buf, queue[0].text, size);
		ret_line->text = buf;
		free(queue[0].text); /* before anything is written: that may not come back */
		queued--;
		memmove(&queue[0], &queue[1], queued * sizeof(queue[0]));
	}
	pthread_mutex_unlock(&mutex);
	return some;
}

void
sw_messages_write(void)
{
	char text[2048];
	struct line line;
	unsigned missing;

	while (take_line(&line, text, sizeof(text)))
		write_line(&line);
	pthread_mutex_lock(&mutex);
	missing = lost;
	lost = 0;
	pthread_mutex_unlock(&mutex);
	if (missing > 0)
		ereport(LOG, errmsg_internal("seawall_archive: %u more lines were not written", missing));
}

void
sw_messages_report(const struct sw_error *err)
{
	static const int codes[] = {
		[SW_NOT_FOUND] = ERRCODE_UNDEFINED_OBJECT,
		[SW_CONFLICT] = ERRCODE_DUPLICATE_FILE,
		[SW_CORRUPT] = ERRCODE_DATA_CORRUPTED,
		[SW_TRANSIENT] = ERRCODE_IO_ERROR,
		[SW_DENIED] = ERRCODE_INSUFFICIENT_PRIVILEGE,
		[SW_CONFIG] = ERRCODE_CONFIG_FILE_ERROR,
		[SW_SYSTEM] = ERRCODE_SYSTEM_ERROR,
		[SW_BUG] = ERRCODE_INTERNAL_ERROR,
	};

	tell(WARNING, codes[err->rc], err->text, err->hint);
}

void
sw_messages_give_up(const char *path, const char *reason)
{
	char text[1024];

	snprintf(text, sizeof(text), "archiving %s was given up, because %s; it is not lost", path, reason);
	tell(LOG, ERRCODE_SUCCESSFUL_COMPLETION, text, "");
}
