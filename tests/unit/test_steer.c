/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which guests are merged, and when; KSM's folder. */
#include "steer_scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

static void merges_a_guest_that_pays(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *guest = add(&s, "a", "web");

    (void)state;
    pass(&s);
    assert_int_equal(guest->order, MC_STEER_SWITCH_ON);
    assert_int_equal(guest->mind.promised, 256 * MC_MIB);
    assert_string_equal(s.plan.domain, "web");
    obey(&s);
    assert_int_equal(guest->order, MC_STEER_LEAVE);
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
    assert_true(runs(&s));
}

static void leaves_a_guest_that_saves_too_little(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *guest = add(&s, "a", "web");

    (void)state;
    guest->saving = MC_GIB / 100;
    pass(&s);
    assert_int_equal(guest->reason, MC_STEER_POOR);
    assert_int_equal(guest->order, MC_STEER_LEAVE);
    assert_int_equal(s.plan.pace, MC_STEER_NOTHING);
    assert_false(runs(&s));
}

static void huge_pages_weigh_against_merging(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *guest = add(&s, "a", "web");

    (void)state;
    guest->saving = 64 * MC_MIB; /* a sixteenth: what the huge pages are worth that it breaks */
    guest->huge = MC_GIB;
    pass(&s);
    assert_int_equal(guest->split, MC_GIB);
    assert_int_equal(guest->gain, 0);
    assert_int_equal(guest->reason, MC_STEER_POOR);
    guest->saving = 128 * MC_MIB;
    pass(&s);
    assert_int_equal(guest->gain, 64 * MC_MIB);
    assert_int_equal(guest->order, MC_STEER_SWITCH_ON);
}

static void off_is_off_whatever_it_would_save(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *guest = add(&s, "a", "web");

    (void)state;
    guest->wanted = false;
    guest->mergeable = guest->ram;
    pass(&s);
    assert_int_equal(guest->order, MC_STEER_SWITCH_OFF);
    assert_int_equal(guest->reason, MC_STEER_OFF);
    assert_false(runs(&s));
}

static void the_domain_that_saves_most_is_merged_alone(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *a = add(&s, "a", "web"), *b = add(&s, "b", "web");
    struct mc_steer_guest *c = add(&s, "c", "db");

    (void)state;
    c->saving = 300 * MC_MIB;
    c->mergeable = c->ram; /* as QEMU starts it */
    pass(&s);
    assert_string_equal(s.plan.domain, "web");
    assert_int_equal(c->order, MC_STEER_SWITCH_OFF);
    assert_int_equal(c->reason, MC_STEER_OTHER_DOMAIN);
    assert_int_equal(a->order, MC_STEER_LEAVE);
    assert_int_equal(a->reason, MC_STEER_WAITS);
    assert_int_equal(s.plan.pace, MC_STEER_BLOCKED);
    assert_false(runs(&s));
    obey(&s);
    assert_int_equal(a->order, MC_STEER_SWITCH_ON);
    assert_int_equal(b->order, MC_STEER_SWITCH_ON);
    obey(&s);
    assert_true(runs(&s));
}

static void a_rival_has_to_be_better_for_some_time(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *a = add(&s, "a", "web"), *b = add(&s, "b", "db");

    (void)state;
    b->saving = 200 * MC_MIB;
    pass(&s);
    obey(&s);
    b->saving = 320 * MC_MIB; /* better, but not by half */
    for (unsigned i = 0; i < 10; i++)
        pass(&s);
    assert_string_equal(s.plan.domain, "web");
    b->saving = 512 * MC_MIB;
    pass(&s);
    pass(&s);
    assert_string_equal(s.plan.domain, "web");
    pass(&s);
    assert_string_equal(s.plan.domain, "db");
    assert_int_equal(a->order, MC_STEER_SWITCH_OFF);
    assert_int_equal(b->order, MC_STEER_LEAVE);
    assert_false(runs(&s));
}

static void memory_beside_the_ram_keeps_another_domain_from_being_merged(void **state)
{
    struct scene s = steer_scene();
    struct mc_steer_guest *b;

    (void)state;
    add(&s, "a", "web");
    b = add(&s, "b", "db");
    b->saving = 0;
    b->beside = 16 * MC_MIB; /* its video memory */
    pass(&s);
    assert_string_equal(s.plan.domain, "");
    assert_false(runs(&s));
    b->beside = 0;
    pass(&s);
    obey(&s);
    assert_true(runs(&s));
    b->beside = MC_MIB; /* it was started anew */
    s.host.ksm.knobs.value[MC_KSM_RUN] = 1;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_BLOCKED);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    assert_non_null(strstr(s.plan.why, "nosharepages"));
}

static void stops_for_whoever_nobody_knows(void **state)
{
    struct scene s = merged_scene();
    struct mc_steer_guest *new;

    (void)state;
    s.host.strangers = 1;
    decide(&s);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    s.host.strangers = 0;
    s.host.starting = true;
    decide(&s);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    s.host.starting = false;
    s.host.looked = false;
    decide(&s);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    s.host.looked = true;
    decide(&s);
    assert_true(runs(&s));
    new = add(&s, "b", "own");
    new->looked = new->scanned = false;
    decide(&s);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    assert_int_equal(new->reason, MC_STEER_SILENT);
}

