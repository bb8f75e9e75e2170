/* Rows that nobody wants are not computed. A head that looks at one token of a sequence makes everything before it that works row by
 * row (norms, linears, element-wise chains, back to the last attention) do one token's work; its gradient is zero in all other rows,
 * and the same operators do not multiply zeros.
 *
 * Forward, a slice goes before the operator that made its input, if that has no other user. Backward, a value that is zero outside a
 * slice (an unslice) passes through an operator that maps zero rows to zero rows: the operator works on the rows, the zeros come
 * after. Both only where they save at least half. In the rows left out, an infinity times zero is then 0 and not NaN. */
#include "graph/graph_int.h"

#include <string.h>

/* Which rows: attributes and small shape of a SLICE or UNSLICE. */
typedef struct rows {
    const fet__attr *attr;
    const fet__shape *part, *whole;
} rows;

static bool saves(const rows *r)
{
    return 2 * fet__shape_count(r->part) <= fet__shape_count(r->whole);
}

static bool last_is_whole(const rows *r)
{
    int last = r->whole->rank - 1;

    return last >= 1 && r->part->dim[last] == r->whole->dim[last];
}

/* These rows of x, whose last axis may have another length and is taken whole when the rows' is. */
static fet__node *cut(fet__graph *g, fet__node *x, const rows *r)
{
    int64_t start[FET__MAX_RANK], step[FET__MAX_RANK];
    fet__shape part = *r->part;
    int last = part.rank - 1;

    if (last_is_whole(r))
        part.dim[last] = x->shape.dim[last];
    for (int i = 0; i < part.rank; i++) {
        start[i] = r->attr->slice.start[i];
        step[i] = r->attr->slice.step[i];
    }
    return fet__slice_all(g, x, start, step, part);
}

/* The other way: y at these rows of zeros. */
static fet__node *spread(fet__graph *g, fet__node *y, const rows *r, const fet__shape *whole)
{
    return y ? fet__make(g, FET__OP_UNSLICE, &y, 1, r->attr, y->dtype, whole) : NULL;
}

static bool same_rows(const rows *a, const rows *b)
{
    for (int i = 0; i < a->whole->rank; i++)
        if (a->attr->slice.start[i] != b->attr->slice.start[i] || a->attr->slice.step[i] != b->attr->slice.step[i])
            return false;
    return fet__shape_equal(a->part, b->part) && fet__shape_equal(a->whole, b->whole);
}

/* x's operator over cut inputs; those with a bit in `kept` stay as they are. */
static fet__node *over_cut(fet__graph *g, const fet__node *x, const rows *r, uint32_t kept)
{
    fet__node *in[FET__MAX_INPUTS];

    for (int i = 0; i < x->input_count; i++)
        in[i] = kept >> i & 1 ? x->input[i] : cut(g, x->input[i], r);
    return fet__make(g, x->op, in, x->input_count, &x->attr, x->dtype, NULL);
}

static fet__node *cut_broadcast(fet__graph *g, const fet__node *x, const rows *r)
{
    fet__node *from = x->input[0];
    int64_t start[FET__MAX_RANK], step[FET__MAX_RANK];
    fet__shape part = *r->part;

    for (int i = 0; i < part.rank; i++) {
        bool repeated = from->shape.dim[i] != x->shape.dim[i];

        start[i] = repeated ? 0 : r->attr->slice.start[i];
        step[i] = repeated ? 1 : r->attr->slice.step[i];
        part.dim[i] = repeated ? 1 : part.dim[i];
    }
    return fet__broadcast(g, fet__slice_all(g, from, start, step, part), *r->part);
}

/* A product whose right side serves all rows of the left one. */
static bool is_row_product(const fet__node *n)
{
    return n->op == FET__OP_MATMUL && !n->attr.matmul.ta && n->input[1]->shape.rank == 2 && n->input[0]->shape.rank > 2;
}

static fet__node *slice_first(fet__graph *g, const fet__node *n, const int *uses, int ids)
{
    const fet__node *x = n->input[0];
    rows r = {&n->attr, &n->shape, &x->shape};

    if (x->id >= ids || uses[x->id] != 1 || !saves(&r))
        return NULL;
    g->scope_now = x->scope;
    if (x->op == FET__OP_BROADCAST)
        return cut_broadcast(g, x, &r);
    if (fet__is_element(x->op))
        return over_cut(g, x, &r, 0);
    if (!last_is_whole(&r))
        return NULL;
    switch (x->op) {
    case FET__OP_SOFTMAX:
    case FET__OP_SOFTMAX_GRAD: return over_cut(g, x, &r, 0);
    case FET__OP_LINEAR: return over_cut(g, x, &r, 6u); /* weights and bias */
    case FET__OP_LAYER_NORM: return over_cut(g, x, &r, 6u);
    case FET__OP_LAYER_NORM_DX: return over_cut(g, x, &r, 2u);
    case FET__OP_MATMUL: return is_row_product(x) ? over_cut(g, x, &r, 2u) : NULL;
    case FET__OP_CONCAT: return x->attr.axis.axis == x->shape.rank - 1 ? over_cut(g, x, &r, 0) : NULL;
    default: return NULL;
    }
}

/* ---- backward ---- */

