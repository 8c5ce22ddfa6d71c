/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How soon, and at what cost, the kernel has merged nine tenths of what can be merged: with its own
 * defaults, by ksmtuned's rule, and steered by memctl. Four processes stand for guests: two have 60
 * % of equal pages and zeros, two have nothing that anybody else has, as most guests do. All are
 * mergeable as QEMU starts them; memctl marks those that its decision names, and its scanner's time
 * counts.
 *
 * ksmtuned, as published by its authors: every 60 s, while the host is short, 300 pages more at a
 * time, at most 1250; ksmd sleeps 100 ms on a host of 16 GiB, less on larger ones. Here the host is
 * always short, which is the best that can happen to it.
 *
 * bench-steer [MiB of each process [contender]]; wants root, and KSM not in use. KSM is put back.
 */
#include "testing.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/steer.h>

#include "bench/ksmd.h"
#include "dedupe/victim.h"

#define VICTIMS 4
#define PATIENCE_S 200
#define STEP_MS 100

struct race {
    struct victim victims[VICTIMS];
    uint64_t truth; /* bytes that can be saved */
    double scanner_seconds;
    struct mc_steer_guest guests[VICTIMS];
    struct mc_steer_memory memory;
    struct mc_steer_plan plan; /* memctl's last one */
    uint64_t now_ms;
};

static void set_knobs(const struct mc_ksm_knobs *knobs)
{
    struct mc_ksm ksm;

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        mc_ksm_read(MC_KSM_FOLDER, &ksm);
        if (knobs->value[i] != MC_UNKNOWN && knobs->value[i] != ksm.knobs.value[i] &&
            (i != MC_KSM_PAGES_TO_SCAN || ksm.knobs.value[MC_KSM_ADVISOR_MODE] != 1))
            mc_ksm_write(MC_KSM_FOLDER, i, knobs->value[i], NULL);
    }
}

static struct mc_ksm_knobs no_knobs(void)
{
    struct mc_ksm_knobs knobs;

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        knobs.value[i] = MC_UNKNOWN;
    return knobs;
}

/* ksmd goes through their memory as well, and each contender pays for that by chance. */
static unsigned count_others(void)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    unsigned others = 0;

    while (folder && (entry = readdir(folder))) {
        struct mc_ksm_process process;

        if (*entry->d_name >= '1' && *entry->d_name <= '9' &&
            mc_ksm_read_process((pid_t)strtol(entry->d_name, NULL, 10), &process) == 0)
            others += process.tells ? process.mergeable : process.items > 0;
    }
    if (folder)
        closedir(folder);
    return others;
}

/* ---- the processes ---- */

static void fill(struct victim *victim, unsigned number)
{
    uint64_t part = victim->pages / 10;

    if (number < 2) {
        victim_fill(victim, 0, 4 * part, (uint64_t)(number + 1) << 32, 1);
        victim_fill(victim, 4 * part, 2 * part, 0, 0);
        victim_fill(victim, 6 * part, 4 * part, UINT64_C(99) << 32, 1);
    } else {
        victim_fill(victim, 0, victim->pages, (uint64_t)(number + 1) << 32, 1);
    }
}

/* What the scanner knows after two passes, and what that took. */
static void scan(struct race *race)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    const struct mc_dedupe_report *report;
    struct mc_scanner *scanner;
    char name[8];

    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct mc_scan_guest guest;

        snprintf(name, sizeof(name), "%u", i);
        guest = victim_guest(&race->victims[i], name, "bench");
        assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    }
    while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
        continue;
    report = mc_scanner_report(scanner);
    race->scanner_seconds = (double)report->cpu_all_ms / 1000;
    for (unsigned i = 0; i < VICTIMS; i++) {
        const struct mc_dedupe_guest *told = &report->guests[i];
        struct mc_steer_guest *guest = &race->guests[strtoul(told->name, NULL, 10)];

        *guest = (struct mc_steer_guest){.wanted = true,
                                         .fit = true,
                                         .may_switch = true,
                                         .looked = true,
                                         .ram = race->victims[0].pages * MC_PAGE,
                                         .scanned = true,
                                         .present = told->figures.present,
                                         .huge = told->figures.huge,
                                         .saving = told->figures.saving + told->figures.zero};
        memcpy(guest->uuid, told->uuid, sizeof(guest->uuid));
        memcpy(guest->domain, told->domain, sizeof(guest->domain));
        race->truth += guest->saving;
    }
    mc_scanner_free(scanner);
}

static uint64_t saved_by(const struct mc_ksm *ksm, const struct victim *victim)
{
    double part = ksm->sharing + ksm->shared
                      ? (double)ksm->sharing / (double)(ksm->sharing + ksm->shared)
                      : 0;
    struct mc_ksm_process process;

    if (mc_ksm_read_process(victim->pid, &process) < 0)
        return 0;
    return ((uint64_t)((double)process.merging * part) + process.zero_pages) * MC_PAGE;
}

/* ---- the contenders; called every STEP_MS, first at 0 ---- */

static void run_default(struct race *race)
{
    struct mc_ksm_knobs knobs = no_knobs();

    if (race->now_ms)
        return;
    knobs.value[MC_KSM_RUN] = 1;
    set_knobs(&knobs);
}

