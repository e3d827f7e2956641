#include "config/command.h"

#include <string.h>

#define PARAGRAPHS (const char *const[])
#define TEXTS (const struct sw_command_text[])

/* What every verb of seawall ends with but for its row of status 3. */
#define STATUS_DONE(what) {"0", what}
#define STATUS_FAILED {"1", "It failed; the error says why and what to do."}
#define STATUS_USAGE {"2", "Wrong usage or configuration."}

static const struct sw_command_row commands[SW_COMMAND_COUNT] = {
	{
		.command = SW_CMD_PUSH,
		.title = "seawall-push",
		.page = "seawall-push",
		.synopsis = "FILE",
		.also = "seawall-push --base [OPTION]...",
		.purpose = "archive a WAL file: PostgreSQL's archive_command",
		.paragraphs = PARAGRAPHS{
			"PostgreSQL runs seawall-push for every WAL segment, timeline history file and backup "
			"history file that it has finished, with the file's path as FILE (%p). The file is "
			"compressed and stored in every repository of the cluster under its own name.",
			"Nothing is acknowledged that is not durable in the repository: the exit status is 0 only "
			"then. A file that is there already with the same content is a success, so that an "
			"interrupted push can be repeated. A file that is there with another content is never "
			"overwritten: the push fails and says what differs, because two servers are archiving "
			"into one place.",
			"With push-quorum, repositories that are down do not stop the archiver: they cannot be reached, "
			"deny access, are not registered, full, or slower than push-grace. That is logged once, and seawall sync "
			"copies later what they missed.",
			"The system identifier and the segment size are read from global/pg_control in the data "
			"directory, and a segment whose header does not belong to that cluster is refused.",
			"From PostgreSQL 15 on archive_library = 'seawall_archive' is the same without a program for each file. "
			"Its settings in postgresql.conf: seawall_archive.config (the configuration file), "
			"seawall_archive.cluster, and seawall_archive.shutdown_wait (5s), how long a server that stops "
			"waits for a repository that does not answer. A reload of the server reads the configuration "
			"file again.",
			"seawall-push --base hands over to seawall backup with the arguments that follow.",
			NULL},
		.status = TEXTS{
			{"0", "The file is durable in every repository of the cluster; or in push-quorum of them, and the "
			      "others are down. Only with push-queue-max: or it is a segment that was dropped in an outage, which was recorded durably."},
			{"1", "Anything else. PostgreSQL keeps the file and tries again. The status is never above "
			      "125, at which PostgreSQL's archiver would give up."},
			{NULL, NULL}},
		.examples = TEXTS{
			{"In postgresql.conf:", "archive_mode = on\narchive_command = 'seawall-push %p'"},
			{"Or, from PostgreSQL 15 on:", "archive_mode = on\narchive_library = 'seawall_archive'"},
			{"With several clusters in the configuration file:",
				"archive_command = 'seawall-push --cluster=orders %p'"},
			{NULL, NULL}},
		.see_also = "seawall seawall-backup seawall-check seawall-fetch",
	},
	{
		.command = SW_CMD_FETCH,
		.title = "seawall-fetch",
		.page = "seawall-fetch",
		.synopsis = "NAME FILE",
		.also = "seawall-fetch --base BACKUP DIR",
		.purpose = "fetch an archived WAL file: PostgreSQL's restore_command",
		.paragraphs = PARAGRAPHS{
			"PostgreSQL in recovery, and a standby, run seawall-fetch for every WAL file that they want: "
			"NAME (%f) is the file's name and FILE (%p) the path where it shall be. The content is "
			"written under a temporary name, verified, and renamed, so that FILE is either whole or not "
			"there.",
			"An exit status from 1 to 125 tells PostgreSQL that the file does not exist, upon which it "
			"ends recovery and opens the database. Therefore 1 is answered only where absence was "
			"proved: every repository was reached, is the right one, and says that it has no such file, "
			"and no later segment of that timeline is there. A hole in the WAL is waited for "
			"(fetch-hole-wait).",
			"Everything else ends with 126, which stops recovery instead of promoting a server with data "
			"missing. A server with standby.signal can stream the WAL from its primary instead: there an "
			"outage is retried for standby-outage-wait and then answered with 1, and so is a damaged "
			"file, loudly.",
			"While a server recovers, the first call leaves a background process that fetches ahead "
			"(fetch-ahead) into seawall.spool in pg_wal, at most fetch-spool-max; later calls are answered "
			"from there, after verifying the file again. It logs to syslog, ends with the recovery and leaves "
			"nothing behind. The directory may be removed at any time.",
			"seawall-fetch --base hands over to seawall restore: the backup with the label BACKUP is "
			"restored into DIR.",
			NULL},
		.status = TEXTS{
			{"0", "The file is complete and verified at FILE."},
			{"1", "The file is proved absent: PostgreSQL ends recovery, or a standby turns to streaming. "
			      "With standby.signal also an outage that lasted, and a damaged file."},
			{"126", "Everything else: repository out of reach, access denied, damaged file, wrong usage or "
				"configuration, disk full. PostgreSQL stops recovery."},
			{NULL, NULL}},
		.examples = TEXTS{
			{"seawall restore writes this line by itself:", "restore_command = 'seawall-fetch %f %p'"},
			{"To look at one segment by hand:",
				"seawall-fetch --pgdata=/var/lib/postgresql/15/main \\\n"
				"    000000010000000000000042 /tmp/000000010000000000000042"},
			{NULL, NULL}},
		.see_also = "seawall seawall-push seawall-restore",
	},
	{
		.command = SW_CMD_INIT,
		.verb = "init",
		.title = "seawall init",
		.page = "seawall-init",
		.synopsis = "",
		.purpose = "create a repository and register the cluster in it",
		.paragraphs = PARAGRAPHS{
			"Creates every repository of the cluster where it does not exist, and registers the cluster "
			"in it: its system identifier, PostgreSQL version and segment size. It also tries out what "
			"the store enforces, above all whether it refuses to overwrite an object, and records the "
			"answer.",
			"Run again it changes nothing and says what is there. A cluster whose system identifier is "
			"another than the registered one is refused, because archiving it there would mix two "
			"clusters; after pg_upgrade, --upgrade registers the new identifier beside the old one, "
			"whose backups and WAL stay where they are.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("Repository and registration are there, by this run or an earlier one."),
			STATUS_FAILED, STATUS_USAGE, {NULL, NULL}},
		.examples = TEXTS{
			{"Once for each cluster, as the PostgreSQL user:", "seawall init --pgdata=/var/lib/postgresql/15/main"},
			{"After pg_upgrade:", "seawall init --upgrade --pgdata=/var/lib/postgresql/17/main"},
			{NULL, NULL}},
		.see_also = "seawall seawall-check seawall-push",
	},
	{
		.command = SW_CMD_CHECK,
		.verb = "check",
		.title = "seawall check",
		.page = "seawall-check",
		.synopsis = "",
		.purpose = "prove that archiving works, from PostgreSQL to the repository and back",
		.paragraphs = PARAGRAPHS{
			"Connects to PostgreSQL, reads the settings that archiving depends on and says which are "
			"wrong and what to write instead. Reads every repository and compares its registration with "
			"the running cluster. Then it switches to a new WAL segment, waits until that segment "
			"arrives in every repository, and reads it back.",
			"Every line says ok, or what is wrong and what to do.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("Everything is in order."), STATUS_FAILED, STATUS_USAGE,
			{"3", "The check was made, and something is wrong."}, {NULL, NULL}},
		.examples = TEXTS{
			{"After every change of the configuration, and from monitoring:", "seawall check"},
			{NULL, NULL}},
		.see_also = "seawall seawall-init seawall-push",
	},
	{
		.command = SW_CMD_BACKUP,
		.verb = "backup",
		.title = "seawall backup",
		.page = "seawall-backup",
		.synopsis = "",
		.also = "seawall-push --base [OPTION]...",
		.purpose = "take a base backup",
		.paragraphs = PARAGRAPHS{
			"Copies the running cluster's data directory and tablespaces into the first repository of the "
			"cluster (--repo names another), from a primary or from a standby. It runs on the server's machine, as a user that "
			"can read the data directory.",
			"Page checksums are verified while reading. The backup becomes visible at the very end, when "
			"everything that it consists of is stored and the WAL from its start to its stop has arrived "
			"in the repository (archive-timeout); a backup that was interrupted leaves nothing that can "
			"be seen or restored.",
			"SIGINT and SIGTERM stop it cleanly.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("The backup is stored and can be restored."), STATUS_FAILED, STATUS_USAGE,
			{"3", "The backup is stored, but pages of the cluster are damaged."}, {NULL, NULL}},
		.examples = TEXTS{
			{"Every night, with four threads:", "seawall backup --workers=4"},
			{"Before a migration:", "seawall backup --label=before-migration"},
			{NULL, NULL}},
		.see_also = "seawall seawall-list seawall-push seawall-restore",
	},
	{
		.command = SW_CMD_LIST,
		.verb = "list",
		.title = "seawall list",
		.page = "seawall-list",
		.synopsis = "",
		.purpose = "list the backups in the repositories",
		.paragraphs = PARAGRAPHS{
			"Prints the cluster's backups, the oldest first: label, time, LSN range, size of the cluster, "
			"size in the repository, duration and timeline; and the WAL that is there. seawall targets tells what "
			"can be recovered with them.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("The list is complete, be it empty."), STATUS_FAILED, STATUS_USAGE, {NULL, NULL}},
		.examples = TEXTS{
			{"As JSON, for another program:", "seawall list --json"},
			{NULL, NULL}},
		.see_also = "seawall seawall-backup seawall-restore seawall-targets",
	},
	{
		.command = SW_CMD_TARGETS,
		.verb = "targets",
		.title = "seawall targets",
		.page = "seawall-targets",
		.synopsis = "",
		.purpose = "tell what can be recovered, and up to when",
		.paragraphs = PARAGRAPHS{
			"For each timeline, the windows that can be recovered, with times, LSNs and backups: a window "
			"begins where a backup ends, or where its timeline leaves another one's window, and goes on as "
			"long as no WAL is missing or damaged. Between them the gaps, with their segments; then "
			"the restore points, which backups cannot be used and why, and how far recovery can go now. All "
			"times are UTC. On a terminal the timelines are drawn too.",
			"If PostgreSQL answers, it is asked how far it is ahead of the archive, and what its archiver "
			"failed with last. What is not archived is what would be lost with the server's machine.",
			"What the WAL says is read from an index in the repository, which is made where it is missing, "
			"if writing is allowed: the first run on a long archive takes longer.",
			"The JSON document is a list of repositories (repo, url, cluster, systems). Each of the systems has "
			"windows (timeline, begin_lsn, end_lsn, begin_time, end_time, last_transaction, commits, aborts, "
			"first_backup, last_backup, open, closed_by), gaps (timeline, first, last, segments, missing, reason, "
			"after_time, before_time), wal (what is there without a gap: timeline, first, last, segments, end_lsn, "
			"begin_time, end_time), timelines (timeline, parent, lsn, time, problem), restore_points (name, timeline, "
			"lsn, time, reachable, ambiguous), unusable_backups (backup, reason), latest (the window whose end is the "
			"newest that can be reached, or null) and server (answered, note, or in_recovery, timeline, lsn, "
			"archived_lsn, unarchived_bytes, unarchived_age_ms, archiver_failures, last_failed_wal, last_failed_time, "
			"last_archived_time). What is not known is null.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("Something can be recovered."), STATUS_FAILED, STATUS_USAGE,
			{"3", "Nothing can be recovered: there is no backup whose WAL is whole."}, {NULL, NULL}},
		.examples = TEXTS{
			{"What can I get back?", "seawall targets"},
			{"The restore points of an afternoon:",
				"seawall targets --between=2026-11-20T12:00Z/2026-11-20T18:00Z --limit=0"},
			{"How many bytes are not archived yet, for monitoring:",
				"seawall targets --json | jq '.[0].systems[-1].server.unarchived_bytes'"},
			{NULL, NULL}},
		.see_also = "seawall seawall-check seawall-list seawall-restore",
	},
	{
		.command = SW_CMD_PLAN,
		.verb = "plan",
		.title = "seawall plan",
		.page = "seawall-plan",
		.synopsis = "",
		.purpose = "say what a restore would do, exact to the record",
		.paragraphs = PARAGRAPHS{
			"Takes the targets that seawall restore takes, reads the archived WAL, and says: the backup, the "
			"timelines, the WAL segments, each of which is proved to be there, and the very record at which "
			"PostgreSQL will stop, with the last transaction that is recovered and the first that is not. "
			"Nothing is restored and nothing is written.",
			"A target that PostgreSQL would not reach is refused, with the nearest ones that can be reached as "
			"options to paste. A time at which nothing was committed any more becomes the last commit before it; "
			"a warning says whether the WAL proves that, or only ends there.",
			"How long the restore takes is estimated from earlier ones, whose measures lie in the repository.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("The target can be reached."), STATUS_FAILED, STATUS_USAGE,
			{"3", "The target cannot be reached with what is in the repository."}, {NULL, NULL}},
		.examples = TEXTS{
			{"What would be lost, to the transaction?", "seawall plan --target-time='2026-11-20 14:31:00+01'"},
			{"The moment before a transaction, for a program:",
				"seawall plan --target-xid=4711 --target-exclusive --json | jq .stop"},
			{NULL, NULL}},
		.see_also = "seawall seawall-list seawall-restore",
	},
	{
		.command = SW_CMD_FIND,
		.verb = "find",
		.title = "seawall find",
		.page = "seawall-find",
		.synopsis = "[PATTERN]...",
		.purpose = "find what was dropped, truncated or changed, and how to undo it",
		.paragraphs = PARAGRAPHS{
			"Reads in the archived WAL what transactions did, and prints what is asked for: when, LSN, transaction, "
			"database and relation by name, and the seawall restore line that recovers the cluster to just before "
			"it. Put an empty directory for DIR. Without a question, what is dropped, truncated, changed in many rows, and "
			"restore points are printed. Several questions may be asked at once. What was rolled back, temporary "
			"tables, and what VACUUM gave back are not told.",
			"A PATTERN is a shell's: 'orders', 'sales.*' or 'shop.sales.orders'; the name of a database, a tablespace or a "
			"restore point; with several, one must match. Names come from the backups and from the WAL. A relation that was "
			"made after the last backup and whose row the WAL does not show is told as DATABASE/OID, and matches that; one "
			"that was renamed has the name that it had when the transaction began, and where the WAL does not tell that for "
			"sure, this is said.",
			"PostgreSQL 14's WAL does not always tell which of a transaction's tables were dropped and which truncated, nor "
			"does that of a transaction that did more than is kept of it; such a one is told as dropped or truncated, for both questions.",
			"--around prints the commits and aborts in the order in which recovery meets them, and where a recovery to "
			"that time would stop. --xid finds the end of a transaction, also by a subtransaction's number; a number of 32 "
			"bits may stand for several, all of which are told.",
			"All repositories of a cluster hold the same; the first that answers is asked. Times are UTC.",
			"The JSON document has cluster, system_identifier, url, found (kind, time, lsn, xid, prepared, incomplete, "
			"timeline, database, database_oid, schema, relation, relation_oid, filenode, relkind, unlogged, rows_before, "
			"bytes_before, updates, deletes, target_lsn, reachable, restore; of restore points name and repeated), found_count, unnamed, places (of "
			"--around and --xid: way_to_timeline, before, after, reachable, problem, and restore or transaction, "
			"subtransaction, restore_without, restore_with) and looked_at (wal, gaps).",
			NULL},
		.status = TEXTS{
			STATUS_DONE("Something was found."), STATUS_FAILED, STATUS_USAGE,
			{"3", "Nothing was found; what WAL was looked at is said."}, {NULL, NULL}},
		.examples = TEXTS{
			{"Who dropped the table, and how do I get it back?", "seawall find --dropped orders"},
			{"Deletes and updates of 100000 rows and more, this week:",
				"seawall find --mass-changes 100000 --since='2026-11-16 00:00+01'"},
			{"What happened at half past two?", "seawall find --around='2026-11-20 14:30+01'"},
			{NULL, NULL}},
		.see_also = "seawall seawall-list seawall-restore",
	},
	{
		.command = SW_CMD_RESTORE,
		.verb = "restore",
		.title = "seawall restore",
		.page = "seawall-restore",
		.synopsis = "--pgdata DIR",
		.also = "seawall-fetch --base BACKUP DIR",
		.purpose = "restore a backup and prepare recovery to a target",
		.paragraphs = PARAGRAPHS{
			"Restores a backup into DIR, which must be empty or not exist, and writes what PostgreSQL "
			"needs to recover to the target: start the server on DIR, and it fetches the WAL by itself. "
			"At most one target is given; without one, recovery goes to the end of the WAL. Without "
			"--backup, the newest backup that ends before the target on the right timeline is chosen, "
			"and said. The archived WAL is read first: a target that PostgreSQL would not reach is refused, and "
			"the record at which it will stop is printed (seawall plan does that alone).",
			"Every page is verified against its hash as it is written. pg_control is written last, so "
			"that a half-made restore cannot be started. A restore that was interrupted is resumed by "
			"running it again with the same arguments.",
			"Nothing is written outside the directories that are named. A cluster with tablespaces needs "
			"--tablespace-map for each of them, or --tablespaces-in-place.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("DIR is ready to be started."), STATUS_FAILED, STATUS_USAGE,
			{"3", "The target cannot be reached with what is in the repository."}, {NULL, NULL}},
		.examples = TEXTS{
			{"To the moment before a mistake:",
				"seawall restore --pgdata=/srv/pg/restored \\\n    --target-time='2026-11-20 14:31:00+01'"},
			{"A new standby:", "seawall restore --pgdata=/srv/pg/standby --standby"},
			{"With a tablespace elsewhere:",
				"seawall restore --pgdata=/srv/pg/restored \\\n    --tablespace-map=/fast/ts1=/srv/ts1"},
			{NULL, NULL}},
		.see_also = "seawall seawall-fetch seawall-list seawall-plan",
	},
	{
		.command = SW_CMD_LOG,
		.verb = "log",
		.title = "seawall log",
		.page = "seawall-log",
		.synopsis = "",
		.purpose = "who did what with the repository",
		.paragraphs = PARAGRAPHS{
			"Every backup, every restore and every registration appends an entry to the repository's lineage: who, "
			"where, when, what, why (--reason) and how it ended. This shows them, the newest last.",
			"Each host and user has a chain of its own, whose entries carry the hash of the one before and of what "
			"other chains had last. --verify reads them all and says whether any was changed, removed or cut off. "
			"Of the newest entry of each chain nobody can have seen more than what is there: write access to the "
			"bucket should not include the right to delete.",
			"Who may read the repository but not write to it has the entry kept in lineage-spool, and is told; it is "
			"appended by the next act of this user that may.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("The entries were shown; with --verify: the lineage is unbroken."), STATUS_FAILED, STATUS_USAGE,
			{"3", "With --verify: the lineage is broken; the first place is named."}, {NULL, NULL}},
		.examples = TEXTS{
			{"Who restored what this year?", "seawall log --act=restore --since=2026-01-01T00:00Z"},
			{"Is the record whole?", "seawall log --verify"},
			{NULL, NULL}},
		.see_also = "seawall seawall-backup seawall-restore",
	},
	{
		.command = SW_CMD_SYNC,
		.verb = "sync",
		.title = "seawall sync",
		.page = "seawall-sync",
		.synopsis = "",
		.purpose = "copy to each repository the WAL that another has and it lacks",
		.paragraphs = PARAGRAPHS{
			"For a cluster with several repositories: what one missed while it was down, or was not yet there, is "
			"copied from another that has it. Lists are compared; objects are copied as they are, so that they stay "
			"byte for byte the same, and verified on the way: a damaged one is not copied, but told and taken from "
			"another repository. Histories go first. Have it run by a timer, every few minutes; nothing is done where "
			"nothing lacks.",
			"Nothing is overwritten. Where two repositories have another content under one name, both origins "
			"are told. (Objects of the same size are taken for the same; of those whose size differs the hashes of their "
			"content are compared.)",
			"Only WAL is copied. A base backup belongs to the repository that it was made in: its page hashes are made with "
			"that registration's secret.",
			"It can be stopped at any time, run again, and run beside archivers and other runs of itself. With "
			"--dry-run it only counts. The JSON document has cluster, dry_run and systems; each of those has system_identifier, repositories "
			"(repo, url, objects, lacked, lacked_bytes, copied, copied_bytes), conflicts, damaged and lost (name, text).",
			NULL},
		.status = TEXTS{
			STATUS_DONE("No repository lacks anything that another has."),
			{"1", "It failed, or a repository could not be reached; the others are compared all the same."}, STATUS_USAGE,
			{"3", "Something needs you: other content under one name, or a damaged object."}, {NULL, NULL}},
		.examples = TEXTS{
			{"In a crontab of the PostgreSQL user:", "*/10 * * * * seawall sync --progress=off"},
			{"What does each lack?", "seawall sync --dry-run"},
			{NULL, NULL}},
		.see_also = "seawall seawall-push seawall-status",
	},
	{
		.command = SW_CMD_STATUS,
		.verb = "status",
		.title = "seawall status",
		.page = "seawall-status",
		.synopsis = "",
		.purpose = "tell how archiving stands: repositories, backups, what waits",
		.paragraphs = PARAGRAPHS{
			"For each repository: whether it can be reached, the newest segment with the time when it came, how much WAL it lacks "
			"that another has (seawall sync copies it), copies that were kept beside others (.alt-), the newest backup with "
			"its age, and whether the archiver takes it for down (push-quorum). For the server: what waits to be archived, "
			"from the data directory or from PostgreSQL; its archiver's last failure; how much disk the spool takes.",
			"Only lists are read, no content, so that monitoring may ask every minute. A repository that does not answer within "
			"ten seconds is told as not reached. Whatever needs a human is said again in a line that begins with ATTENTION.",
			"The system identifier is that of the data directory (pgdata), or the one that was registered last.",
			"The JSON document has cluster, system_identifier, repositories (repo, url, reached, error, down_since, down_reason, and "
			"of one that was reached objects, lacks, lacks_bytes, conflicts, last_wal, last_wal_time, last_backup, "
			"last_backup_time), queue (files, bytes, oldest; or null), server (answered, note, or last_archived_wal, "
			"last_archived_time, last_failed_wal, last_failed_time, failures, failing), spool_bytes and attention (a list of texts).",
			NULL},
		.status = TEXTS{
			STATUS_DONE("Nothing needs a human."), STATUS_FAILED, STATUS_USAGE,
			{"3", "Something needs a human: the lines that begin with ATTENTION say what."}, {NULL, NULL}},
		.examples = TEXTS{
			{"For monitoring:", "seawall status --json | jq -r '.attention[]'"},
			{NULL, NULL}},
		.see_also = "seawall seawall-check seawall-list seawall-sync",
	},
	{
		.command = SW_CMD_CONFIG,
		.verb = "config",
		.title = "seawall config",
		.page = "seawall-config",
		.synopsis = "",
		.purpose = "print the effective configuration and where each value comes from",
		.paragraphs = PARAGRAPHS{
			"Prints every option of the program, of the chosen cluster and of its repositories, with its "
			"value and its origin: default, environment, command line, or the file and the line. Secrets "
			"are shown as (hidden).",
			"The whole file is verified, also the sections that are not chosen.",
			NULL},
		.status = TEXTS{
			STATUS_DONE("The configuration has no mistakes."), STATUS_FAILED, STATUS_USAGE, {NULL, NULL}},
		.examples = TEXTS{
			{"What would the archiver use?", "sudo -u postgres seawall config"},
			{"Only what somebody has set:",
				"seawall config --json | jq '.options[] | select(.origin != \"default\")'"},
			{NULL, NULL}},
		.see_also = "seawall",
	},
};

const struct sw_command_row *
sw_command_at(size_t i)
{
	return &commands[i];
}

const struct sw_command_row *
sw_command_row(enum sw_command command)
{
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		if (commands[i].command == command)
			return &commands[i];
	return &commands[0];
}

void
sw_command_takers(const struct sw_option_row *row, char *buf, size_t len)
{
	unsigned total = 0, seen = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++)
		total += (row->commands & commands[i].command) != 0;
	for (size_t i = 0; i < SW_COMMAND_COUNT; i++) {
		size_t used = strlen(buf);

		if ((row->commands & commands[i].command) == 0)
			continue;
		snprintf(buf + used, len - used, "%s%s",
			seen == 0 ? "" : seen + 1 == total ? " and " : ", ", commands[i].title);
		seen++;
	}
}

sw_rc
sw_config_verb(const char *verb, enum sw_command *ret_command, struct sw_error *err)
{
	struct sw_nearest nearest = {.name = verb, .len = strlen(verb)};

	for (size_t i = 0; i < SW_COMMAND_COUNT; i++) {
		if (commands[i].verb == NULL)
			continue;
		if (strcmp(commands[i].verb, verb) == 0) {
			*ret_command = commands[i].command;
			return SW_OK;
		}
		sw_table_offer(&nearest, commands[i].verb);
	}
	sw_fail(err, SW_CONFIG, "unknown command %.80s", verb);
	if (nearest.best != NULL)
		return sw_hint(err, "did you mean seawall %s?", nearest.best);
	return sw_hint(err, "seawall --help lists the commands");
}
