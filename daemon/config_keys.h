/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keys of memctld.conf whose section is a fixed one; only config.c asks for them. */
#ifndef MEMCTLD_CONFIG_KEYS_H
#define MEMCTLD_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* Set one key. 1 if there is none of that name; then section_known says whether the section has
 * any. */
int config_key_set(struct config *config, const char *section, const char *name, const char *value,
                   bool *section_known, struct mc_error *err);

/* Copy a text into a field of this size. -EINVAL if it is longer. */
int config_text(char *field, size_t size, const char *value, struct mc_error *err);

#endif
