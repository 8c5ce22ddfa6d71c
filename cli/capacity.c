/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What could be added at which risk, and which guests are too big or too small. */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SINCE_MS (7 * UINT64_C(86400000))

/* Less than this says little about a week. */
#define SHORT_MS (UINT64_C(24) * 3600000)

static const char *const fit_names[] = {
    [MC_FIT_UNKNOWN] = "unknown",
    [MC_FIT_GOOD] = "good",
    [MC_FIT_TOO_BIG] = "too-big",
    [MC_FIT_TOO_SMALL] = "too-small",
};

/* Guests that are there now; those that went need no advice. */
static bool is_listed(const struct mc_past *past, const struct mc_past_guest *guest)
{
    return guest->count && guest->points[guest->count - 1].at_ms +
                                   3 * (int64_t)mc_tier_span_ms(past->tier) + 60000 >=
                               past->host[past->host_count - 1].at_ms;
}

static void print_span(uint64_t ms)
{
    if (ms >= 2 * UINT64_C(86400000))
        printf("%.1f days", (double)ms / 86400000);
    else if (ms >= 2 * 3600000)
        printf("%.1f hours", (double)ms / 3600000);
    else
        printf("%.0f minutes", (double)ms / 60000);
}

static void print_head(const struct mc_past *past, const struct mc_capacity *capacity)
{
    printf("From ");
    print_span(capacity->known_ms);
    printf(" of history, %s rows.", mc_tier_name(past->host[0].tier));
    if (capacity->known_ms < SHORT_MS)
        fputs(" That is little: a busy day may still come.", stdout);
    putchar('\n');
}

static void print_sums(const struct mc_capacity *capacity)
{
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT], c[MC_SIZE_TEXT];

    printf("\nroom      guests may occupy %s; promised %s of %s\n",
           mc_size_format(a, capacity->strict), mc_size_format(b, capacity->promised),
           mc_size_format(c, capacity->divided));
    printf("guests    %s of memory, %s of it reserved; %s more could be reserved\n",
           mc_size_format(a, capacity->memory), mc_size_format(b, capacity->reserved),
           mc_size_format(c, capacity->reservable));
    printf("used      %s half of the time, more than %s for 1%% of it, %s at the most\n",
           mc_size_format(a, capacity->used_median), mc_size_format(b, capacity->used_p99),
           mc_size_format(c, capacity->used_most));
    printf("active    %s half of the time\n", mc_size_format(a, capacity->active_median));
    printf("resident  %s at the most\n", mc_size_format(a, capacity->held_most));
}

static void print_rooms(const struct mc_capacity *capacity)
{
    puts("\nROOM FOR           MORE IN USE  GUESTS LIKE THESE");
    for (size_t i = 0; i < MC_ROOM_RISKS; i++) {
        const struct mc_room *room = &capacity->rooms[i];
        char risk[32], used[MC_SIZE_TEXT], memory[MC_SIZE_TEXT];

        if (room->risk)
            snprintf(risk, sizeof(risk), "short %g%% of time", room->risk / 10000.0);
        else
            snprintf(risk, sizeof(risk), "never short");
        printf("%-18s %11s  %17s\n", risk, mc_size_format(used, room->used),
               room->used ? mc_size_format(memory, room->memory) : "-");
    }
}

static void print_guest(const struct mc_past_guest *past, const struct mc_capacity_guest *guest)
{
    char memory[MC_SIZE_TEXT], median[MC_SIZE_TEXT], p99[MC_SIZE_TEXT], most[MC_SIZE_TEXT],
        suggested[MC_SIZE_TEXT];

    printf("%-20.20s %7s %7s %7s %7s", past->shape.name, mc_size_format(memory, past->shape.memory),
           mc_size_format(median, guest->median), mc_size_format(p99, guest->p99),
           mc_size_format(most, guest->most));
    mc_size_format(suggested, guest->suggested);
    if (guest->fit == MC_FIT_TOO_BIG)
        printf("  too big: %s would do", suggested);
    else if (guest->fit == MC_FIT_TOO_SMALL && guest->suggested > past->shape.memory)
        printf("  too small: %s would do", suggested);
    else if (guest->fit == MC_FIT_TOO_SMALL)
        fputs("  its max is too small", stdout);
    else if (guest->fit == MC_FIT_UNKNOWN)
        fputs("  too little is known", stdout);
    putchar('\n');
}

static int by_name(const void *a, const void *b, void *opaque)
{
    const struct mc_past *past = opaque;

    return strcmp(past->guests[*(const size_t *)a].shape.name,
                  past->guests[*(const size_t *)b].shape.name);
}

