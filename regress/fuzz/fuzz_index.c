/*
 * An index object: the input is its header, a line, and the first of the lines behind it; the others are added and all
 * is put into frames here.  And once as it is.
 */
#include <inttypes.h>
#include <zstd.h>

#include "archive/index.h"
#include "archive/index_object.h"
#include "fuzz.h"

#define GROUP 1
#define FIRST ((uint64_t)GROUP * SW_INDEX_GROUP)

static struct sw_repository repo;

static void
check_items(const struct sw_stretch *s, uint64_t first, uint64_t last)
{
	uint64_t next = first;

	MUST(s->first == first && s->last == last);
	for (size_t i = 0; i < s->count; i++) {
		const struct sw_stretch_item *item = &s->items[i];

		MUST(item->first >= first && item->last <= last && item->first <= item->last);
		MUST(!item->has_digest || (item->digest.head == NULL && item->digest.tail == NULL));
		if (item->boundary)
			MUST(item->first < next && item->last == next);
		else
			next = item->last + 1;
	}
	MUST(next == last + 1);
	MUST(!s->begin.known || !s->begin.through || s->begin.middle != NULL);
	MUST(s->end.head != NULL || s->end.middle == NULL);
}

static void
read_both_ways(const void *data, size_t len)
{
	struct sw_index_object_place place = {.repo = &repo, .timeline = 1, .group = GROUP};
	struct sw_stretch brief = {0}, left = {0}, right = {0};
	struct sw_error err = SW_ERROR_INIT;
	bool is_brief = false;
	sw_rc rc = sw_index_object_brief(&place, data, len, &is_brief, &brief, &err);

	if (rc != SW_OK)
		must_be_told(rc, &err);
	else if (is_brief)
		check_items(&brief, FIRST, FIRST + SW_INDEX_GROUP - 1);
	err = (struct sw_error)SW_ERROR_INIT;
	rc = sw_index_object_full(&place, data, len, FIRST, FIRST + 9, &left, &err);
	if (rc != SW_OK) {
		must_be_told(rc, &err);
	} else {
		check_items(&left, FIRST, FIRST + 9);
		MUST(sw_index_object_full(&place, data, len, FIRST + 10, FIRST + SW_INDEX_GROUP - 1, &right, &err) == SW_OK);
		check_items(&right, FIRST + 10, FIRST + SW_INDEX_GROUP - 1);
		/* edges that come from the store meet those of others */
		left.end = brief.end;
		brief.end = (struct sw_stretch_end){0};
		right.begin.known = brief.begin.known;
		right.begin.through = brief.begin.through;
		right.begin.middle = brief.begin.middle;
		right.begin.tail = brief.begin.tail;
		right.begin.first = brief.begin.first;
		right.begin.first_prev = brief.begin.first_prev;
		brief.begin = (struct sw_stretch_begin){0};
		MUST(sw_stretch_join(&left, &right, &repo.reg, &err) == SW_OK);
	}
	sw_stretch_release(&brief);
	sw_stretch_release(&left);
	sw_stretch_release(&right);
}

/* The input's lines, and one for each segment that has none. */
static char *
all_lines(const uint8_t *data, size_t size, size_t *ret_len)
{
	size_t len = size, room = size + SW_INDEX_GROUP * (size_t)128;
	char *lines = malloc(room);
	uint64_t next = FIRST;

	MUST(lines != NULL);
	if (size > 0)
		memcpy(lines, data, size);
	for (size_t i = 0; i + 11 < size; i++)
		next += memcmp(data + i, "{\"segment\":", 11) == 0;
	for (; next < FIRST + SW_INDEX_GROUP; next++)
		len += (size_t)snprintf(lines + len, room - len, "{\"segment\":\"0000000100000001%08" PRIX64 "\",\"digest\":"
			"{\"verdict\":\"complete\",\"start\":\"1/%08" PRIX64 "\",\"valid_to\":\"1/%08" PRIX64 "\"}}\n", next - FIRST,
			(next - FIRST) << 24, (next - FIRST) << 24);
	*ret_len = len;
	return lines;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size == 0 ? NULL : memchr(data, '\n', size);
	size_t head = newline == NULL ? size : (size_t)(newline - data) + 1, lines_len, room, len;
	char *lines = all_lines(data + head, size - head, &lines_len);
	uint8_t *object;

	sw_repository_assume(NULL, "main", UINT64_C(7700000000000000001), 16 << 20, &repo);
	repo.reg.block_size = repo.reg.wal_block_size = 8192;
	read_both_ways(data, size);
	room = ZSTD_compressBound(head) + ZSTD_compressBound(lines_len);
	object = malloc(room);
	MUST(object != NULL);
	len = ZSTD_compress(object, room, data, head, 1);
	MUST(!ZSTD_isError(len));
	len += ZSTD_compress(object + len, room - len, lines, lines_len, 1);
	MUST(len <= room);
	read_both_ways(object, len);
	free(lines);
	free(object);
	return 0;
}
