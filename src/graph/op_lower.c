/* What fused operators mean, in core operators (attention has its own file). These texts are the specification that kernels are
 * tested against, and the way a second gradient goes. Each result holds core operators only. */
#include "graph/graph_int.h"

#include <math.h>

static uint32_t last_axis(const fet__node *x)
{
    return 1u << (x->shape.rank - 1);
}

/* ---- gelu(x) = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 ---- */

static fet__node *normal_cdf(fet__graph *g, fet__node *x)
{
    fet__node *e = fet__unary(g, FET__OP_ERF, fet__scale(g, x, M_SQRT1_2));

    return fet__scale(g, fet__shift(g, e, 1.0), 0.5);
}

fet__node *fet__lower_gelu(fet__graph *g, fet__node *n)
{
    return fet__mul(g, n->input[0], normal_cdf(g, n->input[0]));
}

/* Phi(x) + x phi(x), phi(x) = exp(-x^2 / 2) / sqrt(2 pi) */
fet__node *fet__lower_gelu_grad(fet__graph *g, fet__node *n)
{
    fet__node *x = n->input[0];
    fet__node *e = fet__unary(g, FET__OP_EXP, fet__scale(g, fet__mul(g, x, x), -0.5));
    fet__node *density = fet__scale(g, e, M_2_SQRTPI * M_SQRT1_2 / 2);

    return fet__add(g, normal_cdf(g, x), fet__mul(g, x, density));
}

/* ---- linear ---- */

fet__node *fet__lower_linear(fet__graph *g, fet__node *n)
{
    fet__node *y = fet__matmul(g, n->input[0], n->input[1], false, true);

    if (n->input_count > 2)
        y = fet__add(g, y, n->input[2]);
    if (n->attr.linear.activation == FET__ACT_RELU)
        y = fet__relu(g, y);
    if (n->attr.linear.activation == FET__ACT_GELU)
        y = y ? fet__mul(g, y, normal_cdf(g, y)) : NULL;
    if (n->input_count > 3)
        y = fet__add(g, y, n->input[3]);
    return y;
}

/* ---- softmax ---- */

/* The largest element is a constant to the gradient: softmax does not change when all logits move together. */
static fet__node *centred(fet__graph *g, fet__node *x)
{
    if (!x)
        return NULL;
    return fet__sub(g, x, fet__stop_gradient(g, fet__reduce_max(g, x, last_axis(x))));
}

fet__node *fet__core_softmax(fet__graph *g, fet__node *x)
{
    fet__node *e = fet__unary(g, FET__OP_EXP, centred(g, x));

    return e ? fet__div(g, e, fet__sum(g, e, last_axis(e))) : NULL;
}

fet__node *fet__core_softmax_grad(fet__graph *g, fet__node *y, fet__node *dy)
{
    if (!y || !dy)
        return NULL;
    return fet__mul(g, y, fet__sub(g, dy, fet__sum(g, fet__mul(g, dy, y), last_axis(y))));
}

fet__node *fet__lower_softmax(fet__graph *g, fet__node *n)
{
    return fet__core_softmax(g, n->input[0]);
}

fet__node *fet__lower_softmax_grad(fet__graph *g, fet__node *n)
{
    return fet__core_softmax_grad(g, n->input[0], n->input[1]);
}

/* ---- layer_norm ---- */

/* xhat = (x - mean) r, r = rsqrt(var + eps) over the last axis */
static fet__node *normalised(fet__graph *g, fet__node *x, double eps, fet__node **r)
{
    fet__node *centre = fet__sub(g, x, fet__mean(g, x, last_axis(x)));
    fet__node *var;

    if (!centre)
        return NULL;
    var = fet__mean(g, fet__mul(g, centre, centre), last_axis(x));
    *r = fet__unary(g, FET__OP_RSQRT, fet__shift(g, var, eps));
    return fet__mul(g, centre, *r);
}

fet__node *fet__lower_layer_norm(fet__graph *g, fet__node *n)
{
    fet__node *r, *xhat = normalised(g, n->input[0], n->attr.norm.eps, &r);

    return fet__add(g, fet__mul(g, xhat, n->input[1]), n->input[2]);
}

