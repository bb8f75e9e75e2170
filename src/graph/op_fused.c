/* Fused operators: shapes, first-gradient rules, cost. What they mean in core operators is in op_lower.c and lower_attention.c. */
#include "graph/graph_int.h"

static fet_status all_float(const fet__node *n)
{
    for (int i = 0; i < n->input_count; i++)
        if (!fet__dtype_is_float(n->input[i]->dtype) || n->input[i]->dtype != n->input[0]->dtype)
            return fet__refuse(n, "takes operands of one floating type");
    return FET_OK;
}

static int64_t last(const fet__node *x)
{
    return x->shape.dim[x->shape.rank - 1];
}

static bool is_vector(const fet__node *x, int64_t size)
{
    return x->shape.rank == 1 && x->shape.dim[0] == size;
}

fet__node *fet__rows(fet__graph *g, fet__node *x)
{
    return x ? fet__reshape(g, x, FET_SHAPE(-1, last(x))) : NULL;
}

fet__node *fet__sum_rows(fet__graph *g, fet__node *x)
{
    if (!x)
        return NULL;
    return fet__reshape(g, fet__sum(g, x, fet__all_axes(x->shape.rank - 1)), FET_SHAPE(last(x)));
}

/* ---- gelu ---- */

void fet__vjp_gelu(fet__vjp *a)
{
    a->d[0] = fet__mul(a->g, a->dy, fet__unary(a->g, FET__OP_GELU_GRAD, a->n->input[0]));
}

double fet__flops_gelu(const fet__node *n)
{
    return 8.0 * (double)fet__shape_count(&n->shape);
}

/* ---- linear ---- */

fet_status fet__infer_linear(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0], *w = n->input[1];
    fet_status st = all_float(n);

    (void)shaped;
    if (st != FET_OK)
        return st;
    if (x->shape.rank < 2 || w->shape.rank != 2)
        return fet__refuse(n, "takes [.., I] of two axes or more and [O, I]");
    if (last(x) != w->shape.dim[1])
        return fet__refuse(n, "inner sizes differ");
    if (n->input_count > 2 && !is_vector(n->input[2], w->shape.dim[0]))
        return fet__refuse(n, "the bias does not have %lld elements", (long long)w->shape.dim[0]);
    if (n->attr.linear.activation < FET__ACT_NONE || n->attr.linear.activation > FET__ACT_GELU)
        return fet__refuse(n, "no activation %d", (int)n->attr.linear.activation);
    n->dtype = x->dtype;
    n->shape = x->shape;
    n->shape.dim[n->shape.rank - 1] = w->shape.dim[0];
    if (n->input_count > 3 && !fet__shape_equal(&n->input[3]->shape, &n->shape))
        return fet__refuse(n, "the residual is not %s", fet__shape_text(&n->shape));
    return fet__shape_count(&n->shape) < 1 ? fet__refuse(n, "the result is too large") : FET_OK;
}

/* dy in front of the activation, for which the product is made again: only a graph that is differentiated after it was fused
 * comes here. */
static fet__node *before_activation(fet__vjp *a)
{
    int count = a->n->input_count < 3 ? 2 : 3;
    fet__node *z;

    if (a->n->attr.linear.activation == FET__ACT_NONE)
        return a->dy;
    z = fet__make(a->g, FET__OP_LINEAR, a->n->input, count, NULL, a->n->dtype, NULL);
    if (!z)
        return NULL;
    if (a->n->attr.linear.activation == FET__ACT_GELU)
        return fet__mul(a->g, a->dy, fet__unary(a->g, FET__OP_GELU_GRAD, z));
    return fet__mul(a->g, a->dy, fet__compare(a->g, FET__GT, z, fet__fill(a->g, z->dtype, z->shape, 0.0)));
}

void fet__vjp_linear(fet__vjp *a)
{
    fet__node *x = a->n->input[0], *w = a->n->input[1], *dz = NULL;

    if (a->want[0] || a->want[1] || a->want[2])
        dz = before_activation(a);
    if (a->want[0])
        a->d[0] = fet__matmul(a->g, dz, w, false, false);
    if (a->want[1])
        a->d[1] = fet__matmul(a->g, fet__rows(a->g, dz), fet__rows(a->g, x), true, false);
    if (a->want[2])
        a->d[2] = fet__sum_rows(a->g, dz);
    if (a->want[3])
        a->d[3] = a->dy;
}

