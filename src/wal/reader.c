#include "wal/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"

#define HEADER SW_WAL_RECORD_HEADER

/* --- the end of what is valid ------------------------------------------------------ */

__attribute__((format(printf, 4, 5))) static void
stop(struct sw_wal_reader *r, enum sw_wal_verdict verdict, sw_lsn at, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->result.reason, sizeof(r->result.reason), fmt, args);
	va_end(args);
	r->state = SW_WAL_AFTER_END;
	r->result.verdict = verdict;
	r->result.broken_at = verdict == SW_WAL_BROKEN ? at : 0;
	r->ended_at = at;
}

static void
append_reason(struct sw_wal_reader *r, const char *words, sw_lsn lsn)
{
	char text[SW_LSN_LEN];
	size_t len = strlen(r->result.reason);

	snprintf(r->result.reason + len, sizeof(r->result.reason) - len, "; %s %s", words,
		sw_lsn_format(lsn, text));
}

/* WAL stands behind the end that was found: so it is no end. */
static void
end_was_damage(struct sw_wal_reader *r, sw_lsn later)
{
	r->result.verdict = SW_WAL_BROKEN;
	r->result.broken_at = r->ended_at;
	append_reason(r, "but WAL goes on at", later);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static bool
crc_ok(const uint8_t *p, const struct sw_wal_record_header *h)
{
	return sw_wal_record_crc(sw_crc32c(0, p + HEADER, h->total_len - HEADER), p) == h->crc;
}

/*
 * No valid record was found at offset `at` of page p.  A later one of the same page that follows another behind
 * `at` proves that there was one: what recycled files hold has older addresses.
 */
static void
look_behind(struct sw_wal_reader *r, const uint8_t *p, size_t at)
{
	size_t block = r->result.block_size;
	sw_lsn missing = r->page_at + at;

	for (at += 8; at + HEADER <= block; at += 8) {
		struct sw_wal_record_header h = sw_wal_record_header_read(p + at);

		if (h.total_len >= HEADER && h.total_len <= block - at && h.prev >= missing &&
			h.prev < r->page_at + at && crc_ok(p + at, &h)) {
			end_was_damage(r, r->page_at + at);
			return;
		}
	}
}

/* A page behind the end: is it part of this WAL? */
static void
take_page_behind(struct sw_wal_reader *r, const uint8_t *p)
{
	struct sw_wal_page page = sw_wal_page_read(p);

	if (r->result.verdict == SW_WAL_ENDS_EARLY && page.magic == r->result.magic &&
		page.address == r->page_at && (page.info & ~SW_WAL_PAGE_ALL_INFO) == 0 &&
		page.timeline >= r->result.last_timeline &&
		(r->params.timeline == 0 || page.timeline <= r->params.timeline))
		end_was_damage(r, r->page_at);
}

static void
take_page_of_unknown(struct sw_wal_reader *r, const uint8_t *p)
{
	struct sw_wal_page page = sw_wal_page_read(p);
	sw_lsn start = r->params.start;
	char lsn[SW_LSN_LEN];

	if (sw_wal_format_find(page.magic) != NULL && page.address == r->page_at)
		stop(r, SW_WAL_BROKEN, start, "the first page has magic %04X, but that of %s has %04X",
			r->result.magic, sw_lsn_format(r->page_at, lsn), page.magic);
}

/* --- records -------------------------------------------------------------------------- */

static sw_rc
give(struct sw_wal_reader *r, struct sw_wal_record *record, struct sw_error *err)
{
	struct sw_wal_result *result = &r->result;

	if (result->record_count++ == 0) {
		result->first = record->lsn;
		result->first_prev = record->prev;
	}
	result->last = record->lsn;
	result->valid_to = record->end;
	r->prev = record->lsn;
	r->prev_known = true;
	result->switched = sw_wal_record_is_switch(record->rmgr, record->info);
	if (result->switched && record->end % r->params.segment_size != 0) {
		r->state = SW_WAL_PADDING;
		record->end += r->params.segment_size - record->end % r->params.segment_size;
	}
	return r->params.each == NULL ? SW_OK : r->params.each(r->params.ctx, record, err);
}

/* Is xl_prev exactly what it must be? */
static bool
follows(const struct sw_wal_reader *r, sw_lsn prev)
{
	return r->prev_known && prev == r->prev;
}

static bool
check_header(struct sw_wal_reader *r, const struct sw_wal_record_header *h, sw_lsn lsn)
{
	/* what follows the last record is no leftover of a recycled file */
	enum sw_wal_verdict verdict = follows(r, h->prev) ? SW_WAL_BROKEN : SW_WAL_ENDS_EARLY;
	char at[SW_LSN_LEN], prev[SW_LSN_LEN], want[SW_LSN_LEN];

	sw_lsn_format(lsn, at);
	if (h->total_len < HEADER || h->total_len > SW_WAL_RECORD_MAX)
		stop(r, verdict, lsn, "the record at %s has the impossible length %" PRIu32, at, h->total_len);
	else if (!sw_wal_format_has_rmgr(r->result.format, h->rmgr))
		stop(r, verdict, lsn, "the record at %s has the impossible resource manager %u", at, h->rmgr);
	else if (r->prev_known && h->prev != r->prev)
		stop(r, verdict, lsn, "the record at %s follows %s (xl_prev), but %s was the last", at,
			sw_lsn_format(h->prev, prev), sw_lsn_format(r->prev, want));
	else if (!r->prev_known && h->prev >= r->params.start)
		stop(r, verdict, lsn, "the record at %s follows %s (xl_prev), which is not before this segment", at,
			sw_lsn_format(h->prev, prev));
	return r->state == SW_WAL_READING;
}

static bool
header_ok(const struct sw_wal_reader *r, const struct sw_wal_record_header *h)
{
	return h->total_len >= HEADER && h->total_len <= SW_WAL_RECORD_MAX &&
		sw_wal_format_has_rmgr(r->result.format, h->rmgr) &&
		(r->prev_known ? h->prev == r->prev : h->prev < r->params.start);
}

static void
stop_at_crc(struct sw_wal_reader *r, const struct sw_wal_record_header *h, sw_lsn lsn)
{
	char at[SW_LSN_LEN];

	stop(r, follows(r, h->prev) ? SW_WAL_BROKEN : SW_WAL_ENDS_EARLY, lsn,
		"the record at %s has a wrong CRC", sw_lsn_format(lsn, at));
}

/* Behind a page that overwrites: the record that says what is overwritten. */
static bool
check_overwrite(struct sw_wal_reader *r, const uint8_t *bytes, size_t len, sw_lsn lsn)
{
	char at[SW_LSN_LEN], got[SW_LSN_LEN], want[SW_LSN_LEN];
	sw_lsn overwritten;

	if (!r->overwrite_expected)
		return true;
	r->overwrite_expected = false;
	sw_lsn_format(lsn, at);
	if (!sw_wal_record_overwrites(bytes, len, &overwritten))
		stop(r, SW_WAL_BROKEN, lsn, "the record at %s does not say which unfinished record it replaces, "
			"as its page promises", at);
	else if (r->aborted != 0 && overwritten != r->aborted)
		stop(r, SW_WAL_BROKEN, lsn, "the record at %s replaces the unfinished one at %s, but that was at %s",
			at, sw_lsn_format(overwritten, got), sw_lsn_format(r->aborted, want));
	else if (r->result.record_count == 0 && r->result.overwrites_start)
		r->result.overwritten = overwritten;
	return r->state == SW_WAL_READING;
}

static void
keep_fragment(const struct sw_wal_reader *r, struct sw_wal_fragment *fragment)
{
	const struct sw_buf *bytes = &r->open.bytes;

	fragment->len = r->open.got;
	fragment->whole_len = r->open.whole_len;
	fragment->lsn = r->open.kind == SW_WAL_RECORD ? r->open.lsn : 0;
	fragment->timeline = r->open.kind == SW_WAL_RECORD ? r->open.timeline : 0;
	fragment->crc = r->open.crc;
	fragment->bytes_len = (uint32_t)(bytes->len < sizeof(fragment->bytes) ? bytes->len :
		sizeof(fragment->bytes));
	memcpy(fragment->bytes, bytes->data, fragment->bytes_len);
}

static void
close_tail(struct sw_wal_reader *r, sw_lsn end)
{
	keep_fragment(r, &r->result.tail);
	r->open.kind = SW_WAL_NO_RECORD;
	r->result.valid_to = end;
}

/* The record whose bytes are all there is right or not. */
static sw_rc
close_record(struct sw_wal_reader *r, sw_lsn end, struct sw_error *err)
{
	struct sw_wal_record_header h = sw_wal_record_header_read(r->open.header);
	struct sw_wal_record record = {
		.format = r->result.format,
		.lsn = r->open.lsn,
		.end = end,
		.prev = h.prev,
		.total_len = h.total_len,
		.xid = h.xid,
		.timeline = r->open.timeline,
		.rmgr = h.rmgr,
		.info = h.info,
		.data = r->open.bytes.data,
		.data_len = r->open.bytes.len,
	};

	r->open.kind = SW_WAL_NO_RECORD;
	if (sw_wal_record_crc(r->open.crc, r->open.header) != h.crc) {
		stop_at_crc(r, &h, record.lsn);
		return SW_OK;
	}
	if (!check_overwrite(r, record.data, record.data_len, record.lsn))
		return SW_OK;
	return give(r, &record, err);
}

/* Take n bytes of the record in hand; its header is checked as soon as it is there. */
static sw_rc
take_bytes(struct sw_wal_reader *r, const uint8_t *p, size_t n, struct sw_error *err)
{
	size_t room = r->open.bytes.max - r->open.bytes.len, keep = n < room ? n : room;
	sw_rc rc = sw_buf_append(&r->open.bytes, p, keep, err);
	size_t header = 0;

	if (rc != SW_OK)
		return rc;
	if (r->open.kind == SW_WAL_RECORD && r->open.got < HEADER) {
		header = HEADER - r->open.got < n ? HEADER - r->open.got : n;
		memcpy(r->open.header + r->open.got, p, header);
	}
	r->open.crc = sw_crc32c(r->open.crc, p + header, n - header);
	r->open.got += (uint32_t)n;
	if (header > 0 && r->open.got >= HEADER) {
		struct sw_wal_record_header h = sw_wal_record_header_read(r->open.header);

		if (!header_ok(r, &h))
			check_header(r, &h, r->open.lsn);
	}
	return SW_OK;
}

static sw_rc
open_record(struct sw_wal_reader *r, const uint8_t *p, size_t at, uint32_t timeline, struct sw_error *err)
{
	uint32_t whole_len;

	memcpy(&whole_len, p + at, sizeof(whole_len));
	r->open.kind = SW_WAL_RECORD;
	r->open.lsn = r->page_at + at;
	r->open.timeline = timeline;
	r->open.whole_len = whole_len;
	r->open.got = 0;
	r->open.crc = 0;
	sw_buf_reset(&r->open.bytes);
	return take_bytes(r, p + at, r->result.block_size - at, err);
}

/* The bytes at `at` begin no record. */
static void
end_of_records(struct sw_wal_reader *r, const uint8_t *p, size_t at)
{
	size_t left = r->result.block_size - at;
	char lsn[SW_LSN_LEN];

	if (is_zero(p + at, left))
		stop(r, SW_WAL_ENDS_EARLY, r->page_at + at, "zeros from %s on",
			sw_lsn_format(r->page_at + at, lsn));
	else if (left < HEADER)
		stop(r, SW_WAL_ENDS_EARLY, r->page_at + at, "the record at %s has an impossible length",
			sw_lsn_format(r->page_at + at, lsn));
}

/* Records from offset `at` to the page's end. */
static sw_rc
take_records(struct sw_wal_reader *r, const uint8_t *p, size_t at, uint32_t timeline, struct sw_error *err)
{
	const size_t block = r->result.block_size;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && at < block && r->state == SW_WAL_READING) {
		sw_lsn lsn = r->page_at + at;
		struct sw_wal_record_header h = {0};

		memcpy(&h.total_len, p + at, sizeof(h.total_len));
		if (block - at >= HEADER)
			h = sw_wal_record_header_read(p + at);
		if (block - at < HEADER ? h.total_len < HEADER : !header_ok(r, &h)) {
			end_of_records(r, p, at);
			if (r->state == SW_WAL_READING)
				check_header(r, &h, lsn);
		} else if (h.total_len > block - at) {
			return open_record(r, p, at, timeline, err);
		} else if (!crc_ok(p + at, &h)) {
			stop_at_crc(r, &h, lsn);
		} else if (!r->overwrite_expected || check_overwrite(r, p + at, h.total_len, lsn)) {
			size_t next = sw_wal_record_align(at + h.total_len);

			rc = give(r, &(struct sw_wal_record){
				.format = r->result.format, .lsn = lsn, .end = r->page_at + next, .prev = h.prev, .total_len = h.total_len,
				.xid = h.xid, .timeline = timeline, .rmgr = h.rmgr, .info = h.info,
				.data = p + at, .data_len = h.total_len}, err);
			at = next;
		}
	}
	if (rc == SW_OK && r->state == SW_WAL_AFTER_END && r->result.verdict == SW_WAL_ENDS_EARLY && at < block)
		look_behind(r, p, at);
	return rc;
}

