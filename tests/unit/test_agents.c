/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agents in the guests: what the parser takes, what the host's side makes of a good, a broken,
 * a flooding and a silent guest, and the real agent (its path in $BALLOON_GUEST_AGENT) at the other
 * end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent_message.h"
#include "agents.h"
#include "log.h"

#define HELLO                                                                                      \
    "{\"memctl-agent\":1,\"type\":\"hello\",\"seq\":0,\"version\":\"1.2.3\",\"kernel\":\"6.1.0\"," \
    "\"capabilities\":[\"memory\",\"telepathy\"]}"
#define REPORT_HEAD "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":1,"
#define REPORT_OF(memory) REPORT_HEAD "\"memory\":{" memory "}}"
#define REPORT REPORT_OF("\"total\":1000,\"free\":200,\"available\":600")

#define WAIT_MS 5000

/* ---- the parser */

static int parse(const char *line)
{
    struct agent_message message;

    return agent_message_parse(line, strlen(line), &message);
}

static void takes_a_hello(void **state)
{
    struct agent_message message;

    (void)state;
    assert_int_equal(agent_message_parse(HELLO, strlen(HELLO), &message), 0);
    assert_int_equal(message.type, AGENT_HELLO);
    assert_int_equal(message.seq, 0);
    assert_string_equal(message.hello.version, "1.2.3");
    assert_string_equal(message.hello.kernel, "6.1.0");
    assert_int_equal(message.hello.capabilities, AGENT_CAN_MEMORY);
}

static void takes_a_report_and_passes_over_unknown_fields(void **state)
{
    static const char line[] =
        REPORT_HEAD "\"memory\":{\"total\":1000,\"free\":200,\"available\":600,\"cached\":50,"
                    "\"swap_total\":10,\"swap_free\":10,\"colour\":\"red\"},"
                    "\"counters\":{\"swap_in\":7,\"oom_kill\":1},\"later\":[1,{}]}";
    struct agent_message message;

    (void)state;
    assert_int_equal(agent_message_parse(line, strlen(line), &message), 0);
    assert_int_equal(message.type, AGENT_REPORT);
    assert_int_equal(message.seq, 1);
    assert_int_equal(message.report.total, 1000);
    assert_int_equal(message.report.free, 200);
    assert_int_equal(message.report.available, 600);
    assert_int_equal(message.report.cached, 50);
    assert_int_equal(message.report.swap_total, 10);
    assert_int_equal(message.report.swap_free, 10);
    assert_int_equal(message.report.swap_in, 7);
    assert_int_equal(message.report.oom_kill, 1);
    assert_true(message.report.major_faults == MC_UNKNOWN);
}

static void needs_no_nul_at_the_end(void **state)
{
    struct agent_message message;
    char *exact = malloc(strlen(REPORT));

    (void)state;
    assert_non_null(exact);
    memcpy(exact, REPORT, strlen(REPORT));
    assert_int_equal(agent_message_parse(exact, strlen(REPORT), &message), 0);
    free(exact);
}

static void refuses_what_is_no_message(void **state)
{
    static const char *const lines[] = {
        "",      "\n", "hello", "null",         "7",    "\"memctl-agent\"",
        "[]",    "{}", "{",     "\xff\xfe\xfd", "{}{}", "{\"memctl-agent\":\"1\"}",
        "{1:2}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EBADMSG);
}

static void refuses_every_truncation(void **state)
{
    struct agent_message message;

    (void)state;
    for (size_t length = 0; length < strlen(REPORT); length++)
        assert_int_equal(agent_message_parse(REPORT, length, &message), -EBADMSG);
    assert_int_equal(parse(REPORT "x"), -EBADMSG);
}

static void tells_other_versions_and_types_apart(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"memctl-agent\":2,\"type\":\"report\",\"seq\":1}"), -EPROTO);
    assert_int_equal(parse("{\"memctl-agent\":1,\"type\":\"poem\",\"seq\":1}"), -ENOTSUP);
    assert_int_equal(parse("{\"memctl-agent\":1,\"seq\":1}"), -EINVAL);
}

