/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest cannot give up without swapping or killing inside it.
 */
#include "govern/govern.h"

#include "estimate/distress.h"

/* What the guest wants above what it uses; more after it was in trouble, little on a short host. */
static uint64_t margin_of(const struct mc_engine_config *config, const struct mc_guest *guest,
                          const struct mc_track *track, const struct mc_plan *plan)
{
    uint64_t margin = mc_margin(config, guest->used);

    if (plan->state >= MC_HOST_HARD)
        return margin / 4;
    return mc_max_u64(margin, track->learned);
}

uint64_t mc_floor(const struct mc_engine_config *config, const struct mc_guest *guest,
                  const struct mc_track *track, const struct mc_plan *plan)
{
    uint64_t margin, spare, needed;

    if (guest->used == MC_UNKNOWN || config->rules_off & (1U << MC_RULE_FLOOR))
        return 0;
    margin = margin_of(config, guest, track, plan);
    /* Hardly anything left, whatever the estimate says: the margin is missing from what it has. */
    spare = mc_min_u64(guest->stats.usable, guest->actual);
    needed = spare < margin ? mc_max_u64(guest->used, guest->actual - spare) : guest->used;
    /* Who claims to be full is not shrunk, but gets more only if the host sees that he is. */
    needed = mc_min_u64(needed + margin, mc_max_u64(guest->held + margin, guest->actual));
    /* In chronic trouble the policy decides how much more there is. */
    if (track->chronic)
        needed = mc_min_u64(needed, guest->actual);
    return mc_whole_pages(needed + MC_PAGE - 1);
}

uint64_t mc_relief(const struct mc_engine_config *config, const struct mc_guest *guest,
                   const struct mc_track *track, const struct mc_plan *plan, uint64_t now_ms)
{
    uint64_t need = mc_min_u64(track->need, guest->terms.max), uses;

    if (!mc_track_in_trouble(track, now_ms))
        return 0;
    if (!guest->fresh)
        return need;
    /* Nobody knows which of the balloon's sizes its statistics belong to: the worst one. */
    uses = mc_less_u64(track->high, guest->stats.usable) + margin_of(config, guest, track, plan);
    if (mc_track_trouble_is_over(track, now_ms) && plan->state >= MC_HOST_SOFT)
        return mc_min_u64(need, uses);
    return mc_max_u64(need, mc_min_u64(uses, mc_min_u64(guest->actual, guest->terms.max)));
}

uint64_t mc_bound(const struct mc_engine_config *config, const struct mc_guest *guest,
                  const struct mc_track *track, const struct mc_plan *plan, uint64_t floor,
                  uint64_t now_ms)
{
    return mc_max_u64(mc_max_u64(guest->terms.min, floor),
                      mc_relief(config, guest, track, plan, now_ms));
}
