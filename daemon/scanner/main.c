/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memctl-scan: reads guests' memory for memctld and finds equal pages. It is started with a
 * connection to memctld as descriptor 3: by memctld itself, or by a service manager to whose socket
 * memctld has connected. It has no other way to the world, and ends when that ends.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <memctl/scan.h>

#include "confine.h"
#include "dedupe/pace.h"
#include "wire.h"

#define SOCKET_FD 3

/* So much is scanned between two looks at the socket, by each thread: some milliseconds. Several
 * wait for each other at its end, so it is more for them. */
#define STEP (4 * MC_MIB)
#define STEP_OF_SEVERAL (16 * MC_MIB)

#define ALIVE_EVERY_MS 1000

struct scan {
    struct mc_scanner *scanner;
    struct scan_orders orders;
    struct mc_pace pace;
    uint64_t pass_began_ms;
    uint64_t alive_ms;
    bool in_pass, idle;
};

static uint64_t now_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- what memctld says ---- */

static int on_guest(struct scan *scan, struct scan_packet *packet)
{
    struct mc_scan_guest guest;
    int rc = scan_take_guest(packet, &guest);

    if (rc == 0)
        mc_scanner_put(scan->scanner, &guest); /* beyond the most there can be: left out */
    return rc;
}

static int on_remove(struct scan *scan, struct scan_packet *packet)
{
    const char *uuid = json_string_value(json_object_get(packet->message, "uuid"));

    if (!uuid)
        return -EPROTO;
    mc_scanner_remove(scan->scanner, uuid);
    return 0;
}

static int on_config(struct scan *scan, struct scan_packet *packet)
{
    struct scan_orders orders = {0};
    int rc = scan_take_orders(packet->message, &orders);

    if (rc < 0)
        return rc;
    orders.scanner.threads = (orders.cpu_percent + 99) / 100;
    mc_scanner_configure(scan->scanner, &orders.scanner);
    if (orders.key_size != scan->orders.key_size ||
        memcmp(orders.key, scan->orders.key, orders.key_size) != 0)
        mc_scanner_set_sketch_key(scan->scanner, orders.key, orders.key_size);
    scan->orders = orders;
    return 0;
}

static int handle(struct scan *scan, struct scan_packet *packet)
{
    static const struct {
        const char *type;
        int (*handle)(struct scan *scan, struct scan_packet *packet);
    } table[] = {{"guest", on_guest}, {"remove", on_remove}, {"config", on_config}};
    const char *type = json_string_value(json_object_get(packet->message, "type"));

    for (size_t i = 0; type && i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(type, table[i].type) == 0)
            return table[i].handle(scan, packet);
    return -EPROTO;
}

static int listen_to_all(struct scan *scan)
{
    for (;;) {
        struct scan_packet packet;
        int rc = scan_receive(SOCKET_FD, &packet);

        if (rc < 0)
            return rc == -EAGAIN || rc == -EINTR ? 0 : rc;
        rc = handle(scan, &packet);
        scan_packet_free(&packet);
        if (rc < 0)
            return rc;
    }
}

/* ---- what it tells ---- */

static const struct mc_sketch *sketch_of(const void *scanner, const char *uuid)
{
    return mc_scanner_sketch(scanner, uuid);
}

static int tell_alive(struct scan *scan)
{
    uint64_t now_ms = now_us(CLOCK_MONOTONIC) / 1000, met, all;

    if (now_ms - scan->alive_ms < ALIVE_EVERY_MS)
        return 0;
    scan->alive_ms = now_ms;
    mc_scanner_progress(scan->scanner, &met, &all);
    return scan_send(SOCKET_FD,
                     json_pack("{s:s, s:I, s:I, s:I}", "type", "alive", "met", (json_int_t)met,
                               "all", (json_int_t)all, "cpu_us",
                               (json_int_t)now_us(CLOCK_PROCESS_CPUTIME_ID)),
                     NULL, 0);
}

/* ---- work ---- */

