/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From frames to figures, sketches, and the pace: what is pure of the scanner. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "dedupe/pace.h"
#include "dedupe/sketch.h"
#include "dedupe/tally.h"

#define FRESH 1
#define PROVEN 2
#define UNSEEN 4

static void add(struct mc_frames *frames, uint64_t hash, unsigned guest, unsigned count,
                unsigned flags)
{
    struct mc_frame_match match = mc_frames_find(frames, hash, guest);
    struct mc_frame *frame = mc_frames_add(frames, &match, hash, guest, 0);

    frame->count = count & MC_FRAME_COUNT_MAX;
    frame->fresh = (flags & FRESH) != 0;
    frame->proven = (flags & PROVEN) != 0;
    frame->seen = !(flags & UNSEEN);
}

/* Three guests: the first two are in one trust domain, the third in another. */
struct case_of_three {
    struct mc_frames frames;
    struct mc_tally_guest guests[3];
    struct mc_dedupe_figures figures[3];
    struct mc_dedupe_domain domains[2];
    struct mc_tally_output output;
};

static void begin(struct case_of_three *c)
{
    memset(c, 0, sizeof(*c));
    assert_int_equal(mc_frames_init(&c->frames, 0), 0);
    for (unsigned i = 0; i < 3; i++)
        c->guests[i] = (struct mc_tally_guest){.counts = true, .domain = i / 2, .nonzero = 100};
}

static void tally(struct case_of_three *c, unsigned shift)
{
    const struct mc_tally_input input = {.frames = &c->frames,
                                         .guests = c->guests,
                                         .guest_count = 3,
                                         .domain_count = 2,
                                         .shift = shift,
                                         .heavy = 16};

    c->output = (struct mc_tally_output){.guests = c->figures, .domains = c->domains};
    assert_int_equal(mc_tally(&input, &c->output), 0);
}

static void end(struct case_of_three *c)
{
    free(c->output.pairs);
    mc_frames_free(&c->frames);
}

/* In pages. */
static void expect(const struct mc_dedupe_figures *f, uint64_t inside, uint64_t across,
                   uint64_t changing, uint64_t unique, uint64_t saving)
{
    assert_int_equal(f->inside, inside * MC_PAGE);
    assert_int_equal(f->across, across * MC_PAGE);
    assert_int_equal(f->changing, changing * MC_PAGE);
    assert_int_equal(f->unique, unique * MC_PAGE);
    assert_int_equal(f->saving, saving * MC_PAGE);
    assert_int_equal(f->error, 0);
}

