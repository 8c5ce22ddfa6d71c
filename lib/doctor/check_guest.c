/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is judged of each guest. */
#include "doctor/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <memctl/agent_protocol.h>
#include <memctl/units.h>

#define COMMAND_TEXT 320

/* "virsh -c URI", so that it is asked where the guest is, whoever asks. */
static const char *on_uri(const struct doctor_facts *facts, const char *program,
                          char text[COMMAND_TEXT])
{
    const char *uri = facts->libvirt.uri;
    bool plain = true;

    for (const char *c = uri; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr(":/+._-", *c));
    snprintf(text, COMMAND_TEXT, plain ? "%s -c %s" : "%s -c '%s'", program, uri);
    return text;
}

/* Memory of such a guest can be moved, or could be if all else is well. */
static bool can_move(const struct doctor_guest *guest)
{
    return guest->described && guest->balloon && !guest->vfio && !guest->huge_pages &&
           !guest->locked && strcmp(guest->exempt, "unmanaged") != 0;
}

/* Set an attribute of the balloon from the guest's next start on. */
static void fix_balloon(const struct doctor_facts *facts, const struct doctor_guest *guest,
                        struct mc_finding *finding, const char *attribute)
{
    char command[COMMAND_TEXT];

    if (!guest->persistent)
        doctor_fix(finding, "# it is transient: add %s='on' to <memballoon> where its XML is made",
                   attribute);
    else if (facts->host.has_virt_xml)
        doctor_fix(finding, "%s \"$GUEST\" --edit --memballoon %s=on",
                   on_uri(facts, "virt-xml", command), attribute);
    else
        doctor_fix(finding,
                   "EDITOR='sed -i -E \"/<memballoon/s/ %s=.(on|off).//; "
                   "s/<memballoon model=.virtio[a-z-]*./& %s=\\\"on\\\"/\"' %s edit \"$GUEST\"",
                   attribute, attribute, on_uri(facts, "virsh", command));
}

static void check_qemu(const struct doctor_facts *facts, const struct doctor_guest *guest,
                       struct mc_finding *finding)
{
    char command[COMMAND_TEXT];

    if (!guest->occupied && (!guest->seen || guest->answers)) {
        doctor_find(finding, MC_LEVEL_OK, "Its QEMU answers.");
        return;
    }
    doctor_find(finding, MC_LEVEL_PROBLEM, "Its QEMU does not answer.");
    doctor_why(finding, "It hangs, or a long job (a save, a backup) has it. Until it answers, it "
                        "counts with all that it may take, and is not moved.");
    doctor_fix(finding, "%s domcontrol \"$GUEST\" # and if it is lost: virsh destroy",
               on_uri(facts, "virsh", command));
}

static void check_exempt(const struct doctor_facts *facts, const struct doctor_guest *guest,
                         struct mc_finding *finding)
{
    static const char why[] = "It is counted and never moved: its balloon would give nothing back "
                              "to the host.";

    (void)facts;
    if (guest->vfio || strcmp(guest->exempt, "passthrough") == 0) {
        doctor_find(finding, MC_LEVEL_NOTE,
                    "A device is passed through to it (VFIO), which pins "
                    "all of its memory.");
        doctor_why(finding, "%s", why);
    } else if (guest->huge_pages || strcmp(guest->exempt, "huge-pages") == 0) {
        doctor_find(finding, MC_LEVEL_NOTE, "It is backed by huge pages.");
        doctor_why(finding, "%s", why);
    } else if (guest->locked || strcmp(guest->exempt, "locked-memory") == 0) {
        doctor_find(finding, MC_LEVEL_NOTE, "Its memory is locked.");
        doctor_why(finding, "%s", why);
    } else if (strcmp(guest->exempt, "unmanaged") == 0) {
        doctor_find(finding, MC_LEVEL_NOTE, "Its settings say that it is left alone.");
        doctor_why(finding, "It is counted and never moved (managed=no).");
        doctor_fix(finding, "memctl set \"$GUEST\" managed=yes");
    } else if (strcmp(guest->exempt, "paused-by-operator") == 0) {
        doctor_find(finding, MC_LEVEL_NOTE, "An operator has paused it.");
        doctor_why(finding, "It is counted and not moved.");
        doctor_fix(finding, "memctl resume \"$GUEST\" # or memctl resume, if all are paused");
    }
}

static void check_balloon(const struct doctor_facts *facts, const struct doctor_guest *guest,
                          struct mc_finding *finding)
{
    char command[COMMAND_TEXT];

