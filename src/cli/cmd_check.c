/*
 * seawall check - the whole loop, step by step: server, settings, repository, one segment there and back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/fetch.h"
#include "archive/quorum.h"
#include "archive/repository.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/gaps.h"
#include "pg/connection.h"
#include "pg/control.h"

struct check {
	const struct sw_config *config;
	json_t *lines; /* with --json */
	bool failed;
	bool archives; /* nothing was found that keeps WAL from arriving */
	bool good[SW_QUORUM_MAX]; /* repositories in which nothing was found */
	struct sw_pg *pg;
	struct sw_pg_facts facts;
	struct sw_control control;
};

/* --- lines --------------------------------------------------------------------------- */

static void
say(struct check *c, bool ok, const char *what, const char *text, const char *todo)
{
	if (!ok)
		c->failed = true;
	if (c->lines != NULL)
		json_array_append_new(c->lines, json_pack("{s:s, s:b, s:s, s:s}", "check", what, "ok", ok,
			"text", text, "todo", todo));
	else
		printf("%-7s %s: %s%s%s\n", ok ? "ok" : "NOT OK", what, text, todo[0] != '\0' ? "; " : "", todo);
	fflush(stdout);
}

static void
say_error(struct check *c, const char *what, const struct sw_error *err)
{
	say(c, false, what, err->text, err->hint);
}

/* --- server -------------------------------------------------------------------------- */

static bool
check_server(struct check *c)
{
	const char *pgdata = sw_config_string(c->config, SW_OPT_PGDATA);
	struct sw_error err = SW_ERROR_INIT;
	char text[1400];

	if (sw_pg_connect(c->config, &c->pg, &err) != SW_OK ||
		sw_pg_facts(c->pg, &c->facts, &err) != SW_OK) {
		say_error(c, "server", &err);
		return false;
	}
	snprintf(text, sizeof(text), "PostgreSQL %d.%d, %s, data directory %s",
		c->facts.version / 10000, c->facts.version % 10000,
		c->facts.in_recovery ? "a standby" : "a primary", c->facts.data_directory);
	say(c, true, "server", text, "");
	if (pgdata == NULL)
		pgdata = c->facts.data_directory;
	if (sw_control_read(pgdata, &c->control, NULL, &err) != SW_OK) {
		if (err.hint[0] == '\0')
			sw_hint(&err, "run it on the server's machine, as the PostgreSQL user");
		say_error(c, "data directory", &err);
		return false;
	}
	if (c->control.system_identifier != c->facts.system_identifier) {
		snprintf(text, sizeof(text), "%s has system identifier %" PRIu64 ", the server that answers has %"
			PRIu64, pgdata, c->control.system_identifier, c->facts.system_identifier);
		say(c, false, "data directory", text, "correct pgdata, pg-host or pg-port");
		return false;
	}
	if (!c->control.known) {
		sw_control_fail_unknown(c->control.control_version, &err);
		say_error(c, "data directory", &err);
		return false;
	}
	snprintf(text, sizeof(text), "readable, system identifier %" PRIu64 ", page checksums %s",
		c->control.system_identifier, c->control.checksum_version != 0 ? "on" : "off");
	say(c, true, "data directory", text, c->control.checksum_version != 0 ? "" :
		"pg_checksums --enable would let backups find damaged pages");
	return true;
}

static void
check_setting(struct check *c, const char *name, const char *const *good, const char *want)
{
	struct sw_error err = SW_ERROR_INIT;
	char text[256], todo[256];
	SW_AUTO_BUF value;
	bool ok = false;

	sw_buf_init(&value, 4096);
	if (sw_pg_setting(c->pg, name, &value, &err) != SW_OK) {
		say_error(c, name, &err);
		return;
	}
	for (; *good != NULL; good++)
		ok = ok || strcmp(*good, (const char *)value.data) == 0;
	snprintf(text, sizeof(text), "%.200s", value.len > 0 ? (const char *)value.data : "(empty)");
	snprintf(todo, sizeof(todo), "set %s = %s", name, want);
	say(c, ok, name, text, ok ? "" : todo);
}

static void
check_archiver(struct check *c)
{
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF command;
	SW_AUTO_BUF library;
	bool by_library;

	sw_buf_init(&command, 8192);
	sw_buf_init(&library, 1024);
	if (sw_pg_setting(c->pg, "archive_command", &command, &err) != SW_OK) {
		say_error(c, "archive_command", &err);
		return;
	}
	by_library = sw_pg_setting(c->pg, "archive_library", &library, &err) == SW_OK && library.len > 0;
	if (by_library) {
		bool ours = strstr((const char *)library.data, "seawall_archive") != NULL;

		say(c, ours, "archive_library", (const char *)library.data, ours ? "" :
			"set archive_library = 'seawall_archive', or '' and archive_command = 'seawall-push %p', then reload");
		return;
	}
	say(c, strstr((const char *)command.data, "seawall-push") != NULL &&
		strstr((const char *)command.data, "%p") != NULL, "archive_command",
		command.len > 0 ? (const char *)command.data : "(empty)",
		strstr((const char *)command.data, "seawall-push") == NULL ||
		strstr((const char *)command.data, "%p") == NULL ?
		"set archive_command = 'seawall-push %p', with the full path if it is not in PATH, then reload" : "");
}

