/* The quadratic depthwise convolution: builder, shape, gradient, lowering, cost. Between forward and backward only x is kept: the
 * gradient makes both factors again (methods/quadranet.md 1.2, level 3). */
#include "graph/graph_int.h"

fet__node *fet__quadratic_dw(fet__graph *g, fet__node *x, fet__node *const weight[3], fet__node *const bias[3])
{
    fet__node *in[7] = {x};

    for (int i = 0; i < 3; i++) {
        in[1 + 2 * i] = weight[i];
        in[2 + 2 * i] = bias[i];
    }
    return fet__make(g, FET__OP_QUADRATIC_DW, in, 7, NULL, FET_F32, NULL);
}

fet_status fet__infer_quadratic_dw(fet__node *n, bool shaped)
{
    const fet__shape *x = &n->input[0]->shape, *w = &n->input[1]->shape;

    (void)shaped;
    for (int i = 0; i < n->input_count; i++)
        if (!fet__dtype_is_float(n->input[i]->dtype) || n->input[i]->dtype != n->input[0]->dtype)
            return fet__refuse(n, "takes operands of one floating type");
    if (x->rank != 4 || w->rank != 4 || w->dim[0] != x->dim[3] || w->dim[1] != 1)
        return fet__refuse(n, "takes [B, H, W, C] and filters [C, 1, kh, kw]");
    if (w->dim[2] % 2 == 0 || w->dim[3] % 2 == 0)
        return fet__refuse(n, "takes filters of odd sizes");
    for (int i = 1; i < n->input_count; i++) {
        const fet__shape *s = &n->input[i]->shape;

        if (i % 2 == 1 ? !fet__shape_equal(s, w) : s->rank != 1 || s->dim[0] != x->dim[3])
            return fet__refuse(n, "operand %d does not fit the first filter", i + 1);
    }
    n->dtype = n->input[0]->dtype;
    n->shape = *x;
    return FET_OK;
}

static fet__conv form_of(const fet__node *n)
{
    const fet__shape *w = &n->input[1]->shape;

    return (fet__conv){.pad = {(int)(w->dim[2] / 2), (int)(w->dim[3] / 2)}, .groups = (int)w->dim[0]};
}

/* One of the three convolutions, with its bias. */
static fet__node *part_of(fet__graph *g, const fet__node *n, int i)
{
    fet__conv c = form_of(n);

    return fet__add(g, fet__conv2d(g, n->input[0], n->input[1 + 2 * i], &c), n->input[2 + 2 * i]);
}

fet__node *fet__lower_quadratic_dw(fet__graph *g, fet__node *n)
{
    return fet__add(g, fet__mul(g, part_of(g, n, 0), part_of(g, n, 1)), part_of(g, n, 2));
}

/* With slopes dy B, dy A and dy of the three parts each is an ordinary convolution. */
void fet__vjp_quadratic_dw(fet__vjp *a)
{
    const fet__node *n = a->n;
    fet__conv c = form_of(n);

    for (int i = 0; i < 3; i++) {
        fet__node *x = n->input[0], *w = n->input[1 + 2 * i], *slope = a->dy, *dx;

        if (!a->want[0] && !a->want[1 + 2 * i] && !a->want[2 + 2 * i])
            continue;
        if (i < 2)
            slope = fet__mul(a->g, a->dy, part_of(a->g, n, 1 - i));
        if (!slope)
            return;
        if (a->want[0]) {
            dx = fet__conv2d_dx(a->g, slope, w, &c, x->shape);
            a->d[0] = i == 0 || !a->d[0] ? dx : fet__add(a->g, a->d[0], dx);
        }
        if (a->want[1 + 2 * i])
            a->d[1 + 2 * i] = fet__conv2d_dw(a->g, x, slope, &c, w->shape);
        if (a->want[2 + 2 * i])
            a->d[2 + 2 * i] = fet__sum_rows(a->g, slope);
    }
}

double fet__flops_quadratic_dw(const fet__node *n)
{
    const fet__shape *w = &n->input[1]->shape;

    return (double)fet__shape_count(&n->shape) * (6.0 * (double)(w->dim[2] * w->dim[3]) + 5.0);
}
