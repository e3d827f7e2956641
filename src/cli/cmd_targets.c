/*
 * seawall targets - what can be recovered: windows, gaps, restore points, forks, and what is not archived yet.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/dropped.h"
#include "catalog/goal.h"
#include "catalog/windows.h"
#include "cli/cli.h"
#include "cli/draw.h"
#include "cli/gaps.h"
#include "cli/progress.h"
#include "cli/range.h"
#include "cli/systems.h"
#include "pg/connection.h"

#define WORKERS 8 /* they wait for the store */
#define CONNECT_TIMEOUT "5" /* seconds, unless the environment says otherwise: what the server would tell is extra */
#define SEGMENT_PAGE_HEADER 40 /* an insert position right behind it: nothing was written there */

/* What the server says of its archiving. */
struct server {
	bool asked, answered;
	char note[1200]; /* why not */
	struct sw_pg_facts facts;
	sw_lsn lsn;
	uint64_t failed_count;
	char failed_wal[SW_WAL_NAME_MAX];
	int64_t failed_us, archived_us; /* 0: never */
};

struct targets {
	const struct sw_config *config;
	int64_t since_us, until_us;
	size_t limit; /* 0: all */
	struct server server;
	bool any_window;
};

/* One registration of the cluster in one repository. */
struct system {
	const struct targets *t;
	struct sw_repository repo;
	struct sw_inventory inventory;
	struct sw_windows windows;
	bool is_server; /* the server that answered is this one */
	bool has_archived; /* and its timeline has WAL here: */
	sw_lsn archived;
	int64_t archived_us;
	uint64_t unarchived;
};

/* --- options ----------------------------------------------------------------------- */

static sw_rc
read_options(struct targets *t, struct sw_error *err)
{
	t->since_us = INT64_MIN;
	t->until_us = INT64_MAX;
	/* a program wants all of it, unless it says how much */
	if (!sw_config_bool(t->config, SW_OPT_JSON) || sw_config_is_set(t->config, SW_OPT_LIMIT))
		t->limit = (size_t)sw_config_int(t->config, SW_OPT_LIMIT);
	return sw_range_read(t->config, &t->since_us, &t->until_us, err);
}

/* What is not known is shown. */
static bool
is_shown(const struct targets *t, int64_t begin_us, int64_t end_us)
{
	return (end_us == 0 || end_us >= t->since_us) && (begin_us == 0 || begin_us <= t->until_us);
}

/* --- the server -------------------------------------------------------------------- */

static int64_t
time_of(const char *iso)
{
	int64_t us;

	return iso != NULL && sw_clock_parse_iso(iso, &us) ? us : 0;
}

static sw_rc
archiver_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct server *server = ctx;

	(void)err;
	server->failed_count = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
	snprintf(server->failed_wal, sizeof(server->failed_wal), "%s", values[1] != NULL ? values[1] : "");
	server->failed_us = time_of(values[2]);
	server->archived_us = time_of(values[3]);
	return SW_OK;
}

