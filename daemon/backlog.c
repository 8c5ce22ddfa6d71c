/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backlog.h"

#include <stddef.h>

void job_queue_init(struct job_queue *queue)
{
    queue->head = NULL;
    queue->end = &queue->head;
}

void job_queue_push(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

struct job *job_queue_pop(struct job_queue *queue)
{
    struct job *job = queue->head;

    if (job) {
        queue->head = job->next;
        if (!queue->head)
            queue->end = &queue->head;
    }
    return job;
}

void backlog_init(struct backlog *backlog)
{
    job_queue_init(&backlog->first);
    job_queue_init(&backlog->others);
    backlog->later = NULL;
    backlog->expected_ms = BACKLOG_NEVER;
}

void backlog_add(struct backlog *backlog, struct job *job)
{
    job_queue_push(job->goes_first ? &backlog->first : &backlog->others, job);
}

void backlog_put_off(struct backlog *backlog, struct job *job)
{
    job->next = backlog->later;
    backlog->later = job;
}

bool backlog_is_later(const struct backlog *backlog, const struct job *job)
{
    const struct job *other = backlog->later;

    while (other && other != job)
        other = other->next;
    return other;
}

void backlog_ripen(struct backlog *backlog, uint64_t now_ms)
{
    for (struct job **link = &backlog->later; *link;) {
        struct job *job = *link;

        if (job->at_ms > now_ms) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        backlog_add(backlog, job);
    }
    if (backlog->expected_ms <= now_ms)
        backlog->expected_ms = BACKLOG_NEVER;
}

uint64_t backlog_next_ms(const struct backlog *backlog)
{
    uint64_t next = backlog->expected_ms;

    for (const struct job *job = backlog->later; job; job = job->next)
        next = mc_min_u64(next, job->at_ms);
    return next;
}

struct job *backlog_take(struct backlog *backlog, bool first_only)
{
    struct job *job = job_queue_pop(&backlog->first);

    return job || first_only ? job : job_queue_pop(&backlog->others);
}

struct job *backlog_take_any(struct backlog *backlog)
{
    struct job *job = backlog_take(backlog, false);

    if (!job && backlog->later) {
        job = backlog->later;
        backlog->later = job->next;
    }
    return job;
}
