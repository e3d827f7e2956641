/*
 * source.h - the three places that options come from besides the defaults, each read into its own layer.
 *
 * SW_OK, SW_CONFIG, or SW_SYSTEM; what was read before a failure stays in the config, which
 * sw_config_free releases.
 */
#ifndef SW_CONFIG_SOURCE_H
#define SW_CONFIG_SOURCE_H

#include "config/settings.h"

sw_rc sw_source_arguments(struct sw_config *config, int argc, char *const *argv, struct sw_error *err);

/* envp: as environ. */
sw_rc sw_source_environment(struct sw_config *config, char *const *envp, struct sw_error *err);

/* config->path; `named`: somebody asked for this file, so it must be there. */
sw_rc sw_source_file(struct sw_config *config, bool named, struct sw_error *err);

#endif
