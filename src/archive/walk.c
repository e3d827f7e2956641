#include "archive/walk.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/object.h"
#include "base/pool.h"
#include "wal/decode.h"
#include "wal/meaning.h"
#include "wal/reader.h"

#define PIECE_SIZE (128 * 1024)
#define PIECES 128

/* The fetching thread writes, the calling one takes. */
struct queue {
	struct sw_stage stage; /* the end of an object's reader */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint8_t *pieces;
	size_t len[PIECES];
	uint64_t written, taken;
	uint64_t room; /* bytes that the segment may still have */
	uint64_t verified; /* segments, to their ends */
	bool ended, cancelled;
	struct sw_error err; /* of the fetching thread, once it has ended */
};

struct walk {
	struct sw_repository repo; /* with a store of the fetching thread's own */
	const struct sw_walk_span *spans;
	size_t span_count;
	sw_walk_fn each;
	void *ctx;
	bool enough;
	struct queue queue;
	struct sw_wal_reader reader;
	size_t span;        /* of the segment that is read */
	uint64_t segment;
	uint64_t segments;  /* that have begun */
	uint64_t in_segment; /* bytes of it that were read */
};

/* --- the queue ----------------------------------------------------------------------- */

static sw_rc
queue_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct queue *q = (struct queue *)stage;
	const uint8_t *p = data;

	if (len > q->room)
		return sw_fail(err, SW_CORRUPT, "has more bytes than a segment");
	q->room -= len;
	while (len > 0) {
		size_t n = len < PIECE_SIZE ? len : PIECE_SIZE, slot;
		bool cancelled;

		pthread_mutex_lock(&q->mutex);
		while (q->written - q->taken == PIECES && !q->cancelled)
			pthread_cond_wait(&q->changed, &q->mutex);
		cancelled = q->cancelled;
		slot = q->written % PIECES;
		pthread_mutex_unlock(&q->mutex);
		if (cancelled)
			return sw_fail(err, SW_SYSTEM, "no longer needed");
		memcpy(q->pieces + slot * PIECE_SIZE, p, n);
		pthread_mutex_lock(&q->mutex);
		q->len[slot] = n;
		q->written++;
		pthread_cond_signal(&q->changed);
		pthread_mutex_unlock(&q->mutex);
		p += n;
		len -= n;
	}
	return SW_OK;
}

static sw_rc
queue_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

/* The next piece; NULL: there is none any more. */
static const uint8_t *
queue_piece(struct queue *q, size_t *ret_len)
{
	const uint8_t *piece = NULL;

	pthread_mutex_lock(&q->mutex);
	while (q->taken == q->written && !q->ended)
		pthread_cond_wait(&q->changed, &q->mutex);
	if (q->taken < q->written) {
		piece = q->pieces + q->taken % PIECES * PIECE_SIZE;
		*ret_len = q->len[q->taken % PIECES];
	}
	pthread_mutex_unlock(&q->mutex);
	return piece;
}

static void
queue_took(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->taken++;
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

/* --- fetching ------------------------------------------------------------------------ */

static sw_rc
fetch_segment(struct walk *w, uint32_t timeline, uint64_t segment, struct sw_error *err)
{
	__attribute__((cleanup(sw_object_reader_release))) struct sw_object_reader reader = {0};
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};
	char object[SW_STORE_NAME_MAX], file[SW_WAL_NAME_MAX];
	sw_rc rc;

	w->queue.room = w->repo.reg.segment_size;
	sw_wal_name_format(&name, w->repo.reg.segment_size, file);
	rc = sw_object_reader_init(&reader, file, &w->queue.stage, err);
	if (rc == SW_OK)
		rc = sw_store_get(w->repo.store, sw_repository_wal_name(&w->repo, &name, object), 0, 0, &reader.stage, err);
	if (rc == SW_OK && reader.summary.system_identifier != w->repo.reg.system_identifier)
		rc = sw_fail(err, SW_CORRUPT, "is of another cluster");
	if (rc == SW_OK && w->queue.room > 0)
		rc = sw_fail(err, SW_CORRUPT, "has %" PRIu64 " bytes where a segment has %" PRIu32, reader.summary.size,
			w->repo.reg.segment_size);
	if (rc == SW_NOT_FOUND)
		return sw_fail(err, SW_NOT_FOUND, "%s is not in %s", file, sw_store_url(w->repo.store));
	return rc == SW_OK ? rc : sw_wrap(err, "%s in %s", object, sw_store_url(w->repo.store));
}

static void *
fetch_all(void *arg)
{
	struct walk *w = arg;
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < w->span_count; i++)
		for (uint64_t s = w->spans[i].first; rc == SW_OK && s <= w->spans[i].last; s++) {
			rc = fetch_segment(w, w->spans[i].timeline, s, &err);
			w->queue.verified += rc == SW_OK;
		}
	pthread_mutex_lock(&w->queue.mutex);
	w->queue.err = err;
	w->queue.err.rc = rc;
	w->queue.ended = true;
	pthread_cond_signal(&w->queue.changed);
	pthread_mutex_unlock(&w->queue.mutex);
	return NULL;
}

static void
end_fetching(struct walk *w, pthread_t thread)
{
	pthread_mutex_lock(&w->queue.mutex);
	w->queue.cancelled = true;
	pthread_cond_signal(&w->queue.changed);
	pthread_mutex_unlock(&w->queue.mutex);
	pthread_join(thread, NULL);
}

