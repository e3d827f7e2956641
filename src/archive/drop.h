/*
 * drop.h - push-queue-max: WAL that is given up on purpose, so that an outage does not fill the server's disk.
 *
 * A segment is dropped (PostgreSQL is told that it is archived) only if the option is set, more than that waits in
 * archive_status, the repositories were tried and what kept them from taking it was an outage, and a record of it is durable
 * in the push spool (archive/gap.h).  Conflicts, damage and wrong configuration drop nothing, nor does an interrupt.
 *
 * The queue can be longer than the limit by what is written while the repositories are tried (store-deadline): one record
 * covers all that is beyond, so that the calls that follow need not try again each.
 */
#ifndef SW_ARCHIVE_DROP_H
#define SW_ARCHIVE_DROP_H

#include <stdbool.h>

#include "archive/push.h"
#include "base/error.h"

/*
 * Whether more waits than push-queue-max allows.  Then one repository is enough, whatever push-quorum says: WAL is dropped only
 * when none takes it.  file: opened; with `ready`.
 */
bool sw_drop_is_due(const struct sw_push_file *file);

/*
 * Whether a record that was made just now, when the repositories were down, covers the file, and the queue still is beyond
 * the limit: then it is dropped, which is logged.  file: opened; with `ready`, which is in archive_status.
 */
bool sw_drop_goes_on(const struct sw_push_file *file);

/*
 * The file was not archived, for the reason in err.  SW_OK: it is dropped, which is logged; else err as it is.
 * A crash leaves no record, or the whole one; one of a segment that was not dropped after all does no harm.
 */
sw_rc sw_drop_instead(const struct sw_push_file *file, struct sw_error *err);

/*
 * Put what records there are into the repositories that are open, and remove those that all have.  What fails is logged, and
 * tried again by the next push.
 */
void sw_drop_tell(const struct sw_push_file *file, struct sw_push_lane *lane);

#endif
