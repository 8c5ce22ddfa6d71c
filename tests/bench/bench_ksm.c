/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processor time until it is known what can be merged: the scanner's, and that of the kernel's ksmd
 * until it has merged 95 % of it, on the same two processes. The scanner's is all that it takes
 * from nothing on, comparing in full and the report included; the median of some runs. ksmd's first
 * pass merges nothing, and its time includes the merging; so the time of one of its passes with
 * everything merged is told as well.
 *
 * KSM does not look at shared memory. There the scanner goes over two processes that have the same
 * contents in a memfd, and ksmd's times are those for private memory.
 *
 * bench-ksm [MiB of each process]; wants root, and KSM not in use. KSM is put back as it was.
 */
#include "testing.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/ksmd.h"
#include "dedupe/victim.h"

#define KSM "/sys/kernel/mm/ksm/"
#define PATIENCE_S 300
#define ROUNDS 5

/* What the scanner took: pages that merging saves, and processor seconds to know it. */
struct scanned {
    uint64_t saving;
    double seconds;
};

static const struct {
    const char *name;
    enum victim_kind kind;
} kinds[] = {
    {"shared memory", VICTIM_SHARED},
    {"anonymous, huge pages", VICTIM_HUGE},
    {"anonymous, 4 KiB pages", VICTIM_PRIVATE}, /* the last: ksmd gets it */
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

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

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct scanned scan_once(const struct victim victims[2])
{
    struct mc_scanner_config config = mc_scanner_config_default();
    const struct mc_dedupe_domain *domain;
    struct scanned scanned = {.seconds = -now()};
    struct mc_scanner *scanner;

    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct mc_scan_guest guest = victim_guest(&victims[i], i ? "two" : "one", "bench");

        assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    }
    while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
        continue;
    domain = mc_dedupe_report_domain(mc_scanner_report(scanner), "bench");
    scanned.saving = (domain->saving + domain->zero) / MC_PAGE;
    scanned.seconds += now();
    mc_scanner_free(scanner);
    return scanned;
}

static int faster(const void *a, const void *b)
{
    const struct scanned *one = a, *two = b;

    return (one->seconds > two->seconds) - (one->seconds < two->seconds);
}

static struct scanned scan(const struct victim victims[2], const char *name)
{
    struct scanned all[ROUNDS];

    for (unsigned n = 0; n < ROUNDS; n++)
        all[n] = scan_once(victims);
    qsort(all, ROUNDS, sizeof(*all), faster);
    printf("%-24s the scanner knows of %" PRIu64 " pages after %.3f s (%.3f to %.3f)\n", name,
           all[ROUNDS / 2].saving, all[ROUNDS / 2].seconds, all[0].seconds,
           all[ROUNDS - 1].seconds);
    return all[ROUNDS / 2];
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

static void tell(const char *what, double seconds, const struct scanned scanned[KINDS])
{
    printf("%s after %.2f s\n", what, seconds);
    for (size_t i = 0; i < KINDS; i++)
        printf("    %-24s %5.1f times the scanner's\n", kinds[i].name,
               seconds / scanned[i].seconds);
}

static void race(const struct scanned scanned[KINDS], struct victim victims[2])
{
    uint64_t before = read_number(KSM "pages_sharing"), passes;
    uint64_t most = scanned[KINDS - 1].saving / 100 * 95;
    pid_t ksmd = ksmd_find();
    double began = ksmd_seconds(ksmd);

    for (unsigned i = 0; i < 2; i++)
        victim_make_mergeable(&victims[i]);
    write_number(KSM "run", 1);
    if (!wait_until(KSM "pages_sharing", before + most)) {
        printf("ksmd has not merged 95 %% of it after %d s\n", PATIENCE_S);
        return;
    }
    tell("ksmd has merged 95 %", ksmd_seconds(ksmd) - began, scanned);
    passes = read_number(KSM "full_scans");
    wait_until(KSM "full_scans", passes + 1);
    began = ksmd_seconds(ksmd);
    wait_until(KSM "full_scans", passes + 3);
    tell("ksmd is through with a later pass, which merges nothing,",
         (ksmd_seconds(ksmd) - began) / 2, scanned);
}

static void measure(uint64_t pages)
{
    struct scanned scanned[KINDS];

    assert_true(ksmd_find() > 0);
    for (size_t i = 0; i < KINDS; i++) {
        struct victim victims[2] = {victim_start(kinds[i].kind, pages),
                                    victim_start(kinds[i].kind, pages)};

        for (unsigned n = 0; n < 2; n++)
            fill(&victims[n], n + 1);
        scanned[i] = scan(victims, kinds[i].name);
        if (i == KINDS - 1)
            race(scanned, victims);
        victim_end(&victims[0]);
        victim_end(&victims[1]);
    }
}

/* In a process of its own, so that KSM is put back whatever becomes of it; with the signals that
 * would end this one blocked. */
static int measure_apart(uint64_t pages, const sigset_t *signals)
{
    int status = 1, signal;
    pid_t pid = fork();

    if (pid == 0) {
        sigprocmask(SIG_UNBLOCK, signals, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        measure(pages);
        exit(0);
    }
    if (pid < 0)
        return 1;
    sigwait(signals, &signal);
    if (signal != SIGCHLD)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : 1;
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
    sigset_t signals;
    int status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (geteuid() != 0 || read_number(KSM "run") == UINT64_MAX || read_number(KSM "run") == 1) {
        puts("no KSM, KSM in use, or not root: nothing is measured");
        return 77;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        old[i] = read_number(wanted[i].path);
        write_number(wanted[i].path, wanted[i].value);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    status = measure_apart(pages, &signals);
    write_number(KSM "run", 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
        if (old[i] != UINT64_MAX)
            write_number(wanted[i].path, old[i]);
    return status;
}
