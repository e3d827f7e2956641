#include "wal/fragment.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "wal/page.h"

#define HEADER SW_WAL_RECORD_HEADER

static bool
is_sound(const struct sw_wal_fragment *f)
{
	return f->len > 0 && f->len <= f->whole_len && f->whole_len <= SW_WAL_RECORD_MAX &&
		f->bytes_len == (f->len < sizeof(f->bytes) ? f->len : sizeof(f->bytes));
}

static sw_rc
check_lengths(const struct sw_wal_joint *joint, struct sw_error *err)
{
	const struct sw_wal_fragment *head = joint->head;
	uint32_t missing = head->whole_len - head->len;
	char lsn[SW_LSN_LEN];

	sw_lsn_format(head->lsn, lsn);
	if (!is_sound(head) || head->whole_len < HEADER)
		return sw_fail(err, SW_CORRUPT, "the fragment of the record at %s is malformed", lsn);
	for (size_t i = 0; i < joint->tail_count; i++) {
		const struct sw_wal_fragment *tail = joint->tails[i];

		if (!is_sound(tail) || tail->whole_len != missing)
			return sw_fail(err, SW_CORRUPT, "the record at %s lacks %" PRIu32
				" bytes, but what goes on behind it has %" PRIu32, lsn, missing, tail->whole_len);
		missing -= tail->len;
	}
	return missing == 0 ? SW_OK :
		sw_fail(err, SW_CORRUPT, "the record at %s lacks its last %" PRIu32 " bytes", lsn, missing);
}

static sw_rc
collect_bytes(const struct sw_wal_joint *joint, struct sw_buf *bytes, struct sw_error *err)
{
	const struct sw_wal_fragment *f = joint->head;
	sw_rc rc = SW_OK;

	sw_buf_reset(bytes);
	for (size_t i = 0; rc == SW_OK && f != NULL; i++) {
		size_t room = bytes->max - bytes->len;

		rc = sw_buf_append(bytes, f->bytes, f->bytes_len < room ? f->bytes_len : room, err);
		f = f->bytes_len == f->len && f->bytes_len <= room && i < joint->tail_count ? joint->tails[i] :
			NULL;
	}
	return rc;
}

/* CRC of what is behind the header, of which the first tail may have the last bytes. */
static uint32_t
crc_behind_header(const struct sw_wal_joint *joint)
{
	const struct sw_wal_fragment *first = joint->tails[0];
	uint32_t in_tail = joint->head->len < HEADER ? HEADER - joint->head->len : 0;
	uint32_t crc = joint->head->len > HEADER ? joint->head->crc : 0;

	for (size_t i = 0; i < joint->tail_count; i++) {
		const struct sw_wal_fragment *tail = joint->tails[i];
		uint32_t tail_crc = tail->crc, len = tail->len;

		if (tail == first && in_tail > 0) {
			len -= in_tail;
			tail_crc = sw_crc32c_combine(sw_crc32c(0, tail->bytes, in_tail), tail_crc, len);
		}
		crc = sw_crc32c_combine(crc, tail_crc, len);
	}
	return crc;
}

/* Where the last tail, of `len` bytes, ends when its segment begins at `begin`. */
static sw_lsn
tail_end(sw_lsn begin, uint32_t block_size, uint32_t len)
{
	sw_lsn at = begin + SW_WAL_PAGE_LONG;
	uint32_t room = block_size - SW_WAL_PAGE_LONG;

	for (; len > room; room = block_size - SW_WAL_PAGE_SHORT) {
		len -= room;
		at += room + SW_WAL_PAGE_SHORT;
	}
	return sw_wal_record_align(at + len);
}

sw_rc
sw_wal_fragment_join(const struct sw_wal_joint *joint, struct sw_buf *bytes,
	struct sw_wal_record *ret_record, struct sw_error *err)
{
	const struct sw_wal_fragment *head = joint->head;
	struct sw_wal_record_header h;
	char lsn[SW_LSN_LEN];
	sw_rc rc;

	if (joint->tail_count == 0 || joint->block_size < SW_WAL_BLOCK_MIN || bytes->max < HEADER)
		return sw_fail(err, SW_BUG, "joining a record of nothing");
	rc = check_lengths(joint, err);
	if (rc == SW_OK)
		rc = collect_bytes(joint, bytes, err);
	if (rc != SW_OK)
		return rc;
	/* a head of less than a header is kept whole, and a tail has 24 bytes or is kept whole */
	if (bytes->len < HEADER)
		return sw_fail(err, SW_CORRUPT, "the fragments of the record at %s are malformed",
			sw_lsn_format(head->lsn, lsn));
	h = sw_wal_record_header_read(bytes->data);
	if (h.total_len != head->whole_len)
		return sw_fail(err, SW_CORRUPT, "the record at %s has another length than its fragments",
			sw_lsn_format(head->lsn, lsn));
	if (head->len < HEADER && joint->tails[0]->len < HEADER - head->len)
		return sw_fail(err, SW_CORRUPT, "the header of the record at %s is in three segments",
			sw_lsn_format(head->lsn, lsn));
	if (sw_wal_record_crc(crc_behind_header(joint), bytes->data) != h.crc)
		return sw_fail(err, SW_CORRUPT, "the record at %s has a wrong CRC",
			sw_lsn_format(head->lsn, lsn));
	*ret_record = (struct sw_wal_record){
		.format = joint->format,
		.lsn = head->lsn,
		.end = tail_end(joint->segment_begin, joint->block_size, joint->tails[joint->tail_count - 1]->len),
		.prev = h.prev,
		.total_len = h.total_len,
		.xid = h.xid,
		.timeline = head->timeline,
		.rmgr = h.rmgr,
		.info = h.info,
		.data = bytes->data,
		.data_len = bytes->len,
	};
	return SW_OK;
}
