/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "course.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

/* The place of a UUID, or where it would have to be. */
static size_t place_of(const struct course *course, const char *uuid)
{
    size_t low = 0, high = course->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(course->guests[middle]->uuid, uuid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct course_guest *find(const struct course *course, const char *uuid)
{
    size_t place = place_of(course, uuid);

    if (place < course->count && strcmp(course->guests[place]->uuid, uuid) == 0)
        return course->guests[place];
    return NULL;
}

static struct course_guest *insert(struct course *course, const char *uuid)
{
    size_t place = place_of(course, uuid);
    struct course_guest *guest;

    if (course->count == course->room) {
        size_t room = course->room ? course->room * 2 : 16;
        struct course_guest **more = realloc(course->guests, room * sizeof(struct course_guest *));

        if (!more)
            return NULL;
        course->guests = more;
        course->room = room;
    }
    guest = calloc(1, sizeof(*guest));
    if (!guest)
        return NULL;
    snprintf(guest->uuid, sizeof(guest->uuid), "%s", uuid);
    memmove(&course->guests[place + 1], &course->guests[place],
            (course->count - place) * sizeof(struct course_guest *));
    course->guests[place] = guest;
    course->count++;
    return guest;
}

static uint32_t in_mib(uint64_t bytes)
{
    return bytes == MC_UNKNOWN ? UINT32_MAX : (uint32_t)mc_min_u64(bytes / MC_MIB, UINT32_MAX - 1);
}

struct sample sample_of(uint64_t actual, uint64_t used, uint64_t target)
{
    return (struct sample){in_mib(actual), in_mib(used), in_mib(target)};
}

void course_begin(struct course *course)
{
    course->round++;
}

int course_add(struct course *course, const char *uuid, uint64_t actual, uint64_t used,
               uint64_t target)
{
    struct course_guest *guest = find(course, uuid);

    if (!guest)
        guest = insert(course, uuid);
    if (!guest)
        return -ENOMEM;
    guest->seen = course->round;
    guest->samples[guest->count++ % COURSE_LENGTH] = sample_of(actual, used, target);
    return 0;
}

void course_end(struct course *course)
{
    size_t kept = 0;

    for (size_t i = 0; i < course->count; i++) {
        if (course->guests[i]->seen == course->round)
            course->guests[kept++] = course->guests[i];
        else
            free(course->guests[i]);
    }
    course->count = kept;
}

void course_free(struct course *course)
{
    for (size_t i = 0; i < course->count; i++)
        free(course->guests[i]);
    free(course->guests);
    *course = (struct course){0};
}

const struct sample *course_back(const struct course *course, const char *uuid, size_t back)
{
    const struct course_guest *guest = find(course, uuid);

    if (!guest || back >= guest->count || back >= COURSE_LENGTH)
        return NULL;
    return &guest->samples[(guest->count - 1 - back) % COURSE_LENGTH];
}
