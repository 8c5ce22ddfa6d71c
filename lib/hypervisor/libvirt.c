/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The libvirt backend.
 *
 * One bulk call per snapshot brings the numbers that change; what changes seldom (devices, memory
 * backends, settings) is read from the domain's XML when a guest is new or libvirt says that it
 * changed, and kept in a cache that all sessions share.
 *
 * A QEMU that hangs blocks the first call that needs its monitor, for ever, and the calls after it
 * until libvirt's own time limit. virDomainGetControlInfo never blocks and tells; so no call is
 * made for a domain whose control is occupied, and the bulk call skips such domains (NOWAIT). The
 * first call cannot be avoided; sessions exist so that whoever makes it is the only one to wait.
 */
#include "hypervisor/backend.h"
#include "hypervisor/domain_xml.h"
#include "observe/host.h"
#include "observe/qemu_process.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* QEMU's own memory is measured again after so long; less at first, while it still grows. */
#define OVERHEAD_LASTS_MS 300000
#define OVERHEAD_FIRST_MS 2000

/* A description is read again after so long even if no event came. */
#define DESCRIPTION_LASTS_MS 600000

/* Kinds of events that are listened to. */
#define EVENTS 4

struct domain {
    char uuid[MC_UUID_TEXT];
    int run_id;
    bool known; /* the description below is that of this run */
    bool stale; /* libvirt said that something changed */
    uint64_t read_ms;
    struct mc_domain_description description;
    pid_t pid;
    uint64_t overhead;
    uint64_t overhead_next_ms, overhead_pause_ms;
    struct domain *next;
};

struct libvirt_hypervisor {
    struct mc_hypervisor base;
    char *uri;
    char runtime_folder[4096];  /* where libvirtd keeps its pid files */
    bool local;                 /* the guests run on this host */
    struct mc_host_reader host; /* if so */
    pthread_mutex_t lock;       /* of everything below */
    struct domain *domains;
};

struct libvirt_session {
    struct mc_session base;
    virConnectPtr connection;
    int callbacks[EVENTS]; /* of the events it listens to, or -1 */
};

static struct libvirt_hypervisor *of(struct mc_session *session)
{
    return (struct libvirt_hypervisor *)session->hypervisor;
}

static virConnectPtr connection_of(struct mc_session *session)
{
    return ((struct libvirt_session *)session)->connection;
}

/* Errors are returned to the caller, not printed by the library. */
static void keep_silent(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

static int fail(struct mc_session *session, struct mc_error *err, const char *what)
{
    /* Copied, and the code kept: the next call into libvirt forgets them. */
    char reason[MC_ERROR_TEXT / 2];
    int code = virGetLastErrorCode();

    snprintf(reason, sizeof(reason), "%s", virGetLastErrorMessage());
    if (virConnectIsAlive(connection_of(session)) != 1)
        return mc_error_set(err, -ENOTCONN, "the connection to libvirt was lost: %s", reason);
    return mc_error_set(err, code == VIR_ERR_NO_DOMAIN ? -ENOENT : -EIO, "%s: %s", what, reason);
}

/* ---- the cache of descriptions; `lock` is held ---- */

static struct domain *find_domain(struct libvirt_hypervisor *hv, const char *uuid)
{
    for (struct domain *domain = hv->domains; domain; domain = domain->next)
        if (strcmp(domain->uuid, uuid) == 0)
            return domain;
    return NULL;
}

static struct domain *get_domain(struct libvirt_hypervisor *hv, const char *uuid, int run_id)
{
    struct domain *domain = find_domain(hv, uuid);

    if (!domain) {
        domain = calloc(1, sizeof(*domain));
        if (!domain)
            return NULL;
        snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
        domain->next = hv->domains;
        hv->domains = domain;
    } else if (domain->run_id != run_id) {
        struct domain *next = domain->next;

        *domain = (struct domain){.next = next};
        snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
    }
    domain->run_id = run_id;
    return domain;
}

static void forget_absent(struct libvirt_hypervisor *hv, const struct mc_snapshot *snapshot)
{
    struct domain **link = &hv->domains;

    while (*link) {
        struct domain *domain = *link;

        /* The snapshot is not sorted yet. */
        bool present = false;

        for (size_t i = 0; i < snapshot->count && !present; i++)
            present = strcmp(snapshot->guests[i].uuid, domain->uuid) == 0;
        if (present) {
            link = &domain->next;
            continue;
        }
        *link = domain->next;
        free(domain);
    }
}

/* ---- events; called from the process's event loop ---- */

static void mark_changed(struct libvirt_hypervisor *hv, virDomainPtr dom)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    struct domain *domain;

    if (dom && virDomainGetUUIDString(dom, uuid) == 0) {
        pthread_mutex_lock(&hv->lock);
        domain = find_domain(hv, uuid);
        if (domain)
            domain->stale = true;
        pthread_mutex_unlock(&hv->lock);
    }
    if (hv->base.changed)
        hv->base.changed(hv->base.opaque);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr dom, int event, int detail,
                        void *opaque)
{
    (void)connection;
    (void)event;
    (void)detail;
    mark_changed(opaque, dom);
    return 0;
}

