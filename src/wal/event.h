/*
 * event.h - what a record says, for those that a catalog must know: PostgreSQL 14 … 18.
 *
 * Sources: catalog/pg_control.h, access/xlog_internal.h, access/xact.h, access/heapam_xlog.h,
 * catalog/storage_xlog.h, commands/dbcommands_xlog.h, commands/tablespace.h, utils/relmapper.h,
 * storage/standbydefs.h, storage/sinval.h of each version.
 */
#ifndef SW_WAL_EVENT_H
#define SW_WAL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/names.h"
#include "wal/decode.h"
#include "wal/format.h"
#include "wal/record.h"

enum sw_wal_event_kind {
	SW_WAL_NOTHING, /* a record that says nothing of what follows */
	/* XLOG */
	SW_WAL_CHECKPOINT,
	SW_WAL_REDO,          /* where an online checkpoint begins; 17 */
	SW_WAL_RESTORE_POINT,
	SW_WAL_SWITCH,
	SW_WAL_END_OF_RECOVERY,
	SW_WAL_PARAMETERS,
	SW_WAL_BACKUP_END,
	SW_WAL_OVERWRITE,
	/* XACT */
	SW_WAL_COMMIT,        /* the prepared form too */
	SW_WAL_ABORT,
	SW_WAL_PREPARE,
	SW_WAL_ASSIGNMENT,    /* subtransactions get their top one */
	/* SMGR, DBASE, TBLSPC, RELMAP, STANDBY */
	SW_WAL_FILE_CREATE,
	SW_WAL_FILE_TRUNCATE, /* mostly VACUUM's */
	SW_WAL_DATABASE_CREATE,
	SW_WAL_DATABASE_DROP, /* its files go; the COMMIT follows */
	SW_WAL_TABLESPACE_CREATE,
	SW_WAL_TABLESPACE_DROP,
	SW_WAL_RELATION_MAP,
	SW_WAL_LOCKS,         /* AccessExclusiveLock on relations, also those of DROP and TRUNCATE */
	/* HEAP and HEAP2 */
	SW_WAL_ROWS,          /* rows were inserted, updated or deleted */
	SW_WAL_TRUNCATE,      /* TRUNCATE by name; wal_level = logical only */
};

enum sw_wal_row_change {
	SW_WAL_INSERT,
	SW_WAL_UPDATE,
	SW_WAL_DELETE,
	SW_WAL_IN_PLACE, /* without a transaction: VACUUM's counts; DROP DATABASE's first act */
};

/* Items in the record's bytes, for the functions below: count of them are there, whole_count were written. */
struct sw_wal_list {
	const uint8_t *at;
	uint32_t count, whole_count;
	uint8_t item_len;
};

struct sw_wal_transaction {
	int64_t time_us;  /* Unix epoch */
	uint32_t xid;     /* the top one; of a prepared form that which was prepared */
	bool prepared;    /* COMMIT PREPARED, ROLLBACK PREPARED, PREPARE */
	uint32_t database; /* 0: not told */
	const char *gid;  /* not terminated; NULL: not told */
	size_t gid_len;
	struct sw_wal_list subxids;       /* sw_wal_event_u32 */
	struct sw_wal_list relations;     /* sw_wal_event_relation; files that go with this */
	struct sw_wal_list statistics;    /* sw_wal_event_statistic; objects whose statistics go; 15 */
	struct sw_wal_list invalidations; /* sw_wal_event_invalidation */
};

