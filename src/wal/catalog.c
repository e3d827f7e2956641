#include "wal/catalog.h"

#include <string.h>

#define TUPLE_HEADER 23    /* SizeofHeapTupleHeader */
#define TUPLE_HOFF_AT 22   /* t_hoff: where the columns begin */
#define WAL_TUPLE_HEADER 5 /* xl_heap_header, whose last byte is t_hoff */
#define UPDATE_FLAGS_AT 7  /* xl_heap_update */
#define UPDATE_HAS_PREFIX 0x20
#define UPDATE_HAS_SUFFIX 0x40
#define INVALID_DATABASE (-2) /* DATCONNLIMIT_INVALID_DB */

/* --- heads ------------------------------------------------------------------------- */

#define NAME_AT 4
#define THIRD_AT (NAME_AT + SW_WAL_NAME_LEN)

struct sw_wal_head
sw_wal_head_make(uint32_t oid, const char *name, uint32_t third)
{
	struct sw_wal_head head = {.to = SW_WAL_HEAD_LEN};

	memcpy(head.bytes, &oid, 4);
	memcpy(head.bytes + NAME_AT, name, strnlen(name, SW_WAL_NAME_LEN - 1));
	memcpy(head.bytes + THIRD_AT, &third, 4);
	return head;
}

bool
sw_wal_head_lay(struct sw_wal_head *head, const struct sw_wal_head *with)
{
	if (with->from == with->to)
		return true;
	if (head->from == head->to) {
		*head = *with;
		return true;
	}
	if (with->from > head->to || with->to < head->from)
		return false;
	memcpy(head->bytes + with->from, with->bytes + with->from, with->to - with->from);
	head->from = with->from < head->from ? with->from : head->from;
	head->to = with->to > head->to ? with->to : head->to;
	return true;
}

bool
sw_wal_head_is_whole(const struct sw_wal_head *head)
{
	return head->from == 0 && head->to == SW_WAL_HEAD_LEN;
}

uint32_t
sw_wal_head_oid(const struct sw_wal_head *head)
{
	uint32_t oid = 0;

	if (head->from == 0 && head->to >= NAME_AT)
		memcpy(&oid, head->bytes, 4);
	return oid;
}

void
sw_wal_head_name(const struct sw_wal_head *head, char ret_name[SW_WAL_NAME_LEN])
{
	memcpy(ret_name, head->bytes + NAME_AT, SW_WAL_NAME_LEN);
	ret_name[SW_WAL_NAME_LEN - 1] = '\0';
}

uint32_t
sw_wal_head_third(const struct sw_wal_head *head)
{
	uint32_t third;

	memcpy(&third, head->bytes + THIRD_AT, 4);
	return third;
}

/* --- rows -------------------------------------------------------------------------- */

/* Bytes [from, to) of a row's columns. */
struct span {
	const uint8_t *at; /* byte `from` */
	size_t from, to;
};

/* A row in the record's own bytes: lengths left out (UPDATE), xl_heap_header, null bitmap, columns. */
static bool
from_data(const struct sw_wal_parts *parts, const struct sw_wal_block *block, enum sw_wal_row_change change,
	struct span *ret_span)
{
	size_t at = 0, skipped;
	uint16_t prefix = 0;

	if (block->data == NULL || change == SW_WAL_DELETE)
		return false;
	if (change == SW_WAL_IN_PLACE) {
		*ret_span = (struct span){block->data, 0, block->data_len};
		return true;
	}
	if (change == SW_WAL_UPDATE) {
		uint8_t flags = parts->main_len > UPDATE_FLAGS_AT ? parts->main[UPDATE_FLAGS_AT] : 0;

		if (flags & UPDATE_HAS_PREFIX && block->data_len >= 2)
			memcpy(&prefix, block->data, 2);
		at += flags & UPDATE_HAS_PREFIX ? 2 : 0;
		at += flags & UPDATE_HAS_SUFFIX ? 2 : 0;
	}
	if (block->data_len < at + WAL_TUPLE_HEADER)
		return false;
	skipped = block->data[at + WAL_TUPLE_HEADER - 1];
	at += WAL_TUPLE_HEADER;
	if (skipped < TUPLE_HEADER || block->data_len - at < skipped - TUPLE_HEADER)
		return false;
	at += skipped - TUPLE_HEADER;
	*ret_span = (struct span){block->data + at, prefix, prefix + (block->data_len - at)};
	return true;
}

