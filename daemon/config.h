/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memctld.conf; docs/man/memctld.conf.5.scd describes every key. */
#ifndef MEMCTLD_CONFIG_H
#define MEMCTLD_CONFIG_H

#include <memctl/engine.h>
#include <memctl/error.h>
#include <memctl/settings.h>
#include <memctl/steer.h>
#include <memctl/store.h>

#define CONFIG_TEXT 256

/* What a section [guests PATTERN] says about the guests whose name it matches. */
struct guest_rule {
    char pattern[CONFIG_TEXT];
    struct mc_settings settings;
};

/* Which guests' memory is read for equal pages, and what that may cost. */
struct dedupe_config {
    bool scan;  /* else not one byte of any guest is read */
    bool merge; /* and KSM is steered by what was found */
    struct mc_steer_config steer;
    unsigned cpu_percent, busy_cpu_percent; /* of one processor; while the host is short */
    uint64_t interval_ms;                   /* between the starts of two passes */
    unsigned table_share;                   /* ten-thousandths of the memory that is scanned */
    char sketch_key[4096];                  /* the file with the key, "" for no sketches */
};

/* What guests touch, seen from the host. */
struct sampling_config {
    bool on;
    char method[16]; /* "": the best that the kernel has */
    uint64_t window_ms;
};

struct policy_param {
    char name[64], value[64];
};

struct config {
    char connect[4096];
    char socket[108];
    char socket_group[64];
    char record[4096];         /* the file of a recording, "" for none */
    char metrics[CONFIG_TEXT]; /* ADDRESS:PORT, "" for none */
    char metrics_names[1024];  /* what else this host is called in requests, by blanks */
    bool page;                 /* the page for people is served there as well */
    char store[4096];          /* the history's file, "" for none; see config_store() */
    bool store_said;
    struct mc_store_config history;
    bool dry_run; /* nothing is sent to any guest */
    char policy[CONFIG_TEXT];
    struct policy_param policy_params[8];
    size_t policy_param_count;
    struct mc_engine_config engine;
    struct dedupe_config dedupe;
    struct sampling_config sampling;
    struct mc_settings defaults;
    struct guest_rule *rules;
    size_t rule_count;
};

/* What holds without a file. */
struct config config_default(void);
void config_free(struct config *config);

/*
 * The history's file. Where nobody said one: the default, or none with a simulated host, whose
 * guests have nothing to do in the history of real ones.
 */
const char *config_store(const struct config *config);

/* Read a file over the defaults. -ENOENT, -EACCES, -EINVAL with file, line and key in err. */
int config_load(const char *file, struct config *config, struct mc_error *err);

/* Set one key as a line of the file would. */
int config_set(struct config *config, const char *section, const char *name, const char *value,
               struct mc_error *err);

/* The settings of a guest: defaults, then every matching pattern in the file's order, then its own.
 */
struct mc_settings config_settings_for(const struct config *config, const char *name,
                                       const struct mc_settings *own);

#endif
