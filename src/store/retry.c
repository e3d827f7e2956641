#include "store/retry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"

struct retry {
	struct sw_store store;
	struct sw_store *inner;
	struct sw_retry_params params;
	uint64_t random; /* state of a splitmix64 */
};

static struct retry *
retry_of(struct sw_store *store)
{
	return (struct retry *)store;
}

/* --- when to try again ----------------------------------------------------------- */

struct attempts {
	unsigned failed; /* since the last progress */
	int64_t first_ms;
};

static uint64_t
next_random(struct retry *r)
{
	uint64_t z = r->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static int64_t
backoff_ms(struct retry *r, unsigned failed)
{
	int64_t top = r->params.base_ms;

	for (unsigned i = 0; i < failed && top < r->params.cap_ms; i++)
		top *= 2;
	if (top > r->params.cap_ms)
		top = r->params.cap_ms;
	return (int64_t)(next_random(r) % (uint64_t)(top + 1));
}

static sw_rc
give_up(const struct attempts *a, int64_t spent_ms, struct sw_error *err)
{
	char hint[sizeof(err->hint)];

	memcpy(hint, err->hint, sizeof(hint));
	sw_wrap(err, "given up after %u attempts in %lld.%lld s", a->failed,
		(long long)(spent_ms / 1000), (long long)(spent_ms % 1000 / 100));
	if (hint[0] == '\0')
		sw_hint(err, "store-deadline sets how long is tried");
	return err->rc;
}

/*
 * Called after a transient failure: SW_OK after a sleep, when there is time for another attempt;
 * else the failure, or SW_SYSTEM for an interrupt.
 */
static sw_rc
wait_for_next(struct retry *r, struct attempts *a, const char *what, struct sw_error *err)
{
	int64_t now = r->params.now_ms(), asked = err->retry_after_ms, left, delay;

	if (a->failed++ == 0)
		a->first_ms = now;
	if (r->params.deadline_ms == 0)
		return err->rc;
	left = a->first_ms + r->params.deadline_ms - now;
	delay = backoff_ms(r, a->failed - 1);
	if (left <= 0 || asked > left)
		return give_up(a, now - a->first_ms, err);
	if (delay > left)
		delay = left;
	if (delay < asked)
		delay = asked;
	sw_log(SW_LOG_WARNING, "%s: %s; trying again in %lld.%lld s", what, err->text,
		(long long)(delay / 1000), (long long)(delay % 1000 / 100));
	if (r->params.sleep_ms(delay))
		return SW_OK;
	return sw_interrupt_signal() != 0 ? sw_interrupt_check(err) :
		sw_fail(err, SW_SYSTEM, "stopped while waiting to try again");
}

/* --- get: go on where it stopped --------------------------------------------------- */

struct resume {
	struct sw_stage stage;
	uint64_t done;
	bool sink_failed, finished;
};

static sw_rc
resume_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct resume *s = (struct resume *)stage;
	sw_rc rc = sw_stage_write(stage->next, data, len, err);

	if (rc == SW_OK)
		s->done += len;
	else
		s->sink_failed = true;
	return rc;
}

static sw_rc
resume_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct resume *s = (struct resume *)stage;
	sw_rc rc = sw_stage_finish(stage->next, err);

	s->sink_failed = rc != SW_OK;
	s->finished = true;
	return rc;
}

static sw_rc
retry_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len,
	struct sw_stage *sink, struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct resume s = {
		.stage = {.write = resume_write, .finish = resume_finish, .next = sink},
	};
	struct attempts a = {0};

	for (;;) {
		uint64_t before = s.done;
		sw_rc rc;

		if (len > 0 && s.done == (len & ~SW_STORE_AT_MOST))
			return sw_stage_finish(sink, err);
		rc = sw_store_get(r->inner, name, offset + s.done, len > 0 ? len - s.done : 0, &s.stage, err);
		if (rc != SW_TRANSIENT || s.sink_failed || s.finished)
			return rc;
		if (s.done > before)
			a.failed = 0;
		rc = wait_for_next(r, &a, "fetching", err);
		if (rc != SW_OK)
			return rc;
	}
}

/* --- list: go on behind the last name ------------------------------------------------ */

struct relist {
	sw_store_each each;
	void *ctx;
	bool seen, ended;
	char last[SW_STORE_NAME_MAX + 1];
};

