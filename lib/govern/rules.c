/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The governor's rules for one guest. Each is a function that gets the target as the rules before
 * it left it, and may change it.
 */
#include "govern/govern.h"

#include <assert.h>

/*
 * A move that was begun is carried on in steps of at least this part of the percentage that begins
 * one: for small guests what begins a move is many percent, and the end is to be near the wish.
 */
#define STEP_PART 4

static uint64_t percent_of(uint64_t bytes, unsigned percent)
{
    return bytes / 100 * percent;
}

uint64_t mc_calm_least(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    return mc_max_u64(config->calm_bytes, percent_of(guest->actual, config->calm_percent));
}

uint64_t mc_step_least(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    return mc_max_u64(percent_of(guest->actual, config->calm_percent) / STEP_PART,
                      MC_COMMAND_LEAST);
}

/* Guests that must not be touched stay as they are. */
static bool is_exempt(const struct mc_rule_view *view)
{
    return !mc_is_managed(view->guest);
}

/* A balloon that somebody else moved is his for a while. */
static bool is_foreign(const struct mc_rule_view *view)
{
    return mc_track_is_foreign(view->track, view->now_ms);
}

/* A balloon that does not follow counts where it is, until the next try. */
static bool is_stuck(const struct mc_rule_view *view)
{
    return mc_track_is_stuck(view->track, view->now_ms);
}

/* A reservation and a limit hold whatever the policy says. */
static uint64_t keep_promise(const struct mc_rule_view *view, uint64_t target)
{
    return mc_clamp_u64(target, view->guest->terms.min, view->guest->terms.max);
}

/*
 * A guest that boots needs more than it will use later, and cannot say so yet. On a host that is
 * short that is no reason: guests that boot are what makes it short.
 */
static uint64_t wait_for_boot(const struct mc_rule_view *view, uint64_t target)
{
    bool boots = view->plan->state < MC_HOST_HARD &&
                 mc_less_u64(view->now_ms, view->track->boot_ms) < view->config->boot_grace_ms;

    return boots ? mc_max_u64(target, mc_min_u64(view->guest->actual, view->guest->terms.max))
                 : target;
}

/* Never take what the guest cannot give up: that swaps or kills inside it. */
static uint64_t keep_floor(const struct mc_rule_view *view, uint64_t target)
{
    return mc_max_u64(target, mc_min_u64(view->floor, view->guest->actual));
}

/*
 * Never shrink a guest whose state is not known; a shrink on its way is called back. What is seen
 * of its size then is late as well, so the target that calls it back is not lowered again.
 */
static uint64_t need_fresh(const struct mc_rule_view *view, uint64_t target)
{
    uint64_t now = mc_track_standing(view->track, view->guest);

    return view->guest->fresh ? target : mc_max_u64(target, mc_max_u64(view->guest->actual, now));
}

/* A guest in trouble, or just out of it, gets what was decided for it; the limit still holds. */
static uint64_t relieve(const struct mc_rule_view *view, uint64_t target)
{
    return mc_max_u64(target,
                      mc_relief(view->config, view->guest, view->track, view->plan, view->now_ms));
}

/*
 * Bytes a second that the guest may lose: a part of its size, and no more than its balloon was seen
 * to manage with some to spare; what it is asked for beyond that only looks like disobedience.
 */
static uint64_t pace(const struct mc_engine_config *config, const struct mc_guest *guest,
                     const struct mc_track *track)
{
    uint64_t rate = percent_of(guest->actual, config->shrink_percent);

    if (track->speed)
        rate = mc_min_u64(rate, track->speed + track->speed / 2);
    return mc_max_u64(rate, mc_calm_least(config, guest));
}

/*
 * To this size the guest has nothing to reclaim: what lies free in it can go at once, if it is for
 * somebody in trouble. Statistics were taken at some size that was no more than `high`.
 */
static uint64_t free_down_to(const struct mc_rule_view *view)
{
    uint64_t unused = view->guest->stats.unused;

    if (!view->trouble_waits || !view->guest->fresh || unused == MC_UNKNOWN)
        return view->guest->actual;
    return mc_less_u64(view->track->high, mc_less_u64(unused, view->config->floor_margin));
}

/* Slowly enough that the guest's own reclaim keeps up; unless the host is short. */
static uint64_t limit_rate(const struct mc_rule_view *view, uint64_t target)
{
    struct mc_track *track = view->track;
    uint64_t rate = pace(view->config, view->guest, track);
    uint64_t least;

    if (target >= view->guest->actual || view->plan->state >= MC_HOST_HARD) {
        track->paced = view->guest->actual;
        return target;
    }
    /* What is seen of the balloon is late, so the pace goes on by itself, for two seconds' worth.
     */
    least = mc_less_u64(view->guest->actual, 2 * rate);
    track->paced =
        mc_less_u64(mc_min_u64(track->paced, view->guest->actual), rate * view->passed_ms / 1000);
    track->paced = mc_min_u64(mc_max_u64(track->paced, least), free_down_to(view));
    track->paced = mc_whole_pages(track->paced);
    return mc_max_u64(target, track->paced);
}

