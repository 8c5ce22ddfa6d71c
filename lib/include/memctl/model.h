/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values that travel through memctl, once per tick and in one direction:
 *
 *   observe -> estimate -> decide -> govern -> act -> record
 *
 * A snapshot is what was seen of the host and its guests at one moment; a plan is what shall be
 * done about it, and why. Both are plain data: they can be printed, stored and replayed.
 */
#ifndef MEMCTL_MODEL_H
#define MEMCTL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>
#include <memctl/settings.h>
#include <memctl/units.h>
#include <memctl/visibility.h>

#define MC_UUID_TEXT 37
#define MC_NAME_TEXT 256

enum mc_guest_state {
    MC_GUEST_RUNNING,
    MC_GUEST_PAUSED,
    MC_GUEST_MIGRATING,
    MC_GUEST_STOPPING,
    MC_GUEST_CRASHED,
    MC_GUEST_STOPPED, /* defined, and not running: never in what was observed */
};

/* Why a guest is counted but never touched; MC_EXEMPT_NO for one that memctl manages. */
enum mc_exempt {
    MC_EXEMPT_NO,
    MC_EXEMPT_UNMANAGED,
    MC_EXEMPT_NO_BALLOON,
    MC_EXEMPT_LOCKED,
    MC_EXEMPT_HUGE_PAGES,
    MC_EXEMPT_PASSTHROUGH,
    MC_EXEMPT_NOT_RUNNING,
    MC_EXEMPT_MIGRATING,   /* its memory is being copied away while it runs */
    MC_EXEMPT_OPERATOR,    /* paused with 'memctl pause' */
    MC_EXEMPT_LAST_RESORT, /* memctl has suspended it */
    MC_EXEMPT_COUNT,
};

/* What the guest's balloon driver reported; bytes or counts since boot, MC_UNKNOWN if missing. */
struct mc_balloon_stats {
    uint64_t available; /* the guest's MemTotal; shrinks with the balloon unless deflate-on-OOM */
    uint64_t unused;    /* MemFree */
    uint64_t usable;    /* MemAvailable */
    uint64_t disk_caches;
    uint64_t swap_in, swap_out;
    uint64_t major_faults, minor_faults;
    uint64_t last_update; /* seconds of the host's real-time clock; 0: no driver has answered */
};

/* How a guest shows that it has too little memory. */
enum mc_distress {
    MC_DISTRESS_NO,
    MC_DISTRESS_AGENT,    /* its agent says so */
    MC_DISTRESS_USABLE,   /* hardly anything is left that it could use */
    MC_DISTRESS_SWAP,     /* it reads back what it had swapped out */
    MC_DISTRESS_FAULTS,   /* it reads programs and files over and over, with little left to use */
    MC_DISTRESS_DEFLATED, /* it took memory back from the balloon by itself */
    MC_DISTRESS_FILLING,  /* at its pace it runs out within a second: see filling.h */
};

/* Where the figure for active memory comes from. */
enum mc_source {
    MC_SOURCE_NONE,
    MC_SOURCE_BALLOON, /* the balloon driver's statistics */
    MC_SOURCE_AGENT,   /* the agent inside the guest */
    MC_SOURCE_HOST,    /* what the host's kernel sees of QEMU's memory */
};

/* What an agent found out about the memory that its guest works with; bytes, found_ms 0: nothing.
 */
struct mc_working_set {
    uint64_t found_ms;
    char method[16];
    uint64_t active;     /* programs' memory and mapped files, touched within the window */
    uint64_t read_cache; /* page cache that may have been used by read() within it */
    uint64_t kernel;     /* the kernel's own */
    uint64_t window_ms;
    unsigned confidence; /* percent */
    unsigned cost;       /* of one of the guest's processors, millionths */
};

/*
 * What the host's kernel saw of the guest's memory that was touched within a window; bytes of what
 * was resident then, found_ms 0: nothing. The truth lies between least and most, as far as the
 * method can tell.
 */
