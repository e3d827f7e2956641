#include "backup/take.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/gap.h"
#include "backup/copy.h"
#include "backup/relations.h"
#include "backup/scan.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "config/config.h"
#include "pg/connection.h"

#define MANIFEST_MEMORY_MAX (8 * 1024 * 1024)
#define BACKUP_LABEL_MAX SW_INLINE_MAX /* about 200 bytes */

struct take {
	struct sw_copy copy; /* first: sw_copy_run's tick gets a pointer to it */
	const struct sw_config *config;
	sw_take_tick tick;
	void *tick_ctx;
	struct sw_pg *pg;
	struct sw_pg_facts facts;
	struct sw_control control;
	struct sw_store *store;
	struct sw_repository repo;
	struct sw_scan scan;
	struct sw_manifest_header header;
	uint32_t replayed_timeline; /* of a standby, near the end */
	bool started;        /* pg_backup_stop is owed */
	bool relations_tried; /* their object may be there */
	bool manifest_tried; /* the backup may be visible */
};

static void
take_release(struct take *t)
{
	sw_pg_close(t->pg);
	sw_copy_release(&t->copy);
	sw_scan_release(&t->scan);
	sw_store_free(t->store);
}

static void
tell(struct take *t, int phase)
{
	struct sw_take_progress progress = {
		.phase = phase,
		.done = atomic_load(&t->copy.done),
		.total = t->scan.bytes,
	};

	if (t->tick != NULL)
		t->tick(t->tick_ctx, &progress);
}

/* --- before ------------------------------------------------------------------------ */

static sw_rc
check_archiving(struct take *t, struct sw_error *err)
{
	SW_AUTO_BUF mode;
	sw_rc rc;

	sw_buf_init(&mode, 64);
	rc = sw_pg_setting(t->pg, "archive_mode", &mode, err);
	if (rc != SW_OK || t->facts.in_recovery || strcmp((char *)mode.data, "off") != 0)
		return rc;
	sw_fail(err, SW_CONFIG, "the server archives no WAL (archive_mode = off), so a backup could never be "
		"complete");
	return sw_hint(err, "set archive_mode = on and archive_command = 'seawall-push %%p', restart the server, "
		"and run 'seawall check'");
}

static sw_rc
connect_server(struct take *t, struct sw_error *err)
{
	const char *pgdata = sw_config_string(t->config, SW_OPT_PGDATA);
	sw_rc rc = sw_pg_connect(t->config, &t->pg, err);

	if (rc == SW_OK)
		rc = sw_pg_facts(t->pg, &t->facts, err);
	if (rc != SW_OK)
		return rc;
	snprintf(t->header.pgdata, sizeof(t->header.pgdata), "%s",
		pgdata != NULL ? pgdata : t->facts.data_directory);
	rc = sw_control_read(t->header.pgdata, &t->control, NULL, err);
	if (rc != SW_OK) {
		if (err->hint[0] == '\0')
			sw_hint(err, "a backup reads the data directory itself: run it on the server's machine, as "
				"the PostgreSQL user");
		return rc;
	}
	if (!t->control.known)
		return sw_control_fail_unknown(t->control.control_version, err);
	if (t->control.system_identifier != t->facts.system_identifier) {
		sw_fail(err, SW_CONFIG, "%s is not the data directory of the server that answers: system "
			"identifiers %" PRIu64 " and %" PRIu64, t->header.pgdata,
			t->control.system_identifier, t->facts.system_identifier);
		return sw_hint(err, "correct pgdata, pg-host or pg-port");
	}
	return check_archiving(t, err);
}

static sw_rc
open_repository(struct take *t, struct sw_error *err)
{
	sw_rc rc;

	if (sw_config_need_repo(t->config, err) != SW_OK)
		return err->rc;
	rc = sw_store_open(t->config, 0, &t->store, err);
	if (rc == SW_OK)
		rc = sw_repository_open(t->store, sw_config_cluster(t->config), t->control.system_identifier,
			&t->repo, err);
	return rc;
}

