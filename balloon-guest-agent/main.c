/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options, the protection, and the loop: it wakes when the host says something, when the
 * kernel says that tasks stall, when a report is due, and to look at the memory. While there is
 * nobody to tell, it does not look either.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* How long to leave a port alone that is missing, busy, full or without a host. */
#define PAUSE_MS 2000

/* What finding out the working set may take of a processor, millionths. */
#define COST_DEFAULT 1000

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct agent {
    struct talk talk;
    struct kernel kernel;
    struct watch watch;
    struct sampler sampler;
    bool measures;    /* --once: the working set as well */
    uint64_t look_ms; /* when to look again */
    uint64_t cpu_us;  /* of this process at the last look */
    uint64_t cost_us; /* processor time from one look to the next, smoothed */
};

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static uint64_t read_clock(clockid_t clock, uint64_t unit_ns)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * (1000000000 / unit_ns) + (uint64_t)now.tv_nsec / unit_ns;
}

static uint64_t now_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

/* The agent keeps to its part of a processor on any machine, since it knows what it costs there. */
static void note_cost(struct agent *agent)
{
    uint64_t cpu_us = read_clock(CLOCK_PROCESS_CPUTIME_ID, 1000);

    if (agent->cpu_us)
        agent->cost_us = (agent->cost_us * 7 + (cpu_us - agent->cpu_us)) / 8;
    agent->cpu_us = cpu_us;
}

static int see(const struct agent *agent, bool stalled, struct sight *sight)
{
    struct memory memory;
    int rc = memory_read_sizes(&agent->kernel, &memory);

    if (rc < 0)
        return rc;
    *sight = (struct sight){
        .now_ms = now_ms(),
        .total = memory.memory[MEMORY_TOTAL],
        .free = memory.memory[MEMORY_FREE],
        .available = memory.memory[MEMORY_AVAILABLE],
        .stalled = stalled,
    };
    /* At the very end the rate does not matter, and the page that vmstat takes may not be there. */
    if (sight->free < watch_low(sight->total) / 4 || !watch_wants_balloon(&agent->watch, sight))
        return 0;
    memory_add_counters(&agent->kernel, &memory);
    sight->has_balloon = true;
    if (memory.counters[COUNTER_INFLATED] != UNTOLD && memory.counters[COUNTER_DEFLATED] != UNTOLD)
        sight->balloon = (memory.counters[COUNTER_INFLATED] - memory.counters[COUNTER_DEFLATED]) *
                         (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static void look(struct agent *agent, bool stalled)
{
    enum watch_news news;
    struct sight sight;

    if (see(agent, stalled, &sight) == 0) {
        news = watch_look(&agent->watch, &sight);
        if (agent->watch.rate > 0)
            talk_of_growth(&agent->talk, sight.available);
        if (news != WATCH_NOTHING)
            talk_of_distress(&agent->talk, &agent->kernel, news, agent->watch.rate);
    }
    note_cost(agent);
    agent->look_ms = now_ms() + watch_pause(&agent->watch, agent->cost_us);
}

static uint64_t time_to_wait(const struct agent *agent)
{
    const struct talk *talk = &agent->talk;
    uint64_t now = now_ms(), due;

    if (talk->away)
        return PAUSE_MS;
    if (!talk->greeted)
        return 0;
    due = talk->report_ms < agent->look_ms ? talk->report_ms : agent->look_ms;
    return due > now ? due - now : 0;
}

enum { PORT, PRESSURE, SAMPLER, POLLED };

static void wait_for_work(const struct agent *agent, struct pollfd polled[POLLED],
                          const sigset_t *signals)
{
    const struct talk *talk = &agent->talk;
    bool hears = !talk->away && talk->greeted && agent->kernel.has_trigger;
    uint64_t wait = time_to_wait(agent);
    const struct timespec pause = {.tv_sec = (time_t)(wait / 1000),
                                   .tv_nsec = (long)(wait % 1000 * 1000000)};

    polled[PORT] = (struct pollfd){.fd = talk->away ? -1 : talk->port,
                                   .events = (short)(POLLIN | (talk->out.length ? POLLOUT : 0))};
    polled[PRESSURE] =
        (struct pollfd){.fd = hears ? agent->kernel.pressure : -1, .events = POLLPRI};
    polled[SAMPLER] = (struct pollfd){.fd = agent->sampler.channel, .events = POLLIN};
    if (ppoll(polled, POLLED, &pause, signals) < 0)
        polled[PORT].revents = polled[PRESSURE].revents = polled[SAMPLER].revents = 0;
}

static void work(struct agent *agent, const sigset_t *signals)
{
    struct talk *talk = &agent->talk;
    struct pollfd polled[POLLED];
    bool stalled;

    if (talk->port < 0 && !talk->away)
        talk_open_port(talk);
    sampler_let_run(&agent->sampler,
                    !talk->away && talk->greeted && agent->look_ms && !agent->watch.distressed,
                    now_ms());
    wait_for_work(agent, polled, signals);
    if (polled[SAMPLER].revents)
        sampler_take(&agent->sampler);
    if (talk->away) {
        talk->away = false;
        return;
    }
    if (polled[PRESSURE].revents & POLLERR)
        agent->kernel.has_trigger = false;
    stalled = polled[PRESSURE].revents & POLLPRI;
    if (talk->port >= 0)
        talk_to_host(talk, polled[PORT].revents, &agent->kernel, now_ms());
    if (talk->greeted && (stalled || now_ms() >= agent->look_ms))
        look(agent, stalled);
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

/*
 * Do for nobody what will be done in distress, so that its code and data are in memory by then:
 * reading a page of the program from a disk needs a free page and a long time.
 */
static void rehearse(struct agent *agent)
{
    struct buffer *out = &agent->talk.out;
    struct watch watch = {0};
    struct memory memory;
    struct sight sight;

    if (see(agent, true, &sight) < 0 || memory_read_sizes(&agent->kernel, &memory) < 0)
        return;
    memory_add_stall(&agent->kernel, &memory);
    watch_look(&watch, &sight);
    watch_pause(&watch, 0);
    message_distress(out->text, sizeof(out->text), 0, &memory, WATCH_LOW, 0);
    memset(out, 0, sizeof(*out));
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
    rehearse(agent);
    while (!ended)
        work(agent, &signals);
    sampler_end(&agent->sampler);
    return EXIT_OK;
}

/* With the working set, if a method or a window was asked for. */
static int run_once(const struct agent *agent)
{
    const struct sampler_options *options = &agent->sampler.options;
    bool measures = agent->measures;
    struct workset workset = {0};
    char text[MC_AGENT_LINE_MAX];
    struct memory memory;
    size_t length = 0;
    int rc = measures ? sampler_measure(options, &workset) : 0;

    if (rc < 0) {
        fprintf(stderr,
                "balloon-guest-agent: cannot find out the working set%s%s: %s; try another "
                "--method, as root\n",
                options->method ? " by " : "", options->method ? options->method : "",
                strerror(-rc));
        return EXIT_FAILED;
    }
    if (memory_read_sizes(&agent->kernel, &memory) == 0) {
        memory_add_counters(&agent->kernel, &memory);
        length = message_report(text, sizeof(text), 1, &memory, measures ? &workset : NULL, 0);
    }
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
           "  -m, --method NAME   how to find out which memory is worked with: lru-gen,\n"
           "                      idle-page, referenced, damon, or none; auto: the first of\n"
           "                      them that this kernel has (the default)\n"
           "      --enable-lru-gen\n"
           "                      turn multi-gen LRU on while the agent runs\n"
           "  -w, --window N      look back over N seconds, 2 to 600\n"
           "                      (default: 10, and more if a program is slower)\n"
           "  -c, --cost PERCENT  of a processor that this may take (default %g)\n"
           "      --once          print one report and exit; with --method or --window\n"
           "                      also the working set\n"
           "  -h, --help          this text\n"
           "  -V, --version       the version\n",
           MC_AGENT_INTERVAL_MIN, MC_AGENT_INTERVAL_MAX, MC_AGENT_INTERVAL_DEFAULT,
           (double)COST_DEFAULT / 10000);
}

/* A number between bounds, or -1, of which the user was told. */
static double parse_number(const char *name, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);

    if (!*end && end != text && number >= least && number <= most)
        return number;
    fprintf(stderr, "balloon-guest-agent: %s '%s': choose %g to %g\n", name, text, least, most);
    return -1;
}

static bool parse_method(const char *text, struct sampler_options *options)
{
    static const char *const known[] = {"lru-gen", "idle-page", "referenced", "damon"};

    options->method = NULL;
    if (strcmp(text, "auto") == 0)
        return true;
    if (strcmp(text, "none") == 0) {
        options->cost = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(text, known[i]) == 0) {
            options->method = known[i];
            return true;
        }
    }
    fprintf(stderr,
            "balloon-guest-agent: method '%s': choose auto, lru-gen, idle-page, referenced, damon "
            "or none\n",
            text);
    return false;
}

