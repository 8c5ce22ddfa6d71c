/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/model.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mc_plan_reset(struct mc_plan *plan, size_t count)
{
    struct mc_step *steps = plan->steps;
    size_t room = plan->room;

    if (count > room) {
        steps = reallocarray(steps, count, sizeof(*steps));
        if (!steps)
            return -ENOMEM;
        room = count;
    }
    if (count)
        memset(steps, 0, count * sizeof(*steps));
    *plan = (struct mc_plan){.steps = steps, .count = count, .room = room};
    return 0;
}

void mc_plan_free(struct mc_plan *plan)
{
    free(plan->steps);
    *plan = (struct mc_plan){0};
}

enum mc_rule mc_step_reason(const struct mc_step *step)
{
    enum mc_rule reason = MC_RULE_POLICY;

    for (unsigned i = 0; i < step->change_count; i++)
        if (step->changes[i].rule != MC_RULE_CALM || reason == MC_RULE_POLICY)
            reason = step->changes[i].rule;
    return reason;
}
