/*
 * seawall sync - every repository gets the WAL that another has and it lacks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/sync.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/registered.h"

#define TOLD_MAX 10000 /* of a kind, in JSON */

struct sync {
	const struct sw_config *config;
	struct sw_registered registered;
	struct sw_progress progress;
	json_t *systems;    /* with --json */
	json_t *told[3];    /* one list a kind */
	bool unpaid; /* something needs a human */
	struct sw_error first; /* of what kept us from paying all */
};

static void
take_failure(struct sync *c, const struct sw_error *err)
{
	if (c->first.rc == SW_OK)
		c->first = *err;
	else
		sw_log(SW_LOG_ERROR, "%s%s%s", err->text, err->hint[0] != '\0' ? "; " : "", err->hint);
}

/* --- while it runs ------------------------------------------------------------------ */

static void
tell(void *ctx, enum sw_sync_kind kind, const char *name, const char *text)
{
	struct sync *c = ctx;

	c->unpaid = true;
	if (c->told[kind] != NULL && json_array_size(c->told[kind]) < TOLD_MAX)
		json_array_append_new(c->told[kind], json_pack("{s:s, s:o}", "name", name, "text", sw_json_text(text)));
	sw_progress_end(&c->progress);
	sw_log(SW_LOG_WARNING, "%s", text);
}

static void
show(void *ctx, uint64_t done, uint64_t total)
{
	struct sync *c = ctx;

	sw_progress_show(&c->progress, done, total);
}

/* --- what came of it ------------------------------------------------------------------ */

static void
print_repository(const struct sw_registered_repo *repo, const struct sw_sync_counts *n, bool dry_run)
{
	char lacked[SW_PROGRESS_SIZE_LEN], copied[SW_PROGRESS_SIZE_LEN];

	printf("%s (%s): %" PRIu64 " WAL object%s", repo->name, sw_store_url(repo->store), n->objects, n->objects == 1 ? "" : "s");
	if (n->lacked == 0)
		printf(", lacked nothing\n");
	else if (dry_run)
		printf(", lacks %" PRIu64 " (%s)\n", n->lacked, sw_progress_size(n->lacked_bytes, lacked));
	else
		printf(", lacked %" PRIu64 " (%s), got %" PRIu64 " (%s)\n", n->lacked, sw_progress_size(n->lacked_bytes, lacked),
			n->copied, sw_progress_size(n->copied_bytes, copied));
}

static void
print_system(const struct sync *c, uint64_t system, const unsigned *which, unsigned count, const struct sw_sync_result *r)
{
	printf("cluster \"%s\", system identifier %" PRIu64 "\n", sw_config_cluster(c->config), system);
	for (unsigned i = 0; i < count; i++) {
		printf("  ");
		print_repository(&c->registered.repos[which[i]], &r->repos[i], sw_config_bool(c->config, SW_OPT_DRY_RUN));
	}
	if (r->conflicts > 0)
		printf("  NOT PAID: %" PRIu64 " conflict%s, see above\n", r->conflicts, r->conflicts == 1 ? "" : "s");
	if (r->lost > 0)
		printf("  NOT PAID: %" PRIu64 " object%s nowhere intact, see above\n", r->lost, r->lost == 1 ? " is" : "s are");
	if (r->damaged > 0)
		printf("  %" PRIu64 " damaged object%s, see above\n", r->damaged, r->damaged == 1 ? "" : "s");
}

static void
add_system(struct sync *c, uint64_t system, const unsigned *which, unsigned count, const struct sw_sync_result *r)
{
	json_t *repos = json_array();
	char id[24];

	for (unsigned i = 0; i < count; i++) {
		const struct sw_registered_repo *repo = &c->registered.repos[which[i]];
		const struct sw_sync_counts *n = &r->repos[i];

		json_array_append_new(repos, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "repo", repo->name,
			"url", sw_store_url(repo->store), "objects", (json_int_t)n->objects, "lacked", (json_int_t)n->lacked,
			"lacked_bytes", (json_int_t)n->lacked_bytes, "copied", (json_int_t)n->copied,
			"copied_bytes", (json_int_t)n->copied_bytes));
	}
	snprintf(id, sizeof(id), "%" PRIu64, system);
	json_array_append_new(c->systems, json_pack("{s:s, s:o, s:O, s:O, s:O}", "system_identifier", id, "repositories", repos,
		"conflicts", c->told[SW_SYNC_CONFLICT], "damaged", c->told[SW_SYNC_DAMAGED], "lost", c->told[SW_SYNC_LOST]));
}

