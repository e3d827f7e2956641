#include "backup/relocate.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

static bool
parse_oid(const char *text, uint32_t *ret_oid)
{
	size_t len = strspn(text, "0123456789");
	unsigned long long value = strtoull(text, NULL, 10);

	if (len == 0 || len > 10 || text[0] == '0' || text[len] != '\0' || value > UINT32_MAX)
		return false;
	*ret_oid = (uint32_t)value;
	return true;
}

sw_rc
sw_relocate_add(struct sw_relocate *r, const char *path, const char *target, struct sw_error *err)
{
	struct sw_relocated *more, item = {0};

	if (strncmp(path, "pg_tblspc/", 10) != 0 || !parse_oid(path + 10, &item.oid))
		return sw_fail(err, SW_CORRUPT, "tablespace \"%s\" is not named by an OID", path);
	more = realloc(r->items, (r->count + 1) * sizeof(*more));
	if (more != NULL)
		r->items = more;
	item.from = strdup(target);
	if (more == NULL || item.from == NULL) {
		free(item.from);
		return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	more[r->count++] = item;
	return SW_OK;
}

void
sw_relocate_release(struct sw_relocate *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->items[i].from);
		free(r->items[i].to);
	}
	free(r->items);
	*r = (struct sw_relocate){0};
}

/* At the '=' that no backslash stands before; backslashes before '=' are taken out of `old`. */
static char *
split(const char *text, const char **ret_new)
{
	char *old = malloc(strlen(text) + 1);
	size_t len = 0;

	for (const char *p = text; old != NULL && *p != '\0'; p++) {
		if (*p == '\\' && p[1] == '=') {
			old[len++] = *++p;
		} else if (*p == '=') {
			old[len] = '\0';
			*ret_new = p + 1;
			return old;
		} else {
			old[len++] = *p;
		}
	}
	free(old);
	return NULL;
}

static bool
same_place(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b);

	while (len_a > 1 && a[len_a - 1] == '/')
		len_a--;
	while (len_b > 1 && b[len_b - 1] == '/')
		len_b--;
	return len_a == len_b && memcmp(a, b, len_a) == 0;
}

static sw_rc
apply(struct sw_relocate *r, const char *mapping, struct sw_error *err)
{
	const char *new = NULL;
	SW_AUTO_FREE char *old = split(mapping, &new);
	uint32_t oid = 0;

	if (old == NULL || old[0] == '\0' || new[0] != '/') {
		sw_fail(err, SW_CONFIG, "--tablespace-map %s is not OLD=NEW with an absolute NEW", mapping);
		return sw_hint(err, "OLD is the tablespace's directory or its OID");
	}
	parse_oid(old, &oid);
	for (size_t i = 0; i < r->count; i++) {
		struct sw_relocated *item = &r->items[i];

		if (item->oid != oid && !same_place(item->from, old))
			continue;
		if (item->to != NULL)
			return sw_fail(err, SW_CONFIG, "tablespace %s is mapped twice", item->from);
		item->to = strdup(new);
		return item->to != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
	}
	sw_fail(err, SW_CONFIG, "--tablespace-map %s: the backup has no such tablespace", mapping);
	if (r->count == 0)
		return sw_hint(err, "it has none");
	return sw_hint(err, "it has %s (OID %u)%s", r->items[0].from, r->items[0].oid,
		r->count > 1 ? " and others" : "");
}

static sw_rc
report_unmapped(const struct sw_relocate *r, struct sw_error *err)
{
	SW_AUTO_BUF names, options;
	size_t count = 0;

	sw_buf_init(&names, 1200);
	sw_buf_init(&options, 400);
	for (size_t i = 0; i < r->count; i++) {
		const struct sw_relocated *item = &r->items[i];
		struct sw_error full = SW_ERROR_INIT;

		if (item->to != NULL)
			continue;
		/* a list too long for a message ends early */
		(void)sw_buf_printf(&names, &full, "%s%s (OID %u)", count > 0 ? ", " : "", item->from, item->oid);
		(void)sw_buf_printf(&options, &full, "--tablespace-map %s=NEWDIR ", item->from);
		count++;
	}
	sw_fail(err, SW_CONFIG, "%zu tablespace%s not mapped: %s", count, count == 1 ? " is" : "s are",
		(char *)names.data);
	return sw_hint(err, "give %sor --tablespaces-in-place, if those directories are empty or gone",
		(char *)options.data);
}

sw_rc
sw_relocate_resolve(struct sw_relocate *r, const char *const *map, size_t count, bool in_place,
	struct sw_error *err)
{
	bool unmapped = false;

	for (size_t i = 0; i < count; i++)
		if (apply(r, map[i], err) != SW_OK)
			return err->rc;
	for (size_t i = 0; i < r->count; i++) {
		struct sw_relocated *item = &r->items[i];

		if (item->to == NULL && in_place && item->from[0] == '/') {
			item->to = strdup(item->from);
			if (item->to == NULL)
				return sw_fail(err, SW_SYSTEM, "out of memory");
		}
		unmapped = unmapped || item->to == NULL;
	}
	return unmapped ? report_unmapped(r, err) : SW_OK;
}

bool
sw_relocate_leads_out(const char *path, const char *target)
{
	long depth = 0;

	if (target[0] == '/')
		return true;
	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++)
		depth++;
	for (const char *p = target; *p != '\0';) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			depth--;
		else if (len > 0 && !(len == 1 && p[0] == '.'))
			depth++;
		if (depth < 0)
			return true;
		p += len;
		p += strspn(p, "/");
	}
	return false;
}
