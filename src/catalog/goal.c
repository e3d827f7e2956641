#include "catalog/goal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US INT64_C(1000000)

/* --- times ------------------------------------------------------------------------- */

/* Exactly `digits` digits, with a value in the range. */
static bool
take_number(const char **p, int digits, int min, int max, int *ret_value)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*p)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	if (value < min || value > max)
		return false;
	*p += digits;
	*ret_value = value;
	return true;
}

static bool
take_char(const char **p, const char *any_of)
{
	if (**p == '\0' || strchr(any_of, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

static int
days_of(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool
take_date(const char **p, struct tm *tm)
{
	int year, month;

	if (!take_number(p, 4, 1970, 9999, &year) || !take_char(p, "-") ||
		!take_number(p, 2, 1, 12, &month) || !take_char(p, "-") ||
		!take_number(p, 2, 1, days_of(year, month), &tm->tm_mday))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	return true;
}

static bool
take_fraction(const char **p, int64_t *ret_us)
{
	int64_t us = 0;
	int count = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++, count++)
		us = us * 10 + (**p - '0');
	if (count == 0 || count > 6)
		return false;
	for (; count < 6; count++)
		us *= 10;
	*ret_us = us;
	return true;
}

static bool
take_clock(const char **p, struct tm *tm, int64_t *ret_us)
{
	*ret_us = 0;
	if (!take_number(p, 2, 0, 23, &tm->tm_hour) || !take_char(p, ":") ||
		!take_number(p, 2, 0, 59, &tm->tm_min))
		return false;
	if (!take_char(p, ":"))
		return true;
	return take_number(p, 2, 0, 59, &tm->tm_sec) && (!take_char(p, ".") || take_fraction(p, ret_us));
}

/* "Z", "+01", "+0130", "+01:30"; PostgreSQL's zones reach from -15:59 to +15:59. */
static bool
take_zone(const char **p, int *ret_seconds)
{
	int sign, hours, minutes = 0;

	while (take_char(p, " "))
		;
	*ret_seconds = 0;
	if (take_char(p, "Zz"))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!take_char(p, "+-") || !take_number(p, 2, 0, 15, &hours))
		return false;
	if ((take_char(p, ":") || **p != '\0') && !take_number(p, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

sw_rc
sw_goal_parse_time(const char *text, int64_t *ret_us, struct sw_error *err)
{
	struct tm tm = {0};
	const char *p = text, *what = NULL;
	int64_t us = 0;
	int zone = 0;

	if (!take_date(&p, &tm) || !take_char(&p, "T ") || !take_clock(&p, &tm, &us))
		what = "is not a date and time";
	else if (p[strspn(p, " ")] == '\0')
		what = "has no time zone, so it could be more than one moment";
	else if (!take_zone(&p, &zone) || *p != '\0')
		what = "does not end in a numeric time zone";
	if (what != NULL) {
		sw_fail(err, SW_CONFIG, "--target-time \"%s\" %s", text, what);
		return sw_hint(err, "write it like '2026-11-20 14:32:00+01' or '2026-11-20T13:32:00Z'");
	}
	*ret_us = ((int64_t)timegm(&tm) - zone) * US + us;
	return SW_OK;
}

char *
sw_goal_time(int64_t time_us, char buf[SW_GOAL_TIME_LEN])
{
	int64_t seconds = time_us / US - (time_us % US < 0);
	time_t t = (time_t)seconds;
	struct tm tm;
	size_t len;

	gmtime_r(&t, &tm);
	len = strftime(buf, SW_GOAL_TIME_LEN, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(buf + len, SW_GOAL_TIME_LEN - len, ".%06d+00", (int)(time_us - seconds * US));
	return buf;
}

/* --- goals ------------------------------------------------------------------------- */

static sw_rc
check_words(const struct sw_goal_words *words, struct sw_error *err)
{
	const struct option {
		bool given;
		const char *name;
		bool has_edge;
	} options[] = {
		{words->time != NULL, "--target-time", true},
		{words->xid != NULL, "--target-xid", true},
		{words->name != NULL, "--target-name", false},
		{words->lsn != NULL, "--target-lsn", true},
		{words->immediate, "--target-immediate", false},
	};
	const struct option *first = NULL;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (options[i].given && first != NULL) {
			sw_fail(err, SW_CONFIG, "%s and %s are two targets", first->name, options[i].name);
			return sw_hint(err, "recovery stops at one: give the one that you mean");
		}
		if (options[i].given)
			first = &options[i];
	}
	if (words->exclusive && (first == NULL || !first->has_edge)) {
		sw_fail(err, SW_CONFIG, "--target-exclusive has no meaning %s%s",
			first == NULL ? "without a target" : "with ", first == NULL ? "" : first->name);
		return sw_hint(err, "it belongs to --target-time, --target-xid or --target-lsn");
	}
	return SW_OK;
}

static sw_rc
parse_xid(const char *text, struct sw_goal *goal, struct sw_error *err)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* a 64-bit xid carries its epoch above the 32 bits that WAL records hold; 0 … 2 are no transactions */
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || (uint32_t)value < 3) {
		sw_fail(err, SW_CONFIG, "--target-xid \"%s\" is no transaction ID", text);
		return sw_hint(err, "give the number that pg_current_xact_id() showed");
	}
	goal->xid = (uint32_t)value;
	goal->xid_full = value > UINT32_MAX ? value : 0;
	return SW_OK;
}

static sw_rc
parse_name(const char *text, char ret_name[SW_GOAL_NAME_MAX], struct sw_error *err)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20)
			return sw_fail(err, SW_CONFIG, "--target-name has a control character in it");
	if (len == 0 || len >= SW_GOAL_NAME_MAX)
		return sw_fail(err, SW_CONFIG, "--target-name \"%s\" is no restore point's name: 1 to %d bytes",
			text, SW_GOAL_NAME_MAX - 1);
	memcpy(ret_name, text, len + 1);
	return SW_OK;
}

sw_rc
sw_goal_parse(const struct sw_goal_words *words, struct sw_goal *ret_goal, struct sw_error *err)
{
	struct sw_goal goal = {.kind = SW_GOAL_LATEST, .exclusive = words->exclusive};
	sw_rc rc = check_words(words, err);

	if (rc != SW_OK)
		return rc;
	if (words->immediate) {
		goal.kind = SW_GOAL_IMMEDIATE;
	} else if (words->time != NULL) {
		goal.kind = SW_GOAL_TIME;
		rc = sw_goal_parse_time(words->time, &goal.time_us, err);
	} else if (words->xid != NULL) {
		goal.kind = SW_GOAL_XID;
		rc = parse_xid(words->xid, &goal, err);
	} else if (words->name != NULL) {
		goal.kind = SW_GOAL_NAME;
		rc = parse_name(words->name, goal.name, err);
	} else if (words->lsn != NULL) {
		goal.kind = SW_GOAL_LSN;
		if (!sw_lsn_parse(words->lsn, &goal.lsn) || goal.lsn == 0) {
			sw_fail(err, SW_CONFIG, "--target-lsn \"%s\" is no LSN", words->lsn);
			rc = sw_hint(err, "write it like 16/B374D848");
		}
	}
	if (rc == SW_OK)
		*ret_goal = goal;
	return rc;
}

char *
sw_goal_text(const struct sw_goal *goal, char buf[SW_GOAL_TEXT_LEN])
{
	const char *to = goal->exclusive ? "to just before" : "to";
	char text[SW_GOAL_TIME_LEN];

	switch (goal->kind) {
	case SW_GOAL_LATEST:
		snprintf(buf, SW_GOAL_TEXT_LEN, "to the end of the WAL");
		break;
	case SW_GOAL_IMMEDIATE:
		snprintf(buf, SW_GOAL_TEXT_LEN, "to the backup's consistency");
		break;
	case SW_GOAL_TIME:
		snprintf(buf, SW_GOAL_TEXT_LEN, "%s %s", to, sw_goal_time(goal->time_us, text));
		break;
	case SW_GOAL_XID:
		snprintf(buf, SW_GOAL_TEXT_LEN, "%s transaction %u", to, goal->xid);
		break;
	case SW_GOAL_NAME:
		snprintf(buf, SW_GOAL_TEXT_LEN, "to restore point \"%s\"", goal->name);
		break;
	case SW_GOAL_LSN:
		snprintf(buf, SW_GOAL_TEXT_LEN, "%s LSN %s", to, sw_lsn_format(goal->lsn, text));
		break;
	}
	return buf;
}
