/* Sums and maxima of contiguous floats, for bodies that are compiled per instruction set. Fixed order: lanes over pieces of
 * SPAN_PIECE floats, pieces in double. */
#ifndef FET_X86_SPAN_H
#define FET_X86_SPAN_H

#include <math.h>

#include "kernel/x86/vec.h"

#define SPAN_PIECE 4096

INLINE int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The first `left` lanes, or all. */
INLINE vf v_load_upto(const float *p, int64_t left)
{
    return left >= VL ? v_load(p) : v_loadn(p, (int)left);
}

INLINE void v_store_upto(float *p, vf a, int64_t left)
{
    if (left >= VL)
        v_store(p, a);
    else
        v_storen(p, a, (int)left);
}

/* Lanes below `left` keep their value, the others become `other`. */
INLINE vf v_upto(vf a, int64_t left, float other)
{
    return left >= VL ? a : v_blend(v_first((int)left), a, v_set(other));
}

INLINE double piece_sum(const float *x, int64_t count)
{
    vf s0 = v_zero(), s1 = v_zero(), s2 = v_zero(), s3 = v_zero();
    int64_t i = 0;

    for (; i + 4 * VL <= count; i += 4 * VL) {
        s0 = v_add(s0, v_load(x + i));
        s1 = v_add(s1, v_load(x + i + VL));
        s2 = v_add(s2, v_load(x + i + 2 * VL));
        s3 = v_add(s3, v_load(x + i + 3 * VL));
    }
    for (; i < count; i += VL)
        s0 = v_add(s0, v_load_upto(x + i, count - i));
    return v_sum(v_add(v_add(s0, s1), v_add(s2, s3)));
}

static inline double span_sum(const float *x, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i += SPAN_PIECE)
        sum += piece_sum(x + i, smaller(SPAN_PIECE, count - i));
    return sum;
}

/* NaN where one is among them; -infinity for none. */
static inline float span_largest(const float *x, int64_t count)
{
    vf a = v_set(-INFINITY), b = a;
    int64_t i = 0;

    for (; i + 2 * VL <= count; i += 2 * VL) {
        a = v_max(a, v_load(x + i));
        b = v_max(b, v_load(x + i + VL));
    }
    for (; i < count; i += VL)
        a = v_max(a, v_upto(v_load_upto(x + i, count - i), count - i, -INFINITY));
    a = v_max(a, b);
    return v_any_nan(a) ? NAN : v_top(a);
}

/* The same where no care is needed for NaN: it may be passed over. */
static inline float span_top(const float *x, int64_t count)
{
    vf a = v_set(-INFINITY), b = a, c = a, d = a;
    int64_t i = 0;

    for (; i + 4 * VL <= count; i += 4 * VL) { /* the second operand stays where the first is NaN */
        a = v_max2(v_load(x + i), a);
        b = v_max2(v_load(x + i + VL), b);
        c = v_max2(v_load(x + i + 2 * VL), c);
        d = v_max2(v_load(x + i + 3 * VL), d);
    }
    for (; i < count; i += VL)
        a = v_max2(v_upto(v_load_upto(x + i, count - i), count - i, -INFINITY), a);
    return v_top(v_max2(v_max2(a, b), v_max2(c, d)));
}

#endif
