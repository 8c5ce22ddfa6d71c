/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is judged of memctld, of the way to it, and of its way to libvirt. */
#include "doctor/facts.h"

#include <stdio.h>
#include <string.h>

#include <memctl/units.h>

/* Guests with more than this many percent of the host's memory are squeezed also in calm times. */
#define RATIO_HIGH 200

/* What the history of a guest takes at the default times; docs/operations.md has the figures. */
#define HISTORY_OF_GUEST (6 * MC_MIB)

/* Of all ticks; above it, the daemon is short of time. */
#define LATE_PART 20

static void check_libvirt(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_libvirt *libvirt = &facts->libvirt;
    bool denied =
        strstr(libvirt->error, "ermission denied") || strstr(libvirt->error, "authentication");

    if (!libvirt->asked)
        return;
    if (libvirt->answered) {
        doctor_find(finding, MC_LEVEL_OK, "libvirt answers at %s.", libvirt->uri);
        return;
    }
    doctor_find(finding, MC_LEVEL_PROBLEM, "libvirt does not answer at %.100s: %.120s.",
                libvirt->uri, libvirt->error);
    doctor_why(finding, "Guests are seen and moved through libvirt only.%s",
               libvirt->late ? " A QEMU that hangs, or a hook for a guest that starts, can hold it "
                               "up for a while."
                             : "");
    if (denied)
        doctor_fix(finding, "usermod -aG libvirt \"$USER\" # then log in again; or be root");
    else if (libvirt->connected || libvirt->late)
        doctor_fix(finding, "memctl doctor # again; if it stays so: systemctl restart libvirtd (or "
                            "virtqemud); guests run on");
    else
        doctor_fix(finding, "systemctl enable --now libvirtd.socket || "
                            "systemctl enable --now virtqemud.socket");
}

static void check_daemon(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->asked)
        return;
    if (!daemon->answers && daemon->denied) {
        doctor_find(finding, MC_LEVEL_WARNING, "You may not ask memctld.");
        doctor_why(finding, "%s", daemon->error);
        doctor_fix(finding, "usermod -aG memctl \"$USER\" # then log in again; or be root");
    } else if (!daemon->answers) {
        doctor_find(finding, MC_LEVEL_PROBLEM, "memctld does not answer at %.100s.",
                    daemon->socket);
        doctor_why(finding, "Nobody moves memory between the guests. If it listens elsewhere, name "
                            "its socket with --socket or $MEMCTL_SOCKET.");
        doctor_fix(finding, "systemctl enable --now memctld; systemctl status memctld");
    } else if (strcmp(daemon->version, MEMCTL_VERSION) != 0) {
        doctor_find(finding, MC_LEVEL_NOTE, "memctld is %s, and this program %s.", daemon->version,
                    MEMCTL_VERSION);
        doctor_why(finding, "It was probably updated and not started again since.");
        doctor_fix(finding, "systemctl restart memctld # guests keep what they have");
    } else {
        doctor_find(finding, MC_LEVEL_OK, "memctld %s runs with the policy %s.", daemon->version,
                    daemon->policy);
    }
}

static void check_group(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (facts->host.group) {
        doctor_find(finding, MC_LEVEL_OK, "The group memctl is there.");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE, "There is no group memctl.");
    doctor_why(finding, "Only root can use memctl then.");
    doctor_fix(finding, "systemd-sysusers && systemctl restart memctld # or: groupadd -r memctl");
}

static void check_socket(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->has_socket)
        return;
    if (daemon->socket_mode & 07) {
        doctor_find(finding, MC_LEVEL_WARNING, "Everybody can open %.100s (mode %03o).",
                    daemon->socket, daemon->socket_mode);
        doctor_why(finding, "Names, sizes and settings of all guests can be read by every user; "
                            "only root and the group may change them.");
        doctor_fix(finding, "chmod 660 %s", daemon->socket);
    } else if (daemon->socket_of_root && facts->host.group) {
        doctor_find(finding, MC_LEVEL_NOTE, "%.100s belongs to root alone.", daemon->socket);
        doctor_why(finding, "There is a group memctl, but memctld did not give the socket to it.");
        doctor_fix(finding, "systemctl restart memctld");
    } else {
        doctor_find(finding, MC_LEVEL_OK, "Root and a group can open the socket (mode %03o).",
                    daemon->socket_mode);
    }
}

