/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt wants an event loop with watches for descriptors and timers, and changes them from any
 * thread, with its own locks held. A callback on the main loop may wait for those locks; so nothing
 * here may wait for a running callback: events are removed with event_del_noblock(), and what
 * belongs to a watch is freed later, from the loop itself.
 *
 * Descriptors are watched through an epoll set of their own, which the main loop watches as one
 * descriptor: libvirt switches a connection's watch off and on around every call, and in this way
 * that is one system call and does not wake the main loop.
 *
 * libvirt's interface has no argument for its user's data, hence the one global of this file.
 */
#include "libvirt_loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#define READY_AT_ONCE 16

struct watch {
    int id;
    int fd;              /* of a descriptor, or -1 */
    bool listening;      /* the descriptor is in the set */
    struct event *timer; /* of a timeout, or NULL */
    virEventHandleCallback on_handle;
    virEventTimeoutCallback on_timeout;
    void *opaque;
    virFreeCallback release;
    bool removed;
    struct watch *next;
};

static struct {
    struct event_base *base;
    int epoll;
    struct event *ready; /* some descriptor in the set is */
    pthread_mutex_t lock;
    struct watch *watches;
    int last_id;
} loop = {.epoll = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static struct watch *find(int id)
{
    for (struct watch *watch = loop.watches; watch; watch = watch->next)
        if (watch->id == id && !watch->removed)
            return watch;
    return NULL;
}

/* The watch's callback and argument, if it was not removed meanwhile. */
static bool look_up(int id, struct watch *copy)
{
    struct watch *watch;

    pthread_mutex_lock(&loop.lock);
    watch = find(id);
    if (watch)
        *copy = *watch;
    pthread_mutex_unlock(&loop.lock);
    return watch;
}

static int to_libvirt(uint32_t events)
{
    return (events & EPOLLIN ? VIR_EVENT_HANDLE_READABLE : 0) |
           (events & EPOLLOUT ? VIR_EVENT_HANDLE_WRITABLE : 0) |
           (events & EPOLLERR ? VIR_EVENT_HANDLE_ERROR : 0) |
           (events & EPOLLHUP ? VIR_EVENT_HANDLE_HANGUP : 0);
}

static uint32_t to_epoll(int events)
{
    return (events & VIR_EVENT_HANDLE_READABLE ? (uint32_t)EPOLLIN : 0) |
           (events & VIR_EVENT_HANDLE_WRITABLE ? (uint32_t)EPOLLOUT : 0);
}

static void on_ready(evutil_socket_t fd, short what, void *opaque)
{
    struct epoll_event ready[READY_AT_ONCE];
    int count = epoll_wait(fd, ready, READY_AT_ONCE, 0);

    (void)what;
    (void)opaque;
    for (int i = 0; i < count; i++) {
        struct watch watch;

        if (look_up((int)ready[i].data.u32, &watch))
            watch.on_handle(watch.id, watch.fd, to_libvirt(ready[i].events), watch.opaque);
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *opaque)
{
    const struct watch *watch = opaque;
    struct watch copy;

    (void)fd;
    (void)what;
    if (look_up(watch->id, &copy))
        copy.on_timeout(copy.id, copy.opaque);
}

static void free_watch(struct watch *watch)
{
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
    if (watch->listening)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    if (watch->timer)
        event_del_noblock(watch->timer);
    return event_base_once(loop.base, -1, EV_TIMEOUT, release_watch, watch, &now);
}

/*
 * Descriptors without wanted events are taken out of the set: epoll reports hang-ups whatever was
 * asked for, and one that nobody handles would be reported for ever. With the lock held.
 */
static void listen_to(struct watch *watch, int events)
{
    struct epoll_event wanted = {.events = to_epoll(events), .data.u32 = (uint32_t)watch->id};

    if (wanted.events)
        epoll_ctl(loop.epoll, watch->listening ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &wanted);
    else if (watch->listening)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->listening = wanted.events;
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
    id = keep(watch);
    pthread_mutex_lock(&loop.lock);
    listen_to(watch, events);
    pthread_mutex_unlock(&loop.lock);
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
    watch->fd = -1;
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
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop.epoll < 0)
        return -errno;
    loop.ready = event_new(base, loop.epoll, EV_READ | EV_PERSIST, on_ready, NULL);
    if (!loop.ready || event_add(loop.ready, NULL) < 0)
        return -ENOMEM;
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
    if (loop.ready)
        event_free(loop.ready);
    if (loop.epoll >= 0)
        close(loop.epoll);
    loop.ready = NULL;
    loop.epoll = -1;
    loop.base = NULL;
}
