#include "backup/manifest.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#define MANIFEST_VERSION 1
#define MANIFEST_LEVEL 3
#define PATH_LEN_MAX 4096
#define MANIFEST_CONTENT_MAX (UINT64_C(64) << 30)

static const char *const type_names[] = {
	[SW_ENTRY_FILE] = "file",
	[SW_ENTRY_DIRECTORY] = "directory",
	[SW_ENTRY_LINK] = "link",
	[SW_ENTRY_TABLESPACE] = "tablespace",
	[SW_ENTRY_OUTSIDE] = "outside",
};

bool
sw_label_ok(const char *label)
{
	size_t len = strlen(label);

	return len > 0 && len < SW_LABEL_MAX &&
		strspn(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* Bytes of content in an entry that has no chunks. */
static uint64_t
inline_max(enum sw_entry_type type)
{
	return type == SW_ENTRY_OUTSIDE ? SW_OUTSIDE_MAX : SW_INLINE_MAX;
}

bool
sw_manifest_path_ok(const char *path, bool absolute)
{
	const char *p = path;

	if (absolute && *p++ != '/')
		return false;
	if (strlen(path) >= PATH_LEN_MAX || !sw_json_text_ok(path))
		return false;
	for (;;) {
		size_t len = strcspn(p, "/");

		if (len == 0 || len > 255 || (len == 1 && p[0] == '.') ||
			(len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[len] == '\0')
			return true;
		p += len + 1;
	}
}

/* --- header ------------------------------------------------------------------------ */

static json_t *
header_json(const struct sw_manifest_header *h)
{
	char system_id[24], start[SW_LSN_LEN], stop[SW_LSN_LEN];
	char started[SW_CLOCK_ISO_LEN], finished[SW_CLOCK_ISO_LEN];

	snprintf(system_id, sizeof(system_id), "%" PRIu64, h->system_identifier);
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:b, s:b, s:b,"
		"s:I, s:s, s:s, s:s, s:s, s:{s:o, s:o}, s:I, s:I, s:I, s:I, s:I,"
		"s:s, s:n, s:n, s:n, s:{}, s:s}",
		"seawall", "manifest", "version", MANIFEST_VERSION, "label", h->label,
		"cluster", h->cluster, "system_identifier", system_id, "registration", h->registration,
		"pg_version", h->pg_version, "pg_major", (int)h->major,
		"catalog_version", (json_int_t)h->catalog_version,
		"block_size", (json_int_t)h->block_size, "segment_size", (json_int_t)h->segment_size,
		"blocks_per_file", (json_int_t)h->blocks_per_file,
		"checksums", h->checksums, "checksums_verified", h->checksums_verified,
		"from_standby", h->from_standby,
		"timeline", (json_int_t)h->timeline, "start_lsn", sw_lsn_format(h->start, start),
		"stop_lsn", sw_lsn_format(h->stop, stop), "started", sw_clock_iso(h->started_us, started),
		"finished", sw_clock_iso(h->finished_us, finished),
		"origin", "host", sw_json_text(h->host), "pgdata", sw_json_text(h->pgdata),
		"size", (json_int_t)h->size, "stored", (json_int_t)h->stored,
		"entries", (json_int_t)h->entry_count, "packs", (json_int_t)h->pack_count,
		"damaged_pages", (json_int_t)h->damaged_pages,
		"hash", "xxh3-128", "enc", "key_id", "signature", "annotations", "class", "full");
}

static sw_rc
parse_numbers(const json_t *o, struct sw_manifest_header *h, struct sw_error *err)
{
	const struct field {
		const char *key;
		uint64_t max;
		void *value;
		size_t size;
	} fields[] = {
		{"pg_version", 10000000, &h->pg_version, sizeof(h->pg_version)},
		{"pg_major", 1000, &h->major, sizeof(h->major)},
		{"catalog_version", UINT32_MAX, &h->catalog_version, sizeof(h->catalog_version)},
		{"block_size", 32768, &h->block_size, sizeof(h->block_size)},
		{"segment_size", 1 << 30, &h->segment_size, sizeof(h->segment_size)},
		{"blocks_per_file", UINT32_MAX, &h->blocks_per_file, sizeof(h->blocks_per_file)},
		{"timeline", UINT32_MAX, &h->timeline, sizeof(h->timeline)},
		{"size", INT64_MAX, &h->size, sizeof(h->size)},
		{"stored", INT64_MAX, &h->stored, sizeof(h->stored)},
		{"entries", INT64_MAX, &h->entry_count, sizeof(h->entry_count)},
		{"packs", INT64_MAX, &h->pack_count, sizeof(h->pack_count)},
		{"damaged_pages", INT64_MAX, &h->damaged_pages, sizeof(h->damaged_pages)},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint64_t value;
		uint32_t narrow;
		sw_rc rc = sw_json_u64(o, fields[i].key, fields[i].max, &value, err);

		if (rc != SW_OK)
			return rc;
		narrow = (uint32_t)value;
		memcpy(fields[i].value, fields[i].size == sizeof(value) ? (void *)&value : &narrow,
			fields[i].size);
	}
	if (h->block_size < 1024 || (h->block_size & (h->block_size - 1)) != 0 ||
		!sw_wal_segment_size_ok(h->segment_size) || h->timeline == 0)
		return sw_fail(err, SW_CORRUPT, "\"block_size\", \"segment_size\" or \"timeline\" is impossible");
	return SW_OK;
}

static sw_rc
parse_texts(const json_t *o, struct sw_manifest_header *h, struct sw_error *err)
{
	const json_t *origin = json_object_get(o, "origin");
	const struct field {
		const json_t *object;
		const char *key;
		char *value;
		size_t size;
	} fields[] = {
		{o, "label", h->label, sizeof(h->label)},
		{o, "cluster", h->cluster, sizeof(h->cluster)},
		{o, "registration", h->registration, sizeof(h->registration)},
		{origin, "host", h->host, sizeof(h->host)},
		{origin, "pgdata", h->pgdata, sizeof(h->pgdata)},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *text = NULL;
		sw_rc rc = sw_json_string(fields[i].object, fields[i].key, &text, err);

		if (rc != SW_OK)
			return rc;
		if (strlen(text) >= fields[i].size)
			return sw_fail(err, SW_CORRUPT, "\"%s\" is too long", fields[i].key);
		memcpy(fields[i].value, text, strlen(text) + 1);
	}
	return SW_OK;
}

static sw_rc
parse_moments(const json_t *o, struct sw_manifest_header *h, struct sw_error *err)
{
	const char *start = NULL, *stop = NULL, *started = NULL, *finished = NULL;
	sw_rc rc = sw_json_string(o, "start_lsn", &start, err);

	if (rc == SW_OK)
		rc = sw_json_string(o, "stop_lsn", &stop, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "started", &started, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "finished", &finished, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_lsn_parse(start, &h->start) || !sw_lsn_parse(stop, &h->stop) || h->stop < h->start ||
		!sw_clock_parse_iso(started, &h->started_us) ||
		!sw_clock_parse_iso(finished, &h->finished_us))
		return sw_fail(err, SW_CORRUPT, "an LSN or a time is malformed");
	return SW_OK;
}

/* What this version cannot honour must not be passed over. */
static sw_rc
check_reserved(const json_t *o, struct sw_error *err)
{
	const json_t *enc = json_object_get(o, "enc");
	const char *hash = NULL;
	sw_rc rc = sw_json_string(o, "hash", &hash, err);

	if (rc == SW_OK && enc == NULL)
		rc = sw_fail(err, SW_CORRUPT, "\"enc\" is missing");
	if (rc != SW_OK)
		return rc;
	if (strcmp(hash, "xxh3-128") != 0)
		sw_fail(err, SW_CONFIG, "its page hash is not known: %s", hash);
	else if (!json_is_null(enc))
		sw_fail(err, SW_CONFIG, "it is encrypted, which this Seawall cannot read");
	else
		return SW_OK;
	return sw_hint(err, "use the Seawall that wrote it, or a newer one");
}

static sw_rc
parse_header(const char *line, size_t len, struct sw_manifest_header *ret_header,
	struct sw_error *err)
{
	struct sw_manifest_header h = {0};
	SW_AUTO_JSON *o = NULL;
	sw_rc rc = sw_json_parse(line, len, "manifest", MANIFEST_VERSION, &o, err);

	if (rc == SW_OK)
		rc = check_reserved(o, err);
	if (rc == SW_OK)
		rc = parse_numbers(o, &h, err);
	if (rc == SW_OK)
		rc = parse_texts(o, &h, err);
	if (rc == SW_OK)
		rc = parse_moments(o, &h, err);
	if (rc == SW_OK)
		rc = sw_json_u64_text(o, "system_identifier", &h.system_identifier, err);
	if (rc == SW_OK)
		rc = sw_json_bool(o, "checksums", &h.checksums, err);
	if (rc == SW_OK)
		rc = sw_json_bool(o, "checksums_verified", &h.checksums_verified, err);
	if (rc == SW_OK)
		rc = sw_json_bool(o, "from_standby", &h.from_standby, err);
	if (rc == SW_OK)
		*ret_header = h;
	return rc;
}

/* --- writing ----------------------------------------------------------------------- */

static sw_rc
write_line(struct sw_stage *stage, json_t *object, struct sw_error *err)
{
	SW_AUTO_FREE char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	sw_rc rc;

	json_decref(object);
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (strlen(text) > SW_MANIFEST_LINE_MAX)
		return sw_fail(err, SW_BUG, "a line of %zu bytes", strlen(text));
	rc = sw_stage_write(stage, text, strlen(text), err);
	return rc == SW_OK ? sw_stage_write(stage, "\n", 1, err) : rc;
}

/* The header's frame must not finish what comes behind it. */
static sw_rc
write_header(const struct sw_manifest_header *header, struct sw_stage *out, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_compress_release))) struct sw_stage_compress compress = {0};
	struct sw_stage_buf end;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_MANIFEST_HEAD_MAX);
	sw_stage_buf_init(&end, &buf);
	rc = sw_stage_compress_init(&compress, MANIFEST_LEVEL, UINT64_MAX, &end.stage, err);
	if (rc == SW_OK)
		rc = write_line(&compress.stage, header_json(header), err);
	if (rc == SW_OK)
		rc = sw_stage_finish(&compress.stage, err);
	return rc == SW_OK ? sw_stage_write(out, buf.data, buf.len, err) : rc;
}

