/* The module itself is included, so that the table form is tested on any machine. */
#include "base/crc32c.c"

#include <stdlib.h>

#include "../tap.h"

static void
test_crc(void)
{
	uint8_t data[2048];
	unsigned wrong = 0;

	tap_is_int(sw_crc32c(0, "123456789", 9), 0xe3069283, "the published check value");
	tap_is_int((uint32_t)~crc32c_table(~0u, (const uint8_t *)"123456789", 9), 0xe3069283,
		"and by tables");
	tap_is_int(sw_crc32c(0, NULL, 0), 0, "of nothing");
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(random() >> 8);
	for (size_t at = 0; at < 16; at++)
		for (size_t len = 0; at + len <= sizeof(data); len++)
			wrong += sw_crc32c(0, data + at, len) != (uint32_t)~crc32c_table(~0u, data + at, len);
	tap_is_int(wrong, 0, "both forms agree at every alignment and length");
	for (size_t cut = 0; cut <= sizeof(data); cut++)
		wrong += sw_crc32c(sw_crc32c(0, data, cut), data + cut, sizeof(data) - cut) !=
			sw_crc32c(0, data, sizeof(data));
	tap_is_int(wrong, 0, "in two pieces as in one");
	for (size_t cut = 0; cut <= sizeof(data); cut++)
		wrong += sw_crc32c_combine(sw_crc32c(0, data, cut), sw_crc32c(0, data + cut, sizeof(data) - cut),
			sizeof(data) - cut) != sw_crc32c(0, data, sizeof(data));
	tap_is_int(wrong, 0, "and combined from the CRCs of the pieces");
}

int
main(void)
{
	test_crc();
	return tap_done();
}
