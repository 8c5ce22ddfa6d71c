/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest feels of being scanned: a process that does nothing but read and write its memory,
 * and the scanner over it with the budget of processor time and the priority that memctl-scan has
 * by default. Some seconds without, some with, some without again, and so on: what the process gets
 * done with, as a share of what it did around it without; and of two times without the one as a
 * share of the other, which is the noise of this machine.
 *
 * bench-disturb [MiB of the process [per cent of a processor [rounds]]]
 */
#include "testing.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dedupe/pace.h"
#include "dedupe/victim.h"

#define PERIOD_US 700000U
#define STEP (4 * MC_MIB)
#define ROUNDS_MAX 200U

/* The process, and what it has done so far. */
struct guest {
    struct victim victim; /* only pid, address and pages */
    atomic_ulong *done;   /* pages that it has read and written */
    clockid_t clock;      /* its processor time */
};

/* Pages a second: of the wall clock, and of the guest's processor time. */
struct speed {
    double wall, cpu;
};

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void work_for_ever(uint64_t *words, uint64_t pages, atomic_ulong *done)
{
    size_t in_page = MC_PAGE / sizeof(*words);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t round = 1;; round++) {
        for (uint64_t page = 0; page < pages; page++) {
            for (size_t i = 0; i < in_page; i++)
                words[page * in_page + i] += round + page;
            atomic_fetch_add_explicit(done, 1, memory_order_relaxed);
        }
    }
}

static struct guest start(bool shared, uint64_t pages)
{
    struct guest guest = {.victim.pages = pages};
    int fd = shared ? memfd_create("guest", MFD_CLOEXEC) : -1;
    void *memory;

    if (shared)
        assert_int_equal(ftruncate(fd, (off_t)(pages * MC_PAGE)), 0);
    memory = mmap(NULL, pages * MC_PAGE, PROT_READ | PROT_WRITE,
                  shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    guest.done = mmap(NULL, MC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_ptr_not_equal(guest.done, MAP_FAILED);
    guest.victim.address = (uint64_t)(uintptr_t)memory;
    guest.victim.pid = fork();
    assert_true(guest.victim.pid >= 0);
    if (guest.victim.pid == 0)
        work_for_ever(memory, pages, guest.done);
    munmap(memory, pages * MC_PAGE);
    if (fd >= 0)
        close(fd);
    assert_int_equal(clock_getcpuclockid(guest.victim.pid, &guest.clock), 0);
    while (atomic_load(guest.done) < 2 * pages) /* all of it is there, and warm */
        usleep(10000);
    return guest;
}

static void end(struct guest *guest)
{
    kill(guest->victim.pid, SIGKILL);
    waitpid(guest->victim.pid, NULL, 0);
    munmap(guest->done, MC_PAGE);
}

static uint64_t now_us(clockid_t clock)
{
    return (uint64_t)(now(clock) * 1e6);
}

/* As memctl-scan does; what was not used while the guest was left alone is not made up for. */
static void scan_until(struct mc_scanner *scanner, unsigned percent, uint64_t until_us)
{
    struct mc_pace pace = {0};

    while (now_us(CLOCK_MONOTONIC) < until_us) {
        uint64_t began_us = now_us(CLOCK_PROCESS_CPUTIME_ID), at_us, pause_us;

        assert_true(mc_scanner_step(scanner, STEP) >= 0);
        at_us = now_us(CLOCK_MONOTONIC);
        pause_us =
            mc_pace_pause(&pace, at_us, now_us(CLOCK_PROCESS_CPUTIME_ID) - began_us, percent);
        usleep((useconds_t)mc_min_u64(pause_us, mc_less_u64(until_us, at_us)));
    }
}

static void set_policy(int policy)
{
    const struct sched_param param = {0};

    assert_int_equal(sched_setscheduler(0, policy, &param), 0);
}

/* What the guest does in a period; scanner NULL: it is left alone. */
static struct speed period(const struct guest *guest, struct mc_scanner *scanner, unsigned percent)
{
    double wall = now(CLOCK_MONOTONIC), cpu = now(guest->clock);
    unsigned long done = atomic_load(guest->done);

    if (scanner) {
        set_policy(SCHED_IDLE);
        scan_until(scanner, percent, now_us(CLOCK_MONOTONIC) + PERIOD_US);
        set_policy(SCHED_OTHER);
    } else {
        usleep(PERIOD_US);
    }
    done = atomic_load(guest->done) - done;
    return (struct speed){(double)done / (now(CLOCK_MONOTONIC) - wall),
                          (double)done / (now(guest->clock) - cpu)};
}

static int ascending(const void *a, const void *b)
{
    double one = *(const double *)a, two = *(const double *)b;

    return (one > two) - (one < two);
}

/* Median and quartiles, as per cent. */
static void tell(const char *what, double *shares, size_t count)
{
    qsort(shares, count, sizeof(*shares), ascending);
    printf("    %-44s %6.2f %%   (half of them %.2f to %.2f)\n", what, 100 * shares[count / 2],
           100 * shares[count / 4], 100 * shares[count * 3 / 4]);
}

static struct mc_scanner *scanner_of(const struct guest *guest)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    struct mc_scan_guest scanned = victim_guest(&guest->victim, "guest", "bench");
    struct mc_scanner *scanner;

    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    assert_int_equal(mc_scanner_put(scanner, &scanned), 0);
    return scanner;
}

static void measure(const char *name, bool shared, uint64_t pages, unsigned percent,
                    unsigned rounds)
{
    static double wall[ROUNDS_MAX], cpu[ROUNDS_MAX], noise_wall[ROUNDS_MAX], noise_cpu[ROUNDS_MAX];
    struct guest guest = start(shared, pages);
    struct mc_scanner *scanner = scanner_of(&guest);
    double spent = now(CLOCK_PROCESS_CPUTIME_ID);

    for (unsigned n = 0; n < rounds; n++) {
        struct speed before = period(&guest, NULL, 0);
        struct speed with = period(&guest, scanner, percent);
        struct speed after = period(&guest, NULL, 0);

        wall[n] = 2 * with.wall / (before.wall + after.wall);
        cpu[n] = 2 * with.cpu / (before.cpu + after.cpu);
        noise_wall[n] = before.wall / after.wall;
        noise_cpu[n] = before.cpu / after.cpu;
    }
    spent = now(CLOCK_PROCESS_CPUTIME_ID) - spent;
    printf("%s, scanned at %u %% (it took %.1f %%)\n", name, percent,
           100 * spent / (rounds * PERIOD_US / 1e6));
    tell("scanned / left alone, by the wall clock", wall, rounds);
    tell("left alone / left alone", noise_wall, rounds);
    tell("scanned / left alone, by its processor time", cpu, rounds);
    tell("left alone / left alone", noise_cpu, rounds);
    mc_scanner_free(scanner);
    end(&guest);
}

int main(int argc, char **argv)
{
    uint64_t pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) * 256;
    unsigned percent = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2;
    unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 20;

    if (!pages || !percent || !rounds || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench-disturb [MiB [PER CENT [ROUNDS, at most %u]]]\n", ROUNDS_MAX);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned shared = 0; shared < 2; shared++)
        measure(shared ? "shared memory" : "anonymous, 4 KiB pages", shared, pages, percent,
                rounds);
    return 0;
}
