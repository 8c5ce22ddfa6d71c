/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The governor. A policy says where memory should be; the governor says which step is safe now.
 *
 * Each rule is a function that gets the target as the rules before it left it, and may change it;
 * every change is written down under the rule's name, and that chain is what people are shown. Most
 * rules look at one guest alone (rules.c). The last one, shrink before grow, looks at all: what
 * every guest could take if it took the worst end of its range (its size now, a target still on its
 * way) is promised already, and only what the promises leave of the divided memory can be given. So
 * in every interleaving of slow, stuck and vanished guests the promises stay inside what there is.
 * Guests in trouble come first, and only for them there is the reserve.
 */
#include "govern/govern.h"

#include "estimate/distress.h"

/*
 * More is promised than there is, or somebody waits for more than is free. One guest's need is
 * small when it is shared among many: if each of them kept its part for being small, nobody would
 * ever give it.
 */
static bool every_page_counts(const struct mc_engine_config *config,
                              const struct mc_snapshot *snapshot, const struct mc_tracks *tracks,
                              const struct mc_plan *plan)
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        uint64_t more =
            mc_less_u64(plan->steps[i].wish, mc_track_standing(&tracks->list[i], guest));

        if (mc_is_managed(guest) && guest->answers && more >= mc_calm_least(config, guest))
            wanted += more;
    }
    return mc_is_short(plan) || wanted > mc_less_u64(plan->divided, plan->promised);
}

/* Does a guest in trouble not have yet what it shall have? */
static bool trouble_waits(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks)
{
    for (size_t i = 0; i < snapshot->count; i++)
        if (mc_waits_in_trouble(&snapshot->guests[i], &tracks->list[i],
                                mc_track_standing(&tracks->list[i], &snapshot->guests[i]),
                                snapshot->now_ms))
            return true;
    return false;
}

/*
 * What a guest stands at: growth begins above it. While more is promised than there is, growth that
 * was granted and not taken does not count: it is called back, once it would have been seen.
 */
static uint64_t has(const struct mc_guest *guest, const struct mc_track *track, bool is_short,
                    uint64_t now_ms)
{
    if (track->target == MC_UNKNOWN || track->target < guest->actual)
        return guest->actual;
    if (is_short && track->target - guest->actual > MC_ARRIVED &&
        !mc_track_in_trouble(track, now_ms) && now_ms - track->sent_ms >= MC_REPORT_LAG_MS)
        return guest->actual;
    return track->target;
}

/* Who does not answer cannot be told that it may have more, and would only keep it from the others.
 */
static bool can_be_paid(const struct mc_guest *guest, const struct mc_track *track, bool trouble,
                        uint64_t now_ms)
{
    return mc_is_managed(guest) && guest->answers && mc_track_in_trouble(track, now_ms) == trouble;
}

static void pay_nothing(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks,
                        struct mc_plan *plan)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        uint64_t base = has(&snapshot->guests[i], &tracks->list[i], false, snapshot->now_ms);

        if (mc_is_managed(&snapshot->guests[i]) && !snapshot->guests[i].answers &&
            plan->steps[i].target > base)
            mc_step_change(&plan->steps[i], MC_RULE_SHRINK_FIRST, base);
    }
}

/*
 * The least that is paid at a time to a guest out of trouble that has `base`. What is free may be
 * crumbs for many; they are left until there is more, but for those that need them.
 */
static uint64_t worth_telling(const struct mc_engine_config *config, const struct mc_guest *guest,
                              const struct mc_track *track, const struct mc_plan *plan,
                              uint64_t base)
{
    if (base < guest->terms.min || config->rules_off & (1U << MC_RULE_CALM))
        return 0;
    if (base < mc_floor(config, guest, track, plan))
        return MC_COMMAND_LEAST;
    return mc_step_least(config, guest);
}

/*
 * Give `free` bytes to the guests in trouble, or to the others, that want to grow. Where it does
 * not reach, everybody waiting gets the same part of what is missing; the rest follows when the
 * reclaim was seen. Returns what was given.
 */
static uint64_t pay(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                    const struct mc_tracks *tracks, struct mc_plan *plan, bool trouble,
                    uint64_t free)
{
    /* What went out of the reserve is promised on purpose, and not called back. */
    bool is_short = plan->promised > plan->divided + plan->reserve + MC_ARRIVED;
    uint64_t wanted = 0;

    for (size_t i = 0; i < snapshot->count; i++)
        if (can_be_paid(&snapshot->guests[i], &tracks->list[i], trouble, snapshot->now_ms))
            wanted += mc_less_u64(plan->steps[i].target, has(&snapshot->guests[i], &tracks->list[i],
                                                             is_short, snapshot->now_ms));
    for (size_t i = 0; i < snapshot->count && wanted > free; i++) {
        uint64_t base = has(&snapshot->guests[i], &tracks->list[i], is_short, snapshot->now_ms);
        uint64_t want = mc_less_u64(plan->steps[i].target, base);
        uint64_t share;

        if (!want ||
            !can_be_paid(&snapshot->guests[i], &tracks->list[i], trouble, snapshot->now_ms))
            continue;
        share = mc_whole_pages((uint64_t)((unsigned __int128)free * want / wanted));
        if (!trouble &&
            share < worth_telling(config, &snapshot->guests[i], &tracks->list[i], plan, base))
            share = 0;
        mc_step_change(&plan->steps[i], MC_RULE_SHRINK_FIRST, base + share);
    }
    return mc_min_u64(wanted, free);
}

