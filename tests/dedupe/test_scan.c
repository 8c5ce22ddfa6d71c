/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scanner over processes whose contents are known: what it tells, and that it leaves no trace.
 */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "victim.h"

/* Contents of one victim are apart from those of another unless the test says otherwise. */
#define SERIES(n) ((uint64_t)(n) << 32)

static struct mc_scanner *new_scanner(const struct mc_scanner_config *config)
{
    struct mc_scanner_config chosen = config ? *config : mc_scanner_config_default();
    struct mc_scanner *scanner;
    struct mc_error err;

    assert_int_equal(mc_scanner_new(&chosen, &scanner, &err), 0);
    return scanner;
}

static struct mc_scanner *threaded_scanner(unsigned threads)
{
    struct mc_scanner_config config = mc_scanner_config_default();

    config.threads = threads;
    return new_scanner(&config);
}

static void put(struct mc_scanner *scanner, const struct victim *victim, const char *name,
                const char *domain)
{
    struct mc_scan_guest guest = victim_guest(victim, name, domain);

    assert_int_equal(mc_scanner_put(scanner, &guest), 0);
}

static const struct mc_dedupe_report *pass(struct mc_scanner *scanner)
{
    int rc;

    while ((rc = mc_scanner_step(scanner, 4 * MC_MIB)) == 0)
        continue;
    assert_int_equal(rc, 1);
    return mc_scanner_report(scanner);
}

static const struct mc_dedupe_guest *of(const struct mc_dedupe_report *report, const char *name)
{
    char uuid[MC_UUID_TEXT];
    const struct mc_dedupe_guest *guest;

    snprintf(uuid, sizeof(uuid), "uuid-%s", name);
    guest = mc_dedupe_report_find(report, uuid);
    assert_non_null(guest);
    return guest;
}

/* In pages, as the tests think. */
static void expect(const struct mc_dedupe_guest *guest, uint64_t zero, uint64_t inside,
                   uint64_t across, uint64_t changing, uint64_t unique)
{
    const struct mc_dedupe_figures *f = &guest->figures;

    assert_int_equal(guest->state, MC_DEDUPE_SCANNED);
    assert_int_equal(f->scanned / MC_PAGE, zero + inside + across + changing + unique);
    assert_int_equal(f->zero / MC_PAGE, zero);
    assert_int_equal(f->inside / MC_PAGE, inside);
    assert_int_equal(f->across / MC_PAGE, across);
    assert_int_equal(f->changing / MC_PAGE, changing);
    assert_int_equal(f->unique / MC_PAGE, unique);
    assert_int_equal(f->error, 0);
}

static uint64_t pair_of(const struct mc_dedupe_report *report, const char *a, const char *b)
{
    for (size_t i = 0; i < report->pair_count; i++) {
        const char *one = report->guests[report->pairs[i].a].name;
        const char *two = report->guests[report->pairs[i].b].name;

        if ((strcmp(one, a) == 0 && strcmp(two, b) == 0) ||
            (strcmp(one, b) == 0 && strcmp(two, a) == 0))
            return report->pairs[i].shared / MC_PAGE;
    }
    return 0;
}

/*
 * web: 1000 own, 100 zeros, 50 contents four times, 300 of the image. db: 500 own, 300 of the image
 * and these twice. alone: the image as well, in another trust domain.
 */
