/*
 * spill.h - an array of records of one size in an unlinked temporary file.
 *
 * It is as long as the work needs, without taking memory that the kernel cannot take back.  It goes with
 * the process, killed or not.
 */
#ifndef SW_BACKUP_SPILL_H
#define SW_BACKUP_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sw_spill {
	int fd;
	size_t record_len;
	uint64_t count; /* records */
	void *map;      /* NULL until sw_spill_map */
};

/* In directory `dir`.  SW_OK, SW_DENIED, SW_SYSTEM. */
sw_rc sw_spill_init(struct sw_spill *spill, const char *dir, size_t record_len, struct sw_error *err);
void sw_spill_release(struct sw_spill *spill); /* of a zeroed one too */

/* Forget all records.  Not after sw_spill_map. */
sw_rc sw_spill_reset(struct sw_spill *spill, struct sw_error *err);

/* *ret_index: of the first.  Not thread-safe, not after sw_spill_map.  SW_OK, SW_SYSTEM (disk full). */
sw_rc sw_spill_append(struct sw_spill *spill, const void *records, uint64_t count,
	uint64_t *ret_index, struct sw_error *err);

/* Copy records out; safe in several threads.  A range that is not there is SW_BUG. */
sw_rc sw_spill_read(const struct sw_spill *spill, uint64_t index, uint64_t count, void *records,
	struct sw_error *err);

/* Map all records for reading, writing and sorting; spill->map stays NULL if there are none. */
sw_rc sw_spill_map(struct sw_spill *spill, struct sw_error *err);

/* Sort a mapped array in place, without memory of its own. */
void sw_spill_sort(struct sw_spill *spill, int (*compare)(const void *a, const void *b));

#endif
