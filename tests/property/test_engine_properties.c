/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts with random guests: slow, lagging, limited, stuck for a while or now and then,
 * hung, lying, vanishing, rebooting, coming and going, with demands that jump; hosts on which
 * others take memory, operators who change settings and move balloons by hand. At every step of
 * every history the governor's promises must hold (invariants.c). A history that fails is shrunk to
 * a short one with few guests, and printed as a regression test begins.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "invariants.h"

#define HISTORIES 2000

/*
 * Longer than the engine's patience with a disobedient balloon, and than a guest that takes all it
 * gets needs to get it, a margin at a time.
 */
#define QUIET_STEPS 400
#define REST_STEPS 60

/* What balloons may go up and down by at rest. */
#define SWING_MOST (20 * MC_MIB)

static void run(struct history *history)
{
    bool verbose = getenv("MEMCTL_TEST_VERBOSE");

    script_open(&history->script, &history->host);
    while (history->steps < SCRIPT_STEPS && history->script.steps[history->steps].ms) {
        const struct script_step *step = &history->script.steps[history->steps++];

        if (script_step(step, &history->host)) {
            history->foreign = true;
            history->guests[step->guest].touched = true;
            history->guests[step->guest].settled = false;
        }
        if (verbose)
            history_print_state(history);
        check_step(history);
    }
}

static void keeps_the_promises(struct property *property)
{
    struct history history = {.property = property, .script = random_script(&property->random)};

    run(&history);
    host_close(&history.host);
}

static void every_history_keeps_the_promises(void **state)
{
    (void)state;
    property_holds(keeps_the_promises, NULL, HISTORIES);
}

/* ---- what was found once ---- */

static void check_script(struct property *property)
{
    struct history history = {.property = property,
                              .script = *(const struct script *)property->subject};

    run(&history);
    host_close(&history.host);
}

/* Its growth was called back, and it hung before that was seen to happen. */
static void what_a_guest_took_before_it_hung_is_counted(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 269 * MC_MIB,
        .count = 1,
        .guests =
            {
                {.memory = 1076 * MC_MIB,
                 .shares = 1,
                 .inflate_per_s = 61 * MC_MIB,
                 .deflate_per_s = 9 * MC_MIB,
                 .works_with = {{0, 0}, {15000, 146485249}, {30000, 0}, {45000, 0}},
                 .faults[0] = {.kind = MC_SIM_HUNG, .from_ms = 15201, .to_ms = UINT64_MAX}},
            },
        .steps = {{200},  {1000}, {470}, {203},  {200},  {1114}, {323},  {1177},
                  {1480}, {1956}, {204}, {202},  {1627}, {1243}, {1448}, {976},
                  {851},  {526},  {200}, {1250}, {200},  {200},  {200}},
    };

    (void)state;
    property_holds(check_script, &script, 1);
}

/* A guest in trouble that hangs is first in line, and gets nothing. */
static void what_a_hung_guest_cannot_be_given_goes_to_others(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 2140123136,
        .count = 8,
        .guests =
            {
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .stop_ms = 1,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 3475 * MC_MIB,
                    .shares = 123,
                    .inflate_per_s = 164 * MC_MIB,
                    .deflate_per_s = 100 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 1889 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 67 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}, {15000, 925896705}, {30000, 0}, {45000, 0}},
                    .faults[0] =
                        {
                            .kind = MC_SIM_HUNG,
                            .from_ms = 15051,
                            .to_ms = UINT64_MAX,
                        },
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
            },
        .steps =
            {
                {200},  {1000}, {487},  {203},  {200},  {1524}, {323}, {1177}, {1480},
                {1956}, {204},  {202},  {1627}, {1243}, {1448}, {976}, {1000}, {687},
                {1183}, {1141}, {450},  {539},  {686},  {752},  {851}, {526},  {224, ACT_MAX, 0, 1},
                {1673}, {1719}, {1895}, {913},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},
            },
    };

    (void)state;
    property_holds(check_script, &script, 1);
}

/* ---- rest ---- */

/* Nothing is done to the guests, no balloon takes for ever, and faults end or last. */
static void calm_down(struct script *script)
{
    memset(script->steps, 0, sizeof(script->steps));
    for (size_t i = 0; i < script->count; i++) {
        struct script_guest *guest = &script->guests[i];

        guest->inflate_per_s = mc_max_u64(guest->inflate_per_s, 200 * MC_MIB);
        guest->deflate_per_s = mc_max_u64(guest->deflate_per_s, 200 * MC_MIB);
    }
}

