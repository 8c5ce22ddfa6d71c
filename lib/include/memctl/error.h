/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors are values: a negative errno for the program and one sentence for the human, written where
 * the failure was understood. They travel up to the one place that prints them; nobody on the way
 * both logs and returns.
 */
#ifndef MEMCTL_ERROR_H
#define MEMCTL_ERROR_H

#include <stdarg.h>

#include <memctl/visibility.h>

#define MC_ERROR_TEXT 512

struct mc_error {
    int code;                 /* negative errno, 0 while nothing has failed */
    char text[MC_ERROR_TEXT]; /* names the thing, the cause and the way out; no newline */
};

/*
 * Write the sentence and return code, so that a failing function can end in
 * `return mc_error_set(err, -EINVAL, ...)`. err may be NULL. An over-long text is cut.
 */
MC_PUBLIC int mc_error_set(struct mc_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put what the caller was doing before the sentence: "config /etc/x: line 3: ...". */
MC_PUBLIC int mc_error_prefix(struct mc_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
