/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Playing a script, and what must hold while it goes on and when it is over. */
#ifndef MEMCTL_TEST_REST_H
#define MEMCTL_TEST_REST_H

#include "invariants.h"

/* Play it, and check every step. */
void history_runs(struct property *property, const struct script *script);

/*
 * Leave out what is done to the guests in its steps. After the last change of what they need
 * everything comes to rest, and what could be reclaimed was.
 */
void history_rests(struct property *property, const struct script *script);

#endif
