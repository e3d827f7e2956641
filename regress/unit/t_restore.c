/*
 * Restores of backups that are made here, most of them hostile: nothing may be written outside.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "../tap.h"
#include "backup/relocate.h"
#include "backup/restore.h"
#include "backup/spill.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "pg/control.h"
#include "store/posix.h"

#define BLOCK 8192
#define PAGES 5000 /* two chunks */
#define SYSTEM 77

static char dir[] = "/tmp/t_restore.XXXXXX";
static struct sw_store *store;
static struct sw_repository repo;

static const char *
in_dir(const char *name)
{
	static char paths[8][1024];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* --- texts of configuration -------------------------------------------------------- */

static void
test_conf(void)
{
	static const struct {
		const char *line, *name, *value; /* name NULL: sets nothing */
	} lines[] = {
		{"port = 5432", "port", "5432"},
		{"port 5432 # why", "port", "5432"},
		{"  Archive_Command\t=\t'cp %p /x'# c", "Archive_Command", "cp %p /x"},
		{"a.b='it''s \\'x\\' \\\\'", "a.b", "it's 'x' \\"},
		{"x=''", "x", ""},
		{"# port = 1", NULL, NULL},
		{"", NULL, NULL},
		{"x", NULL, NULL},
		{"x = 'open", NULL, NULL},
		{"= 5", NULL, NULL},
		{"5x = 5", NULL, NULL},
	};
	static const struct sw_conf_setting set[] = {{"port", "1"}, {"recovery_target_name", "it's a \\ back"}};
	static const char old[] = "# top\nPORT = 5432\nwork_mem = '4MB'\nrecovery_target_name='foo'\nlast = 1";
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char name[SW_CONF_NAME_MAX] = "", value[SW_CONF_VALUE_MAX] = "";
		bool sets = sw_conf_parse_line(lines[i].line, strlen(lines[i].line), name, value);

		tap_is(sets ? name : NULL, lines[i].name, "name in \"%s\"", lines[i].line);
		if (lines[i].name != NULL)
			tap_is(value, lines[i].value, "value in \"%s\"", lines[i].line);
	}
	sw_buf_init(&buf, 4096);
	sw_conf_append_without(&buf, old, strlen(old), set, 2, &err);
	sw_conf_append(&buf, &set[1], &err);
	tap_is((char *)buf.data, "# top\nwork_mem = '4MB'\nlast = 1\nrecovery_target_name = 'it''s a \\\\ back'\n",
		"lines that set the same go, the others stay");
	tap_is_int(sw_conf_append(&buf, &(struct sw_conf_setting){"x", "a\nb"}, &err), SW_CONFIG,
		"a line break in a value is refused");
	tap_ok(sw_conf_points_elsewhere("HBA_file", "/etc/x") && !sw_conf_points_elsewhere("hba_file", "x") &&
		sw_conf_points_elsewhere("archive_command", "cp") && !sw_conf_points_elsewhere("port", "/x"),
		"settings that point elsewhere are known");
}

/* --- tablespaces and links --------------------------------------------------------- */

