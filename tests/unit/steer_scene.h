/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host whose page merging is decided about. */
#ifndef MEMCTL_TEST_STEER_SCENE_H
#define MEMCTL_TEST_STEER_SCENE_H

#include <memctl/steer.h>

#define GUESTS_MAX 4

struct scene {
    struct mc_steer_config config;
    struct mc_steer_host host;
    struct mc_steer_guest guests[GUESTS_MAX];
    size_t count;
    struct mc_steer_memory memory;
    struct mc_steer_plan plan;
};

/* A host with KSM that is a little short of memory, and nothing else that is mergeable. */
struct scene steer_scene(void);
/* A guest of 1 GiB, of which the scanner says that a quarter can be saved; not mergeable yet. */
struct mc_steer_guest *add(struct scene *scene, const char *name, const char *domain);
void decide(struct scene *scene);
/* The scanner has finished a pass; ten minutes later. */
void pass(struct scene *scene);
/* QEMU does what it was told, and the next decision sees it. */
void obey(struct scene *scene);
bool runs(const struct scene *scene);
/* One guest that pays, and is mergeable; ksmd looks. */
struct scene merged_scene(void);

#endif
