/*
 * plans.h - what the verbs have in common that make a plan: the request from the options, the repository that can do
 * it, and the plan in words and as JSON.
 */
#ifndef SW_CLI_PLANS_H
#define SW_CLI_PLANS_H

#include <jansson.h>

#include "base/error.h"
#include "catalog/inventory.h"
#include "catalog/measure.h"
#include "catalog/plan.h"
#include "config/config.h"

struct sw_plans {
	struct sw_plan_request request;
	struct sw_store *store;
	struct sw_repository repo;
	struct sw_inventory inventory;
	struct sw_plan plan;
	struct sw_measure_estimate estimate; /* only if it was asked for */
};

void sw_plans_release(struct sw_plans *plans);

/* --target-…, --backup and so on.  SW_OK, SW_CONFIG.  It borrows from config. */
sw_rc sw_plans_request(const struct sw_config *config, struct sw_plan_request *ret_request, struct sw_error *err);

/*
 * plans: with its request; the rest is filled, and released by the caller in any case.  The first repository that can
 * do it.  SW_NOT_FOUND: every one that answers says no.
 */
sw_rc sw_plans_make(const struct sw_config *config, struct sw_plans *plans, struct sw_error *err);

/* One line a remark, as warnings. */
void sw_plans_warn(const struct sw_plans *plans);

/* "stopping before the commit of transaction 905, …", and the commits next to it: lines to standard output. */
void sw_plans_print_stop(const struct sw_plan *plan);

/* "stop" of the JSON. */
json_t *sw_plans_stop_json(const struct sw_plan *plan);
json_t *sw_plans_remarks_json(const struct sw_plan *plan);
json_t *sw_plans_settings_json(const struct sw_plan_settings *settings);

/* Text that may hold foreign bytes, to a terminal. */
void sw_plans_print_clean(const char *before, const char *text, const char *after);

#endif
