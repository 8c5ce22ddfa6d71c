/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Four questions, one after the other:
 *
 *   1. Does merging a guest pay? (steer_worth.c) What it saves, less what the huge pages are worth
 *      that it breaks, against the processor time that ksmd needs to find it.
 *   2. Which trust domain? (choose) The one whose guests gain most together, if it is not kept from
 *      it by somebody who cannot be parted from the tree. A rival has to be clearly better for
 *      several passes, since a change parts all that was merged.
 *   3. Who is to be switched? (give_orders) Off at once, if there is memory to part the pages; on
 *      only when nobody else is mergeable.
 *   4. May ksmd run, and how fast? (steer_pace.c)
 *
 * Whatever the answers to the others are, ksmd runs only if find_blocker() finds nobody. That is
 * the whole of the isolation: it looks at what was seen, and not at what was ordered.
 */
#include "dedupe/steer.h"

#include <stdio.h>
#include <string.h>

#include <memctl/units.h>

/* A rival has to be that much better for so many passes, after so long a time. */
#define RIVAL_PERCENT 150
#define RIVAL_PASSES 3
#define DOMAIN_LEAST_MS 600000

struct mc_steer_config mc_steer_config_default(void)
{
    return (struct mc_steer_config){.worth = 8 * MC_MIB, .cpu_percent = 50};
}

/* ---- who must not be mergeable ---- */

static bool is_inside(const struct mc_steer_guest *guest, const char *domain)
{
    return guest->wanted && strcmp(guest->domain, domain) == 0;
}

/*
 * The kernel takes the mark off memory when all of its pages are parted (ksm_madvise() in
 * mm/ksm.c), so what is not mergeable is not merged either; /proc/PID/ksm_stat goes on counting it
 * until ksmd comes by. A guest that nobody could look at may be anything.
 */
static bool is_exposed(const struct mc_steer_guest *guest)
{
    return !guest->looked || guest->mergeable || guest->beside;
}

/* It will be exposed whatever is ordered. */
static bool is_stuck(const struct mc_steer_guest *guest)
{
    return guest->looked && (guest->beside || (!guest->may_switch && is_exposed(guest)));
}

const struct mc_steer_guest *mc_steer_blocker(const struct mc_steer_guest *guests, size_t count,
                                              const char *domain)
{
    for (size_t i = 0; i < count; i++)
        if (!is_inside(&guests[i], domain) && is_exposed(&guests[i]))
            return &guests[i];
    return NULL;
}

/* ---- which trust domain ---- */

static uint64_t gain_of(const struct mc_steer_guest *guests, size_t count, const char *domain)
{
    uint64_t gain = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_inside(&guests[i], domain)) {
            if (guests[i].mind.pays && guests[i].fit)
                gain += guests[i].gain;
        } else if (is_stuck(&guests[i])) {
            return 0;
        }
    }
    return gain;
}

/* Ties go to the first by name, so that the order of the guests does not matter. */
static const char *find_best(const struct mc_steer_guest *guests, size_t count, uint64_t *gain)
{
    const char *best = NULL;

    *gain = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t its = gain_of(guests, count, guests[i].domain);

        if (its > *gain || (its && its == *gain && strcmp(guests[i].domain, best) < 0)) {
            best = guests[i].domain;
            *gain = its;
        }
    }
    return best;
}

static void take_domain(struct mc_steer_memory *memory, const char *domain, uint64_t now_ms)
{
    if (strcmp(memory->domain, domain) == 0)
        return;
    snprintf(memory->domain, sizeof(memory->domain), "%s", domain);
    memory->since_ms = now_ms;
    memory->rival_passes = 0;
    memory->searching = memory->ended = false;
    memory->foretold = 0;
}

