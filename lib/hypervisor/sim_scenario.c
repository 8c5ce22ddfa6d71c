/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a scenario; the format is described in docs/simulation.md. */
#include "hypervisor/sim_values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

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
    int rc = mc_sim_read_size(balloon, "inflate", 500 * MC_MIB, &config->inflate_per_s, err);

    config->balloon = !json_is_false(balloon);
    if (rc == 0)
        rc = mc_sim_read_flag(balloon, "deflate_on_oom", &config->deflate_on_oom, err);
    if (rc == 0)
        rc = mc_sim_read_size(balloon, "deflate", 1500 * MC_MIB, &config->deflate_per_s, err);
    if (rc == 0)
        rc = mc_sim_read_seconds(balloon, "lag", 0, &config->lag_ms, err);
    if (rc == 0)
        rc = mc_sim_read_size(balloon, "least", 0, &config->least, err);
    if (rc == 0)
        rc = mc_sim_read_size(balloon, "most", 0, &config->most, err);
    return rc < 0 ? rc : read_stuck(balloon, config, err);
}

static const char *const fault_names[MC_SIM_FAULT_COUNT] = {
    [MC_SIM_STUCK] = "stuck",   [MC_SIM_HUNG] = "hung",     [MC_SIM_LOST] = "lost",
    [MC_SIM_LATE] = "late",     [MC_SIM_LYING] = "lying",   [MC_SIM_IMPOSSIBLE] = "impossible",
    [MC_SIM_VANISH] = "vanish", [MC_SIM_REBOOT] = "reboot",
};

static int read_fault(const json_t *object, struct mc_sim_fault *fault, struct mc_error *err)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    int rc;

    fault->kind = MC_SIM_FAULT_COUNT;
    for (unsigned i = 0; kind && i < MC_SIM_FAULT_COUNT; i++)
        if (strcmp(kind, fault_names[i]) == 0)
            fault->kind = i;
    if (fault->kind == MC_SIM_FAULT_COUNT)
        return mc_error_set(err, -EINVAL,
                            "kind: is none of stuck, hung, lost, late, lying, impossible, vanish, "
                            "reboot");
    rc = mc_sim_read_seconds(object, "from", 0, &fault->from_ms, err);
    if (rc == 0)
        rc = mc_sim_read_seconds(object, "to", UINT64_MAX, &fault->to_ms, err);
    if (rc == 0)
        rc = mc_sim_read_seconds(object, "by", 5000, &fault->by_ms, err);
    if (rc == 0 && fault->to_ms < fault->from_ms)
        return mc_error_set(err, -EINVAL, "to: is before from");
    return rc;
}

static int read_faults(const json_t *faults, struct mc_sim_guest_config *config,
                       struct mc_error *err)
{
    int rc;

    if (faults && !json_is_array(faults))
        return mc_error_set(err, -EINVAL, "faults: is not a list");
    config->faults = calloc(json_array_size(faults) + 1, sizeof(*config->faults));
    if (!config->faults)
        return mc_error_set(err, -ENOMEM, "out of memory");
    for (; config->fault_count < json_array_size(faults); config->fault_count++) {
        rc = read_fault(json_array_get(faults, config->fault_count),
                        &config->faults[config->fault_count], err);
        if (rc < 0) {
            mc_error_prefix(err, "faults[%zu]: ", config->fault_count);
            return rc;
        }
    }
    return 0;
}

static int read_demand(const json_t *object, struct mc_sim_guest_config *config,
                       struct mc_error *err)
{
    int rc = mc_sim_read_trace(object, "working_set", &config->working_set, err);

