/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is remembered of each running guest to tell the operator: how its last command ended, and
 * what was said about it, so that the next change is news. One entry for each guest, in the order
 * of the snapshot; it goes with the guest.
 */
#ifndef MEMCTLD_WATCH_H
#define MEMCTLD_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/model.h>

#include "events.h"

enum outcome_state {
    OUTCOME_NONE,     /* no command was sent */
    OUTCOME_SENT,     /* it has not come back */
    OUTCOME_TAKEN,    /* by the hypervisor; how far the balloon got is seen in the snapshot */
    OUTCOME_FAILED,   /* see error */
    OUTCOME_WITHHELD, /* a dry run: since sent_ms it would have been sent */
};

/* What the host took from a guest by itself. */
struct host_took {
    uint64_t bytes;   /* asked for, in all */
    uint64_t last_ms; /* when it was asked for last, 0 for never */
    uint64_t untold, told_ms;
    char error[256]; /* of the last time */
};

/* The last balloon command of a guest. */
struct outcome {
    enum outcome_state state;
    bool late; /* it took, or takes, longer than it may */
    uint64_t from, to;
    enum mc_rule reason;
    uint64_t sent_ms, ended_ms;
    char error[256];
};

/* How a guest was made smaller the last time: by one command after another, none larger between. */
struct shrunk {
    unsigned commands; /* 0: never in this run */
    bool over;         /* it was told to grow since */
    uint64_t from, to;
    uint64_t began_ms, sent_ms;
    /* of the last command */
    enum mc_rule reason;
    uint64_t wish, divided;
    enum mc_host_state state;
};

struct watched {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    int run_id;
    /* as it was told last */
    bool known;
    enum mc_exempt exempt;
    bool answers, agent, stuck, foreign;
    enum mc_distress distress;
    uint64_t distress_ms; /* when it was seen last */
    bool fresh, was_fresh;
    unsigned told; /* of what a guest can bring about as often as it likes, since told_ms */
    uint64_t told_ms;
    uint64_t stats_update;  /* of the balloon's last statistics, 0 if there were none */
    uint64_t stats_seen_ms; /* when that was seen to change */
    struct outcome last;
    struct shrunk shrunk;
    struct host_took took;
    /* counted in this run; each is a metric */
    uint64_t commands, command_failures, bytes_reclaimed, bytes_granted;
    uint64_t troubles; /* times that it came into distress */
};

struct watch {
    struct watched *list;
    size_t count;
    enum mc_host_state host;
};

void watch_free(struct watch *watch);

/*
 * Bring the entries into line with the snapshot, before act_mark_busy(), and tell what changed.
 * Without memory for it nothing is remembered.
 */
void watch_follow(struct watch *watch, const struct mc_snapshot *snapshot, struct events *events);

/* The same for what the engine found out. */
void watch_plan(struct watch *watch, const struct mc_snapshot *snapshot, const struct mc_plan *plan,
                struct events *events);

/* The entry of a guest, or NULL. */
struct watched *watch_find(const struct watch *watch, const char *uuid);

/* A command of the plan goes out, is late, comes back. */
void watch_sent(struct watch *watch, const struct mc_plan *plan, const struct mc_guest *guest,
                const struct mc_step *step, uint64_t now_ms);
/* Returns whether this is another one than before. */
bool watch_withheld(struct watch *watch, const struct mc_guest *guest, const struct mc_step *step,
                    uint64_t now_ms);
void watch_late(struct watch *watch, const char *uuid);
void watch_ended(struct watch *watch, const char *uuid, uint64_t now_ms,
                 const struct mc_error *err);

const char *outcome_name(enum outcome_state state);

#endif
