#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/restore.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/plan.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "config/settings.h"

#define SYSTEMS_MAX 64
#define COMMAND_MAX 8192

struct chosen {
	struct sw_store *store;
	struct sw_repository repo;
	struct sw_inventory inventory;
	struct sw_plan plan;
};

static void
chosen_release(struct chosen *c)
{
	sw_plan_release(&c->plan);
	sw_inventory_release(&c->inventory);
	sw_store_free(c->store);
	*c = (struct chosen){0};
}

/* --- what is asked for --------------------------------------------------------------- */

static sw_rc
read_request(const struct sw_config *config, struct sw_plan_request *request, struct sw_error *err)
{
	struct sw_goal_words words = {
		.time = sw_config_string(config, SW_OPT_TARGET_TIME),
		.xid = sw_config_string(config, SW_OPT_TARGET_XID),
		.name = sw_config_string(config, SW_OPT_TARGET_NAME),
		.lsn = sw_config_string(config, SW_OPT_TARGET_LSN),
		.immediate = sw_config_bool(config, SW_OPT_TARGET_IMMEDIATE),
		.exclusive = sw_config_bool(config, SW_OPT_TARGET_EXCLUSIVE),
	};

	*request = (struct sw_plan_request){
		.backup = sw_config_string(config, SW_OPT_BACKUP),
		.timeline = sw_config_string(config, SW_OPT_TARGET_TIMELINE),
		.action = sw_config_string(config, SW_OPT_TARGET_ACTION),
		.standby = sw_config_bool(config, SW_OPT_STANDBY),
	};
	if (sw_config_string(config, SW_OPT_PGDATA) == NULL) {
		sw_fail(err, SW_CONFIG, "--pgdata is missing: the directory to restore into");
		return sw_hint(err, "name an empty or new directory");
	}
	if (request->backup != NULL && !sw_label_ok(request->backup)) {
		sw_fail(err, SW_CONFIG, "--backup \"%s\" is no label", request->backup);
		return sw_hint(err, "'seawall list' shows the backups");
	}
	if (sw_config_need_repo(config, err) != SW_OK)
		return err->rc;
	return sw_goal_parse(&words, &request->goal, err);
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

/* --- repository and plan ----------------------------------------------------------------- */

static bool
has_backup(const struct sw_inventory *inventory, const char *label)
{
	for (size_t i = 0; i < inventory->backup_count; i++)
		if (strcmp(inventory->backups[i].label, label) == 0)
			return true;
	return false;
}

/* The newest registration; with --backup the newest that has it. */
static sw_rc
open_system(const struct sw_config *config, const char *label, struct chosen *c, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_registration *regs = calloc(SYSTEMS_MAX, sizeof(*regs));
	const char *cluster = sw_config_cluster(config);
	size_t count = 0;
	sw_rc rc;

	if (regs == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_repository_list(c->store, cluster, regs, SYSTEMS_MAX, &count, err);
	if (rc == SW_OK && count == 0) {
		sw_fail(err, SW_CONFIG, "cluster \"%s\" is not registered in %s", cluster, sw_store_url(c->store));
		return sw_hint(err, "name the cluster that was backed up with --cluster");
	}
	for (size_t i = count; rc == SW_OK && i-- > 0;) {
		sw_inventory_release(&c->inventory);
		rc = sw_repository_open(c->store, cluster, regs[i].system_identifier, &c->repo, err);
		if (rc == SW_OK)
			rc = sw_inventory_read_backups(&c->repo, &c->inventory, err);
		if (rc != SW_OK || label == NULL || has_backup(&c->inventory, label))
			break;
	}
	return rc;
}

static sw_rc
plan_in(const struct sw_config *config, unsigned i, const struct sw_plan_request *request,
	struct chosen *c, struct sw_error *err)
{
	sw_rc rc = sw_store_open(config, i, &c->store, err);

	if (rc == SW_OK)
		rc = open_system(config, request->backup, c, err);
	/* only a plan may answer "no" */
	if (rc == SW_NOT_FOUND)
		return err->rc = SW_SYSTEM;
	if (rc == SW_OK)
		rc = sw_inventory_read_histories(&c->repo, &c->inventory, err);
	return rc == SW_OK ? sw_plan_make(&c->repo, &c->inventory, request, &c->plan, err) : rc;
}

/* The first repository that can do it.  SW_NOT_FOUND: every one that answers says no. */
static sw_rc
make_plan(const struct sw_config *config, const struct sw_plan_request *request, struct chosen *c,
	struct sw_error *err)
{
	unsigned count = sw_config_repo_count(config);
	struct sw_error first = SW_ERROR_INIT;

	for (unsigned i = 0; i < count; i++) {
		if (plan_in(config, i, request, c, err) == SW_OK)
			return SW_OK;
		chosen_release(c);
		if (first.rc == SW_OK || (first.rc == SW_NOT_FOUND && err->rc != SW_NOT_FOUND))
			first = *err;
		if (i + 1 < count)
			sw_log(SW_LOG_WARNING, "%s; trying the next repository", err->text);
	}
	*err = first;
	return first.rc;
}

/* --- the result ---------------------------------------------------------------------- */

static const char *const note_kinds[] = {
	[SW_NOTE_TABLESPACE] = "tablespace",
	[SW_NOTE_LINK] = "link",
	[SW_NOTE_OUTSIDE] = "outside",
	[SW_NOTE_SETTING] = "setting",
};

/* Paths and settings come from the backup, and go to a terminal. */
static void
print_clean(const char *before, const char *text, const char *after)
{
	fputs(before, stdout);
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
	fputs(after, stdout);
}

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
		print_clean("  ", note->what, kind == SW_NOTE_SETTING ? " = " : " -> ");
		print_clean("", note->value, "\n");
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
			"later restores follow.\nIf it is only for looking, set archive_mode = off before the start.\n");
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

static void
print_start(const struct sw_restore_result *result, const char *pgdata)
{
	static const char *const files[][2] = {{"config_file", "postgresql.conf"}, {"hba_file", "pg_hba.conf"},
		{"ident_file", "pg_ident.conf"}};

	const char *pid_file = other_pid_file(result);

	printf("\nBeside the original it needs a port of its own: -o \"-p PORT\".");
	if (result->has_configuration) {
		printf("\nStart it with:\n  pg_ctl -D %s start%s%s%s\n", pgdata, pid_file[0] != '\0' ? " -o \"" : "",
			pid_file[0] != '\0' ? pid_file + 1 : "", pid_file[0] != '\0' ? "\"" : "");
		return;
	}
	if (find_outside(result, "postgresql.conf") == NULL) {
		printf("\nThe data directory has no postgresql.conf, and the backup has none: write one, then:\n"
			"  pg_ctl -D %s start\n", pgdata);
		return;
	}
	printf("\nThe data directory has no postgresql.conf of its own. Put the files above where they belong (Debian: "
		"/etc/postgresql/VERSION/CLUSTER, then pg_ctlcluster VERSION CLUSTER start), or start it with:\n"
		"  pg_ctl -D %s start -o \"-c data_directory=%s", pgdata, pgdata);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *path = find_outside(result, files[i][1]);

		if (path != NULL) {
			printf(" -c %s=%s/", files[i][0], pgdata);
			print_clean("", path, "");
		}
	}
	printf("%s\"\n", pid_file);
}

