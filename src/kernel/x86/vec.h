/* Vectors of float for files named *_avx2.c and *_avx512.c: one spelling, 8 or 16 lanes. A kernel's body is a header written over
 * these and included by one file per instruction set; FET__ISA(name) gives each copy its own name. No file of the baseline may
 * include this one. Lanes of a partial load that lie beyond the count read as 0 and are never touched in memory. */
#ifndef FET_X86_VEC_H
#define FET_X86_VEC_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline, unused))

/* Two tables, a line an operation. */
/* clang-format off */

#if defined(__AVX512F__)

#define FET__ISA(name) fet__avx512_##name
#define VL 16

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
INLINE vm v_first(int n) { return (__mmask16)((1u << n) - 1u); } /* n in [0, VL] */
INLINE vf v_loadn(const float *p, int n) { return _mm512_maskz_loadu_ps(v_first(n), p); }
INLINE void v_storen(float *p, vf a, int n) { _mm512_mask_storeu_ps(p, v_first(n), a); }
INLINE vf v_set(float a) { return _mm512_set1_ps(a); }
INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* ab + c */
INLINE vf v_fms(vf a, vf b, vf c) { return _mm512_fmsub_ps(a, b, c); }   /* ab - c */
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - ab */
/* The second operand where either is NaN. */
INLINE vf v_min2(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_max2(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_and(vf a, vf b) { return _mm512_and_ps(a, b); }
INLINE vf v_or(vf a, vf b) { return _mm512_or_ps(a, b); }
INLINE vf v_xor(vf a, vf b) { return _mm512_xor_ps(a, b); }
INLINE vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
INLINE vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE vm v_ne(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); } /* true for NaN */
INLINE vf v_blend(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
INLINE vf v_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for integral n; right into the subnormal range. */
INLINE vf v_scale(vf a, vf n) { return _mm512_scalef_ps(a, n); }

INLINE vi vi_set(int32_t a) { return _mm512_set1_epi32(a); }
INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void vi_store(void *p, vi a) { _mm512_storeu_si512(p, a); }
INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
#define vi_sra(a, n) _mm512_srai_epi32((a), (n))
#define vi_srl(a, n) _mm512_srli_epi32((a), (n))
INLINE vi vi_lanes(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
/* 1 where a < b without sign, else 0. */
INLINE vi vi_below(vi a, vi b)
{
    return _mm512_maskz_mov_epi32(_mm512_cmplt_epu32_mask(a, b), _mm512_set1_epi32(1));
}
INLINE vf v_of_int(vi a) { return _mm512_cvtepi32_ps(a); }
INLINE vf v_bits(vi a) { return _mm512_castsi512_ps(a); }
INLINE vi vi_bits(vf a) { return _mm512_castps_si512(a); }
/* Low and high half of the 64-bit products, lane by lane. */
INLINE void vi_mul_wide(vi a, vi b, vi *low, vi *high)
{
    vi even = _mm512_mul_epu32(a, b);
    vi odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    *low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
    *high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}

/* Double accumulators: a vector's lanes as two halves. */
typedef __m512d vd;
#define VD 8
INLINE vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
INLINE void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
INLINE vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
INLINE vd vd_low(vf a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
INLINE vd vd_high(vf a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }

#elif defined(__AVX2__) && defined(__FMA__)

#define FET__ISA(name) fet__avx2_##name
#define VL 8

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

INLINE vi vi_lanes(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
INLINE vm v_first(int n) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), vi_lanes())); }
INLINE vf v_loadn(const float *p, int n) { return _mm256_maskload_ps(p, _mm256_castps_si256(v_first(n))); }
INLINE void v_storen(float *p, vf a, int n) { _mm256_maskstore_ps(p, _mm256_castps_si256(v_first(n)), a); }
INLINE vf v_set(float a) { return _mm256_set1_ps(a); }
INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_fms(vf a, vf b, vf c) { return _mm256_fmsub_ps(a, b, c); }
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vf v_min2(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_max2(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_and(vf a, vf b) { return _mm256_and_ps(a, b); }
INLINE vf v_or(vf a, vf b) { return _mm256_or_ps(a, b); }
INLINE vf v_xor(vf a, vf b) { return _mm256_xor_ps(a, b); }
INLINE vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vm v_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
INLINE vm v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE vm v_ne(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
INLINE vf v_blend(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
INLINE vf v_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* Two factors, so that each stays a normal number where the product is subnormal; |n| < 250. */
INLINE vf v_scale(vf a, vf n)
{
    vi k = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(k, 1), rest = _mm256_sub_epi32(k, half);
    vi bias = _mm256_set1_epi32(127);
    vf one = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf two = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));

    return _mm256_mul_ps(_mm256_mul_ps(a, one), two);
}

INLINE vi vi_set(int32_t a) { return _mm256_set1_epi32(a); }
INLINE vi vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void vi_store(void *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
INLINE vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
INLINE vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
#define vi_sra(a, n) _mm256_srai_epi32((a), (n))
#define vi_srl(a, n) _mm256_srli_epi32((a), (n))
INLINE vi vi_below(vi a, vi b)
{
    vi top = _mm256_set1_epi32(INT32_MIN);

    return _mm256_srli_epi32(_mm256_cmpgt_epi32(_mm256_xor_si256(b, top), _mm256_xor_si256(a, top)), 31);
}
INLINE vf v_of_int(vi a) { return _mm256_cvtepi32_ps(a); }
INLINE vf v_bits(vi a) { return _mm256_castsi256_ps(a); }
INLINE vi vi_bits(vf a) { return _mm256_castps_si256(a); }
INLINE void vi_mul_wide(vi a, vi b, vi *low, vi *high)
{
    vi even = _mm256_mul_epu32(a, b);
    vi odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

typedef __m256d vd;
#define VD 4
INLINE vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
INLINE void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
INLINE vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
INLINE vd vd_low(vf a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
INLINE vd vd_high(vf a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }

#else
#error "vec.h is for files compiled with AVX2 and FMA, or AVX-512"
#endif

INLINE vf v_neg(vf a) { return v_xor(a, v_set(-0.0f)); }
INLINE vf v_abs(vf a) { return v_and(a, v_bits(vi_set(INT32_MAX))); }
/* NaN where either is. */
INLINE vf v_min(vf a, vf b) { return v_blend(v_ne(a, a), a, v_min2(a, b)); }
INLINE vf v_max(vf a, vf b) { return v_blend(v_ne(a, a), a, v_max2(a, b)); }
/* clang-format on */

INLINE double half_sum(__m256d a)
{
    __m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));

    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

/* Sum of the lanes in double, always in the same tree: lane i with lane i + VL/2, then the halves of that. */
INLINE double v_sum(vf a)
{
    vd s = vd_add(vd_low(a), vd_high(a));
#if VL == 16
    return half_sum(_mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1)));
#else
    return half_sum(s);
#endif
}

/* Largest lane, if none is NaN. */
INLINE float v_top(vf a)
{
#if VL == 16
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
#else
    __m256 h = a;
#endif
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));

    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

/* Whether a lane is NaN. */
INLINE bool v_any_nan(vf a)
{
#if VL == 16
    return v_ne(a, a) != 0;
#else
    return _mm256_movemask_ps(v_ne(a, a)) != 0;
#endif
}

#endif