static void on_device(virConnectPtr connection, virDomainPtr dom, const char *alias, void *opaque)
{
    (void)connection;
    (void)alias;
    mark_changed(opaque, dom);
}

static void on_metadata(virConnectPtr connection, virDomainPtr dom, int type, const char *uri,
                        void *opaque)
{
    (void)connection;
    (void)type;
    if (uri && strcmp(uri, MC_METADATA_URI) == 0)
        mark_changed(opaque, dom);
}

static void register_events(struct libvirt_session *session)
{
    static const struct {
        int id;
        virConnectDomainEventGenericCallback callback;
    } wanted[EVENTS] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata)},
    };

    /* Drivers without an event are polled all the same: DESCRIPTION_LASTS_MS. */
    for (size_t i = 0; i < EVENTS; i++)
        session->callbacks[i] =
            virConnectDomainEventRegisterAny(session->connection, NULL, wanted[i].id,
                                             wanted[i].callback, session->base.hypervisor, NULL);
}

/* ---- connecting ---- */

static void free_libvirt(struct mc_hypervisor *hypervisor)
{
    struct libvirt_hypervisor *hv = (struct libvirt_hypervisor *)hypervisor;

    while (hv->domains) {
        struct domain *next = hv->domains->next;

        free(hv->domains);
        hv->domains = next;
    }
    mc_host_close(&hv->host);
    pthread_mutex_destroy(&hv->lock);
    free(hv->uri);
    free(hv);
}

static int open_session(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                        struct mc_error *err)
{
    struct libvirt_hypervisor *hv = (struct libvirt_hypervisor *)hypervisor;
    struct libvirt_session *opened = calloc(1, sizeof(*opened));

    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    opened->base.hypervisor = hypervisor;
    for (size_t i = 0; i < EVENTS; i++)
        opened->callbacks[i] = -1;
    opened->connection = virConnectOpen(hv->uri);
    if (!opened->connection) {
        free(opened);
        return mc_error_set(err, -ENOTCONN, "cannot connect to libvirt at %s: %s", hv->uri,
                            virGetLastErrorMessage());
    }
    /* A libvirtd that stops answering closes the connection after 15 s. */
    virConnectSetKeepAlive(opened->connection, 5, 3);
    if (events)
        register_events(opened);
    *session = &opened->base;
    return 0;
}

static void close_session(struct mc_session *session)
{
    struct libvirt_session *closed = (struct libvirt_session *)session;

    /* A connection with callbacks is kept alive by them. */
    for (size_t i = 0; i < EVENTS; i++)
        if (closed->callbacks[i] >= 0)
            virConnectDomainEventDeregisterAny(closed->connection, closed->callbacks[i]);
    virConnectClose(closed->connection);
    free(closed);
}

/* ---- observing ---- */

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

