/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ksmd's pace. While it looks for what was promised it gets its part of a processor, as much of it
 * as the saving is worth; when it has gone through everything and nine tenths are merged, or some
 * passes did not find the rest, it only has to keep up with what changes. Where the kernel has an
 * advisor for that, it does the sums.
 */
#include "dedupe/steer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <memctl/units.h>

/* Passes until it is clear that the rest will not be found. */
#define SEARCH_SCANS 4
/* So much ends the search when the pass is over in which it was reached, and so much at once. */
#define FOUND_PERCENT 90
#define ALL_PERCENT 98
/* It looks again when so much more is missing than at the end of the search: guests have come, or
 * have written over what was merged, or were restored and begin anew. */
#define AGAIN_PART 20
#define AGAIN_BYTES (8 * MC_MIB)

/* Pages between two pauses while it looks: short enough for others to run. */
#define BATCH 2000
/* A gain of so many times what is asked for is worth all that ksmd may take. */
#define RICH 8
#define SLOW_SLEEP_MS 20
#define SLOW_PASS_S 600
#define SLOW_LEAST 10
#define SLOW_PERCENT 5

static void stop(struct mc_steer_plan *plan, const struct mc_ksm *ksm, enum mc_steer_pace pace,
                 const char *why)
{
    plan->pace = pace;
    snprintf(plan->why, sizeof(plan->why), "%s", why);
    if (ksm->knobs.value[MC_KSM_RUN] == 1)
        plan->knobs.value[MC_KSM_RUN] = 0;
}

static void want(struct mc_steer_plan *plan, const struct mc_ksm *ksm, enum mc_ksm_knob knob,
                 uint64_t value)
{
    if (ksm->knobs.value[knob] != MC_UNKNOWN)
        plan->knobs.value[knob] = value;
}

/* ---- may it run? ---- */

static void say_blocker(const struct mc_steer_guest *guest, char *why, size_t size)
{
    char much[MC_SIZE_TEXT];

    if (!guest->looked)
        snprintf(why, size, "it is not known yet whether guest '%.64s' is mergeable", guest->name);
    else if (guest->beside)
        snprintf(why, size,
                 "guest '%.64s' is of another trust domain, and %s of its QEMU beside its RAM are "
                 "mergeable; start it with <nosharepages/> in its <memoryBacking>",
                 guest->name, mc_size_format(much, guest->beside));
    else
        snprintf(why, size,
                 "guest '%.64s' must not be merged with the others, and is mergeable: %s",
                 guest->name, mc_steer_reason_text(guest->reason));
}

/* True if it may not run, with plan->pace and why. */
static bool is_held(const struct mc_steer_host *host, const struct mc_steer_guest *guests,
                    size_t count, struct mc_steer_plan *plan)
{
    const struct mc_steer_guest *blocker = mc_steer_blocker(guests, count, plan->domain);
    const struct mc_ksm *ksm = &host->ksm;
    char why[sizeof(plan->why)];

    if (!*plan->domain || !plan->promised) {
        stop(plan, ksm, MC_STEER_NOTHING, "merging pays with no guest that may be merged now");
    } else if (blocker) {
        say_blocker(blocker, why, sizeof(why));
        stop(plan, ksm, MC_STEER_BLOCKED, why);
    } else if (!host->looked) {
        stop(plan, ksm, MC_STEER_BLOCKED, "it is not known yet what else is mergeable");
    } else if (host->strangers) {
        snprintf(why, sizeof(why), "%u processes that are no guests are mergeable as well",
                 host->strangers);
        stop(plan, ksm, MC_STEER_BLOCKED, why);
    } else if (host->starting) {
        stop(plan, ksm, MC_STEER_BLOCKED, "a guest is about to start");
    } else if (host->state == MC_HOST_HIGH) {
        stop(plan, ksm, MC_STEER_IDLE, "the host has memory enough");
    } else {
        return false;
    }
    return true;
}

