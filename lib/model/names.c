/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/model.h>

const char *mc_guest_state_name(enum mc_guest_state state)
{
    static const char *const names[] = {
        [MC_GUEST_RUNNING] = "running",     [MC_GUEST_PAUSED] = "paused",
        [MC_GUEST_MIGRATING] = "migrating", [MC_GUEST_STOPPING] = "stopping",
        [MC_GUEST_CRASHED] = "crashed",     [MC_GUEST_STOPPED] = "stopped",
    };

    return names[state];
}

const char *mc_exempt_name(enum mc_exempt exempt)
{
    static const char *const names[] = {
        [MC_EXEMPT_NO] = "no",
        [MC_EXEMPT_UNMANAGED] = "unmanaged",
        [MC_EXEMPT_NO_BALLOON] = "no-balloon",
        [MC_EXEMPT_LOCKED] = "locked-memory",
        [MC_EXEMPT_HUGE_PAGES] = "huge-pages",
        [MC_EXEMPT_PASSTHROUGH] = "passthrough",
        [MC_EXEMPT_NOT_RUNNING] = "not-running",
        [MC_EXEMPT_MIGRATING] = "migrating",
        [MC_EXEMPT_OPERATOR] = "paused-by-operator",
        [MC_EXEMPT_LAST_RESORT] = "last-resort",
    };

    return names[exempt];
}

const char *mc_source_name(enum mc_source source)
{
    static const char *const names[] = {
        [MC_SOURCE_NONE] = "none",
        [MC_SOURCE_BALLOON] = "balloon",
        [MC_SOURCE_AGENT] = "agent",
        [MC_SOURCE_HOST] = "host",
    };

    return names[source];
}

const char *mc_rule_name(enum mc_rule rule)
{
    static const char *const names[] = {
        [MC_RULE_POLICY] = "policy",
        [MC_RULE_EXEMPT] = "exempt",
        [MC_RULE_FOREIGN_HAND] = "foreign-hand",
        [MC_RULE_STUCK] = "stuck",
        [MC_RULE_PROMISE] = "promise",
        [MC_RULE_BOOT] = "boot",
        [MC_RULE_FLOOR] = "floor",
        [MC_RULE_FRESHNESS] = "freshness",
        [MC_RULE_DISTRESS] = "distress",
        [MC_RULE_RATE] = "rate",
        [MC_RULE_CALM] = "calm",
        [MC_RULE_SHRINK_FIRST] = "shrink-before-grow",
    };

    return names[rule];
}

const char *mc_distress_name(enum mc_distress distress)
{
    static const char *const names[] = {
        [MC_DISTRESS_NO] = "no",           [MC_DISTRESS_AGENT] = "agent",
        [MC_DISTRESS_USABLE] = "usable",   [MC_DISTRESS_SWAP] = "swap",
        [MC_DISTRESS_FAULTS] = "faults",   [MC_DISTRESS_DEFLATED] = "deflated",
        [MC_DISTRESS_FILLING] = "filling",
    };

    return names[distress];
}

const char *mc_host_state_name(enum mc_host_state state)
{
    static const char *const names[] = {
        [MC_HOST_HIGH] = "high", [MC_HOST_CLEAR] = "clear", [MC_HOST_SOFT] = "soft",
        [MC_HOST_HARD] = "hard", [MC_HOST_LOW] = "low",
    };

    return names[state];
}

const char *mc_reclaim_verdict_name(enum mc_reclaim_verdict verdict)
{
    static const char *const names[] = {
        [MC_RECLAIM_NOT_NEEDED] = "not-needed", [MC_RECLAIM_OFF] = "off",
        [MC_RECLAIM_NO_SWAP] = "no-swap",       [MC_RECLAIM_NOBODY] = "nobody",
        [MC_RECLAIM_WORKS] = "works",
    };

    return names[verdict];
}

const char *mc_resort_step_name(enum mc_resort_step step)
{
    static const char *const names[] = {
        [MC_RESORT_LEAVE] = "none",
        [MC_RESORT_SUSPEND] = "suspend",
        [MC_RESORT_SAVE] = "save",
        [MC_RESORT_CONTINUE] = "continue",
    };

    return names[step];
}
