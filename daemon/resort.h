/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last resort: carries out what the plan says of it, and knows whom memctl has stopped. That is
 * noted with the guests themselves, so nothing of it is lost with the daemon: guests that are
 * suspended are in every snapshot with their notes, those that are saved are looked for when the
 * hypervisor answers for the first time, and whenever one may have come.
 */
#ifndef MEMCTLD_RESORT_H
#define MEMCTLD_RESORT_H

#include <jansson.h>

#include "daemon.h"

/* NULL when out of memory. */
struct resort *resort_new(void);
void resort_free(struct resort *resort);

/* Before the engine: fill in the snapshot's resort, and who must be left as he is. */
void resort_mark(struct daemon *daemon);

/* After the engine. */
void resort_run(struct daemon *daemon);

/* The daemon stops: say who stays stopped. */
void resort_tell_stopped(const struct daemon *daemon);

/* [{"name", "uuid", "how", "at_s", "size"}, ...]: whom memctl has stopped. */
json_t *resort_json(const struct daemon *daemon);

#endif
