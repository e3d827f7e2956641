/*
 * object.h - the object that carries one file of pg_wal: doc/FORMAT.md, "A WAL object".
 *
 * A zstd skippable frame with a JSON summary, then zstd frames with the content.
 */
#ifndef SW_ARCHIVE_OBJECT_H
#define SW_ARCHIVE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"
#include "pg/names.h"
#include "store/store.h"
#include "stream/frames.h"
#include "stream/stage.h"
#include "wal/digest.h"

#define SW_SUMMARY_MAX 65536 /* bytes of JSON */
#define SW_SKIPPABLE_MAGIC 0x184D2A53u

struct sw_wal_summary {
	char name[SW_WAL_NAME_MAX]; /* as PostgreSQL names the file */
	uint64_t system_identifier;
	uint32_t timeline;
	uint32_t segment_size;
	uint64_t size; /* bytes of content */
	uint8_t xxh3[SW_XXH3_LEN]; /* of the content */
	sw_lsn start, end; /* SEGMENT and PARTIAL: its range; else 0 */
	char host[256], pgdata[1024]; /* where it was pushed from; told, not used */
	struct sw_wal_digest *digest; /* what its WAL says; NULL: not read, or not told */
};

/* Frees the digest. */
void sw_wal_summary_release(struct sw_wal_summary *summary);

struct sw_object {
	struct sw_buf summary; /* the skippable frame */
	struct sw_stage_spool frame;
	uint8_t sha256[SW_SHA256_LEN]; /* of both */
};

struct sw_object_source {
	int fd; /* a file of pg_wal, read from its start */
	const char *path;
	int level;         /* zstd's */
	size_t memory_max; /* bytes of the frame in memory; beyond that it lies in an unlinked file */
	unsigned threads;  /* more threads, that compress a segment; 0: none */
	const struct sw_wal_digester_params *wal; /* how to read a segment's WAL; NULL: it is not read */
};

/*
 * Read the file and make the object.
 * summary: everything but size, hash and digest, which this fills.  What is wrong with the WAL stands in the digest.
 * ret_object is initialised by this call, on success only.
 * SW_OK, SW_SYSTEM, SW_CORRUPT (a segment whose size is not segment_size, another file of more than 16 MiB).
 */
sw_rc sw_object_make(const struct sw_object_source *source, struct sw_wal_summary *summary,
	struct sw_object *ret_object, struct sw_error *err);

/* The same of a file whose WAL is not read; a segment is compressed in two threads. */
sw_rc sw_object_encode(int fd, const char *path, struct sw_wal_summary *summary, int level,
	size_t memory_max, struct sw_object *ret_object, struct sw_error *err);
void sw_object_release(struct sw_object *object);

/* The bytes to put; borrowed from the object. */
struct sw_store_body sw_object_body(const struct sw_object *object);

/* A stage that takes an object and gives its content to the next stage, verified at finish. */
struct sw_object_reader {
	struct sw_stage stage;
	enum { SW_READER_HEADER, SW_READER_SUMMARY, SW_READER_CONTENT } state;
	bool content_came;
	struct sw_buf head;
	uint32_t summary_len;
	struct sw_wal_summary summary; /* complete as soon as the first byte of content comes, but for the digest */
	struct sw_stage_unframer unframer;
	struct sw_stage_xxh3 content;
	struct sw_stage judge;
};

/*
 * next: takes the content, in one thread after the other.  name: what the summary must say, or NULL.
 * threads: that decompress, hash and write to `next` while more is received; they start at once.
 * Write and finish give SW_CORRUPT for any object that is not whole and exactly what its summary says, and
 * SW_CONFIG for a newer format.  Never more than the summary's size reaches `next`.
 */
sw_rc sw_object_reader_init_threads(struct sw_object_reader *r, const char *name, unsigned threads,
	struct sw_stage *next, struct sw_error *err);
/* With one thread. */
sw_rc sw_object_reader_init(struct sw_object_reader *r, const char *name, struct sw_stage *next,
	struct sw_error *err);
void sw_object_reader_release(struct sw_object_reader *r);

/*
 * The summary alone, with its digest: one request, a second one if the summary is longer than SW_SUMMARY_FIRST.
 * The content is not read, so that nothing of this is verified.  The caller releases it.
 * SW_OK; SW_CORRUPT (no object of this name, or a digest that cannot be), SW_CONFIG (a newer format), what get gives.
 */
#define SW_SUMMARY_FIRST 32768
sw_rc sw_object_read_summary(struct sw_repository *repo, const struct sw_wal_name *name,
	struct sw_wal_summary *ret_summary, struct sw_error *err);

#endif
