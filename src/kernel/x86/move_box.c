/* Slice and unslice of 4-byte elements: a dense block against a box in a larger tensor. Neighbouring axes that the box takes whole
 * are merged; the innermost is copied in one go where its step is 1. */
#include <string.h>

#include "kernel/x86/x86.h"

#define ELEMENT 4
#define PIECE (64 * 1024) /* bytes of a clearing step */

typedef struct box {
    int rank;
    int64_t size[FET__MAX_RANK], stride[FET__MAX_RANK]; /* in the larger tensor, elements */
    int64_t start;
} box;

bool fet__move_box_accepts(const fet__problem *p)
{
    return (p->op == FET__OP_SLICE || p->op == FET__OP_UNSLICE) && p->input[0].dtype == p->output.dtype &&
           fet__dtype_bytes(p->output.dtype) == ELEMENT && p->input[0].shape.rank == p->output.shape.rank;
}

static box box_of(const fet__attr *attr, const fet__shape *small, const fet__shape *large)
{
    box b = {0};
    int64_t stride[FET__MAX_RANK] = {0}, step = 1;

    for (int i = large->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= large->dim[i];
    }
    for (int i = 0; i < large->rank; i++) {
        int64_t size = small->dim[i], each = attr->slice.step[i] * stride[i];

        b.start += attr->slice.start[i] * stride[i];
        if (size == 1)
            continue;
        if (b.rank > 0 && b.stride[b.rank - 1] == each * size) {
            b.size[b.rank - 1] *= size;
            b.stride[b.rank - 1] = each;
            continue;
        }
        b.size[b.rank] = size;
        b.stride[b.rank++] = each;
    }
    if (b.rank == 0) {
        b.size[0] = b.stride[0] = 1;
        b.rank = 1;
    }
    return b;
}

static int64_t row_start(const box *b, int64_t row)
{
    int64_t at = b->start;

    for (int i = b->rank - 2; i >= 0; i--) {
        at += row % b->size[i] * b->stride[i];
        row /= b->size[i];
    }
    return at;
}

/* Elements are moved as integers: the bits of a signalling NaN stay. */
static void copy_row(int32_t *dst, int64_t dst_stride, const int32_t *src, int64_t src_stride, int64_t count)
{
    if (dst_stride == 1 && src_stride == 1) {
        memcpy(dst, src, (size_t)count * ELEMENT);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        dst[i * dst_stride] = src[i * src_stride];
}

static void clear(const fet__problem *p, char *y, int64_t bytes)
{
    int team = fet__x86_team(p, bytes / 16);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t at = 0; at < bytes; at += PIECE)
        memset(y + at, 0, (size_t)(bytes - at < PIECE ? bytes - at : PIECE));
}

fet_status fet__move_box(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    bool out = p->op == FET__OP_UNSLICE;
    const fet__shape *small = out ? &p->input[0].shape : &p->output.shape;
    box b = box_of(&p->attr, small, out ? &p->output.shape : &p->input[0].shape);
    int64_t cols = b.size[b.rank - 1], step = b.stride[b.rank - 1], count = fet__shape_count(small);
    int64_t rows = cols ? count / cols : 0;
    const int32_t *x = c->input[0];
    int32_t *y = c->output;
    int team = fet__x86_team(p, count / 2);

    (void)team;
    if (out)
        clear(p, c->output, fet__shape_count(&p->output.shape) * ELEMENT);
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++) {
        if (out)
            copy_row(y + row_start(&b, r), step, x + r * cols, 1, cols);
        else
            copy_row(y + r * cols, 1, x + row_start(&b, r), step, cols);
    }
    return FET_OK;
}
