/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/sim_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MOST 1e9

static int read_size(const json_t *value, const char *what, uint64_t *bytes, struct mc_error *err)
{
    int rc;

    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) <= (json_int_t)MC_SIZE_MAX) {
        *bytes = (uint64_t)json_integer_value(value);
        return 0;
    }
    if (!json_is_string(value))
        return mc_error_set(err, -EINVAL, "%s: is neither a size nor a number of bytes", what);
    rc = mc_size_parse(json_string_value(value), 0, bytes, err);
    if (rc < 0)
        mc_error_prefix(err, "%s: ", what);
    return rc;
}

int mc_sim_read_size(const json_t *object, const char *key, uint64_t fallback, uint64_t *bytes,
                     struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *bytes = fallback;
    return value ? read_size(value, key, bytes, err) : 0;
}

static bool is_seconds(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) >= 0 &&
           json_number_value(value) <= SECONDS_MOST;
}

static uint64_t seconds_to_ms(const json_t *value)
{
    return (uint64_t)(json_number_value(value) * 1000);
}

int mc_sim_read_seconds(const json_t *object, const char *key, uint64_t fallback_ms, uint64_t *ms,
                        struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *ms = fallback_ms;
    if (!value)
        return 0;
    if (!is_seconds(value))
        return mc_error_set(err, -EINVAL, "%s: is not a number of seconds", key);
    *ms = seconds_to_ms(value);
    return 0;
}

int mc_sim_read_flag(const json_t *object, const char *key, bool *flag, struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *flag = json_is_true(value);
    if (value && !json_is_boolean(value))
        return mc_error_set(err, -EINVAL, "%s: is neither true nor false", key);
    return 0;
}

/* [seconds, size] or [seconds, size, "linear"] */
static int read_point(const json_t *list, const char *what, uint64_t not_before,
                      struct mc_trace_point *point, struct mc_error *err)
{
    const json_t *at = json_array_get(list, 0), *how = json_array_get(list, 2);
    size_t length = json_array_size(list);

    if (length < 2 || length > 3 || !is_seconds(at))
        return mc_error_set(err, -EINVAL, "%s: is not a list of [seconds, size]", what);
    if (how && (!json_is_string(how) || strcmp(json_string_value(how), "linear") != 0))
        return mc_error_set(err, -EINVAL, "%s: after [seconds, size there can only be \"linear\"]",
                            what);
    point->at_ms = seconds_to_ms(at);
    point->line = how != NULL;
    if (point->at_ms < not_before)
        return mc_error_set(err, -EINVAL, "%s: the times are not in order", what);
    return read_size(json_array_get(list, 1), what, &point->bytes, err);
}

static int read_points(const json_t *points, const char *what, struct mc_trace *trace,
                       struct mc_error *err)
{
    int rc = 0;

    trace->points = calloc(json_array_size(points) + 1, sizeof(*trace->points));
    if (!trace->points)
        return mc_error_set(err, -ENOMEM, "out of memory");
    for (; rc == 0 && trace->count < json_array_size(points); trace->count++)
        rc = read_point(json_array_get(points, trace->count), what,
                        trace->count ? trace->points[trace->count - 1].at_ms : 0,
                        &trace->points[trace->count], err);
    return rc;
}

int mc_sim_read_trace(const json_t *object, const char *key, struct mc_trace *trace,
                      struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);
    int rc;

    if (!value)
        return 0;
    if (json_is_array(value))
        return read_points(value, key, trace, err);
    if (json_is_object(value)) {
        if (!json_is_array(json_object_get(value, "points")))
            return mc_error_set(err, -EINVAL, "%s: needs a list 'points'", key);
        rc = mc_sim_read_seconds(value, "repeat", 0, &trace->repeat_ms, err);
        if (rc < 0) {
            mc_error_prefix(err, "%s: ", key);
            return rc;
        }
        return read_points(json_object_get(value, "points"), key, trace, err);
    }
    trace->points = calloc(1, sizeof(*trace->points));
    if (!trace->points)
        return mc_error_set(err, -ENOMEM, "out of memory");
    trace->count = 1;
    return read_size(value, key, &trace->points[0].bytes, err);
}