double fet__flops_linear(const fet__node *n)
{
    double count = (double)fet__shape_count(&n->shape), flops = 2.0 * count * (double)n->input[1]->shape.dim[1];

    flops += count * (n->input_count - 2);
    if (n->attr.linear.activation != FET__ACT_NONE)
        flops += count * (n->attr.linear.activation == FET__ACT_GELU ? 8.0 : 1.0);
    return flops;
}

/* ---- softmax ---- */

fet_status fet__infer_softmax(fet__node *n, bool shaped)
{
    fet_status st = all_float(n);

    (void)shaped;
    if (st != FET_OK)
        return st;
    if (n->input[0]->shape.rank < 1)
        return fet__refuse(n, "takes one axis or more");
    if (n->input_count > 1 && !fet__shape_equal(&n->input[0]->shape, &n->input[1]->shape))
        return fet__refuse(n, "shapes differ");
    n->dtype = n->input[0]->dtype;
    n->shape = n->input[0]->shape;
    return FET_OK;
}

void fet__vjp_softmax(fet__vjp *a)
{
    fet__node *in[2] = {a->n, a->dy};

    a->d[0] = fet__make(a->g, FET__OP_SOFTMAX_GRAD, in, 2, NULL, a->n->dtype, NULL);
}

double fet__flops_softmax(const fet__node *n)
{
    return (n->op == FET__OP_SOFTMAX ? 5.0 : 4.0) * (double)fet__shape_count(&n->shape);
}

/* ---- layer_norm ---- */

/* x [.., C]; vectors of C elements at inputs 1.., up to `vectors`; the rest shaped like x. */
static fet_status norm_inputs(fet__node *n, int vectors)
{
    const fet__node *x = n->input[0];
    fet_status st = all_float(n);

    if (st != FET_OK)
        return st;
    if (x->shape.rank < 1)
        return fet__refuse(n, "takes one axis or more");
    for (int i = 1; i < n->input_count; i++) {
        if (i <= vectors ? !is_vector(n->input[i], last(x)) : !fet__shape_equal(&n->input[i]->shape, &x->shape))
            return fet__refuse(n, "operand %d does not fit the last axis", i + 1);
    }
    if (!(n->attr.norm.eps >= 0))
        return fet__refuse(n, "eps %g", n->attr.norm.eps);
    n->dtype = x->dtype;
    n->shape = x->shape;
    return FET_OK;
}

fet_status fet__infer_layer_norm(fet__node *n, bool shaped)
{
    (void)shaped;
    return norm_inputs(n, 2);
}

fet_status fet__infer_layer_norm_dx(fet__node *n, bool shaped)
{
    (void)shaped;
    return norm_inputs(n, 1);
}

fet_status fet__infer_layer_norm_dgamma(fet__node *n, bool shaped)
{
    fet_status st = norm_inputs(n, 0);

    (void)shaped;
    if (st == FET_OK)
        n->shape = FET_SHAPE(last(n->input[0]));
    return st;
}

void fet__vjp_layer_norm(fet__vjp *a)
{
    fet__node *x = a->n->input[0];

    if (a->want[0]) {
        fet__node *in[3] = {x, a->n->input[1], a->dy};

        a->d[0] = fet__make(a->g, FET__OP_LAYER_NORM_DX, in, 3, &a->n->attr, x->dtype, NULL);
    }
    if (a->want[1]) {
        fet__node *in[2] = {x, a->dy};

        a->d[1] = fet__make(a->g, FET__OP_LAYER_NORM_DGAMMA, in, 2, &a->n->attr, x->dtype, NULL);
    }
    if (a->want[2])
        a->d[2] = fet__sum_rows(a->g, a->dy);
}

double fet__flops_layer_norm(const fet__node *n)
{
    double each = n->op == FET__OP_LAYER_NORM ? 8.0 : n->op == FET__OP_LAYER_NORM_DX ? 14.0 : 9.0;

    return each * (double)fet__shape_count(&n->input[0]->shape);
}

/* ---- cross_entropy ---- */

fet_status fet__infer_cross_entropy(fet__node *n, bool shaped)
{
    const fet__node *z = n->input[0], *labels = n->input[1];

    (void)shaped;
    if (z->shape.rank != 2 || !fet__dtype_is_float(z->dtype))
        return fet__refuse(n, "takes floating [N, C]");
    if (labels->dtype != FET_I32 || !is_vector(labels, z->shape.dim[0]))
        return fet__refuse(n, "takes i32 labels [N]");
    if (!(n->attr.cross_entropy.smoothing >= 0 && n->attr.cross_entropy.smoothing <= 1))
        return fet__refuse(n, "smoothing %g is not in [0, 1]", n->attr.cross_entropy.smoothing);
    n->dtype = z->dtype;
    n->shape = labels->shape;
    return FET_OK;
}

