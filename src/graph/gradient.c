/* The gradient of one number with respect to chosen nodes, as more nodes.
 *
 * 1. Of what the loss is made of, mark what depends on a wanted node through operators that have a derivative.
 * 2. A marked node whose operator has no rule for what is wanted (the gradient operators themselves, an attention's bias) is lowered:
 *    its meaning in core operators is built beside it, and its adjoint passes through that. The node itself stays: only those
 *    parts of the lowering that a derivative needs are ever computed.
 * 3. From the loss back, each marked node's rule turns its adjoint into shares for its marked inputs; shares of one node are added.
 * Nothing is built for a node that no wanted node needs, so frozen weights cost nothing. */
#include "graph/graph_int.h"

#include <string.h>

typedef struct sweep {
    fet__graph *g;
    fet__node *loss;
    fet__node *const *wrt;
    int wrt_count;
    fet__node **order; /* what the loss needs, lowerings in place of lowered nodes' inputs */
    int count;
    int ids;               /* length of the arrays by id */
    unsigned char *wanted; /* by id: is it one of wrt */
    unsigned char *need;   /* by id: depends on one of wrt */
    fet__node **low;       /* by id: lowering, or NULL */
    fet__node **adjoint;   /* by id */
} sweep;

static bool edge_passes(const sweep *s, const fet__node *n, int i)
{
    return fet__op_differentiable(n->op) && !(fet__rule_of(n->op)->blocked >> i & 1) &&
           fet__dtype_is_float(n->input[i]->dtype) && s->need[n->input[i]->id];
}

static void mark_need(sweep *s)
{
    for (int k = 0; k < s->count; k++) {
        const fet__node *n = s->order[k];
        bool need = s->wanted[n->id];

        if (s->low[n->id])
            need = need || s->need[s->low[n->id]->id];
        else
            for (int i = 0; i < n->input_count && !need; i++)
                need = edge_passes(s, n, i);
        s->need[n->id] = need;
    }
}

static fet_status grow(sweep *s)
{
    int ids = s->g->count;
    unsigned char *wanted, *need;
    fet__node **low, **adjoint;

    if ((wanted = fet__realloc(s->wanted, (size_t)s->ids, (size_t)ids, 1)))
        s->wanted = wanted;
    if ((need = fet__realloc(s->need, (size_t)s->ids, (size_t)ids, 1)))
        s->need = need;
    if ((low = fet__realloc(s->low, (size_t)s->ids, (size_t)ids, sizeof *low)))
        s->low = low;
    if ((adjoint = fet__realloc(s->adjoint, (size_t)s->ids, (size_t)ids, sizeof *adjoint)))
        s->adjoint = adjoint;
    if (!wanted || !need || !low || !adjoint)
        return FET_E_NOMEM;
    s->ids = ids;
    return FET_OK;
}

static fet_status begin(sweep *s)
{
    fet_status st = grow(s);

    if (st != FET_OK)
        return st;
    for (int i = 0; i < s->wrt_count; i++)
        s->wanted[s->wrt[i]->id] = 1;
    st = fet__order_from(s->g, &s->loss, 1, s->low, &s->order, &s->count);
    if (st == FET_OK)
        mark_need(s);
    return st;
}

static bool rule_covers(const sweep *s, const fet__node *n)
{
    const fet__rule *r = fet__rule_of(n->op);

    for (int i = 0; i < n->input_count; i++)
        if (edge_passes(s, n, i) && (!r->vjp || !(r->covered >> i & 1)))
            return false;
    return true;
}

/* Lower what has no rule for what is wanted, and walk again with the lowerings in place. */
static fet_status lower_where_needed(sweep *s)
{
    fet__node *last = NULL;
    fet_status st;

    for (int k = 0; k < s->count; k++) {
        fet__node *n = s->order[k];

        if (!s->need[n->id] || rule_covers(s, n))
            continue;
        last = s->low[n->id] = fet__lower(s->g, n);
        if (!last)
            return fet__graph_status(s->g);
    }
    if (!last)
        return FET_OK;
    fet__free(s->order);
    s->order = NULL;
    st = grow(s);
    if (st == FET_OK)
        st = fet__order_from(s->g, &s->loss, 1, s->low, &s->order, &s->count);
    if (st == FET_OK)
        mark_need(s);
    return st;
}

