/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jobs that wait for a lane: those whose time has come in their order, those that go first
 * ahead of the others, and beside them those for later. It has no lock; its owner's protects it.
 */
#ifndef MEMCTLD_BACKLOG_H
#define MEMCTLD_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

/* As a time: not known to come. */
#define BACKLOG_NEVER UINT64_MAX

struct job_queue {
    struct job *head, **end;
};

struct backlog {
    struct job_queue first; /* jobs that go first */
    struct job_queue others;
    struct job *later;    /* jobs for another time, in no order */
    uint64_t expected_ms; /* a job will have been submitted by then, or BACKLOG_NEVER */
};

void job_queue_init(struct job_queue *queue);
void job_queue_push(struct job_queue *queue, struct job *job);

/* NULL if the queue is empty. */
struct job *job_queue_pop(struct job_queue *queue);

void backlog_init(struct backlog *backlog);

/* A job whose time has come. */
void backlog_add(struct backlog *backlog, struct job *job);

/* A job for job->at_ms. */
void backlog_put_off(struct backlog *backlog, struct job *job);

/* Is the job among those for later? */
bool backlog_is_later(const struct backlog *backlog, const struct job *job);

/* Those whose time has come by now are in the queue. */
void backlog_ripen(struct backlog *backlog, uint64_t now_ms);

/* When a job's time comes, or may come; BACKLOG_NEVER if there is none. */
uint64_t backlog_next_ms(const struct backlog *backlog);

/* The next job whose time has come, or NULL; with first_only, only one that goes first. */
struct job *backlog_take(struct backlog *backlog, bool first_only);

/* The next job, also if its time has not come; NULL if there is none. */
struct job *backlog_take_any(struct backlog *backlog);

#endif
