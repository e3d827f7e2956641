/*
 * seawall_archive - archive_library = 'seawall_archive', for PostgreSQL 15 and newer
 *
 * The push path of seawall-push in the archiver's own process: no program is started for a segment, and connections are
 * kept between them.  The archiver is a guest's house.  Nothing here throws an ERROR (before 17 it would end the archiver),
 * touches its signals, its mask or its standard streams, or calls PostgreSQL from another thread than its own; the push
 * path's threads have all signals blocked, and all of them have ended when a callback returns.
 */
#include "postgres.h"

#include <stdatomic.h>

#include "catalog/pg_control.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/procsignal.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "archive/archive_module.h"
#else
#include "postmaster/pgarch.h"
#endif

#include "archive/ahead.h"
#include "base/clock.h"
#include "config/config.h"
#include "messages.h"
#include "pg/control.h"

#define RELOAD_WAIT_MS 2000 /* what is under way when the configuration is read again may take so long */

PG_MODULE_MAGIC;

#if PG_VERSION_NUM < 160000
void _PG_init(void);
void _PG_archive_module_init(ArchiveModuleCallbacks *callbacks);
#endif

/* --- settings ------------------------------------------------------------------------- */

static char *config_file, *cluster;
static int shutdown_wait_ms;

static bool
check_config_file(char **value, void **extra, GucSource source)
{
	(void)extra;
	(void)source;
	if (*value == NULL || **value == '\0' || **value == '/')
		return true;
	GUC_check_errdetail("It must be an absolute path.");
	return false;
}

