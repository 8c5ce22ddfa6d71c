/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memctld's command line. What it says goes ahead of the configuration file, also after a reload.
 */
#ifndef MEMCTLD_OPTIONS_H
#define MEMCTLD_OPTIONS_H

#include <stdbool.h>

#include <memctl/error.h>

#include "config.h"

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Texts are the command line's own; NULL is what was not said. */
struct options {
    const char *config_file; /* NULL: the default one, if it is there */
    bool had_default_file;   /* it was there at the start: it must not vanish */
    const char *connect, *socket, *metrics, *budget, *interval, *record, *store;
    const char *dry_run;
    bool check_config, restore_ksm, verbose;
};

/* -1 to go on, or the exit code, when all is said that there is to say. */
int options_parse(int argc, char **argv, struct options *options);

/* The configuration by the file and the command line. To be freed with config_free(). */
int options_read_config(const struct options *options, struct config *config, struct mc_error *err);

#endif
