/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests are numbers in the file, and their UUIDs stand there once. */
#include "store/database.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t find_known(const struct mc_store *store, const char *uuid, bool *found)
{
    size_t low = 0, high = store->known_count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(store->known[middle].uuid, uuid);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int remember(struct mc_store *store, size_t index, const char *uuid, int64_t id)
{
    if (store->known_count == store->known_room) {
        size_t room = store->known_room ? store->known_room * 2 : 64;
        struct mc_guest_number *grown = reallocarray(store->known, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        store->known = grown;
        store->known_room = room;
    }
    memmove(&store->known[index + 1], &store->known[index],
            (store->known_count - index) * sizeof(*store->known));
    store->known_count++;
    store->known[index].id = id;
    snprintf(store->known[index].uuid, MC_UUID_TEXT, "%s", uuid);
    return 0;
}

static int add_guest(struct mc_store *store, const char *uuid, int64_t *id, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store,
                           "INSERT INTO guest (uuid, name) VALUES (?1, '') ON CONFLICT (uuid) DO "
                           "UPDATE SET uuid = uuid RETURNING id",
                           &statement, err);

    if (rc < 0)
        return rc;
    sqlite3_bind_text(statement, 1, uuid, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW)
        return mc_db_fail(store, err);
    *id = sqlite3_column_int64(statement, 0);
    return sqlite3_step(statement) == SQLITE_DONE ? 0 : mc_db_fail(store, err);
}

int mc_store_guest_number(struct mc_store *store, const char *uuid, int64_t *id,
                          struct mc_error *err)
{
    size_t index;
    bool found;
    int rc;

    *id = 0;
    if (!*uuid)
        return 0;
    index = find_known(store, uuid, &found);
    if (found) {
        *id = store->known[index].id;
        return 0;
    }
    rc = add_guest(store, uuid, id, err);
    if (rc == 0 && remember(store, index, uuid, *id) < 0)
        rc = mc_error_set(err, -ENOMEM, "out of memory");
    return rc;
}
