/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the metrics' page, each in a file of its own. */
#ifndef MEMCTLD_METRICS_H
#define MEMCTLD_METRICS_H

#include <stddef.h>

#include "daemon.h"
#include "exposition.h"

/* Guests that have series of their own; those beyond are only counted. */
#define METRICS_GUESTS_MAX 4096

/* A value in a structure: `from` says in which, `kind` how it is stored. */
enum family_kind {
    KIND_COUNT,   /* uint64_t; MC_UNKNOWN has no sample */
    KIND_FLAG,    /* bool */
    KIND_TROUBLE, /* enum mc_distress: 1 unless it is none */
};

struct family {
    const char *name;
    enum metric_type type;
    const char *help;
    size_t offset;
    enum family_kind kind;
};

/* The one that is this member of a structure, which is named without "struct". */
#define FAMILY(structure, member, kind, type, name, help)                                          \
    {                                                                                              \
        name, type, help, offsetof(struct structure, member), kind                                 \
    }

/* A sample's value, MC_UNKNOWN for none. */
uint64_t family_value(const struct family *family, const void *structure);

/* metrics_guests.c: every guest; only with a plan. */
void add_guests(struct exposition *out, const struct daemon *daemon);

/* metrics_process.c: the process itself, as the client libraries name it. */
void add_process(struct exposition *out);

/* metrics_dedupe.c */
void add_dedupe(struct exposition *out, const struct daemon *daemon);

#endif
