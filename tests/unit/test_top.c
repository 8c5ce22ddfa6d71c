/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The screens of memctl top, without a terminal and without a daemon. */
#include "testing.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "top/keys.h"
#include "top/layout.h"
#include "top/state.h"

/* ---- a daemon's answers ---- */

#define GIB ((json_int_t)1 << 30)

static json_t *status_of_host(void)
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

struct sizes {
    uint64_t max, used, active, actual, target;
};

static json_t *guest_of(const char *name, const char *uuid, struct sizes g, const char *reason)
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
static json_t *list_of_three(void)
{
    json_t *router =
        guest_of("router", "u3", (struct sizes){MC_GIB, MC_GIB, MC_GIB, MC_GIB, MC_GIB}, "exempt");
    json_t *web1 = guest_of(
        "web1", "u1", (struct sizes){8 * MC_GIB, 2 * MC_GIB, 3 * MC_GIB, 6 * MC_GIB, 5 * MC_GIB},
        "policy");
    json_t *db1 = guest_of(
        "db1", "u2", (struct sizes){16 * MC_GIB, 8 * MC_GIB, 8 * MC_GIB, 10 * MC_GIB, 12 * MC_GIB},
        "distress");

    json_object_set_new(router, "exempt", json_string("no-balloon"));
    json_object_set_new(router, "used", json_null());
    json_object_set_new(db1, "distress", json_string("agent"));
    return json_pack("{s:[o, o, o], s:b}", "guests", router, web1, db1, "connected", 1);
}

static void hear_three(struct top *top, uint64_t now_ms)
{
    assert_int_equal(top_hear(top, status_of_host(), list_of_three(), now_ms), 0);
}

/* ---- looking at a screen ---- */

static struct layout last_layout;

/* All rows with newlines; to be freed. */
static char *look(const struct top *top, int columns, int rows, bool utf8)
{
    struct screen screen;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(screen_init(&screen, columns, rows, utf8), 0);
    layout_draw(top, &screen, &last_layout);
    for (int row = 0; row < rows; row++) {
        screen_write_row(&screen, row, out);
        fputc('\n', out);
    }
    fclose(out);
    screen_free(&screen);
    return text;
}

static void assert_shows(const struct top *top, int columns, int rows, const char *wanted)
{
    char *text = look(top, columns, rows, false);

    if (!strstr(text, wanted))
        fail_msg("no '%s' in\n%s", wanted, text);
    free(text);
}

static void assert_hides(const struct top *top, int columns, int rows, const char *unwanted)
{
    char *text = look(top, columns, rows, false);

    if (strstr(text, unwanted))
        fail_msg("'%s' is in\n%s", unwanted, text);
    free(text);
}

/* ---- the list ---- */

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
    hear_three(&top, 1000);
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_shows(&top, 82, 24, lines[i]);
    top_free(&top);
}

static void narrow_screen_keeps_sizes_and_movement(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    hear_three(&top, 1000);
    assert_shows(&top, 40, 12, "! db1        ######--|...  10.0G  +2.00G\n");
    assert_shows(&top, 40, 12, "clear, headroom 5.00G");
    assert_shows(&top, 24, 6, "db1");
    assert_shows(&top, 10, 3, "too small");
    top_free(&top);
}

static void wide_screen_shows_more(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    hear_three(&top, 1000);
    assert_hides(&top, 80, 24, "ACTIVE");
    assert_shows(&top, 130, 24, "ACTIVE TARGET    MOVE   MIN   MAX");
    top_free(&top);
}

static void bars_share_a_scale_if_asked_to(void **state)
{
    struct top top = {.host = "kvm1", .same_scale = true};

    (void)state;
    hear_three(&top, 1000);
    assert_shows(&top, 82, 24, "  web1       ##=|-..         6.00G");
    top_free(&top);
}

