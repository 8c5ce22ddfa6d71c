/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sketches in files, and what they have in common. */
#include "dedupe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/dedupe.h>

#define FORMAT 1

/* What a file says: all its guests as one. */
struct sketched {
    const char *file;
    struct mc_sketch sketch;
    uint64_t scanned;
};

int sketch_save(const struct cli *cli, const char *file, const char *guest)
{
    json_t *args = guest ? json_pack("{s:s}", "guest", guest) : NULL, *result;
    char host[256] = "";
    struct mc_error err;
    int code = cli_ask(cli, "dedupe-sketch", args, &result);

    if (code != EXIT_OK)
        return code;
    gethostname(host, sizeof(host) - 1);
    json_object_set_new(result, "memctl-sketch", json_integer(FORMAT));
    json_object_set_new(result, "host", json_string(host));
    if (json_dump_file(result, file, JSON_INDENT(1)) < 0) {
        mc_error_set(&err, -EIO, "%s cannot be written: %s", file, strerror(errno));
        code = cli_fail(&err);
    }
    json_decref(result);
    return code;
}

/* ---- comparing ---- */

static int take_guest(const json_t *guest, struct sketched *sketched)
{
    const json_t *hashes = json_object_get(guest, "hashes");
    uint64_t scanned = json_size(guest, "scanned");
    struct mc_sketch sketch = {0};
    json_t *hash;
    size_t i;

    if (!json_is_array(hashes) || json_array_size(hashes) > MC_SKETCH_SIZE || scanned > MC_SIZE_MAX)
        return -EPROTO;
    json_array_foreach (hashes, i, hash) {
        sketch.hashes[sketch.count++] = (uint64_t)json_integer_value(hash);
        if (!json_is_integer(hash) || (i && sketch.hashes[i] <= sketch.hashes[i - 1]))
            return -EPROTO;
    }
    mc_sketch_union(&sketched->sketch, &sketch);
    sketched->scanned += scanned;
    return 0;
}

static int load(const char *file, struct sketched *sketched, struct mc_error *err)
{
    json_error_t where;
    json_t *content = json_load_file(file, 0, &where), *guest;
    int rc = 0;
    size_t i;

    *sketched = (struct sketched){.file = file};
    if (!content)
        return mc_error_set(err, -EINVAL, "%s: %s", file, where.text);
    if (json_integer_value(json_object_get(content, "memctl-sketch")) != FORMAT)
        rc = -EPROTO;
    json_array_foreach (json_object_get(content, "guests"), i, guest)
        if (rc == 0)
            rc = take_guest(guest, sketched);
    json_decref(content);
    return rc < 0 ? mc_error_set(err, rc, "%s is no sketch of memctl's", file) : 0;
}

static json_t *overlap_json(const struct sketched *a, const struct sketched *b, double shared,
                            double error)
{
    return json_pack("{s:s, s:s, s:I, s:I}", "a", a->file, "b", b->file, "shared",
                     (json_int_t)(shared * (double)MC_PAGE), "error",
                     (json_int_t)(error * (double)MC_PAGE));
}

static int print_overlaps(const struct cli *cli, const struct sketched *sketched, size_t count)
{
    json_t *pairs = json_array();

    if (!cli->json)
        printf("%-20s %-20s %8s %8s  %s\n", "A", "B", "SHARED", "+-", "OF THE SMALLER");
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            double error,
                shared = mc_sketch_shared(&sketched[a].sketch, &sketched[b].sketch, &error);
            uint64_t smaller = mc_min_u64(sketched[a].scanned, sketched[b].scanned);
            json_t *pair = overlap_json(&sketched[a], &sketched[b], shared, error);

            if (!cli->json)
                printf("%-20s %-20s %8s %8s  %.0f%%\n", sketched[a].file, sketched[b].file,
                       cli_size(pair, "shared"), cli_size(pair, "error"),
                       smaller ? 100 * shared * (double)MC_PAGE / (double)smaller : 0);
            json_array_append_new(pairs, pair);
        }
    }
    if (cli->json)
        return cli_print_json(pairs);
    json_decref(pairs);
    return EXIT_OK;
}

int sketch_overlap(const struct cli *cli, int count, char **files)
{
    struct sketched *sketched = calloc((size_t)count, sizeof(*sketched));
    struct mc_error err = {0};
    int rc = 0;

    if (!sketched) {
        mc_error_set(&err, -ENOMEM, "out of memory");
        return cli_fail(&err);
    }
    for (int i = 0; rc == 0 && i < count; i++)
        rc = load(files[i], &sketched[i], &err);
    rc = rc < 0 ? cli_fail(&err) : print_overlaps(cli, sketched, (size_t)count);
    free(sketched);
    return rc;
}