static void
print_what_happens(const struct sw_plan *plan, const struct sw_plan_request *request)
{
	char goal[SW_GOAL_TEXT_LEN];

	printf("PostgreSQL will replay WAL on timeline %u%s, %s", plan->timeline,
		plan->follow_latest ? " and those that follow it" : "", sw_goal_text(&request->goal, goal));
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
print_text(const struct sw_config *config, const struct chosen *c, const struct sw_plan_request *request,
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
	print_notes(result, SW_NOTE_TABLESPACE, "Tablespaces were moved:");
	print_notes(result, SW_NOTE_LINK, "These links lead out of the data directory, to the original's places:");
	print_notes(result, SW_NOTE_SETTING, "Look at these settings before the start; they may name what belongs to "
		"the original server:");
	print_notes(result, SW_NOTE_OUTSIDE, "Configuration that was outside the data directory lies in it:");
	print_archiving(result);
	print_start(result, pgdata);
}

static void
print_json(const struct sw_config *config, const struct chosen *c, const struct sw_plan_request *request,
	const struct sw_plan_settings *settings, const struct sw_restore_result *result, int64_t elapsed_ms)
{
	const struct sw_manifest_header *h = &result->header;
	json_t *notes = json_array(), *remarks = json_array(), *set = json_object();
	char stop[SW_LSN_LEN], finished[SW_CLOCK_ISO_LEN], goal[SW_GOAL_TEXT_LEN], id[24];
	SW_AUTO_JSON *object = NULL;

	for (size_t i = 0; i < result->note_count; i++)
		json_array_append_new(notes, json_pack("{s:s, s:s, s:s}", "kind", note_kinds[result->notes[i].kind],
			"what", result->notes[i].what, "value", result->notes[i].value));
	for (size_t i = 0; i < c->plan.remark_count; i++)
		json_array_append_new(remarks, json_string(c->plan.remarks[i]));
	for (size_t i = 0; i < settings->count; i++)
		json_object_set_new(set, settings->items[i].name, json_string(settings->items[i].value));
	snprintf(id, sizeof(id), "%" PRIu64, h->system_identifier);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:I, s:I, s:I, s:b, s:o, s:o, s:o}",
		"cluster", c->repo.cluster, "system_identifier", id, "url", sw_store_url(c->store),
		"label", h->label, "finished", sw_clock_iso(h->finished_us, finished),
		"stop_lsn", sw_lsn_format(h->stop, stop), "pgdata", sw_config_string(config, SW_OPT_PGDATA),
		"timeline", (json_int_t)c->plan.timeline, "target", sw_goal_text(&request->goal, goal),
		"resumed", result->resumed, "size", (json_int_t)result->bytes, "kept", (json_int_t)result->kept,
		"elapsed_ms", (json_int_t)elapsed_ms, "has_configuration", result->has_configuration,
		"settings", set, "notes", notes, "remarks", remarks);
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
}

