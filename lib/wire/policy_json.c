/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies, and what they are asked, as JSON. */
#include <memctl/wire.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* The solver's bound on what one guest may have, and what all together may be given. */
#define SIZE_LIMIT (MC_ALLOCATE_PAGES_MAX * MC_PAGE)

/* A day of stall in a second would be a mistake of units. */
#define STALL_LIMIT_US 1000000

static int read_number(const json_t *object, const char *key, uint64_t least, uint64_t most,
                       uint64_t *number, struct mc_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return mc_error_set(err, -EINVAL, "%s: is missing", key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) < least || (uint64_t)json_integer_value(value) > most)
        return mc_error_set(err, -ERANGE, "%s: is not a whole number from %llu to %llu", key,
                            (unsigned long long)least, (unsigned long long)most);
    *number = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_size(const json_t *object, const char *key, uint64_t *bytes, struct mc_error *err)
{
    const char *text = json_string_value(json_object_get(object, key));
    int rc;

    if (!text)
        return read_number(object, key, 0, SIZE_LIMIT, bytes, err);
    rc = mc_size_parse(text, 0, bytes, err);
    if (rc == 0 && *bytes > SIZE_LIMIT)
        rc = mc_error_set(err, -ERANGE, "'%s' is more than any guest can have", text);
    if (rc < 0)
        mc_error_prefix(err, "%s: ", key);
    return rc;
}

static int read_sizes(const json_t *object, struct mc_policy_guest *guest, struct mc_error *err)
{
    if (read_size(object, "min", &guest->min, err) < 0 ||
        read_size(object, "max", &guest->max, err) < 0 ||
        read_size(object, "current", &guest->current, err) < 0 ||
        read_size(object, "active", &guest->active, err) < 0)
        return -EINVAL;
    if (guest->min > guest->max)
        return mc_error_set(err, -EINVAL, "min: is above max");
    guest->held = guest->current;
    guest->reserved = guest->min;
    if (json_object_get(object, "held") && read_size(object, "held", &guest->held, err) < 0)
        return -EINVAL;
    if (json_object_get(object, "reserved") &&
        read_size(object, "reserved", &guest->reserved, err) < 0)
        return -EINVAL;
    guest->max = mc_whole_pages(guest->max);
    guest->min = mc_min_u64(mc_whole_pages(guest->min + MC_PAGE - 1), guest->max);
    guest->current = mc_whole_pages(guest->current);
    guest->held = mc_whole_pages(guest->held);
    guest->reserved = mc_min_u64(mc_whole_pages(guest->reserved), guest->min);
    guest->active = mc_whole_pages(mc_min_u64(guest->active, guest->max));
    return 0;
}

/* The UUID decides ties, as it does in the daemon; where there is none, the name does. */
static int read_identity(const json_t *object, struct mc_policy_guest *guest,
                         struct mc_question_name *name, struct mc_error *err)
{
    const char *text = json_string_value(json_object_get(object, "name"));
    const char *uuid = json_string_value(json_object_get(object, "uuid"));

    if (!text || !*text || strlen(text) >= sizeof(name->name))
        return mc_error_set(err, -EINVAL, "name: is missing or too long");
    strcpy(name->name, text);
    if (!uuid) {
        guest->key = XXH3_64bits(text, strlen(text));
        return 0;
    }
    if (strlen(uuid) != sizeof(name->uuid) - 1)
        return mc_error_set(err, -EINVAL, "uuid: has not %zu characters", sizeof(name->uuid) - 1);
    strcpy(name->uuid, uuid);
    guest->key = mc_policy_key(uuid);
    return 0;
}

static int read_guest(const json_t *object, struct mc_policy_guest *guest,
                      struct mc_question_name *name, struct mc_error *err)
{
    const json_t *stall = json_object_get(object, "stall_us");

    if (!json_is_object(object))
        return mc_error_set(err, -EINVAL, "is not an object");
    guest->stall_us = MC_UNKNOWN;
    if (read_identity(object, guest, name, err) < 0 ||
        read_number(object, "shares", 1, MC_SHARES_MAX, &guest->shares, err) < 0 ||
        read_sizes(object, guest, err) < 0)
        return -EINVAL;
    if (stall && !json_is_null(stall))
        return read_number(object, "stall_us", 0, STALL_LIMIT_US, &guest->stall_us, err);
    return 0;
}