static void
test_relocate(void)
{
	static const struct {
		const char *map[3];
		bool in_place;
		const char *want; /* places of 16384 (/old/a) and 16385 (/old/b=c); or words of the error */
	} cases[] = {
		{{"/old/a=/new/a", "16385=/new/b"}, false, "/new/a /new/b"},
		{{"/old/a/=/new/a", "/old/b\\=c=/new/b=c"}, false, "/new/a /new/b=c"},
		{{NULL}, true, "/old/a /old/b=c"},
		{{"16384=/new/a"}, true, "/new/a /old/b=c"},
		{{"16384=/new/a"}, false, "1 tablespace is not mapped: /old/b=c (OID 16385)"},
		{{NULL}, false, "2 tablespaces are not mapped: /old/a (OID 16384), /old/b=c (OID 16385)"},
		{{"16384=/x", "/old/a=/y"}, true, "mapped twice"},
		{{"16386=/x"}, true, "no such tablespace"},
		{{"/old=/x"}, true, "no such tablespace"},
		{{"/old/a=x"}, true, "absolute"},
		{{"/old/a"}, true, "OLD=NEW"},
		{{"=/x"}, true, "OLD=NEW"},
	};
	static const struct {
		const char *path, *target;
		bool out;
	} links[] = {
		{"a", "b", false}, {"d/a", "../b", false}, {"d/a", "../../b", true}, {"a", "../b", true},
		{"a", "/b", true}, {"d/e/a", "./..//../x", false}, {"a", "b/../../c", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_relocate r = {0};
		struct sw_error err = SW_ERROR_INIT;
		char got[64] = "";
		size_t count = 0;
		sw_rc rc;

		while (count < 3 && cases[i].map[count] != NULL)
			count++;
		sw_relocate_add(&r, "pg_tblspc/16384", "/old/a", &err);
		sw_relocate_add(&r, "pg_tblspc/16385", "/old/b=c", &err);
		rc = sw_relocate_resolve(&r, cases[i].map, count, cases[i].in_place, &err);
		if (rc == SW_OK)
			snprintf(got, sizeof(got), "%s %s", r.items[0].to, r.items[1].to);
		if (!tap_ok(rc == SW_OK ? strcmp(got, cases[i].want) == 0 : rc == SW_CONFIG &&
			strstr(err.text, cases[i].want) != NULL, "tablespaces: %s", cases[i].want))
			tap_note("%s %s", got, err.text);
		sw_relocate_release(&r);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		tap_is_int(sw_relocate_leads_out(links[i].path, links[i].target), links[i].out, "link %s -> %s",
			links[i].path, links[i].target);
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
test_spill(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_spill spill = {0};
	uint32_t number = 12345, got[2];
	uint64_t index;
	bool sorted = true;

	sw_spill_init(&spill, dir, sizeof(number), &err);
	for (int i = 0; i < 10000; i++) {
		number = number * 1103515245 + 12345;
		sw_spill_append(&spill, &number, 1, &index, &err);
	}
	tap_is_int(sw_spill_read(&spill, 9999, 2, got, &err), SW_BUG, "reading behind the end is refused");
	tap_ok(sw_spill_read(&spill, 9999, 1, got, &err) == SW_OK && got[0] == number, "a record is read back");
	sw_spill_map(&spill, &err);
	sw_spill_sort(&spill, compare_numbers);
	for (int i = 1; i < 10000; i++)
		sorted = sorted && ((uint32_t *)spill.map)[i - 1] <= ((uint32_t *)spill.map)[i];
	tap_ok(sorted, "10,000 records are sorted");
	sw_spill_release(&spill);
}

/* --- making backups ---------------------------------------------------------------- */

struct made {
	struct sw_entry entries[16];
	size_t entry_count;
	struct sw_chunk_ref chunks[2];
	struct sw_pack_info packs[4];
	size_t pack_count;
	uint8_t *frames[16];
};

static uint8_t big[PAGES * BLOCK - 100]; /* its last page is short */

static sw_rc
pack_made(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct made *m = ctx;

	(void)err;
	m->packs[m->pack_count++] = *info;
	return SW_OK;
}

static void
add_inline(struct made *m, enum sw_entry_type type, const char *path, const void *data, size_t len)
{
	size_t max = ZSTD_compressBound(len);
	uint8_t *frame = m->frames[m->entry_count] = malloc(max);

	m->entries[m->entry_count++] = (struct sw_entry){
		.type = type, .path = path, .mode = 0640, .mtime_us = 1700000000123456, .size = len,
		.frame = frame, .frame_len = ZSTD_compress(frame, max, data, len, 1),
		.hash = sw_page_hash(data, len, repo.reg.page_hash_secret),
	};
}

static void
add_plain(struct made *m, enum sw_entry_type type, const char *path, const char *target)
{
	m->entries[m->entry_count++] = (struct sw_entry){.type = type, .path = path, .target = target, .mode = 0750,
		.mtime_us = 1700000000123456};
}

/* Frames of 16 pages, map chunks of their own; page 100 has the wrong hash if `wrong`. */
static sw_rc
add_big(struct made *m, const char *label, bool wrong, struct sw_error *err)
{
	struct sw_pack_writer data = {0}, map = {0};
	struct sw_map_chunk chunk;
	atomic_uint numbers[2] = {1, 1};
	struct sw_pack_writer_params params = {.repo = &repo, .label = label, .suffix = "pack", .numbers = &numbers[0],
		.max = SW_PACK_BYTES, .level = 1, .done = pack_made, .ctx = m};
	SW_AUTO_BUF buf;
	sw_rc rc = sw_pack_writer_init(&data, &params, err);

	params.suffix = "map";
	params.numbers = &numbers[1];
	sw_buf_init(&buf, SW_CHUNK_BYTES_MAX);
	if (rc == SW_OK)
		rc = sw_pack_writer_init(&map, &params, err);
	if (rc == SW_OK)
		rc = sw_map_chunk_init(&chunk, BLOCK, err);
	for (size_t c = 0; rc == SW_OK && c < 2; c++) {
		size_t first = c * SW_CHUNK_PAGES, pages = PAGES - first < SW_CHUNK_PAGES ? PAGES - first : SW_CHUNK_PAGES;
		struct sw_frame_ref ref;

		sw_map_chunk_reset(&chunk);
		chunk.page_count = (uint32_t)pages;
		chunk.last_page_len = c == 1 ? BLOCK - 100 : BLOCK;
		for (size_t p = 0; rc == SW_OK && p < pages; p += 16) {
			size_t n = pages - p < 16 ? pages - p : 16, at = (first + p) * BLOCK;
			size_t len = at + n * BLOCK > sizeof(big) ? sizeof(big) - at : n * BLOCK;

			rc = sw_pack_writer_add(&data, big + at, len, "base/1/big", first + p, (uint32_t)n,
				&chunk.frames[chunk.frame_count], err);
			chunk.frames[chunk.frame_count].pack = sw_map_chunk_pack(&chunk, data.name);
			chunk.runs[chunk.run_count++] = (struct sw_run){(uint32_t)p, (uint32_t)n, chunk.frame_count++, 0};
			for (size_t i = 0; i < n; i++) {
				size_t page = at + i * BLOCK;

				chunk.hashes[p + i] = sw_page_hash(big + page,
					page + BLOCK > sizeof(big) ? sizeof(big) - page : BLOCK, repo.reg.page_hash_secret);
			}
		}
		if (wrong && c == 0)
			chunk.hashes[100].bytes[0] ^= 1;
		if (rc == SW_OK)
			rc = sw_map_chunk_encode(&chunk, &buf, err);
		if (rc == SW_OK)
			rc = sw_pack_writer_add(&map, buf.data, buf.len, "base/1/big", first, (uint32_t)pages, &ref, err);
		m->chunks[c] = (struct sw_chunk_ref){.offset = ref.offset, .stored_len = ref.stored_len};
		memcpy(m->chunks[c].sha256, ref.sha256, SW_SHA256_LEN);
		snprintf(m->chunks[c].pack, SW_PACK_NAME_MAX, "%s", map.name);
	}
	sw_map_chunk_release(&chunk);
	/* packs by name: "….map" before "….pack" */
	if (rc == SW_OK)
		rc = sw_pack_writer_finish(&map, err);
	if (rc == SW_OK)
		rc = sw_pack_writer_finish(&data, err);
	sw_pack_writer_release(&data);
	sw_pack_writer_release(&map);
	m->entries[m->entry_count++] = (struct sw_entry){.type = SW_ENTRY_FILE, .path = "base/1/big", .mode = 0600,
		.mtime_us = 1700000000123456, .size = sizeof(big), .chunks = m->chunks, .chunk_count = 2};
	return rc;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct sw_entry *)a)->path, ((const struct sw_entry *)b)->path);
}

