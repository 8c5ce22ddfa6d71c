/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the history costs: the time of a tick to add its rows to the batch (which the main loop
 * spends), the time to write them (which a thread of its own spends), and how fast the file grows.
 * Guests are simulated and change what they use by 1 to 20 % every minute or so, with a daily wave;
 * a fifth of them does nothing.
 *
 *   bench-store [GUESTS [MINUTES [FILE]]]     1000 guests for 30 minutes
 *
 * The history ends now; with FILE it is kept, as one to try memctl history, capacity and plan on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/replay.h>
#include <memctl/store.h>

#include "host.h"
#include "testing.h"

#define TICK_MS 2000
#define DAY_MS 86400000
#define STEP_MS 60000

struct bench {
    struct host host;
    size_t guests;
    uint64_t minutes;
    struct mc_digest *digest;
    struct mc_store *store;
    struct mc_batch batch;
    int64_t began_ms; /* of the real-time clock */
    double digest_s, digest_most_s, write_s, write_most_s;
    uint64_t rows[MC_TIER_COUNT], ticks;
};

static uint64_t seed = 42;

static uint64_t draw(uint64_t below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (seed >> 33) % below;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Up and down with the day, and by chance. */
static struct mc_trace demand(uint64_t memory, uint64_t minutes, bool idle)
{
    size_t count = idle ? 1 : minutes + 1;
    struct mc_trace trace = {.points = calloc(count, sizeof(*trace.points)), .count = count};
    double phase = (double)draw(1000) / 1000;

    for (size_t i = 0; i < count; i++) {
        double wave = 0.5 - 0.5 * cos(2 * M_PI * ((double)(i * STEP_MS) / DAY_MS + phase));
        double part = 0.15 + 0.35 * wave + (double)draw(200) / 1000;

        trace.points[i].at_ms = i * STEP_MS + draw(STEP_MS / 2);
        trace.points[i].bytes = idle ? 200 * MC_MIB : (uint64_t)((double)memory * part);
        trace.points[i].line = draw(2);
    }
    trace.points[0].at_ms = 0;
    return trace;
}

static void open_bench(struct bench *bench, const char *file)
{
    static const uint64_t sizes[] = {2 * MC_GIB, 4 * MC_GIB, 4 * MC_GIB, 8 * MC_GIB, 16 * MC_GIB};
    struct mc_sim_guest_config *guests = calloc(bench->guests, sizeof(*guests));
    struct mc_store_config config = mc_store_config_default();
    uint64_t sum = 0;
    struct mc_error err;

    for (size_t i = 0; i < bench->guests; i++) {
        uint64_t memory = sizes[draw(sizeof(sizes) / sizeof(*sizes))];
        char name[32];

        snprintf(name, sizeof(name), "g%zu", i + 1);
        guests[i] = host_guest(name, memory, 0);
        free(guests[i].working_set.points);
        guests[i].working_set = demand(memory, bench->minutes, i % 5 == 4);
        sum += memory;
    }
    host_open(&bench->host, "idle-tax", sum / 4 * 3, guests, bench->guests);
    free(guests);
    bench->host.config = mc_engine_config_default();
    bench->host.config.budget = (struct mc_budget_config){.size.value = sum / 4 * 3};
    bench->host.sim->host_memory = sum;
    mc_engine_configure(bench->host.engine, &bench->host.config, bench->host.policy);
    config.size_max = 64 * MC_GIB;
    bench->digest = mc_digest_new();
    if (mc_store_open(file, &config, &bench->store, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void add_config(struct bench *bench)
{
    json_t *config = mc_recording_begin(&bench->host.config, bench->host.policy);
    char *text = json_dumps(config, JSON_COMPACT);

    mc_batch_set_config(&bench->batch, text);
    free(text);
    json_decref(config);
}

static void count_rows(struct bench *bench)
{
    for (size_t i = 0; i < bench->batch.point_count; i++)
        bench->rows[bench->batch.points[i].tier]++;
}

static void write_batch(struct bench *bench)
{
    double began = seconds();
    struct mc_error err;

    if (mc_store_write(bench->store, &bench->batch, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    began = seconds() - began;
    bench->write_s += began;
    bench->write_most_s = fmax(bench->write_most_s, began);
    mc_batch_free(&bench->batch);
}

static void tick(struct bench *bench)
{
    double began;

    host_tick(&bench->host, TICK_MS);
    began = seconds();
    mc_digest_pass(bench->digest, &bench->host.snapshot, &bench->host.plan,
                   bench->began_ms + (int64_t)bench->host.now_ms, 3 * TICK_MS, &bench->batch);
    began = seconds() - began;
    bench->digest_s += began;
    bench->digest_most_s = fmax(bench->digest_most_s, began);
    count_rows(bench);
    write_batch(bench);
    bench->ticks++;
}

static void report(struct bench *bench, uint64_t size)
{
    double days = (double)bench->ticks * TICK_MS / DAY_MS;
    double raw = (double)bench->rows[MC_TIER_RAW], minutes = (double)bench->rows[MC_TIER_MINUTE];

    printf("%zu guests, %lu ticks of 2 s\n", bench->guests, (unsigned long)bench->ticks);
    printf("  main loop      %8.3f ms a tick, %.3f at the most\n",
           bench->digest_s / (double)bench->ticks * 1000, bench->digest_most_s * 1000);
    printf("  writing        %8.3f ms a tick, %.3f at the most\n",
           bench->write_s / (double)bench->ticks * 1000, bench->write_most_s * 1000);
    printf("  rows           %8.1f a tick, %.2f a guest and minute, raw\n",
           raw / (double)bench->ticks, raw / ((double)bench->guests * days * 1440));
    printf("  file           %8.1f MiB a day\n", (double)size / (1 << 20) / days);
    printf("  a row          %8.1f bytes\n", (double)size / (raw + minutes));
}

int main(int argc, char **argv)
{
    struct bench bench = {.guests = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000,
                          .minutes = argc > 2 ? strtoul(argv[2], NULL, 10) : 30};
    char own[] = "/tmp/memctl-bench-XXXXXX";
    const char *file = argc > 3 ? argv[3] : own;
    struct mc_store_facts facts;

    if (argc <= 3)
        close(mkstemp(own));
    open_bench(&bench, file);
    bench.began_ms = ((int64_t)time(NULL) - (int64_t)bench.minutes * 60) * 1000;
    add_config(&bench);
    for (uint64_t i = 0; i < bench.minutes * STEP_MS / TICK_MS; i++)
        tick(&bench);
    mc_digest_end(bench.digest, &bench.batch);
    write_batch(&bench);
    mc_store_close(bench.store); /* what is in its log goes to the file */
    mc_store_open_to_read(file, &bench.store, NULL);
    mc_store_facts(bench.store, &facts, NULL);
    report(&bench, facts.size);
    mc_store_close(bench.store);
    mc_digest_free(bench.digest);
    host_close(&bench.host);
    if (argc <= 3)
        unlink(own);
    return 0;
}