static void print_guests(struct mc_past *past, const struct mc_capacity *capacity)
{
    size_t *order = calloc(past->count + 1, sizeof(*order));

    if (!order)
        return;
    for (size_t i = 0; i < past->count; i++)
        order[i] = i;
    qsort_r(order, past->count, sizeof(*order), by_name, past);
    puts("\nGUEST                 MEMORY  MEDIAN     99%    MOST");
    for (size_t i = 0; i < past->count; i++)
        if (is_listed(past, &past->guests[order[i]]))
            print_guest(&past->guests[order[i]], &capacity->guests[order[i]]);
    free(order);
}

static void print(struct gathered *gathered, const struct mc_capacity *capacity)
{
    struct mc_past *past = &gathered->past;

    print_head(past, capacity);
    print_sums(capacity);
    print_rooms(capacity);
    print_guests(past, capacity);
}

/* ---- for programs ---- */

static json_t *number_of(uint64_t number)
{
    return number == MC_UNKNOWN ? json_null() : json_integer((json_int_t)number);
}

static json_t *guests_to_json(const struct mc_past *past, const struct mc_capacity *capacity)
{
    json_t *list = json_array();

    for (size_t i = 0; i < past->count; i++) {
        const struct mc_past_guest *was = &past->guests[i];
        const struct mc_capacity_guest *guest = &capacity->guests[i];

        if (is_listed(past, was))
            json_array_append_new(
                list,
                json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:s, s:o}", "name", was->shape.name,
                          "uuid", was->shape.uuid, "memory", (json_int_t)was->shape.memory,
                          "known_ms", (json_int_t)guest->known_ms, "used_median",
                          number_of(guest->median), "used_p99", number_of(guest->p99), "used_most",
                          number_of(guest->most), "fit", fit_names[guest->fit], "suggested",
                          guest->suggested ? number_of(guest->suggested) : json_null()));
    }
    return list;
}

static json_t *to_json(const struct mc_past *past, const struct mc_capacity *capacity)
{
    json_t *rooms = json_array();

    for (size_t i = 0; i < MC_ROOM_RISKS; i++)
        json_array_append_new(rooms,
                              json_pack("{s:f, s:I, s:I}", "risk", capacity->rooms[i].risk / 1e6,
                                        "used", (json_int_t)capacity->rooms[i].used, "memory",
                                        (json_int_t)capacity->rooms[i].memory));
    return json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tier",
        mc_tier_name(past->tier), "known_ms", (json_int_t)capacity->known_ms, "memory",
        number_of(capacity->memory), "reserved", number_of(capacity->reserved), "reservable",
        number_of(capacity->reservable), "strict", number_of(capacity->strict), "promised",
        number_of(capacity->promised), "used_median", number_of(capacity->used_median), "used_p99",
        number_of(capacity->used_p99), "used_most", number_of(capacity->used_most), "active_median",
        number_of(capacity->active_median), "held_most", number_of(capacity->held_most), "rooms",
        rooms, "guests", guests_to_json(past, capacity));
}

static int show(const struct cli *cli, const struct past *past, int64_t since_ms, int64_t until_ms,
                struct mc_error *err)
{
    struct mc_capacity capacity;
    struct gathered gathered;
    int rc = gather(past, cli_option(cli, "tier"), since_ms, until_ms, &gathered, err);

    if (rc < 0)
        return rc;
    rc = mc_capacity(&gathered.past, &capacity, err);
    if (rc == 0 && cli->json)
        cli_print_json(to_json(&gathered.past, &capacity));
    else if (rc == 0)
        print(&gathered, &capacity);
    if (rc == 0)
        mc_capacity_free(&capacity);
    gathered_free(&gathered);
    return rc;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    (void)argv;
    return gather_run(cli, &command_capacity, argc, SINCE_MS, show);
}

static const struct command_option options[] = {
    {"since", "TIME", "look at what was from then on; default 7d"},
    {"until", "TIME", "up to then; default now"},
    {"tier", "TIER", "raw, minute or hour rows, whatever fits otherwise"},
    PAST_OPTION,
    {0},
};

const struct command command_capacity = {
    .name = "capacity",
    .arguments = "[--since TIME] [--until TIME] [--tier TIER] [--store FILE]",
    .summary = "what could be added at which risk, and which guests are too big",
    .options = options,
    .help =
        "Goes by what the guests used in the past. To ask about a certain change, 'memctl plan'.",
    .run = run,
};
