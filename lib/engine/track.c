/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As far as a balloon gets in MC_REPORT_LAG_MS: they were seen to take up to 840 MiB a second. */
#define BALLOON_REPORT_LAG_BYTES (1536 * MC_MIB)

/*
 * A balloon is there when it is within this of its target. One that stays further away and comes no
 * nearer is stuck, or was moved by another hand or by the guest in distress, or the command was
 * lost: its target is forgotten and a new one begins from where it stands. Each time the patience
 * is longer.
 */
#define PATIENCE_FIRST_MS 5000
#define PATIENCE_MOST_MS 60000

/* What is seen of a balloon sooner after a command may be from before it. */
#define ARRIVAL_SEEN_MS 3000

/* A balloon that empties so soon after a boot does so because of it. */
#define BOOT_EMPTIES_MS 30000

/* How exactly a guest's age is known. */
#define AGE_EXACT_MS 2000

/* A speed is not read from a shorter shrink. */
#define SPEED_LEAST_MS 5000

void mc_tracks_free(struct mc_tracks *tracks)
{
    free(tracks->list);
    free(tracks->spare);
    free(tracks->lessons);
    *tracks = (struct mc_tracks){0};
}

static int by_uuid(const void *uuid, const void *track)
{
    return strcmp(uuid, ((const struct mc_track *)track)->uuid);
}

struct mc_track *mc_tracks_find(const struct mc_tracks *tracks, const char *uuid)
{
    if (!tracks->count)
        return NULL;
    return bsearch(uuid, tracks->list, tracks->count, sizeof(*tracks->list), by_uuid);
}

static int make_room(struct mc_tracks *tracks, size_t count)
{
    struct mc_track *list, *spare;

    if (count <= tracks->room)
        return 0;
    list = reallocarray(tracks->list, count, sizeof(*list));
    if (!list)
        return -ENOMEM;
    tracks->list = list;
    spare = reallocarray(tracks->spare, count, sizeof(*spare));
    if (!spare)
        return -ENOMEM;
    tracks->spare = spare;
    tracks->room = count;
    return 0;
}

static struct mc_track begin(const struct mc_guest *guest, uint64_t now_ms)
{
    struct mc_track track = {
        .run_id = guest->run_id,
        .memory = guest->memory,
        .target = MC_UNKNOWN,
        .patience_ms = PATIENCE_FIRST_MS,
        .last_update = guest->stats.last_update,
        .updated_ms = now_ms,
        .low_since = guest->actual,
        .high_since = guest->actual,
        .low = guest->actual,
        .high = guest->actual,
        .used = MC_UNKNOWN,
        .swap_in = MC_UNKNOWN,
        .major_faults = MC_UNKNOWN,
        .minor_faults = MC_UNKNOWN,
        .faults = MC_UNKNOWN,
        .refaults = MC_UNKNOWN,
        .boot_ms = guest->age_ms == MC_UNKNOWN ? now_ms : mc_less_u64(now_ms, guest->age_ms),
        .paced = guest->actual,
        .shrinks_from = guest->actual,
        .shrinks_ms = now_ms,
    };

    /* A balloon that was moved before we came may have a higher target in force: tell it ours. */
    if (guest->actual < guest->memory) {
        track.tell = true;
        track.ceiling.bytes = mc_max_u64(guest->actual, guest->terms.max);
        track.ceiling.until_ms = UINT64_MAX;
    }
    memcpy(track.uuid, guest->uuid, sizeof(track.uuid));
    return track;
}

/*
 * A snapshot can come without statistics, and an old one again after that: only a newer one than
 * any before is news.
 */
