/*
 * range.h - the stretch of time that --since, --until and --between ask for.
 */
#ifndef SW_CLI_RANGE_H
#define SW_CLI_RANGE_H

#include <stdint.h>

#include "config/config.h"

/* option: its name, for the error.  SW_OK, SW_CONFIG. */
sw_rc sw_range_parse_time(const char *option, const char *text, int64_t *ret_us, struct sw_error *err);

/* An end that is not given is left as it is.  SW_OK, SW_CONFIG, SW_SYSTEM. */
sw_rc sw_range_read(const struct sw_config *config, int64_t *ret_since_us, int64_t *ret_until_us, struct sw_error *err);

#endif
