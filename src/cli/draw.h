/*
 * draw.h - what can be recovered as a drawing for a terminal: a row for each timeline, all of one scale.
 */
#ifndef SW_CLI_DRAW_H
#define SW_CLI_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "catalog/windows.h"

struct sw_draw {
	const struct sw_windows *windows;
	const struct sw_inventory *inventory;
	uint32_t segment_size;
	unsigned width;             /* columns of the terminal */
	bool utf8;                  /* else ASCII */
	size_t rows_max;            /* the newest timelines; 0: all */
	int64_t since_us, until_us; /* what is drawn; INT64_MIN, INT64_MAX: all that there is */
};

/* Columns of the terminal that standard output is: COLUMNS, else what the terminal says, else 80. */
unsigned sw_draw_width(void);

/* Whether the locale's characters are UTF-8. */
bool sw_draw_utf8(void);

/*
 * Scaled by time; by LSN where no times are known.  Nothing is drawn if there is neither WAL nor a backup.
 * SW_OK, SW_SYSTEM.
 */
sw_rc sw_draw(const struct sw_draw *draw, FILE *out, struct sw_error *err);

#endif
