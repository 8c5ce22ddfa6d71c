/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_scene.h"

#include <stdio.h>

#include "testing.h"

struct scene steer_scene(void)
{
    struct scene scene = {
        .config = mc_steer_config_default(),
        .host = {.now_ms = 1000000,
                 .state = MC_HOST_CLEAR,
                 .spare = UINT64_C(1) << 40,
                 .looked = true,
                 .ksmd_us = MC_UNKNOWN,
                 .ksm = {.present = true, .max_page_sharing = 256}},
    };

    return scene;
}

struct mc_steer_guest *add(struct scene *scene, const char *name, const char *domain)
{
    struct mc_steer_guest *guest = &scene->guests[scene->count++];

    *guest = (struct mc_steer_guest){.wanted = true,
                                     .fit = true,
                                     .may_switch = true,
                                     .looked = true,
                                     .ram = MC_GIB,
                                     .scanned = true,
                                     .present = MC_GIB,
                                     .saving = 256 * MC_MIB};
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    snprintf(guest->uuid, sizeof(guest->uuid), "%s", name);
    snprintf(guest->domain, sizeof(guest->domain), "%s", domain);
    return guest;
}

void decide(struct scene *scene)
{
    mc_steer_decide(&scene->config, &scene->host, scene->guests, scene->count, &scene->memory,
                    &scene->plan);
}

void pass(struct scene *scene)
{
    scene->host.pass++;
    scene->host.now_ms += 600000;
    decide(scene);
}

void obey(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++) {
        struct mc_steer_guest *guest = &scene->guests[i];

        if (guest->order == MC_STEER_SWITCH_ON)
            guest->mergeable = guest->ram;
        if (guest->order == MC_STEER_SWITCH_OFF)
            guest->mergeable = guest->merging = guest->saved = 0;
    }
    decide(scene);
}

bool runs(const struct scene *scene)
{
    return scene->plan.knobs.value[MC_KSM_RUN] == 1;
}

struct scene merged_scene(void)
{
    struct scene s = steer_scene();

    add(&s, "a", "web");
    pass(&s);
    obey(&s);
    assert_true(runs(&s));
    s.host.ksm.knobs.value[MC_KSM_RUN] = 1;
    return s;
}
