/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memctl doctor makes of made-up facts, and which facts it reads from a host's files. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/units.h>

#include "doctor/facts.h"

/* ---- judging ---- */

static struct doctor_guest good_guest(const char *name, const char *uuid)
{
    struct doctor_guest guest = {.described = true,
                                 .persistent = true,
                                 .balloon = true,
                                 .deflates = true,
                                 .deflates_next = true,
                                 .reports = true,
                                 .reports_next = true,
                                 .stats_period_s = 2,
                                 .agent_channel = true,
                                 .agent_connected = true,
                                 .memory = 2 * MC_GIB,
                                 .hard_limit = MC_UNKNOWN,
                                 .has_statistics = true,
                                 .last_update = 1700000000,
                                 .seen = true,
                                 .exempt = "no",
                                 .answers = true,
                                 .fresh = true,
                                 .agent_speaks = true,
                                 .min = MC_GIB / 2,
                                 .max = 2 * MC_GIB};

    snprintf(guest.name, sizeof(guest.name), "%s", name);
    snprintf(guest.uuid, sizeof(guest.uuid), "%s", uuid);
    return guest;
}

/* A host of which there is nothing to say, with two guests. */
static void make_good(struct doctor_facts *facts, struct doctor_guest guests[2])
{
    guests[0] = good_guest("web1", "u1");
    guests[1] = good_guest("db1", "u2");
    *facts = (struct doctor_facts){
        .of_this_host = true,
        .host = {.kvm = true,
                 .cpu_can = true,
                 .pressure = true,
                 .pressure_built = true,
                 .total = 32 * MC_GIB,
                 .available = 16 * MC_GIB,
                 .swap_total = 8 * MC_GIB,
                 .swap_free = 8 * MC_GIB,
                 .swap_on_disk = true,
                 .thp = THP_MADVISE,
                 .ksm = true,
                 .ksm_run = 1,
                 .ksm_pages_to_scan = 100,
                 .ksm_sleep_ms = 20,
                 .ksm_sharing = 1000,
                 .cgroup2_memory = true,
                 .cgroup_reclaim = true,
                 .damon = true,
                 .group = true},
        .libvirt = {.asked = true,
                    .connected = true,
                    .answered = true,
                    .uri = "qemu:///system",
                    .reads_host = true},
        .daemon = {.asked = true,
                   .answers = true,
                   .socket = "/run/memctl/memctld.sock",
                   .has_socket = true,
                   .socket_mode = 0660,
                   .version = MEMCTL_VERSION,
                   .uri = "qemu:///system",
                   .link_up = true,
                   .has_plan = true,
                   .host_state = "high",
                   .policy = "idle-tax",
                   .ticks = 1000,
                   .keeps_history = true,
                   .history_up = true,
                   .history_max = MC_GIB,
                   .history_error = "disk full"},
        .guests = guests,
        .guest_count = 2,
    };
}

