/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processor time until it is known what can be merged: the scanner's, and that of the kernel's ksmd
 * until it has merged 95 % of it, on the same two processes. ksmd's first pass merges nothing, and
 * its time includes the merging; so the time of one of its passes with everything merged is told as
 * well.
 *
 * bench-ksm [MiB of each process]; wants root, and KSM not in use. KSM is put back as it was.
 */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/ksmd.h"
#include "dedupe/victim.h"

#define KSM "/sys/kernel/mm/ksm/"
#define PATIENCE_S 300

static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t value = 0;

    if (!file || fscanf(file, "%" SCNu64, &value) != 1)
        value = UINT64_MAX;
    if (file)
        fclose(file);
    return value;
}

static void write_number(const char *path, uint64_t value)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return;
    fprintf(file, "%" PRIu64, value);
    fclose(file);
}

static void fill(struct victim *victim, uint64_t series)
{
    uint64_t part = victim->pages / 10;

    victim_fill(victim, 0, 4 * part, series << 32, 1);
    victim_fill(victim, 4 * part, 2 * part, 0, 0);
    victim_fill(victim, 6 * part, 4 * part, UINT64_C(99) << 32, 1);
}

/* Pages that merging saves, and the processor seconds to know it. */
static uint64_t scan(const struct victim victims[2], double *seconds)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    const struct mc_dedupe_domain *domain;
    struct mc_scanner *scanner;
    uint64_t saving;

    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct mc_scan_guest guest = victim_guest(&victims[i], i ? "two" : "one", "bench");

        assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    }
    while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
        continue;
    domain = mc_dedupe_report_domain(mc_scanner_report(scanner), "bench");
    saving = (domain->saving + domain->zero) / MC_PAGE;
    *seconds = (double)mc_scanner_report(scanner)->cpu_ms / 1000;
    mc_scanner_free(scanner);
    return saving;
}

static bool wait_until(const char *path, uint64_t value)
{
    for (unsigned i = 0; i < PATIENCE_S * 100; i++) {
        if (read_number(path) >= value)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

static void race(uint64_t pages)
{
    struct victim victims[2] = {victim_start(VICTIM_PRIVATE, pages),
                                victim_start(VICTIM_PRIVATE, pages)};
    uint64_t before = read_number(KSM "pages_sharing"), saving, passes;
    pid_t ksmd = ksmd_find();
    double seconds, began, found;

    assert_true(ksmd > 0);
    for (unsigned i = 0; i < 2; i++) {
        fill(&victims[i], i + 1);
        victim_make_mergeable(&victims[i]);
    }
    saving = scan(victims, &seconds);
    printf("the scanner knows of %" PRIu64 " pages after %.2f s of processor time\n", saving,
           seconds);
    began = ksmd_seconds(ksmd);
    write_number(KSM "run", 1);
    if (!wait_until(KSM "pages_sharing", before + saving / 100 * 95)) {
        printf("ksmd has not merged 95 %% of it after %d s\n", PATIENCE_S);
    } else {
        found = ksmd_seconds(ksmd) - began;
        printf("ksmd has merged 95 %% of it after %.2f s: %.1f times as much\n", found,
               found / seconds);
        passes = read_number(KSM "full_scans");
        wait_until(KSM "full_scans", passes + 1);
        began = ksmd_seconds(ksmd);
        wait_until(KSM "full_scans", passes + 3);
        found = (ksmd_seconds(ksmd) - began) / 2;
        printf("a later pass of ksmd, which merges nothing: %.2f s, %.1f times as much\n", found,
               found / seconds);
    }
    victim_end(&victims[0]);
    victim_end(&victims[1]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        uint64_t value;
    } wanted[] = {{KSM "pages_to_scan", 10000},
                  {KSM "sleep_millisecs", 1},
                  {KSM "smart_scan", 0},
                  {KSM "use_zero_pages", 0}};
    uint64_t old[4], pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 512) * 256;

    if (geteuid() != 0 || read_number(KSM "run") == UINT64_MAX || read_number(KSM "run") == 1) {
        puts("no KSM, KSM in use, or not root: nothing is measured");
        return 77;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        old[i] = read_number(wanted[i].path);
        write_number(wanted[i].path, wanted[i].value);
    }
    race(pages);
    write_number(KSM "run", 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
        if (old[i] != UINT64_MAX)
            write_number(wanted[i].path, old[i]);
    return 0;
}
