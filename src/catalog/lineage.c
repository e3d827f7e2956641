#include "catalog/lineage.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#define LINEAGE_VERSION 1
#define DIRECTORY "lineage/"
#define SEQ_DIGITS 10
#define SEQ_MAX UINT64_C(9999999999)
#define HEADS_MAX 16     /* of other writers, that an entry names */
#define RACES_MAX 20     /* other programs of this writer that put first */
#define SPOOLED_MAX 1000 /* that one append pays */
#define WRITERS_MAX 65536
#define ENTRIES_MAX UINT64_C(10000000)

struct chain {
	char writer[SW_LINEAGE_WRITER_LEN];
	uint64_t last;
	int64_t modified_us; /* of the last, by the store's clock */
	size_t at;           /* verify: of its first entry */
};

struct chains {
	struct chain *items;
	size_t count, capacity;
	uint64_t entries;
	size_t prefix_len;
};

static char *
entry_name(const struct sw_repository *repo, const char *writer, uint64_t seq, char name[SW_STORE_NAME_MAX])
{
	return sw_repository_name(repo, name, DIRECTORY "%s/%0*" PRIu64 ".json", writer, SEQ_DIGITS, seq);
}

/* --- which chains there are ------------------------------------------------------------- */

/* rest: "<writer>/<seq>.json" */
static bool
parse_name(const char *rest, char writer[SW_LINEAGE_WRITER_LEN], uint64_t *ret_seq)
{
	const char *slash = strchr(rest, '/');
	uint64_t seq = 0;

	if (slash == NULL || slash == rest || slash - rest >= SW_LINEAGE_WRITER_LEN ||
		strlen(slash + 1) != SEQ_DIGITS + strlen(".json") || strcmp(slash + 1 + SEQ_DIGITS, ".json") != 0)
		return false;
	for (int i = 0; i < SEQ_DIGITS; i++) {
		if (slash[1 + i] < '0' || slash[1 + i] > '9')
			return false;
		seq = seq * 10 + (uint64_t)(slash[1 + i] - '0');
	}
	snprintf(writer, SW_LINEAGE_WRITER_LEN, "%.*s", (int)(slash - rest), rest);
	*ret_seq = seq;
	return seq > 0;
}

