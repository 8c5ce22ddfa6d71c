/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one decision costs: the solver, each policy as a loaded module, and the whole engine step on
 * a simulated host, for 10 to 10,000 guests. Beside the time stands what it is measured by: its
 * growth against that of n log n, and the time that qsort(3) takes for as many guests in this run
 * on this machine. Says at the end, and by its exit status, whether what memctl promises held.
 *
 *   bench-decide [--json] [--allocations]
 *
 * --allocations checks only that a steady daemon allocates nothing, which needs no quiet machine.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <memctl/allocate.h>
#include <memctl/policy.h>
#include <memctl/units.h>

#include "allocations.h"
#include "host.h"
#include "property/random.h"

#define GUESTS_MAX 10000
#define LIMIT_MS 5.0
/* Times n log n for ten times as many guests: room for caches to overflow. n^2 would be 7.5. */
#define GROWTH_MAX 3.0
#define SAMPLES 25
#define SAMPLE_NS 2e6

static const size_t sizes[] = {10, 100, 1000, GUESTS_MAX};

enum { SIZE_COUNT = sizeof(sizes) / sizeof(*sizes) };

/* A host full of guests, and the memory of everything that decides about it. */
struct bench {
    struct mc_policy_guest guests[GUESTS_MAX];
    struct mc_demand demands[GUESTS_MAX], sorted[GUESTS_MAX];
    uint64_t answer[GUESTS_MAX];
    uint64_t budget;
    size_t count;
    struct mc_solver *solver;
    struct mc_policy_run *policy;
    struct host host;
};

struct subject {
    const char *name;
    const char *policy;
    bool equal; /* all guests are the same: every price is a tie */
    void (*run)(struct bench *bench);
    bool is_engine;
};

struct result {
    double ns, sort_ns;
    unsigned long allocations;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench-decide: %s\n", what);
    exit(2);
}

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* others on this machine do not count */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The median of many samples, each long enough for the clock. */
static double measure(void (*run)(struct bench *bench), struct bench *bench)
{
    double samples[SAMPLES], began = now_ns(), once;
    size_t times;

    run(bench);
    once = now_ns() - began;
    times = once > SAMPLE_NS ? 1 : (size_t)(SAMPLE_NS / (once + 1)) + 1;
    for (size_t i = 0; i < SAMPLES; i++) {
        began = now_ns();
        for (size_t j = 0; j < times; j++)
            run(bench);
        samples[i] = (now_ns() - began) / (double)times;
    }
    qsort(samples, SAMPLES, sizeof(*samples), compare_doubles);
    return samples[SAMPLES / 2];
}

static void run_solver(struct bench *bench)
{
    struct mc_allocation outcome;

    if (mc_allocate(bench->solver, bench->demands, bench->count, bench->budget / MC_PAGE,
                    bench->answer, &outcome) < 0)
        die("the solver failed");
}

static void run_policy(struct bench *bench)
{
    const struct mc_policy_input input = {
        .budget = bench->budget,
        .guests = bench->guests,
        .count = bench->count,
    };
    struct mc_error err;

    if (mc_policy_decide(bench->policy, &input, bench->answer, &err) < 0)
        die(err.text);
}

/* The same snapshot again and again, a second later each time. */
static void run_engine(struct bench *bench)
{
    struct mc_error err;

    bench->host.snapshot.now_ms += 1000;
    if (mc_engine_step(bench->host.engine, &bench->host.snapshot, &bench->host.plan, &err) < 0)
        die(err.text);
}

static int compare_demands(const void *a, const void *b)
{
    const struct mc_demand *x = a, *y = b;
    uint64_t left = x->max * y->weight, right = y->max * x->weight;

    return (left > right) - (left < right);
}

static void run_sort(struct bench *bench)
{
    memcpy(bench->sorted, bench->demands, bench->count * sizeof(*bench->demands));
    qsort(bench->sorted, bench->count, sizeof(*bench->sorted), compare_demands);
}

static void fill(struct bench *bench, size_t count, bool equal)
{
    struct random random = {.state = 1};

    bench->count = count;
    bench->budget = 0;
    for (size_t i = 0; i < count; i++) {
        struct mc_policy_guest *guest = &bench->guests[i];
        uint64_t mib = equal ? 4096 : random_between(&random, 512, 65536);

        guest->max = mib * MC_MIB;
        guest->min = mib / 4 * MC_MIB;
        guest->current = guest->max;
        guest->active = (equal ? mib / 2 : random_between(&random, 0, mib)) * MC_MIB;
        guest->stall_us = equal ? 0 : random_between(&random, 0, 2000);
        guest->shares = equal ? 1000 : random_between(&random, 1, 10000);
        guest->key = random_next(&random);
        bench->budget += guest->max / 10 * 6;
        bench->demands[i] = (struct mc_demand){
            .min = guest->min / MC_PAGE,
            .max = guest->max / MC_PAGE,
            .weight = guest->shares,
            .knee = guest->active / MC_PAGE,
            .rate_above = MC_RATE_ONE / 2,
            .key = guest->key,
        };
    }
}

