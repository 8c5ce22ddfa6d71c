/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what libvirt, the kernel and QEMU's smaps say. */
#include "testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/domain_xml.h"
#include "observe/host.h"
#include "observe/qemu_process.h"

static struct mc_domain_description describe(const char *inside)
{
    struct mc_domain_description description;
    char xml[4096];

    snprintf(xml, sizeof(xml), "<domain type='kvm'><memory unit='KiB'>524288</memory>%s</domain>",
             inside);
    assert_true(mc_domain_xml_parse(xml, &description, NULL) >= 0);
    return description;
}

#define BALLOON "<memballoon model='virtio'><stats period='5'/></memballoon>"

static void reads_balloon_memory_and_agent_channel(void **state)
{
    struct mc_domain_description d =
        describe("<devices>" BALLOON "<channel type='unix'><source mode='bind' path='/x/agent'/>"
                 "<target type='virtio' name='org.memctl.guest.0'/></channel></devices>");

    (void)state;
    assert_int_equal(d.exempt, MC_EXEMPT_NO);
    assert_int_equal(d.stats_period_s, 5);
    assert_int_equal(d.backend_count, 1);
    assert_int_equal(d.backends[0], 512 * MC_MIB);
    assert_string_equal(d.agent_socket, "/x/agent");
}