static void sorts_and_filters(void **state)
{
    struct top top = {.sort = TOP_BY_ACTUAL};

    (void)state;
    hear_three(&top, 1000);
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
    assert_shows(&top, 80, 24, "only /WEB: 1");
    snprintf(top.filter, sizeof(top.filter), "distress"); /* the reason counts, too */
    top_arrange(&top);
    assert_string_equal(top.guests[0].name, "db1");
    snprintf(top.filter, sizeof(top.filter), "nobody");
    top_arrange(&top);
    assert_shows(&top, 80, 24, "no guest matches");
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
    hear_three(&top, 1000);
    top_hear_events(&top, events);
    assert_shows(&top, 80, 24, "\n\nLATELY\n00:00:47  web1: event 47\n00:00:48  event 48\n");
    assert_shows(&top, 80, 24, "00:00:59  web1: event 59\nq quit");
    assert_hides(&top, 80, 10, "LATELY");
    assert_hides(&top, 40, 24, "LATELY");
    top.page = TOP_GUEST;
    top_choose(&top, 2);
    top_hear_explained(&top, json_pack("{s:O, s:b}", "guest", top.guests[2].json, "connected", 1));
    assert_shows(&top, 80, 50, "LATELY\n");
    assert_shows(&top, 80, 50, "00:00:59  event 59\n"); /* without its own name */
    assert_hides(&top, 80, 50, "event 58");
    top_free(&top);
}

static void choice_stays_with_the_guest(void **state)
{
    struct top top = {0};
    json_t *list = list_of_three();

    (void)state;
    hear_three(&top, 1000);
    top_choose(&top, 1);
    assert_string_equal(top.chosen, "u3");
    top.reversed = true;
    top.sort = TOP_BY_SHARES;
    top_arrange(&top);
    assert_string_equal(top.guests[top_chosen(&top)].name, "router");
    json_array_remove(json_object_get(list, "guests"), 0);
    assert_int_equal(top_hear(&top, status_of_host(), list, 2000), 0);
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
        json_array_append_new(json_object_get(list, "guests"),
                              guest_of(name, uuid, (struct sizes){MC_GIB, 0, 0, 0, 0}, "policy"));
    }
    assert_int_equal(top_hear(&top, status_of_host(), list, 1000), 0);
    assert_shows(&top, 80, 24, "guest00");
    assert_hides(&top, 80, 24, "guest50");
    top_choose(&top, 50);
    assert_shows(&top, 80, 24, "guest50");
    assert_hides(&top, 80, 24, "guest00");
    top_free(&top);
}

static void lost_daemon_leaves_what_was_and_says_so(void **state)
{
    struct top top = {0};

    (void)state;
    top_lose(&top, "no memctld at /x; start it", 500);
    assert_shows(&top, 80, 24, "no memctld at /x; start it\n");
    assert_shows(&top, 80, 24, "waiting for memctld");
    hear_three(&top, 1000);
    assert_hides(&top, 80, 24, "no memctld");
    top_lose(&top, "no memctld at /x; start it", 13000);
    assert_shows(&top, 80, 24, "AS IT WAS 12 s AGO: no memctld at /x");
    assert_shows(&top, 80, 24, "web1");
    top_free(&top);
}

static void says_what_keeps_memory_from_moving(void **state)
{
    json_t *status = status_of_host();
    struct top top = {0};

    (void)state;
    json_object_set_new(status, "dry_run", json_true());
    json_object_set_new(status, "paused", json_pack("{s:b}", "all", 1));
    json_object_set_new(status, "hypervisor",
                        json_pack("{s:b, s:s, s:s}", "up", 0, "uri", "qemu:///system", "error",
                                  "connection refused"));
    assert_int_equal(top_hear(&top, status, list_of_three(), 1000), 0);
    assert_shows(&top, 200, 24, "NOT CONNECTED to qemu:///system: connection refused");
    assert_shows(&top, 200, 24, "DRY RUN: no guest is touched; ALL GUESTS ARE PAUSED");
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
    hear_three(&top, 1000);
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
                    free(look(&top, columns, rows, rows % 2));
                }
    top_free(&top);
}

static void writes_only_ascii_where_it_must(void **state)
{
    struct top top = {.host = "kvm1"};

    (void)state;
    hear_three(&top, 1000);
    for (int page = TOP_LIST; page <= TOP_HELP; page++) {
        char *text;

        top.page = (enum top_page)page;
        text = look(&top, 100, 40, false);
        for (const char *c = text; *c; c++)
            assert_true((unsigned char)*c < 0x7f);
        free(text);
    }
    top_free(&top);
}

