/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface between memctl and an allocation policy, which is a shared object that exports one
 * `const struct mc_policy mc_policy_module`. A policy sees the guests that memctl may move and the
 * bytes to divide among them; it answers with a target for each. It never sees a hypervisor, a file
 * or a clock.
 */
#ifndef MEMCTL_POLICY_H
#define MEMCTL_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/allocate.h>
#include <memctl/error.h>
#include <memctl/visibility.h>

/* Raised when a structure below changes; a module of another number is refused. */
#define MC_POLICY_ABI 3

#define MC_POLICY_PARAM_MAX 8

/* One guest, all sizes in bytes and multiples of 4 KiB. */
struct mc_policy_guest {
    uint64_t shares;   /* 1 .. 1000000 */
    uint64_t min, max; /* the answer must lie between them */
    uint64_t reserved; /* what was promised to it; min is more where it cannot give that much up */
    uint64_t current;  /* what it has now */
    uint64_t held;     /* what of that is resident on the host */
    uint64_t active;   /* what it works with; never above max */
    uint64_t stall_us; /* its stall time in the last second, MC_UNKNOWN if unknown */
    uint64_t key;      /* stands for the guest's identity: equal only for the same guest */
};

struct mc_policy_input {
    uint64_t now_ms;
    uint64_t budget; /* bytes to divide */
    const struct mc_policy_guest *guests;
    size_t count;
};

/* How people write a parameter; the policy gets a plain number in all cases. */
enum mc_param_type {
    MC_PARAM_NUMBER,
    MC_PARAM_RATIO, /* 0.5, or 50% */
};

struct mc_policy_param {
    const char *name;
    const char *description; /* a sentence */
    enum mc_param_type type;
    double fallback, low, high; /* low <= value <= high */
    bool below_high;            /* value < high instead */
};

struct mc_policy {
    uint32_t abi; /* MC_POLICY_ABI */
    const char *name;
    const char *description; /* one line */
    const struct mc_policy_param *params;
    size_t param_count; /* at most MC_POLICY_PARAM_MAX */

    /* Memory of the policy's own, kept between decisions. open returns NULL when out of memory. */
    void *(*open)(void);
    void (*close)(void *state);

    /*
     * Write input->count targets in bytes: each between its guest's min and max, in sum at most
     * max(budget, sum of min). params are in the order of the table. Returns 0 or a negative errno.
     */
    int (*decide)(const struct mc_policy_input *input, const double *params, void *state,
                  uint64_t *targets);
};

/* The symbol that a module exports. */
#define MC_POLICY_SYMBOL "mc_policy_module"

/* For policies: working memory for one division, to be kept in the policy's state. */
struct mc_divider;

MC_PUBLIC struct mc_divider *mc_divider_new(void);
MC_PUBLIC void mc_divider_free(struct mc_divider *divider);

/*
 * One demand per guest, filled with min, max, weight = shares, key, and no knee: a plain
 * proportional share. The caller bends them as its policy wants, then calls mc_divide(). NULL when
 * out of memory. The demands belong to the divider.
 */
MC_PUBLIC struct mc_demand *mc_divider_demands(struct mc_divider *divider,
                                               const struct mc_policy_input *input);

/* Solve for the demands; targets in bytes. Returns 0, -ENOMEM or -ERANGE. */
MC_PUBLIC int mc_divide(struct mc_divider *divider, uint64_t budget, uint64_t *targets);

/* The key of the guest with this UUID, as the daemon gives it to policies. */
MC_PUBLIC uint64_t mc_policy_key(const char *uuid);

/* A loaded module with its parameters and state. */
struct mc_policy_run;

/*
 * Load a policy by name from $MEMCTL_POLICY_PATH or the installed directory, or by path if the name
 * has a slash. -ENOENT, -EINVAL (wrong version, missing symbol) with a sentence.
 */
MC_PUBLIC int mc_policy_load(const char *name, struct mc_policy_run **run, struct mc_error *err);
MC_PUBLIC void mc_policy_unload(struct mc_policy_run *run);
MC_PUBLIC const struct mc_policy *mc_policy_of(const struct mc_policy_run *run);

/* The name or path that it was loaded by. */
MC_PUBLIC const char *mc_policy_asked_for(const struct mc_policy_run *run);

/* Forget all that it remembers of earlier decisions. -ENOMEM: then it remembers as before. */
MC_PUBLIC int mc_policy_restart(struct mc_policy_run *run);

/* The values of its parameters, in the order of the table. */
MC_PUBLIC const double *mc_policy_params(const struct mc_policy_run *run);

/*
 * The names of the modules in the policies' directory, sorted; the caller frees with
 * mc_policy_names_free(). -ENOENT with a sentence if the directory cannot be read.
 */
MC_PUBLIC int mc_policy_names(char ***names, size_t *count, struct mc_error *err);
MC_PUBLIC void mc_policy_names_free(char **names, size_t count);

/* Set a parameter from text ("0.5", "50%"); -EINVAL or -ERANGE with a sentence. */
MC_PUBLIC int mc_policy_set_param(struct mc_policy_run *run, const char *name, const char *value,
                                  struct mc_error *err);

/*
 * Ask the policy, and check its answer: -EBADMSG with a sentence if it breaks its promise, in which
 * case targets must not be used.
 */
MC_PUBLIC int mc_policy_decide(struct mc_policy_run *run, const struct mc_policy_input *input,
                               uint64_t *targets, struct mc_error *err);

/*
 * Would its answers be accepted? Asks a second run of the same module and parameters, so that the
 * first one's state is not touched.
 */
MC_PUBLIC int mc_policy_try(const struct mc_policy_run *run, const struct mc_policy_input *input,
                            struct mc_error *err);

#endif
