/* Mona as part of a model file (methods/mona.md 1.1), computed once in double:
 *     conv.weight       mean of the filters, padded to the largest, + 1 in the middle
 *     projector         P + I; its bias takes in the filters' mean bias: (P + I) b + p
 *     norm.weight       gamma * norm.weight / gammax
 *     project1          P1 diag(gammax); its bias takes in the norm's: b1 + P1 (gamma * norm.bias)
 * Dividing by gammax is exact only where it is not near zero; a module that has such a channel keeps the vector gammax beside an
 * unscaled project1. */
#include "adapter/mona_int.h"

#include <math.h>
#include <string.h>

typedef struct module {
    const fet__mona *m;
    fet__params *store;
    char from[320], to[320];
    int64_t channels;
} module;

/* ---- filters and projector -------------------------------------------------------------------------------------- */

/* Add one filter [n, k, k] to the middle of the sum [n, size, size]. */
static void add_centred(double *sum, int size, const double *w, int k, int64_t n)
{
    int edge = (size - k) / 2, i, j;
    int64_t c;

    for (c = 0; c < n; c++)
        for (i = 0; i < k; i++)
            for (j = 0; j < k; j++)
                sum[(c * size + i + edge) * size + j + edge] += w[(c * k + i) * k + j];
}

static fet_status add_filter(const module *s, int index, double *sum, double *bias)
{
    int k = s->m->kernel[index];
    int64_t n = s->m->width, i;
    double *w = NULL, *own = NULL;
    char leaf[64];
    fet_status st;

    snprintf(leaf, sizeof leaf, "adapter_conv.conv%d.weight", index + 1);
    FET_TRY(fet__inserted_read(s->store, s->from, leaf, n * k * k, &w));
    snprintf(leaf, sizeof leaf, "adapter_conv.conv%d.bias", index + 1);
    FET_TRY(fet__inserted_read(s->store, s->from, leaf, n, &own));
    add_centred(sum, fet__mona_largest(s->m), w, k, n);
    for (i = 0; i < n; i++)
        bias[i] += own[i] / s->m->kernel_count;
done:
    fet__free(w);
    fet__free(own);
    return st;
}

/* The filter, and in `bias` the mean of the filters' biases. */
static fet_status fuse_filters(const module *s, double *bias)
{
    int size = fet__mona_largest(s->m), i;
    int64_t n = s->m->width, area = (int64_t)size * size, c, k;
    double *sum = NULL;
    fet_status st;

    FET_TRY(FET_NEW(sum, n * area));
    for (i = 0; i < s->m->kernel_count; i++)
        FET_TRY(add_filter(s, i, sum, bias));
    for (c = 0; c < n; c++) {
        for (k = 0; k < area; k++)
            sum[c * area + k] /= s->m->kernel_count;
        sum[c * area + area / 2] += 1;
    }
    FET_TRY(fet__inserted_write(s->store, s->to, "conv.weight", FET_SHAPE(n, 1, size, size), sum));
done:
    fet__free(sum);
    return st;
}

static fet_status fuse_projector(const module *s, const double *filter_bias)
{
    int64_t n = s->m->width, i, j;
    double *w = NULL, *bias = NULL;
    fet_status st;

    FET_TRY(fet__inserted_read(s->store, s->from, "adapter_conv.projector.weight", n * n, &w));
    FET_TRY(fet__inserted_read(s->store, s->from, "adapter_conv.projector.bias", n, &bias));
    for (i = 0; i < n; i++) {
        w[i * n + i] += 1;
        for (j = 0; j < n; j++)
            bias[i] += w[i * n + j] * filter_bias[j];
    }
    FET_TRY(fet__inserted_write(s->store, s->to, "projector.weight", FET_SHAPE(n, n), w));
    FET_TRY(fet__inserted_write(s->store, s->to, "projector.bias", FET_SHAPE(n), bias));
done:
    fet__free(w);
    fet__free(bias);
    return st;
}

static fet_status fuse_middle(const module *s)
{
    double *bias = NULL;
    fet_status st;

    FET_TRY(FET_NEW(bias, s->m->width));
    FET_TRY(fuse_filters(s, bias));
    FET_TRY(fuse_projector(s, bias));
done:
    fet__free(bias);
    return st;
}

