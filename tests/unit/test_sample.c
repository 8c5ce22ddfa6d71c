/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at guests from the host, with a folder in place of the kernel's files.
 * tests/real/sample.py does the same with a real kernel.
 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/sample.h>
#include <memctl/units.h>

#include "fake_kernel.h"
#include "sample/damon.h"
#include "sample/page_idle.h"

#define KDAMONDS "/sys/kernel/mm/damon/admin/kdamonds"

#define WINDOW_MS 30000

/* ---- idle page tracking ---- */

static const struct mc_ram ram = {.address = FAKE_ADDRESS, .size = FAKE_PAGES * MC_PAGE};

static bool is_marked(const struct fake_kernel *kernel, const struct mc_idle_page *page)
{
    return fake_word(kernel, FAKE_BITMAP, page->head / 64, NULL) >> page->head % 64 & 1;
}

static void marks_resident_pages_and_counts_the_touched(void **state)
{
    const struct fake_kernel *kernel = *state;
    unsigned looked, touched, expected = 0, low = 0;
    struct mc_idle_pages pages;
    struct mc_page_idle idle;

    fake_make_page_idle(kernel);
    assert_int_equal(mc_page_idle_open(&idle, kernel->root, 7), 0);
    assert_int_equal(mc_page_idle_mark(&idle, 42, &ram, 1, &pages), 0);
    assert_int_equal(pages.count, MC_SAMPLE_PAGES);
    for (unsigned i = 0; i < pages.count; i++) {
        uint64_t page = (pages.pages[i].address - FAKE_ADDRESS) / MC_PAGE;

        assert_true(page < FAKE_PAGES && page % 4 == 0);
        assert_true(is_marked(kernel, &pages.pages[i]));
        low += page < FAKE_PAGES / 2;
        expected += page < FAKE_PAGES / 10;
    }
    assert_in_range(low, 30, 70); /* from everywhere */
    for (uint64_t page = 0; page < FAKE_PAGES / 10; page += 4)
        fake_set_word(kernel, FAKE_BITMAP, fake_frame_of(page) / 64, 0);
    mc_page_idle_look(&idle, &pages, &looked, &touched);
    assert_int_equal(looked, MC_SAMPLE_PAGES);
    assert_int_equal(touched, expected);
    assert_int_equal(pages.pagemap, -1);
    mc_page_idle_close(&idle);
}

static void pages_that_went_or_moved_say_nothing(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_idle_pages pages;
    struct mc_page_idle idle;
    unsigned looked, touched, left = 0;

    fake_make_page_idle(kernel);
    assert_int_equal(mc_page_idle_open(&idle, kernel->root, 7), 0);
    assert_int_equal(mc_page_idle_mark(&idle, 42, &ram, 1, &pages), 0);
    for (uint64_t page = 0; page < FAKE_PAGES; page += 8) /* half of them */
        fake_set_word(kernel, FAKE_PAGEMAP, FAKE_ADDRESS / MC_PAGE + page,
                      page % 16 ? 0 : UINT64_C(1) << 63 | (fake_frame_of(page) + 1));
    for (unsigned i = 0; i < pages.count; i++)
        left += (pages.pages[i].address - FAKE_ADDRESS) / MC_PAGE % 8 != 0;
    mc_page_idle_look(&idle, &pages, &looked, &touched);
    assert_int_equal(looked, left);
    assert_int_equal(touched, 0);
    mc_page_idle_close(&idle);
}

