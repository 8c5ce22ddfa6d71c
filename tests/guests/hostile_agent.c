/*
 * hostile-agent: takes the place of the agent in a lab guest and says what ../hostile.c knows, a
 * few seconds each, for ever; "distress" and what else the host would take at a pace that it takes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../hostile.h"

#define PORT "org.memctl.guest.0"
#define WAY_S 4

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static bool is_ours(const char *device)
{
    char path[512], name[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", device);
    file = fopen(path, "r");
    if (!file)
        return false;
    if (fscanf(file, "%63s", name) != 1)
        *name = '\0';
    fclose(file);
    return strcmp(name, PORT) == 0;
}

static int open_port(void)
{
    DIR *ports = opendir("/sys/class/virtio-ports");
    struct dirent *entry;
    char path[512];
    int fd = -1;

    while (ports && fd < 0 && (entry = readdir(ports))) {
        if (!is_ours(entry->d_name))
            continue;
        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (ports)
        closedir(ports);
    return fd;
}

int main(void)
{
    struct hostile hostile = {.random = (uint64_t)time(NULL) | 1};
    char text[8192];
    int port;

    while ((port = open_port()) < 0)
        pause_ms(100);
    for (unsigned turn = 0;; turn++) {
        time_t until = time(NULL) + WAY_S;
        bool slowly = turn / 9 % 2 == 0;

        while (time(NULL) < until) {
            size_t length = hostile_bytes(&hostile, turn % 9, text, sizeof(text));

            if (write(port, text, length) < 0 || slowly)
                pause_ms(slowly ? 125 : 1);
        }
    }
}
