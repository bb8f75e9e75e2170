/* Identities that make a graph smaller: arithmetic with constants here, operators that move data in algebra_move.c. Runs after all
 * gradients are built, for it drops the stops of gradients. No identity changes what a NaN or an infinity in the data does to the
 * result (x * 0 stays), except for the last bit where constants are multiplied together. */
#include "graph/graph_int.h"

#include <math.h>
#include <stdlib.h>

static bool fill_is(const fet__node *n, double want)
{
    double v;

    return fet__is_fill(n, &v) && v == want;
}

static fet__node *add(fet__graph *g, fet__node *a, fet__node *b)
{
    if (fill_is(a, 0))
        return b;
    if (fill_is(b, 0))
        return a;
    if (b->op == FET__OP_NEG)
        return fet__sub(g, a, b->input[0]);
    if (a->op == FET__OP_NEG)
        return fet__sub(g, b, a->input[0]);
    return NULL;
}

static fet__node *sub(fet__graph *g, fet__node *a, fet__node *b)
{
    if (fill_is(b, 0))
        return a;
    if (fill_is(a, 0))
        return fet__unary(g, FET__OP_NEG, b);
    return b->op == FET__OP_NEG ? fet__add(g, a, b->input[0]) : NULL;
}

/* x * v, seeing through a product with a constant and a sign inside x */
static fet__node *times(fet__graph *g, fet__node *x, double v)
{
    double inner;

    if (v == 1)
        return x;
    if (x->op == FET__OP_NEG)
        return fet__scale(g, x->input[0], -v);
    for (int i = 0; x->op == FET__OP_MUL && i < 2; i++)
        if (fet__is_fill(x->input[i], &inner))
            return fet__scale(g, x->input[1 - i], inner * v);
    return v == -1 ? fet__unary(g, FET__OP_NEG, x) : NULL;
}

static fet__node *mul(fet__graph *g, fet__node *a, fet__node *b)
{
    double v;

    if (fill_is(a, 1))
        return b;
    if (fet__is_fill(b, &v))
        return times(g, a, v);
    if (fet__is_fill(a, &v))
        return times(g, b, v);
    return a->op == FET__OP_NEG && b->op == FET__OP_NEG ? fet__mul(g, a->input[0], b->input[0]) : NULL;
}

/* Division by a power of two is exact as a product. */
static fet__node *divide(fet__graph *g, fet__node *a, fet__node *b)
{
    double v;
    int exponent;

    if (!fet__is_fill(b, &v) || v == 0 || !isfinite(v) || fabs(frexp(v, &exponent)) != 0.5 || abs(exponent) > 100)
        return NULL;
    return fet__scale(g, a, 1 / v);
}

static fet__node *negate(fet__graph *g, fet__node *x)
{
    double v;

    if (fet__is_fill(x, &v))
        return fet__fill(g, x->dtype, x->shape, -v);
    if (x->op == FET__OP_NEG)
        return x->input[0];
    if (x->op == FET__OP_SUB)
        return fet__sub(g, x->input[1], x->input[0]);
    for (int i = 0; x->op == FET__OP_MUL && i < 2; i++)
        if (fet__is_fill(x->input[i], &v))
            return fet__scale(g, x->input[1 - i], -v);
    return NULL;
}

static fet__node *where(const fet__node *n)
{
    double v;

    if (fet__is_fill(n->input[0], &v))
        return v != 0 ? n->input[1] : n->input[2];
    return n->input[1] == n->input[2] ? n->input[1] : NULL;
}

/* Casting there and back loses nothing when the type between is wider. */
static fet__node *cast(const fet__node *n)
{
    fet__node *x = n->input[0];

    if (x->dtype == n->dtype)
        return x;
    if (x->op == FET__OP_CAST && x->input[0]->dtype == n->dtype && n->dtype == FET_F32 && x->dtype == FET_F64)
        return x->input[0];
    return NULL;
}

/* ---- sums ---- */

static int64_t size_over(const fet__shape *s, uint32_t axes)
{
    int64_t count = 1;

    for (int i = 0; i < s->rank; i++)
        count *= axes >> i & 1 ? s->dim[i] : 1;
    return count;
}

static uint32_t axes_of_size_one(const fet__shape *s)
{
    uint32_t axes = 0;

    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 1)
            axes |= 1u << i;
    return axes;
}

