/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A screen on a real terminal, by ncurses; and the keys that come from there. */
#ifndef MEMCTL_TOP_TERMINAL_H
#define MEMCTL_TOP_TERMINAL_H

#include "top/screen.h"

/* Take the terminal over; -1 if its type is not known, or none to place signs on. There is only
 * one. */
int terminal_open(void);
void terminal_close(void);

void terminal_size(int *columns, int *rows);

/* cursor: its column in the last line, -1 to hide it. */
void terminal_draw(const struct screen *screen, int cursor);

/* Draw everything anew, whatever the terminal may show. */
void terminal_redraw(void);

/* The next key that has come, as in keys.h; false if there is none. 0: the size changed, or nothing
 * of meaning. */
bool terminal_key(uint32_t *key);

#endif
