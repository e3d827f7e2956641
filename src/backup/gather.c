#include "backup/gather.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

#define BATCH_BYTES (8 * 1024 * 1024)
#define BATCH_PIECES 4096
#define GAP_MAX (128 * 1024) /* read and dropped, where another request would take longer */
#define ATTEMPTS 3

/* A sink for one GET that picks the wanted pieces out of it. */
struct picker {
	struct sw_stage stage;
	struct sw_gather *gather;
	const struct sw_pool *pool;
	unsigned worker;
	struct sw_store *store;
	const struct sw_piece *batch; /* of one pack, without overlap */
	size_t count;
	bool wanted[BATCH_PIECES];
	size_t at;       /* the piece that comes next */
	size_t end;      /* behind the last of this GET */
	uint64_t offset; /* in the pack, of the next byte */
	size_t have;     /* bytes of the piece in `stored` */
	uint8_t *stored;
};

int
sw_piece_compare(const void *a, const void *b)
{
	const struct sw_piece *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	return x->page < y->page ? -1 : x->page > y->page;
}

static bool
same_frame(const struct sw_piece *a, const struct sw_piece *b)
{
	return a->pack == b->pack && a->offset == b->offset && a->stored_len == b->stored_len &&
		a->frame_pages == b->frame_pages && memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}

/* Pieces from i on that lie in the same frame as piece i. */
static size_t
group_len(const struct picker *p, size_t i)
{
	size_t n = 1;

	while (i + n < p->end && same_frame(&p->batch[i], &p->batch[i + n]))
		n++;
	return n;
}

/* --- one GET ----------------------------------------------------------------------- */

static sw_rc
deliver(struct picker *p, struct sw_error *err)
{
	const struct sw_piece *piece = &p->batch[p->at];
	size_t count = group_len(p, p->at);
	uint8_t sha256[SW_SHA256_LEN];
	sw_rc rc = SW_OK;

	if (sw_pool_stopping(p->pool))
		return sw_fail(err, SW_SYSTEM, "stopped");
	sw_sha256(p->stored, piece->stored_len, sha256);
	if (memchr(p->wanted + p->at, true, count) != NULL &&
		memcmp(sha256, piece->sha256, sizeof(sha256)) != 0)
		return sw_fail(err, SW_CORRUPT, "the SHA-256 of %u bytes at %" PRIu64 " is wrong",
			piece->stored_len, piece->offset);
	/* wanted pieces of the group only; usually all of them */
	for (size_t i = 0; rc == SW_OK && i < count;) {
		size_t n = 0;

		while (i + n < count && p->wanted[p->at + i + n])
			n++;
		if (n > 0)
			rc = p->gather->take(p->gather->ctx, p->worker, piece + i, n, p->stored, err);
		i += n > 0 ? n : 1;
	}
	if (rc != SW_OK)
		return rc;
	memset(p->wanted + p->at, 0, count);
	p->at += count;
	p->have = 0;
	return SW_OK;
}

static sw_rc
pick(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct picker *p = (struct picker *)stage;
	const uint8_t *from = data;

	while (len > 0 && p->at < p->end) {
		const struct sw_piece *piece = &p->batch[p->at];
		bool before = p->offset < piece->offset;
		uint64_t need = before ? piece->offset - p->offset : piece->stored_len - p->have;
		size_t n = need < len ? (size_t)need : len;
		sw_rc rc = SW_OK;

		if (!before) {
			memcpy(p->stored + p->have, from, n);
			p->have += n;
		}
		from += n;
		len -= n;
		p->offset += n;
		if (!before && p->have == piece->stored_len)
			rc = deliver(p, err);
		if (rc != SW_OK)
			return rc;
	}
	return SW_OK;
}

static sw_rc
nothing_to_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

/* Pieces at … end - 1 of the batch. */
static sw_rc
get_range(struct picker *p, struct sw_error *err)
{
	const struct sw_pack_info *pack = &p->gather->packs[p->batch[0].pack];
	const struct sw_piece *last = &p->batch[p->end - 1];
	char name[SW_STORE_NAME_MAX];
	sw_rc rc = SW_OK;

	sw_repository_name(p->gather->repo, name, "pack/%s", pack->name);
	for (int attempt = 1;; attempt++) {
		size_t before = p->at;

		p->offset = p->batch[p->at].offset;
		p->have = 0;
		p->stage = (struct sw_stage){.write = pick, .finish = nothing_to_finish};
		rc = sw_store_get(p->store, name, p->offset, last->offset + last->stored_len - p->offset,
			&p->stage, err);
		if (p->at != before)
			attempt = 1;
		if (rc != SW_CORRUPT || attempt == ATTEMPTS || sw_pool_stopping(p->pool))
			break;
		sw_log(SW_LOG_WARNING, "%s in %s: %s; reading it again", name, sw_store_url(p->store), err->text);
	}
	if (rc == SW_OK && p->at < p->end)
		rc = sw_fail(err, SW_BUG, "pieces are left over");
	if (rc == SW_NOT_FOUND)
		return sw_fail(err, SW_CORRUPT, "%s, which the backup needs, is not in %s", name,
			sw_store_url(p->store));
	return rc == SW_OK ? rc : sw_wrap(err, "%s in %s", name, sw_store_url(p->store));
}

