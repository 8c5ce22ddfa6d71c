/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include "agent_scene.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

uint64_t scene_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int scene_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

int scene_accept(int listener, int within_ms)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};

    if (poll(&ready, 1, within_ms) <= 0)
        return -1;
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

struct mc_guest *scene_add_guest(struct scene *scene, const char *uuid, const char *path)
{
    struct mc_guest *guest = mc_snapshot_add(&scene->snapshot);

    assert_non_null(guest);
    strcpy(guest->uuid, uuid);
    snprintf(guest->name, sizeof(guest->name), "guest-%s", uuid);
    snprintf(guest->agent_socket, sizeof(guest->agent_socket), "%s", path);
    guest->run_id = 1;
    guest->memory = MC_SIZE_MAX;
    return guest;
}

const struct mc_agent_report *scene_look(struct scene *scene, uint64_t later)
{
    scene->snapshot.now_ms = scene_clock_ms() + later;
    for (size_t i = 0; i < scene->snapshot.count; i++)
        scene->snapshot.guests[i].agent = (struct mc_agent_report){0};
    agents_follow(scene->agents, &scene->snapshot);
    return scene->snapshot.count ? &scene->snapshot.guests[0].agent : NULL;
}

void scene_run(struct scene *scene)
{
    for (unsigned i = 0; i < 64; i++)
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
}

void scene_say(struct scene *scene, const char *text)
{
    assert_int_equal(send(scene->guest, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    scene_run(scene);
}

const struct agents_counters *scene_counters(const struct scene *scene)
{
    return agents_counters(scene->agents);
}

bool scene_is_hung_up(struct scene *scene)
{
    char text[256];
    ssize_t length;

    while ((length = read(scene->guest, text, sizeof(text))) > 0)
        continue;
    return length == 0 || errno == ECONNRESET;
}

static void on_wake(void *opaque)
{
    struct scene *scene = opaque;

    scene->wakes++;
}

int scene_set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    signal(SIGPIPE, SIG_IGN);
    log_open(LOG_LEVEL_ERROR);
    strcpy(scene->dir, "/tmp/test-agents-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    snprintf(scene->path, sizeof(scene->path), "%s/guest", scene->dir);
    scene->listener = scene_listen(scene->path);
    scene->base = event_base_new();
    scene->agents = agents_new(scene->base, on_wake, scene);
    assert_non_null(scene->agents);
    scene_add_guest(scene, "b", scene->path);
    assert_false(scene_look(scene, 0)->present);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
    *state = scene;
    return 0;
}

int scene_tear_down(void **state)
{
    struct scene *scene = *state;

    agents_free(scene->agents);
    event_base_free(scene->base);
    mc_snapshot_free(&scene->snapshot);
    close(scene->guest);
    close(scene->listener);
    unlink(scene->path);
    assert_int_equal(rmdir(scene->dir), 0);
    free(scene);
    return 0;
}