/* --- the verb ------------------------------------------------------------------------- */

static void
announce(const struct chosen *c, const struct sw_plan_request *request)
{
	const struct sw_plan *plan = &c->plan;
	char goal[SW_GOAL_TEXT_LEN], size[SW_PROGRESS_SIZE_LEN], finished[SW_GOAL_TIME_LEN];

	sw_log(SW_LOG_INFO, "%s backup %s (%s, ended %s, timeline %u) from %s, recovery %s on timeline %u",
		request->backup != NULL ? "taking" : "chose", plan->backup.label,
		sw_progress_size(plan->backup.size, size), sw_goal_time(plan->backup.finished_us, finished),
		plan->backup.timeline, sw_store_url(c->store), sw_goal_text(&request->goal, goal), plan->timeline);
	for (size_t i = 0; i < plan->remark_count; i++)
		sw_log(SW_LOG_WARNING, "%s", plan->remarks[i]);
	if (geteuid() == 0)
		sw_log(SW_LOG_WARNING, "running as root: the files will be root's, and PostgreSQL does not start as root; "
			"run it as the user that PostgreSQL runs as");
}

static void
show_progress(void *ctx, uint64_t done, uint64_t total)
{
	sw_progress_show(ctx, done, total);
}

static sw_rc
execute(const struct sw_config *config, const struct chosen *c, const struct sw_plan_request *request,
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
	int64_t start = sw_clock_monotonic_ms();
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
	if (rc != SW_OK)
		return rc;
	if (sw_config_bool(config, SW_OPT_JSON))
		print_json(config, c, request, &settings, &result, sw_clock_monotonic_ms() - start);
	else
		print_text(config, c, request, &result, sw_clock_monotonic_ms() - start);
	sw_restore_result_release(&result);
	return SW_OK;
}

sw_rc
sw_cmd_restore(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	__attribute__((cleanup(chosen_release))) struct chosen c = {0};
	struct sw_plan_request request;
	sw_rc rc = read_request(config, &request, err);

	*ret_status = 0;
	if (rc != SW_OK)
		return rc;
	rc = make_plan(config, &request, &c, err);
	if (rc == SW_NOT_FOUND) {
		sw_cli_report(err);
		*ret_status = 3;
		return SW_OK;
	}
	if (rc != SW_OK)
		return rc;
	announce(&c, &request);
	return execute(config, &c, &request, err);
}
