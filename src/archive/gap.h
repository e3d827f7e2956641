/*
 * gap.h - records of WAL that was dropped on purpose: doc/FORMAT.md, "A record of dropped WAL".
 *
 * A record lies in the push spool of the server's machine first, and then in each repository, under the same name and with
 * the same bytes.  Its name tells all that a catalog needs.
 */
#ifndef SW_ARCHIVE_GAP_H
#define SW_ARCHIVE_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/buf.h"
#include "base/error.h"
#include "pg/names.h"

struct sw_config;

#define SW_GAP_MAX 16384    /* bytes of a record */
#define SW_GAP_NAME_MAX 128
#define SW_GAPS_MAX 100000  /* records that are looked at in one place: more is an error */

/* What the name says. */
struct sw_gap {
	uint32_t timeline;
	uint64_t first, last; /* segments, first <= last */
	int64_t time_us;      /* whole seconds */
	uint8_t hash[4];      /* of the bytes */
};

struct sw_gap_record {
	struct sw_gap gap;
	uint64_t system_identifier;
	uint32_t segment_size;
	char host[256], pgdata[1024]; /* where it was dropped */
	char why[512];
	uint64_t queue, queue_max;    /* bytes */
};

/* False if it is no record's name. */
bool sw_gap_name_parse(const char *name, uint32_t segment_size, struct sw_gap *ret_gap);
/* Returns buf. */
char *sw_gap_name_format(const struct sw_gap *gap, uint32_t segment_size, char buf[SW_GAP_NAME_MAX]);

/*
 * The bytes of a record, into a buffer that was initialised; fills gap.hash, and cuts gap.time_us to the second.
 * SW_OK, SW_SYSTEM.
 */
sw_rc sw_gap_encode(struct sw_gap_record *record, struct sw_buf *buf, struct sw_error *err);

/*
 * gap: by its name.  Bytes may come from anywhere.
 * SW_OK; SW_CORRUPT: not what the name says, or of another cluster than system_identifier; SW_CONFIG: a newer format.
 */
sw_rc sw_gap_decode(const struct sw_gap *gap, uint64_t system_identifier, uint32_t segment_size, const void *data,
	size_t len, struct sw_gap_record *ret_record, struct sw_error *err);

/* SW_CONFLICT is for "enough": then the listing returns SW_OK. */
typedef sw_rc (*sw_gap_each)(void *ctx, const struct sw_gap *gap, struct sw_error *err);

/* --- in a repository ------------------------------------------------------------------ */

/* Every record's name, by timeline and segment; timeline 0: of all.  One listing.  SW_OK, what the store or `each` gives. */
sw_rc sw_gap_list(struct sw_repository *repo, uint32_t timeline, sw_gap_each each, void *ctx, struct sw_error *err);

/* SW_OK, SW_NOT_FOUND: no record speaks of the segment.  *ret_gap: the first that does. */
sw_rc sw_gap_find(struct sw_repository *repo, uint32_t timeline, uint64_t segment, struct sw_gap *ret_gap,
	struct sw_error *err);

sw_rc sw_gap_get(struct sw_repository *repo, const struct sw_gap *gap, struct sw_gap_record *ret_record,
	struct sw_error *err);

/* --- on the server's machine ------------------------------------------------------------- */

/* <push-spool>/gaps/<system identifier>, of a server whose pg_wal this is.  The caller frees it.  NULL: no memory. */
char *sw_gap_dir(const struct sw_config *config, const char *pg_wal, uint64_t system_identifier);

/* The same of a data directory. */
char *sw_gap_dir_of(const struct sw_config *config, const char *pgdata, uint64_t system_identifier);

/* In no order.  A directory that is not there has none. */
sw_rc sw_gap_list_local(const char *dir, uint32_t segment_size, sw_gap_each each, void *ctx, struct sw_error *err);

/* Only a file of who runs this counts.  SW_OK, SW_NOT_FOUND, SW_CORRUPT, SW_CONFIG, SW_DENIED, SW_SYSTEM. */
sw_rc sw_gap_read_local(const char *dir, const struct sw_gap *gap, uint64_t system_identifier, uint32_t segment_size,
	struct sw_buf *ret_bytes, struct sw_gap_record *ret_record, struct sw_error *err);

/* As sw_gap_find. */
sw_rc sw_gap_find_local(const char *dir, uint32_t segment_size, uint32_t timeline, uint64_t segment, struct sw_gap *ret_gap,
	struct sw_error *err);

/* --- words -------------------------------------------------------------------------------- */

/* "dropped on purpose by push-queue-max at 2026-11-20 11:38:31Z".  Returns buf. */
#define SW_GAP_TEXT_LEN 96
char *sw_gap_text(int64_t time_us, char buf[SW_GAP_TEXT_LEN]);

#endif
