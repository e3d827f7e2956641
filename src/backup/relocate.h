/*
 * relocate.h - where the tablespaces of a backup go.
 */
#ifndef SW_BACKUP_RELOCATE_H
#define SW_BACKUP_RELOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sw_relocated {
	uint32_t oid;
	char *from, *to;
};

struct sw_relocate {
	struct sw_relocated *items; /* in the order of sw_relocate_add */
	size_t count;
};

/* A tablespace of the backup: "pg_tblspc/OID" and the link's target.  SW_OK, SW_CORRUPT, SW_SYSTEM. */
sw_rc sw_relocate_add(struct sw_relocate *r, const char *path, const char *target, struct sw_error *err);

/*
 * Give every tablespace its new place.  map: "OLD=NEW", OLD a path or an OID, NEW absolute.
 * in_place: those not mapped stay where they were.
 * SW_OK; SW_CONFIG: some are not mapped (all are named, with the options to give), a mapping is malformed
 * or is for no tablespace of the backup.
 */
sw_rc sw_relocate_resolve(struct sw_relocate *r, const char *const *map, size_t count, bool in_place,
	struct sw_error *err);
void sw_relocate_release(struct sw_relocate *r);

/* A link at `path`, relative to the data directory, names something outside it. */
bool sw_relocate_leads_out(const char *path, const char *target);

#endif
