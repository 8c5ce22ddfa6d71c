/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Histories of guests in need that once broke a promise, as test_engine_properties.c printed them.
 */
#include "regressions.h"

#define SMALL_AND_SLOW                                                                             \
    {                                                                                              \
        .memory = 128 * MC_MIB, .shares = 1, .inflate_per_s = 1 * MC_MIB,                          \
        .deflate_per_s = 1 * MC_MIB                                                                \
    }

static const struct regression regressions[] = {
    /* Its trouble had become chronic, and a budget that rose went to those who needed nothing. */
    {.name = "one_that_hungers_comes_before_those_who_can_do_without",
     .plays = history_runs,
     .script =
         {
             .policy = "shares",
             .budget = 2109093114,
             .count = 5,
             .host_memory = 7442 * MC_MIB,
             .host_used = {{0, 0}},
             .overcommit_percent = 296,
             .reserve = 656,
             .shrink_percent = 12,
             .boot_grace_ms = 12660,
             .cooldown_ms = 4986,
             .guests =
                 {
                     {
                         .memory = 1424 * MC_MIB,
                         .shares = 8,
                         .inflate_per_s = 6 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                     },
                     {
                         .memory = 2441 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 1 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                     },
                     {
                         .memory = 155 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 1 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                     },
                     {
                         .memory = 2751 * MC_MIB,
                         .shares = 1,
                         .min_percent = 30,
                         .inflate_per_s = 128 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                         .works_with = {{0, 0}, {30000, 816289885}},
                     },
                     {
                         .memory = 671 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 12 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                         .works_with = {{0, 268792792}, {30000, 0}},
                     },
                 },
             .steps = {{200},
                       {1279},
                       {1657},
                       {1557},
                       {787},
                       {982},
                       {1473},
                       {531},
                       {1446},
                       {1889},
                       {244},
                       {814},
                       {1519},
                       {349},
                       {1278, ACT_UNMANAGED, 1, 0},
                       {1696},
                       {950},
                       {1049},
                       {1065, ACT_BUDGET, 0, 5685},
                       {912},
                       {1090, ACT_SHARES, 4, 5},
                       {1127},
                       {605},
                       {1576},
                       {1597},
                       {569},
                       {1987},
                       {1352},
                       {1378},
                       {1296},
                       {1576},
                       {970},
                       [32 ... 57] = {200}},
         }},

    /* It had been in trouble, grew and filled what it got; its statistics were of the time before.
     */
    {.name = "nothing_is_taken_from_one_just_seen_in_trouble",
     .plays = history_runs,
     .script =
         {
             .policy = "shares",
             .budget = 816578560,
             .count = 5,
             .host_memory = 3115 * MC_MIB,
             .host_used = {{0, 0}, {12000, 0}, {24000, 0}, {36000, 0}, {48000, 2657629151}},
             .overcommit_percent = 102,
             .shrink_percent = 1,
             .cooldown_ms = 1,
             .guests =
                 {
                     {
                         .memory = 933 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 1 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                     },
                     {
                         .memory = 141 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 2 * MC_MIB,
                         .deflate_per_s = 16 * MC_MIB,
                         .works_with = {{0, 0}, {30000, 75497473}},
                     },
                     SMALL_AND_SLOW,
                     SMALL_AND_SLOW,
                     {
                         .memory = 1785 * MC_MIB,
                         .shares = 1,
                         .inflate_per_s = 1 * MC_MIB,
                         .deflate_per_s = 1 * MC_MIB,
                         .works_with = {{0, 133722113}, {30000, 0}},
                     },
                 },
             .steps = {{200},
                       {1499},
                       {1899},
                       {415},
                       {1322},
                       {1253},
                       {1421},
                       {1649},
                       {1904},
                       {500},
                       {1951},
                       {506},
                       {974},
                       {230},
                       {1535},
                       {1915},
                       {1527},
                       {1349},
                       {860},
                       {1344},
                       {869},
                       {874},
                       {1938},
                       {1628},
                       {1156},
                       {454},
                       {1707},
                       {745},
                       {330},
                       {1800},
                       {741},
                       {1898},
                       {801},
                       {1966},
                       {1418},
                       {560},
                       {1526},
                       {200, ACT_BUDGET, 0, 3059},
                       {336},
                       {200, ACT_MAX, 1, 1},
                       [40 ... 46] = {200}},
         }},

    /* That the cache is still worked with is found out by missing it: some memory moves, and
     * arrives.
     */
    {.name = "a_move_at_rest_ends",
     .plays = history_rests,
     .script =
         {
             .policy = "idle-tax",
             .budget = 1279393792,
             .count = 2,
             .guests =
                 {
                     {
                         .memory = 757 * MC_MIB,
                         .shares = 56123,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                     },
                     {
                         .memory = 3059 * MC_MIB,
                         .shares = 43959,
                         .inflate_per_s = 200 * MC_MIB,
                         .deflate_per_s = 200 * MC_MIB,
                         .cache = 549826724,
                         .works_with = {{0, 581906432}},
                     },
                 },
         }},
};

int main(void)
{
    return regressions_run(regressions, sizeof(regressions) / sizeof(*regressions));
}
