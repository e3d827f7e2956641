/*
 * "list run|each SEGMENT-SIZE SEED FILE...": print every record of these segments of one timeline path, one reader for
 * all or a reader for each (with what two share joined), in pieces of random lengths, and the verdicts (040_wal.t).
 * Without arguments: unit tests.
 */
#include "wal/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"
#include "base/file.h"
#include "wal_maker.h"

#define MIB (1024 * 1024)

/* --- listing ------------------------------------------------------------------------ */

static sw_rc
print_record(void *ctx, const struct sw_wal_record *r, struct sw_error *err)
{
	sw_lsn overwritten;

	(void)ctx;
	(void)err;
	if (sw_wal_record_overwrites(r->data, r->data_len, &overwritten))
		printf("# unfinished %" PRIX64 "\n", overwritten);
	printf("%" PRIX64 " %" PRIX64 " %" PRIX64 " %u %u %u\n", r->lsn, r->end, r->prev, r->total_len, r->xid,
		r->rmgr);
	return SW_OK;
}

static size_t
random_piece(size_t left)
{
	static const size_t sizes[] = {1, 7, 40, 100, 8191, 8192, 8193, 65536, 524288};
	size_t n = sizes[(size_t)random() % (sizeof(sizes) / sizeof(sizes[0]))];

	return n < left ? n : left;
}

static sw_rc
feed(struct sw_wal_reader *reader, const uint8_t *p, size_t len, bool whole, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (size_t n; rc == SW_OK && len > 0; p += n, len -= n) {
		n = whole ? len : random_piece(len);
		rc = sw_stage_write(&reader->stage, p, n, err);
	}
	return rc;
}

static void
print_result(const char *name, const struct sw_wal_result *r)
{
	printf("# %s: %s to %" PRIX64 " magic=%04X timelines=%u-%u records=%" PRIu64 " head=%u/%u tail=%u/%u%s%s%s %s\n",
		name, sw_wal_verdict_name(r->verdict), r->valid_to, r->magic, r->first_timeline, r->last_timeline,
		r->record_count, r->head.len, r->head.whole_len, r->tail.len, r->tail.whole_len,
		r->switched ? " switched" : "", r->overwrites_start ? " overwrites" : "",
		r->tail_aborted ? " aborted" : "", r->reason);
}

#define TAILS_MAX 1024 /* a record of 1 GiB in segments of 1 MiB */

struct list {
	bool run;
	uint32_t segment_size;
	struct sw_wal_reader reader;
	bool reading;
	struct sw_wal_fragment head;
	struct sw_wal_fragment *tails;
	const struct sw_wal_fragment **tail_of;
	size_t tail_count;
};

/* Print the record whose head a segment before had, if this segment has its end. */
static int
join(struct list *l, const struct sw_wal_result *r, sw_lsn start)
{
	SW_AUTO_BUF bytes = {0};
	struct sw_wal_record record;
	struct sw_error err = SW_ERROR_INIT;

	if (r->tail_aborted || (r->overwrites_start && r->overwritten == l->head.lsn))
		l->head.len = 0;
	if (l->head.len != 0) {
		if (l->tail_count == TAILS_MAX || r->tail.len == 0)
			return 1;
		l->tails[l->tail_count] = r->tail;
		l->tail_of[l->tail_count] = &l->tails[l->tail_count];
		l->tail_count++;
	}
	if (l->head.len != 0 && r->tail.len == r->tail.whole_len) {
		sw_buf_init(&bytes, 16384);
		if (sw_wal_fragment_join(&(struct sw_wal_joint){.head = &l->head, .tails = l->tail_of,
			.tail_count = l->tail_count, .segment_begin = start, .block_size = r->block_size, .format = r->format}, &bytes,
			&record, &err) != SW_OK) {
			printf("# %s\n", err.text);
			return 1;
		}
		print_record(NULL, &record, &err);
		l->head.len = 0;
	}
	if (r->head.len != 0) {
		l->head = r->head;
		l->tail_count = 0;
	}
	return 0;
}

static sw_rc
list_file(struct list *l, const char *path, struct sw_error *err)
{
	SW_AUTO_BUF bytes = {0};
	struct sw_wal_name name;
	const char *slash = strrchr(path, '/');
	struct sw_wal_reader_params params = {.segment_size = l->segment_size, .each = print_record, .record_max = 1000};
	sw_rc rc = sw_file_read(path, 1 << 30, &bytes, err);

	if (rc != SW_OK)
		return rc;
	if (!sw_wal_name_parse(slash == NULL ? path : slash + 1, l->segment_size, &name))
		return sw_fail(err, SW_CONFIG, "%s is no segment", path);
	params.start = name.segment * l->segment_size;
	params.timeline = l->run ? 0 : name.timeline;
	if (!l->reading)
		rc = sw_wal_reader_init(&l->reader, &params, NULL, err);
	l->reading = l->run;
	if (rc == SW_OK)
		rc = feed(&l->reader, bytes.data, bytes.len, false, err);
	if (l->run || rc != SW_OK)
		return rc;
	rc = sw_stage_finish(&l->reader.stage, err);
	if (join(l, &l->reader.result, params.start) != 0)
		rc = sw_fail(err, SW_CORRUPT, "%s does not go on", path);
	print_result(path, &l->reader.result);
	sw_wal_reader_release(&l->reader);
	return rc;
}

