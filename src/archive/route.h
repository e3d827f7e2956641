/*
 * route.h - on which timeline recovery will ask for the segments that follow.
 */
#ifndef SW_ARCHIVE_ROUTE_H
#define SW_ARCHIVE_ROUTE_H

#include <stdint.h>

#include "pg/timeline.h"

/* The history of the timeline that recovery goes to; empty: none is known. */
struct sw_route {
	uint32_t timeline;
	struct sw_timeline_history history;
};

void sw_route_release(struct sw_route *route);

/*
 * Take the history of `timeline` from pg_wal, where PostgreSQL keeps what it has read (readTimeLineHistory), unless it is
 * the one that is there.  One that is missing or damaged leaves the route empty.
 */
void sw_route_read(struct sw_route *route, const char *pgdata, uint32_t timeline);

/*
 * The timeline of `segment`, which is not before `asked`, after recovery asked for `asked` on timeline `on`.  That is the
 * route's, or still `on` where the route does not lead by there: recovery then stayed on a parent, or goes elsewhere.
 */
uint32_t sw_route_timeline(const struct sw_route *route, uint32_t segment_size, uint32_t on, uint64_t asked,
	uint64_t segment);

#endif
