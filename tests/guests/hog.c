/*
 * lab-hog: the program in a lab guest that does what a test says.
 *
 * It obeys lines on the virtio-serial port org.memctl.lab.0, "ID VERB ARGUMENT...", and answers
 * each with one line of JSON that repeats the ID; a line left over from an earlier client has
 * another ID and is skipped by the next one.
 *
 * Two processes: this one answers and can neither be killed for lack of memory nor be paged out,
 * so that a test can look into a guest that is in trouble; the other (load.c) holds the memory.
 * A verb of the load is passed on and answered when it is done; until then others say "busy".
 */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT "org.memctl.lab.0"
#define OUTPUT_LIMIT 65536
#define RUN_LIMIT_MS 60000

struct hog {
    int port;
    bool connected;
    struct load load;
    char pending[24]; /* ID of the command that the load works on, or "" */
    char line[4096];
    size_t length;
};

static volatile sig_atomic_t port_changed = 1;

static void on_sigio(int signal)
{
    (void)signal;
    port_changed = 1;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/*
 * Waits while the queue is full. The news that a client came takes another way than its first
 * command and may be later: so a port that looks hung up is tried again for a while.
 */
static void send_text(struct hog *hog, const char *text, size_t length)
{
    struct pollfd wait = {.fd = hog->port, .events = POLLOUT};

    for (int patience = 250; length && patience;) {
        ssize_t done = write(hog->port, text, length);

        if (done > 0) {
            text += done;
            length -= (size_t)done;
            continue;
        }
        if (errno != EINTR && errno != EAGAIN)
            return;
        if (poll(&wait, 1, 2000) <= 0)
            return;
        if (!(wait.revents & POLLOUT)) {
            patience--;
            pause_ms(2);
        }
    }
}

static void answer(struct hog *hog, const char *id, int result, const char *fields)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        return;
    fprintf(out, "{\"id\":\"%s\",\"ok\":%s", id, result ? "false" : "true");
    if (result)
        fprintf(out, ",\"error\":\"%s\"",
                result == -ENOSYS ? "no such command" : strerror(-result));
    fprintf(out, "%s}\n", fields ? fields : "");
    if (fclose(out) == 0)
        send_text(hog, text, length);
    free(text);
}

static void put_string(FILE *out, const char *text, size_t length)
{
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* "name value" or "name: value kB" lines whose name begins like one of a list. */
static void put_fields(FILE *out, const char *key, const char *path, const char *const *names)
{
    FILE *in = fopen(path, "r");
    char line[256];
    char name[64];
    unsigned long long value;
    const char *comma = "";

    fprintf(out, ",\"%s\":{", key);
    while (in && fgets(line, sizeof(line), in)) {
        if (sscanf(line, "%63[^: ]%*[: ]%llu", name, &value) != 2)
            continue;
        for (const char *const *n = names; *n; n++) {
            if (strncmp(name, *n, strlen(*n)) != 0)
                continue;
            fprintf(out, "%s\"%s\":%llu", comma, name, strstr(line, " kB") ? value << 10 : value);
            comma = ",";
            break;
        }
    }
    fputc('}', out);
    if (in)
        fclose(in);
}

static void put_pressure(FILE *out)
{
    FILE *in = fopen("/proc/pressure/memory", "r");
    char line[256];
    char kind[8];
    double ten;
    double sixty;
    unsigned long long total;

    while (in && fgets(line, sizeof(line), in)) {
        if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%*f total=%llu", kind, &ten, &sixty,
                   &total) == 4)
            fprintf(out, ",\"psi_%s\":{\"avg10\":%.2f,\"avg60\":%.2f,\"total_us\":%llu}", kind, ten,
                    sixty, total);
    }
    if (in)
        fclose(in);
}

