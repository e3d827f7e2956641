#include "catalog/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/index.h"

#define AFTER_SEGMENTS 256 /* that are looked through for what comes behind the stop */

#define DROPS_MAX 16 /* DROP DATABASE and DROP TABLESPACE that are followed at once */

struct drop {
	struct sw_stop_half half; /* xid 0: a database that was marked, and whose files are still there */
	sw_lsn committed;         /* 0: it did not end yet */
};

struct finding {
	const struct sw_stop_search *search;
	struct sw_stop_report *report;
	uint64_t size, first, last; /* of a segment; segments of the spans */
	uint64_t next_xid;          /* 64 bits, near what is read now; 0: not known */
	/* the digests */
	uint64_t next;              /* the first segment whose digest was not looked at */
	bool read;                  /* the records of segment read_at must be read */
	bool suspicious;            /* from the one before on, for something is wrong */
	uint64_t read_at;
	bool refine;                /* a group's digest does not tell enough */
	uint64_t refine_first, refine_last;
	bool ended;                 /* the WAL does, or the path */
	bool lost;                  /* for an object is damaged or gone, at which recovery fails rather than ends */
	/* the records */
	sw_lsn until;               /* what begins here or behind is not of interest; 0: all is */
	bool found, past_limit;
	struct drop drops[DROPS_MAX];
	size_t drop_count;
};

/* --- moments ------------------------------------------------------------------------- */

static bool
is_end(const struct sw_wal_event *event)
{
	return event->kind == SW_WAL_COMMIT || event->kind == SW_WAL_ABORT;
}

/* The newest transaction of these 32 bits that is not newer than what is known. */
static uint64_t
widen(const struct finding *f, uint32_t xid)
{
	uint64_t full = (f->next_xid & ~UINT64_C(0xFFFFFFFF)) | xid;

	if (f->next_xid == 0)
		return xid;
	/* a little ahead of what was last told, or far behind */
	if (full > f->next_xid + (UINT64_C(1) << 31) && full >= UINT64_C(1) << 32)
		return full - (UINT64_C(1) << 32);
	if (full + (UINT64_C(1) << 31) < f->next_xid)
		return full + (UINT64_C(1) << 32);
	return full;
}

static struct sw_wal_moment
moment_of(const struct finding *f, const struct sw_wal_record *record, const struct sw_wal_event *event)
{
	return (struct sw_wal_moment){
		.time_us = event->transaction.time_us,
		.lsn = record->lsn,
		.xid = widen(f, event->transaction.xid),
		.xid_full = f->next_xid != 0,
	};
}

static void
note_end(struct sw_stop_report *report, const struct sw_wal_moment *moment)
{
	if (moment->lsn < report->last.lsn)
		return;
	report->last = *moment;
	if (report->sign.lsn <= moment->lsn)
		report->sign = (struct sw_wal_moment){0};
}

static void
note_xids(struct sw_stop_report *report, uint64_t min, uint64_t max)
{
	if (min != 0 && (report->xid_min == 0 || min < report->xid_min))
		report->xid_min = min;
	if (max > report->xid_max)
		report->xid_max = max;
}

static void
note_sign(struct sw_stop_report *report, sw_lsn lsn, int64_t time_us)
{
	if (lsn > report->last.lsn && time_us > report->sign.time_us)
		report->sign = (struct sw_wal_moment){.time_us = time_us, .lsn = lsn};
}

static void
note_event(struct finding *f, const struct sw_wal_record *record, const struct sw_wal_event *event)
{
	struct sw_stop_report *report = f->report;
	struct sw_wal_moment moment;

	report->last_record = record->lsn;
	report->valid_to = record->end;
	if (is_end(event)) {
		moment = moment_of(f, record, event);
		note_end(report, &moment);
		note_xids(report, moment.xid, moment.xid);
	} else if (event->kind == SW_WAL_CHECKPOINT) {
		f->next_xid = event->checkpoint.next_xid;
		note_sign(report, record->lsn, event->checkpoint.time_us);
	} else if (event->kind == SW_WAL_RESTORE_POINT) {
		note_sign(report, record->lsn, event->restore_point.time_us);
	} else if (event->kind == SW_WAL_END_OF_RECOVERY) {
		note_sign(report, record->lsn, event->end_of_recovery.time_us);
	}
}