static void check_link(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->answers)
        return;
    if (daemon->link_up) {
        doctor_find(finding, MC_LEVEL_OK, "memctld is connected to %s.", daemon->uri);
        return;
    }
    doctor_find(finding, MC_LEVEL_PROBLEM, "memctld has no connection to %.100s.", daemon->uri);
    doctor_why(finding, "%.200s. It tries again by itself; until then no guest is moved.",
               daemon->link_error);
    doctor_fix(finding, "journalctl -u memctld -n 20; systemctl status libvirtd virtqemud");
}

static void check_stuck_calls(const struct doctor_facts *facts, struct mc_finding *finding)
{
    if (!facts->daemon.answers || !facts->daemon.stuck_calls)
        return;
    doctor_find(finding, MC_LEVEL_WARNING, "%u of memctld's calls to libvirt do not come back.",
                facts->daemon.stuck_calls);
    doctor_why(finding, "A guest's QEMU, or libvirt itself, hangs. Other guests go on.");
    doctor_fix(finding, "memctl list # whose WHY is no-answer; then: virsh domcontrol GUEST");
}

static void check_mode(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->answers)
        return;
    if (daemon->dry_run) {
        doctor_find(finding, MC_LEVEL_NOTE, "memctld makes a dry run: no guest is touched.");
        doctor_why(finding, "It decides and shows everything, and sends nothing.");
        doctor_fix(finding, "sed -i 's/^ *dry-run *=.*/dry-run = no/' /etc/memctl/memctld.conf && "
                            "systemctl restart memctld # and no --dry-run in its unit");
    } else if (daemon->paused_all) {
        doctor_find(finding, MC_LEVEL_WARNING, "An operator has paused all guests.");
        doctor_why(finding, "They are counted and not moved, also when the host runs short.");
        doctor_fix(finding, "memctl resume");
    }
}

static void check_policy(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->answers)
        return;
    if (*daemon->refused) {
        doctor_find(finding, MC_LEVEL_PROBLEM, "The policy %s was set aside; %s decides.",
                    daemon->refused, daemon->policy);
        doctor_why(finding, "Its answer broke its bounds; 'memctl status' says how.");
        doctor_fix(finding, "memctl policy use idle-tax");
    } else if (!daemon->has_plan && daemon->link_up && daemon->ticks > 1) {
        doctor_find(finding, MC_LEVEL_PROBLEM, "memctld has no plan.");
        doctor_why(finding, "The policy %s failed in the last tick: nobody is moved.",
                   daemon->policy);
        doctor_fix(finding, "journalctl -u memctld -n 20; memctl policy use idle-tax");
    }
}

static void check_time(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->answers || daemon->ticks < 100 || daemon->ticks_late < daemon->ticks / LATE_PART)
        return;
    doctor_find(finding, MC_LEVEL_WARNING, "%llu of memctld's %llu ticks were late.",
                (unsigned long long)daemon->ticks_late, (unsigned long long)daemon->ticks);
    doctor_why(finding, "It, or libvirt, is short of processor time; it then follows guests less "
                        "closely.");
    doctor_fix(finding, "systemctl set-property memctld.service CPUWeight=1000");
}