static void idles_while_the_host_has_plenty(void **state)
{
    struct scene s = merged_scene();
    struct mc_steer_guest *late = add(&s, "b", "web");

    (void)state;
    s.host.state = MC_HOST_HIGH;
    pass(&s);
    assert_int_equal(s.plan.pace, MC_STEER_IDLE);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0);
    assert_int_equal(s.guests[0].order, MC_STEER_LEAVE); /* what is merged stays */
    assert_int_equal(late->reason, MC_STEER_PLENTY);
}

static void a_guest_that_pays_no_more_is_parted_after_some_passes(void **state)
{
    struct scene s = merged_scene();
    struct mc_steer_guest *guest = &s.guests[0];

    (void)state;
    guest->saving = 0;
    guest->mind.promised = 0;
    pass(&s);
    pass(&s);
    assert_int_equal(guest->order, MC_STEER_LEAVE);
    pass(&s);
    assert_int_equal(guest->reason, MC_STEER_POOR);
    assert_int_equal(guest->order, MC_STEER_SWITCH_OFF);
}

static void parts_no_pages_without_room_for_them(void **state)
{
    struct scene s = merged_scene();
    struct mc_steer_guest *guest = &s.guests[0];

    (void)state;
    guest->merging = 512 * MC_MIB;
    guest->wanted = false;
    s.host.spare = 511 * MC_MIB;
    pass(&s);
    assert_int_equal(guest->reason, MC_STEER_NO_ROOM);
    assert_int_equal(guest->order, MC_STEER_LEAVE);
    assert_int_equal(s.plan.knobs.value[MC_KSM_RUN], 0); /* but no page more */
    s.host.spare = 512 * MC_MIB;
    decide(&s);
    assert_int_equal(guest->order, MC_STEER_SWITCH_OFF);
}

static void leaves_ksm_to_others(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    s.host.hands_off = true;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_HANDS_OFF);
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        assert_int_equal(s.plan.knobs.value[i], MC_UNKNOWN);
    s.guests[0].wanted = false;
    decide(&s);
    assert_int_equal(s.guests[0].order, MC_STEER_LEAVE);
}

/* ---- KSM's folder ---- */

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void reads_and_writes_the_folder_of_ksm(void **state)
{
    char folder[] = "/tmp/test-steer-XXXXXX", path[256];
    static const char *const names[] = {"run",          "pages_to_scan", "sleep_millisecs",
                                        "pages_shared", "pages_sharing", "full_scans",
                                        "advisor_mode", "smart_scan"};
    struct mc_error err;
    struct mc_ksm ksm;

    (void)state;
    assert_non_null(mkdtemp(folder));
    mc_ksm_read(folder, &ksm);
    assert_false(ksm.present);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        put(folder, names[i], i ? "17\n" : "1\n");
    put(folder, "advisor_mode", "none [scan-time]\n");
    put(folder, "smart_scan", "nonsense\n");
    mc_ksm_read(folder, &ksm);
    assert_true(ksm.present);
    assert_int_equal(ksm.knobs.value[MC_KSM_RUN], 1);
    assert_int_equal(ksm.knobs.value[MC_KSM_ADVISOR_MODE], 1);
    assert_int_equal(ksm.knobs.value[MC_KSM_SMART_SCAN], MC_UNKNOWN);
    assert_int_equal(ksm.zero_pages, MC_UNKNOWN);
    assert_int_equal(ksm.sharing, 17);
    assert_int_equal(mc_ksm_write(folder, MC_KSM_RUN, 0, &err), 0);
    mc_ksm_read(folder, &ksm);
    assert_int_equal(ksm.knobs.value[MC_KSM_RUN], 0);
    assert_int_equal(mc_ksm_write(folder, MC_KSM_USE_ZERO_PAGES, 1, &err), -ENOENT);
    assert_non_null(strstr(err.text, "use_zero_pages cannot be set to 1"));
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_a_guest_that_pays),
        cmocka_unit_test(leaves_a_guest_that_saves_too_little),
        cmocka_unit_test(huge_pages_weigh_against_merging),
        cmocka_unit_test(off_is_off_whatever_it_would_save),
        cmocka_unit_test(the_domain_that_saves_most_is_merged_alone),
        cmocka_unit_test(a_rival_has_to_be_better_for_some_time),
        cmocka_unit_test(memory_beside_the_ram_keeps_another_domain_from_being_merged),
        cmocka_unit_test(stops_for_whoever_nobody_knows),
        cmocka_unit_test(idles_while_the_host_has_plenty),
        cmocka_unit_test(a_guest_that_pays_no_more_is_parted_after_some_passes),
        cmocka_unit_test(parts_no_pages_without_room_for_them),
        cmocka_unit_test(leaves_ksm_to_others),
        cmocka_unit_test(reads_and_writes_the_folder_of_ksm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
