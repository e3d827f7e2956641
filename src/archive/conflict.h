/*
 * conflict.h - a file of pg_wal is to be archived, and its name is taken.
 *
 * Nothing is ever overwritten.  Two contents are the same if they are so up to the end of their WAL: what stands behind a
 * switch record, or behind the end of an unfinished segment, is whatever the file had before.  Copies that nobody has
 * to wait for are put beside what is there, as <name>.alt-<8 hexadecimal digits of the content's hash>.zst: another
 * .partial, and an unfinished segment under a whole one's name (archive_mode = always on a cascaded standby).
 */
#ifndef SW_ARCHIVE_CONFLICT_H
#define SW_ARCHIVE_CONFLICT_H

#include "archive/object.h"
#include "archive/push.h"
#include "archive/repository.h"
#include "base/error.h"

/*
 * Compare with what is there.  SW_OK: it is the same, or this one was put beside it, and is durable; which is logged.
 * SW_CONFLICT: another content, which was not touched; the words say from where on it differs, where both came from and
 * what to do.  Else it could not be told.
 */
sw_rc sw_conflict_settle(const struct sw_push_file *file, struct sw_repository *repo, struct sw_error *err);

/*
 * A history was archived: warn if its parent's WAL is archived beyond the place where it was left, which means that
 * somebody went on there.  What cannot be told is not.
 */
void sw_conflict_warn_orphans(const struct sw_push_file *history, struct sw_repository *repo);

#endif
