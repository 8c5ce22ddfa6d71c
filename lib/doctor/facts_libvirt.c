/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt knows, over a read-only connection. A QEMU or a libvirtd that hangs holds a call for
 * ever, so all of it happens in a thread that is left behind when it takes too long; what the
 * thread works on is then its own to free.
 */
#include "doctor/facts.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define ANSWER_WITHIN_S 5

/* The first call that a hung QEMU holds marks it as occupied; the next one passes it over. */
#define ATTEMPTS 2

struct errand {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done, given_up;
    struct doctor_libvirt link;
    struct doctor_facts found; /* only guests */
    int rc;
};

static void free_errand(struct errand *errand)
{
    doctor_facts_free(&errand->found);
    pthread_cond_destroy(&errand->ended);
    pthread_mutex_destroy(&errand->lock);
    free(errand);
}

/* ---- in the thread ---- */

static bool is_occupied(virDomainPtr dom)
{
    virDomainControlInfo info;

    return virDomainGetControlInfo(dom, &info, 0) == 0 && info.state != VIR_DOMAIN_CONTROL_OK;
}

static void read_statistics(virDomainStatsRecordPtr record, struct doctor_guest *guest)
{
    unsigned long long updated = 0, rss;

    /* Without waiting for it, libvirt leaves out what a busy guest would have to be asked. */
    guest->has_statistics =
        virTypedParamsGetULLong(record->params, record->nparams, "balloon.last-update", &updated) ==
            1 ||
        virTypedParamsGetULLong(record->params, record->nparams, "balloon.rss", &rss) == 1;
    guest->last_update = updated;
}

static int add_guest(virDomainStatsRecordPtr record, struct doctor_facts *found)
{
    virDomainPtr dom = record->dom;
    char uuid[VIR_UUID_STRING_BUFLEN];
    char *xml, *next = NULL;
    struct doctor_guest *guest;

    if (virDomainGetUUIDString(dom, uuid) < 0)
        return 0;
    guest = doctor_guest_of(found, uuid);
    if (!guest)
        return -ENOMEM;
    snprintf(guest->name, sizeof(guest->name), "%s", virDomainGetName(dom));
    guest->persistent = virDomainIsPersistent(dom) == 1;
    guest->occupied = is_occupied(dom);
    read_statistics(record, guest);
    xml = guest->occupied ? NULL : virDomainGetXMLDesc(dom, 0);
    if (xml && guest->persistent)
        next = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
    if (xml)
        doctor_read_domain(xml, next, guest);
    free(xml);
    free(next);
    return 0;
}

static int read_guests(virConnectPtr connection, struct errand *errand)
{
    virDomainStatsRecordPtr *records = NULL;
    int rc = 0;
    int count = virConnectGetAllDomainStats(
        connection, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON, &records,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

    errand->link.answered = count >= 0;
    if (count < 0)
        snprintf(errand->link.error, sizeof(errand->link.error), "%s", virGetLastErrorMessage());
    for (int i = 0; i < count && rc == 0; i++)
        rc = add_guest(records[i], &errand->found);
    virDomainStatsRecordListFree(records);
    return rc;
}

static void keep_silent(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

static void *run(void *opaque)
{
    struct errand *errand = opaque;
    virConnectPtr connection;
    bool alone;

    virSetErrorFunc(NULL, keep_silent);
    connection = virConnectOpenReadOnly(errand->link.uri);
    errand->link.connected = connection != NULL;
    if (!connection)
        snprintf(errand->link.error, sizeof(errand->link.error), "%s", virGetLastErrorMessage());
    else
        errand->rc = read_guests(connection, errand);
    if (connection)
        virConnectClose(connection);
    pthread_mutex_lock(&errand->lock);
    errand->done = true;
    alone = errand->given_up;
    pthread_cond_signal(&errand->ended);
    pthread_mutex_unlock(&errand->lock);
    if (alone)
        free_errand(errand);
    return NULL;
}

/* ---- outside ---- */

static struct errand *start_errand(const char *uri)
{
    struct errand *errand = calloc(1, sizeof(*errand));
    pthread_condattr_t monotonic;
    pthread_attr_t detached;
    pthread_t thread;
    int rc;

    if (!errand)
        return NULL;
    snprintf(errand->link.uri, sizeof(errand->link.uri), "%s", uri);
    pthread_mutex_init(&errand->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&errand->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &detached, run, errand);
    pthread_attr_destroy(&detached);
    if (rc == 0)
        return errand;
    free_errand(errand);
    return NULL;
}

/* Returns whether it is done; if not, the thread has it. */
static bool wait_for(struct errand *errand)
{
    struct timespec until;
    bool done;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ANSWER_WITHIN_S;
    pthread_mutex_lock(&errand->lock);
    while (!errand->done)
        if (pthread_cond_timedwait(&errand->ended, &errand->lock, &until) != 0)
            break;
    done = errand->done;
    errand->given_up = !done;
    pthread_mutex_unlock(&errand->lock);
    return done;
}

/* libvirt's part of each guest, beside what the daemon may have said of it. */
static int take_guests(const struct doctor_facts *found, struct doctor_facts *facts)
{
    for (size_t i = 0; i < found->guest_count; i++) {
        const struct doctor_guest *seen = &found->guests[i];
        struct doctor_guest *guest = doctor_guest_of(facts, seen->uuid);
        struct doctor_guest merged;

        if (!guest)
            return -ENOMEM;
        merged = *seen;
        if (!seen->has_statistics) {
            merged.has_statistics = guest->has_statistics;
            merged.last_update = guest->last_update;
        }
        merged.seen = guest->seen;
        memcpy(merged.exempt, guest->exempt, sizeof(merged.exempt));
        merged.answers = guest->answers;
        merged.fresh = guest->fresh;
        merged.stuck = guest->stuck;
        merged.foreign = guest->foreign;
        merged.distress = guest->distress;
        merged.agent_speaks = guest->agent_speaks;
        merged.min = guest->min;
        merged.max = guest->max;
        *guest = merged;
    }
    return 0;
}

int doctor_ask_libvirt(struct doctor_facts *facts)
{
    struct errand *errand = NULL;
    bool done = false;
    int rc;

    facts->libvirt.asked = true;
    for (int i = 0; i < ATTEMPTS && !done; i++) {
        errand = virInitialize() < 0 ? NULL : start_errand(facts->libvirt.uri);
        if (!errand)
            return -ENOMEM;
        done = wait_for(errand);
    }
    if (!done) {
        snprintf(facts->libvirt.error, sizeof(facts->libvirt.error),
                 "it did not answer within %d s", ATTEMPTS * ANSWER_WITHIN_S);
        facts->libvirt.late = true;
        return 0;
    }
    facts->libvirt.connected = errand->link.connected;
    facts->libvirt.answered = errand->link.answered;
    memcpy(facts->libvirt.error, errand->link.error, sizeof(errand->link.error));
    rc = errand->rc < 0 ? errand->rc : take_guests(&errand->found, facts);
    free_errand(errand);
    return rc;
}