/* --- pages --------------------------------------------------------------------------- */

static void
describe_foreign_page(struct sw_wal_reader *r, const struct sw_wal_page *page, const uint8_t *p)
{
	char at[SW_LSN_LEN], got[SW_LSN_LEN];

	sw_lsn_format(r->page_at, at);
	if (is_zero(p, r->unit))
		stop(r, SW_WAL_ENDS_EARLY, r->page_at, "no page at %s but zeros", at);
	else if (page->magic != r->result.magic)
		stop(r, SW_WAL_ENDS_EARLY, r->page_at, "the page at %s has magic %04X instead of %04X", at,
			page->magic, r->result.magic);
	else
		stop(r, SW_WAL_ENDS_EARLY, r->page_at, "the page at %s is another one, of %s", at,
			sw_lsn_format(page->address, got));
	if (r->open.kind == SW_WAL_RECORD)
		append_reason(r, "it cuts off the record at", r->open.lsn);
	look_behind(r, p, SW_WAL_PAGE_SHORT - 8);
}

/* A page with the right magic and address: is the rest of its header right? */
static void
check_own_page(struct sw_wal_reader *r, const struct sw_wal_page *page)
{
	const struct sw_wal_result *result = &r->result;
	bool is_long = page->info & SW_WAL_PAGE_IS_LONG;
	char at[SW_LSN_LEN];

	sw_lsn_format(r->page_at, at);
	if (page->info & ~SW_WAL_PAGE_ALL_INFO)
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s has the impossible flags %04X", at, page->info);
	else if (r->page_at % result->segment_size == 0 && !is_long)
		stop(r, SW_WAL_BROKEN, r->page_at, "the segment at %s does not begin with a long page header", at);
	else if (is_long && page->system_identifier != result->system_identifier)
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s is of system identifier %" PRIu64
			", the first page of %" PRIu64, at, page->system_identifier, result->system_identifier);
	else if (is_long && (page->segment_size != result->segment_size ||
		page->block_size != result->block_size))
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s says that segments have %" PRIu32
			" bytes and pages %" PRIu32, at, page->segment_size, page->block_size);
	else if (page->timeline < result->last_timeline)
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s is of timeline %" PRIu32
			", the one before of %" PRIu32, at, page->timeline, result->last_timeline);
	else if (page->timeline == 0 || (r->params.timeline != 0 && page->timeline > r->params.timeline))
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s is of timeline %" PRIu32
			", the segment of %" PRIu32, at, page->timeline, r->params.timeline);
}

