/*
 * note.h - a verb's act in the lineage (catalog/lineage.h).
 */
#ifndef SW_CLI_NOTE_H
#define SW_CLI_NOTE_H

#include "catalog/lineage.h"
#include "config/config.h"

/* --reason, for who begins: SW_CONFIG if it is too long. */
sw_rc sw_note_check_reason(const struct sw_config *config, struct sw_error *err);

/*
 * Append to the lineage, with --reason; what may not be written is spooled, and said.  The verb does not fail because of it.
 * act: its reason and end are filled in.
 */
void sw_note_act(const struct sw_config *config, struct sw_repository *repo, struct sw_lineage_act *act);

/* Whether the repository is a directory of another user, in which root should not make files. */
bool sw_note_is_foreign(const struct sw_store *store);

#endif