/* ---- has it found what was promised? ---- */

static bool has_saved(const struct mc_steer_plan *plan, unsigned percent)
{
    return plan->saved >= plan->promised / 100 * percent;
}

/* What is promised now is what this search will be judged by. */
static void begin_search(const struct mc_steer_host *host, struct mc_steer_guest *guests,
                         size_t count, struct mc_steer_memory *memory,
                         const struct mc_steer_plan *plan)
{
    memory->searching = true;
    memory->near = false;
    memory->scans = host->ksm.full_scans;
    memory->foretold = plan->promised;
    for (size_t i = 0; i < count; i++)
        guests[i].mind.foretold = 0;
}

/* A pass that has found nine tenths may find the rest, and costs little more when it is ended. */
static bool is_over(const struct mc_steer_host *host, struct mc_steer_memory *memory,
                    const struct mc_steer_plan *plan)
{
    if (!memory->near && has_saved(plan, FOUND_PERCENT)) {
        memory->near = true;
        memory->near_scans = host->ksm.full_scans;
    }
    return has_saved(plan, ALL_PERCENT) ||
           (memory->near && host->ksm.full_scans > memory->near_scans) ||
           host->ksm.full_scans >= memory->scans + SEARCH_SCANS;
}

static void follow_search(const struct mc_steer_host *host, struct mc_steer_guest *guests,
                          size_t count, struct mc_steer_memory *memory,
                          const struct mc_steer_plan *plan)
{
    bool found = has_saved(plan, FOUND_PERCENT);

    uint64_t missing = mc_less_u64(plan->promised, plan->saved);

    if (memory->ended && !found &&
        missing > memory->missing + plan->promised / AGAIN_PART + AGAIN_BYTES)
        memory->searching = memory->ended = false;
    if (!memory->searching && !memory->ended)
        begin_search(host, guests, count, memory, plan);
    if (memory->ended && found)
        memory->gave_up = false;
    if (memory->searching && is_over(host, memory, plan)) {
        memory->searching = false;
        memory->ended = true;
        memory->gave_up = !found;
        memory->missing = missing;
    }
}

/* ---- how fast? ---- */

/* A short host needs what there is; else more processor time for more saving. */
static unsigned search_percent(const struct mc_steer_config *config,
                               const struct mc_steer_host *host,
                               const struct mc_steer_guest *guests, size_t count,
                               const struct mc_steer_plan *plan)
{
    uint64_t cpu_ms = 0, rate, percent;

    if (host->state >= MC_HOST_HARD)
        return config->cpu_percent;
    for (size_t i = 0; i < count; i++)
        if (guests[i].reason == MC_STEER_PAYS)
            cpu_ms += guests[i].cpu_ms;
    rate = cpu_ms ? plan->promised / cpu_ms * 1000 : 0;
    percent = config->worth
                  ? rate / MC_KIB * config->cpu_percent / (config->worth / MC_KIB + 1) / RICH
                  : config->cpu_percent;
    return (unsigned)mc_clamp_u64(percent, mc_max_u64(1, config->cpu_percent / 4),
                                  config->cpu_percent);
}

/* So long a pause after each batch that this part of a processor is taken. */
static void run_fast(struct mc_steer_plan *plan, const struct mc_ksm *ksm, uint64_t speed)
{
    uint64_t work_us = UINT64_C(1000000) * BATCH / speed;
    uint64_t pause_ms = work_us * (100 - plan->cpu_percent) / plan->cpu_percent / 1000;

    want(plan, ksm, MC_KSM_ADVISOR_MODE, 0);
    want(plan, ksm, MC_KSM_PAGES_TO_SCAN, BATCH);
    want(plan, ksm, MC_KSM_SLEEP_MS, mc_max_u64(pause_ms, 1));
}