static int
list(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;
	struct list *l = calloc(1, sizeof(*l));

	if (argc < 6 || l == NULL)
		return 2;
	l->tails = calloc(TAILS_MAX, sizeof(*l->tails));
	l->tail_of = calloc(TAILS_MAX, sizeof(const struct sw_wal_fragment *));
	l->run = strcmp(argv[2], "run") == 0;
	l->segment_size = (uint32_t)strtoul(argv[3], NULL, 10);
	srandom((unsigned)strtoul(argv[4], NULL, 10));
	for (int i = 5; i < argc; i++)
		if (list_file(l, argv[i], &err) != SW_OK) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
	if (l->run) {
		sw_stage_finish(&l->reader.stage, &err);
		print_result("all", &l->reader.result);
		sw_wal_reader_release(&l->reader);
	}
	free(l->tails);
	free(l->tail_of);
	free(l);
	return 0;
}

/* --- what was written is what is read ------------------------------------------------ */

struct seen {
	uint64_t count;
	sw_lsn lsn[4000], end[4000];
	uint32_t crc[4000]; /* of the record's bytes */
	uint8_t pad[4000];  /* bytes between the record and `end` */
	uint32_t fail_at;   /* give an error at this record; 0: never */
};

static sw_rc
see_record(void *ctx, const struct sw_wal_record *r, struct sw_error *err)
{
	struct seen *seen = ctx;

	if (seen->count < 4000) {
		seen->lsn[seen->count] = r->lsn;
		seen->end[seen->count] = r->end;
		seen->crc[seen->count] = sw_crc32c(0, r->data, r->data_len);
	}
	seen->count++;
	return seen->fail_at != 0 && seen->count == seen->fail_at ? sw_fail(err, SW_CONFLICT, "enough") : SW_OK;
}

static struct sw_wal_reader_params
params_of(const struct wal_maker *w, struct seen *seen)
{
	return (struct sw_wal_reader_params){
		.start = w->start, .segment_size = w->segment, .timeline = w->timeline,
		.system_identifier = MAKER_SYSTEM_ID, .each = seen != NULL ? see_record : NULL, .ctx = seen,
		.record_max = 8 * MIB,
	};
}

/* The verdict about all bytes; the reader's result is copied. */
static struct sw_wal_result *
read_all(const struct wal_maker *w, size_t len, const struct sw_wal_reader_params *params, bool whole)
{
	static struct sw_wal_result result;
	struct sw_wal_reader *reader = malloc(sizeof(*reader));
	struct sw_error err = SW_ERROR_INIT;

	if (sw_wal_reader_init(reader, params, NULL, &err) != SW_OK ||
		feed(reader, w->bytes, len, whole, &err) != SW_OK || sw_stage_finish(&reader->stage, &err) != SW_OK)
		tap_ok(false, "reading: %s", err.text);
	result = reader->result;
	sw_wal_reader_release(reader);
	free(reader);
	return &result;
}

static struct sw_wal_result *
check(const struct wal_maker *w)
{
	struct sw_wal_reader_params params = params_of(w, NULL);

	return read_all(w, w->len, &params, true);
}

static uint32_t
random_len(uint32_t longest)
{
	switch (random() % 8) {
	case 0:
		return 24;
	case 1:
		return 24 + (uint32_t)random() % longest;
	case 2:
		return 24 + (uint32_t)random() % 9000;
	default:
		return 24 + (uint32_t)random() % 200;
	}
}

/* Records of all lengths until the memory is full; what each is goes to `want`. */
static void
fill(struct wal_maker *w, uint32_t longest, struct seen *want)
{
	bool whole = true;

	want->count = 0;
	while (whole && want->count < 4000) {
		uint32_t len = random_len(longest);
		uint8_t *data = malloc(len);
		sw_lsn prev = w->prev;

		for (uint32_t i = 0; i < len; i++)
			data[i] = (uint8_t)random();
		whole = maker_add(w, len, (uint32_t)want->count, 10, 0, data + 24);
		maker_seal(data, len, (uint32_t)want->count, prev, 10, 0);
		want->lsn[want->count] = w->last;
		want->end[want->count] = w->at;
		want->pad[want->count] = (uint8_t)(-len & 7);
		want->crc[want->count] = sw_crc32c(0, data, len);
		free(data);
		if (whole)
			want->count++;
	}
}

static bool
same(const struct seen *got, const struct seen *want)
{
	if (got->count != want->count)
		return false;
	for (uint64_t i = 0; i < got->count; i++)
		if (got->lsn[i] != want->lsn[i] || got->end[i] != want->end[i] || got->crc[i] != want->crc[i])
			return false;
	return true;
}

