/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <memctl/units.h>

/* libvirt has no such host. */

#define GUESTS_MOST 4096

static void read_boot(char boot[64])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    *boot = '\0';
    if (!file)
        return;
    if (!fgets(boot, 64, file))
        *boot = '\0';
    fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
}

/* Field 22; the name before it may have spaces and brackets. */
uint64_t record_process_start(int pid)
{
    char path[64], text[1024];
    uint64_t started = 0;
    const char *fields;
    size_t length;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    fields = strrchr(text, ')');
    if (!fields || sscanf(fields,
                          ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                          "%*d %*d %*d %*d %" SCNu64,
                          &started) != 1)
        return 0;
    return started;
}

struct record_guest *record_find(const struct steer_record *record, const char *uuid)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->guests[i].uuid, uuid) == 0)
            return &record->guests[i];
    return NULL;
}

static struct record_guest *add_guest(struct steer_record *record)
{
    struct record_guest *guests =
        reallocarray(record->guests, record->count + 1, sizeof(*record->guests));

    if (!guests)
        return NULL;
    record->guests = guests;
    guests[record->count] = (struct record_guest){0};
    return &guests[record->count++];
}

void record_forget(struct steer_record *record, const char *uuid)
{
    struct record_guest *guest = record_find(record, uuid);

    if (guest)
        *guest = record->guests[--record->count];
}

static struct record_backend *find_backend(struct record_guest *guest, const char *id)
{
    for (size_t i = 0; i < guest->count; i++)
        if (strcmp(guest->backends[i].id, id) == 0)
            return &guest->backends[i];
    return NULL;
}

struct record_guest *record_note(struct steer_record *record, const struct mc_guest *guest,
                                 const struct mc_guest_memory *memory, bool ours)
{
    struct record_guest *noted = record_find(record, guest->uuid);
    uint64_t started = record_process_start(guest->pid);

    if (noted && (noted->pid != guest->pid || noted->started != started))
        noted->count = 0; /* of a run before this one */
    if (!noted)
        noted = add_guest(record);
    if (!noted)
        return NULL;
    memcpy(noted->uuid, guest->uuid, sizeof(noted->uuid));
    memcpy(noted->name, guest->name, sizeof(noted->name));
    noted->pid = guest->pid;
    noted->started = started;
    for (size_t i = 0; i < memory->count; i++) {
        struct record_backend *backend = find_backend(noted, memory->backends[i].id);

        if (memory->backends[i].shared || (!backend && noted->count == MC_MEMORY_BACKENDS_MAX))
            continue;
        if (!backend) {
            backend = &noted->backends[noted->count++];
            *backend = (struct record_backend){.old = memory->backends[i].merge};
            memcpy(backend->id, memory->backends[i].id, sizeof(backend->id));
        }
        backend->ours = ours;
    }
    return noted;
}

bool record_is_empty(const struct steer_record *record)
{
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        if (record->ours.value[i] != MC_UNKNOWN)
            return false;
    return record->count == 0;
}

/* ---- as a file ---- */

static json_t *knobs_json(const struct steer_record *record)
{
    json_t *knobs = json_object();

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        if (record->ours.value[i] != MC_UNKNOWN)
            json_object_set_new(knobs, mc_ksm_knob_name(i),
                                json_pack("{s:I, s:I}", "old", (json_int_t)record->old.value[i],
                                          "ours", (json_int_t)record->ours.value[i]));
    return knobs;
}

