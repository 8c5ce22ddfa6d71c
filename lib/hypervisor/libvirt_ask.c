/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics out of turn. QEMU asks the guest at once when its period goes from 0 to anything else
 * (virtio-balloon.c); the shortest period itself is a second. What was answered is known by the
 * count of minor faults, which only grows, since the time that QEMU notes is in whole seconds.
 */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <time.h>

/* A guest answers within 30 ms, a busy one that is emulated within 150. */
#define ANSWER_LOOKS 6
#define LOOK_NS 25000000

/* Who takes longer hangs. */
#define TURN_LOOKS 50
#define TURN_LOOK_NS 2000000

struct answer {
    uint64_t actual, usable, faults;
};

void mc_libvirt_wait_for_turns(struct libvirt_hypervisor *hv)
{
    const struct timespec moment = {.tv_nsec = TURN_LOOK_NS};

    for (int i = 0; i < TURN_LOOKS && atomic_load(&hv->turns); i++)
        nanosleep(&moment, NULL);
}

/* Each of the two announces itself before it looks for the other one, so one of them waits. */
static int take_turn(struct mc_session *session, struct mc_error *err)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    const struct timespec moment = {.tv_nsec = TURN_LOOK_NS};

    for (int i = 0; i < 2 * TURN_LOOKS; i++) {
        atomic_fetch_add(&hv->turns, 1);
        if (!atomic_load(&hv->asking))
            return 0;
        atomic_fetch_sub(&hv->turns, 1);
        nanosleep(&moment, NULL);
    }
    return mc_error_set(err, -EBUSY, "a call for all guests does not come back");
}

static void end_turn(struct mc_session *session)
{
    atomic_fetch_sub(&mc_libvirt_of(session)->turns, 1);
}

static int read_answer(struct mc_session *session, virDomainPtr dom, struct answer *answer,
                       struct mc_error *err)
{
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    int count, rc = take_turn(session, err);

    if (rc < 0)
        return rc;
    count = virDomainMemoryStats(dom, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
    end_turn(session);
    if (count < 0)
        return mc_libvirt_fail(session, err, "its statistics cannot be read");
    *answer = (struct answer){.actual = MC_UNKNOWN, .usable = MC_UNKNOWN, .faults = MC_UNKNOWN};
    for (int i = 0; i < count; i++) {
        if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT)
            answer->faults = stats[i].val;
        else if (stats[i].val > MC_SIZE_MAX / MC_KIB)
            continue;
        else if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON)
            answer->actual = stats[i].val * MC_KIB;
        else if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_USABLE)
            answer->usable = stats[i].val * MC_KIB;
    }
    if (answer->actual == MC_UNKNOWN || answer->usable > answer->actual)
        return mc_error_set(err, -ENODATA, "its statistics are missing or impossible");
    return 0;
}

/* Between the two calls it has no statistics; if the second one fails, that is known and mended. */
static int set_off(struct mc_session *session, virDomainPtr dom, const char *uuid,
                   unsigned period_s, struct mc_error *err)
{
    struct mc_domain_cache *cache = &mc_libvirt_of(session)->cache;
    bool off = false, on = false;
    int rc = take_turn(session, err);

    if (rc < 0)
        return rc;
    off = virDomainSetMemoryStatsPeriod(dom, 0, VIR_DOMAIN_AFFECT_LIVE) == 0;
    on = off && virDomainSetMemoryStatsPeriod(dom, (int)period_s, VIR_DOMAIN_AFFECT_LIVE) == 0;
    end_turn(session);
    if (on)
        return 0;
    if (off)
        mc_cache_set_stats_period(cache, uuid, 0);
    return mc_libvirt_fail(session, err, "it cannot be asked for statistics");
}

static int ask(struct mc_session *session, virDomainPtr dom, const char *uuid, unsigned period_s,
               struct mc_sight *sight, struct mc_error *err)
{
    const struct timespec moment = {.tv_nsec = LOOK_NS};
    struct answer before = {0}, answer = {0};
    int rc = read_answer(session, dom, &before, err);

    if (rc == 0)
        rc = set_off(session, dom, uuid, period_s, err);
    for (int i = 0; rc == 0 && i < ANSWER_LOOKS; i++) {
        nanosleep(&moment, NULL);
        rc = read_answer(session, dom, &answer, err);
        if (rc < 0)
            return rc;
        if (answer.faults == before.faults && answer.usable == before.usable)
            continue;
        *sight = (struct mc_sight){.actual = answer.actual,
                                   .usable = answer.usable,
                                   .moving = answer.actual != before.actual};
        return 0;
    }
    return rc < 0 ? rc : mc_error_set(err, -EAGAIN, "it says nothing new");
}

int mc_libvirt_ask_stats(struct mc_session *session, const char *uuid, unsigned period_s,
                         struct mc_sight *sight, struct mc_error *err)
{
    virDomainPtr dom;
    unsigned events;
    int rc;

    if (mc_cache_is_copied(&mc_libvirt_of(session)->cache, uuid, &events))
        return mc_error_set(err, -EBUSY, "its memory is being copied");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc < 0)
        return rc;
    rc = ask(session, dom, uuid, period_s, sight, err);
    virDomainFree(dom);
    return rc;
}
