/*
 * gaps.h - WAL that was dropped on purpose and that no new backup has made up for, told by several verbs.
 *
 * inventory: of which backups, WAL of all timelines and gaps were read.  What the records themselves say is read from the
 * repository, and left out where they cannot be read.
 */
#ifndef SW_CLI_GAPS_H
#define SW_CLI_GAPS_H

#include <jansson.h>

#include "archive/repository.h"
#include "base/error.h"
#include "catalog/inventory.h"
#include "config/config.h"
#include "pg/control.h"

/* Loud lines, of the newest few; nothing if there is none.  SW_OK, SW_SYSTEM. */
sw_rc sw_gaps_print(struct sw_repository *repo, const struct sw_inventory *inventory, struct sw_error *err);

/* All of them, as an array.  SW_OK, SW_SYSTEM. */
sw_rc sw_gaps_json(struct sw_repository *repo, const struct sw_inventory *inventory, json_t **ret_array,
	struct sw_error *err);

/* The newest in words, and how many more there are; "" if there is none.  SW_OK, SW_SYSTEM. */
#define SW_GAPS_TEXT_LEN 1200
sw_rc sw_gaps_text(struct sw_repository *repo, const struct sw_inventory *inventory, char buf[SW_GAPS_TEXT_LEN],
	struct sw_error *err);

/*
 * The same of a repository of which nothing was read yet: its records are listed, and where there are any the rest.
 * *ret_records: whether there are any.  SW_OK, SW_SYSTEM, what the store gives.
 */
sw_rc sw_gaps_look(struct sw_repository *repo, char buf[SW_GAPS_TEXT_LEN], bool *ret_records, struct sw_error *err);

/* Records on the server's machine that not every repository has yet, in words; "" if there is none.  SW_OK, SW_DENIED, SW_SYSTEM. */
sw_rc sw_gaps_untold(const struct sw_config *config, const char *pgdata, const struct sw_control *control,
	char buf[SW_GAPS_TEXT_LEN], struct sw_error *err);

/*
 * What a new backup in the first repository makes up for, in words; "" if that is nothing, or is not known, which is
 * logged.
 */
void sw_gaps_reanchored(const struct sw_config *config, const struct sw_manifest_header *backup, char buf[SW_GAPS_TEXT_LEN]);

#endif
