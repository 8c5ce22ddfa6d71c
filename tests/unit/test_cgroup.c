/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cgroup of a QEMU, in folders that stand in for /proc and cgroupfs. */
#include "testing.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/units.h>

#include "observe/cgroup.h"

#define SCOPE "/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope"

/* Both file systems in one folder: process 7, and what its cgroup file says. */
struct fake {
    char path[64];
    char proc[128], cgroupfs[128];
};

static void make_folder(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void make_folder(const char *format, ...)
{
    char path[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    assert_non_null(fake);
    strcpy(fake->path, "/tmp/memctl-cgroup-XXXXXX");
    assert_non_null(mkdtemp(fake->path));
    snprintf(fake->proc, sizeof(fake->proc), "%s/proc", fake->path);
    snprintf(fake->cgroupfs, sizeof(fake->cgroupfs), "%s/cgroup", fake->path);
    make_folder("%s/7", fake->proc);
    *state = fake;
    return 0;
}

static int drop(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fake *fake = *state;

    nftw(fake->path, drop, 8, FTW_DEPTH | FTW_PHYS);
    free(fake);
    return 0;
}

static int find(const struct fake *fake, const char *cgroup, char folder[4096],
                struct mc_error *err)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/7/cgroup", fake->proc);
    write_file(path, cgroup);
    return mc_cgroup_of_guest(fake->proc, fake->cgroupfs, 7, folder, 4096, err);
}

static void finds_the_guests_own_scope(void **state)
{
    static const char *const cases[][2] = {
        {"0::" SCOPE "/libvirt/emulator\n", SCOPE},
        {"0::" SCOPE "\n", SCOPE},
        {"12:memory:/x\n0::/machine/qemu-3-web1.libvirt-qemu/emulator\n",
         "/machine/qemu-3-web1.libvirt-qemu"},
    };
    const struct fake *fake = *state;
    char folder[4096];
    struct mc_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (find(fake, cases[i][0], folder, &err) < 0)
            fail_msg("%s: %s", cases[i][0], err.text);
        assert_string_equal(folder + strlen(fake->cgroupfs), cases[i][1]);
    }
}

/* Nothing that other guests, or other programs, may be in as well. */
static void refuses_what_may_be_shared(void **state)
{
    static const char *const cases[] = {
        "",
        "12:memory:/machine/qemu-3-web1.libvirt-qemu\n", /* version 1 */
        "0::/\n",
        "0::/machine.slice\n",
        "0::/machine.slice/libvirt\n",
        "0::/machine.slice/machine-qemu.slice/x.service\n",
        "0::/user.slice/user-1000.slice/session-1.scope\n",
        "0::/system.slice/libvirtd.service\n",
        "0::/../../machine.slice/machine-qemu-1.scope\n",
        "0::/.libvirt-qemu\n",
    };
    const struct fake *fake = *state;
    char folder[4096];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct mc_error err = {0};

        assert_int_equal(find(fake, cases[i], folder, &err), -ENOTSUP);
        assert_true(err.text[0]);
    }
    assert_int_equal(
        mc_cgroup_of_guest(fake->proc, fake->cgroupfs, 8, folder, sizeof(folder), NULL), -ENOENT);
}

static void asks_for_so_many_bytes(void **state)
{
    const struct fake *fake = *state;
    char folder[4096], path[4200], text[32] = "";
    FILE *file;

    assert_int_equal(find(fake, "0::" SCOPE "/libvirt/emulator\n", folder, NULL), 0);
    make_folder("%s", folder);
    snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
    write_file(path, "");
    assert_int_equal(mc_cgroup_reclaim(folder, 64 * MC_MIB, NULL), 0);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "67108864");
}

static void says_what_is_missing(void **state)
{
    const struct fake *fake = *state;
    char path[4200], folder[256];
    struct mc_error err;

    snprintf(folder, sizeof(folder), "%s/machine-qemu-1.scope", fake->cgroupfs);
    make_folder("%s", folder);
    assert_int_equal(mc_cgroup_reclaim(folder, MC_MIB, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "memory.reclaim is missing"));
    assert_non_null(strstr(err.text, "5.19"));

    /* A link leads elsewhere. */
    snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(mc_cgroup_reclaim(folder, MC_MIB, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_guests_own_scope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_may_be_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_for_so_many_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_missing, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
