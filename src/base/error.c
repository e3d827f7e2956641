#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Error texts quote servers and file names: keep them on one line and printable. */
static void
one_line(char *s)
{
	size_t len = strlen(s);

	for (char *p = s; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	while (len > 0 && s[len - 1] == ' ')
		s[--len] = '\0';
}

__attribute__((format(printf, 3, 0))) static void
set_text(struct sw_error *err, sw_rc rc, const char *fmt, va_list ap)
{
	*err = (struct sw_error){.rc = rc};
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	one_line(err->text);
}

sw_rc
sw_fail(struct sw_error *err, sw_rc rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, rc, fmt, ap);
	va_end(ap);
	return rc;
}

static void
hint_of_errno(struct sw_error *err, int e)
{
	switch (e) {
	case ENOSPC:
	case EDQUOT:
		sw_hint(err, "free some space on that file system, then run this again");
		break;
	case EROFS:
		sw_hint(err, "the file system is mounted read-only");
		break;
	case EMFILE:
	case ENFILE:
		sw_hint(err, "raise the limit on open files (ulimit -n)");
		break;
	case EACCES:
	case EPERM:
		sw_hint(err, "run as the user that owns it (for a data directory: the PostgreSQL user)");
		break;
	}
}

sw_rc
sw_fail_errno(struct sw_error *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	set_text(err, saved == EACCES || saved == EPERM ? SW_DENIED : SW_SYSTEM, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
	hint_of_errno(err, saved);
	errno = saved;
	return err->rc;
}

sw_rc
sw_wrap(struct sw_error *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text) - 3)
		return err->rc;
	snprintf(text + len, sizeof(text) - (size_t)len, ": %.*s",
		(int)(sizeof(text) - (size_t)len - 3), err->text);
	memcpy(err->text, text, sizeof(text));
	one_line(err->text);
	return err->rc;
}

sw_rc
sw_hint(struct sw_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	one_line(err->hint);
	return err->rc;
}

const char *
sw_rc_name(sw_rc rc)
{
	static const char *const names[] = {
		[SW_OK] = "ok",
		[SW_NOT_FOUND] = "not found",
		[SW_CONFLICT] = "conflict",
		[SW_CORRUPT] = "corrupt",
		[SW_TRANSIENT] = "transient",
		[SW_DENIED] = "denied",
		[SW_CONFIG] = "configuration",
		[SW_SYSTEM] = "system",
		[SW_BUG] = "bug",
	};

	return (size_t)rc < sizeof(names) / sizeof(names[0]) ? names[rc] : "unknown";
}
