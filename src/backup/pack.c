#include "backup/pack.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define DIRECTORY_PATH_MAX 432
#define DIRECTORY_LINE_MAX (6 * DIRECTORY_PATH_MAX + 80) /* JSON makes six bytes of a control character */

sw_rc
sw_pack_writer_init(struct sw_pack_writer *w, const struct sw_pack_writer_params *params,
	struct sw_error *err)
{
	*w = (struct sw_pack_writer){
		.repo = params->repo,
		.label = params->label,
		.suffix = params->suffix,
		.numbers = params->numbers,
		.max = params->max,
		.done = params->done,
		.ctx = params->ctx,
		.zstd = ZSTD_createCCtx(),
		.data = malloc(params->max),
	};
	sw_buf_init(&w->directory, params->max);
	if (w->zstd == NULL || w->data == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, params->level);
	ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
	return SW_OK;
}

void
sw_pack_writer_release(struct sw_pack_writer *w)
{
	ZSTD_freeCCtx(w->zstd);
	free(w->data);
	sw_buf_release(&w->directory);
	*w = (struct sw_pack_writer){0};
}

static sw_rc
begin(struct sw_pack_writer *w, struct sw_error *err)
{
	unsigned number = atomic_fetch_add(w->numbers, 1) + 1;

	snprintf(w->name, sizeof(w->name), "%s/%06u.%s", w->label, number, w->suffix);
	w->len = 0;
	w->frame_count = 0;
	sw_buf_reset(&w->directory);
	return sw_buf_printf(&w->directory, err,
		"{\"seawall\":\"pack\",\"version\":1,\"name\":\"%s\",\"frames\":[", w->name);
}

/* The end of a long path, from the start of a character on. */
static const char *
end_of_path(const char *path)
{
	size_t len = strlen(path);

	if (len <= DIRECTORY_PATH_MAX)
		return path;
	path += len - DIRECTORY_PATH_MAX;
	while (((uint8_t)*path & 0xc0) == 0x80)
		path++;
	return path;
}

/* One line of the directory: [offset, stored length, path, first page, pages]. */
static sw_rc
note_frame(struct sw_pack_writer *w, const struct sw_frame_ref *frame, const char *path,
	uint64_t first_page, struct sw_error *err)
{
	SW_AUTO_JSON *line = json_pack("[I, I, o, I, I]", (json_int_t)frame->offset,
		(json_int_t)frame->stored_len, sw_json_text(end_of_path(path)), (json_int_t)first_page,
		(json_int_t)frame->page_count);
	char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
	sw_rc rc;

	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_buf_printf(&w->directory, err, "%s%s", w->frame_count > 1 ? ",\n" : "\n", text);
	free(text);
	return rc;
}

static sw_rc
put_pack(struct sw_pack_writer *w, struct sw_error *err)
{
	struct sw_pack_info info = {0};
	struct sw_store_body body;
	char name[SW_STORE_NAME_MAX];
	uint32_t header[2];
	sw_rc rc;

	rc = sw_buf_printf(&w->directory, err, "\n]}\n");
	if (rc != SW_OK)
		return rc;
	header[0] = htole32(SW_PACK_MAGIC);
	header[1] = htole32((uint32_t)w->directory.len);
	memcpy(w->data + w->len, header, sizeof(header));
	memcpy(w->data + w->len + sizeof(header), w->directory.data, w->directory.len);
	w->len += sizeof(header) + w->directory.len;

	body = sw_store_body_mem(w->data, w->len);
	sw_repository_name(w->repo, name, "pack/%s", w->name);
	rc = sw_store_put(w->repo->store, name, &body, err);
	if (rc != SW_OK)
		return sw_wrap(err, "putting %s", name);
	memcpy(info.name, w->name, sizeof(info.name));
	memcpy(info.sha256, body.sha256, sizeof(info.sha256));
	info.size = w->len;
	w->name[0] = '\0';
	return w->done(w->ctx, &info, err);
}

static bool
has_room(const struct sw_pack_writer *w, size_t len)
{
	size_t directory = w->directory.len + DIRECTORY_LINE_MAX + 16;

	return w->frame_count < SW_PACK_FRAMES_MAX &&
		w->len + ZSTD_compressBound(len) + directory <= w->max;
}

sw_rc
sw_pack_writer_add(struct sw_pack_writer *w, const void *data, size_t len, const char *path,
	uint64_t first_page, uint32_t page_count, struct sw_frame_ref *ret_frame, struct sw_error *err)
{
	struct sw_frame_ref frame = {.page_count = page_count};
	size_t stored;
	sw_rc rc = SW_OK;

	if (w->name[0] != '\0' && !has_room(w, len))
		rc = put_pack(w, err);
	if (rc == SW_OK && w->name[0] == '\0')
		rc = begin(w, err);
	if (rc != SW_OK)
		return rc;
	if (!has_room(w, len))
		return sw_fail(err, SW_BUG, "a frame of %zu bytes is too large for a pack of %zu", len, w->max);
	stored = ZSTD_compress2(w->zstd, w->data + w->len, w->max - w->len, data, len);
	if (ZSTD_isError(stored))
		return sw_fail(err, SW_SYSTEM, "compressing: %s", ZSTD_getErrorName(stored));
	frame.offset = w->len;
	frame.stored_len = (uint32_t)stored;
	sw_sha256(w->data + w->len, stored, frame.sha256);
	w->len += stored;
	w->frame_count++;
	rc = note_frame(w, &frame, path, first_page, err);
	if (rc == SW_OK)
		*ret_frame = frame;
	return rc;
}

sw_rc
sw_pack_writer_finish(struct sw_pack_writer *w, struct sw_error *err)
{
	return w->name[0] == '\0' ? SW_OK : put_pack(w, err);
}

bool
sw_pack_name_ok(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t label = slash == NULL ? 0 : (size_t)(slash - name);

	if (label == 0 || strlen(name) >= SW_PACK_NAME_MAX ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != label)
		return false;
	slash++;
	if (strspn(slash, "0123456789") < 6)
		return false;
	slash += strspn(slash, "0123456789");
	return strcmp(slash, ".pack") == 0 || strcmp(slash, ".map") == 0;
}
