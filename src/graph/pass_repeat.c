/* Nodes that are computed again, as a run order says: a memory budget's doing (plan/repeat.c chooses, exec/ drives). Runs after all other passes:
 * a copy has the operator, attributes and input values of what it copies, so it has its bits too. */
#include "graph/graph_int.h"

typedef struct pass {
    fet__graph *g;
    const fet__run *runs;
    fet__node **made; /* by run: what it computes */
} pass;

/* `x` is `old`, or looks at its bytes in another shape: the same look at `fresh`. */
static fet__node *look_at(pass *p, fet__node *x, const fet__node *old, fet__node *fresh)
{
    fet__node draft, *in;

    if (x == old)
        return fresh;
    if (x->input_count < 1)
        return fet__graph_fail(p->g, FET_E_BUG, "repeat: %%%d is no view of %%%d", x->id, old->id);
    in = look_at(p, x->input[0], old, fresh);
    if (!in)
        return NULL;
    draft = *x;
    draft.input = &in;
    draft.input_count = 1;
    draft.copy = x->copy + 1;
    p->g->scope_now = x->scope;
    return fet__node_add(p->g, &draft);
}

/* What run `t` reads as input k. */
static fet__node *input_of(pass *p, const fet__run *r, int k)
{
    int from = r->from[k];

    if (from < 0 || !p->runs[from].again)
        return r->node->input[k];
    return look_at(p, r->node->input[k], p->runs[from].node, p->made[from]);
}

static fet__node *copy_of(pass *p, const fet__run *r)
{
    fet__node draft = *r->node, *in[FET__MAX_INPUTS];

    for (int k = 0; k < draft.input_count; k++) {
        in[k] = input_of(p, r, k);
        if (!in[k])
            return NULL;
    }
    draft.input = in;
    draft.copy = r->node->copy + 1;
    p->g->scope_now = r->node->scope;
    return fet__node_add(p->g, &draft);
}

/* Copies first: they are made from inputs as they were. */
static fet_status make_copies(pass *p, int count)
{
    for (int t = 0; t < count; t++) {
        p->made[t] = p->runs[t].again ? copy_of(p, &p->runs[t]) : p->runs[t].node;
        if (!p->made[t])
            return fet__graph_status(p->g);
    }
    return FET_OK;
}

static fet_status rewire(pass *p, int count)
{
    for (int t = 0; t < count; t++) {
        const fet__run *r = &p->runs[t];

        for (int k = 0; !r->again && k < r->node->input_count; k++) {
            fet__node *in = input_of(p, r, k);

            if (!in)
                return fet__graph_status(p->g);
            r->node->input[k] = in;
        }
    }
    return FET_OK;
}

fet_status fet__pass_repeat(fet__graph *g, const fet__run *runs, int count, fet__node **made)
{
    pass p = {.g = g, .runs = runs, .made = made};
    const char *scope = g->scope_now;
    bool backward = g->backward;
    fet_status st;

    g->backward = true;
    FET_TRY(fet__graph_status(g));
    FET_TRY(make_copies(&p, count));
    FET_TRY(rewire(&p, count));
    FET_TRY(fet__graph_verify(g));
done:
    g->scope_now = scope;
    g->backward = backward;
    return st;
}
