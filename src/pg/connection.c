#include "pg/connection.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "config/config.h"

#define TICK_MS 100            /* how often a wait looks for a signal */
#define CONNECT_MS 30000       /* unless connect_timeout says otherwise */
#define FINISH_MS 10000        /* for a query that cleans up after a signal */
#define CANCEL_MS 5000         /* for the server to answer a cancelled query */
#define COLUMNS_MAX 16

struct sw_pg {
	PGconn *conn;
	bool broken; /* a query was left without its end: nothing more can be asked */
	int64_t answer_ms; /* how long the server may let us wait; 0: for ever */
};

struct call {
	const char *sql;
	int param_count;
	const char *const *params;
	int columns;
	sw_pg_row each;
	void *ctx;
	bool finish; /* cleaning up: goes on for FINISH_MS although a signal was caught */
};

/* --- errors ------------------------------------------------------------------ */

static sw_rc
rc_of_sqlstate(const char *state)
{
	static const struct {
		const char *prefix;
		sw_rc rc;
	} table[] = {
		{"08", SW_TRANSIENT},    /* connection exceptions */
		{"28", SW_DENIED},       /* authentication */
		{"3D000", SW_CONFIG},    /* no such database */
		{"42501", SW_DENIED},    /* insufficient privilege */
		{"53300", SW_TRANSIENT}, /* too many connections */
		{"57P", SW_TRANSIENT},   /* shutting down, starting up, terminated */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].rc;
	return SW_SYSTEM;
}

static sw_rc
fail_lost(struct sw_pg *pg, struct sw_error *err)
{
	const char *text = PQerrorMessage(pg->conn);

	pg->broken = true;
	return sw_fail(err, SW_TRANSIENT, "the connection to PostgreSQL is lost: %s",
		text[0] != '\0' ? text : "no reason given");
}

static sw_rc
fail_result(struct sw_pg *pg, const PGresult *res, struct sw_error *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);

	if (state == NULL && PQstatus(pg->conn) != CONNECTION_OK)
		return fail_lost(pg, err);
	sw_fail(err, state != NULL ? rc_of_sqlstate(state) : SW_SYSTEM, "PostgreSQL: %s%s%s",
		text != NULL ? text : PQresultErrorMessage(res), detail != NULL ? ": " : "",
		detail != NULL ? detail : "");
	if (hint != NULL)
		sw_hint(err, "%s", hint);
	return err->rc;
}

/* What to grant, where the server said no and no more. */
static sw_rc
hint_grant(const struct sw_pg *pg, const char *what, struct sw_error *err)
{
	if (err->rc == SW_DENIED && err->hint[0] == '\0')
		sw_hint(err, "as a superuser, in that database: GRANT %s TO \"%s\"", what, PQuser(pg->conn));
	return err->rc;
}

static void
on_notice(void *ctx, const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	(void)ctx;
	if (text == NULL)
		return;
	sw_log(severity != NULL && strcmp(severity, "WARNING") == 0 ? SW_LOG_WARNING : SW_LOG_INFO,
		"PostgreSQL: %s", text);
}

/* --- connecting ---------------------------------------------------------------- */

/* libpq tells why a connection failed by text alone, but with PQERRORS_VERBOSE the text holds the
 * SQLSTATE: "FATAL:  28P01: password …".  Cuts it out into ret_state (the last one counts). */
static void
take_sqlstates(char *text, char ret_state[6])
{
	char *p = text;

	while ((p = strstr(p, ":  ")) != NULL) {
		p += 3;
		if (strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 || strncmp(p + 5, ": ", 2) != 0)
			continue;
		memcpy(ret_state, p, 5);
		ret_state[5] = '\0';
		memmove(p, p + 7, strlen(p + 7) + 1);
	}
}

/* "LOCATION:  auth_failed, auth.c:331" is for the server's developers. */
static void
cut_locations(char *text)
{
	char *p;

	while ((p = strstr(text, "\nLOCATION:  ")) != NULL) {
		char *end = strchr(p + 1, '\n');

		if (end == NULL)
			*p = '\0';
		else
			memmove(p, end, strlen(end) + 1);
	}
}