static void
note_timeline(struct sw_wal_reader *r, uint32_t timeline)
{
	if (timeline == r->result.last_timeline)
		return;
	if (r->result.first_timeline == 0)
		r->result.first_timeline = timeline;
	r->result.last_timeline = timeline;
	r->result.last_timeline_from = r->page_at;
}

/* --- records across pages ------------------------------------------------------------ */

static void
stop_unfinished(struct sw_wal_reader *r, const char *why)
{
	bool tail = r->open.kind == SW_WAL_TAIL;
	char begin[SW_LSN_LEN], at[SW_LSN_LEN];

	sw_lsn_format(r->page_at, at);
	if (tail)
		stop(r, SW_WAL_BROKEN, r->page_at, "the record begun before %s does not go on at %s: %s",
			sw_lsn_format(r->params.start, begin), at, why);
	else
		stop(r, SW_WAL_BROKEN, r->open.lsn, "the record at %s does not go on at %s: %s",
			sw_lsn_format(r->open.lsn, begin), at, why);
}

/* The record in hand was left unfinished by a crash; another takes its place on this page. */
static void
abandon_record(struct sw_wal_reader *r)
{
	if (r->open.kind == SW_WAL_TAIL) {
		keep_fragment(r, &r->result.tail);
		r->result.tail_aborted = true;
	}
	r->aborted = r->open.kind == SW_WAL_RECORD ? r->open.lsn : 0;
	r->overwrite_expected = true;
	r->open.kind = SW_WAL_NO_RECORD;
}