/* Again for every system, as long as it answers: right behind the listing that it is compared with. */
static void
ask_server(const struct sw_config *config, struct server *server)
{
	static const char query[] = "SELECT failed_count::text, last_failed_wal,"
		" to_char(last_failed_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
		" to_char(last_archived_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
		" FROM pg_catalog.pg_stat_archiver";
	struct sw_error err = SW_ERROR_INIT;
	struct sw_pg *pg = NULL;
	sw_rc rc;

	if (server->asked && !server->answered)
		return;
	server->asked = true;
	if (sw_config_bool(config, SW_OPT_OFFLINE)) {
		snprintf(server->note, sizeof(server->note), "the server was not asked");
		return;
	}
	setenv("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT, 0);
	rc = sw_pg_connect(config, &pg, &err);
	if (rc == SW_OK)
		rc = sw_pg_facts(pg, &server->facts, &err);
	if (rc == SW_OK)
		rc = sw_pg_current_lsn(pg, &server->lsn, &err);
	if (rc == SW_OK)
		rc = sw_pg_query(pg, query, 4, archiver_row, server, &err);
	sw_pg_close(pg);
	server->answered = rc == SW_OK;
	if (rc != SW_OK)
		snprintf(server->note, sizeof(server->note), "the server does not answer: %.1100s", err.text);
}

/* How far the archive is behind the server. */
static void
measure_lag(struct system *s)
{
	const struct server *server = &s->t->server;
	uint32_t timeline = server->facts.timeline;

	s->is_server = server->answered && server->facts.system_identifier == s->repo.reg.system_identifier;
	if (!s->is_server)
		return;
	for (size_t i = 0; i < s->windows.fork_count; i++)
		if (s->windows.forks[i].child == timeline && s->windows.forks[i].parent != 0) {
			s->has_archived = true;
			s->archived = s->windows.forks[i].lsn;
			s->archived_us = s->windows.forks[i].time_us;
		}
	for (size_t i = 0; i < s->windows.wal_count; i++) {
		const struct sw_window_wal *wal = &s->windows.wal[i];

		if (wal->timeline != timeline)
			continue;
		s->has_archived = true;
		s->archived = wal->end;
		if (wal->end_us != 0)
			s->archived_us = wal->end_us;
	}
	if (!s->has_archived || server->lsn <= s->archived)
		return;
	s->unarchived = server->lsn - s->archived;
	if (s->archived % s->repo.reg.segment_size == 0 && s->unarchived <= SEGMENT_PAGE_HEADER)
		s->unarchived = 0;
}

/* --- what both forms need ---------------------------------------------------------- */

static char *
segment_name(const struct system *s, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, s->repo.reg.segment_size, buf);
}

/* The end of the newest timeline that can be recovered: the server's, if it is one of them. */
static const struct sw_window *
latest_window(const struct system *s)
{
	const struct sw_windows *w = &s->windows;

	for (size_t i = w->window_count; i-- > 0 && s->is_server;)
		if (w->windows[i].timeline == s->t->server.facts.timeline)
			return &w->windows[i];
	return w->window_count > 0 ? &w->windows[w->window_count - 1] : NULL;
}

/* WAL in which no window lies. */
static bool
is_bare(const struct system *s, const struct sw_window_wal *wal)
{
	for (size_t i = 0; i < s->windows.window_count; i++) {
		const struct sw_window *w = &s->windows.windows[i];

		if (w->timeline == wal->timeline && w->begin <= wal->end &&
			w->begin >= wal->first * s->repo.reg.segment_size)
			return false;
	}
	return true;
}

static const struct sw_window_fork *
fork_of(const struct system *s, uint32_t timeline)
{
	for (size_t i = 0; i < s->windows.fork_count; i++)
		if (s->windows.forks[i].child == timeline)
			return &s->windows.forks[i];
	return NULL;
}

/* The next timeline above `timeline` that there is anything of; 0: none. */
static uint32_t
next_timeline(const struct system *s, uint32_t timeline)
{
	const struct sw_windows *w = &s->windows;
	uint32_t next = 0;
#define OFFER(t) do { uint32_t t_ = (t); if (t_ > timeline && (next == 0 || t_ < next)) next = t_; } while (0)

	for (size_t i = 0; i < w->wal_count; i++)
		OFFER(w->wal[i].timeline);
	for (size_t i = 0; i < w->window_count; i++)
		OFFER(w->windows[i].timeline);
	for (size_t i = 0; i < w->gap_count; i++)
		OFFER(w->gaps[i].timeline);
	for (size_t i = 0; i < w->fork_count; i++)
		OFFER(w->forks[i].child);
#undef OFFER
	return next;
}

/* --- JSON -------------------------------------------------------------------------- */

static json_t *
json_time(int64_t time_us)
{
	char text[SW_CLOCK_ISO_LEN];

	return time_us == 0 ? json_null() : json_string(sw_clock_iso(time_us, text));
}

static json_t *
json_lsn(sw_lsn lsn)
{
	char text[SW_LSN_LEN];

	return lsn == 0 ? json_null() : json_string(sw_lsn_format(lsn, text));
}

