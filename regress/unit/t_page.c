/*
 * With a data directory and relative names of relation files: verify every page's checksum and print the
 * counts as name=value lines (for 020_pg.t).  Without: unit tests.
 */
#include "pg/page.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/file.h"
#include "pg/control.h"

struct counts {
	unsigned files, pages, new_pages, wrong;
	sw_lsn lsn_max;
};

static int
check_file(const char *pgdata, const char *name, const struct sw_control *control, struct counts *counts)
{
	SW_AUTO_FREE char *path = NULL;
	uint32_t page[32768 / 4];
	struct sw_relation_file file;
	struct sw_error err = SW_ERROR_INIT;
	size_t len;

	if (!sw_relation_file_parse(name, &file) || asprintf(&path, "%s/%s", pgdata, name) < 0) {
		fprintf(stderr, "%s is no relation file\n", name);
		return 1;
	}
	SW_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	counts->files++;
	for (uint32_t block = 0;; block++) {
		uint32_t number = file.segment * control->blocks_per_file + block;

		if (sw_file_pread(fd, page, control->block_size, (off_t)block * control->block_size, &len, path,
			&err) != SW_OK) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		if (len < control->block_size)
			return 0;
		counts->pages++;
		if (sw_page_is_new(page))
			counts->new_pages++;
		else if (sw_page_checksum(page, control->block_size, number) != sw_page_stored_checksum(page))
			counts->wrong++;
		if (sw_page_lsn(page) > counts->lsn_max)
			counts->lsn_max = sw_page_lsn(page);
	}
}

static int
check_files(int argc, char **argv)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_control control;
	struct counts counts = {0};

	if (sw_control_read(argv[1], &control, NULL, &err) != SW_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 2; i < argc; i++)
		if (check_file(argv[1], argv[i], &control, &counts) != 0)
			return 1;
	printf("files=%u\npages=%u\nnew=%u\nwrong=%u\nlsn_max=%llu\n", counts.files, counts.pages,
		counts.new_pages, counts.wrong, (unsigned long long)counts.lsn_max);
	return 0;
}

/* The description in storage/checksum_impl.h, column by column. */
static uint16_t
plain_checksum(const uint8_t *page, uint32_t block_size, uint32_t block, const uint32_t offsets[32])
{
	uint32_t result = 0;

	for (uint32_t column = 0; column < 32; column++) {
		uint32_t sum = offsets[column];

		for (uint32_t row = 0; row < block_size / 128 + 2; row++) {
			uint32_t value = 0;

			if (row < block_size / 128)
				memcpy(&value, page + row * 128 + column * 4, 4);
			if (row == 0 && column == 2)
				value &= 0xffff0000; /* pd_checksum counts as zero; little endian */
			sum ^= value;
			sum = sum * 16777619 ^ sum >> 17;
		}
		result ^= sum;
	}
	return (uint16_t)((result ^ block) % 65535 + 1);
}

static const uint32_t offsets[32] = {
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};

static void
test_block_sizes(void)
{
	for (uint32_t size = 1024; size <= 32768; size *= 2) {
		uint8_t *page = malloc(size), *before = malloc(size);
		unsigned wrong = 0;

		for (int round = 0; round < 50; round++) {
			for (uint32_t i = 0; i < size; i++)
				page[i] = (uint8_t)(random() >> 8);
			memcpy(before, page, size);
			wrong += sw_page_checksum(page, size, (uint32_t)round * 99999) !=
				plain_checksum(page, size, (uint32_t)round * 99999, offsets);
			wrong += memcmp(before, page, size) != 0;
		}
		tap_is_int(wrong, 0, "checksums of blocks of %u bytes, which are left alone", size);
		free(page);
		free(before);
	}
}

/* Values that a PostgreSQL 15 server's own code gave. */
static void
test_known_values(void)
{
	static uint32_t page[2048];
	uint8_t *bytes = (uint8_t *)page;

	tap_is_int(sw_page_checksum(page, 8192, 0), 50858, "8 kB of zeros, block 0");
	tap_is_int(sw_page_checksum(page, 8192, 7), 50861, "8 kB of zeros, block 7");
	for (int i = 0; i < 8192; i++)
		bytes[i] = (uint8_t)(i * 7);
	tap_is_int(sw_page_checksum(page, 8192, 4294967295u), 20351, "a ramp, the last block");
	bytes[8] ^= 0xff;
	bytes[9] ^= 0xff;
	tap_is_int(sw_page_checksum(page, 8192, 4294967295u), 20351, "the stored checksum does not count");
	bytes[10] ^= 1;
	tap_ok(sw_page_checksum(page, 8192, 4294967295u) != 20351, "the flags do");
}

static void
test_header(void)
{
	uint32_t page[256] = {0};
	uint8_t *bytes = (uint8_t *)page;

	tap_ok(sw_page_is_new(page), "zeros are a new page");
	bytes[15] = 1;
	tap_ok(!sw_page_is_new(page), "pd_upper makes it used");
	page[0] = 0x16;
	page[1] = 0xB374D848;
	tap_ok(sw_page_lsn(page) == UINT64_C(0x16B374D848), "pd_lsn");
	bytes[8] = 0x34;
	bytes[9] = 0x12;
	tap_is_int(sw_page_stored_checksum(page), 0x1234, "pd_checksum");
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return check_files(argc, argv);
	test_block_sizes();
	test_known_values();
	test_header();
	return tap_done();
}
