/*
 * seawall find - what happened, when, and what to restore to so that it is undone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/dropped.h"
#include "catalog/goal.h"
#include "catalog/search.h"
#include "cli/cli.h"
#include "cli/gaps.h"
#include "cli/progress.h"
#include "cli/range.h"
#include "config/settings.h"

#define SYSTEMS_MAX 64
#define WORKERS 8 /* they wait for the store */
#define CHANGES_MIN 1000
#define NEIGHBOURS_OF_TIME 10
#define NEIGHBOURS_OF_XID 1
#define LINE_LEN 1024

struct finding {
	const struct sw_config *config;
	struct sw_search_params params;
	const char *patterns[SW_PARSE_LIST_MAX];
	size_t limit; /* 0: all */
	bool plain;   /* what happened was asked for, not only the end of a transaction */
	struct sw_store *store;
	struct sw_repository repo;
	struct sw_inventory inventory;
	struct sw_search search;
	struct sw_progress progress;
	char restore[LINE_LEN / 2]; /* "seawall restore --pgdata DIR", with what was said to find */
};

static void
release_found(struct finding *f)
{
	sw_search_release(&f->search);
	sw_inventory_release(&f->inventory);
	sw_store_free(f->store);
	f->store = NULL;
}

/* --- what is asked for --------------------------------------------------------------- */

static sw_rc
read_times(struct finding *f, struct sw_error *err)
{
	struct sw_search_params *p = &f->params;
	const char *around = sw_config_string(f->config, SW_OPT_AROUND);
	sw_rc rc = sw_range_read(f->config, &p->since_us, &p->until_us, err);

	p->around = around != NULL;
	return rc == SW_OK && around != NULL ? sw_range_parse_time("around", around, &p->around_us, err) : rc;
}

static bool
parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value > max)
		return false;
	*ret_value = value;
	return true;
}

static sw_rc
read_numbers(struct finding *f, struct sw_error *err)
{
	const char *xid = sw_config_string(f->config, SW_OPT_XID),
		*timeline = sw_config_string(f->config, SW_OPT_TARGET_TIMELINE);
	uint64_t number = 0;

	f->params.by_xid = xid != NULL;
	if (xid != NULL && f->params.around) {
		sw_fail(err, SW_CONFIG, "--around and --xid are two questions");
		return sw_hint(err, "ask one after the other");
	}
	if (xid != NULL && (!parse_number(xid, UINT64_MAX, &f->params.xid) || (uint32_t)f->params.xid < 3)) {
		sw_fail(err, SW_CONFIG, "--xid \"%s\" is no transaction ID", xid);
		return sw_hint(err, "give the number that pg_current_xact_id() showed, or that stands in the server's log");
	}
	if (timeline != NULL && (!parse_number(timeline, UINT32_MAX, &number) || number == 0)) {
		sw_fail(err, SW_CONFIG, "--target-timeline \"%s\" is no timeline", timeline);
		return sw_hint(err, "give a number; without it all timelines are looked at");
	}
	f->params.timeline = (uint32_t)number;
	return SW_OK;
}

