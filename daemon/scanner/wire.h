/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between memctld and memctl-scan: JSON objects, one a packet of a Unix socket that keeps packets
 * apart (SOCK_SEQPACKET); descriptors travel beside them. The scanner opens no file itself: what it
 * reads was opened by memctld.
 *
 *   to the scanner    {"type": "guest", ...} with its descriptors, {"type": "remove", "uuid": ...},
 *                     {"type": "config", ...}
 *   from the scanner  {"type": "alive", ...}; and after each pass "report", "guest"...,
 * "domain"..., "pairs"..., "sketch"..., "end"
 *
 * Neither side believes what the other one says: everything has bounds.
 */
#ifndef MEMCTLD_SCAN_WIRE_H
#define MEMCTLD_SCAN_WIRE_H

#include <jansson.h>

#include <memctl/scan.h>

/* Of one packet. A socket's buffer takes twice as much without being asked. */
#define SCAN_PACKET_MAX ((size_t)96 * 1024)
#define SCAN_KEY_MAX 64
/* Per cent of one processor: above 100 it works in as many threads as that takes. */
#define SCAN_CPU_MAX (100 * MC_SCAN_THREADS_MAX)

struct scan_packet {
    json_t *message;
    pid_t pid; /* who sent it, by the kernel: where the socket has SO_PASSCRED; else 0 */
    uid_t uid;
    int fds[MC_SCAN_REGIONS_MAX + 1];
    size_t fd_count;
};

/* Takes over the message. -EPIPE when nobody is there any more, -EAGAIN, -ENOMEM, -EMSGSIZE. */
int scan_send(int fd, json_t *message, const int *fds, size_t count);
/* The next packet. -EAGAIN, -EPIPE, -EPROTO (no JSON object; descriptors are closed). */
int scan_receive(int fd, struct scan_packet *packet);
/* Drops the message, and closes the descriptors that nobody took. */
void scan_packet_free(struct scan_packet *packet);

/* The descriptors stay the caller's. */
int scan_send_guest(int fd, const struct mc_scan_guest *guest);
/* Takes the descriptors over if they are what the message says. -EPROTO. */
int scan_take_guest(struct scan_packet *packet, struct mc_scan_guest *guest);

/* What memctld wants of the scanner. */
struct scan_orders {
    struct mc_scanner_config scanner;
    unsigned cpu_percent; /* of one processor, 1 to SCAN_CPU_MAX */
    uint64_t interval_ms; /* between the starts of two passes, at least */
    unsigned char key[SCAN_KEY_MAX];
    size_t key_size; /* for sketches; 0: none */
};
int scan_send_orders(int fd, const struct scan_orders *orders);
int scan_take_orders(const json_t *message, struct scan_orders *orders);

/* A report in as many packets as it takes; sketches are asked for guest by guest, may be NULL. */
int scan_send_report(int fd, const struct mc_dedupe_report *report,
                     const struct mc_sketch *(*sketch)(const void *opaque, const char *uuid),
                     const void *opaque);

/* A report that arrives. Start from {0}. */
struct scan_inbox {
    struct mc_dedupe_report report; /* begun */
    struct mc_sketch *sketches;     /* by guest; count 0 where there is none */
    size_t guest_room, domain_room, pair_room;
    bool begun;
};
/* Add a message of a report. 1: it is complete, take it out of the inbox; -EPROTO, -ENOMEM. */
int scan_take_part(struct scan_inbox *inbox, const json_t *message);
void scan_inbox_free(struct scan_inbox *inbox);

#endif