static void tells_the_truth_of(enum victim_kind kind, unsigned threads)
{
    struct victim web = victim_start(kind, 4096), db = victim_start(kind, 4096);
    struct victim alone = victim_start(kind, 4096);
    struct mc_scanner *scanner = threaded_scanner(threads);
    const struct mc_dedupe_report *report;

    victim_fill(&web, 0, 1000, SERIES(1), 1);
    victim_fill(&web, 1000, 100, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        victim_fill(&web, 1100 + i * 50, 50, SERIES(2), 1);
    victim_fill(&web, 2000, 300, SERIES(9), 1);
    victim_fill(&db, 100, 500, SERIES(3), 1);
    victim_fill(&db, 600, 300, SERIES(9), 1);
    victim_fill(&db, 3000, 300, SERIES(9), 1);
    victim_fill(&alone, 0, 300, SERIES(9), 1);
    put(scanner, &web, "web", "red");
    put(scanner, &db, "db", "red");
    put(scanner, &alone, "alone", "blue");

    for (unsigned n = 0; n < 2; n++) {
        report = pass(scanner);
        assert_int_equal(report->sample, 1);
        /* Huge pages are zeros where nothing was written. */
        if (kind != VICTIM_HUGE) {
            expect(of(report, "web"), 100, 150, 300, 0, 1050);
            expect(of(report, "db"), 0, 300, 300, 0, 500);
            expect(of(report, "alone"), 0, 0, 300, 0, 0);
        } else {
            assert_int_equal(of(report, "web")->figures.inside / MC_PAGE, 150);
            assert_int_equal(of(report, "db")->figures.across / MC_PAGE, 300);
            assert_int_equal(of(report, "db")->figures.unique / MC_PAGE, 500);
            assert_true(of(report, "db")->figures.huge > 0);
        }
        assert_int_equal(pair_of(report, "web", "db"), 300);
        assert_int_equal(pair_of(report, "web", "alone"), 300);
        assert_int_equal(pair_of(report, "db", "alone"), 300);
        /* 50 * 3 inside web, 300 * 2 of what both have. */
        assert_int_equal(mc_dedupe_report_domain(report, "red")->saving / MC_PAGE, 150 + 600);
        assert_int_equal(mc_dedupe_report_domain(report, "blue")->saving, 0);
        assert_int_equal(of(report, "web")->figures.saving / MC_PAGE, 150 + 150);
        assert_int_equal(of(report, "db")->figures.saving / MC_PAGE, 300 + 150);
        assert_int_equal(report->different, 0);
        assert_true(n > 0 || report->compared > 0);
    }
    mc_scanner_free(scanner);
    victim_end(&web);
    victim_end(&db);
    victim_end(&alone);
}

static void tells_the_truth_of_small_pages(void **state)
{
    (void)state;
    tells_the_truth_of(VICTIM_PRIVATE, 1);
}

static void tells_the_truth_of_huge_pages(void **state)
{
    (void)state;
    tells_the_truth_of(VICTIM_HUGE, 1);
}

static void tells_the_truth_of_shared_memory(void **state)
{
    (void)state;
    tells_the_truth_of(VICTIM_SHARED, 1);
}

static void several_threads_tell_the_same(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        tells_the_truth_of(VICTIM_PRIVATE, 2);
        tells_the_truth_of(VICTIM_HUGE, 3);
        tells_the_truth_of(VICTIM_SHARED, MC_SCAN_THREADS_MAX);
    }
}

static void what_was_written_since_is_volatile(void **state)
{
    struct victim web = victim_start(VICTIM_PRIVATE, 1024);
    struct mc_scanner *scanner = new_scanner(NULL);

    (void)state;
    victim_fill(&web, 0, 600, SERIES(1), 1);
    put(scanner, &web, "web", "red");
    expect(of(pass(scanner), "web"), 0, 0, 0, 0, 600);
    victim_fill(&web, 0, 200, SERIES(2), 1);
    victim_fill(&web, 600, 100, SERIES(3), 0); /* the same one a hundred times: not for long */
    expect(of(pass(scanner), "web"), 0, 0, 0, 300, 400);
    expect(of(pass(scanner), "web"), 0, 99, 0, 0, 601);
    victim_drop(&web, 0, 300);
    expect(of(pass(scanner), "web"), 0, 99, 0, 0, 301);
    mc_scanner_free(scanner);
    victim_end(&web);
}

/* read() and its relatives of this process so far. */
static uint64_t reads_of_mine(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    uint64_t count = 0;
    char line[128];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "syscr: %" SCNu64, &count) == 1)
            break;
    fclose(file);
    return count;
}

struct traces {
    uint64_t pss, rss, ksm, huge, swap, faults;
};

