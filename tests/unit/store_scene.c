/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int scene_set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    strcpy(scene->folder, "/tmp/memctl-store-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->file, sizeof(scene->file), "%s/db", scene->folder);
    *state = scene;
    return 0;
}

int scene_tear_down(void **state)
{
    static const char *const suffixes[] = {
        ".lock", "", "-wal", "-shm", ".damaged", ".damaged-wal", ".damaged-shm"};
    struct scene *scene = *state;
    char path[128];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        snprintf(path, sizeof(path), "%s%s", scene->file, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(scene->folder), 0);
    free(scene);
    return 0;
}

struct mc_store *scene_open(const struct scene *scene)
{
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store;
    struct mc_error err;

    if (mc_store_open(scene->file, &config, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

void scene_write(struct mc_store *store, struct mc_batch *batch)
{
    struct mc_error err;

    if (mc_store_write(store, batch, &err) < 0)
        fail_msg("%s", err.text);
    mc_batch_free(batch);
}

struct mc_point scene_point(const char *uuid, enum mc_tier tier, int64_t at_ms, uint64_t low,
                            uint64_t avg, uint64_t high)
{
    struct mc_point made = {.tier = tier, .at_ms = at_ms, .span_ms = mc_tier_span_ms(tier)};

    strcpy(made.uuid, uuid);
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        made.values[i] = (struct mc_range){low, avg, high};
    return made;
}

static bool keep_point(void *opaque, int64_t id, const struct mc_point *from)
{
    struct found *found = opaque;

    (void)id;
    assert_true(found->count < sizeof(found->points) / sizeof(*found->points));
    found->points[found->count++] = *from;
    return true;
}

struct found *scene_find(struct mc_store *store, const char *guest, enum mc_tier tier)
{
    struct mc_store_query query = {.guest = guest, .tier = tier, .until_ms = INT64_MAX};
    struct found *found = calloc(1, sizeof(*found));
    struct mc_error err;

    if (mc_store_points(store, &query, keep_point, found, &err) < 0)
        fail_msg("%s", err.text);
    return found;
}

bool scene_next_page(void *opaque, int64_t id, const struct mc_point *from)
{
    struct mc_store_query *query = opaque;

    query->after_ms = from->at_ms;
    query->after_id = id;
    return true;
}

bool scene_keep_shape(void *opaque, int64_t id, const struct mc_shape *from)
{
    (void)id;
    *(struct mc_shape *)opaque = *from;
    return true;
}

void scene_prune(struct mc_store *store, int64_t now_ms)
{
    struct mc_error err;
    bool more = true;

    for (int i = 0; more && i < 10000; i++)
        if (mc_store_prune(store, now_ms, &more, &err) < 0)
            fail_msg("%s", err.text);
    assert_false(more);
}

uint64_t scene_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 40;
}