/* dx = r (h - mean(h) - xhat mean(h xhat)), h = dy gamma */
fet__node *fet__lower_layer_norm_dx(fet__graph *g, fet__node *n)
{
    fet__node *r = NULL, *xhat = normalised(g, n->input[0], n->attr.norm.eps, &r);
    fet__node *h = fet__mul(g, n->input[2], n->input[1]);
    fet__node *a, *b;

    if (!h || !xhat)
        return NULL;
    a = fet__sub(g, h, fet__mean(g, h, last_axis(h)));
    b = fet__mul(g, xhat, fet__mean(g, fet__mul(g, h, xhat), last_axis(h)));
    return fet__mul(g, r, fet__sub(g, a, b));
}

fet__node *fet__lower_layer_norm_dgamma(fet__graph *g, fet__node *n)
{
    fet__node *r, *xhat = normalised(g, n->input[0], n->attr.norm.eps, &r);

    return fet__sum_rows(g, fet__mul(g, n->input[1], xhat));
}

/* ---- cross_entropy ---- */

/* q [N, C]: smoothed one-hot rows; rows of the label -1 are 0. *counts [N, 1] is 1 or 0. */
static fet__node *targets(fet__graph *g, const fet__node *n, fet__node **counts)
{
    int64_t rows = n->input[0]->shape.dim[0], classes = n->input[0]->shape.dim[1];
    double s = n->attr.cross_entropy.smoothing;
    fet_dtype t = n->input[0]->dtype;
    fet__node *label = fet__reshape(g, fet__cast(g, n->input[1], t), FET_SHAPE(rows, 1));
    fet__node *one_hot = fet__compare(g, FET__EQ, label, fet__iota(g, t, classes));
    fet__node *q = fet__shift(g, fet__scale(g, one_hot, 1.0 - s), s / (double)classes);

    *counts = fet__compare(g, FET__GE, label, fet__scalar(g, t, 0.0));
    return fet__mul(g, q, *counts);
}

/* -sum_c q_c (z_c - max - log sum exp(z - max)) */
fet__node *fet__lower_cross_entropy(fet__graph *g, fet__node *n)
{
    fet__node *counts, *q = targets(g, n, &counts);
    fet__node *c = centred(g, n->input[0]), *total, *log_p;

    if (!c)
        return NULL;
    total = fet__sum(g, fet__unary(g, FET__OP_EXP, c), last_axis(c));
    log_p = fet__sub(g, c, fet__unary(g, FET__OP_LOG, total));
    total = fet__sum(g, fet__mul(g, q, log_p), 2u);
    return fet__reshape(g, fet__unary(g, FET__OP_NEG, total), n->input[1]->shape);
}

/* dy (softmax(z) - q) in rows that count */
fet__node *fet__lower_cross_entropy_grad(fet__graph *g, fet__node *n)
{
    fet__node *counts, *q = targets(g, n, &counts);
    fet__node *p = fet__mul(g, fet__core_softmax(g, n->input[0]), counts);
    fet__node *dy = fet__reshape(g, n->input[2], FET_SHAPE(-1, 1));

    return fet__mul(g, fet__sub(g, p, q), dy);
}

/* ---- group ---- */

static fet__node *group_step(fet__graph *g, const fet__node *n, const fet__instr *in, fet__node **reg)
{
    const fet__group *p = n->group;
    const int arg[3] = {in->a, in->b, in->c};
    fet__node *x[3] = {NULL}, *y;
    int count = fet__op_rows[in->op].least;

    if (in->op == FET__OP_FILL)
        return fet__fill(g, n->dtype, p->full, in->attr.fill.value);
    if (in->op == FET__OP_RANDOM)
        return fet__random(g, reg[in->a], in->attr.random.seed, in->attr.random.stream, n->dtype, p->full);
    for (int k = 0; k < count && k < 3; k++)
        x[k] = fet__broadcast(g, reg[arg[k]], p->full);
    y = fet__make(g, (fet__op)in->op, x, count, &in->attr, n->dtype, NULL);
    return fet__lower(g, y);
}

fet__node *fet__lower_group(fet__graph *g, fet__node *n)
{
    const fet__group *p = n->group;
    fet__node *reg[FET__MAX_INPUTS + FET__GROUP_INSTRS];
    int count = p->input_count;

    for (int i = 0; i < p->input_count; i++)
        reg[i] = n->input[i];
    for (int i = 0; i < p->instr_count; i++)
        reg[count++] = group_step(g, n, &p->instr[i], reg);
    return fet__sum(g, reg[count - 1], p->reduce_axes);
}
