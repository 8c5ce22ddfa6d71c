/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memctld has changed about page merging, and how it was before: KSM's knobs and the guests'
 * merging. It is on disk before anything is changed, so that whoever comes next can put it back:
 * this memctld when it stops, 'memctld --restore-ksm' after a crash, or the next memctld.
 *
 * A record of another boot of the host is worth nothing, nor is one of a QEMU that has ended.
 */
#ifndef MEMCTLD_STEER_RECORD_H
#define MEMCTLD_STEER_RECORD_H

#include <memctl/hypervisor.h>
#include <memctl/ksm.h>

struct record_backend {
    char id[64];
    bool old, ours;
};

struct record_guest {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    int pid;
    uint64_t started; /* its QEMU, in clock ticks since boot: a number can be used again */
    struct record_backend backends[MC_MEMORY_BACKENDS_MAX];
    size_t count;
};

struct steer_record {
    char file[4096];
    struct mc_ksm_knobs old, ours; /* MC_UNKNOWN: not changed */
    struct record_guest *guests;
    size_t count;
};

/* Read the file if there is one; a record without a file is empty. -ENOMEM. */
int record_load(struct steer_record *record, const char *file);
void record_free(struct steer_record *record);
bool record_is_empty(const struct steer_record *record);

/* Write it, or remove the file when nothing is to be put back. -errno. */
int record_save(const struct steer_record *record);

struct record_guest *record_find(const struct steer_record *record, const char *uuid);
/*
 * Note what is to become of a guest's backends; what was noted before as their old state stays.
 * NULL when out of memory.
 */
struct record_guest *record_note(struct steer_record *record, const struct mc_guest *guest,
                                 const struct mc_guest_memory *memory, bool ours);
void record_forget(struct steer_record *record, const char *uuid);

/* When a process began, in clock ticks since the host's boot; 0 if there is none. */
uint64_t record_process_start(int pid);

#endif
