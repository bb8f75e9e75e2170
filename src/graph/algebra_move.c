/* Identities of operators that move data: chains become one move, moves that move nothing go, a transposition in front of a matrix
 * product becomes the product's own flag. */
#include "graph/graph_int.h"

#include <string.h>

static fet__node *reshape(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    double v;

    if (fet__shape_equal(&x->shape, &n->shape))
        return x;
    if (fet__is_fill(x, &v))
        return fet__fill(g, n->dtype, n->shape, v);
    return x->op == FET__OP_RESHAPE ? fet__reshape(g, x->input[0], n->shape) : NULL;
}

static fet__node *broadcast(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];

    if (fet__shape_equal(&x->shape, &n->shape))
        return x;
    if (x->op == FET__OP_FILL)
        return fet__broadcast(g, x, n->shape);
    return x->op == FET__OP_BROADCAST ? fet__broadcast(g, x->input[0], n->shape) : NULL;
}

/* Does the transposition leave the order of all axes longer than 1 as it is? */
static bool keeps_order(const fet__node *n)
{
    int before = -1;

    for (int i = 0; i < n->shape.rank; i++) {
        if (n->shape.dim[i] == 1)
            continue;
        if (n->attr.transpose.perm[i] < before)
            return false;
        before = n->attr.transpose.perm[i];
    }
    return true;
}

static fet__node *transpose(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    int perm[FET__MAX_RANK];
    double v;

    if (fet__is_fill(x, &v))
        return fet__fill(g, n->dtype, n->shape, v);
    if (keeps_order(n))
        return fet__reshape(g, x, n->shape);
    if (x->op != FET__OP_TRANSPOSE)
        return NULL;
    for (int i = 0; i < n->shape.rank; i++)
        perm[i] = x->attr.transpose.perm[n->attr.transpose.perm[i]];
    return fet__transpose(g, x->input[0], perm);
}

static bool same_slice(const fet__node *a, const fet__node *b, int rank)
{
    for (int i = 0; i < rank; i++)
        if (a->attr.slice.start[i] != b->attr.slice.start[i] || a->attr.slice.step[i] != b->attr.slice.step[i])
            return false;
    return true;
}

static fet__node *slice_of_slice(fet__graph *g, const fet__node *n, const fet__node *x)
{
    int64_t start[FET__MAX_RANK], step[FET__MAX_RANK];

    for (int i = 0; i < n->shape.rank; i++) {
        start[i] = x->attr.slice.start[i] + (int64_t)x->attr.slice.step[i] * n->attr.slice.start[i];
        step[i] = (int64_t)x->attr.slice.step[i] * n->attr.slice.step[i];
        if (start[i] > INT32_MAX || step[i] > INT32_MAX)
            return NULL;
    }
    return fet__slice_all(g, x->input[0], start, step, n->shape);
}

/* A slice that lies within one of the joined parts is a slice of that part. */
static fet__node *slice_of_concat(fet__graph *g, const fet__node *n, const fet__node *x)
{
    int axis = x->attr.axis.axis;
    int64_t first = n->attr.slice.start[axis], at = 0, start[FET__MAX_RANK], step[FET__MAX_RANK];
    int64_t end = first + n->attr.slice.step[axis] * (n->shape.dim[axis] - 1);

    for (int i = 0; i < x->input_count; i++) {
        int64_t size = x->input[i]->shape.dim[axis];

        if (first < at || end >= at + size) {
            at += size;
            continue;
        }
        for (int k = 0; k < n->shape.rank; k++) {
            start[k] = n->attr.slice.start[k] - (k == axis ? at : 0);
            step[k] = n->attr.slice.step[k];
        }
        return fet__slice_all(g, x->input[i], start, step, n->shape);
    }
    return NULL;
}

static fet__node *slice(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    double v;

    if (fet__shape_equal(&x->shape, &n->shape))
        return x;
    if (fet__is_fill(x, &v))
        return fet__fill(g, n->dtype, n->shape, v);
    if (x->op == FET__OP_UNSLICE && fet__shape_equal(&x->input[0]->shape, &n->shape) && same_slice(n, x, n->shape.rank))
        return x->input[0];
    if (x->op == FET__OP_SLICE)
        return slice_of_slice(g, n, x);
    return x->op == FET__OP_CONCAT ? slice_of_concat(g, n, x) : NULL;
}

static fet__node *unslice(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    double v;

    if (fet__shape_equal(&x->shape, &n->shape))
        return x;
    return fet__is_fill(x, &v) && v == 0 ? fet__fill(g, n->dtype, n->shape, 0) : NULL;
}

static fet__node *roll(fet__graph *g, const fet__node *n)
{
    fet__node *x = n->input[0];
    fet__attr attr = n->attr;
    bool moves = false;

    if (x->op == FET__OP_FILL)
        return x;
    if (x->op == FET__OP_ROLL) {
        for (int i = 0; i < n->shape.rank; i++)
            attr.roll.shift[i] = (int32_t)(((int64_t)attr.roll.shift[i] + x->attr.roll.shift[i]) % n->shape.dim[i]);
        x = x->input[0];
    }
    for (int i = 0; i < n->shape.rank; i++)
        moves = moves || attr.roll.shift[i];
    if (!moves)
        return x;
    return x == n->input[0] ? NULL : fet__make(g, FET__OP_ROLL, &x, 1, &attr, n->dtype, NULL);
}

static bool swaps_last_two(const fet__node *n)
{
    int rank = n->shape.rank;

    if (n->op != FET__OP_TRANSPOSE || rank < 2)
        return false;
    for (int i = 0; i < rank - 2; i++)
        if (n->attr.transpose.perm[i] != i)
            return false;
    return n->attr.transpose.perm[rank - 2] == rank - 1;
}

static fet__node *matmul(fet__graph *g, const fet__node *n)
{
    fet__node *a = n->input[0], *b = n->input[1];
    bool ta = n->attr.matmul.ta, tb = n->attr.matmul.tb;

    if (!swaps_last_two(a) && !swaps_last_two(b))
        return NULL;
    if (swaps_last_two(a)) {
        a = a->input[0];
        ta = !ta;
    }
    if (swaps_last_two(b)) {
        b = b->input[0];
        tb = !tb;
    }
    return fet__matmul(g, a, b, ta, tb);
}

fet__node *fet__simplify_move(fet__graph *g, fet__node *n)
{
    switch (n->op) {
    case FET__OP_RESHAPE: return reshape(g, n);
    case FET__OP_BROADCAST: return broadcast(g, n);
    case FET__OP_TRANSPOSE: return transpose(g, n);
    case FET__OP_SLICE: return slice(g, n);
    case FET__OP_UNSLICE: return unslice(g, n);
    case FET__OP_ROLL: return roll(g, n);
    case FET__OP_CONCAT: return n->input_count == 1 ? n->input[0] : NULL;
    case FET__OP_RESIZE:
    case FET__OP_RESIZE_T: return fet__shape_equal(&n->shape, &n->input[0]->shape) ? n->input[0] : NULL;
    case FET__OP_MATMUL: return matmul(g, n);
    default: return NULL;
    }
}