    if (rc == 0)
        rc = mc_sim_read_trace(object, "cache", &config->cache, err);
    if (rc == 0)
        rc = mc_sim_read_trace(object, "cold", &config->cold, err);
    if (rc == 0)
        rc = mc_sim_read_size(object, "touch", 0, &config->touch_per_s, err);
    if (rc == 0)
        rc = mc_sim_read_flag(object, "reporting", &config->reporting, err);
    return rc;
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
    rc = mc_sim_read_size(object, "memory", 0, &config->memory, err);
    if (rc == 0 && config->memory < 16 * MC_MIB)
        return mc_error_set(err, -EINVAL, "memory: is missing or below 16M");
    if (rc == 0)
        rc = mc_sim_read_size(object, "overhead", 30 * MC_MIB, &config->overhead, err);
    if (rc == 0)
        rc = mc_sim_read_size(object, "kernel", 40 * MC_MIB, &config->kernel, err);
    if (rc == 0)
        rc = read_demand(object, config, err);
    if (rc == 0)
        rc = mc_sim_read_seconds(object, "start", 0, &config->start_ms, err);
    if (rc == 0)
        rc = mc_sim_read_seconds(object, "stop", 0, &config->stop_ms, err);
    if (rc == 0)
        rc = read_settings(object, &config->own, err);
    if (rc == 0)
        rc = read_faults(json_object_get(object, "faults"), config, err);
    return rc < 0 ? rc : read_balloon(json_object_get(object, "balloon"), config, err);
}

static int read_overcommit(const json_t *host, struct mc_sim *sim, struct mc_error *err)
{
    const json_t *value = json_object_get(host, "overcommit");
    double factor = json_number_value(value);

    if (!value)
        return 0;
    if (!json_is_number(value) || !(factor >= 1 && factor <= 10))
        return mc_error_set(err, -EINVAL, "overcommit: is not a factor from 1 to 10");
    sim->overcommit_percent = (unsigned)lround(factor * 100);
    return 0;
}

static int read_host(const json_t *host, struct mc_sim *sim, struct mc_error *err)
{
    int rc = mc_sim_read_size(host, "memory", 0, &sim->host_memory, err);

    if (rc == 0 && !sim->host_memory)
        rc = mc_error_set(err, -EINVAL, "memory: is missing");
    if (rc == 0)
        rc = mc_sim_read_size(host, "swap", 0, &sim->host_swap, err);
    if (rc == 0)
        rc = mc_sim_read_trace(host, "used", &sim->host_used, err);
    if (rc == 0)
        rc = mc_sim_read_trace(host, "budget", &sim->budget, err);
    if (rc == 0)
        rc = read_overcommit(host, sim, err);
    if (rc < 0)
        mc_error_prefix(err, "host: ");
    return rc;
}

static int read_guests(const json_t *guests, struct mc_sim *sim, struct mc_error *err)
{
    sim->guests = calloc(json_array_size(guests) + 1, sizeof(*sim->guests));
    if (!sim->guests)
        return mc_error_set(err, -ENOMEM, "out of memory");
    for (; sim->count < json_array_size(guests); sim->count++) {
        struct mc_sim_guest_config *config = &sim->guests[sim->count].config;
        int rc = read_guest(json_array_get(guests, sim->count), config, err);

        for (size_t i = 0; rc == 0 && i < sim->count; i++)
            if (strcmp(sim->guests[i].config.name, config->name) == 0)
                rc = mc_error_set(err, -EINVAL, "name: there is another guest of this name");
        if (rc < 0) {
            mc_error_prefix(err, "guests[%zu]: ", sim->count++);
            return rc;
        }
    }
    return 0;
}

static int read_scenario(const json_t *root, struct mc_sim *sim, struct mc_error *err)
{
    const json_t *host = json_object_get(root, "host");
    const json_t *guests = json_object_get(root, "guests");
    const char *title = json_string_value(json_object_get(root, "title"));
    int rc;

    if (!json_is_object(host) || !json_is_array(guests))
        return mc_error_set(err, -EINVAL, "needs an object 'host' and a list 'guests'");
    snprintf(sim->title, sizeof(sim->title), "%s", title ? title : "");
    rc = mc_sim_read_seconds(root, "duration", 0, &sim->duration_ms, err);
    if (rc == 0)
        rc = read_host(host, sim, err);
    return rc < 0 ? rc : read_guests(guests, sim, err);
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
    for (size_t i = 0; i < sim->count; i++) {
        struct mc_sim_guest_config *config = &sim->guests[i].config;

        free(config->working_set.points);
        free(config->cache.points);
        free(config->cold.points);
        free(config->faults);
    }
    free(sim->guests);
    free(sim->host_used.points);
    free(sim->budget.points);
    *sim = (struct mc_sim){0};
}
