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
    return step->change_count ? step->changes[step->change_count - 1].rule : MC_RULE_POLICY;
}
