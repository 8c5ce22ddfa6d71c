/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

/* A guest's memory is located again when it changed, and now and then in any case. */
#define LOCATE_EVERY_MS 600000
/* After a failure: the guest is starting, or its QEMU is busy. */
#define LOCATE_AGAIN_MS 30000
#define LOCATE_WITHIN_MS 20000
/* QEMU places the memory of a guest before libvirt says that it runs, but asks for a moment. */
#define LOCATE_AGE_MS 2000

/* A guest as the scanner was told of it. */
struct known {
    char uuid[MC_UUID_TEXT];
    char domain[MC_UUID_TEXT];
    int run_id;
    bool reads; /* it was told to read it */
    bool told;  /* it was told anything */
    bool locating;
    uint64_t memory;
    uint64_t due_ms; /* to be located again */
    bool seen;
};

struct dedupe {
    struct daemon *daemon;
    struct scanner_process *process;
    struct scan_orders orders; /* as they were sent */
    bool ordered;
    struct scan_inbox inbox, complete;
    struct known *known;
    size_t known_count;
    unsigned locating;
    bool key_failed;
};

/* ---- telling the scanner ---- */

static int check_sent(struct dedupe *dedupe, int rc)
{
    if (rc < 0 && rc != -EAGAIN && rc != -EPIPE)
        log_warning("memctl-scan cannot be told: %s", strerror(-rc));
    if (rc == -EPIPE)
        scanner_process_kill(dedupe->process, "does not listen");
    return rc;
}

static void tell_removed(struct dedupe *dedupe, const struct known *known)
{
    int fd = scanner_process_socket(dedupe->process);

    if (known->told && fd >= 0)
        check_sent(
            dedupe,
            scan_send(fd, json_pack("{s:s, s:s}", "type", "remove", "uuid", known->uuid), NULL, 0));
}

/* The scanner knows of it what `guest` says. */
static bool tell_guest(struct dedupe *dedupe, struct known *known,
                       const struct mc_scan_guest *guest)
{
    int fd = scanner_process_socket(dedupe->process);

    if (fd < 0 || check_sent(dedupe, scan_send_guest(fd, guest)) < 0)
        return false;
    known->told = true;
    known->reads = guest->pagemap >= 0;
    return true;
}

static struct mc_scan_guest describe(const struct mc_guest *guest, const char *domain,
                                     enum mc_dedupe_state state, const char *why)
{
    struct mc_scan_guest described = {.state = state, .pid = guest->pid};

    mc_scan_guest_init(&described);
    memcpy(described.uuid, guest->uuid, sizeof(described.uuid));
    memcpy(described.name, guest->name, sizeof(described.name));
    snprintf(described.domain, sizeof(described.domain), "%s", domain);
    snprintf(described.why, sizeof(described.why), "%s", why);
    return described;
}

static int read_key(const char *path, unsigned char key[SCAN_KEY_MAX], size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, key, SCAN_KEY_MAX) : -1;
    int rc = got < 0 ? -errno : got < 16 ? -EINVAL : 0;

    if (fd >= 0)
        close(fd);
    *size = rc == 0 ? (size_t)got : 0;
    return rc;
}

static void take_key(struct dedupe *dedupe, struct scan_orders *orders)
{
    const char *path = dedupe->daemon->config.dedupe.sketch_key;
    int rc = *path ? read_key(path, orders->key, &orders->key_size) : 0;

    if (rc < 0 && !dedupe->key_failed)
        log_warning("no sketches: the key %s %s", path,
                    rc == -EINVAL ? "is shorter than 16 bytes" : strerror(-rc));
    dedupe->key_failed = rc < 0;
}

static bool same_orders(const struct scan_orders *a, const struct scan_orders *b)
{
    return a->cpu_percent == b->cpu_percent && a->interval_ms == b->interval_ms &&
           a->scanner.table_share == b->scanner.table_share && a->key_size == b->key_size &&
           memcmp(a->key, b->key, a->key_size) == 0;
}

static void tell_orders(struct dedupe *dedupe)
{
    const struct dedupe_config *config = &dedupe->daemon->config.dedupe;
    const struct mc_plan *plan = &dedupe->daemon->plan;
    bool is_short = dedupe->daemon->has_plan && plan->state >= MC_HOST_SOFT;
    int fd = scanner_process_socket(dedupe->process);
    struct scan_orders orders = {
        .scanner = mc_scanner_config_default(),
        .cpu_percent = is_short && config->busy_cpu_percent > config->cpu_percent
                           ? config->busy_cpu_percent
                           : config->cpu_percent,
        .interval_ms = config->interval_ms,
    };
    uint64_t memory = 0;

    orders.scanner.table_share = config->table_share;
    take_key(dedupe, &orders);
    for (size_t i = 0; i < dedupe->known_count; i++)
        memory += dedupe->known[i].memory;
    /* The table, another one while it grows, and what a pass is reported with. */
    scanner_process_set_limits(dedupe->process, orders.cpu_percent,
                               memory / 10000 * orders.scanner.table_share * 3 +
                                   orders.scanner.table_least * 3);
    if (fd < 0 || (dedupe->ordered && same_orders(&orders, &dedupe->orders)))
        return;
    dedupe->ordered = check_sent(dedupe, scan_send_orders(fd, &orders)) == 0;
    dedupe->orders = orders;
}

