/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What merging a guest brings, and what it costs.
 *
 * It brings what the scanner says is left to be saved and what KSM saves already. It costs ksmd's
 * processor time: the first pass only takes down a checksum of each page, the second one merges, a
 * third one gets what was written meanwhile. And it costs huge pages, since KSM breaks the one that
 * a merged page lies in: more misses of the TLB for the guest from then on. How much that matters
 * is the guest's affair; a huge page is held to be worth a sixteenth of its size.
 *
 * When ksmd breaks a huge page, new kernels drop the pages of zeros in it and count that nowhere.
 * The scanner sees it: so many pages of zeros are there no more.
 */
#include "dedupe/steer.h"

#include <memctl/units.h>

#define SEARCH_PASSES 3
#define HUGE_PAGE (2 * MC_MIB)
#define HUGE_WORTH 16

/* Less is not worth the trouble, whatever it costs. */
#define LEAST_GAIN MC_MIB

/* Off below half of what is asked for, for so many passes in a row. */
#define POOR_PASSES 3

/* Not more than there is: no product of what comes in can overflow. */
static uint64_t bounded(uint64_t bytes)
{
    return mc_min_u64(bytes, MC_SIZE_MAX);
}

/*
 * The last pass and what KSM has are of different times: what was merged in between is in both.
 * More than was promised before is believed when the scanner or KSM alone says so.
 */
static uint64_t promise(const struct mc_steer_guest *guest)
{
    uint64_t saved = bounded(mc_steer_saved(guest)), left = bounded(guest->saving);

    return mc_max_u64(saved, mc_min_u64(saved + left, mc_max_u64(guest->mind.promised, left)));
}

/* Zeros that were there when ksmd began, are not, and were not written either; ksmd's own apart. */
static uint64_t dropped(const struct mc_steer_guest *guest)
{
    uint64_t zeros = mc_less_u64(guest->mind.zero, guest->zero);
    uint64_t gone = mc_less_u64(guest->mind.present, guest->present);

    return guest->mind.foretold ? mc_less_u64(mc_min_u64(zeros, gone), guest->zeroed) : 0;
}

uint64_t mc_steer_saved(const struct mc_steer_guest *guest)
{
    return bounded(guest->saved) + guest->dropped;
}

/* Each page that is still to be merged breaks the huge page that it is in, until all are broken. */
static uint64_t broken(const struct mc_steer_guest *guest)
{
    uint64_t huge = mc_min_u64(bounded(guest->huge), bounded(guest->present));
    uint64_t left = mc_min_u64(bounded(guest->saving), bounded(guest->present));
    double share = guest->present ? (double)huge / (double)bounded(guest->present) : 0;
    double pages = (double)left / (double)MC_PAGE * share;

    return mc_min_u64(huge, (uint64_t)pages * HUGE_PAGE);
}

/* What a second of processor time saves, if the gain is that. */
static uint64_t per_second(const struct mc_steer_guest *guest, uint64_t gain)
{
    return guest->cpu_ms ? gain / guest->cpu_ms * 1000 + gain % guest->cpu_ms * 1000 / guest->cpu_ms
                         : 0;
}

void mc_steer_weigh(const struct mc_steer_config *config, const struct mc_steer_speed *speed,
                    struct mc_steer_guest *guest, bool is_new_pass)
{
    uint64_t error = bounded(guest->error), least, most;

    guest->dropped = guest->scanned ? dropped(guest) : 0;
    if (!is_new_pass)
        return;
    if (!guest->scanned || !guest->wanted || !guest->fit) {
        guest->mind.pays = guest->mind.pays && guest->wanted && guest->fit;
        if (!guest->wanted || !guest->fit)
            guest->mind = (struct mc_steer_mind){0};
        return;
    }
    guest->mind.promised = promise(guest);
    guest->cpu_ms = 1 + bounded(guest->present) / MC_PAGE * SEARCH_PASSES * 1000 /
                            mc_steer_pages_per_second(speed);
    guest->split = broken(guest);
    guest->gain = mc_less_u64(guest->mind.promised, guest->split / HUGE_WORTH);
    least = mc_less_u64(guest->gain, error);
    most = guest->gain + error;
    if (least >= LEAST_GAIN && per_second(guest, least) >= config->worth) {
        guest->mind.pays = true;
        guest->mind.poor_passes = 0;
    } else if (most >= LEAST_GAIN / 2 && per_second(guest, most) >= config->worth / 2) {
        guest->mind.poor_passes = 0;
    } else if (++guest->mind.poor_passes >= POOR_PASSES) {
        guest->mind.pays = false;
    }
}