static void
note_digest(struct finding *f, const struct sw_wal_digest *d)
{
	struct sw_stop_report *report = f->report;

	if (d->last_end.lsn != 0)
		note_end(report, &d->last_end);
	note_xids(report, d->xid_min, d->xid_max);
	for (size_t i = 0; i < d->checkpoint_count; i++)
		note_sign(report, d->checkpoints[i].lsn, d->checkpoints[i].time_us);
	for (size_t i = 0; i < d->point_count; i++)
		note_sign(report, d->points[i].lsn, d->points[i].time_us);
	if (d->last > report->last_record)
		report->last_record = d->last;
	if (d->valid_to > report->valid_to)
		report->valid_to = d->valid_to;
	if (d->xid_full && d->xid_next != 0)
		f->next_xid = d->xid_next;
}

/* --- what is dropped by halves -------------------------------------------------------------- */

static struct drop *
find_drop(struct finding *f, uint32_t oid, bool tablespace)
{
	for (size_t i = 0; i < f->drop_count; i++)
		if (f->drops[i].half.oid == oid && f->drops[i].half.tablespace == tablespace)
			return &f->drops[i];
	return NULL;
}

static void
note_drop(struct finding *f, const struct sw_stop_half *half)
{
	struct drop *drop = find_drop(f, half->oid, half->tablespace);

	if (drop == NULL) {
		/* the oldest is the one that is over, as a rule */
		if (f->drop_count == DROPS_MAX)
			memmove(&f->drops[0], &f->drops[1], --f->drop_count * sizeof(f->drops[0]));
		f->drops[f->drop_count++] = (struct drop){.half = *half};
	} else if (drop->half.xid == 0 && drop->committed == 0) {
		drop->half.xid = half->xid;
	}
}

static void
note_drop_end(struct finding *f, uint64_t xid, sw_lsn lsn)
{
	for (size_t i = 0; i < f->drop_count; i++)
		if (f->drops[i].half.xid != 0 && (uint32_t)f->drops[i].half.xid == (uint32_t)xid && f->drops[i].committed == 0)
			f->drops[i].committed = lsn;
}

static void
note_drops(struct finding *f, const struct sw_wal_digest *d)
{
	for (size_t i = 0; i < d->invalidated_count; i++)
		note_drop(f, &(struct sw_stop_half){.lsn = d->invalidated[i].lsn, .oid = d->invalidated[i].oid});
	for (size_t i = 0; i < d->act_count; i++) {
		const struct sw_wal_act *act = &d->acts[i];

		for (size_t n = 0; n < act->database_count; n++)
			note_drop(f, &(struct sw_stop_half){act->databases[n].lsn, act->databases[n].oid, false, act->xid});
		for (size_t n = 0; n < act->tablespace_count; n++)
			note_drop(f, &(struct sw_stop_half){act->tablespaces[n].lsn, act->tablespaces[n].oid, true, act->xid});
		if (act->committed)
			note_drop_end(f, act->xid, act->lsn);
	}
	for (size_t i = 0; i < d->end_count; i++)
		note_drop_end(f, d->ends[i].xid, d->ends[i].lsn);
}

/* The first whose begin is recovered and whose end is not. */
static void
find_half(struct finding *f)
{
	const struct sw_stop *stop = &f->report->stop;
	bool before = stop->kind == SW_STOP_BEFORE_END || stop->kind == SW_STOP_BEFORE_LSN;
	sw_lsn end = before ? stop->lsn : stop->end;

	for (size_t i = 0; i < f->drop_count; i++) {
		const struct drop *drop = &f->drops[i];

		if (drop->half.xid != 0 && drop->half.lsn < end && (drop->committed == 0 || drop->committed >= end) &&
			(f->report->half.lsn == 0 || drop->half.lsn < f->report->half.lsn))
			f->report->half = drop->half;
	}
}

/* --- what PostgreSQL decides, record by record --------------------------------------------- */

