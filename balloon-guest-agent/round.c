/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page counts as worked with if it was touched within a window. A window that is too short takes
 * a program's long pass over its data for idleness; one that is too long is slow to see that a
 * program has ended. No length is right for all, but whether one is too short can be seen: what was
 * touched within half of it is then less than what was touched within all of it. So each round
 * looks twice. If the two go on to differ, the window doubles; if they agree for long, a shorter
 * one is tried. Rounds that differ are no reason to believe in less than before.
 *
 * A processor notes for a huge page only that it was touched somewhere. How much of it really is
 * can be seen by splitting some, chosen at random, and looking by how much the touched memory
 * falls (Agarwal and Wenisch, Thermostat, ASPLOS 2017, sample huge pages in this way for a like
 * purpose). The kernel makes them huge again by itself. The fall is learned as a part of a huge
 * page, whether touched or not, since which ones were touched nobody tells.
 */
#include "round.h"

#define MIB (UINT64_C(1) << 20)
#define HUGE (2 * MIB)

/* Two looks that differ by less than a tenth, or this, agree. */
#define AGREE_PART 10
#define AGREE_LEAST (2 * MIB)

/* One round that does not agree may be a program that just began. */
#define UNSETTLED_MOST 2

#define PATIENCE_FIRST 4
#define PATIENCE_MOST 64

/* Huge pages matter if they may be this part of the figure. */
#define HUGE_PART 16

/* How seldom they are looked at, in rounds. */
#define HUGE_WAIT 16

/* What was learned counts for at most so many pages, so that it can change. */
#define SAMPLES_MOST 128

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct round round_begin(uint64_t least_ms, uint64_t most_ms)
{
    return (struct round){
        .half_ms = least_ms, .least_ms = least_ms, .most_ms = most_ms, .patience = PATIENCE_FIRST};
}

static void lengthen(struct round *round)
{
    if (round->trying)
        round->patience = (unsigned)min(2 * round->patience, PATIENCE_MOST);
    else
        round->patience = PATIENCE_FIRST;
    round->trying = false;
    round->settled = round->unsettled = 0;
    round->half_ms = min(2 * round->half_ms, round->most_ms);
}

static void shorten(struct round *round)
{
    round->trying = round->half_ms > round->least_ms;
    round->settled = 0;
    round->half_ms = max(round->half_ms / 2, round->least_ms);
}

uint64_t round_take(struct round *round, uint64_t first, uint64_t second, unsigned *confidence)
{
    uint64_t touched = max(first, second);
    bool agrees = touched - first <= max(touched / AGREE_PART, AGREE_LEAST);

    *confidence = agrees ? 100 : (unsigned)(first * 100 / touched);
    if (agrees) {
        round->unsettled = 0;
        round->kept = touched;
        if (++round->settled >= round->patience)
            shorten(round);
        return touched;
    }
    round->settled = 0;
    round->unsettled++;
    /* The longest window has said all that it can. */
    if (round->half_ms >= round->most_ms)
        round->kept = touched;
    else if (round->trying || round->unsettled >= UNSETTLED_MOST)
        lengthen(round);
    return max(touched, round->kept);
}

static bool huge_matter(uint64_t touched, uint64_t anon_huge)
{
    return anon_huge >= 4 * HUGE && anon_huge >= touched / HUGE_PART;
}

/* What the last split showed. A fall that other changes could have made shows nothing. */
static void learn(struct huge *huge, uint64_t touched)
{
    uint64_t pages = huge->split / HUGE;
    uint64_t cold = min(less(huge->before, touched), huge->split) * 1000 / huge->split;

    huge->split = 0;
    if (pages == 0 || huge->noise > pages * HUGE / 8)
        return;
    huge->cold =
        (unsigned)((huge->cold * (uint64_t)huge->samples + cold * pages) / (huge->samples + pages));
    huge->samples = (unsigned)min(huge->samples + pages, SAMPLES_MOST);
    huge->wait = HUGE_WAIT;
}

bool huge_take(struct huge *huge, uint64_t touched, uint64_t anon_huge, bool settled)
{
    bool had = huge->before > 0;

    if (huge->split > 0 && settled)
        learn(huge, touched);
    huge->split = 0;
    huge->noise = max(less(touched, huge->before), less(huge->before, touched));
    huge->before = touched;
    if (huge->wait > 0) {
        huge->wait--;
        return false;
    }
    return had && settled && huge_matter(touched, anon_huge) && huge->noise < touched / 32 + MIB;
}

static uint64_t square_root(uint64_t number)
{
    uint64_t root = 0;

    while ((root + 1) * (root + 1) <= number)
        root++;
    return root;
}

/*
 * Too much is the safe side: what is learned from few pages can be wrong by the square root of its
 * variance, which is at most that of pages that are either touched everywhere or nowhere.
 */
uint64_t huge_correct(const struct huge *huge, uint64_t touched, uint64_t anon_huge)
{
    uint64_t cold = huge->cold, doubt;

    if (huge->samples == 0)
        return touched;
    doubt = square_root(cold * (1000 - cold) / huge->samples) / 2;
    return max(less(touched, anon_huge * less(cold, doubt) / 1000), less(touched, anon_huge));
}

/* In percent, 50 at most; a split has shown what they are. */
static unsigned huge_doubt(const struct huge *huge, uint64_t touched, uint64_t anon_huge)
{
    if (huge->samples > 0 || !huge_matter(touched, anon_huge) || touched == 0)
        return 0;
    return (unsigned)(min(anon_huge, touched) * 50 / touched);
}

unsigned huge_confidence(const struct huge *huge, unsigned confidence, uint64_t touched,
                         uint64_t anon_huge)
{
    return confidence * (100 - huge_doubt(huge, touched, anon_huge)) / 100;
}
