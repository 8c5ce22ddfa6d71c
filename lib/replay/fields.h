/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structures as JSON and back, by one table of their members for both directions. Exact: what comes
 * back is what went in. MC_UNKNOWN is null.
 */
#ifndef MEMCTL_FIELDS_H
#define MEMCTL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <memctl/error.h>

enum field_kind {
    FIELD_U64,
    FIELD_UNSIGNED,
    FIELD_INT, /* also enums */
    FIELD_BOOL,
    FIELD_TEXT, /* a char array */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
    int limit;  /* of FIELD_INT: 0 .. limit - 1, or anything if 0 */
    bool newer; /* recordings from before it do not have it */
};

#define FIELD(type, member, kind)                                                                  \
    {                                                                                              \
#member, kind, offsetof(type, member), sizeof(((type *)0)->member), 0, false               \
    }
#define FIELD_ENUM(type, member, count)                                                            \
    {                                                                                              \
#member, FIELD_INT, offsetof(type, member), sizeof(((type *)0)->member), count, false      \
    }
#define FIELD_NEWER(type, member, kind, count)                                                     \
    {                                                                                              \
#member, kind, offsetof(type, member), sizeof(((type *)0)->member), count, true            \
    }

/* NULL when out of memory. */
json_t *mc_fields_to_json(const struct field *fields, size_t count, const void *from);

/*
 * All members must be there, but for newer ones: what these are stays as it was. -EINVAL with a
 * sentence.
 */
int mc_fields_from_json(const struct field *fields, size_t count, const json_t *object, void *into,
                        struct mc_error *err);

#endif