/* ---- one guest ---- */

static json_t *explained_of(const struct top *top, size_t index)
{
    return json_pack("{s:O, s:i, s:b, s:s}", "guest", top->guests[index].json, "age_ms", 100,
                     "connected", 1, "policy", "idle-tax");
}

static void explains_the_chosen_guest(void **state)
{
    struct top top = {.page = TOP_GUEST};

    (void)state;
    hear_three(&top, 1000);
    top_choose(&top, 2);
    assert_shows(&top, 80, 24, "asking memctld");
    top_hear_explained(&top, explained_of(&top, 2));
    assert_shows(&top, 80, 24, "web1  running  shares 1000  min 256M  max 8.00G  3 of 3\n");
    assert_shows(&top, 80, 24, "actual 6.00G  used 2.00G  target 5.00G (policy)");
    assert_shows(&top, 80, 24, "measured   It is configured with 8.00G.");
    top_hear_explained(&top, explained_of(&top, 0)); /* of another one: nothing to show here */
    assert_shows(&top, 80, 24, "asking memctld");
    top_free(&top);
}

static void explanation_scrolls_to_its_end_and_no_further(void **state)
{
    struct top top = {.page = TOP_GUEST};
    struct request_wanted wanted;

    (void)state;
    hear_three(&top, 1000);
    top_hear_explained(&top, explained_of(&top, 0));
    assert_hides(&top, 40, 12, "No command was sent");
    assert_true(last_layout.scroll_max > 0);
    keys_press(&top, &last_layout, TOP_KEY_END, &wanted);
    assert_int_equal(top.scroll, last_layout.scroll_max);
    assert_shows(&top, 40, 12, "No command was");
    keys_press(&top, &last_layout, TOP_KEY_UP, &wanted);
    assert_int_equal(top.scroll, last_layout.scroll_max - 1);
    top_free(&top);
}

static void course_is_kept_as_long_as_the_guest_runs(void **state)
{
    struct top top = {0};
    json_t *list;

    (void)state;
    for (uint64_t i = 0; i < COURSE_LENGTH + 5; i++)
        hear_three(&top, i * 1000);
    assert_int_equal(course_back(&top.course, "u1", 0)->actual, 6 * 1024);
    assert_int_equal(course_back(&top.course, "u3", 0)->used, UINT32_MAX);
    assert_non_null(course_back(&top.course, "u1", COURSE_LENGTH - 1));
    assert_null(course_back(&top.course, "u1", COURSE_LENGTH));
    assert_null(course_back(&top.course, "nobody", 0));
    list = list_of_three();
    json_array_remove(json_object_get(list, "guests"), 1);
    top_hear(&top, status_of_host(), list, 1000000);
    assert_null(course_back(&top.course, "u1", 0));
    assert_non_null(course_back(&top.course, "u2", 0));
    top_free(&top);
}

static void course_is_drawn_as_bars_with_its_target(void **state)
{
    const struct sample samples[] = {
        SAMPLE_UNKNOWN,
        SAMPLE_UNKNOWN,
        sample_of(MC_GIB, MC_GIB, 3 * MC_GIB),
        sample_of(2 * MC_GIB, MC_GIB, 3 * MC_GIB),
        sample_of(3 * MC_GIB, MC_GIB, 3 * MC_GIB),
    };
    struct screen screen;

    (void)state;
    assert_int_equal(screen_init(&screen, 5, 4, false), 0);
    bar_course(&screen, 0, 0, 5, 4, samples, 4 * MC_GIB);
    for (int row = 0; row < 4; row++) {
        static const char *const wanted[] = {"     ", "  __-", "   --", "  ###"};

        for (int i = 0; i < 5; i++)
            assert_int_equal(screen.cells[row * 5 + i].sign, wanted[row][i]);
    }
    screen_free(&screen);
}