static sw_rc
put_intent(struct take *t, struct sw_error *err)
{
	char started[SW_CLOCK_ISO_LEN], name[SW_STORE_NAME_MAX];
	SW_AUTO_JSON *object = NULL;
	SW_AUTO_FREE char *text = NULL;
	struct sw_store_body body;

	object = json_pack("{s:s, s:i, s:s, s:s, s:o, s:i, s:n}", "seawall", "intent", "version", 1,
		"label", t->header.label, "started", sw_clock_iso(t->header.started_us, started),
		"host", sw_json_text(t->header.host), "pid", (int)getpid(), "builds_on");
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	body = sw_store_body_mem(text, strlen(text));
	return sw_store_put(t->store, sw_repository_name(&t->repo, name, "intent/%s.json",
		t->header.label), &body, err);
}

static void
delete_intent(struct take *t)
{
	char name[SW_STORE_NAME_MAX];
	const char *names[] = {sw_repository_name(&t->repo, name, "intent/%s.json", t->header.label)};
	struct sw_error err = SW_ERROR_INIT;

	if (sw_store_delete(t->store, names, 1, &err) != SW_OK)
		sw_log(SW_LOG_DEBUG, "the intent stays: %s", err.text);
}

/* After the intent, so that of two backups with one label one goes on: SW_CONFLICT if there is such a backup. */
static sw_rc
check_label_free(struct take *t, struct sw_error *err)
{
	char name[SW_STORE_NAME_MAX];
	struct sw_store_info info;
	sw_rc rc = sw_store_head(t->store, sw_repository_name(&t->repo, name, "backup/%s/manifest.zst",
		t->header.label), &info, err);

	if (rc == SW_NOT_FOUND)
		return SW_OK;
	delete_intent(t);
	return rc == SW_OK ? sw_fail(err, SW_CONFLICT, "%s is there", name) : rc;
}

/* The intent claims the label. */
static sw_rc
claim_label(struct take *t, struct sw_error *err)
{
	const char *label = sw_config_string(t->config, SW_OPT_LABEL);
	sw_rc rc;

	if (label != NULL && !sw_label_ok(label)) {
		sw_fail(err, SW_CONFIG, "\"%s\" cannot be a label", label);
		return sw_hint(err, "use up to %d letters, digits, '_' and '-'", SW_LABEL_MAX - 1);
	}
	if (gethostname(t->header.host, sizeof(t->header.host) - 1) != 0)
		snprintf(t->header.host, sizeof(t->header.host), "unknown");
	for (int i = 0;; i++) {
		time_t now;
		struct tm tm;

		t->header.started_us = sw_clock_now_us();
		now = (time_t)(t->header.started_us / 1000000);
		gmtime_r(&now, &tm);
		if (label != NULL)
			snprintf(t->header.label, sizeof(t->header.label), "%s", label);
		else
			strftime(t->header.label, sizeof(t->header.label), "%Y%m%dT%H%M%SZ", &tm);
		rc = put_intent(t, err);
		if (rc == SW_OK)
			rc = check_label_free(t, err);
		if (rc != SW_CONFLICT || label != NULL || i == 5 || !sw_clock_sleep_ms(1000))
			break;
	}
	if (rc == SW_CONFLICT) {
		sw_fail(err, SW_CONFIG, "there is, or was, a backup labelled %s", t->header.label);
		return sw_hint(err, "choose another --label");
	}
	return rc;
}

static void
fill_header(struct take *t)
{
	struct sw_manifest_header *h = &t->header;

	snprintf(h->cluster, sizeof(h->cluster), "%s", t->repo.cluster);
	memcpy(h->registration, t->repo.reg.id, sizeof(h->registration));
	h->system_identifier = t->control.system_identifier;
	h->pg_version = t->facts.version;
	h->major = (unsigned)t->facts.version / 10000;
	h->catalog_version = t->control.catalog_version;
	h->block_size = t->control.block_size;
	h->segment_size = t->control.segment_size;
	h->blocks_per_file = t->control.blocks_per_file;
	h->checksums = t->control.checksum_version != 0;
	h->checksums_verified = h->checksums && sw_config_bool(t->config, SW_OPT_PAGE_CHECKSUMS);
	h->from_standby = t->facts.in_recovery;
}

/* --- copying ----------------------------------------------------------------------- */

