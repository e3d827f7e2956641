#include "stream/lanes.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/pool.h"


struct sw_lanes {
	struct sw_lanes_params params;
	pthread_mutex_t mutex;
	pthread_cond_t room, work; /* for the caller, for lanes */
	pthread_t threads[SW_LANES_MAX];
	unsigned running;
	void *own; /* without threads: the caller's */
	struct sw_piece pieces[SW_PIECES_MAX];
	unsigned piece_count;
	uint64_t given, taken, passed; /* pieces so far; passed: to the next stage */
	bool ended, cancelled;
	struct sw_error err;
};

static struct sw_piece *
piece_of(struct sw_lanes *l, uint64_t number)
{
	return &l->pieces[number % l->piece_count];
}

/* --- in a lane ------------------------------------------------------------------- */

/* The first failure is the one that is told. */
static void
fail(struct sw_lanes *l, const struct sw_error *err)
{
	pthread_mutex_lock(&l->mutex);
	if (!l->cancelled)
		l->err = *err;
	l->cancelled = true;
	pthread_cond_signal(&l->room);
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->mutex);
}

/* False at the end. */
static bool
take(struct sw_lanes *l, uint64_t *ret_number)
{
	bool have;

	pthread_mutex_lock(&l->mutex);
	while (l->taken == l->given && !l->ended && !l->cancelled)
		pthread_cond_wait(&l->work, &l->mutex);
	have = l->taken < l->given && !l->cancelled;
	if (have)
		*ret_number = l->taken++;
	pthread_mutex_unlock(&l->mutex);
	return have;
}

/* Wait until all pieces before have gone on.  False: one of them never will. */
static bool
wait_for_turn(struct sw_lanes *l, uint64_t number)
{
	bool turn;

	pthread_mutex_lock(&l->mutex);
	while (l->passed != number && !l->cancelled)
		pthread_cond_wait(&l->work, &l->mutex);
	turn = !l->cancelled;
	pthread_mutex_unlock(&l->mutex);
	return turn;
}

static void
pass(struct sw_lanes *l)
{
	pthread_mutex_lock(&l->mutex);
	l->passed++;
	pthread_cond_signal(&l->room);
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->mutex);
}

static void *
lane_main(void *arg)
{
	struct sw_lanes *l = arg;
	struct sw_error err = SW_ERROR_INIT;
	void *own = l->params.open(l->params.ctx);
	uint64_t number;

	if (own == NULL)
		sw_fail(&err, SW_SYSTEM, "out of memory");
	while (err.rc == SW_OK && take(l, &number)) {
		const uint8_t *out;
		size_t len;

		if (l->params.work(own, piece_of(l, number), &out, &len, &err) == SW_OK &&
			wait_for_turn(l, number) && sw_stage_write(l->params.next, out, len, &err) == SW_OK)
			pass(l);
	}
	if (err.rc != SW_OK)
		fail(l, &err);
	if (own != NULL)
		l->params.close(own);
	return NULL;
}

/* --- the caller's ------------------------------------------------------------------ */

static sw_rc
start(struct sw_lanes *l, struct sw_error *err)
{
	for (; l->running < l->params.threads; l->running++)
		if (sw_pool_thread(&l->threads[l->running], lane_main, l, err) != SW_OK)
			return err->rc;
	return SW_OK;
}

static void
stop(struct sw_lanes *l, bool cancel)
{
	pthread_mutex_lock(&l->mutex);
	l->ended = true;
	l->cancelled |= cancel;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->mutex);
	for (; l->running > 0; l->running--)
		pthread_join(l->threads[l->running - 1], NULL);
}

sw_rc
sw_lanes_new(const struct sw_lanes_params *params, struct sw_lanes **ret_lanes, struct sw_error *err)
{
	struct sw_lanes *l = malloc(sizeof(*l));
	sw_rc rc = SW_OK;

	if (l == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	*l = (struct sw_lanes){
		.params = *params,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER,
		.work = PTHREAD_COND_INITIALIZER,
		.piece_count = params->threads == 0 ? 1 : params->pieces,
	};
	if (params->threads == 0 && (l->own = params->open(params->ctx)) == NULL)
		rc = sw_fail(err, SW_SYSTEM, "out of memory");
	if (rc == SW_OK)
		rc = start(l, err);
	if (rc == SW_OK)
		*ret_lanes = l;
	else
		sw_lanes_free(l);
	return rc;
}

static sw_rc
wait_for_room(struct sw_lanes *l, struct sw_error *err)
{
	bool failed;

	pthread_mutex_lock(&l->mutex);
	while (l->given - l->passed == l->piece_count && !l->cancelled)
		pthread_cond_wait(&l->room, &l->mutex);
	failed = l->cancelled;
	pthread_mutex_unlock(&l->mutex);
	if (failed)
		*err = l->err;
	return failed ? err->rc : SW_OK;
}

sw_rc
sw_lanes_room(struct sw_lanes *l, size_t room, struct sw_piece **ret_piece, struct sw_error *err)
{
	struct sw_piece *piece = piece_of(l, l->given);
	sw_rc rc = wait_for_room(l, err);

	if (rc != SW_OK)
		return rc;
	if (piece->room < room) {
		free(piece->data);
		piece->data = malloc(room);
		piece->room = piece->data == NULL ? 0 : room;
	}
	if (piece->data == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	piece->len = 0;
	*ret_piece = piece;
	return SW_OK;
}

/* Without threads. */
static sw_rc
work_here(struct sw_lanes *l, struct sw_error *err)
{
	const uint8_t *out;
	size_t len;
	sw_rc rc = l->params.work(l->own, piece_of(l, l->given), &out, &len, err);

	if (rc == SW_OK)
		rc = sw_stage_write(l->params.next, out, len, err);
	if (rc == SW_OK)
		l->passed = ++l->given;
	return rc;
}

sw_rc
sw_lanes_give(struct sw_lanes *l, struct sw_error *err)
{
	bool failed;

	if (l->params.threads == 0)
		return work_here(l, err);
	pthread_mutex_lock(&l->mutex);
	l->given++;
	failed = l->cancelled;
	pthread_cond_broadcast(&l->work); /* a lane that waits for its turn waits there too */
	pthread_mutex_unlock(&l->mutex);
	if (failed)
		*err = l->err;
	return failed ? err->rc : SW_OK;
}

sw_rc
sw_lanes_drain(struct sw_lanes *l, struct sw_error *err)
{
	stop(l, false);
	if (l->err.rc != SW_OK)
		*err = l->err;
	return l->err.rc;
}

void
sw_lanes_free(struct sw_lanes *l)
{
	if (l == NULL)
		return;
	stop(l, true);
	if (l->own != NULL)
		l->params.close(l->own);
	for (unsigned i = 0; i < SW_PIECES_MAX; i++)
		free(l->pieces[i].data);
	free(l);
}
