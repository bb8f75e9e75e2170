/* A topological order that keeps memory low: a heap of ready items whose key is the growth that running the item would cause. When
 * an item has one user left, that user's growth shrinks by the item's bytes; the last user is found without a search because each
 * item keeps the exclusive-or of its waiting users' numbers. O((items + edges) log items). */
#include <string.h>

#include "plan/plan.h"

typedef struct sorter {
    const int64_t *bytes;
    const int *rank;
    int64_t *growth;
    int *heap, *slot; /* slot[i]: where item i is in the heap, -1 outside */
    int held;
    int *edges; /* distinct inputs of item i: edges[edge_start[i] .. edge_start[i + 1]) */
    int *edge_start;
    int *users, *user_start;
    int *left; /* users that have not run */
    int *left_xor;
    int *waiting; /* inputs that have not run */
} sorter;

/* ---- heap ------------------------------------------------------------------------------------------------------- */

static bool sooner(const sorter *s, int a, int b)
{
    if (s->growth[a] != s->growth[b])
        return s->growth[a] < s->growth[b];
    if (s->rank[a] != s->rank[b])
        return s->rank[a] < s->rank[b];
    return a < b;
}

static void put(sorter *s, int at, int item)
{
    s->heap[at] = item;
    s->slot[item] = at;
}

static void rise(sorter *s, int at)
{
    int item = s->heap[at];

    while (at > 0 && sooner(s, item, s->heap[(at - 1) / 2])) {
        put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(s, at, item);
}

static void sink(sorter *s, int at)
{
    int item = s->heap[at];

    for (int child = 2 * at + 1; child < s->held; child = 2 * at + 1) {
        if (child + 1 < s->held && sooner(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!sooner(s, s->heap[child], item))
            break;
        put(s, at, s->heap[child]);
        at = child;
    }
    put(s, at, item);
}

static void push(sorter *s, int item)
{
    put(s, s->held++, item);
    rise(s, s->held - 1);
}

static int pop(sorter *s)
{
    int item = s->heap[0];

    s->slot[item] = -1;
    if (--s->held > 0) {
        put(s, 0, s->heap[s->held]);
        sink(s, 0);
    }
    return item;
}

/* ---- who needs whom ---------------------------------------------------------------------------------------------- */

static fet_status collect_edges(sorter *s, int n, const int *const *before, const int *before_count)
{
    size_t total = 0;
    int *seen = NULL, held = 0;
    fet_status st = FET_OK;

    for (int i = 0; i < n; i++)
        total += (size_t)before_count[i];
    FET_TRY(FET_NEW(s->edges, total));
    FET_TRY(FET_NEW(s->edge_start, (size_t)n + 1));
    FET_TRY(FET_NEW(seen, n));
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < before_count[i]; k++) {
            int j = before[i][k];

            if (j < 0 || j >= n) {
                st = FET_FAIL(FET_E_BUG, "plan: item %d needs item %d of %d", i, j, n);
                goto done;
            }
            if (seen[j] == i + 1)
                continue;
            seen[j] = i + 1;
            s->edges[held++] = j;
        }
        s->edge_start[i + 1] = held;
    }
done:
    fet__free(seen);
    return st;
}

static fet_status collect_users(sorter *s, int n)
{
    fet_status st = FET_OK;
    int *fill = NULL;

    FET_TRY(FET_NEW(s->users, s->edge_start[n]));
    FET_TRY(FET_NEW(s->user_start, (size_t)n + 1));
    FET_TRY(FET_NEW(fill, n));
    for (int e = 0; e < s->edge_start[n]; e++)
        s->user_start[s->edges[e] + 1]++;
    for (int i = 0; i < n; i++) {
        s->left[i] = s->user_start[i + 1];
        s->user_start[i + 1] += s->user_start[i];
        fill[i] = s->user_start[i];
    }
    for (int i = 0; i < n; i++)
        for (int e = s->edge_start[i]; e < s->edge_start[i + 1]; e++) {
            s->users[fill[s->edges[e]]++] = i;
            s->left_xor[s->edges[e]] ^= i;
        }
done:
    fet__free(fill);
    return st;
}

static fet_status prepare(sorter *s, int n, const int *const *before, const int *before_count)
{
    fet_status st;

    FET_TRY(FET_NEW(s->growth, n));
    FET_TRY(FET_NEW(s->heap, n));
    FET_TRY(FET_NEW(s->slot, n));
    FET_TRY(FET_NEW(s->left, n));
    FET_TRY(FET_NEW(s->left_xor, n));
    FET_TRY(FET_NEW(s->waiting, n));
    FET_TRY(collect_edges(s, n, before, before_count));
    FET_TRY(collect_users(s, n));
    for (int i = 0; i < n; i++) {
        s->slot[i] = -1;
        s->growth[i] = s->bytes[i];
        s->waiting[i] = s->edge_start[i + 1] - s->edge_start[i];
        for (int e = s->edge_start[i]; e < s->edge_start[i + 1]; e++)
            if (s->left[s->edges[e]] == 1)
                s->growth[i] -= s->bytes[s->edges[e]];
    }
done:
    return st;
}

static void release(sorter *s)
{
    fet__free(s->growth);
    fet__free(s->heap);
    fet__free(s->slot);
    fet__free(s->left);
    fet__free(s->left_xor);
    fet__free(s->waiting);
    fet__free(s->edges);
    fet__free(s->edge_start);
    fet__free(s->users);
    fet__free(s->user_start);
}

/* Item i has run: its inputs lose a user, its users an open input. */
static void finish(sorter *s, int i)
{
    for (int e = s->edge_start[i]; e < s->edge_start[i + 1]; e++) {
        int j = s->edges[e], user;

        s->left_xor[j] ^= i;
        if (--s->left[j] != 1)
            continue;
        user = s->left_xor[j];
        s->growth[user] -= s->bytes[j];
        if (s->slot[user] >= 0)
            rise(s, s->slot[user]);
    }
    for (int e = s->user_start[i]; e < s->user_start[i + 1]; e++)
        if (--s->waiting[s->users[e]] == 0)
            push(s, s->users[e]);
}

fet_status fet__plan_order(int *order, int n, const int *const *before, const int *before_count, const int64_t *bytes,
                           const int *rank)
{
    sorter s = {.bytes = bytes, .rank = rank};
    int done_count = 0;
    fet_status st;

    FET_TRY(prepare(&s, n, before, before_count));
    for (int i = 0; i < n; i++)
        if (s.waiting[i] == 0)
            push(&s, i);
    while (s.held > 0) {
        order[done_count] = pop(&s);
        finish(&s, order[done_count++]);
    }
    if (done_count < n)
        st = FET_FAIL(FET_E_BUG, "plan: %d of %d items wait for each other in a circle", n - done_count, n);
done:
    release(&s);
    return st;
}
