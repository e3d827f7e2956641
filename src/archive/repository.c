#include "archive/repository.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "wal/page.h"

#define REGISTRATION_MAX 16384
#define REGISTRATION_VERSION 1

static void
set_prefix(struct sw_repository *repo, const char *cluster, uint64_t system_identifier)
{
	snprintf(repo->cluster, sizeof(repo->cluster), "%s", cluster);
	snprintf(repo->prefix, sizeof(repo->prefix), "%s/%" PRIu64 "/", repo->cluster,
		system_identifier);
}

static bool
is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static sw_rc
read_sizes(const json_t *object, struct sw_registration *reg, struct sw_error *err)
{
	/* registrations of before it was noted have what every packaged server has */
	uint64_t major, segment_size, block_size, wal_block_size = 8192;
	sw_rc rc = sw_json_u64(object, "pg_major", 1000, &major, err);

	if (rc == SW_OK)
		rc = sw_json_u64(object, "segment_size", UINT32_MAX, &segment_size, err);
	if (rc == SW_OK)
		rc = sw_json_u64(object, "block_size", 32768, &block_size, err);
	if (rc == SW_OK && json_object_get(object, "wal_block_size") != NULL)
		rc = sw_json_u64(object, "wal_block_size", SW_WAL_BLOCK_MAX, &wal_block_size, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_wal_segment_size_ok(segment_size) || block_size < 1024 || !is_power_of_two(block_size) ||
		wal_block_size < SW_WAL_BLOCK_MIN || !is_power_of_two(wal_block_size))
		return sw_fail(err, SW_CORRUPT, "\"segment_size\", \"block_size\" or \"wal_block_size\" is impossible");
	reg->major = (unsigned)major;
	reg->segment_size = (uint32_t)segment_size;
	reg->block_size = (uint32_t)block_size;
	reg->wal_block_size = (uint32_t)wal_block_size;
	return SW_OK;
}

static sw_rc
read_registration(const json_t *object, struct sw_registration *reg, struct sw_error *err)
{
	const json_t *traits = json_object_get(object, "store");
	uint8_t id_bytes[(SW_REPOSITORY_ID_LEN - 1) / 2];
	const char *id = NULL, *created = NULL, *page_hash = NULL;
	sw_rc rc = read_sizes(object, reg, err);

	if (rc == SW_OK)
		rc = sw_json_u64_text(object, "system_identifier", &reg->system_identifier, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "id", &id, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "created", &created, err);
	if (rc == SW_OK)
		rc = sw_json_string(object, "page_hash", &page_hash, err);
	if (rc == SW_OK && strcmp(page_hash, "xxh3-128") != 0) {
		sw_fail(err, SW_CONFIG, "its page hash is not xxh3-128, the only one that this Seawall knows");
		return sw_hint(err, "use the Seawall that registered the cluster, or a newer one");
	}
	if (rc == SW_OK)
		rc = sw_json_hex(object, "page_hash_secret", reg->page_hash_secret,
			SW_PAGE_HASH_SECRET_LEN, err);
	if (rc == SW_OK)
		rc = sw_json_bool(traits, "put_if_absent", &reg->traits.put_if_absent, err);
	if (rc == SW_OK)
		rc = sw_json_bool(traits, "versioned", &reg->traits.versioned, err);
	if (rc == SW_OK)
		rc = sw_json_bool(traits, "object_lock", &reg->traits.object_lock, err);
	if (rc != SW_OK)
		return rc;
	if (!sw_unhex(id, id_bytes, sizeof(id_bytes)) || !sw_clock_parse_iso(created, &reg->created_us))
		return sw_fail(err, SW_CORRUPT, "\"id\" or \"created\" is malformed");
	memcpy(reg->id, id, SW_REPOSITORY_ID_LEN);
	return SW_OK;
}

/*
 * What the store enforces stands in what is being read.  So a handle that was told nothing proves that it reads the
 * oldest version; if that is not what it found, or that is damaged or hidden, the oldest is asked for.
 */
static sw_rc
get_registration(struct sw_store *store, const char *name, struct sw_buf *buf, struct sw_error *err)
{
	struct sw_error first;
	sw_rc rc = sw_store_get_buf(store, name, 0, 0, buf, err);

	if (rc != SW_CONFLICT && rc != SW_CORRUPT && rc != SW_NOT_FOUND && rc != SW_DENIED)
		return rc;
	first = *err;
	if (rc != SW_DENIED) {
		sw_store_set_traits(store, &(struct sw_store_traits){.versioned = true});
		rc = sw_store_get_buf(store, name, 0, 0, buf, err);
		if (rc == SW_OK || rc == SW_TRANSIENT)
			return rc;
	}
	/* who may not list versions, or has none, has to believe what is there */
	sw_store_set_traits(store, &(struct sw_store_traits){.put_if_absent = true});
	if (first.rc == SW_DENIED)
		return sw_store_get_buf(store, name, 0, 0, buf, err);
	*err = first;
	return first.rc;
}

