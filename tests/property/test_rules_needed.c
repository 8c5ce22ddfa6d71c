/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That the histories notice when one of the governor's rules is missing: with it switched off, a
 * promise is broken soon. Four rules are second guards, and no history can miss them while the
 * first one stands; so tests/unit/test_rules.c hands each of them a wish that the first guard would
 * not have let through:
 *
 *   promise       a policy's answer outside of min and max is refused before it is governed
 *   exempt        the policy is not asked about such guests, and nothing is ever sent to them
 *   foreign-hand  the policy is told that the guest has no choice but its size, and nothing is sent
 *   stuck         the same, and what is sent is the size that it has
 */
#include "testing.h"

#include "rest.h"

/* The rarest takes about a third of these. */
#define HISTORIES 300

static const enum mc_rule missed[] = {
    MC_RULE_BOOT, MC_RULE_FLOOR, MC_RULE_FRESHNESS,    MC_RULE_DISTRESS,
    MC_RULE_RATE, MC_RULE_CALM,  MC_RULE_SHRINK_FIRST,
};

static void runs_without(struct property *property)
{
    const enum mc_rule *rule = property->subject;
    struct script script = random_script(&property->random);

    script.rules_off = 1U << *rule;
    history_runs(property, &script);
}

static void comes_to_rest_without(struct property *property)
{
    const enum mc_rule *rule = property->subject;
    struct script script = random_script(&property->random);

    script.rules_off = 1U << *rule;
    history_rests(property, &script);
}

static void a_rule_that_is_off_is_missed(void **state)
{
    unsigned unnoticed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(missed) / sizeof(*missed); i++) {
        const char *condition = NULL;
        uint64_t seed = property_breaks(runs_without, &missed[i], HISTORIES, &condition);

        if (!seed)
            seed = property_breaks(comes_to_rest_without, &missed[i], HISTORIES, &condition);
        unnoticed += !seed;
        print_message("# without %s: history %lu breaks %s\n", mc_rule_name(missed[i]),
                      (unsigned long)seed, seed ? condition : "nothing");
    }
    assert_int_equal(unnoticed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_that_is_off_is_missed),
    };

    return cmocka_run_group_tests_name("rules needed", tests, NULL, NULL);
}
