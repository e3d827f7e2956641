/*
 * utf8.h - what is UTF-8, as RFC 3629 has it.
 */
#ifndef SW_BASE_UTF8_H
#define SW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at p, which is NUL-terminated text; 0 if it is none. */
size_t sw_utf8_len(const char *p);

bool sw_utf8_ok(const char *text);

#endif