/* A sum over axes that a broadcast made is a product with their size. */
static fet__node *sum_of_broadcast(fet__graph *g, const fet__node *x, uint32_t axes)
{
    fet__node *source = x->input[0];
    uint32_t made = axes_of_size_one(&source->shape) & axes;
    fet__shape rest = source->shape;
    int64_t count = size_over(&x->shape, made);

    if (count == 1)
        return NULL;
    source = fet__scale(g, source, (double)count);
    for (int i = 0; i < rest.rank; i++)
        rest.dim[i] = made >> i & 1 ? 1 : x->shape.dim[i];
    return fet__sum(g, fet__broadcast(g, source, rest), axes & ~made);
}

static fet__node *sum(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    uint32_t axes = n->attr.reduce.axes, useful = axes & ~axes_of_size_one(&x->shape);
    double v;

    if (useful != axes)
        return fet__sum(g, x, useful);
    if (fet__is_fill(x, &v))
        return fet__fill(g, n->dtype, n->shape, v * (double)size_over(&x->shape, axes));
    if (x->op == FET__OP_SUM)
        return fet__sum(g, x->input[0], axes | x->attr.reduce.axes);
    return x->op == FET__OP_BROADCAST ? sum_of_broadcast(g, x, axes) : NULL;
}

static fet__node *largest(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    uint32_t axes = n->attr.reduce.axes, useful = axes & ~axes_of_size_one(&x->shape);

    return useful != axes ? fet__reduce_max(g, x, useful) : NULL;
}

/* What n can be replaced by, or NULL. */
static fet__node *simplify(fet__graph *g, fet__node *n)
{
    fet__node **in = n->input;

    switch (n->op) {
    case FET__OP_ADD: return add(g, in[0], in[1]);
    case FET__OP_SUB: return sub(g, in[0], in[1]);
    case FET__OP_MUL: return mul(g, in[0], in[1]);
    case FET__OP_DIV: return divide(g, in[0], in[1]);
    case FET__OP_NEG: return negate(g, in[0]);
    case FET__OP_POW_INT:
        return n->attr.power.n == 1 ? in[0] : n->attr.power.n == 0 ? fet__fill(g, n->dtype, n->shape, 1) : NULL;
    case FET__OP_WHERE: return where(n);
    case FET__OP_CAST: return cast(n);
    case FET__OP_STOP_GRADIENT:
    case FET__OP_STANDARDIZED: return in[0];
    case FET__OP_SUM: return sum(g, n);
    case FET__OP_REDUCE_MAX: return largest(g, n);
    default: return fet__simplify_move(g, n);
    }
}

fet_status fet__algebra_round(fet__graph *g, bool *changed)
{
    fet__node **order = NULL, **to = NULL;
    const char *scope = g->scope_now;
    bool backward = g->backward;
    int count = 0, ids = g->count, *uses = NULL;
    fet_status st;

    FET_TRY(fet__graph_order(g, &order, &count));
    FET_TRY(fet__graph_uses(g, order, count, &uses));
    FET_TRY(FET_NEW(to, ids + 1));
    for (int k = 0; k < count && g->status == FET_OK; k++) {
        fet__node *n = order[k], *better;

        for (int i = 0; i < n->input_count; i++)
            while (n->input[i]->id < ids && to[n->input[i]->id])
                n->input[i] = to[n->input[i]->id];
        g->scope_now = n->scope;
        g->backward = n->backward;
        better = simplify(g, n);
        if (!better)
            better = fet__simplify_rows(g, n, uses, ids);
        if (!better || better == n)
            continue;
        to[n->id] = better;
        *changed = true;
    }
    FET_TRY(fet__graph_status(g));
    fet__graph_replace(g, to, ids);
done:
    g->scope_now = scope;
    g->backward = backward;
    fet__free(order);
    fet__free(to);
    fet__free(uses);
    return st;
}

fet_status fet__pass_algebra(fet__graph *g)
{
    enum { MOST_ROUNDS = 100 }; /* every identity shrinks the graph or a chain, so this is only a guard */
    bool changed = true;
    fet_status st = fet__graph_status(g);

    for (int i = 0; st == FET_OK && changed && i < MOST_ROUNDS; i++) {
        changed = false;
        st = fet__algebra_round(g, &changed);
    }
    return st;
}