static void refuses_impossible_memory(void **state)
{
    static const char *const lines[] = {
        REPORT_HEAD "\"memory\":7}",
        REPORT_HEAD "\"counters\":{}}",
        REPORT_OF(""),
        REPORT_OF("\"total\":1000,\"free\":200"),
        REPORT_OF("\"total\":1000,\"free\":1001,\"available\":600"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":1001"),
        REPORT_OF("\"total\":0,\"free\":0,\"available\":0"),
        REPORT_OF("\"total\":1000,\"free\":-1,\"available\":600"),
        REPORT_OF("\"total\":-1000,\"free\":-2000,\"available\":-1500"),
        REPORT_OF("\"total\":1000.5,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":1e3,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":\"1000\",\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":null,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":true,\"free\":0,\"available\":0"),
        REPORT_OF("\"total\":9007199254740992,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":9223372036854775807,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":600,\"swap_total\":10"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":600,\"swap_free\":10"),
        REPORT_OF("\"total\":1000,\"free\":2,\"available\":6,\"swap_total\":1,\"swap_free\":2"),
        REPORT_HEAD "\"memory\":{\"total\":9,\"free\":2,\"available\":6},\"counters\":[]}",
        REPORT_HEAD "\"memory\":{\"total\":9,\"free\":2,\"available\":6},"
                    "\"counters\":{\"swap_in\":-1}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EINVAL);
}

static void refuses_numbers_beyond_64_bits(void **state)
{
    (void)state;
    assert_int_equal(parse(REPORT_OF("\"total\":9223372036854775808,\"free\":0,\"available\":0")),
                     -EBADMSG);
    assert_int_equal(parse(REPORT_OF("\"total\":1e999,\"free\":0,\"available\":0")), -EBADMSG);
}

static void refuses_duplicate_keys(void **state)
{
    (void)state;
    assert_int_equal(parse(REPORT_OF("\"total\":9,\"total\":99,\"free\":2,\"available\":6")),
                     -EBADMSG);
}

static void refuses_nul_bytes(void **state)
{
    char line[] = REPORT;
    struct agent_message message;

    (void)state;
    assert_int_equal(parse("{\"memctl-agent\":1,\"type\":\"rep\\u0000ort\",\"seq\":1}"), -EBADMSG);
    line[10] = '\0';
    assert_int_equal(agent_message_parse(line, strlen(REPORT), &message), -EBADMSG);
}

static void refuses_deep_nesting_and_long_lines(void **state)
{
    char line[2 * MC_AGENT_LINE_MAX];
    struct agent_message message;

    (void)state;
    memset(line, '[', sizeof(line));
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX - 1, &message), -EBADMSG);
    assert_int_equal(agent_message_parse(line, sizeof(line), &message), -EBADMSG);
    memset(line, ' ', sizeof(line));
    memcpy(line, REPORT, strlen(REPORT));
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX - 1, &message), 0);
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX, &message), -EBADMSG);
}

static void refuses_texts_that_a_terminal_would_obey(void **state)
{
    static const char *const versions[] = {
        "\\u001b[2J", "1\\n2", "0123456789012345678901234567890123456789", "\\u202e", "a'b\\\"c",
    };
    char line[512];

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        snprintf(line, sizeof(line),
                 "{\"memctl-agent\":1,\"type\":\"hello\",\"seq\":0,\"version\":\"%s\","
                 "\"kernel\":\"6\",\"capabilities\":[]}",
                 versions[i]);
        assert_int_equal(parse(line), -EINVAL);
    }
}

/* ---- the host's side */

/* One guest whose channel the test holds the other end of. */
struct scene {
    char dir[32], path[64];
    struct event_base *base;
    struct agents *agents;
    struct mc_snapshot snapshot;
    int listener, guest; /* the listening socket, and QEMU's end of the channel */
};

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* The next client; -1 if none comes in time. */
static int accept_from(int listener, int within_ms)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};

    if (poll(&ready, 1, within_ms) <= 0)
        return -1;
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static struct mc_guest *add_guest(struct scene *scene, const char *uuid, const char *path)
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

/* Let the daemon look at its guests, `later` ms from now. */
static const struct mc_agent_report *look(struct scene *scene, uint64_t later)
{
    scene->snapshot.now_ms = clock_ms() + later;
    for (size_t i = 0; i < scene->snapshot.count; i++)
        scene->snapshot.guests[i].agent = (struct mc_agent_report){0};
    agents_follow(scene->agents, &scene->snapshot);
    return scene->snapshot.count ? &scene->snapshot.guests[0].agent : NULL;
}

static void run_loop(struct scene *scene)
{
    for (unsigned i = 0; i < 64; i++)
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
}

