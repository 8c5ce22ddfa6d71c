/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keys do: a change of the state, and perhaps something that is to be asked of the daemon. */
#ifndef MEMCTL_TOP_KEYS_H
#define MEMCTL_TOP_KEYS_H

#include <jansson.h>

#include "top/layout.h"
#include "top/state.h"

/* Keys that are no character. */
enum key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
};

struct request_wanted {
    const char *verb;           /* NULL: nothing is to be asked */
    json_t *args;               /* a new reference */
    char done[TOP_MESSAGE_MAX]; /* what to say when it succeeded */
};

/* The key is a character in Unicode, or one of those above. Returns false to quit. */
bool keys_press(struct top *top, const struct layout *layout, uint32_t key,
                struct request_wanted *wanted);

#endif
