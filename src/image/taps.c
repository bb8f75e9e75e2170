/* The filters of the antialiased resize and the table of weights along one axis. With n inputs and o outputs:
 *     scale = n / o, fs = max(scale, 1), S = support * fs, centre of output i: c = (i + 0.5) * scale,
 *     inputs k in [trunc(c - S + 0.5), trunc(c + S + 0.5)) clamped to [0, n), w_k = f((k - c + 0.5) / fs) / sum.
 * Everything in double, so that the integers made of the weights are those of the reference. */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double hamming(double x)
{
    x = fabs(x);
    return x < 1.0 ? sinc(x) * (0.54 + 0.46 * cos(PI * x)) : 0.0;
}

/* Keys' cubic with a = -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

typedef struct filter_info {
    const char *name;
    double support;
    double (*at)(double x);
} filter_info;

static const filter_info filters[] = {
    [FET__NEAREST] = {"nearest", 0.0, NULL},       [FET__BOX] = {"box", 0.5, box},
    [FET__BILINEAR] = {"bilinear", 1.0, bilinear}, [FET__HAMMING] = {"hamming", 1.0, hamming},
    [FET__BICUBIC] = {"bicubic", 2.0, bicubic},    [FET__LANCZOS] = {"lanczos", 3.0, lanczos},
};

bool fet__filter_parse(const char *s, fet__filter *out)
{
    for (size_t i = 0; i < FET_COUNT(filters); i++) {
        if (strcmp(s, filters[i].name) == 0) {
            *out = (fet__filter)i;
            return true;
        }
    }
    return false;
}

const char *fet__filter_name(fet__filter f)
{
    return filters[f].name;
}

int fet__nearest_source(int output, int inputs, int outputs)
{
    return (int)((2 * (int64_t)output + 1) * inputs / (2 * (int64_t)outputs));
}

/* Weights of output i into `weight`. */
static void fill_output(fet__taps *t, int row, int i, int inputs, double scale, const filter_info *f)
{
    double stretch = scale > 1.0 ? scale : 1.0, reach = f->support * stretch, inverse = 1.0 / stretch, sum = 0.0;
    double centre = (i + 0.5) * scale, low = centre - reach + 0.5, high = centre + reach + 0.5;
    double *weight = t->weight + (size_t)row * (size_t)t->max;
    int first = low > 0.0 ? (int)low : 0, end = high < inputs ? (int)high : inputs;

    for (int k = first; k < end; k++) {
        weight[k - first] = f->at((k - centre + 0.5) * inverse);
        sum += weight[k - first];
    }
    for (int k = first; k < end && sum != 0.0; k++)
        weight[k - first] /= sum;
    t->first[row] = first;
    t->used[row] = end - first;
}

fet_status fet__taps_build(fet__taps *out, int inputs, int outputs, int begin, int count, fet__filter f)
{
    fet_status st;
    const filter_info *info = &filters[f];
    double scale = (double)inputs / outputs, reach = info->support * (scale > 1.0 ? scale : 1.0);
    int64_t most = (int64_t)ceil(reach) * 2 + 1;

    memset(out, 0, sizeof *out);
    if (most > inputs)
        most = inputs;
    out->count = count;
    out->max = (int)(most + (most & 1));
    FET_TRY(FET_NEW(out->first, count));
    FET_TRY(FET_NEW(out->used, count));
    FET_TRY(FET_NEW(out->weight, (size_t)count * (size_t)out->max));
    for (int i = 0; i < count; i++)
        fill_output(out, i, begin + i, inputs, scale, info);
done:
    if (st != FET_OK)
        fet__taps_fini(out);
    return st;
}

void fet__taps_fini(fet__taps *t)
{
    fet__free(t->first);
    fet__free(t->used);
    fet__free(t->weight);
    memset(t, 0, sizeof *t);
}