/* A pg_control as PostgreSQL 15 writes it; offsets of catalog/pg_control.h. */
static void
make_control(uint8_t control[SW_CONTROL_FILE_SIZE])
{
	static const struct {
		size_t at;
		uint32_t value;
	} fields[] = {
		{0, SYSTEM}, {8, 1300}, {12, 202209061}, {16, 1}, {48, 1}, {204, 8}, {216, 8192}, {220, 131072}, {224, 8192},
		{228, 16 << 20},
	};
	uint32_t crc;

	memset(control, 0, SW_CONTROL_FILE_SIZE);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		memcpy(control + fields[i].at, &fields[i].value, sizeof(uint32_t));
	crc = sw_crc32c(0, control, 288);
	memcpy(control + 288, &crc, sizeof(crc));
}

/*
 * What no writer writes: ".." where a path has "UP", a slash where it has "SLASH_".
 */
static void
make_hostile(struct sw_buf *manifest)
{
	static const char *const words[][2] = {{"UP", ".."}, {"SLASH_", "\\u002f"}};
	struct sw_error err = SW_ERROR_INIT;
	char *text = calloc(1, 1 << 20);
	size_t len = ZSTD_decompress(text, (1 << 20) - 1, manifest->data, manifest->len);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (char *at = text; (at = strstr(at, words[i][0])) != NULL;)
			memcpy(at, words[i][1], strlen(words[i][0]));
	sw_buf_reset(manifest);
	if (ZSTD_isError(len) || sw_buf_reserve(manifest, ZSTD_compressBound(len), &err) != SW_OK)
		tap_ok(false, "the hostile manifest is made");
	else
		manifest->len = ZSTD_compress(manifest->data, manifest->cap, text, len, 1);
	free(text);
}

