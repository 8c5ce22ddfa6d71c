/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One function for each kind of value, and the table of all keys. */
#include "config_keys.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "scanner/wire.h"

#define OVERCOMMIT_MOST 10
#define DAY_MS UINT64_C(86400000)

int config_text(char *field, size_t size, const char *value, struct mc_error *err)
{
    if (strlen(value) >= size)
        return mc_error_set(err, -EINVAL, "is longer than %zu bytes", size - 1);
    strcpy(field, value);
    return 0;
}

static int read_connect(struct config *config, const char *value, struct mc_error *err)
{
    return config_text(config->connect, sizeof(config->connect), value, err);
}

static int read_socket(struct config *config, const char *value, struct mc_error *err)
{
    if (*value != '/')
        return mc_error_set(err, -EINVAL, "'%s' is not an absolute path", value);
    return config_text(config->socket, sizeof(config->socket), value, err);
}

static int read_socket_group(struct config *config, const char *value, struct mc_error *err)
{
    return config_text(config->socket_group, sizeof(config->socket_group), value, err);
}

static int read_metrics(struct config *config, const char *value, struct mc_error *err)
{
    const char *colon = strrchr(value, ':');
    uint64_t port;

    if (strcmp(value, "off") == 0) {
        config->metrics[0] = '\0';
        return 0;
    }
    if (!colon || colon == value)
        return mc_error_set(err, -EINVAL, "'%s' is not ADDRESS:PORT, nor off", value);
    if (mc_number_parse(colon + 1, 1, 65535, &port, err) < 0)
        return -EINVAL;
    return config_text(config->metrics, sizeof(config->metrics), value, err);
}

static int read_record(struct config *config, const char *value, struct mc_error *err)
{
    return config_text(config->record, sizeof(config->record), value, err);
}

static int read_metrics_names(struct config *config, const char *value, struct mc_error *err)
{
    return config_text(config->metrics_names, sizeof(config->metrics_names), value, err);
}

static int read_yes_no(const char *value, bool *field, struct mc_error *err)
{
    *field = strcmp(value, "yes") == 0;
    if (!*field && strcmp(value, "no") != 0)
        return mc_error_set(err, -EINVAL, "'%s' is neither yes nor no", value);
    return 0;
}

static int read_page(struct config *config, const char *value, struct mc_error *err)
{
    return read_yes_no(value, &config->page, err);
}

static int read_dry_run(struct config *config, const char *value, struct mc_error *err)
{
    return read_yes_no(value, &config->dry_run, err);
}

static int read_interval(struct config *config, const char *value, struct mc_error *err)
{
    uint64_t ms;
    int rc = mc_span_parse(value, &ms, err);

    if (rc < 0)
        return rc;
    if (ms < 200 || ms > 60000)
        return mc_error_set(err, -ERANGE, "'%s' is not between 200ms and 1min", value);
    config->engine.interval_ms = ms;
    return 0;
}

static int read_amount(const char *value, struct mc_amount *amount, struct mc_error *err)
{
    struct mc_amount said;
    int rc = mc_amount_parse(value, &said, err);

    if (rc < 0)
        return rc;
    if (said.percent && said.value > MC_AMOUNT_WHOLE)
        return mc_error_set(err, -ERANGE, "%s of the host's memory is more than it has", value);
    *amount = said;
    return 0;
}

static int read_budget(struct config *config, const char *value, struct mc_error *err)
{
    struct mc_budget_config *budget = &config->engine.budget;

    budget->automatic = strcmp(value, "auto") == 0;
    return budget->automatic ? 0 : read_amount(value, &budget->size, err);
}

static int read_reserve(struct config *config, const char *value, struct mc_error *err)
{
    struct mc_budget_config *budget = &config->engine.budget;

    budget->reserve_automatic = strcmp(value, "auto") == 0;
    return budget->reserve_automatic ? 0 : read_amount(value, &budget->reserve, err);
}

static int read_overcommit(struct config *config, const char *value, struct mc_error *err)
{
    char *end;
    double factor = strtod(value, &end);

    if (end == value || *end || !(factor >= 1 && factor <= OVERCOMMIT_MOST))
        return mc_error_set(err, -ERANGE, "'%s' is not a factor from 1.0 to %d", value,
                            OVERCOMMIT_MOST);
    config->engine.overcommit_percent = (unsigned)lround(factor * 100);
    return 0;
}

static int read_distress_reserve(struct config *config, const char *value, struct mc_error *err)
{
    struct mc_amount said;
    int rc = mc_amount_parse(value, &said, err);

    if (rc < 0)
        return rc;
    if (said.percent && said.value > MC_AMOUNT_WHOLE / 4)
        return mc_error_set(err, -ERANGE, "%s is more than a quarter of the budget", value);
    config->engine.distress_reserve = said;
    return 0;
}

