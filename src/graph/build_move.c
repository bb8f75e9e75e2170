/* Builders of operators that move data: reshape, transpose, slices, concat, roll, rows by index, resize, pooling. */
#include "graph/graph_int.h"

fet__node *fet__reshape(fet__graph *g, fet__node *x, fet__shape shape)
{
    int64_t known = 1, count;
    int open = -1;

    if (!fet__have(g, FET__OP_RESHAPE, &x, 1))
        return NULL;
    for (int i = 0; i < shape.rank && i < FET__MAX_RANK; i++) {
        if (shape.dim[i] == -1 && open < 0)
            open = i;
        else if (shape.dim[i] < 1 || known > INT64_MAX / shape.dim[i])
            return fet__refuse_build(g, FET__OP_RESHAPE, &x, 1, "cannot become %s", fet__shape_text(&shape));
        else
            known *= shape.dim[i];
    }
    count = fet__shape_count(&x->shape);
    if (open >= 0) {
        if (count % known != 0)
            return fet__refuse_build(g, FET__OP_RESHAPE, &x, 1, "%lld elements do not divide into %s", (long long)count,
                                     fet__shape_text(&shape));
        shape.dim[open] = count / known;
    }
    if (fet__shape_equal(&x->shape, &shape))
        return x;
    return fet__make(g, FET__OP_RESHAPE, &x, 1, NULL, x->dtype, &shape);
}

fet__node *fet__transpose(fet__graph *g, fet__node *x, const int *perm)
{
    fet__attr attr = {.raw = {0}};

    if (!fet__have(g, FET__OP_TRANSPOSE, &x, 1))
        return NULL;
    for (int i = 0; i < x->shape.rank; i++)
        attr.transpose.perm[i] = perm[i];
    return fet__make(g, FET__OP_TRANSPOSE, &x, 1, &attr, x->dtype, NULL);
}

/* Attributes hold 32-bit positions. */
static bool fits(int64_t v)
{
    return v >= 0 && v <= INT32_MAX;
}

fet__node *fet__slice_all(fet__graph *g, fet__node *x, const int64_t *start, const int64_t *step, fet__shape size)
{
    fet__attr attr = {.raw = {0}};

    if (!fet__have(g, FET__OP_SLICE, &x, 1))
        return NULL;
    for (int i = 0; i < x->shape.rank; i++) {
        if (!fits(start[i]) || (step && !fits(step[i])))
            return fet__refuse_build(g, FET__OP_SLICE, &x, 1, "axis %d: start %lld, step %lld", i, (long long)start[i],
                                     step ? (long long)step[i] : 1LL);
        attr.slice.start[i] = (int32_t)start[i];
        attr.slice.step[i] = step ? (int32_t)step[i] : 1;
    }
    return fet__make(g, FET__OP_SLICE, &x, 1, &attr, x->dtype, &size);
}

fet__node *fet__slice(fet__graph *g, fet__node *x, int axis, int64_t start, int64_t stop)
{
    int64_t from[FET__MAX_RANK] = {0};
    fet__shape size;

    if (!fet__have(g, FET__OP_SLICE, &x, 1))
        return NULL;
    if (axis < 0)
        axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank || start < 0 || stop <= start || stop > x->shape.dim[axis])
        return fet__refuse_build(g, FET__OP_SLICE, &x, 1, "no [%lld, %lld) on axis %d", (long long)start,
                                 (long long)stop, axis);
    size = x->shape;
    if (stop - start == size.dim[axis])
        return x;
    from[axis] = start;
    size.dim[axis] = stop - start;
    return fet__slice_all(g, x, from, NULL, size);
}

fet__node *fet__pad(fet__graph *g, fet__node *x, const int64_t *low, const int64_t *high)
{
    fet__attr attr = {.raw = {0}};
    fet__shape shape;
    bool any = false;

    if (!fet__have(g, FET__OP_UNSLICE, &x, 1))
        return NULL;
    shape = x->shape;
    for (int i = 0; i < shape.rank; i++) {
        if (!fits(low[i]) || !fits(high[i]))
            return fet__refuse_build(g, FET__OP_UNSLICE, &x, 1, "axis %d cannot be padded by %lld and %lld", i,
                                     (long long)low[i], (long long)high[i]);
        any = any || low[i] || high[i];
        attr.slice.start[i] = (int32_t)low[i];
        attr.slice.step[i] = 1;
        shape.dim[i] += low[i] + high[i];
    }
    return any ? fet__make(g, FET__OP_UNSLICE, &x, 1, &attr, x->dtype, &shape) : x;
}

