/*
 * seawall status - how archiving stands: repositories, what each lacks, the newest backup, what waits; from lists alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/ledger.h"
#include "archive/missing.h"
#include "archive/outage.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/gaps.h"
#include "cli/progress.h"
#include "cli/registered.h"
#include "pg/connection.h"
#include "pg/control.h"

#define PATIENCE_MS 10000          /* who has not answered then is told as not reached */
#define QUEUE_OLD_US (INT64_C(300) * 1000000) /* what waits so long is not being archived */
#define UNDER_WAY_US (INT64_C(60) * 1000000)  /* so young an object may be about to arrive elsewhere */
#define SPOOL_DEPTH 6

struct repo_status {
	struct sw_error err; /* rc SW_OK: it was reached */
	struct sw_outage outage;
	uint64_t objects, lacks, lacks_bytes;
	uint64_t lacks_long; /* of those, for a while */
	uint64_t beside;     /* copies beside others */
	char last[SW_WAL_NAME_MAX];
	int64_t last_us;
	char backup[256];
	int64_t backup_us; /* 0: none */
	char dropped[SW_GAPS_TEXT_LEN]; /* and no backup since */
};

struct queue {
	bool known;
	uint64_t count, bytes;
	bool bytes_known;
	int64_t oldest_us; /* 0: none */
};

/* The newest place where a segment follows one that is not the one before it, whatever repository has them. */
struct hole {
	uint32_t timeline;
	uint64_t segment; /* that came last; */
	bool any;         /* if one did */
	char behind[SW_WAL_NAME_MAX];
	int64_t behind_us; /* 0: there is no hole */
};

struct status {
	const struct sw_config *config;
	struct sw_registered registered;
	uint64_t system;
	struct repo_status repos[SW_QUORUM_MAX];
	unsigned reached[SW_QUORUM_MAX]; /* their numbers */
	unsigned reached_count;
	const char *pgdata;
	struct sw_control control;
	bool control_read;
	struct queue queue;
	struct hole hole;
	uint32_t segment_size;
	bool spool_known;
	uint64_t spool_bytes;
	struct sw_error server; /* rc SW_OK: it answered */
	char failed_wal[64], failed_time[64], archived_wal[64], archived_time[64];
	uint64_t failures;
	bool failing; /* the last attempt was a failure */
	char untold[SW_GAPS_TEXT_LEN];
	json_t *attention;
};

/* --- what needs a human ---------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
attend(struct status *s, const char *fmt, ...)
{
	char text[2200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(s->attention, sw_json_text(text));
}

/* --- repositories -------------------------------------------------------------------------- */

/* Segments come in order. */
static void
look_for_hole(struct hole *hole, const struct sw_missing_item *item, int64_t modified_us, uint32_t segment_size)
{
	if (item->alt || item->wal.kind != SW_WAL_SEGMENT)
		return;
	if (hole->any && hole->timeline == item->wal.timeline && item->wal.segment > hole->segment + 1) {
		sw_wal_name_format(&item->wal, segment_size, hole->behind);
		hole->behind_us = modified_us;
	}
	hole->timeline = item->wal.timeline;
	hole->segment = item->wal.segment;
	hole->any = true;
}

static sw_rc
look_at_items(void *ctx, const struct sw_missing_item *items, size_t count, struct sw_error *err)
{
	struct status *s = ctx;
	int64_t now = sw_clock_now_us();

	(void)err;
	for (size_t k = 0; k < count; k++) {
		const struct sw_missing_item *item = &items[k];
		unsigned with = 0;

		while (!item->has[with])
			with++;
		look_for_hole(&s->hole, item, item->info[with].modified_us, s->segment_size);
		for (unsigned i = 0; i < s->reached_count; i++) {
			struct repo_status *r = &s->repos[s->reached[i]];

			if (!item->has[i]) {
				r->lacks++;
				r->lacks_bytes += item->info[with].size;
				r->lacks_long += item->info[with].modified_us < now - UNDER_WAY_US;
				continue;
			}
			r->objects++;
			r->beside += item->alt;
			if (item->wal.kind != SW_WAL_SEGMENT || item->alt)
				continue;
			/* names come in the order of timelines and segments */
			sw_wal_name_format(&item->wal, s->registered.repos[s->reached[i]].regs[0].segment_size, r->last);
			r->last_us = item->info[i].modified_us;
		}
	}
	return SW_OK;
}

