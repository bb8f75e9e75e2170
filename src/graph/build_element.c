/* Builders of element-wise operators, broadcasts and sources. Binary builders make shapes equal by numpy's rule before they make
 * the node, so that the operators themselves know nothing of broadcasting. */
#include "graph/graph_int.h"

fet__node *fet__unary(fet__graph *g, fet__op op, fet__node *x)
{
    return fet__make(g, op, &x, 1, NULL, FET_F32, NULL);
}

fet__node *fet__fill(fet__graph *g, fet_dtype t, fet__shape shape, double value)
{
    fet__attr attr = {.raw = {0}};

    attr.fill.value = value;
    return fet__make(g, FET__OP_FILL, NULL, 0, &attr, t, &shape);
}

fet__node *fet__iota(fet__graph *g, fet_dtype t, int64_t n)
{
    fet__shape shape = FET_SHAPE(n);

    return fet__make(g, FET__OP_IOTA, NULL, 0, NULL, t, &shape);
}

fet__node *fet__random(fet__graph *g, fet__node *step, uint64_t seed, uint32_t stream, fet_dtype t, fet__shape shape)
{
    fet__attr attr = {.raw = {0}};

    attr.random.seed = seed;
    attr.random.stream = stream;
    return fet__make(g, FET__OP_RANDOM, &step, 1, &attr, t, &shape);
}

/* The shape that both broadcast to, or false. */
static bool common_shape(fet__shape *out, const fet__shape *a, const fet__shape *b)
{
    fet__shape s = a->rank >= b->rank ? *a : *b;

    for (int i = 1; i <= s.rank; i++) {
        int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t db = i <= b->rank ? b->dim[b->rank - i] : 1;

        if (da != db && da != 1 && db != 1)
            return false;
        s.dim[s.rank - i] = da == 1 ? db : da;
    }
    *out = s;
    return true;
}

fet__node *fet__broadcast(fet__graph *g, fet__node *x, fet__shape shape)
{
    fet__shape wide = {.rank = shape.rank}, both;

    if (!fet__have(g, FET__OP_BROADCAST, &x, 1))
        return NULL;
    if (fet__shape_equal(&x->shape, &shape))
        return x;
    if (shape.rank > FET__MAX_RANK || x->shape.rank > shape.rank || !common_shape(&both, &x->shape, &shape) ||
        !fet__shape_equal(&both, &shape))
        return fet__refuse_build(g, FET__OP_BROADCAST, &x, 1, "cannot become %s", fet__shape_text(&shape));
    if (x->op == FET__OP_FILL)
        return fet__fill(g, x->dtype, shape, x->attr.fill.value);
    for (int i = 0; i < wide.rank; i++) {
        int from = i - (wide.rank - x->shape.rank);

        wide.dim[i] = from < 0 ? 1 : x->shape.dim[from];
    }
    x = fet__reshape(g, x, wide);
    if (!x || fet__shape_equal(&x->shape, &shape))
        return x;
    return fet__make(g, FET__OP_BROADCAST, &x, 1, NULL, x->dtype, &shape);
}

/* Broadcast in[0..count) to one shape. */
static bool make_equal(fet__graph *g, fet__op op, fet__node **in, int count)
{
    fet__shape s;

    if (!fet__have(g, op, in, count))
        return false;
    s = in[0]->shape;
    for (int i = 1; i < count; i++) {
        if (!common_shape(&s, &s, &in[i]->shape)) {
            fet__refuse_build(g, op, in, count, "shapes do not broadcast");
            return false;
        }
    }
    for (int i = 0; i < count; i++)
        in[i] = fet__broadcast(g, in[i], s);
    return g->status == FET_OK;
}

fet__node *fet__binary(fet__graph *g, fet__op op, fet__node *a, fet__node *b)
{
    fet__node *in[2] = {a, b};

    if (!make_equal(g, op, in, 2))
        return NULL;
    return fet__make(g, op, in, 2, NULL, FET_F32, NULL);
}

