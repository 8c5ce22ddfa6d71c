/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between control.c, which moves lines, and verbs.c, which knows what they mean. */
#ifndef MEMCTLD_CONTROL_H
#define MEMCTLD_CONTROL_H

#include <jansson.h>

#include "daemon.h"

/* A request that waits for its answer. It outlives a client that goes away. */
struct request;

struct verb {
    const char *name;
    bool changes; /* only for root, the daemon's own user and the socket group */
    /* Answer with request_reply() or request_fail(), once, now or later. args may be NULL. */
    void (*handle)(struct request *request, struct daemon *daemon, const json_t *args);
};

/* NULL for an unknown verb. */
const struct verb *verb_find(const char *name);

/* Take over result (NULL: out of memory); the request is gone afterwards. */
void request_reply(struct request *request, json_t *result);
void request_fail(struct request *request, const struct mc_error *err);
/* The same, and end the connection after it: for those of whom there are too many. */
void request_dismiss(struct request *request, const struct mc_error *err);

/* The whole answer as it goes out, without its newline; NULL: it could not be made. */
void request_reply_line(struct request *request, const char *line);

/* Is there still somebody who waits for the answer? */
bool request_is_alive(const struct request *request);

/* verbs.c: a running guest of the snapshot with its plan. */
json_t *guest_json(const struct daemon *daemon, const struct mc_guest *guest);

/* dedupe_verb.c */
void handle_dedupe(struct request *request, struct daemon *daemon, const json_t *args);
void handle_dedupe_sketch(struct request *request, struct daemon *daemon, const json_t *args);

/* agent_verb.c */
void handle_agent_enable(struct request *request, struct daemon *daemon, const json_t *args);

/* explain.c */
void handle_explain(struct request *request, struct daemon *daemon, const json_t *args);

/* admissions.c */
void handle_admit(struct request *request, struct daemon *daemon, const json_t *args);

/* events_verb.c */
void handle_events(struct request *request, struct daemon *daemon, const json_t *args);

/* history_verb.c */
void handle_history(struct request *request, struct daemon *daemon, const json_t *args);

/* policy_verbs.c */
void handle_policy_list(struct request *request, struct daemon *daemon, const json_t *args);
void handle_policy_show(struct request *request, struct daemon *daemon, const json_t *args);
void handle_policy_use(struct request *request, struct daemon *daemon, const json_t *args);
void handle_snapshot(struct request *request, struct daemon *daemon, const json_t *args);
/* The policy that was set aside and why, or null. */
json_t *policies_refused_json(const struct daemon *daemon);

/* pause.c */
void handle_pause(struct request *request, struct daemon *daemon, const json_t *args);
void handle_resume(struct request *request, struct daemon *daemon, const json_t *args);

/* From root or the daemon's own user: whoever could run programs as the daemon anyway. */
bool request_is_own(const struct request *request);

unsigned request_uid(const struct request *request);

/* Requests since the start, by how they ended; each is a metric. */
struct control_counts {
    uint64_t done, failed, denied;
    uint64_t delays; /* times that a client had to wait because it asks for too much */
};

const struct control_counts *control_counts(const struct control *control);

#endif
