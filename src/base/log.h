/*
 * log.h - messages beside the result: warnings, progress, retries.
 *
 * The library hands them to the sink that main set; without one they are dropped.
 */
#ifndef SW_BASE_LOG_H
#define SW_BASE_LOG_H

#include <stdbool.h>

enum sw_log_level { SW_LOG_ERROR, SW_LOG_WARNING, SW_LOG_INFO, SW_LOG_DEBUG };

/* text: one line without newline, valid during the call.  May be called from any thread. */
typedef void (*sw_log_sink)(enum sw_log_level level, const char *text);

/* Call once, before threads start.  Messages above `level` are not built. */
void sw_log_init(enum sw_log_level level, sw_log_sink sink);

/* For the calling thread alone: everything is said at the level DEBUG. */
void sw_log_quiet(bool quiet);

void sw_log(enum sw_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