/* Every case spoils one thing of a good host. */
#define CASES(X)                                                                                   \
    X(kvm, WARNING, "no /dev/kvm", "firmware", h->kvm = h->cpu_can = false)                        \
    X(kvm, WARNING, "no /dev/kvm", "modprobe kvm_intel", h->kvm = false)                           \
    X(pressure, WARNING, "PSI", "# add psi=1", h->pressure = false)                                \
    X(pressure, WARNING, "PSI", "grubby", (h->pressure = false, h->has_grubby = true))             \
    X(pressure, WARNING, "PSI", "update-grub", (h->pressure = false, h->has_update_grub = true))   \
    X(pressure, WARNING, "PSI", "CONFIG_PSI", h->pressure = h->pressure_built = false)             \
    X(memory, WARNING, "Only 1.00G of 32.0G", "ps ", h->available = MC_GIB)                        \
    X(swap, NOTE, "no swap.", "mkswap", h->swap_total = 0)                                         \
    X(swap, WARNING, "guests have more", "mkswap", (h->swap_total = 0, g->memory = 40 * MC_GIB))   \
    X(swap, WARNING, "nearly full", "memctl top", h->swap_free = MC_GIB / 2)                       \
    X(swap, NOTE, "zram", NULL, (h->swap_on_disk = false, h->swap_on_zram = true))                 \
    X(zswap, OK, "zswap", NULL, h->zswap = true)                                                   \
    X(overcommit_memory, WARNING, "vm.overcommit_memory=2", "sysctl", h->overcommit_memory = 2)    \
    X(huge_pages, NOTE, "8.00G are set aside", "nr_hugepages", h->huge_pages = 8 * MC_GIB)         \
    X(huge_pages, OK, "64.0M are set aside", NULL, h->huge_pages = 64 * MC_MIB)                    \
    X(thp, NOTE, "huge pages are off", "madvise", h->thp = THP_NEVER)                              \
    X(ksm, NOTE, "no KSM", "CONFIG_KSM", h->ksm = false)                                           \
    X(ksm, NOTE, "is off", "ksm/run", h->ksm_run = 0)                                              \
    X(ksm, NOTE, "is off", "ksm/run", h->ksm_run = 2)                                              \
    X(ksm, WARNING, "without a pause", "sleep_millisecs", h->ksm_sleep_ms = 0)                     \
    X(ksm, WARNING, "without a pause", "sleep_millisecs", h->ksm_pages_to_scan = 100000)           \
    X(cgroup, NOTE, "no memory controller", "unified",                                             \
      h->cgroup2_memory = h->cgroup_reclaim = false)                                               \
    X(cgroup, NOTE, "no memory.reclaim", "5.19", h->cgroup_reclaim = false)                        \
    X(damon, OK, "not needed", NULL, h->damon = false)                                             \
    X(mom, PROBLEM, "momd runs", "disable --now momd", h->managers = MANAGER_MOM)                  \
    X(mom, PROBLEM, "momd runs", "mom-vdsm", h->managers = MANAGER_MOM | MANAGER_VDSM)             \
    X(mom, WARNING, "oVirt", "Optimization", h->managers = MANAGER_VDSM)                           \
    X(ksmtuned, NOTE, "ksmtuned", "disable --now ksmtuned", h->managers = MANAGER_KSMTUNED)        \
    X(proxmox, WARNING, "Proxmox", NULL, h->managers = MANAGER_PROXMOX)                            \
    X(earlyoom, WARNING, "kills", "disable --now earlyoom", h->managers = MANAGER_EARLYOOM)        \
    X(foreign_guests, WARNING, "1 QEMU is not libvirt's", "-p 77", f->qemu_count = 1)              \
    X(libvirt, PROBLEM, "does not answer", "libvirtd.socket",                                      \
      f->libvirt.answered = f->libvirt.connected = false)                                          \
    X(libvirt, PROBLEM, "within 10 s", "restart libvirtd",                                         \
      (f->libvirt.answered = f->libvirt.connected = false, f->libvirt.late = true,                 \
       strcpy(f->libvirt.error, "within 10 s")))                                                   \
    X(libvirt, PROBLEM, "ermission", "usermod -aG libvirt",                                        \
      (f->libvirt.answered = false, strcpy(f->libvirt.error, "Permission denied")))                \
    X(memctld, PROBLEM, "does not answer at /run", "enable --now memctld", d->answers = false)     \
    X(memctld, WARNING, "may not ask", "usermod -aG memctl",                                       \
      (d->answers = false, d->denied = true))                                                      \
    X(memctld, NOTE, "is 9.9", "restart memctld", strcpy(d->version, "9.9"))                       \
    X(group, NOTE, "no group", "systemd-sysusers", h->group = false)                               \
    X(socket, WARNING, "Everybody", "chmod 660 /run/memctl/memctld.sock", d->socket_mode = 0666)   \
    X(socket, NOTE, "root alone", "restart memctld", d->socket_of_root = true)                     \
    X(connection, PROBLEM, "no connection", "journalctl", d->link_up = false)                      \
    X(stuck_calls, WARNING, "3 of memctld's calls", "domcontrol", d->stuck_calls = 3)              \
    X(mode, NOTE, "dry run", "dry-run = no", d->dry_run = true)                                    \
    X(mode, WARNING, "paused all", "memctl resume", d->paused_all = true)                          \
    X(policy, PROBLEM, "set aside", "policy use", strcpy(d->refused, "mine"))                      \
    X(policy, PROBLEM, "no plan", "policy use", d->has_plan = false)                               \
    X(time, WARNING, "100 of memctld's 1000 ticks", "CPUWeight", d->ticks_late = 100)              \
    X(history, WARNING, "cannot be written: disk full.", "df -h", d->history_up = false)           \
    X(history, NOTE, "shortened to fit into 1.00G", "size = 2G", d->history_shortened = true)      \
    X(overcommit, NOTE, "206 %", "memctl top", g->memory = 64 * MC_GIB)                            \
    X(overcommit, PROBLEM, "exceed what there is by 1.00G", "min=", d->deficit = MC_GIB)           \
    X(host_state, WARNING, "soft", "events", strcpy(d->host_state, "soft"))                        \
    X(host_state, PROBLEM, "low", "events", strcpy(d->host_state, "low"))                          \
    X(qemu, PROBLEM, "does not answer", "domcontrol \"$GUEST\"", g->occupied = true)               \
    X(qemu, PROBLEM, "does not answer", "domcontrol", g->answers = false)                          \
    X(exempt, NOTE, "VFIO", NULL, g->vfio = true)                                                  \
    X(exempt, NOTE, "huge pages", NULL, g->huge_pages = true)                                      \
    X(exempt, NOTE, "locked", NULL, g->locked = true)                                              \
    X(exempt, NOTE, "left alone", "managed=yes", strcpy(g->exempt, "unmanaged"))                   \
    X(exempt, NOTE, "operator", "resume \"$GUEST\"", strcpy(g->exempt, "paused-by-operator"))      \
    X(balloon, WARNING, "no balloon", "EDITOR=", g->balloon = false)                               \
    X(balloon, WARNING, "no balloon", "virt-xml -c qemu:///system \"$GUEST\"",                     \
      (g->balloon = false, h->has_virt_xml = true))                                                \
    X(balloon, NOTE, "next start", NULL, (g->balloon = false, g->balloon_next = true))             \
    X(balloon, WARNING, "no balloon", "transient", g->balloon = g->persistent = false)             \
    X(balloon_driver, WARNING, "never answered", "modprobe virtio_balloon", g->last_update = 0)    \
    X(statistics, NOTE, "does not report", "--period 2 --live --config", g->stats_period_s = 0)    \
    X(statistics, NOTE, "does not report", "--period 2 --live",                                    \
      (g->stats_period_s = 0, g->persistent = false))                                              \
    X(statistics, WARNING, "old or impossible", "explain", g->fresh = false)                       \
    X(deflate_on_oom, WARNING, "OOM is off", "autodeflate",                                        \
      g->deflates = g->deflates_next = false)                                                      \
    X(deflate_on_oom, WARNING, "OOM is off", "--edit --memballoon autodeflate=on",                 \
      (g->deflates = g->deflates_next = false, h->has_virt_xml = true))                            \
    X(deflate_on_oom, WARNING, "OOM is off", "transient",                                          \
      g->deflates = g->deflates_next = g->persistent = false)                                      \
    X(deflate_on_oom, NOTE, "next start", NULL, g->deflates = false)                               \
    X(free_page_reporting, NOTE, "reporting is off", "freePageReporting",                          \
      g->reports = g->reports_next = false)                                                        \
    X(free_page_reporting, NOTE, "next start", NULL, g->reports = false)                           \
    X(agent, NOTE, "Nobody speaks", "balloon-guest-agent", g->agent_speaks = false)                \
    X(agent, NOTE, "no channel", "attach-device \"$GUEST\" /dev/stdin --live --config",            \
      g->agent_speaks = g->agent_channel = false)                                                  \
    X(reclaim, NOTE, "no memory cgroup", "qemu.conf",                                              \
      (f->qemu_count = 1, strcpy(f->qemus[0].uuid, "u1")))                                         \
    X(following, WARNING, "too little memory", "explain", g->distress = true)                      \
    X(following, WARNING, "does not follow", "explain", g->stuck = true)                           \
    X(following, NOTE, "Somebody else", "events", g->foreign = true)                               \
    X(hard_limit, WARNING, "above 3.00G", "--hard-limit -1", g->hard_limit = 3 * MC_GIB)           \
    X(hard_limit, PROBLEM, "above 2.00G", "--hard-limit -1", g->hard_limit = 2 * MC_GIB)           \
    X(bounds, NOTE, "min is its max", "min=25%", g->min = g->max)

