/*
 * connection.h - what Seawall asks of a running server, by libpq.  PostgreSQL 14 … 18.
 */
#ifndef SW_PG_CONNECTION_H
#define SW_PG_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "pg/names.h"

struct sw_pg;
struct sw_config;

/*
 * Connect with the cluster's pg-* options.  Sets search_path, statement_timeout=0, application_name.
 * SW_OK; SW_TRANSIENT (not reachable, starting up), SW_DENIED (authentication), SW_CONFIG (a major older than 14), SW_SYSTEM.
 * The password never appears in the text.
 */
sw_rc sw_pg_connect(const struct sw_config *config, struct sw_pg **ret_pg, struct sw_error *err);

/*
 * The same to another database of that server, by its name, for questions that are answered soon: each wait for the server
 * ends after answer_ms with SW_TRANSIENT (who asks for a locked catalog waits).
 */
sw_rc sw_pg_connect_database(const struct sw_config *config, const char *database, int64_t answer_ms,
	struct sw_pg **ret_pg, struct sw_error *err);
void sw_pg_close(struct sw_pg *pg); /* a running backup is aborted by the server; NULL is allowed */

struct sw_pg_facts {
	int version;                /* 150020 */
	uint64_t system_identifier;
	char data_directory[1024];
	uint32_t segment_size, block_size;
	bool in_recovery;
	uint32_t timeline;          /* of the last checkpoint; on a primary the current one */
	bool checksums;
};
sw_rc sw_pg_facts(struct sw_pg *pg, struct sw_pg_facts *ret_facts, struct sw_error *err);

/* A setting's value as SHOW gives it, into buf (replaced).  SW_NOT_FOUND: the server has no such setting. */
sw_rc sw_pg_setting(struct sw_pg *pg, const char *name, struct sw_buf *buf, struct sw_error *err);

/* pg_backup_start / pg_start_backup (14), non-exclusive, in this session.  fast: immediate checkpoint. Interruptible: on SIGINT or
 * SIGTERM the query is cancelled. */
sw_rc sw_pg_backup_start(struct sw_pg *pg, const char *label, bool fast, sw_lsn *ret_start,
	struct sw_error *err);

/*
 * pg_backup_stop(wait_for_archive => false): the stop LSN, the text for backup_label and for tablespace_map
 * (empty when there are none).  Buffers initialised by the caller.
 */
sw_rc sw_pg_backup_stop(struct sw_pg *pg, sw_lsn *ret_stop, struct sw_buf *backup_label,
	struct sw_buf *tablespace_map, struct sw_error *err);

/* Position now: insert LSN of a primary, last replayed LSN of a standby. */
sw_rc sw_pg_current_lsn(struct sw_pg *pg, sw_lsn *ret_lsn, struct sw_error *err);

/* pg_switch_wal, after a logical message so that there is always something to switch: returns the name of the segment that was closed.
 * Primary only. */
sw_rc sw_pg_switch_wal(struct sw_pg *pg, char ret_segment[SW_WAL_NAME_MAX], struct sw_error *err);

/* Run a query whose rows have `columns` text columns; `each` gets them (NULL for null).  For everything else.
 * columns 0: a statement without rows, whose `each` is not called. */
typedef sw_rc (*sw_pg_row)(void *ctx, const char *const *values, struct sw_error *err);
sw_rc sw_pg_query(struct sw_pg *pg, const char *sql, int columns, sw_pg_row each, void *ctx,
	struct sw_error *err);

#endif