struct newest {
	size_t prefix_len;
	struct repo_status *repo;
};

static sw_rc
look_at_backup(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct newest *newest = ctx;
	const char *label = name + newest->prefix_len, *slash = strchr(label, '/');

	(void)err;
	if (slash == NULL || strcmp(slash, "/manifest.zst") != 0 || info->modified_us <= newest->repo->backup_us)
		return SW_OK;
	newest->repo->backup_us = info->modified_us;
	snprintf(newest->repo->backup, sizeof(newest->repo->backup), "%.*s", (int)(slash - label), label);
	return SW_OK;
}

static sw_rc
find_backup(struct sw_repository *repo, struct repo_status *r, struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX];
	struct newest newest = {.repo = r};

	newest.prefix_len = strlen(sw_repository_name(repo, prefix, "backup/"));
	return sw_store_list(repo->store, prefix, NULL, look_at_backup, &newest, err);
}

/* The data directory's system; without one, the newest that is registered. */
static void
choose_system(struct status *s)
{
	uint64_t systems[SW_REGISTERED_SYSTEMS_MAX];
	size_t count = sw_registered_systems(&s->registered, systems);

	s->system = s->control_read ? s->control.system_identifier : count > 0 ? systems[count - 1] : 0;
}

static void
open_system(struct status *s, struct sw_repository *repos)
{
	for (unsigned i = 0; i < s->registered.count; i++) {
		struct sw_registered_repo *repo = &s->registered.repos[i];
		struct repo_status *r = &s->repos[i];
		bool records;

		r->err = repo->err;
		if (r->err.rc == SW_OK && sw_repository_open(repo->store, sw_config_cluster(s->config), s->system,
			&repos[s->reached_count], &r->err) == SW_OK)
			r->err.rc = find_backup(&repos[s->reached_count], r, &r->err);
		if (r->err.rc == SW_OK)
			r->err.rc = sw_gaps_look(&repos[s->reached_count], r->dropped, &records, &r->err);
		if (r->err.rc == SW_OK)
			s->reached[s->reached_count++] = i;
	}
}

static sw_rc
look_at_repositories(struct status *s, struct sw_error *err)
{
	struct sw_repository repos[SW_QUORUM_MAX];

	choose_system(s);
	open_system(s, repos);
	s->segment_size = s->reached_count == 0 ? 0 : repos[0].reg.segment_size;
	return s->reached_count == 0 ? SW_OK : sw_missing_walk(repos, s->reached_count, look_at_items, s, err);
}

/* --- the data directory ------------------------------------------------------------------------ */

static void
count_ready(struct status *s, int wal, const char *ready)
{
	size_t len = strlen(ready);
	char path[300], file[300];
	struct stat st;

	if (len <= 6 || len > 200 || strcmp(ready + len - 6, ".ready") != 0)
		return;
	s->queue.count++;
	snprintf(path, sizeof(path), "archive_status/%s", ready);
	snprintf(file, sizeof(file), "%.*s", (int)len - 6, ready);
	if (fstatat(wal, file, &st, 0) == 0)
		s->queue.bytes += (uint64_t)st.st_size;
	if (fstatat(wal, path, &st, 0) != 0)
		return;
	if (s->queue.oldest_us == 0 || (int64_t)st.st_mtim.tv_sec * 1000000 < s->queue.oldest_us)
		s->queue.oldest_us = (int64_t)st.st_mtim.tv_sec * 1000000;
}

