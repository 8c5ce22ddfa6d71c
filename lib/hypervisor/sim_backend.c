/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulated host as a hypervisor: the same calls, answered by sim_physics.c. */
#include "hypervisor/backend.h"
#include "hypervisor/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_hypervisor {
    struct mc_hypervisor base;
    pthread_mutex_t lock; /* of everything below */
    struct mc_sim sim;
    uint64_t began_ms; /* when the first snapshot was taken */
    bool began;
};

static struct sim_hypervisor *of(struct mc_session *session)
{
    return (struct sim_hypervisor *)session->hypervisor;
}

static void free_sim(struct mc_hypervisor *hypervisor)
{
    struct sim_hypervisor *hv = (struct sim_hypervisor *)hypervisor;

    mc_sim_free(&hv->sim);
    pthread_mutex_destroy(&hv->lock);
    free(hv);
}

static int open_session(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                        struct mc_error *err)
{
    struct mc_session *opened = calloc(1, sizeof(*opened));

    (void)events; /* the physics has none: its guests are polled */
    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    opened->hypervisor = hypervisor;
    *session = opened;
    return 0;
}

static void close_session(struct mc_session *session)
{
    free(session);
}

/* Its balloon's size was asked for: what is reported later is no older than that. */
static void report_size(const struct mc_sim *sim, struct mc_sim_guest *guest)
{
    guest->reported = guest->actual;
    guest->reported_ms = sim->now_ms;
}

static int add_guest(const struct mc_sim *sim, struct mc_sim_guest *from,
                     struct mc_snapshot *snapshot)
{
    struct mc_guest *guest = mc_snapshot_add(snapshot);

    if (!guest)
        return -ENOMEM;
    guest->answers = !mc_sim_has_fault(sim, from, MC_SIM_HUNG);
    guest->sized = guest->answers && from->running && sim->sized_every &&
                   from->observed++ % sim->sized_every == 0;
    if (guest->sized)
        report_size(sim, from);
    memcpy(guest->uuid, from->config.uuid, sizeof(guest->uuid));
    memcpy(guest->name, from->config.name, sizeof(guest->name));
    guest->run_id = from->run_id;
    guest->age_ms = sim->now_ms - from->began_ms;
    guest->deflates_on_oom = from->config.deflate_on_oom;
    guest->state = from->suspended ? MC_GUEST_PAUSED : MC_GUEST_RUNNING;
    guest->exempt = from->config.balloon ? MC_EXEMPT_NO : MC_EXEMPT_NO_BALLOON;
    if (from->suspended)
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    guest->stopped = from->stopped;
    guest->memory = from->config.memory;
    guest->actual = from->reported;
    guest->overhead = from->config.overhead;
    guest->rss = from->held + from->config.overhead;
    guest->known = true;
    guest->stats_period_s = from->stats_period_s;
    guest->stats = from->stats;
    guest->own = from->config.own;
    return 0;
}