/*
 * A small change does not begin a move; one that was begun is carried to its end, but for a rest
 * that is not worth a command: a policy's wishes drift while it goes on, and whoever followed them
 * to the page would be told a new target in every pass. Where every page counts small shrinks are
 * made, but not while a larger shrink is still under way.
 */
static uint64_t stay_calm(const struct mc_rule_view *view, uint64_t target)
{
    uint64_t now = mc_track_standing(view->track, view->guest);
    uint64_t change = target > now ? target - now : now - target;
    bool under_way = view->guest->actual > now + MC_ARRIVED;

    uint64_t step = target < now ? MC_COMMAND_LEAST : mc_step_least(view->config, view->guest);

    if (change >= mc_calm_least(view->config, view->guest) ||
        (view->track->moving && change >= step))
        return target;
    if (view->every_page_counts && target + MC_COMMAND_LEAST <= now && !under_way)
        return target;
    /* What the rules before have decided is not rounded off; but the floor trembles, and where the
     * balloon has arrived there is nothing left to call back. */
    if (now > view->guest->terms.max || now < view->guest->terms.min || relieve(view, now) != now)
        return target;
    if (under_way && (keep_floor(view, now) != now || need_fresh(view, now) != now))
        return target;
    return now;
}

static const struct {
    enum mc_rule rule;
    uint64_t (*apply)(const struct mc_rule_view *view, uint64_t target);
} rules[] = {
    {MC_RULE_PROMISE, keep_promise}, {MC_RULE_BOOT, wait_for_boot}, {MC_RULE_FLOOR, keep_floor},
    {MC_RULE_FRESHNESS, need_fresh}, {MC_RULE_DISTRESS, relieve},   {MC_RULE_RATE, limit_rate},
    {MC_RULE_CALM, stay_calm},
};

/* Whoever one of these keeps where he is, is not asked about the others. */
static const struct {
    enum mc_rule rule;
    bool (*holds)(const struct mc_rule_view *view);
} keepers[] = {
    {MC_RULE_EXEMPT, is_exempt},
    {MC_RULE_FOREIGN_HAND, is_foreign},
    {MC_RULE_STUCK, is_stuck},
};

static void note(struct mc_step *step, enum mc_rule rule, uint64_t from, uint64_t to)
{
    assert(step->change_count < MC_RULE_COUNT);
    step->changes[step->change_count++] = (struct mc_change){.rule = rule, .from = from, .to = to};
    step->target = to;
}

void mc_step_change(struct mc_step *step, enum mc_rule rule, uint64_t target)
{
    if (target != step->target)
        note(step, rule, step->target, target);
}

static bool is_off(const struct mc_rule_view *view, enum mc_rule rule)
{
    return view->config->rules_off & (1U << rule);
}

/* The policy was told that such a guest has no choice, so its wish may be the size already. */
static bool is_kept(const struct mc_rule_view *view, struct mc_step *step)
{
    for (size_t i = 0; i < sizeof(keepers) / sizeof(*keepers); i++) {
        if (!keepers[i].holds(view) || is_off(view, keepers[i].rule))
            continue;
        note(step, keepers[i].rule, step->target, view->guest->actual);
        return true;
    }
    return false;
}

/*
 * What the policy was given as its lower bound instead of min: where that decided the wish, it is
 * the reason.
 */
static void note_bound(const struct mc_rule_view *view, struct mc_step *step)
{
    uint64_t bound =
        mc_bound(view->config, view->guest, view->track, view->plan, view->floor, view->now_ms);

    if (!view->guest->fresh && step->wish > bound &&
        step->wish / MC_PAGE == view->guest->actual / MC_PAGE)
        note(step, MC_RULE_FRESHNESS, mc_min_u64(view->guest->terms.min, step->wish), step->wish);
    else if (step->wish > view->guest->terms.min && step->wish / MC_PAGE == bound / MC_PAGE)
        note(step, bound > view->floor ? MC_RULE_DISTRESS : MC_RULE_FLOOR, view->guest->terms.min,
             step->wish);
}

void mc_rules_apply(const struct mc_rule_view *view, struct mc_step *step)
{
    step->target = step->wish;
    if (is_kept(view, step))
        return;
    note_bound(view, step);
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
        if (!is_off(view, rules[i].rule))
            mc_step_change(step, rules[i].rule, rules[i].apply(view, step->target));
}
