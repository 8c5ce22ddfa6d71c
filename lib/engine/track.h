/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine remembers of a guest from one snapshot to the next. One track per guest, in the
 * order of the snapshot, which is that of the UUIDs, so that steps, guests and tracks share their
 * index.
 */
#ifndef MEMCTL_TRACK_H
#define MEMCTL_TRACK_H

#include <memctl/engine.h>
#include <memctl/model.h>

/* Moments of the last eight seconds, at least, of which it is known what a guest used. */
#define MC_USES 16
#define MC_USES_APART_MS 500

struct mc_track {
    char uuid[MC_UUID_TEXT];
    int run_id;
    uint64_t memory; /* that it can have at all */
    uint64_t target; /* what the balloon was told last, MC_UNKNOWN if nobody knows */
    bool moving;     /* a change was begun and is carried to its end */

    /* A balloon that stays away from its target for this long without coming nearer is told anew.
     */
    uint64_t nearest; /* how near it came */
    uint64_t nearest_ms;
    uint64_t sent_ms; /* when it was told */
    bool asked;       /* it was not there already */
    uint64_t patience_ms;
    bool tell; /* whatever the next target is, it must be told: the last one may be in force */

    /*
     * The most that the guest may still take of earlier, higher targets: a balloon is told a lower
     * target at one moment and is seen to obey it at a later one. UINT64_MAX: until the
     * hypervisor has taken it.
     *
     * There are two. A guest that is shrunk a little in every tick would keep the first one for
     * ever if each step renewed it; so the steps that come while it holds are gathered in a second
     * one, which takes its place.
     */
    struct mc_ceiling {
        uint64_t bytes, until_ms;
    } ceiling, next_ceiling;
    uint64_t delivered_ms; /* the hypervisor has taken the last target that it did by then */

    /* About the balloon's statistics, which the guest sends when it likes. */
    uint64_t last_update; /* as reported */
    uint64_t updated_ms;  /* when that last changed, as seen from here */
    bool updated;         /* it has changed at least once in this run */
    uint64_t apart_ms;    /* between its last two changes, or the run's beginning and the first */
    /*
     * Between which sizes the balloon can have been since the statistics before, and when the guest
     * took the last ones: what is reported lags, so a part of the way to its target, and all that
     * it may take, is possible.
     */
    uint64_t low_since, high_since;
    uint64_t low, high;
    uint64_t used; /* the last estimate, MC_UNKNOWN before the first */
    bool news;     /* there are new statistics in this snapshot */
    uint64_t swap_in, major_faults, minor_faults; /* of the statistics before, MC_UNKNOWN */

    uint64_t boot_ms;          /* when this run began, or its guest rebooted */
    bool arrived;              /* the balloon has been at its target */
    bool jumped;               /* then it went up: by hand, or by a reboot */
    uint64_t foreign_until_ms; /* somebody else moved it: left alone till then */
    uint64_t retry_ms;         /* it does not follow: counts at its size till then */
    bool refused;              /* because the hypervisor refused the last command */

    /* How much it works with, and what that was learned from. */
    uint64_t active_ms;  /* of the last estimate, 0 before the first */
    uint64_t fast, slow; /* its moving averages, bytes */
    uint64_t found_ms;   /* when the agent, or the host, found out what is worked with, */
    uint64_t found_used; /* and what was used then */
    /* What was used some moments ago, the latest first: a finding is told late. */
    struct mc_use {
        uint64_t bytes, at_ms;
    } uses[MC_USES];
    uint64_t missed;           /* page cache that it has too little of, fading */
    uint64_t faults, refaults; /* counts of the time before, MC_UNKNOWN */
    uint64_t counted_ms;       /* when that was */

    /* How it shrinks. */
    uint64_t paced; /* the rate allows no less now */
    uint64_t speed; /* bytes a second that its balloon was seen to take, 0 before the first time */
    uint64_t shrinks_from, shrinks_ms; /* where and when the present shrink began */

    /* Trouble. */
    uint64_t distress_since_ms; /* the present trouble began */
    uint64_t distress_ms;       /* its last sign */
    uint64_t distress_until_ms; /* it was in trouble: the cooldown ends then */
    bool chronic;               /* it does not end, whatever is given */
    uint64_t need;              /* the size that it is given because of that, 0 for none */
    uint64_t learned;           /* the margin above its use that trouble has taught, fading */
    uint64_t passed_ms;         /* of the pass before */

    uint64_t resort_again_ms; /* it is not stopped as a last resort before that */
};

/* What is known of guests that are not there, as of at_ms. */
struct mc_kept_lesson {
    struct mc_lesson lesson;
    uint64_t at_ms;
};

