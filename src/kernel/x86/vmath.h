/* Elementary functions on vectors of float, correct for every input (infinities, NaN, huge and tiny arguments); relative error
 * about 2 units in the last place, erf absolute error below 1e-7. Polynomials were fitted by Remez exchange; each comment names the
 * function that a polynomial stands for, its range and its error.
 *
 * The normal distribution function goes through erfc(t) = exp(-t^2) g(t) for t >= 0, so that its lower tail keeps relative accuracy,
 * where 1 + erf(t) has none; gelu and its derivative share one exponential. */
#ifndef FET_X86_VMATH_H
#define FET_X86_VMATH_H

#include <math.h>

#include "kernel/x86/vec.h"

/* e^x = 2^n e^r, |r| <= ln 2 / 2; n ln 2 is taken off in two parts. e^r = 1 + r + r^2 p(r), relative error 3e-9.
 * For x <= 89, or NaN. */
INLINE vf v_exp_below(vf x)
{
    vf n, r, p;

    x = v_max2(v_set(-104.0f), x); /* below: 0; NaN passes as second operand */
    n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    r = v_fnma(n, v_set(0.693359375f), x);
    r = v_fnma(n, v_set(-2.12194440054690583e-4f), r);
    p = v_set(1.381447073e-03f);
    p = v_fma(p, r, v_set(8.368780836e-03f));
    p = v_fma(p, r, v_set(4.166839272e-02f));
    p = v_fma(p, r, v_set(1.666651964e-01f));
    p = v_fma(p, r, v_set(4.999999404e-01f));
    p = v_fma(v_mul(r, r), p, r);
    return v_scale(v_add(p, v_set(1.0f)), n);
}

INLINE vf v_exp(vf x)
{
    return v_exp_below(v_min2(v_set(89.0f), x)); /* above: infinity */
}

/* x = 2^e m, m in [sqrt 1/2, sqrt 2): log x = e ln 2 + f - f^2/2 + f^3 p(f), f = m - 1, error of p's part 7e-10 f^2. */
INLINE vf v_log(vf x)
{
    const vi root = vi_set(0x3f3504f3); /* sqrt 1/2 */
    vm tiny = v_lt(x, v_set(1.17549435e-38f));
    vf scaled = v_blend(tiny, v_mul(x, v_set(8388608.0f)), x), e, f, p, s;
    vi bits = vi_sub(vi_bits(scaled), root);

    e = v_sub(v_of_int(vi_sra(bits, 23)), v_blend(tiny, v_set(23.0f), v_zero()));
    f = v_sub(v_bits(vi_add(vi_and(bits, vi_set(0x7fffff)), root)), v_set(1.0f));
    p = v_set(6.915545464e-02f);
    p = v_fma(p, f, v_set(-1.178983897e-01f));
    p = v_fma(p, f, v_set(1.187290847e-01f));
    p = v_fma(p, f, v_set(-1.238433868e-01f));
    p = v_fma(p, f, v_set(1.421866715e-01f));
    p = v_fma(p, f, v_set(-1.666925102e-01f));
    p = v_fma(p, f, v_set(2.000222653e-01f));
    p = v_fma(p, f, v_set(-2.499998659e-01f));
    p = v_fma(p, f, v_set(3.333331048e-01f));
    s = v_mul(f, f);
    p = v_mul(p, v_mul(s, f));
    p = v_fma(e, v_set(-2.12194440054690583e-4f), p);
    p = v_fnma(s, v_set(0.5f), p);
    p = v_add(f, p);
    p = v_fma(e, v_set(0.693359375f), p);
    p = v_blend(v_eq(x, v_set(INFINITY)), x, p);
    p = v_blend(v_eq(x, v_zero()), v_set(-INFINITY), p);
    return v_blend(v_le(v_zero(), x), p, v_set(NAN)); /* below 0, or NaN */
}

/* 1 / x for x in [1, 1e30], or NaN: about one unit in the last place, where a division would take as long as all the rest. */
INLINE vf v_reciprocal(vf x)
{
#if VL == 16
    vf y = _mm512_rcp14_ps(x);

    return v_fma(y, v_fnma(x, y, v_set(1.0f)), y);
#else
    return v_div(v_set(1.0f), x);
#endif
}

INLINE vf v_sigmoid(vf x)
{
    vf one = v_set(1.0f);

    return v_div(one, v_add(one, v_exp(v_neg(x))));
}

