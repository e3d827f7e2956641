/*
 * registered.h - all repositories of the cluster at once, and what is registered in each.
 */
#ifndef SW_CLI_REGISTERED_H
#define SW_CLI_REGISTERED_H

#include "archive/quorum.h"
#include "archive/repository.h"
#include "config/config.h"

#define SW_REGISTERED_SYSTEMS_MAX 64

struct sw_registered_repo {
	const char *name; /* the configuration's */
	struct sw_store *store;
	struct sw_error err; /* rc SW_OK: it was reached, and regs are there */
	struct sw_registration *regs; /* oldest first */
	size_t reg_count;
};

struct sw_registered {
	unsigned count;
	struct sw_registered_repo repos[SW_QUORUM_MAX];
};

/*
 * Ask each for its registrations.  patience_ms: who has not answered then is given up; 0: no limit but the store's own.
 * One that fails has its err.  SW_OK, SW_CONFIG, SW_SYSTEM.  Release it in any case.
 */
sw_rc sw_registered_open(const struct sw_config *config, int64_t patience_ms, struct sw_registered *ret_registered,
	struct sw_error *err);
void sw_registered_release(struct sw_registered *registered);

/* System identifiers registered anywhere, oldest first, each once.  How many. */
size_t sw_registered_systems(const struct sw_registered *registered, uint64_t ret_systems[SW_REGISTERED_SYSTEMS_MAX]);

/* The registration of one system identifier; NULL: none there. */
const struct sw_registration *sw_registered_find(const struct sw_registered_repo *repo, uint64_t system_identifier);

#endif
