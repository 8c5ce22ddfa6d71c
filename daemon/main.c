/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memctld: put the parts together, run the loop, take them apart. */
#include "daemon.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/thread.h>
#include <systemd/sd-daemon.h>

#include "agents.h"
#include "dedupe.h"
#include "librarian.h"
#include "libvirt_loop.h"
#include "log.h"
#include "lookout.h"
#include "options.h"
#include "resort.h"
#include "sampling.h"
#include "steer.h"

static void on_terminate(evutil_socket_t signal_number, short what, void *opaque)
{
    struct daemon *daemon = opaque;

    (void)what;
    log_info("stopping on %s; the balloons stay as they are",
             signal_number == SIGINT ? "interrupt" : "request");
    sd_notify(0, "STOPPING=1");
    event_base_loopbreak(daemon->base);
}

static void on_reload(evutil_socket_t signal_number, short what, void *opaque)
{
    struct daemon *daemon = opaque;
    struct mc_error err;

    (void)signal_number;
    (void)what;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_now_ms() * 1000);
    if (daemon_reload(daemon, "SIGHUP", &err) < 0)
        log_error("not reloaded, the old configuration stays: %s", err.text);
    sd_notify(0, "READY=1");
}

/* The hypervisor says that a guest changed; it may call from any thread. */
static void on_change(void *opaque)
{
    struct daemon *daemon = opaque;

    event_active(daemon->changed, EV_READ, 0);
}

static void on_changed(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd;
    (void)what;
    tick_wake(opaque);
}

static void on_distress(void *daemon)
{
    tick_wake(daemon);
}

/* The readiness is over as soon as it was seen, see mc_hypervisor_stalls(). */
static int start_watching_stalls(struct daemon *daemon)
{
    int fd = mc_hypervisor_stalls(daemon->hypervisor);

    if (fd < 0)
        return 0;
    daemon->stalled = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_changed, daemon);
    return daemon->stalled && event_add(daemon->stalled, NULL) == 0 ? 0 : -ENOMEM;
}

static void on_heartbeat(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd;
    (void)what;
    (void)opaque;
    sd_notify(0, "WATCHDOG=1");
}

/* Only where somebody waits for it: each is a wake-up. */
static int start_heartbeat(struct daemon *daemon)
{
    struct timeval interval;
    uint64_t watchdog_us;

    if (sd_watchdog_enabled(0, &watchdog_us) <= 0)
        return 0;
    interval.tv_sec = (time_t)(watchdog_us / 3 / 1000000);
    interval.tv_usec = (suseconds_t)(watchdog_us / 3 % 1000000);
    daemon->heartbeat = event_new(daemon->base, -1, EV_PERSIST, on_heartbeat, NULL);
    return daemon->heartbeat && event_add(daemon->heartbeat, &interval) == 0 ? 0 : -ENOMEM;
}

static int start_signals(struct daemon *daemon)
{
    static const struct {
        int number;
        event_callback_fn handle;
    } wanted[SIGNAL_COUNT] = {{SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGHUP, on_reload}};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like others */
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        daemon->signals[i] = evsignal_new(daemon->base, wanted[i].number, wanted[i].handle, daemon);
        if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0)
            return -ENOMEM;
    }
    daemon->changed = event_new(daemon->base, -1, 0, on_changed, daemon);
    return daemon->changed ? start_heartbeat(daemon) : -ENOMEM;
}

/*
 * What an earlier daemon has learned should be there before the first plan, and its events before
 * the first of ours. But a disk that hangs keeps nobody waiting for long.
 */
#define HISTORY_WITHIN_MS 2000

