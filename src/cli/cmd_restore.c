#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/restore.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/note.h"
#include "cli/plans.h"
#include "cli/progress.h"
#include "config/settings.h"

#define COMMAND_MAX 8192
#define PG_CTL_LEN 64

static sw_rc
read_request(const struct sw_config *config, struct sw_plan_request *ret_request, struct sw_error *err)
{
	if (sw_config_string(config, SW_OPT_PGDATA) == NULL) {
		sw_fail(err, SW_CONFIG, "--pgdata is missing: the directory to restore into");
		return sw_hint(err, "name an empty or new directory");
	}
	return sw_plans_request(config, ret_request, err);
}

/* --- restore_command ------------------------------------------------------------------- */

static sw_rc
add_word(struct sw_buf *buf, const char *option, const char *value, struct sw_error *err)
{
	SW_AUTO_FREE char *word = NULL;
	sw_rc rc;

	if (asprintf(&word, "--%s=%s", option, value) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_buf_append(buf, " ", 1, err);
	return rc == SW_OK ? sw_plan_quote_word(buf, word, err) : rc;
}

/* What stands in no file would be unknown to the server's restore_command. */
static sw_rc
add_unfiled_options(const struct sw_config *config, struct sw_buf *buf, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (int i = 0; rc == SW_OK && i < SW_OPTION_COUNT; i++) {
		const struct sw_option_row *row = sw_table_row((enum sw_option)i);
		const struct sw_setting *setting;

		if (row->scope == SW_SCOPE_PROGRAM || row->option == SW_OPT_PGDATA)
			continue;
		setting = sw_settings_find(config, row->scope == SW_SCOPE_REPO ? config->repos[0].section :
			config->cluster, row->option);
		if (setting == NULL || setting->origin < SW_ORIGIN_ENVIRONMENT)
			continue;
		if ((row->commands & SW_CMD_FETCH) != 0 && (row->commands & SW_CMD_NEVER) == 0 &&
			row->type == SW_TYPE_LIST)
			for (size_t k = 0; rc == SW_OK && k < setting->value.item_count; k++)
				rc = add_word(buf, row->name, setting->value.items[k], err);
		else if ((row->commands & SW_CMD_FETCH) != 0 && (row->commands & SW_CMD_NEVER) == 0)
			rc = add_word(buf, row->name, setting->value.text, err);
		else if ((row->commands & SW_CMD_NEVER) != 0)
			sw_log(SW_LOG_WARNING, "%s is set by the environment, which the server will not have: put it "
				"into the configuration file, or into the server's environment", row->name);
	}
	return rc;
}

static sw_rc
make_command(const struct sw_config *config, struct sw_buf *buf, struct sw_error *err)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);
	sw_rc rc;

	if (len <= 0)
		return sw_fail_errno(err, "finding the directory of this program");
	path[len] = '\0';
	strcpy(strrchr(path, '/') + 1, "seawall-fetch");
	if (access(path, X_OK) != 0)
		sw_log(SW_LOG_WARNING, "%s, which recovery will run, is not there or cannot be run", path);
	rc = sw_plan_quote_word(buf, path, err);
	if (rc == SW_OK && sw_config_is_set(config, SW_OPT_CONFIG))
		rc = add_word(buf, "config", sw_config_string(config, SW_OPT_CONFIG), err);
	if (rc == SW_OK)
		rc = add_word(buf, "cluster", sw_config_cluster(config), err);
	/* PostgreSQL runs it in the data directory; a configured pgdata is the original's */
	if (rc == SW_OK)
		rc = add_word(buf, "pgdata", ".", err);
	if (rc == SW_OK)
		rc = add_unfiled_options(config, buf, err);
	return rc == SW_OK ? sw_buf_append(buf, " %f %p", 6, err) : rc;
}

/* --- the result ---------------------------------------------------------------------- */

static const char *const note_kinds[] = {
	[SW_NOTE_TABLESPACE] = "tablespace",
	[SW_NOTE_LINK] = "link",
	[SW_NOTE_OUTSIDE] = "outside",
	[SW_NOTE_SETTING] = "setting",
};

static void
print_notes(const struct sw_restore_result *result, enum sw_restore_note_kind kind, const char *heading)
{
	bool first = true;

	for (size_t i = 0; i < result->note_count; i++) {
		const struct sw_restore_note *note = &result->notes[i];

		if (note->kind != kind)
			continue;
		if (first)
			printf("\n%s\n", heading);
		first = false;
		sw_plans_print_clean("  ", note->what, kind == SW_NOTE_SETTING ? " = " : " -> ");
		sw_plans_print_clean("", note->value, "\n");
	}
}