void
_PG_init(void)
{
	DefineCustomStringVariable("seawall_archive.config", "Seawall's configuration file.",
		"Empty: SEAWALL_CONFIG in the server's environment, else " SW_CONFIG_FILE ".", &config_file, "", PGC_SIGHUP, 0,
		check_config_file, NULL, NULL);
	DefineCustomStringVariable("seawall_archive.cluster", "The name of this cluster in Seawall's configuration.",
		"Empty: the only one that it names, else \"main\".", &cluster, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("seawall_archive.shutdown_wait",
		"How long a server that shuts down waits for a repository without success.",
		"What is not archived then is archived after the next start.", &shutdown_wait_ms, 5000, 1000, 3600000, PGC_SIGHUP,
		GUC_UNIT_MS, NULL, NULL, NULL);
	MarkGUCPrefixReserved("seawall_archive");
}

/* --- what lives as long as the configuration does ---------------------------------------- */

static struct sw_config *config;
static struct sw_ahead *ahead;
static struct sw_error unloaded; /* why there is no configuration; SW_OK: there is one, or nobody has asked */
static TimestampTz loaded_for;   /* PgReloadTime then */

/* While a file is being archived. */
static struct {
	int64_t reload_ms, shutdown_ms; /* since when these are waited for; 0: they are not */
	int64_t success_ms;             /* of an earlier file */
	const char *reason;             /* to give up, when that was decided */
	atomic_bool stop;               /* no other file is begun */
} call;

static bool
may_begin(void *ctx)
{
	(void)ctx;
	return !atomic_load(&call.stop);
}

static void
release_all(void)
{
	sw_ahead_free(ahead);
	sw_config_free(config);
	ahead = NULL;
	config = NULL;
}

static bool poll_server(void *ctx);

static sw_rc
load(struct sw_error *err)
{
	static const struct sw_ahead_hooks hooks = {.may_begin = may_begin, .poll = poll_server};
	static char pgdata_option[] = "--pgdata", config_option[] = "--config", cluster_option[] = "--cluster";
	char *args[6] = {pgdata_option, DataDir};
	int count = 2;
	sw_rc rc;

	if (config_file[0] != '\0') {
		args[count++] = config_option;
		args[count++] = config_file;
	}
	if (cluster[0] != '\0') {
		args[count++] = cluster_option;
		args[count++] = cluster;
	}
	rc = sw_config_load(SW_CMD_PUSH, count, args, &config, err);
	if (rc != SW_OK)
		return rc;
	sw_messages_listen((enum sw_log_level)sw_config_enum(config, SW_OPT_LOG_LEVEL));
	return sw_ahead_new(config, &hooks, &ahead, err);
}

/*
 * A reload reads Seawall's configuration again; as long as it cannot be read, every call tries.  An old one is not used in
 * place of it: what is archived then goes where nobody wants it any more.
 */
static bool
have_config(void)
{
	if (ahead != NULL && loaded_for == PgReloadTime)
		return true;
	release_all();
	unloaded = (struct sw_error)SW_ERROR_INIT;
	loaded_for = PgReloadTime;
	if (load(&unloaded) != SW_OK)
		release_all();
	return ahead != NULL;
}

/* --- while the push path waits -------------------------------------------------------------- */

static bool
is_shutting_down(void)
{
	struct sw_error ignored = SW_ERROR_INIT;
	struct sw_control control;

	/* the archiver is told with a signal that pgarch.c keeps to itself */
	return sw_control_read(DataDir, &control, NULL, &ignored) == SW_OK && (control.state == DB_SHUTDOWNING ||
		control.state == DB_SHUTDOWNED || control.state == DB_SHUTDOWNED_IN_RECOVERY);
}

/* What any process of the server owes the others, and our own words. */
static void
attend(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (ProcSignalBarrierPending)
			ProcessProcSignalBarrier();
		if (LogMemoryContextPending)
			ProcessLogMemoryContextInterrupt();
		sw_messages_write();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
}

static void
note_since(int64_t *since_ms, bool is, int64_t now)
{
	if (!is)
		*since_ms = 0;
	else if (*since_ms == 0)
		*since_ms = now;
}

static const char *
reason_to_stop(void)
{
	int64_t now = sw_clock_monotonic_ms(), quiet_since;

	if (!PostmasterIsAlive())
		return "the server is gone";
	if (ShutdownRequestPending)
		return "the archiver was told to end";
	note_since(&call.reload_ms, ConfigReloadPending, now);
	note_since(&call.shutdown_ms, is_shutting_down(), now);
	atomic_store(&call.stop, call.reload_ms != 0);
	if (call.reload_ms != 0 && now - call.reload_ms >= RELOAD_WAIT_MS)
		return "the configuration is read again";
	quiet_since = Max(call.shutdown_ms, call.success_ms);
	if (call.shutdown_ms != 0 && now - quiet_since >= shutdown_wait_ms)
		return "the server shuts down (seawall_archive.shutdown_wait)";
	return NULL;
}

static bool
poll_server(void *ctx)
{
	(void)ctx;
	attend();
	if (call.reason == NULL)
		call.reason = reason_to_stop();
	if (call.reason == NULL)
		return false;
	atomic_store(&call.stop, true);
	return true;
}

/* --- callbacks ------------------------------------------------------------------------------ */

static void
report(const char *path, const struct sw_error *err)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (call.reason != NULL)
			sw_messages_give_up(path, call.reason);
		else
			sw_messages_report(err);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

static bool
archive_file(const char *path)
{
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc;

	call.reload_ms = 0;
	call.reason = NULL;
	atomic_store(&call.stop, false);
	if (!have_config()) {
		report(path, &unloaded);
		return false;
	}
	/* one repository that does not answer is enough to know it */
	if (call.shutdown_ms != 0)
		call.reason = reason_to_stop();
	rc = call.reason != NULL ? SW_SYSTEM : sw_ahead_push(ahead, path, &err);
	attend();
	if (rc == SW_OK)
		call.success_ms = sw_clock_monotonic_ms();
	else
		report(path, &err);
	return rc == SW_OK;
}

/* Whether anything says where to archive; what is wrong with that, archive_file says. */
static bool
is_configured(void)
{
	return !have_config() || config_file[0] != '\0' || sw_config_repo_count(config) > 0;
}

static bool
check_configured(void)
{
	static const char what[] = "seawall_archive.config is not set, and " SW_CONFIG_FILE " names no repository";
	static const char hint[] = "set seawall_archive.config to Seawall's configuration file, and reload";

	if (is_configured())
		return true;
#if PG_VERSION_NUM >= 170000
	arch_module_check_errdetail("%s; %s", what, hint);
#else
	{
		struct sw_error err;

		sw_fail(&err, SW_CONFIG, "%s", what);
		sw_hint(&err, "%s", hint);
		report("", &err);
	}
#endif
	return false;
}

#if PG_VERSION_NUM >= 160000

static bool
check_configured_cb(ArchiveModuleState *state)
{
	(void)state;
	return check_configured();
}

static bool
archive_file_cb(ArchiveModuleState *state, const char *file, const char *path)
{
	(void)state;
	(void)file;
	return archive_file(path);
}

static void
shutdown_cb(ArchiveModuleState *state)
{
	(void)state;
	release_all();
}

const ArchiveModuleCallbacks *
_PG_archive_module_init(void)
{
	static const ArchiveModuleCallbacks callbacks = {
		.check_configured_cb = check_configured_cb,
		.archive_file_cb = archive_file_cb,
		.shutdown_cb = shutdown_cb,
	};

	return &callbacks;
}

#else

static bool
archive_file_cb(const char *file, const char *path)
{
	(void)file;
	return archive_file(path);
}

void
_PG_archive_module_init(ArchiveModuleCallbacks *callbacks)
{
	callbacks->check_configured_cb = check_configured;
	callbacks->archive_file_cb = archive_file_cb;
	callbacks->shutdown_cb = release_all;
}

#endif
