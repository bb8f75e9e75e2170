/* What a matrix product can do on its way out: an activation and the sum with a residual, where nobody else wants the value in
 * between. The consumer's node becomes the linear, so that its number and place stay. */
#include "graph/graph_int.h"

#include <string.h>

/* A linear that only n uses and that belongs to the same half of the graph. */
static fet__node *lone_linear(const fet__node *n, int i, const int *uses)
{
    fet__node *x = n->input[i];

    if (x->op != FET__OP_LINEAR || uses[x->id] != 1 || x->backward != n->backward || x->copy != n->copy ||
        x->input_count > 3)
        return NULL;
    return x;
}

static bool is_zero(const fet__node *n)
{
    double v;

    return fet__is_fill(n, &v) && v == 0;
}

static fet_status become_linear(fet__graph *g, fet__node *n, const fet__node *linear, fet__activation act,
                                fet__node *residual)
{
    fet__node **in = fet__arena_alloc(&g->arena, 4, sizeof *in);
    int count = linear->input_count;

    if (!in)
        return FET_E_NOMEM;
    for (int i = 0; i < count; i++)
        in[i] = linear->input[i];
    if (residual)
        in[count++] = residual;
    n->op = FET__OP_LINEAR;
    n->input = in;
    n->input_count = count;
    memset(&n->attr, 0, sizeof n->attr);
    n->attr.linear.activation = act;
    return FET_OK;
}

static fet_status fuse_activation(fet__graph *g, fet__node *n, const int *uses)
{
    fet__activation act = n->op == FET__OP_GELU ? FET__ACT_GELU : FET__ACT_RELU;
    fet__node *linear = lone_linear(n, 0, uses);

    if (n->op == FET__OP_MAX && !is_zero(n->input[1]))
        return FET_OK;
    if (!linear || linear->attr.linear.activation != FET__ACT_NONE)
        return FET_OK;
    return become_linear(g, n, linear, act, NULL);
}

/* Of two linears the later one is computed with the other as its residual. The residual stands in the fourth place, so a bias is
 * needed. */
static fet_status fuse_residual(fet__graph *g, fet__node *n, const int *uses)
{
    fet__node *best = NULL, *other = NULL;

    for (int i = 0; i < 2; i++) {
        fet__node *linear = lone_linear(n, i, uses);

        if (linear && linear->input_count == 3 && (!best || linear->id > best->id)) {
            best = linear;
            other = n->input[1 - i];
        }
    }
    return best ? become_linear(g, n, best, (fet__activation)best->attr.linear.activation, other) : FET_OK;
}

fet_status fet__pass_fuse(fet__graph *g)
{
    fet__node **order = NULL;
    int *uses = NULL, count = 0;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__graph_order(g, &order, &count));
    FET_TRY(fet__graph_uses(g, order, count, &uses));
    for (int k = 0; k < count; k++) { /* producers first: an activation is in place before its sum is looked at */
        fet__node *n = order[k];

        if (n->op == FET__OP_GELU || n->op == FET__OP_MAX)
            FET_TRY(fuse_activation(g, n, uses));
        else if (n->op == FET__OP_ADD)
            FET_TRY(fuse_residual(g, n, uses));
    }
done:
    fet__free(order);
    fet__free(uses);
    return st;
}