static void check_overcommit(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;
    uint64_t sum = 0, percent, total = facts->host.total;
    char guests[MC_SIZE_TEXT], host[MC_SIZE_TEXT], deficit[MC_SIZE_TEXT];

    for (size_t i = 0; i < facts->guest_count; i++)
        if (facts->guests[i].memory != MC_UNKNOWN)
            sum += facts->guests[i].memory;
    if (daemon->answers && daemon->deficit) {
        mc_size_format(deficit, daemon->deficit);
        doctor_find(finding, MC_LEVEL_PROBLEM, "Reservations (min) exceed what there is by %s.",
                    deficit);
        doctor_why(finding, "Every guest has its min as far as possible, and nothing is left to "
                            "divide: the host can run out of memory.");
        doctor_fix(finding,
                   "memctl status # the budget; memctl list # by MIN; then lower some: memctl set "
                   "GUEST min=512M");
        return;
    }
    /* A simulated host's guests are not on this one. */
    if (!sum || !facts->libvirt.reads_host || total == MC_UNKNOWN || !total)
        return;
    percent = sum * 100 / total;
    doctor_find(finding, percent > RATIO_HIGH ? MC_LEVEL_NOTE : MC_LEVEL_OK,
                "%zu guests have %s on a host of %s: %llu %%.", facts->guest_count,
                mc_size_format(guests, sum), mc_size_format(host, total),
                (unsigned long long)percent);
    if (percent <= RATIO_HIGH)
        return;
    doctor_why(finding, "At more than twice the host's memory guests are small also in calm times, "
                        "and wait for each other when several wake.");
    doctor_fix(finding, "memctl top --sort used # who takes most");
}

static void check_host_state(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;
    bool bad = strcmp(daemon->host_state, "hard") == 0 || strcmp(daemon->host_state, "low") == 0;
    char headroom[MC_SIZE_TEXT];

    if (!daemon->answers || !daemon->has_plan)
        return;
    mc_size_format(headroom, daemon->headroom);
    if (!bad && strcmp(daemon->host_state, "soft") != 0) {
        doctor_find(finding, MC_LEVEL_OK, "The host's state is %s, headroom %s.",
                    daemon->host_state, headroom);
        return;
    }
    doctor_find(finding, bad ? MC_LEVEL_PROBLEM : MC_LEVEL_WARNING,
                "The host is short of memory: state %s, headroom %s.", daemon->host_state,
                headroom);
    doctor_why(finding, "memctld takes back what it can. If it stays so, guests use more than "
                        "there is.");
    doctor_fix(finding, "memctl events --since 10min; memctl top --sort used");
}

static void check_history_size(const struct doctor_facts *facts, struct mc_finding *finding)
{
    uint64_t gib = (facts->guest_count * HISTORY_OF_GUEST + MC_GIB - 1) / MC_GIB;
    char size[MC_SIZE_TEXT], most[MC_SIZE_TEXT];

    mc_size_format(size, facts->daemon.history_size);
    mc_size_format(most, facts->daemon.history_max);
    if (!facts->daemon.history_shortened) {
        doctor_find(finding, MC_LEVEL_OK, "The history takes %s of %s.", size, most);
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE, "The history is shortened to fit into %s.", most);
    doctor_why(finding, "Raw rows and minutes go before their time; 'memctl status' shows what is "
                        "left, and capacity and plan know no more than that.");
    gib = mc_max_u64(gib, 2 * facts->daemon.history_max / MC_GIB);
    doctor_fix(finding,
               "printf '[history]\nsize = %lluG\n' >>/etc/memctl/memctld.conf && systemctl restart "
               "memctld # or shorter keep-raw, keep-minutes",
               (unsigned long long)mc_max_u64(gib, 1));
}

static void check_history(const struct doctor_facts *facts, struct mc_finding *finding)
{
    const struct doctor_daemon *daemon = &facts->daemon;

    if (!daemon->answers || !daemon->keeps_history)
        return;
    if (daemon->history_up) {
        check_history_size(facts, finding);
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "The history cannot be written: %.180s.",
                daemon->history_error);
    doctor_why(finding, "Guests are moved as before; what finds no room in memory until it can be "
                        "written again is lost to history, capacity and plan.");
    doctor_fix(finding, "df -h /var/lib/memctl; journalctl -u memctld -n 20");
}

const struct doctor_host_check doctor_daemon_checks[] = {
    {"libvirt", check_libvirt},
    {"memctld", check_daemon},
    {"group", check_group},
    {"socket", check_socket},
    {"connection", check_link},
    {"stuck-calls", check_stuck_calls},
    {"mode", check_mode},
    {"policy", check_policy},
    {"time", check_time},
    {"history", check_history},
    {"overcommit", check_overcommit},
    {"host-state", check_host_state},
    {0},
};
