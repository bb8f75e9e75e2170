/* Operators that move data: shapes and vector-Jacobian rules. Each one's rule is its transpose. */
#include "graph/graph_int.h"

fet_status fet__infer_reshape(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0];

    n->dtype = x->dtype;
    if (!shaped || n->shape.rank < 0 || n->shape.rank > FET__MAX_RANK)
        return fet__refuse(n, "needs a shape of 0 to %d axes", FET__MAX_RANK);
    for (int i = 0; i < n->shape.rank; i++)
        if (n->shape.dim[i] < 1)
            return fet__refuse(n, "cannot become %s", fet__shape_text(&n->shape));
    if (fet__shape_count(&n->shape) != fet__shape_count(&x->shape))
        return fet__refuse(n, "cannot become %s", fet__shape_text(&n->shape));
    return FET_OK;
}

void fet__vjp_reshape(fet__vjp *a)
{
    a->d[0] = fet__reshape(a->g, a->dy, a->n->input[0]->shape);
}

fet_status fet__infer_transpose(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0];
    uint32_t seen = 0;

    (void)shaped;
    n->dtype = x->dtype;
    n->shape = x->shape;
    for (int i = 0; i < x->shape.rank; i++) {
        int from = n->attr.transpose.perm[i];

        if (from < 0 || from >= x->shape.rank || (seen >> from & 1))
            return fet__refuse(n, "axis %d comes from %d, which is taken or absent", i, from);
        seen |= 1u << from;
        n->shape.dim[i] = x->shape.dim[from];
    }
    return FET_OK;
}

void fet__vjp_transpose(fet__vjp *a)
{
    int back[FET__MAX_RANK];

    for (int i = 0; i < a->n->shape.rank; i++)
        back[a->n->attr.transpose.perm[i]] = i;
    a->d[0] = fet__transpose(a->g, a->dy, back);
}

/* Do elements start + step * (0..size-1) lie within `whole` on every axis? */
static fet_status slice_within(const fet__node *n, const fet__shape *part, const fet__shape *whole)
{
    if (part->rank != whole->rank)
        return fet__refuse(n, "%s and %s differ in rank", fet__shape_text(part), fet__shape_text(whole));
    for (int i = 0; i < part->rank; i++) {
        int64_t start = n->attr.slice.start[i], step = n->attr.slice.step[i];

        if (start < 0 || step < 1 || part->dim[i] < 1 || part->dim[i] > whole->dim[i] ||
            start + step * (part->dim[i] - 1) >= whole->dim[i])
            return fet__refuse(n, "axis %d: %lld elements from %lld by %lld do not lie in %lld", i,
                               (long long)part->dim[i], (long long)start, (long long)step, (long long)whole->dim[i]);
    }
    return FET_OK;
}

fet_status fet__infer_slice(fet__node *n, bool shaped)
{
    n->dtype = n->input[0]->dtype;
    return shaped ? slice_within(n, &n->shape, &n->input[0]->shape) : fet__refuse(n, "needs a shape");
}

fet_status fet__infer_unslice(fet__node *n, bool shaped)
{
    n->dtype = n->input[0]->dtype;
    if (!shaped || fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "needs a shape");
    return slice_within(n, &n->input[0]->shape, &n->shape);
}

void fet__vjp_slice(fet__vjp *a)
{
    a->d[0] = fet__make(a->g, FET__OP_UNSLICE, &a->dy, 1, &a->n->attr, a->n->dtype, &a->n->input[0]->shape);
}

void fet__vjp_unslice(fet__vjp *a)
{
    a->d[0] = fet__make(a->g, FET__OP_SLICE, &a->dy, 1, &a->n->attr, a->n->dtype, &a->n->input[0]->shape);
}

fet_status fet__infer_concat(fet__node *n, bool shaped)
{
    const fet__node *first = n->input[0];
    int axis = n->attr.axis.axis;

    (void)shaped;
    if (axis < 0 || axis >= first->shape.rank)
        return fet__refuse(n, "no axis %d", axis);
    n->dtype = first->dtype;
    n->shape = first->shape;
    for (int i = 1; i < n->input_count; i++) {
        const fet__node *x = n->input[i];

        if (x->dtype != first->dtype || x->shape.rank != first->shape.rank)
            return fet__refuse(n, "types or ranks differ");
        for (int k = 0; k < x->shape.rank; k++)
            if (k != axis && x->shape.dim[k] != first->shape.dim[k])
                return fet__refuse(n, "sizes differ on axis %d (joined along %d)", k, axis);
        n->shape.dim[axis] += x->shape.dim[axis];
    }
    return FET_OK;
}

