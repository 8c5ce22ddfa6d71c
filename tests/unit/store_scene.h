/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A history's file in a folder of its own, and what tests write to it and look for in it. */
#ifndef MEMCTL_TEST_STORE_SCENE_H
#define MEMCTL_TEST_STORE_SCENE_H

#include "testing.h"

#include "store/database.h"

#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define BEGIN (INT64_C(1700000000000) / DAY * DAY)

#define GUEST_A "00000000-0000-0000-0000-00000000000a"
#define GUEST_B "00000000-0000-0000-0000-00000000000b"

struct scene {
    char folder[64], file[96];
};

/* For cmocka. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

/* With the settings by default. The test fails where this does, as with all below. */
struct mc_store *scene_open(const struct scene *scene);

/* Also frees what is in the batch. */
void scene_write(struct mc_store *store, struct mc_batch *batch);

/* All its values are the same, and it lasts as long as its tier says. */
struct mc_point scene_point(const char *uuid, enum mc_tier tier, int64_t at_ms, uint64_t low,
                            uint64_t avg, uint64_t high);

struct found {
    struct mc_point points[4096];
    size_t count;
};

/* All points of the guest's, "" for the host. The caller frees it. */
struct found *scene_find(struct mc_store *store, const char *guest, enum mc_tier tier);

/* Until there is nothing more to do. */
void scene_prune(struct mc_store *store, int64_t now_ms);

/* Of 40 bits, and the same each time. */
uint64_t scene_random(uint64_t *seed);

/* For mc_store_shapes(): keeps the last one. opaque: struct mc_shape. */
bool scene_keep_shape(void *opaque, int64_t id, const struct mc_shape *from);

/* For mc_store_points(): the query goes on after this point. opaque: struct mc_store_query. */
bool scene_next_page(void *opaque, int64_t id, const struct mc_point *from);

#endif
