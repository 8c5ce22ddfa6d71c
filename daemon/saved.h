/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guests that memctl has saved as a last resort. They are in no snapshot, so they are looked
 * for by their notes: when the hypervisor answers for the first time, or again, and whenever one
 * may have come or gone.
 */
#ifndef MEMCTLD_SAVED_H
#define MEMCTLD_SAVED_H

#include "daemon.h"

struct saved {
    struct mc_snapshot list;
    bool finding, find_failed;
    uint64_t find_ms;   /* when to look next */
    uint64_t losses;    /* of the connection, as counted when they were looked for last */
    uint64_t changes;   /* so many times the list was changed by hand: what is found may be old */
    size_t being_saved; /* guests in the last snapshot that are noted as saved */
};

/* Look if it is time for it; not while one is being saved or started. */
void saved_look(struct daemon *daemon, struct saved *saved, bool busy);

/* Take those off the list that run: somebody else has started them. */
void saved_drop_running(struct saved *saved, const struct mc_snapshot *snapshot);

/* One was saved; it goes on, or is gone. */
void saved_add(struct saved *saved, const char *uuid, const char *name,
               const struct mc_stopped *stopped);
void saved_drop(struct saved *saved, const char *uuid);

#endif
