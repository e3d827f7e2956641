#include "backup/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/fill.h"
#include "backup/listing.h"
#include "backup/relocate.h"
#include "backup/target.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "pg/control.h"

#define MARKER_MAX 16384
#define CONF_MAX (4 * 1024 * 1024)
#define ROWS_AT_ONCE 64
#define CONTROL "global/pg_control"
#define CONTROL_NEW "global/pg_control.seawall"
#define AUTO_CONF "postgresql.auto.conf"

struct restore {
	const struct sw_restore_job *job;
	struct sw_restore_result result;
	struct sw_target target;
	struct sw_listing listing;
	char plan[2 * SW_SHA256_LEN + 1];
	char unfinished[2 * SW_SHA256_LEN + 1]; /* of the plan found in pgdata; "" if it was empty */
	uint64_t control_row;
	mode_t dir_mode; /* of the data directory itself */
	atomic_uint_fast64_t done, kept, next_row;
	bool sync_each;
};

static void
restore_release(struct restore *r)
{
	sw_target_release(&r->target);
	sw_listing_release(&r->listing);
	sw_restore_result_release(&r->result);
}

void
sw_restore_result_release(struct sw_restore_result *result)
{
	for (size_t i = 0; i < result->note_count; i++) {
		free(result->notes[i].what);
		free(result->notes[i].value);
	}
	free(result->notes);
	result->notes = NULL;
	result->note_count = 0;
}

static sw_rc
add_note(struct restore *r, enum sw_restore_note_kind kind, const char *what, const char *value,
	struct sw_error *err)
{
	struct sw_restore_note *more = realloc(r->result.notes,
		(r->result.note_count + 1) * sizeof(*more));
	struct sw_restore_note note = {.kind = kind, .what = strdup(what), .value = strdup(value)};

	if (more != NULL)
		r->result.notes = more;
	if (more == NULL || note.what == NULL || note.value == NULL) {
		free(note.what);
		free(note.value);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	more[r->result.note_count++] = note;
	return SW_OK;
}

static void
tick(void *ctx)
{
	struct restore *r = ctx;

	if (r->job->tick != NULL)
		r->job->tick(r->job->tick_ctx, atomic_load(&r->done), r->result.bytes);
}

/* --- is this the place ------------------------------------------------------------- */

static sw_rc
read_marker(struct restore *r, struct sw_error *err)
{
	SW_AUTO_JSON *object = NULL;
	const char *plan = NULL;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, MARKER_MAX);
	rc = sw_target_read(&r->target, SW_RESTORE_MARKER, &buf, err);
	if (rc == SW_NOT_FOUND) {
		sw_fail(err, SW_CONFIG, "directory %s is not empty", r->target.pgdata.path);
		return sw_hint(err, "name an empty or new directory: what is there is not touched");
	}
	if (rc == SW_OK)
		rc = sw_json_parse(buf.data, buf.len, "restore", 1, &object, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "plan", &plan, err);
	if (rc == SW_OK && strlen(plan) != sizeof(r->unfinished) - 1)
		rc = sw_fail(err, SW_CORRUPT, "\"plan\" is malformed");
	if (rc != SW_OK) {
		sw_wrap(err, "%s in %s", SW_RESTORE_MARKER, r->target.pgdata.path);
		return rc == SW_CORRUPT ? sw_hint(err, "empty the directory, and restore again") : rc;
	}
	memcpy(r->unfinished, plan, sizeof(r->unfinished));
	return SW_OK;
}

static sw_rc
open_directory(struct restore *r, struct sw_error *err)
{
	sw_rc rc = sw_target_open(r->job->pgdata, &r->target, err);

	if (rc != SW_OK || r->target.fresh)
		return rc;
	if (sw_target_exists(&r->target, "postmaster.pid")) {
		sw_fail(err, SW_CONFIG, "a server runs, or ran, in %s: there is a postmaster.pid",
			r->target.pgdata.path);
		return sw_hint(err, "name an empty or new directory");
	}
	rc = read_marker(r, err);
	/* killed when all that it had made was the marker, and that not whole */
	if (rc == SW_CORRUPT && sw_target_holds_only(&r->target, SW_RESTORE_MARKER)) {
		r->target.fresh = true;
		return SW_OK;
	}
	return rc;
}

