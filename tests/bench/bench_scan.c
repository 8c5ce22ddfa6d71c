/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast the scanner goes over two processes, a fifth of whose pages are zeros and a fifth are in
 * both, as a share of what one core can read. Both change from second to second on a machine that
 * others use as well; so memory is summed up right before and after each pass, the ratio is of one
 * pass, and the median of some passes is told. What is read there is read plainly; a reader that
 * asks for memory ahead, as hashing does, is a little faster, and is told as well.
 *
 * Shared memory has to be mapped and unmapped in each pass, as a page that stayed mapped would
 * count half for the guest: what that takes by itself is told beside, as a share of reading.
 *
 * bench-scan [MiB of each process [kind]]
 */
#include "testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "dedupe/page_hash.h"
#include "dedupe/reading.h"
#include "dedupe/victim.h"

#define ROUNDS 9
#define MEMORY ((size_t)256 << 20) /* for the bandwidth: no cache holds it */

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

/* The same, with a page asked for ahead. */
#ifdef __x86_64__
__attribute__((target("avx2")))
#endif
static uint64_t
sum_up_ahead(const uint64_t *words, size_t count)
{
    uint64_t sums[16] = {0}, sum = 0;

    for (size_t i = 0; i < count; i += 16) {
        for (size_t j = 0; j < 16; j += 8)
            __builtin_prefetch(&words[i + j + MC_PAGE / sizeof(*words)]);
        for (size_t j = 0; j < 16; j++)
            sums[j] += words[i + j];
    }
    for (size_t j = 0; j < 16; j++)
        sum += sums[j];
    return sum;
}

/* Bytes a second now. */
static double bandwidth_of(uint64_t (*reader)(const uint64_t *words, size_t count),
                           const uint64_t *memory)
{
    double began = now(CLOCK_THREAD_CPUTIME_ID), took;
    volatile uint64_t sum = reader(memory, MEMORY / sizeof(*memory));

    took = now(CLOCK_THREAD_CPUTIME_ID) - began;
    (void)sum;
    return (double)MEMORY / took;
}

static double read_bandwidth(const uint64_t *memory)
{
    return bandwidth_of(sum_up, memory);
}

static uint64_t *memory_to_read(void)
{
    uint64_t *words =
        mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(words, MAP_FAILED);
    for (size_t i = 0; i < MEMORY / sizeof(*words); i += 512)
        words[i] = i;
    return words;
}

static int ascending(const void *a, const void *b)
{
    double one = *(const double *)a, two = *(const double *)b;

    return (one > two) - (one < two);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), ascending);
    return values[count / 2];
}

static void fill(struct victim *victim, uint64_t series)
{
    uint64_t part = victim->pages / 10;

    victim_fill(victim, 0, 4 * part, series << 32, 1);
    victim_fill(victim, 4 * part, 2 * part, 0, 0);
    victim_fill(victim, 6 * part, 2 * part, series << 32 | 1U << 30, 1);
    victim_fill(victim, 8 * part, 2 * part, UINT64_C(99) << 32, 1);
}

/* What a pass is: bytes a second, and as a share of the bandwidth around it. */
struct rate {
    double bytes, share;
};

static struct rate one_pass(struct mc_scanner *scanner, const uint64_t *memory)
{
    const struct mc_dedupe_report *report;
    double before = read_bandwidth(memory), began = now(CLOCK_THREAD_CPUTIME_ID), took;
    struct rate rate = {0};

    while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
        continue;
    took = now(CLOCK_THREAD_CPUTIME_ID) - began;
    report = mc_scanner_report(scanner);
    for (size_t i = 0; i < report->guest_count; i++)
        rate.bytes += (double)report->guests[i].figures.scanned / took;
    rate.share = rate.bytes / (before / 2 + read_bandwidth(memory) / 2);
    return rate;
}

static struct mc_scanner *scanner_of(struct victim victims[2], bool compare, unsigned threads)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    struct mc_scanner *scanner;

    config.compare = compare;
    config.threads = threads;
    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct mc_scan_guest guest = victim_guest(&victims[i], i ? "two" : "one", "bench");

        assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    }
    return scanner;
}

