/* Mixup and CutMix on a batch of float pictures, in place. Partners are a permutation: its cycles are walked one after
 * the other with the first picture of each kept aside, so one picture of scratch memory is enough. */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

/* What one picture takes from another. */
typedef struct mixing {
    int64_t size;
    float own, other; /* mixup */
    const int *box;   /* CutMix: (top, left, height, width), else NULL */
    size_t row, pixel;
} mixing;

static void take(float *to, const float *from, const mixing *m)
{
    if (!m->box) {
        for (int64_t i = 0; i < m->size; i++)
            to[i] = m->own * to[i] + m->other * from[i];
        return;
    }
    for (int y = m->box[0]; y < m->box[0] + m->box[2]; y++) {
        size_t at = (size_t)y * m->row + (size_t)m->box[1] * m->pixel;

        memcpy(to + at, from + at, (size_t)m->box[3] * m->pixel * sizeof *to);
    }
}

/* The smallest member of each cycle begins it. */
static bool begins_cycle(const int32_t *partner, int i)
{
    for (int j = partner[i]; j != i; j = partner[j]) {
        if (j < i)
            return false;
    }
    return partner[i] != i;
}

static void mix_all(float *x, float *scratch, int count, const int32_t *partner, const mixing *m)
{
    for (int first = 0; first < count; first++) {
        int i = first;

        if (!begins_cycle(partner, first))
            continue;
        memcpy(scratch, x + first * m->size, (size_t)m->size * sizeof *x);
        for (; partner[i] != first; i = partner[i])
            take(x + i * m->size, x + partner[i] * m->size, m);
        take(x + i * m->size, scratch, m);
    }
}

void fet__mixup(float *x, float *scratch, int count, int64_t size, const int32_t *partner, double lam)
{
    mixing m = {.size = size, .own = (float)lam, .other = (float)(1.0 - lam)};

    mix_all(x, scratch, count, partner, &m);
}

void fet__cutmix(float *x, float *scratch, int count, int height, int width, int channels, const int32_t *partner,
                 const int box[4])
{
    mixing m = {.size = (int64_t)height * width * channels,
                .box = box,
                .row = (size_t)width * (size_t)channels,
                .pixel = (size_t)channels};

    mix_all(x, scratch, count, partner, &m);
}

static void cut_axis(int *begin, int *length, int size, int cut, int centre)
{
    int from = centre - cut / 2, to = centre + cut / 2;

    from = from < 0 ? 0 : from > size ? size : from;
    to = to < 0 ? 0 : to > size ? size : to;
    *begin = from;
    *length = to - from;
}

double fet__cutmix_box(int box[4], int height, int width, double lam, int centre_y, int centre_x)
{
    double ratio = sqrt(1.0 - lam);

    cut_axis(&box[0], &box[2], height, (int)(height * ratio), centre_y);
    cut_axis(&box[1], &box[3], width, (int)(width * ratio), centre_x);
    return 1.0 - (double)box[2] * box[3] / ((double)height * width);
}

/* ---- Beta(alpha, alpha) --------------------------------------------------------------------------------------------- */

/* Logarithm of a Gamma(a) draw, by Marsaglia and Tsang's method ("A simple method for generating gamma variables", 2000). In
 * logarithms, because with small a the draws themselves vanish. */
static double log_gamma_draw(double a, fet__rng *r)
{
    double boost = 0.0, d, c;

    if (a < 1.0) {
        boost = log(1.0 - fet__rng_uniform(r, 0.0, 1.0)) / a;
        a += 1.0;
    }
    d = a - 1.0 / 3.0;
    c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = fet__rng_normal(r), v = 1.0 + c * x, u = 1.0 - fet__rng_uniform(r, 0.0, 1.0);

        if (v <= 0.0)
            continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + boost;
    }
}

double fet__draw_beta(double alpha, fet__rng *r)
{
    double a = log_gamma_draw(alpha, r), b = log_gamma_draw(alpha, r);

    return 1.0 / (1.0 + exp(b - a));
}