/* Judged once for each pass of the scanner: between them nothing new is known. */
static void choose(const struct mc_steer_host *host, const struct mc_steer_guest *guests,
                   size_t count, struct mc_steer_memory *memory)
{
    uint64_t gain, held = gain_of(guests, count, memory->domain);
    const char *best = find_best(guests, count, &gain);

    if (!best || strcmp(best, memory->domain) == 0) {
        memory->rival_passes = held ? 0 : memory->rival_passes + 1;
        if (!best && memory->rival_passes >= RIVAL_PASSES)
            take_domain(memory, "", host->now_ms);
        return;
    }
    if (!*memory->domain) {
        take_domain(memory, best, host->now_ms);
        return;
    }
    if (held &&
        (host->now_ms < memory->since_ms + DOMAIN_LEAST_MS || gain * 100 < held * RIVAL_PERCENT)) {
        memory->rival_passes = 0;
        return;
    }
    if (strcmp(memory->rival, best) != 0)
        memory->rival_passes = 0;
    snprintf(memory->rival, sizeof(memory->rival), "%s", best);
    if (++memory->rival_passes >= RIVAL_PASSES)
        take_domain(memory, best, host->now_ms);
}

/* ---- who is to be switched ---- */

static enum mc_steer_reason judge(const struct mc_steer_guest *guest, const char *domain)
{
    if (!guest->wanted)
        return MC_STEER_OFF;
    if (!guest->fit)
        return MC_STEER_UNFIT;
    if (!guest->scanned && !guest->mind.pays)
        return MC_STEER_UNKNOWN;
    if (!guest->mind.pays)
        return MC_STEER_POOR;
    return strcmp(guest->domain, domain) == 0 ? MC_STEER_PAYS : MC_STEER_OTHER_DOMAIN;
}

/* What the scanner has not told of is left as it is where that does no harm. */
static void order_off(struct mc_steer_guest *guest, const char *domain, uint64_t *spare)
{
    if (!guest->looked) {
        guest->reason = MC_STEER_SILENT;
    } else if (!guest->mergeable ||
               (guest->reason == MC_STEER_UNKNOWN && (!*domain || is_inside(guest, domain)))) {
        return;
    } else if (!guest->may_switch) {
        guest->reason = MC_STEER_UNTOUCHED;
    } else if (guest->merging > *spare) {
        guest->reason = MC_STEER_NO_ROOM;
    } else {
        *spare -= guest->merging;
        guest->order = MC_STEER_SWITCH_OFF;
    }
}

static void order_on(struct mc_steer_guest *guest, enum mc_host_state state, bool blocked)
{
    if (!guest->looked)
        guest->reason = MC_STEER_SILENT;
    else if (guest->mergeable >= guest->ram)
        return;
    else if (!guest->may_switch)
        guest->reason = MC_STEER_UNTOUCHED;
    else if (state == MC_HOST_HIGH)
        guest->reason = MC_STEER_PLENTY;
    else if (blocked)
        guest->reason = MC_STEER_WAITS;
    else
        guest->order = MC_STEER_SWITCH_ON;
}

static void give_orders(const struct mc_steer_host *host, struct mc_steer_guest *guests,
                        size_t count, const char *domain)
{
    bool blocked = host->starting || !host->looked || host->strangers || host->hands_off ||
                   !host->ksm.present || mc_steer_blocker(guests, count, domain);
    uint64_t spare = host->spare;

    for (size_t i = 0; i < count; i++) {
        struct mc_steer_guest *guest = &guests[i];

        guest->order = MC_STEER_LEAVE;
        guest->reason = judge(guest, domain);
        if (guest->reason == MC_STEER_PAYS)
            order_on(guest, host->state, blocked);
        else if (!host->hands_off)
            order_off(guest, domain, &spare);
    }
}

static void note_promise(struct mc_steer_guest *guest)
{
    guest->mind.foretold = mc_max_u64(guest->mind.promised, mc_steer_saved(guest));
    guest->mind.present = guest->present;
    guest->mind.zero = guest->zero;
}