/* The tails of a huge page have no mark; neither have the zero page and the kernel's own. */
static void a_huge_page_is_marked_at_its_head(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_idle_pages pages;
    struct mc_page_idle idle;

    fake_make_page_idle(kernel);
    for (uint64_t page = 0; page < FAKE_PAGES; page++) {
        fake_set_word(kernel, FAKE_PAGEMAP, FAKE_ADDRESS / MC_PAGE + page,
                      UINT64_C(1) << 63 | (1024 + page));
        fake_set_word(kernel, "/proc/kpageflags", 1024 + page,
                      UINT64_C(1) << 5 | UINT64_C(1) << (page ? 16 : 15));
    }
    assert_int_equal(mc_page_idle_open(&idle, kernel->root, 7), 0);
    assert_int_equal(mc_page_idle_mark(&idle, 42, &ram, 1, &pages), 0);
    for (unsigned i = 0; i < pages.count; i++)
        assert_int_equal(pages.pages[i].head, 1024);
    close(pages.pagemap);
    fake_set_word(kernel, "/proc/kpageflags", 1024, UINT64_C(1) << 24);
    assert_int_equal(mc_page_idle_mark(&idle, 42, &ram, 1, &pages), 0);
    assert_int_equal(pages.count, 0);
    close(pages.pagemap);
    mc_page_idle_close(&idle);
}

static void says_when_the_kernel_hides_where_pages_are(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_idle_pages pages;
    struct mc_page_idle idle;

    fake_make_page_idle(kernel);
    for (uint64_t page = 0; page < FAKE_PAGES; page++)
        fake_set_word(kernel, FAKE_PAGEMAP, FAKE_ADDRESS / MC_PAGE + page, UINT64_C(1) << 63);
    assert_int_equal(mc_page_idle_open(&idle, kernel->root, 7), 0);
    assert_int_equal(mc_page_idle_mark(&idle, 42, &ram, 1, &pages), -EPERM);
    assert_int_equal(mc_page_idle_mark(&idle, 43, &ram, 1, &pages), -ESRCH);
    mc_page_idle_close(&idle);
}

/* ---- DAMON ---- */

static const char *const files_of_context[] = {
    "operations",
    "monitoring_attrs/nr_regions/min",
    "monitoring_attrs/nr_regions/max",
    "monitoring_attrs/intervals/update_us",
    "monitoring_attrs/intervals/aggr_us",
    "monitoring_attrs/intervals/sample_us",
    "targets/nr_targets",
    "targets/0/pid_target",
    "targets/0/regions/nr_regions",
    "schemes/nr_schemes",
};

static void make_in(const struct fake_kernel *kernel, unsigned place, const char *what,
                    const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), KDAMONDS "/%u/%s", place, what);
    fake_make(kernel, path, text);
}

/* Room for that many places; what the kernel makes by itself is there already. */
static void make_damon(const struct fake_kernel *kernel, unsigned places)
{
    static const char *const bounds[] = {"sz", "nr_accesses", "age"};
    char what[128];

    fake_make(kernel, KDAMONDS "/nr_kdamonds", "0\n");
    for (unsigned place = 0; place < places; place++) {
        make_in(kernel, place, "state", "off\n");
        make_in(kernel, place, "contexts/nr_contexts", "0\n");
        make_in(kernel, place, "contexts/0/avail_operations", "vaddr\nfvaddr\npaddr\n");
        for (unsigned i = 0; i < sizeof(files_of_context) / sizeof(*files_of_context); i++) {
            snprintf(what, sizeof(what), "contexts/0/%s", files_of_context[i]);
            make_in(kernel, place, what, "");
        }
        for (unsigned i = 0; i < 3 * 6; i++) {
            snprintf(what, sizeof(what), "contexts/0/schemes/%u/access_pattern/%s/%s", i / 6,
                     bounds[i % 3], i % 6 < 3 ? "min" : "max");
            make_in(kernel, place, what, "0\n");
        }
        for (unsigned i = 0; i < 3; i++) {
            snprintf(what, sizeof(what), "contexts/0/schemes/%u/action", i);
            make_in(kernel, place, what, "");
            snprintf(what, sizeof(what), "contexts/0/schemes/%u/stats/sz_tried", i);
            make_in(kernel, place, what, "0\n");
        }
        for (unsigned i = 0; i < 120; i++) {
            snprintf(what, sizeof(what), "contexts/0/targets/0/regions/%u/%s", i / 2,
                     i % 2 ? "start" : "end");
            make_in(kernel, place, what, "");
        }
    }
}

