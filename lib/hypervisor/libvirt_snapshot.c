/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "observe/qemu_process.h"

/* Statistics that are later than this are late for a reason. */
#define STATS_LATE_S 5

/* Balloons' sizes are asked for one by one, so not for longer than this. */
#define ASKS_FOR_MS 50

/* New QEMUs are measured for so long; what is left is for the next observations. */
#define MEASURES_FOR_MS 250

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

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

void mc_libvirt_forget_stats(struct mc_guest *guest)
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

    mc_libvirt_forget_stats(guest);
    for (int i = 0; i < record->nparams; i++) {
        const virTypedParameter *param = &record->params[i];

        if (param->type == VIR_TYPED_PARAM_ULLONG &&
            strncmp(param->field, STATS_PREFIX, prefix) == 0)
            store_stat(guest, param->field + prefix, param->value.ul);
    }
}

/*
 * libvirt formats the UUID of a guest in every call about it, for a log line that is then not
 * written. So virDomainGetUUIDString() does it twice, and is a tenth of what an observation costs.
 */
static int read_uuid(virDomainPtr dom, char text[MC_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char uuid[VIR_UUID_BUFLEN];

    if (virDomainGetUUID(dom, uuid) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(uuid); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[uuid[i] >> 4];
        *text++ = digits[uuid[i] & 15];
    }
    *text = '\0';
    return 0;
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
    struct mc_qemu_memory memory;
    char smaps[64];

    if (!mc_cache_overhead_due(&hv->cache, now_ms, &due))
        return;
    snprintf(smaps, sizeof(smaps), "/proc/%d/smaps", (int)due.pid);
    if (mc_qemu_overhead(smaps, due.backends, due.backend_count, &memory) == 0)
        mc_cache_set_overhead(&hv->cache, due.uuid, &memory);
}

/* No event tells that somebody turned a guest's statistics off. */
static void doubt_old_stats(struct libvirt_hypervisor *hv, const struct mc_guest *guest,
                            uint64_t now_ms)
{
    uint64_t wall_s = (uint64_t)time(NULL);

    if (guest->state == MC_GUEST_RUNNING && guest->stats_period_s && guest->stats.last_update &&
        guest->stats.last_update + guest->stats_period_s + STATS_LATE_S < wall_s)
        mc_cache_doubt(&hv->cache, guest->uuid, now_ms);
}

/*
 * Of a balloon that is on its way QEMU itself is asked for the size: what libvirt knows of it is up
 * to a second old, and somebody may wait for that memory who does not have a second.
 */
static void ask_size(struct libvirt_hypervisor *hv, virDomainPtr dom, struct mc_guest *guest,
                     uint64_t now_ms)
{
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    int count;

    if (!guest->answers || !mc_cache_is_under_way(&hv->cache, guest->uuid) ||
        mc_libvirt_check_idle(dom, NULL) < 0)
        return;
    count = virDomainMemoryStats(dom, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
    for (int i = 0; i < count; i++) {
        if (stats[i].tag != VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON ||
            stats[i].val > guest->memory / MC_KIB)
            continue;
        guest->actual = mc_cache_set_size(&hv->cache, guest->uuid, stats[i].val * MC_KIB, now_ms);
        guest->sized = true;
    }
}

static int add_guest(struct libvirt_hypervisor *hv, virDomainStatsRecordPtr record,
                     uint64_t asks_until_ms, struct mc_snapshot *snapshot)
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
    if (id == (unsigned)-1 || read_uuid(record->dom, guest->uuid) < 0 ||
        !read_sizes(record, guest)) {
        snapshot->count--; /* it stopped in between */
        return 0;
    }
    guest->run_id = (int)id;
    guest->state = state_of(state, reason);
    due = mc_cache_see(&hv->cache, guest->uuid, guest->run_id, snapshot->now_ms);
    if (due || mc_cache_is_replugged(&hv->cache, guest)) {
        refresh_description(hv, record->dom, guest, snapshot->now_ms);
        /* At once: until it is known what its QEMU takes itself, that would be given to guests. */
        if (clock_ms() + ASKS_FOR_MS < asks_until_ms + MEASURES_FOR_MS)
            refresh_overhead(hv, snapshot->now_ms);
    }
    refresh_job(hv, record->dom, guest, due);
    mc_cache_apply(&hv->cache, guest);
    if (clock_ms() < asks_until_ms)
        ask_size(hv, record->dom, guest, snapshot->now_ms);
    doubt_old_stats(hv, guest, snapshot->now_ms);
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

int mc_libvirt_observe(struct mc_session *session, struct mc_snapshot *snapshot,
                       struct mc_error *err)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    virDomainStatsRecordPtr *records = NULL;
    uint64_t asks_until_ms;
    int rc, count;

    rc = observe_host(session, snapshot->now_ms, &snapshot->host, err);
    if (rc < 0)
        return rc;
    count = mc_libvirt_ask(session, &records, snapshot);
    if (count < 0)
        return mc_libvirt_fail(session, err, "cannot read the guests' statistics");
    asks_until_ms = clock_ms() + ASKS_FOR_MS;
    for (int i = 0; i < count && rc == 0; i++)
        rc = add_guest(hv, records[i], asks_until_ms, snapshot);
    refresh_overhead(hv, snapshot->now_ms); /* for the next snapshot */
    virDomainStatsRecordListFree(records);
    if (rc < 0)
        return mc_error_set(err, rc, "out of memory for %d guests", count);
    mc_cache_forget(&hv->cache, snapshot->now_ms);
    return 0;
}
