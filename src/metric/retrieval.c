/* Retrieval metrics for re-identification: average precision and cumulative match curves over ranked galleries, query by query. Who is junk
 * for whom is decided here; distances come from the caller. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/metric.h"

struct fet__retrieval {
    fet__retrieval_options o;
    double *curve; /* sums over queries of matches first seen at each position */
    double precision;
    int64_t queries, skipped;
    struct ranked {
        float distance;
        int32_t index;
    } * order;
    int64_t capacity;
};

fet_status fet__retrieval_create(fet__retrieval **out, const fet__retrieval_options *o)
{
    fet__retrieval *r = NULL;
    fet_status st;
    *out = NULL;
    if (o->curve < 1)
        return FET_FAIL(FET_E_BUG, "retrieval: a curve of %d positions", o->curve);
    FET_TRY(FET_NEW(r, 1));
    r->o = *o;
    FET_TRY(FET_NEW(r->curve, o->curve));
    *out = r;
    r = NULL;
done:
    fet__retrieval_destroy(r);
    return st;
}

void fet__retrieval_destroy(fet__retrieval *r)
{
    if (!r)
        return;
    fet__free(r->curve);
    fet__free(r->order);
    fet__free(r);
}

static int by_distance(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool is_junk(const fet__retrieval *r, const fet__retrieval_view *q, const fet__retrieval_view *g)
{
    bool same_camera = !r->o.keep_same_camera && q->camera == g->camera;
    return same_camera && (r->o.separate_cameras || q->id == g->id);
}

/* Sum over matches of (matches so far) / (entries so far), equal distances as one step. */
static double grouped_precision(const struct ranked *order, int64_t count, const fet__retrieval_view *gallery,
                                int64_t id, int64_t matches)
{
    double sum = 0;
    int64_t hits = 0;
    for (int64_t i = 0; i < count;) {
        int64_t fresh = 0, end = i;
        for (; end < count && order[end].distance == order[i].distance; end++)
            fresh += gallery[order[end].index].id == id;
        hits += fresh;
        sum += (double)fresh * (double)hits / (double)end;
        i = end;
    }
    return sum / (double)matches;
}

static double position_precision(const struct ranked *order, int64_t count, const fet__retrieval_view *gallery,
                                 int64_t id, int64_t matches)
{
    double sum = 0;
    int64_t hits = 0;
    for (int64_t i = 0; i < count; i++)
        if (gallery[order[i].index].id == id)
            sum += (double)++hits / (double)(i + 1);
    return sum / (double)matches;
}

static void add_to_curve(fet__retrieval *r, int64_t count, const fet__retrieval_view *gallery, int64_t id,
                         int64_t matches)
{
    int64_t earlier = 0;
    for (int64_t i = 0; i < count && i - earlier < r->o.curve; i++) {
        if (gallery[r->order[i].index].id != id)
            continue;
        r->curve[i - earlier] += r->o.all_matches ? 1.0 / (double)matches : 1.0;
        if (!r->o.all_matches)
            return;
        earlier++;
    }
}

static fet_status room(fet__retrieval *r, int64_t count)
{
    if (count <= r->capacity)
        return FET_OK;
    struct ranked *order = fet__alloc_raw((size_t)count, sizeof *order);
    if (!order)
        return FET_E_NOMEM;
    fet__free(r->order);
    r->order = order;
    r->capacity = count;
    return FET_OK;
}

fet_status fet__retrieval_add(fet__retrieval *r, const fet__retrieval_view *query, const float *distance,
                              const fet__retrieval_view *gallery, int64_t count, double *precision)
{
    int64_t kept = 0, matches = 0;
    fet_status st = room(r, count);
    double ap;
    if (st != FET_OK)
        return st;
    if (precision)
        *precision = NAN;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(distance[i]))
            return FET_FAIL(FET_E_NUMERIC, "retrieval: the distance to gallery entry %lld is not a number",
                            (long long)i);
        if (is_junk(r, query, &gallery[i]))
            continue;
        r->order[kept++] = (struct ranked){distance[i], (int32_t)i};
        matches += gallery[i].id == query->id;
    }
    if (matches == 0) {
        r->skipped++;
        return FET_OK;
    }
    qsort(r->order, (size_t)kept, sizeof *r->order, by_distance);
    ap = (r->o.by_position ? position_precision : grouped_precision)(r->order, kept, gallery, query->id, matches);
    add_to_curve(r, kept, gallery, query->id, matches);
    r->precision += ap;
    r->queries++;
    if (precision)
        *precision = ap;
    return FET_OK;
}

fet_status fet__retrieval_result(const fet__retrieval *r, double *map, double *curve)
{
    double sum = 0;
    if (r->queries == 0)
        return FET_FAIL(
            FET_E_DATA,
            "retrieval: no query has a true match in the gallery (%lld queries; entries of the same identity and "
            "camera do not count)",
            (long long)r->skipped);
    *map = r->precision / (double)r->queries;
    for (int i = 0; curve && i < r->o.curve; i++) {
        sum += r->curve[i];
        curve[i] = sum / (double)r->queries;
    }
    return FET_OK;
}

int64_t fet__retrieval_queries(const fet__retrieval *r)
{
    return r->queries;
}

int64_t fet__retrieval_skipped(const fet__retrieval *r)
{
    return r->skipped;
}