sw_rc
sw_manifest_writer_init(struct sw_manifest_writer *w, const struct sw_manifest_header *header,
	struct sw_stage *out, struct sw_error *err)
{
	sw_rc rc;

	*w = (struct sw_manifest_writer){
		.out = out,
		.entries_due = header->entry_count,
		.packs_due = header->pack_count,
	};
	rc = write_header(header, out, err);
	if (rc == SW_OK)
		rc = sw_stage_compress_init(&w->compress, MANIFEST_LEVEL, UINT64_MAX, out, err);
	return rc == SW_OK ? rc : sw_wrap(err, "writing the manifest");
}

static json_t *
chunks_json(const struct sw_entry *entry)
{
	json_t *chunks = json_array();

	for (size_t i = 0; chunks != NULL && i < entry->chunk_count; i++) {
		const struct sw_chunk_ref *c = &entry->chunks[i];
		char sha256[2 * SW_SHA256_LEN + 1];

		if (json_array_append_new(chunks, json_pack("[s, I, I, s]", c->pack, (json_int_t)c->offset,
			(json_int_t)c->stored_len, sw_hex(c->sha256, SW_SHA256_LEN, sha256))) != 0) {
			json_decref(chunks);
			return NULL;
		}
	}
	return chunks;
}

static bool
add_content(json_t *object, const struct sw_entry *entry)
{
	char hash[2 * SW_PAGE_HASH_LEN + 1];
	SW_AUTO_FREE char *frame = NULL;

	if (json_object_set_new(object, "size", json_integer((json_int_t)entry->size)) != 0)
		return false;
	if (entry->frame == NULL)
		return json_object_set_new(object, "chunks", chunks_json(entry)) == 0;
	frame = sw_base64(entry->frame, entry->frame_len);
	sw_hex(entry->hash.bytes, SW_PAGE_HASH_LEN, hash);
	return frame != NULL && json_object_set_new(object, "hash", json_string(hash)) == 0 &&
		json_object_set_new(object, "frame", json_string(frame)) == 0;
}