static void
read_kinds(struct finding *f)
{
	static const struct {
		enum sw_option option;
		unsigned kinds;
	} kinds[] = {
		{SW_OPT_DROPPED, SW_DEED_DROPPED | SW_DEED_DROPPED_OR_TRUNCATED | SW_DEED_DATABASE_DROPPED |
			SW_DEED_TABLESPACE_DROPPED},
		{SW_OPT_TRUNCATED, SW_DEED_TRUNCATED | SW_DEED_DROPPED_OR_TRUNCATED},
		{SW_OPT_REWRITTEN, SW_DEED_REWRITTEN},
		{SW_OPT_MASS_CHANGES, SW_DEED_MASS_CHANGE},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (sw_config_bool(f->config, kinds[i].option))
			f->params.kinds |= kinds[i].kinds;
	f->params.points = sw_config_bool(f->config, SW_OPT_RESTORE_POINT);
	f->plain = f->params.kinds != 0 || f->params.points || (!f->params.around && !f->params.by_xid);
	if (!f->plain || f->params.kinds != 0 || f->params.points)
		return;
	f->params.kinds = kinds[0].kinds | kinds[1].kinds | kinds[3].kinds;
	f->params.points = true;
}

/* Patterns, and with --mass-changes how many rows are many. */
static sw_rc
read_arguments(struct finding *f, struct sw_error *err)
{
	size_t count = sw_config_arg_count(f->config);
	bool has_min = false;

	f->params.changes_min = CHANGES_MIN;
	for (size_t i = 0; i < count; i++) {
		const char *arg = sw_config_arg(f->config, i);

		if (!has_min && sw_config_bool(f->config, SW_OPT_MASS_CHANGES) &&
			parse_number(arg, INT64_MAX, &f->params.changes_min)) {
			has_min = true;
			continue;
		}
		if (f->params.pattern_count == SW_PARSE_LIST_MAX)
			return sw_fail(err, SW_CONFIG, "more than %d patterns", SW_PARSE_LIST_MAX);
		f->patterns[f->params.pattern_count++] = arg;
	}
	f->params.patterns = f->patterns;
	if (f->params.pattern_count > 0 && !f->plain) {
		sw_fail(err, SW_CONFIG, "\"%s\" is one argument too many: --around and --xid take no pattern", f->patterns[0]);
		return sw_hint(err, "see 'seawall find --help'");
	}
	return SW_OK;
}

/* A word for a shell. */
static void
quote(const char *word, char *buf, size_t len)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";
	size_t at = 0;

	if (word[0] != '\0' && word[strspn(word, safe)] == '\0') {
		snprintf(buf, len, "%s", word);
		return;
	}
	buf[at++] = '\'';
	for (; *word != '\0' && at + 6 < len; word++) {
		if (*word == '\'') {
			memcpy(buf + at, "'\\''", 4);
			at += 4;
		} else {
			buf[at++] = *word;
		}
	}
	buf[at++] = '\'';
	buf[at] = '\0';
}

static void
begin_restore(struct finding *f)
{
	static const enum sw_option options[] = {SW_OPT_CONFIG, SW_OPT_CLUSTER};
	size_t len = (size_t)snprintf(f->restore, sizeof(f->restore), "seawall restore");

	for (size_t i = 0; i < 2; i++) {
		const struct sw_setting *setting = &f->config->arguments.of[options[i]];
		char word[256];

		if (setting->origin != SW_ORIGIN_ARGUMENT || strlen(setting->value.text) > 200)
			continue;
		quote(setting->value.text, word, sizeof(word));
		len += (size_t)snprintf(f->restore + len, sizeof(f->restore) - len, " --%s %s", i == 0 ? "config" : "cluster",
			word);
	}
	snprintf(f->restore + len, sizeof(f->restore) - len, " --pgdata DIR");
}

static sw_rc
read_request(struct finding *f, struct sw_error *err)
{
	sw_rc rc = read_times(f, err);

	if (rc == SW_OK)
		rc = read_numbers(f, err);
	if (rc != SW_OK)
		return rc;
	read_kinds(f);
	f->params.database = sw_config_string(f->config, SW_OPT_DATABASE);
	f->params.neighbours = f->params.around ? NEIGHBOURS_OF_TIME : NEIGHBOURS_OF_XID;
	f->params.workers = WORKERS;
	/* a program wants all of it, unless it says how much */
	if (!sw_config_bool(f->config, SW_OPT_JSON) || sw_config_is_set(f->config, SW_OPT_LIMIT))
		f->limit = (size_t)sw_config_int(f->config, SW_OPT_LIMIT);
	begin_restore(f);
	rc = read_arguments(f, err);
	return rc == SW_OK ? sw_config_need_repo(f->config, err) : rc;
}

/* --- words -------------------------------------------------------------------------- */

static const char *
relkind_word(char kind)
{
	switch (kind) {
	case 'r': return "table";
	case 'p': return "partitioned table";
	case 'm': return "materialized view";
	case 'v': return "view";
	case 'f': return "foreign table";
	case 'i':
	case 'I': return "index";
	case 'S': return "sequence";
	case 't': return "TOAST table";
	default: return "relation";
	}
}

