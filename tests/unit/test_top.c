/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of memctl top, without a terminal and without a daemon. */
#include "testing.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top_scene.h"

static void shows_host_budget_and_guests(void **state)
{
    static const char *const lines[] = {
        "memctl top  kvm1  policy idle-tax  every 2.0 s  up 1h 2min\n",
        "memory ##########..........  16.0G of 32.0G available, stalled 1.5%\n",
        "budget ##--------..........  12.0G of 24.0G resident, promised 20.0G of 21.0G\n",
        "state  clear, headroom 5.00G, 3 guests (2 managed, 2 moving), by name\n",
        "  GUEST+                    ACTUAL  USED TARGET    MOVE  SHARES WHY\n",
        "! db1        #######--.|...  10.0G 8.00G  12.0G  +2.00G    1000 distress\n",
        "x router     =============|  1.00G     -  1.00G            1000 no-balloon\n",
        "  web1       ####=---|--...  6.00G 2.00G  5.00G  -1.00G    1000 policy\n",
    };
    struct top top = {.host = "kvm1"};

    (void)state;
    top_scene_hear(&top, 1000);
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_top_shows(&top, 82, 24, lines[i]);
    top_free(&top);
}

static void narrow_screen_keeps_sizes_and_movement(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    top_scene_hear(&top, 1000);
    assert_top_shows(&top, 40, 12, "! db1        ######--|...  10.0G  +2.00G\n");
    assert_top_shows(&top, 40, 12, "clear, headroom 5.00G");
    assert_top_shows(&top, 24, 6, "db1");
    assert_top_shows(&top, 10, 3, "too small");
    top_free(&top);
}

static void wide_screen_shows_more(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    top_scene_hear(&top, 1000);
    assert_top_hides(&top, 80, 24, "ACTIVE");
    assert_top_shows(&top, 130, 24, "ACTIVE TARGET    MOVE   MIN   MAX");
    top_free(&top);
}

static void bars_share_a_scale_if_asked_to(void **state)
{
    struct top top = {.host = "kvm1", .same_scale = true};

    (void)state;
    top_scene_hear(&top, 1000);
    assert_top_shows(&top, 82, 24, "  web1       ##=|-..         6.00G");
    top_free(&top);
}

static void sorts_and_filters(void **state)
{
    struct top top = {.sort = TOP_BY_ACTUAL};

    (void)state;
    top_scene_hear(&top, 1000);
    assert_string_equal(top.guests[0].name, "db1");
    assert_string_equal(top.guests[2].name, "router");
    top.reversed = true;
    top_arrange(&top);
    assert_string_equal(top.guests[0].name, "router");
    top.sort = TOP_BY_MOVE;
    top.reversed = false;
    top_arrange(&top);
    assert_string_equal(top.guests[0].name, "db1");
    assert_string_equal(top.guests[1].name, "web1");
    snprintf(top.filter, sizeof(top.filter), "WEB");
    top_arrange(&top);
    assert_int_equal(top.count, 1);
    assert_string_equal(top.guests[0].name, "web1");
    assert_top_shows(&top, 80, 24, "only /WEB: 1");
    snprintf(top.filter, sizeof(top.filter), "distress"); /* the reason counts, too */
    top_arrange(&top);
    assert_string_equal(top.guests[0].name, "db1");
    snprintf(top.filter, sizeof(top.filter), "nobody");
    top_arrange(&top);
    assert_top_shows(&top, 80, 24, "no guest matches");
    top_free(&top);
}

static json_t *event_of(const char *guest, const char *uuid, const char *kind, int number)
{
    char text[32];

    snprintf(text, sizeof(text), "event %d", number);
    return json_pack("{s:I, s:s, s:s?, s:s?, s:s}", "wall_ms", (json_int_t)number * 1000, "kind",
                     kind, "guest", guest, "uuid", uuid, "text", text);
}

static void last_events_fill_what_is_left(void **state)
{
    struct top top = {0};
    json_t *events = json_pack("{s:[]}", "events");

    (void)state;
    setenv("TZ", "UTC", 1);
    for (int i = 0; i < 60; i++)
        json_array_append_new(json_object_get(events, "events"),
                              i % 2 ? event_of("web1", "u1", "target", i)
                                    : event_of(NULL, NULL, "host-state", i));
    top_scene_hear(&top, 1000);
    top_hear_events(&top, events);
    assert_top_shows(&top, 80, 24, "\n\nLATELY\n00:00:47  web1: event 47\n00:00:48  event 48\n");
    assert_top_shows(&top, 80, 24, "00:00:59  web1: event 59\nq quit");
    assert_top_hides(&top, 80, 10, "LATELY");
    assert_top_hides(&top, 40, 24, "LATELY");
    top.page = TOP_GUEST;
    top_choose(&top, 2);
    top_hear_explained(&top, json_pack("{s:O, s:b}", "guest", top.guests[2].json, "connected", 1));
    assert_top_shows(&top, 80, 50, "LATELY\n");
    assert_top_shows(&top, 80, 50, "00:00:59  event 59\n"); /* without its own name */
    assert_top_hides(&top, 80, 50, "event 58");
    top_free(&top);
}

static void choice_stays_with_the_guest(void **state)
{
    struct top top = {0};
    json_t *list = top_scene_list();

    (void)state;
    top_scene_hear(&top, 1000);
    top_choose(&top, 1);
    assert_string_equal(top.chosen, "u3");
    top.reversed = true;
    top.sort = TOP_BY_SHARES;
    top_arrange(&top);
    assert_string_equal(top.guests[top_chosen(&top)].name, "router");
    json_array_remove(json_object_get(list, "guests"), 0);
    assert_int_equal(top_hear(&top, top_scene_status(), list, 2000), 0);
    assert_true(top_chosen(&top) < top.count); /* it stopped: a neighbour */
    top_free(&top);
}

