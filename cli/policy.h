/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The actions of `memctl policy`. */
#ifndef MEMCTL_CLI_POLICY_H
#define MEMCTL_CLI_POLICY_H

#include "cli.h"

/* policy_eval.c: ask a policy about a snapshot in a file; needs no daemon. */
int policy_eval(const struct cli *cli, int argc, char **argv);

#endif
