/*
 * Manifests: what is told of one is safe, sorted and counted, and could be written again.
 *
 * The first byte: 0, the object follows as it is; else text, of which the first line becomes the first frame.
 */
#include <zstd.h>

#include "backup/manifest.h"
#include "fuzz.h"

struct told {
	struct sw_manifest_header header;
	uint64_t entries, packs;
	char last[8192];
};

static sw_rc
on_header(void *ctx, const struct sw_manifest_header *header, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	MUST(told->entries == 0 && sw_label_ok(header->label) && header->block_size >= 1024 && header->timeline > 0 &&
		header->stop >= header->start);
	told->header = *header;
	return SW_OK;
}

static void
must_be_content(const struct told *told, const struct sw_entry *e)
{
	uint64_t chunk = (uint64_t)SW_CHUNK_PAGES * told->header.block_size;

	MUST(e->type == SW_ENTRY_FILE || e->frame != NULL);
	if (e->frame != NULL) {
		MUST(e->size <= SW_OUTSIDE_MAX && e->chunk_count == 0);
		return;
	}
	MUST(e->chunk_count == e->size / chunk + (e->size % chunk != 0));
	for (size_t i = 0; i < e->chunk_count; i++)
		MUST(sw_pack_name_ok(e->chunks[i].pack) && e->chunks[i].offset <= SW_PACK_BYTES &&
			e->chunks[i].stored_len > 0 && e->chunks[i].stored_len <= SW_CHUNK_BYTES_MAX);
}

static sw_rc
on_entry(void *ctx, const struct sw_entry *e, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	MUST(told->packs == 0 && sw_manifest_path_ok(e->path, e->type == SW_ENTRY_OUTSIDE));
	MUST((e->type == SW_ENTRY_OUTSIDE) == (e->path[0] == '/') && e->mode <= 07777);
	MUST(strcmp(e->path, "..") != 0 && strncmp(e->path, "../", 3) != 0 && strstr(e->path, "/../") == NULL &&
		strstr(e->path, "//") == NULL);
	MUST(told->entries == 0 || strcmp(told->last, e->path) < 0);
	MUST((e->target != NULL) == (e->type == SW_ENTRY_LINK || e->type == SW_ENTRY_TABLESPACE));
	if (e->type == SW_ENTRY_FILE || e->type == SW_ENTRY_OUTSIDE)
		must_be_content(told, e);
	strcpy(told->last, e->path);
	told->entries++;
	return SW_OK;
}

static sw_rc
on_pack(void *ctx, const struct sw_pack_info *info, struct sw_error *err)
{
	struct told *told = ctx;

	(void)err;
	MUST(sw_pack_name_ok(info->name) && info->size <= SW_PACK_BYTES);
	MUST(told->packs == 0 || strcmp(told->last, info->name) < 0);
	strcpy(told->last, info->name);
	told->packs++;
	return SW_OK;
}

static void
on_restart(void *ctx)
{
	memset(ctx, 0, sizeof(struct told));
}

static void
read_manifest(const uint8_t *data, size_t size, size_t step)
{
	struct told told = {0};
	struct sw_manifest_reader reader = {.header = on_header, .entry = on_entry, .pack = on_pack, .restart = on_restart,
		.ctx = &told};
	struct fuzz_store store = fuzz_store(data, size, step);
	struct sw_repository repo = {.store = &store.store, .prefix = "main/1/"};
	struct sw_manifest_header header;
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_manifest_read(&repo, "label", &reader, &err);

	if (rc == SW_OK)
		MUST(told.entries == told.header.entry_count && told.packs == told.header.pack_count);
	else
		must_be_told(rc, &err);
	rc = sw_manifest_read_header(&repo, "label", size, &header, &err);
	if (rc != SW_OK)
		must_be_told(rc, &err);
}

static void
read_text(const uint8_t *text, size_t size)
{
	const uint8_t *newline = memchr(text, '\n', size);
	size_t first = newline == NULL ? size : (size_t)(newline - text) + 1;
	size_t room = ZSTD_compressBound(first) + ZSTD_compressBound(size - first), len;
	uint8_t *object = malloc(room);

	len = ZSTD_compress(object, room, text, first, -1);
	len += ZSTD_compress(object + len, room - len, text + first, size - first, -1);
	read_manifest(object, len, 0);
	free(object);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (take_byte(&data, &size) == 0)
		read_manifest(data, size, size > 0 ? data[size / 2] : 1);
	else
		read_text(data, size);
	return 0;
}