/* Returns how long to wait, microseconds, or a negative errno. */
static int64_t work(struct scan *scan)
{
    uint64_t now_ms = now_us(CLOCK_MONOTONIC) / 1000;
    uint64_t began_us = now_us(CLOCK_PROCESS_CPUTIME_ID);
    unsigned threads = scan->orders.scanner.threads;
    int rc;

    if (!scan->in_pass) {
        uint64_t next_ms = scan->pass_began_ms + scan->orders.interval_ms;

        if (!scan->orders.cpu_percent || (scan->pass_began_ms && now_ms < next_ms))
            return ALIVE_EVERY_MS * 1000;
        scan->pass_began_ms = now_ms;
        scan->in_pass = true;
    }
    rc = mc_scanner_step(scan->scanner, threads > 1 ? threads * STEP_OF_SEVERAL : STEP);
    if (rc == -EAGAIN) { /* no guests */
        scan->in_pass = false;
        scan->pass_began_ms = 0;
        return ALIVE_EVERY_MS * 1000;
    }
    if (rc == 1) {
        scan->in_pass = false;
        rc =
            scan_send_report(SOCKET_FD, mc_scanner_report(scan->scanner), sketch_of, scan->scanner);
    }
    if (rc < 0)
        return rc;
    return (int64_t)mc_pace_pause(&scan->pace, now_us(CLOCK_MONOTONIC),
                                  now_us(CLOCK_PROCESS_CPUTIME_ID) - began_us,
                                  scan->orders.cpu_percent);
}

/* Until memctld goes away, or something is wrong. */
static int run(struct scan *scan)
{
    for (;;) {
        struct pollfd socket = {SOCKET_FD, POLLIN, 0};
        int64_t pause_us = work(scan);
        int rc;

        if (pause_us < 0)
            return (int)pause_us;
        rc = tell_alive(scan);
        if (rc < 0)
            return rc;
        pause_us = (int64_t)mc_min_u64((uint64_t)pause_us, ALIVE_EVERY_MS * 1000);
        if (ppoll(&socket, 1, &(struct timespec){pause_us / 1000000, pause_us % 1000000 * 1000},
                  NULL) > 0) {
            rc = listen_to_all(scan);
            if (rc < 0)
                return rc;
        }
    }
}

/* Threads take over what is confined before they begin; later on none can be made. */
static int begin(struct scan *scan, struct mc_error *err)
{
    struct mc_scanner_config config = mc_scanner_config_default();
    int rc = confine_priorities(err);

    config.threads = MC_SCAN_THREADS_MAX;
    if (rc == 0)
        rc = confine_capabilities(err);
    if (rc == 0)
        rc = mc_scanner_new(&config, &scan->scanner, err);
    return rc == 0 ? confine_calls(err) : rc;
}

static bool has_socket(void)
{
    int type;
    socklen_t size = sizeof(type);

    return getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* Who has connected may have any guest's memory read: only root, or who this runs as. */
static bool is_for_me(void)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(SOCKET_FD, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

int main(int argc, char **argv)
{
    static struct scan scan;
    struct mc_error err;
    int rc;

    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        puts("memctl-scan " MEMCTL_VERSION);
        return 0;
    }
    if (argc > 1 || !has_socket()) {
        fputs("memctl-scan: started by memctld, not by hand; see memctl-scan(8)\n", stderr);
        return 2;
    }
    if (!is_for_me()) {
        fputs("memctl-scan: at the other end of the socket is another user, who must not have "
              "guests' memory read\n",
              stderr);
        return 2;
    }
    close_range(SOCKET_FD + 1, ~0U, 0); /* memctld's, if one is not close-on-exec */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    json_object_seed(0); /* opens /dev/urandom, which is not possible any more in a moment */
    rc = begin(&scan, &err);
    if (rc < 0) {
        fprintf(stderr, "memctl-scan: %s\n", err.text);
        return 1;
    }
    rc = run(&scan);
    if (rc != -EPIPE)
        fprintf(stderr, "memctl-scan: stops: %s\n", strerror(-rc));
    /* Nothing is buffered; and what a sanitizer does at the end is not in the filter. */
    syscall(SYS_exit_group, rc == -EPIPE ? 0 : 1);
    return 1;
}
