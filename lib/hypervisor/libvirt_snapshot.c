/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "observe/qemu_process.h"

static enum mc_guest_state state_of(int state, int reason)
{
    switch (state) {
    case VIR_DOMAIN_PAUSED:
        return reason == VIR_DOMAIN_PAUSED_MIGRATION ? MC_GUEST_MIGRATING : MC_GUEST_PAUSED;
    case VIR_DOMAIN_PMSUSPENDED:
        return MC_GUEST_PAUSED;
    case VIR_DOMAIN_SHUTDOWN:
        return MC_GUEST_STOPPING;
    case VIR_DOMAIN_CRASHED:
        return MC_GUEST_CRASHED;
    default:
        return MC_GUEST_RUNNING;
    }
}

/* What the statistics are called, and where they go: sizes come in KiB, the others as they are. */
static const struct {
    const char *name;
    size_t offset;
    bool is_size;
} stats_fields[] = {
    {"maximum", offsetof(struct mc_guest, memory), true},
    {"current", offsetof(struct mc_guest, actual), true},
    {"rss", offsetof(struct mc_guest, rss), true},
    {"available", offsetof(struct mc_guest, stats.available), true},
    {"unused", offsetof(struct mc_guest, stats.unused), true},
    {"usable", offsetof(struct mc_guest, stats.usable), true},
    {"disk_caches", offsetof(struct mc_guest, stats.disk_caches), true},
    {"swap_in", offsetof(struct mc_guest, stats.swap_in), true},
    {"swap_out", offsetof(struct mc_guest, stats.swap_out), true},
    {"major_fault", offsetof(struct mc_guest, stats.major_faults), false},
    {"minor_fault", offsetof(struct mc_guest, stats.minor_faults), false},
    {"last-update", offsetof(struct mc_guest, stats.last_update), false},
};

#define STATS_PREFIX "balloon."

static void store_stat(struct mc_guest *guest, const char *name, uint64_t value)
{
    for (size_t i = 0; i < sizeof(stats_fields) / sizeof(*stats_fields); i++) {
        if (strcmp(stats_fields[i].name, name) != 0)
            continue;
        if (stats_fields[i].is_size)
            value = value > MC_SIZE_MAX / MC_KIB ? MC_UNKNOWN : value * MC_KIB;
        memcpy((char *)guest + stats_fields[i].offset, &value, sizeof(value));
        return;
    }
}

static void forget_stats(struct mc_guest *guest)
{
    for (size_t i = 0; i < sizeof(stats_fields) / sizeof(*stats_fields); i++) {
        const uint64_t unknown = MC_UNKNOWN;

        memcpy((char *)guest + stats_fields[i].offset, &unknown, sizeof(unknown));
    }
    guest->stats.last_update = 0;
}

/* One pass over the record: libvirt's own look-up by name is a search for each. */
static void read_stats(virDomainStatsRecordPtr record, struct mc_guest *guest)
{
    const size_t prefix = strlen(STATS_PREFIX);

    forget_stats(guest);
    for (int i = 0; i < record->nparams; i++) {
        const virTypedParameter *param = &record->params[i];

        if (param->type == VIR_TYPED_PARAM_ULLONG &&
            strncmp(param->field, STATS_PREFIX, prefix) == 0)
            store_stat(guest, param->field + prefix, param->value.ul);
    }
}

/* The sizes, also of a guest that the bulk call skipped: virDomainGetInfo does not block. */
static bool read_sizes(virDomainStatsRecordPtr record, struct mc_guest *guest)
{
    virDomainInfo info;

    read_stats(record, guest);
    /* A guest that was skipped has its sizes all the same: those libvirt knows without asking. */
    guest->answers = guest->rss != MC_UNKNOWN || guest->stats.last_update != 0;
    if (guest->memory != MC_UNKNOWN && guest->actual != MC_UNKNOWN)
        return true;
    if (virDomainGetInfo(record->dom, &info) < 0)
        return false;
    guest->memory = info.maxMem * MC_KIB;
    guest->actual = info.memory * MC_KIB;
    return true;
}

