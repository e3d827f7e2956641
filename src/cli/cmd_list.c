#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/dropped.h"
#include "catalog/inventory.h"
#include "cli/cli.h"
#include "cli/gaps.h"
#include "cli/progress.h"
#include "cli/systems.h"

/* One registration of the cluster in one repository. */
struct listed {
	struct sw_repository repo;
	struct sw_inventory inventory;
};

static char *
segment_name(const struct listed *l, uint32_t timeline, uint64_t segment, char buf[SW_WAL_NAME_MAX])
{
	struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = segment};

	return sw_wal_name_format(&name, l->repo.reg.segment_size, buf);
}

/* Ranges i … the returned one - 1 are of one timeline. */
static size_t
end_of_timeline(const struct sw_inventory *inventory, size_t i)
{
	size_t end = i;

	while (end < inventory->range_count &&
		inventory->ranges[end].timeline == inventory->ranges[i].timeline)
		end++;
	return end;
}

/* --- JSON -------------------------------------------------------------------------- */

static json_t *
backup_json(const struct sw_inventory_backup *b)
{
	const struct sw_manifest_header *h = &b->header;
	char start[SW_LSN_LEN], stop[SW_LSN_LEN], started[SW_CLOCK_ISO_LEN], finished[SW_CLOCK_ISO_LEN];

	if (b->reason != NULL)
		return json_pack("{s:s, s:b, s:s}", "label", b->label, "readable", 0, "reason", b->reason);
	return json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:s, s:s}",
		"label", b->label, "readable", 1, "started", sw_clock_iso(h->started_us, started),
		"finished", sw_clock_iso(h->finished_us, finished),
		"duration_ms", (json_int_t)((h->finished_us - h->started_us) / 1000),
		"timeline", (json_int_t)h->timeline, "start_lsn", sw_lsn_format(h->start, start),
		"stop_lsn", sw_lsn_format(h->stop, stop), "size", (json_int_t)h->size,
		"stored", (json_int_t)h->stored, "damaged_pages", (json_int_t)h->damaged_pages,
		"checksums", h->checksums, "checksums_verified", h->checksums_verified,
		"from_standby", h->from_standby, "host", h->host, "pgdata", h->pgdata);
}

static json_t *
hole_json(const struct listed *l, uint32_t timeline, uint64_t first, uint64_t last)
{
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX];
	int64_t us;
	uint64_t dropped = sw_dropped_count(&l->inventory, timeline, first, last, &us);

	return json_pack("{s:s, s:s, s:I, s:I}", "first", segment_name(l, timeline, first, a),
		"last", segment_name(l, timeline, last, b), "segments", (json_int_t)(last - first + 1),
		"dropped", (json_int_t)dropped);
}

static json_t *
timeline_json(const struct listed *l, size_t from, size_t end)
{
	const struct sw_inventory_range *r = l->inventory.ranges;
	char first[SW_WAL_NAME_MAX], last[SW_WAL_NAME_MAX];
	json_t *holes = json_array();
	uint64_t count = 0;

	for (size_t i = from; i < end; i++) {
		count += r[i].last - r[i].first + 1;
		if (i > from)
			json_array_append_new(holes, hole_json(l, r[i].timeline, r[i - 1].last + 1, r[i].first - 1));
	}
	return json_pack("{s:I, s:s, s:s, s:I, s:o}", "timeline", (json_int_t)r[from].timeline,
		"first", segment_name(l, r[from].timeline, r[from].first, first),
		"last", segment_name(l, r[from].timeline, r[end - 1].last, last),
		"segments", (json_int_t)count, "holes", holes);
}