static sw_rc
archiver_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct check *c = ctx;
	char text[512];

	(void)err;
	if (values[0] == NULL) {
		say(c, true, "archiver", "nothing failed so far", "");
		return SW_OK;
	}
	snprintf(text, sizeof(text), "failed last with %s at %s, %s", values[0],
		values[1] != NULL ? values[1] : "an unknown time",
		strcmp(values[2], "t") == 0 ? "and nothing was archived since" : "and has archived since");
	say(c, strcmp(values[2], "t") != 0, "archiver", text, strcmp(values[2], "t") == 0 ?
		"see the server's log for what seawall-push says; PostgreSQL tries again every minute" : "");
	return SW_OK;
}

static void
check_settings(struct check *c)
{
	static const char *const levels[] = {"replica", "logical", NULL};
	static const char *const modes[] = {"on", "always", NULL};
	static const char *const on[] = {"on", NULL};
	struct sw_error err = SW_ERROR_INIT;

	check_setting(c, "wal_level", levels, "replica, and restart");
	check_setting(c, "archive_mode", modes, "on, and restart");
	check_archiver(c);
	if (sw_pg_query(c->pg, "SELECT last_failed_wal, last_failed_time::text,"
		" (last_archived_time IS NULL OR last_failed_time > last_archived_time)::text::char(1)"
		" FROM pg_catalog.pg_stat_archiver", 3, archiver_row, c, &err) != SW_OK)
		say_error(c, "archiver", &err);
	c->archives = !c->failed;
	check_setting(c, "full_page_writes", on, "on, and reload: pages torn by a crash or a backup need it");
	check_setting(c, "fsync", on, "on, and reload");
}

/* --- repositories -------------------------------------------------------------------- */

static void
check_traits(struct check *c, struct sw_repository *repo, const char *what)
{
	const struct sw_store_traits *then = &repo->reg.traits;
	struct sw_error err = SW_ERROR_INIT;
	char prefix[SW_STORE_NAME_MAX];
	struct sw_store_traits now;

	if (sw_store_probe(repo->store, sw_repository_name(repo, prefix, "probe/"), &now, &err) != SW_OK) {
		say_error(c, what, &err);
		return;
	}
	if (then->put_if_absent && !now.put_if_absent)
		say(c, false, what, "the store refused to overwrite when it was registered, and does not any more",
			"see whether somebody changed the bucket's versioning or policy");
	else if (now.put_if_absent)
		say(c, true, what, "refuses to overwrite", "");
	else if (now.versioned)
		say(c, true, what, "does not refuse to overwrite, but keeps versions: the oldest counts",
			"a bucket policy that demands s3:if-none-match makes the store itself refuse");
	else
		say(c, false, what, "neither refuses to overwrite nor keeps versions",
			"turn on the bucket's versioning");
}

/* --- WAL that was dropped ---------------------------------------------------------------- */

static void
check_gaps_in(struct check *c, struct sw_repository *repo, unsigned i)
{
	struct sw_error err = SW_ERROR_INIT;
	char what[128], text[SW_GAPS_TEXT_LEN];
	bool records;

	snprintf(what, sizeof(what), "dropped WAL in %s", sw_config_repo_name(c->config, i));
	if (sw_gaps_look(repo, text, &records, &err) != SW_OK)
		say_error(c, what, &err);
	else if (text[0] != '\0')
		say(c, false, what, text, "nothing that was committed in it or behind it can be recovered until 'seawall backup' makes a new backup");
	else if (sw_config_is_set(c->config, SW_OPT_PUSH_QUEUE_MAX))
		say(c, true, what, records ? "a backup has been made since" : "none", "");
}

static void
check_untold(struct check *c, const char *pgdata)
{
	struct sw_error err = SW_ERROR_INIT;
	char text[SW_GAPS_TEXT_LEN];

	if (sw_gaps_untold(c->config, pgdata, &c->control, text, &err) != SW_OK)
		say_error(c, "dropped WAL", &err);
	else if (text[0] != '\0')
		say(c, false, "dropped WAL", text, "the next push that reaches them tells them; then a new backup is needed: 'seawall backup'");
}

static bool
check_repository(struct check *c, unsigned i)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_repository repo;
	struct sw_error err = SW_ERROR_INIT;
	char what[128], text[300], created[SW_CLOCK_ISO_LEN];

	snprintf(what, sizeof(what), "repository %s", sw_config_repo_name(c->config, i));
	if (sw_store_open(c->config, i, &store, &err) != SW_OK ||
		sw_repository_open(store, sw_config_cluster(c->config), c->control.system_identifier, &repo,
			&err) != SW_OK) {
		say_error(c, what, &err);
		return false;
	}
	snprintf(text, sizeof(text), "%.200s, cluster \"%s\" registered %s", sw_store_url(store), repo.cluster,
		sw_clock_iso(repo.reg.created_us, created));
	say(c, repo.reg.segment_size == c->control.segment_size, what, text,
		repo.reg.segment_size == c->control.segment_size ? "" :
		"the WAL segment size has changed since: use a cluster name of its own");
	check_traits(c, &repo, what);
	check_gaps_in(c, &repo, i);
	return true;
}