static sw_rc
check_plan(struct restore *r, struct sw_error *err)
{
	if (strcmp(r->unfinished, r->plan) == 0) {
		r->result.resumed = true;
		return SW_OK;
	}
	sw_fail(err, SW_CONFIG, "%s holds an unfinished restore with another backup, target or mapping",
		r->target.pgdata.path);
	return sw_hint(err, "run it with the options that it was begun with, or empty all its directories");
}

static sw_rc
write_marker(struct restore *r, struct sw_error *err)
{
	SW_AUTO_JSON *object = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "seawall", "restore", "version", 1,
		"plan", r->plan, "label", r->job->label, "cluster", r->job->repo->cluster,
		"registration", r->job->repo->reg.id);
	SW_AUTO_FREE char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
	sw_rc rc;

	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_target_write(&r->target, SW_RESTORE_MARKER, text, strlen(text), 0600, err);
	return rc == SW_OK ? sw_target_fsync_dir(&r->target, "", err) : rc;
}

/* --- what is in the backup ---------------------------------------------------------- */

static bool
is_left_out(const char *path)
{
	/* tablespace_map would lead the server to the old places; the signals are this restore's to choose */
	static const char *const names[] = {"recovery.signal", "standby.signal", "tablespace_map",
		"postmaster.pid", "postmaster.opts", SW_RESTORE_MARKER, CONTROL_NEW};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(path, names[i]) == 0)
			return true;
	return strncmp(path, SW_RESTORE_OUTSIDE, strlen(SW_RESTORE_OUTSIDE)) == 0;
}

struct seen {
	bool label, control;
};

static sw_rc
look_at_row(struct restore *r, uint64_t i, struct seen *seen, struct sw_relocate *relocate,
	struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[i];
	char path[SW_LISTING_PATH_MAX], target[SW_LISTING_PATH_MAX];
	sw_rc rc = sw_listing_path(&r->listing, i, path, err);

	if (rc != SW_OK)
		return rc;
	if (row->type == SW_ENTRY_FILE || row->type == SW_ENTRY_OUTSIDE)
		r->result.bytes += row->size;
	if (strcmp(path, "backup_label") == 0 && row->type == SW_ENTRY_FILE)
		seen->label = true;
	if (strcmp(path, CONTROL) == 0 && row->type == SW_ENTRY_FILE && !row->chunked) {
		seen->control = true;
		r->control_row = i;
	}
	if (strcmp(path, "postgresql.conf") == 0)
		r->result.has_configuration = true;
	if (strcmp(path, "global") == 0)
		r->dir_mode = (row->mode & 0750) | 0700;
	if (row->type != SW_ENTRY_TABLESPACE)
		return SW_OK;
	rc = sw_listing_target(&r->listing, i, target, err);
	return rc == SW_OK ? sw_relocate_add(relocate, path, target, err) : rc;
}

static sw_rc
look_at_backup(struct restore *r, struct sw_relocate *relocate, struct sw_error *err)
{
	const struct sw_manifest_header *h = &r->listing.header;
	const struct sw_registration *reg = &r->job->repo->reg;
	struct seen seen = {0};
	sw_rc rc = SW_OK;

	r->dir_mode = 0700;
	if (h->system_identifier != reg->system_identifier || strcmp(h->registration, reg->id) != 0)
		return sw_fail(err, SW_CORRUPT, "backup %s in %s belongs to another registration of the cluster",
			h->label, sw_store_url(r->job->repo->store));
	for (uint64_t i = 0; rc == SW_OK && i < r->listing.entry_count; i++)
		rc = look_at_row(r, i, &seen, relocate, err);
	if (rc == SW_OK && (!seen.label || !seen.control))
		rc = sw_fail(err, SW_CORRUPT, "backup %s holds no %s", h->label,
			seen.label ? CONTROL : "backup_label");
	r->result.header = *h;
	return rc;
}