static sw_rc
chains_add(struct chains *c, const char *writer, struct sw_error *err)
{
	if (c->count == c->capacity) {
		size_t capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
		struct chain *items = capacity > WRITERS_MAX ? NULL : realloc(c->items, capacity * sizeof(*items));

		if (items == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory, or more than %d writers", WRITERS_MAX);
		c->items = items;
		c->capacity = capacity;
	}
	c->items[c->count] = (struct chain){0};
	snprintf(c->items[c->count++].writer, SW_LINEAGE_WRITER_LEN, "%s", writer);
	return SW_OK;
}

/* Names come sorted, so a chain's come together, and its last one last. */
static sw_rc
see_name(void *ctx, const char *name, const struct sw_store_info *info, struct sw_error *err)
{
	char writer[SW_LINEAGE_WRITER_LEN];
	struct chains *c = ctx;
	uint64_t seq;
	sw_rc rc = SW_OK;

	if (!parse_name(name + c->prefix_len, writer, &seq))
		return SW_OK;
	if (c->count == 0 || strcmp(c->items[c->count - 1].writer, writer) != 0)
		rc = chains_add(c, writer, err);
	if (rc != SW_OK)
		return rc;
	c->items[c->count - 1].last = seq;
	c->items[c->count - 1].modified_us = info->modified_us;
	c->entries++;
	return SW_OK;
}

static sw_rc
chains_list(struct sw_repository *repo, struct chains *c, struct sw_error *err)
{
	char prefix[SW_STORE_NAME_MAX];

	free(c->items);
	*c = (struct chains){0};
	sw_repository_name(repo, prefix, DIRECTORY);
	c->prefix_len = strlen(prefix);
	return sw_store_list(repo->store, prefix, NULL, see_name, c, err);
}

static void
chains_release(struct chains *c)
{
	free(c->items);
}

/* --- reading one ----------------------------------------------------------------------------- */

static sw_rc
check_fields(const json_t *json, const char *writer, uint64_t seq, int64_t *ret_finished_us, struct sw_error *err)
{
	const char *text = NULL, *finished = NULL, *started = NULL;
	uint64_t number = 0;
	int64_t us;
	sw_rc rc = sw_json_string(json, "writer", &text, err);

	if (rc == SW_OK)
		rc = sw_json_u64(json, "seq", SEQ_MAX, &number, err);
	if (rc == SW_OK && (strcmp(text, writer) != 0 || number != seq))
		rc = sw_fail(err, SW_CORRUPT, "it is entry %" PRIu64 " of %s", number, text);
	if (rc == SW_OK)
		rc = sw_json_string(json, "act", &text, err);
	if (rc == SW_OK)
		rc = sw_json_string(json, "result", &text, err);
	if (rc == SW_OK)
		rc = sw_json_string(json, "started", &started, err);
	if (rc == SW_OK)
		rc = sw_json_string(json, "finished", &finished, err);
	if (rc == SW_OK && (!sw_clock_parse_iso(finished, ret_finished_us) || !sw_clock_parse_iso(started, &us)))
		rc = sw_fail(err, SW_CORRUPT, "\"started\" or \"finished\" is malformed");
	return rc;
}

/* ret_entry: the caller gives json back.  ret_sha256 may be NULL. */
static sw_rc
read_entry(struct sw_repository *repo, const char *writer, uint64_t seq, struct sw_lineage_entry *ret_entry,
	uint8_t ret_sha256[SW_SHA256_LEN], struct sw_error *err)
{
	struct sw_lineage_entry entry = {.seq = seq};
	char name[SW_STORE_NAME_MAX];
	SW_AUTO_JSON *json = NULL;
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_LINEAGE_ENTRY_MAX);
	rc = sw_store_get_buf(repo->store, entry_name(repo, writer, seq, name), 0, SW_STORE_UP_TO(SW_LINEAGE_ENTRY_MAX),
		&buf, err);
	if (rc == SW_OK)
		rc = sw_json_parse(buf.data, buf.len, "lineage", LINEAGE_VERSION, &json, err);
	if (rc == SW_OK)
		rc = check_fields(json, writer, seq, &entry.finished_us, err);
	if (rc != SW_OK)
		return rc;
	snprintf(entry.writer, sizeof(entry.writer), "%s", writer);
	entry.json = json_incref(json);
	*ret_entry = entry;
	if (ret_sha256 != NULL)
		sw_sha256(buf.data, buf.len, ret_sha256);
	return SW_OK;
}

/* Of the bytes, whatever they say. */
static sw_rc
hash_entry(struct sw_repository *repo, const char *writer, uint64_t seq, char ret_hex[2 * SW_SHA256_LEN + 1],
	struct sw_error *err)
{
	uint8_t sha256[SW_SHA256_LEN];
	char name[SW_STORE_NAME_MAX];
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, SW_LINEAGE_ENTRY_MAX);
	rc = sw_store_get_buf(repo->store, entry_name(repo, writer, seq, name), 0, SW_STORE_UP_TO(SW_LINEAGE_ENTRY_MAX),
		&buf, err);
	if (rc != SW_OK)
		return rc;
	sw_sha256(buf.data, buf.len, sha256);
	sw_hex(sha256, sizeof(sha256), ret_hex);
	return SW_OK;
}

/* --- appending -------------------------------------------------------------------------------- */

static void
user_name(char name[64])
{
	const struct passwd *pw = getpwuid(geteuid());

	if (pw != NULL)
		snprintf(name, 64, "%s", pw->pw_name);
	else
		snprintf(name, 64, "%u", (unsigned)geteuid());
}

static void
host_name(char name[256])
{
	if (gethostname(name, 255) != 0)
		strcpy(name, "unknown");
	name[255] = '\0';
}

static void
own_writer(char writer[SW_LINEAGE_WRITER_LEN])
{
	char host[256], user[64];

	host_name(host);
	user_name(user);
	snprintf(writer, SW_LINEAGE_WRITER_LEN, "%.40s-%.20s", host, user);
	for (char *p = writer; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", *p) == NULL)
			*p = '_';
}

/* What does not depend on the chain. */
static json_t *
act_json(const struct sw_lineage_act *act)
{
	char host[256], user[64], started[SW_CLOCK_ISO_LEN], finished[SW_CLOCK_ISO_LEN];
	json_t *json;

	host_name(host);
	user_name(user);
	json = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:O*}", "seawall", "lineage",
		"version", LINEAGE_VERSION, "act", act->act, "result", act->result,
		"started", sw_clock_iso(act->started_us, started), "finished", sw_clock_iso(act->finished_us, finished),
		"host", sw_json_text(host), "user", sw_json_text(user), "program", "seawall " PACKAGE_VERSION, "what", act->what);
	if (json != NULL && act->reason != NULL)
		json_object_set_new(json, "reason", sw_json_text(act->reason));
	if (json != NULL && act->error != NULL)
		json_object_set_new(json, "error", sw_json_text(act->error));
	return json;
}