/* ---- where a guest's memory is ---- */

struct locating {
    struct job job;
    struct dedupe *dedupe; /* NULL: memctld stops */
    struct mc_scan_guest guest;
    int run_id;
};

static int locate(struct job *job, struct mc_session *session)
{
    struct locating *locating = (struct locating *)job;
    struct mc_guest_memory memory;
    int rc = mc_session_locate_memory(session, locating->guest.uuid, &memory, &job->err);

    mc_scan_guest_close(&locating->guest); /* of a run before this one */
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < memory.count && i < MC_SCAN_REGIONS_MAX; i++)
        locating->guest.regions[locating->guest.region_count++] = (struct mc_scan_region){
            .address = memory.backends[i].address, .size = memory.backends[i].size, .fd = -1};
    return mc_scan_guest_open(&locating->guest, locating->guest.pid, &job->err);
}

static struct known *find_known(struct dedupe *dedupe, const char *uuid)
{
    for (size_t i = 0; i < dedupe->known_count; i++)
        if (strcmp(dedupe->known[i].uuid, uuid) == 0)
            return &dedupe->known[i];
    return NULL;
}

static void take_located(struct dedupe *dedupe, struct locating *locating)
{
    struct known *known = find_known(dedupe, locating->guest.uuid);
    const struct mc_guest *now = mc_snapshot_find(&dedupe->daemon->snapshot, locating->guest.uuid);
    uint64_t now_ms = clock_now_ms();

    if (!known)
        return;
    known->locating = false;
    /* Meanwhile it was switched off, has ended, or is another run. */
    if (!now || !now->terms.dedupe || now->run_id != locating->run_id || !known->due_ms) {
        known->due_ms = 0;
        return;
    }
    known->due_ms = now_ms + LOCATE_EVERY_MS;
    if (locating->job.rc < 0) {
        known->due_ms = now_ms + LOCATE_AGAIN_MS;
        /* Busy for a moment; what was known of it still holds. */
        if ((locating->job.rc == -EBUSY || locating->job.rc == -ENOTCONN) && known->reads)
            return;
        locating->guest.state = MC_DEDUPE_FAILED;
        snprintf(locating->guest.why, sizeof(locating->guest.why), "%.255s",
                 locating->job.err.text);
    }
    snprintf(locating->guest.domain, sizeof(locating->guest.domain), "%s", known->domain);
    if (!tell_guest(dedupe, known, &locating->guest))
        known->due_ms = now_ms + LOCATE_AGAIN_MS;
}

static void located(struct job *job)
{
    struct locating *locating = (struct locating *)job;

    if (job->rc != -ECANCELED && locating->dedupe->process) {
        locating->dedupe->locating--;
        take_located(locating->dedupe, locating);
    }
    mc_scan_guest_close(&locating->guest);
    free(locating);
}

static void begin_locating(struct dedupe *dedupe, struct known *known, const struct mc_guest *guest)
{
    struct locating *locating = calloc(1, sizeof(*locating));

    if (!locating)
        return;
    locating->job = (struct job){.run = locate, .done = located, .within_ms = LOCATE_WITHIN_MS};
    locating->dedupe = dedupe;
    locating->guest = describe(guest, known->domain, MC_DEDUPE_WAITING, "");
    locating->run_id = guest->run_id;
    known->locating = true;
    known->due_ms = UINT64_MAX;
    dedupe->locating++;
    lanes_submit(dedupe->daemon->lanes, &locating->job);
}

/* ---- following the guests ---- */

static struct known *know(struct dedupe *dedupe, const struct mc_guest *guest)
{
    struct known *known = find_known(dedupe, guest->uuid);

    if (known)
        return known;
    known = reallocarray(dedupe->known, dedupe->known_count + 1, sizeof(*known));
    if (!known)
        return NULL;
    dedupe->known = known;
    known = &dedupe->known[dedupe->known_count++];
    *known = (struct known){.run_id = guest->run_id};
    memcpy(known->uuid, guest->uuid, sizeof(known->uuid));
    return known;
}