static sw_rc
set_roots(struct restore *r, const struct sw_relocate *relocate, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	if (r->job->wal_dir != NULL)
		rc = sw_target_set_wal(&r->target, r->job->wal_dir, r->target.fresh, err);
	for (size_t i = 0; rc == SW_OK && i < relocate->count; i++) {
		const struct sw_relocated *t = &relocate->items[i];

		rc = sw_target_add_tablespace(&r->target, t->oid, t->to, r->target.fresh, err);
		if (rc != SW_OK)
			return sw_wrap(err, "tablespace %s", t->from);
		rc = add_note(r, SW_NOTE_TABLESPACE, t->from, r->target.tablespaces[i].path, err);
	}
	return rc;
}

/* What makes two runs the same restore. */
static sw_rc
name_plan(struct restore *r, struct sw_error *err)
{
	const struct sw_restore_job *job = r->job;
	uint8_t sha256[SW_SHA256_LEN];
	SW_AUTO_BUF text;
	sw_rc rc;

	sw_buf_init(&text, 16 * 1024 * 1024);
	rc = sw_buf_printf(&text, err, "%s\n%s\n%s\n%s\n%d\n", job->repo->reg.id, job->label,
		r->target.pgdata.path, r->target.wal.fd >= 0 ? r->target.wal.path : "", job->standby);
	for (size_t i = 0; rc == SW_OK && i < r->target.tablespace_count; i++)
		rc = sw_buf_printf(&text, err, "%u=%s\n", r->target.tablespaces[i].oid,
			r->target.tablespaces[i].path);
	for (size_t i = 0; rc == SW_OK && i < job->setting_count; i++)
		rc = sw_buf_printf(&text, err, "%s=%s\n", job->settings[i].name, job->settings[i].value);
	if (rc != SW_OK)
		return rc;
	sw_sha256(text.data, text.len, sha256);
	sw_hex(sha256, sizeof(sha256), r->plan);
	return SW_OK;
}

static sw_rc
prepare(struct restore *r, struct sw_error *err)
{
	__attribute__((cleanup(sw_relocate_release))) struct sw_relocate relocate = {0};
	const struct sw_restore_job *job = r->job;
	sw_rc rc = open_directory(r, err);

	if (rc == SW_OK)
		rc = sw_listing_read(job->repo, job->label, r->target.pgdata.path, &r->listing, err);
	if (rc == SW_OK)
		rc = look_at_backup(r, &relocate, err);
	if (rc == SW_OK)
		rc = sw_relocate_resolve(&relocate, job->tablespace_map, job->tablespace_map_count,
			job->tablespaces_in_place, err);
	if (rc == SW_OK)
		rc = set_roots(r, &relocate, err);
	if (rc == SW_OK)
		rc = name_plan(r, err);
	if (rc == SW_OK)
		rc = r->target.fresh ? write_marker(r, err) : check_plan(r, err);
	return rc;
}

/* --- directories, files, links -------------------------------------------------------- */

/* Where the entry goes: *ret_skip if it is not restored from the listing.  For OUTSIDE below its own directory. */
static sw_rc
place_of(struct restore *r, uint64_t i, char ret_path[SW_LISTING_PATH_MAX], bool *ret_skip,
	struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[i];
	char path[SW_LISTING_PATH_MAX];
	sw_rc rc = sw_listing_path(&r->listing, i, path, err);

	if (rc != SW_OK)
		return rc;
	*ret_skip = i == r->control_row || (row->type != SW_ENTRY_OUTSIDE && is_left_out(path)) ||
		(strcmp(path, "pg_wal") == 0 && r->target.wal.fd >= 0);
	if (snprintf(ret_path, SW_LISTING_PATH_MAX, "%s%s",
		row->type == SW_ENTRY_OUTSIDE ? SW_RESTORE_OUTSIDE : "", path) >= SW_LISTING_PATH_MAX)
		return sw_fail(err, SW_CORRUPT, "path %s is too long", path);
	return SW_OK;
}

/* A link in the original, but recovery needs a directory, and the link's other end is not ours. */
static bool
becomes_directory(const struct sw_listing_row *row, const char *path)
{
	return row->type == SW_ENTRY_DIRECTORY || (row->type == SW_ENTRY_LINK && strcmp(path, "pg_wal") == 0);
}