    if (!guest->described)
        return;
    if (guest->balloon) {
        doctor_find(finding, MC_LEVEL_OK, "It has a balloon.");
        return;
    }
    if (guest->balloon_next) {
        doctor_find(finding, MC_LEVEL_NOTE, "It has a balloon from its next start on.");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "It has no balloon device.");
    doctor_why(finding, "Its memory can be neither moved nor seen from inside. Holds from its next "
                        "start on.");
    if (!guest->persistent)
        doctor_fix(finding, "# it is transient: write <memballoon model='virtio'/> where its XML "
                            "is made");
    else if (facts->host.has_virt_xml)
        doctor_fix(finding, "%s \"$GUEST\" --edit --memballoon model=virtio",
                   on_uri(facts, "virt-xml", command));
    else
        doctor_fix(
            finding,
            "EDITOR='sed -i \"s/<memballoon model=.none./<memballoon model=\\\"virtio\\\"/\"'"
            " %s edit \"$GUEST\"",
            on_uri(facts, "virsh", command));
}

static void check_driver(const struct doctor_facts *facts, const struct doctor_guest *guest,
                         struct mc_finding *finding)
{
    (void)facts;
    if (!can_move(guest) || !guest->has_statistics || guest->occupied)
        return;
    if (guest->last_update) {
        doctor_find(finding, MC_LEVEL_OK, "Its balloon driver has answered.");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING, "Its balloon driver has never answered.");
    doctor_why(finding, "Without it nothing is known of its memory, and nothing is taken from it. "
                        "Right after a start this is as it should be.");
    doctor_fix(finding, "# in the guest: modprobe virtio_balloon; in Windows: the balloon driver "
                        "and service of virtio-win");
}

static void check_statistics(const struct doctor_facts *facts, const struct doctor_guest *guest,
                             struct mc_finding *finding)
{
    char command[COMMAND_TEXT];

    if (!can_move(guest))
        return;
    if (guest->seen && !guest->fresh && guest->last_update && *guest->exempt &&
        strcmp(guest->exempt, "no") == 0) {
        doctor_find(finding, MC_LEVEL_WARNING, "Its statistics are old or impossible.");
        doctor_why(finding, "It is not shrunk on them. The guest is suspended, hangs, or its "
                            "driver does.");
        doctor_fix(finding, "memctl explain \"$GUEST\"");
    } else if (guest->stats_period_s) {
        doctor_find(finding, MC_LEVEL_OK, "Its balloon reports every %u s.", guest->stats_period_s);
    } else {
        doctor_find(finding, MC_LEVEL_NOTE, "Its balloon does not report its statistics.");
        doctor_why(finding, "memctld turns that on for guests that it manages, while it runs and "
                            "makes no dry run.");
        doctor_fix(finding, "%s dommemstat \"$GUEST\" --period 2 --live%s",
                   on_uri(facts, "virsh", command), guest->persistent ? " --config" : "");
    }
}

static void check_deflate(const struct doctor_facts *facts, const struct doctor_guest *guest,
                          struct mc_finding *finding)
{
    if (!can_move(guest))
        return;
    if (guest->deflates) {
        doctor_find(finding, MC_LEVEL_OK, "Its balloon gives way before a process is killed.");
        return;
    }
    if (guest->deflates_next) {
        doctor_find(finding, MC_LEVEL_NOTE, "Deflate-on-OOM holds from its next start on.");
        doctor_why(finding, "Until then its balloon does not give way when it runs out of memory.");
        return;
    }
    doctor_find(finding, MC_LEVEL_WARNING,
                "Its balloon does not give way when the guest runs out "
                "of memory (deflate-on-OOM is off).");
    doctor_why(finding, "A need that comes faster than memctld can see it ends with a process "
                        "killed in the guest. Holds from its next start on.");
    fix_balloon(facts, guest, finding, "autodeflate");
}

static void check_reporting(const struct doctor_facts *facts, const struct doctor_guest *guest,
                            struct mc_finding *finding)
{
    if (!can_move(guest))
        return;
    if (guest->reports) {
        doctor_find(finding, MC_LEVEL_OK, "It gives free pages back by itself.");
        return;
    }
    if (guest->reports_next) {
        doctor_find(finding, MC_LEVEL_NOTE, "Free page reporting holds from its next start on.");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE,
                "It keeps memory that it has freed (free page reporting is "
                "off).");
    doctor_why(finding, "What was once touched stays resident until the balloon takes it; with "
                        "reporting the host has it back in seconds. Needs Linux 5.7 in the guest; "
                        "holds from its next start on.");
    fix_balloon(facts, guest, finding, "freePageReporting");
}

static void check_agent(const struct doctor_facts *facts, const struct doctor_guest *guest,
                        struct mc_finding *finding)
{
    char command[COMMAND_TEXT];

    if (!can_move(guest))
        return;
    if (guest->agent_speaks) {
        doctor_find(finding, MC_LEVEL_OK, "Its agent speaks.");
        return;
    }
    if (guest->agent_channel && guest->agent_connected && !facts->daemon.answers) {
        doctor_find(finding, MC_LEVEL_OK, "Its agent has opened its channel.");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE,
                guest->agent_channel ? "Nobody speaks on its agent's channel."
                                     : "It has no channel for an agent.");
    doctor_why(finding, "The agent says at once when memory is nearly gone, and how much the guest "
                        "waits for memory; without it that is seen at the next statistics.");
    if (guest->agent_channel)
        doctor_fix(finding, "# in the guest: systemctl enable --now balloon-guest-agent");
    else
        doctor_fix(finding,
                   "echo \"<channel type='unix'><target type='virtio' name='" MC_AGENT_PORT
                   "'/></channel>\" | %s attach-device \"$GUEST\" /dev/stdin --live%s",
                   on_uri(facts, "virsh", command), guest->persistent ? " --config" : "");
}