static void divides_what_was_read_without_rest(void **state)
{
    struct case_of_three c;

    (void)state;
    begin(&c);
    add(&c.frames, 10, 0, 3, 0);       /* inside the first one */
    add(&c.frames, 20, 0, 40, PROVEN); /* in all three */
    add(&c.frames, 20, 1, 2, PROVEN);
    add(&c.frames, 20, 2, 1, PROVEN);
    add(&c.frames, 30, 0, 7, FRESH);  /* written since the last pass */
    add(&c.frames, 30, 1, 7, PROVEN); /* not in the other one, so unique there */
    add(&c.frames, 40, 1, 5, 0);      /* equal hashes that nobody compared share nothing */
    add(&c.frames, 40, 2, 5, 0);
    add(&c.frames, 50, 2, 9, UNSEEN); /* of the last pass */
    tally(&c, 0);
    /* 100 pages of the first: 3 + 40 + 7, and 50 that have no frame any more. */
    /* Of one page that the first two share in their domain, each has a half: rounded. */
    expect(&c.figures[0], 2 + 39, 1, 7 + 50, 1, 2 + 39 + 1);
    expect(&c.figures[1], 1 + 6 + 4, 1, 100 - 14, 2, 1 + 6 + 4 + 1);
    expect(&c.figures[2], 4, 1, 100 - 6, 1, 4);
    /* In the first domain 42 pages of one content need one; and 3, 7 and 5 of others. */
    assert_int_equal(c.domains[0].saving, (41 + 2 + 6 + 4) * MC_PAGE);
    assert_int_equal(c.domains[1].saving, 4 * MC_PAGE);
    assert_int_equal(c.output.pair_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(c.output.pairs[i].shared, MC_PAGE);
    end(&c);
}

static void a_guest_that_does_not_count_changes_nothing(void **state)
{
    struct case_of_three c;

    (void)state;
    begin(&c);
    c.guests[1].counts = false;
    add(&c.frames, 20, 0, 1, PROVEN);
    add(&c.frames, 20, 1, 1, PROVEN);
    tally(&c, 0);
    expect(&c.figures[0], 0, 0, 99, 1, 0);
    assert_int_equal(c.output.pair_count, 0);
    end(&c);
}

/* One of four contents kept: what is frequent counts as it is, the rest by its share. */
static void a_sample_stands_for_the_rest(void **state)
{
    struct case_of_three c;

    (void)state;
    begin(&c);
    c.guests[0].nonzero = 20 + 80;
    add(&c.frames, 1, 0, 20, 0);       /* heavy, and not of the sample */
    for (unsigned i = 1; i <= 10; i++) /* of the sample, two pages each */
        add(&c.frames, (uint64_t)i << 32, 0, 2, 0);
    add(&c.frames, 3, 0, 5, 0); /* neither: left out */
    tally(&c, 2);
    assert_int_equal(c.figures[0].inside, (19 + 40) * MC_PAGE);
    assert_int_equal(c.figures[0].unique, (1 + 40) * MC_PAGE);
    assert_int_equal(c.figures[0].saving, (19 + 40) * MC_PAGE);
    /* All contents of the sample are alike: nothing speaks for an error. */
    assert_int_equal(c.figures[0].error, 0);
    add(&c.frames, UINT64_C(11) << 32, 0, 12, 0);
    free(c.output.pairs);
    tally(&c, 2);
    assert_true(c.figures[0].error > 0);
    end(&c);
}

static uint64_t spread(uint64_t number)
{
    number *= UINT64_C(0x9e3779b97f4a7c15);
    number ^= number >> 29;
    number *= UINT64_C(0xbf58476d1ce4e5b9);
    return number ^ number >> 32;
}

static void sketch_of(struct mc_sketch *sketch, uint64_t from, uint64_t to)
{
    mc_sketch_clear(sketch);
    for (unsigned n = 0; n < 2; n++) /* the second time changes nothing */
        for (uint64_t i = from; i < to; i++)
            mc_sketch_add(sketch, spread(i));
}

static void sketches_tell_what_two_have_in_common(void **state)
{
    static struct mc_sketch a, b, both;
    double error, shared;

    (void)state;
    sketch_of(&a, 0, 500);
    sketch_of(&b, 300, 900);
    assert_true(mc_sketch_contents(&a) == 500);
    assert_true(mc_sketch_shared(&a, &b, &error) == 200);
    assert_true(error == 0);
    sketch_of(&a, 0, 60000);
    sketch_of(&b, 40000, 100000);
    assert_int_equal(a.count, MC_SKETCH_SIZE);
    for (uint32_t i = 1; i < a.count; i++)
        assert_true(a.hashes[i - 1] < a.hashes[i]);
    assert_true(mc_sketch_contents(&a) > 54000 && mc_sketch_contents(&a) < 66000);
    shared = mc_sketch_shared(&a, &b, &error);
    assert_true(error > 0 && error < 8000);
    assert_true(shared > 20000 - 2 * error && shared < 20000 + 2 * error);
    both = a;
    mc_sketch_union(&both, &b);
    assert_true(mc_sketch_contents(&both) > 90000 && mc_sketch_contents(&both) < 110000);
}

/* Work of a thread or of several, with the pauses that are asked for: what part of the time. */
static double part_of_time(unsigned percent, unsigned threads)
{
    struct mc_pace pace = {0};
    uint64_t now_us = 1000, spent_us = 0, began_us = now_us;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t work_us = 2000 + i % 7 * 500;

        now_us += work_us;
        spent_us += threads * work_us;
        now_us += mc_pace_pause(&pace, now_us, threads * work_us, percent);
    }
    return 100 * (double)spent_us / (double)(now_us - began_us);
}

static void the_pace_keeps_to_its_budget(void **state)
{
    static const struct {
        unsigned percent, threads;
        double least, most;
    } cases[] = {{2, 1, 1.9, 2.1},   {50, 1, 49, 51},    {100, 1, 99, 101}, {150, 2, 147, 153},
                 {200, 2, 198, 201}, {400, 4, 396, 401}, {100, 2, 98, 102}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        double part = part_of_time(cases[i].percent, cases[i].threads);

        assert_true(part >= cases[i].least && part <= cases[i].most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_what_was_read_without_rest),
        cmocka_unit_test(a_guest_that_does_not_count_changes_nothing),
        cmocka_unit_test(a_sample_stands_for_the_rest),
        cmocka_unit_test(sketches_tell_what_two_have_in_common),
        cmocka_unit_test(the_pace_keeps_to_its_budget),
    };

    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
