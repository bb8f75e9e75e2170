/* Re-ranking at test time: query-gallery distances mixed with the Jaccard distance of k-reciprocal neighbourhoods over queries and gallery
 * together. Follows the reference code of SpCL, which squares distances that are squared already. */
#include <math.h>
#include <string.h>

#include "cluster/cluster.h"

/* Squared squared distances, each row over its largest. */
typedef struct scaled {
    const float *x;
    int64_t width;
    const float *least_cosine;
} scaled;

static float scaled_distance(const scaled *s, int64_t row, int64_t other)
{
    float d = 2.0F - 2.0F * fet__row_cosine(s->x + row * s->width, s->x + other * s->width, s->width);
    float most = 2.0F - 2.0F * s->least_cosine[row];
    return most > 0 ? d * d / (most * most) : 0;
}

static float closeness(const void *user, int64_t row, int64_t member)
{
    return expf(-scaled_distance(user, row, member));
}

static void mix(float *out, const fet__jaccard *j, fet__jaccard_row *space, const scaled *s, int64_t queries,
                int64_t gallery, float lambda)
{
#pragma omp parallel for schedule(dynamic, 4) num_threads(fet__threads())
    for (int64_t q = 0; q < queries; q++) {
        fet__jaccard_row *r = &space[fet__thread_index()];
        fet__jaccard_row_begin(r, j, q);
        for (int64_t g = 0; g < gallery; g++)
            out[q * gallery + g] = (1.0F - lambda) * fet__jaccard_distance(r, (int32_t)(queries + g)) +
                                   lambda * scaled_distance(s, q, queries + g);
        fet__jaccard_row_end(r);
    }
}

static fet_status neighbourhoods(fet__jaccard **out, const fet__neighbours *n, const scaled *s, int k1, int k2)
{
    fet__sparse v = {0}, smooth = {0};
    fet_status st;
    FET_TRY(fet__reciprocal(&v, n, k1 + 1, (int)rint(k1 / 2.0) + 1, closeness, s));
    if (k2 > 1) {
        FET_TRY(fet__sparse_mean(&smooth, &v, n, k2));
        fet__sparse_fini(&v);
        v = smooth;
    }
    FET_TRY(fet__jaccard_of(out, &v));
done:
    fet__sparse_fini(&v);
    return st;
}

fet_status fet__rerank(float *out, const float *query, int64_t queries, const float *gallery, int64_t entries,
                       int64_t width, int k1, int k2, double lambda)
{
    int64_t rows = queries + entries;
    fet__neighbours n = {0};
    fet__jaccard *j = NULL;
    fet__jaccard_row *space = NULL;
    float *x = NULL;
    int team = fet__threads();
    fet_status st;
    if (queries < 1 || entries < 1 || k1 < 1 || k2 < 1 || !(lambda >= 0 && lambda <= 1))
        return FET_FAIL(FET_E_ARG, "re-ranking: k1 = %d, k2 = %d, lambda = %g", k1, k2, lambda);
    FET_TRY(FET_NEW(x, rows * width));
    FET_TRY(FET_NEW(space, team));
    memcpy(x, query, (size_t)(queries * width) * sizeof *x);
    memcpy(x + queries * width, gallery, (size_t)(entries * width) * sizeof *x);
    FET_TRY(fet__neighbours_find(&n, x, rows, width, k1 + 1, true));
    scaled s = {x, width, n.least_cosine};
    FET_TRY(neighbourhoods(&j, &n, &s, k1, k2));
    for (int t = 0; t < team; t++)
        FET_TRY(fet__jaccard_row_init(&space[t], j));
    mix(out, j, space, &s, queries, entries, (float)lambda);
done:
    for (int t = 0; space && t < team; t++)
        fet__jaccard_row_fini(&space[t]);
    fet__free(space);
    fet__jaccard_destroy(j);
    fet__neighbours_fini(&n);
    fet__free(x);
    return st;
}