static const char *
kind_word(unsigned kind)
{
	switch (kind) {
	case 0: return "restore point";
	case SW_DEED_DROPPED: return "dropped";
	case SW_DEED_TRUNCATED: return "truncated";
	case SW_DEED_REWRITTEN: return "rewritten";
	case SW_DEED_DROPPED_OR_TRUNCATED: return "dropped or truncated";
	case SW_DEED_MASS_CHANGE: return "mass change";
	case SW_DEED_DATABASE_DROPPED: return "database dropped";
	default: return "tablespace dropped";
	}
}

/* "shop.public.orders", "shop/16384". */
static void
name_text(const struct sw_deed *d, char *buf, size_t len)
{
	char database[80];

	if (d->database_name != NULL)
		snprintf(database, sizeof(database), "%s", d->database_name);
	else
		snprintf(database, sizeof(database), "%u", d->database);
	if (d->kind == SW_DEED_DATABASE_DROPPED)
		snprintf(buf, len, "%s", database);
	else if (d->kind == SW_DEED_TABLESPACE_DROPPED && d->relation_name != NULL)
		snprintf(buf, len, "%s", d->relation_name);
	else if (d->kind == SW_DEED_TABLESPACE_DROPPED)
		snprintf(buf, len, "%u", d->relation);
	else if (d->relation_name == NULL)
		snprintf(buf, len, "%s/%u", database, d->relation != 0 ? d->relation : d->filenode);
	else if (d->schema_name != NULL)
		snprintf(buf, len, "%s.%s.%s", database, d->schema_name, d->relation_name);
	else
		snprintf(buf, len, "%s.%s", database, d->relation_name);
	sw_cli_clean(buf);
}

/* "dropped table shop.public.orders" */
static void
deed_text(const struct sw_deed *d, char *buf, size_t len)
{
	const char *what = relkind_word(d->relkind);
	char name[256];

	name_text(d, name, sizeof(name));
	if (d->kind == SW_DEED_DATABASE_DROPPED || d->kind == SW_DEED_TABLESPACE_DROPPED)
		snprintf(buf, len, "dropped %s %s", d->kind == SW_DEED_DATABASE_DROPPED ? "database" : "tablespace", name);
	else if (d->kind == SW_DEED_MASS_CHANGE && d->updates == 0)
		snprintf(buf, len, "deleted %" PRIu64 " rows of %s %s", d->deletes, what, name);
	else if (d->kind == SW_DEED_MASS_CHANGE && d->deletes == 0)
		snprintf(buf, len, "updated %" PRIu64 " rows of %s %s", d->updates, what, name);
	else if (d->kind == SW_DEED_MASS_CHANGE)
		snprintf(buf, len, "deleted %" PRIu64 " and updated %" PRIu64 " rows of %s %s", d->deletes, d->updates, what, name);
	else
		snprintf(buf, len, "%s %s %s", d->kind == SW_DEED_REWRITTEN ? "rewrote" : kind_word(d->kind), what, name);
}

static void
add_timeline(const struct sw_search_way *way, char *buf, size_t len)
{
	size_t at = strlen(buf);

	if (way->timeline != 0)
		snprintf(buf + at, len - at, " --target-timeline %u", way->timeline);
}

static bool
is_plain_name(const char *name)
{
	return name[0] != '\0' && name[0] != '-' &&
		name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@")] == '\0';
}

/* The line to paste. */
static void
found_restore(const struct finding *f, const struct sw_search_found *found, char buf[LINE_LEN])
{
	char lsn[SW_LSN_LEN];

	if (found->deed.kind != 0 && !found->deed.by_lsn)
		snprintf(buf, LINE_LEN, "%s --target-xid %u --target-exclusive", f->restore, (uint32_t)found->deed.xid);
	else if (found->deed.kind == 0 && !found->point_repeated && is_plain_name(found->point.name))
		snprintf(buf, LINE_LEN, "%s --target-name %s", f->restore, found->point.name);
	else
		snprintf(buf, LINE_LEN, "%s --target-lsn %s --target-exclusive", f->restore,
			sw_lsn_format(found->deed.kind != 0 ? found->deed.target_lsn : found->point.end, lsn));
	add_timeline(&found->way, buf, LINE_LEN);
}

