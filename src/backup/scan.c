#include "backup/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "pg/names.h"

#define DEPTH_MAX 512                                /* PostgreSQL's own paths have at most 1,024 bytes */
#define MTIME_MIN INT64_C(-62135596800)              /* years 1 … 9999: what a manifest can say */
#define MTIME_MAX INT64_C(253402300799)

struct walk {
	const char *pgdata;
	char version_dir[32]; /* "PG_15_202209061" */
	uint32_t blocks_per_file;
	struct sw_scan *scan;
};

/* The names of one directory, sorted. */
struct names {
	char **items;
	size_t count, room;
};

static void
names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static sw_rc
names_add(struct names *names, const char *name, struct sw_error *err)
{
	if (names->count == names->room) {
		size_t room = names->room == 0 ? 64 : names->room * 2;
		char **items = realloc(names->items, room * sizeof(*items));

		if (items == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		names->items = items;
		names->room = room;
	}
	names->items[names->count] = strdup(name);
	if (names->items[names->count] == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	names->count++;
	return SW_OK;
}

/* A directory that vanished has no names. */
static sw_rc
names_read(const char *dir, struct names *names, struct sw_error *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	sw_rc rc = SW_OK;

	if (d == NULL)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "opening directory %s", dir);
	while (rc == SW_OK && (errno = 0, entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = names_add(names, entry->d_name, err);
	if (rc == SW_OK && errno != 0)
		rc = sw_fail_errno(err, "reading directory %s", dir);
	closedir(d);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return rc;
}

static bool
names_have(const struct names *names, const char *name)
{
	return names->count > 0 && bsearch(&name, names->items, names->count, sizeof(*names->items),
		compare_names) != NULL;
}

/* --- items ------------------------------------------------------------------------- */

sw_rc
sw_scan_add(struct sw_scan *scan, const struct sw_scan_item *item, struct sw_error *err)
{
	struct sw_scan_item *copy;

	if ((scan->count & (scan->count - 1)) == 0) {
		size_t room = scan->count == 0 ? 1 : scan->count * 2;
		struct sw_scan_item *items = realloc(scan->items, room * sizeof(*items));

		if (items == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		scan->items = items;
	}
	copy = &scan->items[scan->count];
	*copy = *item;
	copy->path = strdup(item->path);
	copy->target = item->target == NULL ? NULL : strdup(item->target);
	if (copy->path == NULL || (item->target != NULL && copy->target == NULL)) {
		free(copy->path);
		free(copy->target);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	scan->count++;
	scan->bytes += item->size;
	return SW_OK;
}

void
sw_scan_release(struct sw_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		free(scan->items[i].path);
		free(scan->items[i].target);
	}
	free(scan->items);
	*scan = (struct sw_scan){0};
}

/* --- what is left out -------------------------------------------------------------- */

static bool
in_list(const char *const *list, const char *text)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static bool
begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Directories at the top whose content is of no use to a restored cluster. */
static bool
content_left_out(const char *path)
{
	static const char *const dirs[] = {"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify",
		"pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", NULL};

	return in_list(dirs, path);
}

static bool
left_out(const char *path, const char *name)
{
	static const char *const paths[] = {"postmaster.pid", "postmaster.opts", "backup_label",
		"tablespace_map", "backup_manifest", "backup_label.old", "tablespace_map.old",
		"current_logfiles.tmp", "postgresql.auto.conf.tmp", "global/pg_control",
		"recovery.signal", "standby.signal", NULL};

	return in_list(paths, path) || begins(name, "pgsql_tmp") || begins(name, "pg_internal.init");
}

/* Temporary relations, and forks of unlogged ones but for the init fork. */
static bool
relation_left_out(const struct names *siblings, const char *path, struct sw_relation_file *file,
	bool *ret_relation)
{
	char init[32];

	*ret_relation = sw_relation_file_parse(path, file);
	if (!*ret_relation)
		return false;
	if (file->temporary)
		return true;
	snprintf(init, sizeof(init), "%u_init", file->filenode);
	return file->fork != SW_FORK_INIT && names_have(siblings, init);
}

/* A name as it can be shown: bytes that are not printable ASCII as \xNN. */
static sw_rc
fail_name(const char *what, const char *name, struct sw_error *err)
{
	char shown[1024];
	size_t len = 0;

	for (; *name != '\0' && len + 5 < sizeof(shown); name++)
		len += (size_t)snprintf(shown + len, sizeof(shown) - len, *name < 0x20 || *name > 0x7e ? "\\x%02x" : "%c",
			(unsigned char)*name);
	sw_fail(err, SW_CORRUPT, "%s is not UTF-8: %s", what, shown);
	return sw_hint(err, "rename or remove it: a backup could not give it back under its name");
}

/* --- walk -------------------------------------------------------------------------- */

static sw_rc walk_dir(struct walk *walk, const char *path, int depth, struct sw_error *err);

static int64_t
mtime_us(const struct stat *st)
{
	int64_t sec = st->st_mtim.tv_sec;

	sec = sec < MTIME_MIN ? MTIME_MIN : sec > MTIME_MAX ? MTIME_MAX : sec;
	return sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static struct sw_scan_item
item_of(const char *path, const struct stat *st, enum sw_entry_type type)
{
	return (struct sw_scan_item){
		.type = type,
		.path = (char *)path,
		.mode = st->st_mode & 07777,
		.mtime_us = mtime_us(st),
		.size = type == SW_ENTRY_FILE ? (uint64_t)st->st_size : 0,
	};
}

static sw_rc
add_directory(struct walk *walk, const char *path, const struct stat *st, int depth,
	struct sw_error *err)
{
	struct sw_scan_item item = item_of(path, st, SW_ENTRY_DIRECTORY);
	sw_rc rc = sw_scan_add(walk->scan, &item, err);

	if (rc != SW_OK)
		return rc;
	if (!content_left_out(path))
		return walk_dir(walk, path, depth + 1, err);
	if (strcmp(path, "pg_wal") != 0)
		return SW_OK;
	item.path = (char *)"pg_wal/archive_status";
	return sw_scan_add(walk->scan, &item, err);
}

/* Inside a tablespace only this server's own directory counts. */
static sw_rc
add_tablespace(struct walk *walk, const char *path, const struct stat *st, int depth,
	struct sw_error *err)
{
	SW_AUTO_FREE char *inner = NULL, *full = NULL;
	struct sw_scan_item item;
	struct stat inner_st;

	(void)st;
	if (asprintf(&inner, "%s/%s", path, walk->version_dir) < 0 ||
		asprintf(&full, "%s/%s", walk->pgdata, inner) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (stat(full, &inner_st) != 0)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "stat of %s", full);
	item = item_of(inner, &inner_st, SW_ENTRY_DIRECTORY);
	return sw_scan_add(walk->scan, &item, err) == SW_OK ?
		walk_dir(walk, inner, depth + 2, err) : err->rc;
}

static bool
is_oid(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return text[0] != '0' && len > 0 && len <= 10 && text[len] == '\0' && strtoull(text, NULL, 10) <= UINT32_MAX;
}

static sw_rc
add_link(struct walk *walk, const char *path, const char *full, int depth, struct sw_error *err)
{
	bool tablespace = begins(path, "pg_tblspc/") && is_oid(path + 10);
	bool wal = strcmp(path, "pg_wal") == 0;
	struct sw_scan_item item;
	char target[4096];
	ssize_t len = readlink(full, target, sizeof(target) - 1);
	struct stat st;
	sw_rc rc;

	if (len < 0)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "reading the link %s", full);
	target[len] = '\0';
	if (!sw_json_text_ok(target))
		return fail_name("the target of a symbolic link", target, err);
	if (stat(full, &st) != 0 && lstat(full, &st) != 0)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "stat of %s", full);
	/* the server wants a directory there, and the link's other end is the original's */
	if (!S_ISDIR(st.st_mode))
		st.st_mode = 0700;
	if (content_left_out(path) && !wal)
		return add_directory(walk, path, &st, depth, err);
	item = item_of(path, &st, tablespace ? SW_ENTRY_TABLESPACE : SW_ENTRY_LINK);
	item.target = target;
	rc = sw_scan_add(walk->scan, &item, err);
	if (rc == SW_OK && tablespace)
		return add_tablespace(walk, path, &st, depth, err);
	if (rc == SW_OK && wal) {
		item = item_of("pg_wal/archive_status", &st, SW_ENTRY_DIRECTORY);
		return sw_scan_add(walk->scan, &item, err);
	}
	if (rc == SW_OK)
		sw_log(SW_LOG_WARNING, "%s is a symbolic link to %s: the link is backed up, what it points to "
			"is not", full, target);
	return rc;
}

static sw_rc
add_file(struct walk *walk, const struct names *siblings, const char *path, const struct stat *st,
	struct sw_error *err)
{
	struct sw_scan_item item = item_of(path, st, SW_ENTRY_FILE);
	struct sw_relation_file file;

	if (relation_left_out(siblings, path, &file, &item.relation))
		return SW_OK;
	if (item.relation)
		item.first_block = file.segment * walk->blocks_per_file;
	return sw_scan_add(walk->scan, &item, err);
}

static sw_rc
add_name(struct walk *walk, const struct names *siblings, const char *path, const char *name,
	int depth, struct sw_error *err)
{
	SW_AUTO_FREE char *full = NULL;
	struct stat st;

	if (left_out(path, name))
		return SW_OK;
	if (!sw_json_text_ok(name))
		return fail_name("a file's name", path, err);
	if (asprintf(&full, "%s/%s", walk->pgdata, path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (lstat(full, &st) != 0)
		return errno == ENOENT ? SW_OK : sw_fail_errno(err, "stat of %s", full);
	if (S_ISDIR(st.st_mode))
		return add_directory(walk, path, &st, depth, err);
	if (S_ISLNK(st.st_mode))
		return add_link(walk, path, full, depth, err);
	if (S_ISREG(st.st_mode))
		return add_file(walk, siblings, path, &st, err);
	sw_log(SW_LOG_WARNING, "%s is neither file, directory nor link, and is left out", full);
	return SW_OK;
}

static sw_rc
walk_dir(struct walk *walk, const char *path, int depth, struct sw_error *err)
{
	__attribute__((cleanup(names_release))) struct names names = {0};
	SW_AUTO_FREE char *full = NULL;
	sw_rc rc;

	if (depth > DEPTH_MAX) {
		sw_fail(err, SW_SYSTEM, "%s/%.200s… is nested deeper than %d directories", walk->pgdata, path, DEPTH_MAX);
		return sw_hint(err, "move what is not PostgreSQL's out of the data directory");
	}
	if (asprintf(&full, "%s/%s", walk->pgdata, path) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = names_read(full, &names, err);
	for (size_t i = 0; rc == SW_OK && i < names.count; i++) {
		SW_AUTO_FREE char *child = NULL;

		if (asprintf(&child, "%s%s%s", path, path[0] == '\0' ? "" : "/", names.items[i]) < 0)
			return sw_fail(err, SW_SYSTEM, "out of memory");
		rc = sw_interrupt_check(err);
		if (rc == SW_OK)
			rc = add_name(walk, &names, child, names.items[i], depth, err);
	}
	return rc;
}

sw_rc
sw_scan_run(const char *pgdata, unsigned major, uint32_t catalog_version,
	uint32_t blocks_per_file, struct sw_scan *ret_scan, struct sw_error *err)
{
	struct sw_scan scan = {0};
	struct walk walk = {.pgdata = pgdata, .blocks_per_file = blocks_per_file, .scan = &scan};
	sw_rc rc;

	snprintf(walk.version_dir, sizeof(walk.version_dir), "PG_%u_%u", major, catalog_version);
	rc = walk_dir(&walk, "", 0, err);
	if (rc != SW_OK) {
		sw_scan_release(&scan);
		return sw_wrap(err, "looking through %s", pgdata);
	}
	*ret_scan = scan;
	return SW_OK;
}
