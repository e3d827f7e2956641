#include "cli/cli.h"

sw_rc
sw_cmd_check(const struct sw_config *config, int *ret_status, struct sw_error *err)
{
	(void)config;
	(void)ret_status;
	return sw_fail(err, SW_BUG, "not yet");
}