static json_t *
moment_json(const struct sw_wal_moment *m)
{
	char xid[24];

	snprintf(xid, sizeof(xid), "%" PRIu64, m->xid);
	return m->lsn == 0 ? json_null() :
		json_pack("{s:o, s:o, s:s}", "lsn", json_lsn(m->lsn), "time", json_time(m->time_us), "xid", xid);
}

static json_t *
window_json(const struct sw_window *w)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:s, s:b, s:o}", "timeline", (json_int_t)w->timeline,
		"begin_lsn", json_lsn(w->begin), "end_lsn", json_lsn(w->end), "begin_time", json_time(w->begin_us),
		"end_time", json_time(w->end_us), "last_transaction", moment_json(&w->last),
		"commits", (json_int_t)w->commits, "aborts", (json_int_t)w->aborts,
		"first_backup", w->first_backup->label, "last_backup", w->last_backup->label, "open", w->open,
		"closed_by", w->closed_by != NULL ? sw_json_text(w->closed_by) : json_null());
}

static json_t *
gap_json(const struct system *s, const struct sw_window_gap *g)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];

	return json_pack("{s:I, s:s, s:s, s:I, s:b, s:o, s:I, s:o, s:o, s:o}", "timeline", (json_int_t)g->timeline,
		"first", segment_name(s, g->timeline, g->first, a), "last", segment_name(s, g->timeline, g->last, b),
		"segments", (json_int_t)(g->last - g->first + 1), "missing", g->reason == NULL,
		"reason", g->reason != NULL ? sw_json_text(g->reason) : json_null(),
		"dropped", (json_int_t)g->dropped, "dropped_time", json_time(g->dropped_us),
		"after_time", json_time(g->begin_us), "before_time", json_time(g->end_us));
}

static json_t *
wal_json(const struct system *s, const struct sw_window_wal *w)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];

	return json_pack("{s:I, s:s, s:s, s:I, s:o, s:o, s:o}", "timeline", (json_int_t)w->timeline,
		"first", segment_name(s, w->timeline, w->first, a), "last", segment_name(s, w->timeline, w->last, b),
		"segments", (json_int_t)(w->last - w->first + 1), "end_lsn", json_lsn(w->end),
		"begin_time", json_time(w->begin_us), "end_time", json_time(w->end_us));
}

static json_t *
point_json(const struct sw_window_point *p)
{
	return json_pack("{s:o, s:I, s:o, s:o, s:b, s:b}", "name", sw_json_text(p->point.name),
		"timeline", (json_int_t)p->timeline, "lsn", json_lsn(p->point.lsn), "time", json_time(p->point.time_us),
		"reachable", p->reachable, "ambiguous", p->ambiguous);
}

static json_t *
fork_json(const struct sw_window_fork *f)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o}", "timeline", (json_int_t)f->child,
		"parent", f->parent != 0 ? json_integer(f->parent) : json_null(), "lsn", json_lsn(f->lsn),
		"time", json_time(f->time_us), "problem", f->problem != NULL ? sw_json_text(f->problem) : json_null());
}

static json_t *
server_json(const struct system *s)
{
	const struct server *server = &s->t->server;

	if (!s->is_server)
		return json_pack("{s:b, s:o}", "answered", 0, "note", sw_json_text(server->answered ?
			"the server that answers is another cluster" : server->note));
	return json_pack("{s:b, s:b, s:I, s:o, s:o, s:o, s:o, s:I, s:s, s:o, s:o}", "answered", 1,
		"in_recovery", server->facts.in_recovery, "timeline", (json_int_t)server->facts.timeline,
		"lsn", json_lsn(server->lsn), "archived_lsn", s->has_archived ? json_lsn(s->archived) : json_null(),
		"unarchived_bytes", s->has_archived ? json_integer((json_int_t)s->unarchived) : json_null(),
		"unarchived_age_ms", s->unarchived == 0 || s->archived_us == 0 ? json_null() :
		json_integer((sw_clock_now_us() - s->archived_us) / 1000),
		"archiver_failures", (json_int_t)server->failed_count, "last_failed_wal", server->failed_wal,
		"last_failed_time", json_time(server->failed_us), "last_archived_time", json_time(server->archived_us));
}

