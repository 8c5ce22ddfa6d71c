/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/promises.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What QEMU's own memory is rounded by moves what is divided. */
#define TOLERANCE MC_MIB

void mc_promises_free(struct mc_promises *promises)
{
    free(promises->before);
}

static int compare_uuid(const void *uuid, const void *promise)
{
    return strcmp(uuid, ((const struct mc_promise *)promise)->uuid);
}

static uint64_t target_before(const struct mc_promises *promises, const struct mc_guest *guest)
{
    const struct mc_promise *found = promises->count
                                         ? bsearch(guest->uuid, promises->before, promises->count,
                                                   sizeof(*promises->before), compare_uuid)
                                         : NULL;

    return found ? found->target : guest->memory;
}

/* Growth that was cut to what is free may end below min; nobody is *taken* below it. */
static bool takes_below_min(const struct mc_guest *guest, const struct mc_step *step)
{
    return step->send && step->target < guest->terms.min && step->target < guest->actual &&
           mc_step_reason(step) != MC_RULE_SHRINK_FIRST;
}

static int remember(struct mc_promises *promises, const struct mc_snapshot *snapshot,
                    const struct mc_plan *plan)
{
    if (snapshot->count > promises->room) {
        struct mc_promise *grown = reallocarray(promises->before, snapshot->count, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        promises->before = grown;
        promises->room = snapshot->count;
    }
    promises->count = snapshot->count;
    for (size_t i = 0; i < snapshot->count; i++) {
        memcpy(promises->before[i].uuid, snapshot->guests[i].uuid, MC_UUID_TEXT);
        promises->before[i].target = plan->steps[i].target;
    }
    return 0;
}

int mc_promises_check(struct mc_promises *promises, const struct mc_snapshot *snapshot,
                      const struct mc_plan *plan)
{
    uint64_t worst = 0;
    bool grows = false, broken = false;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_step *step = &plan->steps[i];

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        broken = broken || takes_below_min(guest, step);
        worst += mc_max_u64(guest->actual, step->target);
        grows = grows || (step->send && step->target > guest->actual &&
                          step->target > target_before(promises, guest));
    }
    if (broken || (grows && worst > plan->divided + plan->reserve + TOLERANCE))
        promises->broken++;
    return remember(promises, snapshot, plan);
}