/* The rest of the record in hand; *at moves behind it. */
static sw_rc
continue_record(struct sw_wal_reader *r, const struct sw_wal_page *page, const uint8_t *p, size_t *at,
	struct sw_error *err)
{
	uint32_t missing = r->open.whole_len - r->open.got;
	size_t room = r->result.block_size - *at, n = missing < room ? missing : room;
	sw_rc rc;

	if (!(page->info & SW_WAL_PAGE_CONTRECORD)) {
		stop_unfinished(r, "its page does not continue a record");
		return SW_OK;
	}
	if (page->remaining != missing) {
		stop_unfinished(r, "its page continues one of another length");
		return SW_OK;
	}
	rc = take_bytes(r, p + *at, n, err);
	*at = sw_wal_record_align(*at + n);
	if (rc == SW_OK && r->state == SW_WAL_READING && n == missing) {
		if (r->open.kind == SW_WAL_TAIL)
			close_tail(r, r->page_at + *at);
		else
			rc = close_record(r, r->page_at + *at, err);
	}
	/* a page that continues it was no leftover */
	if (r->state == SW_WAL_AFTER_END && r->result.verdict == SW_WAL_ENDS_EARLY)
		end_was_damage(r, r->page_at);
	return rc;
}

/* The stream begins within a record. */
static void
open_tail(struct sw_wal_reader *r, const struct sw_wal_page *page)
{
	char at[SW_LSN_LEN];

	if (page->remaining == 0 || page->remaining > SW_WAL_RECORD_MAX) {
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s continues a record of the impossible length %"
			PRIu32, sw_lsn_format(r->page_at, at), page->remaining);
		return;
	}
	r->open.kind = SW_WAL_TAIL;
	r->open.whole_len = page->remaining;
	r->open.got = 0;
	r->open.crc = 0;
}

