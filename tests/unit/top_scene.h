/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A memctl top with a daemon's answers and without a terminal, and what would be on its screen. */
#ifndef MEMCTL_TESTS_TOP_SCENE_H
#define MEMCTL_TESTS_TOP_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "top/layout.h"
#include "top/state.h"

#define GIB ((json_int_t)1 << 30)

struct top_scene_sizes {
    uint64_t max, used, active, actual, target;
};

/* Answers of the daemon: its status, a guest, and the list of three of them. */
json_t *top_scene_status(void);
json_t *top_scene_guest(const char *name, const char *uuid, struct top_scene_sizes g,
                        const char *reason);
json_t *top_scene_list(void);

/* The status and the list of three. */
void top_scene_hear(struct top *top, uint64_t now_ms);

/* Of the screen that was looked at last. */
extern struct layout top_scene_layout;

/* All rows with newlines; to be freed. */
char *top_scene_look(const struct top *top, int columns, int rows, bool utf8);

void assert_top_shows(const struct top *top, int columns, int rows, const char *wanted);
void assert_top_hides(const struct top *top, int columns, int rows, const char *unwanted);

#endif
