/*
 * With a timeline and a history file: print the entries (for 020_pg.t).  Without: unit tests.
 */
#include "pg/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/file.h"

/* The text without a NUL behind it, so that reading too far shows under a sanitizer. */
static sw_rc
parse(uint32_t timeline, const char *text, size_t len, struct sw_timeline_history *ret_history,
	struct sw_error *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	sw_rc rc;

	memcpy(copy, text, len);
	rc = sw_timeline_history_parse(timeline, copy, len, ret_history, err);
	free(copy);
	return rc;
}

static const struct {
	const char *name;
	uint32_t timeline;
	const char *text;
	const char *want; /* "timeline:begin-end …" in hexadecimal */
} good[] = {
	{"no file", 5, NULL, "5:0-0"},
	{"timeline 1", 1, "anything", "1:0-0"},
	{"one ancestor", 2, "1\t0/3000000\tno recovery target specified\n", "1:0-3000000 2:3000000-0"},
	{"two ancestors", 4, "1\t0/3000000\tx\n3\t1/0\tbefore 2026-01-01\n",
		"1:0-3000000 3:3000000-100000000 4:100000000-0"},
	{"comments, blank lines, spaces, no last newline", 3, "# was 1\n\n  \n  1 0/10 r\n \t2\t0/20",
		"1:0-10 2:10-20 3:20-0"},
	{"carriage returns", 2, "1\t0/10\tx\r\n", "1:0-10 2:10-0"},
	{"no reason", 2, "1\t0/10\n", "1:0-10 2:10-0"},
	{"equal switch LSNs", 3, "1\t0/10\ta\n2\t0/10\tb\n", "1:0-10 2:10-10 3:10-0"},
	{"recovery that stopped before its target timeline began", 3, "1\t0/30\ta\n2\t0/20\tb\n",
		"1:0-20 2:20-20 3:20-0"},
	{"the same over more generations", 5, "1\t0/10\ta\n2\t0/30\tb\n3\t0/40\tc\n4\t0/20\td\n",
		"1:0-10 2:10-20 3:20-20 4:20-20 5:20-0"},
};

static void
describe(const struct sw_timeline_history *history, char *text, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < history->count && len < size; i++) {
		const struct sw_timeline_entry *e = &history->entries[i];

		len += (size_t)snprintf(text + len, size - len, "%s%u:%llx-%llx", i > 0 ? " " : "", e->timeline,
			(unsigned long long)e->begin, (unsigned long long)e->end);
	}
}

static int
print_history(const char *timeline, const char *path)
{
	struct sw_timeline_history history;
	struct sw_error err = SW_ERROR_INIT;
	char text[512] = "";
	struct sw_buf buf;
	sw_rc rc = sw_file_read(path, 1 << 20, &buf, &err);

	if (rc == SW_OK)
		rc = sw_timeline_history_parse((uint32_t)atoi(timeline), (char *)buf.data, buf.len, &history, &err);
	if (rc != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	describe(&history, text, sizeof(text));
	puts(text);
	sw_timeline_history_release(&history);
	sw_buf_release(&buf);
	return 0;
}

static void
test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sw_timeline_history history;
		struct sw_error err = SW_ERROR_INIT;
		char text[512] = "";
		sw_rc rc = good[i].text == NULL
			? sw_timeline_history_parse(good[i].timeline, NULL, 0, &history, &err)
			: parse(good[i].timeline, good[i].text, strlen(good[i].text), &history, &err);

		if (!tap_ok(rc == SW_OK, "read: %s", good[i].name)) {
			tap_note("%s", err.text);
			continue;
		}
		describe(&history, text, sizeof(text));
		tap_is(text, good[i].want, "entries: %s", good[i].name);
		sw_timeline_history_release(&history);
	}
}

#define TEXT(s) s, sizeof(s) - 1

