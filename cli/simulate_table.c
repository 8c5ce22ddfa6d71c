/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate.h"

#include <inttypes.h>
#include <stdlib.h>

/* The guests that are listed by themselves. */
#define LISTED_MOST 20

/* Two or three digits are enough to compare. */
static const char *format_number(char text[SIMULATE_NUMBER_TEXT], double value)
{
    int digits = value >= 99.95 || value == 0 ? 0 : value >= 9.995 ? 1 : 2;

    if (value > 0 && value < 0.01)
        snprintf(text, SIMULATE_NUMBER_TEXT, "<0.01");
    else
        snprintf(text, SIMULATE_NUMBER_TEXT, "%.*f", digits, value);
    return text;
}

const char *simulate_missing(char text[SIMULATE_NUMBER_TEXT], uint64_t byte_seconds)
{
    return format_number(text, (double)byte_seconds / (double)MC_GIB);
}

const char *simulate_seconds(char text[SIMULATE_NUMBER_TEXT], uint64_t ms)
{
    return format_number(text, (double)ms / 1000);
}

/* Until a rise was met: "-" if there was none, "never" if most were not. */
static const char *format_wait(char text[SIMULATE_NUMBER_TEXT], const struct mc_fare *fare,
                               uint64_t ms)
{
    if (ms != MC_UNKNOWN)
        return simulate_seconds(text, ms);
    snprintf(text, SIMULATE_NUMBER_TEXT, "%s", fare->rises ? "never" : "-");
    return text;
}

static void print_scenario(const struct mc_simulation *run)
{
    char memory[MC_SIZE_TEXT], host[MC_SIZE_TEXT];
    uint64_t sum = 0, seconds = run->duration_ms / 1000;

    for (size_t i = 0; i < run->count; i++)
        sum += run->guests[i].memory;
    if (run->title[0])
        printf("%s\n", run->title);
    printf("%zu guests of %s together on a host of %s, for ", run->count,
           mc_size_format(memory, sum), mc_size_format(host, run->host_memory));
    if (seconds >= 7200)
        printf("%.1f h", (double)seconds / 3600);
    else if (seconds >= 120)
        printf("%" PRIu64 " min", seconds / 60);
    else
        printf("%" PRIu64 " s", seconds);
    printf(", looked at every %g s\n", (double)run->interval_ms / 1000);
}

static void print_sums(const struct mc_simulation *run)
{
    const struct mc_fare *all = &run->all;
    char a[SIMULATE_NUMBER_TEXT], b[SIMULATE_NUMBER_TEXT], most[MC_SIZE_TEXT], moved[MC_SIZE_TEXT];

    printf("policy         %s\n", run->policy);
    printf("unmet demand   %s GiB s, %s of it while the host had memory to spare\n",
           simulate_missing(a, all->unmet), simulate_missing(b, all->squeezed));
    printf("host overrun   %s GiB s, at most %s; beyond the budget %s GiB s\n",
           simulate_missing(a, run->overrun), mc_size_format(most, run->overrun_most),
           simulate_missing(b, run->over_budget));
    printf("distress       %s s, of all guests together\n", simulate_seconds(a, all->distress_ms));
    printf("memory moved   %s, with %u commands and %u changes of direction\n",
           mc_size_format(moved, all->moved), all->commands, all->turns);
    printf("sudden rises   %u", all->rises);
    if (all->rises)
        printf(", met after %s s (median) and %s s (worst), %u never",
               format_wait(a, all, all->median_ms), format_wait(b, all, all->worst_ms), all->never);
    putchar('\n');
}

