/* The workload jaccard: from features to clusters as an epoch of SpCL does it once: nearest neighbours, k-reciprocal Jaccard distances and DBSCAN at
 * three radii, on random features in groups of 16, as the peer draws them. */
#include "method/reid_int.h"

#include <math.h>
#include <stdlib.h>

enum { GROUP = 16, NEAR = 30, MEAN = 6, LEAST = 4, RADII = 3 };

/* Seconds of the parts, in the order in which they run. */
typedef struct parts {
    double neighbours, neighbourhoods, clusters;
} parts;

void fet__bench_unit(float *x, int64_t width)
{
    double square = 0;

    for (int64_t c = 0; c < width; c++)
        square += (double)x[c] * (double)x[c];
    for (int64_t c = 0; c < width; c++)
        x[c] = (float)((double)x[c] / sqrt(square));
}

/* Centre and noise of 0.6, both drawn by place, so threads do not matter. */
static void draw(float *x, int64_t rows, int64_t width, uint64_t seed)
{
    uint32_t centre = fet__hash32("bench.centres"), noise = fet__hash32("bench.noise");

#pragma omp parallel for schedule(static) num_threads(fet__threads())
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = 0; c < width; c++)
            x[i * width + c] = (float)(fet__random_normal(seed, centre, 0, (uint64_t)(i / GROUP * width + c)) +
                                       0.6 * fet__random_normal(seed, noise, 0, (uint64_t)(i * width + c)));
        fet__bench_unit(x + i * width, width);
    }
}

static fet_status step(const float *x, int64_t rows, int64_t width, int32_t *labels, parts *p)
{
    static const float radius[RADII] = {0.58F, 0.6F, 0.62F};
    int32_t clusters[RADII];
    fet__neighbours n = {0};
    fet__jaccard *j = NULL;
    double begun = fet__now(), now;
    fet_status st;

    FET_TRY(fet__neighbours_find(&n, x, rows, width, NEAR, false));
    now = fet__now();
    p->neighbours += now - begun;
    FET_TRY(fet__jaccard_from(&j, &n, x, width, NEAR, MEAN));
    begun = fet__now();
    p->neighbourhoods += begun - now;
    st = fet__dbscan(labels, clusters, j, radius, RADII, LEAST);
    p->clusters += fet__now() - begun;
done:
    fet__neighbours_fini(&n);
    fet__jaccard_destroy(j);
    return st;
}

static fet_status print(const parts *p, int steps, char **out)
{
    *out = fet__format("neighbours      %9.1f ms\nneighbourhoods  %9.1f ms\nclusters        %9.1f ms\n",
                       1e3 * p->neighbours / steps, 1e3 * p->neighbourhoods / steps, 1e3 * p->clusters / steps);
    return *out ? FET_OK : FET_E_NOMEM;
}

/* Half of the products of all pairs is what the neighbours need at least. */
static void fill(fet_bench_result *r, double *seconds, int steps, int64_t rows, int64_t width)
{
    double flops = (double)rows * (double)(rows - 1) * (double)width;

    fet__bench_times(r, seconds, steps, rows);
    r->gflops_per_image = flops / (double)rows / 1e9;
    r->gflops = flops / r->median_s / 1e9;
    r->rows = rows;
    r->width = (int)width;
}

fet_status fet__bench_jaccard(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text)
{
    int64_t rows = o->rows ? o->rows : 4096, width = o->width ? o->width : 2048;
    double *seconds = NULL;
    int32_t *labels = NULL;
    float *x = NULL;
    parts p = {0}, unused = {0};
    fet_status st;

    if (!o->train)
        return FET_FAIL(FET_E_ARG, "workload '%s' is part of training: --mode train", w->name);
    if (rows < GROUP || rows > 100000000 || width < 1 || width > 1000000)
        return FET_FAIL(FET_E_ARG, "workload '%s': %lld features of %lld values are out of range", w->name,
                        (long long)rows, (long long)width);
    rows -= rows % GROUP;
    FET_TRY(FET_NEW(x, rows * width));
    FET_TRY(FET_NEW(labels, RADII * rows));
    FET_TRY(FET_NEW(seconds, o->steps));
    draw(x, rows, width, o->seed);
    for (int i = 0; i < o->warmup; i++)
        FET_TRY(step(x, rows, width, labels, &unused));
    for (int i = 0; i < o->steps; i++) {
        double begun = fet__now();

        FET_TRY(step(x, rows, width, labels, &p));
        seconds[i] = fet__now() - begun;
    }
    fill(out, seconds, o->steps, rows, width);
    if (text && o->profile)
        FET_TRY(print(&p, o->steps, text));
done:
    fet__free(x);
    fet__free(labels);
    fet__free(seconds);
    return st;
}