/* Stopping before `lsn` would be within a drop whose files go before its COMMIT: where that begins, or 0. */
static sw_lsn
half_dropped_from(const struct finding *f, uint32_t timeline, sw_lsn lsn)
{
	sw_lsn from = 0;

	for (size_t i = 0; i < f->search.found_count; i++) {
		const struct sw_search_found *found = &f->search.found[i];

		if (found->deed.kind != 0 && found->deed.by_lsn && found->timeline == timeline &&
			found->deed.target_lsn < lsn && lsn <= found->lsn && (from == 0 || found->deed.target_lsn < from))
			from = found->deed.target_lsn;
	}
	return from;
}

static void
hit_restore(const struct finding *f, const struct sw_search_place *p, bool exclusive, char buf[LINE_LEN])
{
	sw_lsn half = exclusive ? half_dropped_from(f, p->hit.timeline, p->hit.lsn) : 0;
	char lsn[SW_LSN_LEN];

	if (half != 0)
		snprintf(buf, LINE_LEN, "%s --target-lsn %s --target-exclusive", f->restore, sw_lsn_format(half, lsn));
	else if (p->repeated)
		snprintf(buf, LINE_LEN, "%s --target-lsn %s --target-exclusive", f->restore,
			sw_lsn_format(exclusive ? p->hit.lsn : p->hit.end, lsn));
	else
		snprintf(buf, LINE_LEN, "%s --target-xid %u%s", f->restore, (uint32_t)p->hit.xid,
			exclusive ? " --target-exclusive" : "");
	add_timeline(&p->way, buf, LINE_LEN);
}

static void
time_restore(const struct finding *f, const struct sw_search_place *p, char buf[LINE_LEN])
{
	const struct sw_end *next = p->around.behind_count > 0 ? &p->around.behind[0] : NULL;
	sw_lsn half = next != NULL ? half_dropped_from(f, next->timeline, next->lsn) : 0;
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN];

	if (half != 0)
		snprintf(buf, LINE_LEN, "%s --target-lsn %s --target-exclusive", f->restore, sw_lsn_format(half, lsn));
	else
		snprintf(buf, LINE_LEN, "%s --target-time '%s'", f->restore, sw_goal_time(f->params.around_us, time));
	add_timeline(&p->way, buf, LINE_LEN);
}

static char *
segment_name(const struct finding *f, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, f->repo.reg.segment_size, buf);
}

/* --- text ---------------------------------------------------------------------------- */

static const char unreachable[] = "cannot be restored: no backup with unbroken WAL up to here ends before it";

static void
print_way(const struct sw_search_way *way, const char *line)
{
	printf("    %s\n", way->reachable ? line : unreachable);
}

static void
print_size(const struct sw_deed *d)
{
	char size[SW_PROGRESS_SIZE_LEN], name[64];

	if (d->rows_before >= 0)
		printf("; at the last backup about %" PRId64 " rows", d->rows_before);
	if (d->bytes_before > 0)
		printf("%s%s", d->rows_before >= 0 ? ", " : "; at the last backup ", sw_progress_size(d->bytes_before, size));
	if (d->former_name != NULL) {
		snprintf(name, sizeof(name), "%s", d->former_name);
		sw_cli_clean(name);
		printf("; at the last backup its name was %s", name);
	}
}

static void
print_deed(const struct sw_deed *d)
{
	char lsn[SW_LSN_LEN], text[600];
	bool relation = d->kind != SW_DEED_DATABASE_DROPPED && d->kind != SW_DEED_TABLESPACE_DROPPED;

	deed_text(d, text, sizeof(text));
	printf("%s\n    LSN %s, %stransaction %" PRIu64 ", timeline %u", text, sw_lsn_format(d->lsn, lsn),
		d->prepared ? "prepared " : "", d->xid, d->timeline);
	if (relation)
		print_size(d);
	printf("\n");
	if (relation && d->relation_name == NULL)
		printf("    its name is not known: it was made after the last backup, and the WAL does not show it\n");
	if (d->name_unsure)
		printf("    its name is not sure: it may have been renamed, and the WAL does not tell all of that\n");
	else if (d->name_before_gap)
		printf("    its name is not sure: it may have been renamed in the WAL that is missing\n");
	if (d->unlogged && (d->kind & (SW_DEED_DROPPED | SW_DEED_TRUNCATED | SW_DEED_DROPPED_OR_TRUNCATED)) != 0)
		printf("    unlogged: its rows are in no backup\n");
	if (d->cut)
		printf("    the transaction did more than its WAL's summaries can tell\n");
}

