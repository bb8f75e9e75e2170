/* Small matrix products for attention, C = A B or C += A B:
 *     A  element (m, k) at a[m * row + k * col]: rows or columns of anything
 *     B  packed: panels of up to PANEL vectors of columns, each panel [K][its width] and contiguous, columns padded to whole vectors
 *     C  rows of whole vectors
 * A tile is ROWS x PANEL vectors of C in registers; K goes in pieces, so that a piece of a panel stays in the first-level cache.
 * Each element of C is summed over k in order, whatever the tile it lies in. */
#ifndef FET_X86_MATMUL_TILE_H
#define FET_X86_MATMUL_TILE_H

#include <stdbool.h>

#include "kernel/x86/span.h"

#define TILE_ROWS 6
#define PANEL (VL == 16 ? 4 : 2) /* 24 of 32, or 12 of 16, registers hold C */
#define PIECE 128

typedef struct panels {
    int64_t vectors, count; /* of columns; panels */
} panels;

static inline panels panels_of(int64_t cols)
{
    int64_t vectors = (cols + VL - 1) / VL;

    return (panels){vectors, (vectors + PANEL - 1) / PANEL};
}

/* First vector of panel i; widths differ by at most one vector. */
static inline int64_t panel_start(panels p, int64_t i)
{
    int64_t width = p.vectors / p.count, wide = p.vectors % p.count;

    return i * width + smaller(i, wide);
}

typedef struct left_side {
    const float *a;
    int64_t row, col;
} left_side;

/* rows and width are constants after inlining. */
INLINE void multiply(const int rows, const int width, int64_t depth, left_side a, const float *b, float *c,
                     int64_t stride, bool add)
{
    vf sum[TILE_ROWS][4];
    const float *row[TILE_ROWS];

    for (int i = 0; i < rows; i++) {
        row[i] = a.a + i * a.row;
        for (int j = 0; j < width; j++)
            sum[i][j] = add ? v_load(c + i * stride + j * VL) : v_zero();
    }
    for (int64_t k = 0; k < depth; k++, b += width * VL) {
        vf right[4];

        for (int j = 0; j < width; j++)
            right[j] = v_load(b + j * VL);
        for (int i = 0; i < rows; i++) {
            vf left = v_set(row[i][k * a.col]);

            for (int j = 0; j < width; j++)
                sum[i][j] = v_fma(left, right[j], sum[i][j]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width; j++)
            v_store(c + i * stride + j * VL, sum[i][j]);
}

#define CASE(rows, width)                                                                                              \
    case (rows)*8 + (width):                                                                                           \
        multiply(rows, width, depth, a, b, c, stride, add);                                                            \
        break;
#if VL == 16
#define CASES(rows) CASE(rows, 1) CASE(rows, 2) CASE(rows, 3) CASE(rows, 4)
#else
#define CASES(rows) CASE(rows, 1) CASE(rows, 2)
#endif

static void multiply_tile(int64_t rows, int64_t width, int64_t depth, left_side a, const float *b, float *c,
                          int64_t stride, bool add)
{
    switch (rows * 8 + width) {
        CASES(1) CASES(2) CASES(3) CASES(4) CASES(5) CASES(6) default : break;
    }
}
#undef CASES
#undef CASE

static void multiply_packed(int64_t rows, int64_t cols, int64_t depth, left_side a, const float *b, float *c,
                            int64_t stride, bool add)
{
    panels p = panels_of(cols);

    for (int64_t i = 0; i < p.count; i++) {
        int64_t start = panel_start(p, i), width = panel_start(p, i + 1) - start;

        for (int64_t k = 0; k < depth; k += PIECE) {
            const float *piece = b + depth * start * VL + k * width * VL;

            for (int64_t m = 0; m < rows; m += TILE_ROWS)
                multiply_tile(smaller(TILE_ROWS, rows - m), width, smaller(PIECE, depth - k),
                              (left_side){a.a + m * a.row + k * a.col, a.row, a.col}, piece,
                              c + m * stride + start * VL, stride, add || k > 0);
        }
    }
}

/* B[k][n] = src[k * stride + n]; `cols` columns, zeros up to `padded`. */
static inline void pack_rows(float *out, const float *src, int64_t stride, int64_t depth, int64_t cols, int64_t padded)
{
    panels p = panels_of(padded);

    for (int64_t i = 0; i < p.count; i++) {
        int64_t start = panel_start(p, i) * VL, end = panel_start(p, i + 1) * VL;

        for (int64_t k = 0; k < depth; k++)
            for (int64_t n = start; n < end; n += VL, out += VL)
                v_store(out, n < cols ? v_load_upto(src + k * stride + n, cols - n) : v_zero());
    }
}

/* Four rows of src become four columns of one panel. */
static void turn_four(float *out, int64_t width, const float *src, int64_t stride, int64_t depth)
{
    int64_t k = 0;

    for (; k + 4 <= depth; k += 4) {
        __m128 r0 = _mm_loadu_ps(src + k), r1 = _mm_loadu_ps(src + stride + k);
        __m128 r2 = _mm_loadu_ps(src + 2 * stride + k), r3 = _mm_loadu_ps(src + 3 * stride + k);

        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(out + k * width, r0);
        _mm_storeu_ps(out + (k + 1) * width, r1);
        _mm_storeu_ps(out + (k + 2) * width, r2);
        _mm_storeu_ps(out + (k + 3) * width, r3);
    }
    for (; k < depth; k++)
        for (int j = 0; j < 4; j++)
            out[k * width + j] = src[j * stride + k];
}

/* B[k][n] = src[n * stride + k]; `cols` columns, zeros up to `padded`. */
static void pack_columns(float *out, const float *src, int64_t stride, int64_t depth, int64_t cols, int64_t padded)
{
    panels p = panels_of(padded);

    for (int64_t i = 0; i < p.count; i++) {
        int64_t start = panel_start(p, i) * VL, width = panel_start(p, i + 1) * VL - start, n = 0;

        for (; n + 4 <= width && start + n + 4 <= cols; n += 4)
            turn_four(out + n, width, src + (start + n) * stride, stride, depth);
        for (; n < width; n++)
            for (int64_t k = 0; k < depth; k++)
                out[k * width + n] = start + n < cols ? src[(start + n) * stride + k] : 0.0f;
        out += depth * width;
    }
}

#endif
