/* Matrix products and convolutions: shapes, vector-Jacobian rules (again products and convolutions), cost. */
#include "graph/graph_int.h"

/* ---- matmul: a' [.., M, K] b' [.., K, N] -> [.., M, N], where ' undoes a stored transposition ---- */

static int64_t rows_of(const fet__node *x, bool transposed)
{
    return x->shape.dim[x->shape.rank - (transposed ? 1 : 2)];
}

static int64_t cols_of(const fet__node *x, bool transposed)
{
    return x->shape.dim[x->shape.rank - (transposed ? 2 : 1)];
}

static fet_status float_pair(const fet__node *n)
{
    if (!fet__dtype_is_float(n->input[0]->dtype) || n->input[0]->dtype != n->input[1]->dtype)
        return fet__refuse(n, "takes two operands of one floating type");
    return FET_OK;
}

fet_status fet__infer_matmul(fet__node *n, bool shaped)
{
    const fet__node *a = n->input[0], *b = n->input[1];
    const fet__node *lead = a->shape.rank >= b->shape.rank ? a : b;
    bool ta = n->attr.matmul.ta, tb = n->attr.matmul.tb;
    fet_status st = float_pair(n);

    (void)shaped;
    if (st != FET_OK)
        return st;
    if (a->shape.rank < 2 || b->shape.rank < 2)
        return fet__refuse(n, "operands need two axes or more");
    if (cols_of(a, ta) != rows_of(b, tb))
        return fet__refuse(n, ta || tb ? "inner sizes differ (%s stored transposed)" : "inner sizes differ%s",
                           !(ta || tb) ? ""
                           : ta && tb  ? "both"
                           : ta        ? "left"
                                       : "right");
    if (a->shape.rank != b->shape.rank && a->shape.rank != 2 && b->shape.rank != 2)
        return fet__refuse(n, "leading axes differ");
    n->dtype = a->dtype;
    n->shape = lead->shape;
    for (int i = 0; a->shape.rank == b->shape.rank && i < n->shape.rank - 2; i++)
        if (a->shape.dim[i] != b->shape.dim[i])
            return fet__refuse(n, "leading axes differ");
    n->shape.dim[n->shape.rank - 2] = rows_of(a, ta);
    n->shape.dim[n->shape.rank - 1] = cols_of(b, tb);
    return fet__shape_count(&n->shape) < 1 ? fet__refuse(n, "the result is too large") : FET_OK;
}

/* [.., M, N] summed over its leading axes, as [M, N]. */
static fet__node *sum_leading(fet__graph *g, fet__node *x)
{
    fet__node *s = x;

    if (!x || x->shape.rank == 2)
        return x;
    s = fet__sum(g, x, fet__all_axes(x->shape.rank - 2));
    return fet__reshape(g, s, FET_SHAPE(x->shape.dim[x->shape.rank - 2], x->shape.dim[x->shape.rank - 1]));
}

/* d a' = dy b'^T, stored the way a is. */
static fet__node *matmul_da(fet__vjp *v, bool ta, bool tb)
{
    fet__node *a = v->n->input[0], *b = v->n->input[1];
    fet__node *d = ta ? fet__matmul(v->g, b, v->dy, tb, true) : fet__matmul(v->g, v->dy, b, false, !tb);

    return a->shape.rank == 2 ? sum_leading(v->g, d) : d;
}

/* d b' = a'^T dy, stored the way b is. One b for many a: the sum over them is one product over all rows. */
static fet__node *matmul_db(fet__vjp *v, bool ta, bool tb)
{
    fet__node *a = v->n->input[0], *b = v->n->input[1], *dy = v->dy, *d;

    if (b->shape.rank == 2 && a->shape.rank > 2 && !ta) {
        a = fet__rows(v->g, a);
        dy = fet__rows(v->g, dy);
    }
    d = tb ? fet__matmul(v->g, dy, a, true, ta) : fet__matmul(v->g, a, dy, !ta, false);
    return b->shape.rank == 2 ? sum_leading(v->g, d) : d;
}

void fet__vjp_matmul(fet__vjp *a)
{
    bool ta = a->n->attr.matmul.ta, tb = a->n->attr.matmul.tb;

    if (a->want[0])
        a->d[0] = matmul_da(a, ta, tb);
    if (a->want[1])
        a->d[1] = matmul_db(a, ta, tb);
}

double fet__flops_matmul(const fet__node *n)
{
    return 2.0 * (double)fet__shape_count(&n->shape) * (double)cols_of(n->input[0], n->attr.matmul.ta);
}

/* ---- conv2d ---- */

static fet_status conv_attr_good(const fet__node *n)
{
    for (int i = 0; i < 2; i++)
        if (n->attr.conv.stride[i] < 1 || n->attr.conv.dilation[i] < 1 || n->attr.conv.pad[i] < 0)
            return fet__refuse(n, "stride %d, dilation %d, padding %d", (int)n->attr.conv.stride[i],
                               (int)n->attr.conv.dilation[i], (int)n->attr.conv.pad[i]);
    return n->attr.conv.groups < 1 ? fet__refuse(n, "%d groups", (int)n->attr.conv.groups) : FET_OK;
}

