/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast the scanner goes over two processes, a fifth of whose pages are zeros and two fifths are
 * copies, as a share of what one core can read: the same memory, summed up, in the same run.
 *
 * bench-scan [MiB of each process]
 */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "dedupe/page_hash.h"
#include "dedupe/victim.h"

#define ROUNDS 3

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Four sums at once, or the additions would be waited for instead of the memory. */
#ifdef __x86_64__
__attribute__((target("avx2")))
#endif
static uint64_t
sum_up(const uint64_t *words, size_t count)
{
    uint64_t sums[16] = {0}, sum = 0;

    for (size_t i = 0; i < count; i += 16)
        for (size_t j = 0; j < 16; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < 16; j++)
        sum += sums[j];
    return sum;
}

/* Bytes a second, the best of some rounds. */
static double read_bandwidth(void)
{
    size_t size = (size_t)1 << 30;
    uint64_t *words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double best = 0;
    uint64_t sum = 0;

    assert_ptr_not_equal(words, MAP_FAILED);
    for (size_t i = 0; i < size / sizeof(*words); i += 512)
        words[i] = i;
    for (unsigned n = 0; n < ROUNDS; n++) {
        double began = now(CLOCK_THREAD_CPUTIME_ID), took;

        sum += sum_up(words, size / sizeof(*words));
        took = now(CLOCK_THREAD_CPUTIME_ID) - began;
        if ((double)size / took > best)
            best = (double)size / took;
    }
    munmap(words, size);
    if (sum == 1)
        puts("");
    return best;
}

static void fill(struct victim *victim, uint64_t series)
{
    uint64_t part = victim->pages / 10;

    victim_fill(victim, 0, 4 * part, series << 32, 1);
    victim_fill(victim, 4 * part, 2 * part, 0, 0);
    victim_fill(victim, 6 * part, 2 * part, series << 32 | 1U << 30, 1);
    victim_fill(victim, 8 * part, 2 * part, UINT64_C(99) << 32, 1);
}

static double measure(enum victim_kind kind, uint64_t pages, bool compare, uint64_t *cpu_first)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    struct victim victims[2];
    struct mc_scanner *scanner;
    double best = 0;

    config.compare = compare;
    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct mc_scan_guest guest;

        victims[i] = victim_start(kind, pages);
        fill(&victims[i], i + 1);
        guest = victim_guest(&victims[i], i ? "two" : "one", "bench");
        assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    }
    for (unsigned n = 0; n < ROUNDS + 1; n++) {
        const struct mc_dedupe_report *report;
        double began = now(CLOCK_THREAD_CPUTIME_ID), took;
        uint64_t bytes = 0;

        while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
            continue;
        took = now(CLOCK_THREAD_CPUTIME_ID) - began;
        report = mc_scanner_report(scanner);
        for (size_t i = 0; i < report->guest_count; i++)
            bytes += report->guests[i].figures.scanned;
        if (!n)
            *cpu_first = (uint64_t)((double)bytes / took);
        else if ((double)bytes / took > best)
            best = (double)bytes / took;
    }
    mc_scanner_free(scanner);
    victim_end(&victims[0]);
    victim_end(&victims[1]);
    return best;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum victim_kind kind;
    } kinds[] = {
        {"anonymous, 4 KiB pages", VICTIM_PRIVATE},
        {"anonymous, huge pages", VICTIM_HUGE},
        {"shared memory", VICTIM_SHARED},
    };
    uint64_t pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 512) * 256;
    double bandwidth = read_bandwidth();

    printf("one core reads %.1f GB/s; XXH3 in %s\n", bandwidth / 1e9, mc_page_hash_level());
    printf("%-24s %10s %8s %8s %8s\n", "", "PAGES/s", "FIRST", "LATER", "HASHES");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        uint64_t first, first_hashes;
        double later = measure(kinds[i].kind, pages, true, &first);
        double hashes = measure(kinds[i].kind, pages, false, &first_hashes);

        printf("%-24s %9.2fM %7.0f%% %7.0f%% %7.0f%%\n", kinds[i].name, later / 4096e6,
               100 * (double)first / bandwidth, 100 * later / bandwidth, 100 * hashes / bandwidth);
    }
    puts("FIRST: the first pass, all that is equal compared; LATER: the ones after it; HASHES: "
         "later ones, without comparing");
    return 0;
}