/* --- one segment there and back -------------------------------------------------------- */

static sw_rc
wait_for_segment(struct check *c, struct sw_repository *repo, const char *object, struct sw_error *err)
{
	int64_t end = sw_clock_monotonic_ms() + sw_config_ms(c->config, SW_OPT_ARCHIVE_TIMEOUT);

	for (;;) {
		struct sw_store_info info;
		sw_rc rc = sw_store_head(repo->store, object, &info, err);

		if (rc != SW_NOT_FOUND)
			return rc;
		if (sw_clock_monotonic_ms() >= end) {
			sw_fail(err, SW_TRANSIENT, "%s did not arrive within archive-timeout", object);
			return sw_hint(err, "see the server's log for what archive_command says");
		}
		if (!sw_clock_sleep_ms(200))
			return sw_interrupt_check(err);
	}
}

static sw_rc
read_back(struct sw_repository *repo, const struct sw_wal_name *name, struct sw_error *err)
{
	SW_AUTO_FREE char *dir = NULL, *path = NULL;
	sw_rc rc;

	/* a directory of its own: others may make files in the temporary one */
	if (asprintf(&dir, "%s/seawall-check.XXXXXX", sw_file_tmp_dir()) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (mkdtemp(dir) == NULL)
		return sw_fail_errno(err, "creating a directory in %s", sw_file_tmp_dir());
	rc = asprintf(&path, "%s/segment", dir) < 0 ? sw_fail(err, SW_SYSTEM, "out of memory") :
		sw_fetch_from(repo, name, path, err);
	if (path != NULL)
		unlink(path);
	rmdir(dir);
	return rc;
}

static void
check_segment_in(struct check *c, unsigned i, const char *segment, int64_t since_ms)
{
	SW_AUTO_STORE *store = NULL;
	struct sw_repository repo;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_name name;
	char object[SW_STORE_NAME_MAX], what[128], text[256];

	snprintf(what, sizeof(what), "WAL into %s and back", sw_config_repo_name(c->config, i));
	if (!sw_wal_name_parse(segment, c->control.segment_size, &name)) {
		say(c, false, what, "the server named a segment that is none", "");
		return;
	}
	if (sw_store_open(c->config, i, &store, &err) != SW_OK ||
		sw_repository_open(store, sw_config_cluster(c->config), c->control.system_identifier, &repo,
			&err) != SW_OK ||
		wait_for_segment(c, &repo, sw_repository_wal_name(&repo, &name, object), &err) != SW_OK ||
		read_back(&repo, &name, &err) != SW_OK) {
		say_error(c, what, &err);
		return;
	}
	snprintf(text, sizeof(text), "%s was archived and read back, verified, %.1f s after its switch", segment,
		(double)(sw_clock_monotonic_ms() - since_ms) / 1000);
	say(c, true, what, text, "");
}

static void
check_loop(struct check *c)
{
	struct sw_error err = SW_ERROR_INIT;
	char segment[SW_WAL_NAME_MAX];
	int64_t start = sw_clock_monotonic_ms();

	if (c->facts.in_recovery) {
		say(c, true, "WAL switch", "not on a standby", "run 'seawall check' on the primary too");
		return;
	}
	if (sw_pg_switch_wal(c->pg, segment, &err) != SW_OK) {
		say_error(c, "WAL switch", &err);
		return;
	}
	for (unsigned i = 0; i < sw_config_repo_count(c->config); i++)
		if (i < SW_QUORUM_MAX && c->good[i])
			check_segment_in(c, i, segment, start);
}

/* Whether there are enough for the archiver; the others were told. */
static bool
check_repositories(struct check *c)
{
	unsigned count = sw_config_repo_count(c->config), good = 0;
	unsigned needed = (unsigned)sw_config_int(c->config, SW_OPT_PUSH_QUORUM);

	for (unsigned i = 0; i < count && i < SW_QUORUM_MAX; i++) {
		c->good[i] = check_repository(c, i);
		good += c->good[i];
	}
	return good > 0 && good >= (needed == 0 ? count : needed);
}

sw_rc
sw_cmd_check(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	struct check c = {.config = config};

	if (sw_config_bool(config, SW_OPT_JSON))
		c.lines = json_array();
	if (sw_config_need_repo(config, err) != SW_OK)
		say_error(&c, "repository", err);
	if (check_server(&c)) {
		check_settings(&c);
		check_untold(&c, sw_config_string(config, SW_OPT_PGDATA) != NULL ? sw_config_string(config, SW_OPT_PGDATA) :
			c.facts.data_directory);
		if (check_repositories(&c) && c.archives)
			check_loop(&c);
		else
			say(&c, false, "WAL into the repository and back", "not tried",
				"correct what is not ok above, then run this again");
	}
	sw_pg_close(c.pg);
	if (c.lines != NULL) {
		json_dumpf(c.lines, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(c.lines);
	}
	*ret_status = c.failed ? 3 : 0;
	return sw_interrupt_check(err);
}