static sw_rc
take_content(struct sw_wal_reader *r, const struct sw_wal_page *page, const uint8_t *p, struct sw_error *err)
{
	bool at_start = r->page_at == r->params.start;
	size_t at = sw_wal_page_header_len(page);
	char lsn[SW_LSN_LEN];
	sw_rc rc = SW_OK;

	if (page->info & SW_WAL_PAGE_OVERWRITE) {
		r->result.overwrites_start |= at_start;
		if (r->open.kind == SW_WAL_NO_RECORD && !at_start)
			stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s replaces an unfinished record, "
				"but there is none", sw_lsn_format(r->page_at, lsn));
		else
			abandon_record(r);
	} else if (at_start && page->info & SW_WAL_PAGE_CONTRECORD) {
		open_tail(r, page);
	}
	if (r->state == SW_WAL_READING && r->open.kind != SW_WAL_NO_RECORD)
		rc = continue_record(r, page, p, &at, err);
	else if (r->state == SW_WAL_READING && page->info & SW_WAL_PAGE_CONTRECORD)
		stop(r, SW_WAL_BROKEN, r->page_at, "the page at %s continues a record, but none was begun",
			sw_lsn_format(r->page_at, lsn));
	if (rc == SW_OK && r->state == SW_WAL_READING && r->open.kind == SW_WAL_NO_RECORD)
		rc = take_records(r, p, at, page->timeline, err);
	return rc;
}