static void
print_found(const struct finding *f, const struct sw_search_found *found)
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN], name[80], line[LINE_LEN];

	printf("%s  ", sw_goal_time(found->time_us, time));
	if (found->deed.kind != 0) {
		print_deed(&found->deed);
	} else {
		snprintf(name, sizeof(name), "%s", found->point.name);
		sw_cli_clean(name);
		printf("restore point \"%s\"\n    LSN %s, timeline %u%s\n", name, sw_lsn_format(found->lsn, lsn), found->timeline,
			found->point_repeated ? "; there are others of this name" : "");
	}
	found_restore(f, found, line);
	print_way(&found->way, line);
}

static void
print_end(const struct finding *f, const struct sw_end *end)
{
	char time[SW_GOAL_TIME_LEN], lsn[SW_LSN_LEN], text[600];

	printf("  %s  %-6s  %-17s  %" PRIu64 "%s", sw_goal_time(end->time_us, time), end->commit ? "commit" : "abort",
		sw_lsn_format(end->lsn, lsn), end->xid, end->prepared ? " (prepared)" : "");
	for (size_t i = 0; i < f->search.found_count; i++) {
		const struct sw_search_found *found = &f->search.found[i];

		if (found->deed.kind == 0 || found->timeline != end->timeline || found->lsn != end->lsn)
			continue;
		deed_text(&found->deed, text, sizeof(text));
		printf("  %s", text);
	}
	printf("\n");
}

static void
print_ends(const struct finding *f, const struct sw_end *ends, size_t count)
{
	for (size_t i = 0; i < count; i++)
		print_end(f, &ends[i]);
}

static void
print_place(const struct finding *f, const struct sw_search_place *p)
{
	char time[SW_GOAL_TIME_LEN], line[LINE_LEN];

	if (f->params.by_xid) {
		printf("transaction %" PRIu64, f->params.xid);
		if (p->subtransaction)
			printf(", a subtransaction of %" PRIu64 ",", p->hit.xid);
		printf(" %s on timeline %u\n", p->hit.commit ? "committed" : "aborted", p->hit.timeline);
	} else {
		printf("the way to timeline %u\n", p->timeline);
	}
	print_ends(f, p->around.before, p->around.before_count);
	if (f->params.by_xid)
		print_end(f, &p->hit);
	else
		printf("  %s  ------\n", sw_goal_time(f->params.around_us, time));
	print_ends(f, p->around.behind, p->around.behind_count);
	if (p->around.problem[0] != '\0')
		printf("  (%s)\n", p->around.problem);
	if (f->params.around) {
		time_restore(f, p, line);
		print_way(&p->way, line);
		return;
	}
	hit_restore(f, p, true, line);
	printf("  without it:\n");
	print_way(&p->way, line);
	hit_restore(f, p, false, line);
	printf("  with it:\n");
	print_way(&p->way, line);
}

/* Without a time there was no transaction in it. */
static void
print_ranges(const struct finding *f)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX], from[SW_GOAL_TIME_LEN], to[SW_GOAL_TIME_LEN];

	if (f->search.range_count == 0)
		printf("there is no WAL to look at\n");
	for (size_t i = 0; i < f->search.range_count; i++) {
		const struct sw_search_range *r = &f->search.ranges[i];

		printf("looked at timeline %u: %s to %s", r->timeline, segment_name(f, r->timeline, r->first, a),
			segment_name(f, r->timeline, r->last, b));
		if (r->last_us != 0)
			printf(", transactions from %s to %s", sw_goal_time(r->first_us, from), sw_goal_time(r->last_us, to));
		printf("\n");
	}
}