static sw_rc
fail_connect(PGconn *conn, struct sw_error *err)
{
	char text[sizeof(err->text)], state[6] = "";

	snprintf(text, sizeof(text), "%s", PQerrorMessage(conn));
	take_sqlstates(text, state);
	cut_locations(text);
	if (state[0] != '\0')
		sw_fail(err, rc_of_sqlstate(state), "%s", text);
	else if (PQconnectionNeedsPassword(conn))
		sw_fail(err, SW_DENIED, "%s", text);
	else
		sw_fail(err, SW_TRANSIENT, "%s", text);
	if (err->rc == SW_DENIED)
		return sw_hint(err, "look at pg-user, the server's pg_hba.conf and, for a password, ~/.pgpass");
	if (err->rc == SW_CONFIG)
		return sw_hint(err, "set pg-database to one that exists");
	if (state[0] == '\0')
		return sw_hint(err, "is the server up, and are pg-host and pg-port right?");
	return err->rc;
}

/*
 * Failed in the first step: before anything was tried because of an option (PGSSLMODE, a service file, a port), or
 * trying, when the text says so.  Texts are English, because no program here calls setlocale.
 */
static sw_rc
fail_start(PGconn *conn, struct sw_error *err)
{
	const char *text = PQerrorMessage(conn);

	if (strncmp(text, "connection to server", 20) == 0 || strncmp(text, "could not translate", 19) == 0)
		return fail_connect(conn, err);
	sw_fail(err, SW_CONFIG, "connecting to PostgreSQL: %s", text);
	return sw_hint(err, "look at the pg-* options and libpq's environment (PG…)");
}

/* libpq does not watch connect_timeout itself when it is polled. */
static int64_t
connect_timeout_ms(PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn);
	int64_t ms = CONNECT_MS;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "connect_timeout") == 0 && o->val != NULL && atoi(o->val) > 0)
			ms = (int64_t)atoi(o->val) * 1000;
	PQconninfoFree(options);
	return ms;
}

static sw_rc
wait_connected(PGconn *conn, struct sw_error *err)
{
	int64_t deadline = sw_clock_monotonic_ms() + connect_timeout_ms(conn);
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK) {
		struct pollfd fd = {.fd = PQsocket(conn),
			.events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		if (status == PGRES_POLLING_FAILED)
			return fail_connect(conn, err);
		if (sw_interrupt_check(err) != SW_OK)
			return err->rc;
		if (sw_clock_monotonic_ms() >= deadline) {
			sw_fail(err, SW_TRANSIENT, "connecting to PostgreSQL at %s, port %s: no answer in time",
				PQhost(conn), PQport(conn));
			return sw_hint(err, "is the server up, and are pg-host and pg-port right?");
		}
		if (poll(&fd, 1, TICK_MS) != 0)
			status = PQconnectPoll(conn);
	}
	return SW_OK;
}

