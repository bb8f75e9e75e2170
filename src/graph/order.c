/* Topological order. Two walks: the first marks what the roots need, the second goes through the marked nodes by number and puts
 * each behind its inputs. So nodes keep the order in which they were made, and one that was made late (a recomputed copy, a
 * lowering) comes right before the first node that uses it. Both walks keep their own stack: graphs are thousands deep. */
#include "graph/graph_int.h"

typedef struct frame {
    fet__node *n;
    int next; /* input to visit next */
} frame;

typedef struct walk {
    const fet__graph *g;
    fet__node *const *low;
    unsigned char *state; /* by id: 0 not needed, 1 needed, 2 on the stack, 3 done */
    frame *stack;
    int depth;
    fet__node **order;
    int count;
} walk;

static int children(const walk *w, const fet__node *n)
{
    return w->low && w->low[n->id] ? 1 : n->input_count;
}

static fet__node *child(const walk *w, const fet__node *n, int i)
{
    return w->low && w->low[n->id] ? w->low[n->id] : n->input[i];
}

static void push(walk *w, fet__node *n, unsigned char state)
{
    w->state[n->id] = state;
    w->stack[w->depth].n = n;
    w->stack[w->depth++].next = 0;
}

/* A node is pushed once, so the stack never holds more than all nodes. */
static void mark_needed(walk *w, fet__node *root)
{
    if (w->state[root->id])
        return;
    push(w, root, 1);
    while (w->depth > 0) {
        frame *f = &w->stack[w->depth - 1];

        if (f->next == children(w, f->n)) {
            w->depth--;
            continue;
        }
        fet__node *c = child(w, f->n, f->next++);

        if (!w->state[c->id])
            push(w, c, 1);
    }
}

static fet_status visit(walk *w, fet__node *n)
{
    if (w->state[n->id] != 1)
        return FET_OK;
    push(w, n, 2);
    while (w->depth > 0) {
        frame *f = &w->stack[w->depth - 1];

        if (f->next == children(w, f->n)) {
            w->state[f->n->id] = 3;
            w->order[w->count++] = f->n;
            w->depth--;
            continue;
        }
        fet__node *c = child(w, f->n, f->next++);

        if (w->state[c->id] == 2)
            return FET_FAIL(FET_E_BUG, "graph: node %%%d depends on itself", c->id);
        if (w->state[c->id] == 1)
            push(w, c, 2);
    }
    return FET_OK;
}

fet_status fet__order_from(const fet__graph *g, fet__node *const *roots, int root_count, fet__node *const *low,
                           fet__node ***out, int *count)
{
    walk w = {.g = g, .low = low};
    fet_status st;

    *out = NULL;
    *count = 0;
    FET_TRY(FET_NEW(w.state, g->count + 1));
    FET_TRY(FET_NEW(w.stack, g->count + 1));
    FET_TRY(FET_NEW(w.order, g->count + 1));
    for (int i = 0; i < root_count; i++)
        mark_needed(&w, roots[i]);
    for (int id = 0; id < g->count; id++) {
        if (w.state[id] == 1)
            FET_TRY(visit(&w, g->node[id]));
    }
    *out = w.order;
    *count = w.count;
    w.order = NULL;
done:
    fet__free(w.state);
    fet__free(w.stack);
    fet__free(w.order);
    return st;
}

fet_status fet__graph_order(const fet__graph *g, fet__node ***out, int *count)
{
    int n = 0;
    fet__node **roots = fet__alloc((size_t)(g->output.count + 2 * g->assign.count) + 1, sizeof *roots);
    fet_status st;

    *out = NULL;
    *count = 0;
    if (!roots)
        return FET_E_NOMEM;
    for (int i = 0; i < g->output.count; i++)
        roots[n++] = g->output.item[i].value;
    for (int i = 0; i < g->assign.count; i++) {
        roots[n++] = g->assign.item[i].value;
        roots[n++] = g->assign.item[i].target;
    }
    st = fet__order_from(g, roots, n, NULL, out, count);
    fet__free(roots);
    return st;
}