static sw_rc
relist_each(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct relist *l = ctx;
	sw_rc rc = l->each(l->ctx, name, info, err);

	l->seen = true;
	l->ended = rc != SW_OK;
	strncpy(l->last, name, sizeof(l->last) - 1);
	return rc;
}

static sw_rc
retry_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each,
	void *ctx, struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct relist l = {.each = each, .ctx = ctx};
	struct attempts a = {0};

	for (;;) {
		char from[sizeof(l.last)];
		sw_rc rc;

		memcpy(from, l.last, sizeof(from));
		rc = sw_store_list(r->inner, prefix, l.seen ? from : after, relist_each, &l, err);
		if (rc != SW_TRANSIENT || l.ended)
			return rc;
		if (strcmp(from, l.last) != 0)
			a.failed = 0;
		rc = wait_for_next(r, &a, "listing", err);
		if (rc != SW_OK)
			return rc;
	}
}

/* --- the rest is tried again as a whole ------------------------------------------------ */

static sw_rc
retry_put(struct sw_store *store, const char *name, const struct sw_store_body *body,
	struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct attempts a = {0};
	bool taken = false; /* by any attempt */
	sw_rc rc;

	while ((rc = sw_store_put(r->inner, name, body, err)) == SW_TRANSIENT) {
		taken = taken || err->name_taken;
		rc = wait_for_next(r, &a, "storing", err);
		if (rc != SW_OK)
			break;
	}
	if (rc != SW_OK && rc != SW_CONFLICT)
		err->name_taken = err->name_taken || taken;
	return rc;
}

static sw_rc
retry_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info,
	struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct attempts a = {0};
	sw_rc rc;

	while ((rc = sw_store_head(r->inner, name, ret_info, err)) == SW_TRANSIENT) {
		rc = wait_for_next(r, &a, "looking up", err);
		if (rc != SW_OK)
			return rc;
	}
	return rc;
}

static sw_rc
retry_delete(struct sw_store *store, const char *const *names, size_t count, struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct attempts a = {0};
	sw_rc rc;

	while ((rc = sw_store_delete(r->inner, names, count, err)) == SW_TRANSIENT) {
		rc = wait_for_next(r, &a, "deleting", err);
		if (rc != SW_OK)
			return rc;
	}
	return rc;
}

static sw_rc
retry_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err)
{
	struct retry *r = retry_of(store);
	struct attempts a = {0};
	sw_rc rc;

	while ((rc = sw_store_probe(r->inner, prefix, ret_traits, err)) == SW_TRANSIENT) {
		rc = wait_for_next(r, &a, "probing", err);
		if (rc != SW_OK)
			return rc;
	}
	return rc;
}

/* --- life ------------------------------------------------------------------------------ */

static void
retry_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	sw_store_set_traits(retry_of(store)->inner, traits);
}

static void
retry_free(struct sw_store *store)
{
	sw_store_free(retry_of(store)->inner);
	free(store->url);
	free(store);
}

static sw_rc
retry_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	const struct retry *r = (const struct retry *)store;
	struct sw_retry_params params = r->params;
	struct sw_store *inner;
	sw_rc rc = sw_store_clone(r->inner, &inner, err);

	params.seed = 0;
	return rc != SW_OK ? rc : sw_retry_new(inner, &params, ret_store, err);
}

static const struct sw_store_ops retry_ops = {
	.free = retry_free,
	.clone = retry_clone,
	.set_traits = retry_set_traits,
	.put = retry_put,
	.get = retry_get,
	.head = retry_head,
	.list = retry_list,
	.delete = retry_delete,
	.probe = retry_probe,
};

sw_rc
sw_retry_new(struct sw_store *inner, const struct sw_retry_params *params,
	struct sw_store **ret_store, struct sw_error *err)
{
	struct retry *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->store.url = strdup(inner->url);
	if (r == NULL || r->store.url == NULL) {
		free(r);
		sw_store_free(inner);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	r->store.ops = &retry_ops;
	r->inner = inner;
	r->params = *params;
	r->random = params->seed;
	/* without randomness from the kernel the address will do: this is no secret */
	if (r->random == 0 && getrandom(&r->random, sizeof(r->random), GRND_NONBLOCK) < 0)
		r->random = (uintptr_t)r;
	*ret_store = &r->store;
	return SW_OK;
}
