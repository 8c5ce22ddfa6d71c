/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "dedupe/scanner.h"

/* Deep enough for the kernel's ranges and a batch's entries. */
#define STACK ((size_t)256 * MC_KIB)

/* ---- one thread's part of a step ---- */

/* The next batch, of whichever guest is next. 1: there is none in this pass. */
static int take_batch(struct mc_scanner *scanner, struct worker *worker)
{
    struct cursor *cursor = &scanner->cursor;

    while (cursor->slot < scanner->slot_count) {
        struct slot *slot = &scanner->slots[cursor->slot];
        int rc = 1;

        if (slot->whole && !slot->failed && cursor->region <= slot->guest.region_count)
            rc = mc_walk_take(scanner, worker);
        if (rc < 0)
            slot->failed = rc;
        else if (worker->batch.count && rc == 0)
            return 0;
        if (rc != 0)
            mc_walk_go_to(scanner, cursor->slot + 1);
    }
    return 1;
}

static void work_on(struct mc_scanner *scanner, struct worker *worker)
{
    struct workers *workers = &scanner->workers;
    int rc;

    pthread_mutex_unlock(&workers->lock);
    rc = mc_match_read(worker);
    pthread_mutex_lock(&workers->lock);
    if (rc < 0) {
        worker->slot->failed = rc;
        return;
    }
    mc_match_note(scanner, worker);
    scanner->done += worker->met.present * MC_PAGE;
    pthread_mutex_unlock(&workers->lock);
    mc_compare_all(worker);
    mc_match_release(worker);
    pthread_mutex_lock(&workers->lock);
    mc_compare_judge(scanner, worker);
}

/* With the lock. */
static void work(struct mc_scanner *scanner, struct worker *worker)
{
    struct workers *workers = &scanner->workers;

    while (workers->rc == 0 && workers->left) {
        worker->batch.count = 0;
        workers->rc = take_batch(scanner, worker);
        workers->left = mc_less_u64(workers->left, worker->batch.count * MC_PAGE);
        if (worker->batch.count)
            work_on(scanner, worker);
    }
}

/* ---- threads ---- */

static uint64_t thread_cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool is_called(const struct workers *workers, const struct worker *worker)
{
    for (unsigned i = 1; i < workers->active; i++)
        if (workers->all[i] == worker)
            return worker->steps != workers->step;
    return false;
}

static void *run(void *opaque)
{
    struct worker *worker = opaque;
    struct mc_scanner *scanner = worker->scanner;
    struct workers *workers = &scanner->workers;
    uint64_t began_us;

    pthread_mutex_lock(&workers->lock);
    worker->ready = true;
    pthread_cond_signal(&workers->end);
    while (!workers->stop) {
        if (!is_called(workers, worker)) {
            pthread_cond_wait(&workers->begin, &workers->lock);
            continue;
        }
        worker->steps = workers->step;
        began_us = thread_cpu_us();
        work(scanner, worker);
        workers->cpu_us += thread_cpu_us() - began_us;
        if (--workers->busy == 0)
            pthread_cond_signal(&workers->end);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Signals are for the caller's threads; a vanished page's comes to whoever touched it. */
static int start(struct workers *workers, struct worker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int rc;

    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&worker->thread, &attributes, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    worker->started = rc == 0;
    /* What the C library does at a thread's start may be forbidden by a filter later on. */
    while (worker->started && !worker->ready)
        pthread_cond_wait(&workers->end, &workers->lock);
    return -rc;
}

static int add_worker(struct mc_scanner *scanner, bool thread)
{
    struct workers *workers = &scanner->workers;
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return -ENOMEM;
    worker->scanner = scanner;
    if (mc_reader_init(&worker->reader) < 0) {
        free(worker);
        return -ENOMEM;
    }
    workers->all[workers->count++] = worker;
    return thread ? start(workers, worker) : 0;
}

int mc_workers_init(struct mc_scanner *scanner, unsigned count)
{
    struct workers *workers = &scanner->workers;
    int rc = 0;

    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->begin, NULL);
    pthread_cond_init(&workers->end, NULL);
    for (unsigned i = 0; rc == 0 && i < MC_SCAN_THREADS_MAX && (i == 0 || i < count); i++) {
        pthread_mutex_lock(&workers->lock);
        rc = add_worker(scanner, i > 0);
        pthread_mutex_unlock(&workers->lock);
    }
    return rc;
}

void mc_workers_free(struct mc_scanner *scanner)
{
    struct workers *workers = &scanner->workers;

    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->begin);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++) {
        if (workers->all[i]->started)
            pthread_join(workers->all[i]->thread, NULL);
        mc_reader_free(&workers->all[i]->reader);
        free(workers->all[i]);
    }
    pthread_cond_destroy(&workers->begin);
    pthread_cond_destroy(&workers->end);
    pthread_mutex_destroy(&workers->lock);
}

int mc_workers_step(struct mc_scanner *scanner, uint64_t bytes)
{
    struct workers *workers = &scanner->workers;
    unsigned wanted = scanner->config.threads;

    pthread_mutex_lock(&workers->lock);
    workers->active = wanted < 1 ? 1 : wanted > workers->count ? workers->count : wanted;
    workers->busy = workers->active - 1;
    workers->left = bytes;
    workers->rc = 0;
    workers->step++;
    if (workers->busy)
        pthread_cond_broadcast(&workers->begin);
    work(scanner, workers->all[0]);
    while (workers->busy)
        pthread_cond_wait(&workers->end, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    return workers->rc;
}

void mc_workers_unmap(struct mc_scanner *scanner)
{
    for (unsigned i = 0; i < scanner->workers.count; i++)
        mc_reader_unmap(&scanner->workers.all[i]->reader);
}