/* Where a configuration file of that name lies now, if it was outside; else NULL. */
static const char *
find_outside(const struct sw_restore_result *result, const char *name)
{
	for (size_t i = 0; i < result->note_count; i++) {
		const struct sw_restore_note *note = &result->notes[i];
		const char *slash = strrchr(note->what, '/');

		if (note->kind == SW_NOTE_OUTSIDE && slash != NULL && strcmp(slash + 1, name) == 0)
			return note->value;
	}
	return NULL;
}

/* A copy made for looking must not look like the server's own next timeline. */
static void
print_archiving(const struct sw_restore_result *result)
{
	for (size_t i = 0; i < result->note_count; i++) {
		const char *name = strstr(result->notes[i].what, ": archive_");

		if (result->notes[i].kind != SW_NOTE_SETTING || name == NULL ||
			(strcmp(name, ": archive_command") != 0 && strcmp(name, ": archive_library") != 0))
			continue;
		printf("\nIts archiving is as the original's: once open for writing, it archives a new timeline there, which "
			"later restores follow.\nIf it is only for looking, start it with archive_mode = off.\n");
		return;
	}
}

/* The original's pid file would be overwritten, and removed at the end. */
static const char *
other_pid_file(const struct sw_restore_result *result)
{
	for (size_t i = 0; i < result->note_count; i++)
		if (result->notes[i].kind == SW_NOTE_SETTING &&
			strstr(result->notes[i].what, ": external_pid_file") != NULL)
			return " -c external_pid_file=";
	return "";
}

/* Debian keeps it out of PATH. */
static const char *
pg_ctl(const struct sw_restore_result *result, char path[PG_CTL_LEN])
{
	snprintf(path, PG_CTL_LEN, "/usr/lib/postgresql/%d/bin/pg_ctl", result->header.pg_version / 10000);
	return access(path, X_OK) == 0 ? path : "pg_ctl";
}

static void
print_start(const struct sw_restore_result *result, const char *pgdata)
{
	static const char *const files[][2] = {{"config_file", "postgresql.conf"}, {"hba_file", "pg_hba.conf"},
		{"ident_file", "pg_ident.conf"}};

	char program[PG_CTL_LEN];
	const char *pid_file = other_pid_file(result), *ctl = pg_ctl(result, program);

	if (result->has_configuration) {
		printf("\nStart it in the original's place with:\n  %s -D %s start%s%s%s\n", ctl, pgdata,
			pid_file[0] != '\0' ? " -o \"" : "", pid_file[0] != '\0' ? pid_file + 1 : "", pid_file[0] != '\0' ? "\"" : "");
		printf("or beside it, for looking, with a port that is free and without archiving:\n"
			"  %s -D %s start -o \"-p 5433 -c archive_mode=off%s\"\n", ctl, pgdata, pid_file);
		return;
	}
	printf("\nBeside the original it needs a port of its own: -p PORT within -o \"...\".");
	if (find_outside(result, "postgresql.conf") == NULL) {
		printf("\nThe data directory has no postgresql.conf, and the backup has none: write one, then:\n"
			"  %s -D %s start\n", ctl, pgdata);
		return;
	}
	printf("\nThe data directory has no postgresql.conf of its own. Put the files above where they belong (Debian: "
		"/etc/postgresql/VERSION/CLUSTER, then pg_ctlcluster VERSION CLUSTER start), or start it with:\n"
		"  %s -D %s start -o \"-c data_directory=%s", ctl, pgdata, pgdata);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *path = find_outside(result, files[i][1]);

		if (path != NULL) {
			printf(" -c %s=%s/", files[i][0], pgdata);
			sw_plans_print_clean("", path, "");
		}
	}
	printf("%s\"\n", pid_file);
}

static void
print_what_happens(const struct sw_plan *plan, const struct sw_plan_request *request)
{
	char goal[SW_GOAL_TEXT_LEN];

	printf("PostgreSQL will replay WAL on timeline %u%s, ", plan->timeline,
		plan->follow_latest ? " and those that follow it" : "");
	sw_plans_print_clean("", sw_goal_text(&request->goal, goal), "");
	if (request->standby && request->goal.kind == SW_GOAL_LATEST)
		printf(", and go on as a standby.\n");
	else if (request->goal.kind == SW_GOAL_LATEST || strcmp(request->action, "promote") == 0)
		printf(", and then open for writing on a new timeline.\n");
	else if (strcmp(request->action, "shutdown") == 0)
		printf(", and then shut down.\n");
	else
		printf(", and then pause.\nThere, look at the data read-only; SELECT pg_wal_replay_resume() opens it for "
			"writing. To stop at another moment, restore again.\nA table whose DROP or TRUNCATE was about to commit "
			"stays locked until then: --target-action promote lets it be read at once.\n");
}

