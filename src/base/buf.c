#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
sw_buf_init(struct sw_buf *buf, size_t max)
{
	*buf = (struct sw_buf){.max = max};
}

void
sw_buf_release(struct sw_buf *buf)
{
	free(buf->data);
	*buf = (struct sw_buf){.max = buf->max};
}

void
sw_buf_reset(struct sw_buf *buf)
{
	buf->len = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

sw_rc
sw_buf_reserve(struct sw_buf *buf, size_t extra, struct sw_error *err)
{
	size_t need, cap;
	uint8_t *data;

	if (extra > buf->max || buf->len > buf->max - extra)
		return sw_fail(err, SW_CORRUPT, "more than %zu bytes where no more are allowed",
			buf->max);
	need = buf->len + extra + 1;
	if (need <= buf->cap)
		return SW_OK;
	cap = buf->cap < 256 ? 256 : buf->cap;
	while (cap < need)
		cap += cap / 2;
	if (cap > buf->max + 1)
		cap = buf->max + 1;
	data = realloc(buf->data, cap);
	if (data == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory (%zu bytes)", cap);
	data[buf->len] = '\0';
	buf->data = data;
	buf->cap = cap;
	return SW_OK;
}

sw_rc
sw_buf_append(struct sw_buf *buf, const void *data, size_t len, struct sw_error *err)
{
	sw_rc rc = sw_buf_reserve(buf, len, err);

	if (rc != SW_OK)
		return rc;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return SW_OK;
}

sw_rc
sw_buf_printf(struct sw_buf *buf, struct sw_error *err, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len;
	sw_rc rc;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_buf_append(buf, text, (size_t)len, err);
	free(text);
	return rc;
}
