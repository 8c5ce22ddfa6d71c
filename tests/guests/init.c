/*
 * lab-init: process 1 of a lab guest.
 *
 * A C program and not a shell script, since each fork and exec costs milliseconds in emulation:
 * it mounts the kernel's file systems, loads the modules that /modules/order names, and keeps two
 * programs running, the guest agent (if the initramfs has one) and lab-hog. With "lab.probe" on the
 * kernel's command line it ends the machine instead: the kernel has booted, more is not asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct service {
    const char *path;
    pid_t pid;
};

static struct service services[] = {
    {"/bin/lab-hog", 0},
    {"/bin/balloon-guest-agent", 0},
};

static const struct {
    const char *type, *path;
} mounts[] = {
    {"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"debugfs", "/sys/kernel/debug"},
    {"tmpfs", "/run"},    {"tmpfs", "/tmp"},
};

/* To the kernel's log, whose serial console is quicker to set up than our own. */
static void say(const char *what, const char *name)
{
    FILE *log = fopen("/dev/kmsg", "w");

    if (!log)
        return;
    fprintf(log, "<2>lab-init: %s %s\n", what, name);
    fclose(log);
}

/* The rest of the kernel's command line behind a word, or NULL; holds until the next call. */
static char *on_command_line(const char *word)
{
    static char line[1024];
    FILE *in = fopen("/proc/cmdline", "r");
    char *found = in && fgets(line, sizeof(line), in) ? strstr(line, word) : NULL;

    if (in)
        fclose(in);
    return found ? found + strlen(word) : NULL;
}

/* "lab.agent=--cost,5": the agent's arguments, with commas between them. */
static void add_arguments(char *arguments[], size_t room)
{
    char *text = on_command_line("lab.agent=");
    size_t count = 1;

    if (text)
        text[strcspn(text, " \n")] = '\0';
    while (text && count < room - 1 && (arguments[count] = strsep(&text, ",")))
        count++;
    arguments[count] = NULL;
}

static void start(struct service *service)
{
    if (access(service->path, X_OK))
        return;
    service->pid = fork();
    if (service->pid)
        return;

    char *arguments[16] = {(char *)(uintptr_t)service->path};

    if (strstr(service->path, "agent"))
        add_arguments(arguments, sizeof(arguments) / sizeof(*arguments));
    setsid();
    execv(service->path, arguments);
    _exit(127);
}

static void start_all(void)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        start(&services[i]);
}

/* The word "start" in the list means: the programs have all they need now. */
static void load_modules(void)
{
    FILE *order = fopen("/modules/order", "r");
    char name[128];
    char path[160];

    if (!order)
        return;
    while (fgets(name, sizeof(name), order)) {
        name[strcspn(name, "\n")] = '\0';
        if (strcmp(name, "start") == 0) {
            start_all();
            continue;
        }
        snprintf(path, sizeof(path), "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            say("cannot load", name);
        if (fd >= 0)
            close(fd);
        unlink(path);
    }
    fclose(order);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
        mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, NULL);
    int console = open("/dev/console", O_RDWR);

    for (int fd = 0; console >= 0 && fd < 3; fd++)
        dup2(console, fd);
    setenv("PATH", "/bin", 1);
    setenv("HOME", "/root", 1);
    if (fork() == 0) {
        execl("/bin/busybox", "busybox", "--install", "-s", "/bin", (char *)NULL);
        _exit(127);
    }
    load_modules();
    say("up", "");
    if (on_command_line("lab.probe"))
        reboot(RB_AUTOBOOT);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, 0);

        for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
            if (pid <= 0 || services[i].pid != pid)
                continue;
            say("restarting", services[i].path);
            nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
            start(&services[i]);
        }
    }
}