fet_status fet__infer_cross_entropy_grad(fet__node *n, bool shaped)
{
    fet_status st = fet__infer_cross_entropy(n, shaped);

    if (st != FET_OK)
        return st;
    if (n->input[2]->dtype != n->dtype || !fet__shape_equal(&n->input[2]->shape, &n->shape))
        return fet__refuse(n, "dy is not [N] of the logits' type");
    n->shape = n->input[0]->shape;
    return FET_OK;
}

void fet__vjp_cross_entropy(fet__vjp *a)
{
    fet__node *in[3] = {a->n->input[0], a->n->input[1], a->dy};

    a->d[0] = fet__make(a->g, FET__OP_CROSS_ENTROPY_GRAD, in, 3, &a->n->attr, a->n->dtype, NULL);
}

double fet__flops_cross_entropy(const fet__node *n)
{
    return 5.0 * (double)fet__shape_count(&n->input[0]->shape);
}

/* ---- attention ---- */

static fet_status attention_inputs(fet__node *n, const fet__node *bias)
{
    const fet__node *qkv = n->input[0];
    int64_t heads = n->attr.attention.heads, t;
    fet_status st = all_float(n);

    if (st != FET_OK)
        return st;
    if (qkv->shape.rank != 3 || heads < 1 || qkv->shape.dim[2] % (3 * heads) != 0)
        return fet__refuse(n, "takes [B, T, 3 * H * D] with H = %lld heads", (long long)heads);
    t = qkv->shape.dim[1];
    if (bias && (bias->shape.rank != 4 || bias->shape.dim[1] != heads || bias->shape.dim[2] != t ||
                 bias->shape.dim[3] != t || qkv->shape.dim[0] % bias->shape.dim[0] != 0))
        return fet__refuse(n, "the bias is not [G, %lld, %lld, %lld] with G dividing %lld", (long long)heads,
                           (long long)t, (long long)t, (long long)qkv->shape.dim[0]);
    n->dtype = qkv->dtype;
    n->shape = qkv->shape;
    n->shape.dim[2] /= 3;
    return FET_OK;
}

fet_status fet__infer_attention(fet__node *n, bool shaped)
{
    (void)shaped;
    return attention_inputs(n, n->input_count > 1 ? n->input[1] : NULL);
}

fet_status fet__infer_attention_grad(fet__node *n, bool shaped)
{
    fet_status st = attention_inputs(n, n->input_count > 2 ? n->input[2] : NULL);

    (void)shaped;
    if (st != FET_OK)
        return st;
    if (!fet__shape_equal(&n->input[1]->shape, &n->shape))
        return fet__refuse(n, "dy is not %s", fet__shape_text(&n->shape));
    n->shape = n->input[0]->shape;
    return FET_OK;
}

fet_status fet__infer_attention_dbias(fet__node *n, bool shaped)
{
    fet_status st = attention_inputs(n, n->input[2]);

    (void)shaped;
    if (st != FET_OK)
        return st;
    if (!fet__shape_equal(&n->input[1]->shape, &n->shape))
        return fet__refuse(n, "dy is not %s", fet__shape_text(&n->shape));
    n->shape = n->input[2]->shape;
    return FET_OK;
}

void fet__vjp_attention(fet__vjp *a)
{
    fet__node *in[3] = {a->n->input[0], a->dy, a->n->input_count > 1 ? a->n->input[1] : NULL};

    if (a->want[0])
        a->d[0] = fet__make(a->g, FET__OP_ATTENTION_GRAD, in, in[2] ? 3 : 2, &a->n->attr, a->n->dtype, NULL);
    if (a->want[1])
        a->d[1] = fet__make(a->g, FET__OP_ATTENTION_DBIAS, in, 3, &a->n->attr, a->n->dtype, NULL);
}

/* Scores of all heads: B H T T; a product of depth D over them is 2 D each. */
static double scores(const fet__node *n)
{
    const fet__shape *s = &n->input[0]->shape;

    return (double)s->dim[0] * (double)s->dim[1] * (double)s->dim[1] * n->attr.attention.heads;
}