static int do_ping(struct hog *hog, FILE *out, char *args)
{
    struct timespec t;
    char boot[64] = "";
    FILE *in = fopen("/proc/sys/kernel/random/boot_id", "r");

    (void)hog, (void)args;
    if (in) {
        if (fscanf(in, "%63s", boot) != 1)
            *boot = '\0';
        fclose(in);
    }
    clock_gettime(CLOCK_BOOTTIME, &t);
    fprintf(out, ",\"uptime_ms\":%lld,\"boot\":\"%s\"",
            (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, boot);
    return 0;
}

static int do_stats(struct hog *hog, FILE *out, char *args)
{
    static const char *const meminfo[] = {
        "MemTotal",  "MemFree",  "MemAvailable", "Buffers", "Cached",   "SwapTotal", "SwapFree",
        "AnonPages", "AnonHuge", "Slab",         "Active",  "Inactive", NULL,
    };
    static const char *const vmstat[] = {
        "pswpin",   "pswpout",  "pgmajfault",    "pgfault",  "workingset_refault",
        "oom_kill", "balloon_", "pgscan_direct", "pgsteal_", "allocstall",
        NULL,
    };
    struct load_state *s = hog->load.state;

    do_ping(hog, out, args);
    put_fields(out, "meminfo", "/proc/meminfo", meminfo);
    put_fields(out, "vmstat", "/proc/vmstat", vmstat);
    put_pressure(out);
    fprintf(out,
            ",\"load\":{\"alive\":%s,\"busy\":%s,\"kills\":%u,\"oomscore\":%d,\"held\":%llu,"
            "\"hot\":%llu,\"passes\":%llu,\"pass_us\":%llu,\"filling\":%llu,\"cached\":%llu,"
            "\"cache_us\":%llu}",
            hog->load.pid ? "true" : "false", *hog->pending ? "true" : "false", hog->load.kills,
            hog->load.oomscore, (unsigned long long)s->held, (unsigned long long)s->hot,
            (unsigned long long)s->passes, (unsigned long long)s->pass_us,
            (unsigned long long)s->filling, (unsigned long long)s->cached,
            (unsigned long long)s->cache_us);
    return 0;
}

/* Bytes that /proc/meminfo, already open, calls available. */
static uint64_t read_available(int meminfo)
{
    char text[512];
    ssize_t length = pread(meminfo, text, sizeof(text) - 1, 0);
    const char *line;

    text[length > 0 ? length : 0] = '\0';
    line = strstr(text, "MemAvailable:");
    return line ? strtoull(line + strlen("MemAvailable:"), NULL, 10) << 10 : 0;
}

/* Answers at the moment when less than this is available; looks every 2 ms. */
static int do_low(struct hog *hog, FILE *out, char *args)
{
    uint64_t limit, available = 0;
    int meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

    (void)hog;
    if (meminfo < 0)
        return -errno;
    int result = parse_size(args, &limit) ? -EINVAL : -ETIMEDOUT;

    for (int left = RUN_LIMIT_MS; left > 0 && result == -ETIMEDOUT; left -= 2) {
        available = read_available(meminfo);
        if (available < limit)
            result = 0;
        else
            pause_ms(2);
    }
    close(meminfo);
    fprintf(out, ",\"available\":%llu", (unsigned long long)available);
    return result;
}

static int do_oomscore(struct hog *hog, FILE *out, char *args)
{
    char path[64];
    char *end;
    long score = strtol(args, &end, 10);

    (void)out;
    if (end == args || *end || score < -1000 || score > 1000)
        return -EINVAL;
    hog->load.oomscore = (int)score;
    if (!hog->load.pid)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", hog->load.pid);
    return write_file(path, "%ld", score);
}

/* Swap on zram: the header that mkswap would write, then swapon. */
static int do_zram(struct hog *hog, FILE *out, char *args)
{
    static char header[4096];
    char path[32];
    uint64_t size;

    (void)hog;
    if (parse_size(args, &size) || size < 1 << 20)
        return -EINVAL;
    int disk = zram_create(size);

    if (disk < 0)
        return disk;
    uint32_t info[2] = {1, (uint32_t)(size / sizeof(header) - 1)};

    memset(header, 0, sizeof(header));
    memcpy(header + 1024, info, sizeof(info));
    memcpy(header + sizeof(header) - 10, "SWAPSPACE2", 10);
    snprintf(path, sizeof(path), "/dev/zram%d", disk);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    bool written = write(fd, header, sizeof(header)) == (ssize_t)sizeof(header) && fsync(fd) == 0;

    close(fd);
    if (!written)
        return -EIO;
    fprintf(out, ",\"device\":\"%s\"", path);
    return swapon(path, 0) ? -errno : 0;
}

/* Reads a child's output until it ends, the limit is reached or its time is up. */
static size_t collect(int fd, char *buffer, size_t limit)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t length = 0;

    for (int left = RUN_LIMIT_MS; left > 0 && length < limit;) {
        int ready = poll(&wait, 1, 100);

        left -= ready ? 0 : 100;
        if (ready <= 0)
            continue;
        ssize_t more = read(fd, buffer + length, limit - length);

        if (more <= 0)
            break;
        length += (size_t)more;
    }
    return length;
}

