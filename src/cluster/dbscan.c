/* DBSCAN over Jaccard distances that are computed as they are needed, at several radii at once: one pass counts neighbours, one joins core
 * points, one finds the clusters of border points. Nothing of the size of the neighbour lists is kept, so one giant cluster costs time and
 * no memory. */
#include <stdatomic.h>
#include <string.h>

#include "cluster/cluster.h"

enum { RADII_MOST = 8, CHUNK = 256 };

typedef struct scan {
    const fet__jaccard *j;
    const float *radius;
    int radii, least, team;
    int64_t rows;
    uint8_t *core;            /* [rows]: bit r: a core point at radius r */
    _Atomic(int32_t) *parent; /* [radii][rows]: a tree towards the smallest index */
    int32_t *labels;          /* [radii][rows] */
    fet__jaccard_row *space;  /* [team] */
} scan;

typedef void row_work(scan *s, const fet__jaccard_row *r, int32_t i);

static void each_row(scan *s, row_work *work, bool borders_only)
{
    uint8_t all = (uint8_t)((1U << s->radii) - 1);
#pragma omp parallel for schedule(dynamic, 1) num_threads(s->team)
    for (int64_t chunk = 0; chunk < (s->rows + CHUNK - 1) / CHUNK; chunk++) {
        fet__jaccard_row *r = &s->space[fet__thread_index()];
        for (int64_t i = chunk * CHUNK; i < s->rows && i < (chunk + 1) * CHUNK; i++) {
            if (borders_only && s->core[i] == all)
                continue;
            fet__jaccard_row_begin(r, s->j, i);
            work(s, r, (int32_t)i);
            fet__jaccard_row_end(r);
        }
    }
}

static void count_neighbours(scan *s, const fet__jaccard_row *r, int32_t i)
{
    int64_t count[RADII_MOST] = {0};
    for (int64_t k = 0; k < r->count; k++) {
        float d = fet__jaccard_distance(r, r->touched[k]);
        for (int e = 0; e < s->radii; e++)
            count[e] += d <= s->radius[e];
    }
    for (int e = 0; e < s->radii; e++)
        if (count[e] >= s->least)
            s->core[i] |= (uint8_t)(1U << e);
}

static int32_t root(_Atomic(int32_t) *parent, int32_t i)
{
    int32_t up = atomic_load_explicit(&parent[i], memory_order_relaxed);
    while (up != i) {
        i = up;
        up = atomic_load_explicit(&parent[i], memory_order_relaxed);
    }
    return i;
}

/* Larger roots are hung below smaller ones: whatever the order of events, a tree's root is its smallest index. */
static void join(_Atomic(int32_t) *parent, int32_t a, int32_t b)
{
    for (;;) {
        a = root(parent, a);
        b = root(parent, b);
        if (a == b)
            return;
        int32_t low = a < b ? a : b, high = a < b ? b : a, expected = high;
        if (atomic_compare_exchange_strong(&parent[high], &expected, low))
            return;
    }
}

static void join_cores(scan *s, const fet__jaccard_row *r, int32_t i)
{
    for (int64_t k = 0; k < r->count; k++) {
        int32_t other = r->touched[k];
        uint8_t both = s->core[i] & s->core[other];
        if (other <= i || !both)
            continue;
        float d = fet__jaccard_distance(r, other);
        for (int e = 0; e < s->radii; e++)
            if (both >> e & 1U && d <= s->radius[e])
                join(s->parent + e * s->rows, i, other);
    }
}

/* A border point goes to the lowest-numbered cluster that reaches it. Core points' labels are there by now. */
static void label_border(scan *s, const fet__jaccard_row *r, int32_t i)
{
    for (int e = 0; e < s->radii; e++) {
        int32_t *label = s->labels + e * s->rows, least = -1;
        if (s->core[i] >> e & 1U)
            continue;
        for (int64_t k = 0; k < r->count; k++) {
            int32_t other = r->touched[k];
            if (s->core[other] >> e & 1U && fet__jaccard_distance(r, other) <= s->radius[e] &&
                (least < 0 || label[other] < least))
                least = label[other];
        }
        label[i] = least;
    }
}

/* Roots ascend with the index, so numbering them in one scan numbers clusters by their smallest core point. */
static int32_t label_cores(scan *s, int e)
{
    int32_t *label = s->labels + e * s->rows, count = 0;
    _Atomic(int32_t) *parent = s->parent + e * s->rows;
    for (int32_t i = 0; i < s->rows; i++) {
        label[i] = -1;
        if (s->core[i] >> e & 1U) {
            int32_t top = root(parent, i);
            label[i] = top == i ? count++ : label[top];
        }
    }
    return count;
}

static fet_status prepare(scan *s)
{
    fet_status st = FET_OK;
    FET_TRY(FET_NEW(s->core, s->rows));
    FET_TRY(FET_NEW(s->parent, s->rows * s->radii));
    FET_TRY(FET_NEW(s->space, s->team));
    for (int t = 0; t < s->team; t++)
        FET_TRY(fet__jaccard_row_init(&s->space[t], s->j));
    for (int e = 0; e < s->radii; e++)
        for (int32_t i = 0; i < s->rows; i++)
            atomic_init(&s->parent[e * s->rows + i], i);
done:
    return st;
}

fet_status fet__dbscan(int32_t *labels, int32_t *clusters, const fet__jaccard *j, const float *radius, int radii,
                       int least)
{
    fet_status st = FET_OK;
    scan s = {.j = j,
              .radius = radius,
              .radii = radii,
              .least = least,
              .team = fet__threads(),
              .rows = fet__jaccard_rows(j),
              .labels = labels};
    if (radii < 1 || radii > RADII_MOST)
        return FET_FAIL(FET_E_BUG, "DBSCAN: %d radii", radii);
    for (int e = 0; e < radii; e++)
        if (!(radius[e] >= 0 && radius[e] < 1))
            return FET_FAIL(FET_E_ARG, "DBSCAN: a radius of %g is outside 0 to 1 (1 excluded)", (double)radius[e]);
    FET_TRY(prepare(&s));
    each_row(&s, count_neighbours, false);
    each_row(&s, join_cores, false);
    for (int e = 0; e < radii; e++)
        clusters[e] = label_cores(&s, e);
    each_row(&s, label_border, true);
done:
    for (int t = 0; s.space && t < s.team; t++)
        fet__jaccard_row_fini(&s.space[t]);
    fet__free(s.space);
    fet__free((void *)s.parent);
    fet__free(s.core);
    return st;
}
