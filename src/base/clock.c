#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/interrupt.h"

static int64_t fixed_us = -1;

int64_t
sw_clock_now_us(void)
{
	struct timespec ts;

	if (fixed_us >= 0)
		return fixed_us;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
sw_clock_set(int64_t now_us)
{
	fixed_us = now_us;
}

int64_t
sw_clock_monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
sw_clock_sleep_ms(int64_t ms)
{
	int64_t end = sw_clock_monotonic_ms() + ms;

	for (;;) {
		int64_t left = end - sw_clock_monotonic_ms();
		struct timespec ts;

		if (sw_interrupt_signal() != 0)
			return false;
		if (left <= 0)
			return true;
		/* a signal may be delivered to another thread: look again soon */
		if (left > 100)
			left = 100;
		ts = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		nanosleep(&ts, NULL);
	}
}

char *
sw_clock_iso(int64_t time_us, char buf[SW_CLOCK_ISO_LEN])
{
	int64_t sec = time_us / 1000000, frac = time_us % 1000000;
	time_t t;
	struct tm tm;
	size_t len;

	if (frac < 0) {
		sec--;
		frac += 1000000;
	}
	t = (time_t)sec;
	gmtime_r(&t, &tm);
	len = strftime(buf, SW_CLOCK_ISO_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, SW_CLOCK_ISO_LEN - len, ".%06dZ", (int)frac);
	return buf;
}

bool
sw_clock_parse_iso(const char *text, int64_t *ret_us)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t frac = 0, unit = 100000, us;
	char written[SW_CLOCK_ISO_LEN];

	if (p == NULL)
		return false;
	us = (int64_t)timegm(&tm) * 1000000;
	/* strptime takes blanks, short numbers and 30 February too; what we write has none of them */
	if (strncmp(sw_clock_iso(us, written), text, (size_t)(p - text)) != 0 || written[p - text] != '.')
		return false;
	if (*p == '.') {
		if (p[1] < '0' || p[1] > '9')
			return false;
		for (p++; *p >= '0' && *p <= '9' && unit > 0; p++, unit /= 10)
			frac += (*p - '0') * unit;
	}
	if (strcmp(p, "Z") != 0)
		return false;
	*ret_us = us + frac;
	return true;
}
