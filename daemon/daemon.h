/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memctld's one root structure. The files follow the way of the data:
 *
 *   tick.c      when; runs the steps below in their order
 *   observe.c   asks the hypervisor on a lane, adds what the configuration and the agents say
 *   (lib)       estimate, decide, govern: mc_engine_step()
 *   act.c       sends the plan's commands on lanes
 *   reclaim.c   has the host take memory from guests
 *   resort.c    suspends or saves guests, and lets them go on
 *   record.c    says what happened, to the log and a recording
 *   watch.c     what of each guest is remembered for people
 *   events.c    the last few thousand things that changed
 *   keeper.c    writes the history, on a thread of its own; librarian.c reads it on another one
 *
 * and beside them control.c with request.c, verbs.c, admissions.c, events_verb.c, explain.c,
 * lookup.c, pause.c, history_verb.c and save.c (the socket), http.c with metrics*.c (Prometheus)
 * and page*.c with trend.c (the page for people), agents.c (the host's ends of the channels to the
 * agents in the guests), sampling.c (what guests touch, seen from the host), lookout.c (guests that
 * nobody would hear in time), dedupe.c with
 * scanner_process.c and dedupe_verb.c (the page-dedupe scanner, whose process is in scanner/), and
 * steer*.c (the kernel's page merging). Everything here runs on the main loop; only jobs on lanes
 * (lanes.c) and sampling.c's thread run elsewhere.
 */
#ifndef MEMCTLD_DAEMON_H
#define MEMCTLD_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include <memctl/engine.h>
#include <memctl/hypervisor.h>

#include "admissions.h"
#include "clock.h"
#include "config.h"
#include "events.h"
#include "exposition.h"
#include "keeper.h"
#include "lanes.h"
#include "pause.h"
#include "policies.h"
#include "recorder.h"
#include "trend.h"
#include "watch.h"

struct agents;
struct dedupe;
struct steer;
struct librarian;
struct lookout;
struct follower;
struct observation;
struct sampling;
struct save;
struct control;
struct http;

/* Counters since the start; each is a metric. */
struct counters {
    uint64_t ticks;
    uint64_t ticks_late; /* the observation was not back in time */
    uint64_t observe_failures;
    uint64_t policy_failures;
    uint64_t commands; /* balloon targets sent */
    uint64_t command_failures;
    uint64_t bytes_reclaimed;             /* sum of all lowered targets */
    uint64_t bytes_granted;               /* sum of all raised targets */
    uint64_t rule_changes[MC_RULE_COUNT]; /* of targets, by the governor's rules */
    struct histogram observe_seconds, decide_seconds;
    uint64_t host_reclaims, host_reclaim_failures;
    uint64_t host_reclaimed;   /* bytes that the host was asked to take from guests */
    uint64_t stats_asks;       /* of guests, out of turn */
    uint64_t stops, continues; /* of guests, as a last resort */
    uint64_t resort_failures;
};

/* What is known of the connection to the hypervisor. */
struct link_state {
    bool up;
    struct mc_error last_error;
    uint64_t pause_ms; /* until the next try */
};

struct tick {
    struct event *timer;
    uint64_t took_ms;            /* the last observation */
    uint64_t due_ms;             /* when the running or next tick should begin */
    unsigned outstanding;        /* observations that are not back */
    bool waiting;                /* for an observation that is not late yet */
    struct observation *awaited; /* if so: that one, which may be for later */
    bool again;                  /* somebody asked for another tick meanwhile */
    uint64_t within_ms;          /* how long the next observation may take */
    uint64_t owed_ms;            /* when the tick that is not made yet should have begun, or 0 */
    uint64_t lateness_ms;        /* of the last tick: its plan against that time */
};

struct act;
struct reclaims;
struct resort;

enum { SIGNAL_COUNT = 3 };

struct options;

struct daemon {
    struct event_base *base;
    struct event *signals[SIGNAL_COUNT];
    struct event *changed;   /* made active when the hypervisor reports a change */
    struct event *stalled;   /* the host's memory is short; NULL if it cannot tell */
    struct event *heartbeat; /* for systemd's watchdog, if there is one */
    const struct options *options;
    struct config config;
    uint64_t started_ms;

    struct mc_hypervisor *hypervisor;
    struct lanes *lanes;
    struct policies policies;
    struct mc_engine *engine;
    struct recorder *recorder;   /* NULL: nothing is recorded */
    struct keeper *keeper;       /* NULL: no history is kept */
    uint64_t keeper_changes;     /* of its state, as far as they were told */
    struct librarian *librarian; /* NULL as well */

    struct mc_snapshot snapshot; /* the newest, with estimates */
    struct mc_plan plan;         /* for it; plan.count == snapshot.count */
    bool has_plan;
    struct watch watch; /* of the guests in the snapshot */

    struct link_state link;
    struct pauses pauses;
    struct admissions admissions;
    struct tick tick;
    struct act *act;
    struct reclaims *reclaims;
    struct resort *resort;
    struct agents *agents;
    struct sampling *sampling;
    struct lookout *lookout;
    struct control *control;
    struct events *events;
    struct follower *followers; /* requests that wait for an event, events_verb.c */
    unsigned lookups;           /* requests that wait for the hypervisor, lookup.c */
    uint64_t stores;            /* settings stored so far */
    struct save *saves;         /* settings being stored, save.c */
    struct dedupe *dedupe;
    struct steer *steer;
    struct http *http;
    struct trend *trend;
    struct counters counters;
};

/* tick.c */
int tick_start(struct daemon *daemon);
void tick_stop(struct daemon *daemon);
/* Something changed: look again soon, whatever the timer says. */
void tick_wake(struct daemon *daemon);

/*
 * observe.c: take a snapshot on a lane, at the times that `when` says; `done` gets 0 or an error on
 * the main loop. NULL when out of memory.
 */
struct observation {
    struct job job;
    struct daemon *daemon;
    struct mc_snapshot snapshot;
    void (*done)(struct observation *observation); /* takes over nothing; frees nothing */
    void (*late)(struct observation *observation);
};
struct observation *observe_start(struct daemon *daemon, const struct job *when,
                                  void (*done)(struct observation *),
                                  void (*late)(struct observation *));
/* Add what the configuration says about each guest, or about one: its terms. */
void observe_apply_config(const struct config *config, struct mc_snapshot *snapshot);
void observe_apply_config_to(const struct config *config, struct mc_guest *guest);

/* act.c */
struct act *act_new(void);
void act_free(struct act *act);
/* Before the engine: guests with a command that has not come back must not get another. */
void act_mark_busy(const struct act *act, struct mc_snapshot *snapshot);
/* After the engine: send what the plan says, and turn on missing statistics. */
void act_run(struct daemon *daemon);

/* reclaim.c: host reclaim. NULL when out of memory. */
struct reclaims *reclaims_new(void);
void reclaims_free(struct reclaims *reclaims);
/* Before the engine: from which guests nothing can be taken now. */
void reclaims_mark(struct daemon *daemon);
void reclaims_run(struct daemon *daemon);

/* record.c */
void record_plan(struct daemon *daemon);
void record_command(struct daemon *daemon, const struct event_facts *facts,
                    const struct mc_error *err);
/* A command that a dry run did not send, once for as long as it stays the same. */
void record_withheld(struct daemon *daemon, const struct mc_guest *guest,
                     const struct mc_step *step);
/* The engine was made or got another configuration or policy. */
void record_begin(struct daemon *daemon);
/* A pass of the engine, whether it gave a plan or not. */
void record_pass(struct daemon *daemon, bool planned);
/* What became of a guest's balloon command. */
void record_outcome(struct daemon *daemon, const char *uuid, uint64_t now_ms, bool is_done);
/* A dry run did not send the guest its command. */
void record_kept_back(struct daemon *daemon, const char *uuid);
void record_unsettle(struct daemon *daemon);
/* A plan was made: keep it in the history, and tell if that does not work any longer. */
void record_history(struct daemon *daemon);
/* Give the engine what an earlier daemon had learned, once that is there. */
void record_lessons(struct daemon *daemon);
void record_link(struct daemon *daemon, const struct mc_error *err);

/* events_verb.c: an events_listener for the daemon; and a last answer for all who wait. */
void events_tell(void *opaque);
void events_tell_last(struct daemon *daemon);

/* control.c */
struct control *control_start(struct daemon *daemon, struct mc_error *err);
void control_stop(struct control *control);

/* http.c */
struct http *http_start(struct daemon *daemon, struct mc_error *err);
void http_stop(struct http *http);
/* Listen again after running out of descriptors; to be called now and then. */
void http_revive(struct http *http);

/*
 * reload.c: take the configuration from the file again; keeps the old one on any error. by: who
 * wants it, for the events.
 */
int daemon_reload(struct daemon *daemon, const char *by, struct mc_error *err);

#endif
