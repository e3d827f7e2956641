#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "stream/stage.h"

/* Wait for a piece; false at the end. */
static bool
next_piece(struct sw_stage_thread *s)
{
	bool have;

	pthread_mutex_lock(&s->mutex);
	while (s->taken == s->written && !s->ended && !s->cancelled)
		pthread_cond_wait(&s->changed, &s->mutex);
	have = s->taken < s->written && !s->cancelled;
	pthread_mutex_unlock(&s->mutex);
	return have;
}

static void
piece_done(struct sw_stage_thread *s, const struct sw_error *err)
{
	pthread_mutex_lock(&s->mutex);
	s->taken++;
	if (err->rc != SW_OK) {
		s->err = *err;
		s->cancelled = true;
	}
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
}

static void *
thread_main(void *arg)
{
	struct sw_stage_thread *s = arg;
	struct sw_error err = SW_ERROR_INIT;

	while (err.rc == SW_OK && next_piece(s)) {
		size_t slot = s->taken % SW_THREAD_SLOTS;

		(void)sw_stage_write(s->stage.next, s->slots + slot * SW_THREAD_SLOT_SIZE, s->len[slot], &err);
		piece_done(s, &err);
	}
	/* ended without failure: nobody else touches s now */
	if (s->ended && !s->cancelled && sw_stage_finish(s->stage.next, &err) != SW_OK)
		s->err = err;
	return NULL;
}

static sw_rc
start(struct sw_stage_thread *s, struct sw_error *err)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&s->thread, NULL, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->running = e == 0;
	return e == 0 ? SW_OK : sw_fail(err, SW_SYSTEM, "starting a thread: error %d", e);
}

static void
stop(struct sw_stage_thread *s, bool cancel)
{
	pthread_mutex_lock(&s->mutex);
	s->ended = true;
	s->cancelled |= cancel;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	s->running = false;
}

static sw_rc
write_piece(struct sw_stage_thread *s, const void *data, size_t len, struct sw_error *err)
{
	size_t slot = s->written % SW_THREAD_SLOTS;
	bool failed;

	pthread_mutex_lock(&s->mutex);
	while (s->written - s->taken == SW_THREAD_SLOTS && !s->cancelled)
		pthread_cond_wait(&s->changed, &s->mutex);
	failed = s->cancelled;
	pthread_mutex_unlock(&s->mutex);
	if (failed) {
		*err = s->err;
		return err->rc;
	}
	memcpy(s->slots + slot * SW_THREAD_SLOT_SIZE, data, len);
	pthread_mutex_lock(&s->mutex);
	s->len[slot] = len;
	s->written++;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	return SW_OK;
}

static sw_rc
thread_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_thread *s = (struct sw_stage_thread *)stage;
	const uint8_t *p = data;
	sw_rc rc = s->running ? SW_OK : start(s, err);

	while (rc == SW_OK && len > 0) {
		size_t n = len < SW_THREAD_SLOT_SIZE ? len : SW_THREAD_SLOT_SIZE;

		rc = write_piece(s, p, n, err);
		p += n;
		len -= n;
	}
	return rc;
}

static sw_rc
thread_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_thread *s = (struct sw_stage_thread *)stage;

	if (!s->running)
		return sw_stage_finish(stage->next, err);
	stop(s, false);
	if (s->err.rc != SW_OK)
		*err = s->err;
	return s->err.rc;
}

sw_rc
sw_stage_thread_init(struct sw_stage_thread *s, struct sw_stage *next, struct sw_error *err)
{
	*s = (struct sw_stage_thread){
		.stage = {.write = thread_write, .finish = thread_finish, .next = next},
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.slots = malloc(SW_THREAD_SLOTS * SW_THREAD_SLOT_SIZE),
	};
	return s->slots != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

void
sw_stage_thread_release(struct sw_stage_thread *s)
{
	if (s->running)
		stop(s, true);
	free(s->slots);
	s->slots = NULL;
}