static json_t *
listed_json(const struct listed *l, json_t *dropped)
{
	json_t *backups = json_array(), *wal = json_array(), *histories = json_array();
	char id[24], created[SW_CLOCK_ISO_LEN];

	for (size_t i = 0; i < l->inventory.backup_count; i++)
		json_array_append_new(backups, backup_json(&l->inventory.backups[i]));
	for (size_t i = 0, end; i < l->inventory.range_count; i = end) {
		end = end_of_timeline(&l->inventory, i);
		json_array_append_new(wal, timeline_json(l, i, end));
	}
	for (size_t i = 0; i < l->inventory.history_count; i++)
		json_array_append_new(histories, json_integer(l->inventory.histories[i]));
	snprintf(id, sizeof(id), "%" PRIu64, l->repo.reg.system_identifier);
	return json_pack("{s:s, s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:o}", "system_identifier", id,
		"pg_major", (json_int_t)l->repo.reg.major, "segment_size", (json_int_t)l->repo.reg.segment_size,
		"registered", sw_clock_iso(l->repo.reg.created_us, created), "backups", backups, "wal", wal,
		"histories", histories, "wal_stored", (json_int_t)l->inventory.wal_stored, "dropped", dropped);
}

/* --- text -------------------------------------------------------------------------- */

#define COLUMNS 9

static void
backup_cells(const struct sw_inventory_backup *b, char cells[COLUMNS][64])
{
	const struct sw_manifest_header *h = &b->header;
	char a[SW_LSN_LEN], remarks[64] = "";
	size_t len = 0;

	snprintf(cells[0], 64, "%s", b->label);
	sw_clock_iso(h->finished_us, cells[1]);
	snprintf(cells[1] + 19, 2, "Z");
	snprintf(cells[2], 64, "%u", h->timeline);
	snprintf(cells[3], 64, "%s..", sw_lsn_format(h->start, a));
	strcat(cells[3], sw_lsn_format(h->stop, a));
	sw_progress_size(h->size, cells[4]);
	sw_progress_size(h->stored, cells[5]);
	sw_progress_time((h->finished_us - h->started_us + 999999) / 1000000, cells[6]);
	snprintf(cells[7], 64, "%d.%d", h->pg_version / 10000, h->pg_version % 10000);
	if (h->from_standby)
		len = (size_t)snprintf(remarks, sizeof(remarks), "from a standby");
	if (h->damaged_pages > 0)
		snprintf(remarks + len, sizeof(remarks) - len, "%sdamaged pages: %" PRIu64,
			len > 0 ? ", " : "", h->damaged_pages);
	snprintf(cells[8], 64, "%s", remarks);
}

static void
print_cells(char cells[COLUMNS][64], const size_t width[COLUMNS])
{
	size_t last = cells[COLUMNS - 1][0] != '\0' ? COLUMNS - 1 : COLUMNS - 2;

	for (size_t c = 0; c <= last; c++)
		printf("%*s%s", c == 2 || (c >= 4 && c <= 6) ? (int)width[c] : c == last ? 0 : -(int)width[c],
			cells[c], c == last ? "\n" : "  ");
}

static void
print_backups(const struct sw_inventory *inventory)
{
	char heading[COLUMNS][64] = {"LABEL", "FINISHED", "TL", "LSN", "SIZE", "STORED", "DURATION",
		"VERSION", "REMARKS"}, cells[COLUMNS][64];
	size_t width[COLUMNS] = {0};
	uint64_t stored = 0;

	for (size_t i = 0; i <= inventory->backup_count; i++) {
		if (i < inventory->backup_count && inventory->backups[i].reason != NULL)
			continue;
		if (i < inventory->backup_count)
			backup_cells(&inventory->backups[i], cells);
		for (size_t c = 0; c < COLUMNS; c++) {
			size_t len = strlen(i < inventory->backup_count ? cells[c] : heading[c]);

			width[c] = len > width[c] ? len : width[c];
		}
	}
	print_cells(heading, width);
	for (size_t i = 0; i < inventory->backup_count; i++) {
		const struct sw_inventory_backup *b = &inventory->backups[i];

		stored += b->header.stored;
		if (b->reason != NULL) {
			printf("%-*s  cannot be read: %s\n", (int)width[0], b->label, b->reason);
			continue;
		}
		backup_cells(b, cells);
		print_cells(cells, width);
	}
	printf("%zu backup%s, %s stored\n", inventory->backup_count, inventory->backup_count == 1 ? "" : "s",
		sw_progress_size(stored, cells[0]));
}

