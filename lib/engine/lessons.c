/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What trouble has taught, while its guest is not there: between two of its runs, or between two
 * daemons. It goes on fading, so that a guest which comes back after a day begins anew.
 */
#include "engine/track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A thirtieth in a minute, as estimate/distress.c has it while the guest runs. */
#define FADE_STEP_MS 60000
#define FADE_STEP_PART 30

void mc_lesson_age(struct mc_lesson *lesson, uint64_t passed_ms)
{
    uint64_t cooling_ms = mc_min_u64(lesson->cooldown_ms, passed_ms);

    lesson->cooldown_ms -= cooling_ms;
    passed_ms -= cooling_ms;
    if (!lesson->cooldown_ms)
        lesson->need = 0;
    for (; passed_ms >= FADE_STEP_MS && lesson->learned >= MC_LESSON_LEAST;
         passed_ms -= FADE_STEP_MS)
        lesson->learned -= lesson->learned / FADE_STEP_PART;
    passed_ms = mc_min_u64(passed_ms, FADE_STEP_MS); /* what is left, or all is forgotten */
    lesson->learned -= lesson->learned / FADE_STEP_PART * passed_ms / FADE_STEP_MS;
    if (lesson->learned < MC_LESSON_LEAST)
        lesson->learned = 0;
}

struct mc_lesson mc_track_lesson(const struct mc_track *track, uint64_t now_ms)
{
    struct mc_lesson lesson = {
        .learned = track->learned < MC_LESSON_LEAST ? 0 : track->learned,
        .cooldown_ms = mc_less_u64(track->distress_until_ms, now_ms),
    };

    lesson.need = lesson.cooldown_ms ? track->need : 0;
    memcpy(lesson.uuid, track->uuid, sizeof(lesson.uuid));
    return lesson;
}

static struct mc_kept_lesson *find(const struct mc_tracks *tracks, const char *uuid)
{
    for (size_t i = 0; i < tracks->lesson_count; i++)
        if (strcmp(tracks->lessons[i].lesson.uuid, uuid) == 0)
            return &tracks->lessons[i];
    return NULL;
}

/* Those of guests that never come back would pile up. */
static void forget_faded(struct mc_tracks *tracks, uint64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < tracks->lesson_count; i++) {
        struct mc_kept_lesson *entry = &tracks->lessons[i];

        mc_lesson_age(&entry->lesson, now_ms - entry->at_ms);
        entry->at_ms = now_ms;
        if (entry->lesson.learned)
            tracks->lessons[kept++] = *entry;
    }
    tracks->lesson_count = kept;
}

int mc_tracks_keep_lesson(struct mc_tracks *tracks, const struct mc_lesson *lesson, uint64_t now_ms)
{
    struct mc_kept_lesson *entry = find(tracks, lesson->uuid);

    if (!entry && tracks->lesson_count == tracks->lesson_room)
        forget_faded(tracks, now_ms);
    if (!entry && tracks->lesson_count == tracks->lesson_room) {
        size_t room = tracks->lesson_room ? tracks->lesson_room * 2 : 16;
        struct mc_kept_lesson *grown = reallocarray(tracks->lessons, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        tracks->lessons = grown;
        tracks->lesson_room = room;
    }
    if (!entry)
        entry = &tracks->lessons[tracks->lesson_count++];
    *entry = (struct mc_kept_lesson){.lesson = *lesson, .at_ms = now_ms};
    return 0;
}

void mc_track_learn(struct mc_track *track, const struct mc_lesson *lesson, uint64_t now_ms)
{
    track->learned = mc_max_u64(track->learned, lesson->learned);
    if (now_ms + lesson->cooldown_ms <= track->distress_until_ms || !lesson->cooldown_ms)
        return;
    if (now_ms >= track->distress_until_ms)
        track->distress_since_ms = now_ms;
    track->distress_until_ms = now_ms + lesson->cooldown_ms;
    track->need = mc_max_u64(track->need, lesson->need) / MC_PAGE * MC_PAGE;
}

void mc_tracks_apply_lesson(struct mc_tracks *tracks, struct mc_track *track, uint64_t now_ms)
{
    struct mc_kept_lesson *entry = find(tracks, track->uuid);
    struct mc_lesson lesson;

    if (!entry)
        return;
    lesson = entry->lesson;
    mc_lesson_age(&lesson, now_ms - entry->at_ms);
    *entry = tracks->lessons[--tracks->lesson_count];
    mc_track_learn(track, &lesson, now_ms);
}
