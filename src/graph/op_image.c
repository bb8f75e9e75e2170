/* Resize and pooling of [B, H, W, C]: shapes, vector-Jacobian rules, cost. Resize and average pooling are linear maps, so each and
 * its transpose are each other's rule; the maximum is a choice by index (gather), whose rule is gather's. */
#include "graph/graph_int.h"

fet_status fet__infer_resize(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0];

    if (x->shape.rank != 4 || !fet__dtype_is_float(x->dtype))
        return fet__refuse(n, "takes floating [B, H, W, C]");
    if (!shaped || n->shape.rank != 4 || n->shape.dim[1] < 1 || n->shape.dim[2] < 1 || fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "needs a shape [B, H, W, C] with positive sizes");
    if (n->shape.dim[0] != x->shape.dim[0] || n->shape.dim[3] != x->shape.dim[3])
        return fet__refuse(n, "cannot become %s", fet__shape_text(&n->shape));
    n->dtype = x->dtype;
    return FET_OK;
}

static fet_status pool_shape(const fet__node *n, const fet__shape *x, fet__shape *y)
{
    if (x->rank != 4 || !fet__dtype_is_float(n->input[0]->dtype))
        return fet__refuse(n, "takes floating [B, H, W, C]");
    *y = *x;
    for (int i = 0; i < 2; i++) {
        int64_t kernel = n->attr.pool.kernel[i], stride = n->attr.pool.stride[i], pad = n->attr.pool.pad[i];
        int64_t padded = x->dim[1 + i] + 2 * pad;

        /* a padding of more than half the kernel would leave windows without a single element */
        if (kernel < 1 || stride < 1 || pad < 0 || 2 * pad > kernel)
            return fet__refuse(n, "kernel %lld, stride %lld, padding %lld", (long long)kernel, (long long)stride,
                               (long long)pad);
        if (padded < kernel)
            return fet__refuse(n, "the kernel of %lld exceeds the padded size %lld", (long long)kernel,
                               (long long)padded);
        y->dim[1 + i] = (padded - kernel) / stride + 1;
    }
    return FET_OK;
}

fet_status fet__infer_avg_pool(fet__node *n, bool shaped)
{
    (void)shaped;
    n->dtype = n->input[0]->dtype;
    return pool_shape(n, &n->input[0]->shape, &n->shape);
}

fet_status fet__infer_avg_pool_t(fet__node *n, bool shaped)
{
    fet__shape y;
    fet_status st;

    if (!shaped || n->shape.rank != 4 || fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "needs a shape [B, H, W, C]");
    st = pool_shape(n, &n->shape, &y);
    if (st != FET_OK)
        return st;
    if (!fet__shape_equal(&y, &n->input[0]->shape))
        return fet__refuse(n, "pooling %s gives %s", fet__shape_text(&n->shape), fet__shape_text(&y));
    n->dtype = n->input[0]->dtype;
    return FET_OK;
}

fet_status fet__infer_max_pool_index(fet__node *n, bool shaped)
{
    (void)shaped;
    n->dtype = FET_I32;
    if (fet__shape_count(&n->input[0]->shape) > INT32_MAX)
        return fet__refuse(n, "more elements than an i32 can count");
    return pool_shape(n, &n->input[0]->shape, &n->shape);
}

static void transposed(fet__vjp *a, fet__op op)
{
    a->d[0] = fet__make(a->g, op, &a->dy, 1, &a->n->attr, a->n->dtype, &a->n->input[0]->shape);
}

void fet__vjp_resize(fet__vjp *a)
{
    transposed(a, FET__OP_RESIZE_T);
}

void fet__vjp_resize_t(fet__vjp *a)
{
    transposed(a, FET__OP_RESIZE);
}

void fet__vjp_avg_pool(fet__vjp *a)
{
    transposed(a, FET__OP_AVG_POOL_T);
}

void fet__vjp_avg_pool_t(fet__vjp *a)
{
    transposed(a, FET__OP_AVG_POOL);
}

/* Separable: 2 or 4 taps an axis, a multiply and an add each. */
static double resize_flops(const fet__node *n, const fet__shape *y)
{
    return (double)fet__shape_count(y) * 4.0 * (n->attr.resize.bicubic ? 4.0 : 2.0);
}

double fet__flops_resize(const fet__node *n)
{
    return resize_flops(n, &n->shape);
}

double fet__flops_resize_t(const fet__node *n)
{
    return resize_flops(n, &n->input[0]->shape);
}

static double pool_flops(const fet__node *n, const fet__shape *y)
{
    return (double)fet__shape_count(y) * n->attr.pool.kernel[0] * n->attr.pool.kernel[1];
}

double fet__flops_pool(const fet__node *n)
{
    return pool_flops(n, &n->shape);
}

double fet__flops_pool_t(const fet__node *n)
{
    return pool_flops(n, &n->input[0]->shape);
}