static sw_rc
start_connection(const struct sw_config *config, const char *database, PGconn **ret_conn, struct sw_error *err)
{
	char port[16];
	const char *const keywords[] = {"host", "port", "user", "dbname", "application_name",
		"client_encoding", "keepalives_idle", "keepalives_interval", "keepalives_count", NULL};
	const char *const values[] = {
		sw_config_string(config, SW_OPT_PG_HOST),
		sw_config_is_set(config, SW_OPT_PG_PORT) ? port : NULL,
		sw_config_string(config, SW_OPT_PG_USER),
		database,
		"seawall", "UTF8", "60", "10", "6", NULL};

	if (sw_config_is_set(config, SW_OPT_PG_PORT))
		snprintf(port, sizeof(port), "%" PRId64, sw_config_int(config, SW_OPT_PG_PORT));
	*ret_conn = PQconnectStartParams(keywords, values, 0);
	if (*ret_conn == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	PQsetNoticeReceiver(*ret_conn, on_notice, NULL);
	PQsetErrorVerbosity(*ret_conn, PQERRORS_VERBOSE);
	return SW_OK;
}

/* --- asking -------------------------------------------------------------------- */

/* Wait for the rest of a result.  SW_SYSTEM by a signal, SW_TRANSIENT when the connection is lost or no answer comes. */
static sw_rc
wait_result(struct sw_pg *pg, bool finish, struct sw_error *err)
{
	int64_t limit = INT64_MAX, give_up = INT64_MAX;

	if (pg->answer_ms > 0)
		give_up = sw_clock_monotonic_ms() + pg->answer_ms;
	while (PQisBusy(pg->conn)) {
		struct pollfd fd = {.fd = PQsocket(pg->conn), .events = POLLIN};
		int64_t now = sw_clock_monotonic_ms();

		if (sw_interrupt_signal() != 0) {
			if (!finish)
				return sw_interrupt_check(err);
			if (limit == INT64_MAX)
				limit = now + FINISH_MS;
			if (now >= limit)
				return sw_fail(err, SW_SYSTEM, "PostgreSQL did not answer in %d s after a signal",
					FINISH_MS / 1000);
		}
		if (now >= give_up)
			return sw_fail(err, SW_TRANSIENT, "PostgreSQL did not answer in %" PRId64 " s", pg->answer_ms / 1000);
		if (poll(&fd, 1, TICK_MS) > 0 && !PQconsumeInput(pg->conn))
			return fail_lost(pg, err);
	}
	return SW_OK;
}

/* Have the server drop the running query, so that the session can be used or closed in order. */
static void
cancel(struct sw_pg *pg)
{
	int64_t deadline = sw_clock_monotonic_ms() + CANCEL_MS;
	PGcancel *handle = PQgetCancel(pg->conn);
	char text[256];

	if (handle != NULL)
		PQcancel(handle, text, sizeof(text));
	PQfreeCancel(handle);
	for (;;) {
		struct pollfd fd = {.fd = PQsocket(pg->conn), .events = POLLIN};
		PGresult *res;

		if (PQisBusy(pg->conn)) {
			if (sw_clock_monotonic_ms() >= deadline ||
				(poll(&fd, 1, TICK_MS) > 0 && !PQconsumeInput(pg->conn))) {
				pg->broken = true;
				return;
			}
			continue;
		}
		res = PQgetResult(pg->conn);
		if (res == NULL)
			return;
		PQclear(res);
	}
}

static sw_rc
take_rows(const struct call *call, const PGresult *res, struct sw_error *err)
{
	const char *values[COLUMNS_MAX];
	sw_rc rc = SW_OK;

	if (call->columns > COLUMNS_MAX || PQnfields(res) != call->columns)
		return sw_fail(err, SW_BUG, "a query gave %d columns instead of %d", PQnfields(res),
			call->columns);
	for (int row = 0; rc == SW_OK && row < PQntuples(res); row++) {
		for (int i = 0; i < call->columns; i++)
			values[i] = PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
		rc = call->each(call->ctx, values, err);
	}
	return rc;
}

static sw_rc
take_result(struct sw_pg *pg, const struct call *call, const PGresult *res, struct sw_error *err)
{
	switch (PQresultStatus(res)) {
	case PGRES_SINGLE_TUPLE:
	case PGRES_TUPLES_OK:
		return take_rows(call, res, err);
	case PGRES_COMMAND_OK:
		return SW_OK;
	default:
		return fail_result(pg, res, err);
	}
}

/* Row by row, so that memory does not depend on their number.  After the first failure rows are passed over. */
static sw_rc
run(struct sw_pg *pg, const struct call *call, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	if (pg->broken)
		return sw_fail(err, SW_TRANSIENT, "the connection to PostgreSQL is lost");
	if (!PQsendQueryParams(pg->conn, call->sql, call->param_count, NULL, call->params, NULL, NULL, 0))
		return fail_lost(pg, err);
	PQsetSingleRowMode(pg->conn);
	for (;;) {
		struct sw_error wait_err = SW_ERROR_INIT;
		PGresult *res;

		if (wait_result(pg, call->finish, &wait_err) != SW_OK) {
			cancel(pg);
			*err = wait_err;
			return err->rc;
		}
		res = PQgetResult(pg->conn);
		if (res == NULL)
			return rc;
		if (rc == SW_OK)
			rc = take_result(pg, call, res, err);
		PQclear(res);
	}
}

struct one_row {
	const struct call *call;
	int count;
};

static sw_rc
count_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct one_row *one = ctx;

	one->count++;
	return one->call->each(one->call->ctx, values, err);
}

