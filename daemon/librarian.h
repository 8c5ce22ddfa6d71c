/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers questions about the history, on a thread of its own: what a client asks may take the disk
 * some time. Questions are answered one after another; too many are refused, and one that takes too
 * long is given up.
 */
#ifndef MEMCTLD_LIBRARIAN_H
#define MEMCTLD_LIBRARIAN_H

#include <event2/event.h>

#include <memctl/store.h>

struct librarian;

/*
 * A question, to be embedded. It belongs to the librarian from librarian_ask() until answer().
 */
struct book_question {
    /* On the thread. The store is good for this call; NULL: it cannot be read, and err says why. */
    void (*look_up)(struct book_question *question, struct mc_store *store,
                    const struct mc_error *err);
    /* Once, on the main loop; without a look_up() when the librarian ends before. Frees it. */
    void (*answer)(struct book_question *question);
    struct book_question *next;
};

/* Questions that may be open: those of the page leave room for those of the control socket. */
#define LIBRARIAN_OF_PAGE 8
#define LIBRARIAN_OF_SOCKET 16

/* -ENOENT: librarian is NULL, as no history is kept; -EBUSY: so many questions are open already. */
int librarian_ask(struct librarian *librarian, struct book_question *question, unsigned most,
                  struct mc_error *err);

/* NULL when out of memory. */
struct librarian *librarian_new(struct event_base *base, const char *file);
/* What is not answered yet is refused. NULL is no librarian. */
void librarian_free(struct librarian *librarian);

#endif