static int do_run(struct hog *hog, FILE *out, char *args)
{
    static char output[OUTPUT_LIMIT];
    int pipes[2];
    int status = 0;

    (void)hog;
    if (!*args)
        return -EINVAL;
    if (pipe2(pipes, O_CLOEXEC))
        return -errno;
    pid_t pid = fork();

    if (pid == 0) {
        setpgid(0, 0);
        write_file("/proc/self/oom_score_adj", "0");
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        execl("/bin/busybox", "sh", "-c", args, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return -EAGAIN;
    }
    size_t length = collect(pipes[0], output, sizeof(output));

    close(pipes[0]);
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    fprintf(out, ",\"status\":%d,\"output\":",
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    put_string(out, output, length);
    return 0;
}

static int do_reboot(struct hog *hog, FILE *out, char *args)
{
    (void)hog, (void)out, (void)args;
    return reboot(RB_AUTOBOOT) ? -errno : 0;
}

static int do_poweroff(struct hog *hog, FILE *out, char *args)
{
    (void)hog, (void)out, (void)args;
    return reboot((int)RB_POWER_OFF) ? -errno : 0;
}

static int do_crash(struct hog *hog, FILE *out, char *args)
{
    (void)hog, (void)out, (void)args;
    return write_file("/proc/sysrq-trigger", "c");
}

static int do_quit(struct hog *hog, FILE *out, char *args)
{
    (void)hog, (void)out, (void)args;
    exit(0);
}

static const struct verb {
    const char *name;
    int (*run)(struct hog *hog, FILE *out, char *args); /* NULL: the load's */
} verbs[] = {
    {"ping", do_ping},
    {"stats", do_stats},
    {"alloc", NULL},
    {"free", NULL},
    {"hot", NULL},
    {"fill", NULL},
    {"cache", NULL},
    {"hugepages", NULL},
    {"low", do_low},
    {"oomscore", do_oomscore},
    {"zram", do_zram},
    {"run", do_run},
    {"reboot", do_reboot},
    {"crash", do_crash},
    {"poweroff", do_poweroff},
    {"quit", do_quit},
};

static void pass_on(struct hog *hog, const char *id, const char *command)
{
    int result = *hog->pending ? -EBUSY : 0;

    if (!result && !hog->load.pid)
        result = load_start(&hog->load);
    if (!result && send(hog->load.fd, command, strlen(command), MSG_NOSIGNAL) < 0)
        result = -errno;
    if (result)
        answer(hog, id, result, NULL);
    else
        snprintf(hog->pending, sizeof(hog->pending), "%s", id);
}

static void obey(struct hog *hog, char *line)
{
    char command[sizeof(hog->line)];
    char *id = strtok_r(line, " \r", &line);

    if (!id || strlen(id) >= sizeof(hog->pending) || strpbrk(id, "\"\\"))
        return;
    snprintf(command, sizeof(command), "%s", line);
    char *name = strtok_r(line, " \r", &line);

    for (size_t i = 0; name && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        if (!verbs[i].run) {
            pass_on(hog, id, command);
            return;
        }
        char *fields = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&fields, &length);

        if (!out)
            return;
        int result = verbs[i].run(hog, out, line);

        fclose(out);
        answer(hog, id, result, fields);
        free(fields);
        return;
    }
    answer(hog, id, -ENOSYS, NULL);
}

static void read_port(struct hog *hog)
{
    const size_t most = sizeof(hog->line) - 1;
    ssize_t done;

    if (hog->length >= most) /* a line without an end */
        hog->length = 0;
    done = read(hog->port, hog->line + hog->length, most - hog->length);
    if (done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR)) {
        hog->connected = false;
        hog->length = 0;
        return;
    }
    if (done < 0)
        return;
    hog->length += (size_t)done;
    hog->line[hog->length] = '\0';
    for (char *end; (end = strchr(hog->line, '\n'));) {
        char line[sizeof(hog->line)];

        *end = '\0';
        memcpy(line, hog->line, (size_t)(end - hog->line) + 1);
        hog->length -= (size_t)(end + 1 - hog->line);
        memmove(hog->line, end + 1, hog->length + 1);
        obey(hog, line);
    }
}

