/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "librarian.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_WITHIN_MS 10000
#define CLOSE_WITHIN_S 3

struct librarian {
    char *file;
    pthread_t thread;
    struct event *answered; /* made active by the thread */
    unsigned open;          /* of the main loop: questions that have no answer yet */
    pthread_mutex_t lock;   /* of all below */
    pthread_cond_t asked;
    struct book_question *questions, *answers; /* the newest is the last */
    bool closing;
};

static void append(struct book_question **list, struct book_question *question)
{
    while (*list)
        list = &(*list)->next;
    question->next = NULL;
    *list = question;
}

static struct book_question *take_first(struct book_question **list)
{
    struct book_question *first = *list;

    if (first)
        *list = first->next;
    return first;
}

/* ---- the thread ---- */

/* The file is opened for each question: it may have been set aside and begun anew. */
static void look_up(const char *file, struct book_question *question)
{
    struct mc_store *store = NULL;
    struct mc_error err = {0};

    if (mc_store_open_to_read(file, &store, &err) == 0)
        mc_store_set_deadline(store, ANSWER_WITHIN_MS);
    question->look_up(question, store, &err);
    mc_store_close(store);
}

static void *run(void *opaque)
{
    struct librarian *librarian = opaque;

    pthread_mutex_lock(&librarian->lock);
    while (!librarian->closing) {
        struct book_question *question = take_first(&librarian->questions);

        if (!question) {
            pthread_cond_wait(&librarian->asked, &librarian->lock);
            continue;
        }
        pthread_mutex_unlock(&librarian->lock);
        look_up(librarian->file, question);
        pthread_mutex_lock(&librarian->lock);
        append(&librarian->answers, question);
        event_active(librarian->answered, EV_READ, 0);
    }
    pthread_mutex_unlock(&librarian->lock);
    return NULL;
}

/* ---- the main loop's side ---- */

static void on_answered(evutil_socket_t fd, short what, void *opaque)
{
    struct librarian *librarian = opaque;
    struct book_question *question;

    (void)fd;
    (void)what;
    do {
        pthread_mutex_lock(&librarian->lock);
        question = take_first(&librarian->answers);
        pthread_mutex_unlock(&librarian->lock);
        if (!question)
            break;
        librarian->open--;
        question->answer(question);
    } while (true);
}

static void free_librarian(struct librarian *librarian)
{
    if (librarian->answered)
        event_free(librarian->answered);
    pthread_mutex_destroy(&librarian->lock);
    pthread_cond_destroy(&librarian->asked);
    free(librarian->file);
    free(librarian);
}

struct librarian *librarian_new(struct event_base *base, const char *file)
{
    struct librarian *librarian = calloc(1, sizeof(*librarian));

    if (!librarian)
        return NULL;
    pthread_mutex_init(&librarian->lock, NULL);
    pthread_cond_init(&librarian->asked, NULL);
    librarian->file = strdup(file);
    librarian->answered = event_new(base, -1, 0, on_answered, librarian);
    if (librarian->file && librarian->answered &&
        pthread_create(&librarian->thread, NULL, run, librarian) == 0)
        return librarian;
    free_librarian(librarian);
    return NULL;
}

/* Their clients are gone by now; what they hold still has to be let go of. */
static void answer_all(struct book_question *list)
{
    struct book_question *question;

    while ((question = take_first(&list)))
        question->answer(question);
}

void librarian_free(struct librarian *librarian)
{
    struct timespec until;

    if (!librarian)
        return;
    pthread_mutex_lock(&librarian->lock);
    librarian->closing = true;
    pthread_cond_signal(&librarian->asked);
    pthread_mutex_unlock(&librarian->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WITHIN_S;
    if (pthread_timedjoin_np(librarian->thread, NULL, &until) != 0)
        return; /* the disk hangs: leave all to the end of the process */
    answer_all(librarian->questions);
    answer_all(librarian->answers);
    free_librarian(librarian);
}

int librarian_ask(struct librarian *librarian, struct book_question *question, unsigned most,
                  struct mc_error *err)
{
    if (!librarian)
        return mc_error_set(err, -ENOENT,
                            "memctld keeps no history; 'store' in memctld.conf starts one");
    if (librarian->open >= most)
        return mc_error_set(err, -EBUSY, "too many questions about the history; try again");
    librarian->open++;
    pthread_mutex_lock(&librarian->lock);
    append(&librarian->questions, question);
    pthread_cond_signal(&librarian->asked);
    pthread_mutex_unlock(&librarian->lock);
    return 0;
}
