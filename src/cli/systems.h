/*
 * systems.h - what a verb shows of every repository of the cluster, and in it of every system identifier.
 */
#ifndef SW_CLI_SYSTEMS_H
#define SW_CLI_SYSTEMS_H

#include <jansson.h>

#include "archive/repository.h"
#include "config/config.h"

/* systems: the array that takes the document of this system identifier; NULL: print text. */
typedef sw_rc (*sw_systems_show)(void *ctx, struct sw_repository *repo, json_t *systems, struct sw_error *err);

/*
 * Show each, the oldest registration first, with an empty line between them; with --json print one array of
 * {repo, url, cluster, systems}.  What one repository holds is of use while another cannot be reached: the first failure is
 * the result, the others are logged.
 */
sw_rc sw_systems_each(const struct sw_config *config, sw_systems_show show, void *ctx, struct sw_error *err);

#endif
