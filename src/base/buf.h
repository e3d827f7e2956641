/*
 * buf.h - a growing byte buffer with a limit given at init.
 */
#ifndef SW_BASE_BUF_H
#define SW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sw_buf {
	uint8_t *data; /* NUL-terminated behind len, so text needs no copy */
	size_t len;    /* bytes in use */
	size_t cap;
	size_t max;    /* growth beyond it is SW_CORRUPT: limits guard against hostile input */
};

void sw_buf_init(struct sw_buf *buf, size_t max);
void sw_buf_release(struct sw_buf *buf);

/* Forget the content, keep the memory. */
void sw_buf_reset(struct sw_buf *buf);

/* Make room for `extra` more bytes.  SW_OK, SW_CORRUPT (limit), SW_SYSTEM (memory). */
sw_rc sw_buf_reserve(struct sw_buf *buf, size_t extra, struct sw_error *err);

/* The same results as sw_buf_reserve; on failure the content is unchanged. */
sw_rc sw_buf_append(struct sw_buf *buf, const void *data, size_t len, struct sw_error *err);
sw_rc sw_buf_printf(struct sw_buf *buf, struct sw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define SW_AUTO_BUF __attribute__((cleanup(sw_buf_release))) struct sw_buf

#endif
