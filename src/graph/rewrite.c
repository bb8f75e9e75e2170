/* What the passes share: replacing nodes, counting uses, telling forward from backward, and small questions about nodes. */
#include "graph/graph_int.h"

#include <string.h>

bool fet__is_element(fet__op op)
{
    return fet__op_rows[op].class_ == FET__CLASS_ELEMENT || fet__op_rows[op].class_ == FET__CLASS_FUSED_ELEMENT;
}

uint32_t fet__all_axes(int rank)
{
    return rank > 0 ? (1u << rank) - 1u : 0u;
}

bool fet__is_fill(const fet__node *n, double *value)
{
    if (n->op != FET__OP_FILL)
        return false;
    *value = n->attr.fill.value;
    return true;
}

static fet__node *follow(fet__node *const *to, int count, fet__node *n)
{
    while (n && n->id < count && to[n->id] && to[n->id] != n)
        n = to[n->id];
    return n;
}

void fet__graph_replace(fet__graph *g, fet__node *const *to, int count)
{
    for (int id = 0; id < g->count; id++) {
        fet__node *n = g->node[id];

        for (int i = 0; n && i < n->input_count; i++)
            n->input[i] = follow(to, count, n->input[i]);
    }
    for (int i = 0; i < g->output.count; i++)
        g->output.item[i].value = follow(to, count, g->output.item[i].value);
    for (int i = 0; i < g->assign.count; i++)
        g->assign.item[i].value = follow(to, count, g->assign.item[i].value);
}

fet_status fet__graph_uses(const fet__graph *g, fet__node *const *order, int count, int **out)
{
    int *uses = fet__alloc((size_t)g->count + 1, sizeof *uses);

    *out = uses;
    if (!uses)
        return FET_E_NOMEM;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < order[k]->input_count; i++)
            uses[order[k]->input[i]->id]++;
    for (int i = 0; i < g->output.count; i++)
        uses[g->output.item[i].value->id]++;
    for (int i = 0; i < g->assign.count; i++)
        uses[g->assign.item[i].value->id]++;
    return FET_OK;
}

fet_status fet__graph_late(const fet__graph *g, fet__node *const *order, int count, unsigned char **out)
{
    unsigned char *late = fet__alloc((size_t)g->count + 1, 1);

    *out = late;
    if (!late)
        return FET_E_NOMEM;
    for (int k = 0; k < count; k++) {
        const fet__node *n = order[k];

        late[n->id] = n->backward;
        for (int i = 0; i < n->input_count; i++)
            late[n->id] |= late[n->input[i]->id];
    }
    return FET_OK;
}
