/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine remembers of a guest from one snapshot to the next. One track per guest, in the
 * order of the snapshot, so that steps, guests and tracks share their index.
 */
#ifndef MEMCTL_TRACK_H
#define MEMCTL_TRACK_H

#include <memctl/model.h>

struct mc_track {
    char uuid[MC_UUID_TEXT];
    int run_id;
    uint64_t target; /* what the balloon was told last, MC_UNKNOWN if nobody knows */
    bool moving;     /* a change was begun and is carried to its end */

    /* A target that is not obeyed for this long is not believed in any more. */
    uint64_t sent_ms;
    uint64_t patience_ms;

    /*
     * The most that the guest may still take of earlier, higher targets: a balloon is told a lower
     * target at one moment and is seen to obey it at a later one.
     */
    uint64_t ceiling;
    uint64_t ceiling_until_ms;

    /* About the balloon's statistics, which the guest sends when it likes. */
    uint64_t last_update;   /* as reported */
    uint64_t updated_ms;    /* when that last changed, as seen from here */
    bool updated;           /* it has changed at least once in this run */
    uint64_t actual_before; /* balloon at the previous snapshot */

    /*
     * Between which sizes the balloon was when the guest took its statistics: somewhere between the
     * snapshot before they came and the one with them.
     */
    uint64_t actual_low, actual_high;
    uint64_t active; /* the last estimate, MC_UNKNOWN before the first */
};

struct mc_tracks {
    struct mc_track *list;
    size_t count, room;
    struct mc_track *spare; /* as large as list */
};

/*
 * Bring the tracks into line with the snapshot: keep those of guests in the same run, drop those of
 * guests that are gone, begin those of new ones. Returns 0 or -ENOMEM (tracks unchanged).
 */
int mc_tracks_follow(struct mc_tracks *tracks, const struct mc_snapshot *snapshot);
void mc_tracks_free(struct mc_tracks *tracks);

/* What the guest can take without asking again: the sum of these is what was promised. */
uint64_t mc_track_promised(const struct mc_track *track, const struct mc_guest *guest,
                           uint64_t now_ms);

/* Note that this target is sent at now_ms. */
void mc_track_sent(struct mc_track *track, const struct mc_guest *guest, uint64_t target,
                   uint64_t now_ms);

/* Note that the last command failed, or may have: it could still have reached the guest. */
void mc_track_lost(struct mc_track *track, uint64_t now_ms);

#endif
