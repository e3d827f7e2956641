/*
 * tap.h - unit tests that speak TAP.
 */
#ifndef SW_REGRESS_TAP_H
#define SW_REGRESS_TAP_H

#include <stdbool.h>

/* Count and print one result; returns `pass`. */
bool tap_ok(bool pass, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Equal text (NULL equals NULL); prints both when not. */
bool tap_is(const char *got, const char *want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Equal integers; prints both when not. */
bool tap_is_int(long long got, long long want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A remark behind '#'. */
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Print the plan; return it from main: 0 if all passed. */
int tap_done(void);

#endif
