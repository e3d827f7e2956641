#include "catalog/deeds.h"

#include <stdlib.h>

#include "base/file.h"
#include "catalog/commit.h"
#include "catalog/parts.h"
#include "catalog/relmap.h"

struct sw_deeds {
	struct sw_deeds_params params;
	struct sw_relmap map;
	struct sw_parts parts; /* of open transactions */
};

#define AUTO_PART __attribute__((cleanup(sw_part_release))) struct sw_part

/* --- the order of ends ---------------------------------------------------------------------------------- */

struct ending {
	sw_lsn lsn;
	const struct sw_wal_act *act; /* or */
	const struct sw_wal_end *end; /* or */
	const struct sw_wal_invalidated *invalidated;
};

static int
compare_endings(const void *a, const void *b)
{
	const struct ending *x = a, *y = b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	return (x->act == NULL) - (y->act == NULL);
}

static sw_rc
take_parts(struct sw_deeds *d, uint64_t xid, const uint32_t *subxids, size_t subxid_count, struct sw_part *part,
	bool *ret_there, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	if (d->parts.open.count > 0)
		rc = sw_parts_take(&d->parts, (uint32_t)xid, part, ret_there, err);
	for (size_t i = 0; rc == SW_OK && d->parts.open.count > 0 && i < subxid_count; i++)
		rc = sw_parts_take(&d->parts, subxids[i], part, ret_there, err);
	return rc;
}

static sw_rc
commit_act(struct sw_deeds *d, const struct sw_wal_digest *digest, uint32_t timeline, const struct sw_wal_act *act,
	struct sw_error *err)
{
	AUTO_PART part = {0};
	struct sw_commit commit = {
		.params = &d->params, .map = &d->map, .timeline = timeline, .major = digest->major, .lsn = act->lsn,
		.time_us = act->time_us, .xid = act->xid, .prepared = act->prepared, .act = act, .part = &part,
	};
	bool there;
	sw_rc rc = take_parts(d, act->xid, act->subxids, act->subxid_count, &part, &there, err);

	if (rc == SW_OK)
		rc = sw_part_add(&part, act, UINT64_MAX, err);
	return rc == SW_OK ? sw_commit_resolve(&commit, err) : rc;
}

static sw_rc
end_parts(struct sw_deeds *d, const struct sw_wal_digest *digest, uint32_t timeline, const struct sw_wal_end *end,
	struct sw_error *err)
{
	AUTO_PART part = {0};
	struct sw_commit commit = {
		.params = &d->params, .map = &d->map, .timeline = timeline, .major = digest->major, .lsn = end->lsn,
		.time_us = end->time_us, .xid = end->xid, .part = &part,
	};
	bool there = false;
	sw_rc rc = take_parts(d, end->xid, end->subxids, end->subxid_count, end->committed ? &part : NULL, &there, err);

	return rc == SW_OK && there && end->committed ? sw_commit_resolve(&commit, err) : rc;
}

static sw_rc
feed_ends(struct sw_deeds *d, const struct sw_wal_digest *digest, uint32_t timeline, sw_lsn from, sw_lsn to,
	struct sw_error *err)
{
	SW_AUTO_FREE struct ending *endings = NULL;
	size_t count = 0;
	sw_rc rc = SW_OK;

	if (digest->act_count + digest->end_count + digest->invalidated_count == 0)
		return SW_OK;
	endings = calloc(digest->act_count + digest->end_count + digest->invalidated_count, sizeof(*endings));
	if (endings == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < digest->act_count; i++) {
		const struct sw_wal_act *act = &digest->acts[i];

		if (act->committed && act->lsn >= from && act->lsn < to)
			endings[count++] = (struct ending){.lsn = act->lsn, .act = act};
	}
	for (size_t i = 0; i < digest->end_count; i++) {
		const struct sw_wal_end *end = &digest->ends[i];

		if (end->lsn >= from && end->lsn < to)
			endings[count++] = (struct ending){.lsn = end->lsn, .end = end};
	}
	for (size_t i = 0; i < digest->invalidated_count; i++) {
		const struct sw_wal_invalidated *gone = &digest->invalidated[i];

		if (gone->lsn >= from && gone->lsn < to)
			endings[count++] = (struct ending){.lsn = gone->lsn, .invalidated = gone};
	}
	qsort(endings, count, sizeof(*endings), compare_endings);
	for (size_t i = 0; rc == SW_OK && i < count; i++)
		if (endings[i].act != NULL)
			rc = commit_act(d, digest, timeline, endings[i].act, err);
		else if (endings[i].end != NULL)
			rc = end_parts(d, digest, timeline, endings[i].end, err);
		else
			rc = sw_relmap_invalidated(&d->map, endings[i].invalidated, err);
	return rc;
}

sw_rc
sw_deeds_feed(struct sw_deeds *d, const struct sw_wal_digest *digest, uint32_t timeline, sw_lsn from, sw_lsn to,
	struct sw_error *err)
{
	sw_rc rc = feed_ends(d, digest, timeline, from, to, err);

	for (size_t i = 0; rc == SW_OK && i < digest->act_count; i++) {
		const struct sw_wal_act *act = &digest->acts[i];

		/* what ends behind the fork is open at the fork */
		if (act->xid != 0 && act->first < to && (!act->committed || act->lsn >= to))
			rc = sw_parts_keep(&d->parts, act, to, err);
	}
	return rc;
}

/* --- the resolver ------------------------------------------------------------------------------------------ */

sw_rc
sw_deeds_new(const struct sw_deeds_params *params, struct sw_deeds **ret_deeds, struct sw_error *err)
{
	struct sw_deeds *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	d->params = *params;
	sw_relmap_init(&d->map);
	sw_parts_init(&d->parts);
	*ret_deeds = d;
	return SW_OK;
}

void
sw_deeds_free(struct sw_deeds *d)
{
	if (d == NULL)
		return;
	sw_relmap_release(&d->map);
	sw_parts_release(&d->parts);
	free(d);
}

sw_rc
sw_deeds_learn(struct sw_deeds *d, struct sw_repository *repo, const char *label, bool later, struct sw_error *err)
{
	return sw_relmap_learn(&d->map, repo, label, later, err);
}

void
sw_deeds_gap(struct sw_deeds *d)
{
	sw_parts_release(&d->parts);
	sw_parts_init(&d->parts);
	sw_relmap_gap(&d->map);
}

sw_rc
sw_deeds_fork(const struct sw_deeds *d, struct sw_deeds **ret_deeds, struct sw_error *err)
{
	struct sw_deeds *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	copy->params = d->params;
	if (sw_relmap_copy(&d->map, &copy->map, err) != SW_OK) {
		free(copy);
		return err->rc;
	}
	if (sw_parts_copy(&d->parts, &copy->parts, err) != SW_OK) {
		sw_relmap_release(&copy->map);
		free(copy);
		return err->rc;
	}
	*ret_deeds = copy;
	return SW_OK;
}