static double depth(const fet__node *n)
{
    return (double)n->input[0]->shape.dim[2] / (3.0 * n->attr.attention.heads);
}

double fet__flops_attention(const fet__node *n)
{
    return scores(n) * (4.0 * depth(n) + 6.0 + (n->input_count > 1 ? 1.0 : 0.0));
}

/* q k^T again, dy v^T, then p^T dy, ds k and ds^T q */
double fet__flops_attention_grad(const fet__node *n)
{
    return scores(n) * (10.0 * depth(n) + 10.0 + (n->input_count > 2 ? 1.0 : 0.0));
}

/* q k^T and dy v^T */
double fet__flops_attention_dbias(const fet__node *n)
{
    return scores(n) * (4.0 * depth(n) + 10.0);
}

/* ---- group ---- */

static fet_status group_input(const fet__node *n, int i)
{
    const fet__shape *x = &n->input[i]->shape, *full = &n->group->full;

    if (x->rank == 0)
        return FET_OK;
    if (x->rank != full->rank)
        return fet__refuse(n, "input %d does not fit %s", i, fet__shape_text(full));
    for (int k = 0; k < x->rank; k++)
        if (x->dim[k] != full->dim[k] && x->dim[k] != 1)
            return fet__refuse(n, "input %d does not fit %s", i, fet__shape_text(full));
    return FET_OK;
}

/* Instruction i reads registers before its own; i32 registers go to cast and random only. */
static fet_status group_instr(const fet__node *n, int i)
{
    const fet__instr *in = &n->group->instr[i];
    const int arg[3] = {in->a, in->b, in->c};
    int need;

    if (in->op >= FET__OP_COUNT ||
        (!fet__is_element((fet__op)in->op) && in->op != FET__OP_RANDOM && in->op != FET__OP_FILL))
        return fet__refuse(n, "instruction %d is not element-wise", i);
    need = fet__op_rows[in->op].least;
    for (int k = 0; k < 3; k++) {
        bool wide = in->op == FET__OP_CAST || in->op == FET__OP_RANDOM;

        if (k >= need ? arg[k] != -1 : arg[k] < 0 || arg[k] >= n->group->input_count + i)
            return fet__refuse(n, "instruction %d reads register %d", i, arg[k]);
        if (k < need && arg[k] < n->group->input_count && (n->input[arg[k]]->dtype == FET_I32) != wide)
            return fet__refuse(n, "instruction %d reads a register of the wrong type", i);
        if (k < need && arg[k] >= n->group->input_count && wide)
            return fet__refuse(n, "instruction %d reads a register of the wrong type", i);
    }
    return FET_OK;
}

fet_status fet__infer_group(fet__node *n, bool shaped)
{
    const fet__group *p = n->group;
    fet_status st = FET_OK;

    if (!p || !shaped || p->input_count != n->input_count || p->instr_count < 1 || p->instr_count > FET__GROUP_INSTRS)
        return fet__refuse(n, "has no program that fits its inputs");
    if (!fet__dtype_is_float(n->dtype))
        return fet__refuse(n, "makes floating types only");
    for (int i = 0; st == FET_OK && i < n->input_count; i++) {
        if (n->input[i]->dtype != n->dtype && n->input[i]->dtype != FET_I32)
            return fet__refuse(n, "input %d has another type", i);
        st = group_input(n, i);
    }
    for (int i = 0; st == FET_OK && i < p->instr_count; i++)
        st = group_instr(n, i);
    if (p->reduce_axes & ~fet__all_axes(p->full.rank))
        return fet__refuse(n, "no such axes: 0x%x", (unsigned)p->reduce_axes);
    n->shape = p->full;
    for (int k = 0; k < n->shape.rank; k++)
        if (p->reduce_axes >> k & 1)
            n->shape.dim[k] = 1;
    return st;
}

double fet__flops_group(const fet__node *n)
{
    double each = n->group->reduce_axes ? 1.0 : 0.0;

    for (int i = 0; i < n->group->instr_count; i++) {
        switch (n->group->instr[i].op) {
        case FET__OP_GELU:
        case FET__OP_GELU_GRAD: each += 8.0; break;
        case FET__OP_RANDOM: each += 20.0; break;
        case FET__OP_FILL:
        case FET__OP_CAST: break;
        default: each += 1.0;
        }
    }
    return each * (double)fet__shape_count(&n->group->full);
}
