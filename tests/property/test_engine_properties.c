/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts with random guests: slow, lagging, stuck, coming and going, with demands that jump
 * and operators who change settings and move balloons by hand. At every step of every history the
 * governor's promises must hold. A failing history prints its seed.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "random.h"

#define GUESTS_MAX 8
#define HISTORIES 2000
#define TICKS 60
/*
 * Longer than the engine's patience with a disobedient balloon, and than a guest that takes all it
 * gets needs to get it, a margin at a time.
 */
#define QUIET_TICKS 400

/* A step may exceed the divided memory by what QEMU's own memory is rounded by. */
#define TOLERANCE MC_MIB

struct history {
    uint64_t seed;
    struct random random;
    struct host host;
    size_t count;
    uint64_t promised, divided;   /* at the step before */
    int runs;                     /* changes whenever a guest comes or goes */
    uint64_t targets[GUESTS_MAX]; /* of the step before, by the letter that is the name */
    bool foreign; /* a balloon was moved by another hand, which is not bound by our promises */
};

static void print_state(const struct history *history)
{
    const struct host *host = &history->host;

    fprintf(stderr, "seed %lu at %lu ms: divided %luM, promised %luM\n",
            (unsigned long)history->seed, (unsigned long)host->now_ms,
            (unsigned long)(host->plan.divided / MC_MIB),
            (unsigned long)(host->plan.promised / MC_MIB));
    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];

        fprintf(stderr, "  %s %-10s actual %luM used %luM min %luM wish %luM target %luM%s %s\n",
                guest->name, mc_exempt_name(guest->exempt), (unsigned long)(guest->actual / MC_MIB),
                (unsigned long)(guest->used / MC_MIB), (unsigned long)(guest->terms.min / MC_MIB),
                (unsigned long)(step->wish / MC_MIB), (unsigned long)(step->target / MC_MIB),
                step->send ? " sent" : "", mc_rule_name(mc_step_reason(step)));
    }
}

#define CHECK(history, guest, condition)                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_state(history);                                                                  \
            fail_msg("guest %s: %s", guest, #condition);                                           \
        }                                                                                          \
    } while (0)

static struct mc_trace random_trace(struct random *random, uint64_t memory)
{
    size_t count = random_between(random, 1, 5);
    struct mc_trace trace = {.points = calloc(count, sizeof(*trace.points)), .count = count};

    for (size_t i = 0; i < count; i++) {
        trace.points[i].at_ms = i * TICKS * 1000 / count;
        trace.points[i].bytes = random_scaled(random, 0, memory);
    }
    return trace;
}

static struct mc_sim_guest_config random_guest(struct random *random, size_t index)
{
    const char name[2] = {(char)('a' + index), 0};
    uint64_t memory = random_between(random, 128, 4096) * MC_MIB;
    struct mc_sim_guest_config config = host_guest(name, memory, 0);
    char text[32];

    free(config.working_set.points);
    config.working_set = random_trace(random, memory);
    config.inflate_per_s = random_scaled(random, 1, 2000) * MC_MIB;
    config.deflate_per_s = random_scaled(random, 1, 4000) * MC_MIB;
    config.lag_ms = random_scaled(random, 0, 3000);
    config.deflate_on_oom = random_next(random) % 2;
    config.balloon = random_next(random) % 8 != 0;
    if (random_next(random) % 4 == 0)
        config.start_ms = random_between(random, 0, TICKS * 1000);
    if (random_next(random) % 4 == 0)
        config.stop_ms = config.start_ms + random_between(random, 1, TICKS * 1000);
    if (random_next(random) % 4 == 0) {
        config.stuck_from_ms = random_between(random, 0, TICKS * 1000);
        config.stuck_to_ms = config.stuck_from_ms + random_between(random, 0, TICKS * 1000);
    }
    snprintf(text, sizeof(text), "%lu", (unsigned long)random_scaled(random, 1, 100000));
    mc_settings_say(&config.own, "shares", text, NULL);
    snprintf(text, sizeof(text), "%lu%%", (unsigned long)random_between(random, 0, 60));
    mc_settings_say(&config.own, "min", text, NULL);
    return config;
}

static void open_history(struct history *history, uint64_t seed)
{
    static const char *const policies[] = {"shares", "idle-tax", "working-set"};
    struct mc_sim_guest_config guests[GUESTS_MAX];
    uint64_t memory = 0;

    *history = (struct history){.seed = seed, .random = {.state = seed}};
    history->count = random_between(&history->random, 1, GUESTS_MAX);
    for (size_t i = 0; i < history->count; i++) {
        guests[i] = random_guest(&history->random, i);
        memory += guests[i].memory;
    }
    host_open(&history->host, policies[random_between(&history->random, 0, 2)],
              random_between(&history->random, memory / 4, memory * 5 / 4), guests, history->count);
}

