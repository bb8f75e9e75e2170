/* Moving values of a foreign tensor into ours: axes in another order, blocks of fused layers, patch merging's channel order. One
 * strided copy does all; layouts that change nothing never come here. */
#include "model/import.h"

#include <string.h>

static int merged_rank(const fet__import_layout *l)
{
    int n = 0;

    while (n < 4 && l->merge[n] >= 0)
        n++;
    return n;
}

/* Shape of one block. */
static bool block_shape(const fet__import_layout *l, const fet__shape *from, fet__shape *to)
{
    int at = 0, i, k;

    *to = *from;
    if (l->rank == 0)
        return true;
    if (from->rank != l->rank)
        return false;
    to->rank = merged_rank(l);
    for (i = 0; i < to->rank; i++) {
        to->dim[i] = 1;
        for (k = 0; k < l->merge[i]; k++)
            if (__builtin_mul_overflow(to->dim[i], from->dim[l->axis[at++]], &to->dim[i]))
                return false;
    }
    return true;
}

bool fet__layout_shape(const fet__import_layout *l, const fet__shape *from, fet__shape *to)
{
    int axis = l->columns ? 1 : 0;

    if (!block_shape(l, from, to))
        return false;
    if (l->merging_order && (to->rank < 1 || to->dim[to->rank - 1] % 4 != 0))
        return false;
    if (l->parts == 0 || l->summed)
        return true;
    return to->rank > axis && !__builtin_mul_overflow(to->dim[axis], l->parts, &to->dim[axis]);
}

/* Where in the source each element of a block lies: strides of the source's axes in the block's order. */
typedef struct walk {
    int rank;
    int64_t size[FET__MAX_RANK], stride[FET__MAX_RANK];
} walk;

static walk source_walk(const fet__import_layout *l, const fet__shape *from)
{
    int64_t stride[FET__MAX_RANK] = {0}, step = 1;
    walk w = {.rank = from->rank};
    int i;

    for (i = from->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= from->dim[i];
    }
    for (i = 0; i < from->rank; i++) {
        int axis = l->rank ? l->axis[i] : i;
        w.size[i] = from->dim[axis];
        w.stride[i] = stride[axis];
    }
    return w;
}

static void gather(float *dst, const float *src, const walk *w, int axis)
{
    int64_t i, inner = 1;
    int k;

    if (axis == w->rank) {
        *dst = *src;
        return;
    }
    for (k = axis + 1; k < w->rank; k++)
        inner *= w->size[k];
    if (axis == w->rank - 1 && w->stride[axis] == 1) {
        memcpy(dst, src, (size_t)w->size[axis] * sizeof *dst);
        return;
    }
    for (i = 0; i < w->size[axis]; i++)
        gather(dst + i * inner, src + i * w->stride[axis], w, axis + 1);
}

/* The last axis holds 4 neighbours of C channels: feature c * 4 + p there is feature order[p] * C + c here (methods/mona.md 3). */
static fet_status reorder_merging(float *data, int64_t rows, int64_t columns)
{
    static const int order[4] = {0, 2, 1, 3};
    int64_t channels = columns / 4, r, c;
    float *row;
    fet_status st;
    int p;

    FET_TRY(FET_NEW(row, columns + 1));
    for (r = 0; r < rows; r++) {
        float *at = data + r * columns;
        for (c = 0; c < channels; c++)
            for (p = 0; p < 4; p++)
                row[order[p] * channels + c] = at[c * 4 + p];
        memcpy(at, row, (size_t)columns * sizeof *row);
    }
    fet__free(row);
done:
    return st;
}

/* Put a block of rows x columns into the tensor. */
static void put(const fet__import_layout *l, float *dst, int64_t whole_columns, const float *block, int64_t rows,
                int64_t columns)
{
    float scale = l->scale != 0 ? (float)l->scale : 1;
    int64_t r, c, row = l->parts && !l->columns && !l->summed ? l->part * rows : 0,
                  column = l->parts && l->columns ? l->part * columns : 0;

    for (r = 0; r < rows; r++) {
        float *to = dst + (row + r) * whole_columns + column;
        const float *from = block + r * columns;
        for (c = 0; c < columns; c++)
            to[c] = (l->summed ? to[c] : 0) + scale * from[c];
    }
}

fet_status fet__layout_fill(const fet__import_layout *l, float *dst, const fet__entry *e)
{
    fet__shape block;
    int64_t count = fet__shape_count(&e->shape), rows = 1, columns = 1;
    float *plain = NULL, *turned = NULL;
    walk w;
    fet_status st;
    int i;

    if (!block_shape(l, &e->shape, &block))
        return FET_FAIL(FET_E_BUG, "tensor %s does not fit its layout", fet__show(e->name));
    if (count == 0)
        return FET_OK;
    FET_TRY((plain = fet__alloc_raw((size_t)count, sizeof *plain)) ? FET_OK : FET_E_NOMEM);
    FET_TRY((turned = fet__alloc_raw((size_t)count, sizeof *turned)) ? FET_OK : FET_E_NOMEM);
    fet__convert(plain, FET_F32, e->data, e->dtype, count);
    w = source_walk(l, &e->shape);
    gather(turned, plain, &w, 0);
    if (l->merging_order) {
        int64_t last = block.rank > 0 ? block.dim[block.rank - 1] : 0;

        if (last < 1) {
            st = FET_FAIL(FET_E_BUG, "tensor %s has no axis to put in merging order", fet__show(e->name));
            goto done;
        }
        FET_TRY(reorder_merging(turned, count / last, last));
    }
    if (block.rank > 0)
        rows = block.dim[0];
    for (i = 1; i < block.rank; i++)
        columns *= block.dim[i];
    put(l, dst, l->columns ? columns * l->parts : columns, turned, rows, columns);
done:
    fet__free(plain);
    fet__free(turned);
    return st;
}