static bool
has_subxid(const struct sw_wal_event *event, uint32_t xid)
{
	for (uint32_t i = 0; i < event->transaction.subxids.count; i++)
		if (sw_wal_event_u32(&event->transaction.subxids, i) == xid)
			return true;
	return false;
}

/* The goal is another transaction with the same 32 bits.  Subtransactions are near their top one. */
static bool
is_of_another_epoch(const struct finding *f, uint32_t xid)
{
	uint64_t wanted = f->search->goal.xid_full, full = widen(f, xid);

	return wanted != 0 && f->next_xid != 0 && (full > wanted ? full - wanted : wanted - full) >= UINT64_C(1) << 31;
}

static bool
stops_at_end(struct finding *f, const struct sw_wal_event *event, enum sw_stop_kind *ret_kind)
{
	const struct sw_goal *goal = &f->search->goal;
	const struct sw_wal_transaction *t = &event->transaction;

	if (goal->kind == SW_GOAL_TIME) {
		*ret_kind = SW_STOP_BEFORE_END;
		return goal->exclusive ? t->time_us >= goal->time_us : t->time_us > goal->time_us;
	}
	*ret_kind = goal->exclusive ? SW_STOP_BEFORE_END : SW_STOP_AFTER_END;
	if (goal->kind != SW_GOAL_XID || is_of_another_epoch(f, t->xid))
		return false;
	f->report->subtransaction = t->xid != goal->xid && has_subxid(event, goal->xid);
	return t->xid == goal->xid || f->report->subtransaction;
}

static bool
stops(struct finding *f, const struct sw_wal_record *record, const struct sw_wal_event *event, enum sw_stop_kind *ret_kind)
{
	const struct sw_goal *goal = &f->search->goal;

	switch (goal->kind) {
	case SW_GOAL_LATEST:
		return false;
	case SW_GOAL_IMMEDIATE:
		*ret_kind = SW_STOP_CONSISTENT;
		return record->end >= f->search->consistent;
	case SW_GOAL_LSN:
		*ret_kind = goal->exclusive ? SW_STOP_BEFORE_LSN : SW_STOP_AFTER_LSN;
		if (record->lsn < goal->lsn && goal->lsn < record->end)
			f->report->within = record->lsn;
		return record->lsn >= goal->lsn;
	case SW_GOAL_NAME:
		*ret_kind = SW_STOP_AT_POINT;
		return event->kind == SW_WAL_RESTORE_POINT && strcmp(event->restore_point.name, goal->name) == 0;
	case SW_GOAL_TIME:
	case SW_GOAL_XID:
		break;
	}
	return is_end(event) && stops_at_end(f, event, ret_kind);
}

/* report->last is still that of what came before. */
static void
fill_stop(struct finding *f, const struct sw_wal_record *record, const struct sw_wal_event *event, enum sw_stop_kind kind)
{
	struct sw_stop *stop = &f->report->stop;
	bool end = is_end(event), before = kind == SW_STOP_BEFORE_END || kind == SW_STOP_BEFORE_LSN;
	struct sw_wal_moment moment = {0};

	*stop = (struct sw_stop){
		.kind = kind, .lsn = record->lsn, .end = record->end, .transaction = end,
		.timeline = sw_timeline_at(f->search->history, record->lsn), .goal = f->search->goal,
		.before = f->report->last,
	};
	if (end) {
		moment = moment_of(f, record, event);
		stop->commit = event->kind == SW_WAL_COMMIT;
		stop->prepared = event->transaction.prepared;
		stop->xid = moment.xid;
		stop->time_us = moment.time_us;
		if (stop->goal.kind == SW_GOAL_XID)
			stop->goal.xid = event->transaction.xid;
	} else if (event->kind == SW_WAL_RESTORE_POINT) {
		stop->time_us = event->restore_point.time_us;
	}
	if (end && before) {
		stop->after = moment;
		stop->after_known = true;
	} else if (end) {
		stop->before = moment;
	}
}

