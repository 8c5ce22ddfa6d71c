/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps a host and its guests from sharing memory well, and what would mend it. Works with and
 * without a daemon, changes nothing, and asks libvirt only what a read-only connection may.
 */
#ifndef MEMCTL_DOCTOR_H
#define MEMCTL_DOCTOR_H

#include <stddef.h>

#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/visibility.h>

enum mc_level {
    MC_LEVEL_NONE, /* the check says nothing here */
    MC_LEVEL_OK,
    MC_LEVEL_NOTE,    /* could be better, or good to know */
    MC_LEVEL_WARNING, /* memctl or a guest is worse off for it */
    MC_LEVEL_PROBLEM, /* memctl cannot do its work, or guests are in danger */
};

struct mc_finding {
    const char *check; /* a stable name */
    enum mc_level level;
    char guest[MC_NAME_TEXT]; /* "" if it is about the host */
    char what[256];           /* a sentence without the guest's name */
    char why[512];            /* why it matters; "" where all is well */
    char fix[640];            /* commands for a shell; "$GUEST" stands for the guest's name */
};

struct mc_findings {
    struct mc_finding *list; /* first of the host, then of guests, check by check */
    size_t count, room;
};

struct mc_doctor_options {
    const char *uri;    /* of libvirt; NULL: the daemon's own, or qemu:///system */
    const char *socket; /* of the daemon, as in mc_client_open() */
    const char *root;   /* NULL: this host; else a folder with a host's /proc, /sys and /etc, and
                           then only what is named of the two above is asked */
};

/*
 * Look and judge. Takes some seconds at most, also where libvirt hangs. Start from {0} and give it
 * to mc_findings_free(). Returns 0 or -ENOMEM; what cannot be read is itself a finding.
 */
MC_PUBLIC int mc_doctor_examine(const struct mc_doctor_options *options,
                                struct mc_findings *findings, struct mc_error *err);
MC_PUBLIC void mc_findings_free(struct mc_findings *findings);

/* "ok", "note", "warning", "problem". */
MC_PUBLIC const char *mc_level_name(enum mc_level level);

#endif