static int start_history(struct daemon *daemon, struct mc_error *err)
{
    const char *file = config_store(&daemon->config);
    char **lines;
    size_t count;

    if (!*file)
        return 0;
    if (keeper_open(file, &daemon->config.history, HISTORY_WITHIN_MS, &daemon->keeper) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    if (keeper_take_events(daemon->keeper, &lines, &count)) {
        events_restore(daemon->events, lines, count);
        for (size_t i = 0; i < count; i++)
            free(lines[i]);
        free(lines);
    }
    events_keep(daemon->events, daemon->keeper);
    daemon->librarian = librarian_new(daemon->base, file);
    return daemon->librarian ? 0 : mc_error_set(err, -ENOMEM, "out of memory");
}

static int start_parts(struct daemon *daemon, struct mc_error *err)
{
    daemon->events = events_new(daemon->base, events_tell, daemon);
    daemon->engine = mc_engine_new(&daemon->config.engine, daemon->policies.current);
    daemon->lanes = lanes_new(daemon->base, daemon->hypervisor, LANES_IDLE_MS);
    daemon->act = act_new();
    daemon->reclaims = reclaims_new();
    daemon->resort = resort_new();
    daemon->dedupe = dedupe_new(daemon);
    daemon->steer = steer_new(daemon);
    daemon->agents = agents_new(daemon->base, on_distress, daemon);
    daemon->sampling = sampling_start(&daemon->config.sampling, "");
    daemon->lookout = lookout_new(daemon);
    daemon->trend = trend_new();
    if (!daemon->lookout || !daemon->sampling || !daemon->engine || !daemon->lanes ||
        !daemon->act || !daemon->reclaims || !daemon->resort || !daemon->agents ||
        !daemon->events || !daemon->dedupe || !daemon->steer || !daemon->trend ||
        start_watching_stalls(daemon) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    if (!*daemon->config.record)
        return 0;
    return recorder_open(daemon->config.record, &daemon->recorder, err);
}

static int start_listening(struct daemon *daemon, struct mc_error *err)
{
    daemon->control = control_start(daemon, err);
    if (!daemon->control)
        return err->code;
    if (!*daemon->config.metrics)
        return 0;
    daemon->http = http_start(daemon, err);
    return daemon->http ? 0 : err->code;
}

static int start(struct daemon *daemon, struct mc_error *err)
{
    int rc = policies_load(&daemon->config, &daemon->policies.current, err);

    if (rc < 0)
        return rc;
    evthread_use_pthreads();
    daemon->base = event_base_new();
    if (!daemon->base || libvirt_loop_register(daemon->base) < 0 || start_signals(daemon) < 0)
        return mc_error_set(err, -ENOMEM, "no event loop");
    rc = mc_hypervisor_open(daemon->config.connect, &daemon->hypervisor, err);
    if (rc < 0)
        return rc;
    mc_hypervisor_on_change(daemon->hypervisor, on_change, daemon);
    rc = start_parts(daemon, err);
    if (rc == 0)
        rc = start_history(daemon, err);
    if (rc < 0)
        return rc;
    record_begin(daemon);
    record_lessons(daemon);
    rc = start_listening(daemon, err);
    if (rc < 0)
        return rc;
    events_add(daemon->events, EVENT_STARTED, NULL, "memctld %s started, policy %.64s%s",
               MEMCTL_VERSION, mc_policy_of(daemon->policies.current)->name,
               daemon->config.dry_run ? ", dry run: no guest is touched" : "");
    return tick_start(daemon);
}

/* Nobody is answered or listened to any more. */
static void stop_listening(struct daemon *daemon)
{
    tick_stop(daemon);
    if (daemon->resort)
        resort_tell_stopped(daemon);
    agents_free(daemon->agents);
    sampling_stop(daemon->sampling);
    lookout_stop(daemon->lookout);
    dedupe_stop(daemon->dedupe);
    events_add(daemon->events, EVENT_STOPPING, NULL, "memctld stops");
    events_tell_last(daemon);
    admissions_free(&daemon->admissions);
    control_stop(daemon->control);
    librarian_free(daemon->librarian);
    http_stop(daemon->http);
    trend_free(daemon->trend);
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void free_base(struct daemon *daemon)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        free_event(daemon->signals[i]);
    free_event(daemon->changed);
    free_event(daemon->heartbeat);
    if (daemon->base) {
        libvirt_loop_unregister();
        event_base_free(daemon->base);
    }
}

static void stop(struct daemon *daemon)
{
    stop_listening(daemon);
    steer_stop(daemon->steer);
    steer_put_back(daemon->steer);
    if (!lanes_free(daemon->lanes)) {
        log_warning("a call to the hypervisor does not come back; leaving it behind");
        _exit(EXIT_OK);
    }
    if (daemon->hypervisor)
        mc_hypervisor_on_change(daemon->hypervisor, NULL, NULL);
    if (daemon->base)
        event_base_loop(daemon->base, EVLOOP_NONBLOCK); /* what libvirt wanted done later */
    free_event(daemon->stalled);
    act_free(daemon->act);
    lookout_free(daemon->lookout);
    dedupe_free(daemon->dedupe);
    steer_free(daemon->steer);
    reclaims_free(daemon->reclaims);
    resort_free(daemon->resort);
    events_free(daemon->events);
    keeper_close(daemon->keeper);
    recorder_close(daemon->recorder);
    mc_engine_free(daemon->engine);
    policies_free(&daemon->policies);
    mc_hypervisor_free(daemon->hypervisor);
    pauses_free(&daemon->pauses);
    watch_free(&daemon->watch);
    mc_snapshot_free(&daemon->snapshot);
    mc_plan_free(&daemon->plan);
    free_base(daemon);
    config_free(&daemon->config);
}

/* Few threads, little memory: arenas per thread and lazy trimming would cost more than they bring.
 */
static void tame_malloc(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

/* Each guest takes two, for its agent and for the state of its QEMU. Nothing here uses select(). */
#define DESCRIPTORS 65536

static void allow_descriptors(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = mc_max_u64(files.rlim_cur, mc_min_u64(files.rlim_max, DESCRIPTORS));
    setrlimit(RLIMIT_NOFILE, &files);
}

/* The rest of --check-config, once the file was read: is there such a policy? Returns the exit
 * code. */
static int check_policy(struct daemon *daemon)
{
    struct mc_error err;
    int rc = policies_load(&daemon->config, &daemon->policies.current, &err);

    if (rc < 0)
        log_error("%s", err.text);
    else
        puts("the configuration is good");
    policies_free(&daemon->policies);
    config_free(&daemon->config);
    return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

static int restore_by_default(void)
{
    struct config config = config_default();
    int code = steer_restore_main(config.connect, config.socket);

    config_free(&config);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct daemon daemon = {.options = &options};
    struct mc_error err = {0};
    int code = options_parse(argc, argv, &options);

    if (code >= 0)
        return code;
    tame_malloc();
    log_open(options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    daemon.started_ms = clock_now_ms();
    if (options_read_config(&options, &daemon.config, &err) < 0) {
        log_error("%s", err.text);
        if (options.restore_ksm) /* what a wrong file has ended is to be put back all the same */
            return restore_by_default();
        return options.check_config ? EXIT_FAILED : EXIT_USAGE;
    }
    if (options.check_config)
        return check_policy(&daemon);
    if (options.restore_ksm) {
        code = steer_restore_main(daemon.config.connect, daemon.config.socket);
        config_free(&daemon.config);
        return code;
    }
    code = EXIT_OK;
    allow_descriptors();
    if (start(&daemon, &err) < 0) {
        log_error("%s", err.text);
        code = EXIT_FAILED;
    } else {
        if (daemon.config.dry_run)
            log_info("dry run: everything is decided and shown, nothing is sent to any guest");
        log_info("ready; socket %s, metrics %s", daemon.config.socket,
                 *daemon.config.metrics ? daemon.config.metrics : "off");
        sd_notify(0, "READY=1\nSTATUS=watching the guests");
        event_base_dispatch(daemon.base);
    }
    stop(&daemon);
    return code;
}
