/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt wants an event loop with watches for descriptors and timers, and changes them from any
 * thread, with its own locks held. A callback on the main loop may wait for those locks; so nothing
 * here may wait for a running callback: events are removed with event_del_noblock(), and what
 * belongs to a watch is freed later, from the loop itself.
 *
 * libvirt's interface has no argument for its user's data, hence the one global of this file.
 */
#include "libvirt_loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <libvirt/libvirt.h>

struct watch {
    int id;
    struct event *readable, *writable; /* of a descriptor */
    struct event *timer;               /* of a timeout */
    int fd;
    int interval_ms;
    virEventHandleCallback on_handle;
    virEventTimeoutCallback on_timeout;
    void *opaque;
    virFreeCallback release;
    bool removed;
    struct watch *next;
};

static struct {
    struct event_base *base;
    pthread_mutex_t lock;
    struct watch *watches;
    int last_id;
} loop = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct watch *find(int id)
{
    for (struct watch *watch = loop.watches; watch; watch = watch->next)
        if (watch->id == id && !watch->removed)
            return watch;
    return NULL;
}

static bool is_removed(struct watch *watch)
{
    bool removed;

    pthread_mutex_lock(&loop.lock);
    removed = watch->removed;
    pthread_mutex_unlock(&loop.lock);
    return removed;
}

static void on_handle(evutil_socket_t fd, short what, void *opaque)
{
    struct watch *watch = opaque;
    int events = what & EV_WRITE ? VIR_EVENT_HANDLE_WRITABLE : VIR_EVENT_HANDLE_READABLE;

    if (!is_removed(watch))
        watch->on_handle(watch->id, fd, events, watch->opaque);
}

static void on_timeout(evutil_socket_t fd, short what, void *opaque)
{
    struct watch *watch = opaque;

    (void)fd;
    (void)what;
    if (!is_removed(watch))
        watch->on_timeout(watch->id, watch->opaque);
}

static void free_watch(struct watch *watch)
{
    if (watch->readable)
        event_free(watch->readable);
    if (watch->writable)
        event_free(watch->writable);
    if (watch->timer)
        event_free(watch->timer);
    free(watch);
}

static int keep(struct watch *watch)
{
    int id;

    pthread_mutex_lock(&loop.lock);
    id = watch->id = ++loop.last_id;
    watch->next = loop.watches;
    loop.watches = watch;
    pthread_mutex_unlock(&loop.lock);
    return id;
}

/* On the loop: no callback of this watch can be running. */
static void release_watch(evutil_socket_t fd, short what, void *opaque)
{
    struct watch *watch = opaque;

    (void)fd;
    (void)what;
    pthread_mutex_lock(&loop.lock);
    for (struct watch **link = &loop.watches; *link; link = &(*link)->next) {
        if (*link == watch) {
            *link = watch->next;
            break;
        }
    }
    pthread_mutex_unlock(&loop.lock);
    if (watch->release)
        watch->release(watch->opaque);
    free_watch(watch);
}

/* With the lock held. */
static int remove_watch(int id)
{
    const struct timeval now = {0};
    struct watch *watch = find(id);

    if (!watch)
        return -1;
    watch->removed = true;
    if (watch->readable)
        event_del_noblock(watch->readable);
    if (watch->writable)
        event_del_noblock(watch->writable);
    if (watch->timer)
        event_del_noblock(watch->timer);
    return event_base_once(loop.base, -1, EV_TIMEOUT, release_watch, watch, &now);
}

static void listen_to(struct watch *watch, int events)
{
    if (events & (VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP))
        event_add(watch->readable, NULL);
    else
        event_del_noblock(watch->readable);
    if (events & VIR_EVENT_HANDLE_WRITABLE)
        event_add(watch->writable, NULL);
    else
        event_del_noblock(watch->writable);
}

static int add_handle(int fd, int events, virEventHandleCallback callback, void *opaque,
                      virFreeCallback release)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    int id;

    if (!watch)
        return -1;
    watch->fd = fd;
    watch->on_handle = callback;
    watch->opaque = opaque;
    watch->release = release;
    watch->readable = event_new(loop.base, fd, EV_READ | EV_PERSIST, on_handle, watch);
    watch->writable = event_new(loop.base, fd, EV_WRITE | EV_PERSIST, on_handle, watch);
    if (!watch->readable || !watch->writable) {
        free_watch(watch);
        return -1;
    }
    id = keep(watch);
    if (events)
        listen_to(watch, events);
    return id;
}

static void update_handle(int id, int events)
{
    struct watch *watch;

    pthread_mutex_lock(&loop.lock);
    watch = find(id);
    if (watch)
        listen_to(watch, events);
    pthread_mutex_unlock(&loop.lock);
}

static void arm(struct watch *watch, int interval_ms)
{
    const struct timeval interval = {.tv_sec = interval_ms / 1000,
                                     .tv_usec = interval_ms % 1000 * 1000};

    if (interval_ms < 0)
        event_del_noblock(watch->timer);
    else
        event_add(watch->timer, &interval);
}

static int add_timeout(int interval_ms, virEventTimeoutCallback callback, void *opaque,
                       virFreeCallback release)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    int id;

    if (!watch)
        return -1;
    watch->on_timeout = callback;
    watch->opaque = opaque;
    watch->release = release;
    watch->timer = event_new(loop.base, -1, EV_PERSIST, on_timeout, watch);
    if (!watch->timer) {
        free_watch(watch);
        return -1;
    }
    id = keep(watch);
    if (interval_ms >= 0)
        arm(watch, interval_ms);
    return id;
}

static void update_timeout(int id, int interval_ms)
{
    struct watch *watch;

    pthread_mutex_lock(&loop.lock);
    watch = find(id);
    if (watch)
        arm(watch, interval_ms);
    pthread_mutex_unlock(&loop.lock);
}

static int remove_locked(int id)
{
    int rc;

    pthread_mutex_lock(&loop.lock);
    rc = remove_watch(id);
    pthread_mutex_unlock(&loop.lock);
    return rc;
}

int libvirt_loop_register(struct event_base *base)
{
    loop.base = base;
    virEventRegisterImpl(add_handle, update_handle, remove_locked, add_timeout, update_timeout,
                         remove_locked);
    return virInitialize() < 0 ? -EIO : 0;
}

void libvirt_loop_unregister(void)
{
    while (loop.watches) {
        struct watch *next = loop.watches->next;

        if (loop.watches->release)
            loop.watches->release(loop.watches->opaque);
        free_watch(loop.watches);
        loop.watches = next;
    }
    loop.base = NULL;
}