static struct traces traces_of(const struct victim *victim)
{
    return (struct traces){victim_smaps(victim, "Pss"),  victim_smaps(victim, "Rss"),
                           victim_smaps(victim, "KSM"),  victim_smaps(victim, "AnonHugePages"),
                           victim_smaps(victim, "Swap"), victim_faults(victim)};
}

static void expect_same(const struct traces *before, const struct traces *after)
{
    assert_int_equal(before->pss, after->pss);
    assert_int_equal(before->rss, after->rss);
    assert_int_equal(before->ksm, after->ksm);
    assert_int_equal(before->huge, after->huge);
    assert_int_equal(before->swap, after->swap);
    assert_int_equal(before->faults, after->faults);
}

static void leaves_no_trace_in(enum victim_kind kind)
{
    struct victim web = victim_start(kind, 16384), db = victim_start(kind, 16384);
    struct mc_scanner *scanner = new_scanner(NULL);
    struct traces before[2], after[2];

    for (unsigned i = 0; i < 32; i++) /* with holes */
        victim_fill(&web, i * 512, 300, SERIES(1) + i * 300, 1);
    victim_fill(&db, 0, 8000, SERIES(1), 1);
    victim_fill(&db, 9000, 100, 0, 0);
    put(scanner, &web, "web", "red");
    put(scanner, &db, "db", "red");
    before[0] = traces_of(&web);
    before[1] = traces_of(&db);
    for (unsigned n = 0; n < 4; n++) {
        if (n % 2) /* nor in the middle of a pass */
            assert_int_equal(mc_scanner_step(scanner, 10 * MC_MIB), 0);
        else
            pass(scanner);
        after[0] = traces_of(&web);
        after[1] = traces_of(&db);
        expect_same(&before[0], &after[0]);
        expect_same(&before[1], &after[1]);
    }
    if (kind == VICTIM_HUGE)
        assert_true(before[0].huge > 0);
    mc_scanner_free(scanner);
    victim_end(&web);
    victim_end(&db);
}

static void leaves_no_trace_in_small_pages(void **state)
{
    (void)state;
    leaves_no_trace_in(VICTIM_PRIVATE);
}

static void leaves_no_trace_in_huge_pages(void **state)
{
    (void)state;
    leaves_no_trace_in(VICTIM_HUGE);
}

static void leaves_no_trace_in_shared_memory(void **state)
{
    (void)state;
    leaves_no_trace_in(VICTIM_SHARED);
}

/*
 * What it costs follows what is there: 64 GiB are mapped here, and 40 MiB of them hold anything,
 * some in one place and some scattered. Only these are read, and there are as few calls as places.
 */
static void a_mostly_empty_guest_costs_what_is_there(void **state)
{
    struct victim web = victim_start(VICTIM_PRIVATE, UINT64_C(64) << 18);
    struct mc_scanner *scanner = new_scanner(NULL);
    uint64_t reads, apart = UINT64_C(1) << 14, faults;

    (void)state;
    victim_fill(&web, (1 << 20) + 100, 9216, SERIES(1), 1);
    for (uint64_t i = 0; i < 1024; i++) /* one in each 64 MiB */
        victim_fill(&web, i * apart + 77, 1, SERIES(2) + i, 1);
    put(scanner, &web, "web", "red");
    faults = victim_faults(&web);
    expect(of(pass(scanner), "web"), 0, 0, 0, 0, 10240);
    reads = reads_of_mine();
    expect(of(pass(scanner), "web"), 0, 0, 0, 0, 10240);
    reads = reads_of_mine() - reads;
    print_message("# 64 GiB with 40 MiB in them: %" PRIu64 " reads of the pagemap, table %" PRIu64
                  " KiB\n",
                  reads, mc_scanner_report(scanner)->table_bytes / MC_KIB);
    /* A look into the pagemap for each page that is alone; without PAGEMAP_SCAN all of it. */
    assert_true(reads < 1024 + 200 + (UINT64_C(64) << 18) / 8192 * 2);
    assert_true(mc_scanner_report(scanner)->table_bytes <= 2 * MC_MIB);
    assert_int_equal(victim_faults(&web), faults);
    mc_scanner_free(scanner);
    victim_end(&web);
}

