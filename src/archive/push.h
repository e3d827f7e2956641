/*
 * push.h - archive one file of pg_wal in every configured repository.
 */
#ifndef SW_ARCHIVE_PUSH_H
#define SW_ARCHIVE_PUSH_H

#include "base/error.h"

struct sw_config;

/*
 * path: what PostgreSQL gives as %p, relative to the current directory or absolute.  pg_control is read
 * from the pgdata option, else from the current directory.
 *
 * SW_OK: the file is durable in all repositories, by this call or an earlier one.
 * SW_CONFLICT: a repository holds another content under this name; it was not touched.
 * SW_CORRUPT: the file is not what its name says, or its WAL is damaged (push-validate).  Everything else: not archived, try again.
 * A crash leaves nothing visible that is not whole.
 */
sw_rc sw_push(const struct sw_config *config, const char *path, struct sw_error *err);

#endif
