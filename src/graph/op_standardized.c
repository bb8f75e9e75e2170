/* Standardizing by a tensor's own statistics: the rule that makes it one function of its argument. Written out in core operators the
 * gradient would go through mean and variance apart, with two more passes over the tensor. */
#include "graph/graph_int.h"

static uint32_t reduced_axes(const fet__node *scale)
{
    uint32_t axes = 0;

    for (int i = 0; i < scale->shape.rank; i++)
        if (scale->shape.dim[i] == 1)
            axes |= 1u << i;
    return axes;
}

fet_status fet__infer_standardized(fet__node *n, bool shaped)
{
    const fet__node *y = n->input[0], *x = n->input[1], *s = n->input[2];

    (void)shaped;
    if (!fet__dtype_is_float(x->dtype) || y->dtype != x->dtype || s->dtype != x->dtype)
        return fet__refuse(n, "takes operands of one floating type");
    if (!fet__shape_equal(&y->shape, &x->shape) || s->shape.rank != x->shape.rank)
        return fet__refuse(n, "shapes differ");
    for (int i = 0; i < s->shape.rank; i++)
        if (s->shape.dim[i] != 1 && s->shape.dim[i] != x->shape.dim[i])
            return fet__refuse(n, "the scale does not fit axis %d", i);
    n->dtype = x->dtype;
    n->shape = x->shape;
    return FET_OK;
}

/* dx = s (dy - mean(dy) - y mean(dy y)). y and s are functions of x themselves, so a further gradient is right too. */
void fet__vjp_standardized(fet__vjp *a)
{
    fet__node *scale = a->n->input[2], *y = a->n;
    uint32_t axes = reduced_axes(scale);
    fet__node *along = fet__mean(a->g, fet__mul(a->g, a->dy, y), axes);
    fet__node *rest = fet__sub(a->g, a->dy, fet__mean(a->g, a->dy, axes));

    a->d[1] = fet__mul(a->g, fet__sub(a->g, rest, fet__mul(a->g, y, along)), scale);
}

fet__node *fet__standardize(fet__graph *g, fet__node *x, fet__node *mean, fet__node *scale)
{
    fet__node *in[3] = {fet__mul(g, fet__sub(g, x, mean), scale), x, scale};

    return fet__make(g, FET__OP_STANDARDIZED, in, 3, NULL, FET_F32, NULL);
}
