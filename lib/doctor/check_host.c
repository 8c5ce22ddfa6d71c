/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is judged of the host by its files and processes. */
#include "doctor/facts.h"

#include <stdio.h>
#include <string.h>

#include <memctl/units.h>

/* Of all memory; more than that set aside for huge pages is worth a word. */
#define HUGE_PAGES_PART 20

/* Of all memory; with less than that available a host is short. */
#define AVAILABLE_PART 25

/* Pages a second above which ksmd takes a good part of a core, whatever it finds. */
#define KSM_FAST 100000

static void fix_with_kernel_option(const struct doctor_facts *facts, struct mc_finding *finding,
                                   const char *option)
{
    if (facts->host.has_grubby)
        doctor_fix(finding, "grubby --update-kernel=ALL --args=%s && reboot", option);
    else if (facts->host.has_update_grub)
        doctor_fix(finding,
                   "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&%s /' /etc/default/grub && update-grub && "
                   "reboot",
                   option);
    else
        doctor_fix(finding, "# add %s to the kernel's command line, then: reboot", option);
}

static void check_kvm(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.kvm) {
        doctor_find(finding, MC_LEVEL_OK, "/dev/kvm is there");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "There is no /dev/kvm: guests are emulated.");
    doctor_why(finding, "Emulated guests are ten times slower and take far more memory of QEMU's "
                        "own.");
    if (facts->host.cpu_can)
        doctor_fix(finding, "modprobe kvm_intel || modprobe kvm_amd");
    else
        doctor_fix(finding, "# turn on virtualization (VT-x, AMD-V) in the firmware; of a virtual "
                            "host, nesting");
}

static void check_pressure(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.pressure) {
        doctor_find(finding, MC_LEVEL_OK, "The kernel tells of memory pressure (PSI).");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "The kernel does not tell of memory pressure (PSI).");
    doctor_why(finding, "memctld is woken at once when tasks on the host begin to wait for memory; "
                        "without, it sees that at its next tick, by what is available.");
    if (facts->host.pressure_built)
        fix_with_kernel_option(facts, finding, "psi=1");
    else
        doctor_fix(finding, "# needs a kernel of 4.20 or later with CONFIG_PSI=y; if it has that: "
                            "psi=1 on its command line");
}

static void check_memory(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_host *host = &facts->host;
    char available[MC_SIZE_TEXT], total[MC_SIZE_TEXT];

    if (host->total == MC_UNKNOWN || host->available == MC_UNKNOWN)
        return;
    mc_size_format(available, host->available);
    mc_size_format(total, host->total);
    if (host->available >= host->total / AVAILABLE_PART) {
        doctor_find(finding, MC_LEVEL_OK, "%s of %s are available.", available, total);
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "Only %s of %s are available.", available, total);
    doctor_why(finding, "The kernel begins to swap, and then to kill.");
    doctor_fix(finding, "ps -eo rss,pid,args --sort=-rss | head # what holds it");
}

static uint64_t memory_of_guests(const struct doctor_facts *facts)
{
    uint64_t sum = 0;

    /* A simulated or another host's guests are not on this one. */
    for (size_t i = 0; i < facts->guest_count && facts->libvirt.reads_host; i++)
        if (facts->guests[i].memory != MC_UNKNOWN)
            sum += facts->guests[i].memory;
    return sum;
}

static void check_swap(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_host *host = &facts->host;
    bool more = host->total != MC_UNKNOWN && memory_of_guests(facts) > host->total;
    char total[MC_SIZE_TEXT], left[MC_SIZE_TEXT];

    if (host->swap_total == MC_UNKNOWN)
        return;
    mc_size_format(total, host->swap_total);
    mc_size_format(left, host->swap_free);
    if (!host->swap_total) {
        doctor_find(finding, more ? MC_LEVEL_WARNING : MC_LEVEL_NOTE, "There is no swap%s.",
                    more ? ", and guests have more memory than the host" : "");
        doctor_why(finding, "When guests take what they were promised faster than balloons can "
                            "follow, the kernel has nothing left but to kill a process, and a "
                            "guest is the largest.");
        doctor_fix(finding,
                   "fallocate -l 8G /swapfile && chmod 600 /swapfile && mkswap /swapfile "
                   "&& swapon /swapfile && echo '/swapfile none swap sw 0 0' >>/etc/fstab");
    } else if (host->swap_free < host->swap_total / 10) {
        doctor_find(finding, MC_LEVEL_WARNING, "Swap is nearly full: %s of %s free.", left, total);
        doctor_why(finding, "What is swapped out comes back slowly, and there is no room for "
                            "more.");
        doctor_fix(finding, "memctl top --sort used # which guests take it; then fewer guests, or "
                            "more memory or swap");
    } else if (!host->swap_on_disk && host->swap_on_zram) {
        doctor_find(finding, MC_LEVEL_NOTE, "All swap (%s) is in compressed memory (zram).", total);
        doctor_why(finding, "It takes host memory itself, and helps little with guests' pages that "
                            "do not compress.");
    } else {
        doctor_find(finding, MC_LEVEL_OK, "%s of %s of swap are free.", left, total);
    }
}

