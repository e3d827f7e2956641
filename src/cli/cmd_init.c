#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/repository.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/note.h"
#include "pg/connection.h"
#include "pg/control.h"

#define SYSTEMS_MAX 64

/* Of a newer server than is known. */
static unsigned
major_of(const char *pgdata)
{
	SW_AUTO_FREE char *path = NULL;
	SW_AUTO_FD fd = -1;
	struct sw_error err = SW_ERROR_INIT;
	char text[16] = "";
	size_t len;

	if (asprintf(&path, "%s/PG_VERSION", pgdata) >= 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || sw_file_pread(fd, text, sizeof(text) - 1, 0, &len, path, &err) != SW_OK)
		return 0;
	return (unsigned)strtoul(text, NULL, 10) % 1000;
}

/* What the server is, from its data directory if that is named, else by asking it. */
static sw_rc
server_facts(const struct sw_config *config, struct sw_registration *reg, struct sw_error *err)
{
	const char *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	struct sw_control control;
	struct sw_pg_facts facts = {0};
	struct sw_pg *pg = NULL;
	sw_rc rc;

	if (pgdata != NULL) {
		rc = sw_control_read(pgdata, &control, NULL, err);
	} else {
		rc = sw_pg_connect(config, &pg, err);
		if (rc == SW_OK)
			rc = sw_pg_facts(pg, &facts, err);
		sw_pg_close(pg);
		if (rc == SW_OK)
			rc = sw_control_read(facts.data_directory, &control, NULL, err);
		pgdata = facts.data_directory;
	}
	if (rc != SW_OK) {
		if (err->hint[0] == '\0')
			sw_hint(err, "set pgdata in [cluster %s], or start the server", sw_config_cluster(config));
		return sw_wrap(err, "finding out about the server");
	}
	*reg = (struct sw_registration){
		.system_identifier = control.system_identifier,
		.major = control.major != 0 ? control.major : major_of(pgdata),
		.segment_size = control.segment_size,
		.block_size = control.block_size,
		.wal_block_size = control.wal_block_size,
	};
	return SW_OK;
}

static void
print_registration(const struct sw_config *config, unsigned repo, const char *url,
	const struct sw_registration *reg, bool new)
{
	char created[SW_CLOCK_ISO_LEN];

	sw_clock_iso(reg->created_us, created);
	if (sw_config_bool(config, SW_OPT_JSON)) {
		char id[24];
		SW_AUTO_JSON *object = NULL;

		snprintf(id, sizeof(id), "%" PRIu64, reg->system_identifier);
		object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:I, s:I, s:s, s:b, s:b, s:b}",
			"repo", sw_config_repo_name(config, repo), "url", url, "id", reg->id,
			"cluster", sw_config_cluster(config), "system_identifier", id, "new", new,
			"pg_major", (int)reg->major, "segment_size", (json_int_t)reg->segment_size,
			"block_size", (json_int_t)reg->block_size, "created", created,
			"put_if_absent", reg->traits.put_if_absent, "versioned", reg->traits.versioned,
			"object_lock", reg->traits.object_lock);
		json_dumpf(object, stdout, JSON_COMPACT);
		return;
	}
	printf("%s: cluster \"%s\" (PostgreSQL %u, system identifier %" PRIu64 ", segments of %u MB) %s %s\n",
		url, sw_config_cluster(config), reg->major, reg->system_identifier,
		reg->segment_size >> 20, new ? "is now registered," : "is registered since", created);
	printf("%s: %s\n", url, reg->traits.put_if_absent ?
		"the store itself refuses to overwrite" :
		"the store does not refuse to overwrite: the oldest version of an object counts");
}

static sw_rc
register_in(struct sw_store *store, const struct sw_config *config, struct sw_registration *reg,
	struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX];
	sw_rc rc;

	snprintf(prefix, sizeof(prefix), "%s/%" PRIu64 "/probe/", sw_config_cluster(config),
		reg->system_identifier);
	rc = sw_store_probe(store, prefix, &reg->traits, err);
	if (rc != SW_OK)
		return sw_wrap(err, "probing what %s enforces", sw_store_url(store));
	/* of two that register at once, one must be told */
	sw_store_set_traits(store, &reg->traits);
	if (!reg->traits.put_if_absent && !reg->traits.versioned)
		sw_log(SW_LOG_WARNING, "%s neither refuses to overwrite nor keeps versions: two servers "
			"archiving as one cluster could replace each other's WAL; turn versioning on",
			sw_store_url(store));
	return sw_repository_register(store, sw_config_cluster(config), reg, err);
}