static int read_shrink_rate(struct config *config, const char *value, struct mc_error *err)
{
    struct mc_amount said;
    int rc = mc_amount_parse(value, &said, err);

    if (rc < 0)
        return rc;
    if (!said.percent || said.value < 100 || said.value > MC_AMOUNT_WHOLE)
        return mc_error_set(err, -ERANGE, "'%s' is not a part from 1%% to 100%%", value);
    config->engine.shrink_percent = (unsigned)(said.value / 100);
    return 0;
}

/* 0 is a time as well. */
static int read_span(const char *value, uint64_t most_ms, const char *most, uint64_t *field,
                     struct mc_error *err)
{
    uint64_t ms = 0;
    int rc = strcmp(value, "0") == 0 ? 0 : mc_span_parse(value, &ms, err);

    if (rc < 0)
        return rc;
    if (ms > most_ms)
        return mc_error_set(err, -ERANGE, "'%s' is more than %s", value, most);
    *field = ms;
    return 0;
}

static int read_boot_grace(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 3600000, "1h", &config->engine.boot_grace_ms, err);
}

static int read_foreign_hold(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 86400000, "24h", &config->engine.foreign_hold_ms, err);
}

static int read_cooldown(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 3600000, "1h", &config->engine.cooldown_ms, err);
}

static int read_host_reclaim(struct config *config, const char *value, struct mc_error *err)
{
    int yes;
    int rc = mc_bool_parse(value, &yes, err);

    if (rc == 0)
        config->engine.host_reclaim = yes;
    return rc;
}

static int read_resort_after(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 3600000, "1h", &config->engine.resort_after_ms, err);
}

static int read_resort_pause(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 3600000, "1h", &config->engine.resort_pause_ms, err);
}

static int read_resort_undo(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 86400000, "24h", &config->engine.resort_undo_ms, err);
}

static int read_active_fade(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 3600000, "1h", &config->engine.active_fade_ms, err);
}

static int read_store(struct config *config, const char *value, struct mc_error *err)
{
    config->store_said = true;
    if (strcmp(value, "off") == 0) {
        config->store[0] = '\0';
        return 0;
    }
    if (*value != '/')
        return mc_error_set(err, -EINVAL, "'%s' is not an absolute path, nor off", value);
    return config_text(config->store, sizeof(config->store), value, err);
}

static int read_store_size(struct config *config, const char *value, struct mc_error *err)
{
    uint64_t size;
    int rc = mc_size_parse(value, 0, &size, err);

    if (rc < 0)
        return rc;
    if (size < MC_STORE_SIZE_LEAST)
        return mc_error_set(err, -ERANGE, "'%s' is less than 4M", value);
    config->history.size_max = size;
    return 0;
}

static int read_keep(const char *value, enum mc_tier tier, uint64_t least_ms, const char *least,
                     struct config *config, struct mc_error *err)
{
    uint64_t ms = 0;
    int rc = read_span(value, 3660 * DAY_MS, "3660d", &ms, err);

    if (rc < 0)
        return rc;
    if (ms < least_ms)
        return mc_error_set(err, -ERANGE, "'%s' is less than %s", value, least);
    config->history.keep_ms[tier] = ms;
    return 0;
}

static int read_keep_raw(struct config *config, const char *value, struct mc_error *err)
{
    return read_keep(value, MC_TIER_RAW, 600000, "10min", config, err);
}

static int read_keep_minutes(struct config *config, const char *value, struct mc_error *err)
{
    return read_keep(value, MC_TIER_MINUTE, 2 * 3600000, "2h", config, err);
}

static int read_keep_hours(struct config *config, const char *value, struct mc_error *err)
{
    return read_keep(value, MC_TIER_HOUR, DAY_MS, "1d", config, err);
}

static int read_policy(struct config *config, const char *value, struct mc_error *err)
{
    return config_text(config->policy, sizeof(config->policy), value, err);
}

static int read_margin(struct config *config, const char *value, struct mc_error *err)
{
    return mc_size_parse(value, 0, &config->engine.floor_margin, err);
}

static int read_calm(struct config *config, const char *value, struct mc_error *err)
{
    return mc_size_parse(value, 0, &config->engine.calm_bytes, err);
}

static int read_host_sampling(struct config *config, const char *value, struct mc_error *err)
{
    static const char *const known[] = {"off", "auto", "idle-page", "damon"};
    size_t i = 0;

    while (i < 4 && strcmp(value, known[i]) != 0)
        i++;
    if (i == 4)
        return mc_error_set(err, -EINVAL, "'%s' is not off, auto, idle-page or damon", value);
    config->sampling.on = i > 0;
    strcpy(config->sampling.method, i > 1 ? known[i] : "");
    return 0;
}

static int read_host_window(struct config *config, const char *value, struct mc_error *err)
{
    uint64_t ms;
    int rc = mc_span_parse(value, &ms, err);

    if (rc < 0)
        return rc;
    if (ms < 2000 || ms > 600000)
        return mc_error_set(err, -ERANGE, "'%s' is not between 2s and 10min", value);
    config->sampling.window_ms = ms;
    return 0;
}