fet__node *fet__concat(fet__graph *g, fet__node *const *x, int count, int axis)
{
    enum { MOST = 8 };
    fet__attr attr = {.raw = {0}};
    fet__node *part[MOST];
    int parts = 0;

    if (!fet__have(g, FET__OP_CONCAT, x, count))
        return NULL;
    if (count < 1)
        return fet__graph_fail(g, FET_E_ARG, "concat: nothing to join");
    if (axis < 0)
        axis += x[0]->shape.rank;
    attr.axis.axis = axis;
    if (count == 1)
        return x[0];
    if (count <= MOST)
        return fet__make(g, FET__OP_CONCAT, x, count, &attr, x[0]->dtype, NULL);
    /* more than one node takes: join runs of equal length first */
    for (int at = 0, run = (count + MOST - 1) / MOST; at < count; at += run)
        part[parts++] = fet__concat(g, x + at, run < count - at ? run : count - at, axis);
    return fet__concat(g, part, parts, axis);
}

fet__node *fet__roll(fet__graph *g, fet__node *x, int axis, int64_t shift)
{
    fet__attr attr = {.raw = {0}};
    int64_t n;

    if (!fet__have(g, FET__OP_ROLL, &x, 1))
        return NULL;
    if (axis < 0)
        axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank)
        return fet__refuse_build(g, FET__OP_ROLL, &x, 1, "no axis %d", axis);
    n = x->shape.dim[axis];
    shift = ((shift % n) + n) % n;
    if (!fits(shift))
        return fet__refuse_build(g, FET__OP_ROLL, &x, 1, "shift %lld is too large", (long long)shift);
    if (shift == 0)
        return x;
    attr.roll.shift[axis] = (int32_t)shift;
    return fet__make(g, FET__OP_ROLL, &x, 1, &attr, x->dtype, NULL);
}

fet__node *fet__gather(fet__graph *g, fet__node *x, fet__node *index)
{
    fet__node *in[2] = {x, index};

    return fet__make(g, FET__OP_GATHER, in, 2, NULL, FET_F32, NULL);
}

fet__node *fet__scatter_add(fet__graph *g, fet__node *index, fet__node *updates, int64_t rows)
{
    fet__node *in[2] = {index, updates};
    fet__shape shape = {.rank = 1};

    if (!fet__have(g, FET__OP_SCATTER_ADD, in, 2))
        return NULL;
    shape.dim[0] = rows;
    if (updates->shape.rank < index->shape.rank)
        return fet__refuse_build(g, FET__OP_SCATTER_ADD, in, 2, "the updates have fewer axes than the index");
    if (updates->shape.rank - index->shape.rank >= FET__MAX_RANK)
        return fet__refuse_build(g, FET__OP_SCATTER_ADD, in, 2, "the result has more than %d axes", FET__MAX_RANK);
    for (int i = index->shape.rank; i < updates->shape.rank; i++)
        shape.dim[shape.rank++] = updates->shape.dim[i];
    return fet__make(g, FET__OP_SCATTER_ADD, in, 2, NULL, updates->dtype, &shape);
}

fet__node *fet__memory_update(fet__graph *g, fet__node *memory, fet__node *index, fet__node *rows, double momentum)
{
    fet__node *in[3] = {memory, index, rows};
    fet__attr attr = {.raw = {0}};

    if (!fet__have(g, FET__OP_MEMORY_UPDATE, in, 3))
        return NULL;
    attr.memory.momentum = momentum;
    return fet__make(g, FET__OP_MEMORY_UPDATE, in, 3, &attr, memory->dtype, NULL);
}

/* ---- feature maps ---- */

fet__node *fet__resize(fet__graph *g, fet__node *x, int64_t h, int64_t w, bool bicubic, bool align_corners)
{
    fet__attr attr = {.raw = {0}};
    fet__shape shape;

    if (!fet__have(g, FET__OP_RESIZE, &x, 1))
        return NULL;
    if (x->shape.rank != 4)
        return fet__refuse_build(g, FET__OP_RESIZE, &x, 1, "takes [B, H, W, C]");
    shape = FET_SHAPE(x->shape.dim[0], h, w, x->shape.dim[3]);
    if (fet__shape_equal(&shape, &x->shape))
        return x; /* both filters reproduce the samples */
    attr.resize.bicubic = bicubic;
    attr.resize.align_corners = align_corners;
    return fet__make(g, FET__OP_RESIZE, &x, 1, &attr, x->dtype, &shape);
}

static fet__attr pool_attr(const fet__pool *p)
{
    fet__attr attr = {.raw = {0}};

    for (int i = 0; i < 2; i++) {
        attr.pool.kernel[i] = p->kernel[i];
        attr.pool.stride[i] = p->stride[i] ? p->stride[i] : p->kernel[i];
        attr.pool.pad[i] = p->pad[i];
    }
    return attr;
}

fet__node *fet__avg_pool(fet__graph *g, fet__node *x, const fet__pool *p)
{
    fet__attr attr = pool_attr(p);

    return fet__make(g, FET__OP_AVG_POOL, &x, 1, &attr, FET_F32, NULL);
}

fet__node *fet__max_pool(fet__graph *g, fet__node *x, const fet__pool *p)
{
    fet__attr attr = pool_attr(p);
    fet__node *index = fet__make(g, FET__OP_MAX_POOL_INDEX, &x, 1, &attr, FET_I32, NULL);

    return index ? fet__gather(g, fet__reshape(g, x, FET_SHAPE(-1)), index) : NULL;
}
