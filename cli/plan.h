/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of memctl plan: what is asked, and what is said of the answer. */
#ifndef MEMCTL_CLI_PLAN_H
#define MEMCTL_CLI_PLAN_H

#include <memctl/simulate.h>

#include "gather.h"

#define PLAN_ADDED_MAX 256

/* What is asked; its parts point into each other and into the command line. */
struct plan_change {
    struct mc_what_if what_if;
    struct mc_added_guest added[PLAN_ADDED_MAX];
    const char *removed[OPTIONS_MAX];
    char text[512]; /* in a sentence */
};

/* By the options. -EINVAL or -ENOENT if they make no sense, or change nothing. */
int plan_read_change(const struct cli *cli, const struct gathered *gathered,
                     struct plan_change *change, struct mc_error *err);

/* How it was and how it would have been, for people or programs. */
void plan_print(const struct cli *cli, const struct mc_past *past, const struct plan_change *change,
                const struct mc_simulation *was, const struct mc_simulation *is);

#endif
