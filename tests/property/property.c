/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shrinking works on the tape of choices and knows nothing of what they mean (the way of
 * MacIver and Donaldson, "Test-Case Reduction via Test-Case Generation: Insights from the
 * Hypothesis Reducer", ECOOP 2020). Pieces are cut out, then numbers lowered, as long as the
 * property stays broken; every accepted tape is shorter or lower than the one before, so this ends.
 */
#include "property.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testing.h"

/* Enough for a minimum of what is divided, and for a good part of the way of a long history. */
#define PATIENCE_S 10

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t next_of_seed(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void append(struct tape *tape, uint64_t choice)
{
    if (tape->count == tape->room) {
        tape->room = tape->room ? 2 * tape->room : 64;
        tape->choices = reallocarray(tape->choices, tape->room, sizeof(*tape->choices));
        assert_non_null(tape->choices);
    }
    tape->choices[tape->count++] = choice;
}

uint64_t random_below(struct random *random, uint64_t limit)
{
    uint64_t choice;

    if (random->play)
        choice = random->at < random->play->count ? random->play->choices[random->at++] : 0;
    else
        choice = next_of_seed(random);
    if (limit)
        choice %= limit;
    if (random->record)
        append(random->record, choice);
    return choice;
}

void property_broken(struct property *property, const char *condition)
{
    property->broken = condition;
    longjmp(property->end, 1);
}

/* Returns whether the property held. */
static bool run_case(struct property *property, void (*check)(struct property *property))
{
    property->broken = NULL;
    if (setjmp(property->end) == 0)
        check(property);
    return !property->broken;
}

struct shrinking {
    void (*check)(struct property *property);
    const void *subject;
    struct tape best, trial, heard;
    clock_t until;
};

/* Keep the trial if the property is still broken: as it was heard, since not all may be used. */
static bool try_trial(struct shrinking *s)
{
    struct property property = {.subject = s->subject,
                                .random = {.record = &s->heard, .play = &s->trial}};
    struct tape swap;

    if (clock() > s->until)
        return false;
    s->heard.count = 0;
    if (run_case(&property, s->check))
        return false;
    /* Zeros after the end are heard as well, and would make the tape longer. */
    if (s->heard.count > s->trial.count)
        s->heard.count = s->trial.count;
    swap = s->best;
    s->best = s->heard;
    s->heard = swap;
    return true;
}

static void copy_best(struct shrinking *s)
{
    s->trial.count = 0;
    for (size_t i = 0; i < s->best.count; i++)
        append(&s->trial, s->best.choices[i]);
}

static bool try_without(struct shrinking *s, size_t at, size_t length)
{
    copy_best(s);
    memmove(s->trial.choices + at, s->trial.choices + at + length,
            (s->trial.count - at - length) * sizeof(*s->trial.choices));
    s->trial.count -= length;
    return try_trial(s);
}

static bool cut_pieces(struct shrinking *s)
{
    bool progress = false;

    for (size_t length = s->best.count / 2; length; length -= length > 16 ? length / 2 : 1)
        for (size_t at = 0; at + length <= s->best.count;)
            if (try_without(s, at, length))
                progress = true;
            else
                at += length > 16 ? length : 1;
    return progress;
}

static bool try_choice(struct shrinking *s, size_t at, uint64_t choice)
{
    copy_best(s);
    s->trial.choices[at] = choice;
    return try_trial(s);
}

/* Towards zero by bisection. The choices before it stay, so it can only become lower. */
static void lower(struct shrinking *s, size_t at)
{
    uint64_t low = 0;

    if (s->best.choices[at] == 0 || try_choice(s, at, 0))
        return;
    while (at < s->best.count && s->best.choices[at] > low + 1) {
        uint64_t middle = low + (s->best.choices[at] - low) / 2;

        if (!try_choice(s, at, middle))
            low = middle;
    }
}

static bool lower_choices(struct shrinking *s)
{
    bool progress = false;

    for (size_t at = 0; at < s->best.count; at++) {
        uint64_t before = s->best.choices[at];
        size_t count = s->best.count;

        lower(s, at);
        if (s->best.count < count || s->best.choices[at] < before)
            progress = true;
    }
    return progress;
}

/* A total often follows from its parts: an entry of a list and the total shrink only together. */
static bool lower_pair(struct shrinking *s, size_t part, size_t total)
{
    uint64_t by = s->best.choices[part];

    if (by == 0 || s->best.choices[total] < by)
        return false;
    copy_best(s);
    s->trial.choices[part] = 0;
    s->trial.choices[total] -= by;
    return try_trial(s);
}

static bool lower_pairs(struct shrinking *s)
{
    for (size_t total = s->best.count; total-- > 1;)
        for (size_t part = 0; part < total; part++)
            if (lower_pair(s, part, total))
                return true;
    return false;
}

static struct tape shrink(void (*check)(struct property *property), const void *subject,
                          uint64_t seed)
{
    struct shrinking s = {
        .check = check, .subject = subject, .until = clock() + PATIENCE_S * CLOCKS_PER_SEC};
    struct property property = {.subject = subject, .random = {.state = seed, .record = &s.best}};

    run_case(&property, check);
    while (cut_pieces(&s) || lower_choices(&s) || lower_pairs(&s))
        continue;
    free(s.trial.choices);
    free(s.heard.choices);
    return s.best;
}

static _Noreturn void show(void (*check)(struct property *property), const void *subject,
                           uint64_t seed)
{
    struct tape tape = shrink(check, subject, seed);
    struct property property = {.subject = subject, .random = {.play = &tape}, .shows = true};

    fprintf(stderr, "seed %" PRIu64 " breaks it; shrunk:\n", seed);
    run_case(&property, check);
    free(tape.choices);
    if (!property.broken) /* it is not the same each time: of an address, of what is not set */
        fail_msg("seed %" PRIu64 " breaks it only now and then; look at it under memcheck", seed);
    fail_msg("%s (MEMCTL_TEST_SEED=%" PRIu64 " runs the case as it was)", property.broken, seed);
    abort(); /* not reached; cmocka does not say that it never returns */
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t property_breaks(void (*check)(struct property *property), const void *subject,
                         uint64_t cases, const char **condition)
{
    for (uint64_t seed = 1; seed <= cases; seed++) {
        struct property property = {.subject = subject, .random = {.state = seed}};

        if (run_case(&property, check))
            continue;
        *condition = property.broken;
        return seed;
    }
    return 0;
}

void property_holds(void (*check)(struct property *property), const void *subject, uint64_t cases)
{
    uint64_t only = number_from("MEMCTL_TEST_SEED", 0);
    uint64_t first = only ? only : number_from("MEMCTL_TEST_FIRST", 1);
    uint64_t last = only ? only : first - 1 + number_from("MEMCTL_TEST_CASES", cases);

    if (cases == 1) /* it is always the same one */
        first = last = 1;

    for (uint64_t seed = first; seed <= last; seed++) {
        struct property property = {.subject = subject, .random = {.state = seed}, .shows = only};

        if (run_case(&property, check))
            continue;
        if (only)
            fail_msg("%s", property.broken);
        show(check, subject, seed);
    }
    print_message("# seeds %" PRIu64 " to %" PRIu64 "\n", first, last);
}