/* Behind the start: whoever uses the names reads the WAL from there on, and it tells what changes meanwhile. */
static sw_rc
keep_names(struct take *t, struct sw_error *err)
{
	struct sw_relations_params params = {
		.config = t->config,
		.pg = t->pg,
		.repo = &t->repo,
		.header = &t->header,
	};

	t->relations_tried = true;
	return sw_relations_put(&params, err);
}

static void
copy_tick(void *ctx)
{
	tell(ctx, SW_TAKE_COPYING);
}

static sw_rc
copy_files(struct take *t, struct sw_error *err)
{
	sw_rc rc = sw_scan_run(t->header.pgdata, t->header.major, t->header.catalog_version,
		t->header.blocks_per_file, &t->scan, err);

	if (rc != SW_OK)
		return rc;
	t->copy.pgdata = t->header.pgdata;
	t->copy.scan = &t->scan;
	t->copy.repo = &t->repo;
	t->copy.label = t->header.label;
	t->copy.control = &t->control;
	t->copy.verify = t->header.checksums_verified;
	t->copy.start = t->header.start;
	t->copy.level = (int)sw_config_int(t->config, SW_OPT_COMPRESS_LEVEL);
	return sw_copy_run(&t->copy, (unsigned)sw_config_int(t->config, SW_OPT_WORKERS), copy_tick, err);
}

/* Content from memory as one more item. */
static sw_rc
add_content(struct take *t, enum sw_entry_type type, const char *path, const void *data, size_t len,
	struct sw_error *err)
{
	struct sw_scan_item item = {
		.type = type,
		.path = (char *)path,
		.mode = 0600,
		.mtime_us = sw_clock_now_us(),
	};
	struct sw_copied copied, *more;
	sw_rc rc = sw_copy_inline(&copied, data, len, t->repo.reg.page_hash_secret, err);

	if (rc != SW_OK)
		return rc;
	more = realloc(t->copy.copied, (t->scan.count + 2) * sizeof(*more));
	if (more == NULL) {
		free(copied.frame);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	t->copy.copied = more;
	rc = sw_scan_add(&t->scan, &item, err);
	if (rc != SW_OK) {
		free(copied.frame);
		return rc;
	}
	t->copy.copied[t->scan.count - 1] = copied;
	return SW_OK;
}

static bool
is_inside(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && path[len] == '/';
}

static bool
is_known(const struct take *t, const char *path)
{
	for (size_t i = t->scan.count; i-- > 0 && t->scan.items[i].type == SW_ENTRY_OUTSIDE;)
		if (strcmp(t->scan.items[i].path, path) == 0)
			return true;
	return false;
}

static sw_rc
add_outside(void *ctx, const char *const *values, struct sw_error *err)
{
	struct take *t = ctx;
	const char *path = values[0];
	SW_AUTO_FREE char *real = NULL;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 0);
	/* include '/etc//x' is told as it stands there */
	if (path != NULL && path[0] == '/' && !sw_manifest_path_ok(path, true)) {
		real = realpath(path, NULL);
		if (real == NULL || !sw_manifest_path_ok(real, true)) {
			sw_log(SW_LOG_WARNING, "configuration outside the data directory is not kept: %s cannot be found, "
				"or is not UTF-8", path);
			return SW_OK;
		}
		path = real;
	}
	if (path == NULL || path[0] != '/' || is_inside(path, t->header.pgdata) ||
		is_inside(path, t->facts.data_directory) || is_known(t, path))
		return SW_OK;
	if (sw_file_read(path, SW_OUTSIDE_MAX, &buf, err) != SW_OK) {
		sw_log(SW_LOG_WARNING, "configuration outside the data directory is not kept: %s", err->text);
		return SW_OK;
	}
	return add_content(t, SW_ENTRY_OUTSIDE, path, buf.data, buf.len, err);
}

/*
 * Configuration files that live elsewhere (Debian: /etc/postgresql): those in effect, then those that only set what
 * others override, which not every role may ask for.
 */
