#include "tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int count, failed;

__attribute__((format(printf, 2, 0))) static bool
result(bool pass, const char *fmt, va_list ap)
{
	count++;
	if (!pass)
		failed++;
	printf("%sok %d - ", pass ? "" : "not ", count);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	return pass;
}

bool
tap_ok(bool pass, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result(pass, fmt, ap);
	va_end(ap);
	return pass;
}

bool
tap_is(const char *got, const char *want, const char *fmt, ...)
{
	bool pass = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;
	va_list ap;

	va_start(ap, fmt);
	result(pass, fmt, ap);
	va_end(ap);
	if (!pass)
		tap_note("     got: %s\n#    want: %s", got != NULL ? got : "(null)",
			want != NULL ? want : "(null)");
	return pass;
}

bool
tap_is_int(long long got, long long want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		tap_note("     got: %lld\n#    want: %lld", got, want);
	return got == want;
}

void
tap_note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

int
tap_done(void)
{
	printf("1..%d\n", count);
	return failed == 0 ? 0 : 1;
}
