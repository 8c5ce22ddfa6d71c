/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include <memctl/scan.h>
#include <memctl/wire.h>

#include "config_keys.h"

#define GUESTS_SECTION "guests"
#define STORE_DEFAULT "/var/lib/memctl/memctl.db"

struct reader {
    struct config *config;
    struct mc_error *err;
    bool failed;
};

struct config config_default(void)
{
    return (struct config){
        .connect = "qemu:///system",
        .socket = MC_SOCKET_DEFAULT,
        .socket_group = "memctl",
        .metrics = "127.0.0.1:9749",
        .page = true,
        .policy = "idle-tax",
        .engine = mc_engine_config_default(),
        .dedupe = {.cpu_percent = 2,
                   .busy_cpu_percent = 10,
                   .interval_ms = 60000,
                   .steer = mc_steer_config_default(),
                   .table_share = mc_scanner_config_default().table_share},
        .sampling = {.window_ms = 30000},
        .history = mc_store_config_default(),
        .defaults = mc_settings_default(),
    };
}

void config_free(struct config *config)
{
    free(config->rules);
    *config = (struct config){0};
}

const char *config_store(const struct config *config)
{
    if (config->store_said)
        return config->store;
    return strncmp(config->connect, "sim:", 4) == 0 ? "" : STORE_DEFAULT;
}

static int add_policy_param(struct config *config, const char *name, const char *value,
                            struct mc_error *err)
{
    struct policy_param *param = &config->policy_params[config->policy_param_count];

    if (config->policy_param_count == sizeof(config->policy_params) / sizeof(*param))
        return mc_error_set(err, -EINVAL, "too many parameters");
    if (config_text(param->name, sizeof(param->name), name, err) < 0 ||
        config_text(param->value, sizeof(param->value), value, err) < 0)
        return -EINVAL;
    config->policy_param_count++;
    return 0;
}

static int add_guest_setting(struct config *config, const char *pattern, const char *name,
                             const char *value, struct mc_error *err)
{
    struct guest_rule *rule;

    for (size_t i = 0; i < config->rule_count; i++)
        if (strcmp(config->rules[i].pattern, pattern) == 0)
            return mc_settings_say(&config->rules[i].settings, name, value, err);
    rule = reallocarray(config->rules, config->rule_count + 1, sizeof(*rule));
    if (!rule)
        return mc_error_set(err, -ENOMEM, "out of memory");
    config->rules = rule;
    rule = &config->rules[config->rule_count++];
    *rule = (struct guest_rule){0};
    if (config_text(rule->pattern, sizeof(rule->pattern), pattern, err) < 0)
        return -EINVAL;
    return mc_settings_say(&rule->settings, name, value, err);
}

int config_set(struct config *config, const char *section, const char *name, const char *value,
               struct mc_error *err)
{
    bool section_known;
    int rc;

    if (strcmp(section, GUESTS_SECTION) == 0)
        return mc_settings_say(&config->defaults, name, value, err);
    if (strncmp(section, GUESTS_SECTION " ", strlen(GUESTS_SECTION " ")) == 0)
        return add_guest_setting(config, section + strlen(GUESTS_SECTION " "), name, value, err);
    rc = config_key_set(config, section, name, value, &section_known, err);
    if (rc <= 0)
        return rc;
    if (strcmp(section, "policy") == 0)
        return add_policy_param(config, name, value, err);
    if (section_known)
        return mc_error_set(err, -EINVAL, "unknown key; see memctld.conf(5)");
    return mc_error_set(err, -EINVAL,
                        "unknown section; known are memctld, budget, history, policy, "
                        "governor, estimate, dedupe, guests and guests PATTERN");
}

static int on_key(void *opaque, const char *section, const char *name, const char *value)
{
    struct reader *reader = opaque;

    if (reader->failed)
        return 1;
    if (config_set(reader->config, section, name, value, reader->err) < 0) {
        mc_error_prefix(reader->err, "[%s] %s: ", section, name);
        reader->failed = true;
        return 0;
    }
    return 1;
}

/* The defaults must say all that they say at first, whatever the file took back. */
static int check_defaults(const struct config *config, struct mc_error *err)
{
    const unsigned needed = mc_settings_default().present;

    for (unsigned i = 0; i < MC_SETTING_COUNT; i++)
        if ((needed & ~config->defaults.present) & (1U << i))
            return mc_error_set(err, -EINVAL, "[guests] %s: needs a value", mc_setting_name(i));
    return 0;
}

int config_load(const char *file, struct config *config, struct mc_error *err)
{
    struct config loaded = config_default();
    struct reader reader = {.config = &loaded, .err = err};
    FILE *in = fopen(file, "re");
    int line, rc = 0;

    if (!in)
        return mc_error_set(err, -errno, "configuration %s cannot be read: %s", file,
                            strerror(errno));
    line = ini_parse_file(in, on_key, &reader);
    if (ferror(in))
        rc = mc_error_set(err, -EIO, "configuration %s cannot be read: %s", file, strerror(errno));
    fclose(in);
    if (rc < 0)
        reader.failed = true;
    else if (line < 0)
        rc = mc_error_set(err, -ENOMEM, "configuration %s: out of memory", file);
    else if (line > 0 && !reader.failed)
        rc = mc_error_set(err, -EINVAL, "configuration %s: line %d: not 'key = value'", file, line);
    else if (reader.failed) {
        mc_error_prefix(err, "configuration %s: line %d: ", file, line);
        rc = -EINVAL;
    } else if (check_defaults(&loaded, err) < 0) {
        mc_error_prefix(err, "configuration %s: ", file);
        rc = -EINVAL;
    }
    if (rc < 0) {
        config_free(&loaded);
        return rc;
    }
    config_free(config);
    *config = loaded;
    return 0;
}

struct mc_settings config_settings_for(const struct config *config, const char *name,
                                       const struct mc_settings *own)
{
    struct mc_settings settings = config->defaults;

    for (size_t i = 0; i < config->rule_count; i++)
        if (fnmatch(config->rules[i].pattern, name, 0) == 0)
            mc_settings_merge(&settings, &config->rules[i].settings);
    mc_settings_merge(&settings, own);
    return settings;
}
