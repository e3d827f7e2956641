/*
 * messages.h - what the push path says, in the server's log.
 *
 * PostgreSQL may be called in the archiver's own thread alone, and the push path speaks in others too: its lines are
 * queued, and written by whoever is in the right thread.  What comes again within a minute, but for numbers, is
 * counted instead: an outage must not fill a log.
 */
#ifndef SEAWALL_ARCHIVE_MESSAGES_H
#define SEAWALL_ARCHIVE_MESSAGES_H

#include "base/error.h"
#include "base/log.h"

/* Queue what the library says up to this level; between calls of the push path. */
void sw_messages_listen(enum sw_log_level level);

/* Write what is queued.  The archiver's thread only; may throw an ERROR (memory). */
void sw_messages_write(void);

/* Write an error, one line, hint and all.  The same. */
void sw_messages_report(const struct sw_error *err);

/* Write that a file is left for another time, and why.  The same. */
void sw_messages_give_up(const char *path, const char *reason);

#endif
