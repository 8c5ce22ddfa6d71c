/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

struct layout top_scene_layout;

json_t *top_scene_status(void)
{
    return json_pack("{s:i, s:i, s:s, s:i, s:i, s:{s:b, s:s}, s:{s:I, s:I, s:{s:f, s:f}},"
                     " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}}",
                     "uptime_s", 3720, "interval_ms", 2000, "policy", "idle-tax", "guests", 3,
                     "managed", 2, "hypervisor", "up", 1, "uri", "qemu:///system", "host", "total",
                     32 * GIB, "available", 16 * GIB, "pressure", "some_avg10", 1.5, "full_avg10",
                     0.5, "plan", "budget", 24 * GIB, "overheads", GIB, "exempt", GIB, "held",
                     10 * GIB, "promised", 20 * GIB, "divided", 21 * GIB, "headroom", 5 * GIB,
                     "state", "clear");
}

json_t *top_scene_guest(const char *name, const char *uuid, struct top_scene_sizes g,
                        const char *reason)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
        " s:{s:I, s:s}}",
        "name", name, "uuid", uuid, "state", "running", "exempt", "no", "answers", 1, "fresh", 1,
        "distress", "no", "shares", (json_int_t)1000, "min", GIB / 4, "max", (json_int_t)g.max,
        "memory", (json_int_t)g.max, "used", (json_int_t)g.used, "active", (json_int_t)g.active,
        "actual", (json_int_t)g.actual, "plan", "target", (json_int_t)g.target, "reason", reason);
}

/* web1 gives up 1 GiB, db1 gets 2, router is left alone. */
json_t *top_scene_list(void)
{
    json_t *router = top_scene_guest(
        "router", "u3", (struct top_scene_sizes){MC_GIB, MC_GIB, MC_GIB, MC_GIB, MC_GIB}, "exempt");
    json_t *web1 = top_scene_guest(
        "web1", "u1",
        (struct top_scene_sizes){8 * MC_GIB, 2 * MC_GIB, 3 * MC_GIB, 6 * MC_GIB, 5 * MC_GIB},
        "policy");
    json_t *db1 = top_scene_guest(
        "db1", "u2",
        (struct top_scene_sizes){16 * MC_GIB, 8 * MC_GIB, 8 * MC_GIB, 10 * MC_GIB, 12 * MC_GIB},
        "distress");

    json_object_set_new(router, "exempt", json_string("no-balloon"));
    json_object_set_new(router, "used", json_null());
    json_object_set_new(db1, "distress", json_string("agent"));
    return json_pack("{s:[o, o, o], s:b}", "guests", router, web1, db1, "connected", 1);
}

void top_scene_hear(struct top *top, uint64_t now_ms)
{
    assert_int_equal(top_hear(top, top_scene_status(), top_scene_list(), now_ms), 0);
}

char *top_scene_look(const struct top *top, int columns, int rows, bool utf8)
{
    struct screen screen;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(screen_init(&screen, columns, rows, utf8), 0);
    layout_draw(top, &screen, &top_scene_layout);
    for (int row = 0; row < rows; row++) {
        screen_write_row(&screen, row, out);
        fputc('\n', out);
    }
    fclose(out);
    screen_free(&screen);
    return text;
}

void assert_top_shows(const struct top *top, int columns, int rows, const char *wanted)
{
    char *text = top_scene_look(top, columns, rows, false);

    if (!strstr(text, wanted))
        fail_msg("no '%s' in\n%s", wanted, text);
    free(text);
}

void assert_top_hides(const struct top *top, int columns, int rows, const char *unwanted)
{
    char *text = top_scene_look(top, columns, rows, false);

    if (strstr(text, unwanted))
        fail_msg("'%s' is in\n%s", unwanted, text);
    free(text);
}