struct spoiled {
    const char *check;
    enum mc_level level;
    const char *what, *fix;
};

static const struct spoiled cases[] = {
#define CASE(check, level, what, fix, spoil) {#check, MC_LEVEL_##level, what, fix},
    CASES(CASE)
#undef CASE
};

#define CASE_COUNT (sizeof(cases) / sizeof(*cases))

static void spoil(size_t which, struct doctor_facts *f)
{
    struct doctor_host *h = &f->host;
    struct doctor_daemon *d = &f->daemon;
    struct doctor_guest *g = &f->guests[0];
    size_t i = 0;

    (void)h;
    (void)d;
    (void)g;
#define CASE(check, level, what, fix, spoil)                                                       \
    if (which == i++)                                                                              \
        (void)(spoil);
    CASES(CASE)
#undef CASE
}

/* huge_pages is the check huge-pages. */
static bool is_named(const char *check, const char *word)
{
    for (; *check && *word; check++, word++)
        if (*check != *word && !(*check == '-' && *word == '_'))
            return false;
    return !*check && !*word;
}

static const struct mc_finding *find(const struct mc_findings *findings, const char *word,
                                     const char *guest)
{
    for (size_t i = 0; i < findings->count; i++)
        if (is_named(findings->list[i].check, word) &&
            (!*findings->list[i].guest || strcmp(findings->list[i].guest, guest) == 0))
            return &findings->list[i];
    return NULL;
}