static sw_rc
make_directories(struct restore *r, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (uint64_t i = 0; rc == SW_OK && i < r->listing.entry_count; i++) {
		const struct sw_listing_row *row = &r->listing.entries[i];
		char path[SW_LISTING_PATH_MAX];
		bool skip;

		rc = place_of(r, i, path, &skip, err);
		if (rc == SW_OK && i % 256 == 0)
			rc = sw_interrupt_check(err);
		if (rc != SW_OK || skip)
			continue;
		if (becomes_directory(row, path))
			rc = sw_target_make_dir(&r->target, path, err);
		else if (row->type == SW_ENTRY_OUTSIDE)
			rc = sw_target_make_parents(&r->target, path, err);
	}
	return rc;
}

static sw_rc
set_size(int fd, const char *path, uint64_t size, struct sw_error *err)
{
	/* a full disk shows now, and not in an hour */
	if (size > 0 && fallocate(fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return sw_fail_errno(err, "making room for %s (%" PRIu64 " bytes)", path, size);
	if (ftruncate(fd, (off_t)size) != 0)
		return sw_fail_errno(err, "setting the size of %s", path);
	return SW_OK;
}

static sw_rc
make_file(struct restore *r, uint64_t i, struct sw_buf *buf, struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[i];
	char path[SW_LISTING_PATH_MAX];
	SW_AUTO_FD fd = -1;
	bool skip;
	sw_rc rc;

	if (row->type != SW_ENTRY_FILE && row->type != SW_ENTRY_OUTSIDE)
		return SW_OK;
	rc = place_of(r, i, path, &skip, err);
	if (rc != SW_OK || skip)
		return rc;
	rc = sw_target_open_file(&r->target, path, O_RDWR | O_CREAT, 0600, &fd, err);
	if (rc != SW_OK)
		return rc;
	if (row->chunked)
		return set_size(fd, path, row->size, err);
	rc = sw_listing_content(&r->listing, i, r->job->repo->reg.page_hash_secret, buf, err);
	if (rc == SW_OK)
		rc = sw_file_pwrite_all(fd, buf->data, buf->len, 0, path, err);
	if (rc == SW_OK && ftruncate(fd, (off_t)buf->len) != 0)
		rc = sw_fail_errno(err, "setting its size");
	if (rc == SW_OK)
		atomic_fetch_add(&r->done, buf->len);
	return rc == SW_OK ? rc : sw_wrap(err, "%s", path);
}

static sw_rc
make_files(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct restore *r = ctx;
	SW_AUTO_BUF buf;
	sw_rc rc = SW_OK;

	(void)worker;
	sw_buf_init(&buf, SW_OUTSIDE_MAX);
	while (rc == SW_OK && !sw_pool_stopping(pool)) {
		uint64_t first = atomic_fetch_add(&r->next_row, ROWS_AT_ONCE);

		if (first >= r->listing.entry_count)
			break;
		for (uint64_t i = first; rc == SW_OK && i < first + ROWS_AT_ONCE && i < r->listing.entry_count; i++)
			rc = make_file(r, i, &buf, err);
	}
	return rc;
}

static const char *
tablespace_directory(const struct restore *r, const char *path)
{
	uint32_t oid = (uint32_t)strtoul(strrchr(path, '/') + 1, NULL, 10);

	for (size_t i = 0; i < r->target.tablespace_count; i++)
		if (r->target.tablespaces[i].oid == oid)
			return r->target.tablespaces[i].path;
	return "";
}

static sw_rc
make_link(struct restore *r, uint64_t i, struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[i];
	char path[SW_LISTING_PATH_MAX], to[SW_LISTING_PATH_MAX];
	bool skip;
	sw_rc rc = place_of(r, i, path, &skip, err);

	if (rc != SW_OK || skip || becomes_directory(row, path))
		return rc;
	if (row->type == SW_ENTRY_TABLESPACE)
		return sw_target_make_link(&r->target, path, tablespace_directory(r, path), err);
	rc = sw_listing_target(&r->listing, i, to, err);
	if (rc == SW_OK)
		rc = sw_target_make_link(&r->target, path, to, err);
	if (rc == SW_OK && sw_relocate_leads_out(path, to))
		rc = add_note(r, SW_NOTE_LINK, path, to, err);
	return rc;
}

/* Behind all files, so that nothing can be written through one. */
static sw_rc
make_links(struct restore *r, struct sw_error *err)
{
	sw_rc rc = SW_OK;

	for (uint64_t i = 0; rc == SW_OK && i < r->listing.entry_count; i++) {
		enum sw_entry_type type = r->listing.entries[i].type;

		if (type == SW_ENTRY_LINK || type == SW_ENTRY_TABLESPACE)
			rc = make_link(r, i, err);
	}
	if (rc == SW_OK && r->target.wal.fd >= 0)
		rc = sw_target_make_link(&r->target, "pg_wal", r->target.wal.path, err);
	else if (rc == SW_OK)
		rc = sw_target_make_dir(&r->target, "pg_wal", err);
	return rc;
}

/* --- modes, times, and the disk -------------------------------------------------------- */

static sw_rc
settle_row(struct restore *r, uint64_t i, struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[i];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = row->mtime_us / 1000000,
		.tv_nsec = row->mtime_us % 1000000 * 1000}};
	bool directory = row->type == SW_ENTRY_DIRECTORY, skip;
	char path[SW_LISTING_PATH_MAX];
	SW_AUTO_FD fd = -1;
	sw_rc rc;

	if (row->type == SW_ENTRY_LINK || row->type == SW_ENTRY_TABLESPACE)
		return SW_OK;
	rc = place_of(r, i, path, &skip, err);
	if (rc != SW_OK || skip)
		return rc;
	rc = sw_target_open_file(&r->target, path, O_RDONLY | (directory ? O_DIRECTORY : 0), 0, &fd, err);
	if (rc != SW_OK)
		return rc;
	if (fchmod(fd, (row->mode & 0775) | (directory ? 0700 : 0600)) != 0 || futimens(fd, times) != 0)
		return sw_fail_errno(err, "setting the mode and time of %s", path);
	if (r->sync_each && fsync(fd) != 0)
		return sw_fail_errno(err, "fsync of %s", path);
	return SW_OK;
}