/* What a reader would refuse, when it is too late. */
static bool
entry_ok(const struct sw_manifest_writer *w, const struct sw_entry *e)
{
	bool link = e->type == SW_ENTRY_LINK || e->type == SW_ENTRY_TABLESPACE;
	bool file = e->type == SW_ENTRY_FILE || e->type == SW_ENTRY_OUTSIDE;
	char mtime[SW_CLOCK_ISO_LEN];
	int64_t mtime_us;

	if (!sw_manifest_path_ok(e->path, e->type == SW_ENTRY_OUTSIDE) || w->pack_count > 0 ||
		(w->entry_count > 0 && strcmp(w->last, e->path) >= 0) ||
		!sw_clock_parse_iso(sw_clock_iso(e->mtime_us, mtime), &mtime_us))
		return false;
	if (link)
		return e->target != NULL && sw_json_text_ok(e->target) && strlen(e->target) < PATH_LEN_MAX;
	if (file && e->frame != NULL)
		return e->size <= inline_max(e->type) && e->frame_len <= ZSTD_COMPRESSBOUND(SW_OUTSIDE_MAX);
	return !file || (e->type == SW_ENTRY_FILE && e->chunk_count <= SW_ENTRY_CHUNKS_MAX);
}

sw_rc
sw_manifest_writer_entry(struct sw_manifest_writer *w, const struct sw_entry *entry,
	struct sw_error *err)
{
	char mode[8], mtime[SW_CLOCK_ISO_LEN];
	json_t *object;
	bool ok = true;
	sw_rc rc;

