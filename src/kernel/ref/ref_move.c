/* Operators that move elements and never look at them: broadcast, reshape, transpose, slice, unslice, concat, roll,
 * gather, and cast, which leaves the work to the tensor layer. All but the last three are one strided copy. */
#include <string.h>

#include "kernel/ref/ref_int.h"

/* A copy of dim[0] x .. elements between two strided buffers; strides in elements. */
typedef struct strided {
    int rank;
    int64_t dim[FET__MAX_RANK], src_stride[FET__MAX_RANK], dst_stride[FET__MAX_RANK];
    const char *src;
    char *dst;
    size_t size; /* bytes of an element */
} strided;

static void copy_row(const char *src, int64_t src_stride, char *dst, int64_t dst_stride, int64_t n, size_t size)
{
    if (src_stride == 1 && dst_stride == 1) {
        memcpy(dst, src, (size_t)n * size);
    } else if (size == 4) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + i * dst_stride * 4, src + i * src_stride * 4, 4);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + (size_t)(i * dst_stride) * size, src + (size_t)(i * src_stride) * size, size);
    }
}

static void strided_copy(const strided *s)
{
    fet__shape outer = {.rank = s->rank > 0 ? s->rank - 1 : 0};
    for (int i = 0; i < outer.rank; i++)
        outer.dim[i] = s->dim[i];
    int64_t rows = fet__shape_count(&outer), cols = s->rank ? s->dim[s->rank - 1] : 1;
    int64_t ss = s->rank ? s->src_stride[s->rank - 1] : 1, ds = s->rank ? s->dst_stride[s->rank - 1] : 1;
    if (cols == 0)
        return;
#pragma omp parallel for if (rows * cols > FET__REF_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = fet__ref_offset(r, &outer, s->src_stride), to = fet__ref_offset(r, &outer, s->dst_stride);
        copy_row(s->src + from * (int64_t)s->size, ss, s->dst + to * (int64_t)s->size, ds, cols, s->size);
    }
}

/* A copy whose destination is all of the output. */
static strided into_output(const fet__problem *p, const fet__call *c)
{
    strided s = {.rank = p->output.shape.rank, .src = c->input[0], .dst = c->output};
    s.size = fet__dtype_bytes(p->output.dtype);
    memcpy(s.dim, p->output.shape.dim, sizeof s.dim);
    fet__ref_strides(s.dst_stride, &p->output.shape);
    return s;
}

fet_status fet__ref_broadcast(const fet__problem *p, const fet__call *c)
{
    strided s = into_output(p, c);
    fet__ref_broadcast_strides(s.src_stride, &p->input[0].shape, &p->output.shape);
    strided_copy(&s);
    return FET_OK;
}

fet_status fet__ref_reshape(const fet__problem *p, const fet__call *c)
{
    if (c->output != c->input[0])
        memcpy(c->output, c->input[0], (size_t)fet__shape_count(&p->output.shape) * fet__dtype_bytes(p->output.dtype));
    return FET_OK;
}

fet_status fet__ref_transpose(const fet__problem *p, const fet__call *c)
{
    strided s = into_output(p, c);
    int64_t stride[FET__MAX_RANK];
    fet__ref_strides(stride, &p->input[0].shape);
    for (int i = 0; i < s.rank; i++)
        s.src_stride[i] = stride[p->attr.transpose.perm[i]];
    strided_copy(&s);
    return FET_OK;
}

fet_status fet__ref_slice(const fet__problem *p, const fet__call *c)
{
    strided s = into_output(p, c);
    int64_t stride[FET__MAX_RANK];
    fet__ref_strides(stride, &p->input[0].shape);
    for (int i = 0; i < s.rank; i++) {
        s.src += p->attr.slice.start[i] * stride[i] * (int64_t)s.size;
        s.src_stride[i] = p->attr.slice.step[i] * stride[i];
    }
    strided_copy(&s);
    return FET_OK;
}