/* --- the first page ---------------------------------------------------------------------- */

static void
take_first_page(struct sw_wal_reader *r, const struct sw_wal_page *page)
{
	struct sw_wal_result *result = &r->result;
	char at[SW_LSN_LEN], got[SW_LSN_LEN];

	sw_lsn_format(r->page_at, at);
	result->magic = page->magic;
	result->format = sw_wal_format_find(page->magic);
	if (!sw_wal_page_begins_segment(page)) {
		stop(r, SW_WAL_BROKEN, r->page_at, "no WAL page begins the segment at %s", at);
		return;
	}
	result->system_identifier = page->system_identifier;
	result->segment_size = page->segment_size;
	result->block_size = page->block_size;
	if (r->params.system_identifier != 0 && page->system_identifier != r->params.system_identifier)
		stop(r, SW_WAL_BROKEN, r->page_at, "the segment is of system identifier %" PRIu64
			", the cluster's is %" PRIu64, page->system_identifier, r->params.system_identifier);
	else if (page->address != r->page_at)
		stop(r, SW_WAL_BROKEN, r->page_at, "the segment begins with the page of %s where %s is right",
			sw_lsn_format(page->address, got), at);
	else if (page->segment_size != r->params.segment_size)
		stop(r, SW_WAL_BROKEN, r->page_at, "the segment is one of %" PRIu32 " bytes, the cluster's have %"
			PRIu32, page->segment_size, r->params.segment_size);
	else if (result->format == NULL)
		r->state = SW_WAL_NOT_KNOWN;
	else
		r->state = SW_WAL_READING;
}

static sw_rc
take_page(struct sw_wal_reader *r, const uint8_t *p, struct sw_error *err)
{
	struct sw_wal_page page;
	sw_rc rc = SW_OK;

	if (r->state == SW_WAL_PADDING && r->page_at % r->result.segment_size == 0)
		r->state = SW_WAL_READING;
	if (r->state == SW_WAL_AFTER_END) {
		take_page_behind(r, p);
	} else if (r->state == SW_WAL_NOT_KNOWN) {
		take_page_of_unknown(r, p);
	} else if (r->state == SW_WAL_READING) {
		page = sw_wal_page_read(p);
		if (page.magic != r->result.magic || page.address != r->page_at)
			describe_foreign_page(r, &page, p);
		else
			check_own_page(r, &page);
		if (r->state == SW_WAL_READING) {
			note_timeline(r, page.timeline);
			rc = take_content(r, &page, p, err);
		}
	}
	r->page_at += r->unit;
	return rc;
}

/* --- the stage --------------------------------------------------------------------------- */

/* Whole units from memory; returns in *used how many bytes were needed. */
static sw_rc
take_units(struct sw_wal_reader *r, const uint8_t *p, size_t len, size_t *used, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (*used = 0; rc == SW_OK && len - *used >= r->unit;) {
		if (r->state == SW_WAL_FIRST_PAGE) {
			struct sw_wal_page page = sw_wal_page_read(p);

			take_first_page(r, &page);
			r->unit = r->result.block_size != 0 ? r->result.block_size : SW_WAL_BLOCK_MAX;
		} else {
			rc = take_page(r, p + *used, err);
			*used += r->unit;
		}
	}
	return rc;
}

