/*
 * measure.h - what restores from this repository took: doc/FORMAT.md, "A restore that was made".
 *
 * <prefix>restore/<UTC>-<hex>.json.  Told, and used for estimates alone.
 */
#ifndef SW_CATALOG_MEASURE_H
#define SW_CATALOG_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/repository.h"
#include "base/error.h"

struct sw_measure {
	const char *label;   /* of the backup */
	uint64_t bytes;      /* that were written; not those that an unfinished restore had left */
	int64_t elapsed_ms;  /* without the plan */
	unsigned workers;
	int64_t finished_us;
};

/* SW_OK; what the store gives: a restore does not fail because of it. */
sw_rc sw_measure_put(struct sw_repository *repo, const struct sw_measure *measure, struct sw_error *err);

struct sw_measure_estimate {
	unsigned restores;   /* that it is made from; 0: nothing was measured yet */
	bool same_host;      /* as this */
	double bytes_per_s;
};

/* From the newest restores, those of this host if there are any.  What cannot be read is passed over.
 * SW_OK; what the store gives. */
sw_rc sw_measure_read(struct sw_repository *repo, struct sw_measure_estimate *ret_estimate, struct sw_error *err);

#endif
