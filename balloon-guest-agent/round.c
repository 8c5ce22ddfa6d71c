/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page counts as worked with if it was touched within a window. A window that is too short takes
 * a program's long pass over its data for idleness; one that is too long is slow to see that a
 * program has ended. No length is right for all, but whether one is too short can be seen: what was
 * touched within half of it is then less than what was touched within all of it. So each round
 * looks twice. If the two go on to differ, the window doubles; if they agree for long, a shorter
 * one is tried. Rounds that differ are no reason to believe in less than before. Nor is one round
 * in which less was touched: a program that does its work in bursts rests in both halves of some
 * windows. It is believed when the next one, twice as long, says so too.
 *
 * A processor notes for a huge page only that it was touched somewhere. How much of it really is
 * can be seen by splitting some, chosen at random, and looking by how much the touched memory
 * falls (Agarwal and Wenisch, Thermostat, ASPLOS 2017, sample huge pages in this way for a like
 * purpose). The kernel makes them huge again by itself. The fall is learned as a part of a huge
 * page, whether touched or not, since which ones were touched nobody tells. A few lots of pages are
 * split one after the other: by how much they differ is how wrong their mean can be.
 *
 * So what was learned holds for the work that it was learned from. When the figure falls, that may
 * be other work: all is forgotten then, and every page that was touched anywhere counts as a whole,
 * until it is learned anew.
 */
#include "round.h"

#define MIB (UINT64_C(1) << 20)
#define HUGE (2 * MIB)

/* Two looks that differ by less than a tenth, or this, agree. */
#define AGREE_PART 10
#define AGREE_LEAST (2 * MIB)

/* One round that does not agree may be a program that just began. */
#define UNSETTLED_MOST 2

/* How sure it is, in percent, that less is no pause. */
#define DOUBTED_SURE 90

#define PATIENCE_FIRST 4
#define PATIENCE_MOST 64

/* Huge pages matter if they may be this part of the figure. */
#define HUGE_PART 16

/* How seldom they are looked at, in rounds, after so many lots in a row. */
#define HUGE_WAIT 16
#define LOTS_FIRST 4

/* After so many in a row that showed nothing, nobody waits for another one. */
#define FAILURES_MOST 3

/* Lots of which the differences say something. */
#define LOTS_COMPARED 3

/* Of a lot this part must still be split at the end of the round. */
#define FEWER_PART 4

/* A fall is told from changes of this part of it. */
#define NOISE_PART 8

/* Other work: the figure is less by this part. */
#define OTHER_PART 4

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

static uint64_t settle(struct round *round, uint64_t touched)
{
    round->unsettled = 0;
    round->doubted = false;
    round->kept = touched;
    if (++round->settled >= round->patience)
        shorten(round);
    return touched;
}

uint64_t round_take(struct round *round, uint64_t first, uint64_t second, unsigned *confidence)
{
    uint64_t touched = max(first, second), slack = max(touched / AGREE_PART, AGREE_LEAST);
    bool agrees = touched - first <= slack;

    *confidence = agrees ? 100 : (unsigned)(first * 100 / touched);
    if (agrees && (round->doubted || touched + slack >= round->kept))
        return settle(round, touched);
    if (agrees) {
        *confidence = DOUBTED_SURE;
        round->doubted = true;
        lengthen(round);
        return round->kept;
    }
    round->settled = 0;
    round->unsettled++;
    round->doubted = false;
    /* The longest window has said all that it can. */
    round->kept = round->half_ms >= round->most_ms ? touched : max(touched, round->kept);
    if (round->half_ms < round->most_ms && (round->trying || round->unsettled >= UNSETTLED_MOST))
        lengthen(round);
    return round->kept;
}

void round_expect_less(struct round *round, uint64_t bytes)
{
    round->kept = less(round->kept, bytes);
}

static bool huge_matter(uint64_t touched, uint64_t anon_huge)
{
    return anon_huge >= 4 * HUGE && anon_huge >= touched / HUGE_PART;
}