static sw_rc
fetch_registration(struct sw_store *store, const char *cluster, const char *name,
	struct sw_registration *ret_reg, struct sw_error *err)
{
	struct sw_repository place;
	struct sw_registration reg = {0};
	SW_AUTO_JSON *object = NULL;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, REGISTRATION_MAX);
	rc = get_registration(store, name, &buf, err);
	if (rc != SW_OK && rc != SW_CORRUPT)
		return rc;
	if (rc == SW_OK)
		rc = sw_json_parse(buf.data, buf.len, "cluster", REGISTRATION_VERSION, &object, err);
	if (rc == SW_OK)
		rc = read_registration(object, &reg, err);
	if (rc == SW_OK) {
		set_prefix(&place, cluster, reg.system_identifier);
		if (strncmp(name, place.prefix, strlen(place.prefix)) != 0)
			rc = sw_fail(err, SW_CORRUPT, "is of system identifier %" PRIu64, reg.system_identifier);
	}
	if (rc != SW_OK)
		sw_wrap(err, "%s in %s", name, sw_store_url(store));
	if (rc == SW_CORRUPT)
		sw_hint(err, "put back this object from a copy of the repository: nothing can replace it");
	if (rc != SW_OK)
		return rc;
	*ret_reg = reg;
	return SW_OK;
}

void
sw_repository_assume(struct sw_store *store, const char *cluster, uint64_t system_identifier,
	uint32_t segment_size, struct sw_repository *ret_repo)
{
	*ret_repo = (struct sw_repository){.store = store};
	set_prefix(ret_repo, cluster, system_identifier);
	ret_repo->reg.system_identifier = system_identifier;
	ret_repo->reg.segment_size = segment_size;
}

sw_rc
sw_repository_open(struct sw_store *store, const char *cluster, uint64_t system_identifier,
	struct sw_repository *ret_repo, struct sw_error *err)
{
	struct sw_repository repo = {.store = store};
	char name[SW_STORE_NAME_MAX];
	sw_rc rc;

	set_prefix(&repo, cluster, system_identifier);
	rc = fetch_registration(store, cluster, sw_repository_name(&repo, name, "cluster.json"), &repo.reg,
		err);
	if (rc == SW_NOT_FOUND) {
		sw_fail(err, SW_NOT_FOUND, "cluster \"%s\" with system identifier %" PRIu64
			" is not registered in %s", cluster, system_identifier, sw_store_url(store));
		return sw_hint(err, "run 'seawall init' (after pg_upgrade or a new initdb: "
			"'seawall init --upgrade')");
	}
	if (rc != SW_OK)
		return rc;
	sw_store_set_traits(store, &repo.reg.traits);
	*ret_repo = repo;
	return SW_OK;
}

static json_t *
registration_json(const char *cluster, const struct sw_registration *reg)
{
	char secret[2 * SW_PAGE_HASH_SECRET_LEN + 1], created[SW_CLOCK_ISO_LEN], system_id[24];

	snprintf(system_id, sizeof(system_id), "%" PRIu64, reg->system_identifier);
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:s, s:s, s:s, s:{s:b, s:b, s:b}}",
		"seawall", "cluster", "version", REGISTRATION_VERSION, "id", reg->id,
		"cluster", cluster, "system_identifier", system_id, "pg_major", (int)reg->major,
		"segment_size", (json_int_t)reg->segment_size, "block_size", (json_int_t)reg->block_size,
		"wal_block_size", (json_int_t)reg->wal_block_size,
		"created", sw_clock_iso(reg->created_us, created), "page_hash", "xxh3-128",
		"page_hash_secret", sw_hex(reg->page_hash_secret, SW_PAGE_HASH_SECRET_LEN, secret),
		"store", "put_if_absent", reg->traits.put_if_absent, "versioned", reg->traits.versioned,
		"object_lock", reg->traits.object_lock);
}

