/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/ksm.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

static const char *const knob_names[MC_KSM_KNOBS] = {
    [MC_KSM_ADVISOR_MODE] = "advisor_mode",
    [MC_KSM_ADVISOR_MAX_CPU] = "advisor_max_cpu",
    [MC_KSM_ADVISOR_MIN_PAGES] = "advisor_min_pages_to_scan",
    [MC_KSM_ADVISOR_MAX_PAGES] = "advisor_max_pages_to_scan",
    [MC_KSM_ADVISOR_TARGET_SCAN_TIME] = "advisor_target_scan_time",
    [MC_KSM_PAGES_TO_SCAN] = "pages_to_scan",
    [MC_KSM_SLEEP_MS] = "sleep_millisecs",
    [MC_KSM_SMART_SCAN] = "smart_scan",
    [MC_KSM_USE_ZERO_PAGES] = "use_zero_pages",
    [MC_KSM_RUN] = "run",
};

static const char *const advisors[] = {"none", "scan-time"};

const char *mc_ksm_knob_name(enum mc_ksm_knob knob)
{
    return knob_names[knob];
}

static bool read_text(const char *folder, const char *name, char text[64])
{
    char path[4096];
    FILE *file;
    bool got;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return false;
    file = fopen(path, "re");
    if (!file)
        return false;
    got = fgets(text, 64, file);
    fclose(file);
    return got;
}

static uint64_t read_number(const char *folder, const char *name)
{
    char text[64], *end;
    unsigned long long value;

    if (!read_text(folder, name, text) || *text < '0' || *text > '9')
        return MC_UNKNOWN;
    value = strtoull(text, &end, 10);
    return *end == '\n' || !*end ? value : MC_UNKNOWN;
}

/* "[none] scan-time" */
static uint64_t read_advisor(const char *folder)
{
    char text[64], wanted[32];

    if (!read_text(folder, knob_names[MC_KSM_ADVISOR_MODE], text))
        return MC_UNKNOWN;
    for (uint64_t i = 0; i < sizeof(advisors) / sizeof(*advisors); i++) {
        snprintf(wanted, sizeof(wanted), "[%s]", advisors[i]);
        if (strstr(text, wanted))
            return i;
    }
    return MC_UNKNOWN;
}

void mc_ksm_read(const char *folder, struct mc_ksm *ksm)
{
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        ksm->knobs.value[i] =
            i == MC_KSM_ADVISOR_MODE ? read_advisor(folder) : read_number(folder, knob_names[i]);
    ksm->shared = read_number(folder, "pages_shared");
    ksm->sharing = read_number(folder, "pages_sharing");
    ksm->zero_pages = read_number(folder, "ksm_zero_pages");
    ksm->full_scans = read_number(folder, "full_scans");
    ksm->pages_scanned = read_number(folder, "pages_scanned");
    ksm->max_page_sharing = read_number(folder, "max_page_sharing");
    ksm->merge_across_nodes = read_number(folder, "merge_across_nodes");
    ksm->present = ksm->knobs.value[MC_KSM_RUN] != MC_UNKNOWN &&
                   ksm->knobs.value[MC_KSM_PAGES_TO_SCAN] != MC_UNKNOWN &&
                   ksm->knobs.value[MC_KSM_SLEEP_MS] != MC_UNKNOWN && ksm->sharing != MC_UNKNOWN &&
                   ksm->full_scans != MC_UNKNOWN;
}

int mc_ksm_write(const char *folder, enum mc_ksm_knob knob, uint64_t value, struct mc_error *err)
{
    char path[4096], text[32];
    int fd, rc = 0, length;

    if (knob == MC_KSM_ADVISOR_MODE && value < sizeof(advisors) / sizeof(*advisors))
        length = snprintf(text, sizeof(text), "%s", advisors[value]);
    else
        length = snprintf(text, sizeof(text), "%" PRIu64, value);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, knob_names[knob]) >= sizeof(path))
        return mc_error_set(err, -ENAMETOOLONG, "the folder of KSM has too long a name");
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)length) != length)
        rc = mc_error_set(err, -errno, "%s cannot be set to %s: %s", path, text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

static void take_field(const char *line, struct mc_ksm_process *process)
{
    uint64_t value;

    if (sscanf(line, "ksm_rmap_items %" SCNu64, &value) == 1)
        process->items = value;
    else if (sscanf(line, "ksm_merging_pages %" SCNu64, &value) == 1)
        process->merging = value;
    else if (sscanf(line, "ksm_zero_pages %" SCNu64, &value) == 1)
        process->zero_pages = value;
    else if (strncmp(line, "ksm_mergeable: ", 15) == 0) {
        process->tells = true;
        process->mergeable = strncmp(line + 15, "yes", 3) == 0;
    }
}

int mc_ksm_read_process(pid_t pid, struct mc_ksm_process *process)
{
    char path[64], line[128];
    int rc = 0;
    FILE *file;

    *process = (struct mc_ksm_process){0};
    snprintf(path, sizeof(path), "/proc/%d/ksm_stat", (int)pid);
    file = fopen(path, "re");
    if (!file) {
        rc = -errno;
        snprintf(path, sizeof(path), "/proc/%d", (int)pid);
        return rc != -ENOENT ? rc : access(path, F_OK) == 0 ? -ENOTSUP : -ESRCH;
    }
    while (fgets(line, sizeof(line), file))
        take_field(line, process);
    if (ferror(file))
        rc = -ESRCH; /* it has ended meanwhile */
    fclose(file);
    return rc;
}
