/*
 * progress.h - how far long work is: one line that is rewritten on a terminal, log lines elsewhere.
 *
 * All functions are called by one thread.  Nothing goes to standard output.
 */
#ifndef SW_CLI_PROGRESS_H
#define SW_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct sw_progress {
	const char *what; /* borrowed: "backup", "restore" */
	enum { SW_PROGRESS_LINE, SW_PROGRESS_LOG, SW_PROGRESS_OFF } mode;
	int64_t started_ms, shown_ms, sample_ms;
	uint64_t sample_done; /* when the rate was last measured */
	double rate;          /* bytes a second, smoothed over some ten seconds; 0: not known yet */
	bool line_open;
};

/* As the option `progress` says; auto: a line where standard error is a terminal. */
void sw_progress_init(struct sw_progress *p, const struct sw_config *config, const char *what);

/* Call as often as you like; it shows at most twice a second on a terminal, every ten seconds in the log. */
void sw_progress_show(struct sw_progress *p, uint64_t done, uint64_t total);

/* Take the line away.  Call before anything else is printed, and at the end, failed or not. */
void sw_progress_end(struct sw_progress *p);

/* "1.4 GiB", "820 B": for people.  Returns buf. */
#define SW_PROGRESS_SIZE_LEN 16
char *sw_progress_size(uint64_t bytes, char buf[SW_PROGRESS_SIZE_LEN]);

/* "45s", "2min 5s", "3h 20min".  Returns buf. */
#define SW_PROGRESS_TIME_LEN 32
char *sw_progress_time(int64_t seconds, char buf[SW_PROGRESS_TIME_LEN]);

#endif
