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

/* Who holds the turn for longer hangs. */
#define TURN_NS 50000000

struct answer {
    uint64_t actual, usable, faults;
};

bool mc_libvirt_take_turn(struct libvirt_hypervisor *hv, bool alone)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TURN_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return (alone ? pthread_rwlock_clockwrlock(&hv->turns, CLOCK_MONOTONIC, &until)
                  : pthread_rwlock_clockrdlock(&hv->turns, CLOCK_MONOTONIC, &until)) == 0;
}

static int take_turn(struct mc_session *session, struct mc_error *err)
{
    return mc_libvirt_take_turn(mc_libvirt_of(session), false)
               ? 0
               : mc_error_set(err, -EBUSY, "a call for all guests does not come back");
}

static void end_turn(struct mc_session *session)
{
    pthread_rwlock_unlock(&mc_libvirt_of(session)->turns);
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
