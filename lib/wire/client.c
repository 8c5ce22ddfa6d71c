/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <memctl/wire.h>

#define ANSWER_WITHIN_S 30

struct mc_client {
    int fd;
    unsigned within_s;
    FILE *in;
};

static int connect_to(const char *path, int *fd, struct mc_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = ANSWER_WITHIN_S};

    if (strlen(path) >= sizeof(address.sun_path))
        return mc_error_set(err, -EINVAL, "socket path '%s' is too long; at most %zu bytes", path,
                            sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return mc_error_set(err, -errno, "no socket: %s", strerror(errno));
    setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (connect(*fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    if (errno == EACCES)
        mc_error_set(err, -EACCES, "not allowed to use %s; be root or in the group memctl", path);
    else
        mc_error_set(err, -ECONNREFUSED,
                     "no memctld at %s (%s); start it with 'systemctl start memctld', or name its "
                     "socket with --socket",
                     path, strerror(errno));
    close(*fd);
    return err ? err->code : -ECONNREFUSED;
}

int mc_client_open(const char *path, struct mc_client **client, struct mc_error *err)
{
    struct mc_error scratch;
    struct mc_client *opened;
    int fd = -1, rc;

    if (!path)
        path = secure_getenv("MEMCTL_SOCKET");
    rc = connect_to(path ? path : MC_SOCKET_DEFAULT, &fd, err ? err : &scratch);
    if (rc < 0)
        return rc;
    opened = calloc(1, sizeof(*opened));
    if (opened)
        opened->in = fdopen(fd, "r");
    if (!opened || !opened->in) {
        free(opened);
        close(fd);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    opened->fd = fd;
    opened->within_s = ANSWER_WITHIN_S;
    *client = opened;
    return 0;
}

void mc_client_close(struct mc_client *client)
{
    if (!client)
        return;
    fclose(client->in);
    free(client);
}

static int send_line(struct mc_client *client, const json_t *message, struct mc_error *err)
{
    char *text = json_dumps(message, JSON_COMPACT);
    size_t length, sent = 0;

    if (!text)
        return mc_error_set(err, -ENOMEM, "out of memory");
    length = strlen(text);
    text[length++] = '\n'; /* in place of the terminator */
    while (sent < length) {
        ssize_t n = send(client->fd, text + sent, length - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return mc_error_set(err, -ECONNRESET, "memctld does not take the request: %s",
                                strerror(errno));
        }
        sent += (size_t)n;
    }
    free(text);
    return 0;
}

static int receive_line(struct mc_client *client, json_t **message, struct mc_error *err)
{
    char *line = NULL;
    size_t size = 0;
    json_error_t error;

    errno = 0;
    if (getline(&line, &size, client->in) <= 0) {
        bool late = errno == EAGAIN || errno == EWOULDBLOCK;

        free(line);
        if (late)
            return mc_error_set(err, -ETIMEDOUT, "memctld did not answer within %u s",
                                client->within_s);
        return mc_error_set(err, -ECONNRESET, "memctld closed the connection; see its log");
    }
    *message = json_loads(line, 0, &error);
    free(line);
    if (!*message)
        return mc_error_set(err, -EPROTO, "memctld's answer is not JSON: %s", error.text);
    return 0;
}

void mc_client_be_patient(struct mc_client *client, unsigned more_s)
{
    const struct timeval wait = {.tv_sec = ANSWER_WITHIN_S + more_s};

    client->within_s = ANSWER_WITHIN_S + more_s;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

int mc_client_call(struct mc_client *client, const char *verb, json_t *args, json_t **result,
                   struct mc_error *err)
{
    json_t *request = mc_wire_request(verb, args);
    json_t *reply = NULL;
    int rc;

    if (!request)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = send_line(client, request, err);
    json_decref(request);
    if (rc == 0)
        rc = receive_line(client, &reply, err);
    if (rc == 0)
        rc = mc_wire_read_reply(reply, result, err);
    json_decref(reply);
    return rc;
}
