/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The governor. A policy says where memory should be; the governor says which step is safe now.
 *
 * Each rule below is a function that gets the target as the rules before it left it, and may change
 * it; every change is written down under the rule's name, and that chain is what people are shown.
 * Most rules look at one guest alone. The last one, shrink before grow, looks at all: what every
 * guest could take if it took the worst end of its range (its size now, a target still on its way)
 * is promised already, and only what the promises leave of the divided memory can be given. So in
 * every interleaving of slow, stuck and vanished guests the promises stay inside what there is.
 */
#include "govern/govern.h"

#include <assert.h>

/* What the rules for one guest may look at. */
struct view {
    const struct mc_engine_config *config;
    const struct mc_guest *guest;
    const struct mc_track *track;
    bool every_page_counts; /* see every_page_counts() */
};

/* More is promised than there is; by more than balloons miss their targets by. */
static bool short_of_memory(const struct mc_plan *plan)
{
    return plan->promised > plan->divided + MC_ARRIVED;
}

static uint64_t percent_of(uint64_t bytes, unsigned percent)
{
    return bytes / 100 * percent;
}

static bool managed(const struct mc_guest *guest)
{
    return guest->exempt == MC_EXEMPT_NO;
}

/* Guests that must not be touched stay as they are. */
static uint64_t keep_exempt(const struct view *view, uint64_t target)
{
    return managed(view->guest) ? target : view->guest->actual;
}

/* A reservation and a limit hold whatever the policy says. */
static uint64_t keep_promise(const struct view *view, uint64_t target)
{
    if (!managed(view->guest))
        return target;
    return mc_clamp_u64(target, view->guest->terms.min, view->guest->terms.max);
}

uint64_t mc_floor(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    uint64_t margin, spare, needed;

    if (guest->used == MC_UNKNOWN)
        return 0;
    margin = mc_max_u64(config->floor_margin, percent_of(guest->used, config->floor_percent));
    /* Hardly anything left, whatever the estimate says: the margin is missing from what it has. */
    spare = mc_min_u64(guest->stats.usable, guest->actual);
    needed = spare < margin ? mc_max_u64(guest->used, guest->actual - spare) : guest->used;
    /* Who claims to be full is not shrunk, but gets more only if the host sees that he is. */
    needed = mc_min_u64(needed + margin, mc_max_u64(guest->held + margin, guest->actual));
    return (needed + MC_PAGE - 1) / MC_PAGE * MC_PAGE;
}

/* Never take what the guest cannot give up: that swaps or kills inside it. */
static uint64_t keep_floor(const struct view *view, uint64_t target)
{
    if (!managed(view->guest))
        return target;
    return mc_max_u64(target, mc_min_u64(mc_floor(view->config, view->guest), view->guest->actual));
}

/* Never shrink a guest whose state is not known; a shrink on its way is called back. */
static uint64_t need_fresh(const struct view *view, uint64_t target)
{
    return view->guest->fresh ? target : mc_max_u64(target, view->guest->actual);
}

/* The least change that begins a move. */
static uint64_t calm(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    return mc_max_u64(config->calm_bytes, percent_of(guest->actual, config->calm_percent));
}

/*
 * A small change does not begin a move; one that was begun is carried to its end. Where every page
 * counts small shrinks are made, but not while a larger shrink is still under way.
 */
static uint64_t stay_calm(const struct view *view, uint64_t target)
{
    uint64_t now = mc_track_standing(view->track, view->guest);
    uint64_t change = target > now ? target - now : now - target;
    bool under_way = view->guest->actual > now + MC_ARRIVED;

    if (view->track->moving || change >= calm(view->config, view->guest))
        return target;
    if (view->every_page_counts && target < now && !under_way)
        return target;
    /* What the rules before have decided is not rounded off. */
    if (now > view->guest->terms.max || now < view->guest->terms.min ||
        keep_floor(view, now) != now || need_fresh(view, now) != now)
        return target;
    return now;
}

static const struct {
    enum mc_rule rule;
    uint64_t (*apply)(const struct view *view, uint64_t target);
} guest_rules[] = {
    {MC_RULE_EXEMPT, keep_exempt},   {MC_RULE_PROMISE, keep_promise}, {MC_RULE_FLOOR, keep_floor},
    {MC_RULE_FRESHNESS, need_fresh}, {MC_RULE_CALM, stay_calm},
};