static sw_rc
take_record(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct finding *f = ctx;
	struct sw_stop *stop = &f->report->stop;
	enum sw_stop_kind kind;

	(void)err;
	if (f->search->limit != 0 && record->lsn >= f->search->limit) {
		f->past_limit = true;
		return SW_CONFLICT;
	}
	if (f->until != 0 && record->lsn >= f->until)
		return SW_CONFLICT;
	if (f->found && is_end(event)) {
		stop->after = moment_of(f, record, event);
		stop->after_known = true;
	} else if (!f->found && record->lsn >= f->search->redo && stops(f, record, event, &kind)) {
		fill_stop(f, record, event, kind);
		f->found = true;
		/* what is looked for behind it begins in the same segment; the digests tell of the others */
		f->until = (record->lsn / f->size + 1) * f->size;
	} else if (!f->found) {
		note_event(f, record, event);
	}
	return f->found && (stop->after_known || f->search->no_after) ? SW_CONFLICT : SW_OK;
}

/* --- reading records ---------------------------------------------------------------------- */

/* The spans from this segment on.  ret_spans: room for all of them. */
static size_t
spans_from(const struct finding *f, uint64_t segment, struct sw_walk_span *ret_spans)
{
	size_t count = 0;

	for (size_t i = 0; i < f->search->span_count; i++) {
		struct sw_walk_span span = f->search->spans[i];

		if (span.first < segment)
			span.first = segment;
		if (span.first <= span.last)
			ret_spans[count++] = span;
	}
	return count;
}

/* Whatever follows, recovery does not pass this. */
static void
end_here(struct finding *f, uint64_t segment, const char *reason)
{
	f->ended = true;
	f->report->last_segment = segment;
	snprintf(f->report->reason, sizeof(f->report->reason), "%s", reason);
}

static bool
by_place(const struct finding *f)
{
	return f->search->goal.kind == SW_GOAL_LSN || f->search->goal.kind == SW_GOAL_IMMEDIATE;
}