static void
look_at_queue(struct status *s, int wal)
{
	int fd = openat(wal, "archive_status", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *found;

	if (dir == NULL) {
		sw_close_fd(&fd);
		return;
	}
	s->queue.known = s->queue.bytes_known = true;
	while ((found = readdir(dir)) != NULL)
		count_ready(s, wal, found->d_name);
	closedir(dir);
}

static void
add_sizes(struct status *s, int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *found;

	if (dir == NULL) {
		sw_close_fd(&fd);
		return;
	}
	while ((found = readdir(dir)) != NULL) {
		struct stat st;

		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 ||
			fstatat(fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode))
			s->spool_bytes += (uint64_t)st.st_blocks * 512;
		else if (S_ISDIR(st.st_mode) && depth < SPOOL_DEPTH)
			add_sizes(s, fd, found->d_name, depth + 1);
	}
	closedir(dir);
}

static void
look_at_outages(struct status *s, const char *wal_path)
{
	SW_AUTO_FREE char *file = NULL;
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_ledger ledger = {0};

	if (asprintf(&file, "%s/x", wal_path) < 0 ||
		sw_ledger_init(&ledger, s->config, file, s->control.system_identifier, &ignored) != SW_OK)
		return;
	for (unsigned i = 0; i < s->registered.count; i++)
		if (!sw_outage_read(&ledger, i, &s->repos[i].outage))
			s->repos[i].outage = (struct sw_outage){0};
	sw_ledger_release(&ledger);
}

static void
look_at_directory(struct status *s)
{
	const char *spools[] = {sw_config_string(s->config, SW_OPT_PUSH_SPOOL), sw_config_string(s->config, SW_OPT_FETCH_SPOOL)};
	SW_AUTO_FREE char *path = NULL;
	struct sw_error unread = SW_ERROR_INIT;
	SW_AUTO_FD wal = -1;

	if (!s->control_read || asprintf(&path, "%s/pg_wal", s->pgdata) < 0)
		return;
	wal = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (wal < 0)
		return;
	look_at_queue(s, wal);
	if (sw_gaps_untold(s->config, s->pgdata, &s->control, s->untold, &unread) != SW_OK)
		snprintf(s->untold, sizeof(s->untold), "records of dropped WAL cannot be read: %.1000s", unread.text);
	look_at_outages(s, path);
	s->spool_known = true;
	add_sizes(s, wal, "seawall.spool", 0);
	for (int i = 0; i < 2; i++)
		if (spools[i] != NULL)
			add_sizes(s, AT_FDCWD, spools[i], 0);
}

/* --- the server ------------------------------------------------------------------------------------ */

static sw_rc
take_archiver(void *ctx, const char *const *values, struct sw_error *err)
{
	struct status *s = ctx;

	(void)err;
	snprintf(s->archived_wal, sizeof(s->archived_wal), "%s", values[0] != NULL ? values[0] : "");
	snprintf(s->archived_time, sizeof(s->archived_time), "%s", values[1] != NULL ? values[1] : "");
	snprintf(s->failed_wal, sizeof(s->failed_wal), "%s", values[2] != NULL ? values[2] : "");
	snprintf(s->failed_time, sizeof(s->failed_time), "%s", values[3] != NULL ? values[3] : "");
	s->failures = values[4] != NULL ? strtoull(values[4], NULL, 10) : 0;
	s->failing = values[5] != NULL && strcmp(values[5], "t") == 0;
	return SW_OK;
}

static sw_rc
take_queue(void *ctx, const char *const *values, struct sw_error *err)
{
	struct status *s = ctx;

	(void)err;
	s->queue.known = true;
	s->queue.count = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
	s->queue.oldest_us = values[1] != NULL ? (int64_t)strtoull(values[1], NULL, 10) * 1000000 : 0;
	return SW_OK;
}