static sw_rc
copy_outside(struct take *t, struct sw_error *err)
{
	sw_rc rc = sw_pg_query(t->pg,
		"SELECT DISTINCT f FROM (SELECT sourcefile AS f FROM pg_catalog.pg_settings"
		" UNION ALL SELECT setting FROM pg_catalog.pg_settings"
		" WHERE name IN ('config_file', 'hba_file', 'ident_file')) s"
		" WHERE f IS NOT NULL ORDER BY 1", 1, add_outside, t, err);

	if (rc == SW_OK)
		rc = sw_pg_query(t->pg, "SELECT DISTINCT sourcefile FROM pg_catalog.pg_file_settings ORDER BY 1", 1,
			add_outside, t, err);
	if (rc != SW_DENIED)
		return rc;
	sw_log(SW_LOG_WARNING, "configuration files outside the data directory of which no setting is in effect are not "
		"kept: %s; GRANT SELECT ON pg_file_settings and EXECUTE ON FUNCTION pg_show_all_file_settings() allows it",
		err->text);
	return SW_OK;
}

static sw_rc
copy_control(struct take *t, struct sw_error *err)
{
	uint8_t bytes[SW_CONTROL_FILE_SIZE];
	struct sw_control control;
	sw_rc rc = sw_control_read(t->header.pgdata, &control, bytes, err);

	if (rc != SW_OK)
		return rc;
	t->replayed_timeline = control.min_recovery_timeline;
	return add_content(t, SW_ENTRY_FILE, "global/pg_control", bytes, sizeof(bytes), err);
}

/* The WAL of such a backup lies on two timelines. */
static sw_rc
check_timeline(const struct take *t, struct sw_error *err)
{
	if (!t->header.from_standby || t->replayed_timeline == 0 ||
		t->replayed_timeline == t->header.timeline)
		return SW_OK;
	sw_fail(err, SW_TRANSIENT, "the standby went over from timeline %u to %u while the backup was made",
		t->header.timeline, t->replayed_timeline);
	return sw_hint(err, "run the backup again");
}

/* --- start and stop ---------------------------------------------------------------- */

static sw_rc
parse_label(struct take *t, const char *label, struct sw_error *err)
{
	const char *line = strstr(label, "START TIMELINE: ");

	if (line == NULL || sscanf(line, "START TIMELINE: %" SCNu32, &t->header.timeline) != 1 ||
		t->header.timeline == 0)
		return sw_fail(err, SW_SYSTEM, "the server's backup label names no start timeline: %s", label);
	return SW_OK;
}

static sw_rc
stop_backup(struct take *t, struct sw_error *err)
{
	SW_AUTO_BUF label, map;
	sw_rc rc;

	sw_buf_init(&label, BACKUP_LABEL_MAX);
	sw_buf_init(&map, 16 * 1024 * 1024);
	t->started = false;
	rc = sw_pg_backup_stop(t->pg, &t->header.stop, &label, &map, err);
	t->header.finished_us = sw_clock_now_us();
	if (rc == SW_OK)
		rc = parse_label(t, (const char *)label.data, err);
	if (rc == SW_OK)
		rc = check_timeline(t, err);
	if (rc == SW_OK)
		rc = add_content(t, SW_ENTRY_FILE, "backup_label", label.data, label.len, err);
	return rc;
}

static sw_rc
copy_between_start_and_stop(struct take *t, struct sw_error *err)
{
	char label[SW_LABEL_MAX + 16];
	sw_rc rc;

	snprintf(label, sizeof(label), "seawall %s", t->header.label);
	tell(t, SW_TAKE_STARTING);
	t->started = true;
	rc = sw_pg_backup_start(t->pg, label, sw_config_bool(t->config, SW_OPT_FAST), &t->header.start, err);
	if (rc == SW_OK)
		rc = keep_names(t, err);
	if (rc == SW_OK)
		rc = copy_files(t, err);
	if (rc == SW_OK)
		rc = copy_outside(t, err);
	if (rc == SW_OK)
		rc = copy_control(t, err);
	return rc == SW_OK ? stop_backup(t, err) : rc;
}

/* Packs that no manifest will name, and the names; the intent, which protects them, last. */
static void
delete_packs(struct take *t)
{
	struct sw_error err = SW_ERROR_INIT;
	size_t count = t->copy.pack_count;
	char (*text)[SW_STORE_NAME_MAX] = calloc(count + 2, sizeof(*text));
	const char **names = calloc(count + 2, sizeof(*names));

	if (text != NULL && names != NULL) {
		for (size_t i = 0; i < count; i++)
			names[i] = sw_repository_name(&t->repo, text[i], "pack/%s", t->copy.packs[i].name);
		if (t->relations_tried) {
			names[count] = sw_repository_name(&t->repo, text[count], "backup/%s/relations.zst", t->header.label);
			count++;
		}
		names[count] = sw_repository_name(&t->repo, text[count], "intent/%s.json", t->header.label);
		if (sw_store_delete(t->store, names, count + 1, &err) != SW_OK)
			sw_log(SW_LOG_WARNING, "packs of the abandoned backup %s stay in the repository: %s",
				t->header.label, err.text);
	}
	free(text);
	free(names);
}