static void note_update(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    uint64_t low = guest->actual;
    uint64_t high = mc_track_promised(track, guest, now_ms);

    if (track->target != MC_UNKNOWN && track->target < low)
        low = mc_max_u64(track->target, mc_less_u64(low, BALLOON_REPORT_LAG_BYTES));
    track->low_since = mc_min_u64(track->low_since, low);
    track->high_since = mc_max_u64(track->high_since, high);
    track->news = guest->stats.last_update > track->last_update;
    if (!track->news)
        return;
    track->last_update = guest->stats.last_update;
    track->apart_ms = now_ms - track->updated_ms;
    track->updated = true;
    track->updated_ms = now_ms;
    track->low = track->low_since;
    track->high = track->high_since;
    track->low_since = low;
    track->high_since = high;
}

/*
 * What is seen of a guest that does not answer is as old as its last answer: what it could still
 * take of earlier targets then, it may have taken.
 */
static void hold_ceilings(struct mc_track *track, uint64_t since_ms, uint64_t now_ms)
{
    struct mc_ceiling *ceilings[] = {&track->ceiling, &track->next_ceiling};

    for (size_t i = 0; i < sizeof(ceilings) / sizeof(*ceilings); i++)
        if (ceilings[i]->until_ms > since_ms && ceilings[i]->until_ms != UINT64_MAX)
            ceilings[i]->until_ms += now_ms - since_ms;
}

static uint64_t shifted(uint64_t bytes, uint64_t from, uint64_t to)
{
    return to > from ? bytes + (to - from) : mc_less_u64(bytes, from - to);
}

/*
 * Memory was plugged in, or taken out: the guest has so much more or less, and its balloon is where
 * it was. No other hand moved it, and what it was told is meant without that.
 */
static void note_plugging(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    uint64_t from = track->memory, to = guest->memory;

    if (from == to)
        return;
    track->memory = to;
    if (track->target != MC_UNKNOWN)
        track->target = shifted(track->target, from, to);
    track->ceiling.bytes = shifted(track->ceiling.bytes, from, to);
    track->next_ceiling.bytes = shifted(track->next_ceiling.bytes, from, to);
    track->low_since = shifted(track->low_since, from, to);
    track->high_since = shifted(track->high_since, from, to);
    track->nearest = UINT64_MAX;
    track->nearest_ms = now_ms;
    track->arrived = false;
}

/*
 * A size that was asked for after the hypervisor had taken the lower target is what the guest has;
 * from there it goes to that target, whatever it could have taken before.
 */
static void note_size(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    if (!guest->sized || !guest->answers || now_ms < track->delivered_ms)
        return;
    if (track->ceiling.until_ms != UINT64_MAX)
        track->ceiling.until_ms = 0;
    if (track->next_ceiling.until_ms != UINT64_MAX)
        track->next_ceiling.until_ms = 0;
}

/* How far the balloon is from its target. */
static uint64_t distance(const struct mc_track *track, const struct mc_guest *guest)
{
    return mc_max_u64(mc_less_u64(track->target, guest->actual),
                      mc_less_u64(guest->actual, track->target));
}

/*
 * A balloon that does not follow is not asked again at once: one that cannot find more pages tries
 * for ever, and costs its guest CPU. Until the next try it counts at the size that it has, and is
 * told to stay there. To be there already is no proof that it obeys.
 */
static void note_obedience(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    uint64_t away = distance(track, guest);

    if (track->target == MC_UNKNOWN)
        return;
    if (away <= MC_ARRIVED) {
        track->arrived = now_ms - track->sent_ms >= ARRIVAL_SEEN_MS;
        if (track->asked) {
            track->patience_ms = PATIENCE_FIRST_MS;
            track->retry_ms = 0;
        }
    }
    if (away <= MC_ARRIVED || away < track->nearest) {
        track->nearest = away;
        track->nearest_ms = now_ms;
    } else if (now_ms - track->nearest_ms >= track->patience_ms) {
        if (now_ms >= track->retry_ms && !track->arrived)
            track->retry_ms = now_ms + track->patience_ms;
        track->patience_ms = mc_min_u64(track->patience_ms * 2, PATIENCE_MOST_MS);
        mc_track_lost(track, now_ms);
    }
}