static void judge(size_t which, struct mc_findings *findings)
{
    struct doctor_qemu foreign = {.pid = 77, .uuid = "u9", .rss = MC_GIB};
    struct doctor_guest guests[2];
    struct doctor_facts facts;

    make_good(&facts, guests);
    facts.qemus = &foreign;
    if (which < CASE_COUNT)
        spoil(which, &facts);
    *findings = (struct mc_findings){0};
    assert_int_equal(doctor_judge(&facts, findings), 0);
}

static void a_good_host_has_nothing_but_ok(void **state)
{
    struct mc_findings findings;

    (void)state;
    judge(CASE_COUNT, &findings);
    assert_true(findings.count > 20);
    for (size_t i = 0; i < findings.count; i++) {
        if (findings.list[i].level != MC_LEVEL_OK)
            fail_msg("%s: %s", findings.list[i].check, findings.list[i].what);
        assert_string_equal(findings.list[i].fix, "");
    }
    mc_findings_free(&findings);
}

static void every_flaw_is_found_and_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct mc_findings findings;
        const struct mc_finding *found;

        judge(i, &findings);
        found = find(&findings, cases[i].check, "web1");
        if (!found || found->level != cases[i].level || !strstr(found->what, cases[i].what) ||
            (cases[i].fix ? !strstr(found->fix, cases[i].fix) : *found->fix))
            fail_msg("case %zu, %s: %s '%s' fix '%s'", i, cases[i].check,
                     found ? mc_level_name(found->level) : "-", found ? found->what : "",
                     found ? found->fix : "");
        mc_findings_free(&findings);
    }
}

static void one_flaw_says_nothing_of_the_other_guest(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct mc_findings findings;

        judge(i, &findings);
        for (size_t j = 0; j < findings.count; j++)
            if (strcmp(findings.list[j].guest, "db1") == 0)
                assert_int_equal(findings.list[j].level, MC_LEVEL_OK);
        mc_findings_free(&findings);
    }
}