/* --- the verb ---------------------------------------------------------------------------- */

/* Those that have the system; one that has not is told. */
static unsigned
choose(struct sync *c, uint64_t system, struct sw_repository *repos, unsigned *which)
{
	unsigned count = 0;

	for (unsigned i = 0; i < c->registered.count; i++) {
		struct sw_registered_repo *repo = &c->registered.repos[i];
		struct sw_error err = SW_ERROR_INIT;

		if (repo->err.rc != SW_OK)
			continue;
		if (sw_repository_open(repo->store, sw_config_cluster(c->config), system, &repos[count], &err) != SW_OK) {
			take_failure(c, &err);
			continue;
		}
		if (count > 0 && repos[count].reg.segment_size != repos[0].reg.segment_size) {
			sw_fail(&err, SW_CONFIG, "%s was registered with another segment size than %s", repo->name,
				c->registered.repos[which[0]].name);
			take_failure(c, &err);
			continue;
		}
		which[count++] = i;
	}
	return count;
}

static sw_rc
sync_system(struct sync *c, uint64_t system, struct sw_error *err)
{
	struct sw_repository repos[SW_QUORUM_MAX];
	unsigned which[SW_QUORUM_MAX], count = choose(c, system, repos, which);
	struct sw_sync_result result = {0};
	struct sw_sync_params params = {
		.workers = (unsigned)sw_config_int(c->config, SW_OPT_WORKERS),
		.memory_max = sw_config_size(c->config, SW_OPT_MEMORY_MAX),
		.dry_run = sw_config_bool(c->config, SW_OPT_DRY_RUN),
		.tell = tell,
		.progress = show,
		.ctx = c,
	};
	sw_rc rc;

	if (count < 2)
		return SW_OK; /* why, is told; with one repository nothing lacks */
	for (int i = 0; c->systems != NULL && i < 3; i++)
		c->told[i] = json_array();
	sw_progress_init(&c->progress, c->config, "sync");
	rc = sw_sync(repos, count, &params, &result, err);
	sw_progress_end(&c->progress);
	if (c->systems != NULL)
		add_system(c, system, which, count, &result);
	else
		print_system(c, system, which, count, &result);
	for (int i = 0; i < 3; i++) {
		json_decref(c->told[i]);
		c->told[i] = NULL;
	}
	return rc;
}

static sw_rc
sync_all(struct sync *c, struct sw_error *err)
{
	uint64_t systems[SW_REGISTERED_SYSTEMS_MAX];
	size_t count;
	sw_rc rc = sw_registered_open(c->config, 0, &c->registered, err);

	if (rc != SW_OK)
		return rc;
	for (unsigned i = 0; i < c->registered.count; i++)
		if (c->registered.repos[i].err.rc != SW_OK)
			take_failure(c, &c->registered.repos[i].err);
	count = sw_registered_systems(&c->registered, systems);
	for (size_t i = 0; rc == SW_OK && i < count; i++)
		rc = sync_system(c, systems[i], err);
	if (rc == SW_OK && c->registered.count == 1 && c->systems == NULL)
		printf("There is one repository: nothing to compare it with.\n");
	return rc;
}

sw_rc
sw_cmd_sync(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct sync c = {.config = config};
	SW_AUTO_JSON *document = NULL;
	sw_rc rc;

	if (sw_config_bool(config, SW_OPT_JSON))
		c.systems = json_array();
	rc = sync_all(&c, err);
	if (c.systems != NULL) {
		document = json_pack("{s:s, s:b, s:o}", "cluster", sw_config_cluster(config),
			"dry_run", sw_config_bool(config, SW_OPT_DRY_RUN), "systems", c.systems);
		json_dumpf(document, stdout, JSON_INDENT(2));
		printf("\n");
	}
	sw_registered_release(&c.registered);
	*ret_status = c.unpaid ? 3 : 0;
	if (rc == SW_OK && c.first.rc != SW_OK) {
		*err = c.first;
		rc = err->rc;
	}
	return rc;
}
