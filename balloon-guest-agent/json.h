/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of JSON as an agent needs, without allocating: writing lines, and one flat object. */
#ifndef BALLOON_GUEST_AGENT_JSON_H
#define BALLOON_GUEST_AGENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text that grows until its room is used up; then it is_full and good for nothing. */
struct json_text {
    char *text;
    size_t room, length;
    bool is_full;
};

/* Append, as printf would. */
void json_put(struct json_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What an object says under a name, as it stands there: text[length], NULL when it says nothing. */
struct json_member {
    const char *name;
    const char *text;
    size_t length;
};

/*
 * Look for the members with these names. False when this is no object, or one of the names occurs
 * twice. A name that is written with escapes is not recognised.
 */
bool json_find(const char *text, size_t length, struct json_member *members, size_t count);

/* The whole number from 0 to limit, false for anything else. */
bool json_number(const struct json_member *member, uint64_t limit, uint64_t *number);
/* Whether it is this text; word needs no escapes. */
bool json_is_text(const struct json_member *member, const char *word);

#endif
