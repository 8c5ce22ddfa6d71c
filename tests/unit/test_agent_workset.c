/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the agent finds out the working set: what looks say together, and the kernel's files. */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workset.h"

#define MIB (UINT64_C(1) << 20)

/* ---- windows ---- */

static uint64_t take(struct round *round, uint64_t first, uint64_t second)
{
    unsigned confidence;

    return round_take(round, first * MIB, second * MIB, &confidence) / MIB;
}

static void two_looks_that_agree_are_sure(void **state)
{
    struct round round = round_begin(5000, 60000);
    unsigned confidence;

    (void)state;
    assert_true(round_take(&round, 95 * MIB, 100 * MIB, &confidence) == 100 * MIB);
    assert_int_equal(confidence, 100);
    assert_true(round_take(&round, 40 * MIB, 100 * MIB, &confidence) == 100 * MIB);
    assert_int_equal(confidence, 40);
    assert_int_equal(round.half_ms, 5000); /* a program that began is not a long pass */
}

static void a_long_pass_lengthens_the_window(void **state)
{
    struct round round = round_begin(5000, 60000);

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        take(&round, 20, 40);
    assert_int_equal(round.half_ms, 20000);
    for (unsigned i = 0; i < 20; i++)
        take(&round, 20, 40);
    assert_int_equal(round.half_ms, 60000);
}

static void a_window_that_shortens_too_far_costs_nothing(void **state)
{
    struct round round = round_begin(5000, 60000);
    unsigned short_rounds = 0;

    (void)state;
    take(&round, 50, 100);
    take(&round, 50, 100);
    for (unsigned i = 0; i < 100; i++) {
        bool is_short = round.half_ms < 10000;

        short_rounds += is_short;
        assert_int_equal(is_short ? take(&round, 30, 60) : take(&round, 100, 100), 100);
    }
    assert_in_range(short_rounds, 2, 6); /* tried less and less often */
}

static void a_shorter_window_is_found_again(void **state)
{
    struct round round = round_begin(5000, 60000);

    (void)state;
    round.half_ms = 40000;
    for (unsigned i = 0; i < 12; i++)
        take(&round, 100, 100);
    assert_int_equal(round.half_ms, 5000);
}

static void less_is_believed_when_a_longer_window_says_so_too(void **state)
{
    struct round round = round_begin(5000, 60000);

    (void)state;
    assert_int_equal(take(&round, 100, 100), 100);
    assert_int_equal(take(&round, 30, 30), 100);
    assert_int_equal(round.half_ms, 10000);
    assert_int_equal(take(&round, 30, 30), 30);
    assert_int_equal(take(&round, 100, 100), 100); /* more is believed at once */
}

/* A program that works for a moment every 15 s, however the rounds lie. */
static void bursts_are_not_taken_for_idleness(void **state)
{
    (void)state;
    for (uint64_t from_ms = 0; from_ms < 15000; from_ms += 500) {
        struct round round = round_begin(5000, 60000);
        uint64_t at_ms = from_ms, least = UINT64_MAX, figure;
        bool seen = false;

        for (unsigned i = 0; i < 60; i++) {
            uint64_t half_ms = round.half_ms;
            bool first = at_ms / 15000 != (at_ms + half_ms) / 15000;
            bool second = at_ms / 15000 != (at_ms + 2 * half_ms) / 15000;

            figure = take(&round, first ? 100 : 0, second ? 100 : 0);
            at_ms += 2 * half_ms;
            seen |= figure == 100;
            if (seen)
                least = figure < least ? figure : least;
        }
        assert_true(seen);
        assert_int_equal(least, 100);
    }
}

static void a_given_window_stays(void **state)
{
    struct round round = round_begin(2000, 2000);

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        take(&round, i % 7, 40);
    assert_int_equal(round.half_ms, 2000);
    assert_int_equal(take(&round, 10, 30), 30);
    assert_int_equal(take(&round, 10, 10), 30);
    assert_int_equal(take(&round, 10, 10), 10);
}

/* ---- huge pages ---- */

