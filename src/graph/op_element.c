/* Element-wise operators: shapes and vector-Jacobian rules. Every rule is written with core operators. */
#include "graph/graph_int.h"

#include <math.h>

static fet_status same_as_first(const fet__node *n, int i)
{
    if (n->input[i]->dtype != n->input[0]->dtype)
        return fet__refuse(n, "types differ");
    if (!fet__shape_equal(&n->input[i]->shape, &n->input[0]->shape))
        return fet__refuse(n, "shapes differ");
    return FET_OK;
}

fet_status fet__infer_element(fet__node *n, bool shaped)
{
    (void)shaped;
    if (!fet__dtype_is_float(n->input[0]->dtype))
        return fet__refuse(n, "takes floating types only (cast first)");
    for (int i = 1; i < n->input_count; i++) {
        fet_status st = same_as_first(n, i);

        if (st != FET_OK)
            return st;
    }
    if (n->op == FET__OP_COMPARE && (n->attr.compare.relation < FET__EQ || n->attr.compare.relation > FET__GE))
        return fet__refuse(n, "no relation %d", (int)n->attr.compare.relation);
    n->dtype = n->input[0]->dtype;
    n->shape = n->input[0]->shape;
    return FET_OK;
}

fet_status fet__infer_cast(fet__node *n, bool shaped)
{
    (void)shaped;
    if ((int)n->dtype < 0 || n->dtype >= FET_DTYPE_COUNT)
        return fet__refuse(n, "no type %d", (int)n->dtype);
    n->shape = n->input[0]->shape;
    return FET_OK;
}

fet_status fet__infer_same(fet__node *n, bool shaped)
{
    (void)shaped;
    n->dtype = n->input[0]->dtype;
    n->shape = n->input[0]->shape;
    if (n->op == FET__OP_ROLL) {
        for (int i = 0; i < n->shape.rank; i++)
            if (n->attr.roll.shift[i] < 0 || n->attr.roll.shift[i] >= n->shape.dim[i])
                return fet__refuse(n, "shift %d on axis %d is not in [0, size)", (int)n->attr.roll.shift[i], i);
    }
    return FET_OK;
}

/* ---- rules: y is the node itself, x its (first) input ---- */

void fet__vjp_add(fet__vjp *a)
{
    a->d[0] = a->dy;
    a->d[1] = a->dy;
}

void fet__vjp_sub(fet__vjp *a)
{
    a->d[0] = a->dy;
    if (a->want[1])
        a->d[1] = fet__unary(a->g, FET__OP_NEG, a->dy);
}

void fet__vjp_mul(fet__vjp *a)
{
    for (int i = 0; i < 2; i++)
        if (a->want[i])
            a->d[i] = fet__mul(a->g, a->dy, a->n->input[1 - i]);
}

/* y = p / q: dp = dy / q, dq = -dy / q * y */
void fet__vjp_div(fet__vjp *a)
{
    fet__node *r = fet__div(a->g, a->dy, a->n->input[1]);

    a->d[0] = r;
    if (a->want[1])
        a->d[1] = fet__unary(a->g, FET__OP_NEG, fet__mul(a->g, r, a->n));
}

/* The winner takes all; a tie goes to the second input, so that the gradient of max(x, 0) at 0 is 0. */
static void choose(fet__vjp *a, fet__relation first_wins)
{
    fet__node *first = fet__compare(a->g, first_wins, a->n->input[0], a->n->input[1]);

    if (a->want[0])
        a->d[0] = fet__mul(a->g, a->dy, first);
    if (a->want[1])
        a->d[1] = fet__sub(a->g, a->dy, a->d[0] ? a->d[0] : fet__mul(a->g, a->dy, first));
}

void fet__vjp_min(fet__vjp *a)
{
    choose(a, FET__LT);
}

void fet__vjp_max(fet__vjp *a)
{
    choose(a, FET__GT);
}

void fet__vjp_neg(fet__vjp *a)
{
    a->d[0] = fet__unary(a->g, FET__OP_NEG, a->dy);
}

/* sign(x), 0 at 0 */
void fet__vjp_abs(fet__vjp *a)
{
    fet__node *x = a->n->input[0], *zero = fet__fill(a->g, a->n->dtype, a->n->shape, 0.0);
    fet__node *sign = fet__sub(a->g, fet__compare(a->g, FET__GT, x, zero), fet__compare(a->g, FET__LT, x, zero));

    a->d[0] = fet__mul(a->g, a->dy, sign);
}

void fet__vjp_exp(fet__vjp *a)
{
    a->d[0] = fet__mul(a->g, a->dy, a->n);
}

void fet__vjp_log(fet__vjp *a)
{
    a->d[0] = fet__div(a->g, a->dy, a->n->input[0]);
}

void fet__vjp_sqrt(fet__vjp *a)
{
    a->d[0] = fet__div(a->g, fet__scale(a->g, a->dy, 0.5), a->n);
}

/* d x^(-1/2) = -1/2 y^3 */
void fet__vjp_rsqrt(fet__vjp *a)
{
    a->d[0] = fet__mul(a->g, a->dy, fet__scale(a->g, fet__pow_int(a->g, a->n, 3), -0.5));
}

/* 1 - y^2 */
void fet__vjp_tanh(fet__vjp *a)
{
    fet__node *d = fet__shift(a->g, fet__unary(a->g, FET__OP_NEG, fet__mul(a->g, a->n, a->n)), 1.0);

    a->d[0] = fet__mul(a->g, a->dy, d);
}

/* 2 / sqrt(pi) exp(-x^2) */
void fet__vjp_erf(fet__vjp *a)
{
    fet__node *x = a->n->input[0];
    fet__node *e = fet__unary(a->g, FET__OP_EXP, fet__unary(a->g, FET__OP_NEG, fet__mul(a->g, x, x)));

    a->d[0] = fet__mul(a->g, a->dy, fet__scale(a->g, e, M_2_SQRTPI));
}

/* y (1 - y) */
void fet__vjp_sigmoid(fet__vjp *a)
{
    fet__node *other = fet__shift(a->g, fet__unary(a->g, FET__OP_NEG, a->n), 1.0);

    a->d[0] = fet__mul(a->g, a->dy, fet__mul(a->g, a->n, other));
}

void fet__vjp_pow_int(fet__vjp *a)
{
    int n = a->n->attr.power.n;
    fet__node *x = a->n->input[0];

    if (n == 0)
        return;
    if (n == 1)
        a->d[0] = a->dy;
    else
        a->d[0] = fet__mul(a->g, a->dy, fet__scale(a->g, n == 2 ? x : fet__pow_int(a->g, x, n - 1), n));
}

/* A choice by value, not a product with a mask: an infinite dy on the side not taken must not leak. */
void fet__vjp_where(fet__vjp *a)
{
    fet__node *c = a->n->input[0], *zero = fet__fill(a->g, a->n->dtype, a->n->shape, 0.0);

    if (a->want[1])
        a->d[1] = fet__where(a->g, c, a->dy, zero);
    if (a->want[2])
        a->d[2] = fet__where(a->g, c, zero, a->dy);
}

void fet__vjp_cast(fet__vjp *a)
{
    if (fet__dtype_is_float(a->n->dtype))
        a->d[0] = fet__cast(a->g, a->dy, a->n->input[0]->dtype);
}
