/* Cheap forward values that the backward half wants are computed again there, when what they are made of is kept anyway: then the
 * forward value dies at its last forward use. Typical: gelu(h) for a weight gradient while h is kept for gelu's own gradient, a
 * layer norm's output while its input is kept, a dropout mask, whose random numbers are a function of the step.
 *
 * A node is cheap when it is element-wise, a broadcast, random numbers or a layer norm. It is recomputed when each of its inputs is
 * at hand in the backward half: a leaf, a value that the backward half uses itself, something small, or again such a node. Chains
 * of such nodes end after MOST_DEEP: in a residual network they would reach from the last block back to the first, and everything
 * computed again on the way would have to wait for its block's turn. */
#include "graph/graph_int.h"

#include <string.h>

#define SMALL 16384 /* bytes below which keeping a value is no burden */
#define MOST_DEEP 8 /* nodes of a chain that is computed again */

typedef struct plan {
    fet__graph *g;
    fet__node **order;
    int count;
    unsigned char *late;   /* by id: backward half */
    unsigned char *wanted; /* by id: a forward value that a backward node reads */
    unsigned char
        *possible;    /* by id: cheap and all inputs at hand: 1 + nodes to compute before it, on the longest way */
    fet__node **copy; /* by id */
} plan;

static int64_t bytes_of(const fet__node *n)
{
    return fet__shape_count(&n->shape) * (int64_t)fet__dtype_bytes(n->dtype);
}

static bool is_source(const fet__node *n)
{
    return n->input_count == 0;
}

static bool is_cheap(const fet__node *n)
{
    return fet__is_element(n->op) || n->op == FET__OP_BROADCAST || n->op == FET__OP_RANDOM ||
           n->op == FET__OP_LAYER_NORM;
}

static bool at_hand(const plan *p, const fet__node *n)
{
    return is_source(n) || p->wanted[n->id] || bytes_of(n) < SMALL || p->possible[n->id];
}

static int depth_of(const plan *p, const fet__node *n)
{
    int depth = 1;

    for (int i = 0; i < n->input_count; i++) {
        const fet__node *in = n->input[i];

        if (!at_hand(p, in))
            return 0;
        if (p->possible[in->id] + 1 > depth)
            depth = p->possible[in->id] + 1;
    }
    return depth <= MOST_DEEP ? depth : 0;
}

static fet_status prepare(plan *p)
{
    fet_status st;

    FET_TRY(fet__graph_order(p->g, &p->order, &p->count));
    FET_TRY(fet__graph_late(p->g, p->order, p->count, &p->late));
    FET_TRY(FET_NEW(p->wanted, p->g->count + 1));
    FET_TRY(FET_NEW(p->possible, p->g->count + 1));
    FET_TRY(FET_NEW(p->copy, p->g->count + 1));
    for (int k = 0; k < p->count; k++) {
        const fet__node *n = p->order[k];

        for (int i = 0; p->late[n->id] && i < n->input_count; i++)
            p->wanted[n->input[i]->id] = !p->late[n->input[i]->id];
    }
    for (int k = 0; k < p->count; k++) {
        const fet__node *n = p->order[k];

        if (is_cheap(n) && !is_source(n) && !p->late[n->id])
            p->possible[n->id] = (unsigned char)depth_of(p, n);
    }
done:
    return st;
}

static fet__node *copy_of(plan *p, fet__node *n);

/* What stands for a forward input in the backward half. */
static fet__node *stand_in(plan *p, fet__node *n)
{
    if (p->late[n->id] || is_source(n) || !p->possible[n->id] || bytes_of(n) < SMALL)
        return n;
    return copy_of(p, n);
}

static fet__node *copy_of(plan *p, fet__node *n)
{
    fet__node draft = *n, *in[FET__MAX_INPUTS];

    if (p->copy[n->id])
        return p->copy[n->id];
    for (int i = 0; i < n->input_count; i++) {
        in[i] = stand_in(p, n->input[i]);
        if (!in[i])
            return NULL;
    }
    draft.input = in;
    draft.copy = n->copy + 1;
    p->g->scope_now = n->scope;
    p->g->backward = true;
    return p->copy[n->id] = fet__node_add(p->g, &draft);
}

fet_status fet__pass_recompute(fet__graph *g)
{
    plan p = {.g = g};
    const char *scope = g->scope_now;
    bool backward = g->backward;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(prepare(&p));
    for (int k = 0; k < p.count; k++) {
        fet__node *n = p.order[k];

        for (int i = 0; p.late[n->id] && i < n->input_count; i++) {
            fet__node *other = stand_in(&p, n->input[i]);

            if (!other) {
                st = fet__graph_status(g);
                goto done;
            }
            n->input[i] = other;
        }
    }
done:
    g->scope_now = scope;
    g->backward = backward;
    fet__free(p.order);
    fet__free(p.late);
    fet__free(p.wanted);
    fet__free(p.possible);
    fet__free(p.copy);
    return st;
}
