/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ask a policy about a snapshot, without a daemon. */
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/wire.h>

struct evaluation {
    struct mc_policy_run *policy;
    struct mc_question question;
    uint64_t *targets;
};

static json_t *read_snapshot(const char *file, struct mc_error *err)
{
    bool is_input = strcmp(file, "-") == 0;
    json_error_t error;
    json_t *root = is_input ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                            : json_load_file(file, JSON_REJECT_DUPLICATES, &error);

    if (!root && error.line < 0)
        mc_error_set(err, -ENOENT, "%s", error.text);
    else if (!root)
        mc_error_set(err, -EINVAL, "snapshot %s: line %d: %s", file, error.line, error.text);
    return root;
}

static int set_given_params(struct mc_policy_run *policy, const struct cli *cli,
                            struct mc_error *err)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        const char *text = cli->given[i].value;
        const char *value;
        char key[64];
        int rc;

        if (strcmp(cli->given[i].name, "param") != 0)
            continue;
        if (!mc_pair_split(text, key, sizeof(key), &value))
            return mc_error_set(err, -EINVAL, "--param '%s' is not NAME=VALUE", text);
        rc = mc_policy_set_param(policy, key, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int load_policy(const struct cli *cli, const json_t *root, struct mc_policy_run **policy,
                       struct mc_error *err)
{
    const char *given = cli_option(cli, "policy");
    const char *said = json_string_value(json_object_get(root, "policy"));
    int rc;

    if (!given && !said)
        return mc_error_set(err, -EINVAL, "which policy? Say --policy NAME");
    rc = mc_policy_load(given ? given : said, policy, err);
    /* What the snapshot says of parameters holds for the policy that it names. */
    if (rc == 0 && said && (!given || strcmp(given, said) == 0))
        rc = mc_params_from_json(*policy, json_object_get(root, "params"), err);
    return rc < 0 ? rc : set_given_params(*policy, cli, err);
}

static int evaluate(const struct cli *cli, const char *file, struct evaluation *evaluation,
                    struct mc_error *err)
{
    json_t *root = read_snapshot(file, err);
    int rc = root ? 0 : err->code;

    if (rc == 0)
        rc = load_policy(cli, root, &evaluation->policy, err);
    if (rc == 0) {
        rc = mc_question_from_json(root, &evaluation->question, err);
        if (rc < 0)
            mc_error_prefix(err, "snapshot %s: ", file);
    }
    json_decref(root);
    if (rc < 0)
        return rc;
    evaluation->targets = calloc(evaluation->question.input.count + 1, sizeof(uint64_t));
    if (!evaluation->targets)
        return mc_error_set(err, -ENOMEM, "out of memory");
    return mc_policy_decide(evaluation->policy, &evaluation->question.input, evaluation->targets,
                            err);
}

static json_t *to_json(const struct evaluation *evaluation)
{
    const struct mc_policy_input *input = &evaluation->question.input;
    uint64_t sum_min = 0, sum_max = 0;
    json_t *targets = json_array();

    for (size_t i = 0; i < input->count; i++) {
        sum_min += input->guests[i].min;
        sum_max += input->guests[i].max;
        json_array_append_new(targets,
                              json_pack("{s:s, s:I}", "name", evaluation->question.names[i].name,
                                        "target", (json_int_t)evaluation->targets[i]));
    }
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:o}", "policy",
                     mc_policy_of(evaluation->policy)->name, "params",
                     mc_params_to_json(evaluation->policy), "budget", (json_int_t)input->budget,
                     "surplus", (json_int_t)mc_less_u64(input->budget, sum_max), "deficit",
                     (json_int_t)mc_less_u64(sum_min, input->budget), "targets", targets);
}

static void print_table(const struct evaluation *evaluation)
{
    const struct mc_policy_input *input = &evaluation->question.input;
    char all[MC_SIZE_TEXT], budget[MC_SIZE_TEXT];
    uint64_t given = 0;

    printf("%-20s %7s %7s %7s %7s %7s %7s %8s\n", "GUEST", "SHARES", "MIN", "MAX", "CURRENT",
           "ACTIVE", "TARGET", "CHANGE");
    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];
        uint64_t target = evaluation->targets[i];
        bool shrinks = target < guest->current;
        char min[MC_SIZE_TEXT], max[MC_SIZE_TEXT], current[MC_SIZE_TEXT], active[MC_SIZE_TEXT];
        char to[MC_SIZE_TEXT], size[MC_SIZE_TEXT], change[MC_SIZE_TEXT + 1];

        snprintf(change, sizeof(change), "%s%s", shrinks ? "-" : "+",
                 mc_size_format(size, shrinks ? guest->current - target : target - guest->current));
        printf("%-20s %7llu %7s %7s %7s %7s %7s %8s\n", evaluation->question.names[i].name,
               (unsigned long long)guest->shares, mc_size_format(min, guest->min),
               mc_size_format(max, guest->max), mc_size_format(current, guest->current),
               mc_size_format(active, guest->active), mc_size_format(to, target),
               target == guest->current ? "=" : change);
        given += target;
    }
    printf("\n%s gives out %s of %s\n", mc_policy_of(evaluation->policy)->name,
           mc_size_format(all, given), mc_size_format(budget, input->budget));
}

int policy_eval(const struct cli *cli, int argc, char **argv)
{
    struct evaluation evaluation = {0};
    struct mc_error err = {0};
    int code = EXIT_OK;

    if (argc != 1)
        return cli_usage(&command_policy, "eval takes one file, or - for the standard input");
    if (evaluate(cli, argv[0], &evaluation, &err) < 0)
        code = cli_fail(&err);
    else if (cli->json)
        code = cli_print_json(to_json(&evaluation));
    else
        print_table(&evaluation);
    free(evaluation.targets);
    mc_question_free(&evaluation.question);
    mc_policy_unload(evaluation.policy);
    return code;
}