	if (!entry_ok(w, entry))
		return sw_fail(err, SW_BUG, "the manifest cannot hold %s", entry->path);
	w->entry_count++;
	snprintf(w->last, sizeof(w->last), "%s", entry->path);
	snprintf(mode, sizeof(mode), "%04o", entry->mode & 07777);
	object = json_pack("{s:s, s:s, s:s, s:s}", "path", entry->path, "type", type_names[entry->type],
		"mode", mode, "mtime", sw_clock_iso(entry->mtime_us, mtime));
	if (object != NULL && entry->target != NULL)
		ok = json_object_set_new(object, "target", json_string(entry->target)) == 0;
	if (object != NULL && (entry->type == SW_ENTRY_FILE || entry->type == SW_ENTRY_OUTSIDE))
		ok = add_content(object, entry);
	if (!ok) {
		json_decref(object);
		object = NULL;
	}
	rc = write_line(&w->compress.stage, object, err);
	return rc == SW_OK ? rc : sw_wrap(err, "writing the manifest's line for %s", entry->path);
}

sw_rc
sw_manifest_writer_pack(struct sw_manifest_writer *w, const struct sw_pack_info *info,
	struct sw_error *err)
{
	char sha256[2 * SW_SHA256_LEN + 1];

	if (!sw_pack_name_ok(info->name) || info->size > SW_PACK_BYTES ||
		(w->pack_count > 0 && strcmp(w->last, info->name) >= 0))
		return sw_fail(err, SW_BUG, "the manifest cannot hold pack %s", info->name);
	w->pack_count++;
	snprintf(w->last, sizeof(w->last), "%s", info->name);
	return write_line(&w->compress.stage, json_pack("{s:s, s:I, s:s}", "pack", info->name,
		"size", (json_int_t)info->size, "sha256", sw_hex(info->sha256, SW_SHA256_LEN, sha256)), err);
}

sw_rc
sw_manifest_writer_finish(struct sw_manifest_writer *w, struct sw_error *err)
{
	if (w->entry_count != w->entries_due || w->pack_count != w->packs_due)
		return sw_fail(err, SW_BUG, "the manifest's header does not count its lines");
	return sw_stage_finish(&w->compress.stage, err);
}

void
sw_manifest_writer_release(struct sw_manifest_writer *w)
{
	sw_stage_compress_release(&w->compress);
}

/* --- reading ----------------------------------------------------------------------- */

/* Splits content into lines and gives them to the reader. */
struct line_stage {
	struct sw_stage stage;
	const struct sw_manifest_reader *reader;
	const char *label;
	struct sw_manifest_header header;
	struct sw_buf line;
	uint64_t line_count, entry_count, pack_count;
	char last[PATH_LEN_MAX];      /* path or pack before */
	struct sw_chunk_ref *chunks;
	size_t chunk_max;
	uint8_t frame[SW_OUTSIDE_MAX * 2];
	bool failed_by_reader;        /* the error is the callback's, not the manifest's */
};

