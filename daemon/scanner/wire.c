/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- packets ---- */

union fds_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * (MC_SCAN_REGIONS_MAX + 1))];
};

static int send_text(int fd, char *text, size_t length, const int *fds, size_t count)
{
    union fds_space space = {0};
    struct iovec piece = {text, length};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t sent;

    if (count) {
        struct cmsghdr *control = &space.align;

        header.msg_control = space.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(control), fds, sizeof(int) * count);
    }
    do {
        sent = sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    return errno == ECONNRESET ? -EPIPE : -errno;
}

int scan_send(int fd, json_t *message, const int *fds, size_t count)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t length = text ? strlen(text) : 0;
    int rc = -ENOMEM;

    if (text)
        rc = length > SCAN_PACKET_MAX ? -EMSGSIZE : send_text(fd, text, length, fds, count);
    free(text);
    json_decref(message);
    return rc;
}

/* What comes beside a packet, at most. */
union beside_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * (MC_SCAN_REGIONS_MAX + 1)) +
               CMSG_SPACE(sizeof(struct ucred))];
};

static void take_sender(const struct cmsghdr *control, struct scan_packet *packet)
{
    struct ucred sender;

    if (control->cmsg_len < CMSG_LEN(sizeof(sender)))
        return;
    memcpy(&sender, CMSG_DATA(control), sizeof(sender));
    packet->pid = sender.pid;
    packet->uid = sender.uid;
}

static void take_beside(struct msghdr *header, struct scan_packet *packet)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
         control = CMSG_NXTHDR(header, control)) {
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_CREDENTIALS)
            take_sender(control, packet);
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
            if (packet->fd_count < sizeof(packet->fds) / sizeof(*packet->fds))
                packet->fds[packet->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

int scan_receive(int fd, struct scan_packet *packet)
{
    char *text = malloc(SCAN_PACKET_MAX);
    union beside_space space;
    struct iovec piece = {text, SCAN_PACKET_MAX};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = space.bytes,
                            .msg_controllen = sizeof(space.bytes)};
    ssize_t got;
    int rc = 0;

    *packet = (struct scan_packet){0};
    if (!text)
        return -ENOMEM;
    got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        rc = errno == ECONNRESET ? -EPIPE : -errno;
    else
        take_beside(&header, packet);
    if (got == 0)
        rc = -EPIPE;
    if (rc == 0)
        packet->message = json_loadb(text, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    if (rc == 0 && (!json_is_object(packet->message) || header.msg_flags & MSG_CTRUNC))
        rc = -EPROTO;
    free(text);
    if (rc < 0)
        scan_packet_free(packet);
    return rc;
}

void scan_packet_free(struct scan_packet *packet)
{
    json_decref(packet->message);
    for (size_t i = 0; i < packet->fd_count; i++)
        if (packet->fds[i] >= 0)
            close(packet->fds[i]);
    *packet = (struct scan_packet){0};
}

/* ---- guests ---- */

int scan_send_guest(int fd, const struct mc_scan_guest *guest)
{
    int fds[MC_SCAN_REGIONS_MAX + 1];
    json_t *regions = json_array();
    size_t count = 0;

    if (guest->pagemap >= 0)
        fds[count++] = guest->pagemap;
    for (size_t i = 0; i < guest->region_count; i++) {
        const struct mc_scan_region *region = &guest->regions[i];

        if (region->fd >= 0)
            fds[count++] = region->fd;
        json_array_append_new(
            regions, json_pack("{s:I, s:I, s:I, s:b}", "address", (json_int_t)region->address,
                               "size", (json_int_t)region->size, "offset",
                               (json_int_t)region->offset, "shared", region->fd >= 0));
    }
    return scan_send(fd,
                     json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:b, s:i, s:b, s:o}", "type",
                               "guest", "uuid", guest->uuid, "name", guest->name, "domain",
                               guest->domain, "state", (int)guest->state, "why", guest->why,
                               "mergeable", guest->mergeable, "pid", (int)guest->pid, "read",
                               guest->pagemap >= 0, "regions", regions),
                     fds, count);
}

/* A text that fits; else the field stays as it was. */
static bool take_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (!value || strlen(value) >= size)
        return false;
    memcpy(text, value, strlen(value) + 1);
    return true;
}