static void exempts_what_must_not_be_touched(void **state)
{
    static const struct {
        const char *inside;
        enum mc_exempt exempt;
    } cases[] = {
        {"<devices/>", MC_EXEMPT_NO_BALLOON},
        {"<devices><memballoon model='none'/></devices>", MC_EXEMPT_NO_BALLOON},
        {"<memoryBacking><hugepages/></memoryBacking><devices>" BALLOON "</devices>",
         MC_EXEMPT_HUGE_PAGES},
        {"<memoryBacking><locked/></memoryBacking><devices>" BALLOON "</devices>",
         MC_EXEMPT_LOCKED},
        {"<devices><hostdev mode='subsystem' type='pci'/></devices>", MC_EXEMPT_PASSTHROUGH},
        {"<devices><hostdev mode='subsystem' type='pci'/>" BALLOON "</devices>",
         MC_EXEMPT_PASSTHROUGH},
        {"<devices><hostdev mode='subsystem' type='mdev'/>" BALLOON "</devices>",
         MC_EXEMPT_PASSTHROUGH},
        {"<devices><interface type='hostdev'/>" BALLOON "</devices>", MC_EXEMPT_PASSTHROUGH},
        {"<devices><hostdev mode='subsystem' type='usb'/>" BALLOON "</devices>", MC_EXEMPT_NO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(describe(cases[i].inside).exempt, cases[i].exempt);
}

static void finds_numa_cells_and_memory_devices(void **state)
{
    struct mc_domain_description d = describe(
        "<cpu><numa><cell id='0' memory='262144' unit='KiB'/>"
        "<cell id='1' memory='131072' unit='KiB'/></numa></cpu>"
        "<devices>" BALLOON "<memory model='virtio-mem'><target><size unit='KiB'>131072</size>"
        "</target></memory></devices>");

    (void)state;
    assert_int_equal(d.backend_count, 3);
    assert_int_equal(d.backends[0], 256 * MC_MIB);
    assert_int_equal(d.backends[2], 128 * MC_MIB);
}

static void settings_survive_the_way_through_the_metadata(void **state)
{
    struct mc_settings settings = {0};
    struct mc_domain_description d;
    char inside[512], *xml;

    (void)state;
    mc_settings_say(&settings, "shares", "42", NULL);
    mc_settings_say(&settings, "min", "25%", NULL);
    xml = mc_settings_xml(&settings);
    /* as libvirt gives it back: with its prefix */
    snprintf(inside, sizeof(inside),
             "<metadata><memctl:guest xmlns:memctl='" MC_METADATA_URI "'%s</metadata>",
             xml + strlen("<guest"));
    free(xml);
    d = describe(inside);
    assert_memory_equal(&d.own, &settings, sizeof(settings));
}

static void a_note_survives_the_way_through_the_metadata(void **state)
{
    const struct mc_stopped stopped = {
        .how = MC_LAST_RESORT_SAVE, .at_s = 1700000000, .size = 3 * MC_GIB};
    struct mc_domain_description d;
    char inside[512], *xml = mc_stopped_xml(&stopped);

    (void)state;
    assert_non_null(xml);
    snprintf(inside, sizeof(inside),
             "<metadata><memctl:guest xmlns:memctl='" MC_METADATA_URI "' shares='7'/>"
             "<memctl-stopped:stopped xmlns:memctl-stopped='" MC_STOPPED_URI "'%s</metadata>",
             xml + strlen("<stopped"));
    free(xml);
    d = describe(inside);
    assert_int_equal(d.own.shares, 7);
    assert_int_equal(d.stopped.how, MC_LAST_RESORT_SAVE);
    assert_int_equal(d.stopped.at_s, 1700000000);
    assert_int_equal(d.stopped.size, 3 * MC_GIB);
}

/* A guest is not continued on a note that memctl did not write. */
static void a_note_that_is_wrong_says_nothing(void **state)
{
    static const char *const notes[] = {
        "<stopped xmlns='" MC_STOPPED_URI "' how='kill' at='1' size='1'/>",
        "<stopped xmlns='" MC_STOPPED_URI "' how='suspend'/>",
        "<stopped xmlns='https://example.org/' how='suspend' at='1' size='1'/>",
        "<stopped how='suspend' at='1' size='1'/>",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(notes) / sizeof(*notes); i++) {
        char inside[512];

        snprintf(inside, sizeof(inside), "<metadata>%s</metadata>", notes[i]);
        assert_int_equal(describe(inside).stopped.how, MC_LAST_RESORT_NONE);
    }
}

static void wrong_settings_are_left_out_and_the_rest_holds(void **state)
{
    struct mc_domain_description d;
    struct mc_error err;

    (void)state;
    assert_int_equal(
        mc_domain_xml_parse("<domain><metadata><guest xmlns='" MC_METADATA_URI
                            "' shares='7' min='lots' colour='red'/></metadata></domain>",
                            &d, &err),
        1);
    assert_int_equal(d.own.shares, 7);
    assert_int_equal(d.own.present, 1U << MC_SETTING_SHARES);
}

static void refuses_what_is_no_domain(void **state)
{
    static const char *const bad[] = {
        "",        "<",          "<network/>",
        "<domain", "plain text", "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"};
    struct mc_domain_description d;
    struct mc_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(mc_domain_xml_parse(bad[i], &d, &err), -EBADMSG);
}

/* ---- files made up for the occasion ---- */

struct folder {
    char path[64];
};

static void write_file(const struct folder *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct folder make_folder(void)
{
    struct folder folder = {.path = "/tmp/memctl-observe-XXXXXX"};
    char path[128];

    assert_non_null(mkdtemp(folder.path));
    snprintf(path, sizeof(path), "%s/pressure", folder.path);
    assert_int_equal(mkdir(path, 0700), 0);
    return folder;
}

static void remove_folder(const struct folder *folder)
{
    static const char *const names[] = {"meminfo", "pressure/memory", "smaps"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder->path, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/pressure", folder->path);
    rmdir(path);
    rmdir(folder->path);
}

static void reads_the_hosts_memory_and_pressure(void **state)
{
    struct mc_host_reader reader;
    struct folder folder = make_folder();
    struct mc_host host;

    (void)state;
    write_file(&folder, "meminfo",
               "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    500 kB\n"
               "SwapTotal:      20 kB\nSwapFree:  10 kB\n");
    write_file(&folder, "pressure/memory",
               "some avg10=12.34 avg60=0.00 avg300=0.00 total=0\n"
               "full avg10=0.05 avg60=0.00 avg300=0.00 total=0\n");
    assert_int_equal(mc_host_open(folder.path, &reader, NULL), 0);
    assert_int_equal(mc_host_read(&reader, 1000, &host, NULL), 0);
    assert_int_equal(host.total, 1000 * MC_KIB);
    assert_int_equal(host.available, 500 * MC_KIB);
    assert_int_equal(host.swap_free, 10 * MC_KIB);
    assert_true(host.pressure.present);
    assert_int_equal(host.pressure.some_avg10, 1234);
    assert_int_equal(host.pressure.full_avg10, 5);

    write_file(&folder, "meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n");
    write_file(&folder, "pressure/memory", "some avg10=1.00 x\nfull avg10=0.50 x\n");
    assert_int_equal(mc_host_read(&reader, 6000, &host, NULL), 0);
    assert_int_equal(host.available, 400 * MC_KIB); /* what is old is read again */
    assert_int_equal(host.swap_free, MC_UNKNOWN);
    assert_int_equal(host.pressure.some_avg10, 100);
    mc_host_close(&reader);
    remove_folder(&folder);
}

static void a_host_without_pressure_information_is_no_error(void **state)
{
    struct mc_host_reader reader;
    struct folder folder = make_folder();
    struct mc_host host;

    (void)state;
    write_file(&folder, "meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n");
    assert_int_equal(mc_host_open(folder.path, &reader, NULL), 0);
    assert_int_equal(mc_host_read(&reader, 1000, &host, NULL), 0);
    assert_false(host.pressure.present);
    mc_host_close(&reader);
    remove_folder(&folder);
}

static void tells_guest_memory_from_qemus_own(void **state)
{
    const uint64_t backends[] = {16 * MC_KIB};
    struct folder folder = make_folder();
    char path[128];
    struct mc_qemu_memory memory;

    (void)state;
    write_file(&folder, "smaps",
               "1000-2000 r-xp 00000000 08:01 1 /usr/bin/qemu\nSize: 4 kB\nRss: 4 kB\n"
               "10000-14000 rw-p 00000000 00:00 0 \nSize: 16 kB\nRss: 12 kB\nAnonymous: 12 kB\n"
               "14000-15000 rw-p 00000000 00:00 0 [heap]\nSize: 4 kB\nRss: 3 kB\n");
    snprintf(path, sizeof(path), "%s/smaps", folder.path);
    assert_int_equal(mc_qemu_overhead(path, backends, 1, &memory), 0);
    assert_int_equal(memory.overhead, 7 * MC_KIB);
    assert_int_equal(memory.ram_count, 1);
    assert_int_equal(memory.ram[0].address, 0x10000);
    assert_int_equal(memory.ram[0].size, 16 * MC_KIB);
    remove_folder(&folder);
}

static void adds_up_guest_memory_that_the_kernel_split(void **state)
{
    const uint64_t backends[] = {16 * MC_KIB};
    struct folder folder = make_folder();
    char path[128];
    struct mc_qemu_memory memory;

    (void)state;
    write_file(&folder, "smaps",
               "10000-12000 rw-p 00000000 00:00 0 \nRss: 8 kB\n"
               "12000-14000 rw-p 00000000 00:00 0 \nRss: 4 kB\n"
               "20000-21000 rw-p 00000000 00:00 0 \nRss: 2 kB\n");
    snprintf(path, sizeof(path), "%s/smaps", folder.path);
    assert_int_equal(mc_qemu_overhead(path, backends, 1, &memory), 0);
    assert_int_equal(memory.overhead, 2 * MC_KIB);
    assert_int_equal(memory.ram[0].address, 0x10000);
    assert_int_equal(memory.ram[0].size, 16 * MC_KIB);
    remove_folder(&folder);
}

static void says_when_guest_memory_was_not_found(void **state)
{
    const uint64_t backends[] = {64 * MC_KIB};
    struct folder folder = make_folder();
    char path[128];
    struct mc_qemu_memory memory;

    (void)state;
    write_file(&folder, "smaps", "10000-12000 rw-p 00000000 00:00 0 \nRss: 8 kB\n");
    snprintf(path, sizeof(path), "%s/smaps", folder.path);
    assert_int_equal(mc_qemu_overhead(path, backends, 1, &memory), -ENODATA);
    assert_int_equal(mc_qemu_overhead("/nonexistent", backends, 1, &memory), -ENOENT);
    remove_folder(&folder);
}

static void adds_up_what_virtio_mem_could_plug_in_and_has(void **state)
{
    struct mc_domain_description d = describe(
        "<devices><memory model='dimm'><target><size unit='MiB'>64</size></target></memory>"
        "<memory model='virtio-mem'><target><size unit='MiB'>256</size>"
        "<requested unit='MiB'>128</requested><current unit='KiB'>65536</current></target></memory>"
        "<memory model='virtio-mem'><target><size unit='GiB'>1</size>"
        "<current unit='KiB'>0</current></target></memory></devices>");

    (void)state;
    assert_int_equal(d.pluggable, 256 * MC_MIB + MC_GIB);
    assert_int_equal(d.plugged, 64 * MC_MIB);
}

/* A process that waits for its vfork()ed child cannot be interrupted. */
static void tells_blocked_processes(void **state)
{
    volatile pid_t *child =
        mmap(NULL, MC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool seen = false;
    pid_t pid;

    (void)state;
    if (getenv("MEMCTL_TEST_VALGRIND")) {
        print_message("# valgrind makes a fork() of vfork(), which blocks nobody: not tested\n");
        return;
    }
    assert_true(child != MAP_FAILED);
    pid = fork();
    if (pid == 0) {
        if (vfork() == 0) {
            *child = getpid();
            pause();
            _exit(0);
        }
        _exit(0);
    }
    for (int i = 0; i < 1000 && !(seen && *child); i++) {
        usleep(10000);
        seen = mc_qemu_state_of(-1, pid) == MC_QEMU_BLOCKED;
    }
    assert_true(seen && *child);
    assert_int_equal(mc_qemu_state_of(-1, getpid()), MC_QEMU_ABLE);
    kill(*child, SIGKILL); /* then the other one goes on, to its end */
    waitpid(pid, NULL, 0);
    munmap((void *)(uintptr_t)child, MC_PAGE);
}

/* The state is that of now, although the file was opened long before. */
static void a_kept_file_tells_the_state_of_its_process(void **state)
{
    pid_t pid = fork();
    int stat;

    (void)state;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    stat = mc_qemu_open_stat(pid);
    assert_true(stat >= 0);
    assert_int_equal(mc_qemu_state_of(stat, pid), MC_QEMU_ABLE);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    assert_int_equal(mc_qemu_state_of(stat, pid), MC_QEMU_STOPPED);
    assert_int_equal(mc_qemu_state_of(-1, pid), MC_QEMU_STOPPED);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(mc_qemu_state_of(stat, pid), MC_QEMU_ABLE);
    close(stat);
    assert_int_equal(mc_qemu_open_stat(pid), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_blocked_processes),
        cmocka_unit_test(a_kept_file_tells_the_state_of_its_process),
        cmocka_unit_test(adds_up_what_virtio_mem_could_plug_in_and_has),
        cmocka_unit_test(reads_balloon_memory_and_agent_channel),
        cmocka_unit_test(exempts_what_must_not_be_touched),
        cmocka_unit_test(finds_numa_cells_and_memory_devices),
        cmocka_unit_test(settings_survive_the_way_through_the_metadata),
        cmocka_unit_test(a_note_survives_the_way_through_the_metadata),
        cmocka_unit_test(a_note_that_is_wrong_says_nothing),
        cmocka_unit_test(wrong_settings_are_left_out_and_the_rest_holds),
        cmocka_unit_test(refuses_what_is_no_domain),
        cmocka_unit_test(reads_the_hosts_memory_and_pressure),
        cmocka_unit_test(a_host_without_pressure_information_is_no_error),
        cmocka_unit_test(tells_guest_memory_from_qemus_own),
        cmocka_unit_test(adds_up_guest_memory_that_the_kernel_split),
        cmocka_unit_test(says_when_guest_memory_was_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