/* --- reading ------------------------------------------------------------------------- */

static sw_rc
take_record(void *ctx, const struct sw_wal_record *record, struct sw_error *err)
{
	struct walk *w = ctx;
	struct sw_wal_event event = {.kind = SW_WAL_NOTHING};
	struct sw_wal_parts parts;
	sw_rc rc;

	/* what no server could replay says nothing either */
	if (sw_wal_event_says(record->rmgr) && sw_wal_decode(record, &parts))
		(void)sw_wal_event_read(record, &parts, &event);
	rc = w->each(w->ctx, record, &event, err);
	w->enough = rc == SW_CONFLICT;
	return rc;
}

/* The segment that the next byte is of; pages may not be of a timeline behind the file's. */
static void
begin_segment(struct walk *w)
{
	if (w->segments == 0 || w->segment == w->spans[w->span].last) {
		w->span = w->segments == 0 ? 0 : w->span + 1;
		while (w->spans[w->span].last < w->spans[w->span].first)
			w->span++;
		w->segment = w->spans[w->span].first;
	} else {
		w->segment++;
	}
	w->segments++;
	w->in_segment = 0;
	w->reader.params.timeline = w->spans[w->span].timeline;
}

/* Nothing behind this will be read. */
static bool
at_end(const struct walk *w)
{
	return w->reader.state == SW_WAL_AFTER_END || w->reader.state == SW_WAL_NOT_KNOWN;
}

/* A piece never crosses the border of two segments, each being the end of a stream. */
static sw_rc
read_pieces(struct walk *w, struct sw_error *err)
{
	uint64_t size = w->repo.reg.segment_size;
	const uint8_t *piece;
	size_t len;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && (piece = queue_piece(&w->queue, &len)) != NULL) {
		if (w->segments == 0 || w->in_segment == size) {
			/* what ended early may turn out to be broken in the rest of its segment, not behind */
			if (at_end(w))
				return SW_OK;
			begin_segment(w);
		}
		rc = sw_stage_write(&w->reader.stage, piece, len, err);
		w->in_segment += len;
		queue_took(&w->queue);
	}
	return rc;
}

static void
tell(const struct walk *w, sw_rc rc, const struct sw_error *err, struct sw_walk_result *ret_result)
{
	const struct sw_wal_result *result = &w->reader.result;

	*ret_result = (struct sw_walk_result){.segments = w->segments, .valid_to = result->valid_to};
	if (w->enough)
		return;
	ret_result->unknown = rc == SW_OK && result->verdict == SW_WAL_UNKNOWN;
	snprintf(ret_result->reason, sizeof(ret_result->reason), "%.255s", rc != SW_OK ? err->text : result->reason);
}

static sw_rc
run(struct walk *w, struct sw_error *err)
{
	pthread_t thread;
	sw_rc rc = sw_pool_thread(&thread, fetch_all, w, err);

	if (rc != SW_OK)
		return rc;
	rc = read_pieces(w, err);
	end_fetching(w, thread);
	if (w->enough)
		return SW_OK;
	/* what failed behind the end of the WAL does not matter */
	if (rc == SW_OK && w->queue.err.rc != SW_OK && (!at_end(w) || w->queue.verified < w->segments)) {
		*err = w->queue.err;
		return err->rc;
	}
	return rc == SW_OK ? sw_stage_finish(&w->reader.stage, err) : rc;
}

static sw_rc
prepare(struct walk *w, const struct sw_repository *repo, uint64_t first, struct sw_store **ret_store,
	struct sw_error *err)
{
	struct sw_wal_reader_params params = {
		.start = first * repo->reg.segment_size,
		.segment_size = repo->reg.segment_size,
		.system_identifier = repo->reg.system_identifier,
		.each = take_record,
		.ctx = w,
		.record_max = SW_WAL_MEANING_RECORD,
	};
	sw_rc rc = sw_wal_reader_init(&w->reader, &params, NULL, err);

	if (rc == SW_OK)
		rc = sw_store_clone(repo->store, ret_store, err);
	w->repo = *repo;
	w->repo.store = *ret_store;
	w->queue.pieces = malloc((size_t)PIECES * PIECE_SIZE);
	if (rc == SW_OK && w->queue.pieces == NULL)
		rc = sw_fail(err, SW_SYSTEM, "out of memory");
	return rc;
}

sw_rc
sw_walk(struct sw_repository *repo, const struct sw_walk_span *spans, size_t span_count, sw_walk_fn each, void *ctx,
	struct sw_walk_result *ret_result, struct sw_error *err)
{
	struct walk w = {
		.spans = spans, .span_count = span_count, .each = each, .ctx = ctx,
		.queue = {
			.stage = {.write = queue_write, .finish = queue_finish},
			.mutex = PTHREAD_MUTEX_INITIALIZER,
			.changed = PTHREAD_COND_INITIALIZER,
		},
	};
	SW_AUTO_STORE *store = NULL;
	size_t i = 0;
	sw_rc rc;

	*ret_result = (struct sw_walk_result){0};
	while (i < span_count && spans[i].last < spans[i].first)
		i++;
	if (i == span_count)
		return SW_OK;
	rc = prepare(&w, repo, spans[i].first, &store, err);
	if (rc == SW_OK)
		rc = run(&w, err);
	tell(&w, rc, err, ret_result);
	sw_wal_reader_release(&w.reader);
	free(w.queue.pieces);
	return rc;
}
