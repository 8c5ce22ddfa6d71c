/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which guests the kernel shall merge, and how fast it shall look: a pure decision over what the
 * page scanner found and what was seen of KSM. Nothing here reads or writes anything.
 *
 * KSM has one tree of merged pages for the whole host, and no notion of trust. So at most one trust
 * domain is mergeable at any time, and ksmd runs only while nothing else on the host is: no guest
 * of another domain, neither its RAM nor what its QEMU has beside that, no guest that nobody could
 * look at yet, no process that is no guest. What is not mergeable has no merged pages either: the
 * kernel parts them first.
 */
#ifndef MEMCTL_STEER_H
#define MEMCTL_STEER_H

#include <memctl/ksm.h>
#include <memctl/model.h>

struct mc_steer_config {
    uint64_t worth;       /* what a second of ksmd's processor time must save, bytes */
    unsigned cpu_percent; /* of one processor that ksmd may take while it looks */
};

/* Why a guest is, or is not, to be merged. Up to MC_STEER_WAITS: it is, now or later. */
enum mc_steer_reason {
    MC_STEER_PAYS,         /* it is to be merged */
    MC_STEER_PLENTY,       /* it would pay, and the host has memory enough */
    MC_STEER_WAITS,        /* it pays; what must not be mergeable with it still is */
    MC_STEER_OTHER_DOMAIN, /* it would pay, but another trust domain saves more */
    MC_STEER_POOR,         /* it saves less than it costs */
    MC_STEER_UNKNOWN,      /* the scanner has not told yet */
    MC_STEER_OFF,          /* dedupe=no */
    MC_STEER_UNFIT,        /* its memory is shared, in huge pages or locked */
    MC_STEER_UNTOUCHED,    /* paused, unmanaged, migrating: it is left as it is */
    MC_STEER_SILENT,       /* its QEMU could not be asked */
    MC_STEER_NO_ROOM,      /* to part its pages needs memory that the host does not have */
    MC_STEER_REASONS,
};

enum mc_steer_switch { MC_STEER_LEAVE, MC_STEER_SWITCH_ON, MC_STEER_SWITCH_OFF };

/* What ksmd does, and why. */
enum mc_steer_pace {
    MC_STEER_NOTHING,   /* does not run: no guest pays */
    MC_STEER_IDLE,      /* does not run: the host has memory enough */
    MC_STEER_BLOCKED,   /* does not run: something is mergeable that must not be */
    MC_STEER_SEARCH,    /* runs fast, until what was promised is merged */
    MC_STEER_FOUND,     /* runs slowly: it is */
    MC_STEER_GAVE_UP,   /* runs slowly: several passes did not find the rest */
    MC_STEER_HANDS_OFF, /* is left alone: somebody else sets KSM, or all is paused */
    MC_STEER_ABSENT,    /* the kernel has no KSM */
    MC_STEER_PACES,
};

/* What is remembered of a guest from one decision to the next. Start from {0}. */
struct mc_steer_mind {
    bool pays;
    unsigned poor_passes;   /* in a row */
    uint64_t promised;      /* bytes that merging saves, as the last pass of the scanner has it */
    uint64_t foretold;      /* the same when ksmd began to look for it; 0: it has not */
    uint64_t present, zero; /* as the scanner had them then */
};

struct mc_steer_guest {
    /* what was seen */
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    char domain[MC_UUID_TEXT]; /* trust domain */
    bool wanted;               /* dedupe=yes */
    bool fit;                  /* its memory is private, in small pages and not locked */
    bool may_switch;           /* its QEMU may be told to */
    bool looked;               /* the four below are true; else they are not known */
    uint64_t mergeable;        /* bytes of its RAM that KSM may look at */
    uint64_t ram;              /* bytes of its RAM that QEMU has */
    uint64_t beside;           /* mergeable bytes of its QEMU that are not RAM, and stay so */
    uint64_t merging; /* of its pages, those that are merged, bytes, or were until lately */
    uint64_t saved;   /* what of KSM's saving is its part, bytes; */
    uint64_t zeroed;  /* of that, pages of zeros that ksmd replaced */
    bool scanned;     /* the five below are of the scanner's last pass */
    uint64_t present, huge, zero;
    uint64_t saving, error; /* what merging the rest would save, pages of zeros included */

