/* Multiply-add loops for processors without AVX2: vectors of 16 bytes, which the compiler maps to what there is. */
#include "kernel/peak_int.h"

typedef float vf32 __attribute__((vector_size(16)));
typedef double vf64 __attribute__((vector_size(16)));

double fet__peak_f32_base(int64_t rounds)
{
    float b = (float)rounds * 1e-9f;
    vf32 sum[FET__PEAK_CHAINS], scale = {0.999f, 0.999f, 0.999f, 0.999f}, add = {b, b, b, b};
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = add * (float)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = sum[i] * scale + add;
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] += sum[i];
    return sum[0][0];
}

double fet__peak_f64_base(int64_t rounds)
{
    double b = (double)rounds * 1e-9;
    vf64 sum[FET__PEAK_CHAINS], scale = {0.999, 0.999}, add = {b, b};
    for (int i = 0; i < FET__PEAK_CHAINS; i++)
        sum[i] = add * (double)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FET__PEAK_CHAINS; i++)
            sum[i] = sum[i] * scale + add;
    for (int i = 1; i < FET__PEAK_CHAINS; i++)
        sum[0] += sum[i];
    return sum[0][0];
}