/* A reader for each segment, and what they share joined: the same records. */
static bool
same_one_by_one(const struct wal_maker *w, const struct seen *want)
{
	static struct seen got;
	static struct sw_wal_fragment head, tails[64];
	const struct sw_wal_fragment *tail_of[64];
	struct wal_maker part = *w;
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_record record;
	size_t count = 0;
	bool ok = true;
	uint64_t at = 0;

	head.len = 0;
	for (; ok && part.start < w->start + w->len; part.start += w->segment, part.bytes += w->segment) {
		struct sw_wal_reader_params params = params_of(&part, &got);
		struct sw_wal_result *r;
		SW_AUTO_BUF bytes;

		got.count = 0;
		r = read_all(&part, w->segment, &params, false);
		sw_buf_init(&bytes, 16384);
		if (head.len > 0) {
			tails[count] = r->tail;
			tail_of[count] = &tails[count];
			count++;
			if (r->tail.len == r->tail.whole_len) {
				ok = sw_wal_fragment_join(&(struct sw_wal_joint){.head = &head, .tails = tail_of,
					.tail_count = count, .segment_begin = part.start, .block_size = w->block},
					&bytes, &record, &err) == SW_OK && record.lsn == want->lsn[at] &&
					record.end == want->end[at];
				ok = ok && (record.data_len < record.total_len ||
					sw_crc32c(0, record.data, record.data_len) == want->crc[at]);
				at++;
				head.len = 0;
			}
		}
		for (uint64_t i = 0; ok && i < got.count; i++, at++)
			ok = got.lsn[i] == want->lsn[at] && got.end[i] == want->end[at] && got.crc[i] == want->crc[at];
		if (r->head.len > 0) {
			head = r->head;
			count = 0;
		}
		ok = ok && r->verdict == SW_WAL_COMPLETE;
	}
	return ok && at == want->count;
}

static void
test_all_shapes(void)
{
	static const struct {
		uint32_t block, segment;
		unsigned segments;
		uint32_t longest;
		sw_lsn start;
	} shapes[] = {
		{8192, MIB, 3, 100000, 16 * MIB},
		{8192, MIB, 6, 4 * MIB, 0x3ffff00000},
		{1024, MIB, 2, 20000, MIB},
		{2048, 2 * MIB, 2, 50000, 4 * MIB},
		{4096, 2 * MIB, 2, 50000, 4 * MIB},
		{16384, 8 * MIB, 2, 100000, 8 * MIB},
		{65536, MIB, 3, 200000, MIB},
		{32768, 16 * MIB, 1, 6 * MIB, 0x7fffffff000000},
	};
	static struct seen want, got;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct wal_maker w;
		struct sw_wal_reader_params params;
		struct sw_wal_result *r;

		maker_init(&w, shapes[i].block, shapes[i].segment, shapes[i].segments, shapes[i].start);
		fill(&w, shapes[i].longest, &want);
		params = params_of(&w, &got);
		for (int whole = 0; whole < 2; whole++) {
			got.count = 0;
			r = read_all(&w, w.len, &params, whole);
			tap_ok(same(&got, &want) && r->verdict == SW_WAL_COMPLETE,
				"pages of %u, segments of %u: every record, in %s", shapes[i].block, shapes[i].segment,
				whole ? "one piece" : "pieces");
		}
		tap_is_int(r->record_count, (long long)want.count, "and their count");
		tap_is_int(r->block_size, shapes[i].block, "and the size of pages");
		tap_ok(r->last == want.lsn[want.count - 1] && r->first == want.lsn[0], "the first and the last");
		tap_ok(r->valid_to == want.end[want.count - 1], "valid up to the end of the last");
		tap_ok(same_one_by_one(&w, &want), "segment by segment, with what they share joined");
		maker_release(&w);
	}
}

/* --- ends -------------------------------------------------------------------------------- */

static void
add_some(struct wal_maker *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		maker_add(w, 24 + (uint32_t)random() % 300, 7, 10, 0, NULL);
}

static void
is_result(const struct sw_wal_result *r, enum sw_wal_verdict verdict, sw_lsn valid_to, const char *words,
	const char *name)
{
	tap_is(sw_wal_verdict_name(r->verdict), sw_wal_verdict_name(verdict), "%s", name);
	tap_is_int((long long)r->valid_to, (long long)valid_to, "%s: how far it is valid", name);
	tap_ok(strstr(r->reason, words) != NULL, "%s: %s", name, r->reason);
}

/* Older WAL, as a recycled file has it: from offset `from` on, with the addresses of another segment. */
static void
recycle(struct wal_maker *w, size_t from)
{
	struct wal_maker old;

	maker_init(&old, w->block, w->segment, 1, w->start - 5 * (sw_lsn)w->segment);
	add_some(&old, 3000);
	while (maker_add(&old, 700, 7, 10, 0, NULL))
		;
	memcpy(w->bytes + from, old.bytes + from, w->len - from);
	maker_release(&old);
}

static size_t
next_page(const struct wal_maker *w)
{
	return (size_t)(w->at - w->start + w->block - 1) / w->block * w->block;
}

static void
test_ends(void)
{
	struct sw_wal_result *r;
	struct wal_maker w;
	sw_lsn end;

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	add_some(&w, 1000);
	end = w.at;
	is_result(check(&w), SW_WAL_ENDS_EARLY, end, "zeros from 0/", "zeros");
	recycle(&w, next_page(&w));
	is_result(check(&w), SW_WAL_ENDS_EARLY, end, "zeros from 0/", "a recycled file");
	recycle(&w, (size_t)(w.at - w.start));
	is_result(check(&w), SW_WAL_ENDS_EARLY, end, "", "a recycled file written to the middle of a page");
	maker_release(&w);

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	add_some(&w, 1000);
	end = w.at;
	maker_switch(&w);
	memset(w.bytes + next_page(&w) - 100, 0xee, 100);
	r = check(&w);
	is_result(r, SW_WAL_COMPLETE, end + 24, "", "a switch record");
	tap_ok(r->switched && r->last == end, "is named, and where it is");
	maker_release(&w);

	maker_init(&w, 8192, MIB, 2, 64 * MIB);
	add_some(&w, 1000);
	maker_switch(&w);
	add_some(&w, 1000);
	end = w.at;
	maker_switch(&w);
	r = check(&w);
	is_result(r, SW_WAL_COMPLETE, end + 24, "", "two segments, each with a switch");
	tap_is_int((long long)r->record_count, 2002, "all records of both");
	maker_release(&w);

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	add_some(&w, 100);
	while (w.at % w.block != 0)
		maker_add(&w, w.block - (uint32_t)(w.at % w.block) >= 224 ? 200 : w.block - (uint32_t)(w.at % w.block),
			7, 10, 0, NULL);
	end = w.at;
	is_result(check(&w), SW_WAL_ENDS_EARLY, end, "no page at 0/", "the last record fills its page");
	maker_add(&w, 20000, 7, 10, 0, NULL);
	memset(w.bytes + next_page(&w) - w.block, 0, w.block);
	is_result(check(&w), SW_WAL_ENDS_EARLY, end, "cuts off the record at 0/", "a record cut off at a page");
	maker_release(&w);
}