/* The output [B, H', W', O] of x [B, H, W, I] under w [O, I / groups, kh, kw]. */
static fet_status conv_shape(const fet__node *n, const fet__shape *x, const fet__shape *w, fet__shape *y)
{
    fet_status st = conv_attr_good(n);

    if (st != FET_OK)
        return st;
    if (x->rank != 4 || w->rank != 4)
        return fet__refuse(n, "takes [B, H, W, I] and [O, I / groups, kh, kw]");
    if (x->dim[3] != w->dim[1] * n->attr.conv.groups || w->dim[0] % n->attr.conv.groups != 0)
        return fet__refuse(n, "%lld input channels in %d groups do not fit weights %s", (long long)x->dim[3],
                           (int)n->attr.conv.groups, fet__shape_text(w));
    *y = FET_SHAPE(x->dim[0], 0, 0, w->dim[0]);
    for (int i = 0; i < 2; i++) {
        int64_t reach = (w->dim[2 + i] - 1) * n->attr.conv.dilation[i] + 1;
        int64_t size = x->dim[1 + i] + 2 * (int64_t)n->attr.conv.pad[i];

        if (size < reach)
            return fet__refuse(n, "the kernel reaches over %lld, the padded image has %lld", (long long)reach,
                               (long long)size);
        y->dim[1 + i] = (size - reach) / n->attr.conv.stride[i] + 1;
    }
    return FET_OK;
}

fet_status fet__infer_conv2d(fet__node *n, bool shaped)
{
    fet_status st = float_pair(n);

    (void)shaped;
    if (st == FET_OK)
        st = conv_shape(n, &n->input[0]->shape, &n->input[1]->shape, &n->shape);
    n->dtype = n->input[0]->dtype;
    return st;
}

/* The given shape is right when a convolution of it has dy's shape. */
static fet_status conv_back(fet__node *n, bool shaped, const fet__shape *x, const fet__shape *w, const fet__shape *dy)
{
    fet__shape y;
    fet_status st = float_pair(n);

    if (st != FET_OK)
        return st;
    if (!shaped)
        return fet__refuse(n, "needs a shape");
    st = conv_shape(n, x, w, &y);
    if (st != FET_OK)
        return st;
    if (!fet__shape_equal(&y, dy))
        return fet__refuse(n, "a convolution of %s with %s gives %s", fet__shape_text(x), fet__shape_text(w),
                           fet__shape_text(&y));
    n->dtype = n->input[0]->dtype;
    return FET_OK;
}

fet_status fet__infer_conv2d_dx(fet__node *n, bool shaped)
{
    return conv_back(n, shaped, &n->shape, &n->input[1]->shape, &n->input[0]->shape);
}

fet_status fet__infer_conv2d_dw(fet__node *n, bool shaped)
{
    return conv_back(n, shaped, &n->input[0]->shape, &n->shape, &n->input[1]->shape);
}

static fet__node *conv_make(fet__vjp *a, fet__op op, fet__node *p, fet__node *q, const fet__shape *shape)
{
    fet__node *in[2] = {p, q};

    return fet__make(a->g, op, in, 2, &a->n->attr, a->n->dtype, shape);
}

/* The three are one trilinear form in x, w and dy: the gradient of any is one of the other two. */
void fet__vjp_conv2d(fet__vjp *a)
{
    fet__node *x = a->n->input[0], *w = a->n->input[1];

    if (a->want[0])
        a->d[0] = conv_make(a, FET__OP_CONV2D_DX, a->dy, w, &x->shape);
    if (a->want[1])
        a->d[1] = conv_make(a, FET__OP_CONV2D_DW, x, a->dy, &w->shape);
}

void fet__vjp_conv2d_dx(fet__vjp *a)
{
    fet__node *dy = a->n->input[0], *w = a->n->input[1];

    if (a->want[0])
        a->d[0] = conv_make(a, FET__OP_CONV2D, a->dy, w, NULL);
    if (a->want[1])
        a->d[1] = conv_make(a, FET__OP_CONV2D_DW, a->dy, dy, &w->shape);
}

void fet__vjp_conv2d_dw(fet__vjp *a)
{
    fet__node *x = a->n->input[0], *dy = a->n->input[1];

    if (a->want[0])
        a->d[0] = conv_make(a, FET__OP_CONV2D_DX, dy, a->dy, &x->shape);
    if (a->want[1])
        a->d[1] = conv_make(a, FET__OP_CONV2D, x, a->dy, NULL);
}

static double conv_flops(const fet__shape *y, const fet__shape *w)
{
    return 2.0 * (double)fet__shape_count(y) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

double fet__flops_conv2d(const fet__node *n)
{
    return conv_flops(&n->shape, &n->input[1]->shape);
}

double fet__flops_conv2d_dx(const fet__node *n)
{
    return conv_flops(&n->input[0]->shape, &n->input[1]->shape);
}

double fet__flops_conv2d_dw(const fet__node *n)
{
    return conv_flops(&n->input[1]->shape, &n->shape);
}