/* Into the array those of `count` things that are shown, the newest `limit` of them. */
#define SHOWN_JSON(array, s, count, begin_us, end_us, json) \
	do { \
		size_t left_ = (s)->t->limit == 0 ? SIZE_MAX : (s)->t->limit, i = (count); \
		while (i > 0 && left_ > 0) { \
			i--; \
			left_ -= is_shown((s)->t, begin_us, end_us); \
		} \
		for (; i < (count); i++) \
			if (is_shown((s)->t, begin_us, end_us)) \
				json_array_append_new(array, json); \
	} while (0)

static json_t *
system_json(const struct system *s, json_t *dropped)
{
	const struct sw_windows *w = &s->windows;
	json_t *windows = json_array(), *gaps = json_array(), *wal = json_array(), *points = json_array(),
		*forks = json_array(), *idle = json_array();
	char id[24];

	SHOWN_JSON(windows, s, w->window_count, w->windows[i].begin_us, w->windows[i].end_us, window_json(&w->windows[i]));
	SHOWN_JSON(gaps, s, w->gap_count, w->gaps[i].begin_us, w->gaps[i].end_us, gap_json(s, &w->gaps[i]));
	SHOWN_JSON(wal, s, w->wal_count, w->wal[i].begin_us, w->wal[i].end_us, wal_json(s, &w->wal[i]));
	SHOWN_JSON(points, s, w->point_count, w->points[i].point.time_us, w->points[i].point.time_us,
		point_json(&w->points[i]));
	for (size_t i = 0; i < w->fork_count; i++)
		json_array_append_new(forks, fork_json(&w->forks[i]));
	for (size_t i = 0; i < w->idle_count; i++)
		json_array_append_new(idle, json_pack("{s:s, s:o}", "backup", w->idle[i].backup->label, "reason",
			sw_json_text(w->idle[i].reason)));
	snprintf(id, sizeof(id), "%" PRIu64, s->repo.reg.system_identifier);
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "system_identifier", id,
		"pg_major", (json_int_t)s->repo.reg.major, "segment_size", (json_int_t)s->repo.reg.segment_size,
		"windows", windows, "gaps", gaps, "wal", wal, "timelines", forks, "restore_points", points,
		"restore_points_cut", w->points_cut, "unusable_backups", idle,
		"latest", latest_window(s) != NULL ? window_json(latest_window(s)) : json_null(), "server", server_json(s), "dropped", dropped);
}

/* --- text -------------------------------------------------------------------------- */

/* To the second, for people. */
static const char *
short_time(int64_t time_us, char buf[SW_CLOCK_ISO_LEN])
{
	if (time_us == 0)
		return strcpy(buf, "unknown time        ");
	sw_clock_iso(time_us, buf);
	buf[10] = ' ';
	strcpy(buf + 19, "Z");
	return buf;
}

static void
print_window(const struct sw_window *w)
{
	char a[SW_CLOCK_ISO_LEN], b[SW_CLOCK_ISO_LEN], begin[SW_LSN_LEN], end[SW_LSN_LEN];

	printf("  reachable  %s to %s, LSN %s to %s, from backup %s", short_time(w->begin_us, a), short_time(w->end_us, b),
		sw_lsn_format(w->begin, begin), sw_lsn_format(w->end, end), w->first_backup->label);
	if (w->last_backup != w->first_backup)
		printf(", newest %s", w->last_backup->label);
	printf("; %" PRIu64 " commit%s\n", w->commits, w->commits == 1 ? "" : "s");
}

static void
print_gap(const struct system *s, const struct sw_window_gap *g)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];

	printf("  %-9s  %s", g->reason == NULL ? "missing" : "damaged", segment_name(s, g->timeline, g->first, a));
	if (g->last > g->first)
		printf(" to %s, %" PRIu64 " segments", segment_name(s, g->timeline, g->last, b), g->last - g->first + 1);
	if (g->reason != NULL)
		printf(": %s", g->reason);
	if (g->dropped > 0)
		printf(", %s", sw_dropped_text(&s->inventory, g->timeline, g->first, g->last, why));
	printf("\n");
}