static void
print_text(const struct sw_config *config, const struct sw_plans *c, const struct sw_plan_request *request,
	const struct sw_restore_result *result, int64_t elapsed_ms)
{
	const struct sw_manifest_header *h = &result->header;
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	char size[SW_PROGRESS_SIZE_LEN], kept[SW_PROGRESS_SIZE_LEN], elapsed[SW_PROGRESS_TIME_LEN];
	char finished[SW_GOAL_TIME_LEN];

	printf("restored backup %s (PostgreSQL %d.%d, ended %s) into %s: %s in %s\n", h->label,
		h->pg_version / 10000, h->pg_version % 10000, sw_goal_time(h->finished_us, finished), pgdata,
		sw_progress_size(result->bytes, size), sw_progress_time((elapsed_ms + 999) / 1000, elapsed));
	if (result->resumed)
		printf("an unfinished restore was completed: %s were there already\n",
			sw_progress_size(result->kept, kept));
	print_what_happens(&c->plan, request);
	sw_plans_print_stop(&c->plan);
	print_notes(result, SW_NOTE_TABLESPACE, "Tablespaces were moved:");
	print_notes(result, SW_NOTE_LINK, "These links lead out of the data directory, to the original's places:");
	print_notes(result, SW_NOTE_SETTING, "Look at these settings before the start; they may name what belongs to "
		"the original server:");
	print_notes(result, SW_NOTE_OUTSIDE, "Configuration that was outside the data directory lies in it:");
	print_archiving(result);
	print_start(result, pgdata);
}

static void
print_json(const struct sw_config *config, const struct sw_plans *c, const struct sw_plan_request *request,
	const struct sw_plan_settings *settings, const struct sw_restore_result *result, int64_t elapsed_ms)
{
	const struct sw_manifest_header *h = &result->header;
	json_t *notes = json_array();
	char stop[SW_LSN_LEN], finished[SW_CLOCK_ISO_LEN], goal[SW_GOAL_TEXT_LEN], id[24];
	SW_AUTO_JSON *object = NULL;

	for (size_t i = 0; i < result->note_count; i++)
		json_array_append_new(notes, json_pack("{s:s, s:s, s:s}", "kind", note_kinds[result->notes[i].kind],
			"what", result->notes[i].what, "value", result->notes[i].value));
	snprintf(id, sizeof(id), "%" PRIu64, h->system_identifier);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:b, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o}",
		"cluster", c->repo.cluster, "system_identifier", id, "url", sw_store_url(c->store),
		"label", h->label, "finished", sw_clock_iso(h->finished_us, finished),
		"stop_lsn", sw_lsn_format(h->stop, stop), "pgdata", sw_config_string(config, SW_OPT_PGDATA),
		"timeline", (json_int_t)c->plan.timeline, "target", sw_json_text(sw_goal_text(&request->goal, goal)),
		"resumed", result->resumed, "size", (json_int_t)result->bytes, "kept", (json_int_t)result->kept,
		"elapsed_ms", (json_int_t)elapsed_ms, "has_configuration", result->has_configuration,
		"settings", sw_plans_settings_json(settings), "notes", notes, "remarks", sw_plans_remarks_json(&c->plan),
		"stop", sw_plans_stop_json(&c->plan));
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
}

/* --- the verb ------------------------------------------------------------------------- */

static void
announce(const struct sw_plans *c, const struct sw_plan_request *request)
{
	const struct sw_plan *plan = &c->plan;
	char goal[SW_GOAL_TEXT_LEN], size[SW_PROGRESS_SIZE_LEN], finished[SW_GOAL_TIME_LEN];

	sw_log(SW_LOG_INFO, "%s backup %s (%s, ended %s, timeline %u) from %s, recovery %s on timeline %u",
		request->backup != NULL ? "taking" : "chose", plan->backup.label,
		sw_progress_size(plan->backup.size, size), sw_goal_time(plan->backup.finished_us, finished),
		plan->backup.timeline, sw_store_url(c->store), sw_goal_text(&request->goal, goal), plan->timeline);
	sw_plans_warn(c);
	if (geteuid() == 0)
		sw_log(SW_LOG_WARNING, "running as root: the files will be root's, and PostgreSQL does not start as root; "
			"run it as the user that PostgreSQL runs as");
}