static int observe(struct mc_session *session, struct mc_snapshot *snapshot, struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    uint64_t used, swapped = 0;
    int rc = 0;

    pthread_mutex_lock(&hv->lock);
    if (!hv->began) {
        hv->began = true;
        hv->began_ms = snapshot->now_ms;
    }
    mc_sim_advance(&hv->sim, snapshot->now_ms - hv->began_ms);
    used = mc_trace_at(&hv->sim.host_used, hv->sim.now_ms);
    for (size_t i = 0; i < hv->sim.count && rc == 0; i++) {
        struct mc_sim_guest *guest = &hv->sim.guests[i];

        if (guest->running)
            used += guest->held + guest->config.overhead;
        swapped += guest->swapped;
        if (mc_sim_is_listed(&hv->sim, guest))
            rc = add_guest(&hv->sim, guest, snapshot);
    }
    snapshot->host = (struct mc_host){
        .total = hv->sim.host_memory,
        .available = mc_less_u64(hv->sim.host_memory, used),
        .swap_total = hv->sim.host_swap,
        .swap_free = mc_less_u64(hv->sim.host_swap, swapped),
    };
    pthread_mutex_unlock(&hv->lock);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

/* The guest, with the lock taken; NULL, lock released and err set if there is none. */
static struct mc_sim_guest *lock_any_guest(struct sim_hypervisor *hv, const char *uuid,
                                           struct mc_error *err)
{
    pthread_mutex_lock(&hv->lock);
    for (size_t i = 0; i < hv->sim.count; i++)
        if (strcmp(hv->sim.guests[i].config.uuid, uuid) == 0)
            return &hv->sim.guests[i];
    pthread_mutex_unlock(&hv->lock);
    mc_error_set(err, -ENOENT, "the guest is gone");
    return NULL;
}

/* The same for a guest that runs. */
static struct mc_sim_guest *lock_guest(struct sim_hypervisor *hv, const char *uuid,
                                       struct mc_error *err)
{
    struct mc_sim_guest *guest = lock_any_guest(hv, uuid, err);

    if (!guest || guest->running)
        return guest;
    pthread_mutex_unlock(&hv->lock);
    mc_error_set(err, -ENOENT, "the guest is gone");
    return NULL;
}

static int set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_guest(hv, uuid, err);

    if (!guest)
        return -ENOENT;
    if (mc_sim_has_fault(&hv->sim, guest, MC_SIM_HUNG)) {
        pthread_mutex_unlock(&hv->lock);
        return mc_error_set(err, -ETIMEDOUT, "QEMU does not answer");
    }
    guest->target = mc_min_u64(mc_whole_pages(bytes), guest->config.memory);
    guest->target_since_ms = hv->sim.now_ms;
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static int set_stats_period(struct mc_session *session, const char *uuid, unsigned seconds,
                            struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_guest(hv, uuid, err);

    if (!guest)
        return -ENOENT;
    guest->stats_period_s = seconds;
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static int save_settings(struct mc_session *session, const char *uuid,
                         const struct mc_settings *settings, struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_any_guest(hv, uuid, err);

    if (!guest)
        return -ENOENT;
    guest->config.own = *settings;
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static int add_defined(const struct mc_sim_guest *from, struct mc_snapshot *guests)
{
    struct mc_guest *guest = mc_backend_add_defined(guests);

    if (!guest)
        return -ENOMEM;
    memcpy(guest->uuid, from->config.uuid, sizeof(guest->uuid));
    memcpy(guest->name, from->config.name, sizeof(guest->name));
    guest->memory = from->config.memory;
    guest->own = from->config.own;
    guest->stopped = from->stopped;
    if (from->running)
        guest->state = MC_GUEST_RUNNING;
    return 0;
}

static bool is_named(const struct mc_sim_guest_config *config, const char *name)
{
    return strcmp(config->name, name) == 0 || strcmp(config->uuid, name) == 0;
}

static int find(struct mc_session *session, const char *name, struct mc_snapshot *guests,
                struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    bool found = !name;
    int rc = 0;

    pthread_mutex_lock(&hv->lock);
    for (size_t i = 0; i < hv->sim.count && rc == 0; i++) {
        const struct mc_sim_guest *guest = &hv->sim.guests[i];

        if (name ? !is_named(&guest->config, name) : guest->running)
            continue;
        found = true;
        rc = add_defined(guest, guests);
    }
    pthread_mutex_unlock(&hv->lock);
    if (rc < 0)
        return mc_error_set(err, rc, "out of memory");
    if (!found)
        return mc_backend_no_guest(err, name);
    return 0;
}

/* ---- host reclaim and the last resort ---- */

/* Idle pages first: that is what the kernel's own lists come to. */
static int reclaim(struct mc_session *session, const char *uuid, uint64_t bytes,
                   struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_guest(hv, uuid, err);
    uint64_t swap, taken;

    if (!guest)
        return -ENOENT;
    swap = hv->sim.host_swap;
    for (size_t i = 0; i < hv->sim.count; i++)
        swap = mc_less_u64(swap, hv->sim.guests[i].swapped);
    taken = mc_min_u64(bytes, mc_min_u64(guest->held, swap));
    guest->held -= taken;
    guest->swapped += taken;
    pthread_mutex_unlock(&hv->lock);
    return taken < bytes;
}

static int stop(struct mc_session *session, const char *uuid, const struct mc_stopped *stopped,
                struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_guest(hv, uuid, err);
    int rc = 0;

    if (!guest)
        return -ENOENT;
    if (mc_sim_has_fault(&hv->sim, guest, MC_SIM_HUNG)) {
        rc = mc_error_set(err, -ETIMEDOUT, "QEMU does not answer");
    } else if (guest->suspended) {
        rc = mc_error_set(err, -EBUSY, "it does not run any more");
    } else {
        guest->stopped = *stopped;
        guest->suspended = stopped->how == MC_LAST_RESORT_SUSPEND;
        guest->saved = stopped->how == MC_LAST_RESORT_SAVE;
    }
    if (guest->saved) {
        guest->running = false;
        guest->held += guest->swapped; /* all of it is in the image */
        guest->swapped = 0;
    }
    pthread_mutex_unlock(&hv->lock);
    return rc;
}

static int go_on(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_any_guest(hv, uuid, err);

    if (!guest)
        return -ENOENT;
    if (guest->saved) {
        guest->running = true;
        guest->run_id = ++hv->sim.next_run_id;
        guest->began_ms = hv->sim.now_ms;
    }
    guest->suspended = guest->saved = false;
    guest->stopped = (struct mc_stopped){0};
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static int forget_stop(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    struct mc_sim_guest *guest = lock_any_guest(hv, uuid, err);

    if (!guest)
        return -ENOENT;
    guest->stopped = (struct mc_stopped){0};
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static int find_stopped(struct mc_session *session, struct mc_snapshot *guests,
                        struct mc_error *err)
{
    struct sim_hypervisor *hv = of(session);
    int rc = 0;

    pthread_mutex_lock(&hv->lock);
    for (size_t i = 0; i < hv->sim.count && rc == 0; i++)
        if (hv->sim.guests[i].saved && hv->sim.guests[i].stopped.how == MC_LAST_RESORT_SAVE)
            rc = add_defined(&hv->sim.guests[i], guests);
    pthread_mutex_unlock(&hv->lock);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

static const struct mc_backend backend = {
    .free = free_sim,
    .open = open_session,
    .close = close_session,
    .observe = observe,
    .set_balloon = set_balloon,
    .set_stats_period = set_stats_period,
    .find = find,
    .save_settings = save_settings,
    .reclaim = reclaim,
    .stop = stop,
    .go_on = go_on,
    .forget_stop = forget_stop,
    .find_stopped = find_stopped,
};

int mc_sim_adopt(struct mc_sim *sim, struct mc_hypervisor **hypervisor)
{
    struct sim_hypervisor *hv = calloc(1, sizeof(*hv));

    if (!hv)
        return -ENOMEM;
    hv->base.backend = &backend;
    hv->sim = *sim;
    pthread_mutex_init(&hv->lock, NULL);
    *sim = (struct mc_sim){0};
    *hypervisor = &hv->base;
    return 0;
}

struct mc_sim *mc_sim_of(struct mc_hypervisor *hypervisor)
{
    return &((struct sim_hypervisor *)hypervisor)->sim;
}

int mc_sim_new(const char *file, struct mc_hypervisor **hypervisor, struct mc_error *err)
{
    struct mc_sim sim;
    int rc = mc_sim_load(file, &sim, err);

    if (rc < 0)
        return rc;
    rc = mc_sim_adopt(&sim, hypervisor);
    if (rc < 0) {
        mc_sim_free(&sim);
        return mc_error_set(err, rc, "out of memory");
    }
    return 0;
}
