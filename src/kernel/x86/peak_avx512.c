/* Multiply-add loops in AVX-512 registers, for the measured peak. */
#include <immintrin.h>

#include "kernel/peak_int.h"

double fet__peak_f32_avx512(int64_t rounds)
{
    __m512 sum[FET__PEAK_CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps((float)rounds * 1e-9f);
    float out[16];
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    _mm512_storeu_ps(out, sum[0]);
    return out[0];
}

double fet__peak_f64_avx512(int64_t rounds)
{
    __m512d sum[FET__PEAK_CHAINS], a = _mm512_set1_pd(0.999), b = _mm512_set1_pd((double)rounds * 1e-9);
    double out[8];
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = _mm512_set1_pd((double)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = _mm512_fmadd_pd(sum[i], a, b);
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] = _mm512_add_pd(sum[0], sum[i]);
    _mm512_storeu_pd(out, sum[0]);
    return out[0];
}

/* The instruction set of this one function is wider than the file's; the caller has looked for it. */
__attribute__((target("avx512bf16"))) double fet__peak_bf16_avx512(int64_t rounds)
{
    __m512 sum[FET__PEAK_CHAINS];
    __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps((float)rounds * 1e-9f));
    float out[16];
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    _mm512_storeu_ps(out, sum[0]);
    return out[0];
}
