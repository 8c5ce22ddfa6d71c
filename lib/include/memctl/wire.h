/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control protocol: one JSON object per line over a Unix socket; docs/protocol.md describes it.
 *
 *   -> {"memctl": 1, "verb": "set", "args": {"guest": "web1", "settings": {"shares": "2000"}}}
 *   <- {"memctl": 1, "ok": true, "result": {...}}
 *   <- {"memctl": 1, "ok": false, "error": {"code": "not-found", "message": "..."}}
 */
#ifndef MEMCTL_WIRE_H
#define MEMCTL_WIRE_H

#include <jansson.h>

#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/policy.h>
#include <memctl/visibility.h>

#define MC_WIRE_VERSION 1
#define MC_WIRE_REQUEST_MAX ((size_t)64 * 1024)
#define MC_WIRE_REPLY_MAX ((size_t)16 * 1024 * 1024)

#define MC_SOCKET_DEFAULT "/run/memctl/memctld.sock"

/* Errors travel as words: "invalid", "not-found", "denied", "no-room", "busy", "timeout",
 * "protocol", "failed". */
MC_PUBLIC const char *mc_wire_code(int negative_errno);
MC_PUBLIC int mc_wire_errno(const char *code);

/* Each returns a new reference, or NULL when out of memory; args and result are taken over. */
MC_PUBLIC json_t *mc_wire_request(const char *verb, json_t *args);
MC_PUBLIC json_t *mc_wire_reply(json_t *result);
MC_PUBLIC json_t *mc_wire_failure(const struct mc_error *err);

/*
 * Take a request apart; verb and args stay owned by message (args may be NULL). -EPROTO with a
 * sentence (no request, or of another version).
 */
MC_PUBLIC int mc_wire_read_request(const json_t *message, const char **verb, json_t **args,
                                   struct mc_error *err);

/* The result of a reply as a new reference, or the error that it carries. */
MC_PUBLIC int mc_wire_read_reply(json_t *message, json_t **result, struct mc_error *err);

/* A guest and what the last plan says about it (step may be NULL), as `list` and `show` give it. */
MC_PUBLIC json_t *mc_guest_to_json(const struct mc_guest *guest, const struct mc_step *step);
MC_PUBLIC json_t *mc_settings_to_json(const struct mc_settings *settings);
MC_PUBLIC json_t *mc_host_to_json(const struct mc_host *host);
MC_PUBLIC json_t *mc_plan_to_json(const struct mc_plan *plan);

/* What a policy is asked, with the guests' names: the form of `memctl snapshot`. Start from {0}. */
struct mc_question {
    struct mc_policy_input input; /* its guests are those below */
    struct mc_policy_guest *guests;
    struct mc_question_name {
        char name[MC_NAME_TEXT], uuid[MC_UUID_TEXT];
    } * names;
};

/*
 * Read it from JSON. -EINVAL with the place of the first mistake in a sentence. Sizes are brought
 * to whole pages: min up, everything else down.
 */
MC_PUBLIC int mc_question_from_json(const json_t *object, struct mc_question *question,
                                    struct mc_error *err);
MC_PUBLIC void mc_question_free(struct mc_question *question);

/* names[i] belongs to input->guests[i]. */
MC_PUBLIC json_t *mc_question_to_json(const struct mc_policy_input *input,
                                      const struct mc_question_name *names);

/* {"tax": 0.5} */
MC_PUBLIC json_t *mc_params_to_json(const struct mc_policy_run *policy);

/* Set the parameters of such an object; NULL has none. What it does not name stays. */
MC_PUBLIC int mc_params_from_json(struct mc_policy_run *policy, json_t *object,
                                  struct mc_error *err);

/* Name, description and parameters with type, default and range; value only if loaded to be used.
 */
MC_PUBLIC json_t *mc_policy_to_json(const struct mc_policy_run *policy);

#endif