static void
print_gaps(const struct finding *f)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];
	size_t count = f->search.gap_count, skip = f->limit > 0 && count > f->limit ? count - f->limit : 0;

	if (skip > 0)
		printf("%zu stretches of WAL were not, or not wholly, looked at; the last of them:\n", count);
	for (size_t i = skip; i < count; i++) {
		const struct sw_search_gap *g = &f->search.gaps[i];

		printf("%s: %s", g->reason == NULL ? "missing, so not looked at" : "not wholly looked at",
			segment_name(f, g->timeline, g->first, a));
		if (g->last > g->first)
			printf(" to %s", segment_name(f, g->timeline, g->last, b));
		if (g->reason != NULL) {
			printf(": ");
			sw_cli_print_clean(g->reason);
		} else if (sw_dropped_text(&f->inventory, g->timeline, g->first, g->last, why)[0] != '\0') {
			printf(", %s", why);
		}
		printf("\n");
	}
}

static size_t
count_asked(const struct finding *f)
{
	size_t count = 0;

	for (size_t i = 0; i < f->search.found_count; i++)
		count += f->search.found[i].asked;
	return count;
}

static void
print_text(const struct finding *f)
{
	size_t asked = count_asked(f), skip = f->limit > 0 && asked > f->limit ? asked - f->limit : 0, seen = 0;

	for (size_t i = 0; i < f->search.found_count; i++)
		if (f->search.found[i].asked && seen++ >= skip)
			print_found(f, &f->search.found[i]);
	for (size_t i = 0; i < f->search.place_count; i++)
		print_place(f, &f->search.places[i]);
	if (skip > 0)
		printf("the newest %zu of %zu; --limit=0 shows all\n", f->limit, asked);
	if (f->search.unnamed > 0)
		printf("%" PRIu64 " more may be meant: their names are not known, or not sure; without a pattern they are shown\n",
			f->search.unnamed);
	if (f->plain && asked == 0)
		printf("nothing of that kind was found\n");
	if (f->params.by_xid && f->search.place_count == 0)
		printf("transaction %" PRIu64 " did not end in the WAL that is there\n", f->params.xid);
	if (f->params.around && f->search.place_count == 0)
		printf("no transaction ended in the WAL that is there\n");
	if (asked + f->search.place_count == 0) {
		print_ranges(f);
		printf("what is not archived yet is not seen; SELECT pg_switch_wal() on the server archives it\n");
	}
	if (f->plain && asked == 0 && f->params.pattern_count > 0)
		printf("what happened has the name that it had then; without a pattern all is shown\n");
	print_gaps(f);
}

/* --- JSON ---------------------------------------------------------------------------- */

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

	return json_string(sw_lsn_format(lsn, text));
}

static json_t *
json_name(const char *name)
{
	return name == NULL ? json_null() : sw_json_text(name);
}

static json_t *
json_xid(uint64_t xid)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, xid);
	return json_string(text);
}

/* The command line, or null where none helps. */
static json_t *
json_restore(const struct sw_search_way *way, const char *line)
{
	return way->reachable ? sw_json_text(line) : json_null();
}

static json_t *
found_json(const struct finding *f, const struct sw_search_found *found)
{
	const struct sw_deed *d = &found->deed;
	char line[LINE_LEN], kind[2] = {d->relkind, '\0'};

	found_restore(f, found, line);
	if (d->kind == 0)
		return json_pack("{s:s, s:o, s:o, s:I, s:o, s:b, s:b, s:o}", "kind", kind_word(0),
			"time", json_time(found->time_us), "lsn", json_lsn(found->lsn), "timeline", (json_int_t)found->timeline,
			"name", sw_json_text(found->point.name), "repeated", found->point_repeated,
			"reachable", found->way.reachable, "restore", json_restore(&found->way, line));
	return json_pack("{s:s, s:o, s:o, s:o, s:b, s:b, s:I, s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:b, s:b, s:o, s:I, s:I, s:I, s:o, s:b, s:o}",
		"kind", kind_word(d->kind), "time", json_time(d->time_us), "lsn", json_lsn(d->lsn), "xid", json_xid(d->xid),
		"prepared", d->prepared, "incomplete", d->cut, "timeline", (json_int_t)d->timeline,
		"database", json_name(d->database_name), "database_oid", (json_int_t)d->database,
		"schema", json_name(d->schema_name), "relation", json_name(d->relation_name),
		"relation_oid", (json_int_t)d->relation, "filenode", (json_int_t)d->filenode, "relkind", d->relkind != 0 ? sw_json_text(kind) : json_null(),
		"former_name", json_name(d->former_name), "name_unsure", d->name_unsure || d->name_before_gap,
		"unlogged", d->unlogged, "rows_before", d->rows_before >= 0 ? json_integer(d->rows_before) : json_null(),
		"bytes_before", (json_int_t)d->bytes_before, "updates", (json_int_t)d->updates,
		"deletes", (json_int_t)d->deletes, "target_lsn", json_lsn(d->target_lsn), "reachable", found->way.reachable,
		"restore", json_restore(&found->way, line));
}