struct sw_wal_event {
	enum sw_wal_event_kind kind;
	bool cut; /* the record was longer than what was kept: something is missing */
	union {
		struct {
			bool shutdown;
			sw_lsn redo;
			uint32_t timeline, previous_timeline; /* differ at the first of a new one */
			uint64_t next_xid;                    /* 64 bits */
			int64_t time_us;
			uint32_t oldest_active_xid; /* online only; 0: not told */
		} checkpoint;
		struct {
			int64_t time_us;
			char name[64];
		} restore_point;
		struct {
			int64_t time_us;
			uint32_t timeline, previous_timeline;
		} end_of_recovery;
		struct {
			int32_t max_connections, max_worker_processes, max_wal_senders, max_prepared_xacts,
				max_locks_per_xact, wal_level;
			bool wal_log_hints, track_commit_timestamp;
		} parameters;
		struct {
			sw_lsn start;
		} backup_end;
		struct {
			sw_lsn overwritten;
			int64_t time_us;
		} overwrite;
		struct sw_wal_transaction transaction; /* COMMIT, ABORT, PREPARE */
		struct {
			uint32_t top_xid;
			struct sw_wal_list subxids;
		} assignment;
		struct {
			struct sw_wal_relation relation;
			uint8_t fork;     /* FILE_CREATE */
			uint32_t blocks;  /* FILE_TRUNCATE: what is left */
			uint32_t flags;   /* FILE_TRUNCATE: 1 heap, 2 visibility map, 4 free space map */
		} file;
		struct {
			uint32_t database, tablespace, source, source_tablespace; /* CREATE; source 0: not told */
			struct sw_wal_list tablespaces; /* DROP: sw_wal_event_u32 */
		} database;
		struct {
			uint32_t oid;
			const char *path; /* CREATE; not terminated */
			size_t path_len;
		} tablespace;
		struct {
			uint32_t database, tablespace; /* database 0: the shared map */
			struct sw_wal_list pairs;      /* sw_wal_event_pair: OID, filenode */
		} relation_map;
		struct sw_wal_list locks; /* sw_wal_event_lock */
		struct {
			enum sw_wal_row_change change;
			struct sw_wal_relation relation;
			uint32_t count;
			uint32_t block;       /* where the new row is; DELETE: where the old one was */
			uint16_t offset;      /* 0: several rows */
			uint32_t old_block;   /* UPDATE: where the old row was */
			uint16_t old_offset;
		} rows;
		struct {
			uint32_t database;
			struct sw_wal_list relations; /* sw_wal_event_u32: OIDs */
		} truncate;
	};
};

struct sw_wal_lock {
	uint32_t xid, database, relation; /* relation: its OID */
};

struct sw_wal_statistic {
	uint32_t kind; /* PgStat_Kind: 1 database, 2 relation, 3 function, … */
	uint32_t database;
	uint64_t object;
};

/* storage/sinval.h: id >= 0 is a catalog cache; -1 a whole catalog, -2 a relation, -3 files, … */
struct sw_wal_invalidation {
	int8_t id;
	uint32_t database;
	uint32_t object; /* id -2: the relation's OID, 0 all; id -1: the catalog's OID; id >= 0: a hash */
};

/* May a record of this resource manager say something? */
static inline bool
sw_wal_event_says(uint8_t rmgr)
{
	const uint32_t some = 1u << SW_RMGR_XLOG | 1u << SW_RMGR_XACT | 1u << SW_RMGR_SMGR | 1u << SW_RMGR_DBASE |
		1u << SW_RMGR_TBLSPC | 1u << SW_RMGR_RELMAP | 1u << SW_RMGR_STANDBY | 1u << SW_RMGR_HEAP2 |
		1u << SW_RMGR_HEAP;

	return rmgr < 32 && (some >> rmgr & 1);
}

/*
 * parts: of the same record.  ret_event points into the record's data.
 * False: malformed (a list that is longer than its record, a name without end); ret_event is untouched.
 */
bool sw_wal_event_read(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	struct sw_wal_event *ret_event);

/* i < list->count */
uint32_t sw_wal_event_u32(const struct sw_wal_list *list, uint32_t i);
struct sw_wal_relation sw_wal_event_relation(const struct sw_wal_list *list, uint32_t i);
struct sw_wal_statistic sw_wal_event_statistic(const struct sw_wal_list *list, uint32_t i);
struct sw_wal_invalidation sw_wal_event_invalidation(const struct sw_wal_list *list, uint32_t i);
struct sw_wal_lock sw_wal_event_lock(const struct sw_wal_list *list, uint32_t i);
void sw_wal_event_pair(const struct sw_wal_list *list, uint32_t i, uint32_t *ret_oid, uint32_t *ret_filenode);

#endif