static void accumulate(sweep *s, const fet__node *n, fet__node *share)
{
    fet__node **sum = &s->adjoint[n->id];

    *sum = *sum ? fet__add(s->g, *sum, share) : share;
}

static void step_back(sweep *s, fet__node *n)
{
    fet__vjp a = {.g = s->g, .n = n, .dy = s->adjoint[n->id]};
    bool any = false;

    s->g->scope_now = n->scope;
    if (s->low[n->id]) {
        accumulate(s, s->low[n->id], a.dy);
        return;
    }
    for (int i = 0; i < n->input_count; i++)
        any = (a.want[i] = edge_passes(s, n, i)) || any;
    if (!any)
        return;
    fet__rule_of(n->op)->vjp(&a);
    for (int i = 0; i < n->input_count; i++)
        if (a.want[i] && a.d[i])
            accumulate(s, n->input[i], a.d[i]);
}

static fet_status name_unreached(const sweep *s)
{
    enum { SHOWN = 6 };
    fet__text t = {0};
    int missing = 0;
    fet_status st;

    for (int i = 0; i < s->wrt_count; i++) {
        const fet__node *n = s->wrt[i];

        if (s->adjoint[n->id])
            continue;
        missing++;
        if (missing > SHOWN)
            continue;
        fet__text_printf(&t, "%s", missing > 1 ? ", " : "");
        if (n->name)
            fet__text_printf(&t, "%s", fet__show(n->name));
        else
            fet__text_printf(&t, "%%%d (%s%s%s)", n->id, fet__op_rows[n->op].name, *n->scope ? " in " : "", n->scope);
    }
    if (missing > SHOWN)
        fet__text_printf(&t, " and %d more", missing - SHOWN);
    st =
        missing ? FET_FAIL(FET_E_ARG, "gradient: the loss does not reach %s", t.failed ? "some tensors" : t.s) : FET_OK;
    fet__text_fini(&t);
    return st;
}

static fet_status check_call(fet__graph *g, const fet__node *loss, fet__node *const *wrt, int count)
{
    if (g->status != FET_OK)
        return fet__graph_status(g);
    if (!loss || !fet__dtype_is_float(loss->dtype) || fet__shape_count(&loss->shape) != 1)
        return FET_FAIL(FET_E_ARG, "gradient: the loss must be one floating-point number%s%s", loss ? ", not " : "",
                        loss ? fet__shape_text(&loss->shape) : "");
    for (int i = 0; i < count; i++)
        if (!wrt[i])
            return FET_FAIL(FET_E_ARG, "gradient: tensor %d to differentiate by is missing", i);
    return FET_OK;
}

fet_status fet__gradient(fet__graph *g, fet__node *loss, fet__node *const *wrt, int count, bool allow_unreached,
                         fet__node **grads)
{
    sweep s = {.g = g, .loss = loss, .wrt = wrt, .wrt_count = count};
    const char *scope = g->scope_now;
    bool backward = g->backward;
    fet_status st;

    for (int i = 0; i < count; i++)
        grads[i] = NULL;
    FET_TRY(check_call(g, loss, wrt, count));
    g->backward = true;
    FET_TRY(begin(&s));
    FET_TRY(lower_where_needed(&s));
    if (s.need[loss->id]) {
        s.adjoint[loss->id] = fet__fill(g, loss->dtype, loss->shape, 1.0);
        for (int k = s.count - 1; k >= 0 && g->status == FET_OK; k--)
            if (s.adjoint[s.order[k]->id])
                step_back(&s, s.order[k]);
    }
    FET_TRY(fet__graph_status(g));
    if (!allow_unreached)
        FET_TRY(name_unreached(&s));
    for (int i = 0; i < count; i++)
        grads[i] = s.adjoint[wrt[i]->id];
done:
    g->scope_now = scope;
    g->backward = backward;
    fet__free(s.order);
    fet__free(s.wanted);
    fet__free(s.need);
    fet__free(s.low);
    fet__free(s.adjoint);
    return st;
}