static json_t *record_json(const struct steer_record *record)
{
    json_t *guests = json_array();
    char boot[64];

    read_boot(boot);
    for (size_t i = 0; i < record->count; i++) {
        const struct record_guest *guest = &record->guests[i];
        json_t *backends = json_array();

        for (size_t j = 0; j < guest->count; j++)
            json_array_append_new(
                backends, json_pack("{s:s, s:b, s:b}", "id", guest->backends[j].id, "old",
                                    guest->backends[j].old, "ours", guest->backends[j].ours));
        json_array_append_new(guests, json_pack("{s:s, s:s, s:i, s:I, s:o}", "uuid", guest->uuid,
                                                "name", guest->name, "pid", guest->pid, "started",
                                                (json_int_t)guest->started, "backends", backends));
    }
    return json_pack("{s:s, s:o, s:o}", "boot", boot, "ksm", knobs_json(record), "guests", guests);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
    size_t length = strlen(text);

    if (fd < 0)
        return -errno;
    if (write(fd, text, length) != (ssize_t)length || fsync(fd) < 0)
        rc = errno ? -errno : -EIO;
    close(fd);
    return rc;
}

int record_save(const struct steer_record *record)
{
    char path[sizeof(record->file) + 8], *text;
    json_t *json;
    int rc;

    if (record_is_empty(record))
        return unlink(record->file) < 0 && errno != ENOENT ? -errno : 0;
    json = record_json(record);
    text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    if (!text)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s.new", record->file);
    rc = write_file(path, text);
    free(text);
    if (rc == 0 && rename(path, record->file) < 0)
        rc = -errno;
    return rc;
}

static void take_knobs(struct steer_record *record, const json_t *knobs)
{
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        const json_t *knob = json_object_get(knobs, mc_ksm_knob_name(i));
        const json_t *old = json_object_get(knob, "old"), *ours = json_object_get(knob, "ours");

        if (!json_is_integer(old) || !json_is_integer(ours) || json_integer_value(old) < 0 ||
            json_integer_value(ours) < 0)
            continue;
        record->old.value[i] = (uint64_t)json_integer_value(old);
        record->ours.value[i] = (uint64_t)json_integer_value(ours);
    }
}

static void take_text(char *field, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    snprintf(field, size, "%s", text ? text : "");
}

static int take_guest(struct steer_record *record, const json_t *item)
{
    struct record_guest *guest = add_guest(record);
    const json_t *backends = json_object_get(item, "backends"), *backend;
    size_t i;

    if (!guest)
        return -ENOMEM;
    take_text(guest->uuid, sizeof(guest->uuid), item, "uuid");
    take_text(guest->name, sizeof(guest->name), item, "name");
    guest->pid = (int)json_integer_value(json_object_get(item, "pid"));
    guest->started = (uint64_t)json_integer_value(json_object_get(item, "started"));
    json_array_foreach (backends, i, backend) {
        struct record_backend *taken = &guest->backends[guest->count];

        if (guest->count == MC_MEMORY_BACKENDS_MAX)
            break;
        take_text(taken->id, sizeof(taken->id), backend, "id");
        taken->old = json_is_true(json_object_get(backend, "old"));
        taken->ours = json_is_true(json_object_get(backend, "ours"));
        guest->count += *taken->id != '\0';
    }
    return 0;
}

static int take(struct steer_record *record, const json_t *json)
{
    const json_t *guests = json_object_get(json, "guests"), *item;
    char boot[64], noted[64];
    size_t i;

    read_boot(boot);
    take_text(noted, sizeof(noted), json, "boot");
    if (strcmp(boot, noted) != 0)
        return 0;
    take_knobs(record, json_object_get(json, "ksm"));
    json_array_foreach (guests, i, item)
        if (i < GUESTS_MOST && take_guest(record, item) < 0)
            return -ENOMEM;
    return 0;
}

int record_load(struct steer_record *record, const char *file)
{
    json_t *json;
    int rc;

    *record = (struct steer_record){0};
    snprintf(record->file, sizeof(record->file), "%s", file);
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        record->old.value[i] = record->ours.value[i] = MC_UNKNOWN;
    json = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    rc = take(record, json);
    json_decref(json);
    return rc;
}

void record_free(struct steer_record *record)
{
    free(record->guests);
    *record = (struct steer_record){0};
}
