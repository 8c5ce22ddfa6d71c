/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the host's kernel sees of the memory that guests touch, without asking them: idle page
 * tracking or DAMON over QEMU's memory, whichever the kernel has and lets us use. Not a byte of
 * what is in the memory is read.
 *
 * A round looks at all guests at once: begin, wait for the window, look. Both calls do the work of
 * a few system calls for each guest; with DAMON each waits for the kernel's next look at that
 * process as well. So they belong on a thread of their own.
 */
#ifndef MEMCTL_SAMPLE_H
#define MEMCTL_SAMPLE_H

#include <memctl/error.h>
#include <memctl/model.h>

/* A guest, and what came of it. */
struct mc_sample_subject {
    char uuid[MC_UUID_TEXT];
    int run_id;
    pid_t pid; /* of its QEMU */
    struct mc_ram ram[MC_RAM_MAX];
    unsigned ram_count;
    uint64_t resident;            /* of that memory, bytes */
    struct mc_host_sample result; /* found_ms 0: nothing was found out yet */
};

struct mc_sampler;

/*
 * By the method of this name, or NULL for the best that there is. root is "" or, for tests, a
 * folder in which the kernel's files are. 0; -ENOENT where the kernel has none of them, -EPERM
 * where a privilege is missing, -EBUSY where somebody else uses it, -ENOMEM; err says what to do.
 */
MC_PUBLIC int mc_sampler_open(const char *root, const char *method, uint64_t window_ms,
                              struct mc_sampler **sampler, struct mc_error *err);
/* Leaves the kernel as it was. NULL is allowed. */
MC_PUBLIC void mc_sampler_close(struct mc_sampler *sampler);

MC_PUBLIC const char *mc_sampler_method(const struct mc_sampler *sampler);

/*
 * Begin a window for these guests. Those that cannot be looked at now have no news from this round;
 * what is known of guests that are not among them is forgotten.
 */
MC_PUBLIC int mc_sampler_begin(struct mc_sampler *sampler, const struct mc_sample_subject *subjects,
                               size_t count, struct mc_error *err);

/* The window is over: fill in the results of the guests that there is news of. */
MC_PUBLIC void mc_sampler_look(struct mc_sampler *sampler, struct mc_sample_subject *subjects,
                               size_t count, uint64_t now_ms);

#endif