/* A check without a case could say anything. */
static void every_check_has_a_case(void **state)
{
    const struct doctor_host_check *const host[] = {doctor_host_checks, doctor_daemon_checks};

    (void)state;
    for (size_t table = 0; table < 2; table++)
        for (const struct doctor_host_check *check = host[table]; check->name; check++) {
            bool has = false;

            for (size_t i = 0; i < CASE_COUNT; i++)
                has = has || is_named(check->name, cases[i].check);
            if (!has)
                fail_msg("no case for %s", check->name);
        }
    for (const struct doctor_guest_check *check = doctor_guest_checks; check->name; check++) {
        bool has = false;

        for (size_t i = 0; i < CASE_COUNT; i++)
            has = has || is_named(check->name, cases[i].check);
        if (!has)
            fail_msg("no case for %s", check->name);
    }
}

/* What nobody could tell is not made up: no facts, no problems but that nobody answers. */
static void says_nothing_of_what_it_does_not_know(void **state)
{
    struct doctor_facts facts = {.host = {.total = MC_UNKNOWN,
                                          .available = MC_UNKNOWN,
                                          .swap_total = MC_UNKNOWN,
                                          .overcommit_memory = -1}};
    struct doctor_guest *guest = doctor_guest_of(&facts, "u1");
    struct mc_findings findings = {0};

    (void)state;
    assert_non_null(guest);
    assert_int_equal(doctor_judge(&facts, &findings), 0);
    for (size_t i = 0; i < findings.count; i++)
        assert_true(findings.list[i].level < MC_LEVEL_PROBLEM);
    assert_null(find(&findings, "swap", ""));
    assert_null(find(&findings, "libvirt", ""));
    assert_null(find(&findings, "foreign_guests", ""));
    mc_findings_free(&findings);
    doctor_facts_free(&facts);
}

static void quotes_an_address_that_a_shell_would_take_apart(void **state)
{
    struct doctor_guest guests[2];
    struct mc_findings findings = {0};
    struct doctor_facts facts;

    (void)state;
    make_good(&facts, guests);
    guests[0].stats_period_s = 0;
    strcpy(facts.libvirt.uri, "qemu+unix:///system?socket=/x/libvirt-sock");
    assert_int_equal(doctor_judge(&facts, &findings), 0);
    assert_non_null(strstr(find(&findings, "statistics", "web1")->fix,
                           "virsh -c 'qemu+unix:///system?socket=/x/libvirt-sock' dommemstat"));
    mc_findings_free(&findings);
}

/* ---- files ---- */

struct root {
    char path[64];
};

static void write_file(const struct root *root, const char *name, const char *text, size_t length)
{
    char path[256];
    FILE *out;

    snprintf(path, sizeof(path), "%s%s", root->path, name);
    for (char *slash = path + strlen(root->path) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, length, out), length);
    fclose(out);
}

static void put(const struct root *root, const char *name, const char *text)
{
    write_file(root, name, text, strlen(text));
}

static void make_root(struct root *root)
{
    strcpy(root->path, "/tmp/test-doctor-XXXXXX");
    assert_non_null(mkdtemp(root->path));
}

static void remove_root(const struct root *root)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", root->path);
    assert_int_equal(system(command), 0); /* NOLINT: a path of our own */
}

