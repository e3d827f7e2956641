#include "backup/spill.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

#define NAME "a temporary file"

sw_rc
sw_spill_init(struct sw_spill *spill, const char *dir, size_t record_len, struct sw_error *err)
{
	int fd;
	sw_rc rc = sw_file_open_unlinked(dir, &fd, err);

	if (rc == SW_OK)
		*spill = (struct sw_spill){.fd = fd, .record_len = record_len};
	return rc;
}

void
sw_spill_release(struct sw_spill *spill)
{
	if (spill->map != NULL)
		munmap(spill->map, spill->count * spill->record_len);
	if (spill->record_len > 0)
		close(spill->fd);
	*spill = (struct sw_spill){0};
}

sw_rc
sw_spill_reset(struct sw_spill *spill, struct sw_error *err)
{
	if (ftruncate(spill->fd, 0) != 0)
		return sw_fail_errno(err, "truncating " NAME);
	spill->count = 0;
	return SW_OK;
}

sw_rc
sw_spill_append(struct sw_spill *spill, const void *records, uint64_t count, uint64_t *ret_index,
	struct sw_error *err)
{
	sw_rc rc;

	if (spill->map != NULL)
		return sw_fail(err, SW_BUG, "appending to an array that is mapped");
	rc = sw_file_pwrite_all(spill->fd, records, count * spill->record_len,
		(off_t)(spill->count * spill->record_len), NAME, err);
	if (rc != SW_OK)
		return rc;
	*ret_index = spill->count;
	spill->count += count;
	return SW_OK;
}

sw_rc
sw_spill_read(const struct sw_spill *spill, uint64_t index, uint64_t count, void *records,
	struct sw_error *err)
{
	size_t len = count * spill->record_len, got;
	sw_rc rc;

	if (index > spill->count || count > spill->count - index)
		return sw_fail(err, SW_BUG, "reading behind the end of an array");
	rc = sw_file_pread(spill->fd, records, len, (off_t)(index * spill->record_len), &got, NAME, err);
	if (rc == SW_OK && got != len)
		rc = sw_fail(err, SW_SYSTEM, NAME " became shorter");
	return rc;
}

sw_rc
sw_spill_map(struct sw_spill *spill, struct sw_error *err)
{
	void *map;

	if (spill->map != NULL || spill->count == 0)
		return SW_OK;
	map = mmap(NULL, spill->count * spill->record_len, PROT_READ | PROT_WRITE, MAP_SHARED, spill->fd, 0);
	if (map == MAP_FAILED)
		return sw_fail_errno(err, "mapping " NAME);
	spill->map = map;
	return SW_OK;
}

static void
swap(uint8_t *a, uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

static void
sift_down(uint8_t *base, size_t len, uint64_t at, uint64_t count,
	int (*compare)(const void *a, const void *b))
{
	for (;;) {
		uint64_t child = 2 * at + 1;

		if (child >= count)
			return;
		if (child + 1 < count && compare(base + child * len, base + (child + 1) * len) < 0)
			child++;
		if (compare(base + at * len, base + child * len) >= 0)
			return;
		swap(base + at * len, base + child * len, len);
		at = child;
	}
}

/* Heapsort: qsort takes memory in proportion. */
void
sw_spill_sort(struct sw_spill *spill, int (*compare)(const void *a, const void *b))
{
	size_t len = spill->record_len;
	uint8_t *base = spill->map;
	uint64_t count = spill->count;

	for (uint64_t i = count / 2; i-- > 0;)
		sift_down(base, len, i, count, compare);
	for (uint64_t i = count; i-- > 1;) {
		swap(base, base + i * len, len);
		sift_down(base, len, 0, i, compare);
	}
}