/* A round after which some are split; then one in which so much less is touched. */
static uint64_t take_lot(struct huge *huge, uint64_t *touched, uint64_t *anon_huge, uint64_t cold)
{
    huge->split = 32 * MIB;
    *anon_huge -= 32 * MIB;
    *touched -= cold;
    huge_take(huge, *touched, *anon_huge, true);
    return huge_correct(huge, *touched, *anon_huge);
}

static void a_split_shows_what_huge_pages_hide(void **state)
{
    uint64_t touched = 300 * MIB, anon_huge = 300 * MIB;
    struct huge huge = {0};

    (void)state;
    assert_false(huge_take(&huge, touched, anon_huge, true)); /* no round to compare with */
    assert_true(huge_asks(&huge, touched, anon_huge));
    assert_true(huge_take(&huge, touched, anon_huge, true));
    /* A quarter is really touched. Of one lot, which could be another kind of pages, not much. */
    assert_in_range(take_lot(&huge, &touched, &anon_huge, 24 * MIB), 90 * MIB, 110 * MIB);
    take_lot(&huge, &touched, &anon_huge, 23 * MIB);
    assert_true(huge_asks(&huge, touched, anon_huge));
    take_lot(&huge, &touched, &anon_huge, 25 * MIB);
    assert_in_range(take_lot(&huge, &touched, &anon_huge, 24 * MIB), 75 * MIB, 84 * MIB);
    assert_false(huge_asks(&huge, touched, anon_huge));
    /* The kernel joins them again: nothing changes. */
    assert_in_range(huge_correct(&huge, 300 * MIB, 300 * MIB), 75 * MIB, 90 * MIB);
}

static void pages_that_the_kernel_joined_again_are_not_of_the_lot(void **state)
{
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, 300 * MIB, 300 * MIB, true);
    huge_take(&huge, 300 * MIB, 300 * MIB, true);
    huge.split = 64 * MIB;
    huge_take(&huge, 300 * MIB - 36 * MIB, 300 * MIB - 48 * MIB, true);
    assert_int_equal(huge.lots[0], 750);
}

static void lots_that_differ_leave_doubt(void **state)
{
    uint64_t touched = 400 * MIB, anon_huge = 400 * MIB, figure = 0;
    const uint64_t cold[] = {30 * MIB, 4 * MIB, 26 * MIB, 8 * MIB};
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, touched, anon_huge, true);
    huge_take(&huge, touched, anon_huge, true);
    for (unsigned i = 0; i < 4; i++)
        figure = take_lot(&huge, &touched, &anon_huge, cold[i]);
    assert_true(figure > touched - anon_huge * 17 / 32 + anon_huge / 4);
    assert_true(figure <= touched);
}

/* What was learned of one program would make another one's memory vanish. */
static void a_figure_that_falls_is_learned_anew(void **state)
{
    uint64_t touched = 300 * MIB, anon_huge = 300 * MIB;
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, touched, anon_huge, true);
    huge_take(&huge, touched, anon_huge, true);
    for (unsigned i = 0; i < 4; i++)
        take_lot(&huge, &touched, &anon_huge, 24 * MIB);
    assert_true(huge_correct(&huge, 100 * MIB, anon_huge) < 20 * MIB);
    huge_take(&huge, 100 * MIB, anon_huge, true);
    assert_true(huge_correct(&huge, 100 * MIB, anon_huge) == 100 * MIB);
    assert_true(huge_take(&huge, 100 * MIB, anon_huge, true));
}

static void huge_pages_that_are_used_are_not_made_smaller(void **state)
{
    uint64_t touched = 300 * MIB, anon_huge = 300 * MIB;
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, touched, anon_huge, true);
    huge_take(&huge, touched, anon_huge, true);
    for (unsigned i = 0; i < 4; i++)
        assert_true(take_lot(&huge, &touched, &anon_huge, 0) == 300 * MIB);
}

