#include "cli/systems.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#define SYSTEMS_MAX 64

struct each {
	const struct sw_config *config;
	sw_systems_show show;
	void *ctx;
	json_t *documents; /* NULL: text */
	bool shown;        /* something, by now */
};

static sw_rc
show_system(struct each *e, struct sw_store *store, uint64_t system_identifier, json_t *systems, struct sw_error *err)
{
	struct sw_repository repo;
	sw_rc rc = sw_repository_open(store, sw_config_cluster(e->config), system_identifier, &repo, err);

	if (rc != SW_OK)
		return rc;
	if (systems == NULL && e->shown)
		printf("\n");
	e->shown = true;
	return e->show(e->ctx, &repo, systems, err);
}

static sw_rc
show_repository(struct each *e, unsigned i, struct sw_error *err)
{
	SW_AUTO_FREE struct sw_registration *regs = calloc(SYSTEMS_MAX, sizeof(*regs));
	SW_AUTO_JSON *systems = e->documents == NULL ? NULL : json_array();
	const char *cluster = sw_config_cluster(e->config);
	SW_AUTO_STORE *store = NULL;
	size_t count = 0;
	sw_rc rc;

	if (regs == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_store_open(e->config, i, &store, err);
	if (rc == SW_OK)
		rc = sw_repository_list(store, cluster, regs, SYSTEMS_MAX, &count, err);
	if (rc == SW_OK && count == 0) {
		sw_fail(err, SW_CONFIG, "cluster \"%s\" is not registered in %s", cluster, sw_store_url(store));
		return sw_hint(err, "run 'seawall init', or name the cluster with --cluster");
	}
	for (size_t k = 0; rc == SW_OK && k < count; k++)
		rc = show_system(e, store, regs[k].system_identifier, systems, err);
	if (rc == SW_OK && systems != NULL)
		json_array_append_new(e->documents, json_pack("{s:s, s:s, s:s, s:O}", "repo", sw_config_repo_name(e->config, i),
			"url", sw_store_url(store), "cluster", cluster, "systems", systems));
	return rc;
}

sw_rc
sw_systems_each(const struct sw_config *config, sw_systems_show show, void *ctx, struct sw_error *err)
{
	SW_AUTO_JSON *documents = sw_config_bool(config, SW_OPT_JSON) ? json_array() : NULL;
	struct each e = {.config = config, .show = show, .ctx = ctx, .documents = documents};
	struct sw_error first = SW_ERROR_INIT;

	if (sw_config_need_repo(config, err) != SW_OK)
		return err->rc;
	for (unsigned i = 0; i < sw_config_repo_count(config); i++) {
		if (show_repository(&e, i, err) == SW_OK)
			continue;
		if (first.rc == SW_OK)
			first = *err;
		else
			sw_log(SW_LOG_ERROR, "%s", err->text);
	}
	if (documents != NULL && json_array_size(documents) > 0) {
		json_dumpf(documents, stdout, JSON_INDENT(2));
		printf("\n");
	}
	if (first.rc != SW_OK)
		*err = first;
	return first.rc;
}