/* An answer of the history: the newest step had 4 GiB of web1's 8, the one before 2. */
static struct top_past past_of_web1(enum top_span span)
{
    return (struct top_past){
        .uuid = "u1",
        .span = span,
        .course = json_pack("{s:I, s:i, s:{s:[n, I, I], s:[n, n, n], s:[n, I, I]}}", "first_ms",
                            (json_int_t)1700000000000, "step_ms", 60000, "series", "actual",
                            2 * GIB, 4 * GIB, "used", "target", 2 * GIB, 4 * GIB)};
}

static void chart_shows_the_history_that_was_chosen(void **state)
{
    struct top top = {.page = TOP_GUEST, .chosen = "u1", .span = TOP_LAST_6_HOURS};
    struct layout layout = {0};
    struct request_wanted wanted;

    (void)state;
    hear_three(&top, 1000);
    assert_shows(&top, 40, 24, "asking for the last 6");
    assert_int_equal(last_layout.chart_steps, 33);
    top_hear_past(&top, past_of_web1(TOP_LAST_6_HOURS));
    /* Eighths of 5 rows: 2 GiB fill one, 4 GiB three; the present is at the right. */
    assert_shows(&top, 80, 24,
                 "\n                                                                   "
                 "            -\n");
    assert_shows(&top, 80, 24, "the last 6 hours; t: other times");
    assert_shows(&top, 80, 24, "   now\n");
    /* The history of another time is not what was chosen now. */
    keys_press(&top, &layout, 't', &wanted);
    assert_int_equal(top.span, TOP_LAST_DAY);
    assert_shows(&top, 80, 24, "asking for the last day");
    top_free(&top);
}

static void chart_shows_what_top_saw_where_there_is_no_history(void **state)
{
    struct top top = {.page = TOP_GUEST, .chosen = "u1"};
    struct top_past none = {.uuid = "u1", .why = "memctld keeps no history"};

    (void)state;
    hear_three(&top, 1000);
    top_hear_past(&top, none);
    assert_shows(&top, 80, 24, "since top began; memctld keeps no history");
    assert_shows(&top, 80, 24, "#\n"); /* one look so far, at the right edge */
    top_free(&top);
}

static void columns_of_equal_pages_are_there_when_the_scanner_looks(void **state)
{
    json_t *list = list_of_three();
    struct top top = {0};

    (void)state;
    hear_three(&top, 1000);
    assert_hides(&top, 160, 24, "SAVING");
    json_object_set_new(json_array_get(json_object_get(list, "guests"), 1), "equal_pages",
                        json_pack("{s:I, s:I}", "merged", GIB / 4, "saving", GIB / 2));
    assert_int_equal(top_hear(&top, status_of_host(), list, 2000), 0);
    assert_shows(&top, 160, 24, " MERGED  SAVING");
    assert_shows(&top, 160, 24, "   256M    512M");
    assert_shows(&top, 90, 24, "SAVING");
    assert_hides(&top, 90, 24, "MERGED");
    top_free(&top);
}

/* ---- keys ---- */

static void type_text(struct top *top, const char *text, struct request_wanted *wanted)
{
    const struct layout layout = {.page_rows = 10};

    for (const char *c = text; *c; c++)
        assert_true(
            keys_press(top, &layout, *c == '\n' ? (uint32_t)TOP_KEY_ENTER : (uint32_t)*c, wanted));
}

static void asks_for_shares_and_settings(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};
    const json_t *settings;

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "js", &wanted);
    assert_string_equal(top.input, "1000");
    assert_shows(&top, 80, 24, "shares of router: 1000");
    keys_press(&top, &last_layout, 'U' - 64, &wanted);
    type_text(&top, "2500\n", &wanted);
    assert_string_equal(wanted.verb, "set");
    settings = json_object_get(wanted.args, "settings");
    assert_string_equal(json_string_value(json_object_get(settings, "shares")), "2500");
    assert_string_equal(json_string_value(json_object_get(wanted.args, "guest")), "u3");
    json_decref(wanted.args);
    type_text(&top, "emin=1G  max=25%\n", &wanted);
    assert_int_equal(json_object_size(json_object_get(wanted.args, "settings")), 2);
    json_decref(wanted.args);
    top_free(&top);
}