enum { ONCE = 256, ENABLE_LRU_GEN };

/* False when the user was told what is wrong. */
static bool take_option(int option, const char *value, struct agent *agent, bool *once)
{
    struct sampler_options *options = &agent->sampler.options;
    double number = 0;

    switch (option) {
    case 'p':
        agent->talk.path = value;
        return true;
    case 'i':
        number = parse_number("interval", value, MC_AGENT_INTERVAL_MIN, MC_AGENT_INTERVAL_MAX);
        agent->talk.interval_s = (unsigned)number;
        return number > 0;
    case 'm':
        agent->measures = true;
        return parse_method(value, options);
    case 'w':
        agent->measures = true;
        number = parse_number("window", value, 2, 600);
        options->window_ms = (uint64_t)(number * 1000);
        return number > 0;
    case 'c':
        number = parse_number("cost", value, 0.001, 100);
        options->cost = (unsigned)(number * 10000);
        return number > 0;
    case ENABLE_LRU_GEN:
        options->enable_lru_gen = true;
        return true;
    case ONCE:
        *once = true;
        return true;
    default:
        fputs("balloon-guest-agent: try 'balloon-guest-agent --help'\n", stderr);
        return false;
    }
}

/* Returns -1 to go on, or the exit code. */
static int parse_options(int argc, char **argv, struct agent *agent, bool *once)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"interval", required_argument, NULL, 'i'},
        {"method", required_argument, NULL, 'm'},
        {"window", required_argument, NULL, 'w'},
        {"cost", required_argument, NULL, 'c'},
        {"enable-lru-gen", no_argument, NULL, ENABLE_LRU_GEN},
        {"once", no_argument, NULL, ONCE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "p:i:m:w:c:hV", known, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_OK;
        }
        if (option == 'V') {
            puts("balloon-guest-agent " MEMCTL_VERSION);
            return EXIT_OK;
        }
        if (!take_option(option, optarg, agent, once))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "balloon-guest-agent: '%s' is not expected; try --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct agent agent = {
        .talk = {.port = -1, .interval_s = MC_AGENT_INTERVAL_DEFAULT},
        .sampler = {.options = {.root = "", .cost = COST_DEFAULT}, .channel = -1},
    };
    bool once = false;
    int code = parse_options(argc, argv, &agent, &once);

    if (code >= 0)
        return code;
    agent.talk.workset = &agent.sampler.last;
    kernel_open(&agent.kernel);
    return once ? run_once(&agent) : run(&agent);
}
