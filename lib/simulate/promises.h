/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the governor promises, looked at from outside while a simulation runs. */
#ifndef MEMCTL_PROMISES_H
#define MEMCTL_PROMISES_H

#include <stdbool.h>

#include <memctl/model.h>

struct mc_promises {
    /* The targets of the plan before, sorted by UUID. */
    struct mc_promise {
        char uuid[MC_UUID_TEXT];
        uint64_t target;
    } * before;
    size_t count, room;
    unsigned broken;
};

/* Look at one plan of the governor. 0 or -ENOMEM. */
int mc_promises_check(struct mc_promises *promises, const struct mc_snapshot *snapshot,
                      const struct mc_plan *plan);
void mc_promises_free(struct mc_promises *promises);

#endif