static void check_zswap(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.zswap)
        doctor_find(finding, MC_LEVEL_OK, "Swap is compressed first (zswap).");
}

static void check_overcommit_memory(const struct doctor_facts *facts, struct mc_finding *finding)
{
    int value = facts->host.overcommit_memory;

    if (value < 0)
        return;
    if (value != 2) {
        doctor_find(finding, MC_LEVEL_OK, "vm.overcommit_memory is %d.", value);
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING,
                "The kernel promises no more memory than it has (vm.overcommit_memory=2).");
    doctor_why(finding, "A guest counts there with all of its memory, whatever its balloon holds: "
                        "the next one does not start though there is room.");
    doctor_fix(finding, "echo vm.overcommit_memory=0 >/etc/sysctl.d/90-memctl.conf && "
                        "sysctl -w vm.overcommit_memory=0");
}

static void check_huge_pages(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_host *host = &facts->host;
    char text[MC_SIZE_TEXT];

    if (!host->huge_pages || host->total == MC_UNKNOWN)
        return;
    mc_size_format(text, host->huge_pages);
    if (host->huge_pages < host->total / HUGE_PAGES_PART) {
        doctor_find(finding, MC_LEVEL_OK, "%s are set aside for huge pages.", text);
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE, "%s are set aside for huge pages.", text);
    doctor_why(finding, "Nobody else can use them, no balloon gives them back, and the automatic "
                        "budget counts them as memory: set [budget] budget in memctld.conf to "
                        "what is really there.");
    doctor_fix(finding, "sysctl -w vm.nr_hugepages=0 # if no guest uses them");
}

static void check_thp(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.thp == THP_UNKNOWN)
        return;
    if (facts->host.thp != THP_NEVER) {
        doctor_find(finding, MC_LEVEL_OK, "Guests get transparent huge pages (%s).",
                    facts->host.thp == THP_ALWAYS ? "always" : "madvise");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE, "Transparent huge pages are off.");
    doctor_why(finding, "Guests are slower without them. Balloons and page merging split them only "
                        "where they have to.");
    doctor_fix(finding, "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
}

/* ---- page merging ---- */

static uint64_t ksm_pages_per_s(const struct doctor_host *host)
{
    if (host->ksm_pages_to_scan == MC_UNKNOWN || host->ksm_sleep_ms == MC_UNKNOWN)
        return 0;
    return host->ksm_sleep_ms ? host->ksm_pages_to_scan * 1000 / host->ksm_sleep_ms : UINT64_MAX;
}

static void check_ksm(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_host *host = &facts->host;
    uint64_t pace = ksm_pages_per_s(host);
    char saved[MC_SIZE_TEXT];

    if (!host->ksm) {
        doctor_find(finding, MC_LEVEL_NOTE, "The kernel cannot merge equal pages (no KSM).");
        doctor_why(finding, "Equal pages of guests are kept once for each of them.");
        doctor_fix(finding, "# needs a kernel with CONFIG_KSM=y");
    } else if (host->ksm_run != 1) {
        doctor_find(finding, MC_LEVEL_NOTE, "Merging of equal pages (KSM) is off.");
        doctor_why(finding, "It gives memory back where guests are alike, and costs processor time "
                            "where they are not. Merged pages can be told from others by timing, "
                            "so leave it off where guests do not trust each other.");
        doctor_fix(finding, "echo 1 >/sys/kernel/mm/ksm/run # or mode = merge under [dedupe] in "
                            "memctld.conf, which keeps trust domains apart");
    } else if (pace > KSM_FAST) {
        doctor_find(finding, MC_LEVEL_WARNING, "ksmd runs without a pause (%llu pages, %llu ms).",
                    (unsigned long long)host->ksm_pages_to_scan,
                    (unsigned long long)host->ksm_sleep_ms);
        doctor_why(finding, "It takes up to a whole core, whatever it finds.");
        doctor_fix(finding, "echo 20 >/sys/kernel/mm/ksm/sleep_millisecs && "
                            "echo 1000 >/sys/kernel/mm/ksm/pages_to_scan");
    } else {
        doctor_find(finding, MC_LEVEL_OK, "Equal pages are merged (KSM); %s saved.",
                    host->ksm_sharing == MC_UNKNOWN
                        ? "not known how much is"
                        : mc_size_format(saved, host->ksm_sharing * MC_PAGE));
    }
}

static void check_cgroup(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.cgroup_reclaim) {
        doctor_find(finding, MC_LEVEL_OK, "cgroup v2 can reclaim a guest's memory.");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE,
                facts->host.cgroup2_memory ? "The kernel's cgroup v2 has no memory.reclaim."
                                           : "There is no memory controller of cgroup v2.");
    doctor_why(finding,
               "It is the way to take memory from a guest whose balloon does not work, when "
               "the host is short.");
    if (facts->host.cgroup2_memory)
        doctor_fix(finding, "# needs Linux 5.19 or later");
    else
        fix_with_kernel_option(facts, finding, "systemd.unified_cgroup_hierarchy=1");
}