static void check_reclaim(const struct doctor_facts *facts, const struct doctor_guest *guest,
                          struct mc_finding *finding)
{
    const struct doctor_qemu *qemu = NULL;

    for (size_t i = 0; i < facts->qemu_count; i++)
        if (strcmp(facts->qemus[i].uuid, guest->uuid) == 0)
            qemu = &facts->qemus[i];
    /* Where the host cannot do it at all, the host is told. */
    if (!qemu || !facts->host.cgroup_reclaim || !facts->libvirt.reads_host)
        return;
    if (qemu->reclaim) {
        doctor_find(finding, MC_LEVEL_OK, "The kernel can take memory from it (cgroup v2).");
        return;
    }
    doctor_find(finding, MC_LEVEL_NOTE, "Its QEMU is in no memory cgroup of its own.");
    doctor_why(finding, "It is the way to take memory from a guest whose balloon does not work, "
                        "when the host is short. Holds from its next start on.");
    doctor_fix(finding, "grep -n cgroup_controllers /etc/libvirt/qemu.conf # must hold \"memory\", "
                        "or be left out; then restart libvirtd");
}

static void check_following(const struct doctor_facts *facts, const struct doctor_guest *guest,
                            struct mc_finding *finding)
{
    (void)facts;
    if (!guest->seen)
        return;
    if (guest->distress) {
        doctor_find(finding, MC_LEVEL_WARNING, "It has too little memory now.");
        doctor_why(finding, "It is helped first. If it comes back to this, its min or its shares "
                            "are too low, or its max.");
        doctor_fix(finding, "memctl explain \"$GUEST\"; memctl events --since 1h --guest "
                            "\"$GUEST\"");
    } else if (guest->stuck) {
        doctor_find(finding, MC_LEVEL_WARNING, "Its balloon does not follow.");
        doctor_why(finding, "The driver hangs, is not loaded, or cannot find more to give. It "
                            "counts at its size and is tried again.");
        doctor_fix(finding, "memctl explain \"$GUEST\"; # in the guest: modprobe virtio_balloon");
    } else if (guest->foreign) {
        doctor_find(finding, MC_LEVEL_NOTE, "Somebody else moved its balloon.");
        doctor_why(finding, "memctld leaves it alone for a while. If it was not you, another "
                            "manager is at work.");
        doctor_fix(finding, "memctl events --since 1d --guest \"$GUEST\"");
    }
}

static void check_hard_limit(const struct doctor_facts *facts, const struct doctor_guest *guest,
                             struct mc_finding *finding)
{
    char limit[MC_SIZE_TEXT], memory[MC_SIZE_TEXT], command[COMMAND_TEXT];

    if (!guest->described || guest->hard_limit == MC_UNKNOWN || guest->locked)
        return;
    mc_size_format(limit, guest->hard_limit);
    mc_size_format(memory, guest->memory);
    doctor_find(finding, guest->hard_limit <= guest->memory ? MC_LEVEL_PROBLEM : MC_LEVEL_WARNING,
                "Its QEMU is killed above %s (hard_limit); the guest alone may have %s.", limit,
                memory);
    doctor_why(finding, "QEMU's own memory comes on top of the guest's and has no known bound; the "
                        "kernel kills the guest when both reach the limit.");
    doctor_fix(finding, "%s memtune \"$GUEST\" --hard-limit -1 --live%s",
               on_uri(facts, "virsh", command), guest->persistent ? " --config" : "");
}

static void check_bounds(const struct doctor_facts *facts, const struct doctor_guest *guest,
                         struct mc_finding *finding)
{
    char text[MC_SIZE_TEXT];

    (void)facts;
    if (!guest->seen || strcmp(guest->exempt, "no") != 0 || guest->min == MC_UNKNOWN ||
        guest->min < guest->max)
        return;
    doctor_find(finding, MC_LEVEL_NOTE, "Its min is its max, %s.",
                mc_size_format(text, guest->min));
    doctor_why(finding, "All of it is reserved, and nothing can be moved.");
    doctor_fix(finding, "memctl set \"$GUEST\" min=25%%");
}

const struct doctor_guest_check doctor_guest_checks[] = {
    {"qemu", check_qemu},
    {"exempt", check_exempt},
    {"balloon", check_balloon},
    {"balloon-driver", check_driver},
    {"statistics", check_statistics},
    {"deflate-on-oom", check_deflate},
    {"free-page-reporting", check_reporting},
    {"agent", check_agent},
    {"reclaim", check_reclaim},
    {"following", check_following},
    {"hard-limit", check_hard_limit},
    {"bounds", check_bounds},
    {0},
};
