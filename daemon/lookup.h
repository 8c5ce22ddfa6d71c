/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests about guests that are in no snapshot: they do not run, or have just started. Only the
 * hypervisor knows these, and it may take its time. */
#ifndef MEMCTLD_LOOKUP_H
#define MEMCTLD_LOOKUP_H

#include "control.h"

/* Goes on with the request, which it has to answer; found and args end with the call. */
typedef void lookup_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                          const json_t *args);

/*
 * Find the guest with this name or UUID, or all that do not run if name is NULL, and call `then`
 * with what was found and its terms; where that is nothing, or fails, the request is refused
 * instead.
 */
void lookup_start(struct request *request, struct daemon *daemon, const char *name,
                  const json_t *args, lookup_found *then);

/*
 * Go on with the guest that args names in "guest": at once with `running` if it runs, else with
 * `found` when the hypervisor has said what it knows of it.
 */
void lookup_guest(struct request *request, struct daemon *daemon, const json_t *args,
                  void (*running)(struct request *, struct daemon *, struct mc_guest *,
                                  const json_t *),
                  lookup_found *found);

#endif