    struct mc_steer_mind mind;

    /* what is decided */
    enum mc_steer_reason reason;
    enum mc_steer_switch order;
    uint64_t cpu_ms;  /* of ksmd until it is merged */
    uint64_t split;   /* bytes in huge pages that merging would break, at most */
    uint64_t gain;    /* what was promised less what the broken huge pages are worth */
    uint64_t dropped; /* pages of zeros that the kernel dropped when it broke huge pages */
};

struct mc_steer_host {
    uint64_t now_ms;
    uint64_t pass; /* of the scanner; 0: none yet */
    enum mc_host_state state;
    uint64_t spare;     /* bytes that pages may take when they are parted */
    bool starting;      /* a guest is about to start: nobody knows yet what it will be */
    bool looked;        /* strangers is true */
    unsigned strangers; /* processes that are mergeable and are no guests */
    bool hands_off;     /* KSM is somebody else's, or all is paused: it may only be stopped */
    uint64_t ksmd_us;   /* processor time of ksmd since the host's boot, MC_UNKNOWN */
    struct mc_ksm ksm;
};

/* How fast ksmd is on this host. Start from {0}. */
struct mc_steer_speed {
    bool begun;
    uint64_t pages, cpu_us; /* counted when it was last learned from */
    uint64_t learned;       /* pages in a second of its processor time, 0: nothing yet */
};

/* What is remembered of the whole. Start from {0}. */
struct mc_steer_memory {
    char domain[MC_UUID_TEXT]; /* whose guests are merged, "" for nobody's */
    uint64_t since_ms;
    char rival[MC_UUID_TEXT]; /* the one that was better in the last passes */
    unsigned rival_passes;
    uint64_t pass;         /* the last one that was judged */
    bool searching, ended; /* ended: with the search, it slows down */
    bool gave_up;
    bool near; /* nine tenths were seen, in the pass `near_scans` */
    uint64_t near_scans;
    uint64_t scans;    /* full_scans when the search began */
    uint64_t missing;  /* of the promise when it ended */
    uint64_t foretold; /* what was promised when it began */
    struct mc_steer_speed speed;
};

struct mc_steer_plan {
    char domain[MC_UUID_TEXT];
    enum mc_steer_pace pace;
    char why[MC_ERROR_TEXT / 2]; /* a sentence about ksmd */
    struct mc_ksm_knobs knobs;   /* MC_UNKNOWN: to be left as it is */
    uint64_t promised, saved;    /* of the domain's guests that are to be merged, bytes */
    uint64_t foretold;           /* what was promised when ksmd began to look, 0: it has not */
    uint64_t pages_per_second;   /* of ksmd's processor time, as it is reckoned with */
    bool speed_is_learned;       /* on this host; else it is what others' hosts had */
    unsigned cpu_percent;        /* of one processor that ksmd may take now */
};

/* What merging has saved of a guest, after a decision: KSM's part and what was dropped. */
MC_PUBLIC uint64_t mc_steer_saved(const struct mc_steer_guest *guest);

/* 8 MiB, 50 %. */
MC_PUBLIC struct mc_steer_config mc_steer_config_default(void);

/*
 * Decide: sets each guest's mind and decision, the memory, and the plan. Orders to switch off come
 * before orders to switch on: the latter are given when nothing else is mergeable.
 */
MC_PUBLIC void mc_steer_decide(const struct mc_steer_config *config,
                               const struct mc_steer_host *host, struct mc_steer_guest *guests,
                               size_t count, struct mc_steer_memory *memory,
                               struct mc_steer_plan *plan);

/* Stable names, and what they mean in a sentence. */
MC_PUBLIC const char *mc_steer_reason_name(enum mc_steer_reason reason);
MC_PUBLIC const char *mc_steer_reason_text(enum mc_steer_reason reason);
MC_PUBLIC const char *mc_steer_pace_name(enum mc_steer_pace pace);

#endif
