/*
 * push.h - archive files of pg_wal in every configured repository.
 *
 * What all files have in common is opened once (struct sw_push); each thread has connections of its own (struct
 * sw_push_lane); each file is read and compressed, and then put.  A crash leaves nothing visible that is not whole.
 */
#ifndef SW_ARCHIVE_PUSH_H
#define SW_ARCHIVE_PUSH_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/ledger.h"
#include "archive/object.h"
#include "archive/repository.h"
#include "base/error.h"
#include "pg/control.h"
#include "pg/filenodes.h"

struct sw_config;

#define SW_PUSH_REPOS_MAX 16

struct sw_push {
	const struct sw_config *config; /* borrowed */
	const char *pgdata;
	struct sw_control control;
	unsigned repo_count;
	struct sw_store *stores[SW_PUSH_REPOS_MAX];
	struct sw_repository repos[SW_PUSH_REPOS_MAX];
	struct sw_error unopened[SW_PUSH_REPOS_MAX]; /* why a repository is none to put in; rc SW_OK: it is */
};

/*
 * Read pg_control from the pgdata option, else from the current directory, and make the stores' handles; nothing is
 * contacted.  ret_push may be released in any case.  SW_OK, SW_CONFIG, SW_SYSTEM, SW_CORRUPT.
 */
sw_rc sw_push_init(struct sw_push *ret_push, const struct sw_config *config, struct sw_error *err);
void sw_push_release(struct sw_push *push);

/* Read pg_control again, between files.  SW_OK, SW_SYSTEM, SW_CORRUPT. */
sw_rc sw_push_refresh(struct sw_push *push, struct sw_error *err);

/* Read one registration.  If that fails, it is a failure as soon as something is to be put there. */
void sw_push_open(struct sw_push *push, unsigned repo);

/* Hash of the registrations that were read. */
void sw_push_registrations(const struct sw_push *push, uint8_t ret_hash[SW_LEDGER_HASH_LEN]);

/* One thread's connections. */
struct sw_push_lane {
	const struct sw_push *push;
	struct sw_repository repos[SW_PUSH_REPOS_MAX];
	bool own; /* its stores are its own, not the push's */
	bool ready;
};

/* After sw_push_open of all.  own: with connections of its own; else those of the push, which one lane may use. */
sw_rc sw_push_lane_init(struct sw_push_lane *lane, const struct sw_push *push, bool own, struct sw_error *err);
void sw_push_lane_release(struct sw_push_lane *lane); /* one that is all zeros too */

struct sw_push_file {
	const struct sw_push *push;
	const char *path;  /* borrowed, like ready */
	const char *ready; /* its archive_status file, which must be there when the file is put; NULL: that does not matter */
	int threads;       /* more threads, that compress */
	size_t memory_max; /* for the compressed file */
	int fd;
	struct sw_wal_name name;
	struct sw_ledger_file identity; /* before it was read */
	struct sw_wal_summary summary;
	struct sw_filenodes filenodes; /* for reading its WAL */
	struct sw_object object;
	bool encoded;
};
#define SW_PUSH_FILE_INIT {.fd = -1}

/* SW_OK; SW_CONFIG: no name of a WAL file; SW_CORRUPT: it is not what its name says; SW_SYSTEM. */
sw_rc sw_push_file_open(struct sw_push_file *file, const struct sw_push *push, const char *path,
	struct sw_error *err);

/*
 * Read, check and compress the file; ready, threads and memory_max are set by the caller.
 * SW_OK; SW_CORRUPT: its WAL is damaged (push-validate), or there is too much or too little of it; SW_TRANSIENT: it changed
 * meanwhile; SW_SYSTEM.
 */
sw_rc sw_push_file_read(struct sw_push_file *file, struct sw_error *err);

/* How its WAL is to be read; of a file that is WAL. */
struct sw_wal_digester_params sw_push_file_wal(const struct sw_push_file *file);

/* Whether the file is still the one that was read, and wanted.  SW_OK, SW_TRANSIENT, SW_CORRUPT, SW_SYSTEM. */
sw_rc sw_push_file_check(const struct sw_push_file *file, struct sw_error *err);

/*
 * Check it again, and put it in every repository; one's failure does not keep it from the others.
 * SW_OK: the file is durable in all of them, by this call or an earlier one (archive/conflict.h tells what is the same).
 * SW_CONFLICT: one holds another content under this name; it was not touched.  Everything else: try again.
 */
sw_rc sw_push_file_put(struct sw_push_file *file, struct sw_push_lane *lane, struct sw_error *err);
void sw_push_file_release(struct sw_push_file *file);

#endif