static void
look_at_server(struct status *s)
{
	static const char archiver[] = "SELECT last_archived_wal, to_char(last_archived_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
		" || 'Z', last_failed_wal, to_char(last_failed_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || 'Z', failed_count,"
		" last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver";
	static const char queue[] = "SELECT count(*), floor(extract(epoch FROM min(modification))) FROM pg_ls_archive_statusdir()"
		" WHERE name LIKE '%.ready'";
	struct sw_pg *pg = NULL;
	struct sw_error ignored = SW_ERROR_INIT;

	if (sw_pg_connect_database(s->config, sw_config_string(s->config, SW_OPT_PG_DATABASE), PATIENCE_MS, &pg, &s->server) != SW_OK ||
		sw_pg_query(pg, archiver, 6, take_archiver, s, &s->server) != SW_OK) {
		sw_pg_close(pg);
		return;
	}
	s->server.rc = SW_OK;
	if (!s->queue.known)
		(void)sw_pg_query(pg, queue, 2, take_queue, s, &ignored);
	sw_pg_close(pg);
}

/* --- judging ------------------------------------------------------------------------------------------ */

static void
judge_repository(struct status *s, unsigned i)
{
	const struct repo_status *r = &s->repos[i];
	const char *name = s->registered.repos[i].name;
	char since[SW_CLOCK_ISO_LEN];

	if (r->err.rc != SW_OK)
		attend(s, "repository %s: %s%s%s", name, r->err.text, r->err.hint[0] != '\0' ? "; " : "", r->err.hint);
	if (r->outage.since_us != 0)
		attend(s, "repository %s is down for the archiver since %.19sZ: %s", name, sw_clock_iso(r->outage.since_us, since),
			r->outage.reason);
	if (r->dropped[0] != '\0')
		attend(s, "WAL IS MISSING in repository %s: %s; nothing that was committed in it or behind it can be recovered from there until "
			"there is a new backup: run 'seawall backup%s%s'", name, r->dropped, i > 0 ? " --repo " : "", i > 0 ? name : "");
	if (r->lacks_long > 0)
		attend(s, "repository %s lacks %" PRIu64 " WAL object%s that another has: run 'seawall sync', and have it on a timer", name,
			r->lacks_long, r->lacks_long == 1 ? "" : "s");
}

/* A hole before the newest backup is of the past, and one that was just left is being filled. */
static void
judge_hole(struct status *s)
{
	int64_t backup_us = 0;

	for (unsigned i = 0; i < s->registered.count; i++) {
		if (s->repos[i].dropped[0] != '\0')
			return; /* which is told */
		if (s->repos[i].backup_us > backup_us)
			backup_us = s->repos[i].backup_us;
	}
	if (s->hole.behind_us != 0 && s->hole.behind_us > backup_us && s->hole.behind_us < sw_clock_now_us() - UNDER_WAY_US)
		attend(s, "WAL IS MISSING before %s, behind the newest backup, and no repository that was reached has it: 'seawall targets' tells "
			"what can be recovered; run 'seawall backup'", s->hole.behind);
}

static void
judge(struct status *s)
{
	char age[SW_PROGRESS_TIME_LEN];
	bool backup = false;

	for (unsigned i = 0; i < s->registered.count; i++) {
		judge_repository(s, i);
		backup = backup || s->repos[i].backup_us != 0;
	}
	if (s->untold[0] != '\0')
		attend(s, "%s", s->untold);
	if (s->reached_count > 0 && !backup)
		attend(s, "there is no backup: run 'seawall backup'");
	judge_hole(s);
	if (s->failing)
		attend(s, "archiving fails, the last time at %s with %s: see the server's log, and run 'seawall check'", s->failed_time,
			s->failed_wal);
	else if (s->queue.known && s->queue.oldest_us != 0 && s->queue.oldest_us < sw_clock_now_us() - QUEUE_OLD_US)
		attend(s, "WAL waits to be archived for %s: the server's log tells whether its archiver runs, and 'seawall check' what it "
			"should be told to do", sw_progress_time((sw_clock_now_us() - s->queue.oldest_us) / 1000000, age));
}

