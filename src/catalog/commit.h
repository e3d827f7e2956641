/*
 * commit.h - what one transaction did to relations and databases, told when its COMMIT is read; deeds.h says what
 * is told.
 */
#ifndef SW_CATALOG_COMMIT_H
#define SW_CATALOG_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog/deeds.h"
#include "catalog/parts.h"
#include "catalog/relmap.h"
#include "wal/digest.h"

struct sw_commit {
	const struct sw_deeds_params *params;
	struct sw_relmap *map; /* changed: what is born, gets another file, and goes */
	uint32_t timeline;
	unsigned major;        /* of PostgreSQL */
	sw_lsn lsn;            /* where the COMMIT begins */
	int64_t time_us;
	uint64_t xid;
	bool prepared;
	const struct sw_wal_act *act; /* the COMMIT's, which `part` has too; NULL: it drops nothing */
	const struct sw_part *part;   /* all that the transaction did */
};

/* SW_OK, SW_SYSTEM, SW_CORRUPT (more relations than can be), what params->each gives. */
sw_rc sw_commit_resolve(const struct sw_commit *commit, struct sw_error *err);

#endif
