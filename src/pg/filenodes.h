/*
 * filenodes.h - the files that pg_class and pg_database have now: mapped catalogs, whose files VACUUM FULL and CLUSTER
 * change (pg_filenode.map, utils/cache/relmapper.c; PostgreSQL 14 … 18).
 */
#ifndef SW_PG_FILENODES_H
#define SW_PG_FILENODES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SW_FILENODES_MAX 4096 /* databases */

struct sw_filenode {
	uint32_t database, filenode;
};

struct sw_filenodes {
	struct sw_filenode *classes; /* pg_class, where it is not in its first file any more */
	size_t class_count;
	uint32_t database_file;      /* pg_database; 0: in its first one, or not known */
};

/*
 * Read the maps of all databases, in tablespaces too.  Maps that cannot be read are passed over: they are changed
 * while the server runs, and what they tell helps a catalog only.
 * SW_OK, SW_SYSTEM (memory).  ret_filenodes: released by the caller, by free of `classes`.
 */
sw_rc sw_filenodes_read(const char *pgdata, struct sw_filenodes *ret_filenodes, struct sw_error *err);

#endif
