#include "wal/meaning.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_NORMAL_XID 3
#define GLOBAL_TABLESPACE 1664

/* --- transaction ids ------------------------------------------------------------------- */

uint64_t
sw_wal_meaning_xid(const struct sw_wal_meaning *m, uint32_t xid)
{
	int64_t distance = (int32_t)(xid - (uint32_t)m->next_xid);

	if (m->next_xid == 0 || xid < FIRST_NORMAL_XID || (distance < 0 && m->next_xid < (uint64_t)-distance))
		return 0;
	return m->next_xid + (uint64_t)distance;
}

static void
see_xid(struct sw_wal_meaning *m, uint32_t xid)
{
	uint64_t full = sw_wal_meaning_xid(m, xid);

	if (full >= m->next_xid && full != 0)
		m->next_xid = full + 1;
}

/* --- which relation is which ------------------------------------------------------------- */

/* Where it is among the files, which are sorted, or would be. */
static size_t
find_class_file(const struct sw_wal_meaning *m, uint32_t database, uint32_t filenode, bool *ret_found)
{
	size_t low = 0, high = m->class_file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sw_filenode *f = &m->class_files[middle];

		if (f->filenode < filenode || (f->filenode == filenode && f->database < database))
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = low < m->class_file_count && m->class_files[low].filenode == filenode &&
		m->class_files[low].database == database;
	return low;
}

static void
add_class_file(struct sw_wal_meaning *m, uint32_t database, uint32_t filenode)
{
	bool found;
	size_t at = find_class_file(m, database, filenode, &found);

	if (found || m->class_file_count == SW_FILENODES_MAX)
		return;
	memmove(&m->class_files[at + 1], &m->class_files[at], (m->class_file_count - at) * sizeof(*m->class_files));
	m->class_files[at] = (struct sw_filenode){database, filenode};
	m->class_file_count++;
	m->class_file_bits |= UINT64_C(1) << filenode % 64;
}

static void
learn_map(struct sw_wal_meaning *m, const struct sw_wal_event *e)
{
	const struct sw_wal_list *pairs = &e->relation_map.pairs;
	uint32_t oid, filenode, database = e->relation_map.database;

	for (uint32_t n = 0; n < pairs->count; n++) {
		sw_wal_event_pair(pairs, n, &oid, &filenode);
		if (database == 0 && oid == SW_WAL_PG_DATABASE)
			m->database_file = filenode;
		if (database != 0 && oid == SW_WAL_PG_CLASS)
			add_class_file(m, database, filenode);
	}
}

/* A file that once was pg_class's is never another relation's while the database lives: filenodes rise. */
static bool
is_class_file(const struct sw_wal_meaning *m, const struct sw_wal_relation *relation)
{
	bool found;

	if (relation->filenode == SW_WAL_PG_CLASS)
		return true;
	if ((m->class_file_bits >> relation->filenode % 64 & 1) == 0)
		return false;
	find_class_file(m, relation->database, relation->filenode, &found);
	return found;
}

/* SW_WAL_PG_CLASS, SW_WAL_PG_NAMESPACE, SW_WAL_PG_DATABASE or 0. */
static uint32_t
catalog_of(const struct sw_wal_meaning *m, const struct sw_wal_relation *relation)
{
	if (relation->database != 0) {
		/* it is not mapped: nobody could tell which other file is its */
		if (relation->filenode == SW_WAL_PG_NAMESPACE)
			return SW_WAL_PG_NAMESPACE;
		return is_class_file(m, relation) ? SW_WAL_PG_CLASS : 0;
	}
	return relation->tablespace == GLOBAL_TABLESPACE && (relation->filenode == SW_WAL_PG_DATABASE ||
		relation->filenode == m->database_file) ? SW_WAL_PG_DATABASE : 0;
}

static bool
is_counted(const struct sw_wal_meaning *m, const struct sw_wal_relation *relation)
{
	return m->params.changes_from == 0 ||
		(relation->filenode >= m->params.changes_from && catalog_of(m, relation) == 0);
}

/* --- records -------------------------------------------------------------------------------- */

