/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb history: the librarian's thread makes the whole line that goes out. */
#include "control.h"

#include <stdlib.h>

#include <memctl/store.h>
#include <memctl/wire.h>

#include "librarian.h"

struct history_question {
    struct book_question question;
    struct request *request; /* of the main loop */
    json_t *args;            /* of the thread */
    char *line;              /* the whole answer; NULL without one */
};

static void look_up(struct book_question *question, struct mc_store *store,
                    const struct mc_error *err)
{
    struct history_question *self = (struct history_question *)question;
    json_t *result = NULL, *reply;
    struct mc_error failure = *err;

    if (!store || mc_history_answer(store, self->args, &result, &failure) < 0)
        reply = mc_wire_failure(&failure);
    else
        reply = mc_wire_reply(result);
    self->line = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    json_decref(reply);
}

static void let_go(struct history_question *self)
{
    json_decref(self->args);
    free(self->line);
    free(self);
}

static void answer(struct book_question *question)
{
    struct history_question *self = (struct history_question *)question;

    request_reply_line(self->request, self->line);
    let_go(self);
}

void handle_history(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct history_question *self = calloc(1, sizeof(*self));
    struct mc_error err;

    if (self)
        self->args = args ? json_deep_copy(args) : json_object();
    if (!self || !self->args) {
        free(self);
        request_reply(request, NULL);
        return;
    }
    self->question = (struct book_question){.look_up = look_up, .answer = answer};
    self->request = request;
    if (librarian_ask(daemon->librarian, &self->question, LIBRARIAN_OF_SOCKET, &err) == 0)
        return;
    request_fail(request, &err);
    let_go(self);
}