static void
test_fragments_of_nothing(void)
{
	struct sw_wal_result *r;
	struct wal_maker w, part;

	maker_init(&w, 8192, MIB, 4, 64 * MIB);
	add_some(&w, 10);
	maker_add(&w, 5 * MIB / 2, 7, 10, 0, NULL);
	add_some(&w, 10);
	part = w;
	part.start += MIB;
	part.bytes += MIB;
	part.len = MIB;
	r = check(&part);
	is_result(r, SW_WAL_COMPLETE, part.start + MIB, "", "a segment within one record");
	tap_is_int((long long)r->record_count, 0, "no record begins in it");
	tap_is_int(r->tail.len, MIB - 40 - 127 * 24, "all of it is the tail");
	tap_ok(r->tail.whole_len > r->tail.len && r->head.len == 0, "which goes on");
	part.bytes[MIB - 1] ^= 1;
	tap_ok(check(&part)->tail.crc != 0 && check(&part)->verdict == SW_WAL_COMPLETE,
		"its bytes are judged when they are joined");
	maker_release(&w);
}

static void
test_join_refuses(void)
{
	static struct sw_wal_fragment head, tail, bad;
	const struct sw_wal_fragment *tails[2] = {&tail, &tail};
	struct sw_wal_joint joint = {.head = &head, .tails = tails, .tail_count = 1, .segment_begin = 65 * MIB,
		.block_size = 8192};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_wal_record record;
	struct wal_maker w, part;
	SW_AUTO_BUF bytes;

	sw_buf_init(&bytes, 16384);
	maker_init(&w, 8192, MIB, 2, 64 * MIB);
	while (w.at < w.start + MIB - 5000)
		add_some(&w, 1);
	maker_add(&w, 20000, 7, 10, 0, NULL);
	part = w;
	part.len = MIB;
	head = check(&part)->head;
	part.start += MIB;
	part.bytes += MIB;
	tail = check(&part)->tail;
	tap_is_int(sw_wal_fragment_join(&joint, &bytes, &record, &err), SW_OK, "a head and its tail");
	tap_is_int((long long)record.data_len, head.bytes_len + tail.bytes_len, "with the bytes that were kept");
	for (int what = 0; what < 8; what++) {
		static const char *const names[] = {"the tail's CRC", "the head's CRC", "the tail's length",
			"the head's length", "what was kept", "the header", "two tails", "what the tail lacks"};

		struct sw_wal_fragment *f = what == 0 || what == 2 || what == 7 ? &tail : &head;

		bad = *f;
		if (what < 2)
			f->crc ^= 1;
		else if (what < 4)
			f->len--;
		else if (what == 4)
			f->bytes_len = SW_WAL_FRAGMENT_BYTES + 1;
		else if (what == 5)
			f->bytes[17] ^= 1;
		else if (what == 7)
			f->whole_len++;
		joint.tail_count = what == 6 ? 2 : 1;
		tap_is_int(sw_wal_fragment_join(&joint, &bytes, &record, &err), SW_CORRUPT, "wrong: %s (%s)",
			names[what], err.text);
		*f = bad;
	}
	maker_release(&w);
}

/* The header of a record in two segments. */
static void
test_header_in_two(void)
{
	for (uint32_t in_head = 8; in_head <= 24; in_head += 8) {
		struct sw_wal_fragment *head = malloc(sizeof(*head)), *tail = malloc(sizeof(*tail));
		const struct sw_wal_fragment *tails[] = {tail};
		struct sw_error err = SW_ERROR_INIT;
		struct sw_wal_record record = {0};
		struct wal_maker w, part;
		SW_AUTO_BUF bytes;

		sw_buf_init(&bytes, 16384);
		maker_init(&w, 8192, MIB, 2, 64 * MIB);
		while (w.at - w.start < MIB - 6000)
			add_some(&w, 1);
		maker_add(&w, w.block - (uint32_t)(w.at % w.block) - in_head, 7, 10, 0, NULL);
		maker_add(&w, 20000, 99, 10, 0, NULL);
		part = w;
		part.len = MIB;
		*head = check(&part)->head;
		part.start += MIB;
		part.bytes += MIB;
		*tail = check(&part)->tail;
		tap_is_int(head->len, in_head, "a record whose first segment has %u bytes of it", in_head);
		tap_ok(sw_wal_fragment_join(&(struct sw_wal_joint){.head = head, .tails = tails, .tail_count = 1,
			.segment_begin = 65 * MIB, .block_size = 8192}, &bytes, &record, &err) == SW_OK && record.xid == 99,
			"is joined");
		maker_release(&w);
		free(head);
		free(tail);
	}
}