/* Some columns of a value that is zero outside some rows: the columns first. */
static fet__node *columns_of_spread(fet__graph *g, const fet__node *n)
{
    const fet__node *x = n->input[0];
    int64_t start[FET__MAX_RANK], step[FET__MAX_RANK];
    fet__shape part = n->shape;

    if (x->op != FET__OP_UNSLICE)
        return NULL;
    for (int i = 0; i < part.rank; i++) {
        bool sliced = n->shape.dim[i] != x->shape.dim[i];

        if (sliced && x->input[0]->shape.dim[i] != x->shape.dim[i])
            return NULL;
        start[i] = sliced ? n->attr.slice.start[i] : 0;
        step[i] = sliced ? n->attr.slice.step[i] : 1;
        part.dim[i] = sliced ? n->shape.dim[i] : x->input[0]->shape.dim[i];
    }
    rows r = {&x->attr, &part, &n->shape};
    return spread(g, fet__slice_all(g, x->input[0], start, step, part), &r, &n->shape);
}

static bool is_spread(const fet__node *n, rows *r)
{
    if (n->op != FET__OP_UNSLICE)
        return false;
    *r = (rows){&n->attr, &n->input[0]->shape, &n->shape};
    return saves(r);
}

static fet__node *product(fet__graph *g, const fet__node *n)
{
    rows r;

    for (int i = 0; i < 2; i++) {
        if (!is_spread(n->input[i], &r) || (n->op == FET__OP_DIV && i == 1))
            continue;
        fet__node *in[2];

        in[i] = n->input[i]->input[0];
        in[1 - i] = cut(g, n->input[1 - i], &r);
        return spread(g, fet__make(g, n->op, in, 2, NULL, n->dtype, NULL), &r, &n->shape);
    }
    return NULL;
}

static fet__node *sum_of_two(fet__graph *g, const fet__node *n)
{
    rows a, b;

    if (!is_spread(n->input[0], &a) || !is_spread(n->input[1], &b) || !same_rows(&a, &b))
        return NULL;
    return spread(g, fet__binary(g, n->op, n->input[0]->input[0], n->input[1]->input[0]), &a, &n->shape);
}

/* Operators of rows with dy (input k) spread: the other inputs are cut, but for those in `kept`. */
static fet__node *row_operator(fet__graph *g, const fet__node *n, int k, uint32_t kept)
{
    fet__node *in[FET__MAX_INPUTS], *y;
    rows r;

    if (!is_spread(n->input[k], &r) || !last_is_whole(&r))
        return NULL;
    for (int i = 0; i < n->input_count; i++)
        in[i] = i == k ? n->input[k]->input[0] : kept >> i & 1 ? n->input[i] : cut(g, n->input[i], &r);
    y = fet__make(g, n->op, in, n->input_count, &n->attr, n->dtype, NULL);
    if (n->op == FET__OP_LAYER_NORM_DGAMMA)
        return y; /* already summed over rows */
    return spread(g, y, &r, &n->shape);
}

static fet__node *sum(fet__graph *g, const fet__node *n)
{
    rows r;

    if (!is_spread(n->input[0], &r))
        return NULL;
    for (int i = 0; i < r.whole->rank; i++)
        if (r.part->dim[i] != r.whole->dim[i] && !(n->attr.reduce.axes >> i & 1))
            return NULL;
    return fet__sum(g, n->input[0]->input[0], n->attr.reduce.axes);
}

/* [.., C] seen as [R, C]: what it was, or NULL. */
static fet__node *unflattened(const fet__node *n)
{
    fet__node *x = n->op == FET__OP_RESHAPE ? n->input[0] : NULL;

    return x && n->shape.rank == 2 && x->shape.rank > 2 && x->shape.dim[x->shape.rank - 1] == n->shape.dim[1] ? x
                                                                                                              : NULL;
}

/* A weight's gradient: the product over all rows of two flattened values, one of them spread. */
static fet__node *sum_of_rows(fet__graph *g, const fet__node *n)
{
    fet__node *in[2] = {unflattened(n->input[0]), unflattened(n->input[1])};
    rows r;

    if (!n->attr.matmul.ta || n->attr.matmul.tb || !in[0] || !in[1] || in[0]->shape.rank != in[1]->shape.rank)
        return NULL;
    for (int i = 0; i < in[0]->shape.rank - 1; i++)
        if (in[0]->shape.dim[i] != in[1]->shape.dim[i])
            return NULL;
    for (int i = 0; i < 2; i++) {
        if (!is_spread(in[i], &r) || !last_is_whole(&r))
            continue;
        fet__node *part = in[i]->input[0], *other = cut(g, in[1 - i], &r);

        fet__node *left = fet__rows(g, i ? other : part), *right = fet__rows(g, i ? part : other);

        return fet__matmul(g, left, right, true, false);
    }
    return NULL;
}

fet__node *fet__simplify_rows(fet__graph *g, fet__node *n, const int *uses, int ids)
{
    switch (n->op) {
    case FET__OP_SLICE: {
        fet__node *first = slice_first(g, n, uses, ids);

        return first ? first : columns_of_spread(g, n);
    }
    case FET__OP_MUL:
    case FET__OP_DIV: return product(g, n);
    case FET__OP_ADD:
    case FET__OP_SUB: return sum_of_two(g, n);
    case FET__OP_NEG: {
        rows r;

        return is_spread(n->input[0], &r) ? spread(g, fet__unary(g, n->op, n->input[0]->input[0]), &r, &n->shape)
                                          : NULL;
    }
    case FET__OP_SUM: return sum(g, n);
    case FET__OP_MATMUL: return is_row_product(n) ? row_operator(g, n, 0, 2u) : sum_of_rows(g, n);
    case FET__OP_LAYER_NORM_DX: return row_operator(g, n, 2, 2u);
    case FET__OP_LAYER_NORM_DGAMMA: return row_operator(g, n, 1, 0);
    case FET__OP_SOFTMAX_GRAD: return row_operator(g, n, 1, 0);
    default: return NULL;
    }
}