static sw_rc
put_backup(const char *label, struct made *m, struct sw_error *err)
{
	struct sw_manifest_header header = {
		.system_identifier = SYSTEM, .pg_version = 150020, .major = 15, .block_size = BLOCK,
		.segment_size = 16 << 20, .blocks_per_file = 131072, .timeline = 1, .start = 0x28, .stop = 0x100,
		.entry_count = m->entry_count, .pack_count = m->pack_count,
	};
	__attribute__((cleanup(sw_manifest_writer_release))) struct sw_manifest_writer w = {0};
	struct sw_stage_buf end;
	SW_AUTO_BUF buf;
	sw_rc rc;

	snprintf(header.label, sizeof(header.label), "%s", label);
	snprintf(header.cluster, sizeof(header.cluster), "main");
	memcpy(header.registration, repo.reg.id, sizeof(header.registration));
	qsort(m->entries, m->entry_count, sizeof(m->entries[0]), compare_entries);
	sw_buf_init(&buf, 1 << 20);
	sw_stage_buf_init(&end, &buf);
	rc = sw_manifest_writer_init(&w, &header, &end.stage, err);
	for (size_t i = 0; rc == SW_OK && i < m->entry_count; i++)
		rc = sw_manifest_writer_entry(&w, &m->entries[i], err);
	for (size_t i = 0; rc == SW_OK && i < m->pack_count; i++)
		rc = sw_manifest_writer_pack(&w, &m->packs[i], err);
	if (rc == SW_OK)
		rc = sw_manifest_writer_finish(&w, err);
	if (rc == SW_OK)
		make_hostile(&buf);
	for (int i = 0; rc == SW_OK && i < 2; i++) {
		struct sw_store_body body = sw_store_body_mem(buf.data, buf.len);
		char name[SW_STORE_NAME_MAX];

		rc = sw_store_put(store, sw_repository_name(&repo, name, "backup/%s/manifest%s.zst", label,
			i == 0 ? "" : ".copy"), &body, err);
	}
	return rc;
}

/* What every backup holds. */
static void
start_backup(struct made *m)
{
	uint8_t control[SW_CONTROL_FILE_SIZE];

	*m = (struct made){0};
	make_control(control);
	add_inline(m, SW_ENTRY_FILE, "backup_label", "START", 5);
	add_inline(m, SW_ENTRY_FILE, "PG_VERSION", "15\n", 3);
	add_plain(m, SW_ENTRY_DIRECTORY, "base", NULL);
	add_plain(m, SW_ENTRY_DIRECTORY, "global", NULL);
	add_inline(m, SW_ENTRY_FILE, "global/pg_control", control, sizeof(control));
}

static void
end_backup(struct made *m)
{
	for (size_t i = 0; i < 16; i++)
		free(m->frames[i]);
}

static sw_rc
restore_to(const char *label, const char *to, const struct sw_restore_job *more, struct sw_restore_result *ret,
	struct sw_error *err)
{
	static const struct sw_conf_setting settings[] = {{"recovery_target_timeline", "1"}};
	struct sw_restore_result result = {0};
	struct sw_restore_job job = more != NULL ? *more : (struct sw_restore_job){0};
	sw_rc rc;

	job.repo = &repo;
	job.label = label;
	job.pgdata = to;
	job.workers = 2;
	job.settings = settings;
	job.setting_count = 1;
	rc = sw_restore(&job, &result, err);
	if (rc == SW_OK && ret != NULL)
		*ret = result;
	else if (rc == SW_OK)
		sw_restore_result_release(&result);
	return rc;
}

static bool
exists(const char *name)
{
	struct stat st;

	return lstat(in_dir(name), &st) == 0;
}

/* --- a sound backup ---------------------------------------------------------------- */

static bool
same_as_big(const char *name)
{
	SW_AUTO_BUF buf;
	struct sw_error err = SW_ERROR_INIT;

	sw_buf_init(&buf, 0);
	return sw_file_read(in_dir(name), sizeof(big), &buf, &err) == SW_OK && buf.len == sizeof(big) &&
		memcmp(buf.data, big, sizeof(big)) == 0;
}

/* As a killed restore leaves it: everything but the end, a stretch of pages not yet written. */
static void
undo_partly(const char *name)
{
	char path[160];
	uint8_t zeros[64 * BLOCK] = {0};
	int fd;
	struct sw_error err = SW_ERROR_INIT;

	snprintf(path, sizeof(path), "%s/global/pg_control", in_dir(name));
	unlink(path);
	snprintf(path, sizeof(path), "%s/base/1/big", in_dir(name));
	fd = open(path, O_WRONLY);
	sw_file_pwrite_all(fd, zeros, sizeof(zeros), 2000 * BLOCK, path, &err);
	close(fd);
}