/* Nothing but the page itself can tell that this is no end. */
static void
test_last_page(void)
{
	static const struct {
		const char *name;
		size_t at; /* in the last page, whose fourth record is there */
		bool in_record;
		uint8_t flip;
		const char *words;
	} cases[] = {
		{"xl_prev", 9, true, 0x40, "but WAL goes on at 0/"},
		{"a length", 3, true, 0x80, "impossible length"},
		{"the page's address", 9, false, 0x10, "but WAL goes on at 0/"},
		{"the page's magic", 1, false, 0x01, "but WAL goes on at 0/"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wal_maker w;
		struct sw_wal_result *r;
		sw_lsn fourth = 0;

		maker_init(&w, 8192, MIB, 1, 64 * MIB);
		for (int n = 0; maker_add(&w, 304, 7, 10, 0, NULL);)
			if (w.last > w.start + w.len - w.block && ++n == 4)
				fourth = w.last;
		*maker_byte(&w, (cases[i].in_record ? fourth : w.start + w.len - w.block) + cases[i].at) ^= cases[i].flip;
		r = check(&w);
		tap_ok(r->verdict == SW_WAL_BROKEN && strstr(r->reason, cases[i].words) != NULL,
			"damage on the last page, %s: %s", cases[i].name, r->reason);
		maker_release(&w);
	}
}

static void
test_two_clusters(void)
{
	struct wal_maker w;
	struct sw_wal_result *r;

	maker_init(&w, 8192, MIB, 2, 64 * MIB);
	while (maker_add(&w, 999, 7, 10, 0, NULL))
		;
	w.bytes[MIB + 24] ^= 1;
	r = check(&w);
	tap_ok(r->verdict == SW_WAL_BROKEN && strstr(r->reason, "is of system identifier") != NULL,
		"the second segment is another cluster's: %s", r->reason);
	maker_release(&w);
}

/* --- damage ------------------------------------------------------------------------------ */

/* What no check can cover, as it says nothing: padding, a flag without meaning, a length that continues nothing. */
static bool
is_padding(const struct wal_maker *w, const struct seen *records, size_t at, int bit)
{
	size_t in_page = at % w->block;
	const uint8_t *page = w->bytes + at - in_page;
	sw_lsn lsn = w->start + at;
	uint64_t i = 0;

	if (in_page >= 20 && in_page < 24)
		return true;
	if (in_page == 2 && 1 << bit == SW_WAL_PAGE_REMOVABLE)
		return true;
	if (in_page >= 16 && in_page < 20 && (page[2] & SW_WAL_PAGE_CONTRECORD) == 0)
		return true;
	while (i < records->count && records->end[i] <= lsn)
		i++;
	return i < records->count && lsn >= records->end[i] - records->pad[i];
}

/* Every bit of some pages. */
static void
test_every_bit(void)
{
	static struct seen records;
	struct sw_wal_reader_params params;
	struct wal_maker w;
	unsigned missed = 0, late = 0, tried = 0, early = 0;

	maker_init(&w, 1024, MIB, 1, 64 * MIB);
	fill(&w, 3000, &records);
	params = params_of(&w, NULL);
	for (size_t at = 100 * w.block; at < 104 * w.block; at++)
		for (int bit = 0; bit < 8; bit++) {
			struct sw_wal_result *r;

			if (is_padding(&w, &records, at, bit))
				continue;
			w.bytes[at] ^= (uint8_t)(1 << bit);
			r = read_all(&w, 112 * w.block, &params, true);
			tried++;
			missed += r->verdict != SW_WAL_BROKEN;
			late += r->broken_at > w.start + at || r->valid_to > w.start + at;
			w.bytes[at] ^= (uint8_t)(1 << bit);
		}
	tap_ok(tried > 25000 && missed == 0, "%u flipped bits, %u of them not seen", tried, missed);
	tap_is_int(late, 0, "none is reported behind its place");
	missed = early = tried = 0;
	for (size_t at = w.len - w.block; at < w.len; at++) {
		if (is_padding(&w, &records, at, 4) || w.start + at >= records.end[records.count - 2])
			continue;
		w.bytes[at] ^= 0x10;
		tried++;
		missed += check(&w)->verdict == SW_WAL_COMPLETE;
		early += check(&w)->verdict == SW_WAL_ENDS_EARLY;
		w.bytes[at] ^= 0x10;
	}
	tap_ok(missed == 0, "on the last page, %u flipped bits, %u of them not seen", tried, missed);
	tap_ok(early <= tried / 4, "few look like an end: %u", early);
	maker_release(&w);
}

struct spoil {
	const char *name;
	size_t at;       /* offset */
	uint64_t value;
	size_t len;      /* of value */
	enum sw_wal_verdict verdict;
	const char *words;
};

static void
test_page_headers(void)
{
	static const struct spoil spoils[] = {
		{"a first page of zeros", 0, 0, 8, SW_WAL_BROKEN, "no WAL page begins the segment at 0/4000000"},
		{"an unknown magic", 0, 0xD1FF, 2, SW_WAL_BROKEN, "the first page has magic D1FF, but that of"},
		{"no long header", 2, 0, 2, SW_WAL_BROKEN, "no WAL page begins"},
		{"another segment", 8, 0x4100000, 8, SW_WAL_BROKEN, "begins with the page of 0/4100000"},
		{"another cluster", 24, 12345, 8, SW_WAL_BROKEN, "system identifier 12345, the cluster's is 77102"},
		{"another segment size", 32, 2 * MIB, 4, SW_WAL_BROKEN, "one of 2097152 bytes"},
		{"an illegal segment size", 32, 3 * MIB, 4, SW_WAL_BROKEN, "no WAL page begins"},
		{"an illegal page size", 36, 8191, 4, SW_WAL_BROKEN, "no WAL page begins"},
		{"a page size of 0", 36, 0, 4, SW_WAL_BROKEN, "no WAL page begins"},
		{"a page size of 128 KiB", 36, 131072, 4, SW_WAL_BROKEN, "no WAL page begins"},
		{"timeline 0", 4, 0, 4, SW_WAL_BROKEN, "timeline 0"},
		{"a later timeline", 4, 2, 4, SW_WAL_BROKEN, "is of timeline 2, the segment of 1"},
		{"another magic inside", 8192 * 5, 0xD10D, 2, SW_WAL_BROKEN, "has magic D10D instead of D110"},
		{"unknown flags", 8192 * 5 + 2, 0x10, 2, SW_WAL_BROKEN, "flags 0010"},
		{"another address inside", 8192 * 5 + 8, 0x3000000, 8, SW_WAL_BROKEN, "is another one, of 0/3000000"},
		{"a later timeline inside", 8192 * 5 + 4, 9, 4, SW_WAL_BROKEN, "of timeline 9, the segment of 1"},
		{"no continuation", 8192 * 5 + 2, 0, 2, SW_WAL_BROKEN, "does not continue a record"},
		{"a wrong rest", 8192 * 5 + 16, 77, 4, SW_WAL_BROKEN, "another length"},
		{"a replacement in mid-record", 8192 * 5 + 2, 8, 2, SW_WAL_BROKEN, "impossible length"},
		{"a tail of nothing", 2, 3, 2, SW_WAL_BROKEN, "impossible length 0"},
		{"a tail without end", 16, 0xffffffff, 4, SW_WAL_COMPLETE, ""},
	};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		const struct spoil *s = &spoils[i];
		struct sw_wal_result *r;
		struct wal_maker w;

		maker_init(&w, 8192, MIB, 1, 64 * MIB);
		while (maker_add(&w, 999, 7, 10, 0, NULL))
			;
		memcpy(w.bytes + s->at, &s->value, s->len);
		r = check(&w);
		tap_ok(r->verdict == s->verdict && strstr(r->reason, s->words) != NULL, "%s: %s", s->name, r->reason);
		maker_release(&w);
	}
}

