#include "archive/route.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"

#define HISTORY_MAX (1024 * 1024)

void
sw_route_release(struct sw_route *route)
{
	sw_timeline_history_release(&route->history);
	*route = (struct sw_route){0};
}

void
sw_route_read(struct sw_route *route, const char *pgdata, uint32_t timeline)
{
	SW_AUTO_FREE char *path = NULL;
	struct sw_error ignored;
	SW_AUTO_BUF text;

	sw_buf_init(&text, 0);
	if (route->timeline == timeline)
		return;
	sw_route_release(route);
	if (asprintf(&path, "%s/pg_wal/%08" PRIX32 ".history", pgdata, timeline) >= 0 &&
		sw_file_read(path, HISTORY_MAX, &text, &ignored) == SW_OK &&
		sw_timeline_history_parse(timeline, (const char *)text.data, text.len, &route->history, &ignored) == SW_OK)
		route->timeline = timeline;
}

uint32_t
sw_route_timeline(const struct sw_route *route, uint32_t segment_size, uint32_t on, uint64_t asked, uint64_t segment)
{
	if (sw_timeline_of_segment(&route->history, asked, segment_size) != on)
		return on;
	return sw_timeline_of_segment(&route->history, segment, segment_size);
}
