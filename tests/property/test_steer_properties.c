/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts with guests that come, go, change their minds, hang and are read by the scanner,
 * over a kernel that merges whatever is mergeable while ksmd runs. What the steering may never do
 * is looked for at every step; and when nothing changes any more, it comes to rest.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/steer.h>

#include "property.h"

#define GUESTS_MAX 6
#define STEPS 80
#define CALM_STEPS 60
#define HISTORIES 3000
#define STEP_MS 60000

/* What is true of a guest, as against what was seen of it. */
struct truth {
    uint64_t mergeable;
    uint64_t content; /* bytes that merging it would save */
    bool merged;      /* ksmd ran while it was mergeable */
    unsigned unseen;  /* steps until somebody can look at it */
    uint64_t huge;    /* bytes in huge pages */
};

struct history {
    struct property *property;
    struct random *random;
    struct mc_steer_config config;
    struct mc_steer_host host;
    struct mc_steer_guest guests[GUESTS_MAX];
    struct truth truths[GUESTS_MAX];
    size_t count;
    struct mc_steer_memory memory;
    struct mc_steer_plan plan;
    unsigned born;
    bool ksmd_runs;
};

static void give_evidence(const struct history *history)
{
    fprintf(stderr, "domain '%s', %s: %s, ksmd %s\n", history->plan.domain,
            mc_steer_pace_name(history->plan.pace), history->plan.why,
            history->ksmd_runs ? "runs" : "stands");
    for (size_t i = 0; i < history->count; i++) {
        const struct mc_steer_guest *guest = &history->guests[i];

        fprintf(stderr, "  %s of %s: %s, %s%s, mergeable %lu MiB, beside %lu, order %d\n",
                guest->name, guest->domain, mc_steer_reason_name(guest->reason),
                guest->wanted ? "" : "off, ", guest->looked ? "looked" : "unknown",
                (unsigned long)(history->truths[i].mergeable / MC_MIB),
                (unsigned long)guest->beside, guest->order);
    }
}

#define CHECK(history, condition)                                                                  \
    PROPERTY_CHECK((history)->property, condition, #condition, give_evidence(history))

static void set_domain(struct history *history, struct mc_steer_guest *guest)
{
    uint64_t domain = random_below(history->random, 4);

    if (domain)
        snprintf(guest->domain, sizeof(guest->domain), "domain%lu", (unsigned long)domain);
    else
        memcpy(guest->domain, guest->uuid, sizeof(guest->domain));
}

static void come(struct history *history)
{
    struct mc_steer_guest *guest = &history->guests[history->count];
    struct truth *truth = &history->truths[history->count];

    *guest = (struct mc_steer_guest){
        .wanted = random_below(history->random, 5) != 1,
        .fit = random_below(history->random, 8) != 1,
        .may_switch = random_below(history->random, 8) != 1,
        .ram = random_between(history->random, 1, 64) * 64 * MC_MIB,
        .beside = random_below(history->random, 6) == 1 ? MC_MIB : 0,
    };
    snprintf(guest->uuid, sizeof(guest->uuid), "guest%u", history->born++);
    memcpy(guest->name, guest->uuid, sizeof(guest->uuid));
    set_domain(history, guest);
    *truth = (struct truth){.mergeable = random_below(history->random, 2) ? guest->ram : 0,
                            .content = random_below(history->random, guest->ram / 2 + 1),
                            .huge = random_below(history->random, 3) ? 0 : guest->ram / 2,
                            .unseen = (unsigned)random_below(history->random, 3)};
    history->count++;
}

static void go(struct history *history)
{
    size_t i = random_below(history->random, history->count);

    history->count--;
    history->guests[i] = history->guests[history->count];
    history->truths[i] = history->truths[history->count];
}

/* Something happens to a guest, or to the host. */
static void happen(struct history *history)
{
    struct random *random = history->random;
    size_t i = history->count ? random_below(random, history->count) : 0;

    switch (random_below(random, 12)) {
    case 1:
        if (history->count < GUESTS_MAX)
            come(history);
        break;
    case 2:
        if (history->count)
            go(history);
        break;
    case 3:
        if (history->count)
            history->guests[i].wanted = !history->guests[i].wanted;
        break;
    case 4:
        if (history->count)
            set_domain(history, &history->guests[i]);
        break;
    case 5:
        if (history->count)
            history->guests[i].may_switch = !history->guests[i].may_switch;
        break;
    case 6:
        history->host.state = (enum mc_host_state)random_below(random, MC_HOST_LOW + 1);
        break;
    case 7:
        history->host.strangers = (unsigned)random_below(random, 2);
        break;
    case 8:
        history->host.starting = !history->host.starting;
        break;
    case 9:
        history->host.spare = random_below(random, 8 * MC_GIB);
        break;
    case 10:
        if (history->count)
            history->truths[i].content = random_below(random, history->guests[i].ram / 2 + 1);
        break;
    default:
        break;
    }
}

static void look(struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        struct mc_steer_guest *guest = &history->guests[i];
        struct truth *truth = &history->truths[i];

        guest->looked = truth->unseen == 0;
        truth->unseen -= truth->unseen > 0;
        guest->mergeable = guest->looked ? truth->mergeable : 0;
        guest->saved = truth->merged && truth->mergeable ? truth->content : 0;
        guest->merging = guest->saved;
    }
}

