/*
 * wal_repo.h - a repository on disk for tests, with segments of made WAL (wal_maker.h) and histories in it.
 */
#ifndef SW_REGRESS_WAL_REPO_H
#define SW_REGRESS_WAL_REPO_H

#include <endian.h>

#include "../tap.h"
#include "archive/object.h"
#include "archive/repository.h"
#include "scratch.h"
#include "store/posix.h"
#include "wal_maker.h"

#define WAL_REPO_MB (1024 * 1024)

struct wal_repo {
	char dir[4096];
	struct sw_store *store;
	struct sw_repository repo;
};

static inline bool
wal_repo_make_sizes(struct wal_repo *r, uint32_t segment_size, uint32_t wal_block_size)
{
	struct sw_registration reg = {.system_identifier = MAKER_SYSTEM_ID, .major = 15, .segment_size = segment_size,
		.block_size = 8192, .wal_block_size = wal_block_size, .traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	char root[4200];
	sw_rc rc;

	scratch_make(r->dir);
	snprintf(root, sizeof(root), "%s/repo", r->dir);
	rc = sw_posix_open(root, &r->store, &err);
	if (rc == SW_OK)
		rc = sw_repository_register(r->store, "main", &reg, &err);
	if (rc == SW_OK)
		rc = sw_repository_open(r->store, "main", MAKER_SYSTEM_ID, &r->repo, &err);
	if (!tap_is_int(rc, SW_OK, "a repository"))
		tap_note("%s", err.text);
	return rc == SW_OK;
}

/* Segments of 1 MiB, blocks of 8 KiB. */
static inline bool
wal_repo_make(struct wal_repo *r)
{
	return wal_repo_make_sizes(r, WAL_REPO_MB, 8192);
}

static inline void
wal_repo_release(struct wal_repo *r)
{
	sw_store_free(r->store);
	scratch_remove(r->dir);
}

static inline void
wal_repo_put(struct wal_repo *r, const struct sw_wal_name *name, const void *bytes, size_t len)
{
	struct sw_wal_summary summary = {.timeline = name->timeline, .system_identifier = r->repo.reg.system_identifier,
		.segment_size = r->repo.reg.segment_size};
	char object[SW_STORE_NAME_MAX], path[4200];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_object encoded;
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (name->kind == SW_WAL_SEGMENT) {
		summary.start = name->segment * summary.segment_size;
		summary.end = summary.start + summary.segment_size;
	}
	sw_wal_name_format(name, summary.segment_size, summary.name);
	snprintf(path, sizeof(path), "%s/file", r->dir);
	rc = sw_file_write(path, bytes, len, 0600, &err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (rc == SW_OK)
		rc = sw_object_encode(fd, path, &summary, 1, WAL_REPO_MB, &encoded, &err);
	if (rc == SW_OK) {
		struct sw_store_body body = sw_object_body(&encoded);

		rc = sw_store_put(r->store, sw_repository_wal_name(&r->repo, name, object), &body, &err);
		sw_object_release(&encoded);
	}
	if (rc != SW_OK)
		tap_note("%s: %s", summary.name, err.text);
}

static inline void
wal_repo_history(struct wal_repo *r, uint32_t timeline, const char *text)
{
	struct sw_wal_name name = {.kind = SW_WAL_HISTORY, .timeline = timeline};

	wal_repo_put(r, &name, text, strlen(text));
}

/* The segments of the maker's bytes from `first` on, `count` of them, as this timeline's. */
static inline void
wal_repo_segments(struct wal_repo *r, const struct wal_maker *w, uint32_t timeline, uint64_t first, unsigned count)
{
	for (uint64_t i = first; i < first + count; i++) {
		struct sw_wal_name name = {.kind = SW_WAL_SEGMENT, .timeline = timeline, .segment = i};

		wal_repo_put(r, &name, maker_byte(w, i * w->segment), w->segment);
	}
}

/* --- records that say something ------------------------------------------------------- */

/* The data of one record, as a server lays it: main data of at most 255 bytes. */
static inline bool
wal_repo_record(struct wal_maker *w, uint32_t xid, uint8_t rmgr, uint8_t info, const void *main, size_t len)
{
	uint8_t data[257] = {255, (uint8_t)len};

	memcpy(data + 2, main, len);
	return maker_add(w, (uint32_t)(24 + 2 + len), xid, rmgr, info, data);
}

#define WAL_REPO_PG_EPOCH INT64_C(946684800000000) /* 2000-01-01 in microseconds of Unix */

/* COMMIT (info 0x00) or ABORT (0x20), with subtransactions. */
static inline sw_lsn
wal_repo_end(struct wal_maker *w, bool commit, uint32_t xid, int64_t time_us, const uint32_t *subxids, uint32_t count)
{
	uint8_t data[200];
	int64_t time = time_us - WAL_REPO_PG_EPOCH;
	uint32_t xinfo = count > 0 ? 2 : 0;
	size_t len = 8;

	memcpy(data, &time, 8);
	if (xinfo != 0) {
		memcpy(data + 8, &xinfo, 4);
		memcpy(data + 12, &count, 4);
		memcpy(data + 16, subxids, 4 * count);
		len = 16 + 4 * count;
	}
	wal_repo_record(w, xid, 1, (uint8_t)((commit ? 0x00 : 0x20) | (xinfo != 0 ? 0x80 : 0)), data, len);
	return w->last;
}

/* COMMIT PREPARED or ROLLBACK PREPARED */
static inline sw_lsn
wal_repo_end_prepared(struct wal_maker *w, bool commit, uint32_t xid, int64_t time_us)
{
	uint8_t data[16];
	int64_t time = time_us - WAL_REPO_PG_EPOCH;
	uint32_t xinfo = 16;

	memcpy(data, &time, 8);
	memcpy(data + 8, &xinfo, 4);
	memcpy(data + 12, &xid, 4);
	wal_repo_record(w, 0, 1, (uint8_t)((commit ? 0x30 : 0x40) | 0x80), data, sizeof(data));
	return w->last;
}

static inline sw_lsn
wal_repo_point(struct wal_maker *w, const char *name, int64_t time_us)
{
	uint8_t data[72] = {0};
	int64_t time = time_us - WAL_REPO_PG_EPOCH;

	memcpy(data, &time, 8);
	strcpy((char *)data + 8, name);
	wal_repo_record(w, 0, 0, 0x70, data, sizeof(data));
	return w->last;
}

/* An online checkpoint of a PostgreSQL 15 (magic D110). */
static inline sw_lsn
wal_repo_checkpoint(struct wal_maker *w, uint64_t next_xid, int64_t time_us)
{
	uint8_t data[88] = {0};
	int64_t time = time_us / 1000000;
	sw_lsn redo = w->last;

	memcpy(data, &redo, 8);
	memcpy(data + 8, &w->timeline, 4);
	memcpy(data + 12, &w->timeline, 4);
	data[16] = 1;
	memcpy(data + 24, &next_xid, 8);
	memcpy(data + 64, &time, 8);
	wal_repo_record(w, 0, 0, 0x10, data, sizeof(data));
	return w->last;
}

/* Records that say nothing, until the next begins at `until` or behind. */
static inline void
wal_repo_fill(struct wal_maker *w, sw_lsn until)
{
	uint8_t data[100] = {0};

	while (w->at < until)
		wal_repo_record(w, 0, 11, 0, data, sizeof(data));
}

#endif