/* A stopped or failed backup must not stay open on the server. */
static void
stop_abandoned(struct take *t)
{
	struct sw_error ignored = SW_ERROR_INIT;
	SW_AUTO_BUF label, map;
	sw_lsn stop;

	sw_buf_init(&label, BACKUP_LABEL_MAX);
	sw_buf_init(&map, 16 * 1024 * 1024);
	if (!t->started)
		return;
	if (sw_pg_backup_stop(t->pg, &stop, &label, &map, &ignored) == SW_OK)
		sw_log(SW_LOG_INFO, "backup %s abandoned: pg_backup_stop was called, nothing is visible",
			t->header.label);
}

static void
abandon(struct take *t)
{
	sw_interrupt_take();
	stop_abandoned(t);
	if (!t->manifest_tried)
		delete_packs(t);
}

/* --- after ------------------------------------------------------------------------- */

/* Pages that were being written have LSNs that the backup's own WAL repairs. */
static void
judge_bad_pages(struct take *t)
{
	for (size_t i = 0; i < t->copy.bad_count; i++) {
		const struct sw_bad_page *bad = &t->copy.bad[i];

		if (bad->lsn >= t->header.start && bad->lsn <= t->header.stop)
			continue;
		if (t->header.damaged_pages++ < 100)
			sw_log(SW_LOG_WARNING, "%s/%s: block %u has a wrong checksum; it is damaged in the backup, "
				"as it is in the cluster", t->header.pgdata, t->scan.items[bad->item].path,
				bad->block);
	}
	t->header.damaged_pages += t->copy.bad_total - t->copy.bad_count;
}

struct wal_range {
	const struct sw_repository *repo;
	uint64_t first, last, found;
	uint64_t missing; /* the first that is missing; UINT64_MAX: none */
};

static sw_rc
count_segment(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct wal_range *range = ctx;
	struct sw_wal_name parsed;

	(void)info;
	(void)err;
	if (!sw_repository_parse_wal_name(name, range->repo->reg.segment_size, &parsed) ||
		parsed.kind != SW_WAL_SEGMENT || parsed.segment < range->first)
		return SW_OK;
	if (parsed.segment > range->last || parsed.segment != range->first + range->found)
		return SW_CONFLICT;
	range->found++;
	return SW_OK;
}

static sw_rc
look_for_wal(struct take *t, struct wal_range *range, struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX], after[SW_STORE_NAME_MAX];
	struct sw_wal_name before = {
		.kind = SW_WAL_SEGMENT,
		.timeline = t->header.timeline,
		.segment = range->first - 1,
	};

	range->found = 0;
	sw_repository_name(&t->repo, prefix, "wal/%08X/", t->header.timeline);
	return sw_store_list(t->store, prefix, range->first == 0 ? NULL :
		sw_repository_wal_name(&t->repo, &before, after), count_segment, range, err);
}

static sw_rc
report_missing_wal(struct take *t, const struct wal_range *range, const char *what, struct sw_error *err)
{
	struct sw_wal_name name = {
		.kind = SW_WAL_SEGMENT,
		.timeline = t->header.timeline,
		.segment = range->first + range->found,
	};
	char text[SW_WAL_NAME_MAX];

	sw_fail(err, SW_TRANSIENT, "WAL segment %s, which the backup needs, is not in %s%s",
		sw_wal_name_format(&name, t->header.segment_size, text), sw_store_url(t->store), what);
	return sw_hint(err, t->header.from_standby ?
		"run SELECT pg_switch_wal() on the primary, and see that it archives ('seawall check' there)" :
		"see the server's log for what seawall-push says, and run 'seawall check'");
}