static sw_rc
run_for_one_row(struct sw_pg *pg, const struct call *call, struct sw_error *err)
{
	struct one_row one = {.call = call};
	struct call counted = *call;
	sw_rc rc;

	counted.each = count_row;
	counted.ctx = &one;
	rc = run(pg, &counted, err);
	if (rc == SW_OK && one.count != 1)
		return sw_fail(err, SW_SYSTEM, "PostgreSQL gave %d rows instead of one", one.count);
	return rc;
}

static sw_rc
ignore_row(void *ctx, const char *const *values, struct sw_error *err)
{
	(void)ctx;
	(void)values;
	(void)err;
	return SW_OK;
}

sw_rc
sw_pg_query(struct sw_pg *pg, const char *sql, int columns, sw_pg_row each, void *ctx, struct sw_error *err)
{
	struct call call = {.sql = sql, .columns = columns, .each = each, .ctx = ctx};

	return run(pg, &call, err);
}

/* --- the session ------------------------------------------------------------------ */

/* A backup's session is idle for hours: no time-out of the database or role may end it. */
#define SESSION \
	"SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)," \
	" pg_catalog.set_config('statement_timeout', '0', false)," \
	" pg_catalog.set_config('lock_timeout', '0', false)," \
	" pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false)," \
	" pg_catalog.set_config('idle_session_timeout', '0', false)"

static sw_rc
prepare_session(struct sw_pg *pg, struct sw_error *err)
{
	if (PQserverVersion(pg->conn) >= 170000)
		return sw_pg_query(pg, SESSION ", pg_catalog.set_config('transaction_timeout', '0', false)", 6,
			ignore_row, NULL, err);
	return sw_pg_query(pg, SESSION, 5, ignore_row, NULL, err);
}

sw_rc
sw_pg_connect(const struct sw_config *config, struct sw_pg **ret_pg, struct sw_error *err)
{
	return sw_pg_connect_database(config, sw_config_string(config, SW_OPT_PG_DATABASE), 0, ret_pg, err);
}

sw_rc
sw_pg_connect_database(const struct sw_config *config, const char *database, int64_t answer_ms,
	struct sw_pg **ret_pg, struct sw_error *err)
{
	struct sw_pg *pg = calloc(1, sizeof(*pg));
	sw_rc rc;

	if (pg == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	pg->answer_ms = answer_ms;
	rc = start_connection(config, database, &pg->conn, err);
	if (rc == SW_OK && PQstatus(pg->conn) == CONNECTION_BAD)
		rc = fail_start(pg->conn, err);
	if (rc == SW_OK)
		rc = wait_connected(pg->conn, err);
	if (rc == SW_OK && PQserverVersion(pg->conn) < 140000)
		rc = sw_fail(err, SW_CONFIG, "the server is PostgreSQL %d; Seawall needs 14 or later",
			PQserverVersion(pg->conn) / 10000);
	if (rc == SW_OK)
		rc = prepare_session(pg, err);
	if (rc != SW_OK) {
		sw_pg_close(pg);
		return rc;
	}
	*ret_pg = pg;
	return SW_OK;
}

void
sw_pg_close(struct sw_pg *pg)
{
	if (pg == NULL)
		return;
	PQfinish(pg->conn);
	free(pg);
}

/* --- questions ---------------------------------------------------------------------- */

static bool
take_number(const char *text, int base, uint64_t *ret_value)
{
	char *end;

	if (text == NULL || *text == '\0')
		return false;
	/* bigint is signed: a system identifier may come as a negative number */
	*ret_value = *text == '-' ? (uint64_t)strtoll(text, &end, base) : strtoull(text, &end, base);
	return *end == '\0';
}

static sw_rc
facts_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct sw_pg_facts facts = {0}, *ret_facts = ctx;
	uint64_t segment_size, block_size, checksums, timeline;