/* Jobs that read all of the guest's memory, and let nobody set the balloon meanwhile. */
static bool is_copy(const virTypedParameter *params, int count)
{
    int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

    virTypedParamsGetInt((virTypedParameterPtr)params, count, VIR_DOMAIN_JOB_OPERATION, &operation);
    return operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT ||
           operation == VIR_DOMAIN_JOB_OPERATION_SNAPSHOT ||
           operation == VIR_DOMAIN_JOB_OPERATION_SAVE || operation == VIR_DOMAIN_JOB_OPERATION_DUMP;
}

/*
 * Events tell when a copy begins, but not all of them when it ends, and not what began before they
 * were listened to. So the guest's job is looked at when its description is read, and in each
 * snapshot while a copy is under way.
 */
static void refresh_job(struct libvirt_hypervisor *hv, virDomainPtr dom,
                        const struct mc_guest *guest, bool due)
{
    virTypedParameterPtr params = NULL;
    unsigned events;
    int type, count = 0;

    if (!mc_cache_is_copied(&hv->cache, guest->uuid, &events) && !due)
        return;
    if (mc_libvirt_check_idle(dom, NULL) < 0 ||
        virDomainGetJobStats(dom, &type, &params, &count, 0) < 0)
        return;
    mc_cache_set_copied(&hv->cache, guest->uuid,
                        (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED) &&
                            is_copy(params, count),
                        events);
    virTypedParamsFree(params, count);
}

/* Read the description; the XML may take its time. */
static void refresh_description(struct libvirt_hypervisor *hv, virDomainPtr dom,
                                const struct mc_guest *guest, uint64_t now_ms)
{
    struct mc_domain_description description;
    uint64_t age_ms;
    char *xml;
    pid_t pid;

    xml = mc_libvirt_check_idle(dom, NULL) < 0 ? NULL : virDomainGetXMLDesc(dom, 0);
    if (!xml || mc_domain_xml_parse(xml, &description, NULL) < 0) {
        mc_cache_mark_changed(&hv->cache, guest->uuid); /* what changed is still to be read */
    } else {
        pid = hv->local ? mc_qemu_pid(hv->runtime_folder, guest->name, guest->uuid) : 0;
        mc_cache_keep(&hv->cache, guest->uuid, guest->run_id, &description, pid, now_ms);
        if (pid && mc_qemu_age_ms(pid, &age_ms) == 0)
            mc_cache_set_age(&hv->cache, guest->uuid, age_ms);
    }
    free(xml);
}

/* Measure QEMU's own memory of one guest for which it is due. */
static void refresh_overhead(struct libvirt_hypervisor *hv, uint64_t now_ms)
{
    struct mc_overhead_due due;
    uint64_t overhead;
    char smaps[64];

    if (!mc_cache_overhead_due(&hv->cache, now_ms, &due))
        return;
    snprintf(smaps, sizeof(smaps), "/proc/%d/smaps", (int)due.pid);
    if (mc_qemu_overhead(smaps, due.backends, due.backend_count, &overhead) == 0)
        mc_cache_set_overhead(&hv->cache, due.uuid, overhead);
}

static int add_guest(struct libvirt_hypervisor *hv, virDomainStatsRecordPtr record,
                     struct mc_snapshot *snapshot)
{
    struct mc_guest *guest = mc_snapshot_add(snapshot);
    unsigned id;
    int state = VIR_DOMAIN_RUNNING, reason = 0;
    bool due;

    if (!guest)
        return -ENOMEM;
    id = virDomainGetID(record->dom);
    snprintf(guest->name, sizeof(guest->name), "%s", virDomainGetName(record->dom));
    virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
    virTypedParamsGetInt(record->params, record->nparams, "state.reason", &reason);
    if (id == (unsigned)-1 || virDomainGetUUIDString(record->dom, guest->uuid) < 0 ||
        !read_sizes(record, guest)) {
        snapshot->count--; /* it stopped in between */
        return 0;
    }
    guest->run_id = (int)id;
    guest->state = state_of(state, reason);
    due = mc_cache_see(&hv->cache, guest->uuid, guest->run_id, snapshot->now_ms);
    if (due)
        refresh_description(hv, record->dom, guest, snapshot->now_ms);
    refresh_job(hv, record->dom, guest, due);
    mc_cache_apply(&hv->cache, guest);
    if (guest->state != MC_GUEST_RUNNING)
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    else if (reason == VIR_DOMAIN_RUNNING_POSTCOPY && guest->exempt == MC_EXEMPT_NO)
        guest->exempt = MC_EXEMPT_MIGRATING; /* it came, and part of its memory did not yet */
    return 0;
}