static void measure(const char *name, enum victim_kind kind, uint64_t pages, const uint64_t *memory)
{
    struct victim victims[2] = {victim_start(kind, pages), victim_start(kind, pages)};
    double first[ROUNDS], later[ROUNDS], hashes[ROUNDS], bytes[ROUNDS];
    struct mc_scanner *hasher;

    for (unsigned i = 0; i < 2; i++)
        fill(&victims[i], i + 1);
    hasher = scanner_of(victims, false, 1);
    one_pass(hasher, memory);
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct mc_scanner *scanner = scanner_of(victims, true, 1);
        struct rate rate;

        first[n] = one_pass(scanner, memory).share;
        rate = one_pass(scanner, memory);
        later[n] = rate.share;
        bytes[n] = rate.bytes;
        hashes[n] = one_pass(hasher, memory).share;
        mc_scanner_free(scanner);
    }
    mc_scanner_free(hasher);
    victim_end(&victims[0]);
    victim_end(&victims[1]);
    printf("%-24s %9.2fM %7.0f%% %7.0f%% %7.0f%%\n", name, median(bytes, ROUNDS) / 4096e6,
           100 * median(first, ROUNDS), 100 * median(later, ROUNDS), 100 * median(hashes, ROUNDS));
}

static double seconds_of_pass(struct mc_scanner *scanner, double *cpu)
{
    double began = now(CLOCK_MONOTONIC), cpu_began = now(CLOCK_PROCESS_CPUTIME_ID);

    while (mc_scanner_step(scanner, UINT64_C(64) << 20) == 0)
        continue;
    *cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
    return now(CLOCK_MONOTONIC) - began;
}

/* ---- mapping ---- */

/* Seconds for mapping and unmapping all of a shared victim, as the scanner does, reading nothing.
 */
static double seconds_to_map(const struct victim *victim)
{
    struct mc_scan_guest guest = victim_guest(victim, "mapped", "bench");
    size_t size = victim->pages * MC_PAGE, batch = MC_BATCH_PAGES * MC_PAGE;
    volatile const uint8_t *memory =
        mmap(NULL, size, PROT_READ, MAP_SHARED, guest.regions[0].fd, 0);
    double began = now(CLOCK_THREAD_CPUTIME_ID), took;

    assert_ptr_not_equal(memory, MAP_FAILED);
    madvise((void *)memory, size, MADV_SEQUENTIAL);
    for (size_t at = 0; at < size; at += batch) {
        for (size_t i = at; i < at + batch && i < size; i += 16 * MC_PAGE)
            (void)memory[i];
        madvise((void *)(memory + at), mc_min_u64(batch, size - at), MADV_DONTNEED);
    }
    took = now(CLOCK_THREAD_CPUTIME_ID) - began;
    munmap((void *)memory, size);
    mc_scan_guest_close(&guest);
    return took;
}

static void measure_mapping(uint64_t pages, const uint64_t *memory)
{
    struct victim victim = victim_start(VICTIM_SHARED, pages);
    double shares[ROUNDS], bytes = (double)(pages * MC_PAGE);

    fill(&victim, 1);
    for (unsigned n = 0; n < ROUNDS; n++)
        shares[n] = seconds_to_map(&victim) / (bytes / read_bandwidth(memory));
    victim_end(&victim);
    printf("%-24s mapping and unmapping alone: %.0f%% of the time to read it\n", "shared memory",
           100 * median(shares, ROUNDS));
}

/* ---- a guest that is mostly empty ---- */

#define EMPTY_PAGES (UINT64_C(64) << 18)
#define PIECE 512U /* a huge page */

static struct mc_scanner *scanner_of_one(const struct victim *victim)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    struct mc_scan_guest guest = victim_guest(victim, "one", "bench");
    struct mc_scanner *scanner;

    assert_int_equal(mc_scanner_new(&config, &scanner, NULL), 0);
    assert_int_equal(mc_scanner_put(scanner, &guest), 0);
    return scanner;
}

/* As much in 64 GiB, 2 MiB here and there, as in a guest that has no more. */
static void measure_empty(const char *name, enum victim_kind kind, uint64_t pages)
{
    struct victim victims[2] = {victim_start(kind, pages), victim_start(kind, EMPTY_PAGES)};
    struct mc_scanner *scanners[2];
    double seconds[2], dearer[ROUNDS];

    victim_fill(&victims[0], 0, pages, 1, 1);
    for (uint64_t i = 0; i < pages; i += PIECE)
        victim_fill(&victims[1], i / PIECE * (EMPTY_PAGES / (pages / PIECE) / PIECE * PIECE), PIECE,
                    1 + i, 1);
    for (unsigned i = 0; i < 2; i++)
        scanners[i] = scanner_of_one(&victims[i]);
    for (unsigned n = 0; n < ROUNDS; n++) {
        for (unsigned i = 0; i < 2; i++)
            seconds_of_pass(scanners[i], &seconds[i]);
        dearer[n] = seconds[1] / seconds[0];
    }
    for (unsigned i = 0; i < 2; i++) {
        mc_scanner_free(scanners[i]);
        victim_end(&victims[i]);
    }
    printf("%-24s 64 GiB with %" PRIu64 " MiB in them take %.2f times as long as these alone\n",
           name, pages / 256, median(dearer, ROUNDS));
}