static void run_slowly(struct mc_steer_plan *plan, const struct mc_ksm *ksm, uint64_t speed,
                       uint64_t pages)
{
    uint64_t most = mc_max_u64(speed / 1000 * SLOW_SLEEP_MS * SLOW_PERCENT / 100, SLOW_LEAST);

    plan->cpu_percent = SLOW_PERCENT;
    want(plan, ksm, MC_KSM_SLEEP_MS, SLOW_SLEEP_MS);
    if (ksm->knobs.value[MC_KSM_ADVISOR_MODE] != MC_UNKNOWN) {
        want(plan, ksm, MC_KSM_ADVISOR_MODE, 1);
        want(plan, ksm, MC_KSM_ADVISOR_MAX_CPU, SLOW_PERCENT);
        want(plan, ksm, MC_KSM_ADVISOR_MIN_PAGES, SLOW_LEAST);
        want(plan, ksm, MC_KSM_ADVISOR_MAX_PAGES, most);
        want(plan, ksm, MC_KSM_ADVISOR_TARGET_SCAN_TIME, SLOW_PASS_S);
        return;
    }
    want(plan, ksm, MC_KSM_PAGES_TO_SCAN,
         mc_clamp_u64(pages * SLOW_SLEEP_MS / 1000 / SLOW_PASS_S, SLOW_LEAST, most));
}

static uint64_t mergeable_pages(const struct mc_steer_guest *guests, size_t count)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += guests[i].mergeable + guests[i].beside;
    return bytes / MC_PAGE;
}

static void run(const struct mc_steer_config *config, const struct mc_steer_host *host,
                struct mc_steer_guest *guests, size_t count, struct mc_steer_memory *memory,
                struct mc_steer_plan *plan)
{
    uint64_t speed = mc_steer_pages_per_second(&memory->speed);
    char saved[MC_SIZE_TEXT], promised[MC_SIZE_TEXT];

    follow_search(host, guests, count, memory, plan);
    plan->pace = memory->searching ? MC_STEER_SEARCH
                 : memory->gave_up ? MC_STEER_GAVE_UP
                                   : MC_STEER_FOUND;
    snprintf(plan->why, sizeof(plan->why), "%s of %s are saved", mc_size_format(saved, plan->saved),
             mc_size_format(promised, plan->promised));
    plan->cpu_percent = search_percent(config, host, guests, count, plan);
    if (memory->searching)
        run_fast(plan, &host->ksm, speed);
    else
        run_slowly(plan, &host->ksm, speed, mergeable_pages(guests, count));
    /* While it looks, no page is left out; later those that never merge are looked at less often.
     */
    want(plan, &host->ksm, MC_KSM_SMART_SCAN, !memory->searching);
    if (host->ksm.zero_pages != MC_UNKNOWN) /* before 6.6 they cannot be parted again */
        want(plan, &host->ksm, MC_KSM_USE_ZERO_PAGES, 1);
    want(plan, &host->ksm, MC_KSM_RUN, 1);
}

void mc_steer_set_pace(const struct mc_steer_config *config, const struct mc_steer_host *host,
                       struct mc_steer_guest *guests, size_t count, struct mc_steer_memory *memory,
                       struct mc_steer_plan *plan)
{
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        plan->knobs.value[i] = MC_UNKNOWN;
    if (!host->ksm.present) {
        plan->pace = MC_STEER_ABSENT;
        snprintf(plan->why, sizeof(plan->why), "the kernel cannot merge equal pages (no KSM)");
        return;
    }
    if (!is_held(host, guests, count, plan)) {
        run(config, host, guests, count, memory, plan);
    } else if (plan->pace != MC_STEER_BLOCKED) {
        memory->searching = false;
    }
    if (!host->hands_off)
        return;
    /* It may be stopped where it would merge what must not be; nothing else. */
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        if (i != MC_KSM_RUN || plan->pace != MC_STEER_BLOCKED)
            plan->knobs.value[i] = MC_UNKNOWN;
    if (plan->pace != MC_STEER_BLOCKED)
        plan->pace = MC_STEER_HANDS_OFF;
}