static void a_split_in_unrest_shows_nothing(void **state)
{
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, 300 * MIB, 300 * MIB, true);
    huge_take(&huge, 340 * MIB, 300 * MIB, true);
    huge.split = 64 * MIB;
    huge_take(&huge, 280 * MIB, 236 * MIB, true);
    assert_int_equal(huge.learned, 0);
    assert_true(huge_correct(&huge, 280 * MIB, 236 * MIB) == 280 * MIB);
    assert_false(huge_take(&huge, 280 * MIB, 236 * MIB, true)); /* nor is it tried at once */
    assert_true(huge_asks(&huge, 280 * MIB, 236 * MIB));
}

/* A round whose halves differ says nothing of what was split; the next one may. */
static void a_lot_waits_for_a_round_that_is_settled(void **state)
{
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, 300 * MIB, 300 * MIB, true);
    huge_take(&huge, 300 * MIB, 300 * MIB, true);
    huge.split = 64 * MIB;
    assert_false(huge_take(&huge, 120 * MIB, 236 * MIB, false));
    assert_int_equal(huge.learned, 0);
    huge_take(&huge, 252 * MIB, 236 * MIB, true);
    assert_int_equal(huge.lots[0], 750);
}

static void few_huge_pages_do_not_matter(void **state)
{
    struct huge huge = {0};

    (void)state;
    huge_take(&huge, 300 * MIB, 10 * MIB, true);
    assert_false(huge_take(&huge, 300 * MIB, 10 * MIB, true));
    assert_false(huge_asks(&huge, 300 * MIB, 10 * MIB));
}

/* ---- the kernel's files ---- */

static int set_up(void **state)
{
    char *root = strdup("/tmp/memctl-workset-XXXXXX");

    *state = root;
    return root && mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    free(*state);
    return system(command);
}