static void pages_follow_the_choice(void **state)
{
    json_t *list = json_pack("{s:[]}", "guests");
    struct top top = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        char name[16], uuid[16];

        snprintf(name, sizeof(name), "guest%02d", i);
        snprintf(uuid, sizeof(uuid), "u%02d", i);
        json_array_append_new(
            json_object_get(list, "guests"),
            top_scene_guest(name, uuid, (struct top_scene_sizes){MC_GIB, 0, 0, 0, 0}, "policy"));
    }
    assert_int_equal(top_hear(&top, top_scene_status(), list, 1000), 0);
    assert_top_shows(&top, 80, 24, "guest00");
    assert_top_hides(&top, 80, 24, "guest50");
    top_choose(&top, 50);
    assert_top_shows(&top, 80, 24, "guest50");
    assert_top_hides(&top, 80, 24, "guest00");
    top_free(&top);
}

static void lost_daemon_leaves_what_was_and_says_so(void **state)
{
    struct top top = {0};

    (void)state;
    top_lose(&top, "no memctld at /x; start it", 500);
    assert_top_shows(&top, 80, 24, "no memctld at /x; start it\n");
    assert_top_shows(&top, 80, 24, "waiting for memctld");
    top_scene_hear(&top, 1000);
    assert_top_hides(&top, 80, 24, "no memctld");
    top_lose(&top, "no memctld at /x; start it", 13000);
    assert_top_shows(&top, 80, 24, "AS IT WAS 12 s AGO: no memctld at /x");
    assert_top_shows(&top, 80, 24, "web1");
    top_free(&top);
}

static void says_what_keeps_memory_from_moving(void **state)
{
    json_t *status = top_scene_status();
    struct top top = {0};

    (void)state;
    json_object_set_new(status, "dry_run", json_true());
    json_object_set_new(status, "paused", json_pack("{s:b}", "all", 1));
    json_object_set_new(status, "hypervisor",
                        json_pack("{s:b, s:s, s:s}", "up", 0, "uri", "qemu:///system", "error",
                                  "connection refused"));
    assert_int_equal(top_hear(&top, status, top_scene_list(), 1000), 0);
    assert_top_shows(&top, 200, 24, "NOT CONNECTED to qemu:///system: connection refused");
    assert_top_shows(&top, 200, 24, "DRY RUN: no guest is touched; ALL GUESTS ARE PAUSED");
    top_free(&top);
}

/* ---- what guests may be called ---- */

static void no_name_breaks_the_table(void **state)
{
    static const char *const names[] = {
        "\x1b[2Jclear",
        "tab\there",
        "b\xc3\xbcro",
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
        "cut\xc3",
        "\xff\xfe",
        "",
        "a-name-that-is-longer-than-anybody-would-want-to-type-it-into-a-terminal",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        for (int utf8 = 0; utf8 < 2; utf8++) {
            struct screen screen;
            int width;

            assert_int_equal(screen_init(&screen, 20, 1, utf8), 0);
            width = screen_text(&screen, 0, 0, 10, STYLE_PLAIN, names[i]);
            assert_in_range(width, 0, 10);
            for (int c = 0; c < 20; c++) {
                uint32_t sign = screen.cells[c].sign;

                assert_true(c < width || sign == ' ');
                assert_true(!sign || sign >= ' ');
                assert_true(sign != 0x7f && (utf8 || sign < 0x7f));
            }
            screen_free(&screen);
        }
    }
}

/* Under a sanitizer this also shows that nothing is written beside the screen. */
static void fits_every_size(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    top_scene_hear(&top, 1000);
    top_hear_explained(
        &top, json_pack("{s:o}", "guest",
                        json_incref(json_array_get(json_object_get(top.list, "guests"), 2))));
    for (int columns = 1; columns < 140; columns += 3)
        for (int rows = 1; rows < 60; rows += 4)
            for (int page = TOP_LIST; page <= TOP_HELP; page++)
                for (int prompt = TOP_NO_PROMPT; prompt <= TOP_ASK_PAUSE; prompt++) {
                    top.page = (enum top_page)page;
                    top.prompt = (enum top_prompt)prompt;
                    snprintf(top.message, sizeof(top.message), "%s",
                             columns % 2 ? "a message that takes more room than there is" : "");
                    free(top_scene_look(&top, columns, rows, rows % 2));
                }
    top_free(&top);
}

static void writes_only_ascii_where_it_must(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    top_scene_hear(&top, 1000);
    for (int page = TOP_LIST; page <= TOP_HELP; page++) {
        char *text;

        top.page = (enum top_page)page;
        text = top_scene_look(&top, 100, 40, false);
        for (const char *c = text; *c; c++)
            assert_true((unsigned char)*c < 0x7f);
        free(text);
    }
    top_free(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_host_budget_and_guests),
        cmocka_unit_test(narrow_screen_keeps_sizes_and_movement),
        cmocka_unit_test(wide_screen_shows_more),
        cmocka_unit_test(bars_share_a_scale_if_asked_to),
        cmocka_unit_test(sorts_and_filters),
        cmocka_unit_test(last_events_fill_what_is_left),
        cmocka_unit_test(choice_stays_with_the_guest),
        cmocka_unit_test(pages_follow_the_choice),
        cmocka_unit_test(lost_daemon_leaves_what_was_and_says_so),
        cmocka_unit_test(says_what_keeps_memory_from_moving),
        cmocka_unit_test(no_name_breaks_the_table),
        cmocka_unit_test(fits_every_size),
        cmocka_unit_test(writes_only_ascii_where_it_must),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
