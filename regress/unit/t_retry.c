/*
 * Retries over a store that fails as it is told to, with a clock that only sleeping moves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "store/retry.h"

#define CONTENT "abcdefghijklmnopqrstuvwxyz"
#define STEPS_MAX 64

/* What one call does: give `give` bytes or names, then end with rc. */
struct step {
	sw_rc rc;
	int64_t retry_after_ms;
	size_t give;
};

struct fake {
	struct sw_store store;
	struct step steps[STEPS_MAX]; /* SW_OK behind the last */
	size_t calls;
	char asked[1024]; /* "offset+len " or "after " of each call */
	struct sw_store_traits traits;
};

static int64_t now, slept[STEPS_MAX];
static size_t sleeps, interrupt_at;

static bool
fake_sleep(int64_t ms)
{
	now += ms;
	slept[sleeps++] = ms;
	return sleeps != interrupt_at;
}

static int64_t
fake_now(void)
{
	return now;
}

static sw_rc
end_step(const struct step *step, struct sw_error *err)
{
	if (step->rc == SW_OK)
		return SW_OK;
	sw_fail(err, step->rc, "step failed");
	err->retry_after_ms = step->retry_after_ms;
	return step->rc;
}

static void
note(struct fake *f, const char *text)
{
	strncat(f->asked, text, sizeof(f->asked) - strlen(f->asked) - 1);
	strncat(f->asked, " ", sizeof(f->asked) - strlen(f->asked) - 1);
}

static sw_rc
fake_put(struct sw_store *store, const char *name, const struct sw_store_body *body, struct sw_error *err)
{
	struct fake *f = (struct fake *)store;

	(void)name;
	(void)body;
	return end_step(&f->steps[f->calls++], err);
}

static sw_rc
fake_get(struct sw_store *store, const char *name, uint64_t offset, uint64_t len, struct sw_stage *sink,
	struct sw_error *err)
{
	struct fake *f = (struct fake *)store;
	const struct step *step = &f->steps[f->calls++];
	size_t end = len > 0 ? offset + len : strlen(CONTENT);
	size_t give = step->rc == SW_OK ? end - offset : step->give;
	char text[64];
	sw_rc rc;

	(void)name;
	snprintf(text, sizeof(text), "%d+%d", (int)offset, (int)len);
	note(f, text);
	/* in two pieces, as from a network */
	rc = sw_stage_write(sink, &CONTENT[offset], give / 2, err);
	if (rc == SW_OK)
		rc = sw_stage_write(sink, &CONTENT[offset + give / 2], give - give / 2, err);
	if (rc == SW_OK)
		rc = end_step(step, err);
	return rc == SW_OK ? sw_stage_finish(sink, err) : rc;
}

static sw_rc
fake_head(struct sw_store *store, const char *name, struct sw_store_info *ret_info, struct sw_error *err)
{
	ret_info->size = 1;
	return fake_put(store, name, NULL, err);
}

static sw_rc
fake_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each, void *ctx,
	struct sw_error *err)
{
	struct fake *f = (struct fake *)store;
	const struct step *step = &f->steps[f->calls++];
	struct sw_store_info info = {0};
	size_t given = 0;

	(void)prefix;
	note(f, after != NULL ? after : "-");
	for (const char *c = CONTENT; *c != '\0'; c++) {
		char name[2] = {*c, '\0'};
		sw_rc rc;

		if (after != NULL && strcmp(name, after) <= 0)
			continue;
		if (step->rc != SW_OK && given++ == step->give)
			break;
		rc = each(ctx, name, &info, err);
		if (rc != SW_OK)
			return rc == SW_CONFLICT ? SW_OK : rc;
	}
	return end_step(step, err);
}

static sw_rc
fake_delete(struct sw_store *store, const char *const *names, size_t count, struct sw_error *err)
{
	(void)names;
	(void)count;
	return fake_put(store, NULL, NULL, err);
}