static sw_rc
settle_rows(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *err)
{
	struct restore *r = ctx;
	sw_rc rc = SW_OK;

	(void)worker;
	while (rc == SW_OK && !sw_pool_stopping(pool)) {
		uint64_t first = atomic_fetch_add(&r->next_row, ROWS_AT_ONCE);

		if (first >= r->listing.entry_count)
			break;
		for (uint64_t i = first; rc == SW_OK && i < first + ROWS_AT_ONCE && i < r->listing.entry_count; i++)
			rc = settle_row(r, i, err);
	}
	return rc;
}

static sw_rc
settle_root(struct restore *r, const struct sw_target_root *root, struct sw_error *err)
{
	if (root->fd < 0)
		return SW_OK;
	if (fchmod(root->fd, r->dir_mode) != 0 || fsync(root->fd) != 0)
		return sw_fail_errno(err, "setting the mode of %s", root->path);
	return SW_OK;
}

static sw_rc
settle(struct restore *r, struct sw_error *err)
{
	bool done = false;
	sw_rc rc;

	atomic_store(&r->next_row, 0);
	rc = sw_pool_run(r->job->workers, settle_rows, tick, r, err);
	if (rc == SW_OK)
		rc = sw_target_sync(&r->target, &done, err);
	if (rc == SW_OK && !done) {
		r->sync_each = true;
		atomic_store(&r->next_row, 0);
		rc = sw_pool_run(r->job->workers, settle_rows, tick, r, err);
	}
	if (rc == SW_OK)
		rc = settle_root(r, &r->target.pgdata, err);
	if (rc == SW_OK)
		rc = settle_root(r, &r->target.wal, err);
	for (size_t i = 0; rc == SW_OK && i < r->target.tablespace_count; i++)
		rc = settle_root(r, &r->target.tablespaces[i], err);
	return rc;
}

/* --- configuration ------------------------------------------------------------------- */

