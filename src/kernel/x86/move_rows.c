/* Moves of whole rows of 4-byte elements: reshape (a copy, or nothing where the planner put both in one place), concat and gather.
 * A piece is what one copy takes; large rows are cut so that threads share them. */
#include <string.h>

#include "kernel/ref/ref_int.h"
#include "kernel/x86/x86.h"

#define ELEMENT 4
#define PIECE (64 * 1024) /* bytes */

bool fet__move_rows_accepts(const fet__problem *p)
{
    int last = p->op == FET__OP_CONCAT ? p->input_count : 1;

    if (p->op != FET__OP_RESHAPE && p->op != FET__OP_CONCAT && p->op != FET__OP_GATHER)
        return false;
    for (int i = 0; i < last; i++)
        if (p->input[i].dtype != p->output.dtype)
            return false;
    if (p->op == FET__OP_GATHER && (p->input[1].dtype != FET_I32 || p->input[0].shape.rank < 1))
        return false;
    return fet__dtype_bytes(p->output.dtype) == ELEMENT;
}

fet_status fet__move_rows_prepare(fet__prepared *k)
{
    if (k->problem.op == FET__OP_RESHAPE)
        k->overlay = 1u;
    return FET_OK;
}

/* `rows` copies of `bytes`, the two sides advancing by their own strides. */
static void copy_rows(const fet__problem *p, char *dst, int64_t dst_stride, const char *src, int64_t src_stride,
                      int64_t rows, int64_t bytes)
{
    int64_t pieces = fet__ceil_div(bytes, PIECE);
    int team = fet__x86_team(p, rows * bytes / 16);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t i = 0; i < rows * pieces; i++) {
        int64_t row = i / pieces, at = i % pieces * PIECE;

        memcpy(dst + row * dst_stride + at, src + row * src_stride + at,
               (size_t)(bytes - at < PIECE ? bytes - at : PIECE));
    }
}

static int64_t product(const fet__shape *s, int from, int to)
{
    int64_t n = 1;

    for (int i = from; i < to; i++)
        n *= s->dim[i];
    return n;
}

static void concat(const fet__problem *p, const fet__call *c)
{
    const fet__shape *y = &p->output.shape;
    int axis = p->attr.axis.axis;
    int64_t rows = product(y, 0, axis), stride = product(y, axis, y->rank) * ELEMENT, at = 0;

    for (int i = 0; i < p->input_count; i++) {
        int64_t bytes = product(&p->input[i].shape, axis, y->rank) * ELEMENT;

        copy_rows(p, (char *)c->output + at, stride, c->input[i], bytes, rows, bytes);
        at += bytes;
    }
}

static fet_status gather(const fet__problem *p, const fet__call *c)
{
    const fet__shape *x = &p->input[0].shape;
    const int32_t *index = c->input[1];
    int64_t count = fet__shape_count(&p->input[1].shape), bytes = product(x, 1, x->rank) * ELEMENT;
    fet_status st = fet__ref_check_range("gather", "index", index, count, 0, x->dim[0]);
    int team = fet__x86_team(p, count * bytes / 16);

    (void)team;
    if (st != FET_OK)
        return st;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t i = 0; i < count; i++)
        memcpy((char *)c->output + i * bytes, (const char *)c->input[0] + index[i] * bytes, (size_t)bytes);
    return FET_OK;
}

fet_status fet__move_rows(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t bytes = fet__shape_count(&p->output.shape) * ELEMENT;

    if (p->op == FET__OP_GATHER)
        return gather(p, c);
    if (p->op == FET__OP_CONCAT)
        concat(p, c);
    else if (c->output != c->input[0])
        copy_rows(p, c->output, 0, c->input[0], 0, 1, bytes);
    return FET_OK;
}