static void
print_bare(const struct system *s, const struct sw_window_wal *w)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];

	printf("  WAL only   %s to %s, %" PRIu64 " segment%s that no backup reaches\n",
		segment_name(s, w->timeline, w->first, a), segment_name(s, w->timeline, w->last, b), w->last - w->first + 1,
		w->last == w->first ? "" : "s");
}

/* The next of a timeline's windows, gaps and bare WAL, by LSN. */
struct rows {
	size_t window, gap, wal;
};

static bool
skip_to(const struct system *s, uint32_t timeline, struct rows *at)
{
	const struct sw_windows *w = &s->windows;

	while (at->window < w->window_count && (w->windows[at->window].timeline < timeline ||
		(w->windows[at->window].timeline == timeline && !is_shown(s->t, w->windows[at->window].begin_us,
			w->windows[at->window].end_us))))
		at->window++;
	while (at->gap < w->gap_count && (w->gaps[at->gap].timeline < timeline ||
		(w->gaps[at->gap].timeline == timeline && !is_shown(s->t, w->gaps[at->gap].begin_us, w->gaps[at->gap].end_us))))
		at->gap++;
	while (at->wal < w->wal_count && (w->wal[at->wal].timeline < timeline || (w->wal[at->wal].timeline == timeline &&
		(!is_bare(s, &w->wal[at->wal]) || !is_shown(s->t, w->wal[at->wal].begin_us, w->wal[at->wal].end_us)))))
		at->wal++;
	return (at->window < w->window_count && w->windows[at->window].timeline == timeline) ||
		(at->gap < w->gap_count && w->gaps[at->gap].timeline == timeline) ||
		(at->wal < w->wal_count && w->wal[at->wal].timeline == timeline);
}

/* Where the next of each kind begins; the first of them is taken.  print: or only counted. */
static void
take_row(const struct system *s, uint32_t timeline, struct rows *at, bool print)
{
	const struct sw_windows *w = &s->windows;
	uint64_t size = s->repo.reg.segment_size;
	sw_lsn window = at->window < w->window_count && w->windows[at->window].timeline == timeline ?
		w->windows[at->window].begin : UINT64_MAX;
	sw_lsn gap = at->gap < w->gap_count && w->gaps[at->gap].timeline == timeline ?
		w->gaps[at->gap].first * size : UINT64_MAX;
	sw_lsn wal = at->wal < w->wal_count && w->wal[at->wal].timeline == timeline ?
		w->wal[at->wal].first * size : UINT64_MAX;

	if (window <= gap && window <= wal) {
		if (print)
			print_window(&w->windows[at->window]);
		at->window++;
	} else if (wal <= gap) {
		if (print)
			print_bare(s, &w->wal[at->wal]);
		at->wal++;
	} else {
		if (print)
			print_gap(s, &w->gaps[at->gap]);
		at->gap++;
	}
}

static void
print_timeline(const struct system *s, uint32_t timeline)
{
	const struct sw_window_fork *fork = fork_of(s, timeline);
	char time[SW_CLOCK_ISO_LEN], lsn[SW_LSN_LEN];
	struct rows at = {0};
	size_t count = 0, skip;

	printf("\ntimeline %u", timeline);
	if (fork != NULL && fork->problem != NULL)
		printf(": %s", fork->problem);
	else if (fork != NULL && fork->parent != 0)
		printf(", left %u at LSN %s, %s", fork->parent, sw_lsn_format(fork->lsn, lsn), short_time(fork->time_us, time));
	printf("\n");
	for (; skip_to(s, timeline, &at); count++)
		take_row(s, timeline, &at, false);
	skip = s->t->limit != 0 && count > s->t->limit ? count - s->t->limit : 0;
	if (skip > 0)
		printf("  %zu older lines are left out: --limit=0 shows them\n", skip);
	at = (struct rows){0};
	for (size_t i = 0; skip_to(s, timeline, &at); i++)
		take_row(s, timeline, &at, i >= skip);
	if (count == 0)
		printf("  nothing%s\n", s->t->since_us != INT64_MIN || s->t->until_us != INT64_MAX ? " in that time" : "");
}

