/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/error.h>

#include <stdio.h>
#include <string.h>

int mc_error_set(struct mc_error *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;

        err->code = code;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return code;
}

int mc_error_prefix(struct mc_error *err, const char *format, ...)
{
    char rest[MC_ERROR_TEXT];
    va_list args;
    int used;

    if (!err)
        return 0;
    memcpy(rest, err->text, sizeof(rest));
    va_start(args, format);
    used = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(err->text))
        snprintf(err->text + used, sizeof(err->text) - (size_t)used, "%s", rest);
    return err->code;
}