static sw_rc
parse_chunks(struct line_stage *s, const json_t *array, struct sw_entry *entry, struct sw_error *err)
{
	uint64_t pages = (entry->size + s->header.block_size - 1) / s->header.block_size;
	size_t count = json_array_size(array);

	if (!json_is_array(array) || count != (pages + SW_CHUNK_PAGES - 1) / SW_CHUNK_PAGES)
		return sw_fail(err, SW_CORRUPT, "\"chunks\" does not fit \"size\"");
	if (count > s->chunk_max) {
		struct sw_chunk_ref *more = realloc(s->chunks, count * sizeof(*more));

		if (more == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		s->chunks = more;
		s->chunk_max = count;
	}
	for (size_t i = 0; i < count; i++) {
		struct sw_chunk_ref *c = &s->chunks[i];
		const char *pack, *sha256;
		json_int_t offset, len;

		if (json_unpack(json_array_get(array, i), "[s, I, I, s!]", &pack, &offset, &len,
			&sha256) != 0 || !sw_pack_name_ok(pack) || offset < 0 || offset > SW_PACK_BYTES ||
			len <= 0 || len > SW_CHUNK_BYTES_MAX || !sw_unhex(sha256, c->sha256, SW_SHA256_LEN))
			return sw_fail(err, SW_CORRUPT, "\"chunks\" has a malformed item");
		snprintf(c->pack, sizeof(c->pack), "%s", pack);
		c->offset = (uint64_t)offset;
		c->stored_len = (uint32_t)len;
	}
	entry->chunks = s->chunks;
	entry->chunk_count = count;
	return SW_OK;
}

static sw_rc
parse_content(struct line_stage *s, const json_t *o, struct sw_entry *entry, struct sw_error *err)
{
	const char *frame = json_string_value(json_object_get(o, "frame"));
	ssize_t len;
	sw_rc rc = sw_json_u64(o, "size", INT64_MAX, &entry->size, err);

	if (rc != SW_OK)
		return rc;
	if (frame == NULL && entry->type == SW_ENTRY_FILE)
		return parse_chunks(s, json_object_get(o, "chunks"), entry, err);
	len = frame == NULL ? -1 : sw_unbase64(frame, s->frame, sizeof(s->frame) - 3);
	if (len < 0 || entry->size > inline_max(entry->type))
		return sw_fail(err, SW_CORRUPT, "\"frame\" is malformed");
	entry->frame = s->frame;
	entry->frame_len = (size_t)len;
	return sw_json_hex(o, "hash", entry->hash.bytes, SW_PAGE_HASH_LEN, err);
}

static sw_rc
parse_entry(struct line_stage *s, const json_t *o, struct sw_entry *entry, struct sw_error *err)
{
	const char *type = NULL, *mode = NULL, *mtime = NULL;
	size_t t = 0;
	sw_rc rc = sw_json_string(o, "path", &entry->path, err);

	if (rc == SW_OK)
		rc = sw_json_string(o, "type", &type, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "mode", &mode, err);
	if (rc == SW_OK)
		rc = sw_json_string(o, "mtime", &mtime, err);
	if (rc != SW_OK)
		return rc;
	while (t < sizeof(type_names) / sizeof(type_names[0]) && strcmp(type, type_names[t]) != 0)
		t++;
	entry->type = (enum sw_entry_type)t;
	if (t == sizeof(type_names) / sizeof(type_names[0]) || strspn(mode, "01234567") != 4 ||
		mode[4] != '\0' || !sw_clock_parse_iso(mtime, &entry->mtime_us))
		return sw_fail(err, SW_CORRUPT, "\"type\", \"mode\" or \"mtime\" is malformed");
	entry->mode = (uint32_t)strtoul(mode, NULL, 8);
	if (!sw_manifest_path_ok(entry->path, entry->type == SW_ENTRY_OUTSIDE))
		return sw_fail(err, SW_CORRUPT, "path \"%s\" is not allowed", entry->path);
	if (entry->type == SW_ENTRY_LINK || entry->type == SW_ENTRY_TABLESPACE)
		return sw_json_string(o, "target", &entry->target, err);
	if (entry->type == SW_ENTRY_DIRECTORY)
		return SW_OK;
	return parse_content(s, o, entry, err);
}

/* Sorted and once: SW_CORRUPT otherwise. */
static sw_rc
check_order(struct line_stage *s, const char *name, bool first, struct sw_error *err)
{
	if (!first && strcmp(s->last, name) >= 0)
		return sw_fail(err, SW_CORRUPT, "\"%s\" stands behind \"%s\"", name, s->last);
	snprintf(s->last, sizeof(s->last), "%s", name);
	return SW_OK;
}

static sw_rc
pack_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_pack_info info = {0};
	const char *name = NULL;
	sw_rc rc = sw_json_string(o, "pack", &name, err);

	if (rc == SW_OK && !sw_pack_name_ok(name))
		rc = sw_fail(err, SW_CORRUPT, "pack \"%s\" is not allowed", name);
	if (rc == SW_OK)
		rc = sw_json_u64(o, "size", SW_PACK_BYTES, &info.size, err);
	if (rc == SW_OK)
		rc = sw_json_hex(o, "sha256", info.sha256, SW_SHA256_LEN, err);
	if (rc == SW_OK)
		rc = check_order(s, name, s->pack_count++ == 0, err);
	if (rc != SW_OK)
		return rc;
	snprintf(info.name, sizeof(info.name), "%s", name);
	s->failed_by_reader = true;
	rc = s->reader->pack(s->reader->ctx, &info, err);
	s->failed_by_reader = rc != SW_OK;
	return rc;
}

