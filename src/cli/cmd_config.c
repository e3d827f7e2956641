/*
 * seawall config - print the effective configuration.
 */
#include <stdio.h>

#include "cli/cli.h"

sw_rc
sw_cmd_config(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	sw_rc rc = sw_config_print(config, stdout, sw_config_bool(config, SW_OPT_JSON), err);

	if (rc == SW_OK)
		*ret_status = 0;
	return rc;
}