static void leaves_swapped_pages_in_swap(void **state)
{
    struct victim web = victim_start(VICTIM_PRIVATE, 2048);
    struct mc_scanner *scanner = new_scanner(NULL);
    struct traces before, after;

    (void)state;
    victim_fill(&web, 0, 2048, SERIES(1), 1);
    victim_page_out(&web, 0, 1000);
    before = traces_of(&web);
    if (!before.swap) {
        mc_scanner_free(scanner);
        victim_end(&web);
        print_message("# no swap on this host: not tested\n");
        return; /* cmocka 1.1 calls a skipped test a failed one in TAP */
    }
    put(scanner, &web, "web", "red");
    assert_int_equal(of(pass(scanner), "web")->figures.swapped, before.swap);
    after = traces_of(&web);
    expect_same(&before, &after);
    mc_scanner_free(scanner);
    victim_end(&web);
}

static void a_guest_that_ends_does_not_stop_the_others_among(unsigned threads)
{
    struct victim web = victim_start(VICTIM_PRIVATE, 4096), db = victim_start(VICTIM_SHARED, 4096);
    struct mc_scanner *scanner = threaded_scanner(threads);
    const struct mc_dedupe_report *report;

    victim_fill(&web, 0, 4096, SERIES(1), 1);
    victim_fill(&db, 0, 1000, SERIES(1), 1);
    put(scanner, &web, "web", "red");
    put(scanner, &db, "db", "red");
    assert_int_equal(mc_scanner_step(scanner, MC_MIB), 0);
    victim_end(&web);
    report = pass(scanner);
    assert_int_equal(of(report, "web")->state, MC_DEDUPE_FAILED);
    assert_string_equal(of(report, "web")->why, "its process has ended");
    expect(of(report, "db"), 0, 0, 0, 0, 1000);
    mc_scanner_remove(scanner, "uuid-web");
    report = pass(scanner);
    assert_int_equal(report->guest_count, 1);
    expect(of(report, "db"), 0, 0, 0, 0, 1000);
    victim_end(&db);
    mc_scanner_free(scanner);
}

static void a_guest_that_ends_does_not_stop_the_others(void **state)
{
    (void)state;
    a_guest_that_ends_does_not_stop_the_others_among(1);
    a_guest_that_ends_does_not_stop_the_others_among(3);
}

static void off_is_not_read(void **state)
{
    struct victim web = victim_start(VICTIM_PRIVATE, 256), db = victim_start(VICTIM_PRIVATE, 256);
    struct mc_scanner *scanner = new_scanner(NULL);
    struct mc_scan_guest off = victim_guest(&db, "db", "red");
    const struct mc_dedupe_report *report;

    (void)state;
    victim_fill(&web, 0, 256, SERIES(1), 1);
    victim_fill(&db, 0, 256, SERIES(1), 1);
    put(scanner, &web, "web", "red");
    put(scanner, &db, "db", "red");
    assert_int_equal(pair_of(pass(scanner), "web", "db"), 256);
    off.state = MC_DEDUPE_OFF;
    assert_int_equal(mc_scanner_put(scanner, &off), 0);
    report = pass(scanner);
    assert_int_equal(of(report, "db")->state, MC_DEDUPE_OFF);
    assert_int_equal(report->pair_count, 0);
    assert_int_equal(report->compared, 0);
    expect(of(report, "web"), 0, 0, 0, 0, 256);
    mc_scanner_free(scanner);
    victim_end(&web);
    victim_end(&db);
}