static void put(const char *root, const char *path, const char *text)
{
    char command[512], name[256];
    FILE *file;

    snprintf(command, sizeof(command), "mkdir -p \"$(dirname '%s%s')\"", root, path);
    assert_int_equal(system(command), 0);
    snprintf(name, sizeof(name), "%s%s", root, path);
    file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char generations[] = "memcg     1 /\n"
                                  " node     0\n"
                                  "          4      90000       1000       2000 \n"
                                  "          5      60000        100        200 \n"
                                  "          6      30000         10         20 \n"
                                  "          7      10000          1          2 \n"
                                  "memcg    37 /system.slice\n"
                                  " node     0\n"
                                  "          1      10000          0       4000 \n"
                                  "          2      10000        500          0 \n"
                                  " node     1\n"
                                  "          0      10000          0       8000 \n";

/* The kernel would age; here the file stays as it is but for the command that overwrites it. */
static void the_young_generations_of_all_groups_are_counted(void **state)
{
    union source_state source;
    char text[256];
    uint64_t bytes;

    put(*state, "/sys/kernel/mm/lru_gen/enabled", "0x0000\n");
    assert_true(source_lru_gen.start(&source, *state, 5000) < 0);
    put(*state, "/sys/kernel/mm/lru_gen/enabled", "0x0007\n");
    assert_true(source_lru_gen.start(&source, *state, 5000) < 0); /* no debugfs */
    put(*state, "/sys/kernel/debug/lru_gen", generations);
    assert_int_equal(source_lru_gen.start(&source, *state, 5000), 0);
    assert_int_equal(source_lru_gen.begin(&source), 0);
    assert_true(file_read(*state, "/sys/kernel/debug/lru_gen", text, sizeof(text)) > 0);
    assert_memory_equal(text, "+ 37 1 0 1 1\n", 13); /* the last of three commands */

    assert_true(lru_gen_count(generations, 2) == 33 + 4500 + 8000);
    assert_true(lru_gen_count(generations, 3) == 333 + 4500 + 8000);
    assert_true(lru_gen_count("", 3) == 0 && lru_gen_count("memcg 1 /\n node 0\n", 3) == 0);
    put(*state, "/sys/kernel/debug/lru_gen", "");
    assert_true(source_lru_gen.read(&source, &bytes) < 0);
}

#define ROLLUP(rss, pss, shared, private, referenced)                                              \
    "00400000-7ffe ---p 00000000 00:00 0 [rollup]\nRss: " #rss " kB\nPss: " #pss                   \
    " kB\nPss_Dirty: 5 kB\nShared_Clean: " #shared " kB\nShared_Dirty: 0 kB\nPrivate_Clean: 0 "    \
    "kB\nPrivate_Dirty: " #private " kB\nReferenced: " #referenced " kB\nAnonymous: 0 kB\n"

static void memory_that_is_shared_is_counted_once(void **state)
{
    union source_state source;
    uint64_t bytes;

    assert_true(source_referenced.start(&source, *state, 5000) < 0);
    put(*state, "/proc/1/smaps_rollup", ROLLUP(100, 100, 0, 100, 40));
    put(*state, "/proc/1/clear_refs", "");
    put(*state, "/proc/self-is-no-process/smaps_rollup", ROLLUP(100, 100, 0, 100, 40));
    assert_int_equal(source_referenced.start(&source, *state, 5000), 0);
    assert_int_equal(source_referenced.read(&source, &bytes), 0);
    assert_int_equal(bytes, 40 * 1024);

    put(*state, "/proc/20/smaps_rollup", ROLLUP(1010, 110, 1000, 10, 510)); /* one of ten */
    assert_int_equal(source_referenced.read(&source, &bytes), 0);
    assert_int_equal(bytes, (40 + 10 + 50) * 1024);
    put(*state, "/proc/30/smaps_rollup", ""); /* a kernel thread */
    assert_int_equal(source_referenced.read(&source, &bytes), 0);
    assert_int_equal(bytes, (40 + 10 + 50) * 1024);
}

static void what_was_read_since_is_summed(void **state)
{
    struct read_cache cache = {0};

    snprintf(cache.root, sizeof(cache.root), "%s", (char *)*state);
    put(*state, "/proc/10/io", "rchar: 1000\nwchar: 5\n");
    put(*state, "/proc/9/io", "rchar: 500\n");
    put(*state, "/proc/11/io", "rchar: 700\n");
    read_cache_begin(&cache);
    assert_true(read_cache_bytes(&cache) == 0);
    put(*state, "/proc/10/io", "rchar: 1300\nwchar: 5\n");
    put(*state, "/proc/11/io", "rchar: 100\n"); /* another with its number */
    put(*state, "/proc/12/io", "rchar: 7\n");
    assert_true(read_cache_bytes(&cache) == 300 + 100 + 7);
    read_cache_begin(&cache);
    assert_true(read_cache_bytes(&cache) == 0);
    free(cache.before);
    free(cache.now);
}

/* 64 frames a word: idle bits, and for each frame 8 bytes of flags. */
static void put_frames(const char *root, const uint64_t *idle, const uint64_t *flags, size_t words)
{
    char name[256];
    FILE *file;

    snprintf(name, sizeof(name), "%s/sys/kernel/mm/page_idle/bitmap", root);
    file = fopen(name, "w");
    assert_true(file && fwrite(idle, 8, words, file) == words && fclose(file) == 0);
    snprintf(name, sizeof(name), "%s/proc/kpageflags", root);
    file = fopen(name, "w");
    assert_true(file && fwrite(flags, 8, words * 64, file) == words * 64 && fclose(file) == 0);
}

static void frames_that_are_not_idle_any_more_are_counted(void **state)
{
    enum { LRU = 1 << 5, HEAD = 1 << 15, HUGE = 1 << 22, WORDS = 5 };
    uint64_t idle[WORDS] = {0}, flags[WORDS * 64] = {0}, bytes;
    union source_state source;

    assert_true(source_idle_page.start(&source, *state, 5000) < 0);
    put(*state, "/sys/kernel/mm/page_idle/bitmap", "");
    put(*state, "/proc/kpageflags", "");
    assert_true(source_idle_page.start(&source, *state, 5000) < 0);
    put_frames(*state, idle, flags, WORDS);
    assert_int_equal(source_idle_page.start(&source, *state, 5000), 0);
    assert_int_equal(source.idle_page.words, WORDS);
    assert_int_equal(source_idle_page.begin(&source), 0);

    for (size_t i = 0; i < 10; i++)
        flags[i] = LRU;
    idle[0] = UINT64_C(0x0f);      /* six of the ten were used */
    flags[64] = LRU | HEAD | HUGE; /* and a huge page */
    flags[128] = HEAD;             /* no memory of programs or files */
    put_frames(*state, idle, flags, WORDS);
    assert_int_equal(source_idle_page.read(&source, &bytes), 0);
    assert_int_equal(bytes, (6 + 512) * (uint64_t)sysconf(_SC_PAGESIZE));
    source_idle_page.stop(&source);
}

static void damon_of_somebody_else_is_left_alone(void **state)
{
    union source_state source;
    char text[16];

    assert_true(source_damon.start(&source, *state, 5000) < 0);
    put(*state, "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "1\n");
    assert_true(source_damon.start(&source, *state, 5000) < 0);
    assert_int_equal(
        file_read(*state, "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", text, sizeof(text)),
        2);
}

static void kinds_of_memory_are_told_apart(void **state)
{
    struct kinds kinds;

    assert_true(kinds_read(*state, false, &kinds) < 0);
    put(*state, "/proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 300 kB\nBuffers: 50 kB\nCached: 250 kB\nMapped: 40 kB\n"
        "Shmem: 60 kB\nActive(file): 120 kB\nAnonPages: 200 kB\nSReclaimable: 30 kB\n"
        "AnonHugePages: 2048 kB\n");
    assert_int_equal(kinds_read(*state, false, &kinds), 0);
    assert_int_equal(kinds.page_cache, 200 * 1024);
    assert_int_equal(kinds.used_twice, 120 * 1024);
    assert_int_equal(kinds.anon_huge, 2 * MIB);
    assert_int_equal(kinds.kernel, 170 * 1024);

    /* A balloon that deflates on OOM is counted as used. */
    put(*state, "/sys/bus/virtio/devices/virtio0/device", "0x0003\n");
    put(*state, "/sys/bus/virtio/devices/virtio0/features", "1110000000\n");
    assert_false(balloon_is_counted(*state));
    put(*state, "/sys/bus/virtio/devices/virtio1/device", "0x0005\n");
    put(*state, "/sys/bus/virtio/devices/virtio1/features", "0100000000\n");
    assert_false(balloon_is_counted(*state));
    put(*state, "/sys/bus/virtio/devices/virtio1/features", "0110000000\n");
    assert_true(balloon_is_counted(*state));
    put(*state, "/proc/vmstat", "nr_free_pages 9\nballoon_inflate 30\nballoon_deflate 5\n");
    assert_int_equal(kinds_read(*state, true, &kinds), 0);
    assert_int_equal(kinds.kernel, 70 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_looks_that_agree_are_sure),
        cmocka_unit_test(a_long_pass_lengthens_the_window),
        cmocka_unit_test(a_window_that_shortens_too_far_costs_nothing),
        cmocka_unit_test(a_shorter_window_is_found_again),
        cmocka_unit_test(less_is_believed_when_a_longer_window_says_so_too),
        cmocka_unit_test(bursts_are_not_taken_for_idleness),
        cmocka_unit_test(a_given_window_stays),
        cmocka_unit_test(a_split_shows_what_huge_pages_hide),
        cmocka_unit_test(pages_that_the_kernel_joined_again_are_not_of_the_lot),
        cmocka_unit_test(lots_that_differ_leave_doubt),
        cmocka_unit_test(a_lot_waits_for_a_round_that_is_settled),
        cmocka_unit_test(a_figure_that_falls_is_learned_anew),
        cmocka_unit_test(huge_pages_that_are_used_are_not_made_smaller),
        cmocka_unit_test(a_split_in_unrest_shows_nothing),
        cmocka_unit_test(few_huge_pages_do_not_matter),
        cmocka_unit_test_setup_teardown(the_young_generations_of_all_groups_are_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(memory_that_is_shared_is_counted_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_read_since_is_summed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_that_are_not_idle_any_more_are_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damon_of_somebody_else_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_of_memory_are_told_apart, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