/* One pass over the record: libvirt's own look-up by name is a search for each. */
static void read_stats(virDomainStatsRecordPtr record, struct mc_guest *guest)
{
    const size_t prefix = strlen(STATS_PREFIX);

    for (size_t i = 0; i < sizeof(stats_fields) / sizeof(*stats_fields); i++) {
        const uint64_t unknown = MC_UNKNOWN;

        memcpy((char *)guest + stats_fields[i].offset, &unknown, sizeof(unknown));
    }
    guest->stats.last_update = 0;
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

/* -EBUSY where a call would have to wait for somebody else's. */
static int check_idle(virDomainPtr dom, struct mc_error *err)
{
    virDomainControlInfo info;

    if (virDomainGetControlInfo(dom, &info, 0) == 0 && info.state != VIR_DOMAIN_CONTROL_OK)
        return mc_error_set(
            err, -EBUSY, "guest '%s' does not answer now (control is %s); try again",
            virDomainGetName(dom), info.state == VIR_DOMAIN_CONTROL_ERROR ? "broken" : "occupied");
    return 0;
}

/* Read the description if it is due. Called without the lock; the XML may take its time. */
static void refresh_description(struct libvirt_hypervisor *hv, virDomainPtr dom,
                                const struct mc_guest *guest, uint64_t now_ms)
{
    struct mc_domain_description description;
    struct domain *domain;
    bool due;
    char *xml;
    pid_t pid;

    pthread_mutex_lock(&hv->lock);
    domain = get_domain(hv, guest->uuid, guest->run_id);
    due = domain &&
          (!domain->known || domain->stale || now_ms - domain->read_ms > DESCRIPTION_LASTS_MS);
    if (due)
        domain->stale = false;
    pthread_mutex_unlock(&hv->lock);
    if (!due)
        return;
    xml = check_idle(dom, NULL) < 0 ? NULL : virDomainGetXMLDesc(dom, 0);
    if (!xml || mc_domain_xml_parse(xml, &description, NULL) < 0) {
        pthread_mutex_lock(&hv->lock);
        domain = find_domain(hv, guest->uuid);
        if (domain)
            domain->stale = true; /* what changed is still to be read */
        pthread_mutex_unlock(&hv->lock);
    } else {
        pid = hv->local ? mc_qemu_pid(hv->runtime_folder, guest->name, guest->uuid) : 0;
        pthread_mutex_lock(&hv->lock);
        domain = get_domain(hv, guest->uuid, guest->run_id);
        if (domain) {
            domain->description = description;
            domain->known = true;
            domain->pid = pid;
            domain->read_ms = now_ms;
        }
        pthread_mutex_unlock(&hv->lock);
    }
    free(xml);
}

/* Measure QEMU's own memory of one guest for which it is due. */
static void refresh_overhead(struct libvirt_hypervisor *hv, uint64_t now_ms)
{
    uint64_t backends[MC_BACKENDS_MAX];
    char uuid[MC_UUID_TEXT] = "", smaps[64];
    uint64_t overhead = 0;
    struct domain *domain;
    size_t count = 0;
    int rc;

    pthread_mutex_lock(&hv->lock);
    for (domain = hv->domains; domain; domain = domain->next) {
        if (!domain->known || !domain->pid || now_ms < domain->overhead_next_ms)
            continue;
        memcpy(uuid, domain->uuid, sizeof(uuid));
        count = domain->description.backend_count;
        memcpy(backends, domain->description.backends, sizeof(backends));
        snprintf(smaps, sizeof(smaps), "/proc/%d/smaps", (int)domain->pid);
        domain->overhead_pause_ms =
            domain->overhead_pause_ms ? mc_min_u64(domain->overhead_pause_ms * 4, OVERHEAD_LASTS_MS)
                                      : OVERHEAD_FIRST_MS;
        domain->overhead_next_ms = now_ms + domain->overhead_pause_ms;
        break;
    }
    pthread_mutex_unlock(&hv->lock);
    if (!*uuid)
        return;
    rc = mc_qemu_overhead(smaps, backends, count, &overhead);
    pthread_mutex_lock(&hv->lock);
    domain = find_domain(hv, uuid);
    if (domain && rc == 0)
        domain->overhead = overhead;
    pthread_mutex_unlock(&hv->lock);
}

static void apply_description(struct libvirt_hypervisor *hv, struct mc_guest *guest)
{
    struct domain *domain;

    pthread_mutex_lock(&hv->lock);
    domain = find_domain(hv, guest->uuid);
    if (!domain || !domain->known) {
        /* Nothing may be done to a guest that is not understood yet. */
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    } else {
        guest->exempt = domain->description.exempt;
        guest->own = domain->description.own;
        guest->stats_period_s = domain->description.stats_period_s;
        guest->pid = domain->pid;
        memcpy(guest->agent_socket, domain->description.agent_socket, sizeof(guest->agent_socket));
        guest->known = true;
        guest->overhead = domain->overhead;
        if (!guest->overhead && guest->rss != MC_UNKNOWN)
            guest->overhead = mc_less_u64(guest->rss, guest->actual); /* at the least */
    }
    pthread_mutex_unlock(&hv->lock);
    if (guest->state != MC_GUEST_RUNNING)
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
}

static int add_guest(struct libvirt_hypervisor *hv, virDomainStatsRecordPtr record,
                     struct mc_snapshot *snapshot)
{
    struct mc_guest *guest = mc_snapshot_add(snapshot);
    unsigned id;
    int state = VIR_DOMAIN_RUNNING, reason = 0;

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
    refresh_description(hv, record->dom, guest, snapshot->now_ms);
    apply_description(hv, guest);
    return 0;
}

static int observe_host(struct mc_session *session, struct mc_host *host, struct mc_error *err)
{
    virNodeMemoryStats stats[16];
    int count = 16;

    if (of(session)->local)
        return mc_host_read(&of(session)->host, host, err);
    if (virNodeGetMemoryStats(connection_of(session), VIR_NODE_MEMORY_STATS_ALL_CELLS, stats,
                              &count, 0) < 0)
        return fail(session, err, "cannot read the host's memory");
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

static int observe(struct mc_session *session, struct mc_snapshot *snapshot, struct mc_error *err)
{
    struct libvirt_hypervisor *hv = of(session);
    virDomainStatsRecordPtr *records = NULL;
    int rc, count;

    rc = observe_host(session, &snapshot->host, err);
    if (rc < 0)
        return rc;
    count = virConnectGetAllDomainStats(
        connection_of(session), VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON, &records,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (count < 0)
        return fail(session, err, "cannot read the guests' statistics");
    for (int i = 0; i < count && rc == 0; i++)
        rc = add_guest(hv, records[i], snapshot);
    refresh_overhead(hv, snapshot->now_ms); /* for the next snapshot */
    virDomainStatsRecordListFree(records);
    if (rc < 0)
        return mc_error_set(err, rc, "out of memory for %d guests", count);
    pthread_mutex_lock(&hv->lock);
    forget_absent(hv, snapshot);
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

/* ---- acting ---- */

/* Look the guest up and see that a call for it will not have to wait. */
static int begin(struct mc_session *session, const char *uuid, virDomainPtr *dom,
                 struct mc_error *err)
{
    int rc;

    *dom = virDomainLookupByUUIDString(connection_of(session), uuid);
    if (!*dom)
        return fail(session, err, "the guest is gone");
    rc = check_idle(*dom, err);
    if (rc < 0)
        virDomainFree(*dom);
    return rc;
}

static int set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err)
{
    virDomainPtr dom;
    int rc = begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    if (virDomainSetMemoryFlags(dom, (unsigned long)(bytes / MC_KIB), VIR_DOMAIN_AFFECT_LIVE) < 0)
        rc = fail(session, err, "the balloon's target cannot be set");
    virDomainFree(dom);
    return rc;
}

static int set_stats_period(struct mc_session *session, const char *uuid, unsigned seconds,
                            struct mc_error *err)
{
    struct libvirt_hypervisor *hv = of(session);
    virDomainPtr dom;
    int rc = begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    if (virDomainSetMemoryStatsPeriod(dom, (int)seconds, VIR_DOMAIN_AFFECT_LIVE) < 0) {
        rc = fail(session, err, "the balloon's statistics cannot be turned on");
    } else {
        struct domain *domain;

        pthread_mutex_lock(&hv->lock);
        domain = find_domain(hv, uuid);
        if (domain)
            domain->description.stats_period_s = seconds;
        pthread_mutex_unlock(&hv->lock);
    }
    virDomainFree(dom);
    return rc;
}

static int save_settings(struct mc_session *session, const char *uuid,
                         const struct mc_settings *settings, struct mc_error *err)
{
    char *xml = mc_settings_xml(settings);
    unsigned flags = VIR_DOMAIN_AFFECT_LIVE;
    virDomainPtr dom;
    int rc;

    if (!xml)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = begin(session, uuid, &dom, err);
    if (rc == 0) {
        if (virDomainIsPersistent(dom) == 1)
            flags |= VIR_DOMAIN_AFFECT_CONFIG;
        if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, xml, MC_METADATA_KEY,
                                 MC_METADATA_URI, flags) < 0)
            rc = fail(session, err, "the settings cannot be stored in the guest's metadata");
        virDomainFree(dom);
    }
    free(xml);
    if (rc == 0) {
        struct libvirt_hypervisor *hv = of(session);
        struct domain *domain;

        pthread_mutex_lock(&hv->lock);
        domain = find_domain(hv, uuid);
        if (domain)
            domain->description.own = *settings;
        pthread_mutex_unlock(&hv->lock);
    }
    return rc;
}

static const struct mc_backend backend = {
    .free = free_libvirt,
    .open = open_session,
    .close = close_session,
    .observe = observe,
    .set_balloon = set_balloon,
    .set_stats_period = set_stats_period,
    .save_settings = save_settings,
};

/* qemu+unix:///system?socket=/x/libvirt-sock: pid files are then in /x/qemu. */
static void find_runtime_folder(struct libvirt_hypervisor *hv)
{
    const char *socket = strstr(hv->uri, "socket=");
    char *slash;

    snprintf(hv->runtime_folder, sizeof(hv->runtime_folder), "/run/libvirt");
    if (!socket)
        return;
    snprintf(hv->runtime_folder, sizeof(hv->runtime_folder), "%s", socket + strlen("socket="));
    hv->runtime_folder[strcspn(hv->runtime_folder, "&")] = '\0';
    slash = strrchr(hv->runtime_folder, '/');
    if (slash)
        *slash = '\0';
}

/* "driver:///path" and "driver+unix:///path" have no host between the slashes. */
static bool is_local(const char *uri)
{
    const char *host = strstr(uri, "://");

    return host && host[3] == '/' && strncmp(uri, "qemu", 4) == 0;
}

int mc_libvirt_new(const char *uri, struct mc_hypervisor **hypervisor, struct mc_error *err)
{
    struct libvirt_hypervisor *hv;

    if (!strstr(uri, "://"))
        return mc_error_set(err, -EINVAL,
                            "'%s' is not a libvirt URI; write qemu:///system or sim:FILE", uri);
    hv = calloc(1, sizeof(*hv));
    if (hv)
        hv->uri = strdup(uri);
    if (!hv || !hv->uri || virInitialize() < 0) {
        free(hv ? hv->uri : NULL);
        free(hv);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    virSetErrorFunc(NULL, keep_silent);
    hv->base.backend = &backend;
    hv->host = (struct mc_host_reader){.meminfo = -1, .pressure = -1};
    hv->local = is_local(uri);
    if (hv->local && mc_host_open("/proc", &hv->host, err) < 0) {
        free(hv->uri);
        free(hv);
        return err ? err->code : -EIO;
    }
    find_runtime_folder(hv);
    pthread_mutex_init(&hv->lock, NULL);
    *hypervisor = &hv->base;
    return 0;
}