static void open_host(struct bench *bench)
{
    struct mc_sim_guest_config *guests = calloc(bench->count, sizeof(*guests));
    char name[32];

    if (!guests)
        die("out of memory");
    for (size_t i = 0; i < bench->count; i++) {
        snprintf(name, sizeof(name), "g%zu", i);
        guests[i] = host_guest(name, bench->guests[i].max, bench->guests[i].active / 2);
    }
    host_open(&bench->host, "idle-tax", bench->budget, guests, bench->count);
    free(guests);
    for (int i = 0; i < 5; i++)
        host_tick(&bench->host, 1000);
}

static struct result bench_subject(struct bench *bench, const struct subject *subject, size_t count,
                                   bool only_allocations)
{
    struct result result = {0};
    struct mc_error err;
    unsigned long before;

    fill(bench, count, subject->equal);
    if (subject->policy && mc_policy_load(subject->policy, &bench->policy, &err) < 0)
        die(err.text);
    if (subject->is_engine)
        open_host(bench);
    for (int i = 0; i < 2; i++)
        subject->run(bench); /* takes its memory; what is remembered in two turns, in both */
    before = allocations();
    for (int i = 0; i < 3; i++)
        subject->run(bench);
    result.allocations = allocations() - before;
    if (!only_allocations) {
        result.ns = measure(subject->run, bench);
        result.sort_ns = measure(run_sort, bench);
    }
    if (subject->is_engine)
        host_close(&bench->host);
    mc_policy_unload(bench->policy);
    bench->policy = NULL;
    return result;
}

static const struct subject subjects[] = {
    {.name = "solver", .run = run_solver},
    {.name = "solver, all guests equal", .run = run_solver, .equal = true},
    {.name = "shares", .policy = "shares", .run = run_policy},
    {.name = "idle-tax", .policy = "idle-tax", .run = run_policy},
    {.name = "working-set", .policy = "working-set", .run = run_policy},
    {.name = "pressure", .policy = "pressure", .run = run_policy},
    {.name = "engine step, idle-tax", .run = run_engine, .is_engine = true},
};

/* How much faster than n log n it grew since the size before. */
static double growth(const struct result *results, size_t at)
{
    double n = (double)sizes[at], before = (double)sizes[at - 1];

    return results[at].ns / results[at - 1].ns / (n * log2(n) / (before * log2(before)));
}

static void print_row(const struct subject *subject, const struct result *results, size_t at)
{
    const struct result *result = &results[at];

    printf("%-26s%8zu%12.3f%12.1f", subject->name, sizes[at], result->ns / 1e6,
           result->ns / (double)sizes[at]);
    if (at)
        printf("%12.2f", growth(results, at));
    else
        printf("%12s", "-");
    printf("%10.2f%14lu\n", result->ns / result->sort_ns, result->allocations);
    fflush(stdout);
}

static void print_json(const struct subject *subject, const struct result *results, size_t at)
{
    printf("{\"subject\": \"%s\", \"guests\": %zu, \"ns\": %.0f, \"qsort_ns\": %.0f, "
           "\"allocations\": %lu",
           subject->name, sizes[at], results[at].ns, results[at].sort_ns, results[at].allocations);
    if (at)
        printf(", \"growth\": %.3f", growth(results, at));
    printf("}\n");
}

/* Returns how many promises did not hold. */
static int judge(const struct subject *subject, const struct result *results, size_t at,
                 bool only_allocations)
{
    const struct result *result = &results[at];
    int broken = 0;

    if (result->allocations) {
        fprintf(stderr, "%s: %lu allocations in three decisions about %zu guests\n", subject->name,
                result->allocations, sizes[at]);
        broken++;
    }
    if (only_allocations || at < SIZE_COUNT - 1)
        return broken;
    if (growth(results, at) > GROWTH_MAX) {
        fprintf(stderr, "%s: grew %.1f times faster than n log n\n", subject->name,
                growth(results, at));
        broken++;
    }
    if (!subject->is_engine && result->ns > LIMIT_MS * 1e6) {
        fprintf(stderr, "%s: %.1f ms for %zu guests, more than %.0f\n", subject->name,
                result->ns / 1e6, sizes[at], LIMIT_MS);
        broken++;
    }
    return broken;
}

int main(int argc, char **argv)
{
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    bool only_allocations = argc == 2 && strcmp(argv[1], "--allocations") == 0;
    struct bench *bench = calloc(1, sizeof(*bench));
    int broken = 0;

    if (argc > 1 && !json && !only_allocations)
        die("takes --json or --allocations");
    if (bench)
        bench->solver = mc_solver_new();
    if (!bench || !bench->solver)
        die("out of memory");
    setenv("MEMCTL_POLICY_PATH", BUILT_POLICIES, 0);
    if (!json && !only_allocations)
        printf("%-26s%8s%12s%12s%12s%10s%14s\n", "", "guests", "ms", "ns/guest", "x n log n",
               "x qsort", "allocations");
    for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
        struct result results[SIZE_COUNT];

        for (size_t at = 0; at < SIZE_COUNT; at++) {
            results[at] = bench_subject(bench, &subjects[i], sizes[at], only_allocations);
            if (json)
                print_json(&subjects[i], results, at);
            else if (!only_allocations)
                print_row(&subjects[i], results, at);
            broken += judge(&subjects[i], results, at, only_allocations);
        }
    }
    mc_solver_free(bench->solver);
    free(bench);
    return broken ? 1 : 0;
}
