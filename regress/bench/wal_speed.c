/*
 * How fast WAL is read: wal_speed FILE...  Segments in order, read into memory first; one core, the best of some
 * rounds.  Prints one line: what, GB/s, and what was read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "pg/names.h"
#include "wal/meaning.h"
#include "wal/reader.h"

#define ROUNDS 7
#define PIECE (512 * 1024)

struct segment {
	struct sw_wal_name name;
	uint32_t size;
	struct sw_buf bytes;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const struct sw_error *err)
{
	fprintf(stderr, "%s\n", err->text);
	exit(1);
}

static uint64_t
read_segment(const struct segment *s, struct sw_wal_meaning *meaning)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_reader_params params = {
		.start = s->name.segment * s->size, .segment_size = s->size, .timeline = s->name.timeline,
		.each = meaning != NULL ? sw_wal_meaning_record : NULL, .ctx = meaning,
		.record_max = SW_WAL_MEANING_RECORD,
	};
	struct sw_wal_reader *reader = malloc(sizeof(*reader));
	uint64_t count;

	if (reader == NULL || sw_wal_reader_init(reader, &params, NULL, &err) != SW_OK)
		die(&err);
	for (size_t at = 0; at < s->bytes.len; at += PIECE) {
		size_t n = s->bytes.len - at < PIECE ? s->bytes.len - at : PIECE;

		if (sw_stage_write(&reader->stage, s->bytes.data + at, n, &err) != SW_OK)
			die(&err);
	}
	sw_stage_finish(&reader->stage, &err);
	if (reader->result.verdict != SW_WAL_COMPLETE)
		fprintf(stderr, "%s: %s\n", sw_wal_verdict_name(reader->result.verdict), reader->result.reason);
	count = reader->result.record_count;
	sw_wal_reader_release(reader);
	free(reader);
	return count;
}

static uint64_t
validate(const struct segment *s)
{
	return read_segment(s, NULL);
}

static uint64_t
understand(const struct segment *s)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_meaning meaning;
	struct sw_wal_meaning_params params = {.block_size = 8192, .changes_max = 4096, .changes_min = 1000};
	uint64_t count;

	if (sw_wal_meaning_init(&meaning, &params, &err) != SW_OK)
		die(&err);
	count = read_segment(s, &meaning);
	sw_wal_meaning_release(&meaning);
	return count;
}

static void
measure(const char *what, uint64_t (*read)(const struct segment *), const struct segment *segments, int count)
{
	double best = 1e9;
	uint64_t records = 0, bytes = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now();

		records = bytes = 0;
		for (int i = 0; i < count; i++) {
			records += read(&segments[i]);
			bytes += segments[i].bytes.len;
		}
		if (now() - start < best)
			best = now() - start;
	}
	printf("%s: %.2f GB/s (%d segments, %.0f MB, %llu records)\n", what, (double)bytes / best / 1e9, count,
		(double)bytes / 1e6, (unsigned long long)records);
}

int
main(int argc, char **argv)
{
	struct segment *segments = calloc((size_t)argc, sizeof(*segments));
	struct sw_error err = SW_ERROR_INIT;

	for (int i = 1; i < argc; i++) {
		struct segment *s = &segments[i - 1];
		const char *slash = strrchr(argv[i], '/');

		if (sw_file_read(argv[i], 1 << 30, &s->bytes, &err) != SW_OK)
			die(&err);
		s->size = (uint32_t)s->bytes.len;
		if (!sw_wal_name_parse(slash == NULL ? argv[i] : slash + 1, s->size, &s->name)) {
			fprintf(stderr, "%s is no segment\n", argv[i]);
			return 1;
		}
	}
	if (argc < 2)
		return 2;
	measure("validation alone", validate, segments, argc - 1);
	measure("validation with meaning", understand, segments, argc - 1);
	for (int i = 1; i < argc; i++)
		sw_buf_release(&segments[i - 1].bytes);
	free(segments);
	return 0;
}