/* One that joins the others while ksmd looks, or has looked, was promised what it is now. */
static void note_promises(struct mc_steer_guest *guests, size_t count, bool looks)
{
    for (size_t i = 0; i < count; i++) {
        struct mc_steer_guest *guest = &guests[i];

        if (guest->looked && !guest->mergeable)
            guest->mind.foretold = 0;
        else if (looks && guest->mergeable && !guest->mind.foretold &&
                 guest->reason == MC_STEER_PAYS)
            note_promise(guest);
    }
}

void mc_steer_decide(const struct mc_steer_config *config, const struct mc_steer_host *host,
                     struct mc_steer_guest *guests, size_t count, struct mc_steer_memory *memory,
                     struct mc_steer_plan *plan)
{
    bool is_new = host->pass != memory->pass;

    mc_steer_learn(&memory->speed, host->ksm.pages_scanned, host->ksmd_us);
    for (size_t i = 0; i < count; i++)
        mc_steer_weigh(config, &memory->speed, &guests[i], is_new);
    if (is_new) {
        memory->pass = host->pass;
        choose(host, guests, count, memory);
    }
    give_orders(host, guests, count, memory->domain);
    *plan = (struct mc_steer_plan){0};
    snprintf(plan->domain, sizeof(plan->domain), "%s", memory->domain);
    for (size_t i = 0; i < count; i++) {
        bool waits = guests[i].reason == MC_STEER_SILENT && guests[i].mind.pays &&
                     is_inside(&guests[i], memory->domain);

        if (guests[i].reason > MC_STEER_WAITS && !waits)
            continue;
        plan->promised += mc_max_u64(guests[i].mind.promised, mc_steer_saved(&guests[i]));
        plan->saved += mc_steer_saved(&guests[i]);
    }
    mc_steer_set_pace(config, host, guests, count, memory, plan);
    note_promises(guests, count, memory->searching || memory->ended);
    plan->foretold = memory->foretold;
    plan->pages_per_second = mc_steer_pages_per_second(&memory->speed);
    plan->speed_is_learned = memory->speed.learned;
}

/* ---- names ---- */

static const struct {
    const char *name, *text;
} reasons[MC_STEER_REASONS] = {
    [MC_STEER_PAYS] = {"pays", "merging it pays"},
    [MC_STEER_PLENTY] = {"plenty", "merging it would pay, and the host has memory enough"},
    [MC_STEER_WAITS] = {"waits", "merging it pays, and waits until nothing else is mergeable"},
    [MC_STEER_OTHER_DOMAIN] = {"other-domain", "another trust domain is merged, which saves more"},
    [MC_STEER_POOR] = {"poor", "merging it saves less than it costs"},
    [MC_STEER_UNKNOWN] = {"unknown", "the scanner has not told yet what merging would save"},
    [MC_STEER_OFF] = {"off", "dedupe=no"},
    [MC_STEER_UNFIT] = {"unfit", "its memory is shared, in huge pages or locked"},
    [MC_STEER_UNTOUCHED] = {"untouched", "it is not to be touched now, and stays as it is"},
    [MC_STEER_SILENT] = {"silent", "its QEMU could not be asked"},
    [MC_STEER_NO_ROOM] = {"no-room", "to part its pages needs memory that the host does not have"},
};

const char *mc_steer_reason_name(enum mc_steer_reason reason)
{
    return reasons[reason].name;
}

const char *mc_steer_reason_text(enum mc_steer_reason reason)
{
    return reasons[reason].text;
}

const char *mc_steer_pace_name(enum mc_steer_pace pace)
{
    static const char *const names[MC_STEER_PACES] = {
        [MC_STEER_NOTHING] = "nothing",     [MC_STEER_IDLE] = "idle",
        [MC_STEER_BLOCKED] = "blocked",     [MC_STEER_SEARCH] = "search",
        [MC_STEER_FOUND] = "found",         [MC_STEER_GAVE_UP] = "gave-up",
        [MC_STEER_HANDS_OFF] = "hands-off", [MC_STEER_ABSENT] = "absent",
    };

    return names[pace];
}