static void wrong_values_are_not_asked_for(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "s", &wanted);
    keys_press(&top, &last_layout, 'U' - 64, &wanted);
    type_text(&top, "many\n", &wanted);
    assert_null(wanted.verb);
    assert_true(top.message_bad);
    assert_shows(&top, 80, 24, "shares: ");
    type_text(&top, "enonsense\n", &wanted);
    assert_null(wanted.verb);
    assert_shows(&top, 80, 24, "'nonsense' is not KEY=VALUE");
    type_text(&top, "s", &wanted);
    keys_press(&top, &last_layout, TOP_KEY_ESCAPE, &wanted);
    assert_null(wanted.verb);
    assert_int_equal(top.prompt, TOP_NO_PROMPT);
    top_free(&top);
}

static void pauses_only_after_a_yes(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "pn", &wanted);
    assert_null(wanted.verb);
    type_text(&top, "p", &wanted);
    assert_shows(&top, 80, 24, "leave alone until resumed: db1? y/n");
    type_text(&top, "y", &wanted);
    assert_string_equal(wanted.verb, "pause");
    json_decref(wanted.args);
    top_free(&top);
}

/* It would hit whoever took its place in the list. */
static void who_stops_while_it_is_asked_about_leaves_nobody_in_its_place(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};
    json_t *list = list_of_three();

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "jjs", &wanted);
    assert_shows(&top, 80, 24, "shares of web1: 1000");
    json_array_remove(json_object_get(list, "guests"), 1);
    assert_int_equal(top_hear(&top, status_of_host(), list, 2000), 0);
    assert_string_not_equal(top.chosen, "u1");
    type_text(&top, "0\n", &wanted);
    assert_null(wanted.verb);
    assert_shows(&top, 80, 24, "that guest runs no more; nothing is changed");
    top_free(&top);
}

static void letters_in_a_prompt_are_text(void **state)
{
    const struct layout layout = {.page_rows = 10};
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "/qdb", &wanted);
    assert_string_equal(top.filter, "qdb");
    assert_int_equal(top.count, 0);
    for (int i = 0; i < 3; i++)
        keys_press(&top, &layout, TOP_KEY_BACKSPACE, &wanted);
    type_text(&top, "db\n", &wanted);
    assert_int_equal(top.count, 1);
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.count, 3);
    assert_false(keys_press(&top, &layout, 'q', &wanted));
    top_free(&top);
}

static void goes_from_page_to_page(void **state)
{
    const struct layout layout = {.page_rows = 10};
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    hear_three(&top, 1000);
    type_text(&top, "\n", &wanted);
    assert_int_equal(top.page, TOP_GUEST);
    keys_press(&top, &layout, TOP_KEY_RIGHT, &wanted);
    assert_string_equal(top.chosen, "u3");
    type_text(&top, "?", &wanted);
    assert_int_equal(top.page, TOP_HELP);
    assert_shows(&top, 80, 24, "# used: what the guest cannot give up");
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.page, TOP_GUEST);
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.page, TOP_LIST);
    type_text(&top, ">r", &wanted);
    assert_int_equal(top.sort, TOP_BY_ACTUAL);
    assert_string_equal(top.guests[0].name, "router");
    type_text(&top, "<<", &wanted);
    assert_int_equal(top.sort, TOP_BY_WHY);
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
        cmocka_unit_test(explains_the_chosen_guest),
        cmocka_unit_test(explanation_scrolls_to_its_end_and_no_further),
        cmocka_unit_test(course_is_kept_as_long_as_the_guest_runs),
        cmocka_unit_test(course_is_drawn_as_bars_with_its_target),
        cmocka_unit_test(chart_shows_the_history_that_was_chosen),
        cmocka_unit_test(chart_shows_what_top_saw_where_there_is_no_history),
        cmocka_unit_test(columns_of_equal_pages_are_there_when_the_scanner_looks),
        cmocka_unit_test(asks_for_shares_and_settings),
        cmocka_unit_test(wrong_values_are_not_asked_for),
        cmocka_unit_test(pauses_only_after_a_yes),
        cmocka_unit_test(who_stops_while_it_is_asked_about_leaves_nobody_in_its_place),
        cmocka_unit_test(letters_in_a_prompt_are_text),
        cmocka_unit_test(goes_from_page_to_page),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