static void
test_sound(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_restore_result result = {0};
	struct made m;
	struct stat st;
	SW_AUTO_BUF marker;
	sw_rc rc;

	start_backup(&m);
	add_plain(&m, SW_ENTRY_DIRECTORY, "base/1", NULL);
	add_plain(&m, SW_ENTRY_DIRECTORY, "empty", NULL);
	add_plain(&m, SW_ENTRY_LINK, "pg_wal", "/somewhere/else");
	add_inline(&m, SW_ENTRY_FILE, "nothing", "", 0);
	add_inline(&m, SW_ENTRY_FILE, "postgresql.auto.conf", "recovery_target_timeline = 'latest'\n", 36);
	add_inline(&m, SW_ENTRY_FILE, "standby.signal", "", 0);
	add_inline(&m, SW_ENTRY_OUTSIDE, "/etc/x/postgresql.conf", "hba_file = '/etc/x/hba'\ninclude_dir 'conf.d'\ninclude_dir '../evil'\n", 67);
	rc = add_big(&m, "sound", false, &err);
	if (rc == SW_OK)
		rc = put_backup("sound", &m, &err);
	if (rc == SW_OK)
		rc = restore_to("sound", in_dir("sound"), NULL, &result, &err);
	end_backup(&m);
	if (!tap_is_int(rc, SW_OK, "a sound backup is restored"))
		tap_note("%s", err.text);
	tap_ok(same_as_big("sound/base/1/big"), "... byte for byte");
	tap_ok(stat(in_dir("sound/base/1/big"), &st) == 0 && (st.st_mode & 07777) == 0600 &&
		st.st_mtim.tv_sec == 1700000000 && st.st_mtim.tv_nsec == 123456000, "... with mode and time");
	tap_ok(stat(in_dir("sound"), &st) == 0 && (st.st_mode & 07777) == 0750, "... and the directory's mode");
	tap_ok(exists("sound/empty") && exists("sound/nothing"), "... empty directories and files too");
	tap_ok(lstat(in_dir("sound/pg_wal"), &st) == 0 && S_ISDIR(st.st_mode), "a link pg_wal becomes a directory");
	tap_ok(!exists("sound/standby.signal") && exists("sound/recovery.signal"), "the signal file is this restore's");
	tap_ok(exists("sound/seawall_outside_config/etc/x/postgresql.conf"), "outside configuration lies below");
	tap_ok(exists("sound/seawall_outside_config/etc/x/conf.d") && !exists("sound/seawall_outside_config/etc/evil"),
		"... with the empty directory that it includes");
	tap_is_int((long long)result.note_count, 2, "... and it, and what it names, is noted");
	tap_ok(!exists("sound/" SW_RESTORE_MARKER) && exists("sound/global/pg_control"), "it is complete");
	sw_restore_result_release(&result);

	tap_is_int(restore_to("sound", in_dir("sound"), NULL, NULL, &err), SW_CONFIG, "a full directory is refused");

	/* the marker of this very plan: that of a restore which cannot end */
	mkdir(in_dir("again"), 0700);
	tap_is_int(restore_to("sound", in_dir("again"), NULL, NULL, &err), SW_OK, "once more elsewhere");
	sw_buf_init(&marker, 0);
	undo_partly("again");
	tap_is_int(restore_to("sound", in_dir("again"), NULL, NULL, &err), SW_CONFIG,
		"what has no marker is not touched");

	mkdir(in_dir("half"), 0700);
	sw_file_write(in_dir("half/" SW_RESTORE_MARKER), "", 0, 0600, &err);
	sw_file_write(in_dir("half/mine"), "x", 1, 0600, &err);
	tap_is_int(restore_to("sound", in_dir("half"), NULL, NULL, &err), SW_CORRUPT, "half a marker is none");
	unlink(in_dir("half/mine"));
	tap_is_int(restore_to("sound", in_dir("half"), NULL, NULL, &err), SW_OK,
		"... but where nothing else is a restore was killed at its start");
	tap_ok(!exists("half/" SW_RESTORE_MARKER) && same_as_big("half/base/1/big"), "... and is made");
}

/* --- resuming ------------------------------------------------------------------------ */

