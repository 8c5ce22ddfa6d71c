/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decide/next_pages.h"

#include <stdbool.h>

static bool cheaper(const struct mc_next_pages *q, uint32_t a, uint32_t b)
{
    int order = mc_price_compare(&q->next[a], &q->next[b]);

    if (order)
        return order < 0;
    if (q->demands[a].key != q->demands[b].key)
        return q->demands[a].key < q->demands[b].key;
    return a < b;
}

static void sift_down(struct mc_next_pages *q, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        uint32_t moved = q->heap[at];

        if (child >= q->count)
            return;
        if (child + 1 < q->count && cheaper(q, q->heap[child + 1], q->heap[child]))
            child++;
        if (!cheaper(q, q->heap[child], moved))
            return;
        q->heap[at] = q->heap[child];
        q->heap[child] = moved;
        at = child;
    }
}

void mc_next_pages_give(struct mc_next_pages *q, size_t count, uint64_t rest, uint64_t *pages)
{
    q->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (pages[i] == q->demands[i].max)
            continue;
        q->next[i] = mc_price_of(&q->demands[i], pages[i] + 1);
        q->heap[q->count++] = i;
    }
    for (size_t i = q->count / 2; i-- > 0;)
        sift_down(q, i);
    for (; rest && q->count; rest--) {
        uint32_t winner = q->heap[0];

        pages[winner]++;
        if (pages[winner] == q->demands[winner].max)
            q->heap[0] = q->heap[--q->count];
        else
            q->next[winner] = mc_price_of(&q->demands[winner], pages[winner] + 1);
        sift_down(q, 0);
    }
}
