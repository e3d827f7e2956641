/*
 * error.h - an error is a kind plus words.
 *
 * The kind (sw_rc) drives retries and exit statuses; the words are built on the
 * way up, each level adding where it was.  Libraries never print and never exit.
 */
#ifndef SW_BASE_ERROR_H
#define SW_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sw_rc {
	SW_OK = 0,
	SW_NOT_FOUND, /* proved absent: the one who owns the name said so */
	SW_CONFLICT,  /* something else is already there */
	SW_CORRUPT,   /* bytes are not what their hash, CRC or format says */
	SW_TRANSIENT, /* may work if tried again */
	SW_DENIED,    /* credentials or permissions */
	SW_CONFIG,    /* the user must change an option or argument */
	SW_SYSTEM,    /* the operating system, PostgreSQL or the store refused */
	SW_BUG,       /* cannot happen */
} sw_rc;

struct sw_error {
	sw_rc rc;
	int64_t retry_after_ms; /* what a store asked for with SW_TRANSIENT; 0 = nothing */
	bool name_taken;        /* a put's name is taken, and what is there could not be read */
	char text[1536];        /* what, where, why; one line */
	char hint[512];         /* what to do; one line, may be empty */
};

#define SW_ERROR_INIT { .rc = SW_OK }

/* Set kind and words, clearing the hint.  err: required.  Returns rc. */
sw_rc sw_fail(struct sw_error *err, sw_rc rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The same from errno, whose text is appended: EACCES and EPERM give SW_DENIED, everything else
 * SW_SYSTEM.  ENOENT too: SW_NOT_FOUND is a claim, made only by who proved it.
 * Running out of space, quota or descriptors gets its own hint.
 */
sw_rc sw_fail_errno(struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Put words before the text, keeping kind and hint: "<words>: <text>".  Returns err->rc. */
sw_rc sw_wrap(struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Say what to do.  Returns err->rc, so that it can stand in a return. */
sw_rc sw_hint(struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The kind's name, for logs and --json: "not found", "conflict", ... */
const char *sw_rc_name(sw_rc rc);

#endif