static void
print_points(const struct system *s)
{
	const struct sw_windows *w = &s->windows;
	size_t count = 0, skip, seen = 0;

	for (size_t i = 0; i < w->point_count; i++)
		count += is_shown(s->t, w->points[i].point.time_us, w->points[i].point.time_us);
	if (count == 0)
		return;
	skip = s->t->limit != 0 && count > s->t->limit ? count - s->t->limit : 0;
	printf("\nrestore points%s\n", w->points_cut ? ", not all of them" : "");
	if (skip > 0)
		printf("  %zu more are left out: --limit=0 shows them\n", skip);
	for (size_t i = 0; i < w->point_count; i++) {
		const struct sw_window_point *p = &w->points[i];
		char time[SW_CLOCK_ISO_LEN], lsn[SW_LSN_LEN];

		if (!is_shown(s->t, p->point.time_us, p->point.time_us) || seen++ < skip)
			continue;
		printf("  %s  timeline %u, LSN %s  ", short_time(p->point.time_us, time), p->timeline,
			sw_lsn_format(p->point.lsn, lsn));
		sw_cli_print_clean(p->point.name);
		printf("%s%s\n", p->reachable ? "" : "  (not reachable)",
			p->ambiguous ? "  (one of several of that name: use the LSN)" : "");
	}
}

static void
print_lag(const struct system *s)
{
	const struct server *server = &s->t->server;
	char a[SW_LSN_LEN], b[SW_LSN_LEN], size[SW_PROGRESS_SIZE_LEN], age[SW_PROGRESS_TIME_LEN];
	const char *who = server->facts.in_recovery ? "standby" : "primary";

	if (!s->is_server) {
		printf("not archived yet: not known, %s\n", server->answered ?
			"because the server that answers is another cluster" : server->note);
		return;
	}
	if (!s->has_archived) {
		printf("not archived yet: all of timeline %u, on which the %s is, at LSN %s\n", server->facts.timeline, who,
			sw_lsn_format(server->lsn, a));
		return;
	}
	if (s->unarchived == 0) {
		printf("not archived yet: nothing; the %s is at LSN %s of timeline %u\n", who, sw_lsn_format(server->lsn, a),
			server->facts.timeline);
		return;
	}
	printf("not archived yet: %s of WAL, LSN %s to %s of timeline %u on the %s", sw_progress_size(s->unarchived, size),
		sw_lsn_format(s->archived, a), sw_lsn_format(server->lsn, b), server->facts.timeline, who);
	if (s->archived_us != 0)
		printf("; what is archived ends %s ago",
			sw_progress_time((sw_clock_now_us() - s->archived_us) / 1000000, age));
	printf("\n");
}

static void
print_archiver(const struct system *s)
{
	const struct server *server = &s->t->server;
	char time[SW_CLOCK_ISO_LEN], since[SW_CLOCK_ISO_LEN];

	if (!s->is_server || server->failed_us == 0)
		return;
	printf("the server's archiver failed last with %s at %s, ", server->failed_wal, short_time(server->failed_us, time));
	if (server->archived_us > server->failed_us)
		printf("and has archived since, last at %s\n", short_time(server->archived_us, since));
	else
		printf("and nothing was archived since: see the server's log for what seawall-push says\n");
}

/* The timeline on which work goes on. */
static uint32_t
current_timeline(const struct system *s)
{
	if (s->is_server)
		return s->t->server.facts.timeline;
	return s->windows.wal_count > 0 ? s->windows.wal[s->windows.wal_count - 1].timeline : 0;
}

static void
print_latest(const struct system *s)
{
	const struct sw_window *w = latest_window(s);
	uint32_t current = current_timeline(s);
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	if (w == NULL) {
		printf("nothing can be recovered: %s; %s\n", s->inventory.backup_count == 0 ? "there is no backup" :
			"no backup has all of its own WAL", "'seawall backup' makes one that can be");
		return;
	}
	printf("reachable now: up to LSN %s of timeline %u", sw_lsn_format(w->end, lsn), w->timeline);
	if (w->last.lsn != 0)
		printf(", transaction %" PRIu64 " at %s", w->last.xid, sw_goal_time(w->last.time_us, time));
	printf("\n");
	if (w->timeline != current && current != 0)
		printf("nothing of timeline %u, %s, can be recovered; 'seawall backup' opens a window there\n", current,
			s->is_server ? "on which the server is" : "the newest one");
	if (!w->open)
		printf("what follows on timeline %u cannot be recovered, because %s; 'seawall backup' opens a new window\n",
			w->timeline, w->closed_by);
}