/* A result, or the end of the process: then its memory is gone and the next command starts one. */
static void read_load(struct hog *hog)
{
    int result = -ECANCELED;
    char fields[64];

    if (read(hog->load.fd, &result, sizeof(result)) != (ssize_t)sizeof(result)) {
        result = -ECANCELED;
        close(hog->load.fd);
        waitpid(hog->load.pid, NULL, 0);
        hog->load.pid = 0;
        hog->load.fd = -1;
        hog->load.kills++;
        memset(hog->load.state, 0, sizeof(*hog->load.state));
    }
    snprintf(fields, sizeof(fields), ",\"held\":%llu%s", (unsigned long long)hog->load.state->held,
             result == -ECANCELED ? ",\"killed\":true" : "");
    if (*hog->pending)
        answer(hog, hog->pending, result, fields);
    *hog->pending = '\0';
}

static int open_port(void)
{
    char path[512];
    char name[64];

    for (int attempt = 0; attempt < 500; attempt++) {
        DIR *ports = opendir("/sys/class/virtio-ports");
        struct dirent *entry;

        while (ports && (entry = readdir(ports))) {
            snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
            FILE *file = fopen(path, "r");
            bool ours = file && fscanf(file, "%63s", name) == 1 && strcmp(name, PORT) == 0;

            if (file)
                fclose(file);
            if (!ours)
                continue;
            snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
            closedir(ports);
            return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        }
        if (ports)
            closedir(ports);
        pause_ms(20);
    }
    errno = ENODEV;
    return -1;
}

int main(void)
{
    struct hog hog = {.load = {.fd = -1, .oomscore = -500}};
    struct sigaction action = {.sa_handler = on_sigio};
    sigset_t blocked;
    sigset_t open_mask;

    write_file("/proc/self/oom_score_adj", "-1000");
    hog.port = open_port();
    if (hog.port < 0 || load_start(&hog.load)) {
        perror("lab-hog: " PORT);
        return 1;
    }
    mlockall(MCL_CURRENT | MCL_FUTURE);

    /*
     * While no client is connected the port polls as hung up for ever; the driver's signal, sent
     * when one comes, ends the wait. It is blocked outside of ppoll, so that none is missed.
     */
    sigaction(SIGIO, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGIO);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    fcntl(hog.port, F_SETOWN, getpid());
    fcntl(hog.port, F_SETFL, fcntl(hog.port, F_GETFL) | O_ASYNC);

    for (;;) {
        if (port_changed)
            hog.connected = true;
        port_changed = 0;
        struct pollfd wait[2] = {
            {.fd = hog.connected ? hog.port : -1, .events = POLLIN},
            {.fd = hog.load.fd, .events = POLLIN},
        };

        if (ppoll(wait, 2, &(struct timespec){.tv_sec = 5}, &open_mask) == 0)
            hog.connected = true;
        if (wait[0].revents)
            read_port(&hog);
        if (wait[1].revents)
            read_load(&hog);
    }
}