/* The first run fails at a damaged pack, which is mended afterwards. */
static void
test_resume(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct sw_restore_result result = {0};
	struct made m;
	char pack[160];
	SW_AUTO_BUF whole;
	int fd;
	sw_rc rc;

	sw_buf_init(&whole, 0);
	start_backup(&m);
	add_plain(&m, SW_ENTRY_DIRECTORY, "base/1", NULL);
	rc = add_big(&m, "resume", false, &err);
	if (rc == SW_OK)
		rc = put_backup("resume", &m, &err);
	snprintf(pack, sizeof(pack), "%s/repo/main/77/pack/%s", dir, m.packs[m.pack_count - 1].name);
	end_backup(&m);
	tap_is_int(rc, SW_OK, "a backup to damage");
	sw_file_read(pack, SW_PACK_BYTES, &whole, &err);
	chmod(pack, 0600);
	fd = open(pack, O_WRONLY);
	sw_file_pwrite_all(fd, "damage", 6, (off_t)whole.len / 2, pack, &err);
	close(fd);
	tap_is_int(restore_to("resume", in_dir("resume"), NULL, NULL, &err), SW_CORRUPT, "a damaged pack is seen");
	tap_ok(strstr(err.text, pack + strlen(dir) + 6) != NULL, "... and named");
	tap_ok(!exists("resume/global/pg_control") && exists("resume/" SW_RESTORE_MARKER), "... nothing can be started");
	tap_is_int(restore_to("sound", in_dir("resume"), NULL, NULL, &err), SW_CONFIG, "another plan is refused there");
	fd = open(in_dir("resume/postmaster.pid"), O_CREAT | O_WRONLY, 0600);
	close(fd);
	tap_is_int(restore_to("resume", in_dir("resume"), NULL, NULL, &err), SW_CONFIG, "... and a server's directory");
	unlink(in_dir("resume/postmaster.pid"));

	rename(in_dir("resume/PG_VERSION"), in_dir("outside/victim"));
	symlink(in_dir("outside/victim"), in_dir("resume/PG_VERSION"));
	tap_ok(restore_to("resume", in_dir("resume"), NULL, NULL, &err) == SW_CORRUPT &&
		strstr(err.text, "PG_VERSION") != NULL, "... a link in a file's place is not followed");
	unlink(in_dir("resume/PG_VERSION"));
	link(in_dir("outside/victim"), in_dir("resume/PG_VERSION"));
	tap_ok(restore_to("resume", in_dir("resume"), NULL, NULL, &err) == SW_CORRUPT &&
		strstr(err.text, "PG_VERSION") != NULL, "... nor is a file of two names written");
	unlink(in_dir("resume/PG_VERSION"));
	unlink(in_dir("outside/victim"));

	fd = open(pack, O_WRONLY);
	sw_file_pwrite_all(fd, whole.data, whole.len, 0, pack, &err);
	close(fd);
	rc = restore_to("resume", in_dir("resume"), NULL, &result, &err);
	if (!tap_is_int(rc, SW_OK, "the same plan is completed"))
		tap_note("%s", err.text);
	tap_ok(result.resumed && result.kept > 0 && result.kept < sizeof(big), "... with what was there");
	tap_ok(same_as_big("resume/base/1/big"), "... byte for byte");
	sw_restore_result_release(&result);
}

/* --- hostile backups ------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct {
		enum sw_entry_type type;
		const char *path, *target; /* target in the test's directory if it begins with '@' */
	} add[3];
	sw_rc want;
	const char *words; /* of the error; NULL: it succeeds */
} hostile[] = {
	{"a file below a link", {{SW_ENTRY_LINK, "base/evil", "@outside"}, {SW_ENTRY_FILE, "base/evil/x", NULL}},
		SW_SYSTEM, "base/evil/x"},
	{"a directory below a link", {{SW_ENTRY_LINK, "base/evil", "@outside"}, {SW_ENTRY_DIRECTORY, "base/evil/x", NULL}},
		SW_SYSTEM, "base/evil/x"},
	{"a file below a file", {{SW_ENTRY_FILE, "base/x", NULL}, {SW_ENTRY_FILE, "base/x/y", NULL}}, SW_SYSTEM, "base/x"},
	{"parent directories", {{SW_ENTRY_FILE, "base/UP/UP/outside/x", NULL}}, SW_CORRUPT, "not allowed"},
	{"an absolute path", {{SW_ENTRY_FILE, "SLASH_outside/x", NULL}}, SW_CORRUPT, "not allowed"},
	{"an outside file with parent directories", {{SW_ENTRY_OUTSIDE, "/UP/UP/outside/x", NULL}}, SW_CORRUPT, "not allowed"},
	{"an outside file named as one of ours", {{SW_ENTRY_FILE, "seawall_outside_config/x", NULL}}, SW_OK, NULL},
	{"a tablespace that is not mapped", {{SW_ENTRY_DIRECTORY, "pg_tblspc", NULL},
		{SW_ENTRY_TABLESPACE, "pg_tblspc/16384", "@outside"}}, SW_CONFIG, "16384"},
	{"a tablespace that is none", {{SW_ENTRY_TABLESPACE, "base/16384", "@outside"}}, SW_CORRUPT, "not named by an OID"},
	{"a tablespace with a zero before its OID", {{SW_ENTRY_DIRECTORY, "pg_tblspc", NULL},
		{SW_ENTRY_TABLESPACE, "pg_tblspc/016384", "@outside"}}, SW_CORRUPT, "not named by an OID"},
	{"the marker", {{SW_ENTRY_FILE, SW_RESTORE_MARKER, NULL}}, SW_OK, NULL},
	{"a signal file", {{SW_ENTRY_FILE, "standby.signal", NULL}}, SW_OK, NULL},
	{"a tablespace map", {{SW_ENTRY_FILE, "tablespace_map", NULL}}, SW_OK, NULL},
	{"a link for postgresql.auto.conf", {{SW_ENTRY_LINK, "postgresql.auto.conf", "@outside/x"}}, SW_CORRUPT,
		"postgresql.auto.conf"},
	{"a link for recovery.signal", {{SW_ENTRY_LINK, "recovery.signal", "@outside/x"}}, SW_OK, NULL},
	{"a link for the control file's temporary name", {{SW_ENTRY_LINK, "global/pg_control.seawall", "@outside/x"}},
		SW_OK, NULL},
	{"a link that leads out", {{SW_ENTRY_LINK, "logs", "@outside"}}, SW_OK, NULL},
};