struct mc_host_sample {
    uint64_t found_ms;
    char method[16];
    uint64_t active, least, most;
    uint64_t window_ms;
    unsigned confidence; /* percent: how sure it is that no more is touched than `most` */
    unsigned pages;      /* that were looked at, 0 where the method does not count them */
    unsigned cost;       /* of one of the host's processors for all guests, millionths */
};

/* A part of QEMU's address space that is the guest's memory. */
struct mc_ram {
    uint64_t address, size;
};

/* More memory backends than this are not looked at from the host. */
#define MC_RAM_MAX 8

/* What the agent inside the guest said last; present only while it is connected and fresh. */
struct mc_agent_report {
    bool present;
    char version[32];
    uint64_t received_ms;
    uint64_t total, free, available; /* its own meminfo, bytes */
    uint64_t stall_us;               /* a second that some task waited for memory, MC_UNKNOWN */
    uint64_t distress_ms;            /* when it last said that memory is nearly gone, 0 for never */
    uint64_t distress_rate;          /* how fast it was going then, bytes a second, 0 if unknown */
    uint64_t refaults; /* pages of files that came back soon after reclaim, a count, MC_UNKNOWN */
    struct mc_working_set working_set;
};

/* Can the host take memory from the guest by itself? */
enum mc_reclaim {
    MC_RECLAIM_POSSIBLE,
    MC_RECLAIM_UNDER_WAY,
    MC_RECLAIM_IMPOSSIBLE, /* it has no cgroup of its own, or an operator has paused it */
    MC_RECLAIM_COUNT,
};

/*
 * That memctl has stopped a guest, as its last resort. It is noted beside the guest's settings, so
 * it outlives memctld, and tells the guest from one that somebody else suspended or saved.
 */
struct mc_stopped {
    enum mc_last_resort how; /* MC_LAST_RESORT_NONE: it has not */
    uint64_t at_s;           /* of the host's real-time clock */
    uint64_t size;           /* what it had resident then, bytes; with its QEMU if it was saved */
};

struct mc_guest {
    /* observed */
    char uuid[MC_UUID_TEXT]; /* the key: names can be reused */
    char name[MC_NAME_TEXT];
    int run_id; /* libvirt's id of this run; a new one after every start */
    pid_t pid;  /* of QEMU on this host, 0 if unknown */
    enum mc_guest_state state;
    enum mc_exempt exempt;
    uint64_t memory;         /* what the guest was configured with */
    uint64_t actual;         /* what the balloon leaves it now */
    bool sized;              /* that was asked for this snapshot; else it is up to a second old */
    uint64_t rss;            /* QEMU's resident memory, MC_UNKNOWN if it cannot be seen */
    uint64_t overhead;       /* of that, what is not guest memory; 0 until measured */
    bool answers;            /* its monitor answered this time */
    uint64_t age_ms;         /* since this run began, MC_UNKNOWN */
    bool deflates_on_oom;    /* its balloon gives memory back before something is killed */
    bool known;              /* its description was read: exempt and own are true */
    unsigned stats_period_s; /* how often its balloon reports, 0 for never */
    char agent_socket[108];  /* the host end of its agent channel, "" without one */
    struct mc_balloon_stats stats;
    uint64_t filling_ms;   /* when it was last seen to run out of memory, 0 for never */
    uint64_t filling_rate; /* how fast it was going then, bytes a second, 0 if unknown */
    struct mc_agent_report agent;
    struct mc_host_sample sample;
    struct mc_ram ram[MC_RAM_MAX]; /* where QEMU has its memory; none until that was found */
    unsigned ram_count;
    struct mc_stopped stopped; /* what its metadata says */
    struct mc_settings own;    /* the same */
    struct mc_terms terms;     /* what holds, configuration included */
    enum mc_reclaim reclaim;
    bool resort_hold; /* neither to be stopped nor continued: it failed, or an operator paused it */