static void
see_end(struct sw_wal_meaning *m, const struct sw_wal_record *record, const struct sw_wal_event *e)
{
	uint64_t full = sw_wal_meaning_xid(m, e->transaction.xid);
	struct sw_wal_moment now = {
		.time_us = e->transaction.time_us,
		.lsn = record->lsn,
		.xid = full != 0 ? full : e->transaction.xid,
		.xid_full = full != 0,
	};

	if (e->kind == SW_WAL_COMMIT)
		m->commits++;
	else
		m->aborts++;
	if (m->first.lsn == 0)
		m->first = m->earliest = m->latest = now;
	if (now.time_us < m->earliest.time_us)
		m->earliest = now;
	if (now.time_us > m->latest.time_us)
		m->latest = now;
	m->last = now;
	sw_wal_change_end(&m->changes, e);
}

static bool
read_row(const struct sw_wal_meaning *m, const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *e, uint32_t catalog, struct sw_wal_catalog_row *ret_row)
{
	uint32_t block_size = m->params.block_size;

	if (catalog == SW_WAL_PG_CLASS)
		return sw_wal_catalog_class(record, parts, e, block_size, ret_row);
	if (catalog == SW_WAL_PG_NAMESPACE)
		return sw_wal_catalog_namespace(record, parts, e, block_size, ret_row);
	return sw_wal_catalog_database(record, parts, e, block_size, ret_row);
}

static sw_rc
tell(struct sw_wal_meaning *m, const struct sw_wal_record *record, const struct sw_wal_parts *parts,
	const struct sw_wal_event *e, struct sw_error *err)
{
	struct sw_wal_news news = {.record = record, .event = e};
	struct sw_wal_catalog_row row;
	uint32_t xid = record->xid;

	if (m->params.each == NULL)
		return SW_OK;
	if (e->kind == SW_WAL_ROWS) {
		news.catalog = catalog_of(m, &e->rows.relation);
		if (news.catalog == 0)
			return SW_OK;
		if (read_row(m, record, parts, e, news.catalog, &row))
			news.row = &row;
	}
	if (e->kind == SW_WAL_COMMIT || e->kind == SW_WAL_ABORT || e->kind == SW_WAL_PREPARE)
		xid = e->transaction.xid;
	news.xid = sw_wal_meaning_xid(m, xid);
	return m->params.each(m->params.ctx, &news, err);
}

static void
see_malformed(struct sw_wal_meaning *m, sw_lsn lsn)
{
	if (m->malformed++ == 0)
		m->malformed_at = lsn;
}

sw_rc
sw_wal_meaning_record(void *ctx, const struct sw_wal_record *record, struct sw_error *err)
{
	struct sw_wal_meaning *m = ctx;
	struct sw_wal_parts parts;
	struct sw_wal_event e;

	m->records[record->rmgr]++;
	m->bytes[record->rmgr] += record->total_len;
	see_xid(m, record->xid);
	if (!sw_wal_decode(record, &parts)) {
		see_malformed(m, record->lsn);
		return SW_OK;
	}
	m->images += parts.image_count;
	m->image_bytes += parts.image_bytes;
	if (!sw_wal_event_says(record->rmgr))
		return SW_OK;
	if (!sw_wal_event_read(record, &parts, &e)) {
		see_malformed(m, record->lsn);
		return SW_OK;
	}
	if (e.kind == SW_WAL_NOTHING)
		return SW_OK;
	if (e.kind == SW_WAL_CHECKPOINT && e.checkpoint.next_xid > m->next_xid)
		m->next_xid = e.checkpoint.next_xid;
	else if (e.kind == SW_WAL_ROWS && is_counted(m, &e.rows.relation))
		sw_wal_change_add(&m->changes, record->xid, record->lsn, &e);
	else if (e.kind == SW_WAL_COMMIT || e.kind == SW_WAL_ABORT)
		see_end(m, record, &e);
	else if (e.kind == SW_WAL_RELATION_MAP)
		learn_map(m, &e);
	return tell(m, record, &parts, &e, err);
}

sw_rc
sw_wal_meaning_init(struct sw_wal_meaning *m, const struct sw_wal_meaning_params *params, struct sw_error *err)
{
	memset(m, 0, sizeof(*m));
	m->params = *params;
	m->next_xid = params->next_xid;
	m->database_file = params->database_file;
	m->class_files = calloc(SW_FILENODES_MAX, sizeof(*m->class_files));
	if (m->class_files == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; i < params->class_file_count; i++)
		add_class_file(m, params->class_files[i].database, params->class_files[i].filenode);
	m->params.class_files = NULL;
	return sw_wal_change_init(&m->changes, params->changes_max, params->changes_min, err);
}

void
sw_wal_meaning_release(struct sw_wal_meaning *m)
{
	sw_wal_change_release(&m->changes);
	free(m->class_files);
	m->class_files = NULL;
}