static void say(struct scene *scene, const char *text)
{
    assert_int_equal(send(scene->guest, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    run_loop(scene);
}

static const struct agents_counters *counters(const struct scene *scene)
{
    return agents_counters(scene->agents);
}

/* The host end was closed. */
static bool is_hung_up(struct scene *scene)
{
    char text[256];
    ssize_t length;

    while ((length = read(scene->guest, text, sizeof(text))) > 0)
        continue;
    return length == 0 || errno == ECONNRESET;
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    signal(SIGPIPE, SIG_IGN);
    log_open(LOG_LEVEL_ERROR);
    strcpy(scene->dir, "/tmp/test-agents-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    snprintf(scene->path, sizeof(scene->path), "%s/guest", scene->dir);
    scene->listener = listen_at(scene->path);
    scene->base = event_base_new();
    scene->agents = agents_new(scene->base);
    assert_non_null(scene->agents);
    add_guest(scene, "b", scene->path);
    assert_false(look(scene, 0)->present);
    scene->guest = accept_from(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
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

static void a_report_arrives_in_the_snapshot(void **state)
{
    struct scene *scene = *state;
    const struct mc_agent_report *agent;

    say(scene, HELLO "\n");
    assert_false(look(scene, 0)->present);
    say(scene, REPORT "\n");
    agent = look(scene, 0);
    assert_true(agent->present);
    assert_string_equal(agent->version, "1.2.3");
    assert_int_equal(agent->total, 1000);
    assert_int_equal(agent->free, 200);
    assert_int_equal(agent->available, 600);
    assert_in_range(agent->received_ms, clock_ms() - WAIT_MS, clock_ms());
    assert_int_equal(counters(scene)->messages, 2);
}

static void the_host_asks_for_reports_once(void **state)
{
    struct scene *scene = *state;
    char text[256] = "";

    look(scene, 0);
    assert_true(read(scene->guest, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "\n{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5}\n");
}

static void lines_may_come_in_pieces_and_together(void **state)
{
    struct scene *scene = *state;

    for (const char *byte = REPORT; *byte; byte++)
        say(scene, (const char[]){*byte, '\0'});
    assert_false(look(scene, 0)->present);
    say(scene, "\n\n" HELLO "\n" REPORT "\n");
    assert_true(look(scene, 0)->present);
    assert_int_equal(counters(scene)->messages, 3);
    assert_int_equal(counters(scene)->ignored, 0);
}

static void a_good_line_after_garbage_is_taken(void **state)
{
    struct scene *scene = *state;
    char long_line[MC_AGENT_LINE_MAX + 500];

    say(scene, "l\":600}}\n\x01\x02\xff\n{\"memctl-agent\":1}\n");
    assert_int_equal(counters(scene)->ignored, 3);
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    say(scene, long_line);
    say(scene, REPORT "\n"); /* ends the long line: not taken */
    assert_int_equal(counters(scene)->ignored, 4);
    assert_false(look(scene, 0)->present);
    say(scene, REPORT "\n");
    assert_true(look(scene, 0)->present);
}

static void more_memory_than_the_guest_has_is_ignored(void **state)
{
    struct scene *scene = *state;

    scene->snapshot.guests[0].memory = 999;
    look(scene, 0);
    say(scene, REPORT "\n");
    assert_false(look(scene, 0)->present);
    assert_int_equal(counters(scene)->ignored, 1);
}

static void a_gap_in_the_numbers_is_counted(void **state)
{
    struct scene *scene = *state;

    say(scene, REPORT "\n");
    say(scene, "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":5,"
               "\"memory\":{\"total\":9,\"free\":2,\"available\":6}}\n");
    assert_int_equal(counters(scene)->gaps, 1);
    assert_int_equal(look(scene, 0)->available, 6);
}

static void a_silent_agent_is_not_present(void **state)
{
    struct scene *scene = *state;

    say(scene, REPORT "\n");
    assert_true(look(scene, 5000)->present);
    assert_false(look(scene, 15500)->present);
    say(scene, REPORT "\n");
    assert_true(look(scene, 0)->present);
}

static void a_flood_is_hung_up_and_called_again_later(void **state)
{
    struct scene *scene = *state;
    char flood[4000];

    memset(flood, '\n', sizeof(flood) - 1);
    flood[sizeof(flood) - 1] = '\0';
    say(scene, REPORT "\n");
    assert_true(look(scene, 0)->present);
    say(scene, flood);
    assert_int_equal(counters(scene)->floods, 1);
    assert_true(is_hung_up(scene));
    assert_false(look(scene, 4000)->present);
    assert_int_equal(accept_from(scene->listener, 0), -1);

    close(scene->guest);
    look(scene, 6000);
    scene->guest = accept_from(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
}

static void a_flood_without_newlines_is_bounded_too(void **state)
{
    struct scene *scene = *state;
    char flood[1000];
    size_t taken = 0;

    memset(flood, 'x', sizeof(flood));
    for (unsigned i = 0; i < 1000 && !counters(scene)->floods; i++) {
        ssize_t sent = send(scene->guest, flood, sizeof(flood), MSG_NOSIGNAL);

        taken += sent > 0 ? (size_t)sent : 0;
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(counters(scene)->floods, 1);
    assert_int_equal(counters(scene)->messages, 0);
    assert_in_range(taken, 1, 20 * MC_AGENT_LINE_MAX);
}

/* Nobody answers, so it is tried after 5, 15, 35, 75, 135, 195 s. */
static void failed_calls_are_tried_again_with_growing_pauses(void **state)
{
    struct scene *scene = *state;

    close(scene->guest);
    close(scene->listener);
    unlink(scene->path);
    run_loop(scene);
    for (uint64_t second = 0; second < 140; second++)
        look(scene, second * 1000);
    scene->listener = listen_at(scene->path);
    look(scene, 190000);
    assert_int_equal(accept_from(scene->listener, 0), -1);
    look(scene, 200000);
    scene->guest = accept_from(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
}

static void a_guest_that_is_gone_is_forgotten(void **state)
{
    struct scene *scene = *state;

    say(scene, REPORT "\n");
    mc_snapshot_reset(&scene->snapshot);
    look(scene, 0);
    assert_true(is_hung_up(scene));
}

static void another_run_of_a_guest_begins_anew(void **state)
{
    struct scene *scene = *state;

    say(scene, HELLO "\n" REPORT "\n");
    scene->snapshot.guests[0].run_id = 2;
    assert_false(look(scene, 0)->present);
    assert_true(is_hung_up(scene));
    close(scene->guest);
    scene->guest = accept_from(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
    say(scene, REPORT "\n");
    assert_true(look(scene, 0)->present);
    assert_string_equal(look(scene, 0)->version, "");
}

static void guests_come_and_go_beside_each_other(void **state)
{
    struct scene *scene = *state;

    say(scene, REPORT "\n");
    add_guest(scene, "a", "/nonexistent/socket");
    add_guest(scene, "c", "");
    mc_snapshot_sort(&scene->snapshot);
    look(scene, 0);
    assert_false(mc_snapshot_find(&scene->snapshot, "a")->agent.present);
    assert_true(mc_snapshot_find(&scene->snapshot, "b")->agent.present);
    assert_false(mc_snapshot_find(&scene->snapshot, "c")->agent.present);
}

static void a_definition_that_is_missing_once_costs_nothing(void **state)
{
    struct scene *scene = *state;

    say(scene, REPORT "\n");
    scene->snapshot.guests[0].agent_socket[0] = '\0';
    assert_true(look(scene, 0)->present);
    assert_false(is_hung_up(scene));
}

/* ---- the real agent */

static pid_t start_agent(const char *program, const char *port)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
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

/* Until the host has taken so many messages. */
static void carry_until(struct scene *scene, int port, uint64_t messages)
{
    uint64_t until = clock_ms() + WAIT_MS;

    while (counters(scene)->messages < messages && clock_ms() < until) {
        carry(scene->guest, port);
        carry(port, scene->guest);
        run_loop(scene);
        usleep(1000);
    }
    assert_true(counters(scene)->messages >= messages);
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
    listener = listen_at(path);
    pid = start_agent(program, path);
    port = accept_from(listener, WAIT_MS);
    assert_true(port >= 0);
    carry_until(scene, port, 3); /* hello, hello again since it was asked, report */
    agent = look(scene, 0);
    assert_true(agent->present);
    assert_string_equal(agent->version, MEMCTL_VERSION);
    assert_true(agent->total > MC_MIB && agent->available <= agent->total);
    assert_int_equal(counters(scene)->ignored, 0);
    close(port);

    /* The host's end went away: the agent waits without spinning, and says hello to the next. */
    port = accept_from(listener, WAIT_MS);
    assert_true(port >= 0);
    carry_until(scene, port, counters(scene)->messages + 2);
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
        cmocka_unit_test(takes_a_hello),
        cmocka_unit_test(takes_a_report_and_passes_over_unknown_fields),
        cmocka_unit_test(needs_no_nul_at_the_end),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(tells_other_versions_and_types_apart),
        cmocka_unit_test(refuses_impossible_memory),
        cmocka_unit_test(refuses_numbers_beyond_64_bits),
        cmocka_unit_test(refuses_duplicate_keys),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(refuses_deep_nesting_and_long_lines),
        cmocka_unit_test(refuses_texts_that_a_terminal_would_obey),
        cmocka_unit_test_setup_teardown(a_report_arrives_in_the_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_host_asks_for_reports_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_may_come_in_pieces_and_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_good_line_after_garbage_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_memory_than_the_guest_has_is_ignored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_gap_in_the_numbers_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_agent_is_not_present, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_is_hung_up_and_called_again_later, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_flood_without_newlines_is_bounded_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_calls_are_tried_again_with_growing_pauses, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_is_gone_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_run_of_a_guest_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guests_come_and_go_beside_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_definition_that_is_missing_once_costs_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_real_agent_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_real_agent_drops_what_does_not_fit, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