/* What the guests out of trouble would be given beyond what they need. */
static uint64_t luxury(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                       const struct mc_tracks *tracks, const struct mc_plan *plan)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_track *track = &tracks->list[i];
        uint64_t size = has(guest, track, false, snapshot->now_ms);

        if (can_be_paid(guest, track, false, snapshot->now_ms))
            sum += mc_less_u64(plan->steps[i].target,
                               mc_max_u64(size, mc_floor(config, guest, track, plan)));
    }
    return sum;
}

/*
 * A guest whose trouble does not end has what the policy gives it: nothing is taken from others for
 * it. But as long as it has nothing left, it comes before those who would get more than they need.
 * Returns what was given.
 */
static uint64_t feed(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                     const struct mc_tracks *tracks, struct mc_plan *plan, uint64_t free)
{
    uint64_t left = mc_min_u64(free, luxury(config, snapshot, tracks, plan)), given = 0;

    for (size_t i = 0; i < snapshot->count && left > given; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_track *track = &tracks->list[i];
        uint64_t size = has(guest, track, false, snapshot->now_ms), more;

        if (!track->chronic || !guest->fresh ||
            guest->stats.usable >= mc_margin(config, guest->actual) ||
            guest->distress == MC_DISTRESS_NO || size > guest->actual + MC_ARRIVED ||
            plan->steps[i].target > size || mc_track_is_held(track, snapshot->now_ms) ||
            !can_be_paid(guest, track, true, snapshot->now_ms))
            continue;
        more = mc_min_u64(mc_distress_step(guest), mc_less_u64(guest->terms.max, size));
        more = mc_whole_pages(mc_min_u64(more, left - given));
        mc_step_change(&plan->steps[i], MC_RULE_DISTRESS, size + more);
        given += more;
    }
    return given;
}

/* Growth is paid only out of what is free now. */
static void shrink_first(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         const struct mc_tracks *tracks, struct mc_plan *plan)
{
    uint64_t given = pay(config, snapshot, tracks, plan, true,
                         mc_less_u64(plan->divided + plan->reserve, plan->promised));

    given +=
        feed(config, snapshot, tracks, plan, mc_less_u64(plan->divided, plan->promised + given));
    pay(config, snapshot, tracks, plan, false, mc_less_u64(plan->divided, plan->promised + given));
    pay_nothing(snapshot, tracks, plan);
}

/*
 * What is seen of a balloon is late: growth that was told a moment ago and is not seen is no growth
 * that was not taken. Whoever called it back for that would see it next time, and so on.
 */
static void wait_to_see(const struct mc_guest *guest, const struct mc_track *track,
                        struct mc_step *step, uint64_t now_ms)
{
    if (track->target != MC_UNKNOWN && mc_is_managed(guest) && step->target >= guest->actual &&
        step->target < track->target && now_ms - track->sent_ms < MC_REPORT_LAG_MS)
        mc_step_change(step, MC_RULE_CALM, track->target);
}

/* What the rules decided becomes the state that the next pass starts from. */
static void settle(const struct mc_snapshot *snapshot, struct mc_tracks *tracks,
                   struct mc_plan *plan)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        struct mc_track *track = &tracks->list[i];
        struct mc_step *step = &plan->steps[i];
        enum mc_rule reason = mc_step_reason(step);
        uint64_t now = mc_track_standing(track, guest);
        bool foreign = mc_track_is_foreign(track, snapshot->now_ms);
        bool due = mc_is_managed(guest) && !foreign && (step->target != now || track->tell);

        step->send = due && guest->answers && !mc_track_refuses(track, snapshot->now_ms);
        if (step->send)
            mc_track_sent(track, guest, step->target, snapshot->now_ms);
        if (foreign) /* ours may come into force again */
            mc_track_lost(track, snapshot->now_ms);
        /* Cut short by a rule that means "later", or not sent: the rest follows, however small. */
        track->moving =
            reason == MC_RULE_SHRINK_FIRST || reason == MC_RULE_RATE || (due && !step->send);
    }
}

void mc_govern(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
               struct mc_tracks *tracks, struct mc_plan *plan)
{
    bool every_page = every_page_counts(config, snapshot, tracks, plan);
    bool waits = trouble_waits(snapshot, tracks);

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        struct mc_rule_view view = {
            .config = config,
            .guest = guest,
            .track = &tracks->list[i],
            .floor = mc_floor(config, guest, &tracks->list[i], plan),
            .now_ms = snapshot->now_ms,
            .passed_ms = tracks->passed_ms,
            .plan = plan,
            .every_page_counts = every_page,
            .trouble_waits = waits,
        };

        mc_rules_apply(&view, &plan->steps[i]);
    }
    if (!(config->rules_off & (1U << MC_RULE_SHRINK_FIRST)))
        shrink_first(config, snapshot, tracks, plan);
    for (size_t i = 0; i < snapshot->count; i++)
        wait_to_see(&snapshot->guests[i], &tracks->list[i], &plan->steps[i], snapshot->now_ms);
    settle(snapshot, tracks, plan);
}