static void
test_hostile(size_t i)
{
	char label[32], target[128];
	struct sw_error err = SW_ERROR_INIT;
	struct made m;
	sw_rc rc;

	snprintf(label, sizeof(label), "hostile%zu", i);
	start_backup(&m);
	for (size_t k = 0; k < 3 && hostile[i].add[k].path != NULL; k++) {
		const char *to = hostile[i].add[k].target;

		if (to != NULL && to[0] == '@')
			snprintf(target, sizeof(target), "%s/%s", dir, to + 1);
		if (hostile[i].add[k].type == SW_ENTRY_FILE || hostile[i].add[k].type == SW_ENTRY_OUTSIDE)
			add_inline(&m, hostile[i].add[k].type, hostile[i].add[k].path, "x", 1);
		else
			add_plain(&m, hostile[i].add[k].type, hostile[i].add[k].path, to == NULL ? NULL : target);
	}
	rc = put_backup(label, &m, &err);
	if (rc == SW_OK)
		rc = restore_to(label, in_dir(label), NULL, NULL, &err);
	end_backup(&m);
	if (!tap_ok((hostile[i].want == SW_SYSTEM ? rc == SW_SYSTEM || rc == SW_CORRUPT : rc == hostile[i].want) &&
		(hostile[i].words == NULL || strstr(err.text, hostile[i].words) != NULL), "%s", hostile[i].name))
		tap_note("%s: %s", sw_rc_name(rc), err.text);
	snprintf(target, sizeof(target), "%s/global/pg_control", label);
	tap_is_int(exists(target), hostile[i].want == SW_OK, "... can be started: %s", hostile[i].want == SW_OK ? "yes" : "no");
	tap_ok(rmdir(in_dir("outside")) == 0 && mkdir(in_dir("outside"), 0700) == 0, "... nothing was written outside");
}

static void
test_wrong_content(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct made m;
	sw_rc rc;

	start_backup(&m);
	add_plain(&m, SW_ENTRY_DIRECTORY, "base/1", NULL);
	rc = add_big(&m, "page", true, &err);
	if (rc == SW_OK)
		rc = put_backup("page", &m, &err);
	end_backup(&m);
	if (rc == SW_OK)
		rc = restore_to("page", in_dir("page"), NULL, NULL, &err);
	tap_is_int(rc, SW_CORRUPT, "a page that does not match its hash");
	tap_ok(strstr(err.text, "base/1/big") != NULL && strstr(err.text, "page 100") != NULL, "... is named");

	start_backup(&m);
	add_inline(&m, SW_ENTRY_FILE, "file", "content", 7);
	m.entries[m.entry_count - 1].hash.bytes[0] ^= 1;
	rc = put_backup("inline", &m, &err);
	end_backup(&m);
	if (rc == SW_OK)
		rc = restore_to("inline", in_dir("inline"), NULL, NULL, &err);
	tap_is_int(rc, SW_CORRUPT, "a small file that does not match its hash");

	start_backup(&m);
	m.entries[0].path = "other_label";
	rc = put_backup("label", &m, &err);
	end_backup(&m);
	if (rc == SW_OK)
		rc = restore_to("label", in_dir("label"), NULL, NULL, &err);
	tap_ok(rc == SW_CORRUPT && strstr(err.text, "backup_label") != NULL, "a backup without backup_label");
}

/* --- places ---------------------------------------------------------------------------- */

