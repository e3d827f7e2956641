#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "stream/stage.h"

/* Either side is woken for half a ring at once: going to sleep for each piece costs more CPU than the piece's way. */
static void
wake_at_half(struct sw_stage_thread *s)
{
	if (s->written - s->taken == SW_THREAD_SLOTS / 2)
		pthread_cond_signal(&s->changed);
}

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
		pthread_cond_signal(&s->changed);
	}
	wake_at_half(s);
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
	if (err.rc == SW_OK && s->ended && !s->cancelled && sw_stage_finish(s->stage.next, &err) != SW_OK)
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

/* Wait until the slot behind the last piece is free. */
static sw_rc
wait_for_slot(struct sw_stage_thread *s, struct sw_error *err)
{
	bool failed;

	pthread_mutex_lock(&s->mutex);
	while (s->written - s->taken == SW_THREAD_SLOTS && !s->cancelled)
		pthread_cond_wait(&s->changed, &s->mutex);
	failed = s->cancelled;
	pthread_mutex_unlock(&s->mutex);
	if (failed)
		*err = s->err;
	return failed ? err->rc : SW_OK;
}

static void
hand_over(struct sw_stage_thread *s)
{
	if (s->filled == 0)
		return;
	pthread_mutex_lock(&s->mutex);
	s->len[s->written % SW_THREAD_SLOTS] = s->filled;
	s->written++;
	s->filled = 0;
	wake_at_half(s);
	pthread_mutex_unlock(&s->mutex);
}

sw_rc
sw_stage_thread_room(struct sw_stage_thread *s, uint8_t **ret_room, size_t *ret_len,
	struct sw_error *err)
{
	sw_rc rc = s->running ? SW_OK : start(s, err);

	if (rc == SW_OK && s->filled == 0)
		rc = wait_for_slot(s, err);
	if (rc != SW_OK)
		return rc;
	*ret_room = s->slots + s->written % SW_THREAD_SLOTS * SW_THREAD_SLOT_SIZE + s->filled;
	*ret_len = SW_THREAD_SLOT_SIZE - s->filled;
	return SW_OK;
}

/* A slot is handed over when it is full: a wake-up for each of TLS's 16 KiB would cost more than it brings. */
void
sw_stage_thread_give(struct sw_stage_thread *s, size_t len)
{
	s->filled += len;
	if (s->filled == SW_THREAD_SLOT_SIZE)
		hand_over(s);
}

static sw_rc
thread_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_thread *s = (struct sw_stage_thread *)stage;
	const uint8_t *p = data;

	while (len > 0) {
		uint8_t *room;
		size_t n;
		sw_rc rc = sw_stage_thread_room(s, &room, &n, err);

		if (rc != SW_OK)
			return rc;
		n = len < n ? len : n;
		memcpy(room, p, n);
		sw_stage_thread_give(s, n);
		p += n;
		len -= n;
	}
	return SW_OK;
}

static sw_rc
thread_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_thread *s = (struct sw_stage_thread *)stage;

	if (!s->running)
		return sw_stage_finish(stage->next, err);
	hand_over(s);
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
