/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay/fields.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <memctl/units.h>

static json_t *to_json(const struct field *field, const char *at)
{
    switch (field->kind) {
    case FIELD_U64:
        if (*(const uint64_t *)(const void *)at == MC_UNKNOWN)
            return json_null();
        return json_integer((json_int_t) * (const uint64_t *)(const void *)at);
    case FIELD_UNSIGNED:
        return json_integer(*(const unsigned *)(const void *)at);
    case FIELD_INT:
        return json_integer(*(const int *)(const void *)at);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)(const void *)at);
    case FIELD_TEXT:
        return json_string(at);
    }
    return NULL;
}

json_t *mc_fields_to_json(const struct field *fields, size_t count, const void *from)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++) {
        if (json_object_set_new(object, fields[i].name,
                                to_json(&fields[i], (const char *)from + fields[i].offset)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static bool read_integer(const json_t *value, json_int_t low, json_int_t high, json_int_t *number)
{
    *number = json_integer_value(value);
    return json_is_integer(value) && *number >= low && *number <= high;
}

static bool from_json(const struct field *field, const json_t *value, char *at)
{
    json_int_t number;

    switch (field->kind) {
    case FIELD_U64:
        if (json_is_null(value)) {
            *(uint64_t *)(void *)at = MC_UNKNOWN;
            return true;
        }
        if (!read_integer(value, 0, INT64_MAX, &number))
            return false;
        *(uint64_t *)(void *)at = (uint64_t)number;
        return true;
    case FIELD_UNSIGNED:
        if (!read_integer(value, 0, UINT_MAX, &number))
            return false;
        *(unsigned *)(void *)at = (unsigned)number;
        return true;
    case FIELD_INT:
        if (!read_integer(value, field->limit ? 0 : INT_MIN,
                          field->limit ? field->limit - 1 : INT_MAX, &number))
            return false;
        *(int *)(void *)at = (int)number;
        return true;
    case FIELD_BOOL:
        *(bool *)(void *)at = json_is_true(value);
        return json_is_boolean(value);
    case FIELD_TEXT:
        if (!json_is_string(value) || json_string_length(value) >= field->size)
            return false;
        strcpy(at, json_string_value(value));
        return true;
    }
    return false;
}

int mc_fields_from_json(const struct field *fields, size_t count, const json_t *object, void *into,
                        struct mc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);

        if (!value && fields[i].newer)
            continue;
        if (!value)
            return mc_error_set(err, -EINVAL, "%s: is missing", fields[i].name);
        if (!from_json(&fields[i], value, (char *)into + fields[i].offset))
            return mc_error_set(err, -EINVAL, "%s: is of the wrong type or out of range",
                                fields[i].name);
    }
    return 0;
}
