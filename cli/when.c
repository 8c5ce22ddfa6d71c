/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <errno.h>
#include <time.h>

/* A time of day means the last time that it was that late. */
static time_t not_after(struct tm *when, time_t now)
{
    time_t at = mktime(when);

    if (at > now) {
        when->tm_mday--;
        at = mktime(when);
    }
    return at;
}

int cli_parse_when(const char *option, const char *text, int64_t *wall_ms, struct mc_error *err)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    static const char *const of_today[] = {"%H:%M:%S", "%H:%M"};
    time_t now = time(NULL);
    const char *end;
    struct mc_error scratch;
    uint64_t span;

    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        struct tm when = {.tm_isdst = -1};

        end = strptime(text, formats[i], &when);
        if (end && !*end) {
            *wall_ms = (int64_t)mktime(&when) * 1000;
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof(of_today) / sizeof(*of_today); i++) {
        struct tm when = *localtime(&now);

        when.tm_sec = 0;
        when.tm_isdst = -1;
        end = strptime(text, of_today[i], &when);
        if (end && !*end) {
            *wall_ms = (int64_t)not_after(&when, now) * 1000;
            return 0;
        }
    }
    if (mc_span_parse(text, &span, &scratch) < 0)
        return mc_error_set(err, -EINVAL,
                            "%s '%s' is no time; write 10min (ago), 14:30, 2024-05-01 or "
                            "'2024-05-01 14:30'",
                            option, text);
    *wall_ms = (int64_t)mc_less_u64((uint64_t)now * 1000, span);
    return 0;
}
