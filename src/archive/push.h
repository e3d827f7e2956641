/*
 * push.h - archive files of pg_wal in every configured repository.
 *
 * What all files have in common is opened once (struct sw_push); each thread has connections of its own (struct
 * sw_push_lane); each file is read and compressed, and then put.  A crash leaves nothing visible that is not whole.
 */
#ifndef SW_ARCHIVE_PUSH_H
#define SW_ARCHIVE_PUSH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "archive/ledger.h"
#include "archive/object.h"
#include "archive/quorum.h"
#include "archive/repository.h"
#include "base/error.h"
#include "pg/control.h"
#include "pg/filenodes.h"

struct sw_config;

/* One repository: its registration is read once, by whoever needs it first. */
struct sw_push_repo {
	struct sw_store *store;
	pthread_mutex_t mutex;
	/* under it */
	bool open;
	struct sw_error failed;    /* to open; rc SW_OK: that was not tried */
	struct sw_repository repo; /* does not change once it is open */
};

struct sw_push {
	const struct sw_config *config; /* borrowed */
	const char *pgdata;
	struct sw_control control;
	struct sw_quorum quorum;
	unsigned repo_count;
	struct sw_push_repo repos[SW_QUORUM_MAX];
};

/*
 * Read pg_control from the pgdata option, else from the current directory, and make the stores' handles; nothing is
 * contacted.  ret_push may be released in any case.  SW_OK, SW_CONFIG, SW_SYSTEM, SW_CORRUPT.
 */
sw_rc sw_push_init(struct sw_push *ret_push, const struct sw_config *config, struct sw_error *err);
void sw_push_release(struct sw_push *push);

/* Read pg_control again, between files.  SW_OK, SW_SYSTEM, SW_CORRUPT. */
sw_rc sw_push_refresh(struct sw_push *push, struct sw_error *err);

/*
 * Read the registrations that were not read yet, also of what was down and is to be tried again, which gets a new store;
 * anew: all of them.  All at once, and no longer than there is a need to wait (archive/quorum.h).  What fails is a failure as soon as something
 * is to be put there.  While no lane is at work.  True: there are enough for push-quorum.
 */
bool sw_push_open(struct sw_push *push, bool anew);

/* Whether sw_push_open has something to do without `anew`.  Then lanes must be released before. */
bool sw_push_lacks(struct sw_push *push);

/* Hash of the registrations that were read. */
void sw_push_registrations(struct sw_push *push, uint8_t ret_hash[SW_LEDGER_HASH_LEN]);

/* One thread's connections, made when they are needed. */
struct sw_push_lane {
	struct sw_push *push;
	struct sw_repository repos[SW_QUORUM_MAX]; /* store NULL: not yet */
	bool own; /* its stores are its own, not the push's */
	bool ready;
};

/* own: with connections of its own; else those of the push, which one lane may use. */
void sw_push_lane_init(struct sw_push_lane *lane, struct sw_push *push, bool own);

/* Make the connection to a repository, if there is none yet.  What sw_repository_open gives; a failure stands until sw_push_open. */
sw_rc sw_push_lane_connect(struct sw_push_lane *lane, unsigned repo, struct sw_error *err);
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
	/* by sw_push_file_put */
	atomic_bool tried;   /* it came to a repository */
	atomic_bool refused; /* not by an outage: a conflict, damage, wrong configuration, an interrupt */
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
 * Check it again, and put it in every repository at once; one's failure does not keep it from the others.
 * SW_OK: the file is durable in all of them, or in push-quorum and the others are down, by this call or an earlier one
 * (archive/conflict.h tells what is the same).
 * SW_CONFLICT: one holds another content under this name; it was not touched.  Everything else: try again.
 */
sw_rc sw_push_file_put(struct sw_push_file *file, struct sw_push_lane *lane, struct sw_error *err);

/* It was not put, and nothing kept it from that but that repositories are down, full, or let nobody in. */
bool sw_push_file_met_outage(const struct sw_push_file *file);
void sw_push_file_release(struct sw_push_file *file);

#endif