static void scan(struct history *history)
{
    history->host.pass++;
    for (size_t i = 0; i < history->count; i++) {
        struct mc_steer_guest *guest = &history->guests[i];

        guest->scanned = guest->wanted && guest->looked;
        guest->present = guest->ram;
        guest->saving = history->truths[i].merged ? 0 : history->truths[i].content;
        guest->huge = history->truths[i].huge;
    }
}

/* QEMU and the kernel obey; one in eight times QEMU does not. */
static void obey(struct history *history, bool always)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct mc_steer_guest *guest = &history->guests[i];
        struct truth *truth = &history->truths[i];

        CHECK(history, guest->order == MC_STEER_LEAVE || (guest->may_switch && guest->looked));
        if (guest->order == MC_STEER_LEAVE || (!always && random_below(history->random, 8) == 1))
            continue;
        truth->mergeable = guest->order == MC_STEER_SWITCH_ON ? guest->ram : 0;
        truth->merged &= guest->order == MC_STEER_SWITCH_ON;
    }
    if (history->plan.knobs.value[MC_KSM_RUN] != MC_UNKNOWN)
        history->host.ksm.knobs.value[MC_KSM_RUN] = history->plan.knobs.value[MC_KSM_RUN];
    history->ksmd_runs = history->host.ksm.knobs.value[MC_KSM_RUN] == 1;
}

/* Everybody whose pages ksmd could meet is of one domain, and wants it. */
static void check_isolation(const struct history *history)
{
    const char *domain = NULL;

    if (!history->ksmd_runs)
        return;
    CHECK(history, history->host.strangers == 0 && !history->host.starting);
    for (size_t i = 0; i < history->count; i++) {
        const struct mc_steer_guest *guest = &history->guests[i];

        if (!history->truths[i].mergeable && !guest->beside)
            continue;
        CHECK(history, guest->wanted);
        CHECK(history, !domain || strcmp(domain, guest->domain) == 0);
        domain = guest->domain;
    }
}

static void merge(struct history *history)
{
    if (!history->ksmd_runs)
        return;
    history->host.ksm.full_scans++;
    for (size_t i = 0; i < history->count; i++)
        history->truths[i].merged |= history->truths[i].mergeable > 0;
}

static void step(struct history *history, bool always)
{
    history->host.now_ms += STEP_MS;
    look(history);
    if (random_below(history->random, 2) || always)
        scan(history);
    mc_steer_decide(&history->config, &history->host, history->guests, history->count,
                    &history->memory, &history->plan);
    for (size_t i = 0; i < history->count; i++)
        CHECK(history, history->guests[i].order != MC_STEER_SWITCH_ON ||
                           (history->guests[i].wanted && history->host.state != MC_HOST_HIGH &&
                            strcmp(history->guests[i].domain, history->plan.domain) == 0));
    obey(history, always);
    check_isolation(history);
    merge(history);
}

/* With everything as it is, in time no order is given any more, and ksmd does the same for ever. */
static void come_to_rest(struct history *history)
{
    enum mc_steer_pace pace;
    unsigned run;

    for (unsigned i = 0; i < CALM_STEPS; i++)
        step(history, true);
    pace = history->plan.pace;
    run = (unsigned)history->ksmd_runs;
    for (unsigned i = 0; i < CALM_STEPS / 2; i++) {
        step(history, true);
        for (size_t j = 0; j < history->count; j++)
            CHECK(history, history->guests[j].order == MC_STEER_LEAVE);
        CHECK(history, history->plan.pace == pace && history->ksmd_runs == run);
    }
}

static void lives(struct property *property)
{
    struct history history = {
        .property = property,
        .random = &property->random,
        .config = mc_steer_config_default(),
        .host = {.now_ms = 1000, .looked = true, .spare = 8 * MC_GIB, .state = MC_HOST_CLEAR},
    };

    history.host.ksm.present = true;
    /* Somebody may have started it before; then it merges until the first decision. */
    for (size_t i = 0; random_more(history.random, i, STEPS); i++) {
        happen(&history);
        step(&history, false);
    }
    history.host.spare = UINT64_C(1) << 50;
    come_to_rest(&history);
}

static void no_two_trust_domains_are_mergeable_while_ksmd_runs(void **state)
{
    (void)state;
    property_holds(lives, NULL, HISTORIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_trust_domains_are_mergeable_while_ksmd_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
