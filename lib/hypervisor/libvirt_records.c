/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking libvirt for the statistics, of all guests or of those that are known, without waiting for
 * one that cannot answer.
 */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#define STATS (VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON)
#define NOWAIT VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

/* A guest that somebody waits for is taken to be as it was. */
static int add_silent(struct libvirt_hypervisor *hv, const struct mc_known_guest *known,
                      struct mc_snapshot *snapshot)
{
    struct mc_guest *guest;

    if (known->run_id < 0)
        return 0;
    guest = mc_snapshot_add(snapshot);
    if (!guest)
        return -ENOMEM;
    *guest = (struct mc_guest){.run_id = known->run_id, .state = known->state};
    memcpy(guest->uuid, known->uuid, sizeof(guest->uuid));
    memcpy(guest->name, known->name, sizeof(guest->name));
    mc_libvirt_forget_stats(guest);
    guest->memory = known->memory;
    guest->actual = known->actual;
    guest->rss = known->rss;
    mc_cache_see(&hv->cache, guest->uuid, guest->run_id, snapshot->now_ms);
    mc_cache_mark_changed(&hv->cache, guest->uuid);
    mc_cache_apply(&hv->cache, guest);
    if (guest->state != MC_GUEST_RUNNING)
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    return 0;
}

/*
 * A QEMU that is stopped cannot answer. One that is blocked may in a moment; but while another call
 * of ours is not back, somebody hangs, and perhaps all whose disk is gone: then it is not asked
 * either, or each of them would keep one more lane.
 */
static bool cannot_answer(struct libvirt_hypervisor *hv, const struct mc_known_guest *known)
{
    return known->process == MC_QEMU_STOPPED ||
           (known->process == MC_QEMU_BLOCKED && atomic_load(&hv->asking) > 1);
}

/* Those that can be looked up now; *doms ends with NULL. Returns how many, or a negative errno. */
static int look_up(struct mc_session *session, const struct mc_known_guest *known, size_t count,
                   virDomainPtr *doms, struct mc_snapshot *snapshot)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    int found = 0;

    for (size_t i = 0; i < count; i++) {
        if (cannot_answer(hv, &known[i]) || !mc_cache_begin_lookup(&hv->cache, known[i].uuid)) {
            if (add_silent(hv, &known[i], snapshot) < 0)
                return -ENOMEM;
            continue;
        }
        doms[found] = virDomainLookupByUUIDString(mc_libvirt_connection(session), known[i].uuid);
        mc_cache_end_lookup(&hv->cache, known[i].uuid);
        if (doms[found])
            found++;
        else if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
            return -EIO;
    }
    return found;
}

static int ask_known(struct mc_session *session, virDomainStatsRecordPtr **records,
                     struct mc_snapshot *snapshot)
{
    struct mc_known_guest *known;
    virDomainPtr *doms;
    size_t count;
    int found;

    if (mc_cache_known(&mc_libvirt_of(session)->cache, &known, &count) < 0)
        return -ENOMEM;
    doms = calloc(count + 1, sizeof(virDomainPtr));
    found = doms ? look_up(session, known, count, doms, snapshot) : -ENOMEM;
    if (found > 0)
        found = virDomainListGetStats(doms, STATS, records, NOWAIT);
    for (size_t i = 0; doms && doms[i]; i++)
        virDomainFree(doms[i]);
    free(doms);
    free(known);
    return found;
}

/* Of those in the list, up to the NULL at its end, leave out the one with this UUID. */
static void leave_out(virDomainPtr *doms, const char *uuid)
{
    size_t kept = 0;

    for (size_t i = 0; doms[i]; i++) {
        char text[VIR_UUID_STRING_BUFLEN];

        if (virDomainGetUUIDString(doms[i], text) == 0 && strcmp(text, uuid) == 0)
            virDomainFree(doms[i]);
        else
            doms[kept++] = doms[i];
    }
    doms[kept] = NULL;
}

/*
 * The statistics of all but those whose QEMU cannot answer: asking for them would keep one lane for
 * each, and libvirtd has threads for 20 calls.
 */
static int list_others(struct mc_session *session, const struct mc_known_guest *known, size_t count,
                       virDomainStatsRecordPtr **records, struct mc_snapshot *snapshot)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    virDomainPtr *doms;
    int found = virConnectListAllDomains(mc_libvirt_connection(session), &doms,
                                         VIR_CONNECT_LIST_DOMAINS_ACTIVE);

    if (found < 0)
        return found;
    for (size_t i = 0; i < count && found >= 0; i++) {
        if (!cannot_answer(hv, &known[i]))
            continue;
        leave_out(doms, known[i].uuid);
        if (add_silent(hv, &known[i], snapshot) < 0)
            found = -ENOMEM;
    }
    if (found >= 0)
        found = doms[0] ? virDomainListGetStats(doms, STATS, records, NOWAIT) : 0;
    for (size_t i = 0; doms[i]; i++)
        virDomainFree(doms[i]);
    free(doms);
    return found;
}

static int list_all(struct mc_session *session, virDomainStatsRecordPtr **records,
                    struct mc_snapshot *snapshot)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    struct mc_known_guest *known = NULL;
    size_t known_count = 0, stopped = 0;
    int count;

    if (mc_cache_known(&hv->cache, &known, &known_count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < known_count; i++)
        stopped += cannot_answer(hv, &known[i]);
    if (stopped)
        count = list_others(session, known, known_count, records, snapshot);
    else
        count = virConnectGetAllDomainStats(mc_libvirt_connection(session), STATS, records,
                                            VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | NOWAIT);
    free(known);
    return count;
}

/* Nothing is known before the first list; then there is no choice. */
static bool may_list(struct libvirt_hypervisor *hv)
{
    bool lists = atomic_exchange(&hv->lists, true);

    return !lists || !atomic_load(&hv->listed);
}

int mc_libvirt_ask(struct mc_session *session, virDomainStatsRecordPtr **records,
                   struct mc_snapshot *snapshot)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    int count;

    atomic_fetch_add(&hv->asking, 1);
    mc_libvirt_wait_for_turns(hv);
    if (may_list(hv)) {
        count = list_all(session, records, snapshot);
        atomic_store(&hv->listed, atomic_load(&hv->listed) || count >= 0);
        atomic_store(&hv->lists, false);
    } else {
        count = ask_known(session, records, snapshot);
    }
    atomic_fetch_sub(&hv->asking, 1);
    return count;
}