/* Read the records that begin in read_at. */
static sw_rc
read_records(struct finding *f, struct sw_error *err)
{
	struct sw_walk_span *spans = calloc(f->search->span_count, sizeof(*spans));
	uint64_t from = f->read_at;
	struct sw_walk_result result = {0};
	size_t count;
	sw_rc rc;

	if (spans == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	/* what the LSN lies in may begin in the segment before */
	if ((f->suspicious || by_place(f)) && from > f->first)
		from--;
	f->until = by_place(f) ? 0 : (f->read_at + 1) * f->size;
	f->read = f->suspicious = false;
	if (f->next <= f->read_at)
		f->next = f->read_at + 1;
	count = spans_from(f, from, spans);
	rc = sw_walk(f->search->repo, spans, count, take_record, f, &result, err);
	free(spans);
	if (rc != SW_OK && rc != SW_NOT_FOUND && rc != SW_CORRUPT)
		return rc;
	if (f->found)
		return SW_OK;
	f->lost = rc != SW_OK;
	if (result.unknown) {
		f->report->answer = SW_STOP_NOT_KNOWN;
		end_here(f, f->read_at, result.reason);
	} else if (result.reason[0] != '\0') {
		end_here(f, from + result.segments - (result.segments > 0), result.reason);
	} else if (f->past_limit) {
		f->ended = true;
	}
	return SW_OK;
}

/* --- digests ------------------------------------------------------------------------------- */

static bool
ends_have(const struct sw_wal_digest *d, uint64_t xid)
{
	for (size_t i = 0; i < d->end_count; i++) {
		const struct sw_wal_end *end = &d->ends[i];

		if (end->xid == xid)
			return true;
		for (size_t k = 0; k < end->subxid_count; k++)
			if (end->subxids[k] == (uint32_t)xid)
				return true;
	}
	return false;
}

static bool
may_have_xid(const struct sw_wal_digest *d, const struct sw_goal *goal, bool group)
{
	uint64_t full = goal->xid;

	if (d->xid_min == 0)
		return false;
	if (d->xid_full && goal->xid_full != 0) {
		full = goal->xid_full;
	} else if (d->xid_full) {
		full |= d->xid_max & ~UINT64_C(0xFFFFFFFF);
		if (full > d->xid_max && full >= UINT64_C(1) << 32)
			full -= UINT64_C(1) << 32;
	}
	/* 32 bits may have begun again */
	if (d->xid_min <= d->xid_max && (full < d->xid_min || full > d->xid_max))
		return false;
	return group || full >= d->ends_below || ends_have(d, full);
}

static bool
has_point(const struct sw_wal_digest *d, const char *name)
{
	for (size_t i = 0; i < d->point_count; i++)
		if (strcmp(d->points[i].name, name) == 0)
			return true;
	return d->truncated;
}

/* May the record that is looked for begin in this item? */
static bool
may_stop(const struct finding *f, const struct sw_index_item *item)
{
	const struct sw_goal *goal = &f->search->goal;
	const struct sw_wal_digest *d = item->digest;
	uint64_t place = goal->kind == SW_GOAL_LSN ? goal->lsn / f->size : (f->search->consistent - 1) / f->size;

	switch (goal->kind) {
	case SW_GOAL_LATEST:
		return false;
	case SW_GOAL_IMMEDIATE:
	case SW_GOAL_LSN:
		return !item->boundary && item->last >= place;
	case SW_GOAL_TIME:
		return d->latest.lsn != 0 &&
			(goal->exclusive ? d->latest.time_us >= goal->time_us : d->latest.time_us > goal->time_us);
	case SW_GOAL_XID:
		return may_have_xid(d, goal, !item->boundary && item->first < item->last);
	case SW_GOAL_NAME:
		return has_point(d, goal->name);
	}
	return false;
}

/* The records themselves must say what the digest does not: over a fork, and what is not on the path. */
static bool
must_read(const struct finding *f, const struct sw_index_item *item)
{
	if (item->boundary)
		return false;
	if (f->search->limit != 0 && item->last >= f->search->limit / f->size)
		return true;
	for (size_t i = 0; i + 1 < f->search->span_count; i++)
		if (f->search->spans[i].last == item->last && f->search->spans[i].first <= item->last)
			return !item->digest->switched;
	return false;
}

static sw_rc
take_item(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct finding *f = ctx;
	const struct sw_wal_digest *d = item->digest;

	(void)err;
	if (d != NULL && d->verdict == SW_WAL_UNKNOWN) {
		f->report->answer = SW_STOP_NOT_KNOWN;
		end_here(f, item->first, d->reason);
		return SW_CONFLICT;
	}
	if (d != NULL && f->search->fresh)
		note_drops(f, d);
	f->suspicious = d == NULL || item->problem != NULL;
	f->read = f->suspicious || may_stop(f, item) || must_read(f, item);
	f->read_at = item->first;
	if (f->read && !item->boundary && item->first < item->last) {
		f->refine = true;
		f->read = false;
		f->refine_first = item->first;
		f->refine_last = item->last;
	}
	if (f->read || f->refine)
		return SW_CONFLICT;
	note_digest(f, d);
	if (item->boundary)
		return SW_OK;
	f->next = item->last + 1;
	f->report->last_segment = item->last;
	if (d->verdict == SW_WAL_COMPLETE)
		return SW_OK;
	end_here(f, item->last, d->reason);
	return SW_CONFLICT;
}

/* Segments first … last, each timeline's at once. */
static sw_rc
walk_digests(const struct sw_stop_search *search, enum sw_index_detail detail, uint64_t first, uint64_t last,
	sw_index_each each, void *ctx, const bool *stopped, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < search->span_count && !*stopped; i++) {
		const struct sw_walk_span *span = &search->spans[i];
		struct sw_index_range range = {
			.first = span->first > first ? span->first : first,
			.last = span->last < last ? span->last : last,
		};
		struct sw_index_params params = {
			.repo = search->repo, .timeline = span->timeline, .ranges = &range, .range_count = 1,
			.detail = detail, .workers = search->workers, .tick = search->tick, .tick_ctx = search->tick_ctx,
		};

		if (range.first <= range.last)
			rc = sw_index_walk(&params, each, ctx, err);
	}
	return rc;
}

struct stopping {
	struct finding *f;
	bool stopped;
};

