/* Transpose of 4-byte elements. Axes of size 1 go and neighbours that stay neighbours become one. If the last axis then stays
 * last, rows are copied; else the last axis of the output and the last axis of the input are exchanged in tiles, four by four in
 * baseline vectors, for every index of the other axes. */
#include <string.h>
#include <xmmintrin.h>

#include "kernel/x86/x86.h"

#define ELEMENT 4
#define TILE 64

/* The output's axes, as the input sees them. */
typedef struct walk {
    int rank;
    int64_t size[FET__MAX_RANK], src[FET__MAX_RANK], dst[FET__MAX_RANK];
} walk;

bool fet__transpose_accepts(const fet__problem *p)
{
    return p->op == FET__OP_TRANSPOSE && p->input[0].dtype == p->output.dtype &&
           fet__dtype_bytes(p->output.dtype) == ELEMENT && p->output.shape.rank == p->input[0].shape.rank;
}

static walk walk_of(const fet__problem *p)
{
    const fet__shape *x = &p->input[0].shape, *y = &p->output.shape;
    int64_t stride[FET__MAX_RANK] = {0}, step = 1;
    walk w = {0};

    for (int i = x->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= x->dim[i];
    }
    for (int i = 0; i < y->rank; i++) {
        int64_t size = y->dim[i], src = stride[p->attr.transpose.perm[i]];

        if (size == 1)
            continue;
        if (w.rank > 0 && w.src[w.rank - 1] == src * size) {
            w.size[w.rank - 1] *= size;
            w.src[w.rank - 1] = src;
            continue;
        }
        w.size[w.rank] = size;
        w.src[w.rank++] = src;
    }
    step = 1;
    for (int i = w.rank - 1; i >= 0; i--) {
        w.dst[i] = step;
        step *= w.size[i];
    }
    return w;
}

/* Where index `n` over all axes but `skip` and the last lies on both sides. */
static void locate(const walk *w, int64_t n, int skip, int64_t *src, int64_t *dst)
{
    *src = *dst = 0;
    for (int i = w->rank - 2; i >= 0; i--) {
        if (i == skip)
            continue;
        *src += n % w->size[i] * w->src[i];
        *dst += n % w->size[i] * w->dst[i];
        n /= w->size[i];
    }
}

static void copy_rows(const fet__problem *p, const walk *w, float *y, const float *x)
{
    int64_t cols = w->rank ? w->size[w->rank - 1] : 1, rows = fet__shape_count(&p->output.shape) / cols;
    int team = fet__x86_team(p, rows * cols / 2);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++) {
        int64_t src, dst;

        locate(w, r, -1, &src, &dst);
        memcpy(y + dst, x + src, (size_t)cols * ELEMENT);
    }
}

/* y[j * dst + i] = x[i * src + j] for i < rows, j < cols. */
static void turn_tile(float *y, int64_t dst, const float *x, int64_t src, int64_t rows, int64_t cols)
{
    int64_t i = 0;

    for (; i + 4 <= rows; i += 4) {
        int64_t j = 0;

        for (; j + 4 <= cols; j += 4) {
            const float *from = x + i * src + j;
            float *to = y + j * dst + i;
            __m128 r0 = _mm_loadu_ps(from), r1 = _mm_loadu_ps(from + src), r2 = _mm_loadu_ps(from + 2 * src),
                   r3 = _mm_loadu_ps(from + 3 * src);

            _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
            _mm_storeu_ps(to, r0);
            _mm_storeu_ps(to + dst, r1);
            _mm_storeu_ps(to + 2 * dst, r2);
            _mm_storeu_ps(to + 3 * dst, r3);
        }
        for (; j < cols; j++)
            for (int64_t a = i; a < i + 4; a++)
                y[j * dst + a] = x[a * src + j];
    }
    for (int64_t j = 0; j < cols; j++)
        for (int64_t a = i; a < rows; a++)
            y[j * dst + a] = x[a * src + j];
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* `across`: the output axis that is contiguous in the input. */
static void turn(const fet__problem *p, const walk *w, int across, float *y, const float *x)
{
    int last = w->rank - 1;
    int64_t rows = w->size[last], cols = w->size[across];
    int64_t row_tiles = fet__ceil_div(rows, TILE), col_tiles = fet__ceil_div(cols, TILE);
    int64_t count = fet__shape_count(&p->output.shape), units = count / (rows * cols) * row_tiles * col_tiles;
    int team = fet__x86_team(p, count / 2);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t u = 0; u < units; u++) {
        int64_t i = u % row_tiles * TILE, j = u / row_tiles % col_tiles * TILE, src, dst;

        locate(w, u / (row_tiles * col_tiles), across, &src, &dst);
        turn_tile(y + dst + j * w->dst[across] + i, w->dst[across], x + src + i * w->src[last] + j, w->src[last],
                  least(TILE, rows - i), least(TILE, cols - j));
    }
}

fet_status fet__transpose_run(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    walk w = walk_of(p);
    int across = 0;

    if (fet__shape_count(&p->output.shape) == 0)
        return FET_OK;
    if (w.rank < 2 || w.src[w.rank - 1] == 1) {
        copy_rows(p, &w, c->output, c->input[0]);
        return FET_OK;
    }
    while (w.src[across] != 1)
        across++;
    turn(p, &w, across, c->output, c->input[0]);
    return FET_OK;
}