void mc_track_refused(struct mc_track *track, uint64_t now_ms)
{
    track->refused = true;
    track->retry_ms = now_ms + track->patience_ms;
    track->patience_ms = mc_min_u64(track->patience_ms * 2, PATIENCE_MOST_MS);
    mc_track_lost(track, now_ms);
}

static void note_reboot(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    if (guest->age_ms != MC_UNKNOWN &&
        mc_less_u64(now_ms, guest->age_ms) > track->boot_ms + AGE_EXACT_MS)
        track->boot_ms = mc_less_u64(now_ms, guest->age_ms);
}

/*
 * A balloon that had arrived and is somewhere else now was moved, and not by us. A guest whose
 * balloon deflates on OOM may have done so itself, which is trouble and no other hand (see
 * estimate/distress.c). A reset of the guest also empties the balloon, and the driver may be seen
 * while it fills it again; the guest's age, or the counts in its next statistics, which begin anew
 * with a boot, tell that from a hand.
 */
static void note_foreign_hand(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms,
                              uint64_t hold_ms)
{
    if (track->jumped && track->news) {
        bool rebooted = guest->stats.minor_faults == MC_UNKNOWN ||
                        guest->stats.minor_faults < track->minor_faults ||
                        now_ms - track->boot_ms < BOOT_EMPTIES_MS;

        track->jumped = false;
        if (rebooted)
            track->boot_ms = now_ms;
        else
            track->foreign_until_ms = now_ms + hold_ms;
        return;
    }
    if (track->target == MC_UNKNOWN || !track->arrived || !guest->answers ||
        distance(track, guest) < MC_FOREIGN_LEAST)
        return;
    if (guest->actual > track->target && guest->deflates_on_oom)
        return;
    track->arrived = false;
    if (guest->actual + MC_ARRIVED >= guest->memory ||
        (guest->actual > track->target && guest->stats.last_update))
        track->jumped = true;
    else
        track->foreign_until_ms = now_ms + hold_ms;
}

/*
 * How fast the balloon takes memory, from shrinks that last long enough that it does not matter how
 * late they are seen.
 */
static void note_speed(struct mc_track *track, const struct mc_guest *guest, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - track->shrinks_ms;

    if (track->target == MC_UNKNOWN || guest->actual <= track->target + MC_ARRIVED ||
        guest->actual > track->shrinks_from) {
        track->shrinks_from = guest->actual;
        track->shrinks_ms = now_ms;
    } else if (passed_ms >= SPEED_LEAST_MS) {
        track->speed = (track->shrinks_from - guest->actual) * 1000 / passed_ms;
    }
}

/* What its trouble taught is kept for its next run. Without memory for it, it is learned anew. */
static void note_gone(struct mc_tracks *tracks, const struct mc_track *track, uint64_t now_ms)
{
    const struct mc_lesson lesson = mc_track_lesson(track, now_ms);

    if (lesson.learned >= MC_LESSON_LEAST)
        mc_tracks_keep_lesson(tracks, &lesson, now_ms);
}

