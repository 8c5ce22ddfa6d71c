/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real agent, its path in $BALLOON_GUEST_AGENT, at the guest's end of a channel. */
#include "testing.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_message.h"
#include "agent_scene.h"

static pid_t start_agent(const char *program, const char *port)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test fails */
        execl(program, program, "--interval", "1", "--port", port, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static double end_agent(pid_t pid)
{
    struct rusage usage;
    int status;

    kill(pid, SIGTERM);
    assert_int_equal(wait4(pid, &status, 0, &usage), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Carry bytes both ways, as QEMU does between the guest's port and the host's socket. */
static void carry(int from, int to)
{
    char text[1024];
    ssize_t length = read(from, text, sizeof(text));

    if (length > 0)
        assert_int_equal(send(to, text, (size_t)length, MSG_NOSIGNAL), length);
}

/* Until the host has taken so many messages, a report among those of this connection. */
static void carry_until(struct scene *scene, int port, uint64_t messages)
{
    uint64_t until = scene_clock_ms() + WAIT_MS;

    while ((scene_counters(scene)->messages < messages || !scene_look(scene, 0)->present) &&
           scene_clock_ms() < until) {
        carry(scene->guest, port);
        carry(port, scene->guest);
        scene_run(scene);
        usleep(1000);
    }
    assert_true(scene_counters(scene)->messages >= messages && scene_look(scene, 0)->present);
}

static void the_real_agent_is_understood(void **state)
{
    const char *program = getenv("BALLOON_GUEST_AGENT");
    struct scene *scene = *state;
    const struct mc_agent_report *agent;
    char path[80];
    int listener, port;
    pid_t pid;

    if (!program)
        skip();
    snprintf(path, sizeof(path), "%s/port", scene->dir);
    listener = scene_listen(path);
    pid = start_agent(program, path);
    port = scene_accept(listener, WAIT_MS);
    assert_true(port >= 0);
    carry_until(scene, port, 2); /* hello, maybe again since it was asked, and a report */
    agent = scene_look(scene, 0);
    assert_true(agent->present);
    assert_string_equal(agent->version, MEMCTL_VERSION);
    assert_true(agent->total > MC_MIB && agent->available <= agent->total);
    assert_int_equal(scene_counters(scene)->ignored, 0);
    close(port);

    /* The host's end went away: the agent waits without spinning, and says hello to the next. */
    port = scene_accept(listener, WAIT_MS);
    assert_true(port >= 0);
    carry_until(scene, port, scene_counters(scene)->messages + 2);
    assert_true(end_agent(pid) < 0.2);
    close(port);
    close(listener);
    unlink(path);
}

/* What is in the pipe, as soon as there is something. */
static void drain(int pipe, char *text, size_t room)
{
    struct pollfd ready = {.fd = pipe, .events = POLLIN};
    ssize_t length;

    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    length = read(pipe, text, room - 1);
    assert_true(length > 0);
    text[length] = '\0';
}

static void the_real_agent_drops_what_does_not_fit(void **state)
{
    static const char junk[4000];
    const char *program = getenv("BALLOON_GUEST_AGENT");
    struct scene *scene = *state;
    struct agent_message message;
    char path[80], text[4097];
    int pipe;
    pid_t pid;

    if (!program)
        skip();
    snprintf(path, sizeof(path), "%s/pipe", scene->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    pipe = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(fcntl(pipe, F_SETPIPE_SZ, 4096) >= 0);
    pid = start_agent(program, path);
    drain(pipe, text, sizeof(text));
    assert_non_null(strstr(text, "\"hello\""));

    assert_int_equal(write(pipe, junk, sizeof(junk)), sizeof(junk));
    usleep(2500000);
    drain(pipe, text, sizeof(text));
    drain(pipe, text, sizeof(text));
    assert_int_equal(agent_message_parse(text, strcspn(text, "\n"), &message), 0);
    assert_true(message.type == AGENT_REPORT && message.seq >= 3);
    assert_true(end_agent(pid) < 0.2);
    close(pipe);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_real_agent_is_understood, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(the_real_agent_drops_what_does_not_fit, scene_set_up,
                                        scene_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