static void change_target(struct mc_step *step, enum mc_rule rule, uint64_t target)
{
    if (target == step->target)
        return;
    assert(step->change_count < MC_RULE_COUNT);
    step->changes[step->change_count++] =
        (struct mc_change){.rule = rule, .from = step->target, .to = target};
    step->target = target;
}

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

        if (managed(guest) && guest->answers && more >= calm(config, guest))
            wanted += more;
    }
    return short_of_memory(plan) || wanted > mc_less_u64(plan->divided, plan->promised);
}

static uint64_t sum_promised(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < snapshot->count; i++)
        if (managed(&snapshot->guests[i]))
            sum += mc_track_promised(&tracks->list[i], &snapshot->guests[i], snapshot->now_ms);
    return sum;
}

static void apply_guest_rules(const struct view *view, struct mc_step *step)
{
    step->target = step->wish;
    /* The policy was given the floor as its lower bound; where that decided, it is the reason. */
    if (managed(view->guest) && step->wish > view->guest->terms.min &&
        step->wish / MC_PAGE == mc_floor(view->config, view->guest) / MC_PAGE)
        step->changes[step->change_count++] = (struct mc_change){
            .rule = MC_RULE_FLOOR, .from = view->guest->terms.min, .to = step->wish};
    for (size_t i = 0; i < sizeof(guest_rules) / sizeof(*guest_rules); i++)
        change_target(step, guest_rules[i].rule, guest_rules[i].apply(view, step->target));
}

/*
 * What a guest stands at: growth begins above it. While more is promised than there is, growth that
 * was granted and not taken yet does not count: it is called back.
 */
static uint64_t has(const struct mc_guest *guest, const struct mc_track *track, bool is_short)
{
    if (track->target == MC_UNKNOWN || track->target < guest->actual)
        return guest->actual;
    if (is_short && track->target - guest->actual > MC_ARRIVED)
        return guest->actual;
    return track->target;
}

/*
 * Growth is paid only out of what is free now. Where it does not reach, everybody waiting gets the
 * same part of what is missing; the rest follows when the reclaim was seen.
 */
static void shrink_first(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks,
                         struct mc_plan *plan)
{
    uint64_t free_now = mc_less_u64(plan->divided, plan->promised);
    bool is_short = short_of_memory(plan);
    uint64_t wanted = 0;

    for (size_t i = 0; i < snapshot->count; i++)
        if (managed(&snapshot->guests[i]))
            wanted += mc_less_u64(plan->steps[i].target,
                                  has(&snapshot->guests[i], &tracks->list[i], is_short));
    if (wanted <= free_now)
        return;
    for (size_t i = 0; i < snapshot->count; i++) {
        uint64_t base = has(&snapshot->guests[i], &tracks->list[i], is_short);
        uint64_t want = mc_less_u64(plan->steps[i].target, base);
        uint64_t share;

        if (!want || !managed(&snapshot->guests[i]))
            continue;
        share = (uint64_t)((unsigned __int128)free_now * want / wanted) / MC_PAGE * MC_PAGE;
        change_target(&plan->steps[i], MC_RULE_SHRINK_FIRST, base + share);
    }
}

/* What the rules decided becomes the state that the next pass starts from. */
static void settle(const struct mc_snapshot *snapshot, struct mc_tracks *tracks,
                   struct mc_plan *plan)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        struct mc_track *track = &tracks->list[i];
        struct mc_step *step = &plan->steps[i];
        uint64_t now = mc_track_standing(track, guest);
        bool due = managed(guest) && (step->target != now || track->tell);

        step->send = due && guest->answers;
        if (step->send)
            mc_track_sent(track, guest, step->target, snapshot->now_ms);
        /* Cut short by a rule that means "later", or not sent: the rest follows, however small. */
        track->moving = mc_step_reason(step) == MC_RULE_SHRINK_FIRST || (due && !step->send);
    }
}

void mc_govern(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
               struct mc_tracks *tracks, struct mc_plan *plan)
{
    bool every_page;

    plan->promised = sum_promised(snapshot, tracks);
    every_page = every_page_counts(config, snapshot, tracks, plan);
    for (size_t i = 0; i < snapshot->count; i++) {
        struct view view = {
            .config = config,
            .guest = &snapshot->guests[i],
            .track = &tracks->list[i],
            .every_page_counts = every_page,
        };

        apply_guest_rules(&view, &plan->steps[i]);
    }
    shrink_first(snapshot, tracks, plan);
    settle(snapshot, tracks, plan);
}