void fet__vjp_concat(fet__vjp *a)
{
    int axis = a->n->attr.axis.axis;
    int64_t at = 0;

    for (int i = 0; i < a->n->input_count; i++) {
        int64_t size = a->n->input[i]->shape.dim[axis];

        if (a->want[i])
            a->d[i] = fet__slice(a->g, a->dy, axis, at, at + size);
        at += size;
    }
}

void fet__vjp_roll(fet__vjp *a)
{
    fet__attr attr = {.raw = {0}};

    for (int i = 0; i < a->n->shape.rank; i++) {
        int64_t n = a->n->shape.dim[i];

        attr.roll.shift[i] = (int32_t)((n - a->n->attr.roll.shift[i]) % n);
    }
    a->d[0] = fet__make(a->g, FET__OP_ROLL, &a->dy, 1, &attr, a->n->dtype, NULL);
}

/* ---- rows by index ---- */

fet_status fet__infer_gather(fet__node *n, bool shaped)
{
    const fet__node *x = n->input[0], *index = n->input[1];

    (void)shaped;
    if (index->dtype != FET_I32)
        return fet__refuse(n, "the index must be i32");
    if (x->shape.rank < 1 || x->shape.rank - 1 + index->shape.rank > FET__MAX_RANK)
        return fet__refuse(n, "the result would not have 0 to %d axes", FET__MAX_RANK);
    n->dtype = x->dtype;
    n->shape = index->shape;
    for (int i = 1; i < x->shape.rank; i++)
        n->shape.dim[n->shape.rank++] = x->shape.dim[i];
    return fet__shape_count(&n->shape) < 1 ? fet__refuse(n, "the result is too large") : FET_OK;
}

void fet__vjp_gather(fet__vjp *a)
{
    a->d[0] = fet__scatter_add(a->g, a->n->input[1], a->dy, a->n->input[0]->shape.dim[0]);
}

fet_status fet__infer_scatter_add(fet__node *n, bool shaped)
{
    const fet__node *index = n->input[0], *u = n->input[1];

    if (index->dtype != FET_I32)
        return fet__refuse(n, "the index must be i32");
    if (!shaped || n->shape.rank < 1 || fet__shape_count(&n->shape) < 1)
        return fet__refuse(n, "needs a shape");
    if (!fet__dtype_is_float(u->dtype) || u->shape.rank != index->shape.rank + n->shape.rank - 1)
        return fet__refuse(n, "the updates do not fit rows of %s", fet__shape_text(&n->shape));
    for (int i = 0; i < u->shape.rank; i++) {
        int64_t want = i < index->shape.rank ? index->shape.dim[i] : n->shape.dim[i - index->shape.rank + 1];

        if (u->shape.dim[i] != want)
            return fet__refuse(n, "the updates do not fit rows of %s", fet__shape_text(&n->shape));
    }
    n->dtype = u->dtype;
    return FET_OK;
}

void fet__vjp_scatter_add(fet__vjp *a)
{
    a->d[1] = fet__gather(a->g, a->dy, a->n->input[0]);
}

double fet__flops_scatter_add(const fet__node *n)
{
    return (double)fet__shape_count(&n->input[1]->shape);
}

fet_status fet__infer_memory_update(fet__node *n, bool shaped)
{
    const fet__node *memory = n->input[0], *index = n->input[1], *rows = n->input[2];

    (void)shaped;
    if (!fet__dtype_is_float(memory->dtype) || rows->dtype != memory->dtype || index->dtype != FET_I32)
        return fet__refuse(n, "memory and rows must be of one floating type, the index i32");
    if (memory->shape.rank != 2 || index->shape.rank != 1 || rows->shape.rank != 2 ||
        rows->shape.dim[0] != index->shape.dim[0] || rows->shape.dim[1] != memory->shape.dim[1])
        return fet__refuse(n, "the memory is [M, D], the index [B], the rows [B, D]");
    if (!(n->attr.memory.momentum >= 0 && n->attr.memory.momentum < 1))
        return fet__refuse(n, "momentum %g is outside 0 to 1 (1 excluded)", n->attr.memory.momentum);
    n->dtype = memory->dtype;
    n->shape = memory->shape;
    return FET_OK;
}

double fet__flops_memory_update(const fet__node *n)
{
    return 6.0 * (double)fet__shape_count(&n->input[2]->shape);
}