static void print_guest(const struct mc_simulated_guest *guest)
{
    const struct mc_fare *fare = &guest->fare;
    char unmet[SIMULATE_NUMBER_TEXT], squeezed[SIMULATE_NUMBER_TEXT],
        distress[SIMULATE_NUMBER_TEXT], median[SIMULATE_NUMBER_TEXT], worst[SIMULATE_NUMBER_TEXT],
        memory[MC_SIZE_TEXT], moved[MC_SIZE_TEXT];

    printf("%-18.18s %6s %7s %8s %7s %6s %5u %6s %5s\n", guest->name,
           mc_size_format(memory, guest->memory), simulate_missing(unmet, fare->unmet),
           simulate_missing(squeezed, fare->squeezed),
           simulate_seconds(distress, fare->distress_ms), mc_size_format(moved, fare->moved),
           fare->turns, format_wait(median, fare, fare->median_ms),
           format_wait(worst, fare, fare->worst_ms));
}

/* Who missed most comes first, then who was moved most. */
static int by_hardship(const void *a, const void *b)
{
    const struct mc_fare *x = &(*(const struct mc_simulated_guest *const *)a)->fare;
    const struct mc_fare *y = &(*(const struct mc_simulated_guest *const *)b)->fare;

    if (x->unmet != y->unmet)
        return x->unmet > y->unmet ? -1 : 1;
    return x->moved > y->moved ? -1 : x->moved < y->moved;
}

static void print_guests(const struct mc_simulation *run)
{
    const struct mc_simulated_guest **sorted = calloc(run->count + 1, sizeof(*sorted));

    if (!sorted)
        return;
    for (size_t i = 0; i < run->count; i++)
        sorted[i] = &run->guests[i];
    qsort(sorted, run->count, sizeof(*sorted), by_hardship);
    printf("\n%-18s %6s %7s %8s %7s %6s %5s %6s %5s\n", "GUEST", "MEMORY", "UNMET", "SQUEEZED",
           "SHORT", "MOVED", "TURNS", "MEDIAN", "WORST");
    for (size_t i = 0; i < run->count && i < LISTED_MOST; i++)
        print_guest(sorted[i]);
    if (run->count > LISTED_MOST)
        printf("and %zu guests that missed less; --json has them all\n", run->count - LISTED_MOST);
    free(sorted);
}

void simulate_print(const struct mc_simulation *run)
{
    print_scenario(run);
    putchar('\n');
    print_sums(run);
    if (run->count)
        print_guests(run);
}

static void print_run(const struct mc_simulation *run)
{
    const struct mc_fare *all = &run->all;
    char unmet[SIMULATE_NUMBER_TEXT], overrun[SIMULATE_NUMBER_TEXT], squeezed[SIMULATE_NUMBER_TEXT],
        distress[SIMULATE_NUMBER_TEXT], median[SIMULATE_NUMBER_TEXT], worst[SIMULATE_NUMBER_TEXT],
        moved[MC_SIZE_TEXT];

    printf("%-17s %7s %7s %8s %6s %5s %5u %6s %5s %5u\n", run->policy,
           simulate_missing(unmet, all->unmet), simulate_missing(overrun, run->overrun),
           simulate_missing(squeezed, all->squeezed), simulate_seconds(distress, all->distress_ms),
           mc_size_format(moved, all->moved), all->turns, format_wait(median, all, all->median_ms),
           format_wait(worst, all, all->worst_ms), all->never);
}

void simulate_print_comparison(struct mc_simulation *const *runs, size_t count)
{
    print_scenario(runs[0]);
    printf("\n%-17s %7s %7s %8s %6s %5s %5s %6s %5s %5s\n", "POLICY", "UNMET", "OVERRUN",
           "SQUEEZED", "SHORT", "MOVED", "TURNS", "MEDIAN", "WORST", "NEVER");
    for (size_t i = 0; i < count; i++)
        print_run(runs[i]);
    puts("\nUNMET demand, host OVERRUN and needlessly SQUEEZED in GiB s: a GiB missing for\n"
         "a second. SHORT: seconds in distress. MEDIAN, WORST: seconds until a sudden rise\n"
         "of demand was met; NEVER: rises that were not.");
}
