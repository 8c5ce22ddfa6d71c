/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory there is to divide.
 *
 * The budget is what all guests together may occupy. QEMU's own memory comes out of it first (it is
 * not small: 30 to 300 MiB for each guest), then whatever guests hold that memctl does not manage,
 * and what is kept free for guests that are about to start;
 * the rest is divided, but for a small reserve that is kept for guests in trouble.
 */
#include "govern/govern.h"

#define RESERVE_LEAST (512 * MC_MIB)
#define RESERVE_PERCENT 5

/* The reserve for guests in trouble is at most this part of what there is to divide. */
#define RESERVE_MOST_PART 4

/*
 * QEMU's own memory is counted in steps of this size, rounded up: it changes by a few pages all the
 * time, and no guest should be moved for that.
 */
#define OVERHEAD_STEP (4 * MC_MIB)

static uint64_t host_reserve(const struct mc_budget_config *config, const struct mc_host *host)
{
    if (config->reserve_automatic)
        return mc_max_u64(RESERVE_LEAST, host->total / 100 * RESERVE_PERCENT);
    return mc_amount_of(&config->reserve, host->total);
}

uint64_t mc_host_kept(const struct mc_budget_config *config, const struct mc_host *host,
                      const struct mc_plan *plan)
{
    return config->automatic ? host_reserve(config, host) : plan->min_free;
}

static uint64_t budget_of(const struct mc_budget_config *config, const struct mc_host *host)
{
    if (!config->automatic)
        return mc_amount_of(&config->size, host->total);
    return mc_less_u64(host->total, host_reserve(config, host));
}

void mc_budget_divide(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                      const struct mc_tracks *tracks, struct mc_plan *plan)
{
    uint64_t left;

    plan->budget = budget_of(&config->budget, &snapshot->host);
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (mc_is_managed(guest))
            plan->overheads +=
                (guest->overhead + OVERHEAD_STEP - 1) / OVERHEAD_STEP * OVERHEAD_STEP;
        else /* one that was managed a moment ago may still follow its last target */
            plan->exempt +=
                guest->overhead + mc_track_promised(&tracks->list[i], guest, snapshot->now_ms);
    }
    plan->pledged = snapshot->pledged;
    left = mc_less_u64(plan->budget, plan->overheads + plan->exempt + plan->pledged);
    plan->reserve = mc_whole_pages(mc_amount_of(&config->distress_reserve, left));
    plan->reserve = mc_min_u64(plan->reserve, left / RESERVE_MOST_PART);
    plan->strict = left - plan->reserve;
}
