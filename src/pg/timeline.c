#include "pg/timeline.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct line {
	const char *p, *end;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void
skip_spaces(struct line *line)
{
	while (line->p < line->end && is_space(*line->p))
		line->p++;
}

static bool
take_timeline(struct line *line, uint32_t *ret_timeline)
{
	const char *start = line->p;
	uint64_t value = 0;

	for (; line->p < line->end && *line->p >= '0' && *line->p <= '9'; line->p++) {
		value = value * 10 + (uint64_t)(*line->p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*ret_timeline = (uint32_t)value;
	return line->p > start && value > 0;
}

static bool
take_lsn(struct line *line, sw_lsn *ret_lsn)
{
	char text[SW_LSN_LEN];
	size_t len = 0;

	while (line->p < line->end && !is_space(*line->p)) {
		if (len == sizeof(text) - 1 || *line->p == '\0')
			return false;
		text[len++] = *line->p++;
	}
	text[len] = '\0';
	return sw_lsn_parse(text, ret_lsn) && *ret_lsn != 0;
}

/* "<timeline> <switch LSN> <reason>", the reason being anything. */
static bool
parse_line(struct line line, uint32_t *ret_timeline, sw_lsn *ret_end)
{
	if (!take_timeline(&line, ret_timeline) || line.p == line.end || !is_space(*line.p))
		return false;
	skip_spaces(&line);
	return take_lsn(&line, ret_end);
}

static sw_rc
append_entry(struct sw_timeline_history *history, uint32_t timeline, sw_lsn end, struct sw_error *err)
{
	struct sw_timeline_entry *entries;

	if (history->count == SW_TIMELINE_MAX)
		return sw_fail(err, SW_CORRUPT, "more than %d ancestors", SW_TIMELINE_MAX);
	entries = realloc(history->entries, (history->count + 1) * sizeof(*entries));
	if (entries == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	entries[history->count++] = (struct sw_timeline_entry){.timeline = timeline, .end = end};
	history->entries = entries;
	return SW_OK;
}

static sw_rc
parse_lines(uint32_t own, const char *text, size_t len, struct sw_timeline_history *history,
	struct sw_error *err)
{
	const char *p = text, *text_end = text + len;
	uint32_t timeline, last = 0;
	sw_lsn lsn;

	for (unsigned number = 1; p < text_end; number++) {
		const char *newline = memchr(p, '\n', (size_t)(text_end - p));
		struct line line = {p, newline != NULL ? newline : text_end};
		sw_rc rc;

		p = newline != NULL ? newline + 1 : text_end;
		skip_spaces(&line);
		if (line.p == line.end || *line.p == '#')
			continue;
		if (!parse_line(line, &timeline, &lsn))
			return sw_fail(err, SW_CORRUPT,
				"line %u is not a timeline and the LSN where it was left", number);
		if (timeline <= last)
			return sw_fail(err, SW_CORRUPT,
				"line %u: timeline %" PRIu32 " does not follow %" PRIu32, number,
				timeline, last);
		if (timeline >= own)
			return sw_fail(err, SW_CORRUPT,
				"line %u: timeline %" PRIu32 " is no ancestor of %" PRIu32, number,
				timeline, own);
		rc = append_entry(history, timeline, lsn, err);
		if (rc != SW_OK)
			return rc;
		last = timeline;
	}
	if (history->count == 0)
		return sw_fail(err, SW_CORRUPT, "no ancestor in it");
	return SW_OK;
}

/*
 * A recovery to before its target timeline's own start makes a history in which the LSNs fall: the
 * new timeline left the older one earlier.  PostgreSQL looks from the newest entry backwards, so the
 * entries between are empty.
 */
static void
make_contiguous(struct sw_timeline_history *history)
{
	for (size_t i = history->count - 1; i-- > 0;) {
		struct sw_timeline_entry *entry = &history->entries[i];

		if (i + 2 < history->count && entry[1].end < entry->end)
			entry->end = entry[1].end;
		entry[1].begin = entry->end;
	}
}

sw_rc
sw_timeline_history_parse(uint32_t timeline, const char *text, size_t len,
	struct sw_timeline_history *ret_history, struct sw_error *err)
{
	struct sw_timeline_history history = {0};
	sw_rc rc = SW_OK;

	if (timeline == 0)
		return sw_fail(err, SW_CORRUPT, "0 is no timeline");
	if (text != NULL && timeline > 1)
		rc = parse_lines(timeline, text, len, &history, err);
	if (rc == SW_OK)
		rc = append_entry(&history, timeline, 0, err);
	if (rc != SW_OK) {
		sw_timeline_history_release(&history);
		return sw_wrap(err, "history of timeline %" PRIu32, timeline);
	}
	make_contiguous(&history);
	*ret_history = history;
	return SW_OK;
}

void
sw_timeline_history_release(struct sw_timeline_history *history)
{
	free(history->entries);
	*history = (struct sw_timeline_history){0};
}

uint32_t
sw_timeline_at(const struct sw_timeline_history *history, sw_lsn lsn)
{
	for (size_t i = history->count; i-- > 0;) {
		const struct sw_timeline_entry *entry = &history->entries[i];

		if (lsn >= entry->begin && (entry->end == 0 || lsn < entry->end))
			return entry->timeline;
	}
	return 0;
}

uint32_t
sw_timeline_of_segment(const struct sw_timeline_history *history, uint64_t segment, uint32_t segment_size)
{
	for (size_t i = history->count; i-- > 0;)
		if (history->entries[i].begin / segment_size <= segment)
			return history->entries[i].timeline;
	return 0;
}

const struct sw_timeline_entry *
sw_timeline_find(const struct sw_timeline_history *history, uint32_t timeline)
{
	for (size_t i = 0; i < history->count; i++)
		if (history->entries[i].timeline == timeline)
			return &history->entries[i];
	return NULL;
}