static sw_rc
fake_probe(struct sw_store *store, const char *prefix, struct sw_store_traits *ret_traits,
	struct sw_error *err)
{
	(void)prefix;
	ret_traits->put_if_absent = true;
	return fake_put(store, NULL, NULL, err);
}

static void
fake_set_traits(struct sw_store *store, const struct sw_store_traits *traits)
{
	((struct fake *)store)->traits = *traits;
}

static void
fake_free(struct sw_store *store)
{
	free(store->url);
	free(store);
}

static struct fake *fake_new(void);

static sw_rc
fake_clone(const struct sw_store *store, struct sw_store **ret_store, struct sw_error *err)
{
	struct fake *f = fake_new();

	(void)err;
	f->traits = ((const struct fake *)store)->traits;
	*ret_store = &f->store;
	return SW_OK;
}

static const struct sw_store_ops fake_ops = {fake_free, fake_clone, fake_set_traits, fake_put, fake_get, fake_head,
	fake_list, fake_delete, fake_probe};

static struct fake *
fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->store.ops = &fake_ops;
	f->store.url = strdup("fake://x");
	return f;
}

/* A store with retries around a fake one, which is still reachable. */
static struct sw_store *
wrap(const struct step *steps, size_t count, int64_t deadline_ms, struct fake **ret_fake)
{
	struct sw_retry_params params = {.deadline_ms = deadline_ms, .base_ms = 200, .cap_ms = 20000,
		.sleep_ms = fake_sleep, .now_ms = fake_now, .seed = 42};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store = NULL;
	struct fake *f = fake_new();

	memcpy(f->steps, steps, count * sizeof(*steps));
	now = 1000000;
	sleeps = interrupt_at = 0;
	if (sw_retry_new(&f->store, &params, &store, &err) != SW_OK)
		tap_ok(false, "%s", err.text);
	*ret_fake = f;
	return store;
}

static sw_rc
put(struct sw_store *store, struct sw_error *err)
{
	struct sw_store_body body = sw_store_body_mem("x", 1);

	return sw_store_put(store, "a", &body, err);
}

/* --- when ------------------------------------------------------------------------- */

static void
test_backoff(void)
{
	struct step steps[12];
	struct sw_error err = SW_ERROR_INIT;
	struct fake *f;
	struct sw_store *store;
	int64_t top = 200;
	bool within = true, spread = false;

	for (size_t i = 0; i < 12; i++)
		steps[i] = (struct step){.rc = SW_TRANSIENT};
	store = wrap(steps, 12, 3600000, &f);
	tap_is_int(put(store, &err), SW_OK, "a put that fails twelve times succeeds");
	tap_is_int((long long)f->calls, 13, "at the thirteenth attempt");
	tap_is_int((long long)sleeps, 12, "with a pause before each further one");
	for (size_t i = 0; i < 12; i++, top = top * 2 > 20000 ? 20000 : top * 2) {
		within = within && slept[i] >= 0 && slept[i] <= top;
		spread = spread || slept[i] > top / 2;
	}
	tap_ok(within, "each below 200 ms doubled each time, and below 20 s");
	tap_ok(spread, "and not always in the lower half");
	sw_store_free(store);
}

static void
test_final(void)
{
	static const sw_rc kinds[] = {SW_NOT_FOUND, SW_CONFLICT, SW_CORRUPT, SW_DENIED, SW_CONFIG, SW_SYSTEM, SW_BUG};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct step step = {.rc = kinds[i]};
		struct sw_error err = SW_ERROR_INIT;
		struct fake *f;
		struct sw_store *store = wrap(&step, 1, 10000, &f);

		tap_is_int(put(store, &err), kinds[i], "%s is an answer", sw_rc_name(kinds[i]));
		tap_is_int((long long)f->calls, 1, "asked for once");
		sw_store_free(store);
	}
}

