/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for a guest that is about to start. Until its balloon's driver is there it can take all that
 * it was started with and give nothing back, so all of that is pledged to it: it comes out of the
 * budget like memory that is held, and the others give way as they would for any shortage, by
 * their shares and within their floors. It may start when that was seen to have happened.
 *
 * Its reservation is another matter: it is promised for as long as it runs, so all reservations
 * together have to fit into the budget whatever is free now.
 */
#include <memctl/admission.h>

#include "govern/govern.h"

/* QEMU's own memory, where there is none to learn from. */
#define OVERHEAD_GUESS (192 * MC_MIB)

/* What ballooning can still take of the guest's resident memory without harm. */
static uint64_t can_give(const struct mc_engine_config *config, const struct mc_guest *guest,
                         const struct mc_track *track, const struct mc_plan *plan, uint64_t now_ms)
{
    uint64_t floor;

    if (!mc_is_managed(guest) || !guest->fresh || mc_track_is_held(track, now_ms))
        return 0;
    floor = mc_floor(config, guest, track, plan);
    return mc_less_u64(guest->held, mc_bound(config, guest, track, plan, floor, now_ms));
}

void mc_admission_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         const struct mc_tracks *tracks, struct mc_plan *plan)
{
    uint64_t used = plan->overheads + plan->exempt + plan->held + plan->reserve;
    uint64_t host = mc_host_kept(&config->budget, &snapshot->host, plan);

    plan->spare =
        mc_min_u64(mc_less_u64(plan->budget, used), mc_less_u64(snapshot->host.available, host));
    plan->reserved = plan->overheads + plan->exempt;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (mc_is_managed(guest))
            plan->reserved += guest->terms.min;
        plan->givable += can_give(config, guest, &tracks->list[i], plan, snapshot->now_ms);
    }
}

uint64_t mc_admission_overhead(const struct mc_snapshot *snapshot)
{
    uint64_t sum = 0, count = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        sum += snapshot->guests[i].overhead;
        count += snapshot->guests[i].overhead != 0;
    }
    return count ? mc_whole_pages(sum / count) : OVERHEAD_GUESS;
}

enum mc_admission mc_admission_judge(const struct mc_plan *plan, uint64_t pledged)
{
    if (plan->spare >= pledged && !mc_is_short(plan))
        return MC_ADMISSION_FITS;
    return plan->spare + plan->givable >= pledged ? MC_ADMISSION_CAN_FIT : MC_ADMISSION_CANNOT_FIT;
}