static int read_dedupe_mode(struct config *config, const char *value, struct mc_error *err)
{
    config->dedupe.merge = strcmp(value, "merge") == 0;
    config->dedupe.scan = config->dedupe.merge || strcmp(value, "scan") == 0;
    if (!config->dedupe.scan && strcmp(value, "off") != 0)
        return mc_error_set(err, -EINVAL, "'%s' is neither off, scan nor merge", value);
    return 0;
}

/* Whole percents of one processor: "2%", or 2. */
static int read_cpu(const char *value, unsigned most, unsigned *percent, struct mc_error *err)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);

    if (end == value || *value == '-' || (*end == '%' ? end[1] : *end) || !number || number > most)
        return mc_error_set(err, -ERANGE, "'%s' is not from 1%% to %u%% of a processor", value,
                            most);
    *percent = (unsigned)number;
    return 0;
}

static int read_dedupe_cpu(struct config *config, const char *value, struct mc_error *err)
{
    return read_cpu(value, SCAN_CPU_MAX, &config->dedupe.cpu_percent, err);
}

static int read_dedupe_busy_cpu(struct config *config, const char *value, struct mc_error *err)
{
    return read_cpu(value, SCAN_CPU_MAX, &config->dedupe.busy_cpu_percent, err);
}

static int read_merge_cpu(struct config *config, const char *value, struct mc_error *err)
{
    return read_cpu(value, 100, &config->dedupe.steer.cpu_percent, err);
}

static int read_merge_worth(struct config *config, const char *value, struct mc_error *err)
{
    return mc_size_parse(value, 0, &config->dedupe.steer.worth, err);
}

static int read_dedupe_interval(struct config *config, const char *value, struct mc_error *err)
{
    return read_span(value, 86400000, "24h", &config->dedupe.interval_ms, err);
}

static int read_dedupe_table(struct config *config, const char *value, struct mc_error *err)
{
    struct mc_amount said;
    int rc = mc_amount_parse(value, &said, err);

    if (rc < 0)
        return rc;
    if (!said.percent || !said.value || said.value > MC_AMOUNT_WHOLE / 20)
        return mc_error_set(err, -ERANGE, "'%s' is not from 0.01%% to 5%%", value);
    config->dedupe.table_share = (unsigned)said.value;
    return 0;
}

static int read_sketch_key(struct config *config, const char *value, struct mc_error *err)
{
    if (*value && *value != '/')
        return mc_error_set(err, -EINVAL, "'%s' is not an absolute path", value);
    return config_text(config->dedupe.sketch_key, sizeof(config->dedupe.sketch_key), value, err);
}

static const struct {
    const char *section, *name;
    int (*read)(struct config *config, const char *value, struct mc_error *err);
} keys[] = {
    {"memctld", "connect", read_connect},
    {"memctld", "interval", read_interval},
    {"memctld", "socket", read_socket},
    {"memctld", "socket-group", read_socket_group},
    {"memctld", "metrics", read_metrics},
    {"memctld", "metrics-names", read_metrics_names},
    {"memctld", "page", read_page},
    {"memctld", "record", read_record},
    {"memctld", "dry-run", read_dry_run},
    {"memctld", "store", read_store},
    {"history", "size", read_store_size},
    {"history", "keep-raw", read_keep_raw},
    {"history", "keep-minutes", read_keep_minutes},
    {"history", "keep-hours", read_keep_hours},
    {"budget", "budget", read_budget},
    {"budget", "reserve", read_reserve},
    {"budget", "overcommit", read_overcommit},
    {"policy", "name", read_policy},
    {"governor", "floor-margin", read_margin},
    {"governor", "calm", read_calm},
    {"budget", "distress-reserve", read_distress_reserve},
    {"dedupe", "mode", read_dedupe_mode},
    {"dedupe", "cpu", read_dedupe_cpu},
    {"dedupe", "cpu-when-short", read_dedupe_busy_cpu},
    {"dedupe", "merge-cpu", read_merge_cpu},
    {"dedupe", "merge-worth", read_merge_worth},
    {"dedupe", "interval", read_dedupe_interval},
    {"dedupe", "table", read_dedupe_table},
    {"dedupe", "sketch-key", read_sketch_key},
    {"governor", "shrink-rate", read_shrink_rate},
    {"governor", "boot-grace", read_boot_grace},
    {"governor", "foreign-hold", read_foreign_hold},
    {"governor", "cooldown", read_cooldown},
    {"governor", "host-reclaim", read_host_reclaim},
    {"governor", "last-resort-after", read_resort_after},
    {"governor", "last-resort-pause", read_resort_pause},
    {"governor", "last-resort-undo", read_resort_undo},
    {"estimate", "active-fade", read_active_fade},
    {"estimate", "host-sampling", read_host_sampling},
    {"estimate", "host-window", read_host_window},
};

int config_key_set(struct config *config, const char *section, const char *name, const char *value,
                   bool *section_known, struct mc_error *err)
{
    *section_known = false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        if (strcmp(section, keys[i].section) != 0)
            continue;
        *section_known = true;
        if (strcmp(name, keys[i].name) == 0)
            return keys[i].read(config, value, err);
    }
    return 1;
}