static void run_ksmtuned(struct race *race)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * MC_PAGE;
    uint64_t looks = race->now_ms / 60000 + 1;
    struct mc_ksm_knobs knobs = no_knobs();

    if (race->now_ms % 60000)
        return;
    knobs.value[MC_KSM_PAGES_TO_SCAN] = mc_min_u64(300 * looks, 1250);
    knobs.value[MC_KSM_SLEEP_MS] = mc_max_u64(100 * 16 * MC_GIB / memory, 10);
    knobs.value[MC_KSM_RUN] = 1;
    set_knobs(&knobs);
}

static void run_memctl(struct race *race)
{
    const struct mc_steer_config config = mc_steer_config_default();
    struct mc_steer_host host = {.now_ms = race->now_ms,
                                 .pass = 1,
                                 .state = MC_HOST_CLEAR,
                                 .spare = UINT64_MAX,
                                 .looked = true,
                                 .ksmd_us = (uint64_t)(ksmd_seconds(ksmd_find()) * 1e6)};

    if (race->now_ms % 2000) /* as often as memctld decides */
        return;
    mc_ksm_read(MC_KSM_FOLDER, &host.ksm);
    for (unsigned i = 0; i < VICTIMS; i++)
        race->guests[i].saved = saved_by(&host.ksm, &race->victims[i]);
    mc_steer_decide(&config, &host, race->guests, VICTIMS, &race->memory, &race->plan);
    for (unsigned i = 0; i < VICTIMS; i++) {
        if (race->guests[i].order != MC_STEER_SWITCH_ON)
            continue;
        victim_make_mergeable(&race->victims[i]);
        race->guests[i].mergeable = race->guests[i].ram;
    }
    set_knobs(&race->plan.knobs);
}

/* ---- the race ---- */

static uint64_t saved_in_all(const struct race *race)
{
    uint64_t saved = 0;
    struct mc_ksm ksm;

    mc_ksm_read(MC_KSM_FOLDER, &ksm);
    for (unsigned i = 0; i < VICTIMS; i++)
        saved += saved_by(&ksm, &race->victims[i]);
    return saved;
}

static double monotonic_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell(const char *name, const struct race *race, double seconds, double cpu)
{
    uint64_t saved = saved_in_all(race);
    bool found = saved >= race->truth / 10 * 9;

    printf("%-9s %s after %.1f s: %" PRIu64 " of %" PRIu64
           " MiB, %.2f s of processor time, %.2f ms for each MiB\n",
           name, found ? "has 90 %" : "has NOT 90 %", seconds, saved / MC_MIB, race->truth / MC_MIB,
           cpu, saved ? cpu * 1000 / ((double)saved / (double)MC_MIB) : 0);
    if (race->plan.speed_is_learned)
        printf("%-9s learned that ksmd looks at %" PRIu64 " pages in a second of its time\n", name,
               race->plan.pages_per_second);
    fflush(stdout);
}

static void run_race(const char *name, void (*run)(struct race *race), bool all_mergeable,
                     uint64_t pages)
{
    pid_t ksmd = ksmd_find();
    struct race race = {0};
    double began, cpu;

    assert_true(ksmd > 0);
    for (unsigned i = 0; i < VICTIMS; i++) {
        race.victims[i] = victim_start(VICTIM_PRIVATE, pages);
        fill(&race.victims[i], i);
        if (all_mergeable)
            victim_make_mergeable(&race.victims[i]);
    }
    scan(&race);
    began = monotonic_s();
    cpu = ksmd_seconds(ksmd) - (all_mergeable ? 0 : race.scanner_seconds);
    while (saved_in_all(&race) < race.truth / 10 * 9 && race.now_ms < PATIENCE_S * 1000) {
        run(&race);
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
        race.now_ms += STEP_MS;
    }
    tell(name, &race, monotonic_s() - began, ksmd_seconds(ksmd) - cpu);
    mc_ksm_write(MC_KSM_FOLDER, MC_KSM_RUN, 0, NULL);
    for (unsigned i = 0; i < VICTIMS; i++)
        victim_end(&race.victims[i]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct race *race);
        bool all_mergeable;
    } contenders[] = {{"defaults", run_default, true},
                      {"ksmtuned", run_ksmtuned, true},
                      {"memctl", run_memctl, false}};
    uint64_t pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 128) * 256;
    struct mc_ksm_knobs defaults;
    struct mc_ksm old;

    mc_ksm_read(MC_KSM_FOLDER, &old);
    if (geteuid() != 0 || !old.present || old.knobs.value[MC_KSM_RUN] == 1) {
        puts("no KSM, KSM in use, or not root: nothing is measured");
        return 77;
    }
    if (count_others())
        printf("%u other processes are mergeable: the figures are worth nothing\n", count_others());
    defaults = no_knobs();
    defaults.value[MC_KSM_ADVISOR_MODE] = 0;
    defaults.value[MC_KSM_PAGES_TO_SCAN] = 100;
    defaults.value[MC_KSM_SLEEP_MS] = 20;
    defaults.value[MC_KSM_SMART_SCAN] = 1;
    defaults.value[MC_KSM_USE_ZERO_PAGES] = 0;
    for (size_t i = 0; i < sizeof(contenders) / sizeof(*contenders); i++) {
        if (argc > 2 && strcmp(argv[2], contenders[i].name) != 0)
            continue;
        set_knobs(&defaults);
        run_race(contenders[i].name, contenders[i].run, contenders[i].all_mergeable, pages);
    }
    set_knobs(&old.knobs);
    return 0;
}