static void check_damon(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.damon)
        doctor_find(finding, MC_LEVEL_OK, "The kernel can sample memory accesses (DAMON).");
    else
        doctor_find(finding, MC_LEVEL_OK,
                    "The kernel cannot sample memory accesses (no DAMON); not needed.");
}

/* ---- others at work ---- */

static void check_mom(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.managers & MANAGER_MOM) {
        doctor_find(finding, MC_LEVEL_PROBLEM, "MoM moves the same balloons (momd runs).");
        doctor_why(finding, "memctld takes its commands for somebody else's will, and leaves each "
                            "guest alone for 10 minutes after every one of them.");
        doctor_fix(finding, "systemctl disable --now %s",
                   facts->host.managers & MANAGER_VDSM ? "mom-vdsm" : "momd");
    } else if (facts->host.managers & MANAGER_VDSM) {
        doctor_find(finding, MC_LEVEL_WARNING, "oVirt manages this host (vdsmd runs).");
        doctor_why(finding, "Its engine decides about guests' memory itself and can start MoM.");
        doctor_fix(finding, "# in oVirt: Compute, Clusters, Edit, Optimization: turn off memory "
                            "balloon and KSM control");
    }
}

static void check_ksmtuned(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (!(facts->host.managers & MANAGER_KSMTUNED))
        return;
    doctor_find(finding, MC_LEVEL_NOTE, "ksmtuned turns page merging on and off.");
    doctor_why(finding, "It never moves a balloon and can run beside memctld; but what anybody "
                        "else writes to /sys/kernel/mm/ksm lasts until its next look.");
    doctor_fix(finding, "systemctl disable --now ksmtuned # to set KSM yourself");
}

static void check_proxmox(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (!(facts->host.managers & MANAGER_PROXMOX))
        return;
    doctor_find(finding, MC_LEVEL_WARNING, "This is a Proxmox VE host (pvestatd runs).");
    doctor_why(finding, "Its guests are not libvirt's: memctld neither sees nor moves them, and "
                        "their memory has to be taken out of the budget by hand ([budget] in "
                        "memctld.conf).");
}

static void check_earlyoom(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (!(facts->host.managers & MANAGER_EARLYOOM))
        return;
    doctor_find(finding, MC_LEVEL_WARNING,
                "earlyoom kills the largest process when memory is "
                "short.");
    doctor_why(finding, "On a host of guests that is a guest, before memctld has taken what others "
                        "could give.");
    doctor_fix(finding, "systemctl disable --now earlyoom");
}

static bool is_known(const struct doctor_facts *facts, const char *uuid)
{
    for (size_t i = 0; i < facts->guest_count; i++)
        if (strcmp(facts->guests[i].uuid, uuid) == 0)
            return true;
    return false;
}

static void check_foreign_guests(const struct doctor_facts *facts, struct mc_finding *finding)
{
    bool all_known = facts->libvirt.answered && facts->libvirt.reads_host;
    char pids[128] = "", sum_text[MC_SIZE_TEXT];
    size_t count = 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < facts->qemu_count && all_known; i++) {
        const struct doctor_qemu *qemu = &facts->qemus[i];
        size_t length = strlen(pids);

        if (is_known(facts, qemu->uuid))
            continue;
        count++;
        sum += qemu->rss;
        if (length + 24 < sizeof(pids))
            snprintf(pids + length, sizeof(pids) - length, "%s%d", length ? "," : "", qemu->pid);
    }
    if (!all_known)
        return;
    if (!count) {
        doctor_find(finding, MC_LEVEL_OK, "All guests of this host are libvirt's.");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "%zu %s not libvirt's at %s, with %s.", count,
                count == 1 ? "QEMU is" : "QEMUs are", facts->libvirt.uri,
                mc_size_format(sum_text, sum));
    doctor_why(finding, "memctld does not see them, and the automatic budget counts their memory "
                        "as free: set [budget] budget in memctld.conf to what is left beside "
                        "them.");
    doctor_fix(finding, "ps -o pid,rss,args -p %s", pids);
}

const struct doctor_host_check doctor_host_checks[] = {
    {"kvm", check_kvm},
    {"pressure", check_pressure},
    {"memory", check_memory},
    {"swap", check_swap},
    {"zswap", check_zswap},
    {"overcommit-memory", check_overcommit_memory},
    {"huge-pages", check_huge_pages},
    {"thp", check_thp},
    {"ksm", check_ksm},
    {"cgroup", check_cgroup},
    {"damon", check_damon},
    {"mom", check_mom},
    {"ksmtuned", check_ksmtuned},
    {"proxmox", check_proxmox},
    {"earlyoom", check_earlyoom},
    {"foreign-guests", check_foreign_guests},
    {0},
};