/* Flags that speak of a record where none was begun. */
static void
test_flags_of_nothing(void)
{
	struct sw_wal_result *r;
	struct wal_maker w;
	uint8_t *flags;

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	maker_add(&w, 8192 - 40, 7, 10, 0, NULL);
	add_some(&w, 500);
	flags = w.bytes + 8192 + 2;
	tap_is_int(check(&w)->verdict, SW_WAL_ENDS_EARLY, "a record that fills its page");
	*flags = SW_WAL_PAGE_CONTRECORD;
	r = check(&w);
	tap_ok(r->verdict == SW_WAL_BROKEN && strstr(r->reason, "but none was begun") != NULL, "%s", r->reason);
	*flags = SW_WAL_PAGE_OVERWRITE;
	r = check(&w);
	tap_ok(r->verdict == SW_WAL_BROKEN && strstr(r->reason, "but there is none") != NULL, "%s", r->reason);
	maker_release(&w);
}

static void
test_unknown_format(void)
{
	struct sw_wal_result *r;
	struct wal_maker w;

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	w.magic = 0xD1FF;
	add_some(&w, 500);
	r = check(&w);
	is_result(r, SW_WAL_UNKNOWN, w.start, "WAL with magic D1FF", "a newer server's WAL");
	tap_is_int(r->magic, 0xD1FF, "its magic is told");
	tap_ok(r->broken_at == 0 && r->format == NULL, "and nothing is broken");
	maker_release(&w);
}