struct mc_tracks {
    struct mc_kept_lesson *lessons;
    size_t lesson_count, lesson_room;
    struct mc_track *list;
    size_t count, room;
    struct mc_track *spare; /* as large as list */
    uint64_t now_ms;        /* of the last snapshot */
    uint64_t passed_ms;     /* between it and the one before, 0 at first */
};

/*
 * Bring the tracks into line with the snapshot: keep those of guests in the same run, drop those of
 * guests that are gone, begin those of new ones. Returns 0 or -ENOMEM (tracks unchanged).
 */
int mc_tracks_follow(struct mc_tracks *tracks, const struct mc_snapshot *snapshot,
                     uint64_t foreign_hold_ms);
void mc_tracks_free(struct mc_tracks *tracks);

/* lessons.c: what trouble has taught, of one guest that is there. */
struct mc_lesson mc_track_lesson(const struct mc_track *track, uint64_t now_ms);
/* Keep it for when the guest comes; replaces an older one. 0 or -ENOMEM. */
int mc_tracks_keep_lesson(struct mc_tracks *tracks, const struct mc_lesson *lesson,
                          uint64_t now_ms);
/* Give a guest that has come what is kept for it, if anything. */
void mc_tracks_apply_lesson(struct mc_tracks *tracks, struct mc_track *track, uint64_t now_ms);
/* The guest is there already: what it has learned itself since then stays, where that is more. */
void mc_track_learn(struct mc_track *track, const struct mc_lesson *lesson, uint64_t now_ms);

/* The track of this guest, or NULL. */
struct mc_track *mc_tracks_find(const struct mc_tracks *tracks, const char *uuid);

/*
 * How long after a new target the balloon may be elsewhere than reported: libvirt passes on its
 * changes at most once a second.
 */
#define MC_REPORT_LAG_MS 1500

/* A balloon this close to its target has arrived. */
#define MC_ARRIVED (4 * MC_MIB)

/* One that is this far from where it had arrived was moved. */
#define MC_FOREIGN_LEAST (16 * MC_MIB)

/* The target in force: the one it was told, while that is believed; else what it has. */
static inline uint64_t mc_track_standing(const struct mc_track *track, const struct mc_guest *guest)
{
    return track->target == MC_UNKNOWN ? guest->actual : track->target;
}

/* What the guest can take without asking again: the sum of these is what was promised. */
uint64_t mc_track_promised(const struct mc_track *track, const struct mc_guest *guest,
                           uint64_t now_ms);

/* Did somebody else move it a while ago? */
static inline bool mc_track_is_foreign(const struct mc_track *track, uint64_t now_ms)
{
    return now_ms < track->foreign_until_ms;
}

/* Does it not follow, and is it not time to try again? */
static inline bool mc_track_is_stuck(const struct mc_track *track, uint64_t now_ms)
{
    return now_ms < track->retry_ms;
}

/* Is it no use to tell it anything now? */
static inline bool mc_track_refuses(const struct mc_track *track, uint64_t now_ms)
{
    return track->refused && mc_track_is_stuck(track, now_ms);
}

/* Is it in trouble, or was it a moment ago? */
static inline bool mc_track_in_trouble(const struct mc_track *track, uint64_t now_ms)
{
    return now_ms < track->distress_until_ms;
}

/* Trouble of which there was no sign for so long is over; statistics come every two seconds. */
#define MC_TROUBLE_OVER_MS 5000

static inline bool mc_track_trouble_is_over(const struct mc_track *track, uint64_t now_ms)
{
    return now_ms - track->distress_ms >= MC_TROUBLE_OVER_MS;
}

/* Is it left where it is, whatever the policy says, because it does not obey us? */
static inline bool mc_track_is_held(const struct mc_track *track, uint64_t now_ms)
{
    return mc_track_is_foreign(track, now_ms) || mc_track_is_stuck(track, now_ms);
}

/* Note that this target is sent at now_ms. */
void mc_track_sent(struct mc_track *track, const struct mc_guest *guest, uint64_t target,
                   uint64_t now_ms);

/* Note that the last target has reached the hypervisor. */
void mc_track_delivered(struct mc_track *track, uint64_t now_ms);

/* Note that the last command was kept back, and no other was ever sent. */
void mc_track_withheld(struct mc_track *track);

/* Note that the hypervisor refused the last command: it is tried again with growing pauses. */
void mc_track_refused(struct mc_track *track, uint64_t now_ms);

/* Note that the last command failed, or may have: it could still have reached the guest. */
void mc_track_lost(struct mc_track *track, uint64_t now_ms);

#endif