static void reads_a_host_from_its_files(void **state)
{
    struct doctor_host host;
    struct root root;

    (void)state;
    make_root(&root);
    put(&root, "/dev/kvm", "");
    put(&root, "/proc/cpuinfo", "processor : 0\nflags\t\t: fpu vmx sse\n");
    put(&root, "/proc/meminfo",
        "MemTotal:       1048576 kB\nMemAvailable:    524288 kB\nSwapTotal:        65536 kB\n"
        "SwapFree:          1024 kB\nHugePages_Total:      16\nHugepagesize:       2048 kB\n");
    put(&root, "/proc/sys/vm/overcommit_memory", "2\n");
    put(&root, "/proc/swaps",
        "Filename Type Size Used Priority\n/dev/zram0 partition 65536 0 100\n");
    put(&root, "/sys/module/zswap/parameters/enabled", "Y\n");
    put(&root, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    put(&root, "/sys/kernel/mm/ksm/run", "1\n");
    put(&root, "/sys/kernel/mm/ksm/pages_to_scan", "1250\n");
    put(&root, "/sys/kernel/mm/ksm/sleep_millisecs", "10\n");
    put(&root, "/sys/kernel/mm/ksm/pages_sharing", "77\n");
    put(&root, "/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    put(&root, "/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    put(&root, "/sys/fs/cgroup/machine.slice/memory.reclaim", "");
    put(&root, "/etc/group", "root:x:0:\nmemctl:x:990:\n");
    put(&root, "/usr/bin/virt-xml", "");
    doctor_read_host(root.path, &host);
    assert_true(host.kvm && host.cpu_can && host.pressure && host.pressure_built && host.zswap);
    assert_true(host.swap_on_zram && !host.swap_on_disk && host.ksm && host.group);
    assert_true(host.cgroup2_memory && host.cgroup_reclaim && host.has_virt_xml);
    assert_true(!host.damon && !host.has_grubby && !host.has_update_grub);
    assert_int_equal(host.total, MC_GIB);
    assert_int_equal(host.available, MC_GIB / 2);
    assert_int_equal(host.swap_free, MC_MIB);
    assert_int_equal(host.huge_pages, 32 * MC_MIB);
    assert_int_equal(host.overcommit_memory, 2);
    assert_int_equal(host.thp, THP_NEVER);
    assert_int_equal(host.ksm_run, 1);
    assert_int_equal(host.ksm_pages_to_scan, 1250);
    assert_int_equal(host.ksm_sleep_ms, 10);
    assert_int_equal(host.ksm_sharing, 77);
    remove_root(&root);
}

static void reads_nothing_from_an_empty_host(void **state)
{
    struct doctor_host host;
    struct root root;

    (void)state;
    make_root(&root);
    doctor_read_host(root.path, &host);
    assert_true(!host.kvm && !host.pressure && !host.ksm && !host.group && !host.cgroup_reclaim);
    assert_int_equal(host.total, MC_UNKNOWN);
    assert_int_equal(host.swap_total, MC_UNKNOWN);
    assert_int_equal(host.overcommit_memory, -1);
    assert_int_equal(host.thp, THP_UNKNOWN);
    remove_root(&root);
}

#define COMMAND(text) text, sizeof(text)

static void tells_who_else_is_at_work(void **state)
{
    struct doctor_facts facts = {0};
    struct root root;

    (void)state;
    make_root(&root);
    put(&root, "/proc/10/comm", "ksmtuned\n");
    put(&root, "/proc/10/cmdline", "");
    put(&root, "/proc/11/comm", "python3\n");
    write_file(&root, "/proc/11/cmdline", COMMAND("/usr/bin/python3\0-E\0/usr/sbin/momd\0-d"));
    put(&root, "/proc/12/comm", "vi\n"); /* who only reads its file is not it */
    write_file(&root, "/proc/12/cmdline", COMMAND("vi\0/usr/bin/pvestatd"));
    put(&root, "/proc/20/comm", "qemu-system-x86\n");
    write_file(&root, "/proc/20/cmdline",
               COMMAND("/usr/bin/qemu-system-x86_64\0-name\0web1\0-uuid\0"
                       "11111111-2222-3333-4444-555555555555\0-m\0001024"));
    put(&root, "/proc/20/statm", "100000 512 0 0 0 0 0\n");
    put(&root, "/proc/20/cgroup",
        "0::/machine.slice/machine-qemu\\x2d1\\x2dweb1.scope/libvirt/vcpu0\n");
    put(&root, "/sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb1.scope/memory.reclaim", "");
    put(&root, "/proc/21/comm", "qemu-system-x86\n"); /* libvirt asks what it can do */
    write_file(&root, "/proc/21/cmdline",
               COMMAND("/usr/bin/qemu-system-x86_64\0-S\0-machine\0none,accel=kvm:tcg"));
    put(&root, "/proc/22/comm", "qemu-system-x86\n"); /* a zombie */
    put(&root, "/proc/22/cmdline", "");
    put(&root, "/proc/self/comm", "earlyoom\n"); /* no number */
    assert_int_equal(doctor_read_processes(root.path, &facts), 0);
    assert_int_equal(facts.host.managers, MANAGER_KSMTUNED | MANAGER_MOM);
    assert_int_equal(facts.qemu_count, 1);
    assert_int_equal(facts.qemus[0].pid, 20);
    assert_true(facts.qemus[0].reclaim);
    assert_int_equal(facts.qemus[0].rss, 512 * MC_PAGE);
    assert_string_equal(facts.qemus[0].uuid, "11111111-2222-3333-4444-555555555555");
    doctor_facts_free(&facts);
    remove_root(&root);
}

/* ---- descriptions ---- */

static void reads_a_guest_from_its_description(void **state)
{
    static const char now[] =
        "<domain type='kvm'><memory unit='KiB'>2097152</memory>"
        "<memtune><hard_limit unit='KiB'>3145728</hard_limit></memtune>"
        "<devices><channel type='unix'>"
        "<target type='virtio' name='org.memctl.guest.0' state='connected'/></channel>"
        "<memballoon model='virtio' autodeflate='off'><stats period='5'/></memballoon>"
        "</devices></domain>";
    static const char next[] = "<domain type='kvm'><devices><memballoon model='virtio' "
                               "autodeflate='on' freePageReporting='on'/></devices></domain>";
    struct doctor_guest guest = {0};

    (void)state;
    assert_int_equal(doctor_read_domain(now, next, &guest), 0);
    assert_true(guest.balloon_next);
    assert_true(guest.described && guest.balloon && !guest.deflates && guest.deflates_next);
    assert_true(!guest.reports && guest.reports_next);
    assert_true(guest.agent_channel && guest.agent_connected && !guest.agent_channel_next);
    assert_true(!guest.vfio && !guest.huge_pages && !guest.locked);
    assert_int_equal(guest.stats_period_s, 5);
    assert_int_equal(guest.memory, 2 * MC_GIB);
    assert_int_equal(guest.hard_limit, 3 * MC_GIB);
}

static void reads_what_keeps_a_guest_from_being_moved(void **state)
{
    static const struct {
        const char *xml;
        size_t flag;
    } flags[] = {
        {"<domain><devices><hostdev type='pci'/></devices></domain>",
         offsetof(struct doctor_guest, vfio)},
        {"<domain><devices><interface type='hostdev'/></devices></domain>",
         offsetof(struct doctor_guest, vfio)},
        {"<domain><memoryBacking><hugepages/></memoryBacking></domain>",
         offsetof(struct doctor_guest, huge_pages)},
        {"<domain><memoryBacking><locked/></memoryBacking></domain>",
         offsetof(struct doctor_guest, locked)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        struct doctor_guest guest = {0};

        assert_int_equal(doctor_read_domain(flags[i].xml, NULL, &guest), 0);
        assert_true(*(bool *)((char *)&guest + flags[i].flag));
        assert_false(guest.balloon);
    }
}

static void refuses_what_is_no_description(void **state)
{
    struct doctor_guest guest = {0};

    (void)state;
    assert_true(doctor_read_domain("no xml", NULL, &guest) < 0);
    assert_false(guest.described);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_host_has_nothing_but_ok),
        cmocka_unit_test(every_flaw_is_found_and_explained),
        cmocka_unit_test(one_flaw_says_nothing_of_the_other_guest),
        cmocka_unit_test(every_check_has_a_case),
        cmocka_unit_test(says_nothing_of_what_it_does_not_know),
        cmocka_unit_test(quotes_an_address_that_a_shell_would_take_apart),
        cmocka_unit_test(reads_a_host_from_its_files),
        cmocka_unit_test(reads_nothing_from_an_empty_host),
        cmocka_unit_test(tells_who_else_is_at_work),
        cmocka_unit_test(reads_a_guest_from_its_description),
        cmocka_unit_test(reads_what_keeps_a_guest_from_being_moved),
        cmocka_unit_test(refuses_what_is_no_description),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
