/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of hint frames beside a plain list that says the same. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "dedupe/frames.h"

#define GUESTS 5
#define MOST 4096

/* What is to be found: one for each hash and guest. */
struct known {
    uint64_t hash;
    unsigned guest;
    uint64_t page;
};

struct list {
    struct known known[MOST];
    size_t count;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static const struct known *find_known(const struct list *list, uint64_t hash, unsigned guest)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->known[i].hash == hash && list->known[i].guest == guest)
            return &list->known[i];
    return NULL;
}

static void add(struct mc_frames *frames, struct list *list, uint64_t hash, unsigned guest)
{
    struct mc_frame_match match = mc_frames_find(frames, hash, guest);
    const struct known *known = find_known(list, hash, guest);

    assert_int_equal(match.own != NULL, known != NULL);
    if (known) {
        assert_int_equal(match.own->page, known->page);
        return;
    }
    assert_non_null(mc_frames_add(frames, &match, hash, guest, list->count));
    list->known[list->count] = (struct known){hash, guest, list->count};
    list->count++;
}

static void expect_list(const struct mc_frames *frames, const struct list *list)
{
    size_t met = 0, chained;

    assert_int_equal(frames->used, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const struct known *known = &list->known[i];
        struct mc_frame_match match = mc_frames_find(frames, known->hash, known->guest);

        assert_non_null(match.own);
        assert_int_equal(match.own->page, known->page);
    }
    /* Side by side: each hash is met once on a walk. */
    for (size_t slot = 0; slot < frames->size; slot += chained ? chained : 1) {
        size_t of_hash = 0;

        chained = mc_frames_chain(frames, slot);
        for (size_t i = 0; chained && i < list->count; i++)
            of_hash += list->known[i].hash == frames->slots[slot].hash;
        assert_int_equal(of_hash, chained);
        met += chained;
    }
    assert_int_equal(met, list->count);
}

/* Few hashes, so that guests have some in common; and the ends of their range. */
static uint64_t some_hash(uint64_t *state)
{
    static const uint64_t edges[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
    uint64_t number = next_random(state);

    if (number % 64 == 0)
        return edges[number / 64 % 4];
    return (number % 1500) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_odd(struct mc_frame *frame, const void *opaque)
{
    const unsigned *dropped = opaque;

    frame->seen = 0;
    return frame->page % 2 == *dropped;
}

static void forget_odd(struct list *list, unsigned dropped)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (list->known[i].page % 2 != dropped)
            list->known[kept++] = list->known[i];
    list->count = kept;
}

static void finds_what_was_added_whatever_happens_to_others(void **state)
{
    static struct list list;
    struct mc_frames frames;
    uint64_t random = 88172645463325252;
    unsigned dropped = 1;

    (void)state;
    assert_int_equal(mc_frames_init(&frames, 0), 0);
    assert_int_equal(frames.size, MC_FRAMES_LEAST);
    for (unsigned round = 0; round < 4; round++) {
        while (!mc_frames_full(&frames) && list.count < MOST * 5 / 8)
            add(&frames, &list, some_hash(&random), (unsigned)(next_random(&random) % GUESTS));
        expect_list(&frames, &list);
        mc_frames_drop(&frames, is_odd, &dropped);
        forget_odd(&list, dropped);
        expect_list(&frames, &list);
        for (size_t i = 0; i < list.count; i++) {
            list.known[i].page = i;
            mc_frames_find(&frames, list.known[i].hash, list.known[i].guest).own->page =
                (uint32_t)i;
        }
        assert_int_equal(mc_frames_resize(&frames, round % 2 ? 4 * MC_FRAMES_LEAST : 6000), 0);
        expect_list(&frames, &list);
    }
    mc_frames_free(&frames);
}

/* More frames of the smallest hash than there are slots behind its home. */
static void a_table_that_is_crowded_says_so(void **state)
{
    struct mc_frames frames;
    unsigned added = 0, dropped = 0;

    (void)state;
    assert_int_equal(mc_frames_init(&frames, 0), 0);
    for (unsigned guest = 0; guest < 1000; guest++) {
        struct mc_frame_match match = mc_frames_find(&frames, 0, guest);

        added += mc_frames_add(&frames, &match, 0, guest, guest) != NULL;
    }
    assert_true(added > 10 && added < 1000);
    assert_int_equal(frames.used, added);
    assert_true(mc_frames_full(&frames));
    mc_frames_drop(&frames, is_odd, &dropped);
    assert_false(mc_frames_full(&frames));
    assert_int_equal(frames.used, added / 2);
    mc_frames_free(&frames);
}

static void prefers_a_proven_peer_and_a_frame_that_can_count(void **state)
{
    struct mc_frames frames;
    struct mc_frame_match match;
    struct mc_frame *full;

    (void)state;
    assert_int_equal(mc_frames_init(&frames, 0), 0);
    for (unsigned guest = 1; guest <= 3; guest++) {
        match = mc_frames_find(&frames, 7, guest);
        mc_frames_add(&frames, &match, 7, guest, guest)->proven = guest == 2;
    }
    match = mc_frames_find(&frames, 7, 9);
    assert_null(match.own);
    assert_int_equal(match.peer->guest, 2);
    full = mc_frames_find(&frames, 7, 3).own;
    full->count = MC_FRAME_COUNT_MAX;
    match = mc_frames_find(&frames, 7, 3);
    assert_null(match.own);
    assert_ptr_equal(match.full, full);
    mc_frames_add(&frames, &match, 7, 3, 99);
    assert_int_equal(mc_frames_find(&frames, 7, 3).own->page, 99);
    mc_frames_free(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_whatever_happens_to_others),
        cmocka_unit_test(a_table_that_is_crowded_says_so),
        cmocka_unit_test(prefers_a_proven_peer_and_a_frame_that_can_count),
    };

    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
