/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

static void free_libvirt(struct mc_hypervisor *hypervisor)
{
    struct libvirt_hypervisor *hv = (struct libvirt_hypervisor *)hypervisor;

    if (hv->local)
        mc_host_close(&hv->host);
    mc_cache_free(&hv->cache);
    free(hv->uri);
    free(hv);
}

static int stalls(struct mc_hypervisor *hypervisor)
{
    struct libvirt_hypervisor *hv = (struct libvirt_hypervisor *)hypervisor;

    return hv->local ? mc_host_stalls(&hv->host) : -1;
}

static const struct mc_backend backend = {
    .free = free_libvirt,
    .stalls = stalls,
    .open = mc_libvirt_open,
    .close = mc_libvirt_close,
    .observe = mc_libvirt_observe,
    .set_balloon = mc_libvirt_set_balloon,
    .set_stats_period = mc_libvirt_set_stats_period,
    .ask_stats = mc_libvirt_ask_stats,
    .locate_memory = mc_libvirt_locate_memory,
    .set_merge = mc_libvirt_set_merge,
    .find = mc_libvirt_find,
    .save_settings = mc_libvirt_save_settings,
    .add_agent = mc_libvirt_add_agent,
    .reclaim = mc_libvirt_reclaim,
    .stop = mc_libvirt_stop,
    .go_on = mc_libvirt_go_on,
    .forget_stop = mc_libvirt_forget_stop,
    .find_stopped = mc_libvirt_find_stopped,
};

/* Errors are returned to the caller, not printed by the library. */
static void keep_silent(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

/* qemu+unix:///system?socket=/x/libvirt-sock: pid files are then in /x/qemu. */
static void find_runtime_folder(struct libvirt_hypervisor *hv)
{
    const char *socket = strstr(hv->uri, "socket=");
    char *slash;

    snprintf(hv->runtime_folder, sizeof(hv->runtime_folder), "/run/libvirt");
    if (!socket)
        return;
    snprintf(hv->runtime_folder, sizeof(hv->runtime_folder), "%s", socket + strlen("socket="));
    hv->runtime_folder[strcspn(hv->runtime_folder, "&")] = '\0';
    slash = strrchr(hv->runtime_folder, '/');
    if (slash)
        *slash = '\0';
}

/* "driver:///path" and "driver+unix:///path" have no host between the slashes. */
static bool is_local(const char *uri)
{
    const char *host = strstr(uri, "://");

    return host && host[3] == '/' && strncmp(uri, "qemu", 4) == 0;
}

int mc_libvirt_new(const char *uri, struct mc_hypervisor **hypervisor, struct mc_error *err)
{
    struct libvirt_hypervisor *hv;

    if (!strstr(uri, "://"))
        return mc_error_set(err, -EINVAL,
                            "'%s' is not a libvirt URI; write qemu:///system or sim:FILE", uri);
    hv = calloc(1, sizeof(*hv));
    if (hv)
        hv->uri = strdup(uri);
    if (!hv || !hv->uri || virInitialize() < 0) {
        free(hv ? hv->uri : NULL);
        free(hv);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    virSetErrorFunc(NULL, keep_silent);
    hv->base.backend = &backend;
    hv->local = is_local(uri);
    if (hv->local && mc_host_open("/proc", &hv->host, err) < 0) {
        free(hv->uri);
        free(hv);
        return err ? err->code : -EIO;
    }
    if (hv->local)
        mc_host_watch(&hv->host);
    find_runtime_folder(hv);
    mc_cache_init(&hv->cache);
    *hypervisor = &hv->base;
    return 0;
}
