/* The multiply-add loops that fet__measure_peak runs, one per instruction set. Each does `rounds` rounds of
 * FET__PEAK_CHAINS independent multiply-adds of one full vector and returns a number that depends on all of them, so
 * that none is optimised away. */
#ifndef FET_PEAK_INT_H
#define FET_PEAK_INT_H

#include "kernel/kernel.h"

#define FET__PEAK_CHAINS 12 /* two pipes of up to five cycles, and some to spare; fits the 16 registers of AVX2 */

double fet__peak_f32_base(int64_t rounds);
double fet__peak_f64_base(int64_t rounds);
double fet__peak_f32_avx2(int64_t rounds);
double fet__peak_f64_avx2(int64_t rounds);
double fet__peak_f32_avx512(int64_t rounds);
double fet__peak_f64_avx512(int64_t rounds);
double fet__peak_bf16_avx512(int64_t rounds); /* only where the processor has AVX512_BF16 */

#endif
