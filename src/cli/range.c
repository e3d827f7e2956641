#include "cli/range.h"

#include <string.h>

#include "base/file.h"
#include "catalog/goal.h"

sw_rc
sw_range_parse_time(const char *option, const char *text, int64_t *ret_us, struct sw_error *err)
{
	if (sw_goal_parse_time(text, ret_us, err) == SW_OK)
		return SW_OK;
	sw_fail(err, SW_CONFIG, "--%s \"%s\" is not a date and time with a time zone", option, text);
	return sw_hint(err, "write it like '2026-11-20 14:32:00+01' or '2026-11-20T13:32:00Z'");
}

static sw_rc
parse_between(const char *text, int64_t *ret_since_us, int64_t *ret_until_us, struct sw_error *err)
{
	const char *slash = strchr(text, '/');
	SW_AUTO_FREE char *from = slash == NULL ? NULL : strndup(text, (size_t)(slash - text));
	sw_rc rc;

	if (slash == NULL) {
		sw_fail(err, SW_CONFIG, "--between \"%s\" is not two times with a slash between them", text);
		return sw_hint(err, "write it like '2026-11-20T13:00Z/2026-11-20T14:00Z', or use --since and --until");
	}
	if (from == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_range_parse_time("between", from, ret_since_us, err);
	return rc == SW_OK ? sw_range_parse_time("between", slash + 1, ret_until_us, err) : rc;
}

sw_rc
sw_range_read(const struct sw_config *config, int64_t *ret_since_us, int64_t *ret_until_us, struct sw_error *err)
{
	const char *since = sw_config_string(config, SW_OPT_SINCE), *until = sw_config_string(config, SW_OPT_UNTIL),
		*between = sw_config_string(config, SW_OPT_BETWEEN);
	int64_t since_us = INT64_MIN, until_us = INT64_MAX;
	sw_rc rc = SW_OK;

	if (between != NULL && (since != NULL || until != NULL)) {
		sw_fail(err, SW_CONFIG, "--between and --%s say the same", since != NULL ? "since" : "until");
		return sw_hint(err, "give one of them");
	}
	if (between != NULL)
		rc = parse_between(between, &since_us, &until_us, err);
	if (rc == SW_OK && since != NULL)
		rc = sw_range_parse_time("since", since, &since_us, err);
	if (rc == SW_OK && until != NULL)
		rc = sw_range_parse_time("until", until, &until_us, err);
	if (rc == SW_OK && until_us < since_us)
		rc = sw_fail(err, SW_CONFIG, "the time to look until is before the one to look from");
	if (rc == SW_OK && since_us != INT64_MIN)
		*ret_since_us = since_us;
	if (rc == SW_OK && until_us != INT64_MAX)
		*ret_until_us = until_us;
	return rc;
}
