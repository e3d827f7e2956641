/*
 * conflict.h - a file of pg_wal is to be archived, and its name is taken.
 */
#ifndef SW_ARCHIVE_CONFLICT_H
#define SW_ARCHIVE_CONFLICT_H

#include "archive/object.h"
#include "archive/push.h"
#include "archive/repository.h"
#include "base/error.h"

/*
 * Compare with what is there.  SW_OK: it is the same, and durable.  SW_CONFLICT: another content, which was not touched;
 * the words say from where on it differs, and where both came from.  Else it could not be told.
 */
sw_rc sw_conflict_settle(const struct sw_push_file *file, struct sw_repository *repo, struct sw_error *err);

#endif
