/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two guests on a host in need, for which host reclaim and the last resort are decided. */
#ifndef MEMCTL_TESTS_TECHNIQUE_SCENE_H
#define MEMCTL_TESTS_TECHNIQUE_SCENE_H

#include "govern/govern.h"

#define SCENE_NOW_MS 10000000

struct technique_scene {
    struct mc_engine_config config;
    struct mc_guest guests[2];
    struct mc_snapshot snapshot;
    struct mc_tracks tracks;
    struct mc_host_track host;
    struct mc_plan plan;
};

/* A host 1 GiB short, with swap; balloons are where they shall be. guards_off: bits of enum
 * mc_guard. */
void technique_scene_open(struct technique_scene *scene, unsigned guards_off);
void technique_scene_close(struct technique_scene *scene);

void technique_scene_decide(struct technique_scene *scene);

void technique_scene_no_swap(struct technique_scene *scene);

/* The first guest was suspended by memctl, and now there is memory. */
void technique_scene_suspended(struct technique_scene *scene);

#endif
