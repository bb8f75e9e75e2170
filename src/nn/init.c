/* Initial values of parameters: counter-based, a function of seed and name, so that adding a layer changes no other layer's start. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

fet__init fet__init_xavier(int64_t in, int64_t out)
{
    return (fet__init){FET__INIT_UNIFORM, sqrt(6.0 / (double)(in + out))};
}

fet__init fet__init_kaiming5(int64_t in)
{
    return (fet__init){FET__INIT_UNIFORM, 1.0 / sqrt((double)in)};
}

/* An element outside two deviations is drawn again from later steps of its own stream, so that it disturbs no neighbour. */
static double truncated(double z, uint64_t seed, uint32_t stream, uint64_t i)
{
    uint32_t attempt;

    for (attempt = 1; fabs(z) > 2.0; attempt++)
        z = attempt < 64 ? fet__random_normal(seed, stream, attempt, i) : 0;
    return z;
}

/* Four neighbours at once: one block of random numbers serves them. */
static void draw4(double out[4], fet__init init, uint64_t seed, uint32_t stream, uint64_t block)
{
    int k;

    if (init.kind == FET__INIT_NORMAL || init.kind == FET__INIT_NEAR_ONE || init.kind == FET__INIT_TRUNC_NORMAL)
        fet__random_normal4(out, seed, stream, 0, block);
    for (k = 0; k < 4; k++) {
        uint64_t i = 4 * block + (uint64_t)k;
        switch (init.kind) {
        case FET__INIT_ZERO: out[k] = 0; break;
        case FET__INIT_ONE: out[k] = 1; break;
        case FET__INIT_VALUE: out[k] = init.a; break;
        case FET__INIT_UNIFORM: out[k] = init.a * (2.0 * (double)fet__random_uniform(seed, stream, 0, i) - 1.0); break;
        case FET__INIT_NORMAL: out[k] *= init.a; break;
        case FET__INIT_NEAR_ONE: out[k] = 1 + init.a * out[k]; break;
        case FET__INIT_TRUNC_NORMAL: out[k] = init.a * truncated(out[k], seed, stream, i); break;
        }
    }
}

void fet__init_fill(void *data, fet_dtype t, int64_t count, fet__init init, uint64_t seed, const char *name)
{
    uint32_t stream = fet__hash32(name);
    int64_t block;

    /* Every element is a function of its index alone, so threads change nothing. */
#pragma omp parallel for schedule(static) num_threads(fet__threads())
    for (block = 0; block < (count + 3) / 4; block++) {
        double four[4];
        int k;
        draw4(four, init, seed, stream, (uint64_t)block);
        for (k = 0; k < 4 && 4 * block + k < count; k++) {
            if (t == FET_F64)
                ((double *)data)[4 * block + k] = four[k];
            else
                ((float *)data)[4 * block + k] = (float)four[k];
        }
    }
}
