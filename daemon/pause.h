/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the operator has stopped for a while: all guests, some, or none. A paused guest is counted
 * and not touched, whatever else would be said of it. Two switches that know nothing of each
 * other: one for all, and one for each guest, which stays with its UUID over restarts of the guest.
 * Nothing of it outlives the daemon.
 */
#ifndef MEMCTLD_PAUSE_H
#define MEMCTLD_PAUSE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <memctl/model.h>

struct paused_guest {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT]; /* when it was paused */
};

struct pauses {
    bool all;
    struct paused_guest *guests;
    size_t count;
};

void pauses_free(struct pauses *pauses);

bool pauses_has(const struct pauses *pauses, const char *uuid);

/* Exempt the paused guests of the snapshot, unless they are for another reason. */
void pauses_apply(const struct pauses *pauses, struct mc_snapshot *snapshot);

/* {"all": false, "guests": ["web1"]} */
json_t *pauses_json(const struct pauses *pauses);

#endif
