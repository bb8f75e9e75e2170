/* The passes in the order that suits them, with a check after each. */
#include "graph/graph_int.h"

/* Constants, identities and equal nodes feed each other. */
static fet_status shrink(fet__graph *g, fet__evaluate_fn evaluate, void *user)
{
    enum { MOST_ROUNDS = 100 };
    bool changed = true;
    fet_status st = FET_OK;

    for (int i = 0; changed && i < MOST_ROUNDS; i++) {
        changed = false;
        FET_TRY(fet__pass_fold(g, evaluate, user));
        FET_TRY(fet__algebra_round(g, &changed));
        FET_TRY(fet__merge_round(g, &changed));
    }
done:
    return st;
}

fet_status fet__graph_optimize(fet__graph *g, fet__evaluate_fn evaluate, void *user)
{
    fet_status st;

    FET_TRY(fet__graph_verify(g));
    FET_TRY(shrink(g, evaluate, user));
    FET_TRY(fet__graph_verify(g));
    FET_TRY(fet__pass_scale(g));
    FET_TRY(fet__graph_verify(g));
    FET_TRY(fet__pass_recompute(g));
    FET_TRY(fet__graph_verify(g));
    FET_TRY(fet__pass_fuse(g));
    FET_TRY(fet__graph_verify(g));
    FET_TRY(fet__pass_group(g));
    FET_TRY(fet__graph_verify(g));
done:
    return st;
}
