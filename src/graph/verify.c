/* Is a graph what the rest of the program takes it for? Every live node's type and shape follow from its inputs again, producers come
 * before users, roots fit their targets. Runs before and after the passes, so a pass that breaks a graph is named by the next check. */
#include "graph/graph_int.h"

#include <string.h>

static fet_status check_leaf(const fet__node *n)
{
    if (n->input_count != 0)
        return FET_FAIL(FET_E_BUG, "graph: leaf %%%d has inputs", n->id);
    switch (n->op) {
    case FET__OP_PARAM:
    case FET__OP_STATE:
        if (!n->param || n->param->dtype != n->dtype || !fet__shape_equal(&n->param->shape, &n->shape))
            return FET_FAIL(FET_E_BUG, "graph: leaf %%%d (%s) does not fit its entry in the store", n->id,
                            n->name ? fet__show(n->name) : "?");
        return FET_OK;
    case FET__OP_CONST: return n->value ? FET_OK : FET_FAIL(FET_E_BUG, "graph: constant %%%d has no value", n->id);
    default: return n->name ? FET_OK : FET_FAIL(FET_E_BUG, "graph: input %%%d has no name", n->id);
    }
}

static fet_status check_node(const fet__node *n)
{
    const fet__op_row *row = &fet__op_rows[n->op];
    fet__node draft = *n;
    fet_status st;

    if (fet__shape_count(&n->shape) < 1)
        return FET_FAIL(FET_E_BUG, "graph: node %%%d has the shape %s", n->id, fet__shape_text(&n->shape));
    if (row->class_ == FET__CLASS_LEAF)
        return check_leaf(n);
    if (n->input_count < row->least || n->input_count > row->most)
        return FET_FAIL(FET_E_BUG, "graph: node %%%d (%s) has %d inputs", n->id, row->name, n->input_count);
    st = fet__rule_of(n->op)->infer(&draft, true);
    if (st != FET_OK)
        return fet__fail_in(FET_E_BUG, "graph: node %%%d", n->id);
    if (draft.dtype != n->dtype || !fet__shape_equal(&draft.shape, &n->shape))
        return FET_FAIL(FET_E_BUG, "graph: node %%%d (%s) is %s%s and should be %s%s", n->id, row->name,
                        fet__dtype_name(n->dtype), fet__shape_text(&n->shape), fet__dtype_name(draft.dtype),
                        fet__shape_text(&draft.shape));
    return FET_OK;
}

static fet_status check_roots(const fet__graph *g)
{
    for (int i = 0; i < g->assign.count; i++) {
        const fet__root *r = &g->assign.item[i];

        if (!r->target->param)
            return FET_FAIL(FET_E_BUG, "graph: assign %d has no target in the store", i);
        if (r->target->dtype != r->value->dtype || !fet__shape_equal(&r->target->shape, &r->value->shape))
            return FET_FAIL(FET_E_BUG, "graph: the value of assign %d does not fit %s", i, fet__show(r->target->name));
    }
    return FET_OK;
}

fet_status fet__graph_verify(const fet__graph *g)
{
    fet__node **order = NULL;
    int count = 0;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__graph_order(g, &order, &count)); /* finds cycles */
    for (int k = 0; k < count; k++) {
        if (order[k]->id >= g->count || g->node[order[k]->id] != order[k]) {
            st = FET_FAIL(FET_E_BUG, "graph: node %%%d is not of this graph", order[k]->id);
            goto done;
        }
        FET_TRY(check_node(order[k]));
    }
    FET_TRY(check_roots(g));
done:
    fet__free(order);
    return st;
}
