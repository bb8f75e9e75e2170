/* A convolution whose result is only scaled and shifted channel by channel with frozen vectors (a batch norm with running statistics)
 * takes the scale into its weights, which is then computed once; one shift remains:
 *
 *     ((conv(x, w) + b) - mean) * s * gamma + beta   ->   conv(x, w * S) + T,   S = s gamma,   T = (b - mean) S + beta
 *
 * Where a vector trains, or a value in between has another use (a gradient), nothing changes. */
#include "graph/graph_int.h"

/* What node n is as conv * scale + shift; vectors of one element a channel, NULL for 1 and 0. */
typedef struct chain {
    fet__node *conv, *scale, *shift;
} chain;

typedef struct pass {
    fet__graph *g;
    fet__node **order;
    int count, ids;
    int *uses;
    bool *frozen; /* by id: the same in every run */
    chain *chain; /* by id */
} pass;

static void find_frozen(pass *p)
{
    for (int k = 0; k < p->count; k++) {
        const fet__node *n = p->order[k];
        bool frozen = n->op != FET__OP_INPUT && n->op != FET__OP_STATE && !(n->param && fet__pending(p->g, n));

        for (int i = 0; i < n->input_count && frozen; i++)
            frozen = p->frozen[n->input[i]->id];
        p->frozen[n->id] = frozen;
    }
}

/* The operand as a frozen vector along the last axis, or NULL. */
static fet__node *vector_of(const pass *p, fet__node *n)
{
    int64_t channels = n->shape.dim[n->shape.rank - 1];
    double value;
    const fet__node *x;

    if (fet__is_fill(n, &value))
        return fet__fill(p->g, n->dtype, FET_SHAPE(channels), value);
    if (n->op != FET__OP_BROADCAST || !p->frozen[n->id])
        return NULL;
    x = n->input[0];
    if (x->shape.rank < 1 || x->shape.dim[x->shape.rank - 1] != channels || fet__shape_count(&x->shape) != channels)
        return NULL;
    return fet__reshape(p->g, n->input[0], FET_SHAPE(channels));
}

static fet__node *both(fet__graph *g, fet__op op, fet__node *a, fet__node *b)
{
    return a ? fet__binary(g, op, a, b) : b;
}

static bool extend(const pass *p, const fet__node *n, const chain *from, fet__node *v, chain *out)
{
    *out = *from;
    switch (n->op) {
    case FET__OP_ADD: out->shift = both(p->g, FET__OP_ADD, from->shift, v); return true;
    case FET__OP_SUB:
        out->shift = from->shift ? fet__sub(p->g, from->shift, v) : fet__unary(p->g, FET__OP_NEG, v);
        return true;
    case FET__OP_MUL:
        out->scale = both(p->g, FET__OP_MUL, from->scale, v);
        out->shift = from->shift ? fet__mul(p->g, from->shift, v) : NULL;
        return true;
    default: return false;
    }
}

/* Is `n` a further link of the chain that ends in one of its inputs? */
static void link_node(pass *p, fet__node *n)
{
    for (int i = 0; i < 2; i++) {
        const fet__node *x = n->input[i];
        const chain *from = &p->chain[x->id];
        fet__node *v;

        if (!from->conv || p->uses[x->id] != 1 || x->backward != n->backward || (n->op == FET__OP_SUB && i == 1))
            continue;
        v = vector_of(p, n->input[1 - i]);
        if (v && extend(p, n, from, v, &p->chain[n->id])) {
            p->chain[x->id].conv = NULL; /* it ends further on */
            return;
        }
    }
}

static void walk(pass *p)
{
    for (int k = 0; k < p->count; k++) {
        fet__node *n = p->order[k];

        p->g->scope_now = n->scope;
        p->g->backward = n->backward;
        if (n->op == FET__OP_CONV2D && p->frozen[n->input[1]->id] && !p->frozen[n->input[0]->id])
            p->chain[n->id].conv = n;
        else if (n->op == FET__OP_ADD || n->op == FET__OP_SUB || n->op == FET__OP_MUL)
            link_node(p, n);
    }
}

static fet__node *scaled(fet__graph *g, const chain *c)
{
    const fet__node *conv = c->conv;
    fet__node *in[2] = {conv->input[0], conv->input[1]}, *y;
    int64_t channels = conv->shape.dim[3];

    in[1] = fet__mul(g, in[1], fet__reshape(g, c->scale, FET_SHAPE(channels, 1, 1, 1)));
    y = fet__make(g, FET__OP_CONV2D, in, 2, &conv->attr, conv->dtype, NULL);
    return c->shift ? fet__add(g, y, c->shift) : y;
}

static fet_status replace(pass *p)
{
    fet__node **to = NULL;
    fet_status st;

    FET_TRY(FET_NEW(to, p->ids + 1));
    for (int k = 0; k < p->count; k++) {
        const fet__node *n = p->order[k];
        const chain *c = &p->chain[n->id];

        if (!c->conv || !c->scale)
            continue;
        p->g->scope_now = n->scope;
        p->g->backward = n->backward;
        to[n->id] = scaled(p->g, c);
    }
    FET_TRY(fet__graph_status(p->g));
    fet__graph_replace(p->g, to, p->ids);
done:
    fet__free(to);
    return st;
}

fet_status fet__pass_scale(fet__graph *g)
{
    pass p = {.g = g, .ids = g->count};
    const char *scope = g->scope_now;
    bool backward = g->backward;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__graph_order(g, &p.order, &p.count));
    FET_TRY(fet__graph_uses(g, p.order, p.count, &p.uses));
    FET_TRY(FET_NEW(p.frozen, p.ids + 1));
    FET_TRY(FET_NEW(p.chain, p.ids + 1));
    find_frozen(&p);
    walk(&p);
    FET_TRY(fet__graph_status(g));
    st = replace(&p);
done:
    g->scope_now = scope;
    g->backward = backward;
    fet__free(p.order);
    fet__free(p.uses);
    fet__free(p.frozen);
    fet__free(p.chain);
    return st;
}
