#include "wal/temporary.h"

static uint32_t
slot(const struct sw_wal_temporary *t, uint32_t a, uint32_t b)
{
	return ((a * t->salt + b) * t->salt >> 16) % SW_WAL_TEMPORARY_ROWS;
}

static uint32_t
slot_of_row(const struct sw_wal_temporary *t, uint32_t database, uint32_t block, uint16_t offset)
{
	return slot(t, database, block << 8 ^ offset);
}

bool
sw_wal_temporary_row(const struct sw_wal_temporary *t, uint32_t database, uint32_t file, uint32_t block, uint16_t offset)
{
	uint32_t i = slot_of_row(t, database, block, offset);

	return offset != 0 && t->rows[i].offset == offset && t->rows[i].block == block && t->rows[i].file == file &&
		t->rows[i].database == database;
}

void
sw_wal_temporary_set_row(struct sw_wal_temporary *t, uint32_t database, uint32_t file, uint32_t block, uint16_t offset,
	bool temporary)
{
	uint32_t i = slot_of_row(t, database, block, offset);

	if (!temporary && !sw_wal_temporary_row(t, database, file, block, offset))
		return;
	t->rows[i].database = database;
	t->rows[i].file = file;
	t->rows[i].block = block;
	t->rows[i].offset = temporary ? offset : 0;
}

bool
sw_wal_temporary_relation(const struct sw_wal_temporary *t, uint32_t database, uint32_t oid)
{
	uint32_t i = slot(t, database, oid);

	return oid != 0 && t->relations[i].oid == oid && t->relations[i].database == database;
}

void
sw_wal_temporary_set_relation(struct sw_wal_temporary *t, uint32_t database, uint32_t oid, bool temporary)
{
	uint32_t i = slot(t, database, oid);

	if (!temporary && !sw_wal_temporary_relation(t, database, oid))
		return;
	t->relations[i].database = database;
	t->relations[i].oid = temporary ? oid : 0;
}