/* --- printing ------------------------------------------------------------------------------------------ */

static char *
age_of(int64_t time_us, char buf[SW_PROGRESS_TIME_LEN])
{
	int64_t age = (sw_clock_now_us() - time_us) / 1000000;

	return sw_progress_time(age < 0 ? 0 : age, buf);
}

static void
print_repository(const struct status *s, unsigned i)
{
	const struct repo_status *r = &s->repos[i];
	const struct sw_registered_repo *repo = &s->registered.repos[i];
	char age[SW_PROGRESS_TIME_LEN], size[SW_PROGRESS_SIZE_LEN], when[SW_CLOCK_ISO_LEN];

	printf("repository %s (%s): %s\n", repo->name, repo->store != NULL ? sw_store_url(repo->store) : "?",
		r->err.rc == SW_OK ? "reached" : "NOT REACHED");
	if (r->err.rc != SW_OK)
		return;
	if (r->last[0] != '\0')
		printf("  newest WAL: %s, archived %.19sZ, %s ago\n", r->last, sw_clock_iso(r->last_us, when), age_of(r->last_us, age));
	else
		printf("  no WAL yet\n");
	if (r->lacks > 0)
		printf("  lacks: %" PRIu64 " WAL object%s (%s) that another repository has\n", r->lacks, r->lacks == 1 ? "" : "s",
			sw_progress_size(r->lacks_bytes, size));
	if (r->beside > 0)
		printf("  conflicts: %" PRIu64 " other cop%s, kept beside what was there first (.alt-)\n", r->beside,
			r->beside == 1 ? "y" : "ies");
	if (r->backup_us != 0)
		printf("  newest backup: %s, %s ago\n", r->backup, age_of(r->backup_us, age));
	else
		printf("  no backup\n");
}

static void
print_status(const struct status *s)
{
	char age[SW_PROGRESS_TIME_LEN], size[SW_PROGRESS_SIZE_LEN];
	json_t *line;
	size_t at;

	printf("cluster \"%s\", system identifier %" PRIu64 "\n", sw_config_cluster(s->config), s->system);
	for (unsigned i = 0; i < s->registered.count; i++)
		print_repository(s, i);
	if (s->queue.known)
		printf("queue: %" PRIu64 " file%s wait%s to be archived", s->queue.count, s->queue.count == 1 ? "" : "s",
			s->queue.count == 1 ? "s" : "");
	if (s->queue.known && s->queue.count > 0 && s->queue.bytes_known)
		printf(", %s", sw_progress_size(s->queue.bytes, size));
	if (s->queue.known && s->queue.oldest_us != 0)
		printf(", the oldest for %s", age_of(s->queue.oldest_us, age));
	printf("%s", s->queue.known ? "\n" : "");
	if (s->server.rc != SW_OK)
		printf("server: does not answer: %s\n", s->server.text);
	else if (s->failed_time[0] != '\0')
		printf("archiver: last success %s %s; last failure %s %s, %" PRIu64 " in all\n", s->archived_wal, s->archived_time,
			s->failed_wal, s->failed_time, s->failures);
	else
		printf("archiver: last success %s %s; no failure\n", s->archived_wal[0] != '\0' ? s->archived_wal : "(none)",
			s->archived_time);
	if (s->spool_known)
		printf("spool: %s\n", sw_progress_size(s->spool_bytes, size));
	json_array_foreach(s->attention, at, line) {
		printf("ATTENTION: ");
		sw_cli_print_clean(json_string_value(line));
		printf("\n");
	}
}

static json_t *
time_or_null(int64_t time_us)
{
	char text[SW_CLOCK_ISO_LEN];

	return time_us == 0 ? json_null() : json_string(sw_clock_iso(time_us, text));
}

static json_t *
text_or_null(const char *text)
{
	return text[0] == '\0' ? json_null() : sw_json_text(text);
}

