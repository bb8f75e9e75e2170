/* Leaves, sources, broadcast and reductions: shapes and vector-Jacobian rules. */
#include "graph/graph_int.h"

fet_status fet__infer_leaf(fet__node *n, bool shaped)
{
    if (!shaped || fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "has no shape");
    return FET_OK;
}

static fet_status given_shape(const fet__node *n, bool shaped)
{
    if (!shaped || n->shape.rank < 0 || n->shape.rank > FET__MAX_RANK)
        return fet__refuse(n, "needs a shape of 0 to %d axes", FET__MAX_RANK);
    if (fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "sizes must be positive: %s", fet__shape_text(&n->shape));
    return FET_OK;
}

fet_status fet__infer_broadcast(fet__node *n, bool shaped)
{
    const fet__shape *x = &n->input[0]->shape;
    fet_status st = given_shape(n, shaped);

    if (st != FET_OK)
        return st;
    n->dtype = n->input[0]->dtype;
    if (x->rank != n->shape.rank)
        return fet__refuse(n, "rank differs from that of %s", fet__shape_text(&n->shape));
    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] != n->shape.dim[i] && x->dim[i] != 1)
            return fet__refuse(n, "cannot become %s", fet__shape_text(&n->shape));
    return FET_OK;
}

fet_status fet__infer_random(fet__node *n, bool shaped)
{
    if (n->input[0]->dtype != FET_I32 || n->input[0]->shape.rank != 0)
        return fet__refuse(n, "the step must be an i32 scalar");
    if (!fet__dtype_is_float(n->dtype))
        return fet__refuse(n, "makes floating types only");
    return given_shape(n, shaped);
}

fet_status fet__infer_iota(fet__node *n, bool shaped)
{
    if (n->dtype != FET_I32 && !fet__dtype_is_float(n->dtype))
        return fet__refuse(n, "makes i32 or floating types only");
    if (shaped && n->shape.rank != 1)
        return fet__refuse(n, "has one axis, not %s", fet__shape_text(&n->shape));
    return given_shape(n, shaped);
}

fet_status fet__infer_fill(fet__node *n, bool shaped)
{
    if ((int)n->dtype < 0 || n->dtype >= FET_DTYPE_COUNT)
        return fet__refuse(n, "no type %d", (int)n->dtype);
    return given_shape(n, shaped);
}

fet_status fet__infer_reduce(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0];
    uint32_t axes = n->attr.reduce.axes;

    (void)shaped;
    if (!fet__dtype_is_float(x->dtype))
        return fet__refuse(n, "takes floating types only");
    if (axes & ~fet__all_axes(x->shape.rank))
        return fet__refuse(n, "no such axes: 0x%x", (unsigned)axes);
    n->dtype = x->dtype;
    n->shape = x->shape;
    for (int i = 0; i < n->shape.rank; i++)
        if (axes >> i & 1)
            n->shape.dim[i] = 1;
    return FET_OK;
}

fet_status fet__infer_argmax(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0];

    (void)shaped;
    if (x->shape.rank < 1 || !fet__dtype_is_float(x->dtype))
        return fet__refuse(n, "takes floating types with at least one axis");
    n->dtype = FET_I32;
    n->shape = x->shape;
    n->shape.dim[n->shape.rank - 1] = 1;
    return FET_OK;
}

void fet__vjp_broadcast(fet__vjp *a)
{
    const fet__shape *x = &a->n->input[0]->shape, *y = &a->n->shape;
    uint32_t axes = 0;

    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] != y->dim[i])
            axes |= 1u << i;
    a->d[0] = fet__sum(a->g, a->dy, axes);
}

void fet__vjp_sum(fet__vjp *a)
{
    a->d[0] = fet__broadcast(a->g, a->dy, a->n->input[0]->shape);
}

/* Equal largest elements share the gradient evenly. */
void fet__vjp_reduce_max(fet__vjp *a)
{
    fet__node *x = a->n->input[0];
    fet__node *mask = fet__compare(a->g, FET__EQ, x, a->n);
    fet__node *ties = fet__sum(a->g, mask, a->n->attr.reduce.axes);

    a->d[0] = fet__mul(a->g, mask, fet__div(a->g, a->dy, ties));
}

double fet__flops_reduce(const fet__node *n)
{
    return (double)fet__shape_count(&n->input[0]->shape);
}

/* Philox: 10 rounds of about 8 integer operations make 4 elements. */
double fet__flops_random(const fet__node *n)
{
    return 20.0 * (double)fet__shape_count(&n->shape);
}