/* PostgreSQL's archiver has not dealt with it yet: what stands in a record may still be archived. */
static bool
is_waiting(const struct take *t, const char *segment)
{
	SW_AUTO_FREE char *ready = NULL;

	return asprintf(&ready, "%s/pg_wal/archive_status/%s.ready", t->header.pgdata, segment) >= 0 && access(ready, F_OK) == 0;
}

/* What push-queue-max has dropped will never come.  SW_OK: nothing says that. */
static sw_rc
check_dropped(struct take *t, const struct wal_range *range, struct sw_error *err)
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = t->header.timeline, .segment = range->first + range->found};
	SW_AUTO_FREE char *dir = sw_gap_dir_of(t->config, t->header.pgdata, t->header.system_identifier);
	char text[SW_WAL_NAME_MAX], object[SW_STORE_NAME_MAX], why[SW_GAP_TEXT_LEN];
	struct sw_store_info info;
	struct sw_gap gap;
	sw_rc rc = SW_NOT_FOUND;

	if (dir != NULL)
		rc = sw_gap_find_local(dir, t->header.segment_size, name.timeline, name.segment, &gap, err);
	if (rc != SW_OK)
		rc = sw_gap_find(&t->repo, name.timeline, name.segment, &gap, err);
	if (rc == SW_NOT_FOUND)
		return SW_OK;
	if (rc != SW_OK || is_waiting(t, sw_wal_name_format(&name, t->header.segment_size, text)))
		return rc;
	rc = sw_store_head(t->store, sw_repository_wal_name(&t->repo, &name, object), &info, err);
	if (rc != SW_NOT_FOUND)
		return rc;
	sw_fail(err, SW_SYSTEM, "WAL segment %s, which the backup needs, was %s", text, sw_gap_text(gap.time_us, why));
	return sw_hint(err, "see that the repository takes WAL again ('seawall check'), then run the backup again");
}

static sw_rc
wait_for_wal(struct take *t, struct sw_error *err)
{
	int64_t timeout = sw_config_ms(t->config, SW_OPT_ARCHIVE_TIMEOUT);
	int64_t end = sw_clock_monotonic_ms() + timeout, remind = 0;
	struct wal_range range = {
		.repo = &t->repo,
		.first = t->header.start / t->header.segment_size,
		.last = (t->header.stop - 1) / t->header.segment_size,
	};
	uint64_t want = range.last - range.first + 1, before = 0;

	for (int64_t pause = 50;; pause = pause < 1000 ? pause * 2 : 1000) {
		sw_rc rc = look_for_wal(t, &range, err);

		if (rc != SW_OK || range.found == want)
			return rc;
		rc = check_dropped(t, &range, err);
		if (rc != SW_OK)
			return rc;
		if (range.found > before) /* it arrives: patience */
			end = sw_clock_monotonic_ms() + timeout;
		before = range.found;
		tell(t, SW_TAKE_WAITING_FOR_WAL);
		if (sw_clock_monotonic_ms() >= end) {
			return report_missing_wal(t, &range, "; waited for archive-timeout", err);
		}
		if (remind == 0)
			remind = sw_clock_monotonic_ms() + 10000;
		if (sw_clock_monotonic_ms() >= remind) {
			report_missing_wal(t, &range, " yet", err);
			sw_log(SW_LOG_WARNING, "waiting: %s; %s", err->text, err->hint);
			remind = end;
		}
		if (!sw_clock_sleep_ms(pause))
			return sw_interrupt_check(err);
	}
}

/* --- manifest ---------------------------------------------------------------------- */

static int
compare_paths(const void *a, const void *b, void *scan)
{
	const struct sw_scan_item *items = ((struct sw_scan *)scan)->items;

	return strcmp(items[*(const size_t *)a].path, items[*(const size_t *)b].path);
}

static int
compare_packs(const void *a, const void *b)
{
	return strcmp(((const struct sw_pack_info *)a)->name, ((const struct sw_pack_info *)b)->name);
}

static void
sum_up(struct take *t)
{
	for (size_t i = 0; i < t->scan.count; i++)
		if (!t->copy.copied[i].gone) {
			t->header.entry_count++;
			t->header.size += t->copy.copied[i].size;
		}
	for (size_t i = 0; i < t->copy.pack_count; i++)
		t->header.stored += t->copy.packs[i].size;
	t->header.pack_count = t->copy.pack_count;
}