/* ---- two threads ---- */

static void *read_it(void *memory)
{
    read_bandwidth(memory);
    return NULL;
}

/* How many times as much two threads read in the same time as one: what the machine gives now. */
static double two_readers(uint64_t *memory)
{
    double began = now(CLOCK_MONOTONIC), one;
    pthread_t thread;

    read_it(memory);
    one = now(CLOCK_MONOTONIC) - began;
    began = now(CLOCK_MONOTONIC);
    assert_int_equal(pthread_create(&thread, NULL, read_it, memory), 0);
    read_it(memory);
    pthread_join(thread, NULL);
    return 2 * one / (now(CLOCK_MONOTONIC) - began);
}

static void measure_two(const char *name, enum victim_kind kind, uint64_t pages, uint64_t *memory)
{
    struct victim victims[2] = {victim_start(kind, pages), victim_start(kind, pages)};
    struct mc_scanner *scanners[2];
    double faster[ROUNDS], dearer[ROUNDS], machine[ROUNDS], cpu[2];

    for (unsigned i = 0; i < 2; i++)
        fill(&victims[i], i + 1);
    for (unsigned i = 0; i < 2; i++) {
        scanners[i] = scanner_of(victims, true, i + 1);
        seconds_of_pass(scanners[i], &cpu[i]);
    }
    for (unsigned n = 0; n < ROUNDS; n++) {
        double one = seconds_of_pass(scanners[0], &cpu[0]);

        faster[n] = one / seconds_of_pass(scanners[1], &cpu[1]);
        dearer[n] = cpu[1] / cpu[0];
        machine[n] = two_readers(memory);
    }
    for (unsigned i = 0; i < 2; i++) {
        mc_scanner_free(scanners[i]);
        victim_end(&victims[i]);
    }
    printf("%-24s two threads: %.2f times as fast for %.2f times the processor time; two readers "
           "%.2f\n",
           name, median(faster, ROUNDS), median(dearer, ROUNDS), median(machine, ROUNDS));
}

struct kind {
    const char *name;
    enum victim_kind kind;
};

static uint64_t free_huge_pages(void)
{
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    uint64_t count = 0;

    if (file && fscanf(file, "%" SCNu64, &count) != 1)
        count = 0;
    if (file)
        fclose(file);
    return count;
}

/* One that was asked for, and can be had: huge pages are whoever's who runs this. */
static bool is_wanted(const struct kind *kind, int argc, char **argv, uint64_t pages)
{
    if (argc >= 3 && !strstr(kind->name, argv[2]))
        return false;
    if (kind->kind != VICTIM_SHARED_HUGE || free_huge_pages() * PIECE >= pages)
        return true;
    printf("%-24s not measured: there are not %" PRIu64 " free huge pages (vm.nr_hugepages)\n",
           kind->name, pages / PIECE);
    return false;
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        {"anonymous, 4 KiB pages", VICTIM_PRIVATE},
        {"anonymous, huge pages", VICTIM_HUGE},
        {"shared memory", VICTIM_SHARED},
        {"shared huge pages", VICTIM_SHARED_HUGE},
    };
    uint64_t pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 512) * 256;
    uint64_t *memory = memory_to_read();
    double bandwidth[ROUNDS], ahead[ROUNDS];

    for (unsigned n = 0; n < ROUNDS; n++)
        bandwidth[n] = read_bandwidth(memory);
    for (unsigned n = 0; n < ROUNDS; n++)
        ahead[n] = bandwidth_of(sum_up_ahead, memory);
    printf("one core reads %.1f GB/s, %.1f when it asks ahead; XXH3 in %s\n",
           median(bandwidth, ROUNDS) / 1e9, median(ahead, ROUNDS) / 1e9, mc_page_hash_level());
    printf("%-24s %10s %8s %8s %8s\n", "", "PAGES/s", "FIRST", "LATER", "HASHES");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (is_wanted(&kinds[i], argc, argv, 2 * pages))
            measure(kinds[i].name, kinds[i].kind, pages, memory);
    puts(
        "FIRST: the first pass, all that is equal compared; LATER: the second; HASHES: later ones, "
        "without comparing");
    if (argc < 3 || strstr("shared memory", argv[2]))
        measure_mapping(pages, memory);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (is_wanted(&kinds[i], argc, argv, 2 * pages))
            measure_empty(kinds[i].name, kinds[i].kind, pages / PIECE * PIECE);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (is_wanted(&kinds[i], argc, argv, 2 * pages))
            measure_two(kinds[i].name, kinds[i].kind, pages, memory);
    puts("two readers: how many times as much two threads read as one at that time");
    munmap(memory, MEMORY);
    return 0;
}