/* The last record of some is not what it should be; others follow it, or not. */
static void
test_records(void)
{
	static const struct {
		const char *name;
		uint16_t magic;
		uint8_t rmgr;
		int64_t prev; /* added to xl_prev */
		uint32_t len; /* instead of the record's; 0: right */
		bool alone;
		enum sw_wal_verdict verdict;
		const char *words;
	} cases[] = {
		{"a right record", 0xD110, 21, 0, 0, false, SW_WAL_COMPLETE, ""},
		{"resource manager 22", 0xD110, 22, 0, 0, false, SW_WAL_BROKEN, "impossible resource manager 22"},
		{"resource manager 127", 0xD118, 127, 0, 0, true, SW_WAL_BROKEN, "impossible resource manager 127"},
		{"an extension's", 0xD110, 128, 0, 0, false, SW_WAL_COMPLETE, ""},
		{"an extension's in 14", 0xD10D, 128, 0, 0, false, SW_WAL_BROKEN, "impossible resource manager 128"},
		{"an earlier xl_prev", 0xD110, 10, -8, 0, false, SW_WAL_BROKEN, "(xl_prev), but 0/"},
		{"a later xl_prev", 0xD110, 10, 1 << 30, 0, false, SW_WAL_BROKEN, "(xl_prev), but 0/"},
		{"an earlier xl_prev at the end", 0xD110, 10, -8, 0, true, SW_WAL_ENDS_EARLY, "(xl_prev), but 0/"},
		{"a length of 23", 0xD110, 10, 0, 23, false, SW_WAL_BROKEN, "impossible length 23"},
		{"a length of 2 GiB", 0xD110, 10, 0, 1u << 31, false, SW_WAL_BROKEN, "impossible length 2147483648"},
		{"a length that is too great", 0xD110, 10, 0, 104, false, SW_WAL_BROKEN, "wrong CRC"},
		{"the last record's CRC", 0xD110, 10, 0, 96, true, SW_WAL_BROKEN, "wrong CRC"},
		{"a length of 0 at the end", 0xD110, 10, 0, UINT32_MAX, true, SW_WAL_BROKEN, "impossible length"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_wal_result *r;
		struct wal_maker w;
		sw_lsn at;
		bool ok;

		maker_init(&w, 8192, MIB, 1, 64 * MIB);
		w.magic = cases[i].magic;
		add_some(&w, 20);
		w.prev += (sw_lsn)cases[i].prev;
		at = w.at;
		maker_add(&w, 100, 7, cases[i].rmgr, 0, NULL);
		if (cases[i].len != 0)
			memcpy(maker_byte(&w, at), &cases[i].len, 4);
		while (!cases[i].alone && maker_add(&w, 300, 7, 10, 0, NULL))
			;
		r = check(&w);
		ok = r->verdict == cases[i].verdict && strstr(r->reason, cases[i].words) != NULL;
		ok = ok && (r->verdict == SW_WAL_COMPLETE || r->valid_to == at);
		tap_ok(ok, "%s: %s %s", cases[i].name, sw_wal_verdict_name(r->verdict), r->reason);
		maker_release(&w);
	}
}

/* --- what a crash leaves -------------------------------------------------------------------- */

/* A record that is cut off at the end of page `page`; returns where it begins. */
static sw_lsn
cut_off(struct wal_maker *w, size_t page, sw_lsn *ret_before)
{
	sw_lsn aborted;

	while (w->at - w->start < page * w->block - 1000)
		add_some(w, 1);
	*ret_before = w->last;
	maker_add(w, 30000, 7, 10, 0, NULL);
	aborted = w->last;
	memset(w->bytes + page * w->block, 0, (size_t)(w->at - w->start) - page * w->block);
	w->at = w->start + page * w->block;
	return aborted;
}

static void
test_overwritten(void)
{
	static const struct {
		const char *name;
		size_t page;
		sw_lsn wrong; /* added to what is overwritten */
		bool other;   /* another record comes first */
		bool ok;
		const char *words;
	} cases[] = {
		{"inside a segment", 20, 0, false, true, ""},
		{"at a segment's begin", 128, 0, false, true, ""},
		{"that names another", 20, 8, false, false, "but that was at 0/"},
		{"that says nothing", 20, 0, true, false, "does not say which unfinished"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_wal_result *r;
		struct wal_maker w;
		sw_lsn aborted, before;

		maker_init(&w, 8192, MIB, 2, 64 * MIB);
		aborted = cut_off(&w, cases[i].page, &before);
		if (cases[i].other) {
			w.prev = before;
			maker_page(&w, SW_WAL_PAGE_OVERWRITE, 0);
		} else {
			maker_overwrite(&w, aborted + cases[i].wrong, before);
		}
		while (maker_add(&w, 500, 7, 10, 0, NULL))
			;
		r = check(&w);
		tap_ok((r->verdict == SW_WAL_COMPLETE) == cases[i].ok && strstr(r->reason, cases[i].words) != NULL,
			"an unfinished record is replaced by one %s: %s", cases[i].name, r->reason);
		if (cases[i].page == 128) {
			struct wal_maker part = w;

			part.start += MIB;
			part.bytes += MIB;
			part.len = MIB;
			r = check(&part);
			tap_ok(r->verdict == SW_WAL_COMPLETE && r->overwrites_start && r->overwritten == aborted,
				"the second segment alone says which");
			tap_is_int(r->tail.len, 0, "and has no tail");
		}
		maker_release(&w);
	}
}

static void
test_tail_aborted(void)
{
	struct wal_maker w, part;
	struct sw_wal_result *r;
	sw_lsn aborted, before;

	maker_init(&w, 8192, MIB, 2, 64 * MIB);
	while (w.at - w.start < MIB - 5000)
		add_some(&w, 1);
	before = w.last;
	maker_add(&w, 30000, 7, 10, 0, NULL);
	aborted = w.last;
	memset(w.bytes + MIB + 8192, 0, MIB - 8192);
	w.at = w.start + MIB + 8192;
	maker_overwrite(&w, aborted, before);
	add_some(&w, 5);
	maker_switch(&w);
	r = check(&w);
	tap_is(sw_wal_verdict_name(r->verdict), "complete", "a record that crosses segments is left unfinished");
	part = w;
	part.start += MIB;
	part.bytes += MIB;
	part.len = MIB;
	r = check(&part);
	tap_is(sw_wal_verdict_name(r->verdict), "complete", "the second segment alone");
	tap_ok(r->tail_aborted && r->tail.len == 8192 - 40 && r->tail.whole_len > r->tail.len,
		"says that its tail was never finished");
	maker_release(&w);
}

/* --- timelines -------------------------------------------------------------------------------- */

static void
test_timelines(void)
{
	struct sw_wal_reader_params params;
	struct sw_wal_result *r;
	struct wal_maker w;
	sw_lsn change;

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	w.timeline = 3;
	add_some(&w, 300);
	w.timeline = 5;
	change = w.start + next_page(&w);
	while (maker_add(&w, 300, 7, 10, 0, NULL))
		;
	r = check(&w);
	is_result(r, SW_WAL_COMPLETE, r->head.lsn, "", "the first segment of a new timeline");
	tap_is_int(r->first_timeline, 3, "begins with its parent's pages");
	tap_is_int(r->last_timeline, 5, "ends with its own");
	tap_is_int((long long)r->last_timeline_from, (long long)change, "from the page behind the change on");
	params = params_of(&w, NULL);
	params.timeline = 4;
	r = read_all(&w, w.len, &params, true);
	tap_ok(r->verdict == SW_WAL_BROKEN && r->broken_at == change, "a page of a later timeline: %s", r->reason);
	w.bytes[100 * 8192 + 4] = 4;
	r = check(&w);
	tap_ok(r->verdict == SW_WAL_BROKEN && strstr(r->reason, "is of timeline 4, the one before of 5") != NULL,
		"a timeline that falls: %s", r->reason);
	maker_release(&w);
}

/* --- the stage ---------------------------------------------------------------------------------- */

static void
test_stage(void)
{
	static struct seen seen;
	struct sw_wal_reader *reader = malloc(sizeof(*reader));
	struct sw_error err = SW_ERROR_INIT;
	struct sw_stage_buf out;
	struct sw_wal_reader_params params;
	struct wal_maker w;
	struct sw_buf bytes;

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	while (maker_add(&w, 300, 7, 10, 0, NULL))
		;
	w.bytes[12345] ^= 1;
	params = params_of(&w, NULL);
	sw_buf_init(&bytes, MIB);
	sw_stage_buf_init(&out, &bytes);
	sw_wal_reader_init(reader, &params, &out.stage, &err);
	tap_is_int(feed(reader, w.bytes, w.len, false, &err), SW_OK, "broken WAL passes");
	tap_is_int(sw_stage_finish(&reader->stage, &err), SW_OK, "to its end");
	tap_ok(bytes.len == w.len && memcmp(bytes.data, w.bytes, w.len) == 0, "as it came");
	tap_is(sw_wal_verdict_name(reader->result.verdict), "broken", "and is judged");
	sw_wal_reader_release(reader);
	sw_buf_release(&bytes);

	w.bytes[12345] ^= 1;
	params = params_of(&w, &seen);
	seen = (struct seen){.fail_at = 100};
	sw_wal_reader_init(reader, &params, NULL, &err);
	tap_is_int(feed(reader, w.bytes, w.len, true, &err), SW_CONFLICT, "an error of the callback ends the writing");
	tap_is_int((long long)seen.count, 100, "at once");
	sw_wal_reader_release(reader);

	params.start += 8192;
	tap_is_int(sw_wal_reader_init(reader, &params, NULL, &err), SW_BUG, "a start within a segment is refused");
	sw_wal_reader_release(reader);
	params = params_of(&w, NULL);
	tap_is_int(read_all(&w, 30, &params, true)->verdict, SW_WAL_BROKEN, "30 bytes are no WAL");
	tap_is_int(read_all(&w, 0, &params, true)->verdict, SW_WAL_BROKEN, "nor is nothing");
	is_result(read_all(&w, 5 * 8192 + 99, &params, true), SW_WAL_ENDS_EARLY, read_all(&w, 5 * 8192, &params,
		true)->valid_to, "within a segment", "a file that was cut off");
	maker_release(&w);
	free(reader);
}

static sw_rc
note_lengths(void *ctx, const struct sw_wal_record *r, struct sw_error *err)
{
	uint32_t *lengths = ctx;

	(void)err;
	lengths[0] += r->total_len;
	lengths[1] += (uint32_t)r->data_len;
	return SW_OK;
}

static void
test_long_record(void)
{
	struct wal_maker w;
	struct sw_wal_reader_params params;
	uint32_t lengths[2] = {0};

	maker_init(&w, 8192, MIB, 1, 64 * MIB);
	maker_add(&w, 100000, 7, 10, 0, NULL);
	maker_switch(&w);
	params = params_of(&w, NULL);
	params.each = note_lengths;
	params.ctx = lengths;
	params.record_max = 20000;
	tap_is(sw_wal_verdict_name(read_all(&w, w.len, &params, true)->verdict), "complete", "a long record");
	tap_is_int(lengths[0], 100000 + 24, "has its length");
	tap_is_int(lengths[1], 20000 + 24, "and as much data as was asked for");
	maker_release(&w);
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return list(argc, argv);
	srandom(20);
	test_all_shapes();
	test_ends();
	test_fragments_of_nothing();
	test_join_refuses();
	test_header_in_two();
	test_last_page();
	test_two_clusters();
	test_every_bit();
	test_page_headers();
	test_flags_of_nothing();
	test_unknown_format();
	test_records();
	test_overwritten();
	test_tail_aborted();
	test_timelines();
	test_stage();
	test_long_record();
	return tap_done();
}
