/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/history.h>

#include <stdlib.h>
#include <string.h>

static const char *const tier_names[MC_TIER_COUNT] = {"raw", "minute", "hour"};

static const char *const value_names[MC_HOST_VALUES] = {
    [MC_VALUE_USED] = "used",           [MC_VALUE_ACTIVE] = "active",
    [MC_VALUE_HELD] = "held",           [MC_VALUE_ACTUAL] = "actual",
    [MC_VALUE_TARGET] = "target",       [MC_VALUE_OVERHEAD] = "overhead",
    [MC_VALUE_STALL] = "stall",         [MC_VALUE_TOTAL] = "total",
    [MC_VALUE_AVAILABLE] = "available", [MC_VALUE_BUDGET] = "budget",
    [MC_VALUE_STRICT] = "strict",       [MC_VALUE_DIVIDED] = "divided",
    [MC_VALUE_PROMISED] = "promised",   [MC_VALUE_OTHERS] = "others",
};

const char *mc_tier_name(enum mc_tier tier)
{
    return tier_names[tier];
}

const char *mc_value_name(size_t value)
{
    return value_names[value];
}

uint64_t mc_tier_span_ms(enum mc_tier tier)
{
    static const uint64_t spans[MC_TIER_COUNT] = {MC_RAW_HOLDS_MS, 60000, 3600000};

    return spans[tier];
}

/* Room for one more of `size` bytes in a list that holds `most` at most; NULL if there is none. */
static void *add(void **list, size_t *count, size_t *room, size_t size, size_t most)
{
    if (*count >= most)
        return NULL;
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *grown = reallocarray(*list, more, size);

        if (!grown)
            return NULL;
        *list = grown;
        *room = more;
    }
    return (char *)*list + size * (*count)++;
}

void mc_batch_add_point(struct mc_batch *batch, const struct mc_point *point)
{
    size_t most = point->tier == MC_TIER_RAW ? MC_BATCH_POINTS_MAX / 2 : MC_BATCH_POINTS_MAX;
    struct mc_point *to =
        add((void **)&batch->points, &batch->point_count, &batch->point_room, sizeof(*to), most);

    if (to)
        *to = *point;
    else
        batch->dropped++;
}

void mc_batch_add_shape(struct mc_batch *batch, const struct mc_shape *shape)
{
    struct mc_shape *to = add((void **)&batch->shapes, &batch->shape_count, &batch->shape_room,
                              sizeof(*to), MC_BATCH_OTHERS_MAX);

    if (to)
        *to = *shape;
    else
        batch->dropped++;
}

void mc_batch_add_decision(struct mc_batch *batch, const struct mc_decision *decision)
{
    struct mc_decision *to = add((void **)&batch->decisions, &batch->decision_count,
                                 &batch->decision_room, sizeof(*to), MC_BATCH_OTHERS_MAX);

    if (to)
        *to = *decision;
    else
        batch->dropped++;
}

void mc_batch_add_event(struct mc_batch *batch, const char *line)
{
    char *copy = strdup(line);
    char **to = copy ? add((void **)&batch->events, &batch->event_count, &batch->event_room,
                           sizeof(*to), MC_BATCH_OTHERS_MAX)
                     : NULL;

    if (to) {
        *to = copy;
    } else {
        free(copy);
        batch->dropped++;
    }
}

void mc_batch_set_config(struct mc_batch *batch, const char *config)
{
    char *copy = strdup(config);

    if (!copy) {
        batch->dropped++;
        return;
    }
    free(batch->config);
    batch->config = copy;
}

void mc_batch_set_lessons(struct mc_batch *batch, const struct mc_lesson *lessons, size_t count)
{
    batch->lesson_count = 0;
    batch->has_lessons = true;
    for (size_t i = 0; i < count; i++) {
        struct mc_lesson *to = add((void **)&batch->lessons, &batch->lesson_count,
                                   &batch->lesson_room, sizeof(*to), MC_BATCH_OTHERS_MAX);

        if (to)
            *to = lessons[i];
        else
            batch->dropped++;
    }
}

bool mc_batch_is_empty(const struct mc_batch *batch)
{
    return !batch->point_count && !batch->shape_count && !batch->decision_count &&
           !batch->event_count && !batch->config && !batch->has_lessons;
}

void mc_batch_free(struct mc_batch *batch)
{
    for (size_t i = 0; i < batch->event_count; i++)
        free(batch->events[i]);
    free(batch->points);
    free(batch->shapes);
    free(batch->decisions);
    free(batch->events);
    free(batch->config);
    free(batch->lessons);
    *batch = (struct mc_batch){0};
}