static bool
from_image(const struct sw_wal_block *block, uint32_t block_size, uint16_t offset, struct span *ret_span)
{
	size_t len;
	const uint8_t *row = sw_wal_decode_row(block, block_size, offset, &len);

	if (row == NULL || len < TUPLE_HEADER || row[TUPLE_HOFF_AT] < TUPLE_HEADER || row[TUPLE_HOFF_AT] > len)
		return false;
	*ret_span = (struct span){row + row[TUPLE_HOFF_AT], 0, len - row[TUPLE_HOFF_AT]};
	return true;
}

static bool
find_row(const struct sw_wal_parts *parts, const struct sw_wal_event *event, uint32_t block_size,
	struct span *ret_span)
{
	const struct sw_wal_block *block = sw_wal_decode_block(parts, 0);

	/* several at once are not made in these catalogs */
	if (block == NULL || event->rows.offset == 0)
		return false;
	return from_image(block, block_size, event->rows.offset, ret_span) ||
		from_data(parts, block, event->rows.change, ret_span);
}

static bool
column(const struct span *span, size_t at, void *ret_value, size_t len)
{
	if (at < span->from || at + len > span->to)
		return false;
	memcpy(ret_value, span->at + (at - span->from), len);
	return true;
}

/* OID, name, and as much of the head as there is. */
static void
read_head(const struct span *span, struct sw_wal_catalog_row *row)
{
	size_t to = span->to < SW_WAL_HEAD_LEN ? span->to : SW_WAL_HEAD_LEN;

	column(span, 0, &row->oid, 4);
	if (column(span, 4, row->name, sizeof(row->name)))
		row->name[sizeof(row->name) - 1] = '\0';
	if (span->from >= to)
		return;
	row->head.from = (uint8_t)span->from;
	row->head.to = (uint8_t)to;
	memcpy(row->head.bytes + span->from, span->at, to - span->from);
}

bool
sw_wal_catalog_class(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row)
{
	struct sw_wal_catalog_row row = {0};
	struct span span;

	if (!find_row(parts, event, block_size, &span))
		return false;
	read_head(&span, &row);
	column(&span, 68, &row.schema, 4);
	row.has_filenode = column(&span, 88, &row.filenode, 4);
	row.has_tablespace = column(&span, 92, &row.tablespace, 4);
	column(&span, record->format->major >= 18 ? 118 : 114, &row.persistence, 1);
	column(&span, record->format->major >= 18 ? 119 : 115, &row.kind, 1);
	*ret_row = row;
	return true;
}

bool
sw_wal_catalog_namespace(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row)
{
	struct sw_wal_catalog_row row = {0};
	struct span span;

	(void)record;
	if (!find_row(parts, event, block_size, &span))
		return false;
	read_head(&span, &row);
	*ret_row = row;
	return true;
}

bool
sw_wal_catalog_database(const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *event, uint32_t block_size, struct sw_wal_catalog_row *ret_row)
{
	struct sw_wal_catalog_row row = {0};
	int32_t connections = 0;
	struct span span;

	if (!find_row(parts, event, block_size, &span))
		return false;
	read_head(&span, &row);
	/* in 14 behind two names, datcollate and datctype */
	column(&span, record->format->major >= 15 ? 80 : 208, &connections, 4);
	row.invalid = connections == INVALID_DATABASE;
	*ret_row = row;
	return true;
}