/*
 * A bucket is made by its owner, with the policy that it needs; a directory by us, but never by root for a server
 * that is another user's: its archiver could not write there.
 */
static sw_rc
make_root(const struct sw_config *config, const struct sw_store *store, struct sw_error *err)
{
	const char *url = sw_store_url(store), *pgdata = sw_config_string(config, SW_OPT_PGDATA);
	struct stat st;

	if (strncmp(url, "file://", 7) != 0)
		return SW_OK;
	if (geteuid() == 0 && (pgdata == NULL || (stat(pgdata, &st) == 0 && st.st_uid != 0))) {
		sw_fail(err, SW_CONFIG, "what root makes in %s the server could not write to", url);
		return sw_hint(err, "run 'seawall init' as the PostgreSQL user");
	}
	return sw_file_make_dirs(url + 7, 0700, err);
}

static void
note(struct sw_store *store, const struct sw_config *config, const struct sw_registration *reg, int64_t started_us)
{
	SW_AUTO_JSON *what = json_pack("{s:s, s:i}", "registration", reg->id, "pg_major", (int)reg->major);
	struct sw_lineage_act act = {.act = "init", .result = "done", .what = what, .started_us = started_us};
	struct sw_repository repo;
	struct sw_error err = SW_ERROR_INIT;

	if (sw_repository_open(store, sw_config_cluster(config), reg->system_identifier, &repo, &err) == SW_OK)
		sw_note_act(config, &repo, &act);
}

static sw_rc
init_repository(const struct sw_config *config, unsigned repo, struct sw_registration *reg,
	struct sw_error *err)
{
	const char *cluster = sw_config_cluster(config);
	struct sw_registration known[SYSTEMS_MAX];
	int64_t started_us = sw_clock_now_us();
	SW_AUTO_STORE *store = NULL;
	size_t count;
	sw_rc rc = sw_store_open(config, repo, &store, err);

	if (rc == SW_OK)
		rc = make_root(config, store, err);
	if (rc == SW_OK)
		rc = sw_repository_list(store, cluster, known, SYSTEMS_MAX, &count, err);
	if (rc != SW_OK)
		return rc;
	for (size_t i = 0; i < count; i++)
		if (known[i].system_identifier == reg->system_identifier) {
			print_registration(config, repo, sw_store_url(store), &known[i], false);
			return SW_OK;
		}
	if (count > 0 && !sw_config_bool(config, SW_OPT_UPGRADE)) {
		sw_fail(err, SW_CONFIG, "cluster \"%s\" is registered in %s with system identifier %" PRIu64
			", and this server has %" PRIu64, cluster, sw_store_url(store),
			known[count - 1].system_identifier, reg->system_identifier);
		return sw_hint(err, "after pg_upgrade or a new initdb: 'seawall init --upgrade'; for another "
			"server: --cluster with a name of its own");
	}
	rc = register_in(store, config, reg, err);
	if (rc != SW_OK)
		return rc;
	note(store, config, reg, started_us);
	print_registration(config, repo, sw_store_url(store), reg, true);
	return SW_OK;
}

sw_rc
sw_cmd_init(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	bool json = sw_config_bool(config, SW_OPT_JSON);
	struct sw_registration reg;
	sw_rc rc;

	*ret_status = 0;
	if (sw_config_need_repo(config, err) != SW_OK)
		return err->rc;
	rc = server_facts(config, &reg, err);
	if (json)
		printf("[");
	for (unsigned i = 0; rc == SW_OK && i < sw_config_repo_count(config); i++) {
		if (json && i > 0)
			printf(",\n");
		rc = init_repository(config, i, &reg, err);
	}
	if (json)
		printf("]\n");
	return rc;
}