/* |x| < 0.625: x + x^3 p(x^2), relative error 4e-9; else 1 - 2 / (e^2|x| + 1), which is 1 from 10 on. */
INLINE vf v_tanh(vf x)
{
    vf sign = v_and(x, v_set(-0.0f)), a = v_abs(x), z = v_mul(x, x), p, big;

    p = v_set(-5.717047956e-03f);
    p = v_fma(p, z, v_set(2.065058984e-02f));
    p = v_fma(p, z, v_set(-5.374350026e-02f));
    p = v_fma(p, z, v_set(1.333149076e-01f));
    p = v_fma(p, z, v_set(-3.333328366e-01f));
    p = v_fma(v_mul(p, z), x, x);
    big = v_exp_below(v_min2(v_set(20.0f), v_add(a, a)));
    big = v_fnma(v_set(2.0f), v_reciprocal(v_add(big, v_set(1.0f))), v_set(1.0f));
    return v_blend(v_lt(a, v_set(0.625f)), p, v_or(big, sign));
}

/* e^(-h t^2); the rounding of t^2 is put back, so that large t keep relative accuracy. */
INLINE vf v_bell(vf t, float h)
{
    vf square = v_mul(t, t), lost = v_fms(t, t, square);
    vf e = v_exp_below(v_mul(square, v_set(-h)));

    lost = v_blend(v_lt(square, v_set(200.0f)), v_mul(lost, v_set(h)), v_zero()); /* inf - inf */
    return v_fnma(e, lost, e);
}

/* erfc(t) / e^(-t^2) for t in [0.4, 9.5] = u p(u), u = 1 / (1 + 0.5 t), relative error 8e-9; below 0.4 it has no meaning,
 * beyond 9.5 it falls to 0. */
INLINE vf v_erfc_over_bell(vf t)
{
    vf u = v_reciprocal(v_fma(v_min2(v_set(1e4f), t), v_set(0.5f), v_set(1.0f))), p;

    p = v_set(-6.496322155e-02f);
    p = v_fma(p, u, v_set(3.104343414e-01f));
    p = v_fma(p, u, v_set(-5.349480510e-01f));
    p = v_fma(p, u, v_set(3.263853788e-01f));
    p = v_fma(p, u, v_set(-5.583822727e-02f));
    p = v_fma(p, u, v_set(2.134558409e-01f));
    p = v_fma(p, u, v_set(2.407472879e-01f));
    p = v_fma(p, u, v_set(2.826544642e-01f));
    p = v_fma(p, u, v_set(2.820727229e-01f));
    return v_mul(p, u);
}

/* erf for |x| < 0.9: x p(x^2), relative error 3e-10. */
INLINE vf v_erf_small(vf x)
{
    vf z = v_mul(x, x), p;

    p = v_set(8.538841212e-05f);
    p = v_fma(p, z, v_set(-8.181927842e-04f));
    p = v_fma(p, z, v_set(5.204435904e-03f));
    p = v_fma(p, z, v_set(-2.686075307e-02f));
    p = v_fma(p, z, v_set(1.128371954e-01f));
    p = v_fma(p, z, v_set(-3.761263490e-01f));
    p = v_fma(p, z, v_set(1.128379226e+00f));
    return v_mul(p, x);
}

INLINE vf v_erf(vf x)
{
    vf sign = v_and(x, v_set(-0.0f)), a = v_abs(x);
    vf big = v_fnma(v_bell(a, 1.0f), v_erfc_over_bell(a), v_set(1.0f));

    return v_blend(v_lt(a, v_set(0.9f)), v_erf_small(x), v_or(big, sign));
}

/* Phi(x) of the normal distribution; *bell becomes e^(-x^2/2), of x itself: the rounding of t would grow with t^2. */
INLINE vf v_normal(vf x, vf *bell)
{
    vf t = v_mul(v_abs(x), v_set(0.70710678118654752f)), tail, small, half = v_set(0.5f);

    *bell = v_bell(x, 0.5f);
    tail = v_mul(v_mul(*bell, half), v_erfc_over_bell(t));
    small = v_fma(v_erf_small(v_mul(x, v_set(0.70710678118654752f))), half, half);
    tail = v_blend(v_lt(x, v_zero()), tail, v_sub(v_set(1.0f), tail));
    return v_blend(v_lt(t, v_set(0.42f)), small, tail);
}

INLINE vf v_gelu(vf x)
{
    vf bell;

    return v_mul(x, v_normal(x, &bell));
}

INLINE vf v_gelu_grad(vf x)
{
    vf bell, phi = v_normal(x, &bell);

    return v_fma(v_mul(x, v_set(0.39894228040143268f)), bell, phi);
}

/* x^n by squaring; n < 0 is the reciprocal of x^-n. */
INLINE vf v_pow_int(vf x, int n)
{
    unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n;
    vf y = v_set(1.0f);

    for (; k; k >>= 1) {
        if (k & 1u)
            y = v_mul(y, x);
        x = v_mul(x, x);
    }
    return n < 0 ? v_div(v_set(1.0f), y) : y;
}

#endif