/* --- batches ----------------------------------------------------------------------- */

static sw_rc
check_piece(const struct sw_gather *g, const struct sw_piece *piece, struct sw_error *err)
{
	const struct sw_pack_info *pack = &g->packs[piece->pack];

	if (piece->stored_len == 0 || piece->stored_len > SW_PIECE_STORED_MAX ||
		piece->offset > pack->size || piece->stored_len > pack->size - piece->offset)
		return sw_fail(err, SW_CORRUPT, "the backup names %u bytes at %" PRIu64 " of pack %s, which has "
			"%" PRIu64, piece->stored_len, piece->offset, pack->name, pack->size);
	return SW_OK;
}

/* Take the next pieces of one pack; *ret_count 0 at the end. */
static sw_rc
next_batch(struct sw_gather *g, const struct sw_piece **ret_first, size_t *ret_count,
	struct sw_error *err)
{
	const struct sw_piece *first;
	uint64_t left;
	size_t n = 0;
	sw_rc rc = SW_OK;

	pthread_mutex_lock(&g->mutex);
	first = g->pieces + g->next;
	left = g->count - g->next;
	while (rc == SW_OK && n < left && n < BATCH_PIECES) {
		const struct sw_piece *piece = &first[n];

		rc = check_piece(g, piece, err);
		if (n > 0 && (piece->pack != first->pack ||
			piece->offset + piece->stored_len - first->offset > BATCH_BYTES ||
			(!same_frame(piece - 1, piece) &&
			piece->offset < piece[-1].offset + piece[-1].stored_len)))
			break;
		n++;
	}
	g->next += n;
	pthread_mutex_unlock(&g->mutex);
	*ret_first = first;
	*ret_count = n;
	return rc;
}

static void
find_wanted(struct picker *p)
{
	struct sw_gather *g = p->gather;

	for (size_t i = 0; i < p->count; i++)
		p->wanted[i] = g->have == NULL || !g->have(g->ctx, p->worker, &p->batch[i]);
}

/* The next stretch of wanted pieces without a wide gap: at … end - 1. */
static bool
next_range(struct picker *p)
{
	size_t i = p->end;

	while (i < p->count && !p->wanted[i])
		i++;
	p->at = p->end = i;
	for (; i < p->count; i++) {
		const struct sw_piece *last;

		if (!p->wanted[i])
			continue;
		last = &p->batch[p->end > p->at ? p->end - 1 : p->at];
		if (p->batch[i].offset > last->offset + last->stored_len + GAP_MAX)
			break;
		p->end = i + 1;
	}
	return p->end > p->at;
}

static sw_rc
work(struct picker *p, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	while (rc == SW_OK && !sw_pool_stopping(p->pool)) {
		rc = next_batch(p->gather, &p->batch, &p->count, err);
		if (rc != SW_OK || p->count == 0)
			break;
		find_wanted(p);
		p->end = 0;
		while (rc == SW_OK && !sw_pool_stopping(p->pool) && next_range(p))
			rc = get_range(p, err);
	}
	return rc;
}

void
sw_gather_init(struct sw_gather *gather)
{
	gather->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	gather->next = 0;
}

sw_rc
sw_gather_work(struct sw_gather *gather, const struct sw_pool *pool, unsigned worker,
	struct sw_error *err)
{
	SW_AUTO_FREE struct picker *p = calloc(1, sizeof(*p));
	SW_AUTO_FREE uint8_t *stored = malloc(SW_PIECE_STORED_MAX);
	SW_AUTO_STORE *store = NULL;
	sw_rc rc;

	if (p == NULL || stored == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_store_clone(gather->repo->store, &store, err);
	if (rc != SW_OK)
		return rc;
	p->gather = gather;
	p->pool = pool;
	p->worker = worker;
	p->store = store;
	p->stored = stored;
	return work(p, err);
}
