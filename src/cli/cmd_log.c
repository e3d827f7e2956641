#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/goal.h"
#include "catalog/lineage.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/range.h"
#include "cli/systems.h"

struct logged {
	const struct sw_config *config;
	struct sw_lineage_filter filter;
	bool json, broken;
};

/* --- entries ------------------------------------------------------------------------------- */

static void
print_value(const char *key, const json_t *value)
{
	SW_AUTO_FREE char *text = json_is_string(value) ? strdup(json_string_value(value)) :
		json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	SW_AUTO_FREE char *name = strdup(key);

	if (text == NULL || name == NULL)
		return;
	sw_cli_clean(text);
	sw_cli_clean(name);
	printf("  %s %s", name, text);
}

static void
print_line(const char *before, const json_t *value)
{
	if (!json_is_string(value))
		return;
	printf("    %s", before);
	sw_cli_print_clean(json_string_value(value));
	printf("\n");
}

static const char *
text_of(const struct sw_lineage_entry *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(entry->json, key));

	return text != NULL ? text : "";
}

static void
print_entry(const struct sw_lineage_entry *entry)
{
	char finished[SW_GOAL_TIME_LEN], took[SW_PROGRESS_TIME_LEN];
	const json_t *value;
	const char *key;
	int64_t started_us = entry->finished_us;

	sw_clock_parse_iso(text_of(entry, "started"), &started_us);
	printf("%s  ", sw_goal_time(entry->finished_us, finished));
	sw_cli_print_clean(text_of(entry, "act"));
	printf("  ");
	sw_cli_print_clean(text_of(entry, "result"));
	printf("  (%s %" PRIu64 ", %s)\n   ", entry->writer, entry->seq,
		sw_progress_time((entry->finished_us - started_us + 999999) / 1000000, took));
	json_object_foreach(json_object_get(entry->json, "what"), key, value)
		print_value(key, value);
	printf("\n");
	print_line("why: ", json_object_get(entry->json, "reason"));
	print_line("error: ", json_object_get(entry->json, "error"));
}

static sw_rc
show_entries(struct logged *l, struct sw_repository *repo, json_t *system, struct sw_error *err)
{
	__attribute__((cleanup(sw_lineage_release))) struct sw_lineage lineage = {0};
	json_t *entries = json_array();
	sw_rc rc = sw_lineage_read(repo, &l->filter, &lineage, err);

	json_object_set_new(system, "entries", entries);
	if (rc != SW_OK)
		return rc;
	for (size_t i = 0; i < lineage.count; i++)
		if (l->json)
			json_array_append(entries, lineage.entries[i].json);
		else
			print_entry(&lineage.entries[i]);
	if (lineage.count == 0 && !l->json)
		printf("nothing of that kind is in the lineage\n");
	if (lineage.unread > 0)
		sw_log(SW_LOG_WARNING, "%zu entr%s missing or damaged: 'seawall log --verify' names them", lineage.unread,
			lineage.unread == 1 ? "y is" : "ies are");
	return SW_OK;
}

/* --- the proof ------------------------------------------------------------------------------- */

struct places {
	json_t *json; /* NULL: text */
};

static void
tell_broken(void *ctx, const char *text)
{
	struct places *places = ctx;

	if (places->json != NULL) {
		json_array_append_new(places->json, sw_json_text(text));
		return;
	}
	printf("broken: ");
	sw_cli_print_clean(text);
	printf("\n");
}

static sw_rc
verify(struct logged *l, struct sw_repository *repo, json_t *system, struct sw_error *err)
{
	struct places places = {.json = l->json ? json_array() : NULL};
	struct sw_lineage_proof proof;
	sw_rc rc;

	if (places.json != NULL)
		json_object_set_new(system, "broken", places.json);
	rc = sw_lineage_verify(repo, tell_broken, &places, &proof, err);
	if (rc != SW_OK)
		return rc;
	l->broken = l->broken || proof.broken > 0;
	json_object_set_new(system, "entries", json_integer((json_int_t)proof.entries));
	json_object_set_new(system, "writers", json_integer((json_int_t)proof.writers));
	if (!l->json && proof.broken == 0)
		printf("the lineage is unbroken: %" PRIu64 " entr%s in %zu chain%s\n", proof.entries,
			proof.entries == 1 ? "y" : "ies", proof.writers, proof.writers == 1 ? "" : "s");
	else if (!l->json)
		printf("the lineage is broken in %zu place%s; the first: %s\n", proof.broken, proof.broken == 1 ? "" : "s",
			proof.first_broken);
	return SW_OK;
}

/* --- the verb ---------------------------------------------------------------------------------- */

static sw_rc
show_system(void *ctx, struct sw_repository *repo, json_t *systems, struct sw_error *err)
{
	struct logged *l = ctx;
	SW_AUTO_JSON *system = NULL;
	char id[24];
	sw_rc rc;

	snprintf(id, sizeof(id), "%" PRIu64, repo->reg.system_identifier);
	system = json_pack("{s:s}", "system_identifier", id);
	if (systems == NULL)
		printf("%s: cluster \"%s\", system identifier %s\n", sw_store_url(repo->store), repo->cluster, id);
	rc = sw_config_bool(l->config, SW_OPT_VERIFY) ? verify(l, repo, system, err) : show_entries(l, repo, system, err);
	if (rc == SW_OK && systems != NULL)
		json_array_append(systems, system);
	return rc;
}

static sw_rc
read_options(struct logged *l, struct sw_error *err)
{
	const struct sw_config *config = l->config;

	l->filter = (struct sw_lineage_filter){.since_us = INT64_MIN, .until_us = INT64_MAX,
		.act = sw_config_string(config, SW_OPT_ACT)};
	if (!l->json || sw_config_is_set(config, SW_OPT_LIMIT))
		l->filter.limit = (size_t)sw_config_int(config, SW_OPT_LIMIT);
	if (sw_config_bool(config, SW_OPT_VERIFY) && (l->filter.act != NULL || sw_config_is_set(config, SW_OPT_LIMIT) ||
		sw_config_is_set(config, SW_OPT_SINCE) || sw_config_is_set(config, SW_OPT_UNTIL) ||
		sw_config_is_set(config, SW_OPT_BETWEEN))) {
		sw_fail(err, SW_CONFIG, "--verify reads every entry, and takes no choice of them");
		return sw_hint(err, "leave the other options away");
	}
	return sw_range_read(config, &l->filter.since_us, &l->filter.until_us, err);
}

sw_rc
sw_cmd_log(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct logged l = {.config = config, .json = sw_config_bool(config, SW_OPT_JSON)};
	sw_rc rc = read_options(&l, err);

	if (rc == SW_OK)
		rc = sw_systems_each(config, show_system, &l, err);
	*ret_status = l.broken ? 3 : 0;
	return rc;
}