static void
print_timeline(const struct listed *l, size_t from, size_t end)
{
	const struct sw_inventory_range *r = l->inventory.ranges;
	char a[SW_WAL_NAME_MAX], b[SW_WAL_NAME_MAX], why[SW_DROPPED_TEXT_LEN];
	uint64_t count = 0;

	for (size_t i = from; i < end; i++)
		count += r[i].last - r[i].first + 1;
	printf("WAL on timeline %u: %s to %s, %" PRIu64 " segment%s\n", r[from].timeline,
		segment_name(l, r[from].timeline, r[from].first, a),
		segment_name(l, r[from].timeline, r[end - 1].last, b), count, count == 1 ? "" : "s");
	for (size_t i = from + 1; i < end; i++) {
		uint64_t first = r[i - 1].last + 1, last = r[i].first - 1;

		printf("  missing: %s", segment_name(l, r[i].timeline, first, a));
		if (last > first)
			printf(" to %s, %" PRIu64 " segments", segment_name(l, r[i].timeline, last, b),
				last - first + 1);
		sw_dropped_text(&l->inventory, r[i].timeline, first, last, why);
		printf("%s%s\n", why[0] != '\0' ? ", " : "", why);
	}
}

static void
print_listed(const struct listed *l)
{
	char size[SW_PROGRESS_SIZE_LEN];
	uint64_t count = 0;

	printf("cluster \"%s\" in %s (PostgreSQL %u, system identifier %" PRIu64 ")\n", l->repo.cluster,
		sw_store_url(l->repo.store), l->repo.reg.major, l->repo.reg.system_identifier);
	if (l->inventory.backup_count == 0)
		printf("no backup yet: 'seawall backup' makes one\n");
	else
		print_backups(&l->inventory);
	for (size_t i = 0, end; i < l->inventory.range_count; i = end) {
		end = end_of_timeline(&l->inventory, i);
		print_timeline(l, i, end);
	}
	for (size_t i = 0; i < l->inventory.range_count; i++)
		count += l->inventory.ranges[i].last - l->inventory.ranges[i].first + 1;
	printf("%" PRIu64 " WAL segment%s, %s stored%s\n", count, count == 1 ? "" : "s",
		sw_progress_size(l->inventory.wal_stored, size),
		l->inventory.backup_count > 0 ? "; 'seawall targets' tells what can be recovered" : "");
}

/* --- the verb ---------------------------------------------------------------------- */

static sw_rc
list_system(void *ctx, struct sw_repository *repo, json_t *systems, struct sw_error *err)
{
	struct listed l = {.repo = *repo};
	json_t *dropped = NULL;
	sw_rc rc = sw_inventory_read_backups(&l.repo, &l.inventory, err);

	(void)ctx;
	if (rc == SW_OK)
		rc = sw_inventory_read_wal(&l.repo, 0, 0, &l.inventory, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_gaps(&l.repo, &l.inventory, err);
	if (rc == SW_OK && systems != NULL)
		rc = sw_gaps_json(&l.repo, &l.inventory, &dropped, err);
	if (rc == SW_OK && systems != NULL) {
		json_array_append_new(systems, listed_json(&l, dropped));
	} else if (rc == SW_OK) {
		print_listed(&l);
		rc = sw_gaps_print(&l.repo, &l.inventory, err);
	}
	sw_inventory_release(&l.inventory);
	return rc;
}

sw_rc
sw_cmd_list(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	*ret_status = 0;
	return sw_systems_each(config, list_system, NULL, err);
}