static uint64_t square_root(uint64_t number)
{
    uint64_t root = 0;

    while ((root + 1) * (root + 1) <= number)
        root++;
    return root;
}

static unsigned lots_kept(const struct huge *huge)
{
    return (unsigned)min(huge->learned, HUGE_LOTS);
}

static unsigned mean_of(const struct huge *huge)
{
    unsigned sum = 0, count = lots_kept(huge);

    for (unsigned i = 0; i < count; i++)
        sum += huge->lots[i];
    return count ? sum / count : 0;
}

/*
 * Thousandths by which the mean may be too high. Of a few lots, the variance is that of pages that
 * are touched either in one place or everywhere, which is the most that there is. Of more it is
 * seen.
 */
static unsigned doubt_of(const struct huge *huge)
{
    uint64_t mean = mean_of(huge), sum = 0, count = lots_kept(huge);

    if (count < LOTS_COMPARED)
        return (unsigned)square_root(mean * (1000 - mean) / huge->pages);
    for (unsigned i = 0; i < count; i++) {
        uint64_t apart = less(huge->lots[i], mean) + less(mean, huge->lots[i]);

        sum += apart * apart;
    }
    return (unsigned)(2 * square_root(sum / (count - 1) / count) + 1);
}

/* Too much is the safe side. */
uint64_t huge_correct(const struct huge *huge, uint64_t touched, uint64_t anon_huge)
{
    if (huge->learned == 0)
        return touched;
    return less(touched, anon_huge * less(mean_of(huge), doubt_of(huge)) / 1000);
}

bool huge_asks(const struct huge *huge, uint64_t touched, uint64_t anon_huge)
{
    return huge->split > 0 || (huge->wait <= HUGE_WAIT && huge->failures < FAILURES_MOST &&
                               huge->learned < LOTS_FIRST && huge_matter(touched, anon_huge));
}

/*
 * What the last split showed. The kernel joined some pages again meanwhile, of this lot or an
 * earlier one; so what counts is how many fewer there are. A fall that other changes could have
 * made shows nothing.
 */
static void learn(struct huge *huge, uint64_t touched, uint64_t anon_huge)
{
    uint64_t fewer = less(huge->before_huge, anon_huge), fall = less(huge->before, touched);

    if (fewer < huge->split / FEWER_PART || huge->noise > fewer / NOISE_PART ||
        fall > fewer + fewer / NOISE_PART) {
        huge->failures++;
        huge->wait = (unsigned)min(UINT64_C(1) << min(huge->failures, 8), HUGE_WAIT);
        return;
    }
    huge->lots[huge->learned++ % HUGE_LOTS] = (unsigned)(min(fall, fewer) * 1000 / fewer);
    huge->pages += fewer / HUGE;
    huge->known = huge_correct(huge, touched, anon_huge);
    huge->failures = 0;
    huge->wait = huge->learned < LOTS_FIRST ? 0 : HUGE_WAIT;
}

static void forget(struct huge *huge)
{
    huge->learned = 0;
    huge->pages = huge->known = 0;
    huge->wait = huge->failures = 0;
}

bool huge_take(struct huge *huge, uint64_t touched, uint64_t anon_huge, bool settled)
{
    uint64_t was = huge_correct(huge, huge->before, huge->before_huge);
    uint64_t is = huge_correct(huge, touched, anon_huge);
    bool had = huge->before > 0;

    if (!settled)
        return false; /* what was split stays to be looked at */
    if (huge->split == 0)
        huge->noise = max(less(is, was), less(was, is));
    else
        learn(huge, touched, anon_huge);
    huge->split = 0;
    huge->before = touched;
    huge->before_huge = anon_huge;
    if (huge_correct(huge, touched, anon_huge) < huge->known - huge->known / OTHER_PART)
        forget(huge);
    if (huge->wait > 0) {
        huge->wait--;
        return false;
    }
    return had && huge_matter(touched, anon_huge) && huge->noise < touched / 32 + MIB;
}
