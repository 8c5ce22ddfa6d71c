/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/units.h>

#include "log.h"

/* What may wait for the disk, and what a recording may grow to: 4 guests fill it in three days. */
#define WAITING_MAX (16 * MC_MIB)
#define FILE_MAX MC_GIB

#define CLOSE_WITHIN_S 3

struct text {
    char *bytes;
    size_t length, room;
};

struct recorder {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct text waiting;
    uint64_t size; /* of the file, with what waits */
    bool closing, ended;
};

static bool append(struct text *text, const char *bytes, size_t length)
{
    if (text->length + length > text->room) {
        size_t room = mc_max_u64(2 * text->room, text->length + length);
        char *larger = realloc(text->bytes, room);

        if (!larger)
            return false;
        text->bytes = larger;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return true;
}

static int write_all(int fd, const struct text *text)
{
    size_t done = 0;

    while (done < text->length) {
        ssize_t written = write(fd, text->bytes + done, text->length - done);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0)
            done += (size_t)written;
    }
    return 0;
}

static void *run(void *opaque)
{
    struct recorder *recorder = opaque;
    struct text out = {0};

    pthread_mutex_lock(&recorder->lock);
    while (!recorder->ended && (recorder->waiting.length || !recorder->closing)) {
        struct text empty = out;
        int rc;

        if (!recorder->waiting.length) {
            pthread_cond_wait(&recorder->changed, &recorder->lock);
            continue;
        }
        out = recorder->waiting;
        recorder->waiting = (struct text){.bytes = empty.bytes, .room = empty.room};
        pthread_mutex_unlock(&recorder->lock);
        rc = write_all(recorder->fd, &out);
        out.length = 0;
        pthread_mutex_lock(&recorder->lock);
        if (rc < 0) {
            log_error("the recording ends here: %s", strerror(-rc));
            recorder->ended = true;
        }
    }
    pthread_mutex_unlock(&recorder->lock);
    free(out.bytes);
    return NULL;
}

int recorder_open(const char *file, struct recorder **recorder, struct mc_error *err)
{
    struct recorder *opened = calloc(1, sizeof(*opened));
    int rc;

    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    opened->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    rc = opened->fd < 0 ? -errno : 0;
    pthread_mutex_init(&opened->lock, NULL);
    pthread_cond_init(&opened->changed, NULL);
    if (rc == 0)
        rc = -pthread_create(&opened->thread, NULL, run, opened);
    if (rc < 0) {
        if (opened->fd >= 0)
            close(opened->fd);
        free(opened);
        return mc_error_set(err, rc, "recording %s cannot be written: %s", file, strerror(-rc));
    }
    *recorder = opened;
    return 0;
}

/* Why nothing more can be added, or NULL. */
static const char *why_not(const struct recorder *recorder, size_t length)
{
    if (recorder->size + length > FILE_MAX)
        return "it has reached its greatest size";
    if (recorder->waiting.length + length > WAITING_MAX)
        return "the disk is too slow";
    return NULL;
}

void recorder_write(struct recorder *recorder, json_t *line)
{
    char *text = recorder && line ? json_dumps(line, JSON_COMPACT) : NULL;
    size_t length = text ? strlen(text) : 0;
    const char *why;

    json_decref(line);
    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    why = why_not(recorder, length + 1);
    if (!recorder->ended && !why &&
        (!text || !append(&recorder->waiting, text, length) ||
         !append(&recorder->waiting, "\n", 1)))
        why = "out of memory";
    recorder->size += length + 1;
    if (!recorder->ended && why) {
        log_warning("the recording ends here: %s", why);
        recorder->ended = true;
    }
    pthread_cond_signal(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
    free(text);
}

void recorder_close(struct recorder *recorder)
{
    struct timespec until;

    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    recorder->closing = true;
    pthread_cond_signal(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WITHIN_S;
    if (pthread_timedjoin_np(recorder->thread, NULL, &until) != 0)
        return; /* the disk hangs: leave all to the end of the process */
    close(recorder->fd);
    pthread_mutex_destroy(&recorder->lock);
    pthread_cond_destroy(&recorder->changed);
    free(recorder->waiting.bytes);
    free(recorder);
}
