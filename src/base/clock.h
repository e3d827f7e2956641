/*
 * clock.h - one clock, which a test may set.
 *
 * Times are int64_t microseconds since the Unix epoch, UTC (suffix _us);
 * durations are milliseconds (suffix _ms).
 */
#ifndef SW_BASE_CLOCK_H
#define SW_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Wall clock; what sw_clock_set fixed, or the system's. */
int64_t sw_clock_now_us(void);

/* For tests: fix the wall clock; a negative value gives it back. */
void sw_clock_set(int64_t now_us);

/* Monotonic milliseconds, for deadlines and rates.  Never set by tests. */
int64_t sw_clock_monotonic_ms(void);

/* Sleep, but not past an interrupt (base/interrupt.h).  Returns false if interrupted. */
bool sw_clock_sleep_ms(int64_t ms);

/* "2026-11-20T10:54:00.123456Z"; buf: at least SW_CLOCK_ISO_LEN bytes.  Returns buf. */
#define SW_CLOCK_ISO_LEN 32
char *sw_clock_iso(int64_t time_us, char buf[SW_CLOCK_ISO_LEN]);

/* Read what sw_clock_iso wrote (fraction optional).  False if it is anything else. */
bool sw_clock_parse_iso(const char *text, int64_t *ret_us);

#endif
