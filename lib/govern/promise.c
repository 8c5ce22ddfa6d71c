/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much is promised. The budget is what guests may really occupy; but guests seldom touch all
 * that they have, and one that is squeezed while memory lies idle on the host suffers for nothing.
 * So more is promised than there is, up to the overcommit factor, as long as there is headroom; and
 * when headroom runs out the promise falls at once by what is missing, and again when that was seen
 * to happen, until the headroom is back: a balloon may first take pages that were never resident.
 *
 * At the lower end no more is promised than there is, and the host cannot be short because of
 * guests. If it is short all the same, because of others, the guests give way down to their
 * reservations.
 */
#include "govern/govern.h"

/* Memory that is touched as fast as now will be gone before what is decided now has an effect. */
#define LOOK_AHEAD_S 5

/* If a cut was not seen to be carried out in this time, it will not be; the next one follows. */
#define CUT_LASTS_MS 3000

/*
 * So long after a cut the promise rises again. One that had risen and has to be cut finds out that
 * guests touch what they are given, and the next try comes later; else it would go up and down by
 * the same gigabytes for ever. What was long ago is forgotten.
 */
#define RISE_AFTER_MS 10000
#define RISE_AFTER_MOST_MS 600000
#define RISE_FORGETS 4
#define RISE_PART 4

/* What all guests need to look at together. */
struct sums {
    uint64_t min;
    uint64_t burst;   /* what could be taken before anything can be done about it */
    uint64_t coming;  /* what balloons were told to give back to them, and did not yet */
    uint64_t trouble; /* what guests in trouble still have to be given */
};

static struct sums sum_guests(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks,
                              struct mc_plan *plan)
{
    struct sums sums = {0};

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        uint64_t promised;

        if (!mc_is_managed(guest))
            continue;
        promised = mc_track_promised(&tracks->list[i], guest, snapshot->now_ms);
        plan->promised += promised;
        sums.coming += promised - guest->actual;
        sums.min += mc_min_u64(guest->terms.min, guest->actual);
        if (mc_track_in_trouble(&tracks->list[i], snapshot->now_ms))
            sums.trouble += mc_less_u64(tracks->list[i].need, promised);
        sums.burst = mc_max_u64(sums.burst, mc_less_u64(promised, guest->held));
    }
    return sums;
}

/* The host is short, and would be if the guests were within what is theirs. */
static bool others_take_it(const struct mc_engine_config *config,
                           const struct mc_snapshot *snapshot, const struct mc_plan *plan)
{
    uint64_t kept = mc_host_kept(&config->budget, &snapshot->host, plan);
    uint64_t excess = mc_less_u64(plan->held, plan->strict + plan->reserve);

    return plan->state >= MC_HOST_SOFT &&
           snapshot->host.available + excess < mc_max_u64(kept, plan->min_free);
}

/*
 * Fall by what is missing. What was cut before and is still on its way counts as found, as long as
 * it can be believed to come.
 */
static uint64_t cut(const struct mc_plan *plan, struct mc_host_track *host, uint64_t least,
                    uint64_t burst, uint64_t now_ms)
{
    uint64_t missing = mc_less_u64(plan->min_free + burst + plan->overrun, plan->headroom);
    uint64_t from = mc_min_u64(host->divided, plan->promised);

    if (now_ms - host->cut_ms < CUT_LASTS_MS)
        missing = mc_less_u64(missing, mc_less_u64(plan->promised, host->divided));
    if (missing && host->rose)
        host->rise_after_ms = mc_min_u64(2 * host->rise_after_ms, RISE_AFTER_MOST_MS);
    if (missing) {
        host->cut_ms = now_ms;
        host->rose = false;
    }
    return mc_max_u64(mc_less_u64(from, missing), mc_min_u64(least, host->divided));
}

/*
 * Rise by a part of what there is to spare, and not soon after a cut. What is not promised yet may
 * all go to one guest, and become the largest burst.
 */
static uint64_t rise(const struct mc_plan *plan, struct mc_host_track *host, uint64_t burst,
                     uint64_t now_ms)
{
    uint64_t spare = mc_less_u64(plan->headroom, plan->min_free * 4 + burst);
    uint64_t calm_ms = now_ms - host->cut_ms;

    if (calm_ms >= RISE_FORGETS * host->rise_after_ms || !host->rise_after_ms)
        host->rise_after_ms = RISE_AFTER_MS;
    if (!spare || calm_ms < host->rise_after_ms ||
        plan->promised + spare / RISE_PART <= host->divided)
        return host->divided;
    host->rose = true;
    return plan->promised + spare / RISE_PART;
}

static uint64_t next(const struct mc_plan *plan, struct mc_host_track *host,
                     const struct sums *sums, uint64_t now_ms)
{
    uint64_t soft = plan->min_free / 100 * 64;

    if (host->gives_way)
        return cut(plan, host, sums->min, 0, now_ms);
    if (host->divided < plan->strict) /* it gave way, and need not any longer */
        return host->divided + mc_less_u64(plan->headroom, plan->min_free + sums->coming) / 2;
    if (plan->headroom < soft + sums->burst)
        return cut(plan, host, plan->strict, sums->burst, now_ms);
    return rise(plan, host, sums->burst, now_ms);
}

/* Trouble is paid out of what is really there, whatever else was promised. */
static uint64_t relieve(const struct mc_plan *plan, const struct sums *sums, uint64_t divided)
{
    uint64_t soft = plan->min_free / 100 * 64;
    uint64_t can = mc_min_u64(sums->trouble, mc_less_u64(plan->headroom, soft));

    return can ? mc_max_u64(divided, plan->promised + can) : divided;
}

/* Bytes a second; it counts at once, and is forgotten over some seconds. */
static uint64_t growth(const struct mc_plan *plan, struct mc_host_track *host, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - host->held_ms;

    if (host->held_ms && passed_ms)
        host->growth = mc_max_u64(mc_less_u64(plan->held, host->held) * 1000 / passed_ms,
                                  host->growth * 1000 / (1000 + passed_ms / 2));
    host->held = plan->held;
    host->held_ms = now_ms;
    return host->growth;
}

void mc_promise_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                       const struct mc_tracks *tracks, struct mc_host_track *host,
                       struct mc_plan *plan)
{
    uint64_t most = (uint64_t)((unsigned __int128)plan->strict * config->overcommit_percent / 100);
    bool gave_way = host->begun && host->divided < host->strict;
    struct sums sums = sum_guests(snapshot, tracks, plan);

    sums.burst +=
        LOOK_AHEAD_S * mc_less_u64(growth(plan, host, snapshot->now_ms), plan->min_free / 4);
    if (!host->begun)
        host->divided = plan->promised;
    host->begun = true;
    host->gives_way = others_take_it(config, snapshot, plan);
    if (!gave_way) /* the budget may have changed, guests have come and gone */
        host->divided = mc_max_u64(host->divided, plan->strict);
    host->divided = mc_min_u64(host->divided, most);
    host->divided = next(plan, host, &sums, snapshot->now_ms);
    host->divided = mc_min_u64(relieve(plan, &sums, host->divided), most);
    host->divided = mc_whole_pages(host->divided);
    host->strict = mc_whole_pages(plan->strict);
    plan->divided = host->divided;
}