static sw_rc
entry_line(struct line_stage *s, const json_t *o, struct sw_error *err)
{
	struct sw_entry entry = {0};
	sw_rc rc;

	if (s->pack_count > 0)
		return sw_fail(err, SW_CORRUPT, "an entry stands behind the packs");
	rc = parse_entry(s, o, &entry, err);
	if (rc == SW_OK)
		rc = check_order(s, entry.path, s->entry_count++ == 0, err);
	if (rc != SW_OK)
		return rc;
	rc = s->reader->entry(s->reader->ctx, &entry, err);
	s->failed_by_reader = rc != SW_OK;
	return rc;
}

static sw_rc
take_line(struct line_stage *s, struct sw_error *err)
{
	SW_AUTO_JSON *o = NULL;
	sw_rc rc;

	if (s->line_count++ == 0) {
		rc = parse_header((const char *)s->line.data, s->line.len, &s->header, err);
		if (rc == SW_OK && strcmp(s->header.label, s->label) != 0)
			rc = sw_fail(err, SW_CORRUPT, "is of backup %s", s->header.label);
		if (rc != SW_OK)
			return rc;
		rc = s->reader->header(s->reader->ctx, &s->header, err);
		s->failed_by_reader = rc != SW_OK;
		return rc;
	}
	o = json_loadb((const char *)s->line.data, s->line.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o))
		rc = sw_fail(err, SW_CORRUPT, "not a JSON object");
	else
		rc = json_object_get(o, "pack") != NULL ? pack_line(s, o, err) : entry_line(s, o, err);
	return rc == SW_OK || s->failed_by_reader ? rc :
		sw_wrap(err, "line %llu", (unsigned long long)s->line_count);
}

static sw_rc
lines_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct line_stage *s = (struct line_stage *)stage;
	const char *p = data;

	while (len > 0) {
		const char *newline = memchr(p, '\n', len);
		size_t n = newline == NULL ? len : (size_t)(newline - p);
		sw_rc rc = sw_buf_append(&s->line, p, n, err);

		if (rc == SW_OK && newline != NULL) {
			rc = take_line(s, err);
			sw_buf_reset(&s->line);
			n++;
		}
		if (rc != SW_OK)
			return rc;
		p += n;
		len -= n;
	}
	return SW_OK;
}

static sw_rc
lines_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct line_stage *s = (struct line_stage *)stage;

	if (s->line_count == 0 || s->line.len > 0 || s->entry_count != s->header.entry_count ||
		s->pack_count != s->header.pack_count)
		return sw_fail(err, SW_CORRUPT, "does not hold the entries and packs that its header counts");
	return SW_OK;
}

static sw_rc
read_copy(struct sw_repository *repo, const char *name, struct line_stage *lines, struct sw_error *err)
{
	__attribute__((cleanup(sw_stage_decompress_release))) struct sw_stage_decompress decompress = {0};
	sw_rc rc = sw_stage_decompress_init(&decompress, MANIFEST_CONTENT_MAX, &lines->stage, err);

	if (rc == SW_OK)
		rc = sw_store_get(repo->store, name, 0, 0, &decompress.stage, err);
	if ((rc == SW_CORRUPT || rc == SW_CONFIG) && !lines->failed_by_reader)
		sw_wrap(err, "%s in %s", name, sw_store_url(repo->store));
	return rc;
}