	if (!take_number(values[0], 10, &facts.system_identifier) ||
		!take_number(values[2], 10, &segment_size) || !take_number(values[3], 10, &block_size) ||
		!take_number(values[4], 10, &checksums) || values[1] == NULL || values[5] == NULL ||
		!take_number(values[6], 16, &timeline))
		return sw_fail(err, SW_SYSTEM, "PostgreSQL's answer about itself makes no sense");
	if (strlen(values[1]) >= sizeof(facts.data_directory))
		return sw_fail(err, SW_CONFIG, "the data directory's path is longer than %zu bytes",
			sizeof(facts.data_directory) - 1);
	snprintf(facts.data_directory, sizeof(facts.data_directory), "%s", values[1]);
	facts.segment_size = (uint32_t)segment_size;
	facts.block_size = (uint32_t)block_size;
	facts.checksums = checksums != 0;
	facts.in_recovery = strcmp(values[5], "t") == 0;
	facts.timeline = (uint32_t)timeline;
	*ret_facts = facts;
	return SW_OK;
}

sw_rc
sw_pg_facts(struct sw_pg *pg, struct sw_pg_facts *ret_facts, struct sw_error *err)
{
	struct sw_pg_facts facts;
	struct call call = {
		.sql = "SELECT s.system_identifier, current_setting('data_directory'), i.bytes_per_wal_segment,"
			" i.database_block_size, i.data_page_checksum_version, r.r,"
			" CASE WHEN r.r THEN to_hex(c.timeline_id)"
			" ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
			" FROM pg_control_system() s, pg_control_init() i, pg_control_checkpoint() c,"
			" (SELECT pg_is_in_recovery() AS r OFFSET 0) r",
		.columns = 7,
		.each = facts_row,
		.ctx = &facts,
	};
	sw_rc rc = run_for_one_row(pg, &call, err);

	if (rc == SW_DENIED)
		return hint_grant(pg, "pg_read_all_settings", err);
	if (rc != SW_OK)
		return rc;
	facts.version = PQserverVersion(pg->conn);
	*ret_facts = facts;
	return SW_OK;
}

struct setting {
	const char *name;
	struct sw_buf *buf;
};

static sw_rc
setting_row(void *ctx, const char *const *values, struct sw_error *err)
{
	const struct setting *setting = ctx;

	if (values[0] == NULL)
		return sw_fail(err, SW_NOT_FOUND, "PostgreSQL has no setting %s", setting->name);
	sw_buf_reset(setting->buf);
	return sw_buf_append(setting->buf, values[0], strlen(values[0]), err);
}

sw_rc
sw_pg_setting(struct sw_pg *pg, const char *name, struct sw_buf *buf, struct sw_error *err)
{
	struct setting setting = {.name = name, .buf = buf};
	struct call call = {
		.sql = "SELECT current_setting($1, true)",
		.param_count = 1,
		.params = &name,
		.columns = 1,
		.each = setting_row,
		.ctx = &setting,
	};

	sw_rc rc = run_for_one_row(pg, &call, err);

	return rc == SW_DENIED ? hint_grant(pg, "pg_read_all_settings", err) : rc;
}

static sw_rc
lsn_row(void *ctx, const char *const *values, struct sw_error *err)
{
	if (values[0] == NULL)
		return sw_fail(err, SW_TRANSIENT, "PostgreSQL has no WAL position yet");
	if (!sw_lsn_parse(values[0], ctx))
		return sw_fail(err, SW_SYSTEM, "PostgreSQL's answer \"%s\" is no LSN", values[0]);
	return SW_OK;
}

sw_rc
sw_pg_current_lsn(struct sw_pg *pg, sw_lsn *ret_lsn, struct sw_error *err)
{
	sw_lsn lsn;
	struct call call = {
		.sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
			" ELSE pg_current_wal_insert_lsn() END",
		.columns = 1,
		.each = lsn_row,
		.ctx = &lsn,
	};
	sw_rc rc = run_for_one_row(pg, &call, err);

	if (rc == SW_OK)
		*ret_lsn = lsn;
	return rc;
}