    /* estimated */
    bool fresh;      /* the statistics are recent and possible */
    uint64_t used;   /* what it cannot give up now, MC_UNKNOWN without statistics */
    uint64_t active; /* what it works with */
    uint64_t held;   /* what of its memory is resident on the host */
    enum mc_source active_source;
    char active_method[16];     /* how that was found out, "" for not at all */
    uint64_t active_window_ms;  /* how far back it looks */
    unsigned active_confidence; /* percent: how sure it is that no more is worked with */
    enum mc_distress distress;  /* now */
    bool stuck;                 /* its balloon does not follow */
    bool foreign;               /* its balloon was moved by somebody else, and is left alone */
};

/* Pressure stall information: share of time in hundredths of a percent over the last 10 s. */
struct mc_pressure {
    bool present;
    unsigned some_avg10, full_avg10;
};

struct mc_host {
    uint64_t total;
    uint64_t available; /* what could be used without swapping, as the kernel estimates it */
    uint64_t swap_total, swap_free;
    struct mc_pressure pressure;
};

/*
 * How much memory is left, from plenty to next to nothing; after ESXi's memory states, which begin
 * at 400, 100, 64, 32 and 16 percent of the least that shall be free.
 */
enum mc_host_state {
    MC_HOST_HIGH,  /* the promise may rise */
    MC_HOST_CLEAR, /* pages are shared */
    MC_HOST_SOFT,  /* the promise falls */
    MC_HOST_HARD,  /* at any speed, without the floors' margins */
    MC_HOST_LOW,   /* the guests' last resorts */
};

/* A guest that memctl has saved: it does not run. */
struct mc_saved {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    struct mc_stopped stopped;
};

/* What is known of the last resort beside the running guests. */
struct mc_resort {
    bool busy;            /* a guest is being stopped or continued */
    unsigned saved_count; /* guests that memctl has saved */
    struct mc_saved last; /* of those that may be started, the one saved last; "" for none */
};

struct mc_snapshot {
    uint64_t now_ms; /* monotonic; virtual in a simulation */
    int64_t wall_s;  /* the host's real-time clock, seconds */
    struct mc_host host;
    uint64_t pledged; /* kept free for guests that are about to start: see admission.h */
    struct mc_resort resort;
    struct mc_guest *guests; /* sorted by UUID */
    size_t count, room;
};

/* A snapshot owns its guests. Start from {0}; reset keeps the memory for the next observation. */
MC_PUBLIC void mc_snapshot_reset(struct mc_snapshot *snapshot);
MC_PUBLIC void mc_snapshot_free(struct mc_snapshot *snapshot);

/* Append a zeroed guest; NULL when memory is out. Pointers to earlier guests become invalid. */
MC_PUBLIC struct mc_guest *mc_snapshot_add(struct mc_snapshot *snapshot);

/* Bring the guests into the order of their UUIDs; every reader relies on it. */
MC_PUBLIC void mc_snapshot_sort(struct mc_snapshot *snapshot);

/*
 * Fill in saved_count and last of the snapshot's resort from guests that were found saved by memctl
 * (mc_session_find_stopped()). Those with resort_hold are only counted.
 */
MC_PUBLIC void mc_snapshot_note_saved(struct mc_snapshot *snapshot,
                                      const struct mc_snapshot *found);

/* The guest with this UUID, or NULL. */
MC_PUBLIC struct mc_guest *mc_snapshot_find(const struct mc_snapshot *snapshot, const char *uuid);

/* The guest with this name, or else this UUID, or NULL. */
MC_PUBLIC struct mc_guest *mc_snapshot_find_named(const struct mc_snapshot *snapshot,
                                                  const char *name_or_uuid);

/* The governor's rules, in the order in which they are asked. */
enum mc_rule {
    MC_RULE_POLICY, /* not a rule: the policy's own wish */
    MC_RULE_EXEMPT,
    MC_RULE_FOREIGN_HAND,
    MC_RULE_STUCK,
    MC_RULE_PROMISE,
    MC_RULE_BOOT,
    MC_RULE_FLOOR,
    MC_RULE_FRESHNESS,
    MC_RULE_DISTRESS,
    MC_RULE_RATE,
    MC_RULE_CALM,
    MC_RULE_SHRINK_FIRST,
    MC_RULE_COUNT,
};

/* One link of the chain from the policy's wish to what is sent. */
struct mc_change {
    enum mc_rule rule;
    uint64_t from, to;
};

