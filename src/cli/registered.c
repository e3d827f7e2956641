#include "cli/registered.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/pool.h"

struct opening {
	const struct sw_config *config;
	struct sw_registered *registered;
	int64_t end_ms; /* 0: none */
	atomic_bool given_up;
};

static sw_rc
open_one(struct sw_pool *pool, unsigned worker, void *ctx, struct sw_error *ignored)
{
	struct opening *o = ctx;
	struct sw_registered_repo *repo = &o->registered->repos[worker];
	struct sw_error *err = &repo->err;
	sw_rc rc;

	(void)pool;
	(void)ignored;
	sw_interrupt_thread(&o->given_up);
	rc = sw_store_open(o->config, worker, &repo->store, err);
	if (rc == SW_OK)
		rc = sw_repository_list(repo->store, sw_config_cluster(o->config), repo->regs, SW_REGISTERED_SYSTEMS_MAX,
			&repo->reg_count, err);
	if (rc == SW_OK && repo->reg_count == 0) {
		rc = sw_fail(err, SW_CONFIG, "cluster \"%s\" is not registered in %s", sw_config_cluster(o->config),
			sw_store_url(repo->store));
		sw_hint(err, "run 'seawall init', or name the cluster with --cluster");
	}
	err->rc = rc;
	sw_interrupt_thread(NULL);
	return SW_OK; /* the others' answers are of use all the same */
}

static void
look_at_clock(void *ctx)
{
	struct opening *o = ctx;

	if (o->end_ms != 0 && sw_clock_monotonic_ms() >= o->end_ms)
		atomic_store(&o->given_up, true);
}

sw_rc
sw_registered_open(const struct sw_config *config, int64_t patience_ms, struct sw_registered *ret_registered,
	struct sw_error *err)
{
	struct opening o = {
		.config = config,
		.registered = ret_registered,
		.end_ms = patience_ms == 0 ? 0 : sw_clock_monotonic_ms() + patience_ms,
	};
	unsigned count = sw_config_repo_count(config);

	*ret_registered = (struct sw_registered){0};
	if (sw_config_need_repo(config, err) != SW_OK)
		return err->rc;
	if (count > SW_QUORUM_MAX)
		return sw_fail(err, SW_CONFIG, "%u repositories, at most %d are possible", count, SW_QUORUM_MAX);
	ret_registered->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct sw_registered_repo *repo = &ret_registered->repos[i];

		repo->name = sw_config_repo_name(config, i);
		repo->regs = calloc(SW_REGISTERED_SYSTEMS_MAX, sizeof(*repo->regs));
		if (repo->regs == NULL)
			return sw_fail(err, SW_SYSTEM, "out of memory");
	}
	return sw_pool_run(count, open_one, look_at_clock, &o, err);
}

void
sw_registered_release(struct sw_registered *registered)
{
	for (unsigned i = 0; i < registered->count; i++) {
		sw_store_free(registered->repos[i].store);
		free(registered->repos[i].regs);
	}
	*registered = (struct sw_registered){0};
}

size_t
sw_registered_systems(const struct sw_registered *registered, uint64_t ret_systems[SW_REGISTERED_SYSTEMS_MAX])
{
	size_t count = 0;

	for (unsigned i = 0; i < registered->count; i++)
		for (size_t k = 0; k < registered->repos[i].reg_count; k++) {
			uint64_t system = registered->repos[i].regs[k].system_identifier;
			size_t at = 0;

			while (at < count && ret_systems[at] != system)
				at++;
			if (at == count && count < SW_REGISTERED_SYSTEMS_MAX)
				ret_systems[count++] = system;
		}
	return count;
}

const struct sw_registration *
sw_registered_find(const struct sw_registered_repo *repo, uint64_t system_identifier)
{
	for (size_t k = 0; k < repo->reg_count; k++)
		if (repo->regs[k].system_identifier == system_identifier)
			return &repo->regs[k];
	return NULL;
}