static const struct {
	const char *name;
	uint32_t timeline;
	const char *text;
	size_t len;
} bad[] = {
	{"timeline 0", 0, TEXT("1\t0/10\tx\n")},
	{"an empty file", 2, TEXT("")},
	{"comments only", 2, TEXT("# nothing\n\n")},
	{"IDs that fall", 4, TEXT("2\t0/10\ta\n1\t0/20\tb\n")},
	{"an ID twice", 4, TEXT("2\t0/10\ta\n2\t0/20\tb\n")},
	{"its own ID", 2, TEXT("1\t0/10\ta\n2\t0/20\tb\n")},
	{"a younger ID", 2, TEXT("3\t0/10\ta\n")},
	{"ancestor 0", 2, TEXT("0\t0/10\ta\n")},
	{"LSN 0", 2, TEXT("1\t0/0\ta\n")},
	{"no LSN", 2, TEXT("1\n")},
	{"no LSN and no newline", 2, TEXT("1")},
	{"no LSN behind a tab", 2, TEXT("1\t\n")},
	{"half an LSN", 2, TEXT("1\t0/\tx\n")},
	{"an LSN cut by the end", 2, TEXT("1\t0")},
	{"an endless LSN", 2, TEXT("1\t0/1000000000000000000000000000000000000000000\tx\n")},
	{"words", 2, TEXT("hello world\n")},
	{"a negative ID", 2, TEXT("-1\t0/10\ta\n")},
	{"an ID beyond 32 bits", 2, TEXT("4294967297\t0/10\ta\n")},
	{"an endless ID", 2, TEXT("99999999999999999999999999999999999999999\t0/10\ta\n")},
	{"a NUL in the LSN", 2, TEXT("1\t0/1\0000\ta\n")},
	{"a NUL in the ID", 2, TEXT("1\0\t0/10\ta\n")},
	{"rubbish in a later line", 3, TEXT("1\t0/10\ta\nx\n")},
	{"a hexadecimal ID", 20, TEXT("0x1\t0/10\ta\n")},
};

static void
test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sw_timeline_history history = {.count = 77};
		struct sw_error err = SW_ERROR_INIT;

		tap_is_int(parse(bad[i].timeline, bad[i].text, bad[i].len, &history, &err), SW_CORRUPT,
			"refused: %s", bad[i].name);
		tap_ok(history.count == 77, "output untouched: %s", bad[i].name);
	}
}

static void
test_limit(void)
{
	for (int extra = -1; extra <= 0; extra++) {
		int lines = SW_TIMELINE_MAX + extra;
		struct sw_timeline_history history;
		struct sw_error err = SW_ERROR_INIT;
		char *text = malloc((size_t)lines * 32);
		size_t len = 0;
		sw_rc rc;

		for (int i = 1; i <= lines; i++)
			len += (size_t)sprintf(text + len, "%d\t0/%X\tx\n", i, i);
		rc = parse((uint32_t)lines + 1, text, len, &history, &err);
		free(text);
		tap_is_int(rc, extra < 0 ? SW_OK : SW_CORRUPT, "%d ancestors", lines);
		if (rc == SW_OK)
			sw_timeline_history_release(&history);
	}
}

static void
test_lookup(void)
{
	static const struct {
		sw_lsn lsn;
		uint32_t timeline;
	} cases[] = {
		{0, 1}, {0xf, 1}, {0x10, 3}, {0x1f, 3}, {0x20, 4}, {0x21, 4}, {UINT64_MAX, 4},
	};
	struct sw_timeline_history history;
	struct sw_error err = SW_ERROR_INIT;

	parse(4, TEXT("1\t0/10\ta\n2\t0/10\tb\n3\t0/20\tc\n"), &history, &err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_is_int(sw_timeline_at(&history, cases[i].lsn), cases[i].timeline, "timeline at %llx",
			(unsigned long long)cases[i].lsn);
	tap_ok(sw_timeline_find(&history, 3) == &history.entries[2], "an ancestor is found");
	tap_ok(sw_timeline_find(&history, 5) == NULL, "a stranger is not");
	sw_timeline_history_release(&history);
	tap_ok(sw_timeline_at(&history, 1) == 0 && sw_timeline_find(&history, 1) == NULL,
		"nothing is found in a released history");
}

/* Segments of 16 bytes: 2 begins in the middle of segment 2, 3 with segment 5, 4 leaves 2 before 3 began. */
static void
test_segments(void)
{
	static const struct {
		uint64_t segment;
		uint32_t timeline;
	} cases[] = {{0, 1}, {1, 1}, {2, 2}, {3, 2}, {4, 4}, {5, 4}, {UINT64_MAX, 4}};
	struct sw_timeline_history history;
	struct sw_error err = SW_ERROR_INIT;

	parse(4, TEXT("1\t0/28\ta\n2\t0/50\tb\n3\t0/40\tc\n"), &history, &err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_is_int(sw_timeline_of_segment(&history, cases[i].segment, 16), cases[i].timeline, "timeline of segment %llu",
			(unsigned long long)cases[i].segment);
	sw_timeline_history_release(&history);
	tap_is_int(sw_timeline_of_segment(&history, 1, 16), 0, "none in a released history");
}

int
main(int argc, char **argv)
{
	if (argc == 3)
		return print_history(argv[1], argv[2]);
	test_good();
	test_bad();
	test_limit();
	test_lookup();
	test_segments();
	return tap_done();
}