static bool take_number(const json_t *object, const char *key, uint64_t most, uint64_t *number)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_region(const json_t *object, struct mc_scan_region *region)
{
    region->fd = -1;
    return take_number(object, "address", INT64_MAX, &region->address) &&
           take_number(object, "size", MC_SIZE_MAX, &region->size) &&
           take_number(object, "offset", INT64_MAX, &region->offset) && region->size &&
           region->size % MC_PAGE == 0 && region->address % MC_PAGE == 0;
}

static int next_fd(struct scan_packet *packet, size_t *used)
{
    int fd = *used < packet->fd_count ? packet->fds[*used] : -1;

    if (fd >= 0)
        packet->fds[(*used)++] = -1;
    return fd;
}

static bool take_regions(struct scan_packet *packet, struct mc_scan_guest *guest)
{
    const json_t *regions = json_object_get(packet->message, "regions");
    uint64_t pages = 0;
    size_t used = 0;

    if (json_is_true(json_object_get(packet->message, "read")))
        guest->pagemap = next_fd(packet, &used);
    if (json_array_size(regions) > MC_SCAN_REGIONS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *object = json_array_get(regions, i);
        struct mc_scan_region *region = &guest->regions[guest->region_count++];

        if (!take_region(object, region))
            return false;
        if (json_is_true(json_object_get(object, "shared"))) {
            region->fd = next_fd(packet, &used);
            if (region->fd < 0)
                return false;
        }
        pages += region->size / MC_PAGE;
    }
    /* A hint frame counts pages in 32 bits. */
    return pages <= UINT32_MAX && used == packet->fd_count;
}

int scan_take_guest(struct scan_packet *packet, struct mc_scan_guest *guest)
{
    const json_t *message = packet->message;
    uint64_t state, pid;

    *guest = (struct mc_scan_guest){0};
    mc_scan_guest_init(guest);
    if (!take_text(message, "uuid", guest->uuid, sizeof(guest->uuid)) ||
        !take_text(message, "name", guest->name, sizeof(guest->name)) ||
        !take_text(message, "domain", guest->domain, sizeof(guest->domain)) ||
        !take_text(message, "why", guest->why, sizeof(guest->why)) ||
        !take_number(message, "state", MC_DEDUPE_FAILED, &state) ||
        !take_number(message, "pid", INT32_MAX, &pid) || !take_regions(packet, guest)) {
        mc_scan_guest_close(guest);
        return -EPROTO;
    }
    guest->state = (enum mc_dedupe_state)state;
    guest->pid = (pid_t)pid;
    guest->mergeable = json_is_true(json_object_get(message, "mergeable"));
    return 0;
}

/* ---- orders ---- */

int scan_send_orders(int fd, const struct scan_orders *orders)
{
    json_t *key = json_array();

    for (size_t i = 0; i < orders->key_size; i++)
        json_array_append_new(key, json_integer(orders->key[i]));
    return scan_send(fd,
                     json_pack("{s:s, s:i, s:I, s:i, s:I, s:b, s:o}", "type", "config", "cpu",
                               (int)orders->cpu_percent, "interval",
                               (json_int_t)orders->interval_ms, "table_share",
                               (int)orders->scanner.table_share, "table_least",
                               (json_int_t)orders->scanner.table_least, "compare",
                               orders->scanner.compare, "key", key),
                     NULL, 0);
}

int scan_take_orders(const json_t *message, struct scan_orders *orders)
{
    const json_t *key = json_object_get(message, "key");
    uint64_t cpu, share;

    if (!take_number(message, "cpu", SCAN_CPU_MAX, &cpu) || !cpu ||
        !take_number(message, "interval", UINT64_C(86400000), &orders->interval_ms) ||
        !take_number(message, "table_share", 10000, &share) ||
        !take_number(message, "table_least", MC_SIZE_MAX, &orders->scanner.table_least) ||
        json_array_size(key) > SCAN_KEY_MAX)
        return -EPROTO;
    orders->cpu_percent = (unsigned)cpu;
    orders->scanner.table_share = (unsigned)share;
    orders->scanner.compare = json_is_true(json_object_get(message, "compare"));
    orders->key_size = json_array_size(key);
    for (size_t i = 0; i < orders->key_size; i++)
        orders->key[i] = (unsigned char)json_integer_value(json_array_get(key, i));
    return 0;
}
