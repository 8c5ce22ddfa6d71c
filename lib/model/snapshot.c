/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/model.h>

#include <stdlib.h>
#include <string.h>

void mc_snapshot_reset(struct mc_snapshot *snapshot)
{
    struct mc_guest *guests = snapshot->guests;
    size_t room = snapshot->room;

    *snapshot = (struct mc_snapshot){.guests = guests, .room = room};
}

void mc_snapshot_free(struct mc_snapshot *snapshot)
{
    free(snapshot->guests);
    *snapshot = (struct mc_snapshot){0};
}

struct mc_guest *mc_snapshot_add(struct mc_snapshot *snapshot)
{
    struct mc_guest *guest;

    if (snapshot->count == snapshot->room) {
        size_t room = snapshot->room ? snapshot->room * 2 : 8;
        struct mc_guest *guests = reallocarray(snapshot->guests, room, sizeof(*guests));

        if (!guests)
            return NULL;
        snapshot->guests = guests;
        snapshot->room = room;
    }
    guest = &snapshot->guests[snapshot->count++];
    *guest = (struct mc_guest){.age_ms = MC_UNKNOWN};
    return guest;
}

void mc_snapshot_note_saved(struct mc_snapshot *snapshot, const struct mc_snapshot *found)
{
    struct mc_resort *resort = &snapshot->resort;
    const struct mc_guest *last = NULL;

    for (size_t i = 0; i < found->count; i++) {
        const struct mc_guest *guest = &found->guests[i];

        if (!guest->resort_hold && (!last || guest->stopped.at_s > last->stopped.at_s))
            last = guest;
    }
    resort->saved_count = (unsigned)found->count;
    resort->last = (struct mc_saved){0};
    if (!last)
        return;
    memcpy(resort->last.uuid, last->uuid, sizeof(resort->last.uuid));
    memcpy(resort->last.name, last->name, sizeof(resort->last.name));
    resort->last.stopped = last->stopped;
}

static int by_uuid(const void *a, const void *b)
{
    return strcmp(((const struct mc_guest *)a)->uuid, ((const struct mc_guest *)b)->uuid);
}

void mc_snapshot_sort(struct mc_snapshot *snapshot)
{
    if (snapshot->count)
        qsort(snapshot->guests, snapshot->count, sizeof(*snapshot->guests), by_uuid);
}

static int uuid_to_guest(const void *uuid, const void *guest)
{
    return strcmp(uuid, ((const struct mc_guest *)guest)->uuid);
}

struct mc_guest *mc_snapshot_find(const struct mc_snapshot *snapshot, const char *uuid)
{
    if (!snapshot->count)
        return NULL;
    return bsearch(uuid, snapshot->guests, snapshot->count, sizeof(*snapshot->guests),
                   uuid_to_guest);
}

struct mc_guest *mc_snapshot_find_named(const struct mc_snapshot *snapshot,
                                        const char *name_or_uuid)
{
    for (size_t i = 0; i < snapshot->count; i++)
        if (strcmp(snapshot->guests[i].name, name_or_uuid) == 0)
            return &snapshot->guests[i];
    return mc_snapshot_find(snapshot, name_or_uuid);
}
