/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the page-dedupe scanner found out: how much of the guests' memory holds the same contents,
 * and what merging it would save. Nothing here merges anything.
 *
 * A page is 4 KiB. Every figure is in bytes, a multiple of MC_PAGE.
 */
#ifndef MEMCTL_DEDUPE_H
#define MEMCTL_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/settings.h>
#include <memctl/visibility.h>

/* Guests that one scanner can tell apart. */
#define MC_DEDUPE_GUESTS_MAX 1024

/*
 * One guest's memory as the last pass met it. What was read is divided without rest:
 *
 *     scanned = zero + inside + across + changing + unique
 */
struct mc_dedupe_figures {
    uint64_t present;  /* guest memory that was resident */
    uint64_t merged;   /* of it, what the kernel shares already: not read, that would part it */
    uint64_t swapped;  /* beside present: in the host's swap, left there */
    uint64_t scanned;  /* what was read */
    uint64_t huge;     /* of it, what lies in huge pages, which merging would break */
    uint64_t zero;     /* pages of zeros */
    uint64_t inside;   /* copies of a page that the same guest has already */
    uint64_t across;   /* one page of each content that another guest has as well */
    uint64_t changing; /* contents that were not there a pass ago: no use in merging them */
    uint64_t unique;   /* the rest */
    uint64_t saving;   /* the guest's part of what merging in its trust domain saves, zeros apart */
    uint64_t error;    /* the truth is within saving +- error, 19 times of 20; 0: exact */
};

enum mc_dedupe_state {
    MC_DEDUPE_WAITING, /* no pass has come to its end since it was seen first */
    MC_DEDUPE_SCANNED,
    MC_DEDUPE_OFF,    /* dedupe=no: not one byte of it is read */
    MC_DEDUPE_FAILED, /* its memory cannot be found or read: see why */
};

struct mc_dedupe_guest {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    char domain[MC_UUID_TEXT]; /* trust domain; its own UUID when it is in none */
    enum mc_dedupe_state state;
    char why[MC_ERROR_TEXT / 2]; /* when it failed */
    bool mergeable;              /* KSM could merge it: its memory is private and in small pages */
    uint64_t passes;             /* since it was seen first; changing is known from the second on */
    struct mc_dedupe_figures figures;
};

/* Contents that two guests have in common, whatever their trust domains. */
struct mc_dedupe_pair {
    uint32_t a, b;   /* of the report's guests; a < b */
    uint64_t shared; /* one page for each content */
    uint64_t error;  /* as above */
};

/* What merging all guests of one trust domain with each other would save. */
struct mc_dedupe_domain {
    char name[MC_UUID_TEXT];
    uint32_t guests;
    uint64_t scanned, zero;
    uint64_t saving; /* without zero pages, as above */
    uint64_t error;
};

/*
 * What a guest's memory contains, in little: the smallest hashes of its contents under a key that
 * several hosts have in common, ascending. From two of them follows how much is in both.
 */
#define MC_SKETCH_SIZE 1024

struct mc_sketch {
    uint32_t count;
    uint64_t hashes[MC_SKETCH_SIZE];
};

/* How many different contents there are, zero pages apart; exact below MC_SKETCH_SIZE. */
MC_PUBLIC double mc_sketch_contents(const struct mc_sketch *sketch);
/* Add what `from` contains; `into` may be {0}. */
MC_PUBLIC void mc_sketch_union(struct mc_sketch *into, const struct mc_sketch *from);
/*
 * How many contents are in both; the truth is within +- error, 19 times of 20. Sketches of
 * different keys have nothing in common.
 */
MC_PUBLIC double mc_sketch_shared(const struct mc_sketch *a, const struct mc_sketch *b,
                                  double *error);

struct mc_dedupe_report {
    uint64_t pass;        /* how many were finished; 0: the rest says nothing yet */
    int64_t wall_s;       /* when the last one was, real-time clock */
    uint64_t took_ms;     /* how long it took, pauses included */
    uint64_t cpu_ms;      /* of one processor, without pauses */
    uint64_t cpu_all_ms;  /* all passes */
    uint32_t sample;      /* one of so many contents was kept; 1: all, and no figure has an error */
    uint64_t table_bytes; /* memory for the hint frames */
    uint64_t compared;    /* pages with equal hashes that were compared in full, in this pass */
    uint64_t different;   /* of these, how many were not equal (they had changed meanwhile) */
    struct mc_dedupe_guest *guests;
    size_t guest_count;
    struct mc_dedupe_pair *pairs; /* those that share anything, most first */
    size_t pair_count;
    struct mc_dedupe_domain *domains; /* by name */
    size_t domain_count;
};

/* Start from {0}. */
MC_PUBLIC void mc_dedupe_report_free(struct mc_dedupe_report *report);

/* NULL when not there. */
MC_PUBLIC const struct mc_dedupe_guest *mc_dedupe_report_find(const struct mc_dedupe_report *report,
                                                              const char *uuid);
MC_PUBLIC const struct mc_dedupe_domain *mc_dedupe_report_domain(
    const struct mc_dedupe_report *report, const char *name);

MC_PUBLIC const char *mc_dedupe_state_name(enum mc_dedupe_state state);

/* A new reference, NULL when out of memory. */
MC_PUBLIC json_t *mc_dedupe_report_to_json(const struct mc_dedupe_report *report);

#endif
