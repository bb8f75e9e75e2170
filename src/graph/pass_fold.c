/* Constant folding. A node whose inputs are all known is computed once, here, by whatever the caller evaluates nodes with. Large
 * results stay as they are: a constant in the arena would take memory that a plan can reuse. A node of equal elements stays one
 * number (FILL) whatever its size. */
#include "graph/graph_int.h"

#include <string.h>

#define MOST_FOLDED ((int64_t)1 << 20) /* bytes of a folded constant */

static bool is_known(const fet__node *n)
{
    return n->op == FET__OP_CONST || n->op == FET__OP_FILL || n->op == FET__OP_IOTA;
}

static void become_leaf(fet__node *n, fet__op op)
{
    n->op = op;
    n->input_count = 0;
    memset(&n->attr, 0, sizeof n->attr);
}

/* Element by element of equal elements: one element is enough. */
static fet_status fold_equal(fet__node *n, fet__evaluate_fn evaluate, void *user)
{
    fet__node one = *n, input[3], *in[3];
    _Alignas(64) unsigned char value[64];
    double v;
    fet_status st;

    for (int i = 0; i < n->input_count; i++) {
        input[i] = *n->input[i];
        input[i].shape = fet__shape_scalar();
        in[i] = &input[i];
    }
    one.input = in;
    one.shape = fet__shape_scalar();
    st = evaluate(user, &one, value);
    if (st != FET_OK)
        return st;
    fet__convert(&v, FET_F64, value, n->dtype, 1);
    become_leaf(n, FET__OP_FILL);
    n->attr.fill.value = v;
    return FET_OK;
}

static fet_status fold_whole(fet__graph *g, fet__node *n, fet__evaluate_fn evaluate, void *user)
{
    void *value = fet__alloc((size_t)fet__shape_count(&n->shape), fet__dtype_bytes(n->dtype)), *kept;
    size_t bytes = (size_t)fet__shape_count(&n->shape) * fet__dtype_bytes(n->dtype);
    fet_status st;

    if (!value)
        return FET_E_NOMEM;
    FET_TRY(evaluate(user, n, value)); /* kernels may want 64-byte alignment, which the arena does not promise */
    kept = fet__arena_alloc(&g->arena, bytes, 1);
    if (!kept) {
        st = FET_E_NOMEM;
        goto done;
    }
    memcpy(kept, value, bytes);
    become_leaf(n, FET__OP_CONST);
    n->value = kept;
done:
    fet__free(value);
    return st;
}

static fet_status fold_node(fet__graph *g, fet__node *n, fet__evaluate_fn evaluate, void *user)
{
    bool equal = true;
    int64_t bytes = fet__shape_count(&n->shape) * (int64_t)fet__dtype_bytes(n->dtype);

    if (n->input_count == 0 || n->op == FET__OP_BROADCAST || n->op == FET__OP_GROUP)
        return FET_OK; /* a broadcast costs nothing inside the group that uses it */
    for (int i = 0; i < n->input_count; i++) {
        if (!is_known(n->input[i]))
            return FET_OK;
        equal = equal && n->input[i]->op == FET__OP_FILL;
    }
    if (equal && fet__is_element(n->op))
        return fold_equal(n, evaluate, user);
    if (equal) /* equal elements moved about or summed are equal elements: the algebra pass makes them one FILL */
        return FET_OK;
    return bytes <= MOST_FOLDED ? fold_whole(g, n, evaluate, user) : FET_OK;
}

fet_status fet__pass_fold(fet__graph *g, fet__evaluate_fn evaluate, void *user)
{
    fet__node **order = NULL;
    int count = 0;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    if (!evaluate)
        goto done;
    FET_TRY(fet__graph_order(g, &order, &count));
    for (int k = 0; k < count; k++)
        FET_TRY(fold_node(g, order[k], evaluate, user));
done:
    fet__free(order);
    return st;
}