static sw_rc
take_item_and_stop(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct stopping *s = ctx;
	sw_rc rc = take_item(s->f, item, err);

	s->stopped = rc != SW_OK;
	return rc;
}

/* --- finding ------------------------------------------------------------------------------- */

static sw_rc
look(struct finding *f, enum sw_index_detail detail, uint64_t last, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	while (rc == SW_OK && !f->found && !f->ended && f->next <= last) {
		struct stopping s = {.f = f};

		rc = walk_digests(f->search, detail, f->next, last, take_item_and_stop, &s, &s.stopped, err);
		if (rc != SW_OK || f->refine)
			return rc;
		if (f->read)
			rc = read_records(f, err);
		else if (!s.stopped)
			break;
	}
	return rc;
}

static sw_rc
look_everywhere(struct finding *f, struct sw_error *err)
{
	enum sw_index_detail detail = f->search->fresh ? SW_INDEX_FRESH : SW_INDEX_BRIEF;
	sw_rc rc = SW_OK;

	do {
		f->refine = false;
		rc = look(f, detail, f->last, err);
		if (rc != SW_OK || !f->refine)
			return rc;
		f->refine = false;
		f->next = f->refine_first;
		rc = look(f, SW_INDEX_FULL, f->refine_last, err);
	} while (rc == SW_OK && !f->found && !f->ended);
	return rc;
}

/* --- what comes behind ----------------------------------------------------------------------- */

struct behind {
	struct sw_stop *stop;
	bool stopped;
};

static sw_rc
take_behind(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct behind *b = ctx;

	(void)err;
	b->stopped = item->digest == NULL || item->digest->first_end.lsn != 0 || item->digest->verdict != SW_WAL_COMPLETE;
	if (item->digest != NULL && item->digest->first_end.lsn > b->stop->lsn) {
		b->stop->after = item->digest->first_end;
		b->stop->after_known = true;
	}
	return b->stopped ? SW_CONFLICT : SW_OK;
}

static sw_rc
find_after(struct finding *f, struct sw_error *err)
{
	struct sw_stop *stop = &f->report->stop;
	struct behind b = {.stop = stop};
	uint64_t first = stop->lsn / f->size + 1, last = f->last;
	sw_rc rc;

	if (f->search->no_after || stop->after_known || f->search->limit != 0)
		return SW_OK;
	if (last >= first + AFTER_SEGMENTS)
		last = first + AFTER_SEGMENTS - 1;
	if (first > last) {
		stop->after_known = true;
		return SW_OK;
	}
	rc = walk_digests(f->search, SW_INDEX_FULL, first, last, take_behind, &b, &b.stopped, err);
	if (rc == SW_OK && !b.stopped && last == f->last)
		stop->after_known = true;
	return rc;
}

static void
fill_end(struct finding *f)
{
	struct sw_stop_report *report = f->report;

	report->answer = SW_STOP_FOUND;
	report->stop = (struct sw_stop){
		.kind = SW_STOP_END, .lsn = report->last_record, .end = report->valid_to, .goal = f->search->goal,
		.timeline = sw_timeline_at(f->search->history, report->last_record), .before = report->last, .after_known = true,
	};
}

sw_rc
sw_stop_find(const struct sw_stop_search *search, struct sw_stop_report *ret_report, struct sw_error *err)
{
	struct sw_stop_report report = {.answer = SW_STOP_NOT_REACHED};
	struct finding f = {.search = search, .report = &report, .size = search->repo->reg.segment_size};
	sw_rc rc;

	if (search->span_count > 0) {
		f.first = f.next = search->spans[0].first;
		f.last = search->spans[search->span_count - 1].last;
	}
	rc = search->span_count > 0 ? look_everywhere(&f, err) : SW_OK;
	if (rc == SW_OK && f.found) {
		report.answer = SW_STOP_FOUND;
		find_half(&f);
		rc = find_after(&f, err);
	} else if (rc == SW_OK && search->goal.kind == SW_GOAL_LATEST && report.answer != SW_STOP_NOT_KNOWN &&
		!f.lost && (!f.ended || report.reason[0] == '\0' || report.last_segment == f.last)) {
		fill_end(&f);
	}
	if (rc == SW_OK)
		*ret_report = report;
	return rc;
}