static void follow_guest(struct dedupe *dedupe, struct known *known, const struct mc_guest *guest)
{
    const char *domain = strcmp(guest->terms.trust_domain, MC_TRUST_OWN) == 0
                             ? guest->uuid
                             : guest->terms.trust_domain;
    bool moved = known->run_id != guest->run_id || strcmp(known->domain, domain) != 0 ||
                 known->memory != guest->memory;

    known->seen = true;
    known->run_id = guest->run_id;
    known->memory = guest->memory;
    snprintf(known->domain, sizeof(known->domain), "%s", domain);
    if (!guest->terms.dedupe) {
        struct mc_scan_guest off = describe(guest, domain, MC_DEDUPE_OFF, "");

        known->due_ms = 0;
        if (!known->told || known->reads || moved)
            tell_guest(dedupe, known, &off);
        return;
    }
    if (moved)
        known->due_ms = 0;
    /* QEMU is asked only when it has time to answer: not while it is copied, or does not answer. */
    if (known->locating || dedupe->locating || !guest->pid || !guest->answers || !guest->known ||
        guest->exempt == MC_EXEMPT_MIGRATING || guest->age_ms < LOCATE_AGE_MS ||
        clock_now_ms() < known->due_ms)
        return;
    begin_locating(dedupe, known, guest);
}

static void forget_gone(struct dedupe *dedupe)
{
    size_t kept = 0;

    for (size_t i = 0; i < dedupe->known_count; i++) {
        if (dedupe->known[i].seen)
            dedupe->known[kept++] = dedupe->known[i];
        else
            tell_removed(dedupe, &dedupe->known[i]);
    }
    dedupe->known_count = kept;
}

void dedupe_follow(struct dedupe *dedupe)
{
    struct mc_snapshot *snapshot = &dedupe->daemon->snapshot;

    scanner_process_want(dedupe->process, dedupe->daemon->config.dedupe.scan);
    if (!dedupe->daemon->config.dedupe.scan) {
        scan_inbox_free(&dedupe->complete);
        dedupe->known_count = 0;
        return;
    }
    if (scanner_process_socket(dedupe->process) < 0)
        return;
    for (size_t i = 0; i < dedupe->known_count; i++)
        dedupe->known[i].seen = false;
    for (size_t i = 0; i < snapshot->count && i < MC_DEDUPE_GUESTS_MAX; i++) {
        struct known *known = know(dedupe, &snapshot->guests[i]);

        if (known)
            follow_guest(dedupe, known, &snapshot->guests[i]);
    }
    forget_gone(dedupe);
    tell_orders(dedupe);
}

/* ---- what it says ---- */

static void on_started(void *opaque)
{
    struct dedupe *dedupe = opaque;

    dedupe->known_count = 0;
    dedupe->ordered = false;
    scan_inbox_free(&dedupe->inbox);
}

static int on_said(void *opaque, const json_t *message)
{
    struct dedupe *dedupe = opaque;
    int rc = scan_take_part(&dedupe->inbox, message);

    if (rc == 1) {
        scan_inbox_free(&dedupe->complete);
        dedupe->complete = dedupe->inbox;
        dedupe->inbox = (struct scan_inbox){0};
    }
    return rc < 0 ? rc : 0;
}

const struct mc_dedupe_report *dedupe_report(const struct dedupe *dedupe)
{
    return &dedupe->complete.report;
}

const struct mc_sketch *dedupe_sketch(const struct dedupe *dedupe, const char *uuid)
{
    const struct mc_dedupe_guest *guest = mc_dedupe_report_find(&dedupe->complete.report, uuid);
    const struct mc_sketch *sketch =
        guest ? &dedupe->complete.sketches[guest - dedupe->complete.report.guests] : NULL;

    return sketch && sketch->count ? sketch : NULL;
}

const struct scanner_state *dedupe_scanner(const struct dedupe *dedupe)
{
    return scanner_process_state(dedupe->process);
}

struct dedupe *dedupe_new(struct daemon *daemon)
{
    struct dedupe *dedupe = calloc(1, sizeof(*dedupe));
    const struct scanner_events events = {on_started, on_said, dedupe};

    if (!dedupe)
        return NULL;
    dedupe->daemon = daemon;
    dedupe->process = scanner_process_new(daemon->base, &events);
    if (dedupe->process)
        return dedupe;
    free(dedupe);
    return NULL;
}

void dedupe_stop(struct dedupe *dedupe)
{
    if (!dedupe)
        return;
    scanner_process_free(dedupe->process);
    dedupe->process = NULL;
}

void dedupe_free(struct dedupe *dedupe)
{
    if (!dedupe)
        return;
    dedupe_stop(dedupe);
    scan_inbox_free(&dedupe->inbox);
    scan_inbox_free(&dedupe->complete);
    free(dedupe->known);
    free(dedupe);
}
