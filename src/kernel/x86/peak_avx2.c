/* Multiply-add loops in AVX2 registers, for the measured peak. */
#include <immintrin.h>

#include "kernel/peak_int.h"

double fet__peak_f32_avx2(int64_t rounds)
{
    __m256 sum[FET__PEAK_CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps((float)rounds * 1e-9f);
    float out[8];
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], a, b);
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    _mm256_storeu_ps(out, sum[0]);
    return out[0];
}

double fet__peak_f64_avx2(int64_t rounds)
{
    __m256d sum[FET__PEAK_CHAINS], a = _mm256_set1_pd(0.999), b = _mm256_set1_pd((double)rounds * 1e-9);
    double out[4];
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = _mm256_set1_pd((double)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = _mm256_fmadd_pd(sum[i], a, b);
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] = _mm256_add_pd(sum[0], sum[i]);
    _mm256_storeu_pd(out, sum[0]);
    return out[0];
}
