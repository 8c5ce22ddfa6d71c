/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Histories that once broke a promise, as test_engine_properties.c printed them. */
#include "regressions.h"

#define SMALL_AND_SLOW                                                                             \
    {                                                                                              \
        .memory = 128 * MC_MIB, .shares = 1, .inflate_per_s = 1 * MC_MIB,                          \
        .deflate_per_s = 1 * MC_MIB                                                                \
    }

static const struct regression regressions[] = {
    /* Its growth was called back, and it hung before that was seen to happen. */
    {.name = "what_a_guest_took_before_it_hung_is_counted",
     .plays = history_runs,
     .script =
         {
             .policy = "shares",
             .budget = 269 * MC_MIB,
             .count = 1,
             .guests =
                 {
                     {.memory = 1076 * MC_MIB,
                      .shares = 1,
                      .inflate_per_s = 61 * MC_MIB,
                      .deflate_per_s = 9 * MC_MIB,
                      .works_with = {{0, 0}, {15000, 146485249}, {30000, 0}, {45000, 0}},
                      .faults[0] = {.kind = MC_SIM_HUNG, .from_ms = 15201, .to_ms = UINT64_MAX}},
                 },
             .steps = {{200},  {1000}, {470},  {203}, {200}, {1114}, {323},
                       {1177}, {1480}, {1956}, {204}, {202}, {1627}, {1243},
                       {1448}, {976},  {851},  {526}, {200}, {1250}, [20 ... 22] = {200}},
         }},

    /* A guest in trouble that hangs is first in line, and gets nothing. */
    {.name = "what_a_hung_guest_cannot_be_given_goes_to_others",
     .plays = history_runs,
     .script =
         {
             .policy = "shares",
             .budget = 2140123136,
             .count = 8,
             .guests =
                 {
                     SMALL_AND_SLOW,
                     SMALL_AND_SLOW,
                     SMALL_AND_SLOW,
                     {
                         .memory = 128 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 1 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                         .stop_ms = 1,
                     },
                     {
                         .memory = 3475 * MC_MIB,
                         .shares = 123,
                         .inflate_per_s = 164 * MC_MIB,
                         .deflate_per_s = 100 * MC_MIB,
                     },
                     SMALL_AND_SLOW,
                     {
                         .memory = 1889 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 67 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                         .works_with = {{0, 0}, {15000, 925896705}, {30000, 0}, {45000, 0}},
                         .faults[0] =
                             {
                                 .kind = MC_SIM_HUNG,
                                 .from_ms = 15051,
                                 .to_ms = UINT64_MAX,
                             },
                     },
                     SMALL_AND_SLOW,
                 },
             .steps = {{200},
                       {1000},
                       {487},
                       {203},
                       {200},
                       {1524},
                       {323},
                       {1177},
                       {1480},
                       {1956},
                       {204},
                       {202},
                       {1627},
                       {1243},
                       {1448},
                       {976},
                       {1000},
                       {687},
                       {1183},
                       {1141},
                       {450},
                       {539},
                       {686},
                       {752},
                       {851},
                       {526},
                       {224, ACT_MAX, 0, 1},
                       {1673},
                       {1719},
                       {1895},
                       {913},
                       [31 ... 59] = {200}},
         }},

    /* A guest fills what it is given faster than the promise can follow, and again each time. */
    {.name = "a_promise_that_is_touched_at_once_is_not_made_again_and_again",
     .plays = history_rests,
     .script =
         {
             .policy = "pressure",
             .budget = 7665249568,
             .count = 7,
             .host_memory = 8294 * MC_MIB,
             .host_used = {{0, 0}},
             .overcommit_percent = 158,
             .reserve = 998,
             .shrink_percent = 86,
             .cooldown_ms = 1,
             .guests =
                 {
                     {
                         .memory = 129 * MC_MIB,
                         .shares = 1653,
                         .min_percent = 17,
                         .inflate_per_s = 418 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 118,
                         .deflates_on_oom = 1,
                         .works_with = {{0, 21102768}},
                     },
                     {
                         .memory = 865 * MC_MIB,
                         .shares = 59090,
                         .min_percent = 44,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 1197,
                         .deflates_on_oom = 1,
                     },
                     {
                         .memory = 3463 * MC_MIB,
                         .shares = 34160,
                         .min_percent = 7,
                         .inflate_per_s = 1167 * MC_MIB,
                         .deflate_per_s = 3732 * MC_MIB,
                         .lag_ms = 1466,
                         .deflates_on_oom = 1,
                         .cache = 1974096733,
                         .works_with = {{0, 3123898325}},
                     },
                     {
                         .memory = 133 * MC_MIB,
                         .shares = 8,
                         .min_percent = 4,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 595 * MC_MIB,
                         .lag_ms = 1,
                         .works_with = {{0, 6}},
                     },
                     {
                         .memory = 128 * MC_MIB,
                         .shares = 2,
                         .min_percent = 1,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 461,
                         .cache = 5,
                         .works_with = {{0, 3}},
                     },
                     {
                         .memory = 3448 * MC_MIB,
                         .shares = 86148,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 1,
                     },
                     {
                         .memory = 128 * MC_MIB,
                         .shares = 2,
                         .min_percent = 1,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 2,
                         .works_with = {{0, 851883}},
                     },
                 },
         }},

    /* What is seen of a balloon is late; what was told meanwhile was called back, and that again.
     */
    {.name = "a_guest_is_not_moved_to_and_fro_by_late_reports",
     .plays = history_rests,
     .script =
         {
             .policy = "shares",
             .budget = 414449664,
             .count = 1,
             .host_memory = 1581 * MC_MIB,
             .host_used = {{0, 0}},
             .overcommit_percent = 100,
             .shrink_percent = 2,
             .cooldown_ms = 1,
             .guests =
                 {
                     {
                         .memory = 1581 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 591 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 51,
                         .faults[0] =
                             {
                                 .kind = MC_SIM_STUCK,
                                 .from_ms = 6651,
                                 .to_ms = 26001,
                             },
                         .faults[1] =
                             {
                                 .kind = MC_SIM_LYING,
                                 .from_ms = 49001,
                                 .to_ms = UINT64_MAX,
                             },
                     },
                 },
         }},

    /* The host had been short, the balloon lagged, and what was under way to it was given out
       again. */
    {.name = "a_promise_that_gave_way_rises_with_what_is_left",
     .plays = history_rests,
     .script =
         {
             .policy = "shares",
             .budget = 2484441088,
             .count = 1,
             .host_memory = 4352 * MC_MIB,
             .host_used = {{0, 2013638685}},
             .overcommit_percent = 101,
             .shrink_percent = 1,
             .cooldown_ms = 1,
             .guests =
                 {
                     {
                         .memory = 3433 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .lag_ms = 2051,
                         .cache = 974606480,
                         .works_with = {{0, 0}, {20000, 0}, {40000, 2435511236}},
                     },
                 },
         }},
};

int main(void)
{
    return regressions_run(regressions, sizeof(regressions) / sizeof(*regressions));
}
