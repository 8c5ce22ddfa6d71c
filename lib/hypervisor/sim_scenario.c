/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a scenario; the format is described in docs/simulation.md. */
#include "hypervisor/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

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

static int optional_size(const json_t *object, const char *key, uint64_t fallback, uint64_t *bytes,
                         struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *bytes = fallback;
    return value ? read_size(value, key, bytes, err) : 0;
}

static int optional_seconds(const json_t *object, const char *key, uint64_t *ms,
                            struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *ms = 0;
    if (!value)
        return 0;
    if (!json_is_number(value) || json_number_value(value) < 0 || json_number_value(value) > 1e9)
        return mc_error_set(err, -EINVAL, "%s: is not a number of seconds", key);
    *ms = (uint64_t)(json_number_value(value) * 1000);
    return 0;
}

static int read_point(const json_t *pair, const char *what, uint64_t not_before,
                      struct mc_trace_point *point, struct mc_error *err)
{
    const json_t *at = json_array_get(pair, 0);

    if (json_array_size(pair) != 2 || !json_is_number(at) || json_number_value(at) < 0 ||
        json_number_value(at) > 1e9)
        return mc_error_set(err, -EINVAL, "%s: is not a list of [seconds, size]", what);
    point->at_ms = (uint64_t)(json_number_value(at) * 1000);
    if (point->at_ms < not_before)
        return mc_error_set(err, -EINVAL, "%s: the times are not in order", what);
    return read_size(json_array_get(pair, 1), what, &point->bytes, err);
}