static void
test_deadline(void)
{
	struct step steps[STEPS_MAX];
	struct sw_error err = SW_ERROR_INIT;
	struct fake *f;
	struct sw_store *store;

	for (size_t i = 0; i < STEPS_MAX; i++)
		steps[i] = (struct step){.rc = SW_TRANSIENT};
	store = wrap(steps, STEPS_MAX, 10000, &f);
	tap_is_int(put(store, &err), SW_TRANSIENT, "at the deadline the failure is the result");
	tap_ok(f->calls > 3 && now - 1000000 <= 10000, "after %zu attempts in %lld ms", f->calls,
		(long long)(now - 1000000));
	tap_ok(strstr(err.text, "given up after") != NULL && strstr(err.text, "step failed") != NULL,
		"the text tells both: %s", err.text);
	sw_store_free(store);

	store = wrap(steps, 1, 0, &f);
	tap_is_int(put(store, &err), SW_TRANSIENT, "without a deadline nothing is tried again");
	tap_is_int((long long)f->calls, 1, "once");
	sw_store_free(store);

	store = wrap(steps, STEPS_MAX, 10000, &f);
	interrupt_at = 2;
	tap_is_int(put(store, &err), SW_SYSTEM, "an interrupt while sleeping ends it");
	tap_is_int((long long)f->calls, 2, "at once");
	sw_store_free(store);
}

static void
test_retry_after(void)
{
	struct step steps[2] = {{.rc = SW_TRANSIENT, .retry_after_ms = 7000}};
	struct sw_error err = SW_ERROR_INIT;
	struct fake *f;
	struct sw_store *store = wrap(steps, 2, 10000, &f);

	tap_is_int(put(store, &err), SW_OK, "Retry-After: succeeds");
	tap_is_int(slept[0], 7000, "after as long as was asked for");
	sw_store_free(store);
	steps[0].retry_after_ms = 11000;
	store = wrap(steps, 2, 10000, &f);
	tap_is_int(put(store, &err), SW_TRANSIENT, "Retry-After beyond the deadline: given up");
	tap_is_int((long long)sleeps, 0, "without waiting");
	sw_store_free(store);
}

/* --- get -------------------------------------------------------------------------- */

struct picky {
	struct sw_stage stage;
	size_t left; /* bytes until it fails */
};

static sw_rc
picky_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct picky *p = (struct picky *)stage;

	(void)data;
	if (len > p->left)
		return sw_fail(err, SW_TRANSIENT, "the sink is full");
	p->left -= len;
	return SW_OK;
}

static sw_rc
picky_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	return sw_fail(err, SW_TRANSIENT, "the sink cannot finish");
}

static void
test_get(void)
{
	static const struct {
		const char *name;
		struct step steps[4];
		uint64_t offset, len;
		const char *asked, *want;
	} cases[] = {
		{"whole", {{0}}, 0, 0, "0+0 ", CONTENT},
		{"resumed", {{SW_TRANSIENT, 0, 10}, {SW_TRANSIENT, 0, 0}, {SW_TRANSIENT, 0, 5}}, 0, 0,
			"0+0 10+0 10+0 15+0 ", CONTENT},
		{"range resumed", {{SW_TRANSIENT, 0, 3}, {SW_TRANSIENT, 0, 1}}, 2, 8, "2+8 5+5 6+4 ", "cdefghij"},
		{"cut behind the last byte of a range", {{SW_TRANSIENT, 0, 8}}, 2, 8, "2+8 ", "cdefghij"},
	};
	struct sw_error err = SW_ERROR_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake *f;
		struct sw_store *store = wrap(cases[i].steps, 4, 60000, &f);
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 100);
		tap_is_int(sw_store_get_buf(store, "a", cases[i].offset, cases[i].len, &buf, &err), SW_OK, "get, %s",
			cases[i].name);
		tap_is((const char *)buf.data, cases[i].want, "get, %s: each byte once", cases[i].name);
		tap_is(f->asked, cases[i].asked, "get, %s: what was asked for", cases[i].name);
		sw_store_free(store);
	}
}

