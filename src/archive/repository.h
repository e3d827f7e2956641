/*
 * repository.h - one cluster in one repository: its object names and what was registered at init.
 *
 * <cluster>/<system-id>/cluster.json is the registration.  It is put once and never changed; whoever
 * reads it knows that the repository is the right one and that it is there.
 */
#ifndef SW_ARCHIVE_REPOSITORY_H
#define SW_ARCHIVE_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/names.h"
#include "store/store.h"

#define SW_PAGE_HASH_SECRET_LEN 192 /* XXH3's default secret size; xxhash.h */
#define SW_CLUSTER_MAX 64
#define SW_REPOSITORY_ID_LEN 33     /* 32 hexadecimal digits */

struct sw_registration {
	char id[SW_REPOSITORY_ID_LEN]; /* random, one for each registration */
	uint64_t system_identifier;
	unsigned major;                /* of PostgreSQL at init */
	uint32_t segment_size, block_size, wal_block_size;
	int64_t created_us;
	struct sw_store_traits traits;
	uint8_t page_hash_secret[SW_PAGE_HASH_SECRET_LEN];
};

struct sw_repository {
	struct sw_store *store; /* borrowed */
	char cluster[SW_CLUSTER_MAX];
	char prefix[SW_CLUSTER_MAX + 24]; /* "<cluster>/<system-id>/" */
	struct sw_registration reg;
};

/*
 * Read the registration and tell the store its traits.
 * SW_OK; SW_NOT_FOUND (proved: not registered; the hint says `seawall init`); SW_CORRUPT; what the store gives.
 */
sw_rc sw_repository_open(struct sw_store *store, const char *cluster, uint64_t system_identifier,
	struct sw_repository *ret_repo, struct sw_error *err);

/*
 * A repository of which nothing was read: names only, and registration fields as the caller knows them from pg_control.
 * Enough to get an object; never enough to say that one is not there.
 */
void sw_repository_assume(struct sw_store *store, const char *cluster, uint64_t system_identifier,
	uint32_t segment_size, struct sw_repository *ret_repo);

/*
 * Register: fills id, created_us and page_hash_secret of `reg` with fresh values and puts the object.
 * SW_CONFLICT: somebody registered first.
 */
sw_rc sw_repository_register(struct sw_store *store, const char *cluster, struct sw_registration *reg,
	struct sw_error *err);

/*
 * System identifiers registered for the cluster, at most `max` of them, in the order of their registration
 * (oldest first).  *ret_count may be 0.
 */
sw_rc sw_repository_list(struct sw_store *store, const char *cluster, struct sw_registration *ret_regs,
	size_t max, size_t *ret_count, struct sw_error *err);

/*
 * "<prefix>wal/00000001/<name>.zst".  Returns buf.
 */
char *sw_repository_wal_name(const struct sw_repository *repo, const struct sw_wal_name *name,
	char buf[SW_STORE_NAME_MAX]);

/* The other way: what an object of the repository stands for.  False if it is no WAL object's name. */
bool sw_repository_parse_wal_name(const char *object, uint32_t segment_size,
	struct sw_wal_name *ret_name);

/* "<prefix><rest>".  Returns buf. */
char *sw_repository_name(const struct sw_repository *repo, char buf[SW_STORE_NAME_MAX],
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