static void a_guest_that_always_writes_gains_nothing_among(unsigned threads)
{
    struct victim web = victim_start(VICTIM_PRIVATE, 4096),
                  evil = victim_start(VICTIM_SHARED, 4096);
    struct mc_scanner *scanner = threaded_scanner(threads);
    const struct mc_dedupe_report *report;

    victim_fill(&web, 0, 4096, SERIES(1), 1);
    victim_fill(&evil, 0, 4096, SERIES(1), 1);
    put(scanner, &web, "web", "red");
    put(scanner, &evil, "evil", "red");
    pass(scanner);
    victim_churn(&evil, 0, 2048);
    victim_await_churn(&evil, 0, 2048);
    pass(scanner);
    for (unsigned n = 0; n < 5; n++) {
        const struct mc_dedupe_figures *f;

        victim_await_churn(&evil, 0, 2048);
        report = pass(scanner);
        f = &of(report, "evil")->figures;
        expect(of(report, "web"), 0, 0, 2048, 0, 2048);
        assert_int_equal(f->scanned, f->zero + f->inside + f->across + f->changing + f->unique);
        assert_int_equal(f->across / MC_PAGE, 2048);
        assert_int_equal(pair_of(report, "web", "evil"), 2048);
    }
    mc_scanner_free(scanner);
    victim_end(&web);
    victim_end(&evil);
}

static void a_guest_that_always_writes_gains_nothing(void **state)
{
    (void)state;
    a_guest_that_always_writes_gains_nothing_among(1);
    a_guest_that_always_writes_gains_nothing_among(3);
}

/*
 * A table that is far too small: a few contents make up most of the copies, many contents have two,
 * and most have one. What is told must hold the truth within its error.
 */
static void a_small_table_samples_with_an_honest_error(void **state)
{
    struct mc_scanner_config config = {
        .table_share = 1, .table_least = 128 * 1024, .compare = true};
    struct victim web = victim_start(VICTIM_PRIVATE, 65536),
                  db = victim_start(VICTIM_PRIVATE, 65536);
    struct mc_scanner *scanner = new_scanner(&config);
    const struct mc_dedupe_report *report;
    uint64_t truth = 0;

    (void)state;
    for (uint64_t i = 0; i < 8; i++) { /* 10240, 5120, ... copies */
        victim_fill(&web, truth, 10240 >> i, SERIES(100 + i), 0);
        truth += UINT64_C(10240) >> i;
    }
    victim_fill(&web, truth, 20000, SERIES(1), 1);
    victim_fill(&db, 0, 20000, SERIES(1), 1);
    victim_fill(&db, 20000, 30000, SERIES(2), 1);
    truth = truth - 8 + 20000; /* all copies of the heavy ones but one; one of each pair */
    put(scanner, &web, "web", "red");
    put(scanner, &db, "db", "red");
    for (unsigned n = 0; n < 2; n++) {
        const struct mc_dedupe_domain *red;
        uint64_t saving, error;

        report = pass(scanner);
        red = mc_dedupe_report_domain(report, "red");
        saving = red->saving / MC_PAGE;
        error = red->error / MC_PAGE;
        print_message("# one of %u contents: saving %" PRIu64 " +- %" PRIu64 ", truth %" PRIu64
                      "; shared %" PRIu64 "\n",
                      report->sample, saving, error, truth, pair_of(report, "web", "db"));
        assert_true(report->sample > 1);
        assert_true(report->table_bytes <= 128 * 1024);
        assert_true(error > 0 && error < truth / 4);
        /* One time of twenty it may be outside, but never far. */
        assert_true(saving + 3 * error >= truth && saving <= truth + 3 * error);
    }
    mc_scanner_free(scanner);
    victim_end(&web);
    victim_end(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_truth_of_small_pages),
        cmocka_unit_test(tells_the_truth_of_huge_pages),
        cmocka_unit_test(tells_the_truth_of_shared_memory),
        cmocka_unit_test(several_threads_tell_the_same),
        cmocka_unit_test(what_was_written_since_is_volatile),
        cmocka_unit_test(a_mostly_empty_guest_costs_what_is_there),
        cmocka_unit_test(leaves_no_trace_in_small_pages),
        cmocka_unit_test(leaves_no_trace_in_huge_pages),
        cmocka_unit_test(leaves_no_trace_in_shared_memory),
        cmocka_unit_test(leaves_swapped_pages_in_swap),
        cmocka_unit_test(a_guest_that_ends_does_not_stop_the_others),
        cmocka_unit_test(off_is_not_read),
        cmocka_unit_test(a_guest_that_always_writes_gains_nothing),
        cmocka_unit_test(a_small_table_samples_with_an_honest_error),
    };

    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