static int observe_host(struct mc_session *session, uint64_t now_ms, struct mc_host *host,
                        struct mc_error *err)
{
    virNodeMemoryStats stats[16];
    int count = 16;

    if (mc_libvirt_of(session)->local)
        return mc_host_read(&mc_libvirt_of(session)->host, now_ms, host, err);
    if (virNodeGetMemoryStats(mc_libvirt_connection(session), VIR_NODE_MEMORY_STATS_ALL_CELLS,
                              stats, &count, 0) < 0)
        return mc_libvirt_fail(session, err, "cannot read the host's memory");
    *host = (struct mc_host){.swap_total = MC_UNKNOWN, .swap_free = MC_UNKNOWN};
    for (int i = 0; i < count; i++) {
        uint64_t bytes = stats[i].value * MC_KIB;

        if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
            host->total = bytes;
        else
            host->available += bytes; /* free, buffers, cached */
    }
    return 0;
}

/* ---- the records, of all guests or of those that are known ---- */

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
    forget_stats(guest);
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

static bool is_stopped(const struct mc_known_guest *known)
{
    return known->pid && mc_qemu_is_stopped(known->pid);
}

/* Those that can be looked up now; *doms ends with NULL. Returns how many, or a negative errno. */
static int look_up(struct mc_session *session, const struct mc_known_guest *known, size_t count,
                   virDomainPtr *doms, struct mc_snapshot *snapshot)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    int found = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_stopped(&known[i]) || !mc_cache_begin_lookup(&hv->cache, known[i].uuid)) {
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
 * The statistics of all but those whose QEMU is stopped: asking for them would keep one lane for
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
        if (!is_stopped(&known[i]))
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
    int count = mc_cache_known(&hv->cache, &known, &known_count);

    for (size_t i = 0; count == 0 && i < known_count; i++)
        stopped += is_stopped(&known[i]);
    if (count == 0 && stopped)
        count = list_others(session, known, known_count, records, snapshot);
    else if (count == 0)
        count = virConnectGetAllDomainStats(mc_libvirt_connection(session), STATS, records,
                                            VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | NOWAIT);
    free(known);
    atomic_store(&hv->listed, atomic_load(&hv->listed) || count >= 0);
    atomic_store(&hv->lists, false);
    return count;
}

/* Nothing is known before the first list; then there is no choice. */
static bool may_list(struct libvirt_hypervisor *hv)
{
    bool lists = atomic_exchange(&hv->lists, true);

    return !lists || !atomic_load(&hv->listed);
}

int mc_libvirt_observe(struct mc_session *session, struct mc_snapshot *snapshot,
                       struct mc_error *err)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    virDomainStatsRecordPtr *records = NULL;
    int rc, count;

    rc = observe_host(session, snapshot->now_ms, &snapshot->host, err);
    if (rc < 0)
        return rc;
    count = may_list(hv) ? list_all(session, &records, snapshot)
                         : ask_known(session, &records, snapshot);
    if (count < 0)
        return mc_libvirt_fail(session, err, "cannot read the guests' statistics");
    for (int i = 0; i < count && rc == 0; i++)
        rc = add_guest(hv, records[i], snapshot);
    refresh_overhead(hv, snapshot->now_ms); /* for the next snapshot */
    virDomainStatsRecordListFree(records);
    if (rc < 0)
        return mc_error_set(err, rc, "out of memory for %d guests", count);
    mc_cache_forget(&hv->cache, snapshot->now_ms);
    return 0;
}
