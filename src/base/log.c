#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum sw_log_level max_level;
static sw_log_sink sink;
static _Thread_local bool thread_quiet;

void
sw_log_init(enum sw_log_level level, sw_log_sink new_sink)
{
	max_level = level;
	sink = new_sink;
}

void
sw_log_quiet(bool quiet)
{
	thread_quiet = quiet;
}

void
sw_log(enum sw_log_level level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	if (thread_quiet)
		level = SW_LOG_DEBUG;
	if (sink == NULL || level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	sink(level, text);
}