static json_t *
end_json(const struct sw_end *end)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:b}", "end", end->commit ? "commit" : "abort",
		"time", json_time(end->time_us), "lsn", json_lsn(end->lsn), "xid", json_xid(end->xid),
		"timeline", (json_int_t)end->timeline, "prepared", end->prepared);
}

static json_t *
place_json(const struct finding *f, const struct sw_search_place *p)
{
	json_t *before = json_array(), *behind = json_array(), *object;
	char line[LINE_LEN];

	for (size_t i = 0; i < p->around.before_count; i++)
		json_array_append_new(before, end_json(&p->around.before[i]));
	for (size_t i = 0; i < p->around.behind_count; i++)
		json_array_append_new(behind, end_json(&p->around.behind[i]));
	object = json_pack("{s:I, s:o, s:o, s:b, s:o}", "way_to_timeline", (json_int_t)p->timeline, "before", before,
		"after", behind, "reachable", p->way.reachable,
		"problem", p->around.problem[0] != '\0' ? sw_json_text(p->around.problem) : json_null());
	if (f->params.around) {
		time_restore(f, p, line);
		json_object_set_new(object, "restore", json_restore(&p->way, line));
		return object;
	}
	json_object_set_new(object, "transaction", end_json(&p->hit));
	json_object_set_new(object, "subtransaction", json_boolean(p->subtransaction));
	hit_restore(f, p, true, line);
	json_object_set_new(object, "restore_without", json_restore(&p->way, line));
	hit_restore(f, p, false, line);
	json_object_set_new(object, "restore_with", json_restore(&p->way, line));
	return object;
}

static json_t *
looked_json(const struct finding *f)
{
	json_t *ranges = json_array(), *gaps = json_array();
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];

	for (size_t i = 0; i < f->search.range_count; i++) {
		const struct sw_search_range *r = &f->search.ranges[i];

		json_array_append_new(ranges, json_pack("{s:I, s:s, s:s, s:o, s:o}", "timeline", (json_int_t)r->timeline,
			"first", segment_name(f, r->timeline, r->first, a), "last", segment_name(f, r->timeline, r->last, b),
			"first_time", json_time(r->first_us), "last_time", json_time(r->last_us)));
	}
	for (size_t i = 0; i < f->search.gap_count; i++) {
		const struct sw_search_gap *g = &f->search.gaps[i];
		int64_t us;
		uint64_t dropped = g->reason != NULL ? 0 : sw_dropped_count(&f->inventory, g->timeline, g->first, g->last, &us);

		json_array_append_new(gaps, json_pack("{s:I, s:s, s:s, s:b, s:o, s:I}", "timeline", (json_int_t)g->timeline,
			"first", segment_name(f, g->timeline, g->first, a), "last", segment_name(f, g->timeline, g->last, b),
			"missing", g->reason == NULL, "reason", json_name(g->reason), "dropped", (json_int_t)dropped));
	}
	return json_pack("{s:o, s:o}", "wal", ranges, "gaps", gaps);
}