static sw_rc
write_settings(struct restore *r, struct sw_error *err)
{
	const struct sw_restore_job *job = r->job;
	SW_AUTO_BUF old, new;
	sw_rc rc;

	sw_buf_init(&old, CONF_MAX);
	sw_buf_init(&new, 2 * CONF_MAX);
	rc = sw_target_read(&r->target, AUTO_CONF, &old, err);
	if (rc != SW_OK && rc != SW_NOT_FOUND)
		return rc;
	rc = sw_conf_append_without(&new, (char *)old.data, old.len, job->settings, job->setting_count, err);
	if (rc == SW_OK)
		rc = sw_buf_printf(&new, err, "# Written by seawall restore for recovery from backup %s.\n",
			job->label);
	for (size_t i = 0; rc == SW_OK && i < job->setting_count; i++)
		rc = sw_conf_append(&new, &job->settings[i], err);
	if (rc == SW_OK)
		rc = sw_target_write(&r->target, AUTO_CONF, new.data, new.len, 0600, err);
	if (rc == SW_OK)
		rc = sw_target_write(&r->target, job->standby ? "standby.signal" : "recovery.signal", "", 0, 0600,
			err);
	return rc == SW_OK ? sw_target_fsync_dir(&r->target, "", err) : rc;
}

/* Debian's postgresql.conf includes a directory that is empty, and a server does not start without it. */
static sw_rc
make_include_dir(struct restore *r, const char *path, const char *name, const char *value,
	struct sw_error *err)
{
	char dir[SW_LISTING_PATH_MAX];
	const char *slash = strrchr(path, '/');
	sw_rc rc;

	if (strcasecmp(name, "include_dir") != 0 || strchr(value, '/') != NULL || value[0] == '.' ||
		value[0] == '\0' || slash == NULL || snprintf(dir, sizeof(dir), "%.*s/%s", (int)(slash - path), path,
		value) >= (int)sizeof(dir))
		return SW_OK;
	rc = sw_target_make_dir(&r->target, dir, err);
	dir[slash - path] = '\0';
	return rc == SW_OK ? sw_target_fsync_dir(&r->target, dir, err) : rc;
}

static sw_rc
note_settings(struct restore *r, const char *path, const struct sw_buf *buf, struct sw_error *err)
{
	const char *line = (const char *)buf->data, *end = line + buf->len;
	sw_rc rc = SW_OK;

	while (rc == SW_OK && line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((newline == NULL ? end : newline) - line);
		char name[SW_CONF_NAME_MAX], value[SW_CONF_VALUE_MAX];
		SW_AUTO_FREE char *what = NULL;

		bool sets = sw_conf_parse_line(line, len, name, value);

		line += len + 1;
		if (sets && strncmp(path, SW_RESTORE_OUTSIDE, strlen(SW_RESTORE_OUTSIDE)) == 0)
			rc = make_include_dir(r, path, name, value, err);
		if (rc != SW_OK || !sets || !sw_conf_points_elsewhere(name, value))
			continue;
		if (asprintf(&what, "%s: %s", path, name) < 0)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		rc = add_note(r, SW_NOTE_SETTING, what, value, err);
	}
	return rc;
}

static bool
is_configuration(const char *path)
{
	size_t len = strlen(path);

	return len > 5 && strcmp(path + len - 5, ".conf") == 0 && strncmp(path, "base/", 5) != 0 &&
		strncmp(path, "global/", 7) != 0 && strncmp(path, "pg_tblspc/", 10) != 0 &&
		strstr(path, "pg_hba.conf") == NULL && strstr(path, "pg_ident.conf") == NULL;
}

static sw_rc
look_at_configuration(struct restore *r, struct sw_error *err)
{
	SW_AUTO_BUF buf;
	sw_rc rc = SW_OK;

	sw_buf_init(&buf, CONF_MAX);
	for (uint64_t i = 0; rc == SW_OK && i < r->listing.entry_count; i++) {
		const struct sw_listing_row *row = &r->listing.entries[i];
		char path[SW_LISTING_PATH_MAX], original[SW_LISTING_PATH_MAX];
		bool skip;

		if (row->type != SW_ENTRY_FILE && row->type != SW_ENTRY_OUTSIDE)
			continue;
		rc = place_of(r, i, path, &skip, err);
		if (rc == SW_OK && row->type == SW_ENTRY_OUTSIDE)
			rc = sw_listing_path(&r->listing, i, original, err);
		if (rc == SW_OK && row->type == SW_ENTRY_OUTSIDE)
			rc = add_note(r, SW_NOTE_OUTSIDE, original, path, err);
		if (rc != SW_OK || skip || !is_configuration(path) || row->size > CONF_MAX)
			continue;
		rc = sw_target_read(&r->target, path, &buf, err);
		if (rc == SW_OK)
			rc = note_settings(r, path, &buf, err);
	}
	return rc;
}

