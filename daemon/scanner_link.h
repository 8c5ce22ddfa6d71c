/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memctl-scan at the other end of a socket. Either memctld has started it itself, or a service
 * manager has, for the connection to the socket that MEMCTL_SCAN_SOCKET names: then it is confined
 * by a unit of its own (memctl-scan@.service). Both ends look who the other one is.
 */
#ifndef MEMCTLD_SCANNER_LINK_H
#define MEMCTLD_SCANNER_LINK_H

#include <stdbool.h>
#include <sys/types.h>

#include <memctl/error.h>

struct scan_packet;

struct scanner_link {
    int fd;    /* -1: closed */
    pid_t pid; /* 0: it has not said a word yet */
    int pidfd; /* -1 while it is not known */
    bool is_child;
    pid_t ending; /* a child that was killed, and is not reaped */
};

/* Start from this. */
#define SCANNER_LINK_CLOSED ((struct scanner_link){.fd = -1, .pidfd = -1})

/*
 * A new memctl-scan at the end of a new socket that does not block. Where nobody listens at the
 * socket's path it is started as a child, and `err` says so: its text is "" otherwise. A negative
 * errno with a sentence.
 */
int scanner_link_open(struct scanner_link *link, struct mc_error *err);

/* Did the other end itself say this? The first word of one that is no child tells its process. */
bool scanner_link_is_from(struct scanner_link *link, const struct scan_packet *packet);

/* Kill it and close the socket. A child is reaped by scanner_link_reap(), true when none is left.
 */
void scanner_link_end(struct scanner_link *link);
bool scanner_link_reap(struct scanner_link *link, bool wait);

#endif
