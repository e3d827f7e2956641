/*
 * goal.h - the moment that a recovery shall end at, as the user says it and as PostgreSQL reads it.
 */
#ifndef SW_CATALOG_GOAL_H
#define SW_CATALOG_GOAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/names.h"

/* MAXFNAMELEN of access/xlog_internal.h: a restore point's name with its NUL */
#define SW_GOAL_NAME_MAX 64

enum sw_goal_kind {
	SW_GOAL_LATEST, /* all WAL that there is */
	SW_GOAL_IMMEDIATE,
	SW_GOAL_TIME,
	SW_GOAL_XID,
	SW_GOAL_NAME,
	SW_GOAL_LSN,
};

struct sw_goal {
	enum sw_goal_kind kind;
	int64_t time_us;
	uint32_t xid;      /* as PostgreSQL reads it */
	uint64_t xid_full; /* as it was said, if that is above 32 bits; 0: any transaction with these 32 bits */
	char name[SW_GOAL_NAME_MAX];
	sw_lsn lsn;
	bool exclusive; /* TIME, XID, LSN: stop just before it */
};

/* As on the command line; NULL: not given. */
struct sw_goal_words {
	const char *time, *xid, *name, *lsn;
	bool immediate, exclusive;
};

/* SW_OK; SW_CONFIG: more than one, or malformed. */
sw_rc sw_goal_parse(const struct sw_goal_words *words, struct sw_goal *ret_goal, struct sw_error *err);

/*
 * "2026-11-20 14:32:00.25+01", "2026-11-20T13:32Z": a date, a time to the minute at least, a zone as Z or as an
 * offset.  Microseconds at most.  SW_CONFIG otherwise: without a zone it would not say which moment it is.
 */
sw_rc sw_goal_parse_time(const char *text, int64_t *ret_us, struct sw_error *err);

/* "2026-11-20 13:32:00.250000+00", for recovery_target_time.  Returns buf. */
#define SW_GOAL_TIME_LEN 40
char *sw_goal_time(int64_t time_us, char buf[SW_GOAL_TIME_LEN]);

/* "to just before LSN 0/3000060": for people.  Returns buf. */
#define SW_GOAL_TEXT_LEN 128
char *sw_goal_text(const struct sw_goal *goal, char buf[SW_GOAL_TEXT_LEN]);

#endif