static const char *said(const struct fake_kernel *kernel, unsigned place, const char *what)
{
    static char text[64];
    char path[512];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%s" KDAMONDS "/%u/%s", kernel->root, place, what);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void tried(const struct fake_kernel *kernel, unsigned place, uint64_t all, uint64_t touched,
                  uint64_t busy)
{
    const uint64_t values[] = {all, touched, busy};

    for (unsigned i = 0; i < 3; i++) {
        char what[96], text[32];

        snprintf(what, sizeof(what), "contexts/0/schemes/%u/stats/sz_tried", i);
        snprintf(text, sizeof(text), "%" PRIu64 "\n", values[i]);
        make_in(kernel, place, what, text);
    }
}

static struct mc_sample_subject subject_of(const char *uuid, pid_t pid)
{
    struct mc_sample_subject subject = {.run_id = 1,
                                        .pid = pid,
                                        .ram = {{.address = MC_GIB, .size = MC_GIB}},
                                        .ram_count = 1,
                                        .resident = 800 * MC_MIB};

    strcpy(subject.uuid, uuid);
    return subject;
}

static void damon_counts_what_is_touched(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_sample_subject subject = subject_of("a", 77);
    struct mc_sampler *sampler;
    struct mc_error err;

    make_damon(kernel, 8);
    assert_int_equal(mc_sampler_open(kernel->root, NULL, WINDOW_MS, &sampler, &err), 0);
    assert_string_equal(mc_sampler_method(sampler), "damon");
    assert_int_equal(mc_sampler_begin(sampler, &subject, 1, &err), 0);
    assert_string_equal(said(kernel, 0, "state"), "on");
    assert_string_equal(said(kernel, 0, "contexts/0/operations"), "fvaddr");
    assert_string_equal(said(kernel, 0, "contexts/0/targets/0/pid_target"), "77");
    assert_string_equal(said(kernel, 0, "contexts/0/monitoring_attrs/intervals/aggr_us"),
                        "30000000");
    assert_string_equal(said(kernel, 0, "contexts/0/targets/0/regions/0/start"), "1073741824");
    assert_string_equal(said(kernel, 0, "contexts/0/targets/0/regions/59/end"), "2147483648");

    mc_sampler_look(sampler, &subject, 1, 1000);
    assert_int_equal(subject.result.found_ms, 0); /* no aggregation is over yet */
    tried(kernel, 0, 2 * MC_GIB, MC_GIB / 2, MC_GIB / 8);
    mc_sampler_look(sampler, &subject, 1, 2000);
    assert_int_equal(subject.result.found_ms, 2000);
    assert_int_equal(subject.result.most, MC_GIB / 4);
    assert_int_equal(subject.result.least, MC_GIB / 16);
    assert_true(subject.result.confidence < 75); /* it is still learning */

    /* The counts go on from there; no more than is resident can be touched. */
    for (unsigned i = 3; i < 8; i++) {
        tried(kernel, 0, i * MC_GIB, MC_GIB / 2 + (i - 2) * MC_GIB, MC_GIB / 8);
        mc_sampler_look(sampler, &subject, 1, i * 1000);
    }
    assert_int_equal(subject.result.most, 800 * MC_MIB);
    assert_int_equal(subject.result.least, 0);
    assert_int_equal(subject.result.confidence, 75);
    mc_sampler_close(sampler);
    assert_string_equal(said(kernel, 0, "state"), "off");
}