fet_status fet__ref_unslice(const fet__problem *p, const fet__call *c)
{
    const fet__shape *x = &p->input[0].shape, *y = &p->output.shape;
    strided s = {.rank = x->rank, .src = c->input[0], .dst = c->output, .size = fet__dtype_bytes(p->output.dtype)};
    int64_t stride[FET__MAX_RANK];
    fet__ref_strides(stride, y);
    fet__ref_strides(s.src_stride, x);
    for (int i = 0; i < s.rank; i++) {
        s.dim[i] = x->dim[i];
        s.dst += p->attr.slice.start[i] * stride[i] * (int64_t)s.size;
        s.dst_stride[i] = p->attr.slice.step[i] * stride[i];
    }
    memset(c->output, 0, (size_t)fet__shape_count(y) * s.size);
    strided_copy(&s);
    return FET_OK;
}

fet_status fet__ref_concat(const fet__problem *p, const fet__call *c)
{
    int axis = p->attr.axis.axis;
    int64_t stride[FET__MAX_RANK], start = 0;
    fet__ref_strides(stride, &p->output.shape);
    for (int k = 0; k < p->input_count; k++) {
        const fet__shape *x = &p->input[k].shape;
        strided s = {.rank = x->rank, .src = c->input[k], .size = fet__dtype_bytes(p->output.dtype)};
        s.dst = (char *)c->output + start * stride[axis] * (int64_t)s.size;
        memcpy(s.dim, x->dim, sizeof s.dim);
        memcpy(s.dst_stride, stride, sizeof stride);
        fet__ref_strides(s.src_stride, x);
        strided_copy(&s);
        start += x->dim[axis];
    }
    return FET_OK;
}

static int64_t wrap(int64_t i, int64_t n)
{
    int64_t r = i % n;
    return r < 0 ? r + n : r;
}

/* Offset of the source row that row r of the output takes, over all axes but the last. */
static int64_t rolled_row(const fet__problem *p, int64_t r, const int64_t stride[FET__MAX_RANK])
{
    const fet__shape *s = &p->output.shape;
    int64_t at = 0;
    for (int a = s->rank - 2; a >= 0; a--) {
        at += wrap(r % s->dim[a] - p->attr.roll.shift[a], s->dim[a]) * stride[a];
        r /= s->dim[a];
    }
    return at;
}

fet_status fet__ref_roll(const fet__problem *p, const fet__call *c)
{
    const fet__shape *s = &p->output.shape;
    int64_t stride[FET__MAX_RANK], rows = fet__ref_rows(s), cols = fet__ref_cols(s);
    if (rows * cols == 0)
        return FET_OK;
    fet__ref_strides(stride, s);
    size_t size = fet__dtype_bytes(p->output.dtype);
    size_t shift = s->rank ? (size_t)wrap(p->attr.roll.shift[s->rank - 1], cols) : 0;
    size_t left = shift * size, right = ((size_t)cols - shift) * size;
#pragma omp parallel for if (rows * cols > FET__REF_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        const char *src = (const char *)c->input[0] + (size_t)rolled_row(p, r, stride) * size;
        char *dst = (char *)c->output + (size_t)(r * cols) * size;
        memcpy(dst + left, src, right);
        memcpy(dst, src + right, left);
    }
    return FET_OK;
}

fet_status fet__ref_gather(const fet__problem *p, const fet__call *c)
{
    const fet__shape *x = &p->input[0].shape;
    const int32_t *index = c->input[1];
    int64_t count = fet__shape_count(&p->input[1].shape);
    fet_status st = fet__ref_check_range("gather", "index", index, count, 0, x->dim[0]);
    if (st != FET_OK || count == 0)
        return st;
    size_t row = (size_t)(fet__shape_count(&p->output.shape) / count) * fet__dtype_bytes(p->output.dtype);
#pragma omp parallel for if (count * (int64_t)row > FET__REF_PARALLEL)
    for (int64_t m = 0; m < count; m++)
        memcpy((char *)c->output + (size_t)m * row, (const char *)c->input[0] + (size_t)index[m] * row, row);
    return FET_OK;
}

fet_status fet__ref_cast(const fet__problem *p, const fet__call *c)
{
    fet__convert(c->output, p->output.dtype, c->input[0], p->input[0].dtype, fet__shape_count(&p->output.shape));
    return FET_OK;
}
