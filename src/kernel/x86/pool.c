/* Pooling of [B, H, W, C] in float32: the place of the largest element, and the mean. Channels lie beside each other, so a window's
 * positions are looked at one after the other for a block of channels at a time. Results are those of the reference to the bit. */
#include "kernel/x86/x86.h"

#define BLOCK 64 /* channels */

bool fet__pool_accepts(const fet__problem *p)
{
    return (p->op == FET__OP_MAX_POOL_INDEX || p->op == FET__OP_AVG_POOL) && p->input[0].dtype == FET_F32;
}

typedef struct window {
    int64_t top, bottom, left, right; /* the part that lies on the map */
} window;

static void cut(const fet__attr *a, int axis, int64_t o, int64_t n, int64_t *first, int64_t *last)
{
    *first = o * a->pool.stride[axis] - a->pool.pad[axis];
    *last = *first + a->pool.kernel[axis];
    *first = *first < 0 ? 0 : *first;
    *last = *last > n ? n : *last;
}

/* The first of the largest wins, and a NaN over every number. `image` is element 0 of the picture, `base` its flat place. */
static void largest(int32_t *out, const float *image, int64_t base, const int64_t in[4], const window *w,
                    int64_t channel, int count)
{
    float best[BLOCK];
    int32_t at[BLOCK];
    int64_t first = (w->top * in[2] + w->left) * in[3] + channel;

    for (int k = 0; k < count; k++) {
        best[k] = image[first + k];
        at[k] = (int32_t)(base + first + k);
    }
    for (int64_t y = w->top; y < w->bottom; y++)
        for (int64_t x = w->left; x < w->right; x++) {
            int64_t place = (y * in[2] + x) * in[3] + channel;
            int32_t flat = (int32_t)(base + place);
#pragma omp simd
            for (int k = 0; k < count; k++) {
                float v = image[place + k];
                int take = (v > best[k]) | ((v != v) & (best[k] == best[k]));
                best[k] = take ? v : best[k];
                at[k] = take ? flat + k : at[k];
            }
        }
    for (int k = 0; k < count; k++)
        out[k] = at[k];
}

static void mean(float *out, const float *image, const int64_t in[4], const window *w, int64_t channel, int count,
                 double area)
{
    double sum[BLOCK] = {0};

    for (int64_t y = w->top; y < w->bottom; y++)
        for (int64_t x = w->left; x < w->right; x++) {
            const float *v = image + (y * in[2] + x) * in[3] + channel;
#pragma omp simd
            for (int k = 0; k < count; k++)
                sum[k] += (double)v[k];
        }
    for (int k = 0; k < count; k++)
        out[k] = (float)(sum[k] / area);
}

/* One row of the output. */
static void row(const fet__problem *p, const fet__call *c, int64_t r)
{
    const int64_t *in = p->input[0].shape.dim, *d = p->output.shape.dim;
    int64_t base = r / d[1] * in[1] * in[2] * in[3];
    const float *image = (const float *)c->input[0] + base;
    double area = (double)p->attr.pool.kernel[0] * p->attr.pool.kernel[1];
    window w;

    cut(&p->attr, 0, r % d[1], in[1], &w.top, &w.bottom);
    for (int64_t x = 0; x < d[2]; x++) {
        cut(&p->attr, 1, x, in[2], &w.left, &w.right);
        for (int64_t channel = 0; channel < d[3]; channel += BLOCK) {
            int64_t place = (r * d[2] + x) * d[3] + channel;
            int count = (int)(d[3] - channel < BLOCK ? d[3] - channel : BLOCK);
            if (p->op == FET__OP_MAX_POOL_INDEX)
                largest((int32_t *)c->output + place, image, base, in, &w, channel, count);
            else
                mean((float *)c->output + place, image, in, &w, channel, count, area);
        }
    }
}

fet_status fet__pool_run(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    const int64_t *d = p->output.shape.dim;
    int team = fet__x86_team(p, fet__shape_count(&p->output.shape) * p->attr.pool.kernel[0] * p->attr.pool.kernel[1]);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < d[0] * d[1]; r++)
        row(p, c, r);
    return FET_OK;
}