static void
test_get_sink(void)
{
	struct step none[1] = {{0}};
	struct picky sink = {.stage = {.write = picky_write, .finish = picky_finish}, .left = 5};
	struct sw_error err = SW_ERROR_INIT;
	struct fake *f;
	struct sw_store *store = wrap(none, 1, 60000, &f);

	tap_is_int(sw_store_get(store, "a", 0, 0, &sink.stage, &err), SW_TRANSIENT, "a failing sink ends a get");
	tap_is(err.text, "the sink is full", "with its words");
	tap_is_int((long long)f->calls, 1, "and is not tried again");
	sink.left = 100;
	tap_is_int(sw_store_get(store, "a", 0, 0, &sink.stage, &err), SW_TRANSIENT, "so does one that cannot finish");
	tap_is_int((long long)f->calls, 2, "at once");
	sw_store_free(store);
}

static void
test_get_progress(void)
{
	struct step steps[STEPS_MAX] = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct fake *f;
	struct sw_store *store;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	for (size_t i = 0; i < 20; i++)
		steps[i] = (struct step){SW_TRANSIENT, 900, 1};
	store = wrap(steps, STEPS_MAX, 1000, &f);
	tap_is_int(sw_store_get_buf(store, "a", 0, 0, &buf, &err), SW_OK,
		"a get that comes further each time outlives the deadline");
	tap_is((const char *)buf.data, CONTENT, "and is whole");
	sw_store_free(store);
}

/* --- list and the rest -------------------------------------------------------------- */

static sw_rc
gather(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	char *all = ctx;

	(void)info;
	if (strcmp(name, "y") == 0 && all[0] == 'Y')
		return sw_fail(err, SW_TRANSIENT, "the caller failed");
	strcat(all, name);
	return SW_OK;
}

static void
test_list(void)
{
	struct step steps[4] = {{SW_TRANSIENT, 0, 0}, {SW_TRANSIENT, 0, 5}, {SW_TRANSIENT, 0, 2}};
	struct sw_error err = SW_ERROR_INIT;
	char all[64] = "";
	struct fake *f;
	struct sw_store *store = wrap(steps, 4, 60000, &f);

	tap_is_int(sw_store_list(store, "", "b", gather, all, &err), SW_OK, "list");
	tap_is(all, &CONTENT[2], "each name once");
	tap_is(f->asked, "b b g i ", "goes on behind the last name");
	sw_store_free(store);
	store = wrap(&(struct step){0}, 1, 60000, &f);
	strcpy(all, "Y");
	tap_is_int(sw_store_list(store, "", NULL, gather, all, &err), SW_TRANSIENT, "the caller's failure is the result");
	tap_is_int((long long)f->calls, 1, "and not tried again");
	sw_store_free(store);
}

static void
test_rest(void)
{
	struct step steps[8] = {{.rc = SW_TRANSIENT}, {0}, {.rc = SW_TRANSIENT}, {0}, {.rc = SW_TRANSIENT}, {0}};
	const struct sw_store_traits traits = {.versioned = true};
	struct sw_store_traits probed = {0};
	struct sw_store_info info = {0};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_store *store, *clone = NULL;
	struct fake *f;

	store = wrap(steps, 8, 60000, &f);
	tap_is_int(sw_store_head(store, "a", &info, &err), SW_OK, "head is tried again");
	tap_is_int(sw_store_delete(store, &(const char *){"a"}, 1, &err), SW_OK, "delete is tried again");
	tap_is_int(sw_store_probe(store, "p/", &probed, &err), SW_OK, "probe is tried again");
	tap_is_int((long long)f->calls, 6, "each once");
	sw_store_set_traits(store, &traits);
	tap_ok(f->traits.versioned, "traits reach the store within");
	tap_is(sw_store_url(store), "fake://x", "the URL is that of the store within");
	tap_is_int(sw_store_clone(store, &clone, &err), SW_OK, "clone");
	tap_is_int(put(clone, &err), SW_OK, "the clone works");
	sw_store_free(clone);
	sw_store_free(store);
}

int
main(void)
{
	test_backoff();
	test_final();
	test_deadline();
	test_retry_after();
	test_get();
	test_get_sink();
	test_get_progress();
	test_list();
	test_rest();
	return tap_done();
}