static sw_rc
print_json(const struct finding *f, struct sw_error *err)
{
	size_t asked = count_asked(f), skip = f->limit > 0 && asked > f->limit ? asked - f->limit : 0, seen = 0;
	json_t *found = json_array(), *places = json_array();
	SW_AUTO_JSON *object = NULL;
	char id[24];

	for (size_t i = 0; i < f->search.found_count; i++)
		if (f->search.found[i].asked && seen++ >= skip)
			json_array_append_new(found, found_json(f, &f->search.found[i]));
	for (size_t i = 0; i < f->search.place_count; i++)
		json_array_append_new(places, place_json(f, &f->search.places[i]));
	snprintf(id, sizeof(id), "%" PRIu64, f->repo.reg.system_identifier);
	object = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:o}", "cluster", f->repo.cluster, "system_identifier", id,
		"url", sw_store_url(f->store), "found", found, "found_count", (json_int_t)asked,
		"unnamed", (json_int_t)f->search.unnamed, "places", places, "looked_at", looked_json(f));
	if (object == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
	return SW_OK;
}

/* --- the verb -------------------------------------------------------------------------- */

static void
tick(void *ctx, uint64_t done, uint64_t total)
{
	struct finding *f = ctx;

	sw_progress_show(&f->progress, done * f->repo.reg.segment_size, total * f->repo.reg.segment_size);
}

static sw_rc
search_repository(struct finding *f, unsigned i, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_registration *regs = calloc(SYSTEMS_MAX, sizeof(*regs));
	const char *cluster = sw_config_cluster(f->config);
	size_t count = 0;
	sw_rc rc;

	if (regs == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_store_open(f->config, i, &f->store, err);
	if (rc == SW_OK)
		rc = sw_repository_list(f->store, cluster, regs, SYSTEMS_MAX, &count, err);
	if (rc == SW_OK && count == 0) {
		sw_fail(err, SW_CONFIG, "cluster \"%s\" is not registered in %s", cluster, sw_store_url(f->store));
		return sw_hint(err, "run 'seawall init', or name the cluster with --cluster");
	}
	/* after pg_upgrade the newest is what runs */
	if (rc == SW_OK)
		rc = sw_repository_open(f->store, cluster, regs[count - 1].system_identifier, &f->repo, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_backups(&f->repo, &f->inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_wal(&f->repo, 0, 0, &f->inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_gaps(&f->repo, &f->inventory, err);
	if (rc != SW_OK)
		return rc;
	f->params.repo = &f->repo;
	f->params.inventory = &f->inventory;
	f->params.tick = tick;
	f->params.tick_ctx = f;
	sw_progress_init(&f->progress, f->config, "find");
	rc = sw_search_run(&f->params, &f->search, err);
	sw_progress_end(&f->progress);
	return rc;
}

/* All repositories of a cluster hold the same: the first that answers, and has it. */
static sw_rc
search_any(struct finding *f, struct sw_error *err)
{
	unsigned count = sw_config_repo_count(f->config);
	struct sw_error first = SW_ERROR_INIT;

	for (unsigned i = 0; i < count; i++) {
		if (search_repository(f, i, err) == SW_OK)
			return SW_OK;
		release_found(f);
		if (first.rc == SW_OK)
			first = *err;
		if (i + 1 < count)
			sw_log(SW_LOG_WARNING, "%s; trying the next repository", err->text);
	}
	*err = first;
	return first.rc == SW_NOT_FOUND ? err->rc = SW_SYSTEM : first.rc;
}

sw_rc
sw_cmd_find(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	SW_AUTO_FREE struct finding *f = calloc(1, sizeof(*f));
	sw_rc rc;

	*ret_status = 0;
	if (f == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	f->config = config;
	rc = read_request(f, err);
	if (rc == SW_OK)
		rc = search_any(f, err);
	if (rc != SW_OK)
		return rc;
	if (sw_config_bool(config, SW_OPT_JSON))
		rc = print_json(f, err);
	else
		print_text(f);
	if (rc == SW_OK && !sw_config_bool(config, SW_OPT_JSON))
		rc = sw_gaps_print(&f->repo, &f->inventory, err);
	if (count_asked(f) + f->search.place_count == 0)
		*ret_status = 3;
	release_found(f);
	return rc;
}