int mc_tracks_follow(struct mc_tracks *tracks, const struct mc_snapshot *snapshot,
                     uint64_t foreign_hold_ms)
{
    struct mc_track *old;
    size_t kept = 0;

    if (make_room(tracks, snapshot->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        for (; kept < tracks->count && strcmp(tracks->list[kept].uuid, guest->uuid) < 0; kept++)
            note_gone(tracks, &tracks->list[kept], snapshot->now_ms);
        if (kept < tracks->count && strcmp(tracks->list[kept].uuid, guest->uuid) == 0 &&
            tracks->list[kept].run_id == guest->run_id) {
            tracks->spare[i] = tracks->list[kept];
            if (!guest->answers)
                hold_ceilings(&tracks->spare[i], tracks->now_ms, snapshot->now_ms);
            note_plugging(&tracks->spare[i], guest, snapshot->now_ms);
            note_size(&tracks->spare[i], guest, snapshot->now_ms);
            note_update(&tracks->spare[i], guest, snapshot->now_ms);
            note_reboot(&tracks->spare[i], guest, snapshot->now_ms);
            note_foreign_hand(&tracks->spare[i], guest, snapshot->now_ms, foreign_hold_ms);
            note_obedience(&tracks->spare[i], guest, snapshot->now_ms);
            note_speed(&tracks->spare[i], guest, snapshot->now_ms);
            kept++;
        } else {
            if (kept < tracks->count && strcmp(tracks->list[kept].uuid, guest->uuid) == 0)
                note_gone(tracks, &tracks->list[kept++], snapshot->now_ms);
            tracks->spare[i] = begin(guest, snapshot->now_ms);
            mc_tracks_apply_lesson(tracks, &tracks->spare[i], snapshot->now_ms);
        }
    }
    for (; kept < tracks->count; kept++)
        note_gone(tracks, &tracks->list[kept], snapshot->now_ms);
    old = tracks->list;
    tracks->list = tracks->spare;
    tracks->spare = old;
    tracks->count = snapshot->count;
    tracks->passed_ms = tracks->now_ms ? snapshot->now_ms - tracks->now_ms : 0;
    tracks->now_ms = snapshot->now_ms;
    return 0;
}

uint64_t mc_track_promised(const struct mc_track *track, const struct mc_guest *guest,
                           uint64_t now_ms)
{
    uint64_t promised = guest->actual;

    if (track->target != MC_UNKNOWN)
        promised = mc_max_u64(promised, track->target);
    if (now_ms < track->ceiling.until_ms)
        promised = mc_max_u64(promised, track->ceiling.bytes);
    if (now_ms < track->next_ceiling.until_ms)
        promised = mc_max_u64(promised, track->next_ceiling.bytes);
    return promised;
}

/* `bytes` may be taken until another target was told. */
static void raise_ceiling(struct mc_track *track, uint64_t bytes, uint64_t now_ms)
{
    if (now_ms >= track->ceiling.until_ms) {
        track->ceiling = track->next_ceiling;
        track->next_ceiling = (struct mc_ceiling){0};
    }
    if (now_ms >= track->ceiling.until_ms) {
        track->ceiling = (struct mc_ceiling){.bytes = bytes, .until_ms = UINT64_MAX};
        return;
    }
    track->next_ceiling.bytes = mc_max_u64(track->next_ceiling.bytes, bytes);
    track->next_ceiling.until_ms = UINT64_MAX;
}

void mc_track_sent(struct mc_track *track, const struct mc_guest *guest, uint64_t target,
                   uint64_t now_ms)
{
    uint64_t has = mc_max_u64(guest->actual, mc_track_standing(track, guest));

    if (target < has)
        raise_ceiling(track, has, now_ms);
    track->target = target;
    track->asked = distance(track, guest) > MC_ARRIVED;
    track->nearest = UINT64_MAX;
    track->nearest_ms = now_ms;
    track->sent_ms = now_ms;
    track->arrived = false;
    track->tell = false;
}

void mc_track_delivered(struct mc_track *track, uint64_t now_ms)
{
    track->refused = false;
    track->delivered_ms = now_ms;
    if (track->target == MC_UNKNOWN)
        return;
    if (track->ceiling.until_ms == UINT64_MAX)
        track->ceiling.until_ms = now_ms + MC_REPORT_LAG_MS;
    if (track->next_ceiling.until_ms == UINT64_MAX)
        track->next_ceiling.until_ms = now_ms + MC_REPORT_LAG_MS;
}

/*
 * The lost target may be in force all the same, so what it allowed stays promised until another one
 * was told.
 */
void mc_track_lost(struct mc_track *track, uint64_t now_ms)
{
    if (track->target == MC_UNKNOWN)
        return;
    raise_ceiling(track, track->target, now_ms);
    track->target = MC_UNKNOWN;
    track->tell = true;
}

void mc_track_withheld(struct mc_track *track)
{
    track->target = MC_UNKNOWN;
    track->ceiling = track->next_ceiling = (struct mc_ceiling){0};
    track->tell = false;
    track->moving = true; /* what is planned does not wait for a larger change */
}
