/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory there is to divide.
 *
 * The budget is what all guests together may occupy. QEMU's own memory comes out of it first (it is
 * not small: 30 to 300 MiB for each guest), then whatever guests hold that memctl does not manage;
 * the rest is divided.
 */
#include "govern/govern.h"

#define RESERVE_LEAST (512 * MC_MIB)
#define RESERVE_PERCENT 5

/*
 * QEMU's own memory is counted in steps of this size, rounded up: it changes by a few pages all the
 * time, and no guest should be moved for that.
 */
#define OVERHEAD_STEP (4 * MC_MIB)

static uint64_t budget_of(const struct mc_budget_config *config, const struct mc_host *host)
{
    uint64_t reserve;

    if (!config->automatic)
        return mc_amount_of(&config->size, host->total);
    if (config->reserve_automatic)
        reserve = mc_max_u64(RESERVE_LEAST, host->total / 100 * RESERVE_PERCENT);
    else
        reserve = mc_amount_of(&config->reserve, host->total);
    return mc_less_u64(host->total, reserve);
}

void mc_budget_divide(const struct mc_budget_config *config, const struct mc_snapshot *snapshot,
                      const struct mc_tracks *tracks, struct mc_plan *plan)
{
    plan->budget = budget_of(config, &snapshot->host);
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt == MC_EXEMPT_NO)
            plan->overheads +=
                (guest->overhead + OVERHEAD_STEP - 1) / OVERHEAD_STEP * OVERHEAD_STEP;
        else /* one that was managed a moment ago may still follow its last target */
            plan->exempt +=
                guest->overhead + mc_track_promised(&tracks->list[i], guest, snapshot->now_ms);
    }
    plan->divided = mc_less_u64(plan->budget, plan->overheads + plan->exempt);
}
