#include "cli/gaps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/dropped.h"
#include "cli/cli.h"

#define PRINTED_MAX 5

static char *
segment_name(const struct sw_repository *repo, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, repo->reg.segment_size, buf);
}

/* The name has said what matters. */
static bool
read_record(struct sw_repository *repo, const struct sw_dropped_run *run, struct sw_gap_record *ret_record)
{
	struct sw_error err = SW_ERROR_INIT;

	if (sw_gap_get(repo, &run->record, ret_record, &err) == SW_OK)
		return true;
	sw_log(SW_LOG_WARNING, "a record of dropped WAL cannot be read: %s", err.text);
	return false;
}

static void
describe(struct sw_repository *repo, const struct sw_dropped_run *run, char buf[SW_GAPS_TEXT_LEN])
{
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX], from[SW_GAP_TEXT_LEN], to[SW_CLOCK_ISO_LEN];
	uint64_t count = run->last - run->first + 1;
	struct sw_gap_record record;
	int len;

	len = snprintf(buf, SW_GAPS_TEXT_LEN, "%s", segment_name(repo, run->timeline, run->first, first));
	if (count > 1)
		len += snprintf(buf + len, SW_GAPS_TEXT_LEN - (size_t)len, " to %s, %" PRIu64 " segments,",
			segment_name(repo, run->timeline, run->last, last), count);
	len += snprintf(buf + len, SW_GAPS_TEXT_LEN - (size_t)len, " of timeline %" PRIu32 " %s %s", run->timeline,
		count > 1 ? "were" : "was", sw_gap_text(run->from_us, from));
	if (run->to_us > run->from_us) {
		sw_clock_iso(run->to_us, to);
		len += snprintf(buf + len, SW_GAPS_TEXT_LEN - (size_t)len, " to %.10s %.8sZ", to, to + 11);
	}
	if (read_record(repo, run, &record))
		snprintf(buf + len, SW_GAPS_TEXT_LEN - (size_t)len, " on %.100s:%.300s, because %.400s", record.host, record.pgdata,
			record.why);
	sw_cli_clean(buf);
}

sw_rc
sw_gaps_print(struct sw_repository *repo, const struct sw_inventory *inventory, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_dropped_run *runs = NULL;
	size_t count = 0;
	sw_rc rc = sw_dropped_open(inventory, repo->reg.segment_size, &runs, &count, err);

	if (rc != SW_OK || count == 0)
		return rc;
	for (size_t i = count > PRINTED_MAX ? count - PRINTED_MAX : 0; i < count; i++) {
		char text[SW_GAPS_TEXT_LEN];

		describe(repo, &runs[i], text);
		printf("WAL IS MISSING: %s\n", text);
	}
	if (count > PRINTED_MAX)
		printf("... and %zu stretches of WAL before that\n", count - PRINTED_MAX);
	printf("NOTHING THAT WAS COMMITTED IN IT OR BEHIND IT CAN BE RECOVERED until there is a new backup: run 'seawall backup'\n");
	return SW_OK;
}

sw_rc
sw_gaps_text(struct sw_repository *repo, const struct sw_inventory *inventory, char buf[SW_GAPS_TEXT_LEN],
	struct sw_error *err)
{
	SW_AUTO_FREE struct sw_dropped_run *runs = NULL;
	size_t count = 0, len;
	sw_rc rc = sw_dropped_open(inventory, repo->reg.segment_size, &runs, &count, err);

	if (rc != SW_OK)
		return rc;
	buf[0] = '\0';
	if (count == 0)
		return SW_OK;
	describe(repo, &runs[count - 1], buf);
	len = strlen(buf);
	if (count > 1)
		snprintf(buf + len, SW_GAPS_TEXT_LEN - len, ", and %zu stretch%s before", count - 1, count > 2 ? "es" : "");
	return SW_OK;
}

static json_t *
run_json(struct sw_repository *repo, const struct sw_dropped_run *run)
{
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX], from[SW_CLOCK_ISO_LEN], to[SW_CLOCK_ISO_LEN];
	struct sw_gap_record record;
	bool known = read_record(repo, run, &record);

	return json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o}", "timeline", (json_int_t)run->timeline,
		"first", segment_name(repo, run->timeline, run->first, first), "last", segment_name(repo, run->timeline, run->last, last),
		"segments", (json_int_t)(run->last - run->first + 1), "first_time", sw_clock_iso(run->from_us, from),
		"last_time", sw_clock_iso(run->to_us, to), "host", known ? sw_json_text(record.host) : json_null(),
		"pgdata", known ? sw_json_text(record.pgdata) : json_null(), "why", known ? sw_json_text(record.why) : json_null());
}

sw_rc
sw_gaps_json(struct sw_repository *repo, const struct sw_inventory *inventory, json_t **ret_array, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_dropped_run *runs = NULL;
	json_t *array = json_array();
	size_t count = 0;
	sw_rc rc = array == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") :
		sw_dropped_open(inventory, repo->reg.segment_size, &runs, &count, err);

	for (size_t i = 0; rc == SW_OK && i < count; i++)
		if (json_array_append_new(array, run_json(repo, &runs[i])) != 0)
			rc = sw_fail(err, SW_SYSTEM, "out of memory");
	if (rc == SW_OK)
		*ret_array = array;
	else
		json_decref(array);
	return rc;
}

