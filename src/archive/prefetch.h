/*
 * prefetch.h - one background process for each recovery that keeps segments ready in the spool (archive/fetch_spool.h).
 *
 * It follows what recovery asks for, with several threads and kept connections: on the timeline that was asked for last, and
 * across forks by the history that recovery was given (archive/route.h).
 * The window (how many segments ahead) doubles each time that recovery had to wait, up to fetch-ahead and as far as
 * fetch-spool-max and the disk allow.  It never waits for what is not in the repository: it asks again when recovery has
 * come that far, and now and then.
 *
 * It ends by itself, and leaves an empty spool, when recovery ends (pg_control, postmaster.pid), when nothing was asked for
 * during fetch-idle, and on SIGTERM.  If it is killed, the next one cleans up, and until then each call works.
 */
#ifndef SW_ARCHIVE_PREFETCH_H
#define SW_ARCHIVE_PREFETCH_H

#include <stddef.h>

struct sw_config;

struct sw_prefetch_call {
	const char *file, *path; /* %f, %p */
	char *title;             /* memory of the command line, for what ps shows; NULL: none */
	size_t title_len;
};

/*
 * Call before threads start and before the file is fetched.  Notes what is asked for, and starts the process unless it
 * runs, is not wanted, or `path` is not recovery's own.  What fails is logged; fetching does not need it.
 */
void sw_prefetch_start(const struct sw_config *config, const struct sw_prefetch_call *call);

/*
 * Call after the file was fetched: a history tells on which timelines recovery will go on.
 */
void sw_prefetch_learn(const struct sw_config *config, const struct sw_prefetch_call *call);

/*
 * How far ahead, as a thing of its own.  limit: what fetch-ahead and fetch-spool-max allow, 1 at least.
 */
struct sw_prefetch_window {
	unsigned size, limit;
};
void sw_prefetch_window_init(struct sw_prefetch_window *w, unsigned limit, unsigned workers);
void sw_prefetch_window_waited(struct sw_prefetch_window *w); /* recovery had to */
void sw_prefetch_window_ended(struct sw_prefetch_window *w);  /* the repository has no more */
void sw_prefetch_window_full(struct sw_prefetch_window *w);   /* the disk is */

#endif
