/*
 * moves.h - rows of pg_class, pg_namespace and pg_database that a transaction moved: who is called how behind its
 * COMMIT.
 *
 * A record of an UPDATE may lack the OID and a part of the name, where they are as before.  Whose row it is tells its
 * place, which is known from the last backup or from the WAL since; else the COMMIT's invalidations, where they leave
 * no choice.  Where nothing tells, those that it may be have a name that is not sure from then on.
 */
#ifndef SW_CATALOG_MOVES_H
#define SW_CATALOG_MOVES_H

#include "base/error.h"
#include "catalog/parts.h"
#include "catalog/relmap.h"
#include "wal/digest.h"

struct sw_moves {
	struct sw_relmap *map;        /* changed */
	const struct sw_part *part;   /* all that the transaction did; its births are in the map */
	const struct sw_wal_act *act; /* the COMMIT's; NULL: nothing is known of it */
	sw_lsn lsn;                   /* where the COMMIT begins */
};

/* SW_OK, SW_SYSTEM, SW_CORRUPT (more rows than can be). */
sw_rc sw_moves_apply(const struct sw_moves *moves, struct sw_error *err);

#endif