static void
show_progress(void *ctx, uint64_t done, uint64_t total)
{
	sw_progress_show(ctx, done, total);
}

/* For later estimates.  Who may only read restores all the same. */
static void
leave_measure(const struct sw_restore_job *job, const struct sw_restore_result *result, int64_t elapsed_ms)
{
	const struct sw_measure measure = {
		.label = job->label, .bytes = result->bytes - result->kept, .elapsed_ms = elapsed_ms, .workers = job->workers,
		.finished_us = sw_clock_now_us(),
	};
	struct sw_error ignored = SW_ERROR_INIT;

	if (!sw_note_is_foreign(job->repo->store) && sw_measure_put(job->repo, &measure, &ignored) != SW_OK)
		sw_log(SW_LOG_INFO, "what this restore took is not noted in the repository: %s", ignored.text);
}

static void
note(const struct sw_config *config, const struct sw_plans *c, const struct sw_restore_job *job,
	const struct sw_restore_result *result, int64_t started_us, const struct sw_error *err)
{
	char goal[SW_GOAL_TEXT_LEN];
	SW_AUTO_JSON *what = json_pack("{s:s, s:o, s:o, s:I, s:I, s:b}", "label", job->label,
		"target", sw_json_text(sw_goal_text(&c->request.goal, goal)), "pgdata", sw_json_text(job->pgdata),
		"timeline", (json_int_t)c->plan.timeline, "size", (json_int_t)result->bytes, "standby", job->standby);
	struct sw_lineage_act act = {
		.act = "restore", .result = err == NULL ? "done" : "failed", .error = err == NULL ? NULL : err->text,
		.what = what, .started_us = started_us,
	};

	sw_note_act(config, job->repo, &act);
}

static sw_rc
execute(const struct sw_config *config, const struct sw_plans *c, const struct sw_plan_request *request,
	struct sw_error *err)
{
	struct sw_progress progress;
	struct sw_plan_settings settings;
	struct sw_restore_result result = {0};
	struct sw_repository repo = c->repo;
	struct sw_restore_job job = {
		.repo = &repo,
		.label = c->plan.backup.label,
		.pgdata = sw_config_string(config, SW_OPT_PGDATA),
		.wal_dir = sw_config_string(config, SW_OPT_WAL_DIR),
		.tablespaces_in_place = sw_config_bool(config, SW_OPT_TABLESPACES_IN_PLACE),
		.workers = (unsigned)sw_config_int(config, SW_OPT_WORKERS),
		.standby = request->standby,
		.tick = show_progress,
		.tick_ctx = &progress,
	};
	int64_t start = sw_clock_monotonic_ms(), started_us = sw_clock_now_us(), elapsed_ms;
	SW_AUTO_BUF command;
	sw_rc rc;

	sw_buf_init(&command, COMMAND_MAX);
	rc = make_command(config, &command, err);
	if (rc != SW_OK)
		return rc;
	sw_plan_settings(&c->plan, request, (char *)command.data, &settings);
	job.settings = settings.items;
	job.setting_count = settings.count;
	job.tablespace_map_count = sw_config_list(config, SW_OPT_TABLESPACE_MAP, &job.tablespace_map);
	sw_progress_init(&progress, config, "restore");
	rc = sw_restore(&job, &result, err);
	sw_progress_end(&progress);
	if (rc != SW_CONFIG)
		note(config, c, &job, &result, started_us, rc == SW_OK ? NULL : err);
	if (rc != SW_OK)
		return rc;
	elapsed_ms = sw_clock_monotonic_ms() - start;
	leave_measure(&job, &result, elapsed_ms);
	if (sw_config_bool(config, SW_OPT_JSON))
		print_json(config, c, request, &settings, &result, elapsed_ms);
	else
		print_text(config, c, request, &result, elapsed_ms);
	sw_restore_result_release(&result);
	return SW_OK;
}

sw_rc
sw_cmd_restore(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	__attribute__((cleanup(sw_plans_release))) struct sw_plans c = {0};
	sw_rc rc = sw_note_check_reason(config, err);

	*ret_status = 0;
	if (rc == SW_OK)
		rc = read_request(config, &c.request, err);
	if (rc == SW_OK)
		rc = sw_plans_make(config, &c, err);
	if (rc == SW_NOT_FOUND) {
		sw_cli_report(err);
		*ret_status = 3;
		return SW_OK;
	}
	if (rc != SW_OK)
		return rc;
	announce(&c, &c.request);
	return execute(config, &c, &c.request, err);
}
