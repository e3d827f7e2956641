#include "base/utf8.h"

#include <stdint.h>

size_t
sw_utf8_len(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* longer than need be, surrogates, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool
sw_utf8_ok(const char *text)
{
	while (*text != '\0') {
		size_t len = sw_utf8_len(text);

		if (len == 0)
			return false;
		text += len;
	}
	return true;
}