/* A single size, or [[seconds, size], ...]. */
static int read_trace(const json_t *object, const char *key, struct mc_trace *trace,
                      struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    int rc = 0;

    trace->points = calloc(count ? count : 1, sizeof(*trace->points));
    if (!trace->points)
        return mc_error_set(err, -ENOMEM, "out of memory");
    if (!value)
        return 0;
    trace->count = count;
    if (!json_is_array(value))
        return read_size(value, key, &trace->points[0].bytes, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = read_point(json_array_get(value, i), key, i ? trace->points[i - 1].at_ms : 0,
                        &trace->points[i], err);
    return rc;
}

static int read_settings(const json_t *object, struct mc_settings *own, struct mc_error *err)
{
    for (unsigned i = 0; i < MC_SETTING_COUNT; i++) {
        const json_t *value = json_object_get(object, mc_setting_name(i));
        char text[MC_SETTING_TEXT];
        int rc;

        if (!value)
            continue;
        if (json_is_string(value))
            snprintf(text, sizeof(text), "%s", json_string_value(value));
        else if (json_is_integer(value))
            snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
        else
            return mc_error_set(err, -EINVAL, "%s: is neither text nor a number",
                                mc_setting_name(i));
        rc = mc_settings_say(own, mc_setting_name(i), text, err);
        if (rc < 0) {
            mc_error_prefix(err, "%s: ", mc_setting_name(i));
            return rc;
        }
    }
    return 0;
}

static int read_stuck(const json_t *object, struct mc_sim_guest_config *config,
                      struct mc_error *err)
{
    const json_t *value = json_object_get(object, "stuck");
    const json_t *from = json_array_get(value, 0), *to = json_array_get(value, 1);

    if (!value)
        return 0;
    if (json_array_size(value) != 2 || !json_is_number(from) || !json_is_number(to) ||
        json_number_value(from) < 0 || json_number_value(to) < 0 || json_number_value(to) > 1e9)
        return mc_error_set(err, -EINVAL, "stuck: is not [from, to] in seconds");
    config->stuck_from_ms = (uint64_t)(json_number_value(from) * 1000);
    config->stuck_to_ms = (uint64_t)(json_number_value(to) * 1000);
    return 0;
}

/* A UUID made of the name, the same in every run. */
static void make_uuid(const char *name, char uuid[MC_UUID_TEXT])
{
    XXH128_hash_t hash = XXH3_128bits(name, strlen(name));

    snprintf(uuid, MC_UUID_TEXT, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(hash.high64 >> 32),
             (unsigned)(hash.high64 >> 16) & 0xffff, (unsigned)hash.high64 & 0xffff,
             (unsigned)(hash.low64 >> 48), (unsigned long long)hash.low64 & 0xffffffffffff);
}

static int read_balloon(const json_t *balloon, struct mc_sim_guest_config *config,
                        struct mc_error *err)
{
    int rc = optional_size(balloon, "inflate", 500 * MC_MIB, &config->inflate_per_s, err);

    config->balloon = !json_is_false(balloon);
    config->deflate_on_oom = json_is_true(json_object_get(balloon, "deflate_on_oom"));
    if (rc == 0)
        rc = optional_size(balloon, "deflate", 1500 * MC_MIB, &config->deflate_per_s, err);
    if (rc == 0)
        rc = optional_seconds(balloon, "lag", &config->lag_ms, err);
    return rc < 0 ? rc : read_stuck(balloon, config, err);
}

static int read_guest(const json_t *object, struct mc_sim_guest_config *config,
                      struct mc_error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    int rc;

    if (!name || !*name || strlen(name) >= sizeof(config->name))
        return mc_error_set(err, -EINVAL, "has no name");
    snprintf(config->name, sizeof(config->name), "%s", name);
    make_uuid(name, config->uuid);
    rc = optional_size(object, "memory", 0, &config->memory, err);
    if (rc == 0 && config->memory < 16 * MC_MIB)
        return mc_error_set(err, -EINVAL, "memory: is missing or below 16M");
    if (rc == 0)
        rc = optional_size(object, "overhead", 30 * MC_MIB, &config->overhead, err);
    if (rc == 0)
        rc = optional_size(object, "kernel", 40 * MC_MIB, &config->kernel, err);
    if (rc == 0)
        rc = read_trace(object, "working_set", &config->working_set, err);
    if (rc == 0)
        rc = optional_seconds(object, "start", &config->start_ms, err);
    if (rc == 0)
        rc = optional_seconds(object, "stop", &config->stop_ms, err);
    if (rc == 0)
        rc = read_settings(object, &config->own, err);
    return rc < 0 ? rc : read_balloon(json_object_get(object, "balloon"), config, err);
}

static int read_scenario(const json_t *root, struct mc_sim *sim, struct mc_error *err)
{
    const json_t *host = json_object_get(root, "host");
    const json_t *guests = json_object_get(root, "guests");
    int rc;

    if (!json_is_object(host) || !json_is_array(guests))
        return mc_error_set(err, -EINVAL, "needs an object 'host' and a list 'guests'");
    rc = optional_size(host, "memory", 0, &sim->host_memory, err);
    if (rc == 0 && !sim->host_memory)
        rc = mc_error_set(err, -EINVAL, "memory: is missing");
    if (rc == 0)
        rc = read_trace(host, "used", &sim->host_used, err);
    if (rc < 0) {
        mc_error_prefix(err, "host: ");
        return rc;
    }
    sim->guests = calloc(json_array_size(guests) + 1, sizeof(*sim->guests));
    if (!sim->guests)
        return mc_error_set(err, -ENOMEM, "out of memory");
    for (; sim->count < json_array_size(guests); sim->count++) {
        rc = read_guest(json_array_get(guests, sim->count), &sim->guests[sim->count].config, err);
        for (size_t i = 0; rc == 0 && i < sim->count; i++)
            if (strcmp(sim->guests[i].config.name, sim->guests[sim->count].config.name) == 0)
                rc = mc_error_set(err, -EINVAL, "name: there is another guest of this name");
        if (rc < 0) {
            mc_error_prefix(err, "guests[%zu]: ", sim->count++);
            return rc;
        }
    }
    return 0;
}

int mc_sim_load(const char *file, struct mc_sim *sim, struct mc_error *err)
{
    json_error_t error;
    json_t *root = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    int rc;

    *sim = (struct mc_sim){0};
    if (!root)
        return mc_error_set(err, -EINVAL, "scenario %s: line %d: %s", file, error.line, error.text);
    rc = read_scenario(root, sim, err);
    json_decref(root);
    if (rc < 0) {
        mc_error_prefix(err, "scenario %s: ", file);
        mc_sim_free(sim);
    }
    return rc;
}

void mc_sim_free(struct mc_sim *sim)
{
    for (size_t i = 0; i < sim->count; i++)
        free(sim->guests[i].config.working_set.points);
    free(sim->guests);
    free(sim->host_used.points);
    *sim = (struct mc_sim){0};
}
