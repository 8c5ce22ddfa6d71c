/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/wire.h>

#include <errno.h>
#include <string.h>

static const struct {
    int code;
    const char *word;
} codes[] = {
    {-EINVAL, "invalid"}, {-ERANGE, "invalid"}, {-ENOENT, "not-found"},  {-EACCES, "denied"},
    {-ENOSPC, "no-room"}, {-EBUSY, "busy"},     {-ETIMEDOUT, "timeout"}, {-EPROTO, "protocol"},
};

const char *mc_wire_code(int negative_errno)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (codes[i].code == negative_errno)
            return codes[i].word;
    return "failed";
}

int mc_wire_errno(const char *code)
{
    for (size_t i = 0; code && i < sizeof(codes) / sizeof(*codes); i++)
        if (strcmp(codes[i].word, code) == 0)
            return codes[i].code;
    return -EIO;
}

json_t *mc_wire_request(const char *verb, json_t *args)
{
    return json_pack("{s:i, s:s, s:o*}", "memctl", MC_WIRE_VERSION, "verb", verb, "args", args);
}

json_t *mc_wire_reply(json_t *result)
{
    return json_pack("{s:i, s:b, s:o}", "memctl", MC_WIRE_VERSION, "ok", 1, "result", result);
}

json_t *mc_wire_failure(const struct mc_error *err)
{
    return json_pack("{s:i, s:b, s:{s:s, s:s}}", "memctl", MC_WIRE_VERSION, "ok", 0, "error",
                     "code", mc_wire_code(err->code), "message", err->text);
}

static int check_version(const json_t *message, struct mc_error *err)
{
    const json_t *version = json_object_get(message, "memctl");

    if (!json_is_integer(version))
        return mc_error_set(err, -EPROTO, "not a memctl message: it has no version 'memctl'");
    if (json_integer_value(version) != MC_WIRE_VERSION)
        return mc_error_set(err, -EPROTO, "protocol version %lld is not %d; update the older side",
                            (long long)json_integer_value(version), MC_WIRE_VERSION);
    return 0;
}

int mc_wire_read_request(const json_t *message, const char **verb, json_t **args,
                         struct mc_error *err)
{
    int rc = check_version(message, err);

    if (rc < 0)
        return rc;
    *verb = json_string_value(json_object_get(message, "verb"));
    *args = json_object_get(message, "args");
    if (!*verb)
        return mc_error_set(err, -EPROTO, "the request has no 'verb'");
    if (*args && !json_is_object(*args))
        return mc_error_set(err, -EPROTO, "'args' is no object");
    return 0;
}

int mc_wire_read_reply(json_t *message, json_t **result, struct mc_error *err)
{
    int rc = check_version(message, err);
    const json_t *error = json_object_get(message, "error");
    const char *text = json_string_value(json_object_get(error, "message"));

    if (rc < 0)
        return rc;
    if (!json_is_true(json_object_get(message, "ok")))
        return mc_error_set(err, mc_wire_errno(json_string_value(json_object_get(error, "code"))),
                            "%s", text ? text : "memctld refused without a reason");
    *result = json_incref(json_object_get(message, "result"));
    return 0;
}