/* What the last resort does to a guest. */
enum mc_resort_step {
    MC_RESORT_LEAVE,
    MC_RESORT_SUSPEND,
    MC_RESORT_SAVE,
    MC_RESORT_CONTINUE,
};

/* Does the host take memory from guests, or why not? */
enum mc_reclaim_verdict {
    MC_RECLAIM_NOT_NEEDED,
    MC_RECLAIM_OFF,     /* the configuration says so */
    MC_RECLAIM_NO_SWAP, /* there is none, or it is nearly full */
    MC_RECLAIM_NOBODY,  /* no guest has idle memory that may be taken */
    MC_RECLAIM_WORKS,
    MC_RECLAIM_VERDICTS,
};

/* What shall happen to the guest at the same index of the snapshot. */
struct mc_step {
    uint64_t wish;    /* the policy's target */
    uint64_t target;  /* the balloon target that is safe now */
    bool send;        /* the hypervisor has to be told */
    uint64_t reclaim; /* what the host shall take of its resident memory now, bytes */
    enum mc_resort_step resort;
    struct mc_change changes[MC_RULE_COUNT];
    unsigned change_count;
};

struct mc_plan {
    uint64_t budget;    /* what all guests together may occupy, QEMU's own memory included */
    uint64_t overheads; /* QEMU's own memory of the managed guests */
    uint64_t exempt;    /* what exempt guests may take */
    uint64_t pledged;   /* kept free for guests that are about to start */
    uint64_t reserve;   /* kept for guests in trouble */
    uint64_t strict;    /* what is left for the managed guests' memory */
    uint64_t divided;   /* what they are promised of it now, elastic: see govern/promise.c */
    uint64_t held;      /* what of the managed guests' memory is resident */
    uint64_t headroom;  /* what they could still take without harm, 0 if that is too much already */
    uint64_t overrun;   /* by how much that is too much, 0 if there is headroom */
    uint64_t min_free;  /* the least that shall be free: the measure of the states */
    enum mc_host_state state;
    uint64_t promised; /* what managed guests can take already, whatever happens */
    uint64_t spare;    /* for the pledges: what is free now, of the budget and on the host */
    uint64_t givable;  /* what more there can be if the guests give all that they can */
    uint64_t reserved; /* the sum of the reservations, with QEMUs and exempt guests */
    uint64_t surplus;  /* of `divided`, what all limits together cannot use */
    uint64_t deficit;  /* what the reservations exceed `divided` by */
    uint64_t reclaim;  /* the sum of the steps' */
    enum mc_reclaim_verdict reclaim_verdict;
    uint64_t stopped; /* guests that memctl has suspended or saved, how many */
    bool start_saved; /* start the snapshot's resort.last */
    struct mc_step *steps;
    size_t count, room;
};

/* A plan owns its steps. Sets count zeroed steps; returns 0 or -ENOMEM. */
MC_PUBLIC int mc_plan_reset(struct mc_plan *plan, size_t count);
MC_PUBLIC void mc_plan_free(struct mc_plan *plan);

/*
 * The reason to show: the rule that set the target last, MC_RULE_POLICY where none objected. Calm
 * only ever rounds off what another rule decided, and is named where it was alone.
 */
MC_PUBLIC enum mc_rule mc_step_reason(const struct mc_step *step);

/* Stable names for people, JSON and metrics. */
MC_PUBLIC const char *mc_guest_state_name(enum mc_guest_state state);
MC_PUBLIC const char *mc_exempt_name(enum mc_exempt exempt);
MC_PUBLIC const char *mc_source_name(enum mc_source source);
MC_PUBLIC const char *mc_rule_name(enum mc_rule rule);
MC_PUBLIC const char *mc_distress_name(enum mc_distress distress);
MC_PUBLIC const char *mc_host_state_name(enum mc_host_state state);
MC_PUBLIC const char *mc_reclaim_verdict_name(enum mc_reclaim_verdict verdict);
MC_PUBLIC const char *mc_resort_step_name(enum mc_resort_step step);

#endif