/* ---- norm and projections ------------------------------------------------------------------------------------------ */

typedef struct front {
    double *gamma, *gammax, *weight, *bias, *project, *project_bias;
} front;

static void front_fini(front *f)
{
    fet__free(f->gamma);
    fet__free(f->gammax);
    fet__free(f->weight);
    fet__free(f->bias);
    fet__free(f->project);
    fet__free(f->project_bias);
}

static fet_status read_norm(const module *s, front *f)
{
    fet_status st;

    FET_TRY(fet__inserted_read(s->store, s->from, "gamma", s->channels, &f->gamma));
    FET_TRY(fet__inserted_read(s->store, s->from, "gammax", s->channels, &f->gammax));
    FET_TRY(fet__inserted_read(s->store, s->from, "norm.weight", s->channels, &f->weight));
    FET_TRY(fet__inserted_read(s->store, s->from, "norm.bias", s->channels, &f->bias));
done:
    return st;
}

/* Below this share of the largest the quotient would spend float32's digits. */
static bool divisible(const front *f, int64_t channels)
{
    double most = 0, least = (double)INFINITY;
    int64_t c;

    for (c = 0; c < channels; c++) {
        most = fmax(most, fabs(f->gammax[c]));
        least = fmin(least, fabs(f->gammax[c]));
    }
    return least > 0 && least >= most * 1e-2;
}

static fet_status fold_norm(const module *s, front *f)
{
    int64_t n = s->m->width, d = s->channels, i, c;
    bool divide = divisible(f, d);
    fet_status st;

    for (c = 0; c < d; c++)
        f->weight[c] *= divide ? f->gamma[c] / f->gammax[c] : f->gamma[c];
    for (i = 0; i < n; i++)
        for (c = 0; c < d; c++) {
            f->project_bias[i] += f->project[i * d + c] * f->gamma[c] * f->bias[c];
            if (divide)
                f->project[i * d + c] *= f->gammax[c];
        }
    FET_TRY(fet__inserted_write(s->store, s->to, "norm.weight", FET_SHAPE(d), f->weight));
    if (!divide)
        FET_TRY(fet__inserted_write(s->store, s->to, "gammax", FET_SHAPE(d), f->gammax));
done:
    return st;
}

static fet_status fuse_front(const module *s)
{
    int64_t n = s->m->width, d = s->channels;
    front f = {0};
    fet_status st;

    FET_TRY(fet__inserted_read(s->store, s->from, "project1.weight", n * d, &f.project));
    FET_TRY(fet__inserted_read(s->store, s->from, "project1.bias", n, &f.project_bias));
    if (s->m->scaled_norm) {
        FET_TRY(read_norm(s, &f));
        FET_TRY(fold_norm(s, &f));
    }
    FET_TRY(fet__inserted_write(s->store, s->to, "project1.weight", FET_SHAPE(n, d), f.project));
    FET_TRY(fet__inserted_write(s->store, s->to, "project1.bias", FET_SHAPE(n), f.project_bias));
done:
    front_fini(&f);
    return st;
}

static fet_status copy_back(const module *s)
{
    int64_t n = s->m->width, d = s->channels;
    double *w = NULL, *bias = NULL;
    fet_status st;

    FET_TRY(fet__inserted_read(s->store, s->from, "project2.weight", d * n, &w));
    FET_TRY(fet__inserted_read(s->store, s->from, "project2.bias", d, &bias));
    FET_TRY(fet__inserted_write(s->store, s->to, "project2.weight", FET_SHAPE(d, n), w));
    FET_TRY(fet__inserted_write(s->store, s->to, "project2.bias", FET_SHAPE(d), bias));
done:
    fet__free(w);
    fet__free(bias);
    return st;
}

fet_status fet__mona_fuse(fet__adapter *a, fet__params *store, const fet__site *s)
{
    module x = {.m = a->config, .store = store, .channels = s->in};
    fet_status st;

    fet__inserted_fuse_names(a, s, x.from, x.to);
    FET_TRY(fuse_front(&x));
    FET_TRY(fuse_middle(&x));
    FET_TRY(copy_back(&x));
done:
    return st;
}
