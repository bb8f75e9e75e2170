/* Strips of output columns whose sums stay in registers: what plain and quadratic depthwise convolutions do with one row of
 * taps, how a strip is stored and what a width costs. Included once by each body, for its instruction set. */
#ifndef FET_X86_DEPTHWISE_STRIP_H
#define FET_X86_DEPTHWISE_STRIP_H

#include "kernel/x86/depthwise_pack.h"

/* One row of taps, `taps` and step 1 known: packed value j meets sums j - taps + 1 .. j. */
INLINE void add_known(vf *sum, const float *x, const float *w, const int strip, const int taps)
{
    vf tap[7];

    for (int k = 0; k < taps; k++)
        tap[k] = v_load(w + k * LINE);
#pragma GCC unroll 20
    for (int j = 0; j < strip + taps - 1; j++) {
        vf v = v_load(x + j * LINE);

#pragma GCC unroll 7
        for (int k = 0; k < taps; k++)
            if (j - k >= 0 && j - k < strip)
                sum[j - k] = v_fma(v, tap[k], sum[j - k]);
    }
}

INLINE void add_any(vf *sum, const float *x, const float *w, const int strip, const int step, int64_t taps)
{
    for (int64_t k = 0; k < taps; k++) {
        vf tap = v_load(w + k * LINE);

#pragma GCC unroll 14
        for (int r = 0; r < strip; r++)
            sum[r] = v_fma(v_load(x + (r * step + k) * LINE), tap, sum[r]);
    }
}

/* strip is a constant at every call; `columns` of it and `lanes` of each are written. */
INLINE void store_strip(float *y, int64_t y_step, const vf *sum, const int strip, int columns, int lanes)
{
    if (columns == strip && lanes == VL) {
#pragma GCC unroll 14
        for (int r = 0; r < strip; r++)
            v_store(y + r * y_step, sum[r]);
        return;
    }
#pragma GCC unroll 14
    for (int r = 0; r < strip; r++)
        if (r < columns)
            v_storen(y + r * y_step, sum[r], lanes);
}

/* Of n columns in strips of a width. Fewer than eight sums wait for each other's multiply-adds. */
static inline int64_t strips_cost(int64_t n, int64_t width)
{
    return fet__ceil_div(n, width) * (larger_of(width, 8) + 1);
}

#endif