/* --- for who has read nothing yet ------------------------------------------------------------ */

sw_rc
sw_gaps_look(struct sw_repository *repo, char buf[SW_GAPS_TEXT_LEN], bool *ret_records, struct sw_error *err)
{
	struct sw_inventory inventory = {0};
	sw_rc rc = sw_inventory_read_gaps(repo, &inventory, err);

	buf[0] = '\0';
	*ret_records = inventory.gap_count > 0;
	if (rc == SW_OK && *ret_records) {
		rc = sw_inventory_read_backups(repo, &inventory, err);
		if (rc == SW_OK)
			rc = sw_inventory_read_wal(repo, 0, 0, &inventory, err);
		if (rc == SW_OK)
			rc = sw_gaps_text(repo, &inventory, buf, err);
	}
	sw_inventory_release(&inventory);
	return rc;
}

struct untold {
	size_t count;
	int64_t last_us;
};

static sw_rc
count_untold(void *ctx, const struct sw_gap *gap, struct sw_error *err)
{
	struct untold *untold = ctx;

	(void)err;
	untold->count++;
	if (gap->time_us > untold->last_us)
		untold->last_us = gap->time_us;
	return SW_OK;
}

sw_rc
sw_gaps_untold(const struct sw_config *config, const char *pgdata, const struct sw_control *control,
	char buf[SW_GAPS_TEXT_LEN], struct sw_error *err)
{
	SW_AUTO_FREE char *dir = sw_gap_dir_of(config, pgdata, control->system_identifier);
	struct untold untold = {0};
	char why[SW_GAP_TEXT_LEN];
	sw_rc rc = dir == NULL ? sw_fail(err, SW_SYSTEM, "out of memory") :
		sw_gap_list_local(dir, control->segment_size, count_untold, &untold, err);

	buf[0] = '\0';
	if (rc == SW_OK && untold.count > 0)
		snprintf(buf, SW_GAPS_TEXT_LEN, "WAL was %s, and %zu record%s of it in %.900s %s not in every repository yet",
			sw_gap_text(untold.last_us, why), untold.count, untold.count == 1 ? "" : "s", dir, untold.count == 1 ? "is" : "are");
	return rc;
}

/* --- a new backup ------------------------------------------------------------------------- */

/* The newest run that is open without the backup, and not with it. */
static sw_rc
find_closed(struct sw_inventory *inventory, const char *label, uint32_t segment_size, struct sw_dropped_run *ret_run,
	size_t *ret_count, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_dropped_run *without = NULL;
	SW_AUTO_FREE struct sw_dropped_run *with = NULL;
	size_t without_count = 0, with_count = 0, k = 0;
	sw_rc rc = sw_dropped_open(inventory, segment_size, &with, &with_count, err);

	for (size_t i = 0; i < inventory->backup_count; i++)
		if (strcmp(inventory->backups[i].label, label) == 0)
			inventory->backups[i].header.timeline = 0; /* anchors nothing */
	if (rc == SW_OK)
		rc = sw_dropped_open(inventory, segment_size, &without, &without_count, err);
	*ret_count = 0;
	for (size_t i = 0; rc == SW_OK && i < without_count; i++) {
		while (k < with_count && (with[k].timeline < without[i].timeline ||
			(with[k].timeline == without[i].timeline && with[k].last < without[i].first)))
			k++;
		if (k < with_count && with[k].timeline == without[i].timeline && with[k].first <= without[i].last)
			continue;
		*ret_run = without[i];
		++*ret_count;
	}
	return rc;
}

static sw_rc
read_closed(const struct sw_config *config, const struct sw_manifest_header *backup, char buf[SW_GAPS_TEXT_LEN],
	struct sw_inventory *inventory, struct sw_error *err)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_repository repo;
	struct sw_dropped_run run;
	size_t count = 0;
	sw_rc rc = sw_store_open(config, 0, &store, err);

	if (rc == SW_OK)
		rc = sw_repository_open(store, sw_config_cluster(config), backup->system_identifier, &repo, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_gaps(&repo, inventory, err);
	if (rc != SW_OK || inventory->gap_count == 0)
		return rc;
	rc = sw_inventory_read_backups(&repo, inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_wal(&repo, 0, 0, inventory, err);
	if (rc == SW_OK)
		rc = find_closed(inventory, backup->label, repo.reg.segment_size, &run, &count, err);
	if (rc == SW_OK && count > 0)
		describe(&repo, &run, buf);
	return rc;
}

void
sw_gaps_reanchored(const struct sw_config *config, const struct sw_manifest_header *backup, char buf[SW_GAPS_TEXT_LEN])
{
	struct sw_inventory inventory = {0};
	struct sw_error err = SW_ERROR_INIT;

	buf[0] = '\0';
	if (read_closed(config, backup, buf, &inventory, &err) != SW_OK)
		sw_log(SW_LOG_WARNING, "whether WAL was dropped before this backup is not known: %s", err.text);
	sw_inventory_release(&inventory);
}