fet__node *fet__scale(fet__graph *g, fet__node *x, double factor)
{
    if (!fet__have(g, FET__OP_MUL, &x, 1) || factor == 1.0)
        return g->status == FET_OK ? x : NULL;
    return fet__mul(g, x, fet__fill(g, x->dtype, x->shape, factor));
}

fet__node *fet__shift(fet__graph *g, fet__node *x, double term)
{
    if (!fet__have(g, FET__OP_ADD, &x, 1) || term == 0.0)
        return g->status == FET_OK ? x : NULL;
    return fet__add(g, x, fet__fill(g, x->dtype, x->shape, term));
}

fet__node *fet__pow_int(fet__graph *g, fet__node *x, int n)
{
    fet__attr attr = {.raw = {0}};

    attr.power.n = n;
    return fet__make(g, FET__OP_POW_INT, &x, 1, &attr, FET_F32, NULL);
}

fet__node *fet__compare(fet__graph *g, fet__relation r, fet__node *a, fet__node *b)
{
    fet__attr attr = {.raw = {0}};
    fet__node *in[2] = {a, b};

    attr.compare.relation = r;
    if (!make_equal(g, FET__OP_COMPARE, in, 2))
        return NULL;
    return fet__make(g, FET__OP_COMPARE, in, 2, &attr, FET_F32, NULL);
}

fet__node *fet__where(fet__graph *g, fet__node *c, fet__node *a, fet__node *b)
{
    fet__node *in[3] = {c, a, b};

    if (!make_equal(g, FET__OP_WHERE, in, 3))
        return NULL;
    return fet__make(g, FET__OP_WHERE, in, 3, NULL, FET_F32, NULL);
}

fet__node *fet__relu(fet__graph *g, fet__node *x)
{
    if (!fet__have(g, FET__OP_MAX, &x, 1))
        return NULL;
    return fet__binary(g, FET__OP_MAX, x, fet__fill(g, x->dtype, x->shape, 0.0));
}

fet__node *fet__quick_gelu(fet__graph *g, fet__node *x)
{
    return fet__mul(g, x, fet__unary(g, FET__OP_SIGMOID, fet__scale(g, x, 1.702)));
}

fet__node *fet__cast(fet__graph *g, fet__node *x, fet_dtype t)
{
    if (!fet__have(g, FET__OP_CAST, &x, 1))
        return NULL;
    return x->dtype == t ? x : fet__make(g, FET__OP_CAST, &x, 1, NULL, t, NULL);
}

fet__node *fet__stop_gradient(fet__graph *g, fet__node *x)
{
    return fet__unary(g, FET__OP_STOP_GRADIENT, x);
}

/* ---- reductions ---- */

static fet__node *reduce(fet__graph *g, fet__op op, fet__node *x, uint32_t axes)
{
    fet__attr attr = {.raw = {0}};

    if (!fet__have(g, op, &x, 1))
        return NULL;
    if (axes == 0)
        return x;
    attr.reduce.axes = axes;
    return fet__make(g, op, &x, 1, &attr, x->dtype, NULL);
}

fet__node *fet__sum(fet__graph *g, fet__node *x, uint32_t axes)
{
    return reduce(g, FET__OP_SUM, x, axes);
}

fet__node *fet__reduce_max(fet__graph *g, fet__node *x, uint32_t axes)
{
    return reduce(g, FET__OP_REDUCE_MAX, x, axes);
}

fet__node *fet__mean(fet__graph *g, fet__node *x, uint32_t axes)
{
    fet__node *s = fet__sum(g, x, axes);

    if (!s)
        return NULL;
    return fet__scale(g, s, (double)fet__shape_count(&s->shape) / (double)fet__shape_count(&x->shape));
}

fet__node *fet__sum_all(fet__graph *g, fet__node *x)
{
    if (!fet__have(g, FET__OP_SUM, &x, 1))
        return NULL;
    return fet__reshape(g, fet__sum(g, x, fet__all_axes(x->shape.rank)), fet__shape_scalar());
}

fet__node *fet__argmax(fet__graph *g, fet__node *x)
{
    return fet__unary(g, FET__OP_ARGMAX, x);
}