/* A guest that ends frees its place for the next one. */
static void damon_has_a_place_for_each_guest(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_sample_subject subjects[9];
    struct mc_sampler *sampler;
    struct mc_error err;

    make_damon(kernel, 16);
    for (unsigned i = 0; i < 9; i++)
        subjects[i] = subject_of((const char[]){(char)('a' + i), '\0'}, (pid_t)(100 + i));
    assert_int_equal(mc_sampler_open(kernel->root, "damon", WINDOW_MS, &sampler, &err), 0);
    mc_sampler_begin(sampler, subjects, 8, &err);
    assert_string_equal(said(kernel, 7, "contexts/0/targets/0/pid_target"), "107");
    mc_sampler_begin(sampler, subjects, 7, &err);
    assert_string_equal(said(kernel, 7, "state"), "off");
    subjects[7] = subjects[8];
    mc_sampler_begin(sampler, subjects, 8, &err);
    assert_string_equal(said(kernel, 7, "contexts/0/targets/0/pid_target"), "108");
    mc_sampler_close(sampler);
}

static void leaves_damon_to_who_has_it(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_sampler *sampler;
    struct mc_error err;

    make_damon(kernel, 8);
    fake_make(kernel, KDAMONDS "/nr_kdamonds", "1\n");
    assert_int_equal(mc_sampler_open(kernel->root, "damon", WINDOW_MS, &sampler, &err), -EBUSY);
    assert_non_null(strstr(err.text, "somebody else"));
    /* What a memctld that was killed left is no stranger's. */
    make_in(kernel, 0, "contexts/0/schemes/0/access_pattern/sz/max", "120282394358892\n");
    assert_int_equal(mc_sampler_open(kernel->root, "damon", WINDOW_MS, &sampler, &err), 0);
    mc_sampler_close(sampler);
}

static void says_what_a_kernel_has_not(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_sampler *sampler;
    struct mc_error err;

    assert_int_equal(mc_sampler_open(kernel->root, NULL, WINDOW_MS, &sampler, &err), -ENOENT);
    assert_non_null(strstr(err.text, "idle-page: this kernel does not have it; damon: "));
    make_damon(kernel, 1);
    make_in(kernel, 0, "contexts/0/avail_operations", "paddr\n");
    assert_int_equal(mc_sampler_open(kernel->root, NULL, WINDOW_MS, &sampler, &err), -EOPNOTSUPP);
}

static void idle_pages_come_before_damon(void **state)
{
    const struct fake_kernel *kernel = *state;
    struct mc_sample_subject subject = subject_of("a", 42);
    struct mc_sampler *sampler;
    struct mc_error err;

    make_damon(kernel, 1);
    fake_make_page_idle(kernel);
    subject.ram[0] = ram;
    assert_int_equal(mc_sampler_open(kernel->root, NULL, WINDOW_MS, &sampler, &err), 0);
    assert_string_equal(mc_sampler_method(sampler), "idle-page");
    for (unsigned round = 1; round <= 4; round++) {
        assert_int_equal(mc_sampler_begin(sampler, &subject, 1, &err), 0);
        for (uint64_t page = 0; page < FAKE_PAGES / 4; page += 4)
            fake_set_word(kernel, FAKE_BITMAP, fake_frame_of(page) / 64, 0);
        mc_sampler_look(sampler, &subject, 1, round * 1000);
    }
    assert_string_equal(subject.result.method, "idle-page");
    assert_int_equal(subject.result.pages, 4 * MC_SAMPLE_PAGES);
    assert_in_range(subject.result.least, 130 * MC_MIB, 200 * MC_MIB);
    assert_in_range(subject.result.most, 200 * MC_MIB, 280 * MC_MIB);
    mc_sampler_close(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(marks_resident_pages_and_counts_the_touched, fake_begin,
                                        fake_end),
        cmocka_unit_test_setup_teardown(pages_that_went_or_moved_say_nothing, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(a_huge_page_is_marked_at_its_head, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(says_when_the_kernel_hides_where_pages_are, fake_begin,
                                        fake_end),
        cmocka_unit_test_setup_teardown(damon_counts_what_is_touched, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(damon_has_a_place_for_each_guest, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(leaves_damon_to_who_has_it, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(says_what_a_kernel_has_not, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(idle_pages_come_before_damon, fake_begin, fake_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