/* manifest.zst is damaged (`first`), and the copy cannot be read either. */
static sw_rc
neither(const struct sw_error *first, struct sw_error *err)
{
	if (err->rc == SW_NOT_FOUND)
		*err = *first;
	if (err->rc == SW_CORRUPT)
		sw_hint(err, "neither copy of this backup's manifest can be read: use another backup ('seawall list')");
	return err->rc;
}

sw_rc
sw_manifest_read(struct sw_repository *repo, const char *label,
	const struct sw_manifest_reader *reader, struct sw_error *err)
{
	static const char *const copies[] = {"manifest.zst", "manifest.copy.zst"};
	struct sw_error first = SW_ERROR_INIT;
	sw_rc rc = SW_BUG;

	for (size_t i = 0; i < 2; i++) {
		SW_AUTO_FREE struct line_stage *lines = calloc(1, sizeof(*lines));
		char name[SW_STORE_NAME_MAX];
		bool by_reader;

		if (lines == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		lines->stage = (struct sw_stage){.write = lines_write, .finish = lines_finish};
		lines->reader = reader;
		lines->label = label;
		sw_buf_init(&lines->line, SW_MANIFEST_LINE_MAX);
		rc = read_copy(repo, sw_repository_name(repo, name, "backup/%s/%s", label, copies[i]), lines,
			err);
		by_reader = lines->failed_by_reader;
		sw_buf_release(&lines->line);
		free(lines->chunks);
		if (rc == SW_OK || by_reader)
			return rc;
		if (i == 1)
			return neither(&first, err);
		if (rc != SW_CORRUPT)
			return rc;
		first = *err;
		sw_log(SW_LOG_WARNING, "%s; reading the copy", err->text);
		reader->restart(reader->ctx);
	}
	return rc;
}

static sw_rc
header_of_copy(struct sw_repository *repo, const char *label, const char *copy, uint64_t object_size,
	struct sw_manifest_header *ret_header, struct sw_error *err)
{
	struct sw_manifest_header header;
	char name[SW_STORE_NAME_MAX];
	uint64_t want = object_size < SW_MANIFEST_HEAD_MAX ? object_size : SW_MANIFEST_HEAD_MAX;
	SW_AUTO_FREE char *line = malloc(SW_MANIFEST_HEAD_MAX);
	SW_AUTO_BUF buf;
	size_t frame, len;
	sw_rc rc;

	sw_buf_init(&buf, SW_MANIFEST_HEAD_MAX);
	if (line == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	sw_repository_name(repo, name, "backup/%s/%s", label, copy);
	rc = sw_store_get_buf(repo->store, name, 0, want, &buf, err);
	if (rc != SW_OK)
		return rc;
	frame = ZSTD_findFrameCompressedSize(buf.data, buf.len);
	len = ZSTD_isError(frame) ? frame : ZSTD_decompress(line, SW_MANIFEST_HEAD_MAX, buf.data, frame);
	if (ZSTD_isError(len))
		rc = sw_fail(err, SW_CORRUPT, "decompressing: %s", ZSTD_getErrorName(len));
	else
		rc = parse_header(line, len, &header, err);
	if (rc == SW_OK && strcmp(header.label, label) != 0)
		rc = sw_fail(err, SW_CORRUPT, "is of backup %s", header.label);
	if (rc != SW_OK)
		return sw_wrap(err, "%s in %s", name, sw_store_url(repo->store));
	*ret_header = header;
	return SW_OK;
}

sw_rc
sw_manifest_read_header(struct sw_repository *repo, const char *label, uint64_t object_size,
	struct sw_manifest_header *ret_header, struct sw_error *err)
{
	struct sw_error first;
	sw_rc rc = header_of_copy(repo, label, "manifest.zst", object_size, ret_header, err);

	if (rc != SW_CORRUPT)
		return rc;
	first = *err;
	rc = header_of_copy(repo, label, "manifest.copy.zst", object_size, ret_header, err);
	return rc == SW_OK ? rc : neither(&first, err);
}