static int
by_modified(const void *a, const void *b)
{
	const struct chain *x = a, *y = b;

	return (x->modified_us < y->modified_us) - (x->modified_us > y->modified_us);
}

/* The heads of the chains that were written to last; takes c's order away. */
static sw_rc
add_heads(struct sw_repository *repo, struct chains *c, const char *writer, json_t *json, struct sw_error *err)
{
	json_t *heads = json_array();
	size_t named = 0;
	sw_rc rc = SW_OK;

	json_object_set_new(json, "heads", heads);
	if (c->count > 1)
		qsort(c->items, c->count, sizeof(c->items[0]), by_modified);
	for (size_t i = 0; rc == SW_OK && i < c->count && named < HEADS_MAX; i++) {
		char hex[2 * SW_SHA256_LEN + 1];

		if (strcmp(c->items[i].writer, writer) == 0)
			continue;
		rc = hash_entry(repo, c->items[i].writer, c->items[i].last, hex, err);
		if (rc == SW_OK)
			json_array_append_new(heads, json_pack("[s, I, s]", c->items[i].writer, (json_int_t)c->items[i].last, hex));
		named++;
	}
	return rc;
}

/* json: of act_json; what the chain says is put into it.  SW_CONFLICT: another program of this writer was faster. */
static sw_rc
put_entry(struct sw_repository *repo, struct chains *c, json_t *json, struct sw_error *err)
{
	char writer[SW_LINEAGE_WRITER_LEN], name[SW_STORE_NAME_MAX], previous[2 * SW_SHA256_LEN + 1] = "";
	SW_AUTO_FREE char *text = NULL;
	struct sw_store_body body;
	uint64_t last = 0;
	sw_rc rc = chains_list(repo, c, err);

	own_writer(writer);
	for (size_t i = 0; rc == SW_OK && i < c->count; i++)
		if (strcmp(c->items[i].writer, writer) == 0)
			last = c->items[i].last;
	if (rc == SW_OK && last > 0)
		rc = hash_entry(repo, writer, last, previous, err);
	if (rc == SW_OK && last == SEQ_MAX)
		rc = sw_fail(err, SW_SYSTEM, "the chain of %s is full", writer);
	if (rc == SW_OK)
		rc = add_heads(repo, c, writer, json, err);
	if (rc != SW_OK)
		return rc;
	json_object_set_new(json, "writer", json_string(writer));
	json_object_set_new(json, "seq", json_integer((json_int_t)last + 1));
	json_object_set_new(json, "previous", json_string(previous));
	text = json_dumps(json, JSON_COMPACT);
	if (text == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	if (strlen(text) > SW_LINEAGE_ENTRY_MAX)
		return sw_fail(err, SW_BUG, "an entry of %zu bytes", strlen(text));
	body = sw_store_body_mem(text, strlen(text));
	return sw_store_put(repo->store, entry_name(repo, writer, last + 1, name), &body, err);
}

static sw_rc
append_json(struct sw_repository *repo, json_t *json, struct sw_error *err)
{
	__attribute__((cleanup(chains_release))) struct chains c = {0};
	sw_rc rc = SW_CONFLICT;

	if (json == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (int i = 0; rc == SW_CONFLICT && i < RACES_MAX; i++)
		rc = put_entry(repo, &c, json, err);
	return rc;
}

/* --- the spool -------------------------------------------------------------------------------- */

sw_rc
sw_lineage_spool(const struct sw_repository *repo, const struct sw_lineage_act *act, const char *spool,
	struct sw_error *err)
{
	SW_AUTO_JSON *json = act_json(act);
	SW_AUTO_FREE char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	SW_AUTO_FREE char *path = NULL;
	uint8_t random[4];
	char hex[9];
	sw_rc rc;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return sw_fail(err, SW_SYSTEM, "no random numbers");
	if (text == NULL || asprintf(&path, "%s/%s.%020" PRId64 ".%s.json", spool, repo->reg.id, act->finished_us,
		sw_hex(random, sizeof(random), hex)) < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = sw_file_make_dirs(spool, 0700, err);
	return rc == SW_OK ? sw_file_write(path, text, strlen(text), 0600, err) : rc;
}

static const char *filter_id; /* scandir gives its filter no context; one thread appends */

static int
is_spooled(const struct dirent *entry)
{
	size_t id_len = strlen(filter_id), len = strlen(entry->d_name);

	return strncmp(entry->d_name, filter_id, id_len) == 0 && entry->d_name[id_len] == '.' && len > 5 &&
		strcmp(entry->d_name + len - 5, ".json") == 0;
}

static sw_rc
pay_one(struct sw_repository *repo, const char *path, struct sw_error *err)
{
	SW_AUTO_JSON *json = NULL;
	SW_AUTO_BUF buf = {0};
	struct sw_error bad = SW_ERROR_INIT;
	sw_rc rc = sw_file_read(path, SW_LINEAGE_ENTRY_MAX, &buf, &bad);

	if (rc == SW_OK)
		rc = sw_json_parse(buf.data, buf.len, "lineage", LINEAGE_VERSION, &json, &bad);
	if (rc != SW_OK) {
		sw_log(SW_LOG_WARNING, "%s is not appended to the lineage: %s", path, bad.text);
		return SW_OK;
	}
	json_object_set_new(json, "spooled", json_true());
	rc = append_json(repo, json, err);
	if (rc == SW_OK)
		unlink(path);
	return rc;
}

/* In the order of their times. */
static sw_rc
pay_spooled(struct sw_repository *repo, const char *spool, struct sw_error *err)
{
	struct dirent **found = NULL;
	sw_rc rc = SW_OK;
	int count;

	filter_id = repo->reg.id;
	count = scandir(spool, &found, is_spooled, alphasort);
	for (int i = 0; i < count; i++) {
		SW_AUTO_FREE char *path = NULL;

		if (rc == SW_OK && i < SPOOLED_MAX)
			rc = asprintf(&path, "%s/%s", spool, found[i]->d_name) < 0 ? sw_fail(err, SW_SYSTEM, "out of memory") :
				pay_one(repo, path, err);
		free(found[i]);
	}
	free(found);
	return rc;
}

sw_rc
sw_lineage_append(struct sw_repository *repo, const struct sw_lineage_act *act, const char *spool, struct sw_error *err)
{
	SW_AUTO_JSON *json = act_json(act);
	sw_rc rc = pay_spooled(repo, spool, err);

	if (rc == SW_OK)
		rc = append_json(repo, json, err);
	return rc == SW_OK ? rc : sw_wrap(err, "appending to the lineage");
}

/* --- reading many ------------------------------------------------------------------------------- */

static int
by_finished(const void *a, const void *b)
{
	const struct sw_lineage_entry *x = a, *y = b;
	int writers = strcmp(x->writer, y->writer);

	if (x->finished_us != y->finished_us)
		return x->finished_us < y->finished_us ? -1 : 1;
	return writers != 0 ? writers : (x->seq > y->seq) - (x->seq < y->seq);
}

static bool
is_wanted(const struct sw_lineage_entry *entry, const struct sw_lineage_filter *f)
{
	return entry->finished_us >= f->since_us && entry->finished_us <= f->until_us &&
		(f->act == NULL || strcmp(json_string_value(json_object_get(entry->json, "act")), f->act) == 0);
}

static void
drop_oldest(struct sw_lineage *lineage, size_t keep)
{
	size_t surplus = lineage->count > keep ? lineage->count - keep : 0;

	qsort(lineage->entries, lineage->count, sizeof(lineage->entries[0]), by_finished);
	for (size_t i = 0; i < surplus; i++)
		json_decref(lineage->entries[i].json);
	lineage->count -= surplus;
	memmove(lineage->entries, lineage->entries + surplus, lineage->count * sizeof(lineage->entries[0]));
}

static sw_rc
keep_entry(struct sw_lineage *lineage, const struct sw_lineage_filter *filter, size_t *capacity,
	const struct sw_lineage_entry *entry, struct sw_error *err)
{
	if (lineage->count == *capacity && filter->limit > 0 && lineage->count >= 2 * filter->limit)
		drop_oldest(lineage, filter->limit);
	if (lineage->count == *capacity) {
		size_t grown = *capacity == 0 ? 64 : 2 * *capacity;
		struct sw_lineage_entry *entries = realloc(lineage->entries, grown * sizeof(*entries));

		if (entries == NULL) {
			json_decref(entry->json);
			return sw_fail(err, SW_SYSTEM, "out of memory");
		}
		lineage->entries = entries;
		*capacity = grown;
	}
	lineage->entries[lineage->count++] = *entry;
	return SW_OK;
}

/* Backwards; a chain's entries are in the order of their ends, but for what was spooled. */
static sw_rc
read_chain(struct sw_repository *repo, const struct chain *chain, const struct sw_lineage_filter *filter,
	struct sw_lineage *lineage, size_t *capacity, struct sw_error *err)
{
	size_t kept = 0;
	sw_rc rc = SW_OK;

	for (uint64_t seq = chain->last; rc == SW_OK && seq > 0 && (filter->limit == 0 || kept < filter->limit); seq--) {
		struct sw_lineage_entry entry;

		rc = read_entry(repo, chain->writer, seq, &entry, NULL, err);
		if (rc == SW_OK && is_wanted(&entry, filter)) {
			rc = keep_entry(lineage, filter, capacity, &entry, err);
			kept++;
		} else if (rc == SW_OK) {
			json_decref(entry.json);
		} else if (rc == SW_CORRUPT || rc == SW_NOT_FOUND || rc == SW_CONFIG) {
			lineage->unread++;
			rc = SW_OK;
		}
	}
	return rc;
}

sw_rc
sw_lineage_read(struct sw_repository *repo, const struct sw_lineage_filter *filter, struct sw_lineage *ret_lineage,
	struct sw_error *err)
{
	__attribute__((cleanup(chains_release))) struct chains c = {0};
	size_t capacity = 0;
	sw_rc rc;

	*ret_lineage = (struct sw_lineage){0};
	rc = chains_list(repo, &c, err);
	for (size_t i = 0; rc == SW_OK && i < c.count; i++)
		rc = read_chain(repo, &c.items[i], filter, ret_lineage, &capacity, err);
	if (rc != SW_OK)
		return sw_wrap(err, "reading the lineage");
	if (ret_lineage->count > 0)
		drop_oldest(ret_lineage, filter->limit > 0 ? filter->limit : ret_lineage->count);
	return SW_OK;
}

void
sw_lineage_release(struct sw_lineage *lineage)
{
	for (size_t i = 0; i < lineage->count; i++)
		json_decref(lineage->entries[i].json);
	free(lineage->entries);
	*lineage = (struct sw_lineage){0};
}

/* --- verifying ------------------------------------------------------------------------------------ */

struct proving {
	struct sw_repository *repo;
	struct chains chains;
	struct known {
		bool whole;
		uint8_t sha256[SW_SHA256_LEN];
	} *known; /* chain by chain, in the order of seq */
	json_t *seen; /* heads that entries name: [writer, seq, hash, witness] */
	sw_lineage_broken broken;
	void *ctx;
	struct sw_lineage_proof *proof;
};

static void __attribute__((format(printf, 2, 3)))
tell(struct proving *p, const char *fmt, ...)
{
	char text[SW_LINEAGE_TEXT_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (p->proof->broken++ == 0)
		snprintf(p->proof->first_broken, sizeof(p->proof->first_broken), "%s", text);
	if (p->broken != NULL)
		p->broken(p->ctx, text);
}

static bool
is_hash(const json_t *value, const uint8_t sha256[SW_SHA256_LEN])
{
	char hex[2 * SW_SHA256_LEN + 1];

	return json_is_string(value) && strcmp(json_string_value(value), sw_hex(sha256, SW_SHA256_LEN, hex)) == 0;
}

/* A head of a chain that is longer by now, or was cut: looked at when all are read. */
static void
check_head(struct proving *p, const json_t *head, const char *name)
{
	const char *writer = json_string_value(json_array_get(head, 0));
	json_int_t seq = json_integer_value(json_array_get(head, 1));

	if (writer == NULL || seq < 1) {
		tell(p, "%s: \"heads\" is malformed", name);
		return;
	}
	for (size_t i = 0; i < p->chains.count; i++) {
		const struct chain *chain = &p->chains.items[i];
		const struct known *known;

		if (strcmp(chain->writer, writer) != 0)
			continue;
		if ((uint64_t)seq > chain->last)
			break;
		known = &p->known[chain->at + (size_t)seq - 1];
		if (known->whole && !is_hash(json_array_get(head, 2), known->sha256))
			tell(p, "%s saw another entry %" JSON_INTEGER_FORMAT " of %s than is there now", name, seq, writer);
		return;
	}
	tell(p, "%s saw entry %" JSON_INTEGER_FORMAT " of %s, which is gone: the end of that chain was cut off", name, seq,
		writer);
}

static sw_rc
prove_entry(struct proving *p, const struct chain *chain, uint64_t seq, struct sw_error *err)
{
	struct known *known = &p->known[chain->at + (size_t)seq - 1];
	const struct known *before = seq > 1 ? known - 1 : NULL;
	char name[SW_STORE_NAME_MAX];
	struct sw_error bad = SW_ERROR_INIT;
	struct sw_lineage_entry entry;
	const json_t *previous;
	sw_rc rc = read_entry(p->repo, chain->writer, seq, &entry, known->sha256, &bad);

	entry_name(p->repo, chain->writer, seq, name);
	if (rc == SW_NOT_FOUND || rc == SW_CORRUPT || rc == SW_CONFIG) {
		tell(p, "%s %s%s", name, rc == SW_NOT_FOUND ? "is missing" : "is damaged: ", rc == SW_NOT_FOUND ? "" : bad.text);
		return SW_OK;
	}
	if (rc != SW_OK) {
		*err = bad;
		return rc;
	}
	known->whole = true;
	p->proof->entries++;
	previous = json_object_get(entry.json, "previous");
	if (before == NULL && (!json_is_string(previous) || json_string_length(previous) != 0))
		tell(p, "%s says that another entry stood before it", name);
	else if (before != NULL && before->whole && !is_hash(previous, before->sha256))
		tell(p, "%s does not follow the entry that stands before it: that one was changed, or this one", name);
	if (json_array_size(json_object_get(entry.json, "heads")) > 0)
		json_array_append_new(p->seen, json_pack("[s, O]", name, json_object_get(entry.json, "heads")));
	json_decref(entry.json);
	return SW_OK;
}

static void
check_seen(struct proving *p)
{
	const json_t *pair, *head;
	size_t i, k;

	json_array_foreach(p->seen, i, pair)
		json_array_foreach(json_array_get(pair, 1), k, head)
			check_head(p, head, json_string_value(json_array_get(pair, 0)));
}

static sw_rc
prove_all(struct proving *p, struct sw_error *err)
{
	uint64_t all = 0;
	sw_rc rc = chains_list(p->repo, &p->chains, err);

	if (rc != SW_OK)
		return rc;
	for (size_t i = 0; i < p->chains.count; i++) {
		p->chains.items[i].at = (size_t)all;
		all += p->chains.items[i].last;
		if (all > ENTRIES_MAX)
			return sw_fail(err, SW_CORRUPT, "names go up to entry %" PRIu64 " of %s", p->chains.items[i].last,
				p->chains.items[i].writer);
	}
	p->known = calloc((size_t)all + 1, sizeof(p->known[0]));
	p->seen = json_array();
	if (p->known == NULL || p->seen == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	for (size_t i = 0; rc == SW_OK && i < p->chains.count; i++)
		for (uint64_t seq = 1; rc == SW_OK && seq <= p->chains.items[i].last; seq++)
			rc = prove_entry(p, &p->chains.items[i], seq, err);
	if (rc == SW_OK)
		check_seen(p);
	return rc;
}

sw_rc
sw_lineage_verify(struct sw_repository *repo, sw_lineage_broken broken, void *ctx, struct sw_lineage_proof *ret_proof,
	struct sw_error *err)
{
	struct sw_lineage_proof proof = {0};
	struct proving p = {.repo = repo, .broken = broken, .ctx = ctx, .proof = &proof};
	sw_rc rc = prove_all(&p, err);

	proof.writers = p.chains.count;
	chains_release(&p.chains);
	free(p.known);
	json_decref(p.seen);
	if (rc != SW_OK)
		return sw_wrap(err, "verifying the lineage");
	*ret_proof = proof;
	return SW_OK;
}