/* --- the end --------------------------------------------------------------------------- */

/* From here on a server starts. */
static sw_rc
write_control(struct restore *r, struct sw_error *err)
{
	const struct sw_listing_row *row = &r->listing.entries[r->control_row];
	struct sw_control control;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_OUTSIDE_MAX);
	rc = sw_listing_content(&r->listing, r->control_row, r->job->repo->reg.page_hash_secret, &buf, err);
	if (rc == SW_OK)
		rc = sw_control_parse(buf.data, buf.len, &control, err);
	if (rc == SW_OK && control.system_identifier != r->listing.header.system_identifier)
		rc = sw_fail(err, SW_CORRUPT, "is of another cluster");
	if (rc != SW_OK)
		return sw_wrap(err, "%s of backup %s", CONTROL, r->job->label);
	rc = sw_target_write(&r->target, CONTROL_NEW, buf.data, buf.len, (row->mode & 0775) | 0600, err);
	if (rc == SW_OK)
		rc = sw_interrupt_check(err);
	if (rc == SW_OK)
		rc = sw_target_rename(&r->target, CONTROL_NEW, CONTROL, err);
	atomic_fetch_add(&r->done, buf.len);
	return rc == SW_OK ? sw_target_fsync_dir(&r->target, "global", err) : rc;
}

static sw_rc
finish(struct restore *r, struct sw_error *err)
{
	sw_rc rc = sw_target_remove(&r->target, SW_RESTORE_MARKER, err);

	return rc == SW_OK ? sw_target_fsync_dir(&r->target, "", err) : rc;
}

static sw_rc
copy(struct restore *r, struct sw_error *err)
{
	struct sw_fill fill = {
		.repo = r->job->repo,
		.listing = &r->listing,
		.target = &r->target,
		.workers = r->job->workers,
		.resume = r->result.resumed,
		.done = &r->done,
		.kept = &r->kept,
		.tick = tick,
		.tick_ctx = r,
	};
	sw_rc rc = make_directories(r, err);

	if (rc == SW_OK)
		rc = sw_pool_run(r->job->workers, make_files, tick, r, err);
	if (rc == SW_OK)
		rc = sw_fill_run(&fill, err);
	if (rc == SW_OK)
		rc = make_links(r, err);
	return rc;
}

static sw_rc
restore(struct restore *r, struct sw_error *err)
{
	sw_rc rc = prepare(r, err);

	if (rc != SW_OK)
		return rc;
	/* written last, so all the rest is there and durable; nobody's new data must be overwritten */
	if (r->result.resumed && sw_target_exists(&r->target, CONTROL)) {
		r->kept = r->result.bytes;
		rc = look_at_configuration(r, err);
		return rc == SW_OK ? finish(r, err) : rc;
	}
	rc = copy(r, err);
	if (rc == SW_OK)
		rc = settle(r, err);
	if (rc == SW_OK)
		rc = look_at_configuration(r, err);
	if (rc == SW_OK)
		rc = write_settings(r, err);
	if (rc == SW_OK)
		rc = write_control(r, err);
	if (rc == SW_OK)
		rc = finish(r, err);
	tick(r);
	return rc;
}

sw_rc
sw_restore(const struct sw_restore_job *job, struct sw_restore_result *ret_result, struct sw_error *err)
{
	__attribute__((cleanup(restore_release))) struct restore r = {.job = job};
	sw_rc rc;

	r.target.pgdata.fd = r.target.wal.fd = -1;
	rc = restore(&r, err);
	if (rc != SW_OK)
		return sw_wrap(err, "restoring backup %s into %s", job->label, job->pgdata);
	r.result.kept = atomic_load(&r.kept);
	*ret_result = r.result;
	r.result = (struct sw_restore_result){0};
	return SW_OK;
}
