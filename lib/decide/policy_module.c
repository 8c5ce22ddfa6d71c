/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding and loading policy modules. */
#include "decide/policy_run.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/units.h>

#define SUFFIX ".so"

/* A larger file is no policy. */
#define MODULE_MOST ((off_t)(64 * MC_MIB))

static const char *module_folder(void)
{
    const char *folder = secure_getenv("MEMCTL_POLICY_PATH");

    return folder ? folder : MEMCTL_POLICY_DIR;
}

static int find_module(const char *name, char *path, size_t size, struct mc_error *err)
{
    int length;

    if (strchr(name, '/'))
        length = snprintf(path, size, "%s", name);
    else
        length = snprintf(path, size, "%s/%s" SUFFIX, module_folder(), name);
    if (length < 0 || (size_t)length >= size)
        return mc_error_set(err, -ENAMETOOLONG, "policy '%.64s...': the name is too long", name);
    if (access(path, F_OK) < 0 && !strchr(name, '/'))
        return mc_error_set(err, -ENOENT,
                            "there is no policy '%.64s' (%s is missing); 'memctl policy list' "
                            "shows what there is",
                            name, path);
    return 0;
}

static int check_params(const struct mc_policy *policy, const char *path, struct mc_error *err)
{
    for (size_t i = 0; i < policy->param_count; i++) {
        const struct mc_policy_param *param = &policy->params[i];

        if (!param->name || !param->description || !(param->low <= param->fallback) ||
            !(param->fallback <= param->high))
            return mc_error_set(err, -EINVAL,
                                "policy %s: parameter %zu lacks a name, a description, or a "
                                "default within its range",
                                path, i);
    }
    return 0;
}

static int check_module(const struct mc_policy *policy, const char *path, struct mc_error *err)
{
    if (policy->abi != MC_POLICY_ABI)
        return mc_error_set(err, -EINVAL,
                            "policy %s: made for interface version %" PRIu32
                            ", this memctl has %d; build it against the installed headers",
                            path, policy->abi, MC_POLICY_ABI);
    if (!policy->name || !policy->description || !policy->decide || !policy->open ||
        !policy->close || policy->param_count > MC_POLICY_PARAM_MAX ||
        (policy->param_count && !policy->params))
        return mc_error_set(err, -EINVAL,
                            "policy %s: its table lacks a name, a description, open, close or "
                            "decide, or has more than %d parameters",
                            path, MC_POLICY_PARAM_MAX);
    return check_params(policy, path, err);
}

/*
 * A copy of the file in memory: code that runs may not change when the file is written over in
 * place, and dlopen() gives back the old object for a path, or a file, that is loaded already.
 * Returns its descriptor, or -1 where there is no such thing, or nothing to copy.
 */
static int copy_module(const char *path)
{
    int source = open(path, O_RDONLY | O_CLOEXEC), copy = -1;
    struct stat file;

    if (source >= 0 && fstat(source, &file) == 0 && S_ISREG(file.st_mode) &&
        file.st_size <= MODULE_MOST)
        copy = memfd_create("memctl-policy", MFD_CLOEXEC);
    for (off_t left = copy < 0 ? 0 : file.st_size; left > 0;) {
        ssize_t sent = sendfile(copy, source, NULL, (size_t)left);

        if (sent <= 0) { /* 0: somebody has shortened it */
            close(copy);
            copy = -1;
            break;
        }
        left -= sent;
    }
    if (source >= 0)
        close(source);
    return copy;
}

/*
 * Where no copy can be made or be executed (a kernel can be told to forbid it), the file itself has
 * to do; and it is the one to be named in what dlerror() says.
 */
static int open_module(struct mc_policy_run *run, const char *path, struct mc_error *err)
{
    char by_descriptor[64];

    run->fd = copy_module(path);
    if (run->fd >= 0) {
        snprintf(by_descriptor, sizeof(by_descriptor), "/proc/self/fd/%d", run->fd);
        run->module = dlopen(by_descriptor, RTLD_NOW | RTLD_LOCAL);
    }
    if (!run->module)
        run->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!run->module)
        return mc_error_set(err, -ENOENT, "policy cannot be loaded: %s", dlerror());
    return 0;
}

static int bind_module(struct mc_policy_run *run, const char *path, struct mc_error *err)
{
    int rc = open_module(run, path, err);

    if (rc < 0)
        return rc;
    run->policy = dlsym(run->module, MC_POLICY_SYMBOL);
    if (!run->policy)
        return mc_error_set(err, -EINVAL, "policy %s: exports no symbol '%s'", path,
                            MC_POLICY_SYMBOL);
    rc = check_module(run->policy, path, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < run->policy->param_count; i++)
        run->params[i] = run->policy->params[i].fallback;
    run->state = run->policy->open();
    if (!run->state)
        return mc_error_set(err, -ENOMEM, "policy %s: out of memory", path);
    return 0;
}

int mc_policy_load(const char *name, struct mc_policy_run **run, struct mc_error *err)
{
    char path[4096];
    struct mc_policy_run *loaded;
    int rc = find_module(name, path, sizeof(path), err);

    if (rc < 0)
        return rc;
    loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return mc_error_set(err, -ENOMEM, "policy '%s': out of memory", name);
    loaded->fd = -1;
    loaded->name = strdup(name);
    if (!loaded->name)
        rc = mc_error_set(err, -ENOMEM, "policy '%s': out of memory", name);
    else
        rc = bind_module(loaded, path, err);
    if (rc < 0) {
        mc_policy_unload(loaded);
        return rc;
    }
    *run = loaded;
    return 0;
}

void mc_policy_unload(struct mc_policy_run *run)
{
    if (!run)
        return;
    if (run->state)
        run->policy->close(run->state);
    if (run->module)
        dlclose(run->module);
    if (run->fd >= 0)
        close(run->fd);
    free(run->name);
    free(run);
}

/* ---- what there is ---- */

static int is_module(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > strlen(SUFFIX) && strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

int mc_policy_names(char ***names, size_t *count, struct mc_error *err)
{
    struct dirent **entries;
    int found = scandir(module_folder(), &entries, is_module, alphasort);
    char **list;

    if (found < 0)
        return mc_error_set(err, -ENOENT, "the policies' directory %s cannot be read: %s",
                            module_folder(), strerror(errno));
    list = calloc((size_t)found + 1, sizeof(*list));
    *count = 0;
    for (int i = 0; i < found; i++) {
        if (list)
            list[i] = strndup(entries[i]->d_name, strlen(entries[i]->d_name) - strlen(SUFFIX));
        *count += list && list[i];
        free(entries[i]);
    }
    free(entries);
    if (!list || *count != (size_t)found) {
        mc_policy_names_free(list, (size_t)found);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    *names = list;
    return 0;
}

void mc_policy_names_free(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++)
        free(names[i]);
    free(names);
}