sw_rc
sw_repository_register(struct sw_store *store, const char *cluster, struct sw_registration *reg,
	struct sw_error *err)
{
	struct sw_repository repo = {.store = store};
	char name[SW_STORE_NAME_MAX];
	uint8_t id[(SW_REPOSITORY_ID_LEN - 1) / 2];
	SW_AUTO_JSON *object = NULL;
	SW_AUTO_FREE char *text = NULL;
	struct sw_store_body body;
	sw_rc rc;

	if (RAND_bytes(id, sizeof(id)) != 1 ||
		RAND_bytes(reg->page_hash_secret, SW_PAGE_HASH_SECRET_LEN) != 1)
		return sw_fail(err, SW_SYSTEM, "no random numbers from the system");
	sw_hex(id, sizeof(id), reg->id);
	reg->created_us = sw_clock_now_us();
	object = registration_json(cluster, reg);
	text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	set_prefix(&repo, cluster, reg->system_identifier);
	body = sw_store_body_mem(text, strlen(text));
	rc = sw_store_put(store, sw_repository_name(&repo, name, "cluster.json"), &body, err);
	return rc == SW_OK ? rc : sw_wrap(err, "registering cluster \"%s\"", cluster);
}

struct list_context {
	struct sw_store *store;
	const char *cluster;
	struct sw_registration *regs;
	size_t max, count;
	char after[SW_STORE_NAME_MAX];
	bool again;
};

/* One name is enough: what follows "<cluster>/<system-id>/" is skipped by listing again behind it. */
static sw_rc
first_of_system(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	struct list_context *list = ctx;
	const char *slash = strchr(name + strlen(list->cluster) + 1, '/');

	(void)info;
	(void)err;
	if (slash == NULL)
		return SW_OK;
	list->again = true;
	/* '0' is the byte behind '/' */
	snprintf(list->after, sizeof(list->after), "%.*s0", (int)(slash - name), name);
	return SW_CONFLICT;
}

static void
insert_by_time(struct list_context *list, const struct sw_registration *reg)
{
	size_t at = list->count++;

	for (; at > 0 && list->regs[at - 1].created_us > reg->created_us; at--)
		list->regs[at] = list->regs[at - 1];
	list->regs[at] = *reg;
}

sw_rc
sw_repository_list(struct sw_store *store, const char *cluster, struct sw_registration *ret_regs,
	size_t max, size_t *ret_count, struct sw_error *err)
{
	struct list_context list = {.store = store, .cluster = cluster, .regs = ret_regs, .max = max};
	char prefix[SW_CLUSTER_MAX + 1], name[SW_STORE_NAME_MAX];

	snprintf(prefix, sizeof(prefix), "%s/", cluster);
	do {
		struct sw_registration reg = {0};
		sw_rc rc;

		list.again = false;
		rc = sw_store_list(store, prefix, list.after[0] != '\0' ? list.after : NULL,
			first_of_system, &list, err);
		if (rc != SW_OK)
			return sw_wrap(err, "looking for cluster \"%s\"", cluster);
		if (!list.again)
			break;
		snprintf(name, sizeof(name), "%.*s/cluster.json", (int)strlen(list.after) - 1, list.after);
		rc = fetch_registration(store, cluster, name, &reg, err);
		if (rc == SW_OK && list.count < max)
			insert_by_time(&list, &reg);
		else if (rc != SW_OK && rc != SW_NOT_FOUND)
			return rc;
	} while (list.again);
	*ret_count = list.count;
	return SW_OK;
}

char *
sw_repository_wal_name(const struct sw_repository *repo, const struct sw_wal_name *name,
	char buf[SW_STORE_NAME_MAX])
{
	char text[SW_WAL_NAME_MAX];

	return sw_repository_name(repo, buf, "wal/%08X/%s.zst", name->timeline,
		sw_wal_name_format(name, repo->reg.segment_size, text));
}

bool
sw_repository_parse_wal_name(const char *object, uint32_t segment_size, struct sw_wal_name *ret_name)
{
	const char *slash = strrchr(object, '/'), *file = slash == NULL ? object : slash + 1;
	size_t len = strlen(file);
	char text[SW_WAL_NAME_MAX];

	if (len <= 4 || len - 4 >= sizeof(text) || strcmp(file + len - 4, ".zst") != 0)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len - 4, file);
	return sw_wal_name_parse(text, segment_size, ret_name);
}

char *
sw_repository_name(const struct sw_repository *repo, char buf[SW_STORE_NAME_MAX], const char *fmt, ...)
{
	int len = snprintf(buf, SW_STORE_NAME_MAX, "%s", repo->prefix);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + len, SW_STORE_NAME_MAX - (size_t)len, fmt, ap);
	va_end(ap);
	return buf;
}
