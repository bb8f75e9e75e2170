/* The losses of both stages (methods/mabn.md 5, 6): the inner steps on an unlabelled support set, the joint loss of a query set with
 * what they made of the norms, and its gradient by the norms as they were before. One graph, no tape: the inner gradient's nodes are
 * differentiated like any others. */
#include "train/byol.h"

#include <string.h>

fet__node *fet__main_loss(fet__graph *g, fet__node *logits, fet__node *label, bool squared)
{
    fet__node *each;

    if (squared) {
        each = fet__sub(g, logits, label);
        each = fet__mul(g, each, each);
    } else {
        each = fet__cross_entropy(g, logits, label, 0);
    }
    return each ? fet__scale(g, fet__sum_all(g, each), 1.0 / (double)fet__shape_count(&each->shape)) : NULL;
}

/* Query and its two views. Where norms are frozen all three go through the network together. */
static void build_query(fet__byol_net *n, fet__build *b, fet__node *query, fet__node *const view[2],
                        fet__byol_nodes *byol, fet__node **logits)
{
    fet__node *all[3] = {query, view[0], view[1]}, *feature = NULL, *out = NULL;
    int64_t rows = query ? query->shape.dim[0] : 0;

    if (n->joint || !view[0]) {
        n->backbone(n->user, b, query, &feature, logits);
        return;
    }
    n->backbone(n->user, b, fet__concat(b->g, all, 3, 0), &feature, &out);
    *logits = fet__slice(b->g, out, 0, 0, rows);
    for (int k = 0; k < 2; k++)
        byol->feature[k] = fet__slice(b->g, feature, 0, (k + 1) * rows, (k + 2) * rows);
}

fet_status fet__outer_build(fet__outer *out, fet__byol_net *n, fet__build *b, fet__node *query,
                            fet__node *const view[2], fet__node *label, const fet__episode_options *o)
{
    static fet__node *const none[2];
    bool branch = o->lambda != 0; /* NOLINT: exactly none */
    fet__byol_nodes byol = {0};
    fet_status st;

    memset(out, 0, sizeof *out);
    build_query(n, b, query, branch ? view : none, &byol, &out->logits);
    out->main = fet__main_loss(b->g, out->logits, label, o->squared);
    out->loss = out->main;
    if (branch) {
        FET_TRY(fet__byol_build(n, b, view, &byol));
        out->byol = byol.loss;
        out->loss = fet__add(b->g, out->main, fet__scale(b->g, out->byol, o->lambda));
    }
    st = fet__graph_status(b->g);
done:
    return st;
}

fet_status fet__episode_adapt(fet__episode *e, fet__byol_net *n, fet__build *b, fet__node *const support[2],
                              const fet__episode_options *o)
{
    fet_status st;

    memset(e, 0, sizeof *e);
    if (o->inner_steps < 1 || o->inner_steps > FET__INNER_STEPS)
        return FET_FAIL(FET_E_ARG, "%d inner steps: 1 to %d", o->inner_steps, FET__INNER_STEPS);
    FET_TRY(fet__values_of(&e->start, b, fet__is_norm_affine));
    if (e->start.count == 0)
        return FET_FAIL(FET_E_ARG, "the model has no batch norm with running statistics: there is nothing to adapt");
    e->adapted = e->start;
    for (int k = 0; k < o->inner_steps; k++) {
        fet__byol_nodes byol = {0};
        fet__values now = e->adapted;
        fet__values_use(b, &now);
        st = fet__byol_build(n, b, support, &byol);
        fet__values_use(b, NULL);
        if (st != FET_OK)
            return st;
        e->inner_loss[k] = byol.loss;
        FET_TRY(fet__values_descend(&e->adapted, &now, b->g, byol.loss, o->inner_lr, k == 0 ? &e->inner_grad : NULL));
    }
done:
    return st;
}

fet_status fet__episode_build(fet__episode *e, fet__byol_net *n, fet__build *b, const fet__episode_input *in,
                              const fet__episode_options *o)
{
    const fet__values *by;
    fet_status st;

    FET_TRY(fet__episode_adapt(e, n, b, in->support, o));
    fet__values_use(b, &e->adapted);
    st = fet__outer_build(&e->outer, n, b, in->query, in->query_view, in->label, o);
    fet__values_use(b, NULL);
    FET_TRY(st);
    e->grad = fet__arena_alloc(fet__graph_arena(b->g), (size_t)e->start.count + 1, sizeof(fet__node *));
    if (!e->grad)
        return FET_E_NOMEM;
    by = o->second_order ? &e->start : &e->adapted;
    st = fet__gradient(b->g, e->outer.loss, by->node, by->count, false, e->grad);
done:
    return st;
}