static int check_names(const struct mc_question *question, size_t count, struct mc_error *err)
{
    const struct mc_question_name *last = &question->names[count - 1];

    for (size_t i = 0; i + 1 < count; i++)
        if (strcmp(question->names[i].name, last->name) == 0)
            return mc_error_set(err, -EINVAL, "name: there is another guest '%s'", last->name);
    return 0;
}

static int read_guests(const json_t *list, struct mc_question *question, struct mc_error *err)
{
    size_t count = json_array_size(list);

    if (!json_is_array(list))
        return mc_error_set(err, -EINVAL, "guests: is not a list");
    question->guests = calloc(count + 1, sizeof(*question->guests));
    question->names = calloc(count + 1, sizeof(*question->names));
    if (!question->guests || !question->names)
        return mc_error_set(err, -ENOMEM, "out of memory");
    question->input.guests = question->guests;
    question->input.count = count;
    for (size_t i = 0; i < count; i++) {
        if (read_guest(json_array_get(list, i), &question->guests[i], &question->names[i], err) <
                0 ||
            check_names(question, i + 1, err) < 0) {
            mc_error_prefix(err, "guests[%zu]: ", i);
            return -EINVAL;
        }
    }
    return 0;
}

int mc_question_from_json(const json_t *object, struct mc_question *question, struct mc_error *err)
{
    int rc;

    if (!json_is_object(object))
        return mc_error_set(err, -EINVAL, "is not an object with 'budget' and 'guests'");
    rc = read_size(object, "budget", &question->input.budget, err);
    if (rc == 0 && json_object_get(object, "now_ms"))
        rc = read_number(object, "now_ms", 0, INT64_MAX, &question->input.now_ms, err);
    if (rc == 0)
        rc = read_guests(json_object_get(object, "guests"), question, err);
    if (rc < 0)
        mc_question_free(question);
    return rc;
}

void mc_question_free(struct mc_question *question)
{
    free(question->guests);
    free(question->names);
    *question = (struct mc_question){0};
}

static json_t *guest_to_json(const struct mc_policy_guest *guest,
                             const struct mc_question_name *name)
{
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", name->name, "shares",
                  (json_int_t)guest->shares, "reserved", (json_int_t)guest->reserved, "min",
                  (json_int_t)guest->min, "max", (json_int_t)guest->max, "current",
                  (json_int_t)guest->current, "held", (json_int_t)guest->held, "active",
                  (json_int_t)guest->active);

    if (*name->uuid)
        json_object_set_new(object, "uuid", json_string(name->uuid));
    if (guest->stall_us != MC_UNKNOWN)
        json_object_set_new(object, "stall_us", json_integer((json_int_t)guest->stall_us));
    return object;
}

json_t *mc_question_to_json(const struct mc_policy_input *input,
                            const struct mc_question_name *names)
{
    json_t *guests = json_array();

    for (size_t i = 0; i < input->count; i++)
        json_array_append_new(guests, guest_to_json(&input->guests[i], &names[i]));
    return json_pack("{s:I, s:I, s:o}", "budget", (json_int_t)input->budget, "now_ms",
                     (json_int_t)input->now_ms, "guests", guests);
}

json_t *mc_params_to_json(const struct mc_policy_run *policy)
{
    const struct mc_policy *module = mc_policy_of(policy);
    json_t *object = json_object();

    for (size_t i = 0; i < module->param_count; i++)
        json_object_set_new(object, module->params[i].name, json_real(mc_policy_params(policy)[i]));
    return object;
}

int mc_params_from_json(struct mc_policy_run *policy, json_t *object, struct mc_error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        char text[64];
        int rc;

        if (!json_is_number(value))
            return mc_error_set(err, -EINVAL, "params: %.32s: is not a number", key);
        snprintf(text, sizeof(text), "%.17g", json_number_value(value));
        rc = mc_policy_set_param(policy, key, text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

json_t *mc_policy_to_json(const struct mc_policy_run *policy)
{
    const struct mc_policy *module = mc_policy_of(policy);
    json_t *params = json_array();

    for (size_t i = 0; i < module->param_count; i++) {
        const struct mc_policy_param *param = &module->params[i];

        json_array_append_new(
            params, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:b, s:f}", "name", param->name,
                              "description", param->description, "type",
                              param->type == MC_PARAM_RATIO ? "ratio" : "number", "default",
                              param->fallback, "low", param->low, "high", param->high, "below_high",
                              param->below_high, "value", mc_policy_params(policy)[i]));
    }
    return json_pack("{s:s, s:s, s:o}", "name", module->name, "description", module->description,
                     "params", params);
}
