/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options and the loop. The loop may never make the guest wait for the host: what does not fit
 * into the port's queue is dropped, and the sequence numbers tell. Nor may it spin: a port whose
 * host end nobody holds is always ready to be read, and reads as empty; so while the host is away,
 * the port is not polled but looked at now and then.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long to leave a port alone that is missing, busy, full or without a host. */
#define PAUSE_MS 2000

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Lines in, or the rest of a line on its way out. */
struct buffer {
    char text[MC_AGENT_LINE_MAX];
    size_t length;
};

struct agent {
    const char *path; /* NULL: find the port by its name */
    unsigned interval_s;
    int port;           /* -1 while it is not open */
    int last_error;     /* of opening it, so that it is told once */
    bool away;          /* the host is not there: leave the port alone for a pause */
    bool greeted;       /* the host got the hello */
    uint64_t seq;       /* of the last report */
    uint64_t report_ms; /* when the next one is due */
    struct buffer in, out;
    bool skipping; /* the rest of an over-long line */
};

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The host left, or was never there. What it did not take is of no use to the next one. */
static void leave_alone(struct agent *agent)
{
    agent->away = true;
    agent->greeted = false;
    agent->skipping = false;
    agent->in.length = agent->out.length = 0;
}

static void close_port(struct agent *agent)
{
    close(agent->port);
    agent->port = -1;
    leave_alone(agent);
}

static void open_port(struct agent *agent)
{
    const char *name = agent->path ? agent->path : MC_AGENT_PORT;
    int rc = port_open(agent->path);

    agent->port = rc < 0 ? -1 : rc;
    agent->away = rc < 0;
    if (rc < 0 && rc != agent->last_error)
        fprintf(stderr, "balloon-guest-agent: port %s: %s; trying again\n", name, strerror(-rc));
    else if (rc >= 0 && agent->last_error)
        fprintf(stderr, "balloon-guest-agent: port %s: open\n", name);
    agent->last_error = rc < 0 ? rc : 0;
}

/*
 * A virtio port outlives its host end and is kept open, unless it was unplugged, which a read
 * tells, even of nothing. Anything else has to be opened again.
 */
static void on_hangup(struct agent *agent)
{
    struct stat status;
    char nothing;

    if (fstat(agent->port, &status) < 0 || !S_ISCHR(status.st_mode) ||
        (read(agent->port, &nothing, 0) < 0 && errno != EAGAIN))
        close_port(agent);
    else
        leave_alone(agent);
}

static void flush(struct agent *agent)
{
    struct buffer *out = &agent->out;
    ssize_t written = write(agent->port, out->text, out->length);

    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        close_port(agent);
    } else if (written > 0) {
        out->length -= (size_t)written;
        memmove(out->text, out->text + written, out->length);
    }
}

/* All of a line or nothing; what a port took in part is finished later. */
static bool send_line(struct agent *agent, size_t length)
{
    agent->out.length = length;
    flush(agent);
    if (agent->out.length == length)
        agent->out.length = 0;
    else if (agent->port >= 0)
        return true;
    return false;
}

/* The empty line before it ends whatever is left of a line that an earlier host did not take. */
static void greet(struct agent *agent)
{
    struct buffer *out = &agent->out;

    if (!out->length) {
        out->text[0] = '\n';
        agent->greeted = send_line(agent, 1 + message_hello(out->text + 1, sizeof(out->text) - 1));
        agent->seq = 0;
        agent->report_ms = now_ms();
    }
    if (!agent->greeted)
        agent->away = true;
}

static void report(struct agent *agent)
{
    struct memory memory;
    size_t length;

    agent->report_ms = now_ms() + agent->interval_s * 1000;
    agent->seq++;
    if (agent->out.length || memory_read(&memory) < 0)
        return;
    length = message_report(agent->out.text, sizeof(agent->out.text), agent->seq, &memory);
    if (length)
        send_line(agent, length);
}

/* A host that says how often may have missed the hello: it gets one more. */
static void take_line(struct agent *agent, const char *line, size_t length)
{
    unsigned seconds = message_interval(line, length);

    if (!seconds)
        return;
    agent->interval_s = seconds;
    agent->greeted = false;
}

static void take_lines(struct agent *agent)
{
    struct buffer *in = &agent->in;
    char *newline;

    while ((newline = memchr(in->text, '\n', in->length))) {
        size_t length = (size_t)(newline - in->text);

        if (!agent->skipping)
            take_line(agent, in->text, length);
        agent->skipping = false;
        in->length -= length + 1;
        memmove(in->text, newline + 1, in->length);
    }
    if (in->length == sizeof(in->text)) {
        agent->skipping = true;
        in->length = 0;
    }
}

static void listen_to_host(struct agent *agent)
{
    struct buffer *in = &agent->in;
    ssize_t length = read(agent->port, in->text + in->length, sizeof(in->text) - in->length);

    if (length > 0) {
        in->length += (size_t)length;
        take_lines(agent);
    } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        on_hangup(agent);
    }
}

