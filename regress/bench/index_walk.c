/*
 * index_walk - time sw_index_walk on the configured repository: what `seawall targets` and `seawall find` wait for.
 *
 *   index_walk [-d brief|full|fresh] [-w WORKERS] [-n] [-v]
 *
 * Lists all WAL, walks each timeline, and prints one line: segments, items, problems, commits, seconds of the listing
 * and of the walk, peak resident memory.  -n: no index objects are put.  -v: every problem.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "archive/index.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "catalog/inventory.h"
#include "config/config.h"

struct sums {
	uint64_t segments, items, boundaries, problems, read_whole, commits, points;
	bool verbose;
};

static sw_rc
add(void *ctx, const struct sw_index_item *item, struct sw_error *err)
{
	struct sums *s = ctx;

	(void)err;
	s->items++;
	s->segments += item->boundary ? 0 : item->last - item->first + 1;
	s->boundaries += item->boundary;
	s->read_whole += !item->summary && !item->boundary;
	if (item->problem != NULL) {
		s->problems++;
		if (s->verbose)
			printf("%" PRIX64 "%s: %s\n", item->first, item->unjoined ? " (unjoined)" : "", item->problem);
	}
	if (item->digest != NULL) {
		s->commits += item->digest->commits;
		s->points += item->digest->point_count;
	}
	return SW_OK;
}

static sw_rc
walk_all(struct sw_repository *repo, const struct sw_inventory *inventory, struct sw_index_params *params,
	struct sums *sums, struct sw_error *err)
{
	struct sw_index_range *ranges = calloc(inventory->range_count + 1, sizeof(*ranges));
	sw_rc rc = SW_OK;

	if (ranges == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	params->repo = repo;
	params->ranges = ranges;
	for (size_t i = 0; rc == SW_OK && i < inventory->range_count;) {
		params->timeline = inventory->ranges[i].timeline;
		params->range_count = 0;
		for (; i < inventory->range_count && inventory->ranges[i].timeline == params->timeline; i++)
			ranges[params->range_count++] = (struct sw_index_range){inventory->ranges[i].first,
				inventory->ranges[i].last};
		rc = sw_index_walk(params, add, sums, err);
	}
	free(ranges);
	return rc;
}

static void
read_arguments(int argc, char **argv, struct sw_index_params *params, struct sums *sums)
{
	static const char *const details[] = {"brief", "full", "fresh"};
	int option;

	while ((option = getopt(argc, argv, "d:w:nv")) != -1)
		switch (option) {
		case 'd':
			for (unsigned i = 0; i < 3; i++)
				if (strcmp(optarg, details[i]) == 0)
					params->detail = (enum sw_index_detail)i;
			break;
		case 'w': params->workers = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'n': params->fold = false; break;
		case 'v': sums->verbose = true; break;
		default: errx(2, "usage: index_walk [-d brief|full|fresh] [-w WORKERS] [-n] [-v]");
		}
}

static void
print_log(enum sw_log_level level, const char *text)
{
	(void)level;
	warnx("%s", text);
}

static sw_rc
run(const struct sw_config *config, struct sw_index_params *params, struct sums *sums, struct sw_error *err)
{
	struct sw_inventory inventory = {0};
	struct sw_registration reg;
	struct sw_repository repo;
	SW_AUTO_STORE *store = NULL;
	struct rusage usage;
	size_t count = 0;
	int64_t start = sw_clock_monotonic_ms(), listed, end;
	sw_rc rc = sw_store_open(config, 0, &store, err);

	if (rc == SW_OK)
		rc = sw_repository_list(store, sw_config_cluster(config), &reg, 1, &count, err);
	if (rc == SW_OK && count == 0)
		rc = sw_fail(err, SW_NOT_FOUND, "there is no cluster");
	if (rc == SW_OK)
		rc = sw_repository_open(store, sw_config_cluster(config), reg.system_identifier, &repo, err);
	if (rc == SW_OK)
		rc = sw_inventory_read_wal(&repo, 0, 0, &inventory, err);
	listed = sw_clock_monotonic_ms();
	if (rc == SW_OK)
		rc = walk_all(&repo, &inventory, params, sums, err);
	end = sw_clock_monotonic_ms();
	sw_inventory_release(&inventory);
	getrusage(RUSAGE_SELF, &usage);
	if (rc == SW_OK)
		printf("%" PRIu64 " segments, %" PRIu64 " items (%" PRIu64 " across borders), %" PRIu64 " problems, %" PRIu64
			" read whole, %" PRIu64 " commits, %" PRIu64 " restore points; list %.2f s, walk %.2f s, %ld MiB\n",
			sums->segments, sums->items, sums->boundaries, sums->problems, sums->read_whole, sums->commits,
			sums->points, (double)(listed - start) / 1000, (double)(end - listed) / 1000, usage.ru_maxrss / 1024);
	return rc;
}

int
main(int argc, char **argv)
{
	struct sw_index_params params = {.workers = 16, .fold = true};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_config *config = NULL;
	struct sums sums = {0};
	sw_rc rc;

	read_arguments(argc, argv, &params, &sums);
	sw_interrupt_catch();
	sw_log_init(SW_LOG_INFO, print_log);
	rc = sw_config_load(SW_CMD_LIST, 0, NULL, &config, &err);
	if (rc == SW_OK)
		rc = sw_config_need_repo(config, &err);
	if (rc == SW_OK)
		rc = run(config, &params, &sums, &err);
	if (rc != SW_OK)
		warnx("%s; %s", err.text, err.hint);
	sw_config_free(config);
	return rc == SW_OK ? 0 : 1;
}