static json_t *
repository_json(const struct status *s, unsigned i)
{
	const struct repo_status *r = &s->repos[i];
	const struct sw_registered_repo *repo = &s->registered.repos[i];
	bool reached = r->err.rc == SW_OK;
	json_t *object = json_pack("{s:s, s:s?, s:b, s:o, s:o, s:o}", "repo", repo->name,
		"url", repo->store != NULL ? sw_store_url(repo->store) : NULL, "reached", reached,
		"error", reached ? json_null() : sw_json_text(r->err.text), "down_since", time_or_null(r->outage.since_us),
		"down_reason", text_or_null(r->outage.since_us != 0 ? r->outage.reason : ""));

	if (object == NULL || !reached)
		return object;
	json_object_set_new(object, "objects", json_integer((json_int_t)r->objects));
	json_object_set_new(object, "lacks", json_integer((json_int_t)r->lacks));
	json_object_set_new(object, "lacks_bytes", json_integer((json_int_t)r->lacks_bytes));
	json_object_set_new(object, "conflicts", json_integer((json_int_t)r->beside));
	json_object_set_new(object, "last_wal", text_or_null(r->last));
	json_object_set_new(object, "last_wal_time", time_or_null(r->last_us));
	json_object_set_new(object, "last_backup", text_or_null(r->backup));
	json_object_set_new(object, "last_backup_time", time_or_null(r->backup_us));
	return object;
}

static json_t *
server_json(const struct status *s)
{
	if (s->server.rc != SW_OK)
		return json_pack("{s:b, s:o}", "answered", 0, "note", sw_json_text(s->server.text));
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:I, s:b}", "answered", 1, "last_archived_wal", text_or_null(s->archived_wal),
		"last_archived_time", text_or_null(s->archived_time), "last_failed_wal", text_or_null(s->failed_wal),
		"last_failed_time", text_or_null(s->failed_time), "failures", (json_int_t)s->failures, "failing", s->failing);
}

static void
print_json(const struct status *s)
{
	json_t *repos = json_array(), *queue = json_null();
	SW_AUTO_JSON *document = NULL;
	char id[24];

	for (unsigned i = 0; i < s->registered.count; i++)
		json_array_append_new(repos, repository_json(s, i));
	if (s->queue.known)
		queue = json_pack("{s:I, s:o, s:o}", "files", (json_int_t)s->queue.count, "bytes",
			s->queue.bytes_known ? json_integer((json_int_t)s->queue.bytes) : json_null(),
			"oldest", time_or_null(s->queue.oldest_us));
	snprintf(id, sizeof(id), "%" PRIu64, s->system);
	document = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:O}", "cluster", sw_config_cluster(s->config), "system_identifier", id,
		"repositories", repos, "queue", queue, "server", server_json(s),
		"spool_bytes", s->spool_known ? json_integer((json_int_t)s->spool_bytes) : json_null(), "attention", s->attention);
	json_dumpf(document, stdout, JSON_INDENT(2));
	printf("\n");
}

/* --- the verb --------------------------------------------------------------------------------------------- */

sw_rc
sw_cmd_status(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct status s = {.config = config, .attention = json_array(), .pgdata = sw_config_string(config, SW_OPT_PGDATA)};
	struct sw_error ignored = SW_ERROR_INIT;
	sw_rc rc;

	s.control_read = s.pgdata != NULL && sw_control_read(s.pgdata, &s.control, NULL, &ignored) == SW_OK;
	rc = sw_registered_open(config, PATIENCE_MS, &s.registered, err);
	if (rc == SW_OK)
		rc = look_at_repositories(&s, err);
	if (rc == SW_OK) {
		look_at_directory(&s);
		look_at_server(&s);
		judge(&s);
		if (sw_config_bool(config, SW_OPT_JSON))
			print_json(&s);
		else
			print_status(&s);
		*ret_status = json_array_size(s.attention) > 0 ? 3 : 0;
	}
	sw_registered_release(&s.registered);
	json_decref(s.attention);
	return rc;
}