static sw_rc
segment_row(void *ctx, const char *const *values, struct sw_error *err)
{
	if (values[0] == NULL || strlen(values[0]) >= SW_WAL_NAME_MAX)
		return sw_fail(err, SW_SYSTEM, "PostgreSQL named no segment");
	strcpy(ctx, values[0]);
	return SW_OK;
}

sw_rc
sw_pg_switch_wal(struct sw_pg *pg, char ret_segment[SW_WAL_NAME_MAX], struct sw_error *err)
{
	char segment[SW_WAL_NAME_MAX];
	struct call call = {
		.sql = "SELECT pg_walfile_name(pg_switch_wal())",
		.columns = 1,
		.each = segment_row,
		.ctx = segment,
	};
	sw_rc rc = sw_pg_query(pg, "SELECT pg_logical_emit_message(false, 'seawall', 'switch')", 1, ignore_row,
		NULL, err);

	if (rc == SW_OK)
		rc = run_for_one_row(pg, &call, err);
	if (rc == SW_OK) {
		memcpy(ret_segment, segment, sizeof(segment));
		return SW_OK;
	}
	hint_grant(pg, "EXECUTE ON FUNCTION pg_switch_wal()", err);
	return sw_wrap(err, "switching to a new WAL segment");
}

/* --- backups --------------------------------------------------------------------------- */

/* Renamed in 15, when the exclusive form with its argument went. */
static bool
has_new_names(const struct sw_pg *pg)
{
	return PQserverVersion(pg->conn) >= 150000;
}

sw_rc
sw_pg_backup_start(struct sw_pg *pg, const char *label, bool fast, sw_lsn *ret_start, struct sw_error *err)
{
	const char *const params[] = {label, fast ? "true" : "false"};
	sw_lsn lsn;
	struct call call = {
		.sql = has_new_names(pg) ? "SELECT pg_backup_start($1, $2)"
					 : "SELECT pg_start_backup($1, $2, false)",
		.param_count = 2,
		.params = params,
		.columns = 1,
		.each = lsn_row,
		.ctx = &lsn,
	};

	if (run_for_one_row(pg, &call, err) == SW_OK) {
		*ret_start = lsn;
		return SW_OK;
	}
	hint_grant(pg, has_new_names(pg) ? "EXECUTE ON FUNCTION pg_backup_start(text, boolean)"
					 : "EXECUTE ON FUNCTION pg_start_backup(text, boolean, boolean)", err);
	return sw_wrap(err, "starting the backup");
}

struct stop {
	sw_lsn lsn;
	struct sw_buf *label, *tablespace_map;
};

static sw_rc
replace_text(struct sw_buf *buf, const char *text, struct sw_error *err)
{
	sw_buf_reset(buf);
	return text == NULL ? SW_OK : sw_buf_append(buf, text, strlen(text), err);
}

static sw_rc
stop_row(void *ctx, const char *const *values, struct sw_error *err)
{
	struct stop *stop = ctx;
	sw_rc rc = replace_text(stop->label, values[1], err);

	if (rc == SW_OK)
		rc = replace_text(stop->tablespace_map, values[2], err);
	return rc != SW_OK ? rc : lsn_row(&stop->lsn, values, err);
}

sw_rc
sw_pg_backup_stop(struct sw_pg *pg, sw_lsn *ret_stop, struct sw_buf *backup_label,
	struct sw_buf *tablespace_map, struct sw_error *err)
{
	struct stop stop = {.label = backup_label, .tablespace_map = tablespace_map};
	struct call call = {
		.sql = has_new_names(pg) ? "SELECT * FROM pg_backup_stop(false)"
					 : "SELECT * FROM pg_stop_backup(false, false)",
		.columns = 3,
		.each = stop_row,
		.ctx = &stop,
		.finish = true,
	};

	if (run_for_one_row(pg, &call, err) == SW_OK) {
		*ret_stop = stop.lsn;
		return SW_OK;
	}
	hint_grant(pg, has_new_names(pg) ? "EXECUTE ON FUNCTION pg_backup_stop(boolean)"
					 : "EXECUTE ON FUNCTION pg_stop_backup(boolean, boolean)", err);
	return sw_wrap(err, "stopping the backup");
}