static void
test_places(void)
{
	static char inside[128], spare[128];
	const char *maps[2][1] = {{inside}, {spare}};
	struct sw_restore_job job = {.tablespace_map = maps[0], .tablespace_map_count = 1};
	struct sw_error err = SW_ERROR_INIT;
	struct made m;
	struct stat st;
	sw_rc rc;

	start_backup(&m);
	add_plain(&m, SW_ENTRY_DIRECTORY, "pg_tblspc", NULL);
	add_plain(&m, SW_ENTRY_TABLESPACE, "pg_tblspc/16384", "/nowhere");
	add_plain(&m, SW_ENTRY_DIRECTORY, "pg_tblspc/16384/PG_15", NULL);
	add_inline(&m, SW_ENTRY_FILE, "pg_tblspc/16384/PG_15/x", "x", 1);
	rc = put_backup("places", &m, &err);
	end_backup(&m);
	snprintf(inside, sizeof(inside), "/nowhere=%s/places/inside", dir);
	snprintf(spare, sizeof(spare), "/nowhere=%s/spare", dir);
	if (rc == SW_OK)
		rc = restore_to("places", in_dir("places"), &job, NULL, &err);
	tap_ok(rc == SW_CONFIG && strstr(err.text, "in one another") != NULL, "a tablespace inside the data directory");
	rmdir(in_dir("places/inside"));
	job.tablespace_map = maps[1];
	mkdir(in_dir("spare"), 0700);
	mkdir(in_dir("spare/full"), 0700);
	rc = restore_to("places", in_dir("places"), &job, NULL, &err);
	tap_ok(rc == SW_CONFIG && strstr(err.text, "there is full") != NULL, "a tablespace's directory that is not empty");
	rmdir(in_dir("spare/full"));
	job.wal_dir = in_dir("spare");
	rc = restore_to("places", in_dir("places"), &job, NULL, &err);
	tap_ok(rc == SW_CONFIG && strstr(err.text, "in one another") != NULL, "one directory for pg_wal and a tablespace");
	job.wal_dir = in_dir("wal");
	rc = restore_to("places", in_dir("places"), &job, NULL, &err);
	if (!tap_is_int(rc, SW_OK, "pg_wal and a tablespace elsewhere"))
		tap_note("%s", err.text);
	tap_ok(exists("spare/PG_15/x"), "... the tablespace's files are in its directory");
	tap_ok(lstat(in_dir("places/pg_wal"), &st) == 0 && S_ISLNK(st.st_mode) &&
		lstat(in_dir("places/pg_tblspc/16384"), &st) == 0 && S_ISLNK(st.st_mode), "... behind links");
}

/* A file whose directory is not in the manifest, and a link that somebody put there between two runs. */
static void
test_planted(void)
{
	struct sw_error err = SW_ERROR_INIT;
	struct made m;
	sw_rc rc;

	start_backup(&m);
	add_inline(&m, SW_ENTRY_FILE, "base/9/x", "x", 1);
	rc = put_backup("planted", &m, &err);
	end_backup(&m);
	if (rc == SW_OK)
		rc = restore_to("planted", in_dir("planted"), NULL, NULL, &err);
	tap_ok(rc == SW_SYSTEM && strstr(err.text, "base/9/x") != NULL, "a file without its directory");
	symlink(in_dir("outside"), in_dir("planted/base/9"));
	rc = restore_to("planted", in_dir("planted"), NULL, NULL, &err);
	tap_ok(rc == SW_CORRUPT && strstr(err.text, "base/9/x") != NULL, "... a link in its place is not followed");
	tap_ok(!exists("outside/x"), "... nothing was written outside");
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int
main(void)
{
	struct sw_registration reg = {.system_identifier = SYSTEM, .major = 15, .segment_size = 16 << 20,
		.block_size = BLOCK, .wal_block_size = 8192, .traits = {.put_if_absent = true}};
	struct sw_error err = SW_ERROR_INIT;
	uint32_t seed = 1;
	sw_rc rc;

	test_conf();
	test_relocate();
	if (mkdtemp(dir) == NULL)
		return 1;
	test_spill();
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> (i % 3 == 0 ? 16 : 28));
	rc = sw_posix_open(in_dir("repo"), &store, &err);
	if (rc == SW_OK)
		rc = sw_repository_register(store, "main", &reg, &err);
	if (rc == SW_OK)
		rc = sw_repository_open(store, "main", SYSTEM, &repo, &err);
	mkdir(in_dir("outside"), 0700);
	if (tap_is_int(rc, SW_OK, "a repository")) {
		test_sound();
		test_resume();
		for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
			test_hostile(i);
		test_wrong_content();
		test_planted();
		test_places();
	}
	sw_store_free(store);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