static sw_rc
write_entries(struct take *t, const size_t *order, struct sw_manifest_writer *w, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t i = 0; rc == SW_OK && i < t->scan.count; i++) {
		const struct sw_scan_item *item = &t->scan.items[order[i]];
		const struct sw_copied *copied = &t->copy.copied[order[i]];
		struct sw_entry entry = {
			.type = item->type,
			.path = item->path,
			.target = item->target,
			.mode = item->mode,
			.mtime_us = item->mtime_us,
			.size = copied->size,
			.frame = copied->frame,
			.frame_len = copied->frame_len,
			.hash = copied->hash,
			.chunks = copied->chunks,
			.chunk_count = copied->chunk_count,
		};

		if (!copied->gone)
			rc = sw_manifest_writer_entry(w, &entry, err);
	}
	for (size_t i = 0; rc == SW_OK && i < t->copy.pack_count; i++)
		rc = sw_manifest_writer_pack(w, &t->copy.packs[i], err);
	return rc == SW_OK ? sw_manifest_writer_finish(w, err) : rc;
}

static sw_rc
write_manifest(struct take *t, struct sw_stage *out, struct sw_error *err)
{
	__attribute__((cleanup(sw_manifest_writer_release))) struct sw_manifest_writer writer = {0};
	SW_AUTO_FREE size_t *order = calloc(t->scan.count, sizeof(*order));
	sw_rc rc;

	if (order == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < t->scan.count; i++)
		order[i] = i;
	qsort_r(order, t->scan.count, sizeof(*order), compare_paths, &t->scan);
	if (t->copy.pack_count > 0)
		qsort(t->copy.packs, t->copy.pack_count, sizeof(*t->copy.packs), compare_packs);
	sum_up(t);
	rc = sw_manifest_writer_init(&writer, &t->header, out, err);
	return rc == SW_OK ? write_entries(t, order, &writer, err) : rc;
}

/* The copy first: the backup is visible by manifest.zst. */
static sw_rc
put_manifest(struct take *t, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_spool_release))) struct sw_stage_spool spool;
	__attribute__((cleanup(sw_stage_digest_release))) struct sw_stage_digest digest = {0};
	static const char *const names[] = {"manifest.copy.zst", "manifest.zst"};
	char name[SW_STORE_NAME_MAX];
	sw_rc rc;

	sw_stage_spool_init(&spool, MANIFEST_MEMORY_MAX);
	rc = sw_stage_digest_init(&digest, &spool.stage, err);
	if (rc == SW_OK)
		rc = write_manifest(t, &digest.stage, err);
	for (int i = 0; rc == SW_OK && i < 2; i++) {
		struct sw_store_body body = sw_store_body_spool(&spool, digest.sha256);

		rc = sw_store_put(t->store, sw_repository_name(&t->repo, name, "backup/%s/%s",
			t->header.label, names[i]), &body, err);
	}
	return rc;
}

static sw_rc
take(struct take *t, struct sw_error *err)
{
	sw_rc rc = connect_server(t, err);

	if (rc == SW_OK)
		rc = open_repository(t, err);
	if (rc == SW_OK)
		rc = claim_label(t, err);
	if (rc != SW_OK)
		return rc;
	fill_header(t);
	rc = copy_between_start_and_stop(t, err);
	if (rc == SW_OK) {
		judge_bad_pages(t);
		rc = wait_for_wal(t, err);
	}
	t->manifest_tried = rc == SW_OK;
	if (rc == SW_OK)
		rc = put_manifest(t, err);
	if (rc == SW_OK)
		delete_intent(t);
	else
		abandon(t);
	return rc;
}

sw_rc
sw_take(const struct sw_config *config, sw_take_tick tick, void *ctx,
	struct sw_manifest_header *ret_header, struct sw_error *err)
{
	__attribute__((cleanup(take_release))) struct take t = {
		.config = config,
		.tick = tick,
		.tick_ctx = ctx,
	};
	sw_rc rc = take(&t, err);

	if (rc == SW_OK)
		*ret_header = t.header;
	return rc == SW_OK ? rc : sw_wrap(err, "backing up cluster \"%s\"", sw_config_cluster(config));
}
