/* Improving a given order without leaving it far: work is moved later, to just before its first user, where that shortens more
 * memory-time than it lengthens (a random mask, a value computed again), and earlier, to just after its last input, where it frees
 * more than it makes (a small gradient of large activations). Both are one pass over the items: an item gets an anchor, and
 * sorting by (anchor, steps ahead of it, old position) stays topological because anchors never overtake those of inputs or users. */
#include <stdlib.h>

#include "plan/plan.h"

typedef struct moved {
    int anchor, ahead, old, item;
} moved;

static int by_anchor(const void *pa, const void *pb)
{
    const moved *a = pa, *b = pb;

    if (a->anchor != b->anchor)
        return a->anchor < b->anchor ? -1 : 1;
    if (a->ahead != b->ahead)
        return a->ahead > b->ahead ? -1 : 1;
    return (a->old > b->old) - (a->old < b->old);
}

typedef struct walk {
    int n;
    int *position; /* of item */
    int *last;     /* position of an item's last user; its own when it has none */
    int *second;   /* position of the last user but one */
    int *first;    /* least anchor of an item's users */
    int *anchor;   /* of item */
    int *
        ahead; /* of item: steps to the anchor along the longest way of items with the same anchor; nearer ones run later */
    moved *list;
} walk;

static void find_lives(walk *w, const int *order, const int *const *before, const int *before_count)
{
    for (int t = 0; t < w->n; t++)
        w->position[order[t]] = w->last[order[t]] = w->second[order[t]] = t;
    for (int t = 0; t < w->n; t++)
        for (int k = 0; k < before_count[order[t]]; k++) {
            int j = before[order[t]][k];

            if (w->last[j] != t) {
                w->second[j] = w->last[j];
                w->last[j] = t;
            }
        }
}

static void apply(walk *w, int *order)
{
    for (int t = 0; t < w->n; t++)
        w->list[t] = (moved){w->anchor[order[t]], w->ahead[order[t]], t, order[t]};
    qsort(w->list, (size_t)w->n, sizeof *w->list, by_anchor);
    for (int t = 0; t < w->n; t++)
        order[t] = w->list[t].item;
}

/* What moving item i from t to `to` changes in bytes times steps: positive is worth it. */
static double later_gain(const walk *w, int i, int t, int to, const int *const *before, const int *before_count,
                         const int64_t *bytes)
{
    double gain = (double)bytes[i] * (to - t);

    for (int k = 0; k < before_count[i]; k++)
        if (to > w->last[before[i][k]])
            gain -= (double)bytes[before[i][k]] * (to - w->last[before[i][k]]);
    return gain;
}

/* Pass over the items from the last to the first: anchors of those with want[i] != 0 are their first users' anchors. With
 * `decide`, want[i] is set on the way: 2 where moving gains, 1 where it neither gains nor loses. */
static void anchor_backwards(walk *w, const int *order, char *want, bool decide, const int *const *before,
                             const int *before_count, const int64_t *bytes)
{
    for (int i = 0; i < w->n; i++)
        w->first[i] = INT32_MAX;
    for (int t = w->n - 1; t >= 0; t--) {
        int i = order[t], to = w->first[i] == INT32_MAX ? t : w->first[i];

        if (decide) {
            double gain = to == t ? -1 : later_gain(w, i, t, to, before, before_count, bytes);

            want[i] = gain > 0 ? 2 : gain == 0;
        }
        w->anchor[i] = want[i] ? to : t;
        if (w->anchor[i] == t)
            w->ahead[i] = 0;
        for (int k = 0; k < before_count[i]; k++) {
            int j = before[i][k];

            if (w->anchor[i] > w->last[j])
                w->last[j] = w->anchor[i];
            if (w->anchor[i] < w->first[j] || (w->anchor[i] == w->first[j] && w->ahead[i] >= w->ahead[j])) {
                w->first[j] = w->anchor[i];
                w->ahead[j] = w->ahead[i] + 1;
            }
        }
    }
}

/* Later. A move that only breaks even is kept where it lets an input of the item move with gain (a chain that is computed again). */
static void move_later(walk *w, int *order, char *want, const int *const *before, const int *before_count,
                       const int64_t *bytes)
{
    find_lives(w, order, before, before_count);
    anchor_backwards(w, order, want, true, before, before_count, bytes);
    for (int t = 0; t < w->n; t++) {
        bool pays = want[order[t]] == 2;

        for (int k = 0; k < before_count[order[t]]; k++)
            pays = pays || want[before[order[t]][k]] != 0;
        if (!pays)
            want[order[t]] = 0;
    }
    anchor_backwards(w, order, want, false, before, before_count, bytes);
    apply(w, order);
}

/* Earlier: from the first item to the last, so that users can follow what they need. */
static void move_earlier(walk *w, int *order, const int *const *before, const int *before_count, const int64_t *bytes)
{
    find_lives(w, order, before, before_count);
    for (int t = 0; t < w->n; t++) {
        int i = order[t], to = before_count[i] > 0 ? 0 : t;
        double gain = 0;

        for (int k = 0; k < before_count[i]; k++)
            if (w->anchor[before[i][k]] > to)
                to = w->anchor[before[i][k]];
        for (int k = 0; k < before_count[i]; k++) {
            int j = before[i][k], end = w->second[j] > to ? w->second[j] : to;

            if (w->last[j] == t && end < t)
                gain += (double)bytes[j] * (t - end);
        }
        w->ahead[i] = 0;
        w->anchor[i] = gain > (double)bytes[i] * (t - to) ? to : t;
    }
    apply(w, order);
}

fet_status fet__plan_improve(int *order, int n, const int *const *before, const int *before_count, const int64_t *bytes)
{
    walk w = {.n = n};
    fet_status st;
    char *want = NULL;

    FET_TRY(FET_NEW(w.position, n));
    FET_TRY(FET_NEW(w.last, n));
    FET_TRY(FET_NEW(w.second, n));
    FET_TRY(FET_NEW(w.anchor, n));
    FET_TRY(FET_NEW(w.ahead, n));
    FET_TRY(FET_NEW(want, n));
    FET_TRY(FET_NEW(w.list, n));
    FET_TRY(FET_NEW(w.first, n));
    for (int pass = 0; pass < 2; pass++) {
        move_later(&w, order, want, before, before_count, bytes);
        move_earlier(&w, order, before, before_count, bytes);
    }
done:
    fet__free(want);
    fet__free(w.ahead);
    fet__free(w.first);
    fet__free(w.list);
    fet__free(w.anchor);
    fet__free(w.second);
    fet__free(w.last);
    fet__free(w.position);
    return st;
}