static sw_rc
print_system(struct system *s, struct sw_error *err)
{
	struct sw_draw draw = {
		.windows = &s->windows,
		.inventory = &s->inventory,
		.segment_size = s->repo.reg.segment_size,
		.rows_max = s->t->limit,
		.since_us = s->t->since_us,
		.until_us = s->t->until_us,
	};
	sw_rc rc = SW_OK;

	printf("cluster \"%s\" in %s (PostgreSQL %u, system identifier %" PRIu64 ")\n", s->repo.cluster,
		sw_store_url(s->repo.store), s->repo.reg.major, s->repo.reg.system_identifier);
	if (isatty(STDOUT_FILENO)) {
		draw.width = sw_draw_width();
		draw.utf8 = sw_draw_utf8();
		rc = sw_draw(&draw, stdout, err);
	}
	for (uint32_t timeline = next_timeline(s, 0); timeline != 0; timeline = next_timeline(s, timeline))
		print_timeline(s, timeline);
	print_points(s);
	printf("\n");
	for (size_t i = 0; i < s->windows.idle_count; i++)
		printf("backup %s cannot be used: %s\n", s->windows.idle[i].backup->label, s->windows.idle[i].reason);
	print_latest(s);
	print_lag(s);
	print_archiver(s);
	return rc == SW_OK ? sw_gaps_print(&s->repo, &s->inventory, err) : rc;
}

/* --- the verb ---------------------------------------------------------------------- */

struct ticker {
	struct sw_progress progress;
	uint64_t segment_size;
};

static void
on_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct ticker *ticker = ctx;

	sw_progress_show(&ticker->progress, done * ticker->segment_size, total * ticker->segment_size);
}

static sw_rc
find_windows(struct system *s, struct sw_error *err)
{
	struct ticker ticker = {.segment_size = s->repo.reg.segment_size};
	struct sw_windows_params params = {.workers = WORKERS, .fold = true, .tick = on_tick, .tick_ctx = &ticker};
	sw_rc rc;

	sw_progress_init(&ticker.progress, s->t->config, "reading the WAL's index");
	rc = sw_windows_find(&s->repo, &s->inventory, &params, &s->windows, err);
	sw_progress_end(&ticker.progress);
	return rc;
}

static sw_rc
show_system(void *ctx, struct sw_repository *repo, json_t *systems, struct sw_error *err)
{
	struct targets *t = ctx;
	struct system s = {.t = t, .repo = *repo};
	json_t *dropped = NULL;
	sw_rc rc = sw_inventory_read_backups(&s.repo, &s.inventory, err);

	if (rc == SW_OK)
		rc = sw_inventory_read_wal(&s.repo, 0, 0, &s.inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_gaps(&s.repo, &s.inventory, err);
	if (rc == SW_OK) {
		ask_server(t->config, &t->server);
		rc = find_windows(&s, err);
	}
	if (rc == SW_OK) {
		measure_lag(&s);
		t->any_window = t->any_window || s.windows.window_count > 0;
		if (systems == NULL)
			rc = print_system(&s, err);
		else if ((rc = sw_gaps_json(&s.repo, &s.inventory, &dropped, err)) == SW_OK)
			json_array_append_new(systems, system_json(&s, dropped));
	}
	sw_windows_release(&s.windows);
	sw_inventory_release(&s.inventory);
	return rc;
}

sw_rc
sw_cmd_targets(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct targets t = {.config = config};
	sw_rc rc = read_options(&t, err);

	if (rc == SW_OK)
		rc = sw_systems_each(config, show_system, &t, err);
	*ret_status = t.any_window ? 0 : 3;
	return rc;
}
