/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon, the host, the budget, and whatever keeps memory from moving. */
#include "layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "cli.h"

#define LABEL_WIDTH 7
#define BAR_WIDTH_MAX 40

/* Below this many rows the host's lines give way to the guests. */
#define ROWS_FOR_ALL 10

static void uptime(char *text, size_t size, long long s)
{
    if (s >= 86400)
        snprintf(text, size, "up %lldd %lldh", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(text, size, "up %lldh %lldmin", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, size, "up %lldmin %llds", s / 60, s % 60);
    else
        snprintf(text, size, "up %llds", s);
}

static void draw_title(const struct top *top, struct screen *screen, int row)
{
    char up[48] = "", every[32] = "", policy[96] = "";

    if (top->status) {
        uptime(up, sizeof(up), json_integer_value(json_object_get(top->status, "uptime_s")));
        snprintf(every, sizeof(every), "every %.1f s",
                 (double)json_integer_value(json_object_get(top->status, "interval_ms")) / 1000);
        snprintf(policy, sizeof(policy), "policy %s", json_text(top->status, "policy"));
    }
    layout_pieces(screen, row, 0, "  ",
                  (struct piece[]){{"memctl top", STYLE_BOLD},
                                   {top->host, STYLE_PLAIN},
                                   {policy, STYLE_PLAIN},
                                   {every, STYLE_DIM},
                                   {up, STYLE_DIM},
                                   {0}});
}

/* A line with a label, a bar where there is room for one, and what the bar says in words. */
static void draw_meter(struct screen *screen, int row, const char *label, const struct bar *bar,
                       const struct piece *pieces)
{
    int column = LABEL_WIDTH, width = screen->columns / 4;

    screen_text(screen, row, 0, LABEL_WIDTH, STYLE_DIM, label);
    if (width > BAR_WIDTH_MAX)
        width = BAR_WIDTH_MAX;
    if (screen->columns >= 60) {
        bar_draw(screen, row, column, width, 0, bar);
        column += width + 2;
    }
    layout_pieces(screen, row, column, ", ", pieces);
}

static void draw_host(const struct top *top, struct screen *screen, int row)
{
    const json_t *host = json_object_get(top->status, "host");
    const json_t *pressure = json_object_get(host, "pressure");
    double some = json_number_value(json_object_get(pressure, "some_avg10"));
    uint64_t total = json_size(host, "total"), available = json_size(host, "available");
    struct bar bar = {.whole = total, .most = total, .target = MC_UNKNOWN, .active = MC_UNKNOWN};
    char memory[64], stalled[64] = "", swap[64] = "";

    snprintf(memory, sizeof(memory), "%s of %s available", cli_size(host, "available"),
             cli_size(host, "total"));
    if (json_is_object(pressure))
        snprintf(stalled, sizeof(stalled), "stalled %.1f%%", some);
    if (json_size(host, "swap_total") != MC_UNKNOWN && json_size(host, "swap_total") != 0)
        snprintf(swap, sizeof(swap), "swap %s of %s free", cli_size(host, "swap_free"),
                 cli_size(host, "swap_total"));
    bar.used = bar.actual = available == MC_UNKNOWN ? MC_UNKNOWN : mc_less_u64(total, available);
    draw_meter(screen, row, "memory", &bar,
               (struct piece[]){{memory, STYLE_PLAIN},
                                {stalled, some >= 10  ? STYLE_BAD
                                          : some >= 1 ? STYLE_WARN
                                                      : STYLE_PLAIN},
                                {swap, STYLE_DIM},
                                {0}});
}

/* The bar is the budget: QEMU itself, guests left alone and what is resident; promised is its mark.
 */
static void draw_budget(const struct top *top, struct screen *screen, int row)
{
    const json_t *plan = json_object_get(top->status, "plan");
    uint64_t budget = json_size(plan, "budget");
    uint64_t fixed = json_size(plan, "overheads") + json_size(plan, "exempt");
    struct bar bar = {.whole = budget,
                      .most = budget,
                      .active = MC_UNKNOWN,
                      .used = fixed,
                      .actual = fixed + json_size(plan, "held"),
                      .target = MC_UNKNOWN};
    char held[64], promised[64], total[MC_SIZE_TEXT];
    bool over = json_size(plan, "promised") > json_size(plan, "divided");

    snprintf(held, sizeof(held), "%s of %s resident", mc_size_format(total, bar.actual),
             cli_size(plan, "budget"));
    snprintf(promised, sizeof(promised), "promised %s of %s", cli_size(plan, "promised"),
             cli_size(plan, "divided"));
    draw_meter(
        screen, row, "budget", &bar,
        (struct piece[]){{held, STYLE_PLAIN}, {promised, over ? STYLE_WARN : STYLE_PLAIN}, {0}});
}

static enum style style_of_state(const char *state)
{
    if (strcmp(state, "high") == 0)
        return STYLE_GOOD;
    return strcmp(state, "hard") == 0 || strcmp(state, "low") == 0 ? STYLE_BAD : STYLE_WARN;
}

static void draw_state(const struct top *top, struct screen *screen, int row)
{
    const json_t *plan = json_object_get(top->status, "plan");
    char headroom[48], guests[64], deficit[48] = "", sorted[64], filter[TOP_FILTER_MAX + 32] = "";
    size_t moving = 0;

    for (size_t i = 0; i < top->count; i++)
        moving += top_move(&top->guests[i]) != 0;
    snprintf(headroom, sizeof(headroom), "headroom %s", cli_size(plan, "headroom"));
    if (json_integer_value(json_object_get(plan, "deficit")) > 0)
        snprintf(deficit, sizeof(deficit), "reservations %s over", cli_size(plan, "deficit"));
    snprintf(guests, sizeof(guests), "%lld guests (%lld managed",
             (long long)json_integer_value(json_object_get(top->status, "guests")),
             (long long)json_integer_value(json_object_get(top->status, "managed")));
    /* Of those behind the filter it is not known. */
    snprintf(guests + strlen(guests), sizeof(guests) - strlen(guests),
             *top->filter ? ")" : ", %zu moving)", moving);
    snprintf(sorted, sizeof(sorted), "by %s%s", top_sort_name(top->sort),
             top->reversed ? " reversed" : "");
    if (*top->filter)
        snprintf(filter, sizeof(filter), "only /%s: %zu", top->filter, top->count);
    screen_text(screen, row, 0, LABEL_WIDTH, STYLE_DIM, "state");
    layout_pieces(
        screen, row, LABEL_WIDTH, ", ",
        (struct piece[]){{json_text(plan, "state"), style_of_state(json_text(plan, "state"))},
                         {headroom, STYLE_PLAIN},
                         {deficit, STYLE_BAD},
                         {filter, STYLE_WARN},
                         {guests, STYLE_PLAIN},
                         {sorted, STYLE_DIM},
                         {0}});
}

/* ---- what is not as it should be ---- */

static void add(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    if (length && length + 2 < size) {
        strcpy(text + length, "; ");
        length += 2;
    }
    va_start(args, format);
    vsnprintf(text + length, size - length, format, args);
    va_end(args);
}

static void find_warnings(const struct top *top, char *text, size_t size)
{
    const json_t *link = json_object_get(top->status, "hypervisor");
    const json_t *refused = json_object_get(top->status, "policy_refused");
    const json_t *paused = json_object_get(top->status, "paused");

    *text = '\0';
    if (*top->lost && top->list)
        add(text, size, "AS IT WAS %llu s AGO: %s",
            (unsigned long long)(top->now_ms - top->heard_ms) / 1000, top->lost);
    else if (*top->lost)
        add(text, size, "%s", top->lost);
    if (!top->status || *top->lost)
        return;
    if (!json_is_true(json_object_get(link, "up")))
        add(text, size, "NOT CONNECTED to %s: %s", json_text(link, "uri"),
            json_text(link, "error"));
    if (json_is_true(json_object_get(top->status, "dry_run")))
        add(text, size, "DRY RUN: no guest is touched");
    if (json_is_true(json_object_get(paused, "all")))
        add(text, size, "ALL GUESTS ARE PAUSED: 'memctl resume'");
    if (json_is_object(refused))
        add(text, size, "policy %s was set aside: %s", json_text(refused, "policy"),
            json_text(refused, "error"));
    if (!json_is_object(json_object_get(top->status, "plan")))
        add(text, size, "no plan yet");
}

int layout_head(const struct top *top, struct screen *screen)
{
    char warnings[1024];
    bool planned = json_is_object(json_object_get(top->status, "plan"));
    int row = 0;

    draw_title(top, screen, row++);
    if (planned && screen->rows >= ROWS_FOR_ALL) {
        draw_host(top, screen, row++);
        draw_budget(top, screen, row++);
    }
    if (planned && screen->rows > 6)
        draw_state(top, screen, row++);
    find_warnings(top, warnings, sizeof(warnings));
    if (*warnings)
        row += layout_paragraph(screen, row, screen->rows / 4, STYLE_BAD, warnings, true);
    return row;
}
