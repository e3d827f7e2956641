#include <inttypes.h>
#include <stdio.h>

#include "backup/take.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/gaps.h"
#include "cli/note.h"
#include "cli/progress.h"
#include "pg/control.h"

struct backup_progress {
	struct sw_progress line;
	int phase;
};

static void
tick(void *ctx, const struct sw_take_progress *progress)
{
	struct backup_progress *p = ctx;
	bool entered = (int)progress->phase != p->phase;

	if (entered && progress->phase != SW_TAKE_COPYING)
		sw_progress_end(&p->line);
	p->phase = progress->phase;
	if (entered && progress->phase == SW_TAKE_STARTING)
		sw_log(SW_LOG_INFO, "waiting for the server's checkpoint");
	else if (entered && progress->phase == SW_TAKE_WAITING_FOR_WAL)
		sw_log(SW_LOG_INFO, "all files are stored; waiting for the backup's last WAL to be archived");
	else if (progress->phase == SW_TAKE_COPYING)
		sw_progress_show(&p->line, progress->done, progress->total);
}

static void
print_json(const struct sw_manifest_header *h, const char *reanchored)
{
	char start[SW_LSN_LEN], stop[SW_LSN_LEN], started[SW_CLOCK_ISO_LEN], finished[SW_CLOCK_ISO_LEN];
	SW_AUTO_JSON *object = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}",
		"label", h->label, "cluster", h->cluster, "timeline", (json_int_t)h->timeline,
		"start_lsn", sw_lsn_format(h->start, start), "stop_lsn", sw_lsn_format(h->stop, stop),
		"started", sw_clock_iso(h->started_us, started),
		"finished", sw_clock_iso(h->finished_us, finished),
		"size", (json_int_t)h->size, "stored", (json_int_t)h->stored,
		"entries", (json_int_t)h->entry_count, "damaged_pages", (json_int_t)h->damaged_pages,
		"reanchors", reanchored[0] != '\0' ? sw_json_text(reanchored) : json_null());

	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
}

static void
print_text(const struct sw_manifest_header *h, const char *reanchored)
{
	char size[SW_PROGRESS_SIZE_LEN], stored[SW_PROGRESS_SIZE_LEN], duration[SW_PROGRESS_TIME_LEN];
	char start[SW_LSN_LEN], stop[SW_LSN_LEN];

	printf("backup %s: %s in %" PRIu64 " files and directories, %s stored, %s\n", h->label,
		sw_progress_size(h->size, size), h->entry_count, sw_progress_size(h->stored, stored),
		sw_progress_time((h->finished_us - h->started_us) / 1000000, duration));
	printf("timeline %u, consistent from LSN %s (started at %s)\n", h->timeline,
		sw_lsn_format(h->stop, stop), sw_lsn_format(h->start, start));
	if (reanchored[0] != '\0')
		printf("it re-anchors the cluster: from here on recovery works again; %s\n", reanchored);
}

/* Whatever became of it.  header: NULL if it failed. */
static void
note(const struct sw_config *config, const struct sw_manifest_header *header, int64_t started_us,
	const struct sw_error *failed)
{
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA), *label = sw_config_string(config, SW_OPT_LABEL);
	struct sw_lineage_act act = {.act = "backup", .result = header != NULL ? "done" : "failed", .started_us = started_us};
	struct sw_control control = {0};
	struct sw_repository repo;
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_STORE *store = NULL;
	SW_AUTO_JSON *what = NULL;
	char stop[SW_LSN_LEN];

	if (header == NULL && (pgdata == NULL || sw_control_read(pgdata, &control, NULL, &err) != SW_OK))
		return;
	if (sw_store_open(config, 0, &store, &err) != SW_OK || sw_repository_open(store, sw_config_cluster(config),
		header != NULL ? header->system_identifier : control.system_identifier, &repo, &err) != SW_OK)
		return;
	if (header != NULL)
		what = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "label", header->label, "timeline",
			(json_int_t)header->timeline, "stop_lsn", sw_lsn_format(header->stop, stop), "size", (json_int_t)header->size,
			"stored", (json_int_t)header->stored, "damaged_pages", (json_int_t)header->damaged_pages);
	else
		what = json_pack("{s:s*}", "label", label);
	act.what = what;
	act.error = header == NULL ? failed->text : NULL;
	sw_note_act(config, &repo, &act);
}

sw_rc
sw_cmd_backup(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct backup_progress progress = {.phase = -1};
	struct sw_manifest_header header;
	char reanchored[SW_GAPS_TEXT_LEN];
	int64_t started_us = sw_clock_now_us();
	sw_rc rc = sw_note_check_reason(config, err);

	if (rc != SW_OK)
		return rc;
	sw_progress_init(&progress.line, config, "backup");
	rc = sw_take(config, tick, &progress, &header, err);
	sw_progress_end(&progress.line);
	if (rc != SW_CONFIG && sw_interrupt_signal() == 0)
		note(config, rc == SW_OK ? &header : NULL, started_us, err);
	if (rc != SW_OK)
		return rc;
	sw_gaps_reanchored(config, &header, reanchored);
	if (sw_config_bool(config, SW_OPT_JSON))
		print_json(&header, reanchored);
	else
		print_text(&header, reanchored);
	if (header.damaged_pages > 0)
		sw_log(SW_LOG_ERROR, "%" PRIu64 " pages have wrong checksums; the backup is kept, but the cluster is "
			"damaged: see the warnings above", header.damaged_pages);
	*ret_status = header.damaged_pages > 0 ? 3 : 0;
	return SW_OK;
}
