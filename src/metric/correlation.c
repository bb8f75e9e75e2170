/* Pearson's correlation, over all samples or within groups. */
#include <math.h>

#include "metric/metric.h"

/* Exact test of variation: after subtracting a rounded mean, constant input would leave noise and an arbitrary r. */
static bool varies(const double *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        if (x[i] != x[0])
            return true;
    }
    return false;
}

static double mean(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Two passes: sums of products of raw values would cancel where the mean is large. */
double fet__pearson(const double *x, const double *y, int64_t n)
{
    if (!varies(x, n) || !varies(y, n))
        return NAN;
    double mx = mean(x, n), my = mean(y, n), xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = x[i] - mx, b = y[i] - my;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    double r = xy / (sqrt(xx) * sqrt(yy));
    return fmin(1, fmax(-1, r));
}

fet_status fet__group_pearson(double *out, const double *x, const double *y, const int32_t *group, int64_t n,
                              int groups)
{
    double *pairs;
    if (FET_NEW(pairs, 2 * (size_t)n) != FET_OK)
        return FET_E_NOMEM;
    double *gx = pairs, *gy = pairs + n;
    for (int g = 0; g < groups; g++) {
        int64_t members = 0;
        for (int64_t i = 0; i < n; i++) {
            if (group[i] != g)
                continue;
            gx[members] = x[i];
            gy[members++] = y[i];
        }
        out[g] = fet__pearson(gx, gy, members);
    }
    fet__free(pairs);
    return FET_OK;
}