static sw_rc
check_bytes(struct sw_wal_reader *r, const uint8_t *p, size_t len, struct sw_error *err)
{
	size_t used;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && r->carry_len > 0 && len > 0) {
		size_t want = r->unit - r->carry_len, n = want < len ? want : len;

		memcpy(r->carry + r->carry_len, p, n);
		r->carry_len += n;
		p += n;
		len -= n;
		rc = take_units(r, r->carry, r->carry_len, &used, err);
		if (used > 0)
			r->carry_len = 0;
	}
	if (rc == SW_OK && len > 0) {
		rc = take_units(r, p, len, &used, err);
		memcpy(r->carry, p + used, rc == SW_OK ? len - used : 0);
		r->carry_len = len - used;
	}
	return rc;
}

static sw_rc
reader_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_wal_reader *r = (struct sw_wal_reader *)stage;
	sw_rc rc = check_bytes(r, data, len, err);

	return rc == SW_OK && stage->next != NULL ? sw_stage_write(stage->next, data, len, err) : rc;
}

static void
judge(struct sw_wal_reader *r)
{
	struct sw_wal_result *result = &r->result;
	char at[SW_LSN_LEN];

	switch (r->state) {
	case SW_WAL_AFTER_END:
		break;
	case SW_WAL_FIRST_PAGE:
		stop(r, SW_WAL_BROKEN, r->params.start, "the file holds no WAL page");
		break;
	case SW_WAL_NOT_KNOWN:
		result->verdict = SW_WAL_UNKNOWN;
		snprintf(result->reason, sizeof(result->reason), "WAL with magic %04X, which is not of "
			"PostgreSQL 14 to 18", result->magic);
		break;
	case SW_WAL_READING:
	case SW_WAL_PADDING:
		result->verdict = SW_WAL_COMPLETE;
		if (r->carry_len != 0 || r->page_at % result->segment_size != 0)
			stop(r, SW_WAL_ENDS_EARLY, r->page_at, "the file ends at %s, within a segment",
				sw_lsn_format(r->page_at + r->carry_len, at));
		break;
	}
	if (result->verdict == SW_WAL_COMPLETE && r->open.kind == SW_WAL_RECORD)
		keep_fragment(r, &result->head);
	if (result->verdict == SW_WAL_COMPLETE && r->open.kind == SW_WAL_TAIL)
		close_tail(r, r->page_at);
}

static sw_rc
reader_finish(struct sw_stage *stage, struct sw_error *err)
{
	judge((struct sw_wal_reader *)stage);
	return stage->next != NULL ? sw_stage_finish(stage->next, err) : SW_OK;
}

sw_rc
sw_wal_reader_init(struct sw_wal_reader *r, const struct sw_wal_reader_params *params,
	struct sw_stage *next, struct sw_error *err)
{
	size_t record_max = params->each == NULL ? 0 : params->record_max;

	memset(r, 0, sizeof(*r));
	r->stage = (struct sw_stage){.write = reader_write, .finish = reader_finish, .next = next};
	r->params = *params;
	r->page_at = r->result.valid_to = params->start;
	r->unit = SW_WAL_PAGE_LONG;
	sw_buf_init(&r->open.bytes, record_max > SW_WAL_FRAGMENT_BYTES ? record_max : SW_WAL_FRAGMENT_BYTES);
	if (!sw_wal_segment_size_ok(params->segment_size) || params->start % params->segment_size != 0)
		return sw_fail(err, SW_BUG, "reading WAL from within a segment");
	r->carry = malloc(SW_WAL_BLOCK_MAX);
	return r->carry != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

void
sw_wal_reader_release(struct sw_wal_reader *r)
{
	free(r->carry);
	r->carry = NULL;
	sw_buf_release(&r->open.bytes);
}

const char *
sw_wal_verdict_name(enum sw_wal_verdict verdict)
{
	switch (verdict) {
	case SW_WAL_COMPLETE:
		return "complete";
	case SW_WAL_ENDS_EARLY:
		return "ends early";
	case SW_WAL_BROKEN:
		return "broken";
	case SW_WAL_UNKNOWN:
		return "of unknown format";
	}
	return "";
}
