/*
 * reader.h - is this WAL whole?  Pages and records of PostgreSQL 14 … 18, checked while their bytes pass.
 *
 * The reader is a stage: bytes come in pieces of any size, are checked and given to the next stage, if there is
 * one, as they came.  What is wrong with the WAL is never an error of the stage; it stands in the verdict.  One
 * segment is enough; several that follow each other may be written one behind the other.
 *
 * Checked: page headers (magic, flags, address, system identifier, segment and block size, timelines that never
 * fall or pass the file's), each record's length, resource manager, xl_prev and CRC-32C, continuations across
 * pages and segments, what replaces a record that was never finished.
 * Not checked: what a record says, what stands behind a switch record, and the two fragments that the first and
 * last segment share with their neighbours (sw_wal_fragment_join does that).
 *
 * Memory: this struct, a block (64 KiB at most) and a record (params.record_max, at least 8 KiB).
 */
#ifndef SW_WAL_READER_H
#define SW_WAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/stage.h"
#include "wal/format.h"
#include "wal/fragment.h"
#include "wal/page.h"
#include "wal/record.h"

enum sw_wal_verdict {
	SW_WAL_COMPLETE,   /* valid to its last byte, or to a switch record; the last record may go on in the next */
	SW_WAL_ENDS_EARLY, /* valid up to valid_to, and nothing of this WAL is behind it: zeros, older WAL, nothing */
	SW_WAL_BROKEN,     /* damaged at broken_at: no recovery will pass it */
	SW_WAL_UNKNOWN,    /* a magic that this program does not know, in an otherwise sound header; nothing was read */
};

struct sw_wal_result {
	enum sw_wal_verdict verdict;
	sw_lsn valid_to;  /* where the last record that is right (or the tail) ends, padded to 8 bytes: what is behind a
	                   * switch record does not count; where it all began if there is none */
	sw_lsn broken_at; /* BROKEN: the page or record that is wrong */
	char reason[256]; /* not COMPLETE: why, in words with LSNs */

	uint16_t magic;                      /* of the first page; 0: there was none */
	const struct sw_wal_format *format;  /* NULL: unknown */
	uint64_t system_identifier;
	uint32_t segment_size, block_size;   /* as the first page says; 0: there was none */
	uint32_t first_timeline, last_timeline; /* of pages */
	sw_lsn last_timeline_from;           /* the first page that carries last_timeline */

	uint64_t record_count; /* records that begin here and were checked; not the head */
	sw_lsn first, last;    /* where the first and last of them begin; 0: there is none */
	sw_lsn first_prev;     /* xl_prev of the first; 0 too if none is before it in the whole cluster */
	bool switched;         /* the last is a switch record */
	bool overwrites_start; /* the first page says that the record before was never finished */
	sw_lsn overwritten;    /* with overwrites_start: where that record begins */

	struct sw_wal_fragment tail; /* of the record that began before; with len < whole_len it goes on behind this */
	struct sw_wal_fragment head; /* COMPLETE: of the record that goes on behind this */
	bool tail_aborted;           /* the record of the tail was never finished */
};

/* Called for each record, in order, after its CRC was found right.  The record's data is valid during the call
 * only.  Any other result than SW_OK ends the writing with it. */
typedef sw_rc (*sw_wal_record_fn)(void *ctx, const struct sw_wal_record *record, struct sw_error *err);

struct sw_wal_reader_params {
	sw_lsn start;               /* of the first byte: the begin of a segment */
	uint32_t segment_size;      /* as pg_control says */
	uint32_t timeline;          /* of the file's name; pages may carry an older one.  0: any */
	uint64_t system_identifier; /* 0: any */
	sw_wal_record_fn each;      /* or NULL */
	void *ctx;
	size_t record_max;          /* bytes of a record that `each` needs at most */
};

struct sw_wal_reader {
	struct sw_stage stage;
	struct sw_wal_reader_params params;
	struct sw_wal_result result; /* complete after finish */
	/* private */
	enum { SW_WAL_FIRST_PAGE, SW_WAL_READING, SW_WAL_PADDING, SW_WAL_AFTER_END, SW_WAL_NOT_KNOWN } state;
	size_t unit;                /* bytes that must come before something can be done */
	sw_lsn page_at;             /* address of the next page */
	uint8_t *carry;             /* the begin of a page whose end has not come yet */
	size_t carry_len;
	sw_lsn prev;                /* of the last record, if prev_known */
	bool prev_known;
	bool overwrite_expected;    /* the next record must be one that overwrites */
	sw_lsn aborted;             /* the record that it overwrites; 0: not known */
	sw_lsn ended_at;
	struct {
		enum { SW_WAL_NO_RECORD, SW_WAL_TAIL, SW_WAL_RECORD } kind;
		sw_lsn lsn;
		uint32_t timeline, whole_len, got, crc;
		uint8_t header[SW_WAL_RECORD_HEADER];
		struct sw_buf bytes; /* the first of them, header too */
	} open; /* the record that goes on in the next page */
};

/* next: takes what was written, or NULL.  It borrows params' pointers.  SW_OK, SW_SYSTEM, SW_BUG (start or size). */
sw_rc sw_wal_reader_init(struct sw_wal_reader *reader, const struct sw_wal_reader_params *params,
	struct sw_stage *next, struct sw_error *err);
void sw_wal_reader_release(struct sw_wal_reader *reader);

/* "complete", "ends early", "broken", "of unknown format" */
const char *sw_wal_verdict_name(enum sw_wal_verdict verdict);

#endif