/* What poll() says of the port, after the host spoke, or a report is due, or the pause is over. */
static short wait_for_work(const struct agent *agent, const sigset_t *signals)
{
    struct pollfd port = {.fd = agent->away ? -1 : agent->port, .events = POLLIN};
    uint64_t now = now_ms(), wait = 0;
    struct timespec pause;

    if (agent->out.length)
        port.events |= POLLOUT;
    if (agent->away)
        wait = PAUSE_MS;
    else if (agent->greeted && agent->report_ms > now)
        wait = agent->report_ms - now;
    pause = (struct timespec){.tv_sec = (time_t)(wait / 1000),
                              .tv_nsec = (long)(wait % 1000 * 1000000)};
    return (short)(ppoll(&port, 1, &pause, signals) > 0 ? port.revents : 0);
}

static void work(struct agent *agent, const sigset_t *signals)
{
    short events;

    if (agent->port < 0 && !agent->away)
        open_port(agent);
    events = wait_for_work(agent, signals);
    if (agent->away) {
        agent->away = false;
        return;
    }
    if (events & (POLLHUP | POLLERR | POLLNVAL)) {
        on_hangup(agent);
        return;
    }
    if (events & POLLIN)
        listen_to_host(agent);
    if (agent->port >= 0 && (events & POLLOUT))
        flush(agent);
    if (agent->port >= 0 && !agent->away && !agent->greeted)
        greet(agent);
    if (agent->port >= 0 && agent->greeted && now_ms() >= agent->report_ms)
        report(agent);
}

/*
 * The agent is needed most when memory is short: it must neither be killed nor wait for its own
 * pages. What it has touched stays in memory; that is little. Without the privilege it goes on.
 */
static void protect(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "-1000", 5) < 0)
        fprintf(stderr, "balloon-guest-agent: not protected from the OOM killer: %s\n",
                strerror(errno));
    if (fd >= 0)
        close(fd);
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static int run(struct agent *agent)
{
    const struct sigaction end = {.sa_handler = on_end};
    sigset_t blocked, signals;

    /* Signals are let in only while waiting, so that none is missed. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &signals);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    protect();
    while (!ended)
        work(agent, &signals);
    return EXIT_OK;
}

static int run_once(void)
{
    char text[MC_AGENT_LINE_MAX];
    struct memory memory;
    size_t length = 0;

    if (memory_read(&memory) == 0)
        length = message_report(text, sizeof(text), 1, &memory);
    if (!length || fwrite(text, 1, length, stdout) != length || fflush(stdout) != 0) {
        fputs("balloon-guest-agent: cannot tell: is /proc there, and the output writable?\n",
              stderr);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static void print_help(void)
{
    printf("balloon-guest-agent: tells the host how this guest's memory is doing\n"
           "\n"
           "usage: balloon-guest-agent [OPTION]...\n"
           "\n"
           "  -p, --port PATH     speak there: a virtio port, a Unix socket, a FIFO\n"
           "                      (default: the port named " MC_AGENT_PORT ")\n"
           "  -i, --interval N    seconds between two reports, %d to %d (default %d);\n"
           "                      the host may set another\n"
           "      --once          print one report and exit\n"
           "  -h, --help          this text\n"
           "  -V, --version       the version\n",
           MC_AGENT_INTERVAL_MIN, MC_AGENT_INTERVAL_MAX, MC_AGENT_INTERVAL_DEFAULT);
}

static unsigned parse_interval(const char *text)
{
    char *end;
    long seconds = strtol(text, &end, 10);

    if (*end || end == text || seconds < MC_AGENT_INTERVAL_MIN || seconds > MC_AGENT_INTERVAL_MAX) {
        fprintf(stderr, "balloon-guest-agent: interval '%s': choose %d to %d seconds\n", text,
                MC_AGENT_INTERVAL_MIN, MC_AGENT_INTERVAL_MAX);
        return 0;
    }
    return (unsigned)seconds;
}

/* Returns -1 to go on, or the exit code. */
static int parse_options(int argc, char **argv, struct agent *agent, bool *once)
{
    enum { ONCE = 256 };
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'}, {"interval", required_argument, NULL, 'i'},
        {"once", no_argument, NULL, ONCE},      {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},    {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "p:i:hV", known, NULL)) != -1) {
        switch (option) {
        case 'p':
            agent->path = optarg;
            break;
        case 'i':
            agent->interval_s = parse_interval(optarg);
            if (!agent->interval_s)
                return EXIT_USAGE;
            break;
        case ONCE:
            *once = true;
            break;
        case 'h':
            print_help();
            return EXIT_OK;
        case 'V':
            puts("balloon-guest-agent " MEMCTL_VERSION);
            return EXIT_OK;
        default:
            fputs("balloon-guest-agent: try 'balloon-guest-agent --help'\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "balloon-guest-agent: '%s' is not expected; try --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct agent agent = {.port = -1, .interval_s = MC_AGENT_INTERVAL_DEFAULT};
    bool once = false;
    int code = parse_options(argc, argv, &agent, &once);

    if (code >= 0)
        return code;
    return once ? run_once() : run(&agent);
}
