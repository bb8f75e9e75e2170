/* The multiply-add peak of this machine, measured: every thread runs multiply-adds on registers, nothing touches
 * memory. This is the number that matrix products are held against. bfloat16 is measured by the vector dot-product
 * instruction (two products per lane). */
#include <cpuid.h>

#include "kernel/peak_int.h"

typedef struct loop {
    double (*run)(int64_t rounds);
    double flops; /* of one round */
} loop;

static bool has_bf16(void)
{
    unsigned a, b, c, d;
    return fet__cpu_level() == FET__CPU_AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

static loop loop_for(fet_dtype t)
{
    const double n = 2.0 * FET__PEAK_CHAINS;
    fet__cpu level = fet__cpu_level();
    if (t == FET_BF16)
        return has_bf16() ? (loop){fet__peak_bf16_avx512, 32 * n} : (loop){NULL, 0};
    if (t == FET_F64)
        return level == FET__CPU_AVX512 ? (loop){fet__peak_f64_avx512, 8 * n}
               : level == FET__CPU_AVX2 ? (loop){fet__peak_f64_avx2, 4 * n}
                                        : (loop){fet__peak_f64_base, 2 * n};
    if (t == FET_F32)
        return level == FET__CPU_AVX512 ? (loop){fet__peak_f32_avx512, 16 * n}
               : level == FET__CPU_AVX2 ? (loop){fet__peak_f32_avx2, 8 * n}
                                        : (loop){fet__peak_f32_base, 4 * n};
    return (loop){NULL, 0};
}

/* GFLOP/s of all threads over one stretch of time. */
static double measure_stretch(loop l, double seconds)
{
    const int64_t rounds = 20000;
    double flops = 0, begin = fet__now();
    volatile double sink = 0;
#pragma omp parallel reduction(+ : flops)
    {
        double sum = 0;
        while (fet__now() < begin + seconds) {
            sum += l.run(rounds);
            flops += l.flops * (double)rounds;
        }
#pragma omp critical(fet__peak)
        sink = sink + sum;
    }
    return flops / (fet__now() - begin) * 1e-9;
}

double fet__measure_peak(fet_dtype t, double seconds)
{
    enum { STRETCHES = 5 }; /* the best of several: other work on the machine only slows down */
    loop l = loop_for(t);
    double best = 0;
    for (int i = 0; i < STRETCHES && l.run; i++) {
        double rate = measure_stretch(l, seconds / STRETCHES);
        best = rate > best ? rate : best;
    }
    return best;
}
