/*
 * outage.h - that a repository is down is remembered in the ledger's directory, so that not each push waits for it.
 *
 * One small file a repository, written by rename, never fsynced.  It is believed for nothing but not waiting: what is
 * odd, of another configuration, or from a clock that was turned back is no note, and losing it costs one wait.
 */
#ifndef SW_ARCHIVE_OUTAGE_H
#define SW_ARCHIVE_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/ledger.h"
#include "base/error.h"

#define SW_OUTAGE_REASON_LEN 400

struct sw_outage {
	int64_t since_us; /* 0: none */
	int64_t tried_us; /* when it was seen to be down last */
	int64_t next_us;  /* not tried before */
	char reason[SW_OUTAGE_REASON_LEN];
};

/* repo: its number in the configuration.  False: nothing is noted. */
bool sw_outage_read(const struct sw_ledger *ledger, unsigned repo, struct sw_outage *ret_outage);

/* SW_OK; SW_DENIED, SW_SYSTEM. */
sw_rc sw_outage_write(const struct sw_ledger *ledger, unsigned repo, const struct sw_outage *outage,
	struct sw_error *err);
void sw_outage_remove(const struct sw_ledger *ledger, unsigned repo);

/* It was tried now and is down: begins or goes on.  The next try is half a minute away at first, five minutes later. */
void sw_outage_prolong(struct sw_outage *outage, const char *reason);

/* Not to be tried yet. */
bool sw_outage_rests(const struct sw_outage *outage);

#endif
