/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a host before anything is judged. Facts are gathered by facts_*.c, judged by
 * check_*.c; the struct between them is all that the two share.
 */
#ifndef MEMCTL_DOCTOR_FACTS_H
#define MEMCTL_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/doctor.h>
#include <memctl/model.h>

enum doctor_thp { THP_UNKNOWN, THP_ALWAYS, THP_MADVISE, THP_NEVER };

/* Programs that manage memory or guests as well; a bit each. */
enum doctor_manager {
    MANAGER_KSMTUNED = 1 << 0,
    MANAGER_MOM = 1 << 1,
    MANAGER_VDSM = 1 << 2,
    MANAGER_PROXMOX = 1 << 3,
    MANAGER_EARLYOOM = 1 << 4,
};

struct doctor_host {
    bool kvm;            /* /dev/kvm is there */
    bool cpu_can;        /* the processor says that it can virtualize */
    bool pressure;       /* PSI can be read */
    bool pressure_built; /* its files are there, whether they can be read or not */
    uint64_t total, available, swap_total, swap_free; /* bytes; MC_UNKNOWN */
    uint64_t huge_pages;                              /* bytes set aside for them */
    bool swap_on_disk, swap_on_zram;
    bool zswap;
    enum doctor_thp thp;
    bool ksm;
    unsigned ksm_run;                         /* 0 off, 1 on, 2 off and unmerged */
    uint64_t ksm_pages_to_scan, ksm_sleep_ms; /* its pace */
    uint64_t ksm_sharing;                     /* pages saved */
    int overcommit_memory;                    /* vm.overcommit_memory, -1 if not known */
    bool cgroup2_memory;                      /* cgroup v2 has the memory controller */
    bool cgroup_reclaim;                      /* and memory.reclaim */
    bool damon;
    bool group;                                     /* the group memctl exists */
    bool has_grubby, has_update_grub, has_virt_xml; /* which commands can be named */
    unsigned managers;                              /* bits of doctor_manager */
};

struct doctor_qemu {
    int pid;
    char uuid[MC_UUID_TEXT]; /* as on its command line, "" without */
    uint64_t rss;
    bool reclaim; /* it is in a cgroup of its own, from which the kernel can take memory */
};

struct doctor_libvirt {
    bool asked;
    bool connected, answered; /* it came to a connection, and to the list of guests, in time */
    bool late;                /* nothing came in time */
    char uri[256];
    char error[256];
    bool reads_host; /* its guests are this host's */
};

struct doctor_daemon {
    bool asked;
    bool answers, denied;
    char error[MC_ERROR_TEXT];
    char socket[128];
    bool has_socket;
    unsigned socket_mode; /* permission bits */
    bool socket_of_root;  /* its group is root's */
    char version[32];
    char uri[256]; /* of the hypervisor that it is to use */
    bool link_up;
    char link_error[256];
    unsigned stuck_calls;
    bool dry_run, paused_all;
    bool has_plan;
    char host_state[16];
    uint64_t budget, strict, headroom, deficit;
    char policy[64], refused[64]; /* refused: "" if none was set aside */
    uint64_t ticks, ticks_late, observe_failures;
    bool keeps_history, history_up, history_shortened;
    uint64_t history_size, history_max;
    char history_error[256];
};

struct doctor_guest {
    char name[MC_NAME_TEXT];
    char uuid[MC_UUID_TEXT];

    /* from libvirt */
    bool described; /* all of this part is known */
    bool persistent;
    bool occupied; /* somebody's call to its QEMU does not come back */
    bool balloon, balloon_next, deflates, deflates_next, reports, reports_next;
    unsigned stats_period_s;
    bool agent_channel, agent_channel_next, agent_connected;
    bool vfio, huge_pages, locked;
    uint64_t memory;     /* bytes */
    uint64_t hard_limit; /* of QEMU's memory; MC_UNKNOWN without */

    /* from libvirt's statistics, or the daemon's */
    bool has_statistics;
    uint64_t last_update; /* when the driver last reported, seconds of the real-time clock */

    /* from the daemon */
    bool seen; /* all of this part is known */
    char exempt[32];
    bool answers, fresh, stuck, foreign, distress, agent_speaks;
    uint64_t min, max;
};

struct doctor_facts {
    bool of_this_host; /* otherwise from a copy of its files */
    struct doctor_host host;
    struct doctor_libvirt libvirt;
    struct doctor_daemon daemon;
    struct doctor_guest *guests;
    size_t guest_count;
    struct doctor_qemu *qemus; /* all of this host */
    size_t qemu_count;
};

void doctor_facts_free(struct doctor_facts *facts);

/* The guest with this UUID, new if there is none yet; NULL when out of memory. Pointers to others
 * become invalid. */
struct doctor_guest *doctor_guest_of(struct doctor_facts *facts, const char *uuid);

/* facts_host.c: files below root, "" for this host. */
void doctor_read_host(const char *root, struct doctor_host *host);

/* facts_processes.c. Returns 0 or -ENOMEM. */
int doctor_read_processes(const char *root, struct doctor_facts *facts);

/* facts_daemon.c. Returns 0 or -ENOMEM. */
int doctor_ask_daemon(const char *socket, struct doctor_facts *facts);

/* facts_libvirt.c; facts->libvirt.uri is set. Returns 0 or -ENOMEM. */
int doctor_ask_libvirt(struct doctor_facts *facts);

/* domain_facts.c: one guest's description, that of now and that of its next start (may be NULL). */
int doctor_read_domain(const char *xml, const char *next_xml, struct doctor_guest *guest);

/* ---- judging ---- */

struct doctor_host_check {
    const char *name;
    void (*check)(const struct doctor_facts *facts, struct mc_finding *finding);
};

struct doctor_guest_check {
    const char *name;
    void (*check)(const struct doctor_facts *facts, const struct doctor_guest *guest,
                  struct mc_finding *finding);
};

/* Each ends with a NULL name. */
extern const struct doctor_host_check doctor_host_checks[], doctor_daemon_checks[];
extern const struct doctor_guest_check doctor_guest_checks[];

/* Apply all checks. Returns 0 or -ENOMEM. */
int doctor_judge(const struct doctor_facts *facts, struct mc_findings *findings);

/* For the checks: set the level and what was found; then, if need be, the rest. */
void doctor_find(struct mc_finding *finding, enum mc_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_why(struct mc_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void doctor_fix(struct mc_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