static uint64_t last_change_ms(const struct script *script)
{
    uint64_t last = SCRIPT_STEPS * UINT64_C(1000);

    for (size_t i = 0; i < script->count; i++) {
        const struct script_guest *guest = &script->guests[i];

        last = mc_max_u64(last, mc_max_u64(guest->start_ms, guest->stop_ms));
        for (size_t j = 0; j < SCRIPT_FAULTS; j++)
            if (guest->faults[j].to_ms != UINT64_MAX)
                last = mc_max_u64(last, guest->faults[j].to_ms + guest->faults[j].by_ms);
    }
    return last;
}

/* How a balloon moves when everything should be at rest. */
struct swing {
    uint64_t lowest, highest; /* since it turned last */
    int direction;
    unsigned turns;
};

/* Each movement by so much in the other direction is a turn. Learned margins fade one way. */
static void follow_swing(struct swing *swing, uint64_t actual)
{
    swing->lowest = mc_min_u64(swing->lowest, actual);
    swing->highest = mc_max_u64(swing->highest, actual);
    if (swing->direction <= 0 && actual > swing->lowest + SWING_MOST) {
        swing->turns += swing->direction < 0;
        swing->direction = 1;
        swing->highest = actual;
    } else if (swing->direction >= 0 && actual + SWING_MOST < swing->highest) {
        swing->turns += swing->direction > 0;
        swing->direction = -1;
        swing->lowest = actual;
    }
}

/* Balloons that do not follow are tried again now and then, and the others make room for it. */
static unsigned count_disobedient(const struct history *history)
{
    unsigned count = 0;

    for (size_t i = 0; i < history->host.plan.count; i++)
        count += history->host.snapshot.guests[i].exempt == MC_EXEMPT_NO &&
                 !history_follows(history, &history->host.snapshot.guests[i]);
    return count;
}

/* Whoever has too little for what he does is in trouble again and again, and helped each time. */
static bool is_too_little(const struct history *history)
{
    const struct host *host = &history->host;
    uint64_t need = 0;

    for (size_t i = 0; i < host->plan.count; i++)
        if (host->snapshot.guests[i].exempt == MC_EXEMPT_NO)
            need += host->sim->guests[script_index(host->snapshot.guests[i].name)].need +
                    2 * host->config.floor_margin;
    return need > host->plan.divided;
}

static void check_rest(struct history *history, struct swing *swings)
{
    unsigned disobedient = count_disobedient(history);
    bool excused = disobedient || is_too_little(history);

    for (size_t i = 0; i < history->host.plan.count; i++) {
        const struct mc_guest *guest = &history->host.snapshot.guests[i];
        uint64_t target = history->host.plan.steps[i].target;

        follow_swing(&swings[i], guest->actual);
        CHECK(history, guest->name, swings[i].turns <= 2 * disobedient);
        CHECK(history, guest->name,
              guest->exempt != MC_EXEMPT_NO || history->host.plan.state >= MC_HOST_HARD ||
                  excused || guest->actual <= target + 64 * MC_MIB);
    }
}

/* After the last change everything comes to rest, and what could be reclaimed was. */
static void comes_to_rest(struct property *property)
{
    bool verbose = getenv("MEMCTL_TEST_VERBOSE");
    struct history history = {.property = property, .script = random_script(&property->random)};
    struct swing swings[SCRIPT_GUESTS];

    calm_down(&history.script);
    script_open(&history.script, &history.host);
    while (history.host.now_ms < last_change_ms(&history.script))
        host_tick(&history.host, 1000);
    for (size_t i = 0; i < SCRIPT_GUESTS; i++)
        swings[i] = (struct swing){.lowest = UINT64_MAX};
    for (int i = 0; i < QUIET_STEPS + REST_STEPS; i++) {
        host_tick(&history.host, 1000);
        if (verbose)
            history_print_state(&history);
        if (i >= QUIET_STEPS)
            check_rest(&history, swings);
    }
    host_close(&history.host);
}

static void every_history_comes_to_rest(void **state)
{
    (void)state;
    property_holds(comes_to_rest, NULL, HISTORIES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_guest_took_before_it_hung_is_counted),
        cmocka_unit_test(what_a_hung_guest_cannot_be_given_goes_to_others),
        cmocka_unit_test(every_history_keeps_the_promises),
        cmocka_unit_test(every_history_comes_to_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