/* --- restore points --------------------------------------------------------------------------- */

struct naming {
	const struct sw_stop_search *search;
	struct sw_stop_points *points;
	uint64_t read; /* the records of this segment must be read */
	bool stopped;
	uint64_t size;
};

/* The newest of each name. */
static void
note_other(struct sw_stop_points *p, const char name[64])
{
	const size_t count = sizeof(p->others) / sizeof(p->others[0]);
	size_t at = 0;

	if (name[0] == '\0')
		return;
	while (at < count - 1 && strcmp(p->others[at], name) != 0)
		at++;
	memmove(p->others[1], p->others[0], at * sizeof(p->others[0]));
	memcpy(p->others[0], name, sizeof(p->others[0]));
}

static void
note_point(struct naming *n, const struct sw_wal_point *point)
{
	struct sw_stop_points *p = n->points;
	const struct sw_stop_search *s = n->search;

	if (point->lsn < s->redo || (s->limit != 0 && point->lsn >= s->limit))
		return;
	if (strcmp(point->name, s->goal.name) == 0) {
		if (p->count < SW_STOP_POINTS_MAX) {
			p->points[p->count] = *point;
			p->timelines[p->count] = sw_timeline_at(s->history, point->lsn);
		}
		p->count++;
		return;
	}
	note_other(p, point->name);
}

static sw_rc
note_point_record(void *ctx, const struct sw_wal_record *record, const struct sw_wal_event *event, struct sw_error *err)
{
	struct naming *n = ctx;
	struct sw_wal_point point = {.lsn = record->lsn, .end = record->end};

	(void)err;
	if (record->lsn >= (n->read + 1) * n->size)
		return SW_CONFLICT;
	if (event->kind != SW_WAL_RESTORE_POINT)
		return SW_OK;
	point.time_us = event->restore_point.time_us;
	memcpy(point.name, event->restore_point.name, sizeof(point.name));
	note_point(n, &point);
	return SW_OK;
}

static sw_rc
take_points(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct naming *n = ctx;
	const struct sw_wal_digest *d = item->digest;

	(void)err;
	if (d != NULL && d->verdict == SW_WAL_UNKNOWN) {
		n->points->unknown = n->stopped = true;
		n->read = UINT64_MAX;
		return SW_CONFLICT;
	}
	if (d == NULL || d->truncated) {
		n->read = item->first;
		n->stopped = true;
		return SW_CONFLICT;
	}
	for (size_t i = 0; i < d->point_count; i++)
		note_point(n, &d->points[i]);
	if (!item->boundary)
		n->read = item->last + 1;
	return SW_OK;
}

sw_rc
sw_stop_points(const struct sw_stop_search *search, struct sw_stop_points *ret_points, struct sw_error *err)
{
	struct sw_stop_points points = {0};
	struct naming n = {.search = search, .points = &points, .size = search->repo->reg.segment_size};
	struct sw_walk_span *spans = calloc(search->span_count + 1, sizeof(*spans));
	uint64_t last = search->span_count == 0 ? 0 : search->spans[search->span_count - 1].last;
	sw_rc rc = spans == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") : SW_OK;

	n.read = search->span_count == 0 ? 1 : search->spans[0].first;
	while (rc == SW_OK && n.read <= last) {
		struct finding f = {.search = search};
		struct sw_walk_result result;

		n.stopped = false;
		rc = walk_digests(search, SW_INDEX_BRIEF, n.read, last, take_points, &n, &n.stopped, err);
		if (rc != SW_OK || !n.stopped || points.unknown)
			break;
		rc = sw_walk(search->repo, spans, spans_from(&f, n.read, spans), note_point_record, &n, &result, err);
		points.unknown = rc == SW_OK && result.unknown;
		/* recovery does not pass what is damaged */
		if (rc == SW_NOT_FOUND || rc == SW_CORRUPT || (rc == SW_OK && result.reason[0] != '\0')) {
			rc = SW_OK;
			break;
		}
		n.read++;
	}
	free(spans);
	if (rc == SW_OK)
		*ret_points = points;
	return rc;
}