/* An operator at work: other shares, or a balloon moved behind memctl's back. */
static void disturb(struct history *history)
{
    struct host *host = &history->host;
    const struct mc_guest *guest;
    char text[32];

    if (!host->snapshot.count || random_next(&history->random) % 5)
        return;
    guest = &host->snapshot.guests[random_between(&history->random, 0, host->snapshot.count - 1)];
    if (random_next(&history->random) % 2) {
        struct mc_settings own = guest->own;

        snprintf(text, sizeof(text), "%lu",
                 (unsigned long)random_scaled(&history->random, 1, 100000));
        mc_settings_say(&own, "shares", text, NULL);
        mc_session_save_settings(host->session, guest->uuid, &own, NULL);
        mc_engine_unsettle(host->engine);
    } else {
        mc_session_set_balloon(host->session, guest->uuid,
                               random_between(&history->random, 0, guest->memory / MC_MIB) * MC_MIB,
                               NULL);
        history->foreign = true;
    }
}

static void check_step(struct history *history, const struct mc_guest *guest,
                       const struct mc_step *step)
{
    const struct mc_engine_config *config = &history->host.config;

    if (!step->send)
        return;
    CHECK(history, guest->name, guest->exempt == MC_EXEMPT_NO);
    CHECK(history, guest->name, step->target <= mc_max_u64(guest->terms.max, guest->actual));
    CHECK(history, guest->name,
          step->target >= guest->terms.min || step->target >= guest->actual ||
              mc_step_reason(step) == MC_RULE_SHRINK_FIRST);
    if (step->target < guest->actual) {
        CHECK(history, guest->name, guest->fresh);
        CHECK(history, guest->name, step->target >= guest->used + config->floor_margin);
    }
}

static void check_promises(struct history *history)
{
    const struct host *host = &history->host;
    uint64_t sum = 0, worst = 0;
    bool grows = false;
    int runs = 0;

    for (size_t i = 0; i < host->snapshot.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];

        check_step(history, guest, step);
        runs += guest->run_id * guest->run_id + 1;
        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        sum += host->sim->guests[guest->name[0] - 'a'].actual; /* not what is reported of it */
        worst += mc_max_u64(guest->actual, step->target);
        grows = grows || (step->send && step->target > guest->actual &&
                          step->target > history->targets[guest->name[0] - 'a']);
        history->targets[guest->name[0] - 'a'] = step->target;
    }
    /* Whatever the guests do with what they were told, it fits; or nobody was given more. */
    CHECK(history, "all", worst <= host->plan.divided + TOLERANCE || !grows);
    if (!history->foreign) {
        /* What is really taken was promised, although what is seen of it lags. */
        CHECK(history, "all", sum <= host->plan.promised + TOLERANCE);
        /* What is promised only falls while it is too much, unless guests came. */
        if (history->runs == runs && history->divided == host->plan.divided)
            CHECK(history, "all",
                  host->plan.promised <=
                      mc_max_u64(history->promised, host->plan.divided) + TOLERANCE);
    }
    history->promised = host->plan.promised;
    history->divided = host->plan.divided;
    history->runs = runs;
}

static void every_history_keeps_the_promises(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, HISTORIES)
    {
        bool verbose = getenv("MEMCTL_TEST_VERBOSE");
        struct history history;

        open_history(&history, seed);
        for (int tick = 0; tick < TICKS; tick++) {
            host_tick(&history.host, random_between(&history.random, 200, 2000));
            if (verbose)
                print_state(&history);
            check_promises(&history);
            disturb(&history);
        }
        host_close(&history.host);
    }
}

/* After the last change everything comes to rest, and what could be reclaimed was. */
static void every_history_comes_to_rest(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, HISTORIES / 4)
    {
        struct history history;
        uint64_t lasting = 0;
        bool verbose = getenv("MEMCTL_TEST_VERBOSE");

        open_history(&history, seed);
        for (size_t i = 0; i < history.count; i++) {
            struct mc_sim_guest_config *config = &history.host.sim->guests[i].config;

            config->inflate_per_s = mc_max_u64(config->inflate_per_s, 200 * MC_MIB);
            config->deflate_per_s = mc_max_u64(config->deflate_per_s, 200 * MC_MIB);
            lasting = mc_max_u64(lasting, config->stuck_to_ms);
        }
        for (int tick = 0; tick < TICKS; tick++)
            host_tick(&history.host, 1000);
        host_tick(&history.host, mc_less_u64(lasting, history.host.now_ms) + 2 * TICKS * 1000);
        for (int tick = 0; tick < QUIET_TICKS; tick++) {
            host_tick(&history.host, 1000);
            if (verbose)
                print_state(&history);
        }
        for (int tick = 0; tick < 10; tick++) {
            uint64_t before[GUESTS_MAX];

            for (size_t i = 0; i < history.host.plan.count; i++)
                before[i] = history.host.plan.steps[i].target;
            host_tick(&history.host, 1000);
            if (verbose)
                print_state(&history);
            for (size_t i = 0; i < history.host.plan.count; i++) {
                const struct mc_guest *guest = &history.host.snapshot.guests[i];

                CHECK(&history, guest->name, history.host.plan.steps[i].target == before[i]);
                CHECK(&history, guest->name,
                      guest->exempt != MC_EXEMPT_NO ||
                          guest->actual <= history.host.plan.steps[i].target + 48 * MC_MIB);
            }
        }
        host_close(&history.host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_the_promises),
        cmocka_unit_test(every_history_comes_to_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
