/* Feature maps [B, H, W, C] to other sizes: nearest neighbours, adaptive average pooling. (Bilinear and bicubic are one operator.) */
#include "nn/nn.h"

fet__node *fet__nn_resize_nearest(fet__build *b, fet__node *x, int h, int w)
{
    int64_t batch, height, width, c, count;
    fet__node *index;
    int32_t *at;

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    height = x->shape.dim[1];
    width = x->shape.dim[2];
    c = x->shape.dim[3];
    count = batch * h * w;
    if (!(at = fet__alloc((size_t)count, sizeof *at)))
        return fet__graph_fail(b->g, FET_E_NOMEM, "no memory for the index of a map of %dx%d", h, w);
    for (int64_t i = 0; i < count; i++)
        at[i] = (int32_t)((i / ((int64_t)h * w) * height + i / w % h * height / h) * width + i % w * width / w);
    index = fet__const(b->g, FET_I32, FET_SHAPE(batch, h, w), at);
    fet__free(at);
    return fet__gather(b->g, fet__reshape(b->g, x, FET_SHAPE(batch * height * width, c)), index);
}

/* [bins, size]: row i averages floor(i size / bins) up to ceil((i + 1) size / bins). */
static fet__node *averages(fet__build *b, int64_t size, int64_t bins)
{
    double *row = fet__alloc((size_t)(size * bins), sizeof *row);
    fet__node *x;

    if (!row)
        return fet__graph_fail(b->g, FET_E_NOMEM, "no memory for pooling %lld to %lld", (long long)size,
                               (long long)bins);
    for (int64_t i = 0; i < bins; i++) {
        int64_t first = i * size / bins, end = ((i + 1) * size + bins - 1) / bins;

        for (int64_t k = first; k < end; k++)
            row[i * size + k] = 1.0 / (double)(end - first);
    }
    x = fet__cast(b->g, fet__const(b->g, FET_F64, FET_SHAPE(bins, size), row), b->dtype);
    fet__free(row);
    return x;
}

/* The mean over a box is the mean over columns of means over rows: two small products. */
fet__node *fet__nn_adaptive_pool(fet__build *b, fet__node *x, int h, int w)
{
    int64_t batch, height, width, c;

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    height = x->shape.dim[1];
    width = x->shape.dim[2];
    c = x->shape.dim[3];
    x = fet__matmul(b->g, averages(b, height, h), fet__reshape(b->g, x, FET_SHAPE(batch, height, width * c)), false,
                    false);
    x = fet__matmul(b->g, averages(b, width, w), fet__reshape(b->g, x, FET_SHAPE(batch * h, width, c)), false, false);
    return fet__reshape(b->g, x, FET_SHAPE(batch, h, w, c));
}
